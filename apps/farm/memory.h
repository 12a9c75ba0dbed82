/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What /proc tells of this process's descendants and of the machine.
 */
#ifndef FARM_MEMORY_H
#define FARM_MEMORY_H

#include <stdint.h>

/** Bytes that all descendants of this process have in memory of their own. */
int64_t memory_of_descendants(void);

/** Sends a signal to each of them. */
void memory_signal_descendants(int signal);

/** How many processes the kernel has killed for want of memory since the machine began; 0 where it does not say. */
int64_t memory_victims(void);

/** Bytes that could be had without swapping; -1: unknown. */
int64_t memory_available(void);

/** Load of the last minute; -1: unknown. */
double memory_load(void);

#endif
