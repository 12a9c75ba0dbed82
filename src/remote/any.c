#include "remote/internal.h"

#include <stdlib.h>

/*
 * The first of several operations that can be done. Choices are looked at in turn, beginning at another one each time,
 * and one at most is taken. While none can be, a watcher stands in the line of each that is at home here, and each home
 * elsewhere watches for its own; who is told looks again, and may find that somebody else was faster.
 */

struct look {
    uint32_t waiter;     /* 0: none */
    struct asked *watch; /* of another host; NULL: none */
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

/* WAIT: it cannot be done now; with `stands`, there is a watcher for it. */
static muster_err look_here(struct muster__choice *choice, struct look *look, bool stands)
{
    struct muster__object *object = muster__object_pin(choice->handle, choice->kind);
    if (!object)
        return MUSTER_ERR_STALE;
    struct muster__step step = {.object = object,
                                .generation = choice->handle.generation,
                                .self = muster__self_state.number,
                                .host = (int)muster__segment->host,
                                .arg = choice->arg};
    muster_err err = muster__step(op_of(choice), &step);
    if (stands && muster__would_wait(err)) {
        if (!stand(look, step.event))
            err = MUSTER_ERR_NOMEM;
        else
            err = muster__step(op_of(choice), &step);
    }
    muster__object_unpin();
    if (muster__would_wait(err))
        return MUSTER__WAIT;
    return err ? muster__failed(choice->handle, op_of(choice)->name, err) : err;
}

/* ---- elsewhere ---- */

static muster_err begin_watch(struct muster__choice *choice, struct look *look)
{
    look->watch = call_watch(choice->handle, choice->op, choice->arg);
    return look->watch ? MUSTER__WAIT : MUSTER_ERR_NOMEM;
}

/* Home says that it can be done: it is tried. */
static muster_err look_there(struct muster__choice *choice, struct look *look)
{
    if (!look->watch)
        return begin_watch(choice, look);
    muster_err err = call_watched(look->watch);
    if (muster__would_wait(err))
        return MUSTER__WAIT;
    look->watch = NULL;
    if (err)
        return err;
    const struct muster__op *op = op_of(choice);
    err = muster__do(choice->handle, choice->kind, choice->op, choice->arg, MUSTER_NOWAIT);
    return err && err == op->late_now ? begin_watch(choice, look) : err;
}

/* ---- all ---- */

struct muster__any {
    struct muster__choice *choices;
    int n, from; /* where the next look begins */
    int chosen;
    muster_err err; /* WAIT: none yet */
    struct look look[];
};

struct muster__any *muster__any_begin(struct muster__choice *choices, int n, const char *operation)
{
    static MUSTER__THREAD_LOCAL unsigned turn;
    struct muster__any *any = NULL;
    if (!muster__self_number())
        muster__object_stale(MUSTER__TASK, operation);
    else if (!(any = calloc(1, sizeof *any + (size_t)n * sizeof any->look[0])))
        muster__fail(MUSTER_ERR_NOMEM, "%s: out of memory", operation);
    else
        *any = (struct muster__any){choices, n, n ? (int)(turn++ % (unsigned)n) : 0, -1, MUSTER__WAIT};
    return any;
}

static muster_err look_at(struct muster__any *any, int at, bool stands)
{
    struct muster__choice *choice = &any->choices[at];
    return is_there(choice) ? look_there(choice, &any->look[at]) : look_here(choice, &any->look[at], stands);
}

static bool look_at_all(struct muster__any *any, bool stands)
{
    for (int i = 0; i < any->n && muster__would_wait(any->err); i++) {
        any->chosen = (any->from + i) % any->n;
        any->err = look_at(any, any->chosen, stands);
    }
    return !muster__would_wait(any->err);
}

bool muster__any_look(struct muster__any *any)
{
    return look_at_all(any, false);
}

bool muster__any_stand(struct muster__any *any)
{
    return look_at_all(any, true);
}

/* Homes elsewhere are asked one after the other. */
bool muster__any_try(struct muster__any *any)
{
    for (int i = 0; i < any->n && muster__would_wait(any->err); i++) {
        any->chosen = (any->from + i) % any->n;
        struct muster__choice *choice = &any->choices[any->chosen];
        if (!is_there(choice)) {
            any->err = look_at(any, any->chosen, false);
            continue;
        }
        any->err = muster__do(choice->handle, choice->kind, choice->op, choice->arg, MUSTER_NOWAIT);
        if (any->err && any->err == op_of(choice)->late_now)
            any->err = MUSTER__WAIT;
    }
    return !muster__would_wait(any->err);
}

muster_err muster__any_end(struct muster__any *any, int *chosen)
{
    muster_err err = any->err;
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

static muster_err sleep_for(const struct muster__any *any, uint32_t seen, int64_t deadline)
{
    const struct muster__choice *choice = &any->choices[any->from];
    muster__waits_for(muster__waiter_own(), choice->handle, choice->op, 0, (int)muster__segment->host);
    muster_err err = muster__sleep(&muster__self_state.caller->bell, seen, deadline);
    muster__waits_no_more(muster__waiter_own());
    return err;
}

muster_err muster__any_wait(struct muster__any *any, int64_t timeout_ms)
{
    int64_t deadline = muster__deadline_ns(timeout_ms);
    struct muster__spin spin = {0};
    if (timeout_ms == MUSTER_NOWAIT)
        return muster__any_try(any) ? MUSTER_OK : MUSTER_ERR_TIMEOUT;
    while (!muster__any_look(any)) {
        if (muster__spin_longer(&spin, 15))
            continue;
        uint32_t seen = atomic_load(&muster__self_state.caller->bell);
        if (muster__any_stand(any))
            break;
        muster_err err = sleep_for(any, seen, deadline);
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
