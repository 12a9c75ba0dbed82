/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rwlock and rlock, conformance 45, 59 and 63: what they guard lies in an array, each at home here and on the last
 * host.
 */
#include "support/cast.h"

#include <pthread.h>

enum { CANARIES = 64, ROUNDS = 150 };

struct parts {
    muster_queue out, in; /* from the processes, to them */
    muster_rwlock lock;
    muster_rlock rlock;
    muster_array array;
    muster_value_i64 value;
};

static struct parts parts_make(int home)
{
    struct parts parts = {.out = queue_make(), .in = queue_make()};
    muster_object_options here = at_rank(home), there = at_rank(last_rank() - home);
    assert_int_equal(muster_rwlock_create(&parts.lock, &here), MUSTER_OK);
    assert_int_equal(muster_rlock_create(&parts.rlock, &here), MUSTER_OK);
    assert_int_equal(muster_array_create(&parts.array, CANARIES, 8, &there), MUSTER_OK);
    assert_int_equal(muster_value_i64_create(&parts.value, 0, &there), MUSTER_OK);
    return parts;
}

static void parts_end(struct parts parts)
{
    assert_int_equal(muster_rwlock_destroy(parts.lock), MUSTER_OK);
    assert_int_equal(muster_rlock_destroy(parts.rlock), MUSTER_OK);
    assert_int_equal(muster_array_destroy(parts.array), MUSTER_OK);
    assert_int_equal(muster_value_i64_destroy(parts.value), MUSTER_OK);
    assert_int_equal(muster_queue_destroy(parts.out), MUSTER_OK);
    assert_int_equal(muster_queue_destroy(parts.in), MUSTER_OK);
}

/* ---- canaries: all equal whenever somebody reads ---- */

static int64_t look_at_canaries(const struct parts *parts)
{
    int64_t canaries[CANARIES];
    MUST(muster_array_read(parts->array, 0, CANARIES, canaries) == MUSTER_OK);
    for (int i = 1; i < CANARIES; i++)
        MUST(canaries[i] == canaries[0]);
    return canaries[0];
}

/* In two parts, so that who looks between sees it. */
static void change_canaries(const struct parts *parts, int64_t to)
{
    int64_t canaries[CANARIES];
    for (int i = 0; i < CANARIES; i++)
        canaries[i] = to;
    MUST(muster_array_write(parts->array, 0, CANARIES / 2, canaries) == MUSTER_OK);
    MUST(muster_array_write(parts->array, CANARIES / 2, CANARIES / 2, canaries) == MUSTER_OK);
}

/* Reads, writes, and writes and goes on as a reader: nobody writes between. */
static int read_and_write(const void *arg, size_t size)
{
    (void)size;
    const struct parts *parts = arg;
    for (int i = 0; i < ROUNDS; i++) {
        if (i % 3 == 0) {
            MUST(muster_rwlock_acquire_read(parts->lock, MUSTER_FOREVER) == MUSTER_OK);
            int64_t seen = look_at_canaries(parts);
            MUST(look_at_canaries(parts) == seen);
        } else {
            MUST(muster_rwlock_acquire_write(parts->lock, MUSTER_FOREVER) == MUSTER_OK);
            int64_t seen = look_at_canaries(parts);
            change_canaries(parts, seen + 1);
            if (i % 3 == 2) {
                MUST(muster_rwlock_downgrade(parts->lock) == MUSTER_OK);
                MUST(look_at_canaries(parts) == seen + 1);
            }
        }
        MUST(muster_rwlock_release(parts->lock) == MUSTER_OK);
    }
    return 0;
}

static void readers_or_a_writer(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    {
        struct parts parts = parts_make(home);
        muster_process processes[8];
        start_crowd(processes, read_and_write, &parts, sizeof parts);
        join_crowd(processes);
        assert_int_equal(look_at_canaries(&parts), crowd() * ROUNDS / 3 * 2);
        parts_end(parts);
    }
}

/* ---- what one holds while others ask ---- */

