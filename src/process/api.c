#include "process/process.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The public calls: done here, or asked of the host where the object is. */

/* ---- for other hosts ---- */

enum operation { CREATE, START, JOIN, WAIT_ANY, WAIT_ALL, TERMINATE, KILL, CLOSE, INFO };

static muster_err create_for(struct muster__work *work)
{
    const struct process_wanted *wanted = work->bytes;
    muster_process process;
    muster_err err = muster__module_note(&wanted->module);
    if (!err)
        err = process_create(&process, wanted, wanted + 1, work->size - sizeof *wanted, work->self);
    if (err)
        return err;
    memcpy(work->reply, &process, sizeof process);
    work->reply_size = sizeof process;
    return MUSTER_OK;
}

static muster_err worker(struct muster__work *work)
{
    muster_process process = {.handle = work->object};
    muster_process_status status = {0};
    int found = -1, n = (int)(work->size / sizeof process);
    muster_err err;
    switch ((enum operation)work->operation) {
    case CREATE:
        return create_for(work);
    case START:
        return process_start(process);
    case JOIN:
        err = process_join(process, &status, work->timeout_ms);
        work->number = (int64_t)status.signal << 32 | (uint32_t)status.exit_code;
        return err;
    case WAIT_ANY:
    case WAIT_ALL:
        err = process_wait(work->bytes, n, work->operation == WAIT_ALL, &found, work->timeout_ms);
        work->number = found;
        return err;
    case TERMINATE:
    case KILL:
        return process_signal(process, work->operation == KILL ? SIGKILL : SIGTERM);
    case CLOSE:
        return process_close(process);
    case INFO:
        work->reply_size = sizeof(muster_process_info);
        return process_info(process, work->reply);
    }
    return MUSTER_ERR_UNSUPPORTED;
}

__attribute__((constructor)) static void register_worker(void)
{
    muster__remote_register(MUSTER__PROCESS, worker);
}

/* ---- public ---- */

static bool is_elsewhere(muster_process process)
{
    return muster__is_remote(process.handle, MUSTER__PROCESS);
}

static muster_err ask(muster_process process, enum operation operation, const char *name)
{
    struct muster__call call = {.object = process.handle, .operation = operation};
    return muster__remote_call(&call, name);
}

static muster_err create_elsewhere(muster_process *process, int host, const struct process_wanted *wanted,
                                   const void *arg, size_t size_bytes)
{
    struct process_wanted *all = malloc(sizeof *all + size_bytes);
    if (!all)
        return muster__fail(MUSTER_ERR_NOMEM, "muster_process_create: out of memory");
    *all = *wanted;
    if (size_bytes)
        memcpy(all + 1, arg, size_bytes);
    struct muster__call call = {.object = muster__host_handle(host, MUSTER__PROCESS),
                                .operation = CREATE,
                                .bytes = all,
                                .size = sizeof *all + size_bytes,
                                .reply = process,
                                .capacity = sizeof *process};
    muster_err err = muster__remote_call(&call, "muster_process_create");
    free(all);
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
    struct process_wanted wanted = {.function = function, .rank = on.rank_plus_1 - 1};
    if (options && options->name)
        snprintf(wanted.name, sizeof wanted.name, "%s", options->name);
    if (!on.rank_plus_1)
        host = muster__host_choose();
    if (host == (int)muster__segment->host)
        return process_create(process, &wanted, arg, size_bytes, 0);
    wanted.module = muster__module_of(function);
    return create_elsewhere(process, host, &wanted, arg, size_bytes);
}

muster_err muster_process_start(muster_process process)
{
    muster__count(process.handle);
    return is_elsewhere(process) ? ask(process, START, "muster_process_start") : process_start(process);
}

muster_err muster_process_join(muster_process process, muster_process_status *status, int64_t timeout_ms)
{
    muster_err err = muster__timeout_bad("muster_process_join", timeout_ms);
    if (err)
        return err;
    muster__count(process.handle);
    if (!is_elsewhere(process))
        return process_join(process, status, timeout_ms);
    struct muster__call call = {.object = process.handle, .operation = JOIN, .timeout_ms = timeout_ms};
    err = muster__remote_call(&call, "muster_process_join");
    if (!err && status)
        *status =
            (muster_process_status){.exit_code = (int)(call.number & 0xffffffff), .signal = (int)(call.number >> 32)};
    return err;
}

muster_err muster_process_terminate(muster_process process)
{
    muster__count(process.handle);
    return is_elsewhere(process) ? ask(process, TERMINATE, "muster_process_terminate")
                                 : process_signal(process, SIGTERM);
}

muster_err muster_process_kill(muster_process process)
{
    muster__count(process.handle);
    return is_elsewhere(process) ? ask(process, KILL, "muster_process_kill") : process_signal(process, SIGKILL);
}

muster_err muster_process_close(muster_process process)
{
    muster__count(process.handle);
    return is_elsewhere(process) ? ask(process, CLOSE, "muster_process_close") : process_close(process);
}

