/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The scheduler alone: no front and no other hosts are linked, and workers are threads. What the front does of submit
 * and get is here in a few lines.
 */
#include "thread_runtime.h"

#include "sched/sched.h"

enum { WORKERS = 4 };

static muster_handle make(int workers)
{
    muster_pool made;
    struct share share = {.workers = workers, .all_workers = workers};
    muster__caller_adopt = fake_adopt;
    assert_int_equal(pool_make(&(muster_pool_options){.isolated = true}, &share, 0, 0, &made), MUSTER_OK);
    assert_int_equal(pool_start(pool_of(muster__object_slot(made.handle.slot))), MUSTER_OK);
    return made.handle;
}

static void end(muster_handle pool)
{
    assert_true(pool_destroy(pool));
    assert_int_equal(muster__heap_used(), 0);
}

static struct seat enter(muster_handle pool)
{
    struct seat seat;
    assert_int_equal(seat_enter(pool, "a test", &seat), MUSTER_OK);
    return seat;
}

/* ---- submit and get, the long way ---- */

struct entry {
    struct record *record;
    uint32_t index, generation;
};

static uint64_t state_of(const struct entry *entry)
{
    return atomic_load(&entry->record->state);
}

static struct entry submit(const struct seat *seat, muster_task_fn fn, const void *arg, size_t bytes, size_t result)
{
    struct entry entry;
    entry.record = record_new(seat, &entry.index);
    assert_non_null(entry.record);
    entry.generation = (uint32_t)(state_of(&entry) >> 32);
    entry.record->kind = RECORD_TASK;
    entry.record->next = 0;
    entry.record->retries = 0;
    assert_int_equal(muster__function_name((const void *)fn, &entry.record->function), MUSTER_OK);
    assert_true(record_reserve(seat->pool, entry.record, bytes, result, seat->self));
    if (bytes)
        memcpy(record_arg(entry.record), arg, bytes);
    atomic_fetch_add(&seat->lane->submitted, 1);
    assert_true(sched_queue(seat, entry.record, entry.index));
    return entry;
}

static bool is_over(void *arg)
{
    return phase_final(state_phase(state_of(arg)));
}

static void announce(void *arg)
{
    const struct entry *entry = arg;
    record_mark_waited(entry->record, entry->generation);
}

static bool claim(void *arg, const struct seat *seat, bool all, struct record **record, uint32_t *index)
{
    const struct entry *entry = arg;
    (void)all;
    *record = entry->record;
    *index = entry->index;
    return state_phase(state_of(entry)) == RECORD_QUEUED &&
           sched_claim(seat, entry->record, (uint64_t)entry->generation << 32 | entry->index);
}

static enum phase get(const struct seat *seat, struct entry *entry, void *result, size_t bytes)
{
    struct wait_for wait = {
        .over = is_over, .announce = announce, .claim = claim, .arg = entry, .deadline_ns = MUSTER__NEVER};
    assert_int_equal(sched_wait(seat, &wait), MUSTER_OK);
    enum phase phase = state_phase(state_of(entry));
    if (phase == RECORD_DONE && bytes)
        memcpy(result, record_result(entry->record), bytes);
    record_free(seat->pool, entry->record, entry->index, seat->lane);
    return phase;
}

/* ---- tasks of tasks ---- */

static _Atomic int64_t forked;

static int64_t fibonacci_of(const struct seat *seat, int64_t n);

static int fibonacci(const void *item, void *result, const void *user)
{
    (void)user;
    struct seat seat;
    int64_t n;
    memcpy(&n, item, sizeof n);
    assert_int_equal(seat_enter(pool_handle(muster__running->pool), "a test", &seat), MUSTER_OK);
    n = fibonacci_of(&seat, n);
    memcpy(result, &n, sizeof n);
    return n == 13 ? muster_task_fail(7, "thirteen") : 0;
}

