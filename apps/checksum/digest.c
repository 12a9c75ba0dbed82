/* SPDX-License-Identifier: BSD-3-Clause */
#include "checksum/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#define BUFFER_BYTES ((size_t)256 << 10) /* stays in a core's own cache between the kernel's copy and the hash */
#define STOP_BYTES   ((int64_t)4 << 20)  /* how often to ask whether to stop */
#define SETTLED_NS   INT64_C(2000000000) /* above the ticks of clocks that file systems have, and some difference */
#define WAIT_MS      100                 /* for a pipe, between two such questions */

static const unsigned char leaf_mark = 0, root_mark = 1;

int digester_create(struct digester *d, digest_stop_fn stop, void *stop_arg)
{
    *d = (struct digester){.context = EVP_MD_CTX_new(), .stop = stop, .stop_arg = stop_arg};
    if (posix_memalign((void **)&d->buffer, 4096, BUFFER_BYTES) != 0)
        d->buffer = NULL;
    if (d->context && d->buffer)
        return 0;
    digester_destroy(d);
    return -1;
}

void digester_destroy(struct digester *d)
{
    EVP_MD_CTX_free(d->context);
    free(d->buffer);
    *d = (struct digester){0};
}

/* The directory in which the last part of a path longer than the kernel takes is: by and by. */
static int open_long(int at, const char *path, int flags)
{
    char part[PATH_MAX];
    int here = at, error = 0;
    while (strlen(path) >= sizeof part && !error) {
        size_t length = sizeof part - 1;
        while (length > 0 && path[length] != '/')
            length--;
        if (length == 0) {
            error = ENAMETOOLONG;
            break;
        }
        memcpy(part, path, length);
        part[length] = '\0';
        int next = openat(here, part, O_PATH | O_DIRECTORY | O_CLOEXEC);
        error = next < 0 ? errno : 0;
        if (here != at)
            close(here);
        here = next;
        path += length + strspn(path + length, "/");
    }
    int fd = error ? -1 : openat(here, path, flags);
    if (fd < 0 && !error)
        error = errno;
    if (here != at && here >= 0)
        close(here);
    errno = error;
    return fd;
}

int digest_open(int at, const char *path, bool follow)
{
    int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (follow ? 0 : O_NOFOLLOW);
    int fd = openat(at, path, flags);
    return fd < 0 && errno == ENAMETOOLONG ? open_long(at, path, flags) : fd;
}

static int64_t nanoseconds(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

struct outcome digest_seen(const struct stat *st)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct outcome seen = {.size = st->st_size,
                           .modified_ns = nanoseconds(st->st_mtim),
                           .changed_ns = nanoseconds(st->st_ctim),
                           .inode = st->st_ino};
    seen.settled = nanoseconds(now) - seen.changed_ns > SETTLED_NS;
    return seen;
}

static bool stopped(const struct digester *d)
{
    return d->stop && d->stop(d->stop_arg);
}

/* read, but it asks now and then whether to stop where there is nothing to read yet. Returns -1 with *error set. */
static ssize_t read_some(const struct digester *d, int fd, size_t bytes, bool regular, int32_t *error)
{
    for (;;) {
        if (!regular && poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, WAIT_MS) == 0) {
            if (!stopped(d))
                continue;
            *error = OUTCOME_OPEN;
            return -1;
        }
        ssize_t n = read(fd, d->buffer, bytes);
        if (n >= 0 || (errno != EINTR && (errno != EAGAIN || regular))) {
            *error = n < 0 ? errno : 0;
            return n;
        }
    }
}

static bool begin(EVP_MD_CTX *context, const struct algorithm *algorithm)
{
    return EVP_DigestInit_ex2(context, algorithm->digest, NULL);
}

/* Adds up to so many bytes of fd, to its end if limit is negative; how many, in *added. Returns as outcome's error. */
static int32_t add(struct digester *d, int fd, int64_t limit, bool regular, int64_t size, int64_t *added)
{
    int64_t asked = STOP_BYTES;
    for (*added = 0; *added != limit;) {
        size_t want = BUFFER_BYTES;
        if (limit >= 0 && (int64_t)want > limit - *added)
            want = (size_t)(limit - *added);
        int32_t error;
        ssize_t n = read_some(d, fd, want, regular, &error);
        if (n < 0)
            return error;
        if (n > 0 && !EVP_DigestUpdate(d->context, d->buffer, (size_t)n))
            return OUTCOME_LIBCRYPTO;
        *added += n;
        /* less than asked for, and as much as there is: the end, without another call to hear of it */
        if (n == 0 || (regular && (size_t)n < want && *added == size))
            break;
        if (*added >= asked) {
            if (stopped(d))
                return OUTCOME_OPEN;
            asked = *added + STOP_BYTES;
        }
    }
    return 0;
}

/* Whether a file that was read is still what it was before. */
static int32_t same(int fd, const struct outcome *before)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return errno;
    struct outcome after = digest_seen(&st);
    return after.size == before->size && after.modified_ns == before->modified_ns ? 0 : OUTCOME_CHANGED;
}

