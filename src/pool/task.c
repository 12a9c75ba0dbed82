#include "pool/internal.h"

#include <string.h>

/* ---- handles ---- */

/* A task's handle: record and its generation, and in place of the job the pool's slot and the low half of its
 * generation. */
static muster_task task_handle(const struct pool *pool, uint32_t index, uint32_t generation)
{
    return (muster_task){.handle = {.kind_home = (uint32_t)MUSTER__TASK << 24 | muster__segment->host,
                                    .slot = index,
                                    .generation = generation,
                                    .job = pool->slot << 16 | (pool->generation & 0xffff)}};
}

static muster_err stale(const char *operation)
{
    if (!muster__segment)
        return muster__fail(MUSTER_ERR_STATE, "%s: muster is not running", operation);
    return muster__fail(MUSTER_ERR_STALE, "%s: the task was got, forgotten or never submitted, or its pool is gone",
                        operation);
}

/* what every call on a task begins with */
struct entry {
    struct seat seat;
    struct record *record;
    uint32_t index;
};

static muster_err enter(muster_task task, const char *operation, struct entry *entry)
{
    muster_handle handle = task.handle;
    uint32_t slot = handle.job >> 16;
    if (!muster__segment || handle.kind_home >> 24 != MUSTER__TASK || slot >= MUSTER__OBJECTS_MAX)
        return stale(operation);
    if (muster__handle_home(handle) != (int)muster__segment->host)
        return muster__fail(MUSTER_ERR_UNSUPPORTED, "%s: the task was submitted on host %s; it can only be used there",
                            operation, muster__host_name_of(muster__handle_home(handle)));
    uint32_t generation = (uint32_t)(atomic_load(&muster__object_slot(slot)->tag) >> 32);
    if ((generation & 0xffff) != (handle.job & 0xffff))
        return stale(operation);
    muster_handle pool = muster__handle_make(MUSTER__POOL, slot, generation);
    if (seat_enter(pool, operation, &entry->seat))
        return stale(operation);
    entry->record = record_of_task(entry->seat.pool, task, &entry->index);
    if (entry->record)
        return MUSTER_OK;
    seat_leave(&entry->seat);
    return stale(operation);
}

/* ---- submit ---- */

muster_err task_refusal(struct pool *pool, const char *operation)
{
    if (MUSTER__LIKELY(pool_state(pool) == POOL_OPEN))
        return MUSTER_OK;
    if (pool_state(pool) == POOL_BROKEN)
        return muster__fail(MUSTER_ERR_BROKEN, "%s: %s", operation, pool->broken_why);
    return muster__fail(MUSTER_ERR_CLOSED, "%s: the pool was closed", operation);
}

static muster_err copy_user(const struct seat *seat, struct extra *extra, const muster_submit_options *options)
{
    muster__ref user = muster__heap_alloc(options->user_bytes, seat->self);
    if (!user)
        return muster__fail(MUSTER_ERR_NOMEM, "no %zu bytes left in the host segment", options->user_bytes);
    memcpy(muster__heap_at(user), options->user, options->user_bytes);
    extra->user = user;
    extra->user_bytes = options->user_bytes;
    muster__heap_hand_over(user, seat->self, pool_owner(seat->pool));
    return MUSTER_OK;
}

static muster_err apply_options(const struct seat *seat, struct record *record, const muster_submit_options *options,
                                const struct context *shared)
{
    struct pool *pool = seat->pool;
    int retries = options && options->retries ? options->retries : pool->retries;
    record->retries = (uint8_t)(retries == MUSTER_NO_RETRIES ? 0 : retries);
    if (!shared && (!options || (!options->user && options->time_limit_ms <= 0)))
        return MUSTER_OK;
    if (options && options->time_limit_ms > 0 && !pool->isolated)
        return muster__fail(MUSTER_ERR_UNSUPPORTED,
                            "a time limit needs isolated workers: a task inside a rank cannot be stopped");
    struct extra *extra = record_extra(pool, record, seat->self);
    if (!extra)
        return muster__fail(MUSTER_ERR_NOMEM, "the host segment is full; see segment_bytes");
    extra->time_limit_ms = options ? options->time_limit_ms : 0;
    if (shared) {
        extra->user_shared = true;
        extra->user_bytes = shared->bytes;
        extra->user = shared->block;
        return MUSTER_OK;
    }
    return options->user && options->user_bytes ? copy_user(seat, extra, options) : MUSTER_OK;
}

