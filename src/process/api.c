/* SPDX-License-Identifier: BSD-3-Clause */
#include "process/process.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A handle of this job's that no object has any more: its process was closed. */
static bool was_closed(muster_process process)
{
    muster_handle handle = process.handle;
    return muster__segment && handle.generation && handle.job == muster__segment->job &&
           handle.kind_home >> 24 == MUSTER__PROCESS && !muster__host_lost(muster__handle_home(handle));
}

static muster_err ask(muster_process process, enum process_op op, struct muster__arg *arg, int64_t timeout_ms)
{
    muster_err err = muster__do(process.handle, MUSTER__PROCESS, op, arg, timeout_ms);
    if (MUSTER__UNLIKELY(err == MUSTER_ERR_STALE || err == MUSTER_ERR_CLOSED) && was_closed(process))
        return muster__fail(MUSTER_ERR_STATE, "%s: the process was closed",
                            muster__class_of(MUSTER__PROCESS)->ops[op].name);
    return err;
}

static muster_err check_create(const char *operation, const muster_process *process, muster_process_fn fn,
                               const void *arg, size_t size_bytes)
{
    muster_err err = MUSTER__NULL_BAD(operation, process);
    if (!err)
        err = MUSTER__NULL_BAD(operation, fn);
    if (!err && size_bytes)
        err = MUSTER__NULL_BAD(operation, arg);
    return err ? err : MUSTER__SIZE_BAD(operation, size_bytes);
}

muster_err muster_process_create(muster_process *process, muster_process_fn fn, const void *arg, size_t size_bytes,
                                 const muster_process_options *options)
{
    static const char operation[] = "muster_process_create";
    muster_on on = options ? options->on : (muster_on){0};
    int host;
    muster__function function;
    muster_err err = check_create(operation, process, fn, arg, size_bytes);
    if (!err)
        err = MUSTER__RESERVED(operation, options);
    if (!err)
        err = muster__runtime_require(operation);
    if (!err)
        err = muster__host_wanted(on, operation, &host);
    if (!err)
        err = muster__function_name((const void *)fn, &function);
    if (err)
        return err;
    if (!on.rank_plus_1)
        host = muster__host_choose();
    struct process_wanted *wanted = calloc(1, sizeof *wanted + size_bytes);
    if (!wanted)
        return muster__fail(MUSTER_ERR_NOMEM, "%s: out of memory", operation);
    *wanted = (struct process_wanted){.function = function, .rank = on.rank_plus_1 - 1};
    if (host != (int)muster__segment->host)
        wanted->module = muster__module_of(function);
    if (size_bytes)
        memcpy(wanted + 1, arg, size_bytes);
    struct muster__arg all = {.bytes = wanted, .size = sizeof *wanted + size_bytes};
    err = muster__make(MUSTER__PROCESS, host, options ? options->name : NULL, &all, operation, &process->handle);
    free(wanted);
    return err;
}

muster_err muster_process_start(muster_process process)
{
    return ask(process, PROCESS_START, &(struct muster__arg){0}, MUSTER_FOREVER);
}

muster_err muster_process_join(muster_process process, muster_process_status *status, int64_t timeout_ms)
{
    struct muster__arg arg = {0};
    muster_err err = ask(process, PROCESS_JOIN, &arg, timeout_ms);
    if (!err && status)
        *status = (muster_process_status){.exit_code = (int)arg.out[0], .signal = (int)arg.out[1]};
    return err;
}

muster_err muster_process_terminate(muster_process process)
{
    return ask(process, PROCESS_SIGNAL, &(struct muster__arg){.in = {SIGTERM}}, MUSTER_FOREVER);
}

muster_err muster_process_kill(muster_process process)
{
    return ask(process, PROCESS_SIGNAL, &(struct muster__arg){.in = {SIGKILL}}, MUSTER_FOREVER);
}

muster_err muster_process_close(muster_process process)
{
    muster_err err =
        muster__do(process.handle, MUSTER__PROCESS, PROCESS_CLOSE, &(struct muster__arg){0}, MUSTER_FOREVER);
    return err == MUSTER_ERR_STALE && was_closed(process) ? MUSTER_OK : err;
}

muster_err muster_process_get_info(muster_process process, muster_process_info *info)
{
    if (MUSTER__NULL_BAD("muster_process_get_info", info))
        return MUSTER_ERR_INVAL;
    muster_process_info found;
    struct muster__arg arg = {.room = &found, .capacity = sizeof found};
    muster_err err = ask(process, PROCESS_INFO, &arg, MUSTER_FOREVER);
    if (!err)
        *info = found;
    return err;
}

/* ---- several at once ---- */

/* The lowest index among those that have ended; OK also when it is none. */
static muster_err lowest_ended(const muster_process *processes, int n, int *first)
{
    *first = -1;
    for (int i = 0; i < n && *first < 0; i++) {
        struct muster__arg arg = {0};
        muster_err err = ask(processes[i], PROCESS_JOIN, &arg, MUSTER_NOWAIT);
        if (!err)
            *first = i;
        else if (err != MUSTER_ERR_TIMEOUT)
            return err;
    }
    return MUSTER_OK;
}

static muster_err wait_any(const muster_process *processes, int n, int *first, int64_t timeout_ms)
{
    static const char operation[] = "muster_process_wait";
    struct muster__choice *choices = calloc((size_t)n, sizeof *choices);
    struct muster__arg *args = calloc((size_t)n, sizeof *args);
    struct muster__any *any = NULL;
    muster_err err = MUSTER_ERR_NOMEM;
    for (int i = 0; choices && args && i < n; i++)
        choices[i] =
            (struct muster__choice){processes[i].handle, MUSTER__PROCESS, PROCESS_JOIN, PROCESS_JOIN, &args[i]};
    if (choices && args)
        any = muster__any_begin(choices, n, operation, timeout_ms);
    else
        muster__fail(err, "%s: out of memory", operation);
    if (any) {
        muster_err waited = muster__any_wait(any);
        err = muster__any_end(any, first);
        err = muster__would_wait(err) ? waited : err;
        if (err == MUSTER_ERR_TIMEOUT)
            muster__fail(err, "%s: none of %d has ended within %lld ms", operation, n, (long long)timeout_ms);
    }
    free(choices);
    free(args);
    return err;
}

static muster_err wait_all(const muster_process *processes, int n, int64_t timeout_ms)
{
    int64_t deadline = timeout_ms > 0 ? muster__deadline_ns(timeout_ms) : MUSTER__NEVER;
    muster_err err = MUSTER_OK;
    for (int i = 0; i < n && !err; i++) {
        struct muster__arg arg = {0};
        int64_t left = timeout_ms <= 0 ? timeout_ms : muster__left_ms(deadline);
        err = ask(processes[i], PROCESS_JOIN, &arg, left);
    }
    return err;
}

muster_err muster_process_wait(const muster_process *processes, int n, bool all, int *first, int64_t timeout_ms)
{
    int found = -1;
    static const char operation[] = "muster_process_wait";
    if (n < 0)
        return muster__fail(MUSTER_ERR_INVAL, "%s: n is %d", operation, n);
    muster_err err = n ? MUSTER__NULL_BAD(operation, processes) : MUSTER_OK;
    if (!err)
        err = muster__timeout_bad(operation, timeout_ms);
    if (!err)
        err = muster__runtime_require(operation);
    if (err)
        return err;
    if (n && all)
        err = wait_all(processes, n, timeout_ms);
    else if (n)
        err = wait_any(processes, n, &found, timeout_ms);
    if (!err && n)
        err = lowest_ended(processes, n, &found);
    if (!err && first)
        *first = found;
    return err;
}
