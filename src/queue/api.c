#include <stdio.h>
#include <string.h>

#include "queue/queue.h"
#include "remote/remote.h"

static void describe(muster_err err, const char *operation, uint64_t slot, char *line, size_t size)
{
    struct muster__object *object = muster__object_slot((uint32_t)slot);
    struct muster__queue *queue = muster__queue_of(object);
    char name[64];
    muster__object_describe(object, name, sizeof name);
    int64_t items = muster__queue_puts(queue) - muster__queue_gets(queue);
    const char *remedy = "";
    switch (err) {
    case MUSTER_ERR_FULL:
        remedy = "; raise maxsize, add consumers or wait longer";
        break;
    case MUSTER_ERR_EMPTY:
        remedy = "; wait longer, or close the queue when nothing more will be put";
        break;
    case MUSTER_ERR_TOOBIG:
        remedy = "; the item stays first: get it into a larger buffer";
        break;
    case MUSTER_ERR_NOMEM:
        remedy = "; the segment is full: set a maxsize, add consumers or raise MUSTER_SEGMENT_MIB";
        break;
    case MUSTER_ERR_STATE:
        remedy = "; more items were marked done than were put";
        break;
    }
    snprintf(line, size, "%s: %s: %s (holds %lld items, maxsize %lld)%s", name, operation, muster_err_text(err),
             (long long)(items > 0 ? items : 0), (long long)queue->maxsize, remedy);
}

static muster_err __attribute__((cold, noinline)) failed(muster_err err, const char *operation, muster_queue queue)
{
    if (err == MUSTER_ERR_STALE)
        return muster__object_stale(MUSTER__QUEUE, operation);
    if (err == MUSTER_ERR_INTERRUPTED)
        return err;
    return muster__routine(err, describe, operation, queue.handle.slot);
}

/* The queue that a handle names, if the calling thread may use it. */
static inline struct muster__queue *named(muster_queue queue)
{
    struct muster__object *object = muster__object_find(queue.handle, MUSTER__QUEUE);
    if (MUSTER__UNLIKELY(!object || !muster__self_number()))
        return NULL;
    return muster__queue_of(object);
}

/* ---- on queues of this host ---- */

enum operation { DESTROY, PUT, GET, SIZE, FULL, CLOSE, TASK_DONE, JOIN };

static const char *const names[] = {
    [DESTROY] = "muster_queue_destroy",     [PUT] = "muster_queue_put",   [GET] = "muster_queue_get",
    [SIZE] = "muster_queue_size",           [FULL] = "muster_queue_full", [CLOSE] = "muster_queue_close",
    [TASK_DONE] = "muster_queue_task_done", [JOIN] = "muster_queue_join",
};

static muster_err destroy_here(muster_queue queue)
{
    struct muster__object *object = muster__object_find(queue.handle, MUSTER__QUEUE);
    uint32_t self = muster__self_number();
    if (!object || !self || !muster__queue_destroy(object, queue.handle.generation, self))
        return muster__object_stale(MUSTER__QUEUE, names[DESTROY]);
    return MUSTER_OK;
}

static muster_err full_here(muster_queue queue, int64_t *number)
{
    int64_t items;
    struct muster__queue *q = named(queue);
    muster_err err = q ? muster__queue_size(q, queue.handle.generation, &items) : MUSTER_ERR_STALE;
    if (err != MUSTER_OK)
        return failed(err, names[FULL], queue);
    *number = q->maxsize && items >= q->maxsize;
    return MUSTER_OK;
}

/* Large items pass by reference: they have come in a block, and leave in one. */
static muster_err put_for(struct muster__queue *q, struct muster__work *work)
{
    uint32_t generation = work->object.generation, self = work->self;
    if (work->size <= MUSTER__QUEUE_INLINE_MAX || !work->bytes_in)
        return muster__queue_put(q, generation, self, work->bytes, work->size, work->timeout_ms);
    muster__heap_hand_over(work->bytes_in, MUSTER__REMOTE_OWNER, self);
    muster_err err = muster__queue_put_block(q, generation, self, work->bytes_in, work->size, work->timeout_ms);
    if (err == MUSTER_OK)
        work->bytes_in = 0;
    else
        muster__heap_hand_over(work->bytes_in, self, MUSTER__REMOTE_OWNER);
    return err;
}

