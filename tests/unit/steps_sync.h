/* SPDX-License-Identifier: BSD-3-Clause */
/* Kinds of src/sync for steps_kinds.h: event, semaphore, counter, rwlock, barrier, once, condition. */
#ifndef MUSTER_TESTS_STEPS_SYNC_H
#define MUSTER_TESTS_STEPS_SYNC_H

static const muster_object_options *steps_options(void)
{
    static _Thread_local muster_object_options options;
    options = (muster_object_options){.on = steps_on};
    return &options;
}

/* ---- event ---- */

static muster_err steps_event_make(void)
{
    return muster_event_create(&steps_at->event, steps_options());
}

static muster_err steps_event_end(void)
{
    return muster_event_destroy(steps_at->event);
}

static muster_handle *steps_event_handle(void)
{
    return &steps_at->event.handle;
}

static int64_t steps_event_look(void)
{
    bool is_set = false;
    return muster_event_is_set(steps_at->event, &is_set) == MUSTER_OK ? is_set : -1;
}

static muster_err steps_event_set(void)
{
    return muster_event_set(steps_at->event);
}

static muster_err steps_event_wait(void)
{
    return muster_event_wait(steps_at->event, MUSTER_FOREVER);
}

static bool steps_event_canary(void)
{
    return muster_event_wait(steps_at->event, MUSTER_NOWAIT) == MUSTER_ERR_TIMEOUT && steps_event_set() == MUSTER_OK &&
           steps_event_wait() == MUSTER_OK && muster_event_clear(steps_at->event) == MUSTER_OK &&
           steps_event_look() == 0;
}

/* ---- semaphore ---- */

static muster_err steps_semaphore_make(void)
{
    return muster_semaphore_create(&steps_at->semaphore, 0, 0, steps_options());
}

static muster_err steps_semaphore_end(void)
{
    return muster_semaphore_destroy(steps_at->semaphore);
}

static muster_handle *steps_semaphore_handle(void)
{
    return &steps_at->semaphore.handle;
}

static int64_t steps_semaphore_look(void)
{
    int64_t permits = -1;
    return muster_semaphore_value(steps_at->semaphore, &permits) == MUSTER_OK ? permits : -1;
}

static muster_err steps_semaphore_release(void)
{
    return muster_semaphore_release(steps_at->semaphore, 1);
}

static muster_err steps_semaphore_release_two(void)
{
    return muster_semaphore_release(steps_at->semaphore, 2);
}

static muster_err steps_semaphore_acquire(void)
{
    return muster_semaphore_acquire(steps_at->semaphore, MUSTER_FOREVER);
}

static bool steps_semaphore_canary(void)
{
    return muster_semaphore_acquire(steps_at->semaphore, MUSTER_NOWAIT) == MUSTER_ERR_BUSY &&
           steps_semaphore_release() == MUSTER_OK && steps_semaphore_look() == 1 &&
           steps_semaphore_acquire() == MUSTER_OK && steps_semaphore_look() == 0;
}

/* ---- counter ---- */

static muster_err steps_counter_make(void)
{
    return muster_counter_create(&steps_at->counter, 0, steps_options());
}

static muster_err steps_counter_end(void)
{
    return muster_counter_destroy(steps_at->counter);
}

static muster_handle *steps_counter_handle(void)
{
    return &steps_at->counter.handle;
}

static int64_t steps_counter_look(void)
{
    int64_t value = -1;
    return muster_counter_value(steps_at->counter, &value) == MUSTER_OK ? value : -1;
}

static muster_err steps_counter_add(void)
{
    return muster_counter_add(steps_at->counter, 2, NULL);
}

static muster_err steps_counter_wait(void)
{
    return muster_counter_wait(steps_at->counter, 1, MUSTER_FOREVER, NULL);
}

static bool steps_counter_canary(void)
{
    return muster_counter_wait(steps_at->counter, 1, MUSTER_NOWAIT, NULL) == MUSTER_ERR_TIMEOUT &&
           steps_counter_add() == MUSTER_OK && steps_counter_wait() == MUSTER_OK &&
           muster_counter_add(steps_at->counter, -2, NULL) == MUSTER_OK && steps_counter_look() == 0;
}

/* ---- rwlock ---- */

static muster_err steps_rwlock_make(void)
{
    return muster_rwlock_create(&steps_at->rwlock, steps_options());
}

static muster_err steps_rwlock_end(void)
{
    return muster_rwlock_destroy(steps_at->rwlock);
}

static muster_handle *steps_rwlock_handle(void)
{
    return &steps_at->rwlock.handle;
}

static muster_err steps_rwlock_release(void)
{
    return muster_rwlock_release(steps_at->rwlock);
}

static muster_err steps_rwlock_write(void)
{
    return muster_rwlock_acquire_write(steps_at->rwlock, MUSTER_FOREVER);
}

static muster_err steps_rwlock_read(void)
{
    return muster_rwlock_acquire_read(steps_at->rwlock, MUSTER_FOREVER);
}

