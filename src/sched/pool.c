/* SPDX-License-Identifier: BSD-3-Clause */
#include "sched/sched.h"

#include <stdio.h>
#include <string.h>

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
        return muster__fail(MUSTER_ERR_NOMEM, "no %zu B left in the host segment for a pool's context", size);
    memcpy(muster__heap_at(*ref), bytes, size);
    muster__heap_hand_over(*ref, self, owner);
    return MUSTER_OK;
}

static struct pool *block_make(const muster_pool_options *options, const struct share *share,
                               struct muster__object *object, uint32_t generation, uint32_t self)
{
    int workers = share->workers, lanes = workers + share->lends + share->branches + POOL_SUBMITTERS;
    size_t workers_offset = sizeof(struct pool) + (size_t)lanes * sizeof(struct lane);
    size_t branches_offset = workers_offset + (size_t)workers * sizeof(struct worker_slot);
    size_t bytes = branches_offset + (size_t)share->lends * sizeof(struct branch);
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
    pool->memory_limit = options->memory_limit_bytes;
    pool->workers_offset = workers_offset;
    atomic_store(&pool->lanes_used, (uint32_t)workers);
    muster__latch_init(&pool->lanes_latch, POOL_GENERATION);
    if (!pool_is_home(pool))
        pool_branch(pool, 0)->pool.handle = share->home;
    for (int i = 0; i < lanes; i++) {
        pool->lane[i].index = (uint32_t)i;
        deque_init(&pool->lane[i].deque, pool_owner(pool));
    }
    for (int i = 0; i < workers; i++) {
        uint32_t rank = (uint32_t)pool_rank_of_lane(pool, i);
        atomic_store(&pool_worker(pool, i)->member, options->isolated ? MUSTER__MEMBERS_MAX : rank);
        atomic_store(&pool->lane[i].member, options->isolated ? muster__member_self() : rank);
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
    int lane = pool_lane_of_rank(pool, me);
    if (!muster__is_spmd() && lane >= 0 && muster__rank_caller((int)me) == muster__self_number())
        seat_take_worker(pool, lane);
}

muster_err pool_start(struct pool *pool)
{
    muster_err err = MUSTER_OK;
    creator_takes_lane(pool);
    for (int i = 0; pool->isolated && i < pool->workers && !err; i++)
        err = worker_start(pool, i);
    for (int i = 0; !pool->isolated && i < pool->workers; i++)
        muster__rank_occupies(pool_rank_of_lane(pool, i), +1);
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
        return muster__fail(MUSTER_ERR_NOMEM, "muster_pool_create: the host segment is full; see segment_bytes");
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

/* ---- ending one ---- */

bool pool_raise(struct pool *pool, enum pool_state to)
{
    uint32_t seen = atomic_load(&pool->state);
    while (seen < (uint32_t)to)
        if (atomic_compare_exchange_weak(&pool->state, &seen, to))
            return true;
    return false;
}

int64_t pool_submitted(struct pool *pool)
{
    int64_t submitted = 0;
    for (uint32_t i = 0; i < atomic_load(&pool->lanes_used); i++)
        submitted += atomic_load(&pool->lane[i].submitted);
    return submitted;
}

static bool any_open(struct pool *pool)
{
    struct record *record;
    for (uint32_t index = 0; (record = pool_walk(pool, &index)); index++) {
        enum phase phase = state_phase(atomic_load(&record->state));
        if (phase != RECORD_FREE && !phase_final(phase) && record->kind == RECORD_TASK)
            return true;
    }
    return false;
}

/*
 * finished is read first: it never runs ahead of what was submitted before. Who dies between a task's last step and the
 * count, or between the count and its first step, leaves the difference one too high: then the tasks that are there are
 * looked at. If some were submitted meanwhile they may have been missed, and whoever ends them rings again.
 */
bool pool_is_done(struct pool *pool)
{
    int64_t deaths = atomic_load(&pool->deaths), open = -atomic_load(&pool->finished_elsewhere);
    for (uint32_t i = 0; i < atomic_load(&pool->lanes_used); i++)
        open -= atomic_load(&pool->lane[i].finished);
    int64_t submitted = pool_submitted(pool);
    open += submitted;
    return open == 0 || pool_state(pool) > POOL_CLOSED ||
           (open > 0 && open <= deaths && !any_open(pool) && submitted == pool_submitted(pool));
}

static bool is_done(void *arg)
{
    return pool_is_done(arg);
}

/* Who ends a task counts it by a plain store, and then looks whether somebody waits. */
static void announce(void *arg)
{
    (void)arg;
    if (MUSTER__UNLIKELY(!muster__barrier_heavy()))
        muster__ring(muster__self_state.number);
}

muster_err pool_await_done(const struct seat *seat, int64_t deadline_ns)
{
    return sched_wait(
        seat, &(struct wait_for){.over = is_done, .announce = announce, .arg = seat->pool, .deadline_ns = deadline_ns});
}

void pool_terminate(struct pool *pool)
{
    pool_raise(pool, POOL_TERMINATED);
    for (int i = 0; pool->isolated && i < pool->workers; i++) {
        uint32_t member = atomic_load(&pool_worker(pool, i)->member);
        if (member != MUSTER__MEMBERS_MAX)
            muster__child_signal(member, 9);
    }
    sched_ring_all(pool);
}

static void wait_carriers(struct pool *pool)
{
    uint32_t seen;
    while ((seen = atomic_load(&pool->carriers)) != 0)
        muster__futex_wait(&pool->carriers, seen, MUSTER__NEVER);
}

static bool destroy(struct muster__object *object, uint32_t generation)
{
    struct pool *pool = pool_of(object);
    bool kill = pool_state(pool) == POOL_TERMINATED;
    if (!muster__object_end(object, generation, muster__self_number()))
        return false;
    pool_tell_parts(pool, PARTS_END, MUSTER_FOREVER);
    wait_carriers(pool);
    worker_wait_left(pool, kill);
    return true;
}

bool pool_destroy(muster_handle handle)
{
    struct muster__object *object = muster__object_pin(handle, MUSTER__POOL);
    if (!object)
        return false;
    bool destroyed = destroy(object, handle.generation);
    muster__object_unpin();
    muster__objects_clean(MUSTER__POOL, muster__self_number());
    return destroyed;
}

/* ---- its class ---- */

static void drop(struct muster__object *object, uint32_t generation, uint32_t self)
{
    struct pool *pool = pool_of(object);
    (void)generation;
    (void)self;
    pool_raise(pool, POOL_STOPPING);
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
        muster__rank_occupies(pool_rank_of_lane(pool, i), -1);
    free_blocks(pool, self);
    atomic_store(block, 0);
}

static void finish(struct muster__object *object, muster_handle handle)
{
    struct pool *pool = pool_of(object);
    if (pool)
        pool_raise(pool, POOL_TERMINATED);
    pool_destroy(handle);
}

static void describe(const struct muster__object *object, char *text, size_t size)
{
    struct pool *pool = pool_of((struct muster__object *)object);
    if (pool && pool_state(pool) == POOL_BROKEN)
        snprintf(text, size, "%s", worker_broken_why(pool));
}

const struct pool_parts *pool_parts;
struct muster__op pool_ops[POOL_OPS];

__attribute__((constructor)) static void register_class(void)
{
    static const struct muster__class class = {.name = "pool",
                                               .ops = pool_ops,
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
