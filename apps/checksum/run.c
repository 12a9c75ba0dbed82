/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files go out in batches, each a task, and are reported in the order in which they came: the batches that are out
 * stand in a ring, and home waits for the first. It runs tasks meanwhile, and then a large file may take long: so each
 * task that reads here calls tick now and then, which sends further batches out. How many are out goes by need:
 * more when the first one takes long.
 */
#include "checksum/run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <muster/muster.h>

#include "checksum/collect.h"
#include "checksum/report.h"
#include "checksum/resume.h"
#include "checksum/ring.h"
#include "checksum/sink.h"
#include "checksum/source.h"
#include "checksum/work.h"
#include "common/progress.h"

#define WAIT_MS    20
#define STEP       32 /* batches a worker that are out, and more each time that the first one takes long */
#define LEFTOVER_S 0.5
#define KEEP_S     0.1

struct run {
    const struct options *options;
    muster_pool pool;
    int64_t workers;
    struct source source;
    struct entry held; /* the source's last entry, if it is not in a batch yet */
    bool holding;
    struct ring ring;
    struct report report;
    struct progress progress;
    bool progress_shown;
    size_t target; /* batches that may be out now */
    bool filling;
    bool in_task;                 /* that reads a file here */
    bool ended;                   /* there is no more input */
    bool waiting;                 /* there is none now */
    bool stopped;                 /* by a signal, or because nothing can go on */
    double until;                 /* then: how long to ask for what is still in hand */
    struct work_context *context; /* what workers are told */
    struct resume *resume;        /* NULL: none */
    double keep_next;             /* when to look again at what is finished behind the first batch */
    int64_t again;                /* files that were read by an earlier run */
    struct sink sink;
    bool unwritable; /* it is; said */
};

/* The run whose home this process is. */
static struct run *home;

static void hide_progress(void *arg)
{
    struct run *run = arg;
    if (run->progress_shown)
        progress_end(&run->progress);
    run->progress_shown = false;
}

static void show_progress(struct run *run)
{
    char text[120];
    const struct report *report = &run->report;
    if (!progress_due(&run->progress))
        return;
    double seconds = progress_clock() - run->progress.begin, gigabytes = (double)report->bytes * 1e-9;
    snprintf(text, sizeof text, "%lld file%s, %.2f GB, %.2f GB/s", (long long)report->files,
             report->files == 1 ? "" : "s", gigabytes, seconds > 0 ? gigabytes / seconds : 0);
    progress_show(&run->progress, text);
    run->progress_shown = true;
}

static void complain(struct run *run, const char *what, muster_err err)
{
    hide_progress(run);
    fprintf(stderr, "checksum: %s: %s (%s)\n", what, muster_err_text(err), muster_err_detail());
    run->report.failed = true;
}

static void stop(struct run *run)
{
    if (run->stopped)
        return;
    run->stopped = run->ended = true;
    run->until = progress_clock() + LEFTOVER_S;
    muster_pool_cancel_pending(run->pool);
}

static void output_failed(struct run *run)
{
    if (!run->unwritable) {
        hide_progress(run);
        fprintf(stderr, "checksum: %s: cannot be written: %s\n",
                run->options->output ? run->options->output : "standard output", strerror(errno));
    }
    run->unwritable = run->report.failed = true;
    stop(run);
}

/* So that who reads a pipe has what is done, before home waits. */
static void flush(struct run *run)
{
    if (fflush(run->report.out) != 0)
        output_failed(run);
}

/* ---- what files come to ---- */

/* What an entry came to, and it is kept for a later run. False: it is not known. */
static bool settle(struct run *run, struct slot *slot, size_t i, collect_fn take, struct outcome *outcome,
                   const char **host)
{
    struct slot_entry *e = &slot->entries[i];
    if (!collect(slot, i, take, run, outcome, host))
        return false;
    if (outcome->error == OUTCOME_SAME) {
        *outcome = *e->before;
        run->again += !e->recorded;
    } else if (run->resume && !outcome->error && !e->recorded) {
        struct entry entry = slot_entry(slot, i);
        resume_put(run->resume, &entry, outcome);
    }
    e->recorded = true;
    return true;
}

static muster_err take_ready(void *arg, muster_task task, void **result)
{
    (void)arg;
    muster_err err = muster_task_take(task, result, NULL, MUSTER_NOWAIT);
    return err == MUSTER_ERR_INTERRUPTED ? MUSTER_ERR_TIMEOUT : err;
}

/* While the first batch takes long: what is finished behind it goes into the journal, so that it is not done again if
 * this run is killed. */