static muster_err steps_rwlock_used(muster_err err)
{
    return err == MUSTER_OK || err == MUSTER_ERR_OWNER_DEAD ? steps_rwlock_release() : err;
}

static muster_err steps_rwlock_use_write(void)
{
    return steps_rwlock_used(steps_rwlock_write());
}

static muster_err steps_rwlock_use_read(void)
{
    return steps_rwlock_used(steps_rwlock_read());
}

/* Nobody holds it who does not live. */
static int64_t steps_rwlock_look(void)
{
    return steps_rwlock_used(muster_rwlock_acquire_write(steps_at->rwlock, MUSTER_NOWAIT)) == MUSTER_ERR_STALE;
}

static bool steps_rwlock_canary(void)
{
    return muster_rwlock_acquire_read(steps_at->rwlock, MUSTER_NOWAIT) == MUSTER_OK &&
           steps_rwlock_release() == MUSTER_OK &&
           muster_rwlock_acquire_write(steps_at->rwlock, MUSTER_NOWAIT) == MUSTER_OK &&
           steps_rwlock_release() == MUSTER_OK && steps_rwlock_release() == MUSTER_ERR_STATE;
}

/* ---- barrier: of three ---- */

static muster_err steps_barrier_make(void)
{
    return muster_barrier_create(&steps_at->barrier, 3, steps_options());
}

static muster_err steps_barrier_end(void)
{
    return muster_barrier_destroy(steps_at->barrier);
}

static muster_handle *steps_barrier_handle(void)
{
    return &steps_at->barrier.handle;
}

static muster_err steps_barrier_wait(void)
{
    return muster_barrier_wait(steps_at->barrier, NULL, MUSTER_FOREVER);
}

/* Round after round, also of one that a dead party has broken. */
static muster_err steps_barrier_rounds(void)
{
    muster_err err;
    do
        err = steps_barrier_wait();
    while (err == MUSTER_OK || err == MUSTER_ERR_BROKEN);
    return err;
}

/* OK also when it is broken, as it is once a party has died. */
static muster_err steps_barrier_come(void)
{
    muster_err err = steps_barrier_wait();
    return err == MUSTER_ERR_BROKEN ? MUSTER_OK : err;
}

static muster_err steps_barrier_abort(void)
{
    return muster_barrier_abort(steps_at->barrier);
}

static muster_err steps_barrier_reset(void)
{
    return muster_barrier_reset(steps_at->barrier);
}

static bool steps_barrier_canary(void)
{
    int waiting = 1;
    bool is_broken = false;
    return steps_barrier_abort() == MUSTER_OK && steps_barrier_wait() == MUSTER_ERR_BROKEN &&
           muster_barrier_state(steps_at->barrier, &waiting, &is_broken) == MUSTER_OK && is_broken && waiting == 0 &&
           steps_barrier_reset() == MUSTER_OK &&
           muster_barrier_state(steps_at->barrier, &waiting, &is_broken) == MUSTER_OK && !is_broken && waiting == 0;
}

/* ---- once ---- */

enum { STEPS_ONCE_BEGIN, STEPS_ONCE_END }; /* its operations, which muster_once_run does one after the other */

static muster_err steps_once_make(void)
{
    return muster_once_create(&steps_at->once, steps_options());
}

static muster_err steps_once_end(void)
{
    return muster_once_destroy(steps_at->once);
}

static muster_handle *steps_once_handle(void)
{
    return &steps_at->once.handle;
}

static int64_t steps_once_look(void)
{
    bool is_done = false;
    return muster_once_is_done(steps_at->once, &is_done) == MUSTER_OK ? is_done : -1;
}

static muster_err steps_once_nothing(void *arg)
{
    (void)arg;
    return MUSTER_OK;
}

static muster_err steps_once_run(void)
{
    return muster_once_run(steps_at->once, steps_once_nothing, NULL, MUSTER_FOREVER);
}

static muster_err steps_once_begin_it(void)
{
    return muster__do(steps_at->once.handle, MUSTER__ONCE, STEPS_ONCE_BEGIN, &(struct muster__arg){0}, MUSTER_FOREVER);
}

static muster_err steps_once_end_as(bool done)
{
    return muster__do(steps_at->once.handle, MUSTER__ONCE, STEPS_ONCE_END, &(struct muster__arg){.in = {done}},
                      MUSTER_FOREVER);
}

static muster_err steps_once_end_it(void)
{
    return steps_once_end_as(true);
}

static bool steps_once_canary(void)
{
    return steps_once_look() == 0 && steps_once_begin_it() == MUSTER_OK && steps_once_run() == MUSTER_ERR_DEADLOCK &&
           steps_once_end_as(false) == MUSTER_OK && steps_once_look() == 0;
}

/* ---- condition, and the lock that it is of ---- */

static muster_err steps_condition_make(void)
{
    muster_err err = muster_lock_create(&steps_at->condition_lock, &(muster_lock_options){.on = steps_on});
    return err ? err : muster_condition_create(&steps_at->condition, steps_at->condition_lock, NULL);
}

