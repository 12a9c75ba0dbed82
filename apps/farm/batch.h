/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inputs that have been read and are in no command yet, as copies.
 */
#ifndef FARM_BATCH_H
#define FARM_BATCH_H

#include <stdint.h>

#include "farm/inputs.h"
#include "farm/text.h"

/** One of each source. */
struct batch_tuple {
    int args; /**< how many args there are with it and all before it */
    size_t bytes, cost;
    int64_t number;
    const char *source;
};

/** All zero is an empty one. */
struct batch {
    struct text bytes;
    struct batch_tuple *tuples;
    char **args; /**< of all, after batch_args */
    int n, room, args_room;
};

/** Copies a tuple behind the others. Returns 0; -1: no memory. */
int batch_add(struct batch *b, const struct inputs_tuple *tuple, size_t cost);

/** The args of all: b->args. Returns how many there are; -1: no memory. */
int batch_args(struct batch *b);

/** Drops the first n tuples. */
void batch_drop(struct batch *b, int n);

void batch_free(struct batch *b);

#endif
