/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file that is to be read: named on the command line, in a list, found in a tree, or listed with its digest.
 */
#ifndef CHECKSUM_ENTRY_H
#define CHECKSUM_ENTRY_H

#include "checksum/digest.h"

struct entry {
    const char *path;
    const struct algorithm *algorithm;
    const unsigned char *expected; /**< NULL: none */
    int32_t error;                 /**< known before anybody looks, as of outcome; 0: none */
    bool in_tree;                  /**< it has to be a regular file; not followed, unless asked */
    bool is_input;                 /**< standard input */
};

#endif
