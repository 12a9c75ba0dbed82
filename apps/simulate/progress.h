/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The progress line: on a terminal, also on mpirun's; elsewhere, as in a batch job's log, one a minute.
 */
#ifndef SIMULATE_PROGRESS_H
#define SIMULATE_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct progress {
    FILE *stream; /**< NULL: show nothing */
    int tasks, tasks_done;
    double work, work_done; /**< spin updates */
    double busy_seconds;    /**< in finished tasks, all workers together */
    int workers;
    double begin, shown; /**< seconds on the monotonic clock */
    bool in_place;       /**< on a terminal: it is written over itself */
};

/** Seconds on the monotonic clock. */
double progress_clock(void);

/** Starts; shows the line only when wanted. */
struct progress progress_start(FILE *stream, bool wanted, int tasks, double work, int workers);

/** Shows the line again if the last time is at least 0.2 s ago; a minute, where that is no terminal. */
void progress_show(struct progress *p);

/** Removes the line from a terminal. */
void progress_end(struct progress *p);

/** The line without its control characters, for `elapsed` seconds; text holds size bytes. */
void progress_format(const struct progress *p, double elapsed, char *text, size_t size);

#endif
