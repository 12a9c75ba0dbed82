/* SPDX-License-Identifier: BSD-3-Clause */
#include "sched/sched.h"

#include <stdlib.h>
#include <string.h>

/*
 * Pages are given back by the owner of the lane that the records are of. Until then a record that is free keeps the
 * generation that its next task has; of a slab without pages that is the largest one of its records: so no handle names
 * two tasks. Others may still look at such a record, by a handle that is stale: they see zeros, which no handle names.
 * Should the owner die meanwhile, a slab stays as it is to the pool's end.
 */
#define HOLLOW_MIN (64 << POOL_LARGE_BITS) /* free records, 64 MiB, before anybody looks: pages cost to come back */

/* False: none is left that has so many records. */
static bool slab_number(struct pool *pool, uint32_t *slab, uint32_t records)
{
    *slab = atomic_load(&pool->slabs);
    while (*slab < POOL_SLABS && slab_records(*slab) == records)
        if (atomic_compare_exchange_weak(&pool->slabs, slab, *slab + 1))
            return true;
    return false;
}

/* In front of the lane's free ones, once that begins with the first, whose index is returned. */
static uint32_t records_make(struct lane *lane, struct record *records, uint32_t slab, uint32_t generation)
{
    uint32_t first = slab_begin(slab), count = slab_records(slab);
    for (uint32_t i = 0; i < count; i++) {
        records[i].home = (uint16_t)lane->index;
        records[i].data = records[i].extra = 0;
        records[i].next = i + 1 < count ? first + i + 2 : lane->free_list;
        atomic_store_explicit(&records[i].state, state_make(generation, 0, RECORD_FREE), memory_order_relaxed);
    }
    lane->free_records += count;
    return first;
}

/* Memory first: numbers do not come back. Slabs are adopted by the pool before they are handed over; see recover.c. */
static bool slab_add(const struct seat *seat)
{
    struct pool *pool = seat->pool;
    uint32_t slab;
    uint32_t likely = slab_records(atomic_load(&pool->slabs));
    muster__ref ref = muster__heap_alloc(sizeof(struct record) * likely, seat->self);
    if (!ref || !slab_number(pool, &slab, likely)) {
        muster__heap_free(ref, seat->self);
        return ref && atomic_load(&pool->slabs) < POOL_SLABS && slab_add(seat); /* others have begun the large ones */
    }
    struct record *records = muster__heap_at(ref);
    uint32_t first = records_make(seat->lane, records, slab, 1); /* a zero task handle names nothing */
    pool->slab_lane[slab] = (uint16_t)seat->lane->index;
    pool->slab_ref[slab] = ref;
    atomic_thread_fence(memory_order_release);
    pool->slab_offset[slab] = muster__offset(records);
    muster__heap_hand_over(ref, seat->self, pool_owner(pool));
    seat->lane->free_list = first + 1;
    return true;
}

struct record *record_new(const struct seat *seat, uint32_t *index)
{
    struct lane *lane = seat->lane;
    if (MUSTER__UNLIKELY(!lane->free_list)) {
        lane->free_list = atomic_exchange(&lane->returned, 0);
        lane->free_records = 0; /* how many those are nobody has counted */
        if (!lane->free_list && !record_fill(seat) && !slab_add(seat))
            return NULL;
    }
    *index = lane->free_list - 1;
    struct record *record = pool_record(seat->pool, *index);
    uint64_t state = atomic_load_explicit(&record->state, memory_order_relaxed);
    atomic_store_explicit(&record->state, state_make((uint32_t)(state >> 32), lane->index, RECORD_FILLING),
                          memory_order_relaxed);
    lane->free_list = record->next;
    lane->free_records--;
    lane->kept -= record->data != 0;
    return record;
}

/* lane: whose free list it comes to, by its owner; NULL: another's. */
static bool keep_block(const struct record *record, struct lane *lane)
{
    if (!lane || lane->kept >= RECORDS_KEEP || muster__heap_size(record->data) != RECORD_BLOCK)
        return false;
    lane->kept++;
    return true;
}

/* The generation changes with the step to FREE: handles and deque entries that still name the record are stale from
 * here on. */
