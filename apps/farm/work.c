/* SPDX-License-Identifier: BSD-3-Clause */
#include "farm/work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "farm/lines.h"
#include "farm/memory.h"

extern char **environ;

/* What a stream said that has not gone ahead. */
struct kept {
    char *bytes;
    size_t n, room;
};

#define OWN_VARIABLES 10
#define OWN_BYTES     288 /* a list of GPUs is the longest */

struct environment {
    char **variables;
    char own[OWN_VARIABLES][OWN_BYTES];
};

struct working {
    const struct work_shared *shared;
    const struct work_request *request;
    struct kept streams[2];
    struct work_report report;
    struct environment environment;
    struct work_news *news; /* room for one piece */
    bool told_start;
    bool own_path; /* programs are looked for where the job says: by the shell */
};

static uint64_t number_of_run(void)
{
    static uint32_t count;
    return (uint64_t)getpid() << 40 ^ (uint64_t)time(NULL) << 16 ^ ++count;
}

/* Nobody may be there to hear any more: then this process is about to be ended, too. */
static void tell(struct working *w, enum work_kind kind, int stream, const void *bytes, size_t n)
{
    w->news->kind = kind;
    w->news->stream = stream;
    w->news->job = w->request->job;
    w->news->attempt = w->request->attempt;
    w->news->run = w->report.run;
    memcpy(w->news->bytes, bytes, n);
    (void)muster_queue_put(w->shared->news, w->news, sizeof *w->news + n, MUSTER_FOREVER);
}

static void send_ahead(struct working *w, int stream, size_t n)
{
    struct kept *k = &w->streams[stream];
    for (size_t at = 0; at < n; at += WORK_PIECE_BYTES) {
        size_t piece = n - at < WORK_PIECE_BYTES ? n - at : WORK_PIECE_BYTES;
        tell(w, WORK_SAID, stream, k->bytes + at, piece);
    }
    w->report.ahead[stream] += (int64_t)n;
    memmove(k->bytes, k->bytes + n, k->n - n);
    k->n -= n;
}

static void heard(void *arg, int stream, const char *bytes, size_t n)
{
    struct working *w = arg;
    struct kept *k = &w->streams[stream];
    if (k->n + n > k->room) {
        k->room = 2 * (k->n + n);
        char *more = realloc(k->bytes, k->room);
        if (!more) {
            fprintf(stderr, "farm: no memory for the output of command %lld\n", (long long)w->request->seq);
            abort();
        }
        k->bytes = more;
    }
    memcpy(k->bytes + k->n, bytes, n);
    k->n += n;
    const char *end = w->shared->by_lines ? memrchr(k->bytes, '\n', k->n) : NULL;
    if (end)
        send_ahead(w, stream, (size_t)(end + 1 - k->bytes));
    else if (k->n >= WORK_PIECE_BYTES)
        send_ahead(w, stream, k->n);
}

static bool called_off(void *arg, double seconds)
{
    struct working *w = arg;
    int64_t limit_ms = 0;
    if (!w->told_start) {
        struct work_place place = {.worker = muster_task_worker(), .rank = muster_rank(), .pid = (long)getpid()};
        snprintf(place.host, sizeof place.host, "%s", muster_host());
        w->told_start = true;
        tell(w, WORK_STARTED, 0, &place, sizeof place);
    }
    return w->shared->has_limit && muster_value_i64_load(w->shared->limit_ms, &limit_ms) == MUSTER_OK && limit_ms > 0 &&
           1000 * seconds > (double)limit_ms;
}

static const char *after(const char *string)
{
    return string + strlen(string) + 1;
}

/* One variable more, in place of any of that name. What it points to is borrowed. */
static void put_variable(char **variables, int *n, char *variable)
{
    size_t name = strcspn(variable, "=") + 1;
    for (int i = 0; i < *n; i++)
        if (strncmp(variables[i], variable, name) == 0) {
            variables[i] = variable;
            return;
        }
    variables[(*n)++] = variable;
}

/* That of this process, which has no variables of the launcher's, with the job's and the command's own on top. setenv
 * would keep each value for ever. */
