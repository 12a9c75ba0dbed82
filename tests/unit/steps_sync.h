/* Kinds of src/sync for steps_kinds.h: event, semaphore, counter, rwlock. */
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

#endif
