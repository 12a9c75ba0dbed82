/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command line.
 */
#ifndef SIMULATE_OPTIONS_H
#define SIMULATE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define OPTIONS_WORKERS_MAX 65536

struct options {
    const char *experiment; /**< path; NULL: the built-in one. Borrowed from argv, like out and journal */
    const char *out;
    int workers;         /**< 0: one a rank */
    const char *journal; /**< NULL: none */
    bool isolate, check, quiet, anew;
    bool seed_given;
    uint64_t seed;
};

typedef enum options_outcome {
    OPTIONS_RUN,  /**< go on */
    OPTIONS_DONE, /**< --help or --version was answered: exit 0 */
    OPTIONS_BAD   /**< said so: exit 2 */
} options_outcome;

/** Reads argv. Answers go to out, complaints to err, one line each. */
options_outcome options_parse(int argc, char **argv, struct options *options, FILE *out, FILE *err);

#endif
