/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files in a directory, never half written: under a temporary name first, then renamed.
 */
#ifndef COMMON_OUTPUT_H
#define COMMON_OUTPUT_H

#include <stdio.h>

#define OUTPUT_PATH_MAX 4096

struct output_file {
    FILE *stream; /**< write here */
    char path[OUTPUT_PATH_MAX];
    char temporary[OUTPUT_PATH_MAX];
};

/** Makes a directory and its parents if need be, and tries to write into it. Returns 0, or -1 with errno set. */
int output_directory(const char *path);

/** Writes "directory/name" into path. Returns 0, or -1 (errno ENAMETOOLONG). */
int output_path(char path[OUTPUT_PATH_MAX], const char *directory, const char *name);

/** Begins directory/name. Returns 0, or -1 with errno set. */
int output_begin(struct output_file *file, const char *directory, const char *name);

/** Puts it in place, or, when any write failed, removes it. Returns 0, or -1 with errno set. */
int output_commit(struct output_file *file);

#endif
