/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pool, conformance 11 to 14, 16 to 18, 20 to 23, 25 to 27, 29: each case with workers in the ranks and with isolated
 * ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <muster/muster.h>

#include "support/pool_case.h"

static void nap(int ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
    while (nanosleep(&t, &t) != 0)
        ;
}

/* ---- tasks ---- */

static int square(const void *item, void *result, const void *user)
{
    (void)user;
    int64_t n = *(const int64_t *)item;
    *(int64_t *)result = n * n;
    return 0;
}

static int nap_task(const void *item, void *result, const void *user)
{
    (void)user;
    nap(*(const int *)item);
    *(int *)result = *(const int *)item;
    return 0;
}

static int add_user(const void *item, void *result, const void *user)
{
    *(int64_t *)result = *(const int64_t *)item + *(const int64_t *)user;
    return 0;
}

static int fail_odd(const void *item, void *result, const void *user)
{
    (void)user;
    int64_t n = *(const int64_t *)item;
    *(int64_t *)result = n;
    return n % 2 ? muster_task_fail(7, "%lld is odd", (long long)n) : 0;
}

static int crash_at(const void *item, void *result, const void *user)
{
    int64_t n = *(const int64_t *)item;
    if (n == *(const int64_t *)user)
        kill(getpid(), SIGKILL);
    *(int64_t *)result = n + 1;
    return 0;
}

static void put_word(muster_queue queue, const char *word)
{
    assert_int_equal(muster_queue_put(queue, word, strlen(word) + 1, MUSTER_FOREVER), MUSTER_OK);
}

static int64_t *iota(int64_t n)
{
    int64_t *numbers = calloc((size_t)n + 1, sizeof *numbers);
    for (int64_t i = 0; i < n; i++)
        numbers[i] = i;
    return numbers;
}

/* ---- 11: number of workers ---- */

static void test_workers(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){0});
    int workers = 0;
    assert_int_equal(muster_pool_workers(pool, &workers), MUSTER_OK);
    assert_int_equal(workers, muster_ranks());
    pool_end(pool);

    pool = pool_make(state, (muster_pool_options){.workers = muster_ranks() + 3});
    int64_t items[20], results[20];
    for (int i = 0; i < 20; i++)
        items[i] = i;
    assert_int_equal(muster_pool_map(pool, square, items, 20, sizeof *items, results, sizeof *results, NULL),
                     MUSTER_OK);
    for (int i = 0; i < 20; i++)
        assert_int_equal(results[i], i * i);
    pool_end(pool);

    muster_pool none = {{9, 9, 9, 9}};
    assert_int_equal(muster_pool_create(&none, &(muster_pool_options){.workers = -1}), MUSTER_ERR_INVAL);
    assert_non_null(strstr(muster_err_detail(), "workers"));
    assert_int_equal(none.handle.slot, 9); /* outputs are untouched on failure */
}

/* ---- 12: nothing to do ---- */

static void test_empty(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 2});
    assert_int_equal(muster_pool_map(pool, square, NULL, 0, 8, NULL, 8, NULL), MUSTER_OK);
    int64_t sum = 5;
    assert_int_equal(muster_pool_reduce(pool, square, NULL, NULL, 0, 8, &sum, 8, NULL), MUSTER_ERR_INVAL);
    muster_imap *imap;
    struct muster_items none = {NULL, 0, 8, 0};
    assert_int_equal(muster_pool_imap(pool, &imap, square, muster_items_next, &none, 8, 8, NULL), MUSTER_OK);
    assert_int_equal(muster_imap_next(imap, &sum, NULL, MUSTER_FOREVER), MUSTER_ERR_CLOSED);
    assert_int_equal(sum, 5);
    muster_imap_end(imap);
    assert_int_equal(muster_task_wait(NULL, 0, MUSTER_WAIT_ALL, NULL, MUSTER_FOREVER), MUSTER_OK);
    pool_end(pool);
}

/* ---- 13: order and chunks ---- */

static void map_and_check(muster_pool pool, int64_t n, int64_t chunk)
{
    int64_t *items = iota(n), *results = calloc((size_t)n + 1, sizeof *results);
    assert_int_equal(muster_pool_map(pool, square, items, n, sizeof *items, results, sizeof *results,
                                     &(muster_map_options){.chunk_items = chunk}),
                     MUSTER_OK);
    for (int64_t i = 0; i < n; i++)
        assert_int_equal(results[i], i * i);
    free(items);
    free(results);
}

static void test_map_order(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 3});
    const int64_t sizes[] = {1, 2, 3, 17, 1000, 30000}, chunks[] = {0, 1, 2, 7, 1000, 1000000};
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < 6; j++)
            map_and_check(pool, sizes[i], chunks[j]);
    int64_t item = 1, result = 0;
    assert_int_equal(muster_pool_map(pool, square, &item, 1, 8, &result, 8, &(muster_map_options){.chunk_items = -1}),
                     MUSTER_ERR_INVAL);
    assert_int_equal(muster_pool_map(pool, square, &item, -1, 8, &result, 8, NULL), MUSTER_ERR_INVAL);
    pool_end(pool);
}

