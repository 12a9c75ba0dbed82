/*
 * What goes between the parts of a pool, and from whoever has a task's handle to the task's home.
 */
#ifndef MUSTER_POOL_TRAVEL_H
#define MUSTER_POOL_TRAVEL_H

#include "pool/internal.h"

/* what a carrier asks of home, and home of a branch */
enum { POOL_FETCH, POOL_ENDED, POOL_GROUP_ENDED, POOL_GET, POOL_OPS }; /* operations; the others are errands */
enum parts_operation {
    POOL_MAKE,
    POOL_CLOSE,
    POOL_JOIN,
    POOL_TERMINATE,
    POOL_END,
    POOL_KILL,
    POOL_TAKE_BACK,
    POOL_CONTEXT,
    POOL_MODULES,
    POOL_BREAK,
    POOL_ASK, /* these four: see abroad.h */
    POOL_KILL_TASK,
    POOL_OUTCOME,
    POOL_NAME,
};

struct fetch {
    uint32_t branch;
    int32_t alive, busy;
    int64_t items, items_a_load; /* wanted in all, and at most so many of a map in one piece */
};

/* What is lent: then the items, or the argument and the context. At multiples of 16. */
struct load {
    uint64_t bytes; /* of all of it */
    record_ref record;
    muster__function function;
    uint64_t user; /* home's ref of a context that is shared; 0: the task's own, or the pool's */
    uint64_t user_bytes, item_bytes, result_bytes;
    int64_t first, count; /* items; or the task's number, and 1 */
    int64_t chunk_items, time_limit_ms;
    int64_t map_limit_ms; /* what is left of it */
    int32_t retries;
    int32_t modules; /* that home knows now */
    uint8_t kind, stop_at_failure, stated;
    uint8_t grouped; /* the task is of a group */
    uint8_t listed;  /* item_bytes is that of all of them */
};

/* What comes back: then the results. Of a grouped task, failed and, if it is DONE, error are those of what it
 * submitted. With phase QUEUED nothing was run of it, or of a piece only the first `count` items were, or will be: home
 * is to find somebody else for the rest. */
struct yield {
    uint64_t bytes;
    record_ref record;
    uint32_t kind, phase;
    int64_t count, failed;
    uint64_t result_bytes;
    uint64_t returned;     /* the task said itself how many */
    uint64_t states_bytes; /* behind the results: a byte an item */
    uint64_t timed_out;
    struct muster_task_error error; /* err OK: none */
};

#endif
