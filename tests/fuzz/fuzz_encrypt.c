/* SPDX-License-Identifier: BSD-3-Clause */
/* What a file says of itself, whoever wrote it: its header is read, and its first piece opened, within its bytes. */
#include <stdlib.h>
#include <string.h>

#include "encrypt/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t key[FORMAT_KEY_BYTES] = "a key of this test, of 32 bytes.";
    struct format_header header;
    struct format_keys keys;
    const char *why;
    if (format_begin() != 0)
        abort();
    if (size < FORMAT_HEADER_BYTES || format_read(data, &header, &why) != 0)
        return 0;
    format_keys(&header, key, &keys);
    (void)format_verify(data, &keys);
    uint64_t pieces = format_pieces(&header);
    if (format_sealed_size(&header) < FORMAT_HEADER_BYTES + header.size)
        abort();
    if (pieces == 0 || format_sealed_at(&header, 0) + format_piece_bytes(&header, 0) + FORMAT_PIECE_EXTRA > size)
        return 0;
    uint8_t *plain = malloc(format_piece_bytes(&header, 0));
    if (plain)
        (void)format_open(&header, &keys, 0, data + format_sealed_at(&header, 0), plain);
    free(plain);
    return 0;
}
