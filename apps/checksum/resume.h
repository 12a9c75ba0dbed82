/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Outcomes of files that were read, in a journal: the same command line, run again, reads what is missing, and what has
 * changed since: in size, times or inode.
 */
#ifndef CHECKSUM_RESUME_H
#define CHECKSUM_RESUME_H

#include "checksum/entry.h"

struct resume;

/** Opens the journal at path, or makes it; anew: what is in it counts no more. NULL: said on stderr. */
struct resume *resume_open(const char *path, bool anew);

/** Whether an earlier run has read the file; whoever uses that has to see that it is still the same. */
bool resume_find(struct resume *resume, const struct entry *entry, struct outcome *outcome);

/** Records a file that was read, unless it is so new that a change might not show. A failure is said once. */
void resume_put(struct resume *resume, const struct entry *entry, const struct outcome *outcome);

/** Returns 0, or -1, said on stderr, where something could not be written. NULL is fine. */
int resume_close(struct resume *resume);

#endif