static void test_map_user(void **state)
{
    int64_t pool_user = 100, map_user = 1000, items[50], results[50];
    muster_pool pool = pool_make(state, (muster_pool_options){.user = &pool_user, .user_bytes = sizeof pool_user});
    for (int i = 0; i < 50; i++)
        items[i] = i;
    assert_int_equal(muster_pool_map(pool, add_user, items, 50, 8, results, 8, NULL), MUSTER_OK);
    assert_int_equal(results[49], 149);
    assert_int_equal(muster_pool_map(pool, add_user, items, 50, 8, results, 8,
                                     &(muster_map_options){.user = &map_user, .user_bytes = sizeof map_user}),
                     MUSTER_OK);
    assert_int_equal(results[49], 1049);
    pool_end(pool);
}

struct balance {
    muster_counter done;
    int wanted; /* before the first item ends */
};

static int uneven(const void *item, void *result, const void *user)
{
    const struct balance *balance = user;
    *(int *)result = muster_task_worker();
    if (*(const int *)item)
        return muster_counter_add(balance->done, 1, NULL);
    muster_counter_wait(balance->done, balance->wanted, 20000, NULL);
    return 0;
}

/* The first item takes until most of the others are done: they must not wait behind it in its chunk. */
static void test_map_balances(void **state)
{
    int workers, items[33], results[33], with_first = 0;
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 2});
    assert_int_equal(muster_pool_workers(pool, &workers), MUSTER_OK);
    struct balance balance = {.wanted = workers > 1 ? 20 : 0};
    assert_int_equal(muster_counter_create(&balance.done, 0, NULL), MUSTER_OK);
    for (int i = 0; i < 33; i++)
        items[i] = i;
    assert_int_equal(muster_pool_map(pool, uneven, items, 33, sizeof *items, results, sizeof *results,
                                     &(muster_map_options){.user = &balance, .user_bytes = sizeof balance}),
                     MUSTER_OK);
    for (int i = 1; i < 33; i++)
        with_first += results[i] == results[0];
    if (workers > 1)
        assert_true(with_first < 33 / 2);
    else
        assert_int_equal(with_first, 32);
    assert_int_equal(muster_counter_destroy(balance.done), MUSTER_OK);
    pool_end(pool);
}

/* ---- 14: imap ---- */

static void test_imap(void **state)
{
    int workers;
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 3});
    assert_int_equal(muster_pool_workers(pool, &workers), MUSTER_OK);
    int items[8] = {200, 1, 1, 1, 1, 1, 1, 1};
    for (int unordered = 0; unordered < 2; unordered++) {
        struct muster_items array = {items, 8, sizeof *items, 0};
        muster_imap *imap;
        assert_int_equal(muster_pool_imap(pool, &imap, nap_task, muster_items_next, &array, sizeof *items,
                                          sizeof *items, &(muster_imap_options){.unordered = unordered}),
                         MUSTER_OK);
        bool seen[8] = {false};
        for (int i = 0; i < 8; i++) {
            int result = 0;
            int64_t index = -1;
            assert_int_equal(muster_imap_next(imap, &result, &index, MUSTER_FOREVER), MUSTER_OK);
            assert_in_range(index, 0, 7);
            assert_false(seen[index]);
            seen[index] = true;
            assert_int_equal(result, items[index]);
            if (!unordered)
                assert_int_equal(index, i);
            else if (workers > 1 && i == 0)
                assert_int_not_equal(index, 0);
        }
        int rest = 3;
        assert_int_equal(muster_imap_next(imap, &rest, NULL, MUSTER_FOREVER), MUSTER_ERR_CLOSED);
        assert_int_equal(rest, 3);
        muster_imap_end(imap);
    }
    pool_end(pool);
}

struct counter {
    int64_t drawn, given, window, fail_at;
};

static int count_up(void *item, void *arg)
{
    struct counter *counter = arg;
    if (counter->drawn == counter->fail_at)
        return -42;
    assert_true(counter->drawn - counter->given < counter->window);
    *(int64_t *)item = counter->drawn++;
    return 0;
}

static void test_imap_window(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 2});
    struct counter counter = {.window = 5 * 3, .fail_at = 1000};
    muster_imap *imap;
    assert_int_equal(muster_pool_imap(pool, &imap, square, count_up, &counter, 8, 8,
                                      &(muster_imap_options){.chunk_items = 3, .window_chunks = 4}),
                     MUSTER_OK);
    int64_t result, index;
    for (; counter.given < 1000; counter.given++) {
        assert_int_equal(muster_imap_next(imap, &result, &index, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(index, counter.given);
        assert_int_equal(result, index * index);
    }
    assert_int_equal(muster_imap_next(imap, &result, &index, MUSTER_FOREVER), MUSTER_ERR_TASK);
    assert_non_null(strstr(muster_err_detail(), "-42"));
    muster_imap_end(imap);
    pool_end(pool);
}

static void test_imap_failures(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 2});
    int64_t *items = iota(20);
    struct muster_items array = {items, 20, sizeof *items, 0};
    muster_imap *imap;
    assert_int_equal(muster_pool_imap(pool, &imap, fail_odd, muster_items_next, &array, 8, 8,
                                      &(muster_imap_options){.chunk_items = 4}),
                     MUSTER_OK);
    for (int64_t i = 0; i < 20; i++) {
        int64_t result = -1, index = -1;
        muster_err err = muster_imap_next(imap, &result, &index, MUSTER_FOREVER);
        assert_int_equal(index, i);
        assert_int_equal(err, i % 2 ? MUSTER_ERR_TASK : MUSTER_OK);
        assert_int_equal(result, i % 2 ? -1 : i);
        if (i % 2)
            assert_int_equal(muster_pool_last_error()->code, 7);
    }
    muster_imap_end(imap);
    free(items);
    pool_end(pool);
}

