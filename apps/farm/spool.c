/* SPDX-License-Identifier: BSD-3-Clause */
#include "farm/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES 262144

static struct {
    int fd;            /* 0: not made */
    int64_t end, live; /* of it; bytes in use: when there are none it begins anew */
    int64_t memory;
} scratch;

static int make_scratch(void)
{
    const char *folder = getenv("TMPDIR");
    if (scratch.fd > 0)
        return 0;
    scratch.fd = open(folder && *folder ? folder : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (scratch.fd < 0) { /* a file system that has no such files */
        char name[4096];
        int n = snprintf(name, sizeof name, "%s/farm-XXXXXX", folder && *folder ? folder : "/tmp");
        scratch.fd = n < (int)sizeof name ? mkostemp(name, O_CLOEXEC) : -1;
        if (scratch.fd >= 0)
            unlink(name);
    }
    return scratch.fd > 0 ? 0 : (scratch.fd = 0, -1);
}

static int write_all(const char *bytes, size_t n, int64_t at)
{
    while (n > 0) {
        ssize_t written = pwrite(scratch.fd, bytes, n, at);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -1;
        bytes += written, at += written, n -= (size_t)written;
    }
    return 0;
}

/* What is in memory goes to the file: behind it everything else has to. */
static int move_out(struct spool *spool)
{
    struct spool_extent *last = spool->n_extents ? &spool->extents[spool->n_extents - 1] : NULL;
    if (spool->n == 0)
        return 0;
    if (!last || last->at + last->bytes != scratch.end) {
        struct spool_extent *more = realloc(spool->extents, (size_t)(spool->n_extents + 1) * sizeof *more);
        if (!more)
            return -1;
        spool->extents = more;
        last = &more[spool->n_extents];
        *last = (struct spool_extent){scratch.end, 0};
    }
    if (write_all(spool->bytes, spool->n, scratch.end) != 0)
        return -1;
    if (last == &spool->extents[spool->n_extents])
        spool->n_extents++;
    last->bytes += (int64_t)spool->n;
    scratch.end += (int64_t)spool->n;
    scratch.live += (int64_t)spool->n;
    scratch.memory -= (int64_t)spool->room;
    free(spool->bytes);
    spool->bytes = NULL, spool->n = 0, spool->room = 0;
    return 0;
}

static int make_room(struct spool *spool, size_t n)
{
    if (spool->n + n <= spool->room)
        return 0;
    size_t room = spool->n ? 2 * (spool->n + n) : n;
    char *more = realloc(spool->bytes, room);
    if (!more)
        return -1;
    scratch.memory += (int64_t)(room - spool->room);
    spool->bytes = more;
    spool->room = room;
    return 0;
}

int spool_add(struct spool *spool, const void *bytes, size_t n)
{
    if (n == 0)
        return 0;
    if (scratch.memory + (int64_t)n > SPOOL_MEMORY && (make_scratch() != 0 || move_out(spool) != 0))
        return -1;
    if (make_room(spool, n) != 0)
        return -1;
    memcpy(spool->bytes + spool->n, bytes, n);
    spool->n += n;
    spool->size += (int64_t)n;
    return 0;
}

int spool_each(const struct spool *spool, int (*take)(void *arg, const char *bytes, size_t n), void *arg)
{
    int stop = 0;
    char *piece = spool->n_extents ? malloc(READ_BYTES) : NULL;
    if (spool->n_extents && !piece)
        return -1;
    for (int i = 0; i < spool->n_extents && stop == 0; i++) {
        int64_t at = spool->extents[i].at, end = at + spool->extents[i].bytes;
        while (at < end && stop == 0) {
            ssize_t n = pread(scratch.fd, piece, end - at < READ_BYTES ? (size_t)(end - at) : READ_BYTES, at);
            if (n < 0 && errno == EINTR)
                continue;
            if (n == 0)
                errno = EIO;
            stop = n <= 0 ? -1 : take(arg, piece, (size_t)n);
            at += n;
        }
    }
    free(piece);
    return stop == 0 && spool->n ? take(arg, spool->bytes, spool->n) : stop;
}

void spool_clear(struct spool *spool)
{
    for (int i = 0; i < spool->n_extents; i++)
        scratch.live -= spool->extents[i].bytes;
    if (scratch.live == 0 && scratch.end > 0 && ftruncate(scratch.fd, 0) == 0)
        scratch.end = 0;
    scratch.memory -= (int64_t)spool->room;
    free(spool->bytes);
    free(spool->extents);
    *spool = (struct spool){0};
}
