/* SPDX-License-Identifier: BSD-3-Clause */
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
#include <sched.h>
#include <stdatomic.h>
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
    for (int i = 0; i < 3; i++) {
        assert_int_equal(muster_process_create(&processes[i], get_in_process, &task, sizeof task,
                                               &(muster_process_options){.on = muster_on_rank(0)}),
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

static int get_in_task(const void *item, void *result, const void *user)
{
    struct getter *getter = result;
    (void)user;
    memcpy(&getter->task, item, sizeof getter->task);
    getter->value = -1;
    get(getter);
    return 0;
}

/* The same from other ranks, of other hosts, too. */
static void test_get_once_ranks(void **state)
{
    enum { N = 12 };
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 2}), ranks;
    assert_int_equal(muster_pool_create(&ranks, NULL), MUSTER_OK);
    muster_task task = submit_nap(pool, 5), tasks[N + 1];
    struct getter getters[N + 1];
    for (int i = 0; i < N; i++)
        assert_int_equal(muster_pool_submit(ranks, &tasks[i], get_in_task, &task, sizeof task, sizeof *getters, NULL),
                         MUSTER_OK);
    getters[N] = (struct getter){task, MUSTER_OK, -1};
    get(&getters[N]);
    for (int i = 0; i < N; i++)
        assert_int_equal(muster_task_get(tasks[i], &getters[i], sizeof *getters, MUSTER_FOREVER), MUSTER_OK);
    check_getters(getters, N + 1, 5);
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

/* ---- 17: a worker that waits runs first what it waits for ---- */

static int runs; /* in this process */

static int count_run(const void *item, void *result, const void *user)
{
    runs++;
    return nap_task(item, result, user);
}

static muster_task submit_counted(muster_pool pool, int ms)
{
    muster_task task;
    assert_int_equal(muster_pool_submit(pool, &task, count_run, &ms, sizeof ms, sizeof ms, NULL), MUSTER_OK);
    return task;
}

/* The caller is the only worker. */
static void test_awaited_first(void **state)
{
    (void)state;
    void *here = (void *)&in_rank;
    muster_pool pool = pool_make(&here, (muster_pool_options){.workers = 1, .caller_idle = true});
    muster_task task = submit_counted(pool, 1), longer = submit_counted(pool, 50);
    int result = -1;
    bool ready = false;
    runs = 0;
    assert_int_equal(muster_task_get(task, &result, sizeof result, MUSTER_NOWAIT), MUSTER_ERR_TIMEOUT);
    assert_int_equal(muster_task_wait(&task, 1, MUSTER_WAIT_ALL, &ready, MUSTER_NOWAIT), MUSTER_ERR_TIMEOUT);
    assert_int_equal(runs, 0); /* it began none */
    assert_int_equal(muster_task_get(task, &result, sizeof result, 2000), MUSTER_OK);
    assert_int_equal(result, 1);
    assert_int_equal(runs, 1);
    assert_int_equal(muster_task_get(longer, &result, sizeof result, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(result, 50);
    assert_int_equal(runs, 2);
    pool_end(pool);
}

/* ---- 17: waits within waits, to any depth ---- */

static int deep(const void *item, void *result, const void *user)
{
    int n = *(const int *)item, less = n - 1, below = 0;
    muster_task task;
    if (n && (muster_pool_submit(muster_task_pool(), &task, deep, &less, sizeof less, sizeof below, NULL) ||
              muster_task_get(task, &below, sizeof below, MUSTER_FOREVER)))
        return 1;
    *(int *)result = n ? below + 1 : 0;
    (void)user;
    return 0;
}

static void test_any_depth(void **state)
{
    enum { TASKS = 8 };
    muster_task tasks[TASKS];
    int n = 5000;
    muster_pool pool = pool_make(state, (muster_pool_options){0});
    assert_int_equal(muster_task_pool().handle.generation, 0);
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(muster_pool_submit(pool, &tasks[i], deep, &n, sizeof n, sizeof n, NULL), MUSTER_OK);
    for (int i = 0; i < TASKS; i++) {
        int result = 0;
        assert_int_equal(muster_task_get(tasks[i], &result, sizeof result, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(result, n);
    }
    pool_end(pool);
}

/* ---- 19: callbacks ---- */

enum { CALLED = 300 };

static struct {
    _Atomic int results[CALLED], errors[CALLED], at_once;
    _Atomic bool wrong;
    muster_pool pool;
    int64_t rank, pid;
} called;

/* Fails, or dies, as the item says. */
static int turn_out(const void *item, void *result, const void *user)
{
    int64_t n = *(const int64_t *)item;
    (void)user;
    if (n % 7 == 3)
        return muster_task_fail(5, "the third");
    *(int64_t *)result = n * n;
    return 0;
}

static void note_call(int64_t n, _Atomic int *calls)
{
    if (atomic_fetch_add(&called.at_once, 1) || muster_rank() != called.rank || getpid() != called.pid)
        called.wrong = true;
    atomic_fetch_add(&calls[n], 1);
    sched_yield();
    atomic_fetch_sub(&called.at_once, 1);
}

static void on_result(const void *result, size_t bytes, void *arg)
{
    int64_t n = (int64_t)(intptr_t)arg, again = -1;
    if (bytes != sizeof n || *(const int64_t *)result != n * n)
        called.wrong = true;
    /* nothing is locked */
    muster_task task;
    if (n % 50 == 0 && called.pool.handle.generation &&
        (muster_pool_submit(called.pool, &task, square, &n, sizeof n, sizeof n, NULL) ||
         muster_task_get(task, &again, sizeof again, MUSTER_FOREVER) || again != n * n))
        called.wrong = true;
    note_call(n, called.results);
}

static void on_error(const muster_task_error *error, void *arg)
{
    int64_t n = (int64_t)(intptr_t)arg;
    bool failed = error->err == MUSTER_ERR_TASK && error->code == 5 && strcmp(error->text, "the third") == 0;
    if (!failed && error->err != MUSTER_ERR_CANCELED)
        called.wrong = true;
    note_call(n, called.errors);
}

static void called_clear(muster_pool pool)
{
    memset(&called, 0, sizeof called);
    called.pool = pool;
    called.rank = muster_rank();
    called.pid = getpid();
}

static void submit_called(muster_pool pool, muster_task_fn fn, muster_task *tasks, int n)
{
    for (int64_t i = 0; i < n; i++)
        assert_int_equal(
            muster_pool_submit(pool, &tasks[i], fn, &i, sizeof i, sizeof i,
                               &(muster_submit_options){
                                   .callbacks = &(muster_callbacks){on_result, on_error, (void *)(intptr_t)i, {0}}}),
            MUSTER_OK);
}

static void test_callbacks(void **state)
{
    static muster_task tasks[CALLED];
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 3});
    bool others_work = *(const bool *)*state || muster_ranks() > 1;
    called_clear(others_work ? pool : (muster_pool){{0}});
    submit_called(pool, turn_out, tasks, CALLED);
    for (int i = 0; i < CALLED; i++)
        while (!called.results[i] && !called.errors[i])
            muster_task_wait(&tasks[i], 1, MUSTER_WAIT_ALL, NULL, MUSTER_FOREVER); /* also as the only worker */
    assert_int_equal(muster_pool_close(pool), MUSTER_OK);
    assert_int_equal(muster_pool_join(pool, MUSTER_FOREVER), MUSTER_OK);
    for (int i = 0; i < CALLED; i++) {
        assert_int_equal(called.results[i], i % 7 != 3);
        assert_int_equal(called.errors[i], i % 7 == 3);
    }
    assert_false(called.wrong);
    pool_end(pool);
}

/* One at a time, so that between two there is nothing to call: 200 times, as many threads have no place in a pool. */
static void test_callbacks_in_turns(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 2, .caller_idle = true});
    called_clear((muster_pool){{0}});
    for (int i = 0; i < 200; i++) {
        muster_task task;
        submit_called(pool, square, &task, 1);
        assert_int_equal(muster_task_wait(&task, 1, MUSTER_WAIT_ALL, NULL, MUSTER_FOREVER) % MUSTER_ERR_STALE, 0);
        while (called.results[0] == i && !called.errors[0])
            sched_yield();
    }
    assert_int_equal(called.results[0], 200);
    assert_false(called.wrong);
    pool_end(pool);
}

static int nap_or_square(const void *item, void *result, const void *user)
{
    int ms = 3, slept;
    nap_task(&ms, &slept, user);
    return square(item, result, user);
}

/* What the pool's end cancels is told as an error, before that returns. */
static void test_callbacks_of_an_end(void **state)
{
    static muster_task tasks[CALLED];
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 2});
    called_clear((muster_pool){{0}});
    submit_called(pool, nap_or_square, tasks, CALLED);
    pool_end(pool);
    for (int i = 0; i < CALLED; i++)
        assert_int_equal(called.results[i] + called.errors[i], 1);
    assert_false(called.wrong);
}

