/* SPDX-License-Identifier: BSD-3-Clause */
#include "sched/sched.h"

#include <string.h>

/*
 * Fork and join, the shortest way: a worker submits a small task to its own pool, and gets it while it is still the
 * newest one in its own deque. Nothing is done here that task.c, sched.c and run.c do not do in general; whatever is
 * not plain (options, large data, counters, an initializer that has not run, a signal, a task that fails, that somebody
 * else waits for, cancels or forgets) goes their way. What it saves: one of three atomic steps, as the task is run and
 * got by one thread, and the questions that have one answer for all tasks of a worker.
 */

static void copy(void *to, const void *from, size_t bytes)
{
    switch (bytes) {
    case 0:
        break;
    case 4:
        memcpy(to, from, 4);
        break;
    case 8:
        memcpy(to, from, 8);
        break;
    case 16:
        memcpy(to, from, 16);
        break;
    case 24:
        memcpy(to, from, 24);
        break;
    default:
        memcpy(to, from, bytes);
    }
}

static bool fits(size_t arg_bytes, size_t result_bytes)
{
    return arg_bytes <= RECORD_BLOCK && result_bytes <= RECORD_BLOCK &&
           round_16(arg_bytes) + result_bytes <= RECORD_BLOCK;
}

static bool is_own(const struct seat *seat)
{
    return seat->self == muster__self_state.number && !muster__counts();
}

/* A plain store by the counter's only writer. */
static void add_one(_Atomic int64_t *counter)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
}

bool fork_submit(const struct seat *seat, muster_task *task, muster__function function, const void *arg,
                 size_t arg_bytes, size_t result_bytes)
{
    struct lane *lane = seat->lane;
    struct pool *pool = seat->pool;
    if (!fits(arg_bytes, result_bytes) || !is_own(seat) || !lane->free_list || pool_state(pool) != POOL_OPEN ||
        pool->retries || pool->memory_limit || (muster__running && muster__running->group))
        return false;
    uint32_t index = lane->free_list - 1;
    struct record *record = pool_record(pool, index);
    bool inside = round_16(arg_bytes) + result_bytes <= RECORD_INLINE;
    unsigned char *bytes = record->bytes;
    if (MUSTER__UNLIKELY(!inside || record->data)) { /* one that has kept a block, and needs it */
        bytes = inside ? NULL : record_block(record);
        if (!bytes)
            return false;
        lane->kept--;
    }
    uint32_t generation = (uint32_t)(atomic_load_explicit(&record->state, memory_order_relaxed) >> 32);
    record_ref ref = (uint64_t)generation << 32 | index;
    atomic_store_explicit(&record->state, state_make(generation, lane->index, RECORD_FILLING), memory_order_relaxed);
    lane->free_list = record->next;
    record->next = 0;
    record->kind = RECORD_TASK;
    record->retries = 0;
    record->function = function;
    record->arg_bytes = arg_bytes;
    atomic_store_explicit(&record->result_bytes, result_bytes, memory_order_relaxed);
    atomic_store_explicit(&record->number, lane->numbers++, memory_order_relaxed);
    copy(bytes, arg, arg_bytes);
    add_one(&lane->submitted);
    atomic_store_explicit(&record->state, state_make(generation, lane->index, RECORD_QUEUED), memory_order_release);
    *task = (muster_task){task_handle(seat_last.tasks, index, generation)};
    if (MUSTER__UNLIKELY(!deque_push(&lane->deque, ref, seat->self))) {
        atomic_store_explicit(&record->state, state_make(generation, lane->index, RECORD_FILLING),
                              memory_order_relaxed);
        atomic_fetch_sub(&lane->submitted, 1);
        record_free(pool, record, index, lane);
        return false;
    }
    if (MUSTER__LIKELY(lane->light))
        muster__barrier_light();
    else
        sched_go_light(seat);
    if (MUSTER__UNLIKELY(sched_idle(pool) & SCHED_ASLEEP))
        sched_wake_one(seat);
    return true;
}

/* Nothing stands between this worker and running its newest task. */
static bool is_plain(const struct seat *seat)
{
    return is_own(seat) && context_has_room() && !sched_untold.whole && pool_state(seat->pool) <= POOL_CLOSED &&
           atomic_load_explicit(&pool_worker(seat->pool, (int)seat->lane->index)->ready, memory_order_relaxed) &&
           !atomic_load_explicit(&muster__segment->signal, memory_order_relaxed);
}

