/* SPDX-License-Identifier: BSD-3-Clause */
#include "queue/internal.h"

#include <string.h>

/* A queue of another host, as this one's callers use it: by its stash or stock while there is a lease, else by calls.
 */

static const struct muster__op *op(enum muster__queue_op number)
{
    return &muster__class_of(MUSTER__QUEUE)->ops[number];
}

/* What this thread used last; a proxy that has ended says so itself. */
struct seen {
    muster_handle key;
    struct muster__proxy proxy;
};

/* Pins what stands for the queue; NULL: nothing does. */
static struct muster__object *enter(struct seen *seen, muster_handle key, uint32_t *generation)
{
    if (MUSTER__UNLIKELY(key.slot != seen->key.slot || key.generation != seen->key.generation ||
                         key.kind_home != seen->key.kind_home || key.job != seen->key.job)) {
        struct muster__proxy found;
        if (!muster__self_number() || !muster__proxy_find(key, &found))
            return NULL;
        *seen = (struct seen){key, found};
    }
    *generation = seen->proxy.generation;
    muster_handle here =
        muster__handle_make(MUSTER__QUEUE, muster__object_slot_of(seen->proxy.object), seen->proxy.generation);
    struct muster__object *object = muster__object_pin(here, MUSTER__QUEUE);
    if (!object)
        seen->key = (muster_handle){0};
    return object;
}

static muster_err do_here(struct muster__object *object, uint32_t generation, enum muster__queue_op number,
                          struct muster__arg *arg, int64_t timeout_ms)
{
    struct muster__step step = {.object = object,
                                .generation = generation,
                                .self = muster__self_state.number,
                                .host = (int)muster__segment->host,
                                .arg = arg};
    return muster__do_here(op(number), &step, timeout_ms);
}

static muster_err failed(struct muster__object *object, uint32_t generation, enum muster__queue_op number,
                         muster_err err)
{
    return muster__failed(muster__handle_make(MUSTER__QUEUE, muster__object_slot_of(object), generation),
                          op(number)->name, err);
}

/* Of a deadline at least 1: without time to wait is something else. */
static int64_t left_ms(int64_t timeout_ms, int64_t deadline_ns)
{
    int64_t left = timeout_ms > 0 ? muster__left_ms(deadline_ns) : timeout_ms;
    return timeout_ms > 0 && left == 0 ? 1 : left;
}

static bool is_away(muster_err err)
{
    return err == MUSTER_ERR_CLOSED || err == MUSTER_ERR_STALE;
}

/* ---- put ---- */

static MUSTER__THREAD_LOCAL struct seen stash;

/* Also without time to wait a home that takes in what it was sent gets so long, in ms. */
enum { TAKES_IN_MS = 250 };

/* The stash is full: of what the home takes in later, or never for want of room. */
static muster_err put_when_room(struct muster__object *object, uint32_t generation, enum muster__queue_op number,
                                struct muster__arg *arg, int64_t timeout_ms)
{
    if (timeout_ms != MUSTER_FOREVER && atomic_load(&muster__queue_of(object)->starved))
        return MUSTER_ERR_NOMEM;
    return do_here(object, generation, number, arg, timeout_ms == MUSTER_NOWAIT ? TAKES_IN_MS : timeout_ms);
}

/* A large one goes by itself, behind what is there: then that is to go home by a call. */
static muster_err put_in(struct muster__object *object, uint32_t generation, struct muster__arg *arg,
                         int64_t timeout_ms)
{
    if (arg->size > MUSTER__QUEUE_INLINE_MAX) {
        muster_err err = put_when_room(object, generation, MUSTER__QUEUE_EMPTIED, arg, timeout_ms);
        return err == MUSTER_ERR_TIMEOUT ? MUSTER_ERR_FULL : err == MUSTER_OK ? MUSTER_ERR_CLOSED : err;
    }
    struct muster__queue_item item = {.bytes = arg->bytes, .size = arg->size};
    muster_err err = muster__queue_put_now(object, generation, &item);
    if (MUSTER__UNLIKELY(err == MUSTER_ERR_FULL))
        err = put_when_room(object, generation, MUSTER__QUEUE_PUT, arg, timeout_ms);
    if (MUSTER__LIKELY(err == MUSTER_OK))
        muster__queue_goes_on(object, generation);
    return err;
}

