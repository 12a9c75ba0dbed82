/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/task.h"
#include "pool/abroad.h"
#include "pool/check.h"
#include "pool/map.h"
#include "pool/pending.h"

#include <sched.h>
#include <string.h>

/* ---- handles ---- */

muster_err task_stale(const char *operation)
{
    if (!muster__segment)
        return muster__fail(MUSTER_ERR_STATE, "%s: muster is not running", operation);
    return muster__fail(MUSTER_ERR_STALE, "%s: the task was got, forgotten or never submitted, or its pool is gone",
                        operation);
}

muster_err task_pool(muster_task task, const char *operation, muster_handle *pool)
{
    muster_handle handle = task.handle;
    uint32_t slot = handle.job >> 16;
    if (!muster__segment || handle.kind_home >> 24 != MUSTER__TASK || slot >= MUSTER__OBJECTS_MAX)
        return task_stale(operation);
    if (muster__handle_home(handle) != (int)muster__segment->host)
        return task_stale(operation);
    uint32_t generation = (uint32_t)(atomic_load(&muster__object_slot(slot)->tag) >> 32);
    if ((generation & 0xffff) != (handle.job & 0xffff))
        return task_stale(operation);
    *pool = muster__handle_make(MUSTER__POOL, slot, generation);
    return MUSTER_OK;
}

/* what every call on a task begins with */
struct entry {
    struct seat seat;
    struct record *record;
    uint32_t index, generation;
    muster__ref map; /* that it is, while somebody waits for it; 0: none */
};

static muster_err enter(muster_task task, const char *operation, struct entry *entry)
{
    muster_handle pool;
    uint64_t state;
    muster_err err = task_pool(task, operation, &pool);
    if (MUSTER__LIKELY(!err))
        err = seat_enter(pool, operation, &entry->seat);
    if (err)
        return err == MUSTER_ERR_STALE ? task_stale(operation) : err;
    entry->record = record_of_task(entry->seat.pool, task, &state);
    entry->index = task.handle.slot;
    entry->generation = task.handle.generation;
    entry->map = 0;
    if (entry->record)
        return MUSTER_OK;
    seat_leave(&entry->seat);
    return task_stale(operation);
}

/* ---- submit ---- */

muster_err task_refusal(struct pool *pool, const char *operation)
{
    if (MUSTER__LIKELY(pool_state(pool) == POOL_OPEN))
        return MUSTER_OK;
    muster_err broken = worker_broken(pool, operation);
    return broken ? broken : muster__fail(MUSTER_ERR_CLOSED, "%s: the pool was closed", operation);
}

static muster_err check_after(const struct seat *seat, const muster_submit_options *options)
{
    uint64_t state;
    for (int64_t i = 0; i < options->after_n; i++) {
        muster_task task = options->after[i];
        muster_handle pool;
        muster_err err = task_pool(task, "muster_pool_submit: after", &pool);
        if (err)
            return err;
        if (task.handle.job != pool_tasks_word(seat->pool))
            return muster__fail(MUSTER_ERR_INVAL, "muster_pool_submit: after[%lld] is a task of another pool",
                                (long long)i);
        const struct record *record = record_of_task(seat->pool, task, &state);
        if (!record || record->kind != RECORD_TASK)
            return task_stale("muster_pool_submit: after");
    }
    return MUSTER_OK;
}

static muster_err place(const struct seat *seat, struct record *record, const muster_submit_options *options)
{
    muster_err err = check_after(seat, options);
    if (!err)
        err = shelf_place(seat, record, options);
    return !err && options->after_n ? follow_place(seat, record, options) : err;
}

