/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queue: latches around the steps of ends.c.
 *
 * Large items are copied outside of the latches: into a block before it is appended, out of it after it was taken.
 *
 * Each change calls one who waits, if any. Who finds nothing stands in line again where it stood, and who leaves an
 * item (or a place) behind has the next one called: see wait.h.
 *
 * Latch order: put_latch before get_latch; only ending holds both.
 */
#include "queue/queue.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct muster__queue_hosts *muster__queue_hosts;

static muster_err wait_for(struct muster__step *step, int event)
{
    step->event = muster__queue_event(step->object, event);
    return MUSTER__WAIT;
}

/* Whether there is nothing to be called back: what is out is sure soon. */
static bool only_out(const struct muster__queue *queue)
{
    return atomic_load(&queue->lent) == MUSTER__QUEUE_OUT && !atomic_load(&queue->lessees) &&
           !atomic_load(&queue->claimants);
}

/* An answer of other hosts: they send what they have of it. */
static muster_err wait_settled(struct muster__step *step)
{
    struct muster__queue *queue = muster__queue_of(step->object);
    step->event = muster__queue_event(step->object, MUSTER__QUEUE_SETTLED);
    if (!only_out(queue) && !atomic_exchange(&queue->settling, 1))
        muster__queue_hosts->settle(step->object, step->generation);
    return MUSTER__ASKING;
}

static uint32_t me(void)
{
    return muster__self_state.number;
}

/* ---- put ---- */

static bool is_full(struct muster__queue *queue, int64_t puts)
{
    int64_t maxsize = queue->maxsize;
    if (MUSTER__LIKELY(!maxsize))
        return false;
    puts += atomic_load_explicit(&queue->claimed, memory_order_relaxed);
    return puts - queue->gets_seen >= maxsize && puts - (queue->gets_seen = muster__queue_gets(queue)) >= maxsize;
}

static inline muster_err put_latched(struct muster__queue *queue, const struct muster__queue_item *item)
{
    if (MUSTER__UNLIKELY(atomic_load_explicit(&queue->closed, memory_order_relaxed)))
        return MUSTER_ERR_CLOSED;
    if (is_full(queue, muster__queue_puts(queue)))
        return MUSTER_ERR_FULL;
    return MUSTER__LIKELY(muster__queue_append(queue, item, me())) ? MUSTER_OK : muster__again(MUSTER_ERR_NOMEM);
}

muster_err muster__queue_put_now(struct muster__object *object, uint32_t generation,
                                 const struct muster__queue_item *item)
{
    struct muster__queue *queue = muster__queue_of(object);
    if (MUSTER__UNLIKELY(!muster__latch_acquire(&queue->put_latch, generation, me())))
        return muster__latch_lost(&queue->put_latch, generation);
    muster_err err = put_latched(queue, item);
    muster__latch_release(&queue->put_latch, generation, me());
    if (MUSTER__LIKELY(err == MUSTER_OK))
        muster__event_signal(muster__queue_event(object, MUSTER__QUEUE_ITEMS), 1);
    return err;
}

static bool looks_full(const struct muster__queue *queue)
{
    return !muster__queue_room(queue, 1) && !atomic_load(&queue->closed);
}

/* The copy is made once there seems to be room: a putter that waits holds no memory, but for losing a race. */
static muster_err copy_large(struct muster__step *step)
{
    struct muster__arg *arg = step->arg;
    if (looks_full(muster__queue_of(step->object)))
        return wait_for(step, MUSTER__QUEUE_SPACE);
    arg->bytes_block = muster__heap_alloc(arg->size, me());
    if (!arg->bytes_block)
        return muster__again(MUSTER_ERR_NOMEM);
    memcpy(muster__heap_at(arg->bytes_block), arg->bytes, arg->size);
    arg->own = me(); /* whose it is */
    return MUSTER_OK;
}

