/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Home's part, on rank 0: hands all files out to a pool and reports them in input order.
 */
#ifndef CHECKSUM_RUN_H
#define CHECKSUM_RUN_H

#include "checksum/options.h"

/** Runs what the options say. Returns the exit code, if no signal has one of its own. */
int run_all(const struct options *options);

#endif
