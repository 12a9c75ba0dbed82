/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command line.
 */
#ifndef CHECKSUM_OPTIONS_H
#define CHECKSUM_OPTIONS_H

#include <stdbool.h>

#include "checksum/line.h"

struct options {
    const struct algorithm *algorithm;
    struct line_style style;
    char **paths; /**< files and directories, borrowed from argv as all is */
    int paths_n;
    const char *files_from; /**< a list of files; NULL: none */
    bool null;              /**< its names end in zero bytes */
    bool follow, tree;
    char **lists; /**< of --check; free */
    int lists_n;
    bool strict, ignore_missing, quiet, status, warn;
    const char *output; /**< a file; NULL: standard output */
    const char *resume; /**< a journal; NULL: none */
    bool anew;          /**< what is in it counts no more */
};

typedef enum options_outcome {
    OPTIONS_RUN,  /**< go on */
    OPTIONS_DONE, /**< --help or --version was answered: exit 0 */
    OPTIONS_BAD   /**< said so: exit 2 */
} options_outcome;

/** Exit codes. With --strict they are added. */
enum { EXIT_FAILED = 1, EXIT_BAD = 2, EXIT_MISSING = 4, EXIT_CHANGED = 8, EXIT_EXTRA = 16 };

/** Reads argv. Answers go to stdout, complaints to stderr. */
options_outcome options_parse(int argc, char **argv, struct options *options);
void options_free(struct options *options);

#endif
