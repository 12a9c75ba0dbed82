#include <stdio.h>

#include "queue/queue.h"
#include "runtime/runtime.h"

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

#define CALL(queue, operation, call)                                                                                   \
    do {                                                                                                               \
        struct muster__queue *q = named(queue);                                                                        \
        muster_err err_ = q ? (call) : MUSTER_ERR_STALE;                                                               \
        return MUSTER__LIKELY(err_ == MUSTER_OK) ? MUSTER_OK : failed(err_, operation, queue);                         \
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
    return muster__queue_create(options ? options->name : NULL, maxsize, muster__self_number(), &queue->handle);
}

muster_err muster_queue_destroy(muster_queue queue)
{
    struct muster__object *object = muster__object_find(queue.handle, MUSTER__QUEUE);
    uint32_t self = muster__self_number();
    if (!object || !self || !muster__queue_destroy(object, queue.handle.generation, self))
        return muster__object_stale(MUSTER__QUEUE, "muster_queue_destroy");
    return MUSTER_OK;
}

muster_err muster_queue_put(muster_queue queue, const void *item, size_t size_bytes, int64_t timeout_ms)
{
    CALL(queue, "muster_queue_put",
         muster__queue_put(q, queue.handle.generation, muster__self_state.number, item, size_bytes, timeout_ms));
}

muster_err muster_queue_get(muster_queue queue, void *item, size_t capacity_bytes, size_t *size_bytes,
                            int64_t timeout_ms)
{
    CALL(queue, "muster_queue_get",
         muster__queue_get(q, queue.handle.generation, muster__self_state.number, item, capacity_bytes, size_bytes,
                           timeout_ms));
}

muster_err muster_queue_size(muster_queue queue, int64_t *items)
{
    CALL(queue, "muster_queue_size", muster__queue_size(q, queue.handle.generation, items));
}

static muster_err compare(struct muster__queue *queue, uint32_t generation, int64_t bound, bool *reached)
{
    int64_t items;
    muster_err err = muster__queue_size(queue, generation, &items);
    if (err == MUSTER_OK)
        *reached = items >= bound;
    return err;
}

muster_err muster_queue_empty(muster_queue queue, bool *empty)
{
    bool some;
    struct muster__queue *q = named(queue);
    muster_err err = q ? compare(q, queue.handle.generation, 1, &some) : MUSTER_ERR_STALE;
    if (err != MUSTER_OK)
        return failed(err, "muster_queue_empty", queue);
    *empty = !some;
    return MUSTER_OK;
}

muster_err muster_queue_full(muster_queue queue, bool *full)
{
    CALL(queue, "muster_queue_full", compare(q, queue.handle.generation, q->maxsize ? q->maxsize : INT64_MAX, full));
}

muster_err muster_queue_close(muster_queue queue)
{
    CALL(queue, "muster_queue_close", muster__queue_close(q, queue.handle.generation, muster__self_state.number));
}

muster_err muster_queue_task_done(muster_queue queue)
{
    CALL(queue, "muster_queue_task_done",
         muster__queue_task_done(q, queue.handle.generation, muster__self_state.number));
}

muster_err muster_queue_join(muster_queue queue, int64_t timeout_ms)
{
    CALL(queue, "muster_queue_join", muster__queue_join(q, queue.handle.generation, timeout_ms));
}
