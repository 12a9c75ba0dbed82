#include "pool/abroad.h"

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

struct group {
    _Atomic int64_t open, failed;
    _Atomic muster__ref error; /* struct muster_task_error, the first one; 0: none */
    _Atomic uint32_t canceled;
    _Atomic uint32_t deaths; /* in the pool, when the members were counted last */
};
_Static_assert(sizeof(struct group) <= RECORD_INLINE, "a group is in its record");

static struct group *group_of(struct pool *pool, uint32_t index)
{
    return (struct group *)(void *)pool_record(pool, index)->bytes;
}

/* ---- members: by the scheduler ---- */

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

/* ---- what callers do with one ---- */

struct entry {
    struct seat seat;
    struct group *group;
    uint32_t index;
};

static muster_err stale(const char *operation)
{
    return muster__fail(MUSTER_ERR_STALE, "%s: the group was destroyed or never created, or its pool is gone",
                        operation);
}

static muster_err enter(muster_group group, const char *operation, struct entry *entry)
{
    muster_handle pool;
    uint64_t state;
    muster_task as_task = {group.handle};
    muster_err err = task_pool(as_task, operation, &pool);
    if (!err)
        err = seat_enter(pool, operation, &entry->seat);
    if (err)
        return err == MUSTER_ERR_STALE ? stale(operation) : err;
    struct record *record = record_of_task(entry->seat.pool, as_task, &state);
    if (!record || record->kind != RECORD_GROUP) {
        seat_leave(&entry->seat);
        return stale(operation);
    }
    entry->index = group.handle.slot;
    entry->group = group_of(entry->seat.pool, entry->index);
    return MUSTER_OK;
}

