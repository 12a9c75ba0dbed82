/* SPDX-License-Identifier: BSD-3-Clause */
#include "remote/internal.h"

#include <stdlib.h>

/*
 * The first of several operations that can be done. They are looked at in an order that is drawn anew each time, and
 * one at most is taken. While none can be, a watcher stands in the line of each that is at home here, and each home
 * elsewhere watches for its own; who is told looks again, and may find that somebody else was faster.
 *
 * What is ready here is known at once, what is elsewhere after a message there and back: so that those have their turn,
 * too, they are asked if they come before the first one that is ready here.
 */

struct look {
    uint32_t waiter;     /* 0: none */
    struct asked *watch; /* of another host; NULL: none */
    bool waited;         /* it could not be done before */
};

struct muster__any {
    struct muster__choice *choices;
    int n;
    int64_t deadline_ns;
    int chosen;
    muster_err err;     /* WAIT: none yet */
    bool tries, looked; /* tries: without time to wait */
    int *order;
    struct look look[];
};

static bool is_there(const struct muster__choice *choice)
{
    return muster__is_remote(choice->handle, choice->kind);
}

static const struct muster__op *op_of(const struct muster__choice *choice)
{
    return &muster__class_of(choice->kind)->ops[choice->op];
}

/* ---- at home here ---- */

static bool stand(struct look *look, struct muster__event *event)
{
    if (!look->waiter)
        look->waiter = muster__waiter_make();
    if (!look->waiter)
        return false;
    struct muster__waiter *waiter = muster__waiter(look->waiter);
    if (atomic_load(&waiter->event) == muster__offset(event))
        return true;
    muster__event_unhang(look->waiter);
    atomic_store(&waiter->state, MUSTER__WAITER_IDLE);
    return muster__event_hang(event, look->waiter, MUSTER__WATCHES, false);
}

/* Until it stands in the line of what its last step waits for. */
static muster_err stand_and_step(const struct muster__op *op, struct muster__step *step, struct look *look)
{
    struct muster__event *event;
    muster_err err;
    do {
        event = step->event;
        if (!stand(look, event))
            return muster__fail(MUSTER_ERR_NOMEM, "%s: too many wait on this host", op->name);
        err = muster__step(op, step);
    } while (muster__would_wait(err) && step->event != event);
    return err;
}

static muster_err not_there(const struct muster__choice *choice, const struct look *look)
{
    if (!look->waited)
        return muster__object_stale(choice->kind, op_of(choice)->name);
    return muster__fail(MUSTER_ERR_CLOSED, "%s: the %s was destroyed meanwhile", op_of(choice)->name,
                        muster__class_name(choice->kind));
}

static struct muster__step step_of(const struct muster__choice *choice, struct muster__object *object,
                                   const struct look *look)
{
    return (struct muster__step){.object = object,
                                 .generation = choice->handle.generation,
                                 .self = muster__self_state.number,
                                 .host = (int)muster__segment->host,
                                 .arg = choice->arg,
                                 .waited = look->waited};
}

/* WAIT: it cannot be done now; with `stands`, there is a watcher for it. */
static muster_err look_here(const struct muster__choice *choice, struct look *look, bool stands)
{
    const struct muster__op *op = op_of(choice);
    struct muster__object *object = muster__object_pin(choice->handle, choice->kind);
    if (!object)
        return not_there(choice, look);
    struct muster__step step = step_of(choice, object, look);
    muster_err err = muster__step(op, &step);
    if (stands && muster__would_wait(err))
        err = stand_and_step(op, &step, look);
    err = muster__ended(&step, err);
    muster__object_unpin();
    look->waited = true;
    if (muster__would_wait(err))
        return MUSTER__WAIT;
    return err && err != MUSTER_ERR_NOMEM ? muster__failed(choice->handle, op->name, err) : err;
}

/* Whether a look would do it, or fail. */
static bool is_ready_here(const struct muster__choice *choice, const struct look *look)
{
    struct muster__object *object = muster__object_pin(choice->handle, choice->kind);
    if (!object)
        return true;
    struct muster__step step = step_of(choice, object, look);
    step.watches = true;
    muster_err err = muster__step(op_of(choice), &step);
    muster__object_unpin();
    return !muster__would_wait(err);
}

/* ---- elsewhere ---- */

/* Without waiting but for an answer. */
static muster_err try_now(const struct muster__any *any, const struct muster__choice *choice)
{
    const struct muster__op *op = &muster__class_of(choice->kind)->ops[choice->now];
    muster_err err = call_try(choice->handle, choice->kind, choice->now, choice->arg, any->deadline_ns);
    return err && err == op->late_now ? (muster_err)MUSTER__WAIT : err;
}

static muster_err begin_watch(const struct muster__choice *choice, struct look *look)
{
    look->watch = call_watch(choice->handle, choice->op, choice->arg);
    return look->watch ? MUSTER__WAIT : MUSTER_ERR_NOMEM;
}

/* Home says that it can be done: it is tried, unless to be told was all. */
static muster_err look_there(const struct muster__any *any, const struct muster__choice *choice, struct look *look)
{
    const struct muster__op *op = op_of(choice);
    if (!look->watch)
        return begin_watch(choice, look);
    muster_err err = call_watched(look->watch, choice->arg);
    if (muster__would_wait(err))
        return MUSTER__WAIT;
    look->watch = NULL;
    if (err || op->watch == op->step)
        return err;
    err = try_now(any, choice);
    return muster__would_wait(err) ? begin_watch(choice, look) : err;
}

