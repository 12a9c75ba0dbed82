/* SPDX-License-Identifier: BSD-3-Clause */
#include "queue/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WINDOW = 64 << 10, /* bytes that were sent and not taken in yet; a large item may exceed it */
    LARGE_AT_ONCE = 2, /* items above INLINE_MAX */
    STASH_ITEMS = 4096,
    STOCK_ITEMS = 2048, /* in a stock, as far as what arrives counts as taken in */
    STOCK_LARGE = 1,
};

/* What the receiving end tells: so many bytes were taken in; there is no room for more. */
struct arrived {
    uint64_t bytes, large, starved; /* large: items among them */
};

static uint32_t me(void)
{
    return muster__self_state.number;
}

static int this_host(void)
{
    return (int)muster__segment->host;
}

static bool same(muster_handle a, muster_handle b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static bool at_home(muster_handle handle)
{
    return muster__handle_home(handle) == this_host();
}

/* The body of a queue, a stash or a stock, pinned; NULL: it has ended, and what is here of it goes soon. */
static struct muster__queue *pin(const struct muster__proxy *place)
{
    muster_handle handle = muster__handle_make(MUSTER__QUEUE, muster__object_slot_of(place->object), place->generation);
    struct muster__object *object = muster__object_pin(handle, MUSTER__QUEUE);
    return object ? muster__queue_of(object) : NULL;
}

/* ---- pipes: the sending end ---- */

static struct pipe {
    struct pipe *next;
    muster_handle handle; /* the queue */
    int to;
    struct muster__proxy from; /* a stash, or at home the queue */
    uint64_t unseen;           /* bytes that were not taken in yet */
    int large;                 /* such items among them */
    bool again;                /* a latch was busy */
    bool recalled;             /* all of it is to be sent, and that said */
} * pipes;

static int again; /* so many */

static struct pipe *pipe_of(muster_handle handle)
{
    struct pipe *pipe = pipes;
    while (pipe && !same(pipe->handle, handle))
        pipe = pipe->next;
    return pipe;
}

/* That which takes from a queue of this host: at home that itself, else a stash. */
static struct pipe *pipe_from(muster_handle from)
{
    struct pipe *pipe = pipes;
    while (pipe && (muster__object_slot_of(pipe->from.object) != from.slot || pipe->from.generation != from.generation))
        pipe = pipe->next;
    return pipe;
}

static struct pipe *pipe_make(muster_handle handle, int to, struct muster__proxy from)
{
    struct pipe *pipe = pipe_of(handle);
    if (!pipe) {
        pipe = calloc(1, sizeof *pipe);
        MUSTER__CHECK_EQ(pipe != NULL, true);
        pipe->next = pipes;
        pipes = pipe;
    }
    again -= pipe->again;
    *pipe = (struct pipe){.next = pipe->next, .handle = handle, .to = to, .from = from};
    struct muster__queue *queue = pin(&from);
    if (queue) {
        atomic_store(&queue->ships, 1);
        muster__object_unpin();
    }
    return pipe;
}

static void pipe_drop(muster_handle handle)
{
    for (struct pipe **link = &pipes, *pipe; (pipe = *link);)
        if (same(pipe->handle, handle)) {
            *link = pipe->next;
            again -= pipe->again;
            free(pipe);
        } else {
            link = &pipe->next;
        }
}

static void block_sent(void *ref)
{
    muster__heap_free((uint64_t)(uintptr_t)ref, me());
}

static void nothing(void *unused)
{
    (void)unused;
}

static void send_batch(struct pipe *pipe, const struct muster__queue_batch *batch)
{
    struct muster__note note = {.object = pipe->handle,
                                .operation = batch->block ? QUEUE_LARGE : QUEUE_ITEMS,
                                .bytes = batch->block ? muster__heap_at(batch->block) : batch->bytes,
                                .size = batch->block ? batch->size : batch->used};
    pipe->unseen += note.size;
    pipe->large += batch->block != 0;
    if (batch->block) {
        muster__heap_hand_over(batch->block, me(), MUSTER__OWNER_WIRE);
        muster__note_bytes(pipe->to, &note, block_sent, (void *)(uintptr_t)batch->block);
    } else {
        muster__note_bytes(pipe->to, &note, nothing, NULL);
    }
}

static bool may_go_on(const struct pipe *pipe)
{
    return pipe->recalled || (pipe->large ? pipe->large < LARGE_AT_ONCE : pipe->unseen < WINDOW);
}

/* Sends until there is nothing more (OK), or the other end has enough (FULL); MUSTER__AGAIN. */
static muster_err ship_some(struct pipe *pipe)
{
    static _Alignas(8) char bytes[MUSTER__REMOTE_SMALL];
    struct muster__queue_batch batch = {.bytes = bytes};
    while (may_go_on(pipe)) {
        muster_err err = muster__queue_take_many(pipe->from.object, pipe->from.generation, sizeof bytes, &batch);
        if (err == (muster_err)MUSTER__AGAIN)
            return err;
        if (err || (!batch.used && !batch.block))
            return MUSTER_OK;
        send_batch(pipe, &batch);
    }
    return MUSTER_ERR_FULL;
}

/* At home only while the items are lent to that host, and nobody calls them back. */
static bool may_ship(const struct pipe *pipe, const struct muster__queue *queue)
{
    return !at_home(pipe->handle) ||
           (atomic_load(&queue->lent) == (uint32_t)pipe->to + 1 && !atomic_load(&queue->settling));
}

/* True: all of it. */
static bool ship_all(struct pipe *pipe, struct muster__queue *queue)
{
    while (may_ship(pipe, queue)) {
        atomic_store(&queue->told, 0);
        muster_err err = ship_some(pipe);
        pipe->again = err == (muster_err)MUSTER__AGAIN;
        again += pipe->again;
        if (err != MUSTER_OK) {
            atomic_store(&queue->told, 1); /* goes on when the other end says so, or the latch is free */
            return false;
        }
        if (muster__queue_puts(queue) <= muster__queue_gets(queue))
            break;
    }
    return true;
}

static void ship(struct pipe *pipe)
{
    struct muster__queue *queue = pin(&pipe->from);
    again -= pipe->again;
    pipe->again = false;
    bool all = !queue || ship_all(pipe, queue);
    if (queue)
        muster__object_unpin();
    if (all && pipe->recalled) {
        pipe->recalled = false;
        queue_tell(pipe->to, pipe->handle, QUEUE_RECALLED);
    }
}

static void taken_in(const struct muster__note *note)
{
    struct arrived arrived;
    struct pipe *pipe = pipe_of(note->object);
    memcpy(&arrived, note->bytes, sizeof arrived);
    if (!pipe || pipe->to != note->host)
        return;
    pipe->unseen -= arrived.bytes < pipe->unseen ? arrived.bytes : pipe->unseen;
    pipe->large -= (int)arrived.large < pipe->large ? (int)arrived.large : pipe->large;
    struct muster__queue *queue = pin(&pipe->from);
    if (queue) {
        atomic_store(&queue->starved, (uint32_t)arrived.starved);
        muster__object_unpin();
    }
    ship(pipe);
}

void pipe_lend(muster_handle handle, struct muster__object *object, int host)
{
    ship(pipe_make(handle, host, (struct muster__proxy){object, handle.generation}));
}

/* ---- inlets: the receiving end ---- */

struct bytes {
    char *at;
    size_t size;
};

struct held { /* for want of room */
    struct held *next;
    bool large;
    size_t size, used;
    char bytes[];
};

static struct inlet {
    struct inlet *next;
    muster_handle handle;
    int from;
    struct muster__proxy to; /* at home the queue, or a stock */
    uint64_t untold;         /* bytes in the queue that the other end does not know of */
    uint32_t large;          /* so many of these items were large */
    struct held *held, **last_held;
    size_t part;       /* of what comes now, so much is in the queue: the rest will be tried again */
    struct bytes back; /* collected to be given back */
    bool starved;
    bool waits; /* for something that does not announce itself: see service */
} * inlets;

static int waiting; /* at least so many inlets wait */

static struct inlet *inlet_of(muster_handle handle, int from)
{
    struct inlet *inlet = inlets;
    while (inlet && (inlet->from != from || !same(inlet->handle, handle)))
        inlet = inlet->next;
    return inlet;
}

static struct inlet *inlet_make(muster_handle handle, int from, struct muster__proxy to)
{
    struct inlet *inlet = inlet_of(handle, from);
    if (inlet)
        return inlet;
    inlet = malloc(sizeof *inlet);
    MUSTER__CHECK_EQ(inlet != NULL, true);
    *inlet = (struct inlet){.next = inlets, .handle = handle, .from = from, .to = to};
    inlet->last_held = &inlet->held;
    inlets = inlet;
    return inlet;
}

static void inlet_free(struct inlet *inlet)
{
    for (struct held *held = inlet->held, *next; held; held = next) {
        next = held->next;
        free(held);
    }
    free(inlet->back.at);
    free(inlet);
}

static void inlets_drop(muster_handle handle)
{
    for (struct inlet **link = &inlets, *inlet; (inlet = *link);)
        if (same(inlet->handle, handle)) {
            *link = inlet->next;
            inlet_free(inlet);
        } else {
            link = &inlet->next;
        }
}

static void hold(struct inlet *inlet, bool large, const char *bytes, size_t size)
{
    struct held *held = malloc(sizeof *held + size);
    MUSTER__CHECK_EQ(held != NULL, true);
    *held = (struct held){.large = large, .size = size};
    memcpy(held->bytes, bytes, size);
    *inlet->last_held = held;
    inlet->last_held = &held->next;
}

/* A large item that has come by itself, or lies here: in a block of its own. */
static muster_err put_large(struct inlet *inlet, const char *bytes, size_t size, muster__ref *block)
{
    struct muster__queue_item item = {.size = size, .block = *block, .owner = MUSTER__OWNER_WIRE};
    if (!item.block) {
        item.block = muster__heap_alloc(size, me());
        item.owner = me();
        if (!item.block)
            return muster__again(MUSTER_ERR_NOMEM);
        memcpy(muster__heap_at(item.block), bytes, size);
    }
    muster_err err = muster__queue_put_now(inlet->to.object, inlet->to.generation, &item);
    if (err == MUSTER_OK)
        *block = 0;
    else if (item.owner == me())
        muster__heap_free(item.block, me());
    return err;
}

/* OK: all of it is in the queue. NOMEM, MUSTER__AGAIN: *used bytes of it are. Else the queue is not there any more. */
static muster_err put(struct inlet *inlet, bool large, const char *bytes, size_t size, size_t *used, muster__ref *block)
{
    *used = 0;
    if (!pin(&inlet->to))
        return MUSTER_ERR_STALE;
    muster_err err = large ? put_large(inlet, bytes, size, block)
                           : muster__queue_put_packed(inlet->to.object, inlet->to.generation, bytes, size, used);
    muster__object_unpin();
    if (large)
        *used = err == MUSTER_OK ? size : 0;
    return err;
}

static bool is_kept(muster_err err)
{
    return err == MUSTER_ERR_NOMEM || err == (muster_err)MUSTER__AGAIN;
}

static bool has_enough(const struct inlet *inlet)
{
    if (at_home(inlet->handle)) /* what lies there is only looked at */
        return false;
    return muster__queue_about(muster__queue_of(inlet->to.object)) > (inlet->large ? STOCK_LARGE : STOCK_ITEMS);
}

static bool worth_telling(const struct inlet *inlet)
{
    return inlet->large || inlet->untold >= WINDOW / 4;
}

/* After tell(): it could not. */
static bool wants_look(const struct inlet *inlet)
{
    return inlet->held || worth_telling(inlet);
}

/* The other end hears of what was taken in when that is worth a message. */
static void tell(struct inlet *inlet)
{
    bool starved = inlet->held, enough = has_enough(inlet);
    if ((!worth_telling(inlet) || enough) && starved == inlet->starved)
        return;
    struct arrived arrived = {enough ? 0 : inlet->untold, enough ? 0 : inlet->large, starved};
    muster__note(inlet->from,
                 &(struct muster__note){
                     .object = inlet->handle, .operation = QUEUE_ARRIVED, .bytes = &arrived, .size = sizeof arrived});
    inlet->untold -= arrived.bytes;
    inlet->large -= (uint32_t)arrived.large;
    inlet->starved = starved;
}

static void put_held(struct inlet *inlet)
{
    for (struct held *held; (held = inlet->held);) {
        size_t used;
        muster__ref none = 0;
        muster_err err = put(inlet, held->large, held->bytes + held->used, held->size - held->used, &used, &none);
        held->used += used;
        inlet->untold += used;
        inlet->large += held->large && used;
        if (is_kept(err))
            return;
        inlet->held = held->next;
        if (!inlet->held)
            inlet->last_held = &inlet->held;
        free(held);
    }
}

/* What finds a latch busy comes again, and before what follows; for want of room it is held here, and the agent goes
 * on: getters of the same host make room. */
static muster_err arrive(struct inlet *inlet, bool large, struct muster__note *note)
{
    const char *bytes = (const char *)note->bytes + inlet->part;
    size_t used = 0, left = note->size - inlet->part;
    muster_err err = MUSTER_ERR_NOMEM;
    if (!inlet->held)
        err = put(inlet, large, bytes, left, &used, &note->block);
    inlet->untold += used;
    inlet->large += large && used;
    inlet->part = err == (muster_err)MUSTER__AGAIN ? inlet->part + used : 0;
    if (err == MUSTER_ERR_NOMEM)
        hold(inlet, large, bytes + used, left - used);
    tell(inlet);
    if (used && at_home(inlet->handle) && pin(&inlet->to)) {
        muster__queue_goes_on(inlet->to.object, inlet->to.generation);
        muster__object_unpin();
    }
    return err == (muster_err)MUSTER__AGAIN ? err : MUSTER_OK;
}

/* Also at a host that uses it, where only a lease makes one; NULL: there is none, or the queue has ended. */
static struct inlet *inlet_for(muster_handle handle, int from)
{
    struct inlet *inlet = inlet_of(handle, from);
    struct muster__object *object = at_home(handle) ? muster__object_find(handle, MUSTER__QUEUE) : NULL;
    if (!inlet && object)
        inlet = inlet_make(handle, from, (struct muster__proxy){object, handle.generation});
    return inlet;
}

/* What comes for a queue that has ended, or a stock that does not exist, is nobody's. */
static muster_err items_come(struct muster__note *note)
{
    struct inlet *inlet = inlet_for(note->object, note->host);
    if (!inlet)
        return MUSTER_OK;
    muster_err err = arrive(inlet, note->operation == QUEUE_LARGE, note);
    waiting += inlet->waits = wants_look(inlet);
    return err;
}

void pipe_hold(muster_handle handle, int from, bool large, const void *bytes, size_t size)
{
    struct inlet *inlet = inlet_for(handle, from);
    if (!inlet)
        return;
    hold(inlet, large, bytes, size);
    waiting += inlet->waits = true;
}

bool pipe_is_full(muster_handle handle, int from)
{
    const struct inlet *inlet = inlet_of(handle, from);
    return inlet && inlet->held;
}

/* ---- at a host that uses the queue ---- */

static muster_err proxy_make(muster_handle key, muster_handle handle, int64_t maxsize, struct muster__proxy *proxy)
{
    char name[32];
    muster_handle made;
    struct muster__arg arg = {.in = {maxsize}};
    snprintf(name, sizeof name, "%u on %.20s", handle.slot, muster__host_name_of(muster__handle_home(handle)));
    muster_err err = muster__object_make(MUSTER__QUEUE, name, &arg, &made);
    if (err)
        return muster__again(err);
    *proxy = (struct muster__proxy){muster__object_slot(made.slot), made.generation};
    err = muster__proxy_add(key, made);
    if (err)
        muster__object_end(proxy->object, proxy->generation, me());
    return err;
}

/* OK, MUSTER__AGAIN; else there is no room for it. */
static muster_err proxy_open(muster_handle key, muster_handle handle, int64_t maxsize, struct muster__proxy *proxy)
{
    if (!muster__proxy_find(key, proxy))
        return proxy_make(key, handle, maxsize, proxy);
    return muster__queue_set_closed(proxy->object, proxy->generation, false);
}

static muster_err lend_put(muster_handle handle)
{
    struct muster__proxy stash;
    muster_err err = proxy_open(handle, handle, STASH_ITEMS, &stash);
    if (err == MUSTER_OK && !pipe_of(handle)) /* puts that had found the stash before the pipe was there told nobody */
        ship(pipe_make(handle, muster__handle_home(handle), stash));
    return err;
}

static muster_err lend_get(muster_handle handle)
{
    struct muster__proxy stock;
    muster_err err = proxy_open(stock_of(handle), handle, 0, &stock);
    if (err == MUSTER_OK)
        err = muster__queue_lend(stock.object, stock.generation, 0);
    if (err == MUSTER_OK)
        inlet_make(handle, muster__handle_home(handle), stock);
    return err;
}

/* Closed, a stash or stock sends who comes to home. False: there is none. */
static bool close_proxy(muster_handle key, struct muster__proxy *proxy, muster_err *err)
{
    *err = MUSTER_OK;
    if (!muster__proxy_find(key, proxy))
        return false;
    *err = muster__queue_set_closed(proxy->object, proxy->generation, true);
    return true;
}

static muster_err recall_put(muster_handle handle)
{
    struct muster__proxy stash;
    struct pipe *pipe = pipe_of(handle);
    muster_err err;
    if (!close_proxy(handle, &stash, &err) || !pipe) {
        queue_tell(muster__handle_home(handle), handle, QUEUE_RECALLED);
        return MUSTER_OK;
    }
    if (err == (muster_err)MUSTER__AGAIN)
        return err;
    pipe->recalled = true;
    ship(pipe);
    return MUSTER_OK;
}

/* ---- giving back ---- */

static void add_bytes(struct bytes *all, const void *bytes, size_t size, size_t padded)
{
    all->at = realloc(all->at, all->size + padded);
    MUSTER__CHECK_EQ(all->at != NULL, true);
    memcpy(all->at + all->size, bytes, size);
    all->size += padded;
}

static void add_item(struct bytes *all, const void *bytes, uint64_t size)
{
    add_bytes(all, &size, sizeof size, sizeof size);
    add_bytes(all, bytes, size, muster__queue_packed(size) - sizeof size);
}

/* Nobody takes of it while it is emptied: what is left then would overtake what goes home. False: busy. */
static bool empty_stock(struct inlet *inlet)
{
    static _Alignas(8) char bytes[MUSTER__REMOTE_SMALL];
    struct muster__queue_batch batch = {.bytes = bytes};
    muster_err err = muster__queue_lend(inlet->to.object, inlet->to.generation, MUSTER__QUEUE_SHUT);
    while (!err &&
           (err = muster__queue_take_many(inlet->to.object, inlet->to.generation, sizeof bytes, &batch)) == MUSTER_OK &&
           (batch.used || batch.block)) {
        if (batch.block)
            add_item(&inlet->back, muster__heap_at(batch.block), batch.size);
        else
            add_bytes(&inlet->back, bytes, batch.used, batch.used);
        muster__heap_free(batch.block, me());
    }
    return err != (muster_err)MUSTER__AGAIN;
}

/* What has found no room in the stock follows what it has. */
static void give_back(struct inlet *inlet, struct bytes *all)
{
    for (struct held *held; (held = inlet->held); free(held)) {
        size_t left = held->size - held->used;
        if (held->large)
            add_item(&inlet->back, held->bytes, held->size);
        else
            add_bytes(&inlet->back, held->bytes + held->used, left, left);
        inlet->held = held->next;
    }
    *all = inlet->back;
    inlet->back = (struct bytes){0};
    inlet->last_held = &inlet->held;
    inlet->untold = 0;
    inlet->large = 0;
    inlet->starved = false;
}

static muster_err recall_get(muster_handle handle)
{
    struct muster__proxy stock;
    struct inlet *inlet = inlet_of(handle, muster__handle_home(handle));
    muster_err err;
    struct bytes all = {0};
    if (close_proxy(stock_of(handle), &stock, &err) && inlet) {
        if (err == (muster_err)MUSTER__AGAIN || !empty_stock(inlet))
            return MUSTER__AGAIN;
        give_back(inlet, &all);
    }
    struct muster__note note = {.object = handle, .operation = QUEUE_RETURNED, .bytes = all.at, .size = all.size};
    muster__note_bytes(muster__handle_home(handle), &note, free, all.at);
    return MUSTER_OK;
}

static void end_proxy(muster_handle key)
{
    struct muster__proxy proxy;
    if (muster__proxy_remove(key, &proxy))
        muster__object_end(proxy.object, proxy.generation, me());
}

void pipe_end(muster_handle handle)
{
    pipe_drop(handle);
    inlets_drop(handle);
    end_proxy(handle);
    end_proxy(stock_of(handle));
}

/* ---- looking after things ---- */

/* Held items find room some time, and what getters take from a stock makes room for more. */
static void service(void)
{
    for (struct pipe *pipe = pipes; again && pipe; pipe = pipe->next)
        if (pipe->again)
            ship(pipe);
    if (!waiting)
        return;
    waiting = 0;
    for (struct inlet *inlet = inlets; inlet; inlet = inlet->next) {
        if (!inlet->waits)
            continue;
        put_held(inlet);
        tell(inlet);
        waiting += inlet->waits = wants_look(inlet);
    }
}

static void end_if_queue(muster_handle handle)
{
    handle.kind_home &= UINT32_C(0x7fffffff);
    if (handle.kind_home >> 24 == MUSTER__QUEUE)
        pipe_end(handle);
}

void pipe_host_lost(int host)
{
    muster__proxies_of(host, end_if_queue);
    for (struct inlet **link = &inlets, *inlet; (inlet = *link);)
        if (inlet->from == host) {
            *link = inlet->next;
            inlet_free(inlet);
        } else {
            link = &inlet->next;
        }
}

muster_err pipe_noted(struct muster__note *note)
{
    struct pipe *pipe;
    switch ((enum queue_note)note->operation) {
    case QUEUE_LEND_PUT:
        return lend_put(note->object) == (muster_err)MUSTER__AGAIN ? (muster_err)MUSTER__AGAIN : MUSTER_OK;
    case QUEUE_LEND_GET:
        return lend_get(note->object) == (muster_err)MUSTER__AGAIN ? (muster_err)MUSTER__AGAIN : MUSTER_OK;
    case QUEUE_RECALL_PUT:
        return recall_put(note->object);
    case QUEUE_RECALL_GET:
        return recall_get(note->object);
    case QUEUE_ENDED:
        pipe_end(note->object);
        return MUSTER_OK;
    case QUEUE_SHIP:
        if ((pipe = pipe_from(note->object)))
            ship(pipe);
        return MUSTER_OK;
    case QUEUE_ITEMS:
    case QUEUE_LARGE:
        return items_come(note);
    case QUEUE_ARRIVED:
        taken_in(note);
        return MUSTER_OK;
    default:
        return MUSTER_OK;
    }
}

static muster_err run_errand(struct muster__errand *errand)
{
    pipe_end(errand->object);
    return MUSTER_OK;
}

static bool is_quick(uint32_t operation)
{
    return operation == QUEUE_END;
}

__attribute__((constructor)) static void set_hooks(void)
{
    static const struct muster__errands errands = {run_errand, is_quick};
    muster__errands_register(MUSTER__QUEUE, &errands);
    muster__remote_on_look(service);
}
