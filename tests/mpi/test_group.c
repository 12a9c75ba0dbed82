/* SPDX-License-Identifier: BSD-3-Clause */
/* Groups of tasks: waited for as a whole, with all that their tasks submit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <muster/muster.h>

#include "support/mpi_case.h"

static const bool in_rank = false, isolated = true;

struct node {
    muster_value_i64 ended;
    int32_t depth, fails_at; /* the leaf number of depth 0 that fails; -1: none */
    int32_t number;
    bool dies; /* instead: once, by a signal */
};

/* A binary tree, of which nobody keeps a handle. */
static int grow(const void *item, void *result, const void *user)
{
    struct node node = *(const struct node *)item;
    (void)result;
    (void)user;
    if (node.depth == 0 && node.number == node.fails_at && node.dies)
        kill(getpid(), SIGKILL);
    if (node.depth == 0 && node.number == node.fails_at)
        return muster_task_fail(7, "leaf %d", node.number);
    for (int i = 0; i < 2 && node.depth; i++) {
        struct node below = node;
        below.depth--;
        below.number = 2 * node.number + i;
        if (muster_pool_submit(muster_task_pool(), NULL, grow, &below, sizeof below, 0, NULL))
            return 1;
    }
    int64_t sum;
    return muster_value_i64_add(node.ended, 1, &sum) ? 2 : 0;
}

static muster_pool pool_make(void **state, int retries)
{
    muster_pool pool;
    assert_int_equal(
        muster_pool_create(&pool, &(muster_pool_options){.isolated = *(const bool *)*state, .retries = retries}),
        MUSTER_OK);
    return pool;
}

static muster_value_i64 value_make(void)
{
    muster_value_i64 value;
    assert_int_equal(muster_value_i64_create(&value, 0, NULL), MUSTER_OK);
    return value;
}

static int64_t value_now(muster_value_i64 value)
{
    int64_t now = -1;
    assert_int_equal(muster_value_i64_load(value, &now), MUSTER_OK);
    return now;
}

static void submit(muster_pool pool, const muster_group *group, const struct node *node)
{
    assert_int_equal(
        muster_pool_submit(pool, NULL, grow, node, sizeof *node, 0, &(muster_submit_options){.group = group}),
        MUSTER_OK);
}

