/* SPDX-License-Identifier: BSD-3-Clause */
/* The format of encrypt: what was sealed is opened, by its key alone, and nothing that was changed is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "encrypt/format.h"

enum { PIECE = 1000 };

static const uint8_t key[FORMAT_KEY_BYTES] = "a key of this test, of 32 bytes.";

/* A whole file, sealed, in memory. */
struct sealed {
    struct format_header header;
    struct format_keys keys;
    uint8_t *plain, *bytes;
    size_t size;
};

static struct sealed seal(size_t plain_bytes)
{
    struct sealed s = {.header = format_new(plain_bytes, PIECE, false)};
    format_keys(&s.header, key, &s.keys);
    s.size = format_sealed_size(&s.header);
    s.plain = malloc(plain_bytes + 1);
    s.bytes = malloc(s.size);
    assert_non_null(s.plain);
    assert_non_null(s.bytes);
    for (size_t i = 0; i < plain_bytes; i++)
        s.plain[i] = (uint8_t)(i * 7 + i / 256);
    format_write(&s.header, &s.keys, s.bytes);
    for (uint64_t k = 0; k < format_pieces(&s.header); k++)
        format_seal(&s.header, &s.keys, k, s.plain + format_plain_at(&s.header, k),
                    s.bytes + format_sealed_at(&s.header, k));
    return s;
}

static void drop(struct sealed *s)
{
    free(s->plain);
    free(s->bytes);
}

/* As the program does: 0, or which check has refused it. */
static int open_all(const uint8_t *bytes, size_t size, const uint8_t with[FORMAT_KEY_BYTES], uint8_t *plain)
{
    struct format_header header;
    struct format_keys keys;
    const char *why;
    if (size < FORMAT_HEADER_BYTES || format_read(bytes, &header, &why) != 0)
        return 1;
    format_keys(&header, with, &keys);
    if (!format_verify(bytes, &keys))
        return 2;
    if (format_sealed_size(&header) != size)
        return 3;
    for (uint64_t k = 0; k < format_pieces(&header); k++)
        if (format_open(&header, &keys, k, bytes + format_sealed_at(&header, k), plain + format_plain_at(&header, k)))
            return 4;
    return 0;
}

static void sizes(void **state)
{
    (void)state;
    static const size_t all[] = {0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 17};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct sealed s = seal(all[i]);
        uint8_t *plain = calloc(1, all[i] + 1);
        assert_int_equal(open_all(s.bytes, s.size, key, plain), 0);
        assert_memory_equal(plain, s.plain, all[i]);
        free(plain);
        drop(&s);
    }
}

/* Each bit of a small file counts; so does each byte that is cut off or added. */
static void every_byte(void **state)
{
    (void)state;
    uint8_t plain[4 * PIECE], more[16 * PIECE];
    struct sealed s = seal(PIECE + 20);
    for (size_t i = 0; i < s.size; i++) {
        s.bytes[i] ^= (uint8_t)(1 << i % 8);
        if (open_all(s.bytes, s.size, key, more) == 0)
            fail_msg("byte %zu may be changed", i);
        s.bytes[i] ^= (uint8_t)(1 << i % 8);
    }
    assert_int_equal(open_all(s.bytes, s.size, key, plain), 0);
    for (size_t cut = 1; cut <= s.size; cut++)
        assert_int_not_equal(open_all(s.bytes, s.size - cut, key, plain), 0);
    memcpy(more, s.bytes, s.size);
    assert_int_not_equal(open_all(more, s.size + 1, key, plain), 0);
    drop(&s);
}

static void swap_pieces(uint8_t *a, uint8_t *b)
{
    uint8_t kept[PIECE + FORMAT_PIECE_EXTRA];
    memcpy(kept, a, sizeof kept);
    memcpy(a, b, sizeof kept);
    memcpy(b, kept, sizeof kept);
}