/* ---- 16: failures ---- */

static void test_map_failures(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 2});
    int64_t *items = iota(100), results[100] = {0};
    items[0] = 2;
    assert_int_equal(muster_pool_map(pool, fail_odd, items, 100, 8, results, 8, NULL), MUSTER_ERR_TASK);
    const muster_task_error *error = muster_pool_last_error();
    assert_int_equal(error->err, MUSTER_ERR_TASK);
    assert_int_equal(error->code, 7);
    assert_int_equal(error->index, 1);
    assert_int_equal(error->failed, 50);
    assert_in_range(error->rank, 0, muster_ranks() - 1);
    assert_string_equal(error->text, "1 is odd");
    assert_string_equal(error->host, muster_host());
    assert_non_null(strstr(error->function, "fail_odd"));
    assert_non_null(strstr(muster_err_detail(), "1 is odd"));
    for (int i = 2; i < 100; i += 2)
        assert_int_equal(results[i], i);
    int64_t failed_at_once = 0;
    assert_int_equal(muster_pool_map(pool, fail_odd, items, 100, 8, results, 8,
                                     &(muster_map_options){.stop_at_failure = true, .chunk_items = 1}),
                     MUSTER_ERR_TASK);
    failed_at_once = muster_pool_last_error()->failed;
    assert_in_range(failed_at_once, 50, muster_hosts() > 1 ? 100 : 99); /* another host may be first, at an odd one */
    free(items);
    pool_end(pool);
}

/* ---- 17: submit, get, wait ---- */

static void test_submit(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 2});
    enum { N = 500 };
    static muster_task tasks[N];
    for (int64_t i = 0; i < N; i++)
        assert_int_equal(muster_pool_submit(pool, &tasks[i], square, &i, sizeof i, sizeof i, NULL), MUSTER_OK);
    for (int64_t i = N - 1; i >= 0; i--) {
        int64_t result = -1;
        assert_int_equal(muster_task_get(tasks[i], &result, sizeof result, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(result, i * i);
    }
    int64_t untouched = 77;
    assert_int_equal(muster_task_get(tasks[3], &untouched, sizeof untouched, MUSTER_FOREVER), MUSTER_ERR_STALE);
    assert_int_equal(untouched, 77);
    assert_int_equal(muster_task_forget(tasks[3]), MUSTER_ERR_STALE);
    pool_end(pool);
    assert_int_equal(muster_task_get(tasks[0], &untouched, sizeof untouched, 0), MUSTER_ERR_STALE);
    assert_int_equal(muster_pool_submit(pool, &tasks[0], square, &untouched, 8, 8, NULL), MUSTER_ERR_STALE);
}

static void test_get_timeout(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 2, .caller_idle = true});
    int ms = 300, result = 0, workers;
    assert_int_equal(muster_pool_workers(pool, &workers), MUSTER_OK);
    muster_task task;
    assert_int_equal(muster_pool_submit(pool, &task, nap_task, &ms, sizeof ms, sizeof ms, NULL), MUSTER_OK);
    bool ready = true, successful;
    assert_int_equal(muster_task_ready(task, &ready), MUSTER_OK);
    assert_false(ready);
    assert_int_equal(muster_task_successful(task, &successful), MUSTER_ERR_STATE);
    assert_int_equal(muster_task_get(task, &result, sizeof result, 0), MUSTER_ERR_TIMEOUT);
    if (workers > 1 || *(const bool *)*state)
        assert_int_equal(muster_task_get(task, &result, sizeof result, 20), MUSTER_ERR_TIMEOUT);
    assert_int_equal(result, 0);
    assert_int_equal(muster_task_wait(&task, 1, MUSTER_WAIT_ALL, &ready, MUSTER_FOREVER), MUSTER_OK);
    assert_true(ready);
    assert_int_equal(muster_task_successful(task, &successful), MUSTER_OK);
    assert_true(successful);
    char small[1];
    assert_int_equal(muster_task_get(task, small, sizeof small, MUSTER_FOREVER), MUSTER_ERR_TOOBIG);
    assert_int_equal(muster_task_get(task, &result, sizeof result, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(result, 300);
    pool_end(pool);
}

static void test_wait_sets(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 2});
    muster_task tasks[6];
    for (int64_t i = 0; i < 6; i++) {
        int64_t n = i == 4 ? 1 : 2 * i;
        assert_int_equal(muster_pool_submit(pool, &tasks[i], fail_odd, &n, sizeof n, sizeof n, NULL), MUSTER_OK);
    }
    bool ready[6];
    assert_int_equal(muster_task_wait(tasks, 6, MUSTER_WAIT_ANY, ready, MUSTER_FOREVER), MUSTER_OK);
    assert_true(ready[0] || ready[1] || ready[2] || ready[3] || ready[4] || ready[5]);
    assert_int_equal(muster_task_wait(tasks, 6, MUSTER_WAIT_FIRST_FAILURE, ready, MUSTER_FOREVER), MUSTER_OK);
    assert_true(ready[4]);
    assert_int_equal(muster_task_wait(tasks, 6, MUSTER_WAIT_ALL, ready, MUSTER_FOREVER), MUSTER_OK);
    for (int i = 0; i < 6; i++)
        assert_true(ready[i]);
    bool done[6] = {false};
    int64_t index, sum = 0;
    for (int i = 0; i < 6; i++) {
        assert_int_equal(muster_task_next(tasks, 6, done, &index, MUSTER_FOREVER), MUSTER_OK);
        int64_t result = -1;
        assert_int_equal(muster_task_get(tasks[index], &result, sizeof result, 0),
                         index == 4 ? MUSTER_ERR_TASK : MUSTER_OK);
        sum += index;
    }
    assert_int_equal(sum, 15);
    assert_int_equal(muster_task_next(tasks, 6, done, &index, MUSTER_FOREVER), MUSTER_ERR_STATE);
    pool_end(pool);
}