static muster_err get_for(struct muster__queue *q, struct muster__work *work)
{
    uint64_t capacity;
    memcpy(&capacity, work->bytes, sizeof capacity);
    muster_err err = muster__queue_get_block(q, work->object.generation, work->self, work->reply, capacity,
                                             &work->reply_size, &work->reply_in, work->timeout_ms);
    if (work->reply_in)
        muster__heap_hand_over(work->reply_in, work->self, MUSTER__REMOTE_OWNER);
    return err;
}

static muster_err worker(struct muster__work *work)
{
    muster_queue queue = {.handle = work->object};
    uint32_t generation = queue.handle.generation, self = work->self;
    struct muster__queue *q = named(queue);
    muster_err err = MUSTER_ERR_STALE;
    if (!q || work->operation > JOIN)
        return failed(err, work->operation > JOIN ? "" : names[work->operation], queue);
    switch ((enum operation)work->operation) {
    case DESTROY:
        return destroy_here(queue);
    case PUT:
        err = put_for(q, work);
        break;
    case GET:
        err = get_for(q, work);
        break;
    case SIZE:
        err = muster__queue_size(q, generation, &work->number);
        break;
    case FULL:
        return full_here(queue, &work->number);
    case CLOSE:
        err = muster__queue_close(q, generation, self);
        break;
    case TASK_DONE:
        err = muster__queue_task_done(q, generation, self);
        break;
    case JOIN:
        err = muster__queue_join(q, generation, work->timeout_ms);
        break;
    }
    return err == MUSTER_OK ? MUSTER_OK : failed(err, names[work->operation], queue);
}

__attribute__((constructor)) static void register_worker(void)
{
    muster__remote_register(MUSTER__QUEUE, worker);
}

/* ---- on queues of other hosts ---- */

static inline bool is_elsewhere(muster_queue queue)
{
    return MUSTER__UNLIKELY(muster__is_remote(queue.handle, MUSTER__QUEUE));
}

static muster_err __attribute__((cold, noinline))
ask(muster_queue queue, enum operation operation, int64_t timeout_ms, int64_t *number)
{
    struct muster__call call = {.object = queue.handle, .operation = operation, .timeout_ms = timeout_ms};
    muster_err err = muster__remote_call(&call, names[operation]);
    if (err == MUSTER_OK && number)
        *number = call.number;
    return err;
}

static muster_err __attribute__((cold, noinline))
put_elsewhere(muster_queue queue, const void *item, size_t size, int64_t timeout_ms)
{
    struct muster__call call = {
        .object = queue.handle, .operation = PUT, .timeout_ms = timeout_ms, .bytes = item, .size = size};
    return muster__remote_call(&call, names[PUT]);
}

static muster_err __attribute__((cold, noinline))
get_elsewhere(muster_queue queue, void *item, size_t capacity, size_t *size, int64_t timeout_ms)
{
    uint64_t room = capacity;
    struct muster__call call = {.object = queue.handle,
                                .operation = GET,
                                .timeout_ms = timeout_ms,
                                .bytes = &room,
                                .size = sizeof room,
                                .reply = item,
                                .capacity = capacity < MUSTER__QUEUE_INLINE_MAX ? capacity : MUSTER__QUEUE_INLINE_MAX};
    muster_err err = muster__remote_call(&call, names[GET]);
    if (size && (err == MUSTER_OK || err == MUSTER_ERR_TOOBIG))
        *size = call.reply_size;
    return err;
}

/* ---- public ---- */

