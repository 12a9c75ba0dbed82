/* SPDX-License-Identifier: BSD-3-Clause */
/* Exact values against enumeration, numerical integration and each other. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "simulate/exact.h"

static const double temperatures[] = {0.3,  0.5, 1, 1.7, 2,  2.2, 2.269, EXACT_CRITICAL_TEMPERATURE,
                                      2.27, 2.5, 4, 20,  100};
#define COUNT (sizeof temperatures / sizeof *temperatures)

static void assert_near(double a, double b, double tolerance)
{
    if (!(fabs(a - b) <= tolerance))
        fail_msg("%.15g is not %.15g within %g", a, b, tolerance);
}

static int energy_of(unsigned configuration, int n)
{
    int energy = 0;
    for (int i = 0; i < n * n; i++) {
        int y = i / n, x = i % n;
        unsigned s = configuration >> i & 1;
        energy += s == (configuration >> (y * n + (x + 1) % n) & 1) ? -1 : 1;
        energy += s == (configuration >> ((y + 1) % n * n + x) & 1) ? -1 : 1;
    }
    return energy;
}

/* All 2^(n n) configurations; energy and specific heat a site. */
static void enumerate(int n, double t, double *energy, double *heat)
{
    double z = 0, sum = 0, sum2 = 0;
    for (unsigned c = 0; c < 1u << (n * n); c++) {
        double excess = energy_of(c, n) + 2.0 * n * n, w = exp(-excess / t);
        z += w;
        sum += w * excess;
        sum2 += w * excess * excess;
    }
    double mean = sum / z;
    *energy = mean / (n * n) - 2;
    *heat = (sum2 / z - mean * mean) / (t * t * n * n);
}

static void test_kaufman_against_enumeration(void **state)
{
    (void)state;
    for (int n = 2; n <= 4; n++)
        for (size_t i = 0; i < COUNT; i++) {
            double energy, heat;
            enumerate(n, temperatures[i], &energy, &heat);
            assert_near(exact_kaufman_energy(n, temperatures[i]), energy, 3e-12);
            assert_near(exact_kaufman_heat(n, temperatures[i]), heat, 1e-7);
        }
}

/* -d ln Z / dK of Onsager's double integral, one integral done: ln lambda and its derivative by the midpoint rule. */
static double integrate_energy(double t)
{
    double k = 1 / t, c = cosh(2 * k), s = sinh(2 * k), sum = 0;
    enum { STEPS = 200000 };
    for (int i = 0; i < STEPS; i++) {
        double angle = M_PI * (i + 0.5) / STEPS;
        /* cosh g = c^2 / s - cos(angle); ln Z / N = ln(2 s) / 2 + mean of g / 2 */
        double x = (1 - s) * (1 - s) / s + 2 * sin(angle / 2) * sin(angle / 2);
        sum += 2 * c * (s * s - 1) / (s * s) / sqrt(x * (2 + x));
    }
    return -c / s - sum / STEPS / 2;
}

static void test_onsager_against_integral(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        if (fabs(temperatures[i] - EXACT_CRITICAL_TEMPERATURE) > 0.01)
            assert_near(exact_onsager_energy(temperatures[i]), integrate_energy(temperatures[i]), 1e-9);
    assert_near(exact_onsager_energy(EXACT_CRITICAL_TEMPERATURE), -M_SQRT2, 1e-12);
    assert_near(exact_onsager_energy(1e-2), -2, 1e-15);
}

static void test_kaufman_tends_to_onsager(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        double t = temperatures[i], infinite = exact_onsager_energy(t);
        double away = fabs(t - EXACT_CRITICAL_TEMPERATURE);
        assert_near(exact_kaufman_energy(1024, t), infinite, away > 0.1 ? 1e-11 : 2e-3);
        if (away > 0.1)
            assert_near(exact_kaufman_heat(512, t), exact_onsager_heat(t), 1e-6);
    }
    /* at the critical point e_L - e = -2 t2 t3 t4 / (t2 + t3 + t4) / L, Jacobi's theta functions of nome exp(-pi)
     * (Ferdinand and Fisher) */
    double tc = EXACT_CRITICAL_TEMPERATURE, q = exp(-M_PI);
    double t2 = 2 * pow(q, 0.25) * (1 + q * q), t3 = 1 + 2 * q + 2 * pow(q, 4), t4 = 1 - 2 * q + 2 * pow(q, 4);
    assert_near((exact_kaufman_energy(512, tc) + M_SQRT2) * 512, -2 * t2 * t3 * t4 / (t2 + t3 + t4), 1e-5);
    assert_true(isinf(exact_onsager_heat(tc)));
}

static void test_yang(void **state)
{
    (void)state;
    assert_near(exact_yang_magnetization(0.3), 1, 1e-10);
    assert_near(exact_yang_magnetization(2.0), pow(1 - pow(sinh(1.0), -4), 0.125), 1e-14);
    assert_near(exact_yang_magnetization(2.0), 0.911319377877496, 1e-12);
    assert_true(exact_yang_magnetization(EXACT_CRITICAL_TEMPERATURE) == 0);
    assert_true(exact_yang_magnetization(3) == 0);
}

static void test_wall_cost(void **state)
{
    (void)state;
    assert_near(exact_wall_cost(EXACT_CRITICAL_TEMPERATURE), 0, 1e-13);
    assert_true(exact_wall_cost(2) > 0 && exact_wall_cost(3) < 0);
    /* two units of energy a site for the bonds broken along a straight wall at T = 0 */
    assert_near(exact_wall_cost(0.1) * 0.1, 2, 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kaufman_against_enumeration),
        cmocka_unit_test(test_onsager_against_integral),
        cmocka_unit_test(test_kaufman_tends_to_onsager),
        cmocka_unit_test(test_yang),
        cmocka_unit_test(test_wall_cost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
