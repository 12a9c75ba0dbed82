/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Results of any size without MPI: workers are threads. What is freed when, and what deaths leave: a thread stands
 * still at each step of what a worker does, and another one sweeps what it has, as if it had died there.
 */
#include "thread_runtime.h"

#include "pool/pool.h"

static muster_pool make(int workers, int retries)
{
    muster_pool pool;
    muster__caller_adopt = fake_adopt;
    assert_int_equal(
        muster_pool_create(&pool, &(muster_pool_options){.workers = workers, .isolated = true, .retries = retries}),
        MUSTER_OK);
    return pool;
}

static void end(muster_pool pool)
{
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
    assert_int_equal(muster__heap_used(), 0);
}

/* Of n bytes, each of which is n. */
static int repeat(const void *item, void *result, const void *user)
{
    int n = *(const int *)item;
    char *bytes = malloc((size_t)n + 1);
    (void)result;
    (void)user;
    memset(bytes, n, (size_t)n + 1);
    muster_err err = muster_task_return(bytes, (size_t)n);
    free(bytes);
    return n % 10 == 7 ? 1 : err;
}

static bool repeats(const void *bytes, size_t size, int n)
{
    const char *of = bytes;
    bool same = size == (size_t)n;
    for (size_t i = 0; i < size; i++)
        same &= of[i] == (char)n;
    return same;
}

/* ---- nothing is left ---- */

enum { N = 200 };

static void tasks_of_all_sorts(muster_pool pool)
{
    muster_task tasks[N];
    char bytes[N];
    for (int i = 0; i < N; i++)
        assert_int_equal(muster_pool_submit(pool, &tasks[i], repeat, &i, sizeof i, (size_t)(i % 3 * 50), NULL),
                         MUSTER_OK);
    for (int i = 0; i < N; i++) {
        muster_err expected = i % 10 == 7 ? MUSTER_ERR_TASK : MUSTER_OK;
        void *result = NULL;
        size_t size = 0;
        if (i % 3 == 0)
            assert_int_equal(muster_task_forget(tasks[i]), MUSTER_OK);
        else if (i % 3 == 1)
            assert_int_equal(muster_task_get(tasks[i], bytes, sizeof bytes, MUSTER_FOREVER), expected);
        else
            assert_int_equal(muster_task_take(tasks[i], &result, &size, MUSTER_FOREVER), expected);
        assert_true(!result || repeats(result, size, i));
        free(result);
    }
}

static void list_of_all_sizes(muster_pool pool)
{
    int numbers[N];
    muster_span items[N], *results;
    for (int i = 0; i < N; i++) {
        numbers[i] = i % 5 == 0 ? i * 300 : i;
        items[i] = (muster_span){&numbers[i], sizeof(int)};
    }
    assert_int_equal(muster_pool_map_list(pool, repeat, items, N, &results, NULL), MUSTER_ERR_TASK);
    for (int i = 0; i < N; i++)
        if (numbers[i] % 10 == 7)
            assert_true(!results[i].bytes && !results[i].size_bytes);
        else
            assert_true(results[i].bytes && repeats(results[i].bytes, results[i].size_bytes, numbers[i]));
    free(results);
}

static void imap_of_all_sizes(muster_pool pool)
{
    int numbers[N];
    int64_t index;
    const void *result;
    size_t size;
    muster_imap *imap;
    for (int i = 0; i < N; i++)
        numbers[i] = i;
    muster_items items = {numbers, N, sizeof(int), 0};
    assert_int_equal(muster_pool_imap(pool, &imap, repeat, muster_items_next, &items, sizeof(int), 0,
                                      &(muster_imap_options){.chunk_items = 3, .unordered = true}),
                     MUSTER_OK);
    for (int i = 0; i < N / 2; i++) {
        muster_err err = muster_imap_view(imap, &result, &size, &index, MUSTER_FOREVER);
        assert_int_equal(err, index % 10 == 7 ? MUSTER_ERR_TASK : MUSTER_OK);
        assert_true(err || repeats(result, size, (int)index));
    }
    muster_imap_end(imap);
}

/* A pool keeps records and lines of lanes, once it has needed them. If each use left something there would be no two
 * after which the heap has as much. */
static void nothing_is_left(void **state)
{
    (void)state;
    void (*const uses[])(muster_pool) = {tasks_of_all_sorts, list_of_all_sizes, imap_of_all_sizes};
    for (size_t k = 0; k < sizeof uses / sizeof *uses; k++) {
        muster_pool pool = make(2, 0);
        uint64_t before = 1, now = 0;
        int rounds = 0;
        for (; rounds < 3 || (rounds < 200 && before != now); rounds++) {
            before = now;
            uses[k](pool);
            now = muster__heap_used();
        }
        assert_int_equal(before, now);
        end(pool);
    }
}

/* ---- deaths ---- */

static _Atomic int holding, held_up;

static int hold(const void *item, void *result, const void *user)
{
    (void)item;
    (void)result;
    (void)user;
    atomic_store(&holding, 1);
    CASE_UNTIL(!atomic_load(&held_up));
    return 0;
}

