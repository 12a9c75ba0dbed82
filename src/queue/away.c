#include "queue/internal.h"

#include <stdio.h>

static void describe(muster_err err, const char *operation, uint64_t home_slot, char *line, size_t size)
{
    const char *remedy = "";
    switch (err) {
    case MUSTER_ERR_EMPTY:
        remedy = "; wait longer, or close the queue when nothing more will be put";
        break;
    case MUSTER_ERR_TOOBIG:
        remedy = "; the item stays first: get it into a larger buffer";
        break;
    case MUSTER_ERR_NOMEM:
        remedy = "; a host segment is full, there or here: set a maxsize, add consumers or raise MUSTER_SEGMENT_MIB";
        break;
    }
    snprintf(line, size, "queue %u of host %s: %s: %s%s", (unsigned)home_slot,
             muster__host_name_of((int)(home_slot >> 32)), operation, muster_err_text(err), remedy);
}

static int home_of(muster_queue queue)
{
    return (int)(queue.handle.kind_home & 0xffffff);
}

static muster_err failed(muster_err err, muster_queue queue, enum queue_operation operation)
{
    if (err == MUSTER_OK || err == MUSTER_ERR_INTERRUPTED)
        return err;
    return muster__routine(err, describe, queue_operation_names[operation],
                           (uint64_t)home_of(queue) << 32 | queue.handle.slot);
}

muster_err away_ask(muster_queue queue, enum queue_operation operation, int64_t timeout_ms, int64_t *number)
{
    struct muster__call call = {.object = queue.handle, .operation = operation, .timeout_ms = timeout_ms};
    muster_err err = muster__remote_call(&call, queue_operation_names[operation]);
    if (err == MUSTER_OK && number)
        *number = call.number;
    return err;
}

/* What this thread used last; a proxy that has ended says so itself. */
struct seen {
    muster_handle key;
    struct muster__proxy proxy;
};

static inline bool look_up(struct seen *seen, muster_handle key, struct muster__proxy *proxy)
{
    if (MUSTER__UNLIKELY(key.slot != seen->key.slot || key.generation != seen->key.generation ||
                         key.kind_home != seen->key.kind_home || key.job != seen->key.job)) {
        struct muster__proxy found;
        if (!muster__proxy_find(key, &found))
            return false;
        *seen = (struct seen){key, found};
    }
    *proxy = seen->proxy;
    return true;
}

/* ---- put ---- */

static MUSTER__THREAD_LOCAL struct seen stash;

/* The stash is full: of what the home takes in later, or never for want of room. */
static muster_err put_when_room(struct muster__queue *q, uint32_t generation, uint32_t self, const void *item,
                                size_t size, int64_t timeout_ms)
{
    if (timeout_ms != MUSTER_FOREVER && atomic_load(&q->starved))
        return MUSTER_ERR_NOMEM;
    return muster__queue_put(q, generation, self, item, size, MUSTER_FOREVER);
}

/* False: there is no lease. */
static bool put_in_stash(muster_queue queue, const void *item, size_t size, int64_t timeout_ms, muster_err *err)
{
    struct muster__proxy proxy;
    uint32_t self = muster__self_number();
    if (!self || !look_up(&stash, queue.handle, &proxy))
        return false;
    struct muster__queue *q = muster__queue_of(proxy.object);
    if (size > MUSTER__QUEUE_INLINE_MAX) { /* goes by itself, behind what is there */
        *err = muster__queue_await_empty(q, proxy.generation, MUSTER_FOREVER);
        return *err == MUSTER_ERR_INTERRUPTED;
    }
    *err = muster__queue_put(q, proxy.generation, self, item, size, MUSTER_NOWAIT);
    if (MUSTER__UNLIKELY(*err == MUSTER_ERR_FULL))
        *err = put_when_room(q, proxy.generation, self, item, size, timeout_ms);
    if (MUSTER__LIKELY(*err == MUSTER_OK))
        pipe_put_done(queue.handle, q);
    if (*err == MUSTER_ERR_STALE)
        stash.key = (muster_handle){0};
    return *err != MUSTER_ERR_CLOSED && *err != MUSTER_ERR_STALE;
}

