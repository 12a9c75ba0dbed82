/* SPDX-License-Identifier: BSD-3-Clause */
#include "sched/sched.h"

#include <stdio.h>
#include <string.h>

/* A worker that dies this often in a row in its initializer will do so for ever. */
#define FAILED_TRIES_MAX 3

void recover_error(const struct death *death, struct muster_task_error *error, int64_t index, muster__function function)
{
    *error = (struct muster_task_error){.err = death->limit ? death->limit : MUSTER_ERR_CRASHED,
                                        .code = death->info.signal,
                                        .index = index,
                                        .worker = pool_worker_number(death->seat.pool, death->seat.lane->index),
                                        .rank = death->info.rank,
                                        .failed = 1};
    snprintf(error->host, sizeof error->host, "%s", muster__host_name());
    muster__function_describe(function, error->function, sizeof error->function);
    if (death->limit == MUSTER_ERR_NOMEM)
        snprintf(error->text, sizeof error->text, "it had taken %llu B of memory, its limit is %llu",
                 (unsigned long long)death->info.memory_bytes, (unsigned long long)death->info.memory_limit);
    else if (death->info.victim)
        snprintf(
            error->text, sizeof error->text,
            "the kernel's out-of-memory killer ended it: the machine or its cgroup had no memory left; it had %llu "
            "MiB at most",
            (unsigned long long)(death->info.memory_bytes >> 20));
    else if (!death->info.signal)
        snprintf(error->text, sizeof error->text, "the task ended its worker with exit code %d", death->info.exit_code);
}

void recover_queue_again(const struct death *death, struct record *record, uint32_t index)
{
    if (!shelf_or_queue(&death->seat, record, index))
        worker_break(death->seat.pool, "no memory left to queue a dead worker's tasks again");
}

/* ---- tasks ---- */

static void task_died(const struct death *death, struct record *record, uint32_t index, uint64_t state)
{
    struct pool *pool = death->seat.pool;
    const struct extra *ended = record->extra ? muster__heap_at(record->extra) : NULL;
    if (ended && ended->is_map) { /* its items are over, and it was being ended */
        sched_kinds[RECORD_PIECE].end(&death->seat, record, index);
        return;
    }
    if (record->extra)
        any_forget(record, death->seat.self);
    if (state & STATE_KILLED || pool_state(pool) == POOL_TERMINATED || pool_state(pool) == POOL_STOPPING) {
        sched_finish(pool, record, index, RECORD_CANCELED, death->seat.lane);
        return;
    }
    if (death->host || (record->retries > 0 && !death->limit)) {
        record->retries -= !death->host;
        recover_queue_again(death, record, index);
        return;
    }
    struct extra *extra = record_extra(pool, record, death->seat.self);
    if (extra)
        recover_error(death, &extra->error, record->number, record->function);
    sched_finish(pool, record, index, RECORD_FAILED, death->seat.lane);
}

/* ---- a lane ---- */

static void filling_died(const struct death *death, struct record *record, uint32_t index)
{
    struct lane *lane = death->seat.lane;
    if (lane->free_list == index + 1)
        lane->free_list = record->next;
    if (record->kind != RECORD_TASK)
        record->extra = 0;
    muster__heap_free(record->data, death->seat.self); /* it may be the dead one's still */
    record->data = 0;
    record_free(death->seat.pool, record, index, NULL);
}

static bool is_of(const struct death *death, uint64_t state)
{
    return state_phase(state) != RECORD_FREE && !phase_final(state_phase(state)) &&
           state_lane(state) == death->seat.lane->index;
}

static void visit_filling(const struct death *death, struct record *record, uint32_t index)
{
    uint64_t state = atomic_load(&record->state);
    if (is_of(death, state) && state_phase(state) == RECORD_FILLING)
        filling_died(death, record, index);
}

static void visit(const struct death *death, struct record *record, uint32_t index)
{
    uint64_t state = atomic_load(&record->state);
    if (!is_of(death, state) || state_phase(state) == RECORD_FILLING)
        return;
    if (state_phase(state) == RECORD_QUEUED)
        deque_push(&death->seat.lane->deque, state >> 32 << 32 | index, death->seat.self);
    else if (record->kind == RECORD_TASK)
        task_died(death, record, index, state);
    else
        sched_kinds[record->kind].died(death, record, index);
}

/* The dead one may have counted a map's last items, and have told nobody. */
static void look_at_map(const struct death *death, struct record *record, uint32_t index)
{
    uint64_t state = atomic_load(&record->state);
    if (MUSTER__UNLIKELY(state_is_map(state)))
        sched_kinds[RECORD_PIECE].look(&death->seat, state >> 32 << 32 | index);
}

static void visit_all(const struct death *death, uint32_t dead,
                      void (*visitor)(const struct death *death, struct record *record, uint32_t index))
{
    struct pool *pool = death->seat.pool;
    uint32_t slabs = atomic_load(&pool->slabs);
    struct record *record;
    for (uint32_t slab = 0; slab < slabs && slab < POOL_SLABS; slab++)
        if (pool->slab_offset[slab])
            muster__heap_hand_over(pool->slab_ref[slab], dead, pool_owner(pool));
    for (uint32_t index = 0; (record = pool_walk(pool, &index)); index++)
        visitor(death, record, index);
}

