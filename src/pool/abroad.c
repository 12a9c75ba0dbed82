/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/abroad.h"

#include <string.h>

/* Tasks and groups of other hosts, by who has the handle. */

enum { POOLS_MAX = 16 }; /* that one thread works for while it waits here; of the others it waits for itself */

/* ---- their pool ---- */

/* A task's handle has the lower half of its pool's generation, which is all of it until the slot was used 65,535 times:
 * then home is asked, once. */
static MUSTER__THREAD_LOCAL struct {
    uint32_t kind_home, job;
    muster_handle pool;
} named;

static bool is_named(muster_handle handle)
{
    return named.pool.generation && named.kind_home == handle.kind_home && named.job == handle.job;
}

muster_handle abroad_pool(muster_handle handle)
{
    if (is_named(handle))
        return named.pool;
    return (muster_handle){.kind_home = (uint32_t)MUSTER__POOL << 24 | (handle.kind_home & 0xffffff),
                           .slot = handle.job >> 16,
                           .generation = handle.job & 0xffff,
                           .job = muster__segment->job};
}

static muster_err errand(muster_handle handle, uint32_t operation, const void *bytes, size_t size, void *reply,
                         size_t capacity, const char *what)
{
    struct muster__call call = {.object = muster__host_handle(muster__handle_home(handle), MUSTER__POOL),
                                .operation = operation,
                                .errand = true,
                                .bytes = bytes,
                                .size = size,
                                .reply = reply,
                                .capacity = capacity};
    return muster__remote_call(&call, what);
}

/* After the pool was not found by the handle that abroad_pool gives. True: by now that is another one. */
static bool is_renamed(muster_handle handle, const char *operation)
{
    muster_handle before = abroad_pool(handle), pool;
    named.pool.generation = 0;
    if (errand(handle, POOL_NAME, &handle, sizeof handle, &pool, sizeof pool, operation))
        return false;
    named.kind_home = handle.kind_home;
    named.job = handle.job;
    named.pool = pool;
    return !same_words(pool, before);
}

/* An object that has ended is CLOSED for who waited. */
static bool not_found(muster_err err)
{
    return err == MUSTER_ERR_STALE || err == MUSTER_ERR_CLOSED;
}

static struct muster__arg arg_of(muster_handle handle)
{
    return (struct muster__arg){.in = {(int64_t)((uint64_t)handle.generation << 32 | handle.slot)}};
}

static muster_err ask_pool(muster_handle handle, uint32_t op, struct muster__arg *arg, int64_t timeout_ms,
                           const char *operation)
{
    muster_err err = muster__do(abroad_pool(handle), MUSTER__POOL, op, arg, timeout_ms);
    if (not_found(err) && is_renamed(handle, operation))
        err = muster__do(abroad_pool(handle), MUSTER__POOL, op, arg, timeout_ms);
    return not_found(err) ? task_stale(operation) : err;
}

/* ---- whether they have ended ---- */

static enum abroad_end end_of(muster_err err, const struct muster__arg *arg, muster_err *why)
{
    if (!err)
        return arg->out[0] == RECORD_DONE ? ABROAD_DONE : ABROAD_FAILED;
    if (muster__would_wait(err) || err == MUSTER_ERR_TIMEOUT)
        return ABROAD_OPEN;
    if (err == MUSTER_ERR_PEER) /* as a get says, too */
        return ABROAD_FAILED;
    *why = err;
    return not_found(err) ? ABROAD_STALE : ABROAD_LOST;
}

static muster_err begin(muster_handle handle, struct abroad_watch *watch)
{
    struct muster__arg arg = arg_of(handle);
    arg.in[1] = watch->gets;
    muster_err err =
        muster__watch_begin(abroad_pool(handle), watch->of_group ? POOL_GROUP_ENDED : POOL_ENDED, &arg, &watch->asked);
    return err ? err : (muster_err)MUSTER__WAIT;
}

static muster_err answer_of(muster_handle handle, struct abroad_watch *watch, struct muster__arg *arg,
                            const char *operation)
{
    if (!watch->asked)
        return begin(handle, watch);
    muster_err answer = muster__watch_end(watch->asked, arg);
    if (muster__would_wait(answer))
        return answer;
    watch->asked = 0;
    if (!not_found(answer) || watch->again)
        return answer;
    watch->again = true;
    return is_renamed(handle, operation) ? begin(handle, watch) : answer;
}

enum abroad_end abroad_look(muster_handle handle, struct abroad_watch *watch, const char *operation, muster_err *err)
{
    struct muster__arg arg = {0};
    return end_of(answer_of(handle, watch, &arg, operation), &arg, err);
}

enum abroad_end abroad_look_once(muster_handle handle, const char *operation, muster_err *err)
{
    struct muster__arg arg = arg_of(handle);
    return end_of(ask_pool(handle, POOL_ENDED, &arg, MUSTER_NOWAIT, operation), &arg, err);
}

void abroad_look_no_more(struct abroad_watch *watch)
{
    if (watch->asked)
        muster__watch_leave(watch->asked);
    watch->asked = 0;
}

/* ---- waiting for one, at work ---- */

struct wait {
    muster_handle handle;
    struct abroad_watch watch;
    const char *operation;
    enum abroad_end end;
    muster_err err;
};

static bool is_over(void *arg)
{
    struct wait *wait = arg;
    if (wait->end == ABROAD_OPEN)
        wait->end = abroad_look(wait->handle, &wait->watch, wait->operation, &wait->err);
    return wait->end != ABROAD_OPEN;
}

