/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Synchronisation objects, a step at a time: what can happen between any two instructions of several parties, and what
 * the end of one of them leaves behind.
 */
#include "family_case.h"

#include <muster/barrier.h>
#include <muster/condition.h>
#include <muster/counter.h>
#include <muster/event.h>
#include <muster/once.h>
#include <muster/rwlock.h>
#include <muster/semaphore.h>

static int64_t permits(muster_semaphore semaphore)
{
    int64_t value = -1;
    assert_int_equal(muster_semaphore_value(semaphore, &value), MUSTER_OK);
    return value;
}

static struct actor acquires(muster_semaphore semaphore, uint32_t who)
{
    return actor(semaphore.handle, MUSTER__SEMAPHORE, "muster_semaphore_acquire", who);
}

/* ---- event ---- */

static void a_set_is_seen_though_cleared_at_once(void **state)
{
    (void)state;
    muster_event event;
    assert_int_equal(muster_event_create(&event, NULL), MUSTER_OK);
    struct actor sleeps = actor(event.handle, MUSTER__EVENT, "muster_event_wait", 1),
                 looks = actor(event.handle, MUSTER__EVENT, "muster_event_wait", 2),
                 late = actor(event.handle, MUSTER__EVENT, "muster_event_wait", 3);
    actor_waits(&sleeps);
    assert_int_equal(actor_step(&looks), MUSTER__WAIT); /* it does not stand in line yet */
    assert_int_equal(muster_event_set(event), MUSTER_OK);
    assert_int_equal(muster_event_clear(event), MUSTER_OK);
    assert_int_equal(actor_wakes(&sleeps), MUSTER_OK);
    assert_int_equal(actor_rest(&looks), MUSTER_OK);
    actor_waits(&late);
    actor_leaves(&sleeps);
    actor_leaves(&looks);
    actor_leaves(&late);
    assert_nobody_waits(event.handle, MUSTER__EVENT);
}

/* ---- semaphore ---- */

/* Who came while a permit was kept for another one, and sleeps, is called for those that are left. */
static void permits_left_by_a_reservation_call(void **state)
{
    (void)state;
    muster_semaphore semaphore;
    assert_int_equal(muster_semaphore_create(&semaphore, 0, 0, NULL), MUSTER_OK);
    struct actor first = acquires(semaphore, 1), faster = acquires(semaphore, 2), later = acquires(semaphore, 3),
                 watches = acquires(semaphore, 4);
    actor_waits(&first);
    assert_int_equal(muster_semaphore_release(semaphore, 1), MUSTER_OK);
    assert_int_equal(actor_step(&faster), MUSTER_OK);
    assert_int_equal(actor_wakes(&first), MUSTER__WAIT);
    assert_int_equal(actor_rest(&first), MUSTER__WAIT); /* the next one is kept for it */
    assert_int_equal(muster_semaphore_release(semaphore, 3), MUSTER_OK);
    actor_waits(&later);
    watches.step.watches = true;
    actor_waits(&watches);
    assert_int_equal(actor_wakes(&first), MUSTER_OK);
    assert_int_equal(actor_wakes(&later), MUSTER_OK);
    assert_int_equal(actor_wakes(&watches), MUSTER_OK);
    assert_int_equal(permits(semaphore), 1);
    actor_leaves(&first);
    actor_leaves(&later);
    actor_leaves(&watches);
    assert_nobody_waits(semaphore.handle, MUSTER__SEMAPHORE);
}

/* Nobody keeps a permit and goes: called, called in vain, or before the call. */
static void who_leaves_passes_a_permit_on(void **state)
{
    (void)state;
    for (int moment = 0; moment < 4; moment++) {
        muster_semaphore semaphore;
        assert_int_equal(muster_semaphore_create(&semaphore, 0, 0, NULL), MUSTER_OK);
        struct actor leaves = acquires(semaphore, 1), stays = acquires(semaphore, 2), faster = acquires(semaphore, 3);
        actor_waits(&leaves);
        actor_waits(&stays);
        if (moment == 0)
            actor_leaves(&leaves);
        assert_int_equal(muster_semaphore_release(semaphore, 1), MUSTER_OK);
        if (moment == 1)
            actor_leaves(&leaves);
        if (moment >= 2) {
            assert_int_equal(actor_step(&faster), MUSTER_OK);
            assert_int_equal(actor_wakes(&leaves), MUSTER__WAIT);
        }
        if (moment == 2)
            actor_leaves(&leaves);
        if (moment == 3) {
            assert_int_equal(actor_rest(&leaves), MUSTER__WAIT);
            actor_leaves(&leaves);
        }
        if (moment >= 2)
            assert_int_equal(muster_semaphore_release(semaphore, 1), MUSTER_OK);
        assert_int_equal(actor_wakes(&stays), MUSTER_OK);
        actor_leaves(&stays);
        assert_int_equal(permits(semaphore), 0);
        assert_nobody_waits(semaphore.handle, MUSTER__SEMAPHORE);
        assert_int_equal(muster_semaphore_destroy(semaphore), MUSTER_OK);
    }
}

