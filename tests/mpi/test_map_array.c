/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Maps over arrays: in place where these are at home, by parts where they are not: conformance 13, 22, 23. Each case
 * with workers in the ranks and with isolated ones, and with the arrays here and on the last rank's host.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <time.h>

#include <muster/muster.h>

#include "support/pool_case.h"

enum { N = 400, FIRST = 17, COUNT = N + 40 };

/* what an item does: it is its index in the array */
struct plan {
    int64_t fail_at, die_at, destroy_at, nap_ms;
    bool here; /* the arrays are at home on the host of who maps, and no other host has lent items back */
    muster_array items, results;
    muster_queue words; /* who gets one from it dies */
};

/* Whether that is the array's own memory; other hosts cannot tell. */
static bool is_in_place(const muster_array *array, const void *at, int64_t index)
{
    void *data;
    muster_err err = muster_array_data(*array, &data);
    return err == MUSTER_ERR_UNSUPPORTED || (!err && (const char *)data + index * (int64_t)array->item_bytes == at);
}

static int square(const void *item, void *result, const void *user)
{
    const struct plan *plan = user;
    int64_t n = *(const int64_t *)item;
    int64_t *out = result;
    char word[8];
    if (plan->here && (!is_in_place(&plan->items, item, n) || !is_in_place(&plan->results, result, n)))
        return muster_task_fail(90, "item %lld was copied", (long long)n);
    if (out[0] || out[1])
        return muster_task_fail(91, "the result of item %lld is not zero", (long long)n);
    if (muster_task_index() != n - FIRST)
        return muster_task_fail(92, "item %lld has index %lld", (long long)n, (long long)muster_task_index());
    out[0] = n * n;
    if (plan->nap_ms)
        nanosleep(&(struct timespec){.tv_nsec = plan->nap_ms * 1000000}, NULL);
    if (n == plan->die_at && muster_queue_get(plan->words, word, sizeof word, NULL, MUSTER_NOWAIT) == MUSTER_OK)
        raise(SIGKILL);
    if (n == plan->fail_at)
        return 3;
    out[1] = n + 1;
    return 0;
}

static void arrays_make(struct plan *plan, int rank)
{
    int64_t items[COUNT], results[COUNT][2];
    void *data;
    muster_object_options at = {.on = muster_on_rank(rank)};
    *plan = (struct plan){.fail_at = -1, .die_at = -1, .destroy_at = -1};
    assert_int_equal(muster_array_create(&plan->items, COUNT, sizeof *items, &at), MUSTER_OK);
    assert_int_equal(muster_array_create(&plan->results, COUNT, sizeof *results, &at), MUSTER_OK);
    plan->here = muster_array_data(plan->items, &data) == MUSTER_OK && muster_hosts() == 1;
    for (int i = 0; i < COUNT; i++) {
        items[i] = i;
        results[i][0] = results[i][1] = -1;
    }
    assert_int_equal(muster_array_write(plan->items, 0, COUNT, items), MUSTER_OK);
    assert_int_equal(muster_array_write(plan->results, 0, COUNT, results), MUSTER_OK);
}

static void arrays_end(const struct plan *plan)
{
    assert_int_equal(muster_array_destroy(plan->items), MUSTER_OK);
    assert_int_equal(muster_array_destroy(plan->results), MUSTER_OK);
}

static muster_err run(muster_pool pool, const struct plan *plan, muster_map_options options)
{
    options.user = plan;
    options.user_bytes = sizeof *plan;
    return muster_pool_map_array(pool, square, plan->items, FIRST, N, &plan->results, &options);
}

/* The items are what they were, nothing outside of the slice has changed, and the results of those that are DONE
 * (states NULL: of all) are there. Returns how many. */
