/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Digests of files, whole or by pieces.
 *
 * The tree digest, by which one file is read in many places at once: with H the algorithm, the file in pieces of 16 MiB
 * of which the last one may be shorter, an empty file in one empty piece, and || for one after the other,
 *
 *     leaf = H(0x00 || piece)        root = H(0x01 || leaf || leaf ... || size of the file, 64 bits, low byte first)
 *
 * The first byte, as in RFC 6962, keeps a root's input from being taken for a piece, and a piece for a root's input.
 */
#ifndef CHECKSUM_DIGEST_H
#define CHECKSUM_DIGEST_H

#include <stdint.h>
#include <sys/stat.h>

#include "checksum/algorithm.h"

#define TREE_PIECE ((int64_t)16 << 20)

/** Besides errno's positive ones. */
enum {
    OUTCOME_CHANGED = -1,   /**< while it was read */
    OUTCOME_OPEN = -2,      /**< not read, or not to its end: the job was told to stop */
    OUTCOME_LIBCRYPTO = -3, /**< failed */
    OUTCOME_NO_FILE = -4,   /**< what was a regular file in a tree is none any more */
    OUTCOME_LOOP = -5,      /**< a directory that it is in */
    OUTCOME_FOLDER = -6,    /**< the working directory is not on that host */
    OUTCOME_OUTPUT = -7,    /**< what this program writes */
    OUTCOME_LARGE = -8,     /**< left to others */
    OUTCOME_LOST = -9,      /**< who had it in hand has died */
    OUTCOME_SAME = -10      /**< as it was when an earlier run read it */
};

/** What a file, or pieces of it, came to. */
struct outcome {
    int32_t error;   /**< 0, errno, or OUTCOME_... */
    int32_t settled; /**< its last change was so long ago that another one would show in its times */
    int64_t size, modified_ns, changed_ns;
    uint64_t inode;
    unsigned char digest[DIGEST_BYTES_MAX]; /**< of pieces: none */
};

/** Asked now and then while a file is read; true: stop, the outcome is OUTCOME_OPEN. */
typedef bool (*digest_stop_fn)(void *arg);

struct digester {
    void *context; /**< libcrypto's */
    unsigned char *buffer;
    digest_stop_fn stop; /**< NULL: never */
    void *stop_arg;
};

/** Returns 0, or -1: no memory. */
int digester_create(struct digester *d, digest_stop_fn stop, void *stop_arg);
void digester_destroy(struct digester *d);

/**
 * Opens path for reading, from directory at on as openat does; of any length. Does not wait for a FIFO's writer.
 * Returns the descriptor, or -1 with errno set.
 */
int digest_open(int at, const char *path, bool follow);

/**
 * The digest of what fd gives to its end; st: what fstat said of it. A regular file that changed since then, in size or
 * time: OUTCOME_CHANGED.
 */
void digest_file(struct digester *d, const struct algorithm *algorithm, int fd, const struct stat *st,
                 struct outcome *outcome);

/** What fstat or stat says of a file, as an outcome without a digest. */
struct outcome digest_seen(const struct stat *st);

/** How many pieces a file of that size has. */
int64_t tree_pieces(int64_t size);

/** leaves[0..n-1] of pieces first to first + n - 1 of a regular file; outcome: how it went, without a digest. */
void digest_pieces(struct digester *d, const struct algorithm *algorithm, int fd, const struct stat *st, int64_t first,
                   int64_t n, unsigned char (*leaves)[DIGEST_BYTES_MAX], struct outcome *outcome);

/** The root of a tree digest, leaf by leaf. */
struct tree {
    void *context;
    const struct algorithm *algorithm;
    bool failed;
};

void tree_begin(struct tree *tree, const struct algorithm *algorithm);
void tree_add(struct tree *tree, const unsigned char *leaf);
/** Returns 0, or OUTCOME_LIBCRYPTO. */
int32_t tree_end(struct tree *tree, int64_t size, unsigned char digest[DIGEST_BYTES_MAX]);

#endif
