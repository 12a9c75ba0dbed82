/* SPDX-License-Identifier: BSD-3-Clause */
#include "sync/sync.h"

#include <muster/once.h>

/* One word: nobody has done it, DONE, or who is at it. */

struct once {
    _Atomic uint32_t word;
};

enum { DONE = 1 << MUSTER__CALLER_BITS };
enum { BEGIN, END, IS_DONE, OPS };

static _Atomic uint32_t *word_of(const struct muster__object *object)
{
    return (_Atomic uint32_t *)(void *)object->body;
}

/* out[0]: the caller is to do it */
static muster_err begin(struct muster__step *step)
{
    uint32_t self = muster__holder(step), word = 0;
    step->arg->out[0] = atomic_compare_exchange_strong(word_of(step->object), &word, self);
    if (!word || word == DONE)
        return MUSTER_OK;
    step->event = &step->object->event[0];
    step->on = word;
    return word == self ? MUSTER_ERR_DEADLOCK : (muster_err)MUSTER__WAIT;
}

static bool ready(const struct muster__step *step)
{
    uint32_t word = atomic_load_explicit(word_of(step->object), memory_order_relaxed);
    return !word || word == DONE;
}

static void ended(struct muster__object *object, uint32_t who, bool done)
{
    if (atomic_compare_exchange_strong(word_of(object), &who, done ? DONE : 0))
        muster__event_signal(&object->event[0], done ? -1 : 1);
}

/* in[0]: it was done */
static muster_err end(struct muster__step *step)
{
    ended(step->object, muster__holder(step), step->arg->in[0]);
    return MUSTER_OK;
}

static void undo(struct muster__step *step, bool died)
{
    (void)died;
    if (step->arg->out[0])
        ended(step->object, muster__holder(step), false);
}

static muster_err is_done(struct muster__step *step)
{
    step->arg->out[0] = atomic_load(word_of(step->object)) == DONE;
    return MUSTER_OK;
}

static void sweep(struct muster__object *object, uint32_t generation, uint32_t dead, uint32_t self)
{
    (void)generation, (void)self;
    ended(object, dead, false);
}

static int holders(const struct muster__object *object, uint32_t waiter, uint32_t *owners, int room)
{
    (void)waiter;
    uint32_t word = atomic_load(word_of(object));
    if (!room || !word || word == DONE)
        return 0;
    *owners = word;
    return 1;
}

static void describe(const struct muster__object *object, char *text, size_t size)
{
    uint32_t word = atomic_load(word_of(object));
    if (word && word != DONE)
        snprintf(text, size, "caller %u is at it", word);
    else
        snprintf(text, size, word ? "done" : "not done");
}

static const char *remedy(muster_err err)
{
    return err == MUSTER_ERR_DEADLOCK ? "it was asked for from within its own run" : "";
}

static const struct muster__op ops[OPS] = {
    [BEGIN] = {.name = "muster_once_run",
               .step = begin,
               .ready = ready,
               .undo = undo,
               .late = MUSTER_ERR_TIMEOUT,
               .late_now = MUSTER_ERR_BUSY},
    [END] = {.name = "muster_once_run", .step = end},
    [IS_DONE] = {.name = "muster_once_is_done", .step = is_done},
};

MUSTER__CLASS(MUSTER__ONCE, .name = "once", .ops = ops, .op_count = OPS, .sweep = sweep, .holders = holders,
              .describe = describe, .remedy = remedy)

/* ---- public ---- */

muster_err muster_once_create(muster_once *once, const muster_object_options *options)
{
    return muster__create(MUSTER__ONCE, "muster_once_create", options, &(struct muster__arg){0},
                          once ? &once->handle : NULL);
}

muster_err muster_once_destroy(muster_once once)
{
    return muster__destroy(once.handle, MUSTER__ONCE, "muster_once_destroy");
}

muster_err muster_once_is_done(muster_once once, bool *is_done)
{
    struct muster__arg arg = {0};
    muster_err err = MUSTER__NULL_BAD("muster_once_is_done", is_done);
    if (!err)
        err = muster__do(once.handle, MUSTER__ONCE, IS_DONE, &arg, MUSTER_FOREVER);
    if (!err)
        *is_done = arg.out[0];
    return err;
}

muster_err muster_once_run(muster_once once, muster_err (*run)(void *arg), void *of, int64_t timeout_ms)
{
    struct muster__arg arg = {0};
    muster_err err = MUSTER__NULL_BAD("muster_once_run", run);
    if (!err)
        err = muster__do(once.handle, MUSTER__ONCE, BEGIN, &arg, timeout_ms);
    if (err || !arg.out[0])
        return err;
    err = run(of);
    arg = (struct muster__arg){.in = {err == MUSTER_OK}};
    muster_err told = muster__do(once.handle, MUSTER__ONCE, END, &arg, MUSTER_FOREVER);
    return err ? err : told;
}
