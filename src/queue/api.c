#include <stdio.h>
#include <string.h>

#include "queue/internal.h"

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

const char *const queue_operation_names[] = {
    [QUEUE_DESTROY] = "muster_queue_destroy", [QUEUE_PUT] = "muster_queue_put",
    [QUEUE_GET] = "muster_queue_get",         [QUEUE_TRY_GET] = "muster_queue_get",
    [QUEUE_SIZE] = "muster_queue_size",       [QUEUE_FULL] = "muster_queue_full",
    [QUEUE_CLOSE] = "muster_queue_close",     [QUEUE_TASK_DONE] = "muster_queue_task_done",
    [QUEUE_JOIN] = "muster_queue_join",       [QUEUE_SETTLE] = "a queue's lease",
    [QUEUE_MAKE] = "muster_queue_create",
};

/* ---- on queues of this host, whoever asks ---- */

/* Who does an operation, on whose behalf. */
struct doer {
    muster_queue queue;
    struct muster__queue *q;
    uint32_t generation, self;
    struct muster__work *work; /* another host asks; NULL: this host's caller itself */
    bool agent; /* it is tried by the agent, who cannot wait: err BUSY has it done by a thread that can */
};

/* Leases end by a thread of the agent's rank, which does not die alone. */
static muster_err settle(const struct doer *doer)
{
    if (doer->agent)
        return MUSTER_ERR_BUSY;
    return doer->work ? lease_settle(doer->queue.handle, doer->q, doer->self)
                      : away_ask(doer->queue, QUEUE_SETTLE, MUSTER_FOREVER, NULL);
}

static muster_err settle_if_leased(const struct doer *doer)
{
    return MUSTER__UNLIKELY(lease_any(doer->q)) ? settle(doer) : MUSTER_OK;
}

/* The asker has the items itself. Who does not wait has looked there, and wants to know for sure. */
static bool lent_to_asker(const struct doer *doer)
{
    return doer->work && doer->work->operation == QUEUE_GET &&
           atomic_load(&doer->q->lent) == (uint32_t)doer->work->host + 1;
}

static bool leased_to_others(muster_err err, const struct doer *doer)
{
    return err == MUSTER_ERR_BUSY || (err == MUSTER_ERR_EMPTY && lease_any(doer->q));
}

/* Goes on after a lease got in the way, or before EMPTY is said: what get() does again is given the time that is left.
 */
static muster_err get_settled(const struct doer *doer,
                              muster_err (*get)(const struct doer *doer, void *arg, int64_t ms), void *arg,
                              muster_err err, int64_t timeout_ms)
{
    int64_t deadline_ns = timeout_ms > 0 ? muster__deadline_ns(timeout_ms) : MUSTER__NEVER;
    while (leased_to_others(err, doer) && !lent_to_asker(doer)) {
        bool last = err == MUSTER_ERR_EMPTY;
        err = settle(doer);
        if (err != MUSTER_OK)
            return err;
        int64_t left = deadline_ns - muster__now_ns();
        err = get(doer, arg,
                  last              ? MUSTER_NOWAIT
                  : timeout_ms <= 0 ? timeout_ms
                  : left > 0        ? left / 1000000 + 1
                                    : MUSTER_NOWAIT);
        if (last)
            break;
    }
    return err;
}

static muster_err destroy(const struct doer *doer)
{
    struct muster__object *object = muster__object_find(doer->queue.handle, MUSTER__QUEUE);
    if (doer->agent && atomic_load(&doer->q->users))
        return MUSTER_ERR_BUSY;
    lease_end(doer->queue.handle, doer->q);
    return object && muster__queue_destroy(object, doer->generation, doer->self) ? MUSTER_OK : MUSTER_ERR_STALE;
}

/* An unbounded queue is never full. */
static muster_err full(const struct doer *doer, int64_t *number)
{
    int64_t items;
    muster_err err = muster__queue_size(doer->q, doer->generation, &items);
    *number = err == MUSTER_OK && doer->q->maxsize && items >= doer->q->maxsize;
    return err;
}

static muster_err size(const struct doer *doer, int64_t *items)
{
    muster_err err = settle_if_leased(doer);
    return err ? err : muster__queue_size(doer->q, doer->generation, items);
}

