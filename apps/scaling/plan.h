/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is to be run: a program at several numbers of ranks and values of parameters, each some times.
 */
#ifndef SCALING_PLAN_H
#define SCALING_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "scaling/fit.h"

#define PLAN_PARAMETERS 8
#define PLAN_VALUES     64

struct parameter {
    const char *name;
    const char *values[PLAN_VALUES];
    int n;
};

struct options {
    int ranks[PLAN_VALUES], n_ranks;
    struct parameter parameters[PLAN_PARAMETERS];
    int n_parameters;
    int repetitions, warm_ups;
    bool weak, quiet, done;
    uint64_t seed;
    double timeout_s; /**< 0: none */
    const char *launcher, *out, *time_from, *kernel, *kernel_run;
    char **program; /**< its words */
    int n_program;
};

/** One number of ranks with one value of each parameter. */
struct point {
    int ranks, values[PLAN_PARAMETERS]; /**< values: which of each parameter */
    double *times;                      /**< of the runs that went well */
    int n_times, failures;
    double waited; /**< part of the ranks' time that the last run spent waiting in muster; < 0: not known */
    struct summary summary;
    double speed_up, efficiency; /**< beside the same values at the fewest ranks; 0: not known */
};

struct plan {
    const struct options *options;
    struct point *points;
    int n_points;
    int *order; /**< of all runs: which point; in random order */
    int n_order;
};

/** Parses; returns -1, or the exit code: said. */
int options_parse(int argc, char **argv, struct options *options);

/** False: no memory. */
bool plan_make(struct plan *plan, const struct options *options);
void plan_free(struct plan *plan);

/** "{np}" and "{name}" of a word replaced by what they are at the point; for free(). */
char *plan_fill(const struct plan *plan, const struct point *point, const char *word);

/** "size=10 seed=2", or "". */
const char *plan_values(const struct plan *plan, const struct point *point, char *text, int size);

/** After all runs: summaries, speed-ups. */
void plan_evaluate(struct plan *plan);

#endif
