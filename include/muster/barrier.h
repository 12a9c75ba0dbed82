/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Barrier: a number of parties that go on together, again and again.
 */
#ifndef MUSTER_BARRIER_H
#define MUSTER_BARRIER_H

#include <muster/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct muster_barrier {
    muster_handle handle;
} muster_barrier;

/**
 * Makes a barrier for so many parties, which are any threads of the job. Errors: INVAL (parties below 1 or above a
 * million, no such rank), NOMEM, PEER, STATE (before muster_init). Threads: any. In tasks: yes. Blocks: for an answer.
 * Hosts: any.
 */
MUSTER_API muster_err muster_barrier_create(muster_barrier *barrier, int parties, const muster_object_options *options);
#define muster_barrier_create(...) MUSTER_SITED(muster_barrier_create, __VA_ARGS__)

/* Each of these: Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any. */
/** Ends it; who waits gets err CLOSED, later uses get err STALE. Errors: STALE, PEER. */
MUSTER_API muster_err muster_barrier_destroy(muster_barrier barrier);
#define muster_barrier_destroy(...) MUSTER_SITED(muster_barrier_destroy, __VA_ARGS__)
/** Breaks it: who waits, and who comes before it is reset, gets err BROKEN. Errors: STALE, PEER. */
MUSTER_API muster_err muster_barrier_abort(muster_barrier barrier);
#define muster_barrier_abort(...) MUSTER_SITED(muster_barrier_abort, __VA_ARGS__)
/** Makes it as new: who waits gets err BROKEN, who comes then begins a round. Errors: STALE, PEER. */
MUSTER_API muster_err muster_barrier_reset(muster_barrier barrier);
#define muster_barrier_reset(...) MUSTER_SITED(muster_barrier_reset, __VA_ARGS__)
/** How many parties wait at that moment, and whether it is broken; either may be NULL. Errors: STALE, PEER. */
MUSTER_API muster_err muster_barrier_state(muster_barrier barrier, int *waiting, bool *is_broken);
#define muster_barrier_state(...) MUSTER_SITED(muster_barrier_state, __VA_ARGS__)

/**
 * Waits until all parties have come. *leader (may be NULL) is set in exactly one of them. A party that leaves before
 * the others have come, since its time is over (MUSTER_NOWAIT: at once, unless it was the last) or it died, breaks the
 * barrier for all: they have err BROKEN until it is reset. Who dies within any call on it counts as such a party; one
 * whose host was stopped may be found out in the next round only. Errors: BROKEN, CLOSED (destroyed meanwhile), STALE,
 * PEER, INTERRUPTED. Threads: any. In tasks: yes. Blocks: up to timeout_ms. Hosts: any.
 */
MUSTER_API muster_err muster_barrier_wait(muster_barrier barrier, bool *leader, int64_t timeout_ms);
#define muster_barrier_wait(...) MUSTER_SITED(muster_barrier_wait, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
