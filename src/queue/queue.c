/*
 * Queue: latches and waiting around the steps of ends.c.
 *
 * Large items are copied outside of the latches: into a block before it is appended, out of it after it was taken.
 *
 * Waiting: who finds nothing spins while cores are free, then announces itself on the event, looks again and sleeps.
 * Each change wakes one sleeper, if any. A sleeper that was woken and leaves an item (or a place) behind wakes the next
 * one, so that no wake is lost with it.
 *
 * Latch order: put_latch before get_latch; only destroying holds both.
 */
#include "queue/queue.h"

#include <string.h>

/* Pauses between two glances grow to so many: looking at the line that the other side writes slows it down. */
#define PAUSES_MAX 15

struct waiter {
    struct muster__queue *queue;
    struct muster__event *event;
    uint32_t generation, self;
    int64_t deadline_ns;
    struct muster__spin spin;
    unsigned pauses;
    bool waited, woken;
};

/* The first chunk is handed over last: until then the death of the maker frees it, and nobody else has the handle. */
muster_err muster__queue_create(const char *name, int64_t maxsize, uint32_t self, muster_handle *handle)
{
    struct muster__object *object;
    uint32_t generation;
    muster_err err = muster__object_claim(MUSTER__QUEUE, name, self, &object, &generation);
    if (err != MUSTER_OK)
        return err;
    struct muster__queue *queue = muster__queue_of(object);
    queue->maxsize = maxsize;
    if (!muster__queue_prepare(queue, self)) {
        muster__object_retire(object, generation);
        return muster__fail(MUSTER_ERR_NOMEM, "no room for a queue: the segment is full; raise MUSTER_SEGMENT_MIB");
    }
    muster__latch_init(&queue->put_latch, generation);
    muster__latch_init(&queue->get_latch, generation);
    muster__ref chunk = atomic_load(&queue->head);
    muster__object_publish(object, generation, handle);
    muster__heap_hand_over(chunk, self, 0);
    return MUSTER_OK;
}

static bool ended(struct muster__queue *queue, uint32_t generation)
{
    return atomic_load(&queue->get_latch.word) >> 32 != generation;
}

/* ---- waiting ---- */

static bool looks_ready(struct waiter *w)
{
    struct muster__queue *queue = w->queue;
    if (ended(queue, w->generation) || atomic_load_explicit(&queue->closed, memory_order_relaxed))
        return true;
    if (w->event == &queue->items)
        return muster__queue_glance(queue);
    return muster__queue_puts(queue) - muster__queue_gets(queue) < queue->maxsize;
}

static bool spin_until_ready(struct waiter *w)
{
    w->waited = true;
    while (!looks_ready(w)) {
        for (unsigned i = 0; i <= w->pauses; i++)
            if (!muster__spin(&w->spin))
                return false;
        if (w->pauses < PAUSES_MAX)
            w->pauses = 2 * w->pauses + 1;
    }
    return true;
}

static muster_err sleep_on(struct waiter *w, uint32_t expected)
{
    bool woken;
    muster_err err = muster__sleep(&w->event->word, expected, w->deadline_ns, &woken);
    if (err != MUSTER_OK)
        return err;
    w->woken |= woken;
    w->spin = (struct muster__spin){0};
    w->pauses = 0;
    return MUSTER_OK;
}

/* Ends a wait whose last step gave err: a wake that was spent on this waiter goes on to the next. */
static muster_err leave(struct waiter *w, muster_err err)
{
    if (w->woken && err != MUSTER_OK)
        muster__event_wake(w->event, 1);
    return err == MUSTER_ERR_STALE && w->waited ? MUSTER_ERR_CLOSED : err; /* it was there at the end */
}

/* ---- put ---- */

static muster_err try_put(struct muster__queue *queue, uint32_t generation, uint32_t self,
                          const struct muster__queue_item *item)
{
    if (MUSTER__UNLIKELY(!muster__latch_acquire(&queue->put_latch, generation, self)))
        return MUSTER_ERR_STALE;
    muster_err err = MUSTER_OK;
    int64_t maxsize = queue->maxsize, puts = muster__queue_puts(queue);
    if (MUSTER__UNLIKELY(atomic_load_explicit(&queue->closed, memory_order_relaxed)))
        err = MUSTER_ERR_CLOSED;
    else if (maxsize && puts - queue->gets_seen >= maxsize &&
             puts - (queue->gets_seen = muster__queue_gets(queue)) >= maxsize)
        err = MUSTER_ERR_FULL;
    else if (MUSTER__UNLIKELY(!muster__queue_append(queue, item, self)))
        err = MUSTER_ERR_NOMEM;
    muster__latch_release(&queue->put_latch, generation, self);
    if (err == MUSTER_OK)
        muster__event_signal(&queue->items, 1);
    return err;
}

