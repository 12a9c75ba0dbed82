/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Work-stealing deque of 64-bit entries (Chase and Lev, SPAA 2005; memory orders after Le et al., PPoPP 2013).
 *
 * The owner pushes and takes at the bottom, thieves take at the top. Entries are hints: whoever takes one must still
 * claim what it names (pool records by their state word), so an entry that comes out twice does no harm, and after an
 * owner's death everything may be pushed again. The claim between deque_take_begin and deque_take_end is the full
 * barrier that the algorithm needs.
 *
 * Growing keeps the old buffers until the holder's end: a thief may be reading them.
 *
 * Why each order is what it is, on machines that reorder more than x86 does:
 *
 * - push reads top with acquire: the slot that it writes was read, by whoever moved top past it, before. It stores the
 *   entry and bottom with release: who reads either, or a later bottom, finds what the entry names, and the buffer.
 * - bottom is stored with release wherever it is: a thief that reads any of its values knows all entries below.
 * - take lowers bottom, passes a full barrier, and reads top; a thief reads top, passes one, and reads bottom. One of
 * the two barriers is first, and who has the other sees what stood before it: either the thief sees the entry gone, or
 * the owner sees top where the thief saw it, or later, and then moves top itself, by the same compare-exchange as
 * thieves: one of them gets it.
 * - steal reads top with acquire: what others have taken before is not offered again by an old bottom. The slot may be
 *   written anew between the reads and the claim, if others have moved top meanwhile. What was read is then an entry
 *   that came after the bottom that was read, and so entries are read with acquire; the claim decides about it, and
 *   deque_steal_end takes nothing out.
 */
#ifndef MUSTER_SCHED_DEQUE_H
#define MUSTER_SCHED_DEQUE_H

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
/** Owner: push, where the buffer is full. */
bool deque_push_wider(struct deque *deque, uint64_t entry, uint32_t self);

static inline _Atomic uint64_t *deque_at(uint64_t buffer, int64_t index)
{
    uint64_t mask = ((uint64_t)1 << (DEQUE_FIRST_BITS + (buffer & 31))) - 1;
    return (_Atomic uint64_t *)muster__at(buffer >> 5) + ((uint64_t)index & mask);
}
static inline int64_t deque_capacity(uint64_t buffer)
{
    return (int64_t)1 << (DEQUE_FIRST_BITS + (buffer & 31));
}

/** Owner. False: no memory, nothing changed. Followed by a full barrier of the caller's if sleepers are to be seen. */
static inline bool deque_push(struct deque *deque, uint64_t entry, uint32_t self)
{
    int64_t bottom = atomic_load_explicit(&deque->bottom, memory_order_relaxed);
    int64_t top = atomic_load_explicit(&deque->top, memory_order_acquire);
    uint64_t buffer = atomic_load_explicit(&deque->buffer, memory_order_relaxed);
    if (MUSTER__UNLIKELY(!buffer || bottom - top >= deque_capacity(buffer)))
        return deque_push_wider(deque, entry, self);
    atomic_store_explicit(deque_at(buffer, bottom), entry, memory_order_release);
    atomic_store_explicit(&deque->bottom, bottom + 1, memory_order_release);
    return true;
}

/** Owner: the newest entry, which stays. False: empty. */
static inline bool deque_peek(const struct deque *deque, uint64_t *entry)
{
    int64_t bottom = atomic_load_explicit(&deque->bottom, memory_order_relaxed);
    if (bottom <= atomic_load_explicit(&deque->top, memory_order_relaxed))
        return false;
    uint64_t buffer = atomic_load_explicit(&deque->buffer, memory_order_relaxed);
    *entry = atomic_load_explicit(deque_at(buffer, bottom - 1), memory_order_relaxed);
    return true;
}

/** Owner: proposes the newest entry. The caller tries to claim it by an atomic read-modify-write, or passes a full
 * barrier, then calls deque_take_end. False: empty. */
static inline bool deque_take_begin(struct deque *deque, uint64_t *entry)
{
    int64_t bottom = atomic_load_explicit(&deque->bottom, memory_order_relaxed);
    if (bottom <= atomic_load_explicit(&deque->top, memory_order_relaxed))
        return false;
    bottom--;
    atomic_store_explicit(&deque->bottom, bottom, memory_order_release);
    uint64_t buffer = atomic_load_explicit(&deque->buffer, memory_order_relaxed);
    *entry = atomic_load_explicit(deque_at(buffer, bottom), memory_order_relaxed);
    return true;
}

/* bottom was lowered before a full barrier: thieves that read top from now on see the entry gone. If it was the last
 * one, top moves past it, so that a thief that saw it before fails. */
static inline void deque_take_end(struct deque *deque)
{
    muster__fence_after_atomic();
    int64_t bottom = atomic_load_explicit(&deque->bottom, memory_order_relaxed);
    int64_t top = atomic_load_explicit(&deque->top, memory_order_relaxed);
    if (MUSTER__LIKELY(top < bottom))
        return;
    if (top == bottom)
        atomic_compare_exchange_strong(&deque->top, &top, top + 1);
    atomic_store_explicit(&deque->bottom, bottom + 1, memory_order_release);
}

/**
 * Anybody: proposes the oldest entry. The caller tries to claim it and then calls deque_steal_end with the same `at`,
 * which takes it out if nobody else has. In this order a thief that dies in between loses nothing: what it had claimed
 * says so. False: empty.
 */
bool deque_steal_begin(const struct deque *deque, uint64_t *entry, int64_t *at);
void deque_steal_end(struct deque *deque, int64_t at);
/** Owner: gives the pages of its buffers back, if it is empty. A thief that has read where an entry stands, and now
 * finds a zero there, claims nothing by it: no record has that generation; and its turn at the top is over. */
void deque_hollow(struct deque *deque);
/** How many entries there seem to be: exact while nobody works on it. */
int64_t deque_size(const struct deque *deque);
/** After the owner's death, by who takes its place: drops all entries and makes the deque whole; see sched/recover.c.
 */
void deque_repair(struct deque *deque, uint32_t dead);

#endif
