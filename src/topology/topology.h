/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Topology layer: which cores this host gives the job, where workers should sit, and binding them there.
 *
 * hwloc is asked once, in muster__topology_load; what it says is copied into one flat block without pointers, so that
 * one rank of a host can load and the others read its copy in the segment. Everything else here is arithmetic on
 * plain data.
 *
 * The machine is a tree of four levels: package > NUMA node > L3 group > core. Levels are strictly nested: an L3 that
 * spans two NUMA nodes counts as two groups, a node that spans two packages as two nodes. Where there is no L3, the
 * NUMA node is the group; where there are no package objects, the host is the package; where there are no core
 * objects, each processing unit (PU) is a core. Numbers of packages, nodes, groups and cores count from 0 over the
 * cores that hwloc found allowed and stay the same after muster__topology_restrict.
 *
 * Threads: any, except that a topology must not be restricted while another thread reads it. Nothing here blocks.
 */
#ifndef MUSTER__TOPOLOGY_LAYER_H
#define MUSTER__TOPOLOGY_LAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <muster/error.h>
#include <muster/topology.h>

#define MUSTER__PU_WORDS 16 /* 1024 processing units a host; PUs numbered beyond are left unused */
#define MUSTER__PU_MAX   (MUSTER__PU_WORDS * 64)

/* ---- sets of processing units, by the numbers the operating system gives them ---- */

struct muster__cpuset {
    uint64_t bits[MUSTER__PU_WORDS];
};

static inline void muster__cpuset_add(struct muster__cpuset *set, int pu)
{
    set->bits[pu / 64] |= UINT64_C(1) << pu % 64;
}

static inline bool muster__cpuset_has(const struct muster__cpuset *set, int pu)
{
    return pu >= 0 && pu < MUSTER__PU_MAX && (set->bits[pu / 64] >> pu % 64 & 1);
}

/** How many PUs are in the set. */
int muster__cpuset_count(const struct muster__cpuset *set);
bool muster__cpuset_equal(const struct muster__cpuset *a, const struct muster__cpuset *b);
/** set becomes the union of both; for gathering what the ranks of a host are bound to. */
void muster__cpuset_join(struct muster__cpuset *set, const struct muster__cpuset *more);
/** set becomes what both have; returns whether anything is left. */
bool muster__cpuset_meet(struct muster__cpuset *set, const struct muster__cpuset *other);

/**
 * Writes the set in hwloc's list format, "0-3,8", "" when empty. Always terminated; what does not fit is left out at a
 * comma and shown as "...". Returns text, for use in an argument list.
 */
char *muster__cpuset_format(const struct muster__cpuset *set, char *text, size_t size);

/** What the calling thread is bound to now. SYSTEM: the kernel refused, or allows only PUs beyond MUSTER__PU_MAX. */
muster_err muster__cpuset_current(struct muster__cpuset *now);

/**
 * Binds the calling thread, and thereby what it will create, and reads the binding back into got (may be NULL). All or
 * nothing: where the kernel grants only a part (cgroup, PUs offline), the binding found stays in force.
 * INVAL: want is empty. SYSTEM: refused, or granted in part.
 */
muster_err muster__cpuset_bind(const struct muster__cpuset *want, struct muster__cpuset *got);

/* ---- the host ---- */

struct muster__topology;

/**
 * Asks hwloc for the cores that this host's cgroup allows, and gives the result (free with muster__topology_free).
 * The caller's own binding plays no part: see muster__topology_restrict. HWLOC_SYNTHETIC and HWLOC_XMLFILE put another
 * machine in place of this one. NOMEM; SYSTEM: hwloc failed; UNSUPPORTED: every allowed PU lies beyond MUSTER__PU_MAX.
 */
muster_err muster__topology_load(struct muster__topology **topology);
/** NULL is accepted. */
void muster__topology_free(struct muster__topology *topology);

/** Size of the block: that many bytes, copied to memory aligned to 8, are a topology too (not to be freed). */
size_t muster__topology_bytes(const struct muster__topology *topology);

/**
 * Keeps only the PUs in allowed: the union of what the launcher has bound this host's ranks to. Cores left without PUs
 * go. Only sensible where muster__topology_is_this_machine. INVAL: nothing would be left; nothing is changed then.
 */
muster_err muster__topology_restrict(struct muster__topology *topology, const struct muster__cpuset *allowed);

/** False where HWLOC_SYNTHETIC or HWLOC_XMLFILE described another machine: do not bind, do not restrict. */
bool muster__topology_is_this_machine(const struct muster__topology *topology);
/** Allowed cores, at least 1. */
int muster__topology_cores(const struct muster__topology *topology);
/** Allowed cores of which at least one PU is in cpus. */
int muster__topology_cores_in(const struct muster__topology *topology, const struct muster__cpuset *cpus);
/** One more than the highest number of a NUMA node with allowed cores. */
int muster__topology_nodes(const struct muster__topology *topology);
/** All allowed PUs. */
struct muster__cpuset muster__topology_pus(const struct muster__topology *topology);

/* ---- seats: where exclusive workers go ---- */

/** A place for one exclusive worker: a core with all its allowed PUs, or a larger group by policy. Plain data. */
struct muster__seat {
    struct muster__cpuset cpus;
    int16_t package, numa, l3, core; /* level numbers; -1 where the seat spans several */
    int32_t os_numa; /* the operating system's number of the NUMA node with the core's DRAM; -1: several */
};

/**
 * Writes seats in the order in which the policy fills them, at most max, and returns how many (at least 1 if max is).
 * COMPACT and DEFAULT: cores in the machine's order, so neighbours first. SPREAD: each further core in the package
 * used least so far, therein in the NUMA node used least, therein the L3 group used least. PER_NUMA, PER_L3: one seat a
 * group. NONE: one seat with all PUs.
 */
int muster__topology_seats(const struct muster__topology *topology, muster_placement policy, struct muster__seat *seats,
                           int max);

/**
 * The seat for the next worker: among the least loaded the nearest to seats[nearby] (nearby < 0: no preference), among
 * those the first. load[i] counts the exclusive workers on seat i (NULL: all 0). So a seat gets a second worker only
 * when none is free. Returns -1 when n < 1.
 */
int muster__seat_choose(const struct muster__seat *seats, int n, const int *load, int nearby);

/**
 * 0 same core, 1 same L3 group, 2 same NUMA node, 3 same package, 4 other package. Where a seat spans several of a
 * level that level does not tell them apart.
 */
int muster__seat_distance(const struct muster__seat *a, const struct muster__seat *b);

/* ---- picture ---- */

/** Who sits somewhere: a rank or a child. */
struct muster__sitter {
    char label[24];             /* such as "rank 3"; the numbers of equal words are drawn together: "rank 0-3" */
    struct muster__cpuset cpus; /* what it is bound to */
    bool exclusive;             /* means to have its cores for itself */
};

/**
 * Draws the host as text, in lines of less than 100 ASCII characters: packages, NUMA nodes with memory, L3 groups,
 * cores with their PUs, and each sitter at the smallest of these that holds its whole set. Runs of free cores, and of
 * four or more cores with consecutively numbered sitters, take one line. NOMEM; SYSTEM: writing failed.
 */
muster_err muster__topology_picture(const struct muster__topology *topology, const char *host,
                                    const struct muster__sitter *sitters, int n, FILE *stream);

/** How many cores this process may keep busy, by what it is bound to and what its control groups allow it; 0: that
 * cannot be told. */
int muster__cores_allowed(void);

#endif
