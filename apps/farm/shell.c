/* SPDX-License-Identifier: BSD-3-Clause */
#include "farm/shell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Names that the shell does not look for in PATH, or that do another thing there: of dash, bash and POSIX. */
static const char *const builtins[] = {
    "!",       ".",       ":",      "[",       "[[",      "alias",     "bg",       "bind",     "break",    "builtin",
    "caller",  "case",    "cd",     "chdir",   "command", "compgen",   "complete", "compopt",  "continue", "coproc",
    "declare", "dirs",    "disown", "do",      "done",    "elif",      "else",     "enable",   "esac",     "eval",
    "exec",    "exit",    "export", "fc",      "fg",      "fi",        "for",      "function", "getopts",  "hash",
    "help",    "history", "if",     "in",      "jobs",    "kill",      "let",      "local",    "logout",   "mapfile",
    "popd",    "printf",  "pushd",  "pwd",     "read",    "readarray", "readonly", "return",   "select",   "set",
    "shift",   "shopt",   "source", "suspend", "test",    "then",      "time",     "times",    "trap",     "type",
    "typeset", "ulimit",  "umask",  "unalias", "unset",   "until",     "wait",     "while",    "{",        "}",
};

static bool is_plain(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("-_.+/", c));
}

void shell_quote(struct text *to, const char *string, size_t n)
{
    size_t plain = 0;
    while (plain < n && is_plain((unsigned char)string[plain]))
        plain++;
    if (plain == n && n > 0) {
        text_put(to, string, n);
        return;
    }
    if (n == 0 || *string != '\'')
        text_put(to, "'", 1);
    for (size_t i = 0; i < n;) { /* an apostrophe stands in quotes of the other kind */
        const char *apostrophe = memchr(string + i, '\'', n - i);
        size_t end = apostrophe ? (size_t)(apostrophe - string) : n;
        text_put(to, string + i, end - i);
        if (apostrophe)
            text_put_string(to, end == 0 ? "\"'\"" : "'\"'\"");
        if (apostrophe && end + 1 < n)
            text_put(to, "'", 1);
        i = end + 1;
    }
    if (n == 0 || string[n - 1] != '\'')
        text_put(to, "'", 1);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, *(const char *const *)b);
}

/* A function of bash's that the environment carries. */
static bool is_function(const char *name)
{
    char variable[128];
    int n = snprintf(variable, sizeof variable, "BASH_FUNC_%s%%%%", name);
    return n > 0 && (size_t)n < sizeof variable && getenv(variable);
}

/* echo of shells and of coreutils differ where there are options or backslashes. */
static bool is_simple_echo(char *const *words)
{
    for (; *words; words++)
        if (**words == '-' || strchr(*words, '\\'))
            return false;
    return true;
}

static bool is_program(char *const *words)
{
    if (strcmp(words[0], "echo") == 0 && !is_simple_echo(words + 1))
        return false;
    return *words[0] && !strchr(words[0], '=') &&
           !bsearch(words[0], builtins, sizeof builtins / sizeof *builtins, sizeof *builtins, compare_names) &&
           !is_function(words[0]);
}

/* Between quotes; *at is behind the first. Returns whether they end, and hold nothing that a shell would change. */
static bool put_quoted(struct text *to, const char **at)
{
    char quote = (*at)[-1];
    const char *end = strchr(*at, quote);
    if (!end)
        return false;
    size_t n = (size_t)(end - *at);
    if (quote == '"' && strcspn(*at, "$`\\") < n)
        return false;
    text_put(to, *at, n);
    *at = end + 1;
    return true;
}

/* One word, at *at. Returns false where a shell is needed. */
static bool put_word(struct text *to, const char **at)
{
    static const char special[] = " \t'\"\\|&;<>()$`*?[]{}~!#\n\r\v\f";
    const char *begin = *at;
    for (;;) {
        size_t run = strcspn(*at, special);
        text_put(to, *at, run);
        *at += run;
        if (**at == '\0' || **at == ' ' || **at == '\t')
            break;
        char c = *(*at)++;
        if (c == '\'' || c == '"') {
            if (!put_quoted(to, at))
                return false;
        } else if (c == '\\' && **at && **at != '\n') {
            text_put(to, (*at)++, 1);
        } else if (c == '{' && strncmp(*at, "%}", 2) == 0) {
            text_put_string(to, "{%}");
            *at += 2;
        } else if (c == '#' && *at - 1 != begin) {
            text_put(to, "#", 1);
        } else {
            return false;
        }
    }
    text_put(to, "", 1); /* its NUL */
    return true;
}

/* Pointers to n words, each with a NUL behind it. */
static char **point(struct shell_words *w, size_t n)
{
    if (n + 1 > w->room) {
        char **more = realloc(w->words, 2 * (n + 1) * sizeof *more);
        if (!more)
            return NULL;
        w->words = more;
        w->room = 2 * (n + 1);
    }
    char *at = w->bytes.bytes;
    for (size_t i = 0; i < n; i++, at += strlen(at) + 1)
        w->words[i] = at;
    w->words[n] = NULL;
    return w->words;
}

char **shell_split(struct shell_words *w, const char *command)
{
    size_t n = 0;
    text_clear(&w->bytes);
    for (;;) {
        command += strspn(command, " \t");
        if (!*command)
            break;
        if (!put_word(&w->bytes, &command))
            return NULL;
        n++;
    }
    if (n == 0 || w->bytes.failed || !point(w, n) || !is_program(w->words))
        return NULL;
    return w->words;
}

void shell_words_free(struct shell_words *words)
{
    text_free(&words->bytes);
    free(words->words);
    *words = (struct shell_words){0};
}
