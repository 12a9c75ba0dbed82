/* SPDX-License-Identifier: BSD-3-Clause */
#include "farm/directive.h"

#include <stdio.h>
#include <string.h>

#include "farm/number.h"

static const char blanks[] = " \t\r\v\f";

static enum directive_line bad(char *error, const char *what, const char *rest, const char *allowed)
{
    snprintf(error, DIRECTIVE_ERROR_MAX, "'#%s %.60s': allowed is %s", what, rest, allowed);
    return DIRECTIVE_BAD;
}

static enum directive_line twice(char *error, const char *what)
{
    snprintf(error, DIRECTIVE_ERROR_MAX, "a second #%s for one command", what);
    return DIRECTIVE_BAD;
}

static enum directive_line read_wait(struct directives *d, const char *rest, char *error)
{
    if (*rest)
        return bad(error, "wait", rest, "#wait alone; a comment has a blank behind its #");
    d->wait = true;
    return DIRECTIVE_NO_COMMAND;
}

static enum directive_line read_name(struct directives *d, const char *rest, char *error)
{
    if (d->name.n > 0)
        return twice(error, "name");
    if (!*rest || strpbrk(rest, blanks))
        return bad(error, "name", rest, "one word, of the next command");
    text_put_string(&d->name, rest);
    return DIRECTIVE_NO_COMMAND;
}

static enum directive_line read_after(struct directives *d, const char *rest, char *error)
{
    if (!*rest)
        return bad(error, "after", rest, "names that #name has given to commands before");
    while (*rest) {
        size_t n = strcspn(rest, blanks);
        if (d->after.n > 0)
            text_put(&d->after, " ", 1);
        text_put(&d->after, rest, n);
        rest += n + strspn(rest + n, blanks);
    }
    return DIRECTIVE_NO_COMMAND;
}

static enum directive_line read_number(int *number, const char *what, long most, const char *rest, char *error)
{
    char allowed[60];
    if (*number)
        return twice(error, what);
    if (number_whole(rest, 1, most, number) == 0)
        return DIRECTIVE_NO_COMMAND;
    snprintf(allowed, sizeof allowed, "a whole number from 1 to %ld", most);
    return bad(error, what, rest, allowed);
}

static enum directive_line read_one(struct directives *d, const char *word, size_t n, const char *rest, char *error)
{
    if (n == 4 && strncmp(word, "wait", n) == 0)
        return read_wait(d, rest, error);
    if (n == 4 && strncmp(word, "name", n) == 0)
        return read_name(d, rest, error);
    if (n == 5 && strncmp(word, "after", n) == 0)
        return read_after(d, rest, error);
    if (n == 5 && strncmp(word, "cores", n) == 0)
        return read_number(&d->cores, "cores", DIRECTIVE_CORES_MAX, rest, error);
    if (n == 4 && strncmp(word, "gpus", n) == 0)
        return read_number(&d->gpus, "gpus", DIRECTIVE_GPUS_MAX, rest, error);
    return DIRECTIVE_NO_COMMAND;
}

enum directive_line directive_read(struct directives *d, const char *line, char error[DIRECTIVE_ERROR_MAX])
{
    line += strspn(line, blanks);
    if (*line != '#')
        return *line ? DIRECTIVE_COMMAND : DIRECTIVE_NO_COMMAND;
    struct text rest = {0};
    const char *word = line + 1;
    size_t n = strcspn(word, blanks);
    text_put_string(&rest, word + n + strspn(word + n, blanks));
    while (!rest.failed && rest.n > 0 && strchr(blanks, rest.bytes[rest.n - 1]))
        rest.bytes[--rest.n] = '\0';
    enum directive_line is = rest.failed ? DIRECTIVE_BAD : read_one(d, word, n, rest.bytes, error);
    if (rest.failed || d->name.failed || d->after.failed) {
        snprintf(error, DIRECTIVE_ERROR_MAX, "no memory");
        is = DIRECTIVE_BAD;
    }
    text_free(&rest);
    return is;
}

const char *directive_left(const struct directives *d)
{
    return d->name.n ? "#name" : d->after.n ? "#after" : d->cores ? "#cores" : d->gpus ? "#gpus" : NULL;
}

void directive_clear(struct directives *d)
{
    text_clear(&d->name);
    text_clear(&d->after);
    d->wait = false;
    d->cores = d->gpus = 0;
}

void directive_free(struct directives *d)
{
    text_free(&d->name);
    text_free(&d->after);
}