/* ---- 18: cancel, limits ---- */

static void test_cancel(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 1});
    muster_task blocker, tasks[20];
    int ms = 200;
    assert_int_equal(muster_pool_submit(pool, &blocker, nap_task, &ms, sizeof ms, sizeof ms, NULL), MUSTER_OK);
    for (int64_t i = 0; i < 20; i++)
        assert_int_equal(muster_pool_submit(pool, &tasks[i], square, &i, sizeof i, sizeof i, NULL), MUSTER_OK);
    int canceled = 0;
    for (int i = 0; i < 20; i++) {
        muster_err err = muster_task_cancel(tasks[i], false);
        assert_true(err == MUSTER_OK || err == MUSTER_ERR_STATE);
        int64_t result = -1;
        assert_int_equal(muster_task_get(tasks[i], &result, sizeof result, MUSTER_FOREVER),
                         err == MUSTER_OK ? MUSTER_ERR_CANCELED : MUSTER_OK);
        assert_int_equal(result, err == MUSTER_OK ? -1 : i * i);
        canceled += err == MUSTER_OK;
    }
    assert_true(canceled > 0);
    assert_int_equal(muster_task_get(blocker, &ms, sizeof ms, MUSTER_FOREVER), MUSTER_OK);
    pool_end(pool);
}

struct announced {
    muster_queue queue;
    int ms;
};

static int announce_and_nap(const void *item, void *result, const void *user)
{
    (void)result;
    (void)user;
    const struct announced *what = item;
    put_word(what->queue, "go");
    nap(what->ms);
    return 0;
}

/* a running task goes on, unless it is to be killed and can be */
static void test_cancel_running(void **state)
{
    bool alone = *(const bool *)*state;
    int workers;
    muster_pool pool = pool_make(state, (muster_pool_options){.caller_idle = true});
    assert_int_equal(muster_pool_workers(pool, &workers), MUSTER_OK);
    if (!alone && workers == 1) { /* nobody runs it before it is waited for */
        pool_end(pool);
        return;
    }
    struct announced what = {.ms = 50};
    char word[8];
    muster_task task;
    assert_int_equal(muster_queue_create(&what.queue, NULL), MUSTER_OK);
    for (int kill = 0; kill < 2; kill++) {
        what.ms = kill && alone ? 60000 : 50;
        assert_int_equal(muster_pool_submit(pool, &task, announce_and_nap, &what, sizeof what, 0, NULL), MUSTER_OK);
        assert_int_equal(muster_queue_get(what.queue, word, sizeof word, NULL, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(muster_task_cancel(task, kill), kill && alone ? MUSTER_OK : MUSTER_ERR_STATE);
        assert_int_equal(muster_task_get(task, NULL, 0, MUSTER_FOREVER),
                         kill && alone ? MUSTER_ERR_CANCELED : MUSTER_OK);
    }
    map_and_check(pool, 100, 0);
    assert_int_equal(muster_queue_destroy(what.queue), MUSTER_OK);
    pool_end(pool);
}

static void test_time_limit(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 1});
    muster_submit_options limit = {.time_limit_ms = 50};
    int ms = 60000, result;
    muster_task task;
    muster_err err = muster_pool_submit(pool, &task, nap_task, &ms, sizeof ms, sizeof ms, &limit);
    if (*(const bool *)*state) {
        assert_int_equal(err, MUSTER_OK);
        assert_int_equal(muster_task_get(task, &result, sizeof result, MUSTER_FOREVER), MUSTER_ERR_TIMEOUT);
        assert_int_equal(muster_pool_last_error()->err, MUSTER_ERR_TIMEOUT);
        int items[4] = {1, 60000, 1, 1}, results[4] = {0};
        assert_int_equal(muster_pool_map(pool, nap_task, items, 4, sizeof *items, results, sizeof *results,
                                         &(muster_map_options){.time_limit_ms = 100}),
                         MUSTER_ERR_TIMEOUT);
        assert_int_equal(muster_pool_last_error()->index, 1);
        assert_int_equal(results[0] + results[2] + results[3], 3);
    } else {
        assert_int_equal(err, MUSTER_ERR_UNSUPPORTED);
    }
    pool_end(pool);
}

/* ---- 20: initializer and finalizer ---- */

static int64_t initialized;

static int initialize(const void *item, void *result, const void *user)
{
    (void)result;
    (void)user;
    initialized += *(const int64_t *)item;
    return 0;
}

static int report_initialized(const void *item, void *result, const void *user)
{
    (void)user;
    if (*(const int64_t *)item == 50)
        raise(SIGKILL);
    *(int64_t *)result = initialized;
    return 0;
}

