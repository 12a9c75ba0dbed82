/* The pool's scheduler without MPI: its workers are threads. */
#include "thread_runtime.h"

#include <muster/pool.h>

enum { WORKERS = 4, ITEMS = 20000, ROUNDS = 200 };

static _Atomic int runs[ITEMS];
static pthread_barrier_t all_there;

static muster_pool make(int workers)
{
    muster_pool pool;
    muster__caller_adopt = fake_adopt;
    assert_int_equal(muster_pool_create(&pool, &(muster_pool_options){.workers = workers, .isolated = true}),
                     MUSTER_OK);
    return pool;
}

static void end(muster_pool pool)
{
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
    assert_int_equal(muster__heap_used(), 0);
}

static int note(const void *item, void *result, const void *user)
{
    (void)user;
    int n = *(const int *)item;
    atomic_fetch_add(&runs[n], 1);
    *(int *)result = n + 1;
    return 0;
}

static void map_all(muster_pool pool, int first, int n, long chunk)
{
    int items[ITEMS], results[ITEMS];
    for (int i = 0; i < n; i++)
        items[i] = first + i;
    assert_int_equal(muster_pool_map(pool, note, items, n, sizeof *items, results, sizeof *results,
                                     &(muster_map_options){.chunk_items = chunk}),
                     MUSTER_OK);
    for (int i = 0; i < n; i++)
        assert_int_equal(results[i], first + i + 1);
}

static void map_runs_each_item_once(void **state)
{
    (void)state;
    static const long chunks[] = {0, 1, 7, 1000, ITEMS + 1};
    muster_pool pool = make(WORKERS);
    for (int c = 0; c < 5; c++) {
        memset(runs, 0, sizeof runs);
        map_all(pool, 0, ITEMS, chunks[c]);
        for (int i = 0; i < ITEMS; i++)
            assert_int_equal(atomic_load(&runs[i]), 1);
    }
    end(pool);
}

/* Two callers at once: each is told when its own map is over, whatever the workers go on with. */
static struct {
    muster_pool pool;
} shared;

static int map_half(void *arg)
{
    (void)arg;
    int mine = muster__self_number() % 2 ? ITEMS / 2 : 0;
    for (int i = 0; i < 20; i++)
        map_all(shared.pool, mine, 500, 1);
    return 0;
}

static void maps_at_once(void **state)
{
    (void)state;
    shared.pool = make(WORKERS);
    case_threads(3, map_half, NULL);
    end(shared.pool);
}

/* ---- tasks of tasks ---- */

static int fibonacci(const void *item, void *result, const void *user)
{
    const muster_pool *pool = user;
    int n = *(const int *)item, less[2] = {n - 1, n - 2}, value[2];
    muster_task tasks[2];
    if (n < 2) {
        *(int *)result = n;
        return 0;
    }
    muster_submit_options options = {.user = pool, .user_bytes = sizeof *pool};
    for (int i = 0; i < 2; i++)
        if (muster_pool_submit(*pool, &tasks[i], fibonacci, &less[i], sizeof(int), sizeof(int), &options))
            return 1;
    for (int i = 0; i < 2; i++)
        if (muster_task_get(tasks[i], &value[i], sizeof(int), MUSTER_FOREVER))
            return 2;
    *(int *)result = value[0] + value[1];
    return 0;
}

static void tasks_of_tasks(void **state)
{
    (void)state;
    for (int workers = 1; workers <= WORKERS; workers++) {
        muster_pool pool = make(workers);
        int n = 15, value = 0;
        muster_task task;
        assert_int_equal(muster_pool_submit(pool, &task, fibonacci, &n, sizeof n, sizeof value,
                                            &(muster_submit_options){.user = &pool, .user_bytes = sizeof pool}),
                         MUSTER_OK);
        assert_int_equal(muster_task_get(task, &value, sizeof value, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(value, 610);
        end(pool);
    }
}

/* ---- cancel ---- */

static void canceled_or_run(void **state)
{
    (void)state;
    muster_pool pool = make(2);
    static muster_task tasks[ITEMS];
    static bool canceled[ITEMS];
    int n = 5000, value;
    memset(runs, 0, sizeof runs);
    for (int i = 0; i < n; i++) {
        assert_int_equal(muster_pool_submit(pool, &tasks[i], note, &i, sizeof i, sizeof value, NULL), MUSTER_OK);
        if (i % 3 == 0 && muster_task_cancel(tasks[i / 2], false) == MUSTER_OK)
            canceled[i / 2] = true;
    }
    for (int i = 0; i < n; i++) {
        muster_err err = muster_task_get(tasks[i], &value, sizeof value, MUSTER_FOREVER);
        assert_int_equal(err, canceled[i] ? MUSTER_ERR_CANCELED : MUSTER_OK);
        assert_int_equal(atomic_load(&runs[i]), !canceled[i]);
    }
    end(pool);
}

/* ---- waking ---- */

static int meet(const void *item, void *result, const void *user)
{
    (void)item;
    (void)result;
    (void)user;
    pthread_barrier_wait(&all_there);
    return 0;
}

/* Tasks that need all workers at once: if a call were lost, those who came would wait for ever. */
static void nobody_sleeps_over(int cores)
{
    atomic_store(&muster__segment->cores, (uint32_t)cores);
    muster_pool pool = make(WORKERS);
    pthread_barrier_init(&all_there, NULL, WORKERS);
    for (int round = 0; round < ROUNDS; round++) {
        muster_task tasks[WORKERS];
        for (int i = 0; i < WORKERS; i++)
            assert_int_equal(muster_pool_submit(pool, &tasks[i], meet, NULL, 0, 0, NULL), MUSTER_OK);
        if (round % 3 == 0)
            usleep(300); /* some come after all were queued, some in between */
        for (int i = 0; i < WORKERS; i++)
            assert_int_equal(muster_task_get(tasks[i], NULL, 0, MUSTER_FOREVER), MUSTER_OK);
        if (round % 2 == 0)
            usleep(200);
        assert_int_equal(
            muster_pool_map(pool, meet, NULL, WORKERS, 0, NULL, 0, &(muster_map_options){.chunk_items = 1}), MUSTER_OK);
    }
    pthread_barrier_destroy(&all_there);
    end(pool);
}

static void all_are_called_in_a_crowd(void **state)
{
    (void)state;
    nobody_sleeps_over(1);
}

static void all_are_called_when_cores_are_free(void **state)
{
    (void)state;
    nobody_sleeps_over(64);
}

/* A process has one segment in its life, and threads remember what they knew of it. */
int main(void)
{
#define CASE(f) cmocka_unit_test(f)
    const struct CMUnitTest tests[] = {
        CASE(map_runs_each_item_once),
        CASE(maps_at_once),
        CASE(tasks_of_tasks),
        CASE(canceled_or_run),
        CASE(all_are_called_in_a_crowd),
        CASE(all_are_called_when_cores_are_free),
    };
    return cmocka_run_group_tests(tests, case_setup, case_teardown);
}
