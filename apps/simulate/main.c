/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * simulate: a parameter study of the two-dimensional Ising model. See options.c for its use.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <muster/muster.h>

#include "common/output.h"
#include "simulate/check.h"
#include "simulate/options.h"
#include "simulate/plot.h"
#include "simulate/quick.h"
#include "simulate/results.h"
#include "simulate/run.h"

#define CHECK_ROWS 8

/* Everything one run of the program works on. */
struct program {
    struct options options;
    struct experiment experiment;
    struct chain_result *results; /* by task */
    struct point *points;
    struct run_summary summary;
    bool files_failed;
};

static int load_experiment(struct program *p)
{
    char error[EXPERIMENT_ERROR_MAX];
    const char *path = p->options.experiment;
    int status = path ? experiment_read(path, &p->experiment, error)
                      : experiment_parse("quick.ini (built in)", quick_experiment, strlen(quick_experiment),
                                         &p->experiment, error);
    if (status != 0) {
        fprintf(stderr, "simulate: %s\n", error);
        return -1;
    }
    if (p->options.seed_given)
        p->experiment.seed = p->options.seed;
    return 0;
}

/* Each point from its finished replicas. */
static int estimate_points(struct program *p)
{
    const struct experiment *e = &p->experiment;
    const struct chain_result **finished = calloc((size_t)e->replicas, sizeof *finished);
    if (!finished)
        return -1;
    for (int i = 0; i < experiment_points(e); i++) {
        struct chain_task task = experiment_task(e, i * e->replicas);
        int n = 0;
        for (int r = 0; r < e->replicas; r++)
            if (p->results[i * e->replicas + r].finished)
                finished[n++] = &p->results[i * e->replicas + r];
        p->points[i] = point_estimate(&task, finished, n);
    }
    free(finished);
    return 0;
}

static void end_file(struct program *p, struct output_file *file, int written)
{
    if (written != 0)
        fclose(file->stream), unlink(file->temporary);
    if (written != 0 || output_commit(file) != 0) {
        fprintf(stderr, "simulate: %s: cannot be written: %s\n", file->path, strerror(errno));
        p->files_failed = true;
    }
}

static void write_file(struct program *p, const char *name)
{
    struct output_file file;
    int n = experiment_points(&p->experiment), written = 0;
    if (output_begin(&file, p->options.out, name) != 0) {
        fprintf(stderr, "simulate: %s/%s: cannot be written: %s\n", p->options.out, name, strerror(errno));
        p->files_failed = true;
        return;
    }
    if (strcmp(name, "results.csv") == 0)
        results_write_csv(file.stream, p->points, n);
    else if (strcmp(name, "results.gp") == 0)
        plot_write_script(file.stream, &p->experiment, p->points, n);
    else
        written = run_json_write(file.stream, &p->experiment, &p->summary);
    end_file(p, &file, written);
}

/* A picture left from an earlier run must not stand beside newer results. */
static void remove_picture(const char *directory)
{
    char path[OUTPUT_PATH_MAX];
    if (output_path(path, directory, "results.png") == 0)
        unlink(path);
}

/* After a signal there is no time for gnuplot; the script is there to be run later. Returns the picture's name or "".
 */
static const char *draw(const struct program *p)
{
    remove_picture(p->options.out);
    if (p->summary.finished == 0 || p->summary.interrupted)
        return "";
    switch (plot_draw(p->options.out)) {
    case PLOT_DRAWN:
        return ", results.png";
    case PLOT_NO_GNUPLOT:
        fprintf(stderr, "simulate: no picture: gnuplot is not installed\n");
        return "";
    default:
        fprintf(stderr, "simulate: no picture: gnuplot failed; try: cd '%s' && gnuplot results.gp\n", p->options.out);
        return "";
    }
}

static const char *plural(int n)
{
    return n == 1 ? "" : "s";
}

static void warn_of_short_bins(const struct program *p)
{
    int n = experiment_points(&p->experiment), affected = 0;
    for (int i = 0; i < n; i++)
        affected += point_is_short(&p->points[i]);
    if (affected > 0 && !p->options.quiet)
        fprintf(stderr,
                "simulate: bins at points (%d of %d) are shorter than 10 autocorrelation times of |m|, so that errors "
                "may be too small (bin_sweeps, m_tau in results.csv); more measurements or sweeps_between help\n",
                affected, n);
}

