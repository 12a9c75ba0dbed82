/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tasks as their submitters see them.
 */
#ifndef MUSTER_POOL_TASK_H
#define MUSTER_POOL_TASK_H

#include "sched/sched.h"

/** The pool, on this host, that a task is of. Errors: STALE, UNSUPPORTED, STATE. */
muster_err task_pool(muster_task task, const char *operation, muster_handle *pool);
muster_err task_stale(const char *operation);
/** What a task that has not ended is worth in a pool that is over. Errors: BROKEN, CANCELED. */
muster_err task_pool_over(struct pool *pool, const char *operation);

/* a context that tasks share: a block of the pool's, which outlives them */
struct context {
    muster__ref block;
    uint64_t bytes;
};
/** OK while the pool takes tasks. Errors: CLOSED, BROKEN. */
muster_err task_refusal(struct pool *pool, const char *operation);
/** What muster_pool_submit does, from a seat. shared, unless NULL, comes instead of the options' context. */
muster_err task_submit(const struct seat *seat, muster_task *task, muster__function function, const void *arg,
                       size_t arg_bytes, size_t result_bytes, const muster_submit_options *options,
                       const struct context *shared);

/** The group of a task that is submitted: the one named, or that of the running task. Errors: STALE. */
muster_err group_name(const struct seat *seat, const muster_group *group, uint32_t *named);

/* ---- callbacks (callback.c) ---- */

/** Has callbacks called when the task ends. Errors: NOMEM. */
muster_err callback_add(muster_task task, const muster_callbacks *callbacks_of);
/** Whether any are open, of tasks that this process has submitted to this part of the pool; false in a callback. */
bool callback_any(const struct pool *pool);
/** Waits until they have been called; in a callback, not at all. */
void callback_flush(const struct pool *pool);

/* ---- sets of tasks (set.c) ---- */

/** Waits until one of n > 0 tasks, all of one pool, has ended: *index. Errors: TIMEOUT, STALE, INTERRUPTED. */
muster_err set_any(const muster_task *tasks, int64_t n, int64_t *index, const char *operation, int64_t timeout_ms);

#endif
