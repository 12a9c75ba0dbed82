/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <muster/muster.h>

struct contender {
    muster_lock lock;
    muster_queue go, results;
    int rounds; /* 0: for one second */
    double seconds;
};

static double lock_loop(muster_lock lock, int rounds)
{
    double began = bench_now_s();
    for (int i = 0; i < rounds; i++) {
        muster_lock_acquire(lock, MUSTER_FOREVER);
        muster_lock_release(lock);
    }
    return (bench_now_s() - began) / rounds * 1e6;
}

static double count_for(muster_lock lock, double seconds)
{
    double count = 0, end = bench_now_s() + seconds;
    do
        for (int i = 0; i < 100; i++, count++) {
            muster_lock_acquire(lock, MUSTER_FOREVER);
            muster_lock_release(lock);
        }
    while (bench_now_s() < end);
    return count;
}

static int contend(const void *arg, size_t size)
{
    (void)size;
    const struct contender *c = arg;
    char go;
    bench_must(muster_queue_get(c->go, &go, 1, NULL, MUSTER_FOREVER), "go");
    double figure = c->rounds ? lock_loop(c->lock, c->rounds) : count_for(c->lock, c->seconds);
    bench_must(muster_queue_put(c->results, &figure, sizeof figure, MUSTER_FOREVER), "result");
    return 0;
}

/* Starts n contenders, lets them go together, collects their figures. */
static void contest(struct contender *c, int n, double *figures)
{
    muster_process processes[16];
    for (int i = 0; i < n; i++) {
        bench_must(muster_process_create(&processes[i], contend, c, sizeof *c, NULL), "create");
        bench_must(muster_process_start(processes[i]), "start");
    }
    usleep(50000);
    for (int i = 0; i < n; i++)
        bench_must(muster_queue_put(c->go, "", 1, MUSTER_FOREVER), "go");
    for (int i = 0; i < n; i++)
        bench_must(muster_queue_get(c->results, &figures[i], sizeof *figures, NULL, MUSTER_FOREVER), "collect");
    for (int i = 0; i < n; i++) {
        bench_must(muster_process_join(processes[i], NULL, MUSTER_FOREVER), "join");
        bench_must(muster_process_close(processes[i]), "close");
    }
}

void inner_lock(void)
{
    struct contender c = {.rounds = 1000000, .seconds = 1};
    double figures[16], medians[5];
    bench_must(muster_lock_create(&c.lock, NULL), "lock");
    bench_must(muster_queue_create(&c.go, NULL), "queue");
    bench_must(muster_queue_create(&c.results, NULL), "queue");
    for (int i = 0; i < 5; i++)
        medians[i] = lock_loop(c.lock, 1000000);
    inner_figure("lock_free", bench_median(medians, 5), 0);
    for (int i = 0; i < 5; i++) {
        contest(&c, 2, figures);
        medians[i] = figures[0] > figures[1] ? figures[0] : figures[1];
    }
    inner_figure("lock_contended", bench_median(medians, 5), 0);

    c.rounds = 0;
    contest(&c, 4, figures);
    double least = figures[0], most = figures[0];
    for (int i = 1; i < 4; i++) {
        least = figures[i] < least ? figures[i] : least;
        most = figures[i] > most ? figures[i] : most;
    }
    inner_figure("lock_fairness", least / most, 0);
    muster_lock_destroy(c.lock);
    muster_queue_destroy(c.go);
    muster_queue_destroy(c.results);
}