/* What is given back since it was granted too late may be beyond the bound that releases meanwhile have filled. */
static void an_undone_permit_is_there_again(void **state)
{
    (void)state;
    muster_semaphore semaphore;
    assert_int_equal(muster_semaphore_create(&semaphore, 1, 1, NULL), MUSTER_OK);
    struct actor gone = acquires(semaphore, 1), waits = acquires(semaphore, 2);
    assert_int_equal(actor_step(&gone), MUSTER_OK);
    actor_waits(&waits);
    gone.op->undo(&gone.step, false);
    assert_int_equal(actor_wakes(&waits), MUSTER_OK);
    actor_leaves(&waits);
    assert_int_equal(muster_semaphore_release(semaphore, 1), MUSTER_OK);
    assert_int_equal(muster_semaphore_release(semaphore, 1), MUSTER_ERR_STATE);
    assert_int_equal(permits(semaphore), 1);
}

/* ---- barrier ---- */

static struct actor comes(muster_barrier barrier, uint32_t who)
{
    return actor(barrier.handle, MUSTER__BARRIER, "muster_barrier_wait", who);
}

static void one_round(muster_barrier barrier)
{
    struct actor one = comes(barrier, 1), other = comes(barrier, 2);
    actor_waits(&one);
    assert_int_equal(actor_step(&other), MUSTER_OK);
    assert_int_equal(actor_wakes(&one), MUSTER_OK);
    assert_int_equal(one.arg.out[0] + other.arg.out[0], 1);
    actor_leaves(&one);
    actor_leaves(&other);
}

/* Who looks late is told how its own round ended, not another one. */
static void a_round_ends_as_it_ended(void **state)
{
    (void)state;
    enum { ROUNDS = 40, KNOWN = 16 };
    muster_barrier barrier;
    struct actor late[ROUNDS];
    bool broken[ROUNDS];
    int resets[ROUNDS], count = 0;
    assert_int_equal(muster_barrier_create(&barrier, 2, NULL), MUSTER_OK);
    for (int i = 0; i < ROUNDS; i++) {
        late[i] = comes(barrier, 1);
        actor_waits(&late[i]);
        broken[i] = i % 3 == 1 || i % 8 == 0;
        resets[i] = count;
        count += broken[i];
        if (broken[i]) {
            assert_int_equal(muster_barrier_reset(barrier), MUSTER_OK);
            continue;
        }
        struct actor completes = comes(barrier, 2);
        assert_int_equal(actor_step(&completes), MUSTER_OK);
        actor_leaves(&completes);
    }
    for (int i = 0; i < ROUNDS; i++) {
        bool told_broken = actor_wakes(&late[i]) == MUSTER_ERR_BROKEN;
        assert_true(told_broken || late[i].err == MUSTER_OK);
        assert_int_equal(late[i].arg.out[0], 0);
        if (count - resets[i] <= KNOWN)
            assert_int_equal(told_broken, broken[i]);
        else
            assert_true(told_broken);
        actor_leaves(&late[i]);
    }
    one_round(barrier);
    assert_nobody_waits(barrier.handle, MUSTER__BARRIER);
}