/* The one worker is kept from the work that the dying one is to have. */
static muster_task occupy(muster_pool pool)
{
    muster_task task;
    atomic_store(&holding, 0);
    atomic_store(&held_up, 1);
    assert_int_equal(muster_pool_submit(pool, &task, hold, NULL, 0, 0, NULL), MUSTER_OK);
    CASE_UNTIL(atomic_load(&holding));
    return task;
}

static void release(muster_task task)
{
    atomic_store(&held_up, 0);
    assert_int_equal(muster_task_get(task, NULL, 0, MUSTER_FOREVER), MUSTER_OK);
}

/* who is about to die; it stands still from `stands` on until its thread may end */
static struct dying {
    muster_pool pool;
    int stage;
    bool heir; /* who sweeps goes on in its lane */
    struct seat seat;
    struct record *record;
    uint32_t index;
    _Atomic int stands, leaves;
} dying;

static void stand_still(void)
{
    atomic_store(&dying.stands, 1);
    CASE_UNTIL(atomic_load(&dying.leaves));
    pthread_exit(NULL);
}

static void take_record(void)
{
    assert_int_equal(seat_enter(dying.pool.handle, "a test", &dying.seat), MUSTER_OK);
    CASE_UNTIL(sched_take(&dying.seat, &dying.record, &dying.index));
}

static pthread_t begin_to_die(muster_pool pool, int stage, void *(*main)(void *))
{
    pthread_t id;
    dying.pool = pool;
    dying.stage = stage;
    atomic_store(&dying.stands, 0);
    atomic_store(&dying.leaves, 0);
    assert_int_equal(pthread_create(&id, NULL, main, NULL), 0);
    return id;
}

/* As its sweeper does. */
static void sweep(void)
{
    CASE_UNTIL(atomic_load(&dying.stands));
    uint32_t self = muster__self_number();
    muster__heap_sweep(dying.seat.self, self);
    recover_lane(dying.seat.pool, dying.seat.lane, self);
    recover_lane(dying.seat.pool, dying.seat.lane, self); /* whoever swept may die, too */
}

static void leave(pthread_t id)
{
    atomic_store(&dying.leaves, 1);
    pthread_join(id, NULL);
}

static void disown(muster__ref ref)
{
    assert_true(muster__heap_hand_over(ref, pool_owner(dying.seat.pool), dying.seat.self));
}

/* ---- of a task's worker ---- */

enum { STAGES = 7 };

static void *die_with_a_task(void *arg)
{
    char bytes[1000];
    struct any_task any;
    memset(bytes, 'd', sizeof bytes);
    take_record();
    any = any_of_task(&dying.seat, dying.record);
    int stage = dying.stage;
    if (stage == 1) {
        assert_non_null(record_extra(dying.seat.pool, dying.record, dying.seat.self));
        disown(dying.record->extra);
    }
    for (int i = 0; stage >= 2 && i < (stage == 4 ? 3 : 1); i++)
        assert_int_equal(any.any.take(&any.any, bytes, sizeof bytes), MUSTER_OK);
    struct extra *extra = stage >= 2 ? muster__heap_at(dying.record->extra) : NULL;
    if (stage == 3)
        disown(extra->returned);
    if (stage == 5)
        any_commit(dying.record);
    if (stage == 6) /* what it had returned before */
        muster__heap_free(extra->returned, dying.seat.self);
    stand_still();
    return arg;
}

static int value_or_bytes(const void *item, void *result, const void *user)
{
    (void)user;
    memcpy(result, "reserved", 8);
    return *(const int *)item ? muster_task_return("again", 6) : 0;
}

/* Returns what the heap has then. */
static uint64_t task_death(muster_pool pool, int stage, int returns, int retries)
{
    void *result = NULL;
    size_t size = 0;
    muster_task busy = occupy(pool), task;
    assert_int_equal(muster_pool_submit(pool, &task, value_or_bytes, &returns, sizeof returns, 8,
                                        &(muster_submit_options){.retries = retries}),
                     MUSTER_OK);
    pthread_t id = begin_to_die(pool, stage, die_with_a_task);
    sweep();
    release(busy);
    muster_err err = muster_task_take(task, &result, &size, MUSTER_FOREVER);
    assert_int_equal(err, retries > 0 ? MUSTER_OK : MUSTER_ERR_CRASHED);
    if (!err) {
        assert_int_equal(size, returns ? 6 : 8);
        assert_memory_equal(result, returns ? "again" : "reserved", size);
    }
    free(result);
    uint64_t used = muster__heap_used();
    leave(id);
    return used;
}

static void deaths_with_a_task(void **state)
{
    (void)state;
    muster_pool pool = make(1, 0);
    uint64_t kept = task_death(pool, 0, 1, 1);
    for (int stage = 0; stage < STAGES; stage++)
        for (int returns = 0; returns < 2; returns++)
            for (int retries = MUSTER_NO_RETRIES; retries <= 1; retries += 2)
                assert_int_equal(task_death(pool, stage, returns, retries), kept);
    end(pool);
}

