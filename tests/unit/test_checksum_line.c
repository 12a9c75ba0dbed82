/* SPDX-License-Identifier: BSD-3-Clause */
/* Lines of lists: written as coreutils' programs do, byte for byte, and read as they read them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "checksum/line.h"
#include "checksum/list.h"

/* SHA-256 of "a". */
#define DIGEST "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"

static const char *const odd_names[] = {
    "plain",    "two words", " first", "last ",          "back\\slash", "new\nline", "carriage\rreturn", "all\\\r\n\\n",
    "\xff\xfe", "-",         "*star",  "a) = b",         "(a",          "#comment",  "\\begins",         "\n",
    "tab\t",    "\\",        "end\r",  "SHA256 (x) = y",
};
#define NAMES (sizeof odd_names / sizeof *odd_names)

static void write_file(const char *name)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    fputs(name, file);
    assert_int_equal(fclose(file), 0);
}

static int make_files(void **state)
{
    static char folder[] = "/tmp/checksum-line-XXXXXX";
    if (!mkdtemp(folder) || chdir(folder) != 0)
        return -1;
    for (size_t i = 0; i < NAMES; i++)
        write_file(odd_names[i]);
    *state = folder;
    return 0;
}

static int remove_files(void **state)
{
    for (size_t i = 0; i < NAMES; i++)
        unlink(odd_names[i]);
    return chdir("/") == 0 ? rmdir(*state) : -1;
}

/* What a program of coreutils prints of a file. */
static size_t printed(const char *command, const char *name, char *text, size_t room)
{
    setenv("NAME", name, 1);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t n = fread(text, 1, room - 1, pipe);
    assert_int_equal(pclose(pipe), 0);
    text[n] = '\0';
    return n;
}

static size_t written(const struct line_style *style, const struct line *line, char *text, size_t room)
{
    FILE *stream = fmemopen(text, room, "w");
    assert_non_null(stream);
    line_write(stream, style, line->algorithm, line->digest, line->name);
    size_t n = (size_t)ftell(stream);
    assert_int_equal(fclose(stream), 0);
    return n;
}

/* Their line, read and written again, is theirs, and has the name in it. */
static void round_trip(const char *command, const char *algorithm, struct line_style style)
{
    char theirs[1024], copy[1024], ours[1024];
    for (size_t i = 0; i < NAMES; i++) {
        struct line_reader reader = {algorithm_named(algorithm, false), style.zero, 0};
        struct line line;
        size_t n = printed(command, odd_names[i], theirs, sizeof theirs);
        memcpy(copy, theirs, n + 1);
        assert_int_equal(line_read(&reader, copy, n - 1, &line), LINE_GOOD);
        assert_string_equal(line.name, odd_names[i]);
        assert_string_equal(line.algorithm->tag, reader.algorithm->tag);
        assert_int_equal(written(&style, &line, ours, sizeof ours), n);
        assert_memory_equal(ours, theirs, n);
    }
}

static void test_as_coreutils(void **state)
{
    (void)state;
    round_trip("sha256sum -- \"$NAME\" </dev/null", "sha256", (struct line_style){0});
    round_trip("sha256sum --tag -- \"$NAME\" </dev/null", "sha256", (struct line_style){.tag = true});
    round_trip("sha256sum -b -- \"$NAME\" </dev/null", "sha256", (struct line_style){.binary = true});
    round_trip("sha256sum -z -- \"$NAME\" </dev/null", "sha256", (struct line_style){.zero = true});
    round_trip("b2sum --tag -- \"$NAME\" </dev/null", "blake2b", (struct line_style){.tag = true});
    round_trip("md5sum --tag -- \"$NAME\" </dev/null", "md5", (struct line_style){.tag = true});
    round_trip("sha1sum --tag -- \"$NAME\" </dev/null", "sha1", (struct line_style){.tag = true});
    round_trip("sha224sum --tag -- \"$NAME\" </dev/null", "sha224", (struct line_style){.tag = true});
    round_trip("sha384sum --tag -- \"$NAME\" </dev/null", "sha384", (struct line_style){.tag = true});
    round_trip("sha512sum --tag -- \"$NAME\" </dev/null", "SHA2-512", (struct line_style){.tag = true});
}

