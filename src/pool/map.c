/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/map.h"
#include "pool/check.h"
#include "pool/pending.h"
#include "pool/task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A leaf chosen by the pool takes about this long: far above what handing it out costs, far below what a user notices.
 */
#define LEAF_NS 20000
/* How often progress is reported. */
#define TICK_NS INT64_C(200000000)

/* ---- in the workers ---- */

/* what this thread has learnt of the map it works on */
static MUSTER__THREAD_LOCAL struct {
    muster__ref map;
    void *function;
    double item_ns; /* 0: nothing measured yet */
    int64_t leaf;
} known;

static bool know(struct map *map, muster__ref ref)
{
    if (known.map == ref)
        return true;
    known.map = 0;
    known.item_ns = 0;
    known.leaf = 1;
    if (muster__function_find(map->function, &known.function))
        return false;
    known.map = ref;
    return true;
}

static int64_t leaf_items(const struct map *map)
{
    return map->chunk_items ? (int64_t)map->chunk_items : known.leaf;
}

/* Grows at most eightfold at a time: the first items may be much cheaper than the rest. */
static void learn(const struct map *map, int64_t items, int64_t ns, int lanes)
{
    if (map->chunk_items || items <= 0)
        return;
    double item_ns = (double)ns / (double)items;
    known.item_ns = known.item_ns > 0 ? 0.5 * (known.item_ns + item_ns) : item_ns;
    int64_t leaf = (int64_t)(LEAF_NS / (known.item_ns + 0.1));
    int64_t even = map->n / (4 * lanes) + 1;
    leaf = leaf < 8 * known.leaf ? leaf : 8 * known.leaf;
    leaf = leaf < even ? leaf : even;
    known.leaf = leaf > 1 ? leaf : 1;
}

void map_note_error(struct map *map, const struct lane *lane, const struct muster_task_error *error)
{
    struct map_cell *cell = &map->cell[lane->index];
    uint32_t which = atomic_load(&cell->error_which);
    if (which && error->index >= cell->errors[which - 1].index)
        return;
    uint32_t other = which == 1 ? 2 : 1;
    cell->errors[other - 1] = *error;
    atomic_store(&cell->error_which, other);
}

void map_item_failed(const struct seat *seat, struct map *map, muster_err err, int code, int64_t index)
{
    struct muster_task_error error;
    run_error_fill(&error, pool_worker_number(seat->pool, seat->lane->index), err, code, index, map->function);
    map_note_state(map, index - map->first, MUSTER_ITEM_FAILED);
    map_note_error(map, seat->lane, &error);
    atomic_fetch_add(&map->failed, 1);
    if (map->stop_at_failure)
        atomic_store(&map->stopped, 1);
}

/* Runs items begin .. end-1 of the piece; the plain store of `current` before each is all that a death needs to be
 * judged. */
bool map_must_stop(struct map *map)
{
    if (atomic_load_explicit(&map->stopped, memory_order_relaxed))
        return true;
    if (map->deadline_ns == MUSTER__NEVER || muster__now_ns() < map->deadline_ns)
        return false;
    atomic_store(&map->timed_out, 1);
    atomic_store(&map->stopped, 1);
    return true;
}

static void run_items(const struct seat *seat, struct map *map, struct piece *piece, int64_t begin, int64_t end)
{
    muster_task_fn function = (muster_task_fn)known.function;
    if (map->listed) {
        list_run(seat, map, piece, function, begin, end);
        return;
    }
    const char *items = map_items(map);
    char *results = map_results(map);
    const void *user = map->user ? muster__heap_at(map->user) : NULL;
    size_t item_bytes = map->item_bytes, result_bytes = map->result_bytes;
    if (results)
        memset(results + (size_t)begin * result_bytes, 0, (size_t)(end - begin) * result_bytes);

    const bool watched = map->deadline_ns != MUSTER__NEVER || map->states;
    struct any_fixed any = any_fixed(item_bytes, results, result_bytes, map->first);
    struct muster__running *outer = muster__running, running = map_running(seat, map, &any.any);
    muster__running = &running;
    run_called(end - begin);
    for (int64_t i = begin; i < end; i++) {
        if (MUSTER__UNLIKELY(watched) && map_must_stop(map)) {
            atomic_fetch_add(&map->failed, end - i);
            break;
        }
        atomic_store_explicit(&piece->current, i, memory_order_relaxed);
        running.index = map->first + i;
        int code = function(items + (size_t)i * item_bytes, results ? results + (size_t)i * result_bytes : NULL, user);
        if (MUSTER__UNLIKELY(code))
            map_item_failed(seat, map, MUSTER_ERR_TASK, code, map->first + i);
        else if (MUSTER__UNLIKELY(watched))
            map_note_state(map, i, MUSTER_ITEM_DONE);
    }
    atomic_store_explicit(&piece->current, end, memory_order_release);
    muster__running = outer;
}

