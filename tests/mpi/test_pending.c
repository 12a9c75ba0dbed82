/* SPDX-License-Identifier: BSD-3-Clause */
/* All that is pending is canceled, on all hosts, and the pool goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include <muster/muster.h>

#include "support/mpi_case.h"

static const bool in_rank = false, isolated = true;

/* what a case shares with its tasks */
struct stage {
    muster_semaphore begun;
    muster_event all, go; /* workers are taken; may go on */
    muster_value_i64 ran;
    int32_t children;
};

static muster_pool pool_make(void **state)
{
    muster_pool pool;
    assert_int_equal(muster_pool_create(&pool, &(muster_pool_options){.isolated = *(const bool *)*state}), MUSTER_OK);
    return pool;
}

static struct stage stage_make(void)
{
    struct stage stage = {.children = 0};
    assert_int_equal(muster_semaphore_create(&stage.begun, 0, 0, NULL), MUSTER_OK);
    assert_int_equal(muster_event_create(&stage.all, NULL), MUSTER_OK);
    assert_int_equal(muster_event_create(&stage.go, NULL), MUSTER_OK);
    assert_int_equal(muster_value_i64_create(&stage.ran, 0, NULL), MUSTER_OK);
    return stage;
}

static void stage_end(const struct stage *stage)
{
    assert_int_equal(muster_semaphore_destroy(stage->begun), MUSTER_OK);
    assert_int_equal(muster_event_destroy(stage->all), MUSTER_OK);
    assert_int_equal(muster_event_destroy(stage->go), MUSTER_OK);
    assert_int_equal(muster_value_i64_destroy(stage->ran), MUSTER_OK);
}

static int64_t now(muster_value_i64 value)
{
    int64_t seen = -1;
    assert_int_equal(muster_value_i64_load(value, &seen), MUSTER_OK);
    return seen;
}

static int count(const void *item, void *result, const void *user)
{
    const struct stage *stage = item;
    int64_t sum;
    (void)result;
    (void)user;
    return muster_value_i64_add(stage->ran, 1, &sum) ? 1 : 0;
}

/* Says that it has begun, submits children that nobody asks for when all have, says that, too, and stays. */
static int block(const void *item, void *result, const void *user)
{
    const struct stage *stage = item;
    (void)result;
    (void)user;
    if (muster_semaphore_release(stage->begun, 1) || muster_event_wait(stage->all, MUSTER_FOREVER))
        return 4;
    for (int i = 0; i < stage->children; i++) {
        muster_task child;
        if (muster_pool_submit(muster_task_pool(), &child, count, stage, sizeof *stage, 0, NULL) ||
            muster_task_forget(child))
            return 1;
    }
    if (muster_semaphore_release(stage->begun, 1))
        return 2;
    return muster_event_wait(stage->go, MUSTER_FOREVER) ? 3 : 0;
}

enum { MANY = 300, BLOCKERS_MAX = 16 };