/* What sha256sum of coreutils 9.1 takes a line for: NULL: not well-formed, "": skipped, else the name in it. */
static const struct {
    const char *text, *name;
} cases[] = {
    {DIGEST "  a", "a"},
    {DIGEST " *a", "a"},
    {DIGEST "  a\r", "a"},
    {DIGEST "  a\r\r", "a\r"},
    {DIGEST " a", "a"},
    {DIGEST "\ta", "a"},
    {DIGEST "\t a", "a"},
    {DIGEST "   a", " a"},
    {DIGEST " **a", "*a"},
    {DIGEST "  " DIGEST "  a", DIGEST "  a"},
    {DIGEST "  ", " "},
    {DIGEST " ", NULL},
    {DIGEST, NULL},
    {" \t" DIGEST "  a", "a"},
    {"CA978112CA1BBDCAFAC231B39A23DC4DA786EFF8147C4E72B9807785AFEE48BB  a", "a"},
    {"0" DIGEST "  a", NULL},
    {"a978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb  a", NULL},
    {"\\" DIGEST "  a", "a"},
    {"\\" DIGEST "  a\\nb\\\\c\\r", "a\nb\\c\r"},
    {"\\" DIGEST "  a\\x", NULL},
    {"\\" DIGEST "  a\\", NULL},
    {"\\ " DIGEST "  a", NULL},
    {DIGEST "  a\\n", "a\\n"},
    {"", ""},
    {"\r", ""},
    {"# " DIGEST "  a", ""},
    {"SHA256 (a) = " DIGEST, "a"},
    {"SHA256(a)=" DIGEST, "a"},
    {"SHA256 (a)\t= \t" DIGEST, "a"},
    {" SHA256 (a) = " DIGEST "\r", "a"},
    {"SHA256 (b (a)) = " DIGEST, "b (a)"},
    {"SHA256 () = " DIGEST, ""},
    {"\\SHA256 (a\\n) = " DIGEST, "a\n"},
    {"\\ SHA256 (a) = " DIGEST, NULL},
    {"SHA256  (a) = " DIGEST, NULL},
    {"SHA256 a) = " DIGEST, NULL},
    {"SHA256 (a = " DIGEST, NULL},
    {"SHA256 (a) x = " DIGEST, NULL},
    {"SHA256 (a) " DIGEST, NULL},
    {"SHA256 (a) = " DIGEST "0", NULL},
    {"SHA256 (a) = " DIGEST " ", NULL},
    {"SHA256 (a) = ", NULL},
    {"SHA256-256 (a) = " DIGEST, NULL},
    {"sha256 (a) = " DIGEST, NULL},
    {"MD5 (a) = " DIGEST, NULL},
};

static void test_reads_as_sha256sum(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct line_reader reader = {algorithm_named("sha256", false), false, 0};
        struct line line = {.name = NULL};
        char text[512];
        strcpy(text, cases[i].text);
        line_kind kind = line_read(&reader, text, strlen(text), &line);
        bool tagged = strncmp(cases[i].text, "SHA256 ()", 9) == 0;
        line_kind expected = !cases[i].name ? LINE_BAD : *cases[i].name || tagged ? LINE_GOOD : LINE_SKIP;
        if (kind != expected)
            fail_msg("'%s': %d, not %d", cases[i].text, kind, expected);
        if (kind == LINE_GOOD) {
            assert_string_equal(line.name, cases[i].name);
            assert_int_equal(line.digest[0], 0xca);
            assert_int_equal(line.digest[31], 0xbb);
        }
    }
}

