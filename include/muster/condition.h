/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Condition: what holders of a lock wait for, giving the lock up meanwhile, until another holder notifies them.
 */
#ifndef MUSTER_CONDITION_H
#define MUSTER_CONDITION_H

#include <muster/lock.h>
#include <muster/rlock.h>

#ifdef __cplusplus
extern "C" {
#endif

/** With the lock that it belongs to. */
typedef struct muster_condition {
    muster_handle handle, lock;
} muster_condition;

/* Each of these: Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any. */
/** Makes a condition of that lock, at home where it is. name: shown in messages; NULL: none. Errors: STALE (no such
 * lock), NOMEM, PEER, STATE (before muster_init). */
MUSTER_API muster_err muster_condition_create(muster_condition *condition, muster_lock lock, const char *name);
#define muster_condition_create(...) MUSTER_SITED(muster_condition_create, __VA_ARGS__)
MUSTER_API muster_err muster_condition_create_rlock(muster_condition *condition, muster_rlock lock, const char *name);
#define muster_condition_create_rlock(...) MUSTER_SITED(muster_condition_create_rlock, __VA_ARGS__)
/** Ends it, not its lock; who waits for it gets err CLOSED, later uses get err STALE. Errors: STALE, PEER. */
MUSTER_API muster_err muster_condition_destroy(muster_condition condition);
#define muster_condition_destroy(...) MUSTER_SITED(muster_condition_destroy, __VA_ARGS__)

/**
 * Gives the lock up, waits until notified, and acquires the lock again; however it ends but for STALE, PEER,
 * CLOSED and DEADLOCK of the lock, the caller holds the lock as before (an rlock: as often). What is waited for should
 * be looked at again then: a process that died while it used the condition has all who wait return MUSTER_OK. Errors:
 * STATE (the caller does not hold the lock), TIMEOUT (not notified in time; getting the lock again may take longer),
 * OWNER_DEAD (the lock's last holder died, whether notified or not), CLOSED (the condition was destroyed), STALE, PEER,
 * INTERRUPTED. Threads: any. In tasks: yes. Blocks: up to timeout_ms, and for the lock. Hosts: any.
 */
MUSTER_API muster_err muster_condition_wait(muster_condition condition, int64_t timeout_ms);
#define muster_condition_wait(...) MUSTER_SITED(muster_condition_wait, __VA_ARGS__)

/**
 * Waits until holds(arg), which is called while the lock is held, at once and each time that it was notified. Errors:
 * as muster_condition_wait.
 * Threads: any. In tasks: yes. Blocks: up to timeout_ms, and for the lock. Hosts: any.
 */
MUSTER_API muster_err muster_condition_wait_for(muster_condition condition, bool (*holds)(void *arg), void *arg,
                                                int64_t timeout_ms);
#define muster_condition_wait_for(...) MUSTER_SITED(muster_condition_wait_for, __VA_ARGS__)

/* Each of these: Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any. */
/** Has at most n > 0 of those go on who wait, who waits longest first; *notified (may be NULL): so many. Errors: STATE
 * (the caller does not hold the lock), STALE, PEER. */
MUSTER_API muster_err muster_condition_notify(muster_condition condition, int64_t n, int64_t *notified);
#define muster_condition_notify(...) MUSTER_SITED(muster_condition_notify, __VA_ARGS__)
/** The same, of all who wait. */
MUSTER_API muster_err muster_condition_notify_all(muster_condition condition, int64_t *notified);
#define muster_condition_notify_all(...) MUSTER_SITED(muster_condition_notify_all, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