static void order(void **state)
{
    (void)state;
    uint8_t plain[4 * PIECE];
    struct sealed s = seal(3 * PIECE), other = seal(3 * PIECE);
    uint8_t *first = s.bytes + format_sealed_at(&s.header, 0), *second = s.bytes + format_sealed_at(&s.header, 1);
    swap_pieces(first, second);
    assert_int_equal(open_all(s.bytes, s.size, key, plain), 4);
    swap_pieces(first, second);
    swap_pieces(first, other.bytes + format_sealed_at(&other.header, 0)); /* of another file with the same key */
    assert_int_equal(open_all(s.bytes, s.size, key, plain), 4);
    swap_pieces(first, other.bytes + format_sealed_at(&other.header, 0));
    assert_int_equal(open_all(s.bytes, s.size, key, plain), 0);
    /* the header of one, the pieces of the other */
    memcpy(s.bytes, other.bytes, FORMAT_HEADER_BYTES);
    assert_int_equal(open_all(s.bytes, s.size, key, plain), 4);
    drop(&s);
    drop(&other);
}

static void wrong_key(void **state)
{
    (void)state;
    uint8_t plain[PIECE], wrong[FORMAT_KEY_BYTES];
    struct sealed s = seal(PIECE);
    for (int bit = 0; bit < 8 * FORMAT_KEY_BYTES; bit++) {
        memcpy(wrong, key, sizeof wrong);
        wrong[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(open_all(s.bytes, s.size, wrong, plain), 2);
    }
    drop(&s);
}

/* What a header may ask for has bounds, whoever wrote it. */
static void greedy_header(void **state)
{
    (void)state;
    const char *why;
    struct format_keys keys = {{0}};
    uint8_t bytes[FORMAT_HEADER_BYTES];
    struct format_header h = format_new(10, PIECE, true), read;
    format_write(&h, &keys, bytes);
    assert_int_equal(format_read(bytes, &read, &why), 0);
    assert_memory_equal(read.salt, h.salt, sizeof h.salt);
    assert_int_equal(read.memory, h.memory);
    h.memory = FORMAT_MEMORY_MAX + 1;
    format_write(&h, &keys, bytes);
    assert_int_equal(format_read(bytes, &read, &why), -1);
    h = format_new(10, PIECE, true);
    h.rounds = FORMAT_ROUNDS_MAX + 1;
    format_write(&h, &keys, bytes);
    assert_int_equal(format_read(bytes, &read, &why), -1);
    h = format_new(10, FORMAT_PIECE_MAX + 1, false);
    format_write(&h, &keys, bytes);
    assert_int_equal(format_read(bytes, &read, &why), -1);
    h = format_new(FORMAT_SIZE_MAX, 1, false);
    format_write(&h, &keys, bytes);
    assert_int_equal(format_read(bytes, &read, &why), 0);
    assert_true(format_sealed_size(&read) > FORMAT_SIZE_MAX && format_sealed_size(&read) < INT64_MAX);
    h = format_new((uint64_t)FORMAT_SIZE_MAX + 1, 1, false);
    format_write(&h, &keys, bytes);
    assert_int_equal(format_read(bytes, &read, &why), -1);
    h = format_new(UINT64_MAX, PIECE, false);
    format_write(&h, &keys, bytes);
    assert_int_equal(format_read(bytes, &read, &why), -1);
}

/* A file of an earlier build: what it was is opened for ever. */
static void vector(void **state)
{
    (void)state;
    static const char hex[] =
#include "fixtures/encrypt/vector.h"
        ;
    uint8_t bytes[512], plain[64] = "";
    size_t size;
    assert_int_equal(sodium_hex2bin(bytes, sizeof bytes, hex, strlen(hex), NULL, &size, NULL), 0);
    assert_int_equal(open_all(bytes, size, key, plain), 0);
    assert_string_equal((char *)plain, "what is written here is read for ever\n");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),     cmocka_unit_test(every_byte),    cmocka_unit_test(order),
        cmocka_unit_test(wrong_key), cmocka_unit_test(greedy_header), cmocka_unit_test(vector),
    };
    if (format_begin() != 0)
        return 1;
    if (argc > 1 && strcmp(argv[1], "--vector") == 0) { /* makes the one of `vector` */
        const char *text = "what is written here is read for ever\n";
        struct sealed s = seal(strlen(text));
        memcpy(s.plain, text, strlen(text));
        format_seal(&s.header, &s.keys, 0, s.plain, s.bytes + format_sealed_at(&s.header, 0));
        for (size_t i = 0; i < s.size; i++)
            printf("%s%02x%s", i % 32 ? "" : "\"", s.bytes[i], i % 32 == 31 || i + 1 == s.size ? "\"\n" : "");
        drop(&s);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
