/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Semaphore, rwlock and barrier beside models of them: parties step, stand in line, wake, leave and die in random
 * order, and at any time each has what the model says; when nobody is called any more, nobody waits for what is there.
 */
#include "family_case.h"

#include <stdlib.h>

#include <muster/barrier.h>
#include <muster/rwlock.h>
#include <muster/semaphore.h>

enum { PARTIES = 6, SEEDS = 150, STEPS = 250 };

static unsigned seed;

static int draw(int below)
{
    return (int)((unsigned)rand_r(&seed) >> 4) % below;
}

struct party {
    struct actor actor;
    bool waits;
    int holds; /* what the test says */
};

/* Whether it came to something, be it that it was called just now or not. */
static bool goes_on(struct party *party, muster_err err)
{
    if (muster__would_wait(err))
        err = actor_rest(&party->actor);
    party->waits = muster__would_wait(err);
    return !party->waits;
}

static void ends(struct party *party)
{
    party->waits = false;
    if (party->actor.event)
        actor_leaves(&party->actor);
    else
        muster__waiter_free(party->actor.waiter);
}

static bool begins(struct party *party, struct actor actor)
{
    party->actor = actor;
    return goes_on(party, actor_step(&party->actor));
}

static bool wakes(struct party *party)
{
    return goes_on(party, actor_wakes(&party->actor));
}

/* ---- semaphore ---- */

static struct {
    muster_semaphore object;
    int64_t permits, waiting;
    struct party parties[PARTIES];
} sem;

static void got_permit(struct party *party)
{
    assert_int_equal(party->actor.err, MUSTER_OK);
    ends(party);
    party->holds = 1;
    sem.permits--;
    assert_true(sem.permits >= 0);
}

static void sem_move(struct party *party, uint32_t who)
{
    if (party->waits) {
        if (actor_is_called(&party->actor) && draw(3)) {
            if (wakes(party))
                got_permit(party);
        } else if (!draw(4)) {
            ends(party); /* its time is over */
        }
    } else if (!party->holds) {
        if (begins(party, actor(sem.object.handle, MUSTER__SEMAPHORE, "muster_semaphore_acquire", who)))
            got_permit(party);
    } else {
        assert_int_equal(muster_semaphore_release(sem.object, 1), MUSTER_OK);
        party->holds = 0;
        sem.permits++;
    }
}

static void sem_settle(void)
{
    bool any = true, waits = false;
    while (any) {
        any = waits = false;
        for (int i = 0; i < PARTIES; i++) {
            struct party *party = &sem.parties[i];
            if (party->waits && actor_is_called(&party->actor)) {
                any = true;
                if (wakes(party))
                    got_permit(party);
            }
            waits |= party->waits;
        }
    }
    assert_false(waits && sem.permits);
}

static void semaphore_as_its_model(void **state)
{
    (void)state;
    for (unsigned run = 1; run <= SEEDS; run++) {
        memset(&sem, 0, sizeof sem);
        seed = run;
        sem.permits = draw(3);
        assert_int_equal(muster_semaphore_create(&sem.object, sem.permits, 0, NULL), MUSTER_OK);
        for (int i = 0; i < STEPS; i++) {
            int at = draw(PARTIES);
            int64_t value = -1;
            sem_move(&sem.parties[at], (uint32_t)at + 1);
            if (!draw(20))
                sem_settle();
            assert_int_equal(muster_semaphore_value(sem.object, &value), MUSTER_OK);
            assert_int_equal(value, sem.permits);
        }
        sem_settle();
        for (int i = 0; i < PARTIES; i++)
            if (sem.parties[i].waits)
                ends(&sem.parties[i]);
        assert_nobody_waits(sem.object.handle, MUSTER__SEMAPHORE);
        assert_int_equal(muster_semaphore_destroy(sem.object), MUSTER_OK);
    }
}

/* ---- rwlock ---- */

enum { NOTHING, READS, WRITES };

