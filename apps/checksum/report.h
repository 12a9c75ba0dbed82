/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is said of each file, and of all at the end; the exit code.
 */
#ifndef CHECKSUM_REPORT_H
#define CHECKSUM_REPORT_H

#include "checksum/entry.h"
#include "checksum/options.h"

struct report {
    const struct options *options;
    FILE *out, *err;
    void (*before_message)(void *arg); /**< called before a line goes to err; NULL: nothing */
    void *before_arg;
    int64_t files, bytes;                        /**< read */
    int64_t matched, mismatched, extra;          /**< of --check */
    int64_t missing, forbidden, changing, other; /**< could not be read, by why */
    int64_t bad_lines;                           /**< of lists, for report_end */
    bool failed;                                 /**< something else is amiss: said */
};

/** Says what has become of a file; host: where, if that may matter, or NULL. */
void report_entry(struct report *report, const struct entry *entry, const struct outcome *outcome, const char *host);

/** One that is in no list. */
void report_extra(struct report *report, const char *path);

/** Says what is to be said of all; interrupted: not all was done, and so nothing is said of what was not seen. Returns
 * the exit code. */
int report_end(struct report *report, bool interrupted);

#endif
