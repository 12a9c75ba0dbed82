/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/check.h"
#include "pool/map.h"
#include "pool/task.h"

#include <stdlib.h>
#include <string.h>

/* Maps over items, and with results, of any size. */

/* ---- results in the segment ---- */

/* Results of one lane, one behind the other; a large one has a block of its own. */
struct block {
    muster__ref next;
    uint64_t used, room; /* bytes behind this */
    uint64_t aligned;
};

enum {
    BLOCK_ROOM = (64 << 10) - (int)sizeof(struct block),
    LARGE = BLOCK_ROOM / 4,
};

static struct block *block_at(muster__ref ref)
{
    return ref ? muster__heap_at(ref) : NULL;
}

/* Of one who died here between two steps. */
static void settle(struct map_cell *cell, const struct block *first, uint32_t self)
{
    muster__ref fresh = atomic_load_explicit(&cell->fresh, memory_order_relaxed);
    if (fresh && fresh != atomic_load_explicit(&cell->blocks, memory_order_relaxed) && !(first && first->next == fresh))
        muster__heap_free(fresh, self);
}

/*
 * In front of the lane's blocks, or behind the first one, which is still to be filled. At any moment it is its maker's,
 * or named by `fresh`, or one of the blocks: a death leaves none that list_free does not find.
 */
static struct block *block_add(struct pool *pool, struct map_cell *cell, size_t room, bool behind, uint32_t self)
{
    muster__ref blocks = atomic_load_explicit(&cell->blocks, memory_order_relaxed),
                ref = muster__heap_alloc(sizeof(struct block) + room, self);
    struct block *block = block_at(ref), *first = block_at(blocks);
    if (!block)
        return NULL;
    settle(cell, first, self);
    behind = behind && first;
    *block = (struct block){.next = behind ? first->next : blocks, .room = room};
    atomic_store_explicit(&cell->fresh, ref, memory_order_release);
    muster__heap_hand_over(ref, self, pool_owner(pool));
    if (behind)
        first->next = ref;
    else
        atomic_store_explicit(&cell->blocks, ref, memory_order_release);
    atomic_store_explicit(&cell->fresh, 0, memory_order_release);
    return block;
}

/* By the lane's owner: a block with so much room left. */
static struct block *block_with(struct pool *pool, struct map_cell *cell, size_t bytes, uint32_t self)
{
    struct block *first = block_at(atomic_load_explicit(&cell->blocks, memory_order_relaxed));
    if (first && first->room - first->used >= bytes)
        return first;
    return bytes >= LARGE ? block_add(pool, cell, bytes, true, self) : block_add(pool, cell, BLOCK_ROOM, false, self);
}

void list_free(struct map *map, uint32_t self)
{
    for (uint32_t i = 0; i < map->lanes; i++) {
        struct map_cell *cell = &map->cell[i];
        muster__ref next = atomic_exchange(&cell->blocks, 0);
        for (struct block *block; (block = block_at(next));) {
            muster__ref ref = next;
            next = block->next;
            muster__heap_free(ref, self);
        }
        muster__heap_free(atomic_exchange(&cell->fresh, 0), self);
    }
}

static struct slot *items_of(const struct map *map)
{
    return muster__heap_at(map->items);
}

static struct slot *results_of(const struct map *map)
{
    return muster__heap_at(map->results);
}

void list_clear(struct map *map, int64_t item)
{
    results_of(map)[item] = (struct slot){0};
}

/* ---- in the workers ---- */

struct any_item {
    struct muster__any any;
    const struct seat *seat;
    struct map *map;
    struct slot slot;    /* what the running item has returned so far; `at` in the segment */
    struct block *block; /* where that is; NULL: nowhere */
    uint64_t from, to;   /* in the block */
};

/* What an item returned before is overwritten, unless others lie behind it. */
static muster_err item_take(struct muster__any *any, const void *bytes, size_t size)
{
    struct any_item *item = (struct any_item *)any;
    struct map_cell *cell = &item->map->cell[item->seat->lane->index];
    struct block *block = item->block;
    uint64_t used = block ? block->used : 0;
    if (block && used == item->to)
        block->used = item->from;
    if (!block || block->room - block->used < round_16(size))
        block = block_with(item->seat->pool, cell, round_16(size), item->seat->self);
    if (!block && item->block)
        item->block->used = used;
    if (!block)
        return muster__fail(MUSTER_ERR_NOMEM, "muster_task_return: no %zu B left in the host segment", size);
    char *room = (char *)(block + 1) + block->used;
    if (size)
        memcpy(room, bytes, size);
    item->block = block;
    item->from = block->used;
    item->to = block->used += round_16(size);
    item->slot = (struct slot){muster__offset(room), size};
    return MUSTER_OK;
}