static muster_err put_what(struct muster__step *step, struct muster__queue_item *item)
{
    struct muster__arg *arg = step->arg;
    *item = (struct muster__queue_item){.bytes = arg->bytes, .size = arg->size};
    if (arg->size <= MUSTER__QUEUE_INLINE_MAX)
        return MUSTER_OK;
    muster_err err = arg->bytes_block ? MUSTER_OK : copy_large(step);
    item->block = arg->bytes_block;
    item->owner = arg->own ? (uint32_t)arg->own : (uint32_t)MUSTER__OWNER_WIRE;
    return err;
}

static void drop_copy(struct muster__arg *arg)
{
    if (!arg->own)
        return;
    muster__heap_free(arg->bytes_block, me());
    arg->own = arg->bytes_block = 0;
}

static bool from_elsewhere(const struct muster__step *step)
{
    return MUSTER__UNLIKELY(step->host != (int)muster__segment->host);
}

/* Who waits keeps its copy until it leaves; a first step that does not wait is followed by nothing. */
static bool keeps_copy(const struct muster__step *step, muster_err err)
{
    return step->waited || (err == MUSTER_ERR_FULL && !step->nowait);
}

/* What a claim has come to; a copy is kept by who may need it yet. */
static muster_err sure(struct muster__step *step, muster_err err)
{
    if (err == (muster_err)MUSTER__ASKING)
        return wait_settled(step);
    if (err && !keeps_copy(step, err))
        drop_copy(step->arg);
    return err == MUSTER_ERR_FULL ? wait_for(step, MUSTER__QUEUE_SPACE) : err;
}

static muster_err put(struct muster__step *step)
{
    struct muster__queue_item item;
    if (from_elsewhere(step) && muster__queue_hosts->is_full(step))
        return MUSTER_ERR_NOMEM;
    muster_err err = put_what(step, &item);
    if (err)
        return err;
    if (step->claims) {
        step->arg->in[1] = 0; /* of many alone */
        return sure(step, muster__queue_claim(step, 1));
    }
    err = muster__queue_put_now(step->object, step->generation, &item);
    if (err && !keeps_copy(step, err))
        drop_copy(step->arg);
    if (err == MUSTER_ERR_FULL)
        return wait_for(step, MUSTER__QUEUE_SPACE);
    if (err)
        return err;
    if (item.block)
        step->arg->bytes_block = step->arg->own = 0;
    muster__queue_goes_on(step->object, step->generation);
    if (from_elsewhere(step) && !item.block)
        muster__queue_hosts->put(step);
    return MUSTER_OK;
}

static void leave_put(struct muster__step *step)
{
    drop_copy(step->arg);
    if (step->called)
        muster__event_signal(muster__queue_event(step->object, MUSTER__QUEUE_SPACE), 1);
}

static bool ready_to_put(const struct muster__step *step)
{
    const struct muster__queue *queue = muster__queue_of(step->object);
    return !looks_full(queue) || muster__latch_ended(&queue->put_latch, step->generation);
}

/* As many as there is room for. */
static muster_err put_many_latched(struct muster__queue *queue, const char *bytes, size_t size, int64_t n,
                                   int64_t *done)
{
    if (MUSTER__UNLIKELY(atomic_load_explicit(&queue->closed, memory_order_relaxed)))
        return MUSTER_ERR_CLOSED;
    int64_t room = muster__queue_room(queue, n - *done);
    int64_t put = muster__queue_append_many(queue, bytes + (size_t)*done * size, size, room, me());
    *done += put;
    if (put < room)
        return muster__again(MUSTER_ERR_NOMEM);
    return *done < n ? MUSTER_ERR_FULL : MUSTER_OK;
}

