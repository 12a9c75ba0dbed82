/* SPDX-License-Identifier: BSD-3-Clause */
/* The pool's scheduler without MPI: its workers are threads. */
#include "thread_runtime.h"

#include <sched.h>

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

/* ---- waits to any depth ---- */

static int deep(const void *item, void *result, const void *user)
{
    int n = *(const int *)item, less = n - 1, below = 0;
    muster_task task;
    if (n && (muster_pool_submit(muster_task_pool(), &task, deep, &less, sizeof less, sizeof below, NULL) ||
              muster_task_get(task, &below, sizeof below, MUSTER_FOREVER)))
        return 1;
    *(int *)result = n ? below + 1 : 0;
    (void)user;
    return 0;
}

static void waits_within_waits(void **state)
{
    (void)state;
    for (int workers = 1; workers <= WORKERS; workers += WORKERS - 1) {
        muster_pool pool = make(workers);
        int n = 20000, value = 0;
        muster_task task;
        assert_int_equal(muster_pool_submit(pool, &task, deep, &n, sizeof n, sizeof value, NULL), MUSTER_OK);
        assert_int_equal(muster_task_get(task, &value, sizeof value, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(value, n);
        end(pool);
    }
}

struct link {
    muster_task before[2];
    int count;
};

/* One more than what the tasks before it came to: these may be anywhere, begun by another worker, or not yet. */
static int after_others(const void *item, void *result, const void *user)
{
    const struct link *link = item;
    int sum = 1;
    (void)user;
    for (int i = 0; i < link->count; i++) {
        bool ready[1];
        if (muster_task_wait(&link->before[i], 1, MUSTER_WAIT_ALL, ready, MUSTER_FOREVER) || !ready[0])
            return 1;
        sum++;
    }
    *(int *)result = sum;
    return 0;
}

/* Each waits for up to two that were submitted before it, the last one or any: whatever a worker takes up while it
 * waits buries nothing that another one waits for. */
static void waits_for_tasks_of_others(void **state)
{
    (void)state;
    enum { N = 1000 };
    static muster_task tasks[N];
    uint64_t random = 1;
    muster_pool pool = make(WORKERS);
    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < N; i++) {
            struct link link = {.count = i < 2 ? 0 : 1 + (int)(case_random(&random) % 2)};
            link.before[0] =
                i ? tasks[i - 1 - (int)(round % 2 ? 0 : case_random(&random) % (uint64_t)i)] : (muster_task){{0}};
            link.before[1] = i ? tasks[case_random(&random) % (uint64_t)i] : (muster_task){{0}};
            assert_int_equal(muster_pool_submit(pool, &tasks[i], after_others, &link, sizeof link, sizeof(int), NULL),
                             MUSTER_OK);
        }
        for (int i = N; i-- > 0;) {
            int value = 0;
            assert_int_equal(muster_task_get(tasks[i], &value, sizeof value, MUSTER_FOREVER), MUSTER_OK);
            assert_in_range(value, i < 2 ? 1 : 2, 3);
        }
    }
    end(pool);
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

/* ---- 58: a result is taken once ---- */

enum { TAKERS = 4, SLAB = 512, LARGE = 1 << 18 };

static struct {
    muster_pool pool;
    muster_task task;
    pthread_barrier_t round;
    int value;
    _Atomic int taken, stale, got;
} taking;

static void count(muster_err err)
{
    atomic_fetch_add(err == MUSTER_ERR_STALE ? &taking.stale : &taking.taken, 1);
}

/* To copy its result takes a while: time for the other one to come, too. */
static int fill(const void *item, void *result, const void *user)
{
    (void)user;
    int *out = result;
    for (int i = 0; i < LARGE; i++)
        out[i] = *(const int *)item;
    return 0;
}

static void get_it(int *large)
{
    muster_err err = muster_task_get(taking.task, large, LARGE * sizeof *large, MUSTER_FOREVER);
    if (err == MUSTER_OK)
        atomic_fetch_add(&taking.got, large[0] == taking.value && large[LARGE - 1] == taking.value);
    else if (err == MUSTER_ERR_CANCELED)
        atomic_fetch_add(&taking.got, 1);
    count(err);
}

/* Two get, one forgets, and one cancels and looks: of the first three exactly one has the task. */
static int take_turns(void *arg)
{
    static _Atomic int roles;
    int role = atomic_fetch_add(&roles, 1) % TAKERS;
    bool wrong = false;
    int *large = calloc(LARGE, sizeof *large);
    (void)arg;
    for (int round = 0; round < ROUNDS; round++) {
        bool is;
        muster_err err;
        pthread_barrier_wait(&taking.round);
        if (role < 2) {
            get_it(large);
        } else if (role == 2) {
            if (round % 4) /* else it is nearly always first */
                CASE_UNTIL(atomic_load(&taking.taken));
            err = muster_task_forget(taking.task);
            atomic_fetch_add(&taking.got, err == MUSTER_OK);
            count(err);
        } else {
            err = muster_task_ready(taking.task, &is);
            wrong |= err && err != MUSTER_ERR_STALE;
            err = muster_task_successful(taking.task, &is);
            wrong |= err && err != MUSTER_ERR_STATE && err != MUSTER_ERR_STALE;
            err = round % 4 == 1 ? muster_task_cancel(taking.task, false) : MUSTER_OK;
            wrong |= err && err != MUSTER_ERR_STATE && err != MUSTER_ERR_STALE;
        }
        pthread_barrier_wait(&taking.round);
    }
    free(large);
    return wrong;
}

static void *take_turns_main(void *arg)
{
    return take_turns(arg) ? &taking : NULL;
}

static muster_task submit(muster_pool pool, muster_task_fn fn, int n)
{
    muster_task task;
    assert_int_equal(muster_pool_submit(pool, &task, fn, &n, sizeof n, sizeof n, NULL), MUSTER_OK);
    return task;
}

static void get(muster_task task, int expected)
{
    int value = -1;
    assert_int_equal(muster_task_get(task, &value, sizeof value, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(value, expected);
}

/* The submitter's own records are used up, so that its next task has the record that the winner has just freed, while
 * the losers may still be on their way. */
static void one_takes_the_result(void **state)
{
    (void)state;
    static muster_task kept[SLAB];
    pthread_t ids[TAKERS];
    taking.pool = make(2);
    for (int i = 0; i < SLAB - 1; i++)
        kept[i] = submit(taking.pool, note, i);
    pthread_barrier_init(&taking.round, NULL, TAKERS + 1);
    for (int i = 0; i < TAKERS; i++)
        assert_int_equal(pthread_create(&ids[i], NULL, take_turns_main, NULL), 0);
    for (int round = 0; round < ROUNDS; round++) {
        taking.value = 1000 + round;
        atomic_store(&taking.taken, 0);
        atomic_store(&taking.stale, 0);
        atomic_store(&taking.got, 0);
        assert_int_equal(muster_pool_submit(taking.pool, &taking.task, fill, &taking.value, sizeof taking.value,
                                            LARGE * sizeof(int), NULL),
                         MUSTER_OK);
        pthread_barrier_wait(&taking.round);
        CASE_UNTIL(atomic_load(&taking.taken));
        muster_task next = submit(taking.pool, note, 7);
        get(next, 8);
        assert_int_equal(muster_task_forget(next), MUSTER_ERR_STALE);
        pthread_barrier_wait(&taking.round);
        assert_int_equal(atomic_load(&taking.taken), 1);
        assert_int_equal(atomic_load(&taking.got), 1);
        assert_int_equal(atomic_load(&taking.stale), 2);
    }
    for (int i = 0; i < TAKERS; i++) {
        void *wrong;
        pthread_join(ids[i], &wrong);
        assert_null(wrong);
    }
    pthread_barrier_destroy(&taking.round);
    for (int i = 0; i < SLAB - 1; i++)
        get(kept[i], i + 1);
    end(taking.pool);
}

static _Atomic int held, released; /* numbers of rounds, from 1 */

static int hold(const void *item, void *result, const void *user)
{
    (void)user;
    int round = *(const int *)item;
    atomic_store(&held, round);
    CASE_UNTIL(atomic_load(&released) >= round);
    *(int *)result = round;
    return 0;
}

static _Atomic uint32_t sleeper;

static int get_stale(void *arg)
{
    int value = -1;
    atomic_store(&sleeper, muster__self_number());
    muster_err err = muster_task_get(*(muster_task *)arg, &value, sizeof value, MUSTER_FOREVER);
    return err != MUSTER_ERR_STALE || value != -1;
}

static void *get_stale_main(void *arg)
{
    return get_stale(arg) ? arg : NULL;
}

/* A getter that is asleep is told that the task was given up, though it runs on. */
static void forget_wakes_the_getter(void **state)
{
    (void)state;
    muster_pool pool = make(1);
    atomic_store(&released, 0);
    for (int round = 1; round <= 20; round++) {
        pthread_t id;
        void *failed;
        atomic_store(&sleeper, 0);
        muster_task task = submit(pool, hold, round);
        CASE_UNTIL(atomic_load(&held) == round);
        assert_int_equal(pthread_create(&id, NULL, get_stale_main, &task), 0);
        CASE_UNTIL(atomic_load(&sleeper));
        if (round % 2)
            CASE_UNTIL(atomic_load(&muster__caller(atomic_load(&sleeper))->asleep));
        assert_int_equal(muster_task_forget(task), MUSTER_OK);
        assert_int_equal(muster_task_forget(task), MUSTER_ERR_STALE);
        pthread_join(id, &failed);
        assert_null(failed);
        atomic_store(&released, round);
    }
    end(pool);
}

/* ---- 58: sets of tasks of several pools ---- */

static struct {
    muster_pool pools[3];
} several;

static bool wait_in_several(int round)
{
    muster_task tasks[9];
    bool ready[9] = {false}, done[9] = {false};
    int64_t index = -1;
    int value;
    for (int i = 0; i < 9; i++)
        tasks[i] = submit(several.pools[(i + round) % 3], note, i);
    if (muster_task_wait(tasks, 9, (muster_wait_for)(round % 3), ready, MUSTER_FOREVER))
        return false;
    for (int i = 0; i < 9; i++)
        if (ready[i] && muster_task_get(tasks[i], &value, sizeof value, MUSTER_NOWAIT) == MUSTER_OK && value == i + 1)
            done[i] = true;
        else if (ready[i] || round % 3 != MUSTER_WAIT_ANY)
            return false;
    while (muster_task_next(tasks, 9, done, &index, MUSTER_FOREVER) == MUSTER_OK)
        if (muster_task_get(tasks[index], &value, sizeof value, MUSTER_NOWAIT) || value != index + 1)
            return false;
    return memchr(done, false, sizeof done) == NULL;
}

static int wait_in_several_often(void *arg)
{
    (void)arg;
    for (int round = 0; round < ROUNDS; round++)
        if (!wait_in_several(round))
            return 1;
    return 0;
}

/* Were the waiters not rung by each of the pools, they would sleep half a second a round. */
static void sets_of_several_pools(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        several.pools[i] = make(1 + i);
    case_threads(3, wait_in_several_often, NULL);
    for (int i = 0; i < 3; i++)
        assert_int_equal(muster_pool_destroy(several.pools[i]), MUSTER_OK);
    assert_int_equal(muster__heap_used(), 0);
}

/* A stale one among them is found wherever it is, and also if it becomes stale while the waiter sleeps. */
static int wait_stale(void *arg)
{
    bool ready[2] = {false};
    atomic_store(&sleeper, muster__self_number());
    return muster_task_wait(arg, 2, MUSTER_WAIT_ALL, ready, MUSTER_FOREVER) != MUSTER_ERR_STALE || ready[0];
}

static void *wait_stale_main(void *arg)
{
    return wait_stale(arg) ? arg : NULL;
}

static void stale_in_a_set(void **state)
{
    (void)state;
    muster_pool one = make(1), other = make(1);
    pthread_t id;
    void *failed;
    atomic_store(&released, 0);
    atomic_store(&sleeper, 0);
    muster_task tasks[2] = {submit(one, note, 1), submit(other, hold, 1)};
    CASE_UNTIL(atomic_load(&held) == 1);
    assert_int_equal(pthread_create(&id, NULL, wait_stale_main, tasks), 0);
    CASE_UNTIL(atomic_load(&sleeper) && atomic_load(&muster__caller(atomic_load(&sleeper))->asleep));
    assert_int_equal(muster_task_forget(tasks[1]), MUSTER_OK);
    pthread_join(id, &failed);
    assert_null(failed);
    atomic_store(&released, 1);
    bool ready[2] = {false}, done[2] = {false};
    int64_t index = -1;
    for (int what = MUSTER_WAIT_ANY; what <= MUSTER_WAIT_FIRST_FAILURE; what++)
        assert_int_equal(muster_task_wait(tasks, 2, (muster_wait_for)what, ready, MUSTER_FOREVER), MUSTER_ERR_STALE);
    assert_int_equal(muster_task_next(tasks, 2, done, &index, MUSTER_FOREVER), MUSTER_ERR_STALE);
    assert_int_equal(index, -1);
    assert_false(ready[0] || ready[1] || done[0] || done[1]);
    done[1] = true;
    assert_int_equal(muster_task_next(tasks, 2, done, &index, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(index, 0);
    assert_int_equal(muster_pool_destroy(other), MUSTER_OK);
    end(one);
}

/* ---- 20: an initializer that fails ---- */

static int refuse(const void *item, void *result, const void *user)
{
    (void)item;
    (void)result;
    (void)user;
    return 9;
}

static bool says_why(muster_err err)
{
    return err == MUSTER_ERR_BROKEN && strstr(muster_err_detail(), "initializer returned 9");
}

static int get_broken(void *arg)
{
    int value = -1;
    muster_err err = muster_task_get(*(muster_task *)arg, &value, sizeof value, MUSTER_FOREVER);
    return !says_why(err) && err != MUSTER_ERR_STALE;
}

/* All workers fail at once: the pool is broken, for one reason, for whoever asks. */
static void all_are_told_that_it_is_broken(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        muster_pool pool;
        muster_task task, other;
        int value = 1;
        assert_int_equal(
            muster_pool_create(&pool,
                               &(muster_pool_options){.workers = WORKERS, .isolated = true, .initializer = refuse}),
            MUSTER_OK);
        muster_err err = muster_pool_submit(pool, &task, note, &value, sizeof value, sizeof value, NULL);
        assert_true(err == MUSTER_OK || says_why(err));
        if (err == MUSTER_OK)
            case_threads(2, get_broken, &task);
        assert_true(says_why(muster_pool_map(pool, note, &value, 1, sizeof value, &value, sizeof value, NULL)));
        assert_true(says_why(muster_pool_join(pool, MUSTER_FOREVER)));
        assert_true(says_why(muster_pool_submit(pool, &other, note, &value, sizeof value, sizeof value, NULL)));
        if (err == MUSTER_OK)
            assert_int_equal(muster_task_forget(task), MUSTER_ERR_STALE);
        end(pool);
    }
}

/* ---- no memory ---- */

/* Leaves no block free; returns the last of a list through all that it took. */
static muster__ref fill_segment(void)
{
    muster__ref last = 0;
    for (size_t size = (size_t)256 << 20; size >= 256;) {
        muster__ref ref = muster__heap_alloc(size, muster__self_number());
        if (ref) {
            *(muster__ref *)muster__heap_at(ref) = last;
            last = ref;
        } else {
            size /= 2;
        }
    }
    return last;
}

static void empty_segment(muster__ref last)
{
    while (last) {
        muster__ref ref = last;
        last = *(muster__ref *)muster__heap_at(ref);
        assert_true(muster__heap_free(ref, muster__self_number()));
    }
}

static int tell_index(const void *item, void *result, const void *user)
{
    (void)item;
    (void)user;
    *(int *)result = (int)muster_task_index();
    return 0;
}

static int submit_without_memory(void *arg)
{
    const muster_pool *pool = arg;
    muster_task task;
    for (int i = 0; i < 10000; i++)
        if (muster_pool_submit(*pool, &task, tell_index, NULL, 0, sizeof(int), NULL) != MUSTER_ERR_NOMEM)
            return 1;
    return 0;
}

static void map_without_memory(muster_pool pool)
{
    int items[100] = {0}, results[100];
    muster_map_options options[2] = {{.chunk_items = 1}, {.user = items, .user_bytes = sizeof items}};
    for (int i = 0; i < 100; i++)
        assert_int_equal(
            muster_pool_map(pool, note, items, 100, sizeof *items, results, sizeof *results, &options[i % 2]),
            MUSTER_ERR_NOMEM);
}

/* More failures than a pool has slabs: they cost neither slabs nor memory nor numbers. */
static void failures_cost_nothing(void **state)
{
    (void)state;
    static muster_task tasks[2 * SLAB];
    muster_pool pool = make(2);
    muster__ref filled = fill_segment();
    uint64_t used = muster__heap_used();
    case_threads(4, submit_without_memory, &pool);
    map_without_memory(pool);
    assert_int_equal(muster__heap_used(), used);
    empty_segment(filled);
    for (int i = 0; i < SLAB; i++)
        tasks[i] = submit(pool, tell_index, i);
    filled = fill_segment(); /* now it has records, but nothing to put into them */
    used = muster__heap_used();
    muster_task task;
    char large[1000] = {0};
    for (int i = 0; i < 1000; i++)
        assert_int_equal(muster_pool_submit(pool, &task, tell_index, large, sizeof large, sizeof(int), NULL),
                         MUSTER_ERR_NOMEM);
    map_without_memory(pool);
    assert_int_equal(muster__heap_used(), used);
    empty_segment(filled);
    for (int i = SLAB; i < 2 * SLAB; i++)
        tasks[i] = submit(pool, tell_index, i);
    for (int i = 0; i < 2 * SLAB; i++)
        get(tasks[i], i);
    map_all(pool, 0, 1000, 0);
    end(pool);
}

static int count_up(void *item, void *arg)
{
    int *drawn = arg;
    *(int *)item = *drawn;
    return (*drawn)++ < 100 ? 0 : 1;
}

/* What the generator gave and could not be submitted is not lost. */
static void imap_goes_on_after_no_memory(void **state)
{
    (void)state;
    muster_pool pool = make(2);
    muster_imap *imap;
    int drawn = 0, value = -1;
    int64_t index = -1;
    assert_int_equal(muster_pool_imap(pool, &imap, note, count_up, &drawn, sizeof(int), sizeof(int),
                                      &(muster_imap_options){.chunk_items = 3}),
                     MUSTER_OK);
    for (int i = 0; i < 100; i++) {
        muster__ref filled = i % 10 == 0 ? fill_segment() : 0;
        muster_err err = filled ? muster_imap_next(imap, &value, &index, MUSTER_FOREVER) : MUSTER_ERR_NOMEM;
        empty_segment(filled);
        if (err) {
            assert_int_equal(err, MUSTER_ERR_NOMEM);
            assert_int_equal(muster_imap_next(imap, &value, &index, MUSTER_FOREVER), MUSTER_OK);
        }
        assert_int_equal(index, i);
        assert_int_equal(value, i + 1);
    }
    assert_int_equal(muster_imap_next(imap, &value, &index, MUSTER_FOREVER), MUSTER_ERR_CLOSED);
    muster_imap_end(imap);
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
        CASE(waits_within_waits),
        CASE(waits_for_tasks_of_others),
        CASE(canceled_or_run),
        CASE(one_takes_the_result),
        CASE(forget_wakes_the_getter),
        CASE(sets_of_several_pools),
        CASE(stale_in_a_set),
        CASE(all_are_told_that_it_is_broken),
        CASE(failures_cost_nothing),
        CASE(imap_goes_on_after_no_memory),
        CASE(all_are_called_in_a_crowd),
        CASE(all_are_called_when_cores_are_free),
    };
    return cmocka_run_group_tests(tests, case_setup, case_teardown);
}
