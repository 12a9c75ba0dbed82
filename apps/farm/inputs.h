/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inputs: what stands behind ":::", lines of files and of standard input, in columns, all combinations of several
 * sources or linked ones. Of the first source, or the first linked ones, nothing is kept; the others are held in
 * memory.
 */
#ifndef FARM_INPUTS_H
#define FARM_INPUTS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "farm/lines.h"
#include "farm/template.h"

#define INPUTS_BYTES_MAX (16 << 20) /* of one input: a file without delimiters is no reason to fill the memory */

/** One of each source. Borrowed until the next call. */
struct inputs_tuple {
    char **args;
    int n;
    int64_t number; /**< where the first of them stands in its source, from 1 */
    const char *source;
};

struct inputs;

/** words: from the first separator on, or none. Returns 0, or -1 with a message. */
int inputs_open(struct inputs **in, const struct lines_options *options, const char *const *words, int n_words,
                FILE *standard_input, char error[LINES_ERROR_MAX]);

/** How many of the words are the command's: those before the first separator. */
int inputs_command_words(const char *const *words, int n_words);

/** Reads the first input of each source as names of columns, which it gives, borrowed. Once, before inputs_next.
 * Returns how many, or -1. */
int inputs_header(struct inputs *in, const struct template_name **names);

/** Returns 1; 0: there are no more; -1: inputs_error says why. */
int inputs_next(struct inputs *in, struct inputs_tuple *tuple);

/** Whether inputs are the lines of one file or stream, without columns. */
bool inputs_are_lines(const struct inputs *in);

/** How many there are in all; -1: not known. counts: which lines of a file do, as source_count asks; NULL: all. */
int64_t inputs_total(struct inputs *in, bool (*counts)(const char *begin, size_t n));

const char *inputs_error(const struct inputs *in);

/** NULL is fine. */
void inputs_close(struct inputs *in);

#endif
