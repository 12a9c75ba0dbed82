/* SPDX-License-Identifier: BSD-3-Clause */
#include "watch/watch.h"

/* A look at a caller's record. Its owner writes that alone, in an order that matters: since when it waits is stored
 * last and cleared first. */

static enum watch_state state_of(const struct muster__caller *caller, const struct muster__waiter *own, int64_t since,
                                 uint32_t member)
{
    if (member >= MUSTER__MEMBERS_MAX || caller->serves)
        return WATCH_SERVES;
    if (!since)
        return WATCH_ELSEWHERE;
    if (!atomic_load_explicit(&caller->forever, memory_order_relaxed))
        return WATCH_TIMED;
    return own->operation == MUSTER__FOR_WORK ? WATCH_IDLE : WATCH_WAITS;
}

struct watch_caller watch_caller(uint32_t number)
{
    const struct muster__caller *caller = muster__caller(number);
    const struct muster__waiter *own = muster__waiter(number);
    uint32_t live = atomic_load(&caller->live);
    if (!live || live - 1 >= MUSTER__STANDINS) /* a child that is forked ahead is nobody yet */
        return (struct watch_caller){.state = WATCH_GONE};
    int64_t since = atomic_load_explicit(&own->since_ns, memory_order_acquire);
    return (struct watch_caller){.state = state_of(caller, own, since, live - 1),
                                 .member = live - 1,
                                 .incarnation = caller->incarnation,
                                 .since_ns = since,
                                 .looks = atomic_load_explicit(&caller->looks, memory_order_acquire),
                                 .thread = caller->thread};
}

bool watch_rests(uint32_t number)
{
    return atomic_load(&muster__caller(number)->relay);
}

bool watch_goes_on(const struct watch_wait *wait)
{
    struct watch_caller now = watch_caller(wait->caller);
    return now.state == WATCH_WAITS && now.incarnation == wait->incarnation && now.since_ns == wait->since_ns;
}
