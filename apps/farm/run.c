/* SPDX-License-Identifier: BSD-3-Clause */
#include "farm/run.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "farm/status.h"

#define NEWS_BYTES     (2 * WORK_PIECE_BYTES + 4096)
#define LOOK_MS        200 /* how often the clock is looked at while nothing happens */
#define STATUS_SECONDS 1.0
#define NEWS_ITEMS     64 /* what is said waits for this process beyond so many pieces */
#define CRASHES        3  /* of workers: a command that ends them is not tried again then */

/* ---- what the callbacks' thread says ---- */

static muster_queue callback_news;

static void put_news(enum work_kind kind, void *arg, const void *bytes, size_t n)
{
    struct work_news *news = malloc(sizeof *news + n);
    if (!news) {
        fprintf(stderr, "farm: no memory\n");
        abort();
    }
    *news = (struct work_news){.kind = kind, .job = (intptr_t)arg};
    memcpy(news->bytes, bytes, n);
    (void)muster_queue_put(callback_news, news, sizeof *news + n, MUSTER_FOREVER);
    free(news);
}

static void on_result(const void *result, size_t result_bytes, void *arg)
{
    put_news(WORK_ENDED, arg, result, result_bytes);
}

static void on_error(const muster_task_error *error, void *arg)
{
    struct work_loss loss = {.err = error->err, .code = error->code, .rank = error->rank};
    snprintf(loss.host, sizeof loss.host, "%s", error->host);
    snprintf(loss.text, sizeof loss.text, "%s", error->text);
    put_news(WORK_LOST, arg, &loss, sizeof loss);
}

/* ---- handing out ---- */

/* The farm itself cannot go on; told at once, and everything ends. */
static void fail(struct farm *f, const char *what)
{
    progress_end(&f->progress);
    fprintf(stderr, "farm: %s\n", what);
    f->failed = true;
    run_stop(f, "the farm failed", true);
}

bool run_submit(struct farm *f, struct job *job)
{
    const struct options *o = f->options;
    int64_t index = job - f->jobs;
    char gpus[256];
    size_t bytes;
    muster_task task;
    struct work_request *request = command_request(job->command, index, job->attempt, o->timeout_s, o->memory_bytes,
                                                   place_gpus(job, gpus), &bytes);
    muster_callbacks callbacks = {.on_result = on_result, .on_error = on_error, .arg = (void *)(intptr_t)index};
    muster_submit_options options = {.retries = MUSTER_NO_RETRIES, .callbacks = &callbacks};
    if (f->place) {
        options.aim = MUSTER_AIM_HOST;
        options.aim_at = job->host;
    }
    job->is_placed = false;
    job->began = progress_clock();
    muster_err err =
        request ? muster_pool_submit(f->pool, &task, work_run, request, bytes, 0, &options) : MUSTER_ERR_NOMEM;
    if (err != MUSTER_OK && !f->terminated)
        fail(f, request ? muster_err_detail() : "no memory");
    free(request);
    return err == MUSTER_OK;
}

void run_stop(struct farm *f, const char *why, bool now)
{
    if (!f->stopping)
        f->why_stopped = why;
    f->stopping = true;
    if (now && !f->terminated) {
        f->terminated = true;
        muster_pool_terminate(f->pool); /* ends what runs; what is pending comes back as canceled */
    } else if (!f->terminated) {
        muster_pool_cancel_pending(f->pool);
    }
}

static struct job *free_job(struct farm *f)
{
    for (int i = 0; i < f->n_jobs; i++)
        if (!f->jobs[i].command)
            return &f->jobs[i];
    return NULL;
}

/* Whether what stands before it in the input allows it to begin now. */
static bool may_begin(struct farm *f, const struct command *c, struct job *job)
{
    bool never = false;
    *job = (struct job){.command = NULL, .attempt = 1};
    if (!f->place && (c->cores > 1 || c->gpus > 0)) {
        if (f->in_flight > 0)
            return false; /* who is where is not known of those that are out */
        f->place = place_make(f->pool, f->workers);
        if (!f->place)
            return fail(f, muster_err_detail()), false;
    }
    if (!f->place)
        return true;
    job->command = (struct command *)c;
    bool may = place_take(f->place, job, &never);
    job->command = NULL;
    if (never) {
        char text[200];
        snprintf(text, sizeof text, "command %lld: no host has what it wants: cores: %d, GPUs: %d", (long long)c->seq,
                 c->cores, c->gpus);
        fail(f, text);
    }
    return may;
}

