/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes as a list of checksums: lines that, written again and read again, say the same; none beyond its end. */
#include <stdint.h>
#include <string.h>

#include "checksum/line.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Its line, in the style of the list, is read as it is. */
static void again(const struct line *line, bool zero)
{
    static char text[1 << 20];
    struct line_style style = {.zero = zero, .tag = true};
    struct line_reader reader = {line->algorithm, zero, 0};
    struct line same;
    FILE *stream = fmemopen(text, sizeof text, "w");
    REQUIRE(stream);
    line_write(stream, &style, line->algorithm, line->digest, line->name);
    size_t n = (size_t)ftell(stream);
    REQUIRE(fclose(stream) == 0 && n > 1);
    REQUIRE(line_read(&reader, text, n - 1, &same) == LINE_GOOD);
    REQUIRE(same.algorithm == line->algorithm && strcmp(same.name, line->name) == 0);
    REQUIRE(memcmp(same.digest, line->digest, line->algorithm->bytes) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size == 0)
        return 0;
    bool zero = bytes[0] & 1;
    struct line_reader reader = {algorithm_named("sha256", bytes[0] & 2), zero, 0};
    for (size_t at = 1; at < size;) {
        const uint8_t *end = memchr(bytes + at, zero ? '\0' : '\n', size - at);
        size_t n = end ? (size_t)(end - bytes) - at : size - at;
        char *text = malloc(n + 1); /* as long as it is */
        struct line line;
        REQUIRE(text);
        memcpy(text, bytes + at, n);
        if (line_read(&reader, text, n, &line) == LINE_GOOD) {
            REQUIRE(line.name >= text && line.name + strlen(line.name) <= text + n);
            again(&line, zero);
        }
        free(text);
        at += n + 1;
    }
    return 0;
}