static int check(const struct plan *plan, const unsigned char *states)
{
    int64_t items[COUNT], results[COUNT][2];
    int done = 0;
    assert_int_equal(muster_array_read(plan->items, 0, COUNT, items), MUSTER_OK);
    assert_int_equal(muster_array_read(plan->results, 0, COUNT, results), MUSTER_OK);
    for (int64_t i = 0; i < COUNT; i++) {
        assert_int_equal(items[i], i);
        if (i < FIRST || i >= FIRST + N) {
            assert_int_equal(results[i][0], -1);
            assert_int_equal(results[i][1], -1);
        } else if (!states || states[i - FIRST] == MUSTER_ITEM_DONE) {
            assert_int_equal(results[i][0], i * i);
            assert_int_equal(results[i][1], i + 1);
            done++;
        }
    }
    return done;
}

/* The arrays here, and on the last rank's host, which may be another. */
static int home_of(int round)
{
    return round % 2 ? muster_ranks() - 1 : muster_rank();
}

static void test_map(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 0});
    for (int round = 0; round < 6; round++) {
        struct plan plan;
        unsigned char states[N];
        memset(states, 99, sizeof states);
        arrays_make(&plan, home_of(round));
        muster_map_options options = {.chunk_items = round / 2 == 1 ? 7 : 0, .states = round / 2 == 2 ? states : NULL};
        assert_int_equal(run(pool, &plan, options), MUSTER_OK);
        assert_int_equal(check(&plan, options.states), N);
        assert_int_equal(run(pool, &plan, options), MUSTER_OK); /* over its own results */
        assert_int_equal(check(&plan, options.states), N);
        arrays_end(&plan);
    }
    pool_end(pool);
}

static void test_failures(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 0});
    for (int round = 0; round < 4; round++) {
        struct plan plan;
        unsigned char states[N];
        arrays_make(&plan, home_of(round));
        plan.fail_at = 200;
        muster_map_options options = {.states = states, .stop_at_failure = round >= 2};
        assert_int_equal(run(pool, &plan, options), MUSTER_ERR_TASK);
        assert_int_equal(muster_pool_last_error()->code, 3);
        assert_int_equal(muster_pool_last_error()->index, 200 - FIRST);
        assert_non_null(strstr(muster_err_detail(), "muster_pool_map_array: task 183 (square)"));
        int64_t failed = muster_pool_last_error()->failed;
        assert_int_equal(check(&plan, states), N - failed);
        assert_true(options.stop_at_failure || failed == 1);
        assert_int_equal(states[200 - FIRST], MUSTER_ITEM_FAILED);
        arrays_end(&plan);
    }
    pool_end(pool);
}

/* An item dies when it has written half of its result: run again it finds zeros there. */
static void test_deaths(void **state)
{
    (void)state;
    void *alone = (void *)&isolated;
    for (int round = 0; round < 4; round++) {
        bool again = round >= 2;
        muster_pool pool = pool_make(&alone, (muster_pool_options){.workers = 0, .retries = again});
        struct plan plan;
        unsigned char states[N];
        arrays_make(&plan, home_of(round));
        plan.die_at = 300;
        assert_int_equal(muster_queue_create(&plan.words, NULL), MUSTER_OK);
        assert_int_equal(muster_queue_put(plan.words, "die", 4, MUSTER_NOWAIT), MUSTER_OK);
        muster_map_options options = {.states = states, .chunk_items = 10};
        assert_int_equal(run(pool, &plan, options), again ? MUSTER_OK : MUSTER_ERR_CRASHED);
        assert_int_equal(check(&plan, states), again ? N : N - 1);
        assert_int_equal(states[300 - FIRST], again ? MUSTER_ITEM_DONE : MUSTER_ITEM_FAILED);
        assert_int_equal(muster_queue_destroy(plan.words), MUSTER_OK);
        arrays_end(&plan);
        pool_end(pool);
    }
}

