/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/pool.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

/*
 * Maps that are tasks. The task's record is RUNNING by no lane (LANE_OF_MAPS) while its pieces run as those of any map
 * do. Whoever counts pieces looks, when it goes on with something else, whether all are counted, and after a death the
 * sweeper does; it then takes the record, RUNNING by its own lane, and ends it. Should it die meanwhile, so does the
 * sweeper. A look that comes too late may read a map that was freed: what it takes from that is worth nothing unless
 * the record is still in the state it was seen in, and then the map is there. To write to the map, one takes the
 * record, too.
 */

/* ---- the record ---- */

static struct extra *extra_of(const struct record *record)
{
    return record->extra ? muster__heap_at(record->extra) : NULL;
}

muster__ref async_map(const struct record *record, uint32_t generation)
{
    uint64_t state = atomic_load(&record->state);
    if (!state_is_map(state) || state >> 32 != generation)
        return 0;
    const struct extra *extra = extra_of(record);
    muster__ref map = extra ? extra->map : 0;
    state = atomic_load(&record->state);
    return state_is_map(state) && state >> 32 == generation ? map : 0;
}

bool async_is(const struct record *record, uint64_t state)
{
    const struct extra *extra = extra_of(record);
    return extra && extra->is_map && atomic_load(&record->state) == state;
}

/* From whichever lane's, to that of `lane`; false: the state has changed. */
static bool pass_on(struct record *record, uint64_t *state, uint32_t lane)
{
    uint64_t passed = state_make((uint32_t)(*state >> 32), lane, RECORD_RUNNING) | (*state & STATE_KEPT);
    return atomic_compare_exchange_weak(&record->state, state, passed);
}

/* Who came to look meanwhile has passed by. */
static void give_back(const struct seat *seat, struct record *record, uint32_t index)
{
    uint64_t state = atomic_load(&record->state);
    uint32_t generation = (uint32_t)(state >> 32);
    while (!pass_on(record, &state, LANE_OF_MAPS))
        ;
    atomic_thread_fence(memory_order_seq_cst);
    async_look(seat, (uint64_t)generation << 32 | index);
}

/* ---- its end ---- */

/* Lanes that come later look for themselves when they have counted. */
static bool is_over(struct pool *pool, const struct map *map)
{
    int64_t done = 0;
    uint32_t lanes = atomic_load(&pool->lanes_used);
    for (uint32_t i = 0; i < lanes; i++)
        done += atomic_load_explicit(&map->cell[i].done, memory_order_acquire);
    return done == map->n;
}

void async_look(const struct seat *seat, record_ref task)
{
    struct record *record = pool_record(seat->pool, (uint32_t)task);
    muster__ref ref = async_map(record, (uint32_t)(task >> 32));
    const struct map *map = ref ? muster__heap_at(ref) : NULL;
    if (!map || !is_over(seat->pool, map))
        return;
    uint64_t state = atomic_load(&record->state);
    while (state_is_map(state) && state >> 32 == task >> 32)
        if (pass_on(record, &state, seat->lane->index)) {
            async_end(seat, record, (uint32_t)task);
            return;
        }
}

static void say(struct record *record, struct muster_task_error *error, muster_err err, int64_t failed)
{
    *error = (struct muster_task_error){.err = err, .index = record->number, .worker = -1, .failed = failed};
    error->rank = muster__member_rank(muster__member_self());
    snprintf(error->host, sizeof error->host, "%s", muster__host_name());
    muster__function_describe(record->function, error->function, sizeof error->function);
}

/* Of what went well: they are the task's from now on. Twice is fine. False: no memory. */
static bool hand_over(const struct seat *seat, struct record *record, struct extra *extra, struct map *map)
{
    size_t size = (size_t)map->n * map->result_bytes;
    if (atomic_load(&extra->returned)) { /* by one who has died then */
        if (map->results == atomic_load(&extra->returned))
            map->results = 0;
        return true;
    }
    muster__ref results = map->results;
    if (map->listed && map->n)
        results = list_whole(seat->pool, map, &size, seat->self);
    if (map->listed && map->n && !results)
        return false;
    if (!size)
        return true;
    extra->returned_bytes = size;
    atomic_store(&record->result_bytes, size);
    atomic_store(&extra->returned, results);
    if (!map->listed)
        map->results = 0;
    return true;
}

