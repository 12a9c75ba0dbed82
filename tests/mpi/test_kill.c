/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Workers, spares and processes killed at random instants, through the real runtime: with retries nothing is lost,
 * without them only what was in hand, and nothing ever hangs. Rule 6 of the design; conformance 23.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <muster/muster.h>

#include "support/killer.h"
#include "support/mpi_case.h"

static void while_killing(void (*work)(int round), int least_kills)
{
    pthread_t thread;
    atomic_store(&killing, true);
    atomic_store(&kills, 0);
    assert_int_equal(pthread_create(&thread, NULL, killer, (void *)(uintptr_t)(12345 + least_kills)), 0);
    for (int round = 0; atomic_load(&kills) < least_kills; round++)
        work(round);
    atomic_store(&killing, false);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* ---- maps ---- */

enum { ITEMS = 400 };
static muster_pool pool;

static int slow_square(const void *item, void *result, const void *user)
{
    (void)user;
    int64_t n = *(const int64_t *)item;
    for (volatile int i = 0; i < 3000; i++)
        ;
    *(int64_t *)result = n * n;
    return 0;
}

static void map_with_retries(int round)
{
    int64_t items[ITEMS], results[ITEMS];
    for (int i = 0; i < ITEMS; i++)
        items[i] = i + round;
    assert_int_equal(muster_pool_map(pool, slow_square, items, ITEMS, 8, results, 8,
                                     &(muster_map_options){.chunk_items = round % 3}),
                     MUSTER_OK);
    for (int i = 0; i < ITEMS; i++)
        assert_int_equal(results[i], items[i] * items[i]);
}

static void test_map_retries(void **state)
{
    (void)state;
    assert_int_equal(muster_pool_create(&pool, &(muster_pool_options){.workers = 3, .isolated = true, .retries = 255}),
                     MUSTER_OK);
    while_killing(map_with_retries, 200);
    map_with_retries(0);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
}

static void map_without_retries(int round)
{
    int64_t items[ITEMS], results[ITEMS], wrong = 0;
    for (int i = 0; i < ITEMS; i++)
        items[i] = i + round + 1;
    memset(results, 0, sizeof results);
    int before = atomic_load(&kills);
    muster_err err = muster_pool_map(pool, slow_square, items, ITEMS, 8, results, 8,
                                     &(muster_map_options){.chunk_items = round % 3});
    for (int i = 0; i < ITEMS; i++) {
        if (results[i] == items[i] * items[i])
            continue;
        assert_int_equal(results[i], 0);
        wrong++;
    }
    if (err) {
        assert_int_equal(err, MUSTER_ERR_CRASHED);
        assert_int_equal(muster_pool_last_error()->code, SIGKILL);
        assert_true(muster_pool_last_error()->failed >= wrong);
        assert_true(muster_pool_last_error()->failed <= atomic_load(&kills) - before + 3);
    } else {
        assert_int_equal(wrong, 0);
    }
}

static void test_map_plain(void **state)
{
    (void)state;
    assert_int_equal(muster_pool_create(&pool, &(muster_pool_options){.workers = 3, .isolated = true}), MUSTER_OK);
    while_killing(map_without_retries, 200);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
}

/* ---- tasks ---- */

static void submit_with_retries(int round)
{
    muster_task tasks[ITEMS];
    for (int64_t i = 0; i < ITEMS; i++) {
        int64_t n = i + round;
        assert_int_equal(muster_pool_submit(pool, &tasks[i], slow_square, &n, sizeof n, sizeof n, NULL), MUSTER_OK);
    }
    for (int64_t i = 0; i < ITEMS; i++) {
        int64_t result = -1;
        assert_int_equal(muster_task_get(tasks[i], &result, sizeof result, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(result, (i + round) * (i + round));
    }
}

static void test_submit_retries(void **state)
{
    (void)state;
    assert_int_equal(muster_pool_create(&pool, &(muster_pool_options){.workers = 3, .isolated = true, .retries = 255}),
                     MUSTER_OK);
    while_killing(submit_with_retries, 200);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
}

/* ---- results of any size: of what was returned all is there, or nothing ---- */

static size_t bytes_of(int64_t n)
{
    return n % 16 == 0 ? (size_t)(n % 97) * 1000 : (size_t)(n % 300);
}

static int return_bytes(const void *item, void *result, const void *user)
{
    int64_t n;
    char bytes[97 * 1000];
    (void)result;
    (void)user;
    memcpy(&n, item, sizeof n);
    memset(bytes, (int)n, bytes_of(n));
    muster_err err = muster_task_return("first", 5);
    return err ? err : muster_task_return(bytes, bytes_of(n));
}

static void check_bytes(const void *bytes, size_t size, int64_t n)
{
    assert_int_equal(size, bytes_of(n));
    for (size_t i = 0; i < size; i++)
        assert_int_equal(((const char *)bytes)[i], (char)n);
}

/* Returns how many have no result. */
static int64_t map_list(int round, int64_t chunk_items, muster_err *err)
{
    int64_t numbers[ITEMS], missing = 0;
    muster_span items[ITEMS], *results;
    for (int i = 0; i < ITEMS; i++) {
        numbers[i] = i + round;
        items[i] = (muster_span){&numbers[i], sizeof numbers[i]};
    }
    *err = muster_pool_map_list(pool, return_bytes, items, ITEMS, &results,
                                &(muster_map_options){.chunk_items = chunk_items});
    assert_true(*err == MUSTER_OK || *err == MUSTER_ERR_CRASHED);
    for (int i = 0; i < ITEMS; i++) {
        missing += results[i].bytes == NULL;
        if (results[i].bytes)
            check_bytes(results[i].bytes, results[i].size_bytes, numbers[i]);
    }
    free(results);
    return missing;
}

static void list_with_retries(int round)
{
    muster_err err;
    assert_int_equal(map_list(round, round % 3, &err), 0);
    assert_int_equal(err, MUSTER_OK);
}

static void return_with_retries(int round)
{
    muster_task tasks[ITEMS];
    for (int64_t i = 0; i < ITEMS; i++) {
        int64_t n = i + round;
        assert_int_equal(muster_pool_submit(pool, &tasks[i], return_bytes, &n, sizeof n, (size_t)(i % 90), NULL),
                         MUSTER_OK);
    }
    for (int64_t i = 0; i < ITEMS; i++) {
        void *result;
        size_t size;
        assert_int_equal(muster_task_take(tasks[i], &result, &size, MUSTER_FOREVER), MUSTER_OK);
        check_bytes(result, size, i + round);
        free(result);
    }
}

static void test_any_retries(void **state)
{
    (void)state;
    assert_int_equal(muster_pool_create(&pool, &(muster_pool_options){.workers = 3, .isolated = true, .retries = 255}),
                     MUSTER_OK);
    while_killing(list_with_retries, 150);
    while_killing(return_with_retries, 150);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
}

static void list_without_retries(int round)
{
    muster_err err;
    int64_t missing = map_list(round, round % 3, &err);
    assert_int_equal(missing, err ? muster_pool_last_error()->failed : 0);
}

static void test_any_plain(void **state)
{
    (void)state;
    assert_int_equal(muster_pool_create(&pool, &(muster_pool_options){.workers = 3, .isolated = true}), MUSTER_OK);
    while_killing(list_without_retries, 150);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
}

/* ---- tasks that submit tasks: a parent that dies leaves its children to run; nothing hangs ---- */

static int tree(const void *item, void *result, const void *user)
{
    int64_t n = *(const int64_t *)item, part;
    if (n == 0) {
        *(int64_t *)result = 1;
        return 0;
    }
    muster_task tasks[2];
    n--;
    for (int i = 0; i < 2; i++)
        if (muster_pool_submit(*(const muster_pool *)user, &tasks[i], tree, &n, sizeof n, sizeof n,
                               &(muster_submit_options){.user = user, .user_bytes = sizeof(muster_pool)}))
            return 1;
    for (int i = 0; i < 2; i++) {
        if (muster_task_get(tasks[i], &part, sizeof part, MUSTER_FOREVER))
            return 2;
        *(int64_t *)result += part;
    }
    return 0;
}

static void grow_tree(int round)
{
    (void)round;
    int64_t depth = 6, leaves = 0;
    muster_task task;
    assert_int_equal(muster_pool_submit(pool, &task, tree, &depth, sizeof depth, sizeof leaves,
                                        &(muster_submit_options){.user = &pool, .user_bytes = sizeof pool}),
                     MUSTER_OK);
    muster_err err = muster_task_get(task, &leaves, sizeof leaves, MUSTER_FOREVER);
    if (err == MUSTER_OK)
        assert_int_equal(leaves, 64);
    else
        assert_true(err == MUSTER_ERR_CRASHED || err == MUSTER_ERR_TASK);
}

static void test_nested(void **state)
{
    (void)state;
    assert_int_equal(muster_pool_create(&pool, &(muster_pool_options){.workers = 3, .isolated = true}), MUSTER_OK);
    while_killing(grow_tree, 100);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
}

/* ---- processes ---- */

static muster_lock lock;

static int lock_and_unlock(const void *arg, size_t size)
{
    (void)size;
    for (int i = 0; i < 2000; i++) {
        muster_err err = muster_lock_acquire(*(const muster_lock *)arg, MUSTER_FOREVER);
        if (err != MUSTER_OK && err != MUSTER_ERR_OWNER_DEAD)
            return 1;
        if (muster_lock_release(*(const muster_lock *)arg) != MUSTER_OK)
            return 2;
    }
    return 0;
}

static void run_processes(int round)
{
    (void)round;
    muster_process processes[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(muster_process_create(&processes[i], lock_and_unlock, &lock, sizeof lock, NULL), MUSTER_OK);
        assert_int_equal(muster_process_start(processes[i]), MUSTER_OK);
    }
    for (int i = 0; i < 4; i++) {
        muster_process_status status;
        assert_int_equal(muster_process_join(processes[i], &status, MUSTER_FOREVER), MUSTER_OK);
        assert_true(status.signal == SIGKILL || (status.signal == 0 && status.exit_code == 0));
        assert_int_equal(muster_process_close(processes[i]), MUSTER_OK);
    }
}

static void test_processes(void **state)
{
    (void)state;
    assert_int_equal(muster_lock_create(&lock, NULL), MUSTER_OK);
    while_killing(run_processes, 150);
    muster_err err = muster_lock_acquire(lock, 5000);
    assert_true(err == MUSTER_OK || err == MUSTER_ERR_OWNER_DEAD);
    assert_int_equal(muster_lock_release(lock), MUSTER_OK);
    assert_int_equal(muster_lock_destroy(lock), MUSTER_OK);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_map_retries), cmocka_unit_test(test_map_plain), cmocka_unit_test(test_submit_retries),
        cmocka_unit_test(test_any_retries), cmocka_unit_test(test_any_plain), cmocka_unit_test(test_nested),
        cmocka_unit_test(test_processes),
    };
    return mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "kill");
}
