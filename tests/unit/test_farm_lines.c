/* SPDX-License-Identifier: BSD-3-Clause */
/* What farm runs: the commands of fixtures/farm, as GNU parallel makes them, and where farm differs; directives; words
 * that need no shell; bad input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "farm_case.h"

#define FOLDER "fixtures/farm/"

/* All commands, a line each as people see them, then the error if there is one. */
static void run(const struct lines_options *options, const char *input, size_t n_input, char said[CASE_BYTES])
{
    char error[LINES_ERROR_MAX];
    struct lines *lines;
    struct line line;
    size_t n = 0;
    int there;
    FILE *file = tmpfile();
    assert_non_null(file);
    fwrite(input, 1, n_input, file);
    rewind(file);
    said[0] = '\0';
    if (lines_open(&lines, options, file, error) != 0) {
        snprintf(said, CASE_BYTES, "error: %s\n", error);
        fclose(file);
        return;
    }
    for (int64_t seq = 1; (there = lines_next(lines, &line)) == 1; seq++) {
        char *text = lines_slot(line.text, "1");
        n += (size_t)snprintf(said + n, CASE_BYTES - n, "%s\n", text);
        assert_true(n < CASE_BYTES);
        assert_int_equal(line.seq, seq);
        free(text);
    }
    if (there < 0)
        snprintf(said + n, CASE_BYTES - n, "error: %s\n", lines_error(lines));
    assert_int_equal(lines_next(lines, &line), there); /* and so it stays */
    lines_close(lines);
    fclose(file);
}

static void run_case(const struct farm_case *c, char said[CASE_BYTES])
{
    const char *words[CASE_WORDS];
    struct lines_options options;
    int n = case_options(c, &options);
    for (int i = n; i < c->n_words; i++)
        words[i - n] = c->words[i];
    options.words = words;
    options.n_words = c->n_words - n;
    run(&options, c->input, c->n_input, said);
}

static void check_cases(const char *path, int least)
{
    static struct farm_case c;
    static char said[CASE_BYTES];
    FILE *file = fopen(path, "r");
    int n = 0, bad = 0;
    c.line = 0;
    assert_non_null(file);
    for (; case_read(file, &c); n++) {
        run_case(&c, said);
        if (strcmp(said, c.said) == 0)
            continue;
        bad++;
        print_error("%s: the case before line %d:", path, c.line);
        for (int i = 0; i < c.n_words; i++)
            print_error(" '%s'", c.words[i]);
        print_error("\nsays\n%sand not\n%s", said, c.said);
    }
    fclose(file);
    assert_true(n >= least);
    assert_int_equal(bad, 0);
}

static void test_as_parallel(void **state)
{
    (void)state;
    check_cases(FOLDER "parallel.cases", 250);
}

static void test_as_farm(void **state)
{
    (void)state;
    check_cases(FOLDER "own.cases", 25);
}

/* ---- files of commands ---- */

static const struct lines_options commands = {.delimiter = '\n', .directives = true, .input_name = "commands.txt"};

static void check_commands(const char *input, const char *said)
{
    static char is[CASE_BYTES];
    run(&commands, input, strlen(input), is);
    assert_string_equal(is, said);
}

static FILE *file_of(const char *text)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    fputs(text, file);
    rewind(file);
    return file;
}