/* What was done by then is in the array, wherever that is. */
static void test_limit(void **state)
{
    for (int round = 0; round < 2; round++) {
        muster_pool pool = pool_make(state, (muster_pool_options){.workers = 0});
        struct plan plan;
        unsigned char states[N];
        int done = 0;
        arrays_make(&plan, home_of(round));
        plan.nap_ms = 20; /* N of them take longer than the limit, on any number of workers here */
        for (int64_t limit_ms = 60; !done && limit_ms < 2000; limit_ms *= 2) {
            muster_err err = run(pool, &plan, (muster_map_options){.states = states, .map_limit_ms = limit_ms});
            if (err == MUSTER_OK && muster_ranks() > 1) /* time stood still elsewhere */
                continue;
            assert_int_equal(err, MUSTER_ERR_TIMEOUT);
            done = check(&plan, states);
            assert_true(done < N);
        }
        assert_true(done > 0);
        pool_end(pool);
        arrays_end(&plan);
    }
}

static int destroy(const void *item, void *result, const void *user)
{
    const struct plan *plan = user;
    (void)item;
    (void)result;
    return muster_task_index() == plan->destroy_at ? (int)muster_array_destroy(plan->items) : 0;
}

/* No worker begins an item of an array that it finds gone. */
static void test_destroyed(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 1, .caller_idle = true});
    struct plan plan;
    arrays_make(&plan, 0);
    plan.destroy_at = 0;
    muster_map_options options = {.chunk_items = 1, .user = &plan, .user_bytes = sizeof plan};
    assert_int_equal(muster_pool_map_array(pool, destroy, plan.items, 0, N, NULL, &options), MUSTER_ERR_STALE);
    assert_int_equal(muster_pool_last_error()->failed, N - 1);
    assert_int_equal(muster_pool_map_array(pool, destroy, plan.items, 0, N, NULL, &options), MUSTER_ERR_STALE);
    assert_int_equal(muster_pool_map_array(pool, destroy, plan.results, 0, N, &plan.items, NULL), MUSTER_ERR_STALE);
    assert_int_equal(muster_array_destroy(plan.results), MUSTER_OK);
    pool_end(pool);
}

static void test_refused(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 0});
    for (int round = 0; round < 2; round++) {
        struct plan plan;
        arrays_make(&plan, home_of(round));
        const muster_array *to = &plan.results;
        muster_err said[] = {
            muster_pool_map_array(pool, NULL, plan.items, 0, 1, to, NULL),
            muster_pool_map_array(pool, square, plan.items, -1, 1, to, NULL),
            muster_pool_map_array(pool, square, plan.items, 0, -1, to, NULL),
            muster_pool_map_array(pool, square, plan.items, COUNT + 1, 0, to, NULL),
            muster_pool_map_array(pool, square, plan.items, 0, 1, to, &(muster_map_options){.chunk_items = -1}),
            muster_pool_map_array(pool, square, plan.items, 0, 1, to, &(muster_map_options){.reserved = {1}}),
        };
        for (size_t i = 0; i < sizeof said / sizeof *said; i++)
            assert_int_equal(said[i], MUSTER_ERR_INVAL);
        assert_int_equal(muster_pool_map_array(pool, square, plan.items, 1, COUNT, to, NULL), MUSTER_ERR_INVAL);
        assert_non_null(strstr(muster_err_detail(), "muster_pool_map_array: 440 items from 1 on of an array of 440"));
        assert_int_equal(muster_pool_map_array(pool, square, plan.items, 0, 1, &plan.items, NULL), MUSTER_ERR_INVAL);
        assert_non_null(strstr(muster_err_detail(), "same array"));
        assert_int_equal(muster_pool_map_array(pool, square, plan.items, COUNT, 0, to, NULL), MUSTER_OK);
        assert_int_equal(
            muster_pool_map_array(pool, square, (muster_array){.count = 1, .item_bytes = 8}, 0, 1, to, NULL),
            MUSTER_ERR_STALE);
        int64_t results[COUNT][2];
        assert_int_equal(muster_array_read(plan.results, 0, COUNT, results), MUSTER_OK);
        for (int i = 0; i < COUNT; i++)
            assert_int_equal(results[i][0] & results[i][1], -1);
        arrays_end(&plan);
    }
    pool_end(pool);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_map),       BOTH(test_failures), BOTH(test_limit),
        BOTH(test_destroyed), BOTH(test_refused),  cmocka_unit_test(test_deaths),
    };
    return mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "map_array");
}
