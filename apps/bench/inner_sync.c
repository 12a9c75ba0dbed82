/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <muster/muster.h>

/*
 * Each kind of synchronisation object beside its pthread counterpart, shared between processes: alone, and by two
 * processes at once. The pthread objects lie in an array of muster's.
 */

struct theirs {
    _Alignas(128) pthread_mutex_t mutex;
    pthread_cond_t cond[2];
    int turn, set;
    _Alignas(128) sem_t semaphore[2];
    _Alignas(128) pthread_barrier_t barrier;
    _Alignas(128) pthread_rwlock_t rwlock;
    _Alignas(128) _Atomic int64_t value;
};

struct kit {
    muster_event event;
    muster_semaphore semaphore[2];
    muster_barrier barrier;
    muster_lock lock;
    muster_condition cond[2];
    muster_rwlock rwlock;
    muster_value_i64 value, turn;
    muster_array memory;
    muster_queue go, results;
    int part;
    bool theirs;
};

static struct theirs *theirs;

/* ---- what is measured: rounds of it, by one of up to two ---- */

static void event_ours(struct kit *k, int which, int rounds)
{
    (void)which;
    for (int i = 0; i < rounds; i++) {
        muster_event_set(k->event);
        muster_event_wait(k->event, MUSTER_FOREVER);
        muster_event_clear(k->event);
    }
}

static void event_theirs(struct kit *k, int which, int rounds)
{
    (void)k, (void)which;
    for (int i = 0; i < rounds; i++) {
        pthread_mutex_lock(&theirs->mutex);
        theirs->set = 1;
        pthread_cond_broadcast(&theirs->cond[0]);
        pthread_mutex_unlock(&theirs->mutex);
        pthread_mutex_lock(&theirs->mutex);
        while (!theirs->set)
            pthread_cond_wait(&theirs->cond[0], &theirs->mutex);
        pthread_mutex_unlock(&theirs->mutex);
        pthread_mutex_lock(&theirs->mutex);
        theirs->set = 0;
        pthread_mutex_unlock(&theirs->mutex);
    }
}

static void semaphore_ours(struct kit *k, int which, int rounds)
{
    (void)which;
    for (int i = 0; i < rounds; i++) {
        muster_semaphore_acquire(k->semaphore[0], MUSTER_FOREVER);
        muster_semaphore_release(k->semaphore[0], 1);
    }
}

static void semaphore_theirs(struct kit *k, int which, int rounds)
{
    (void)k, (void)which;
    for (int i = 0; i < rounds; i++) {
        sem_wait(&theirs->semaphore[0]);
        sem_post(&theirs->semaphore[0]);
    }
}

/* One gives the permit to the other one, and back. */
static void hand_ours(struct kit *k, int which, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        muster_semaphore_acquire(k->semaphore[which], MUSTER_FOREVER);
        muster_semaphore_release(k->semaphore[1 - which], 1);
    }
}

static void hand_theirs(struct kit *k, int which, int rounds)
{
    (void)k;
    for (int i = 0; i < rounds; i++) {
        sem_wait(&theirs->semaphore[which]);
        sem_post(&theirs->semaphore[1 - which]);
    }
}

static void barrier_ours(struct kit *k, int which, int rounds)
{
    (void)which;
    for (int i = 0; i < rounds; i++)
        muster_barrier_wait(k->barrier, NULL, MUSTER_FOREVER);
}

static void barrier_theirs(struct kit *k, int which, int rounds)
{
    (void)k, (void)which;
    for (int i = 0; i < rounds; i++)
        pthread_barrier_wait(&theirs->barrier);
}

static void condition_ours(struct kit *k, int which, int rounds)
{
    int64_t turn;
    for (int i = 0; i < rounds; i++) {
        muster_lock_acquire(k->lock, MUSTER_FOREVER);
        while (muster_value_i64_load(k->turn, &turn) == MUSTER_OK && turn != which)
            muster_condition_wait(k->cond[which], MUSTER_FOREVER);
        muster_value_i64_store(k->turn, 1 - which);
        muster_condition_notify(k->cond[1 - which], 1, NULL);
        muster_lock_release(k->lock);
    }
}

