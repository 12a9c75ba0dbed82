/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tasks of tasks over hosts, conformance 25, 62, 63: whoever has nothing to do takes them, wherever they were
 * submitted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <muster/muster.h>

#include "support/mpi_case.h"

static const bool in_rank = false, isolated = true;

static muster_pool pool_make(void **state, int retries)
{
    muster_pool pool;
    assert_int_equal(
        muster_pool_create(&pool, &(muster_pool_options){.isolated = *(const bool *)*state, .retries = retries}),
        MUSTER_OK);
    return pool;
}

static void pool_end(muster_pool pool)
{
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
}

/* ---- all workers at once ---- */

enum { WORKERS_MAX = 16 };

struct meeting {
    muster_counter begun, second; /* how many have come to either meeting */
    int n;
};

/* Nobody goes on before all are here: so each is on another worker. */
static int meet(const void *item, void *result, const void *user)
{
    const struct meeting *meeting = item;
    (void)user;
    *(int *)result = muster_rank();
    if (muster_counter_add(meeting->second, 1, NULL))
        return 1;
    return muster_counter_wait(meeting->second, meeting->n, MUSTER_FOREVER, NULL) ? 2 : 0;
}

/* After the first meeting the one of the wanted rank submits what is for all of them. */
struct call_in {
    struct meeting meeting;
    int rank;
};

static int call_in(const void *item, void *result, const void *user)
{
    const struct call_in *call = item;
    const struct meeting *meeting = &call->meeting;
    muster_task tasks[WORKERS_MAX];
    int rank, *ran = result;
    (void)user;
    if (muster_counter_add(meeting->begun, 1, NULL) ||
        muster_counter_wait(meeting->begun, meeting->n, MUSTER_FOREVER, NULL))
        return 1;
    for (int i = 0; muster_rank() == call->rank && i < meeting->n; i++)
        if (muster_pool_submit(muster_task_pool(), &tasks[i], meet, meeting, sizeof *meeting, sizeof rank, NULL))
            return 2;
    for (int i = meeting->n; muster_rank() == call->rank && i-- > 0;) {
        if (muster_task_get(tasks[i], &rank, sizeof rank, MUSTER_FOREVER))
            return 3;
        ran[rank]++;
    }
    return 0;
}

/* From each rank's worker, once. */
static void test_all_come(void **state)
{
    int workers = muster_ranks();
    assert_in_range(workers, 1, WORKERS_MAX);
    for (int rank = 0; rank < workers; rank++) {
        muster_pool pool = pool_make(state, 0);
        struct call_in call = {.meeting.n = workers, .rank = rank};
        muster_task tasks[WORKERS_MAX];
        int ran[WORKERS_MAX] = {0}, sum = 0;
        assert_int_equal(muster_counter_create(&call.meeting.begun, 0, NULL), MUSTER_OK);
        assert_int_equal(muster_counter_create(&call.meeting.second, 0, NULL), MUSTER_OK);
        for (int i = 0; i < workers; i++)
            assert_int_equal(muster_pool_submit(pool, &tasks[i], call_in, &call, sizeof call, sizeof ran, NULL),
                             MUSTER_OK);
        for (int i = 0; i < workers; i++) {
            int its[WORKERS_MAX];
            assert_int_equal(muster_task_get(tasks[i], its, sizeof its, MUSTER_FOREVER), MUSTER_OK);
            for (int r = 0; r < workers; r++)
                ran[r] += its[r];
        }
        for (int r = 0; r < workers; r++) {
            assert_int_equal(ran[r], 1);
            sum += ran[r];
        }
        assert_int_equal(sum, workers);
        pool_end(pool);
        assert_int_equal(muster_counter_destroy(call.meeting.begun), MUSTER_OK);
        assert_int_equal(muster_counter_destroy(call.meeting.second), MUSTER_OK);
    }
}

/* ---- trees ---- */

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

struct node {
    uint64_t seed;
    int depth;
    bool dies; /* now and then, by a signal */
};

static int children(const struct node *node)
{
    return node->depth <= 0 ? 0 : node->depth > 8 ? 3 : (int)(mix(node->seed) % 4);
}

static struct node child(const struct node *node, int i)
{
    return (struct node){mix(node->seed * 5 + (uint64_t)i + 1), node->depth - 1, node->dies};
}

static int64_t count(const struct node *node)
{
    int64_t n = 1;
    for (int i = 0; i < children(node); i++) {
        struct node below = child(node, i);
        n += count(&below);
    }
    return n;
}

static int grow(const void *item, void *result, const void *user)
{
    const struct node *node = item;
    muster_task tasks[4];
    int64_t n = 1, below_n;
    int below = children(node);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (node->dies && mix((uint64_t)now.tv_nsec + node->seed) % 512 == 0)
        kill(getpid(), SIGKILL);
    (void)user;
    for (int i = 0; i < below; i++) {
        struct node each = child(node, i);
        if (muster_pool_submit(muster_task_pool(), &tasks[i], grow, &each, sizeof each, sizeof n, NULL))
            return 1;
    }
    for (int i = below; i-- > 0;) {
        muster_err err = muster_task_get(tasks[i], &below_n, sizeof below_n, MUSTER_FOREVER);
        if (err)
            return muster_task_fail(err, "%s", muster_err_detail());
        n += below_n;
    }
    *(int64_t *)result = n;
    return 0;
}

