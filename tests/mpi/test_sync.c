/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Event, semaphore, barrier, once and counter, conformance 46, 48, 49 and 63, between rank 0's main program and
 * processes on all ranks, at home here and on the last host.
 */
#include "support/cast.h"

#include <errno.h>

/* What a process is given: objects, and queues to talk over. */
struct parts {
    muster_queue out, in; /* from the processes, to them */
    muster_event event, other;
    muster_semaphore semaphore;
    muster_barrier barrier;
    muster_once once;
    muster_counter counter;
    muster_value_i64 value;
    muster_array array;
    int64_t number;
};

static struct parts parts_make(void)
{
    return (struct parts){.out = queue_make(), .in = queue_make()};
}

static void parts_end(struct parts parts)
{
    assert_int_equal(muster_queue_destroy(parts.out), MUSTER_OK);
    assert_int_equal(muster_queue_destroy(parts.in), MUSTER_OK);
}

/* ---- event: 48 ---- */

static void event_alone(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    {
        muster_event event;
        bool is_set = true;
        muster_object_options options = at_rank(home);
        assert_int_equal(muster_event_create(&event, &options), MUSTER_OK);
        assert_int_equal(muster_event_is_set(event, &is_set), MUSTER_OK);
        assert_false(is_set);
        assert_int_equal(muster_event_wait(event, MUSTER_NOWAIT), MUSTER_ERR_TIMEOUT);
        ASSERT_TAKES(20, muster_event_wait(event, 20), MUSTER_ERR_TIMEOUT);
        for (int i = 0; i < 2; i++)
            assert_int_equal(muster_event_set(event), MUSTER_OK);
        assert_int_equal(muster_event_is_set(event, &is_set), MUSTER_OK);
        assert_true(is_set);
        assert_int_equal(muster_event_wait(event, MUSTER_NOWAIT), MUSTER_OK);
        assert_int_equal(muster_event_wait(event, MUSTER_FOREVER), MUSTER_OK); /* it stays set */
        for (int i = 0; i < 2; i++)
            assert_int_equal(muster_event_clear(event), MUSTER_OK);
        assert_int_equal(muster_event_wait(event, MUSTER_NOWAIT), MUSTER_ERR_TIMEOUT);
        assert_int_equal(muster_event_destroy(event), MUSTER_OK);
    }
}

static int wait_for_event(const void *arg, size_t size)
{
    (void)size;
    const struct parts *parts = arg;
    say(parts->out, 1);
    MUST(muster_event_wait(parts->event, MUSTER_FOREVER) == MUSTER_OK);
    say(parts->out, 2);
    MUST(muster_event_wait(parts->other, MUSTER_FOREVER) == MUSTER_OK);
    say(parts->out, 3);
    return 0;
}

/* All who wait go on, and nobody before; the second time it is cleared at once, again and again. */
static void event_wakes_all(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    {
        struct parts parts = parts_make();
        muster_object_options options = at_rank(home);
        muster_process processes[8];
        assert_int_equal(muster_event_create(&parts.event, &options), MUSTER_OK);
        assert_int_equal(muster_event_create(&parts.other, &options), MUSTER_OK);
        start_crowd(processes, wait_for_event, &parts, sizeof parts);
        hear_times(parts.out, crowd(), 1);
        int64_t what;
        assert_int_equal(muster_queue_get(parts.out, &what, sizeof what, NULL, MUSTER_NOWAIT), MUSTER_ERR_EMPTY);
        assert_int_equal(muster_event_set(parts.event), MUSTER_OK);
        hear_times(parts.out, crowd(), 2);
        for (int woken = 0; woken < crowd();) {
            assert_int_equal(muster_event_set(parts.other), MUSTER_OK);
            assert_int_equal(muster_event_clear(parts.other), MUSTER_OK);
            while (muster_queue_get(parts.out, &what, sizeof what, NULL, MUSTER_NOWAIT) == MUSTER_OK)
                woken += what == 3;
        }
        join_crowd(processes);
        assert_int_equal(muster_event_destroy(parts.event), MUSTER_OK);
        assert_int_equal(muster_event_destroy(parts.other), MUSTER_OK);
        parts_end(parts);
    }
}

enum { TURNS = 200 };

