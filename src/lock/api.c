/* SPDX-License-Identifier: BSD-3-Clause */
#include "lock/lock.h"

static muster_err __attribute__((cold, noinline))
failed(muster_handle lock, const struct muster__proxy *proxy, const char *operation, muster_err err)
{
    if (muster__is_remote(lock, MUSTER__LOCK)) {
        if (err == MUSTER_ERR_STALE)
            return muster__gone(lock, operation);
        if (err == MUSTER_ERR_CLOSED && muster__host_lost(muster__handle_home(lock)))
            return muster__gone(lock, operation);
    }
    muster_handle here = lock;
    if (proxy)
        here = muster__handle_make(MUSTER__LOCK, muster__object_slot_of(proxy->object), proxy->generation);
    return muster__failed(here, operation, err);
}

/* ---- what this thread used last of other hosts' locks. Whoever ends a proxy changes its word's generation ---- */

static MUSTER__THREAD_LOCAL struct {
    muster_handle lock;
    struct muster__proxy proxy;
} last;

static inline bool is_last(muster_handle lock)
{
    return lock.slot == last.lock.slot && lock.generation == last.lock.generation &&
           lock.kind_home == last.lock.kind_home && lock.job == last.lock.job;
}

/* noinline, here and below: inlined, they have the handle go through memory on the fast path. */
static muster_err __attribute__((noinline)) look_up(muster_handle lock, const char *operation)
{
    struct muster__proxy proxy;
    muster_err err =
        muster__self_number() ? muster__token_proxy(lock, &proxy) : muster__object_stale(MUSTER__LOCK, operation);
    if (err)
        return err;
    last.lock = lock;
    last.proxy = proxy;
    return MUSTER_OK;
}

/* A lock that another host has cached is free if nobody uses it there: home knows, or finds out. */
static muster_err __attribute__((noinline)) try_at_home(muster_handle lock)
{
    struct muster__arg arg = {0};
    return muster__do(lock, MUSTER__LOCK, MUSTER__LOCK_TRY, &arg, MUSTER_NOWAIT);
}

static muster_err __attribute__((noinline))
acquire_away(muster_handle lock, uint32_t self, int64_t timeout_ms, const char *operation)
{
    struct muster__proxy proxy = last.proxy;
    bool here = atomic_load(&muster__lock_of(proxy.object)->here);
    muster_err err = muster__lock_acquire_slow(proxy.object, proxy.generation, self, timeout_ms);
    if (err == MUSTER_ERR_BUSY && !here) {
        err = try_at_home(lock);
        if (muster__commits(err))
            err = muster__lock_acquire_slow(proxy.object, proxy.generation, self, MUSTER_NOWAIT);
        else
            return err;
    }
    if (err == MUSTER_ERR_STALE)
        last.lock = (muster_handle){0};
    return err ? failed(lock, &proxy, operation, err) : MUSTER_OK;
}

static inline muster_err get_away(muster_handle lock, uint32_t self, int64_t timeout_ms, const char *operation)
{
    muster_err err = MUSTER_OK;
    if (MUSTER__UNLIKELY(!is_last(lock) || !self))
        err = look_up(lock, operation);
    if (MUSTER__UNLIKELY(err))
        return err;
    struct muster__lock *body = muster__lock_of(last.proxy.object);
    if (muster__lock_acquire_fast(body, last.proxy.generation, self)) {
        if (MUSTER__LIKELY(atomic_load_explicit(&body->here, memory_order_acquire) == MUSTER__LOCK_HERE))
            return MUSTER_OK;
        muster__lock_release(last.proxy.object, last.proxy.generation, self);
    }
    return acquire_away(lock, self, timeout_ms, operation);
}

static muster_err __attribute__((noinline)) put_away(muster_handle lock, uint32_t self, const char *operation)
{
    struct muster__proxy proxy;
    struct muster__arg arg = {0};
    if (!self || !muster__token_find(lock, &proxy)) /* home says what is wrong */
        return muster__do(lock, MUSTER__LOCK, MUSTER__LOCK_RELEASE, &arg, MUSTER_NOWAIT);
    muster_err err = muster__lock_release(proxy.object, proxy.generation, self);
    return err ? failed(lock, &proxy, operation, err) : MUSTER_OK;
}

/* ---- locks of this host ---- */

static muster_err __attribute__((noinline)) acquire_here(muster_handle lock, struct muster__object *object,
                                                         uint32_t self, int64_t timeout_ms, const char *operation)
{
    muster_err err = muster__lock_acquire_slow(object, lock.generation, self, timeout_ms);
    uint64_t word = atomic_load(&muster__lock_of(object)->word);
    if (err == MUSTER_ERR_BUSY && muster__owner_is_host((uint32_t)(word & MUSTER__LOCK_OWNER)))
        return try_at_home(lock);
    return err ? failed(lock, NULL, operation, err) : MUSTER_OK;
}

static inline muster_err get_here(muster_handle lock, uint32_t self, int64_t timeout_ms, const char *operation)
{
    struct muster__object *object = muster__object_find(lock, MUSTER__LOCK);
    if (MUSTER__UNLIKELY(!object || !self))
        return muster__object_stale(MUSTER__LOCK, operation);
    if (muster__lock_acquire_fast(muster__lock_of(object), lock.generation, self))
        return MUSTER_OK;
    return acquire_here(lock, object, self, timeout_ms, operation);
}

