/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * results.gp, a gnuplot script that draws results.csv beside it with the exact curves, and results.png made by it.
 */
#ifndef SIMULATE_PLOT_H
#define SIMULATE_PLOT_H

#include <stdio.h>

#include "simulate/experiment.h"
#include "simulate/statistics.h"

/** What plot_draw came to. */
typedef enum plot_outcome {
    PLOT_DRAWN,
    PLOT_NO_GNUPLOT, /**< not installed */
    PLOT_FAILED      /**< gnuplot ran and failed */
} plot_outcome;

/** Writes the script for these n points (n >= 1 with finished replicas). */
void plot_write_script(FILE *stream, const struct experiment *e, const struct point *points, int n);

/** Runs `gnuplot results.gp` in the directory and puts results.png in place. Waits for it (about a second). */
plot_outcome plot_draw(const char *directory);

#endif
