/* SPDX-License-Identifier: BSD-3-Clause */
/* Lock, conformance 41 to 44 and 51, on the structure itself. */
#include "object_case.h"

static muster_handle handle;
static struct muster__object *object;
static struct muster__lock *lock;

static struct counters {
    int64_t count;
    _Alignas(MUSTER__LINE) _Atomic uint32_t ready, stop, done, who;
    _Atomic int64_t per[CASE_MEMBERS];
} * counters;

static int lock_setup(void **state)
{
    case_setup(state);
    counters = case_map(sizeof *counters);
    assert_int_equal(case_lock_make("test", &handle), MUSTER_OK);
    object = muster__object_find(handle, MUSTER__LOCK);
    assert_non_null(object);
    lock = muster__lock_of(object);
    return 0;
}

static muster_err acquire(int64_t timeout_ms)
{
    return case_lock_acquire(handle, timeout_ms);
}

static muster_err release(void)
{
    return case_lock_release(handle);
}

static bool no_trace(void)
{
    return atomic_load(&lock->word) == MUSTER__LOCK_WORD(handle.generation);
}

/* Holds the lock until told to stop. */
static int hold(void *arg)
{
    (void)arg;
    if (acquire(MUSTER_FOREVER) != MUSTER_OK)
        return 1;
    atomic_fetch_add(&counters->ready, 1);
    CASE_UNTIL(atomic_load(&counters->stop));
    return release() == MUSTER_OK ? 0 : 2;
}

static void start_holder(uint32_t member)
{
    uint32_t before = atomic_load(&counters->ready);
    case_fork(member, hold, NULL);
    CASE_UNTIL(atomic_load(&counters->ready) > before);
}

static void free_and_held(void **state)
{
    (void)state;
    assert_int_equal(acquire(MUSTER_NOWAIT), MUSTER_OK);
    assert_int_equal(release(), MUSTER_OK);
    assert_true(no_trace());

    start_holder(1);
    assert_int_equal(acquire(MUSTER_NOWAIT), MUSTER_ERR_BUSY);
    assert_int_equal(release(), MUSTER_ERR_STATE);
    int64_t begin = muster__now_ns();
    assert_int_equal(acquire(20), MUSTER_ERR_TIMEOUT);
    assert_true(muster__now_ns() - begin >= 20000000);
    atomic_store(&counters->stop, 1);
    assert_int_equal(case_join(1), 0);
    assert_int_equal(acquire(MUSTER_NOWAIT), MUSTER_OK);
    assert_int_equal(release(), MUSTER_OK);
    assert_true(no_trace());
}

