/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lines of a list of checksums, as sha256sum and its like write and read them:
 *
 *     ca978112...48bb  name            or *name, where read in binary mode
 *     SHA256 (name) = ca978112...48bb  the BSD style
 *
 * Where a name has a newline, a carriage return or a backslash, the line begins with a backslash, and these are \n, \r
 * and \\ in it. Lines that end in a zero byte have names as they are.
 */
#ifndef CHECKSUM_LINE_H
#define CHECKSUM_LINE_H

#include <stdio.h>

#include "checksum/algorithm.h"

struct line_style {
    bool tag;    /**< BSD style; lines of tree digests always are */
    bool binary; /**< '*' before the name */
    bool zero;   /**< lines end in a zero byte, names are not escaped */
};

/** Writes a line. */
void line_write(FILE *stream, const struct line_style *style, const struct algorithm *algorithm,
                const unsigned char *digest, const char *name);

/** Whether a name has to be escaped: then a backslash goes before its line. */
bool line_odd(const char *name);

/** Writes a name, escaped. */
void line_write_name(FILE *stream, const char *name);

/** What goes on from line to line of a list. */
struct line_reader {
    const struct algorithm *algorithm; /**< of lines without a tag */
    bool zero;                         /**< names are not escaped */
    int spaces;                        /**< between digest and name: 0 not known yet, 1, or 2 */
};

struct line {
    const struct algorithm *algorithm;
    unsigned char digest[DIGEST_BYTES_MAX];
    char *name; /**< within the text that was read, which is changed */
};

typedef enum line_kind {
    LINE_GOOD,
    LINE_SKIP, /**< empty, or a comment: '#' first */
    LINE_BAD
} line_kind;

/** Reads a line of so many bytes without its end; text[bytes] must be there, and is overwritten. */
line_kind line_read(struct line_reader *reader, char *text, size_t bytes, struct line *line);

#endif