static muster_err put_waiting(struct muster__queue *queue, uint32_t generation, uint32_t self,
                              const struct muster__queue_item *item, int64_t deadline_ns)
{
    struct waiter w = {queue, &queue->space, generation, self, deadline_ns, .pauses = 0};
    for (;;) {
        muster_err err = MUSTER_ERR_FULL;
        if (spin_until_ready(&w))
            err = try_put(queue, generation, self, item);
        if (err != MUSTER_ERR_FULL)
            return leave(&w, err);
        uint32_t expected = muster__event_prepare(&queue->space);
        err = try_put(queue, generation, self, item);
        if (err != MUSTER_ERR_FULL)
            return leave(&w, err);
        err = sleep_on(&w, expected);
        if (err != MUSTER_OK)
            return err == MUSTER_ERR_TIMEOUT ? MUSTER_ERR_FULL : err;
    }
}

static bool looks_full(struct muster__queue *queue)
{
    return queue->maxsize && muster__queue_puts(queue) - muster__queue_gets(queue) >= queue->maxsize &&
           !atomic_load(&queue->closed);
}

muster_err muster__queue_put_block(struct muster__queue *queue, uint32_t generation, uint32_t self, muster__ref block,
                                   size_t size, int64_t timeout_ms)
{
    struct muster__queue_item item = {.size = size, .block = block};
    muster_err err = try_put(queue, generation, self, &item);
    if (err != MUSTER_ERR_FULL || timeout_ms == MUSTER_NOWAIT)
        return err;
    return put_waiting(queue, generation, self, &item, muster__deadline_ns(timeout_ms));
}

/* The copy is made once there seems to be room: a putter that waits holds no memory, but for losing a race. */
static muster_err put_large(struct muster__queue *queue, uint32_t generation, uint32_t self, const void *bytes,
                            size_t size, int64_t timeout_ms)
{
    int64_t deadline_ns = muster__deadline_ns(timeout_ms);
    struct waiter w = {queue, &queue->space, generation, self, deadline_ns, .pauses = 0};
    if (timeout_ms == MUSTER_NOWAIT && looks_full(queue) && !ended(queue, generation))
        return MUSTER_ERR_FULL;
    while (looks_full(queue) && !ended(queue, generation) && !spin_until_ready(&w)) {
        uint32_t expected = muster__event_prepare(&queue->space);
        if (looks_ready(&w))
            break;
        muster_err err = sleep_on(&w, expected);
        if (err != MUSTER_OK)
            return err == MUSTER_ERR_TIMEOUT ? MUSTER_ERR_FULL : err;
    }
    struct muster__queue_item item = {.size = size, .block = muster__heap_alloc(size, self)};
    if (!item.block)
        return leave(&w, MUSTER_ERR_NOMEM);
    memcpy(muster__heap_at(item.block), bytes, size);
    muster_err err = try_put(queue, generation, self, &item);
    if (err == MUSTER_ERR_FULL && timeout_ms != MUSTER_NOWAIT)
        err = put_waiting(queue, generation, self, &item, deadline_ns);
    if (err != MUSTER_OK)
        muster__heap_free(item.block, self);
    return leave(&w, err);
}

muster_err muster__queue_put(struct muster__queue *queue, uint32_t generation, uint32_t self, const void *item,
                             size_t size, int64_t timeout_ms)
{
    if (size > MUSTER__QUEUE_INLINE_MAX)
        return put_large(queue, generation, self, item, size, timeout_ms);
    struct muster__queue_item small = {.bytes = item, .size = size};
    muster_err err = try_put(queue, generation, self, &small);
    if (MUSTER__LIKELY(err != MUSTER_ERR_FULL) || timeout_ms == MUSTER_NOWAIT)
        return err;
    return put_waiting(queue, generation, self, &small, muster__deadline_ns(timeout_ms));
}

/* ---- get ---- */

/* Where an item goes. */
struct room {
    void *bytes;
    size_t capacity, size;
    muster__ref *keep; /* large ones stay in their block; NULL: they are copied like all */
};

