/*
 * The host segment: memory that all ranks and children of a host share, and what every object in it is built from.
 *
 *   caller    a thread that uses muster; its number is what latches, locks, blocks and claims record as owner
 *   latch     a short critical section; its word names generation and owner, so that a stale user never gets in and a
 *             dead owner is found
 *   event     a place to sleep until a condition may have changed
 *   heap      blocks named by ref (unit, epoch), so that freeing twice is harmless and late use is noticed
 *   object    a slot of the object table: what a public handle names
 *
 * Anyone may die between any two instructions. The rules that make this harmless:
 *   1. one store commits each step; whatever else describes the step can be rebuilt from what was committed;
 *   2. who is about to commit is recorded before (latch word, block owner, claim);
 *   3. after a death one sweeper (muster__sweep_*, called by the runtime) seizes what the dead held, repairs it with
 * the repair function of its kind, and wakes everybody who may have waited for the dead. A sweeper's own death ends the
 * job: sweepers are ranks or their nurseries.
 *
 * Lock order: object latches before heap latches; never two latches of different objects.
 *
 * All of it works on memory it is handed, so it is tested without MPI.
 */
#ifndef MUSTER_SEGMENT_H
#define MUSTER_SEGMENT_H

#include "base/base.h"

#include <muster/runtime.h>

/* ---- the segment ---- */

enum {
    MUSTER__CALLERS_MAX = 1 << 14,
    MUSTER__OBJECTS_MAX = 1 << 16,
    MUSTER__ARENAS_MAX = 16,
    MUSTER__ROOTS = 8,
    MUSTER__CALLER_BITS = 20, /* of an owner field; caller 0 is nobody */
};

/* who keeps a table in the segment: its root */
enum muster__root {
    MUSTER__ROOT_RUNTIME,
    MUSTER__ROOT_MODULES,
    MUSTER__ROOT_SEATS,
    MUSTER__ROOT_REMOTE,
    MUSTER__ROOT_PROXIES,
    MUSTER__ROOT_COUNTERS
};

struct muster__segment {
    uint64_t magic; /* written last by format, so that a half-made segment is never attached */
    uint64_t size_bytes;
    uint32_t job;            /* nonce of this job, in every handle */
    uint32_t host;           /* index of this host in the job */
    _Atomic uint32_t cores;  /* cores this job may use on this host */
    _Atomic uint32_t signal; /* the signal that asked the job to stop, 0: none */
    uint32_t arenas;
    uint64_t roots[MUSTER__ROOTS]; /* offsets of tables, set once at start */
    uint64_t callers_offset, objects_offset, arenas_offset;
    _Alignas(MUSTER__LINE) _Atomic int32_t awake; /* callers not asleep in muster__sleep: decides about spinning */
    _Alignas(MUSTER__LINE) _Atomic uint32_t caller_hint;
    _Atomic uint32_t object_hint;
    _Atomic uint32_t kind_epoch[8]; /* raised whenever an object of the kind is published or about to go */
    _Atomic uint32_t callers_high;  /* no caller at or above this was ever used */
    _Atomic uint32_t objects_high;
};

/** Least size of a segment in bytes. */
#define MUSTER__SEGMENT_MIN ((size_t)64 << 20)

/**
 * Lays a segment out in size_bytes of zeroed memory (page aligned). Untouched pages stay untouched: a large segment
 * costs only what is used. arenas: number of heaps, one per NUMA node. Errors: INVAL (too small).
 */
muster_err muster__segment_format(void *memory, size_t size_bytes, uint32_t job, uint32_t host, int arenas);

/** The segment this process is attached to; NULL before. Set by muster__segment_attach, and inherited over fork. */
extern struct muster__segment *muster__segment;
void muster__segment_attach(void *memory);
void muster__segment_detach(void);

static inline void *muster__at(uint64_t offset)
{
    return (char *)muster__segment + offset;
}
static inline uint64_t muster__offset(const void *pointer)
{
    return (uint64_t)((const char *)pointer - (const char *)muster__segment);
}

/* ---- callers ---- */