muster_err away_put(muster_handle queue, const void *item, size_t size, int64_t timeout_ms)
{
    uint32_t generation;
    int64_t deadline_ns = timeout_ms > 0 ? muster__deadline_ns(timeout_ms) : MUSTER__NEVER;
    struct muster__arg arg = {.bytes = item, .size = size};
    struct muster__object *object = enter(&stash, queue, &generation);
    if (MUSTER__LIKELY(object != NULL)) {
        muster_err err = put_in(object, generation, &arg, timeout_ms);
        if (MUSTER__UNLIKELY(err && !is_away(err)))
            failed(object, generation, MUSTER__QUEUE_PUT, err);
        muster__object_unpin();
        if (MUSTER__LIKELY(!is_away(err))) {
            muster__count(queue);
            return err;
        }
    }
    return muster__do(queue, MUSTER__QUEUE, MUSTER__QUEUE_PUT, &arg, left_ms(timeout_ms, deadline_ns));
}

/* ---- get ---- */

static MUSTER__THREAD_LOCAL struct seen stock;

/* CLOSED, STALE: there is no lease. EMPTY of a try: home knows more. */
static muster_err get_from_stock(muster_handle queue, struct muster__arg *arg, int64_t timeout_ms)
{
    uint32_t generation;
    struct muster__object *object = enter(&stock, stock_of(queue), &generation);
    if (!object)
        return MUSTER_ERR_STALE;
    muster_err err = muster__queue_get_now(object, generation, arg->room, arg->capacity, &arg->got);
    if (err == MUSTER_ERR_EMPTY && timeout_ms != MUSTER_NOWAIT)
        err = do_here(object, generation, MUSTER__QUEUE_GET, arg, timeout_ms);
    if (MUSTER__UNLIKELY(err && !is_away(err)))
        failed(object, generation, MUSTER__QUEUE_GET, err);
    muster__object_unpin();
    return err;
}

muster_err away_get(muster_handle queue, void *item, size_t capacity, size_t *size, int64_t timeout_ms)
{
    int64_t deadline_ns = timeout_ms > 0 ? muster__deadline_ns(timeout_ms) : MUSTER__NEVER;
    for (;;) {
        struct muster__arg arg = {.room = item, .capacity = capacity};
        muster_err err = get_from_stock(queue, &arg, left_ms(timeout_ms, deadline_ns));
        bool home_knows_more = is_away(err) || (err == MUSTER_ERR_EMPTY && timeout_ms == MUSTER_NOWAIT);
        if (MUSTER__UNLIKELY(home_knows_more))
            err = muster__do(queue, MUSTER__QUEUE,
                             timeout_ms == MUSTER_NOWAIT ? MUSTER__QUEUE_TRY_GET : MUSTER__QUEUE_GET, &arg,
                             left_ms(timeout_ms, deadline_ns));
        else
            muster__count(queue);
        if (err == MUSTER_OK && arg.out[1] == MUSTER__QUEUE_IN_STOCK)
            continue;
        if (size && (err == MUSTER_OK || err == MUSTER_ERR_TOOBIG))
            *size = arg.got;
        return err;
    }
}

/* ---- many ---- */

static muster_err put_many_in(struct muster__object *object, uint32_t generation, struct muster__arg *arg,
                              int64_t timeout_ms)
{
    int64_t done = (int64_t)arg->own;
    muster_err err = muster__queue_put_many_now(object, generation, arg->bytes, (size_t)arg->in[1], arg->in[0], &done);
    bool more = done > (int64_t)arg->own;
    arg->own = (uint64_t)done;
    if (MUSTER__LIKELY(more))
        muster__queue_goes_on(object, generation);
    if (MUSTER__LIKELY(err != MUSTER_ERR_FULL))
        return err;
    return put_when_room(object, generation, MUSTER__QUEUE_PUT_MANY, arg, timeout_ms);
}

/* CLOSED, STALE: there is no lease. */
static muster_err put_in_stash(muster_handle queue, struct muster__arg *arg, int64_t timeout_ms)
{
    uint32_t generation;
    struct muster__object *object = enter(&stash, queue, &generation);
    if (!object)
        return MUSTER_ERR_STALE;
    muster_err err = put_many_in(object, generation, arg, timeout_ms);
    if (MUSTER__UNLIKELY(err && !is_away(err)))
        failed(object, generation, MUSTER__QUEUE_PUT_MANY, err);
    muster__object_unpin();
    return err;
}

/* As many as go into a letter. */
static muster_err put_some_home(muster_handle queue, const struct muster__arg *all, int64_t *done, int64_t timeout_ms)
{
    size_t size = (size_t)all->in[1];
    int64_t most = MUSTER__REMOTE_SMALL / (int64_t)(size < sizeof(uint64_t) ? sizeof(uint64_t) : size);
    int64_t n = all->in[0] - *done < most ? all->in[0] - *done : most;
    struct muster__arg arg = {
        .in = {n, (int64_t)size}, .bytes = (const char *)all->bytes + (size_t)*done * size, .size = (size_t)n * size};
    muster_err err = muster__do(queue, MUSTER__QUEUE, MUSTER__QUEUE_PUT_MANY, &arg, timeout_ms);
    *done += arg.out[0];
    return err;
}

