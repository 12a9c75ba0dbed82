/* SPDX-License-Identifier: BSD-3-Clause */
#include <linux/membarrier.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "segment/heap.h"

muster_err (*muster__caller_adopt)(void);
void (*muster__callers_gone)(void);

/* ---- pins ---- */

bool muster__barrier_fences;

/* Once a process: the kernel interrupts none that did not ask for it. */
static void pins_register(void)
{
    static pid_t registered;
    if (registered == getpid())
        return;
    muster__barrier_fences = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) != 0;
    registered = getpid();
}

/* Where the kernel does not have it, or a filter forbids it, all processes of the host fence by themselves. */
bool muster__barrier_heavy(void)
{
    atomic_thread_fence(memory_order_seq_cst);
    return syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) == 0 || muster__barrier_fences;
}

/* Pins are a stack: none is set behind an empty one. */
bool muster__pinned(uint64_t pin)
{
    uint32_t end = muster__callers_end();
    for (uint32_t number = 1; number < end; number++) {
        struct muster__caller *caller = muster__caller(number);
        for (int i = 0; i < MUSTER__PINS && atomic_load(&caller->live); i++) {
            uint64_t found = atomic_load_explicit(&caller->pin[i], memory_order_acquire);
            if (found == pin)
                return true;
            if (!found)
                break;
        }
    }
    return false;
}

/* ---- entering ---- */

static pthread_key_t thread_end;
static pthread_once_t thread_end_once = PTHREAD_ONCE_INIT;

void (*muster__caller_ended)(void);

static void thread_ended(void *unused)
{
    (void)unused;
    if (muster__segment && muster__self_state.number)
        muster__caller_ended();
}

static void thread_end_make(void)
{
    pthread_key_create(&thread_end, thread_ended);
}

static void raise_high(_Atomic uint32_t *high, uint32_t above)
{
    uint32_t seen = atomic_load(high);
    while (seen < above && !atomic_compare_exchange_weak(high, &seen, above))
        ;
}

static muster_err make(uint32_t member, uint32_t *number_made)
{
    uint32_t start = atomic_load(&muster__segment->caller_hint);
    for (uint32_t i = 0; i < MUSTER__CALLERS_MAX - 1; i++) {
        uint32_t number = 1 + (start - 1 + i) % (MUSTER__CALLERS_MAX - 1);
        struct muster__caller *caller = muster__caller(number);
        uint32_t nobody = 0;
        if (atomic_load(&caller->live))
            continue;
        raise_high(&muster__segment->callers_high, number + 1); /* first: the sweeper must find whoever dies here */
        if (!atomic_compare_exchange_strong(&caller->live, &nobody, member + 1))
            continue;
        caller->arena = 0;
        caller->incarnation++;
        caller->heeds_signal = caller->asks = caller->serves = false;
        atomic_store(&caller->calls, 0);
        atomic_store(&caller->doomed, 0);
        atomic_store(&caller->told_ns, 0);
        atomic_store(&muster__waiter(number)->since_ns, 0);
        atomic_store(&caller->relay, 0);
        atomic_store(&caller->asleep, 1);
        atomic_store(&muster__segment->caller_hint, number);
        *number_made = number;
        return MUSTER_OK;
    }
    return muster__fail(MUSTER_ERR_NOMEM, "more than %d threads use muster on this host", MUSTER__CALLERS_MAX - 1);
}

static bool core_is_free(int32_t awake)
{
    return awake < (int32_t)atomic_load_explicit(&muster__segment->cores, memory_order_relaxed);
}

/* The count is changed, then `spares` read; who spares cores does it the other way round. */
static void counts(struct muster__caller *caller, bool awake)
{
    atomic_store(&caller->asleep, MUSTER__CALLER_CHANGES);
    int32_t now = atomic_fetch_add(&muster__segment->awake, awake ? 1 : -1) + (awake ? 1 : -1);
    atomic_store(&caller->asleep, !awake);
    if (awake || MUSTER__LIKELY(!atomic_load(&muster__segment->spares)) || !core_is_free(now))
        return;
    uint32_t number = atomic_exchange(&muster__segment->spares, 0);
    if (number)
        muster__ring(number);
}