static muster_err fill(const struct seat *seat, struct record *record, muster__function function, const void *arg,
                       size_t arg_bytes, size_t result_bytes, const muster_submit_options *options,
                       const struct context *shared)
{
    record->kind = RECORD_TASK;
    record->function = function;
    record->number = seat->lane->numbers++;
    if (!record_reserve(seat->pool, record, arg_bytes, result_bytes, seat->self))
        return muster__fail(MUSTER_ERR_NOMEM, "no %zu bytes left in the host segment for an argument and its result",
                            arg_bytes + result_bytes);
    if (arg_bytes)
        memcpy(record_arg(record), arg, arg_bytes);
    return apply_options(seat, record, options, shared);
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
    if (!err) {
        atomic_store_explicit(&lane->submitted, atomic_load_explicit(&lane->submitted, memory_order_relaxed) + 1,
                              memory_order_relaxed);
        if (MUSTER__LIKELY(sched_queue(seat, record, index))) {
            *task = task_handle(seat->pool, index, generation);
            return MUSTER_OK;
        }
        atomic_fetch_sub(&lane->submitted, 1);
        err = muster__fail(MUSTER_ERR_NOMEM, "no room for another queued task in the host segment");
    }
    record_free(seat->pool, record, index, lane);
    return err;
}

static muster_err check_options(const muster_submit_options *options)
{
    if (options->retries < MUSTER_NO_RETRIES || options->retries > 255)
        return muster__fail(MUSTER_ERR_INVAL,
                            "muster_pool_submit: retries is %d: 1 to 255, 0 or MUSTER_NO_RETRIES are allowed",
                            options->retries);
    return MUSTER__RESERVED("muster_pool_submit", options);
}

muster_err muster_pool_submit(muster_pool pool, muster_task *task, muster_task_fn fn, const void *arg, size_t arg_bytes,
                              size_t result_bytes, const muster_submit_options *options)
{
    struct seat seat;
    muster__function function;
    muster_err err = seat_enter(pool.handle, "muster_pool_submit", &seat);
    if (MUSTER__UNLIKELY(err))
        return err;
    if (MUSTER__UNLIKELY(pool_state(seat.pool) != POOL_OPEN))
        err = task_refusal(seat.pool, "muster_pool_submit");
    else if (MUSTER__UNLIKELY(arg_bytes && !arg))
        err = muster__fail(MUSTER_ERR_INVAL, "muster_pool_submit: arg is NULL but arg_bytes is %zu", arg_bytes);
    else if (options)
        err = check_options(options);
    if (MUSTER__LIKELY(!err))
        err = muster__function_name((const void *)fn, &function);
    if (MUSTER__LIKELY(!err))
        err = task_submit(&seat, task, function, arg, arg_bytes, result_bytes, options, NULL);
    seat_leave(&seat);
    return err;
}

/* ---- waiting ---- */

static bool ended(const struct record *record)
{
    return phase_final(state_phase(atomic_load_explicit(&record->state, memory_order_acquire)));
}

static bool entry_over(void *arg)
{
    struct entry *entry = arg;
    return ended(entry->record) || pool_state(entry->seat.pool) > POOL_CLOSED;
}

void record_mark_waited(struct record *record)
{
    uint64_t state = atomic_load(&record->state);
    while (!phase_final(state_phase(state)) && !(state & STATE_WAITED))
        if (atomic_compare_exchange_weak(&record->state, &state, state | STATE_WAITED))
            return;
}

static void entry_announce(void *arg)
{
    record_mark_waited(((struct entry *)arg)->record);
}

/* what a task that has not ended and never will is worth */
static muster_err pool_over(struct pool *pool, const char *operation)
{
    if (pool_state(pool) == POOL_BROKEN)
        return muster__fail(MUSTER_ERR_BROKEN, "%s: %s", operation, pool->broken_why);
    return muster__fail(MUSTER_ERR_CANCELED, "%s: the pool was terminated before the task ended", operation);
}

static muster_err take_result(struct entry *entry, void *result, size_t capacity)
{
    struct record *record = entry->record;
    uint64_t state = atomic_load_explicit(&record->state, memory_order_acquire);
    if (!phase_final(state_phase(state)))
        return pool_over(entry->seat.pool, "muster_task_get");
    if (state_phase(state) == RECORD_DONE && record->result_bytes > capacity)
        return muster__fail(MUSTER_ERR_TOOBIG, "muster_task_get: the result has %zu bytes, the buffer %zu",
                            (size_t)record->result_bytes, capacity);
    /* one of several getters wins; the others find the handle stale */
    if (!atomic_compare_exchange_strong(&record->state, &state, state | STATE_DROPPED))
        return stale("muster_task_get");
    muster_err err = MUSTER_OK;
    if (state_phase(state) == RECORD_DONE) {
        if (record->result_bytes)
            memcpy(result, record_result(record), record->result_bytes);
    } else if (state_phase(state) == RECORD_CANCELED) {
        err = muster__fail(MUSTER_ERR_CANCELED, "muster_task_get: task %lld was canceled", (long long)record->number);
    } else if (record->extra) {
        err = run_report(&((struct extra *)muster__heap_at(record->extra))->error, "muster_task_get");
    } else {
        err = muster__fail(MUSTER_ERR_TASK, "muster_task_get: task %lld failed; no memory was left for details",
                           (long long)record->number);
    }
    record_free(entry->seat.pool, record, entry->index, entry->seat.lane);
    return err;
}