/* sha256sum itself says the same of each of these lines: it verifies file "a", and complains of others. */
static void test_cases_are_sha256sums(void **state)
{
    (void)state;
    char says[4096];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        FILE *list = fopen("list", "w");
        assert_non_null(list);
        fprintf(list, "%s\n", cases[i].text);
        assert_int_equal(fclose(list), 0);
        printed("LC_ALL=C sha256sum -c list 2>&1 || true", "", says, sizeof says);
        bool well_formed = !strstr(says, "no properly formatted");
        bool expected = cases[i].name && (*cases[i].name || strncmp(cases[i].text, "SHA256 ()", 9) == 0);
        if (well_formed != expected)
            fail_msg("'%s': sha256sum says: %s", cases[i].text, says);
    }
    unlink("list");
}

static void test_one_space_or_two(void **state)
{
    (void)state;
    struct line_reader reader = {algorithm_named("sha256", false), false, 0};
    struct line line;
    char one[] = DIGEST " a", two[] = DIGEST "  a", again[] = DIGEST " a";
    assert_int_equal(line_read(&reader, two, strlen(two), &line), LINE_GOOD);
    assert_int_equal(line_read(&reader, one, strlen(one), &line), LINE_BAD);
    reader.spaces = 0;
    assert_int_equal(line_read(&reader, again, strlen(again), &line), LINE_GOOD);
    strcpy(two, DIGEST "  a");
    assert_int_equal(line_read(&reader, two, strlen(two), &line), LINE_GOOD);
    assert_string_equal(line.name, " a");
}

static void test_other_algorithms_by_their_tags(void **state)
{
    (void)state;
    struct line_reader reader = {algorithm_named("sha256", false), false, 0};
    struct line line;
    char md5[] = "MD5 (a) = 0cc175b9c0f1b6a831c399e269772661", tree[] = "TREE16M-SHA256 (a) = " DIGEST,
         sha3[] = "SHA3-256 (a) = " DIGEST, zero[] = DIGEST "  a\0b";
    assert_int_equal(line_read(&reader, md5, strlen(md5), &line), LINE_GOOD);
    assert_int_equal(line.algorithm->bytes, 16);
    assert_int_equal(line_read(&reader, tree, strlen(tree), &line), LINE_GOOD);
    assert_true(line.algorithm->tree);
    assert_int_equal(line_read(&reader, sha3, strlen(sha3), &line), LINE_GOOD);
    assert_string_equal(line.algorithm->tag, "SHA3-256");
    assert_int_equal(line_read(&reader, zero, sizeof zero - 1, &line), LINE_BAD);
    for (const char *const *name = (const char *const[]){"nosuch", "shake128", "null", "", NULL}; *name; name++)
        assert_null(algorithm_named(*name, false));
    assert_ptr_equal(algorithm_named("SHA256", false), algorithm_named("sha2-256", false));
    assert_ptr_not_equal(algorithm_named("sha256", true), algorithm_named("sha256", false));
}

/* Neither sha256sum nor cksum takes the line of a tree digest for one of its own. */
static void test_tree_lines_are_ours(void **state)
{
    (void)state;
    char says[4096];
    FILE *list = fopen("list", "w");
    struct line_style style = {0};
    assert_non_null(list);
    line_write(list, &style, algorithm_named("sha256", true), (const unsigned char *)DIGEST, "plain");
    assert_int_equal(fclose(list), 0);
    printed("LC_ALL=C sha256sum -c list 2>&1 || true", "", says, sizeof says);
    assert_non_null(strstr(says, "no properly formatted"));
    printed("LC_ALL=C cksum -c list 2>&1 || true", "", says, sizeof says);
    assert_non_null(strstr(says, "no properly formatted"));
    unlink("list");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_coreutils),
        cmocka_unit_test(test_reads_as_sha256sum),
        cmocka_unit_test(test_cases_are_sha256sums),
        cmocka_unit_test(test_one_space_or_two),
        cmocka_unit_test(test_other_algorithms_by_their_tags),
        cmocka_unit_test(test_tree_lines_are_ours),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
