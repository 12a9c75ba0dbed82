/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Maps that are tasks, conformance 12, 13, 16, 17, 18, 19, 21, 22, 23, 24, 25, 62: each case with workers in the ranks
 * and with isolated ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <muster/muster.h>

#include "support/killer.h"
#include "support/pool_case.h"

static int square(const void *item, void *result, const void *user)
{
    int64_t n = *(const int64_t *)item;
    *(int64_t *)result = n * n + (user ? *(const int64_t *)user : 0);
    return 0;
}

static muster_err start_from(muster_pool pool, muster_task *task, muster_task_fn fn, int64_t first, int64_t n,
                             const muster_map_async_options *options)
{
    int64_t *items = malloc((size_t)(n ? n : 1) * sizeof *items);
    for (int64_t i = 0; i < n; i++)
        items[i] = first + i;
    muster_err err = muster_pool_map_async(pool, task, fn, items, n, sizeof *items, sizeof *items, options);
    memset(items, 0x55, (size_t)n * sizeof *items); /* they were copied */
    free(items);
    return err;
}

static muster_task start(muster_pool pool, muster_task_fn fn, int64_t n, const muster_map_async_options *options)
{
    muster_task task;
    assert_int_equal(start_from(pool, &task, fn, 0, n, options), MUSTER_OK);
    return task;
}

/* How many of the results that a task has are not those of square; -1: it has none. */
static int64_t wrong_results(muster_task task, int64_t first, int64_t n, int64_t plus)
{
    int64_t *results = malloc((size_t)(n ? n : 1) * sizeof *results), wrong = 0;
    if (muster_task_get(task, results, (size_t)n * sizeof *results, MUSTER_FOREVER))
        wrong = -1;
    for (int64_t i = 0; i < n && wrong >= 0; i++)
        wrong += results[i] != (first + i) * (first + i) + plus;
    free(results);
    return wrong;
}

/* ---- results ---- */

static void test_results(void **state)
{
    static const int64_t sizes[] = {0, 1, 2, 7, 100, 1000, 50000};
    muster_pool pool = pool_make(state, (muster_pool_options){0});
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int64_t chunk = 0; chunk < 3; chunk++) {
            int64_t plus = i % 2 ? 5 : 0;
            muster_task task = start(pool, square, sizes[i],
                                     &(muster_map_async_options){.chunk_items = chunk * chunk * 250,
                                                                 .user = plus ? &plus : NULL,
                                                                 .user_bytes = plus ? sizeof plus : 0});
            assert_int_equal(wrong_results(task, 0, sizes[i], plus), 0);
        }
    pool_end(pool);
}