enum way { READ, WRITE };

static muster_err acquire(muster_rwlock lock, enum way way, int64_t timeout_ms)
{
    return way == READ ? muster_rwlock_acquire_read(lock, timeout_ms) : muster_rwlock_acquire_write(lock, timeout_ms);
}

/* Tells what came of it, and holds it until told. */
static void hold(const struct parts *parts, enum way way)
{
    muster_err err = acquire(parts->lock, way, MUSTER_FOREVER);
    say(parts->out, err);
    if (err && err != MUSTER_ERR_OWNER_DEAD)
        return;
    hear(parts->in);
    MUST(muster_rwlock_release(parts->lock) == MUSTER_OK);
}

static int hold_read(const void *arg, size_t size)
{
    (void)size;
    hold(arg, READ);
    return 0;
}

static int hold_write(const void *arg, size_t size)
{
    (void)size;
    hold(arg, WRITE);
    return 0;
}

static void misuse(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    {
        struct parts parts = parts_make(home);
        assert_int_equal(muster_rwlock_release(parts.lock), MUSTER_ERR_STATE);
        assert_int_equal(muster_rwlock_downgrade(parts.lock), MUSTER_ERR_STATE);
        for (enum way way = READ; way <= WRITE; way++) {
            assert_int_equal(acquire(parts.lock, way, MUSTER_NOWAIT), MUSTER_OK);
            for (enum way again = READ; again <= WRITE; again++)
                assert_int_equal(acquire(parts.lock, again, MUSTER_FOREVER), MUSTER_ERR_DEADLOCK);
            assert_non_null(strstr(muster_err_detail(), "'test'"));
            if (way == READ)
                assert_int_equal(muster_rwlock_downgrade(parts.lock), MUSTER_ERR_STATE);
            assert_int_equal(muster_rwlock_release(parts.lock), MUSTER_OK);
            assert_int_equal(muster_rwlock_release(parts.lock), MUSTER_ERR_STATE);
        }
        parts_end(parts);
    }
}

static void others_get_in_or_not(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    for (enum way way = READ; way <= WRITE; way++) {
        struct parts parts = parts_make(home);
        muster_process holder = start_on(last_rank(), way == READ ? hold_read : hold_write, &parts, sizeof parts);
        assert_int_equal(hear(parts.out), MUSTER_OK);
        assert_int_equal(muster_rwlock_release(parts.lock), MUSTER_ERR_STATE);
        assert_int_equal(acquire(parts.lock, WRITE, MUSTER_NOWAIT), MUSTER_ERR_BUSY);
        ASSERT_TAKES(20, acquire(parts.lock, WRITE, 20), MUSTER_ERR_TIMEOUT);
        if (way == READ) {
            assert_int_equal(acquire(parts.lock, READ, MUSTER_NOWAIT), MUSTER_OK);
            assert_int_equal(muster_rwlock_release(parts.lock), MUSTER_OK);
        } else {
            assert_int_equal(acquire(parts.lock, READ, MUSTER_NOWAIT), MUSTER_ERR_BUSY);
            ASSERT_TAKES(20, acquire(parts.lock, READ, 20), MUSTER_ERR_TIMEOUT);
        }
        say(parts.in, 1);
        join(holder);
        assert_int_equal(acquire(parts.lock, WRITE, MUSTER_NOWAIT), MUSTER_OK);
        assert_int_equal(muster_rwlock_release(parts.lock), MUSTER_OK);
        parts_end(parts);
    }
}

/* Keeps on reading; each time that it gets in it adds to the value. */
static int read_on(const void *arg, size_t size)
{
    (void)size;
    const struct parts *parts = arg;
    muster_err err;
    while ((err = muster_rwlock_acquire_read(parts->lock, MUSTER_FOREVER)) == MUSTER_OK) {
        MUST(muster_value_i64_add(parts->value, 1, NULL) == MUSTER_OK);
        err = muster_rwlock_release(parts->lock); /* it may be destroyed at any time */
        MUST(err == MUSTER_OK || err == MUSTER_ERR_STALE);
    }
    MUST(err == MUSTER_ERR_CLOSED || err == MUSTER_ERR_STALE);
    return 0;
}

