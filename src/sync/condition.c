/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "lock/lock.h"
#include "sync/sync.h"

#include <muster/condition.h>

/*
 * Who waits has a ticket, taken while it holds the lock, as who notifies does; so nobody gets a ticket while others are
 * notified. The word counts those who wait, and those who were notified and have not gone on yet. Who goes on takes one
 * of the latter; its ticket is not after the last one given out when there was last a notify, so that who comes later
 * does not take what was meant for who stood there. All may go on: then their tickets say so, and nothing is counted.
 *
 * A condition is at home where its lock is: what one host asks there arrives in order, so a ticket is taken before the
 * lock is seen to be free.
 */

struct condition {
    _Atomic uint64_t word;    /* changes of `all` (24 bits), notified (20), waiting (20) */
    _Atomic uint64_t tickets; /* given out */
    _Atomic uint64_t until;   /* last ticket when there was a notify */
    _Atomic uint64_t all;     /* up to this ticket all go on */
};

enum { BITS = 20, MASK = (1 << BITS) - 1 };
#define WAITING  UINT64_C(1)
#define NOTIFIED (UINT64_C(1) << BITS)
#define CHANGE   (UINT64_C(1) << 2 * BITS)

enum { WAIT, NOTIFY, OPS };

static struct condition *of(const struct muster__object *object)
{
    return (struct condition *)(void *)object->body;
}

static uint64_t waiting(uint64_t word)
{
    return word & MASK;
}

static uint64_t notified(uint64_t word)
{
    return word >> BITS & MASK;
}

/* Notices go forward only: who notifies without the lock, since others have left, may be slow. */
static void advance(_Atomic uint64_t *at, uint64_t to)
{
    uint64_t is = atomic_load(at);
    while (is < to && !atomic_compare_exchange_weak(at, &is, to))
        ;
}

/* Not counted, if all go on already. */
static muster_err enlist(struct muster__step *step)
{
    struct condition *condition = of(step->object);
    uint64_t ticket = atomic_fetch_add(&condition->tickets, 1) + 1, word = atomic_load(&condition->word);
    do
        if (ticket <= atomic_load(&condition->all))
            return MUSTER_OK;
    while (!atomic_compare_exchange_weak(&condition->word, &word, word + WAITING));
    step->arg->own = ticket;
    step->event = &step->object->event[0];
    return MUSTER__WAIT;
}

static muster_err wait(struct muster__step *step)
{
    struct condition *condition = of(step->object);
    uint64_t ticket = step->arg->own;
    if (!ticket)
        return enlist(step);
    step->event = &step->object->event[0];
    uint64_t word = atomic_load(&condition->word);
    while (ticket > atomic_load(&condition->all)) {
        if (!notified(word) || ticket > atomic_load(&condition->until) || !(step->called || step->rests))
            return MUSTER__WAIT;
        step->arg->out[0] = atomic_compare_exchange_weak(&condition->word, &word, word - NOTIFIED);
        if (step->arg->out[0])
            break;
    }
    step->arg->own = 0;
    return MUSTER_OK;
}

static int64_t notify_some(struct muster__object *object, uint64_t most)
{
    struct condition *condition = of(object);
    advance(&condition->until, atomic_load(&condition->tickets));
    uint64_t word = atomic_load(&condition->word), n;
    do
        n = waiting(word) < most ? waiting(word) : most;
    while (!atomic_compare_exchange_weak(&condition->word, &word, word + n * NOTIFIED - n * WAITING));
    if (n)
        muster__event_signal(&object->event[0], (int)n);
    return (int64_t)n;
}

/* Who leaves when some of those who were there are notified may be the one who was called: another one is instead. */
static void leave(struct muster__step *step)
{
    struct condition *condition = of(step->object);
    uint64_t ticket = step->arg->own, word = atomic_load(&condition->word);
    bool passes_on;
    if (!ticket && step->called) /* it went on, and was called as well */
        muster__event_signal(&step->object->event[0], 1);
    do {
        if (!ticket || ticket <= atomic_load(&condition->all))
            return;
        passes_on = notified(word) && ticket <= atomic_load(&condition->until);
    } while (!atomic_compare_exchange_weak(&condition->word, &word, word - (passes_on ? NOTIFIED : WAITING)));
    if (passes_on)
        notify_some(step->object, 1);
}

