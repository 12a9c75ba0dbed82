/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The files of a run, one after the other: each with its header, and an output under another name until it is whole.
 */
#ifndef ENCRYPT_FILES_H
#define ENCRYPT_FILES_H

#include <stdio.h>
#include <sys/stat.h>

#include "encrypt/format.h"
#include "encrypt/options.h"

#define FILES_PATH_MAX 4096

struct file {
    struct file *next;
    char in[FILES_PATH_MAX], out[FILES_PATH_MAX], temporary[FILES_PATH_MAX + 32];
    struct stat about; /**< of the input */
    struct format_header header;
    struct format_keys keys;
    uint8_t header_bytes[FORMAT_HEADER_BYTES];
    uint64_t handed_out, ended; /**< pieces */
    bool failed;
};

struct files;

/** Goes through what the options name. */
struct files *files_open(const struct options *options);

/** The next one whose output is begun: NULL: there are none. What cannot be is told and counted. */
struct file *files_next(struct files *files);

/** All its pieces are there: it is put in place. Or not: it is removed. file is gone afterwards. */
void files_end(struct files *files, struct file *file);

/** Says what is wrong with one, and that it has failed. authentic: false: exit code 3. */
void files_fail(struct files *files, struct file *file, bool authentic, const char *why);

/** The exit code so far. */
int files_code(const struct files *files);

int64_t files_done(const struct files *files);

/** Wipes the keys. */
void files_close(struct files *files);

#endif