/* ---- 24: max tasks per worker ---- */

static int whose(const void *item, void *result, const void *user)
{
    (void)item;
    (void)user;
    *(int64_t *)result = (int64_t)muster_rank() << 32 | getpid();
    return muster_task_pool().handle.generation ? 0 : 1;
}

/* Nobody among n runs more than most of them. */
static void check_shares(const int64_t *who, int n, int most)
{
    for (int i = 0; i < n; i++) {
        int count = 0;
        for (int j = 0; j < n; j++)
            count += who[j] == who[i];
        assert_in_range(count, 1, most);
    }
}

static void test_max_tasks(void **state)
{
    enum { N = 12 };
    (void)state;
    void *children = (void *)&isolated;
    int64_t who[N], items[N] = {0};
    for (int most = 1; most <= 4; most += 3) {
        muster_pool pool = pool_make(&children, (muster_pool_options){.workers = 2, .max_tasks = most});
        muster_task tasks[N];
        for (int i = 0; i < N; i++)
            assert_int_equal(muster_pool_submit(pool, &tasks[i], whose, NULL, 0, sizeof *who, NULL), MUSTER_OK);
        for (int i = 0; i < N; i++)
            assert_int_equal(muster_task_get(tasks[i], &who[i], sizeof *who, MUSTER_FOREVER), MUSTER_OK);
        check_shares(who, N, most);
        assert_int_equal(muster_pool_map(pool, whose, items, N, sizeof *items, who, sizeof *who, NULL), MUSTER_OK);
        check_shares(who, N, most);
        pool_end(pool);
    }
    muster_pool none;
    assert_int_equal(muster_pool_create(&none, &(muster_pool_options){.max_tasks = 1}), MUSTER_ERR_UNSUPPORTED);
}

/* ---- 58: sets of tasks of several pools ---- */

static int fail_task(const void *item, void *result, const void *user)
{
    (void)result;
    (void)user;
    return *(const int *)item;
}

