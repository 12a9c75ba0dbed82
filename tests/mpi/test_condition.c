/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Condition, conformance 47, 51 and 59, of a lock and of an rlock, at home here and on the last host.
 */
#include "support/cast.h"

struct parts {
    muster_queue out, in; /* from the processes, to them */
    muster_lock lock;
    muster_rlock rlock;
    muster_condition condition;
    muster_value_i64 value;
    bool of_rlock;
};

static struct parts parts_make(int home, bool of_rlock)
{
    struct parts parts = {.out = queue_make(), .in = queue_make(), .of_rlock = of_rlock};
    muster_object_options options = at_rank(home);
    assert_int_equal(muster_value_i64_create(&parts.value, 0, &options), MUSTER_OK);
    assert_int_equal(muster_lock_create(&parts.lock, &options), MUSTER_OK);
    assert_int_equal(muster_rlock_create(&parts.rlock, &options), MUSTER_OK);
    assert_int_equal(of_rlock ? muster_condition_create_rlock(&parts.condition, parts.rlock, "test")
                              : muster_condition_create(&parts.condition, parts.lock, "test"),
                     MUSTER_OK);
    return parts;
}

static void parts_end(struct parts parts)
{
    assert_int_equal(muster_condition_destroy(parts.condition), MUSTER_OK);
    assert_int_equal(muster_lock_destroy(parts.lock), MUSTER_OK);
    assert_int_equal(muster_rlock_destroy(parts.rlock), MUSTER_OK);
    assert_int_equal(muster_value_i64_destroy(parts.value), MUSTER_OK);
    assert_int_equal(muster_queue_destroy(parts.out), MUSTER_OK);
    assert_int_equal(muster_queue_destroy(parts.in), MUSTER_OK);
}

/* The rlock is acquired twice each time: what waits gives up both. */
static muster_err acquire(const struct parts *parts, int64_t timeout_ms)
{
    if (!parts->of_rlock)
        return muster_lock_acquire(parts->lock, timeout_ms);
    muster_err err = muster_rlock_acquire(parts->rlock, timeout_ms);
    if (err == MUSTER_OK || err == MUSTER_ERR_OWNER_DEAD)
        MUST(muster_rlock_acquire(parts->rlock, MUSTER_NOWAIT) == MUSTER_OK);
    return err;
}

static void release(const struct parts *parts)
{
    if (!parts->of_rlock) {
        MUST(muster_lock_release(parts->lock) == MUSTER_OK);
        return;
    }
    MUST(muster_rlock_release(parts->rlock) == MUSTER_OK);
    MUST(muster_rlock_release(parts->rlock) == MUSTER_OK);
    MUST(muster_rlock_release(parts->rlock) == MUSTER_ERR_STATE);
}

#define FOR_EACH_WAY(home, of_rlock)                                                                                   \
    FOR_EACH_HOME(home)                                                                                                \
    for (int of_rlock = 0; of_rlock < 2; of_rlock++)

