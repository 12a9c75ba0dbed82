/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/abroad.h"
#include "pool/check.h"
#include "pool/map.h"
#include "pool/task.h"

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

/* ---- results of a fixed size ---- */

static muster_err fixed_take(struct muster__any *any, const void *bytes, size_t size)
{
    struct any_fixed *fixed = (struct any_fixed *)any;
    if (size > fixed->result_bytes)
        return muster__fail(MUSTER_ERR_TOOBIG,
                            "muster_task_return: these results have %zu B each, not %zu; see muster_pool_map_list",
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
        return muster__fail(MUSTER_ERR_NOMEM, "%s: no memory for a result of %zu B", operation, *size);
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
