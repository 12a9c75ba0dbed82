/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whoever waits helps, conformance 20, 23, 25, 62: pools of in-rank workers, used by threads that are not main, by
 * processes and by isolated tasks, while the ranks' main threads are elsewhere. With one rank nobody else runs a task.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <muster/muster.h>

#include "support/mpi_case.h"

static int twice(const void *item, void *result, const void *user)
{
    (void)user;
    *(int64_t *)result = 2 * *(const int64_t *)item;
    return 0;
}

/* Its own number, by tasks of its own. */
static int depth(const void *item, void *result, const void *user)
{
    int64_t n = *(const int64_t *)item, less = n - 1, below = 0;
    muster_task task;
    (void)user;
    if (n > 0 && (muster_pool_submit(muster_task_pool(), &task, depth, &less, sizeof less, sizeof below, NULL) ||
                  muster_task_get(task, &below, sizeof below, MUSTER_FOREVER)))
        return 1;
    *(int64_t *)result = below + (n > 0);
    return 0;
}

static int leaf(const void *item, void *result, const void *user)
{
    (void)result, (void)user;
    return muster_value_i64_add(*(const muster_value_i64 *)item, 1, NULL);
}

static int add(void *accumulated, const void *value, const void *user)
{
    (void)user;
    *(int64_t *)accumulated += *(const int64_t *)value;
    return 0;
}

enum { N = 50 };

/* 0, or the number of the step that went wrong. Asserts nothing: it is also called elsewhere. */
static int use_tasks(muster_pool pool)
{
    muster_task tasks[N];
    int64_t result;
    for (int64_t i = 0; i < N; i++)
        if (muster_pool_submit(pool, &tasks[i], twice, &i, sizeof i, sizeof result, NULL))
            return 1;
    for (int64_t i = N; i-- > 0;)
        if (muster_task_get(tasks[i], &result, sizeof result, MUSTER_FOREVER) || result != 2 * i)
            return 2;
    int64_t deep = 100;
    if (muster_pool_submit(pool, tasks, depth, &deep, sizeof deep, sizeof result, NULL) ||
        muster_task_wait(tasks, 1, MUSTER_WAIT_ALL, NULL, MUSTER_FOREVER) ||
        muster_task_get(tasks[0], &result, sizeof result, MUSTER_NOWAIT) || result != deep)
        return 3;
    return 0;
}

static int use_maps(muster_pool pool)
{
    int64_t items[N], results[N], sum = 0, index;
    for (int64_t i = 0; i < N; i++)
        items[i] = i;
    if (muster_pool_map(pool, twice, items, N, 8, results, 8, NULL))
        return 11;
    for (int i = 0; i < N; i++)
        if (results[i] != 2 * i)
            return 12;
    if (muster_pool_reduce(pool, twice, add, items, N, 8, &sum, 8, NULL) || sum != N * (N - 1))
        return 13;
    muster_items source = {items, N, sizeof *items, 0};
    muster_imap *imap;
    if (muster_pool_imap(pool, &imap, twice, muster_items_next, &source, 8, 8, NULL))
        return 14;
    for (int i = 0; i < N; i++)
        if (muster_imap_next(imap, results, &index, MUSTER_FOREVER) || results[0] != 2 * i)
            return 15;
    muster_imap_end(imap);
    return 0;
}

static int use_group(muster_pool pool)
{
    muster_group group;
    muster_value_i64 value;
    int64_t count = 0;
    if (muster_value_i64_create(&value, 0, NULL) || muster_group_create(&group, pool))
        return 21;
    for (int i = 0; i < N; i++)
        if (muster_pool_submit(pool, NULL, leaf, &value, sizeof value, 0, &(muster_submit_options){.group = &group}))
            return 22;
    if (muster_group_wait(group, MUSTER_FOREVER) || muster_value_i64_load(value, &count) || count != N)
        return 23;
    return muster_group_destroy(group) || muster_value_i64_destroy(value) ? 24 : 0;
}

static int use(muster_pool pool)
{
    int wrong = use_tasks(pool);
    if (!wrong)
        wrong = use_maps(pool);
    return wrong ? wrong : use_group(pool);
}

static muster_pool pool_make(muster_pool_options options)
{
    muster_pool pool;
    assert_int_equal(muster_pool_create(&pool, &options), MUSTER_OK);
    return pool;
}

struct user {
    muster_pool pool;
    int wrong;
};

static void *thread_uses(void *arg)
{
    struct user *user = arg;
    user->wrong = use(user->pool);
    return NULL;
}

