/* SPDX-License-Identifier: BSD-3-Clause */
#include "between.h"

#include <mpi.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench.h"

/*
 * Waits over two hosts: a barrier beside MPI's, and many threads there that wait for an object here, beside one. They
 * wait for an event, which calls all of them, and then for items of a queue, each of which calls one.
 */

enum { ROUNDS = 3000, ITEMS = 300 };

/* ---- barrier ---- */

static int raw_side(const void *item, void *result, const void *user)
{
    (void)item, (void)result, (void)user;
    for (int i = 0; i < ROUNDS; i++)
        MPI_Barrier(MPI_COMM_WORLD);
    return 0;
}

double between_raw_barrier(muster_pool pool)
{
    muster_task task;
    bench_must(muster_pool_submit(pool, &task, raw_side, "", 1, 0, NULL), "submit");
    MPI_Barrier(MPI_COMM_WORLD);
    double began = bench_now_s();
    for (int i = 1; i < ROUNDS; i++)
        MPI_Barrier(MPI_COMM_WORLD);
    double took = bench_now_s() - began;
    bench_must(muster_task_get(task, NULL, 0, MUSTER_FOREVER), "get");
    return took / (ROUNDS - 1) * 1e6;
}

static int barrier_side(const void *arg, size_t size)
{
    (void)size;
    for (int i = 0; i < ROUNDS; i++)
        bench_must(muster_barrier_wait(*(const muster_barrier *)arg, NULL, MUSTER_FOREVER), "barrier");
    return 0;
}

double between_barrier(void)
{
    muster_barrier barrier;
    bench_must(muster_barrier_create(&barrier, 2, NULL), "barrier");
    muster_process other = between_start(barrier_side, &barrier, sizeof barrier);
    bench_must(muster_barrier_wait(barrier, NULL, MUSTER_FOREVER), "barrier");
    double began = bench_now_s();
    for (int i = 1; i < ROUNDS; i++)
        bench_must(muster_barrier_wait(barrier, NULL, MUSTER_FOREVER), "barrier");
    double took = bench_now_s() - began;
    between_end(other);
    muster_barrier_destroy(barrier);
    return took / (ROUNDS - 1) * 1e6;
}

/* ---- many that wait ---- */

struct crowd {
    muster_event event;
    muster_queue items, begun, awake;
    int n;
};

static const struct crowd *crowd; /* of those there; borrowed until all have gone */
static _Atomic int begun, called;

static void *one_waits(void *none)
{
    char item;
    muster_err err;
    if (atomic_fetch_add(&begun, 1) + 1 == crowd->n)
        bench_must(muster_queue_put(crowd->begun, "", 1, MUSTER_FOREVER), "begun");
    bench_must(muster_event_wait(crowd->event, MUSTER_FOREVER), "wait");
    if (atomic_fetch_add(&called, 1) + 1 == crowd->n)
        bench_must(muster_queue_put(crowd->awake, "", 1, MUSTER_FOREVER), "awake");
    while ((err = muster_queue_get(crowd->items, &item, 1, NULL, MUSTER_FOREVER)) == MUSTER_OK)
        bench_must(muster_queue_put(crowd->awake, "", 1, MUSTER_FOREVER), "awake");
    bench_must(err == MUSTER_ERR_CLOSED ? MUSTER_OK : err, "get");
    return none;
}

static int crowd_there(const void *arg, size_t size)
{
    (void)size;
    pthread_attr_t small;
    pthread_t *threads;
    crowd = arg;
    threads = malloc((size_t)crowd->n * sizeof *threads);
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 1 << 16);
    for (int i = 0; i < crowd->n; i++)
        bench_must(pthread_create(&threads[i], &small, one_waits, NULL) ? MUSTER_ERR_NOMEM : MUSTER_OK, "thread");
    for (int i = 0; i < crowd->n; i++)
        pthread_join(threads[i], NULL);
    free(threads);
    return 0;
}

/* When all have come to stand in line here: when the memory that this takes does not grow any more. */
static double settled_kib(void)
{
    double kib = (double)bench_family_pss_kib(), before;
    for (int same = 0; same<5; same = kib> before ? 0 : same + 1) {
        before = kib;
        usleep(100000);
        kib = (double)bench_family_pss_kib();
    }
    return kib;
}

static double until_awake(const struct crowd *c)
{
    char awake;
    double began = bench_now_s();
    bench_must(muster_event_set(c->event), "set");
    bench_must(muster_queue_get(c->awake, &awake, 1, NULL, MUSTER_FOREVER), "awake");
    return (bench_now_s() - began) * 1e6;
}

static double until_got(const struct crowd *c)
{
    double us[ITEMS];
    for (int i = 0; i < ITEMS; i++) {
        char awake;
        double began = bench_now_s();
        bench_must(muster_queue_put(c->items, "", 1, MUSTER_FOREVER), "put");
        bench_must(muster_queue_get(c->awake, &awake, 1, NULL, MUSTER_FOREVER), "awake");
        us[i] = (bench_now_s() - began) * 1e6;
    }
    return bench_median(us, ITEMS);
}

struct between_crowd between_crowd(int n)
{
    struct between_crowd figures;
    struct crowd c = {.n = n};
    char word;
    bench_must(muster_event_create(&c.event, NULL), "event");
    bench_must(muster_queue_create(&c.items, NULL), "queue");
    bench_must(muster_queue_create(&c.begun, NULL), "queue");
    bench_must(muster_queue_create(&c.awake, NULL), "queue");
    double before_kib = (double)bench_family_pss_kib();
    muster_process there = between_start(crowd_there, &c, sizeof c);
    bench_must(muster_queue_get(c.begun, &word, 1, NULL, MUSTER_FOREVER), "begun");
    figures.kib = settled_kib() - before_kib;
    figures.event_us = until_awake(&c) / n;
    settled_kib();
    figures.queue_us = until_got(&c);
    bench_must(muster_queue_close(c.items), "close");
    between_end(there);
    muster_event_destroy(c.event);
    muster_queue_destroy(c.items);
    muster_queue_destroy(c.begun);
    muster_queue_destroy(c.awake);
    return figures;
}
