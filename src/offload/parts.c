/* SPDX-License-Identifier: BSD-3-Clause */
#include "offload/offload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The parts of a pool: who has how many workers, how branches are made, told and ended. Branches are asked all at once.
 */

/* ---- shares ---- */

static int here(void)
{
    return (int)muster__segment->host;
}

/* The pool's ranks of a host are neighbours there, too. */
static void note_ranks(struct share *share, int first, int ranks)
{
    for (int rank = 0; rank < first; rank++)
        share[muster__host_of_rank(rank)].first_local++;
    for (int rank = first; rank < first + ranks; rank++)
        share[muster__host_of_rank(rank)].local_ranks++;
}

/* In-rank worker i is its rank i; isolated ones go to the ranks in turn. */
static muster_err parts_plan(int all, int first_rank, int ranks, struct share *home, struct share **shares)
{
    int hosts = muster_hosts();
    struct share *share = calloc((size_t)hosts, sizeof *share);
    if (!share)
        return muster__fail(MUSTER_ERR_NOMEM, "muster_pool_create: out of memory");
    note_ranks(share, first_rank, ranks);
    for (int i = 0; i < all; i++)
        share[muster__host_of_rank(first_rank + i % ranks)].workers++;
    int first = 0, branches = 0;
    for (int host = 0; host < hosts; first += share[host++].workers) {
        share[host].first_worker = first;
        share[host].all_workers = all;
        share[host].lends = 1; /* to home */
        branches += host != here() && share[host].workers > 0;
    }
    if (share[here()].workers + 2 * branches > POOL_LANES - POOL_SUBMITTERS) {
        free(share);
        return muster__fail(MUSTER_ERR_INVAL, "muster_pool_create: %d worker%s on %d host%s are too many", all,
                            muster__s(all), hosts, muster__s(hosts));
    }
    share[here()].branches = share[here()].lends = branches;
    *home = share[here()];
    *shares = share;
    return MUSTER_OK;
}

/* ---- making branches ---- */

/* what makes one; then the initializer's argument and the context */
struct wanted {
    muster__function initializer, finalizer;
    struct muster__module modules[2]; /* theirs */
    struct share share;
    char name[32];
    int32_t number; /* of the branch */
    int32_t retries;
    int64_t max_tasks;
    uint64_t memory_limit;
    bool isolated, caller_idle;
    uint64_t init_arg_bytes, user_bytes;
};

static struct wanted *wanted_make(const struct pool *pool, const muster_pool_options *options, size_t *size)
{
    size_t init_arg_bytes = options->init_arg ? options->init_arg_bytes : 0;
    size_t user_bytes = options->user ? options->user_bytes : 0;
    *size = sizeof(struct wanted) + init_arg_bytes + user_bytes;
    struct wanted *wanted = calloc(1, *size);
    if (!wanted)
        return NULL;
    *wanted = (struct wanted){.retries = pool->retries,
                              .max_tasks = pool->max_tasks,
                              .memory_limit = pool->memory_limit,
                              .isolated = pool->isolated,
                              .caller_idle = pool->caller_idle,
                              .init_arg_bytes = init_arg_bytes,
                              .user_bytes = user_bytes};
    wanted->initializer = pool->initializer;
    wanted->finalizer = pool->finalizer;
    wanted->modules[0] = muster__module_of(pool->initializer);
    wanted->modules[1] = muster__module_of(pool->finalizer);
    if (options->name)
        snprintf(wanted->name, sizeof wanted->name, "%s", options->name);
    char *bytes = (char *)(wanted + 1);
    if (init_arg_bytes)
        memcpy(bytes, options->init_arg, init_arg_bytes);
    if (user_bytes)
        memcpy(bytes + init_arg_bytes, options->user, user_bytes);
    return wanted;
}

static muster_err make_here(struct muster__errand *work)
{
    const struct wanted *wanted = work->bytes;
    const char *bytes = (const char *)(wanted + 1);
    muster_pool made;
    muster_pool_options options = {.name = wanted->name,
                                   .isolated = wanted->isolated,
                                   .caller_idle = wanted->caller_idle,
                                   .init_arg = bytes,
                                   .init_arg_bytes = wanted->init_arg_bytes,
                                   .user = bytes + wanted->init_arg_bytes,
                                   .user_bytes = wanted->user_bytes,
                                   .retries = wanted->retries,
                                   .max_tasks = wanted->max_tasks,
                                   .memory_limit_bytes = wanted->memory_limit};
    muster_err err = muster__module_note(&wanted->modules[0]);
    if (!err)
        err = muster__module_note(&wanted->modules[1]);
    if (!err)
        err = pool_make(&options, &wanted->share, wanted->initializer, wanted->finalizer, &made);
    if (err)
        return err;
    err = pool_start(pool_of(muster__object_slot(made.handle.slot)));
    if (!err)
        err = carrier_start(made, wanted->share.home, wanted->number, 0);
    if (err) {
        muster_pool_destroy(made);
        return err;
    }
    memcpy(work->reply, &made, sizeof made);
    work->reply_size = sizeof made;
    return MUSTER_OK;
}

