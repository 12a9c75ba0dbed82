/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tasks and groups by handles of other hosts.
 *
 * A task's record stays with the host where it was submitted, its home, whoever runs it. Others ask home: whether it
 * has ended, by an operation that can be watched (POOL_ENDED), and for its result (POOL_GET), which is claimed until it
 * has arrived: it is got once, and is there again if who asked for it has died, or given up. What takes no time is an
 * errand, done at home by the function that was called here.
 *
 * Who waits for another host's task goes on working for the pools that it works for: two workers that wait for tasks of
 * each other's host would else stand still.
 */
#ifndef MUSTER_POOL_ABROAD_H
#define MUSTER_POOL_ABROAD_H

#include "pool/task.h"

static inline bool abroad_is(muster_handle handle)
{
    return MUSTER__UNLIKELY(muster__segment != NULL && handle.kind_home >> 24 == MUSTER__TASK &&
                            (handle.kind_home & 0xffffff) != muster__segment->host);
}

/* ---- by who has the handle (abroad.c): it is one of another host ---- */

/** What muster_task_get does, with arguments that were checked. Errors: also PEER. */
muster_err abroad_get(muster_task task, void *result, size_t capacity, int64_t timeout_ms);
muster_err abroad_group_wait(muster_group group, int64_t timeout_ms);

/* what is asked of a task's home, or a group's, and answered at once */
enum abroad_question {
    ABROAD_READY,
    ABROAD_SUCCESSFUL,
    ABROAD_SIZE,
    ABROAD_CANCEL,
    ABROAD_KILL,
    ABROAD_FORGET,
    ABROAD_GROUP_CANCEL,
    ABROAD_GROUP_DESTROY,
};
/** *answer, where there is one (may be NULL): a bool, or a size. Errors: as of the function that asks; PEER. */
muster_err abroad_ask(muster_handle handle, enum abroad_question question, uint64_t *answer, const char *operation);

/* whether a task, or a group, of another host has ended: asked for once, and the calling thread's bell rings then */
struct abroad_watch {
    muster__ref asked; /* 0: not under way */
    bool of_group;
    bool gets;  /* not before it could be got */
    bool again; /* home was asked for its pool after a first answer */
};
enum abroad_end { ABROAD_OPEN, ABROAD_DONE, ABROAD_FAILED, ABROAD_STALE, ABROAD_LOST };
/** Begins to watch if it does not yet. LOST: something else is wrong, *err; the detail line says what. */
enum abroad_end abroad_look(muster_handle handle, struct abroad_watch *watch, const char *operation, muster_err *err);
/** The same without waiting but for an answer. */
enum abroad_end abroad_look_once(muster_handle handle, const char *operation, muster_err *err);
void abroad_look_no_more(struct abroad_watch *watch);
/** A handle for reports of who waits: that of its pool, as far as it is known. */
muster_handle abroad_pool(muster_handle handle);

/* ---- at home (asked.c) ---- */

/* errands about tasks; a pool's other ones have numbers below */
enum { POOL_ASK = 32, POOL_KILL_TASK, POOL_OUTCOME, POOL_NAME };
muster_err asked_errand(struct muster__errand *work);
/** Whether the agent may do it. */
bool asked_is_quick(uint32_t operation);

/* what travels for them */
struct question {
    muster_handle handle;
    uint32_t what;
};
struct outcome {
    muster_err err;
    muster_task_error error; /* err OK: none */
    char text[200];
};

#endif
