/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Maps over arrays that all share (muster/array.h): items are read, and results written, where they are.
 */
#ifndef MUSTER_MAP_ARRAY_H
#define MUSTER_MAP_ARRAY_H

#include <muster/array.h>
#include <muster/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * fn over items first to first + n - 1 of an array, as muster_pool_map, but of what is at home on the caller's host
 * nothing is copied in or out: fn gets pointers into the arrays, and the result of item i is item i of *results
 * (results NULL: there are none). Workers of other hosts are sent their items and send the results back; an array of
 * another host is read before and written after, a part at a time. results may not be the array that items are from: an
 * item that is run again after a death would find its result there.
 *
 * Of items that failed or were not run the results may be zeros. A map that ends early has those results that are DONE
 * in states in *results; workers may have an item in hand yet and write its result: then, as well as while the map
 * runs, neither array may be destroyed, or after muster_pool_destroy.
 *
 * Errors: as muster_pool_map; INVAL (out of bounds, the same array), STALE (also of an array), PEER (an array's host is
 * gone). Threads: any. In tasks: yes. Blocks: until all have ended. Hosts: any.
 */
MUSTER_API muster_err muster_pool_map_array(muster_pool pool, muster_task_fn fn, muster_array items, int64_t first,
                                            int64_t n, const muster_array *results, const muster_map_options *options);
#define muster_pool_map_array(...) MUSTER_SITED(muster_pool_map_array, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
