/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scaling: the scaling test of a program. See options.c for its use.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "scaling/kernel.h"
#include "scaling/plan.h"
#include "scaling/report.h"
#include "scaling/run.h"

/* 1, 2, 4 ... and all cores. */
static void choose_ranks(struct options *o)
{
    int cores = (int)sysconf(_SC_NPROCESSORS_ONLN);
    for (int n = 1; n < cores && o->n_ranks < PLAN_VALUES - 1; n *= 2)
        o->ranks[o->n_ranks++] = n;
    o->ranks[o->n_ranks++] = cores;
}

int main(int argc, char **argv)
{
    struct options options;
    struct plan plan;
    char self[4096];
    double load = -1;
    int code = options_parse(argc, argv, &options);
    if (code >= 0)
        return code;
    if (options.kernel_run)
        return kernel_run(&argc, &argv, options.kernel_run);
    if (!options.n_ranks)
        choose_ranks(&options);
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    if (!plan_make(&plan, &options))
        return fprintf(stderr, "scaling: no memory\n"), 2;
    getloadavg(&load, 1);
    int failed = run_all(&plan, self);
    if (failed >= 0) {
        plan_evaluate(&plan);
        if (!options.quiet)
            report_page(&plan, load, stdout);
        if (report_files(&plan, load) != 0)
            failed = failed ? failed : 1;
    }
    plan_free(&plan);
    if (run_stopped())
        return 128 + run_stopped();
    return failed < 0 ? 2 : failed > 0;
}
