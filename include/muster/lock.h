/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lock: mutual exclusion between any ranks and children, fair, told when its holder died.
 */
#ifndef MUSTER_LOCK_H
#define MUSTER_LOCK_H

#include <muster/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct muster_lock {
    muster_handle handle;
} muster_lock;

typedef muster_object_options muster_lock_options;

/**
 * Makes a lock, free. Errors: INVAL (no such rank), NOMEM (no object slot left), PEER, STATE (before muster_init).
 * Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any.
 */
MUSTER_API muster_err muster_lock_create(muster_lock *lock, const muster_lock_options *options);
#define muster_lock_create(...) MUSTER_SITED(muster_lock_create, __VA_ARGS__)

/**
 * Ends the lock; who waits on it gets err CLOSED, later uses get err STALE. Errors: STALE.
 * Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any.
 */
MUSTER_API muster_err muster_lock_destroy(muster_lock lock);
#define muster_lock_destroy(...) MUSTER_SITED(muster_lock_destroy, __VA_ARGS__)

/**
 * Acquires the lock for the calling thread, waiting up to timeout_ms. MUSTER_OK and err OWNER_DEAD both mean that the
 * caller holds it; the latter tells that the previous holder died inside its critical section. Errors: BUSY
 * (MUSTER_NOWAIT and held), TIMEOUT, DEADLOCK (the caller holds it already), CLOSED (destroyed meanwhile), STALE,
 * INTERRUPTED (rank 0's main program, after a signal).
 * Threads: any. In tasks: yes. Blocks: up to timeout_ms. Hosts: any.
 */
MUSTER_API muster_err muster_lock_acquire(muster_lock lock, int64_t timeout_ms);
#define muster_lock_acquire(...) MUSTER_SITED(muster_lock_acquire, __VA_ARGS__)

/**
 * Gives the lock back. Errors: STATE (the caller does not hold it), STALE. Never blocks.
 * Threads: the one that acquired it. In tasks: yes. Blocks: no. Hosts: any.
 */
MUSTER_API muster_err muster_lock_release(muster_lock lock);

#ifdef __cplusplus
}
#endif
#endif
