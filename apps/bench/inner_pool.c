/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <muster/muster.h>

static int nothing(const void *item, void *result, const void *user)
{
    (void)item;
    (void)result;
    (void)user;
    return 0;
}

/* some hundred nanoseconds of work */
static int some_work(const void *item, void *result, const void *user)
{
    (void)user;
    uint64_t x = *(const uint64_t *)item;
    for (int i = 0; i < 100; i++)
        x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
    *(uint64_t *)result = x;
    return 0;
}

/* ---- map ---- */

static double map_one_each(muster_pool pool)
{
    enum { N = 1000000 };
    static uint64_t items[N];
    double values[5];
    for (int i = 0; i < 5; i++) {
        double began = bench_now_s();
        bench_must(
            muster_pool_map(pool, nothing, items, N, sizeof *items, NULL, 0, &(muster_map_options){.chunk_items = 1}),
            "map");
        values[i] = (bench_now_s() - began) / N * 1e6;
    }
    return bench_median(values, 5);
}

static double serial(muster_task_fn volatile fn, const uint64_t *items, uint64_t *results, int n)
{
    double began = bench_now_s();
    for (int i = 0; i < n; i++)
        fn(&items[i], results ? &results[i] : NULL, NULL);
    return (bench_now_s() - began) / n * 1e6;
}

static void map_chosen(muster_pool pool, int workers, const char *name, muster_task_fn fn, int n)
{
    uint64_t *items = calloc((size_t)n, sizeof *items), *results = calloc((size_t)n, sizeof *results);
    double ours[7], plain[7];
    for (int i = 0; i < 7; i++) {
        plain[i] = serial(fn, items, results, n);
        double began = bench_now_s();
        bench_must(muster_pool_map(pool, fn, items, n, sizeof *items, results, sizeof *results, NULL), "map");
        ours[i] = (bench_now_s() - began) / n * 1e6;
    }
    inner_figure(name, bench_median(ours, 7), bench_median(plain, 7) / workers);
    free(items);
    free(results);
}

/* The same over arrays, and beside it a loop over these. */
static void map_in_place(muster_pool pool, int workers, const char *name, muster_task_fn fn, int n)
{
    muster_array items, results;
    void *in, *out;
    double ours[7], plain[7];
    bench_must(muster_array_create(&items, n, sizeof(uint64_t), NULL), "array");
    bench_must(muster_array_create(&results, n, sizeof(uint64_t), NULL), "array");
    bench_must(muster_array_data(items, &in), "data");
    bench_must(muster_array_data(results, &out), "data");
    for (int i = 0; i < 7; i++) {
        plain[i] = serial(fn, in, out, n);
        double began = bench_now_s();
        bench_must(muster_pool_map_array(pool, fn, items, 0, n, &results, NULL), "map");
        ours[i] = (bench_now_s() - began) / n * 1e6;
    }
    inner_figure(name, bench_median(ours, 7), bench_median(plain, 7) / workers);
    bench_must(muster_array_destroy(items), "destroy");
    bench_must(muster_array_destroy(results), "destroy");
}

/* ---- submit ---- */

static double submit_get(muster_pool pool, int rounds, int pause_us)
{
    double *values = malloc((size_t)rounds * sizeof *values);
    for (int i = 0; i < rounds; i++) {
        if (pause_us)
            usleep((useconds_t)pause_us);
        double began = bench_now_s();
        muster_task task;
        bench_must(muster_pool_submit(pool, &task, nothing, NULL, 0, 0, NULL), "submit");
        bench_must(muster_task_get(task, NULL, 0, MUSTER_FOREVER), "get");
        values[i] = (bench_now_s() - began) * 1e6;
    }
    double median = bench_median(values, rounds);
    free(values);
    return median;
}

static double submit_many(muster_pool pool)
{
    enum { N = 100000 };
    static muster_task tasks[N];
    double values[5];
    for (int k = 0; k < 5; k++) {
        double began = bench_now_s();
        for (int i = 0; i < N; i++)
            bench_must(muster_pool_submit(pool, &tasks[i], nothing, &i, sizeof i, 0, NULL), "submit");
        for (int i = 0; i < N; i++)
            bench_must(muster_task_get(tasks[i], NULL, 0, MUSTER_FOREVER), "get");
        values[k] = (bench_now_s() - began) / N * 1e6;
    }
    return bench_median(values, 5);
}

/* a task that submits children one by one, or many and then gets them, all run by the worker itself */
static int parent(const void *item, void *result, const void *user)
{
    (void)item;
    const muster_pool *pool = user;
    enum { N = 200000 };
    double began = bench_now_s();
    for (int i = 0; i < N; i++) {
        muster_task task;
        if (muster_pool_submit(*pool, &task, nothing, NULL, 0, 0, NULL) ||
            muster_task_get(task, NULL, 0, MUSTER_FOREVER))
            return muster_task_fail(1, "%s", muster_err_detail());
    }
    *(double *)result = (bench_now_s() - began) / N * 1e6;
    return 0;
}

static double child_tasks(bool isolated)
{
    muster_pool pool;
    bench_must(muster_pool_create(&pool, &(muster_pool_options){.workers = 1, .isolated = isolated}), "pool");
    double values[5];
    for (int i = 0; i < 5; i++) {
        muster_task task;
        bench_must(muster_pool_submit(pool, &task, parent, NULL, 0, sizeof(double),
                                      &(muster_submit_options){.user = &pool, .user_bytes = sizeof pool}),
                   "submit");
        bench_must(muster_task_get(task, &values[i], sizeof values[i], MUSTER_FOREVER), "get");
    }
    bench_must(muster_pool_destroy(pool), "destroy");
    return bench_median(values, 5);
}

static void with_pool(const char *prefix, bool isolated)
{
    char name[64];
    int workers;
    muster_pool pool;
    bench_must(muster_pool_create(&pool, &(muster_pool_options){.isolated = isolated}), "pool");
    bench_must(muster_pool_workers(pool, &workers), "workers");
    int cores = muster_cores();
    workers = workers < cores ? workers : cores;
    snprintf(name, sizeof name, "%smap_one", prefix);
    inner_figure(name, map_one_each(pool), 0);
    snprintf(name, sizeof name, "%smap_chosen_100ns", prefix);
    map_chosen(pool, workers, name, some_work, 2000000);
    snprintf(name, sizeof name, "%smap_chosen_empty", prefix);
    map_chosen(pool, workers, name, nothing, 8000000);
    snprintf(name, sizeof name, "%smap_array_empty", prefix);
    map_in_place(pool, workers, name, nothing, 8000000);
    snprintf(name, sizeof name, "%ssubmit_many", prefix);
    inner_figure(name, submit_many(pool), 0);
    bench_must(muster_pool_destroy(pool), "destroy");

    bench_must(muster_pool_create(&pool, &(muster_pool_options){.isolated = isolated, .caller_idle = true}), "pool");
    snprintf(name, sizeof name, "%ssubmit_awake", prefix);
    inner_figure(name, submit_get(pool, 20000, 0), 0);
    snprintf(name, sizeof name, "%ssubmit_asleep", prefix);
    inner_figure(name, submit_get(pool, 500, 1000), 0);
    bench_must(muster_pool_destroy(pool), "destroy");
    snprintf(name, sizeof name, "%schild_task", prefix);
    inner_figure(name, child_tasks(isolated), 0);
}

void inner_pool(void)
{
    with_pool("", false);
    with_pool("isolated_", true);
}
