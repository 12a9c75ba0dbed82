/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rwlock: many who read, or one who writes.
 */
#ifndef MUSTER_RWLOCK_H
#define MUSTER_RWLOCK_H

#include <muster/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct muster_rwlock {
    muster_handle handle;
} muster_rwlock;

/**
 * Makes one that is free. Errors: INVAL (no such rank), NOMEM, PEER, STATE (before muster_init).
 * Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any.
 */
MUSTER_API muster_err muster_rwlock_create(muster_rwlock *lock, const muster_object_options *options);
#define muster_rwlock_create(...) MUSTER_SITED(muster_rwlock_create, __VA_ARGS__)

/**
 * Ends it; who waits on it gets err CLOSED, later uses get err STALE. Errors: STALE, PEER.
 * Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any.
 */
MUSTER_API muster_err muster_rwlock_destroy(muster_rwlock lock);
#define muster_rwlock_destroy(...) MUSTER_SITED(muster_rwlock_destroy, __VA_ARGS__)

/* Each of these: Threads: any. In tasks: yes. Blocks: up to timeout_ms. Hosts: any. */
/** Acquires it for reading, together with others who read, waiting up to timeout_ms while somebody writes or waits to.
 * Errors: BUSY (MUSTER_NOWAIT, and not at once), TIMEOUT, DEADLOCK (the caller has it already, either way), OWNER_DEAD
 * (acquired; who wrote last died writing: told to all until somebody writes again), NOMEM, CLOSED (destroyed
 * meanwhile), STALE, PEER, INTERRUPTED. */
MUSTER_API muster_err muster_rwlock_acquire_read(muster_rwlock lock, int64_t timeout_ms);
#define muster_rwlock_acquire_read(...) MUSTER_SITED(muster_rwlock_acquire_read, __VA_ARGS__)
/** Acquires it for writing, alone. Who has come to write keeps new readers out, so it waits for those within only. The
 * same errors. */
MUSTER_API muster_err muster_rwlock_acquire_write(muster_rwlock lock, int64_t timeout_ms);
#define muster_rwlock_acquire_write(...) MUSTER_SITED(muster_rwlock_acquire_write, __VA_ARGS__)

/* Each of these: Threads: the one that acquired it. In tasks: yes. Blocks: for an answer. Hosts: any. */
/** Gives it back, however it was acquired. Errors: STATE (the caller does not have it), STALE, PEER. */
MUSTER_API muster_err muster_rwlock_release(muster_rwlock lock);
#define muster_rwlock_release(...) MUSTER_SITED(muster_rwlock_release, __VA_ARGS__)
/** Goes on as a reader, without anybody writing in between. Errors: STATE (the caller does not write), NOMEM, STALE,
 * PEER. */
MUSTER_API muster_err muster_rwlock_downgrade(muster_rwlock lock);
#define muster_rwlock_downgrade(...) MUSTER_SITED(muster_rwlock_downgrade, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