static struct {
    muster_rwlock object;
    bool died; /* who wrote last, writing */
    struct party parties[PARTIES];
} rw;

static int count(int what)
{
    int n = 0;
    for (int i = 0; i < PARTIES; i++)
        n += rw.parties[i].holds == what;
    return n;
}

static void got_lock(struct party *party)
{
    bool writes = strcmp(party->actor.op->name, "muster_rwlock_acquire_write") == 0;
    assert_int_equal(party->actor.err, rw.died ? MUSTER_ERR_OWNER_DEAD : MUSTER_OK);
    ends(party);
    assert_int_equal(count(WRITES), 0);
    assert_true(!writes || count(READS) == 0);
    party->holds = writes ? WRITES : READS;
    if (writes)
        rw.died = false;
}

static void rw_do(const char *operation, uint32_t who)
{
    struct actor does = actor(rw.object.handle, MUSTER__RWLOCK, operation, who);
    assert_int_equal(actor_step(&does), MUSTER_OK);
    muster__waiter_free(does.waiter);
}

static void rw_dies(struct party *party, uint32_t who)
{
    const struct muster__class *class = muster__class_of(MUSTER__RWLOCK);
    struct muster__object *object = muster__object_find(rw.object.handle, MUSTER__RWLOCK);
    rw.died |= party->holds == WRITES;
    party->holds = NOTHING;
    class->sweep(object, rw.object.handle.generation, 5000 + who, muster__self_state.number);
}

static void rw_move(struct party *party, uint32_t who)
{
    if (party->waits) {
        if (actor_is_called(&party->actor) && draw(3)) {
            if (wakes(party))
                got_lock(party);
        } else if (!draw(4)) {
            ends(party);
        }
    } else if (!party->holds) {
        const char *way = draw(3) ? "muster_rwlock_acquire_read" : "muster_rwlock_acquire_write";
        if (begins(party, actor(rw.object.handle, MUSTER__RWLOCK, way, who)))
            got_lock(party);
    } else if (!draw(6)) {
        rw_dies(party, who);
    } else if (party->holds == WRITES && !draw(3)) {
        rw_do("muster_rwlock_downgrade", who);
        party->holds = READS;
    } else {
        rw_do("muster_rwlock_release", who);
        party->holds = NOTHING;
    }
}

static void rw_settle(void)
{
    bool any = true, waits = false;
    while (any) {
        any = waits = false;
        for (int i = 0; i < PARTIES; i++) {
            struct party *party = &rw.parties[i];
            if (party->waits && actor_is_called(&party->actor)) {
                any = true;
                if (wakes(party))
                    got_lock(party);
            }
            waits |= party->waits;
        }
    }
    assert_false(waits && !count(READS) && !count(WRITES));
}

static void rwlock_as_its_model(void **state)
{
    (void)state;
    for (unsigned run = 1; run <= SEEDS; run++) {
        memset(&rw, 0, sizeof rw);
        seed = run;
        assert_int_equal(muster_rwlock_create(&rw.object, NULL), MUSTER_OK);
        for (int i = 0; i < STEPS; i++) {
            int at = draw(PARTIES);
            rw_move(&rw.parties[at], (uint32_t)at + 1);
            if (!draw(20))
                rw_settle();
        }
        for (int i = 0; i < PARTIES; i++) {
            if (rw.parties[i].waits)
                ends(&rw.parties[i]);
            if (rw.parties[i].holds)
                rw_do("muster_rwlock_release", (uint32_t)i + 1);
        }
        assert_nobody_waits(rw.object.handle, MUSTER__RWLOCK);
        muster_err err = muster_rwlock_acquire_write(rw.object, MUSTER_NOWAIT);
        assert_int_equal(err, rw.died ? MUSTER_ERR_OWNER_DEAD : MUSTER_OK);
        assert_int_equal(muster_rwlock_release(rw.object), MUSTER_OK);
        assert_int_equal(muster_rwlock_destroy(rw.object), MUSTER_OK);
    }
}

