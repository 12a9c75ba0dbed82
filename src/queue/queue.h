/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside door of the queue: works on a body in the segment alone, so it is tested without MPI.
 */
#ifndef MUSTER_QUEUE_QUEUE_H
#define MUSTER_QUEUE_QUEUE_H

#include <muster/queue.h>

#include "segment/segment.h"

/*
 * Positions are one word, so that one store moves them: how many items went by here, and where the next one's header is
 * in the present chunk (in units of 8 bytes, low bits).
 */
enum { MUSTER__QUEUE_AT_BITS = 14 };

struct muster__queue {
    /* put side: under put_latch; see ends.c for the fields that repairs go by */
    struct muster__latch put_latch;
    _Atomic uint64_t put_at;
    _Atomic muster__ref tail;      /* chunk */
    _Atomic uint64_t tail_base;    /* offset of the chunk's memory in the segment */
    _Atomic uint64_t tail_bytes;   /* size of the chunk */
    _Atomic muster__ref tail_next; /* chunk that is being linked */
    _Atomic muster__ref pending;   /* block that is being put */
    int64_t gets_seen;             /* what the get side's count was, when it last mattered */
    _Atomic int64_t claimed;       /* places, by puts of other hosts that are not sure yet; home's agent changes it */

    /* get side: under get_latch */
    _Alignas(MUSTER__LINE) struct muster__latch get_latch;
    _Atomic uint64_t got_at;
    _Atomic muster__ref head;
    _Atomic uint64_t head_base;
    _Atomic muster__ref retired; /* chunk that is being left */
    _Atomic int64_t done;
    _Atomic uint32_t crossing; /* where the first item is in the chunk after it */
    _Atomic uint32_t lent;     /* host + 1 that has the first items, or SHUT, or OUT; see lease.c */

    /* both */
    _Alignas(MUSTER__LINE) int64_t maxsize;
    _Atomic uint32_t closed; /* set under put_latch */

    /* between hosts; see internal.h */
    _Atomic uint32_t closing;     /* no lease begins any more */
    _Atomic uint32_t settling;    /* the agent was asked to end all leases, and has not yet */
    _Atomic uint32_t settlements; /* so far */
    _Atomic uint64_t lessees;     /* hosts that may have items for it: bit host % 64 */
    _Atomic uint64_t claimants;   /* hosts that may be about to say that they take a place they have claimed */
    _Atomic uint64_t users;       /* hosts that have proxies of it, or had */
    _Atomic uint32_t ships;       /* puts are told to the agent, who sends the items on */
    _Atomic uint32_t told;        /* the agent knows that there are some */
    _Atomic uint32_t starved;     /* there is no room where items are to go */
};
_Static_assert(sizeof(struct muster__queue) <= MUSTER__OBJECT_BODY, "four cache lines");

/* what is waited for */
enum { MUSTER__QUEUE_ITEMS, MUSTER__QUEUE_SPACE, MUSTER__QUEUE_IDLE, MUSTER__QUEUE_SETTLED };

static inline struct muster__queue *muster__queue_of(struct muster__object *object)
{
    return (struct muster__queue *)(void *)object->body;
}

static inline struct muster__event *muster__queue_event(struct muster__object *object, int event)
{
    return &object->event[event];
}
/** So many items have gone: as many putters may go on. */
static inline void muster__queue_give_place(struct muster__object *object, int n)
{
    if (muster__queue_of(object)->maxsize)
        muster__event_signal(muster__queue_event(object, MUSTER__QUEUE_SPACE), n);
}

/* ---- ends.c: single steps under a latch, and their repair ---- */

enum { MUSTER__QUEUE_INLINE_MAX = 2048 }; /* bytes of an item that travels inside of the chunk */

struct muster__queue_item {
    const void *bytes; /* inline items */
    size_t size;
    muster__ref block; /* larger items */
    uint32_t owner;    /* of the block, until it was appended */
};

/** Makes the first chunk. False: no memory. */
bool muster__queue_prepare(struct muster__queue *queue, uint32_t self);
/** Under put_latch: appends. False: no memory, nothing changed. */
bool muster__queue_append(struct muster__queue *queue, const struct muster__queue_item *item, uint32_t self);
/** The same of n items of one size, inline ones, that lie one after the other. Returns how many there was memory for.
 */
int64_t muster__queue_append_many(struct muster__queue *queue, const char *bytes, size_t size, int64_t n,
                                  uint32_t self);
/** Under get_latch: takes the first item; an inline one is copied to bytes, of another *block is now the caller's.
 * OK, EMPTY, CLOSED (and empty), TOOBIG. *size is set by OK and TOOBIG. */
muster_err muster__queue_take(struct muster__queue *queue, void *bytes, size_t capacity, size_t *size,
                              muster__ref *block, uint32_t self);

