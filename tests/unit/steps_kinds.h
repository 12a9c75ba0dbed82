/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Kinds of objects, for suites that kill who uses them at any instruction, or end them under who waits: what can be
 * done with an object of each, and what has to hold afterwards. A new kind is a few functions, a member of
 * steps_objects, a row of steps_kinds, and one of steps_rows for each of its operations that commits something.
 *
 * All of it by public calls, or by the engine where there is none; each function works on the calling thread's
 * steps_at.
 */
#ifndef MUSTER_TESTS_STEPS_KINDS_H
#define MUSTER_TESTS_STEPS_KINDS_H

#include "shared_case.h"

#include <muster/array.h>
#include <muster/barrier.h>
#include <muster/condition.h>
#include <muster/counter.h>
#include <muster/dict.h>
#include <muster/event.h>
#include <muster/once.h>
#include <muster/rwlock.h>
#include <muster/semaphore.h>
#include <muster/value.h>

#include "lock/lock.h"
#include "queue/queue.h"

/* An object of each kind. */
struct steps_objects {
    muster_lock lock;
    muster_queue queue;
    muster_event event;
    muster_semaphore semaphore;
    muster_counter counter;
    muster_rwlock rwlock;
    muster_barrier barrier;
    muster_once once;
    muster_lock condition_lock;
    muster_condition condition;
    muster_value_i64 value;
    muster_array array;
    muster_dict dict;
};
static _Thread_local struct steps_objects *steps_at;

static muster_on steps_on; /* where it is made; as it is, where it is asked for */

typedef muster_err (*steps_do)(void);

struct steps_kind {
    const char *name;
    steps_do make, end;
    muster_handle *(*handle)(void); /* in steps_at */
    /** How it stands, for whoever may ask. NULL: there is nothing to see. */
    int64_t (*look)(void);
    /** Uses a fresh object, alone, and leaves it as it was. False: it is not as that should be. */
    bool (*canary)(void);
    /** By somebody who stays: from here on each of `waits` waits. NULL: they do anyhow. */
    steps_do stop;
    steps_do waits[4];
    steps_do uses; /* of a kind that nobody waits for: again and again, until it has ended */
    bool is_two;   /* objects: who comes between their ends may be told CLOSED */
    bool as_hosts; /* hosts stand in its line at home, their waiters in lines of their own */
};

struct steps_row {
    const char *name;
    const struct steps_kind *kind;
    steps_do before; /* by who stays, first (NULL: nothing) */
    steps_do mine;   /* by the victim, before it is stepped (NULL: nothing) */
    steps_do act;    /* by the victim, stepped */
    /* beside the victim: so many, who wait. After the sweep, so many must have been called if act had not begun, and
     * if it had ended */
    steps_do waits;
    uint32_t waiters, woken[2];
    steps_do wakes;   /* by who stays: has the victim, or one of those, go on */
    int64_t looks[2]; /* if act had not begun (after the sweep), if it had ended; between, if that is possible */
};

/* ---- lock ---- */

static muster_err steps_lock_make(void)
{
    return muster_lock_create(&steps_at->lock, &(muster_lock_options){.on = steps_on});
}

static muster_err steps_lock_end(void)
{
    return muster_lock_destroy(steps_at->lock);
}

static muster_handle *steps_lock_handle(void)
{
    return &steps_at->lock.handle;
}

static muster_err steps_lock_acquire(void)
{
    return muster_lock_acquire(steps_at->lock, MUSTER_FOREVER);
}

static muster_err steps_lock_release(void)
{
    return muster_lock_release(steps_at->lock);
}

/* OK also when a holder has died: only a suite that knows of no holder may be told so. */
static muster_err steps_lock_use(void)
{
    muster_err err = steps_lock_acquire();
    return err == MUSTER_OK || err == MUSTER_ERR_OWNER_DEAD ? steps_lock_release() : err;
}

static muster_err steps_lock_use_soon(void)
{
    muster_err err = muster_lock_acquire(steps_at->lock, 60000);
    return err == MUSTER_OK || err == MUSTER_ERR_OWNER_DEAD ? steps_lock_release() : err;
}

