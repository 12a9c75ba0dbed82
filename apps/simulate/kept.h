/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Results of finished tasks in a journal, so that the same command line goes on where it was ended.
 */
#ifndef SIMULATE_KEPT_H
#define SIMULATE_KEPT_H

#include <muster/muster.h>

#include "simulate/chain.h"
#include "simulate/experiment.h"
#include "simulate/run_json.h"

struct kept_result {
    struct chain_result chain;
    char host[RUN_HOST_NAME];
};

/** Opens it, or makes it. What each task does but for its size, temperature and replica must be as there: so points and
 * replicas may be added. NULL: said on stderr. */
muster_journal *kept_open(const char *path, const struct experiment *experiment, bool anew);

/** Whether an earlier run has finished the task. */
bool kept_find(muster_journal *journal, const struct chain_task *task, struct kept_result *result);

/** A failure is said on stderr, once; what could not be written is tried again. */
void kept_put(muster_journal *journal, const struct chain_task *task, const struct kept_result *result);

/** Returns 0, or -1, said on stderr, when results are not in the file. NULL is fine. */
int kept_close(muster_journal *journal);

#endif
