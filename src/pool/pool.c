#include "pool/abroad.h"
#include "pool/context.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPERATION(name) "muster_pool_" name

muster_handle pool_handle(const struct pool *pool)
{
    return muster__handle_make(MUSTER__POOL, pool->slot, pool->generation);
}

/* ---- making one ---- */

static muster_err copy_block(const void *bytes, size_t size, uint32_t owner, uint32_t self, muster__ref *ref)
{
    *ref = 0;
    if (!bytes || !size)
        return MUSTER_OK;
    *ref = muster__heap_alloc(size, self);
    if (!*ref)
        return muster__fail(MUSTER_ERR_NOMEM, "no %zu bytes left in the host segment for a pool's context", size);
    memcpy(muster__heap_at(*ref), bytes, size);
    muster__heap_hand_over(*ref, self, owner);
    return MUSTER_OK;
}

static muster_err check_options(const muster_pool_options *options)
{
    if (options->workers < 0)
        return muster__fail(MUSTER_ERR_INVAL, OPERATION("create") ": workers is %d; 0 or more are allowed",
                            options->workers);
    if (options->workers > POOL_LANES - POOL_SUBMITTERS)
        return muster__fail(MUSTER_ERR_INVAL, OPERATION("create") ": workers is %d; at most %d are allowed",
                            options->workers, POOL_LANES - POOL_SUBMITTERS);
    muster_err err = check_retries(OPERATION("create"), options->retries);
    if (!err)
        err = check_count(OPERATION("create"), "max_tasks", options->max_tasks);
    if (!err && options->max_tasks && !options->isolated)
        err = muster__fail(MUSTER_ERR_UNSUPPORTED,
                           OPERATION("create") ": max_tasks needs isolated workers: a rank cannot be replaced");
    if (!err)
        err = check_block(OPERATION("create"), "init_arg", options->init_arg, 1, options->init_arg_bytes);
    if (!err)
        err = check_block(OPERATION("create"), "user", options->user, 1, options->user_bytes);
    return err ? err : MUSTER__RESERVED(OPERATION("create"), options);
}

static struct pool *block_make(const muster_pool_options *options, const struct share *share,
                               struct muster__object *object, uint32_t generation, uint32_t self)
{
    int workers = share->workers, lanes = workers + share->branches + POOL_SUBMITTERS;
    size_t workers_offset = sizeof(struct pool) + (size_t)lanes * sizeof(struct lane);
    size_t branches_offset = workers_offset + (size_t)workers * sizeof(struct worker_slot);
    size_t bytes = branches_offset + (size_t)share->branches * sizeof(struct branch);
    muster__ref ref = muster__heap_alloc(bytes, self);
    if (!ref)
        return NULL;
    struct pool *pool = muster__heap_at(ref);
    /* the directory of slabs is large and read only where it was written: leave it untouched */
    memset(pool, 0, offsetof(struct pool, slab_ref));
    memset(&pool->workers_offset, 0, bytes - offsetof(struct pool, workers_offset));
    pool->share = *share;
    pool->branches_offset = branches_offset;
    pool->slot = (uint32_t)(object - muster__object_slot(0));
    pool->generation = generation;
    pool->self = ref;
    pool->workers = workers;
    pool->lanes = lanes;
    pool->isolated = options->isolated;
    pool->caller_idle = options->caller_idle;
    pool->retries = options->retries;
    pool->max_tasks = options->max_tasks;
    pool->workers_offset = workers_offset;
    atomic_store(&pool->lanes_used, (uint32_t)workers);
    muster__latch_init(&pool->lanes_latch, POOL_GENERATION);
    for (int i = 0; i < lanes; i++) {
        pool->lane[i].index = (uint32_t)i;
        deque_init(&pool->lane[i].deque, pool_owner(pool));
    }
    for (int i = 0; i < workers; i++) {
        atomic_store(&pool_worker(pool, i)->member, options->isolated ? MUSTER__MEMBERS_MAX : (uint32_t)i);
        atomic_store(&pool->lane[i].member, options->isolated ? muster__member_self() : (uint32_t)i);
        atomic_store(&pool_worker(pool, i)->stay, !options->isolated && muster__is_spmd() ? WORKER_AWAY : WORKER_STAYS);
    }
    return pool;
}

static muster_err fill(struct pool *pool, const muster_pool_options *options, uint32_t self)
{
    muster_err err = copy_block(options->init_arg, options->init_arg_bytes, pool_owner(pool), self, &pool->init_arg);
    if (!err)
        err = copy_block(options->user, options->user_bytes, pool_owner(pool), self, &pool->user);
    return err;
}

