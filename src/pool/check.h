/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What callers pass to the pool's functions.
 */
#ifndef MUSTER_POOL_CHECK_H
#define MUSTER_POOL_CHECK_H

#include "sched/sched.h"

/* More is a mistake in a computation of sizes, and less may be added up without overflow. */
#define CHECK_BYTES_MAX (SIZE_MAX / 4)

/** Whether there is nothing to say about a block, for the fast paths: the others say it. */
static inline bool check_plain(const void *pointer, size_t bytes)
{
    return (pointer || !bytes) && bytes <= CHECK_BYTES_MAX;
}
/* Errors: INVAL, with a line that names the operation and what is wrong. */
muster_err check_pointer(const char *operation, const char *what, const void *pointer);
muster_err check_count(const char *operation, const char *what, int64_t count);
muster_err check_retries(const char *operation, int retries);
/** n items of each_bytes: a size that memory may have? With n = 0 each_bytes itself is looked at. */
muster_err check_bytes(const char *operation, const char *what, int64_t n, size_t each_bytes);
/** The same, and NULL only where there are no bytes. */
muster_err check_block(const char *operation, const char *what, const void *pointer, int64_t n, size_t each_bytes);
/** Of muster_pool_map and muster_pool_reduce; options may be NULL. */
muster_err check_map_options(const char *operation, const muster_map_options *options);

#endif