static muster_err try_get(struct muster__queue *queue, uint32_t generation, uint32_t self, struct room *room)
{
    if (MUSTER__UNLIKELY(!muster__latch_acquire(&queue->get_latch, generation, self)))
        return MUSTER_ERR_STALE;
    muster__ref block = 0;
    muster_err err = MUSTER_ERR_BUSY;
    if (MUSTER__LIKELY(!atomic_load_explicit(&queue->lent, memory_order_relaxed)))
        err = muster__queue_take(queue, room->bytes, room->capacity, &room->size, &block, self);
    bool bounded = queue->maxsize != 0;
    muster__latch_release(&queue->get_latch, generation, self);
    if (err != MUSTER_OK)
        return err;
    if (bounded)
        muster__event_signal(&queue->space, 1);
    if (room->keep) {
        *room->keep = block;
    } else if (block) {
        memcpy(room->bytes, muster__heap_at(block), room->size);
        muster__heap_free(block, self);
    }
    return MUSTER_OK;
}

static muster_err get_waiting(struct waiter *w, struct room *room)
{
    struct muster__queue *queue = w->queue;
    for (;;) {
        muster_err err = MUSTER_ERR_EMPTY;
        if (spin_until_ready(w))
            err = try_get(queue, w->generation, w->self, room);
        if (err != MUSTER_ERR_EMPTY)
            return leave(w, err);
        uint32_t expected = muster__event_prepare(&queue->items);
        err = try_get(queue, w->generation, w->self, room);
        if (err != MUSTER_ERR_EMPTY)
            return leave(w, err);
        err = sleep_on(w, expected);
        if (err != MUSTER_OK)
            return err == MUSTER_ERR_TIMEOUT ? MUSTER_ERR_EMPTY : err;
    }
}

static muster_err get(struct muster__queue *queue, uint32_t generation, uint32_t self, struct room room, size_t *size,
                      int64_t timeout_ms)
{
    muster_err err = try_get(queue, generation, self, &room);
    if (err == MUSTER_ERR_EMPTY && timeout_ms != MUSTER_NOWAIT) {
        struct waiter w = {queue, &queue->items, generation, self, muster__deadline_ns(timeout_ms), .pauses = 0};
        err = get_waiting(&w, &room);
    }
    if (size && (err == MUSTER_OK || err == MUSTER_ERR_TOOBIG))
        *size = room.size;
    return err;
}

muster_err muster__queue_get(struct muster__queue *queue, uint32_t generation, uint32_t self, void *item,
                             size_t capacity, size_t *size, int64_t timeout_ms)
{
    return get(queue, generation, self, (struct room){.bytes = item, .capacity = capacity}, size, timeout_ms);
}

muster_err muster__queue_get_block(struct muster__queue *queue, uint32_t generation, uint32_t self, void *item,
                                   size_t capacity, size_t *size, muster__ref *block, int64_t timeout_ms)
{
    *block = 0;
    return get(queue, generation, self, (struct room){.bytes = item, .capacity = capacity, .keep = block}, size,
               timeout_ms);
}

/* ---- many at once ---- */

static muster_err take_fitting(struct muster__queue *queue, uint32_t self, size_t capacity,
                               struct muster__queue_batch *batch)
{
    size_t left = capacity - batch->used, size;
    size_t room =
        left < muster__queue_packed(MUSTER__QUEUE_INLINE_MAX) ? left : muster__queue_packed(MUSTER__QUEUE_INLINE_MAX);
    char *at = batch->bytes + batch->used + sizeof(uint64_t);
    muster__ref block = 0;
    if (room < 2 * sizeof(uint64_t))
        return MUSTER_ERR_TOOBIG;
    muster_err err = muster__queue_take(queue, at, (room & ~(size_t)7) - sizeof(uint64_t), &size, &block, self);
    if (err == MUSTER_ERR_TOOBIG && !batch->used)
        return muster__queue_take(queue, NULL, SIZE_MAX, &batch->size, &batch->block, self);
    if (err != MUSTER_OK)
        return err;
    uint64_t word = size;
    memcpy(at - sizeof word, &word, sizeof word);
    batch->used += muster__queue_packed(size);
    return MUSTER_OK;
}

