/*
 * What has any size: results that a task returns by itself, and the items of muster_pool_map_list.
 *
 * Whoever runs an item says in its frame (muster__running) where muster_task_return is to put what it is given:
 *
 *   a task   a block of its own, which the record's extra names; the record's result_bytes becomes its size when the
 *            task has ended well. A death before that drops the block, and the next try begins with nothing (any.c)
 *   a map    its place among the results, whose size is fixed (any.c)
 *   a list   a block of its lane's, which the map's cell names and which holds results of many items (list.c)
 *   imap     memory of the chunk's task, which returns them all at once, as a task does (imap.c)
 *
 * In the segment a list of items is one block: a slot an item, then the items in order, so that any part of a list is
 * one piece of memory, too; that is how hosts lend them. A list of results that travels looks the same.
 */
#ifndef MUSTER_POOL_ANY_H
#define MUSTER_POOL_ANY_H

#include "pool/internal.h"

/* ---- where the running item's result goes (any.c) ---- */

struct muster__any {
    muster_err (*take)(struct muster__any *any, const void *bytes, size_t size);
    size_t item_bytes;
};

struct any_task {
    struct muster__any any;
    const struct seat *seat;
    struct record *record;
};
struct any_task any_of_task(const struct seat *seat, struct record *record);
/** The task has ended well: what it returned, if it did, is its result from now on. */
void any_commit(struct record *record);
/** Of a record whose task has died, or that is freed: nothing was returned. Twice is fine. */
void any_forget(struct record *record, uint32_t self);
/** What was returned; NULL: nothing was. */
void *any_returned(const struct record *record);
/** The same of a task that ran on another host, in its name. False: no memory. */
bool any_bring(struct pool *pool, struct record *record, const void *bytes, size_t size);

struct any_fixed {
    struct muster__any any;
    char *results;
    size_t result_bytes;
    int64_t first; /* index of the item whose result comes first */
};
struct any_fixed any_fixed(size_t item_bytes, void *results, size_t result_bytes, int64_t first);

/** The running item's own results go there until it is put back; NULL: nowhere. Returns what was. */
struct muster__any *any_enter(struct muster__any *any);

/** The frame in which items of a map run. */
static inline struct muster__running map_running(const struct seat *seat, const struct map *map,
                                                 struct muster__any *any)
{
    return (struct muster__running){.what = "item",
                                    .function = map->function,
                                    .worker = pool_worker_number(seat->pool, seat->lane->index),
                                    .object = muster__object_slot(seat->pool->slot)->name,
                                    .pool = seat->pool,
                                    .any = any};
}

/* ---- lists (list.c) ---- */

struct slot {
    uint64_t at, bytes; /* at 0: there is none */
};

/** What an item takes: behind it there is a 0, so that strings have an end even where it was not counted. */
static inline uint64_t list_item_room(uint64_t bytes)
{
    return round_16(bytes + 1);
}
/** Runs items begin .. end-1 of a piece of a list. */
void list_run(const struct seat *seat, struct map *map, struct piece *piece, muster_task_fn function, int64_t begin,
              int64_t end);
/** Of an item that died: it has no result. */
void list_clear(struct map *map, int64_t item);
/** Frees the blocks of the lanes. */
void list_free(struct map *map, uint32_t self);

/** How many items from `begin` on, at least one and none from `end` on, have together no more bytes. */
int64_t list_fitting(const struct map *map, int64_t begin, int64_t end, size_t bytes);
/** A part of the items, to be lent: how long, and the bytes. */
size_t list_part_bytes(const struct map *map, int64_t begin, int64_t end);
void list_part(const struct map *map, int64_t begin, int64_t end, void *out);
/** Makes what was lent the items of a map of its own, and queues it. False: no memory, and nothing is staged. */
bool list_queue_part(const struct seat *seat, struct map *map, const void *part, size_t bytes, int64_t first, int64_t n,
                     int retries);
/** All results of such a map, to be brought back. */
size_t list_results_bytes(const struct map *map);
void list_results(const struct map *map, void *out);
/** Takes them, into the items from `begin` on. False: no memory. */
bool list_bring(struct pool *pool, struct map *map, uint32_t lane, int64_t begin, int64_t n, const void *results,
                size_t bytes);

#endif