/* Two of the case's kind, and one of the other kind. */
static void pools_make(void **state, muster_pool pools[3])
{
    void *other = *(const bool *)*state ? (void *)&in_rank : (void *)&isolated;
    pools[0] = pool_make(state, (muster_pool_options){.name = "a"});
    pools[1] = pool_make(state, (muster_pool_options){.name = "b", .workers = 2});
    pools[2] = pool_make(&other, (muster_pool_options){.name = "c", .workers = 1});
}

static void pools_end(muster_pool pools[3])
{
    for (int i = 0; i < 3; i++)
        pool_end(pools[i]);
}

static void get_nap(muster_task task, int ms)
{
    int result = -1;
    assert_int_equal(muster_task_get(task, &result, sizeof result, MUSTER_NOWAIT), MUSTER_OK);
    assert_int_equal(result, ms);
}

/* the last one to end is of each pool in turn */
static void test_wait_all(void **state)
{
    muster_pool pools[3];
    pools_make(state, pools);
    for (int last = 0; last < 3; last++) {
        muster_task tasks[3];
        bool ready[3] = {false};
        for (int i = 0; i < 3; i++)
            tasks[i] = submit_nap(pools[i], i == last ? 40 : 2);
        assert_int_equal(muster_task_wait(tasks, 3, MUSTER_WAIT_ALL, ready, MUSTER_NOWAIT), MUSTER_ERR_TIMEOUT);
        assert_int_equal(muster_task_wait(tasks, 3, MUSTER_WAIT_ALL, ready, MUSTER_FOREVER), MUSTER_OK);
        for (int i = 0; i < 3; i++) {
            assert_true(ready[i]);
            get_nap(tasks[i], i == last ? 40 : 2);
        }
    }
    pools_end(pools);
}

static void test_wait_any(void **state)
{
    muster_pool pools[3];
    pools_make(state, pools);
    for (int first = 0; first < 3; first++) {
        muster_task tasks[3];
        bool ready[3] = {false};
        for (int i = 0; i < 3; i++)
            tasks[i] = submit_nap(pools[i], i == first ? 1 : 30);
        assert_int_equal(muster_task_wait(tasks, 3, MUSTER_WAIT_ANY, ready, MUSTER_FOREVER), MUSTER_OK);
        assert_true(ready[0] || ready[1] || ready[2]);
        for (int i = 0; i < 3; i++)
            if (ready[i])
                get_nap(tasks[i], i == first ? 1 : 30);
            else
                assert_int_equal(muster_task_forget(tasks[i]), MUSTER_OK);
    }
    pools_end(pools);
}

static void test_wait_failure(void **state)
{
    muster_pool pools[3];
    pools_make(state, pools);
    for (int failing = 0; failing < 3; failing++) {
        muster_task tasks[3];
        bool ready[3] = {false};
        int code = 4;
        for (int i = 0; i < 3; i++)
            if (i == failing)
                assert_int_equal(muster_pool_submit(pools[i], &tasks[i], fail_task, &code, sizeof code, 0, NULL),
                                 MUSTER_OK);
            else
                tasks[i] = submit_nap(pools[i], 5);
        assert_int_equal(muster_task_wait(tasks, 3, MUSTER_WAIT_FIRST_FAILURE, ready, MUSTER_FOREVER), MUSTER_OK);
        assert_true(ready[failing]);
        assert_int_equal(muster_task_get(tasks[failing], NULL, 0, MUSTER_NOWAIT), MUSTER_ERR_TASK);
        for (int i = 0; i < 3; i++)
            if (i != failing)
                assert_int_equal(muster_task_forget(tasks[i]), MUSTER_OK);
    }
    pools_end(pools);
}

static void test_next(void **state)
{
    enum { N = 60 };
    muster_pool pools[3];
    muster_task tasks[N];
    bool done[N] = {false};
    int64_t index;
    pools_make(state, pools);
    for (int64_t i = 0; i < N; i++)
        tasks[i] = submit_square(pools[i / 4 % 3], i);
    for (int i = 0; i < N; i++) {
        index = -1;
        assert_int_equal(muster_task_next(tasks, N, done, &index, MUSTER_FOREVER), MUSTER_OK);
        assert_in_range(index, 0, N - 1);
        int64_t result = -1;
        assert_int_equal(muster_task_get(tasks[index], &result, sizeof result, MUSTER_NOWAIT), MUSTER_OK);
        assert_int_equal(result, index * index);
    }
    assert_int_equal(muster_task_next(tasks, N, done, &index, MUSTER_FOREVER), MUSTER_ERR_STATE);
    pools_end(pools);
}

static void test_stale_in_set(void **state)
{
    muster_pool pools[3];
    pools_make(state, pools);
    muster_task tasks[3] = {submit_square(pools[0], 1), submit_square(pools[1], 2), submit_square(pools[0], 3)};
    bool ready[3] = {false}, done[3] = {false};
    int64_t index = -1;
    get_square(tasks[2], 3);
    assert_int_equal(muster_task_wait(tasks, 2, MUSTER_WAIT_ALL, NULL, MUSTER_FOREVER), MUSTER_OK);
    for (int round = 0; round < 2; round++) {
        for (int what = MUSTER_WAIT_ANY; what <= MUSTER_WAIT_FIRST_FAILURE; what++)
            assert_int_equal(muster_task_wait(tasks, 3, (muster_wait_for)what, ready, MUSTER_FOREVER),
                             MUSTER_ERR_STALE);
        assert_int_equal(muster_task_next(tasks, 3, done, &index, MUSTER_FOREVER), MUSTER_ERR_STALE);
        assert_false(ready[0] || ready[1] || ready[2] || done[0] || done[1] || done[2]);
        assert_int_equal(index, -1);
        if (round == 0) { /* then it is stale because its pool is gone */
            tasks[2] = submit_square(pools[2], 3);
            pool_end(pools[2]);
        }
    }
    get_square(tasks[0], 1);
    get_square(tasks[1], 2);
    pool_end(pools[0]);
    pool_end(pools[1]);
}

