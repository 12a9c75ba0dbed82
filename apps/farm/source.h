/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One source of inputs: words of the command line, or a file that is read as it comes.
 */
#ifndef FARM_SOURCE_H
#define FARM_SOURCE_H

#include <regex.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "farm/lines.h"
#include "farm/text.h"

/** An input in columns. */
struct source_record {
    struct text text;
    char **columns; /**< in text */
    int n, room;
};

struct source {
    const struct lines_options *options;
    const regex_t *separator; /**< between columns; NULL: there are none */
    const char *const *words; /**< of the command line; NULL: a file */
    int64_t n_words;
    FILE *file;
    bool owned;    /**< is closed at the end */
    int64_t begin; /**< where in the file it begins; -1: that cannot be read twice */
    const char *name;
    int64_t number; /**< of the last input read, from 1 */
    bool ended;
    int names; /**< how many columns the header names */
    struct source_record record;
};

/** Reads the next input into the record. Returns 1; 0 at the end; -1 with a message. */
int source_next(struct source *source, char error[LINES_ERROR_MAX]);

/** Reads the header into the record. As source_next; 0: there is nothing. */
int source_header(struct source *source, char error[LINES_ERROR_MAX]);

/** How many inputs a source has from the beginning on, header and all; -1: not known. counts: is asked with the first
 * byte that is not blank, or none. */
int64_t source_count(const struct source *source, bool (*counts)(const char *begin, size_t n));

/** Says where in error: "commands.txt:12: " and then what. */
void source_say(const struct source *source, char error[LINES_ERROR_MAX], const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** The same for a place that was kept: "FILE:12: ", or "input 3 behind ':::': ". */
void source_say_at(char error[LINES_ERROR_MAX], const char *name, int64_t number, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

void source_close(struct source *source);

#endif
