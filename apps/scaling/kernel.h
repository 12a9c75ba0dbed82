/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is measured where no program is named: the machine, by muster.
 */
#ifndef SCALING_KERNEL_H
#define SCALING_KERNEL_H

/** As a rank of a job: runs it and prints "seconds N", for the same work at any number of ranks. The exit code. */
int kernel_run(int *argc, char ***argv, const char *name);

#endif
