/* SPDX-License-Identifier: BSD-3-Clause */
#include "farm/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FAILURES 10
#define SAMPLES  1024 /* of run times: the median of the last so many */

struct failure {
    int64_t seq;
    char *text, *last;
    char host[64], outcome[96];
};

struct report {
    FILE *log;
    int error;
    struct report_counts counts;
    struct failure failures[FAILURES];
    int n_failures;
    double seconds[SAMPLES];
    int64_t n_seconds;
};

struct report *report_open(const char *joblog, bool append)
{
    struct report *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->counts.total = -1;
    if (!joblog)
        return r;
    r->log = fopen(joblog, append ? "ae" : "we");
    if (!r->log) {
        free(r);
        return NULL;
    }
    fseek(r->log, 0, SEEK_END);
    if (ftell(r->log) <= 0)
        fputs("Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\tAttempt\n", r->log);
    return r;
}

const char *report_outcome(const struct child_outcome *o, char *text, size_t size)
{
    switch (o->end) {
    case CHILD_NOT_STARTED:
        snprintf(text, size, "could not be started: %s", strerror(o->error));
        break;
    case CHILD_TIMEOUT:
        snprintf(text, size, "over its time limit after %.1f s", o->seconds);
        break;
    case CHILD_CALLED_OFF:
        snprintf(text, size, "took %.1f s, too long beside the others", o->seconds);
        break;
    case CHILD_MEMORY:
        snprintf(text, size, "over its memory limit: had %.1f MiB", (double)o->peak_bytes / 1048576);
        break;
    case CHILD_OOM:
        snprintf(text, size, "killed by the kernel: out of memory");
        break;
    default:
        if (o->signal)
            snprintf(text, size, "killed by signal %d (%s)", o->signal, strsignal(o->signal));
        else
            snprintf(text, size, "exit code %d", o->code);
    }
    return text;
}

/* A command of several lines is one line of the log, as there is one a try. */
static void log_text(struct report *r, const char *text)
{
    for (; *text; text++)
        fputc(*text == '\n' ? ' ' : *text, r->log);
}

void report_try(struct report *r, const struct command *c, int attempt, const struct child_outcome *o, const char *host)
{
    bool limited = o->end == CHILD_TIMEOUT || o->end == CHILD_CALLED_OFF;
    r->counts.tries++;
    if (o->end == CHILD_ENDED && o->code == 0 && o->signal == 0)
        r->seconds[r->n_seconds++ % SAMPLES] = o->seconds;
    if (!r->log)
        return;
    fprintf(r->log, "%lld\t%s\t%.3f\t%10.3f\t0\t%lld\t%d\t%d\t", (long long)c->seq, host, o->begin, o->seconds,
            (long long)o->bytes[0], limited ? -1 : o->code, o->signal);
    log_text(r, c->text);
    fprintf(r->log, "\t%d\n", attempt);
}

struct tail {
    char bytes[4096];
    size_t n;
};

static int keep_tail(void *arg, const char *bytes, size_t n)
{
    struct tail *t = arg;
    if (n > sizeof t->bytes)
        bytes += n - sizeof t->bytes, n = sizeof t->bytes;
    size_t drop = t->n + n > sizeof t->bytes ? t->n + n - sizeof t->bytes : 0;
    memmove(t->bytes, t->bytes + drop, t->n - drop);
    memcpy(t->bytes + t->n - drop, bytes, n);
    t->n += n - drop;
    return 0;
}

static char *last_line(const struct spool *said)
{
    struct tail tail = {.n = 0};
    if (spool_each(said, keep_tail, &tail) != 0)
        return NULL;
    while (tail.n && strchr("\n\r \t", tail.bytes[tail.n - 1]))
        tail.n--;
    const char *begin = memrchr(tail.bytes, '\n', tail.n);
    begin = begin ? begin + 1 : tail.bytes;
    return strndup(begin, (size_t)(tail.bytes + tail.n - begin));
}

void report_command(struct report *r, const struct command *c, const struct record_end *end, bool well, bool known,
                    const struct spool *said)
{
    r->counts.known += known;
    if (well) {
        r->counts.done++;
        return;
    }
    r->counts.failed++;
    if (r->n_failures == FAILURES)
        return;
    struct failure *f = &r->failures[r->n_failures++];
    *f = (struct failure){.seq = c->seq, .text = strdup(c->text), .last = last_line(said)};
    snprintf(f->host, sizeof f->host, "%s", end->host);
    report_outcome(&end->outcome, f->outcome, sizeof f->outcome);
}

struct report_counts *report_counts(struct report *r)
{
    return &r->counts;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double report_median(const struct report *r)
{
    double sorted[SAMPLES];
    size_t n = r->n_seconds < SAMPLES ? (size_t)r->n_seconds : SAMPLES;
    if (n < 3)
        return 0;
    memcpy(sorted, r->seconds, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_size);
    return sorted[n / 2];
}

int report_flush(struct report *r)
{
    errno = 0;
    if (r->log && (fflush(r->log) != 0 || ferror(r->log)) && !r->error)
        r->error = errno ? errno : EIO;
    return r->error;
}

void report_failures(const struct report *r, FILE *stream)
{
    if (r->counts.failed == 0)
        return;
    fprintf(stream, "farm: %lld command%s failed%s\n", (long long)r->counts.failed, r->counts.failed == 1 ? "" : "s",
            r->counts.failed > FAILURES ? "; the first ten:" : ":");
    for (int i = 0; i < r->n_failures; i++) {
        const struct failure *f = &r->failures[i];
        fprintf(stream, "farm: %lld: %.200s: %s, on %s%s%.200s\n", (long long)f->seq, f->text ? f->text : "",
                f->outcome, f->host, f->last && *f->last ? ": " : "", f->last ? f->last : "");
    }
}

void report_close(struct report *r)
{
    if (!r)
        return;
    if (r->log)
        fclose(r->log);
    for (int i = 0; i < r->n_failures; i++)
        free(r->failures[i].text), free(r->failures[i].last);
    free(r);
}
