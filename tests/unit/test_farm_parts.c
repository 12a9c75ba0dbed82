/* SPDX-License-Identifier: BSD-3-Clause */
/* Parts of farm: numbers, when to halt, names that others follow, what is said and in which order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "farm/follow.h"
#include "farm/halt.h"
#include "farm/number.h"
#include "farm/out.h"
#include "farm/spool.h"

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double seconds; /* negative: none */
    } times[] = {{"10", 10}, {"1.5m", 90}, {"2h", 7200}, {"1d", 86400}, {"1h30m", 5400}, {"0", 0},   {"", -1},
                 {"x", -1},  {"1w", -1},   {"-1", -1},   {"inf", -1},   {"nan", -1},     {"5 s", -1}};
    static const struct {
        const char *text;
        int64_t bytes;
    } sizes[] = {{"4096", 4096}, {"64K", 65536}, {"1.5G", 1610612736}, {"2m", 2097152}, {"1KiB", 1024}, {"7B", -1},
                 {"", -1},       {"K", -1},      {"1Q", -1},           {"-1", -1},      {"1e30", -1},   {"nan", -1}};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        double seconds = -1;
        assert_int_equal(number_seconds(times[i].text, &seconds), times[i].seconds < 0 ? -1 : 0);
        assert_true(seconds == times[i].seconds);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int64_t bytes = -1;
        assert_int_equal(number_bytes(sizes[i].text, &bytes), sizes[i].bytes < 0 ? -1 : 0);
        assert_int_equal(bytes, sizes[i].bytes);
    }
    int n = 7;
    assert_int_equal(number_whole("12", 1, 20, &n), 0);
    assert_int_equal(n, 12);
    assert_int_equal(number_whole("0", 1, 20, &n), -1);
    assert_int_equal(number_whole("21", 1, 20, &n), -1);
    assert_int_equal(number_whole("3x", 1, 20, &n), -1);
    assert_int_equal(number_whole("", 1, 20, &n), -1);
    assert_int_equal(number_whole("99999999999999999999", 1, 20, &n), -1);
    assert_int_equal(n, 12);
}

static void check_halt(const char *text, int64_t failed, int64_t succeeded, int64_t total, enum halt_now wanted)
{
    struct halt halt;
    assert_int_equal(halt_parse(text, &halt), 0);
    if (halt_check(&halt, failed, succeeded, total) != wanted)
        fail_msg("%s at %d failed, %d succeeded of %d", text, (int)failed, (int)succeeded, (int)total);
}

static void test_halt(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "now",
                                      "now,fail",
                                      "soon,fail=0",
                                      "now,fail=-1",
                                      "now,x=1",
                                      "now,fail=1x",
                                      "later,fail=1",
                                      "now,fail=101%",
                                      "now,fail=nan",
                                      "now,fail=1.5"};
    struct halt halt;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(halt_parse(bad[i], &halt), -1);
    check_halt("never", 100, 100, 200, HALT_GO_ON);
    check_halt("now,fail=1", 0, 5, 10, HALT_GO_ON);
    check_halt("now,fail=1", 1, 5, 10, HALT_NOW);
    check_halt("soon,fail=2", 1, 5, 10, HALT_GO_ON);
    check_halt("soon,fail=2", 2, 5, 10, HALT_SOON);
    check_halt("now,success=3", 9, 2, -1, HALT_GO_ON);
    check_halt("now,success=3", 9, 3, -1, HALT_NOW);
    check_halt("soon,done=4", 2, 2, 10, HALT_SOON);
    check_halt("soon,fail=20%", 1, 8, 10, HALT_GO_ON);
    check_halt("soon,fail=20%", 2, 0, 10, HALT_SOON);
    check_halt("soon,fail=50%", 1, 0, -1, HALT_GO_ON); /* of two nobody can tell */
    check_halt("soon,fail=50%", 2, 2, -1, HALT_SOON);
    check_halt("1", 1, 0, 2, HALT_SOON);
    check_halt("2", 1, 0, 2, HALT_NOW);
}

static void test_follow(void **state)
{
    (void)state;
    struct follow *follow = NULL;
    const char *unknown;
    assert_int_equal(follow_check(follow, "", &unknown), FOLLOW_NOW);
    assert_int_equal(follow_check(follow, "a", &unknown), FOLLOW_UNKNOWN);
    assert_string_equal(unknown, "a");
    assert_true(follow_declare(&follow, "a"));
    assert_true(follow_declare(&follow, "b"));
    assert_true(follow_declare(&follow, "b")); /* two of a name */
    assert_int_equal(follow_check(follow, " a  b ", &unknown), FOLLOW_LATER);
    follow_ended(follow, "a", true);
    assert_int_equal(follow_check(follow, "a", &unknown), FOLLOW_NOW);
    follow_ended(follow, "b", true);
    assert_int_equal(follow_check(follow, "a b", &unknown), FOLLOW_LATER);
    follow_ended(follow, "b", false);
    assert_int_equal(follow_check(follow, "a b", &unknown), FOLLOW_NEVER);
    assert_int_equal(follow_check(follow, "b c", &unknown), FOLLOW_UNKNOWN);
    assert_string_equal(unknown, "c");
    follow_free(follow);
}