/* ---- of a list's worker ---- */

enum { ITEMS = 5, FATAL = 2, LARGE = 100000 };

static struct map_cell *dying_cell(void)
{
    struct map *map = muster__heap_at(dying.record->whole);
    return &map->cell[dying.seat.lane->index];
}

/* The large result's block is taken out of the lane's: as if it had not come in yet. */
static void take_out(void)
{
    struct map_cell *cell = dying_cell();
    muster__ref *next = muster__heap_at(cell->blocks); /* of the first block */
    muster__ref out = *next;
    *next = *(muster__ref *)muster__heap_at(out);
    cell->fresh = out;
}

static void die_in_an_item(void)
{
    static char large[LARGE];
    struct map *map = muster__heap_at(dying.record->whole);
    int stage = dying.stage;
    if (stage >= 1)
        assert_int_equal(muster_task_return("small", 6), MUSTER_OK);
    if (stage >= 2)
        assert_int_equal(muster_task_return(large, LARGE), MUSTER_OK);
    if (stage == 3)
        dying_cell()->fresh = *(muster__ref *)muster__heap_at(dying_cell()->blocks);
    if (stage == 4 || stage == 5)
        take_out();
    if (stage == 5)
        disown(dying_cell()->fresh);
    if (stage == 6)
        ((struct slot *)muster__heap_at(map->results))[FATAL] = (struct slot){dying.record->whole, 5};
    stand_still();
}

/* Each but the one that is dying returns its item. */
static int echo(const void *item, void *result, const void *user)
{
    (void)result;
    (void)user;
    if (muster_task_index() == FATAL && !atomic_load(&dying.stands))
        die_in_an_item();
    return muster_task_return(item, muster_task_item_bytes());
}

static void *die_in_a_list(void *arg)
{
    take_record();
    map_run_piece(&dying.seat, dying.record, dying.index); /* and does not come back */
    return arg;
}

/* What a lane's successor adds to what the dead one has left. */
static void go_on(void)
{
    struct seat seat;
    struct record *record;
    uint32_t index;
    assert_int_equal(seat_enter(dying.pool.handle, "a test", &seat), MUSTER_OK);
    assert_ptr_equal(seat.lane, dying.seat.lane);
    assert_true(sched_take(&seat, &record, &index));
    map_run_piece(&seat, record, index);
    sched_tell();
    seat_leave(&seat);
}

static void *sweep_main(void *arg)
{
    sweep();
    if (dying.heir)
        go_on();
    release(*(muster_task *)arg);
    return NULL;
}

static muster_err list_with_a_death(muster_pool pool, const muster_span *items, muster_span **results, int stage)
{
    pthread_t sweeper;
    muster_task busy = occupy(pool);
    pthread_t id = begin_to_die(pool, stage, die_in_a_list);
    assert_int_equal(pthread_create(&sweeper, NULL, sweep_main, &busy), 0);
    muster_err err =
        muster_pool_map_list(pool, echo, items, ITEMS, results, &(muster_map_options){.chunk_items = ITEMS});
    pthread_join(sweeper, NULL);
    leave(id);
    return err;
}

/* Returns what the heap has then. */
static uint64_t list_death(muster_pool pool, int stage, int retries)
{
    static char bytes[LARGE];
    muster_span items[ITEMS], *results;
    memset(bytes, 'b', sizeof bytes);
    for (int i = 0; i < ITEMS; i++)
        items[i] = (muster_span){bytes, i % 2 ? LARGE : (size_t)i};
    muster_err err = list_with_a_death(pool, items, &results, stage);
    assert_int_equal(err, retries ? MUSTER_OK : MUSTER_ERR_CRASHED);
    for (int i = 0; i < ITEMS; i++) {
        bool failed = err && i == FATAL;
        assert_int_equal(results[i].bytes == NULL, failed);
        assert_int_equal(results[i].size_bytes, failed ? 0 : items[i].size_bytes);
        if (!failed && items[i].size_bytes)
            assert_memory_equal(results[i].bytes, bytes, items[i].size_bytes);
    }
    free(results);
    return muster__heap_used();
}

static void deaths_with_a_list(void **state)
{
    (void)state;
    for (int retries = 0; retries < 2; retries++) {
        muster_pool pool = make(1, retries);
        dying.heir = true;
        list_death(pool, 0, retries);
        dying.heir = false;
        uint64_t kept = list_death(pool, 0, retries);
        for (int stage = 0; stage < 7; stage++)
            for (int heir = 0; heir < 2; heir++) {
                dying.heir = heir;
                assert_int_equal(list_death(pool, stage, retries), kept);
            }
        end(pool);
    }
}

/* A process has one segment in its life, and threads remember what they knew of it. */
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_left),
        cmocka_unit_test(deaths_with_a_task),
        cmocka_unit_test(deaths_with_a_list),
    };
    return cmocka_run_group_tests(tests, case_setup, case_teardown);
}