/* In a task of one of the pools, on whichever host that runs. */
static int wait_in_task(const void *item, void *result, const void *user)
{
    const muster_pool *pools = user;
    muster_task tasks[6];
    bool done[6] = {false};
    int64_t n = *(const int64_t *)item, index, value;
    for (int64_t i = 0; i < 6; i++)
        if (muster_pool_submit(pools[i % 2], &tasks[i], square, &i, sizeof i, sizeof i, NULL))
            return muster_task_fail(1, "submit: %s", muster_err_detail());
    if (muster_task_wait(tasks, 6, n % 2 ? MUSTER_WAIT_ALL : MUSTER_WAIT_ANY, NULL, MUSTER_FOREVER))
        return muster_task_fail(2, "wait: %s", muster_err_detail());
    for (int i = 0; i < 6; i++) {
        if (muster_task_next(tasks, 6, done, &index, MUSTER_FOREVER))
            return muster_task_fail(3, "next: %s", muster_err_detail());
        if (muster_task_get(tasks[index], &value, sizeof value, MUSTER_NOWAIT))
            return muster_task_fail(4, "get: %s", muster_err_detail());
        *(int64_t *)result += value;
    }
    return 0;
}

static void test_wait_in_tasks(void **state)
{
    enum { N = 40 };
    muster_pool pools[2];
    int64_t items[N], results[N];
    pools[0] = pool_make(state, (muster_pool_options){0});
    pools[1] = pool_make(state, (muster_pool_options){0});
    for (int i = 0; i < N; i++)
        items[i] = i;
    assert_int_equal(
        muster_pool_map(pools[0], wait_in_task, items, N, sizeof *items, results, sizeof *results,
                        &(muster_map_options){.user = pools, .user_bytes = sizeof pools, .chunk_items = 1}),
        MUSTER_OK);
    for (int i = 0; i < N; i++)
        assert_int_equal(results[i], 0 + 1 + 4 + 9 + 16 + 25);
    pool_end(pools[0]);
    pool_end(pools[1]);
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
    assert_int_equal(muster_task_wait(&running, 1, MUSTER_WAIT_ALL, &is, MUSTER_FOREVER), MUSTER_OK);
    assert_true(is);
    assert_int_equal(muster_task_forget(running), MUSTER_OK);
    assert_int_equal(muster_task_forget(running), MUSTER_ERR_STALE);
    pool_end(pool);
}

/* ---- 15, 21: imap ---- */

struct counter {
    int64_t drawn, fail_at, end;
    bool over;
};

static int count_up(void *item, void *arg)
{
    struct counter *counter = arg;
    assert_false(counter->over);
    if (counter->drawn == counter->fail_at || counter->drawn == counter->end) {
        counter->over = true;
        return counter->drawn == counter->end ? 1 : muster_task_fail(-9, "no more after %d", (int)counter->drawn);
    }
    *(int64_t *)item = counter->drawn++;
    return 0;
}

static muster_imap *imap_make(muster_pool pool, struct counter *counter, const muster_imap_options *options)
{
    muster_imap *imap = NULL;
    assert_int_equal(muster_pool_imap(pool, &imap, square, count_up, counter, 8, 8, options), MUSTER_OK);
    return imap;
}

/* Draws n results, each index once, in order or not. */
static void draw_results(muster_imap *imap, int64_t n, bool unordered)
{
    bool *seen = calloc((size_t)n + 1, 1);
    for (int64_t i = 0; i < n; i++) {
        int64_t result = -1, index = -1;
        assert_int_equal(muster_imap_next(imap, &result, &index, MUSTER_FOREVER), MUSTER_OK);
        assert_in_range(index, 0, n - 1);
        assert_false(seen[index]);
        seen[index] = true;
        assert_true(unordered || index == i);
        assert_int_equal(result, index * index);
    }
    free(seen);
}

static void draw_nothing(muster_imap *imap, muster_err expected)
{
    int64_t result = -1, index = -1;
    assert_int_equal(muster_imap_next(imap, &result, &index, MUSTER_FOREVER), expected);
    assert_int_equal(result, -1);
    assert_int_equal(index, -1);
}

/* k results, the error once, then nothing for ever */
static void test_generator_fails(void **state)
{
    static const int64_t fails[] = {0, 1, 7, 50};
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 2});
    for (int i = 0; i < 16; i++) {
        struct counter counter = {.fail_at = fails[i % 4], .end = 100};
        muster_imap_options options = {.chunk_items = i / 4 % 2 * 3, .unordered = i / 8};
        muster_imap *imap = imap_make(pool, &counter, &options);
        draw_results(imap, counter.fail_at, options.unordered);
        draw_nothing(imap, MUSTER_ERR_TASK);
        const muster_task_error *error = muster_pool_last_error();
        assert_int_equal(error->err, MUSTER_ERR_TASK);
        assert_int_equal(error->code, -9);
        assert_int_equal(error->index, counter.fail_at);
        assert_int_equal(error->rank, muster_rank());
        assert_non_null(strstr(error->function, "count_up"));
        assert_non_null(strstr(error->text, "no more after"));
        assert_non_null(strstr(muster_err_detail(), "count_up"));
        assert_non_null(strstr(muster_err_detail(), "-9"));
        for (int k = 0; k < 3; k++)
            draw_nothing(imap, MUSTER_ERR_CLOSED);
        muster_imap_end(imap);
    }
    pool_end(pool);
}

