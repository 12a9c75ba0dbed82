/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>

#include "segment/heap.h"

#define SLEEPERS UINT32_C(0x80000000)
/* Critical sections take some 20 ns: so many looks are cheaper than going to sleep, even where nothing may spin. */
#define LOOKS 12
/* Who hurries looks this often: about as long as a section that was not stopped may take. */
#define HURRIED_LOOKS    400
#define SLICE_NS         INT64_C(500000000)
#define SWEEPER_SLICE_NS INT64_C(2000000)

bool (*muster__member_dead)(uint32_t member);

static _Atomic uint32_t *low_half(struct muster__latch *latch)
{
    _Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the futex is the word's low half");
    return (_Atomic uint32_t *)(void *)&latch->word;
}

void muster__latch_init(struct muster__latch *latch, uint32_t generation)
{
    atomic_store(&latch->word, (uint64_t)generation << 32);
}

MUSTER__THREAD_LOCAL void (*muster__latch_meanwhile)(void);
void (*muster__latch_rescue)(uint32_t dead, uint32_t self);

static void sleep_on(struct muster__latch *latch, uint32_t expected, uint32_t self)
{
    bool often = muster__member_dead || muster__latch_meanwhile;
    int64_t slice = muster__now_ns() + (often ? SWEEPER_SLICE_NS : SLICE_NS);
    muster__caller_blocks(true);
    enum muster__wake why = muster__futex_wait(low_half(latch), expected, slice);
    muster__caller_blocks(false);
    if (why == MUSTER__EXPIRED && muster__latch_meanwhile)
        muster__latch_meanwhile();
    if (why != MUSTER__EXPIRED || !muster__member_dead)
        return;
    /* A sweeper waits for latches of the heap and of lines. If the owner is dead, it may be the waiter's own task to
     * sweep it. */
    uint32_t owner = expected & ~SLEEPERS;
    uint32_t live = atomic_load(&muster__caller(owner)->live);
    if (live && muster__member_dead(live - 1))
        muster__latch_rescue(owner, self);
}

/* Once slept, a caller acquires with SLEEPERS set: others may still sleep, and only this bit makes the release wake
 * them. For the same reason who leaves without the latch passes the wake on. */
bool muster__latch_acquire_slow(struct muster__latch *latch, uint32_t generation, uint32_t self)
{
    struct muster__spin spin = {0};
    uint32_t flag = 0;
    for (unsigned looks = 0;; looks++) {
        uint64_t word = atomic_load_explicit(&latch->word, memory_order_relaxed);
        uint32_t low = (uint32_t)word;
        if (word >> 32 != generation) {
            if (flag)
                muster__futex_wake(low_half(latch), 1);
            return false;
        }
        if ((low & ~SLEEPERS) == 0) {
            if (atomic_compare_exchange_weak(&latch->word, &word, word | self | flag))
                return true;
            continue;
        }
        MUSTER__CHECK_EQ((low & ~SLEEPERS) == self, false);
        if (looks < LOOKS || (muster__self_state.hurries && looks < HURRIED_LOOKS)) {
            muster__cpu_relax();
            continue;
        }
        if (muster__self_state.hurries) {
            muster__self_state.busy = true;
            return false;
        }
        if (muster__spin(&spin))
            continue;
        if (!(low & SLEEPERS) && !atomic_compare_exchange_weak(&latch->word, &word, word | SLEEPERS))
            continue;
        flag = SLEEPERS;
        sleep_on(latch, low | SLEEPERS, self);
    }
}

void muster__latch_release_slow(struct muster__latch *latch, uint32_t generation)
{
    atomic_store(&latch->word, (uint64_t)generation << 32);
    muster__futex_wake(low_half(latch), 1);
}

void muster__latch_end(struct muster__latch *latch, uint32_t generation)
{
    atomic_store(&latch->word, (uint64_t)(generation + 1) << 32);
    muster__futex_wake(low_half(latch), -1);
}

/* The dead may have been woken without having taken the latch yet: whoever else sleeps is woken in its place. */
bool muster__latch_seize(struct muster__latch *latch, uint32_t dead, uint32_t self, uint32_t *generation)
{
    uint64_t word = atomic_load(&latch->word);
    while (((uint32_t)word & ~SLEEPERS) == dead) {
        if (!atomic_compare_exchange_weak(&latch->word, &word, (word >> 32) << 32 | SLEEPERS | self))
            continue;
        *generation = (uint32_t)(word >> 32);
        return true;
    }
    muster__futex_wake(low_half(latch), -1);
    return false;
}

muster_err muster__latch_lost(const struct muster__latch *latch, uint32_t generation)
{
    return muster__latch_ended(latch, generation) ? MUSTER_ERR_STALE : (muster_err)MUSTER__AGAIN;
}

muster_err muster__again(muster_err err)
{
    return err != MUSTER_OK && muster__self_state.hurries && muster__self_state.busy ? (muster_err)MUSTER__AGAIN : err;
}

/* ---- what is put off ---- */

struct later {
    struct later *next;
    void (*what)(uint64_t a, uint64_t b);
    uint64_t a, b;
};

static MUSTER__THREAD_LOCAL struct later *later_first, *later_last;

void muster__put_off(void (*what)(uint64_t a, uint64_t b), uint64_t a, uint64_t b)
{
    struct later *later = malloc(sizeof *later);
    MUSTER__CHECK_EQ(later != NULL, true);
    *later = (struct later){NULL, what, a, b};
    if (later_last)
        later_last->next = later;
    else
        later_first = later;
    later_last = later;
}

bool muster__catch_up(void)
{
    struct later *first = later_first;
    later_first = later_last = NULL;
    for (struct later *later = first, *next; later; later = next) {
        next = later->next;
        later->what(later->a, later->b); /* may put itself off again */
        free(later);
    }
    return later_first != NULL;
}