static int64_t notify_all(struct muster__object *object)
{
    struct condition *condition = of(object);
    advance(&condition->all, atomic_load(&condition->tickets));
    uint64_t word = atomic_load(&condition->word);
    while (!atomic_compare_exchange_weak(&condition->word, &word, (word & ~(CHANGE - 1)) + CHANGE))
        ;
    muster__event_signal(&object->event[0], -1);
    return (int64_t)waiting(word);
}

/* A caller of this host holds the lock, and who it notifies is woken when that is released.
 * in[0]: how many, negative: all, 0: who asks whether it is there; out[0]: so many were */
static muster_err notify(struct muster__step *step)
{
    int64_t most = step->arg->in[0];
    if (!most)
        return MUSTER_OK;
    muster__ring_late(step->self == muster__self_state.number);
    step->arg->out[0] = most < 0 ? notify_all(step->object) : notify_some(step->object, (uint64_t)most);
    muster__ring_late(false);
    return MUSTER_OK;
}

/* Notified, but not there any more: another one is, unless all were. out[0]: it was counted */
static void undo(struct muster__step *step, bool died)
{
    (void)died;
    if (step->arg->out[0])
        notify_some(step->object, 1);
}

/* in: the lock, which is at home here */
static muster_err make(struct muster__object *object, uint32_t generation, struct muster__arg *arg, uint32_t self)
{
    (void)object, (void)generation, (void)self;
    muster_handle lock;
    memcpy(&lock, arg->in, sizeof lock);
    return muster__object_find(lock, MUSTER__LOCK) ? MUSTER_OK
                                                   : muster__object_stale(MUSTER__LOCK, "muster_condition_create");
}

/* How many the dead one was counted among is not known: all go on. */
static void repair(struct muster__object *object, uint32_t generation, uint32_t dead, uint32_t self)
{
    (void)generation, (void)dead, (void)self;
    notify_all(object);
}

static void describe(const struct muster__object *object, char *text, size_t size)
{
    const struct condition *condition = (const void *)object->body;
    snprintf(text, size, "%u wait", (unsigned)waiting(atomic_load(&condition->word)));
}

static const struct muster__op ops[OPS] = {
    [WAIT] = {.name = "muster_condition_wait",
              .step = wait,
              .in_line = true,
              .leave = leave,
              .undo = undo,
              .late = MUSTER_ERR_TIMEOUT,
              .late_now = MUSTER_ERR_TIMEOUT},
    [NOTIFY] = {.name = "muster_condition_notify", .step = notify},
};

MUSTER__CLASS(MUSTER__CONDITION, .name = "condition", .ops = ops, .op_count = OPS, .patient = true, .make = make,
              .repair = repair, .describe = describe)

/* ---- public ---- */

static muster_err create(muster_condition *condition, muster_handle lock, const char *name, const char *operation)
{
    muster_err err = muster__runtime_require(operation);
    if (!err)
        err = MUSTER__NULL_BAD(operation, condition);
    if (!err && (lock.kind_home >> 24 != MUSTER__LOCK || muster__handle_home(lock) >= muster_hosts()))
        err = muster__object_stale(MUSTER__LOCK, operation);
    if (err)
        return err;
    muster_condition made = {.lock = lock};
    struct muster__arg arg = {0};
    memcpy(arg.in, &lock, sizeof lock);
    err = muster__make(MUSTER__CONDITION, muster__handle_home(lock), name, &arg, operation, &made.handle);
    if (!err)
        *condition = made;
    return err;
}

muster_err muster_condition_create(muster_condition *condition, muster_lock lock, const char *name)
{
    return create(condition, lock.handle, name, "muster_condition_create");
}

muster_err muster_condition_create_rlock(muster_condition *condition, muster_rlock lock, const char *name)
{
    return create(condition, lock.handle, name, "muster_condition_create_rlock");
}

muster_err muster_condition_destroy(muster_condition condition)
{
    return muster__destroy(condition.handle, MUSTER__CONDITION, "muster_condition_destroy");
}

