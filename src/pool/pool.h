/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Door of the pool: tasks and maps, for the branches that do part of them on other hosts; and waiting for tasks and for
 * something else at once.
 */
#ifndef MUSTER_POOL_POOL_H
#define MUSTER_POOL_POOL_H

#include "pool/abroad.h"
#include "pool/map.h"
#include "pool/pending.h"
#include "pool/task.h"

/* what else is waited for */
struct muster__beside {
    bool (*over)(void *arg);     /* whether it has come */
    void (*announce)(void *arg); /* the calling thread is about to sleep: its bell is to be rung for it */
    void *arg;
    bool first; /* looked at before the tasks */
};

/**
 * Waits for one of n tasks to have ended, or for what is beside; helps meanwhile, as all waits for tasks do. *ended is
 * its index, -1: what is beside has come. Errors: TIMEOUT, INTERRUPTED, STALE (a task is), NOMEM.
 */
muster_err muster__tasks_wait(const muster_task *tasks, int64_t n, const struct muster__beside *beside,
                              int64_t timeout_ms, int64_t *ended, const char *operation);

#endif