muster_err muster__queue_put_many_now(struct muster__object *object, uint32_t generation, const void *bytes,
                                      size_t size, int64_t n, int64_t *done)
{
    struct muster__queue *queue = muster__queue_of(object);
    int64_t before = *done;
    if (MUSTER__UNLIKELY(!muster__latch_acquire(&queue->put_latch, generation, me())))
        return muster__latch_lost(&queue->put_latch, generation);
    muster_err err = put_many_latched(queue, bytes, size, n, done);
    muster__latch_release(&queue->put_latch, generation, me());
    if (*done > before)
        muster__event_signal(muster__queue_event(object, MUSTER__QUEUE_ITEMS),
                             (int)(*done - before < INT_MAX ? *done - before : -1));
    return err;
}

/* As another host says; a broken one may say anything. */
static bool many_fit(const struct muster__arg *arg)
{
    enum { MOST = 1 << 16 };
    int64_t size = arg->in[1];
    return arg->in[0] > 0 && arg->in[0] <= MOST && size >= 0 && size <= MUSTER__QUEUE_INLINE_MAX &&
           (!size || (uint64_t)arg->in[0] <= arg->size / (uint64_t)size);
}

/* Those that are in stay in, whatever becomes of the rest. */
static muster_err put_many(struct muster__step *step)
{
    struct muster__arg *arg = step->arg;
    int64_t done = (int64_t)arg->own;
    if (from_elsewhere(step) && !many_fit(arg))
        return MUSTER_ERR_INVAL;
    if (from_elsewhere(step) && muster__queue_hosts->is_full(step))
        return MUSTER_ERR_NOMEM;
    if (step->claims)
        return sure(step, muster__queue_claim(step, arg->in[0]));
    muster_err err =
        muster__queue_put_many_now(step->object, step->generation, arg->bytes, (size_t)arg->in[1], arg->in[0], &done);
    bool more = done > (int64_t)arg->own;
    arg->own = (uint64_t)done;
    arg->out[0] = done;
    if (more)
        muster__queue_goes_on(step->object, step->generation);
    if (more && from_elsewhere(step))
        muster__queue_hosts->put(step);
    if (err == MUSTER_ERR_FULL)
        return wait_for(step, MUSTER__QUEUE_SPACE);
    if (err == (muster_err)MUSTER__AGAIN && more && !step->waited) {
        wait_for(step, MUSTER__QUEUE_SPACE); /* a first step that is to be done again must not have done anything */
        return MUSTER__ASKING;
    }
    return err;
}

/* ---- get ---- */

/* Why nothing can be taken of what is lent, or shut. */
static muster_err barred(uint32_t lent)
{
    return lent == MUSTER__QUEUE_SHUT ? MUSTER_ERR_CLOSED : MUSTER_ERR_EMPTY;
}

muster_err muster__queue_get_now(struct muster__object *object, uint32_t generation, void *bytes, size_t capacity,
                                 size_t *size)
{
    struct muster__queue *queue = muster__queue_of(object);
    muster__ref block = 0;
    if (MUSTER__UNLIKELY(!muster__latch_acquire(&queue->get_latch, generation, me())))
        return muster__latch_lost(&queue->get_latch, generation);
    uint32_t lent = atomic_load_explicit(&queue->lent, memory_order_relaxed);
    muster_err err =
        MUSTER__LIKELY(!lent) ? muster__queue_take(queue, bytes, capacity, size, &block, me()) : barred(lent);
    muster__latch_release(&queue->get_latch, generation, me());
    if (MUSTER__UNLIKELY(err))
        return err;
    muster__queue_give_place(object, 1);
    if (block) {
        memcpy(bytes, muster__heap_at(block), *size);
        muster__heap_free(block, me());
    }
    return MUSTER_OK;
}

/* Items that are lent are called back, but for the host that has them: it is told to look there. */
static muster_err get_lent(struct muster__step *step, uint32_t lent)
{
    if (lent == MUSTER__QUEUE_OUT)
        return wait_for(step, MUSTER__QUEUE_ITEMS);
    if (lent == (uint32_t)step->host + 1 && step->arg->takes_block) {
        step->arg->out[1] = MUSTER__QUEUE_IN_STOCK;
        return MUSTER_OK;
    }
    return wait_settled(step);
}

