/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All files that are to be read, in order: those of the command line and of its trees, then of --files-from; or those
 * of the lists of --check.
 */
#ifndef CHECKSUM_SOURCE_H
#define CHECKSUM_SOURCE_H

#include "checksum/entry.h"
#include "checksum/list.h"
#include "checksum/names.h"
#include "checksum/walk.h"

struct source {
    const struct options *options;
    int next; /* of options->paths */
    bool walking, reading;
    struct walk walk;
    struct reader reader; /* of --files-from */
    int64_t records;
    struct list list;
    struct line line;
    struct names names; /* of all lists, for --strict */
    bool failed;        /**< a list could not be read to its end: said */
};

typedef enum source_state {
    SOURCE_ENTRY,
    SOURCE_LATER, /**< nothing there yet */
    SOURCE_END
} source_state;

/** Complains where what the options name cannot be opened at all: returns -1. */
int source_check(const struct options *options);

void source_begin(struct source *source, const struct options *options);

/** The next one, borrowed until the next call. */
source_state source_next(struct source *source, struct entry *entry);

/** Waits for input that was not there yet, so long at most. */
void source_wait(const struct source *source, int timeout_ms);

/**
 * After the end, with --strict: the next file in the trees given that is in no list, or that cannot be walked into,
 * with an error.
 */
source_state source_extra(struct source *source, struct entry *entry);

void source_end(struct source *source);

#endif
