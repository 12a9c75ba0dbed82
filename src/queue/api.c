/* SPDX-License-Identifier: BSD-3-Clause */
#include "queue/internal.h"

static inline bool is_elsewhere(muster_queue queue)
{
    return MUSTER__UNLIKELY(muster__is_remote(queue.handle, MUSTER__QUEUE));
}

static muster_err __attribute__((cold, noinline))
bad(muster_queue queue, enum muster__queue_op number, const char *what)
{
    (void)queue;
    return muster__fail(MUSTER_ERR_INVAL, "%s: %s", muster__class_of(MUSTER__QUEUE)->ops[number].name, what);
}

static muster_err __attribute__((noinline))
do_it(muster_queue queue, enum muster__queue_op number, struct muster__arg *arg, int64_t timeout_ms)
{
    return muster__do(queue.handle, MUSTER__QUEUE, number, arg, timeout_ms);
}

static muster_err ask(muster_queue queue, enum muster__queue_op number, int64_t *out)
{
    struct muster__arg arg = {0};
    muster_err err = do_it(queue, number, &arg, MUSTER_FOREVER);
    if (!err && out)
        *out = arg.out[0];
    return err;
}

muster_err muster_queue_create(muster_queue *queue, const muster_queue_options *options)
{
    static const char operation[] = "muster_queue_create";
    int host;
    int64_t maxsize = options ? options->maxsize : 0;
    struct muster__arg arg = {.in = {maxsize}};
    muster_err err = muster__runtime_require(operation);
    if (!err)
        err = MUSTER__NULL_BAD(operation, queue);
    if (!err)
        err = MUSTER__RESERVED(operation, options);
    if (!err)
        err = muster__host_wanted(options ? options->on : (muster_on){0}, operation, &host);
    if (!err && maxsize < 0)
        err = muster__fail(MUSTER_ERR_INVAL, "%s: maxsize %lld; 0 (no bound) or more is allowed", operation,
                           (long long)maxsize);
    return err ? err
               : muster__make(MUSTER__QUEUE, host, options ? options->name : NULL, &arg, operation, &queue->handle);
}

muster_err muster_queue_destroy(muster_queue queue)
{
    int64_t users;
    muster_err err = ask(queue, MUSTER__QUEUE_DESTROY, &users);
    if (!err && muster_hosts() > 1 && (users || is_elsewhere(queue)))
        away_end(queue.handle, (uint64_t)users);
    return err;
}

/* Of small items at home, what takes no time; else false. */
static inline bool put_at_once(muster_queue queue, const void *item, size_t size)
{
    if (MUSTER__UNLIKELY(size > MUSTER__QUEUE_INLINE_MAX))
        return false;
    struct muster__object *object = muster__object_pin(queue.handle, MUSTER__QUEUE);
    if (MUSTER__UNLIKELY(!object))
        return false;
    struct muster__queue_item small = {.bytes = item, .size = size};
    bool done = muster__queue_put_now(object, queue.handle.generation, &small) == MUSTER_OK;
    if (MUSTER__LIKELY(done))
        muster__queue_goes_on(object, queue.handle.generation);
    muster__object_unpin();
    return done;
}

muster_err muster_queue_put(muster_queue queue, const void *item, size_t size_bytes, int64_t timeout_ms)
{
    if (MUSTER__UNLIKELY((size_bytes && !item) || size_bytes > SIZE_MAX / 4))
        return bad(queue, MUSTER__QUEUE_PUT, item ? "the item is too large" : "item is NULL");
    if (is_elsewhere(queue))
        return timeout_ms < MUSTER_FOREVER ? bad(queue, MUSTER__QUEUE_PUT, "timeout_ms is negative")
                                           : away_put(queue.handle, item, size_bytes, timeout_ms);
    if (MUSTER__LIKELY(timeout_ms >= MUSTER_FOREVER && put_at_once(queue, item, size_bytes))) {
        muster__count(queue.handle);
        return MUSTER_OK;
    }
    return do_it(queue, MUSTER__QUEUE_PUT, &(struct muster__arg){.bytes = item, .size = size_bytes}, timeout_ms);
}

