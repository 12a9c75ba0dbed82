/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Maps: what they share with the pieces that the scheduler runs (map.c), what a death among those comes to (piece.c),
 * and lists, whose items and results have any size (list.c).
 *
 * Whoever runs an item says in its frame (muster__running) where muster_task_return is to put what it is given:
 *
 *   a task   a block of its own; see sched/any.h
 *   a map    its place among the results, whose size is fixed (any.c)
 *   a list   a block of its lane's, which the map's cell names and which holds results of many items (list.c)
 *   imap     memory of the chunk's task, which returns them all at once, as a task does (imap.c)
 *
 * In the segment a list of items is one block: a slot an item, then the items in order, so that any part of a list is
 * one piece of memory, too; that is how hosts lend them. A list of results that travels looks the same.
 */
#ifndef MUSTER_POOL_MAP_H
#define MUSTER_POOL_MAP_H

#include "pool/check.h"
#include "sched/sched.h"

/* ---- pieces ---- */

/* a map's range of items, in its record; also read by sweepers */
struct piece {
    muster__ref map;
    int64_t begin, end;
    _Atomic int64_t current; /* the item in hand; begin - 1 before the first, end after the last */
    int64_t total;           /* while splitting: where; when all were run: what the lane's done cell becomes; else -1 */
    _Atomic uint64_t split;  /* record being split off: it, once queued, takes everything from its begin */
    int32_t retries;         /* tries left for the item in hand */
};
_Static_assert(sizeof(struct piece) <= RECORD_INLINE, "a piece is in its record");
_Static_assert(offsetof(struct piece, map) == 0, "the map is what the scheduler knows as record.whole");

static inline struct piece *piece_of(struct record *record)
{
    return (struct piece *)(void *)record->bytes;
}

/** What the scheduler does with one (map.c), and after a death (piece.c). */
void map_run_piece(const struct seat *seat, struct record *record, uint32_t index);
void piece_died(const struct death *death, struct record *record, uint32_t index);

/* ---- maps (map.c) ---- */

struct map {
    muster__function function;
    muster__ref user;
    size_t user_bytes; /* of a context of its own; 0: the pool's */
    size_t item_bytes, result_bytes, chunk_items;
    int64_t n, first; /* items in this window; index of the first in the whole map */
    muster__ref items, results;
    size_t items_from, results_from; /* where in these blocks, in bytes */
    bool items_lent, results_lent;   /* the block is an array's: not the map's to free */
    int64_t time_limit_ms;
    int64_t deadline_ns; /* no item is begun after it */
    bool stop_at_failure;
    bool stated; /* what becomes of each item is noted */
    bool listed; /* items and results of any size; item_bytes and result_bytes are 0: see any.h */
    uint32_t caller_lane, lanes;
    record_ref task; /* that it is; 0: its caller waits, in caller_lane */
    uint32_t group;  /* of that task; 0: none */
    _Atomic uint32_t stopped;
    uint64_t cancels;           /* the pool's when it was made, see pending.h */
    _Atomic uint32_t timed_out; /* stopped by the deadline */
    _Atomic int64_t failed;
    muster__ref self, states; /* a byte an item: MUSTER_ITEM_DONE ... */
    /* a lane's share; its owner alone writes */
    struct map_cell {
        _Alignas(MUSTER__LINE) _Atomic int64_t done;
        _Atomic uint32_t error_which; /* of lowest index: 0 none, else errors[which - 1] */
        struct muster_task_error errors[2];
        _Atomic muster__ref blocks, fresh; /* of a list: with results; one that is about to be among them */
    } cell[];
};
/** NULL: an array that has been destroyed. */
static inline char *map_items(const struct map *map)
{
    char *block = muster__heap_at(map->items);
    return block ? block + map->items_from : NULL;
}
/** NULL: there are none, or likewise. */
static inline char *map_results(const struct map *map)
{
    char *block = map->results ? muster__heap_at(map->results) : NULL;
    return block ? block + map->results_from : NULL;
}
/** Whether an array that it works on has been destroyed under it, before this look. */
static inline bool map_lost_array(const struct map *map)
{
    return (map->items_lent && !map_items(map)) || (map->results_lent && !map_results(map));
}
void map_item_failed(const struct seat *seat, struct map *map, muster_err err, int code, int64_t index);
/** Whether no further item is to be begun. */
bool map_must_stop(struct map *map);
static inline _Atomic unsigned char *map_states(const struct map *map)
{
    return map->states ? muster__heap_at(map->states) : NULL;
}
/** After the item's result is there. */
static inline void map_note_state(const struct map *map, int64_t item, unsigned char state)
{
    if (map->states)
        atomic_store_explicit(&map_states(map)[item], state, memory_order_release);
}