static int run_item(struct any_item *any, muster_task_fn function, const struct slot *item, const void *user)
{
    const char *items = muster__heap_at(any->map->items);
    any->any.item_bytes = item->bytes;
    any->block = NULL;
    any->slot = (struct slot){muster__offset(items), 0}; /* unless it says otherwise: nothing, which is not no result */
    return function(items + item->at, NULL, user);
}

void list_run(const struct seat *seat, struct map *map, struct piece *piece, muster_task_fn function, int64_t begin,
              int64_t end)
{
    const struct slot *items = items_of(map);
    struct slot *results = results_of(map);
    const void *user = map->user ? muster__heap_at(map->user) : NULL;
    struct any_item any = {.any = {.take = item_take}, .seat = seat, .map = map};
    struct muster__running *outer = muster__running, running = map_running(seat, map, &any.any);
    muster__running = &running;
    run_called(end - begin);
    for (int64_t i = begin; i < end; i++) {
        if (map_must_stop(map)) {
            atomic_fetch_add(&map->failed, end - i);
            break;
        }
        atomic_store_explicit(&piece->current, i, memory_order_relaxed);
        running.index = map->first + i;
        int code = run_item(&any, function, &items[i], user);
        if (MUSTER__UNLIKELY(code)) {
            map_item_failed(seat, map, MUSTER_ERR_TASK, code, map->first + i);
            continue;
        }
        results[i] = any.slot;
        map_note_state(map, i, MUSTER_ITEM_DONE);
    }
    atomic_store_explicit(&piece->current, end, memory_order_release);
    muster__running = outer;
}

/* ---- lists as one block, to be lent and brought back ---- */

static uint64_t item_end(const struct slot *item)
{
    return item->at + list_item_room(item->bytes);
}

int64_t list_fitting(const struct map *map, int64_t begin, int64_t end, size_t bytes)
{
    const struct slot *items = items_of(map);
    int64_t low = begin + 1, high = end; /* the first low - begin do, more than high - begin do not */
    while (low < high) {
        int64_t middle = low + (high - low + 1) / 2;
        if (item_end(&items[middle - 1]) - items[begin].at <= bytes)
            low = middle;
        else
            high = middle - 1;
    }
    return low - begin;
}

size_t list_part_bytes(const struct map *map, int64_t begin, int64_t end)
{
    const struct slot *items = items_of(map);
    return (size_t)(end - begin) * sizeof *items + item_end(&items[end - 1]) - items[begin].at;
}

void list_part(const struct map *map, int64_t begin, int64_t end, void *out)
{
    const struct slot *items = items_of(map);
    struct slot *part = out;
    uint64_t data = (uint64_t)(end - begin) * sizeof *part, from = items[begin].at;
    for (int64_t i = begin; i < end; i++)
        part[i - begin] = (struct slot){items[i].at - from + data, items[i].bytes};
    memcpy((char *)out + data, (const char *)items + from, item_end(&items[end - 1]) - from);
}

bool list_make_results(const struct seat *seat, struct map *map, int64_t n)
{
    map->results = map_stage(seat, NULL, (size_t)n * sizeof(struct slot));
    if (map->results)
        memset(results_of(map), 0, (size_t)n * sizeof(struct slot));
    return map->results;
}

/* The items are there: the rest of a window. */
static bool queue_staged(const struct seat *seat, struct map *map, int64_t first, int64_t n, int retries)
{
    if (map->items && list_make_results(seat, map, n) && map_queue_staged(seat, map, first, n, retries))
        return true;
    map_free_window(map, seat->self);
    map->n = 0;
    return false;
}

bool list_queue_part(const struct seat *seat, struct map *map, const void *part, size_t bytes, int64_t first, int64_t n,
                     int retries)
{
    map->items = map_stage(seat, part, bytes);
    return queue_staged(seat, map, first, n, retries);
}

size_t list_results_bytes(const struct map *map)
{
    const struct slot *results = results_of(map);
    size_t bytes = (size_t)map->n * sizeof *results;
    for (int64_t i = 0; i < map->n; i++)
        bytes += round_16(results[i].bytes);
    return bytes;
}

void list_results(const struct map *map, void *out)
{
    const struct slot *results = results_of(map);
    struct slot *part = out;
    uint64_t at = (uint64_t)map->n * sizeof *part;
    for (int64_t i = 0; i < map->n; i++) {
        part[i] = (struct slot){results[i].at ? at : 0, results[i].bytes};
        if (results[i].bytes)
            memcpy((char *)out + at, muster__at(results[i].at), results[i].bytes);
        at += round_16(results[i].bytes);
    }
}