static void who_has_no_time_breaks_a_barrier(void **state)
{
    (void)state;
    muster_barrier barrier;
    assert_int_equal(muster_barrier_create(&barrier, 2, NULL), MUSTER_OK);
    struct actor waits = comes(barrier, 1), hastes = comes(barrier, 2);
    actor_waits(&waits);
    hastes.step.nowait = true;
    assert_int_equal(actor_step(&hastes), MUSTER_OK); /* it was the last */
    assert_int_equal(actor_wakes(&waits), MUSTER_OK);
    actor_leaves(&waits);
    struct actor alone = comes(barrier, 3);
    alone.step.nowait = true;
    assert_int_equal(actor_step(&alone), MUSTER_ERR_BROKEN);
    int waiting = -1;
    bool is_broken = false;
    assert_int_equal(muster_barrier_state(barrier, &waiting, &is_broken), MUSTER_OK);
    assert_true(is_broken && waiting == 0);
    assert_int_equal(muster_barrier_wait(barrier, NULL, MUSTER_FOREVER), MUSTER_ERR_BROKEN);
    assert_int_equal(muster_barrier_reset(barrier), MUSTER_OK);
    one_round(barrier);
}

/* Who leaves when its round is over breaks neither that nor the next one. */
static void who_leaves_breaks_its_own_round(void **state)
{
    (void)state;
    muster_barrier barrier;
    bool is_broken;
    assert_int_equal(muster_barrier_create(&barrier, 2, NULL), MUSTER_OK);
    struct actor leaves = comes(barrier, 1), stays = comes(barrier, 2);
    actor_waits(&leaves);
    actor_leaves(&leaves);
    assert_int_equal(actor_step(&stays), MUSTER_ERR_BROKEN);
    assert_int_equal(muster_barrier_reset(barrier), MUSTER_OK);

    struct actor late = comes(barrier, 1), last = comes(barrier, 2);
    actor_waits(&late);
    assert_int_equal(actor_step(&last), MUSTER_OK);
    actor_leaves(&late); /* its time was over at the same moment */
    assert_int_equal(muster_barrier_state(barrier, NULL, &is_broken), MUSTER_OK);
    assert_false(is_broken);
    one_round(barrier);
}

/* The last one to come had given up before: the others find that out in the next round, unless that is over, too. */
static void a_party_that_came_too_late(void **state)
{
    (void)state;
    for (int rounds_since = 0; rounds_since < 2; rounds_since++) {
        muster_barrier barrier;
        bool is_broken;
        assert_int_equal(muster_barrier_create(&barrier, 2, NULL), MUSTER_OK);
        struct actor waits = comes(barrier, 1), gone = comes(barrier, 2);
        actor_waits(&waits);
        assert_int_equal(actor_step(&gone), MUSTER_OK);
        assert_int_equal(actor_wakes(&waits), MUSTER_OK);
        actor_leaves(&waits);
        if (rounds_since)
            one_round(barrier);
        gone.op->undo(&gone.step, false);
        assert_int_equal(muster_barrier_state(barrier, NULL, &is_broken), MUSTER_OK);
        assert_int_equal(is_broken, !rounds_since);
        assert_int_equal(muster_barrier_destroy(barrier), MUSTER_OK);
    }
}

static void parties_have_bounds(void **state)
{
    (void)state;
    muster_barrier barrier = {{.slot = 77}};
    assert_int_equal(muster_barrier_create(&barrier, 1000001, NULL), MUSTER_ERR_INVAL);
    assert_int_equal(barrier.handle.slot, 77);
    assert_int_equal(muster_barrier_create(&barrier, 1000000, NULL), MUSTER_OK);
    assert_int_equal(muster_barrier_destroy(barrier), MUSTER_OK);
    assert_int_equal(muster_barrier_create(&barrier, 1, NULL), MUSTER_OK);
    bool leader = false;
    assert_int_equal(muster_barrier_wait(barrier, &leader, MUSTER_NOWAIT), MUSTER_OK);
    assert_true(leader);
}

/* ---- condition ---- */

static muster_condition condition_make(void)
{
    muster_lock lock;
    muster_condition condition;
    assert_int_equal(muster_lock_create(&lock, NULL), MUSTER_OK);
    assert_int_equal(muster_condition_create(&condition, lock, NULL), MUSTER_OK);
    return condition;
}

static struct actor awaits(muster_condition condition, uint32_t who)
{
    return actor(condition.handle, MUSTER__CONDITION, "muster_condition_wait", who);
}

static int64_t notify(muster_condition condition, int64_t n)
{
    struct actor a = actor(condition.handle, MUSTER__CONDITION, "muster_condition_notify", 99);
    a.arg.in[0] = n;
    assert_int_equal(actor_step(&a), MUSTER_OK);
    muster__waiter_free(a.waiter);
    return a.arg.out[0];
}

