/* SPDX-License-Identifier: BSD-3-Clause */
#include "sync/sync.h"

#include <muster/event.h>

/*
 * One word: whether it is set, in the lowest bit, and how often it was. Who waits remembers how often, so that a set is
 * seen also by who looks only when it was cleared again.
 */

struct event {
    _Atomic uint64_t word;
};

enum { SET, CLEAR, IS_SET, WAIT, OPS };

static _Atomic uint64_t *word_of(const struct muster__step *step)
{
    return &((struct event *)(void *)step->object->body)->word;
}

static muster_err set(struct muster__step *step)
{
    uint64_t word = atomic_load(word_of(step));
    do
        if (word & 1)
            return MUSTER_OK;
    while (!atomic_compare_exchange_weak(word_of(step), &word, word + 3)); /* once more, and the bit */
    muster__event_signal(&step->object->event[0], -1);
    return MUSTER_OK;
}

static muster_err clear(struct muster__step *step)
{
    atomic_fetch_and(word_of(step), ~UINT64_C(1));
    return MUSTER_OK;
}

static muster_err is_set(struct muster__step *step)
{
    step->arg->out[0] = atomic_load(word_of(step)) & 1;
    return MUSTER_OK;
}

static muster_err wait(struct muster__step *step)
{
    uint64_t word = atomic_load(word_of(step)), times = (word >> 1) + 1;
    if (!step->arg->own)
        step->arg->own = times;
    if (word & 1 || step->arg->own != times)
        return MUSTER_OK;
    step->event = &step->object->event[0];
    return MUSTER__WAIT;
}

static bool ready(const struct muster__step *step)
{
    uint64_t word = atomic_load_explicit(word_of(step), memory_order_relaxed);
    return word & 1 || step->arg->own != (word >> 1) + 1;
}

static void describe(const struct muster__object *object, char *text, size_t size)
{
    const struct event *event = (const void *)object->body;
    snprintf(text, size, atomic_load(&event->word) & 1 ? "set" : "not set");
}

static const struct muster__op ops[OPS] = {
    [SET] = {.name = "muster_event_set", .step = set},
    [CLEAR] = {.name = "muster_event_clear", .step = clear},
    [IS_SET] = {.name = "muster_event_is_set", .step = is_set},
    [WAIT] = {.name = "muster_event_wait",
              .takes_nothing = true,
              .step = wait,
              .watch = wait,
              .ready = ready,
              .late = MUSTER_ERR_TIMEOUT,
              .late_now = MUSTER_ERR_TIMEOUT},
};
_Static_assert((int)WAIT == (int)MUSTER__EVENT_WAIT, "select knows it by this");

MUSTER__CLASS(MUSTER__EVENT, .name = "event", .ops = ops, .op_count = OPS, .describe = describe)

/* ---- public ---- */

muster_err muster_event_create(muster_event *event, const muster_object_options *options)
{
    return muster__create(MUSTER__EVENT, "muster_event_create", options, &(struct muster__arg){0},
                          event ? &event->handle : NULL);
}

muster_err muster_event_destroy(muster_event event)
{
    return muster__destroy(event.handle, MUSTER__EVENT, "muster_event_destroy");
}

static muster_err simple(muster_event event, uint32_t op, struct muster__arg *arg)
{
    return muster__do(event.handle, MUSTER__EVENT, op, arg, MUSTER_FOREVER);
}

muster_err muster_event_set(muster_event event)
{
    return simple(event, SET, &(struct muster__arg){0});
}

muster_err muster_event_clear(muster_event event)
{
    return simple(event, CLEAR, &(struct muster__arg){0});
}

muster_err muster_event_is_set(muster_event event, bool *is_set)
{
    struct muster__arg arg = {0};
    muster_err err = MUSTER__NULL_BAD("muster_event_is_set", is_set);
    if (!err)
        err = simple(event, IS_SET, &arg);
    if (!err)
        *is_set = arg.out[0];
    return err;
}

muster_err muster_event_wait(muster_event event, int64_t timeout_ms)
{
    return muster__do(event.handle, MUSTER__EVENT, WAIT, &(struct muster__arg){0}, timeout_ms);
}
