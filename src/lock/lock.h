/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside door of the lock: works on a body in the segment alone, so it is tested without MPI.
 */
#ifndef MUSTER_LOCK_LOCK_H
#define MUSTER_LOCK_LOCK_H

#include <muster/lock.h>

#include "remote/remote.h"

/* word, high half: generation. Low half: the owner's number (20 bits) and flags. */
struct muster__lock {
    _Atomic uint64_t word;
    _Atomic int64_t turn_ns; /* when the present turn began; see lock.c */
    uint32_t depth;          /* the owner's alone: how often it has it, beyond once; of an rlock */
    bool is_proxy;
    /* of a proxy; see token.c */
    _Atomic uint32_t here;  /* whether the lock that it stands for is this host's: enum muster__lock_here */
    _Atomic uint32_t asked; /* home was asked for it, and has not answered yet */
    _Atomic uint32_t stale; /* it ends because home did not know the lock any more */
    uint32_t returns;       /* the agent's: it stands in the line to give it back */
    muster_handle home;
    /* at home, between hosts */
    _Atomic uint32_t called;        /* the host that has it was asked to give it back */
    _Atomic uint32_t grants;        /* to hosts, so far */
    _Atomic uint32_t tries, in_use; /* that asked whether a host uses it; the last one that heard it does */
    _Atomic uint64_t hosts;         /* that have something that stands for it: bit host % 64 */
};
_Static_assert(sizeof(struct muster__lock) <= MUSTER__OBJECT_BODY, "the lock is an object's body");

enum muster__lock_here {
    MUSTER__LOCK_AWAY,
    MUSTER__LOCK_HERE = 1,
    MUSTER__LOCK_DIED = 2 /* beside HERE: the last holder on another host died, whom its next one is told of */
};
enum {
    MUSTER__LOCK_DEAD = 1 << 28,     /* the owner died; its next one is told */
    MUSTER__LOCK_STARVING = 1 << 29, /* free only for who was called */
    MUSTER__LOCK_WOKEN = 1 << 30,    /* one who was called is on the way: no need to call another */
};
#define MUSTER__LOCK_OWNER     (UINT64_C(0xfffff)) /* 0: free */
#define MUSTER__LOCK_WORD(gen) ((uint64_t)(gen) << 32)

enum muster__lock_op {
    MUSTER__LOCK_ACQUIRE,
    MUSTER__LOCK_TRY,
    MUSTER__LOCK_RELEASE,
    MUSTER__LOCK_DESTROY, /* out[0]: hosts that have something of it */
    MUSTER__LOCK_RETURN,  /* of a proxy, by the agent: out[0], it was here; out[1], its last holder died */
    MUSTER__LOCK_OPS
};

/** OK, OWNER_DEAD, BUSY, TIMEOUT, DEADLOCK, CLOSED (ended while waiting), STALE, INTERRUPTED. Sets no detail. */
muster_err muster__lock_acquire_slow(struct muster__object *object, uint32_t generation, uint32_t self,
                                     int64_t timeout_ms);
/** OK, STATE, STALE. Sets no detail. died: the owner's death is told to the next one. */
muster_err muster__lock_release_slow(struct muster__object *object, uint32_t generation, uint32_t owner, bool died);
/** The step of acquiring, but for what hosts mean. */
muster_err muster__lock_take(struct muster__step *step);
/** Calls the first of the line, if nobody is on the way. */
void muster__lock_call(struct muster__object *object, uint32_t generation);
void muster__lock_turn_begins(struct muster__lock *lock);

/* What a lock is beyond its host; set where there may be several: token.c. NULL: there is one. */
struct muster__lock_hosts {
    /** At home: the owner that a step waits for is a host. */
    void (*waits)(struct muster__step *step);
    /** At home: a host has got it. err: OK or OWNER_DEAD. already: before it asked. */
    void (*granted)(struct muster__step *step, muster_err err, bool already);
    /** Of a proxy that is away: the agent asks for it. */
    void (*fetch)(struct muster__lock *lock);
    muster_err (*try)(struct muster__step *step);
    muster_err (*give_back)(struct muster__step *step);
    /** At home: it ends; some hosts have something that stands for it. */
    void (*ended)(struct muster__object *object, uint32_t generation);
};
extern const struct muster__lock_hosts *muster__lock_hosts;

static inline struct muster__lock *muster__lock_of(struct muster__object *object)
{
    return (struct muster__lock *)(void *)object->body;
}
static inline struct muster__event *muster__lock_line(struct muster__object *object)
{
    return &object->event[0];
}

/** At home, before the step is taken: the host that asks has it. */
static inline bool muster__lock_has_already(const struct muster__step *step)
{
    uint64_t word = atomic_load(&muster__lock_of(step->object)->word);
    return muster__owner_is_host(step->self) && (word & MUSTER__LOCK_OWNER) == step->self;
}

/* The lock's word names the generation, so these two need no pin. */

static inline bool muster__lock_acquire_fast(struct muster__lock *lock, uint32_t generation, uint32_t self)
{
    uint64_t expected = MUSTER__LOCK_WORD(generation);
    return MUSTER__LIKELY(atomic_compare_exchange_strong(&lock->word, &expected, expected | self));
}

/* False: also where somebody waits, and the lock is still to be released. */
static inline bool muster__lock_release_fast(struct muster__object *object, uint32_t generation, uint32_t self)
{
    uint64_t expected = MUSTER__LOCK_WORD(generation) | self;
    if (MUSTER__UNLIKELY(
            !atomic_compare_exchange_strong(&muster__lock_of(object)->word, &expected, MUSTER__LOCK_WORD(generation))))
        return false;
    if (MUSTER__UNLIKELY(atomic_load_explicit(&muster__lock_line(object)->head, memory_order_relaxed)))
        muster__lock_call(object, generation);
    return true;
}

static inline muster_err muster__lock_acquire(struct muster__object *object, uint32_t generation, uint32_t self,
                                              int64_t timeout_ms)
{
    if (muster__lock_acquire_fast(muster__lock_of(object), generation, self))
        return MUSTER_OK;
    return muster__lock_acquire_slow(object, generation, self, timeout_ms);
}

static inline muster_err muster__lock_release(struct muster__object *object, uint32_t generation, uint32_t self)
{
    if (muster__lock_release_fast(object, generation, self))
        return MUSTER_OK;
    return muster__lock_release_slow(object, generation, self, false);
}

/* ---- public handles, wherever the lock is: api.c, for what is built on locks. Errors as in muster/lock.h, with detail
 * that names the operation ---- */

muster_err muster__lock_end(muster_handle lock);
muster_err muster__lock_get(muster_handle lock, int64_t timeout_ms, const char *operation);
muster_err muster__lock_put(muster_handle lock, const char *operation);
/** What the calling thread holds: the body of it on this host; NULL: it does not hold it. */
struct muster__lock *muster__lock_mine(muster_handle lock);

/* ---- between hosts: token.c ---- */

/** What stands here for a lock of another host, made if need be. Errors: STALE, PEER, NOMEM, with detail. */
muster_err muster__token_proxy(muster_handle lock, struct muster__proxy *proxy);
/** The same, if it is there. */
bool muster__token_find(muster_handle lock, struct muster__proxy *proxy);
/** Ends what stands for it on those hosts: bit host % 64. */
void muster__token_end(muster_handle lock, uint64_t hosts);

#endif
