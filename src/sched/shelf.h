/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The shelf: queued tasks that are in no deque, since they have a priority or are for somebody in particular, or wait
 * for other tasks to end. Made with the first such task of a pool's part; until then all it costs is one look at a
 * word beside the pool's state.
 *
 * Its lines, each a pairing heap by priority, then by age; the links are in the tasks' extra:
 *
 *   SHELF_ANYONE   whoever takes tasks        SHELF_HERE   this part's workers
 *   then one a lane: a worker's, or a branch's carrier; then one a local rank: its workers
 *
 * All of it is under one latch. A task on the shelf is QUEUED with a lane of its own (SHELF_LANE, SHELF_AIMED), and
 * what the record says is the truth: who runs it claims it first. One that was claimed, or canceled, by others is taken
 * out when its turn comes, or when the record is freed. Who dies with the latch leaves whatever it was about: the sweep
 * makes it all anew from the records.
 *
 * HELD tasks wait for others: see follow.h.
 */
#ifndef MUSTER_SCHED_SHELF_H
#define MUSTER_SCHED_SHELF_H

#include "sched/sched.h"

enum {
    SHELF_LANE = 0xffff,  /* in the state of what anyone may run */
    SHELF_AIMED = 0xfffe, /* of what is for somebody */
};
enum { SHELF_ANYONE, SHELF_HERE, SHELF_LANES };

struct shelf {
    struct muster__latch latch;
    uint32_t epoch;           /* of the links: those of another one are not there */
    _Atomic int64_t sequence; /* tasks that came */
    uint64_t heads_at;        /* see follow.c: 0, or a directory of slabs' heads */
    uint32_t lines;
    struct shelf_line {
        _Atomic uint32_t count;
        uint32_t root; /* record + 1 */
    } line[];
};

static inline struct shelf *shelf_of(const struct pool *pool)
{
    uint64_t offset = atomic_load_explicit(&pool->shelf, memory_order_acquire);
    return offset ? muster__at(offset) : NULL;
}
static inline struct extra *shelf_extra(const struct record *record)
{
    return record->extra ? muster__heap_at(record->extra) : NULL;
}
/** Makes it if it is not there. NULL: no memory. */
struct shelf *shelf_make(struct pool *pool, uint32_t self);
void shelf_lock(struct pool *pool, struct shelf *shelf);
void shelf_unlock(struct shelf *shelf);

/** Writes down where a FILLING task belongs. Errors: INVAL (nobody like that works for the pool), UNSUPPORTED (from
 * here it cannot be reached), PEER (its host is gone), NOMEM. */
muster_err shelf_place(const struct seat *seat, struct record *record, const muster_submit_options *options);
static inline bool shelf_wants(const muster_submit_options *options)
{
    return options && (options->priority || options->aim || options->after_n);
}
/** Whether a claimed, or FILLING, task belongs on the shelf rather than into a deque. */
static inline bool shelf_is_for(const struct record *record)
{
    const struct extra *extra = MUSTER__UNLIKELY(record->extra) ? shelf_extra(record) : NULL;
    return extra && extra->placed.sequence;
}
/** FILLING or RUNNING -> QUEUED, on its line; wakes whoever may take it. One that is for a lost host ends instead. */
void shelf_queue(const struct seat *seat, struct record *record, uint32_t index);
/** The same, from any state that *is_in says, under the latch and without waking; false: it has changed. */
bool shelf_put(struct pool *pool, struct shelf *shelf, struct record *record, uint32_t index, enum phase is_in);
void shelf_wake(const struct seat *seat, uint32_t line);
/** Where it belongs: shelf or deque. False: no memory. */
static inline bool shelf_or_queue(const struct seat *seat, struct record *record, uint32_t index)
{
    if (MUSTER__LIKELY(record->kind != RECORD_TASK || !shelf_is_for(record)))
        return sched_queue(seat, record, index);
    shelf_queue(seat, record, index);
    return true;
}

/** Claims the first task for the seat's lane, of those of priority 0 and more, or of the others. */
bool shelf_take(const struct seat *seat, bool urgent, struct record **record, uint32_t *index);
/** Whether there seems to be something for the lane. */
bool shelf_any(const struct pool *pool, uint32_t lane);
/** How many there seem to be that any of this part's workers may run. */
uint32_t shelf_common(const struct pool *pool);
bool shelf_is_for_lane(const struct pool *pool, const struct record *record, uint32_t lane);
/** Whether who waits at the seat for a QUEUED task in this state may run it. */
static inline bool shelf_may_claim(const struct seat *seat, const struct record *record, uint64_t state)
{
    return MUSTER__LIKELY(state_lane(state) != SHELF_AIMED) || shelf_is_for_lane(seat->pool, record, seat->lane->index);
}
/** Before its extra is freed. */
void shelf_forget(struct pool *pool, struct record *record, uint32_t index);

/** After a death: takes over what the dead one had in its hands. */
void shelf_seize(struct pool *pool, uint32_t dead, uint32_t self);
/** A branch's host is gone: what is for it ends, PEER. */
void shelf_lost(const struct seat *seat, uint32_t lane);

#endif
