/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The order in which locks are taken, for jobs that want to be warned (MUSTER_LOCK_ORDER): which one was held when
 * which other one was asked for, and where. Where these make a circle, the job could deadlock, though it has not.
 */
#ifndef MUSTER_SEGMENT_ORDER_H
#define MUSTER_SEGMENT_ORDER_H

#include "segment/object.h"

struct muster__order {
    muster_handle held, wanted;
    uint32_t rank;
    uint8_t told; /* that it closes a circle */
    char held_name[80], wanted_name[80];
    char held_site[MUSTER__LINE], wanted_site[MUSTER__LINE];
};

/** Errors: NOMEM. */
muster_err muster__order_start(uint32_t self);
static inline bool muster__orders(void)
{
    return MUSTER__UNLIKELY(muster__segment->roots[MUSTER__ROOT_ORDER] != 0);
}

/** The calling thread is about to wait for a lock, for ever if need be; has got one; has given one back. */
void muster__order_wants(muster_handle lock);
void muster__order_has(muster_handle lock);
void muster__order_leaves(muster_handle lock);

/** Those that were noted here, one after the other: *at begins at 0. NULL: no more, now. */
const struct muster__order *muster__order_next(uint32_t *at);
/** Another host's. */
void muster__order_add(const struct muster__order *order);

#endif
