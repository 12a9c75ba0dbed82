/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A small file that tells of a running farm, for `farm status` in another shell, on any host that sees the file.
 */
#ifndef FARM_STATUS_H
#define FARM_STATUS_H

#include <stdbool.h>

struct farm;

/** The file's path where nobody has named one: for free(); NULL: no memory. */
char *status_path(void);

/** What it says, for free(); NULL: no memory. */
char *status_text(const struct farm *farm);
/** Writes it anew, all at once. */
void status_write(const char *text, const char *path);
void status_remove(const char *path);

/** `farm status [--live] [FILE|PID]`: prints it, or of all farms of this user on this host those that live; live: draws
 * it until the farm ends or q is pressed. The exit code: 1 where there is none. */
int status_show(const char *which, bool live);

#endif
