/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the running item's own result goes, which may have any size.
 *
 * Whoever runs an item says in its frame (muster__running) where muster_task_return is to put what it is given. A
 * task's goes to a block of its own, which the record's extra names; the record's result_bytes becomes its size when
 * the task has ended well. A death before that drops the block, and the next try begins with nothing.
 */
#ifndef MUSTER_SCHED_ANY_H
#define MUSTER_SCHED_ANY_H

#include "sched/sched.h"

struct muster__any {
    muster_err (*take)(struct muster__any *any, const void *bytes, size_t size);
    size_t item_bytes;
};

struct any_task {
    struct muster__any any;
    const struct seat *seat;
    struct record *record;
};
struct any_task any_of_task(const struct seat *seat, struct record *record);
/** The task has ended well: what it returned, if it did, is its result from now on. */
void any_commit(struct record *record);
/** Of a record whose task has died, or that is freed: nothing was returned. Twice is fine. */
void any_forget(struct record *record, uint32_t self);
/** What was returned; NULL: nothing was. */
void *any_returned(const struct record *record);
/** The same of a task that ran on another host, in its name. False: no memory. */
bool any_bring(struct pool *pool, struct record *record, const void *bytes, size_t size);

/** The running item's own results go there until it is put back; NULL: nowhere. Returns what was. */
struct muster__any *any_enter(struct muster__any *any);

#endif
