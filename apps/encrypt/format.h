/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The format: a header, then pieces of the same size but for the last one, each sealed for itself, so that many may
 * work on one file. src/doc/encrypt.md describes it. Without files and MPI.
 */
#ifndef ENCRYPT_FORMAT_H
#define ENCRYPT_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FORMAT_KEY_BYTES     32
#define FORMAT_SALT_BYTES    16
#define FORMAT_ID_BYTES      32
#define FORMAT_HEADER_BYTES  128
#define FORMAT_PIECE_EXTRA   41 /* of libsodium's stream: its header, a tag, and what authenticates */
#define FORMAT_PIECE_DEFAULT (4u << 20)
#define FORMAT_PIECE_MAX     (64u << 20)
#define FORMAT_MEMORY_MAX    ((uint64_t)4 << 30) /* a header may not ask for more to make a key of a passphrase */
#define FORMAT_SIZE_MAX      (INT64_MAX / 64)    /* with the smallest pieces, too, the sealed size is a number */
#define FORMAT_ROUNDS_MAX    64

struct format_header {
    bool by_passphrase;
    uint8_t salt[FORMAT_SALT_BYTES]; /**< of the passphrase's key */
    uint64_t rounds, memory;         /**< Argon2id's */
    uint32_t piece_bytes;
    uint64_t size;               /**< of the plain text */
    uint8_t id[FORMAT_ID_BYTES]; /**< random: no two files have one key */
};

struct format_keys {
    uint8_t file[FORMAT_KEY_BYTES];
};

/** To be called once, before all others: 0, or -1. */
int format_begin(void);

/** A header for a plain text of that size, with a new id and salt. */
struct format_header format_new(uint64_t size, uint32_t piece_bytes, bool by_passphrase);

/** The key of a passphrase, as the header says: takes a second and a GiB, or so. 0, or -1: no memory for it. */
int format_passphrase(const struct format_header *header, const char *passphrase, uint8_t key[FORMAT_KEY_BYTES]);

/** The keys of one file. */
void format_keys(const struct format_header *header, const uint8_t key[FORMAT_KEY_BYTES], struct format_keys *keys);

/** The header as bytes, authenticated. */
void format_write(const struct format_header *header, const struct format_keys *keys,
                  uint8_t bytes[FORMAT_HEADER_BYTES]);

/** Reads what needs no key: 0; -1: it is no such file, or asks for what is not allowed, as `why` says. */
int format_read(const uint8_t bytes[FORMAT_HEADER_BYTES], struct format_header *header, const char **why);

/** Whether these are its keys, and nobody has changed it. */
bool format_verify(const uint8_t bytes[FORMAT_HEADER_BYTES], const struct format_keys *keys);

uint64_t format_pieces(const struct format_header *header);
/** Of piece k: how much plain text it has, where that begins, and where the sealed piece does. */
uint32_t format_piece_bytes(const struct format_header *header, uint64_t k);
uint64_t format_plain_at(const struct format_header *header, uint64_t k);
uint64_t format_sealed_at(const struct format_header *header, uint64_t k);
/** Of the whole sealed file. */
uint64_t format_sealed_size(const struct format_header *header);

/** sealed has room for FORMAT_PIECE_EXTRA more bytes than plain. */
void format_seal(const struct format_header *header, const struct format_keys *keys, uint64_t k, const uint8_t *plain,
                 uint8_t *sealed);
/** 0, or -1: it is not what was sealed as piece k of this file. */
int format_open(const struct format_header *header, const struct format_keys *keys, uint64_t k, const uint8_t *sealed,
                uint8_t *plain);

#endif