static muster_err apply_options(const struct seat *seat, struct record *record, const muster_submit_options *options,
                                const struct context *shared)
{
    struct pool *pool = seat->pool;
    int retries = options && options->retries ? options->retries : pool->retries;
    record->retries = (uint8_t)(retries == MUSTER_NO_RETRIES ? 0 : retries);
    if (!shared && (!options || (!options->user && options->time_limit_ms <= 0 && !options->memory_limit_bytes &&
                                 !shelf_wants(options))))
        return MUSTER_OK;
    if (options && options->time_limit_ms > 0 && !pool->isolated)
        return muster__fail(MUSTER_ERR_UNSUPPORTED,
                            "a time limit needs isolated workers: a task inside a rank cannot be stopped");
    if (options && options->memory_limit_bytes && !pool->isolated)
        return muster__fail(MUSTER_ERR_UNSUPPORTED,
                            "a memory limit needs isolated workers: a task inside a rank cannot be stopped");
    struct extra *extra = record_extra(pool, record, seat->self);
    if (!extra)
        return muster__fail(MUSTER_ERR_NOMEM, "the host segment is full; see segment_bytes");
    extra->time_limit_ms = options ? options->time_limit_ms : 0;
    extra->memory_limit = options ? options->memory_limit_bytes : 0;
    muster_err err = shelf_wants(options) ? place(seat, record, options) : MUSTER_OK;
    if (err)
        return err;
    if (shared) {
        extra->user_shared = true;
        extra->user_bytes = shared->bytes;
        extra->user = shared->block;
        return MUSTER_OK;
    }
    if (options && options->user && options->user_bytes && !user_give(seat, extra, options->user, options->user_bytes))
        return muster__fail(MUSTER_ERR_NOMEM, "no %zu B left in the host segment", options->user_bytes);
    return MUSTER_OK;
}

static muster_err fill(const struct seat *seat, struct record *record, muster__function function, const void *arg,
                       size_t arg_bytes, size_t result_bytes, const muster_submit_options *options,
                       const struct context *shared)
{
    muster_err err = group_name(seat, options ? options->group : NULL, &record->next);
    if (err)
        return err;
    record->kind = RECORD_TASK;
    record->function = function;
    atomic_store_explicit(&record->number, seat->lane->numbers, memory_order_relaxed);
    if (!record_reserve(seat->pool, record, arg_bytes, result_bytes, seat->self))
        return muster__fail(MUSTER_ERR_NOMEM, "no %zu B left in the host segment for an argument and its result",
                            arg_bytes + result_bytes);
    if (arg_bytes)
        memcpy(record_arg(record), arg, arg_bytes);
    return apply_options(seat, record, options, shared);
}

static bool calls_back(const muster_submit_options *options)
{
    return options && options->callbacks && (options->callbacks->on_result || options->callbacks->on_error);
}

/* Of a task that is queued: without memory for that it runs for nobody. */
static muster_err call_back(muster_task task, const muster_submit_options *options)
{
    muster_err err = callback_add(task, options->callbacks);
    if (err)
        muster_task_forget(task);
    return err;
}

static bool queue(const struct seat *seat, struct record *record, uint32_t index, const muster_submit_options *options)
{
    if (MUSTER__LIKELY(!shelf_wants(options)))
        return sched_queue(seat, record, index);
    if (!follow_hold(seat->pool, record, index))
        shelf_queue(seat, record, index);
    return true;
}

muster_err task_submit(const struct seat *seat, muster_task *task, muster__function function, const void *arg,
                       size_t arg_bytes, size_t result_bytes, const muster_submit_options *options,
                       const struct context *shared)
{
    struct lane *lane = seat->lane;
    uint32_t index;
    struct record *record = record_new(seat, &index);
    if (MUSTER__UNLIKELY(!record))
        return muster__fail(MUSTER_ERR_NOMEM, "no room for another task in the host segment; get or forget some");
    uint32_t generation = (uint32_t)(atomic_load_explicit(&record->state, memory_order_relaxed) >> 32);
    muster_err err = fill(seat, record, function, arg, arg_bytes, result_bytes, options, shared);
    uint32_t group = record->next;
    if (!err) {
        if (MUSTER__UNLIKELY(group))
            group_add(seat->pool, group);
        atomic_store_explicit(&lane->submitted, atomic_load_explicit(&lane->submitted, memory_order_relaxed) + 1,
                              memory_order_relaxed);
        muster_task made = {task_handle(pool_tasks_word(seat->pool), index, generation)};
        if (MUSTER__LIKELY(queue(seat, record, index, options))) {
            lane->numbers++;
            *task = made;
            return calls_back(options) ? call_back(made, options) : MUSTER_OK;
        }
        atomic_fetch_sub(&lane->submitted, 1);
        if (group)
            group_done(seat->pool, group);
        err = muster__fail(MUSTER_ERR_NOMEM, "no room for another queued task in the host segment");
    }
    record_free(seat->pool, record, index, lane);
    return err;
}

