/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands with names, and those that come after them. Names live as long as the farm.
 */
#ifndef FARM_FOLLOW_H
#define FARM_FOLLOW_H

#include <stdbool.h>

struct follow;

enum follow_may { FOLLOW_NOW, FOLLOW_LATER, FOLLOW_NEVER, FOLLOW_UNKNOWN };

/** All zero, in a pointer: none yet. A command with that name has been read. False: no memory. */
bool follow_declare(struct follow **follow, const char *name);

/** It has ended. */
void follow_ended(struct follow *follow, const char *name, bool well);

/** Whether a command after those names, with blanks between, may begin; UNKNOWN: *unknown, of `names`, was not read. */
enum follow_may follow_check(struct follow *follow, const char *names, const char **unknown);

void follow_free(struct follow *follow);

#endif
