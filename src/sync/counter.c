/* SPDX-License-Identifier: BSD-3-Clause */
#include "sync/sync.h"

#include <muster/counter.h>

/*
 * Whoever waits lowers `least` to what it waits for before it looks for the last time; who adds looks at `least` after
 * it has added. When that is reached all are called; who still has to wait lowers it again.
 */

struct counter {
    _Atomic int64_t value, least;
};

enum { ADD, VALUE, WAIT, OPS };

static struct counter *of(const struct muster__step *step)
{
    return (struct counter *)(void *)step->object->body;
}

static muster_err add(struct muster__step *step)
{
    struct counter *counter = of(step);
    int64_t n = step->arg->in[0];
    uint64_t before = (uint64_t)atomic_fetch_add(&counter->value, n);
    int64_t after = (int64_t)(before + (uint64_t)n);
    if (after >= atomic_load(&counter->least)) {
        atomic_store(&counter->least, INT64_MAX);
        muster__event_signal(&step->object->event[0], -1);
    }
    step->arg->out[0] = after;
    return MUSTER_OK;
}

static muster_err value(struct muster__step *step)
{
    step->arg->out[0] = atomic_load(&of(step)->value);
    return MUSTER_OK;
}

static muster_err wait(struct muster__step *step)
{
    struct counter *counter = of(step);
    int64_t wanted = step->arg->in[0], least = atomic_load(&counter->least);
    while (step->rests && wanted < least && !atomic_compare_exchange_weak(&counter->least, &least, wanted))
        ;
    step->arg->out[0] = atomic_load(&counter->value);
    step->event = &step->object->event[0];
    return step->arg->out[0] >= wanted ? MUSTER_OK : (muster_err)MUSTER__WAIT;
}

static bool ready(const struct muster__step *step)
{
    return atomic_load_explicit(&of(step)->value, memory_order_relaxed) >= step->arg->in[0];
}

static muster_err make(struct muster__object *object, uint32_t generation, struct muster__arg *arg, uint32_t self)
{
    (void)generation, (void)self;
    struct counter *counter = (void *)object->body;
    atomic_store(&counter->value, arg->in[0]);
    atomic_store(&counter->least, INT64_MAX);
    return MUSTER_OK;
}

static void describe(const struct muster__object *object, char *text, size_t size)
{
    const struct counter *counter = (const void *)object->body;
    snprintf(text, size, "at %lld", (long long)atomic_load(&counter->value));
}

static const struct muster__op ops[OPS] = {
    [ADD] = {.name = "muster_counter_add", .step = add},
    [VALUE] = {.name = "muster_counter_value", .step = value},
    [WAIT] = {.name = "muster_counter_wait",
              .takes_nothing = true,
              .step = wait,
              .ready = ready,
              .late = MUSTER_ERR_TIMEOUT,
              .late_now = MUSTER_ERR_TIMEOUT},
};

MUSTER__CLASS(MUSTER__COUNTER, .name = "counter", .ops = ops, .op_count = OPS, .make = make, .describe = describe)

/* ---- public ---- */

muster_err muster_counter_create(muster_counter *counter, int64_t initial, const muster_object_options *options)
{
    return muster__create(MUSTER__COUNTER, "muster_counter_create", options, &(struct muster__arg){.in = {initial}},
                          counter ? &counter->handle : NULL);
}

muster_err muster_counter_destroy(muster_counter counter)
{
    return muster__destroy(counter.handle, MUSTER__COUNTER, "muster_counter_destroy");
}

muster_err muster_counter_add(muster_counter counter, int64_t n, int64_t *after)
{
    struct muster__arg arg = {.in = {n}};
    muster_err err = muster__do(counter.handle, MUSTER__COUNTER, ADD, &arg, MUSTER_FOREVER);
    if (!err && after)
        *after = arg.out[0];
    return err;
}

muster_err muster_counter_value(muster_counter counter, int64_t *value)
{
    struct muster__arg arg = {0};
    muster_err err = MUSTER__NULL_BAD("muster_counter_value", value);
    if (!err)
        err = muster__do(counter.handle, MUSTER__COUNTER, VALUE, &arg, MUSTER_FOREVER);
    if (!err)
        *value = arg.out[0];
    return err;
}

muster_err muster_counter_wait(muster_counter counter, int64_t at_least, int64_t timeout_ms, int64_t *value)
{
    struct muster__arg arg = {.in = {at_least}};
    muster_err err = muster__do(counter.handle, MUSTER__COUNTER, WAIT, &arg, timeout_ms);
    if (!err && value)
        *value = arg.out[0];
    return err;
}
