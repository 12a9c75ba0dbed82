/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Semaphore: a number of permits that are taken and given back, by anybody.
 */
#ifndef MUSTER_SEMAPHORE_H
#define MUSTER_SEMAPHORE_H

#include <muster/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Most permits that a semaphore holds. */
#define MUSTER_SEMAPHORE_MAX INT64_C(0x7fffffff)

typedef struct muster_semaphore {
    muster_handle handle;
} muster_semaphore;

/**
 * Makes a semaphore that holds so many permits. bound: most that it may hold, so that one given back too often is
 * noticed; 0: MUSTER_SEMAPHORE_MAX. Errors: INVAL (initial is negative or above the bound, no such rank), NOMEM, PEER,
 * STATE (before muster_init).
 * Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any.
 */
MUSTER_API muster_err muster_semaphore_create(muster_semaphore *semaphore, int64_t initial, int64_t bound,
                                              const muster_object_options *options);
#define muster_semaphore_create(...) MUSTER_SITED(muster_semaphore_create, __VA_ARGS__)

/* Each of these: Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any. */
/** Ends it; who waits for it gets err CLOSED, later uses get err STALE. Errors: STALE, PEER. */
MUSTER_API muster_err muster_semaphore_destroy(muster_semaphore semaphore);
#define muster_semaphore_destroy(...) MUSTER_SITED(muster_semaphore_destroy, __VA_ARGS__)
/** Gives n > 0 permits back, or new ones. Errors: STATE (more than its bound: nothing was given), STALE, PEER. */
MUSTER_API muster_err muster_semaphore_release(muster_semaphore semaphore, int64_t n);
#define muster_semaphore_release(...) MUSTER_SITED(muster_semaphore_release, __VA_ARGS__)
/** How many permits it holds at that moment. Errors: STALE, PEER. */
MUSTER_API muster_err muster_semaphore_value(muster_semaphore semaphore, int64_t *value);
#define muster_semaphore_value(...) MUSTER_SITED(muster_semaphore_value, __VA_ARGS__)

/**
 * Takes a permit, waiting up to timeout_ms. Who waits gets one in turn; who comes while there are some may be faster. A
 * permit is nobody's: who dies with one has lost it. Errors: BUSY (MUSTER_NOWAIT and none there), TIMEOUT, CLOSED
 * (destroyed meanwhile), STALE, PEER, INTERRUPTED.
 * Threads: any. In tasks: yes. Blocks: up to timeout_ms. Hosts: any.
 */
MUSTER_API muster_err muster_semaphore_acquire(muster_semaphore semaphore, int64_t timeout_ms);
#define muster_semaphore_acquire(...) MUSTER_SITED(muster_semaphore_acquire, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