static int32_t read_whole(struct digester *d, const struct algorithm *algorithm, int fd, bool regular,
                          struct outcome *outcome)
{
    int64_t added;
    if (!begin(d->context, algorithm))
        return OUTCOME_LIBCRYPTO;
    int32_t error = add(d, fd, -1, regular, outcome->size, &added);
    if (error)
        return error;
    if (!EVP_DigestFinal_ex(d->context, outcome->digest, NULL))
        return OUTCOME_LIBCRYPTO;
    if (!regular)
        outcome->size = added;
    return 0;
}

/* left: how much there should be yet, of a regular file. *added: how much it was. */
static int32_t read_leaf(struct digester *d, const struct algorithm *algorithm, int fd, bool regular, int64_t left,
                         unsigned char *leaf, int64_t *added)
{
    if (!begin(d->context, algorithm) || !EVP_DigestUpdate(d->context, &leaf_mark, 1))
        return OUTCOME_LIBCRYPTO;
    int32_t error = add(d, fd, TREE_PIECE, regular, left, added);
    if (error)
        return error;
    return EVP_DigestFinal_ex(d->context, leaf, NULL) ? 0 : OUTCOME_LIBCRYPTO;
}

static int32_t read_tree(struct digester *d, const struct algorithm *algorithm, int fd, bool regular,
                         struct outcome *outcome)
{
    struct tree tree;
    unsigned char leaf[DIGEST_BYTES_MAX];
    int64_t size = 0, added = TREE_PIECE;
    int32_t error = 0;
    tree_begin(&tree, algorithm);
    while (!error && added == TREE_PIECE) {
        error = read_leaf(d, algorithm, fd, regular, outcome->size - size, leaf, &added);
        if (!error && (added > 0 || size == 0))
            tree_add(&tree, leaf);
        size += added;
    }
    int32_t failed = tree_end(&tree, size, outcome->digest);
    if (!regular)
        outcome->size = size;
    return error ? error : failed;
}

void digest_file(struct digester *d, const struct algorithm *algorithm, int fd, const struct stat *st,
                 struct outcome *outcome)
{
    bool regular = S_ISREG(st->st_mode);
    *outcome = digest_seen(st);
    if (regular && outcome->size > (int64_t)BUFFER_BYTES)
        posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    outcome->error = (algorithm->tree ? read_tree : read_whole)(d, algorithm, fd, regular, outcome);
    if (!outcome->error && regular)
        outcome->error = same(fd, outcome);
    if (outcome->error == OUTCOME_LIBCRYPTO)
        ERR_clear_error();
}

int64_t tree_pieces(int64_t size)
{
    return size <= 0 ? 1 : (size + TREE_PIECE - 1) / TREE_PIECE;
}

void digest_pieces(struct digester *d, const struct algorithm *algorithm, int fd, const struct stat *st, int64_t first,
                   int64_t n, unsigned char (*leaves)[DIGEST_BYTES_MAX], struct outcome *outcome)
{
    *outcome = digest_seen(st);
    outcome->error = S_ISREG(st->st_mode) ? 0 : OUTCOME_CHANGED;
    if (!outcome->error && lseek(fd, first * TREE_PIECE, SEEK_SET) < 0)
        outcome->error = errno;
    for (int64_t i = 0; i < n && !outcome->error; i++) {
        int64_t left = outcome->size - (first + i) * TREE_PIECE, added;
        outcome->error = read_leaf(d, algorithm, fd, true, left, leaves[i], &added);
        if (!outcome->error && added != (left < TREE_PIECE ? left : TREE_PIECE))
            outcome->error = OUTCOME_CHANGED;
    }
    if (!outcome->error)
        outcome->error = same(fd, outcome);
    if (outcome->error == OUTCOME_LIBCRYPTO)
        ERR_clear_error();
}

void tree_begin(struct tree *tree, const struct algorithm *algorithm)
{
    *tree = (struct tree){.context = EVP_MD_CTX_new(), .algorithm = algorithm};
    tree->failed =
        !tree->context || !begin(tree->context, algorithm) || !EVP_DigestUpdate(tree->context, &root_mark, 1);
}

void tree_add(struct tree *tree, const unsigned char *leaf)
{
    tree->failed = tree->failed || !EVP_DigestUpdate(tree->context, leaf, tree->algorithm->bytes);
}

int32_t tree_end(struct tree *tree, int64_t size, unsigned char digest[DIGEST_BYTES_MAX])
{
    unsigned char low_first[8];
    for (int i = 0; i < 8; i++)
        low_first[i] = (unsigned char)((uint64_t)size >> 8 * i);
    tree->failed = tree->failed || !EVP_DigestUpdate(tree->context, low_first, sizeof low_first) ||
                   !EVP_DigestFinal_ex(tree->context, digest, NULL);
    EVP_MD_CTX_free(tree->context);
    return tree->failed ? OUTCOME_LIBCRYPTO : 0;
}