/* With limits for each item: one by one, the clock set before each. */
static void run_limited(const struct seat *seat, struct map *map, struct piece *piece)
{
    struct muster__memory memory = muster__memory;
    for (int64_t i = piece->begin; i < piece->end; i++) {
        if (map->time_limit_ms > 0)
            muster__child_limit(muster__member_self(), muster__deadline_ns(map->time_limit_ms));
        muster__memory_begin(seat->pool->memory_limit);
        run_items(seat, map, piece, i, i + 1);
        muster__memory_back(memory);
    }
    if (map->time_limit_ms > 0)
        muster__child_limit(muster__member_self(), MUSTER__NEVER);
}

static void run_leaf(const struct seat *seat, struct map *map, struct record *record)
{
    struct piece *piece = piece_of(record);
    int64_t items = piece->end - piece->begin;
    if (MUSTER__UNLIKELY(pending_is_over(seat->pool, map) || pool_state(seat->pool) > POOL_CLOSED)) {
        atomic_fetch_add(&map->failed, items);
        atomic_store(&piece->current, piece->end);
        return;
    }
    if (MUSTER__UNLIKELY(map_lost_array(map))) {
        map_item_failed(seat, map, MUSTER_ERR_STALE, 0, map->first + piece->begin);
        atomic_fetch_add(&map->failed, items - 1);
        atomic_store(&piece->current, piece->end);
        return;
    }
    if (map->time_limit_ms > 0 || seat->pool->memory_limit) {
        run_limited(seat, map, piece);
        return;
    }
    int64_t began = map->chunk_items ? 0 : muster__now_ns();
    run_items(seat, map, piece, piece->begin, piece->end);
    if (!map->chunk_items)
        learn(map, items, muster__now_ns() - began,
              pool_is_home(seat->pool) ? seat->pool->share.all_workers : seat->pool->workers);
}

/*
 * Queues the upper part of a piece as a record of its own. `split` names it before it is queued: a sweeper that finds
 * the name and the record queued (or done with: its generation has passed) knows that the half is not this piece's any
 * more.
 */
bool map_split(const struct seat *seat, struct record *record, int64_t middle)
{
    struct piece *piece = piece_of(record);
    uint32_t index;
    struct record *half = record_new(seat, &index);
    if (!half)
        return false;
    uint32_t generation = (uint32_t)(atomic_load_explicit(&half->state, memory_order_relaxed) >> 32);
    half->kind = RECORD_PIECE;
    *piece_of(half) = (struct piece){.map = piece->map,
                                     .begin = middle,
                                     .end = piece->end,
                                     .current = middle - 1,
                                     .total = -1,
                                     .retries = piece->retries};
    piece->total = middle; /* where the split is, for the sweeper; decided for real in count() */
    atomic_store_explicit(&piece->split, (uint64_t)generation << 32 | index, memory_order_release);
    if (!sched_queue(seat, half, index)) {
        atomic_store_explicit(&piece->split, 0, memory_order_relaxed);
        record_free(seat->pool, half, index, seat->lane);
        return false;
    }
    piece->end = middle;
    atomic_store_explicit(&piece->split, 0, memory_order_release);
    return true;
}

static bool split(const struct seat *seat, struct record *record, int64_t leaf)
{
    const struct piece *piece = piece_of(record);
    int64_t chunks = (piece->end - piece->begin + leaf - 1) / leaf;
    return map_split(seat, record, piece->begin + chunks / 2 * leaf);
}

/* The new count is written down before it is stored: storing it twice does no harm. If it was the last one, the caller
 * may free the map at once. */
static void count(const struct seat *seat, struct map *map, struct piece *piece)
{
    _Atomic int64_t *done = &map->cell[seat->lane->index].done;
    sched_untold =
        MUSTER__UNLIKELY(map->task)
            ? (struct sched_untold){piece->map, seat->pool, seat->lane->index, map->task, pool_handle(seat->pool)}
            : (struct sched_untold){piece->map, seat->pool, map->caller_lane, 0, {0}};
    piece->total = atomic_load_explicit(done, memory_order_relaxed) + piece->end - piece->begin;
    atomic_store_explicit(done, piece->total, memory_order_release);
}