/* *lent: to whom, where that is why it gives EMPTY. */
static muster_err get_once(struct muster__step *step, uint32_t *lent)
{
    struct muster__queue *queue = muster__queue_of(step->object);
    struct muster__arg *arg = step->arg;
    muster__ref block = 0;
    if (!muster__latch_acquire(&queue->get_latch, step->generation, me()))
        return muster__latch_lost(&queue->get_latch, step->generation);
    *lent = atomic_load_explicit(&queue->lent, memory_order_relaxed);
    muster_err err =
        *lent ? barred(*lent) : muster__queue_take(queue, arg->room, arg->capacity, &arg->got, &block, me());
    if (!err && step->claims)
        atomic_store(&queue->lent, MUSTER__QUEUE_OUT);
    muster__latch_release(&queue->get_latch, step->generation, me());
    if (err)
        return err;
    muster__queue_give_place(step->object, 1);
    if (block && arg->takes_block) {
        arg->room_block = block;
    } else if (block) {
        memcpy(arg->room, muster__heap_at(block), arg->got);
        muster__heap_free(block, me());
    }
    return MUSTER_OK;
}

static muster_err nothing_yet(struct muster__step *step, uint32_t lent)
{
    return lent ? get_lent(step, lent) : wait_for(step, MUSTER__QUEUE_ITEMS);
}

/* Whom the end of OUT has called passes that on: it calls one, however many items there are. */
static void got(struct muster__step *step, int64_t items)
{
    if (step->claims) {
        step->arg->in[2] = items;
        return;
    }
    if (from_elsewhere(step))
        muster__queue_hosts->got(step, items);
    if (step->called && muster__queue_glance(muster__queue_of(step->object)))
        muster__event_signal(muster__queue_event(step->object, MUSTER__QUEUE_ITEMS), 1);
}

static muster_err get(struct muster__step *step)
{
    uint32_t lent;
    muster_err err = get_once(step, &lent);
    if (err == MUSTER_ERR_EMPTY)
        return nothing_yet(step, lent);
    if (!err)
        got(step, 1);
    return err;
}

/* puts was read while gets stood still. */
static int64_t count_items(struct muster__step *step)
{
    const struct muster__queue *queue = muster__queue_of(step->object);
    int64_t gets, puts;
    do {
        gets = muster__queue_gets(queue);
        puts = muster__queue_commits(queue);
    } while (muster__queue_gets(queue) != gets);
    return puts - gets;
}

/* Whether a get would not wait. Who sleeps for that needs to know, where a glance is not enough. */
static bool is_ready(struct muster__step *step)
{
    return count_items(step) > 0 || atomic_load(&muster__queue_of(step->object)->closed);
}

static muster_err watch_get(struct muster__step *step)
{
    if (atomic_load(&muster__queue_of(step->object)->lent))
        return wait_settled(step);
    return is_ready(step) ? MUSTER_OK : wait_for(step, MUSTER__QUEUE_ITEMS);
}

/* EMPTY is said once nobody else has items for it: what was put before this get began is here then. settlements: before
 * it looked. */
static muster_err nothing_now(struct muster__step *step, uint32_t lent, uint32_t settlements)
{
    if (!step->arg->own)
        step->arg->own = (uint64_t)settlements + 1;
    if (lent || (muster__queue_leased(muster__queue_of(step->object)) && settlements < step->arg->own))
        return wait_settled(step);
    return MUSTER_ERR_EMPTY;
}

static muster_err watch_try_get(struct muster__step *step)
{
    struct muster__queue *queue = muster__queue_of(step->object);
    uint32_t settlements = atomic_load(&queue->settlements), lent = atomic_load(&queue->lent);
    return !lent && is_ready(step) ? MUSTER_OK : nothing_now(step, lent, settlements);
}

