/* SPDX-License-Identifier: BSD-3-Clause */
#include "offload/offload.h"

#include <stdio.h>
#include <string.h>

/*
 * At home: what carriers take and bring. A carrier's stand-in has a lane; what it took is RUNNING by that lane until it
 * comes back. If its host dies, the lane is recovered like any dead worker's.
 */

enum { LEND_BYTES = 4 << 20 }; /* items and results of a load, where one item has less */

static struct pool *enter(muster_handle handle)
{
    struct muster__object *object = muster__object_pin(handle, MUSTER__POOL);
    return object ? pool_of(object) : NULL;
}

static void queue_again(const struct seat *seat, struct record *record, uint32_t index)
{
    if (!shelf_or_queue(seat, record, index))
        worker_break(seat->pool, "no memory left to queue a task again");
}

/* ---- packing ---- */

struct pack {
    struct seat seat;
    const struct fetch *want;
    char *bytes;
    size_t used, capacity;
    int64_t left;     /* items still wanted */
    int64_t tasks;    /* most tasks of the deques to be lent */
    uint64_t cancels; /* when the record in hand was taken */
    int host;
    int modules;
    size_t needed; /* what the first record needs if it did not fit; else 0 */
};

/* It did not fit. */
static void put_back(struct pack *pack, struct record *record, uint32_t index, size_t needed)
{
    pack->needed = pack->used ? 0 : needed;
    pack->left = 0;
    queue_again(&pack->seat, record, index);
}

static struct load *load_begin(struct pack *pack, size_t payload)
{
    struct load *load = (struct load *)(pack->bytes + pack->used);
    *load = (struct load){.bytes = round_16(sizeof *load + payload), .modules = pack->modules};
    pack->used += load->bytes;
    return load;
}

static bool fits(const struct pack *pack, size_t payload)
{
    return pack->used + round_16(sizeof(struct load) + payload) <= pack->capacity;
}

static record_ref ref_of(const struct record *record, uint32_t index)
{
    return atomic_load(&record->state) >> 32 << 32 | index;
}

static int64_t piece_limit(const struct pack *pack, const struct map *map, const struct piece *piece)
{
    int64_t limit = pack->left < pack->want->items_a_load ? pack->left : pack->want->items_a_load;
    int64_t by_size = map->listed ? list_fitting(map, piece->begin, piece->end, LEND_BYTES)
                                  : (int64_t)(LEND_BYTES / (map->item_bytes + map->result_bytes + 1));
    int64_t chunk = map->chunk_items ? (int64_t)map->chunk_items : 1;
    limit = limit < by_size ? limit : by_size;
    return limit < chunk ? chunk : limit / chunk * chunk;
}

static void pack_piece(struct pack *pack, struct record *record, uint32_t index)
{
    struct piece *piece = piece_of(record);
    struct map *map = muster__heap_at(piece->map);
    if (map_lost_array(map)) {
        map_item_failed(&pack->seat, map, MUSTER_ERR_STALE, 0, map->first + piece->begin);
        atomic_fetch_sub(&map->failed, 1); /* is counted below */
        atomic_store(&map->stopped, 1);
    }
    if (pending_is_over(pack->seat.pool, map) || map_must_stop(map)) {
        pending_drop_piece(&pack->seat, record, index);
        return;
    }
    int64_t limit = piece_limit(pack, map, piece);
    if (piece->end - piece->begin > limit && !map_split(&pack->seat, record, piece->begin + limit))
        limit = piece->end - piece->begin;
    size_t count = (size_t)(piece->end - piece->begin);
    size_t payload = map->listed ? list_part_bytes(map, piece->begin, piece->end) : count * map->item_bytes;
    if (!fits(pack, payload)) {
        put_back(pack, record, index, sizeof(struct load) + payload + 16);
        return;
    }
    struct load *load = load_begin(pack, payload);
    load->record = ref_of(record, index);
    load->function = map->function;
    load->user = map->user_bytes ? map->user : 0;
    load->user_bytes = map->user_bytes;
    load->item_bytes = map->listed ? payload : map->item_bytes;
    load->result_bytes = map->result_bytes;
    load->first = map->first + piece->begin;
    load->cancels = map->cancels;
    load->count = (int64_t)count;
    load->chunk_items = (int64_t)map->chunk_items;
    load->time_limit_ms = map->time_limit_ms;
    load->retries = piece->retries;
    load->map_limit_ms = map->deadline_ns == MUSTER__NEVER ? 0 : muster__left_ms(map->deadline_ns);
    load->kind = RECORD_PIECE;
    load->stated = map->stated;
    load->stop_at_failure = map->stop_at_failure;
    load->listed = map->listed;
    if (map->listed)
        list_part(map, piece->begin, piece->end, load + 1);
    else if (payload)
        memcpy(load + 1, map_items(map) + (size_t)piece->begin * map->item_bytes, payload);
    pack->left -= load->count;
}

