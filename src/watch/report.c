/* SPDX-License-Identifier: BSD-3-Clause */
#include "watch/watch.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Lines of text: those who are about the same stand in one. */

enum { LINE_MAX = 900, NAMED_MAX = 8 };

struct text {
    char at[LINE_MAX];
    size_t used;
};

static __attribute__((format(printf, 2, 3))) void put(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int wanted = vsnprintf(text->at + text->used, sizeof text->at - text->used, format, args);
    va_end(args);
    size_t room = sizeof text->at - text->used - 1;
    text->used += wanted < 0 ? 0 : (size_t)wanted < room ? (size_t)wanted : room;
}

/* ---- finding ---- */

static bool same(muster_handle a, muster_handle b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static const struct view_object *object_of(const struct view *views, int n, muster_handle handle)
{
    for (int i = 0; i < n; i++)
        for (uint32_t k = 0; k < views[i].head.objects; k++)
            if (same(views[i].object[k].object, handle))
                return &views[i].object[k];
    return NULL;
}

static const struct view_line *line_of(const struct view *views, int n, int host, uint32_t caller)
{
    for (int i = 0; i < n; i++)
        for (uint32_t k = 0; views[i].head.host == host && k < views[i].head.lines; k++)
            if (views[i].line[k].caller == caller)
                return &views[i].line[k];
    return NULL;
}

static const char *host_name(const struct view *views, int n, int host, char *room, size_t size)
{
    for (int i = 0; i < n; i++)
        if (views[i].head.host == host)
            return views[i].head.host_name;
    snprintf(room, size, "host %d", host);
    return room;
}

void report_object(const struct view *views, int n, muster_handle handle, char *text, size_t size)
{
    const struct view_object *object = object_of(views, n, handle);
    char room[32];
    int home = (int)(handle.kind_home & 0xffffff);
    if (object)
        snprintf(text, size, "%s", object->name);
    else
        snprintf(text, size, "%s %u", muster__class_name((enum muster__kind)(handle.kind_home >> 24)), handle.slot);
    size_t used = strlen(text);
    if (n > 1 || (!object && home != views[0].head.host))
        snprintf(text + used, size - used, " of %s", host_name(views, n, home, room, sizeof room));
}

/* ---- who ---- */

/* "ranks 0, 2-5 and 7", of a group's main threads of ranks; then the others by name. */
static void put_ranks(struct text *text, const int *ranks, int count)
{
    put(text, "rank%s ", count == 1 ? "" : "s");
    for (int i = 0; i < count;) {
        int last = i;
        while (last + 1 < count && ranks[last + 1] == ranks[last] + 1)
            last++;
        put(text, i ? ", %d" : "%d", ranks[i]);
        if (last > i)
            put(text, last == i + 1 ? ", %d" : "-%d", ranks[last]);
        i = last + 1;
    }
}

static int by_number(const void *left, const void *right)
{
    return *(const int *)left - *(const int *)right;
}

static void put_who(struct text *text, const struct view_line **group, int count)
{
    int *ranks = malloc((size_t)count * sizeof *ranks), found = 0, others = 0;
    for (int i = 0; ranks && i < count; i++)
        if (group[i]->is_rank)
            ranks[found++] = group[i]->rank;
    if (found) {
        qsort(ranks, (size_t)found, sizeof *ranks, by_number);
        put_ranks(text, ranks, found);
    }
    for (int i = 0; i < count; i++)
        if (!group[i]->is_rank && others++ < NAMED_MAX)
            put(text, found || others > 1 ? "; %s" : "%s", group[i]->who);
    if (others > NAMED_MAX)
        put(text, " and %d more", others - NAMED_MAX);
    free(ranks);
}

/* ---- what ---- */

static bool put_holders(struct text *text, const struct view *views, int n, muster_handle object)
{
    int found = 0;
    char room[32];
    for (int i = 0; i < n; i++)
        for (uint32_t k = 0; k < views[i].head.holds; k++) {
            const struct view_hold *hold = &views[i].hold[k];
            if (!same(hold->object, object) || (!hold->caller && n > 1))
                continue; /* the host itself says who */
            const struct view_line *line = line_of(views, n, hold->host, hold->caller);
            put(text, found++ ? ", %s" : ", held by %s",
                line           ? line->who
                : hold->caller ? "a thread that is gone"
                               : host_name(views, n, hold->host, room, sizeof room));
        }
    return found;
}

static void put_object(struct text *text, const struct view *views, int n, muster_handle handle)
{
    char name[128];
    const struct view_object *object = object_of(views, n, handle);
    report_object(views, n, handle, name, sizeof name);
    put(text, "%s", name);
    if (!put_holders(text, views, n, handle) && object && *object->facts)
        put(text, " (%s)", object->facts);
}

static void put_what(struct text *text, const struct view *views, int n, const struct view_line *line)
{
    char name[128] = "";
    bool pool = line->object.kind_home != 0;
    if (pool)
        report_object(views, n, line->object, name, sizeof name);
    switch (line->operation) {
    case MUSTER__FOR_WORK:
        put(text, pool ? "tasks of %s" : "tasks", name);
        break;
    case MUSTER__FOR_TASKS:
        put(text, "results of %s", name);
        break;
    case MUSTER__FOR_WORKERS:
        put(text, "the workers of %s to leave it", name);
        break;
    case MUSTER__FOR_RANKS:
        put(text, "the other ranks to end");
        break;
    case MUSTER__FOR_ANSWER:
        put(text, "an answer about %s", name);
        break;
    default:
        put_object(text, views, n, line->object);
    }
}

static void put_since(struct text *text, const struct view_line **group, int count)
{
    int64_t least = group[0]->waited_ns, most = least;
    for (int i = 1; i < count; i++) {
        least = group[i]->waited_ns < least ? group[i]->waited_ns : least;
        most = group[i]->waited_ns > most ? group[i]->waited_ns : most;
    }
    put(text, ", for %.1f", (double)least * 1e-9);
    if (most - least >= 100000000)
        put(text, " to %.1f", (double)most * 1e-9);
    put(text, " s");
}

static void put_group(struct text *text, const struct view *views, int n, const struct view_line **group, int count)
{
    const struct view_line *line = group[0];
    bool one = count == 1;
    put_who(text, group, count);
    if (line->stopped)
        put(text, one ? " (it is stopped)" : " (they are stopped)");
    switch ((enum watch_state)line->state) {
    case WATCH_ELSEWHERE:
        put(text, one ? " is elsewhere: it computes, or waits for something that is not muster's"
                      : " are elsewhere: they compute, or wait for something that is not muster's");
        return;
    case WATCH_IDLE:
        put(text, one ? " is idle, waiting for " : " are idle, waiting for ");
        break;
    case WATCH_TIMED:
        put(text, one ? " waits up to a deadline for " : " wait up to a deadline for ");
        break;
    default:
        put(text, one ? " waits for " : " wait for ");
    }
    put_what(text, views, n, line);
    put_since(text, group, count);
    if (*line->call && line->state != WATCH_IDLE)
        put(text, ", in %s", line->call);
}

/* ---- groups ---- */

static int compare(const struct view_line *a, const struct view_line *b)
{
    static const int order[] = {
        [WATCH_WAITS] = 0, [WATCH_TIMED] = 1, [WATCH_ELSEWHERE] = 2, [WATCH_IDLE] = 3, [WATCH_SERVES] = 4};
    if (a->state != b->state)
        return order[a->state] - order[b->state];
    if (a->stopped != b->stopped)
        return a->stopped ? 1 : -1;
    int different = memcmp(&a->object, &b->object, sizeof a->object);
    if (different)
        return different;
    return a->operation != b->operation ? (a->operation < b->operation ? -1 : 1) : strcmp(a->call, b->call);
}

static int by_group(const void *left, const void *right)
{
    const struct view_line *a = *(const struct view_line *const *)left, *b = *(const struct view_line *const *)right;
    int different = compare(a, b);
    if (different)
        return different;
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    return a->caller < b->caller ? -1 : a->caller > b->caller;
}

void report_roll(const struct view *views, int n, report_say say, void *to)
{
    size_t all = 0, at = 0;
    for (int i = 0; i < n; i++)
        all += views[i].head.lines;
    const struct view_line **lines = malloc((all + 1) * sizeof(const struct view_line *));
    for (int i = 0; lines && i < n; i++)
        for (uint32_t k = 0; k < views[i].head.lines; k++)
            lines[at++] = &views[i].line[k];
    if (at)
        qsort(lines, at, sizeof(const struct view_line *), by_group);
    for (size_t first = 0, end; lines && first < at; first = end) {
        struct text text = {.used = 0};
        for (end = first + 1; end < at && compare(lines[first], lines[end]) == 0; end++)
            ;
        put_group(&text, views, n, lines + first, (int)(end - first));
        say(to, text.at);
    }
    free(lines);
}

/* ---- circles ---- */

void report_circle(const struct view *views, int n, const struct watch_wait *circle, int length, report_say say,
                   void *to)
{
    for (int i = 0; i < length; i++) {
        struct text text = {.used = 0};
        char object[128] = "?";
        const struct view_line *line = line_of(views, n, circle[i].host, circle[i].caller),
                               *next =
                                   line_of(views, n, circle[(i + 1) % length].host, circle[(i + 1) % length].caller);
        if (!line || !next)
            continue;
        report_object(views, n, line->object, object, sizeof object);
        put(&text, "%s%s waits in %s for %s, which %s holds%s", i ? "" : "circle: ", line->who,
            *line->call ? line->call : "a call", object, length == 1 ? "it itself" : next->who,
            i + 1 < length ? ";" : "");
        say(to, text.at);
    }
}