static inline bool get_at_once(muster_queue queue, void *item, size_t capacity, size_t *size)
{
    struct muster__object *object = muster__object_pin(queue.handle, MUSTER__QUEUE);
    if (MUSTER__UNLIKELY(!object))
        return false;
    bool done = muster__queue_get_now(object, queue.handle.generation, item, capacity, size) == MUSTER_OK;
    muster__object_unpin();
    return done;
}

muster_err muster_queue_get(muster_queue queue, void *item, size_t capacity_bytes, size_t *size_bytes,
                            int64_t timeout_ms)
{
    if (MUSTER__UNLIKELY(capacity_bytes && !item))
        return bad(queue, MUSTER__QUEUE_GET, "item is NULL");
    if (is_elsewhere(queue))
        return timeout_ms < MUSTER_FOREVER ? bad(queue, MUSTER__QUEUE_GET, "timeout_ms is negative")
                                           : away_get(queue.handle, item, capacity_bytes, size_bytes, timeout_ms);
    size_t size;
    if (MUSTER__LIKELY(timeout_ms >= MUSTER_FOREVER && get_at_once(queue, item, capacity_bytes, &size))) {
        muster__count(queue.handle);
        if (size_bytes)
            *size_bytes = size;
        return MUSTER_OK;
    }
    struct muster__arg arg = {.room = item, .capacity = capacity_bytes};
    muster_err err =
        do_it(queue, timeout_ms == MUSTER_NOWAIT ? MUSTER__QUEUE_TRY_GET : MUSTER__QUEUE_GET, &arg, timeout_ms);
    if (size_bytes && (err == MUSTER_OK || err == MUSTER_ERR_TOOBIG))
        *size_bytes = arg.got;
    return err;
}

/* ---- many ---- */

/* Large ones go one by one. */
static muster_err put_each(muster_queue queue, const char *items, int64_t n, size_t size, int64_t *done,
                           int64_t timeout_ms)
{
    int64_t deadline_ns = timeout_ms > 0 ? muster__deadline_ns(timeout_ms) : MUSTER__NEVER;
    muster_err err = MUSTER_OK;
    while (*done < n) {
        int64_t left_ms = timeout_ms > 0 ? muster__left_ms(deadline_ns) : timeout_ms;
        err = muster_queue_put(queue, items + (size_t)*done * size, size, left_ms);
        if (err)
            return err;
        ++*done;
    }
    return err;
}

static muster_err put_many(muster_queue queue, const void *items, int64_t n, size_t size, int64_t *done,
                           int64_t timeout_ms)
{
    if (is_elsewhere(queue))
        return away_put_many(queue.handle, items, n, size, done, timeout_ms);
    struct muster__object *object = muster__object_pin(queue.handle, MUSTER__QUEUE);
    if (MUSTER__LIKELY(object != NULL)) {
        muster_err err = muster__queue_put_many_now(object, queue.handle.generation, items, size, n, done);
        if (MUSTER__LIKELY(*done > 0))
            muster__queue_goes_on(object, queue.handle.generation);
        muster__object_unpin();
        if (MUSTER__LIKELY(err == MUSTER_OK)) {
            muster__count(queue.handle);
            return MUSTER_OK;
        }
    }
    struct muster__arg arg = {.in = {n, (int64_t)size}, .bytes = items, .own = (uint64_t)*done};
    muster_err err = do_it(queue, MUSTER__QUEUE_PUT_MANY, &arg, timeout_ms);
    *done = (int64_t)arg.own;
    return err;
}

static const char *bad_many(const void *items, int64_t n, size_t size, int64_t timeout_ms)
{
    if (n < 0)
        return "n is negative";
    if (size > SIZE_MAX / 4 || (size && (uint64_t)n > SIZE_MAX / 4 / size))
        return "the items are too large";
    if (!items && n && size)
        return "items is NULL";
    return timeout_ms < MUSTER_FOREVER ? "timeout_ms is negative" : NULL;
}

