/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The flat block behind struct muster__topology; private to this folder.
 *
 * Invariants: cores >= 1; core[] is in hwloc's order, so the cores of a package, NUMA node or L3 group are neighbours
 * and the level numbers never decrease; each core has at least one PU and no PU is in two cores.
 */
#ifndef MUSTER__TOPOLOGY_MODEL_H
#define MUSTER__TOPOLOGY_MODEL_H

#include "topology/topology.h"

struct muster__topology_core {
    struct muster__seat seat;
    int64_t numa_bytes; /* memory of the node at home here */
    int64_t l3_bytes;   /* 0: size not told; -1: no L3, the group is what the node has without one */
};

struct muster__topology {
    int64_t other_bytes; /* memory of the other nodes */
    int32_t other_nodes; /* NUMA nodes that are nobody's home: high-bandwidth, far or accelerator memory */
    int32_t cores;
    bool this_machine;
    struct muster__topology_core core[];
};

/* levels of the tree, from the root */
enum muster__tier { MUSTER__HOST, MUSTER__PACKAGE, MUSTER__NODE, MUSTER__L3, MUSTER__CORE };

/** Whether two seats have the same number at the tier, and so, by nesting, at all above. */
static inline bool muster__tier_shared(const struct muster__seat *a, const struct muster__seat *b,
                                       enum muster__tier tier)
{
    switch (tier) {
    case MUSTER__HOST:
        return true;
    case MUSTER__PACKAGE:
        return a->package == b->package;
    case MUSTER__NODE:
        return a->numa == b->numa;
    case MUSTER__L3:
        return a->l3 == b->l3;
    default:
        return a->core == b->core;
    }
}

#endif