static void free_blocks(struct pool *pool, uint32_t self)
{
    muster__ref block = pool->self;
    muster__heap_sweep(pool_owner(pool), self);
    muster__heap_free(block, self);
}

/* The creating rank is a worker of an in-rank pool like the others: it works while it waits. In SPMD mode all do. */
static void creator_takes_lane(struct pool *pool)
{
    uint32_t me = muster__member_self();
    if (!muster__is_spmd() && !pool->isolated && me < (uint32_t)pool->workers &&
        muster__rank_caller((int)me) == muster__self_number())
        seat_take_worker(pool, (int)me);
}

muster_err pool_start(struct pool *pool)
{
    muster_err err = MUSTER_OK;
    creator_takes_lane(pool);
    for (int i = 0; pool->isolated && i < pool->workers && !err; i++)
        err = worker_start(pool, i);
    for (int i = 0; !pool->isolated && i < pool->workers; i++)
        muster__rank_occupies(i, +1);
    worker_ring_ranks(pool);
    return err;
}

muster_err pool_make(const muster_pool_options *options, const struct share *share, muster__function initializer,
                     muster__function finalizer, muster_pool *made)
{
    uint32_t self = muster__self_number(), generation;
    struct muster__object *object;
    muster_err err = muster__object_claim(MUSTER__POOL, options->name, self, &object, &generation);
    if (err)
        return err;
    struct pool *pool = block_make(options, share, object, generation, self);
    if (!pool) {
        muster__object_abandon(object, generation);
        return muster__fail(MUSTER_ERR_NOMEM, OPERATION("create") ": the host segment is full; see segment_bytes");
    }
    err = fill(pool, options, self);
    if (err) {
        free_blocks(pool, self);
        muster__object_abandon(object, generation);
        return err;
    }
    pool->initializer = initializer;
    pool->finalizer = finalizer;
    atomic_store(&((struct pool_body *)(void *)object->body)->block, pool->self);
    muster__heap_hand_over(pool->self, self, 0);
    muster__object_publish(object, generation, &made->handle);
    return MUSTER_OK;
}

static muster_err name_hooks(const muster_pool_options *options, muster__function hooks[2])
{
    muster_err err = MUSTER_OK;
    if (options->initializer)
        err = muster__function_name((const void *)options->initializer, &hooks[0]);
    if (!err && options->finalizer)
        err = muster__function_name((const void *)options->finalizer, &hooks[1]);
    return err;
}

static muster_err make_whole(muster_pool *made, const muster_pool_options *options)
{
    muster__function hooks[2] = {0};
    struct share home, *shares;
    muster_err err = name_hooks(options, hooks);
    if (!err)
        err = parts_plan(options, &home, &shares);
    if (err)
        return err;
    err = pool_make(options, &home, hooks[0], hooks[1], made);
    if (!err) {
        struct pool *pool = pool_of(muster__object_slot(made->handle.slot));
        err = pool_start(pool);
        if (!err)
            err = parts_make(pool, options, shares);
        if (err)
            muster_pool_destroy(*made);
    }
    free(shares);
    return err;
}

muster_err muster_pool_create(muster_pool *handle, const muster_pool_options *options)
{
    static const muster_pool_options defaults;
    options = options ? options : &defaults;
    muster_pool made;
    muster_err err = muster__runtime_require(OPERATION("create"));
    if (!err)
        err = check_pointer(OPERATION("create"), "pool", handle);
    if (!err)
        err = check_options(options);
    if (!err)
        err = make_whole(&made, options);
    if (!err)
        *handle = made;
    return err;
}

/* ---- ending one ---- */

static bool raise_state(struct pool *pool, enum pool_state to)
{
    uint32_t seen = atomic_load(&pool->state);
    while (seen < (uint32_t)to)
        if (atomic_compare_exchange_weak(&pool->state, &seen, to))
            return true;
    return false;
}

static bool is_elsewhere(muster_pool handle)
{
    return muster__is_remote(handle.handle, MUSTER__POOL);
}

muster_err muster_pool_close(muster_pool handle)
{
    struct seat seat;
    if (is_elsewhere(handle))
        return parts_ask_home(handle, PARTS_CLOSE, MUSTER_FOREVER, OPERATION("close"));
    muster_err err = seat_enter(handle.handle, OPERATION("close"), &seat);
    if (err)
        return err;
    raise_state(seat.pool, POOL_CLOSED);
    err = parts_tell(seat.pool, PARTS_CLOSE, MUSTER_FOREVER);
    seat_leave(&seat);
    return err;
}