static bool make_environment(struct working *w, const char *strings, const char *gpus)
{
    static const char *const gpu_names[] = {"CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES",
                                            "ZE_AFFINITY_MASK"};
    const struct work_request *q = w->request;
    struct environment *e = &w->environment;
    int inherited = 0, n = 0, own = 0;
    while (environ[inherited])
        inherited++;
    e->variables = calloc((size_t)(inherited + w->shared->environment + OWN_VARIABLES + 1), sizeof *e->variables);
    if (!e->variables)
        return false;
    memcpy(e->variables, environ, (size_t)inherited * sizeof *e->variables);
    n = inherited;
    for (int i = 0; i < w->shared->environment; i++, strings = after(strings)) {
        put_variable(e->variables, &n, (char *)strings);
        w->own_path |= strncmp(strings, "PATH=", 5) == 0;
    }
    snprintf(e->own[own++], OWN_BYTES, "FARM_SEQ=%lld", (long long)q->seq);
    snprintf(e->own[own++], OWN_BYTES, "PARALLEL_SEQ=%lld", (long long)q->seq);
    snprintf(e->own[own++], OWN_BYTES, "FARM_ATTEMPT=%d", q->attempt);
    snprintf(e->own[own++], OWN_BYTES, "FARM_JOBSLOT=%d", muster_task_worker() + 1);
    snprintf(e->own[own++], OWN_BYTES, "PARALLEL_JOBSLOT=%d", muster_task_worker() + 1);
    if (q->cores > 0)
        snprintf(e->own[own++], OWN_BYTES, "OMP_NUM_THREADS=%d", q->cores);
    for (size_t i = 0; *gpus && i < sizeof gpu_names / sizeof *gpu_names; i++)
        snprintf(e->own[own++], OWN_BYTES, "%s=%s", gpu_names[i], gpus);
    for (int i = 0; i < own; i++)
        put_variable(e->variables, &n, e->own[i]);
    return true;
}

/* While the machine has too much to do, or too little memory. */
static void wait_for_room(const struct work_shared *s)
{
    while ((s->load > 0 && memory_load() > s->load) || (s->memory_free > 0 && memory_available() < s->memory_free))
        nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
}

static int give_report(struct working *w)
{
    size_t n = sizeof w->report + w->streams[0].n + w->streams[1].n;
    struct work_report *report = malloc(n);
    if (!report)
        return muster_task_fail(1, "no memory for what the command said");
    *report = w->report;
    for (int stream = 0; stream < 2; stream++)
        report->rest[stream] = (int64_t)w->streams[stream].n;
    if (w->streams[0].n)
        memcpy(report->bytes, w->streams[0].bytes, w->streams[0].n);
    if (w->streams[1].n)
        memcpy(report->bytes + w->streams[0].n, w->streams[1].bytes, w->streams[1].n);
    int code = muster_task_return(report, n);
    free(report);
    return code;
}

int work_run(const void *item, void *result, const void *user)
{
    (void)result;
    const struct work_request *q = item;
    struct working w = {
        .shared = user, .request = q, .report = {.worker = muster_task_worker(), .rank = muster_rank()}};
    const char *shell = w.shared->strings, *directory = after(shell), *text = q->strings, *gpus = after(text);
    const char *word = after(gpus);
    char slot[16];
    char **argv = calloc((size_t)q->words + 1, sizeof *argv);
    w.news = malloc(sizeof *w.news + WORK_PIECE_BYTES);
    if (!argv || !w.news || !make_environment(&w, after(directory), gpus))
        return free(argv), free(w.news), muster_task_fail(1, "no memory to start a command");
    snprintf(w.report.host, sizeof w.report.host, "%s", muster_host());
    w.report.run = number_of_run();
    snprintf(slot, sizeof slot, "%d", muster_task_worker() + 1);
    char *filled = lines_slot(text, slot);
    for (int i = 0; i < q->words; i++, word = after(word))
        argv[i] = lines_slot(word, slot);

    wait_for_room(w.shared);
    struct child_request request = {.shell = shell,
                                    .text = filled,
                                    .argv = q->words && !w.own_path ? argv : NULL,
                                    .environment = w.environment.variables,
                                    .directory = *directory ? directory : NULL,
                                    .timeout_s = q->timeout_s,
                                    .memory_bytes = q->memory_bytes};
    struct child_listener listener = {.heard = heard, .called_off = called_off, .arg = &w};
    child_run(&request, &listener, &w.report.outcome);
    int code = give_report(&w);
    for (int i = 0; i < q->words; i++)
        free(argv[i]);
    free(argv);
    free(filled);
    free(w.environment.variables);
    free(w.news);
    free(w.streams[0].bytes);
    free(w.streams[1].bytes);
    return code;
}

int work_prepare(const void *item, void *result, const void *user)
{
    (void)item, (void)result, (void)user;
    child_prepare();
    return 0;
}
