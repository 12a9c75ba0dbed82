/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/check.h"
#include "pool/pending.h"
#include "pool/task.h"

#include <stdlib.h>

#define OPERATION(name) "muster_pool_" name

/* ---- making one ---- */

static muster_err check_options(const muster_pool_options *options)
{
    if (options->workers < 0)
        return muster__fail(MUSTER_ERR_INVAL, OPERATION("create") ": workers is %d; 0 or more are allowed",
                            options->workers);
    if ((options->first_rank || options->ranks) &&
        (options->first_rank < 0 || options->first_rank >= muster_ranks() || options->ranks < 0 ||
         options->ranks > muster_ranks() - options->first_rank))
        return muster__fail(MUSTER_ERR_INVAL, OPERATION("create") ": first_rank is %d and ranks %d, of a job of %d",
                            options->first_rank, options->ranks, muster_ranks());
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
        err = check_bytes(OPERATION("create"), "memory_limit_bytes", 1, options->memory_limit_bytes);
    if (!err && options->memory_limit_bytes && !options->isolated)
        err = muster__fail(MUSTER_ERR_UNSUPPORTED, OPERATION("create") ": memory_limit_bytes needs isolated workers: a "
                                                                       "task inside a rank cannot be stopped");
    if (!err)
        err = check_block(OPERATION("create"), "init_arg", options->init_arg, 1, options->init_arg_bytes);
    if (!err)
        err = check_block(OPERATION("create"), "user", options->user, 1, options->user_bytes);
    return err ? err : MUSTER__RESERVED(OPERATION("create"), options);
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

static int ranks_of(const muster_pool_options *options)
{
    return options->ranks ? options->ranks : muster_ranks() - options->first_rank;
}

/* In-rank worker i is the pool's rank i; of isolated ones there may be any number. */
static int all_workers(const muster_pool_options *options)
{
    int ranks = ranks_of(options);
    return options->workers == 0 || (!options->isolated && options->workers > ranks) ? ranks : options->workers;
}

/* Where nobody knows of other hosts there are none. */
static muster_err plan(const muster_pool_options *options, struct share *home, struct share **shares)
{
    int all = all_workers(options), first = options->first_rank, ranks = ranks_of(options);
    *home = (struct share){.workers = all, .all_workers = all, .first_local = first, .local_ranks = ranks};
    *shares = NULL;
    return pool_parts ? pool_parts->plan(all, first, ranks, home, shares) : MUSTER_OK;
}

static muster_err make_parts(struct pool *pool, const muster_pool_options *options, const struct share *shares)
{
    return pool->share.branches ? pool_parts->make(pool, options, shares) : MUSTER_OK;
}

static muster_err make_whole(muster_pool *made, const muster_pool_options *options)
{
    muster__function hooks[2] = {0};
    struct share home, *shares;
    muster_err err = name_hooks(options, hooks);
    if (!err)
        err = plan(options, &home, &shares);
    if (err)
        return err;
    err = pool_make(options, &home, hooks[0], hooks[1], made);
    if (!err) {
        struct pool *pool = pool_of(muster__object_slot(made->handle.slot));
        err = pool_start(pool);
        if (!err)
            err = make_parts(pool, options, shares);
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

static bool is_elsewhere(muster_pool handle)
{
    return pool_parts && muster__is_remote(handle.handle, MUSTER__POOL);
}

muster_err muster_pool_close(muster_pool handle)
{
    struct seat seat;
    if (is_elsewhere(handle))
        return pool_parts->ask_home(handle, PARTS_CLOSE, MUSTER_FOREVER, OPERATION("close"));
    muster_err err = seat_enter(handle.handle, OPERATION("close"), &seat);
    if (err)
        return err;
    pool_raise(seat.pool, POOL_CLOSED);
    err = pool_tell_parts(seat.pool, PARTS_CLOSE, MUSTER_FOREVER);
    seat_leave(&seat);
    return err;
}

muster_err muster_pool_join(muster_pool handle, int64_t timeout_ms)
{
    struct seat seat;
    muster_err err = muster__timeout_bad(OPERATION("join"), timeout_ms);
    if (err)
        return err;
    if (is_elsewhere(handle))
        return pool_parts->ask_home(handle, PARTS_JOIN, timeout_ms, OPERATION("join"));
    int64_t deadline = muster__deadline_ns(timeout_ms);
    err = seat_enter(handle.handle, OPERATION("join"), &seat);
    if (err)
        return err;
    if (pool_state(seat.pool) == POOL_OPEN)
        err = muster__fail(MUSTER_ERR_STATE, OPERATION("join") ": call muster_pool_close first");
    else
        err = pool_await_done(&seat, deadline);
    if (err == MUSTER_ERR_TIMEOUT)
        muster__fail(err, OPERATION("join") ": the work has not ended within %lld ms", (long long)timeout_ms);
    if (!err)
        err = worker_broken(seat.pool, OPERATION("join")); /* its branches may be open still */
    if (!err)
        err = pool_tell_parts(seat.pool, PARTS_JOIN, muster__left_ms(deadline));
    if (!err)
        err = worker_broken(seat.pool, OPERATION("join"));
    if (!err)
        callback_flush(seat.pool);
    seat_leave(&seat);
    return err;
}

muster_err muster_pool_terminate(muster_pool handle)
{
    struct seat seat;
    if (is_elsewhere(handle))
        return pool_parts->ask_home(handle, PARTS_TERMINATE, MUSTER_FOREVER, OPERATION("terminate"));
    muster_err err = seat_enter(handle.handle, OPERATION("terminate"), &seat);
    if (err)
        return err;
    pool_terminate(seat.pool);
    err = pool_tell_parts(seat.pool, PARTS_TERMINATE, MUSTER_FOREVER);
    seat_leave(&seat);
    return err;
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
        return pool_parts->ask_home(handle, PARTS_END, MUSTER_FOREVER, OPERATION("destroy"));
    end_own(handle.handle);
    return pool_destroy(handle.handle) ? MUSTER_OK : muster__object_stale(MUSTER__POOL, OPERATION("destroy"));
}

muster_err muster_pool_workers(muster_pool handle, int *workers)
{
    muster_handle here;
    if (!workers)
        return check_pointer(OPERATION("workers"), "workers", workers);
    if (!pool_here(handle.handle, &here))
        return muster__object_stale(MUSTER__POOL, OPERATION("workers"));
    struct muster__object *object = muster__object_find(here, MUSTER__POOL);
    struct pool *pool = object ? pool_of(object) : NULL;
    if (!pool)
        return muster__object_stale(MUSTER__POOL, OPERATION("workers"));
    *workers = pool->share.all_workers;
    return MUSTER_OK;
}