muster_err muster__queue_take_many(struct muster__queue *queue, uint32_t generation, uint32_t self, size_t capacity,
                                   bool large_only, struct muster__queue_batch *batch)
{
    muster_err err = MUSTER_OK;
    size_t size;
    batch->used = 0;
    batch->block = 0;
    if (!muster__latch_acquire(&queue->get_latch, generation, self))
        return MUSTER_ERR_STALE;
    if (large_only && !(muster__queue_peek(queue, &size, self) && size > MUSTER__QUEUE_INLINE_MAX))
        err = MUSTER_ERR_EMPTY;
    while (err == MUSTER_OK && !batch->block)
        err = take_fitting(queue, self, capacity, batch);
    muster__latch_release(&queue->get_latch, generation, self);
    if (queue->maxsize)
        muster__event_signal(&queue->space, -1);
    return MUSTER_OK;
}

muster_err muster__queue_put_many(struct muster__queue *queue, uint32_t generation, uint32_t self, const char *bytes,
                                  size_t size, size_t *used)
{
    int count = 0;
    bool room = true;
    *used = 0;
    if (!muster__latch_acquire(&queue->put_latch, generation, self))
        return MUSTER_ERR_STALE;
    bool closed = atomic_load(&queue->closed);
    while (!closed && *used < size) {
        uint64_t word;
        memcpy(&word, bytes + *used, sizeof word);
        struct muster__queue_item item = {.bytes = bytes + *used + sizeof word, .size = word};
        if (!(room = muster__queue_append(queue, &item, self)))
            break;
        *used += muster__queue_packed(word);
        count++;
    }
    muster__latch_release(&queue->put_latch, generation, self);
    if (count)
        muster__event_signal(&queue->items, count);
    return closed ? MUSTER_ERR_CLOSED : room ? MUSTER_OK : MUSTER_ERR_NOMEM;
}

muster_err muster__queue_put_back(struct muster__queue *queue, uint32_t generation, uint32_t self, const char *bytes,
                                  size_t size)
{
    if (!muster__latch_acquire(&queue->get_latch, generation, self))
        return MUSTER_ERR_STALE;
    bool done = muster__queue_prepend(queue, bytes, size, self);
    muster__latch_release(&queue->get_latch, generation, self);
    muster__event_signal(&queue->items, -1);
    return done ? MUSTER_OK : MUSTER_ERR_NOMEM;
}

uint32_t muster__queue_lend(struct muster__queue *queue, uint32_t generation, uint32_t self, uint32_t to)
{
    if (!muster__latch_acquire(&queue->get_latch, generation, self))
        return 0;
    uint32_t lent = atomic_load(&queue->lent);
    if (to == 0)
        lent = 0;
    else if (to == MUSTER__QUEUE_RECALLED)
        lent |= lent ? to : 0;
    else if (!lent && !atomic_load(&queue->barred))
        lent = to;
    atomic_store(&queue->lent, lent);
    muster__latch_release(&queue->get_latch, generation, self);
    return lent;
}

void muster__queue_reopen(struct muster__queue *queue, uint32_t generation, uint32_t self)
{
    if (!muster__latch_acquire(&queue->put_latch, generation, self))
        return;
    atomic_store(&queue->closed, 0);
    muster__latch_release(&queue->put_latch, generation, self);
}

muster_err muster__queue_await_empty(struct muster__queue *queue, uint32_t generation, int64_t timeout_ms)
{
    int64_t deadline_ns = muster__deadline_ns(timeout_ms);
    for (;;) {
        uint32_t expected = muster__event_prepare(&queue->space);
        if (ended(queue, generation))
            return MUSTER_ERR_STALE;
        if (atomic_load(&queue->closed) || muster__queue_puts(queue) <= muster__queue_gets(queue))
            return MUSTER_OK;
        muster_err err = muster__sleep(&queue->space.word, expected, deadline_ns, NULL);
        if (err != MUSTER_OK)
            return err;
    }
}

/* ---- the rest ---- */

/* puts was read while gets stood still. A put whose count is still to come may have been got already. */
muster_err muster__queue_size(struct muster__queue *queue, uint32_t generation, int64_t *items)
{
    int64_t gets, puts;
    do {
        gets = muster__queue_gets(queue);
        puts = muster__queue_puts(queue);
    } while (muster__queue_gets(queue) != gets);
    if (ended(queue, generation))
        return MUSTER_ERR_STALE;
    *items = puts > gets ? puts - gets : 0;
    return MUSTER_OK;
}

