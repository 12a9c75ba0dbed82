/* SPDX-License-Identifier: BSD-3-Clause */
#include "topology/topology.h"

#include <string.h>

int muster__cpuset_count(const struct muster__cpuset *set)
{
    int count = 0;
    for (int w = 0; w < MUSTER__PU_WORDS; w++)
        count += __builtin_popcountll(set->bits[w]);
    return count;
}

bool muster__cpuset_equal(const struct muster__cpuset *a, const struct muster__cpuset *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

void muster__cpuset_join(struct muster__cpuset *set, const struct muster__cpuset *more)
{
    for (int w = 0; w < MUSTER__PU_WORDS; w++)
        set->bits[w] |= more->bits[w];
}

bool muster__cpuset_meet(struct muster__cpuset *set, const struct muster__cpuset *other)
{
    uint64_t any = 0;
    for (int w = 0; w < MUSTER__PU_WORDS; w++)
        any |= set->bits[w] &= other->bits[w];
    return any != 0;
}

/* first PU at or after from that is (or is not) in the set; MUSTER__PU_MAX when there is none */
static int next_pu(const struct muster__cpuset *set, int from, bool in)
{
    while (from < MUSTER__PU_MAX && muster__cpuset_has(set, from) != in)
        from++;
    return from;
}

char *muster__cpuset_format(const struct muster__cpuset *set, char *text, size_t size)
{
    char all[4096] = ""; /* longest where every third PU is missing: 2.7 kB */
    size_t length = 0;

    for (int first = next_pu(set, 0, true), end; first < MUSTER__PU_MAX; first = next_pu(set, end, true)) {
        end = next_pu(set, first, false);
        length += (size_t)snprintf(all + length, sizeof all - length, "%s%d", length ? "," : "", first);
        if (end - first > 1)
            length += (size_t)snprintf(all + length, sizeof all - length, "-%d", end - 1);
    }
    if (length >= size && size) {
        size_t cut = size > strlen("...") ? size - strlen("...") - 1 : 0;
        while (cut > 0 && all[cut - 1] != ',')
            cut--;
        strcpy(all + cut, "...");
    }
    snprintf(text, size, "%s", all);
    return text;
}
