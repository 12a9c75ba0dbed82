/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/pool.h"
#include "share/share.h"

#include <muster/map_array.h>

/*
 * A map whose items and results are in arrays. Blocks of arrays that are at home here stand in the map as they are, all
 * items at once; those of others are staged by windows, as those of any map.
 */

struct side {
    muster_array array; /* of which the map's first item is item `first` */
    muster__ref block;  /* 0: at home elsewhere, or there is no array */
    size_t from;
};

struct array_call {
    struct map_call call;
    int64_t first;
    struct side items, results;
    bool wants_results;
};

static const char operation[] = "muster_pool_map_array";

static size_t staged_bytes(const struct array_call *array)
{
    return (array->items.block ? 0 : array->items.array.item_bytes) +
           (array->wants_results && !array->results.block ? array->results.array.item_bytes : 0);
}

static muster_err stage_items(struct array_call *array, int64_t first, int64_t n)
{
    struct map *map = array->call.map;
    map->items_lent = array->items.block != 0;
    map->items = array->items.block;
    map->items_from = map->items_lent ? array->items.from + (size_t)first * map->item_bytes : 0;
    if (map->items_lent)
        return MUSTER_OK;
    map->items = map_stage(&array->call.seat, NULL, (size_t)n * map->item_bytes);
    return map->items ? muster_array_read(array->items.array, array->first + first, n, muster__heap_at(map->items))
                      : MUSTER_ERR_NOMEM;
}

static muster_err stage_results(struct array_call *array, int64_t first, int64_t n)
{
    struct map *map = array->call.map;
    if (!array->wants_results)
        return MUSTER_OK;
    map->results_lent = array->results.block != 0;
    map->results = array->results.block;
    map->results_from = map->results_lent ? array->results.from + (size_t)first * map->result_bytes : 0;
    if (!map->results_lent)
        map->results = map_stage(&array->call.seat, NULL, (size_t)n * map->result_bytes);
    return map->results ? MUSTER_OK : MUSTER_ERR_NOMEM;
}

static muster_err queue(struct map_call *call, int64_t first)
{
    struct array_call *array = (struct array_call *)call;
    struct map *map = call->map;
    int64_t n = call->n_whole - first, most = n;
    if (staged_bytes(array))
        most = map_whole_chunks(map, (int64_t)(WINDOW_BYTES / staged_bytes(array)) + 1);
    n = n < most ? n : most;
    muster_err err = stage_items(array, first, n);
    if (!err)
        err = stage_results(array, first, n);
    if (!err && map_queue_staged(&call->seat, map, first, n, call->seat.pool->retries))
        return MUSTER_OK;
    map_free_window(map, call->seat.self);
    map->n = 0;
    if (err && err != MUSTER_ERR_NOMEM)
        return err;
    return muster__fail(MUSTER_ERR_NOMEM, "%s: no room for %lld item%s in the host segment", operation, (long long)n,
                        muster__s(n));
}

/* What lies here is where it belongs. */
static muster_err collect(struct map_call *call, bool early)
{
    const struct array_call *array = (const struct array_call *)call;
    const struct map *map = call->map;
    const char *results = map_results(map);
    int64_t to = array->first + map->first;
    if (map->results_lent || !results)
        return MUSTER_OK;
    if (!early)
        return muster_array_write(array->results.array, to, map->n, results);
    const unsigned char *states = call->states ? call->states + map->first : NULL;
    for (int64_t i = 0, end; states && i < map->n; i = end + 1) {
        for (end = i; end < map->n && states[end] == MUSTER_ITEM_DONE; end++)
            ;
        muster_err err =
            i < end ? muster_array_write(array->results.array, to + i, end - i, results + (size_t)i * map->result_bytes)
                    : MUSTER_OK;
        if (err)
            return err;
    }
    return MUSTER_OK;
}

static bool is_same(const muster_array *a, const muster_array *b)
{
    return memcmp(&a->handle, &b->handle, sizeof a->handle) == 0;
}

static muster_err check(struct array_call *array, muster_task_fn fn)
{
    int64_t n = array->call.n_whole;
    muster_err err = check_pointer(operation, "fn", (const void *)fn);
    if (!err)
        err = check_map_options(operation, array->call.options);
    if (!err && array->wants_results && is_same(&array->items.array, &array->results.array))
        err = muster__fail(MUSTER_ERR_INVAL, "%s: items and results are the same array", operation);
    if (!err)
        err = muster__array_where(&array->items.array, array->first, n, operation, &array->items.block,
                                  &array->items.from);
    if (!err && array->wants_results)
        err = muster__array_where(&array->results.array, array->first, n, operation, &array->results.block,
                                  &array->results.from);
    return err;
}

/* Of no items nothing is read: whether the arrays that are elsewhere are there is asked before anything is run. */
static muster_err ask_elsewhere(const struct array_call *array)
{
    char none;
    muster_err err = array->items.block ? MUSTER_OK : muster_array_read(array->items.array, 0, 0, &none);
    if (!err && array->wants_results && !array->results.block)
        err = muster_array_read(array->results.array, 0, 0, &none);
    return err;
}

muster_err muster_pool_map_array(muster_pool pool, muster_task_fn fn, muster_array items, int64_t first, int64_t n,
                                 const muster_array *results, const muster_map_options *options)
{
    static const muster_map_options defaults;
    struct array_call array = {.call = {.operation = operation,
                                        .options = options ? options : &defaults,
                                        .n_whole = n,
                                        .began_ns = muster__now_ns(),
                                        .queue = queue,
                                        .collect = collect},
                               .first = first,
                               .items.array = items,
                               .wants_results = results != NULL};
    if (results)
        array.results.array = *results;
    struct map_call *call = &array.call;
    muster_err err = check(&array, fn);
    if (!err)
        err = ask_elsewhere(&array);
    if (!err)
        err = seat_enter(pool.handle, operation, &call->seat);
    if (err)
        return err;
    err = map_refusal(call->seat.pool, call->options, operation);
    if (!err && n > 0)
        err = map_run(call, fn, items.item_bytes, results ? results->item_bytes : 0, false);
    seat_leave(&call->seat);
    return err;
}
