/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inputs that come again, each a list of columns, as copies.
 */
#ifndef FARM_KEPT_H
#define FARM_KEPT_H

#include <stdint.h>

/** All zero is an empty one. */
struct kept {
    char ***inputs;
    int *n_columns;
    int64_t n, room;
};

/** Copies an input behind the others. Returns 0; -1: no memory. */
int kept_add(struct kept *kept, char *const *columns, int n);

void kept_free(struct kept *kept);

#endif