/* The main thread of rank 0 is an in-rank worker that does not work meanwhile. */
static int occupy(void **state, muster_pool pool, const struct stage *stage, muster_task *blockers)
{
    int workers;
    assert_int_equal(muster_pool_workers(pool, &workers), MUSTER_OK);
    int n = *(const bool *)*state ? workers : workers - 1;
    assert_true(n <= BLOCKERS_MAX);
    for (int i = 0; i < n; i++)
        assert_int_equal(muster_pool_submit(pool, &blockers[i], block, stage, sizeof *stage, 0, NULL), MUSTER_OK);
    for (int i = 0; i < n; i++)
        assert_int_equal(muster_semaphore_acquire(stage->begun, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(muster_event_set(stage->all), MUSTER_OK);
    for (int i = 0; i < n; i++)
        assert_int_equal(muster_semaphore_acquire(stage->begun, MUSTER_FOREVER), MUSTER_OK);
    return n;
}

/* What runs goes on; of the rest nothing is run, be it of a task on another host; what comes later is run. */
static void test_cancel_pending(void **state)
{
    muster_pool pool = pool_make(state);
    struct stage stage = stage_make();
    muster_task blockers[BLOCKERS_MAX], tasks[MANY], later;
    stage.children = 20;
    assert_int_equal(muster_pool_cancel_pending(pool), MUSTER_OK); /* of nothing */
    for (int round = 0; round < 3; round++) {
        int n = occupy(state, pool, &stage, blockers);
        for (int i = 0; i < MANY; i++)
            assert_int_equal(muster_pool_submit(pool, &tasks[i], count, &stage, sizeof stage, 0, NULL), MUSTER_OK);
        assert_int_equal(muster_task_forget(tasks[MANY - 1]), MUSTER_OK);
        assert_int_equal(muster_pool_cancel_pending(pool), MUSTER_OK);
        assert_int_equal(muster_pool_submit(pool, &later, count, &stage, sizeof stage, 0, NULL), MUSTER_OK);
        assert_int_equal(muster_event_set(stage.go), MUSTER_OK);
        for (int i = 0; i < MANY - 1; i++)
            assert_int_equal(muster_task_get(tasks[i], NULL, 0, MUSTER_FOREVER), MUSTER_ERR_CANCELED);
        for (int i = 0; i < n; i++)
            assert_int_equal(muster_task_get(blockers[i], NULL, 0, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(muster_task_get(later, NULL, 0, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(now(stage.ran), round + 1);
        assert_int_equal(muster_event_clear(stage.go), MUSTER_OK);
        assert_int_equal(muster_event_clear(stage.all), MUSTER_OK);
    }
    assert_int_equal(muster_pool_close(pool), MUSTER_OK);
    assert_int_equal(muster_pool_join(pool, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
    assert_int_equal(muster_pool_cancel_pending(pool), MUSTER_ERR_STALE);
    stage_end(&stage);
}

/* The tasks of a group and those with callbacks are told as others are. */
static void test_cancel_in_group(void **state)
{
    muster_pool pool = pool_make(state);
    struct stage stage = stage_make();
    muster_task blockers[BLOCKERS_MAX];
    muster_group group;
    assert_int_equal(muster_group_create(&group, pool), MUSTER_OK);
    int n = occupy(state, pool, &stage, blockers);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(
            muster_pool_submit(pool, NULL, count, &stage, sizeof stage, 0, &(muster_submit_options){.group = &group}),
            MUSTER_OK);
    assert_int_equal(muster_pool_cancel_pending(pool), MUSTER_OK);
    assert_int_equal(muster_group_wait(group, MUSTER_FOREVER), MUSTER_ERR_CANCELED);
    assert_int_equal(muster_event_set(stage.go), MUSTER_OK);
    for (int i = 0; i < n; i++)
        assert_int_equal(muster_task_get(blockers[i], NULL, 0, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(now(stage.ran), 0);
    assert_int_equal(muster_group_destroy(group), MUSTER_OK);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
    stage_end(&stage);
}

/* The first item cancels what has not begun, which nobody runs any more: the others wait for that. */
static int cancels(const void *item, void *result, const void *user)
{
    const struct stage *stage = user;
    int64_t sum, number = *(const int64_t *)item;
    *(int64_t *)result = number + 1;
    if (muster_value_i64_add(stage->ran, 1, &sum))
        return 1;
    if (number)
        return muster_event_wait(stage->go, MUSTER_FOREVER) ? 2 : 0;
    if (muster_pool_cancel_pending(muster_task_pool()))
        return 3;
    return muster_event_set(stage->go) ? 4 : 0;
}

static void test_cancel_map(void **state)
{
    muster_pool pool = pool_make(state);
    struct stage stage = stage_make();
    int64_t items[1000], results[1000];
    int workers;
    muster_map_options options = {.chunk_items = 1, .user = &stage, .user_bytes = sizeof stage};
    for (int i = 0; i < 1000; i++)
        items[i] = i;
    memset(results, 0, sizeof results);
    assert_int_equal(muster_pool_workers(pool, &workers), MUSTER_OK);
    assert_int_equal(muster_pool_map(pool, cancels, items, 1000, sizeof *items, results, sizeof *results, &options),
                     MUSTER_ERR_CANCELED);
    assert_int_equal(results[0], 1);
    assert_in_range(now(stage.ran), 1, workers);
    /* the pool goes on, with maps, too: this time nothing is pending */
    assert_int_equal(muster_pool_map(pool, cancels, items, 1, sizeof *items, results, sizeof *results, &options),
                     MUSTER_OK);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
    stage_end(&stage);
}

static int cancels_for_ever(const void *item, void *result, const void *user)
{
    const struct stage *stage = item;
    (void)result;
    (void)user;
    if (muster_semaphore_release(stage->begun, 1))
        return 1;
    for (;;)
        if (muster_pool_cancel_pending(muster_task_pool()))
            return 2;
}

/* What the last one has asked another host for may cancel this one. */
static muster_task begin_to_cancel(muster_pool pool, const struct stage *stage)
{
    muster_task task;
    bool ended = true;
    do {
        if (ended)
            assert_int_equal(muster_pool_submit(pool, &task, cancels_for_ever, stage, sizeof *stage, 0, NULL),
                             MUSTER_OK);
        assert_int_equal(muster_task_ready(task, &ended), MUSTER_OK);
        if (ended)
            assert_int_equal(muster_task_get(task, NULL, 0, MUSTER_FOREVER), MUSTER_ERR_CANCELED);
    } while (ended || muster_semaphore_acquire(stage->begun, 10) == MUSTER_ERR_TIMEOUT);
    return task;
}

/* Who cancels is killed at it: each task has ended one way or the other, and all are counted. */
static void test_cancel_killed(void **state)
{
    (void)state;
    void *children = (void *)&isolated;
    muster_pool pool = pool_make(&children);
    struct stage stage = stage_make();
    int64_t ended = 0;
    for (int round = 0; round < 30; round++) {
        muster_task tasks[MANY], canceler = begin_to_cancel(pool, &stage);
        for (int i = 0; i < MANY; i++)
            assert_int_equal(muster_pool_submit(pool, &tasks[i], count, &stage, sizeof stage, 0, NULL), MUSTER_OK);
        assert_int_equal(muster_task_cancel(canceler, true), MUSTER_OK);
        for (int i = 0; i < MANY; i++) {
            muster_err err = muster_task_get(tasks[i], NULL, 0, MUSTER_FOREVER);
            ended += err == MUSTER_OK;
            assert_true(err == MUSTER_OK || err == MUSTER_ERR_CANCELED);
        }
        assert_int_equal(muster_task_get(canceler, NULL, 0, MUSTER_FOREVER), MUSTER_ERR_CANCELED);
    }
    assert_int_equal(now(stage.ran), ended);
    assert_int_equal(muster_pool_close(pool), MUSTER_OK);
    assert_int_equal(muster_pool_join(pool, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
    stage_end(&stage);
}

#define BOTH(f) cmocka_unit_test_prestate(f, (void *)&in_rank), cmocka_unit_test_prestate(f, (void *)&isolated)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_cancel_pending),
        BOTH(test_cancel_in_group),
        BOTH(test_cancel_map),
        cmocka_unit_test(test_cancel_killed),
    };
    return mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "pending");
}
