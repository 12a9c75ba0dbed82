/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A small file that tells of a running farm, for `farm status` in another shell, on any host that sees the file.
 */
#ifndef FARM_STATUS_H
#define FARM_STATUS_H

struct farm;

/** The file's path where nobody has named one: for free(); NULL: no memory. */
char *status_path(void);

/** Writes it anew, all at once. */
void status_write(const struct farm *farm, const char *path);
void status_remove(const char *path);

/** `farm status [FILE|PID]`: prints it, or of all farms of this user on this host those that live. The exit code: 1
 * where there is none. */
int status_show(const char *which);

#endif
