/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes that grow, with a NUL behind them. What fails for want of memory is remembered, and asked for once, at the end.
 */
#ifndef FARM_TEXT_H
#define FARM_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/** All zero is an empty one. bytes: NULL until something was put. */
struct text {
    char *bytes;
    size_t n, room;
    bool failed;
};

/** Room for so many more bytes, and the NUL. Returns whether it is there. */
bool text_reserve(struct text *text, size_t more);

void text_put(struct text *text, const char *bytes, size_t n);
void text_put_string(struct text *text, const char *string);

/** Empty again, also where it had failed; never NULL then, if there is memory. */
void text_clear(struct text *text);

void text_free(struct text *text);

#endif