struct muster__caller {
    _Alignas(MUSTER__LINE) _Atomic uint32_t live; /* 0 free, else the owner's member number + 1 */
    _Atomic uint32_t asleep;
    _Atomic uint32_t bell;      /* rung for this thread; see muster__ring */
    _Atomic uint32_t using;     /* slot + 1 of the object this thread is inside of; see muster__object_pin */
    _Atomic uint32_t canceled;  /* its waits end with err INTERRUPTED; see muster__caller_cancel */
    _Atomic uint64_t sleeps_on; /* offset of the word it sleeps on; 0: none */
    uint32_t incarnation;       /* how often this number was given out */
    uint32_t arena;
    _Atomic uint32_t relay;   /* who is rung with it; 0: nobody. See muster__caller_relay */
    _Atomic uint32_t relayed; /* how often this one was rung for others */
    bool heeds_signal;        /* its waits end with err INTERRUPTED when a signal asks the job to stop */
    bool asks;                /* it has asked other hosts for something; see muster__caller_gone */
};

struct muster__self {
    struct muster__caller *caller;
    uint32_t number; /* 0: this thread is no caller yet */
};
extern MUSTER__THREAD_LOCAL struct muster__self muster__self_state;

/** Enters the calling thread under a member (process) number. Errors: NOMEM (too many threads). */
muster_err muster__caller_enter(uint32_t member, bool heeds_signal);
/** Makes a caller that no thread is, yet. It counts as asleep. Errors: NOMEM. */
muster_err muster__caller_make(uint32_t member, uint32_t *number);
/** The calling thread acts as that caller until muster__caller_rest is given the result. */
struct muster__self muster__caller_act(uint32_t number);
void muster__caller_rest(struct muster__self before);
/** The calling thread, a caller, is about to block elsewhere than in muster__sleep (true), or goes on: meanwhile it
 * does not count as awake. */
void muster__caller_blocks(bool blocks);
/** Ends the wait of a caller of this process, and its later ones, with err INTERRUPTED. To be repeated until it has
 * come back: it may have been about to fall asleep. */
void muster__caller_cancel(uint32_t number);
/** Who rings that caller rings another one, too: who looks after it while no thread acts as it. 0: nobody any more. */
void muster__caller_relay(uint32_t number, uint32_t to);
/** Told when a caller that asks other hosts leaves or has died; set by the remote layer. */
extern void (*muster__caller_gone)(uint32_t number, uint32_t incarnation, bool died);
/** The calling thread now belongs to another member. */
void muster__caller_moves(uint32_t member);
/** The calling thread runs near this NUMA node: its blocks come from the node's arena first, whose pages those who run
 * there have touched first. */
void muster__caller_near(uint32_t node);
/** Leaves; frees the number. Also done when the thread ends. */
void muster__caller_leave(void);
/** After fork, in the child: forgets the parent's identity without freeing it. */
void muster__caller_forget(void);
/** Called for threads that are no caller yet, when they use muster for the first time; the runtime sets it. */
extern muster_err (*muster__caller_adopt)(void);

static inline struct muster__caller *muster__caller(uint32_t number)
{
    return (struct muster__caller *)muster__at(muster__segment->callers_offset) + number;
}

/** The calling thread's number, entering it if needed; 0 when muster is not running. */
static inline uint32_t muster__self_number(void)
{
    if (MUSTER__LIKELY(muster__self_state.number))
        return muster__self_state.number;
    if (!muster__segment || !muster__caller_adopt || muster__caller_adopt() != MUSTER_OK)
        return 0;
    return muster__self_state.number;
}

/* ---- waiting: spin briefly while cores are free, else sleep at once ---- */

struct muster__spin {
    int64_t until_ns;
    uint32_t round;
};
/** One pause; true while spinning on is worth it. Start from {0}. */
bool muster__spin(struct muster__spin *spin);

/**
 * Sleeps while *word == expected, at most until the deadline or half a second, whichever is first; may return early.
 * The caller re-checks its condition. Returns OK, TIMEOUT (deadline over), INTERRUPTED (a stop signal came and this
 * caller heeds it). *woken (may be NULL): whether a wake was spent on this sleeper.
 */
muster_err muster__sleep(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns, bool *woken);
/** What a sleeper looks at twice a second; set by the runtime in ranks, NULL elsewhere. */
extern void (*muster__sleep_look)(void);

/* bit 0: somebody may sleep here; bit 1: since the last signal; the rest counts signals */
struct muster__event {
    _Atomic uint32_t word;
};
/** Announces a sleeper; re-check the condition after it, then sleep on the value it returns. */
uint32_t muster__event_prepare(struct muster__event *event);
void muster__event_wake(struct muster__event *event, int n);
/** After the condition changed and a full barrier (any atomic read-modify-write): wakes up to n sleepers (n < 0: all).
 */
