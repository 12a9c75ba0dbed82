/* SPDX-License-Identifier: BSD-3-Clause */
/* Experiment files: what they mean, and what is said about each malformed one in fixtures/experiments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "simulate/experiment.h"
#include "simulate/quick.h"

#define FOLDER "fixtures/experiments/"

static const struct malformed {
    const char *file;
    int line;
    const char *says;
} malformed[] = {
    {"continuation", 2, "an item is empty; allowed: up to 32 increasing sizes"},
    {"control_byte", 10, "byte 0x1b; allowed: text"},
    {"duplicate_key", 7, "replicas was already set in line 6; allowed: each key once"},
    {"empty", 1, "[lattice] sizes is missing"},
    {"key_before_section", 1, "'seed' stands before any section; allowed: [lattice], [temperature], [run]"},
    {"key_in_wrong_section", 5, "unknown key 'seed' in [temperature]; allowed: values, from, to, points"},
    {"long_line", 2, "line of 314 bytes; allowed: 190 bytes"},
    {"measurements_few", 8, "measurements = '0'; allowed: a multiple of 64 from 64 to 67108864"},
    {"measurements_not_multiple", 8, "measurements = '650'; allowed: a multiple of 64"},
    {"missing_key", 9, "[run] replicas is missing; allowed: a whole number from 1 to 1024"},
    {"missing_section", 4, "[run] replicas is missing"},
    {"not_ini", 10, "not a line of an ini file; allowed: [section], key = value, ; comment"},
    {"nul_byte", 10, "byte 0x00; allowed: text"},
    {"only_comment", 1, "[lattice] sizes is missing"},
    {"range_backwards", 5, "to = 2 is not above from = 3"},
    {"range_one_point", 6, "points = '1'; allowed: a whole number from 2 to 512"},
    {"range_part", 11, "only part of a temperature range is given; allowed: from, to, points together"},
    {"replicas_float", 6, "replicas = '4.5'; allowed: a whole number from 1 to 1024"},
    {"replicas_zero", 6, "replicas = '0'"},
    {"seed_negative", 10, "seed = '-7'; allowed: a whole number from 0 to 18446744073709551615"},
    {"seed_too_large", 10, "seed = '18446744073709551616'"},
    {"size_empty_item", 2, "an item is empty"},
    {"size_huge", 2, "'99999999999999999999' is not a whole number"},
    {"size_impossible", 2,
     "no lattice of size 24; allowed: up to 32 increasing sizes with commas between, each 8, or a "
     "multiple of 16 from 16 to 1024"},
    {"size_negative", 2, "'-8' is not a whole number"},
    {"size_order", 2, "8 does not come after 16"},
    {"size_text", 2, "'sixteen' is not a whole number"},
    {"sizes_empty", 2, "an item is empty"},
    {"sweeps_between_zero", 9, "sweeps_between = '0'; allowed: a whole number from 1 to 1000000"},
    {"sweeps_overflow", 7, "thermalize_sweeps = '18446744073709551617'; allowed: a whole number from 0 to 1000000000"},
    {"temperature_equal", 4, "2.0 does not come after 2; allowed: increasing numbers"},
    {"temperature_hex", 4, "'0x2p0' is no such temperature"},
    {"temperature_high", 4, "'1e300' is no such temperature"},
    {"temperature_nan", 4, "'nan' is no such temperature"},
    {"temperature_none", 9, "[temperature] has no temperatures; allowed: values, or from, to, points"},
    {"temperature_trailing", 4, "'2.5K' is no such temperature"},
    {"temperature_two_signs", 4, "'2.5e--1' is no such temperature"},
    {"temperature_zero", 4, "'0' is no such temperature; allowed: increasing numbers from 0.2 to 100"},
    {"text_after_section", 5, "text after '[run]'; allowed: nothing but a comment"},
    {"too_many_tasks", 8, "204800 tasks; allowed: 50000 sizes x temperatures x replicas"},
    {"too_many_temperatures", 7, "too many temperatures; allowed: 512 temperatures in all"},
    {"too_much_work", 8, "5.6295e+17 spin updates in all; allowed: 1e17"},
    {"unknown_empty_section", 11, "unknown section '[plot]'; allowed: [lattice], [temperature], [run]"},
    {"unknown_key", 11, "unknown key 'sede' in [run]; allowed: replicas, thermalize_sweeps, measurements, "},
    {"unknown_section", 11, "unknown section '[plot]'"},
    {"unterminated_section", 5, "unknown section '[run'"},
};

static void test_malformed_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        const struct malformed *m = &malformed[i];
        char path[256], begin[300], error[EXPERIMENT_ERROR_MAX];
        struct experiment e;
        snprintf(path, sizeof path, FOLDER "%s.ini", m->file);
        snprintf(begin, sizeof begin, "%s:%d: ", path, m->line);
        if (experiment_read(path, &e, error) == 0)
            fail_msg("%s was accepted", path);
        if (strncmp(error, begin, strlen(begin)) != 0 || !strstr(error, m->says) || !strstr(error, "; allowed: "))
            fail_msg("%s\nis not\n%s ... %s", error, begin, m->says);
    }
}

static void test_unreadable(void **state)
{
    (void)state;
    struct experiment e;
    char error[EXPERIMENT_ERROR_MAX];
    assert_int_equal(experiment_read(FOLDER "no such file", &e, error), -1);
    assert_string_equal(error, FOLDER "no such file: cannot be read: No such file or directory");
    assert_int_equal(experiment_read(FOLDER, &e, error), -1);
    assert_non_null(strstr(error, "Is a directory"));
}

static void test_good_file(void **state)
{
    (void)state;
    struct experiment e;
    char error[EXPERIMENT_ERROR_MAX];
    assert_int_equal(experiment_read(FOLDER "good.ini", &e, error), 0);
    assert_string_equal(error, "");
    assert_int_equal(e.size_count, 2);
    assert_int_equal(e.sizes[1], 16);
    assert_int_equal(e.temperature_count, 2);
    assert_true(e.temperatures[0] == 2.0 && e.temperatures[1] == 2.5);
    assert_int_equal(e.replicas, 4);
    assert_int_equal(e.thermalize_sweeps, 100);
    assert_int_equal(e.measurements, 640);
    assert_int_equal(e.sweeps_between, 1);
    assert_int_equal(e.seed, 7);
    assert_int_equal(experiment_points(&e), 4);
    assert_int_equal(experiment_tasks(&e), 16);
    assert_true(experiment_updates(&e) == 740.0 * (64 + 256) * 2 * 4);
    struct chain_task task = experiment_task(&e, 4 * 3 + 1); /* last point, second replica */
    assert_int_equal(task.size, 16);
    assert_int_equal(task.replica, 1);
    assert_true(task.temperature == 2.5);
    assert_int_equal(task.stream.task, 13);
    assert_int_equal(task.stream.seed, 7);
}