void map_run_piece(const struct seat *seat, struct record *record, uint32_t index)
{
    struct piece *piece = piece_of(record);
    struct map *map = muster__heap_at(piece->map);
    if (MUSTER__LIKELY(know(map, piece->map))) {
        int64_t leaf = leaf_items(map), left = worker_left(seat);
        leaf = left < leaf ? left : leaf;
        bool over = pending_is_over(seat->pool, map); /* then all of it is dropped at once */
        while (piece->end - piece->begin > leaf && !over && split(seat, record, leaf))
            ;
        piece->total = -1;
        run_leaf(seat, map, record);
        muster__count_tasks(pool_home_handle(seat->pool), piece->end - piece->begin);
    } else {
        map_item_failed(seat, map, MUSTER_ERR_NOFUNC, 0, map->first + piece->begin);
        atomic_fetch_add(&map->failed, piece->end - piece->begin - 1);
        atomic_store(&piece->current, piece->end);
    }
    count(seat, map, piece);
    record_free(seat->pool, record, index, seat->lane);
}

/* ---- in the caller ---- */

int64_t map_items_done(struct pool *pool, struct map *map)
{
    int64_t done = 0;
    for (int i = 0; i < pool->lanes; i++)
        done += atomic_load_explicit(&map->cell[i].done, memory_order_acquire);
    return done;
}

bool map_over(struct pool *pool, struct map *map)
{
    return map_items_done(pool, map) >= map->n;
}

/* To sum up what all lanes have counted costs a cache miss a lane. While a piece of the map is next in the caller's
 * own lane there is no need to. */
static bool own_piece_next(const struct map_call *call)
{
    record_ref ref;
    if (!deque_peek(&call->seat.lane->deque, &ref))
        return false;
    struct record *record = pool_record(call->seat.pool, (uint32_t)ref);
    uint64_t state = atomic_load_explicit(&record->state, memory_order_acquire);
    return state >> 32 == ref >> 32 && state_phase(state) == RECORD_QUEUED && record->kind == RECORD_PIECE &&
           record->whole == call->map->self;
}

static bool call_over(void *arg)
{
    struct map_call *call = arg;
    if (own_piece_next(call) && pool_state(call->seat.pool) <= POOL_CLOSED)
        return false;
    return map_over(call->seat.pool, call->map) || pool_state(call->seat.pool) > POOL_CLOSED;
}

static bool call_awaits(const void *arg, const struct record *record)
{
    const struct map_call *call = arg;
    return record->kind == RECORD_PIECE && record->whole == call->map->self;
}

static void report_progress(struct map_call *call)
{
    struct pool *pool = call->seat.pool;
    muster_map_progress progress = {.items_total = call->n_whole,
                                    .items_done = call->map->first + map_items_done(pool, call->map),
                                    .elapsed_s = (double)(muster__now_ns() - call->began_ns) * 1e-9};
    for (int i = 0; i < pool->workers; i++) {
        progress.workers += atomic_load(&pool->lane[i].owner) != 0;
        progress.workers_busy += atomic_load(&pool->lane[i].depth) > 0;
    }
    for (int i = 0; i < pool->share.branches; i++) {
        progress.workers += atomic_load(&pool_branch(pool, i)->alive);
        progress.workers_busy += atomic_load(&pool_branch(pool, i)->busy);
    }
    call->options->progress(&progress, call->options->progress_arg);
}

/* Who reports progress goes on while a piece that it has begun waits for something itself. */
static muster_err wait_call(struct map_call *call)
{
    bool tell = call->options->progress != NULL;
    const char *site = muster_site;
    for (;;) {
        muster_err err = sched_wait(&call->seat, &(struct wait_for){.over = call_over,
                                                                    .awaited = tell ? NULL : call_awaits,
                                                                    .arg = call,
                                                                    .deadline_ns = call->map->deadline_ns,
                                                                    .tick_ns = tell ? muster__now_ns() + TICK_NS : 0});
        if (tell)
            report_progress(call);
        muster_site = site;
        if (err || call_over(call))
            return err;
    }
}

