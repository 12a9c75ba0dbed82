/* SPDX-License-Identifier: BSD-3-Clause */
#include "sched/sched.h"

#include <string.h>

/*
 * Groups: counters of tasks that have not ended, in a record of the pool that is final from the start. A task's record
 * names its group in `next`, which free records alone need otherwise; what it submits is of the same one.
 *
 * Each member is counted before it is queued, and counted off once it is final. Who dies in between leaves the count
 * too high, never too low: after a death in the pool whoever waits counts the members that are there.
 *
 * On another host a member is of a group of its own there, and comes back when all that it has submitted there has
 * ended.
 */

/* ---- members ---- */

void group_add(struct pool *pool, uint32_t group)
{
    atomic_fetch_add(&group_of(pool, group - 1)->open, 1);
}

bool group_is_canceled(struct pool *pool, uint32_t group)
{
    return atomic_load_explicit(&group_of(pool, group - 1)->canceled, memory_order_relaxed);
}

/* The first one that comes; without memory for it there is the count. */
static void keep_error(struct pool *pool, struct group *group, const struct muster_task_error *error)
{
    uint32_t self = muster__self_state.number;
    muster__ref none = 0, ref = atomic_load(&group->error) ? 0 : muster__heap_alloc(sizeof *error, self);
    if (!ref)
        return;
    memcpy(muster__heap_at(ref), error, sizeof *error);
    muster__heap_hand_over(ref, self, pool_owner(pool));
    if (!atomic_compare_exchange_strong(&group->error, &none, ref))
        muster__heap_free(ref, self);
}

void group_fails(struct pool *pool, uint32_t group, const struct record *record)
{
    struct group *of = group_of(pool, group - 1);
    atomic_fetch_add(&of->failed, 1);
    if (record->extra)
        keep_error(pool, of, &((struct extra *)muster__heap_at(record->extra))->error);
}

void group_fails_elsewhere(struct pool *pool, uint32_t group, int64_t failed, const struct muster_task_error *error)
{
    struct group *of = group_of(pool, group - 1);
    atomic_fetch_add(&of->failed, failed);
    if (error->err)
        keep_error(pool, of, error);
}

int64_t group_failed(struct pool *pool, muster_group group, struct muster_task_error *error)
{
    struct group *of = group_of(pool, group.handle.slot);
    muster__ref ref = atomic_load(&of->error);
    if (ref)
        *error = *(const struct muster_task_error *)muster__heap_at(ref);
    return atomic_load(&of->failed);
}

void group_done(struct pool *pool, uint32_t group)
{
    if (atomic_fetch_sub(&group_of(pool, group - 1)->open, 1) == 1)
        sched_ring_waiters(pool);
}

muster_err group_make(const struct seat *seat, muster_group *made)
{
    uint32_t index;
    struct record *record = record_new(seat, &index);
    if (!record)
        return muster__fail(MUSTER_ERR_NOMEM, "muster_group_create: the host segment is full; see segment_bytes");
    uint32_t generation = (uint32_t)(atomic_load_explicit(&record->state, memory_order_relaxed) >> 32);
    record->kind = RECORD_GROUP;
    memset(record->bytes, 0, sizeof record->bytes);
    atomic_store(&group_of(seat->pool, index)->deaths, atomic_load(&seat->pool->deaths));
    *made = (muster_group){task_handle(pool_tasks_word(seat->pool), index, generation)};
    atomic_store(&record->state, state_make(generation, 0, RECORD_DONE));
    return MUSTER_OK;
}

/* ---- waiting ---- */

static bool is_member(uint64_t state, const struct record *record, uint32_t group)
{
    enum phase phase = state_phase(state);
    return phase != RECORD_FREE && !phase_final(phase) && record->kind == RECORD_TASK && record->next == group;
}

static bool any_member(struct pool *pool, uint32_t group)
{
    struct record *record;
    for (uint32_t index = 0; (record = pool_walk(pool, &index)); index++)
        if (is_member(atomic_load(&record->state), record, group))
            return true;
    return false;
}

static bool is_empty(struct pool *pool, struct group *group, uint32_t index)
{
    uint32_t deaths = atomic_load(&pool->deaths);
    if (atomic_load(&group->open) == 0)
        return true;
    int64_t submitted = pool_submitted(pool);
    if (deaths == atomic_load(&group->deaths) || any_member(pool, index + 1) || submitted != pool_submitted(pool))
        return false; /* one that is submitted while the others are looked at may have been missed */
    atomic_store(&group->deaths, deaths);
    atomic_store(&group->open, 0);
    return true;
}

bool group_is_empty(struct pool *pool, muster_group group)
{
    return is_empty(pool, group_of(pool, group.handle.slot), group.handle.slot);
}

void group_end(struct pool *pool, muster_group group, struct lane *mine)
{
    struct record *record = pool_record(pool, group.handle.slot);
    muster__heap_free(atomic_load(&group_of(pool, group.handle.slot)->error), muster__self_state.number);
    record_free(pool, record, group.handle.slot, mine);
}
