/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lock, rwlock, semaphore and barrier under random kills: who may be inside with whom, and what is told of the dead.
 */
#ifndef MUSTER_TESTS_KILL_SYNC_H
#define MUSTER_TESTS_KILL_SYNC_H

#include "kill_round.h"

#include <muster/barrier.h>
#include <muster/rwlock.h>
#include <muster/semaphore.h>

/* ---- what is guarded ---- */

/* Told: who held it before has died, which may have been known for a while. */
static void acquired(struct worker *self, enum doing doing, muster_err err)
{
    uint64_t told = err == MUSTER_ERR_OWNER_DEAD;
    HOSTS_CHECK(err == MUSTER_OK || told);
    atomic_store(&self->word, ((atomic_load(&self->word) >> 32) + told) << 32 | doing);
    HOSTS_CHECK(!told || atomic_load(&shared->sure) + atomic_load(&shared->unsure) > 0);
    HOSTS_CHECK(told || shared->a == shared->b);
}

static void linger(void)
{
    for (uint32_t i = draw(300); i; i--)
        muster__cpu_relax();
}

static void section(void)
{
    volatile int64_t *a = &shared->a, *b = &shared->b;
    *a = *b + 1;
    linger();
    *b = *a;
}

static void holder_died(enum doing doing)
{
    if (doing == HOLDS)
        atomic_fetch_add(&shared->sure, 1);
    else if (doing == ENTERS || doing == LEAVES || doing == TURNS)
        atomic_fetch_add(&shared->unsure, 1);
}

/* ---- lock ---- */

static muster_lock the_lock(void)
{
    return (muster_lock){shared->object};
}

static muster_err lock_make(muster_on on)
{
    muster_lock made;
    muster_err err = muster_lock_create(&made, &(muster_lock_options){.on = on});
    shared->object = made.handle;
    return err;
}

static muster_err lock_end(void)
{
    return muster_lock_destroy(the_lock());
}

static bool lock_work(struct worker *self)
{
    begins(self, ENTERS, 0);
    muster_err err = muster_lock_acquire(the_lock(), draw_timeout());
    if (!is_late(err)) {
        acquired(self, HOLDS, err);
        HOSTS_CHECK(count(HOLDS) == 1);
        section();
        becomes(self, LEAVES, 0);
        HOSTS_CHECK(muster_lock_release(the_lock()) == MUSTER_OK);
    }
    becomes(self, IDLE, 0);
    return !atomic_load(&shared->stop);
}

/* Each who died holding it was told of, once, to the next; who died before it could say so was such a holder, too. */
static void lock_look(void)
{
    muster_err err = muster_lock_acquire(the_lock(), MUSTER_FOREVER);
    uint32_t told = atomic_load(&shared->told) + (err == MUSTER_ERR_OWNER_DEAD);
    HOSTS_CHECK(err == MUSTER_OK || err == MUSTER_ERR_OWNER_DEAD);
    HOSTS_CHECK(err == MUSTER_ERR_OWNER_DEAD || shared->a == shared->b);
    HOSTS_CHECK(muster_lock_release(the_lock()) == MUSTER_OK);
    HOSTS_CHECK(told >= atomic_load(&shared->sure));
    HOSTS_CHECK(told <= atomic_load(&shared->sure) + atomic_load(&shared->unsure));
}

/* ---- rwlock ---- */

static muster_rwlock the_rwlock(void)
{
    return (muster_rwlock){shared->object};
}

static muster_err rwlock_make(muster_on on)
{
    muster_rwlock made;
    muster_err err = muster_rwlock_create(&made, &(muster_object_options){.on = on});
    shared->object = made.handle;
    return err;
}

static muster_err rwlock_end(void)
{
    return muster_rwlock_destroy(the_rwlock());
}

static void rwlock_read(struct worker *self)
{
    begins(self, COMES, 0);
    muster_err err = muster_rwlock_acquire_read(the_rwlock(), draw_timeout());
    if (is_late(err))
        return;
    acquired(self, READS, err);
    HOSTS_CHECK(count(HOLDS) == 0);
    linger();
    becomes(self, GOES, 0);
    HOSTS_CHECK(muster_rwlock_release(the_rwlock()) == MUSTER_OK);
}

