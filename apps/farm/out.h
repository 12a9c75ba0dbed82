/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What commands have said, on its way to standard output and error: each command's together, or line by line, as they
 * end or in the order of the input; and into a folder of results.
 */
#ifndef FARM_OUT_H
#define FARM_OUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "farm/spool.h"

struct out_options {
    bool keep_order;     /**< in the order of the input */
    bool by_lines;       /**< what is said is written as lines come, not when the command ends */
    bool tag;            /**< each line begins with what the command was made of, and a tab */
    const char *results; /**< folder for a file a command; NULL: none */
    bool silent;         /**< nothing goes to stdout and stderr: results alone */
};

struct out;

struct out *out_open(const struct out_options *options, FILE *streams[2]);

/** Whether what command seq, from 1, says may be written before it ends. */
bool out_may_say(const struct out *out, int64_t seq);

/** Lines that are said before the end, of one that may. */
void out_said(struct out *out, const char *tag, int stream, const char *bytes, size_t n);

/** A command has ended: the spools are taken and emptied. */
void out_ended(struct out *out, int64_t seq, const char *tag, struct spool spools[2]);

/** It will not say anything: those behind it need not wait for it. */
void out_skipped(struct out *out, int64_t seq);

/** What a try has said is in a file a stream: RESULTS/args.../attempt-N/stdout, stderr, seq. 0, or -1 with errno. */
int out_result(const struct out *out, char *const *args, int n_args, int64_t seq, int attempt,
               const struct spool spools[2]);

/** Flushes. Returns 0, or an errno: what could not be written, from the first time on. */
int out_flush(struct out *out);

void out_close(struct out *out);

#endif