/* ---- all ---- */

static uint64_t draw(void)
{
    static MUSTER__THREAD_LOCAL uint64_t state;
    if (!state)
        state = (uint64_t)muster__now_ns() * UINT64_C(0x9e3779b97f4a7c15) | 1;
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

void muster__any_order(int *order, int n)
{
    for (int i = 0; i < n; i++) {
        int at = (int)((draw() >> 32) % (uint64_t)(i + 1));
        order[i] = order[at];
        order[at] = i;
    }
}

struct muster__any *muster__any_begin(struct muster__choice *choices, int n, const char *operation, int64_t timeout_ms)
{
    struct muster__any *any = NULL;
    size_t count = (size_t)n;
    if (!muster__self_number())
        muster__object_stale(MUSTER__TASK, operation);
    else if (!(any = calloc(1, sizeof *any + count * (sizeof any->look[0] + sizeof any->order[0]))))
        muster__fail(MUSTER_ERR_NOMEM, "%s: out of memory", operation);
    if (!any)
        return NULL;
    *any = (struct muster__any){.choices = choices,
                                .n = n,
                                .deadline_ns = timeout_ms ? muster__deadline_ns(timeout_ms) : MUSTER__NEVER,
                                .tries = timeout_ms == MUSTER_NOWAIT,
                                .chosen = -1,
                                .err = MUSTER__WAIT,
                                .order = (int *)(void *)&any->look[n]};
    muster__any_order(any->order, n);
    return any;
}

static bool is_over(const struct muster__any *any)
{
    return !muster__would_wait(any->err);
}

static void look_at(struct muster__any *any, int at, bool stands)
{
    struct muster__choice *choice = &any->choices[at];
    any->chosen = at;
    any->err = is_there(choice) ? look_there(any, choice, &any->look[at]) : look_here(choice, &any->look[at], stands);
}

/* Of those elsewhere that come before the first one that is ready here. */
static void first_look(struct muster__any *any)
{
    int first = 0;
    for (; first < any->n; first++) {
        const struct muster__choice *choice = &any->choices[any->order[first]];
        if (!is_there(choice) && is_ready_here(choice, &any->look[any->order[first]]))
            break;
    }
    any->looked = true;
    for (int i = 0; i < first && first < any->n && !is_over(any); i++) {
        any->chosen = any->order[i];
        if (is_there(&any->choices[any->chosen]))
            any->err = try_now(any, &any->choices[any->chosen]);
    }
    if (first < any->n && !is_over(any))
        look_at(any, any->order[first], false);
}

static bool look_at_all(struct muster__any *any, bool stands)
{
    if (!any->looked)
        first_look(any);
    for (int i = 0; i < any->n && !is_over(any); i++)
        look_at(any, any->order[i], stands);
    return is_over(any);
}

bool muster__any_look(struct muster__any *any)
{
    return look_at_all(any, false);
}

bool muster__any_stand(struct muster__any *any)
{
    return look_at_all(any, true);
}

/* One after the other. */
bool muster__any_try(struct muster__any *any)
{
    for (int i = 0; i < any->n && !is_over(any); i++) {
        any->chosen = any->order[i];
        any->err = try_now(any, &any->choices[any->chosen]);
    }
    return is_over(any);
}

muster_err muster__any_end(struct muster__any *any, int *chosen)
{
    muster_err err = any->err;
    muster__stands_by_no_more();
    for (int i = 0; i < any->n; i++) {
        if (any->look[i].waiter) {
            muster__event_unhang(any->look[i].waiter);
            muster__waiter_free(any->look[i].waiter);
        }
        if (any->look[i].watch)
            call_watch_no_more(any->look[i].watch);
    }
    if (!muster__would_wait(err))
        *chosen = any->chosen;
    free(any);
    return err;
}

static muster_err sleep_for(const struct muster__any *any, uint32_t seen)
{
    const struct muster__choice *choice = &any->choices[any->order[0]];
    muster__stands_by(choice->handle, choice->op);
    return muster__sleep(&muster__self_state.caller->bell, seen, any->deadline_ns);
}

muster_err muster__any_wait(struct muster__any *any)
{
    struct muster__spin spin = {0};
    if (any->tries)
        return muster__any_try(any) ? MUSTER_OK : MUSTER_ERR_TIMEOUT;
    while (!muster__any_look(any)) {
        if (muster__spin_longer(&spin, 15))
            continue;
        uint32_t seen = atomic_load(&muster__self_state.caller->bell);
        if (muster__any_stand(any))
            break;
        muster_err err = sleep_for(any, seen);
        if (err && !muster__any_look(any))
            return err;
    }
    return MUSTER_OK;
}

muster_err muster__watch(muster_handle handle, enum muster__kind kind, uint32_t number, struct muster__arg *arg,
                         int64_t timeout_ms)
{
    const struct muster__op *op = &muster__class_of(kind)->ops[number];
    if (muster__is_remote(handle, kind))
        return call_and_watch(handle, number, arg, timeout_ms);
    struct muster__object *object = muster__object_pin(handle, kind);
    if (!object)
        return muster__object_stale(kind, op->name);
    struct muster__step step = {.object = object,
                                .generation = handle.generation,
                                .self = muster__self_state.number,
                                .host = (int)muster__segment->host,
                                .arg = arg,
                                .watches = true};
    muster_err err = muster__do_here(op, &step, timeout_ms);
    muster__object_unpin();
    return err ? muster__failed(handle, op->name, err) : MUSTER_OK;
}
