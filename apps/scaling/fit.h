/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Statistics of run times, and the laws that they are fitted to. Without files.
 */
#ifndef SCALING_FIT_H
#define SCALING_FIT_H

#include <stdbool.h>

/** Of repetitions: seconds. */
struct summary {
    int n;
    double median, low,
        high; /**< an interval that has the true median with at least 95 % where n >= 6; else all of it */
    double least, most;
    double spread; /**< (third - first quartile) / median: how noisy it was */
};

/** Sorts times. n = 0: all zero. */
struct summary fit_summary(double *times, int n);

/** A fitted number and its standard error; error < 0: too few points. */
struct fitted {
    double value, error;
};

/** T(p) = T(1) (s + (1 - s) / p): s, the serial part. False: too few points (2), or the fit fails. */
bool fit_amdahl(const double *ranks, const double *seconds, int n, struct fitted *serial, struct fitted *one);

/** X(p) / X(1) = p / (1 + contention (p - 1) + coherence p (p - 1)). seconds are those of the same work. */
bool fit_usl(const double *ranks, const double *seconds, int n, struct fitted *contention, struct fitted *coherence);

/** The serial part that a speed-up on p ranks, p > 1, would have by Amdahl's law alone. */
double fit_karp_flatt(double speed_up, double ranks);

#endif