static void repaired(muster_condition condition)
{
    struct muster__object *object = muster__object_find(condition.handle, MUSTER__CONDITION);
    muster__class_of(MUSTER__CONDITION)->repair(object, condition.handle.generation, 4999, muster__self_number());
}

/* As many go on as were notified, whoever leaves meanwhile and whenever. */
static void a_notice_is_not_lost(void **state)
{
    (void)state;
    for (int moment = 0; moment < 3; moment++) {
        muster_condition condition = condition_make();
        struct actor a = awaits(condition, 1), b = awaits(condition, 2), c = awaits(condition, 3);
        actor_waits(&a);
        actor_waits(&b);
        assert_int_equal(actor_step(&c), MUSTER__WAIT); /* it has given up the lock, and does not stand yet */
        if (moment == 0)
            actor_leaves(&a);
        assert_int_equal(notify(condition, 1), 1);
        if (moment == 1)
            actor_leaves(&a);
        if (moment == 2)
            actor_leaves(&b); /* who was not called */
        struct actor *called = moment == 2 ? &a : &b;
        assert_int_equal(actor_wakes(called), MUSTER_OK);
        actor_leaves(called);
        assert_int_equal(actor_rest(&c), MUSTER__WAIT);
        assert_int_equal(notify(condition, 5), 1);
        assert_int_equal(actor_wakes(&c), MUSTER_OK);
        actor_leaves(&c);
        assert_int_equal(notify(condition, 5), 0);
        assert_nobody_waits(condition.handle, MUSTER__CONDITION);
    }
}

/* As if the caller with that number slept there. */
static void sleeps_as(struct actor *a, uint32_t caller)
{
    actor_waits(a);
    atomic_store(&muster__waiter(a->waiter)->owner, caller);
    atomic_store(&muster__caller(caller)->asleep, 1);
}

/* Rung by the holder of the lock, one is woken by what lets it go on or keeps that from happening soon. */
static void who_is_notified_sleeps_until_the_release(void **state)
{
    enum { FIRST = 6001, SECOND, THIRD };
    (void)state;
    muster_condition condition = condition_make();
    muster_lock lock = {condition.lock};
    struct actor a = awaits(condition, 1), b = awaits(condition, 2), c = awaits(condition, 3);
    sleeps_as(&a, FIRST);
    sleeps_as(&b, SECOND);
    sleeps_as(&c, THIRD);
    uint32_t bell = atomic_load(&muster__caller(FIRST)->bell);
    assert_int_equal(muster_lock_acquire(lock, MUSTER_NOWAIT), MUSTER_OK);
    assert_int_equal(muster_condition_notify(condition, 1, NULL), MUSTER_OK);
    assert_int_equal(atomic_load(&muster__caller(FIRST)->bell), bell + 1);
    assert_int_equal(muster__self_state.rung, FIRST);
    assert_int_equal(muster_condition_notify(condition, 1, NULL), MUSTER_OK); /* which wakes the one before */
    assert_int_equal(muster__self_state.rung, SECOND);
    assert_int_equal(muster_lock_release(lock), MUSTER_OK);
    assert_int_equal(muster__self_state.rung, 0);

    assert_int_equal(muster_lock_acquire(lock, MUSTER_NOWAIT), MUSTER_OK);
    assert_int_equal(muster_condition_notify_all(condition, NULL), MUSTER_OK);
    assert_int_equal(muster__self_state.rung, THIRD);
    muster__caller_blocks(true);
    assert_int_equal(muster__self_state.rung, 0);
    muster__caller_blocks(false);
    muster__ring(THIRD); /* by who does not notify: at once */
    assert_int_equal(muster__self_state.rung, 0);
    struct actor *all[] = {&a, &b, &c};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(actor_wakes(all[i]), MUSTER_OK);
        actor_leaves(all[i]);
    }
    assert_int_equal(muster_lock_release(lock), MUSTER_OK);
}