static muster_err wait_at_work(struct wait *wait, const muster_handle *pools, int n, int64_t deadline_ns)
{
    muster_err err =
        sched_wait_in(pools, n, &(struct wait_for){.over = is_over, .arg = wait, .deadline_ns = deadline_ns});
    abroad_look_no_more(&wait->watch);
    if (err || wait->end != ABROAD_LOST)
        return err;
    return wait->err;
}

/* ---- get ---- */

static muster_err hand_out(struct muster__arg *arg, void *result)
{
    const char *operation = "muster_task_get";
    const void *bytes = arg->room_block ? muster__heap_at(arg->room_block) : NULL;
    muster_task_error error;
    bool told = arg->out[0] == RECORD_FAILED && bytes && arg->got == sizeof error;
    if (told)
        memcpy(&error, bytes, sizeof error);
    if (arg->out[0] == RECORD_DONE && bytes)
        memcpy(result, bytes, arg->got);
    muster__heap_free(arg->room_block, muster__self_state.number);
    if (arg->out[0] == RECORD_DONE)
        return MUSTER_OK;
    if (told)
        return run_report(&error, operation);
    if (arg->out[0] == RECORD_CANCELED)
        return muster__fail(MUSTER_ERR_CANCELED, "%s: task %lld was canceled", operation, (long long)arg->out[1]);
    return muster__fail(MUSTER_ERR_TASK, "%s: task %lld failed; no memory was left for details", operation,
                        (long long)arg->out[1]);
}

/* *got: the error is the task's own, which has a TIMEOUT, too. */
static muster_err get(muster_task task, void *result, size_t capacity, int64_t timeout_ms, bool *got)
{
    const char *operation = "muster_task_get";
    struct muster__arg arg = arg_of(task.handle);
    arg.in[1] = (int64_t)capacity;
    arg.capacity = capacity > sizeof(muster_task_error) ? capacity : sizeof(muster_task_error);
    arg.takes_block = true;
    muster_err err = ask_pool(task.handle, POOL_GET, &arg, timeout_ms, operation);
    *got = !err;
    if (!err)
        return hand_out(&arg, result);
    if (err == MUSTER_ERR_TOOBIG)
        return muster__fail(err, "%s: the result has %zu B, the buffer %zu", operation, arg.got, capacity);
    if (err == MUSTER_ERR_TIMEOUT)
        return muster__fail(err, "%s: the task of host %s has not ended within %lld ms; get it again later", operation,
                            muster__host_name_of(muster__handle_home(task.handle)), (long long)timeout_ms);
    return err;
}

static muster_err get_at_work(muster_task task, void *result, size_t capacity, int64_t timeout_ms,
                              const muster_handle *pools, int n)
{
    int64_t deadline = muster__deadline_ns(timeout_ms);
    bool got = false;
    muster_err err;
    do {
        struct wait wait = {.handle = task.handle, .watch = {.gets = true}, .operation = "muster_task_get"};
        err = wait_at_work(&wait, pools, n, deadline);
        int64_t left = timeout_ms == MUSTER_FOREVER ? MUSTER_NOWAIT : muster__left_ms(deadline);
        if (!err || err == MUSTER_ERR_TIMEOUT) /* a last look says why */
            err = get(task, result, capacity, err ? MUSTER_NOWAIT : left, &got);
        /* again: somebody else was faster, and gave it back */
    } while (err == MUSTER_ERR_TIMEOUT && !got && timeout_ms == MUSTER_FOREVER);
    return err;
}

muster_err abroad_get(muster_task task, void *result, size_t capacity, int64_t timeout_ms)
{
    muster_handle pools[POOLS_MAX];
    bool got;
    int n = timeout_ms != MUSTER_NOWAIT ? seat_works(pools, POOLS_MAX) : 0;
    return n ? get_at_work(task, result, capacity, timeout_ms, pools, n)
             : get(task, result, capacity, timeout_ms, &got);
}

/* ---- groups ---- */

static muster_err outcome_of(muster_group group)
{
    struct outcome outcome;
    const char *operation = "muster_group_wait";
    muster_err err = errand(group.handle, POOL_OUTCOME, &group, sizeof group, &outcome, sizeof outcome, operation);
    if (err)
        return err;
    if (outcome.error.err)
        return run_report(&outcome.error, operation);
    return outcome.err ? muster__fail(outcome.err, "%s", outcome.text) : MUSTER_OK;
}

muster_err abroad_group_wait(muster_group group, int64_t timeout_ms)
{
    const char *operation = "muster_group_wait";
    muster_handle pools[POOLS_MAX];
    struct muster__arg arg = arg_of(group.handle);
    struct wait wait = {.handle = group.handle, .watch = {.of_group = true}, .operation = operation};
    int n = timeout_ms != MUSTER_NOWAIT ? seat_works(pools, POOLS_MAX) : 0;
    muster_err err = n ? wait_at_work(&wait, pools, n, muster__deadline_ns(timeout_ms))
                       : ask_pool(group.handle, POOL_GROUP_ENDED, &arg, timeout_ms, operation);
    if (err == MUSTER_ERR_TIMEOUT)
        return muster__fail(err, "%s: tasks of the group have not ended within %lld ms", operation,
                            (long long)timeout_ms);
    return err ? err : outcome_of(group);
}

/* ---- what takes no time ---- */

muster_err abroad_ask(muster_handle handle, enum abroad_question question, uint64_t *answer, const char *operation)
{
    struct question asked = {handle, question};
    uint64_t answered;
    muster_err err = errand(handle, question == ABROAD_KILL ? POOL_KILL_TASK : POOL_ASK, &asked, sizeof asked,
                            &answered, sizeof answered, operation);
    if (!err && answer)
        *answer = answered;
    return err;
}
