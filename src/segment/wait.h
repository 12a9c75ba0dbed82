/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One way to wait.
 *
 * An operation is a step: a function on a live object at home that never waits. It commits (MUSTER_OK, or an error
 * that is final), or says which event it would wait for (MUSTER__WAIT). The engine does the rest: spin while cores are
 * free, hang a waiter on the event, step again, sleep, step again when called.
 *
 * Who was called and does not commit stands where it stood before; who leaves without having had use of a call passes
 * it on. The deadline is the caller's own. An object that ends calls all who wait: their steps find that (STALE), which
 * for them is err CLOSED.
 */
#ifndef MUSTER_SEGMENT_WAIT_H
#define MUSTER_SEGMENT_WAIT_H

#include "segment/object.h"

/* what a step may say beside errors */
enum {
    MUSTER__WAIT = 1,
    MUSTER__ASKING, /* likewise, for an answer of other hosts' agents that comes soon: also without time to wait */
    MUSTER__AGAIN,  /* a latch was busy and the thread hurries: nothing was done, to be tried again soon */
};

/* what an operation is given and gives; what of it is used is each operation's affair. In and out travel */
struct muster__arg {
    int64_t in[3];
    int64_t out[2];
    const void *bytes; /* in */
    size_t size;
    void *room; /* for what comes out */
    size_t capacity;
    size_t got;           /* that came, or with err TOOBIG would have */
    uint64_t own;         /* the operation's, from one step to the next; 0 before the first */
    uint64_t bytes_block; /* heap block of MUSTER__OWNER_WIRE that bytes are in, 0: none; who takes it puts 0 here */
    uint64_t room_block;  /* block given instead of bytes in room: owned by who called; 0: none */
    bool takes_block;     /* in: such a block is welcome */
};

struct muster__spin {
    int64_t until_ns;
    uint32_t round;
    uint32_t pauses; /* between looks: grows */
    uint32_t brief;  /* so many pauses are made also where cores are short: about what going to sleep costs */
};

struct muster__step {
    struct muster__object *object;
    uint32_t generation;
    uint32_t self; /* in whose name: what a holding records */
    int host;      /* that asks */
    struct muster__arg *arg;
    bool called;                 /* in: called since the last step */
    bool nowait;                 /* in: it has no time to wait */
    bool waited;                 /* in: it has said WAIT before */
    bool watches;                /* in: it only looks: op->watch is stepped, and a call goes on to the next */
    bool rests;                  /* in: it stands in line, and sleeps if this says WAIT */
    bool claims;                 /* in: it is to claim what it is for, which then waits for op->taken, or undo */
    muster_err granted;          /* in, of undo: what it had come to: OK or OWNER_DEAD */
    struct muster__event *event; /* out, with WAIT: what it waits for */
    uint32_t on;                 /* out, with WAIT: whose doing ends the wait; 0: nobody's in particular */
};

struct muster__op {
    const char *name;
    muster_err (*step)(struct muster__step *step);
    /** Whether a step could commit: as a step, taking nothing. NULL: nobody watches this operation. */
    muster_err (*watch)(struct muster__step *step);
    /** Whether a step might commit: a look without latch, for spinning and watching. NULL: unknown, step to see. */
    bool (*ready)(const struct muster__step *step);
    /** Spins once, as long as it makes sense; false: sleep now. NULL: the engine's own way. */
    bool (*spins)(struct muster__step *step, struct muster__spin *spin);
    /** It spins where it stands in line, until its bell rings: looking before it stands there, it would be before
     * others. */
    bool in_line;
    /** Leaves without having committed: whatever waiting itself has changed is undone. */
    void (*leave)(struct muster__step *step);
    /** It had committed, for somebody who is not there any more. arg is what it gave. died: it was a death. */
    void (*undo)(struct muster__step *step, bool died);
    /** What others may have seen cannot be undone. So an operation with this, asked for from another host by who may
     * give up, commits in two parts: its step claims, keeping what undo and this need in arg->in, own and the bytes;
     * and this is done once its caller has the answer, or else undo. OK, or MUSTER__AGAIN. NULL: it can be undone. */
    muster_err (*taken)(struct muster__step *step);
    bool claims;         /* so does who never gives up: he may die */
    bool takes_nothing;  /* it only waits, so that who is late to hear of its end keeps nothing from others */
    muster_err late;     /* when the deadline is over */
    muster_err late_now; /* with MUSTER_NOWAIT */
};

/* ---- spinning and sleeping ---- */