static void test_handle(void **state)
{
    enum { N = 300 };
    muster_pool pool = pool_make(state, (muster_pool_options){0});
    muster_task task = start(pool, square, N, NULL);
    bool is;
    size_t size = 0;
    void *block;
    int64_t few[2];
    assert_int_equal(muster_task_wait(&task, 1, MUSTER_WAIT_ALL, &is, MUSTER_FOREVER), MUSTER_OK);
    assert_true(is);
    assert_int_equal(muster_task_ready(task, &is), MUSTER_OK);
    assert_true(is);
    assert_int_equal(muster_task_successful(task, &is), MUSTER_OK);
    assert_true(is);
    assert_int_equal(muster_task_size(task, &size), MUSTER_OK);
    assert_int_equal(size, N * sizeof(int64_t));
    assert_int_equal(muster_task_get(task, few, sizeof few, MUSTER_FOREVER), MUSTER_ERR_TOOBIG);
    assert_int_equal(muster_task_cancel(task, false), MUSTER_ERR_STATE);
    assert_int_equal(muster_task_take(task, &block, &size, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(size, N * sizeof(int64_t));
    assert_int_equal(((int64_t *)block)[N - 1], (N - 1) * (N - 1));
    free(block);
    assert_int_equal(muster_task_ready(task, &is), MUSTER_ERR_STALE);
    pool_end(pool);
}

static int only_look(const void *item, void *result, const void *user)
{
    (void)result, (void)user;
    return *(const int64_t *)item == muster_task_index() && muster_task_item_bytes() == sizeof(int64_t) ? 0 : 1;
}

static void test_no_results(void **state)
{
    int64_t items[100];
    muster_task task;
    size_t size = 9;
    muster_pool pool = pool_make(state, (muster_pool_options){0});
    for (int i = 0; i < 100; i++)
        items[i] = i;
    assert_int_equal(muster_pool_map_async(pool, &task, only_look, items, 100, sizeof *items, 0, NULL), MUSTER_OK);
    assert_int_equal(muster_task_wait(&task, 1, MUSTER_WAIT_ALL, NULL, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(muster_task_size(task, &size), MUSTER_OK);
    assert_int_equal(size, 0);
    assert_int_equal(muster_task_get(task, NULL, 0, MUSTER_FOREVER), MUSTER_OK);
    pool_end(pool);
}

/* ---- many at a time ---- */

enum { MANY = 60 };

static void test_many(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){0});
    muster_task tasks[MANY];
    bool done[MANY] = {false};
    int64_t index;
    for (int i = 0; i < MANY; i++)
        assert_int_equal(start_from(pool, &tasks[i], square, i, 10 * i, NULL), MUSTER_OK);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(muster_task_next(tasks, MANY, done, &index, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(muster_task_ready(tasks[index], &(bool){false}), MUSTER_OK);
    }
    for (int i = 0; i < MANY; i++)
        assert_int_equal(wrong_results(tasks[i], i, 10 * i, 0), 0);
    pool_end(pool);
}

struct one_thread {
    muster_pool pool;
    int64_t wrong;
};

static void *many_here(void *arg)
{
    struct one_thread *mine = arg;
    for (int i = 0; i < 30; i++) {
        muster_task task;
        muster_err err = start_from(mine->pool, &task, square, i, 200, NULL);
        mine->wrong += err ? 1 : wrong_results(task, i, 200, 0) != 0;
    }
    return NULL;
}

static void test_threads(void **state)
{
    enum { THREADS = 4 };
    muster_pool pool = pool_make(state, (muster_pool_options){0});
    pthread_t threads[THREADS];
    struct one_thread ones[THREADS];
    for (int i = 0; i < THREADS; i++) {
        ones[i] = (struct one_thread){pool, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, many_here, &ones[i]), 0);
    }
    struct one_thread mine = {pool, 0};
    many_here(&mine);
    assert_int_equal(mine.wrong, 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(ones[i].wrong, 0);
    }
    pool_end(pool);
}

/* ---- from tasks and processes, by handles of others ---- */

struct nest {
    int depth;
};

/* Two maps at once of two such, and so on: counts the leaves. */
static int nested(const void *item, void *result, const void *user)
{
    struct nest nest = *(const struct nest *)item, below[2] = {{nest.depth - 1}, {nest.depth - 1}};
    int64_t leaves[2] = {0}, sum = 0;
    muster_task tasks[2];
    (void)user;
    if (nest.depth == 0) {
        *(int64_t *)result = 1;
        return 0;
    }
    for (int i = 0; i < 2; i++)
        if (muster_pool_map_async(muster_task_pool(), &tasks[i], nested, below, 2, sizeof *below, sizeof *leaves, NULL))
            return 1;
    for (int i = 0; i < 2; i++) {
        if (muster_task_get(tasks[i], leaves, sizeof leaves, MUSTER_FOREVER))
            return 2;
        sum += leaves[0] + leaves[1];
    }
    *(int64_t *)result = sum;
    return 0;
}

static void test_nested(void **state)
{
    for (int workers = 1; workers <= 4; workers += 3) {
        muster_pool pool = pool_make(state, (muster_pool_options){.workers = workers});
        muster_task task;
        struct nest nest = {5};
        int64_t leaves = 0;
        assert_int_equal(muster_pool_map_async(pool, &task, nested, &nest, 1, sizeof nest, sizeof leaves, NULL),
                         MUSTER_OK);
        assert_int_equal(muster_task_get(task, &leaves, sizeof leaves, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(leaves, 1024);
        pool_end(pool);
    }
}

/* Gets the first one's, and starts another one on its own. */
static int get_there(const void *item, void *result, const void *user)
{
    muster_task theirs = *(const muster_task *)item, own;
    (void)user;
    if (start_from(muster_task_pool(), &own, square, 7, 500, NULL))
        return 1;
    int64_t wrong = theirs.handle.generation ? wrong_results(theirs, 0, 400, 0) : 0;
    *(int64_t *)result = wrong ? wrong : wrong_results(own, 7, 500, 0);
    return 0;
}

static void test_from_tasks(void **state)
{
    enum { N = 12 };
    muster_pool pool = pool_make(state, (muster_pool_options){0});
    muster_task tasks[N];
    int64_t wrong[N];
    for (int i = 0; i < N; i++)
        tasks[i] = start(pool, square, 400, NULL);
    assert_int_equal(muster_pool_map(pool, get_there, tasks, N, sizeof *tasks, wrong, sizeof *wrong,
                                     &(muster_map_options){.chunk_items = 1}),
                     MUSTER_OK);
    for (int i = 0; i < N; i++)
        assert_int_equal(wrong[i], 0);
    pool_end(pool);
}

struct both {
    muster_pool pool;
    muster_task task;
};

static int process_main(const void *arg, size_t size)
{
    struct both both = *(const struct both *)arg;
    muster_task own;
    (void)size;
    if (wrong_results(both.task, 0, 400, 0))
        return 1;
    if (start_from(both.pool, &own, square, 3, 700, NULL))
        return 2;
    return wrong_results(own, 3, 700, 0) ? 3 : 0;
}

static void test_from_processes(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = muster_ranks()});
    for (int rank = 0; rank < muster_ranks(); rank++) {
        struct both both = {pool, start(pool, square, 400, NULL)};
        muster_process process;
        muster_process_status status;
        assert_int_equal(muster_process_create(&process, process_main, &both, sizeof both,
                                               &(muster_process_options){.on = muster_on_rank(rank)}),
                         MUSTER_OK);
        assert_int_equal(muster_process_start(process), MUSTER_OK);
        assert_int_equal(muster_process_join(process, &status, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(status.exit_code, 0);
        assert_int_equal(muster_process_close(process), MUSTER_OK);
    }
    pool_end(pool);
}

/* ---- failures ---- */

static int fail_from(const void *item, void *result, const void *user)
{
    int64_t n = *(const int64_t *)item, from = *(const int64_t *)user;
    *(int64_t *)result = n;
    return n >= from && n % 10 == from % 10 ? muster_task_fail(3, "item %d", (int)n) : 0;
}

static void test_failure(void **state)
{
    enum { N = 200 };
    int64_t from = 55, results[N];
    muster_pool pool = pool_make(state, (muster_pool_options){0});
    muster_map_async_options options = {.user = &from, .user_bytes = sizeof from};
    muster_task task = start(pool, fail_from, N, &options);
    bool is = true;
    memset(results, 0, sizeof results);
    assert_int_equal(muster_task_wait(&task, 1, MUSTER_WAIT_FIRST_FAILURE, NULL, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(muster_task_successful(task, &is), MUSTER_OK);
    assert_false(is);
    assert_int_equal(muster_task_get(task, results, sizeof results, MUSTER_FOREVER), MUSTER_ERR_TASK);
    const muster_task_error *error = muster_pool_last_error();
    assert_int_equal(error->code, 3);
    assert_int_equal(error->index, 55);
    assert_int_equal(error->failed, 15);
    assert_string_equal(error->text, "item 55");
    assert_int_equal(results[1], 0);
    options.stop_at_failure = true;
    options.chunk_items = 1;
    task = start(pool, fail_from, 100000, &options);
    assert_int_equal(muster_task_get(task, NULL, 0, MUSTER_FOREVER), MUSTER_ERR_TASK);
    assert_true(muster_pool_last_error()->failed > 1000);
    pool_end(pool);
}

static int die_at(const void *item, void *result, const void *user)
{
    int64_t n = *(const int64_t *)item;
    *(int64_t *)result = n * n;
    if (n == *(const int64_t *)user)
        raise(SIGKILL);
    return 0;
}

static void test_death(void **state)
{
    int64_t at = 33, none = -1;
    if (*(const bool *)*state == in_rank)
        skip();
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 2});
    muster_task dies = start(pool, die_at, 100, &(muster_map_async_options){.user = &at, .user_bytes = sizeof at});
    muster_task lives = start(pool, die_at, 100, &(muster_map_async_options){.user = &none, .user_bytes = sizeof none});
    assert_int_equal(muster_task_get(dies, NULL, 0, MUSTER_FOREVER), MUSTER_ERR_CRASHED);
    assert_int_equal(muster_pool_last_error()->index, at);
    assert_int_equal(muster_pool_last_error()->code, SIGKILL);
    assert_int_equal(muster_pool_last_error()->failed, 1);
    assert_int_equal(wrong_results(lives, 0, 100, 0), 0);
    pool_end(pool);
}

/* ---- cancel, limits, ends ---- */

struct gate {
    muster_event open;
};

static int at_gate(const void *item, void *result, const void *user)
{
    *(int64_t *)result = *(const int64_t *)item;
    return muster_event_wait(((const struct gate *)user)->open, MUSTER_FOREVER) ? 9 : 0;
}

static muster_task start_gated(muster_pool pool, struct gate *gate, int64_t n)
{
    assert_int_equal(muster_event_create(&gate->open, NULL), MUSTER_OK);
    return start(pool, at_gate, n,
                 &(muster_map_async_options){.chunk_items = 1, .user = gate, .user_bytes = sizeof *gate});
}

static void open_gate(const struct gate *gate)
{
    assert_int_equal(muster_event_set(gate->open), MUSTER_OK);
}

static void test_cancel(void **state)
{
    for (int kill = 0; kill < 2; kill++) {
        struct gate gate;
        muster_pool pool = pool_make(state, (muster_pool_options){0});
        muster_task task = start_gated(pool, &gate, 5000);
        bool is = true;
        assert_int_equal(muster_task_get(task, NULL, 0, MUSTER_NOWAIT), MUSTER_ERR_TIMEOUT);
        assert_int_equal(muster_task_cancel(task, kill), MUSTER_OK);
        open_gate(&gate);
        assert_int_equal(muster_task_wait(&task, 1, MUSTER_WAIT_ALL, NULL, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(muster_task_successful(task, &is), MUSTER_OK);
        assert_false(is);
        assert_int_equal(muster_task_get(task, NULL, 0, MUSTER_FOREVER), MUSTER_ERR_CANCELED);
        task = start(pool, square, 100, NULL); /* the others go on */
        assert_int_equal(wrong_results(task, 0, 100, 0), 0);
        assert_int_equal(muster_event_destroy(gate.open), MUSTER_OK);
        pool_end(pool);
    }
}

static void test_cancel_pending(void **state)
{
    struct gate gate;
    muster_pool pool = pool_make(state, (muster_pool_options){0});
    muster_task task = start_gated(pool, &gate, 5000);
    assert_int_equal(muster_pool_cancel_pending(pool), MUSTER_OK);
    open_gate(&gate);
    assert_int_equal(muster_task_get(task, NULL, 0, MUSTER_FOREVER), MUSTER_ERR_CANCELED);
    task = start(pool, square, 100, NULL);
    assert_int_equal(wrong_results(task, 0, 100, 0), 0);
    pool_end(pool);
}

static void test_terminate(void **state)
{
    struct gate gate;
    muster_pool pool = pool_make(state, (muster_pool_options){0});
    muster_task task = start_gated(pool, &gate, 5000);
    assert_int_equal(muster_pool_terminate(pool), MUSTER_OK);
    open_gate(&gate);
    assert_int_equal(muster_task_get(task, NULL, 0, MUSTER_FOREVER), MUSTER_ERR_CANCELED);
    assert_int_equal(start_from(pool, &task, square, 0, 5, NULL), MUSTER_ERR_CLOSED);
    pool_end(pool);
}

static int nap(const void *item, void *result, const void *user)
{
    (void)user;
    *(int64_t *)result = *(const int64_t *)item;
    usleep(1000);
    return 0;
}

static void test_map_limit(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){0});
    muster_task task = start(pool, nap, 100000, &(muster_map_async_options){.map_limit_ms = 20});
    assert_int_equal(muster_task_wait(&task, 1, MUSTER_WAIT_ALL, NULL, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(muster_task_get(task, NULL, 0, MUSTER_FOREVER), MUSTER_ERR_TIMEOUT);
    assert_true(muster_pool_last_error()->failed > 0);
    pool_end(pool);
}

static void test_forget_and_join(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){0});
    muster_task kept = start(pool, square, 3000, NULL);
    for (int i = 0; i < 20; i++)
        assert_int_equal(muster_task_forget(start(pool, square, 500, NULL)), MUSTER_OK);
    assert_int_equal(muster_pool_close(pool), MUSTER_OK);
    assert_int_equal(muster_pool_join(pool, MUSTER_FOREVER), MUSTER_OK);
    bool is = false;
    assert_int_equal(muster_task_ready(kept, &is), MUSTER_OK);
    assert_true(is);
    assert_int_equal(wrong_results(kept, 0, 3000, 0), 0);
    pool_end(pool);
}

/* ---- callbacks, groups, what follows ---- */

struct told {
    int results, errors;
    int64_t last;
    muster_err err;
};

static void on_result(const void *result, size_t result_bytes, void *arg)
{
    struct told *told = arg;
    told->results++;
    told->last = ((const int64_t *)result)[result_bytes / sizeof(int64_t) - 1];
}

static void on_error(const muster_task_error *error, void *arg)
{
    struct told *told = arg;
    told->errors++;
    told->err = error->err;
    told->last = error->index;
}

static void test_callbacks(void **state)
{
    struct told well = {0}, badly = {0};
    int64_t from = 5;
    muster_callbacks callbacks = {.on_result = on_result, .on_error = on_error, .arg = &well};
    muster_pool pool = pool_make(state, (muster_pool_options){0});
    start(pool, square, 200, &(muster_map_async_options){.callbacks = &callbacks});
    callbacks.arg = &badly;
    start(pool, fail_from, 50,
          &(muster_map_async_options){.callbacks = &callbacks, .user = &from, .user_bytes = sizeof from});
    assert_int_equal(muster_pool_close(pool), MUSTER_OK);
    assert_int_equal(muster_pool_join(pool, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(well.results, 1);
    assert_int_equal(well.errors, 0);
    assert_int_equal(well.last, 199 * 199);
    assert_int_equal(badly.results, 0);
    assert_int_equal(badly.errors, 1);
    assert_int_equal(badly.err, MUSTER_ERR_TASK);
    assert_int_equal(badly.last, 5);
    pool_end(pool);
}

static int start_one(const void *item, void *result, const void *user)
{
    muster_task task;
    (void)item, (void)result, (void)user;
    return start_from(muster_task_pool(), &task, square, 0, 300, NULL) || muster_task_forget(task) ? 1 : 0;
}

static void test_group(void **state)
{
    int64_t from = 20;
    muster_pool pool = pool_make(state, (muster_pool_options){0});
    muster_group group;
    assert_int_equal(muster_group_create(&group, pool), MUSTER_OK);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(muster_task_forget(start(pool, square, 100, &(muster_map_async_options){.group = &group})),
                         MUSTER_OK);
        assert_int_equal(
            muster_pool_submit(pool, NULL, start_one, NULL, 0, 0, &(muster_submit_options){.group = &group}),
            MUSTER_OK);
    }
    assert_int_equal(muster_group_wait(group, MUSTER_FOREVER), MUSTER_OK);
    start(pool, fail_from, 30, &(muster_map_async_options){.group = &group, .user = &from, .user_bytes = sizeof from});
    assert_int_equal(muster_group_wait(group, MUSTER_FOREVER), MUSTER_ERR_TASK);
    assert_int_equal(muster_pool_last_error()->index, 20);
    struct gate gate;
    assert_int_equal(muster_event_create(&gate.open, NULL), MUSTER_OK);
    start(pool, at_gate, 5000,
          &(muster_map_async_options){.chunk_items = 1, .group = &group, .user = &gate, .user_bytes = sizeof gate});
    assert_int_equal(muster_group_cancel(group), MUSTER_OK);
    open_gate(&gate);
    assert_int_equal(muster_group_wait(group, MUSTER_FOREVER), MUSTER_ERR_CANCELED);
    assert_int_equal(muster_group_destroy(group), MUSTER_OK);
    pool_end(pool);
}

static void test_after(void **state)
{
    int64_t n = 6, from = 5, result = 0;
    struct gate gate;
    muster_pool pool = pool_make(state, (muster_pool_options){0});
    muster_task tasks[2] = {start_gated(pool, &gate, 5), start(pool, square, 50, NULL)}, task;
    assert_int_equal(muster_pool_submit(pool, &task, square, &n, sizeof n, sizeof n,
                                        &(muster_submit_options){.after = tasks, .after_n = 2}),
                     MUSTER_OK);
    assert_int_equal(muster_task_get(task, &result, sizeof result, MUSTER_NOWAIT), MUSTER_ERR_TIMEOUT);
    open_gate(&gate);
    assert_int_equal(muster_task_get(task, &result, sizeof result, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(result, 36);
    tasks[0] = start(pool, fail_from, 50, &(muster_map_async_options){.user = &from, .user_bytes = sizeof from});
    assert_int_equal(muster_pool_submit(pool, &task, square, &n, sizeof n, sizeof n,
                                        &(muster_submit_options){.after = tasks, .after_n = 1}),
                     MUSTER_OK);
    assert_int_equal(muster_task_get(task, &result, sizeof result, MUSTER_FOREVER), MUSTER_ERR_CANCELED);
    pool_end(pool);
}

/* ---- lists ---- */

static int twice(const void *item, void *result, const void *user)
{
    char text[600];
    size_t size = muster_task_item_bytes();
    (void)result, (void)user;
    if (strlen(item) != size)
        return 1;
    memcpy(text, item, size);
    memcpy(text + size, item, size);
    return muster_task_return(text, 2 * size);
}

static void test_list(void **state)
{
    enum { N = 500 };
    static char texts[N][300];
    muster_span spans[N];
    muster_pool pool = pool_make(state, (muster_pool_options){0});
    for (int i = 0; i < N; i++) {
        memset(texts[i], 'a' + i % 26, (size_t)(i % 290));
        spans[i] = (muster_span){texts[i], (size_t)(i % 290)};
    }
    for (int64_t n = 0; n <= N; n += N / 4) {
        muster_task task;
        void *results;
        size_t size;
        assert_int_equal(muster_pool_map_list_async(pool, &task, twice, spans, n, NULL), MUSTER_OK);
        assert_int_equal(muster_task_take(task, &results, &size, MUSTER_FOREVER), MUSTER_OK);
        for (int64_t i = 0; i < n; i++) {
            muster_span span = muster_list_at(results, size, i);
            assert_non_null(span.bytes);
            assert_int_equal(span.size_bytes, 2 * (i % 290));
            assert_int_equal(strlen(span.bytes), 2 * (i % 290));
            assert_int_equal(strspn(span.bytes, (char[]){(char)('a' + i % 26), 0}), 2 * (i % 290));
        }
        assert_null(muster_list_at(results, size, n).bytes);
        assert_null(muster_list_at(results, size, -1).bytes);
        assert_null(muster_list_at(NULL, 0, 0).bytes);
        free(results);
    }
    pool_end(pool);
}

/* ---- replaced and killed workers ---- */

static void test_max_tasks(void **state)
{
    if (*(const bool *)*state == in_rank)
        skip();
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 2, .max_tasks = 3});
    muster_task tasks[4];
    for (int i = 0; i < 4; i++)
        tasks[i] = start(pool, square, 20, NULL);
    for (int i = 0; i < 4; i++)
        assert_int_equal(wrong_results(tasks[i], 0, 20, 0), 0);
    pool_end(pool);
}

static int slow_square(const void *item, void *result, const void *user)
{
    for (volatile int i = 0; i < 3000; i++)
        ;
    return square(item, result, user);
}

/* Each by a task, so that who starts it and who waits for it are killed, too. */
static int start_and_get(const void *item, void *result, const void *user)
{
    muster_task task;
    int64_t first = *(const int64_t *)item;
    (void)user;
    if (start_from(muster_task_pool(), &task, slow_square, first, 100, NULL))
        return 1;
    *(int64_t *)result = wrong_results(task, first, 100, 0);
    return 0;
}

static void test_kills(void **state)
{
    enum { TASKS = 8, LEAST_KILLS = 60 };
    pthread_t thread;
    if (*(const bool *)*state == in_rank)
        skip();
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 3, .retries = 255});
    atomic_store(&killing, true);
    atomic_store(&kills, 0);
    assert_int_equal(pthread_create(&thread, NULL, killer, (void *)(uintptr_t)2718), 0);
    for (int round = 0; atomic_load(&kills) < LEAST_KILLS; round++) {
        muster_task tasks[TASKS], outer[TASKS];
        for (int64_t i = 0; i < TASKS; i++) {
            assert_int_equal(start_from(pool, &tasks[i], slow_square, i, 300, NULL), MUSTER_OK);
            assert_int_equal(muster_pool_submit(pool, &outer[i], start_and_get, &i, sizeof i, sizeof i, NULL),
                             MUSTER_OK);
        }
        if (round % 2)
            assert_int_equal(muster_task_wait(tasks, TASKS, MUSTER_WAIT_ALL, NULL, MUSTER_FOREVER), MUSTER_OK);
        for (int i = 0; i < TASKS; i++) {
            int64_t wrong = -2;
            assert_int_equal(wrong_results(tasks[i], i, 300, 0), 0);
            assert_int_equal(muster_task_get(outer[i], &wrong, sizeof wrong, MUSTER_FOREVER), MUSTER_OK);
            assert_int_equal(wrong, 0);
        }
    }
    atomic_store(&killing, false);
    assert_int_equal(pthread_join(thread, NULL), 0);
    pool_end(pool);
}

/* ---- a worker that dies at any instruction between its last item and the map's end ---- */

static volatile int64_t waits;

struct told_by_item {
    muster_value_i64 pid, waits_at;
};

/* Is killed from outside some time after it was let go. */
static int wait_here(const void *item, void *result, const void *user)
{
    const struct told_by_item *told = user;
    int64_t n = *(const int64_t *)item;
    *(int64_t *)result = n * n;
    waits = 1;
    if (muster_value_i64_store(told->waits_at, (int64_t)(intptr_t)&waits) ||
        muster_value_i64_store(told->pid, (int64_t)getpid()))
        return 1;
    while (waits)
        ;
    return 0;
}

static pid_t pid_of_item(const struct told_by_item *told)
{
    int64_t pid = 0;
    while (!pid) {
        assert_int_equal(muster_value_i64_load(told->pid, &pid), MUSTER_OK);
        sched_yield();
    }
    return (pid_t)pid;
}

/* False: this system does not let us. *ended: the map had, before the kill. */
static bool step_and_kill(pid_t pid, int64_t waits_at, int steps, muster_task task, bool *ended)
{
    int status;
    if (ptrace(PTRACE_ATTACH, pid, NULL, NULL))
        return false;
    assert_int_equal(waitpid(pid, &status, __WALL), pid);
    assert_int_equal(ptrace(PTRACE_POKEDATA, pid, (void *)(intptr_t)waits_at, NULL), 0);
    for (int i = 0; i < steps; i++) {
        assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
        assert_int_equal(waitpid(pid, &status, __WALL), pid);
        assert_true(WIFSTOPPED(status));
    }
    assert_int_equal(muster_task_ready(task, ended), MUSTER_OK);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, __WALL), pid);
    return true;
}

static void test_every_instruction(void **state)
{
    enum { STEPS_MAX = 20000, APART = 113 };
    struct told_by_item told;
    int64_t n = 9, waits_at = 0;
    int crashed = 0, finished_by_others = 0;
    bool ended = false;
    if (*(const bool *)*state == in_rank)
        skip();
    assert_int_equal(muster_value_i64_create(&told.pid, 0, NULL), MUSTER_OK);
    assert_int_equal(muster_value_i64_create(&told.waits_at, 0, NULL), MUSTER_OK);
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 1, .ranks = 1});
    for (int steps = 0; !ended && steps < STEPS_MAX; steps += APART) {
        muster_task task;
        int64_t result = 0;
        assert_int_equal(muster_value_i64_store(told.pid, 0), MUSTER_OK);
        assert_int_equal(muster_pool_map_async(pool, &task, wait_here, &n, 1, sizeof n, sizeof n,
                                               &(muster_map_async_options){.user = &told, .user_bytes = sizeof told}),
                         MUSTER_OK);
        pid_t pid = pid_of_item(&told);
        assert_int_equal(muster_value_i64_load(told.waits_at, &waits_at), MUSTER_OK);
        if (!step_and_kill(pid, waits_at, steps, task, &ended)) {
            kill(pid, SIGKILL);
            pool_end(pool);
            skip();
        }
        muster_err err = muster_task_get(task, &result, sizeof result, MUSTER_FOREVER);
        assert_true(err == MUSTER_OK || (err == MUSTER_ERR_CRASHED && !ended));
        assert_int_equal(result, err ? 0 : n * n);
        assert_false(err && finished_by_others); /* its item was over at fewer steps already */
        crashed += err != MUSTER_OK;
        finished_by_others += !err && !ended;
    }
    assert_true(ended);
    assert_true(crashed > 0);
    assert_true(finished_by_others > 0);
    pool_end(pool);
}

