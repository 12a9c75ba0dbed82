/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <muster/muster.h>

/*
 * 8 bytes a time from one process to another: through a queue, one by one and many at once, and through a bare ring in
 * shared memory, which knows one producer and one consumer, and neither sleeps, closes nor survives anybody.
 */

enum { ITEMS = 1 << 20, SLOTS = 4096, MANY = 256, TIMES = 5 };

struct ring {
    _Alignas(128) _Atomic uint64_t head; /* the consumer's */
    _Alignas(128) _Atomic uint64_t tail; /* the producer's */
    _Alignas(128) uint64_t slots[SLOTS];
};

struct way {
    muster_queue queue;
    muster_array memory;
    enum { ONE, BATCH, RING } how;
};

static void put_in_ring(struct ring *ring, uint64_t item, uint64_t *head_seen)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    for (int spins = 1; tail - *head_seen == SLOTS; spins++) {
        *head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
        if (spins % 1024 == 0)
            sched_yield();
    }
    ring->slots[tail % SLOTS] = item;
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
}

static uint64_t get_from_ring(struct ring *ring, uint64_t *tail_seen)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    for (int spins = 1; head == *tail_seen; spins++) {
        *tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
        if (spins % 1024 == 0)
            sched_yield();
    }
    uint64_t item = ring->slots[head % SLOTS];
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
    return item;
}

static struct ring *ring_of(const struct way *way)
{
    void *ring;
    bench_must(muster_array_data(way->memory, &ring), "array");
    return ring;
}

static int produce(const void *arg, size_t size)
{
    (void)size;
    const struct way *way = arg;
    struct ring *ring = ring_of(way);
    uint64_t seen = atomic_load(&ring->head), items[MANY];
    for (uint64_t i = 0; i < MANY; i++)
        items[i] = i;
    for (uint64_t i = 0; i < ITEMS; i += way->how == BATCH ? MANY : 1)
        if (way->how == RING)
            put_in_ring(ring, i % MANY, &seen);
        else if (way->how == ONE)
            bench_must(muster_queue_put(way->queue, &items[i % MANY], sizeof *items, MUSTER_FOREVER), "put");
        else
            bench_must(muster_queue_put_many(way->queue, items, MANY, sizeof *items, NULL, MUSTER_FOREVER), "put");
    return 0;
}

/* How many items have come; adds them to *sum. */
static int64_t consume(const struct way *way, struct ring *ring, uint64_t *seen, uint64_t *sum)
{
    int64_t got = 1;
    uint64_t items[MANY];
    if (way->how == RING)
        items[0] = get_from_ring(ring, seen);
    else if (way->how == ONE)
        bench_must(muster_queue_get(way->queue, items, sizeof *items, NULL, MUSTER_FOREVER), "get");
    else
        bench_must(muster_queue_get_many(way->queue, items, sizeof items, MANY, NULL, &got, MUSTER_FOREVER), "get");
    for (int64_t i = 0; i < got; i++)
        *sum += items[i];
    return got;
}

/* Microseconds an item, once the first ones have come. */
static double once(struct way *way)
{
    struct ring *ring = ring_of(way);
    uint64_t seen = atomic_load(&ring->tail), sum = 0;
    muster_process producer;
    bench_must(muster_process_create(&producer, produce, way, sizeof *way, NULL), "create");
    bench_must(muster_process_start(producer), "start");
    int64_t first = consume(way, ring, &seen, &sum), got = first;
    double began = bench_now_s();
    while (got < ITEMS)
        got += consume(way, ring, &seen, &sum);
    double took = bench_now_s() - began;
    bench_must(muster_process_join(producer, NULL, MUSTER_FOREVER), "join");
    bench_must(muster_process_close(producer), "close");
    if (sum != (uint64_t)ITEMS * (MANY - 1) / 2) {
        fprintf(stderr, "bench: what came through the ring or the queue is not what was sent\n");
        exit(1);
    }
    return took / (double)(ITEMS - first) * 1e6;
}

void inner_ring(void)
{
    struct way way = {0};
    double us[RING + 1][TIMES];
    bench_must(muster_queue_create(&way.queue, NULL), "queue");
    bench_must(muster_array_create(&way.memory, 1, sizeof(struct ring), NULL), "array");
    for (int i = 0; i < TIMES * (RING + 1); i++) {
        way.how = i % (RING + 1);
        us[i % (RING + 1)][i / (RING + 1)] = once(&way);
    }
    double ring = bench_median(us[RING], TIMES);
    inner_figure("ring_one", bench_median(us[ONE], TIMES), ring);
    inner_figure("ring_many", bench_median(us[BATCH], TIMES), ring);
    muster_array_destroy(way.memory);
    muster_queue_destroy(way.queue);
}