static void grow_and_check(muster_pool pool, uint64_t seed, int depth, bool dies)
{
    struct node root = {seed, depth, dies};
    muster_task task;
    int64_t n = -1;
    assert_int_equal(muster_pool_submit(pool, &task, grow, &root, sizeof root, sizeof n, NULL), MUSTER_OK);
    assert_int_equal(muster_task_get(task, &n, sizeof n, MUSTER_FOREVER), MUSTER_OK);
    root.dies = false;
    assert_int_equal(n, count(&root));
}

static void test_trees(void **state)
{
    muster_pool pool = pool_make(state, 0);
    for (uint64_t seed = 0; seed < 20; seed++)
        grow_and_check(pool, seed, 12, false);
    pool_end(pool);
}

/* With retries nothing is lost, whatever host it ran on. */
static void test_trees_die(void **state)
{
    muster_pool pool = pool_make(state, 255);
    for (uint64_t seed = 0; seed < 5; seed++)
        grow_and_check(pool, seed, 10, true);
    pool_end(pool);
}

/* ---- 63: retries ---- */

struct mortal {
    muster_counter runs;
};

static int die(const void *item, void *result, const void *user)
{
    const struct mortal *mortal = item;
    (void)result, (void)user;
    if (!muster_counter_add(mortal->runs, 1, NULL))
        kill(getpid(), SIGKILL);
    return 1;
}

/* From here they go to other hosts. */
static int have_die(const void *item, void *result, const void *user)
{
    enum { N = 4 };
    muster_task tasks[N];
    (void)result, (void)user;
    for (int i = 0; i < N; i++)
        if (muster_pool_submit(muster_task_pool(), &tasks[i], die, item, sizeof(struct mortal), 0,
                               &(muster_submit_options){.retries = 3}))
            return 1;
    for (int i = 0; i < N; i++) /* not by this one, which would die with it */
        while (muster_task_wait(&tasks[i], 1, MUSTER_WAIT_ALL, NULL, MUSTER_NOWAIT) == MUSTER_ERR_TIMEOUT)
            ;
    for (int i = 0; i < N; i++)
        if (muster_task_get(tasks[i], NULL, 0, MUSTER_FOREVER) != MUSTER_ERR_CRASHED)
            return 2;
    return 0;
}

/* k retries are k + 1 runs, on whatever hosts. */
static void test_retries(void **state)
{
    muster_pool pool = pool_make(state, 0);
    struct mortal mortal = {0};
    muster_task tasks[8];
    int64_t runs = -1;
    assert_int_equal(muster_counter_create(&mortal.runs, 0, NULL), MUSTER_OK);
    for (int i = 0; i < 8; i++)
        assert_int_equal(
            muster_pool_submit(pool, &tasks[i], die, &mortal, sizeof mortal, 0, &(muster_submit_options){.retries = 3}),
            MUSTER_OK);
    for (int i = 0; i < 8; i++)
        assert_int_equal(muster_task_get(tasks[i], NULL, 0, MUSTER_FOREVER), MUSTER_ERR_CRASHED);
    assert_int_equal(muster_counter_value(mortal.runs, &runs), MUSTER_OK);
    assert_int_equal(runs, 8 * 4);
    if (muster_ranks() > 1) {
        assert_int_equal(muster_pool_submit(pool, &tasks[0], have_die, &mortal, sizeof mortal, 0, NULL), MUSTER_OK);
        assert_int_equal(muster_task_get(tasks[0], NULL, 0, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(muster_counter_value(mortal.runs, &runs), MUSTER_OK);
        assert_int_equal(runs, (8 + 4) * 4);
    }
    pool_end(pool);
    assert_int_equal(muster_counter_destroy(mortal.runs), MUSTER_OK);
}

/* ---- deep ---- */

static int go_down(const void *item, void *result, const void *user)
{
    int left = *(const int *)item - 1, depth = 0;
    muster_task task;
    (void)user;
    if (left > 0 && (muster_pool_submit(muster_task_pool(), &task, go_down, &left, sizeof left, sizeof depth, NULL) ||
                     muster_task_get(task, &depth, sizeof depth, MUSTER_FOREVER)))
        return 1;
    *(int *)result = depth + 1;
    return 0;
}

/* Several at once, so that each host has one. */
static void test_deep(void **state)
{
    enum { DEPTH = 600, AT_ONCE = 6 };
    muster_pool pool = pool_make(state, 0);
    muster_task tasks[AT_ONCE];
    int depth = DEPTH;
    for (int i = 0; i < AT_ONCE; i++)
        assert_int_equal(muster_pool_submit(pool, &tasks[i], go_down, &depth, sizeof depth, sizeof depth, NULL),
                         MUSTER_OK);
    for (int i = 0; i < AT_ONCE; i++) {
        int is = -1;
        assert_int_equal(muster_task_get(tasks[i], &is, sizeof is, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(is, DEPTH);
    }
    pool_end(pool);
}

#define BOTH(f) cmocka_unit_test_prestate(f, (void *)&in_rank), cmocka_unit_test_prestate(f, (void *)&isolated)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_all_come),
        BOTH(test_trees),
        cmocka_unit_test_prestate(test_trees_die, (void *)&isolated),
        cmocka_unit_test_prestate(test_retries, (void *)&isolated),
        BOTH(test_deep),
    };
    return mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "nested");
}
