/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command line of encrypt.
 */
#ifndef ENCRYPT_OPTIONS_H
#define ENCRYPT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define ENCRYPT_SUFFIX ".enc"

enum encrypt_exit { EXIT_WELL, EXIT_FAILED, EXIT_BAD, EXIT_NOT_AUTHENTIC };

struct options {
    bool decrypt, recursive, force, quiet, done; /**< done: --help or --version */
    const char *key_file, *passphrase_file, *keygen, *output;
    uint32_t piece_bytes;
    char **files;
    int n_files;
};

/** Parses; returns -1, or the exit code where nothing is to be done or something is wrong, which has been said. */
int options_parse(int argc, char **argv, struct options *options);

#endif