muster_err muster_queue_put_many(muster_queue queue, const void *items, int64_t n, size_t item_bytes, int64_t *put,
                                 int64_t timeout_ms)
{
    const char *wrong = bad_many(items, n, item_bytes, timeout_ms);
    if (MUSTER__UNLIKELY(wrong != NULL))
        return bad(queue, MUSTER__QUEUE_PUT_MANY, wrong);
    int64_t done = 0;
    bool large = item_bytes > MUSTER__QUEUE_INLINE_MAX && n;
    muster_err err = large ? put_each(queue, items, n, item_bytes, &done, timeout_ms)
                           : put_many(queue, items, n, item_bytes, &done, timeout_ms);
    if (put)
        *put = done;
    return err;
}

static muster_err get_many(muster_queue queue, struct muster__queue_many *many, int64_t timeout_ms)
{
    if (is_elsewhere(queue))
        return away_get_many(queue.handle, many, timeout_ms);
    struct muster__object *object = muster__object_pin(queue.handle, MUSTER__QUEUE);
    if (MUSTER__LIKELY(object != NULL)) {
        muster_err err = muster__queue_get_many_now(object, queue.handle.generation, many);
        muster__object_unpin();
        if (MUSTER__LIKELY(err == MUSTER_OK)) {
            muster__count(queue.handle);
            return MUSTER_OK;
        }
    }
    struct muster__arg arg = {.in = {many->most, timeout_ms == MUSTER_NOWAIT}, .room = many};
    return do_it(queue, MUSTER__QUEUE_GET_MANY, &arg, timeout_ms);
}

muster_err muster_queue_get_many(muster_queue queue, void *items, size_t capacity_bytes, int64_t most, size_t *sizes,
                                 int64_t *got, int64_t timeout_ms)
{
    const char *wrong = !got                          ? "got is NULL"
                        : most < 1                    ? "most is less than 1"
                        : !items && capacity_bytes    ? "items is NULL"
                        : timeout_ms < MUSTER_FOREVER ? "timeout_ms is negative"
                                                      : NULL;
    if (MUSTER__UNLIKELY(wrong != NULL))
        return bad(queue, MUSTER__QUEUE_GET_MANY, wrong);
    struct muster__queue_many many = {.at = items, .left = capacity_bytes, .sizes = sizes, .most = most};
    muster_err err = get_many(queue, &many, timeout_ms);
    if (err == MUSTER_OK)
        *got = many.count;
    else if (err == MUSTER_ERR_TOOBIG && sizes)
        sizes[0] = many.size;
    return err;
}

muster_err muster_queue_size(muster_queue queue, int64_t *items)
{
    return items ? ask(queue, MUSTER__QUEUE_SIZE, items) : bad(queue, MUSTER__QUEUE_SIZE, "items is NULL");
}

muster_err muster_queue_empty(muster_queue queue, bool *empty)
{
    int64_t items;
    if (!empty)
        return muster__fail(MUSTER_ERR_INVAL, "muster_queue_empty: empty is NULL");
    muster_err err = muster_queue_size(queue, &items);
    if (err == MUSTER_OK)
        *empty = items == 0;
    return err;
}

muster_err muster_queue_full(muster_queue queue, bool *full)
{
    int64_t number;
    if (!full)
        return bad(queue, MUSTER__QUEUE_FULL, "full is NULL");
    muster_err err = ask(queue, MUSTER__QUEUE_FULL, &number);
    if (err == MUSTER_OK)
        *full = number;
    return err;
}

muster_err muster_queue_close(muster_queue queue)
{
    return ask(queue, MUSTER__QUEUE_CLOSE, NULL);
}

muster_err muster_queue_task_done(muster_queue queue)
{
    return ask(queue, MUSTER__QUEUE_TASK_DONE, NULL);
}

muster_err muster_queue_join(muster_queue queue, int64_t timeout_ms)
{
    return do_it(queue, MUSTER__QUEUE_JOIN, &(struct muster__arg){0}, timeout_ms);
}