static muster_err steps_condition_end(void)
{
    muster_err err = muster_condition_destroy(steps_at->condition);
    muster_lock_destroy(steps_at->condition_lock);
    return err;
}

static muster_handle *steps_condition_handle(void)
{
    return &steps_at->condition.handle;
}

static muster_err steps_condition_lock(void)
{
    muster_err err = muster_lock_acquire(steps_at->condition_lock, MUSTER_FOREVER);
    return err == MUSTER_ERR_OWNER_DEAD ? MUSTER_OK : err;
}

/* The last one who had the lock may have died. When both end, the lock may be gone before it is got back. */
static muster_err steps_condition_wait(void)
{
    muster_err err = steps_condition_lock();
    if (err)
        return err;
    err = muster_condition_wait(steps_at->condition, MUSTER_FOREVER);
    if (muster_lock_release(steps_at->condition_lock) != MUSTER_OK && err == MUSTER_ERR_STALE)
        return MUSTER_ERR_CLOSED;
    return err == MUSTER_ERR_OWNER_DEAD ? MUSTER_OK : err;
}

/* Again and again: a party that died has all go on. */
static muster_err steps_condition_stay(void)
{
    muster_err err;
    do
        err = steps_condition_wait();
    while (err == MUSTER_OK);
    return err;
}

static muster_err steps_condition_notify(void)
{
    muster_err err = steps_condition_lock();
    if (err)
        return err;
    err = muster_condition_notify_all(steps_at->condition, NULL);
    muster_lock_release(steps_at->condition_lock);
    return err;
}

/* Nobody holds its lock who does not live. */
static int64_t steps_condition_look(void)
{
    muster_err err = muster_lock_acquire(steps_at->condition_lock, MUSTER_NOWAIT);
    if (err == MUSTER_OK || err == MUSTER_ERR_OWNER_DEAD)
        muster_lock_release(steps_at->condition_lock);
    return 0;
}

static bool steps_condition_canary(void)
{
    int64_t notified = 1;
    return steps_condition_lock() == MUSTER_OK &&
           muster_condition_wait(steps_at->condition, MUSTER_NOWAIT) == MUSTER_ERR_TIMEOUT &&
           muster_condition_notify_all(steps_at->condition, &notified) == MUSTER_OK && notified == 0 &&
           muster_lock_release(steps_at->condition_lock) == MUSTER_OK;
}

/* ---- the kinds ---- */

static const struct steps_kind steps_event = {.name = "event",
                                              .make = steps_event_make,
                                              .end = steps_event_end,
                                              .handle = steps_event_handle,
                                              .look = steps_event_look,
                                              .canary = steps_event_canary,
                                              .waits = {steps_event_wait, steps_event_wait}};
static const struct steps_kind steps_semaphore = {.name = "semaphore",
                                                  .make = steps_semaphore_make,
                                                  .end = steps_semaphore_end,
                                                  .handle = steps_semaphore_handle,
                                                  .look = steps_semaphore_look,
                                                  .canary = steps_semaphore_canary,
                                                  .waits = {steps_semaphore_acquire, steps_semaphore_acquire}};
static const struct steps_kind steps_counter = {.name = "counter",
                                                .make = steps_counter_make,
                                                .end = steps_counter_end,
                                                .handle = steps_counter_handle,
                                                .look = steps_counter_look,
                                                .canary = steps_counter_canary,
                                                .waits = {steps_counter_wait, steps_counter_wait}};
static const struct steps_kind steps_rwlock = {.name = "rwlock",
                                               .make = steps_rwlock_make,
                                               .end = steps_rwlock_end,
                                               .handle = steps_rwlock_handle,
                                               .look = steps_rwlock_look,
                                               .canary = steps_rwlock_canary,
                                               .stop = steps_rwlock_write,
                                               .waits = {steps_rwlock_read, steps_rwlock_write}};
static const struct steps_kind steps_barrier = {.name = "barrier",
                                                .make = steps_barrier_make,
                                                .end = steps_barrier_end,
                                                .handle = steps_barrier_handle,
                                                .canary = steps_barrier_canary,
                                                .waits = {steps_barrier_rounds, steps_barrier_rounds}};
static const struct steps_kind steps_once = {.name = "once",
                                             .make = steps_once_make,
                                             .end = steps_once_end,
                                             .handle = steps_once_handle,
                                             .look = steps_once_look,
                                             .canary = steps_once_canary,
                                             .stop = steps_once_begin_it,
                                             .waits = {steps_once_run, steps_once_run}};
static const struct steps_kind steps_condition = {.name = "condition",
                                                  .make = steps_condition_make,
                                                  .end = steps_condition_end,
                                                  .handle = steps_condition_handle,
                                                  .look = steps_condition_look,
                                                  .canary = steps_condition_canary,
                                                  .is_two = true,
                                                  .waits = {steps_condition_stay, steps_condition_stay}};

#endif