/* finished is read first: it never runs ahead of what was submitted before */
static bool all_ended(void *arg)
{
    struct pool *pool = arg;
    int64_t open = -atomic_load(&pool->finished_elsewhere);
    for (uint32_t i = 0; i < atomic_load(&pool->lanes_used); i++)
        open -= atomic_load(&pool->lane[i].finished);
    for (uint32_t i = 0; i < atomic_load(&pool->lanes_used); i++)
        open += atomic_load(&pool->lane[i].submitted);
    return open == 0 || pool_state(pool) > POOL_CLOSED;
}

muster_err muster_pool_join(muster_pool handle, int64_t timeout_ms)
{
    struct seat seat;
    muster_err err = muster__timeout_bad(OPERATION("join"), timeout_ms);
    if (err)
        return err;
    if (is_elsewhere(handle))
        return parts_ask_home(handle, PARTS_JOIN, timeout_ms, OPERATION("join"));
    int64_t deadline = muster__deadline_ns(timeout_ms);
    err = seat_enter(handle.handle, OPERATION("join"), &seat);
    if (err)
        return err;
    if (pool_state(seat.pool) == POOL_OPEN)
        err = muster__fail(MUSTER_ERR_STATE, OPERATION("join") ": call muster_pool_close first");
    else
        err = sched_wait(&seat, &(struct wait_for){.over = all_ended, .arg = seat.pool, .deadline_ns = deadline});
    if (err == MUSTER_ERR_TIMEOUT)
        muster__fail(err, OPERATION("join") ": the work has not ended within %lld ms", (long long)timeout_ms);
    if (!err)
        err = worker_broken(seat.pool, OPERATION("join")); /* its branches may be open still */
    if (!err)
        err = parts_tell(seat.pool, PARTS_JOIN, muster__left_ms(deadline));
    if (!err)
        err = worker_broken(seat.pool, OPERATION("join"));
    if (!err)
        callback_flush(seat.pool);
    seat_leave(&seat);
    return err;
}

void pool_terminate(struct pool *pool)
{
    raise_state(pool, POOL_TERMINATED);
    for (int i = 0; pool->isolated && i < pool->workers; i++) {
        uint32_t member = atomic_load(&pool_worker(pool, i)->member);
        if (member != MUSTER__MEMBERS_MAX)
            muster__child_signal(member, 9);
    }
    sched_ring_all(pool);
}

muster_err muster_pool_terminate(muster_pool handle)
{
    struct seat seat;
    if (is_elsewhere(handle))
        return parts_ask_home(handle, PARTS_TERMINATE, MUSTER_FOREVER, OPERATION("terminate"));
    muster_err err = seat_enter(handle.handle, OPERATION("terminate"), &seat);
    if (err)
        return err;
    pool_terminate(seat.pool);
    err = parts_tell(seat.pool, PARTS_TERMINATE, MUSTER_FOREVER);
    seat_leave(&seat);
    return err;
}

/* Its end lets nobody in any more and has its workers leave, which this waits for; then it is cleaned. */
static bool destroy(struct muster__object *object, uint32_t generation)
{
    struct pool *pool = pool_of(object);
    bool kill = pool_state(pool) == POOL_TERMINATED;
    if (!muster__object_end(object, generation, muster__self_number()))
        return false;
    parts_tell(pool, PARTS_END, MUSTER_FOREVER);
    worker_wait_left(pool, kill);
    return true;
}

static bool pin_and_destroy(muster_handle handle)
{
    struct muster__object *object = muster__object_pin(handle, MUSTER__POOL);
    if (!object)
        return false;
    bool destroyed = destroy(object, handle.generation);
    muster__object_unpin();
    muster__objects_clean(MUSTER__POOL, muster__self_number());
    return destroyed;
}

static bool nothing_begun(void *arg)
{
    return atomic_load_explicit(&((struct lane *)arg)->depth, memory_order_relaxed) == 0;
}

/* What this thread has begun of the pool's and left waiting comes to an end, and what this process's callbacks wait
 * for.
 */
static void end_begun(const struct seat *seat)
{
    pool_terminate(seat->pool);
    sched_wait(seat, &(struct wait_for){.over = nothing_begun, .arg = seat->lane, .deadline_ns = MUSTER__NEVER});
}

