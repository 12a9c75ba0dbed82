/* SPDX-License-Identifier: BSD-3-Clause */
#include "simulate/options.h"

#include <getopt.h>
#include <string.h>

#include "simulate/experiment.h"
#include "simulate/version.h"

static const char help[] =
    "usage: [mpirun -np N] simulate [options] [experiment.ini]\n"
    "\n"
    "Monte Carlo study of the two-dimensional Ising model: energy, magnetization, specific heat, susceptibility and\n"
    "Binder cumulant at every size and temperature of the experiment, with error bars, beside the exact values.\n"
    "Without a file the quick experiment runs; '-' reads standard input.\n"
    "\n"
    "  --out DIR      where results.csv, run.json, results.gp and results.png go (simulate-out)\n"
    "  --workers N    number of workers, 1 to 65536 (one per rank)\n"
    "  --isolate      workers are processes of their own, so that a crash costs one task only\n"
    "  --seed N       random seed, instead of the experiment's\n"
    "  --journal FILE keeps the results of finished tasks; the same line again does those that are missing\n"
    "  --anew         forget what is in the journal\n"
    "  --check        compare with the exact values; exit 1 if any deviates by over 4 standard errors\n"
    "  --quiet        no table and no progress\n"
    "  --help         this text\n"
    "  --version      version\n"
    "\n"
    "exit status: 0 done; 1 a task failed, a file could not be written or --check failed; 2 bad option or\n"
    "experiment; 130, 143, 75 after SIGINT, SIGTERM, SIGUSR1 (what was finished is written)\n";

enum { OUT = 256, WORKERS, ISOLATE, SEED, JOURNAL, ANEW, CHECK, QUIET, HELP, VERSION };

static const struct option known[] = {
    {"out", required_argument, NULL, OUT},
    {"workers", required_argument, NULL, WORKERS},
    {"isolate", no_argument, NULL, ISOLATE},
    {"seed", required_argument, NULL, SEED},
    {"journal", required_argument, NULL, JOURNAL},
    {"anew", no_argument, NULL, ANEW},
    {"check", no_argument, NULL, CHECK},
    {"quiet", no_argument, NULL, QUIET},
    {"help", no_argument, NULL, HELP},
    {"version", no_argument, NULL, VERSION},
    {NULL, 0, NULL, 0},
};

static options_outcome bad_value(FILE *err, const char *option, const char *value, const char *allowed)
{
    fprintf(err, "simulate: --%s '%s'; allowed: %s\n", option, value, allowed);
    return OPTIONS_BAD;
}

/* optopt is a letter when a short option was tried; there are none. */
static options_outcome bad_option(FILE *err, bool value_missing, const char *argument)
{
    char letter[3] = {'-', (char)optopt, '\0'};
    bool is_short = optopt > ' ' && optopt < OUT;
    fprintf(err,
            "simulate: %s '%s'; allowed: --out DIR, --workers N, --isolate, --seed N, --journal FILE, --anew, --check, "
            "--quiet, --help, --version\n",
            value_missing ? "no value after" : "unknown option, or value where none belongs:",
            is_short ? letter : argument);
    return OPTIONS_BAD;
}

static options_outcome apply(int option, const char *value, struct options *o, FILE *err)
{
    int64_t number;
    switch (option) {
    case OUT:
        o->out = value;
        return *value ? OPTIONS_RUN : bad_value(err, "out", value, "a directory");
    case WORKERS:
        if (parse_integer(value, 1, OPTIONS_WORKERS_MAX, &number) != 0)
            return bad_value(err, "workers", value, "a whole number from 1 to 65536");
        o->workers = (int)number;
        return OPTIONS_RUN;
    case SEED:
        o->seed_given = true;
        if (parse_unsigned(value, &o->seed) != 0)
            return bad_value(err, "seed", value, "a whole number from 0 to 18446744073709551615");
        return OPTIONS_RUN;
    case ISOLATE:
        o->isolate = true;
        return OPTIONS_RUN;
    case JOURNAL:
        o->journal = value;
        return *value ? OPTIONS_RUN : bad_value(err, "journal", value, "a file");
    case ANEW:
        o->anew = true;
        return OPTIONS_RUN;
    case CHECK:
        o->check = true;
        return OPTIONS_RUN;
    default:
        o->quiet = true;
        return OPTIONS_RUN;
    }
}

options_outcome options_parse(int argc, char **argv, struct options *options, FILE *out, FILE *err)
{
    *options = (struct options){.out = "simulate-out"};
    opterr = 0;
    optind = 0; /* start afresh */
    for (int option; (option = getopt_long(argc, argv, ":", known, NULL)) != -1;) {
        options_outcome outcome = OPTIONS_RUN;
        if (option == HELP) {
            fputs(help, out);
            outcome = OPTIONS_DONE;
        } else if (option == VERSION) {
            fprintf(out, "simulate %s\n", SIMULATE_VERSION);
            outcome = OPTIONS_DONE;
        } else if (option == '?' || option == ':') {
            outcome = bad_option(err, option == ':', argv[optind - 1]);
        } else {
            outcome = apply(option, optarg, options, err);
        }
        if (outcome != OPTIONS_RUN)
            return outcome;
    }
    if (argc - optind > 1) {
        fprintf(err, "simulate: '%s' after the experiment '%s'; allowed: one experiment\n", argv[optind + 1],
                argv[optind]);
        return OPTIONS_BAD;
    }
    options->experiment = optind < argc ? argv[optind] : NULL;
    return OPTIONS_RUN;
}