static void test_all_that_was_submitted(void **state)
{
    muster_pool pool = pool_make(state, 0);
    muster_group group, other;
    struct node node = {.ended = value_make(), .depth = 7, .fails_at = -1};
    assert_int_equal(muster_group_create(&group, pool), MUSTER_OK);
    assert_int_equal(muster_group_create(&other, pool), MUSTER_OK);
    assert_int_equal(muster_group_wait(group, MUSTER_NOWAIT), MUSTER_OK); /* of nothing */
    for (int round = 1; round <= 3; round++) {
        for (int i = 0; i < 3; i++)
            submit(pool, &group, &node);
        assert_int_equal(muster_group_wait(other, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(muster_group_wait(group, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(value_now(node.ended), round * 3 * 255);
    }
    assert_int_equal(muster_group_destroy(group), MUSTER_OK);
    assert_int_equal(muster_group_destroy(group), MUSTER_ERR_STALE);
    assert_int_equal(muster_group_wait(group, MUSTER_FOREVER), MUSTER_ERR_STALE);
    assert_int_equal(muster_group_destroy(other), MUSTER_OK);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
    assert_int_equal(muster_value_i64_destroy(node.ended), MUSTER_OK);
}

static void test_failures(void **state)
{
    muster_pool pool = pool_make(state, 0);
    muster_group group;
    struct node node = {.ended = value_make(), .depth = 4, .fails_at = 5};
    assert_int_equal(muster_group_create(&group, pool), MUSTER_OK);
    submit(pool, &group, &node);
    assert_int_equal(muster_group_wait(group, MUSTER_FOREVER), MUSTER_ERR_TASK);
    assert_int_equal(muster_pool_last_error()->code, 7);
    assert_string_equal(muster_pool_last_error()->text, "leaf 5");
    assert_int_equal(muster_pool_last_error()->failed, 1);
    assert_int_equal(value_now(node.ended), 30);
    assert_int_equal(muster_group_wait(group, MUSTER_FOREVER), MUSTER_OK); /* told once */
    assert_int_equal(muster_group_destroy(group), MUSTER_OK);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
    assert_int_equal(muster_value_i64_destroy(node.ended), MUSTER_OK);
}

/* A worker dies with one of the group: the others of it are waited for all the same. */
static void test_deaths(void **state)
{
    (void)state;
    void *children = (void *)&isolated;
    for (int round = 0; round < 5; round++) {
        muster_pool pool = pool_make(&children, 0);
        muster_group group;
        struct node node = {.ended = value_make(), .depth = 5, .fails_at = 3 * round, .dies = true};
        assert_int_equal(muster_group_create(&group, pool), MUSTER_OK);
        submit(pool, &group, &node);
        assert_int_equal(muster_group_wait(group, MUSTER_FOREVER), MUSTER_ERR_CRASHED);
        assert_int_equal(value_now(node.ended), 62);
        assert_int_equal(muster_group_destroy(group), MUSTER_OK);
        assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
        assert_int_equal(muster_value_i64_destroy(node.ended), MUSTER_OK);
    }
}

static int wait_here(const void *item, void *result, const void *user)
{
    (void)result;
    (void)user;
    return muster_event_wait(*(const muster_event *)item, MUSTER_FOREVER) ? 1 : 0;
}

static void test_cancel(void **state)
{
    (void)state;
    muster_pool pool;
    assert_int_equal(muster_pool_create(&pool, &(muster_pool_options){.isolated = true, .workers = 1}), MUSTER_OK);
    muster_event go;
    muster_group group;
    muster_task blocker;
    struct node node = {.ended = value_make(), .depth = 0, .fails_at = -1};
    assert_int_equal(muster_event_create(&go, NULL), MUSTER_OK);
    assert_int_equal(muster_group_create(&group, pool), MUSTER_OK);
    assert_int_equal(muster_pool_submit(pool, &blocker, wait_here, &go, sizeof go, 0, NULL), MUSTER_OK);
    for (int i = 0; i < 10; i++)
        submit(pool, &group, &node);
    assert_int_equal(muster_group_wait(group, 5), MUSTER_ERR_TIMEOUT);
    assert_int_equal(muster_group_destroy(group), MUSTER_ERR_STATE);
    assert_int_equal(muster_group_cancel(group), MUSTER_OK);
    assert_int_equal(muster_event_set(go), MUSTER_OK);
    assert_int_equal(muster_group_wait(group, MUSTER_FOREVER), MUSTER_ERR_CANCELED);
    assert_int_equal(value_now(node.ended), 0);
    assert_int_equal(muster_task_get(blocker, NULL, 0, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(muster_group_destroy(group), MUSTER_OK);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
    assert_int_equal(muster_event_destroy(go), MUSTER_OK);
    assert_int_equal(muster_value_i64_destroy(node.ended), MUSTER_OK);
}

static void test_bad_input(void **state)
{
    muster_pool pool = pool_make(state, 0);
    muster_group none = {{0}}, group;
    struct node node = {.fails_at = -1};
    muster_submit_options options = {.group = &none};
    assert_int_equal(muster_group_create(NULL, pool), MUSTER_ERR_INVAL);
    assert_int_equal(muster_group_create(&group, pool), MUSTER_OK);
    assert_int_equal(muster_group_wait(none, 0), MUSTER_ERR_STALE);
    assert_int_equal(muster_group_wait(group, -2), MUSTER_ERR_INVAL);
    assert_int_equal(muster_pool_submit(pool, NULL, grow, &node, sizeof node, 0, &options), MUSTER_ERR_STALE);
    assert_int_equal(muster_pool_submit(pool, NULL, grow, &node, sizeof node, 0, NULL), MUSTER_ERR_INVAL);
    assert_int_equal(muster_group_destroy(group), MUSTER_OK);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
}

#define BOTH(f) cmocka_unit_test_prestate(f, (void *)&in_rank), cmocka_unit_test_prestate(f, (void *)&isolated)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_all_that_was_submitted), BOTH(test_failures),  cmocka_unit_test(test_deaths),
        cmocka_unit_test(test_cancel),     BOTH(test_bad_input),
    };
    return mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "group");
}
