/* SPDX-License-Identifier: BSD-3-Clause */
#include "scaling/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool same_values(const struct plan *plan, const struct point *a, const struct point *b)
{
    return memcmp(a->values, b->values, (size_t)plan->options->n_parameters * sizeof *a->values) == 0;
}

bool plan_make(struct plan *plan, const struct options *o)
{
    int n = o->n_ranks;
    for (int i = 0; i < o->n_parameters; i++)
        n *= o->parameters[i].n;
    *plan = (struct plan){.options = o, .n_points = n, .n_order = n * o->repetitions};
    plan->points = calloc((size_t)n, sizeof *plan->points);
    plan->order = calloc((size_t)plan->n_order, sizeof *plan->order);
    if (!plan->points || !plan->order)
        return false;
    for (int i = 0; i < n; i++) {
        struct point *p = &plan->points[i];
        int rest = i / o->n_ranks;
        p->ranks = o->ranks[i % o->n_ranks];
        p->waited = -1;
        for (int k = 0; k < o->n_parameters; rest /= o->parameters[k++].n)
            p->values[k] = rest % o->parameters[k].n;
        p->times = calloc((size_t)o->repetitions, sizeof *p->times);
        if (!p->times)
            return false;
    }
    unsigned short state[3] = {(unsigned short)o->seed, (unsigned short)(o->seed >> 16),
                               (unsigned short)(o->seed >> 32)};
    for (int i = 0; i < plan->n_order; i++) { /* what drifts meanwhile falls on all alike */
        int j = (int)(erand48(state) * (i + 1));
        plan->order[i] = plan->order[j];
        plan->order[j] = i % n;
    }
    return true;
}

void plan_free(struct plan *plan)
{
    for (int i = 0; plan->points && i < plan->n_points; i++)
        free(plan->points[i].times);
    free(plan->points);
    free(plan->order);
}

/* What stands for {name}; NULL: nothing does. */
static const char *value_of(const struct plan *plan, const struct point *point, const char *name, size_t n,
                            char number[16])
{
    if ((n == 2 && strncmp(name, "np", n) == 0) || (n == 1 && *name == 'n')) {
        snprintf(number, 16, "%d", point->ranks);
        for (int k = 0; k < plan->options->n_parameters; k++)
            if (n == 1 && strcmp(plan->options->parameters[k].name, "n") == 0)
                return plan->options->parameters[k].values[point->values[k]];
        return number;
    }
    for (int k = 0; k < plan->options->n_parameters; k++)
        if (strlen(plan->options->parameters[k].name) == n && strncmp(plan->options->parameters[k].name, name, n) == 0)
            return plan->options->parameters[k].values[point->values[k]];
    return NULL;
}

char *plan_fill(const struct plan *plan, const struct point *point, const char *word)
{
    char *text = NULL, number[16];
    size_t size;
    FILE *out = open_memstream(&text, &size);
    while (out && *word) {
        const char *end = *word == '{' ? strchr(word, '}') : NULL;
        const char *value = end ? value_of(plan, point, word + 1, (size_t)(end - word - 1), number) : NULL;
        if (value) {
            fputs(value, out);
            word = end + 1;
        } else {
            fputc(*word++, out);
        }
    }
    return out && fclose(out) == 0 ? text : NULL;
}

const char *plan_values(const struct plan *plan, const struct point *point, char *text, int size)
{
    int n = 0;
    text[0] = '\0';
    for (int k = 0; k < plan->options->n_parameters && n < size; k++) {
        const struct parameter *p = &plan->options->parameters[k];
        n += snprintf(text + n, (size_t)(size - n), "%s%s=%s", k ? " " : "", p->name, p->values[point->values[k]]);
    }
    return text;
}

void plan_evaluate(struct plan *plan)
{
    for (int i = 0; i < plan->n_points; i++)
        plan->points[i].summary = fit_summary(plan->points[i].times, plan->points[i].n_times);
    for (int i = 0; i < plan->n_points; i++) {
        struct point *p = &plan->points[i];
        const struct point *least = NULL;
        for (int j = 0; j < plan->n_points; j++) {
            const struct point *q = &plan->points[j];
            if (same_values(plan, p, q) && q->n_times && (!least || q->ranks < least->ranks))
                least = q;
        }
        if (!least || !p->n_times || p->summary.median <= 0)
            continue;
        double ratio = least->summary.median / p->summary.median, more = (double)p->ranks / least->ranks;
        p->efficiency = plan->options->weak ? ratio : ratio / more;
        p->speed_up = plan->options->weak ? ratio * more : ratio; /* of the work done a second */
    }
}
