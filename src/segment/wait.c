/* SPDX-License-Identifier: BSD-3-Clause */
#include "segment/heap.h"

#include <stdio.h>
#include <string.h>

/* An answer of agents that is needed even without time to wait is waited for so long. */
#define ASKING_NS INT64_C(250000000)

enum { PAUSES_MAX = 15 };

/* ---- what reports show ---- */

void muster__waits_for(uint32_t number, muster_handle object, uint32_t operation, uint32_t on, int host)
{
    struct muster__waiter *waiter = muster__waiter(number);
    struct muster__self *self = &muster__self_state;
    bool own = number == self->number;
    waiter->object = object;
    waiter->operation = operation;
    waiter->on = on;
    atomic_store_explicit(&waiter->host, host, memory_order_relaxed);
    waiter->caller = own ? number : 0;
    self->waits |= own;
    if (own) {
        muster__site_text(self->caller->site);
        muster__trace(MUSTER__EVENT_WAITED, object, operation, MUSTER_OK);
    }
    atomic_store_explicit(&waiter->since_ns, muster__now_ns(), memory_order_release);
}

void muster__waits_no_more(uint32_t number)
{
    if (number == muster__self_state.number) {
        muster__self_state.waits = false;
        muster__trace_over();
    }
    atomic_store_explicit(&muster__waiter(number)->since_ns, 0, memory_order_release);
}

void muster__stands_by(muster_handle object, uint32_t what)
{
    if (!muster__self_state.waits)
        muster__waits_for(muster__self_state.number, object, what, 0, (int)muster__segment->host);
}

/* ---- the engine ---- */

muster_err muster__step(const struct muster__op *op, struct muster__step *step)
{
    struct muster__tag tag = muster__tag_unpack(atomic_load_explicit(&step->object->tag, memory_order_acquire));
    step->event = NULL;
    step->on = 0;
    if (MUSTER__UNLIKELY(tag.generation != step->generation || tag.state != MUSTER__LIVE))
        return MUSTER_ERR_STALE;
    return step->watches ? op->watch(step) : op->step(step);
}

/* one that waits */
struct wait {
    const struct muster__op *op;
    struct muster__step *step;
    uint32_t waiter;
    struct muster__event *event; /* in whose line it stands, or was called from */
    struct muster__spin spin;
    int64_t deadline_ns;
    bool tries; /* without time to wait, but for answers of agents */
    bool reported;
    bool works; /* meanwhile: by a waiter beside its own, which what it works at may need */
};

static bool goes_on(const struct wait *w, muster_err err)
{
    return err == (muster_err)MUSTER__ASKING || (err == (muster_err)MUSTER__WAIT && !w->tries);
}

/* A look at a time, while cores are free. WAIT: it is time to sleep. */
static muster_err spin_for_it(struct wait *w)
{
    const struct muster__op *op = w->op;
    if (op->in_line)
        return MUSTER__ASKING;
    for (;;) {
        bool goes = op->spins ? op->spins(w->step, &w->spin) : muster__spin_longer(&w->spin, PAUSES_MAX);
        if (!goes)
            return MUSTER__ASKING;
        if (op->ready && !op->ready(w->step))
            continue;
        muster_err err = muster__step(op, w->step);
        if (!goes_on(w, err))
            return err;
    }
}

static void hang(struct wait *w)
{
    bool again = w->event == w->step->event;
    if (w->event && !again)
        muster__event_unhang(w->waiter);
    w->event = w->step->event;
    muster__event_hang(w->event, w->waiter, w->step->watches ? MUSTER__WATCHES : 0, again);
}

/* Stands in the line of what the last step waits for, and looks once more. */
static muster_err stand(struct wait *w)
{
    muster_err err;
    do {
        hang(w);
        w->step->rests = true;
        err = muster__step(w->op, w->step);
        w->step->rests = false;
    } while (goes_on(w, err) && w->step->event != w->event);
    if (goes_on(w, err))
        w->step->called = false;
    return err;
}

