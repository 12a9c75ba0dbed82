/* SPDX-License-Identifier: BSD-3-Clause */
#include "checksum/algorithm.h"

#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#define TREE_PREFIX "TREE16M-"
#define KNOWN_MAX   64

/* Where the name is not what libcrypto calls it, or the tag. */
static const struct {
    const char *name, *libcrypto, *tag;
} common[] = {
    {"md5", "MD5", "MD5"},
    {"sha1", "SHA1", "SHA1"},
    {"sha224", "SHA224", "SHA224"},
    {"sha256", "SHA256", "SHA256"},
    {"sha384", "SHA384", "SHA384"},
    {"sha512", "SHA512", "SHA512"},
    {"blake2b", "BLAKE2b512", "BLAKE2b"},
};

/* Those that were asked for. One thread of a process finds algorithms: that which reads lists, and runs tasks. */
static struct algorithm known[KNOWN_MAX];
static size_t known_n;

static const struct algorithm *find(const char *name, bool tree)
{
    for (size_t i = 0; i < known_n; i++)
        if (strcasecmp(known[i].name, name) == 0 && known[i].tree == tree)
            return &known[i];
    return NULL;
}

/* By any name that libcrypto knows. */
static EVP_MD *fetch(const char *name)
{
    for (size_t i = 0; i < sizeof common / sizeof *common; i++)
        if (strcasecmp(name, common[i].name) == 0)
            name = common[i].libcrypto;
    const EVP_MD *alias = EVP_get_digestbyname(name);
    EVP_MD *digest = EVP_MD_fetch(NULL, alias ? EVP_MD_get0_name(alias) : name, NULL);
    ERR_clear_error();
    int bytes = digest ? EVP_MD_get_size(digest) : 0;
    if (bytes >= 16 && bytes <= DIGEST_BYTES_MAX && !(EVP_MD_get_flags(digest) & EVP_MD_FLAG_XOF) &&
        strlen(EVP_MD_get0_name(digest)) + strlen(TREE_PREFIX) < ALGORITHM_NAME_MAX)
        return digest;
    EVP_MD_free(digest);
    return NULL;
}

static const char *tag_of(const EVP_MD *digest)
{
    for (size_t i = 0; i < sizeof common / sizeof *common; i++)
        if (EVP_MD_is_a(digest, common[i].libcrypto))
            return common[i].tag;
    return EVP_MD_get0_name(digest);
}

const struct algorithm *algorithm_named(const char *name, bool tree)
{
    const struct algorithm *there = find(name, tree);
    EVP_MD *digest = there ? NULL : fetch(name);
    if (!digest)
        return there;
    there = find(EVP_MD_get0_name(digest), tree);
    if (there || known_n == KNOWN_MAX) {
        EVP_MD_free(digest);
        return there;
    }
    struct algorithm *a = &known[known_n++];
    snprintf(a->name, sizeof a->name, "%s", EVP_MD_get0_name(digest));
    snprintf(a->tag, sizeof a->tag, "%s%s", tree ? TREE_PREFIX : "", tag_of(digest));
    a->digest = digest;
    a->bytes = (size_t)EVP_MD_get_size(digest);
    a->tree = tree;
    return a;
}

const struct algorithm *algorithm_tagged(const char *tag, size_t bytes)
{
    char name[ALGORITHM_NAME_MAX];
    for (size_t i = 0; i < known_n; i++)
        if (strlen(known[i].tag) == bytes && memcmp(known[i].tag, tag, bytes) == 0)
            return &known[i];
    if (bytes == 0 || bytes >= sizeof name || memchr(tag, '\0', bytes))
        return NULL;
    memcpy(name, tag, bytes);
    name[bytes] = '\0';
    bool tree = strncmp(name, TREE_PREFIX, strlen(TREE_PREFIX)) == 0;
    const char *plain = name + (tree ? strlen(TREE_PREFIX) : 0);
    const struct algorithm *a = algorithm_named(plain, tree);
    return a && strcmp(a->tag, name) == 0 ? a : NULL;
}