static void go(struct farm *f, struct command *c, struct job *job)
{
    job->command = c;
    f->in_flight++;
    run_submit(f, job);
}

/* The next command of the input in `held`; false: there is none now. */
static bool take(struct farm *f)
{
    if (f->held)
        return true;
    enum feeder_said said = feeder_next(f->feeder, &f->held);
    if (said == FEEDER_ERROR)
        fail(f, feeder_error(f->feeder));
    f->input_ended = said == FEEDER_END || said == FEEDER_ERROR;
    if (said != FEEDER_COMMAND)
        return false;
    struct command *c = f->held;
    if (f->options->cores > c->cores)
        c->cores = f->options->cores;
    if (f->options->gpus > c->gpus)
        c->gpus = f->options->gpus;
    c->number = f->record ? record_number(f->record, c->text) : 0;
    if (c->number < 0 || (c->name && !follow_declare(&f->follow, c->name)))
        fail(f, "no memory");
    return true;
}

static bool park(struct farm *f, struct command *c)
{
    struct command **more = realloc(f->parked, (size_t)(f->n_parked + 1) * sizeof *more);
    if (!more)
        return fail(f, "no memory"), false;
    f->parked = more;
    more[f->n_parked++] = c;
    return true;
}

/* Whether those that it comes after let it begin; where they never will it is dealt with and *c NULL. */
static enum follow_may follows(struct farm *f, struct command **c)
{
    const char *unknown;
    if (!(*c)->after)
        return FOLLOW_NOW;
    enum follow_may may = follow_check(f->follow, (*c)->after, &unknown);
    if (may == FOLLOW_UNKNOWN) {
        char text[300];
        snprintf(text, sizeof text, "command %lld is to come after '%.100s', and no command before it has that name",
                 (long long)(*c)->seq, unknown);
        fail(f, text);
    } else if (may == FOLLOW_NEVER) {
        finish_never(f, *c);
        *c = NULL;
    }
    return may;
}

/* One of those that waited for others, before what is new. */
static bool hand_out_parked(struct farm *f, struct job *job)
{
    for (int i = 0; f->parked_may && i < f->n_parked; i++) {
        enum follow_may may = follows(f, &f->parked[i]);
        if (may == FOLLOW_LATER || (may == FOLLOW_NOW && !may_begin(f, f->parked[i], job)))
            continue;
        struct command *c = f->parked[i];
        f->n_parked--;
        memmove(&f->parked[i], &f->parked[i + 1], (size_t)(f->n_parked - i) * sizeof *f->parked);
        if (may == FOLLOW_NOW)
            go(f, c, job);
        return true;
    }
    f->parked_may = false;
    return false;
}

/* One command on its way, or dealt with; false: none may go now. */
static bool hand_out(struct farm *f)
{
    struct job *job = free_job(f);
    if (f->stopping || !job)
        return false;
    if (hand_out_parked(f, job))
        return true;
    if (!take(f))
        return false;
    struct command *c = f->held;
    if (c->wait && (f->in_flight > 0 || f->n_parked > 0))
        return false;
    if (f->record && f->options->resume && finish_known(f, c)) {
        f->held = NULL;
        command_free(c);
        return true;
    }
    enum follow_may may = follows(f, &f->held);
    if (may == FOLLOW_NEVER)
        return true;
    if (may == FOLLOW_UNKNOWN)
        return false;
    if (may == FOLLOW_LATER) {
        f->held = NULL;
        return park(f, c);
    }
    if (!may_begin(f, c, job))
        return false;
    f->held = NULL;
    go(f, c, job);
    return true;
}

/* ---- news ---- */

static struct ahead *ahead_of(struct job *job, uint64_t run)
{
    for (int i = 0; i < 2; i++)
        if (job->ahead[i].run == run)
            return &job->ahead[i];
    /* a run that nobody has heard of yet: in place of the older one, which its host's loss has ended */
    spool_clear(&job->ahead[1].spools[0]);
    spool_clear(&job->ahead[1].spools[1]);
    job->ahead[1] = job->ahead[0];
    job->ahead[0] = (struct ahead){.run = run};
    return &job->ahead[0];
}