static void test_range_joins_values(void **state)
{
    (void)state;
    static const double expected[] = {1.5, 2.0, 2.5, 3.0};
    struct experiment e;
    char error[EXPERIMENT_ERROR_MAX];
    assert_int_equal(experiment_read(FOLDER "good_range_and_values.ini", &e, error), 0);
    assert_int_equal(e.temperature_count, 4);
    assert_memory_equal(e.temperatures, expected, sizeof expected);
}

static void test_shipped_experiments(void **state)
{
    (void)state;
    struct experiment quick, file;
    char error[EXPERIMENT_ERROR_MAX];
    assert_int_equal(experiment_parse("built in", quick_experiment, strlen(quick_experiment), &quick, error), 0);
    assert_int_equal(experiment_read("../apps/simulate/experiments/quick.ini", &file, error), 0);
    assert_memory_equal(&quick, &file, sizeof file);
    assert_int_equal(experiment_read("../apps/simulate/experiments/publish.ini", &file, error), 0);
}

static void test_file_too_long(void **state)
{
    (void)state;
    struct experiment e;
    char error[EXPERIMENT_ERROR_MAX];
    char *text = malloc(EXPERIMENT_FILE_MAX + 1);
    for (size_t i = 0; i <= EXPERIMENT_FILE_MAX; i++)
        text[i] = i % 80 == 79 ? '\n' : i % 80 ? 'x' : ';';
    assert_int_equal(experiment_parse("f", text, EXPERIMENT_FILE_MAX + 1, &e, error), -1);
    assert_string_equal(error, "f:1: the file is too long; allowed: 65536 bytes");
    assert_int_equal(experiment_parse("f", text, EXPERIMENT_FILE_MAX, &e, error), -1);
    assert_non_null(strstr(error, "sizes is missing"));
    free(text);
}

static void test_numbers(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "-", " 1", "1 ", "+1", "1.0", "1e3", "0x10", "99999999999999999999", "11"};
    int64_t value = 5;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(parse_integer(bad[i], -10, 10, &value), -1);
    assert_int_equal(value, 5);
    assert_int_equal(parse_integer("-10", -10, 10, &value), 0);
    assert_int_equal(value, -10);
    uint64_t u = 5;
    assert_int_equal(parse_unsigned("18446744073709551615", &u), 0);
    assert_true(u == UINT64_MAX);
    assert_int_equal(parse_unsigned("18446744073709551616", &u), -1);
    assert_int_equal(parse_unsigned("-1", &u), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_malformed_files),
        cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_good_file),
        cmocka_unit_test(test_range_joins_values),
        cmocka_unit_test(test_shipped_experiments),
        cmocka_unit_test(test_file_too_long),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