static void keep_ready(struct run *run)
{
    struct outcome outcome;
    const char *host;
    if (!run->resume || progress_clock() < run->keep_next)
        return;
    for (size_t n = 1; n < run->ring.n; n++) {
        struct slot *slot = ring_at(&run->ring, n);
        for (size_t i = 0; i < slot->n; i++)
            if (!slot->entries[i].recorded && !settle(run, slot, i, take_ready, &outcome, &host) && !slot->answer)
                break;
    }
    run->keep_next = progress_clock() + KEEP_S;
}

/* ---- out ---- */

static muster_err send(struct run *run, struct slot *slot)
{
    size_t bytes;
    if (slot->out == 0)
        return MUSTER_OK;
    void *message = slot_message(slot, &bytes);
    if (!message)
        return MUSTER_ERR_NOMEM;
    muster_err err = muster_pool_submit(run->pool, &slot->task, work_run, message, bytes, 0, NULL);
    free(message);
    slot->sent = err == MUSTER_OK;
    return err;
}

/* The next entry, in run->held. False: none now; none that may be read within a task that reads another one, as
 * standard input. */
static bool hold(struct run *run)
{
    if (!run->holding) {
        source_state state = source_next(&run->source, &run->held);
        run->holding = state == SOURCE_ENTRY;
        run->ended = state == SOURCE_END;
        run->waiting = state == SOURCE_LATER;
    }
    return run->holding && !(run->held.is_input && run->in_task);
}

static int put(struct run *run, struct slot *slot, const struct entry *entry)
{
    struct outcome outcome = {.error = entry->error}, before;
    if (entry->is_input) /* this process's: it is read at once */
        work_input(entry->algorithm, &outcome);
    bool known = entry->is_input || entry->error;
    bool found = !known && run->resume && resume_find(run->resume, entry, &before);
    return slot_add(slot, entry, known ? &outcome : NULL, found ? &before : NULL);
}

/* Another batch. False: there is no input now, or no room. */
static bool fill_one(struct run *run)
{
    /* small ones at first, so that of few files each worker has some */
    size_t limit = (size_t)(1 + run->ring.entries / (8 * run->workers));
    struct slot *slot = ring_room(&run->ring);
    muster_err err = MUSTER_OK;
    if (!slot && ring_first(&run->ring))
        return false;
    if (!slot)
        err = MUSTER_ERR_NOMEM;
    while (err == MUSTER_OK && hold(run) && slot_takes(slot, &run->held, limit)) {
        run->holding = false;
        if (put(run, slot, &run->held) != 0)
            err = MUSTER_ERR_NOMEM;
    }
    if (err == MUSTER_OK && slot->n == 0)
        return false;
    if (err == MUSTER_OK)
        err = send(run, slot);
    if (slot)
        ring_push(&run->ring);
    if (err != MUSTER_OK) {
        complain(run, "files cannot be handed out", err);
        stop(run);
    }
    return err == MUSTER_OK;
}

static void fill(struct run *run)
{
    run->filling = true;
    while (!run->ended && run->ring.n < run->target && fill_one(run))
        continue;
    run->filling = false;
}

/* A task that runs here takes its time: meanwhile others want work. */
static void tick(void)
{
    struct run *run = home;
    show_progress(run);
    if (run->filling)
        return; /* fill_one reads standard input */
    keep_ready(run);
    run->in_task = true;
    run->target += (size_t)(STEP * run->workers);
    fill(run);
    run->in_task = false;
}

/* ---- back ---- */

/* collect_fn: waits, and sends others out meanwhile. After a stop, for what is in hand yet, a little while. */
static muster_err take_waiting(void *arg, muster_task task, void **result)
{
    struct run *run = arg;
    for (;;) {
        muster_err err = muster_task_take(task, result, NULL, run->stopped ? MUSTER_NOWAIT : WAIT_MS);
        if (muster_interrupted() && !run->stopped) {
            stop(run);
        } else if (err != MUSTER_ERR_TIMEOUT && err != MUSTER_ERR_INTERRUPTED) {
            return err;
        } else if (run->stopped) {
            if (progress_clock() >= run->until)
                return MUSTER_ERR_TIMEOUT;
            nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
        } else {
            run->target += (size_t)(STEP * run->workers);
            fill(run);
            keep_ready(run);
            show_progress(run);
            flush(run);
        }
    }
}