/* a map under way, for its caller; how its items come into the segment, and its results out of it, is its kind's */
struct map_call {
    struct seat seat;
    const char *operation;
    const muster_map_options *options;
    struct map *map;
    int64_t n_whole, began_ns;
    unsigned char *states; /* of all items, when they were last looked at; NULL: nobody wants to know */
    muster_err (*queue)(struct map_call *call, int64_t first); /* a window of items */
    /* its results; early: of those items that are DONE in states, if there are any */
    muster_err (*collect)(struct map_call *call, bool early);
};
/** Whether a map that ends so keeps what was finished. */
bool map_ended_early(muster_err err);
/** In a seat, with n_whole > 0 and options that are not NULL. Errors: as muster_pool_map. */
muster_err map_run(struct map_call *call, muster_task_fn fn, size_t item_bytes, size_t result_bytes, bool listed);
/** Whether the pool takes such a map. Errors: UNSUPPORTED, CLOSED, BROKEN. */
muster_err map_refusal(struct pool *pool, const muster_map_options *options, const char *operation);
/** At most n items, in whole chunks where there is more than one. */
int64_t map_whole_chunks(const struct map *map, int64_t n);
/** Inputs and results of a map pass through the segment in windows of about this size. */
#define WINDOW_BYTES ((size_t)256 << 20)
/** By the lane's owner. */
void map_note_error(struct map *map, const struct lane *lane, const struct muster_task_error *error);
bool map_over(struct pool *pool, struct map *map);
int64_t map_items_done(struct pool *pool, struct map *map);
/** The error of lowest index; NULL: none. */
const struct muster_task_error *map_first_error(const struct pool *pool, struct map *map);
/** A map of which nothing is queued yet; NULL: no memory. Its function, user and time limit are the caller's to set. */
struct map *map_make(const struct seat *seat, muster__function function, size_t item_bytes, size_t result_bytes,
                     const muster_map_options *options);
/** Copies bytes into a block of the pool's; 0: no memory. */
muster__ref map_stage(const struct seat *seat, const void *bytes, size_t size);
/** Frees the items and the results that are staged. */
void map_free_window(struct map *map, uint32_t self);
/** Stages n items, the first of which is number `first`, and queues them. False: no memory, and nothing is staged. */
bool map_queue_window(const struct seat *seat, struct map *map, const void *items, int64_t first, int64_t n,
                      int retries);
/** The same of what is staged already, which is not freed if there is no memory. */
bool map_queue_staged(const struct seat *seat, struct map *map, int64_t first, int64_t n, int retries);
/** Queues what lies from middle on as a record of its own. False: no memory. */
bool map_split(const struct seat *seat, struct record *record, int64_t middle);
/** By whoever ended items of a piece that was lane's: counts them and tells the map's caller, who may then free it, or
 * ends the task that it is. */
void map_count_for(struct pool *pool, struct map *map, uint32_t lane, int64_t items);

/* ---- maps that are tasks (async.c) ---- */

/** Looks whether the map that a task is has ended, and then ends the task, in the seat's name. After a full barrier. */
void async_look(const struct seat *seat, record_ref task);
/** The task is RUNNING by the seat's lane, its items are over: clears the map away and makes the task final. */
void async_end(const struct seat *seat, struct record *record, uint32_t index);
/** The map that a task of this generation is and whose items are not over; 0: it is none. */
muster__ref async_map(const struct record *record, uint32_t generation);
/** Whether it is one in this state; false: or the state has changed. */
bool async_is(const struct record *record, uint64_t state);
/** Has nothing more of it begun. False: not done, the state has changed. */
bool async_cancel(const struct seat *seat, struct record *record, uint32_t index, uint64_t *state);
/** Claims any queued piece of it, for who may not take what else there is. */
bool async_claim(const struct seat *seat, muster__ref map, struct record **record, uint32_t *index);

/* ---- results of a fixed size (any.c) ---- */

struct any_fixed {
    struct muster__any any;
    char *results;
    size_t result_bytes;
    int64_t first; /* index of the item whose result comes first */
};
struct any_fixed any_fixed(size_t item_bytes, void *results, size_t result_bytes, int64_t first);

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
/** Copies spans into a block of the pool's, as the items of a list; 0: no memory. */
muster__ref list_stage(const struct seat *seat, const muster_span *spans, int64_t n);
/** Makes room for the results. False: no memory. */
bool list_make_results(const struct seat *seat, struct map *map, int64_t n);
/** All results, as muster_list_at reads them, in a block of the pool's; 0: no memory. */
muster__ref list_whole(struct pool *pool, const struct map *map, size_t *size, uint32_t self);
/** What is wrong with the items. Errors: INVAL. */
muster_err list_check(const char *operation, const muster_span *items, int64_t n);
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
