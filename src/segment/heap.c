/* SPDX-License-Identifier: BSD-3-Clause */
#include "segment/heap.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define UNIT       ((uint64_t)1 << MUSTER__UNIT_BITS)
#define GENERATION 1u /* of the arenas' latches: arenas never end */

/* The word of a block's first unit: epoch, order, owner, state. A unit that begins no block is NONE and keeps its
 * epoch. */
enum state { NONE, FREE, CACHED, USED };
struct word {
    uint32_t epoch, owner;
    unsigned order;
    enum state state;
};

static uint64_t pack(struct word w)
{
    return (uint64_t)w.epoch << 32 | (uint64_t)w.owner << 12 | (uint64_t)w.order << 4 | (uint64_t)w.state;
}

static struct word unpack(uint64_t word)
{
    return (struct word){.epoch = (uint32_t)(word >> 32),
                         .owner = (uint32_t)word >> 12,
                         .order = (unsigned)word >> 4 & 0xff,
                         .state = (enum state)(word & 0xf)};
}

/* the heap's header in front of its tables */
struct heap {
    uint64_t words_offset, links_offset, units_offset;
    uint32_t units;
};

static struct muster__arena *arena_at(uint32_t i)
{
    return (struct muster__arena *)muster__at(muster__segment->arenas_offset) + i;
}

static struct heap *heap(void)
{
    return muster__at(muster__segment->roots[MUSTER__ROOT_HEAP]);
}

static _Atomic uint64_t *word_at(uint32_t unit)
{
    return (_Atomic uint64_t *)muster__at(heap()->words_offset) + unit;
}

static struct muster__link *link_at(uint32_t unit)
{
    return (struct muster__link *)muster__at(heap()->links_offset) + unit;
}

static void word_set(uint32_t unit, struct word w)
{
    atomic_store_explicit(word_at(unit), pack(w), memory_order_release);
}

static void word_mark(uint32_t unit, enum state state, unsigned order)
{
    struct word w = unpack(atomic_load(word_at(unit)));
    word_set(unit, (struct word){.epoch = w.epoch, .order = order, .state = state});
}

/* ---- free lists; under the arena's latch ---- */

static void list_push(struct muster__arena *arena, uint32_t unit, unsigned order)
{
    uint32_t head = arena->free[order];
    *link_at(unit) = (struct muster__link){.next = head};
    if (head)
        link_at(head - 1)->prev = unit + 1;
    arena->free[order] = unit + 1;
    arena->nonempty |= UINT64_C(1) << order;
    word_mark(unit, FREE, order);
}

static void list_remove(struct muster__arena *arena, uint32_t unit, unsigned order)
{
    struct muster__link link = *link_at(unit);
    if (link.next)
        link_at(link.next - 1)->prev = link.prev;
    if (link.prev)
        link_at(link.prev - 1)->next = link.next;
    else
        arena->free[order] = link.next;
    if (!arena->free[order])
        arena->nonempty &= ~(UINT64_C(1) << order);
    word_mark(unit, NONE, 0);
}

/* Units are counted from the arena's first, so that every block is aligned to its size within the arena. */
static void give_back(struct muster__arena *arena, uint32_t unit, unsigned order)
{
    while (order + 1 < MUSTER__ORDERS) {
        uint32_t buddy = arena->first + ((unit - arena->first) ^ (UINT32_C(1) << order));
        if ((uint64_t)buddy + (UINT64_C(1) << order) > arena->end)
            break;
        struct word w = unpack(atomic_load(word_at(buddy)));
        if (w.state != FREE || w.order != order)
            break;
        list_remove(arena, buddy, order);
        word_mark(unit, NONE, 0);
        unit = unit < buddy ? unit : buddy;
        order++;
    }
    list_push(arena, unit, order);
}

/* Cuts [begin, end) into the largest aligned free blocks. */
static void give_back_range(struct muster__arena *arena, uint32_t begin, uint32_t end)
{
    while (begin < end) {
        uint32_t offset = begin - arena->first;
        unsigned order = offset ? (unsigned)__builtin_ctz(offset) : MUSTER__ORDERS - 1;
        while (UINT64_C(1) << order > end - begin)
            order--;
        list_push(arena, begin, order);
        begin += UINT32_C(1) << order;
    }
}

static void flush_cached(struct muster__arena *arena)
{
    for (unsigned order = 0; order <= MUSTER__CACHED_ORDER_MAX; order++)
        while (arena->cached_count[order])
            give_back(arena, arena->cached[order][--arena->cached_count[order]], order);
}

