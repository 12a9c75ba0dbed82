/* SPDX-License-Identifier: BSD-3-Clause */
#include <sched.h>

#include "segment/heap.h"

/*
 * The end of a thread, of a process, of a host: one path. Order: latches of the heap and of lines, which repairs need;
 * the dead one's waiters; the objects it was inside of; what it held of all others; blocks, since the repairs before
 * decide which of them an object holds already. A number is freed at the very end, so that it cannot be used again
 * while something still names the dead one.
 */

static bool caller_of(uint32_t number, uint32_t member)
{
    return atomic_load(&muster__caller(number)->live) == member + 1;
}

static void repair_object(struct muster__object *object, uint32_t generation, uint32_t dead, uint32_t self)
{
    struct muster__tag tag = muster__tag_unpack(atomic_load(&object->tag));
    const struct muster__class *class = muster__class_of((enum muster__kind)tag.kind);
    if (tag.generation != generation || (tag.state != MUSTER__LIVE && tag.state != MUSTER__ENDING))
        return;
    if (class && class->repair)
        class->repair(object, generation, dead, self);
    for (int i = 0; i < MUSTER__EVENTS; i++) /* it may have been about to */
        muster__event_signal(&object->event[i], -1);
}

static void repair_pinned(uint32_t dead, uint32_t self)
{
    for (int i = 0; i < MUSTER__PINS; i++) {
        uint64_t pin = atomic_load(&muster__caller(dead)->pin[i]);
        if (pin)
            repair_object(muster__object_slot((uint32_t)pin - 1), (uint32_t)(pin >> 32), dead, self);
    }
}

/* Pinned: others may end it, and make another one there. */
static void sweep_live(struct muster__object *object, struct muster__tag tag, uint32_t dead, uint32_t self)
{
    enum muster__kind kind = (enum muster__kind)tag.kind;
    const struct muster__class *class = muster__class_of(kind);
    muster_handle handle = muster__handle_make(kind, muster__object_slot_of(object), tag.generation);
    if (!class || !class->sweep || !muster__object_pin(handle, kind))
        return;
    class->sweep(object, tag.generation, dead, self);
    muster__object_unpin();
}

static void sweep_objects(uint32_t dead, uint32_t self)
{
    uint32_t end = muster__objects_end();
    for (uint32_t slot = 0; slot < end; slot++) {
        struct muster__object *object = muster__object_slot(slot);
        struct muster__tag tag = muster__tag_unpack(atomic_load(&object->tag));
        if (tag.state == MUSTER__LIVE)
            sweep_live(object, tag, dead, self);
        else if (tag.claimer == dead)
            muster__object_sweep(object, dead, self);
    }
}

static void sweep_heap(uint32_t dead, uint32_t self)
{
    muster__heap_sweep_latches(dead, self);
    muster__line_sweep_latch(dead, self);
}

static void sweep_caller(uint32_t dead, uint32_t self)
{
    sweep_heap(dead, self);
    muster__line_sweep(dead);
    repair_pinned(dead, self);
    sweep_objects(dead, self);
    muster__heap_sweep(dead, self);
    muster__objects_look_again();
    muster__caller_free(dead, true);
    muster__line_ring_called();
}

/* -1: it cannot be told, somebody is between flag and count. */
static int32_t find_awake(void)
{
    int32_t found = 0;
    for (uint32_t number = 1; number < muster__callers_end(); number++) {
        struct muster__caller *caller = muster__caller(number);
        uint32_t asleep = atomic_load(&caller->asleep);
        if (!atomic_load(&caller->live))
            continue;
        if (asleep == MUSTER__CALLER_CHANGES)
            return -1;
        found += !asleep;
    }
    return found;
}

/* The dead may have been between their flag and the count, and it would be wrong from then on: too high, and nobody
 * spins any more; too low, and everybody does. */
static void mend_awake(void)
{
    enum { LOOKS = 16, SURE = 3 };
    _Atomic int32_t *awake = &muster__segment->awake;
    for (int looks = 0, wrong = 0; looks < LOOKS; looks++) {
        int32_t counted = atomic_load(awake), found = find_awake();
        if (found == counted)
            return;
        wrong += found >= 0 && atomic_load(awake) == counted;
        if (found >= 0 && wrong >= SURE && atomic_compare_exchange_strong(awake, &counted, found))
            return;
        sched_yield();
    }
}

void muster__sweep_heap(uint32_t member, uint32_t self)
{
    for (uint32_t dead = 1; dead < muster__callers_end(); dead++)
        if (caller_of(dead, member))
            sweep_heap(dead, self);
}

void muster__sweep_member(uint32_t member, uint32_t self)
{
    muster__sweep_heap(member, self);
    for (uint32_t dead = 1; dead < muster__callers_end(); dead++)
        if (caller_of(dead, member))
            sweep_caller(dead, self);
    if (muster__callers_gone) /* one that was leaving may not have come to say so */
        muster__callers_gone();
    mend_awake();
}

void muster__sweep_owner(uint32_t owner, uint32_t self)
{
    sweep_objects(owner, self);
    muster__heap_sweep(owner, self);
}

/* As another caller: the thread's own number is the one that is swept. Without a number left it stays taken. */
static void sweep_self(void)
{
    uint32_t dead = muster__self_state.number;
    uint32_t member = atomic_load(&muster__self_state.caller->live) - 1;
    muster__caller_forget();
    if (muster__caller_enter_briefly(member) != MUSTER_OK)
        return;
    sweep_caller(dead, muster__self_state.number);
    muster__caller_leave();
}

static void rescue_latches(uint32_t dead, uint32_t self)
{
    muster__heap_sweep_latches(dead, self);
    muster__line_sweep_latch(dead, self);
}

void muster__sweep_set_hooks(void)
{
    muster__caller_ended = sweep_self;
    muster__latch_rescue = rescue_latches;
}
