/* SPDX-License-Identifier: BSD-3-Clause */
#include "simulate/progress.h"

#include <math.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_SECONDS 0.2 /* on a terminal, over itself */
#define LOG_SECONDS  60  /* elsewhere, one below the other */

double progress_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Under mpirun this process writes into a pipe, and mpirun where somebody may look. */
static bool parent_has_terminal(int fd)
{
    char path[48], name[32] = "", where[64];
    snprintf(path, sizeof path, "/proc/%d/comm", (int)getppid());
    FILE *file = fopen(path, "r");
    if (file && !fgets(name, sizeof name, file))
        name[0] = '\0';
    if (file)
        fclose(file);
    if (strcmp(name, "mpirun\n") && strcmp(name, "mpiexec\n") && strcmp(name, "orterun\n"))
        return false;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getppid(), fd);
    ssize_t size = readlink(path, where, sizeof where - 1);
    where[size > 0 ? size : 0] = '\0';
    return strncmp(where, "/dev/pts/", 9) == 0 || strncmp(where, "/dev/tty", 8) == 0;
}

struct progress progress_start(FILE *stream, bool wanted, int tasks, double work, int workers)
{
    struct progress p = {.tasks = tasks, .work = work, .workers = workers, .begin = progress_clock()};
    if (wanted)
        p.stream = stream;
    p.in_place = isatty(fileno(stream)) || parent_has_terminal(fileno(stream));
    p.shown = p.in_place ? 0 : p.begin;
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
    if (!p->stream || now - p->shown < (p->in_place ? LINE_SECONDS : LOG_SECONDS))
        return;
    char text[160];
    p->shown = now;
    progress_format(p, now - p->begin, text, sizeof text);
    fprintf(p->stream, p->in_place ? "\r\033[K%s" : "%s\n", text);
    fflush(p->stream);
}

void progress_end(struct progress *p)
{
    if (p->stream && p->in_place && p->shown > 0) {
        fprintf(p->stream, "\r\033[K");
        fflush(p->stream);
    }
}
