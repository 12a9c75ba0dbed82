/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the progress line of a study says.
 */
#ifndef SIMULATE_PROGRESS_H
#define SIMULATE_PROGRESS_H

#include "common/progress.h"

struct study_progress {
    struct progress line;
    int tasks, tasks_done;
    double work, work_done; /**< spin updates */
    double busy_seconds;    /**< in finished tasks, all workers together */
    int workers;
};

/** Starts; shows the line only when wanted. */
struct study_progress study_progress_start(FILE *stream, bool wanted, int tasks, double work, int workers);

/** Shows the line again where that is due. */
void study_progress_show(struct study_progress *p);

/** The line without its control characters, for `elapsed` seconds; text holds size bytes. */
void study_progress_format(const struct study_progress *p, double elapsed, char *text, size_t size);

#endif