static int refuse(const void *item, void *result, const void *user)
{
    (void)item;
    (void)result;
    (void)user;
    return 9;
}

static int finalize(const void *item, void *result, const void *user)
{
    (void)result;
    (void)user;
    put_word(*(const muster_queue *)item, "bye");
    return 0;
}

static int ask_queue(const void *item, void *result, const void *user)
{
    (void)item;
    (void)result;
    (void)user;
    return 0;
}

static void test_initializer(void **state)
{
    bool alone = *(const bool *)*state;
    int64_t five = 5;
    initialized = 0;
    muster_pool pool = pool_make(
        state, (muster_pool_options){.workers = 2, .initializer = initialize, .init_arg = &five, .init_arg_bytes = 8});
    int64_t *items = iota(200), results[200];
    items[50] = alone ? 50 : 0;
    assert_int_equal(muster_pool_map(pool, report_initialized, items, 200, 8, results, 8, NULL),
                     alone ? MUSTER_ERR_CRASHED : MUSTER_OK);
    for (int i = 0; i < 200; i++)
        assert_int_equal(results[i], alone && i == 50 ? 0 : 5); /* once in each, again in a replacement */
    free(items);
    pool_end(pool);

    pool = pool_make(state, (muster_pool_options){.workers = 2, .initializer = refuse});
    int64_t one = 1, result = 0;
    muster_err err = muster_pool_map(pool, square, &one, 1, 8, &result, 8, NULL);
    assert_int_equal(err, MUSTER_ERR_BROKEN);
    assert_non_null(strstr(muster_err_detail(), "9"));
    muster_task task;
    assert_int_equal(muster_pool_submit(pool, &task, square, &one, 8, 8, NULL), MUSTER_ERR_BROKEN);
    pool_end(pool);
}

static void test_finalizer(void **state)
{
    muster_queue queue;
    assert_int_equal(muster_queue_create(&queue, NULL), MUSTER_OK);
    muster_pool pool = pool_make(
        state,
        (muster_pool_options){.workers = 1, .finalizer = finalize, .init_arg = &queue, .init_arg_bytes = sizeof queue});
    muster_task task;
    assert_int_equal(muster_pool_submit(pool, &task, ask_queue, NULL, 0, 0, NULL), MUSTER_OK);
    assert_int_equal(muster_task_get(task, NULL, 0, MUSTER_FOREVER), MUSTER_OK);
    pool_end(pool);
    char word[8] = "";
    assert_int_equal(muster_queue_get(queue, word, sizeof word, NULL, 0), MUSTER_OK);
    assert_string_equal(word, "bye");
    assert_int_equal(muster_queue_get(queue, word, sizeof word, NULL, 0), MUSTER_ERR_EMPTY);
    assert_int_equal(muster_queue_destroy(queue), MUSTER_OK);
}

/* ---- 21, 22: close, join, terminate ---- */

static void test_close_join(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 2});
    enum { N = 50 };
    muster_task tasks[N];
    int ms = 2;
    for (int i = 0; i < N; i++)
        assert_int_equal(muster_pool_submit(pool, &tasks[i], nap_task, &ms, sizeof ms, sizeof ms, NULL), MUSTER_OK);
    assert_int_equal(muster_pool_join(pool, 0), MUSTER_ERR_STATE);
    assert_int_equal(muster_pool_close(pool), MUSTER_OK);
    muster_task late;
    assert_int_equal(muster_pool_submit(pool, &late, nap_task, &ms, sizeof ms, sizeof ms, NULL), MUSTER_ERR_CLOSED);
    assert_int_equal(muster_pool_map(pool, nap_task, &ms, 1, 4, &ms, 4, NULL), MUSTER_ERR_CLOSED);
    assert_int_equal(muster_pool_join(pool, MUSTER_FOREVER), MUSTER_OK);
    for (int i = 0; i < N; i++) {
        bool ready = false;
        int result = 0;
        assert_int_equal(muster_task_ready(tasks[i], &ready), MUSTER_OK);
        assert_true(ready);
        assert_int_equal(muster_task_get(tasks[i], &result, sizeof result, 0), MUSTER_OK);
        assert_int_equal(result, 2);
    }
    pool_end(pool);
}

static void test_terminate(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 2});
    enum { N = 10000 };
    static muster_task tasks[N];
    int ms = 20, result = 0, canceled = 0;
    for (int i = 0; i < N; i++)
        assert_int_equal(muster_pool_submit(pool, &tasks[i], nap_task, &ms, sizeof ms, sizeof ms, NULL), MUSTER_OK);
    assert_int_equal(muster_pool_terminate(pool), MUSTER_OK);
    for (int i = 0; i < N; i++) {
        muster_err err = muster_task_get(tasks[i], &result, sizeof result, MUSTER_FOREVER);
        assert_true(err == MUSTER_OK || err == MUSTER_ERR_CANCELED || err == MUSTER_ERR_CRASHED);
        canceled += err == MUSTER_ERR_CANCELED;
    }
    assert_true(canceled > N / 2);
    pool_end(pool);
}

/* ---- 23: crashes ---- */

