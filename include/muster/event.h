/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Event: something that has come about, or not yet; any number may wait for it.
 */
#ifndef MUSTER_EVENT_H
#define MUSTER_EVENT_H

#include <muster/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct muster_event {
    muster_handle handle;
} muster_event;

/**
 * Makes an event that is not set. Errors: INVAL (no such rank), NOMEM (no object slot left), PEER, STATE (before
 * muster_init).
 * Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any.
 */
MUSTER_API muster_err muster_event_create(muster_event *event, const muster_object_options *options);
#define muster_event_create(...) MUSTER_SITED(muster_event_create, __VA_ARGS__)

/* Each of these: Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any. */
/** Ends it; who waits for it gets err CLOSED, later uses get err STALE. Errors: STALE, PEER. */
MUSTER_API muster_err muster_event_destroy(muster_event event);
#define muster_event_destroy(...) MUSTER_SITED(muster_event_destroy, __VA_ARGS__)
/** Sets it: all who wait now, on any host, go on, also if it is cleared at once. Setting twice is fine. Errors: STALE,
 * PEER. */
MUSTER_API muster_err muster_event_set(muster_event event);
#define muster_event_set(...) MUSTER_SITED(muster_event_set, __VA_ARGS__)
/** Clears it: who comes from now on waits. Errors: STALE, PEER. */
MUSTER_API muster_err muster_event_clear(muster_event event);
#define muster_event_clear(...) MUSTER_SITED(muster_event_clear, __VA_ARGS__)
/** Whether it is set. Errors: STALE, PEER. */
MUSTER_API muster_err muster_event_is_set(muster_event event, bool *is_set);
#define muster_event_is_set(...) MUSTER_SITED(muster_event_is_set, __VA_ARGS__)

/**
 * Waits until it is set. Errors: TIMEOUT (also with MUSTER_NOWAIT), CLOSED (destroyed meanwhile), STALE, PEER,
 * INTERRUPTED.
 * Threads: any. In tasks: yes. Blocks: up to timeout_ms. Hosts: any.
 */
MUSTER_API muster_err muster_event_wait(muster_event event, int64_t timeout_ms);
#define muster_event_wait(...) MUSTER_SITED(muster_event_wait, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
