#include "simulate/progress.h"

#include <math.h>
#include <time.h>
#include <unistd.h>

#define PERIOD_SECONDS 0.2

double progress_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct progress progress_start(FILE *stream, bool wanted, int tasks, double work, int workers)
{
    struct progress p = {.tasks = tasks, .work = work, .workers = workers, .begin = progress_clock()};
    if (wanted && isatty(fileno(stream)))
        p.stream = stream;
    return p;
}

static void format_duration(double seconds, char *text, size_t size)
{
    long s = lround(seconds);
    if (s < 60)
        snprintf(text, size, "%ld s", s);
    else if (s < 3600)
        snprintf(text, size, "%ld:%02ld min", s / 60, s % 60);
    else
        snprintf(text, size, "%ld:%02ld h", s / 3600, s / 60 % 60);
}

void progress_format(const struct progress *p, double elapsed, char *text, size_t size)
{
    char left[32] = "?";
    double rate = elapsed > 0 ? p->work_done / elapsed : 0;
    double load = elapsed > 0 && p->workers > 0 ? p->busy_seconds / (elapsed * p->workers) : 0;
    if (rate > 0)
        format_duration((p->work - p->work_done) / rate, left, sizeof left);
    snprintf(text, size, "%d of %d task%s, %.2f spin updates/ns, %s left, workers %.0f%% busy", p->tasks_done, p->tasks,
             p->tasks == 1 ? "" : "s", rate * 1e-9, left, 100 * fmin(load, 1));
}

void progress_show(struct progress *p)
{
    double now = progress_clock();
    if (!p->stream || now - p->shown < PERIOD_SECONDS)
        return;
    char text[160];
    p->shown = now;
    progress_format(p, now - p->begin, text, sizeof text);
    fprintf(p->stream, "\r\033[K%s", text);
    fflush(p->stream);
}

void progress_end(struct progress *p)
{
    if (p->stream && p->shown > 0) {
        fprintf(p->stream, "\r\033[K");
        fflush(p->stream);
    }
}