/* ---- barrier ---- */

enum { TOGETHER = 4 };

static struct {
    muster_barrier object;
    int came;
    bool broken;
    struct party parties[PARTIES];
    muster_err is_due[PARTIES]; /* MUSTER__WAIT: its round goes on */
} bar;

static void round_ends(muster_err err)
{
    for (int i = 0; i < PARTIES; i++)
        if (bar.parties[i].waits && muster__would_wait(bar.is_due[i]))
            bar.is_due[i] = err;
    bar.came = 0;
}

static void breaks(void)
{
    if (!bar.broken)
        round_ends(MUSTER_ERR_BROKEN);
    bar.broken = true;
}

static void comes(int at)
{
    struct party *party = &bar.parties[at];
    bool last = bar.came == TOGETHER - 1;
    bool over = begins(party, actor(bar.object.handle, MUSTER__BARRIER, "muster_barrier_wait", (uint32_t)at + 1));
    assert_int_equal(over, bar.broken || last);
    bar.is_due[at] = MUSTER__WAIT;
    if (!over) {
        bar.came++;
        return;
    }
    assert_int_equal(party->actor.err, bar.broken ? MUSTER_ERR_BROKEN : MUSTER_OK);
    assert_true(bar.broken || party->actor.arg.out[0]); /* who comes last leads */
    ends(party);
    if (!bar.broken)
        round_ends(MUSTER_OK);
}

/* Of one that waits: it wakes to what became of its round, or leaves, which breaks the round if that goes on. */
static void wakes_or_leaves(int at)
{
    struct party *party = &bar.parties[at];
    bool is_due = !muster__would_wait(bar.is_due[at]);
    if (actor_is_called(&party->actor) && draw(3)) {
        assert_int_equal(wakes(party), is_due);
        if (!is_due)
            return;
        assert_int_equal(party->actor.err, bar.is_due[at]);
        assert_int_equal(party->actor.arg.out[0], 0);
        ends(party);
    } else if (!draw(6)) {
        ends(party);
        if (!is_due)
            breaks();
    }
}

static void bar_move(int at)
{
    int waiting = -1;
    bool is_broken;
    switch (draw(24)) {
    case 0:
        assert_int_equal(muster_barrier_abort(bar.object), MUSTER_OK);
        breaks();
        break;
    case 1:
    case 2:
        assert_int_equal(muster_barrier_reset(bar.object), MUSTER_OK);
        breaks();
        bar.broken = false;
        break;
    default:
        if (bar.parties[at].waits)
            wakes_or_leaves(at);
        else
            comes(at);
    }
    assert_int_equal(muster_barrier_state(bar.object, &waiting, &is_broken), MUSTER_OK);
    assert_int_equal(waiting, bar.came);
    assert_int_equal(is_broken, bar.broken);
}

static void barrier_as_its_model(void **state)
{
    (void)state;
    for (unsigned run = 1; run <= SEEDS; run++) {
        memset(&bar, 0, sizeof bar);
        seed = run;
        assert_int_equal(muster_barrier_create(&bar.object, TOGETHER, NULL), MUSTER_OK);
        for (int i = 0; i < STEPS; i++)
            bar_move(draw(PARTIES));
        for (int at = 0; at < PARTIES; at++) {
            struct party *party = &bar.parties[at];
            if (party->waits && !muster__would_wait(bar.is_due[at]))
                assert_true(actor_is_called(&party->actor)); /* nobody sleeps on */
            if (party->waits)
                ends(party);
        }
        assert_nobody_waits(bar.object.handle, MUSTER__BARRIER);
        assert_int_equal(muster_barrier_destroy(bar.object), MUSTER_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAMILY_CASE(semaphore_as_its_model),
        FAMILY_CASE(rwlock_as_its_model),
        FAMILY_CASE(barrier_as_its_model),
    };
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
