/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <muster/muster.h>

/*
 * A lock that more processes want than there are cores, each with BETWEEN_S of work of its own between its sections,
 * beside a process-shared pthread mutex. Figures: time an acquisition of any of them; the longest wait; how many
 * acquisitions one has in a row before another one has it; the least one's acquisitions as a part of the most one's.
 */

enum { MOST = 16, TIMES = 3 };
static const double BETWEEN_S = 100e-9, TURN_S = 1;

struct place {
    _Alignas(128) pthread_mutex_t mutex;
    _Alignas(128) int64_t last, changes; /* who had it last; how often it was another one than before */
};

struct contest {
    muster_lock lock;
    muster_queue ready, go, results;
    muster_array memory;
    int64_t who;
    bool theirs;
};

struct result {
    double count, worst_s;
};

struct figures {
    double us, worst_ms, in_a_row, fairness;
};

static void section(const struct contest *c, struct place *place)
{
    if (c->theirs)
        pthread_mutex_lock(&place->mutex);
    else
        bench_must(muster_lock_acquire(c->lock, MUSTER_FOREVER), "acquire");
    place->changes += place->last != c->who;
    place->last = c->who;
    if (c->theirs)
        pthread_mutex_unlock(&place->mutex);
    else
        bench_must(muster_lock_release(c->lock), "release");
}

static struct result contend_for(const struct contest *c, struct place *place)
{
    struct result result = {0};
    double now = bench_now_s(), end = now + TURN_S;
    while (now < end) {
        double began = now;
        section(c, place);
        now = bench_now_s();
        if (now - began > result.worst_s)
            result.worst_s = now - began;
        result.count++;
        for (double until = now + BETWEEN_S; now < until; now = bench_now_s())
            ;
    }
    return result;
}

static int contender(const void *arg, size_t size)
{
    (void)size;
    const struct contest *c = arg;
    struct place *place;
    char go;
    bench_must(muster_array_data(c->memory, (void **)&place), "array");
    bench_must(muster_queue_put(c->ready, "", 1, MUSTER_FOREVER), "ready");
    bench_must(muster_queue_get(c->go, &go, 1, NULL, MUSTER_FOREVER), "go");
    struct result result = contend_for(c, place);
    bench_must(muster_queue_put(c->results, &result, sizeof result, MUSTER_FOREVER), "result");
    return 0;
}

static void start_all(struct contest *c, muster_process *processes, int n)
{
    char ready;
    for (int i = 0; i < n; i++) {
        c->who = i + 1;
        bench_must(muster_process_create(&processes[i], contender, c, sizeof *c, NULL), "create");
        bench_must(muster_process_start(processes[i]), "start");
    }
    for (int i = 0; i < n; i++)
        bench_must(muster_queue_get(c->ready, &ready, 1, NULL, MUSTER_FOREVER), "ready");
    for (int i = 0; i < n; i++)
        bench_must(muster_queue_put(c->go, "", 1, MUSTER_FOREVER), "go");
}

static struct figures contest(struct contest *c, struct place *place, int n, bool theirs)
{
    muster_process processes[MOST];
    struct result one;
    double least = 1e18, most = 0, all = 0, worst_s = 0;
    c->theirs = theirs;
    place->changes = 0;
    start_all(c, processes, n);
    for (int i = 0; i < n; i++) {
        bench_must(muster_queue_get(c->results, &one, sizeof one, NULL, MUSTER_FOREVER), "collect");
        least = one.count < least ? one.count : least;
        most = one.count > most ? one.count : most;
        worst_s = one.worst_s > worst_s ? one.worst_s : worst_s;
        all += one.count;
    }
    for (int i = 0; i < n; i++) {
        bench_must(muster_process_join(processes[i], NULL, MUSTER_FOREVER), "join");
        bench_must(muster_process_close(processes[i]), "close");
    }
    return (struct figures){TURN_S / all * 1e6, worst_s * 1e3, all / (double)place->changes, least / most};
}

static void tell(int n, const char *what, double ours[TIMES], double theirs[TIMES])
{
    char name[64];
    snprintf(name, sizeof name, "lock_%d_%s", n, what);
    inner_figure(name, bench_median(ours, TIMES), bench_median(theirs, TIMES));
}

/* Both alternate. */
static void contests(struct contest *c, struct place *place, int n)
{
    double us[2][TIMES], worst[2][TIMES], in_a_row[2][TIMES], fairness[2][TIMES];
    for (int i = 0; i < 2 * TIMES; i++) {
        struct figures figures = contest(c, place, n, i % 2);
        us[i % 2][i / 2] = figures.us;
        worst[i % 2][i / 2] = figures.worst_ms;
        in_a_row[i % 2][i / 2] = figures.in_a_row;
        fairness[i % 2][i / 2] = figures.fairness;
    }
    tell(n, "crowd", us[0], us[1]);
    tell(n, "worst", worst[0], worst[1]);
    tell(n, "row", in_a_row[0], in_a_row[1]);
    tell(n, "fairness", fairness[0], fairness[1]);
}

void inner_contend(void)
{
    struct contest c = {0};
    struct place *place;
    pthread_mutexattr_t shared;
    bench_must(muster_lock_create(&c.lock, NULL), "lock");
    bench_must(muster_queue_create(&c.ready, NULL), "queue");
    bench_must(muster_queue_create(&c.go, NULL), "queue");
    bench_must(muster_queue_create(&c.results, NULL), "queue");
    bench_must(muster_array_create(&c.memory, 1, sizeof *place, NULL), "array");
    bench_must(muster_array_data(c.memory, (void **)&place), "array");
    pthread_mutexattr_init(&shared);
    pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&place->mutex, &shared);
    for (int n = 4; n <= MOST; n *= 2)
        contests(&c, place, n);
    muster_array_destroy(c.memory);
    muster_lock_destroy(c.lock);
    muster_queue_destroy(c.ready);
    muster_queue_destroy(c.go);
    muster_queue_destroy(c.results);
}