/* The record, RUNNING by this lane; NULL: it is not this worker's newest, or somebody else has an eye on it. */
static struct record *take_newest(const struct seat *seat, muster_task task, size_t capacity)
{
    struct lane *lane = seat->lane;
    uint32_t index = task.handle.slot, generation = task.handle.generation;
    record_ref newest;
    if (!deque_peek(&lane->deque, &newest) || newest != ((uint64_t)generation << 32 | index))
        return NULL;
    struct record *record = pool_record(seat->pool, index); /* it is there: the deque says so */
    if (record->kind != RECORD_TASK || record->next || record->extra ||
        atomic_load_explicit(&record->result_bytes, memory_order_relaxed) > capacity ||
        MUSTER__UNLIKELY(record->data && !record_block(record)))
        return NULL;
    if (!deque_take_begin(&lane->deque, &newest))
        return NULL;
    bool claimed = sched_claim(seat, record, newest);
    deque_take_end(&lane->deque);
    return claimed ? record : NULL;
}

/* From RUNNING, which nobody else has marked, to FREE in one step: it ended, was got, and is nobody's. */
static bool end_and_free(const struct seat *seat, struct record *record, uint32_t index, uint32_t generation)
{
    struct lane *lane = seat->lane;
    uint64_t running = state_make(generation, lane->index, RECORD_RUNNING);
    uint64_t free = state_make(generation + 1 ? generation + 1 : 1, 0, RECORD_FREE);
    if (!atomic_compare_exchange_strong(&record->state, &running, free))
        return false;
    if (MUSTER__LIKELY(record->home == lane->index)) {
        lane->kept += record->data != 0;
        record->next = lane->free_list;
        lane->free_list = index + 1;
    } else {
        record_give_back(seat->pool, record, index);
    }
    return true;
}

static unsigned char *bytes_of(struct record *record)
{
    return MUSTER__UNLIKELY(record->data) ? muster__heap_at(record->data) : record->bytes;
}

static int run(const struct seat *seat, struct record *record, void *pointer)
{
    struct lane *lane = seat->lane;
    const char *site = muster_site;
    sched_deeper(lane, 1);
    size_t arg_bytes = record->arg_bytes,
           result_bytes = atomic_load_explicit(&record->result_bytes, memory_order_relaxed);
    unsigned char *bytes = bytes_of(record), *result = bytes + round_16(arg_bytes);
    if (result_bytes)
        memset(result, 0, result_bytes);
    muster__ref user = seat->pool->user;
    struct any_task any = any_of_task(seat, record);
    struct calling calling = {(muster_task_fn)pointer, record->function, "task", record->number, 0, &any.any};
    int code = run_call(seat, &calling, arg_bytes ? bytes : NULL, result_bytes ? result : NULL,
                        user ? muster__heap_at(user) : NULL);
    sched_deeper(lane, -1);
    muster_site = site;
    return code;
}

bool fork_join(const struct seat *seat, muster_task task, void *result, size_t capacity)
{
    void *pointer;
    if (!is_plain(seat))
        return false;
    struct record *record = take_newest(seat, task, capacity);
    if (!record)
        return false;
    uint32_t index = task.handle.slot;
    if (MUSTER__UNLIKELY(muster__function_find(record->function, &pointer) != MUSTER_OK)) {
        run_task(seat, record, index);
        return false;
    }
    int code = run(seat, record, pointer);
    if (MUSTER__UNLIKELY(code || record->extra)) {
        run_ended(seat, record, index, code);
        return false;
    }
    size_t bytes = atomic_load_explicit(&record->result_bytes, memory_order_relaxed);
    unsigned char kept[RECORD_BLOCK]; /* who comes too late leaves the getter's buffer alone */
    copy(kept, bytes_of(record) + round_16(record->arg_bytes), bytes);
    if (MUSTER__UNLIKELY(!end_and_free(seat, record, index, task.handle.generation))) {
        run_ended(seat, record, index, 0);
        return false;
    }
    copy(result, kept, bytes);
    add_one(&seat->lane->finished);
    muster__barrier_light();
    if (MUSTER__UNLIKELY(pool_state(seat->pool) != POOL_OPEN))
        sched_ring_waiters(seat->pool);
    return true;
}