static enum phase judge(const struct seat *seat, struct record *record, struct extra *extra, struct map *map)
{
    const struct muster_task_error *first = map_first_error(seat->pool, map);
    int64_t failed = atomic_load(&map->failed);
    if (first) {
        extra->error = *first;
        extra->error.failed = failed;
    } else if (failed) {
        bool late = atomic_load(&map->timed_out);
        say(record, &extra->error, late ? MUSTER_ERR_TIMEOUT : MUSTER_ERR_CANCELED, failed);
        snprintf(extra->error.text, sizeof extra->error.text, "%lld of %lld item%s of the map had not begun %s",
                 (long long)failed, (long long)map->n, muster__s(map->n),
                 late ? "when its time was over" : "when it was canceled");
    } else if (hand_over(seat, record, extra, map)) {
        return RECORD_DONE;
    } else {
        say(record, &extra->error, MUSTER_ERR_NOMEM, map->n);
        snprintf(extra->error.text, sizeof extra->error.text, "no room in the host segment for all results");
    }
    return RECORD_FAILED;
}

static void clear_away(const struct pool *pool, struct extra *extra, struct map *map, uint32_t self)
{
    if (map->user != pool->user)
        muster__heap_free(map->user, self);
    map_free_window(map, self);
    muster__heap_free(extra->map, self);
    extra->map = 0;
}

/* Another host's lane has no thread here that its counters are of. */
static struct lane *counted_by(const struct seat *seat)
{
    return pool_is_carrier(seat->pool, seat->lane->index) ? NULL : seat->lane;
}

void async_end(const struct seat *seat, struct record *record, uint32_t index)
{
    struct extra *extra = extra_of(record);
    struct map *map = extra->map ? muster__heap_at(extra->map) : NULL;
    if (map && !is_over(seat->pool, map)) { /* who took it to cancel it has died */
        give_back(seat, record, index);
        return;
    }
    if (map) {
        extra->map_phase = (uint8_t)judge(seat, record, extra, map);
        clear_away(seat->pool, extra, map, seat->self);
    }
    sched_finish(seat->pool, record, index, (enum phase)extra->map_phase, counted_by(seat));
}

/* ---- for who waits, or cancels ---- */

/* Calls visit for each queued piece, until it says so. */
static bool each_piece(struct pool *pool, muster__ref map,
                       bool (*visit)(const struct seat *seat, struct record *record, uint32_t index),
                       const struct seat *seat, struct record **record, uint32_t *index)
{
    for (*index = 0; (*record = pool_walk(pool, index)); ++*index) {
        uint64_t state = atomic_load_explicit(&(*record)->state, memory_order_acquire);
        if (state_phase(state) == RECORD_QUEUED && (*record)->kind == RECORD_PIECE && (*record)->whole == map &&
            sched_claim(seat, *record, state >> 32 << 32 | *index) && visit(seat, *record, *index))
            return true;
    }
    return false;
}

static bool take_it(const struct seat *seat, struct record *record, uint32_t index)
{
    (void)seat, (void)record, (void)index;
    return true;
}

static bool drop_it(const struct seat *seat, struct record *record, uint32_t index)
{
    pending_drop_piece(seat, record, index);
    return false;
}

bool async_claim(const struct seat *seat, muster__ref map, struct record **record, uint32_t *index)
{
    return map && sched_any_queued(seat->pool) && each_piece(seat->pool, map, take_it, seat, record, index);
}

bool async_cancel(const struct seat *seat, struct record *record, uint32_t index, uint64_t *state)
{
    if (!state_is_map(*state)) { /* somebody cancels it, or it ends */
        sched_yield();
        *state = atomic_load(&record->state);
        return false;
    }
    if (!pass_on(record, state, seat->lane->index))
        return false;
    struct record *piece;
    uint32_t at;
    muster__ref ref = extra_of(record)->map;
    atomic_store(&((struct map *)muster__heap_at(ref))->stopped, 1);
    each_piece(seat->pool, ref, drop_it, seat, &piece, &at);
    give_back(seat, record, index);
    return true;
}

