/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is told about commands: the job log, those that failed, the status, the last words.
 */
#ifndef FARM_REPORT_H
#define FARM_REPORT_H

#include <stdint.h>
#include <stdio.h>

#include "farm/feeder.h"
#include "farm/record.h"

struct report_counts {
    int64_t done, failed, known; /**< ended well; not; ended well or not in an earlier run, and counted there, too */
    int64_t tries, total;        /**< total: -1 while unknown */
};

struct report;

/** joblog: path of a log in GNU parallel's format; NULL: none. append: it goes on. NULL with errno set. */
struct report *report_open(const char *joblog, bool append);

/** One try of a command has ended. */
void report_try(struct report *report, const struct command *command, int attempt, const struct child_outcome *outcome,
                const char *host);

/** A command has ended for good; what it said on stderr tells why it failed. */
void report_command(struct report *report, const struct command *command, const struct record_end *end, bool well,
                    bool known, const struct spool *said);

/** The counts, for who decides. */
struct report_counts *report_counts(struct report *report);

/** Median of the seconds that commands took which ended well; 0 before three have. */
double report_median(const struct report *report);

/** Flushes; 0, or an errno of the job log. */
int report_flush(struct report *report);

/** The first ten that failed, on stream. */
void report_failures(const struct report *report, FILE *stream);

void report_close(struct report *report);

/** "exit code 3", "killed by signal 9", "time limit", ...; text holds size bytes. */
const char *report_outcome(const struct child_outcome *outcome, char *text, size_t size);

#endif
