/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lists of --check, one after the other, line by line.
 */
#ifndef CHECKSUM_LIST_H
#define CHECKSUM_LIST_H

#include <stdint.h>

#include "checksum/options.h"
#include "checksum/reader.h"

struct list {
    const struct options *options;
    int next; /* of options->lists, to open */
    bool open;
    const char *path; /* as said in messages */
    struct reader reader;
    struct line_reader line_reader;
    int64_t lines, good; /* of this list */
    int64_t bad;         /**< lines of all lists that are none */
    bool failed;         /**< a list has no good line, or could not be read to its end: said */
};

/** Complains on err where a list cannot be opened: returns -1. */
int list_check(const struct options *options);

void list_begin(struct list *list, const struct options *options);

/** The next good line, borrowed until the next call: READER_RECORD, READER_LATER, or READER_END. */
reader_state list_next(struct list *list, struct line *line);

void list_end(struct list *list);

#endif