muster_err away_put(muster_queue queue, const void *item, size_t size, int64_t timeout_ms)
{
    muster_err err;
    if (put_in_stash(queue, item, size, timeout_ms, &err))
        return failed(err, queue, QUEUE_PUT);
    struct muster__call call = {
        .object = queue.handle, .operation = QUEUE_PUT, .timeout_ms = timeout_ms, .bytes = item, .size = size};
    return muster__remote_call(&call, queue_operation_names[QUEUE_PUT]);
}

/* ---- get ---- */

static MUSTER__THREAD_LOCAL struct seen stock;

static muster_err get_at_home(muster_queue queue, void *item, size_t capacity, size_t *size, int64_t timeout_ms,
                              bool *in_stock)
{
    uint64_t room = capacity;
    bool tries = timeout_ms == MUSTER_NOWAIT;
    struct muster__call call = {.object = queue.handle,
                                .operation = tries ? QUEUE_TRY_GET : QUEUE_GET,
                                .timeout_ms = tries ? MUSTER_FOREVER : timeout_ms,
                                .bytes = &room,
                                .size = sizeof room,
                                .reply = item,
                                .capacity = capacity < MUSTER__QUEUE_INLINE_MAX ? capacity : MUSTER__QUEUE_INLINE_MAX};
    muster_err err = muster__remote_call(&call, queue_operation_names[QUEUE_GET]);
    *in_stock = err == MUSTER_OK && call.number == QUEUE_IN_STOCK;
    if (size && !*in_stock && (err == MUSTER_OK || err == MUSTER_ERR_TOOBIG))
        *size = call.reply_size;
    return err;
}

/* False: there is no lease, or nothing in the stock: home knows more. */
static bool get_from_stock(muster_queue queue, void *item, size_t capacity, size_t *size, int64_t timeout_ms,
                           muster_err *err)
{
    struct muster__proxy proxy;
    uint32_t self = muster__self_number();
    if (!self || !look_up(&stock, stock_of(queue.handle), &proxy))
        return false;
    struct muster__queue *q = muster__queue_of(proxy.object);
    *err = muster__queue_get(q, proxy.generation, self, item, capacity, size, timeout_ms);
    if (*err == MUSTER_ERR_STALE)
        stock.key = (muster_handle){0};
    return *err != MUSTER_ERR_CLOSED && *err != MUSTER_ERR_STALE && *err != MUSTER_ERR_EMPTY;
}

static int64_t left_ms(int64_t timeout_ms, int64_t deadline_ns)
{
    int64_t left = timeout_ms > 0 ? deadline_ns - muster__now_ns() : 0;
    return timeout_ms <= 0 ? timeout_ms : left > 0 ? (left + 999999) / 1000000 : MUSTER_NOWAIT;
}

muster_err away_get(muster_queue queue, void *item, size_t capacity, size_t *size, int64_t timeout_ms)
{
    int64_t deadline_ns = timeout_ms > 0 ? muster__deadline_ns(timeout_ms) : MUSTER__NEVER;
    for (bool again = false;; again = true) {
        muster_err err;
        bool in_stock;
        if (get_from_stock(queue, item, capacity, size, left_ms(timeout_ms, deadline_ns), &err))
            return failed(err, queue, QUEUE_GET);
        if (again) /* its stock could not be made, or was ended already: home takes the items back */
            err = away_ask(queue, QUEUE_SETTLE, MUSTER_FOREVER, NULL);
        err = get_at_home(queue, item, capacity, size, left_ms(timeout_ms, deadline_ns), &in_stock);
        if (!in_stock)
            return err;
    }
}
