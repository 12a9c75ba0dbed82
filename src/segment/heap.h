/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside of the segment layer: the arenas, and what its files tell each other. Not for other folders.
 */
#ifndef MUSTER_SEGMENT_HEAP_H
#define MUSTER_SEGMENT_HEAP_H

#include "segment/segment.h"

enum {
    MUSTER__UNIT_BITS = 8, /* 256 bytes */
    MUSTER__ORDERS = 32,   /* blocks of 2^0 .. 2^31 units */
    MUSTER__CACHED = 32,   /* freed blocks kept whole per order, last in first out: they are still in a core's cache */
    MUSTER__CACHED_ORDER_MAX = 14, /* 4 MiB */
};

struct muster__link {
    uint32_t next, prev; /* unit + 1; 0 ends the list */
};

/*
 * A buddy allocator whose only truth is one word per block, at its first unit: USED blocks with order and owner.
 * Whatever no USED block covers is free; lists, caches and FREE marks merely find it fast and are rebuilt when a holder
 * of the latch died.
 */
struct muster__arena {
    _Alignas(MUSTER__LINE) struct muster__latch latch;
    uint32_t first, end; /* units of this arena */
    uint32_t high;       /* no unit at or above was ever part of a USED block */
    uint64_t nonempty;   /* bit o: free[o] is not empty */
    uint32_t free[MUSTER__ORDERS];
    uint32_t cached_count[MUSTER__CACHED_ORDER_MAX + 1];
    uint32_t cached[MUSTER__CACHED_ORDER_MAX + 1][MUSTER__CACHED];
    _Atomic uint64_t used_units;
};

void muster__heap_format(struct muster__segment *segment, uint64_t begin, uint64_t end);
void muster__heap_sweep_latches(uint32_t dead, uint32_t self);

/* ---- lines ---- */

enum {
    MUSTER__WAITERS_MAX = 1 << 16, /* beside the callers' own */
    MUSTER__CALLED_SUMS = MUSTER__WAITERS_MAX / 4096,
};

/** Takes the latch of a line over from the dead, if it had one. */
void muster__line_sweep_latch(uint32_t dead, uint32_t self);
/** Takes the dead one's waiters out of all lines, and passes on what they were called for. */
void muster__line_sweep(uint32_t dead);
/** Rings everybody who was called: who called him may have died before. */
void muster__line_ring_called(void);

/* ---- callers ---- */

/** By who attaches: a thread that ends, and a latch whose owner is dead, are the sweep's. */
void muster__sweep_set_hooks(void);
/** As muster__caller_enter, for a thread that will leave again before it ends. */
muster_err muster__caller_enter_briefly(uint32_t member);
void muster__caller_free(uint32_t number, bool died);

/* ---- objects ---- */

enum { MUSTER__PAGE = 64 }; /* slots, all of one kind */

/** Goes on with what a dead one has begun with a slot: claiming, ending, cleaning it. */
void muster__object_sweep(struct muster__object *object, uint32_t dead, uint32_t self);
/** Somebody has died who may have known that objects of some kind are still to be cleaned: who comes next looks. */
void muster__objects_look_again(void);
/** Slots below this one may have been used. */
uint32_t muster__objects_end(void);

#endif