static int say(void *arg, const char *bytes, size_t n)
{
    struct {
        struct farm *f;
        struct job *job;
        int stream;
    } *s = arg;
    out_said(s->f->out, s->job->command->tag, s->stream, bytes, n);
    return 0;
}

/* Line by line, what waited goes first. */
static void said(struct farm *f, struct job *job, const struct work_news *news, size_t n)
{
    struct ahead *ahead = ahead_of(job, news->run);
    struct spool *spool = &ahead->spools[news->stream];
    ahead->bytes[news->stream] += (int64_t)n;
    /* what a journal or results want is kept whole, and written at the end */
    bool kept = f->record || f->options->results;
    if (!kept && out_may_say(f->out, job->command->seq)) {
        struct {
            struct farm *f;
            struct job *job;
            int stream;
        } s = {f, job, news->stream};
        if (spool_each(spool, say, &s) == 0)
            spool_clear(spool);
        out_said(f->out, job->command->tag, news->stream, news->bytes, n);
    } else if (spool_add(spool, news->bytes, n) != 0) {
        char text[160];
        snprintf(text, sizeof text, "what commands say cannot be kept: %s", strerror(errno));
        fail(f, text);
    }
}

static void ended_if_all_came(struct farm *f, struct job *job)
{
    const struct work_report *r = job->report;
    struct ahead *ahead = r ? ahead_of(job, r->run) : NULL;
    if (!r || ahead->bytes[0] < r->ahead[0] || ahead->bytes[1] < r->ahead[1])
        return;
    bool added = spool_add(&ahead->spools[0], r->bytes, (size_t)r->rest[0]) == 0 &&
                 spool_add(&ahead->spools[1], r->bytes + r->rest[0], (size_t)r->rest[1]) == 0;
    if (!added)
        fail(f, "what commands say cannot be kept: no memory or disk");
    if (ahead != &job->ahead[0]) { /* the run that counts is the first */
        struct ahead other = job->ahead[0];
        job->ahead[0] = *ahead;
        *ahead = other;
    }
    finish_try(f, job);
}

static void take_news(struct farm *f, const struct work_news *news, size_t n)
{
    struct job *job = &f->jobs[news->job];
    size_t bytes = n - sizeof *news;
    bool is_of_try = job->command && job->attempt == news->attempt; /* else it comes from a try that is over */
    switch (news->kind) {
    case WORK_STARTED:
        if (is_of_try) {
            memcpy(&job->place, news->bytes, sizeof job->place);
            job->began = progress_clock() - WORK_STARTED_SECONDS;
            job->is_placed = true;
        }
        break;
    case WORK_SAID:
        if (is_of_try) {
            said(f, job, news, bytes);
            ended_if_all_came(f, job);
        }
        break;
    case WORK_ENDED:
        job->report = malloc(bytes);
        if (!job->report)
            return fail(f, "no memory");
        memcpy(job->report, news->bytes, bytes);
        ended_if_all_came(f, job);
        break;
    case WORK_LOST:
        finish_lost(f, job, (const struct work_loss *)news->bytes);
        break;
    case WORK_READY:
        break;
    }
}

/* ---- the loop ---- */

static void look_at_limit(struct farm *f)
{
    double median = f->options->timeout_percent > 0 ? report_median(f->report) : 0;
    if (median > 0)
        muster_value_i64_store(f->limit_ms, (int64_t)(10 * f->options->timeout_percent * median) + 1);
}

static void show(struct farm *f)
{
    struct report_counts *counts = report_counts(f->report);
    double now = progress_clock(), elapsed = now - f->progress.begin;
    counts->total = feeder_total(f->feeder);
    if (progress_due(&f->progress)) {
        char text[200], left[32] = "?", of[32] = "";
        int64_t ended = counts->done + counts->failed, fresh = ended - counts->known;
        if (counts->total >= 0) {
            snprintf(of, sizeof of, " of %lld", (long long)counts->total);
            if (fresh > 0)
                progress_duration(elapsed * (double)(counts->total - ended) / (double)fresh, left, sizeof left);
        }
        snprintf(text, sizeof text, "%lld%s done, %lld failed, %d running, %.1f/s%s%s", (long long)ended, of,
                 (long long)counts->failed, f->in_flight, elapsed > 0 ? (double)fresh / elapsed : 0,
                 counts->total >= 0 ? ", left: " : "", counts->total >= 0 ? left : "");
        progress_show(&f->progress, text);
    }
    if (f->options->status && now - f->status_shown >= STATUS_SECONDS) {
        char *text = status_text(f);
        f->status_shown = now;
        if (text)
            status_write(text, f->options->status);
        if (text && f->page)
            page_draw(f->page, text);
        free(text);
        look_at_limit(f);
    }
}

