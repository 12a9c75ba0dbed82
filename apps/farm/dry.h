/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * --dry-run: the commands, and nothing is run.
 */
#ifndef FARM_DRY_H
#define FARM_DRY_H

#include "farm/lines.h"

/** Prints each command on a line, closes lines; the exit code. */
int dry_run(struct lines *lines);

#endif