static inline muster_err put_here(muster_handle lock, uint32_t self, const char *operation)
{
    struct muster__object *object = muster__object_find(lock, MUSTER__LOCK);
    if (MUSTER__UNLIKELY(!object || !self))
        return muster__object_stale(MUSTER__LOCK, operation);
    muster_err err = muster__lock_release(object, lock.generation, self);
    return MUSTER__LIKELY(err == MUSTER_OK) ? MUSTER_OK : failed(lock, NULL, operation, err);
}

/* ---- for what is built on locks ---- */

muster_err muster__lock_end(muster_handle lock)
{
    struct muster__arg arg = {0};
    muster_err err = muster__do(lock, MUSTER__LOCK, MUSTER__LOCK_DESTROY, &arg, MUSTER_FOREVER);
    muster__wake_rung(); /* by a holder that releases it no more */
    if (!err && muster_hosts() > 1)
        muster__token_end(lock, (uint64_t)arg.out[0]);
    return err;
}

/* What most locks are: at home here, and not counted. It calls nothing, so that nothing is to be saved for it. */
static inline struct muster__object *plain(muster_handle lock)
{
    if (MUSTER__UNLIKELY(!muster__handle_fits(lock, MUSTER__LOCK) || muster__observed() || !muster__self_state.number))
        return NULL;
    struct muster__object *object = muster__object_slot(lock.slot);
    return MUSTER__LIKELY(muster__object_is(object, MUSTER__LOCK, lock.generation)) ? object : NULL;
}

static muster_err get_anywhere(muster_handle lock, int64_t timeout_ms, const char *operation)
{
    if (muster__is_remote(lock, MUSTER__LOCK))
        return get_away(lock, muster__self_number(), timeout_ms, operation);
    return get_here(lock, muster__self_number(), timeout_ms, operation);
}

static muster_err __attribute__((noinline)) get(muster_handle lock, int64_t timeout_ms, const char *operation)
{
    muster__count(lock);
    if (timeout_ms < MUSTER_FOREVER)
        return muster__timeout_refused(operation, timeout_ms);
    if (!muster__self_number() || !muster__orders())
        return get_anywhere(lock, timeout_ms, operation);
    if (timeout_ms == MUSTER_FOREVER)
        muster__order_wants(lock);
    muster_err err = get_anywhere(lock, timeout_ms, operation);
    if (muster__commits(err))
        muster__order_has(lock);
    return err;
}

muster_err muster__lock_get(muster_handle lock, int64_t timeout_ms, const char *operation)
{
    struct muster__object *object = plain(lock);
    if (MUSTER__LIKELY(object && timeout_ms >= MUSTER_FOREVER &&
                       muster__lock_acquire_fast(muster__lock_of(object), lock.generation, muster__self_state.number)))
        return MUSTER_OK;
    return get(lock, timeout_ms, operation);
}

static muster_err put_anywhere(muster_handle lock, const char *operation)
{
    muster__count(lock);
    if (muster__self_number() && muster__orders())
        muster__order_leaves(lock);
    if (muster__is_remote(lock, MUSTER__LOCK)) {
        uint32_t self = muster__self_number();
        if (MUSTER__LIKELY(is_last(lock) && self) &&
            MUSTER__LIKELY(muster__lock_release_fast(last.proxy.object, last.proxy.generation, self)))
            return MUSTER_OK;
        return put_away(lock, self, operation);
    }
    return put_here(lock, muster__self_number(), operation);
}

static muster_err __attribute__((noinline)) put(muster_handle lock, const char *operation)
{
    muster_err err = put_anywhere(lock, operation);
    muster__wake_rung();
    return err;
}

muster_err muster__lock_put(muster_handle lock, const char *operation)
{
    struct muster__object *object = plain(lock);
    if (MUSTER__LIKELY(object && muster__lock_release_fast(object, lock.generation, muster__self_state.number))) {
        muster__wake_rung();
        return MUSTER_OK;
    }
    return put(lock, operation);
}

struct muster__lock *muster__lock_mine(muster_handle lock)
{
    struct muster__proxy proxy = {muster__object_find(lock, MUSTER__LOCK), lock.generation};
    uint32_t self = muster__self_number();
    if (muster__is_remote(lock, MUSTER__LOCK) && !muster__token_find(lock, &proxy))
        return NULL;
    if (!proxy.object || !self)
        return NULL;
    struct muster__lock *body = muster__lock_of(proxy.object);
    uint64_t word = atomic_load(&body->word);
    return word >> 32 == proxy.generation && (word & MUSTER__LOCK_OWNER) == self ? body : NULL;
}

/* ---- public ---- */

muster_err muster_lock_create(muster_lock *lock, const muster_lock_options *options)
{
    return muster__create(MUSTER__LOCK, "muster_lock_create", options, &(struct muster__arg){0},
                          lock ? &lock->handle : NULL);
}

muster_err muster_lock_destroy(muster_lock lock)
{
    return muster__lock_end(lock.handle);
}

muster_err muster_lock_acquire(muster_lock lock, int64_t timeout_ms)
{
    return muster__lock_get(lock.handle, timeout_ms, "muster_lock_acquire");
}

muster_err muster_lock_release(muster_lock lock)
{
    return muster__lock_put(lock.handle, "muster_lock_release");
}