/* Ends what was begun; the first error. */
static muster_err end_calls(struct muster__call *calls, int n)
{
    muster_err first = MUSTER_OK;
    char text[200] = "";
    for (int i = 0; i < n; i++) {
        muster_err err = calls[i].asked ? muster__remote_end(&calls[i]) : MUSTER_OK;
        if (err && !first) {
            first = err;
            snprintf(text, sizeof text, "%s", muster_err_detail());
        }
    }
    return first ? muster__fail(first, "%s", text) : MUSTER_OK;
}

static void list_branches(struct pool *pool, const struct share *shares)
{
    struct branch *branch = pool_branch(pool, 0);
    for (int host = 0; host < muster_hosts(); host++)
        if (host != here() && shares[host].workers) {
            branch->host = host;
            branch->workers = shares[host].workers;
            atomic_store(&branch->alive, shares[host].workers);
            branch++;
        }
}

/* Home takes work from its branches, too. */
static muster_err carry_begin(const struct pool *pool, struct muster__call *calls, int n)
{
    muster_err err = MUSTER_OK;
    for (int i = 0; i < n && !err; i++) {
        struct carry carry = {pool_branch((struct pool *)pool, i)->pool.handle, i};
        calls[i] = (struct muster__call){.object = pool_handle(pool),
                                         .at = here() + 1,
                                         .operation = POOL_CARRY,
                                         .errand = true,
                                         .bytes = &carry,
                                         .size = sizeof carry};
        err = muster__remote_call(&calls[i], "muster_pool_create");
    }
    return err;
}

static muster_err parts_make(struct pool *pool, const muster_pool_options *options, const struct share *shares)
{
    int n = pool->share.branches;
    if (!n)
        return MUSTER_OK;
    size_t size;
    list_branches(pool, shares);
    struct wanted *wanted = wanted_make(pool, options, &size);
    struct muster__call *calls = calloc((size_t)n, sizeof *calls);
    muster_err err = MUSTER_OK;
    if (!wanted || !calls)
        err = muster__fail(MUSTER_ERR_NOMEM, "muster_pool_create: out of memory");
    for (int i = 0; i < n && !err; i++) {
        struct branch *branch = pool_branch(pool, i);
        wanted->share = shares[branch->host];
        wanted->share.home = pool_handle(pool);
        wanted->number = i;
        calls[i] = (struct muster__call){.object = muster__host_handle(branch->host, MUSTER__POOL),
                                         .operation = POOL_MAKE,
                                         .errand = true,
                                         .bytes = wanted,
                                         .size = size,
                                         .reply = &branch->pool,
                                         .capacity = sizeof branch->pool};
        err = muster__remote_begin(&calls[i], "muster_pool_create");
    }
    muster_err ended = calls ? end_calls(calls, n) : MUSTER_OK;
    err = err ? err : ended;
    if (!err)
        err = carry_begin(pool, calls, n);
    free(wanted);
    free(calls);
    return err;
}

/* ---- telling them ---- */

static const uint32_t operations[] = {[PARTS_CLOSE] = POOL_CLOSE,
                                      [PARTS_JOIN] = POOL_JOIN,
                                      [PARTS_TERMINATE] = POOL_TERMINATE,
                                      [PARTS_END] = POOL_END,
                                      [PARTS_CANCEL] = POOL_CANCEL};

/* A branch that is gone has nothing left to be told. */
static muster_err tell(struct pool *pool, enum parts_word word, const void *bytes, size_t size, int64_t timeout_ms)
{
    int n = pool->share.branches;
    if (!n)
        return MUSTER_OK;
    struct muster__call *calls = calloc((size_t)n, sizeof *calls);
    if (!calls)
        return muster__fail(MUSTER_ERR_NOMEM, "a pool's branches cannot be told: out of memory");
    bool heeds = muster__self_state.caller->heeds_signal;
    muster__self_state.caller->heeds_signal = heeds && word == PARTS_JOIN;
    muster_err err = MUSTER_OK;
    for (int i = 0; i < n && !err; i++) {
        calls[i] = (struct muster__call){.object = pool_branch(pool, i)->pool.handle,
                                         .operation = operations[word],
                                         .errand = true,
                                         .bytes = bytes,
                                         .size = size,
                                         .timeout_ms = timeout_ms};
        if (calls[i].object.generation)
            err = muster__remote_begin(&calls[i], "a pool's branch");
    }
    muster_err ended = end_calls(calls, n);
    muster__self_state.caller->heeds_signal = heeds;
    free(calls);
    if (!err)
        err = ended;
    return err == MUSTER_ERR_STALE || (err == MUSTER_ERR_PEER && word != PARTS_JOIN) ? MUSTER_OK : err;
}

