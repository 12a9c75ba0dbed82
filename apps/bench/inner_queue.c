/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <muster/muster.h>

enum { SMALL = 1000000, LARGE = 400, LARGE_BYTES = 1 << 20 };

/* ---- the yardstick: raw MPI between rank 0 and a task in rank 1 ---- */

static int mpi_send_all(const void *item, void *result, const void *user)
{
    (void)result;
    (void)user;
    const int *what = item; /* bytes, messages */
    char *buffer = calloc(1, (size_t)what[0]);
    for (int i = 0; i < what[1]; i++)
        MPI_Send(buffer, what[0], MPI_BYTE, 0, 7, MPI_COMM_WORLD);
    free(buffer);
    return 0;
}

static double mpi_stream(muster_pool pool, int bytes, int messages)
{
    int what[2] = {bytes, messages};
    char *buffer = calloc(1, (size_t)bytes);
    muster_task task;
    bench_must(muster_pool_submit(pool, &task, mpi_send_all, what, sizeof what, 0, NULL), "submit");
    MPI_Recv(buffer, bytes, MPI_BYTE, 1, 7, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    double began = bench_now_s();
    for (int i = 1; i < messages; i++)
        MPI_Recv(buffer, bytes, MPI_BYTE, 1, 7, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    double took = bench_now_s() - began;
    bench_must(muster_task_get(task, NULL, 0, MUSTER_FOREVER), "get");
    free(buffer);
    return took / (messages - 1) * 1e6;
}

/* ---- ours ---- */

struct stream {
    muster_queue queue, ready;
    size_t bytes;
    int items;
};

static int produce(const void *arg, size_t size)
{
    (void)size;
    const struct stream *s = arg;
    char *buffer = calloc(1, s->bytes);
    bench_must(muster_queue_put(s->ready, "", 1, MUSTER_FOREVER), "ready");
    for (int i = 0; i < s->items; i++)
        bench_must(muster_queue_put(s->queue, buffer, s->bytes, MUSTER_FOREVER), "put");
    free(buffer);
    return 0;
}

static int consume(const void *arg, size_t size)
{
    (void)size;
    const struct stream *s = arg;
    char *buffer = malloc(s->bytes);
    bench_must(muster_queue_put(s->ready, "", 1, MUSTER_FOREVER), "ready");
    for (int i = 0; i < s->items; i++)
        bench_must(muster_queue_get(s->queue, buffer, s->bytes, NULL, MUSTER_FOREVER), "get");
    free(buffer);
    return 0;
}

static double stream_one(size_t bytes, int items, int64_t maxsize)
{
    struct stream s = {.bytes = bytes, .items = items};
    char *buffer = malloc(bytes);
    muster_process producer;
    bench_must(muster_queue_create(&s.queue, &(muster_queue_options){.maxsize = maxsize}), "queue");
    bench_must(muster_queue_create(&s.ready, NULL), "queue");
    bench_must(muster_process_create(&producer, produce, &s, sizeof s, NULL), "create");
    bench_must(muster_process_start(producer), "start");
    bench_must(muster_queue_get(s.queue, buffer, bytes, NULL, MUSTER_FOREVER), "get");
    double began = bench_now_s();
    for (int i = 1; i < items; i++)
        bench_must(muster_queue_get(s.queue, buffer, bytes, NULL, MUSTER_FOREVER), "get");
    double took = bench_now_s() - began;
    bench_must(muster_process_join(producer, NULL, MUSTER_FOREVER), "join");
    muster_process_close(producer);
    muster_queue_destroy(s.queue);
    muster_queue_destroy(s.ready);
    free(buffer);
    return took / (items - 1) * 1e6;
}

static double stream_two_by_two(int items)
{
    struct stream s = {.bytes = 8, .items = items};
    muster_process processes[4];
    char word;
    bench_must(muster_queue_create(&s.queue, NULL), "queue");
    bench_must(muster_queue_create(&s.ready, NULL), "queue");
    for (int i = 0; i < 4; i++)
        bench_must(muster_process_create(&processes[i], i < 2 ? consume : produce, &s, sizeof s, NULL), "create");
    for (int i = 0; i < 2; i++)
        bench_must(muster_process_start(processes[i]), "start");
    for (int i = 0; i < 2; i++)
        bench_must(muster_queue_get(s.ready, &word, 1, NULL, MUSTER_FOREVER), "ready");
    double began = bench_now_s();
    for (int i = 2; i < 4; i++)
        bench_must(muster_process_start(processes[i]), "start");
    for (int i = 0; i < 4; i++)
        bench_must(muster_process_join(processes[i], NULL, MUSTER_FOREVER), "join");
    double took = bench_now_s() - began;
    for (int i = 0; i < 4; i++)
        muster_process_close(processes[i]);
    muster_queue_destroy(s.queue);
    muster_queue_destroy(s.ready);
    return took / (2.0 * items) * 1e6;
}

void inner_queue(void)
{
    double small[5], two[5], large[5], mpi_small = 0, mpi_large = 0;
    for (int i = 0; i < 5; i++) {
        small[i] = stream_one(8, SMALL, 0);
        two[i] = stream_two_by_two(SMALL / 2);
        large[i] = stream_one(LARGE_BYTES, LARGE, 4);
    }
    muster_pool pool;
    if (muster_ranks() >= 2) {
        double values[2][5];
        bench_must(muster_pool_create(&pool, &(muster_pool_options){.caller_idle = true, .workers = 2}), "pool");
        for (int i = 0; i < 5; i++) {
            values[0][i] = mpi_stream(pool, 8, SMALL);
            values[1][i] = mpi_stream(pool, LARGE_BYTES, LARGE);
        }
        mpi_small = bench_median(values[0], 5);
        mpi_large = bench_median(values[1], 5);
        bench_must(muster_pool_destroy(pool), "destroy");
    }
    inner_figure("queue_8B", bench_median(small, 5), mpi_small);
    inner_figure("queue_2x2", bench_median(two, 5), mpi_small);
    inner_figure("queue_1MiB", bench_median(large, 5), mpi_large);
}
