/* SPDX-License-Identifier: BSD-3-Clause */
#include "segment/heap.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

/* About a wake of an idle core and its way back: spinning longer costs more than the sleep it saves. */
#define SPIN_NS 70000
/* How often a sleeper looks around although nobody woke it (signals, a nursery that is gone). */
#define SLICE_NS INT64_C(500000000)

/* ---- spinning ---- */

bool muster__spin(struct muster__spin *spin)
{
    if ((spin->round & 63) == 0 && spin->round >= spin->brief) {
        if (atomic_load_explicit(&muster__segment->awake, memory_order_relaxed) >
            (int32_t)atomic_load_explicit(&muster__segment->cores, memory_order_relaxed))
            return false;
        int64_t now = muster__now_ns();
        if (!spin->until_ns)
            spin->until_ns = now + SPIN_NS;
        else if (now >= spin->until_ns)
            return false;
        else
            sched_yield(); /* to who may have been woken for us on this core */
    }
    spin->round++;
    muster__cpu_relax();
    return true;
}

bool muster__spin_longer(struct muster__spin *spin, uint32_t most)
{
    for (uint32_t i = 0; i <= spin->pauses; i++)
        if (!muster__spin(spin))
            return false;
    if (spin->pauses < most)
        spin->pauses = 2 * spin->pauses + 1;
    return true;
}

/* ---- sleeping ---- */

void (*muster__sleep_look)(void);
const struct muster__meanwhile *muster__meanwhile;

muster_err muster__fail_interrupted(void)
{
    int signal = (int)atomic_load(&muster__segment->signal), gone = atomic_load(&muster__segment->gone_plus_1);
    const char *name = sigabbrev_np(signal);
    if (gone)
        return muster__fail(MUSTER_ERR_INTERRUPTED, "rank %d is gone, and whoever started the ranks ends the job",
                            gone - 1);
    return muster__fail(MUSTER_ERR_INTERRUPTED, "signal %d (SIG%s) asked the job to stop", signal, name ? name : "?");
}

static muster_err interrupted(const struct muster__caller *caller)
{
    uint32_t signal = caller && caller->heeds_signal ? atomic_load(&muster__segment->signal) : 0;
    return signal ? muster__fail_interrupted() : MUSTER_OK;
}

/* A verdict names the wait that it is on: one that has ended meanwhile is another. */
static muster_err doomed(struct muster__caller *caller)
{
    const struct muster__waiter *own = muster__waiter(muster__self_state.number);
    int64_t since = atomic_load(&own->since_ns);
    char object[80];
    if (atomic_exchange(&caller->doomed, 0) != since || !since)
        return MUSTER_OK;
    muster__handle_text(own->object, object, sizeof object);
    muster__self_state.told = true;
    return muster__fail(MUSTER_ERR_DEADLOCK,
                        "%s: %s: waited %.1f s for what cannot come any more, since all who could bring it about wait, "
                        "too; stderr tells who waits for what",
                        object, caller->site, (double)(muster__now_ns() - since) * 1e-9);
}

/* Whoever sees the number of looks grow knows that the sleeper found nothing to do after it saw the last one. */
static void note_sleep(struct muster__caller *caller, int64_t deadline_ns)
{
    atomic_store_explicit(&caller->forever, deadline_ns == MUSTER__NEVER, memory_order_relaxed);
    atomic_store_explicit(&caller->looks, atomic_load_explicit(&caller->looks, memory_order_relaxed) + 1,
                          memory_order_release);
}

muster_err muster__sleep(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
    struct muster__caller *caller = muster__self_state.caller;
    muster_err err = interrupted(caller);
    if (!err && caller && deadline_ns == MUSTER__NEVER && MUSTER__UNLIKELY(atomic_load(&caller->doomed)))
        err = doomed(caller);
    if (err)
        return err;
    int64_t now = muster__now_ns();
    if (now >= deadline_ns)
        return MUSTER_ERR_TIMEOUT;
    int64_t until = deadline_ns - now > SLICE_NS ? now + SLICE_NS : deadline_ns;

    if (caller)
        note_sleep(caller, deadline_ns);
    muster__caller_blocks(true);
    enum muster__wake why = muster__futex_wait(word, expected, until);
    muster__caller_blocks(false);
    if (muster__counts() && muster__waited_ns)
        atomic_fetch_add_explicit(muster__waited_ns, (uint64_t)(muster__now_ns() - now), memory_order_relaxed);
    if (why == MUSTER__EXPIRED && muster__sleep_look)
        muster__sleep_look();
    return MUSTER_OK;
}

void muster__ring(uint32_t number)
{
    struct muster__caller *caller = muster__caller(number);
    atomic_fetch_add(&caller->bell, 1);
    uint32_t relay = atomic_load(&caller->relay);
    if (MUSTER__UNLIKELY(relay)) {
        number = relay;
        caller = muster__caller(relay);
        atomic_fetch_add(&caller->bell, 1);
    }
    if (!atomic_load(&caller->asleep))
        return;
    muster__wake_rung();
    if (muster__self_state.rings_late)
        muster__self_state.rung = number;
    else
        muster__futex_wake(&caller->bell, 1);
}

/* If the thread dies before, the sweeper rings who was called. */
void muster__wake_rung_slow(void)
{
    struct muster__caller *caller = muster__caller(muster__self_state.rung);
    muster__self_state.rung = 0;
    if (atomic_load(&caller->asleep))
        muster__futex_wake(&caller->bell, 1);
}