static void who_comes_later_takes_no_notice_of_others(void **state)
{
    (void)state;
    muster_condition condition = condition_make();
    struct actor there = awaits(condition, 1), later = awaits(condition, 2);
    actor_waits(&there);
    assert_int_equal(notify(condition, 3), 1);
    actor_waits(&later);
    assert_int_equal(actor_wakes(&there), MUSTER_OK);
    assert_false(actor_is_called(&later));
    assert_int_equal(notify(condition, 1), 1);
    assert_int_equal(actor_wakes(&later), MUSTER_OK);
    actor_leaves(&there);
    actor_leaves(&later);
}

/* A death has all go on, also who is just coming; and is over then: nobody is counted who does not wait. */
static void a_death_has_all_go_on_once(void **state)
{
    (void)state;
    muster_condition condition = condition_make();
    struct actor waits = awaits(condition, 1), comes_in = awaits(condition, 2), later = awaits(condition, 3);
    actor_waits(&waits);
    assert_int_equal(actor_step(&comes_in), MUSTER__WAIT);
    repaired(condition);
    assert_int_equal(actor_wakes(&waits), MUSTER_OK);
    assert_int_equal(actor_rest(&comes_in), MUSTER_OK);
    actor_leaves(&waits);
    actor_leaves(&comes_in);
    assert_int_equal(notify(condition, 1), 0);
    actor_waits(&later);
    assert_int_equal(notify(condition, 2), 1);
    assert_int_equal(actor_wakes(&later), MUSTER_OK);
    actor_leaves(&later);
}

/* What was notified for one who had given up goes to another one; what was for all does not. */
static void a_late_notice_goes_to_another(void **state)
{
    (void)state;
    muster_condition condition = condition_make();
    struct actor gone = awaits(condition, 1), stays = awaits(condition, 2);
    actor_waits(&gone);
    actor_waits(&stays);
    assert_int_equal(notify(condition, 1), 1);
    assert_int_equal(actor_wakes(&gone), MUSTER_OK);
    gone.op->undo(&gone.step, false);
    assert_int_equal(actor_wakes(&stays), MUSTER_OK);
    actor_leaves(&stays);

    struct actor all = awaits(condition, 3), next = awaits(condition, 4);
    actor_waits(&all);
    assert_int_equal(notify(condition, -1), 1);
    assert_int_equal(actor_wakes(&all), MUSTER_OK);
    actor_waits(&next);
    all.op->undo(&all.step, false);
    assert_false(actor_is_called(&next));
    actor_leaves(&next);
}

static void a_condition_that_is_gone_says_so(void **state)
{
    (void)state;
    muster_condition condition = condition_make();
    muster_lock lock = {condition.lock};
    assert_int_equal(muster_condition_destroy(condition), MUSTER_OK);
    assert_int_equal(muster_lock_acquire(lock, MUSTER_NOWAIT), MUSTER_OK);
    assert_int_equal(muster_condition_wait(condition, MUSTER_NOWAIT), MUSTER_ERR_STALE);
    assert_int_equal(muster_condition_wait(condition, 5), MUSTER_ERR_STALE);
    assert_int_equal(muster_condition_notify_all(condition, NULL), MUSTER_ERR_STALE);
    assert_int_equal(muster_lock_acquire(lock, MUSTER_NOWAIT), MUSTER_ERR_DEADLOCK); /* held as before */
    assert_int_equal(muster_lock_release(lock), MUSTER_OK);
}

/* ---- rwlock ---- */

static struct actor reads(muster_rwlock lock, uint32_t who)
{
    return actor(lock.handle, MUSTER__RWLOCK, "muster_rwlock_acquire_read", who);
}

static struct actor writes(muster_rwlock lock, uint32_t who)
{
    return actor(lock.handle, MUSTER__RWLOCK, "muster_rwlock_acquire_write", who);
}

static muster_err releases(muster_rwlock lock, uint32_t who)
{
    struct actor a = actor(lock.handle, MUSTER__RWLOCK, "muster_rwlock_release", who);
    muster__waiter_free(a.waiter);
    return actor_step(&a);
}

static void swept(muster_rwlock lock, uint32_t who)
{
    struct muster__object *object = muster__object_find(lock.handle, MUSTER__RWLOCK);
    muster__class_of(MUSTER__RWLOCK)->sweep(object, lock.handle.generation, 5000 + who, muster__self_number());
}

static muster_rwlock rwlock_make(void)
{
    muster_rwlock lock;
    assert_int_equal(muster_rwlock_create(&lock, NULL), MUSTER_OK);
    return lock;
}

