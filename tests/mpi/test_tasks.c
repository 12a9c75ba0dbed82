/*
 * Tasks and what users call beside maps, conformance 15, 17, 20, 21, 58, 67: each case with workers in the ranks and
 * with isolated ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <muster/muster.h>

#include "support/mpi_case.h"

static const bool in_rank = false, isolated = true;

static muster_pool pool_make(void **state, muster_pool_options options)
{
    options.isolated = *(const bool *)*state;
    muster_pool pool;
    assert_int_equal(muster_pool_create(&pool, &options), MUSTER_OK);
    return pool;
}

static void pool_end(muster_pool pool)
{
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
}

static void nap(int ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
    while (nanosleep(&t, &t) != 0)
        ;
}

/* ---- tasks ---- */

static int square(const void *item, void *result, void *user)
{
    (void)user;
    int64_t n = *(const int64_t *)item;
    *(int64_t *)result = n * n;
    return 0;
}

static int nap_task(const void *item, void *result, void *user)
{
    (void)user;
    nap(*(const int *)item);
    *(int *)result = *(const int *)item;
    return 0;
}

static muster_task submit_square(muster_pool pool, int64_t n)
{
    muster_task task;
    assert_int_equal(muster_pool_submit(pool, &task, square, &n, sizeof n, sizeof n, NULL), MUSTER_OK);
    return task;
}

static muster_task submit_nap(muster_pool pool, int ms)
{
    muster_task task;
    assert_int_equal(muster_pool_submit(pool, &task, nap_task, &ms, sizeof ms, sizeof ms, NULL), MUSTER_OK);
    return task;
}

static void get_square(muster_task task, int64_t n)
{
    int64_t result = -1;
    assert_int_equal(muster_task_get(task, &result, sizeof result, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(result, n * n);
}

/* ---- 58: a result is got once ---- */

struct getter {
    muster_task task;
    muster_err err;
    int value;
};

static void get(struct getter *getter)
{
    getter->err = muster_task_get(getter->task, &getter->value, sizeof getter->value, MUSTER_FOREVER);
}

static void *get_main(void *arg)
{
    get(arg);
    return NULL;
}

/* exactly one of them has the value */
static void check_getters(const struct getter *getters, int n, int value)
{
    int ok = 0;
    for (int i = 0; i < n; i++) {
        assert_true(getters[i].err == MUSTER_OK || getters[i].err == MUSTER_ERR_STALE);
        assert_int_equal(getters[i].value, getters[i].err ? -1 : value);
        ok += !getters[i].err;
    }
    assert_int_equal(ok, 1);
}

static void no_record_twice(muster_pool pool)
{
    enum { N = 700 };
    static muster_task tasks[N];
    static uint8_t seen[1 << 20];
    memset(seen, 0, sizeof seen);
    for (int64_t i = 0; i < N; i++) {
        tasks[i] = submit_square(pool, i);
        assert_in_range(tasks[i].handle.slot, 0, sizeof seen - 1);
        assert_int_equal(seen[tasks[i].handle.slot]++, 0);
    }
    for (int64_t i = 0; i < N; i++)
        get_square(tasks[i], i);
}

static void test_get_once(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 2});
    for (int round = 0; round < 20; round++) {
        pthread_t id;
        int ms = round % 2 ? 5 : 0;
        muster_task task = submit_nap(pool, ms);
        struct getter getters[2] = {{task, MUSTER_OK, -1}, {task, MUSTER_OK, -1}};
        assert_int_equal(pthread_create(&id, NULL, get_main, &getters[1]), 0);
        get(&getters[0]);
        for (int64_t i = 0; i < 10; i++) /* its record may be another's already while the second one comes */
            get_square(submit_square(pool, i), i);
        pthread_join(id, NULL);
        check_getters(getters, 2, ms);
    }
    no_record_twice(pool);
    pool_end(pool);
}

static int get_in_process(const void *arg, size_t size)
{
    struct getter getter = {.value = -1};
    (void)size;
    memcpy(&getter.task, arg, sizeof getter.task);
    get(&getter);
    if (getter.err)
        return getter.err == MUSTER_ERR_STALE && getter.value == -1 ? 1 : 2;
    return getter.value == 7 ? 0 : 3;
}

