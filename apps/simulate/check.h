/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Comparison with the exact values.
 */
#ifndef SIMULATE_CHECK_H
#define SIMULATE_CHECK_H

#include <stdio.h>

#include "simulate/statistics.h"

#define CHECK_LIMIT 4.0 /* standard errors */

enum check_source {
    KAUFMAN, /**< energy of the finite torus: at every point */
    ONSAGER, /**< energy of the infinite lattice: where it differs from Kaufman's by under a tenth of the error */
    YANG     /**< magnetization of the infinite lattice: where L times the wall cost (exact_wall_cost) is over 12, so
                  that finite-size corrections, exp(-12) and less, cannot be seen */
};

struct comparison {
    int point; /**< index */
    enum check_source source;
    struct estimate measured;
    double exact;
    double z; /**< (measured - exact) / error */
};

struct check {
    struct comparison *comparisons; /**< largest |z| first */
    int count;
    int failed;  /**< how many beyond CHECK_LIMIT */
    int too_few; /**< points left out: under 100 expected excitations over the ground state, whose number is not
                    normally distributed (cold, small, short) */
};

/** Exact value of what check_source names at a point's size and temperature. */
double check_exact(enum check_source source, const struct point *p);

/** Compares n points; those without replicas are left out. Returns 0 (free with check_destroy), -1 without memory. */
int check_points(const struct point *points, int n, struct check *check);
void check_destroy(struct check *check);

/** Writes the verdict and the worst rows of the comparison, at most `rows`, and all that failed. */
void check_print(FILE *stream, const struct check *check, const struct point *points, int rows);

#endif