static muster_err try_get(struct muster__step *step)
{
    uint32_t lent, settlements = atomic_load(&muster__queue_of(step->object)->settlements);
    muster_err err = get_once(step, &lent);
    if (err == MUSTER_ERR_EMPTY)
        return nothing_now(step, lent, settlements);
    if (!err && step->claims)
        got(step, 1);
    return err;
}

/* ---- get many ---- */

static muster_err take_latched(struct muster__object *object, uint32_t generation, struct muster__queue_many *many,
                               uint32_t *lent)
{
    struct muster__queue *queue = muster__queue_of(object);
    int64_t before = many->count;
    *lent = 0;
    if (MUSTER__UNLIKELY(!muster__latch_acquire(&queue->get_latch, generation, me())))
        return muster__latch_lost(&queue->get_latch, generation);
    *lent = atomic_load_explicit(&queue->lent, memory_order_relaxed);
    muster_err err = MUSTER__LIKELY(!*lent) ? muster__queue_take_some(queue, many, me()) : barred(*lent);
    if (!err && MUSTER__UNLIKELY(many->claims))
        atomic_store(&queue->lent, MUSTER__QUEUE_OUT);
    muster__latch_release(&queue->get_latch, generation, me());
    if (!err)
        muster__queue_give_place(object, many->block ? 1 : (int)(many->count - before));
    return err;
}

/* What there is, large ones among them. */
static muster_err take_all(struct muster__object *object, uint32_t generation, struct muster__queue_many *many,
                           uint32_t *lent)
{
    for (;;) {
        many->block = 0;
        muster_err err = take_latched(object, generation, many, lent);
        if (!err && many->block) {
            memcpy(many->at, muster__heap_at(many->block), many->size);
            muster__heap_free(many->block, me());
            muster__queue_took(many, many->size);
        }
        if (err || many->count == many->most)
            return many->count ? MUSTER_OK : err;
        if (!many->block && !muster__queue_glance(muster__queue_of(object)))
            return MUSTER_OK;
    }
}

muster_err muster__queue_get_many_now(struct muster__object *object, uint32_t generation,
                                      struct muster__queue_many *many)
{
    uint32_t lent;
    return take_all(object, generation, many, &lent);
}

/* For another host: as many as fit into a letter, or a large one. */
enum { BYTES_AT_ONCE = 8192, ITEMS_AT_ONCE = 1000 };

static muster_err take_packed(struct muster__step *step, uint32_t *lent)
{
    static size_t sizes[ITEMS_AT_ONCE];
    struct muster__arg *arg = step->arg;
    struct muster__queue_many many = {.at = arg->room,
                                      .left = arg->capacity < BYTES_AT_ONCE ? arg->capacity : BYTES_AT_ONCE,
                                      .sizes = sizes,
                                      .claims = step->claims,
                                      .most = arg->in[0] < ITEMS_AT_ONCE ? arg->in[0] : ITEMS_AT_ONCE};
    muster_err err = take_latched(step->object, step->generation, &many, lent);
    if (err == MUSTER_ERR_TOOBIG && many.size <= arg->capacity) {
        many.left = arg->capacity;
        many.most = 1;
        err = take_latched(step->object, step->generation, &many, lent);
    }
    arg->got = many.size;
    if (err)
        return err;
    arg->out[0] = many.block ? 1 : many.count;
    arg->out[1] = many.block ? MUSTER__QUEUE_LARGE : 0;
    arg->room_block = many.block;
    if (many.block)
        return MUSTER_OK;
    size_t used = ((size_t)(many.at - (char *)arg->room) + 7) & ~(size_t)7;
    for (int64_t i = 0; i < many.count; i++) {
        uint64_t word = sizes[i];
        memcpy((char *)arg->room + used + (size_t)i * sizeof word, &word, sizeof word);
    }
    arg->got = used + (size_t)many.count * sizeof(uint64_t);
    return MUSTER_OK;
}

