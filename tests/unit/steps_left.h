/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For step_case.h: that nothing is left in a segment but its parent. Unlike that it knows how things are kept there.
 */
#ifndef MUSTER_TESTS_STEPS_LEFT_H
#define MUSTER_TESTS_STEPS_LEFT_H

#include "step_case.h"

#include "segment/heap.h"

enum { STEPS_MORE = 8 }; /* looked at where nothing was used yet */

static inline bool is_free_latch(const struct muster__latch *latch)
{
    return (atomic_load(&latch->word) & UINT32_MAX) == 0;
}

/** Nobody stands in its line, and nobody works on it. */
static inline void event_is_empty(const struct muster__event *event)
{
    assert_int_equal(atomic_load(&event->head), 0);
    assert_int_equal(event->tail, 0);
    assert_true(is_free_latch(&event->latch));
}

/** Nobody waits; the parent's own waiter rests. */
static inline void no_waiter_is_left(void)
{
    for (uint32_t number = 1; number < atomic_load(&muster__segment->callers_high) + STEPS_MORE; number++)
        assert_int_equal(atomic_load(&muster__waiter(number)->event), 0);
    for (uint32_t number = MUSTER__CALLERS_MAX; number < muster__waiters_end() + STEPS_MORE; number++)
        assert_int_equal(atomic_load(&muster__waiter(number)->owner), 0);
}

/** All slots are free; of what has ended nothing is still to be cleaned. */
static inline void no_object_is_left(void)
{
    for (int kind = 1; kind < MUSTER__KINDS; kind++) {
        muster__objects_clean((enum muster__kind)kind, muster__self_number());
        assert_int_equal(atomic_load(&muster__segment->kind[kind].over), 0);
    }
    for (uint32_t slot = 0; slot < muster__objects_end() + STEPS_MORE; slot++) {
        const struct muster__object *object = muster__object_slot(slot);
        assert_int_equal(muster__tag_unpack(atomic_load(&object->tag)).state, MUSTER__FREE);
        for (int i = 0; i < MUSTER__EVENTS; i++)
            event_is_empty(&object->event[i]);
    }
}

/** No caller, waiter, object or block; and the parent is the one who is awake. */
static inline void nothing_is_left(void)
{
    assert_int_equal(atomic_load(&muster__segment->awake), 1);
    for (uint32_t number = 1; number < atomic_load(&muster__segment->callers_high) + STEPS_MORE; number++) {
        const struct muster__caller *caller = muster__caller(number);
        assert_true(number == muster__self_number() || !atomic_load(&caller->live));
        assert_int_equal(atomic_load(&caller->line), 0);
        for (int i = 0; i < MUSTER__PINS; i++)
            assert_int_equal(atomic_load(&caller->pin[i]), 0);
    }
    no_waiter_is_left();
    no_object_is_left();
    assert_int_equal(muster__heap_used(), 0);
}

#endif
