/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Records of a file or a pipe, one after the other, without waiting for what is not there yet.
 */
#ifndef CHECKSUM_READER_H
#define CHECKSUM_READER_H

#include <stdbool.h>
#include <stddef.h>

struct reader {
    int fd;
    char end; /**< of a record: '\n' or '\0'; the last one may have none */
    char *bytes;
    size_t room, begin, used;
    bool ended;
};

typedef enum reader_state {
    READER_RECORD,
    READER_LATER, /**< nothing there yet */
    READER_END,
    READER_FAILED /**< errno says why */
} reader_state;

/** Opens path, "-" for standard input. Returns 0, or -1 with errno set. */
int reader_open(struct reader *reader, const char *path, char end);

/** The next record, borrowed until the next call; record[*bytes] may be written to. */
reader_state reader_next(struct reader *reader, char **record, size_t *bytes);

/** Waits until there may be more, for so long at most. */
void reader_wait(const struct reader *reader, int timeout_ms);

void reader_close(struct reader *reader);

#endif
