/* SPDX-License-Identifier: BSD-3-Clause */
#include "remote/internal.h"

#include <stdlib.h>
#include <string.h>

/*
 * What has come and cannot be done yet, in the order in which it came: its large payload is still on its way, a latch
 * that it needs was busy, or something is held before it for the same object from the same host.
 */

struct held {
    struct held *next;
    int host;
    bool wants, arrives, canceled; /* wants: a block for its payload */
    held_take take;
    muster__ref block; /* of a large payload */
    struct frame frame;
    _Alignas(8) unsigned char payload[];
};

static struct held *first, **last = &first;

static struct held *keep(int host, const struct frame *frame, const void *payload, held_take take)
{
    size_t size = payload ? frame->size : 0;
    struct held *held = calloc(1, sizeof *held + size);
    MUSTER__CHECK_EQ(held != NULL, true);
    held->host = host;
    held->take = take;
    held->frame = *frame;
    if (size)
        memcpy(held->payload, payload, size);
    *last = held;
    last = &held->next;
    return held;
}

static void arrived(void *held)
{
    ((struct held *)held)->arrives = false;
}

/* Much comes into a block of the segment, which who takes it may keep. Without room for it what comes is dropped. */
static void receive(struct held *held)
{
    uint32_t self = muster__self_state.number;
    size_t size = held->frame.size;
    muster__self_state.busy = false;
    held->block = muster__heap_alloc(size, self);
    held->wants = !held->block && muster__self_state.busy;
    if (held->wants)
        return;
    held->arrives = true;
    if (held->block)
        muster__heap_hand_over(held->block, self, MUSTER__OWNER_WIRE);
    muster__bulk_receive(held->host, held->frame.channel, held->block ? muster__heap_at(held->block) : NULL, size,
                         arrived, held);
}

static bool same_object(muster_handle a, muster_handle b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static bool is_behind(const struct held *until, int host, const struct frame *frame)
{
    for (const struct held *held = first; held && held != until; held = held->next)
        if (held->host == host && same_object(held->frame.object, frame->object))
            return true;
    return false;
}

void held_or_done(int host, const struct frame *frame, const void *payload, held_take take)
{
    muster__ref none = 0;
    if (frame->size > REMOTE_INLINE && host != (int)muster__segment->host) {
        receive(keep(host, frame, NULL, take));
        return;
    }
    if (first && is_behind(NULL, host, frame)) {
        keep(host, frame, payload, take);
        return;
    }
    muster__self_state.busy = false;
    if (take(host, frame, payload, &none) == (muster_err)MUSTER__AGAIN)
        keep(host, frame, payload, take);
}

/* As of an operation whose time is over. */
static muster_err called_off(const struct frame *frame)
{
    const struct muster__class *class = muster__class_of((enum muster__kind)(frame->object.kind_home >> 24));
    bool is_operation = !(frame->flags & CALL_ERRAND) && class && frame->operation < class->op_count;
    return is_operation && class->ops[frame->operation].late ? class->ops[frame->operation].late : MUSTER_ERR_CANCELED;
}

/* Errors of calls alone have an answer. */
static void refuse(const struct held *held)
{
    struct muster__arg nothing = {0};
    muster_err err = held->canceled ? called_off(&held->frame) : MUSTER_ERR_NOMEM;
    const char *why = held->canceled ? "called off" : "no room in the host segment for what another host sends";
    if (held->frame.type == FRAME_CALL)
        letter_answer(held->host, held->frame.id, held->frame.object, held->frame.operation, err, why, &nothing);
}

static bool take(struct held *held)
{
    bool lacks = held->frame.size > REMOTE_INLINE && !held->block;
    if (held->frame.type == FRAME_CALL && (held->canceled || lacks)) {
        refuse(held);
        return true;
    }
    muster__self_state.busy = false;
    const void *payload = held->block ? muster__heap_at(held->block) : held->payload;
    return held->take(held->host, &held->frame, payload, &held->block) != (muster_err)MUSTER__AGAIN;
}

static void unlink_held(struct held **link)
{
    struct held *held = *link;
    *link = held->next;
    if (!held->next)
        last = link;
}

bool held_try(void)
{
    bool any = false;
    for (struct held **link = &first, *held; (held = *link);) {
        if (held->wants)
            receive(held);
        if (held->wants || held->arrives || is_behind(held, held->host, &held->frame) || !take(held)) {
            link = &held->next;
            continue;
        }
        any = true;
        unlink_held(link);
        muster__heap_free(held->block, muster__self_state.number);
        free(held);
    }
    return any;
}

bool held_any(void)
{
    return first != NULL;
}

bool held_cancel(int host, uint64_t id)
{
    for (struct held *held = first; held; held = held->next)
        if (held->host == host && held->frame.type == FRAME_CALL && held->frame.id == id)
            return held->canceled = true;
    return false;
}

void held_gone(int host, uint32_t caller, uint32_t incarnation)
{
    for (struct held *held = first; held; held = held->next)
        if (held->host == host && held->frame.type == FRAME_CALL && held->frame.call.caller == caller &&
            held->frame.call.incarnation == incarnation)
            held->canceled = true;
}

/* The memory of what was arriving is never free again: see muster__bulk_forget. */
void held_lost(int host)
{
    for (struct held **link = &first, *held; (held = *link);) {
        if (held->host != host) {
            link = &held->next;
            continue;
        }
        unlink_held(link);
        if (held->arrives)
            continue;
        muster__heap_free(held->block, muster__self_state.number);
        free(held);
    }
}
