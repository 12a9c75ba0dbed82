/* SPDX-License-Identifier: BSD-3-Clause */
#include "encrypt/format.h"

#include <sodium.h>
#include <string.h>

/*
 *      0  "MUSTERE1"
 *      8  1: the key is of a passphrase; 0: of a key file       (numbers: little endian)
 *     12  bytes of a piece
 *     16  bytes of the plain text
 *     24  Argon2id: rounds
 *     32  Argon2id: bytes
 *     40  Argon2id: salt
 *     56  id
 *     88  zeros
 *     96  what authenticates all that is before
 */
enum {
    BY_PASSPHRASE_AT = 8,
    PIECE_AT = 12,
    SIZE_AT = 16,
    ROUNDS_AT = 24,
    MEMORY_AT = 32,
    SALT_AT = 40,
    ID_AT = 56,
    ZEROS_AT = 88,
    MAC_AT = 96
};

static const uint8_t magic[8] = {'M', 'U', 'S', 'T', 'E', 'R', 'E', '1'};

_Static_assert(FORMAT_PIECE_EXTRA ==
                   crypto_secretstream_xchacha20poly1305_HEADERBYTES + crypto_secretstream_xchacha20poly1305_ABYTES,
               "as libsodium has it");
_Static_assert(FORMAT_KEY_BYTES == crypto_secretstream_xchacha20poly1305_KEYBYTES &&
                   FORMAT_SALT_BYTES == crypto_pwhash_SALTBYTES,
               "as libsodium has it");

static void put(uint8_t *at, uint64_t number, int bytes)
{
    for (int i = 0; i < bytes; i++)
        at[i] = (uint8_t)(number >> 8 * i);
}

static uint64_t get(const uint8_t *at, int bytes)
{
    uint64_t number = 0;
    for (int i = 0; i < bytes; i++)
        number |= (uint64_t)at[i] << 8 * i;
    return number;
}

int format_begin(void)
{
    return sodium_init() < 0 ? -1 : 0;
}

struct format_header format_new(uint64_t size, uint32_t piece_bytes, bool by_passphrase)
{
    struct format_header header = {.by_passphrase = by_passphrase, .piece_bytes = piece_bytes, .size = size};
    if (by_passphrase) {
        header.rounds = crypto_pwhash_OPSLIMIT_MODERATE;
        header.memory = crypto_pwhash_MEMLIMIT_MODERATE;
        randombytes_buf(header.salt, sizeof header.salt);
    }
    randombytes_buf(header.id, sizeof header.id);
    return header;
}

int format_passphrase(const struct format_header *h, const char *passphrase, uint8_t key[FORMAT_KEY_BYTES])
{
    return crypto_pwhash(key, FORMAT_KEY_BYTES, passphrase, strlen(passphrase), h->salt, h->rounds, (size_t)h->memory,
                         crypto_pwhash_ALG_ARGON2ID13);
}

/* BLAKE2b with a key: of a purpose and what belongs to it. */
static void derive(uint8_t out[FORMAT_KEY_BYTES], const uint8_t key[FORMAT_KEY_BYTES], const char *purpose,
                   const uint8_t *more, size_t bytes)
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, key, FORMAT_KEY_BYTES, FORMAT_KEY_BYTES);
    crypto_generichash_update(&state, (const uint8_t *)purpose, strlen(purpose) + 1);
    crypto_generichash_update(&state, more, bytes);
    crypto_generichash_final(&state, out, FORMAT_KEY_BYTES);
    sodium_memzero(&state, sizeof state);
}

void format_keys(const struct format_header *header, const uint8_t key[FORMAT_KEY_BYTES], struct format_keys *keys)
{
    derive(keys->file, key, "muster encrypt 1 file", header->id, sizeof header->id);
}

static void authenticate(const uint8_t bytes[FORMAT_HEADER_BYTES], const struct format_keys *keys,
                         uint8_t mac[FORMAT_KEY_BYTES])
{
    derive(mac, keys->file, "muster encrypt 1 header", bytes, MAC_AT);
}

void format_write(const struct format_header *h, const struct format_keys *keys, uint8_t bytes[FORMAT_HEADER_BYTES])
{
    memset(bytes, 0, FORMAT_HEADER_BYTES);
    memcpy(bytes, magic, sizeof magic);
    put(bytes + BY_PASSPHRASE_AT, h->by_passphrase, 4);
    put(bytes + PIECE_AT, h->piece_bytes, 4);
    put(bytes + SIZE_AT, h->size, 8);
    put(bytes + ROUNDS_AT, h->rounds, 8);
    put(bytes + MEMORY_AT, h->memory, 8);
    memcpy(bytes + SALT_AT, h->salt, sizeof h->salt);
    memcpy(bytes + ID_AT, h->id, sizeof h->id);
    authenticate(bytes, keys, bytes + MAC_AT);
}