/* A task that fails (13 does) is added again by hand. */
static int64_t fibonacci_of(const struct seat *seat, int64_t n)
{
    int64_t less = n - 1, value = 13;
    muster_task task;
    muster__function function;
    if (n < 2)
        return n;
    muster__function_name((const void *)fibonacci, &function);
    if (n % 3 && fork_submit(seat, &task, function, &less, sizeof less, sizeof value)) {
        int64_t right = fibonacci_of(seat, n - 2);
        atomic_fetch_add(&forked, 1);
        if (fork_join(seat, task, &value, sizeof value))
            return value + right;
        struct entry entry = {pool_record(seat->pool, task.handle.slot), task.handle.slot, task.handle.generation};
        get(seat, &entry, &value, sizeof value);
        return value + right;
    }
    struct entry entry = submit(seat, fibonacci, &less, sizeof less, sizeof value);
    int64_t right = fibonacci_of(seat, n - 2);
    get(seat, &entry, &value, sizeof value);
    return value + right;
}

static void tasks_of_tasks(void **state)
{
    (void)state;
    for (int workers = 1; workers <= WORKERS; workers++) {
        muster_handle pool = make(workers);
        struct seat seat = enter(pool);
        int64_t n = 16, value = 0;
        atomic_store(&forked, 0);
        struct entry entry = submit(&seat, fibonacci, &n, sizeof n, sizeof value);
        assert_int_equal(get(&seat, &entry, &value, sizeof value), RECORD_DONE);
        assert_int_equal(value, 987);
        assert_true(atomic_load(&forked) > 0);
        seat_leave(&seat);
        end(pool);
    }
}

/* ---- who sleeps is called ---- */

enum { MEETINGS = 300 };

static struct {
    muster_handle pool;
    _Atomic int begun;
} meeting;

static int meet(const void *item, void *result, const void *user)
{
    (void)item, (void)result, (void)user;
    atomic_fetch_add(&meeting.begun, 1);
    return 0;
}

/* What it forks another worker is to run, while this one does not look. */
static int host(const void *item, void *result, const void *user)
{
    (void)result, (void)user;
    struct seat seat;
    muster__function function;
    muster_task task;
    int times;
    memcpy(&times, item, sizeof times);
    muster__function_name((const void *)meet, &function);
    assert_int_equal(seat_enter(meeting.pool, "a test", &seat), MUSTER_OK);
    for (int i = 0; i < times; i++) {
        int before = atomic_load(&meeting.begun);
        if (!fork_submit(&seat, &task, function, NULL, 0, 0)) {
            struct entry entry = submit(&seat, meet, NULL, 0, 0); /* the first one has no record to use again */
            task.handle.slot = entry.index;
            task.handle.generation = entry.generation;
        }
        CASE_UNTIL(atomic_load(&meeting.begun) > before);
        struct entry entry = {pool_record(seat.pool, task.handle.slot), task.handle.slot, task.handle.generation};
        get(&seat, &entry, NULL, 0);
    }
    return 0;
}

static void who_sleeps_is_called(void **state)
{
    (void)state;
    meeting.pool = make(2);
    struct seat seat = enter(meeting.pool);
    for (int times = 1; times <= 4; times++)
        for (int i = 0; i < MEETINGS / 4; i++) {
            struct entry entry = submit(&seat, host, &times, sizeof times, 0);
            assert_int_equal(get(&seat, &entry, NULL, 0), RECORD_DONE);
        }
    seat_leave(&seat);
    end(meeting.pool);
}

/* ---- records of another kind ---- */

static struct {
    _Atomic int run, died;
    muster_handle pool;
    int of;
} parts;

static void part_run(const struct seat *seat, struct record *record, uint32_t index)
{
    record_free(seat->pool, record, index, seat->lane);
    atomic_fetch_add(&parts.run, 1);
    sched_ring_waiters(seat->pool);
}

static void part_died(const struct death *death, struct record *record, uint32_t index)
{
    atomic_fetch_add(&parts.died, 1);
    recover_queue_again(death, record, index);
}

static bool all_run(void *arg)
{
    (void)arg;
    return atomic_load(&parts.run) == parts.of;
}

