/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Array: a block of memory that all share. On the host where it is at home it is plain memory, which threads and
 * processes use through a pointer; from other hosts slices of it are read, written and added to.
 */
#ifndef MUSTER_ARRAY_H
#define MUSTER_ARRAY_H

#include <muster/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A plain value, as a handle is. count and item_bytes are there to be read. */
typedef struct muster_array {
    muster_handle handle, lock;
    int64_t count;     /**< items */
    size_t item_bytes; /**< size of one */
} muster_array;

/**
 * Makes an array of count items of item_bytes bytes each, all zero, one after the other, from a multiple of 256 bytes
 * on. Its memory is not touched: each page will be near to who touches it first (see muster_array_touch). Errors: INVAL
 * (no item, or of no size; more than memory can have; no such rank), NOMEM (the segment has no room for it), PEER,
 * STATE (before muster_init).
 * Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any.
 */
MUSTER_API muster_err muster_array_create(muster_array *array, int64_t count, size_t item_bytes,
                                          const muster_object_options *options);
#define muster_array_create(...) MUSTER_SITED(muster_array_create, __VA_ARGS__)

/**
 * Ends it: later uses get err STALE, and what muster_array_data gave must not be used any more. Errors: STALE, PEER.
 * Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any.
 */
MUSTER_API muster_err muster_array_destroy(muster_array array);
#define muster_array_destroy(...) MUSTER_SITED(muster_array_destroy, __VA_ARGS__)

/* Each of these: Threads: any. In tasks: yes. Blocks: no. Hosts: own. */
/** Where the items are in this process, until the array is destroyed; another process may have them at another address.
 * What several threads change at once is theirs to order, with the array's lock or atomic operations. Errors:
 * UNSUPPORTED (it is at home on another host), STALE. */
MUSTER_API muster_err muster_array_data(muster_array array, void **data);
/** Touches the pages of items first to first + n - 1, so that those which nobody has touched yet are taken from memory
 * near to the calling thread. Changes nothing. Errors: INVAL (out of bounds), UNSUPPORTED, STALE. */
MUSTER_API muster_err muster_array_touch(muster_array array, int64_t first, int64_t n);

/* Each of these, of items first to first + n - 1: Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any. */
/** Copies them to items. A slice is not one operation: others may change it meanwhile, unless the array's lock is held.
 * Errors: INVAL (out of bounds), STALE, PEER, NOMEM. */
MUSTER_API muster_err muster_array_read(muster_array array, int64_t first, int64_t n, void *items);
#define muster_array_read(...) MUSTER_SITED(muster_array_read, __VA_ARGS__)
/** Copies them from items. The same errors. */
MUSTER_API muster_err muster_array_write(muster_array array, int64_t first, int64_t n, const void *items);
#define muster_array_write(...) MUSTER_SITED(muster_array_write, __VA_ARGS__)
/** Adds to each of them, each in one atomic operation, what stands in terms. Errors: also INVAL (items are not of 8
 * bytes). */
MUSTER_API muster_err muster_array_add_i64(muster_array array, int64_t first, int64_t n, const int64_t *terms);
#define muster_array_add_i64(...) MUSTER_SITED(muster_array_add_i64, __VA_ARGS__)
MUSTER_API muster_err muster_array_add_f64(muster_array array, int64_t first, int64_t n, const double *terms);
#define muster_array_add_f64(...) MUSTER_SITED(muster_array_add_f64, __VA_ARGS__)

/**
 * Acquires the lock that every array has, as muster_lock_acquire does: for sections in which several items change
 * together. Errors: as muster_lock_acquire.
 * Threads: any. In tasks: yes. Blocks: up to timeout_ms. Hosts: any.
 */
MUSTER_API muster_err muster_array_lock(muster_array array, int64_t timeout_ms);
#define muster_array_lock(...) MUSTER_SITED(muster_array_lock, __VA_ARGS__)

/**
 * Gives it back. Errors: STATE (the caller does not hold it), STALE.
 * Threads: the one that acquired it. In tasks: yes. Blocks: no. Hosts: any.
 */
MUSTER_API muster_err muster_array_unlock(muster_array array);

#ifdef __cplusplus
}
#endif
#endif
