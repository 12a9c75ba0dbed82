/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Contexts of pools, maps and tasks, and arguments of initializers: of any size, once a host, on all hosts; of workers
 * that die, too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <muster/muster.h>

#include "support/pool_case.h"

#define MIB ((size_t)1 << 20)
enum { N = 120 };

/* ---- what a task sees ---- */

static uint64_t sum_of(const uint64_t *words, size_t bytes)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < bytes / sizeof *words; i++)
        sum = sum * 31 + words[i];
    return sum;
}

static uint64_t *words_make(size_t bytes, uint64_t seed)
{
    uint64_t *words = malloc(bytes);
    assert_non_null(words);
    for (size_t i = 0; i < bytes / sizeof *words; i++)
        words[i] = seed + i;
    return words;
}

struct ask {
    uint64_t bytes;
    int64_t whole;     /* sum all of it */
    muster_queue dies; /* who gets one from it */
};
struct seen {
    uintptr_t user;
    uint64_t sum, ends;
    int rank; /* addresses are those of a rank, and of its children */
};

static int look(const void *item, void *result, const void *user)
{
    const struct ask *ask = item;
    const uint64_t *words = user;
    char word[4];
    if (ask->dies.handle.generation && muster_queue_get(ask->dies, word, sizeof word, NULL, MUSTER_NOWAIT) == MUSTER_OK)
        raise(SIGKILL);
    *(struct seen *)result = (struct seen){.user = (uintptr_t)user,
                                           .sum = ask->whole ? sum_of(words, ask->bytes) : 0,
                                           .ends = words[0] ^ words[ask->bytes / sizeof *words - 1],
                                           .rank = muster_rank()};
    return 0;
}

static uint64_t ends_of(const uint64_t *words, size_t bytes)
{
    return words[0] ^ words[bytes / sizeof *words - 1];
}

/* On each rank all have seen it at the same place. */
static void check_once(const struct seen *seen, int n)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++)
            if (seen[i].rank == seen[j].rank)
                assert_int_equal(seen[i].user, seen[j].user);
}

/* ---- cases ---- */

static void test_of_pool(void **state)
{
    const size_t bytes = 48 * MIB;
    uint64_t *words = words_make(bytes, 7), sum = sum_of(words, bytes);
    struct ask asks[N];
    struct seen seen[N];
    muster_pool pool = pool_make(state, (muster_pool_options){.user = words, .user_bytes = bytes});
    for (int i = 0; i < N; i++)
        asks[i] = (struct ask){.bytes = bytes, .whole = i % 40 == 0};
    uint64_t ends = ends_of(words, bytes);
    memset(words, 0, bytes); /* it was copied */
    assert_int_equal(
        muster_pool_map(pool, look, asks, N, sizeof *asks, seen, sizeof *seen, &(muster_map_options){.chunk_items = 1}),
        MUSTER_OK);
    for (int i = 0; i < N; i++) {
        assert_int_equal(seen[i].ends, ends);
        assert_int_equal(seen[i].sum, i % 40 == 0 ? sum : 0);
    }
    check_once(seen, N);
    free(words);
    pool_end(pool);
}

static void test_of_map(void **state)
{
    const size_t bytes = 24 * MIB;
    struct ask asks[N];
    struct seen seen[N];
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 0});
    for (int round = 0; round < 3; round++) {
        uint64_t *words = words_make(bytes, (uint64_t)round + 1), sum = sum_of(words, bytes);
        for (int i = 0; i < N; i++)
            asks[i] = (struct ask){.bytes = bytes, .whole = i % 40 == 0};
        assert_int_equal(muster_pool_map(pool, look, asks, N, sizeof *asks, seen, sizeof *seen,
                                         &(muster_map_options){.chunk_items = 1, .user = words, .user_bytes = bytes}),
                         MUSTER_OK);
        for (int i = 0; i < N; i++) {
            assert_int_equal(seen[i].ends, ends_of(words, bytes));
            assert_int_equal(seen[i].sum, i % 40 == 0 ? sum : 0);
        }
        check_once(seen, N);
        free(words);
    }
    pool_end(pool);
}

