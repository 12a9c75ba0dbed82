/* SPDX-License-Identifier: BSD-3-Clause */
#include "checksum/list.h"

#include <errno.h>
#include <string.h>

static const char *shown(const char *path)
{
    return strcmp(path, "-") == 0 ? "standard input" : path;
}

int list_check(const struct options *options)
{
    for (int i = 0; i < options->lists_n; i++) {
        struct reader reader;
        if (strcmp(options->lists[i], "-") == 0)
            continue;
        if (reader_open(&reader, options->lists[i], '\n') != 0) {
            fprintf(stderr, "checksum: --check '%s': cannot be read: %s\n", options->lists[i], strerror(errno));
            return -1;
        }
        reader_close(&reader);
    }
    return 0;
}

void list_begin(struct list *list, const struct options *options)
{
    *list = (struct list){.options = options};
}

static bool open_next(struct list *list)
{
    const char *path = list->options->lists[list->next++];
    list->path = shown(path);
    list->lines = list->good = 0;
    list->line_reader = (struct line_reader){list->options->algorithm, list->options->style.zero, 0};
    list->open = reader_open(&list->reader, path, list->options->style.zero ? '\0' : '\n') == 0;
    if (!list->open) {
        fprintf(stderr, "checksum: %s: cannot be read: %s\n", list->path, strerror(errno));
        list->failed = true;
    }
    return list->open;
}

static void close_one(struct list *list)
{
    list->open = false;
    reader_close(&list->reader);
    if (list->good > 0)
        return;
    fprintf(stderr,
            "checksum: %s: no properly formatted checksum lines found; for another algorithm than %s say "
            "--algorithm\n",
            list->path, list->options->algorithm->tag);
    list->failed = true;
}

/* LINE_GOOD: in *line. */
static line_kind read_line(struct list *list, char *text, size_t bytes, struct line *line)
{
    list->lines++;
    line_kind kind = line_read(&list->line_reader, text, bytes, line);
    list->good += kind == LINE_GOOD;
    list->bad += kind == LINE_BAD;
    if (kind == LINE_BAD && list->options->warn)
        fprintf(stderr, "checksum: %s: %lld: improperly formatted %s checksum line\n", list->path,
                (long long)list->lines, list->options->algorithm->tag);
    return kind;
}

reader_state list_next(struct list *list, struct line *line)
{
    for (;;) {
        char *text;
        size_t bytes;
        if (!list->open && list->next == list->options->lists_n)
            return READER_END;
        if (!list->open && !open_next(list))
            continue;
        reader_state state = reader_next(&list->reader, &text, &bytes);
        if (state == READER_LATER)
            return state;
        if (state == READER_RECORD && read_line(list, text, bytes, line) == LINE_GOOD)
            return READER_RECORD;
        if (state == READER_FAILED) {
            fprintf(stderr, "checksum: %s: cannot be read further: %s\n", list->path, strerror(errno));
            list->failed = true;
        }
        if (state != READER_RECORD)
            close_one(list);
    }
}

void list_end(struct list *list)
{
    if (list->open)
        reader_close(&list->reader);
    list->open = false;
}