static void rwlock_write(struct worker *self)
{
    begins(self, ENTERS, 0);
    muster_err err = muster_rwlock_acquire_write(the_rwlock(), draw_timeout());
    if (is_late(err))
        return;
    acquired(self, HOLDS, err);
    HOSTS_CHECK(count(HOLDS) == 1 && count(READS) == 0);
    section();
    if (!draw(3)) {
        becomes(self, TURNS, 0);
        HOSTS_CHECK(muster_rwlock_downgrade(the_rwlock()) == MUSTER_OK);
        becomes(self, READS, 0);
        HOSTS_CHECK(count(HOLDS) == 0);
        linger();
    }
    becomes(self, LEAVES, 0);
    HOSTS_CHECK(muster_rwlock_release(the_rwlock()) == MUSTER_OK);
}

static bool rwlock_work(struct worker *self)
{
    (draw(3) ? rwlock_read : rwlock_write)(self);
    becomes(self, IDLE, 0);
    return !atomic_load(&shared->stop);
}

/* Told to all until somebody writes; so how often is not known. */
static void rwlock_look(void)
{
    muster_err err = muster_rwlock_acquire_write(the_rwlock(), MUSTER_FOREVER);
    HOSTS_CHECK(err == MUSTER_OK || err == MUSTER_ERR_OWNER_DEAD);
    HOSTS_CHECK(err == MUSTER_ERR_OWNER_DEAD || shared->a == shared->b);
    HOSTS_CHECK(err == MUSTER_OK || atomic_load(&shared->sure) + atomic_load(&shared->unsure) > 0);
    HOSTS_CHECK(muster_rwlock_release(the_rwlock()) == MUSTER_OK);
}

/* ---- semaphore ---- */

static muster_semaphore the_semaphore(void)
{
    return (muster_semaphore){shared->object};
}

static muster_err semaphore_make(muster_on on)
{
    muster_semaphore made;
    muster_err err = muster_semaphore_create(&made, round.permits, 0, &(muster_object_options){.on = on});
    shared->object = made.handle;
    return err;
}

static muster_err semaphore_end(void)
{
    return muster_semaphore_destroy(the_semaphore());
}

static void give_permit(void)
{
    atomic_fetch_add(&shared->extra, 1); /* first: then nobody has one that is not counted */
    HOSTS_CHECK(muster_semaphore_release(the_semaphore(), 1) == MUSTER_OK);
}

static bool semaphore_work(struct worker *self)
{
    begins(self, ENTERS, 0);
    muster_err err = muster_semaphore_acquire(the_semaphore(), draw_timeout());
    HOSTS_CHECK(err == MUSTER_OK || is_late(err));
    if (err == MUSTER_OK) {
        becomes(self, HOLDS, 0);
        uint32_t lost = atomic_load(&shared->sure), holders = count(HOLDS); /* none is in both */
        HOSTS_CHECK(holders <= round.permits + atomic_load(&shared->extra) - lost);
        linger();
        becomes(self, LEAVES, 0);
        HOSTS_CHECK(muster_semaphore_release(the_semaphore(), 1) == MUSTER_OK);
    }
    becomes(self, IDLE, 0);
    return !atomic_load(&shared->stop);
}

/* Who dies with a permit has lost it; who died on the way may have. When all are lost that way, one is given. */
static void semaphore_tend(void)
{
    int64_t value;
    uint32_t sure = atomic_load(&shared->sure), lost = sure + atomic_load(&shared->unsure);
    HOSTS_CHECK(muster_semaphore_value(the_semaphore(), &value) == MUSTER_OK);
    if (value == 0 && count(HOLDS) == 0 && atomic_load(&shared->extra) < lost)
        give_permit();
}

/* What was under way for the dead comes back some time. */
static void semaphore_look(void)
{
    int64_t value, all = (int64_t)round.permits + atomic_load(&shared->extra) - atomic_load(&shared->sure);
    do
        HOSTS_CHECK(muster_semaphore_value(the_semaphore(), &value) == MUSTER_OK && value <= all);
    while (value < all - atomic_load(&shared->unsure));
}

/* ---- barrier ---- */

static muster_barrier the_barrier(void)
{
    return (muster_barrier){shared->object};
}

static uint32_t parties(void)
{
    return round.workers[0] + round.workers[1] + round.workers[2];
}

static muster_err barrier_make(muster_on on)
{
    muster_barrier made;
    muster_err err = muster_barrier_create(&made, (int)parties(), &(muster_object_options){.on = on});
    shared->object = made.handle;
    return err;
}

static muster_err barrier_end(void)
{
    return muster_barrier_destroy(the_barrier());
}