struct reading {
    uint32_t next;
    size_t at, size;
};

static int check_words(void *arg, const char *bytes, size_t n)
{
    struct reading *r = arg;
    for (size_t i = 0; i < n; i++, r->at++)
        if ((unsigned char)bytes[i] != (unsigned char)(r->at * 7 + r->at / 251))
            return 1;
    return 0;
}

/* Many at once, more than may be in memory: each gives back what it was given. */
static void test_spool(void **state)
{
    (void)state;
    enum { SPOOLS = 5, PIECE = 100003, PIECES = 120 };
    static struct spool spools[SPOOLS];
    char *piece = malloc(PIECE);
    assert_non_null(piece);
    for (size_t k = 0; k < PIECES; k++) {
        for (size_t i = 0; i < PIECE; i++)
            piece[i] = (char)((k * PIECE + i) * 7 + (k * PIECE + i) / 251);
        for (int s = 0; s < SPOOLS; s++)
            assert_int_equal(spool_add(&spools[s], piece, PIECE), 0);
    }
    assert_true(spools[0].n_extents > 0);
    for (int s = 0; s < SPOOLS; s++) {
        struct reading r = {0};
        assert_int_equal(spools[s].size, PIECE * PIECES);
        assert_int_equal(spool_each(&spools[s], check_words, &r), 0);
        assert_int_equal(r.at, PIECE * PIECES);
        spool_clear(&spools[s]);
        assert_int_equal(spools[s].size, 0);
    }
    free(piece);
}

static char *text_of(FILE *file)
{
    static char text[4096];
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    return text;
}

static void end(struct out *out, int64_t seq, const char *tag, const char *said, const char *error)
{
    struct spool spools[2] = {{0}};
    assert_int_equal(spool_add(&spools[0], said, strlen(said)), 0);
    assert_int_equal(spool_add(&spools[1], error, strlen(error)), 0);
    out_ended(out, seq, tag, spools);
    assert_int_equal(spools[0].size, 0);
}

static void test_order(void **state)
{
    (void)state;
    FILE *streams[2] = {tmpfile(), tmpfile()};
    struct out *out = out_open(&(struct out_options){.keep_order = true, .tag = true}, streams);
    end(out, 3, "c", "3a\n3b", "");
    end(out, 5, "e", "5\n", "E5\n");
    end(out, 1, "a", "1\n", "E1\n");
    assert_int_equal(out_flush(out), 0);
    assert_string_equal(text_of(streams[0]), "a\t1\n");
    out_skipped(out, 2);
    assert_int_equal(out_flush(out), 0);
    assert_string_equal(text_of(streams[0]), "a\t1\nc\t3a\nc\t3b");
    out_close(out); /* what waits for one that never ends is not lost */
    assert_string_equal(text_of(streams[0]), "a\t1\nc\t3a\nc\t3be\t5\n");
    assert_string_equal(text_of(streams[1]), "a\tE1\ne\tE5\n");
    fclose(streams[0]), fclose(streams[1]);
}

static void test_as_they_end(void **state)
{
    (void)state;
    FILE *streams[2] = {tmpfile(), tmpfile()};
    struct out *out = out_open(&(struct out_options){.by_lines = true}, streams);
    assert_true(out_may_say(out, 9));
    end(out, 2, "b", "2\n", "");
    out_said(out, "a", 0, "now\n", 4);
    end(out, 1, "a", "1\n", "");
    assert_int_equal(out_flush(out), 0);
    assert_string_equal(text_of(streams[0]), "2\nnow\n1\n");
    out_close(out);
    fclose(streams[0]), fclose(streams[1]);
    streams[0] = fopen("/dev/full", "w"), streams[1] = tmpfile();
    if (streams[0]) {
        out = out_open(&(struct out_options){0}, streams);
        end(out, 1, "a", "1\n", "");
        assert_int_not_equal(out_flush(out), 0);
        out_close(out);
        fclose(streams[0]);
    }
    fclose(streams[1]);
}

static void test_results(void **state)
{
    (void)state;
    char folder[] = "/tmp/muster-farm-XXXXXX", path[200], command[200], text[16] = "";
    FILE *streams[2] = {tmpfile(), tmpfile()};
    assert_non_null(mkdtemp(folder));
    struct out *out = out_open(&(struct out_options){.results = folder}, streams);
    struct spool spools[2] = {{0}};
    char *args[] = {(char *)"a/b", (char *)".."};
    assert_int_equal(spool_add(&spools[0], "said", 4), 0);
    assert_int_equal(out_result(out, args, 2, 17, 2, spools), 0);
    snprintf(path, sizeof path, "%s/1/a\\_b/2/..\\/attempt-2/stdout", folder);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fread(text, 1, sizeof text, file), 4);
    fclose(file);
    assert_string_equal(text, "said");
    spool_clear(&spools[0]);
    out_close(out);
    fclose(streams[0]), fclose(streams[1]);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_halt),  cmocka_unit_test(test_follow),
        cmocka_unit_test(test_spool),   cmocka_unit_test(test_order), cmocka_unit_test(test_as_they_end),
        cmocka_unit_test(test_results),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
