/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A set of names of files, to find those that are not in a list. "./a//b" and "a/b" are one name.
 */
#ifndef CHECKSUM_NAMES_H
#define CHECKSUM_NAMES_H

#include <stdbool.h>
#include <stddef.h>

struct names {
    char **at; /* by their hash; NULL: free */
    size_t n, room;
};

/** Adds a name, copied. Returns 0, or -1: no memory. */
int names_add(struct names *names, const char *name);
bool names_have(const struct names *names, const char *name);
void names_free(struct names *names);

#endif
