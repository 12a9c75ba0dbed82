/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "pool/pool.h"
#include "process/process.h"
#include "queue/queue.h"
#include "sync/sync.h"

#include <muster/select.h>

/* The choices that are objects, and the tasks; either may be none. */
struct selection {
    muster_choice *choices;
    int n;
    struct muster__choice *objects;
    struct muster__arg *args;
    muster_task *tasks;
    int *object_at, *task_at; /* index among the choices */
    int *order;
    int object_count, task_count;
    struct muster__any *any;
};

static const char operation[] = "muster_select";

static const struct {
    enum muster__kind kind;
    uint32_t op, now;
} watched[] = {
    [MUSTER_CHOICE_QUEUE] = {MUSTER__QUEUE, MUSTER__QUEUE_GET, MUSTER__QUEUE_TRY_GET},
    [MUSTER_CHOICE_EVENT] = {MUSTER__EVENT, MUSTER__EVENT_WAIT, MUSTER__EVENT_WAIT},
    [MUSTER_CHOICE_SEMAPHORE] = {MUSTER__SEMAPHORE, MUSTER__SEMAPHORE_ACQUIRE, MUSTER__SEMAPHORE_ACQUIRE},
    [MUSTER_CHOICE_PROCESS] = {MUSTER__PROCESS, PROCESS_JOIN, PROCESS_JOIN},
};

static muster_err check(const muster_choice *choices, int n, const int *chosen, int64_t timeout_ms)
{
    muster_err err = MUSTER__NULL_BAD(operation, choices);
    if (!err)
        err = MUSTER__NULL_BAD(operation, chosen);
    if (!err && n < 1)
        err = muster__fail(MUSTER_ERR_INVAL, "%s: n is %d: 1 or more is allowed", operation, n);
    for (int i = 0; !err && i < n; i++) {
        if (choices[i].kind < MUSTER_CHOICE_QUEUE || choices[i].kind > MUSTER_CHOICE_TASK)
            err = muster__fail(MUSTER_ERR_INVAL, "%s: choice %d is of kind %d", operation, i, (int)choices[i].kind);
        else if (choices[i].capacity_bytes && !choices[i].item)
            err = muster__fail(MUSTER_ERR_INVAL, "%s: choice %d: item is NULL", operation, i);
        else
            err = MUSTER__SIZE_BAD(operation, choices[i].capacity_bytes);
        if (!err)
            err = MUSTER__RESERVED(operation, &choices[i]);
    }
    if (!err)
        err = muster__timeout_bad(operation, timeout_ms);
    return err ? err : muster__runtime_require(operation);
}

static void free_selection(struct selection *of)
{
    free(of->objects);
    free(of->args);
    free(of->tasks);
    free(of->object_at);
    free(of->task_at);
    free(of->order);
}

/* In any order: of several tasks that have ended each has its turn. */
static muster_err sort(struct selection *of, muster_choice *choices, int n)
{
    size_t count = (size_t)n;
    *of = (struct selection){.choices = choices,
                             .n = n,
                             .objects = calloc(count, sizeof *of->objects),
                             .args = calloc(count, sizeof *of->args),
                             .tasks = calloc(count, sizeof *of->tasks),
                             .object_at = calloc(count, sizeof *of->object_at),
                             .task_at = calloc(count, sizeof *of->task_at),
                             .order = calloc(count, sizeof *of->order)};
    if (!of->objects || !of->args || !of->tasks || !of->object_at || !of->task_at || !of->order)
        return muster__fail(MUSTER_ERR_NOMEM, "%s: out of memory", operation);
    muster__any_order(of->order, n);
    for (int at = 0; at < n; at++) {
        int i = of->order[at];
        const muster_choice *choice = &choices[i];
        if (choice->kind == MUSTER_CHOICE_TASK) {
            of->task_at[of->task_count] = i;
            of->tasks[of->task_count++] = (muster_task){choice->handle};
            continue;
        }
        int object = of->object_count++;
        of->args[object] = (struct muster__arg){.room = choice->item, .capacity = choice->capacity_bytes};
        of->object_at[object] = i;
        of->objects[object] =
            (struct muster__choice){choice->handle, watched[choice->kind].kind, watched[choice->kind].op,
                                    watched[choice->kind].now, &of->args[object]};
    }
    return MUSTER_OK;
}

static bool look(void *arg)
{
    return muster__any_look(((struct selection *)arg)->any);
}

static void announce(void *arg)
{
    muster__any_stand(((struct selection *)arg)->any);
}

static muster_err try_with_tasks(struct selection *of, int64_t *ended)
{
    bool tasks_first = of->choices[of->order[0]].kind == MUSTER_CHOICE_TASK;
    if (!tasks_first && muster__any_try(of->any))
        return MUSTER_OK;
    muster_err err = muster__tasks_wait(of->tasks, of->task_count, NULL, MUSTER_NOWAIT, ended, operation);
    return err == MUSTER_ERR_TIMEOUT && tasks_first && muster__any_try(of->any) ? MUSTER_OK : err;
}

static muster_err wait_with_tasks(struct selection *of, int64_t timeout_ms, int64_t *ended)
{
    bool tasks_first = of->choices[of->order[0]].kind == MUSTER_CHOICE_TASK;
    struct muster__beside beside = {look, announce, of, !tasks_first};
    if (timeout_ms == MUSTER_NOWAIT)
        return try_with_tasks(of, ended);
    return muster__tasks_wait(of->tasks, of->task_count, &beside, timeout_ms, ended, operation);
}

static void tell(const struct selection *of, int at, muster_err err)
{
    const struct muster__arg *arg = &of->args[at];
    muster_choice *choice = &of->choices[of->object_at[at]];
    if (choice->kind == MUSTER_CHOICE_QUEUE && (!err || err == MUSTER_ERR_TOOBIG))
        choice->size_bytes = arg->got;
    if (choice->kind == MUSTER_CHOICE_PROCESS && !err)
        choice->status = (muster_process_status){.exit_code = (int)arg->out[0], .signal = (int)arg->out[1]};
}

static muster_err wait_for_one(struct selection *of, int *chosen, int64_t timeout_ms)
{
    int64_t ended = -1;
    int at = -1;
    of->any = muster__any_begin(of->objects, of->object_count, operation, timeout_ms);
    if (!of->any)
        return MUSTER_ERR_NOMEM;
    muster_err waited = of->task_count ? wait_with_tasks(of, timeout_ms, &ended) : muster__any_wait(of->any);
    muster_err err = muster__any_end(of->any, &at);
    if (at >= 0) {
        *chosen = of->object_at[at];
        tell(of, at, err);
        return err;
    }
    if (ended >= 0)
        *chosen = of->task_at[ended];
    return waited;
}

muster_err muster_select(muster_choice *choices, int n, int *chosen, int64_t timeout_ms)
{
    struct selection of;
    muster_err err = check(choices, n, chosen, timeout_ms);
    if (err)
        return err;
    err = sort(&of, choices, n);
    if (!err)
        err = wait_for_one(&of, chosen, timeout_ms);
    free_selection(&of);
    return err == MUSTER_ERR_TIMEOUT
               ? muster__fail(err, "%s: none of %d could be done within %lld ms", operation, n, (long long)timeout_ms)
               : err;
}