enum { AFTER_MAX = 1 << 24 };

static muster_err check_submit(const muster_task *task, muster_task_fn fn, const void *arg, size_t arg_bytes,
                               size_t result_bytes, const muster_submit_options *options)
{
    const char *operation = "muster_pool_submit";
    bool grouped = (options && options->group) || (muster__running && muster__running->group);
    muster_err err = grouped ? MUSTER_OK : check_pointer(operation, "task", task);
    if (!err)
        err = check_pointer(operation, "fn", (const void *)fn);
    if (!err)
        err = check_block(operation, "arg", arg, 1, arg_bytes);
    if (!err)
        err = check_bytes(operation, "the result", 1, result_bytes);
    if (!err && options)
        err = check_block(operation, "user", options->user, 1, options->user_bytes);
    if (!err && options)
        err = check_count(operation, "time_limit_ms", options->time_limit_ms);
    if (!err && options)
        err = check_bytes(operation, "memory_limit_bytes", 1, options->memory_limit_bytes);
    if (!err && options && options->retries != MUSTER_NO_RETRIES)
        err = check_retries(operation, options->retries);
    if (!err && options)
        err = check_block(operation, "after", options->after, options->after_n, sizeof *options->after);
    if (!err && options && options->after_n > AFTER_MAX)
        err = muster__fail(MUSTER_ERR_INVAL, "%s: after_n is %lld; at most %d are allowed", operation,
                           (long long)options->after_n, AFTER_MAX);
    return err ? err : MUSTER__RESERVED(operation, options);
}

muster_err muster_pool_submit(muster_pool pool, muster_task *task, muster_task_fn fn, const void *arg, size_t arg_bytes,
                              size_t result_bytes, const muster_submit_options *options)
{
    struct seat seat;
    muster__function function;
    muster_err err = MUSTER_OK;
    if (MUSTER__LIKELY(same_words(pool.handle, seat_last.named) && task && fn && !options && (arg || !arg_bytes) &&
                       muster__function_name((const void *)fn, &function) == MUSTER_OK &&
                       fork_submit(&seat_last.seat, task, function, arg, arg_bytes, result_bytes)))
        return MUSTER_OK;
    if (MUSTER__UNLIKELY(!task || !fn || options || !check_plain(arg, arg_bytes) || result_bytes > CHECK_BYTES_MAX))
        err = check_submit(task, fn, arg, arg_bytes, result_bytes, options);
    if (MUSTER__LIKELY(!err))
        err = seat_enter(pool.handle, "muster_pool_submit", &seat);
    if (MUSTER__UNLIKELY(err))
        return err;
    if (MUSTER__UNLIKELY(pool_state(seat.pool) != POOL_OPEN))
        err = task_refusal(seat.pool, "muster_pool_submit");
    else
        err = muster__function_name((const void *)fn, &function);
    muster_task unnamed;
    if (MUSTER__LIKELY(!err))
        err = task_submit(&seat, task ? task : &unnamed, function, arg, arg_bytes, result_bytes, options, NULL);
    if (!err && !task)
        muster_task_forget(unnamed);
    seat_leave(&seat);
    return err;
}

/* ---- get ---- */

/* Nothing runs in a pool that is over: there all tasks have ended. What another host's getter claims has not for
 * others: it may come back. */