static void pack_task(struct pack *pack, struct record *record, uint32_t index)
{
    if (MUSTER__UNLIKELY(record->extra) && follow_refuse(&pack->seat, record, index))
        return;
    const struct extra *extra = record->extra ? muster__heap_at(record->extra) : NULL;
    size_t user_bytes = extra && extra->user ? extra->user_bytes : 0, room = round_16(record->arg_bytes);
    size_t along = user_bytes && !extra->user_shared ? user_bytes : 0;
    if (!fits(pack, room + along)) {
        put_back(pack, record, index, sizeof(struct load) + room + along + 16);
        return;
    }
    struct load *load = load_begin(pack, room + along);
    load->user = along || !user_bytes ? 0 : extra->user;
    load->record = ref_of(record, index);
    load->function = record->function;
    load->user_bytes = user_bytes;
    load->item_bytes = record->arg_bytes;
    load->result_bytes = record->result_bytes;
    load->first = record->number;
    load->cancels = pack->cancels;
    load->count = 1;
    load->time_limit_ms = extra ? extra->time_limit_ms : 0;
    load->memory_limit = extra ? extra->memory_limit : 0;
    load->retries = record->retries;
    load->kind = RECORD_TASK;
    load->grouped = record->next != 0;
    if (extra) {
        load->priority = extra->placed.priority;
        load->aim = extra->placed.aim;
        load->aim_at = extra->placed.aim_at;
    }
    if (record->arg_bytes)
        memcpy(load + 1, record_arg(record), record->arg_bytes);
    if (along)
        memcpy((char *)(load + 1) + room, muster__heap_at(extra->user), user_bytes);
    pack->left--;
}

static bool any_for(const struct pack *pack)
{
    return sched_queued_for(pack->seat.pool, pack->host) || shelf_any(pack->seat.pool, pack->seat.lane->index);
}

/* The shelf's in their order; they are not of a tree that goes on here. */
static bool take(struct pack *pack, struct record **record, uint32_t *index)
{
    const struct seat *seat = &pack->seat;
    return shelf_take(seat, true, record, index) ||
           (pack->tasks > 0 && sched_take_for(seat, pack->host, record, index)) ||
           shelf_take(seat, false, record, index);
}

static void pack_some(struct pack *pack)
{
    struct record *record;
    uint32_t index;
    pack->modules = muster__modules_count();
    /* a tree's tasks are few and large: who asks does not get all of those that there are */
    int64_t queued = sched_queued_for(pack->seat.pool, pack->host);
    pack->tasks = workers_here(pack->seat.pool) ? (queued + 1) / 2 : queued;
    while (pack->left > 0 && take(pack, &record, &index)) {
        pack->cancels = pending_number(pack->seat.pool);
        if (record->kind == RECORD_PIECE)
            pack_piece(pack, record, index);
        else {
            pack_task(pack, record, index);
            pack->tasks--;
        }
    }
}

/* ---- fetching ---- */

static void note_workers(struct pool *pool, const struct fetch *want)
{
    struct branch *branch = pool_branch(pool, (int)want->branch);
    atomic_store_explicit(&branch->alive, want->alive, memory_order_relaxed);
    atomic_store_explicit(&branch->busy, want->busy, memory_order_relaxed);
}

/* Into a block, or where it is small into the room there is. */
static muster_err pack_for(struct pack *pack, struct muster__arg *arg)
{
    uint32_t self = pack->seat.self;
    muster__ref block = muster__heap_alloc(arg->capacity, self);
    if (!block)
        return MUSTER_ERR_NOMEM;
    pack->bytes = muster__heap_at(block);
    pack_some(pack);
    arg->got = pack->needed ? pack->needed : pack->used;
    if (pack->used > MUSTER__REMOTE_SMALL) {
        arg->room_block = block;
    } else {
        memcpy(arg->room, pack->bytes, pack->used);
        muster__heap_free(block, self);
    }
    return pack->needed ? MUSTER_ERR_TOOBIG : MUSTER_OK;
}

