/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Parts of an input that is a path: what {.} {/} {//} {/.} are.
 */
#ifndef FARM_CHANGE_H
#define FARM_CHANGE_H

#include <stddef.h>

enum change { CHANGE_NONE, CHANGE_EXTENSION, CHANGE_BASE, CHANGE_FOLDER, CHANGE_BASE_EXTENSION, CHANGES };

/** What ends a replacement string: one of the changes, then '}'. Returns the bytes of both; 0: there is none. */
size_t change_parse(const char *text, enum change *change);

/** Of the n bytes at *arg, the part that is wanted; for a folder that is not in it "/" or ".". */
void change_apply(enum change change, const char **arg, size_t *n);

#endif
