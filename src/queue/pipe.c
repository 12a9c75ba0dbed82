#include "queue/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WINDOW = 64 << 10, /* bytes that were sent and not taken in yet; a large item may exceed it */
    STASH_ITEMS = 4096,
    STOCK_ITEMS = 2048, /* in a stock, as far as what arrives counts as taken in */
    STOCK_LARGE = 1,
    LARGE_AT_ONCE = 2,
};

/* What the receiving end tells: so many bytes were taken in; there is no room for more. */
struct arrived {
    uint64_t bytes, large, starved; /* large: items among them */
};

static uint32_t me(void)
{
    return muster__self_state.number;
}

static bool same(muster_handle a, muster_handle b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static bool at_home(muster_handle handle)
{
    return (handle.kind_home & 0xffffff) == muster__segment->host;
}

static int home_of(muster_handle handle)
{
    return (int)(handle.kind_home & 0xffffff);
}

/* ---- pipes: the sending end ---- */

static struct pipe {
    struct pipe *next;
    muster_handle handle; /* the queue */
    int to;
    struct muster__queue *from; /* a stash, or at home the queue */
    uint32_t generation;
    uint64_t unseen; /* bytes that were not taken in yet */
    int large;       /* such items are under way: these stay in order, but others would overtake them */
} * pipes;

static struct pipe *pipe_of(muster_handle handle)
{
    struct pipe *pipe = pipes;
    while (pipe && !same(pipe->handle, handle))
        pipe = pipe->next;
    return pipe;
}

static struct pipe *pipe_make(muster_handle handle, int to, struct muster__queue *from, uint32_t generation)
{
    struct pipe *pipe = pipe_of(handle);
    if (!pipe) {
        pipe = malloc(sizeof *pipe);
        MUSTER__CHECK_EQ(pipe != NULL, true);
        pipe->next = pipes;
        pipes = pipe;
        *pipe = (struct pipe){.next = pipe->next, .handle = handle};
    }
    pipe->to = to;
    pipe->from = from;
    pipe->generation = generation;
    pipe->unseen = 0;
    pipe->large = 0;
    atomic_store(&from->ships, 1);
    return pipe;
}

static void pipe_drop(muster_handle handle)
{
    for (struct pipe **link = &pipes, *pipe; (pipe = *link);)
        if (same(pipe->handle, handle)) {
            *link = pipe->next;
            free(pipe);
        } else {
            link = &pipe->next;
        }
}

static void send_batch(struct pipe *pipe, const struct muster__queue_batch *batch)
{
    size_t size = batch->block ? batch->size : batch->used;
    struct muster__call call = {.object = pipe->handle,
                                .at = pipe->to + 1,
                                .operation = batch->block ? QUEUE_LARGE : QUEUE_ITEMS,
                                .bytes = batch->bytes,
                                .size = size};
    pipe->unseen += size;
    pipe->large += batch->block != 0;
    if (batch->block) {
        muster__heap_hand_over(batch->block, me(), MUSTER__REMOTE_OWNER);
        muster__remote_note_block(&call, batch->block);
    } else {
        muster__remote_note(&call);
    }
}

/* Sends until there is nothing more, or the other end has enough; `all`: in spite of that. */
static bool ship_some(struct pipe *pipe, bool all)
{
    static char bytes[MUSTER__REMOTE_SMALL];
    struct muster__queue_batch batch = {.bytes = bytes};
    for (;;) {
        if (!all && (pipe->large ? pipe->large == LARGE_AT_ONCE : pipe->unseen >= WINDOW))
            return false;
        if (muster__queue_take_many(pipe->from, pipe->generation, me(), sizeof bytes, pipe->large, &batch) != MUSTER_OK)
            return true;
        if (!batch.used && !batch.block)
            return !pipe->large;
        send_batch(pipe, &batch);
    }
}

/* At home only while the items are lent to that host, and nobody calls them back. */
static bool may_ship(const struct pipe *pipe)
{
    return !at_home(pipe->handle) ||
           (atomic_load(&pipe->from->lent) == (uint32_t)pipe->to + 1 && !atomic_load(&pipe->from->barred));
}

static void ship(struct pipe *pipe)
{
    while (may_ship(pipe)) {
        atomic_store(&pipe->from->told, 0);
        if (!ship_some(pipe, false)) {
            atomic_store(&pipe->from->told, 1); /* goes on when the other end says so */
            return;
        }
        if (muster__queue_puts(pipe->from) <= muster__queue_gets(pipe->from))
            return;
    }
}

void pipe_tell_agent(muster_handle handle, struct muster__queue *queue)
{
    atomic_store(&queue->told, 1);
    muster__remote_note(
        &(struct muster__call){.object = handle, .at = (int)muster__segment->host + 1, .operation = QUEUE_SHIP});
}

static void taken_in(struct muster__work *work)
{
    struct arrived arrived;
    struct pipe *pipe = pipe_of(work->object);
    memcpy(&arrived, work->bytes, sizeof arrived);
    if (!pipe || pipe->to != work->host)
        return;
    pipe->unseen -= arrived.bytes < pipe->unseen ? arrived.bytes : pipe->unseen;
    pipe->large -= (int)arrived.large < pipe->large ? (int)arrived.large : pipe->large;
    atomic_store(&pipe->from->starved, (uint32_t)arrived.starved);
    ship(pipe);
}

void pipe_lend(muster_handle handle, struct muster__queue *queue, int host)
{
    ship(pipe_make(handle, host, queue, handle.generation));
}

/* ---- inlets: the receiving end ---- */

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
    struct muster__queue *to; /* at home the queue, or a stock */
    uint32_t generation;
    uint64_t untold; /* bytes in the queue that the other end does not know of */
    uint32_t large;  /* so many of these items were large */
    struct held *held, **last_held;
    bool starved;
    bool waits;     /* for something that does not announce itself: see service */
    char *returned; /* what was in a stock that was called back, until home has it for sure */
    size_t returned_size;
} * inlets;