/* Nobody holds a lock that has ended. */
static muster_err not_held(muster_handle lock, const char *operation)
{
    if (!muster__is_remote(lock, MUSTER__LOCK) && !muster__object_find(lock, MUSTER__LOCK))
        return muster__object_stale(MUSTER__LOCK, operation);
    return muster__fail(MUSTER_ERR_STATE, "%s: this thread does not hold the condition's lock", operation);
}

struct giving {
    muster_handle lock;
    bool gave;
};

static void give_lock(void *of)
{
    struct giving *giving = of;
    giving->gave = muster__lock_put(giving->lock, "muster_condition_wait") == MUSTER_OK;
}

/* Nothing but the lock's end keeps who waited from getting it again. */
static muster_err get_back(muster_handle lock)
{
    struct muster__caller *caller = muster__self_state.caller;
    bool heeds = caller->heeds_signal;
    caller->heeds_signal = false;
    muster_err err = muster__lock_get(lock, MUSTER_FOREVER, "muster_condition_wait");
    caller->heeds_signal = heeds;
    return err;
}

/* Without time to wait the lock is given up nevertheless: others get on. */
static muster_err wait_given(muster_condition condition, struct giving *giving, int64_t timeout_ms)
{
    if (timeout_ms != MUSTER_NOWAIT)
        return muster__do_then(condition.handle, MUSTER__CONDITION, WAIT, &(struct muster__arg){0}, timeout_ms,
                               give_lock, giving);
    muster_err err = muster__do(condition.handle, MUSTER__CONDITION, NOTIFY, &(struct muster__arg){0}, MUSTER_FOREVER);
    if (err)
        return err;
    give_lock(giving);
    return muster__fail(MUSTER_ERR_TIMEOUT, "muster_condition_wait: not notified");
}

muster_err muster_condition_wait(muster_condition condition, int64_t timeout_ms)
{
    static const char operation[] = "muster_condition_wait";
    struct giving giving = {.lock = condition.lock};
    muster_err err = muster__timeout_bad(operation, timeout_ms);
    struct muster__lock *mine = err ? NULL : muster__lock_mine(condition.lock);
    if (!mine)
        return err ? err : not_held(condition.lock, operation);
    uint32_t depth = mine->depth;
    mine->depth = 0;
    err = wait_given(condition, &giving, timeout_ms);
    muster_err got = giving.gave ? get_back(condition.lock) : MUSTER_OK;
    if (muster__commits(got) && (mine = muster__lock_mine(condition.lock)))
        mine->depth = depth;
    return got ? got : err;
}

muster_err muster_condition_wait_for(muster_condition condition, bool (*holds)(void *arg), void *arg,
                                     int64_t timeout_ms)
{
    static const char operation[] = "muster_condition_wait_for";
    muster_err err = MUSTER__NULL_BAD(operation, holds);
    if (!err)
        err = muster__timeout_bad(operation, timeout_ms);
    if (!err && !muster__lock_mine(condition.lock))
        err = not_held(condition.lock, operation);
    if (err)
        return err;
    int64_t deadline = muster__deadline_ns(timeout_ms);
    const char *site = muster_site;
    while (!holds(arg)) {
        muster_site = site;
        err = muster_condition_wait(condition, muster__left_ms(deadline));
        if (err == MUSTER_ERR_TIMEOUT)
            return holds(arg) ? MUSTER_OK : err;
        if (err)
            return err;
    }
    return MUSTER_OK;
}

static muster_err notify_n(muster_condition condition, int64_t n, int64_t *notified, const char *operation)
{
    struct muster__arg arg = {.in = {n}};
    if (!muster__lock_mine(condition.lock))
        return not_held(condition.lock, operation);
    muster_err err = muster__do(condition.handle, MUSTER__CONDITION, NOTIFY, &arg, MUSTER_FOREVER);
    if (!err && notified)
        *notified = arg.out[0];
    return err;
}

muster_err muster_condition_notify(muster_condition condition, int64_t n, int64_t *notified)
{
    static const char operation[] = "muster_condition_notify";
    if (n <= 0)
        return muster__fail(MUSTER_ERR_INVAL, "%s: n is %lld: 1 or more is allowed", operation, (long long)n);
    return notify_n(condition, n, notified, operation);
}

muster_err muster_condition_notify_all(muster_condition condition, int64_t *notified)
{
    return notify_n(condition, -1, notified, "muster_condition_notify_all");
}
