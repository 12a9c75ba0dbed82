#include "segment/segment.h"

#include <sched.h>

/* About a wake of an idle core and its way back: spinning longer costs more than the sleep it saves. */
#define SPIN_NS 70000
/* How often a sleeper looks around although nobody woke it (signals, a nursery that is gone). */
#define SLICE_NS INT64_C(500000000)

bool muster__spin(struct muster__spin *spin)
{
    if ((spin->round & 63) == 0) {
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

void (*muster__sleep_look)(void);

muster_err muster__sleep(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns, bool *woken)
{
    struct muster__caller *caller = muster__self_state.caller;
    if (woken)
        *woken = false;
    if (caller && atomic_load_explicit(&caller->canceled, memory_order_relaxed))
        return muster__fail(MUSTER_ERR_INTERRUPTED, "the caller on another host was interrupted or has gone");
    if (caller && caller->heeds_signal && atomic_load(&muster__segment->signal))
        return muster__fail(MUSTER_ERR_INTERRUPTED, "signal %u asked the job to stop",
                            atomic_load(&muster__segment->signal));
    int64_t now = muster__now_ns();
    if (now >= deadline_ns)
        return MUSTER_ERR_TIMEOUT;
    int64_t until = deadline_ns - now > SLICE_NS ? now + SLICE_NS : deadline_ns;

    if (caller) {
        atomic_store_explicit(&caller->sleeps_on, muster__offset((void *)word), memory_order_relaxed);
        atomic_store(&caller->asleep, 1);
        atomic_fetch_sub(&muster__segment->awake, 1);
    }
    enum muster__wake why = muster__futex_wait(word, expected, until);
    if (caller) {
        atomic_fetch_add(&muster__segment->awake, 1);
        atomic_store(&caller->asleep, 0);
        atomic_store_explicit(&caller->sleeps_on, 0, memory_order_relaxed);
    }
    if (muster__counts())
        muster__count_slept(muster__now_ns() - now);
    if (woken)
        *woken = why == MUSTER__WOKEN;
    if (why == MUSTER__EXPIRED && muster__sleep_look)
        muster__sleep_look();
    return MUSTER_OK;
}

#define SLEEPERS UINT32_C(1) /* somebody may sleep */
#define FRESH    UINT32_C(2) /* somebody announced himself since the last signal */
#define SIGNAL   UINT32_C(4)

uint32_t muster__event_prepare(struct muster__event *event)
{
    return atomic_fetch_or(&event->word, SLEEPERS | FRESH) | SLEEPERS | FRESH;
}

/* SLEEPERS stays while the kernel still had sleepers to wake: there may be more of them. It also stays when somebody
 * announced himself since the signal, who may have gone to sleep after the kernel was asked. */
void muster__event_wake(struct muster__event *event, int n)
{
    uint32_t word = atomic_load(&event->word), bumped;
    do
        bumped = (word + SIGNAL) & ~FRESH;
    while (!atomic_compare_exchange_weak(&event->word, &word, bumped));
    int woken = muster__futex_wake(&event->word, n);
    if (n < 0 || woken < n)
        atomic_compare_exchange_strong(&event->word, &bumped, bumped & ~SLEEPERS);
}

void muster__ring(uint32_t number)
{
    struct muster__caller *caller = muster__caller(number);
    atomic_fetch_add(&caller->bell, 1);
    uint32_t relay = atomic_load(&caller->relay);
    if (relay) {
        caller = muster__caller(relay);
        atomic_fetch_add(&caller->relayed, 1);
        atomic_fetch_add(&caller->bell, 1);
    }
    if (atomic_load(&caller->asleep))
        muster__futex_wake(&caller->bell, 1);
}