static void test_imap_closed(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 2});
    struct counter counter = {.fail_at = -1, .end = 100};
    muster_imap *imap = imap_make(pool, &counter, &(muster_imap_options){.window_chunks = 10}), *none = NULL;
    draw_results(imap, 1, false);
    assert_int_equal(counter.drawn, 10);
    assert_int_equal(muster_pool_close(pool), MUSTER_OK);
    assert_int_equal(muster_pool_imap(pool, &none, square, count_up, &counter, 8, 8, NULL), MUSTER_ERR_CLOSED);
    assert_null(none);
    for (int64_t i = 1; i < 10; i++) { /* what it took before */
        int64_t result = -1, index = -1;
        assert_int_equal(muster_imap_next(imap, &result, &index, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(index, i);
        assert_int_equal(result, i * i);
    }
    for (int k = 0; k < 3; k++)
        draw_nothing(imap, MUSTER_ERR_CLOSED);
    assert_int_equal(counter.drawn, 10);
    muster_imap_end(imap);
    assert_int_equal(muster_pool_terminate(pool), MUSTER_OK);
    assert_int_equal(muster_pool_imap(pool, &none, square, count_up, &counter, 8, 8, NULL), MUSTER_ERR_CLOSED);
    assert_null(none);
    pool_end(pool);
}

/* 67: a window far larger than what comes */
static void test_imap_large_window(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 2});
    for (int unordered = 0; unordered < 2; unordered++) {
        struct counter counter = {.fail_at = -1, .end = 3000};
        muster_imap *imap =
            imap_make(pool, &counter, &(muster_imap_options){.window_chunks = 1000000, .unordered = unordered});
        draw_results(imap, 3000, unordered);
        draw_nothing(imap, MUSTER_ERR_CLOSED);
        muster_imap_end(imap);
    }
    pool_end(pool);
}

/* ---- 20: an initializer that fails ---- */

static int refuse(const void *item, void *result, const void *user)
{
    (void)item;
    (void)result;
    (void)user;
    return 9;
}

static void check_broken(muster_err err)
{
    assert_int_equal(err, MUSTER_ERR_BROKEN);
    assert_non_null(strstr(muster_err_detail(), "initializer returned 9"));
}

static void check_new_work(muster_pool pool)
{
    int64_t n = 1;
    muster_task task;
    muster_imap *imap = NULL;
    muster_items array = {.items = &n, .n = 1, .item_bytes = sizeof n};
    check_broken(muster_pool_submit(pool, &task, square, &n, sizeof n, sizeof n, NULL));
    check_broken(muster_pool_map(pool, square, &n, 1, sizeof n, &n, sizeof n, NULL));
    check_broken(muster_pool_imap(pool, &imap, square, muster_items_next, &array, sizeof n, sizeof n, NULL));
    assert_null(imap);
}

static void test_broken(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 2, .initializer = refuse});
    muster_task tasks[3];
    int submitted = 0;
    int64_t result = -1;
    bool ready[3] = {false};
    while (submitted < 3 && muster_pool_submit(pool, &tasks[submitted], square, &result, sizeof result, sizeof result,
                                               NULL) == MUSTER_OK)
        submitted++;
    if (submitted)
        check_broken(muster_task_get(tasks[0], &result, sizeof result, MUSTER_FOREVER));
    if (submitted > 1)
        assert_int_equal(muster_task_wait(tasks + 1, submitted - 1, MUSTER_WAIT_ALL, ready, MUSTER_FOREVER), MUSTER_OK);
    for (int i = 1; i < submitted; i++) {
        assert_true(ready[i - 1]);
        check_broken(muster_task_get(tasks[i], &result, sizeof result, MUSTER_FOREVER));
        assert_int_equal(muster_task_get(tasks[i], &result, sizeof result, MUSTER_FOREVER), MUSTER_ERR_STALE);
    }
    assert_int_equal(result, -1);
    check_broken(muster_pool_join(pool, MUSTER_FOREVER)); /* though nobody closed it */
    check_new_work(pool);
    assert_int_equal(muster_pool_close(pool), MUSTER_OK);
    check_broken(muster_pool_join(pool, MUSTER_FOREVER));
    pool_end(pool);
}

static int refuse_on_last(const void *item, void *result, const void *user)
{
    return muster_rank() == muster_ranks() - 1 ? refuse(item, result, user) : 0;
}

/* One rank's initializer fails, maybe on another host: what it took is told so, too. */
static void test_broken_elsewhere(void **state)
{
    enum { N = 100 };
    muster_pool pool = pool_make(state, (muster_pool_options){.initializer = refuse_on_last});
    muster_task tasks[N];
    int submitted = 0, broken = 0, ms = 1;
    while (submitted < N &&
           muster_pool_submit(pool, &tasks[submitted], nap_task, &ms, sizeof ms, sizeof ms, NULL) == MUSTER_OK)
        submitted++;
    for (int i = 0; i < submitted; i++) {
        muster_err err = muster_task_get(tasks[i], &ms, sizeof ms, MUSTER_FOREVER);
        if (err)
            check_broken(err);
        broken += err != MUSTER_OK;
    }
    assert_int_equal(muster_pool_close(pool), MUSTER_OK);
    if (broken || submitted < N) {
        check_broken(muster_pool_join(pool, MUSTER_FOREVER));
        check_new_work(pool);
    }
    pool_end(pool);
}

