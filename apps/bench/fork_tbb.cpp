/* SPDX-License-Identifier: BSD-3-Clause */
#include "fork.h"

#include <tbb/global_control.h>
#include <tbb/task_group.h>

/* The recursions by oneTBB's tasks. */

namespace
{

uint64_t fib(int n)
{
    uint64_t a, b;
    if (n < 2)
        return static_cast<uint64_t>(n);
    tbb::task_group group;
    group.run([&a, n] { a = fib(n - 1); });
    group.run([&b, n] { b = fib(n - 2); });
    group.wait();
    return a + b;
}

template <int ROOM> uint64_t node(uint64_t hash, int children)
{
    uint64_t below[ROOM], all = 1;
    if (!children)
        return all;
    tbb::task_group group;
    for (int i = 0; i < children; i++)
        group.run([&below, hash, i] {
            uint64_t child = fork_child(hash, i);
            below[i] = node<FORK_CHILDREN>(child, fork_children(child));
        });
    group.wait();
    for (int i = 0; i < children; i++)
        all += below[i];
    return all;
}

uint64_t run_fib(int n)
{
    tbb::global_control threads(tbb::global_control::max_allowed_parallelism, FORK_THREADS);
    return fib(n);
}

uint64_t run_tree()
{
    tbb::global_control threads(tbb::global_control::max_allowed_parallelism, FORK_THREADS);
    return node<FORK_ROOT_CHILDREN>(FORK_ROOT_HASH, FORK_ROOT_CHILDREN);
}

} // namespace

const struct fork_yardstick fork_tbb = {run_fib, run_tree};
