/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queue, conformance 30 to 39, 51 and 56, between rank 0's main program and processes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <muster/muster.h>

#include "support/mpi_case.h"

/* What a child is given. */
struct job {
    muster_queue queue, out;
    int32_t n, id;
};

struct item {
    int32_t producer, number;
    unsigned char fill[3000]; /* of some items, a part */
};

static muster_queue queue_make(int64_t maxsize)
{
    muster_queue queue;
    muster_queue_options options = {.name = "test", .maxsize = maxsize};
    assert_int_equal(muster_queue_create(&queue, &options), MUSTER_OK);
    return queue;
}

static struct job job_make(int64_t maxsize, int32_t n)
{
    return (struct job){.queue = queue_make(maxsize), .out = queue_make(0), .n = n};
}

static void job_end(struct job job)
{
    assert_int_equal(muster_queue_destroy(job.queue), MUSTER_OK);
    assert_int_equal(muster_queue_destroy(job.out), MUSTER_OK);
}

static muster_process start(muster_process_fn fn, struct job job, int32_t id)
{
    muster_process process;
    job.id = id;
    assert_int_equal(muster_process_create(&process, fn, &job, sizeof job, NULL), MUSTER_OK);
    assert_int_equal(muster_process_start(process), MUSTER_OK);
    return process;
}

