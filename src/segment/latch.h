/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Latch: a short critical section; its word names generation and owner, so that a stale user never gets in and a dead
 * owner is found.
 *
 * Lock order: latches of objects before those of events, these before those of the heap; never two of one level, but
 * for a queue's (queue.c). While the sweeper holds none it seizes those of the dead.
 */
#ifndef MUSTER_SEGMENT_LATCH_H
#define MUSTER_SEGMENT_LATCH_H

#include "segment/caller.h"

/* generation in the high half; in the low half the owner's number and, in the top bit, whether somebody sleeps */
struct muster__latch {
    _Atomic uint64_t word;
};
void muster__latch_init(struct muster__latch *latch, uint32_t generation);
/** Blocks; false: the generation has passed (the object is gone), or the thread hurries and somebody holds it. */
bool muster__latch_acquire_slow(struct muster__latch *latch, uint32_t generation, uint32_t self);
void muster__latch_release_slow(struct muster__latch *latch, uint32_t generation);

static inline bool muster__latch_acquire(struct muster__latch *latch, uint32_t generation, uint32_t self)
{
    uint64_t expected = (uint64_t)generation << 32;
    if (MUSTER__LIKELY(atomic_compare_exchange_strong(&latch->word, &expected, expected | self)))
        return true;
    return muster__latch_acquire_slow(latch, generation, self);
}
/** Full barrier. */
static inline void muster__latch_release(struct muster__latch *latch, uint32_t generation, uint32_t self)
{
    uint64_t expected = (uint64_t)generation << 32 | self;
    if (MUSTER__LIKELY(atomic_compare_exchange_strong(&latch->word, &expected, (uint64_t)generation << 32)))
        return;
    muster__latch_release_slow(latch, generation);
}
/** Ends the generation while holding the latch: everybody who waits or comes later with it gets false. */
void muster__latch_end(struct muster__latch *latch, uint32_t generation);
static inline bool muster__latch_ended(const struct muster__latch *latch, uint32_t generation)
{
    return atomic_load(&latch->word) >> 32 != generation;
}
/** Takes the latch over from a dead owner; false: the dead one did not hold it. */
bool muster__latch_seize(struct muster__latch *latch, uint32_t dead, uint32_t self, uint32_t *generation);

/**
 * Agents wait for nothing: a process that was stopped while it holds a latch may hold up its host's objects, but not
 * the mail. A thread that hurries gives a latch up after some looks; what it was about is not done, and `busy` says so
 * (muster__again turns an error that followed from it into MUSTER__AGAIN); what need not be done now (freeing a block,
 * signalling) is done later by muster__catch_up.
 */
static inline void muster__hurry(bool hurries)
{
    muster__self_state.hurries = hurries;
    muster__self_state.busy = false;
}
/** Does what was put off. True: some still is. */
bool muster__catch_up(void);
/** What a thread that looks after others does while it waits for a latch nevertheless; NULL: nothing. */
extern MUSTER__THREAD_LOCAL void (*muster__latch_meanwhile)(void);
/** Puts off: what(a, b) is tried again later. */
void muster__put_off(void (*what)(uint64_t a, uint64_t b), uint64_t a, uint64_t b);

/** Whether a member's process is dead though not swept yet. Set by the runtime in processes that sweep: a sweeper that
 * waits for a heap latch may be the one who has to sweep its holder, too. NULL elsewhere. */
extern bool (*muster__member_dead)(uint32_t member);
/** Takes the latches of heap and lines that a dead caller has; set by sweep.c. */
extern void (*muster__latch_rescue)(uint32_t dead, uint32_t self);

#endif
