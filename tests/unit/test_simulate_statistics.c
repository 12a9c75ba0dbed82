/* SPDX-License-Identifier: BSD-3-Clause */
/* Values and errors from synthetic chains whose answers are known. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "simulate/statistics.h"

#define REPLICAS 8
#define A_BIN    100 /* measurements */

static uint64_t noise_state;

static double uniform(void)
{
    /* splitmix64 */
    uint64_t z = noise_state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return ((double)((z ^ z >> 31) >> 11) + 0.5) * 0x1p-53;
}

static double gauss(void)
{
    return sqrt(-2 * log(uniform())) * cos(2 * M_PI * uniform());
}

static const struct chain_task task = {
    .measurements = CHAIN_BINS * A_BIN, .sweeps_between = 2, .size = 64, .temperature = 2.0};

/* E and M of an autoregressive process: mean a site, standard deviation a site, correlation between measurements. */
static void synthesize(struct chain_result *r, double mean, double deviation, double correlation)
{
    double sites = 64 * 64, x = gauss(), y = gauss(), fresh = sqrt(1 - correlation * correlation);
    memset(r, 0, sizeof *r);
    r->finished = 1;
    for (int b = 0; b < CHAIN_BINS; b++)
        for (int i = 0; i < A_BIN; i++) {
            x = correlation * x + fresh * gauss();
            y = correlation * y + fresh * gauss();
            int64_t e = llround(sites * (-1.5 + deviation * x)), m = llabs(llround(sites * (mean + deviation * y)));
            double m2 = (double)(m * m) / (sites * sites);
            r->bins[b].energy += e;
            r->bins[b].energy2 += (uint64_t)(e * e);
            r->bins[b].magnetization += (uint64_t)m;
            r->bins[b].magnetization2 += (uint64_t)(m * m);
            r->bins[b].magnetization4 += m2 * m2;
        }
}

static struct point synthetic_point(uint64_t seed, int n, double mean, double deviation, double correlation)
{
    static struct chain_result results[REPLICAS];
    const struct chain_result *pointers[REPLICAS] = {NULL};
    noise_state = seed * 1000003;
    for (int r = 0; r < n; r++) {
        synthesize(&results[r], mean, deviation, correlation);
        pointers[r] = &results[r];
    }
    return point_estimate(&task, pointers, n);
}

static void assert_within(struct estimate e, double truth, double sigmas, const char *what)
{
    if (!(fabs(e.value - truth) <= sigmas * e.error))
        fail_msg("%s: %g +- %g is not %g", what, e.value, e.error, truth);
}

/* Mean error over many sets is the true standard error, or a little more; deviations in its units are normal. */
static void check_coverage(double correlation, double lowest, double highest)
{
    enum { SETS = 150 };
    double truth[QUANTITIES] = {-1.5, 0.5};
    double d = 0.02, sites = 64 * 64, error_sum[QUANTITIES] = {0}, square[QUANTITIES] = {0};
    double m2 = 0.25 + d * d, m4 = 0.0625 + 6 * 0.25 * d * d + 3 * d * d * d * d;
    truth[HEAT] = sites * d * d / 4;
    truth[SUSCEPTIBILITY] = sites * d * d / 2;
    truth[BINDER] = 1 - m4 / (3 * m2 * m2);
    for (uint64_t set = 0; set < SETS; set++) {
        struct point p = synthetic_point(set + 1, REPLICAS, 0.5, d, correlation);
        for (int q = 0; q < QUANTITIES; q++) {
            assert_within(p.quantity[q], truth[q], 4.5, quantity_name((enum quantity)q));
            error_sum[q] += p.quantity[q].error / SETS;
            square[q] += pow(p.quantity[q].value - truth[q], 2) / SETS;
        }
    }
    for (int q = 0; q < QUANTITIES; q++) {
        double ratio = error_sum[q] / sqrt(square[q]);
        print_message("correlation %g, %s: error given / true error %.3f\n", correlation,
                      quantity_name((enum quantity)q), ratio);
        assert_true(ratio > lowest && ratio < highest);
    }
}

static void test_errors_of_independent_samples(void **state)
{
    (void)state;
    check_coverage(0, 0.88, 1.25); /* 150 sets tell the true error to 6 % */
}

static void test_errors_of_correlated_samples(void **state)
{
    (void)state;
    check_coverage(0.98, 0.85, 1.25); /* 50 measurements of memory: bins of 1 would be at 0.7 */
}

static void test_autocorrelation_time(void **state)
{
    (void)state;
    /* (1 + r) / (1 - r) / 2 measurements of 2 sweeps each */
    double tau = 0;
    for (uint64_t set = 0; set < 20; set++)
        tau += synthetic_point(set + 5, REPLICAS, 0.5, 0.02, 0.9).magnetization_tau / 20;
    assert_true(tau > 17 && tau < 25);
    struct point p = synthetic_point(3, REPLICAS, 0.5, 0.02, 0.9);
    assert_true(p.bin_sweeps == 8 * A_BIN * 2);
    assert_false(point_is_short(&p));
    p = synthetic_point(3, REPLICAS, 0.5, 0.02, 0.9995);
    assert_true(point_is_short(&p));
}

/* The bias of order 1 / samples is removed: few, strongly correlated samples. */
static void test_bias_removed(void **state)
{
    (void)state;
    enum { SETS = 300 };
    double mean = 0, truth = 64 * 64 * 0.02 * 0.02 / 4, naive = 0;
    for (uint64_t set = 0; set < SETS; set++) {
        struct point p = synthetic_point(set + 1000, 1, 0.5, 0.02, 0.98);
        mean += p.quantity[HEAT].value / SETS;
    }
    /* the plain estimate is low by the variance of the mean, 99 / 6400 of the variance */
    naive = truth * (1 - 99.0 / 6400);
    assert_true(fabs(mean - truth) < fabs(mean - naive));
}

static void test_few_replicas(void **state)
{
    (void)state;
    struct point p = synthetic_point(9, 0, 0.5, 0.02, 0);
    assert_int_equal(p.replicas, 0);
    assert_true(isnan(p.quantity[ENERGY].value));
    assert_false(point_is_short(&p));
    p = synthetic_point(9, 1, 0.5, 0.02, 0);
    assert_int_equal(p.replicas, 1);
    assert_int_equal(p.samples, 6400);
    assert_true(p.bin_sweeps == 2 * A_BIN * 2); /* 32 bins at least */
    assert_within(p.quantity[ENERGY], -1.5, 4.5, "e");
}

/* A frozen chain has no error, no autocorrelation, and breaks nothing. */
static void test_frozen(void **state)
{
    (void)state;
    struct point p = synthetic_point(1, 4, 1, 0, 0);
    assert_true(p.quantity[MAGNETIZATION].value == 1 && p.quantity[MAGNETIZATION].error == 0);
    assert_true(p.quantity[HEAT].value == 0);
    assert_true(fabs(p.quantity[BINDER].value - 2.0 / 3) < 1e-15);
    assert_true(p.energy_tau == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors_of_independent_samples),
        cmocka_unit_test(test_errors_of_correlated_samples),
        cmocka_unit_test(test_autocorrelation_time),
        cmocka_unit_test(test_bias_removed),
        cmocka_unit_test(test_few_replicas),
        cmocka_unit_test(test_frozen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