/* Does the call on the queue of that name here. */
#define CALL(queue, operation, call)                                                                                   \
    do {                                                                                                               \
        struct muster__queue *q = named(queue);                                                                        \
        muster_err err_ = q ? (call) : MUSTER_ERR_STALE;                                                               \
        return MUSTER__LIKELY(err_ == MUSTER_OK) ? MUSTER_OK : failed(err_, names[operation], queue);                  \
    } while (0)

muster_err muster_queue_create(muster_queue *queue, const muster_queue_options *options)
{
    muster_err err = muster__runtime_require("muster_queue_create");
    if (err != MUSTER_OK)
        return err;
    int64_t maxsize = options ? options->maxsize : 0;
    if (maxsize < 0)
        return muster__fail(MUSTER_ERR_INVAL, "muster_queue_create: maxsize %lld; 0 (no bound) or more is allowed",
                            (long long)maxsize);
    err = muster__queue_create(options ? options->name : NULL, maxsize, muster__self_number(), &queue->handle);
    if (err == MUSTER_OK)
        muster__count(queue->handle);
    return err;
}

muster_err muster_queue_destroy(muster_queue queue)
{
    muster__count(queue.handle);
    return is_elsewhere(queue) ? ask(queue, DESTROY, MUSTER_NOWAIT, NULL) : destroy_here(queue);
}

muster_err muster_queue_put(muster_queue queue, const void *item, size_t size_bytes, int64_t timeout_ms)
{
    muster__count(queue.handle);
    if (is_elsewhere(queue))
        return put_elsewhere(queue, item, size_bytes, timeout_ms);
    CALL(queue, PUT,
         muster__queue_put(q, queue.handle.generation, muster__self_state.number, item, size_bytes, timeout_ms));
}

muster_err muster_queue_get(muster_queue queue, void *item, size_t capacity_bytes, size_t *size_bytes,
                            int64_t timeout_ms)
{
    muster__count(queue.handle);
    if (is_elsewhere(queue))
        return get_elsewhere(queue, item, capacity_bytes, size_bytes, timeout_ms);
    CALL(queue, GET,
         muster__queue_get(q, queue.handle.generation, muster__self_state.number, item, capacity_bytes, size_bytes,
                           timeout_ms));
}

muster_err muster_queue_size(muster_queue queue, int64_t *items)
{
    muster__count(queue.handle);
    if (is_elsewhere(queue))
        return ask(queue, SIZE, MUSTER_NOWAIT, items);
    CALL(queue, SIZE, muster__queue_size(q, queue.handle.generation, items));
}

muster_err muster_queue_empty(muster_queue queue, bool *empty)
{
    int64_t items;
    muster_err err = muster_queue_size(queue, &items);
    if (err == MUSTER_OK)
        *empty = items == 0;
    return err;
}

muster_err muster_queue_full(muster_queue queue, bool *is_full)
{
    muster__count(queue.handle);
    int64_t number;
    muster_err err = is_elsewhere(queue) ? ask(queue, FULL, MUSTER_NOWAIT, &number) : full_here(queue, &number);
    if (err == MUSTER_OK)
        *is_full = number;
    return err;
}

muster_err muster_queue_close(muster_queue queue)
{
    muster__count(queue.handle);
    if (is_elsewhere(queue))
        return ask(queue, CLOSE, MUSTER_NOWAIT, NULL);
    CALL(queue, CLOSE, muster__queue_close(q, queue.handle.generation, muster__self_state.number));
}

muster_err muster_queue_task_done(muster_queue queue)
{
    muster__count(queue.handle);
    if (is_elsewhere(queue))
        return ask(queue, TASK_DONE, MUSTER_NOWAIT, NULL);
    CALL(queue, TASK_DONE, muster__queue_task_done(q, queue.handle.generation, muster__self_state.number));
}

muster_err muster_queue_join(muster_queue queue, int64_t timeout_ms)
{
    muster__count(queue.handle);
    if (is_elsewhere(queue))
        return ask(queue, JOIN, timeout_ms, NULL);
    CALL(queue, JOIN, muster__queue_join(q, queue.handle.generation, timeout_ms));
}