muster_err muster__queue_close(struct muster__queue *queue, uint32_t generation, uint32_t self)
{
    if (!muster__latch_acquire(&queue->put_latch, generation, self))
        return MUSTER_ERR_STALE;
    atomic_store(&queue->closed, 1);
    muster__latch_release(&queue->put_latch, generation, self);
    muster__event_signal(&queue->items, -1);
    muster__event_signal(&queue->space, -1);
    return MUSTER_OK;
}

/* Under put_latch the count of puts is exact; it can only grow afterwards. */
muster_err muster__queue_task_done(struct muster__queue *queue, uint32_t generation, uint32_t self)
{
    if (!muster__latch_acquire(&queue->put_latch, generation, self))
        return MUSTER_ERR_STALE;
    int64_t puts = muster__queue_puts(queue);
    muster__latch_release(&queue->put_latch, generation, self);

    if (!muster__latch_acquire(&queue->get_latch, generation, self))
        return MUSTER_ERR_STALE;
    int64_t done = atomic_load(&queue->done);
    if (done < puts)
        atomic_store(&queue->done, done + 1);
    muster__latch_release(&queue->get_latch, generation, self);
    if (done >= puts)
        return MUSTER_ERR_STATE;
    if (done + 1 >= puts)
        muster__event_signal(&queue->idle, -1);
    return MUSTER_OK;
}

muster_err muster__queue_join(struct muster__queue *queue, uint32_t generation, int64_t timeout_ms)
{
    int64_t deadline_ns = muster__deadline_ns(timeout_ms);
    for (bool waited = false;; waited = true) {
        uint32_t expected = muster__event_prepare(&queue->idle);
        bool all = atomic_load(&queue->done) >= muster__queue_puts(queue);
        if (ended(queue, generation))
            return waited ? MUSTER_ERR_CLOSED : MUSTER_ERR_STALE;
        if (all)
            return MUSTER_OK;
        muster_err err = muster__sleep(&queue->idle.word, expected, deadline_ns, NULL);
        if (err != MUSTER_OK)
            return err;
    }
}

static void wake_all(struct muster__queue *queue)
{
    muster__event_signal(&queue->items, -1);
    muster__event_signal(&queue->space, -1);
    muster__event_signal(&queue->idle, -1);
}

/* Each step may be done again by who sweeps the destroyer. */
static void end_holding(struct muster__queue *queue, uint32_t generation, uint32_t self)
{
    muster__queue_drop(queue, self);
    muster__latch_end(&queue->get_latch, generation);
    muster__latch_end(&queue->put_latch, generation);
    wake_all(queue);
}

static bool end(struct muster__queue *queue, uint32_t generation, uint32_t self)
{
    if (!muster__latch_acquire(&queue->put_latch, generation, self))
        return false;
    if (!muster__latch_acquire(&queue->get_latch, generation, self))
        return false; /* cannot be: who ends the get side holds the put side */
    atomic_store(&queue->ending, self);
    end_holding(queue, generation, self);
    return true;
}

bool muster__queue_destroy(struct muster__object *object, uint32_t generation, uint32_t self)
{
    return end(muster__queue_of(object), generation, self) && muster__object_retire(object, generation);
}

/* ---- what the sweeper is told ---- */

static void class_end(struct muster__object *object, uint32_t generation)
{
    muster__queue_destroy(object, generation, muster__self_number());
}

static void class_sweep(struct muster__object *object, uint32_t generation, uint32_t dead, uint32_t self)
{
    struct muster__queue *queue = muster__queue_of(object);
    uint32_t ending = atomic_load(&queue->ending);
    if (ending == dead) {
        end_holding(queue, generation, self);
        muster__object_retire(object, generation);
    }
    if (ending)
        return;
    uint32_t held;
    if (muster__latch_seize(&queue->put_latch, dead, self, &held)) {
        muster__queue_repair_put(queue, self);
        muster__latch_release(&queue->put_latch, held, self);
    }
    if (muster__latch_seize(&queue->get_latch, dead, self, &held)) {
        muster__queue_repair_get(queue, dead, self);
        muster__latch_release(&queue->get_latch, held, self);
    }
    wake_all(queue);
}

/* Any process may have to sweep queues, also one that never made or used one. */
__attribute__((constructor)) static void class_register(void)
{
    static const struct muster__class class = {.name = "queue", .sweep = class_sweep, .end = class_end};
    muster__class_register(MUSTER__QUEUE, &class);
}
