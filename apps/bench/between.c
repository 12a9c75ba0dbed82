/* SPDX-License-Identifier: BSD-3-Clause */
#include "between.h"
#include "bench.h"
#include "table.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * What goes between two hosts, beside raw MPI between the same two ranks. "Here" is rank 0's host, "there" the other
 * one. The raw side is a task in the other rank, which sits in MPI meanwhile.
 */

enum {
    ROUNDS = 3000,
    SMALL = 100000,
    LARGE = 300,
    LARGE_BYTES = 1 << 20,
    MAP_ITEMS = 10000,
    TRIES = 3,
    TAG = 7,
    CROWD = 10000
};

static const int there = 1;

/* ---- raw MPI ---- */

struct raw {
    int bytes, messages;
    bool answers; /* each message is answered */
};

static int raw_side(const void *item, void *result, const void *user)
{
    (void)result;
    (void)user;
    const struct raw *raw = item;
    char *buffer = calloc(1, (size_t)raw->bytes);
    for (int i = 0; i < raw->messages; i++) {
        MPI_Send(buffer, raw->bytes, MPI_BYTE, 0, TAG, MPI_COMM_WORLD);
        if (raw->answers)
            MPI_Recv(buffer, raw->bytes, MPI_BYTE, 0, TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    }
    free(buffer);
    return 0;
}

/* Microseconds a message, or a message and its answer. */
static double raw_once(muster_pool pool, struct raw raw)
{
    char *buffer = calloc(1, (size_t)raw.bytes);
    muster_task task;
    double began = 0;
    bench_must(muster_pool_submit(pool, &task, raw_side, &raw, sizeof raw, 0, NULL), "submit");
    for (int i = 0; i < raw.messages; i++) {
        MPI_Recv(buffer, raw.bytes, MPI_BYTE, there, TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        if (i == 0)
            began = bench_now_s();
        if (raw.answers)
            MPI_Send(buffer, raw.bytes, MPI_BYTE, there, TAG, MPI_COMM_WORLD);
    }
    double took = bench_now_s() - began;
    bench_must(muster_task_get(task, NULL, 0, MUSTER_FOREVER), "get");
    free(buffer);
    return took / (raw.messages - 1) * 1e6;
}

/* ---- objects that are at home there ---- */

struct objects {
    muster_queue queue, end;
    muster_lock lock;
};

static int own_objects(const void *arg, size_t size)
{
    (void)size;
    struct objects objects;
    char end;
    bench_must(muster_queue_create(&objects.queue, NULL), "queue");
    bench_must(muster_queue_create(&objects.end, NULL), "queue");
    bench_must(muster_lock_create(&objects.lock, NULL), "lock");
    bench_must(muster_queue_put(*(const muster_queue *)arg, &objects, sizeof objects, MUSTER_FOREVER), "put");
    bench_must(muster_queue_get(objects.end, &end, 1, NULL, MUSTER_FOREVER), "get");
    return 0;
}

static muster_process start_at(int rank, muster_process_fn fn, const void *arg, size_t size)
{
    muster_process process;
    bench_must(muster_process_create(&process, fn, arg, size, &(muster_process_options){.on = muster_on_rank(rank)}),
               "create");
    bench_must(muster_process_start(process), "start");
    return process;
}

muster_process between_start(muster_process_fn fn, const void *arg, size_t size)
{
    return start_at(there, fn, arg, size);
}

void between_end(muster_process process)
{
    bench_must(muster_process_join(process, NULL, MUSTER_FOREVER), "join");
    bench_must(muster_process_close(process), "close");
}

/* ---- locks ---- */

static double lock_once(muster_lock lock)
{
    double began = bench_now_s();
    for (int i = 0; i < ROUNDS; i++) {
        bench_must(muster_lock_acquire(lock, MUSTER_FOREVER), "acquire");
        bench_must(muster_lock_release(lock), "release");
    }
    return (bench_now_s() - began) / ROUNDS * 1e6;
}

struct contender {
    muster_lock lock;
    muster_queue ready, go, counts;
};

static int contend(const void *arg, size_t size)
{
    (void)size;
    const struct contender *c = arg;
    char go;
    int64_t count = 0;
    bench_must(muster_queue_put(c->ready, "", 1, MUSTER_FOREVER), "ready");
    bench_must(muster_queue_get(c->go, &go, 1, NULL, MUSTER_FOREVER), "go");
    for (double end = bench_now_s() + 1; bench_now_s() < end; count++) {
        bench_must(muster_lock_acquire(c->lock, MUSTER_FOREVER), "acquire");
        bench_must(muster_lock_release(c->lock), "release");
    }
    bench_must(muster_queue_put(c->counts, &count, sizeof count, MUSTER_FOREVER), "count");
    return 0;
}

/* Two on each host for a second: microseconds an acquisition of any of them; *fairness: least count / most. */
static double contest(muster_lock lock, double *fairness)
{
    enum { CONTENDERS = 4 };
    struct contender c = {.lock = lock};
    muster_process processes[CONTENDERS];
    int64_t least = INT64_MAX, most = 0, all = 0, count;
    char ready;
    bench_must(muster_queue_create(&c.ready, NULL), "queue");
    bench_must(muster_queue_create(&c.go, NULL), "queue");
    bench_must(muster_queue_create(&c.counts, NULL), "queue");
    for (int i = 0; i < CONTENDERS; i++)
        processes[i] = start_at(i % 2, contend, &c, sizeof c);
    for (int i = 0; i < CONTENDERS; i++)
        bench_must(muster_queue_get(c.ready, &ready, 1, NULL, MUSTER_FOREVER), "ready");
    for (int i = 0; i < CONTENDERS; i++)
        bench_must(muster_queue_put(c.go, "", 1, MUSTER_FOREVER), "go");
    for (int i = 0; i < CONTENDERS; i++) {
        bench_must(muster_queue_get(c.counts, &count, sizeof count, NULL, MUSTER_FOREVER), "count");
        least = count < least ? count : least;
        most = count > most ? count : most;
        all += count;
    }
    for (int i = 0; i < CONTENDERS; i++)
        between_end(processes[i]);
    muster_queue_destroy(c.ready);
    muster_queue_destroy(c.go);
    muster_queue_destroy(c.counts);
    *fairness = (double)least / (double)most;
    return 1e6 / (double)all;
}

/* ---- queues ---- */

struct stream {
    muster_queue queue;
    size_t bytes;
    int items;
};

static int produce(const void *arg, size_t size)
{
    (void)size;
    const struct stream *s = arg;
    char *buffer = calloc(1, s->bytes);
    for (int i = 0; i < s->items; i++)
        bench_must(muster_queue_put(s->queue, buffer, s->bytes, MUSTER_FOREVER), "put");
    free(buffer);
    return 0;
}

/* A producer there, the consumer here, the queue wherever it is. Microseconds an item. */
static double stream_once(muster_queue queue, size_t bytes, int items)
{
    struct stream s = {.queue = queue, .bytes = bytes, .items = items};
    char *buffer = malloc(bytes);
    muster_process producer = between_start(produce, &s, sizeof s);
    bench_must(muster_queue_get(queue, buffer, bytes, NULL, MUSTER_FOREVER), "get");
    double began = bench_now_s();
    for (int i = 1; i < items; i++)
        bench_must(muster_queue_get(queue, buffer, bytes, NULL, MUSTER_FOREVER), "get");
    double took = bench_now_s() - began;
    between_end(producer);
    free(buffer);
    return took / (items - 1) * 1e6;
}

/* ---- pools ---- */

static int echo(const void *item, void *result, const void *user)
{
    (void)user;
    *(int *)result = *(const int *)item;
    return 0;
}

static double submit_once(muster_pool pool)
{
    double began = bench_now_s();
    for (int i = 0; i < ROUNDS; i++) {
        muster_task task;
        int result;
        bench_must(muster_pool_submit(pool, &task, echo, &i, sizeof i, sizeof result, NULL), "submit");
        bench_must(muster_task_get(task, &result, sizeof result, MUSTER_FOREVER), "get");
    }
    return (bench_now_s() - began) / ROUNDS * 1e6;
}

static int nap(const void *item, void *result, const void *user)
{
    (void)item;
    (void)user;
    double began = bench_now_s();
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    *(double *)result = bench_now_s() - began;
    return 0;
}

/* Part of the workers' time that was spent in tasks. */
static double map_once(void)
{
    static char items[MAP_ITEMS];
    static double naps[MAP_ITEMS];
    muster_pool pool;
    int workers;
    double in_tasks = 0;
    bench_must(muster_pool_create(&pool, NULL), "pool");
    bench_must(muster_pool_workers(pool, &workers), "workers");
    double began = bench_now_s();
    bench_must(muster_pool_map(pool, nap, items, MAP_ITEMS, 1, naps, sizeof *naps, NULL), "map");
    double took = bench_now_s() - began;
    bench_must(muster_pool_destroy(pool), "destroy");
    for (int i = 0; i < MAP_ITEMS; i++)
        in_tasks += naps[i];
    return in_tasks / (took * workers);
}

/* ---- the table ---- */

enum figure {
    ROUND_TRIP,
    RAW_SMALL,
    RAW_LARGE,
    LOCK_FREE,
    LOCK_CONTENDED,
    LOCK_FAIRNESS,
    SMALL_HERE,
    SMALL_THERE,
    LARGE_HERE,
    LARGE_THERE,
    SUBMIT,
    MAP,
    COMPUTING,
    FORK,
    FORK_LEAST,
    BARRIER,
    RAW_BARRIER,
    ONE_QUEUE,
    CROWD_EVENT,
    CROWD_QUEUE,
    CROWD_KIB,
    FIGURES
};

static void measure_crowd(double figures[FIGURES][TRIES], int i)
{
    struct between_crowd one = between_crowd(1), crowd = between_crowd(CROWD);
    figures[ONE_QUEUE][i] = one.queue_us;
    figures[CROWD_EVENT][i] = crowd.event_us;
    figures[CROWD_QUEUE][i] = crowd.queue_us;
    figures[CROWD_KIB][i] = i ? figures[CROWD_KIB][0] : crowd.kib; /* it stays touched */
}

static void measure(const struct objects *far, double figures[FIGURES][TRIES])
{
    muster_pool pool; /* whose tasks run there: the caller is idle */
    muster_queue near;
    muster_lock lock;
    bench_must(muster_pool_create(&pool, &(muster_pool_options){.caller_idle = true}), "pool");
    bench_must(muster_queue_create(&near, NULL), "queue");
    bench_must(muster_lock_create(&lock, NULL), "lock");
    for (int i = 0; i < TRIES; i++) {
        figures[ROUND_TRIP][i] = raw_once(pool, (struct raw){8, ROUNDS, true});
        figures[RAW_SMALL][i] = raw_once(pool, (struct raw){8, SMALL, false});
        figures[RAW_LARGE][i] = raw_once(pool, (struct raw){LARGE_BYTES, LARGE, false});
        figures[LOCK_FREE][i] = lock_once(far->lock);
        figures[LOCK_CONTENDED][i] = contest(lock, &figures[LOCK_FAIRNESS][i]);
        figures[SMALL_HERE][i] = stream_once(near, 8, SMALL);
        figures[SMALL_THERE][i] = stream_once(far->queue, 8, SMALL);
        figures[LARGE_HERE][i] = stream_once(near, LARGE_BYTES, LARGE);
        figures[LARGE_THERE][i] = stream_once(far->queue, LARGE_BYTES, LARGE);
        figures[SUBMIT][i] = submit_once(pool);
        figures[MAP][i] = map_once();
        figures[COMPUTING][i] = between_computing(pool);
        figures[FORK][i] = between_fork(&figures[FORK_LEAST][i]);
        figures[RAW_BARRIER][i] = between_raw_barrier(pool);
        figures[BARRIER][i] = between_barrier();
        measure_crowd(figures, i);
    }
    muster_lock_destroy(lock);
    muster_queue_destroy(near);
    bench_must(muster_pool_destroy(pool), "destroy");
}

static void fill(struct table *t, double figures[FIGURES][TRIES])
{
    double f[FIGURES];
    for (int i = 0; i < FIGURES; i++)
        f[i] = bench_median(figures[i], TRIES);
    double trip = f[ROUND_TRIP];
    table_add(t, (struct row){"raw MPI, 8 B there and back", "us", "", trip, 0, 0, 0, false});
    table_add(t, (struct row){"lock, free, there", "us", "round trip", f[LOCK_FREE], trip, 0, 1.5, false});
    table_add(t, (struct row){"lock, 2 contenders a host", "us", "round trip", f[LOCK_CONTENDED], trip, 0, 3, true});
    table_add(t, (struct row){"lock, least / most of them", "", "1", 1 / f[LOCK_FAIRNESS], 1, 0, 0.5, true});
    table_add(t, (struct row){"queue 8 B, from there; home here", "us", "raw MPI stream", f[SMALL_HERE], f[RAW_SMALL],
                              0, 1, true});
    table_add(t, (struct row){"queue 8 B, from there; home there", "us", "raw MPI stream", f[SMALL_THERE], f[RAW_SMALL],
                              0, 1, true});
    table_add(t, (struct row){"queue 1 MiB, from there; home here", "us", "raw MPI stream", f[LARGE_HERE], f[RAW_LARGE],
                              0, 0.8, true});
    table_add(t, (struct row){"queue 1 MiB, from there; home there", "us", "raw MPI stream", f[LARGE_THERE],
                              f[RAW_LARGE], 0, 0.8, true});
    table_add(t, (struct row){"submit, get, there", "us", "round trip", f[SUBMIT], trip, 0, 2, false});
    table_add(t, (struct row){"map 10,000 of 1 ms: time not in tasks", "", "0.05", 1 - f[MAP], 0.05, 0, 1, false});
    table_add(t, (struct row){"map, computing, of 100 us: time not in tasks", "", "0.05", 1 - f[COMPUTING], 0.05, 0, 1,
                              false});
    table_add(t, (struct row){"fork-join, uneven tree: of twice one's speed", "", "1", 1 / f[FORK], 1, 0, 0.85, true});
    table_add(t, (struct row){"  share of the host that has less of it", "", "2", 1 / f[FORK_LEAST], 2, 0, 0.8, true});
    table_add(t, (struct row){"barrier, one here, one there", "us", "MPI_Barrier", f[BARRIER], f[RAW_BARRIER], 0, 1.5,
                              false});
    table_add(t, (struct row){"event, 10,000 there wait: a wake", "us", "one, for an item", f[CROWD_EVENT],
                              f[ONE_QUEUE], 0, 2, false});
    table_add(t, (struct row){"queue, 10,000 there wait: an item", "us", "one, for an item", f[CROWD_QUEUE],
                              f[ONE_QUEUE], 0, 2, false});
    table_add(t, (struct row){"  memory here for them", "KiB", "4 MiB", f[CROWD_KIB], 4096, 0, 1, false});
}

int between_main(int argc, char **argv)
{
    bool json = argc > 2 && strcmp(argv[2], "--json") == 0;
    muster_err err = muster_init(&argc, &argv, NULL);
    if (err) {
        fprintf(stderr, "bench: %s\n", muster_err_detail());
        return 1;
    }
    if (muster_ranks() != 2 || muster_hosts() != 2) {
        fprintf(stderr, "bench: --between wants one rank on each of two hosts; these are %d on %d\n", muster_ranks(),
                muster_hosts());
        exit(2);
    }
    static double figures[FIGURES][TRIES];
    static struct table table;
    struct objects far;
    muster_queue answers;
    bench_must(muster_queue_create(&answers, NULL), "queue");
    muster_process owner = between_start(own_objects, &answers, sizeof answers);
    bench_must(muster_queue_get(answers, &far, sizeof far, NULL, MUSTER_FOREVER), "get");
    measure(&far, figures);
    bench_must(muster_queue_put(far.end, "", 1, MUSTER_FOREVER), "put");
    between_end(owner);
    muster_queue_destroy(answers);
    fill(&table, figures);
    if (json)
        table_print_json(&table);
    else
        table_print(&table);
    return muster_finalize();
}