static int answer_events(const void *arg, size_t size)
{
    (void)size;
    const struct parts *parts = arg;
    for (int i = 0; i < TURNS; i++) {
        MUST(muster_event_wait(parts->event, MUSTER_FOREVER) == MUSTER_OK);
        MUST(muster_event_clear(parts->event) == MUSTER_OK);
        MUST(muster_event_set(parts->other) == MUSTER_OK);
    }
    return 0;
}

static void events_back_and_forth(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    {
        struct parts parts = parts_make();
        muster_object_options here = at_rank(home), there = at_rank(last_rank() - home);
        assert_int_equal(muster_event_create(&parts.event, &here), MUSTER_OK);
        assert_int_equal(muster_event_create(&parts.other, &there), MUSTER_OK);
        muster_process process = start_on(last_rank(), answer_events, &parts, sizeof parts);
        for (int i = 0; i < TURNS; i++) {
            assert_int_equal(muster_event_set(parts.event), MUSTER_OK);
            assert_int_equal(muster_event_wait(parts.other, MUSTER_FOREVER), MUSTER_OK);
            assert_int_equal(muster_event_clear(parts.other), MUSTER_OK);
        }
        join(process);
        assert_int_equal(muster_event_destroy(parts.event), MUSTER_OK);
        assert_int_equal(muster_event_destroy(parts.other), MUSTER_OK);
        parts_end(parts);
    }
}

/* ---- semaphore: 46 ---- */

static int64_t permits(muster_semaphore semaphore)
{
    int64_t value = -1;
    assert_int_equal(muster_semaphore_value(semaphore, &value), MUSTER_OK);
    return value;
}

