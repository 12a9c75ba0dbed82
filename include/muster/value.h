/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Value: one number that all share, changed by atomic operations. Each operation is done as a whole, and all that its
 * caller had written before is seen by whoever sees its outcome.
 */
#ifndef MUSTER_VALUE_H
#define MUSTER_VALUE_H

#include <muster/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct muster_value_i64 {
    muster_handle handle;
} muster_value_i64;

typedef struct muster_value_f64 {
    muster_handle handle;
} muster_value_f64;

/* Each of these: Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any. */
/** Makes one that is initial. Errors: INVAL (no such rank), NOMEM, PEER, STATE (before muster_init). */
MUSTER_API muster_err muster_value_i64_create(muster_value_i64 *value, int64_t initial,
                                              const muster_object_options *options);
#define muster_value_i64_create(...) MUSTER_SITED(muster_value_i64_create, __VA_ARGS__)
MUSTER_API muster_err muster_value_f64_create(muster_value_f64 *value, double initial,
                                              const muster_object_options *options);
#define muster_value_f64_create(...) MUSTER_SITED(muster_value_f64_create, __VA_ARGS__)
/** Ends it; later uses get err STALE. Errors: STALE, PEER. */
MUSTER_API muster_err muster_value_i64_destroy(muster_value_i64 value);
#define muster_value_i64_destroy(...) MUSTER_SITED(muster_value_i64_destroy, __VA_ARGS__)
MUSTER_API muster_err muster_value_f64_destroy(muster_value_f64 value);
#define muster_value_f64_destroy(...) MUSTER_SITED(muster_value_f64_destroy, __VA_ARGS__)

/* Each of these: Errors: STALE, PEER. Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any. */
MUSTER_API muster_err muster_value_i64_load(muster_value_i64 value, int64_t *is);
#define muster_value_i64_load(...) MUSTER_SITED(muster_value_i64_load, __VA_ARGS__)
MUSTER_API muster_err muster_value_f64_load(muster_value_f64 value, double *is);
#define muster_value_f64_load(...) MUSTER_SITED(muster_value_f64_load, __VA_ARGS__)
MUSTER_API muster_err muster_value_i64_store(muster_value_i64 value, int64_t becomes);
#define muster_value_i64_store(...) MUSTER_SITED(muster_value_i64_store, __VA_ARGS__)
MUSTER_API muster_err muster_value_f64_store(muster_value_f64 value, double becomes);
#define muster_value_f64_store(...) MUSTER_SITED(muster_value_f64_store, __VA_ARGS__)
/** Adds n (beyond 64 bits an i64 wraps); *before (may be NULL) is what it was. */
MUSTER_API muster_err muster_value_i64_add(muster_value_i64 value, int64_t n, int64_t *before);
#define muster_value_i64_add(...) MUSTER_SITED(muster_value_i64_add, __VA_ARGS__)
MUSTER_API muster_err muster_value_f64_add(muster_value_f64 value, double x, double *before);
#define muster_value_f64_add(...) MUSTER_SITED(muster_value_f64_add, __VA_ARGS__)
MUSTER_API muster_err muster_value_i64_exchange(muster_value_i64 value, int64_t becomes, int64_t *before);
#define muster_value_i64_exchange(...) MUSTER_SITED(muster_value_i64_exchange, __VA_ARGS__)
MUSTER_API muster_err muster_value_f64_exchange(muster_value_f64 value, double becomes, double *before);
#define muster_value_f64_exchange(...) MUSTER_SITED(muster_value_f64_exchange, __VA_ARGS__)
/** If it is *expected it becomes that, else *expected becomes what it is; *exchanged tells which. Doubles are compared
 * bit by bit. */
MUSTER_API muster_err muster_value_i64_compare_exchange(muster_value_i64 value, int64_t *expected, int64_t becomes,
                                                        bool *exchanged);
#define muster_value_i64_compare_exchange(...) MUSTER_SITED(muster_value_i64_compare_exchange, __VA_ARGS__)
MUSTER_API muster_err muster_value_f64_compare_exchange(muster_value_f64 value, double *expected, double becomes,
                                                        bool *exchanged);
#define muster_value_f64_compare_exchange(...) MUSTER_SITED(muster_value_f64_compare_exchange, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