static void join(muster_process process)
{
    muster_process_status status;
    assert_int_equal(muster_process_join(process, &status, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(status.signal, 0);
    assert_int_equal(status.exit_code, 0);
    assert_int_equal(muster_process_close(process), MUSTER_OK);
}

static void say(muster_queue queue, int64_t value)
{
    muster_queue_put(queue, &value, sizeof value, MUSTER_FOREVER);
}

static int64_t hear(muster_queue queue)
{
    int64_t value = -1;
    assert_int_equal(muster_queue_get(queue, &value, sizeof value, NULL, MUSTER_FOREVER), MUSTER_OK);
    return value;
}

static int64_t size_now(muster_queue queue)
{
    int64_t items = -1;
    assert_int_equal(muster_queue_size(queue, &items), MUSTER_OK);
    return items;
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static size_t item_size(int32_t number)
{
    if (number % 97 == 0)
        return sizeof(struct item);
    return offsetof(struct item, fill) + (size_t)(number % 13);
}

/* ---- children ---- */

static int produce(const void *arg, size_t size)
{
    (void)size;
    const struct job *job = arg;
    struct item item = {.producer = job->id};
    memset(item.fill, job->id + 1, sizeof item.fill);
    for (item.number = 0; item.number < job->n; item.number++)
        if (muster_queue_put(job->queue, &item, item_size(item.number), MUSTER_FOREVER) != MUSTER_OK)
            return 1;
    return 0;
}

struct tally {
    int64_t items, sum;
};

/* Gets until the queue is closed and drained; tells how many items there were, and the sum of their numbers. */
static int consume(const void *arg, size_t size)
{
    (void)size;
    const struct job *job = arg;
    int32_t last[64];
    struct tally tally = {0};
    memset(last, -1, sizeof last);
    for (;;) {
        struct item item;
        size_t bytes;
        muster_err err = muster_queue_get(job->queue, &item, sizeof item, &bytes, MUSTER_FOREVER);
        if (err == MUSTER_ERR_CLOSED)
            break;
        if (err != MUSTER_OK || bytes != item_size(item.number) || item.number <= last[item.producer])
            return 1;
        last[item.producer] = item.number;
        tally.sum += item.number;
        tally.items++;
    }
    return muster_queue_put(job->out, &tally, sizeof tally, MUSTER_FOREVER) == MUSTER_OK ? 0 : 2;
}

static int expect_closed_on_put(const void *arg, size_t size)
{
    (void)size;
    const struct job *job = arg;
    int64_t n = 0;
    say(job->out, 1);
    return muster_queue_put(job->queue, &n, sizeof n, MUSTER_FOREVER) == MUSTER_ERR_CLOSED ? 0 : 1;
}

static int expect_closed_on_get(const void *arg, size_t size)
{
    (void)size;
    const struct job *job = arg;
    int64_t n = 0;
    say(job->out, 1);
    return muster_queue_get(job->queue, &n, sizeof n, NULL, MUSTER_FOREVER) == MUSTER_ERR_CLOSED ? 0 : 1;
}

static int get_and_mark(const void *arg, size_t size)
{
    (void)size;
    const struct job *job = arg;
    for (int32_t i = 0; i < job->n; i++) {
        int64_t n;
        if (muster_queue_get(job->queue, &n, sizeof n, NULL, MUSTER_FOREVER) != MUSTER_OK)
            return 1;
        if (i == job->n - 1)
            usleep(10000);
        if (muster_queue_task_done(job->queue) != MUSTER_OK)
            return 2;
    }
    return 0;
}

static int get_now(const void *arg, size_t size)
{
    (void)size;
    const struct job *job = arg;
    int64_t n = 0, items = -1;
    if (muster_queue_size(job->queue, &items) != MUSTER_OK || items != 1)
        return 1;
    return muster_queue_get(job->queue, &n, sizeof n, NULL, MUSTER_NOWAIT) == MUSTER_OK && n == job->id ? 0 : 2;
}

static int put_for_ever(const void *arg, size_t size)
{
    (void)size;
    const struct job *job = arg;
    struct item item = {.producer = job->id};
    for (item.number = 0;; item.number++) {
        if (muster_queue_put(job->queue, &item, item_size(item.number), MUSTER_FOREVER) != MUSTER_OK)
            return 1;
        if (item.number == 1000)
            say(job->out, 1);
    }
}

static int get_for_ever(const void *arg, size_t size)
{
    (void)size;
    const struct job *job = arg;
    struct item item;
    for (int64_t got = 0;; got++) {
        if (muster_queue_get(job->queue, &item, sizeof item, NULL, MUSTER_FOREVER) != MUSTER_OK)
            return 1;
        if (got == 1000)
            say(job->out, 1);
    }
}

/* ---- many at once ---- */

struct small {
    int32_t producer, number;
};

enum { AT_ONCE = 700 }; /* of small ones: more than a letter between hosts takes */

/* Batches of all lengths, single ones and large ones in turn. */
static int produce_many(const void *arg, size_t size)
{
    (void)size;
    const struct job *job = arg;
    static struct small batch[AT_ONCE];
    static struct item item;
    for (int32_t next = 0, length = 1; next < job->n; length = length * 3 % AT_ONCE + 1) {
        int64_t n = length < job->n - next ? length : job->n - next, put = -1;
        for (int64_t i = 0; i < n; i++)
            batch[i] = (struct small){job->id, next++};
        if (muster_queue_put_many(job->queue, batch, n, sizeof *batch, &put, MUSTER_FOREVER) != MUSTER_OK || put != n)
            return 1;
        item.producer = job->id;
        item.number = next;
        if (next++ < job->n && muster_queue_put(job->queue, &item, next % 3 ? 8 : sizeof item, MUSTER_FOREVER))
            return 2;
    }
    return 0;
}

static bool tally_many(const char *at, const size_t *sizes, int64_t got, int32_t *last, struct tally *tally)
{
    for (int64_t i = 0; i < got; at += sizes[i++]) {
        struct small item;
        if (sizes[i] != sizeof item && sizes[i] != sizeof(struct item))
            return false;
        memcpy(&item, at, sizeof item);
        if (item.number <= last[item.producer])
            return false;
        last[item.producer] = item.number;
        tally->sum += item.number;
        tally->items++;
    }
    return true;
}

static int consume_many(const void *arg, size_t size)
{
    (void)size;
    const struct job *job = arg;
    static char room[20000];
    static size_t sizes[AT_ONCE];
    int32_t last[64];
    struct tally tally = {0};
    memset(last, -1, sizeof last);
    for (int64_t most = 1;; most = most * 5 % AT_ONCE + 1) {
        int64_t got = 0;
        muster_err err =
            muster_queue_get_many(job->queue, room, sizeof room, most, sizes, &got, most % 4 ? MUSTER_FOREVER : 0);
        if (err == MUSTER_ERR_CLOSED)
            break;
        if (err == MUSTER_ERR_EMPTY && most % 4 == 0)
            continue;
        if (err != MUSTER_OK || got < 1 || got > most || !tally_many(room, sizes, got, last, &tally))
            return 1;
    }
    return muster_queue_put(job->out, &tally, sizeof tally, MUSTER_FOREVER) == MUSTER_OK ? 0 : 2;
}

/* What errors tell, of a queue with a maxsize of 3 that is empty: the line of what is not so. */
static int many_tell(const void *arg, size_t size)
{
#define HOLDS(condition)                                                                                               \
    if (!(condition))                                                                                                  \
    return __LINE__ % 256
    (void)size;
    const struct job *job = arg;
    static const char large[5000] = "large";
    char room[sizeof large];
    size_t sizes[8] = {0};
    int64_t n = -1;
    HOLDS(muster_queue_get_many(job->queue, room, sizeof room, 8, sizes, &n, MUSTER_NOWAIT) == MUSTER_ERR_EMPTY);
    HOLDS(muster_queue_get_many(job->queue, room, sizeof room, 8, sizes, &n, 30) == MUSTER_ERR_EMPTY && n == -1);
    HOLDS(muster_queue_put_many(job->queue, "abcde", 5, 1, &n, MUSTER_NOWAIT) == MUSTER_ERR_FULL && n == 3);
    HOLDS(muster_queue_put_many(job->queue, "de", 2, 1, &n, 30) == MUSTER_ERR_FULL && n == 0);
    HOLDS(muster_queue_get_many(job->queue, room, 2, 8, NULL, &n, MUSTER_FOREVER) == MUSTER_OK && n == 2);
    HOLDS(memcmp(room, "ab", 2) == 0);
    HOLDS(muster_queue_get_many(job->queue, NULL, 0, 8, sizes, &n, MUSTER_FOREVER) == MUSTER_ERR_TOOBIG);
    HOLDS(sizes[0] == 1 && n == 2);
    HOLDS(muster_queue_put_many(job->queue, large, 1, sizeof large, &n, 1000) == MUSTER_OK && n == 1);
    HOLDS(muster_queue_put_many(job->queue, NULL, 1, 0, NULL, 1000) == MUSTER_OK);
    HOLDS(muster_queue_put_many(job->queue, large, 1, sizeof large, &n, 30) == MUSTER_ERR_FULL && n == 0);
    HOLDS(muster_queue_get_many(job->queue, room, 1, 8, sizes, &n, 1000) == MUSTER_OK && n == 1 && room[0] == 'c');
    HOLDS(muster_queue_get_many(job->queue, room, 1, 8, sizes, &n, 1000) == MUSTER_ERR_TOOBIG && n == 1);
    HOLDS(sizes[0] == sizeof large && room[0] == 'c');
    HOLDS(muster_queue_get_many(job->queue, room, sizeof room, 1, sizes, &n, 1000) == MUSTER_OK && n == 1);
    HOLDS(sizes[0] == sizeof large && strcmp(room, "large") == 0);
    HOLDS(muster_queue_get_many(job->queue, NULL, 0, 8, sizes, &n, 1000) == MUSTER_OK && n == 1 && sizes[0] == 0);
    return 0;
#undef HOLDS
}

/* ---- cases ---- */

static void in_order(int producers, int consumers, int64_t maxsize)
{
    struct job job = job_make(maxsize, 20000);
    muster_process makers[4], takers[4];
    for (int i = 0; i < consumers; i++)
        takers[i] = start(consume, job, i);
    for (int i = 0; i < producers; i++)
        makers[i] = start(produce, job, i);
    for (int i = 0; i < producers; i++)
        join(makers[i]);
    assert_int_equal(muster_queue_close(job.queue), MUSTER_OK);
    for (int i = 0; i < consumers; i++)
        join(takers[i]);
    struct tally all = {0}, one;
    for (int i = 0; i < consumers; i++) {
        assert_int_equal(muster_queue_get(job.out, &one, sizeof one, NULL, MUSTER_NOWAIT), MUSTER_OK);
        all.items += one.items;
        all.sum += one.sum;
    }
    assert_int_equal(all.items, (int64_t)producers * job.n);
    assert_int_equal(all.sum, (int64_t)producers * job.n * (job.n - 1) / 2);
    job_end(job);
}

/* Somewhere else than this program, where there is a somewhere else. */
static muster_process start_on(int rank, muster_process_fn fn, struct job job, int32_t id)
{
    muster_process process;
    muster_process_options options = {.on = muster_on_rank(rank)};
    job.id = id;
    assert_int_equal(muster_process_create(&process, fn, &job, sizeof job, &options), MUSTER_OK);
    assert_int_equal(muster_process_start(process), MUSTER_OK);
    return process;
}

static void many_in_order_at(int home, int64_t maxsize, int first_consumer)
{
    enum { PRODUCERS = 2, CONSUMERS = 2 };
    struct job job = job_make(0, 20000);
    muster_queue_options options = {.maxsize = maxsize, .on = muster_on_rank(home)};
    muster_process makers[PRODUCERS], takers[CONSUMERS];
    struct tally all = {0}, one;
    int ranks = muster_ranks();
    muster_queue_destroy(job.queue);
    assert_int_equal(muster_queue_create(&job.queue, &options), MUSTER_OK);
    for (int i = 0; i < CONSUMERS; i++)
        takers[i] = start_on((first_consumer + i) % ranks, consume_many, job, i);
    for (int i = 0; i < PRODUCERS; i++)
        makers[i] = start_on((ranks - 1 + i) % ranks, produce_many, job, i);
    for (int i = 0; i < PRODUCERS; i++)
        join(makers[i]);
    assert_int_equal(muster_queue_close(job.queue), MUSTER_OK);
    for (int i = 0; i < CONSUMERS; i++)
        join(takers[i]);
    for (int i = 0; i < CONSUMERS; i++) {
        assert_int_equal(muster_queue_get(job.out, &one, sizeof one, NULL, MUSTER_NOWAIT), MUSTER_OK);
        all.items += one.items;
        all.sum += one.sum;
    }
    assert_int_equal(all.items, (int64_t)PRODUCERS * job.n);
    assert_int_equal(all.sum, (int64_t)PRODUCERS * job.n * (job.n - 1) / 2);
    job_end(job);
}

static void many_in_order(void **state)
{
    (void)state;
    int last = muster_ranks() - 1;
    many_in_order_at(0, 0, 0);
    many_in_order_at(last, 0, 0);
    many_in_order_at(0, 0, last);
    many_in_order_at(0, 50, last);
}

static void many_tell_what_became_of_them(void **state)
{
    (void)state;
    int ranks = muster_ranks();
    for (int home = 0; home < 2; home++)
        for (int user = 0; user < 2; user++) {
            struct job job = job_make(0, 0);
            muster_queue_options options = {.maxsize = 3, .on = muster_on_rank(home * (ranks - 1))};
            muster_queue_destroy(job.queue);
            assert_int_equal(muster_queue_create(&job.queue, &options), MUSTER_OK);
            join(start_on(user * (ranks - 1), many_tell, job, 0));
            job_end(job);
        }
}

/* 67 */
static void many_refuse_what_cannot_be(void **state)
{
    (void)state;
    muster_queue queue = queue_make(0);
    char room[8] = "as it is";
    size_t sizes[2] = {5, 5};
    int64_t n = 7;
    assert_int_equal(muster_queue_put_many(queue, NULL, 1, 1, &n, 0), MUSTER_ERR_INVAL);
    assert_int_equal(muster_queue_put_many(queue, room, -1, 1, &n, 0), MUSTER_ERR_INVAL);
    assert_int_equal(muster_queue_put_many(queue, room, 1, SIZE_MAX, &n, 0), MUSTER_ERR_INVAL);
    assert_int_equal(muster_queue_put_many(queue, room, INT64_MAX, SIZE_MAX / 8, &n, 0), MUSTER_ERR_INVAL);
    assert_int_equal(muster_queue_put_many(queue, room, 1, 1, &n, -2), MUSTER_ERR_INVAL);
    assert_int_equal(size_now(queue), 0);
    say(queue, 1);
    assert_int_equal(muster_queue_get_many(queue, NULL, 8, 1, sizes, &n, 0), MUSTER_ERR_INVAL);
    assert_int_equal(muster_queue_get_many(queue, room, 8, 0, sizes, &n, 0), MUSTER_ERR_INVAL);
    assert_int_equal(muster_queue_get_many(queue, room, 8, -1, sizes, &n, 0), MUSTER_ERR_INVAL);
    assert_int_equal(muster_queue_get_many(queue, room, 8, 1, sizes, NULL, 0), MUSTER_ERR_INVAL);
    assert_int_equal(muster_queue_get_many(queue, room, 8, 1, sizes, &n, -2), MUSTER_ERR_INVAL);
    assert_non_null(strstr(muster_err_detail(), "muster_queue_get_many"));
    assert_int_equal(size_now(queue), 1);
    assert_memory_equal(room, "as it is", 8);
    assert_int_equal(n, 7);
    assert_int_equal(sizes[0], 5);
    assert_int_equal(muster_queue_destroy(queue), MUSTER_OK);
    assert_int_equal(muster_queue_put_many(queue, room, 1, 1, NULL, 0), MUSTER_ERR_STALE);
    assert_int_equal(muster_queue_put_many(queue, room, 0, 1, NULL, 0), MUSTER_ERR_STALE);
    assert_int_equal(muster_queue_get_many(queue, room, 8, 1, NULL, &n, 0), MUSTER_ERR_STALE);
}

static void first_in_first_out(void **state)
{
    (void)state;
    in_order(1, 1, 0);
    in_order(1, 1, 10);
    in_order(3, 2, 0);
    in_order(3, 3, 7);
}

static void full_and_empty(void **state)
{
    (void)state;
    muster_queue queue = queue_make(2);
    int64_t n = 5;
    bool empty = false, full = true;
    assert_int_equal(muster_queue_empty(queue, &empty), MUSTER_OK);
    assert_int_equal(muster_queue_full(queue, &full), MUSTER_OK);
    assert_true(empty && !full);
    assert_int_equal(muster_queue_get(queue, &n, sizeof n, NULL, MUSTER_NOWAIT), MUSTER_ERR_EMPTY);
    int64_t begin = now_ns();
    assert_int_equal(muster_queue_get(queue, &n, sizeof n, NULL, 50), MUSTER_ERR_EMPTY);
    assert_true(now_ns() - begin >= 50000000);
    say(queue, 1);
    say(queue, 2);
    assert_int_equal(muster_queue_put(queue, &n, sizeof n, MUSTER_NOWAIT), MUSTER_ERR_FULL);
    assert_non_null(strstr(muster_err_detail(), "'test'"));
    begin = now_ns();
    assert_int_equal(muster_queue_put(queue, &n, sizeof n, 50), MUSTER_ERR_FULL);
    assert_true(now_ns() - begin >= 50000000);
    assert_int_equal(muster_queue_empty(queue, &empty), MUSTER_OK);
    assert_int_equal(muster_queue_full(queue, &full), MUSTER_OK);
    assert_true(!empty && full);
    assert_int_equal(size_now(queue), 2);
    assert_int_equal(hear(queue), 1);
    assert_int_equal(muster_queue_put(queue, &n, sizeof n, MUSTER_NOWAIT), MUSTER_OK); /* failures cost no room */
    assert_int_equal(hear(queue), 2);
    assert_int_equal(hear(queue), 5);
    assert_int_equal(muster_queue_destroy(queue), MUSTER_OK);

    assert_int_equal(muster_queue_create(&queue, &(muster_queue_options){.maxsize = -1}), MUSTER_ERR_INVAL);
}

static void close_drains_and_wakes(void **state)
{
    (void)state;
    struct job job = job_make(1, 0);
    muster_process getters[2] = {start(expect_closed_on_get, job, 0), start(expect_closed_on_get, job, 1)};
    hear(job.out);
    hear(job.out);
    usleep(10000);
    assert_int_equal(muster_queue_close(job.queue), MUSTER_OK);
    assert_int_equal(muster_queue_close(job.queue), MUSTER_OK);
    join(getters[0]);
    join(getters[1]);
    job_end(job);

    job = job_make(1, 0);
    say(job.queue, 7);
    muster_process putter = start(expect_closed_on_put, job, 0);
    hear(job.out);
    usleep(10000);
    assert_int_equal(muster_queue_close(job.queue), MUSTER_OK);
    join(putter);
    int64_t n = 0;
    assert_int_equal(muster_queue_put(job.queue, &n, sizeof n, MUSTER_NOWAIT), MUSTER_ERR_CLOSED);
    assert_int_equal(hear(job.queue), 7);
    assert_int_equal(muster_queue_get(job.queue, &n, sizeof n, NULL, MUSTER_FOREVER), MUSTER_ERR_CLOSED);
    job_end(job);
}

static void done_and_join(void **state)
{
    (void)state;
    struct job job = job_make(0, 10);
    assert_int_equal(muster_queue_task_done(job.queue), MUSTER_ERR_STATE);
    assert_int_equal(muster_queue_join(job.queue, MUSTER_NOWAIT), MUSTER_OK);
    for (int i = 0; i < 10; i++)
        say(job.queue, i);
    assert_int_equal(muster_queue_join(job.queue, 20), MUSTER_ERR_TIMEOUT);
    muster_process marker = start(get_and_mark, job, 0);
    assert_int_equal(muster_queue_join(job.queue, MUSTER_FOREVER), MUSTER_OK);
    join(marker);
    assert_int_equal(muster_queue_task_done(job.queue), MUSTER_ERR_STATE);
    job_end(job);
}

static void too_big_stays_first(void **state)
{
    (void)state;
    muster_queue queue = queue_make(0);
    char text[8] = "";
    size_t size = 0;
    assert_int_equal(muster_queue_put(queue, "a longer text", 14, MUSTER_NOWAIT), MUSTER_OK);
    assert_int_equal(muster_queue_put(queue, NULL, 0, MUSTER_NOWAIT), MUSTER_OK);
    assert_int_equal(muster_queue_get(queue, text, sizeof text, &size, MUSTER_FOREVER), MUSTER_ERR_TOOBIG);
    assert_int_equal(size, 14);
    assert_string_equal(text, "");
    assert_int_equal(size_now(queue), 2);
    char *large = malloc(size);
    assert_int_equal(muster_queue_get(queue, large, size, &size, MUSTER_NOWAIT), MUSTER_OK);
    assert_string_equal(large, "a longer text");
    free(large);
    assert_int_equal(muster_queue_get(queue, NULL, 0, &size, MUSTER_NOWAIT), MUSTER_OK);
    assert_int_equal(size, 0);
    assert_int_equal(muster_queue_destroy(queue), MUSTER_OK);
}

static void a_put_is_seen_by_who_starts_afterwards(void **state)
{
    (void)state;
    struct job job = job_make(0, 0);
    for (int32_t i = 1; i <= 20; i++) {
        say(job.queue, i);
        join(start(get_now, job, i));
        assert_int_equal(size_now(job.queue), 0);
    }
    job_end(job);
}

static void goes_on_when_users_die(void **state)
{
    (void)state;
    struct job job = job_make(50, 0);
    for (int round = 0; round < 10; round++) {
        muster_process producer = start(put_for_ever, job, 0), consumer = start(get_for_ever, job, 1);
        hear(job.out);
        hear(job.out);
        muster_process victims[2] = {round % 2 ? producer : consumer, round % 2 ? consumer : producer};
        for (int i = 0; i < 2; i++) {
            muster_process_status status;
            usleep((useconds_t)(round * 37 % 300));
            assert_int_equal(muster_process_kill(victims[i]), MUSTER_OK);
            assert_int_equal(muster_process_join(victims[i], &status, MUSTER_FOREVER), MUSTER_OK);
            assert_int_equal(status.signal, 9);
            muster_process_close(victims[i]);
        }
        /* what is left is whole */
        struct item item;
        size_t size;
        muster_err err;
        while ((err = muster_queue_get(job.queue, &item, sizeof item, &size, MUSTER_NOWAIT)) == MUSTER_OK)
            assert_int_equal(size, item_size(item.number));
        assert_int_equal(err, MUSTER_ERR_EMPTY);
        assert_int_equal(size_now(job.queue), 0);
    }
    job_end(job);
}

/* Says so, and waits for an item that it never gets. */
static int wait_for_ever(const void *arg, size_t size)
{
    (void)size;
    const struct job *job = arg;
    char item;
    say(job->out, job->id);
    return muster_queue_get(job->queue, &item, sizeof item, NULL, MUSTER_FOREVER) != MUSTER_OK;
}

/* Who has been told that a process was killed does not give it anything any more, wherever it waited. */
static void the_dead_get_nothing(void **state)
{
    (void)state;
    struct job job = job_make(0, 0);
    for (int32_t i = 0; i < 40; i++) {
        char item = 0;
        muster_process victim = start_on(muster_ranks() - 1, wait_for_ever, job, i);
        assert_int_equal(hear(job.out), i);
        nanosleep(&(struct timespec){.tv_nsec = i % 8 * 50000}, NULL); /* in line, or on the way there */
        assert_int_equal(muster_process_kill(victim), MUSTER_OK);
        assert_int_equal(muster_process_join(victim, NULL, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(muster_queue_put(job.queue, "x", 1, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(muster_queue_get(job.queue, &item, sizeof item, NULL, MUSTER_NOWAIT), MUSTER_OK);
        assert_int_equal(item, 'x');
        assert_int_equal(muster_process_close(victim), MUSTER_OK);
    }
    job_end(job);
}

static void large_and_many(void **state)
{
    (void)state;
    muster_queue queue = queue_make(0);
    size_t bytes = muster_ranks() == 2 ? (size_t)1 << 30 : (size_t)100 << 20, got = 0;
    unsigned char *item = calloc(1, bytes);
    assert_non_null(item);
    item[bytes - 1] = 3;
    assert_int_equal(muster_queue_put(queue, item, bytes, MUSTER_NOWAIT), MUSTER_OK);
    item[bytes - 1] = 0;
    assert_int_equal(muster_queue_get(queue, item, bytes, &got, MUSTER_NOWAIT), MUSTER_OK);
    assert_true(got == bytes && item[bytes - 1] == 3);
    free(item);
    for (int64_t i = 0; i < 1000000; i++)
        if (muster_queue_put(queue, &i, sizeof i, MUSTER_NOWAIT) != MUSTER_OK)
            fail_msg("put %lld failed: %s", (long long)i, muster_err_detail());
    assert_int_equal(size_now(queue), 1000000);
    for (int64_t i = 0; i < 1000000; i++)
        if (hear(queue) != i)
            fail_msg("item %lld is another", (long long)i);
    assert_int_equal(muster_queue_destroy(queue), MUSTER_OK);
}

static void destroyed_while_waited_for(void **state)
{
    (void)state;
    struct job job = job_make(1, 0);
    muster_process getter = start(expect_closed_on_get, job, 0);
    hear(job.out);
    usleep(20000);
    assert_int_equal(muster_queue_destroy(job.queue), MUSTER_OK);
    join(getter);
    int64_t n = 0;
    bool flag;
    assert_int_equal(muster_queue_put(job.queue, &n, sizeof n, MUSTER_NOWAIT), MUSTER_ERR_STALE);
    assert_int_equal(muster_queue_get(job.queue, &n, sizeof n, NULL, MUSTER_NOWAIT), MUSTER_ERR_STALE);
    assert_int_equal(muster_queue_size(job.queue, &n), MUSTER_ERR_STALE);
    assert_int_equal(muster_queue_empty(job.queue, &flag), MUSTER_ERR_STALE);
    assert_int_equal(muster_queue_full(job.queue, &flag), MUSTER_ERR_STALE);
    assert_int_equal(muster_queue_close(job.queue), MUSTER_ERR_STALE);
    assert_int_equal(muster_queue_task_done(job.queue), MUSTER_ERR_STALE);
    assert_int_equal(muster_queue_join(job.queue, MUSTER_NOWAIT), MUSTER_ERR_STALE);
    assert_int_equal(muster_queue_destroy(job.queue), MUSTER_ERR_STALE);
    assert_true(strlen(muster_err_detail()) > 0);
    job.queue = queue_make(0); /* in the slot that became free */
    job_end(job);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_in_first_out),
        cmocka_unit_test(full_and_empty),
        cmocka_unit_test(close_drains_and_wakes),
        cmocka_unit_test(done_and_join),
        cmocka_unit_test(too_big_stays_first),
        cmocka_unit_test(a_put_is_seen_by_who_starts_afterwards),
        cmocka_unit_test(goes_on_when_users_die),
        cmocka_unit_test(the_dead_get_nothing),
        cmocka_unit_test(large_and_many),
        cmocka_unit_test(destroyed_while_waited_for),
        cmocka_unit_test(many_in_order),
        cmocka_unit_test(many_tell_what_became_of_them),
        cmocka_unit_test(many_refuse_what_cannot_be),
    };
    return mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "queue");
}