static muster_err fetch(struct pack *pack, struct muster__step *step)
{
    struct pool *pool = pack->seat.pool;
    sched_idle_end(&pack->seat, true);
    for (;;) {
        if (pool_state(pool) > POOL_CLOSED)
            return pool_state(pool) == POOL_BROKEN ? MUSTER_ERR_BROKEN : MUSTER_ERR_CLOSED;
        muster_err err = any_for(pack) ? pack_for(pack, step->arg) : MUSTER_OK;
        if (err || pack->used)
            return err;
        sched_idle_begin(&pack->seat); /* like an idle worker */
        if (pool_state(pool) <= POOL_CLOSED && !any_for(pack)) {
            step->event = &step->object->event[POOL_WORK];
            return MUSTER__WAIT;
        }
        sched_idle_end(&pack->seat, true);
    }
}

muster_err lend_fetch(struct muster__step *step)
{
    const struct fetch *want = step->arg->bytes;
    struct pool *pool = pool_of(step->object);
    note_workers(pool, want);
    struct pack pack = {.seat = seat_of_carrier(pool, (int)want->branch, step->host),
                        .want = want,
                        .capacity = step->arg->capacity,
                        .host = step->host,
                        .left = want->items};
    return fetch(&pack, step);
}

void lend_fetch_leave(struct muster__step *step)
{
    const struct fetch *want = step->arg->bytes;
    struct seat seat = seat_of_carrier(pool_of(step->object), (int)want->branch, step->host);
    sched_idle_end(&seat, false);
}

/* ---- taking back ---- */

/* The record it is of, if that is still lent; NULL: it was recovered meanwhile. */
static struct record *lent(struct pool *pool, record_ref ref, uint32_t kind, uint32_t *index, uint32_t *lane)
{
    *index = (uint32_t)ref;
    struct record *record = pool_record_if(pool, *index);
    if (!record)
        return NULL;
    uint64_t state = atomic_load(&record->state);
    *lane = state_lane(state);
    return state >> 32 == ref >> 32 && state_phase(state) == RECORD_RUNNING && record->kind == kind &&
                   pool_is_carrier(pool, *lane)
               ? record
               : NULL;
}

/* ---- what was not run ---- */

static void rest_is_back(const struct seat *seat, const struct yield *yield)
{
    uint32_t index, lane;
    struct record *record = lent(seat->pool, yield->record, yield->kind, &index, &lane);
    if (!record)
        return;
    if (yield->kind == RECORD_PIECE && yield->count)
        map_split(seat, record,
                  piece_of(record)->begin + yield->count); /* without memory: it comes back again, as failed */
    else if (yield->kind == RECORD_TASK && atomic_load(&record->state) & STATE_KILLED)
        sched_finish(seat->pool, record, index, RECORD_CANCELED, NULL);
    else
        queue_again(seat, record, index);
}

/* ---- results ---- */

static void no_room(struct muster_task_error *error, int64_t index, int64_t failed)
{
    *error = (struct muster_task_error){.err = MUSTER_ERR_NOMEM, .index = index, .worker = -1, .failed = failed};
    error->rank = muster__rank_of_local(0);
    snprintf(error->host, sizeof error->host, "%s", muster__host_name());
    snprintf(error->text, sizeof error->text, "no room in the host segment for what another host brought");
}

static int64_t items_back(const struct piece *piece, const struct yield *yield)
{
    int64_t items = piece->end - piece->begin;
    return yield->count < items ? yield->count : items;
}

/* Results of a list: without room for them those that had gone well have failed, too. */
static bool list_is_back(struct pool *pool, struct map *map, uint32_t lane, const struct piece *piece,
                         const struct yield *yield)
{
    struct muster_task_error error;
    int64_t items = items_back(piece, yield);
    if (!yield->result_bytes || list_bring(pool, map, lane, piece->begin, items, yield + 1, yield->result_bytes))
        return true;
    no_room(&error, map->first + piece->begin, items);
    map_note_error(map, &pool->lane[lane], &error);
    atomic_fetch_add(&map->failed, items - yield->failed);
    return false;
}

/* After the results. What could not even begin there brings no states. */
static void states_are_back(const struct map *map, const struct piece *piece, const struct yield *yield, bool room)
{
    const unsigned char *states = (const unsigned char *)(yield + 1) + round_16(yield->result_bytes);
    int64_t items = items_back(piece, yield);
    for (int64_t i = 0; map->states && i < items; i++)
        map_note_state(map, piece->begin + i, room && yield->states_bytes ? states[i] : MUSTER_ITEM_FAILED);
}

