/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench.h"
#include "between.h"
#include "fork.h"

/* Fork and join over two hosts: the uneven tree, all of it nested from one task here, every node a task. */

struct grown {
    int64_t nodes, here; /* of them on rank 0's host */
};

static int grow(const void *item, void *result, const void *user)
{
    uint64_t hash = *(const uint64_t *)item;
    int n = hash == FORK_ROOT_HASH ? FORK_ROOT_CHILDREN : fork_children(hash);
    muster_task tasks[FORK_ROOT_CHILDREN];
    struct grown all = {1, muster_rank() == 0}, below;
    (void)user;
    for (int i = 0; i < n; i++) {
        uint64_t child = fork_child(hash, i);
        if (muster_pool_submit(muster_task_pool(), &tasks[i], grow, &child, sizeof child, sizeof below, NULL))
            return muster_task_fail(1, "%s", muster_err_detail());
    }
    for (int i = n; i-- > 0;) {
        if (muster_task_get(tasks[i], &below, sizeof below, MUSTER_FOREVER))
            return muster_task_fail(1, "%s", muster_err_detail());
        all.nodes += below.nodes;
        all.here += below.here;
    }
    *(struct grown *)result = all;
    return 0;
}

/* Seconds. */
static double grow_once(int workers, struct grown *grown)
{
    muster_pool pool;
    muster_task task;
    uint64_t root = FORK_ROOT_HASH;
    bench_must(muster_pool_create(&pool, &(muster_pool_options){.workers = workers}), "pool");
    double began = bench_now_s();
    bench_must(muster_pool_submit(pool, &task, grow, &root, sizeof root, sizeof *grown, NULL), "submit");
    bench_must(muster_task_get(task, grown, sizeof *grown, MUSTER_FOREVER), "get");
    double took = bench_now_s() - began;
    bench_must(muster_pool_destroy(pool), "destroy");
    return took;
}

double between_fork(double *least)
{
    struct grown grown;
    double alone = grow_once(1, &grown), both = grow_once(2, &grown), here = (double)grown.here / (double)grown.nodes;
    *least = here < 0.5 ? here : 1 - here;
    return alone / (2 * both);
}