static void test_threads(void **state)
{
    enum { THREADS = 3 };
    (void)state;
    struct user users[THREADS];
    pthread_t threads[THREADS];
    muster_pool pool = pool_make((muster_pool_options){.workers = 0});
    for (int i = 0; i < THREADS; i++) {
        users[i] = (struct user){pool, -1};
        assert_int_equal(pthread_create(&threads[i], NULL, thread_uses, &users[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(users[i].wrong, 0);
    }
    assert_int_equal(use(pool), 0);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
}

static int process_uses(const void *arg, size_t size)
{
    (void)size;
    return use(*(const muster_pool *)arg);
}

static int run_process(int (*fn)(const void *arg, size_t size), const void *arg, size_t size)
{
    muster_process process;
    muster_process_status status = {.exit_code = -1};
    assert_int_equal(muster_process_create(&process, fn, arg, size, NULL), MUSTER_OK);
    assert_int_equal(muster_process_start(process), MUSTER_OK);
    assert_int_equal(muster_process_join(process, &status, MUSTER_FOREVER), MUSTER_OK);
    return status.signal ? -status.signal : status.exit_code;
}

static void test_process(void **state)
{
    (void)state;
    muster_pool pool = pool_make((muster_pool_options){.workers = 0});
    assert_int_equal(run_process(process_uses, &pool, sizeof pool), 0);
    assert_int_equal(use(pool), 0);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
}

static int task_uses(const void *item, void *result, const void *user)
{
    (void)user;
    *(int *)result = use(*(const muster_pool *)item);
    return 0;
}

static void test_isolated_task(void **state)
{
    (void)state;
    muster_pool pool = pool_make((muster_pool_options){.workers = 0});
    muster_pool alone = pool_make((muster_pool_options){.workers = 1, .isolated = true});
    muster_task task;
    int wrong = -1;
    assert_int_equal(muster_pool_submit(alone, &task, task_uses, &pool, sizeof pool, sizeof wrong, NULL), MUSTER_OK);
    assert_int_equal(muster_task_get(task, &wrong, sizeof wrong, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(wrong, 0);
    assert_int_equal(muster_pool_destroy(alone), MUSTER_OK);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
}

/* ---- 20: who helps has run the initializer, a rank's threads once together ---- */

static int begun_here; /* initializers in this process */

static int count_begin(const void *arg, void *result, const void *user)
{
    (void)arg, (void)result, (void)user;
    begun_here++;
    return 0;
}

static int is_begun(const void *item, void *result, const void *user)
{
    (void)item, (void)user;
    *(int *)result = begun_here;
    return 0;
}

static int see_begun(muster_pool pool)
{
    int items[N] = {0}, results[N];
    if (muster_pool_map(pool, is_begun, items, N, sizeof *items, results, sizeof *results, NULL))
        return 1;
    for (int i = 0; i < N; i++)
        if (results[i] != 1)
            return 100 + results[i];
    return 0;
}

static void *thread_sees(void *arg)
{
    struct user *user = arg;
    user->wrong = see_begun(user->pool);
    return NULL;
}

static int process_sees(const void *arg, size_t size)
{
    (void)size;
    return see_begun(*(const muster_pool *)arg);
}

static void test_initializer(void **state)
{
    (void)state;
    muster_pool pool = pool_make((muster_pool_options){.workers = 0, .initializer = count_begin});
    struct user user = {pool, -1};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, thread_sees, &user), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(user.wrong, 0);
    assert_int_equal(see_begun(pool), 0);
    assert_int_equal(run_process(process_sees, &pool, sizeof pool), 0);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
}

/* ---- 23: who helps dies with a task in hand ---- */

static int die_once(const void *item, void *result, const void *user)
{
    char word[8];
    (void)user;
    if (muster_queue_get(*(const muster_queue *)item, word, sizeof word, NULL, MUSTER_NOWAIT) == MUSTER_OK)
        raise(SIGKILL);
    *(int *)result = 7;
    return 0;
}

struct dying {
    muster_pool pool;
    muster_queue words, tasks;
};

static int die_helping(const void *arg, size_t size)
{
    const struct dying *dying = arg;
    muster_task task;
    int result;
    (void)size;
    if (muster_pool_submit(dying->pool, &task, die_once, &dying->words, sizeof dying->words, sizeof result, NULL) ||
        muster_queue_put(dying->tasks, &task, sizeof task, MUSTER_FOREVER))
        return 1;
    return muster_task_get(task, &result, sizeof result, MUSTER_FOREVER) ? 2 : 3;
}

static void test_helper_dies(void **state)
{
    (void)state;
    if (muster_ranks() > 1) /* another rank may run it, and would die */
        skip();
    for (int retries = 0; retries < 2; retries++) {
        struct dying dying = {.pool = pool_make((muster_pool_options){.workers = 0, .retries = retries})};
        muster_task task;
        int result = -1;
        assert_int_equal(muster_queue_create(&dying.words, NULL), MUSTER_OK);
        assert_int_equal(muster_queue_create(&dying.tasks, NULL), MUSTER_OK);
        assert_int_equal(muster_queue_put(dying.words, "die", 4, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(run_process(die_helping, &dying, sizeof dying), -SIGKILL);
        assert_int_equal(muster_queue_get(dying.tasks, &task, sizeof task, NULL, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(muster_task_get(task, &result, sizeof result, MUSTER_FOREVER),
                         retries ? MUSTER_OK : MUSTER_ERR_CRASHED);
        assert_int_equal(result, retries ? 7 : -1);
        assert_int_equal(muster_queue_destroy(dying.tasks), MUSTER_OK);
        assert_int_equal(muster_queue_destroy(dying.words), MUSTER_OK);
        assert_int_equal(use(dying.pool), 0);
        assert_int_equal(muster_pool_destroy(dying.pool), MUSTER_OK);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads),       cmocka_unit_test(test_process),     cmocka_unit_test(test_initializer),
        cmocka_unit_test(test_isolated_task), cmocka_unit_test(test_helper_dies),
    };
    return mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "help");
}