static void flush(struct farm *f)
{
    int error = out_flush(f->out);
    if (error == EPIPE)
        run_stop(f, "nobody reads the output any more", true);
    else if (error && !f->failed) {
        char text[128];
        snprintf(text, sizeof text, "the output cannot be written: %s", strerror(error));
        fail(f, text);
    }
    error = report_flush(f->report);
    if (error && !f->failed) {
        char text[4200];
        snprintf(text, sizeof text, "the job log %s cannot be written: %s", f->options->joblog, strerror(error));
        fail(f, text);
    }
}

/* The next news; what has been written is flushed before it waits. After a signal gets return at once: it looks again.
 */
static bool next_news(struct farm *f, size_t *n)
{
    muster_err err = muster_queue_get(f->news, f->buffer, NEWS_BYTES, n, MUSTER_NOWAIT);
    if (err == MUSTER_OK)
        return true;
    flush(f);
    err = muster_queue_get(f->news, f->buffer, NEWS_BYTES, n, LOOK_MS);
    if (err == MUSTER_ERR_INTERRUPTED)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    else if (err != MUSTER_OK && err != MUSTER_ERR_TIMEOUT && err != MUSTER_ERR_EMPTY && !f->failed)
        fail(f, muster_err_detail());
    return err == MUSTER_OK;
}

static const char *signal_text(int signal)
{
    return signal == SIGINT ? "stopped by SIGINT" : signal == SIGTERM ? "stopped by SIGTERM" : "stopped by SIGUSR1";
}

static void loop(struct farm *f)
{
    while (f->in_flight > 0 || (!f->stopping && (!f->input_ended || f->held || f->n_parked > 0))) {
        size_t n;
        if (muster_interrupted() && !f->stopping)
            run_stop(f, signal_text(muster_interrupted()), !f->options->finish);
        while (hand_out(f))
            ;
        if (f->in_flight == 0 && (f->stopping || (f->input_ended && !f->held && f->n_parked == 0)))
            break;
        if (next_news(f, &n))
            take_news(f, (const struct work_news *)f->buffer, n);
        show(f);
        if (f->failed && f->in_flight > 0 && f->terminated && muster_interrupted())
            break;
    }
}

/* ---- begin and end ---- */

static struct work_shared *shared_of(const struct farm *f, size_t *bytes)
{
    const struct options *o = f->options;
    char here[4096] = "";
    const char *directory = o->directory ? o->directory : getcwd(here, sizeof here);
    size_t n = sizeof(struct work_shared) + strlen(o->shell) + 1 + strlen(directory ? directory : "") + 1;
    for (int i = 0; i < o->n_environment; i++) {
        const char *value = strchr(o->environment[i], '=') ? "" : getenv(o->environment[i]);
        n += strlen(o->environment[i]) + 2 + strlen(value ? value : "");
    }
    struct work_shared *shared = calloc(1, n);
    if (!shared)
        return NULL;
    *shared = (struct work_shared){.news = f->news,
                                   .limit_ms = f->limit_ms,
                                   .has_limit = o->timeout_percent > 0,
                                   .by_lines = o->by_lines,
                                   .load = o->load,
                                   .memory_free = o->memory_free};
    char *at = stpcpy(shared->strings, o->shell) + 1;
    at = stpcpy(at, directory ? directory : "") + 1;
    for (int i = 0; i < o->n_environment; i++) {
        const char *value = getenv(o->environment[i]);
        if (strchr(o->environment[i], '='))
            at = stpcpy(at, o->environment[i]) + 1;
        else if (value)
            at += sprintf(at, "%s=%s", o->environment[i], value) + 1;
        else
            continue;
        shared->environment++;
    }
    *bytes = n;
    return shared;
}

static muster_err make_pool(struct farm *f)
{
    size_t bytes;
    struct work_shared *shared = shared_of(f, &bytes);
    muster_pool_options options = {.name = "farm",
                                   .workers = f->options->jobs * muster_hosts(),
                                   .isolated = true,
                                   .initializer = work_prepare,
                                   .user = shared,
                                   .user_bytes = shared ? bytes : 0};
    muster_err err = shared ? muster_pool_create(&f->pool, &options) : MUSTER_ERR_NOMEM;
    if (err == MUSTER_OK)
        err = muster_pool_workers(f->pool, &f->workers);
    free(shared);
    return err;
}

