/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line, and what is written: table, results.csv, run.json, the picture, progress. */
#include <errno.h>
#include <math.h>
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

#include <cjson/cJSON.h>

#include "common/output.h"
#include "full_disk.h"
#include "simulate/options.h"
#include "simulate/plot.h"
#include "simulate/progress.h"
#include "simulate/results.h"
#include "simulate/run_json.h"

/* ---- command line ---- */

static struct options options;
static char said[4096], complained[4096];

#define PARSE(...) parse((char *[]){"simulate", __VA_ARGS__, NULL})

static options_outcome parse(char **argv)
{
    int argc = 0;
    while (argv[argc])
        argc++;
    memset(said, 0, sizeof said);
    memset(complained, 0, sizeof complained);
    FILE *out = fmemopen(said, sizeof said, "w"), *err = fmemopen(complained, sizeof complained, "w");
    options_outcome outcome = options_parse(argc, argv, &options, out, err);
    fclose(out);
    fclose(err);
    return outcome;
}

static void test_options(void **state)
{
    (void)state;
    assert_int_equal(parse((char *[]){"simulate", NULL}), OPTIONS_RUN);
    assert_null(options.experiment);
    assert_string_equal(options.out, "simulate-out");
    assert_false(options.workers || options.isolate || options.check || options.quiet || options.seed_given);
    assert_int_equal(PARSE("a.ini", "--out", "d", "--workers=3", "--isolate", "--seed", "18446744073709551615",
                           "--check", "--quiet"),
                     OPTIONS_RUN);
    assert_string_equal(options.experiment, "a.ini");
    assert_string_equal(options.out, "d");
    assert_int_equal(options.workers, 3);
    assert_true(options.isolate && options.check && options.quiet && options.seed_given);
    assert_true(options.seed == UINT64_MAX);
    assert_int_equal(PARSE("-"), OPTIONS_RUN);
    assert_string_equal(options.experiment, "-");
    assert_int_equal(PARSE("--", "--odd.ini"), OPTIONS_RUN);
    assert_string_equal(options.experiment, "--odd.ini");
}

static void test_help_and_version(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--help"), OPTIONS_DONE);
    assert_non_null(strstr(said, "usage: "));
    assert_int_equal(PARSE("--version"), OPTIONS_DONE);
    assert_int_equal(strncmp(said, "simulate ", 9), 0);
    assert_string_equal(complained, "");
}

static void test_bad_options(void **state)
{
    (void)state;
    static char *const bad[][2] = {
        {"--frobnicate", "'--frobnicate'; allowed: --out DIR, "},
        {"-x", "'-x'; allowed: "},
        {"--quiet=yes", "'--quiet=yes'"},
        {"--workers", "no value after '--workers'"},
        {"--workers=0", "--workers '0'; allowed: a whole number from 1 to 65536"},
        {"--workers=2x", "--workers '2x'"},
        {"--workers=-1", "--workers '-1'"},
        {"--seed=-1", "--seed '-1'"},
        {"--seed=1e3", "--seed '1e3'"},
        {"--out=", "--out ''; allowed: a directory"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(PARSE(bad[i][0]), OPTIONS_BAD);
        if (!strstr(complained, bad[i][1]) || strncmp(complained, "simulate: ", 10) != 0)
            fail_msg("%s: %s", bad[i][0], complained);
        assert_true(strchr(complained, '\n') == complained + strlen(complained) - 1);
    }
    assert_int_equal(PARSE("a.ini", "b.ini"), OPTIONS_BAD);
    assert_non_null(strstr(complained, "'b.ini' after the experiment 'a.ini'"));
}

/* ---- what is written ---- */

static void test_format(void **state)
{
    (void)state;
    static const struct {
        double value, error;
        const char *text;
    } cases[] = {
        {-1.4142135, 0.00012, "-1.41421(12)"},
        {0.5, 0.0996, "0.50(10)"},
        {0.5, 0.00994, "0.5000(99)"},
        {0.5, 0.00996, "0.500(10)"},
        {67.81, 1.26, "67.8(1.3)"},
        {123.4, 12.3, "123(12)"},
        {1234.5, 156, "1234(156)"},
        {-2, 0, "-2"},
        {9.996, 0.999, "10.0(1.0)"},
        {0.66664, 2.4e-7, "0.66664000(24)"},
    };
    char text[64];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        results_format(text, sizeof text, (struct estimate){cases[i].value, cases[i].error});
        assert_string_equal(text, cases[i].text);
    }
}

