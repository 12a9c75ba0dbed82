/* SPDX-License-Identifier: BSD-3-Clause */
#include "simulate/results.h"

#include <math.h>

#include "simulate/exact.h"

void results_write_csv(FILE *stream, const struct point *points, int n)
{
    fprintf(stream, "L,T,replicas");
    for (int q = 0; q < QUANTITIES; q++)
        fprintf(stream, ",%s,%s_error", quantity_name((enum quantity)q), quantity_name((enum quantity)q));
    fprintf(stream, ",e_kaufman,c_kaufman,e_onsager,m_yang,e_tau,m_tau,bin_sweeps\n");
    for (int i = 0; i < n; i++) {
        const struct point *p = &points[i];
        if (p->replicas == 0)
            continue;
        fprintf(stream, "%d,%.10g,%d", p->size, p->temperature, p->replicas);
        for (int q = 0; q < QUANTITIES; q++)
            fprintf(stream, ",%.10g,%.4g", p->quantity[q].value, p->quantity[q].error);
        fprintf(stream, ",%.10g,%.8g,%.10g,%.10g,%.4g,%.4g,%.10g\n", exact_kaufman_energy(p->size, p->temperature),
                exact_kaufman_heat(p->size, p->temperature), exact_onsager_energy(p->temperature),
                exact_yang_magnetization(p->temperature), p->energy_tau, p->magnetization_tau, p->bin_sweeps);
    }
}

void results_format(char *text, size_t size, struct estimate e)
{
    if (!(e.error > 0) || !isfinite(e.value) || !isfinite(e.error)) {
        snprintf(text, size, "%.6g", e.value);
        return;
    }
    int decimals = 1 - (int)floor(log10(e.error));
    if (decimals > 0 && round(e.error * pow(10, decimals)) >= 100)
        decimals--;                                    /* 0.00996 is 0.010 */
    double units = round(e.error * pow(10, decimals)); /* of the last digit shown */
    if (decimals <= 0)
        snprintf(text, size, "%.0f(%.0f)", e.value, e.error);
    else if (units >= pow(10, decimals))
        snprintf(text, size, "%.*f(%.*f)", decimals, e.value, decimals, e.error);
    else
        snprintf(text, size, "%.*f(%.0f)", decimals, e.value, units);
}

void results_print(FILE *stream, const struct point *points, int n)
{
    fprintf(stream, "    L       T              e        e exact            |m|              c            chi"
                    "         binder\n");
    for (int i = 0; i < n; i++) {
        const struct point *p = &points[i];
        if (p->replicas == 0)
            continue;
        char text[QUANTITIES][48];
        for (int q = 0; q < QUANTITIES; q++)
            results_format(text[q], sizeof text[q], p->quantity[q]);
        if (i > 0 && p->size != points[i - 1].size)
            fprintf(stream, "\n");
        fprintf(stream, "%5d %7.5g %14s %14.6f %14s %14s %14s %14s\n", p->size, p->temperature, text[ENERGY],
                exact_kaufman_energy(p->size, p->temperature), text[MAGNETIZATION], text[HEAT], text[SUSCEPTIBILITY],
                text[BINDER]);
    }
}
