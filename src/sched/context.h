/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Contexts: stacks that tasks run on.
 *
 * Who waits for a task runs others meanwhile. On top of the waiting one's own stack they would bury it: it could go on
 * only when they have ended, and these may wait for what another thread has buried likewise. So a task that is run from
 * within a wait has a stack of its own, and a thread is several contexts, of which one runs at a time: its own stack,
 * and one for each task that was begun within a wait. A context that waits goes on when its wait is over, whatever was
 * begun after it; the one that began last goes first, as long as there is something to do.
 *
 * Contexts are their thread's: what a task keeps in thread-local variables is there after a wait, but other tasks may
 * have changed it, as they may on one stack.
 */
#ifndef MUSTER_SCHED_CONTEXT_H
#define MUSTER_SCHED_CONTEXT_H

#include "runtime/runtime.h"

/* what a context waits for; of a worker's loop, which goes on at any time, all NULL */
struct context_wait {
    bool (*ready)(const void *of);    /* it would go on now */
    void (*stand_by)(const void *of); /* its thread is about to sleep: its bell is to be rung for it */
    void (*stand_down)(const void *of);
    const void *of;
    int64_t until_ns; /* it goes on by then; MUSTER__NEVER */
};

/** Whether another task may be begun in a context: else too many wait in this thread, or it holds pins, which are
 * undone in the order in which they were made. */
bool context_may_run(void);
/**
 * Calls what(of) in another context, while this one waits so; returns when this one goes on, which may be before that
 * has ended. False, and nothing was done: there is no memory, or the thread holds pins.
 */
bool context_run(void (*what)(void *of), void *of, const struct context_wait *here);
/**
 * Calls what(of) on another stack, as if it were on top of this one: nothing else of this thread goes on until it has
 * returned, so pins and what context_forbid says do not matter. False, and nothing was done: there is no memory.
 */
bool context_call(void (*what)(void *of), void *of);
/** Lets another context whose wait is over go on; returns when this one does. False: there is none. */
bool context_let(const struct context_wait *here);

/** From here on, until it is taken back, this thread begins tasks on top of the stack in use alone, and changes over to
 * no other. May be nested. */
void context_forbid(bool on);
bool context_forbidden(void);

/** Others wait on this thread. */
bool context_any(void);
/** Of all others: one would go on now. */
bool context_ready(void);
void context_stand_by(void);
void context_stand_down(void);
int64_t context_until(void);

/** Of the stack in use so much is left that a task may be begun on top of what is there. */
bool context_has_room(void);

#endif