static void a_writer_waits_for_those_within_only(void **state)
{
    (void)state;
    muster_rwlock lock = rwlock_make();
    struct actor r1 = reads(lock, 1), r2 = reads(lock, 2), w = writes(lock, 3), r4 = reads(lock, 4),
                 r5 = reads(lock, 5);
    assert_int_equal(actor_step(&r1), MUSTER_OK);
    assert_int_equal(actor_step(&r2), MUSTER_OK);
    actor_waits(&w);
    actor_waits(&r4); /* kept out, though others read */
    actor_waits(&r5);
    assert_int_equal(releases(lock, 1), MUSTER_OK);
    assert_int_equal(actor_wakes(&w), MUSTER__WAIT);
    assert_int_equal(actor_rest(&w), MUSTER__WAIT);
    assert_int_equal(releases(lock, 3), MUSTER_ERR_STATE); /* it does not write yet */
    assert_int_equal(releases(lock, 2), MUSTER_OK);
    assert_int_equal(actor_wakes(&w), MUSTER_OK);
    actor_leaves(&w);
    assert_int_equal(releases(lock, 3), MUSTER_OK);
    assert_int_equal(actor_wakes(&r4), MUSTER_OK); /* and calls the next one */
    actor_leaves(&r4);
    assert_int_equal(actor_wakes(&r5), MUSTER_OK);
    actor_leaves(&r5);
    assert_int_equal(releases(lock, 4), MUSTER_OK);
    assert_int_equal(releases(lock, 5), MUSTER_OK);
    assert_int_equal(muster_rwlock_acquire_write(lock, MUSTER_NOWAIT), MUSTER_OK);
    assert_int_equal(muster_rwlock_release(lock), MUSTER_OK);
}

/* A writer that gives up, or dies, while others read lets those in whom it kept out, and tells nobody of a death. */
static void a_writer_that_leaves_was_never_there(void **state)
{
    (void)state;
    for (int dies = 0; dies < 2; dies++) {
        muster_rwlock lock = rwlock_make();
        struct actor r1 = reads(lock, 1), w = writes(lock, 2), r3 = reads(lock, 3), hastes = writes(lock, 4);
        assert_int_equal(actor_step(&r1), MUSTER_OK);
        hastes.step.nowait = true;
        assert_int_equal(actor_step(&hastes), MUSTER__WAIT);
        actor_waits(&w);
        actor_waits(&r3);
        if (dies) {
            assert_true(muster__event_unhang(w.waiter));
            swept(lock, 2);
        } else {
            actor_leaves(&w);
        }
        assert_int_equal(actor_wakes(&r3), MUSTER_OK);
        actor_leaves(&r3);
        assert_int_equal(releases(lock, 1), MUSTER_OK);
        assert_int_equal(releases(lock, 3), MUSTER_OK);
        assert_int_equal(muster_rwlock_acquire_write(lock, MUSTER_NOWAIT), MUSTER_OK);
        assert_int_equal(muster_rwlock_release(lock), MUSTER_OK);
        assert_nobody_waits(lock.handle, MUSTER__RWLOCK);
    }
}

/* All who come after a writer that died are told, until one of them writes. */
static void a_writers_death_is_told(void **state)
{
    (void)state;
    muster_rwlock lock = rwlock_make();
    struct actor w = writes(lock, 1), r2 = reads(lock, 2), r3 = reads(lock, 3), gone = writes(lock, 4),
                 w5 = writes(lock, 5), r6 = reads(lock, 6);
    assert_int_equal(actor_step(&w), MUSTER_OK);
    actor_waits(&r2);
    swept(lock, 1);
    assert_int_equal(actor_wakes(&r2), MUSTER_ERR_OWNER_DEAD);
    actor_leaves(&r2);
    assert_int_equal(actor_step(&r3), MUSTER_ERR_OWNER_DEAD);
    swept(lock, 3); /* its place is free */
    assert_int_equal(releases(lock, 2), MUSTER_OK);
    assert_int_equal(actor_step(&gone), MUSTER_ERR_OWNER_DEAD);
    gone.step.granted = gone.err; /* it had given up: nobody has heard of it */
    gone.op->undo(&gone.step, false);
    assert_int_equal(actor_step(&w5), MUSTER_ERR_OWNER_DEAD);
    assert_int_equal(releases(lock, 5), MUSTER_OK);
    assert_int_equal(actor_step(&r6), MUSTER_OK);
    assert_int_equal(releases(lock, 6), MUSTER_OK);
}