static void take_first(struct run *run)
{
    struct slot *slot = ring_first(&run->ring);
    for (size_t i = 0; i < slot->n; i++) {
        struct entry entry = slot_entry(slot, i);
        struct outcome outcome;
        const char *host;
        if (!settle(run, slot, i, take_waiting, &outcome, &host) || outcome.error == OUTCOME_OPEN)
            continue;
        if (outcome.error == OUTCOME_LOST && !run->stopped) { /* the file may well be there yet */
            work_here(run->context, &entry, &outcome);
            host = muster_host();
        }
        report_entry(&run->report, &entry, &outcome, *host && muster_hosts() > 1 ? host : NULL);
    }
    ring_pop(&run->ring);
}

/* ---- all ---- */

static void hand_out(struct run *run)
{
    size_t base = (size_t)(STEP * run->workers);
    for (;;) {
        run->target = run->ring.n > base ? run->ring.n : base;
        fill(run);
        show_progress(run);
        if (muster_interrupted())
            stop(run);
        if (ring_first(&run->ring))
            take_first(run);
        else if (run->ended)
            return;
        else if (run->waiting)
            flush(run), source_wait(&run->source, WAIT_MS);
    }
}

static void find_extra(struct run *run)
{
    struct entry entry;
    while (!muster_interrupted() && source_extra(&run->source, &entry) == SOURCE_ENTRY) {
        show_progress(run);
        if (entry.error)
            report_entry(&run->report, &entry, &(struct outcome){.error = entry.error}, NULL);
        else
            report_extra(&run->report, entry.path);
    }
    if (muster_interrupted())
        stop(run);
}

static int finish(struct run *run)
{
    int signal = muster_interrupted();
    hide_progress(run);
    run->report.bad_lines = run->source.list.bad;
    bool kept = resume_close(run->resume) == 0;
    run->resume = NULL;
    run->report.failed |= run->source.failed || !kept || (run->stopped && !signal);
    if (run->again > 0 && !run->options->quiet && !run->options->status)
        fprintf(stderr, "checksum: %lld of %lld file%s had been read before\n", (long long)run->again,
                (long long)run->report.files, run->report.files == 1 ? "" : "s");
    if (signal)
        fprintf(stderr, "checksum: stopped by signal %d (%s): what was finished is written\n", signal,
                strsignal(signal));
    int code = report_end(&run->report, run->stopped);
    if (sink_close(&run->sink) != 0)
        output_failed(run);
    return run->report.failed && !(code & EXIT_FAILED) ? code + EXIT_FAILED : code;
}

static int with_pool(struct run *run)
{
    int workers = 1;
    muster_pool_workers(run->pool, &workers);
    run->workers = workers > 0 ? workers : 1;
    run->report.out = run->sink.stream;
    source_begin(&run->source, run->options);
    /* lines of output are progress enough where somebody looks at them */
    bool quiet = run->options->quiet || run->options->status;
    run->progress = progress_start(stderr, !quiet && (run->options->output || !progress_terminal(STDOUT_FILENO)));
    home = run;
    work_tick = tick;
    hand_out(run);
    if (run->options->strict && !run->stopped)
        find_extra(run);
    work_tick = NULL;
    source_end(&run->source);
    return finish(run);
}

static int make_pool(struct run *run)
{
    size_t bytes;
    struct stat output; /* may lie in a tree */
    bool listed = run->options->lists_n == 0 && sink_is_file(&run->sink, &output);
    run->context = work_context(run->options->follow, listed ? &output : NULL, &bytes);
    if (!run->context) {
        fprintf(stderr, "checksum: the working directory cannot be told: %s\n", strerror(errno));
        return -1;
    }
    muster_err err = muster_pool_create(
        &run->pool,
        &(muster_pool_options){.name = "checksum", .user = run->context, .user_bytes = bytes, .retries = 1});
    if (err != MUSTER_OK)
        complain(run, "no pool", err);
    return err == MUSTER_OK ? 0 : -1;
}

int run_all(const struct options *options)
{
    int code = EXIT_FAILED;
    struct run *run = calloc(1, sizeof *run);
    if (!run) {
        fprintf(stderr, "checksum: no memory\n");
        return code;
    }
    run->options = options;
    run->report =
        (struct report){.options = options, .err = stderr, .before_message = hide_progress, .before_arg = run};
    if (options->resume && !(run->resume = resume_open(options->resume, options->anew))) {
        code = EXIT_BAD;
    } else if (sink_open(&run->sink, options->output) != 0) {
        output_failed(run);
    } else if (make_pool(run) == 0) {
        code = with_pool(run);
        muster_pool_destroy(run->pool);
    }
    if (sink_close(&run->sink) != 0)
        output_failed(run);
    resume_close(run->resume);
    ring_free(&run->ring);
    free(run->context);
    free(run);
    return code;
}
