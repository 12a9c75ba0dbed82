/* SPDX-License-Identifier: BSD-3-Clause */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <muster/runtime.h>

#include "scaling/plan.h"

static const char arguments[] = "-- PROGRAM ARG...\n--kernel NAME";

static const char doc[] =
    "The scaling test of a program: it is run at several numbers of ranks, in random order, some times each; medians, "
    "speed-up, efficiency, and the laws of Amdahl and Gunther fitted to them are written, and drawn."
    "\v"
    "In the program's words {np} is the number of ranks, and {NAME} the value of parameter NAME.\n"
    "\n"
    "  scaling -- simulate experiment.ini --quiet --out {np}\n"
    "  scaling --ranks 1,2,4,8 -P size 10 20 -- ./solver --size {size}\n"
    "  scaling --weak -- ./solver --cells-a-rank 1000000\n"
    "  scaling --launcher 'srun -n {np} --mpi=pmix' -- ./solver\n"
    "  scaling --kernel memory\n"
    "\n"
    "Kernels: compute (tasks of equal work), uneven (tasks of unequal work), memory (bandwidth), latency and queue "
    "(messages of 8 bytes, there and back, and one way), lock.\n"
    "\n"
    "Exit status: 0 all runs went well; 1 some failed; 2 bad options; 130, 143 after SIGINT, SIGTERM: what was "
    "measured "
    "is written.";

enum {
    RANKS = 256,
    WEAK,
    REPEAT,
    WARM_UP,
    SEED,
    TIMEOUT,
    LAUNCHER,
    TIME_FROM,
    KERNEL,
    KERNEL_RUN,
    QUIET,
    HELP,
    VERSION
};

static const struct argp_option known[] = {
    {"ranks", RANKS, "LIST", 0, "numbers of ranks: 1,2,4 (1, 2, 4 ... to the cores that there are)", 1},
    {"parameter", 'P', "NAME VALUE...", 0, "a parameter and its values; several are combined", 1},
    {"weak", WEAK, NULL, 0, "the work grows with the ranks: ideal is the same time", 1},
    {"repeat", REPEAT, "N", 0, "runs of each (6)", 1},
    {"warm-up", WARM_UP, "N", 0, "runs of each before, which do not count (1)", 1},
    {"seed", SEED, "N", 0, "of the order (1)", 1},
    {"timeout", TIMEOUT, "SECONDS", 0, "of a run", 1},
    {"launcher", LAUNCHER, "TEXT", 0, "what starts ranks, with {np} (mpirun)", 2},
    {"time-from", TIME_FROM, "REGEX", 0, "a run's seconds are what the first ( ) of this matches in what it prints", 2},
    {"kernel", KERNEL, "NAME", 0, "measure this machine rather than a program", 2},
    {"kernel-run", KERNEL_RUN, "NAME", OPTION_HIDDEN, NULL, 2},
    {"out", 'o', "DIR", 0, "where scaling.csv, .json, .png, report.md go (scaling-out)", 3},
    {"quiet", QUIET, NULL, 0, "no report on standard output, no progress", 3},
    {"help", HELP, NULL, 0, "this text", 4},
    {"version", VERSION, NULL, 0, "version", 4},
    {0},
};

static error_t bad(struct argp_state *state, const char *option, const char *value, const char *allowed)
{
    argp_failure(state, 2, 0, "%s '%s': allowed is %s", option, value, allowed);
    return EINVAL;
}

static int whole(const char *text, long least, long most, int *number)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (end == text || *end || value < least || value > most)
        return -1;
    *number = (int)value;
    return 0;
}

static error_t ranks(struct argp_state *state, const char *text, struct options *o)
{
    const char *given = text;
    for (o->n_ranks = 0; *text && o->n_ranks < PLAN_VALUES; o->n_ranks++) {
        char *end;
        long n = strtol(text, &end, 10);
        if (end == text || n < 1 || n > 1000000 || (*end && *end != ','))
            return bad(state, "--ranks", given, "a list like 1,2,4");
        o->ranks[o->n_ranks] = (int)n;
        text = end + (*end == ',');
    }
    return o->n_ranks && !*text ? 0 : bad(state, "--ranks", given, "a list like 1,2,4");
}

/* The values are the words up to the next option, or --. */
static error_t parameter(struct argp_state *state, const char *name, struct options *o)
{
    if (o->n_parameters == PLAN_PARAMETERS)
        return bad(state, "-P", name, "eight parameters at most");
    struct parameter *p = &o->parameters[o->n_parameters++];
    *p = (struct parameter){.name = name};
    while (state->next < state->argc && state->argv[state->next][0] != '-' && p->n < PLAN_VALUES)
        p->values[p->n++] = state->argv[state->next++];
    return p->n ? 0 : bad(state, "-P", name, "a name and values behind it");
}

static const char *const kernels[] = {"compute", "uneven", "memory", "latency", "queue", "lock"};

static bool is_kernel(const char *name)
{
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        if (strcmp(kernels[i], name) == 0)
            return true;
    return false;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct options *o = state->input;
    char *end;
    switch (key) {
    case RANKS:
        return ranks(state, text, o);
    case 'P':
        return parameter(state, text, o);
    case WEAK:
        o->weak = true;
        return 0;
    case REPEAT:
        return whole(text, 1, 10000, &o->repetitions) == 0 ? 0 : bad(state, "--repeat", text, "1 to 10000");
    case WARM_UP:
        return whole(text, 0, 10000, &o->warm_ups) == 0 ? 0 : bad(state, "--warm-up", text, "0 to 10000");
    case SEED:
        o->seed = strtoull(text, &end, 10);
        return *text && !*end ? 0 : bad(state, "--seed", text, "a number");
    case TIMEOUT:
        o->timeout_s = strtod(text, &end);
        return *text && !*end && o->timeout_s > 0 ? 0 : bad(state, "--timeout", text, "seconds");
    case LAUNCHER:
        o->launcher = text;
        return strstr(text, "{np}") ? 0 : bad(state, "--launcher", text, "a text with {np} in it");
    case TIME_FROM:
        o->time_from = text;
        return 0;
    case KERNEL:
    case KERNEL_RUN:
        *(key == KERNEL ? &o->kernel : &o->kernel_run) = text;
        return is_kernel(text) ? 0 : bad(state, "--kernel", text, "compute, uneven, memory, latency, queue, lock");
    case 'o':
        o->out = text;
        return 0;
    case QUIET:
        o->quiet = true;
        return 0;
    case HELP:
        argp_state_help(state, stdout, ARGP_HELP_STD_HELP & ~ARGP_HELP_EXIT_OK);
        o->done = true;
        return 0;
    case VERSION:
        puts("scaling " MUSTER_VERSION);
        o->done = true;
        return 0;
    case ARGP_KEY_ARGS:
        o->program = state->argv + state->next;
        o->n_program = state->argc - state->next;
        return 0;
    case ARGP_KEY_END:
        if (!o->done && !o->kernel_run && (o->n_program > 0) == (o->kernel != NULL)) {
            argp_failure(state, 2, 0, "name a program behind --, or a --kernel");
            return EINVAL;
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int options_parse(int argc, char **argv, struct options *o)
{
    static const struct argp argp = {.options = known, .parser = parse, .args_doc = arguments, .doc = doc};
    *o = (struct options){.repetitions = 6, .warm_ups = 1, .seed = 1, .out = "scaling-out"};
    if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER | ARGP_NO_EXIT | ARGP_NO_HELP, NULL, o) != 0)
        return 2;
    return o->done ? 0 : -1;
}