/* No lease begins any more: puts on other hosts have to hear that it is closed. */
static muster_err close(const struct doer *doer)
{
    if (doer->agent && lease_any(doer->q))
        return MUSTER_ERR_BUSY;
    atomic_fetch_add(&doer->q->barred, 1);
    muster_err err = settle_if_leased(doer);
    return err ? err : muster__queue_close(doer->q, doer->generation, doer->self);
}

static muster_err task_done(const struct doer *doer)
{
    muster_err err = muster__queue_task_done(doer->q, doer->generation, doer->self);
    if (err != MUSTER_ERR_STATE || !lease_any(doer->q))
        return err;
    err = settle(doer);
    return err ? err : muster__queue_task_done(doer->q, doer->generation, doer->self);
}

/* Without leases meanwhile: home knows of each item that was put. */
static muster_err join(const struct doer *doer, int64_t timeout_ms)
{
    if (doer->agent && lease_any(doer->q))
        return MUSTER_ERR_BUSY;
    atomic_fetch_add(&doer->q->barred, 1);
    muster_err err = settle_if_leased(doer);
    if (err == MUSTER_OK)
        err = muster__queue_join(doer->q, doer->generation, timeout_ms);
    atomic_fetch_sub(&doer->q->barred, 1);
    return err;
}

/* ---- for other hosts ---- */

/* Large items pass by reference: they have come in a block, and leave in one. */
static muster_err put_for(const struct doer *doer)
{
    struct muster__work *work = doer->work;
    muster_err err;
    if (work->size <= MUSTER__QUEUE_INLINE_MAX || !work->bytes_in) {
        err = muster__queue_put(doer->q, doer->generation, doer->self, work->bytes, work->size, work->timeout_ms);
    } else {
        muster__heap_hand_over(work->bytes_in, MUSTER__REMOTE_OWNER, doer->self);
        err = muster__queue_put_block(doer->q, doer->generation, doer->self, work->bytes_in, work->size,
                                      work->timeout_ms);
        if (err == MUSTER_OK)
            work->bytes_in = 0;
        else
            muster__heap_hand_over(work->bytes_in, doer->self, MUSTER__REMOTE_OWNER);
    }
    if (err != MUSTER_OK)
        return err;
    pipe_put_done(work->object, doer->q);
    if (doer->agent && work->size <= MUSTER__QUEUE_INLINE_MAX)
        lease_note_put(work->object, doer->q, work->host);
    return MUSTER_OK;
}

static muster_err get_block(const struct doer *doer, void *unused, int64_t timeout_ms)
{
    (void)unused;
    struct muster__work *work = doer->work;
    uint64_t capacity;
    memcpy(&capacity, work->bytes, sizeof capacity);
    muster_err err = muster__queue_get_block(doer->q, doer->generation, doer->self, work->reply, capacity,
                                             &work->reply_size, &work->reply_in, timeout_ms);
    if (work->reply_in)
        muster__heap_hand_over(work->reply_in, doer->self, MUSTER__REMOTE_OWNER);
    return err;
}

static muster_err get_for(const struct doer *doer)
{
    struct muster__work *work = doer->work;
    bool tries = work->operation == QUEUE_TRY_GET;
    muster_err err = get_block(doer, NULL, tries ? MUSTER_NOWAIT : work->timeout_ms);
    if (doer->agent && err == MUSTER_ERR_EMPTY) {
        work->settled = tries && !lease_any(doer->q);
        return err;
    }
    if (MUSTER__UNLIKELY(leased_to_others(err, doer)))
        err = get_settled(doer, get_block, NULL, err, tries ? MUSTER_NOWAIT : work->timeout_ms);
    if (err == MUSTER_ERR_BUSY && lent_to_asker(doer)) {
        work->number = QUEUE_IN_STOCK;
        work->reply_size = 0;
        return MUSTER_OK;
    }
    if (err == MUSTER_OK && doer->agent)
        lease_note_get(work->object, doer->q, work->host);
    return err;
}

static muster_err do_work(const struct doer *doer)
{
    struct muster__work *work = doer->work;
    switch ((enum queue_operation)work->operation) {
    case QUEUE_DESTROY:
        return destroy(doer);
    case QUEUE_PUT:
        return put_for(doer);
    case QUEUE_GET:
    case QUEUE_TRY_GET:
        return get_for(doer);
    case QUEUE_SIZE:
        return size(doer, &work->number);
    case QUEUE_FULL:
        return full(doer, &work->number);
    case QUEUE_CLOSE:
        return close(doer);
    case QUEUE_TASK_DONE:
        return task_done(doer);
    case QUEUE_JOIN:
        return join(doer, work->timeout_ms);
    case QUEUE_SETTLE:
        return settle_if_leased(doer);
    default:
        return MUSTER_ERR_UNSUPPORTED;
    }
}

