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
        cmocka_unit_test(first_in_first_out),         cmocka_unit_test(full_and_empty),
        cmocka_unit_test(close_drains_and_wakes),     cmocka_unit_test(done_and_join),
        cmocka_unit_test(too_big_stays_first),        cmocka_unit_test(a_put_is_seen_by_who_starts_afterwards),
        cmocka_unit_test(goes_on_when_users_die),     cmocka_unit_test(large_and_many),
        cmocka_unit_test(destroyed_while_waited_for),
    };
    return mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "queue");
}