int format_read(const uint8_t bytes[FORMAT_HEADER_BYTES], struct format_header *h, const char **why)
{
    uint64_t by_passphrase = get(bytes + BY_PASSPHRASE_AT, 4);
    *h = (struct format_header){.by_passphrase = by_passphrase == 1,
                                .piece_bytes = (uint32_t)get(bytes + PIECE_AT, 4),
                                .size = get(bytes + SIZE_AT, 8),
                                .rounds = get(bytes + ROUNDS_AT, 8),
                                .memory = get(bytes + MEMORY_AT, 8)};
    memcpy(h->salt, bytes + SALT_AT, sizeof h->salt);
    memcpy(h->id, bytes + ID_AT, sizeof h->id);
    *why = NULL;
    if (memcmp(bytes, magic, sizeof magic))
        *why = "is not encrypted by this program";
    else if (by_passphrase > 1 || h->piece_bytes == 0 || h->piece_bytes > FORMAT_PIECE_MAX || h->size > FORMAT_SIZE_MAX)
        *why = "has a header that is none";
    else if (h->by_passphrase && (h->rounds < crypto_pwhash_OPSLIMIT_MIN || h->rounds > FORMAT_ROUNDS_MAX ||
                                  h->memory < crypto_pwhash_MEMLIMIT_MIN || h->memory > FORMAT_MEMORY_MAX))
        *why = "asks for more memory or rounds for its passphrase than are allowed";
    return *why ? -1 : 0;
}

bool format_verify(const uint8_t bytes[FORMAT_HEADER_BYTES], const struct format_keys *keys)
{
    uint8_t mac[FORMAT_KEY_BYTES];
    authenticate(bytes, keys, mac);
    return sodium_memcmp(mac, bytes + MAC_AT, FORMAT_HEADER_BYTES - MAC_AT) == 0;
}

uint64_t format_pieces(const struct format_header *h)
{
    return h->size / h->piece_bytes + (h->size % h->piece_bytes != 0);
}

uint32_t format_piece_bytes(const struct format_header *h, uint64_t k)
{
    uint64_t left = h->size - k * h->piece_bytes;
    return left < h->piece_bytes ? (uint32_t)left : h->piece_bytes;
}

uint64_t format_plain_at(const struct format_header *h, uint64_t k)
{
    return k * h->piece_bytes;
}

uint64_t format_sealed_at(const struct format_header *h, uint64_t k)
{
    return FORMAT_HEADER_BYTES + k * ((uint64_t)h->piece_bytes + FORMAT_PIECE_EXTRA);
}

uint64_t format_sealed_size(const struct format_header *h)
{
    return FORMAT_HEADER_BYTES + h->size + format_pieces(h) * FORMAT_PIECE_EXTRA;
}

/* Its number, of how many, of how much text: a piece that is moved, or of a file that was cut, has another key. */
static void piece_key(const struct format_header *h, const struct format_keys *keys, uint64_t k,
                      uint8_t key[FORMAT_KEY_BYTES])
{
    uint8_t place[20];
    put(place, k, 8);
    put(place + 8, h->size, 8);
    put(place + 16, h->piece_bytes, 4);
    derive(key, keys->file, "muster encrypt 1 piece", place, sizeof place);
}

void format_seal(const struct format_header *h, const struct format_keys *keys, uint64_t k, const uint8_t *plain,
                 uint8_t *sealed)
{
    uint8_t key[FORMAT_KEY_BYTES];
    crypto_secretstream_xchacha20poly1305_state state;
    piece_key(h, keys, k, key);
    crypto_secretstream_xchacha20poly1305_init_push(&state, sealed, key);
    crypto_secretstream_xchacha20poly1305_push(&state, sealed + crypto_secretstream_xchacha20poly1305_HEADERBYTES, NULL,
                                               plain, format_piece_bytes(h, k), NULL, 0,
                                               crypto_secretstream_xchacha20poly1305_TAG_FINAL);
    sodium_memzero(key, sizeof key);
    sodium_memzero(&state, sizeof state);
}

int format_open(const struct format_header *h, const struct format_keys *keys, uint64_t k, const uint8_t *sealed,
                uint8_t *plain)
{
    uint8_t key[FORMAT_KEY_BYTES], tag = 0;
    crypto_secretstream_xchacha20poly1305_state state;
    uint32_t bytes = format_piece_bytes(h, k);
    piece_key(h, keys, k, key);
    int failed = crypto_secretstream_xchacha20poly1305_init_pull(&state, sealed, key);
    if (!failed)
        failed = crypto_secretstream_xchacha20poly1305_pull(
            &state, plain, NULL, &tag, sealed + crypto_secretstream_xchacha20poly1305_HEADERBYTES,
            (unsigned long long)bytes + crypto_secretstream_xchacha20poly1305_ABYTES, NULL, 0);
    sodium_memzero(key, sizeof key);
    sodium_memzero(&state, sizeof state);
    return failed || tag != crypto_secretstream_xchacha20poly1305_TAG_FINAL ? -1 : 0;
}