static inline void muster__event_signal(struct muster__event *event, int n)
{
    if (MUSTER__UNLIKELY(atomic_load(&event->word) & 1))
        muster__event_wake(event, n);
}

/** Rings a caller's bell: it leaves, or does not enter, its sleep on the bell. */
void muster__ring(uint32_t caller);

/* ---- latch ---- */

/* generation in the high half; in the low half the owner's number and, in the top bit, whether somebody sleeps */
struct muster__latch {
    _Atomic uint64_t word;
};
void muster__latch_init(struct muster__latch *latch, uint32_t generation);
/** Blocks; false: the generation has passed (the object is gone). */
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
/** Takes the latch over from a dead owner; false: the dead one did not hold it. */
bool muster__latch_seize(struct muster__latch *latch, uint32_t dead, uint32_t self, uint32_t *generation);
/** Whether a member's process is dead though not swept yet. Set by the runtime in processes that sweep: a sweeper that
 * waits for a heap latch may be the one who has to sweep its holder, too. NULL elsewhere. */
extern bool (*muster__member_dead)(uint32_t member);

/* ---- heap ---- */

/* names a block: unit number in the low half, epoch in the high half; 0 names none */
typedef uint64_t muster__ref;

/**
 * Allocates size_bytes (at least 256 byte aligned; contents undefined), owned by the caller: if it dies before handing
 * the block over, the block is freed. Returns 0 when the segment is full.
 */
muster__ref muster__heap_alloc(size_t size_bytes, uint32_t self);
/** Frees; false (and nothing happens) when the block was freed before. 0 is fine. */
bool muster__heap_free(muster__ref ref, uint32_t self);
/** Changes the owner: a caller's number, or 0 for an object that now holds the ref. False: the owner was another. */
bool muster__heap_hand_over(muster__ref ref, uint32_t from, uint32_t to);
/** Address of a block; NULL when it was freed. */
void *muster__heap_at(muster__ref ref);
/** Bytes the block has room for (at least what was asked). */
size_t muster__heap_size(muster__ref ref);
/** Frees all blocks of an owner. Owners need not be callers: numbers from 2^19 to 2^20 - 1 are free for the layers
 * above. */
void muster__heap_sweep(uint32_t owner, uint32_t self);
/** Bytes in blocks now; for tests and reports. */
uint64_t muster__heap_used(void);

/* ---- objects ---- */

enum muster__kind { MUSTER__LOCK = 1, MUSTER__QUEUE, MUSTER__PROCESS, MUSTER__POOL, MUSTER__TASK, MUSTER__KINDS };

enum { MUSTER__OBJECT_BODY = 3 * MUSTER__LINE };

struct muster__object {
    _Alignas(MUSTER__LINE) _Atomic uint64_t tag; /* generation, claimer, kind, state; its change commits */
    uint32_t creator_rank;
    char name[32];
    /* begins with a word whose high half is the generation, in all kinds: see muster__latch */
    _Alignas(MUSTER__LINE) unsigned char body[MUSTER__OBJECT_BODY];
};

/* what the sweeper needs to know of each kind */
struct muster__class {
    const char *name;
    /** The caller numbered dead is dead: take over and repair what it held of this live object, wake who may have
     * waited for it. */
    void (*sweep)(struct muster__object *object, uint32_t generation, uint32_t dead, uint32_t self);
    /** Ends a live object at finalize or after its creator's failure; like its public destroy. */
    void (*end)(struct muster__object *object, uint32_t generation);
};
void muster__class_register(enum muster__kind kind, const struct muster__class *class);

/** Claims a free slot; the body is zeroed. Publish or abandon it. Errors: NOMEM. */
muster_err muster__object_claim(enum muster__kind kind, const char *name, uint32_t self, struct muster__object **object,
                                uint32_t *generation);
void muster__object_publish(struct muster__object *object, uint32_t generation, muster_handle *handle);
/** Raised when objects of a kind come or go, so that who watches them looks again. */
static inline _Atomic uint32_t *muster__kind_epoch(enum muster__kind kind)
{
    return &muster__segment->kind_epoch[kind];
}
/** Frees the slot of a claimed or live object; from now on its handles are stale. False: it was not of this generation.
 */
bool muster__object_retire(struct muster__object *object, uint32_t generation);