/* Nobody holds it who does not live: so it is free, and says OWNER_DEAD at most once. */
static int64_t steps_lock_look(void)
{
    muster_err err = muster_lock_acquire(steps_at->lock, MUSTER_NOWAIT);
    return err == MUSTER_OK || err == MUSTER_ERR_OWNER_DEAD ? steps_lock_release() : 0;
}

static bool steps_lock_canary(void)
{
    return muster_lock_acquire(steps_at->lock, MUSTER_NOWAIT) == MUSTER_OK &&
           muster_lock_acquire(steps_at->lock, MUSTER_NOWAIT) == MUSTER_ERR_DEADLOCK &&
           steps_lock_release() == MUSTER_OK && steps_lock_release() == MUSTER_ERR_STATE;
}

/* ---- queue: unbounded, and of two items ---- */

static muster_err steps_queue_make(void)
{
    return muster_queue_create(&steps_at->queue, &(muster_queue_options){.on = steps_on});
}

static muster_err steps_queue_make_small(void)
{
    return muster_queue_create(&steps_at->queue, &(muster_queue_options){.maxsize = 2, .on = steps_on});
}

static muster_err steps_queue_end(void)
{
    return muster_queue_destroy(steps_at->queue);
}

static muster_handle *steps_queue_handle(void)
{
    return &steps_at->queue.handle;
}

static int64_t steps_queue_look(void)
{
    int64_t items = -1;
    return muster_queue_size(steps_at->queue, &items) == MUSTER_OK ? items : -1;
}

/* Two items go in, and come out as they were. */
static bool steps_queue_canary(void)
{
    int32_t items[2] = {0}, numbers[2] = {4711, 4712};
    bool fine = steps_queue_look() == 0;
    for (int i = 0; i < 2; i++)
        fine &= muster_queue_put(steps_at->queue, &numbers[i], sizeof numbers[i], MUSTER_NOWAIT) == MUSTER_OK;
    fine &= steps_queue_look() == 2;
    for (int i = 0; i < 2; i++)
        fine &= muster_queue_get(steps_at->queue, &items[i], sizeof items[i], NULL, MUSTER_NOWAIT) == MUSTER_OK;
    return fine && steps_queue_look() == 0 && memcmp(items, numbers, sizeof items) == 0;
}

static muster_err steps_queue_put(void)
{
    return muster_queue_put(steps_at->queue, "item", 4, MUSTER_FOREVER);
}

/* Above what lies in a chunk, or, if the suite says so, above what goes between hosts in a letter. */
static size_t steps_large = MUSTER__QUEUE_INLINE_MAX + 8;
enum { STEPS_LARGE_MAX = 20000 };

static muster_err steps_queue_put_large(void)
{
    static const char item[STEPS_LARGE_MAX];
    return muster_queue_put(steps_at->queue, item, steps_large, MUSTER_FOREVER);
}

static muster_err steps_queue_put_two(void)
{
    muster_err err = steps_queue_put();
    return err ? err : steps_queue_put();
}

static muster_err steps_queue_put_two_large(void)
{
    muster_err err = steps_queue_put_large();
    return err ? err : steps_queue_put_large();
}

static muster_err steps_queue_get(void)
{
    static char item[STEPS_LARGE_MAX];
    return muster_queue_get(steps_at->queue, item, sizeof item, NULL, MUSTER_FOREVER);
}

static muster_err steps_queue_put_many(void)
{
    static const char items[3 * 4];
    return muster_queue_put_many(steps_at->queue, items, 3, 4, NULL, MUSTER_FOREVER);
}

static muster_err steps_queue_get_most(int64_t most)
{
    static char items[3 * 4];
    int64_t got;
    return muster_queue_get_many(steps_at->queue, items, sizeof items, most, NULL, &got, MUSTER_FOREVER);
}

static muster_err steps_queue_get_many(void)
{
    return steps_queue_get_most(3);
}

/* Not the one, too, that is put when there is room. */
static muster_err steps_queue_get_both(void)
{
    return steps_queue_get_most(2);
}

