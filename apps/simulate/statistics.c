/* SPDX-License-Identifier: BSD-3-Clause */
#include "simulate/statistics.h"

#include <math.h>

#define LEVELS        4 /* bin lengths 1, 2, 4, 8 */
#define BIN_TAUS_GOOD 10

/* Moments a site, averaged: <e>, <e^2>, <|m|>, <m^2>, <m^4>. */
struct moments {
    double e, e2, m, m2, m4;
};

struct sample_space {
    const struct chain_result *const *replicas;
    int replica_count;
    double sites, temperature;
    double a_bin; /* measurements in one of the CHAIN_BINS bins */
};

const char *quantity_name(enum quantity q)
{
    static const char *const names[QUANTITIES] = {"e", "m", "c", "chi", "binder"};
    return names[q];
}

/* Mean over `length` consecutive bins of one replica. */
static struct moments bin_mean(const struct sample_space *s, int replica, int bin, int length)
{
    struct moments sum = {0};
    const struct chain_bin *b = &s->replicas[replica]->bins[bin * length];
    for (int i = 0; i < length; i++) {
        sum.e += (double)b[i].energy;
        sum.e2 += (double)b[i].energy2;
        sum.m += (double)b[i].magnetization;
        sum.m2 += (double)b[i].magnetization2;
        sum.m4 += b[i].magnetization4;
    }
    double count = s->a_bin * length, n = s->sites;
    return (struct moments){sum.e / (n * count), sum.e2 / (n * n * count), sum.m / (n * count),
                            sum.m2 / (n * n * count), sum.m4 / count};
}

static double evaluate(const struct sample_space *s, enum quantity q, const struct moments *x)
{
    switch (q) {
    case ENERGY:
        return x->e;
    case MAGNETIZATION:
        return x->m;
    case HEAT:
        return s->sites * (x->e2 - x->e * x->e) / (s->temperature * s->temperature);
    case SUSCEPTIBILITY:
        return s->sites * (x->m2 - x->m * x->m) / s->temperature;
    default:
        return 1 - x->m4 / (3 * x->m2 * x->m2);
    }
}

static struct moments add(struct moments a, struct moments b, double factor)
{
    return (struct moments){a.e + factor * b.e, a.e2 + factor * b.e2, a.m + factor * b.m, a.m2 + factor * b.m2,
                            a.m4 + factor * b.m4};
}

/* The mean of n samples without one of them. */
static struct moments without(struct moments mean, struct moments one, double n)
{
    struct moments difference = add(one, mean, -1);
    return add(mean, difference, -1 / (n - 1));
}

/* Jackknife over the pooled bins of one length: bias-corrected values and errors. */
static void jackknife(const struct sample_space *s, int length, struct estimate out[QUANTITIES])
{
    int bins = CHAIN_BINS / length;
    double n = (double)bins * s->replica_count;
    struct moments mean = {0};
    for (int r = 0; r < s->replica_count; r++)
        for (int b = 0; b < bins; b++)
            mean = add(mean, bin_mean(s, r, b, length), 1 / n);
    /* deviations from the full value, lest squares of nearly equal numbers cancel */
    double full[QUANTITIES], sum[QUANTITIES] = {0}, squares[QUANTITIES] = {0};
    for (int q = 0; q < QUANTITIES; q++)
        full[q] = evaluate(s, (enum quantity)q, &mean);
    for (int r = 0; r < s->replica_count; r++)
        for (int b = 0; b < bins; b++) {
            struct moments rest = without(mean, bin_mean(s, r, b, length), n);
            for (int q = 0; q < QUANTITIES; q++) {
                double d = evaluate(s, (enum quantity)q, &rest) - full[q];
                sum[q] += d;
                squares[q] += d * d;
            }
        }
    for (int q = 0; q < QUANTITIES; q++) {
        double spread = squares[q] - sum[q] * sum[q] / n;
        out[q].value = full[q] - (n - 1) * sum[q] / n;
        out[q].error = sqrt(fmax(0, spread) * (n - 1) / n);
    }
}

/* Squared error of binning over that of independent samples is twice the autocorrelation time. */
static double autocorrelation(double error, double variance, double samples, double spacing)
{
    if (variance <= 0)
        return spacing / 2;
    return spacing * fmax(0.5, 0.5 * error * error * samples / variance);
}

static struct point empty_point(const struct chain_task *task)
{
    struct point p = {.size = task->size, .temperature = task->temperature};
    for (int q = 0; q < QUANTITIES; q++)
        p.quantity[q] = (struct estimate){NAN, NAN};
    p.energy_tau = p.magnetization_tau = NAN;
    return p;
}

struct point point_estimate(const struct chain_task *task, const struct chain_result *const *replicas, int n)
{
    struct point p = empty_point(task);
    if (n <= 0)
        return p;
    struct sample_space s = {replicas, n, (double)task->size * task->size, task->temperature,
                             (double)(task->measurements / CHAIN_BINS)};
    p.replicas = n;
    p.samples = task->measurements * n;
    for (int level = 0; level < LEVELS; level++) {
        int length = 1 << level;
        if (CHAIN_BINS / length * n < STATISTICS_BINS_MIN)
            break;
        struct estimate e[QUANTITIES];
        jackknife(&s, length, e);
        for (int q = 0; q < QUANTITIES; q++) {
            p.quantity[q].value = e[q].value;
            p.quantity[q].error = level ? fmax(p.quantity[q].error, e[q].error) : e[q].error;
        }
        p.bin_sweeps = s.a_bin * length * (double)task->sweeps_between;
    }
    double t = s.temperature, spacing = (double)task->sweeps_between;
    const struct estimate *q = p.quantity;
    p.energy_tau = autocorrelation(q[ENERGY].error, q[HEAT].value * t * t / s.sites, (double)p.samples, spacing);
    p.magnetization_tau =
        autocorrelation(q[MAGNETIZATION].error, q[SUSCEPTIBILITY].value * t / s.sites, (double)p.samples, spacing);
    return p;
}

bool point_is_short(const struct point *p)
{
    return p->replicas > 0 && p->bin_sweeps < BIN_TAUS_GOOD * p->magnetization_tau;
}
