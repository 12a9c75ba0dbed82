/* SPDX-License-Identifier: BSD-3-Clause */
#include "lock/lock.h"
#include "sync/sync.h"

#include <muster/rlock.h>

/* A lock whose depth its owner counts. Nobody else touches that but who sweeps the dead. */

muster_err muster_rlock_create(muster_rlock *lock, const muster_object_options *options)
{
    return muster__create(MUSTER__LOCK, "muster_rlock_create", options, &(struct muster__arg){0},
                          lock ? &lock->handle : NULL);
}

muster_err muster_rlock_destroy(muster_rlock lock)
{
    return muster__lock_end(lock.handle);
}

muster_err muster_rlock_acquire(muster_rlock lock, int64_t timeout_ms)
{
    static const char operation[] = "muster_rlock_acquire";
    muster_err err = muster__timeout_bad(operation, timeout_ms);
    struct muster__lock *mine = err ? NULL : muster__lock_mine(lock.handle);
    if (!mine)
        return err ? err : muster__lock_get(lock.handle, timeout_ms, operation);
    mine->depth++;
    return MUSTER_OK;
}

muster_err muster_rlock_release(muster_rlock lock)
{
    struct muster__lock *mine = muster__lock_mine(lock.handle);
    if (!mine || !mine->depth)
        return muster__lock_put(lock.handle, "muster_rlock_release");
    mine->depth--;
    return MUSTER_OK;
}
