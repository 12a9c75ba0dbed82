/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counter: a number that goes up and down, and that one may wait for to have come up to some point: items done, ranks
 * arrived, bytes written.
 */
#ifndef MUSTER_COUNTER_H
#define MUSTER_COUNTER_H

#include <muster/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct muster_counter {
    muster_handle handle;
} muster_counter;

/**
 * Makes a counter that stands at initial. Errors: INVAL (no such rank), NOMEM, PEER, STATE (before muster_init).
 * Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any.
 */
MUSTER_API muster_err muster_counter_create(muster_counter *counter, int64_t initial,
                                            const muster_object_options *options);
#define muster_counter_create(...) MUSTER_SITED(muster_counter_create, __VA_ARGS__)

/* Each of these: Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any. */
/** Ends it; who waits for it gets err CLOSED, later uses get err STALE. Errors: STALE, PEER. */
MUSTER_API muster_err muster_counter_destroy(muster_counter counter);
#define muster_counter_destroy(...) MUSTER_SITED(muster_counter_destroy, __VA_ARGS__)
/** Adds n, which may be negative; *after (may be NULL) is where it stands then. Beyond 64 bits it wraps. Errors: STALE,
 * PEER. */
MUSTER_API muster_err muster_counter_add(muster_counter counter, int64_t n, int64_t *after);
#define muster_counter_add(...) MUSTER_SITED(muster_counter_add, __VA_ARGS__)
/** Where it stands at that moment. Errors: STALE, PEER. */
MUSTER_API muster_err muster_counter_value(muster_counter counter, int64_t *value);
#define muster_counter_value(...) MUSTER_SITED(muster_counter_value, __VA_ARGS__)

/**
 * Waits until it stands at at_least or above; *value (may be NULL) is where it was seen. Errors: TIMEOUT (also with
 * MUSTER_NOWAIT), CLOSED (destroyed meanwhile), STALE, PEER, INTERRUPTED.
 * Threads: any. In tasks: yes. Blocks: up to timeout_ms. Hosts: any.
 */
MUSTER_API muster_err muster_counter_wait(muster_counter counter, int64_t at_least, int64_t timeout_ms, int64_t *value);
#define muster_counter_wait(...) MUSTER_SITED(muster_counter_wait, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
