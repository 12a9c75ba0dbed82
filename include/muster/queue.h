/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queue: items of any size, first in first out, between any ranks and children.
 */
#ifndef MUSTER_QUEUE_H
#define MUSTER_QUEUE_H

#include <muster/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct muster_queue {
    muster_handle handle;
} muster_queue;

typedef struct muster_queue_options {
    const char *name; /**< shown in messages; copied, cut at 31 bytes; NULL: none */
    int64_t maxsize;  /**< most items held at a time; 0: no bound but memory */
    muster_on on; /**< where its home is, best with who uses it most: muster_on_rank(n); all zero: this rank's host */
    uint64_t reserved[4]; /**< zero */
} muster_queue_options;

/**
 * Makes an empty queue. Errors: INVAL (negative maxsize, no such rank), NOMEM, PEER, STATE (before muster_init).
 * Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any.
 */
MUSTER_API muster_err muster_queue_create(muster_queue *queue, const muster_queue_options *options);
#define muster_queue_create(...) MUSTER_SITED(muster_queue_create, __VA_ARGS__)

/**
 * Ends the queue and drops what it holds; who waits on it gets err CLOSED, later uses err STALE. Errors: STALE.
 * Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any.
 */
MUSTER_API muster_err muster_queue_destroy(muster_queue queue);
#define muster_queue_destroy(...) MUSTER_SITED(muster_queue_destroy, __VA_ARGS__)

/**
 * Appends a copy of the item's size_bytes bytes (0 allowed; item may then be NULL). When MUSTER_OK is returned, any get
 * that starts afterwards on any rank can see it. Waits up to timeout_ms while the queue is full. Errors: FULL (still
 * full at the deadline), CLOSED, NOMEM (the segment cannot hold the item), STALE, INTERRUPTED. On any error the queue
 * is as before.
 * Threads: any. In tasks: yes. Blocks: up to timeout_ms. Hosts: any.
 */
MUSTER_API muster_err muster_queue_put(muster_queue queue, const void *item, size_t size_bytes, int64_t timeout_ms);
#define muster_queue_put(...) MUSTER_SITED(muster_queue_put, __VA_ARGS__)

/**
 * Takes the first item into item, which has room for capacity_bytes; *size_bytes (may be NULL) gets its size. Waits up
 * to timeout_ms while the queue is empty. Errors: EMPTY (still empty at the deadline), CLOSED (closed and drained),
 * TOOBIG (capacity too small: *size_bytes is set to what is needed and the item stays first), STALE, INTERRUPTED.
 * Threads: any. In tasks: yes. Blocks: up to timeout_ms. Hosts: any.
 */
MUSTER_API muster_err muster_queue_get(muster_queue queue, void *item, size_t capacity_bytes, size_t *size_bytes,
                                       int64_t timeout_ms);
#define muster_queue_get(...) MUSTER_SITED(muster_queue_get, __VA_ARGS__)

/**
 * Appends copies of n >= 0 items of item_bytes each, which lie one after the other in items as in an array, in this
 * order; others' items may come in between. Waits up to timeout_ms while the queue is full. *put (may be NULL) gets how
 * many were put, also with errors: these stay put. Of small items it is far cheaper than as many puts. Errors: FULL
 * (not all were put at the deadline), CLOSED, NOMEM, STALE, INTERRUPTED, INVAL (items NULL, n negative).
 * Threads: any. In tasks: yes. Blocks: up to timeout_ms. Hosts: any.
 */
MUSTER_API muster_err muster_queue_put_many(muster_queue queue, const void *items, int64_t n, size_t item_bytes,
                                            int64_t *put, int64_t timeout_ms);
#define muster_queue_put_many(...) MUSTER_SITED(muster_queue_put_many, __VA_ARGS__)

/**
 * Waits up to timeout_ms for the first item, and takes what is there then: up to `most` >= 1 items, as far as they fit
 * into items, which has room for capacity_bytes. They lie there one behind the other without gaps; items of one size as
 * in an array. *got is how many they are; sizes (may be NULL), which has room for most, gets their sizes. Errors: EMPTY
 * (nothing there at the deadline), CLOSED (closed and drained), TOOBIG (capacity too small for the first item, which
 * stays first: sizes[0] is set to what is needed), STALE, INTERRUPTED, INVAL (items or got NULL, most less than 1).
 * Threads: any. In tasks: yes. Blocks: up to timeout_ms. Hosts: any.
 */
MUSTER_API muster_err muster_queue_get_many(muster_queue queue, void *items, size_t capacity_bytes, int64_t most,
                                            size_t *sizes, int64_t *got, int64_t timeout_ms);
#define muster_queue_get_many(...) MUSTER_SITED(muster_queue_get_many, __VA_ARGS__)

/* Each of these: Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any. */
/** Number of items, exact at the moment it is taken. Errors: STALE. */
MUSTER_API muster_err muster_queue_size(muster_queue queue, int64_t *items);
#define muster_queue_size(...) MUSTER_SITED(muster_queue_size, __VA_ARGS__)
/** Whether the queue held no item at that moment. Errors: STALE. */
MUSTER_API muster_err muster_queue_empty(muster_queue queue, bool *empty);
#define muster_queue_empty(...) MUSTER_SITED(muster_queue_empty, __VA_ARGS__)
/** Whether the queue held maxsize items at that moment (never, without a maxsize). Errors: STALE. */
MUSTER_API muster_err muster_queue_full(muster_queue queue, bool *full);
#define muster_queue_full(...) MUSTER_SITED(muster_queue_full, __VA_ARGS__)

/**
 * Says that nothing more will be put: later puts get err CLOSED, gets drain what is left and then get err CLOSED. This
 * is how a consumer's loop ends. Closing twice is fine. Errors: STALE.
 * Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any.
 */
MUSTER_API muster_err muster_queue_close(muster_queue queue);
#define muster_queue_close(...) MUSTER_SITED(muster_queue_close, __VA_ARGS__)

/**
 * Marks one item that was got as done, for muster_queue_join. Errors: STATE (more marks than items put), STALE.
 * Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any.
 */
MUSTER_API muster_err muster_queue_task_done(muster_queue queue);
#define muster_queue_task_done(...) MUSTER_SITED(muster_queue_task_done, __VA_ARGS__)

/**
 * Waits until every item ever put was marked done. Errors: TIMEOUT, CLOSED (destroyed meanwhile), STALE, INTERRUPTED.
 * Threads: any. In tasks: yes. Blocks: up to timeout_ms. Hosts: any.
 */
MUSTER_API muster_err muster_queue_join(muster_queue queue, int64_t timeout_ms);
#define muster_queue_join(...) MUSTER_SITED(muster_queue_join, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