static bool ended(const struct entry *entry, uint64_t state)
{
    if (MUSTER__LIKELY(phase_final(state_phase(state))))
        return !(state & STATE_CLAIMED);
    return pool_state(entry->seat.pool) > POOL_CLOSED;
}

static bool entry_over(void *arg)
{
    struct entry *entry = arg;
    uint64_t state = atomic_load_explicit(&entry->record->state, memory_order_acquire);
    return !state_names(state, entry->generation) || ended(entry, state);
}

static bool entry_claim(void *arg, const struct seat *seat, bool all, struct record **record, uint32_t *index)
{
    struct entry *entry = arg;
    *record = entry->record;
    *index = entry->index;
    uint64_t state = atomic_load_explicit(&entry->record->state, memory_order_relaxed);
    if (MUSTER__UNLIKELY(entry->map))
        return all && async_claim(seat, entry->map, record, index);
    return state_phase(state) == RECORD_QUEUED && shelf_may_claim(seat, entry->record, state) &&
           sched_claim(seat, entry->record, (uint64_t)entry->generation << 32 | entry->index);
}

static bool entry_awaits(const void *arg, const struct record *record)
{
    const struct entry *entry = arg;
    return record->kind == RECORD_PIECE && record->whole == entry->map;
}

static void entry_announce(void *arg)
{
    struct entry *entry = arg;
    record_mark_waited(entry->record, entry->generation);
}

muster_err task_pool_over(struct pool *pool, const char *operation)
{
    muster_err broken = worker_broken(pool, operation);
    return broken ? broken
                  : muster__fail(MUSTER_ERR_CANCELED, "%s: the pool was terminated before the task ended", operation);
}

/* One of several getters takes it; the others find their handles stale. WAIT: one of another host may be it. */
static muster_err take(struct entry *entry, size_t capacity, enum phase *phase)
{
    struct record *record = entry->record;
    uint64_t state = atomic_load(&record->state);
    while (state_names(state, entry->generation)) {
        uint64_t seen = state;
        size_t bytes = atomic_load(&record->result_bytes);
        *phase = state_phase(state);
        if (*phase == RECORD_DONE && bytes > capacity) {
            state = atomic_load(&record->state);
            if (state == seen) /* so the size was this task's */
                return muster__fail(MUSTER_ERR_TOOBIG, "muster_task_get: the result has %zu B, the buffer %zu", bytes,
                                    capacity);
        } else if (MUSTER__UNLIKELY(state & STATE_CLAIMED)) {
            return MUSTER__WAIT;
        } else if (atomic_compare_exchange_weak(&record->state, &state, state | STATE_DROPPED)) {
            return MUSTER_OK;
        }
    }
    return task_stale("muster_task_get");
}

/* Of a record that was taken. */
static muster_err hand_out(struct record *record, enum phase phase, void *result)
{
    long long number = (long long)record->number;
    if (phase == RECORD_CANCELED)
        return muster__fail(MUSTER_ERR_CANCELED, "muster_task_get: task %lld was canceled", number);
    if (phase == RECORD_FAILED)
        return record->extra
                   ? run_report(&((struct extra *)muster__heap_at(record->extra))->error, "muster_task_get")
                   : muster__fail(MUSTER_ERR_TASK, "muster_task_get: task %lld failed; no memory was left for details",
                                  number);
    if (record->result_bytes)
        memcpy(result, record_result(record), record->result_bytes);
    return MUSTER_OK;
}

static muster_err take_result(struct entry *entry, void *result, size_t capacity)
{
    enum phase phase = RECORD_FREE;
    muster_err err = take(entry, capacity, &phase);
    if (err)
        return err;
    if (!phase_final(phase)) /* should a worker still run it, it frees it */
        return task_pool_over(entry->seat.pool, "muster_task_get");
    err = hand_out(entry->record, phase, result);
    record_free(entry->seat.pool, entry->record, entry->index, entry->seat.lane);
    return err;
}

