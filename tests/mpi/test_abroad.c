/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tasks and groups by handles of other hosts, conformance 17, 18, 58, 62: a handle works wherever it is used, and a
 * result is got once, also when getters die or give up. On one host the same, by the ways within it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <muster/muster.h>

#include "support/mpi_case.h"

static const bool in_rank = false, isolated = true;

static muster_pool pool_make_with(void **state, int retries)
{
    muster_pool pool;
    assert_int_equal(
        muster_pool_create(&pool, &(muster_pool_options){.isolated = *(const bool *)*state, .retries = retries}),
        MUSTER_OK);
    return pool;
}

static muster_pool pool_make(void **state)
{
    return pool_make_with(state, 0);
}

static void pool_end(muster_pool pool)
{
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
}

static muster_event event_make(void)
{
    muster_event event;
    assert_int_equal(muster_event_create(&event, NULL), MUSTER_OK);
    return event;
}

/* ---- tasks ---- */

struct order {
    int64_t n;
    muster_event gate;      /* all zero: none */
    muster_semaphore begun; /* released when it has begun; all zero: none */
};

/* n * n, once its gate is open; fails with n if that is negative. */
static int square(const void *item, void *result, const void *user)
{
    const struct order *order = item;
    (void)user;
    if (order->begun.handle.generation && muster_semaphore_release(order->begun, 1))
        return 98;
    if (order->gate.handle.generation && muster_event_wait(order->gate, MUSTER_FOREVER))
        return 99;
    if (order->n < 0)
        return muster_task_fail((int)-order->n, "order %d", (int)order->n);
    *(int64_t *)result = order->n * order->n;
    return 0;
}

static muster_task submit_order(muster_pool pool, struct order order)
{
    muster_task task;
    if (muster_pool_submit(pool, &task, square, &order, sizeof order, sizeof order.n, NULL))
        return (muster_task){{0}};
    return task;
}

static muster_task submit(muster_pool pool, int64_t n, muster_event gate)
{
    return submit_order(pool, (struct order){.n = n, .gate = gate});
}

static const muster_event no_gate;

/* A task that submits another one, of whose handle it makes its result: that is at home where this one ran. */
static int submit_there(const void *item, void *result, const void *user)
{
    const struct order *order = item;
    (void)user;
    *(muster_task *)result = submit(muster_task_pool(), order->n, order->gate);
    return 0;
}

/* Tasks of several hosts: one of each worker that runs one of these. */
static void submit_everywhere(muster_pool pool, muster_task *tasks, int n, const int64_t *numbers)
{
    struct order orders[64];
    assert_in_range(n, 1, 64);
    for (int i = 0; i < n; i++)
        orders[i] = (struct order){.n = numbers[i]};
    assert_int_equal(muster_pool_map(pool, submit_there, orders, n, sizeof *orders, tasks, sizeof *tasks,
                                     &(muster_map_options){.chunk_items = 1}),
                     MUSTER_OK);
}

