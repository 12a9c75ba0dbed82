/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a map tells of its items, and keeps when it ends early: conformance 13, 16, 22, 23. Each case with workers in
 * the ranks and with isolated ones.
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

#include <muster/muster.h>

#include "support/pool_case.h"

enum { N = 400 };

static void nap_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/* what the items of these maps do: at `at` they fail, die, or end the pool; all take nap_ms */
struct plan {
    int64_t fail_at, die_at, end_at, nap_ms;
    muster_pool pool;
    muster_queue words; /* who gets one from it dies */
};

static int square(const void *item, void *result, const void *user)
{
    const struct plan *plan = user;
    int64_t n = *(const int64_t *)item, out = n * n;
    char word[8];
    if (plan->nap_ms)
        nap_ms(plan->nap_ms);
    if (n == plan->end_at)
        muster_pool_terminate(plan->pool);
    if (n == plan->die_at && muster_queue_get(plan->words, word, sizeof word, NULL, MUSTER_NOWAIT) == MUSTER_OK)
        raise(SIGKILL);
    if (n == plan->fail_at)
        return 3;
    if (!result)
        return muster_task_return(&out, sizeof out);
    *(int64_t *)result = out;
    return 0;
}

static const struct plan quiet = {.fail_at = -1, .die_at = -1, .end_at = -1};

/* One map of N items, fixed or a list. */
struct outcome {
    muster_err err;
    int64_t results[N];
    unsigned char states[N];
    muster_span *spans;
};

static void run(muster_pool pool, bool list, const struct plan *plan, muster_map_options options, struct outcome *out)
{
    int64_t items[N];
    muster_span spans[N];
    options.user = plan;
    options.user_bytes = sizeof *plan;
    options.states = out->states;
    memset(out->states, 99, sizeof out->states);
    for (int i = 0; i < N; i++) {
        items[i] = i;
        spans[i] = (muster_span){&items[i], sizeof *items};
        out->results[i] = -1;
    }
    out->spans = NULL;
    out->err = list ? muster_pool_map_list(pool, square, spans, N, &out->spans, &options)
                    : muster_pool_map(pool, square, items, N, sizeof *items, out->results, sizeof *items, &options);
    if (list)
        assert_non_null(out->spans);
    for (int i = 0; list && i < N; i++)
        if (out->spans[i].bytes) {
            assert_int_equal(out->spans[i].size_bytes, sizeof(int64_t));
            memcpy(&out->results[i], out->spans[i].bytes, sizeof(int64_t));
        }
    free(out->spans);
}

/* Those that are DONE, and no others when the map has ended early, have their results. Returns how many are. */
static int check(const struct outcome *out, bool early)
{
    int done = 0;
    for (int64_t i = 0; i < N; i++) {
        assert_in_range(out->states[i], MUSTER_ITEM_OPEN, MUSTER_ITEM_FAILED);
        done += out->states[i] == MUSTER_ITEM_DONE;
        if (out->states[i] == MUSTER_ITEM_DONE)
            assert_int_equal(out->results[i], i * i);
        else if (early)
            assert_int_equal(out->results[i], -1);
    }
    return done;
}

static void test_states(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 0});
    struct outcome out;
    for (int round = 0; round < 4; round++) {
        struct plan plan = quiet;
        muster_map_options options = {.chunk_items = round % 2 ? 7 : 0};
        run(pool, round >= 2, &plan, options, &out);
        assert_int_equal(out.err, MUSTER_OK);
        assert_int_equal(check(&out, false), N);
        plan.fail_at = 123;
        run(pool, round >= 2, &plan, options, &out);
        assert_int_equal(out.err, MUSTER_ERR_TASK);
        assert_int_equal(check(&out, false), N - 1);
        assert_int_equal(out.states[123], MUSTER_ITEM_FAILED);
        options.stop_at_failure = true;
        run(pool, round >= 2, &plan, options, &out);
        assert_int_equal(out.err, MUSTER_ERR_TASK);
        int64_t failed = muster_pool_last_error()->failed;
        assert_int_equal(check(&out, false), N - failed);
        assert_int_equal(out.states[123], MUSTER_ITEM_FAILED);
    }
    pool_end(pool);
}

static void test_deaths(void **state)
{
    (void)state;
    void *alone = (void *)&isolated;
    muster_queue words;
    assert_int_equal(muster_queue_create(&words, NULL), MUSTER_OK);
    for (int round = 0; round < 4; round++) {
        bool again = round % 2, list = round >= 2;
        muster_pool pool = pool_make(&alone, (muster_pool_options){.workers = 0, .retries = again});
        struct plan plan = quiet;
        struct outcome out;
        plan.die_at = 200;
        plan.words = words;
        assert_int_equal(muster_queue_put(words, "die", 4, MUSTER_NOWAIT), MUSTER_OK);
        run(pool, list, &plan, (muster_map_options){.chunk_items = 10}, &out);
        assert_int_equal(out.err, again ? MUSTER_OK : MUSTER_ERR_CRASHED);
        assert_int_equal(check(&out, false), again ? N : N - 1);
        assert_int_equal(out.states[200], again ? MUSTER_ITEM_DONE : MUSTER_ITEM_FAILED);
        pool_end(pool);
    }
    assert_int_equal(muster_queue_destroy(words), MUSTER_OK);
}