static muster_err not_yet(const struct entry *entry, int64_t timeout_ms)
{
    long long number = (long long)entry->record->number;
    if (!state_names(atomic_load(&entry->record->state), entry->generation))
        return task_stale("muster_task_get");
    return muster__fail(MUSTER_ERR_TIMEOUT,
                        "muster_task_get: task %lld has not ended within %lld ms; get it again later", number,
                        (long long)timeout_ms);
}

static muster_err wait_and_take(struct entry *entry, void *result, size_t capacity, int64_t timeout_ms)
{
    int64_t deadline = 0;
    muster_err err;
    do {
        err = MUSTER_OK;
        if (!entry_over(entry)) {
            deadline = deadline ? deadline : muster__deadline_ns(timeout_ms);
            entry->map = async_map(entry->record, entry->generation);
            err = sched_wait(&entry->seat, &(struct wait_for){.over = entry_over,
                                                              .announce = entry_announce,
                                                              .claim = entry_claim,
                                                              .awaited = entry->map ? entry_awaits : NULL,
                                                              .arg = entry,
                                                              .deadline_ns = deadline});
        }
        if (err == MUSTER_ERR_TIMEOUT)
            return not_yet(entry, timeout_ms);
        if (MUSTER__LIKELY(!err))
            err = take_result(entry, result, capacity);
    } while (MUSTER__UNLIKELY(err == (muster_err)MUSTER__WAIT));
    return err;
}

muster_err muster_task_get(muster_task task, void *result, size_t capacity_bytes, int64_t timeout_ms)
{
    struct entry entry;
    muster_err err = MUSTER_OK;
    if (MUSTER__LIKELY(task.handle.job == seat_last.tasks && timeout_ms == MUSTER_FOREVER &&
                       (result || !capacity_bytes)) &&
        fork_join(&seat_last.seat, task, result, capacity_bytes))
        return MUSTER_OK;
    if (MUSTER__UNLIKELY(!check_plain(result, capacity_bytes)))
        err = check_block("muster_task_get", "result", result, 1, capacity_bytes);
    else if (MUSTER__UNLIKELY(timeout_ms < MUSTER_FOREVER))
        err = muster__timeout_bad("muster_task_get", timeout_ms);
    if (!err && abroad_is(task.handle))
        return abroad_get(task, result, capacity_bytes, timeout_ms);
    if (MUSTER__LIKELY(!err))
        err = enter(task, "muster_task_get", &entry);
    if (MUSTER__UNLIKELY(err))
        return err;
    err = wait_and_take(&entry, result, capacity_bytes, timeout_ms);
    seat_leave(&entry.seat);
    return err;
}

/* ---- looking ---- */

static muster_err ask_whether(muster_task task, enum abroad_question question, bool *is, const char *operation)
{
    uint64_t answer = 0;
    muster_err err = abroad_ask(task.handle, question, &answer, operation);
    if (!err)
        *is = answer != 0;
    return err;
}

muster_err muster_task_ready(muster_task task, bool *ready)
{
    struct entry entry;
    muster_err err = check_pointer("muster_task_ready", "ready", ready);
    if (!err && abroad_is(task.handle))
        return ask_whether(task, ABROAD_READY, ready, "muster_task_ready");
    if (!err)
        err = enter(task, "muster_task_ready", &entry);
    if (err)
        return err;
    uint64_t state = atomic_load(&entry.record->state);
    if (state_names(state, entry.generation))
        *ready = ended(&entry, state);
    else
        err = task_stale("muster_task_ready");
    seat_leave(&entry.seat);
    return err;
}

