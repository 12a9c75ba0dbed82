/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/base.h"
#include "topology/model.h"

#include <stdlib.h>

void muster__topology_free(struct muster__topology *t)
{
    free(t);
}

size_t muster__topology_bytes(const struct muster__topology *t)
{
    return sizeof *t + (size_t)t->cores * sizeof t->core[0];
}

bool muster__topology_is_this_machine(const struct muster__topology *t)
{
    return t->this_machine;
}

int muster__topology_cores(const struct muster__topology *t)
{
    return t->cores;
}

int muster__topology_cores_in(const struct muster__topology *t, const struct muster__cpuset *cpus)
{
    int count = 0;
    for (int i = 0; i < t->cores; i++) {
        struct muster__cpuset both = t->core[i].seat.cpus;
        count += muster__cpuset_meet(&both, cpus);
    }
    return count;
}

int muster__topology_nodes(const struct muster__topology *t)
{
    return t->core[t->cores - 1].seat.numa + 1;
}

struct muster__cpuset muster__topology_pus(const struct muster__topology *t)
{
    struct muster__cpuset all = t->core[0].seat.cpus;
    for (int i = 1; i < t->cores; i++)
        muster__cpuset_join(&all, &t->core[i].seat.cpus);
    return all;
}

muster_err muster__topology_restrict(struct muster__topology *t, const struct muster__cpuset *allowed)
{
    struct muster__cpuset left = muster__topology_pus(t);
    char have[128], may[128];
    int kept = 0;

    if (!muster__cpuset_meet(&left, allowed)) {
        left = muster__topology_pus(t);
        return muster__fail(MUSTER_ERR_INVAL, "host has processing units %s, the ranks are bound to %s",
                            muster__cpuset_format(&left, have, sizeof have),
                            muster__cpuset_format(allowed, may, sizeof may));
    }
    for (int i = 0; i < t->cores; i++) {
        t->core[kept] = t->core[i];
        kept += muster__cpuset_meet(&t->core[kept].seat.cpus, &left);
    }
    t->cores = kept;
    return MUSTER_OK;
}
