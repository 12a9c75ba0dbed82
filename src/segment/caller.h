/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Callers: threads that use muster. A caller's number is what latches, blocks, holdings and claims record as owner.
 *
 * Lives. A number is used again only after a sweep: whatever named it is repaired by then, whether its thread ended,
 * its process died or its host was lost (sweep.c). A caller may be inside of several objects at a time; each is named
 * by a pin, slot and generation, and no slot is used again while a pin names it. Pins cost a plain store: who wants to
 * use a slot again has the kernel make all cores see it (membarrier) before it reads them.
 */
#ifndef MUSTER_SEGMENT_CALLER_H
#define MUSTER_SEGMENT_CALLER_H

#include "segment/memory.h"

enum {
    MUSTER__CALLERS_MAX = 1 << 14,
    MUSTER__CALLER_BITS = 20, /* of an owner field; caller 0 is nobody */
    MUSTER__PINS = 16,
};

/*
 * Numbers that owner fields hold beside those of callers: who holds something from another host, whole hosts, and
 * owners of blocks alone. One table, so that no two layers choose the same.
 */
enum {
    MUSTER__OWNER_REMOTE = MUSTER__CALLERS_MAX, /* callers of other hosts that hold something of this one's */
    MUSTER__OWNER_HOST = 1 << 18,               /* + a host's index */
    MUSTER__OWNER_POOL = 1 << 19,               /* + a pool's slot; of blocks */
    MUSTER__OWNER_WIRE = 1 << 19 | 1 << 17,     /* of blocks that are under way */
    MUSTER__OWNER_CALLS = 1 << 19 | 1 << 18,    /* + a caller's number; of blocks of what it asks other hosts */
};

enum { MUSTER__HOLDERS_MAX = MUSTER__OWNER_HOST - MUSTER__OWNER_REMOTE };

/* a caller of another host that holds something here: named by OWNER_REMOTE + its place in a table */
struct muster__remote_holder {
    _Atomic int32_t host; /* + 1; 0: free; negative: what it held is not swept yet */
    uint32_t caller, incarnation;
};
static inline struct muster__remote_holder *muster__remote_holder(uint32_t owner)
{
    return (struct muster__remote_holder *)muster__at(muster__segment->holders_offset) + (owner - MUSTER__OWNER_REMOTE);
}
static inline bool muster__owner_is_remote(uint32_t owner)
{
    return owner >= MUSTER__OWNER_REMOTE && owner < MUSTER__OWNER_HOST;
}

/** Whether what an owner field names is another host as a whole. */
static inline bool muster__owner_is_host(uint32_t owner)
{
    return owner >= MUSTER__OWNER_HOST && owner < MUSTER__OWNER_POOL;
}

enum { MUSTER__CALLER_CHANGES = 2 };
struct muster__caller {
    /* 0 free, else the owner's member number + 1, or one of enum muster__caller_end */
    _Alignas(MUSTER__LINE) _Atomic uint32_t live;
    _Atomic uint32_t asleep; /* 0: it is counted as awake; or MUSTER__CALLER_CHANGES: between flag and count */
    _Atomic uint32_t bell;   /* rung for this thread; see muster__ring */
    uint32_t incarnation;    /* how often this number was given out */
    _Atomic uint64_t line;   /* offset of the event whose latch it takes or has; see line.c */
    uint32_t arena;
    _Atomic uint32_t relay;  /* who is rung with it; 0: nobody. See muster__caller_relay */
    bool heeds_signal;       /* its waits end with err INTERRUPTED when a signal asks the job to stop */
    bool asks;               /* it has asked other hosts for something; see muster__callers_gone */
    bool serves;             /* it only does what others ask for; see muster__caller_serves */
    _Atomic bool forever;    /* its last sleep had no deadline */
    _Atomic uint32_t calls;  /* so many blocks, perhaps, are of MUSTER__OWNER_CALLS and it */
    _Atomic uint32_t looks;  /* how often it went to sleep, each time having seen that there is nothing for it to do */
    int32_t thread;          /* the kernel's number of it */
    _Atomic int64_t told_ns; /* since_ns of that wait of its which was reported last to be in vain */
    _Atomic int64_t doomed;  /* since_ns of that wait of its which is to end with err DEADLOCK; 0: none */
    _Alignas(MUSTER__LINE) _Atomic uint64_t pin[MUSTER__PINS]; /* generation, slot + 1; 0: none */
    _Alignas(MUSTER__LINE) char site[MUSTER__LINE]; /* the call in which it waits, or waited last, and where */
};

