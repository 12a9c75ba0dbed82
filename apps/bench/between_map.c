/* SPDX-License-Identifier: BSD-3-Clause */
#include "between.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "bench.h"

/*
 * A map of tasks that compute, over both hosts: what part of the cores' time is in tasks. A task's work is counted, not
 * timed: who takes its core away meanwhile, the agent say, makes it take longer, which is no time in tasks.
 */

enum { ITEMS = 20000, LOOKS = 400, TASK_US = 100 };

static uint64_t compute(uint64_t x, int64_t rounds)
{
    for (int64_t i = 0; i < rounds; i++)
        x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
    return x;
}

static int computes(const void *item, void *result, const void *user)
{
    *(uint64_t *)result = compute(*(const uint64_t *)item, *(const int64_t *)user);
    return 0;
}

/* Microseconds of a round at this core's full speed: the shortest of many looks, which nobody has interrupted. */
static double round_us(void)
{
    enum { ROUNDS = 20000 };
    static _Atomic uint64_t kept;
    double shortest = 1e9;
    for (int i = 0; i < LOOKS; i++) {
        double began = bench_now_s();
        atomic_store(&kept, compute((uint64_t)i, ROUNDS));
        double took = (bench_now_s() - began) / ROUNDS * 1e6;
        shortest = took < shortest ? took : shortest;
    }
    return shortest;
}

static int round_us_there(const void *item, void *result, const void *user)
{
    (void)item, (void)user;
    *(double *)result = round_us();
    return 0;
}

/* Both cores at once, as in the map. */
static double both_round_us(muster_pool there)
{
    muster_task task;
    double theirs;
    bench_must(muster_pool_submit(there, &task, round_us_there, "", 1, sizeof theirs, NULL), "submit");
    double ours = round_us();
    bench_must(muster_task_get(task, &theirs, sizeof theirs, MUSTER_FOREVER), "get");
    return (ours + theirs) / 2;
}

double between_computing(muster_pool there)
{
    uint64_t *items = calloc(ITEMS, sizeof *items), *results = calloc(ITEMS, sizeof *results);
    double a_round = both_round_us(there);
    int64_t rounds = (int64_t)(TASK_US / a_round);
    muster_pool pool;
    int workers;
    bench_must(muster_pool_create(&pool, NULL), "pool");
    bench_must(muster_pool_workers(pool, &workers), "workers");
    double began = bench_now_s();
    bench_must(muster_pool_map(pool, computes, items, ITEMS, sizeof *items, results, sizeof *results,
                               &(muster_map_options){.user = &rounds, .user_bytes = sizeof rounds}),
               "map");
    double took = bench_now_s() - began;
    bench_must(muster_pool_destroy(pool), "destroy");
    free(items);
    free(results);
    return ITEMS * (double)rounds * a_round * 1e-6 / (took * workers);
}