muster_err muster_task_get(muster_task task, void *result, size_t capacity_bytes, int64_t timeout_ms)
{
    struct entry entry;
    muster_err err = enter(task, "muster_task_get", &entry);
    if (MUSTER__UNLIKELY(err))
        return err;
    if (!ended(entry.record))
        err = sched_wait(&entry.seat, &(struct wait_for){.over = entry_over,
                                                         .announce = entry_announce,
                                                         .arg = &entry,
                                                         .deadline_ns = muster__deadline_ns(timeout_ms)});
    if (MUSTER__LIKELY(!err))
        err = take_result(&entry, result, capacity_bytes);
    else if (err == MUSTER_ERR_TIMEOUT)
        muster__fail(err, "muster_task_get: task %lld has not ended within %lld ms; get it again later",
                     (long long)entry.record->number, (long long)timeout_ms);
    seat_leave(&entry.seat);
    return err;
}

muster_err muster_task_ready(muster_task task, bool *ready)
{
    struct entry entry;
    muster_err err = enter(task, "muster_task_ready", &entry);
    if (err)
        return err;
    *ready = ended(entry.record);
    seat_leave(&entry.seat);
    return MUSTER_OK;
}

muster_err muster_task_successful(muster_task task, bool *successful)
{
    struct entry entry;
    muster_err err = enter(task, "muster_task_successful", &entry);
    if (err)
        return err;
    if (ended(entry.record))
        *successful = state_phase(atomic_load(&entry.record->state)) == RECORD_DONE;
    else
        err = muster__fail(MUSTER_ERR_STATE, "muster_task_successful: the task has not ended");
    seat_leave(&entry.seat);
    return err;
}

/* ---- cancel, forget ---- */

static muster_err cancel_running(struct entry *entry, uint64_t state, bool kill)
{
    struct pool *pool = entry->seat.pool;
    if (!kill || !pool->isolated)
        return muster__fail(MUSTER_ERR_STATE, "muster_task_cancel: the task is running%s",
                            kill ? " inside a rank, which cannot be killed" : "");
    if (!atomic_compare_exchange_strong(&entry->record->state, &state, state | STATE_KILLED))
        return muster__fail(MUSTER_ERR_STATE, "muster_task_cancel: the task has ended meanwhile");
    uint32_t lane = state_lane(state);
    if (pool_is_carrier(pool, lane))
        parts_kill(pool, (int)lane - pool->workers, state >> 32 << 32 | entry->index);
    else
        muster__child_signal(atomic_load(&pool_worker(pool, (int)lane)->member), 9);
    return MUSTER_OK;
}

muster_err muster_task_cancel(muster_task task, bool kill)
{
    struct entry entry;
    muster_err err = enter(task, "muster_task_cancel", &entry);
    if (err)
        return err;
    uint64_t state = atomic_load(&entry.record->state);
    for (;;) {
        if (phase_final(state_phase(state))) {
            err = muster__fail(MUSTER_ERR_STATE, "muster_task_cancel: the task has ended");
            break;
        }
        if (state_phase(state) == RECORD_RUNNING) {
            err = cancel_running(&entry, state, kill);
            break;
        }
        uint64_t canceled = (state & ~(uint64_t)STATE_PHASE) | RECORD_CANCELED;
        if (!atomic_compare_exchange_weak(&entry.record->state, &state, canceled))
            continue;
        atomic_fetch_add(&entry.seat.pool->finished_elsewhere, 1);
        sched_ring_waiters(entry.seat.pool);
        break;
    }
    seat_leave(&entry.seat);
    return err;
}

muster_err muster_task_forget(muster_task task)
{
    struct entry entry;
    muster_err err = enter(task, "muster_task_forget", &entry);
    if (err)
        return err;
    uint64_t state = atomic_load(&entry.record->state);
    while (!atomic_compare_exchange_weak(&entry.record->state, &state, state | STATE_DROPPED))
        ;
    if (phase_final(state_phase(state)))
        record_free(entry.seat.pool, entry.record, entry.index, entry.seat.lane);
    seat_leave(&entry.seat);
    return MUSTER_OK;
}

