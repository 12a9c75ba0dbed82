/* SPDX-License-Identifier: BSD-3-Clause */
/* What is queued and not begun is canceled, on all hosts, and the pool goes on. */
#ifndef MUSTER_POOL_PENDING_H
#define MUSTER_POOL_PENDING_H

#include "pool/map.h"

/*
 * pool.cancels: even, and one more each time all that is pending was canceled; odd while a walk over the records is
 * under way. Loads and maps carry the number that the pool had when they were made: one that is lower than the pool's
 * is of something canceled meanwhile.
 */

/** For what is made, or was claimed, just now. */
static inline uint64_t pending_number(const struct pool *pool)
{
    return atomic_load(&pool->cancels) & ~UINT64_C(1);
}
static inline bool pending_is_canceled(const struct pool *pool, uint64_t number)
{
    return MUSTER__UNLIKELY((atomic_load_explicit(&pool->cancels, memory_order_relaxed) & ~UINT64_C(1)) > number);
}
/** The same of what was on its way here and is queued now: a walk that is under way may have passed its place. */
static inline bool pending_came_late(const struct pool *pool, uint64_t number)
{
    return MUSTER__UNLIKELY(atomic_load(&pool->cancels) > number);
}
/** Of a map of which nothing more is to be run. */
static inline bool pending_is_over(const struct pool *pool, struct map *map)
{
    return atomic_load_explicit(&map->stopped, memory_order_relaxed) || pending_is_canceled(pool, map->cancels) ||
           MUSTER__UNLIKELY(map->group && group_is_canceled((struct pool *)pool, map->group)) ||
           MUSTER__UNLIKELY(map->deadline_ns != MUSTER__NEVER && map_must_stop(map));
}
/** QUEUED -> CANCELED, and what follows from that; false: the state has changed. By whoever holds no lock. */
bool pending_cancel(const struct seat *seat, struct record *record, uint32_t index, uint64_t *state);
/** Of a claimed piece nothing is run: its items have failed. */
void pending_drop_piece(const struct seat *seat, struct record *record, uint32_t index);
/** Another host asks. */
muster_err pending_errand(struct muster__errand *work);

#endif