static void a_readers_death_frees_its_place(void **state)
{
    (void)state;
    muster_rwlock lock = rwlock_make();
    struct actor r1 = reads(lock, 1), r2 = reads(lock, 2), w = writes(lock, 3);
    assert_int_equal(actor_step(&r1), MUSTER_OK);
    assert_int_equal(actor_step(&r2), MUSTER_OK);
    actor_waits(&w);
    swept(lock, 1);
    assert_int_equal(actor_wakes(&w), MUSTER__WAIT);
    assert_int_equal(actor_rest(&w), MUSTER__WAIT);
    swept(lock, 2);
    assert_int_equal(actor_wakes(&w), MUSTER_OK);
    actor_leaves(&w);
    assert_int_equal(releases(lock, 3), MUSTER_OK);
}

/* Called in vain, one waits once more at most, whoever comes. */
static void nobody_is_passed_over_twice(void **state)
{
    (void)state;
    for (int writer = 0; writer < 2; writer++) {
        muster_rwlock lock = rwlock_make();
        struct actor w1 = writes(lock, 1), waits = writer ? writes(lock, 2) : reads(lock, 2), w3 = writes(lock, 3),
                     w4 = writes(lock, 4), r5 = reads(lock, 5);
        assert_int_equal(actor_step(&w1), MUSTER_OK);
        actor_waits(&waits);
        assert_int_equal(releases(lock, 1), MUSTER_OK);
        assert_int_equal(actor_step(&w3), MUSTER_OK); /* it was faster */
        assert_int_equal(actor_wakes(&waits), MUSTER__WAIT);
        assert_int_equal(actor_rest(&waits), MUSTER__WAIT);
        assert_int_equal(releases(lock, 3), MUSTER_OK);
        actor_waits(&w4);
        actor_waits(&r5);
        assert_int_equal(actor_wakes(&waits), MUSTER_OK);
        actor_leaves(&waits);
        assert_int_equal(releases(lock, 2), MUSTER_OK);
        assert_int_equal(actor_wakes(&w4), MUSTER_OK);
        actor_leaves(&w4);
        assert_int_equal(releases(lock, 4), MUSTER_OK);
        assert_int_equal(actor_wakes(&r5), MUSTER_OK);
        actor_leaves(&r5);
        assert_int_equal(releases(lock, 5), MUSTER_OK);
        assert_nobody_waits(lock.handle, MUSTER__RWLOCK);
    }
}

/* More readers than an object has room for; beyond the last place there is none. */
static void many_read(void **state)
{
    (void)state;
    enum { MOST = 40 + 4096 };
    muster_rwlock lock = rwlock_make();
    uint64_t used = muster__heap_used();
    struct actor one = reads(lock, 0), w = writes(lock, 100000);
    for (uint32_t i = 1; i <= MOST; i++) {
        one.step.self = i;
        assert_int_equal(actor_step(&one), MUSTER_OK);
    }
    one.step.self = MOST + 1;
    assert_int_equal(actor_step(&one), MUSTER_ERR_NOMEM);
    one.step.self = 4000;
    assert_int_equal(actor_step(&one), MUSTER_ERR_DEADLOCK);
    actor_waits(&w);
    struct actor back = actor(lock.handle, MUSTER__RWLOCK, "muster_rwlock_release", 0);
    for (uint32_t i = 1; i <= MOST; i++) {
        back.step.self = i;
        assert_int_equal(actor_step(&back), MUSTER_OK);
        if (actor_is_called(&w) && actor_wakes(&w) != MUSTER_OK)
            assert_int_equal(actor_rest(&w), MUSTER__WAIT);
    }
    assert_int_equal(w.err, MUSTER_OK);
    assert_int_equal(muster_rwlock_destroy(lock), MUSTER_OK);
    assert_int_equal(muster__heap_used(), used);
}

/* ---- once ---- */