static void report(struct program *p)
{
    const struct run_summary *s = &p->summary;
    write_file(p, "results.csv");
    write_file(p, "run.json");
    if (s->finished > 0)
        write_file(p, "results.gp");
    const char *picture = draw(p);
    if (s->interrupted)
        fprintf(stderr, "simulate: stopped by signal %d (%s): tasks finished: %d of %d, their results are kept\n",
                s->interrupted, strsignal(s->interrupted), s->finished, s->tasks);
    warn_of_short_bins(p);
    if (p->options.quiet)
        return;
    if (s->finished > 0)
        results_print(stdout, p->points, experiment_points(&p->experiment));
    printf("\n%d of %d task%s in %.1f s on %d worker%s (%d rank%s, %d host%s): %.2f spin updates/ns, %.2f a worker\n",
           s->finished, s->tasks, plural(s->tasks), s->seconds, s->workers, plural(s->workers), s->ranks,
           plural(s->ranks), s->host_count, plural(s->host_count), s->seconds > 0 ? s->updates / s->seconds * 1e-9 : 0,
           s->busy_seconds > 0 ? s->updates / s->busy_seconds * 1e-9 : 0);
    if (s->known > 0)
        printf("%d of them by earlier runs\n", s->known);
    if (!p->files_failed)
        printf("in %s: results.csv, run.json%s%s\n", p->options.out, s->finished > 0 ? ", results.gp" : "", picture);
}

/* Returns 0 when all agree. */
static int compare_with_exact(const struct program *p)
{
    struct check check;
    if (check_points(p->points, experiment_points(&p->experiment), &check) != 0) {
        fprintf(stderr, "simulate: no memory for the check\n");
        return -1;
    }
    check_print(stdout, &check, p->points, CHECK_ROWS);
    int failed = check.failed;
    check_destroy(&check);
    return failed ? -1 : 0;
}

static int run_and_report(struct program *p)
{
    struct run_request request = {.experiment = &p->experiment,
                                  .workers = p->options.workers,
                                  .isolate = p->options.isolate,
                                  .show_progress = !p->options.quiet,
                                  .journal = p->options.journal,
                                  .anew = p->options.anew};
    int failed = run_study(&request, p->results, &p->summary);
    p->summary.experiment_file = p->options.experiment ? p->options.experiment : "quick.ini (built in)";
    if (estimate_points(p) != 0) {
        fprintf(stderr, "simulate: no memory for the results\n");
        return 1;
    }
    report(p);
    if (p->options.check && !p->summary.interrupted)
        failed |= compare_with_exact(p);
    run_summary_destroy(&p->summary);
    return failed || p->files_failed ? 1 : 0;
}

enum { PREPARED = -1 };

/* The command line, the experiment, where the files go. Returns PREPARED, or the exit status. */
static int prepare(struct program *p, int argc, char **argv)
{
    options_outcome outcome = options_parse(argc, argv, &p->options, stdout, stderr);
    if (outcome != OPTIONS_RUN)
        return outcome == OPTIONS_BAD ? 2 : 0;
    if (load_experiment(p) != 0)
        return 2;
    if (output_directory(p->options.out) != 0) {
        fprintf(stderr, "simulate: --out '%s' cannot be written: %s\n", p->options.out, strerror(errno));
        return 2;
    }
    return PREPARED;
}

/* On rank 0 alone. Returns the exit status. */
static int simulate(struct program *p)
{
    int status = 1;
    p->results = calloc((size_t)experiment_tasks(&p->experiment), sizeof *p->results);
    p->points = calloc((size_t)experiment_points(&p->experiment), sizeof *p->points);
    if (p->results && p->points)
        status = run_and_report(p);
    else
        fprintf(stderr, "simulate: no memory for all tasks (%d)\n", experiment_tasks(&p->experiment));
    free(p->results);
    free(p->points);
    return status;
}

/* Before any rank is started, where that is still to be done: --help and mistakes need none. */
int main(int argc, char **argv)
{
    struct program p = {0};
    bool launched = muster_launched();
    int status = launched ? PREPARED : prepare(&p, argc, argv);
    if (status != PREPARED)
        return status;
    muster_err err = muster_init(&argc, &argv, NULL);
    if (err != MUSTER_OK) {
        fprintf(stderr, "simulate: muster does not start: %s (%s)\n", muster_err_text(err), muster_err_detail());
        return 1;
    }
    if (launched)
        status = prepare(&p, argc, argv);
    if (status == PREPARED)
        status = simulate(&p);
    fflush(stdout);
    int end = muster_finalize();
    return end ? end : status;
}