struct map *map_make(const struct seat *seat, muster__function function, size_t item_bytes, size_t result_bytes,
                     const muster_map_options *options)
{
    size_t bytes = sizeof(struct map) + (size_t)seat->pool->lanes * sizeof(struct map_cell);
    muster__ref ref = muster__heap_alloc(bytes, seat->self);
    if (!ref)
        return NULL;
    struct map *map = muster__heap_at(ref);
    memset(map, 0, bytes);
    map->self = ref;
    map->function = function;
    map->item_bytes = item_bytes;
    map->result_bytes = result_bytes;
    map->chunk_items = (size_t)options->chunk_items;
    map->time_limit_ms = options->time_limit_ms;
    map->stop_at_failure = options->stop_at_failure;
    map->stated = options->states != NULL;
    map->deadline_ns = muster__deadline_ns(options->map_limit_ms ? options->map_limit_ms : MUSTER_FOREVER);
    map->cancels = pending_number(seat->pool);
    map->caller_lane = seat->lane->index;
    map->lanes = (uint32_t)seat->pool->lanes;
    map->user = seat->pool->user;
    muster__heap_hand_over(ref, seat->self, pool_owner(seat->pool));
    return map;
}

muster__ref map_stage(const struct seat *seat, const void *bytes, size_t size)
{
    muster__ref ref = muster__heap_alloc(size ? size : 1, seat->self);
    if (ref && bytes && size)
        memcpy(muster__heap_at(ref), bytes, size);
    muster__heap_hand_over(ref, seat->self, pool_owner(seat->pool));
    return ref;
}

bool map_queue_staged(const struct seat *seat, struct map *map, int64_t first, int64_t n, int retries)
{
    uint32_t index;
    struct record *record = record_new(seat, &index);
    map->first = first;
    map->n = n;
    for (int i = 0; i < seat->pool->lanes; i++)
        atomic_store(&map->cell[i].done, 0);
    if (map->stated)
        map->states = map_stage(seat, NULL, (size_t)n);
    if (map->states)
        memset(map_states(map), MUSTER_ITEM_OPEN, (size_t)n);
    if (record && (map->states || !map->stated)) {
        record->kind = RECORD_PIECE;
        *piece_of(record) =
            (struct piece){.map = map->self, .begin = 0, .end = n, .current = -1, .total = -1, .retries = retries};
        if (sched_queue(seat, record, index))
            return true;
    }
    if (record)
        record_free(seat->pool, record, index, seat->lane);
    map->n = 0;
    return false;
}

bool map_queue_window(const struct seat *seat, struct map *map, const void *items, int64_t first, int64_t n,
                      int retries)
{
    map->items = map_stage(seat, items, (size_t)n * map->item_bytes);
    if (map->result_bytes)
        map->results = map_stage(seat, NULL, (size_t)n * map->result_bytes);
    if (map->items && (map->results || !map->result_bytes) && map_queue_staged(seat, map, first, n, retries))
        return true;
    map_free_window(map, seat->self);
    map->n = 0;
    return false;
}

void map_free_window(struct map *map, uint32_t self)
{
    if (map->listed)
        list_free(map, self);
    muster__heap_free(map->items_lent ? 0 : map->items, self);
    muster__heap_free(map->results_lent ? 0 : map->results, self);
    muster__heap_free(map->states, self);
    map->items = map->results = map->states = 0;
}

void map_count_for(struct pool *pool, struct map *map, uint32_t lane, int64_t items)
{
    uint32_t caller_lane = map->caller_lane;
    record_ref task = map->task;
    atomic_fetch_add(&map->cell[lane].done, items);
    muster__fence_after_atomic();
    if (task)
        async_look(&(struct seat){.pool = pool, .lane = &pool->lane[lane], .self = muster__self_number()}, task);
    else
        sched_ring_waiter(pool, caller_lane);
}

int64_t map_whole_chunks(const struct map *map, int64_t n)
{
    int64_t chunk = (int64_t)map->chunk_items;
    return chunk && n > chunk ? n - n % chunk : n;
}

bool map_ended_early(muster_err err)
{
    return err == MUSTER_ERR_TIMEOUT || err == MUSTER_ERR_INTERRUPTED || err == MUSTER_ERR_CANCELED ||
           err == MUSTER_ERR_BROKEN || err == MUSTER_ERR_DEADLOCK;
}