static void test_commands(void **state)
{
    (void)state;
    check_commands("", "");
    check_commands("# nothing\n\n   \n\t#\n#!/bin/sh\n", "");
    check_commands("a 'b'\n\n  c # d\n#waiting\n #name x\ne", "a 'b'\n  c # d\ne\n");
    check_commands("echo {} {#} {%} {%%} {.}\n", "echo {} {#} {%} {%%} {.}\n");
    check_commands("a\n#name x\n", "a\nerror: commands.txt: a #name at the end, and no command behind it\n");
    check_commands("a\n#wait\n", "a\n");
    check_commands("a\n#cores 0\nb\n",
                   "a\nerror: commands.txt:2: '#cores 0': allowed is a whole number from 1 to 65536\n");
    check_commands("#gpus two\nb\n", "error: commands.txt:1: '#gpus two': allowed is a whole number from 1 to 64\n");
    check_commands("#gpus 1\n#gpus 2\nb\n", "error: commands.txt:2: a second #gpus for one command\n");
    check_commands("#name\nb\n", "error: commands.txt:1: '#name ': allowed is one word, of the next command\n");
    check_commands("#name a b\nb\n", "error: commands.txt:1: '#name a b': allowed is one word, of the next command\n");
    check_commands("#name a\n#name b\nb\n", "error: commands.txt:2: a second #name for one command\n");
    check_commands("#after\nb\n",
                   "error: commands.txt:1: '#after ': allowed is names that #name has given to commands before\n");
    check_commands("#wait 5\nb\n",
                   "error: commands.txt:1: '#wait 5': allowed is #wait alone; a comment has a blank behind its #\n");
}

static void test_directives(void **state)
{
    (void)state;
    char error[LINES_ERROR_MAX];
    struct lines *lines;
    struct line line;
    FILE *file = file_of(
        "#name one\nfirst\n# comment\n#after one\ttwo  \r\n#wait\n#after three\n\n#cores 4\n#gpus 2\nsecond\nthird\n");
    assert_int_equal(lines_open(&lines, &commands, file, error), 0);
    assert_int_equal(lines_next(lines, &line), 1);
    assert_string_equal(line.name, "one");
    assert_null(line.after);
    assert_false(line.wait);
    assert_int_equal(line.n_args, 0);
    assert_int_equal(line.line_number, 2);
    assert_string_equal(line.source, "commands.txt");
    assert_int_equal(lines_next(lines, &line), 1);
    assert_string_equal(line.text, "second");
    assert_null(line.name);
    assert_string_equal(line.after, "one two three");
    assert_true(line.wait);
    assert_int_equal(line.cores, 4);
    assert_int_equal(line.gpus, 2);
    assert_int_equal(line.line_number, 10);
    assert_int_equal(lines_next(lines, &line), 1);
    assert_string_equal(line.text, "third");
    assert_true(!line.name && !line.after && !line.wait && !line.cores && !line.gpus);
    assert_int_equal(lines_next(lines, &line), 0);
    lines_close(lines);
    fclose(file);
}

/* ---- what comes with a command ---- */

static void test_inputs_of_a_command(void **state)
{
    (void)state;
    static const char *const words[] = {"cp", "{}", "{%}", ":::", "a b", "c", "{%}", ":::", "d"};
    char error[LINES_ERROR_MAX];
    struct lines_options options = {.delimiter = '\n', .words = words, .n_words = 9, .max_args = 2};
    struct lines *lines;
    struct line line;
    assert_int_equal(lines_open(&lines, &options, stdin, error), 0);
    assert_int_equal(lines_next(lines, &line), 1);
    assert_string_equal(line.text, "cp 'a b' d c d {%}");
    assert_int_equal(line.n_args, 4);
    assert_string_equal(line.args[0], "a b");
    assert_string_equal(line.args[2], "c");
    assert_int_equal(line.line_number, 1);
    assert_string_equal(line.source, ":::");
    const char *const split[] = {"cp", "a b", "d", "c", "d", "{%}"};
    assert_non_null(line.argv);
    for (int i = 0; i < 6; i++)
        assert_string_equal(line.argv[i], split[i]);
    assert_null(line.argv[6]);
    assert_int_equal(lines_next(lines, &line), 1);
    assert_string_equal(line.text, "cp '{%%}' d {%}");
    assert_int_equal(line.line_number, 3);
    char *slot = lines_slot(line.text, "17"), *shown = lines_slot(line.text, NULL),
         *word = lines_slot(line.argv[1], "3");
    assert_string_equal(slot, "cp '{%}' d 17");
    assert_string_equal(shown, "cp '{%}' d {%}");
    assert_string_equal(word, "{%}");
    free(slot), free(shown), free(word);
    lines_close(lines);
}

/* ---- how many ---- */

