/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shared data: values, arrays, maps and names. Each kind is its public header and one source file, as in src/sync.
 */
#ifndef MUSTER_SHARE_SHARE_H
#define MUSTER_SHARE_SHARE_H

#include <stdio.h>
#include <string.h>

#include "remote/remote.h"

#include <muster/array.h>

static inline int64_t muster__bits_of(double x)
{
    int64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}
static inline double muster__double_of(int64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
/** Adds a double to one that is kept as its bits. Returns the bits that were there. */
static inline int64_t muster__add_f64(_Atomic int64_t *word, double x)
{
    int64_t before = atomic_load_explicit(word, memory_order_relaxed);
    while (!atomic_compare_exchange_weak(word, &before, muster__bits_of(muster__double_of(before) + x)))
        ;
    return before;
}

/**
 * Where items first to first + n - 1 of an array are, if it is at home on this host: so many bytes into *block, which
 * becomes 0 if it is at home elsewhere. Whether that is there, and alive, who reads it finds out. Errors: INVAL (out of
 * bounds), STALE.
 */
muster_err muster__array_where(const muster_array *array, int64_t first, int64_t n, const char *operation,
                               muster__ref *block, size_t *from);

#endif