muster_err muster_task_successful(muster_task task, bool *successful)
{
    struct entry entry;
    muster_err err = check_pointer("muster_task_successful", "successful", successful);
    if (!err && abroad_is(task.handle))
        return ask_whether(task, ABROAD_SUCCESSFUL, successful, "muster_task_successful");
    if (!err)
        err = enter(task, "muster_task_successful", &entry);
    if (err)
        return err;
    uint64_t state = atomic_load(&entry.record->state);
    if (!state_names(state, entry.generation))
        err = task_stale("muster_task_successful");
    else if (ended(&entry, state))
        *successful = state_phase(state) == RECORD_DONE;
    else
        err = muster__fail(MUSTER_ERR_STATE, "muster_task_successful: the task has not ended");
    seat_leave(&entry.seat);
    return err;
}

/* ---- cancel, forget ---- */

/* Whose lane it is at the step is who runs it then: a worker that takes a dead one's place comes after the dead one's
 * tasks were seen to. False: the state has changed. */
static bool kill_running(struct entry *entry, uint64_t *state)
{
    struct pool *pool = entry->seat.pool;
    uint32_t lane = state_lane(*state);
    bool worker = lane < (uint32_t)pool->workers, lent = pool_is_carrier(pool, lane);
    uint32_t member = worker ? atomic_load(&pool_worker(pool, (int)lane)->member) : 0;
    if (!worker && !lent) { /* a carrier is giving it back: it will be queued again, or be gone */
        sched_yield();
        *state = atomic_load(&entry->record->state);
        return false;
    }
    if (!atomic_compare_exchange_strong(&entry->record->state, state, *state | STATE_KILLED))
        return false;
    if (lent)
        pool_parts->kill(pool, (int)lane - pool->workers, (uint64_t)entry->generation << 32 | entry->index);
    else
        muster__child_signal(member, 9);
    return true;
}

static muster_err cancel(struct entry *entry, bool kill)
{
    struct pool *pool = entry->seat.pool;
    uint64_t state = atomic_load(&entry->record->state);
    while (state_names(state, entry->generation)) {
        if (phase_final(state_phase(state)))
            return muster__fail(MUSTER_ERR_STATE, "muster_task_cancel: the task has ended");
        if (state_phase(state) == RECORD_RUNNING) {
            if (async_is(entry->record, state)) {
                if (async_cancel(&entry->seat, entry->record, entry->index, &state))
                    return MUSTER_OK;
                continue;
            }
            if (!kill || !pool->isolated)
                return muster__fail(MUSTER_ERR_STATE, "muster_task_cancel: the task is running%s",
                                    kill ? " inside a rank, which cannot be killed" : "");
            if (kill_running(entry, &state))
                return MUSTER_OK;
            continue;
        }
        if (!pending_cancel(&entry->seat, entry->record, entry->index, &state))
            continue;
        sched_ring_waiters(pool);
        return MUSTER_OK;
    }
    return task_stale("muster_task_cancel");
}

muster_err muster_task_cancel(muster_task task, bool kill)
{
    struct entry entry;
    if (abroad_is(task.handle))
        return abroad_ask(task.handle, kill ? ABROAD_KILL : ABROAD_CANCEL, NULL, "muster_task_cancel");
    muster_err err = enter(task, "muster_task_cancel", &entry);
    if (err)
        return err;
    err = cancel(&entry, kill);
    seat_leave(&entry.seat);
    return err;
}

muster_err muster_task_forget(muster_task task)
{
    struct entry entry;
    uint64_t before;
    if (abroad_is(task.handle))
        return abroad_ask(task.handle, ABROAD_FORGET, NULL, "muster_task_forget");
    muster_err err = enter(task, "muster_task_forget", &entry);
    if (err)
        return err;
    if (!record_drop(entry.record, entry.generation, &before))
        err = task_stale("muster_task_forget");
    else if (phase_final(state_phase(before)) && !(before & STATE_CLAIMED)) /* else it is freed when that is over */
        record_free(entry.seat.pool, entry.record, entry.index, entry.seat.lane);
    else if (before & STATE_WAITED) /* they wait for what nobody will tell them */
        sched_ring_waiters(entry.seat.pool);
    seat_leave(&entry.seat);
    return err;
}
