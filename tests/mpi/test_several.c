/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Several pools at once on the same ranks, conformance 28: they are served in turns, counted in tasks; and pools on
 * ranks of their own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <time.h>

#include <muster/muster.h>

#include "support/mpi_case.h"

enum { POOLS = 2, TASKS = 300 };

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* Counts itself; what the other pool has come to by then is noted behind its number. */
struct work {
    muster_value_i64 mine, other;
    muster_array seen; /* of the other pool, by mine */
};

static int count(const void *item, void *result, const void *user)
{
    const struct work *work = item;
    int64_t before, other;
    (void)result, (void)user;
    nap();
    muster_err err = muster_value_i64_add(work->mine, 1, &before);
    if (!err)
        err = muster_value_i64_load(work->other, &other);
    return err ? err : muster_array_write(work->seen, before - 1, 1, &other);
}

static int count_item(const void *item, void *result, const void *user)
{
    (void)item;
    return count(user, result, NULL);
}

static int64_t load(muster_value_i64 value)
{
    int64_t now;
    assert_int_equal(muster_value_i64_load(value, &now), MUSTER_OK);
    return now;
}

/* Half-way through one pool's tasks the other has had a good part of its own. The main program is in neither. */
static void check_turns(const struct work *work)
{
    while (load(work[0].mine) < TASKS || load(work[1].mine) < TASKS)
        nap();
    for (int p = 0; p < POOLS; p++) {
        int64_t seen;
        assert_int_equal(muster_array_read(work[p].seen, TASKS / 2, 1, &seen), MUSTER_OK);
        assert_in_range(seen, TASKS / 8, TASKS);
    }
}

static void begin(muster_pool *pools, struct work *work)
{
    for (int p = 0; p < POOLS; p++) {
        assert_int_equal(muster_pool_create(&pools[p], NULL), MUSTER_OK);
        assert_int_equal(muster_value_i64_create(&work[p].mine, 0, NULL), MUSTER_OK);
        assert_int_equal(muster_array_create(&work[p].seen, TASKS, sizeof(int64_t), NULL), MUSTER_OK);
    }
    for (int p = 0; p < POOLS; p++)
        work[p].other = work[1 - p].mine;
}

static void end(muster_pool *pools, struct work *work)
{
    for (int p = 0; p < POOLS; p++) {
        assert_int_equal(muster_pool_destroy(pools[p]), MUSTER_OK);
        assert_int_equal(muster_value_i64_destroy(work[p].mine), MUSTER_OK);
        assert_int_equal(muster_array_destroy(work[p].seen), MUSTER_OK);
    }
}

static void test_tasks_in_turns(void **state)
{
    muster_pool pools[POOLS];
    struct work work[POOLS];
    (void)state;
    begin(pools, work);
    for (int p = 0; p < POOLS; p++)
        for (int i = 0; i < TASKS; i++) {
            muster_task task;
            assert_int_equal(muster_pool_submit(pools[p], &task, count, &work[p], sizeof *work, 0, NULL), MUSTER_OK);
            assert_int_equal(muster_task_forget(task), MUSTER_OK);
        }
    check_turns(work);
    end(pools, work);
}

/* Maps that tasks of a third pool wait for: in isolated workers, so that no rank waits in a pool. */
static int map_it(const void *item, void *result, const void *user)
{
    static const char items[TASKS];
    const struct {
        muster_pool pool;
        struct work work;
    } *of = item;
    (void)result, (void)user;
    return muster_pool_map(of->pool, count_item, items, TASKS, 1, NULL, 0,
                           &(muster_map_options){.chunk_items = 1, .user = &of->work, .user_bytes = sizeof of->work});
}