muster_err away_put_many(muster_handle queue, const char *items, int64_t n, size_t size, int64_t *done,
                         int64_t timeout_ms)
{
    int64_t deadline_ns = timeout_ms > 0 ? muster__deadline_ns(timeout_ms) : MUSTER__NEVER;
    struct muster__arg arg = {.in = {n, (int64_t)size}, .bytes = items};
    muster_err err;
    do {
        arg.own = (uint64_t)*done;
        err = put_in_stash(queue, &arg, left_ms(timeout_ms, deadline_ns));
        *done = (int64_t)arg.own;
        if (MUSTER__LIKELY(!is_away(err)))
            muster__count(queue);
        else
            err = put_some_home(queue, &arg, done, left_ms(timeout_ms, deadline_ns));
    } while (!err && *done < n);
    return err;
}

static muster_err get_many_from_stock(muster_handle queue, struct muster__queue_many *many, int64_t timeout_ms)
{
    uint32_t generation;
    struct muster__object *object = enter(&stock, stock_of(queue), &generation);
    if (!object)
        return MUSTER_ERR_STALE;
    struct muster__arg arg = {.in = {many->most}, .room = many};
    muster_err err = muster__queue_get_many_now(object, generation, many);
    if (err == MUSTER_ERR_EMPTY && timeout_ms != MUSTER_NOWAIT)
        err = do_here(object, generation, MUSTER__QUEUE_GET_MANY, &arg, timeout_ms);
    if (MUSTER__UNLIKELY(err && !is_away(err)))
        failed(object, generation, MUSTER__QUEUE_GET_MANY, err);
    muster__object_unpin();
    return err;
}

/* See MUSTER__QUEUE_LARGE. */
static void unpack(const struct muster__arg *arg, struct muster__queue_many *many)
{
    const char *bytes = muster__heap_at(arg->room_block);
    const char *sizes = bytes + arg->got - (size_t)arg->out[0] * sizeof(uint64_t);
    for (int64_t i = 0; i < arg->out[0]; i++) {
        uint64_t size = arg->got;
        if (arg->out[1] != MUSTER__QUEUE_LARGE)
            memcpy(&size, sizes + (size_t)i * sizeof size, sizeof size);
        if (size)
            memcpy(many->at, bytes, size);
        bytes += size;
        muster__queue_took(many, size);
    }
    muster__heap_free(arg->room_block, muster__self_state.number);
}

static muster_err get_many_from_home(muster_handle queue, struct muster__queue_many *many, int64_t timeout_ms,
                                     bool *in_stock)
{
    struct muster__arg arg = {
        .in = {many->most, timeout_ms == MUSTER_NOWAIT}, .capacity = many->left, .takes_block = true};
    muster_err err = muster__do(queue, MUSTER__QUEUE, MUSTER__QUEUE_GET_MANY, &arg, timeout_ms);
    *in_stock = !err && arg.out[1] == MUSTER__QUEUE_IN_STOCK;
    many->size = arg.got;
    if (!err && !*in_stock)
        unpack(&arg, many);
    return err;
}

muster_err away_get_many(muster_handle queue, struct muster__queue_many *many, int64_t timeout_ms)
{
    int64_t deadline_ns = timeout_ms > 0 ? muster__deadline_ns(timeout_ms) : MUSTER__NEVER;
    for (;;) {
        bool in_stock = false;
        muster_err err = get_many_from_stock(queue, many, left_ms(timeout_ms, deadline_ns));
        bool home_knows_more = is_away(err) || (err == MUSTER_ERR_EMPTY && timeout_ms == MUSTER_NOWAIT);
        if (home_knows_more)
            err = get_many_from_home(queue, many, left_ms(timeout_ms, deadline_ns), &in_stock);
        else
            muster__count(queue);
        if (!in_stock)
            return err;
    }
}

void away_end(muster_handle queue, uint64_t hosts)
{
    if (muster__handle_home(queue) != (int)muster__segment->host)
        hosts |= UINT64_C(1) << muster__segment->host % 64;
    for (int host = 0; hosts && host < muster_hosts(); host++)
        if (hosts >> host % 64 & 1)
            muster__remote_call(
                &(struct muster__call){.object = queue, .at = host + 1, .operation = QUEUE_END, .errand = true},
                "muster_queue_destroy");
}
