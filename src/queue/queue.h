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

    /* both */
    _Alignas(MUSTER__LINE) int64_t maxsize;
    _Atomic uint32_t closed; /* set under put_latch */
    _Atomic uint32_t ending; /* caller that destroys the queue; set under both latches */
    struct muster__event items, space, idle;
};
_Static_assert(sizeof(struct muster__queue) <= MUSTER__OBJECT_BODY, "three cache lines");

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

/* ---- queue.c: latches and waiting. Errors as in muster/queue.h; only INTERRUPTED sets a detail ---- */

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
#endif
