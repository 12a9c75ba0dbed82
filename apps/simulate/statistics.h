/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the bins of a point's replicas to values with standard errors.
 *
 * Values: Quenouille's jackknife estimate over all bins of all replicas pooled, which removes the bias of order
 * 1 / samples that nonlinear quantities have (B. Efron, The Jackknife, the Bootstrap and Other Resampling Plans, 1982).
 *
 * Errors: jackknife errors from bins of doubling length (64, 32, 16, 8 a replica). Bins shorter than the chain's memory
 * give too small errors; from about ten autocorrelation times on they stay level (H. Flyvbjerg, H. G. Petersen,
 * J. Chem. Phys. 91, 461 (1989)). The error given is the largest of these, over the bin lengths that leave at least 32
 * pooled bins: it is not below the plateau, and without correlations 5 to 10 % above it.
 */
#ifndef SIMULATE_STATISTICS_H
#define SIMULATE_STATISTICS_H

#include "simulate/chain.h"

/** Fewest pooled bins an error is taken from: Student's distribution with 31 degrees of freedom is nearly normal. */
#define STATISTICS_BINS_MIN 32

enum quantity {
    ENERGY,         /**< e = <E> / N */
    MAGNETIZATION,  /**< |m| = <|M|> / N */
    HEAT,           /**< c = (<E^2> - <E>^2) / (N T^2) */
    SUSCEPTIBILITY, /**< chi = (<M^2> - <|M|>^2) / (N T) */
    BINDER,         /**< U = 1 - <M^4> / (3 <M^2>^2) */
    QUANTITIES
};

struct estimate {
    double value;
    double error; /**< standard error */
};

/** What was measured at one size and temperature; N = size^2. */
struct point {
    int size;
    double temperature;
    int replicas; /**< finished ones, which the rest is made of; with 0 all else is NaN or 0 */
    struct estimate quantity[QUANTITIES];
    double energy_tau;        /**< integrated autocorrelation time of the energy, in sweeps */
    double magnetization_tau; /**< of |m| */
    double bin_sweeps;        /**< length of the longest bins used, in sweeps */
    int64_t samples;          /**< measurements in all */
};

/** Column names: "e", "m", "c", "chi", "binder". */
const char *quantity_name(enum quantity q);

/**
 * Combines n finished replicas (n >= 0) of task's size and temperature. Results depend on their order in the last bit,
 * so give them in that of their numbers.
 */
struct point point_estimate(const struct chain_task *task, const struct chain_result *const *replicas, int n);

/** Whether the bins were too short for the memory of |m| (under ten autocorrelation times), so that errors may be too
 * small. */
bool point_is_short(const struct point *p);

#endif