static struct point some_point(int size, double temperature, int replicas)
{
    struct point p = {.size = size, .temperature = temperature, .replicas = replicas, .samples = 640};
    for (int q = 0; q < QUANTITIES; q++)
        p.quantity[q] = (struct estimate){0.5 + q, 0.01};
    p.energy_tau = p.magnetization_tau = 1.5;
    p.bin_sweeps = 80;
    return p;
}

static void test_csv(void **state)
{
    (void)state;
    struct point points[] = {some_point(8, 2, 4), some_point(8, 2.5, 0), some_point(16, 2, 3)};
    char *text;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    results_write_csv(f, points, 3);
    fclose(f);
    static const char begin[] = "L,T,replicas,e,e_error,m,m_error,c,c_error,chi,chi_error,binder,binder_error,"
                                "e_kaufman,c_kaufman,e_onsager,m_yang,e_tau,m_tau,bin_sweeps\n"
                                "8,2,4,0.5,0.01,1.5,0.01,2.5,0.01,3.5,0.01,4.5,0.01,-1.7456";
    assert_int_equal(strncmp(text, begin, sizeof begin - 1), 0);
    int lines = 0, commas = 0;
    for (const char *c = text; *c; c++) {
        lines += *c == '\n';
        commas += *c == ',';
    }
    assert_int_equal(lines, 3); /* the point without replicas is not there */
    assert_int_equal(commas, 3 * 19);
    free(text);
}

static struct experiment some_experiment(void)
{
    return (struct experiment){.sizes = {8, 16},
                               .size_count = 2,
                               .temperatures = {2, 2.5},
                               .temperature_count = 2,
                               .replicas = 4,
                               .thermalize_sweeps = 10,
                               .measurements = 640,
                               .sweeps_between = 1,
                               .seed = UINT64_MAX};
}

static void test_json(void **state)
{
    (void)state;
    struct experiment e = some_experiment();
    struct run_host hosts[] = {{"n\"1\"", 10, 2.5}, {"n2", 6, 1.5}};
    struct run_summary run = {.experiment_file = "a\\b.ini",
                              .muster_version = "9.9",
                              .ranks = 4,
                              .host_count = 2,
                              .workers = 4,
                              .hosts = hosts,
                              .hosts_seen = 2,
                              .tasks = 16,
                              .finished = 16,
                              .started = 1000000000,
                              .seconds = 2,
                              .busy_seconds = 4,
                              .updates = 8e9};
    char *text;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    assert_int_equal(run_json_write(f, &e, &run), 0);
    fclose(f);
    cJSON *root = cJSON_Parse(text);
    assert_non_null(root);
    const cJSON *parameters = cJSON_GetObjectItem(root, "parameters"), *times = cJSON_GetObjectItem(root, "times");
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(root, "experiment")), "a\\b.ini");
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(parameters, "seed")), "18446744073709551615");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(parameters, "temperatures")), 2);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(times, "started")), "2001-09-09T01:46:40Z");
    assert_true(cJSON_GetNumberValue(cJSON_GetObjectItem(times, "spin_updates_per_ns")) == 4);
    const cJSON *shares = cJSON_GetObjectItem(cJSON_GetObjectItem(root, "machine"), "shares");
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(cJSON_GetArrayItem(shares, 0), "host")), "n\"1\"");
    cJSON_Delete(root);
    free(text);
}

/* A fresh directory in the build's temporary space. */
static char *fresh_directory(void)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/test_simulate.XXXXXX");
    assert_non_null(mkdtemp(path));
    return path;
}

static void remove_all(const char *directory)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", directory);
    assert_int_equal(system(command), 0);
}

static void test_output_files(void **state)
{
    (void)state;
    char *base = fresh_directory(), deep[128], path[OUTPUT_PATH_MAX];
    snprintf(deep, sizeof deep, "%s/a/b//c", base);
    assert_int_equal(output_directory(deep), 0);
    assert_int_equal(output_directory(deep), 0);
    struct output_file f;
    assert_int_equal(output_begin(&f, deep, "x"), 0);
    fputs("new", f.stream);
    assert_int_equal(output_path(path, deep, "x"), 0);
    assert_int_equal(access(path, F_OK), -1); /* not there before it is whole */
    assert_int_equal(output_commit(&f), 0);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(access(f.temporary, F_OK), -1);
    assert_int_equal(output_directory(path), -1); /* a file */
    assert_int_equal(output_directory(""), -1);
    assert_int_equal(output_directory("/proc/nowhere"), -1);
    char *long_name = malloc(OUTPUT_PATH_MAX + 1);
    memset(long_name, 'x', OUTPUT_PATH_MAX);
    long_name[OUTPUT_PATH_MAX] = '\0';
    assert_int_equal(output_directory(long_name), -1);
    assert_int_equal(errno, ENAMETOOLONG);
    assert_int_equal(output_begin(&f, long_name, "x"), -1);
    free(long_name);
    remove_all(base);
}

