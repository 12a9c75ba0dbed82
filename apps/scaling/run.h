/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs of the plan, one at a time.
 */
#ifndef SCALING_RUN_H
#define SCALING_RUN_H

#include "scaling/plan.h"

/** self: this program, which runs kernels. Returns how many runs failed; -1: they could not be begun, said. After a
 * signal (run_stopped) it returns early. */
int run_all(struct plan *plan, const char *self);

/** The signal that has ended it, or 0. */
int run_stopped(void);

#endif