static void misuse(void **state)
{
    (void)state;
    assert_int_equal(release(), MUSTER_ERR_STATE);
    assert_int_equal(acquire(MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(acquire(MUSTER_FOREVER), MUSTER_ERR_DEADLOCK);
    assert_int_equal(acquire(MUSTER_NOWAIT), MUSTER_ERR_DEADLOCK);
    assert_int_equal(release(), MUSTER_OK);
    assert_int_equal(release(), MUSTER_ERR_STATE);
    assert_true(no_trace());
}

static int wait_for_it(void *arg)
{
    muster_err expected = *(muster_err *)arg;
    atomic_fetch_add(&counters->ready, 1);
    muster_err err = acquire(MUSTER_FOREVER);
    if (err == MUSTER_OK || err == MUSTER_ERR_OWNER_DEAD)
        release();
    return err == expected ? 0 : 1;
}

static void destroying_tells_who_waits(void **state)
{
    (void)state;
    muster_err expected = MUSTER_ERR_CLOSED;
    assert_int_equal(acquire(MUSTER_NOWAIT), MUSTER_OK);
    for (uint32_t member = 1; member <= 3; member++)
        case_fork(member, wait_for_it, &expected);
    CASE_UNTIL(atomic_load(&counters->ready) == 3);
    usleep(5000);
    assert_true(case_end(handle, MUSTER__LOCK));
    case_join_all(1, 3);
    assert_false(case_end(handle, MUSTER__LOCK));
    assert_int_equal(acquire(MUSTER_NOWAIT), MUSTER_ERR_STALE);
    assert_int_equal(release(), MUSTER_ERR_STALE);
    assert_null(muster__object_find(handle, MUSTER__LOCK));

    /* whatever comes to be in the slot: it is never taken by the old handle */
    muster_handle next = case_next_in_slot(handle, MUSTER__LOCK);
    assert_true(next.generation > handle.generation);
    assert_int_equal(acquire(MUSTER_NOWAIT), MUSTER_ERR_STALE);
    handle = next;
    assert_int_equal(acquire(MUSTER_NOWAIT), MUSTER_OK);
}

static void the_next_is_told_that_the_holder_died(void **state)
{
    (void)state;
    muster_err expected = MUSTER_ERR_OWNER_DEAD;
    start_holder(1);
    case_fork(2, wait_for_it, &expected);
    CASE_UNTIL(atomic_load(&counters->ready) == 2);
    usleep(5000);
    assert_int_equal(acquire(MUSTER_NOWAIT), MUSTER_ERR_BUSY);
    case_kill(1);
    assert_int_equal(case_join(2), 0);
    assert_int_equal(acquire(MUSTER_NOWAIT), MUSTER_OK); /* told once */
    assert_int_equal(release(), MUSTER_OK);

    start_holder(1);
    case_kill(1);
    assert_int_equal(acquire(MUSTER_NOWAIT), MUSTER_ERR_OWNER_DEAD);
    assert_int_equal(acquire(MUSTER_NOWAIT), MUSTER_ERR_DEADLOCK);
    assert_int_equal(release(), MUSTER_OK);
    assert_true(no_trace());
}

static void a_dead_waiter_is_no_obstacle(void **state)
{
    (void)state;
    muster_err expected = MUSTER_OK;
    assert_int_equal(acquire(MUSTER_NOWAIT), MUSTER_OK);
    for (uint32_t member = 1; member <= 3; member++)
        case_fork(member, wait_for_it, &expected);
    CASE_UNTIL(atomic_load(&counters->ready) == 3);
    usleep(5000);
    case_kill(1);
    case_kill(2);
    assert_int_equal(release(), MUSTER_OK);
    assert_int_equal(case_join(3), 0);
}

/* Two calls of a host for one lock: the one that is called finds that the other has got it. What it was called for is
 * over by that: the release calls the next one. */
static void a_host_asks_twice(void **state)
{
    (void)state;
    muster_err expected = MUSTER_OK;
    struct muster__step step = {
        .object = object, .generation = handle.generation, .self = MUSTER__OWNER_HOST + 1, .rests = true};
    uint32_t waiter = muster__waiter_make();
    assert_int_equal(acquire(MUSTER_NOWAIT), MUSTER_OK);
    assert_true(muster__event_hang(muster__lock_line(object), waiter, 0, true));
    assert_int_equal(muster__lock_take(&step), MUSTER__WAIT);
    case_fork(1, wait_for_it, &expected);
    CASE_UNTIL(muster__lock_line(object)->tail != waiter);
    assert_int_equal(release(), MUSTER_OK);
    assert_true(muster__waiter_called(muster__waiter(waiter)));

    struct muster__step other = step;
    other.rests = false;
    assert_int_equal(muster__lock_take(&other), MUSTER_OK);
    step.called = true;
    assert_int_equal(muster__lock_take(&step), MUSTER_OK);
    muster__event_unhang(waiter);
    muster__waiter_free(waiter);
    assert_int_equal(muster__lock_release_slow(object, handle.generation, step.self, false), MUSTER_OK);
    assert_int_equal(case_join(1), 0);
    assert_true(no_trace());
}

static int die_holding_nothing(void *arg)
{
    (void)arg;
    atomic_store(&counters->who, muster__self_number());
    atomic_fetch_add(&counters->ready, 1);
    while (pause())
        ;
    return 0;
}

static void sweeping_finishes_a_destroy(void **state)
{
    (void)state;
    muster_err expected = MUSTER_ERR_CLOSED;
    start_holder(2);
    case_fork(3, wait_for_it, &expected);
    case_fork(1, die_holding_nothing, NULL);
    CASE_UNTIL(atomic_load(&counters->ready) == 3);
    usleep(5000);
    /* as if the destroyer had died right after its first step */
    struct muster__tag tag = {handle.generation, atomic_load(&counters->who), MUSTER__LOCK, MUSTER__ENDING};
    atomic_store(&object->tag, muster__tag_pack(tag));
    case_kill(1);
    assert_int_equal(case_join(3), 0);
    assert_int_equal(acquire(MUSTER_NOWAIT), MUSTER_ERR_STALE);
    case_kill(2);
    muster__objects_clean(MUSTER__LOCK, muster__self_number()); /* unless that sweep has */
    assert_int_equal(muster__tag_unpack(atomic_load(&object->tag)).state, MUSTER__FREE);
}

enum { ROUNDS = 100000 };

static int count_up(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        if (acquire(MUSTER_FOREVER) != MUSTER_OK)
            return 1;
        counters->count++;
        if (release() != MUSTER_OK)
            return 2;
    }
    return 0;
}

static void excludes(void **state)
{
    (void)state;
    case_processes(2, count_up, NULL);
    assert_int_equal(counters->count, 2 * ROUNDS);
    case_processes(8, count_up, NULL);
    assert_int_equal(counters->count, 10 * ROUNDS);
    case_threads(4, count_up, NULL);
    assert_int_equal(counters->count, 14 * ROUNDS);
    assert_int_equal(atomic_load(&lock->word) & MUSTER__LOCK_OWNER, 0);
}

/* Short timeouts under load: who gives up leaves nothing behind, no wake is lost with it. */
static int count_with_timeouts(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS / 50;) {
        muster_err err = acquire(i % 3 ? 1 : MUSTER_NOWAIT);
        if (err == MUSTER_ERR_TIMEOUT || err == MUSTER_ERR_BUSY)
            continue;
        if (err != MUSTER_OK)
            return 1;
        counters->count++;
        if (i % 64 == 0)
            usleep(100);
        release();
        i++;
    }
    return 0;
}