/* All have gone well: each has a slot that says where it is. */
muster__ref list_whole(struct pool *pool, const struct map *map, size_t *size, uint32_t self)
{
    const struct slot *results = results_of(map);
    uint64_t at = (uint64_t)map->n * sizeof(struct slot);
    *size = at;
    for (int64_t i = 0; i < map->n; i++)
        *size += list_item_room(results[i].bytes);
    muster__ref ref = muster__heap_alloc(*size, self);
    struct slot *whole = ref ? muster__heap_at(ref) : NULL;
    for (int64_t i = 0; whole && i < map->n; at += list_item_room(results[i++].bytes)) {
        char *result = (char *)whole + at;
        whole[i] = (struct slot){at, results[i].bytes};
        if (results[i].bytes)
            memcpy(result, muster__at(results[i].at), results[i].bytes);
        result[results[i].bytes] = '\0';
    }
    if (ref)
        muster__heap_hand_over(ref, self, pool_owner(pool));
    return ref;
}

/* The first one lies right behind the slots. */
muster_span muster_list_at(const void *results, size_t results_bytes, int64_t i)
{
    struct slot first, slot;
    if (!results || results_bytes < sizeof first || i < 0)
        return (muster_span){NULL, 0};
    memcpy(&first, results, sizeof first);
    if (first.at > results_bytes || (uint64_t)i >= first.at / sizeof slot)
        return (muster_span){NULL, 0};
    memcpy(&slot, (const struct slot *)results + i, sizeof slot);
    if (slot.at >= results_bytes || slot.bytes >= results_bytes - slot.at)
        return (muster_span){NULL, 0};
    return (muster_span){(const char *)results + slot.at, slot.bytes};
}

bool list_bring(struct pool *pool, struct map *map, uint32_t lane, int64_t begin, int64_t n, const void *results,
                size_t bytes)
{
    struct block *block = block_add(pool, &map->cell[lane], bytes, true, muster__self_state.number);
    if (!block)
        return false;
    block->used = bytes;
    memcpy(block + 1, results, bytes);
    const struct slot *part = results;
    uint64_t base = muster__offset(block + 1);
    struct slot *slots = results_of(map);
    for (int64_t i = 0; i < n; i++)
        slots[begin + i] = part[i].at ? (struct slot){base + part[i].at, part[i].bytes} : (struct slot){0};
    return true;
}

/* ---- in the caller ---- */

struct list_call {
    struct map_call call;
    const muster_span *items;
    bool wanted;   /* the results are */
    bool complete; /* those of all items are there */
    char *results; /* the block that the caller gets: spans, whose pointers are offsets until the end, and the bytes */
    size_t bytes;
};

static int64_t window_items(const struct list_call *list, int64_t first, uint64_t *bytes)
{
    const struct map_call *call = &list->call;
    int64_t most = call->n_whole - first, n = 0;
    uint64_t all = 0;
    for (; n < most && (n == 0 || all < WINDOW_BYTES); n++)
        all += 2 * sizeof(struct slot) + list_item_room(list->items[first + n].size_bytes);
    if (n < most)
        n = map_whole_chunks(call->map, n);
    *bytes = (uint64_t)n * sizeof(struct slot);
    for (int64_t i = 0; i < n; i++)
        *bytes += list_item_room(list->items[first + i].size_bytes);
    return n;
}

static void stage(const muster_span *spans, struct slot *items, int64_t n)
{
    uint64_t at = (uint64_t)n * sizeof *items;
    for (int64_t i = 0; i < n; i++) {
        char *item = (char *)items + at;
        items[i] = (struct slot){at, spans[i].size_bytes};
        if (spans[i].size_bytes)
            memcpy(item, spans[i].bytes, spans[i].size_bytes);
        item[spans[i].size_bytes] = '\0';
        at += list_item_room(spans[i].size_bytes);
    }
}

muster__ref list_stage(const struct seat *seat, const muster_span *spans, int64_t n)
{
    uint64_t bytes = (uint64_t)n * sizeof(struct slot);
    for (int64_t i = 0; i < n; i++)
        bytes += list_item_room(spans[i].size_bytes);
    muster__ref ref = map_stage(seat, NULL, bytes);
    if (ref)
        stage(spans, muster__heap_at(ref), n);
    return ref;
}

static muster_err list_queue(struct map_call *call, int64_t first)
{
    const struct list_call *list = (const struct list_call *)call;
    struct map *map = call->map;
    uint64_t bytes;
    int64_t n = window_items(list, first, &bytes);
    map->items = map_stage(&call->seat, NULL, bytes);
    if (map->items)
        stage(list->items + first, items_of(map), n);
    return queue_staged(&call->seat, map, first, n, call->seat.pool->retries)
               ? MUSTER_OK
               : muster__fail(MUSTER_ERR_NOMEM, "%s: no room for %lld item%s, of %llu B in all, in the host segment",
                              call->operation, (long long)n, muster__s(n), (unsigned long long)bytes);
}

