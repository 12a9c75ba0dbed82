/* SPDX-License-Identifier: BSD-3-Clause */
#include "simulate/check.h"

#include <math.h>
#include <stdlib.h>

#include "simulate/exact.h"

#define WALL_COST_MIN   12.0
#define EXCITATIONS_MIN 100.0
#define FLIP_ENERGY     8.0 /* of one spin turned in the ground state */

static const char *const source_names[] = {"Kaufman", "Onsager", "Yang"};

double check_exact(enum check_source source, const struct point *p)
{
    switch (source) {
    case KAUFMAN:
        return exact_kaufman_energy(p->size, p->temperature);
    case ONSAGER:
        return exact_onsager_energy(p->temperature);
    default:
        return exact_yang_magnetization(p->temperature);
    }
}

static void compare(struct check *check, const struct point *points, int i, enum check_source source)
{
    const struct point *p = &points[i];
    struct estimate measured = p->quantity[source == YANG ? MAGNETIZATION : ENERGY];
    double exact = check_exact(source, p);
    if (source == ONSAGER && fabs(exact - check_exact(KAUFMAN, p)) > 0.1 * measured.error)
        return;
    if (source == YANG && p->size * exact_wall_cost(p->temperature) < WALL_COST_MIN)
        return;
    double z = measured.error > 0 ? (measured.value - exact) / measured.error : INFINITY;
    check->comparisons[check->count++] = (struct comparison){i, source, measured, exact, z};
    check->failed += !(fabs(z) <= CHECK_LIMIT);
}

static int by_deviation(const void *a, const void *b)
{
    const struct comparison *x = a, *y = b;
    double difference = fabs(y->z) - fabs(x->z);
    if (difference != 0)
        return difference > 0 ? 1 : -1;
    return x->point != y->point ? x->point - y->point : (int)x->source - (int)y->source;
}

int check_points(const struct point *points, int n, struct check *check)
{
    *check = (struct check){.comparisons = calloc((size_t)(n > 0 ? n : 1) * 3, sizeof *check->comparisons)};
    if (!check->comparisons)
        return -1;
    for (int i = 0; i < n; i++) {
        const struct point *p = &points[i];
        if (p->replicas == 0)
            continue;
        double excess = (check_exact(KAUFMAN, p) + 2) * p->size * p->size;
        if (excess / FLIP_ENERGY * (double)p->samples < EXCITATIONS_MIN) {
            check->too_few++;
            continue;
        }
        for (int source = KAUFMAN; source <= YANG; source++)
            compare(check, points, i, (enum check_source)source);
    }
    qsort(check->comparisons, (size_t)check->count, sizeof *check->comparisons, by_deviation);
    return 0;
}

void check_destroy(struct check *check)
{
    free(check->comparisons);
    check->comparisons = NULL;
}

void check_print(FILE *stream, const struct check *check, const struct point *points, int rows)
{
    if (check->count == 0) {
        fprintf(stream, "check: nothing to compare with exact values\n");
        return;
    }
    fprintf(stream, "check: comparisons with exact values: %d, beyond %.0f standard errors: %d; largest deviations:\n",
            check->count, CHECK_LIMIT, check->failed);
    fprintf(stream, "     L        T  quantity     measured        error        exact       z\n");
    for (int i = 0; i < check->count && (i < rows || i < check->failed); i++) {
        const struct comparison *c = &check->comparisons[i];
        char name[16];
        snprintf(name, sizeof name, "%s %s", c->source == YANG ? "m" : "e", source_names[c->source]);
        fprintf(stream, "  %4d %8.6g  %-9s %12.7f %12.7f %12.7f %+7.2f%s\n", points[c->point].size,
                points[c->point].temperature, name, c->measured.value, c->measured.error, c->exact, c->z,
                i < check->failed ? "  <-- deviates" : "");
    }
    if (check->too_few > 0)
        fprintf(stream, "check: left out, too cold for their size and length to compare: %d\n", check->too_few);
}