muster_err group_name(const struct seat *seat, const muster_group *group, uint32_t *named)
{
    uint64_t state;
    const struct muster__running *running = muster__running;
    *named = running && running->pool == seat->pool ? running->group : 0;
    if (!group)
        return MUSTER_OK;
    struct record *record = group->handle.job == pool_tasks_word(seat->pool)
                                ? record_of_task(seat->pool, (muster_task){group->handle}, &state)
                                : NULL;
    if (!record || record->kind != RECORD_GROUP)
        return stale("muster_pool_submit");
    *named = group->handle.slot + 1;
    return MUSTER_OK;
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

muster_err muster_group_create(muster_group *group, muster_pool pool)
{
    static const char operation[] = "muster_group_create";
    struct seat seat;
    muster_err err = check_pointer(operation, "group", group);
    if (!err)
        err = seat_enter(pool.handle, operation, &seat);
    if (err)
        return err;
    err = task_refusal(seat.pool, operation);
    if (!err)
        err = group_make(&seat, group);
    seat_leave(&seat);
    return err;
}

/* ---- waiting ---- */

static bool is_member(uint64_t state, const struct record *record, uint32_t group)
{
    enum phase phase = state_phase(state);
    return phase != RECORD_FREE && !phase_final(phase) && record->kind == RECORD_TASK && record->next == group;
}

static bool any_member(struct pool *pool, uint32_t group)
{
    for (uint32_t slab = 0; slab < POOL_SLABS && slab < atomic_load(&pool->slabs); slab++)
        for (uint32_t i = 0, index = slab_begin(slab); i < slab_records(slab) && pool->slab_offset[slab];
             i++, index++) {
            const struct record *record = pool_record(pool, index);
            if (is_member(atomic_load(&pool_record(pool, index)->state), record, group))
                return true;
        }
    return false;
}

static bool is_empty(struct pool *pool, struct group *group, uint32_t index)
{
    uint32_t deaths = atomic_load(&pool->deaths);
    if (atomic_load(&group->open) == 0)
        return true;
    if (deaths == atomic_load(&group->deaths) || any_member(pool, index + 1))
        return false;
    atomic_store(&group->deaths, deaths);
    atomic_store(&group->open, 0);
    return true;
}

static bool entry_over(void *arg)
{
    struct entry *entry = arg;
    return is_empty(entry->seat.pool, entry->group, entry->index) || pool_state(entry->seat.pool) > POOL_CLOSED;
}

bool group_is_empty(struct pool *pool, muster_group group)
{
    return is_empty(pool, group_of(pool, group.handle.slot), group.handle.slot);
}

/* What it came to, told once. */
static muster_err outcome(struct entry *entry)
{
    static const char operation[] = "muster_group_wait";
    struct group *group = entry->group;
    int64_t failed = atomic_exchange(&group->failed, 0);
    muster__ref ref = atomic_exchange(&group->error, 0);
    muster_err err = MUSTER_OK;
    if (ref) {
        struct muster_task_error error = *(const struct muster_task_error *)muster__heap_at(ref);
        error.failed = failed;
        muster__heap_free(ref, muster__self_state.number);
        return run_report(&error, operation);
    }
    if (failed)
        err = muster__fail(MUSTER_ERR_CANCELED, "%s: %lld tasks of the group were canceled", operation,
                           (long long)failed);
    return err;
}

muster_err muster_group_wait(muster_group group, int64_t timeout_ms)
{
    static const char operation[] = "muster_group_wait";
    struct entry entry;
    muster_err err = muster__timeout_bad(operation, timeout_ms);
    if (!err && abroad_is(group.handle))
        return abroad_group_wait(group, timeout_ms);
    if (!err)
        err = enter(group, operation, &entry);
    if (err)
        return err;
    err = sched_wait(
        &entry.seat,
        &(struct wait_for){.over = entry_over, .arg = &entry, .deadline_ns = muster__deadline_ns(timeout_ms)});
    if (err == MUSTER_ERR_TIMEOUT)
        muster__fail(err, "%s: %lld tasks of the group have not ended within %lld ms", operation,
                     (long long)atomic_load(&entry.group->open), (long long)timeout_ms);
    if (!err && atomic_load(&entry.group->open) && pool_state(entry.seat.pool) > POOL_CLOSED) {
        err = worker_broken(entry.seat.pool, operation);
        if (!err)
            err = muster__fail(MUSTER_ERR_CANCELED, "%s: the pool was terminated before all tasks ended", operation);
    }
    if (!err)
        err = outcome(&entry);
    seat_leave(&entry.seat);
    return err;
}

muster_err muster_group_cancel(muster_group group)
{
    struct entry entry;
    if (abroad_is(group.handle))
        return abroad_ask(group.handle, ABROAD_GROUP_CANCEL, NULL, "muster_group_cancel");
    muster_err err = enter(group, "muster_group_cancel", &entry);
    if (err)
        return err;
    atomic_store(&entry.group->canceled, 1);
    seat_leave(&entry.seat);
    return MUSTER_OK;
}

void group_end(struct pool *pool, muster_group group, struct lane *mine)
{
    struct record *record = pool_record(pool, group.handle.slot);
    muster__heap_free(atomic_load(&group_of(pool, group.handle.slot)->error), muster__self_state.number);
    record_free(pool, record, group.handle.slot, mine);
}

muster_err muster_group_destroy(muster_group group)
{
    static const char operation[] = "muster_group_destroy";
    struct entry entry;
    uint64_t before;
    if (abroad_is(group.handle))
        return abroad_ask(group.handle, ABROAD_GROUP_DESTROY, NULL, operation);
    muster_err err = enter(group, operation, &entry);
    if (err)
        return err;
    if (!is_empty(entry.seat.pool, entry.group, entry.index))
        err = muster__fail(MUSTER_ERR_STATE, "%s: %lld tasks of it have not ended; wait for them first", operation,
                           (long long)atomic_load(&entry.group->open));
    else if (!record_drop(pool_record(entry.seat.pool, entry.index), group.handle.generation, &before))
        err = stale(operation);
    else
        group_end(entry.seat.pool, group, entry.seat.lane);
    seat_leave(&entry.seat);
    return err;
}
