/* SPDX-License-Identifier: BSD-3-Clause */
#include "checksum/line.h"

#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 'a' ^ 'A';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool line_odd(const char *name)
{
    return strpbrk(name, "\n\r\\") != NULL;
}

void line_write_name(FILE *stream, const char *name)
{
    for (size_t plain; *name; name += plain) {
        plain = strcspn(name, "\n\r\\");
        fwrite(name, 1, plain, stream);
        if (!name[plain])
            return;
        fputc('\\', stream);
        fputc(name[plain] == '\n' ? 'n' : name[plain] == '\r' ? 'r' : '\\', stream);
        plain++;
    }
}

static void write_hex(FILE *stream, const unsigned char *digest, size_t bytes)
{
    char text[2 * DIGEST_BYTES_MAX];
    for (size_t i = 0; i < bytes; i++) {
        text[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        text[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    fwrite(text, 1, 2 * bytes, stream);
}

void line_write(FILE *stream, const struct line_style *style, const struct algorithm *algorithm,
                const unsigned char *digest, const char *name)
{
    bool tag = style->tag || algorithm->tree, odd = !style->zero && line_odd(name);
    if (odd)
        fputc('\\', stream);
    if (tag)
        fprintf(stream, "%s (", algorithm->tag);
    else {
        write_hex(stream, digest, algorithm->bytes);
        fputs(style->binary ? " *" : "  ", stream);
    }
    if (odd)
        line_write_name(stream, name);
    else
        fputs(name, stream);
    if (tag) {
        fputs(") = ", stream);
        write_hex(stream, digest, algorithm->bytes);
    }
    fputc(style->zero ? '\0' : '\n', stream);
}

/* In place. False: no such escape. */
static bool unescape(char *name)
{
    char *to = name;
    for (const char *from = name; *from; from++) {
        if (*from != '\\') {
            *to++ = *from;
            continue;
        }
        from++;
        if (*from != 'n' && *from != 'r' && *from != '\\')
            return false;
        *to++ = (char)(*from == 'n' ? '\n' : *from == 'r' ? '\r' : '\\');
    }
    *to = '\0';
    return true;
}

/* As many digits as the digest has, and none beyond. */
static bool read_hex(const char *text, struct line *line)
{
    for (size_t i = 0; i < line->algorithm->bytes; i++) {
        int high = nibble(text[2 * i]), low = high < 0 ? -1 : nibble(text[2 * i + 1]);
        if (low < 0)
            return false;
        line->digest[i] = (unsigned char)(high << 4 | low);
    }
    return nibble(text[2 * line->algorithm->bytes]) < 0;
}

/* "SHA256 (name) = digest": whether it is of that style; *good: and right. */
static bool read_tagged(char *text, struct line *line, bool *good)
{
    size_t tag = strcspn(text, " (");
    char *open = text + tag + (text[tag] == ' ');
    if (*open != '(' || !(line->algorithm = algorithm_tagged(text, tag)))
        return false;
    char *end = strrchr(open, ')');
    *good = false;
    if (!end)
        return true;
    line->name = open + 1;
    *end++ = '\0';
    while (is_blank(*end))
        end++;
    if (*end++ != '=')
        return true;
    while (is_blank(*end))
        end++;
    *good = read_hex(end, line) && !end[2 * line->algorithm->bytes];
    return true;
}

/* "digest  name", "digest *name"; where the list's first line has one space only, "digest name". */
static bool read_plain(struct line_reader *reader, char *text, struct line *line)
{
    line->algorithm = reader->algorithm;
    if (!read_hex(text, line))
        return false;
    text += 2 * line->algorithm->bytes;
    if (!is_blank(*text++) || !*text)
        return false;
    if (!text[1] || (*text != ' ' && *text != '*')) {
        if (reader->spaces == 2)
            return false;
        reader->spaces = 1;
    } else if (reader->spaces != 1) {
        reader->spaces = 2;
        text++;
    }
    line->name = text;
    return true;
}

line_kind line_read(struct line_reader *reader, char *text, size_t bytes, struct line *line)
{
    if (bytes > 0 && text[bytes - 1] == '\r' && !reader->zero)
        bytes--;
    text[bytes] = '\0';
    if (bytes == 0 || *text == '#')
        return LINE_SKIP;
    if (strlen(text) != bytes)
        return LINE_BAD; /* no name has a zero byte */
    while (is_blank(*text))
        text++;
    bool escaped = *text == '\\' && !reader->zero, good;
    text += escaped;
    if (!read_tagged(text, line, &good))
        good = read_plain(reader, text, line);
    return good && (!escaped || unescape(line->name)) ? LINE_GOOD : LINE_BAD;
}