/* ---- sets of tasks ---- */

struct set {
    const muster_task *tasks;
    int64_t n;
    muster_wait_for what;
    const bool *skip; /* those not to look at; NULL: none */
    struct pool *pool;
    int64_t ended; /* all before this one have */
    int64_t found; /* index of one that ended; -1: none */
    bool stale;
};

static struct record *set_record(struct set *set, int64_t i)
{
    uint32_t index;
    return record_of_task(set->pool, set->tasks[i], &index);
}

/* The first from i on that is to be looked at; n: none. */
static int64_t set_next(const struct set *set, int64_t i)
{
    if (!set->skip || i >= set->n)
        return i;
    const bool *open = memchr(set->skip + i, false, (size_t)(set->n - i));
    return open ? open - set->skip : set->n;
}

/* Called after each task that the waiter runs: those at the front that have ended are not looked at again. */
static bool set_over(void *arg)
{
    struct set *set = arg;
    int64_t open = 0;
    for (int64_t i = set_next(set, set->ended); i < set->n; i = set_next(set, i + 1)) {
        struct record *record = set_record(set, i);
        if (!record) {
            set->stale = true;
            return true;
        }
        enum phase phase = state_phase(atomic_load_explicit(&record->state, memory_order_acquire));
        if (!phase_final(phase)) {
            if (set->what == MUSTER_WAIT_ALL)
                return pool_state(set->pool) > POOL_CLOSED;
            open++;
            continue;
        }
        set->found = i;
        if (set->what == MUSTER_WAIT_ANY || (set->what == MUSTER_WAIT_FIRST_FAILURE && phase != RECORD_DONE))
            return true;
        if (open == 0)
            set->ended = i + 1;
    }
    return open == 0 || pool_state(set->pool) > POOL_CLOSED;
}

static void set_announce(void *arg)
{
    struct set *set = arg;
    for (int64_t i = 0; i < set->n; i++) {
        struct record *record = set->skip && set->skip[i] ? NULL : set_record(set, i);
        if (record)
            record_mark_waited(record);
    }
}

static muster_err set_wait(struct set *set, const char *operation, int64_t timeout_ms)
{
    int64_t first = set_next(set, 0);
    if (first == set->n)
        return MUSTER_OK;
    struct entry entry;
    muster_err err = enter(set->tasks[first], operation, &entry);
    if (err)
        return err;
    set->pool = entry.seat.pool;
    set->ended = first;
    set->found = -1;
    err = sched_wait(&entry.seat, &(struct wait_for){.over = set_over,
                                                     .announce = set_announce,
                                                     .arg = set,
                                                     .deadline_ns = muster__deadline_ns(timeout_ms)});
    if (!err && set->stale)
        err = muster__fail(MUSTER_ERR_STALE, "%s: a task of the set was got or forgotten, or is of another pool",
                           operation);
    else if (!err && set->found < 0)
        err = pool_over(set->pool, operation);
    seat_leave(&entry.seat);
    return err;
}

static void tell_ready(const muster_task *tasks, int64_t n, bool *ready)
{
    for (int64_t i = 0; i < n; i++)
        if (muster_task_ready(tasks[i], &ready[i]) != MUSTER_OK)
            ready[i] = false;
}

muster_err muster_task_wait(const muster_task *tasks, int64_t n, muster_wait_for what, bool *ready, int64_t timeout_ms)
{
    if (n < 0 || (n && !tasks))
        return muster__fail(MUSTER_ERR_INVAL, "muster_task_wait: n is %lld", (long long)n);
    struct set set = {.tasks = tasks, .n = n, .what = what};
    muster_err err = set_wait(&set, "muster_task_wait", timeout_ms);
    if (!err && ready)
        tell_ready(tasks, n, ready);
    return err;
}

muster_err muster_task_next(const muster_task *tasks, int64_t n, bool *done, int64_t *index, int64_t timeout_ms)
{
    struct set set = {.tasks = tasks, .n = n, .what = MUSTER_WAIT_ANY, .skip = done, .found = -1};
    muster_err err = set_wait(&set, "muster_task_next", timeout_ms);
    if (err)
        return err;
    if (set.found < 0)
        return muster__fail(MUSTER_ERR_STATE, "muster_task_next: all %lld tasks are marked as done", (long long)n);
    done[set.found] = true;
    *index = set.found;
    return MUSTER_OK;
}