static int count_patiently(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS / 50; i++) {
        if (acquire(MUSTER_FOREVER) != MUSTER_OK)
            return 1;
        counters->count++;
        release();
    }
    return 0;
}

static void timeouts_leave_no_trace(void **state)
{
    (void)state;
    case_fork(5, count_patiently, NULL);
    case_fork(6, count_patiently, NULL);
    case_processes(4, count_with_timeouts, NULL);
    case_join_all(5, 2);
    assert_int_equal(counters->count, 6 * (ROUNDS / 50));
    assert_int_equal(acquire(MUSTER_NOWAIT), MUSTER_OK);
    assert_int_equal(release(), MUSTER_OK);
    assert_int_equal(release(), MUSTER_ERR_STATE);
    assert_true(no_trace());
}

static int contend(void *arg)
{
    (void)arg;
    _Atomic int64_t *mine = &counters->per[atomic_fetch_add(&counters->ready, 1)];
    while (!atomic_load(&counters->stop)) {
        if (acquire(MUSTER_FOREVER) != MUSTER_OK)
            return 1;
        atomic_fetch_add_explicit(mine, 1, memory_order_relaxed);
        release();
    }
    return 0;
}

/* In a second the least gets at least half of what the most gets; where the kernel shares cores unevenly, in several.
 */
static void is_fair(void **state)
{
    (void)state;
    int64_t least = 0, most = 1;
    for (uint32_t member = 1; member <= 4; member++)
        case_fork(member, contend, NULL);
    for (int second = 0; second < 10 && least * 2 < most; second++) {
        usleep(1000000);
        least = INT64_MAX, most = 0;
        for (int i = 0; i < 4; i++) {
            int64_t n = atomic_load(&counters->per[i]);
            least = n < least ? n : least;
            most = n > most ? n : most;
        }
    }
    atomic_store(&counters->stop, 1);
    case_join_all(1, 4);
    if (least * 2 < most)
        fail_msg("of four that want it, one had the lock %lld times, another %lld", (long long)least, (long long)most);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, lock_setup, case_teardown)
    const struct CMUnitTest tests[] = {
        CASE(free_and_held),
        CASE(misuse),
        CASE(destroying_tells_who_waits),
        CASE(the_next_is_told_that_the_holder_died),
        CASE(a_dead_waiter_is_no_obstacle),
        CASE(a_host_asks_twice),
        CASE(sweeping_finishes_a_destroy),
        CASE(excludes),
        CASE(timeouts_leave_no_trace),
        CASE(is_fair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