muster_err muster_process_get_info(muster_process process, muster_process_info *info)
{
    static const char operation[] = "muster_process_get_info";
    if (MUSTER__NULL_BAD(operation, info))
        return MUSTER_ERR_INVAL;
    muster__count(process.handle);
    if (!is_elsewhere(process))
        return process_info(process, info);
    struct muster__call call = {.object = process.handle, .operation = INFO, .reply = info, .capacity = sizeof *info};
    return muster__remote_call(&call, operation);
}

/* ---- waiting on several hosts at once: each is asked to wait for its own ---- */

struct party {
    struct muster__call call;
    int n;
    muster_process *processes; /* its own */
    int *index;                /* theirs in the caller's array */
};

/* Whether all are on this host, or so wrong that this host can say so. */
static bool all_here(const muster_process *processes, int n)
{
    for (int i = 0; i < n; i++)
        if (is_elsewhere(processes[i]))
            return false;
    return true;
}

static struct party *part(const muster_process *processes, int n)
{
    int hosts = muster_hosts();
    struct party *parties = calloc((size_t)hosts, sizeof *parties);
    muster_process *own = calloc((size_t)n, sizeof *own);
    int *index = calloc((size_t)n, sizeof *index), filled = 0;
    if (!parties || !own || !index) {
        free(parties);
        free(own);
        free(index);
        return NULL;
    }
    for (int host = 0; host < hosts; host++) {
        parties[host].processes = own + filled;
        parties[host].index = index + filled;
        for (int i = 0; i < n; i++)
            if (muster__handle_home(processes[i].handle) == host) {
                own[filled] = processes[i];
                index[filled++] = i;
                parties[host].n++;
            }
    }
    return parties;
}

static muster_err parties_begin(struct party *parties, int hosts, bool all, int64_t timeout_ms)
{
    muster_err err = MUSTER_OK;
    for (int host = 0; host < hosts && !err; host++) {
        struct party *party = &parties[host];
        if (!party->n)
            continue;
        party->call = (struct muster__call){.object = muster__host_handle(host, MUSTER__PROCESS),
                                            .operation = all ? WAIT_ALL : WAIT_ANY,
                                            .timeout_ms = timeout_ms,
                                            .bytes = party->processes,
                                            .size = (size_t)party->n * sizeof *party->processes};
        err = muster__remote_begin(&party->call, "muster_process_wait");
    }
    return err;
}

/* Until enough have answered: one, or all; or somebody failed. */
static muster_err parties_await(struct party *parties, int hosts, bool all)
{
    _Atomic uint32_t *bell = &muster__self_state.caller->bell;
    for (;;) {
        uint32_t seen = atomic_load(bell);
        int open = 0, ready = 0;
        for (int host = 0; host < hosts; host++)
            if (parties[host].call.asked)
                *(muster__remote_ready(&parties[host].call) ? &ready : &open) += 1;
        if (!open || (ready && !all))
            return MUSTER_OK;
        muster_err err = muster__sleep(bell, seen, MUSTER__NEVER, NULL);
        if (err)
            return err;
    }
}

/* Those that still wait are called off. Returns the first error that is not that, and the lowest index. */
static muster_err parties_end(struct party *parties, int hosts, bool all, int *first)
{
    muster_err err = MUSTER_OK;
    for (int host = 0; host < hosts; host++)
        if (parties[host].call.asked && !muster__remote_ready(&parties[host].call))
            muster__remote_cancel(&parties[host].call);
    *first = -1;
    for (int host = 0; host < hosts; host++) {
        struct party *party = &parties[host];
        if (!party->call.asked)
            continue;
        muster_err its = muster__remote_end(&party->call);
        if (its && its != MUSTER_ERR_INTERRUPTED)
            err = err && !all ? err : its;
        int lowest = its || party->call.number < 0 ? -1 : party->index[party->call.number];
        if (lowest >= 0 && (*first < 0 || lowest < *first))
            *first = lowest;
    }
    return *first >= 0 && !all ? MUSTER_OK : err;
}

static muster_err wait_everywhere(const muster_process *processes, int n, bool all, int *first, int64_t timeout_ms)
{
    int hosts = muster_hosts();
    struct party *parties = part(processes, n);
    if (!parties)
        return muster__fail(MUSTER_ERR_NOMEM, "muster_process_wait: out of memory");
    muster_err err = parties_begin(parties, hosts, all, timeout_ms);
    if (!err)
        err = parties_await(parties, hosts, all);
    muster_err end = parties_end(parties, hosts, all, first);
    free(parties[0].processes);
    free(parties[0].index);
    free(parties);
    return err ? err : end;
}

muster_err muster_process_wait(const muster_process *processes, int n, bool all, int *first, int64_t timeout_ms)
{
    static const char operation[] = "muster_process_wait";
    int found = -1;
    if (n < 0)
        return muster__fail(MUSTER_ERR_INVAL, "%s: n is %d", operation, n);
    muster_err err = n ? MUSTER__NULL_BAD(operation, processes) : MUSTER_OK;
    if (!err)
        err = muster__timeout_bad(operation, timeout_ms);
    if (!err)
        err = muster__runtime_require(operation);
    if (err)
        return err;
    err = all_here(processes, n) ? process_wait(processes, n, all, &found, timeout_ms)
                                 : wait_everywhere(processes, n, all, &found, timeout_ms);
    if (!err && first)
        *first = found;
    return err;
}