static void the_next_one_runs(void **state)
{
    (void)state;
    muster_once once;
    assert_int_equal(muster_once_create(&once, NULL), MUSTER_OK);
    struct actor runs = actor(once.handle, MUSTER__ONCE, "muster_once_run", 1),
                 waits = actor(once.handle, MUSTER__ONCE, "muster_once_run", 2),
                 last = actor(once.handle, MUSTER__ONCE, "muster_once_run", 3);
    assert_int_equal(actor_step(&runs), MUSTER_OK);
    assert_int_equal(runs.arg.out[0], 1);
    assert_int_equal(actor_step(&runs), MUSTER_ERR_DEADLOCK);
    runs.arg.out[0] = 1;
    actor_waits(&waits);
    actor_waits(&last);
    runs.op->undo(&runs.step, true); /* it was not there any more */
    assert_int_equal(actor_wakes(&waits), MUSTER_OK);
    assert_int_equal(waits.arg.out[0], 1);
    muster__class_of(MUSTER__ONCE)->sweep(waits.step.object, once.handle.generation, 5002, muster__self_number());
    assert_int_equal(actor_wakes(&last), MUSTER_OK);
    assert_int_equal(last.arg.out[0], 1);
    actor_leaves(&waits);
    actor_leaves(&last);
    assert_nobody_waits(once.handle, MUSTER__ONCE);
}

/* ---- counter ---- */

static void each_is_called_at_its_point(void **state)
{
    (void)state;
    enum { MANY = 20 };
    muster_counter counter;
    struct actor waits[MANY];
    assert_int_equal(muster_counter_create(&counter, -5, NULL), MUSTER_OK);
    for (int i = 0; i < MANY; i++) {
        waits[i] = actor(counter.handle, MUSTER__COUNTER, "muster_counter_wait", (uint32_t)i);
        waits[i].arg.in[0] = (i * 7) % MANY;
        actor_waits(&waits[i]);
    }
    for (int64_t value = -4; value < MANY; value++) {
        int64_t after = 0;
        assert_int_equal(muster_counter_add(counter, 1, &after), MUSTER_OK);
        assert_int_equal(after, value);
        for (int i = 0; i < MANY; i++) {
            if (waits[i].arg.in[0] < value) {
                assert_int_equal(waits[i].err, MUSTER_OK);
            } else if (waits[i].arg.in[0] == value) {
                assert_int_equal(actor_wakes(&waits[i]), MUSTER_OK);
                assert_int_equal(waits[i].arg.out[0], value);
            } else if (actor_is_called(&waits[i])) {
                assert_int_equal(actor_wakes(&waits[i]), MUSTER__WAIT);
                assert_int_equal(actor_rest(&waits[i]), MUSTER__WAIT);
            }
        }
    }
    int64_t after;
    assert_int_equal(muster_counter_add(counter, INT64_MAX, &after), MUSTER_OK); /* wraps */
    assert_int_equal(after, INT64_MIN + MANY - 2);
    assert_nobody_waits(counter.handle, MUSTER__COUNTER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAMILY_CASE(a_set_is_seen_though_cleared_at_once),
        FAMILY_CASE(permits_left_by_a_reservation_call),
        FAMILY_CASE(who_leaves_passes_a_permit_on),
        FAMILY_CASE(an_undone_permit_is_there_again),
        FAMILY_CASE(a_round_ends_as_it_ended),
        FAMILY_CASE(who_has_no_time_breaks_a_barrier),
        FAMILY_CASE(who_leaves_breaks_its_own_round),
        FAMILY_CASE(a_party_that_came_too_late),
        FAMILY_CASE(parties_have_bounds),
        FAMILY_CASE(a_notice_is_not_lost),
        FAMILY_CASE(who_is_notified_sleeps_until_the_release),
        FAMILY_CASE(who_comes_later_takes_no_notice_of_others),
        FAMILY_CASE(a_death_has_all_go_on_once),
        FAMILY_CASE(a_late_notice_goes_to_another),
        FAMILY_CASE(a_condition_that_is_gone_says_so),
        FAMILY_CASE(a_writer_waits_for_those_within_only),
        FAMILY_CASE(a_writer_that_leaves_was_never_there),
        FAMILY_CASE(a_writers_death_is_told),
        FAMILY_CASE(a_readers_death_frees_its_place),
        FAMILY_CASE(nobody_is_passed_over_twice),
        FAMILY_CASE(many_read),
        FAMILY_CASE(the_next_one_runs),
        FAMILY_CASE(each_is_called_at_its_point),
    };
    return cmocka_run_group_tests_name("sync", tests, NULL, NULL);
}
