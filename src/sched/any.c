/* SPDX-License-Identifier: BSD-3-Clause */
#include "sched/sched.h"

#include <string.h>

struct muster__any *any_enter(struct muster__any *any)
{
    struct muster__any *before = muster__running->any;
    muster__running->any = any;
    return before;
}

/* ---- a task's ---- */

static struct extra *extra_of(const struct record *record)
{
    return record->extra ? muster__heap_at(record->extra) : NULL;
}

/*
 * The block is this caller's until the record names it: a death before that frees it. Should the dead one have named it
 * and not handed it over, the record names a block that is freed, which any_forget takes for one that was.
 */
static bool keep(struct pool *pool, struct record *record, const void *bytes, size_t size, uint32_t self)
{
    struct extra *extra = record_extra(pool, record, self);
    muster__ref block = extra ? muster__heap_alloc(size ? size : 1, self) : 0;
    if (!block)
        return false;
    if (size)
        memcpy(muster__heap_at(block), bytes, size);
    muster__ref before = atomic_load_explicit(&extra->returned, memory_order_relaxed);
    if (before)
        muster__heap_free(before, self);
    else
        extra->reserved_bytes = atomic_load_explicit(&record->result_bytes, memory_order_relaxed);
    extra->returned_bytes = size;
    atomic_store_explicit(&extra->returned, block, memory_order_release);
    muster__heap_hand_over(block, self, pool_owner(pool));
    return true;
}

static muster_err task_take(struct muster__any *any, const void *bytes, size_t size)
{
    const struct any_task *task = (const struct any_task *)any;
    return keep(task->seat->pool, task->record, bytes, size, task->seat->self)
               ? MUSTER_OK
               : muster__fail(MUSTER_ERR_NOMEM, "muster_task_return: no %zu B left in the host segment", size);
}

struct any_task any_of_task(const struct seat *seat, struct record *record)
{
    return (struct any_task){
        .any = {.take = task_take, .item_bytes = record->arg_bytes}, .seat = seat, .record = record};
}

void any_commit(struct record *record)
{
    const struct extra *extra = extra_of(record);
    if (extra && atomic_load_explicit(&extra->returned, memory_order_relaxed))
        atomic_store_explicit(&record->result_bytes, extra->returned_bytes, memory_order_release);
}

/* A worker may have died between any_commit and the end: the size is again what was reserved. Of an extra that died
 * with its maker nothing is left. */
void any_forget(struct record *record, uint32_t self)
{
    struct extra *extra = extra_of(record);
    if (!extra) {
        record->extra = 0;
        return;
    }
    muster__ref returned = atomic_load_explicit(&extra->returned, memory_order_acquire);
    if (!returned)
        return;
    atomic_store_explicit(&record->result_bytes, extra->reserved_bytes, memory_order_relaxed);
    muster__heap_free(returned, self);
    atomic_store_explicit(&extra->returned, 0, memory_order_release);
}

void *any_returned(const struct record *record)
{
    const struct extra *extra = extra_of(record);
    muster__ref returned = extra ? atomic_load_explicit(&extra->returned, memory_order_relaxed) : 0;
    return returned ? muster__heap_at(returned) : NULL;
}

bool any_bring(struct pool *pool, struct record *record, const void *bytes, size_t size)
{
    if (!keep(pool, record, bytes, size, muster__self_state.number))
        return false;
    any_commit(record);
    return true;
}