static int64_t readings(const struct parts *parts)
{
    int64_t count = -1;
    assert_int_equal(muster_value_i64_load(parts->value, &count), MUSTER_OK);
    return count;
}

static void await_readings(const struct parts *parts, int64_t count)
{
    while (readings(parts) < count)
        nap_us(100);
}

/* Who has come to write lets in nobody but who was within, and has it when they are out: counted, not timed. */
static void writers_are_not_starved(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    {
        struct parts parts = parts_make(home);
        muster_process readers[8];
        start_crowd(readers, read_on, &parts, sizeof parts);
        await_readings(&parts, crowd());
        muster_process within = start_on(1, hold_read, &parts, sizeof parts);
        assert_int_equal(hear(parts.out), MUSTER_OK);
        muster_process writer = start_on(last_rank(), hold_write, &parts, sizeof parts);
        muster_err err;
        while ((err = acquire(parts.lock, READ, MUSTER_NOWAIT)) == MUSTER_OK) /* until the writer has come */
            assert_int_equal(muster_rwlock_release(parts.lock), MUSTER_OK);
        assert_int_equal(err, MUSTER_ERR_BUSY);
        int64_t then = readings(&parts);
        for (int i = 0; i < 20; i++)
            assert_int_equal(acquire(parts.lock, READ, i % 2), i % 2 ? MUSTER_ERR_TIMEOUT : MUSTER_ERR_BUSY);
        assert_in_range(readings(&parts), then, then + crowd()); /* those who were within */
        say(parts.in, 1);                                        /* the reader that is within goes */
        assert_int_equal(hear(parts.out), MUSTER_OK);            /* the writer has it */
        join(within);
        then = readings(&parts);
        assert_int_equal(acquire(parts.lock, READ, 20), MUSTER_ERR_TIMEOUT);
        assert_int_equal(readings(&parts), then);
        say(parts.in, 1);
        join(writer);
        await_readings(&parts, then + crowd());
        assert_int_equal(muster_rwlock_destroy(parts.lock), MUSTER_OK);
        join_crowd(readers);
        muster_object_options options = at_rank(home);
        assert_int_equal(muster_rwlock_create(&parts.lock, &options), MUSTER_OK); /* for parts_end */
        parts_end(parts);
    }
}

/* ---- deaths ---- */

static int tell_how(const void *arg, size_t size)
{
    (void)size;
    const struct parts *parts = arg;
    muster_err err = acquire(parts->lock, READ, MUSTER_FOREVER);
    MUST(err == MUSTER_OK || err == MUSTER_ERR_OWNER_DEAD);
    MUST(muster_rwlock_release(parts->lock) == MUSTER_OK);
    say(parts->out, err);
    return 0;
}