static muster_err list_collect(struct map_call *call, bool early)
{
    struct list_call *list = (struct list_call *)call;
    const struct map *map = call->map;
    const struct slot *results = results_of(map);
    const unsigned char *states = call->states + map->first;
    size_t bytes = list->bytes;
    list->complete = !early && map->first + map->n == call->n_whole;
    if (!list->wanted)
        return MUSTER_OK;
    for (int64_t i = 0; i < map->n; i++)
        bytes += states[i] == MUSTER_ITEM_DONE ? list_item_room(results[i].bytes) : 0;
    char *wider = realloc(list->results, bytes);
    list->complete &= wider != NULL;
    if (!wider)
        return muster__fail(MUSTER_ERR_NOMEM, "%s: no memory for results of %zu B", call->operation, bytes);
    list->results = wider;
    muster_span *spans = (muster_span *)wider + map->first;
    for (int64_t i = 0; i < map->n; i++) {
        if (states[i] != MUSTER_ITEM_DONE)
            continue;
        spans[i] = (muster_span){(const void *)(uintptr_t)list->bytes, results[i].bytes};
        memcpy(wider + list->bytes, muster__at(results[i].at), results[i].bytes);
        wider[list->bytes + results[i].bytes] = '\0';
        list->bytes += list_item_room(results[i].bytes);
    }
    return MUSTER_OK;
}

/* Once all items have ended, whatever became of them, or the map has ended early. */
static void give(struct list_call *list, muster_span **results, muster_err err)
{
    muster_span *spans = (muster_span *)list->results;
    if (!list->complete && !map_ended_early(err)) {
        free(list->results);
        return;
    }
    for (int64_t i = 0; i < list->call.n_whole; i++)
        if (spans[i].bytes)
            spans[i].bytes = list->results + (uintptr_t)spans[i].bytes;
    *results = spans;
}

static muster_err run_list(struct list_call *list, muster_task_fn fn, muster_span **results)
{
    struct map_call *call = &list->call;
    if (list->wanted) {
        list->bytes = round_16((uint64_t)call->n_whole * sizeof(muster_span));
        list->results = calloc(1, list->bytes);
        if (!list->results)
            return muster__fail(MUSTER_ERR_NOMEM, "%s: no memory for %lld result%s", call->operation,
                                (long long)call->n_whole, muster__s(call->n_whole));
    }
    muster_err err = map_run(call, fn, 0, 0, true);
    if (list->wanted)
        give(list, results, err);
    return err;
}

muster_err list_check(const char *operation, const muster_span *items, int64_t n)
{
    muster_err err = check_block(operation, "items", items, n, sizeof *items);
    uint64_t all = 0;
    for (int64_t i = 0; i < n && !err; i++) {
        err = check_block(operation, "an item", items[i].bytes, 1, items[i].size_bytes);
        all += err ? 0 : items[i].size_bytes;
        if (!err)
            err = check_bytes(operation, "the items", 1, all);
    }
    return err;
}

static muster_err check_list(muster_task_fn fn, const muster_span *items, int64_t n, const muster_map_options *options)
{
    const char *operation = "muster_pool_map_list";
    muster_err err = check_pointer(operation, "fn", (const void *)fn);
    if (!err)
        err = check_count(operation, "n", n);
    if (!err)
        err = list_check(operation, items, n);
    return err ? err : check_map_options(operation, options);
}

muster_err muster_pool_map_list(muster_pool pool, muster_task_fn fn, const muster_span *items, int64_t n,
                                muster_span **results, const muster_map_options *options)
{
    static const muster_map_options defaults;
    struct list_call list = {.call = {.operation = "muster_pool_map_list",
                                      .options = options ? options : &defaults,
                                      .n_whole = n,
                                      .began_ns = muster__now_ns(),
                                      .queue = list_queue,
                                      .collect = list_collect},
                             .items = items,
                             .wanted = results != NULL};
    struct map_call *call = &list.call;
    if (results)
        *results = NULL;
    muster_err err = check_list(fn, items, n, options);
    if (!err)
        err = seat_enter(pool.handle, call->operation, &call->seat);
    if (err)
        return err;
    err = map_refusal(call->seat.pool, call->options, call->operation);
    if (!err && n > 0)
        err = run_list(&list, fn, results);
    seat_leave(&call->seat);
    return err;
}
