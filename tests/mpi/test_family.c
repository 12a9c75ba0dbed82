/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All kinds of the family alike, conformance 51, 57 and 67: destroyed under those who wait, with new ones of each kind
 * made at once, at home here and on the last host; and what may not be given.
 */
#include "support/cast.h"

/* One of each kind, new; whoever waits on any of them waits for ever. */
struct family {
    muster_event event;
    muster_semaphore semaphore;
    muster_barrier barrier;
    muster_lock lock;
    muster_rlock rlock;
    muster_rwlock rwlock;
    muster_counter counter;
    muster_dict dict;
    muster_queue queue;
};

enum kind { EVENT, SEMAPHORE, BARRIER, LOCK, RLOCK, RWLOCK, COUNTER, DICT, QUEUE, KINDS };

static void make(struct family *family, enum kind kind, const muster_object_options *options)
{
    muster_queue_options of_queue = {.on = options->on};
    muster_err err = kind == EVENT       ? muster_event_create(&family->event, options)
                     : kind == SEMAPHORE ? muster_semaphore_create(&family->semaphore, 0, 0, options)
                     : kind == BARRIER   ? muster_barrier_create(&family->barrier, 1000, options)
                     : kind == LOCK      ? muster_lock_create(&family->lock, options)
                     : kind == RLOCK     ? muster_rlock_create(&family->rlock, options)
                     : kind == RWLOCK    ? muster_rwlock_create(&family->rwlock, options)
                     : kind == COUNTER   ? muster_counter_create(&family->counter, 0, options)
                     : kind == DICT      ? muster_dict_create(&family->dict, options)
                                         : muster_queue_create(&family->queue, &of_queue);
    assert_int_equal(err, MUSTER_OK);
    /* held by main: others wait */
    if (kind == LOCK)
        assert_int_equal(muster_lock_acquire(family->lock, MUSTER_FOREVER), MUSTER_OK);
    if (kind == RLOCK)
        assert_int_equal(muster_rlock_acquire(family->rlock, MUSTER_FOREVER), MUSTER_OK);
    if (kind == RWLOCK)
        assert_int_equal(muster_rwlock_acquire_read(family->rwlock, MUSTER_FOREVER), MUSTER_OK);
}

static muster_err end(const struct family *family, enum kind kind)
{
    switch (kind) {
    case EVENT:
        return muster_event_destroy(family->event);
    case SEMAPHORE:
        return muster_semaphore_destroy(family->semaphore);
    case BARRIER:
        return muster_barrier_destroy(family->barrier);
    case LOCK:
        return muster_lock_destroy(family->lock);
    case RLOCK:
        return muster_rlock_destroy(family->rlock);
    case RWLOCK:
        return muster_rwlock_destroy(family->rwlock);
    case COUNTER:
        return muster_counter_destroy(family->counter);
    case DICT:
        return muster_dict_destroy(family->dict);
    default:
        return muster_queue_destroy(family->queue);
    }
}

static muster_err wait_on(const struct family *family, enum kind kind, int64_t timeout_ms)
{
    char room[8];
    switch (kind) {
    case EVENT:
        return muster_event_wait(family->event, timeout_ms);
    case SEMAPHORE:
        return muster_semaphore_acquire(family->semaphore, timeout_ms);
    case BARRIER:
        return muster_barrier_wait(family->barrier, NULL, timeout_ms);
    case LOCK:
        return muster_lock_acquire(family->lock, timeout_ms);
    case RLOCK:
        return muster_rlock_acquire(family->rlock, timeout_ms);
    case RWLOCK:
        return muster_rwlock_acquire_write(family->rwlock, timeout_ms);
    case COUNTER:
        return muster_counter_wait(family->counter, 1, timeout_ms, NULL);
    case DICT:
        return muster_dict_get(family->dict, "key", room, sizeof room, NULL, timeout_ms);
    default:
        return muster_queue_get(family->queue, room, sizeof room, NULL, timeout_ms);
    }
}

