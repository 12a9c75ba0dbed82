/*
 * Inside of the segment layer: the arenas, and the tag of an object slot. Not for other folders.
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

enum muster__tag_state { MUSTER__TAG_FREE, MUSTER__TAG_CLAIMED, MUSTER__TAG_LIVE };
struct muster__tag {
    uint32_t generation, claimer, kind, state;
};
static inline uint64_t muster__tag_pack(struct muster__tag tag)
{
    return (uint64_t)tag.generation << 32 | tag.claimer << 12 | tag.kind << 4 | tag.state;
}
static inline struct muster__tag muster__tag_unpack(uint64_t word)
{
    return (struct muster__tag){.generation = (uint32_t)(word >> 32),
                                .claimer = (uint32_t)word >> 12,
                                .kind = (uint32_t)word >> 4 & 0xff,
                                .state = (uint32_t)word & 0xf};
}

const char *muster__class_name(enum muster__kind kind);

#endif