/* 63: OWNER_DEAD exactly when a writer died writing, for all until somebody writes. */
static void a_writer_dies(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    for (int at = 0; at < muster_ranks(); at += last_rank() ? last_rank() : 1) {
        struct parts parts = parts_make(home);
        muster_process writer = start_on(at, hold_write, &parts, sizeof parts);
        assert_int_equal(hear(parts.out), MUSTER_OK);
        muster_process reader = start_on(1, tell_how, &parts, sizeof parts); /* may wait already */
        end_by_kill(writer);
        assert_int_equal(hear(parts.out), MUSTER_ERR_OWNER_DEAD);
        join(reader);
        assert_int_equal(acquire(parts.lock, READ, MUSTER_FOREVER), MUSTER_ERR_OWNER_DEAD);
        reader = start_on(last_rank(), tell_how, &parts, sizeof parts); /* beside another one */
        assert_int_equal(hear(parts.out), MUSTER_ERR_OWNER_DEAD);
        join(reader);
        assert_int_equal(muster_rwlock_release(parts.lock), MUSTER_OK);
        assert_int_equal(acquire(parts.lock, WRITE, MUSTER_FOREVER), MUSTER_ERR_OWNER_DEAD);
        assert_int_equal(muster_rwlock_release(parts.lock), MUSTER_OK);
        assert_int_equal(acquire(parts.lock, READ, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(muster_rwlock_release(parts.lock), MUSTER_OK);
        parts_end(parts);
    }
}

static void a_reader_or_a_waiting_writer_dies(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    for (int at = 0; at < muster_ranks(); at += last_rank() ? last_rank() : 1) {
        struct parts parts = parts_make(home);
        muster_process reader = start_on(at, hold_read, &parts, sizeof parts);
        assert_int_equal(hear(parts.out), MUSTER_OK);
        muster_process waits = start_on(at, hold_write, &parts, sizeof parts);
        muster_err err;
        while ((err = acquire(parts.lock, READ, MUSTER_NOWAIT)) == MUSTER_OK) /* until it has come */
            assert_int_equal(muster_rwlock_release(parts.lock), MUSTER_OK);
        assert_int_equal(err, MUSTER_ERR_BUSY);
        end_by_kill(waits);
        assert_int_equal(acquire(parts.lock, READ, MUSTER_FOREVER), MUSTER_OK); /* it keeps nobody out */
        assert_int_equal(muster_rwlock_release(parts.lock), MUSTER_OK);
        muster_process writer = start_on(1, hold_write, &parts, sizeof parts);
        end_by_kill(reader);
        assert_int_equal(hear(parts.out), MUSTER_OK); /* nobody has died writing */
        say(parts.in, 1);
        join(writer);
        parts_end(parts);
    }
}

/* A thread that ends is as a process that dies: 59. */
static void *acquire_and_end(void *arg)
{
    const struct parts *parts = arg;
    MUST(muster_rwlock_acquire_write(parts->lock, MUSTER_FOREVER) == MUSTER_OK);
    for (int i = 0; i < 3; i++)
        MUST(muster_rlock_acquire(parts->rlock, MUSTER_FOREVER) == MUSTER_OK);
    return NULL;
}

static int end_thread_writing(const void *arg, size_t size)
{
    (void)size;
    struct parts parts = *(const struct parts *)arg;
    pthread_t thread;
    MUST(pthread_create(&thread, NULL, acquire_and_end, &parts) == 0 && pthread_join(thread, NULL) == 0);
    say(parts.out, 1);
    hear(parts.in);
    return 0;
}

static void a_thread_ends(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    {
        struct parts parts = parts_make(home);
        muster_process process = start_on(last_rank(), end_thread_writing, &parts, sizeof parts);
        assert_int_equal(hear(parts.out), 1);
        assert_int_equal(acquire(parts.lock, WRITE, MUSTER_FOREVER), MUSTER_ERR_OWNER_DEAD);
        assert_int_equal(muster_rwlock_release(parts.lock), MUSTER_OK);
        assert_int_equal(muster_rlock_acquire(parts.rlock, MUSTER_FOREVER), MUSTER_ERR_OWNER_DEAD);
        assert_int_equal(muster_rlock_release(parts.rlock), MUSTER_OK);
        assert_int_equal(muster_rlock_release(parts.rlock), MUSTER_ERR_STATE);
        say(parts.in, 1);
        join(process);
        parts_end(parts);
    }
}

/* ---- rlock ---- */

static int try_rlock(const void *arg, size_t size)
{
    (void)size;
    const struct parts *parts = arg;
    muster_err err = muster_rlock_acquire(parts->rlock, MUSTER_NOWAIT);
    MUST(muster_rlock_release(parts->rlock) == (err ? MUSTER_ERR_STATE : MUSTER_OK));
    say(parts->out, err);
    return 0;
}

static muster_err tried(const struct parts *parts)
{
    muster_process process = start_on(last_rank(), try_rlock, parts, sizeof *parts);
    muster_err err = (muster_err)hear(parts->out);
    join(process);
    return err;
}

/* 45: depth 3 needs 3 releases. */
static void rlock_has_a_depth(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    {
        struct parts parts = parts_make(home);
        assert_int_equal(muster_rlock_release(parts.rlock), MUSTER_ERR_STATE);
        for (int round = 0; round < 2; round++) {
            for (int i = 0; i < 3; i++)
                assert_int_equal(muster_rlock_acquire(parts.rlock, i ? MUSTER_NOWAIT : MUSTER_FOREVER), MUSTER_OK);
            for (int i = 0; i < 3; i++) {
                assert_int_equal(tried(&parts), MUSTER_ERR_BUSY);
                assert_int_equal(muster_rlock_release(parts.rlock), MUSTER_OK);
            }
            assert_int_equal(muster_rlock_release(parts.rlock), MUSTER_ERR_STATE);
            assert_int_equal(tried(&parts), MUSTER_OK);
        }
        parts_end(parts);
    }
}

static int hold_rlock(const void *arg, size_t size)
{
    (void)size;
    const struct parts *parts = arg;
    for (int i = 0; i < 3; i++)
        MUST(muster_rlock_acquire(parts->rlock, MUSTER_FOREVER) == MUSTER_OK);
    say(parts->out, 1);
    hear(parts->in);
    for (int i = 0; i < 3; i++)
        MUST(muster_rlock_release(parts->rlock) == MUSTER_OK);
    return 0;
}

/* Whoever has it next has it once. */
static void rlock_is_held(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    for (int dies = 0; dies < 2; dies++) {
        struct parts parts = parts_make(home);
        muster_process holder = start_on(last_rank(), hold_rlock, &parts, sizeof parts);
        assert_int_equal(hear(parts.out), 1);
        assert_int_equal(muster_rlock_acquire(parts.rlock, MUSTER_NOWAIT), MUSTER_ERR_BUSY);
        ASSERT_TAKES(20, muster_rlock_acquire(parts.rlock, 20), MUSTER_ERR_TIMEOUT);
        assert_int_equal(muster_rlock_release(parts.rlock), MUSTER_ERR_STATE);
        if (dies) {
            end_by_kill(holder);
        } else {
            say(parts.in, 1);
            join(holder);
        }
        assert_int_equal(muster_rlock_acquire(parts.rlock, MUSTER_FOREVER), dies ? MUSTER_ERR_OWNER_DEAD : MUSTER_OK);
        assert_int_equal(muster_rlock_release(parts.rlock), MUSTER_OK);
        assert_int_equal(muster_rlock_release(parts.rlock), MUSTER_ERR_STATE);
        parts_end(parts);
    }
}

static void deeper(const struct parts *parts, int depth)
{
    MUST(muster_rlock_acquire(parts->rlock, MUSTER_FOREVER) == MUSTER_OK);
    if (depth)
        deeper(parts, depth - 1);
    else
        change_canaries(parts, look_at_canaries(parts) + 1);
    MUST(muster_rlock_release(parts->rlock) == MUSTER_OK);
}

static int go_deep(const void *arg, size_t size)
{
    (void)size;
    for (int i = 0; i < ROUNDS; i++)
        deeper(arg, i % 5);
    return 0;
}

static void rlock_excludes(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    {
        struct parts parts = parts_make(home);
        muster_process processes[8];
        start_crowd(processes, go_deep, &parts, sizeof parts);
        join_crowd(processes);
        assert_int_equal(look_at_canaries(&parts), crowd() * ROUNDS);
        parts_end(parts);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_or_a_writer),  cmocka_unit_test(misuse),
        cmocka_unit_test(others_get_in_or_not), cmocka_unit_test(writers_are_not_starved),
        cmocka_unit_test(a_writer_dies),        cmocka_unit_test(a_reader_or_a_waiting_writer_dies),
        cmocka_unit_test(a_thread_ends),        cmocka_unit_test(rlock_has_a_depth),
        cmocka_unit_test(rlock_is_held),        cmocka_unit_test(rlock_excludes),
    };
    return mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "rwlock");
}