/* An item ends the pool: what had been done by then is kept. */
static void test_terminated(void **state)
{
    for (int round = 0; round < 4; round++) {
        struct plan plan = quiet;
        struct outcome out;
        plan.end_at = 300;
        plan.nap_ms = round % 2;
        plan.pool = pool_make(state, (muster_pool_options){.workers = 0});
        run(plan.pool, round >= 2, &plan, (muster_map_options){.chunk_items = 5}, &out);
        if (out.err) { /* else all had begun by then, and have ended since */
            assert_int_equal(out.err, MUSTER_ERR_CANCELED);
            assert_in_range(check(&out, true), 0, N - 1);
        } else {
            assert_int_equal(check(&out, false), N);
        }
        pool_end(plan.pool);
    }
}

/* ---- the limit of a whole map ---- */

static void test_limit(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 0});
    for (int round = 0; round < 4; round++) {
        struct plan plan = quiet;
        struct outcome out;
        int done = 0;
        plan.nap_ms = 20; /* N of them take longer than the limit, on any number of workers here */
        for (int64_t limit_ms = 60; !done && limit_ms < 2000; limit_ms *= 2) {
            run(pool, round >= 2, &plan,
                (muster_map_options){.chunk_items = round % 2 ? N : 0, .map_limit_ms = limit_ms}, &out);
            if (out.err == MUSTER_OK && muster_ranks() > 1) /* time stood still elsewhere */
                continue;
            assert_int_equal(out.err, MUSTER_ERR_TIMEOUT);
            assert_non_null(strstr(muster_err_detail(), "of 400 have ended"));
            done = check(&out, true);
            assert_true(done < N);
        }
        /* a piece of all items that another host has is not back by then */
        assert_true(done > 0 || round % 2);
        plan.nap_ms = 0;
        run(pool, round >= 2, &plan, (muster_map_options){.map_limit_ms = 1000000}, &out);
        assert_int_equal(out.err, MUSTER_OK);
        assert_int_equal(check(&out, false), N);
    }
    pool_end(pool);
}

static int add(void *accumulated, const void *value, const void *user)
{
    const struct plan *plan = user;
    if (plan->nap_ms)
        nap_ms(plan->nap_ms);
    *(int64_t *)accumulated += *(const int64_t *)value;
    return 0;
}

static void test_limit_of_reduce(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 0});
    struct plan plan = quiet;
    int64_t items[N], sum = 77;
    unsigned char states[N];
    for (int i = 0; i < N; i++)
        items[i] = i;
    plan.nap_ms = 20;
    muster_map_options options = {.user = &plan, .user_bytes = sizeof plan, .chunk_items = 10, .map_limit_ms = 50};
    assert_int_equal(muster_pool_reduce(pool, NULL, add, items, N, 8, &sum, 8, &options), MUSTER_ERR_TIMEOUT);
    assert_int_equal(sum, 77);
    options.map_limit_ms = -1;
    assert_int_equal(muster_pool_reduce(pool, NULL, add, items, N, 8, &sum, 8, &options), MUSTER_ERR_INVAL);
    options.map_limit_ms = 0;
    options.states = states;
    assert_int_equal(muster_pool_reduce(pool, NULL, add, items, N, 8, &sum, 8, &options), MUSTER_ERR_INVAL);
    options.states = NULL;
    plan.nap_ms = 0;
    options.map_limit_ms = 1000000;
    assert_int_equal(muster_pool_reduce(pool, NULL, add, items, N, 8, &sum, 8, &options), MUSTER_OK);
    assert_int_equal(sum, N * (N - 1) / 2);
    pool_end(pool);
}

static void test_refused(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 0});
    int64_t item = 2, result = -1;
    unsigned char item_state = 99;
    muster_map_options options = {.map_limit_ms = -5, .states = &item_state};
    assert_int_equal(muster_pool_map(pool, square, &item, 1, 8, &result, 8, &options), MUSTER_ERR_INVAL);
    assert_int_equal(item_state, 99);
    assert_int_equal(result, -1);
    pool_end(pool);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_states),  BOTH(test_terminated),      BOTH(test_limit),
        BOTH(test_refused), BOTH(test_limit_of_reduce), cmocka_unit_test(test_deaths),
    };
    return mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "keep");
}