/* The same from processes of their own. */
static void test_get_once_processes(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 2});
    muster_task task = submit_nap(pool, 7);
    muster_process processes[3];
    int zero = 0;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(muster_process_create(&processes[i], get_in_process, &task, sizeof task,
                                               &(muster_process_options){.rank = &zero}),
                         MUSTER_OK);
        assert_int_equal(muster_process_start(processes[i]), MUSTER_OK);
    }
    struct getter getters[4] = {{task, MUSTER_OK, -1}};
    get(&getters[0]);
    for (int i = 0; i < 3; i++) {
        muster_process_status status;
        assert_int_equal(muster_process_join(processes[i], &status, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(status.signal, 0);
        assert_in_range(status.exit_code, 0, 1);
        getters[i + 1].err = status.exit_code ? MUSTER_ERR_STALE : MUSTER_OK;
        getters[i + 1].value = status.exit_code ? -1 : 7;
        assert_int_equal(muster_process_close(processes[i]), MUSTER_OK);
    }
    check_getters(getters, 4, 7);
    pool_end(pool);
}

static int get_in_task(const void *item, void *result, void *user)
{
    struct getter *getter = result;
    (void)user;
    memcpy(&getter->task, item, sizeof getter->task);
    getter->value = -1;
    get(getter);
    return 0;
}

/* The same from other ranks: on the submitter's host they may use the handle, elsewhere they are told that not. */
static void test_get_once_ranks(void **state)
{
    enum { N = 12 };
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 2}), ranks;
    assert_int_equal(muster_pool_create(&ranks, NULL), MUSTER_OK);
    muster_task task = submit_nap(pool, 5), tasks[N + 1];
    struct getter getters[N + 1];
    int here = 0;
    for (int i = 0; i < N; i++)
        assert_int_equal(muster_pool_submit(ranks, &tasks[i], get_in_task, &task, sizeof task, sizeof *getters, NULL),
                         MUSTER_OK);
    getters[here++] = (struct getter){task, MUSTER_OK, -1};
    get(&getters[0]);
    for (int i = 0; i < N; i++) {
        assert_int_equal(muster_task_get(tasks[i], &getters[here], sizeof *getters, MUSTER_FOREVER), MUSTER_OK);
        here += getters[here].err != MUSTER_ERR_UNSUPPORTED;
    }
    check_getters(getters, here, 5);
    pool_end(ranks);
    pool_end(pool);
}

static void test_stale(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 2});
    muster_task got = submit_square(pool, 3), forgotten = submit_square(pool, 4);
    get_square(got, 3);
    assert_int_equal(muster_task_forget(forgotten), MUSTER_OK);
    muster_task others[2] = {submit_square(pool, 5), submit_square(pool, 6)}; /* in the same records */
    const muster_task stale[] = {got, forgotten, {{0}}};
    for (int i = 0; i < 3; i++) {
        bool is = false;
        int64_t result = -1;
        assert_int_equal(muster_task_get(stale[i], &result, sizeof result, MUSTER_FOREVER), MUSTER_ERR_STALE);
        assert_int_equal(muster_task_ready(stale[i], &is), MUSTER_ERR_STALE);
        assert_int_equal(muster_task_successful(stale[i], &is), MUSTER_ERR_STALE);
        assert_int_equal(muster_task_cancel(stale[i], false), MUSTER_ERR_STALE);
        assert_int_equal(muster_task_cancel(stale[i], true), MUSTER_ERR_STALE);
        assert_int_equal(muster_task_forget(stale[i]), MUSTER_ERR_STALE);
        assert_int_equal(result, -1);
        assert_false(is);
    }
    get_square(others[0], 5);
    get_square(others[1], 6);
    pool_end(pool);
}

/* ---- pools that are over ---- */

/* A rank that comes to see the second one only when the first one ends still leaves the first one. */
static void test_two_in_turn(void **state)
{
    for (int i = 0; i < 30; i++) {
        muster_pool one = pool_make(state, (muster_pool_options){0}),
                    other = pool_make(state, (muster_pool_options){0});
        pool_end(one);
        pool_end(other);
    }
}

/* 17, 22: what a terminated pool has not run has ended, too: it is got once, as canceled. */
static void test_terminated(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 1});
    muster_task running = submit_nap(pool, 50), queued = submit_square(pool, 2);
    bool is = false;
    int64_t result = -1;
    assert_int_equal(muster_pool_terminate(pool), MUSTER_OK);
    assert_int_equal(muster_task_ready(queued, &is), MUSTER_OK);
    assert_true(is);
    assert_int_equal(muster_task_successful(queued, &is), MUSTER_OK);
    assert_int_equal(muster_task_get(queued, &result, sizeof result, MUSTER_FOREVER),
                     is ? MUSTER_OK : MUSTER_ERR_CANCELED);
    assert_int_equal(muster_task_get(queued, &result, sizeof result, MUSTER_FOREVER), MUSTER_ERR_STALE);
    assert_int_equal(muster_task_forget(running), MUSTER_OK);
    assert_int_equal(muster_task_forget(running), MUSTER_ERR_STALE);
    pool_end(pool);
}

#define BOTH(f) cmocka_unit_test_prestate(f, (void *)&in_rank), cmocka_unit_test_prestate(f, (void *)&isolated)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_get_once), BOTH(test_get_once_processes), BOTH(test_get_once_ranks),
        BOTH(test_stale),    BOTH(test_two_in_turn),        BOTH(test_terminated),
    };
    return mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "tasks");
}
