/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tasks that are to run when others have ended. Such a task is HELD: nobody runs it, and it is in no line. For each
 * task that it follows it has an edge, in a block of its own; the edges of the tasks that follow one are a list, whose
 * head is found by that one's record. A task that is followed says so in its state (STATE_FOLLOWED) until its edges
 * were seen to, which whoever ends it does, and whoever would free it, if that comes first. When all that it follows
 * have ended a HELD task is put on the shelf; so a chain of any length needs no stack.
 *
 * Edges and heads are under the shelf's latch.
 */
#ifndef MUSTER_SCHED_FOLLOW_H
#define MUSTER_SCHED_FOLLOW_H

#include "sched/shelf.h"

/** Makes room for a FILLING task's edges. Errors: NOMEM. */
muster_err follow_place(const struct seat *seat, struct record *record, const muster_submit_options *options);
/** FILLING -> HELD; false: all have ended, and it is to be queued at once. */
bool follow_hold(struct pool *pool, struct record *record, uint32_t index);
/** The task with that record and generation has ended; tells those that follow it. */
void follow_ended(struct pool *pool, uint32_t index, uint32_t generation);
/** Before a task is run: ends it if what it follows has not gone well, true. */
bool follow_refuse(const struct seat *seat, struct record *record, uint32_t index);

/* ---- for the shelf, with its latch ---- */
void follow_unlink(struct pool *pool, struct shelf *shelf, struct record *record, uint32_t index);
void follow_make_anew(struct pool *pool, struct shelf *shelf);
/** After a death, without the latch: ended tasks whose followers were not told. */
void follow_recover(struct pool *pool);

#endif
