/* SPDX-License-Identifier: BSD-3-Clause */
/* The check passes a right simulation and fails one whose temperature is off by 1 %. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "simulate/check.h"
#include "simulate/exact.h"
#include "simulate/experiment.h"

static const char study[] = "[lattice]\nsizes = 8, 16, 32\n[temperature]\nvalues = 1.7, 2.1, 2.269, 2.6, 3.2\n"
                            "[run]\nreplicas = 4\nthermalize_sweeps = 1000\nmeasurements = 12800\n"
                            "sweeps_between = 2\nseed = 11\n";

/* Runs the study with every temperature multiplied by factor. Gives *n points (free). */
static struct point *run(double factor, uint64_t seed, int *n)
{
    struct experiment e;
    char error[EXPERIMENT_ERROR_MAX];
    assert_int_equal(experiment_parse("study", study, strlen(study), &e, error), 0);
    e.seed = seed;
    *n = experiment_points(&e);
    struct point *points = calloc((size_t)*n, sizeof *points);
    struct chain_result *results = calloc((size_t)e.replicas, sizeof *results);
    const struct chain_result *pointers[4];
    for (int i = 0; i < *n; i++) {
        struct chain_task task;
        for (int r = 0; r < e.replicas; r++) {
            task = experiment_task(&e, i * e.replicas + r);
            task.accept = acceptance_at(task.temperature * factor);
            assert_int_equal(chain_run(&task, &results[r], NULL), CHAIN_DONE);
            pointers[r] = &results[r];
        }
        points[i] = point_estimate(&task, pointers, e.replicas);
    }
    free(results);
    return points;
}

static void test_right_simulation_passes(void **state)
{
    (void)state;
    int n, beyond_two = 0;
    struct point *points = run(1, 11, &n);
    struct check check;
    assert_int_equal(check_points(points, n, &check), 0);
    check_print(stdout, &check, points, 3);
    assert_int_equal(check.failed, 0);
    assert_true(check.count >= n + 3);
    for (int i = 0; i < check.count; i++) {
        beyond_two += fabs(check.comparisons[i].z) > 2;
        assert_true(i == 0 || fabs(check.comparisons[i].z) <= fabs(check.comparisons[i - 1].z));
    }
    assert_true(beyond_two <= check.count / 4);
    check_destroy(&check);
    free(points);
}

static void test_wrong_temperature_fails(void **state)
{
    (void)state;
    for (int sign = -1; sign <= 1; sign += 2) {
        int n;
        struct point *points = run(1 + 0.01 * sign, 11, &n);
        struct check check;
        assert_int_equal(check_points(points, n, &check), 0);
        assert_true(check.failed > n / 2);
        check_destroy(&check);
        free(points);
    }
}

static struct point made_up(int size, double temperature, double e, double e_error, double m, double m_error)
{
    struct point p = {.size = size, .temperature = temperature, .replicas = 4, .samples = 1000000};
    p.quantity[ENERGY] = (struct estimate){e, e_error};
    p.quantity[MAGNETIZATION] = (struct estimate){m, m_error};
    return p;
}

static int count_source(const struct check *check, enum check_source source)
{
    int n = 0;
    for (int i = 0; i < check->count; i++)
        n += check->comparisons[i].source == source;
    return n;
}

static void test_criteria(void **state)
{
    (void)state;
    double tc = EXACT_CRITICAL_TEMPERATURE, cold = exact_onsager_energy(1.8), yang = exact_yang_magnetization(1.8);
    struct point points[] = {
        made_up(128, 1.8, cold, 1e-5, yang, 1e-5),                      /* all three */
        made_up(16, tc, exact_kaufman_energy(16, tc), 1e-4, 0.7, 1e-3), /* Kaufman alone */
        made_up(64, 3.0, exact_onsager_energy(3.0), 1e-5, 0.1, 1e-4),   /* no Yang: |m| > 0 on a finite lattice */
        made_up(8, 0.25, -2, 0, 1, 0),                                  /* nothing happens so cold */
        {.size = 8, .temperature = 2, .replicas = 0},                   /* nothing finished */
    };
    struct check check;
    assert_int_equal(check_points(points, 5, &check), 0);
    assert_int_equal(count_source(&check, KAUFMAN), 3);
    assert_int_equal(count_source(&check, ONSAGER), 2);
    assert_int_equal(count_source(&check, YANG), 1);
    assert_int_equal(check.too_few, 1);
    assert_int_equal(check.failed, 0);
    check_destroy(&check);
    points[0].quantity[MAGNETIZATION].value += 4.1e-5;
    points[1].quantity[ENERGY].error = 0; /* no error bar is no excuse */
    points[1].quantity[ENERGY].value += 1e-6;
    assert_int_equal(check_points(points, 5, &check), 0);
    assert_int_equal(check.failed, 2);
    assert_int_equal(check.comparisons[0].point, 1);
    assert_int_equal(check.comparisons[1].source, YANG);
    check_destroy(&check);
    assert_int_equal(check_points(points, 0, &check), 0);
    assert_int_equal(check.count, 0);
    check_destroy(&check);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right_simulation_passes),
        cmocka_unit_test(test_wrong_temperature_fails),
        cmocka_unit_test(test_criteria),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
