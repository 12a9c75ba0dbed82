/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * run.json: what was run, where, and how long it took.
 */
#ifndef SIMULATE_RUN_JSON_H
#define SIMULATE_RUN_JSON_H

#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "simulate/experiment.h"

#define RUN_HOST_NAME 64

/** One host's share. */
struct run_host {
    char name[RUN_HOST_NAME];
    int tasks;
    double busy_seconds;
};

struct run_summary {
    const char *experiment_file; /**< borrowed */
    const char *muster_version;  /**< borrowed */
    int ranks, host_count, workers;
    bool isolated;
    struct run_host *hosts; /**< host_seen of them, those that finished tasks; owned by the summary */
    int hosts_seen;
    int tasks, finished, failed;
    int known;       /**< of the finished ones: those of earlier runs */
    int interrupted; /**< signal, or 0 */
    time_t started;
    double seconds;      /**< from the first submission to the last result */
    double busy_seconds; /**< spent in finished tasks, over all workers */
    double updates;      /**< spin updates in finished tasks */
};

/** Writes it. Returns 0, or -1 without memory. */
int run_json_write(FILE *stream, const struct experiment *e, const struct run_summary *run);

#endif