/* ---- 67: what may not be passed ---- */

static int add(void *accumulated, const void *value, const void *user)
{
    (void)user;
    *(int64_t *)accumulated += *(const int64_t *)value;
    return 0;
}

/* INVAL, and a line that names the call and what is wrong with it */
static void check_invalid(muster_err err, const char *operation, const char *what)
{
    assert_int_equal(err, MUSTER_ERR_INVAL);
    if (!strstr(muster_err_detail(), operation) || !strstr(muster_err_detail(), what))
        fail_msg("%s, %s: %s", operation, what, muster_err_detail());
}

static const size_t too_large[] = {SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / 8 * 3};
static const int64_t too_early[] = {-2, INT64_MIN};

static void invalid_options(muster_pool_options options, const char *what)
{
    muster_pool pool = {{9, 9, 9, 9}};
    check_invalid(muster_pool_create(&pool, &options), "muster_pool_create", what);
    assert_int_equal(pool.handle.slot, 9);
}

static void test_invalid_create(void **state)
{
    (void)state;
    check_invalid(muster_pool_create(NULL, NULL), "muster_pool_create", "pool is NULL");
    invalid_options((muster_pool_options){.workers = -1}, "workers");
    invalid_options((muster_pool_options){.max_tasks = -1, .isolated = true}, "max_tasks");
    invalid_options((muster_pool_options){.workers = 1 << 30}, "workers");
    invalid_options((muster_pool_options){.retries = -1}, "retries");
    invalid_options((muster_pool_options){.retries = 256}, "retries");
    invalid_options((muster_pool_options){.init_arg_bytes = 1}, "init_arg is NULL");
    invalid_options((muster_pool_options){.user_bytes = 1}, "user is NULL");
    for (int i = 0; i < 3; i++) {
        invalid_options((muster_pool_options){.init_arg = "", .init_arg_bytes = too_large[i]}, "init_arg");
        invalid_options((muster_pool_options){.user = "", .user_bytes = too_large[i]}, "user");
    }
}

static void test_invalid_submit(void **state)
{
    const char *op = "muster_pool_submit";
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 2});
    muster_task task = {{9, 9, 9, 9}};
    int64_t n = 3;
    int retries[] = {-2, 256};
    check_invalid(muster_pool_submit(pool, NULL, square, &n, 8, 8, NULL), op, "task is NULL");
    check_invalid(muster_pool_submit(pool, &task, NULL, &n, 8, 8, NULL), op, "fn is NULL");
    check_invalid(muster_pool_submit(pool, &task, square, NULL, 8, 8, NULL), op, "arg is NULL");
    for (int i = 0; i < 3; i++) {
        muster_submit_options large = {.user = &n, .user_bytes = too_large[i]};
        check_invalid(muster_pool_submit(pool, &task, square, &n, too_large[i], 8, NULL), op, "arg");
        check_invalid(muster_pool_submit(pool, &task, square, &n, 8, too_large[i], NULL), op, "result");
        check_invalid(muster_pool_submit(pool, &task, square, &n, 8, 8, &large), op, "user");
    }
    for (int i = 0; i < 2; i++)
        check_invalid(
            muster_pool_submit(pool, &task, square, &n, 8, 8, &(muster_submit_options){.retries = retries[i]}), op,
            "retries");
    check_invalid(muster_pool_submit(pool, &task, square, &n, 8, 8, &(muster_submit_options){.user_bytes = 8}), op,
                  "user is NULL");
    check_invalid(muster_pool_submit(pool, &task, square, &n, 8, 8, &(muster_submit_options){.time_limit_ms = -1}), op,
                  "time_limit_ms");
    assert_int_equal(task.handle.slot, 9);
    get_square(submit_square(pool, 4), 4);
    pool_end(pool);
}

static void test_invalid_get(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 2});
    muster_task task = submit_square(pool, 5);
    int64_t result = -1;
    check_invalid(muster_task_get(task, NULL, 8, MUSTER_FOREVER), "muster_task_get", "result is NULL");
    check_invalid(muster_task_ready(task, NULL), "muster_task_ready", "ready is NULL");
    check_invalid(muster_task_successful(task, NULL), "muster_task_successful", "successful is NULL");
    for (int i = 0; i < 2; i++) {
        check_invalid(muster_task_get(task, &result, 8, too_early[i]), "muster_task_get", "timeout_ms");
        check_invalid(muster_pool_join(pool, too_early[i]), "muster_pool_join", "timeout_ms");
    }
    for (int i = 0; i < 3; i++)
        check_invalid(muster_task_get(task, &result, too_large[i], MUSTER_FOREVER), "muster_task_get", "result");
    check_invalid(muster_pool_workers(pool, NULL), "muster_pool_workers", "workers is NULL");
    assert_int_equal(result, -1);
    get_square(task, 5); /* it was there all the time */
    assert_int_equal(muster_task_fail(3, NULL), 3);
    pool_end(pool);
}

