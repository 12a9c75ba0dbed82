/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A line of the table as it travels. */
struct line {
    uint64_t object, whose;
    uint64_t operations, tasks, steals, messages, bytes, waited_ns;
    char name[32], host[64]; /* the host of that rank */
};

/* ---- at start ---- */

muster_err report_start(const struct muster__world *world)
{
    bool wanted = muster__setting_text(MUSTER__SET_COUNTERS) != NULL;
    muster__transport_job_tell(&wanted, sizeof wanted);
    muster__count_rank = (uint32_t)world->rank;
    return wanted && world->local == 0 ? muster__count_start(muster__self_number()) : MUSTER_OK;
}

/* ---- at the end ---- */

static struct line *lines_here(size_t *count)
{
    uint32_t at = 0;
    *count = 0;
    while (muster__count_next(&at))
        ++*count;
    struct line *lines = malloc((*count + 1) * sizeof *lines);
    at = 0;
    for (size_t i = 0; lines && i < *count; i++) {
        const struct muster__counter *found = muster__count_next(&at);
        if (!found)
            break;
        lines[i] = (struct line){.object = atomic_load(&found->object),
                                 .whose = atomic_load(&found->whose),
                                 .operations = atomic_load(&found->operations),
                                 .tasks = atomic_load(&found->tasks),
                                 .steals = atomic_load(&found->steals),
                                 .messages = atomic_load(&found->messages),
                                 .bytes = atomic_load(&found->bytes),
                                 .waited_ns = atomic_load(&found->waited_ns)};
        memcpy(lines[i].name, found->name, sizeof lines[i].name);
        snprintf(lines[i].host, sizeof lines[i].host, "%s", muster__host_name());
    }
    return lines;
}

static uint32_t rank_of(const struct line *line)
{
    return (uint32_t)line->whose - 1;
}

static int by_object(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    uint64_t of_x = x->whose >> 32, of_y = y->whose >> 32;
    if (x->object != y->object)
        return x->object < y->object ? -1 : 1;
    if (of_x != of_y)
        return of_x < of_y ? -1 : 1;
    return rank_of(x) < rank_of(y) ? -1 : rank_of(x) > rank_of(y);
}

/* Lines of the same rank and object become one; an object's name stands on all of its lines. Returns how many are left.
 */
static size_t tidy(struct line *lines, size_t count)
{
    size_t kept = 0, first = 0; /* first of the object's */
    qsort(lines, count, sizeof *lines, by_object);
    for (size_t i = 0; i < count; i++) {
        struct line *last = kept ? &lines[kept - 1] : NULL, *now = &lines[i];
        bool same_object = last && last->object == now->object && last->whose >> 32 == now->whose >> 32;
        if (!same_object)
            first = kept;
        if (same_object && rank_of(last) == rank_of(now)) {
            last->operations += now->operations;
            last->tasks += now->tasks;
            last->steals += now->steals;
            last->messages += now->messages;
            last->bytes += now->bytes;
            last->waited_ns += now->waited_ns;
        } else {
            lines[kept++] = *now;
        }
        char name[sizeof now->name];
        memcpy(name, now->name[0] ? now->name : lines[first].name, sizeof name);
        for (size_t k = first; k < kept; k++)
            memcpy(lines[k].name, name, sizeof name);
    }
    return kept;
}

static const char *kind_of(const struct line *line)
{
    static const char *const names[] = {
        [0] = "others",          [MUSTER__LOCK] = "lock", [MUSTER__QUEUE] = "queue",    [MUSTER__PROCESS] = "process",
        [MUSTER__POOL] = "pool", [MUSTER__TASK] = "task", [MUSTER__COUNT_MAIL] = "mail"};
    size_t kind = line->object >> 56;
    return kind < sizeof names / sizeof *names ? names[kind] : "others";
}

