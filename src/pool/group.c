/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/abroad.h"
#include "pool/check.h"
#include "pool/task.h"

/* Groups as their users see them; what they are: sched/group.c. */

struct entry {
    struct seat seat;
    muster_group handle;
    struct group *group;
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
    entry->handle = group;
    entry->group = group_of(entry->seat.pool, group.handle.slot);
    return MUSTER_OK;
}

muster_err group_name(const struct seat *seat, const muster_group *group, uint32_t *named)
{
    uint64_t state;
    const struct muster__running *running = muster__running;
    *named = running && running->pool == seat->pool ? running->group : 0;
    if (!group)
        return MUSTER_OK;
    struct record *record = !abroad_is(group->handle) && group->handle.job == pool_tasks_word(seat->pool)
                                ? record_of_task(seat->pool, (muster_task){group->handle}, &state)
                                : NULL;
    if (!record || record->kind != RECORD_GROUP)
        return stale("muster_pool_submit");
    *named = group->handle.slot + 1;
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

static bool entry_over(void *arg)
{
    struct entry *entry = arg;
    return group_is_empty(entry->seat.pool, entry->handle) || pool_state(entry->seat.pool) > POOL_CLOSED;
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
        err = muster__fail(MUSTER_ERR_CANCELED, "%s: %lld task%s of the group canceled", operation, (long long)failed,
                           muster__s(failed));
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
        muster__fail(err, "%s: not ended within %lld ms: %lld of the group's tasks", operation, (long long)timeout_ms,
                     (long long)atomic_load(&entry.group->open));
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
    if (!group_is_empty(entry.seat.pool, group))
        err = muster__fail(MUSTER_ERR_STATE, "%s: not ended: %lld of its tasks; wait for them first", operation,
                           (long long)atomic_load(&entry.group->open));
    else if (!record_drop(pool_record(entry.seat.pool, group.handle.slot), group.handle.generation, &before))
        err = stale(operation);
    else
        group_end(entry.seat.pool, group, entry.seat.lane);
    seat_leave(&entry.seat);
    return err;
}