static void test_invalid_sets(void **state)
{
    const char *wait = "muster_task_wait", *next = "muster_task_next";
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 2});
    muster_task task = submit_square(pool, 6);
    bool ready = false, done = false;
    int64_t index = -1;
    check_invalid(muster_task_wait(NULL, 3, MUSTER_WAIT_ALL, NULL, 0), wait, "tasks is NULL");
    check_invalid(muster_task_wait(&task, -1, MUSTER_WAIT_ALL, &ready, 0), wait, "n is -1");
    check_invalid(muster_task_wait(&task, INT64_MAX, MUSTER_WAIT_ALL, &ready, 0), wait, "tasks");
    check_invalid(muster_task_wait(&task, 1, (muster_wait_for)7, &ready, 0), wait, "what");
    check_invalid(muster_task_next(NULL, 3, &done, &index, 0), next, "tasks is NULL");
    check_invalid(muster_task_next(&task, -1, &done, &index, 0), next, "n is -1");
    check_invalid(muster_task_next(&task, INT64_MAX, &done, &index, 0), next, "tasks");
    check_invalid(muster_task_next(&task, 1, NULL, &index, 0), next, "done is NULL");
    check_invalid(muster_task_next(&task, 1, &done, NULL, 0), next, "index is NULL");
    for (int i = 0; i < 2; i++) {
        check_invalid(muster_task_wait(&task, 1, MUSTER_WAIT_ALL, &ready, too_early[i]), wait, "timeout_ms");
        check_invalid(muster_task_next(&task, 1, &done, &index, too_early[i]), next, "timeout_ms");
    }
    assert_false(ready || done);
    assert_int_equal(index, -1);
    get_square(task, 6);
    pool_end(pool);
}

static void test_invalid_map(void **state)
{
    const char *op = "muster_pool_map";
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 2});
    int64_t n = 3, result = -1;
    const struct {
        muster_map_options options;
        const char *what;
    } bad[] = {
        {{.chunk_items = -1}, "chunk_items"},
        {{.time_limit_ms = -1}, "time_limit_ms"},
        {{.user_bytes = 8}, "user is NULL"},
        {{.user = &n, .user_bytes = SIZE_MAX}, "user"},
    };
    check_invalid(muster_pool_map(pool, NULL, &n, 1, 8, &result, 8, NULL), op, "fn is NULL");
    check_invalid(muster_pool_map(pool, square, NULL, 1, 8, &result, 8, NULL), op, "items is NULL");
    check_invalid(muster_pool_map(pool, square, &n, 1, 8, NULL, 8, NULL), op, "results is NULL");
    check_invalid(muster_pool_map(pool, square, &n, -1, 8, &result, 8, NULL), op, "n is -1");
    check_invalid(muster_pool_map(pool, square, &n, INT64_MAX, 8, &result, 8, NULL), op, "items");
    check_invalid(muster_pool_map(pool, square, &n, INT64_MAX, 0, &result, 8, NULL), op, "results");
    for (int i = 0; i < 3; i++) {
        check_invalid(muster_pool_map(pool, square, &n, 1, too_large[i], &result, 8, NULL), op, "items");
        check_invalid(muster_pool_map(pool, square, &n, 1, 8, &result, too_large[i], NULL), op, "results");
        check_invalid(muster_pool_map(pool, square, &n, 0, too_large[i], &result, 8, NULL), op, "items");
    }
    for (int i = 0; i < 4; i++) {
        check_invalid(muster_pool_map(pool, square, &n, 1, 8, &result, 8, &bad[i].options), op, bad[i].what);
        check_invalid(muster_pool_reduce(pool, square, add, &n, 1, 8, &result, 8, &bad[i].options),
                      "muster_pool_reduce", bad[i].what);
    }
    assert_int_equal(result, -1);
    assert_int_equal(muster_pool_map(pool, square, &n, 1, 8, &result, 8, NULL), MUSTER_OK);
    assert_int_equal(result, 9);
    pool_end(pool);
}

static void test_invalid_reduce(void **state)
{
    const char *op = "muster_pool_reduce";
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 2});
    int64_t n = 3, result = -1;
    check_invalid(muster_pool_reduce(pool, square, NULL, &n, 1, 8, &result, 8, NULL), op, "combine is NULL");
    check_invalid(muster_pool_reduce(pool, square, NULL, NULL, 0, 8, &result, 8, NULL), op, "combine is NULL");
    check_invalid(muster_pool_reduce(pool, square, add, NULL, 1, 8, &result, 8, NULL), op, "items is NULL");
    check_invalid(muster_pool_reduce(pool, square, add, &n, 1, 8, NULL, 8, NULL), op, "result is NULL");
    check_invalid(muster_pool_reduce(pool, square, add, &n, -1, 8, &result, 8, NULL), op, "n is -1");
    check_invalid(muster_pool_reduce(pool, NULL, add, &n, 1, 4, &result, 8, NULL), op, "no fn");
    check_invalid(muster_pool_reduce(pool, square, add, &n, INT64_MAX, 8, &result, 8, NULL), op, "items");
    check_invalid(muster_pool_reduce(pool, square, add, &n, INT64_MAX, 0, &result, 8, NULL), op, "result");
    for (int i = 0; i < 3; i++) {
        check_invalid(muster_pool_reduce(pool, square, add, &n, 1, too_large[i], &result, 8, NULL), op, "items");
        check_invalid(muster_pool_reduce(pool, square, add, &n, 1, 8, &result, too_large[i], NULL), op, "result");
    }
    assert_int_equal(result, -1);
    muster_map_options whole = {.chunk_items = INT64_MAX}; /* one chunk */
    assert_int_equal(muster_pool_reduce(pool, square, add, &n, 1, 8, &result, 8, &whole), MUSTER_OK);
    assert_int_equal(result, 9);
    pool_end(pool);
}

