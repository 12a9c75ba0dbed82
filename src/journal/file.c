/* SPDX-License-Identifier: BSD-3-Clause */
#include "journal/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Far behind what SQLite locks of the file itself. The lock is one of the open file: it neither ends with another
 * descriptor of the process nor is taken for one of SQLite's. */
#define LOCK_AT ((off_t)1 << 61)

static muster_err refused(const char *path, const char *what)
{
    return muster__fail(MUSTER_ERR_SYSTEM, "journal '%s': %s: %s", path, what, strerror(errno));
}

/* "pid 123 on host n01", as its holder has written. */
static muster_err held_by_another(const struct muster__held *held)
{
    char path[4096], who[160] = "another process";
    snprintf(path, sizeof path, "%s.holder", held->path);
    FILE *file = fopen(path, "re");
    if (file) {
        if (fgets(who, sizeof who, file))
            who[strcspn(who, "\n")] = '\0';
        fclose(file);
    }
    return muster__fail(MUSTER_ERR_BUSY, "journal '%s' is held by %s; wait for its end, or use another file",
                        held->path, who);
}

static muster_err lock(const struct muster__held *held, bool writable)
{
    struct flock whole = {.l_type = writable ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET, .l_start = LOCK_AT, .l_len = 1};
    if (fcntl(held->fd, F_OFD_SETLK, &whole) == 0)
        return MUSTER_OK;
    if (errno == EAGAIN || errno == EACCES)
        return held_by_another(held);
    return refused(held->path, "cannot be locked, and two that write it would spoil it; use a file on a local disk");
}

/* Whether the path still names what was locked: it may have been removed, or replaced, meanwhile. */
static bool in_place(const struct muster__held *held)
{
    struct stat locked, named;
    return fstat(held->fd, &locked) == 0 && stat(held->path, &named) == 0 && locked.st_dev == named.st_dev &&
           locked.st_ino == named.st_ino;
}

/* Who holds it is for people alone: the lock decides. */
static void sign(struct muster__held *held)
{
    char host[256] = "";
    if (asprintf(&held->holder, "%s.holder", held->path) < 0) {
        held->holder = NULL;
        return;
    }
    FILE *file = fopen(held->holder, "we");
    if (!file)
        return;
    gethostname(host, sizeof host - 1);
    fprintf(file, "pid %ld on host %s\n", (long)getpid(), host);
    fclose(file);
}

/* SQLite would write over a file that is shorter than a page of its own. */
static muster_err empty_or_database(const struct muster__held *held)
{
    static const char magic[16] = "SQLite format 3"; /* with its end */
    char head[sizeof magic];
    ssize_t n = pread(held->fd, head, sizeof head, 0);
    if (n < 0)
        return refused(held->path, "cannot be read");
    if (n > 0 && (n != sizeof head || memcmp(head, magic, sizeof head)))
        return muster__fail(MUSTER_ERR_SYSTEM, "journal '%s': this is no journal; give another file", held->path);
    return MUSTER_OK;
}

static muster_err open_once(struct muster__held *held, bool make, bool read_only, bool *writable)
{
    *writable = true;
    held->fd = open(held->path, O_RDWR | O_CLOEXEC | (make ? O_CREAT : 0), 0666);
    if (held->fd < 0 && read_only && (errno == EACCES || errno == EROFS || errno == EPERM)) {
        *writable = false;
        held->fd = open(held->path, O_RDONLY | O_CLOEXEC);
    }
    if (held->fd < 0)
        return refused(held->path, "cannot be opened");
    return lock(held, *writable);
}

muster_err muster__held_open(struct muster__held *held, const char *path, bool make, bool read_only, bool *writable)
{
    *held = (struct muster__held){.fd = -1, .path = strdup(path)};
    if (!held->path)
        return muster__fail(MUSTER_ERR_NOMEM, "journal '%s': no memory", path);
    for (;;) {
        muster_err err = open_once(held, make, read_only, writable);
        if (err != MUSTER_OK) {
            muster__held_close(held);
            return err;
        }
        if (in_place(held))
            break;
        close(held->fd);
    }
    muster_err err = empty_or_database(held);
    if (err != MUSTER_OK)
        muster__held_close(held);
    else if (*writable)
        sign(held);
    return err;
}

void muster__held_close(struct muster__held *held)
{
    if (held->holder)
        unlink(held->holder); /* before the lock is: the next holder writes its own */
    if (held->fd >= 0)
        close(held->fd);
    free(held->holder);
    free(held->path);
    *held = (struct muster__held){.fd = -1};
}