static muster_err get_many(struct muster__step *step)
{
    uint32_t lent, settlements = atomic_load(&muster__queue_of(step->object)->settlements);
    bool far = step->arg->takes_block;
    muster_err err = far ? take_packed(step, &lent) : take_all(step->object, step->generation, step->arg->room, &lent);
    if (err == MUSTER_ERR_EMPTY)
        return step->arg->in[1] ? nothing_now(step, lent, settlements) : nothing_yet(step, lent);
    if (!err)
        got(step, step->arg->out[0]);
    return err;
}

static bool ready_to_get(const struct muster__step *step)
{
    const struct muster__queue *queue = muster__queue_of(step->object);
    return muster__queue_glance(queue) || muster__latch_ended(&queue->get_latch, step->generation);
}

/* ---- the rest ---- */

static muster_err size(struct muster__step *step)
{
    if (muster__queue_leased(muster__queue_of(step->object)))
        return wait_settled(step);
    step->arg->out[0] = count_items(step);
    return MUSTER_OK;
}

/* An unbounded queue is never full, and a bounded one never leased. */
static muster_err full(struct muster__step *step)
{
    int64_t maxsize = muster__queue_of(step->object)->maxsize;
    step->arg->out[0] = maxsize && count_items(step) + atomic_load(&muster__queue_of(step->object)->claimed) >= maxsize;
    return MUSTER_OK;
}

/* No lease begins any more: puts on other hosts have to hear that it is closed. */
static muster_err close(struct muster__step *step)
{
    struct muster__queue *queue = muster__queue_of(step->object);
    atomic_store(&queue->closing, 1);
    if (muster__queue_leased(queue))
        return wait_settled(step);
    return muster__queue_set_closed(step->object, step->generation, true);
}

static muster_err mark_done(struct muster__step *step, bool *all)
{
    struct muster__queue *queue = muster__queue_of(step->object);
    if (!muster__latch_acquire(&queue->put_latch, step->generation, me()))
        return muster__latch_lost(&queue->put_latch, step->generation);
    int64_t puts = muster__queue_puts(queue); /* can only grow afterwards */
    muster__latch_release(&queue->put_latch, step->generation, me());
    if (!muster__latch_acquire(&queue->get_latch, step->generation, me()))
        return muster__latch_lost(&queue->get_latch, step->generation);
    int64_t done = atomic_load(&queue->done);
    if (done < puts)
        atomic_store(&queue->done, done + 1);
    muster__latch_release(&queue->get_latch, step->generation, me());
    *all = done + 1 >= puts;
    return done < puts ? MUSTER_OK : MUSTER_ERR_STATE;
}

static muster_err task_done(struct muster__step *step)
{
    bool all = false;
    muster_err err = mark_done(step, &all);
    if (err == MUSTER_ERR_STATE && muster__queue_leased(muster__queue_of(step->object)))
        return wait_settled(step);
    if (!err && all)
        muster__event_signal(muster__queue_event(step->object, MUSTER__QUEUE_IDLE), -1);
    return err;
}

/* While somebody waits here no lease begins: home knows of each item that was put. */
static muster_err join(struct muster__step *step)
{
    struct muster__queue *queue = muster__queue_of(step->object);
    if (muster__queue_leased(queue))
        return wait_settled(step);
    return atomic_load(&queue->done) >= muster__queue_commits(queue) ? MUSTER_OK : wait_for(step, MUSTER__QUEUE_IDLE);
}

static muster_err emptied(struct muster__step *step)
{
    struct muster__queue *queue = muster__queue_of(step->object);
    if (atomic_load(&queue->closed) || muster__queue_commits(queue) <= muster__queue_gets(queue))
        return MUSTER_OK;
    return wait_for(step, MUSTER__QUEUE_SPACE);
}