/* Of each task; those with the same bytes share it. Two by turns, of one size. */
static void test_of_tasks(void **state)
{
    const size_t bytes = 8 * MIB;
    uint64_t *words[2] = {words_make(bytes, 3), words_make(bytes, 4)};
    muster_task tasks[2][N];
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 0});
    struct ask ask = {.bytes = bytes};
    for (int i = 0; i < N; i++)
        for (int which = 0; which < 2; which++)
            assert_int_equal(muster_pool_submit(pool, &tasks[which][i], look, &ask, sizeof ask, sizeof(struct seen),
                                                &(muster_submit_options){.user = words[which], .user_bytes = bytes}),
                             MUSTER_OK);
    for (int which = 0; which < 2; which++) {
        struct seen seen[N];
        for (int i = 0; i < N; i++) {
            assert_int_equal(muster_task_get(tasks[which][i], &seen[i], sizeof *seen, MUSTER_FOREVER), MUSTER_OK);
            assert_int_equal(seen[i].ends, ends_of(words[which], bytes));
        }
        check_once(seen, N);
        free(words[which]);
    }
    pool_end(pool);
}

/* A worker dies with a task in its hands, and others use what it shared. */
static void test_deaths(void **state)
{
    (void)state;
    const size_t bytes = 2 * MIB;
    uint64_t *words = words_make(bytes, 9);
    static muster_task tasks[N];
    struct ask ask = {.bytes = bytes, .whole = 1};
    muster_pool pool = pool_make((void *[]){(void *)&isolated}, (muster_pool_options){.retries = 20});
    assert_int_equal(muster_queue_create(&ask.dies, NULL), MUSTER_OK);
    for (int round = 0; round < 4; round++) {
        words[0] = (uint64_t)round;
        uint64_t sum = sum_of(words, bytes);
        for (int i = 0; i < 3; i++)
            assert_int_equal(muster_queue_put(ask.dies, "x", 1, MUSTER_FOREVER), MUSTER_OK);
        for (int i = 0; i < N; i++)
            assert_int_equal(muster_pool_submit(pool, &tasks[i], look, &ask, sizeof ask, sizeof(struct seen),
                                                &(muster_submit_options){.user = words, .user_bytes = bytes}),
                             MUSTER_OK);
        for (int i = 0; i < N; i++) {
            struct seen seen;
            assert_int_equal(muster_task_get(tasks[i], &seen, sizeof seen, MUSTER_FOREVER), MUSTER_OK);
            assert_int_equal(seen.sum, sum);
        }
    }
    assert_int_equal(muster_queue_destroy(ask.dies), MUSTER_OK);
    free(words);
    pool_end(pool);
}

/* ---- arguments of initializers ---- */

static uint64_t initialized;

static int initialize(const void *item, void *result, const void *user)
{
    (void)result;
    const uint64_t *bytes = user;
    initialized = sum_of(item, *bytes);
    return 0;
}

static int tell_initialized(const void *item, void *result, const void *user)
{
    (void)item;
    (void)user;
    *(uint64_t *)result = initialized;
    return 0;
}

static void test_of_initializers(void **state)
{
    const size_t sizes[] = {8, 4096, 100000, 20 * MIB};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint64_t *words = words_make(sizes[i], i + 5), sum = sum_of(words, sizes[i]), bytes = sizes[i], results[N];
        muster_pool pool = pool_make(state, (muster_pool_options){.initializer = initialize,
                                                                  .init_arg = words,
                                                                  .init_arg_bytes = sizes[i],
                                                                  .user = &bytes,
                                                                  .user_bytes = sizeof bytes});
        free(words);
        assert_int_equal(muster_pool_map(pool, tell_initialized, NULL, N, 0, results, sizeof *results,
                                         &(muster_map_options){.chunk_items = 1}),
                         MUSTER_OK);
        for (int item = 0; item < N; item++)
            assert_int_equal(results[item], sum);
        pool_end(pool);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_of_pool),         BOTH(test_of_map), BOTH(test_of_tasks), cmocka_unit_test(test_deaths),
        BOTH(test_of_initializers),
    };
    return mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "user");
}