/** One pause; true while spinning on is worth it. Start from {0}. */
bool muster__spin(struct muster__spin *spin);
/** The same, with pauses between looks that grow up to so many: whoever works on the line undisturbed gets on. */
bool muster__spin_longer(struct muster__spin *spin, uint32_t most);

/**
 * Sleeps while *word == expected, at most until the deadline or half a second, whichever is first; may return early.
 * The caller re-checks its condition. Returns OK, TIMEOUT (deadline over), INTERRUPTED (a stop signal came and this
 * caller heeds it), DEADLOCK (this wait was found to be in vain: see src/watch).
 */
muster_err muster__sleep(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns);
/** What a sleeper looks at twice a second; set by the runtime, NULL elsewhere. */
extern void (*muster__sleep_look)(void);
/** Rings a caller's bell: it leaves, or does not enter, its sleep on the bell. */
void muster__ring(uint32_t caller);
/** While `late`, who is asleep and rung by the calling thread is woken only by muster__wake_rung, or when another one
 * is rung or the thread blocks: one that needs a lock which the thread holds would wake to find that, and sleep again.
 */
static inline void muster__ring_late(bool late)
{
    muster__self_state.rings_late = late;
}
void muster__wake_rung_slow(void);
static inline void muster__wake_rung(void)
{
    if (MUSTER__UNLIKELY(muster__self_state.rung))
        muster__wake_rung_slow();
}

/* What else a thread may do while it waits, without a deadline, for what takes nothing. */
struct muster__meanwhile {
    /** Whether the calling thread may, from here to over(). */
    bool (*begin)(void);
    /** Works for others for a while: *worked; or sleeps on its bell, if that is as it was seen. As muster__sleep. */
    muster_err (*work_or_sleep)(uint32_t seen, bool *worked);
    void (*over)(void);
};
/** Set by the runtime where there is something to do, NULL elsewhere. */
extern const struct muster__meanwhile *muster__meanwhile;
static inline bool muster__meanwhile_begin(const struct muster__op *op, int64_t timeout_ms)
{
    return MUSTER__UNLIKELY(muster__meanwhile != NULL) && op->takes_nothing && timeout_ms == MUSTER_FOREVER &&
           muster__meanwhile->begin();
}

/* ---- the engine ---- */

/** Does an operation on an object of this host that the calling thread has pinned. Sets no detail but INTERRUPTED's. */
muster_err muster__do_here(const struct muster__op *op, struct muster__step *step, int64_t timeout_ms);
/** Goes on with one whose first step said WAIT. */
muster_err muster__do_waiting(const struct muster__op *op, struct muster__step *step, int64_t timeout_ms);
/** One step; STALE if the object has ended. */
muster_err muster__step(const struct muster__op *op, struct muster__step *step);
/** What an operation's error means for who waited: STALE is CLOSED then. */
static inline muster_err muster__ended(const struct muster__step *step, muster_err err)
{
    return err == MUSTER_ERR_STALE && step->waited ? MUSTER_ERR_CLOSED : err;
}
/** MUSTER__AGAIN if err came of a busy latch. */
muster_err muster__again(muster_err err);
/** Why a latch could not be had: STALE, or MUSTER__AGAIN. */
muster_err muster__latch_lost(const struct muster__latch *latch, uint32_t generation);
static inline bool muster__would_wait(muster_err err)
{
    return err == (muster_err)MUSTER__WAIT || err == (muster_err)MUSTER__ASKING;
}
/** Whether an operation that ended so has taken what it was for. */
static inline bool muster__commits(muster_err err)
{
    return err == MUSTER_OK || err == MUSTER_ERR_OWNER_DEAD;
}
/** Sets the lazily written detail line of an operation's error on this host: object, operation, facts, remedy. */
muster_err muster__failed(muster_handle handle, const char *operation, muster_err err);
/** The same text, now. */
void muster__failed_text(muster_handle handle, const char *operation, muster_err err, char *text, size_t size);

/** The calling thread begins to wait by that waiter, its own or one for who asks from another host, and has ended
 * waiting: what reports show. */
void muster__waits_for(uint32_t waiter, muster_handle object, uint32_t operation, uint32_t on, int host);
void muster__waits_no_more(uint32_t waiter);
/** The same by its own waiter for what is no operation, MUSTER__FOR_...; begun again, or never begun, is fine: who
 * sleeps again and again for one thing waits since the first time. */
void muster__stands_by(muster_handle object, uint32_t what);
static inline void muster__stands_by_no_more(void)
{
    if (MUSTER__UNLIKELY(muster__self_state.waits))
        muster__waits_no_more(muster__self_state.number);
}

#endif