/* Finds free units of an order and takes them off the lists; false: none. The caller commits by marking them USED. */
static bool take(struct muster__arena *arena, unsigned order, uint32_t *unit)
{
    if (order <= MUSTER__CACHED_ORDER_MAX && arena->cached_count[order]) {
        *unit = arena->cached[order][--arena->cached_count[order]];
        return true;
    }
    uint64_t fitting = arena->nonempty >> order << order;
    if (!fitting) {
        flush_cached(arena);
        fitting = arena->nonempty >> order << order;
    }
    if (!fitting)
        return false;
    unsigned have = (unsigned)__builtin_ctzll(fitting);
    uint32_t found = arena->free[have] - 1;
    list_remove(arena, found, have);
    while (have > order) {
        have--;
        list_push(arena, found + (UINT32_C(1) << have), have);
    }
    *unit = found;
    return true;
}

/* ---- set-up ---- */

void muster__heap_format(struct muster__segment *segment, uint64_t begin, uint64_t end)
{
    struct heap *h = (struct heap *)((char *)segment + begin);
    segment->roots[MUSTER__ROOT_HEAP] = begin;
    begin += 4096;
    uint64_t per_unit = UNIT + sizeof(uint64_t) + sizeof(struct muster__link);
    uint64_t units = (end - begin - 3 * 4096) / per_unit;
    if (units > UINT32_MAX - 1)
        units = UINT32_MAX - 1;
    h->units = (uint32_t)units;
    h->words_offset = begin;
    h->links_offset = (begin + units * sizeof(uint64_t) + 4095) & ~UINT64_C(4095);
    h->units_offset = (h->links_offset + units * sizeof(struct muster__link) + 4095) & ~UINT64_C(4095);

    struct muster__segment *before = muster__segment;
    muster__segment = segment;
    uint32_t share = h->units / segment->arenas;
    for (uint32_t i = 0; i < segment->arenas; i++) {
        struct muster__arena *arena = arena_at(i);
        muster__latch_init(&arena->latch, GENERATION);
        arena->first = i * share;
        arena->end = arena->first + share;
        arena->high = arena->first;
        give_back_range(arena, arena->first, arena->end);
    }
    muster__segment = before;
}

/* ---- allocation ---- */

static unsigned order_for(size_t size_bytes)
{
    uint64_t units = (size_bytes + UNIT - 1) >> MUSTER__UNIT_BITS;
    return units <= 1 ? 0 : 64 - (unsigned)__builtin_clzll(units - 1);
}

static muster__ref alloc_in(struct muster__arena *arena, unsigned order, uint32_t self)
{
    muster__ref ref = 0;
    uint32_t unit;
    if (!muster__latch_acquire(&arena->latch, GENERATION, self))
        return 0; /* busy */
    if (take(arena, order, &unit)) {
        uint32_t epoch = unpack(atomic_load(word_at(unit))).epoch + 1;
        uint32_t above = unit + (UINT32_C(1) << order);
        if (above > arena->high)
            arena->high = above;
        word_set(unit, (struct word){.epoch = epoch, .owner = self, .order = order, .state = USED});
        atomic_fetch_add_explicit(&arena->used_units, UINT64_C(1) << order, memory_order_relaxed);
        ref = (uint64_t)epoch << 32 | (unit + 1);
    }
    muster__latch_release(&arena->latch, GENERATION, self);
    return ref;
}

muster__ref muster__heap_alloc(size_t size_bytes, uint32_t self)
{
    if (size_bytes > (uint64_t)heap()->units << MUSTER__UNIT_BITS)
        return 0;
    unsigned order = order_for(size_bytes);
    if (order >= MUSTER__ORDERS)
        return 0;
    uint32_t home = muster__caller(self)->arena;
    for (uint32_t i = 0; i < muster__segment->arenas; i++) {
        muster__ref ref = alloc_in(arena_at((home + i) % muster__segment->arenas), order, self);
        if (ref)
            return ref;
    }
    return 0;
}

static struct muster__arena *arena_of(uint32_t unit)
{
    uint32_t share = heap()->units / muster__segment->arenas;
    return arena_at(unit / share);
}

static bool names_used(muster__ref ref, uint32_t *unit, struct word *w)
{
    if (!ref || (uint32_t)ref > heap()->units)
        return false;
    *unit = (uint32_t)ref - 1;
    *w = unpack(atomic_load_explicit(word_at(*unit), memory_order_acquire));
    return w->state == USED && w->epoch == (uint32_t)(ref >> 32);
}

/* The change to FREE or CACHED commits; under the latch, so that a rebuild and a free never meet. */
static void free_locked(struct muster__arena *arena, uint32_t unit, unsigned order)
{
    atomic_fetch_sub_explicit(&arena->used_units, UINT64_C(1) << order, memory_order_relaxed);
    if (order <= MUSTER__CACHED_ORDER_MAX && arena->cached_count[order] < MUSTER__CACHED) {
        word_mark(unit, CACHED, order);
        arena->cached[order][arena->cached_count[order]] = unit;
        arena->cached_count[order]++;
    } else {
        give_back(arena, unit, order);
    }
}

