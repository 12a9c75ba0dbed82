/* SPDX-License-Identifier: BSD-3-Clause */
/* What is read, in which order: trees, lists of names, lists to check; loops, extras; the command line. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "checksum/source.h"

#define DIGEST "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"

static void write_file(const char *path, const char *text, size_t bytes)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

static int make_tree(void **state)
{
    static char folder[] = "/tmp/checksum-source-XXXXXX";
    if (!mkdtemp(folder) || chdir(folder) != 0)
        return -1;
    if (mkdir("t", 0777) || mkdir("t/b", 0777) || mkdir("t/empty", 0777) || mkfifo("t/fifo", 0666) ||
        symlink("../t", "t/up") || symlink("a", "t/link") || symlink("gone", "t/dangling") || mkdir("other", 0777))
        return -1;
    write_file("t/a", "a", 1);
    write_file("t/b/2", "", 0);
    write_file("t/b/10", "", 0);
    write_file("t/b.c", "", 0);
    write_file("t/\xff", "", 0);
    write_file("other/x", "", 0);
    *state = folder;
    return 0;
}

static int remove_tree(void **state)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", (const char *)*state);
    return chdir("/") == 0 ? system(command) : -1;
}

/* Parses, and checks what comes: paths joined by blanks, those with an error marked. */
static void expect(const char *expected, int argc, const char *const *arguments)
{
    struct options options;
    struct source source;
    struct entry entry;
    source_state state;
    char *argv[16] = {"checksum"}, got[1024] = "";
    for (int i = 0; i < argc; i++)
        argv[i + 1] = (char *)arguments[i];
    assert_int_equal(options_parse(argc + 1, argv, &options), OPTIONS_RUN);
    source_begin(&source, &options);
    while ((state = source_next(&source, &entry)) == SOURCE_ENTRY) {
        strcat(strcat(got, *got ? " " : ""), entry.path);
        if (entry.error)
            strcat(got, entry.error == OUTCOME_LOOP ? "!loop" : entry.error == ENOENT ? "!gone" : "!");
    }
    assert_int_equal(state, SOURCE_END);
    while (options.strict && source_extra(&source, &entry) == SOURCE_ENTRY)
        strcat(strcat(strcat(got, " +"), entry.path), entry.error ? "!" : "");
    source_end(&source);
    options_free(&options);
    assert_string_equal(got, expected);
}

#define EXPECT(expected, ...)                                                                                          \
    expect(expected, (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)), (const char *[]){__VA_ARGS__})

static void test_trees_are_sorted_within_directories(void **state)
{
    (void)state;
    EXPECT("t/a t/b/10 t/b/2 t/b.c t/\xff", "t");
    EXPECT("t//a t//b/10 t//b/2 t//b.c t//\xff other/x", "t//", "other");
    EXPECT("other/x t/a t/b/10 t/b/2 t/b.c t/\xff gone!gone t/b.c", "other", "t", "gone", "t/b.c");
    EXPECT("t/up/a t/up/b/10 t/up/b/2 t/up/b.c t/up/\xff", "t/up"); /* named: followed */
    EXPECT("", "t/empty");
}

static void test_links_and_loops(void **state)
{
    (void)state;
    EXPECT("t/a t/b/10 t/b/2 t/b.c t/dangling!gone t/link t/up!loop t/\xff", "--follow", "t");
}

/* A tree deeper than the limit of open files is told, and the rest goes on; deep ones are gone through. */
static void test_deep(void **state)
{
    (void)state;
    char path[2048] = "deep";
    assert_int_equal(mkdir(path, 0777), 0);
    for (int i = 0; i < 300; i++) {
        strcat(path, "/d");
        assert_int_equal(mkdir(path, 0777), 0);
    }
    strcat(path, "/f");
    write_file(path, "", 0);
    struct walk walk;
    const char *found;
    int error;
    walk_begin(&walk, false);
    assert_int_equal(walk_enter(&walk, "deep"), 0);
    assert_int_equal(walk_next(&walk, &found, &error), WALK_FILE);
    assert_string_equal(found, path);
    assert_int_equal(walk_next(&walk, &found, &error), WALK_END);
    walk_end(&walk);
}