static void test_crash(void **state)
{
    (void)state;
    void *alone = (void *)&isolated;
    int64_t *items = iota(1000), results[1000] = {0}, bad = 321;
    muster_pool pool = pool_make(&alone, (muster_pool_options){.workers = 2});
    muster_map_options options = {.user = &bad, .user_bytes = sizeof bad};
    for (int round = 0; round < 5; round++) {
        memset(results, 0, sizeof results);
        options.chunk_items = round % 2 ? 0 : 10;
        assert_int_equal(muster_pool_map(pool, crash_at, items, 1000, 8, results, 8, &options), MUSTER_ERR_CRASHED);
        assert_int_equal(muster_pool_last_error()->index, bad);
        assert_int_equal(muster_pool_last_error()->code, SIGKILL);
        assert_int_equal(muster_pool_last_error()->failed, 1);
        for (int i = 0; i < 1000; i++)
            assert_int_equal(results[i], i == bad ? 0 : i + 1);
    }
    muster_task task;
    muster_submit_options submit = {.user = &bad, .user_bytes = sizeof bad};
    assert_int_equal(muster_pool_submit(pool, &task, crash_at, &bad, 8, 8, &submit), MUSTER_OK);
    assert_int_equal(muster_task_get(task, results, 8, MUSTER_FOREVER), MUSTER_ERR_CRASHED);
    assert_non_null(strstr(muster_err_detail(), "signal 9"));
    map_and_check(pool, 1000, 0);
    free(items);
    pool_end(pool);
}

static int crash_once(const void *item, void *result, const void *user)
{
    (void)user;
    const muster_queue *queue = item;
    char word[8];
    if (muster_queue_get(*queue, word, sizeof word, NULL, 0) == MUSTER_OK)
        raise(SIGSEGV);
    *(int *)result = 11;
    return 0;
}

static void test_retry(void **state)
{
    (void)state;
    void *alone = (void *)&isolated;
    muster_pool pool = pool_make(&alone, (muster_pool_options){.workers = 1, .retries = 2});
    muster_queue queue;
    assert_int_equal(muster_queue_create(&queue, NULL), MUSTER_OK);
    for (int crashes = 1; crashes <= 3; crashes++) {
        for (int i = 0; i < crashes; i++)
            put_word(queue, "crash");
        muster_task task;
        int result = 0;
        assert_int_equal(muster_pool_submit(pool, &task, crash_once, &queue, sizeof queue, sizeof result, NULL),
                         MUSTER_OK);
        assert_int_equal(muster_task_get(task, &result, sizeof result, MUSTER_FOREVER),
                         crashes <= 2 ? MUSTER_OK : MUSTER_ERR_CRASHED);
        assert_int_equal(result, crashes <= 2 ? 11 : 0);
    }
    assert_int_equal(muster_queue_destroy(queue), MUSTER_OK);
    pool_end(pool);
}

/* a task's own number goes before the pool's */
static void test_retry_task(void **state)
{
    static const struct {
        int retries, crashes;
        muster_err err;
    } tries[] = {
        {0, 1, MUSTER_OK}, {0, 2, MUSTER_ERR_CRASHED}, {MUSTER_NO_RETRIES, 1, MUSTER_ERR_CRASHED}, {3, 3, MUSTER_OK}};
    (void)state;
    void *alone = (void *)&isolated;
    muster_pool pool = pool_make(&alone, (muster_pool_options){.workers = 1, .retries = 1});
    muster_queue queue;
    muster_task task;
    assert_int_equal(muster_queue_create(&queue, NULL), MUSTER_OK);
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        muster_submit_options options = {.retries = tries[i].retries};
        for (int k = 0; k < tries[i].crashes; k++)
            put_word(queue, "crash");
        assert_int_equal(muster_pool_submit(pool, &task, crash_once, &queue, sizeof queue, sizeof(int), &options),
                         MUSTER_OK);
        assert_int_equal(muster_task_get(task, &(int){0}, sizeof(int), MUSTER_FOREVER), tries[i].err);
    }
    for (int bad = -2; bad <= 256; bad += 258)
        assert_int_equal(muster_pool_submit(pool, &task, crash_once, &queue, sizeof queue, sizeof(int),
                                            &(muster_submit_options){.retries = bad}),
                         MUSTER_ERR_INVAL);
    assert_int_equal(muster_queue_destroy(queue), MUSTER_OK);
    pool_end(pool);
}

static int die_first(const void *item, void *result, const void *user)
{
    (void)item;
    (void)result;
    (void)user;
    raise(SIGKILL);
    return 0;
}

static void test_broken_start(void **state)
{
    (void)state;
    void *alone = (void *)&isolated;
    muster_pool pool = pool_make(&alone, (muster_pool_options){.workers = 1, .initializer = die_first});
    int64_t one = 1, result;
    assert_int_equal(muster_pool_map(pool, square, &one, 1, 8, &result, 8, NULL), MUSTER_ERR_BROKEN);
    pool_end(pool);
}

/* ---- 25: tasks that submit tasks ---- */

static int fibonacci(const void *item, void *result, const void *user)
{
    const muster_pool *pool = user;
    int64_t n = *(const int64_t *)item, parts[2];
    if (n < 2) {
        *(int64_t *)result = n;
        return 0;
    }
    muster_task tasks[2];
    for (int i = 0; i < 2; i++) {
        int64_t smaller = n - 1 - i;
        muster_submit_options options = {.user = user, .user_bytes = sizeof *pool};
        if (muster_pool_submit(*pool, &tasks[i], fibonacci, &smaller, sizeof smaller, sizeof smaller, &options))
            return muster_task_fail(1, "submit: %s", muster_err_detail());
    }
    for (int i = 1; i >= 0; i--)
        if (muster_task_get(tasks[i], &parts[i], sizeof parts[i], MUSTER_FOREVER))
            return muster_task_fail(2, "get: %s", muster_err_detail());
    *(int64_t *)result = parts[0] + parts[1];
    return 0;
}

