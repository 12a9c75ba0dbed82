/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rlock: a lock that its holder may acquire again; it is free when it was released as often.
 */
#ifndef MUSTER_RLOCK_H
#define MUSTER_RLOCK_H

#include <muster/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct muster_rlock {
    muster_handle handle;
} muster_rlock;

/**
 * Makes one that is free. Errors: INVAL (no such rank), NOMEM, PEER, STATE (before muster_init).
 * Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any.
 */
MUSTER_API muster_err muster_rlock_create(muster_rlock *lock, const muster_object_options *options);
#define muster_rlock_create(...) MUSTER_SITED(muster_rlock_create, __VA_ARGS__)

/**
 * Ends it; who waits on it gets err CLOSED, later uses get err STALE. Errors: STALE, PEER.
 * Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any.
 */
MUSTER_API muster_err muster_rlock_destroy(muster_rlock lock);
#define muster_rlock_destroy(...) MUSTER_SITED(muster_rlock_destroy, __VA_ARGS__)

/**
 * Acquires it for the calling thread, which may hold it already, waiting up to timeout_ms. OWNER_DEAD as of a lock: the
 * caller holds it, and the previous holder died. Errors: BUSY (MUSTER_NOWAIT and held by another), TIMEOUT, CLOSED
 * (destroyed meanwhile), STALE, PEER, INTERRUPTED.
 * Threads: any. In tasks: yes. Blocks: up to timeout_ms. Hosts: any.
 */
MUSTER_API muster_err muster_rlock_acquire(muster_rlock lock, int64_t timeout_ms);
#define muster_rlock_acquire(...) MUSTER_SITED(muster_rlock_acquire, __VA_ARGS__)

/**
 * Undoes one acquire. Errors: STATE (the caller does not hold it), STALE.
 * Threads: the one that acquired it. In tasks: yes. Blocks: no. Hosts: any.
 */
MUSTER_API muster_err muster_rlock_release(muster_rlock lock);

#ifdef __cplusplus
}
#endif
#endif
