/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/abroad.h"

#include <stdio.h>
#include <string.h>

/*
 * What other hosts ask of tasks and groups that are at home here: see abroad.h. By the agent, but for what kills a
 * worker, which may be one of another host.
 */

static muster_task task_named(const struct muster__step *step)
{
    uint64_t ref = (uint64_t)step->arg->in[0];
    return (muster_task){{.slot = (uint32_t)ref, .generation = (uint32_t)(ref >> 32)}};
}

static struct record *record_named(const struct muster__step *step, uint64_t *state)
{
    return record_of_task(pool_of(step->object), task_named(step), state);
}

static muster_err wait_to_look(struct muster__step *step)
{
    step->event = &step->object->event[POOL_LOOK];
    return MUSTER__WAIT;
}

static bool is_over(struct pool *pool)
{
    return pool_state(pool) > POOL_CLOSED;
}

/* ---- whether it has ended ---- */

/* Who waits until it is seen that whoever ends it will ring. in[1]: for a get, which has to wait for who was first. */
static muster_err step_ended(struct muster__step *step)
{
    uint64_t state;
    struct record *record;
    while ((record = record_named(step, &state)) != NULL) {
        bool final = phase_final(state_phase(state));
        if (final && step->arg->in[1] && state & STATE_CLAIMED)
            return wait_to_look(step);
        if (final || is_over(pool_of(step->object))) {
            step->arg->out[0] = state_phase(state);
            return MUSTER_OK;
        }
        if (state & STATE_WAITED)
            return wait_to_look(step);
        record_mark_waited(record, (uint32_t)(state >> 32));
    }
    return MUSTER_ERR_STALE;
}

static muster_err step_group_ended(struct muster__step *step)
{
    uint64_t state;
    struct pool *pool = pool_of(step->object);
    const struct record *record = record_named(step, &state);
    if (!record || record->kind != RECORD_GROUP)
        return MUSTER_ERR_STALE;
    if (!group_is_empty(pool, (muster_group){task_named(step).handle}) && !is_over(pool))
        return wait_to_look(step);
    step->arg->out[0] = RECORD_DONE;
    return MUSTER_OK;
}

/* ---- its result ---- */

/* By who has claimed it. */
static muster_err give(struct muster__step *step, struct record *record, enum phase phase)
{
    struct muster__arg *arg = step->arg;
    const struct extra *extra = record->extra ? muster__heap_at(record->extra) : NULL;
    arg->out[0] = phase;
    arg->out[1] = record->number;
    if (phase == RECORD_FAILED && extra)
        return muster__give(step, &extra->error, sizeof extra->error);
    size_t bytes = phase == RECORD_DONE ? record->result_bytes : 0;
    if (bytes > (size_t)arg->in[1]) {
        arg->got = bytes;
        return MUSTER_ERR_TOOBIG;
    }
    return bytes ? muster__give(step, record_result(record), bytes) : MUSTER_OK;
}

static muster_err claim(struct muster__step *step, struct record **record, enum phase *phase)
{
    uint64_t state;
    struct pool *pool = pool_of(step->object);
    while ((*record = record_named(step, &state)) != NULL) {
        *phase = state_phase(state);
        if (!phase_final(*phase) && is_over(pool)) {
            if (record_drop(*record, (uint32_t)(state >> 32), &state)) /* should a worker still run it, it frees it */
                return task_pool_over(pool, "muster_task_get");
        } else if (phase_final(*phase) ? (state & STATE_CLAIMED) != 0 : (state & STATE_WAITED) != 0) {
            return wait_to_look(step);
        } else if (!phase_final(*phase)) {
            record_mark_waited(*record, (uint32_t)(state >> 32));
        } else if (atomic_compare_exchange_weak(&(*record)->state, &state, state | STATE_CLAIMED)) {
            return MUSTER_OK;
        }
    }
    return MUSTER_ERR_STALE;
}

/* Of the one that was claimed; it stays that until it is freed. */
static struct record *claimed(const struct muster__step *step, uint64_t *state)
{
    struct record *record = pool_record_if(pool_of(step->object), task_named(step).handle.slot);
    if (!record)
        return NULL;
    *state = atomic_load(&record->state);
    return *state >> 32 == task_named(step).handle.generation && *state & STATE_CLAIMED ? record : NULL;
}

static muster_err step_taken(struct muster__step *step)
{
    uint64_t state;
    struct pool *pool = pool_of(step->object);
    struct record *record = claimed(step, &state);
    if (!record)
        return MUSTER_OK;
    record_free(pool, record, task_named(step).handle.slot, NULL);
    sched_ring_waiters(pool);
    return MUSTER_OK;
}

/* It is there again, for whoever gets it then; or was forgotten meanwhile. */
static void step_undo(struct muster__step *step, bool died)
{
    uint64_t state;
    struct pool *pool = pool_of(step->object);
    struct record *record = claimed(step, &state);
    (void)died;
    if (!record)
        return;
    while (!atomic_compare_exchange_weak(&record->state, &state, state & ~(uint64_t)STATE_CLAIMED))
        ;
    if (state & STATE_DROPPED)
        record_free(pool, record, task_named(step).handle.slot, NULL);
    sched_ring_waiters(pool);
}

