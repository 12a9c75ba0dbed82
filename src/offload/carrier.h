/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a carrier knows; of carrier.c, which has what it does.
 */
#ifndef MUSTER_OFFLOAD_CARRIER_H
#define MUSTER_OFFLOAD_CARRIER_H

#include "offload/offload.h"

enum {
    CONTEXTS = 8,
};

enum { THREAD, AGENT };

/* what was taken together: a piece of a map, which is a map of its own here, or a task */
struct haul {
    struct haul *next;
    record_ref record; /* at home */
    struct map *map;   /* NULL: a task */
    muster_task task;
    muster_group group;    /* of what the task submits; generation 0: nobody asks */
    muster__ref context;   /* that it shares; 0: none */
    uint64_t result_bytes; /* of all items, or of the task */
    int64_t count, began_ns;
};

struct carrier {
    struct carrier *next;
    muster_pool branch;
    muster_handle home; /* whose work it brings: of a branch, home; of home, a branch */
    bool at_home;
    uint32_t theirs;    /* the lane here in whose name that one takes work */
    int64_t arrived_ns; /* when it came last */
    uint32_t number;
    struct pool *feeds; /* as pool, also before it has a seat there */
    struct pool *pool;
    struct seat seat;
    struct haul *hauls;
    double item_ns; /* as taken by one worker; 0: not known yet */
    int64_t asked;  /* items, the last time */
    bool over;
    size_t arrived; /* bytes in the inbox that are still to be begun */

    uint32_t pins;         /* of its thread */
    _Atomic uint32_t turn; /* who takes the steps; a futex */
    uint32_t seen;         /* the bell before the last step */
    int64_t look_ns;       /* when there is a step to take if it has not rung */

    struct muster__call fetch, back;
    bool fetching, bringing;
    struct fetch want;
    char *inbox;
    size_t room;
    char *out, *sent; /* results: being collected, under way */
    size_t out_bytes, out_room;

    struct {
        uint64_t home;
        muster__ref here;
    } contexts[CONTEXTS];
    int next_context;
    int32_t modules; /* that home has told of */

    record_ref *kills; /* under carriers.mutex */
    int kill_count;
};

/* ---- what is to be brought back (yield.c) ---- */

/** The next one, with room for so many bytes behind it. Until the next one is begun. */
struct yield *yield_begin(struct carrier *c, record_ref record, uint32_t kind, uint64_t result_bytes);
/** Of what could not even begin; the detail line says why. */
void yield_failure(struct carrier *c, const struct load *load, muster_err err);

#endif