static void get_square(muster_task task, int64_t n)
{
    int64_t result = -1;
    assert_int_equal(muster_task_get(task, &result, sizeof result, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(result, n * n);
}

/* ---- processes on the last host ---- */

static muster_process start(muster_process_fn fn, const void *arg, size_t size)
{
    muster_process process;
    assert_int_equal(muster_process_create(&process, fn, arg, size,
                                           &(muster_process_options){.on = muster_on_rank(muster_ranks() - 1)}),
                     MUSTER_OK);
    assert_int_equal(muster_process_start(process), MUSTER_OK);
    return process;
}

static muster_process_status join(muster_process process)
{
    muster_process_status status = {0};
    assert_int_equal(muster_process_join(process, &status, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(muster_process_close(process), MUSTER_OK);
    return status;
}

static void all_well(muster_process process)
{
    muster_process_status status = join(process);
    assert_int_equal(status.signal, 0);
    assert_int_equal(status.exit_code, 0);
}

/* In a process: its exit code is the number of the line that went wrong, modulo 256 and not 0. */
#define EXPECT(what)                                                                                                   \
    do {                                                                                                               \
        if (!(what))                                                                                                   \
            return __LINE__ % 255 + 1;                                                                                 \
    } while (0)

/* ---- 17, 18: every question, from another host ---- */

struct handles {
    muster_task done, failed, gated, canceled, killed;
    muster_event gate;
};

static int ask_all(const void *arg, size_t size)
{
    struct handles h;
    bool is = false;
    int64_t value = -1;
    size_t bytes = 0;
    (void)size;
    memcpy(&h, arg, sizeof h);
    EXPECT(muster_task_wait(&h.done, 1, MUSTER_WAIT_ALL, NULL, MUSTER_FOREVER) == MUSTER_OK);
    EXPECT(muster_task_ready(h.done, &is) == MUSTER_OK && is);
    EXPECT(muster_task_successful(h.done, &is) == MUSTER_OK && is);
    EXPECT(muster_task_size(h.done, &bytes) == MUSTER_OK && bytes == sizeof value);
    EXPECT(muster_task_cancel(h.done, false) == MUSTER_ERR_STATE);
    EXPECT(muster_task_get(h.done, &value, 1, MUSTER_FOREVER) == MUSTER_ERR_TOOBIG && value == -1);
    EXPECT(muster_task_get(h.done, &value, sizeof value, MUSTER_NOWAIT) == MUSTER_OK && value == 49);
    EXPECT(muster_task_get(h.done, &value, sizeof value, MUSTER_FOREVER) == MUSTER_ERR_STALE);
    EXPECT(muster_task_ready(h.done, &is) == MUSTER_ERR_STALE);
    EXPECT(muster_task_size(h.done, &bytes) == MUSTER_ERR_STALE);
    EXPECT(muster_task_cancel(h.done, true) == MUSTER_ERR_STALE);
    EXPECT(muster_task_forget(h.done) == MUSTER_ERR_STALE);
    EXPECT(muster_task_wait(&h.done, 1, MUSTER_WAIT_ANY, NULL, MUSTER_FOREVER) == MUSTER_ERR_STALE);

    EXPECT(muster_task_get(h.failed, &value, sizeof value, MUSTER_FOREVER) == MUSTER_ERR_TASK);
    EXPECT(muster_pool_last_error()->code == 3 && !strcmp(muster_pool_last_error()->text, "order -3"));
    EXPECT(strstr(muster_err_detail(), "square") != NULL);

    EXPECT(muster_task_ready(h.gated, &is) == MUSTER_OK && !is);
    EXPECT(muster_task_successful(h.gated, &is) == MUSTER_ERR_STATE);
    EXPECT(muster_task_size(h.gated, &bytes) == MUSTER_ERR_STATE);
    EXPECT(muster_task_get(h.gated, &value, sizeof value, MUSTER_NOWAIT) == MUSTER_ERR_TIMEOUT);
    EXPECT(muster_task_get(h.gated, &value, sizeof value, 5) == MUSTER_ERR_TIMEOUT);
    EXPECT(muster_task_wait(&h.gated, 1, MUSTER_WAIT_ANY, &is, MUSTER_NOWAIT) == MUSTER_ERR_TIMEOUT);
    EXPECT(muster_task_wait(&h.gated, 1, MUSTER_WAIT_ANY, &is, 5) == MUSTER_ERR_TIMEOUT);

    EXPECT(muster_task_cancel(h.canceled, false) == MUSTER_OK);
    EXPECT(muster_task_get(h.canceled, &value, sizeof value, MUSTER_FOREVER) == MUSTER_ERR_CANCELED);
    EXPECT(muster_task_cancel(h.gated, false) == MUSTER_ERR_STATE);
    EXPECT(muster_task_cancel(h.killed, true) == MUSTER_OK);
    EXPECT(muster_task_get(h.killed, &value, sizeof value, MUSTER_FOREVER) == MUSTER_ERR_CANCELED);

    EXPECT(muster_event_set(h.gate) == MUSTER_OK);
    EXPECT(muster_task_get(h.gated, &value, sizeof value, MUSTER_FOREVER) == MUSTER_OK && value == 25);
    return 0;
}

/* Each of two pools has one worker, on this host: of the first one's tasks the second waits behind the first. */
static void test_questions(void **state)
{
    (void)state;
    muster_pool pools[2];
    muster_semaphore begun;
    struct handles h = {.gate = event_make()};
    muster_event never = event_make();
    assert_int_equal(muster_semaphore_create(&begun, 0, 0, NULL), MUSTER_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(muster_pool_create(&pools[i], &(muster_pool_options){.isolated = true, .workers = 1}),
                         MUSTER_OK);
    h.done = submit(pools[0], 7, no_gate);
    h.failed = submit(pools[0], -3, no_gate);
    h.gated = submit_order(pools[0], (struct order){5, h.gate, begun});
    h.canceled = submit(pools[0], 5, never);
    h.killed = submit_order(pools[1], (struct order){5, never, begun});
    for (int i = 0; i < 2; i++)
        assert_int_equal(muster_semaphore_acquire(begun, MUSTER_FOREVER), MUSTER_OK);
    all_well(start(ask_all, &h, sizeof h));
    get_square(submit(pools[1], 6, no_gate), 6); /* its worker was replaced */
    for (int i = 0; i < 2; i++)
        pool_end(pools[i]);
    assert_int_equal(muster_semaphore_destroy(begun), MUSTER_OK);
    assert_int_equal(muster_event_destroy(h.gate), MUSTER_OK);
    assert_int_equal(muster_event_destroy(never), MUSTER_OK);
}

static int get_all_of_terminated(const void *arg, size_t size)
{
    const muster_task *tasks = arg;
    int64_t value = -1;
    for (size_t i = 0; i < size / sizeof *tasks; i++) {
        EXPECT(muster_task_get(tasks[i], &value, sizeof value, MUSTER_FOREVER) == MUSTER_ERR_CANCELED);
        EXPECT(muster_task_get(tasks[i], &value, sizeof value, MUSTER_FOREVER) == MUSTER_ERR_STALE);
    }
    EXPECT(value == -1);
    return 0;
}

static void test_terminated(void **state)
{
    (void)state;
    muster_pool pool;
    muster_semaphore begun;
    muster_event never = event_make();
    assert_int_equal(muster_semaphore_create(&begun, 0, 0, NULL), MUSTER_OK);
    assert_int_equal(muster_pool_create(&pool, &(muster_pool_options){.isolated = true, .workers = 1}), MUSTER_OK);
    muster_task tasks[3];
    for (int i = 0; i < 3; i++)
        tasks[i] = submit_order(pool, (struct order){5, never, begun});
    assert_int_equal(muster_semaphore_acquire(begun, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(muster_pool_terminate(pool), MUSTER_OK);
    all_well(start(get_all_of_terminated, &tasks[1], sizeof tasks - sizeof *tasks)); /* the first one was killed */
    pool_end(pool);
    muster_task gone = tasks[0];
    bool is;
    assert_int_equal(muster_task_ready(gone, &is), MUSTER_ERR_STALE);
    assert_int_equal(muster_semaphore_destroy(begun), MUSTER_OK);
    assert_int_equal(muster_event_destroy(never), MUSTER_OK);
}

/* ---- 58: got once ---- */

enum { GETTERS = 3, ROUNDS = 20 };

/* Bit i: it has got the i-th. */
static int get_some(const void *item, void *result, const void *user)
{
    const muster_task *tasks = item;
    int64_t value, got = 0;
    (void)user;
    for (int i = 0; i < ROUNDS; i++) {
        muster_err err = muster_task_get(tasks[i], &value, sizeof value, i % 2 ? MUSTER_FOREVER : 10000);
        if (err != MUSTER_OK && err != MUSTER_ERR_STALE)
            return muster_task_fail(err, "%s", muster_err_detail());
        if (!err && value != i * i)
            return 1;
        got |= err ? 0 : INT64_C(1) << i;
    }
    *(int64_t *)result = got;
    return 0;
}

/* By tasks of all hosts and this thread at once. */
static void test_got_once(void **state)
{
    muster_pool pool = pool_make(state);
    muster_task tasks[ROUNDS], getters[GETTERS];
    int64_t got[GETTERS + 1], all = 0;
    int64_t numbers[ROUNDS];
    for (int i = 0; i < ROUNDS; i++)
        numbers[i] = i;
    submit_everywhere(pool, tasks, ROUNDS, numbers);
    for (int i = 0; i < GETTERS; i++)
        assert_int_equal(muster_pool_submit(pool, &getters[i], get_some, tasks, sizeof tasks, sizeof *got, NULL),
                         MUSTER_OK);
    assert_int_equal(get_some(tasks, &got[GETTERS], NULL), 0);
    for (int i = 0; i < GETTERS; i++)
        assert_int_equal(muster_task_get(getters[i], &got[i], sizeof *got, MUSTER_FOREVER), MUSTER_OK);
    for (int i = 0; i <= GETTERS; i++) {
        assert_int_equal(all & got[i], 0);
        all |= got[i];
    }
    assert_int_equal(all, (INT64_C(1) << ROUNDS) - 1);
    pool_end(pool);
}

/* what one that is killed at some time counts */
struct victim {
    muster_value_i64 got;
    int n;
    muster_task tasks[200];
};

static int get_until_killed(const void *arg, size_t size)
{
    static struct victim victim;
    int64_t value, sum;
    (void)size;
    memcpy(&victim, arg, sizeof victim);
    for (int i = 0; i < victim.n; i++) {
        EXPECT(muster_task_get(victim.tasks[i], &value, sizeof value, MUSTER_FOREVER) == MUSTER_OK);
        EXPECT(muster_value_i64_add(victim.got, 1, &sum) == MUSTER_OK);
    }
    return 0;
}

/* What a dead getter has not got is there for others, but for the one that it had in hand. */
static void test_getters_die(void **state)
{
    static struct victim victim;
    muster_pool pool = pool_make(state);
    assert_int_equal(muster_value_i64_create(&victim.got, 0, NULL), MUSTER_OK);
    victim.n = sizeof victim.tasks / sizeof *victim.tasks;
    for (int round = 0; round < 8; round++) {
        int64_t counted, stale = 0;
        assert_int_equal(muster_value_i64_store(victim.got, 0), MUSTER_OK);
        for (int i = 0; i < victim.n; i++)
            victim.tasks[i] = submit(pool, i, no_gate);
        assert_int_equal(muster_task_wait(victim.tasks, victim.n, MUSTER_WAIT_ALL, NULL, MUSTER_FOREVER), MUSTER_OK);
        muster_process process = start(get_until_killed, &victim, sizeof victim);
        do /* it is at work, or has done all of it */
            assert_int_equal(muster_value_i64_load(victim.got, &counted), MUSTER_OK);
        while (counted < 10 * round);
        assert_int_equal(muster_process_kill(process), MUSTER_OK);
        muster_process_status status = join(process);
        assert_true(status.signal == SIGKILL || (status.signal == 0 && status.exit_code == 0));
        assert_int_equal(muster_value_i64_load(victim.got, &counted), MUSTER_OK);
        for (int i = 0; i < victim.n; i++) {
            int64_t value = -1;
            muster_err err = muster_task_get(victim.tasks[i], &value, sizeof value, MUSTER_FOREVER);
            assert_true(err == MUSTER_ERR_STALE || (err == MUSTER_OK && value == (int64_t)i * i));
            stale += err != MUSTER_OK;
        }
        assert_in_range(stale, counted, counted + 1);
    }
    assert_int_equal(muster_value_i64_destroy(victim.got), MUSTER_OK);
    pool_end(pool);
}

static int get_one(const void *arg, size_t size)
{
    struct {
        muster_task task;
        muster_semaphore begun;
    } what;
    int64_t value;
    (void)size;
    memcpy(&what, arg, sizeof what);
    EXPECT(muster_semaphore_release(what.begun, 1) == MUSTER_OK);
    EXPECT(muster_task_get(what.task, &value, sizeof value, MUSTER_FOREVER) == MUSTER_OK);
    return 0;
}

/* Asleep in a get, or at work on the task itself: the result is not lost with it. */
static void test_sleeper_dies(void **state)
{
    muster_pool pool = pool_make_with(state, 1);
    struct {
        muster_task task;
        muster_semaphore begun;
    } what;
    assert_int_equal(muster_semaphore_create(&what.begun, 0, 0, NULL), MUSTER_OK);
    for (int round = 0; round < 5; round++) {
        muster_event gate = event_make();
        what.task = submit(pool, 9, gate);
        muster_process process = start(get_one, &what, sizeof what);
        assert_int_equal(muster_semaphore_acquire(what.begun, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(muster_process_kill(process), MUSTER_OK);
        bool asleep = round % 2; /* till its end; else the result comes while it is killed, and may be in its hand */
        if (!asleep)
            assert_int_equal(muster_event_set(gate), MUSTER_OK);
        muster_process_status status = join(process);
        assert_true(status.signal == SIGKILL || (!asleep && status.exit_code == 0));
        assert_int_equal(muster_event_set(gate), MUSTER_OK);
        int64_t value = -1;
        muster_err err = muster_task_get(what.task, &value, sizeof value, MUSTER_FOREVER);
        assert_true((err == MUSTER_OK && value == 81) || (err == MUSTER_ERR_STALE && !asleep));
        assert_int_equal(muster_event_destroy(gate), MUSTER_OK);
    }
    assert_int_equal(muster_semaphore_destroy(what.begun), MUSTER_OK);
    pool_end(pool);
}

static int give_up_often(const void *arg, size_t size)
{
    static struct victim all;
    int64_t value;
    (void)size;
    memcpy(&all, arg, sizeof all);
    for (int i = 0; i < all.n; i++) {
        muster_err err;
        do
            err = muster_task_get(all.tasks[i], &value, sizeof value, 1);
        while (err == MUSTER_ERR_TIMEOUT);
        EXPECT(err == MUSTER_OK && value == (int64_t)i * i);
    }
    return 0;
}

/* Who gives up at the moment the result comes loses nothing. */
static void test_getters_give_up(void **state)
{
    static struct victim all;
    muster_pool pool = pool_make(state);
    all.n = sizeof all.tasks / sizeof *all.tasks;
    for (int i = 0; i < all.n; i++)
        all.tasks[i] = submit(pool, i, no_gate);
    muster_process process = start(give_up_often, &all, sizeof all);
    for (int i = 0; i < all.n; i++) { /* at work, where nobody else is */
        muster_err err = muster_task_wait(&all.tasks[i], 1, MUSTER_WAIT_ALL, NULL, MUSTER_FOREVER);
        assert_true(err == MUSTER_OK || err == MUSTER_ERR_STALE);
    }
    all_well(process);
    pool_end(pool);
}

/* ---- waits over several hosts' tasks ---- */

enum { SET = 24 };

static void test_sets(void **state)
{
    muster_pool pool = pool_make(state);
    muster_task tasks[SET];
    int64_t numbers[SET], index;
    bool done[SET] = {false}, ready[SET] = {false}, seen[SET] = {false};
    for (int i = 0; i < SET; i++)
        numbers[i] = i == 5 ? -5 : i;
    submit_everywhere(pool, tasks, SET, numbers);
    assert_int_equal(muster_task_wait(tasks, SET, MUSTER_WAIT_FIRST_FAILURE, ready, MUSTER_FOREVER), MUSTER_OK);
    assert_true(ready[5]);
    for (int i = 0; i < SET; i++) {
        assert_int_equal(muster_task_next(tasks, SET, done, &index, MUSTER_FOREVER), MUSTER_OK);
        assert_in_range(index, 0, SET - 1);
        assert_false(seen[index]);
        seen[index] = true;
    }
    assert_int_equal(muster_task_next(tasks, SET, done, &index, MUSTER_FOREVER), MUSTER_ERR_STATE);
    assert_int_equal(muster_task_wait(tasks, SET, MUSTER_WAIT_ALL, ready, MUSTER_NOWAIT), MUSTER_OK);
    for (int i = 0; i < SET; i++) {
        int64_t value = -1;
        assert_true(ready[i]);
        assert_int_equal(muster_task_get(tasks[i], &value, sizeof value, MUSTER_NOWAIT),
                         i == 5 ? MUSTER_ERR_TASK : MUSTER_OK);
        assert_int_equal(value, i == 5 ? -1 : i * i);
    }
    assert_int_equal(muster_task_wait(tasks, SET, MUSTER_WAIT_ANY, NULL, MUSTER_FOREVER), MUSTER_ERR_STALE);
    pool_end(pool);
}

static void test_select(void **state)
{
    muster_pool pool = pool_make(state);
    muster_event stop = event_make();
    muster_task tasks[8];
    int64_t numbers[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    submit_everywhere(pool, tasks, 8, numbers);
    for (int left = 8; left > 0; left--) {
        muster_choice choices[9];
        int chosen = -1;
        for (int i = 0; i < left; i++)
            choices[i] = muster_choose_task(tasks[i]);
        choices[left] = muster_choose_event(stop);
        assert_int_equal(muster_select(choices, left + 1, &chosen, MUSTER_FOREVER), MUSTER_OK);
        assert_in_range(chosen, 0, left - 1);
        get_square(tasks[chosen], numbers[chosen]);
        tasks[chosen] = tasks[left - 1];
        numbers[chosen] = numbers[left - 1];
    }
    pool_end(pool);
    assert_int_equal(muster_event_destroy(stop), MUSTER_OK);
}

/* ---- 62: workers that wait for tasks of each other's hosts ---- */

static int get_another(const void *item, void *result, const void *user)
{
    int64_t value;
    (void)user;
    muster_err err = muster_task_get(*(const muster_task *)item, &value, sizeof value, MUSTER_FOREVER);
    if (err)
        return muster_task_fail(err, "%s", muster_err_detail());
    *(int64_t *)result = value + 1;
    return 0;
}

/* submits, where it runs, what gets another task */
static int submit_getter(const void *item, void *result, const void *user)
{
    (void)user;
    return muster_pool_submit(muster_task_pool(), result, get_another, item, sizeof(muster_task), sizeof(int64_t),
                              NULL);
}

/* Chains: each link is a task of some host that gets the one before. */
static void test_chains(void **state)
{
    enum { CHAINS = 8, LINKS = 12 };
    muster_pool pool = pool_make(state);
    muster_task last[CHAINS], next[CHAINS];
    int64_t numbers[CHAINS];
    for (int i = 0; i < CHAINS; i++)
        numbers[i] = i;
    submit_everywhere(pool, last, CHAINS, numbers);
    for (int link = 0; link < LINKS; link++) {
        assert_int_equal(muster_pool_map(pool, submit_getter, last, CHAINS, sizeof *last, next, sizeof *next,
                                         &(muster_map_options){.chunk_items = 1}),
                         MUSTER_OK);
        memcpy(last, next, sizeof last);
    }
    for (int i = 0; i < CHAINS; i++) {
        int64_t value = -1;
        assert_int_equal(muster_task_get(last[i], &value, sizeof value, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(value, i * i + LINKS);
    }
    pool_end(pool);
}

/* ---- results of any size ---- */

static int large(const void *item, void *result, const void *user)
{
    size_t size = *(const size_t *)item;
    (void)result, (void)user;
    unsigned char *bytes = malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(i * 7 + size);
    muster_err err = muster_task_return(bytes, size);
    free(bytes);
    return err;
}

static int submit_large(const void *item, void *result, const void *user)
{
    (void)user;
    return muster_pool_submit(muster_task_pool(), result, large, item, sizeof(size_t), 0, NULL);
}

static void test_any_size(void **state)
{
    enum { N = 6 };
    static const size_t sizes[N] = {0, 1, 100, 16384, 100000, 3000000};
    muster_pool pool = pool_make(state);
    muster_task tasks[N];
    assert_int_equal(muster_pool_map(pool, submit_large, sizes, N, sizeof *sizes, tasks, sizeof *tasks,
                                     &(muster_map_options){.chunk_items = 1}),
                     MUSTER_OK);
    for (int i = 0; i < N; i++) {
        unsigned char *bytes = NULL;
        size_t size = 77;
        assert_int_equal(muster_task_take(tasks[i], (void **)&bytes, &size, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(size, sizes[i]);
        for (size_t at = 0; at < size; at++)
            assert_int_equal(bytes[at], (unsigned char)(at * 7 + size));
        free(bytes);
    }
    pool_end(pool);
}

/* ---- groups ---- */

static int fill_group(const void *item, void *result, const void *user)
{
    const struct order *order = item;
    muster_group group;
    (void)user;
    if (muster_group_create(&group, muster_task_pool()))
        return 1;
    for (int i = 0; i < 10; i++) {
        struct order each = *order;
        each.n = order->n < 0 && i == 3 ? -3 : i;
        if (muster_pool_submit(muster_task_pool(), NULL, square, &each, sizeof each, sizeof each.n,
                               &(muster_submit_options){.group = &group}))
            return 2;
    }
    *(muster_group *)result = group;
    return 0;
}

static void test_groups(void **state)
{
    enum { N = 6 };
    muster_pool pool = pool_make(state);
    struct order orders[N];
    muster_group groups[N];
    for (int i = 0; i < N; i++)
        orders[i] = (struct order){.n = i % 2 ? -1 : 1};
    assert_int_equal(muster_pool_map(pool, fill_group, orders, N, sizeof *orders, groups, sizeof *groups,
                                     &(muster_map_options){.chunk_items = 1}),
                     MUSTER_OK);
    for (int i = 0; i < N; i++) {
        assert_int_equal(muster_group_wait(groups[i], MUSTER_FOREVER), i % 2 ? MUSTER_ERR_TASK : MUSTER_OK);
        if (i % 2)
            assert_int_equal(muster_pool_last_error()->code, 3);
        assert_int_equal(muster_group_wait(groups[i], 10000), MUSTER_OK); /* told once */
        assert_int_equal(muster_group_cancel(groups[i]), MUSTER_OK);
        assert_int_equal(muster_group_destroy(groups[i]), MUSTER_OK);
        assert_int_equal(muster_group_destroy(groups[i]), MUSTER_ERR_STALE);
        assert_int_equal(muster_group_wait(groups[i], MUSTER_FOREVER), MUSTER_ERR_STALE);
    }
    pool_end(pool);
}

struct gated_group {
    muster_group group;
    muster_event gate;
};

static int ask_group(const void *arg, size_t size)
{
    struct gated_group g;
    (void)size;
    memcpy(&g, arg, sizeof g);
    EXPECT(muster_group_wait(g.group, MUSTER_NOWAIT) == MUSTER_ERR_TIMEOUT);
    EXPECT(muster_group_wait(g.group, 5) == MUSTER_ERR_TIMEOUT);
    EXPECT(muster_group_destroy(g.group) == MUSTER_ERR_STATE);
    EXPECT(muster_group_cancel(g.group) == MUSTER_OK); /* the second one, which has not begun */
    EXPECT(muster_event_set(g.gate) == MUSTER_OK);
    EXPECT(muster_group_wait(g.group, MUSTER_FOREVER) == MUSTER_ERR_CANCELED);
    EXPECT(muster_group_destroy(g.group) == MUSTER_OK);
    return 0;
}

static void test_gated_group(void **state)
{
    (void)state;
    muster_pool pool;
    muster_semaphore begun;
    struct gated_group g = {.gate = event_make()};
    assert_int_equal(muster_semaphore_create(&begun, 0, 0, NULL), MUSTER_OK);
    assert_int_equal(muster_pool_create(&pool, &(muster_pool_options){.isolated = true, .workers = 1}), MUSTER_OK);
    assert_int_equal(muster_group_create(&g.group, pool), MUSTER_OK);
    struct order order = {2, g.gate, begun};
    for (int i = 0; i < 2; i++)
        assert_int_equal(muster_pool_submit(pool, NULL, square, &order, sizeof order, sizeof order.n,
                                            &(muster_submit_options){.group = &g.group}),
                         MUSTER_OK);
    assert_int_equal(muster_semaphore_acquire(begun, MUSTER_FOREVER), MUSTER_OK);
    all_well(start(ask_group, &g, sizeof g));
    pool_end(pool);
    assert_int_equal(muster_semaphore_destroy(begun), MUSTER_OK);
    assert_int_equal(muster_event_destroy(g.gate), MUSTER_OK);
}

/* ---- handles of nobody ---- */

static void test_bad_handles(void **state)
{
    muster_pool pool = pool_make(state);
    muster_task good = submit(pool, 3, no_gate), bad[3] = {good, good, good};
    bad[0].handle.kind_home += 1000; /* of no host */
    bad[1].handle.kind_home += 1;    /* of another one, or of none */
    bad[2].handle.generation += 1;
    for (int i = 0; i < 3; i++) {
        int64_t value = -1;
        bool is = false;
        size_t size = 77;
        assert_int_equal(muster_task_get(bad[i], &value, sizeof value, MUSTER_FOREVER), MUSTER_ERR_STALE);
        assert_int_equal(muster_task_ready(bad[i], &is), MUSTER_ERR_STALE);
        assert_int_equal(muster_task_size(bad[i], &size), MUSTER_ERR_STALE);
        assert_int_equal(muster_task_cancel(bad[i], true), MUSTER_ERR_STALE);
        assert_int_equal(muster_task_forget(bad[i]), MUSTER_ERR_STALE);
        assert_int_equal(muster_task_wait(&bad[i], 1, MUSTER_WAIT_ALL, &is, MUSTER_FOREVER), MUSTER_ERR_STALE);
        assert_int_equal(muster_group_wait((muster_group){bad[i].handle}, MUSTER_FOREVER), MUSTER_ERR_STALE);
        assert_int_equal(value, -1);
        assert_int_equal(size, 77);
        assert_false(is);
    }
    get_square(good, 3);
    pool_end(pool);
}

#define BOTH(f) cmocka_unit_test_prestate(f, (void *)&in_rank), cmocka_unit_test_prestate(f, (void *)&isolated)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_questions),
        cmocka_unit_test(test_terminated),
        BOTH(test_got_once),
        BOTH(test_getters_die),
        BOTH(test_sleeper_dies),
        BOTH(test_getters_give_up),
        BOTH(test_sets),
        BOTH(test_select),
        BOTH(test_chains),
        BOTH(test_any_size),
        BOTH(test_groups),
        cmocka_unit_test(test_gated_group),
        BOTH(test_bad_handles),
    };
    return mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "abroad");
}
