/*
 * Inside door of the lock: works on a body in the segment alone, so it is tested without MPI.
 */
#ifndef MUSTER_LOCK_LOCK_H
#define MUSTER_LOCK_LOCK_H

#include <muster/lock.h>

#include "segment/segment.h"

/*
 * word, high half: generation. Low half: the owner's caller number (20 bits) and flags. Bits 20 to 26 are kept for the
 * agent that will queue here for other hosts: a count of consecutive hand-overs within this one.
 */
struct muster__lock {
    _Atomic uint64_t word;
    _Atomic uint32_t wakes; /* futex: goes up with each wake, so that who is about to sleep notices */
    _Atomic uint32_t pad;
    _Atomic int64_t turn_ns; /* when the present turn began; see lock.c */
};

enum {
    MUSTER__LOCK_FRESH = 1 << 27,    /* somebody set WAITERS since the last wake */
    MUSTER__LOCK_DEAD = 1 << 28,     /* the owner died; its next one is told */
    MUSTER__LOCK_STARVING = 1 << 29, /* free only for who was woken */
    MUSTER__LOCK_WOKEN = 1 << 30,    /* one who was woken is on the way: no need to wake another */
};
#define MUSTER__LOCK_WAITERS   (UINT64_C(1) << 31) /* somebody may sleep */
#define MUSTER__LOCK_OWNER     (UINT64_C(0xfffff)) /* 0: free */
#define MUSTER__LOCK_WORD(gen) ((uint64_t)(gen) << 32)

/** Errors: NOMEM, with detail. */
muster_err muster__lock_create(const char *name, uint32_t self, muster_handle *handle);
/** Ends the lock, wakes everybody and retires the object. False: it had ended. */
bool muster__lock_destroy(struct muster__object *object, uint32_t generation);

/** OK, OWNER_DEAD, BUSY, TIMEOUT, DEADLOCK, CLOSED (ended while waiting), STALE, INTERRUPTED. Sets no detail. */
muster_err muster__lock_acquire_slow(struct muster__lock *lock, uint32_t generation, uint32_t self, int64_t timeout_ms);
/** OK, STATE, STALE. Sets no detail. */
muster_err muster__lock_release_slow(struct muster__lock *lock, uint32_t generation, uint32_t self);

static inline muster_err muster__lock_acquire(struct muster__lock *lock, uint32_t generation, uint32_t self,
                                              int64_t timeout_ms)
{
    uint64_t expected = MUSTER__LOCK_WORD(generation);
    if (MUSTER__LIKELY(atomic_compare_exchange_strong(&lock->word, &expected, expected | self)))
        return MUSTER_OK;
    return muster__lock_acquire_slow(lock, generation, self, timeout_ms);
}

static inline muster_err muster__lock_release(struct muster__lock *lock, uint32_t generation, uint32_t self)
{
    uint64_t expected = MUSTER__LOCK_WORD(generation) | self;
    if (MUSTER__LIKELY(atomic_compare_exchange_strong(&lock->word, &expected, MUSTER__LOCK_WORD(generation))))
        return MUSTER_OK;
    return muster__lock_release_slow(lock, generation, self);
}

static inline struct muster__lock *muster__lock_of(struct muster__object *object)
{
    return (struct muster__lock *)(void *)object->body;
}
_Static_assert(sizeof(struct muster__lock) <= MUSTER__LINE, "one cache line");

#endif