static int64_t total_of(const struct lines_options *options, FILE *file, int after)
{
    char error[LINES_ERROR_MAX];
    struct lines *lines;
    struct line line;
    assert_int_equal(lines_open(&lines, options, file, error), 0);
    for (int i = 0; i < after; i++)
        (void)lines_next(lines, &line);
    int64_t total = lines_total(lines);
    lines_close(lines);
    return total;
}

static void test_total(void **state)
{
    (void)state;
    static const char *const words[] = {"echo", ":::", "a", "b", "c", ":::", "d", "e"};
    struct lines_options made = {.delimiter = '\n', .words = words, .n_words = 8};
    FILE *file = file_of("skipped\n# c\na\n\n  b\n   # d\nc");
    assert_int_equal(fseek(file, 8, SEEK_SET), 0);
    assert_int_equal(total_of(&commands, file, 0), 3);
    assert_int_equal(total_of(&made, stdin, 1), 6);
    made.max_args = 4;
    assert_int_equal(total_of(&made, stdin, 1), 2);
    made.link = true;
    made.max_args = 0;
    assert_int_equal(total_of(&made, stdin, 1), 3);
    made.link = false;
    made.context = true;
    assert_int_equal(total_of(&made, stdin, 1), 1); /* it has ended, so that is all */
    made.max_chars = 9;
    assert_int_equal(total_of(&made, stdin, 1), -1);
    assert_int_equal(total_of(&made, stdin, 99), 6);
    made = (struct lines_options){.delimiter = '\n', .words = words, .n_words = 5, .max_args = 3, .max_chars = 9};
    assert_int_equal(total_of(&made, stdin, 1), -1); /* a command that had no room for three */
    fclose(file);
}

/* ---- streams ---- */

/* What has come is given before more has. */
static void test_stream(void **state)
{
    (void)state;
    static const char *const words[] = {"echo", "{1}", "{2}", "::::", "-", ":::", "x", "y"};
    struct lines_options options = {.delimiter = '\n', .words = words, .n_words = 8};
    char error[LINES_ERROR_MAX];
    int ends[2];
    struct lines *lines;
    struct line line;
    assert_int_equal(pipe(ends), 0);
    FILE *file = fdopen(ends[0], "r");
    assert_int_equal(lines_open(&lines, &options, file, error), 0); /* without reading */
    assert_int_equal(write(ends[1], "a\n", 2), 2);
    assert_int_equal(lines_next(lines, &line), 1);
    assert_string_equal(line.text, "echo a x");
    assert_int_equal(lines_next(lines, &line), 1);
    assert_string_equal(line.text, "echo a y");
    assert_int_equal(lines_total(lines), -1);
    assert_int_equal(write(ends[1], "b", 1), 1);
    close(ends[1]);
    assert_int_equal(lines_next(lines, &line), 1);
    assert_string_equal(line.text, "echo b x");
    assert_int_equal(lines_next(lines, &line), 1);
    assert_int_equal(lines_next(lines, &line), 0);
    assert_int_equal(lines_total(lines), 4);
    lines_close(lines);
    fclose(file);
}

/* An endless line ends in a message, not in no memory. */
static void test_endless_line(void **state)
{
    (void)state;
    struct lines_options options = {.delimiter = '\n'};
    char error[LINES_ERROR_MAX];
    struct lines *lines;
    struct line line;
    FILE *file = tmpfile();
    static char piece[1 << 20];
    memset(piece, 'x', sizeof piece);
    for (int i = 0; i < 17; i++)
        fwrite(piece, 1, sizeof piece, file);
    rewind(file);
    assert_int_equal(lines_open(&lines, &options, file, error), 0);
    assert_int_equal(lines_next(lines, &line), -1);
    assert_string_equal(lines_error(lines), "standard input:1: no end within 16777216 B; -d says what inputs end with");
    lines_close(lines);
    fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_parallel),
        cmocka_unit_test(test_as_farm),
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_directives),
        cmocka_unit_test(test_inputs_of_a_command),
        cmocka_unit_test(test_total),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_endless_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