/* in[1]: how much room there is */
static muster_err step_get(struct muster__step *step)
{
    struct record *record;
    enum phase phase;
    muster_err err = claim(step, &record, &phase);
    if (err)
        return err;
    err = give(step, record, phase);
    if (err)
        step_undo(step, false);
    else if (!step->claims)
        return step_taken(step);
    return err;
}

/* ---- errands ---- */

static muster_err answer(const struct question *question, uint64_t *answer)
{
    muster_task task = {question->handle};
    muster_group group = {question->handle};
    bool is = false;
    size_t size = 0;
    muster_err err = MUSTER_ERR_UNSUPPORTED;
    switch ((enum abroad_question)question->what) {
    case ABROAD_READY:
        err = muster_task_ready(task, &is);
        break;
    case ABROAD_SUCCESSFUL:
        err = muster_task_successful(task, &is);
        break;
    case ABROAD_SIZE:
        err = muster_task_size(task, &size);
        break;
    case ABROAD_CANCEL:
    case ABROAD_KILL:
        err = muster_task_cancel(task, question->what == ABROAD_KILL);
        break;
    case ABROAD_FORGET:
        err = muster_task_forget(task);
        break;
    case ABROAD_GROUP_CANCEL:
        err = muster_group_cancel(group);
        break;
    case ABROAD_GROUP_DESTROY:
        err = muster_group_destroy(group);
        break;
    }
    *answer = question->what == ABROAD_SIZE ? size : is;
    return err;
}

static bool is_here(muster_handle handle)
{
    return handle.kind_home == ((uint32_t)MUSTER__TASK << 24 | muster__segment->host);
}

static muster_err answer_question(struct muster__errand *work)
{
    struct question question;
    uint64_t answered = 0;
    if (work->size != sizeof question || work->capacity < sizeof answered)
        return muster__fail(MUSTER_ERR_INVAL, "a task's home was asked for nothing");
    memcpy(&question, work->bytes, sizeof question);
    if (!is_here(question.handle))
        return task_stale("a task of another host");
    muster_err err = answer(&question, &answered);
    memcpy(work->reply, &answered, sizeof answered);
    work->reply_size = sizeof answered;
    return err;
}

/* What a group came to, told once: by a wait that does not wait. */
static muster_err answer_outcome(struct muster__errand *work)
{
    struct outcome outcome = {.err = MUSTER_OK};
    muster_group group;
    if (work->size != sizeof group || work->capacity < sizeof outcome)
        return muster__fail(MUSTER_ERR_INVAL, "a group's home was asked for nothing");
    memcpy(&group, work->bytes, sizeof group);
    if (!is_here(group.handle))
        return task_stale("a group of another host");
    outcome.err = muster_group_wait(group, MUSTER_NOWAIT);
    if (outcome.err == MUSTER_ERR_TASK || outcome.err == MUSTER_ERR_CRASHED)
        outcome.error = *muster_pool_last_error();
    if (outcome.err)
        snprintf(outcome.text, sizeof outcome.text, "%s", muster_err_detail());
    memcpy(work->reply, &outcome, sizeof outcome);
    work->reply_size = sizeof outcome;
    return MUSTER_OK;
}

/* The handle of the pool that a task, or a group, is of: that says less of it than a pool's own handle. */
static muster_err answer_name(struct muster__errand *work)
{
    muster_handle handle, pool;
    if (work->size != sizeof handle || work->capacity < sizeof pool)
        return muster__fail(MUSTER_ERR_INVAL, "a task's home was asked for nothing");
    memcpy(&handle, work->bytes, sizeof handle);
    muster_err err = is_here(handle) ? task_pool((muster_task){handle}, "a task of another host", &pool)
                                     : task_stale("a task of another host");
    if (err)
        return err;
    memcpy(work->reply, &pool, sizeof pool);
    work->reply_size = sizeof pool;
    return MUSTER_OK;
}

muster_err asked_errand(struct muster__errand *work)
{
    switch (work->operation) {
    case POOL_ASK:
    case POOL_KILL_TASK:
        return answer_question(work);
    case POOL_OUTCOME:
        return answer_outcome(work);
    case POOL_NAME:
        return answer_name(work);
    default:
        return MUSTER_ERR_UNSUPPORTED;
    }
}

bool asked_is_quick(uint32_t operation)
{
    return operation == POOL_ASK || operation == POOL_OUTCOME || operation == POOL_NAME;
}

__attribute__((constructor)) static void register_ops(void)
{
    pool_ops[POOL_ENDED] = (struct muster__op){.name = "a task's end",
                                               .step = step_ended,
                                               .watch = step_ended,
                                               .takes_nothing = true,
                                               .late = MUSTER_ERR_TIMEOUT,
                                               .late_now = MUSTER_ERR_TIMEOUT};
    pool_ops[POOL_GROUP_ENDED] = (struct muster__op){.name = "a group's end",
                                                     .step = step_group_ended,
                                                     .watch = step_group_ended,
                                                     .takes_nothing = true,
                                                     .late = MUSTER_ERR_TIMEOUT,
                                                     .late_now = MUSTER_ERR_TIMEOUT};
    pool_ops[POOL_GET] = (struct muster__op){.name = "muster_task_get",
                                             .step = step_get,
                                             .undo = step_undo,
                                             .taken = step_taken,
                                             .claims = true,
                                             .late = MUSTER_ERR_TIMEOUT,
                                             .late_now = MUSTER_ERR_TIMEOUT};
}
