/* SPDX-License-Identifier: BSD-3-Clause */
#include "fork.h"

/* The recursions by OpenMP's tasks. */

static uint64_t fib(int n)
{
    uint64_t a, b;
    if (n < 2)
        return (uint64_t)n;
#pragma omp task shared(a)
    a = fib(n - 1);
#pragma omp task shared(b)
    b = fib(n - 2);
#pragma omp taskwait
    return a + b;
}

static uint64_t node(uint64_t hash, int children);

static void child(uint64_t hash, int i, uint64_t *nodes)
{
    uint64_t own = fork_child(hash, i);
    *nodes = node(own, fork_children(own));
}

static uint64_t node(uint64_t hash, int children)
{
    uint64_t below[children ? children : 1], all = 1;
    if (!children)
        return all;
    for (int i = 0; i < children; i++) {
#pragma omp task shared(below)
        child(hash, i, &below[i]);
    }
#pragma omp taskwait
    for (int i = 0; i < children; i++)
        all += below[i];
    return all;
}

static uint64_t run_fib(int n)
{
    uint64_t result = 0;
#pragma omp parallel num_threads(FORK_THREADS)
#pragma omp single
    result = fib(n);
    return result;
}

static uint64_t run_tree(void)
{
    uint64_t result = 0;
#pragma omp parallel num_threads(FORK_THREADS)
#pragma omp single
    result = node(FORK_ROOT_HASH, FORK_ROOT_CHILDREN);
    return result;
}

const struct fork_yardstick fork_omp = {run_fib, run_tree};