static int64_t items_ended(const struct map_call *call)
{
    int64_t n = 0;
    for (int64_t i = 0; i < call->n_whole; i++)
        n += call->states[i] != MUSTER_ITEM_OPEN;
    return n;
}

/* Workers may still run some: what is not DONE yet when its state is read is left. */
static muster_err collect(struct map_call *call, bool early)
{
    const struct map *map = call->map;
    const _Atomic unsigned char *states = map_states(map);
    for (int64_t i = 0; states && i < map->n; i++)
        call->states[map->first + i] = atomic_load_explicit(&states[i], memory_order_acquire);
    return call->collect(call, early);
}

/* A window is queued. */
static muster_err wait_window(struct map_call *call)
{
    struct map *map = call->map;
    struct pool *pool = call->seat.pool;
    muster_err err = wait_call(call);
    if (!err && atomic_load(&map->timed_out))
        return MUSTER_ERR_TIMEOUT;
    if (err || map_over(pool, map))
        return err;
    err = worker_broken(pool, call->operation);
    return err ? err : muster__fail(MUSTER_ERR_CANCELED, "%s: the pool was terminated meanwhile", call->operation);
}

static muster_err run_windows(struct map_call *call)
{
    struct map *map = call->map;
    for (int64_t first = 0; first < call->n_whole; first += map->n) {
        muster_err err = call->queue(call, first);
        if (err)
            return err;
        err = wait_window(call);
        if (err)
            atomic_store(&map->stopped, 1);
        muster_err collected = collect(call, err != MUSTER_OK);
        if (err == MUSTER_ERR_TIMEOUT)
            muster__fail(err, "%s: %lld of %lld have ended in %lld ms", call->operation, (long long)items_ended(call),
                         (long long)call->n_whole, (long long)call->options->map_limit_ms);
        if (err || collected)
            return err ? err : collected;
        map_free_window(map, call->seat.self);
    }
    return MUSTER_OK;
}

const struct muster_task_error *map_first_error(const struct pool *pool, struct map *map)
{
    const struct muster_task_error *first = NULL;
    for (int i = 0; i < pool->lanes; i++) {
        uint32_t which = atomic_load(&map->cell[i].error_which);
        const struct muster_task_error *error = which ? &map->cell[i].errors[which - 1] : NULL;
        if (error && (!first || error->index < first->index))
            first = error;
    }
    return first;
}

static muster_err conclude(const struct pool *pool, struct map *map, const char *operation)
{
    const struct muster_task_error *first = map_first_error(pool, map);
    int64_t failed = atomic_load(&map->failed);
    if (!first)
        return failed ? muster__fail(MUSTER_ERR_CANCELED, "%s: %lld item%s had not begun when canceled", operation,
                                     (long long)failed, muster__s(failed))
                      : MUSTER_OK;
    struct muster_task_error error = *first;
    error.failed = failed;
    return run_report(&error, operation);
}

muster_err map_refusal(struct pool *pool, const muster_map_options *options, const char *operation)
{
    if (options->time_limit_ms > 0 && !pool->isolated)
        return muster__fail(MUSTER_ERR_UNSUPPORTED,
                            "a time limit needs isolated workers: a task inside a rank cannot be stopped");
    return task_refusal(pool, operation);
}

/* Pieces may still run after an interrupt or a terminate: then the pool keeps the map's blocks until its own end. */
static muster_err map_end(struct map_call *call, muster_err err)
{
    struct map *map = call->map;
    struct pool *pool = call->seat.pool;
    if (!map_over(pool, map))
        return err;
    if (!err)
        err = conclude(pool, map, call->operation);
    if (map->user != pool->user)
        muster__heap_free(map->user, call->seat.self);
    map_free_window(map, call->seat.self);
    muster__heap_free(map->self, call->seat.self);
    return err;
}

static muster_err run_stated(struct map_call *call)
{
    unsigned char *states = call->options->states;
    if (call->map->stated && !states && !(states = malloc((size_t)call->n_whole)))
        return muster__fail(MUSTER_ERR_NOMEM, "%s: no memory for %lld item%s", call->operation,
                            (long long)call->n_whole, muster__s(call->n_whole));
    call->states = states;
    if (states)
        memset(states, MUSTER_ITEM_OPEN, (size_t)call->n_whole);
    muster_err err = run_windows(call);
    if (states != call->options->states)
        free(states);
    return err;
}

