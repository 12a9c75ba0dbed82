/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The study as tasks of a muster pool.
 */
#ifndef SIMULATE_RUN_H
#define SIMULATE_RUN_H

#include <stdbool.h>

#include "simulate/run_json.h"

struct run_request {
    const struct experiment *experiment;
    int workers; /**< 0: one a rank */
    bool isolate;
    bool show_progress;  /**< if standard error is a terminal */
    const char *journal; /**< where results are kept, and found again; NULL: nowhere */
    bool anew;           /**< forget what is there */
};

/**
 * Runs every task of the experiment, the largest first; results[i] (zeroed, experiment_tasks of them) is that of task
 * i, its `finished` telling whether it is there. Those that the journal has are not run again. Says on stderr which
 * tasks failed. Returns 0 when all finished, -1 when some failed or the run was interrupted (summary->interrupted) or
 * could not go on. Frees summary->hosts: run_summary_destroy. Rank 0, outside tasks.
 */
int run_study(const struct run_request *request, struct chain_result *results, struct run_summary *summary);
void run_summary_destroy(struct run_summary *summary);

#endif
