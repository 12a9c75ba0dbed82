/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command line of farm.
 */
#ifndef FARM_OPTIONS_H
#define FARM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "farm/halt.h"
#include "farm/lines.h"

#define FARM_EXIT_BAD 255 /* bad options, and what keeps a farm from beginning; up to 101 are failed commands */

struct options {
    struct lines_options lines;
    const char *commands; /**< the file of commands; NULL: standard input, or what lines.words say */
    int jobs;             /**< commands at a time on each host; 0: one a rank */
    bool keep_order, by_lines, tag, dry_run, quiet, live;
    bool done; /**< --help or --version */
    const char *joblog, *results, *journal, *status;
    bool resume, resume_failed, anew;
    int tries;              /**< at least 1 */
    double timeout_s;       /**< 0: none */
    double timeout_percent; /**< of the median of those that ended well; 0: none */
    int64_t memory_bytes, memory_free;
    double load;
    int cores, gpus; /**< of a command */
    struct halt halt;
    bool finish; /**< after a signal running commands go on to their ends */
    const char *shell, *directory;
    const char **environment; /**< "NAME" or "NAME=value" */
    int n_environment;
};

/** Parses; returns -1, or the exit code where nothing is to be done (--help, --version) or something is wrong, which
 * has been said. */
int options_parse(int argc, char **argv, struct options *options);

#endif