bool muster__spare_cores(bool spares)
{
    atomic_store(&muster__segment->spares, spares ? muster__self_state.number : 0);
    return core_is_free(atomic_load(&muster__segment->awake) - 1);
}

void muster__caller_blocks(bool blocks)
{
    if (blocks)
        muster__wake_rung();
    if (muster__self_state.number)
        counts(muster__self_state.caller, !blocks);
}

void muster__caller_serves(void)
{
    muster__self_state.caller->serves = true;
}

struct muster__self muster__caller_act(uint32_t number, uint32_t pins)
{
    struct muster__self before = muster__self_state;
    muster__self_state = (struct muster__self){.caller = muster__caller(number), .number = number, .pins = pins};
    counts(before.caller, false);
    counts(muster__self_state.caller, true);
    return before;
}

void muster__caller_rest(struct muster__self before)
{
    counts(muster__self_state.caller, false);
    counts(before.caller, true);
    muster__self_state = before;
}

void muster__caller_relay(uint32_t number, uint32_t to)
{
    atomic_store(&muster__caller(number)->relay, to);
}

muster_err muster__caller_enter_briefly(uint32_t member)
{
    uint32_t number = 0;
    muster_err err = make(member, &number);
    if (err)
        return err;
    muster__self_state = (struct muster__self){.caller = muster__caller(number), .number = number};
    muster__self_state.caller->thread = (int32_t)syscall(SYS_gettid);
    counts(muster__self_state.caller, true);
    pins_register();
    return MUSTER_OK;
}

muster_err muster__caller_enter(uint32_t member, bool heeds_signal)
{
    muster_err err = muster__caller_enter_briefly(member);
    if (err)
        return err;
    muster__self_state.caller->heeds_signal = heeds_signal;
    pthread_once(&thread_end_once, thread_end_make);
    pthread_setspecific(thread_end, muster__self_state.caller);
    return MUSTER_OK;
}

uint32_t muster__self_enter(void)
{
    if (!muster__segment || !muster__caller_adopt || muster__caller_adopt() != MUSTER_OK)
        return 0;
    return muster__self_state.number;
}

void muster__caller_moves(uint32_t member)
{
    atomic_store(&muster__self_state.caller->live, member + 1);
}

void muster__caller_near(uint32_t node)
{
    muster__self_state.caller->arena = node % muster__segment->arenas;
}

/* ---- leaving ---- */

void muster__caller_release(uint32_t number)
{
    atomic_store(&muster__caller(number)->live, 0);
    if (number < atomic_load(&muster__segment->caller_hint))
        atomic_store(&muster__segment->caller_hint, number); /* low numbers first: sweeps look at few */
}

void muster__caller_free(uint32_t number, bool died)
{
    struct muster__caller *caller = muster__caller(number);
    if (!atomic_exchange(&caller->asleep, 1))
        atomic_fetch_sub(&muster__segment->awake, 1);
    for (int i = MUSTER__PINS; i-- > 0;)
        atomic_store(&caller->pin[i], 0);
    atomic_store(&caller->line, 0);
    if (caller->asks && muster__callers_gone) {
        atomic_store(&caller->live, (uint32_t)(died ? MUSTER__CALLER_DIED : MUSTER__CALLER_LEFT));
        muster__callers_gone();
    } else {
        muster__caller_release(number);
    }
}

void muster__caller_leave(void)
{
    if (!muster__self_state.number)
        return;
    muster__caller_free(muster__self_state.number, false);
    muster__caller_forget();
}

void muster__caller_forget(void)
{
    muster__self_state = (struct muster__self){0};
}
