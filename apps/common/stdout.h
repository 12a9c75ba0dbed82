/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Standard output of rank 0, for programs that write much to it, and to the last.
 *
 * mpirun hands ranks a terminal of its own and passes on what they write there, 1 KiB at a time, until it is told to
 * stop: from then on it passes nothing on, so that a list ends within a line, and a rank that writes waits until it is
 * killed. So rank 0 takes mpirun's standard output itself, where it may: on mpirun's host, as the same user, and the
 * kernel lets it (pidfd_getfd; not where ptrace is restricted). Elsewhere it stays with what it has.
 */
#ifndef COMMON_STDOUT_H
#define COMMON_STDOUT_H

#include <stdio.h>

/**
 * A stream to standard output, fully buffered; a write that fails is told by ferror with errno, also where nobody reads
 * any more (SIGPIPE is ignored from now on). For fclose. NULL: no memory.
 */
FILE *stdout_open(void);

#endif
