/* SPDX-License-Identifier: BSD-3-Clause */
#include "checksum/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE ((size_t)65536)

int reader_open(struct reader *reader, const char *path, char end)
{
    *reader = (struct reader){.end = end, .fd = STDIN_FILENO};
    if (strcmp(path, "-") != 0)
        reader->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (reader->fd < 0)
        return -1;
    char none;
    if (read(reader->fd, &none, 0) == 0) /* fails for a directory */
        return 0;
    int saved = errno;
    reader_close(reader);
    errno = saved;
    return -1;
}

void reader_wait(const struct reader *reader, int timeout_ms)
{
    poll(&(struct pollfd){.fd = reader->fd, .events = POLLIN}, 1, timeout_ms);
}

/* Room for another piece, and for a zero byte behind it. */
static int make_room(struct reader *reader)
{
    if (reader->begin > 0) {
        memmove(reader->bytes, reader->bytes + reader->begin, reader->used - reader->begin);
        reader->used -= reader->begin;
        reader->begin = 0;
    }
    if (reader->room - reader->used > PIECE)
        return 0;
    size_t room = reader->room ? 2 * reader->room : 2 * PIECE;
    char *bytes = realloc(reader->bytes, room);
    if (!bytes)
        return -1;
    reader->bytes = bytes;
    reader->room = room;
    return 0;
}

/* READER_RECORD: more is there, or the end. */
static reader_state read_piece(struct reader *reader)
{
    if (poll(&(struct pollfd){.fd = reader->fd, .events = POLLIN}, 1, 0) == 0)
        return READER_LATER;
    if (make_room(reader) != 0)
        return READER_FAILED;
    ssize_t n = read(reader->fd, reader->bytes + reader->used, PIECE);
    if (n < 0)
        return errno == EINTR || errno == EAGAIN ? READER_LATER : READER_FAILED;
    reader->used += (size_t)n;
    reader->ended = n == 0;
    return READER_RECORD;
}

reader_state reader_next(struct reader *reader, char **record, size_t *bytes)
{
    size_t looked = 0; /* of what is there, without an end in it */
    if (!reader->bytes && make_room(reader) != 0)
        return READER_FAILED;
    for (;;) {
        size_t there = reader->used - reader->begin;
        char *begin = reader->bytes + reader->begin;
        char *end = there > looked ? memchr(begin + looked, reader->end, there - looked) : NULL;
        if (end || (reader->ended && there > 0)) {
            *record = begin;
            *bytes = end ? (size_t)(end - begin) : there;
            reader->begin += *bytes + (end != NULL);
            return READER_RECORD;
        }
        if (reader->ended)
            return READER_END;
        looked = there;
        reader_state state = read_piece(reader);
        if (state != READER_RECORD)
            return state;
    }
}

void reader_close(struct reader *reader)
{
    if (reader->fd > STDIN_FILENO)
        close(reader->fd);
    free(reader->bytes);
    *reader = (struct reader){.fd = -1};
}
