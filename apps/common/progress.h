/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The progress line of a program: on a terminal, also on mpirun's, over itself; elsewhere, as in a batch job's log, one
 * a minute.
 */
#ifndef COMMON_PROGRESS_H
#define COMMON_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct progress {
    FILE *stream;        /**< NULL: show nothing */
    double begin, shown; /**< seconds on the monotonic clock */
    bool in_place;       /**< on a terminal: it is written over itself */
};

/** Seconds on the monotonic clock. */
double progress_clock(void);

/** Whether mpirun has started this process, on its own host. */
bool progress_under_mpirun(void);

/** Whether somebody looks at what is written to fd (1 or 2). Under mpirun, which may hand ranks a terminal of its own
 * to write to, that is where mpirun writes. */
bool progress_terminal(int fd);

/** Starts; shows lines only when wanted. */
struct progress progress_start(FILE *stream, bool wanted);

/** Whether it is time for the next line: 0.2 s after the last one; a minute, where that is no terminal. */
bool progress_due(const struct progress *p);

/** Shows a line, without its control characters and end. */
void progress_show(struct progress *p, const char *text);

/** Takes the line off a terminal: before something else is written there, and at the end. */
void progress_end(struct progress *p);

/** "12 s", "3:05 min", "2:07 h"; returns text, which holds size bytes. */
char *progress_duration(double seconds, char *text, size_t size);

#endif