static void test_maps_in_turns(void **state)
{
    muster_pool pools[POOLS], callers;
    struct work work[POOLS];
    (void)state;
    begin(pools, work);
    assert_int_equal(muster_pool_create(&callers, &(muster_pool_options){.workers = POOLS, .isolated = true}),
                     MUSTER_OK);
    for (int p = 0; p < POOLS; p++) {
        const struct {
            muster_pool pool;
            struct work work;
        } of = {pools[p], work[p]};
        muster_task task;
        assert_int_equal(muster_pool_submit(callers, &task, map_it, &of, sizeof of, 0, NULL), MUSTER_OK);
        assert_int_equal(muster_task_forget(task), MUSTER_OK);
    }
    check_turns(work);
    assert_int_equal(muster_pool_close(callers), MUSTER_OK);
    assert_int_equal(muster_pool_join(callers, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(muster_pool_destroy(callers), MUSTER_OK);
    end(pools, work);
}

/* ---- disjoint ranks ---- */

static int where(const void *item, void *result, const void *user)
{
    (void)item, (void)user;
    nap();
    *(int *)result = muster_rank();
    return 0;
}

static void check_ranks(muster_pool pool, int first, int ranks, int workers)
{
    enum { N = 60 };
    static const char items[N];
    int results[N], had;
    assert_int_equal(muster_pool_workers(pool, &had), MUSTER_OK);
    assert_int_equal(had, workers);
    assert_int_equal(
        muster_pool_map(pool, where, items, N, 1, results, sizeof *results, &(muster_map_options){.chunk_items = 1}),
        MUSTER_OK);
    for (int i = 0; i < N; i++)
        assert_in_range(results[i], first, first + ranks - 1);
    muster_task tasks[64];
    for (int i = 0; i < ranks; i++) /* all of them work */
        assert_int_equal(muster_pool_submit(pool, &tasks[i], where, NULL, 0, sizeof(int),
                                            &(muster_submit_options){.aim = MUSTER_AIM_RANK, .aim_at = first + i}),
                         MUSTER_OK);
    for (int i = 0; i < ranks; i++) {
        assert_int_equal(muster_task_get(tasks[i], results, sizeof *results, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(results[0], first + i);
    }
    assert_int_equal(muster_pool_submit(pool, tasks, where, NULL, 0, sizeof(int),
                                        &(muster_submit_options){.aim = MUSTER_AIM_RANK, .aim_at = first ? 0 : ranks}),
                     MUSTER_ERR_INVAL);
}

static void test_disjoint(void **state)
{
    int ranks = muster_ranks();
    (void)state;
    for (int isolated = 0; isolated < 2; isolated++) {
        muster_pool low, high, one;
        muster_pool_options options = {.isolated = isolated, .caller_idle = true, .ranks = 1};
        assert_int_equal(muster_pool_create(&low, &options), MUSTER_OK);
        options = (muster_pool_options){.isolated = isolated, .caller_idle = true, .first_rank = 1};
        assert_int_equal(muster_pool_create(&high, &options), MUSTER_OK);
        options = (muster_pool_options){.isolated = isolated,
                                        .caller_idle = true,
                                        .first_rank = ranks - 1,
                                        .ranks = 1,
                                        .workers = isolated ? 3 : 1};
        assert_int_equal(muster_pool_create(&one, &options), MUSTER_OK);
        for (int round = 0; round < 2; round++) {
            check_ranks(low, 0, 1, 1);
            check_ranks(high, 1, ranks - 1, ranks - 1);
            check_ranks(one, ranks - 1, 1, isolated ? 3 : 1);
        }
        assert_int_equal(muster_pool_destroy(high), MUSTER_OK);
        assert_int_equal(muster_pool_destroy(low), MUSTER_OK);
        assert_int_equal(muster_pool_destroy(one), MUSTER_OK);
    }
}

static void test_wrong_ranks(void **state)
{
    const int ranks = muster_ranks(), wrong[][2] = {{-1, 0}, {ranks, 0}, {0, ranks + 1}, {1, ranks}, {0, -1}};
    muster_pool pool;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(
            muster_pool_create(&pool, &(muster_pool_options){.first_rank = wrong[i][0], .ranks = wrong[i][1]}),
            MUSTER_ERR_INVAL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tasks_in_turns),
        cmocka_unit_test(test_maps_in_turns),
        cmocka_unit_test(test_disjoint),
        cmocka_unit_test(test_wrong_ranks),
    };
    return mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "several");
}
