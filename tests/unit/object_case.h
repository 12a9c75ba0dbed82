/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Objects of one host, without MPI: operations by handle, as the public calls do them at home.
 */
#ifndef MUSTER_TESTS_OBJECT_CASE_H
#define MUSTER_TESTS_OBJECT_CASE_H

#include "shared_case.h"

#include "lock/lock.h"
#include "queue/queue.h"

/* Kinds register themselves where they are linked. */
__attribute__((used)) static muster_err (*const case_lock_is_linked)(struct muster__step *) = muster__lock_take;
__attribute__((used)) static const struct muster__queue_hosts **const case_queue_is_linked = &muster__queue_hosts;

/* The engine alone: no detail lines, no fast paths. */
static inline muster_err case_do(muster_handle handle, enum muster__kind kind, uint32_t op, struct muster__arg *arg,
                                 int64_t timeout_ms)
{
    struct muster__object *object = muster__object_pin(handle, kind);
    if (!object)
        return MUSTER_ERR_STALE;
    struct muster__step step = {.object = object,
                                .generation = handle.generation,
                                .self = muster__self_number(),
                                .host = (int)muster__segment->host,
                                .arg = arg};
    muster_err err = muster__do_here(&muster__class_of(kind)->ops[op], &step, timeout_ms);
    muster__object_unpin();
    return err;
}

static inline bool case_end(muster_handle handle, enum muster__kind kind)
{
    struct muster__object *object = muster__object_find(handle, kind);
    return object && muster__object_end(object, handle.generation, muster__self_number());
}

static inline muster_err case_lock_make(const char *name, muster_handle *handle)
{
    struct muster__arg arg = {0};
    return muster__object_make(MUSTER__LOCK, name, &arg, handle);
}

static inline muster_err case_lock_acquire(muster_handle handle, int64_t timeout_ms)
{
    struct muster__object *object = muster__object_find(handle, MUSTER__LOCK);
    return object ? muster__lock_acquire(object, handle.generation, muster__self_number(), timeout_ms)
                  : MUSTER_ERR_STALE;
}

static inline muster_err case_lock_release(muster_handle handle)
{
    struct muster__object *object = muster__object_find(handle, MUSTER__LOCK);
    return object ? muster__lock_release(object, handle.generation, muster__self_number()) : MUSTER_ERR_STALE;
}

static inline muster_err case_queue_make(const char *name, int64_t maxsize, muster_handle *handle)
{
    struct muster__arg arg = {.in = {maxsize}};
    return muster__object_make(MUSTER__QUEUE, name, &arg, handle);
}

/* Makes and ends others until one is in that slot. */
static inline muster_handle case_next_in_slot(muster_handle handle, enum muster__kind kind)
{
    muster_handle next;
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(kind == MUSTER__LOCK ? case_lock_make("next", &next) : case_queue_make("next", 0, &next),
                         MUSTER_OK);
        if (next.slot == handle.slot)
            return next;
        assert_true(case_end(next, kind));
    }
    fail_msg("slot %u was not used again", handle.slot);
    return next;
}

static inline muster_err case_queue_put(muster_handle handle, const void *item, size_t size, int64_t timeout_ms)
{
    struct muster__arg arg = {.bytes = item, .size = size};
    return case_do(handle, MUSTER__QUEUE, MUSTER__QUEUE_PUT, &arg, timeout_ms);
}

static inline muster_err case_queue_get(muster_handle handle, void *item, size_t capacity, size_t *size,
                                        int64_t timeout_ms)
{
    struct muster__arg arg = {.room = item, .capacity = capacity};
    muster_err err = case_do(handle, MUSTER__QUEUE, MUSTER__QUEUE_GET, &arg, timeout_ms);
    if (size && (err == MUSTER_OK || err == MUSTER_ERR_TOOBIG))
        *size = arg.got;
    return err;
}

/* Small items of one size. *put: so many are in. */
static inline muster_err case_queue_put_many(muster_handle handle, const void *items, int64_t n, size_t size,
                                             int64_t *put, int64_t timeout_ms)
{
    struct muster__arg arg = {.in = {n, (int64_t)size}, .bytes = items};
    muster_err err = case_do(handle, MUSTER__QUEUE, MUSTER__QUEUE_PUT_MANY, &arg, timeout_ms);
    *put = arg.out[0];
    return err;
}

static inline muster_err case_queue_get_many(muster_handle handle, struct muster__queue_many *many, int64_t timeout_ms)
{
    struct muster__arg arg = {.in = {many->most, timeout_ms == MUSTER_NOWAIT}, .room = many};
    return case_do(handle, MUSTER__QUEUE, MUSTER__QUEUE_GET_MANY, &arg, timeout_ms);
}

static inline muster_err case_queue_ask(muster_handle handle, enum muster__queue_op op, int64_t *out,
                                        int64_t timeout_ms)
{
    struct muster__arg arg = {0};
    muster_err err = case_do(handle, MUSTER__QUEUE, op, &arg, timeout_ms);
    if (!err && out)
        *out = arg.out[0];
    return err;
}

#endif