/* what a queue is made of on another host */
struct wanted {
    int64_t maxsize;
    char name[32];
};

static muster_err make_for(struct muster__work *work)
{
    const struct wanted *wanted = work->bytes;
    work->reply_size = sizeof(muster_handle);
    return muster__queue_create(wanted->name, wanted->maxsize, work->self, work->reply);
}

static muster_err make_elsewhere(int host, const muster_queue_options *options, muster_handle *handle)
{
    struct wanted wanted = {.maxsize = options->maxsize};
    if (options->name)
        snprintf(wanted.name, sizeof wanted.name, "%s", options->name);
    return muster__remote_make(host, MUSTER__QUEUE, QUEUE_MAKE, &wanted, sizeof wanted,
                               queue_operation_names[QUEUE_MAKE], handle);
}

static muster_err worker(struct muster__work *work)
{
    if (work->operation > QUEUE_LAST)
        return pipe_work(work);
    if (work->operation == QUEUE_MAKE)
        return make_for(work);
    muster_queue queue = {.handle = work->object};
    struct muster__queue *q = named(queue);
    struct doer doer = {.queue = queue,
                        .q = q,
                        .generation = work->object.generation,
                        .self = work->self,
                        .work = work,
                        .agent = work->timeout_ms == MUSTER_NOWAIT};
    muster_err err = q ? do_work(&doer) : MUSTER_ERR_STALE;
    return err == MUSTER_OK ? MUSTER_OK : failed(err, queue_operation_names[work->operation], queue);
}

__attribute__((constructor)) static void register_worker(void)
{
    muster__remote_register(MUSTER__QUEUE, worker);
}

/* ---- for this host's own callers ---- */

static inline bool is_elsewhere(muster_queue queue)
{
    return MUSTER__UNLIKELY(muster__is_remote(queue.handle, MUSTER__QUEUE));
}

static struct doer own(muster_queue queue, struct muster__queue *q)
{
    return (struct doer){
        .queue = queue, .q = q, .generation = queue.handle.generation, .self = muster__self_state.number};
}

struct room {
    void *item;
    size_t capacity, *size;
};

static muster_err get_item(const struct doer *doer, void *arg, int64_t timeout_ms)
{
    const struct room *room = arg;
    return muster__queue_get(doer->q, doer->generation, doer->self, room->item, room->capacity, room->size, timeout_ms);
}

static muster_err __attribute__((cold, noinline))
get_leased(muster_queue queue, struct muster__queue *q, struct room *room, muster_err err, int64_t timeout_ms)
{
    struct doer doer = own(queue, q);
    return get_settled(&doer, get_item, room, err, timeout_ms);
}

/* ---- public ---- */

/* Does the call on the queue of that name here. */
#define CALL(queue, operation, call)                                                                                   \
    do {                                                                                                               \
        struct muster__queue *q_ = named(queue);                                                                       \
        struct doer doer = own(queue, q_);                                                                             \
        muster_err err_ = q_ ? (call) : MUSTER_ERR_STALE;                                                              \
        return MUSTER__LIKELY(err_ == MUSTER_OK) ? MUSTER_OK : failed(err_, queue_operation_names[operation], queue);  \
    } while (0)

muster_err muster_queue_create(muster_queue *queue, const muster_queue_options *options)
{
    static const char operation[] = "muster_queue_create";
    int host;
    muster_err err = muster__runtime_require(operation);
    if (err == MUSTER_OK)
        err = MUSTER__RESERVED(operation, options);
    if (err == MUSTER_OK)
        err = muster__host_wanted(options ? options->on : (muster_on){0}, operation, &host);
    if (err != MUSTER_OK)
        return err;
    int64_t maxsize = options ? options->maxsize : 0;
    if (maxsize < 0)
        return muster__fail(MUSTER_ERR_INVAL, "%s: maxsize %lld; 0 (no bound) or more is allowed", operation,
                            (long long)maxsize);
    if (host != (int)muster__segment->host)
        return make_elsewhere(host, options, &queue->handle);
    err = muster__queue_create(options ? options->name : NULL, maxsize, muster__self_number(), &queue->handle);
    if (err == MUSTER_OK)
        muster__count(queue->handle);
    return err;
}

