/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where output goes: standard output, or a file that is there when it is whole.
 */
#ifndef CHECKSUM_SINK_H
#define CHECKSUM_SINK_H

#include <stdbool.h>
#include <sys/stat.h>

#include "common/output.h"

struct sink {
    const char *path; /* NULL: standard output */
    FILE *stream;     /**< write here */
    bool direct;      /* path is no regular file: written as it is */
    struct output_file file;
};

/** Returns 0, or -1 with errno set. */
int sink_open(struct sink *sink, const char *path);

/** Whether it is a regular file, and which. */
bool sink_is_file(const struct sink *sink, struct stat *st);

/** Returns 0, or -1 with errno set where anything could not be written. Once more: nothing. */
int sink_close(struct sink *sink);

#endif
