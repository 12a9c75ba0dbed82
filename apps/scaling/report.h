/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What was measured, as files and for people.
 */
#ifndef SCALING_REPORT_H
#define SCALING_REPORT_H

#include <stdio.h>

#include "scaling/plan.h"

/** scaling.csv, .json, .gp, .png where gnuplot is, and report.md, in the plan's folder. 0, or -1: said. */
int report_files(const struct plan *plan, double load);

/** One page. load: of the machine when all began; < 0: unknown. */
void report_page(const struct plan *plan, double load, FILE *to);

#endif
