/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Storms: random trees of tasks that submit and get tasks, by hand, in groups and in lists, while workers are killed at
 * random instants. What each tree comes to is known. MUSTER_STORMS says how many there are at least, and as many
 * workers are killed.
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

/* ---- trees: what a node is worth, and how it asks its children, follows from its seed ---- */

struct node {
    uint64_t seed;
    int64_t depth;
};

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

enum { CHILDREN = 4 };

static int children_of_node(const struct node *node, struct node *children)
{
    int n = node->depth > 0 ? (int)(mix(node->seed) % (CHILDREN + 1)) : 0;
    for (int i = 0; i < n; i++)
        children[i] = (struct node){mix(node->seed + 1 + (uint64_t)i), node->depth - 1};
    return n;
}

static uint64_t worth(const struct node *node)
{
    struct node children[CHILDREN];
    uint64_t sum = node->seed;
    int n = children_of_node(node, children);
    for (int i = 0; i < n; i++)
        sum += (uint64_t)(i + 1) * worth(&children[i]);
    return sum;
}

static int visit(const void *item, void *result, const void *user);

/* As the seed says: the last one first or the first one first, in a group of their own or not. */
static muster_err ask_tasks(const struct node *node, const struct node *children, uint64_t *values, int n)
{
    muster_task tasks[CHILDREN];
    muster_group group;
    bool grouped = mix(node->seed + 77) % 3 == 0, backward = mix(node->seed + 78) % 2;
    muster_pool pool = muster_task_pool();
    muster_err err = grouped ? muster_group_create(&group, pool) : MUSTER_OK;
    muster_submit_options options = {.group = &group};
    for (int i = 0; i < n && !err; i++)
        err = muster_pool_submit(pool, &tasks[i], visit, &children[i], sizeof *children, sizeof *values,
                                 grouped ? &options : NULL);
    if (!err && grouped)
        err = muster_group_wait(group, MUSTER_FOREVER);
    for (int k = 0; k < n && !err; k++) {
        int i = backward ? n - 1 - k : k;
        err = muster_task_get(tasks[i], &values[i], sizeof *values, MUSTER_FOREVER);
    }
    if (!err && grouped)
        err = muster_group_destroy(group);
    return err;
}

static int visit(const void *item, void *result, const void *user)
{
    struct node node, children[CHILDREN];
    uint64_t sum, values[CHILDREN];
    (void)user;
    memcpy(&node, item, sizeof node);
    sum = node.seed;
    int n = children_of_node(&node, children);
    muster_err err = n ? ask_tasks(&node, children, values, n) : MUSTER_OK;
    if (err)
        return muster_task_fail(err, "%s", muster_err_detail());
    for (int i = 0; i < n; i++)
        sum += (uint64_t)(i + 1) * values[i];
    if (result)
        memcpy(result, &sum, sizeof sum);
    return mix(node.seed + 79) % 2 || !result ? muster_task_return(&sum, sizeof sum) : 0;
}

/* ---- storms ---- */

enum { ROOTS = 6, DEPTH = 4 };

static void one_by_one(muster_pool pool, const struct node *roots)
{
    muster_task tasks[ROOTS];
    for (int i = 0; i < ROOTS; i++)
        assert_int_equal(muster_pool_submit(pool, &tasks[i], visit, &roots[i], sizeof *roots, sizeof(uint64_t), NULL),
                         MUSTER_OK);
    for (int i = 0; i < ROOTS; i++) {
        uint64_t value = 0;
        muster_err err = muster_task_get(tasks[i], &value, sizeof value, MUSTER_FOREVER);
        if (err)
            fail_msg("%s", muster_err_detail());
        assert_true(value == worth(&roots[i]));
    }
}

static void in_a_list(muster_pool pool, const struct node *roots)
{
    muster_span items[ROOTS], *results;
    for (int i = 0; i < ROOTS; i++)
        items[i] = (muster_span){&roots[i], sizeof *roots};
    muster_err err = muster_pool_map_list(pool, visit, items, ROOTS, &results, NULL);
    if (err)
        fail_msg("%s", muster_err_detail());
    for (int i = 0; i < ROOTS; i++) {
        uint64_t value;
        assert_int_equal(results[i].size_bytes, sizeof value);
        memcpy(&value, results[i].bytes, sizeof value);
        assert_true(value == worth(&roots[i]));
    }
    free(results);
}

static void test_storms(void **state)
{
    (void)state;
    const char *wanted = getenv("MUSTER_STORMS");
    int storms = wanted ? atoi(wanted) : 200;
    pthread_t thread;
    muster_pool pool;
    assert_int_equal(muster_pool_create(&pool, &(muster_pool_options){.workers = 3, .isolated = true, .retries = 255}),
                     MUSTER_OK);
    atomic_store(&killing, true);
    assert_int_equal(pthread_create(&thread, NULL, killer, (void *)(uintptr_t)4711), 0);
    for (int storm = 0; storm < storms || atomic_load(&kills) < storms; storm++) {
        struct node roots[ROOTS];
        for (int i = 0; i < ROOTS; i++)
            roots[i] = (struct node){mix((uint64_t)storm * 1000 + (uint64_t)i), DEPTH};
        if (storm % 3)
            one_by_one(pool, roots);
        else
            in_a_list(pool, roots);
    }
    atomic_store(&killing, false);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(muster_pool_close(pool), MUSTER_OK);
    assert_int_equal(muster_pool_join(pool, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_storms)};
    return mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "storm");
}