/* ---- its beginning ---- */

struct whole {
    const char *operation;
    struct seat seat;
    const muster_map_async_options *options;
    muster__function function;
    const void *items; /* or spans of a list */
    int64_t n;
    size_t item_bytes, result_bytes;
    bool listed;
};

static bool stage(const struct whole *whole, struct map *map)
{
    const struct seat *seat = &whole->seat;
    if (whole->options->user && whole->options->user_bytes) {
        map->user_bytes = whole->options->user_bytes;
        map->user = map_stage(seat, whole->options->user, map->user_bytes);
        if (!map->user)
            return false;
    }
    if (!whole->n)
        return true;
    if (whole->listed) {
        map->items = list_stage(seat, whole->items, whole->n);
        return map->items && list_make_results(seat, map, whole->n);
    }
    map->items = map_stage(seat, whole->items, (size_t)whole->n * whole->item_bytes);
    if (whole->result_bytes)
        map->results = map_stage(seat, NULL, (size_t)whole->n * whole->result_bytes);
    return map->items && (map->results || !whole->result_bytes);
}

static struct map *make(const struct whole *whole)
{
    const muster_map_async_options *options = whole->options;
    const struct seat *seat = &whole->seat;
    struct map *map = map_make(seat, whole->function, whole->item_bytes, whole->result_bytes,
                               &(muster_map_options){.chunk_items = options->chunk_items,
                                                     .stop_at_failure = options->stop_at_failure,
                                                     .time_limit_ms = options->time_limit_ms,
                                                     .map_limit_ms = options->map_limit_ms});
    if (!map)
        return NULL;
    map->listed = map->stated = whole->listed;
    return map;
}

static muster_err no_room(const struct whole *whole)
{
    return muster__fail(MUSTER_ERR_NOMEM, "%s: no room for %lld item%s and as many results in the host segment",
                        whole->operation, (long long)whole->n, muster__s(whole->n));
}

static muster_err fill(const struct whole *whole, struct record *record, uint32_t index, struct map **map)
{
    const struct seat *seat = &whole->seat;
    muster_err err = group_name(seat, whole->options->group, &record->next);
    if (err)
        return err;
    uint32_t generation = (uint32_t)(atomic_load_explicit(&record->state, memory_order_relaxed) >> 32);
    record->kind = RECORD_TASK;
    record->retries = 0;
    record->function = whole->function;
    atomic_store_explicit(&record->number, seat->lane->numbers, memory_order_relaxed);
    struct extra *extra =
        record_reserve(seat->pool, record, 0, 0, seat->self) ? record_extra(seat->pool, record, seat->self) : NULL;
    *map = extra ? make(whole) : NULL;
    if (!*map)
        return no_room(whole);
    extra->is_map = true;
    extra->map = (*map)->self;
    (*map)->task = (uint64_t)generation << 32 | index;
    (*map)->group = record->next;
    return stage(whole, *map) ? MUSTER_OK : no_room(whole);
}

static void count_submitted(const struct seat *seat, int64_t by)
{
    _Atomic int64_t *submitted = &seat->lane->submitted;
    atomic_store_explicit(submitted, atomic_load_explicit(submitted, memory_order_relaxed) + by, memory_order_relaxed);
}

/* The piece first: a death before the record says RUNNING leaves a map whose results nobody gets, and no handle. Items
 * that have ended by then are seen by the last look. */
static muster_err queue(const struct whole *whole, struct record *record, uint32_t index, struct map *map)
{
    const struct seat *seat = &whole->seat;
    uint32_t group = record->next;
    if (group)
        group_add(seat->pool, group);
    count_submitted(seat, +1);
    if (whole->n && !map_queue_staged(seat, map, 0, whole->n, seat->pool->retries)) {
        count_submitted(seat, -1);
        if (group)
            group_done(seat->pool, group);
        return no_room(whole);
    }
    seat->lane->numbers++;
    give_back(seat, record, index);
    return MUSTER_OK;
}