/* "queue 3 of host 0 'jobs'" */
static void describe(const struct line *line, char *text, size_t size)
{
    uint32_t home = line->object >> 32 & 0xffffff, slot = (uint32_t)line->object;
    if (line->object >> 56 == MUSTER__COUNT_MAIL)
        snprintf(text, size, "mail of host %u", home);
    else if (slot == UINT32_MAX)
        snprintf(text, size, "other %ss", kind_of(line));
    else if (line->whose >> 32 == 0) /* asked of a host, not of an object */
        snprintf(text, size, "%s calls to host %u", kind_of(line), home);
    else
        snprintf(text, size, line->name[0] ? "%s %u of host %u '%s'" : "%s %u of host %u", kind_of(line), slot, home,
                 line->name);
}

static void print_table(const struct line *lines, size_t count, FILE *file)
{
    fprintf(file, "%-40s %6s %12s %12s %10s %10s %14s %10s\n", "counters", "rank", "operations", "tasks", "steals",
            "messages", "bytes", "waited s");
    for (size_t i = 0; i < count; i++) {
        const struct line *line = &lines[i];
        char what[96];
        describe(line, what, sizeof what);
        fprintf(file, "%-40s %6u %12" PRIu64 " %12" PRIu64 " %10" PRIu64 " %10" PRIu64 " %14" PRIu64 " %10.3f\n", what,
                rank_of(line), line->operations, line->tasks, line->steals, line->messages, line->bytes,
                (double)line->waited_ns * 1e-9);
    }
}

static void print_string(FILE *file, const char *text)
{
    fputc('"', file);
    for (; *text; text++)
        if (*text == '"' || *text == '\\')
            fprintf(file, "\\%c", *text);
        else if ((unsigned char)*text < ' ')
            fprintf(file, "\\u%04x", (unsigned char)*text);
        else
            fputc(*text, file);
    fputc('"', file);
}

static void print_json(const struct line *lines, size_t count, FILE *file)
{
    fprintf(file, "{\"hosts\": %d, \"ranks\": %d, \"counters\": [", muster__me.world.hosts, muster__me.world.ranks);
    for (size_t i = 0; i < count; i++) {
        const struct line *line = &lines[i];
        fprintf(file, "%s\n  {\"rank\": %u, \"host\": ", i ? "," : "", rank_of(line));
        print_string(file, line->host);
        fprintf(file, ", \"kind\": \"%s\", \"home\": %u, \"slot\": %u, \"name\": ", kind_of(line),
                (unsigned)(line->object >> 32 & 0xffffff), (uint32_t)line->object);
        print_string(file, line->name);
        fprintf(file,
                ", \"operations\": %" PRIu64 ", \"tasks\": %" PRIu64 ", \"steals\": %" PRIu64 ", \"messages\": %" PRIu64
                ", \"bytes\": %" PRIu64 ", \"waited_s\": %.9f}",
                line->operations, line->tasks, line->steals, line->messages, line->bytes,
                (double)line->waited_ns * 1e-9);
    }
    fprintf(file, "\n]}\n");
}

static void show(struct line *lines, size_t count)
{
    const char *where = muster__setting_text(MUSTER__SET_COUNTERS);
    count = tidy(lines, count);
    if (!where || strcmp(where, "1") == 0) {
        print_table(lines, count, stderr);
        return;
    }
    FILE *file = fopen(where, "w");
    if (file)
        print_json(lines, count, file);
    if (!file || ferror(file) | fclose(file))
        muster__log(MUSTER__ERROR, "the counters cannot be written to %s: %s", where, strerror(errno));
}

void muster__counters_print(FILE *file)
{
    size_t count;
    struct line *lines = lines_here(&count);
    if (lines)
        print_table(lines, tidy(lines, count), file);
    free(lines);
}

void report_counters(bool politely)
{
    if (!muster__counts())
        return;
    size_t count = 0, bytes;
    struct line *lines = muster__me.world.local == 0 ? lines_here(&count) : NULL;
    void *all = NULL;
    if (politely) {
        muster__transport_collect(lines, lines ? count * sizeof *lines : 0, &all, &bytes);
        free(lines);
        lines = all;
        count = bytes / sizeof *lines;
    }
    if (muster__me.world.rank == 0 && lines)
        show(lines, count);
    free(lines);
}
