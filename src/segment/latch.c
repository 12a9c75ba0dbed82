#include "segment/segment.h"

#define SLEEPERS UINT32_C(0x80000000)

static _Atomic uint32_t *low_half(struct muster__latch *latch)
{
    _Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the futex is the word's low half");
    return (_Atomic uint32_t *)(void *)&latch->word;
}

void muster__latch_init(struct muster__latch *latch, uint32_t generation)
{
    atomic_store(&latch->word, (uint64_t)generation << 32);
}

/* Once slept, a caller acquires with SLEEPERS set: others may still sleep, and only this bit makes the release wake
 * them. */
bool muster__latch_acquire_slow(struct muster__latch *latch, uint32_t generation, uint32_t self)
{
    struct muster__spin spin = {0};
    uint32_t flag = 0;
    for (;;) {
        uint64_t word = atomic_load_explicit(&latch->word, memory_order_relaxed);
        if (word >> 32 != generation)
            return false;
        uint32_t low = (uint32_t)word;
        if ((low & ~SLEEPERS) == 0) {
            if (atomic_compare_exchange_weak(&latch->word, &word, word | self | flag))
                return true;
            continue;
        }
        MUSTER__CHECK_EQ((low & ~SLEEPERS) == self, false);
        if (muster__spin(&spin))
            continue;
        if (!(low & SLEEPERS) && !atomic_compare_exchange_weak(&latch->word, &word, word | SLEEPERS))
            continue;
        flag = SLEEPERS;
        int64_t slice = muster__now_ns() + INT64_C(500000000);
        struct muster__caller *caller = muster__self_state.caller;
        atomic_store(&caller->asleep, 1);
        atomic_fetch_sub(&muster__segment->awake, 1);
        muster__futex_wait(low_half(latch), low | SLEEPERS, slice);
        atomic_fetch_add(&muster__segment->awake, 1);
        atomic_store(&caller->asleep, 0);
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
    if (((uint32_t)word & ~SLEEPERS) != dead) {
        muster__futex_wake(low_half(latch), -1);
        return false;
    }
    *generation = (uint32_t)(word >> 32);
    while (!atomic_compare_exchange_weak(&latch->word, &word, (word >> 32) << 32 | SLEEPERS | self))
        ;
    return true;
}