/* As it was made: nobody but main has done anything with it. */
static void assert_new(const struct family *family)
{
    bool is_set = true, is_broken = true;
    int64_t permits = -1, value = -1, keys = -1, items = -1;
    int waiting = -1;
    assert_int_equal(muster_event_is_set(family->event, &is_set), MUSTER_OK);
    assert_int_equal(muster_semaphore_value(family->semaphore, &permits), MUSTER_OK);
    assert_int_equal(muster_barrier_state(family->barrier, &waiting, &is_broken), MUSTER_OK);
    assert_int_equal(muster_counter_value(family->counter, &value), MUSTER_OK);
    assert_int_equal(muster_dict_size(family->dict, &keys), MUSTER_OK);
    assert_int_equal(muster_queue_size(family->queue, &items), MUSTER_OK);
    assert_false(is_set || is_broken);
    assert_true(permits == 0 && waiting == 0 && value == 0 && keys == 0 && items == 0);
    assert_int_equal(muster_lock_release(family->lock), MUSTER_OK);
    assert_int_equal(muster_rlock_release(family->rlock), MUSTER_OK);
    assert_int_equal(muster_rwlock_release(family->rwlock), MUSTER_OK);
    assert_int_equal(muster_rwlock_acquire_write(family->rwlock, MUSTER_NOWAIT), MUSTER_OK);
}

struct task {
    struct family family;
    int64_t kind; /* negative: no more */
};

struct parts {
    muster_queue in, out;
};

static int wait_for_ends(const void *arg, size_t size)
{
    (void)size;
    const struct parts *parts = arg;
    for (;;) {
        struct task task;
        MUST(muster_queue_get(parts->in, &task, sizeof task, NULL, MUSTER_FOREVER) == MUSTER_OK);
        if (task.kind < 0)
            return 0;
        say(parts->out, -1);
        say(parts->out, wait_on(&task.family, (enum kind)task.kind, MUSTER_FOREVER));
    }
}

static void send(const struct parts *parts, const struct family *family, int64_t kind)
{
    struct task task = {*family, kind};
    assert_int_equal(muster_queue_put(parts->in, &task, sizeof task, MUSTER_FOREVER), MUSTER_OK);
}

enum { ROUNDS = 1000, WAITERS = 4 };

/* Who waits is told CLOSED, or STALE if it had not begun to; never anything else, nor does it touch what is new. */
static void destroyed_with_waiters(void **state)
{
    (void)state;
    struct parts parts = {queue_make(), queue_make()};
    muster_process waiters[WAITERS];
    int homes = last_rank() ? 2 : 1, closed = 0;
    for (int i = 0; i < WAITERS; i++)
        waiters[i] = start_on(i % 2 ? last_rank() : 0, wait_for_ends, &parts, sizeof parts);
    for (int round = 0; round < ROUNDS; round++) {
        muster_object_options options = at_rank(round % homes ? last_rank() : 0);
        enum kind kind = round / homes % KINDS;
        struct family old, family;
        make(&old, kind, &options);
        for (int i = 0; i < WAITERS; i++)
            send(&parts, &old, kind);
        for (int i = 0; i < WAITERS; i++)
            assert_int_equal(hear(parts.out), -1); /* it is about to wait */
        if (round % 3 == 0)
            nap_us(500);
        assert_int_equal(end(&old, kind), MUSTER_OK);
        for (enum kind each = 0; each < KINDS; each++)
            make(&family, each, &options);
        for (int i = 0; i < WAITERS; i++) {
            int64_t err = hear(parts.out);
            if (err != MUSTER_ERR_CLOSED && err != MUSTER_ERR_STALE)
                fail_msg("kind %d, round %d: err %lld", (int)kind, round, (long long)err);
            closed += err == MUSTER_ERR_CLOSED;
        }
        assert_int_equal(wait_on(&old, kind, MUSTER_FOREVER), MUSTER_ERR_STALE);
        assert_int_equal(end(&old, kind), MUSTER_ERR_STALE);
        assert_new(&family);
        for (enum kind each = 0; each < KINDS; each++)
            assert_int_equal(end(&family, each), MUSTER_OK);
    }
    assert_true(closed > 0); /* some did wait */
    for (int i = 0; i < WAITERS; i++)
        send(&parts, &(struct family){.event = {{0}}}, -1);
    for (int i = 0; i < WAITERS; i++)
        join(waiters[i]);
    assert_int_equal(muster_queue_destroy(parts.in), MUSTER_OK);
    assert_int_equal(muster_queue_destroy(parts.out), MUSTER_OK);
}