static void free_later(uint64_t ref, uint64_t self)
{
    muster__heap_free(ref, (uint32_t)self);
}

bool muster__heap_free(muster__ref ref, uint32_t self)
{
    uint32_t unit;
    struct word w;
    if (!names_used(ref, &unit, &w))
        return false;
    struct muster__arena *arena = arena_of(unit);
    bool busy = muster__self_state.busy;
    if (!muster__latch_acquire(&arena->latch, GENERATION, self)) {
        muster__put_off(free_later, ref, self);
        muster__self_state.busy = busy; /* it is as good as done */
        return true;
    }
    bool freed = names_used(ref, &unit, &w);
    if (freed)
        free_locked(arena, unit, w.order);
    muster__latch_release(&arena->latch, GENERATION, self);
    return freed;
}

bool muster__heap_hand_over(muster__ref ref, uint32_t from, uint32_t to)
{
    uint32_t unit;
    struct word w;
    if (!names_used(ref, &unit, &w) || w.owner != from)
        return false;
    uint64_t expected = pack(w);
    w.owner = to;
    return atomic_compare_exchange_strong(word_at(unit), &expected, pack(w));
}

void *muster__heap_at(muster__ref ref)
{
    uint32_t unit;
    struct word w;
    if (!names_used(ref, &unit, &w))
        return NULL;
    return muster__at(heap()->units_offset + ((uint64_t)unit << MUSTER__UNIT_BITS));
}

void muster__heap_hollow(void *memory, size_t bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = ((uintptr_t)memory + page - 1) / page * page, end = ((uintptr_t)memory + bytes) / page * page;
    if (begin < end)
        (void)madvise((void *)begin, end - begin, MADV_REMOVE);
}

size_t muster__heap_size(muster__ref ref)
{
    uint32_t unit;
    struct word w;
    return names_used(ref, &unit, &w) ? (size_t)UNIT << w.order : 0;
}

uint64_t muster__heap_used(void)
{
    uint64_t units = 0;
    for (uint32_t i = 0; i < muster__segment->arenas; i++)
        units += atomic_load(&arena_at(i)->used_units);
    return units << MUSTER__UNIT_BITS;
}

/* ---- after a death ---- */

/*
 * Everything but the USED words may be half-written: forget it and start from them. FREE marks left inside of larger
 * free blocks do no harm: splitting a block marks both halves anew before anybody asks about a buddy there.
 */
static void rebuild(struct muster__arena *arena)
{
    memset(arena->free, 0, sizeof arena->free);
    memset(arena->cached_count, 0, sizeof arena->cached_count);
    arena->nonempty = 0;
    uint64_t used = 0;
    uint32_t gap = arena->first, unit = arena->first;
    while (unit < arena->high) {
        struct word w = unpack(atomic_load(word_at(unit)));
        if (w.state != USED) {
            if (w.state != NONE)
                word_mark(unit, NONE, 0);
            unit++;
            continue;
        }
        give_back_range(arena, gap, unit);
        used += UINT64_C(1) << w.order;
        unit += UINT32_C(1) << w.order;
        gap = unit;
    }
    give_back_range(arena, gap, arena->end);
    atomic_store(&arena->used_units, used);
}

void muster__heap_sweep_latches(uint32_t dead, uint32_t self)
{
    uint32_t generation;
    for (uint32_t i = 0; i < muster__segment->arenas; i++) {
        struct muster__arena *arena = arena_at(i);
        if (!muster__latch_seize(&arena->latch, dead, self, &generation))
            continue;
        rebuild(arena);
        muster__latch_release(&arena->latch, GENERATION, self);
    }
}

static void sweep_arena(struct muster__arena *arena, uint32_t dead)
{
    for (uint32_t unit = arena->first; unit < arena->high;) {
        struct word w = unpack(atomic_load(word_at(unit)));
        uint32_t span = w.state == NONE ? 1 : UINT32_C(1) << w.order;
        if (w.state == USED && w.owner == dead)
            free_locked(arena, unit, w.order);
        unit += span;
    }
}

static void sweep_later(uint64_t dead, uint64_t self)
{
    muster__heap_sweep((uint32_t)dead, (uint32_t)self);
}

bool muster__heap_sweep_now(uint32_t dead, uint32_t self)
{
    for (uint32_t i = 0; i < muster__segment->arenas; i++) {
        if (!muster__latch_acquire(&arena_at(i)->latch, GENERATION, self))
            return false;
        sweep_arena(arena_at(i), dead);
        muster__latch_release(&arena_at(i)->latch, GENERATION, self);
    }
    return true;
}

void muster__heap_sweep(uint32_t dead, uint32_t self)
{
    if (!muster__heap_sweep_now(dead, self))
        muster__put_off(sweep_later, dead, self);
}
