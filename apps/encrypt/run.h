/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pieces of files as tasks of a pool.
 */
#ifndef ENCRYPT_RUN_H
#define ENCRYPT_RUN_H

#include "encrypt/options.h"

/** On rank 0; the exit code. */
int run_encrypt(const struct options *options);

#endif
