/* SPDX-License-Identifier: BSD-3-Clause */
/* Which commands farm starts without a shell, and with which words: what a shell would have made of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "farm/shell.h"

static char **split(const char *command)
{
    static struct shell_words words;
    if (!command)
        shell_words_free(&words);
    return command ? shell_split(&words, command) : NULL;
}

static int end(void **state)
{
    (void)state;
    split(NULL);
    return 0;
}

/* Their words, with a '|' behind each. */
static void test_words(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"true", "true|"},
        {"  gzip \t-9  a.txt ", "gzip|-9|a.txt|"},
        {"gzip 'a b' \"c d\" e\\ f", "gzip|a b|c d|e f|"},
        {"x 'a'\"b\"c\\'d", "x|ab"
                            "c'd|"},
        {"x '' \"\" a''", "x|||a|"},
        {"x '$HOME' '*' '`' '\\'", "x|$HOME|*|`|\\|"},
        {"x \"a'b\" 'it'\"'\"'s'", "x|a'b|it's|"},
        {"dd if=a of=b%c", "dd|if=a|of=b%c|"},
        {"x a#b a,b a:b a@b a^b", "x|a#b|a,b|a:b|a@b|a^b|"},
        {"x {%} a{%}b '{%%}'", "x|{%}|a{%}b|{%%}|"},
        {"x \\$a \\\\ \\*", "x|$a|\\|*|"},
        {"caf\xc3\xa9 \xff", "caf\xc3\xa9|\xff|"},
        {"echo a 'b  c'", "echo|a|b  c|"},
        {"./run.sh a", "./run.sh|a|"},
        {"sleep 1", "sleep|1|"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char said[200] = "";
        char **words = split(cases[i][0]);
        if (!words)
            fail_msg("%s: it needs no shell", cases[i][0]);
        for (; *words; words++) {
            strcat(said, *words);
            strcat(said, "|");
        }
        assert_string_equal(said, cases[i][1]);
    }
}

static void test_shell_needed(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",         "  ",       "a|b",        "a; b",       "a &",         "a && b",     "a < b",        "a > b",
        "a 2>&1",   "(a)",      "{ a; }",     "a $b",       "a \"$b\"",    "a `b`",      "a \"`b`\"",    "a *",
        "a ?",      "a [b]",    "a ~",        "a ~/b",      "a b=~/c",     "a {b,c}",    "a {}",         "a\nb",
        "a # b",    "#a",       "! a",        "B=c a",      "B= a",        "B=c",        "a 'b",         "a \"b",
        "a \\",     "a \\\nb",  "a \"\\$b\"", "a\rb",       "a !b",        "echo -n a",  "echo 'a\\nb'", "echo -e a",
        "cd /tmp",  "exit 3",   ". ./x",      ": a",        "[ a ]",       "[[ a ]]",    "test -f a",    "printf %s a",
        "export A", "exec a",   "eval a",     "set -x",     "ulimit -c 0", "umask 0",    "wait",         "trap a 0",
        "type a",   "source x", "if",         "while",      "for",         "case",       "time a",       "kill 1",
        "pwd",      "read a",   "local a",    "let a",      "compgen -c",  "complete a", "compopt a",    "select",
        "then",     "until",    "unset a",    "readonly a", "return 1",    "''",         "{%%}"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (split(cases[i]))
            fail_msg("'%s': it needs a shell", cases[i]);
}

/* All that the shell has itself. */
static void test_builtins(void **state)
{
    (void)state;
    static const char *const names[] = {
        "!",        ".",         ":",        "[",      "[[",      "alias",   "bg",      "bind",     "break",
        "builtin",  "caller",    "case",     "cd",     "chdir",   "command", "compgen", "complete", "compopt",
        "continue", "coproc",    "declare",  "dirs",   "disown",  "do",      "done",    "elif",     "else",
        "enable",   "esac",      "eval",     "exec",   "exit",    "export",  "fc",      "fg",       "fi",
        "for",      "function",  "getopts",  "hash",   "help",    "history", "if",      "in",       "jobs",
        "kill",     "let",       "local",    "logout", "mapfile", "popd",    "printf",  "pushd",    "pwd",
        "read",     "readarray", "readonly", "return", "select",  "set",     "shift",   "shopt",    "source",
        "suspend",  "test",      "then",     "time",   "times",   "trap",    "type",    "typeset",  "ulimit",
        "umask",    "unalias",   "unset",    "until",  "wait",    "while",   "{",       "}"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char command[40];
        snprintf(command, sizeof command, "'%s' a", names[i]);
        if (split(command))
            fail_msg("%s is the shell's own", names[i]);
    }
}

static void test_functions(void **state)
{
    (void)state;
    assert_non_null(split("my_function a"));
    setenv("BASH_FUNC_my_function%%", "() { echo; }", 1);
    assert_null(split("my_function a"));
    unsetenv("BASH_FUNC_my_function%%");
}

/* What a shell reads of a quoted string. */
static void read_by_shell(const char *quoted, char *said, size_t room)
{
    struct text script = {0};
    text_put_string(&script, "printf %s ");
    text_put_string(&script, quoted);
    FILE *shell = popen(script.bytes, "r");
    assert_non_null(shell);
    said[fread(said, 1, room - 1, shell)] = '\0';
    assert_int_equal(pclose(shell), 0);
    text_free(&script);
}

static void check_quote(const char *string)
{
    struct text quoted = {0}, command = {0};
    char said[400];
    shell_quote(&quoted, string, strlen(string));
    read_by_shell(quoted.bytes, said, sizeof said);
    assert_string_equal(said, string);
    text_put_string(&command, "x ");
    text_put_string(&command, quoted.bytes);
    char **words = split(command.bytes);
    assert_non_null(words);
    assert_string_equal(words[1], string);
    assert_null(words[2]);
    text_free(&quoted);
    text_free(&command);
}

static void test_quote(void **state)
{
    (void)state;
    static const char *const cases[] = {"a",  "",    " ",     "'",   "''",     "a'",   "'a",         "a''b", "'a'b'",
                                        "\n", "\\",  "\"",    "$x",  "`x`",    "!",    "~",          "#",    "*?[",
                                        "-n", "a\n", "\xff ", "'\n", "\\'\\'", "a\tb", "{} ; | & ()"};
    char all[256];
    for (int c = 1; c < 256; c++)
        all[c - 1] = (char)c;
    all[255] = '\0';
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_quote(cases[i]);
    check_quote(all);
}

/* With an empty first word in it, and a long one. */
static void test_long(void **state)
{
    (void)state;
    static char command[40001];
    for (int i = 0; i < 20000; i++)
        memcpy(command + 2 * i, "a ", 2);
    char **words = split(command);
    int n = 0;
    for (; words[n]; n++)
        assert_string_equal(words[n], "a");
    assert_int_equal(n, 20000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_words),    cmocka_unit_test(test_shell_needed),
                                       cmocka_unit_test(test_builtins), cmocka_unit_test(test_functions),
                                       cmocka_unit_test(test_quote),    cmocka_unit_test(test_long)};
    return cmocka_run_group_tests(tests, NULL, end);
}
