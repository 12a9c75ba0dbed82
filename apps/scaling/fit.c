/* SPDX-License-Identifier: BSD-3-Clause */
#include "scaling/fit.h"

#include <math.h>
#include <stdlib.h>

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(const double *sorted, int n, double q)
{
    double at = q * (n - 1);
    int below = (int)at;
    return below + 1 < n ? sorted[below] + (at - below) * (sorted[below + 1] - sorted[below]) : sorted[n - 1];
}

/* How many of the smallest to leave out: the true median is below the k-th of n with probability sum C(n, i) / 2^n,
 * i < k, which stays under 2.5 %. */
static int left_out(int n)
{
    double sum = 0, term = pow(0.5, n);
    int k = 0;
    for (; k < n / 2 && sum + term <= 0.025; k++) {
        sum += term;
        term *= (double)(n - k) / (k + 1);
    }
    return k > 0 ? k - 1 : 0;
}

struct summary fit_summary(double *times, int n)
{
    struct summary s = {.n = n};
    if (n == 0)
        return s;
    qsort(times, (size_t)n, sizeof *times, by_size);
    int k = left_out(n);
    s.median = quantile(times, n, 0.5);
    s.low = times[k];
    s.high = times[n - 1 - k];
    s.least = times[0];
    s.most = times[n - 1];
    s.spread = s.median > 0 ? (quantile(times, n, 0.75) - quantile(times, n, 0.25)) / s.median : 0;
    return s;
}

/* y = a u + b v by least squares, with standard errors. */
static bool least_squares(const double *u, const double *v, const double *y, int n, struct fitted *a, struct fitted *b)
{
    double uu = 0, uv = 0, vv = 0, uy = 0, vy = 0, rest = 0;
    for (int i = 0; i < n; i++) {
        uu += u[i] * u[i], uv += u[i] * v[i], vv += v[i] * v[i];
        uy += u[i] * y[i], vy += v[i] * y[i];
    }
    double det = uu * vv - uv * uv;
    if (n < 2 || !(fabs(det) > 1e-12 * uu * vv))
        return false;
    a->value = (uy * vv - vy * uv) / det;
    b->value = (vy * uu - uy * uv) / det;
    a->error = b->error = -1;
    if (n > 2) {
        for (int i = 0; i < n; i++)
            rest += pow(y[i] - a->value * u[i] - b->value * v[i], 2);
        a->error = sqrt(rest / (n - 2) * vv / det);
        b->error = sqrt(rest / (n - 2) * uu / det);
    }
    return true;
}

bool fit_amdahl(const double *ranks, const double *seconds, int n, struct fitted *serial, struct fitted *one)
{
    struct fitted rest, parallel;
    double *u = calloc((size_t)n + 1, sizeof *u), *v = calloc((size_t)n + 1, sizeof *v);
    for (int i = 0; u && v && i < n; i++)
        u[i] = 1, v[i] = 1 / ranks[i];
    bool done = u && v && least_squares(u, v, seconds, n, &rest, &parallel) && rest.value + parallel.value > 0;
    free(u), free(v);
    if (!done)
        return false;
    one->value = rest.value + parallel.value;
    one->error = rest.error < 0 ? -1 : hypot(rest.error, parallel.error);
    serial->value = rest.value / one->value;
    serial->error = rest.error < 0 ? -1 : rest.error / one->value;
    return true;
}

/* p T(p) / T(1) - 1 = contention (p - 1) + coherence p (p - 1), with the T(1) that was measured. */
bool fit_usl(const double *ranks, const double *seconds, int n, struct fitted *contention, struct fitted *coherence)
{
    double one = 0;
    int m = 0;
    double *u = calloc((size_t)n + 1, sizeof *u), *v = calloc((size_t)n + 1, sizeof *v),
           *y = calloc((size_t)n + 1, sizeof *y);
    for (int i = 0; i < n; i++)
        if (ranks[i] == 1)
            one = seconds[i];
    for (int i = 0; u && v && y && one > 0 && i < n; i++) {
        if (ranks[i] == 1)
            continue;
        u[m] = ranks[i] - 1;
        v[m] = ranks[i] * (ranks[i] - 1);
        y[m++] = ranks[i] * seconds[i] / one - 1;
    }
    bool done = m >= 2 && least_squares(u, v, y, m, contention, coherence);
    free(u), free(v), free(y);
    return done;
}

double fit_karp_flatt(double speed_up, double ranks)
{
    return (1 / speed_up - 1 / ranks) / (1 - 1 / ranks);
}
