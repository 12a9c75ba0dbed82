/* SPDX-License-Identifier: BSD-3-Clause */
#include "simulate/exact.h"

#include <math.h>

/* Arithmetic-geometric mean of 1 and y > 0; converges quadratically. */
static double agm(double y)
{
    double x = 1;
    for (int i = 0; i < 40 && fabs(x - y) > 1e-16 * x; i++) {
        double mean = (x + y) / 2;
        y = sqrt(x * y);
        x = mean;
    }
    return x;
}

double exact_onsager_energy(double temperature)
{
    double k = 1 / temperature, tanh2 = tanh(2 * k);
    double t = 2 * tanh2 * tanh2 - 1;
    /* (2 / pi) K(modulus) = 1 / agm(1, |t|), as t is the complementary modulus; t / agm tends to 0 with t */
    double elliptic = fabs(t) < 1e-300 ? 0 : t / agm(fabs(t));
    return -(1 + elliptic) / tanh2;
}

/* d e / d T by a central difference with Richardson's extrapolation: error about h^4 and rounding / h. */
static double derivative(double (*energy)(int, double), int size, double temperature, double h)
{
    double wide = (energy(size, temperature + h) - energy(size, temperature - h)) / (2 * h);
    double narrow = (energy(size, temperature + h / 2) - energy(size, temperature - h / 2)) / h;
    return (4 * narrow - wide) / 3;
}

static double onsager(int size, double temperature)
{
    (void)size;
    return exact_onsager_energy(temperature);
}

double exact_onsager_heat(double temperature)
{
    double distance = fabs(temperature - EXACT_CRITICAL_TEMPERATURE);
    if (distance < 1e-9)
        return INFINITY;
    /* must not reach across the singularity */
    return derivative(onsager, 0, temperature, fmin(1e-4 * temperature, distance / 4));
}

double exact_yang_magnetization(double temperature)
{
    if (temperature >= EXACT_CRITICAL_TEMPERATURE)
        return 0;
    double s = sinh(2 / temperature);
    return pow(-expm1(-4 * log(s)), 0.125);
}

double exact_wall_cost(double temperature)
{
    double k = 1 / temperature;
    return 2 * k + log(tanh(k));
}

/*
 * Kaufman: Z = (2 sinh 2K)^(nm/2) / 2 * (Z1 + Z2 + Z3 + Z4), products over r = 0 .. n - 1 of
 *   Z1: 2 cosh(m g[2r+1] / 2), Z2: 2 sinh(m g[2r+1] / 2), Z3: 2 cosh(m g[2r] / 2), Z4: 2 sinh(m g[2r] / 2)
 * with cosh g[k] = cosh 2K coth 2K - cos(pi k / n) and g[0] = 2K + ln tanh K, which changes sign at the critical point.
 * Everything is kept as logarithms, and cosh g - 1 is formed without cancellation.
 */
struct mode {
    double gamma;
    double slope; /* d gamma / d K */
};

static struct mode mode_at(int k, int n, double coupling)
{
    double s = sinh(2 * coupling);
    if (k == 0)
        return (struct mode){2 * coupling + log(tanh(coupling)), 2 * (1 + 1 / s)};
    double half_angle = sin(M_PI * k / (2.0 * n));
    double x = (1 - s) * (1 - s) / s + 2 * half_angle * half_angle; /* cosh gamma - 1 */
    double sinh_gamma = sqrt(x * (2 + x));
    double slope = 2 * cosh(2 * coupling) * (s - 1) * (s + 1) / (s * s * sinh_gamma);
    return (struct mode){log1p(x + sinh_gamma), slope};
}

/* Products of 2 cosh and of 2 sinh over the even or the odd modes: logarithms and their derivatives by K. */
struct products {
    double log_cosh, slope_cosh;
    double log_sinh, slope_sinh; /* without mode 0, which may vanish */
};

static struct products multiply(int first, int n, int m, double coupling)
{
    struct products p = {0};
    for (int r = 0; r < n; r++) {
        int k = 2 * r + first;
        struct mode mode = mode_at(k, n, coupling);
        double x = m * fabs(mode.gamma) / 2, slope = m * (mode.gamma < 0 ? -mode.slope : mode.slope) / 2;
        p.log_cosh += x + log1p(exp(-2 * x));
        p.slope_cosh += slope * tanh(x);
        if (k > 0) {
            p.log_sinh += x + log(-expm1(-2 * x));
            p.slope_sinh += slope / tanh(x);
        }
    }
    return p;
}

double exact_kaufman_energy(int size, double temperature)
{
    double coupling = 1 / temperature;
    struct products odd = multiply(1, size, size, coupling), even = multiply(0, size, size, coupling);
    struct mode zero = mode_at(0, size, coupling);
    double x = size * zero.gamma / 2;
    /* Z4 = 2 sinh(x) * rest = (e^x - e^-x) * rest: two terms whose signs are known, scaled like the others */
    double log_plus = even.log_sinh + x, log_minus = even.log_sinh - x;
    double top = fmax(fmax(odd.log_cosh, odd.log_sinh), fmax(even.log_cosh, fmax(log_plus, log_minus)));
    double w1 = exp(odd.log_cosh - top), w2 = exp(odd.log_sinh - top), w3 = exp(even.log_cosh - top);
    double rest = exp(even.log_sinh - top + fabs(x));           /* 2 sinh x = e^|x| * (...) */
    double w4 = (x < 0 ? -1 : 1) * rest * -expm1(-2 * fabs(x)); /* Z4 */
    double w4_mode = rest * (1 + exp(-2 * fabs(x)));            /* 2 cosh x * rest */
    double slope = w1 * odd.slope_cosh + w2 * odd.slope_sinh + w3 * even.slope_cosh + w4 * even.slope_sinh +
                   w4_mode * size * zero.slope / 2;
    double sites = (double)size * size;
    return -1 / tanh(2 * coupling) - slope / (w1 + w2 + w3 + w4) / sites;
}

double exact_kaufman_heat(int size, double temperature)
{
    /* features are as narrow as 1 / size */
    return derivative(exact_kaufman_energy, size, temperature, 0.02 * temperature / size);
}
