/* SPDX-License-Identifier: BSD-3-Clause */
/* scaling: medians, intervals and fits of what is known; the plan; the command line. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scaling/plan.h"

static void assert_near(double is, double wanted)
{
    if (!(fabs(is - wanted) <= 1e-9 * fmax(1, fabs(wanted))))
        fail_msg("%.12g, not %.12g", is, wanted);
}

static void summaries(void **state)
{
    (void)state;
    double one[] = {7}, six[] = {6, 1, 5, 2, 4, 3}, many[100];
    struct summary s = fit_summary(one, 1);
    assert_near(s.median, 7);
    s = fit_summary(six, 6); /* 1 - 2 / 2^6 = 97 % */
    assert_near(s.median, 3.5);
    assert_near(s.low, 1);
    assert_near(s.high, 6);
    for (int i = 0; i < 100; i++)
        many[i] = 100 - i;
    s = fit_summary(many, 100); /* the 40th and the 61st: as tables of the sign test have it */
    assert_near(s.median, 50.5);
    assert_near(s.low, 40);
    assert_near(s.high, 61);
    assert_near(s.least, 1);
    assert_near(s.spread, 49.5 / 50.5);
    assert_int_equal(fit_summary(NULL, 0).n, 0);
}

static void laws(void **state)
{
    (void)state;
    double ranks[] = {1, 2, 4, 8, 16}, amdahl[5], usl[5];
    struct fitted a, b;
    for (int i = 0; i < 5; i++) {
        amdahl[i] = 10 * (0.1 + 0.9 / ranks[i]);
        usl[i] = 10 * (1 + 0.05 * (ranks[i] - 1) + 0.001 * ranks[i] * (ranks[i] - 1)) / ranks[i];
    }
    assert_true(fit_amdahl(ranks, amdahl, 5, &a, &b));
    assert_near(a.value, 0.1);
    assert_near(b.value, 10);
    assert_true(a.error >= 0 && a.error < 1e-6);
    assert_true(fit_usl(ranks, usl, 5, &a, &b));
    assert_near(a.value, 0.05);
    assert_near(b.value, 0.001);
    assert_near(fit_karp_flatt(1 / (0.1 + 0.9 / 8), 8), 0.1);
    amdahl[2] *= 1.1; /* what does not fit has an error */
    assert_true(fit_amdahl(ranks, amdahl, 5, &a, &b));
    assert_true(a.error > 0.001);
    assert_true(fit_amdahl(ranks, amdahl, 2, &a, &b));
    assert_true(a.error < 0);
    assert_false(fit_amdahl(ranks, amdahl, 1, &a, &b));
    assert_false(fit_usl(ranks, usl, 2, &a, &b));
    assert_false(fit_usl(ranks + 1, usl + 1, 4, &a, &b)); /* without one rank */
}

static int parse(struct options *o, const char *line)
{
    static char copy[512], *words[64];
    int n = 0;
    snprintf(copy, sizeof copy, "scaling %s", line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
        words[n++] = word;
    words[n] = NULL;
    return options_parse(n, words, o);
}

static void plans(void **state)
{
    (void)state;
    struct options o;
    struct plan plan;
    char text[64];
    assert_int_equal(parse(&o, "--ranks 1,2,4 -P size 10 20 -P n 3 -P kind a b c --repeat 2 -- prog -s {size} {np}"),
                     -1);
    assert_int_equal(o.n_ranks, 3);
    assert_int_equal(o.n_parameters, 3);
    assert_int_equal(o.n_program, 4);
    assert_true(plan_make(&plan, &o));
    assert_int_equal(plan.n_points, 18);
    assert_int_equal(plan.n_order, 36);
    int runs[18] = {0}, moved = 0;
    for (int i = 0; i < 36; i++) {
        runs[plan.order[i]]++;
        moved += plan.order[i] != i % 18;
    }
    for (int i = 0; i < 18; i++)
        assert_int_equal(runs[i], 2);
    assert_true(moved > 10);
    const struct point *last = &plan.points[17];
    assert_int_equal(last->ranks, 4);
    assert_string_equal(plan_values(&plan, last, text, sizeof text), "size=20 n=3 kind=c");
    char *word = plan_fill(&plan, last, "{np}x{size}-{n}{other}{");
    assert_string_equal(word, "4x20-3{other}{");
    free(word);
    for (int i = 0; i < 18; i++) {
        plan.points[i].times[0] = 8.0 / plan.points[i].ranks;
        plan.points[i].n_times = 1;
    }
    plan_evaluate(&plan);
    assert_near(last->speed_up, 4);
    assert_near(last->efficiency, 1);
    plan_free(&plan);
}

static void bad_options(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "--ranks 0 -- p",
                                      "--ranks 1,x -- p",
                                      "--ranks 1,,2 -- p",
                                      "--repeat 0 -- p",
                                      "-P size -- p",
                                      "--kernel nothing",
                                      "--kernel lock -- p",
                                      "--timeout 0 -- p",
                                      "--launcher mpirun -- p",
                                      "--seed x -- p",
                                      "--nothing -- p"};
    struct options o;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (parse(&o, bad[i]) != 2)
            fail_msg("'%s' was taken", bad[i]);
    assert_int_equal(parse(&o, "--kernel lock"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(summaries),
        cmocka_unit_test(laws),
        cmocka_unit_test(plans),
        cmocka_unit_test(bad_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