static void piece_is_back(struct pool *pool, const struct yield *yield)
{
    uint32_t index, lane;
    struct record *record = lent(pool, yield->record, RECORD_PIECE, &index, &lane);
    if (!record)
        return;
    struct piece *piece = piece_of(record);
    struct map *map = muster__heap_at(piece->map);
    bool room = true;
    if (map->listed)
        room = list_is_back(pool, map, lane, piece, yield);
    else if (map_results(map) && yield->result_bytes)
        memcpy(map_results(map) + (size_t)piece->begin * map->result_bytes, yield + 1, yield->result_bytes);
    states_are_back(map, piece, yield, room);
    if (yield->timed_out)
        atomic_store(&map->timed_out, 1);
    if (yield->error.err)
        map_note_error(map, &pool->lane[lane], &yield->error);
    if (yield->failed) {
        atomic_fetch_add(&map->failed, yield->failed);
        if (map->stop_at_failure)
            atomic_store(&map->stopped, 1);
    }
    int64_t items = piece->end - piece->begin;
    record_free(pool, record, index, NULL);
    map_count_for(pool, map, lane, items);
}

static void task_is_back(struct pool *pool, const struct yield *yield)
{
    uint32_t index, lane;
    struct record *record = lent(pool, yield->record, RECORD_TASK, &index, &lane);
    if (!record)
        return;
    struct muster_task_error error = yield->error;
    enum phase phase = (enum phase)yield->phase;
    if (phase == RECORD_DONE && yield->returned && !any_bring(pool, record, yield + 1, yield->result_bytes)) {
        phase = RECORD_FAILED;
        no_room(&error, record->number, 1);
    } else if (phase == RECORD_DONE && !yield->returned && record->result_bytes) {
        memcpy(record_result(record), yield + 1, record->result_bytes);
    }
    bool is_own = error.err && phase != RECORD_DONE;
    struct extra *extra = is_own ? record_extra(pool, record, muster__self_state.number) : NULL;
    if (extra)
        extra->error = error;
    if (record->next && yield->failed)
        group_fails_elsewhere(pool, record->next, yield->failed, &yield->error);
    bool killed = atomic_load(&record->state) & STATE_KILLED; /* whoever did was told so, be it that it came too late */
    sched_finish(pool, record, index, killed ? RECORD_CANCELED : phase, NULL);
}

muster_err lend_take_back(struct muster__errand *work)
{
    struct seat seat;
    muster_err err = seat_enter(work->object, "a branch", &seat);
    if (err)
        return err;
    struct pool *pool = seat.pool;
    const char *at = work->bytes, *end = at + work->size;
    const struct fetch *news = work->bytes;
    note_workers(pool, news);
    for (at += round_16(sizeof *news); at < end; at += ((const struct yield *)at)->bytes) {
        const struct yield *yield = (const struct yield *)at;
        if (yield->phase == RECORD_QUEUED)
            rest_is_back(&seat, yield);
        else if (yield->kind == RECORD_PIECE)
            piece_is_back(pool, yield);
        else
            task_is_back(pool, yield);
    }
    seat_leave(&seat);
    return MUSTER_OK;
}

/* ---- contexts ---- */

static struct context context_of(struct pool *pool, record_ref ref)
{
    uint32_t index, lane;
    struct record *record = lent(pool, ref, RECORD_PIECE, &index, &lane);
    if (record) {
        const struct map *map = muster__heap_at(record->whole);
        return (struct context){map->user, map->user_bytes};
    }
    record = lent(pool, ref, RECORD_TASK, &index, &lane);
    const struct extra *extra = record ? muster__heap_at(record->extra) : NULL;
    return extra ? (struct context){extra->user, extra->user_bytes} : (struct context){0};
}

muster_err lend_context(struct muster__errand *work)
{
    record_ref ref;
    memcpy(&ref, work->bytes, sizeof ref);
    struct pool *pool = enter(work->object);
    if (!pool)
        return muster__object_stale(MUSTER__POOL, "a branch");
    struct context context = context_of(pool, ref);
    const void *bytes = context.bytes <= work->capacity ? muster__heap_at(context.block) : NULL;
    if (bytes) {
        work->reply_size = context.bytes;
        memcpy(work->reply, bytes, context.bytes);
    }
    muster__object_unpin();
    return bytes ? MUSTER_OK : muster__fail(MUSTER_ERR_STALE, "the task has ended");
}