muster_err map_run(struct map_call *call, muster_task_fn fn, size_t item_bytes, size_t result_bytes, bool listed)
{
    muster__function function;
    muster_err err = muster__function_name((const void *)fn, &function);
    if (err)
        return err;
    struct map *map = call->map = map_make(&call->seat, function, item_bytes, result_bytes, call->options);
    if (!map)
        return muster__fail(MUSTER_ERR_NOMEM, "%s: the host segment is full; see segment_bytes", call->operation);
    map->listed = listed;
    map->stated = call->options->states || call->options->map_limit_ms || listed;
    if (call->options->user && call->options->user_bytes) {
        map->user = map_stage(&call->seat, call->options->user, call->options->user_bytes);
        map->user_bytes = call->options->user_bytes;
    }
    err = map->user || !call->options->user
              ? run_stated(call)
              : muster__fail(MUSTER_ERR_NOMEM, "%s: no room for the context in the host segment", call->operation);
    return map_end(call, err);
}

/* ---- items and results of one size ---- */

struct plain_call {
    struct map_call call;
    const char *items;
    char *results;
};

static muster_err plain_queue(struct map_call *call, int64_t first)
{
    const struct plain_call *plain = (const struct plain_call *)call;
    struct map *map = call->map;
    size_t per_item = map->item_bytes + map->result_bytes + 1;
    int64_t n = map_whole_chunks(map, (int64_t)(WINDOW_BYTES / per_item) + 1);
    n = call->n_whole - first < n ? call->n_whole - first : n;
    return map_queue_window(&call->seat, map, plain->items ? plain->items + (size_t)first * map->item_bytes : NULL,
                            first, n, call->seat.pool->retries)
               ? MUSTER_OK
               : muster__fail(MUSTER_ERR_NOMEM,
                              "%s: no room for %lld item%s of %zu B and as many results in the host segment",
                              call->operation, (long long)n, muster__s(n), map->item_bytes);
}

static muster_err plain_collect(struct map_call *call, bool early)
{
    const struct plain_call *plain = (const struct plain_call *)call;
    const struct map *map = call->map;
    if (!plain->results || !map->results)
        return MUSTER_OK;
    const char *from = muster__heap_at(map->results);
    char *to = plain->results + (size_t)map->first * map->result_bytes;
    if (!early)
        memcpy(to, from, (size_t)map->n * map->result_bytes);
    for (int64_t i = 0; early && call->states && i < map->n; i++)
        if (call->states[map->first + i] == MUSTER_ITEM_DONE)
            memcpy(to + (size_t)i * map->result_bytes, from + (size_t)i * map->result_bytes, map->result_bytes);
    return MUSTER_OK;
}

static muster_err check_map(muster_task_fn fn, const void *items, int64_t n, size_t item_bytes, const void *results,
                            size_t result_bytes, const muster_map_options *options)
{
    const char *operation = "muster_pool_map";
    muster_err err = check_pointer(operation, "fn", (const void *)fn);
    if (!err)
        err = check_count(operation, "n", n);
    if (!err)
        err = check_block(operation, "items", items, n, item_bytes);
    if (!err)
        err = check_block(operation, "results", results, n, result_bytes);
    return err ? err : check_map_options(operation, options);
}

muster_err muster_pool_map(muster_pool pool, muster_task_fn fn, const void *items, int64_t n, size_t item_bytes,
                           void *results, size_t result_bytes, const muster_map_options *options)
{
    static const muster_map_options defaults;
    struct plain_call plain = {.call = {.operation = "muster_pool_map",
                                        .options = options ? options : &defaults,
                                        .n_whole = n,
                                        .began_ns = muster__now_ns(),
                                        .queue = plain_queue,
                                        .collect = plain_collect},
                               .items = items,
                               .results = results};
    struct map_call *call = &plain.call;
    muster_err err = check_map(fn, items, n, item_bytes, results, result_bytes, options);
    if (!err)
        err = seat_enter(pool.handle, call->operation, &call->seat);
    if (err)
        return err;
    err = map_refusal(call->seat.pool, call->options, call->operation);
    if (!err && n > 0)
        err = map_run(call, fn, item_bytes, result_bytes, false);
    seat_leave(&call->seat);
    return err;
}

__attribute__((constructor)) static void register_kind(void)
{
    sched_kinds[RECORD_PIECE] =
        (struct sched_kind){.run = map_run_piece, .died = piece_died, .look = async_look, .end = async_end};
}