/** The live object a handle names, else NULL. The object may go at any time: only latches and pins keep it. */
static inline struct muster__object *muster__object_slot(uint32_t slot)
{
    return (struct muster__object *)muster__at(muster__segment->objects_offset) + slot;
}
static inline muster_handle muster__handle_make(enum muster__kind kind, uint32_t slot, uint32_t generation)
{
    return (muster_handle){.kind_home = (uint32_t)kind << 24 | muster__segment->host,
                           .slot = slot,
                           .generation = generation,
                           .job = muster__segment->job};
}
static inline bool muster__handle_fits(muster_handle handle, enum muster__kind kind)
{
    return muster__segment && handle.kind_home == ((uint32_t)kind << 24 | muster__segment->host) &&
           handle.slot < MUSTER__OBJECTS_MAX && handle.job == muster__segment->job;
}
struct muster__object *muster__object_find(muster_handle handle, enum muster__kind kind);
/** Fails with STALE, naming kind and operation. */
muster_err muster__object_stale(enum muster__kind kind, const char *operation);

/** As find, and keeps the object from being retired until unpin. One at a time per thread; returns NULL when gone. */
struct muster__object *muster__object_pin(muster_handle handle, enum muster__kind kind);
void muster__object_unpin(void);
/** Waits until nobody but the calling thread has it pinned (the dead do not count). Call after refusing newcomers. */
void muster__object_drain(struct muster__object *object);

/** "queue 7 'jobs'": for messages. */
void muster__object_describe(const struct muster__object *object, char *text, size_t size);

/* ---- after a death ---- */

/** The first step of muster__sweep_member, for a sweeper that will use the heap before it: the heap's latches. */
void muster__sweep_heap(uint32_t member, uint32_t self);
/** Repairs everything that the callers of a dead member held, and frees their numbers and blocks. */
void muster__sweep_member(uint32_t member, uint32_t self);
/** Ends all live objects (finalize). */
void muster__end_all_objects(void);

/* ---- counters: what each rank did with each object ---- */

/*
 * Only a job that was asked for them (MUSTER_COUNTERS) has the table in its segments; without it counting is one load
 * and a branch.
 *
 * A thread is in one object's operation at a time, the one that it counted last: the time that it sleeps is that
 * object's. Where the table is full, further objects share one line a kind.
 */
struct muster__counter {
    _Atomic uint64_t object; /* kind and home, slot; 0: the line is free */
    _Atomic uint64_t whose;  /* generation, rank + 1 */
    _Atomic uint64_t operations;
    _Atomic uint64_t tasks;     /* that were run */
    _Atomic uint64_t steals;    /* tasks or pieces that another worker, or host, had queued */
    _Atomic uint64_t messages;  /* sent to other hosts */
    _Atomic uint64_t bytes;     /* of these, with their heads */
    _Atomic uint64_t waited_ns; /* asleep */
    char name[32];
};

/* kind of the line of a rank's mail: its messages are letters, which hold those of all objects */
enum { MUSTER__COUNT_MAIL = MUSTER__KINDS };

/** Makes the table. Errors: NOMEM. */
muster_err muster__count_start(uint32_t self);
/** The lines in use, one after the other: *at begins at 0. NULL: no more. */
const struct muster__counter *muster__count_next(uint32_t *at);
/** Whose counts this process's are. */
extern uint32_t muster__count_rank;

void muster__count_in(muster_handle object, uint64_t operations, uint64_t tasks, uint64_t steals);
void muster__count_sent(muster_handle object, uint64_t messages, uint64_t bytes);
void muster__count_slept(int64_t ns);

static inline bool muster__counts(void)
{
    return MUSTER__UNLIKELY(muster__segment->roots[MUSTER__ROOT_COUNTERS] != 0);
}
/** The calling thread begins an operation of the object. */
static inline void muster__count(muster_handle object)
{
    if (MUSTER__UNLIKELY(muster__segment && muster__counts()))
        muster__count_in(object, 1, 0, 0);
}
static inline void muster__count_tasks(muster_handle object, int64_t tasks)
{
    if (muster__counts())
        muster__count_in(object, 0, (uint64_t)tasks, 0);
}
static inline void muster__count_steal(muster_handle object)
{
    if (muster__counts())
        muster__count_in(object, 0, 0, 1);
}
static inline void muster__count_messages(muster_handle object, uint64_t messages, uint64_t bytes)
{
    if (muster__counts())
        muster__count_sent(object, messages, bytes);
}

#endif
