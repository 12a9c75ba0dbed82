/* SPDX-License-Identifier: BSD-3-Clause */
#include "sched/sched.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static MUSTER__THREAD_LOCAL struct {
    char fail_text[160];
    struct muster_task_error last;
    int64_t calls;
} report;

int64_t run_calls(void)
{
    return report.calls;
}

void run_called(int64_t times)
{
    report.calls += times;
}

int muster_task_fail(int code, const char *format, ...)
{
    va_list args;
    report.fail_text[0] = '\0';
    if (!format)
        return code;
    va_start(args, format);
    vsnprintf(report.fail_text, sizeof report.fail_text, format, args);
    va_end(args);
    return code;
}

int muster_task_worker(void)
{
    return muster__running ? muster__running->worker : -1;
}

int64_t muster_task_index(void)
{
    return muster__running ? muster__running->index : -1;
}

muster_pool muster_task_pool(void)
{
    const struct pool *pool = muster__running ? muster__running->pool : NULL;
    return pool ? (muster_pool){pool_home_handle(pool)} : (muster_pool){{0}};
}

const muster_task_error *muster_pool_last_error(void)
{
    return &report.last;
}

int run_call(const struct seat *seat, const struct calling *calling, const void *item, void *result, const void *user)
{
    struct muster__running *outer = muster__running,
                           running = {.what = calling->what,
                                      .index = calling->index,
                                      .function = calling->name,
                                      .worker = pool_worker_number(seat->pool, seat->lane->index),
                                      .object = muster__object_slot(seat->pool->slot)->name,
                                      .pool = seat->pool,
                                      .group = calling->group,
                                      .any = calling->any};
    muster__running = &running;
    report.fail_text[0] = '\0';
    report.calls++;
    int code = calling->function(item, result, user);
    muster__running = outer;
    return code;
}

void run_error_fill(struct muster_task_error *error, int worker, muster_err err, int code, int64_t index,
                    muster__function function)
{
    *error = (struct muster_task_error){.err = err,
                                        .code = code,
                                        .index = index,
                                        .worker = worker,
                                        .rank = muster__member_rank(muster__member_self()),
                                        .failed = 1};
    snprintf(error->host, sizeof error->host, "%s", muster__host_name());
    muster__function_describe(function, error->function, sizeof error->function);
    memcpy(error->text, report.fail_text, sizeof error->text);
}

static void fail(const struct seat *seat, struct record *record, uint32_t index, muster_err err, int code)
{
    struct extra *extra = record_extra(seat->pool, record, seat->self);
    if (extra)
        run_error_fill(&extra->error, pool_worker_number(seat->pool, seat->lane->index), err, code, record->number,
                       record->function);
    sched_finish(seat->pool, record, index, RECORD_FAILED, seat->lane);
}

void run_ended(const struct seat *seat, struct record *record, uint32_t index, int code)
{
    if (MUSTER__UNLIKELY(record->extra) && code == 0)
        any_commit(record);
    if (MUSTER__LIKELY(code == 0))
        sched_finish(seat->pool, record, index, RECORD_DONE, seat->lane);
    else
        fail(seat, record, index, MUSTER_ERR_TASK, code);
}

void run_task(const struct seat *seat, struct record *record, uint32_t index)
{
    void *pointer;
    if (MUSTER__UNLIKELY(record->next && group_is_canceled(seat->pool, record->next))) {
        sched_finish(seat->pool, record, index, RECORD_CANCELED, seat->lane);
        return;
    }
    if (MUSTER__UNLIKELY(record->extra) && follow_refuse(seat, record, index))
        return;
    muster_err err = muster__function_find(record->function, &pointer);
    if (MUSTER__UNLIKELY(err)) {
        snprintf(report.fail_text, sizeof report.fail_text, "%.150s", muster_err_detail());
        fail(seat, record, index, err, 0);
        return;
    }
    struct extra *extra = record->extra ? muster__heap_at(record->extra) : NULL;
    muster__ref user = extra && extra->user ? extra->user : seat->pool->user;
    void *result = record_result(record);
    if (result)
        memset(result, 0, record->result_bytes);
    bool limited = extra && extra->time_limit_ms > 0;
    if (limited)
        muster__child_limit(muster__member_self(), muster__deadline_ns(extra->time_limit_ms));
    uint64_t memory_limit = extra && extra->memory_limit ? extra->memory_limit : seat->pool->memory_limit;
    struct muster__memory memory = muster__memory;
    muster__memory_begin(memory_limit);
    struct any_task any = any_of_task(seat, record);
    struct calling calling = {(muster_task_fn)pointer, record->function, "task",
                              record->number,          record->next,     &any.any};
    int code = run_call(seat, &calling, record_arg(record), result, user ? muster__heap_at(user) : NULL);
    muster__memory_back(memory);
    if (limited)
        muster__child_limit(muster__member_self(), MUSTER__NEVER);
    muster__count_tasks(pool_home_handle(seat->pool), 1);
    run_ended(seat, record, index, code);
}

muster_err run_report(const struct muster_task_error *error, const char *operation)
{
    report.last = *error;
    char what[80];
    switch (error->err) {
    case MUSTER_ERR_CRASHED:
        snprintf(what, sizeof what, "its worker was killed by signal %d (%s)", error->code, strsignal(error->code));
        break;
    case MUSTER_ERR_TASK:
        snprintf(what, sizeof what, "it returned %d", error->code);
        break;
    default:
        snprintf(what, sizeof what, "%s", muster_err_text(error->err));
    }
    return muster__fail(error->err, "%s: task %lld (%s) on worker %d, rank %d, host %s: %s%s%s", operation,
                        (long long)error->index, error->function, error->worker, error->rank, error->host, what,
                        error->text[0] ? ": " : "", error->text);
}
