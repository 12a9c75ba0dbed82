#include "pool/any.h"
#include "pool/abroad.h"

#include <stdlib.h>
#include <string.h>

/* ---- called by tasks ---- */

size_t muster_task_item_bytes(void)
{
    return muster__running && muster__running->any ? muster__running->any->item_bytes : 0;
}

/* What went wrong is the task's text, too: it need only return the code. */
muster_err muster_task_return(const void *bytes, size_t size_bytes)
{
    const char *operation = "muster_task_return";
    struct muster__any *any = muster__running ? muster__running->any : NULL;
    muster_err err = check_block(operation, "bytes", bytes, 1, size_bytes);
    if (!err && !any)
        err = muster__fail(MUSTER_ERR_STATE, "%s: this thread runs no task", operation);
    if (!err)
        err = any->take(any, bytes, size_bytes);
    if (err)
        muster_task_fail(err, "%s", muster_err_detail());
    return err;
}

struct muster__any *any_enter(struct muster__any *any)
{
    struct muster__any *before = muster__running->any;
    muster__running->any = any;
    return before;
}

/* ---- results of a fixed size ---- */

static muster_err fixed_take(struct muster__any *any, const void *bytes, size_t size)
{
    struct any_fixed *fixed = (struct any_fixed *)any;
    if (size > fixed->result_bytes)
        return muster__fail(MUSTER_ERR_TOOBIG,
                            "muster_task_return: these results have %zu bytes each, not %zu; see muster_pool_map_list",
                            fixed->result_bytes, size);
    if (!fixed->result_bytes)
        return MUSTER_OK;
    char *result = fixed->results + (size_t)(muster__running->index - fixed->first) * fixed->result_bytes;
    if (size)
        memmove(result, bytes, size);
    memset(result + size, 0, fixed->result_bytes - size);
    return MUSTER_OK;
}

struct any_fixed any_fixed(size_t item_bytes, void *results, size_t result_bytes, int64_t first)
{
    return (struct any_fixed){.any = {.take = fixed_take, .item_bytes = item_bytes},
                              .results = results,
                              .result_bytes = result_bytes,
                              .first = first};
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
               : muster__fail(MUSTER_ERR_NOMEM, "muster_task_return: no %zu bytes left in the host segment", size);
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

/* ---- called by who gets ---- */

/* Of a task that has ended well. Its handle may be given up, and its record another's, at any time: what was read is
 * its own if it is still in the same state. */
static muster_err size_of(struct pool *pool, muster_task task, const char *operation, size_t *size_bytes)
{
    uint64_t state;
    struct record *record = record_of_task(pool, task, &state);
    while (record && state_names(state, task.handle.generation)) {
        uint64_t seen = state;
        size_t bytes = atomic_load(&record->result_bytes);
        state = atomic_load(&record->state);
        if (state != seen)
            continue;
        if (state_phase(state) != RECORD_DONE)
            return muster__fail(MUSTER_ERR_STATE, "%s: the task has not ended, or not well", operation);
        *size_bytes = bytes;
        return MUSTER_OK;
    }
    return task_stale(operation);
}

static muster_err size_there(muster_task task, const char *operation, size_t *size_bytes)
{
    uint64_t size = 0;
    muster_err err = abroad_ask(task.handle, ABROAD_SIZE, &size, operation);
    if (!err)
        *size_bytes = size;
    return err;
}

static muster_err size_in(muster_task task, const char *operation, size_t *size_bytes)
{
    muster_handle pool;
    struct seat seat;
    if (abroad_is(task.handle))
        return size_there(task, operation, size_bytes);
    muster_err err = task_pool(task, operation, &pool);
    if (!err)
        err = seat_enter(pool, operation, &seat);
    if (err)
        return err == MUSTER_ERR_STALE ? task_stale(operation) : err;
    err = size_of(seat.pool, task, operation, size_bytes);
    seat_leave(&seat);
    return err;
}

muster_err muster_task_size(muster_task task, size_t *size_bytes)
{
    muster_err err = check_pointer("muster_task_size", "size_bytes", size_bytes);
    return err ? err : size_in(task, "muster_task_size", size_bytes);
}

/* A get without room waits, and takes what failed or has no bytes. Of others it tells that they are there; should
 * another getter be faster then, it is as if he had been first. */
static muster_err take(muster_task task, char **block, size_t *size, int64_t timeout_ms)
{
    const char *operation = "muster_task_take";
    muster_err err = muster_task_get(task, NULL, 0, timeout_ms);
    if (err != MUSTER_ERR_TOOBIG)
        return err;
    err = size_in(task, operation, size);
    if (err)
        return err;
    char *wider = realloc(*block, *size + 1);
    if (!wider)
        return muster__fail(MUSTER_ERR_NOMEM, "%s: no memory for a result of %zu bytes", operation, *size);
    *block = wider;
    return muster_task_get(task, wider, *size, timeout_ms);
}

muster_err muster_task_take(muster_task task, void **result, size_t *size_bytes, int64_t timeout_ms)
{
    const char *operation = "muster_task_take";
    size_t size = 0;
    muster_err err = check_pointer(operation, "result", result);
    if (!err)
        err = muster__timeout_bad(operation, timeout_ms);
    if (err)
        return err;
    char *block = malloc(1);
    if (!block)
        return muster__fail(MUSTER_ERR_NOMEM, "%s: out of memory", operation);
    err = take(task, &block, &size, timeout_ms);
    if (err) {
        free(block);
        return err;
    }
    block[size] = '\0';
    *result = block;
    if (size_bytes)
        *size_bytes = size;
    return MUSTER_OK;
}
