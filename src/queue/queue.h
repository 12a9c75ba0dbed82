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

    /* get side: under get_latch */
    _Alignas(MUSTER__LINE) struct muster__latch get_latch;
    _Atomic uint64_t got_at;
    _Atomic muster__ref head;
    _Atomic uint64_t head_base;
    _Atomic muster__ref retired; /* chunk that is being left */
    _Atomic int64_t done;
    _Atomic uint32_t crossing; /* where the first item is in the chunk after it */
    _Atomic uint32_t lent;     /* host + 1 that has the first items; see lease.c */

    /* both */
    _Alignas(MUSTER__LINE) int64_t maxsize;
    _Atomic uint32_t closed; /* set under put_latch */
    _Atomic uint32_t ending; /* caller that destroys the queue; set under both latches */
    struct muster__event items, space, idle;

    /* between hosts; see lease.c */
    _Atomic uint32_t barred;  /* calls that want no new leases now */
    _Atomic uint64_t lessees; /* hosts that may have items for it: bit host % 64 */
    _Atomic uint64_t users;   /* hosts that have proxies of it, or had */
    _Atomic uint32_t ships;   /* puts are told to the agent, who sends the items on */
    _Atomic uint32_t told;    /* the agent knows that there are some */
    _Atomic uint32_t starved; /* there is no room where items are to go */
};
_Static_assert(sizeof(struct muster__queue) <= MUSTER__OBJECT_BODY, "three cache lines");

/* in a queue's lent: the items are being called back */
#define MUSTER__QUEUE_RECALLED UINT32_C(0x80000000)

static inline struct muster__queue *muster__queue_of(struct muster__object *object)
{
    return (struct muster__queue *)(void *)object->body;
}

/* ---- ends.c: single steps under a latch, and their repair ---- */

enum { MUSTER__QUEUE_INLINE_MAX = 2048 }; /* bytes of an item that travels inside of the chunk */

struct muster__queue_item {
    const void *bytes; /* inline items */
    size_t size;
    muster__ref block; /* larger items: owned by the caller until appended */
};

/** Makes the first chunk. False: no memory. */
bool muster__queue_prepare(struct muster__queue *queue, uint32_t self);
/** Under put_latch: appends. False: no memory, nothing changed. */
bool muster__queue_append(struct muster__queue *queue, const struct muster__queue_item *item, uint32_t self);
/** Under get_latch: takes the first item; an inline one is copied to bytes, of another *block is now the caller's.
 * OK, EMPTY, CLOSED (and empty), TOOBIG. *size is set by OK and TOOBIG. */
muster_err muster__queue_take(struct muster__queue *queue, void *bytes, size_t capacity, size_t *size,
                              muster__ref *block, uint32_t self);
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

static inline int64_t muster__queue_puts(const struct muster__queue *queue)
{
    return (int64_t)(atomic_load(&queue->put_at) >> MUSTER__QUEUE_AT_BITS);
}
static inline int64_t muster__queue_gets(const struct muster__queue *queue)
{
    return (int64_t)(atomic_load(&queue->got_at) >> MUSTER__QUEUE_AT_BITS);
}

/* ---- queue.c: latches and waiting. Errors as in muster/queue.h; only INTERRUPTED sets a detail. A get gives err BUSY
 * while the items are lent ---- */

/** Errors: NOMEM, with detail. */
muster_err muster__queue_create(const char *name, int64_t maxsize, uint32_t self, muster_handle *handle);
/** Ends the queue and retires the object. False: it had ended. */
bool muster__queue_destroy(struct muster__object *object, uint32_t generation, uint32_t self);
muster_err muster__queue_put(struct muster__queue *queue, uint32_t generation, uint32_t self, const void *item,
                             size_t size, int64_t timeout_ms);
/** An item that is in a block of the caller's already, which is the queue's with OK. */
muster_err muster__queue_put_block(struct muster__queue *queue, uint32_t generation, uint32_t self, muster__ref block,
                                   size_t size, int64_t timeout_ms);
muster_err muster__queue_get(struct muster__queue *queue, uint32_t generation, uint32_t self, void *item,
                             size_t capacity, size_t *size, int64_t timeout_ms);
/** Items up to INLINE_MAX are copied; *block is 0 with them. Larger ones come in *block, which is the caller's then. */
muster_err muster__queue_get_block(struct muster__queue *queue, uint32_t generation, uint32_t self, void *item,
                                   size_t capacity, size_t *size, muster__ref *block, int64_t timeout_ms);
muster_err muster__queue_size(struct muster__queue *queue, uint32_t generation, int64_t *items);
muster_err muster__queue_close(struct muster__queue *queue, uint32_t generation, uint32_t self);
muster_err muster__queue_task_done(struct muster__queue *queue, uint32_t generation, uint32_t self);
muster_err muster__queue_join(struct muster__queue *queue, uint32_t generation, int64_t timeout_ms);

/* many at once: each is a word that says its size, and its bytes, rounded up to 8 */

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
/** Takes what there is, lent or not, as far as it fits into capacity bytes; an item above INLINE_MAX alone; of
 * large_only, nothing else. OK also when there is nothing; STALE. */
muster_err muster__queue_take_many(struct muster__queue *queue, uint32_t generation, uint32_t self, size_t capacity,
                                   bool large_only, struct muster__queue_batch *batch);
/** Appends items up to *used bytes of size; the rest did not fit: err NOMEM. CLOSED, STALE. */
muster_err muster__queue_put_many(struct muster__queue *queue, uint32_t generation, uint32_t self, const char *bytes,
                                  size_t size, size_t *used);
/** As muster__queue_prepend. NOMEM, STALE. */
muster_err muster__queue_put_back(struct muster__queue *queue, uint32_t generation, uint32_t self, const char *bytes,
                                  size_t size);
/** Changes to whom the items are lent, and returns it: a host + 1 only gets them while nobody has them and leases are
 * not barred; 0 ends that; RECALLED marks it. 0 if the queue has ended. */
uint32_t muster__queue_lend(struct muster__queue *queue, uint32_t generation, uint32_t self, uint32_t to);
/** Undoes close, of an empty queue. */
void muster__queue_reopen(struct muster__queue *queue, uint32_t generation, uint32_t self);
/** Waits until it is empty, or closed. OK, TIMEOUT, STALE, INTERRUPTED. */
muster_err muster__queue_await_empty(struct muster__queue *queue, uint32_t generation, int64_t timeout_ms);
#endif