muster_err muster_queue_destroy(muster_queue queue)
{
    muster__count(queue.handle);
    if (is_elsewhere(queue))
        return away_ask(queue, QUEUE_DESTROY, MUSTER_FOREVER, NULL);
    CALL(queue, QUEUE_DESTROY, destroy(&doer));
}

muster_err muster_queue_put(muster_queue queue, const void *item, size_t size_bytes, int64_t timeout_ms)
{
    muster__count(queue.handle);
    if (is_elsewhere(queue))
        return away_put(queue, item, size_bytes, timeout_ms);
    struct muster__queue *q = named(queue);
    muster_err err = MUSTER_ERR_STALE;
    if (MUSTER__LIKELY(q))
        err = muster__queue_put(q, queue.handle.generation, muster__self_state.number, item, size_bytes, timeout_ms);
    if (MUSTER__UNLIKELY(err))
        return failed(err, queue_operation_names[QUEUE_PUT], queue);
    pipe_put_done(queue.handle, q);
    return MUSTER_OK;
}

muster_err muster_queue_get(muster_queue queue, void *item, size_t capacity_bytes, size_t *size_bytes,
                            int64_t timeout_ms)
{
    muster__count(queue.handle);
    if (is_elsewhere(queue))
        return away_get(queue, item, capacity_bytes, size_bytes, timeout_ms);
    struct muster__queue *q = named(queue);
    muster_err err = MUSTER_ERR_STALE;
    if (MUSTER__LIKELY(q))
        err = muster__queue_get(q, queue.handle.generation, muster__self_state.number, item, capacity_bytes, size_bytes,
                                timeout_ms);
    if (MUSTER__UNLIKELY(err == MUSTER_ERR_BUSY || (err == MUSTER_ERR_EMPTY && lease_any(q))))
        err = get_leased(queue, q, &(struct room){item, capacity_bytes, size_bytes}, err, timeout_ms);
    return MUSTER__LIKELY(!err) ? MUSTER_OK : failed(err, queue_operation_names[QUEUE_GET], queue);
}

muster_err muster_queue_size(muster_queue queue, int64_t *items)
{
    muster__count(queue.handle);
    if (is_elsewhere(queue))
        return away_ask(queue, QUEUE_SIZE, MUSTER_FOREVER, items);
    CALL(queue, QUEUE_SIZE, size(&doer, items));
}

muster_err muster_queue_empty(muster_queue queue, bool *empty)
{
    int64_t items;
    muster_err err = muster_queue_size(queue, &items);
    if (err == MUSTER_OK)
        *empty = items == 0;
    return err;
}

static muster_err full_here(muster_queue queue, int64_t *number)
{
    CALL(queue, QUEUE_FULL, full(&doer, number));
}

muster_err muster_queue_full(muster_queue queue, bool *is_full)
{
    muster__count(queue.handle);
    int64_t number;
    muster_err err =
        is_elsewhere(queue) ? away_ask(queue, QUEUE_FULL, MUSTER_NOWAIT, &number) : full_here(queue, &number);
    if (err == MUSTER_OK)
        *is_full = number;
    return err;
}

muster_err muster_queue_close(muster_queue queue)
{
    muster__count(queue.handle);
    if (is_elsewhere(queue))
        return away_ask(queue, QUEUE_CLOSE, MUSTER_FOREVER, NULL);
    CALL(queue, QUEUE_CLOSE, close(&doer));
}

muster_err muster_queue_task_done(muster_queue queue)
{
    muster__count(queue.handle);
    if (is_elsewhere(queue))
        return away_ask(queue, QUEUE_TASK_DONE, MUSTER_FOREVER, NULL);
    CALL(queue, QUEUE_TASK_DONE, task_done(&doer));
}

muster_err muster_queue_join(muster_queue queue, int64_t timeout_ms)
{
    muster__count(queue.handle);
    if (is_elsewhere(queue))
        return away_ask(queue, QUEUE_JOIN, timeout_ms == MUSTER_NOWAIT ? 1 : timeout_ms, NULL);
    CALL(queue, QUEUE_JOIN, join(&doer, timeout_ms));
}
