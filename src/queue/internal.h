/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queues between hosts.
 *
 * A message there and one back for each item is what the first items cost. Whoever goes on gets a lease:
 *
 *   put lease   puts on that host go to a queue of its own, the stash, and return; its agent sends the items on to the
 *               queue's home, as many at once as have come together
 *   get lease   the home's agent sends the first items to a queue on that host, the stock, from which its getters take
 *
 * Both are the same pipe: the agent that has a queue's items sends them to another host's queue, up to WINDOW bytes
 * ahead of what was taken in there.
 *
 * What was put is seen by all, at once: who finds the queue empty at home, asks its size, closes it, waits for it to be
 * worked off or takes from it while its first items are lent, has the leases ended before (settle): home's agent calls
 * them back, the hosts that hold one send what is in their stash, or give back what is in their stock, and say so. Then
 * an operation is a message there and one back again, until the host has shown for a while that it goes on. So leases
 * stay where one host puts or gets much, and go where hosts mix or somebody looks often.
 *
 * Queues with a maxsize have no leases: how many items they hold is known to their home at any time.
 *
 * Without a lease, who has a deadline may be gone when the answer comes. Its put claims a place, which is an item when
 * the agent there says that the caller knows; until then the host is a claimant, whom a settlement asks as it asks
 * lessees. Its get takes the first items out, and nobody gets the next ones until the agent there says that the caller
 * has them, or gives them back (claim.c). So an error says that nothing was done, and items keep their order.
 *
 * Who may touch what
 *   lessees, claimants, claimed, lent   home's agent
 *   settling        raised by whoever needs leases to have ended, lowered by home's agent when they have; while it is
 *                   up no lease begins
 *   pipes, inlets, habits and proxies are the agent's
 *
 * Order. What a host's agent sends of one queue arrives in order, large items too (remote.h). So what a host has sent
 * before it says that a lease has ended is in the queue before that is read; and a put that goes home by itself comes
 * after what was in the stash. Getters of one host see each producer's items in order, because while items are lent
 * only the stock's getters get any.
 *
 * A host that is lost loses what was in its stash or stock, as it loses what it had in hand.
 */
#ifndef MUSTER_QUEUE_INTERNAL_H
#define MUSTER_QUEUE_INTERNAL_H

#include "queue/queue.h"
#include "remote/remote.h"

/* what agents tell each other */
enum queue_note {
    /* home: to itself, and to hosts that use it */
    QUEUE_SETTLE,
    QUEUE_LEND_PUT,
    QUEUE_LEND_GET,
    QUEUE_RECALL_PUT,
    QUEUE_RECALL_GET,
    QUEUE_ENDED,
    /* those hosts, in answer */
    QUEUE_RECALLED, /* the put lease: all that was in the stash was sent before */
    QUEUE_RETURNED, /* the get lease: what was in the stock */
    /* at either end of a pipe */
    QUEUE_SHIP,  /* this host's own agent: there is something to send */
    QUEUE_ITEMS, /* packed */
    QUEUE_LARGE, /* one item as it is */
    QUEUE_ARRIVED,
};
/* and have done by errands */
enum queue_errand { QUEUE_END };

static inline void queue_tell(int host, muster_handle queue, enum queue_note what)
{
    muster__note(host, &(struct muster__note){.object = queue, .operation = what});
}

/* ---- pipe.c: the agent's part at both ends ---- */

/** From home: lends the first items to a host. */
void pipe_lend(muster_handle handle, struct muster__object *object, int host);
/** Forgets what this host has of the queue. */
void pipe_end(muster_handle handle);
void pipe_host_lost(int host);
/** At home: what that host has sent before waits for room. */
bool pipe_is_full(muster_handle handle, int from);
/** At home: what that host has sent waits for room; a large item as it is, or packed ones. */
void pipe_hold(muster_handle handle, int from, bool large, const void *bytes, size_t size);
/** All but what concerns leases at home. */
muster_err pipe_noted(struct muster__note *note);

/* the stock's key in the table of proxies; the stash has the queue's own */
static inline muster_handle stock_of(muster_handle handle)
{
    handle.kind_home ^= UINT32_C(0x80000000);
    return handle;
}

/* ---- away.c: at hosts that use it. Errors as in muster/queue.h, with detail ---- */

muster_err away_put(muster_handle queue, const void *item, size_t size, int64_t timeout_ms);
muster_err away_get(muster_handle queue, void *item, size_t capacity, size_t *size, int64_t timeout_ms);
/** Small items; *done as of muster__queue_put_many_now. */
muster_err away_put_many(muster_handle queue, const char *items, int64_t n, size_t size, int64_t *done,
                         int64_t timeout_ms);
muster_err away_get_many(muster_handle queue, struct muster__queue_many *many, int64_t timeout_ms);
/** Ends what stands for it on those hosts: bit host % 64. */
void away_end(muster_handle queue, uint64_t hosts);

#endif
