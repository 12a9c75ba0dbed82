/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fork and join: the same two recursions by a pool, by OpenMP's tasks and by oneTBB's, two threads each. Every node is
 * a task, whatever is left below it, so that what is measured is tasks. The tree is deep, narrow and uneven: how many
 * children a node has, its hash tells, as in the Unbalanced Tree Search benchmark (Olivier et al., 2006).
 */
#ifndef BENCH_FORK_H
#define BENCH_FORK_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { FORK_THREADS = 2, FORK_FIB = 32, FORK_CHILDREN = 4, FORK_ROOT_CHILDREN = 256 };

#define FORK_ROOT_HASH UINT64_C(19)

/* nodes of the recursions */
enum { FORK_FIB_NODES = 7049155, FORK_TREE_NODES = 700105 };

/* Steele, Lea, Flood (2014): SplitMix's. */
static inline uint64_t fork_mix(uint64_t h)
{
    h += UINT64_C(0x9e3779b97f4a7c15);
    h = (h ^ h >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    h = (h ^ h >> 27) * UINT64_C(0x94d049bb133111eb);
    return h ^ h >> 31;
}

static inline uint64_t fork_child(uint64_t hash, int i)
{
    return fork_mix(hash ^ fork_mix((uint64_t)i));
}

/* Of a node that is not the root: all, or none. A node has 0.9996 of them on the average. */
static inline int fork_children(uint64_t hash)
{
    return (double)(hash >> 11) * 0x1p-53 < 0.2499 ? FORK_CHILDREN : 0;
}

/** The recursions, as a yardstick: fib(n), and how many nodes the tree has. */
struct fork_yardstick {
    uint64_t (*fib)(int n);
    uint64_t (*tree)(void);
};

extern const struct fork_yardstick fork_omp, fork_tbb;

#ifdef __cplusplus
}
#endif

#endif
