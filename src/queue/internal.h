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
 * worked off or takes from it while its first items are lent, has the leases ended before (settle): the host that holds
 * one sends what is in its stash, or gives back what is in its stock. Then an operation is a message there and one back
 * again, until the host has shown for a while that it goes on. So leases stay where one host puts or gets much, and go
 * where hosts mix or somebody looks often.
 *
 * Queues with a maxsize have no leases: how many items they hold is known to their home at any time.
 *
 * Who may touch what
 *   lessees, lent   set by home's agent, cleared by settle
 *   barred          raised by whoever settles, and for ever by close and destroy: while it is up no lease begins, so
 * that what settle has found stays true pipes, inlets, habits and proxies are the agent's
 *
 * Order. Mail between two hosts stays in order, and the agent alone sends and receives items. So what a host has sent
 * before it answers is in the queue before the answer is read; and a put that goes home by itself comes after what was
 * in the stash. An item that is too large to travel with the rest is followed by none but such until it has arrived,
 * and a lease is called back behind it. Getters
 * of one host see each producer's items in order, because while items are lent only the stock's getters get any.
 *
 * A host that is lost loses what was in its stash or stock, as it loses what it had in hand.
 */
#ifndef MUSTER_QUEUE_INTERNAL_H
#define MUSTER_QUEUE_INTERNAL_H

#include "queue/queue.h"
#include "remote/remote.h"

/* what hosts ask each other */
enum queue_operation {
    /* at home; TRY_GET is a get that does not wait, and may yet take time */
    QUEUE_DESTROY,
    QUEUE_PUT,
    QUEUE_GET,
    QUEUE_TRY_GET,
    QUEUE_SIZE,
    QUEUE_FULL,
    QUEUE_CLOSE,
    QUEUE_TASK_DONE,
    QUEUE_JOIN,
    QUEUE_SETTLE,
    QUEUE_MAKE, /* of a host: there is no queue yet */
    QUEUE_LAST = QUEUE_MAKE,
    /* at hosts that use it */
    QUEUE_LEND_PUT,
    QUEUE_LEND_GET,
    QUEUE_RECALL_PUT,
    QUEUE_RECALL_GET,
    QUEUE_END,
    /* at either end of a pipe */
    QUEUE_SHIP, /* this host's own agent: there is something to send */
    QUEUE_ITEMS,
    QUEUE_LARGE, /* one item as it is */
    QUEUE_ARRIVED,
};

/* number of an answer to GET: the host has the lease itself, its getters find the items in its stock */
enum { QUEUE_IN_STOCK = 1 };

/* ---- lease.c: at home ---- */

static inline bool lease_any(const struct muster__queue *queue)
{
    return atomic_load(&queue->lessees) || atomic_load(&queue->lent);
}
/** By the agent, when a host has put, or got, an item by itself. */
void lease_note_put(muster_handle handle, struct muster__queue *queue, int host);
void lease_note_get(muster_handle handle, struct muster__queue *queue, int host);
/** Ends all leases, by a thread that may wait; nobody's own leases matter to it. Errors: NOMEM, INTERRUPTED. */
muster_err lease_settle(muster_handle handle, struct muster__queue *queue, uint32_t self);
/** Before its destruction, by who may wait: no lease begins any more, and the proxies of all hosts end. */
void lease_end(muster_handle handle, struct muster__queue *queue);

/* ---- pipe.c: the agent's part at both ends ---- */

/** Does what one of the operations from LEND_PUT on asks. */
muster_err pipe_work(struct muster__work *work);
/** From home: lends the first items to a host. */
void pipe_lend(muster_handle handle, struct muster__queue *queue, int host);

/* the stock's key in the table of proxies; the stash has the queue's own */
static inline muster_handle stock_of(muster_handle handle)
{
    handle.kind_home ^= UINT32_C(0x80000000);
    return handle;
}

/** After a put into a queue whose items go on: tells the agent if it does not know. */
void pipe_tell_agent(muster_handle handle, struct muster__queue *queue);
static inline void pipe_put_done(muster_handle handle, struct muster__queue *queue)
{
    if (MUSTER__UNLIKELY(atomic_load(&queue->ships)) && !atomic_load(&queue->told))
        pipe_tell_agent(handle, queue);
}

/* ---- away.c: at hosts that use it. Errors as in muster/queue.h, with detail ---- */

extern const char *const queue_operation_names[];

muster_err away_put(muster_queue queue, const void *item, size_t size, int64_t timeout_ms);
muster_err away_get(muster_queue queue, void *item, size_t capacity, size_t *size, int64_t timeout_ms);
/** Any of the others. number may be NULL. */
muster_err away_ask(muster_queue queue, enum queue_operation operation, int64_t timeout_ms, int64_t *number);

#endif