/* The waiter that others read, in the caller's own record. */
static uint32_t told_by(const struct wait *w)
{
    return w->works ? muster__self_state.number : w->waiter;
}

static void report(struct wait *w)
{
    const struct muster__step *step = w->step;
    const struct muster__tag tag = muster__tag_unpack(atomic_load(&step->object->tag));
    const struct muster__class *class = muster__class_of((enum muster__kind)tag.kind);
    if (!w->reported)
        muster__waits_for(
            told_by(w),
            muster__handle_make((enum muster__kind)tag.kind, muster__object_slot_of(step->object), step->generation),
            class && class->ops ? (uint32_t)(w->op - class->ops) : 0, step->on, step->host);
    muster__waiter(told_by(w))->on = step->on;
    w->reported = true;
}

/* Likewise, in its place in the line. True: its bell was rung. */
static bool spin_in_line(struct wait *w, uint32_t seen)
{
    while (w->op->in_line && muster__spin(&w->spin))
        if (atomic_load_explicit(&muster__self_state.caller->bell, memory_order_acquire) != seen)
            return true;
    return false;
}

/* Who has worked is told to wait anew. */
static muster_err work_or_sleep(struct wait *w, uint32_t seen)
{
    bool worked = false;
    muster_err err = muster__meanwhile->work_or_sleep(seen, &worked);
    w->reported = !worked;
    return err;
}

static muster_err sleep_in_line(struct wait *w, uint32_t seen)
{
    muster_err err = MUSTER_OK;
    if (!spin_in_line(w, seen)) {
        report(w);
        err = w->works ? work_or_sleep(w, seen) : muster__sleep(&muster__self_state.caller->bell, seen, w->deadline_ns);
    }
    struct muster__waiter *waiter = muster__waiter(w->waiter);
    if (muster__waiter_called(waiter)) {
        w->step->called = true;
        w->spin = (struct muster__spin){0};
        atomic_store(&waiter->state, MUSTER__WAITER_IDLE);
    }
    return err;
}

/* A call that was of no use goes on to the next. */
static void leave(struct wait *w, muster_err err)
{
    struct muster__waiter *waiter = muster__waiter(w->waiter);
    bool spent = w->step->called && !muster__commits(err) && !w->step->watches;
    muster__event_unhang(w->waiter);
    if (muster__waiter_called(waiter)) {
        spent = !w->step->watches;
        atomic_store(&waiter->state, MUSTER__WAITER_IDLE);
    }
    if (w->reported)
        muster__waits_no_more(told_by(w));
    if (w->works) {
        muster__waiter_free(w->waiter);
        muster__meanwhile->over();
    }
    w->step->called = spent;
    if (w->step->watches)
        return;
    if (w->op->leave && (spent || !muster__commits(err)))
        w->op->leave(w->step);
    else if (spent && w->event)
        muster__event_signal(w->event, 1);
}

/* Until it is called, or the wait is over otherwise: then *over. */
static muster_err sleep_and_step(struct wait *w, uint32_t seen, bool *over)
{
    for (;;) {
        muster_err slept = sleep_in_line(w, seen);
        seen = atomic_load(&muster__self_state.caller->bell);
        muster_err err = muster__step(w->op, w->step);
        *over = !goes_on(w, err);
        if (*over)
            return err;
        if (slept != MUSTER_OK) {
            *over = true;
            return slept == MUSTER_ERR_TIMEOUT ? w->op->late : slept;
        }
        if (w->step->called || w->step->event != w->event)
            return err;
    }
}

static muster_err wait_for_it(struct wait *w)
{
    for (;;) {
        struct muster__event *event = w->step->event;
        muster_err err = spin_for_it(w);
        if (!goes_on(w, err))
            return err;
        if (!w->step->event)
            w->step->event = event;
        uint32_t seen = atomic_load(&muster__self_state.caller->bell);
        err = stand(w);
        if (!goes_on(w, err))
            return err;
        bool over;
        err = sleep_and_step(w, seen, &over);
        if (over)
            return err;
    }
}

