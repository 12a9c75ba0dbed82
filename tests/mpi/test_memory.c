/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Limits of memory of tasks and items: err NOMEM, how much it was, and a worker in the dead one's place.
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
#include <sys/mman.h>
#include <unistd.h>

#include <muster/muster.h>

#include "support/mpi_case.h"

#define MIB ((size_t)1 << 20)

static muster_pool pool_make(muster_pool_options options)
{
    muster_pool pool;
    options.isolated = true;
    assert_int_equal(muster_pool_create(&pool, &options), MUSTER_OK);
    return pool;
}

static void pool_end(muster_pool pool)
{
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
}

/* what a task has: memory that is touched, and memory that is reserved alone */
struct want {
    int64_t touched_mib, reserved_mib;
    int64_t stays; /* until it is killed */
    muster_queue begun;
};

static int take(const void *item, void *result, const void *user)
{
    const struct want *want = item;
    size_t bytes = (size_t)want->touched_mib * MIB, reserved = (size_t)want->reserved_mib * MIB;
    (void)user;
    if (want->begun.handle.generation && muster_queue_put(want->begun, "x", 1, MUSTER_FOREVER))
        return 2;
    char *own =
        mmap(NULL, bytes + reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (own == MAP_FAILED)
        return 3;
    for (size_t at = 0; at < bytes; at += 4096)
        own[at] = 1;
    while (want->stays)
        pause();
    munmap(own, bytes + reserved);
    *(int64_t *)result = want->touched_mib;
    return 0;
}

static muster_task submit(muster_pool pool, const struct want *want, const muster_submit_options *options)
{
    muster_task task;
    assert_int_equal(muster_pool_submit(pool, &task, take, want, sizeof *want, sizeof(int64_t), options), MUSTER_OK);
    return task;
}

static void is_fine(muster_pool pool, const struct want *want, const muster_submit_options *options)
{
    int64_t result = -1;
    assert_int_equal(muster_task_get(submit(pool, want, options), &result, sizeof result, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(result, want->touched_mib);
}

/* What the error says: how much it was, at least the limit and at most what the task takes and a little. */
static void check_error(int64_t limit_mib, int64_t taken_mib)
{
    const muster_task_error *error = muster_pool_last_error();
    unsigned long long had = 0, limit = 0;
    assert_int_equal(error->err, MUSTER_ERR_NOMEM);
    assert_int_equal(sscanf(error->text, "it had taken %llu B of memory, its limit is %llu", &had, &limit), 2);
    assert_int_equal(limit, (unsigned long long)limit_mib * MIB);
    assert_in_range(had, limit + 1, (unsigned long long)(taken_mib + 4) * MIB);
    assert_non_null(strstr(muster_err_detail(), error->text));
    assert_string_equal(error->function, "take");
}

static void is_over(muster_pool pool, const struct want *want, const muster_submit_options *options, int64_t limit_mib)
{
    int64_t result = 7;
    muster_task task = submit(pool, want, options);
    assert_int_equal(muster_task_get(task, &result, sizeof result, MUSTER_FOREVER), MUSTER_ERR_NOMEM);
    assert_int_equal(result, 7);
    check_error(limit_mib, want->touched_mib);
    assert_int_equal(muster_task_get(task, &result, sizeof result, MUSTER_FOREVER), MUSTER_ERR_STALE);
}

/* The host's segment, which is mapped whole, and what is reserved only do not count; what earlier tasks had neither. */
static void test_tasks(void **state)
{
    (void)state;
    muster_pool pool = pool_make((muster_pool_options){.workers = 1, .memory_limit_bytes = 32 * MIB});
    for (int round = 0; round < 3; round++) {
        is_fine(pool, &(struct want){.touched_mib = 16, .reserved_mib = 1 << 16}, NULL);
        is_over(pool, &(struct want){.touched_mib = 40, .stays = true}, NULL, 32);
    }
    is_fine(pool, &(struct want){.touched_mib = 24}, NULL);
    pool_end(pool);
}

static void test_of_one_task(void **state)
{
    (void)state;
    muster_pool pool = pool_make((muster_pool_options){.workers = 2, .memory_limit_bytes = 32 * MIB});
    muster_pool free_pool = pool_make((muster_pool_options){.workers = 1});
    muster_submit_options wide = {.memory_limit_bytes = 256 * MIB}, narrow = {.memory_limit_bytes = 8 * MIB};
    is_over(pool, &(struct want){.touched_mib = 40, .stays = true}, NULL, 32);
    is_fine(pool, &(struct want){.touched_mib = 64}, &wide);
    is_over(pool, &(struct want){.touched_mib = 20, .stays = true}, &narrow, 8);
    is_fine(free_pool, &(struct want){.touched_mib = 64}, NULL);
    is_over(free_pool, &(struct want){.touched_mib = 20, .stays = true}, &narrow, 8);
    is_fine(free_pool, &(struct want){.touched_mib = 64}, NULL);
    pool_end(free_pool);
    pool_end(pool);
}

/* It would be over again: it is run once, whatever retries says. */
static void test_once(void **state)
{
    (void)state;
    struct want want = {.touched_mib = 20, .stays = true};
    int64_t begun;
    muster_pool pool = pool_make((muster_pool_options){.workers = 1, .retries = 5, .memory_limit_bytes = 8 * MIB});
    assert_int_equal(muster_queue_create(&want.begun, NULL), MUSTER_OK);
    is_over(pool, &want, NULL, 8);
    assert_int_equal(muster_queue_size(want.begun, &begun), MUSTER_OK);
    assert_int_equal(begun, 1);
    assert_int_equal(muster_queue_destroy(want.begun), MUSTER_OK);
    pool_end(pool);
}

static void test_map(void **state)
{
    enum { N = 40, OVER = 11 };
    (void)state;
    struct want items[N];
    int64_t results[N];
    unsigned char states[N];
    muster_pool pool = pool_make((muster_pool_options){.memory_limit_bytes = 16 * MIB});
    for (int i = 0; i < N; i++) {
        items[i] = (struct want){.touched_mib = i == OVER ? 32 : i % 4 + 1, .stays = i == OVER};
        results[i] = -1;
    }
    muster_map_options options = {.states = states, .chunk_items = 4};
    assert_int_equal(muster_pool_map(pool, take, items, N, sizeof *items, results, sizeof *results, &options),
                     MUSTER_ERR_NOMEM);
    assert_int_equal(muster_pool_last_error()->index, OVER);
    assert_int_equal(muster_pool_last_error()->failed, 1);
    check_error(16, 32);
    for (int i = 0; i < N; i++) {
        assert_int_equal(states[i], i == OVER ? MUSTER_ITEM_FAILED : MUSTER_ITEM_DONE);
        if (i != OVER)
            assert_int_equal(results[i], items[i].touched_mib);
    }
    pool_end(pool);
}

/* The limits of a task and of one that it waits for, which its worker runs on top of it or beside it. */
static int outer(const void *item, void *result, const void *user)
{
    const struct want *wants = item;
    muster_task inner;
    int64_t got = 0;
    muster_submit_options wide = {.memory_limit_bytes = 256 * MIB};
    if (muster_pool_submit(muster_task_pool(), &inner, take, &wants[0], sizeof *wants, sizeof got, &wide) ||
        muster_task_get(inner, &got, sizeof got, MUSTER_FOREVER))
        return 4;
    return take(&wants[1], result, user);
}

static void test_nested(void **state)
{
    (void)state;
    muster_pool pool = pool_make((muster_pool_options){.workers = 1});
    muster_submit_options narrow = {.memory_limit_bytes = 32 * MIB};
    struct want wants[2] = {{.touched_mib = 64}, {.touched_mib = 8}};
    int64_t result = 0;
    muster_task task;
    assert_int_equal(muster_pool_submit(pool, &task, outer, wants, sizeof wants, sizeof result, &narrow), MUSTER_OK);
    assert_int_equal(muster_task_get(task, &result, sizeof result, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(result, 8);
    wants[1] = (struct want){.touched_mib = 48, .stays = true};
    assert_int_equal(muster_pool_submit(pool, &task, outer, wants, sizeof wants, sizeof result, &narrow), MUSTER_OK);
    assert_int_equal(muster_task_get(task, &result, sizeof result, MUSTER_FOREVER), MUSTER_ERR_NOMEM);
    assert_non_null(strstr(muster_pool_last_error()->text, "its limit is 33554432"));
    pool_end(pool);
}

/* Tasks that come and go quicker than anybody looks, and one that is over in their midst. */
static void test_many(void **state)
{
    enum { N = 3000 };
    (void)state;
    muster_pool pool = pool_make((muster_pool_options){.workers = 2, .memory_limit_bytes = 16 * MIB});
    static muster_task tasks[N];
    int64_t result;
    for (int i = 0; i < N; i++)
        tasks[i] = submit(
            pool, &(struct want){.touched_mib = i == N / 2 ? 20 : 0, .reserved_mib = 1, .stays = i == N / 2}, NULL);
    for (int i = 0; i < N; i++)
        assert_int_equal(muster_task_get(tasks[i], &result, sizeof result, MUSTER_FOREVER),
                         i == N / 2 ? MUSTER_ERR_NOMEM : MUSTER_OK);
    pool_end(pool);
}

static void on_error(const muster_task_error *error, void *arg)
{
    *(muster_task_error *)arg = *error;
}

static void test_callback(void **state)
{
    (void)state;
    muster_task_error error = {.err = MUSTER_OK};
    muster_callbacks callbacks = {.on_error = on_error, .arg = &error};
    muster_pool pool = pool_make((muster_pool_options){.workers = 1, .memory_limit_bytes = 8 * MIB});
    submit(pool, &(struct want){.touched_mib = 20, .stays = true}, &(muster_submit_options){.callbacks = &callbacks});
    assert_int_equal(muster_pool_close(pool), MUSTER_OK);
    assert_int_equal(muster_pool_join(pool, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(error.err, MUSTER_ERR_NOMEM);
    assert_non_null(strstr(error.text, "its limit is 8388608"));
    pool_end(pool);
}

/* Who is killed by somebody is not said to be the kernel's victim. */
static int killed(const void *item, void *result, const void *user)
{
    (void)item;
    (void)result;
    (void)user;
    return raise(SIGKILL);
}

static void test_killed(void **state)
{
    (void)state;
    muster_pool pool = pool_make((muster_pool_options){.workers = 1, .memory_limit_bytes = 64 * MIB});
    muster_task task;
    assert_int_equal(muster_pool_submit(pool, &task, killed, NULL, 0, 0, NULL), MUSTER_OK);
    assert_int_equal(muster_task_get(task, NULL, 0, MUSTER_FOREVER), MUSTER_ERR_CRASHED);
    assert_int_equal(muster_pool_last_error()->code, SIGKILL);
    assert_string_equal(muster_pool_last_error()->text, "");
    pool_end(pool);
}

static void test_refused(void **state)
{
    (void)state;
    muster_pool pool, made;
    muster_task task;
    int64_t result;
    struct want want = {0};
    assert_int_equal(muster_pool_create(&pool, &(muster_pool_options){.workers = 1}), MUSTER_OK);
    assert_int_equal(muster_pool_create(&made, &(muster_pool_options){.memory_limit_bytes = MIB}),
                     MUSTER_ERR_UNSUPPORTED);
    assert_int_equal(
        muster_pool_create(&made, &(muster_pool_options){.isolated = true, .memory_limit_bytes = SIZE_MAX}),
        MUSTER_ERR_INVAL);
    assert_non_null(strstr(muster_err_detail(), "memory_limit_bytes"));
    assert_int_equal(muster_pool_submit(pool, &task, take, &want, sizeof want, sizeof result,
                                        &(muster_submit_options){.memory_limit_bytes = MIB}),
                     MUSTER_ERR_UNSUPPORTED);
    assert_int_equal(muster_pool_submit(pool, &task, take, &want, sizeof want, sizeof result,
                                        &(muster_submit_options){.memory_limit_bytes = SIZE_MAX}),
                     MUSTER_ERR_INVAL);
    assert_non_null(strstr(muster_err_detail(), "memory_limit_bytes"));
    pool_end(pool);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tasks),    cmocka_unit_test(test_of_one_task), cmocka_unit_test(test_once),
        cmocka_unit_test(test_map),      cmocka_unit_test(test_nested),      cmocka_unit_test(test_many),
        cmocka_unit_test(test_callback), cmocka_unit_test(test_killed),      cmocka_unit_test(test_refused),
    };
    return mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "memory");
}
