/* SPDX-License-Identifier: BSD-3-Clause */
/* Any options, words and input of farm: either commands within their bounds or one message, no crash, no leak. The
 * first line is options, a letter each; then words, a line each, up to an empty one; the rest is standard input. */
#include <stdint.h>
#include <string.h>

#include "farm/lines.h"
#include "farm/shell.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define WORDS    40
#define COMMANDS 300 /* combinations of many inputs are many */
#define BYTES    (1 << 20)

static void set_option(struct lines_options *o, char letter)
{
    switch (letter) {
    case 'X':
        o->context = true;
        break;
    case 'm':
        o->xargs = true;
        break;
    case 'q':
        o->quote = true;
        break;
    case 'r':
        o->no_run_if_empty = true;
        break;
    case 'l':
        o->link = true;
        break;
    case 't':
        o->trim_l = o->trim_r = true;
        break;
    case 'n':
        o->no_trim = true;
        break;
    case '0':
        o->delimiter = '\0';
        break;
    case 'd':
        o->delimiter = ',';
        break;
    case 'D':
        o->directives = true;
        break;
    case 'h':
        o->header = ":";
        break;
    case 'C':
        o->colsep = ",";
        break;
    case 'B':
        o->colsep = "\\>|[,;]+";
        break;
    case 'I':
        o->replace = ",";
        break;
    case 'E':
        o->end = "end";
        break;
    case 's':
        o->max_chars = 40;
        break;
    case 'N':
        o->max_args = LINES_NO_ARGS;
        break;
    case 'j':
        o->slots = 3;
        break;
    default:
        if (letter >= '1' && letter <= '9')
            o->max_args = letter - '0';
    }
}

/* Words in place, each with a NUL behind it; "::::" may name standard input alone. Returns what follows. */
static char *parse_words(char *at, char *end, struct lines_options *o, const char **words)
{
    bool files = false;
    while (at < end && *at != '\n' && o->n_words < WORDS) {
        char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop)
            stop = end;
        *stop = '\0';
        if (strncmp(at, ":::", 3) == 0)
            files = at[3] == ':';
        words[o->n_words++] = files && at[0] != ':' ? "-" : at;
        at = stop + 1;
    }
    o->words = words;
    return at < end ? at + (*at == '\n') : end;
}

/* Words, quoted, are the same words. */
static void require_words(char *const *argv)
{
    struct text text = {0};
    struct shell_words words = {0};
    for (int i = 0; argv[i]; i++) {
        text_put_string(&text, i ? " " : "");
        shell_quote(&text, argv[i], strlen(argv[i]));
    }
    char **again = shell_split(&words, text.bytes);
    for (int i = 0; again && argv[i]; i++)
        REQUIRE(again[i] && strcmp(argv[i], again[i]) == 0);
    text_free(&text);
    shell_words_free(&words);
}

static void require_command(const struct line *line, const struct lines_options *o)
{
    char *slot = lines_slot(line->text, "1"), *shown = lines_slot(line->text, NULL);
    REQUIRE(slot && shown && strlen(slot) <= strlen(shown));
    REQUIRE(strlen(line->text) < (size_t)(o->max_chars ? o->max_chars : 131072));
    REQUIRE(line->source && line->line_number >= 1);
    bool is_input = o->n_words == 0 && line->n_args == 1 && !o->quote && !o->header && !o->max_args;
    REQUIRE(!is_input || strcmp(slot, line->args[0]) == 0);
    for (int i = 0; i < line->n_args; i++)
        REQUIRE(line->args[i]);
    if (line->argv) {
        REQUIRE(line->argv[0] && *line->argv[0]);
        if (!strstr(line->text, "{%"))
            require_words(line->argv);
    }
    free(slot);
    free(shown);
}

static void run(const struct lines_options *o, FILE *input)
{
    char error[LINES_ERROR_MAX] = "";
    struct lines *lines;
    struct line line;
    int there = 1, n = 0;
    size_t put = 0;
    if (lines_open(&lines, o, input, error) != 0) {
        REQUIRE(*error && strlen(error) < sizeof error);
        return;
    }
    while (n < COMMANDS && put < BYTES && (there = lines_next(lines, &line)) == 1) {
        put += strlen(line.text);
        REQUIRE(line.seq == ++n);
        require_command(&line, o);
        REQUIRE(lines_total(lines) == -1 || lines_total(lines) >= n);
    }
    if (there != 1) {
        REQUIRE(lines_next(lines, &line) == there);
        REQUIRE(there == 0 ? lines_total(lines) == n : *lines_error(lines) != '\0');
    }
    lines_close(lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct lines_options o = {.delimiter = '\n'};
    const char *words[WORDS];
    char *copy = malloc(size + 1), *at = copy, *end = copy + size;
    REQUIRE(copy);
    if (size)
        memcpy(copy, bytes, size);
    *end = '\0';
    while (at < end && *at != '\n')
        set_option(&o, *at++);
    at = parse_words(at < end ? at + 1 : end, end, &o, words);
    FILE *input = at < end ? fmemopen(at, (size_t)(end - at), "r") : fopen("/dev/null", "r");
    REQUIRE(input);
    run(&o, input);
    fclose(input);
    free(copy);
    return 0;
}