static void work_meanwhile(struct wait *w)
{
    uint32_t another = muster__waiter_make();
    w->works = another != 0;
    if (w->works)
        w->waiter = another;
    else
        muster__meanwhile->over();
}

muster_err muster__do_waiting(const struct muster__op *op, struct muster__step *step, int64_t timeout_ms)
{
    struct wait w = {.op = op,
                     .step = step,
                     .waiter = muster__waiter_own(),
                     .tries = timeout_ms == MUSTER_NOWAIT,
                     .deadline_ns = timeout_ms ? muster__deadline_ns(timeout_ms) : muster__now_ns() + ASKING_NS};
    if (!step->watches && muster__meanwhile_begin(op, timeout_ms))
        work_meanwhile(&w);
    step->waited = timeout_ms != MUSTER_NOWAIT;
    muster_err err = wait_for_it(&w);
    leave(&w, err);
    if (err == (muster_err)MUSTER__WAIT)
        return op->late_now;
    return muster__ended(step, err);
}

muster_err muster__do_here(const struct muster__op *op, struct muster__step *step, int64_t timeout_ms)
{
    step->nowait = timeout_ms == MUSTER_NOWAIT;
    muster_err err = muster__step(op, step);
    if (MUSTER__LIKELY(!muster__would_wait(err)))
        return err;
    if (timeout_ms == MUSTER_NOWAIT && err == (muster_err)MUSTER__WAIT)
        return op->late_now;
    return muster__do_waiting(op, step, timeout_ms);
}

/* ---- what failed ---- */

void muster__failed_text(muster_handle handle, const char *operation, muster_err err, char *text, size_t size)
{
    const struct muster__object *object = muster__object_slot(handle.slot);
    const struct muster__class *class = muster__class_of((enum muster__kind)(handle.kind_home >> 24));
    char name[80], facts[100] = "";
    muster__object_describe(object, name, sizeof name);
    if (class->describe && muster__object_is(object, (enum muster__kind)(handle.kind_home >> 24), handle.generation))
        class->describe(object, facts, sizeof facts);
    const char *remedy = class->remedy ? class->remedy(err) : "";
    snprintf(text, size, "%s: %s: %s%s%s%s%s%s", name, operation, muster_err_text(err), *facts ? " (" : "", facts,
             *facts ? ")" : "", *remedy ? "; " : "", remedy);
}

/* arg: generation and slot; the kind is the slot's, for ever */
static void describe(muster_err err, const char *what, uint64_t arg, char *line, size_t size)
{
    struct muster__tag tag = muster__tag_unpack(atomic_load(&muster__object_slot((uint32_t)arg)->tag));
    muster_handle handle = muster__handle_make((enum muster__kind)tag.kind, (uint32_t)arg, (uint32_t)(arg >> 32));
    muster__failed_text(handle, what, err, line, size);
}

/* What whoever tries again and again is told: it would push out all else. */
static bool is_usual(muster_err err)
{
    return err == MUSTER_ERR_TIMEOUT || err == MUSTER_ERR_BUSY || err == MUSTER_ERR_EMPTY || err == MUSTER_ERR_FULL;
}

muster_err muster__failed(muster_handle handle, const char *operation, muster_err err)
{
    bool told = muster__self_state.told;
    muster__self_state.told = false;
    if (!is_usual(err))
        muster__trace(MUSTER__EVENT_FAILED, handle, 0, err);
    if (err == MUSTER_ERR_INTERRUPTED || (err == MUSTER_ERR_DEADLOCK && told))
        return err;
    if (err == MUSTER_ERR_STALE)
        return muster__object_stale((enum muster__kind)(handle.kind_home >> 24), operation);
    return muster__routine(err, describe, operation, (uint64_t)handle.generation << 32 | handle.slot);
}
