/* SPDX-License-Identifier: BSD-3-Clause */
#include "checksum/names.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The next part of a path that says something, so that parts compare where spellings differ; NULL: no more. */
static const char *next_part(const char **rest, size_t *bytes)
{
    for (;;) {
        *rest += strspn(*rest, "/");
        *bytes = strcspn(*rest, "/");
        const char *part = *rest;
        *rest += *bytes;
        if (*bytes == 0)
            return NULL;
        if (*bytes != 1 || *part != '.')
            return part;
    }
}

static bool equal(const char *a, const char *b)
{
    if ((*a == '/') != (*b == '/'))
        return false;
    for (;;) {
        size_t bytes, other;
        const char *part = next_part(&a, &bytes), *beside = next_part(&b, &other);
        if (!part || !beside)
            return part == beside;
        if (bytes != other || memcmp(part, beside, bytes) != 0)
            return false;
    }
}

/* FNV-1a, over the parts. */
static uint64_t hash(const char *name)
{
    uint64_t h = *name == '/' ? 1099511628211u : 14695981039346656037u;
    const char *part;
    for (size_t bytes; (part = next_part(&name, &bytes));) {
        for (size_t i = 0; i < bytes; i++)
            h = (h ^ (unsigned char)part[i]) * 1099511628211u;
        h = (h ^ '/') * 1099511628211u;
    }
    return h ^ h >> 32;
}

static char **place(const struct names *names, const char *name)
{
    size_t i = hash(name) & (names->room - 1);
    while (names->at[i] && !equal(names->at[i], name))
        i = (i + 1) & (names->room - 1);
    return &names->at[i];
}

static int grow(struct names *names)
{
    struct names more = {.n = names->n, .room = names->room ? 2 * names->room : 1024};
    more.at = calloc(more.room, sizeof *more.at);
    if (!more.at)
        return -1;
    for (size_t i = 0; i < names->room; i++)
        if (names->at[i])
            *place(&more, names->at[i]) = names->at[i];
    free(names->at);
    *names = more;
    return 0;
}

int names_add(struct names *names, const char *name)
{
    if (2 * names->n >= names->room && grow(names) != 0)
        return -1;
    char **at = place(names, name);
    if (*at)
        return 0;
    *at = strdup(name);
    if (!*at)
        return -1;
    names->n++;
    return 0;
}

bool names_have(const struct names *names, const char *name)
{
    return names->room > 0 && *place(names, name);
}

void names_free(struct names *names)
{
    for (size_t i = 0; i < names->room; i++)
        free(names->at[i]);
    free(names->at);
    *names = (struct names){0};
}
