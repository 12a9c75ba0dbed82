/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pipe: two ends, which send to each other.
 */
#ifndef MUSTER_PIPE_H
#define MUSTER_PIPE_H

#include <muster/queue.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One end. A plain value, as a handle is; give the other one to whom you want to talk to. */
typedef struct muster_pipe {
    muster_queue in, out; /**< what the other end sends, and what it receives */
} muster_pipe;

/**
 * Makes both ends. maxsize: most items under way in each direction; 0: no bound but memory. Errors: INVAL (negative
 * maxsize, no such rank), NOMEM, PEER, STATE (before muster_init).
 * Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any.
 */
MUSTER_API muster_err muster_pipe_create(muster_pipe *one, muster_pipe *other, int64_t maxsize,
                                         const muster_object_options *options);
#define muster_pipe_create(...) MUSTER_SITED(muster_pipe_create, __VA_ARGS__)

/* Each of these: Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any. */
/** Closes this end: the other one gets what was sent, then err CLOSED, and err CLOSED for what it sends from now on.
 * Errors: STALE, PEER. */
MUSTER_API muster_err muster_pipe_close(muster_pipe end);
#define muster_pipe_close(...) MUSTER_SITED(muster_pipe_close, __VA_ARGS__)
/** Ends both ends, by one of them, and drops what is under way; later uses get err STALE. Errors: STALE, PEER. */
MUSTER_API muster_err muster_pipe_destroy(muster_pipe end);
#define muster_pipe_destroy(...) MUSTER_SITED(muster_pipe_destroy, __VA_ARGS__)

/* Each of these: Threads: any. In tasks: yes. Blocks: up to timeout_ms. Hosts: any. */
/** Sends a copy of size_bytes bytes (0 allowed), as muster_queue_put does. Errors: FULL (still, at the deadline),
 * CLOSED (either end is), NOMEM, STALE, PEER, INTERRUPTED. */
MUSTER_API muster_err muster_pipe_send(muster_pipe end, const void *item, size_t size_bytes, int64_t timeout_ms);
#define muster_pipe_send(...) MUSTER_SITED(muster_pipe_send, __VA_ARGS__)
/** Receives the next item, as muster_queue_get does. Errors: EMPTY (still, at the deadline), CLOSED (the other end is,
 * and all was received), TOOBIG (*size_bytes is what is needed; it stays next), STALE, PEER, INTERRUPTED. */
MUSTER_API muster_err muster_pipe_receive(muster_pipe end, void *item, size_t capacity_bytes, size_t *size_bytes,
                                          int64_t timeout_ms);
#define muster_pipe_receive(...) MUSTER_SITED(muster_pipe_receive, __VA_ARGS__)
/** Whether a receive would not wait, since there is something or the other end is closed; waits for that up to
 * timeout_ms. Takes nothing. Errors: STALE, PEER, INTERRUPTED. */
MUSTER_API muster_err muster_pipe_poll(muster_pipe end, bool *ready, int64_t timeout_ms);
#define muster_pipe_poll(...) MUSTER_SITED(muster_pipe_poll, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
