/* SPDX-License-Identifier: BSD-3-Clause */
#include "farm/source.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "farm/inputs.h"

static const char blanks[] = " \t\n\r\v\f";

static void say(char *error, const char *name, int64_t number, const char *format, va_list more)
{
    int n;
    if (strcmp(name, ":::") == 0)
        n = snprintf(error, LINES_ERROR_MAX, "input %lld behind ':::': ", (long long)number);
    else if (number == 0)
        n = snprintf(error, LINES_ERROR_MAX, "%.120s: ", name);
    else
        n = snprintf(error, LINES_ERROR_MAX, "%.120s:%lld: ", name, (long long)number);
    vsnprintf(error + n, LINES_ERROR_MAX - (size_t)n, format, more);
}

void source_say_at(char error[LINES_ERROR_MAX], const char *name, int64_t number, const char *format, ...)
{
    va_list more;
    va_start(more, format);
    say(error, name, number, format, more);
    va_end(more);
}

void source_say(const struct source *source, char error[LINES_ERROR_MAX], const char *format, ...)
{
    va_list more;
    va_start(more, format);
    say(error, source->name, source->number, format, more);
    va_end(more);
}

/* Up to the delimiter, which goes. */
static int read_file(struct source *s, char *error)
{
    struct text *text = &s->record.text;
    int c = EOF, delimiter = (unsigned char)s->options->delimiter;
    bool nul = false;
    while (text->n < INPUTS_BYTES_MAX && (text->room - text->n > 1 || text_reserve(text, 1)) &&
           (c = getc_unlocked(s->file)) != EOF && c != delimiter) {
        text->bytes[text->n++] = (char)c;
        nul |= c == '\0';
    }
    text_put(text, "", 0);
    if (ferror(s->file)) {
        s->number++;
        source_say(s, error, "%s", strerror(errno));
        return -1;
    }
    if (c == EOF && text->n == 0 && !text->failed)
        return 0;
    s->number++;
    if (nul)
        source_say(s, error, "a NUL, which no command can have; -0 where inputs end with one");
    else if (text->failed)
        source_say(s, error, "no memory for so long a line");
    else if (text->n == INPUTS_BYTES_MAX)
        source_say(s, error, "no end within %d B; -d says what inputs end with", INPUTS_BYTES_MAX);
    else
        return 1;
    return -1;
}

/* The next input as it stands. */
static int read_raw(struct source *s, char *error)
{
    struct text *text = &s->record.text;
    if (s->ended)
        return 0;
    text_clear(text);
    int there = 1;
    if (!s->words) {
        there = read_file(s, error);
    } else if (s->number < s->n_words) {
        text_put_string(text, s->words[s->number++]);
    } else {
        there = 0;
    }
    if (there == 1 && s->options->end && strcmp(text->bytes, s->options->end) == 0)
        there = 0;
    s->ended = there != 1;
    return there;
}

static int add_column(struct source_record *r, char *column)
{
    if (r->n == r->room) {
        int room = r->room ? 2 * r->room : 8;
        char **more = realloc(r->columns, (size_t)room * sizeof *more);
        if (!more)
            return -1;
        r->columns = more;
        r->room = room;
    }
    r->columns[r->n++] = column;
    return 0;
}

static char *trimmed(const struct source *s, char *text)
{
    if (s->options->trim_l)
        text += strspn(text, blanks);
    if (s->options->trim_r)
        for (size_t n = strlen(text); n > 0 && strchr(blanks, text[n - 1]);)
            text[--n] = '\0';
    return text;
}

static int split(struct source *s, char *error)
{
    struct source_record *r = &s->record;
    char *column = r->text.bytes, *from = column;
    regmatch_t at;
    int failed = 0;
    r->n = 0;
    while (s->separator && *from && regexec(s->separator, from, 1, &at, from == r->text.bytes ? 0 : REG_NOTBOL) == 0) {
        char *next = from + at.rm_eo;
        if (at.rm_eo == at.rm_so) { /* of no bytes, as a boundary of a word */
            from = *next ? next + 1 : next;
            continue;
        }
        from[at.rm_so] = '\0';
        failed |= add_column(r, trimmed(s, column));
        column = from = next;
    }
    failed |= add_column(r, trimmed(s, column));
    if (failed)
        source_say(s, error, "no memory for its columns");
    return failed ? -1 : 1;
}

int source_header(struct source *s, char error[LINES_ERROR_MAX])
{
    int there = read_raw(s, error);
    return there == 1 ? split(s, error) : there;
}

int source_next(struct source *s, char error[LINES_ERROR_MAX])
{
    int there;
    do
        there = read_raw(s, error);
    while (there == 1 && s->options->no_run_if_empty &&
           s->record.text.bytes[strspn(s->record.text.bytes, blanks)] == '\0');
    if (there != 1)
        return there;
    if (s->separator)
        return split(s, error);
    s->record.n = 0;
    if (add_column(&s->record, trimmed(s, s->record.text.bytes)) == 0)
        return 1;
    source_say(s, error, "no memory for its columns");
    return -1;
}

/* The inputs of a file that can be read twice. */
static int64_t count_file(const struct source *s, bool (*counts)(const char *begin, size_t n))
{
    char buffer[65536];
    struct stat about;
    struct text line = {0};
    int fd = fileno(s->file), delimiter = s->options->delimiter;
    int64_t n = 0, offset = s->begin;
    ssize_t got;
    bool open = false;
    if (offset < 0 || fstat(fd, &about) != 0 || !S_ISREG(about.st_mode))
        return -1;
    text_clear(&line);
    while ((got = pread(fd, buffer, sizeof buffer, offset)) > 0) {
        for (char *at = buffer, *end = buffer + got; at < end;) {
            char *stop = memchr(at, delimiter, (size_t)(end - at));
            open = !stop;
            stop = stop ? stop : end;
            for (; line.n == 0 && at < stop; at++) /* what the line begins with: enough to know whether it counts */
                if (!strchr(blanks, *at))
                    text_put(&line, at, 1);
            if (!open && (!counts || counts(line.bytes, line.n)))
                n++;
            if (!open)
                text_clear(&line);
            at = stop + 1;
        }
        offset += got;
    }
    if (open && (!counts || counts(line.bytes, line.n)))
        n++;
    bool failed = got < 0 || line.failed;
    text_free(&line);
    return failed ? -1 : n;
}

int64_t source_count(const struct source *s, bool (*counts)(const char *begin, size_t n))
{
    if (s->options->end || s->options->no_run_if_empty)
        return -1;
    return s->words ? s->n_words : count_file(s, counts);
}

void source_close(struct source *s)
{
    if (s->owned && s->file)
        fclose(s->file);
    text_free(&s->record.text);
    free(s->record.columns);
    *s = (struct source){0};
}
