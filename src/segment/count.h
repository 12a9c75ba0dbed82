/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counters: what each rank did with each object.
 *
 * Only a job that was asked for them (MUSTER_COUNTERS) has the table in its segments; without it counting is one load
 * and a branch.
 *
 * A thread is in one object's operation at a time, the one that it counted last: the time that it sleeps is that
 * object's. Where the table is full, further objects share one line a kind.
 */
#ifndef MUSTER_SEGMENT_COUNT_H
#define MUSTER_SEGMENT_COUNT_H

#include "segment/object.h"

struct muster__counter {
    _Atomic uint64_t object; /* kind and home, slot; 0: the line is free */
    _Atomic uint64_t whose;  /* generation, rank + 1 */
    _Atomic uint64_t operations;
    _Atomic uint64_t tasks;     /* that were run */
    _Atomic uint64_t steals;    /* tasks or pieces that another worker, or host, had queued */
    _Atomic uint64_t messages;  /* sent to other hosts */
    _Atomic uint64_t bytes;     /* of these, with their heads */
    _Atomic uint64_t waited_ns; /* asleep */
    char name[32];
};

/* kind of the line of a rank's mail: its messages are letters, which hold those of all objects */
enum { MUSTER__COUNT_MAIL = MUSTER__KINDS };

/** Makes the table. Errors: NOMEM. */
muster_err muster__count_start(uint32_t self);
/** The lines in use, one after the other: *at begins at 0. NULL: no more. */
const struct muster__counter *muster__count_next(uint32_t *at);
/** Whose counts this process's are. */
extern uint32_t muster__count_rank;

void muster__count_in(muster_handle object, uint64_t operations, uint64_t tasks, uint64_t steals);
void muster__count_sent(muster_handle object, uint64_t messages, uint64_t bytes);
/** Where the calling thread's time asleep is added; NULL: nowhere. */
extern MUSTER__THREAD_LOCAL _Atomic uint64_t *muster__waited_ns;

static inline bool muster__counts(void)
{
    return MUSTER__UNLIKELY(muster__segment && muster__segment->roots[MUSTER__ROOT_COUNTERS] != 0);
}
/** Whether each operation is to go where it is counted, or its order noted. */
static inline bool muster__observed(void)
{
    return MUSTER__UNLIKELY(muster__segment && muster__segment->observed != 0);
}
/** The calling thread begins an operation of the object. */
static inline void muster__count(muster_handle object)
{
    if (muster__counts())
        muster__count_in(object, 1, 0, 0);
}
static inline void muster__count_tasks(muster_handle object, int64_t tasks)
{
    if (muster__counts())
        muster__count_in(object, 0, (uint64_t)tasks, 0);
}
static inline void muster__count_steal(muster_handle object)
{
    if (muster__counts())
        muster__count_in(object, 0, 0, 1);
}
static inline void muster__count_messages(muster_handle object, uint64_t messages, uint64_t bytes)
{
    if (muster__counts())
        muster__count_sent(object, messages, bytes);
}

#endif