void record_free(struct pool *pool, struct record *record, uint32_t index, struct lane *mine)
{
    uint32_t self = muster__self_state.number;
    uint64_t state = atomic_load_explicit(&record->state, memory_order_relaxed);
    if (MUSTER__UNLIKELY(state & STATE_FOLLOWED))
        follow_ended(pool, index, (uint32_t)(state >> 32));
    if (record->kind == RECORD_TASK && record->extra) {
        any_forget(record, self);
        shelf_forget(pool, record, index);
        struct extra *extra = muster__heap_at(record->extra);
        if (extra)
            user_let_go(extra, self);
        muster__heap_free(record->extra, self);
        record->extra = 0;
    }
    struct lane *home = &pool->lane[record->home];
    if (MUSTER__UNLIKELY(record->data) && !keep_block(record, home == mine ? home : NULL)) {
        muster__heap_free(record->data, self);
        record->data = 0;
    }
    uint32_t generation = (uint32_t)(state >> 32) + 1;
    if (!generation)
        generation = 1;
    if (MUSTER__LIKELY(home == mine)) {
        record->next = home->free_list;
        atomic_store_explicit(&record->state, state_make(generation, 0, RECORD_FREE), memory_order_release);
        home->free_list = index + 1;
        if (MUSTER__UNLIKELY(++home->free_records >= home->hollow_at))
            record_hollow(&(struct seat){.pool = pool, .lane = home, .self = self});
        return;
    }
    atomic_store_explicit(&record->state, state_make(generation, 0, RECORD_FREE), memory_order_release);
    record_give_back(pool, record, index);
}

void record_give_back(struct pool *pool, struct record *record, uint32_t index)
{
    struct lane *home = &pool->lane[record->home];
    uint32_t head = atomic_load_explicit(&home->returned, memory_order_relaxed);
    do
        record->next = head;
    while (!atomic_compare_exchange_weak(&home->returned, &head, index + 1));
}

/* Pieces are never of a generation that a task's handle has. */
struct record *record_of_task(struct pool *pool, muster_task task, uint64_t *state)
{
    struct record *record = pool_record_if(pool, task.handle.slot);
    if (!record)
        return NULL;
    *state = atomic_load_explicit(&record->state, memory_order_acquire);
    return state_names(*state, task.handle.generation) ? record : NULL;
}

bool record_drop(struct record *record, uint32_t generation, uint64_t *before)
{
    *before = atomic_load(&record->state);
    while (state_names(*before, generation))
        if (atomic_compare_exchange_weak(&record->state, before, *before | STATE_DROPPED))
            return true;
    return false;
}

void record_mark_waited(struct record *record, uint32_t generation)
{
    uint64_t state = atomic_load(&record->state);
    while (state_names(state, generation) && !phase_final(state_phase(state)) && !(state & STATE_WAITED))
        if (atomic_compare_exchange_weak(&record->state, &state, state | STATE_WAITED))
            return;
}

static size_t result_offset(const struct record *record)
{
    return round_16(record->arg_bytes);
}

void *record_arg(struct record *record)
{
    if (!record->arg_bytes)
        return NULL;
    return record->data ? muster__heap_at(record->data) : record->bytes;
}

void *record_result(struct record *record)
{
    if (!atomic_load_explicit(&record->result_bytes, memory_order_relaxed))
        return NULL;
    void *returned = MUSTER__UNLIKELY(record->extra) ? any_returned(record) : NULL;
    if (returned)
        return returned;
    return (unsigned char *)(record->data ? muster__heap_at(record->data) : record->bytes) + result_offset(record);
}

bool record_reserve(struct pool *pool, struct record *record, size_t arg_bytes, size_t result_bytes, uint32_t self)
{
    record->arg_bytes = arg_bytes;
    atomic_store_explicit(&record->result_bytes, result_bytes, memory_order_relaxed);
    if (arg_bytes > SIZE_MAX / 4 || result_bytes > SIZE_MAX / 4)
        return false;
    size_t need = result_offset(record) + result_bytes;
    if (MUSTER__LIKELY(need <= RECORD_INLINE && !record->data))
        return true;
    if (need > RECORD_INLINE && need <= RECORD_BLOCK && record_block(record))
        return true;
    muster__heap_free(record->data, self);
    record->data = 0;
    if (need <= RECORD_INLINE)
        return true;
    muster__ref data = muster__heap_alloc(need, self);
    if (!data)
        return false;
    record->data = data;
    muster__heap_hand_over(data, self, pool_owner(pool));
    return true;
}