static muster_err destroy(struct muster__step *step)
{
    struct muster__queue *queue = muster__queue_of(step->object);
    atomic_store(&queue->closing, 1);
    step->arg->out[0] = (int64_t)atomic_load(&queue->users);
    return muster__object_end(step->object, step->generation, me()) ? MUSTER_OK : MUSTER_ERR_STALE;
}

/* ---- its class ---- */

/* The first chunk is handed over last: until then the death of the maker frees it, and nobody else has the handle. */
static muster_err make(struct muster__object *object, uint32_t generation, struct muster__arg *arg, uint32_t self)
{
    struct muster__queue *queue = muster__queue_of(object);
    queue->maxsize = arg->in[0];
    if (!muster__queue_prepare(queue, self))
        return muster__fail(MUSTER_ERR_NOMEM, "no room for a queue: the segment is full; raise MUSTER_SEGMENT_MIB");
    muster__latch_init(&queue->put_latch, generation);
    muster__latch_init(&queue->get_latch, generation);
    return MUSTER_OK;
}

static void made(struct muster__object *object, uint32_t self)
{
    muster__heap_hand_over(atomic_load(&muster__queue_of(object)->head), self, 0);
}

/* Done again by who sweeps a dead one: each step is harmless then. */
static void drop(struct muster__object *object, uint32_t generation, uint32_t self)
{
    struct muster__queue *queue = muster__queue_of(object);
    if (!muster__latch_acquire(&queue->put_latch, generation, self))
        return;
    if (muster__latch_acquire(&queue->get_latch, generation, self)) {
        muster__queue_drop(queue, self);
        if (atomic_load(&queue->users))
            muster__queue_hosts->ended(object, generation);
        muster__latch_end(&queue->get_latch, generation);
    }
    if (muster__latch_ended(&queue->get_latch, generation))
        muster__latch_end(&queue->put_latch, generation);
    else
        muster__latch_release(&queue->put_latch, generation, self); /* busy */
}

/* Other hosts end theirs themselves. */
static void finish(struct muster__object *object, muster_handle handle)
{
    atomic_store(&muster__queue_of(object)->users, 0);
    muster__object_end(object, handle.generation, me());
}

static void repair(struct muster__object *object, uint32_t generation, uint32_t dead, uint32_t self)
{
    struct muster__queue *queue = muster__queue_of(object);
    struct muster__tag tag = muster__tag_unpack(atomic_load(&object->tag));
    bool whole = tag.claimer != dead; /* else it was being dropped */
    uint32_t held;
    (void)generation;
    if (muster__latch_seize(&queue->put_latch, dead, self, &held)) {
        if (whole)
            muster__queue_repair_put(queue, self);
        muster__latch_release(&queue->put_latch, held, self);
    }
    if (muster__latch_seize(&queue->get_latch, dead, self, &held)) {
        if (whole)
            muster__queue_repair_get(queue, dead, self);
        muster__latch_release(&queue->get_latch, held, self);
    }
    if (atomic_load(&queue->settling)) /* it may have been about to ask; while leases end none may begin */
        muster__queue_hosts->settle(object, generation);
    atomic_store(&queue->told, 0);
    if (muster__queue_hosts && atomic_load(&queue->ships))
        muster__queue_hosts->ship(object, generation);
}

static void describe(const struct muster__object *object, char *text, size_t size)
{
    const struct muster__queue *queue = muster__queue_of((struct muster__object *)object);
    int64_t items = muster__queue_about(queue);
    snprintf(text, size, "holds %lld item%s, maxsize %lld", (long long)items, muster__s(items),
             (long long)queue->maxsize);
}

static const char *remedy(muster_err err)
{
    switch (err) {
    case MUSTER_ERR_FULL:
        return "raise maxsize, add consumers or wait longer";
    case MUSTER_ERR_EMPTY:
        return "wait longer, or close the queue when nothing more will be put";
    case MUSTER_ERR_TOOBIG:
        return "the item stays first: get it into a larger buffer";
    case MUSTER_ERR_NOMEM:
        return "a host segment is full: set a maxsize, add consumers or raise MUSTER_SEGMENT_MIB";
    case MUSTER_ERR_STATE:
        return "more items were marked done than were put";
    default:
        return "";
    }
}

