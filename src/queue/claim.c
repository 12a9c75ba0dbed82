/* SPDX-License-Identifier: BSD-3-Clause */
#include "queue/queue.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static uint32_t me(void)
{
    return muster__self_state.number;
}

/* ---- puts ---- */

/* Who closes raises closing before it looks for claimants: one of the two sees the other. */
static muster_err claim_latched(struct muster__queue *queue, struct muster__step *step, int64_t n)
{
    int64_t room = muster__queue_room(queue, n);
    if (atomic_load(&queue->closed))
        return MUSTER_ERR_CLOSED;
    if (!room)
        return MUSTER_ERR_FULL;
    atomic_fetch_or(&queue->claimants, UINT64_C(1) << step->host % 64);
    if (atomic_load(&queue->closing))
        return MUSTER_ERR_CLOSED;
    atomic_fetch_add(&queue->claimed, room);
    step->arg->in[2] = step->arg->out[0] = room;
    return MUSTER_OK;
}

muster_err muster__queue_claim(struct muster__step *step, int64_t n)
{
    struct muster__queue *queue = muster__queue_of(step->object);
    if (atomic_load(&queue->settling))
        return MUSTER__ASKING;
    if (!muster__latch_acquire(&queue->put_latch, step->generation, me()))
        return muster__latch_lost(&queue->put_latch, step->generation);
    muster_err err = claim_latched(queue, step, n);
    muster__latch_release(&queue->put_latch, step->generation, me());
    return err;
}

/* The places are items now, or wait for room before what that host sends later. */
static muster_err fill(struct muster__step *step,
                       int64_t (*append)(struct muster__queue *queue, struct muster__arg *arg))
{
    struct muster__queue *queue = muster__queue_of(step->object);
    struct muster__arg *arg = step->arg;
    if (!muster__latch_acquire(&queue->put_latch, step->generation, me()))
        return muster__latch_lost(&queue->put_latch, step->generation);
    muster__self_state.busy = false;
    int64_t done = append(queue, arg);
    bool busy = muster__self_state.busy && !done;
    if (!busy)
        atomic_fetch_sub(&queue->claimed, arg->in[2]);
    muster__latch_release(&queue->put_latch, step->generation, me());
    if (busy)
        return MUSTER__AGAIN;
    if (done < arg->in[2])
        muster__queue_hosts->hold(step, done);
    if (done)
        muster__event_signal(muster__queue_event(step->object, MUSTER__QUEUE_ITEMS), done < INT_MAX ? (int)done : -1);
    muster__queue_goes_on(step->object, step->generation);
    return MUSTER_OK;
}

static int64_t append_one(struct muster__queue *queue, struct muster__arg *arg)
{
    struct muster__queue_item item = {.bytes = arg->bytes, .size = arg->size};
    if (arg->size > MUSTER__QUEUE_INLINE_MAX) {
        item.block = arg->bytes_block;
        item.owner = arg->own ? (uint32_t)arg->own : (uint32_t)MUSTER__OWNER_WIRE;
    }
    if (!muster__queue_append(queue, &item, me()))
        return 0;
    if (item.block)
        arg->bytes_block = arg->own = 0;
    return 1;
}

static int64_t append_many(struct muster__queue *queue, struct muster__arg *arg)
{
    return muster__queue_append_many(queue, arg->bytes, (size_t)arg->in[1], arg->in[2], me());
}

muster_err muster__queue_taken_put(struct muster__step *step)
{
    bool small = step->arg->size <= MUSTER__QUEUE_INLINE_MAX;
    muster_err err = fill(step, append_one);
    if (!err && small)
        muster__queue_hosts->put(step);
    return err;
}

muster_err muster__queue_taken_put_many(struct muster__step *step)
{
    muster_err err = fill(step, append_many);
    if (!err)
        muster__queue_hosts->put(step);
    return err;
}

void muster__queue_undo_put(struct muster__step *step, bool died)
{
    (void)died;
    if (!step->claims)
        return;
    atomic_fetch_sub(&muster__queue_of(step->object)->claimed, step->arg->in[2]);
    muster__queue_give_place(step->object, (int)step->arg->in[2]);
}

/* ---- gets ---- */

static void look_again(struct muster__object *object)
{
    muster__event_signal(muster__queue_event(object, MUSTER__QUEUE_ITEMS), 1);
    muster__event_signal(muster__queue_event(object, MUSTER__QUEUE_SETTLED), -1);
}

static muster_err end_out(struct muster__step *step)
{
    muster_err err = muster__queue_lend(step->object, step->generation, 0);
    if (!err)
        look_again(step->object);
    return err;
}

muster_err muster__queue_taken_get(struct muster__step *step)
{
    int64_t items = step->arg->in[2];
    muster_err err = items ? end_out(step) : MUSTER_OK;
    if (!err && items)
        muster__queue_hosts->got(step, items);
    return err;
}

struct packed {
    char *at;
    size_t used;
};

static void pack(struct packed *packed, const void *bytes, uint64_t size)
{
    memcpy(packed->at + packed->used, &size, sizeof size);
    if (size)
        memcpy(packed->at + packed->used + sizeof size, bytes, size);
    packed->used += muster__queue_packed(size);
}

static struct packed packed_make(size_t bytes)
{
    struct packed packed = {.at = malloc(bytes)};
    MUSTER__CHECK_EQ(packed.at != NULL, true);
    return packed;
}

static void put_back(struct muster__step *step, struct packed packed)
{
    muster_err err = muster__queue_returned(step->object, step->generation, packed.at, packed.used);
    free(packed.at);
    if (err == MUSTER_ERR_NOMEM) /* until there is room */
        muster__self_state.busy = true;
    else if (!err)
        look_again(step->object);
}

/* What a dead one had in hand is lost. True: that was all. */
static bool nothing_back(struct muster__step *step, bool died)
{
    if (!step->claims || !step->arg->in[2])
        return true;
    if (died)
        end_out(step);
    return died;
}

void muster__queue_undo_get(struct muster__step *step, bool died)
{
    struct muster__arg *arg = step->arg;
    if (nothing_back(step, died))
        return;
    struct packed packed = packed_make(muster__queue_packed(arg->size));
    pack(&packed, arg->bytes, arg->size);
    put_back(step, packed);
}

/* Of n items in size bytes, with the sizes behind them: whether that is so. */
static bool is_whole(const char *sizes, int64_t n, size_t left)
{
    for (int64_t i = 0; i < n; i++) {
        uint64_t size;
        memcpy(&size, sizes + (size_t)i * sizeof size, sizeof size);
        if (size > left)
            return false;
        left -= size;
    }
    return true;
}

void muster__queue_undo_get_many(struct muster__step *step, bool died)
{
    struct muster__arg *arg = step->arg;
    int64_t n = arg->in[2];
    size_t words = (size_t)n * sizeof(uint64_t);
    if (arg->out[1] == MUSTER__QUEUE_LARGE) {
        muster__queue_undo_get(step, died);
        return;
    }
    const char *bytes = arg->bytes, *sizes = bytes + arg->size - words;
    if (nothing_back(step, died || arg->size < words || !is_whole(sizes, n, arg->size - words)))
        return;
    struct packed packed = packed_make((size_t)n * muster__queue_packed(0) + arg->size);
    for (int64_t i = 0; i < n; i++) {
        uint64_t size;
        memcpy(&size, sizes + (size_t)i * sizeof size, sizeof size);
        pack(&packed, bytes, size);
        bytes += size;
    }
    put_back(step, packed);
}
