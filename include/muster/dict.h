/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dict: a map from names to bytes that all share: settings, addresses, counts, small results. It is kept whole on the
 * host where it is at home.
 */
#ifndef MUSTER_DICT_H
#define MUSTER_DICT_H

#include <muster/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Longest key, in bytes without its end. */
#define MUSTER_KEY_MAX 255

typedef struct muster_dict {
    muster_handle handle;
} muster_dict;

/**
 * Makes an empty one. Errors: INVAL (no such rank), NOMEM, PEER, STATE (before muster_init).
 * Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any.
 */
MUSTER_API muster_err muster_dict_create(muster_dict *dict, const muster_object_options *options);
#define muster_dict_create(...) MUSTER_SITED(muster_dict_create, __VA_ARGS__)

/* Each of these: Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any. Keys are strings of 1 to
 * MUSTER_KEY_MAX bytes, else err INVAL. */
/** Ends it and drops what it holds; who waits for a key gets err CLOSED, later uses get err STALE. Errors: STALE,
 * PEER. */
MUSTER_API muster_err muster_dict_destroy(muster_dict dict);
#define muster_dict_destroy(...) MUSTER_SITED(muster_dict_destroy, __VA_ARGS__)
/** Sets what the key stands for to a copy of size_bytes bytes (0 allowed; value may then be NULL). Errors: NOMEM (as
 * before then), STALE, PEER. */
MUSTER_API muster_err muster_dict_set(muster_dict dict, const char *key, const void *value, size_t size_bytes);
#define muster_dict_set(...) MUSTER_SITED(muster_dict_set, __VA_ARGS__)
/** The same, unless the key is there. Errors: also STATE (it is). */
MUSTER_API muster_err muster_dict_set_new(muster_dict dict, const char *key, const void *value, size_t size_bytes);
#define muster_dict_set_new(...) MUSTER_SITED(muster_dict_set_new, __VA_ARGS__)
/** Adds n to what the key stands for, an int64_t, 0 if the key is not there; *after (may be NULL) is what it is then;
 * beyond 64 bits it wraps. Errors: STATE (it is not of 8 bytes), NOMEM, STALE, PEER. */
MUSTER_API muster_err muster_dict_add(muster_dict dict, const char *key, int64_t n, int64_t *after);
#define muster_dict_add(...) MUSTER_SITED(muster_dict_add, __VA_ARGS__)
/** Removes the key. Errors: EMPTY (it is not there), STALE, PEER. */
MUSTER_API muster_err muster_dict_remove(muster_dict dict, const char *key);
#define muster_dict_remove(...) MUSTER_SITED(muster_dict_remove, __VA_ARGS__)
/** Number of keys. Errors: STALE, PEER. */
MUSTER_API muster_err muster_dict_size(muster_dict dict, int64_t *keys);
#define muster_dict_size(...) MUSTER_SITED(muster_dict_size, __VA_ARGS__)
/**
 * Goes through the keys in the order in which they came: *cursor begins at 0. key has room for MUSTER_KEY_MAX + 1
 * bytes, value for capacity_bytes; *size_bytes (may be NULL) is the value's size. What is set or removed meanwhile is
 * met, or not; what stays is met once. Errors: EMPTY (no more), TOOBIG (as muster_dict_get; the cursor stays), STALE,
 * PEER.
 */
MUSTER_API muster_err muster_dict_next(muster_dict dict, int64_t *cursor, char *key, void *value, size_t capacity_bytes,
                                       size_t *size_bytes);
#define muster_dict_next(...) MUSTER_SITED(muster_dict_next, __VA_ARGS__)

/**
 * Copies what the key stands for to value, which has room for capacity_bytes; *size_bytes (may be NULL) gets its size.
 * Waits up to timeout_ms for the key to be there. Errors: EMPTY (MUSTER_NOWAIT, and it is not there), TIMEOUT, TOOBIG
 * (*size_bytes is what is needed), CLOSED (destroyed meanwhile), STALE, PEER, INTERRUPTED.
 * Threads: any. In tasks: yes. Blocks: up to timeout_ms. Hosts: any.
 */
MUSTER_API muster_err muster_dict_get(muster_dict dict, const char *key, void *value, size_t capacity_bytes,
                                      size_t *size_bytes, int64_t timeout_ms);
#define muster_dict_get(...) MUSTER_SITED(muster_dict_get, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