/* where many go: one behind the other */
struct muster__queue_many {
    char *at;
    size_t left;
    size_t *sizes; /* NULL: nobody asks */
    int64_t most, count;
    muster__ref block; /* a large one, taken but not copied yet; the caller's */
    size_t size;       /* its; with err TOOBIG: the first one's */
    bool claims;       /* who may give them back takes them: see OUT */
};
/** One more has come to where the next one is to go. */
static inline void muster__queue_took(struct muster__queue_many *many, size_t size)
{
    if (many->sizes)
        many->sizes[many->count] = size;
    many->at += size;
    many->left -= size;
    many->count++;
}
/** Under get_latch: takes the first items as far as they fit, or the first one if that is large. OK, EMPTY, CLOSED (and
 * empty), TOOBIG (the first one). */
muster_err muster__queue_take_some(struct muster__queue *queue, struct muster__queue_many *many, uint32_t self);

/** Under get_latch: the size of the first item. False: there is none. */
bool muster__queue_peek(struct muster__queue *queue, size_t *size, uint32_t self);
/** Under get_latch, by who will not die here: puts items, packed as by muster__queue_take_many, before the first one.
 * False: no memory, nothing changed. */
bool muster__queue_prepend(struct muster__queue *queue, const char *bytes, size_t size, uint32_t self);
/** Under both latches: frees everything that the queue holds. Harmless when done before, or half-done. */
void muster__queue_drop(struct muster__queue *queue, uint32_t self);
/** The side's latch was seized from the dead: finishes or undoes what it was about. */
void muster__queue_repair_put(struct muster__queue *queue, uint32_t self);
void muster__queue_repair_get(struct muster__queue *queue, uint32_t dead, uint32_t self);
/** Whether a take might find something. A hint, without latch. */
bool muster__queue_glance(const struct muster__queue *queue);

/** How many were put, to their commit. muster__queue_puts, a hint but under put_latch, lags behind by one while a
 * putter is between its commit and its count, and if it died there until it is swept. Without latch. */
int64_t muster__queue_commits(const struct muster__queue *queue);

static inline int64_t muster__queue_puts(const struct muster__queue *queue)
{
    return (int64_t)(atomic_load(&queue->put_at) >> MUSTER__QUEUE_AT_BITS);
}
static inline int64_t muster__queue_gets(const struct muster__queue *queue)
{
    return (int64_t)(atomic_load(&queue->got_at) >> MUSTER__QUEUE_AT_BITS);
}
/** For how many of n more items there is room, as far as can be said without latches: claimed places are taken. */
static inline int64_t muster__queue_room(const struct muster__queue *queue, int64_t n)
{
    if (MUSTER__LIKELY(!queue->maxsize))
        return n;
    int64_t room =
        queue->maxsize - (muster__queue_puts(queue) + atomic_load(&queue->claimed) - muster__queue_gets(queue));
    return room < n ? room < 0 ? 0 : room : n;
}
/** As far as can be said without latches. */
static inline int64_t muster__queue_about(const struct muster__queue *queue)
{
    int64_t items = muster__queue_puts(queue) - muster__queue_gets(queue);
    return items > 0 ? items : 0;
}

/* ---- queue.c: operations. Of an arg: bytes and size, or bytes_block, what is put; room and capacity, or room_block
 * where takes_block, what is got ---- */

enum muster__queue_op {
    MUSTER__QUEUE_PUT,
    MUSTER__QUEUE_GET,
    MUSTER__QUEUE_TRY_GET,  /* a get that does not wait, but for what was put on other hosts */
    MUSTER__QUEUE_PUT_MANY, /* in[0]: small items of in[1] bytes each at bytes; out[0]: so many are in, also with errors
                             */
    MUSTER__QUEUE_GET_MANY, /* in[0]: up to so many, at least one; in[1]: as TRY_GET. Here room is where they go, a
                             * struct muster__queue_many; else out[0]: so many come, and how: out[1] */
    MUSTER__QUEUE_SIZE,     /* out[0]: items */
    MUSTER__QUEUE_FULL,     /* out[0]: whether */
    MUSTER__QUEUE_CLOSE,
    MUSTER__QUEUE_TASK_DONE,
    MUSTER__QUEUE_JOIN,
    MUSTER__QUEUE_EMPTIED, /* waits until it is empty, or closed */
    MUSTER__QUEUE_DESTROY, /* out[0]: hosts that have something of it */
    MUSTER__QUEUE_OPS
};
/* out[1] of a get: what came; of many, one behind the other, and behind these, from a multiple of 8 on, their sizes as
 * uint64_t; nothing, since the host that asks has the first items itself, in its stock; a large one alone, as it is */
enum { MUSTER__QUEUE_IN_STOCK = 1, MUSTER__QUEUE_LARGE };
/* as what lent says: gets are CLOSED, whatever is there; the first items were taken, and may come back yet */
#define MUSTER__QUEUE_SHUT UINT32_MAX
#define MUSTER__QUEUE_OUT  (UINT32_MAX - 1)

/** One put, or get, that does not wait: OK, FULL, EMPTY (also while the items are lent), CLOSED, TOOBIG, NOMEM, STALE,
 * MUSTER__AGAIN. Of a pinned queue. */
