/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The results as a file and as a table.
 */
#ifndef SIMULATE_RESULTS_H
#define SIMULATE_RESULTS_H

#include <stddef.h>
#include <stdio.h>

#include "simulate/statistics.h"

/**
 * Writes results.csv: a header line, then one row per point with finished replicas. Same bytes for the same points:
 * neither times nor machines are in it. Columns: L, T, replicas; value and standard error of e, m, c, chi, binder;
 * exact values e_kaufman and c_kaufman (L x L torus), e_onsager and m_yang (infinite lattice); autocorrelation times
 * e_tau and m_tau and the bin length bin_sweeps (all in sweeps).
 */
void results_write_csv(FILE *stream, const struct point *points, int n);

/** Prints the table for people; values as 1.2345(12), the error in units of the last digits. */
void results_print(FILE *stream, const struct point *points, int n);

/** "-1.41421(12)": value rounded to the second digit of its error. text holds size bytes. */
void results_format(char *text, size_t size, struct estimate e);

#endif
