/*
 * Several pools at once on the same ranks, conformance 28: they are served in turns, counted in tasks.
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

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tasks_in_turns),
        cmocka_unit_test(test_maps_in_turns),
    };
    return mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "several");
}