static void condition_theirs(struct kit *k, int which, int rounds)
{
    (void)k;
    for (int i = 0; i < rounds; i++) {
        pthread_mutex_lock(&theirs->mutex);
        while (theirs->turn != which)
            pthread_cond_wait(&theirs->cond[which], &theirs->mutex);
        theirs->turn = 1 - which;
        pthread_cond_signal(&theirs->cond[1 - which]);
        pthread_mutex_unlock(&theirs->mutex);
    }
}

static void read_ours(struct kit *k, int which, int rounds)
{
    (void)which;
    for (int i = 0; i < rounds; i++) {
        muster_rwlock_acquire_read(k->rwlock, MUSTER_FOREVER);
        muster_rwlock_release(k->rwlock);
    }
}

static void read_theirs(struct kit *k, int which, int rounds)
{
    (void)k, (void)which;
    for (int i = 0; i < rounds; i++) {
        pthread_rwlock_rdlock(&theirs->rwlock);
        pthread_rwlock_unlock(&theirs->rwlock);
    }
}

/* Every tenth writes. */
static void rwlock_ours(struct kit *k, int which, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        if ((i + 5 * which) % 10)
            muster_rwlock_acquire_read(k->rwlock, MUSTER_FOREVER);
        else
            muster_rwlock_acquire_write(k->rwlock, MUSTER_FOREVER);
        muster_rwlock_release(k->rwlock);
    }
}

static void rwlock_theirs(struct kit *k, int which, int rounds)
{
    (void)k;
    for (int i = 0; i < rounds; i++) {
        if ((i + 5 * which) % 10)
            pthread_rwlock_rdlock(&theirs->rwlock);
        else
            pthread_rwlock_wrlock(&theirs->rwlock);
        pthread_rwlock_unlock(&theirs->rwlock);
    }
}

static void add_ours(struct kit *k, int which, int rounds)
{
    (void)which;
    for (int i = 0; i < rounds; i++)
        muster_value_i64_add(k->value, 1, NULL);
}

static void add_theirs(struct kit *k, int which, int rounds)
{
    (void)k, (void)which;
    for (int i = 0; i < rounds; i++)
        atomic_fetch_add(&theirs->value, 1);
}

static const struct part {
    const char *name;
    void (*ours)(struct kit *k, int which, int rounds);
    void (*theirs)(struct kit *k, int which, int rounds);
    int sides, rounds;
} parts[] = {
    {"event_free", event_ours, event_theirs, 1, 500000},
    {"semaphore_free", semaphore_ours, semaphore_theirs, 1, 1000000},
    {"semaphore_contended", semaphore_ours, semaphore_theirs, 2, 500000},
    {"semaphore_hand", hand_ours, hand_theirs, 2, 20000},
    {"barrier", barrier_ours, barrier_theirs, 2, 20000},
    {"condition", condition_ours, condition_theirs, 2, 10000},
    {"rwlock_read", read_ours, read_theirs, 1, 1000000},
    {"rwlock_write", rwlock_ours, rwlock_theirs, 1, 1000000},
    {"rwlock_contended", rwlock_ours, rwlock_theirs, 2, 300000},
    {"value_add", add_ours, add_theirs, 1, 3000000},
    {"value_add_contended", add_ours, add_theirs, 2, 1000000},
};

/* ---- both sides ---- */

static double measure(struct kit *k, int which)
{
    const struct part *part = &parts[k->part];
    double began = bench_now_s();
    (k->theirs ? part->theirs : part->ours)(k, which, part->rounds);
    return (bench_now_s() - began) / part->rounds * 1e6;
}

