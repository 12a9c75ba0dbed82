/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/base.h"
#include "topology/model.h"

#include <limits.h>
#include <string.h>

static int seats_compact(const struct muster__topology *t, struct muster__seat *seats, int max)
{
    int n = t->cores < max ? t->cores : max;
    for (int i = 0; i < n; i++)
        seats[i] = t->core[i].seat;
    return n;
}

/* How often each package, node and group has been used; level numbers are below the number of cores. */
struct usage {
    int16_t package[MUSTER__PU_MAX], numa[MUSTER__PU_MAX], l3[MUSTER__PU_MAX];
    bool core[MUSTER__PU_MAX];
};

static bool less_used(const struct usage *used, const struct muster__seat *a, const struct muster__seat *b)
{
    if (a->package != b->package)
        return used->package[a->package] < used->package[b->package];
    if (a->numa != b->numa)
        return used->numa[a->numa] < used->numa[b->numa];
    return used->l3[a->l3] < used->l3[b->l3];
}

static int seats_spread(const struct muster__topology *t, struct muster__seat *seats, int max)
{
    struct usage used;
    int n = 0;

    memset(&used, 0, sizeof used);
    for (; n < t->cores && n < max; n++) {
        int best = -1;
        for (int i = 0; i < t->cores; i++) {
            if (!used.core[i] && (best < 0 || less_used(&used, &t->core[i].seat, &t->core[best].seat)))
                best = i;
        }
        seats[n] = t->core[best].seat;
        used.core[best] = true;
        used.package[seats[n].package]++;
        used.numa[seats[n].numa]++;
        used.l3[seats[n].l3]++;
    }
    return n;
}

/* A level number that the seat's further cores do not share is none. */
static int16_t merged(int16_t have, int16_t more)
{
    return have == more ? have : -1;
}

static void seat_extend(struct muster__seat *seat, const struct muster__seat *core)
{
    muster__cpuset_join(&seat->cpus, &core->cpus);
    seat->package = merged(seat->package, core->package);
    seat->numa = merged(seat->numa, core->numa);
    seat->l3 = merged(seat->l3, core->l3);
    seat->core = merged(seat->core, core->core);
    if (seat->os_numa != core->os_numa)
        seat->os_numa = -1;
}

/* One seat for each group of neighbouring cores that share the tier. */
static int seats_grouped(const struct muster__topology *t, enum muster__tier tier, struct muster__seat *seats, int max)
{
    int n = 0;

    for (int i = 0; i < t->cores; i++) {
        const struct muster__seat *core = &t->core[i].seat;
        if (i > 0 && muster__tier_shared(core, &t->core[i - 1].seat, tier))
            seat_extend(&seats[n - 1], core);
        else if (n < max)
            seats[n++] = *core;
        else
            break;
    }
    return n;
}

int muster__topology_seats(const struct muster__topology *t, muster_placement policy, struct muster__seat *seats,
                           int max)
{
    if (max < 1)
        return 0;
    switch (policy) {
    case MUSTER_PLACE_SPREAD:
        return seats_spread(t, seats, max);
    case MUSTER_PLACE_PER_NUMA:
        return seats_grouped(t, MUSTER__NODE, seats, max);
    case MUSTER_PLACE_PER_L3:
        return seats_grouped(t, MUSTER__L3, seats, max);
    case MUSTER_PLACE_NONE:
        return seats_grouped(t, MUSTER__HOST, seats, max);
    default:
        return seats_compact(t, seats, max);
    }
}

static bool apart(int16_t a, int16_t b)
{
    return a != b && a >= 0 && b >= 0;
}

int muster__seat_distance(const struct muster__seat *a, const struct muster__seat *b)
{
    if (apart(a->package, b->package))
        return 4;
    if (apart(a->numa, b->numa))
        return 3;
    if (apart(a->l3, b->l3))
        return 2;
    return apart(a->core, b->core);
}

int muster__seat_choose(const struct muster__seat *seats, int n, const int *load, int nearby)
{
    int best = -1, best_load = INT_MAX, best_distance = INT_MAX;

    for (int i = 0; i < n; i++) {
        int l = load ? load[i] : 0;
        int d = nearby >= 0 && nearby < n ? muster__seat_distance(&seats[i], &seats[nearby]) : 0;
        if (best < 0 || l < best_load || (l == best_load && d < best_distance)) {
            best = i;
            best_load = l;
            best_distance = d;
        }
    }
    return best;
}