struct muster__self {
    struct muster__caller *caller;
    uint32_t number; /* 0: this thread is no caller yet */
    uint32_t pins;   /* so many are set */
    uint32_t rung;   /* caller that was rung and is to be woken; 0: none. See muster__ring */
    bool rings_late; /* whom it rings is woken later */
    bool hurries;    /* it must not wait for a latch: see muster__busy */
    bool busy;       /* since this was last cleared, something was not done for that */
    bool waits;      /* its own waiter says what for; see muster__waits_for */
    bool told;       /* the detail line says why a wait ended with err DEADLOCK */
};
extern MUSTER__THREAD_LOCAL struct muster__self muster__self_state;
/** The public call that the thread is in, and where: "muster_lock_acquire at file.c:12"; NULL: not told. Programs set
 * it: see MUSTER_SITED in muster/runtime.h. Who calls functions of the program's puts it back after. */
extern MUSTER_API MUSTER__THREAD_LOCAL const char *muster_site;

/** Told when a thread ends that is a caller: what it holds is treated as the holdings of one who died; set by sweep.c.
 */
extern void (*muster__caller_ended)(void);
/** Enters the calling thread under a member (process) number. Errors: NOMEM (too many threads). */
muster_err muster__caller_enter(uint32_t member, bool heeds_signal);
/** The calling thread, a caller, is about to block elsewhere than in muster__sleep (true), or goes on: meanwhile it
 * does not count as awake. */
void muster__caller_blocks(bool blocks);
/** The calling thread sleeps longer than it would if a core were free: it is rung when one comes free, once, before it
 * takes this back (false). One thread of a host may. True: one is free already. */
bool muster__spare_cores(bool spares);
/** The calling thread, a caller, does nothing of its own accord: that it lives is no reason to wait for it. */
void muster__caller_serves(void);
/** The calling thread acts as that caller, whose own thread rests and has so many pins, until muster__caller_rest is
 * given the result. */
struct muster__self muster__caller_act(uint32_t number, uint32_t pins);
void muster__caller_rest(struct muster__self before);
/** Who rings that caller rings another one, too: who looks after it while its thread rests. 0: nobody any more. */
void muster__caller_relay(uint32_t number, uint32_t to);
/*
 * A caller that has asked other hosts for something has left, or has died and is swept here: other hosts are to hear of
 * it before its number is used again. `live` says so until the agent frees it.
 */
enum muster__caller_end { MUSTER__CALLER_LEFT = -2, MUSTER__CALLER_DIED = -1 };
/** Told that there may be some; set by the remote layer. */
extern void (*muster__callers_gone)(void);
/** By the agent: the number may be used again. */
void muster__caller_release(uint32_t number);
/** The calling thread now belongs to another member. */
void muster__caller_moves(uint32_t member);
/** The calling thread runs near this NUMA node: its blocks come from the node's arena first, whose pages those who run
 * there have touched first. */
void muster__caller_near(uint32_t node);
/** Leaves, holding nothing: frees the number. Threads that end by themselves are swept instead, as the dead are. */
void muster__caller_leave(void);
/** After fork, in the child: forgets the parent's identity without freeing it. */
void muster__caller_forget(void);
/** Called for threads that are no caller yet, when they use muster for the first time; the runtime sets it. */
extern muster_err (*muster__caller_adopt)(void);

static inline struct muster__caller *muster__caller(uint32_t number)
{
    return (struct muster__caller *)muster__at(muster__segment->callers_offset) + number;
}
/** Numbers from 1 to below this one may be callers. */
static inline uint32_t muster__callers_end(void)
{
    return atomic_load(&muster__segment->callers_high);
}

/** The calling thread's number, entering it if needed; 0 when muster is not running. */
uint32_t muster__self_enter(void);
static inline uint32_t muster__self_number(void)
{
    return MUSTER__LIKELY(muster__self_state.number) ? muster__self_state.number : muster__self_enter();
}

/*
 * A full barrier of two halves. Who does something often (a pin is set, a task is queued) and then reads what others
 * seldom write passes the light half, which costs nothing; who writes that passes the heavy half, in which the kernel
 * has all cores that run a process of this host pass a barrier (membarrier), before it reads what the others do. Of
 * each two one then sees the other.
 */
/** Where membarrier is not to be had, the light half is a fence of this process's own. */
extern bool muster__barrier_fences;
static inline void muster__barrier_light(void)
{
    if (MUSTER__UNLIKELY(muster__barrier_fences))
        atomic_thread_fence(memory_order_seq_cst);
    else
        atomic_signal_fence(memory_order_seq_cst);
}
/** What stands before a light half that was passed before is seen by the calling thread's loads from here on, and what
 * it has stored is seen by loads behind one that is passed after. False: that cannot be had. */
bool muster__barrier_heavy(void);
/** Whether some caller has this pin. After the heavy half. */
bool muster__pinned(uint64_t pin);

#endif