static bool begin(struct farm *f, struct lines *lines)
{
    const struct options *o = f->options;
    struct out_options out = {
        .keep_order = o->keep_order, .by_lines = o->by_lines, .tag = o->tag, .results = o->results};
    char here[4096] = "";
    f->buffer = malloc(NEWS_BYTES);
    f->out = out_open(&out, (FILE *[2]){stdout, stderr});
    if (!f->buffer || !f->out)
        return fprintf(stderr, "farm: no memory\n"), false;
    if (o->journal) {
        const char *directory = o->directory ? o->directory : getcwd(here, sizeof here);
        f->record = record_open(o->journal, o->shell, directory ? directory : "", o->anew);
        if (!f->record)
            return fprintf(stderr, "farm: %s\n", muster_err_detail()), false;
    }
    f->report = report_open(o->joblog, o->resume && !o->anew);
    if (!f->report)
        return fprintf(stderr, "farm: the job log %s: %s\n", o->joblog ? o->joblog : "", strerror(errno)), false;
    muster_err err = muster_queue_create(&f->news, &(muster_queue_options){.name = "news", .maxsize = NEWS_ITEMS});
    callback_news = f->news;
    if (err == MUSTER_OK)
        err = muster_value_i64_create(&f->limit_ms, 0, NULL);
    if (err == MUSTER_OK)
        err = make_pool(f);
    if (err != MUSTER_OK)
        return fprintf(stderr, "farm: %s\n", muster_err_detail()), false;
    f->n_jobs = 3 * f->workers + 8;
    f->jobs = calloc((size_t)f->n_jobs, sizeof *f->jobs);
    f->feeder = f->jobs ? feeder_start(lines, f->news) : NULL;
    if (!f->feeder)
        return fprintf(stderr, "farm: no memory\n"), false;
    f->page = o->live ? page_open() : NULL;
    f->progress = progress_start(stderr, !o->quiet && !f->page);
    return true;
}

static int64_t count_rest(struct farm *f)
{
    int64_t total = feeder_total(f->feeder);
    const struct report_counts *counts = report_counts(f->report);
    if (total >= 0)
        return total - counts->done - counts->failed;
    return -1;
}

/* What was not run, and why; what failed. */
static void last_words(struct farm *f)
{
    int64_t rest = f->stopping ? count_rest(f) : 0;
    page_close(f->page);
    f->page = NULL;
    progress_end(&f->progress);
    report_failures(f->report, stderr);
    if (f->stopping && rest > 0)
        fprintf(stderr, "farm: %lld not run: %s\n", (long long)rest, f->why_stopped);
    else if (f->stopping && rest < 0)
        fprintf(stderr, "farm: the rest of the input was not run: %s\n", f->why_stopped);
    if (f->not_run > 0)
        fprintf(stderr, "farm: %lld of them: a command that they come after failed\n", (long long)f->not_run);
}

static int exit_code(struct farm *f)
{
    int64_t failed = report_counts(f->report)->failed + f->not_run;
    if (f->failed)
        return FARM_EXIT_BAD;
    return failed > 101 ? 101 : (int)failed;
}

int run_farm(const struct options *options, struct lines *lines)
{
    struct farm f = {.options = options};
    int code = FARM_EXIT_BAD;
    if (begin(&f, lines)) {
        loop(&f);
        flush(&f);
        last_words(&f);
        code = exit_code(&f);
    }
    feeder_stop(f.feeder);
    command_free(f.held);
    if (f.pool.handle.job)
        muster_pool_destroy(f.pool);
    for (int i = 0; i < f.n_jobs; i++)
        command_free(f.jobs[i].command);
    free(f.jobs);
    for (int i = 0; i < f.n_parked; i++)
        command_free(f.parked[i]);
    free(f.parked);
    follow_free(f.follow);
    place_end(f.place);
    out_close(f.out);
    report_close(f.report);
    if (record_close(f.record) != MUSTER_OK) {
        fprintf(stderr, "farm: %s\n", muster_err_detail());
        code = FARM_EXIT_BAD;
    }
    if (options->status)
        status_remove(options->status);
    free(f.buffer);
    return code;
}
