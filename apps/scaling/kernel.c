/* SPDX-License-Identifier: BSD-3-Clause */
#include "scaling/kernel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <muster/must.h>
#include <muster/muster.h>

#include "common/progress.h"

enum { TASKS = 960, STEPS = 400000, WORDS = 4 << 20, MESSAGES = 40000, HOLDS = 200000 };

static double spin(int64_t steps)
{
    double x = 0.5;
    for (int64_t i = 0; i < steps; i++)
        x = 3.7 * x * (1 - x);
    return x;
}

static int compute(const void *item, void *result, const void *user)
{
    (void)item, (void)user;
    *(double *)result = spin(STEPS);
    return 0;
}

/* A few are a hundred times the others. */
static int uneven(const void *item, void *result, const void *user)
{
    int64_t n = *(const int64_t *)item;
    (void)user;
    *(double *)result = spin(n % 96 == 0 ? 48 * STEPS : STEPS / 2);
    return 0;
}

/* a[i] = b[i] + 3 c[i] over 96 MiB, four times. */
static int triad(const void *item, void *result, const void *user)
{
    static double *a, *b, *c;
    (void)item, (void)user;
    if (!a) {
        a = malloc(WORDS * sizeof *a), b = malloc(WORDS * sizeof *b), c = malloc(WORDS * sizeof *c);
        if (!a || !b || !c)
            return muster_task_fail(1, "no memory");
        for (int i = 0; i < WORDS; i++)
            a[i] = 0, b[i] = i, c[i] = 1;
    }
    for (int round = 0; round < 4; round++)
        for (int i = 0; i < WORDS; i++)
            a[i] = b[i] + 3 * c[i];
    *(double *)result = a[WORDS / 2];
    return 0;
}

static double map(muster_task_fn fn, int64_t n)
{
    muster_pool pool;
    int64_t *items = calloc((size_t)n, sizeof *items);
    double *results = calloc((size_t)n, sizeof *results);
    for (int64_t i = 0; items && i < n; i++)
        items[i] = i;
    must(muster_pool_create(&pool, NULL));
    must(muster_pool_map(pool, fn, items, n < muster_ranks() ? n : muster_ranks(), sizeof *items, results,
                         sizeof *results, NULL)); /* so that all have begun */
    double began = progress_clock();
    must(muster_pool_map(pool, fn, items, n, sizeof *items, results, sizeof *results,
                         &(muster_map_options){.chunk_items = 1}));
    double seconds = progress_clock() - began;
    must(muster_pool_destroy(pool));
    free(items), free(results);
    return seconds;
}

struct talk {
    muster_queue there, back;
    muster_lock lock;
    int64_t n;
    bool answers;
};

static int listen_and_answer(const void *arg, size_t size_bytes)
{
    const struct talk *t = arg;
    int64_t message;
    (void)size_bytes;
    for (int64_t i = 0; i < t->n; i++) {
        must(muster_queue_get(t->there, &message, sizeof message, NULL, MUSTER_FOREVER));
        if (t->answers)
            must(muster_queue_put(t->back, &message, sizeof message, MUSTER_FOREVER));
    }
    return 0;
}

static int hold(const void *arg, size_t size_bytes)
{
    const struct talk *t = arg;
    (void)size_bytes;
    for (int64_t i = 0; i < t->n; i++) {
        must(muster_lock_acquire(t->lock, MUSTER_FOREVER));
        must(muster_lock_release(t->lock));
    }
    return 0;
}

/* Messages to a process, there and back, or one way. */
static double talk(bool answers)
{
    struct talk t = {.n = MESSAGES, .answers = answers};
    muster_process process;
    must(muster_queue_create(&t.there, NULL));
    must(muster_queue_create(&t.back, NULL));
    must(muster_process_create(&process, listen_and_answer, &t, sizeof t, NULL));
    must(muster_process_start(process));
    double began = progress_clock();
    for (int64_t i = 0; i < t.n; i++) {
        must(muster_queue_put(t.there, &i, sizeof i, MUSTER_FOREVER));
        if (answers)
            must(muster_queue_get(t.back, &i, sizeof i, NULL, MUSTER_FOREVER));
    }
    must(muster_process_join(process, NULL, MUSTER_FOREVER));
    return progress_clock() - began;
}

/* One lock, held in turns by a process of each rank: all together as often whatever their number. */
static double contend(void)
{
    int n = muster_ranks();
    struct talk t = {.n = HOLDS / n};
    muster_process *processes = calloc((size_t)n, sizeof *processes);
    must(muster_lock_create(&t.lock, NULL));
    for (int i = 0; processes && i < n; i++)
        must(muster_process_create(&processes[i], hold, &t, sizeof t, NULL));
    double began = progress_clock();
    for (int i = 0; processes && i < n; i++)
        must(muster_process_start(processes[i]));
    for (int i = 0; processes && i < n; i++)
        must(muster_process_join(processes[i], NULL, MUSTER_FOREVER));
    free(processes);
    return progress_clock() - began;
}

int kernel_run(int *argc, char ***argv, const char *name)
{
    double seconds;
    must(muster_init(argc, argv, NULL));
    if (strcmp(name, "compute") == 0)
        seconds = map(compute, TASKS);
    else if (strcmp(name, "uneven") == 0)
        seconds = map(uneven, TASKS);
    else if (strcmp(name, "memory") == 0)
        seconds = map(triad, 48);
    else if (strcmp(name, "lock") == 0)
        seconds = contend();
    else
        seconds = talk(strcmp(name, "latency") == 0);
    printf("seconds %.9f\n", seconds);
    return muster_finalize();
}
