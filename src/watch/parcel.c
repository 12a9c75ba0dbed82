/* SPDX-License-Identifier: BSD-3-Clause */
#include "watch/watch.h"

#include <stdlib.h>
#include <string.h>

/* A view as bytes, and back: of whatever another host sends, no count leads out of them, and every text has an end. */

void view_free(struct view *view)
{
    free(view->line);
    free(view->hold);
    free(view->object);
    *view = (struct view){0};
}

void *view_pack(const struct view *view, size_t *size)
{
    size_t lines = view->head.lines * sizeof *view->line, holds = view->head.holds * sizeof *view->hold,
           objects = view->head.objects * sizeof *view->object;
    *size = sizeof view->head + lines + holds + objects;
    char *bytes = malloc(*size), *at = bytes;
    if (!bytes)
        return NULL;
    memcpy(at, &view->head, sizeof view->head);
    at += sizeof view->head;
    if (lines)
        memcpy(at, view->line, lines);
    if (holds)
        memcpy(at + lines, view->hold, holds);
    if (objects)
        memcpy(at + lines + holds, view->object, objects);
    return bytes;
}

static void *cut(const char **at, size_t *left, uint32_t count, size_t each, bool *fine)
{
    size_t size = (size_t)count * each;
    if (size > *left) {
        *fine = false;
        return NULL;
    }
    void *copy = malloc(size + 1);
    *fine &= copy != NULL;
    if (copy)
        memcpy(copy, *at, size);
    *at += size;
    *left -= size;
    return copy;
}

static void end_texts(struct view *view)
{
    view->head.host_name[sizeof view->head.host_name - 1] = '\0';
    for (uint32_t i = 0; i < view->head.lines; i++)
        view->line[i].who[sizeof view->line->who - 1] = view->line[i].call[sizeof view->line->call - 1] = '\0';
    for (uint32_t i = 0; i < view->head.objects; i++)
        view->object[i].name[sizeof view->object->name - 1] = view->object[i].facts[sizeof view->object->facts - 1] =
            '\0';
}

/* What is counted with. */
static bool is_fit(const struct view_line *line)
{
    return line->state > WATCH_GONE && line->state <= WATCH_SERVES && line->rank >= -1 && line->rank < INT32_MAX &&
           line->waited_ns >= 0;
}

static bool all_fit(const struct view *view)
{
    for (uint32_t i = 0; i < view->head.lines; i++)
        if (!is_fit(&view->line[i]))
            return false;
    return true;
}

bool view_unpack(struct view *view, const void *bytes, size_t size)
{
    *view = (struct view){0};
    if (size < sizeof view->head)
        return false;
    memcpy(&view->head, bytes, sizeof view->head);
    const char *at = (const char *)bytes + sizeof view->head;
    size_t left = size - sizeof view->head;
    bool fine = true;
    view->line = cut(&at, &left, view->head.lines, sizeof *view->line, &fine);
    view->hold = cut(&at, &left, view->head.holds, sizeof *view->hold, &fine);
    view->object = cut(&at, &left, view->head.objects, sizeof *view->object, &fine);
    fine = fine && all_fit(view);
    if (fine)
        end_texts(view);
    else
        view_free(view);
    return fine;
}
