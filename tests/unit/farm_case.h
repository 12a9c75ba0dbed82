/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases of fixtures/farm: words of a command line and standard input, and the commands that they make. */
#ifndef MUSTER_TESTS_FARM_CASE_H
#define MUSTER_TESTS_FARM_CASE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "farm/lines.h"

#define CASE_WORDS 32
#define CASE_BYTES 8192

struct farm_case {
    char words[CASE_WORDS][256];
    int n_words, line; /* line: where it ends in its file */
    char input[CASE_BYTES], said[CASE_BYTES];
    size_t n_input;
};

/* \n, \t, \r, \0, \\ and \xHH. Returns the bytes, behind which is a NUL. */
static size_t unescape(char *to, const char *from)
{
    char *begin = to;
    for (; *from; from++) {
        if (*from != '\\') {
            *to++ = *from;
            continue;
        }
        from++;
        if (*from == 'x') {
            char hex[3] = {from[1], from[2], '\0'};
            *to++ = (char)strtol(hex, NULL, 16);
            from += 2;
        } else {
            *to++ = *from == 'n' ? '\n' : *from == 't' ? '\t' : *from == 'r' ? '\r' : *from == '0' ? '\0' : *from;
        }
    }
    *to = '\0';
    return (size_t)(to - begin);
}

/* The next case of a file; 0: there is none. Lines: "word W", "input BYTES", "says COMMAND", and "end". */
static int case_read(FILE *file, struct farm_case *c)
{
    char line[CASE_BYTES], bytes[CASE_BYTES];
    int at = c->line;
    *c = (struct farm_case){.line = at};
    while (fgets(line, sizeof line, file)) {
        c->line++;
        line[strcspn(line, "\n")] = '\0';
        const char *rest = line + strcspn(line, " ");
        rest += *rest == ' ';
        if (strncmp(line, "word", 4) == 0 && c->n_words < CASE_WORDS) {
            unescape(c->words[c->n_words++], rest);
        } else if (strncmp(line, "input", 5) == 0) {
            c->n_input = unescape(c->input, rest);
        } else if (strncmp(line, "says", 4) == 0) {
            unescape(bytes, rest);
            strcat(c->said, bytes);
            strcat(c->said, "\n");
        } else if (strcmp(line, "end") == 0) {
            return 1;
        } else if (*line && *line != '#') {
            fprintf(stderr, "line %d: '%s'\n", c->line, line);
            abort();
        }
    }
    return 0;
}

/* The options among the words, of which it returns how many there are. */
static int case_options(const struct farm_case *c, struct lines_options *o)
{
    int i = 0;
    *o = (struct lines_options){.delimiter = '\n'};
    for (; i < c->n_words && c->words[i][0] == '-'; i++) {
        const char *word = c->words[i], *value = word + 2;
        if (strncmp(word, "--", 2) == 0)
            value = i + 1 < c->n_words ? c->words[i + 1] : "";
        switch (word[1]) {
        case 'n':
        case 'N':
            o->max_args = atol(value) ? atol(value) : LINES_NO_ARGS;
            o->context |= word[1] == 'N';
            break;
        case 'X':
            o->context = true;
            break;
        case 'm':
            o->xargs = true;
            break;
        case 'I':
            o->replace = value;
            break;
        case 'q':
            o->quote = true;
            break;
        case 'r':
            o->no_run_if_empty = true;
            break;
        case 'E':
            o->end = value;
            break;
        case 's':
            o->max_chars = atol(value);
            break;
        case 'd':
            o->delimiter = *value;
            break;
        case '0':
            o->delimiter = '\0';
            break;
        case 'j':
            o->slots = atoi(value);
            break;
        case 'a':
            o->arg_file = value;
            break;
        default:
            if (strcmp(word, "--link") == 0) {
                o->link = true;
                continue;
            }
            if (strcmp(word, "--colsep") == 0)
                o->colsep = value;
            if (strcmp(word, "--header") == 0)
                o->header = value;
            if (strcmp(word, "--trim") == 0) {
                o->trim_l = strchr(value, 'l');
                o->trim_r = strchr(value, 'r');
                o->no_trim = strchr(value, 'n');
            }
            i++;
        }
    }
    return i;
}

#endif