static muster_err steps_queue_join(void)
{
    return muster_queue_join(steps_at->queue, MUSTER_FOREVER);
}

static muster_err steps_queue_done(void)
{
    return muster_queue_task_done(steps_at->queue);
}

/* Two were put, and one of them is marked. */
static muster_err steps_queue_mark_one(void)
{
    muster_err err = steps_queue_put_two();
    return err ? err : steps_queue_done();
}

static muster_err steps_queue_close(void)
{
    return muster_queue_close(steps_at->queue);
}

/* Two that wait for items, where a close is what comes. */
static muster_err steps_queue_get_closed(void)
{
    muster_err err = steps_queue_get();
    return err == MUSTER_ERR_CLOSED ? MUSTER_OK : err ? err : MUSTER_ERR_BROKEN;
}

#include "steps_sync.h"

#include "steps_share.h"

/* ---- the tables ---- */

static const struct steps_kind steps_lock = {.name = "lock",
                                             .make = steps_lock_make,
                                             .end = steps_lock_end,
                                             .handle = steps_lock_handle,
                                             .look = steps_lock_look,
                                             .canary = steps_lock_canary,
                                             .stop = steps_lock_acquire,
                                             .waits = {steps_lock_acquire, steps_lock_use_soon},
                                             .as_hosts = true};
static const struct steps_kind steps_queue = {.name = "queue",
                                              .make = steps_queue_make,
                                              .end = steps_queue_end,
                                              .handle = steps_queue_handle,
                                              .look = steps_queue_look,
                                              .canary = steps_queue_canary,
                                              .waits = {steps_queue_get, steps_queue_get_many}};
static const struct steps_kind steps_small_queue = {
    .name = "queue, full",
    .make = steps_queue_make_small,
    .end = steps_queue_end,
    .handle = steps_queue_handle,
    .look = steps_queue_look,
    .canary = steps_queue_canary,
    .stop = steps_queue_put_two,
    .waits = {steps_queue_put, steps_queue_put_large, steps_queue_put_many, steps_queue_join}};

static const struct steps_kind *const steps_kinds[] = {
    &steps_lock,    &steps_queue, &steps_small_queue, &steps_event, &steps_semaphore, &steps_counter, &steps_rwlock,
    &steps_barrier, &steps_once,  &steps_condition,   &steps_value, &steps_array,     &steps_dict};
enum { STEPS_KINDS = sizeof steps_kinds / sizeof *steps_kinds };

static inline uint32_t steps_waits_of(const struct steps_kind *kind)
{
    uint32_t n = 0;
    while (n < sizeof kind->waits / sizeof *kind->waits && kind->waits[n])
        n++;
    return n;
}

/** How many stand in lines of the object in steps_at; on its host. */
static inline uint32_t steps_standing(const struct steps_kind *kind)
{
    const struct muster__object *object = muster__object_slot(kind->handle()->slot);
    uint64_t first = muster__offset(object->event), end = muster__offset(object->event + MUSTER__EVENTS);
    uint32_t n = 0;
    for (uint32_t number = 1; number < muster__waiters_end(); number++) {
        uint64_t event = atomic_load(&muster__waiter(number)->event);
        n += event >= first && event < end;
        if (number + 1 == muster__callers_end())
            number = MUSTER__CALLERS_MAX - 1;
    }
    return n;
}

