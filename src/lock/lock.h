/*
 * Inside door of the lock: works on a body in the segment alone, so it is tested without MPI.
 */
#ifndef MUSTER_LOCK_LOCK_H
#define MUSTER_LOCK_LOCK_H

#include <muster/lock.h>

#include "segment/segment.h"

/* word, high half: generation. Low half: the owner's caller number (20 bits) and flags. */
struct muster__lock {
    _Atomic uint64_t word;
    _Atomic uint32_t wakes;  /* futex: goes up with each wake, so that who is about to sleep notices */
    _Atomic uint32_t called; /* the last grant that was asked back; see token.c */
    _Atomic int64_t turn_ns; /* when the present turn began; see lock.c */
    _Atomic uint64_t hosts;  /* that ever had it: bit host % 64 */
    _Atomic uint32_t grants; /* to other hosts, so far */
    /* of a proxy */
    _Atomic uint32_t here;     /* whether the lock that it stands for is this host's; a futex. See token.c */
    _Atomic uint32_t returner; /* who stands in the line to give it back; 0: nobody */
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
/** Ends the lock, wakes everybody and retires the object. False: it had ended. *hosts (may be NULL): those that ever
 * had it, as in struct muster__lock. */
bool muster__lock_destroy(struct muster__object *object, uint32_t generation, uint64_t *hosts);

/** OK, OWNER_DEAD, BUSY, TIMEOUT, DEADLOCK, CLOSED (ended while waiting), STALE, INTERRUPTED. Sets no detail. */
muster_err muster__lock_acquire_slow(struct muster__lock *lock, uint32_t generation, uint32_t self, int64_t timeout_ms);
/** OK, STATE, STALE. Sets no detail. */
muster_err muster__lock_release_slow(struct muster__lock *lock, uint32_t generation, uint32_t self);

/* ---- between hosts; token.c ---- */

/**
 * As muster__lock_acquire_slow, on behalf of a whole host: OK also when the ally (0: none) holds it, the word tells who
 * does. The turn of those who have the lock began when their host got it, not when this one came to wait.
 */
muster_err muster__lock_acquire_for_host(struct muster__lock *lock, uint32_t generation, uint32_t self, uint32_t ally,
                                         int64_t timeout_ms);
/** A host has got the lock: the turn of those who use it there begins. */
void muster__lock_turn_begins(struct muster__lock *lock);
/** Makes another caller the owner. False: `from` is not the owner. */
bool muster__lock_give(struct muster__lock *lock, uint32_t generation, uint32_t from, uint32_t to);
/** Releases it as the owner, whose death it tells the next one if died. */
muster_err muster__lock_release_for(struct muster__lock *lock, uint32_t generation, uint32_t owner, bool died);
static inline bool muster__lock_is_waited_for(struct muster__lock *lock)
{
    return atomic_load(&lock->word) & MUSTER__LOCK_WAITERS;
}
/* Set where there are several hosts: whether the owner is one of them, and how to ask it to give the lock back. */
struct muster__lock_hosts {
    bool (*is_host)(uint32_t owner);
    void (*call_back)(struct muster__lock *lock, uint32_t generation, uint32_t owner);
};
extern const struct muster__lock_hosts *muster__lock_hosts;

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

/* ---- locks of other hosts: token.c. Errors as in muster/lock.h, with detail ---- */

muster_err muster__token_acquire(muster_handle lock, uint32_t self, int64_t timeout_ms);
muster_err muster__token_release(muster_handle lock, uint32_t self);
muster_err muster__token_destroy(muster_handle lock);
/** Makes one there. */
muster_err muster__token_make(int host, const char *name, const char *operation, muster_handle *lock);
/** Tries a lock of this host that may be another one's: asks that host, if nobody uses it there. No detail. */
muster_err muster__token_try(muster_handle handle, struct muster__lock *lock, uint32_t self);
/** Ends a lock that was destroyed on this host for all others; what muster__lock_destroy said of them. */
void muster__token_end(muster_handle handle, uint64_t hosts);

#endif