/* ---- what is refused ---- */

static void test_refused(void **state)
{
    int64_t item = 0;
    muster_task task;
    bool is_isolated = *(const bool *)*state;
    muster_pool pool = pool_make(state, (muster_pool_options){0});
    assert_int_equal(muster_pool_map_async(pool, NULL, square, &item, 1, 8, 8, NULL), MUSTER_ERR_INVAL);
    assert_int_equal(muster_pool_map_async(pool, &task, NULL, &item, 1, 8, 8, NULL), MUSTER_ERR_INVAL);
    assert_int_equal(muster_pool_map_async(pool, &task, square, NULL, 1, 8, 8, NULL), MUSTER_ERR_INVAL);
    assert_int_equal(muster_pool_map_async(pool, &task, square, &item, -1, 8, 8, NULL), MUSTER_ERR_INVAL);
    assert_int_equal(muster_pool_map_async(pool, &task, square, &item, 1, 8, SIZE_MAX, NULL), MUSTER_ERR_INVAL);
    assert_int_equal(
        muster_pool_map_async(pool, &task, square, &item, 1, 8, 8, &(muster_map_async_options){.chunk_items = -1}),
        MUSTER_ERR_INVAL);
    assert_int_equal(muster_pool_map_list_async(pool, &task, twice, NULL, 1, NULL), MUSTER_ERR_INVAL);
    muster_err err =
        muster_pool_map_async(pool, &task, square, &item, 1, 8, 8, &(muster_map_async_options){.time_limit_ms = 60000});
    assert_int_equal(err, is_isolated ? MUSTER_OK : MUSTER_ERR_UNSUPPORTED);
    if (!err)
        assert_int_equal(wrong_results(task, 0, 1, 0), 0);
    assert_int_equal(muster_pool_close(pool), MUSTER_OK);
    assert_int_equal(muster_pool_map_async(pool, &task, square, &item, 1, 8, 8, NULL), MUSTER_ERR_CLOSED);
    pool_end(pool);
    assert_int_equal(muster_pool_map_async(pool, &task, square, &item, 1, 8, 8, NULL), MUSTER_ERR_STALE);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_results),
        BOTH(test_handle),
        BOTH(test_no_results),
        BOTH(test_many),
        BOTH(test_threads),
        BOTH(test_nested),
        BOTH(test_from_tasks),
        BOTH(test_from_processes),
        BOTH(test_failure),
        BOTH(test_death),
        BOTH(test_cancel),
        BOTH(test_cancel_pending),
        BOTH(test_terminate),
        BOTH(test_map_limit),
        BOTH(test_forget_and_join),
        BOTH(test_callbacks),
        BOTH(test_group),
        BOTH(test_after),
        BOTH(test_list),
        BOTH(test_max_tasks),
        BOTH(test_kills),
        BOTH(test_every_instruction),
        BOTH(test_refused),
    };
    return mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "async");
}
