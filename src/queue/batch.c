/* SPDX-License-Identifier: BSD-3-Clause */
#include "queue/queue.h"

#include <string.h>

/* What agents do with a queue: many items at once, packed; and to whom it sends who comes. */

static muster_err take_fitting(struct muster__queue *queue, size_t capacity, struct muster__queue_batch *batch)
{
    size_t left = capacity - batch->used, size;
    size_t room =
        left < muster__queue_packed(MUSTER__QUEUE_INLINE_MAX) ? left : muster__queue_packed(MUSTER__QUEUE_INLINE_MAX);
    char *at = batch->bytes + batch->used + sizeof(uint64_t);
    muster__ref block = 0;
    if (room < 2 * sizeof(uint64_t))
        return MUSTER_ERR_TOOBIG;
    muster_err err =
        muster__queue_take(queue, at, (room & ~(size_t)7) - sizeof(uint64_t), &size, &block, muster__self_state.number);
    if (err == MUSTER_ERR_TOOBIG && !batch->used)
        return muster__queue_take(queue, NULL, SIZE_MAX, &batch->size, &batch->block, muster__self_state.number);
    if (err != MUSTER_OK)
        return err;
    uint64_t word = size;
    memcpy(at - sizeof word, &word, sizeof word);
    batch->used += muster__queue_packed(size);
    return MUSTER_OK;
}

muster_err muster__queue_take_many(struct muster__object *object, uint32_t generation, size_t capacity,
                                   struct muster__queue_batch *batch)
{
    struct muster__queue *queue = muster__queue_of(object);
    batch->used = 0;
    batch->block = 0;
    if (!muster__latch_acquire(&queue->get_latch, generation, muster__self_state.number))
        return muster__latch_lost(&queue->get_latch, generation);
    while (!batch->block && take_fitting(queue, capacity, batch) == MUSTER_OK)
        ;
    muster__latch_release(&queue->get_latch, generation, muster__self_state.number);
    muster__queue_give_place(object, -1);
    return MUSTER_OK;
}

muster_err muster__queue_put_packed(struct muster__object *object, uint32_t generation, const char *bytes, size_t size,
                                    size_t *used)
{
    struct muster__queue *queue = muster__queue_of(object);
    int count = 0;
    bool room = true;
    *used = 0;
    if (!muster__latch_acquire(&queue->put_latch, generation, muster__self_state.number))
        return muster__latch_lost(&queue->put_latch, generation);
    bool closed = atomic_load(&queue->closed);
    while (!closed && *used < size) {
        uint64_t word;
        memcpy(&word, bytes + *used, sizeof word);
        struct muster__queue_item item = {.bytes = bytes + *used + sizeof word, .size = word};
        if (!(room = muster__queue_append(queue, &item, muster__self_state.number)))
            break;
        *used += muster__queue_packed(word);
        count++;
    }
    muster__latch_release(&queue->put_latch, generation, muster__self_state.number);
    if (count)
        muster__event_signal(muster__queue_event(object, MUSTER__QUEUE_ITEMS), count);
    return closed ? MUSTER_ERR_CLOSED : room ? MUSTER_OK : muster__again(MUSTER_ERR_NOMEM);
}

muster_err muster__queue_returned(struct muster__object *object, uint32_t generation, const char *bytes, size_t size)
{
    struct muster__queue *queue = muster__queue_of(object);
    if (!muster__latch_acquire(&queue->get_latch, generation, muster__self_state.number))
        return muster__latch_lost(&queue->get_latch, generation);
    bool done = muster__queue_prepend(queue, bytes, size, muster__self_state.number);
    if (done)
        atomic_store(&queue->lent, 0);
    muster__latch_release(&queue->get_latch, generation, muster__self_state.number);
    muster__event_signal(muster__queue_event(object, MUSTER__QUEUE_ITEMS), -1);
    return done ? MUSTER_OK : muster__again(MUSTER_ERR_NOMEM);
}

muster_err muster__queue_lend(struct muster__object *object, uint32_t generation, uint32_t to)
{
    struct muster__queue *queue = muster__queue_of(object);
    if (!muster__latch_acquire(&queue->get_latch, generation, muster__self_state.number))
        return muster__latch_lost(&queue->get_latch, generation);
    atomic_store(&queue->lent, to);
    muster__latch_release(&queue->get_latch, generation, muster__self_state.number);
    return MUSTER_OK;
}

muster_err muster__queue_set_closed(struct muster__object *object, uint32_t generation, bool closed)
{
    struct muster__queue *queue = muster__queue_of(object);
    if (!muster__latch_acquire(&queue->put_latch, generation, muster__self_state.number))
        return muster__latch_lost(&queue->put_latch, generation);
    atomic_store(&queue->closed, closed);
    muster__latch_release(&queue->put_latch, generation, muster__self_state.number);
    muster__event_signal(muster__queue_event(object, MUSTER__QUEUE_ITEMS), -1);
    muster__event_signal(muster__queue_event(object, MUSTER__QUEUE_SPACE), -1);
    return MUSTER_OK;
}