static int other_side(const void *arg, size_t size)
{
    (void)size;
    struct kit k = *(const struct kit *)arg;
    char go;
    bench_must(muster_array_data(k.memory, (void **)&theirs), "array");
    bench_must(muster_queue_get(k.go, &go, 1, NULL, MUSTER_FOREVER), "go");
    double us = measure(&k, 1);
    bench_must(muster_queue_put(k.results, &us, sizeof us, MUSTER_FOREVER), "result");
    return 0;
}

static double once(struct kit *k)
{
    muster_process process;
    double us, other = 0;
    if (parts[k->part].sides == 1)
        return measure(k, 0);
    bench_must(muster_process_create(&process, other_side, k, sizeof *k, NULL), "create");
    bench_must(muster_process_start(process), "start");
    bench_must(muster_queue_put(k->go, "", 1, MUSTER_FOREVER), "go");
    us = measure(k, 0);
    bench_must(muster_queue_get(k->results, &other, sizeof other, NULL, MUSTER_FOREVER), "collect");
    bench_must(muster_process_join(process, NULL, MUSTER_FOREVER), "join");
    bench_must(muster_process_close(process), "close");
    return us > other ? us : other;
}

static void make_theirs(void)
{
    pthread_mutexattr_t mutex;
    pthread_condattr_t cond;
    pthread_barrierattr_t barrier;
    pthread_rwlockattr_t rwlock;
    pthread_mutexattr_init(&mutex);
    pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&theirs->mutex, &mutex);
    pthread_condattr_init(&cond);
    pthread_condattr_setpshared(&cond, PTHREAD_PROCESS_SHARED);
    pthread_cond_init(&theirs->cond[0], &cond);
    pthread_cond_init(&theirs->cond[1], &cond);
    sem_init(&theirs->semaphore[0], 1, 1);
    sem_init(&theirs->semaphore[1], 1, 0);
    pthread_barrierattr_init(&barrier);
    pthread_barrierattr_setpshared(&barrier, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&theirs->barrier, &barrier, 2);
    pthread_rwlockattr_init(&rwlock);
    pthread_rwlockattr_setpshared(&rwlock, PTHREAD_PROCESS_SHARED);
    pthread_rwlock_init(&theirs->rwlock, &rwlock);
}

static void make_ours(struct kit *k)
{
    bench_must(muster_event_create(&k->event, NULL), "event");
    bench_must(muster_semaphore_create(&k->semaphore[0], 1, 0, NULL), "semaphore");
    bench_must(muster_semaphore_create(&k->semaphore[1], 0, 0, NULL), "semaphore");
    bench_must(muster_barrier_create(&k->barrier, 2, NULL), "barrier");
    bench_must(muster_lock_create(&k->lock, NULL), "lock");
    bench_must(muster_condition_create(&k->cond[0], k->lock, NULL), "condition");
    bench_must(muster_condition_create(&k->cond[1], k->lock, NULL), "condition");
    bench_must(muster_rwlock_create(&k->rwlock, NULL), "rwlock");
    bench_must(muster_value_i64_create(&k->value, 0, NULL), "value");
    bench_must(muster_value_i64_create(&k->turn, 0, NULL), "value");
    bench_must(muster_queue_create(&k->go, NULL), "queue");
    bench_must(muster_queue_create(&k->results, NULL), "queue");
    bench_must(muster_array_create(&k->memory, 1, sizeof(struct theirs), NULL), "array");
    bench_must(muster_array_data(k->memory, (void **)&theirs), "array");
}

void inner_sync(void)
{
    enum { TIMES = 5 };
    struct kit k = {0};
    make_ours(&k);
    make_theirs();
    for (size_t part = 0; part < sizeof parts / sizeof *parts; part++) {
        double us[2][TIMES];
        k.part = (int)part;
        for (int i = 0; i < 2 * TIMES; i++) {
            k.theirs = i % 2;
            us[i % 2][i / 2] = once(&k);
        }
        inner_figure(parts[part].name, bench_median(us[0], TIMES), bench_median(us[1], TIMES));
    }
}