static muster_err start(const struct whole *whole, muster_task *task)
{
    const struct seat *seat = &whole->seat;
    uint32_t index;
    struct map *map = NULL;
    struct record *record = record_new(seat, &index);
    if (!record)
        return no_room(whole);
    uint32_t generation = (uint32_t)(atomic_load_explicit(&record->state, memory_order_relaxed) >> 32);
    muster_err err = fill(whole, record, index, &map);
    if (!err)
        err = queue(whole, record, index, map);
    if (err) {
        if (map)
            clear_away(seat->pool, extra_of(record), map, seat->self);
        record_free(seat->pool, record, index, seat->lane);
        return err;
    }
    *task = (muster_task){task_handle(pool_tasks_word(seat->pool), index, generation)};
    return MUSTER_OK;
}

static muster_err call_back(muster_task task, const muster_callbacks *callbacks)
{
    if (!callbacks || (!callbacks->on_result && !callbacks->on_error))
        return MUSTER_OK;
    muster_err err = callback_add(task, callbacks);
    if (err)
        muster_task_forget(task);
    return err;
}

static muster_err run(struct whole *whole, muster_pool pool, muster_task *task, muster_task_fn fn)
{
    muster_task made;
    muster_err err = seat_enter(pool.handle, whole->operation, &whole->seat);
    if (err)
        return err;
    err = map_refusal(whole->seat.pool, &(muster_map_options){.time_limit_ms = whole->options->time_limit_ms},
                      whole->operation);
    if (!err)
        err = muster__function_name((const void *)fn, &whole->function);
    if (!err)
        err = start(whole, &made);
    if (!err)
        err = call_back(made, whole->options->callbacks);
    if (!err)
        *task = made;
    seat_leave(&whole->seat);
    return err;
}

static muster_err check(const struct whole *whole, const muster_task *task, muster_task_fn fn)
{
    const char *operation = whole->operation;
    const muster_map_async_options *options = whole->options;
    muster_err err = check_pointer(operation, "task", task);
    if (!err)
        err = check_pointer(operation, "fn", (const void *)fn);
    if (!err)
        err = check_count(operation, "n", whole->n);
    if (!err)
        err = check_count(operation, "chunk_items", options->chunk_items);
    if (!err)
        err = check_count(operation, "time_limit_ms", options->time_limit_ms);
    if (!err)
        err = check_count(operation, "map_limit_ms", options->map_limit_ms);
    if (!err)
        err = check_block(operation, "user", options->user, 1, options->user_bytes);
    return err ? err : MUSTER__RESERVED(operation, options);
}

static const muster_map_async_options defaults;

muster_err muster_pool_map_async(muster_pool pool, muster_task *task, muster_task_fn fn, const void *items, int64_t n,
                                 size_t item_bytes, size_t result_bytes, const muster_map_async_options *options)
{
    struct whole whole = {.operation = "muster_pool_map_async",
                          .options = options ? options : &defaults,
                          .items = items,
                          .n = n,
                          .item_bytes = item_bytes,
                          .result_bytes = result_bytes};
    muster_err err = check(&whole, task, fn);
    if (!err)
        err = check_block(whole.operation, "items", items, n, item_bytes);
    if (!err)
        err = check_bytes(whole.operation, "the results", n, result_bytes);
    return err ? err : run(&whole, pool, task, fn);
}

muster_err muster_pool_map_list_async(muster_pool pool, muster_task *task, muster_task_fn fn, const muster_span *items,
                                      int64_t n, const muster_map_async_options *options)
{
    struct whole whole = {.operation = "muster_pool_map_list_async",
                          .options = options ? options : &defaults,
                          .items = items,
                          .n = n,
                          .listed = true};
    muster_err err = check(&whole, task, fn);
    if (!err)
        err = list_check(whole.operation, items, n);
    return err ? err : run(&whole, pool, task, fn);
}
