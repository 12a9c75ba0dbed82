/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * farm: a list of commands over ranks. See options.c for its use.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <muster/muster.h>

#include "farm/dry.h"
#include "farm/options.h"
#include "farm/run.h"
#include "farm/show.h"
#include "farm/status.h"

/* The file of commands, or standard input. */
static FILE *input_of(const struct options *o)
{
    FILE *file = o->commands && strcmp(o->commands, "-") ? fopen(o->commands, "re") : stdin;
    if (!file)
        fprintf(stderr, "farm: %s: %s\n", o->commands, strerror(errno));
    return file;
}

static struct lines *open_lines(const struct options *o)
{
    char error[LINES_ERROR_MAX];
    struct lines *lines;
    FILE *input = input_of(o);
    if (!input)
        return NULL;
    if (lines_open(&lines, &o->lines, input, error) == 0)
        return lines;
    fprintf(stderr, "farm: %s\n", error);
    return NULL;
}

/* On rank 0, or where there is no job. */
static int run(const struct options *given)
{
    struct options options = *given;
    options.lines.slots = options.jobs ? options.jobs * muster_hosts() : muster_ranks();
    struct lines *lines = open_lines(&options);
    char *own_status = options.status ? NULL : status_path();
    if (own_status)
        options.status = own_status;
    int code = lines ? run_farm(&options, lines) : FARM_EXIT_BAD;
    free(own_status);
    return code;
}

static int dry(const struct options *options)
{
    struct lines *lines = open_lines(options);
    return lines ? dry_run(lines) : FARM_EXIT_BAD;
}

int main(int argc, char **argv)
{
    struct options options;
    int code = -1;
    if (argc > 1 && strcmp(argv[1], "status") == 0) {
        bool live = argc > 2 && strcmp(argv[2], "--live") == 0;
        if (argc <= 3 + live)
            return status_show(argv[2 + live], live);
    }
    if (argc > 1 && strcmp(argv[1], "show") == 0)
        return show_journal(argc - 2, argv + 2);
    if (!muster_launched()) { /* else rank 0 alone says what is wrong */
        code = options_parse(argc, argv, &options);
        if (code < 0 && options.dry_run)
            return dry(&options);
        if (code >= 0)
            return code;
    }
    signal(SIGPIPE, SIG_IGN);
    /* commands may want several cores: where they run the kernel decides */
    muster_err err = muster_init(&argc, &argv, &(muster_options){.placement = MUSTER_PLACE_NONE});
    if (err != MUSTER_OK)
        return err == MUSTER_ERR_CLOSED ? 0 : FARM_EXIT_BAD;
    code = options_parse(argc, argv, &options);
    if (code < 0)
        code = options.dry_run ? dry(&options) : run(&options);
    int by_signal = muster_finalize();
    return by_signal ? by_signal : code;
}