static void semaphore_counts(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    {
        muster_semaphore semaphore;
        muster_object_options options = at_rank(home);
        assert_int_equal(muster_semaphore_create(&semaphore, 2, 0, &options), MUSTER_OK);
        for (int i = 0; i < 2; i++)
            assert_int_equal(muster_semaphore_acquire(semaphore, MUSTER_NOWAIT), MUSTER_OK);
        assert_int_equal(muster_semaphore_acquire(semaphore, MUSTER_NOWAIT), MUSTER_ERR_BUSY);
        ASSERT_TAKES(20, muster_semaphore_acquire(semaphore, 20), MUSTER_ERR_TIMEOUT);
        assert_int_equal(permits(semaphore), 0);
        assert_int_equal(muster_semaphore_release(semaphore, 7), MUSTER_OK); /* past what it began with */
        assert_int_equal(permits(semaphore), 7);
        assert_int_equal(muster_semaphore_release(semaphore, MUSTER_SEMAPHORE_MAX - 7), MUSTER_OK);
        assert_int_equal(muster_semaphore_release(semaphore, 1), MUSTER_ERR_STATE);
        assert_int_equal(permits(semaphore), MUSTER_SEMAPHORE_MAX);
        assert_int_equal(muster_semaphore_acquire(semaphore, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(permits(semaphore), MUSTER_SEMAPHORE_MAX - 1);
        assert_int_equal(muster_semaphore_destroy(semaphore), MUSTER_OK);
    }
}

static void semaphore_is_bounded(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    {
        muster_semaphore semaphore;
        muster_object_options options = at_rank(home);
        assert_int_equal(muster_semaphore_create(&semaphore, 3, 4, &options), MUSTER_OK);
        assert_int_equal(muster_semaphore_release(semaphore, 2), MUSTER_ERR_STATE);
        assert_non_null(strstr(muster_err_detail(), "'test'"));
        assert_int_equal(permits(semaphore), 3); /* nothing was given */
        assert_int_equal(muster_semaphore_release(semaphore, 1), MUSTER_OK);
        assert_int_equal(muster_semaphore_release(semaphore, 1), MUSTER_ERR_STATE);
        assert_int_equal(permits(semaphore), 4);
        assert_int_equal(muster_semaphore_destroy(semaphore), MUSTER_OK);
    }
    static const int64_t bad[][2] = {
        {-1, 0}, {INT64_MIN, 0}, {1, -1}, {5, 4}, {MUSTER_SEMAPHORE_MAX + 1, 0}, {0, MUSTER_SEMAPHORE_MAX + 1}};
    muster_semaphore untouched = {.handle = {.slot = 77}}, semaphore = untouched;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(muster_semaphore_create(&semaphore, bad[i][0], bad[i][1], NULL), MUSTER_ERR_INVAL);
    assert_memory_equal(&semaphore, &untouched, sizeof semaphore);
}

enum { PERMITS = 3, VISITS = 100 };

/* With and without waiting; at no time more are within than there are permits. */
static int visit(const void *arg, size_t size)
{
    (void)size;
    const struct parts *parts = arg;
    unsigned seed = (unsigned)getpid();
    for (int i = 0; i < VISITS;) {
        int64_t before, timeout_ms = rand_r(&seed) % 4;
        muster_err err = muster_semaphore_acquire(parts->semaphore, timeout_ms == 3 ? MUSTER_FOREVER : timeout_ms);
        MUST(err == MUSTER_OK || err == (timeout_ms ? MUSTER_ERR_TIMEOUT : MUSTER_ERR_BUSY));
        if (err)
            continue;
        MUST(muster_value_i64_add(parts->value, 1, &before) == MUSTER_OK && before >= 0 && before < PERMITS);
        MUST(muster_value_i64_add(parts->value, -1, &before) == MUSTER_OK);
        MUST(muster_semaphore_release(parts->semaphore, 1) == MUSTER_OK);
        i++;
    }
    return 0;
}

static void semaphore_lets_so_many_in(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    {
        struct parts parts = parts_make();
        muster_process processes[8];
        muster_object_options options = at_rank(home);
        assert_int_equal(muster_semaphore_create(&parts.semaphore, PERMITS, PERMITS, &options), MUSTER_OK);
        assert_int_equal(muster_value_i64_create(&parts.value, 0, NULL), MUSTER_OK);
        start_crowd(processes, visit, &parts, sizeof parts);
        join_crowd(processes);
        assert_int_equal(permits(parts.semaphore), PERMITS);
        assert_int_equal(muster_semaphore_destroy(parts.semaphore), MUSTER_OK);
        assert_int_equal(muster_value_i64_destroy(parts.value), MUSTER_OK);
        parts_end(parts);
    }
}

static int take_permit(const void *arg, size_t size)
{
    (void)size;
    const struct parts *parts = arg;
    MUST(muster_semaphore_acquire(parts->semaphore, MUSTER_FOREVER) == MUSTER_OK);
    say(parts->out, 1);
    hear(parts->in);
    return 0;
}

/* Anybody gives; who dies with a permit has lost it. */
static void permits_are_nobodys(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    {
        struct parts parts = parts_make();
        muster_process processes[8];
        muster_object_options options = at_rank(home);
        int64_t what;
        assert_int_equal(muster_semaphore_create(&parts.semaphore, 0, 0, &options), MUSTER_OK);
        start_crowd(processes, take_permit, &parts, sizeof parts);
        assert_int_equal(muster_semaphore_release(parts.semaphore, crowd() - 1), MUSTER_OK);
        hear_times(parts.out, crowd() - 1, 1);
        assert_int_equal(permits(parts.semaphore), 0);
        assert_int_equal(muster_queue_get(parts.out, &what, sizeof what, NULL, 5), MUSTER_ERR_EMPTY);
        for (int i = 0; i < crowd(); i++)
            end_by_kill(processes[i]);
        assert_int_equal(permits(parts.semaphore), 0);
        assert_int_equal(muster_semaphore_release(parts.semaphore, 1), MUSTER_OK);
        assert_int_equal(muster_semaphore_acquire(parts.semaphore, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(muster_semaphore_destroy(parts.semaphore), MUSTER_OK);
        parts_end(parts);
    }
}

/* ---- barrier: 49 ---- */

enum { ROUNDS = 1000 };

/* In lockstep: when a round is over, all have come to it, and some to the next one at most. */
static int go_rounds(const void *arg, size_t size)
{
    (void)size;
    const struct parts *parts = arg;
    for (int64_t i = 0, one = 1, came; i < ROUNDS; i++) {
        bool leader = false;
        MUST(muster_value_i64_add(parts->value, 1, NULL) == MUSTER_OK);
        MUST(muster_barrier_wait(parts->barrier, &leader, MUSTER_FOREVER) == MUSTER_OK);
        MUST(muster_value_i64_load(parts->value, &came) == MUSTER_OK);
        MUST(came >= parts->number * (i + 1) && came < parts->number * (i + 2));
        if (leader)
            MUST(muster_array_add_i64(parts->array, i, 1, &one) == MUSTER_OK);
    }
    return 0;
}

static void barrier_in_lockstep(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    {
        struct parts parts = parts_make();
        muster_process processes[8];
        muster_object_options options = at_rank(home);
        int64_t leaders[ROUNDS];
        parts.number = crowd();
        assert_int_equal(muster_barrier_create(&parts.barrier, crowd(), &options), MUSTER_OK);
        assert_int_equal(muster_value_i64_create(&parts.value, 0, &options), MUSTER_OK);
        assert_int_equal(muster_array_create(&parts.array, ROUNDS, 8, NULL), MUSTER_OK);
        start_crowd(processes, go_rounds, &parts, sizeof parts);
        join_crowd(processes);
        assert_int_equal(muster_array_read(parts.array, 0, ROUNDS, leaders), MUSTER_OK);
        for (int i = 0; i < ROUNDS; i++)
            assert_int_equal(leaders[i], 1); /* exactly one */
        assert_int_equal(muster_barrier_destroy(parts.barrier), MUSTER_OK);
        assert_int_equal(muster_value_i64_destroy(parts.value), MUSTER_OK);
        assert_int_equal(muster_array_destroy(parts.array), MUSTER_OK);
        parts_end(parts);
    }
}

static void barrier_alone(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    {
        muster_barrier barrier;
        bool leader = false, is_broken = true;
        int waiting = -1;
        muster_object_options options = at_rank(home);
        assert_int_equal(muster_barrier_create(&barrier, 1, &options), MUSTER_OK);
        assert_int_equal(muster_barrier_wait(barrier, &leader, MUSTER_NOWAIT), MUSTER_OK);
        assert_true(leader);
        assert_int_equal(muster_barrier_wait(barrier, NULL, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(muster_barrier_destroy(barrier), MUSTER_OK);

        assert_int_equal(muster_barrier_create(&barrier, 2, &options), MUSTER_OK);
        leader = false;
        assert_int_equal(muster_barrier_wait(barrier, &leader, MUSTER_NOWAIT), MUSTER_ERR_BROKEN);
        assert_int_equal(muster_barrier_wait(barrier, &leader, MUSTER_FOREVER), MUSTER_ERR_BROKEN); /* until */
        assert_non_null(strstr(muster_err_detail(), "'test'"));
        assert_int_equal(muster_barrier_state(barrier, &waiting, &is_broken), MUSTER_OK);
        assert_true(is_broken && waiting == 0 && !leader);
        assert_int_equal(muster_barrier_reset(barrier), MUSTER_OK);
        assert_int_equal(muster_barrier_state(barrier, NULL, &is_broken), MUSTER_OK);
        assert_false(is_broken);
        ASSERT_TAKES(20, (muster_barrier_reset(barrier), muster_barrier_wait(barrier, &leader, 20)), MUSTER_ERR_BROKEN);
        assert_int_equal(muster_barrier_state(barrier, NULL, NULL), MUSTER_OK);
        assert_int_equal(muster_barrier_abort(barrier), MUSTER_OK);
        assert_int_equal(muster_barrier_reset(barrier), MUSTER_OK);
        assert_int_equal(muster_barrier_reset(barrier), MUSTER_OK);
        assert_int_equal(muster_barrier_abort(barrier), MUSTER_OK);
        assert_int_equal(muster_barrier_wait(barrier, &leader, 1000), MUSTER_ERR_BROKEN);
        assert_int_equal(muster_barrier_destroy(barrier), MUSTER_OK);
    }
    muster_barrier untouched = {.handle = {.slot = 77}}, barrier = untouched;
    static const int bad[] = {0, -1, INT32_MIN, 1000001, INT32_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(muster_barrier_create(&barrier, bad[i], NULL), MUSTER_ERR_INVAL);
    assert_memory_equal(&barrier, &untouched, sizeof barrier);
}

static int come_and_tell(const void *arg, size_t size)
{
    (void)size;
    const struct parts *parts = arg;
    bool leader = false;
    muster_err err = muster_barrier_wait(parts->barrier, &leader, MUSTER_FOREVER);
    say(parts->out, err == MUSTER_OK ? leader : err);
    return 0;
}

static void await_waiting(muster_barrier barrier, int n)
{
    int waiting = -1;
    bool is_broken;
    while (waiting != n) {
        assert_int_equal(muster_barrier_state(barrier, &waiting, &is_broken), MUSTER_OK);
        assert_true(waiting <= n && !is_broken);
    }
}

enum ending { ABORT, RESET, LATE, NO_TIME, KILL, DESTROY, ENDINGS };

/* All but one have come, and the round ends in each way but the right one; then it is used again. */
static void end_round(const struct parts *parts, enum ending how, muster_process first)
{
    switch (how) {
    case ABORT:
        assert_int_equal(muster_barrier_abort(parts->barrier), MUSTER_OK);
        break;
    case RESET:
        assert_int_equal(muster_barrier_reset(parts->barrier), MUSTER_OK);
        break;
    case LATE: /* with one party more it is not complete */
        assert_int_equal(muster_barrier_wait(parts->barrier, NULL, 20), MUSTER_ERR_BROKEN);
        break;
    case NO_TIME:
        assert_int_equal(muster_barrier_wait(parts->barrier, NULL, MUSTER_NOWAIT), MUSTER_ERR_BROKEN);
        break;
    case KILL:
        end_by_kill(first);
        break;
    default:
        assert_int_equal(muster_barrier_destroy(parts->barrier), MUSTER_OK);
    }
}

static void barrier_breaks(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    for (enum ending how = ABORT; how < ENDINGS; how++) {
        struct parts parts = parts_make();
        muster_process processes[8];
        muster_object_options options = at_rank(home);
        bool is_broken = how != RESET, leader = false;
        int n = crowd(), told = 0;
        assert_int_equal(muster_barrier_create(&parts.barrier, n + 2, &options), MUSTER_OK);
        start_crowd(processes, come_and_tell, &parts, sizeof parts);
        await_waiting(parts.barrier, n);
        end_round(&parts, how, processes[0]);
        hear_times(parts.out, how == KILL ? n - 1 : n, how == DESTROY ? MUSTER_ERR_CLOSED : MUSTER_ERR_BROKEN);
        for (int i = how == KILL; i < n; i++)
            join(processes[i]);
        if (how == DESTROY) {
            assert_int_equal(muster_barrier_wait(parts.barrier, NULL, MUSTER_FOREVER), MUSTER_ERR_STALE);
            parts_end(parts);
            continue;
        }
        bool was;
        assert_int_equal(muster_barrier_state(parts.barrier, NULL, &was), MUSTER_OK);
        assert_int_equal(was, is_broken);
        assert_int_equal(muster_barrier_reset(parts.barrier), MUSTER_OK);
        start_crowd(processes, come_and_tell, &parts, sizeof parts);
        muster_process one_more = start_on(last_rank(), come_and_tell, &parts, sizeof parts);
        assert_int_equal(muster_barrier_wait(parts.barrier, &leader, MUSTER_FOREVER), MUSTER_OK);
        for (int i = 0; i < n + 1; i++)
            told += (int)hear(parts.out);
        assert_int_equal(told + leader, 1);
        join_crowd(processes);
        join(one_more);
        assert_int_equal(muster_barrier_destroy(parts.barrier), MUSTER_OK);
        parts_end(parts);
    }
}

/* ---- once: 63 ---- */

static muster_err set_value(void *arg)
{
    const struct parts *parts = arg;
    int64_t before;
    MUST(muster_value_i64_add(parts->value, 1, &before) == MUSTER_OK);
    return MUSTER_OK;
}

static int run_and_look(const void *arg, size_t size)
{
    (void)size;
    const struct parts *parts = arg;
    int64_t value = -1;
    bool is_done = false;
    MUST(muster_once_run(parts->once, set_value, (void *)parts, MUSTER_FOREVER) == MUSTER_OK);
    MUST(muster_value_i64_load(parts->value, &value) == MUSTER_OK && value == 1);
    MUST(muster_once_is_done(parts->once, &is_done) == MUSTER_OK && is_done);
    MUST(muster_once_run(parts->once, set_value, (void *)parts, MUSTER_NOWAIT) == MUSTER_OK);
    return 0;
}

static void once_is_once(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    for (int round = 0; round < 5; round++) {
        struct parts parts = parts_make();
        muster_process processes[8];
        muster_object_options options = at_rank(home);
        int64_t value;
        bool is_done = true;
        assert_int_equal(muster_once_create(&parts.once, &options), MUSTER_OK);
        assert_int_equal(muster_value_i64_create(&parts.value, 0, NULL), MUSTER_OK);
        assert_int_equal(muster_once_is_done(parts.once, &is_done), MUSTER_OK);
        assert_false(is_done);
        start_crowd(processes, run_and_look, &parts, sizeof parts);
        join_crowd(processes);
        assert_int_equal(muster_value_i64_load(parts.value, &value), MUSTER_OK);
        assert_int_equal(value, 1);
        assert_int_equal(muster_once_destroy(parts.once), MUSTER_OK);
        assert_int_equal(muster_value_i64_destroy(parts.value), MUSTER_OK);
        parts_end(parts);
    }
}

static muster_once within;
static muster_err told_within;

static muster_err fail_to_run(void *arg)
{
    (void)arg;
    return MUSTER_ERR_SYSTEM;
}

static muster_err run_within(void *arg)
{
    told_within = muster_once_run(within, run_within, arg, MUSTER_FOREVER);
    return 7; /* whatever it is */
}

static void once_fails(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    {
        struct parts parts = parts_make();
        muster_object_options options = at_rank(home);
        bool is_done = true;
        assert_int_equal(muster_once_create(&parts.once, &options), MUSTER_OK);
        assert_int_equal(muster_value_i64_create(&parts.value, 0, NULL), MUSTER_OK);
        within = parts.once;
        assert_int_equal(muster_once_run(parts.once, fail_to_run, NULL, MUSTER_NOWAIT), MUSTER_ERR_SYSTEM);
        told_within = MUSTER_OK;
        assert_int_equal(muster_once_run(parts.once, run_within, NULL, MUSTER_NOWAIT), 7);
        assert_int_equal(told_within, MUSTER_ERR_DEADLOCK);
        assert_int_equal(muster_once_is_done(parts.once, &is_done), MUSTER_OK);
        assert_false(is_done);
        assert_int_equal(muster_once_run(parts.once, set_value, &parts, MUSTER_NOWAIT), MUSTER_OK);
        assert_int_equal(muster_once_run(parts.once, fail_to_run, NULL, MUSTER_NOWAIT), MUSTER_OK); /* done before */
        assert_int_equal(muster_once_destroy(parts.once), MUSTER_OK);
        assert_int_equal(muster_value_i64_destroy(parts.value), MUSTER_OK);
        parts_end(parts);
    }
}

static muster_err run_for_long(void *arg)
{
    const struct parts *parts = arg;
    say(parts->out, 1);
    hear(parts->in);
    return MUSTER_ERR_SYSTEM;
}

static int run_long(const void *arg, size_t size)
{
    (void)size;
    const struct parts *parts = arg;
    MUST(muster_once_run(parts->once, run_for_long, (void *)parts, MUSTER_FOREVER) == MUSTER_ERR_SYSTEM);
    return 0;
}

/* While one is at it others wait, up to their time; when it fails or is killed the next one runs. */
static void once_next_one_runs(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    for (int killed = 0; killed < 2; killed++) {
        struct parts parts = parts_make();
        muster_object_options options = at_rank(home);
        assert_int_equal(muster_once_create(&parts.once, &options), MUSTER_OK);
        assert_int_equal(muster_value_i64_create(&parts.value, 0, NULL), MUSTER_OK);
        muster_process runner = start_on(last_rank(), run_long, &parts, sizeof parts);
        assert_int_equal(hear(parts.out), 1);
        assert_int_equal(muster_once_run(parts.once, set_value, &parts, MUSTER_NOWAIT), MUSTER_ERR_BUSY);
        ASSERT_TAKES(20, muster_once_run(parts.once, set_value, &parts, 20), MUSTER_ERR_TIMEOUT);
        muster_process waiter = start_on(1, run_and_look, &parts, sizeof parts);
        if (killed) {
            end_by_kill(runner);
        } else {
            say(parts.in, 1);
            join(runner);
        }
        join(waiter);
        assert_int_equal(muster_once_destroy(parts.once), MUSTER_OK);
        assert_int_equal(muster_value_i64_destroy(parts.value), MUSTER_OK);
        parts_end(parts);
    }
}

/* ---- counter ---- */

static void counter_alone(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    {
        muster_counter counter;
        muster_object_options options = at_rank(home);
        int64_t value = 77;
        assert_int_equal(muster_counter_create(&counter, -3, &options), MUSTER_OK);
        assert_int_equal(muster_counter_wait(counter, -3, MUSTER_NOWAIT, &value), MUSTER_OK);
        assert_int_equal(value, -3);
        value = 77;
        assert_int_equal(muster_counter_wait(counter, -2, MUSTER_NOWAIT, &value), MUSTER_ERR_TIMEOUT);
        ASSERT_TAKES(20, muster_counter_wait(counter, -2, 20, &value), MUSTER_ERR_TIMEOUT);
        assert_int_equal(value, 77);
        assert_int_equal(muster_counter_add(counter, 10, &value), MUSTER_OK);
        assert_int_equal(value, 7);
        assert_int_equal(muster_counter_add(counter, -17, NULL), MUSTER_OK);
        assert_int_equal(muster_counter_value(counter, &value), MUSTER_OK);
        assert_int_equal(value, -10);
        assert_int_equal(muster_counter_wait(counter, INT64_MIN, MUSTER_FOREVER, NULL), MUSTER_OK);
        assert_int_equal(muster_counter_add(counter, INT64_MIN, &value), MUSTER_OK); /* beyond 64 bits */
        assert_int_equal(value, INT64_MAX - 9);
        assert_int_equal(muster_counter_wait(counter, INT64_MAX - 9, MUSTER_FOREVER, NULL), MUSTER_OK);
        assert_int_equal(muster_counter_destroy(counter), MUSTER_OK);
    }
}

enum { ADDS = 500 };

static int wait_and_add(const void *arg, size_t size)
{
    (void)size;
    const struct parts *parts = arg;
    int64_t value = -1, point = hear(parts->in);
    MUST(muster_counter_wait(parts->counter, point, MUSTER_FOREVER, &value) == MUSTER_OK && value >= point);
    for (int i = 0; i < ADDS; i++)
        MUST(muster_counter_add(parts->counter, i % 2 ? 3 : -1, NULL) == MUSTER_OK);
    return 0;
}

/* Each waits for what those before it add, and it comes: no add is lost, nor any wake. */
static void counter_chain(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    {
        struct parts parts = parts_make();
        muster_process processes[8];
        muster_object_options options = at_rank(home);
        int64_t value;
        assert_int_equal(muster_counter_create(&parts.counter, 0, &options), MUSTER_OK);
        for (int i = crowd() - 1; i >= 0; i--)
            say(parts.in, (int64_t)i * ADDS);
        start_crowd(processes, wait_and_add, &parts, sizeof parts);
        assert_int_equal(muster_counter_wait(parts.counter, (int64_t)crowd() * ADDS, MUSTER_FOREVER, &value),
                         MUSTER_OK);
        join_crowd(processes);
        assert_int_equal(muster_counter_value(parts.counter, &value), MUSTER_OK);
        assert_int_equal(value, (int64_t)crowd() * ADDS);
        assert_int_equal(muster_counter_destroy(parts.counter), MUSTER_OK);
        parts_end(parts);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(event_alone),           cmocka_unit_test(event_wakes_all),
        cmocka_unit_test(events_back_and_forth), cmocka_unit_test(semaphore_counts),
        cmocka_unit_test(semaphore_is_bounded),  cmocka_unit_test(semaphore_lets_so_many_in),
        cmocka_unit_test(permits_are_nobodys),   cmocka_unit_test(barrier_in_lockstep),
        cmocka_unit_test(barrier_alone),         cmocka_unit_test(barrier_breaks),
        cmocka_unit_test(once_is_once),          cmocka_unit_test(once_fails),
        cmocka_unit_test(once_next_one_runs),    cmocka_unit_test(counter_alone),
        cmocka_unit_test(counter_chain),
    };
    return mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "sync");
}
