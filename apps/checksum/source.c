/* SPDX-License-Identifier: BSD-3-Clause */
#include "checksum/source.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static int open_files_from(struct reader *reader, const struct options *o)
{
    if (reader_open(reader, o->files_from, o->null ? '\0' : '\n') == 0)
        return 0;
    fprintf(stderr, "checksum: --files-from '%s': cannot be read: %s\n", o->files_from, strerror(errno));
    return -1;
}

int source_check(const struct options *options)
{
    struct reader reader;
    if (list_check(options) != 0)
        return -1;
    if (!options->files_from || strcmp(options->files_from, "-") == 0)
        return 0;
    if (open_files_from(&reader, options) != 0)
        return -1;
    reader_close(&reader);
    return 0;
}

void source_begin(struct source *source, const struct options *options)
{
    *source = (struct source){.options = options};
    list_begin(&source->list, options);
}

/* A file or directory that the command line names. Links are followed there, as everybody does. */
static source_state take_path(struct source *source, struct entry *entry, const char *path)
{
    struct stat st;
    *entry = (struct entry){.path = path, .algorithm = source->options->algorithm};
    entry->is_input = strcmp(path, "-") == 0;
    if (entry->is_input)
        return SOURCE_ENTRY;
    if (stat(path, &st) != 0) {
        entry->error = errno;
    } else if (S_ISDIR(st.st_mode)) {
        walk_begin(&source->walk, source->options->follow);
        source->walking = true;
        entry->error = walk_enter(&source->walk, path);
        return entry->error ? SOURCE_ENTRY : SOURCE_LATER;
    }
    return SOURCE_ENTRY;
}

/* Whether a file in a tree is the journal of this run, or stands beside it for SQLite. */
static bool is_journal(const struct source *source, const char *path)
{
    const char *journal = source->options->resume;
    char beside[4096];
    struct stat st, own;
    if (!journal)
        return false;
    const char *name = strrchr(journal, '/'), *found = strrchr(path, '/');
    name = name ? name + 1 : journal;
    found = found ? found + 1 : path;
    if (strncmp(found, name, strlen(name)) != 0)
        return false;
    snprintf(beside, sizeof beside, "%s%s", journal, found + strlen(name));
    return stat(path, &st) == 0 && stat(beside, &own) == 0 && st.st_dev == own.st_dev && st.st_ino == own.st_ino;
}

/* Of the tree at hand; SOURCE_END: no more. */
static source_state take_walked(struct source *source, struct entry *entry)
{
    const char *path;
    int error;
    walk_state state;
    do
        state = walk_next(&source->walk, &path, &error);
    while (state == WALK_FILE && is_journal(source, path));
    if (state == WALK_END) {
        walk_end(&source->walk);
        source->walking = false;
        return SOURCE_END;
    }
    *entry = (struct entry){.path = path, .algorithm = source->options->algorithm, .error = error, .in_tree = true};
    return SOURCE_ENTRY;
}

/* What the command line names, and the trees; SOURCE_END: no more. */
static source_state take_named(struct source *source, struct entry *entry)
{
    const struct options *o = source->options;
    for (;;) {
        if (source->walking && take_walked(source, entry) == SOURCE_ENTRY)
            return SOURCE_ENTRY;
        if (source->next == o->paths_n)
            return SOURCE_END;
        if (take_path(source, entry, o->paths[source->next++]) == SOURCE_ENTRY)
            return SOURCE_ENTRY;
    }
}

static source_state take_record(struct source *source, struct entry *entry)
{
    char *record;
    size_t bytes;
    for (;;) {
        reader_state state = reader_next(&source->reader, &record, &bytes);
        if (state == READER_LATER)
            return SOURCE_LATER;
        if (state == READER_FAILED) {
            fprintf(stderr, "checksum: --files-from '%s': cannot be read further: %s\n", source->options->files_from,
                    strerror(errno));
            source->failed = true;
        }
        if (state != READER_RECORD)
            return SOURCE_END;
        source->records++;
        record[bytes] = '\0';
        if (bytes == 0 && !source->options->null)
            continue;
        if (bytes == 0 || strlen(record) != bytes) {
            fprintf(stderr,
                    "checksum: --files-from '%s': record %lld is no name; for names that end in zero bytes say "
                    "--null\n",
                    source->options->files_from, (long long)source->records);
            source->failed = true;
            continue;
        }
        *entry = (struct entry){.path = record, .algorithm = source->options->algorithm};
        return SOURCE_ENTRY;
    }
}

static source_state take_line(struct source *source, struct entry *entry)
{
    reader_state state = list_next(&source->list, &source->line);
    if (state != READER_RECORD) {
        source->failed |= source->list.failed;
        return state == READER_LATER ? SOURCE_LATER : SOURCE_END;
    }
    const struct line *line = &source->line;
    *entry = (struct entry){.path = line->name,
                            .algorithm = line->algorithm,
                            .expected = line->digest,
                            .is_input = strcmp(line->name, "-") == 0};
    if (source->options->strict && names_add(&source->names, line->name) != 0)
        entry->error = ENOMEM;
    return SOURCE_ENTRY;
}

source_state source_next(struct source *source, struct entry *entry)
{
    const struct options *o = source->options;
    if (o->lists_n > 0)
        return take_line(source, entry);
    if (take_named(source, entry) == SOURCE_ENTRY)
        return SOURCE_ENTRY;
    if (!o->files_from && o->paths_n == 0 && source->records++ == 0) {
        *entry = (struct entry){.path = "-", .algorithm = o->algorithm, .is_input = true};
        return SOURCE_ENTRY;
    }
    if (!o->files_from)
        return SOURCE_END;
    if (!source->reading && open_files_from(&source->reader, o) != 0) {
        source->failed = true;
        return SOURCE_END;
    }
    source->reading = true;
    return take_record(source, entry);
}

void source_wait(const struct source *source, int timeout_ms)
{
    reader_wait(source->reading ? &source->reader : &source->list.reader, timeout_ms);
}

/* Whether it is one of the lists themselves, which stands in the tree that it lists. */
static bool is_list(const struct source *source, const char *path)
{
    struct stat st, list;
    const struct options *o = source->options;
    if (stat(path, &st) != 0)
        return false;
    for (int i = 0; i < o->lists_n; i++)
        if (stat(o->lists[i], &list) == 0 && list.st_dev == st.st_dev && list.st_ino == st.st_ino)
            return true;
    return false;
}

source_state source_extra(struct source *source, struct entry *entry)
{
    while (take_named(source, entry) == SOURCE_ENTRY)
        if (entry->error || (!names_have(&source->names, entry->path) && !is_list(source, entry->path)))
            return SOURCE_ENTRY;
    return SOURCE_END;
}

void source_end(struct source *source)
{
    walk_end(&source->walk);
    if (source->reading)
        reader_close(&source->reader);
    list_end(&source->list);
    names_free(&source->names);
}
