/* SPDX-License-Identifier: BSD-3-Clause */
#include "simulate/run.h"

#include <stdlib.h>
#include <string.h>

#include <muster/muster.h>

#include "simulate/kept.h"
#include "simulate/progress.h"

#define WAIT_MS        200
#define FAILURES_SHOWN 20

struct study {
    const struct run_request *request;
    struct run_summary *summary;
    struct chain_result *results;
    muster_journal *journal; /* NULL: none */
    muster_pool pool;
    muster_task *handles; /* in order of submission */
    int *order;           /* the task number of each */
    bool *done;
    int submitted;
    struct study_progress progress;
};

/* The study this thread waits for, so that a task it runs meanwhile can keep the progress line alive. */
static _Thread_local struct study *waiting;

static bool stop_requested(void)
{
    if (waiting)
        study_progress_show(&waiting->progress);
    return muster_interrupted() != 0;
}

/* muster_task_fn: item is a chain_task, result a kept_result. */
static int run_task(const void *item, void *result, const void *user)
{
    const struct chain_task *task = item;
    struct kept_result *r = result;
    (void)user;
    snprintf(r->host, sizeof r->host, "%s", muster_host());
    switch (chain_run(task, &r->chain, stop_requested)) {
    case CHAIN_DONE:
        return 0;
    case CHAIN_STOPPED:
        return muster_task_fail(1, "stopped by a signal");
    default:
        return muster_task_fail(2, "no memory for a lattice of size %d", (int)task->size);
    }
}

static void complain(const char *what, muster_err err)
{
    fprintf(stderr, "simulate: %s: %s (%s)\n", what, muster_err_text(err), muster_err_detail());
}

static void count_host(struct run_summary *s, const char *name, double busy_seconds)
{
    int i = 0;
    while (i < s->hosts_seen && strcmp(s->hosts[i].name, name) != 0)
        i++;
    if (i == s->hosts_seen) {
        struct run_host *more = realloc(s->hosts, (size_t)(i + 1) * sizeof *more);
        if (!more)
            return; /* a fact less in run.json */
        s->hosts = more;
        s->hosts[i] = (struct run_host){0};
        snprintf(s->hosts[i].name, sizeof s->hosts[i].name, "%s", name);
        s->hosts_seen++;
    }
    s->hosts[i].tasks++;
    s->hosts[i].busy_seconds += busy_seconds;
}

static void take(struct study *s, int number, const struct kept_result *r)
{
    struct chain_task task = experiment_task(s->request->experiment, number);
    s->results[number] = r->chain;
    s->summary->finished++;
    s->summary->busy_seconds += r->chain.seconds;
    s->summary->updates += chain_updates(&task);
    count_host(s->summary, r->host, r->chain.seconds);
    s->progress.tasks_done++;
    s->progress.work_done += chain_updates(&task);
    s->progress.busy_seconds += r->chain.seconds;
}

static void take_new(struct study *s, int number, const struct kept_result *r)
{
    struct chain_task task = experiment_task(s->request->experiment, number);
    kept_put(s->journal, &task, r);
    take(s, number, r);
}

/* What earlier runs have finished is not in the rates of this one. */
static void take_known(struct study *s, int number, const struct kept_result *r)
{
    struct chain_task task = experiment_task(s->request->experiment, number);
    s->results[number] = r->chain;
    s->summary->finished++;
    s->summary->known++;
    s->progress.tasks_done++;
    s->progress.work -= chain_updates(&task);
}

static void report_failure(struct study *s, int number, muster_err err)
{
    const struct muster_task_error *e = muster_pool_last_error();
    struct chain_task task = experiment_task(s->request->experiment, number);
    if (++s->summary->failed > FAILURES_SHOWN)
        return;
    progress_end(&s->progress.line);
    fprintf(stderr, "simulate: task L = %d, T = %g, replica %d failed: %s", (int)task.size, task.temperature,
            (int)task.replica, muster_err_text(err));
    if (e)
        fprintf(stderr, " (code %d, worker %d, rank %d, host %s%s%s)", e->code, e->worker, e->rank, e->host,
                e->text[0] ? ": " : "", e->text);
    fputc('\n', stderr);
}

/* Takes the result of a task that has ended. Returns false when the wait was interrupted. */
static bool collect(struct study *s, int64_t index)
{
    struct kept_result r;
    muster_err err = muster_task_get(s->handles[index], &r, sizeof r, MUSTER_NOWAIT);
    if (err == MUSTER_OK && r.chain.finished)
        take_new(s, s->order[index], &r);
    else if (muster_interrupted() || err == MUSTER_ERR_INTERRUPTED)
        return false;
    else
        report_failure(s, s->order[index], err);
    return true;
}

/* After a signal: what has ended meanwhile; gets that cannot be answered are of no interest any more. */
static void collect_leftovers(struct study *s)
{
    struct kept_result r;
    for (int i = 0; i < s->submitted; i++) {
        if (s->results[s->order[i]].finished)
            continue;
        if (muster_task_get(s->handles[i], &r, sizeof r, MUSTER_NOWAIT) == MUSTER_OK && r.chain.finished)
            take_new(s, s->order[i], &r);
    }
}