static void end_own(muster_handle handle)
{
    struct muster__object *object = muster__object_pin(handle, MUSTER__POOL);
    bool calls = object && callback_any(pool_of(object));
    struct seat seat;
    if (object)
        muster__object_unpin();
    if ((!calls && !context_any()) || seat_enter(handle, OPERATION("destroy"), &seat))
        return;
    if (seat.worker && !nothing_begun(seat.lane))
        end_begun(&seat);
    if (calls) {
        pool_terminate(seat.pool);
        callback_flush(seat.pool);
    }
    seat_leave(&seat);
}

muster_err muster_pool_destroy(muster_pool handle)
{
    if (is_elsewhere(handle))
        return parts_ask_home(handle, PARTS_END, MUSTER_FOREVER, OPERATION("destroy"));
    end_own(handle.handle);
    return pin_and_destroy(handle.handle) ? MUSTER_OK : muster__object_stale(MUSTER__POOL, OPERATION("destroy"));
}

muster_err muster_pool_workers(muster_pool handle, int *workers)
{
    muster_handle here;
    if (!workers)
        return check_pointer(OPERATION("workers"), "workers", workers);
    if (!parts_here(handle.handle, &here))
        return muster__object_stale(MUSTER__POOL, OPERATION("workers"));
    struct muster__object *object = muster__object_find(here, MUSTER__POOL);
    struct pool *pool = object ? pool_of(object) : NULL;
    if (!pool)
        return muster__object_stale(MUSTER__POOL, OPERATION("workers"));
    *workers = pool->share.all_workers;
    return MUSTER_OK;
}

/* ---- its class ---- */

static void drop(struct muster__object *object, uint32_t generation, uint32_t self)
{
    struct pool *pool = pool_of(object);
    (void)generation;
    (void)self;
    raise_state(pool, POOL_STOPPING);
    sched_ring_all(pool);
    worker_ring_ranks(pool);
}

/* Workers that stay do not pin the pool that they work for. */
static bool in_use(struct muster__object *object)
{
    struct pool *pool = pool_of(object);
    for (int i = 0; pool && i < pool->workers; i++)
        if (worker_is_held(pool, i))
            return true;
    return false;
}

static void clean(struct muster__object *object, uint32_t self)
{
    _Atomic muster__ref *block = &((struct pool_body *)(void *)object->body)->block;
    struct pool *pool = pool_of(object);
    if (!pool)
        return;
    for (int i = 0; !pool->isolated && i < pool->workers; i++)
        muster__rank_occupies(i, -1);
    free_blocks(pool, self);
    atomic_store(block, 0);
}

static void finish(struct muster__object *object, muster_handle handle)
{
    struct pool *pool = pool_of(object);
    if (pool)
        raise_state(pool, POOL_TERMINATED);
    pin_and_destroy(handle);
}

static void describe(const struct muster__object *object, char *text, size_t size)
{
    struct pool *pool = pool_of((struct muster__object *)object);
    if (pool && pool_state(pool) == POOL_BROKEN)
        snprintf(text, size, "%s", worker_broken_why(pool));
}

static const struct muster__op ops[POOL_OPS] = {
    [POOL_FETCH] = {.name = "a pool's branch",
                    .step = lend_fetch,
                    .leave = lend_fetch_leave,
                    .late = MUSTER_ERR_CANCELED,
                    .late_now = MUSTER_ERR_CANCELED},
    [POOL_ENDED] = {.name = "a task's end",
                    .step = asked_ended,
                    .watch = asked_ended,
                    .takes_nothing = true,
                    .late = MUSTER_ERR_TIMEOUT,
                    .late_now = MUSTER_ERR_TIMEOUT},
    [POOL_GROUP_ENDED] = {.name = "a group's end",
                          .step = asked_group_ended,
                          .watch = asked_group_ended,
                          .takes_nothing = true,
                          .late = MUSTER_ERR_TIMEOUT,
                          .late_now = MUSTER_ERR_TIMEOUT},
    [POOL_GET] = {.name = "muster_task_get",
                  .step = asked_get,
                  .undo = asked_undo,
                  .taken = asked_taken,
                  .claims = true,
                  .late = MUSTER_ERR_TIMEOUT,
                  .late_now = MUSTER_ERR_TIMEOUT},
};

__attribute__((constructor)) static void register_class(void)
{
    static const struct muster__class class = {.name = "pool",
                                               .ops = ops,
                                               .op_count = POOL_OPS,
                                               .patient = true,
                                               .drop = drop,
                                               .in_use = in_use,
                                               .clean = clean,
                                               .sweep = recover_sweep,
                                               .describe = describe,
                                               .finish = finish};
    muster__class_register(MUSTER__POOL, &class);
    muster__child_died = recover_child_died;
    worker_register();
}
