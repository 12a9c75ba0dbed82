/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What commands have said and nobody has read yet: in memory, and once all together have more than SPOOL_MEMORY there,
 * in one scratch file without a name, in $TMPDIR.
 */
#ifndef FARM_SPOOL_H
#define FARM_SPOOL_H

#include <stddef.h>
#include <stdint.h>

#define SPOOL_MEMORY ((int64_t)32 << 20)

struct spool_extent {
    int64_t at, bytes;
};

/** All zero: empty. What is in extents comes before what is in memory. */
struct spool {
    char *bytes;
    size_t n, room;
    struct spool_extent *extents;
    int n_extents;
    int64_t size; /**< of all */
};

/** Appends. Returns 0, or -1 with errno set: nothing was. */
int spool_add(struct spool *spool, const void *bytes, size_t n);

/** Gives all of it, in pieces, to take, until that returns another value than 0, which is returned; -1 with errno set
 * when it cannot be read. */
int spool_each(const struct spool *spool, int (*take)(void *arg, const char *bytes, size_t n), void *arg);

/** Empties it. */
void spool_clear(struct spool *spool);

#endif
