/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lines: who waits for an event stands in its line, callers of this host and waiters of others alike, and a signal
 * calls the first ones out of it.
 *
 * A waiter is 128 bytes in a table of the segment: where it stands, whom a call rings, and what it waits for, which is
 * what reports show. The waiters are the truth; a line's links are made again from them when a holder of its latch has
 * died. Events lie in tables that stay for ever (objects', members'), so that a late signal or a rebuilt line meets an
 * event always.
 *
 *   hang     at the end, or where it stood before, if it was called in vain
 *   signal   calls n of the first: each leaves the line and is rung
 *   unhang   leaves the line; who was called and leaves without having had use of it passes the call on
 *
 * Watchers only look: a signal calls them, too, and goes on to the next.
 */
#ifndef MUSTER_SEGMENT_LINE_H
#define MUSTER_SEGMENT_LINE_H

#include <muster/runtime.h>

#include "segment/latch.h"

struct muster__event {
    struct muster__latch latch;
    _Atomic uint32_t head; /* waiter; 0: nobody waits */
    _Atomic uint32_t tail; /* likewise; without the latch, a hint */
    uint64_t tickets;      /* given out */
};

enum muster__waiter_state { MUSTER__WAITER_FREE, MUSTER__WAITER_IDLE, MUSTER__WAITER_HUNG, MUSTER__WAITER_CALLED };
enum { MUSTER__WATCHES = 1 };
/* what is waited for that is no operation of an object's class, in place of one's number */
enum {
    MUSTER__FOR_WORK = 0xff00, /* idle: it does what comes */
    MUSTER__FOR_TASKS,         /* of the pool */
    MUSTER__FOR_WORKERS,       /* of the pool, to leave it */
    MUSTER__FOR_RANKS,         /* at the end */
    MUSTER__FOR_ANSWER,        /* of the object's home */
};

struct muster__waiter {
    _Alignas(MUSTER__LINE) _Atomic uint64_t event; /* offset of that in whose line it stands; 0: none */
    uint64_t from;                                 /* of that in whose line it stood last */
    uint64_t ticket;
    uint32_t next, prev;
    _Atomic uint32_t state;
    _Atomic uint32_t owner; /* caller that is rung */
    uint32_t flags;
    /* what it waits for: written by its owner while it waits; others read it as a report, nothing more */
    _Alignas(MUSTER__LINE) muster_handle object;
    _Atomic int64_t since_ns; /* 0: it does not wait */
    uint32_t operation;       /* number of it among those of the object's kind */
    uint32_t on;              /* owner of what it waits for; 0: nobody in particular */
    _Atomic int32_t host;     /* of who waits */
    uint32_t caller;          /* who waits, there; 0: the host as a whole */
};
_Static_assert(sizeof(struct muster__waiter) == 2 * MUSTER__LINE, "remote waiters are to be small");

/** The calling thread's own waiter. */
uint32_t muster__waiter_own(void);
/** Another one, which rings the calling thread and is given up with muster__waiter_free, or with the caller's death.
 * 0: there is none left. */
uint32_t muster__waiter_make(void);
void muster__waiter_free(uint32_t waiter);
static inline struct muster__waiter *muster__waiter(uint32_t number)
{
    return (struct muster__waiter *)muster__at(muster__segment->waiters_offset) + number;
}
/** Numbers below CALLERS_MAX are the callers' own; those made follow, up to this one. */
static inline uint32_t muster__waiters_end(void)
{
    return atomic_load(&muster__segment->waiters_high);
}
static inline bool muster__waiter_called(const struct muster__waiter *waiter)
{
    return atomic_load_explicit(&waiter->state, memory_order_acquire) == MUSTER__WAITER_CALLED;
}

/** Hangs a waiter of the calling thread on the event; again: where it stood before. Look at the condition again after
 * it. A full barrier. False: busy. */
bool muster__event_hang(struct muster__event *event, uint32_t waiter, uint32_t flags, bool again);
/** Takes it out of its line; true also when it stands in none, false: busy. */
bool muster__event_unhang(uint32_t waiter);
/** Calls up to n (n < 0: all who stand there now). Returns how many, without watchers; a thread that hurries may call
 * them later. */
int muster__event_call(struct muster__event *event, int n);
/** The same of one, for who has to know: LATER: the line is busy, it is still to be called. */
enum muster__called { MUSTER__CALLED_NOBODY, MUSTER__CALLED_ONE, MUSTER__CALLED_LATER };
enum muster__called muster__event_call_one(struct muster__event *event);
/** After the condition changed and a full barrier (any atomic read-modify-write). */
static inline void muster__event_signal(struct muster__event *event, int n)
{
    if (MUSTER__UNLIKELY(atomic_load(&event->head)))
        muster__event_call(event, n);
}
/** The calling thread sleeps once, at most until the deadline, unless `over` says before that it need not. Returns what
 * muster__sleep does. For waits of the library's own; those of objects go through muster__do. */
muster_err muster__event_await(struct muster__event *event, bool (*over)(void *arg), void *arg, int64_t deadline_ns);

/** Which waiters made by a thread that hurries (the agent) were called since it last asked: calls told(waiter) for
 * each, in the order of their lines. */
void muster__called_take(void (*told)(uint32_t waiter));

#endif
