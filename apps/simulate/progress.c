/* SPDX-License-Identifier: BSD-3-Clause */
#include "simulate/progress.h"

#include <math.h>

struct study_progress study_progress_start(FILE *stream, bool wanted, int tasks, double work, int workers)
{
    return (struct study_progress){
        .line = progress_start(stream, wanted), .tasks = tasks, .work = work, .workers = workers};
}

void study_progress_format(const struct study_progress *p, double elapsed, char *text, size_t size)
{
    char left[32] = "?";
    double rate = elapsed > 0 ? p->work_done / elapsed : 0;
    double load = elapsed > 0 && p->workers > 0 ? p->busy_seconds / (elapsed * p->workers) : 0;
    if (rate > 0)
        progress_duration((p->work - p->work_done) / rate, left, sizeof left);
    snprintf(text, size, "%d of %d task%s, %.2f spin updates/ns, %s left, workers %.0f%% busy", p->tasks_done, p->tasks,
             p->tasks == 1 ? "" : "s", rate * 1e-9, left, 100 * fmin(load, 1));
}

void study_progress_show(struct study_progress *p)
{
    char text[160];
    if (!progress_due(&p->line))
        return;
    study_progress_format(p, progress_clock() - p->line.begin, text, sizeof text);
    progress_show(&p->line, text);
}