muster_err muster__queue_put_now(struct muster__object *object, uint32_t generation,
                                 const struct muster__queue_item *item);
muster_err muster__queue_get_now(struct muster__object *object, uint32_t generation, void *bytes, size_t capacity,
                                 size_t *size);
/** The same of many. Of puts *done, also with errors, is how many were put so far, of gets many->count how many were
 * got. */
muster_err muster__queue_put_many_now(struct muster__object *object, uint32_t generation, const void *bytes,
                                      size_t size, int64_t n, int64_t *done);
muster_err muster__queue_get_many_now(struct muster__object *object, uint32_t generation,
                                      struct muster__queue_many *many);

/* Set where there may be several hosts: lease.c. NULL: there is one. */
struct muster__queue_hosts {
    /** Has the agent end all leases; MUSTER__QUEUE_SETTLED is signalled then. */
    void (*settle)(struct muster__object *object, uint32_t generation);
    /** Something was put that is to go on. */
    void (*ship)(struct muster__object *object, uint32_t generation);
    /** By the agent: another host may not put by itself now, since what it has sent before has found no room. */
    bool (*is_full)(const struct muster__step *step);
    /** By the agent: another host has put, or got, small items by itself. */
    void (*put)(struct muster__step *step);
    void (*got)(struct muster__step *step, int64_t items);
    /** By the agent: what another host has put, all but the first done items of it, waits for room. */
    void (*hold)(const struct muster__step *step, int64_t done);
    /** It ends; hosts that used it have something that stands for it. */
    void (*ended)(struct muster__object *object, uint32_t generation);
};
extern const struct muster__queue_hosts *muster__queue_hosts;

static inline bool muster__queue_leased(const struct muster__queue *queue)
{
    return atomic_load(&queue->lessees) || atomic_load(&queue->claimants) || atomic_load(&queue->lent);
}
static inline void muster__queue_goes_on(struct muster__object *object, uint32_t generation)
{
    struct muster__queue *queue = muster__queue_of(object);
    if (MUSTER__UNLIKELY(atomic_load_explicit(&queue->ships, memory_order_relaxed)) && !atomic_load(&queue->told))
        muster__queue_hosts->ship(object, generation);
}

/* ---- claim.c: puts and gets of other hosts' callers who may give up; by home's agent ----
 *
 * A put with a deadline claims its place, and the item follows when its caller knows; a get with one takes its items,
 * and nobody else gets any until its caller has them: given back they come first, before all that others got later.
 * in[2] is the claim's: how many items. */

/** Claims up to n places: in[2] and out[0] of them. OK, FULL, CLOSED, STALE, MUSTER__AGAIN; MUSTER__ASKING: leases end,
 * again after that. */
muster_err muster__queue_claim(struct muster__step *step, int64_t n);
muster_err muster__queue_taken_put(struct muster__step *step);
muster_err muster__queue_taken_put_many(struct muster__step *step);
muster_err muster__queue_taken_get(struct muster__step *step);
void muster__queue_undo_put(struct muster__step *step, bool died);
void muster__queue_undo_get(struct muster__step *step, bool died);
void muster__queue_undo_get_many(struct muster__step *step, bool died);

/* ---- batch.c: many at once, by agents: each is a word that says its size, and its bytes, rounded up to 8
 * ---- */

static inline size_t muster__queue_packed(size_t size)
{
    return sizeof(uint64_t) + ((size + 7) & ~(size_t)7);
}
struct muster__queue_batch {
    char *bytes;
    size_t used;
    muster__ref block; /* instead: an item of size bytes that has no room there; the caller's */
    size_t size;
};
/** Takes what there is, lent or not, as far as it fits into capacity bytes; an item above INLINE_MAX alone. OK also
 * when there is nothing; STALE, MUSTER__AGAIN. */
muster_err muster__queue_take_many(struct muster__object *object, uint32_t generation, size_t capacity,
                                   struct muster__queue_batch *batch);
/** Appends items up to *used bytes of size; the rest did not fit: err NOMEM. CLOSED, STALE, MUSTER__AGAIN. */
muster_err muster__queue_put_packed(struct muster__object *object, uint32_t generation, const char *bytes, size_t size,
                                    size_t *used);
/** Puts items that were lent, or out, before the first one; that is over in the same moment. NOMEM, STALE,
 * MUSTER__AGAIN. */
muster_err muster__queue_returned(struct muster__object *object, uint32_t generation, const char *bytes, size_t size);
/** Changes to whom the items are lent: a host + 1; 0: nobody; MUSTER__QUEUE_SHUT. STALE, MUSTER__AGAIN. */
muster_err muster__queue_lend(struct muster__object *object, uint32_t generation, uint32_t to);
/** Of a proxy: closed, it sends who comes to home. STALE, MUSTER__AGAIN. */
muster_err muster__queue_set_closed(struct muster__object *object, uint32_t generation, bool closed);
#endif
