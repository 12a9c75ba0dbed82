/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/progress.h"

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

bool progress_under_mpirun(void)
{
    char path[48], name[32] = "";
    snprintf(path, sizeof path, "/proc/%d/comm", (int)getppid());
    FILE *file = fopen(path, "r");
    if (file && !fgets(name, sizeof name, file))
        name[0] = '\0';
    if (file)
        fclose(file);
    return strcmp(name, "mpirun\n") == 0 || strcmp(name, "mpiexec\n") == 0 || strcmp(name, "orterun\n") == 0;
}

bool progress_terminal(int fd)
{
    char path[48], where[64];
    if (!progress_under_mpirun())
        return isatty(fd);
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getppid(), fd);
    ssize_t size = readlink(path, where, sizeof where - 1);
    where[size > 0 ? size : 0] = '\0';
    return strncmp(where, "/dev/pts/", 9) == 0 || strncmp(where, "/dev/tty", 8) == 0;
}

struct progress progress_start(FILE *stream, bool wanted)
{
    struct progress p = {.begin = progress_clock()};
    if (wanted)
        p.stream = stream;
    p.in_place = progress_terminal(fileno(stream));
    p.shown = p.in_place ? 0 : p.begin;
    return p;
}

bool progress_due(const struct progress *p)
{
    return p->stream && progress_clock() - p->shown >= (p->in_place ? LINE_SECONDS : LOG_SECONDS);
}

void progress_show(struct progress *p, const char *text)
{
    if (!p->stream)
        return;
    p->shown = progress_clock();
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

char *progress_duration(double seconds, char *text, size_t size)
{
    long s = lround(seconds);
    if (s < 60)
        snprintf(text, size, "%ld s", s);
    else if (s < 3600)
        snprintf(text, size, "%ld:%02ld min", s / 60, s % 60);
    else
        snprintf(text, size, "%ld:%02ld h", s / 3600, s / 60 % 60);
    return text;
}
