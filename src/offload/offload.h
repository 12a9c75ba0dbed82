/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between hosts: the parts that a pool has on other hosts, and the work that is offloaded to them.
 *
 *   parts    who has how many workers; how branches are made, told and ended
 *   lend     in a part that has work: what others take and bring
 *   carrier  in a part that takes work: a thread that asks another part for it, as one more of its workers would, has
 * its own part do it, and brings the results. A branch takes from home, home from each of its branches
 */
#ifndef MUSTER_OFFLOAD_OFFLOAD_H
#define MUSTER_OFFLOAD_OFFLOAD_H

#include "pool/pool.h"
#include "remote/remote.h"

/* lend.c: at home, in the name of a carrier */
/** Waits for work and packs some. */
muster_err lend_fetch(struct muster__step *step);
/** A carrier does not wait for it any more. */
void lend_fetch_leave(struct muster__step *step);
/** Takes results. */
muster_err lend_take_back(struct muster__errand *work);
/** The context of a map, part of which was lent. */
muster_err lend_context(struct muster__errand *work);

/* carrier.c */
/** Starts who brings this part, `pool`, work of another one, `source`, where it is number `number` of those that take;
 * and the source is number `theirs` of those that take from here. In the process of the agent. */
muster_err carrier_start(muster_pool pool, muster_handle source, int number, int theirs);
/** Has the carrier of that part cancel a task that it was lent by that host, and kill the worker that runs it. */
void carrier_kill(muster_pool pool, int host, record_ref task);

/* what a carrier asks of home, and home of a branch, as errands; POOL_FETCH is an operation */
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
    POOL_CANCEL,
    POOL_CARRY, /* asked by home of its own host's agent: to bring it what a branch has too much of */
};

struct fetch {
    uint32_t branch;
    int32_t alive, busy;
    int64_t items, items_a_load; /* wanted in all, and at most so many of a map in one piece */
};

/* of POOL_CARRY */
struct carry {
    muster_handle source;
    int32_t theirs;
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
    uint64_t memory_limit; /* of a task, if it has one of its own */
    int64_t map_limit_ms;  /* what is left of it */
    uint64_t cancels;      /* see pool/pending.h */
    int32_t retries, priority, aim, aim_at;
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