/*
 * Thieves go on stealing from the deque meanwhile; a task that comes out of it twice is claimed once. Records between
 * two lists at the moment of death are not reused before the pool's end: at most a handful a death.
 */
void recover_lane(struct pool *pool, struct lane *lane, uint32_t self)
{
    uint32_t dead = atomic_load(&lane->owner), member = atomic_load(&lane->member);
    struct death death = {.seat = {.pool = pool, .lane = lane, .self = self},
                          .host = pool_is_carrier(pool, lane->index)};
    uint32_t generation;
    if (member < MUSTER__MEMBERS_MAX) {
        muster__child_info(member, &death.info);
        bool is_worker = lane->index < (uint32_t)pool->workers; /* else its limits are those of what it ran elsewhere */
        death.limit = !is_worker                      ? MUSTER_OK
                      : death.info.memory_over        ? MUSTER_ERR_NOMEM
                      : muster__child_overran(member) ? MUSTER_ERR_TIMEOUT
                                                      : MUSTER_OK;
    }
    if (muster__latch_seize(&pool->lanes_latch, dead, self, &generation))
        muster__latch_release(&pool->lanes_latch, generation, self);
    shelf_seize(pool, dead, self);
    deque_repair(&lane->deque, dead);
    visit_all(&death, dead, visit);
    visit_all(&death, dead, visit_filling); /* last: a half that was being split off tells its piece by its phase */
    visit_all(&death, dead, look_at_map);
    follow_recover(pool);
    atomic_store(&lane->depth, 0);
    atomic_fetch_add(&pool->deaths, 1);
    sched_forget_lane(pool, lane->index);
    atomic_store(&lane->owner, 0);
    sched_ring_all(pool);
}

/* Submitters that died; workers were seen to by recover_child_died before. */
void recover_sweep(struct muster__object *object, uint32_t generation, uint32_t dead, uint32_t self)
{
    (void)generation;
    struct pool *pool = pool_of(object);
    if (!pool)
        return;
    uint32_t seized;
    if (muster__latch_seize(&pool->lanes_latch, dead, self, &seized))
        muster__latch_release(&pool->lanes_latch, seized, self);
    shelf_seize(pool, dead, self);
    for (int i = 0; i < pool->share.branches; i++)
        if (MUSTER__OWNER_HOST + (uint32_t)pool_branch(pool, i)->host == dead)
            atomic_store(&pool_branch(pool, i)->lost, true);
    uint32_t lanes = atomic_load(&pool->lanes_used);
    for (uint32_t i = 0; i < lanes; i++)
        if (atomic_load(&pool->lane[i].owner) == dead)
            recover_lane(pool, &pool->lane[i], self);
    follow_recover(pool);
    for (int i = 0; i < pool->share.branches; i++)
        if (MUSTER__OWNER_HOST + (uint32_t)pool_branch(pool, i)->host == dead)
            shelf_lost(&(struct seat){.pool = pool, .self = self}, (uint32_t)(pool->workers + i));
}

/* ---- workers ---- */

static void replace(struct pool *pool, int i, const struct muster__member_info *info)
{
    struct worker_slot *worker = pool_worker(pool, i);
    atomic_store(&worker->ready, 0);
    worker->failed_tries += atomic_exchange(&worker->trying, 0) != 0;
    if (pool_state(pool) > POOL_CLOSED)
        return;
    uint32_t member = atomic_exchange(&worker->member, MUSTER__MEMBERS_MAX);
    muster__child_release(member);
    if (worker->failed_tries >= FAILED_TRIES_MAX)
        worker_break(pool, "worker %d died %d times in its initializer, last by signal %d, exit code %d", i,
                     worker->failed_tries, info->signal, info->exit_code);
    else if (worker_start(pool, i))
        worker_break(pool, "worker %d died and could not be replaced: %.100s", i, muster_err_detail());
}

static void worker_died(struct pool *pool, int i, uint32_t member, uint32_t self)
{
    struct muster__member_info info;
    struct lane *lane = &pool->lane[i];
    muster__child_info(member, &info);
    if (atomic_load(&lane->owner) && atomic_load(&lane->member) == member)
        recover_lane(pool, lane, self);
    replace(pool, i, &info);
}

/* Pins each pool while it looks: its creator may be ending it at this moment. */
void recover_child_died(uint32_t member, uint32_t self)
{
    muster_handle handle;
    for (uint32_t at = 0; muster__object_next(MUSTER__POOL, &at, &handle);) {
        struct muster__object *object = muster__object_pin(handle, MUSTER__POOL);
        if (!object)
            continue;
        struct pool *pool = pool_of(object);
        for (int i = 0; pool->isolated && i < pool->workers; i++)
            if (atomic_load(&pool_worker(pool, i)->member) == member)
                worker_died(pool, i, member, self);
        muster__object_unpin();
    }
}
