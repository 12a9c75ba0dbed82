#include "lock/lock.h"

#include <stdio.h>

#include "remote/remote.h"

static void describe(muster_err err, const char *operation, uint64_t slot, char *line, size_t size)
{
    char name[64];
    muster__object_describe(muster__object_slot((uint32_t)slot), name, sizeof name);
    uint64_t word = atomic_load(&muster__lock_of(muster__object_slot((uint32_t)slot))->word);
    const char *remedy = "";
    switch (err) {
    case MUSTER_ERR_DEADLOCK:
        remedy = "; this thread holds it already: release it first";
        break;
    case MUSTER_ERR_STATE:
        remedy = "; this thread does not hold it";
        break;
    case MUSTER_ERR_OWNER_DEAD:
        remedy = "; check what it guards";
        break;
    case MUSTER_ERR_BUSY:
    case MUSTER_ERR_TIMEOUT:
        remedy = "; hold it shorter or wait longer";
        break;
    }
    snprintf(line, size, "%s: %s: %s (now held by caller %u)%s", name, operation, muster_err_text(err),
             (unsigned)(word & MUSTER__LOCK_OWNER), remedy);
}

static muster_err __attribute__((cold, noinline)) failed(muster_err err, const char *operation, muster_lock lock)
{
    if (err == MUSTER_ERR_STALE)
        return muster__object_stale(MUSTER__LOCK, operation);
    if (err == MUSTER_ERR_INTERRUPTED)
        return err;
    return muster__routine(err, describe, operation, lock.handle.slot);
}

/* ---- on locks of this host ---- */

static muster_err destroy_here(muster_lock lock)
{
    struct muster__object *object = muster__object_find(lock.handle, MUSTER__LOCK);
    uint64_t hosts;
    if (!object || !muster__lock_destroy(object, lock.handle.generation, &hosts))
        return muster__object_stale(MUSTER__LOCK, "muster_lock_destroy");
    muster__token_end(lock.handle, hosts);
    return MUSTER_OK;
}

static inline muster_err acquire_here(muster_lock lock, uint32_t self, int64_t timeout_ms)
{
    struct muster__object *object = muster__object_find(lock.handle, MUSTER__LOCK);
    if (MUSTER__UNLIKELY(!object || !self))
        return muster__object_stale(MUSTER__LOCK, "muster_lock_acquire");
    muster_err err = muster__lock_acquire(muster__lock_of(object), lock.handle.generation, self, timeout_ms);
    if (MUSTER__UNLIKELY(err == MUSTER_ERR_BUSY))
        err = muster__token_try(lock.handle, muster__lock_of(object), self);
    return MUSTER__LIKELY(err == MUSTER_OK) ? MUSTER_OK : failed(err, "muster_lock_acquire", lock);
}

static inline muster_err release_here(muster_lock lock, uint32_t self)
{
    struct muster__object *object = muster__object_find(lock.handle, MUSTER__LOCK);
    if (MUSTER__UNLIKELY(!object || !self))
        return muster__object_stale(MUSTER__LOCK, "muster_lock_release");
    muster_err err = muster__lock_release(muster__lock_of(object), lock.handle.generation, self);
    return MUSTER__LIKELY(err == MUSTER_OK) ? MUSTER_OK : failed(err, "muster_lock_release", lock);
}

/* ---- public ---- */

muster_err muster_lock_create(muster_lock *lock, const muster_lock_options *options)
{
    static const char operation[] = "muster_lock_create";
    int host;
    muster_err err = muster__runtime_require(operation);
    if (err == MUSTER_OK)
        err = MUSTER__RESERVED(operation, options);
    if (err == MUSTER_OK)
        err = muster__host_wanted(options ? options->on : (muster_on){0}, operation, &host);
    if (err != MUSTER_OK)
        return err;
    if (host != (int)muster__segment->host)
        return muster__token_make(host, options->name, operation, &lock->handle);
    err = muster__lock_create(options ? options->name : NULL, muster__self_number(), &lock->handle);
    if (err == MUSTER_OK)
        muster__count(lock->handle);
    return err;
}

muster_err muster_lock_destroy(muster_lock lock)
{
    muster__count(lock.handle);
    if (muster__is_remote(lock.handle, MUSTER__LOCK))
        return muster__token_destroy(lock.handle);
    return destroy_here(lock);
}

muster_err muster_lock_acquire(muster_lock lock, int64_t timeout_ms)
{
    muster__count(lock.handle);
    if (MUSTER__UNLIKELY(muster__is_remote(lock.handle, MUSTER__LOCK)))
        return muster__token_acquire(lock.handle, muster__self_number(), timeout_ms);
    return acquire_here(lock, muster__self_number(), timeout_ms);
}

muster_err muster_lock_release(muster_lock lock)
{
    muster__count(lock.handle);
    if (MUSTER__UNLIKELY(muster__is_remote(lock.handle, MUSTER__LOCK)))
        return muster__token_release(lock.handle, muster__self_number());
    return release_here(lock, muster__self_number());
}