static const struct steps_row steps_rows[] = {
    {.name = "acquire and release", .kind = &steps_lock, .act = steps_lock_use},
    {.name = "release, two wait",
     .kind = &steps_lock,
     .mine = steps_lock_acquire,
     .act = steps_lock_release,
     .waits = steps_lock_use,
     .waiters = 2,
     .woken = {2, 2}},
    {.name = "acquire that waits",
     .kind = &steps_lock,
     .before = steps_lock_acquire,
     .act = steps_lock_use,
     .wakes = steps_lock_release},
    {.name = "put", .kind = &steps_queue, .act = steps_queue_put, .looks = {0, 1}},
    {.name = "put, large", .kind = &steps_queue, .act = steps_queue_put_large, .looks = {0, 1}},
    {.name = "put_many", .kind = &steps_queue, .act = steps_queue_put_many, .looks = {0, 3}},
    {.name = "put_many, two wait",
     .kind = &steps_queue,
     .act = steps_queue_put_many,
     .waits = steps_queue_get,
     .waiters = 2,
     .woken = {0, 2},
     .wakes = steps_queue_put,
     .looks = {0, 1}},
    {.name = "get", .kind = &steps_queue, .before = steps_queue_put, .act = steps_queue_get, .looks = {1, 0}},
    {.name = "get, large",
     .kind = &steps_queue,
     .before = steps_queue_put_two_large,
     .act = steps_queue_get,
     .looks = {2, 1}},
    {.name = "get_many",
     .kind = &steps_queue,
     .before = steps_queue_put_many,
     .act = steps_queue_get_many,
     .looks = {3, 0}},
    {.name = "get that waits", .kind = &steps_queue, .act = steps_queue_get, .wakes = steps_queue_put, .looks = {1, 0}},
    {.name = "close, two wait",
     .kind = &steps_queue,
     .act = steps_queue_close,
     .waits = steps_queue_get_closed,
     .waiters = 2,
     .woken = {0, 2},
     .wakes = steps_queue_close},
    {.name = "task_done, two wait",
     .kind = &steps_queue,
     .before = steps_queue_mark_one,
     .act = steps_queue_done,
     .waits = steps_queue_join,
     .waiters = 2,
     .woken = {0, 2},
     .wakes = steps_queue_done,
     .looks = {2, 2}},
    {.name = "join that waits",
     .kind = &steps_queue,
     .before = steps_queue_mark_one,
     .act = steps_queue_join,
     .wakes = steps_queue_done,
     .looks = {2, 2}},
    {.name = "get, two wait",
     .kind = &steps_small_queue,
     .before = steps_queue_put_two,
     .act = steps_queue_get,
     .waits = steps_queue_put,
     .waiters = 2,
     .woken = {0, 1},
     .wakes = steps_queue_get,
     .looks = {2, 2}},
    {.name = "get_many, two wait",
     .kind = &steps_small_queue,
     .before = steps_queue_put_two,
     .act = steps_queue_get_both,
     .waits = steps_queue_put,
     .waiters = 2,
     .woken = {0, 2},
     .wakes = steps_queue_get,
     .looks = {2, 2}},
    {.name = "put that waits",
     .kind = &steps_small_queue,
     .before = steps_queue_put_two_large,
     .act = steps_queue_put_large,
     .wakes = steps_queue_get,
     .looks = {1, 2}},
    {.name = "set, two wait",
     .kind = &steps_event,
     .act = steps_event_set,
     .waits = steps_event_wait,
     .waiters = 2,
     .woken = {0, 2},
     .wakes = steps_event_set,
     .looks = {0, 1}},
    {.name = "wait that waits",
     .kind = &steps_event,
     .act = steps_event_wait,
     .wakes = steps_event_set,
     .looks = {1, 1}},
    {.name = "release, two wait",
     .kind = &steps_semaphore,
     .act = steps_semaphore_release_two,
     .waits = steps_semaphore_acquire,
     .waiters = 2,
     .woken = {0, 2},
     .wakes = steps_semaphore_release},
    {.name = "acquire",
     .kind = &steps_semaphore,
     .before = steps_semaphore_release,
     .act = steps_semaphore_acquire,
     .looks = {1, 0}},
    {.name = "acquire that waits",
     .kind = &steps_semaphore,
     .act = steps_semaphore_acquire,
     .wakes = steps_semaphore_release,
     .looks = {1, 0}},
    {.name = "add, two wait",
     .kind = &steps_counter,
     .act = steps_counter_add,
     .waits = steps_counter_wait,
     .waiters = 2,
     .woken = {0, 2},
     .wakes = steps_counter_add,
     .looks = {0, 2}},
    {.name = "write and release", .kind = &steps_rwlock, .act = steps_rwlock_use_write},
    {.name = "read and release", .kind = &steps_rwlock, .act = steps_rwlock_use_read},
    {.name = "release of a writer, two read",
     .kind = &steps_rwlock,
     .mine = steps_rwlock_write,
     .act = steps_rwlock_release,
     .waits = steps_rwlock_use_read,
     .waiters = 2,
     .woken = {2, 2}},
    {.name = "release of a reader, two write",
     .kind = &steps_rwlock,
     .mine = steps_rwlock_read,
     .act = steps_rwlock_release,
     .waits = steps_rwlock_use_write,
     .waiters = 2,
     .woken = {2, 2}},
    {.name = "write that waits",
     .kind = &steps_rwlock,
     .before = steps_rwlock_read,
     .act = steps_rwlock_use_write,
     .wakes = steps_rwlock_release},
    {.name = "wait as the last, two wait",
     .kind = &steps_barrier,
     .act = steps_barrier_wait,
     .waits = steps_barrier_come,
     .waiters = 2,
     .woken = {0, 2},
     .wakes = steps_barrier_abort},
    {.name = "abort, two wait",
     .kind = &steps_barrier,
     .act = steps_barrier_abort,
     .waits = steps_barrier_come,
     .waiters = 2,
     .woken = {0, 2},
     .wakes = steps_barrier_abort},
    {.name = "reset, two wait",
     .kind = &steps_barrier,
     .act = steps_barrier_reset,
     .waits = steps_barrier_come,
     .waiters = 2,
     .woken = {0, 2},
     .wakes = steps_barrier_abort},
    {.name = "wait that waits", .kind = &steps_barrier, .act = steps_barrier_come, .wakes = steps_barrier_abort},
    {.name = "run", .kind = &steps_once, .act = steps_once_run, .looks = {0, 1}},
    {.name = "end of a run, two wait",
     .kind = &steps_once,
     .mine = steps_once_begin_it,
     .act = steps_once_end_it,
     .waits = steps_once_run,
     .waiters = 2,
     .woken = {2, 2},
     .looks = {1, 1}},
    {.name = "run that waits",
     .kind = &steps_once,
     .before = steps_once_begin_it,
     .act = steps_once_run,
     .wakes = steps_once_end_it,
     .looks = {1, 1}},
    {.name = "notify_all, two wait",
     .kind = &steps_condition,
     .act = steps_condition_notify,
     .waits = steps_condition_wait,
     .waiters = 2,
     .woken = {0, 2},
     .wakes = steps_condition_notify},
    {.name = "wait that waits", .kind = &steps_condition, .act = steps_condition_wait, .wakes = steps_condition_notify},
    {.name = "add", .kind = &steps_value, .act = steps_value_add, .looks = {0, 2}},
    {.name = "compare_exchange", .kind = &steps_value, .act = steps_value_exchange, .looks = {0, 1}},
    {.name = "write", .kind = &steps_array, .act = steps_array_write, .looks = {0, STEPS_ITEMS}},
    {.name = "add_i64", .kind = &steps_array, .act = steps_array_add, .looks = {0, STEPS_ITEMS}},
    {.name = "lock and unlock", .kind = &steps_array, .act = steps_array_use},
    {.name = "set, two wait",
     .kind = &steps_dict,
     .act = steps_dict_set,
     .waits = steps_dict_get,
     .waiters = 2,
     .woken = {0, 2},
     .wakes = steps_dict_set,
     .looks = {0, 1}},
    {.name = "set, large", .kind = &steps_dict, .mine = steps_dict_fill, .act = steps_dict_set_large, .looks = {0, 1}},
    {.name = "set again", .kind = &steps_dict, .before = steps_dict_set, .act = steps_dict_set, .looks = {1, 1}},
    {.name = "add", .kind = &steps_dict, .act = steps_dict_add, .looks = {0, 1}},
    {.name = "remove", .kind = &steps_dict, .before = steps_dict_set, .act = steps_dict_remove, .looks = {1, 0}},
    {.name = "get that waits", .kind = &steps_dict, .act = steps_dict_get, .wakes = steps_dict_set, .looks = {1, 1}},
};
enum { STEPS_ROWS = sizeof steps_rows / sizeof *steps_rows };

#endif