static void invalid_imap(muster_pool pool, size_t item_bytes, size_t result_bytes, muster_imap_options options,
                         const char *what)
{
    struct counter counter = {.fail_at = -1, .end = 3};
    muster_imap *imap = NULL;
    check_invalid(muster_pool_imap(pool, &imap, square, count_up, &counter, item_bytes, result_bytes, &options),
                  "muster_pool_imap", what);
    assert_null(imap);
    assert_int_equal(counter.drawn, 0);
}

static void test_invalid_imap(void **state)
{
    const char *op = "muster_pool_imap", *next = "muster_imap_next";
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 2});
    struct counter counter = {.fail_at = -1, .end = 3};
    muster_imap *imap = NULL;
    int64_t result = -1, index = -1;
    check_invalid(muster_pool_imap(pool, NULL, square, count_up, &counter, 8, 8, NULL), op, "imap is NULL");
    check_invalid(muster_pool_imap(pool, &imap, NULL, count_up, &counter, 8, 8, NULL), op, "fn is NULL");
    check_invalid(muster_pool_imap(pool, &imap, square, NULL, &counter, 8, 8, NULL), op, "generate is NULL");
    invalid_imap(pool, 8, 8, (muster_imap_options){.chunk_items = -1}, "chunk_items");
    invalid_imap(pool, 8, 8, (muster_imap_options){.chunk_items = INT64_MAX}, "chunk_items");
    invalid_imap(pool, 0, 0, (muster_imap_options){.chunk_items = INT64_MAX}, "chunk_items");
    invalid_imap(pool, 8, 8, (muster_imap_options){.window_chunks = -1}, "window_chunks");
    invalid_imap(pool, 8, 8, (muster_imap_options){.window_chunks = INT64_MAX}, "window_chunks");
    invalid_imap(pool, 8, 8, (muster_imap_options){.user_bytes = 8}, "user is NULL");
    for (int i = 0; i < 3; i++) {
        invalid_imap(pool, too_large[i], 8, (muster_imap_options){0}, "bytes");
        invalid_imap(pool, 8, too_large[i], (muster_imap_options){0}, "bytes");
        invalid_imap(pool, 8, 8, (muster_imap_options){.user = &result, .user_bytes = too_large[i]}, "user");
    }
    imap = imap_make(pool, &counter, NULL);
    check_invalid(muster_imap_next(NULL, &result, &index, MUSTER_FOREVER), next, "imap is NULL");
    check_invalid(muster_imap_next(imap, NULL, &index, MUSTER_FOREVER), next, "result is NULL");
    for (int i = 0; i < 2; i++)
        check_invalid(muster_imap_next(imap, &result, &index, too_early[i]), next, "timeout_ms");
    assert_int_equal(counter.drawn, 0);
    assert_int_equal(index, -1);
    draw_results(imap, 3, false);
    muster_imap_end(imap);
    muster_imap_end(NULL);
    pool_end(pool);
}

/* A generator has no other way to say it than a failure. */
static void test_invalid_array(void **state)
{
    (void)state;
    const char *op = "muster_items_next";
    int64_t items[2] = {1, 2}, item = -1;
    muster_items array = {.items = items, .n = 2, .item_bytes = 8}, none = {.n = 2, .item_bytes = 8},
                 negative = {.items = items, .n = -1, .item_bytes = 8},
                 large = {.items = items, .n = 2, .item_bytes = SIZE_MAX};
    check_invalid(muster_items_next(&item, NULL), op, "items is NULL");
    check_invalid(muster_items_next(NULL, &array), op, "item is NULL");
    check_invalid(muster_items_next(&item, &none), op, "items->items is NULL");
    check_invalid(muster_items_next(&item, &negative), op, "items->items is -1");
    check_invalid(muster_items_next(&item, &large), op, "items");
    assert_int_equal(item, -1);
    for (int64_t i = 0; i < 2; i++) {
        assert_int_equal(muster_items_next(&item, &array), 0);
        assert_int_equal(item, i + 1);
    }
    assert_int_equal(muster_items_next(&item, &array), 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_get_once),
        BOTH(test_get_once_processes),
        BOTH(test_get_once_ranks),
        BOTH(test_stale),
        cmocka_unit_test(test_awaited_first),
        BOTH(test_any_depth),
        BOTH(test_callbacks),
        BOTH(test_callbacks_of_an_end),
        BOTH(test_callbacks_in_turns),
        cmocka_unit_test(test_max_tasks),
        BOTH(test_wait_all),
        BOTH(test_wait_any),
        BOTH(test_wait_failure),
        BOTH(test_next),
        BOTH(test_stale_in_set),
        BOTH(test_wait_in_tasks),
        BOTH(test_generator_fails),
        BOTH(test_imap_closed),
        BOTH(test_imap_large_window),
        BOTH(test_broken),
        BOTH(test_broken_elsewhere),
        cmocka_unit_test(test_invalid_create),
        BOTH(test_invalid_submit),
        BOTH(test_invalid_get),
        BOTH(test_invalid_sets),
        BOTH(test_invalid_map),
        BOTH(test_invalid_reduce),
        BOTH(test_invalid_imap),
        cmocka_unit_test(test_invalid_array),
        BOTH(test_two_in_turn),
        BOTH(test_terminated),
    };
    return mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "tasks");
}
