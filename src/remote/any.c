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
    bool told;
};

static bool is_there(const struct muster__choice *choice)
{
    return !choice->source && muster__is_remote(choice->handle, choice->kind);
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

static muster_err look_at(struct muster__choice *choice, struct look *look, bool stands)
{
    if (choice->source)
        return choice->source->look(choice) ? MUSTER_OK : (muster_err)MUSTER__WAIT;
    return is_there(choice) ? look_there(choice, look) : look_here(choice, look, stands);
}

static muster_err look_at_all(struct muster__choice *choices, struct look *looks, int n, int from, bool stands,
                              int *chosen)
{
    for (int i = 0; i < n; i++) {
        int at = (from + i) % n;
        muster_err err = look_at(&choices[at], &looks[at], stands);
        if (muster__would_wait(err))
            continue;
        *chosen = at;
        return err;
    }
    return MUSTER__WAIT;
}

static muster_err wait_for_any(struct muster__choice *choices, struct look *looks, int n, int *chosen,
                               int64_t timeout_ms)
{
    static MUSTER__THREAD_LOCAL unsigned turn;
    int from = (int)(turn++ % (unsigned)n);
    int64_t deadline = muster__deadline_ns(timeout_ms);
    struct muster__spin spin = {0};
    _Atomic uint32_t *bell = &muster__self_state.caller->bell;
    muster_err err = look_at_all(choices, looks, n, from, false, chosen);
    while (muster__would_wait(err)) {
        if (timeout_ms && muster__spin_longer(&spin, 15)) {
            err = look_at_all(choices, looks, n, from, false, chosen);
            continue;
        }
        uint32_t seen = atomic_load(bell);
        err = look_at_all(choices, looks, n, from, true, chosen);
        if (!muster__would_wait(err))
            break;
        muster__waits_for(muster__waiter_own(), choices[from].handle, choices[from].op, 0, (int)muster__segment->host);
        muster_err slept = muster__sleep(bell, seen, deadline);
        muster__waits_no_more(muster__waiter_own());
        err = look_at_all(choices, looks, n, from, false, chosen);
        if (muster__would_wait(err) && slept)
            return slept;
    }
    return err;
}

/* Without time to wait, homes elsewhere are asked one after the other. */
static muster_err try_all(struct muster__choice *choices, struct look *looks, int n, int *chosen)
{
    static MUSTER__THREAD_LOCAL unsigned turn;
    int from = (int)(turn++ % (unsigned)n);
    for (int i = 0; i < n; i++) {
        struct muster__choice *choice = &choices[(from + i) % n];
        muster_err err = is_there(choice)
                             ? muster__do(choice->handle, choice->kind, choice->op, choice->arg, MUSTER_NOWAIT)
                             : look_at(choice, &looks[(from + i) % n], false);
        if (muster__would_wait(err) || (!choice->source && err && err == op_of(choice)->late_now))
            continue;
        *chosen = (from + i) % n;
        return err;
    }
    return MUSTER_ERR_TIMEOUT;
}

static void end_looks(struct look *looks, int n)
{
    for (int i = 0; i < n; i++) {
        if (looks[i].waiter) {
            muster__event_unhang(looks[i].waiter);
            muster__waiter_free(looks[i].waiter);
        }
        if (looks[i].watch)
            call_watch_no_more(looks[i].watch);
    }
}

muster_err muster__do_any(struct muster__choice *choices, int n, int *chosen, int64_t timeout_ms, const char *operation)
{
    if (!muster__self_number())
        return muster__object_stale(MUSTER__TASK, operation);
    struct look *looks = calloc((size_t)n, sizeof *looks);
    if (!looks)
        return muster__fail(MUSTER_ERR_NOMEM, "%s: out of memory", operation);
    muster_err err =
        timeout_ms ? wait_for_any(choices, looks, n, chosen, timeout_ms) : try_all(choices, looks, n, chosen);
    end_looks(looks, n);
    free(looks);
    if (err == MUSTER_ERR_TIMEOUT)
        muster__fail(err, "%s: none of %d could be done within %lld ms", operation, n, (long long)timeout_ms);
    return err;
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