/* All came to the round that is over, nobody can be further than in the next; and the round before had one leader. */
static void barrier_went_on(uint32_t at, bool leads)
{
    _Atomic uint32_t *leaders = shared->leaders;
    if (leads) {
        atomic_store(&leaders[(at + 2) % LEADERS], 0);
        atomic_fetch_add(&leaders[at % LEADERS], 1);
    }
    for (int host = 0; host < HOSTS; host++)
        for (uint32_t i = 0; i < round.workers[host]; i++)
            HOSTS_CHECK(atomic_load(&shared->worker[host][i].at) - at <= 1);
    HOSTS_CHECK(at % EPOCH == 1 || atomic_load(&leaders[(at - 1) % LEADERS]) == 1);
}

/* An epoch lasts until the barrier breaks; the next one begins when all have been told, and it was reset. */
static void barrier_epoch(struct worker *self, uint32_t epoch)
{
    for (uint32_t at = epoch * EPOCH + 1;; at++) {
        bool leads = false;
        begins(self, WAITS, 0); /* first: BROKEN is of the round before */
        atomic_store(&self->at, at);
        muster_err err = muster_barrier_wait(the_barrier(), &leads, MUSTER_FOREVER);
        becomes(self, err ? BROKEN : IDLE, 0);
        HOSTS_CHECK(err == MUSTER_OK || err == MUSTER_ERR_BROKEN);
        if (err)
            return;
        barrier_went_on(at, leads);
    }
}

static bool barrier_work(struct worker *self)
{
    uint32_t epoch = atomic_load(&shared->epoch);
    barrier_epoch(self, epoch);
    while (atomic_load(&shared->epoch) == epoch && !atomic_load(&shared->stop))
        nap();
    return !atomic_load(&shared->stop);
}

/* All others are about to wait in one round. */
static bool all_wait(void)
{
    uint32_t waiting = 0, in = 0;
    for (int host = 0; host < HOSTS; host++)
        for (uint32_t i = 0; i < round.workers[host]; i++) {
            const struct worker *worker = &shared->worker[host][i];
            if (doing_of(worker) != WAITS)
                continue;
            waiting += !in || atomic_load(&worker->at) == in;
            in = atomic_load(&worker->at);
        }
    return waiting == parties() - 1;
}

static bool barrier_stands(int *waiting)
{
    bool broken;
    HOSTS_CHECK(muster_barrier_state(the_barrier(), waiting, &broken) == MUSTER_OK);
    return !broken;
}

/* Who dies in a round that is not over breaks it. If it was over, the others may wait for the dead one in the next. */
static void barrier_lost(enum doing doing)
{
    int waiting;
    bool may_break = doing == WAITS;
    while (barrier_stands(&waiting) && !(all_wait() && waiting == (int)parties() - 1))
        nap();
    HOSTS_CHECK(may_break || barrier_stands(&waiting));
    if (parties() > 1)
        HOSTS_CHECK(muster_barrier_abort(the_barrier()) == MUSTER_OK);
}

static bool barrier_told(const struct worker *worker)
{
    return atomic_load(&worker->at) / EPOCH == atomic_load(&shared->epoch) && doing_of(worker) == BROKEN;
}

/* By the home's, once all were told. */
static void barrier_again(void)
{
    int waiting;
    for (int i = 0; i < LEADERS; i++)
        atomic_store(&shared->leaders[i], 0);
    HOSTS_CHECK(muster_barrier_reset(the_barrier()) == MUSTER_OK);
    HOSTS_CHECK(barrier_stands(&waiting) && waiting == 0);
    atomic_fetch_add(&shared->epoch, 1);
}

static const struct kind kind_lock = {
    .name = "lock", .make = lock_make, .end = lock_end, .work = lock_work, .died = holder_died, .look = lock_look};
static const struct kind kind_rwlock = {.name = "rwlock",
                                        .make = rwlock_make,
                                        .end = rwlock_end,
                                        .work = rwlock_work,
                                        .died = holder_died,
                                        .look = rwlock_look};
static const struct kind kind_semaphore = {.name = "semaphore",
                                           .make = semaphore_make,
                                           .end = semaphore_end,
                                           .work = semaphore_work,
                                           .died = holder_died,
                                           .tend = semaphore_tend,
                                           .look = semaphore_look};
static const struct kind kind_barrier = {
    .name = "barrier", .make = barrier_make, .end = barrier_end, .work = barrier_work};

#endif