static int nested_map(const void *item, void *result, const void *user)
{
    const muster_pool *pool = user;
    int64_t n = *(const int64_t *)item, items[10], results[10];
    for (int i = 0; i < 10; i++)
        items[i] = n + i;
    if (muster_pool_map(*pool, square, items, 10, 8, results, 8, NULL))
        return muster_task_fail(3, "map: %s", muster_err_detail());
    for (int i = 0; i < 10; i++)
        *(int64_t *)result += results[i];
    return 0;
}

static void test_nested(void **state)
{
    for (int workers = 1; workers <= 3; workers++) {
        muster_pool pool = pool_make(state, (muster_pool_options){.workers = workers});
        muster_submit_options options = {.user = &pool, .user_bytes = sizeof pool};
        muster_task task;
        int64_t n = 16, result = 0;
        assert_int_equal(muster_pool_submit(pool, &task, fibonacci, &n, sizeof n, sizeof n, &options), MUSTER_OK);
        assert_int_equal(muster_task_get(task, &result, sizeof result, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(result, 987);

        int64_t items[50], results[50];
        for (int i = 0; i < 50; i++)
            items[i] = i;
        assert_int_equal(muster_pool_map(pool, nested_map, items, 50, 8, results, 8,
                                         &(muster_map_options){.user = &pool, .user_bytes = sizeof pool}),
                         MUSTER_OK);
        for (int64_t i = 0; i < 50; i++)
            assert_int_equal(results[i], 10 * i * i + 90 * i + 285);
        pool_end(pool);
    }
}

/* ---- 26: sizes ---- */

static int checksum(const void *item, void *result, const void *user)
{
    (void)user;
    size_t size = *(const size_t *)item;
    const unsigned char *bytes = item;
    unsigned char *out = result;
    for (size_t i = 0; i < size; i++)
        out[i] = (unsigned char)(bytes[i] ^ 0x5a);
    return 0;
}

static int nothing(const void *item, void *result, const void *user)
{
    (void)user;
    return item || result ? muster_task_fail(1, "expected nothing") : 0;
}

static int one_byte(const void *item, void *result, const void *user)
{
    (void)user;
    *(char *)result = (char)(*(const char *)item + 1);
    return 0;
}

static void test_sizes(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 2});
    muster_task task;
    assert_int_equal(muster_pool_submit(pool, &task, nothing, NULL, 0, 0, NULL), MUSTER_OK);
    assert_int_equal(muster_task_get(task, NULL, 0, MUSTER_FOREVER), MUSTER_OK);
    char byte = 'a';
    assert_int_equal(muster_pool_submit(pool, &task, one_byte, &byte, 1, 1, NULL), MUSTER_OK);
    assert_int_equal(muster_task_get(task, &byte, 1, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(byte, 'b');

    size_t sizes[] = {sizeof(size_t), 63, 64, 65, 4096, 1 << 20, (size_t)100 << 20};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        size_t size = sizes[k];
        unsigned char *in = malloc(size), *out = malloc(size);
        memset(in, (int)k, size);
        memcpy(in, &size, sizeof size);
        assert_int_equal(muster_pool_submit(pool, &task, checksum, in, size, size, NULL), MUSTER_OK);
        assert_int_equal(muster_task_get(task, out, size, MUSTER_FOREVER), MUSTER_OK);
        for (size_t i = 0; i < size; i += 1 + size / 1000)
            assert_int_equal(out[i], in[i] ^ 0x5a);
        assert_int_equal(out[size - 1], in[size - 1] ^ 0x5a);
        free(in);
        free(out);
    }
    pool_end(pool);
}

/* ---- 27: reduce ---- */

static int to_float(const void *item, void *result, const void *user)
{
    (void)user;
    *(float *)result = 1.0f / (float)(*(const int64_t *)item + 1);
    return 0;
}

static int add_float(void *accumulated, const void *value, const void *user)
{
    (void)user;
    *(float *)accumulated += *(const float *)value;
    return 0;
}

/* the same tree, computed here */
static float reference(int64_t n, int64_t chunk)
{
    float level[4096];
    int64_t count = 0;
    for (int64_t i = 0; i < n; i += chunk) {
        float sum = 1.0f / (float)(i + 1);
        for (int64_t j = i + 1; j < n && j < i + chunk; j++)
            sum += 1.0f / (float)(j + 1);
        level[count++] = sum;
    }
    for (; count > 1; count = (count + 1) / 2) {
        for (int64_t i = 0; 2 * i + 1 < count; i++)
            level[i] = level[2 * i] + level[2 * i + 1];
        if (count % 2)
            level[count / 2] = level[count - 1];
    }
    return level[0];
}

static void test_reduce(void **state)
{
    int64_t *items = iota(10000);
    for (int workers = 1; workers <= 3; workers++) {
        muster_pool pool = pool_make(state, (muster_pool_options){.workers = workers});
        const int64_t sizes[] = {1, 2, 5, 1000, 10000}, chunks[] = {1, 3, 10, 100};
        for (int i = 0; i < 5; i++)
            for (int j = i == 4 ? 1 : 0; j < 4; j++) {
                float sum = -1, expected = reference(sizes[i], chunks[j]);
                assert_int_equal(muster_pool_reduce(pool, to_float, add_float, items, sizes[i], 8, &sum, sizeof sum,
                                                    &(muster_map_options){.chunk_items = chunks[j]}),
                                 MUSTER_OK);
                assert_memory_equal(&sum, &expected, sizeof sum); /* the same bits */
            }
        pool_end(pool);
    }
    free(items);
}

static int times_user(const void *item, void *result, const void *user)
{
    if (!user)
        return muster_task_fail(1, "no user");
    *(int64_t *)result = *(const int64_t *)item * *(const int64_t *)user;
    return 0;
}

static int add_times_user(void *accumulated, const void *value, const void *user)
{
    if (!user)
        return muster_task_fail(1, "no user");
    *(int64_t *)accumulated += *(const int64_t *)value * *(const int64_t *)user;
    return 0;
}

/* fn and combine have the reduction's user, else the pool's, in leaves and in the tree */
static void test_reduce_user(void **state)
{
    const int64_t mine = 1, pools = -1;
    int64_t *items = iota(1000), sum = 0;
    muster_pool pool = pool_make(state, (muster_pool_options){.user = &pools, .user_bytes = sizeof pools});
    muster_map_options options = {.chunk_items = 3, .user = &mine, .user_bytes = sizeof mine};
    assert_int_equal(muster_pool_reduce(pool, times_user, add_times_user, items, 1000, 8, &sum, 8, &options),
                     MUSTER_OK);
    assert_int_equal(sum, 499500);
    assert_int_equal(muster_pool_reduce(pool, times_user, add_times_user, items, 2, 8, &sum, 8, NULL), MUSTER_OK);
    assert_int_equal(sum, 1); /* 0 * -1 + 1 * -1 * -1 */
    options = (muster_map_options){.chunk_items = 1};
    assert_int_equal(muster_pool_reduce(pool, times_user, add_times_user, items, 2, 8, &sum, 8, &options), MUSTER_OK);
    assert_int_equal(sum, 1);
    pool_end(pool);
    pool = pool_make(state, (muster_pool_options){0});
    assert_int_equal(muster_pool_reduce(pool, times_user, add_times_user, items, 2, 8, &sum, 8, NULL), MUSTER_ERR_TASK);
    pool_end(pool);
    free(items);
}

/* ---- 29: random streams ---- */

static int draw(const void *item, void *result, const void *user)
{
    (void)item;
    muster_stream stream = muster_stream_make(*(const uint64_t *)user, (uint64_t)muster_task_index());
    for (int i = 0; i < 10; i++)
        *(uint64_t *)result = *(uint64_t *)result * 31 + muster_stream_u64(&stream);
    return 0;
}

static void test_streams(void **state)
{
    uint64_t seed = 42, first[300], again[300];
    char items[300];
    memset(items, 0, sizeof items);
    for (int workers = 1; workers <= 3; workers++) {
        muster_pool pool = pool_make(state, (muster_pool_options){.workers = workers});
        assert_int_equal(muster_pool_map(pool, draw, items, 300, 1, workers == 1 ? first : again, 8,
                                         &(muster_map_options){.user = &seed, .user_bytes = 8, .chunk_items = workers}),
                         MUSTER_OK);
        if (workers > 1)
            assert_memory_equal(first, again, sizeof first);
        pool_end(pool);
    }
    assert_int_not_equal(first[0], first[1]);
}

/* ---- 10 of the pool's own: two at once, and many in turn ---- */

static void test_many_pools(void **state)
{
    void *other = *(const bool *)*state ? (void *)&in_rank : (void *)&isolated;
    muster_pool a = pool_make(state, (muster_pool_options){.name = "a"});
    muster_pool b = pool_make(&other, (muster_pool_options){.name = "b", .workers = 2});
    map_and_check(a, 1000, 1);
    map_and_check(b, 1000, 1);
    map_and_check(a, 1000, 0);
    pool_end(a);
    map_and_check(b, 100, 0);
    pool_end(b);
    for (int i = 0; i < 20; i++) {
        muster_pool pool = pool_make(state, (muster_pool_options){.workers = 2});
        map_and_check(pool, 10, 1);
        pool_end(pool);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_workers),
        BOTH(test_empty),
        BOTH(test_map_order),
        BOTH(test_map_user),
        BOTH(test_map_balances),
        BOTH(test_imap),
        BOTH(test_imap_window),
        BOTH(test_imap_failures),
        BOTH(test_map_failures),
        BOTH(test_submit),
        BOTH(test_get_timeout),
        BOTH(test_wait_sets),
        BOTH(test_cancel),
        BOTH(test_cancel_running),
        BOTH(test_time_limit),
        BOTH(test_initializer),
        BOTH(test_finalizer),
        BOTH(test_close_join),
        BOTH(test_terminate),
        cmocka_unit_test(test_crash),
        cmocka_unit_test(test_retry),
        cmocka_unit_test(test_retry_task),
        cmocka_unit_test(test_broken_start),
        BOTH(test_nested),
        BOTH(test_sizes),
        BOTH(test_reduce),
        BOTH(test_reduce_user),
        BOTH(test_streams),
        BOTH(test_many_pools),
    };
    return mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "pool");
}
