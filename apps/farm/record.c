/* SPDX-License-Identifier: BSD-3-Clause */
#include "farm/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Texts seen, by their hash: open addressing, 0 is free. Those seen again are counted beside. */
struct seen {
    uint64_t hash;
    int32_t count;
};

struct record {
    muster_journal *journal;
    struct seen *seen;
    size_t n, room; /* room: a power of two */
};

/* What is in front of the words in a result. Sizes are fixed: journals outlive builds. */
struct head {
    int32_t end, code, signal, error, attempts, unused;
    double begin, seconds;
    int64_t peak_bytes, bytes[2];
    char host[64];
};

static const muster_journal_options plain = {.program = "farm", .version = "1"};

struct record *record_open(const char *path, const char *shell, const char *directory, bool anew)
{
    char parameters[8192];
    struct record *record = calloc(1, sizeof *record);
    muster_journal_options options = plain;
    options.anew = anew;
    options.parameters = parameters;
    snprintf(parameters, sizeof parameters, "shell=%s\ndirectory=%s\n", shell, directory);
    if (record && muster_journal_open(&record->journal, path, &options) == MUSTER_OK)
        return record;
    free(record);
    return NULL;
}

static uint64_t hash_of(const char *text)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    hash ^= hash >> 29;
    return hash ? hash : 1;
}

static struct seen *place_of(struct seen *seen, size_t room, uint64_t hash)
{
    size_t i = hash & (room - 1);
    while (seen[i].hash && seen[i].hash != hash)
        i = (i + 1) & (room - 1);
    return &seen[i];
}

static bool widen(struct record *record)
{
    size_t room = record->room ? 2 * record->room : 1024;
    struct seen *wider = calloc(room, sizeof *wider);
    if (!wider)
        return false;
    for (size_t i = 0; i < record->room; i++)
        if (record->seen[i].hash)
            *place_of(wider, room, record->seen[i].hash) = record->seen[i];
    free(record->seen);
    record->seen = wider;
    record->room = room;
    return true;
}

int32_t record_number(struct record *record, const char *text)
{
    if (4 * record->n >= 3 * record->room && !widen(record))
        return -1;
    uint64_t hash = hash_of(text);
    struct seen *seen = place_of(record->seen, record->room, hash);
    record->n += seen->hash == 0;
    seen->hash = hash;
    return seen->count++;
}

static void name_task(muster_journal_entry *entry, const char *text, const int32_t *number)
{
    entry->name = *text ? text : " "; /* a journal has no task without a name */
    entry->input = number;
    entry->input_bytes = sizeof *number;
}

static bool parse(const muster_journal_entry *entry, struct record_end *end, const char *streams[2], int64_t bytes[2])
{
    struct head head;
    if (entry->result_bytes < sizeof head)
        return false;
    memcpy(&head, entry->result, sizeof head);
    if (head.bytes[0] < 0 || head.bytes[1] < 0 ||
        (uint64_t)head.bytes[0] + (uint64_t)head.bytes[1] != entry->result_bytes - sizeof head)
        return false;
    *end = (struct record_end){.outcome = {.end = (enum child_end)head.end,
                                           .code = head.code,
                                           .signal = head.signal,
                                           .error = head.error,
                                           .begin = head.begin,
                                           .seconds = head.seconds,
                                           .peak_bytes = head.peak_bytes,
                                           .bytes = {head.bytes[0], head.bytes[1]}},
                               .attempts = head.attempts};
    memcpy(end->host, head.host, sizeof end->host);
    end->host[sizeof end->host - 1] = '\0';
    streams[0] = (const char *)entry->result + sizeof head;
    streams[1] = streams[0] + head.bytes[0];
    bytes[0] = head.bytes[0], bytes[1] = head.bytes[1];
    return true;
}

muster_err record_find(struct record *record, const char *text, int32_t number, struct record_end *end,
                       struct spool spools[2])
{
    muster_journal_entry entry = {0};
    const char *streams[2];
    int64_t bytes[2];
    name_task(&entry, text, &number);
    muster_err err = muster_journal_find(record->journal, &entry);
    if (err != MUSTER_OK)
        return err;
    if (!parse(&entry, end, streams, bytes))
        err = MUSTER_ERR_EMPTY; /* not written by us as it is: done again */
    for (int i = 0; i < 2 && err == MUSTER_OK; i++)
        if (spool_add(&spools[i], streams[i], (size_t)bytes[i]) != 0)
            err = MUSTER_ERR_NOMEM;
    free((void *)entry.result);
    return err;
}

struct gathering {
    char *at;
};

static int gather(void *arg, const char *bytes, size_t n)
{
    struct gathering *g = arg;
    memcpy(g->at, bytes, n);
    g->at += n;
    return 0;
}

muster_err record_put(struct record *record, const char *text, int32_t number, const struct record_end *end,
                      const struct spool spools[2], bool *kept)
{
    const struct child_outcome *o = &end->outcome;
    struct head head = {.end = (int32_t)o->end,
                        .code = o->code,
                        .signal = o->signal,
                        .error = o->error,
                        .attempts = end->attempts,
                        .begin = o->begin,
                        .seconds = o->seconds,
                        .peak_bytes = o->peak_bytes,
                        .bytes = {spools[0].size, spools[1].size}};
    memcpy(head.host, end->host, sizeof head.host);
    *kept = spools[0].size + spools[1].size <= RECORD_BYTES_MAX;
    if (!*kept)
        return MUSTER_OK;
    size_t n = sizeof head + (size_t)(spools[0].size + spools[1].size);
    char *result = malloc(n);
    if (!result)
        return MUSTER_ERR_NOMEM;
    struct gathering g = {result + sizeof head};
    memcpy(result, &head, sizeof head);
    muster_err err =
        spool_each(&spools[0], gather, &g) || spool_each(&spools[1], gather, &g) ? MUSTER_ERR_SYSTEM : MUSTER_OK;
    bool well = o->end == CHILD_ENDED && o->code == 0 && o->signal == 0;
    muster_journal_entry entry = {.state = well ? MUSTER_JOURNAL_DONE : MUSTER_JOURNAL_FAILED,
                                  .code = o->signal ? 128 + o->signal : o->code,
                                  .result = result,
                                  .result_bytes = n};
    name_task(&entry, text, &number);
    if (err == MUSTER_OK)
        err = muster_journal_record(record->journal, &entry);
    free(result);
    return err;
}

struct showing {
    void (*visit)(void *arg, const char *text, const struct record_end *end, const char *streams[2],
                  const int64_t bytes[2]);
    void *arg;
};

static int show(const muster_journal_entry *entry, void *arg)
{
    struct showing *s = arg;
    struct record_end end;
    const char *streams[2];
    int64_t bytes[2];
    if (parse(entry, &end, streams, bytes))
        s->visit(s->arg, entry->name, &end, streams, bytes);
    return 0;
}

muster_err record_show(const char *path,
                       void (*visit)(void *arg, const char *text, const struct record_end *end, const char *streams[2],
                                     const int64_t bytes[2]),
                       void *arg)
{
    muster_journal *journal;
    muster_journal_options options = plain;
    struct showing s = {visit, arg};
    options.read_only = true;
    options.any_parameters = true;
    muster_err err = muster_journal_open(&journal, path, &options);
    if (err != MUSTER_OK)
        return err;
    err = muster_journal_each(journal, show, &s, NULL);
    muster_journal_close(journal);
    return err;
}

muster_err record_close(struct record *record)
{
    if (!record)
        return MUSTER_OK;
    muster_err err = muster_journal_close(record->journal);
    free(record->seen);
    free(record);
    return err;
}