/* One whose maker died before it had handed it over is gone. */
struct extra *record_extra(struct pool *pool, struct record *record, uint32_t self)
{
    struct extra *there = record->extra ? muster__heap_at(record->extra) : NULL;
    if (there)
        return there;
    muster__ref ref = muster__heap_alloc(sizeof(struct extra), self);
    if (!ref)
        return NULL;
    struct extra *extra = muster__heap_at(ref);
    memset(extra, 0, sizeof *extra);
    record->extra = ref;
    muster__heap_hand_over(ref, self, pool_owner(pool));
    return extra;
}

/* ---- pages of what is not in use ---- */

/* What others have given back comes to the free ones; returns how many there are of each slab, for free(). */
static uint32_t *count_free(const struct seat *seat, uint32_t slabs)
{
    struct pool *pool = seat->pool;
    struct lane *lane = seat->lane;
    uint32_t *counts = calloc(slabs, sizeof *counts), *end = &lane->free_list;
    if (!counts)
        return NULL;
    lane->free_records = 0;
    for (bool more = true; more;) {
        for (; *end; end = &pool_record(pool, *end - 1)->next, lane->free_records++)
            counts[slab_of(*end - 1)]++;
        *end = atomic_exchange(&lane->returned, 0);
        more = *end != 0;
    }
    return counts;
}

/* Those of whole slabs leave the list, which is one at each moment. */
static void take_out(const struct seat *seat, const uint32_t *counts)
{
    struct pool *pool = seat->pool;
    for (uint32_t *at = &seat->lane->free_list; *at;) {
        struct record *record = pool_record(pool, *at - 1);
        uint32_t slab = slab_of(*at - 1);
        if (slab >= POOL_SMALL_SLABS && counts[slab] == slab_records(slab)) {
            *at = record->next;
            seat->lane->free_records--;
        } else {
            at = &record->next;
        }
    }
}

static void give_pages_back(const struct seat *seat, uint32_t slab)
{
    struct pool *pool = seat->pool;
    struct record *records = pool_record(pool, slab_begin(slab));
    uint32_t generation = 1;
    for (uint32_t i = 0; i < slab_records(slab); i++) {
        uint32_t its = (uint32_t)(atomic_load_explicit(&records[i].state, memory_order_relaxed) >> 32);
        generation = its > generation ? its : generation;
        seat->lane->kept -= records[i].data != 0;
        muster__heap_free(records[i].data, seat->self);
        records[i].data = 0;
    }
    pool->slab_hollow[slab] = generation;
    atomic_thread_fence(memory_order_release);
    muster__heap_hollow(records, sizeof *records * slab_records(slab));
}

void record_hollow(const struct seat *seat)
{
    struct pool *pool = seat->pool;
    struct lane *lane = seat->lane;
    uint32_t slabs = atomic_load(&pool->slabs);
    uint32_t *counts = slabs > POOL_SMALL_SLABS ? count_free(seat, slabs < POOL_SLABS ? slabs : POOL_SLABS) : NULL;
    if (counts) {
        take_out(seat, counts);
        for (uint32_t slab = POOL_SMALL_SLABS; slab < slabs && slab < POOL_SLABS; slab++)
            if (counts[slab] == slab_records(slab))
                give_pages_back(seat, slab);
        deque_hollow(&lane->deque);
    }
    free(counts);
    lane->hollow_at = lane->free_records > HOLLOW_MIN / 2 ? 2 * lane->free_records : HOLLOW_MIN;
}

bool record_fill(const struct seat *seat)
{
    struct pool *pool = seat->pool;
    struct lane *lane = seat->lane;
    uint32_t slabs = atomic_load(&pool->slabs);
    for (uint32_t slab = POOL_SMALL_SLABS; slab < slabs && slab < POOL_SLABS; slab++) {
        if (!pool->slab_hollow[slab] || pool->slab_lane[slab] != lane->index)
            continue;
        uint32_t first = records_make(lane, pool_record(pool, slab_begin(slab)), slab, pool->slab_hollow[slab]);
        atomic_thread_fence(memory_order_release);
        pool->slab_hollow[slab] = 0;
        lane->free_list = first + 1;
        return true;
    }
    return false;
}