static void queue_parts(const struct seat *seat, int n)
{
    atomic_store(&parts.run, 0);
    parts.of = n;
    sched_kinds[RECORD_PIECE] = (struct sched_kind){.run = part_run, .died = part_died};
    for (int i = 0; i < n; i++) {
        uint32_t index;
        struct record *record = record_new(seat, &index);
        record->kind = RECORD_PIECE;
        record->whole = 1;
        assert_true(sched_queue(seat, record, index));
    }
}

static void kinds_run_by_themselves(void **state)
{
    (void)state;
    muster_handle pool = make(WORKERS);
    struct seat seat = enter(pool);
    queue_parts(&seat, 5000);
    assert_int_equal(sched_wait(&seat, &(struct wait_for){.over = all_run, .deadline_ns = MUSTER__NEVER}), MUSTER_OK);
    seat_leave(&seat);
    end(pool);
}

/* ---- deaths ---- */

static struct {
    muster_handle pool;
    struct seat seat;
    struct record *record;
    uint32_t index;
    bool ended;
    _Atomic int stands, leaves;
} dying;

static void *die(void *arg)
{
    (void)arg;
    dying.seat = enter(dying.pool);
    if (sched_take(&dying.seat, &dying.record, &dying.index) && dying.ended) { /* the last step but the count */
        uint64_t state = atomic_load(&dying.record->state);
        atomic_store(&dying.record->state,
                     state_make((uint32_t)(state >> 32), 0, RECORD_DONE) | (state & STATE_DROPPED));
    }
    atomic_store(&dying.stands, 1);
    CASE_UNTIL(atomic_load(&dying.leaves));
    pthread_exit(NULL);
}

/* A thread takes a record from a pool without workers, ends it or not, and is swept. */
static void die_and_sweep(muster_handle pool, bool ended)
{
    pthread_t id;
    dying.pool = pool;
    dying.ended = ended;
    atomic_store(&dying.stands, 0);
    atomic_store(&dying.leaves, 0);
    assert_int_equal(pthread_create(&id, NULL, die, NULL), 0);
    CASE_UNTIL(atomic_load(&dying.stands));
    recover_lane(dying.seat.pool, dying.seat.lane, muster__self_number());
    atomic_store(&dying.leaves, 1);
    pthread_join(id, NULL);
}

static void a_dead_ones_part_is_its_kinds(void **state)
{
    (void)state;
    muster_handle pool = make(0);
    struct seat seat = enter(pool);
    struct record *record;
    uint32_t index;
    queue_parts(&seat, 1);
    die_and_sweep(pool, false);
    assert_int_equal(atomic_load(&parts.died), 1);
    assert_true(sched_take(&seat, &record, &index));
    part_run(&seat, record, index);
    assert_int_equal(atomic_load(&parts.run), 1);
    seat_leave(&seat);
    end(pool);
}

/* Its count is lost with it; who waits for all tasks does not wait for that one. */
static void a_task_that_nobody_counted(void **state)
{
    (void)state;
    muster_handle pool = make(0);
    struct seat seat = enter(pool);
    struct entry entry = submit(&seat, meet, NULL, 0, 0), other = submit(&seat, meet, NULL, 0, 0);
    pool_raise(seat.pool, POOL_CLOSED);
    die_and_sweep(pool, true);
    assert_false(pool_is_done(seat.pool)); /* the other one is there */
    assert_int_equal(pool_await_done(&seat, 0), MUSTER_ERR_TIMEOUT);
    uint32_t index = dying.index == entry.index ? other.index : entry.index;
    struct record *record;
    assert_true(sched_take(&seat, &record, &index));
    run_task(&seat, record, index);
    assert_true(pool_is_done(seat.pool));
    assert_int_equal(pool_await_done(&seat, MUSTER__NEVER), MUSTER_OK);
    get(&seat, &entry, NULL, 0);
    get(&seat, &other, NULL, 0);
    seat_leave(&seat);
    end(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_of_tasks),
        cmocka_unit_test(who_sleeps_is_called),
        cmocka_unit_test(kinds_run_by_themselves),
        cmocka_unit_test(a_dead_ones_part_is_its_kinds),
        cmocka_unit_test(a_task_that_nobody_counted),
    };
    return cmocka_run_group_tests(tests, case_setup, case_teardown);
}