/* A disk that is full must not leave a truncated file. */
static void test_failed_write(void **state)
{
    (void)state;
    FILE *full = full_disk();
    char *base = fresh_directory();
    struct output_file f;
    assert_int_equal(output_begin(&f, base, "x"), 0);
    fclose(f.stream);
    f.stream = full;
    for (int i = 0; i < 10000; i++)
        fputs("0123456789", f.stream);
    assert_int_equal(output_commit(&f), -1);
    assert_true(errno != 0);
    assert_int_equal(access(f.path, F_OK), -1);
    assert_int_equal(access(f.temporary, F_OK), -1);
    remove_all(base);
}

static void write_results(const char *directory, const struct experiment *e, const struct point *points, int n)
{
    struct output_file f;
    assert_int_equal(output_begin(&f, directory, "results.csv"), 0);
    results_write_csv(f.stream, points, n);
    assert_int_equal(output_commit(&f), 0);
    assert_int_equal(output_begin(&f, directory, "results.gp"), 0);
    plot_write_script(f.stream, e, points, n);
    assert_int_equal(output_commit(&f), 0);
}

static void test_picture(void **state)
{
    (void)state;
    char *base = fresh_directory(), path[OUTPUT_PATH_MAX];
    struct experiment e = some_experiment();
    struct point points[] = {some_point(8, 2, 4), some_point(8, 2.5, 4), some_point(16, 2, 4), some_point(16, 2.5, 0)};
    write_results(base, &e, points, 4);
    assert_int_equal(output_path(path, base, "results.png"), 0);
    plot_outcome outcome = plot_draw(base);
    if (outcome == PLOT_NO_GNUPLOT) {
        remove_all(base);
        skip();
    }
    assert_int_equal(outcome, PLOT_DRAWN);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_true(status.st_size > 20000);
    write_results(base, &e, points, 1); /* a single point draws too */
    assert_int_equal(plot_draw(base), PLOT_DRAWN);
    assert_int_equal(output_path(path, base, "results.gp"), 0);
    unlink(path);
    assert_int_equal(plot_draw(base), PLOT_FAILED);
    remove_all(base);
}

static void test_no_gnuplot(void **state)
{
    (void)state;
    char *base = fresh_directory(), *path = getenv("PATH"), *kept = strdup(path ? path : "");
    setenv("PATH", "/nonexistent", 1);
    assert_int_equal(plot_draw(base), PLOT_NO_GNUPLOT);
    setenv("PATH", kept, 1);
    free(kept);
    remove_all(base);
}

static void test_progress(void **state)
{
    (void)state;
    char text[160];
    struct study_progress p = study_progress_start(stderr, false, 10, 1e12, 4);
    assert_null(p.line.stream);
    study_progress_format(&p, 0, text, sizeof text);
    assert_string_equal(text, "0 of 10 tasks, 0.00 spin updates/ns, ? left, workers 0% busy");
    p.tasks_done = 3;
    p.work_done = 1e11;
    p.busy_seconds = 180;
    study_progress_format(&p, 50, text, sizeof text);
    assert_string_equal(text, "3 of 10 tasks, 2.00 spin updates/ns, 7:30 min left, workers 90% busy");
    FILE *pipe = tmpfile(); /* not a terminal: a line a minute */
    assert_non_null(pipe);
    p = study_progress_start(pipe, true, 10, 1e12, 4);
    study_progress_show(&p);
    assert_int_equal(ftell(pipe), 0);
    p.line.shown -= 60;
    study_progress_show(&p);
    study_progress_show(&p);
    progress_end(&p.line);
    rewind(pipe);
    assert_non_null(fgets(text, sizeof text, pipe));
    assert_string_equal(text, "0 of 10 tasks, 0.00 spin updates/ns, ? left, workers 0% busy\n");
    assert_null(fgets(text, sizeof text, pipe));
    fclose(pipe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options),      cmocka_unit_test(test_help_and_version),
        cmocka_unit_test(test_bad_options),  cmocka_unit_test(test_format),
        cmocka_unit_test(test_csv),          cmocka_unit_test(test_json),
        cmocka_unit_test(test_output_files), cmocka_unit_test(test_failed_write),
        cmocka_unit_test(test_picture),      cmocka_unit_test(test_no_gnuplot),
        cmocka_unit_test(test_progress),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
