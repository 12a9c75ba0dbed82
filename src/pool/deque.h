/*
 * Work-stealing deque of 64-bit entries (Chase and Lev, SPAA 2005; memory orders after Le et al., PPoPP 2013).
 *
 * The owner pushes and takes at the bottom, thieves take at the top. Entries are hints: whoever takes one must still
 * claim what it names (pool records by their state word), so an entry that comes out twice does no harm, and after an
 * owner's death everything may be pushed again. The claim between deque_take_begin and deque_take_end is the full
 * barrier that the algorithm needs.
 *
 * Growing keeps the old buffers until the holder's end: a thief may be reading them.
 */
#ifndef MUSTER_POOL_DEQUE_H
#define MUSTER_POOL_DEQUE_H

#include "segment/segment.h"

enum { DEQUE_FIRST_BITS = 8, DEQUE_BUFFERS = 24 };

struct deque {
    _Alignas(MUSTER__LINE) _Atomic int64_t top;
    _Alignas(MUSTER__LINE) _Atomic int64_t bottom;
    _Atomic uint64_t buffer;            /* offset << 5 | number of the buffer in use */
    uint32_t holder;                    /* owner of the buffers' blocks */
    muster__ref buffers[DEQUE_BUFFERS]; /* buffer i holds 2^(DEQUE_FIRST_BITS + i) entries */
};

/** In zeroed memory. The blocks of its buffers belong to holder, which frees them at its end. */
void deque_init(struct deque *deque, uint32_t holder);
/** Owner. False: no memory, nothing changed. Followed by a full barrier of the caller's if sleepers are to be seen. */
bool deque_push(struct deque *deque, uint64_t entry, uint32_t self);
/** Owner: proposes the newest entry. The caller tries to claim it (a full barrier either way), then calls
 * deque_take_end. False: empty. */
bool deque_take_begin(struct deque *deque, uint64_t *entry);
void deque_take_end(struct deque *deque);
/** Owner: the newest entry, which stays. False: empty. */
bool deque_peek(const struct deque *deque, uint64_t *entry);
/**
 * Anybody: proposes the oldest entry. The caller tries to claim it and then calls deque_steal_end with the same `at`,
 * which takes it out if nobody else has. In this order a thief that dies in between loses nothing: what it had claimed
 * says so. False: empty.
 */
bool deque_steal_begin(const struct deque *deque, uint64_t *entry, int64_t *at);
void deque_steal_end(struct deque *deque, int64_t at);
/** How many entries there seem to be: exact while nobody works on it. */
int64_t deque_size(const struct deque *deque);
/** After the owner's death, by who takes its place: drops all entries and makes the deque whole; see pool/recover.c. */
void deque_repair(struct deque *deque, uint32_t dead);

#endif