static int waiting; /* at least so many inlets wait */

static struct inlet *inlet_of(muster_handle handle, int from)
{
    struct inlet *inlet = inlets;
    while (inlet && (inlet->from != from || !same(inlet->handle, handle)))
        inlet = inlet->next;
    return inlet;
}

static struct inlet *inlet_make(muster_handle handle, int from, struct muster__queue *to, uint32_t generation)
{
    struct inlet *inlet = inlet_of(handle, from);
    if (inlet)
        return inlet;
    inlet = malloc(sizeof *inlet);
    MUSTER__CHECK_EQ(inlet != NULL, true);
    *inlet = (struct inlet){.next = inlets, .handle = handle, .from = from, .to = to, .generation = generation};
    inlet->last_held = &inlet->held;
    inlets = inlet;
    return inlet;
}

static void inlet_free(struct inlet *inlet)
{
    free(inlet->returned);
    for (struct held *held = inlet->held, *next; held; held = next) {
        next = held->next;
        free(held);
    }
    free(inlet);
}

/* from: that host's alone; -1: all */
static void inlets_drop(muster_handle handle, int from)
{
    for (struct inlet **link = &inlets, *inlet; (inlet = *link);)
        if (same(inlet->handle, handle) && (from < 0 || inlet->from == from)) {
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

/* OK: all of it is in the queue. NOMEM: *used bytes of it are. Else the queue is not there any more. */
static muster_err put(struct inlet *inlet, bool large, const char *bytes, size_t size, size_t *used)
{
    *used = 0;
    if (!large)
        return muster__queue_put_many(inlet->to, inlet->generation, me(), bytes, size, used);
    muster_err err = muster__queue_put(inlet->to, inlet->generation, me(), bytes, size, MUSTER_NOWAIT);
    *used = err == MUSTER_OK ? size : 0;
    return err;
}

static bool has_enough(const struct inlet *inlet)
{
    int64_t items = muster__queue_puts(inlet->to) - muster__queue_gets(inlet->to);
    return !at_home(inlet->handle) && items > (inlet->large ? STOCK_LARGE : STOCK_ITEMS);
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
    muster__remote_note(&(struct muster__call){.object = inlet->handle,
                                               .at = inlet->from + 1,
                                               .operation = QUEUE_ARRIVED,
                                               .bytes = &arrived,
                                               .size = sizeof arrived});
    inlet->untold -= arrived.bytes;
    inlet->large -= (uint32_t)arrived.large;
    inlet->starved = starved;
}

static void put_held(struct inlet *inlet)
{
    for (struct held *held; (held = inlet->held);) {
        size_t used;
        muster_err err = put(inlet, held->large, held->bytes + held->used, held->size - held->used, &used);
        held->used += used;
        inlet->untold += used;
        inlet->large += held->large && used;
        if (err == MUSTER_ERR_NOMEM)
            return;
        inlet->held = held->next;
        if (!inlet->held)
            inlet->last_held = &inlet->held;
        free(held);
    }
}

static void arrive(struct inlet *inlet, bool large, struct muster__work *work)
{
    size_t used = 0;
    muster_err err = MUSTER_ERR_NOMEM;
    uint32_t self = me();
    if (!inlet->held && large && work->bytes_in) {
        muster__heap_hand_over(work->bytes_in, MUSTER__REMOTE_OWNER, self);
        err = muster__queue_put_block(inlet->to, inlet->generation, self, work->bytes_in, work->size, MUSTER_NOWAIT);
        used = err == MUSTER_OK ? work->size : 0;
        if (err == MUSTER_OK)
            work->bytes_in = 0;
    } else if (!inlet->held) {
        err = put(inlet, large, work->bytes, work->size, &used);
    }
    inlet->untold += used;
    inlet->large += large && used;
    if (err == MUSTER_ERR_NOMEM)
        hold(inlet, large, (const char *)work->bytes + used, work->size - used);
    tell(inlet);
    if (used && at_home(inlet->handle))
        pipe_put_done(inlet->handle, inlet->to);
}

/* What comes for a queue that has ended, or a stock that does not exist, is nobody's. */
static void items_come(struct muster__work *work)
{
    struct inlet *inlet = inlet_of(work->object, work->host);
    struct muster__object *object = at_home(work->object) ? muster__object_find(work->object, MUSTER__QUEUE) : NULL;
    if (!inlet && object)
        inlet = inlet_make(work->object, work->host, muster__queue_of(object), work->object.generation);
    if (!inlet)
        return;
    arrive(inlet, work->operation == QUEUE_LARGE, work);
    waiting += inlet->waits = wants_look(inlet);
}

/* ---- at a host that uses the queue ---- */

static bool proxy_make(muster_handle key, muster_handle handle, int64_t maxsize, struct muster__proxy *proxy)
{
    char name[32];
    muster_handle made;
    snprintf(name, sizeof name, "%u on %.20s", handle.slot, muster__host_name_of(home_of(handle)));
    if (muster__queue_create(name, maxsize, me(), &made) != MUSTER_OK)
        return false;
    *proxy = (struct muster__proxy){muster__object_slot(made.slot), made.generation};
    if (muster__proxy_add(key, made) == MUSTER_OK)
        return true;
    muster__queue_destroy(proxy->object, proxy->generation, me());
    return false;
}

static struct muster__queue *proxy_open(muster_handle key, muster_handle handle, int64_t maxsize,
                                        struct muster__proxy *proxy)
{
    if (!muster__proxy_find(key, proxy)) {
        if (!proxy_make(key, handle, maxsize, proxy))
            return NULL;
    } else {
        muster__queue_reopen(muster__queue_of(proxy->object), proxy->generation, me());
    }
    return muster__queue_of(proxy->object);
}

static void lend_put(muster_handle handle)
{
    struct muster__proxy proxy;
    struct muster__queue *stash = proxy_open(handle, handle, STASH_ITEMS, &proxy);
    if (stash && !pipe_of(handle))
        pipe_make(handle, home_of(handle), stash, proxy.generation);
}

/* A new lease: home has what was in the stock before. */
static void lend_get(muster_handle handle)
{
    struct muster__proxy proxy;
    struct muster__queue *stock = proxy_open(stock_of(handle), handle, 0, &proxy);
    if (!stock)
        return;
    struct inlet *inlet = inlet_make(handle, home_of(handle), stock, proxy.generation);
    free(inlet->returned);
    inlet->returned = NULL;
    inlet->returned_size = 0;
}

static void return_bytes(struct inlet *inlet, const void *bytes, size_t size, size_t padded)
{
    inlet->returned = realloc(inlet->returned, inlet->returned_size + padded);
    MUSTER__CHECK_EQ(inlet->returned != NULL, true);
    memcpy(inlet->returned + inlet->returned_size, bytes, size);
    inlet->returned_size += padded;
}

static void return_item(struct inlet *inlet, const void *bytes, uint64_t size)
{
    return_bytes(inlet, &size, sizeof size, sizeof size);
    return_bytes(inlet, bytes, size, muster__queue_packed(size) - sizeof size);
}

/* What the stock has, and what has found no room in it. */
static void empty_stock(struct inlet *inlet)
{
    static char bytes[MUSTER__REMOTE_SMALL];
    struct muster__queue_batch batch = {.bytes = bytes};
    while (muster__queue_take_many(inlet->to, inlet->generation, me(), sizeof bytes, false, &batch) == MUSTER_OK &&
           (batch.used || batch.block)) {
        if (batch.block)
            return_item(inlet, muster__heap_at(batch.block), batch.size);
        else
            return_bytes(inlet, bytes, batch.used, batch.used);
        muster__heap_free(batch.block, me());
    }
    for (struct held *held; (held = inlet->held); free(held)) {
        size_t left = held->size - held->used;
        if (held->large)
            return_item(inlet, held->bytes, held->size);
        else
            return_bytes(inlet, held->bytes + held->used, left, left);
        inlet->held = held->next;
    }
    inlet->last_held = &inlet->held;
    inlet->untold = 0;
    inlet->large = 0;
    inlet->starved = false;
}

/* Kept here until the next lease: home may have had no room for the answer, and ask again. */
static void give_back(struct inlet *inlet, struct muster__work *work)
{
    empty_stock(inlet);
    if (!inlet->returned_size)
        return;
    work->reply = malloc(inlet->returned_size);
    MUSTER__CHECK_EQ(work->reply != NULL, true);
    memcpy(work->reply, inlet->returned, inlet->returned_size);
    work->reply_size = inlet->returned_size;
}

/* Closed, a stash or stock sends who comes to home. */
static bool close_proxy(muster_handle key)
{
    struct muster__proxy proxy;
    bool found = muster__proxy_find(key, &proxy);
    if (found)
        muster__queue_close(muster__queue_of(proxy.object), proxy.generation, me());
    return found;
}

static void recall_put(muster_handle handle)
{
    struct pipe *pipe = pipe_of(handle);
    if (close_proxy(handle) && pipe)
        ship_some(pipe, true);
}

static void recall_get(struct muster__work *work)
{
    struct inlet *inlet = inlet_of(work->object, home_of(work->object));
    if (close_proxy(stock_of(work->object)) && inlet)
        give_back(inlet, work);
}

static void end_proxy(muster_handle key)
{
    struct muster__proxy proxy;
    if (muster__proxy_remove(key, &proxy))
        muster__queue_destroy(proxy.object, proxy.generation, me());
}

static void end(muster_handle handle)
{
    pipe_drop(handle);
    inlets_drop(handle, -1);
    end_proxy(handle);
    end_proxy(stock_of(handle));
}

/* ---- looking after things ---- */

/* Held items find room some time, and what getters take from a stock makes room for more. */
static void service(void)
{
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
        end(handle);
}

static void host_lost(int host)
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

muster_err pipe_work(struct muster__work *work)
{
    struct pipe *pipe;
    switch ((enum queue_operation)work->operation) {
    case QUEUE_LEND_PUT:
        lend_put(work->object);
        return MUSTER_OK;
    case QUEUE_LEND_GET:
        lend_get(work->object);
        return MUSTER_OK;
    case QUEUE_RECALL_PUT:
        recall_put(work->object);
        return MUSTER_OK;
    case QUEUE_RECALL_GET:
        recall_get(work);
        return MUSTER_OK;
    case QUEUE_END:
        end(work->object);
        return MUSTER_OK;
    case QUEUE_SHIP:
        if ((pipe = pipe_of(work->object)))
            ship(pipe);
        return MUSTER_OK;
    case QUEUE_ITEMS:
    case QUEUE_LARGE:
        items_come(work);
        return MUSTER_OK;
    case QUEUE_ARRIVED:
        taken_in(work);
        return MUSTER_OK;
    default:
        return MUSTER_ERR_UNSUPPORTED;
    }
}

__attribute__((constructor)) static void set_hooks(void)
{
    muster__remote_on_look(service);
    muster__remote_on_lost(MUSTER__QUEUE, host_lost);
}