static int larger_first(const void *a, const void *b, void *experiment)
{
    int i = *(const int *)a, j = *(const int *)b;
    struct chain_task x = experiment_task(experiment, i), y = experiment_task(experiment, j);
    double difference = chain_updates(&y) - chain_updates(&x);
    return difference != 0 ? (difference > 0 ? 1 : -1) : i - j;
}

/* Those that no earlier run has finished, in `order`; returns how many. */
static int find_missing(struct study *s)
{
    const struct experiment *e = s->request->experiment;
    struct kept_result r;
    int missing = 0;
    for (int i = 0; i < experiment_tasks(e); i++) {
        struct chain_task task = experiment_task(e, i);
        if (kept_find(s->journal, &task, &r))
            take_known(s, i, &r);
        else
            s->order[missing++] = i;
    }
    return missing;
}

static muster_err submit_all(struct study *s)
{
    const struct experiment *e = s->request->experiment;
    int tasks = find_missing(s);
    qsort_r(s->order, (size_t)tasks, sizeof *s->order, larger_first, (void *)e);
    for (; s->submitted < tasks; s->submitted++) {
        struct chain_task task = experiment_task(e, s->order[s->submitted]);
        muster_err err = muster_pool_submit(s->pool, &s->handles[s->submitted], run_task, &task, sizeof task,
                                            sizeof(struct kept_result), NULL);
        if (err != MUSTER_OK)
            return err;
    }
    return MUSTER_OK;
}

static muster_err collect_all(struct study *s)
{
    for (int left = s->submitted; left > 0;) {
        int64_t index;
        study_progress_show(&s->progress);
        muster_err err = muster_task_next(s->handles, s->submitted, s->done, &index, WAIT_MS);
        if (err == MUSTER_ERR_TIMEOUT && !muster_interrupted())
            continue;
        if (muster_interrupted())
            return MUSTER_ERR_INTERRUPTED;
        if (err != MUSTER_OK)
            return err;
        if (!collect(s, index))
            return MUSTER_ERR_INTERRUPTED;
        left--;
    }
    return MUSTER_OK;
}

static void run_in_pool(struct study *s)
{
    double begin = progress_clock();
    waiting = s;
    muster_err err = submit_all(s);
    if (err == MUSTER_OK)
        err = collect_all(s);
    if (err != MUSTER_OK)
        collect_leftovers(s);
    waiting = NULL;
    s->summary->interrupted = muster_interrupted();
    s->summary->seconds = progress_clock() - begin;
    progress_end(&s->progress.line);
    if (err != MUSTER_OK && !s->summary->interrupted)
        complain("the run cannot go on", err);
    if (s->summary->failed > FAILURES_SHOWN)
        fprintf(stderr, "simulate: tasks that failed besides: %d\n", s->summary->failed - FAILURES_SHOWN);
}

static int with_pool(struct study *s)
{
    const struct run_request *q = s->request;
    struct run_summary *summary = s->summary;
    muster_err err = muster_pool_create(
        &s->pool, &(muster_pool_options){.name = "simulate", .workers = q->workers, .isolated = q->isolate});
    if (err != MUSTER_OK) {
        complain("no pool", err);
        return -1;
    }
    if (muster_pool_workers(s->pool, &summary->workers) != MUSTER_OK)
        summary->workers = q->workers;
    s->progress = study_progress_start(stderr, q->show_progress, summary->tasks, experiment_updates(q->experiment),
                                       summary->workers);
    run_in_pool(s);
    if (summary->finished < summary->tasks)
        muster_pool_terminate(s->pool);
    muster_pool_destroy(s->pool);
    return summary->finished == summary->tasks ? 0 : -1;
}

int run_study(const struct run_request *request, struct chain_result *results, struct run_summary *summary)
{
    int tasks = experiment_tasks(request->experiment);
    struct study s = {.request = request, .summary = summary, .results = results};
    *summary = (struct run_summary){.muster_version = muster_version(),
                                    .ranks = muster_ranks(),
                                    .host_count = muster_hosts(),
                                    .isolated = request->isolate,
                                    .tasks = tasks,
                                    .started = time(NULL)};
    s.handles = calloc((size_t)tasks, sizeof *s.handles);
    s.order = calloc((size_t)tasks, sizeof *s.order);
    s.done = calloc((size_t)tasks, sizeof *s.done);
    int result = -1;
    if (!s.handles || !s.order || !s.done)
        fprintf(stderr, "simulate: no memory for all tasks (%d)\n", tasks);
    else if (!request->journal || (s.journal = kept_open(request->journal, request->experiment, request->anew)))
        result = with_pool(&s);
    if (kept_close(s.journal) != 0)
        result = -1;
    free(s.handles);
    free(s.order);
    free(s.done);
    return result;
}

void run_summary_destroy(struct run_summary *summary)
{
    free(summary->hosts);
    summary->hosts = NULL;
}
