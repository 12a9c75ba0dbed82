/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers with units, as people write them.
 */
#ifndef FARM_NUMBER_H
#define FARM_NUMBER_H

#include <stdint.h>

/** "10", "1.5m", "2h", "1d", "1h30m": seconds. Returns 0, or -1. */
int number_seconds(const char *text, double *seconds);

/** "4096", "64K", "1.5G": bytes, of 1024. Returns 0, or -1. */
int number_bytes(const char *text, int64_t *bytes);

/** A whole number from least to most. Returns 0, or -1. */
int number_whole(const char *text, long least, long most, int *number);

#endif
