/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench.h"
#include "fork.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <muster/muster.h>

/* Fork and join in a pool of the ranks, and what a task costs that another worker steals. */

enum { TRIES = 5 };

#ifdef BENCH_OMP
#define OMP (&fork_omp)
#else
#define OMP NULL
#endif
#ifdef BENCH_TBB
#define TBB (&fork_tbb)
#else
#define TBB NULL
#endif

/* ---- fib ---- */

struct fib {
    muster_pool pool;
    int n;
};

static int fib(const void *item, void *result, const void *user)
{
    (void)user;
    const struct fib *f = item;
    uint64_t below[2];
    muster_task tasks[2];
    if (f->n < 2) {
        *(uint64_t *)result = (uint64_t)f->n;
        return 0;
    }
    for (int i = 0; i < 2; i++) {
        struct fib smaller = {f->pool, f->n - 1 - i};
        if (muster_pool_submit(f->pool, &tasks[i], fib, &smaller, sizeof smaller, sizeof *below, NULL))
            return muster_task_fail(1, "%s", muster_err_detail());
    }
    for (int i = 2; i-- > 0;)
        if (muster_task_get(tasks[i], &below[i], sizeof below[i], MUSTER_FOREVER))
            return muster_task_fail(1, "%s", muster_err_detail());
    *(uint64_t *)result = below[0] + below[1];
    return 0;
}

/* ---- the tree ---- */

struct node {
    muster_pool pool;
    uint64_t hash;
};

static int node(const void *item, void *result, const void *user);

/* The node and all below it. */
static int count(const struct node *self, int children, muster_task *tasks, uint64_t *all)
{
    for (int i = 0; i < children; i++) {
        struct node child = {self->pool, fork_child(self->hash, i)};
        if (muster_pool_submit(self->pool, &tasks[i], node, &child, sizeof child, sizeof *all, NULL))
            return muster_task_fail(1, "%s", muster_err_detail());
    }
    *all = 1;
    for (int i = children; i-- > 0;) {
        uint64_t below;
        if (muster_task_get(tasks[i], &below, sizeof below, MUSTER_FOREVER))
            return muster_task_fail(1, "%s", muster_err_detail());
        *all += below;
    }
    return 0;
}

static int node(const void *item, void *result, const void *user)
{
    (void)user;
    const struct node *self = item;
    muster_task tasks[FORK_CHILDREN];
    return count(self, fork_children(self->hash), tasks, result);
}

static int root(const void *item, void *result, const void *user)
{
    (void)user;
    muster_task tasks[FORK_ROOT_CHILDREN];
    return count(item, FORK_ROOT_CHILDREN, tasks, result);
}

/* ---- beside the yardsticks ---- */

static muster_pool pool;

static uint64_t result_of(muster_task_fn fn, const void *arg, size_t bytes)
{
    muster_task task;
    uint64_t result;
    bench_must(muster_pool_submit(pool, &task, fn, arg, bytes, sizeof result, NULL), "submit");
    bench_must(muster_task_get(task, &result, sizeof result, MUSTER_FOREVER), "get");
    return result;
}

static uint64_t our_fib(int n)
{
    struct fib f = {pool, n};
    return result_of(fib, &f, sizeof f);
}

static uint64_t our_tree(void)
{
    struct node r = {pool, FORK_ROOT_HASH};
    return result_of(root, &r, sizeof r);
}

static uint64_t plain_fib(int n)
{
    return n < 2 ? (uint64_t)n : plain_fib(n - 1) + plain_fib(n - 2);
}

/* Microseconds a node. Threads that have just worked look for work for a while: they are given that time. */
static double a_node_us(const struct fork_yardstick *way, bool tree)
{
    uint64_t right = tree ? FORK_TREE_NODES : plain_fib(FORK_FIB);
    usleep(50000);
    double began = bench_now_s();
    uint64_t result = tree ? way->tree() : way->fib(FORK_FIB);
    double took = bench_now_s() - began;
    if (result != right) {
        fprintf(stderr, "bench: forkjoin: %llu, not %llu\n", (unsigned long long)result, (unsigned long long)right);
        exit(1);
    }
    return took / (tree ? FORK_TREE_NODES : FORK_FIB_NODES) * 1e6;
}

static void beside_yardsticks(bool tree)
{
    static const struct fork_yardstick ours = {our_fib, our_tree};
    const struct fork_yardstick *ways[] = {&ours, OMP, TBB};
    static const char *const names[2][2] = {{"fib_omp", "fib_tbb"}, {"tree_omp", "tree_tbb"}};
    double us[3][TRIES];
    for (int i = 0; i < TRIES; i++)
        for (int way = 0; way < 3; way++)
            us[way][i] = ways[way] ? a_node_us(ways[way], tree) : 0;
    for (int way = 1; way < 3; way++)
        if (ways[way])
            inner_figure(names[tree][way - 1], bench_median(us[0], TRIES), bench_median(us[way], TRIES));
}

/* ---- stealing ---- */

struct gate {
    muster_event begun, open;
};

/* Keeps the other worker until all are there to be stolen. */
static int wait_at_gate(const void *item, void *result, const void *user)
{
    (void)result, (void)user;
    const struct gate *gate = item;
    bench_must(muster_event_set(gate->begun), "set");
    bench_must(muster_event_wait(gate->open, MUSTER_FOREVER), "wait");
    return 0;
}

static int tell_time(const void *item, void *result, const void *user)
{
    (void)item, (void)user;
    *(double *)result = bench_now_s();
    return 0;
}

/* Microseconds from one stolen task to the next, the thief being awake: this thread, whose they are, only looks. */
static double a_steal_us(void)
{
    enum { STEALS = 1000 };
    static muster_task tasks[STEALS];
    static double us[STEALS];
    muster_task gate_task;
    struct gate gate;
    bool ready = false;
    bench_must(muster_event_create(&gate.begun, NULL), "event");
    bench_must(muster_event_create(&gate.open, NULL), "event");
    bench_must(muster_pool_submit(pool, &gate_task, wait_at_gate, &gate, sizeof gate, 0, NULL), "submit");
    bench_must(muster_event_wait(gate.begun, MUSTER_FOREVER), "wait");
    for (int i = 0; i < STEALS; i++)
        bench_must(muster_pool_submit(pool, &tasks[i], tell_time, NULL, 0, sizeof(double), NULL), "submit");
    bench_must(muster_event_set(gate.open), "set");
    for (int i = 0; i < STEALS; i += ready)
        bench_must(muster_task_ready(tasks[i], &ready), "ready");
    for (int i = 0; i < STEALS; i++) {
        bench_must(muster_task_get(tasks[i], &us[i], sizeof us[i], MUSTER_FOREVER), "get");
        us[i] *= 1e6;
    }
    for (int i = 0; i + 1 < STEALS; i++)
        us[i] = us[i + 1] - us[i];
    bench_must(muster_task_get(gate_task, NULL, 0, MUSTER_FOREVER), "get");
    bench_must(muster_event_destroy(gate.begun), "destroy");
    bench_must(muster_event_destroy(gate.open), "destroy");
    return bench_median(us, STEALS - 1);
}

void inner_forkjoin(void)
{
    double steals[TRIES];
    bench_must(muster_pool_create(&pool, NULL), "pool");
    beside_yardsticks(false);
    beside_yardsticks(true);
    for (int i = 0; i < TRIES; i++)
        steals[i] = a_steal_us();
    inner_figure("stolen", bench_median(steals, TRIES), 0);
    bench_must(muster_pool_destroy(pool), "destroy");
}
