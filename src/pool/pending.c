/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/pending.h"

#include <string.h>

void pending_drop_piece(const struct seat *seat, struct record *record, uint32_t index)
{
    struct map *map = muster__heap_at(piece_of(record)->map);
    int64_t items = piece_of(record)->end - piece_of(record)->begin;
    atomic_fetch_add(&map->failed, items);
    record_free(seat->pool, record, index, seat->lane);
    map_count_for(seat->pool, map, seat->lane->index, items);
}

bool pending_cancel(const struct seat *seat, struct record *record, uint32_t index, uint64_t *state)
{
    struct pool *pool = seat->pool;
    uint64_t canceled = (*state & ~(uint64_t)STATE_PHASE) | RECORD_CANCELED;
    uint32_t group = record->next; /* of this task, if the next step succeeds */
    if (!atomic_compare_exchange_weak(&record->state, state, canceled))
        return false;
    atomic_fetch_add(&pool->finished_elsewhere, 1);
    if (group) {
        group_fails(pool, group, record);
        group_done(pool, group);
    }
    if (canceled & STATE_FOLLOWED)
        follow_ended(pool, index, (uint32_t)(canceled >> 32));
    if (canceled & STATE_DROPPED)
        record_free(pool, record, index, seat->lane);
    return true;
}

static void cancel_record(const struct seat *seat, uint32_t index)
{
    struct record *record = pool_record(seat->pool, index);
    uint64_t state = atomic_load_explicit(&record->state, memory_order_acquire);
    while (state_phase(state) == RECORD_QUEUED || state_phase(state) == RECORD_HELD) {
        if (record->kind == RECORD_TASK) {
            if (pending_cancel(seat, record, index, &state))
                return;
        } else if (sched_claim(seat, record, state >> 32 << 32 | index)) {
            pending_drop_piece(seat, record, index);
            return;
        } else {
            state = atomic_load_explicit(&record->state, memory_order_acquire);
        }
    }
}

/* Each record once: who submits meanwhile does not keep it from coming to an end. Should the caller die in between,
 * those it has canceled are, and who waits for them is rung by the sweep. */
static void cancel_here(const struct seat *seat)
{
    struct pool *pool = seat->pool;
    for (uint32_t index = 0; pool_walk(pool, &index); index++)
        cancel_record(seat, index);
    sched_ring_waiters(pool);
}

/* Even again, and another one for each call. */
static uint64_t raise_by_one(struct pool *pool)
{
    uint64_t seen = atomic_load(&pool->cancels);
    while (!atomic_compare_exchange_weak(&pool->cancels, &seen, (seen | 1) + 1))
        ;
    return (seen | 1) + 1;
}

static void raise_to(struct pool *pool, uint64_t number)
{
    uint64_t seen = atomic_load(&pool->cancels);
    while (seen < number && !atomic_compare_exchange_weak(&pool->cancels, &seen, number))
        ;
}

/* At home the number is even again when all was looked at: what a carrier claims before that is told apart by it. In a
 * branch it is there first: what the carrier begins after that sees it, and what it has begun before is looked at. */
static muster_err cancel_in(const struct seat *seat, uint64_t number)
{
    struct pool *pool = seat->pool;
    if (!pool_is_home(pool)) {
        raise_to(pool, number);
        cancel_here(seat);
        return MUSTER_OK;
    }
    atomic_fetch_or(&pool->cancels, 1);
    cancel_here(seat);
    number = raise_by_one(pool);
    return pool->share.branches ? pool_parts->cancel(pool, number) : MUSTER_OK;
}

muster_err pending_errand(struct muster__errand *work)
{
    struct seat seat;
    uint64_t number = 0;
    if (work->size == sizeof number)
        memcpy(&number, work->bytes, sizeof number);
    muster_err err = seat_enter(work->object, "a branch", &seat);
    if (err)
        return err;
    err = cancel_in(&seat, number);
    seat_leave(&seat);
    return err;
}

muster_err muster_pool_cancel_pending(muster_pool pool)
{
    static const char operation[] = "muster_pool_cancel_pending";
    struct seat seat;
    if (muster__is_remote(pool.handle, MUSTER__POOL))
        return pool_parts->ask_home(pool, PARTS_CANCEL, MUSTER_FOREVER, operation);
    muster_err err = seat_enter(pool.handle, operation, &seat);
    if (err)
        return err;
    err = cancel_in(&seat, 0);
    seat_leave(&seat);
    return err;
}
