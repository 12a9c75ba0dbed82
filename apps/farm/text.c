/* SPDX-License-Identifier: BSD-3-Clause */
#include "farm/text.h"

#include <stdlib.h>
#include <string.h>

bool text_reserve(struct text *text, size_t more)
{
    if (text->room - text->n > more)
        return true;
    size_t room = text->room ? text->room : 128;
    while (room - text->n <= more)
        room *= 2;
    char *bytes = realloc(text->bytes, room);
    if (!bytes) {
        text->failed = true;
        return false;
    }
    text->bytes = bytes;
    text->room = room;
    return true;
}

void text_put(struct text *text, const char *bytes, size_t n)
{
    if (!text_reserve(text, n))
        return;
    if (n)
        memcpy(text->bytes + text->n, bytes, n);
    text->n += n;
    text->bytes[text->n] = '\0';
}

void text_put_string(struct text *text, const char *string)
{
    text_put(text, string, strlen(string));
}

void text_clear(struct text *text)
{
    text->n = 0;
    text->failed = false;
    text_put(text, "", 0);
}

void text_free(struct text *text)
{
    free(text->bytes);
    *text = (struct text){0};
}