static muster_err parts_tell(struct pool *pool, enum parts_word word, int64_t timeout_ms)
{
    return tell(pool, word, NULL, 0, timeout_ms);
}

static muster_err parts_cancel(struct pool *pool, uint64_t number)
{
    return tell(pool, PARTS_CANCEL, &number, sizeof number, MUSTER_FOREVER);
}

static muster_err parts_ask_home(muster_pool pool, enum parts_word word, int64_t timeout_ms, const char *operation)
{
    struct muster__call call = {
        .object = pool.handle, .operation = operations[word], .errand = true, .timeout_ms = timeout_ms};
    return muster__remote_call(&call, operation);
}

/* The task goes on if its host cannot be asked. */
static void parts_kill(struct pool *pool, int branch, record_ref task)
{
    struct muster__call call = {.object = pool_branch(pool, branch)->pool.handle,
                                .operation = POOL_KILL,
                                .errand = true,
                                .bytes = &task,
                                .size = sizeof task};
    if (muster__remote_call(&call, "muster_task_cancel"))
        muster__log(MUSTER__WARN, "%s", muster_err_detail());
}

/* ---- what other hosts ask ---- */

/* Those from a number on, as many as fit. */
static muster_err tell_modules(struct muster__errand *work)
{
    struct muster__module *modules = work->reply;
    int32_t from;
    memcpy(&from, work->bytes, sizeof from);
    int n = muster__modules_count();
    for (int i = from; i < n && work->reply_size + sizeof *modules <= work->capacity; i++) {
        modules[i - from] = muster__module_at(i);
        work->reply_size += sizeof *modules;
    }
    return MUSTER_OK;
}

static muster_err take_time(struct muster__errand *work)
{
    muster_pool pool = {.handle = work->object};
    switch (work->operation) {
    case POOL_CLOSE:
        return muster_pool_close(pool);
    case POOL_JOIN:
        return muster_pool_join(pool, work->timeout_ms);
    case POOL_TERMINATE:
        return muster_pool_terminate(pool);
    default:
        return muster_pool_destroy(pool);
    }
}

static muster_err break_home(struct muster__errand *work)
{
    struct muster__object *object = muster__object_pin(work->object, MUSTER__POOL);
    if (!object)
        return MUSTER_ERR_STALE;
    worker_break(pool_of(object), "%.*s", (int)work->size, (const char *)work->bytes);
    muster__object_unpin();
    return MUSTER_OK;
}

static muster_err run_errand(struct muster__errand *work)
{
    record_ref task;
    struct carry carry;
    switch ((enum parts_operation)work->operation) {
    case POOL_MAKE:
        return make_here(work);
    case POOL_CLOSE:
    case POOL_JOIN:
    case POOL_TERMINATE:
    case POOL_END:
        return take_time(work);
    case POOL_KILL:
        memcpy(&task, work->bytes, sizeof task);
        carrier_kill((muster_pool){work->object}, work->host, task);
        return MUSTER_OK;
    case POOL_TAKE_BACK:
        return lend_take_back(work);
    case POOL_CONTEXT:
        return lend_context(work);
    case POOL_MODULES:
        return tell_modules(work);
    case POOL_BREAK:
        return break_home(work);
    case POOL_CANCEL:
        return pending_errand(work);
    case POOL_CARRY:
        memcpy(&carry, work->bytes, sizeof carry);
        return carrier_start((muster_pool){work->object}, carry.source, 0, carry.theirs);
    }
    return asked_errand(work);
}

/* What takes long, or waits, is for a thread. */
static bool is_quick(uint32_t operation)
{
    return operation == POOL_KILL || operation == POOL_TAKE_BACK || operation == POOL_CONTEXT ||
           operation == POOL_MODULES || operation == POOL_BREAK || asked_is_quick(operation);
}

__attribute__((constructor)) static void register_parts(void)
{
    static const struct pool_parts parts = {.plan = parts_plan,
                                            .make = parts_make,
                                            .tell = parts_tell,
                                            .cancel = parts_cancel,
                                            .ask_home = parts_ask_home,
                                            .kill = parts_kill};
    static const struct muster__errands errands = {run_errand, is_quick};
    muster__errands_register(MUSTER__POOL, &errands);
    pool_parts = &parts;
    pool_ops[POOL_FETCH] = (struct muster__op){.name = "a pool's branch",
                                               .step = lend_fetch,
                                               .leave = lend_fetch_leave,
                                               .late = MUSTER_ERR_CANCELED,
                                               .late_now = MUSTER_ERR_CANCELED};
}