static const struct muster__op ops[MUSTER__QUEUE_OPS] = {
    [MUSTER__QUEUE_PUT] = {.name = "muster_queue_put",
                           .step = put,
                           .ready = ready_to_put,
                           .leave = leave_put,
                           .undo = muster__queue_undo_put,
                           .taken = muster__queue_taken_put,
                           .late = MUSTER_ERR_FULL,
                           .late_now = MUSTER_ERR_FULL},
    [MUSTER__QUEUE_GET] = {.name = "muster_queue_get",
                           .step = get,
                           .watch = watch_get,
                           .ready = ready_to_get,
                           .undo = muster__queue_undo_get,
                           .taken = muster__queue_taken_get,
                           .late = MUSTER_ERR_EMPTY,
                           .late_now = MUSTER_ERR_EMPTY},
    [MUSTER__QUEUE_TRY_GET] = {.name = "muster_queue_get",
                               .step = try_get,
                               .watch = watch_try_get,
                               .undo = muster__queue_undo_get,
                               .taken = muster__queue_taken_get,
                               .late = MUSTER_ERR_EMPTY,
                               .late_now = MUSTER_ERR_EMPTY},
    [MUSTER__QUEUE_PUT_MANY] = {.name = "muster_queue_put_many",
                                .step = put_many,
                                .ready = ready_to_put,
                                .undo = muster__queue_undo_put,
                                .taken = muster__queue_taken_put_many,
                                .late = MUSTER_ERR_FULL,
                                .late_now = MUSTER_ERR_FULL},
    [MUSTER__QUEUE_GET_MANY] = {.name = "muster_queue_get_many",
                                .step = get_many,
                                .ready = ready_to_get,
                                .undo = muster__queue_undo_get_many,
                                .taken = muster__queue_taken_get,
                                .late = MUSTER_ERR_EMPTY,
                                .late_now = MUSTER_ERR_EMPTY},
    [MUSTER__QUEUE_SIZE] = {.name = "muster_queue_size", .step = size, .late = MUSTER_ERR_TIMEOUT},
    [MUSTER__QUEUE_FULL] = {.name = "muster_queue_full", .step = full, .late = MUSTER_ERR_TIMEOUT},
    [MUSTER__QUEUE_CLOSE] = {.name = "muster_queue_close", .step = close, .late = MUSTER_ERR_TIMEOUT},
    [MUSTER__QUEUE_TASK_DONE] = {.name = "muster_queue_task_done", .step = task_done, .late = MUSTER_ERR_TIMEOUT},
    [MUSTER__QUEUE_JOIN] = {.name = "muster_queue_join",
                            .takes_nothing = true,
                            .step = join,
                            .late = MUSTER_ERR_TIMEOUT,
                            .late_now = MUSTER_ERR_TIMEOUT},
    [MUSTER__QUEUE_EMPTIED] = {.name = "muster_queue_put",
                               .step = emptied,
                               .late = MUSTER_ERR_TIMEOUT,
                               .late_now = MUSTER_ERR_TIMEOUT},
    [MUSTER__QUEUE_DESTROY] = {.name = "muster_queue_destroy", .step = destroy},
};

/* Any process may have to sweep queues, also one that never made or used one. */
__attribute__((constructor)) static void class_register(void)
{
    static const struct muster__class class = {.name = "queue",
                                               .ops = ops,
                                               .op_count = MUSTER__QUEUE_OPS,
                                               .make = make,
                                               .made = made,
                                               .drop = drop,
                                               .repair = repair,
                                               .finish = finish,
                                               .describe = describe,
                                               .remedy = remedy};
    muster__class_register(MUSTER__QUEUE, &class);
}
