/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Once: something that is done once in a whole job, by whoever comes first.
 */
#ifndef MUSTER_ONCE_H
#define MUSTER_ONCE_H

#include <muster/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct muster_once {
    muster_handle handle;
} muster_once;

/**
 * Makes one that is not done yet. Errors: INVAL (no such rank), NOMEM, PEER, STATE (before muster_init).
 * Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any.
 */
MUSTER_API muster_err muster_once_create(muster_once *once, const muster_object_options *options);
#define muster_once_create(...) MUSTER_SITED(muster_once_create, __VA_ARGS__)

/* Each of these: Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any. */
/** Ends it; who waits for it gets err CLOSED, later uses get err STALE. Errors: STALE, PEER. */
MUSTER_API muster_err muster_once_destroy(muster_once once);
#define muster_once_destroy(...) MUSTER_SITED(muster_once_destroy, __VA_ARGS__)
/** Whether it was done. Errors: STALE, PEER. */
MUSTER_API muster_err muster_once_is_done(muster_once once, bool *is_done);
#define muster_once_is_done(...) MUSTER_SITED(muster_once_is_done, __VA_ARGS__)

/**
 * Has run(arg) called, in the calling thread, unless it was done already; waits up to timeout_ms while another one is
 * at it. When it returns MUSTER_OK it was done, and all that run had written before can be seen. A run that fails
 * (returns anything else) was not it, nor was one whose process died: the next one who comes, or waits, runs. Errors:
 * what run returned; BUSY (MUSTER_NOWAIT and another one is at it), TIMEOUT, DEADLOCK (asked from within its own run),
 * CLOSED (destroyed meanwhile), STALE, PEER, INTERRUPTED.
 * Threads: any. In tasks: yes. Blocks: up to timeout_ms, and while it runs. Hosts: any.
 */
MUSTER_API muster_err muster_once_run(muster_once once, muster_err (*run)(void *arg), void *arg, int64_t timeout_ms);
#define muster_once_run(...) MUSTER_SITED(muster_once_run, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
