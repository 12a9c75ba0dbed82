/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Digest algorithms, by libcrypto, and what they are called: on the command line, and in lines of the BSD style.
 */
#ifndef CHECKSUM_ALGORITHM_H
#define CHECKSUM_ALGORITHM_H

#include <stdbool.h>
#include <stddef.h>

#define DIGEST_BYTES_MAX   64
#define ALGORITHM_NAME_MAX 64

struct algorithm {
    char name[ALGORITHM_NAME_MAX]; /**< finds it again, in any process */
    char tag[ALGORITHM_NAME_MAX];  /**< in lines of the BSD style: "SHA256", "TREE16M-SHA256" */
    const void *digest;            /**< libcrypto's, an EVP_MD */
    size_t bytes;                  /**< of a digest */
    bool tree;                     /**< over the digests of pieces, see digest.h */
};

/**
 * The algorithm that the name means: sha256, blake2b (as b2sum), or another that libcrypto has with digests of one
 * size. NULL: none. Borrowed for ever.
 */
const struct algorithm *algorithm_named(const char *name, bool tree);

/** The algorithm of a tag of so many bytes; NULL: none. Borrowed for ever. */
const struct algorithm *algorithm_tagged(const char *tag, size_t bytes);

#endif