static void alone(void **state)
{
    (void)state;
    FOR_EACH_WAY(home, of_rlock)
    {
        struct parts parts = parts_make(home, of_rlock);
        int64_t notified = 77;
        assert_int_equal(muster_condition_wait(parts.condition, MUSTER_FOREVER), MUSTER_ERR_STATE);
        assert_int_equal(muster_condition_wait(parts.condition, MUSTER_NOWAIT), MUSTER_ERR_STATE);
        assert_int_equal(muster_condition_notify(parts.condition, 1, &notified), MUSTER_ERR_STATE);
        assert_int_equal(muster_condition_notify_all(parts.condition, &notified), MUSTER_ERR_STATE);
        assert_int_equal(notified, 77);
        assert_int_equal(acquire(&parts, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(muster_condition_notify(parts.condition, 0, &notified), MUSTER_ERR_INVAL);
        assert_int_equal(muster_condition_notify(parts.condition, -1, &notified), MUSTER_ERR_INVAL);
        assert_int_equal(notified, 77);
        assert_int_equal(muster_condition_notify(parts.condition, INT64_MAX, &notified), MUSTER_OK);
        assert_int_equal(notified, 0);
        assert_int_equal(muster_condition_wait(parts.condition, MUSTER_NOWAIT), MUSTER_ERR_TIMEOUT); /* nothing kept */
        ASSERT_TAKES(20, muster_condition_wait(parts.condition, 20), MUSTER_ERR_TIMEOUT);
        release(&parts); /* it holds it as before */
        parts_end(parts);
    }
}

static int wait_once(const void *arg, size_t size)
{
    (void)size;
    const struct parts *parts = arg;
    MUST(acquire(parts, MUSTER_FOREVER) == MUSTER_OK);
    MUST(muster_value_i64_add(parts->value, 1, NULL) == MUSTER_OK);
    muster_err err = muster_condition_wait(parts->condition, MUSTER_FOREVER);
    say(parts->out, err);
    release(parts);
    return 0;
}

/* Who has counted itself gives the lock up by waiting: whoever has the lock then knows that it waits. */
static void await_waiting(const struct parts *parts, int64_t n)
{
    for (int64_t waiting = -1; waiting != n;) {
        assert_int_equal(acquire(parts, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(muster_value_i64_load(parts->value, &waiting), MUSTER_OK);
        if (waiting != n)
            release(parts);
    }
}

/* At most n go on, and it is told how many do. */
static void notifies_so_many(void **state)
{
    (void)state;
    FOR_EACH_WAY(home, of_rlock)
    {
        struct parts parts = parts_make(home, of_rlock);
        muster_process processes[8];
        int64_t notified = -1, what;
        start_crowd(processes, wait_once, &parts, sizeof parts);
        await_waiting(&parts, crowd());
        assert_int_equal(muster_condition_notify(parts.condition, 2, &notified), MUSTER_OK);
        assert_int_equal(notified, 2);
        release(&parts);
        hear_times(parts.out, 2, MUSTER_OK);
        assert_int_equal(muster_queue_get(parts.out, &what, sizeof what, NULL, 10), MUSTER_ERR_EMPTY);
        assert_int_equal(acquire(&parts, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(muster_condition_notify(parts.condition, 1, NULL), MUSTER_OK);
        assert_int_equal(muster_condition_notify_all(parts.condition, &notified), MUSTER_OK);
        assert_int_equal(notified, crowd() - 3);
        assert_int_equal(muster_condition_notify_all(parts.condition, &notified), MUSTER_OK);
        assert_int_equal(notified, 0);
        release(&parts);
        hear_times(parts.out, crowd() - 2, MUSTER_OK);
        join_crowd(processes);
        parts_end(parts);
    }
}

enum { TURNS = 40 };

struct turn {
    const struct parts *parts;
    int64_t mine, of;
};

static bool is_my_turn(void *arg)
{
    const struct turn *turn = arg;
    int64_t value = -1;
    MUST(muster_value_i64_load(turn->parts->value, &value) == MUSTER_OK);
    return value % turn->of == turn->mine;
}

static int take_turns(const void *arg, size_t size)
{
    (void)size;
    const struct parts *parts = arg;
    struct turn turn = {.parts = parts, .mine = hear(parts->in), .of = crowd()};
    for (int i = 0; i < TURNS; i++) {
        MUST(acquire(parts, MUSTER_FOREVER) == MUSTER_OK);
        MUST(muster_condition_wait_for(parts->condition, is_my_turn, &turn, MUSTER_FOREVER) == MUSTER_OK);
        MUST(is_my_turn(&turn));
        MUST(muster_value_i64_add(parts->value, 1, NULL) == MUSTER_OK);
        MUST(muster_condition_notify_all(parts->condition, NULL) == MUSTER_OK);
        release(parts);
    }
    return 0;
}

static bool never(void *arg)
{
    ++*(int *)arg;
    return false;
}

static void waits_for_a_predicate(void **state)
{
    (void)state;
    FOR_EACH_WAY(home, of_rlock)
    {
        struct parts parts = parts_make(home, of_rlock);
        muster_process processes[8];
        int64_t value = -1;
        int calls = 0;
        for (int i = 0; i < crowd(); i++)
            say(parts.in, i);
        start_crowd(processes, take_turns, &parts, sizeof parts);
        join_crowd(processes);
        assert_int_equal(muster_value_i64_load(parts.value, &value), MUSTER_OK);
        assert_int_equal(value, TURNS * crowd());
        assert_int_equal(muster_condition_wait_for(parts.condition, never, &calls, 20), MUSTER_ERR_STATE);
        assert_int_equal(acquire(&parts, MUSTER_FOREVER), MUSTER_OK);
        calls = 0;
        ASSERT_TAKES(20, muster_condition_wait_for(parts.condition, never, &calls, 20), MUSTER_ERR_TIMEOUT);
        assert_true(calls > 0);
        release(&parts);
        parts_end(parts);
    }
}

/* 51: who waits is told, and holds the lock. */
static void destroyed_while_waited_for(void **state)
{
    (void)state;
    FOR_EACH_WAY(home, of_rlock)
    {
        struct parts parts = parts_make(home, of_rlock);
        muster_process processes[8];
        start_crowd(processes, wait_once, &parts, sizeof parts);
        await_waiting(&parts, crowd());
        assert_int_equal(muster_condition_destroy(parts.condition), MUSTER_OK);
        assert_int_equal(muster_condition_wait(parts.condition, MUSTER_FOREVER), MUSTER_ERR_STALE);
        assert_int_equal(muster_condition_notify_all(parts.condition, NULL), MUSTER_ERR_STALE);
        release(&parts);
        hear_times(parts.out, crowd(), MUSTER_ERR_CLOSED);
        join_crowd(processes);
        assert_int_equal(muster_condition_create(&parts.condition, parts.lock, NULL), MUSTER_OK);
        parts_end(parts);
    }
}

static int hold_and_stay(const void *arg, size_t size)
{
    (void)size;
    const struct parts *parts = arg;
    MUST(acquire(parts, MUSTER_FOREVER) == MUSTER_OK);
    MUST(muster_condition_notify_all(parts->condition, NULL) == MUSTER_OK);
    say(parts->out, 77);
    hear(parts->in);
    return 0;
}

/* 59: one that waits dies, and the others are notified all the same; one that notified dies holding, and it is told. */
static void deaths(void **state)
{
    (void)state;
    FOR_EACH_WAY(home, of_rlock)
    {
        struct parts parts = parts_make(home, of_rlock);
        muster_process dies = start_on(last_rank() - home, wait_once, &parts, sizeof parts);
        await_waiting(&parts, 1);
        release(&parts);
        muster_process stays = start_on(1, wait_once, &parts, sizeof parts);
        await_waiting(&parts, 2);
        release(&parts);
        end_by_kill(dies);
        muster_process holder = start_on(home, hold_and_stay, &parts, sizeof parts);
        /* the one that stays may have been woken by the death before */
        int64_t first = hear(parts.out);
        if (first != 77)
            assert_int_equal(hear(parts.out), 77);
        end_by_kill(holder);
        if (first == 77)
            assert_int_equal(hear(parts.out), MUSTER_ERR_OWNER_DEAD);
        else
            assert_int_equal(first, MUSTER_OK);
        join(stays);
        muster_err err = acquire(&parts, MUSTER_FOREVER);
        assert_int_equal(err, first == 77 ? MUSTER_OK : MUSTER_ERR_OWNER_DEAD);
        release(&parts);
        parts_end(parts);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alone),
        cmocka_unit_test(notifies_so_many),
        cmocka_unit_test(waits_for_a_predicate),
        cmocka_unit_test(destroyed_while_waited_for),
        cmocka_unit_test(deaths),
    };
    return mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "condition");
}