static void test_lists_of_names(void **state)
{
    (void)state;
    write_file("lines", "one\n\n two \nt\nlast", 17);
    EXPECT("one  two  t last", "--files-from", "lines");
    write_file("zeros", "one\0new\nline\0", 13);
    EXPECT("other/x one new\nline", "-0", "--files-from=zeros", "other");
    write_file("long", "", 0);
    FILE *file = fopen("long", "w");
    for (int i = 0; i < 200000; i++)
        fputc(i == 100000 ? '\n' : 'x', file);
    assert_int_equal(fclose(file), 0);
    struct reader reader;
    char *record;
    size_t bytes;
    assert_int_equal(reader_open(&reader, "long", '\n'), 0);
    assert_int_equal(reader_next(&reader, &record, &bytes), READER_RECORD);
    assert_int_equal(bytes, 100000);
    assert_int_equal(reader_next(&reader, &record, &bytes), READER_RECORD);
    assert_int_equal(bytes, 99999);
    assert_int_equal(reader_next(&reader, &record, &bytes), READER_END);
    reader_close(&reader);
    assert_int_equal(reader_open(&reader, "t", '\n'), -1);
    assert_int_equal(errno, EISDIR);
}

static void test_pipes_are_not_waited_for(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct reader reader = {.fd = ends[0], .end = '\n'};
    char *record;
    size_t bytes;
    assert_int_equal(reader_next(&reader, &record, &bytes), READER_LATER);
    assert_int_equal(write(ends[1], "a\nb", 3), 3);
    assert_int_equal(reader_next(&reader, &record, &bytes), READER_RECORD);
    assert_int_equal(bytes, 1);
    assert_int_equal(reader_next(&reader, &record, &bytes), READER_LATER);
    close(ends[1]);
    assert_int_equal(reader_next(&reader, &record, &bytes), READER_RECORD);
    assert_memory_equal(record, "b", 1);
    assert_int_equal(reader_next(&reader, &record, &bytes), READER_END);
    reader_close(&reader);
}

static void test_lists_to_check(void **state)
{
    (void)state;
    static const char list[] = DIGEST "  ./t/b//2\nno line\n" DIGEST "  t/./a\n";
    write_file("t/SUMS", list, sizeof list - 1);
    write_file("more", DIGEST "  other/x\n", 73);
    EXPECT("./t/b//2 t/./a", "--check", "t/SUMS");
    EXPECT("./t/b//2 t/./a other/x", "-c", "t/SUMS", "-c", "more");
    EXPECT("./t/b//2 t/./a +t/b/10 +t/b.c +t/\xff", "-c", "t/SUMS", "--strict", "t");
    EXPECT("./t/b//2 t/./a +gone!", "-c", "t/SUMS", "--strict", "gone");
    EXPECT("./t/b//2 t/./a", "-c", "t/SUMS", "--strict", "t/a", "t/b/2");
    assert_int_equal(unlink("t/SUMS"), 0);
}

static void refuse(int argc, const char *const *arguments)
{
    struct options options;
    char *argv[16] = {"checksum"};
    for (int i = 0; i < argc; i++)
        argv[i + 1] = (char *)arguments[i];
    assert_int_equal(options_parse(argc + 1, argv, &options), OPTIONS_BAD);
    options_free(&options);
}

#define REFUSE(...) refuse((int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)), (const char *[]){__VA_ARGS__})

static void test_options_that_contradict(void **state)
{
    (void)state;
    REFUSE("--nonsense");
    REFUSE("--algorithm");
    REFUSE("--algorithm", "nosuch");
    REFUSE("--quiet=1");
    REFUSE("--strict", "t");
    REFUSE("--ignore-missing", "t");
    REFUSE("--status", "t");
    REFUSE("--null", "t");
    REFUSE("--check", "list", "t");
    REFUSE("--check", "list", "--tag");
    REFUSE("--check", "list", "--tree");
    REFUSE("--check", "list", "--files-from", "names");
    REFUSE("--files-from", "a", "--files-from", "b");
    REFUSE("-", "-");
    REFUSE("-", "--files-from", "-");
    REFUSE("-c", "-", "-c", "-");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trees_are_sorted_within_directories),
        cmocka_unit_test(test_links_and_loops),
        cmocka_unit_test(test_lists_of_names),
        cmocka_unit_test(test_pipes_are_not_waited_for),
        cmocka_unit_test(test_lists_to_check),
        cmocka_unit_test(test_options_that_contradict),
        cmocka_unit_test(test_deep),
    };
    return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