/* 67 */
static void what_may_not_be_given(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    {
        struct family family;
        muster_object_options options = at_rank(home), nowhere = at_rank(muster_ranks());
        static const int64_t times[] = {-2, INT64_MIN};
        for (enum kind kind = 0; kind < KINDS; kind++)
            make(&family, kind, &options);
        for (enum kind kind = 0; kind < KINDS; kind++)
            for (int i = 0; i < 2; i++)
                assert_int_equal(wait_on(&family, kind, times[i]), MUSTER_ERR_INVAL);
        assert_int_equal(muster_event_create(NULL, &options), MUSTER_ERR_INVAL);
        assert_int_equal(muster_semaphore_create(NULL, 0, 0, &options), MUSTER_ERR_INVAL);
        assert_int_equal(muster_barrier_create(NULL, 1, &options), MUSTER_ERR_INVAL);
        assert_int_equal(muster_rlock_create(NULL, &options), MUSTER_ERR_INVAL);
        assert_int_equal(muster_rwlock_create(NULL, &options), MUSTER_ERR_INVAL);
        assert_int_equal(muster_counter_create(NULL, 0, &options), MUSTER_ERR_INVAL);
        assert_int_equal(muster_dict_create(NULL, &options), MUSTER_ERR_INVAL);
        assert_int_equal(muster_array_create(NULL, 1, 8, &options), MUSTER_ERR_INVAL);
        assert_int_equal(muster_condition_create(NULL, family.lock, NULL), MUSTER_ERR_INVAL);
        assert_int_equal(muster_event_create(&family.event, &nowhere), MUSTER_ERR_INVAL);
        assert_int_equal(muster_semaphore_create(&family.semaphore, 0, 0, &nowhere), MUSTER_ERR_INVAL);
        assert_int_equal(muster_rwlock_create(&family.rwlock, &nowhere), MUSTER_ERR_INVAL);
        assert_int_equal(muster_event_is_set(family.event, NULL), MUSTER_ERR_INVAL);
        assert_int_equal(muster_semaphore_value(family.semaphore, NULL), MUSTER_ERR_INVAL);
        for (int64_t n = 0; n > -3; n--)
            assert_int_equal(muster_semaphore_release(family.semaphore, n), MUSTER_ERR_INVAL);
        assert_int_equal(muster_semaphore_release(family.semaphore, INT64_MIN), MUSTER_ERR_INVAL);
        assert_int_equal(muster_counter_value(family.counter, NULL), MUSTER_ERR_INVAL);
        assert_int_equal(muster_dict_set(family.dict, NULL, "", 1), MUSTER_ERR_INVAL);
        assert_int_equal(muster_dict_set(family.dict, "key", NULL, 1), MUSTER_ERR_INVAL);
        assert_int_equal(muster_dict_set(family.dict, "key", "", SIZE_MAX), MUSTER_ERR_INVAL);
        assert_int_equal(muster_dict_get(family.dict, "key", NULL, 1, NULL, MUSTER_NOWAIT), MUSTER_ERR_INVAL);
        assert_int_equal(muster_dict_size(family.dict, NULL), MUSTER_ERR_INVAL);
        assert_new(&family);
        for (enum kind kind = 0; kind < KINDS; kind++)
            assert_int_equal(end(&family, kind), MUSTER_OK);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(destroyed_with_waiters),
        cmocka_unit_test(what_may_not_be_given),
    };
    return mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "family");
}
