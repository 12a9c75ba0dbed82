/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/base.h"
#include "topology/model.h"

#include <errno.h>
#include <hwloc.h>
#include <stdlib.h>
#include <string.h>

#if HWLOC_API_VERSION < 0x00020000
#error "muster needs hwloc 2"
#endif

/* Speed: objects we do not draw, distances and kinds of cores are not looked for. Correctness: hwloc must not move this
 * thread over the cores to read their CPUID; other threads may be running and the kernel's files say what we need. */
static unsigned long load_flags(void)
{
    unsigned long flags = 0;
#if HWLOC_API_VERSION >= 0x00020500
    flags |= HWLOC_TOPOLOGY_FLAG_DONT_CHANGE_BINDING;
#endif
#if HWLOC_API_VERSION >= 0x00020800
    flags |= HWLOC_TOPOLOGY_FLAG_NO_DISTANCES | HWLOC_TOPOLOGY_FLAG_NO_CPUKINDS;
#endif
    return flags;
}

static int configure(hwloc_topology_t hw)
{
    const hwloc_obj_type_t whole[] = {HWLOC_OBJ_PACKAGE, HWLOC_OBJ_L3CACHE, HWLOC_OBJ_CORE};
    int failed = hwloc_topology_set_flags(hw, load_flags());

    failed |= hwloc_topology_set_all_types_filter(hw, HWLOC_TYPE_FILTER_KEEP_NONE);
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        failed |= hwloc_topology_set_type_filter(hw, whole[i], HWLOC_TYPE_FILTER_KEEP_ALL);
    /* NUMA nodes smaller than a package hang below groups; without groups hwloc would hang them, and all their
     * locality, below the package */
    failed |= hwloc_topology_set_type_filter(hw, HWLOC_OBJ_GROUP, HWLOC_TYPE_FILTER_KEEP_STRUCTURE);
    return failed;
}

/* Memory that a program gets only by asking for it, or that is slow. */
static bool is_special_memory(const struct hwloc_obj *node)
{
    static const char *const special[] = {"HBM", "MCDRAM", "NVM", "SPM", "GPUMemory", "CXL-DRAM", "CXL-NVM"};

    if (node->attr->numanode.local_memory == 0)
        return true;
    for (size_t i = 0; node->subtype && i < sizeof special / sizeof *special; i++) {
        if (strcmp(node->subtype, special[i]) == 0)
            return true;
    }
    return false;
}

/* The node where a core's ordinary memory is: DRAM before others, then the most local, then the lowest number (Linux
 * numbers DRAM before high-bandwidth memory). NULL if no node claims the core. */
static hwloc_obj_t home_node(hwloc_topology_t hw, hwloc_obj_t core)
{
    hwloc_obj_t best = NULL, node = NULL;
    int best_rank = 0, best_weight = 0;

    while ((node = hwloc_get_next_obj_by_type(hw, HWLOC_OBJ_NUMANODE, node))) {
        if (!hwloc_bitmap_isincluded(core->cpuset, node->cpuset))
            continue;
        int rank = is_special_memory(node), weight = hwloc_bitmap_weight(node->cpuset);
        bool better = !best || rank < best_rank || (rank == best_rank && weight < best_weight) ||
                      (rank == best_rank && weight == best_weight && node->os_index < best->os_index);
        if (better) {
            best = node;
            best_rank = rank;
            best_weight = weight;
        }
    }
    return best;
}

/* hwloc objects of the core added last: a change of one of them starts a new group of its level and of those below. */
struct path {
    hwloc_obj_t package, node, l3, core;
};

static struct path path_to(hwloc_topology_t hw, hwloc_obj_t pu)
{
    hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(hw, HWLOC_OBJ_CORE, pu);
    return (struct path){
        .package = hwloc_get_ancestor_obj_by_type(hw, HWLOC_OBJ_PACKAGE, pu),
        .node = home_node(hw, core ? core : pu),
        .l3 = hwloc_get_ancestor_obj_by_type(hw, HWLOC_OBJ_L3CACHE, pu),
        .core = core ? core : pu,
    };
}

static void add_core(struct muster__topology *t, const struct path *last, const struct path *p)
{
    struct muster__topology_core *c = &t->core[t->cores];
    const struct muster__seat *s = t->cores ? &c[-1].seat : NULL;
    bool package = s && p->package != last->package;
    bool node = package || (s && p->node != last->node);
    bool l3 = node || (s && p->l3 != last->l3);

    memset(c, 0, sizeof *c);
    c->seat.package = (int16_t)(s ? s->package + package : 0);
    c->seat.numa = (int16_t)(s ? s->numa + node : 0);
    c->seat.l3 = (int16_t)(s ? s->l3 + l3 : 0);
    c->seat.core = (int16_t)t->cores;
    c->seat.os_numa = p->node ? (int32_t)p->node->os_index : -1;
    c->numa_bytes = p->node ? (int64_t)p->node->attr->numanode.local_memory : 0;
    c->l3_bytes = p->l3 ? (int64_t)p->l3->attr->cache.size : -1;
    t->cores++;
}

/* Walks PUs rather than cores, since not every machine shows core objects. Returns how many PUs have numbers too high
 * for a cpuset. */
static int add_cores(struct muster__topology *t, hwloc_topology_t hw)
{
    struct path last = {0};
    hwloc_obj_t pu = NULL;
    int beyond = 0;

    while ((pu = hwloc_get_next_obj_by_type(hw, HWLOC_OBJ_PU, pu))) {
        if (pu->os_index >= MUSTER__PU_MAX) {
            beyond++;
            continue;
        }
        struct path p = path_to(hw, pu);
        if (p.core != last.core)
            add_core(t, &last, &p);
        muster__cpuset_add(&t->core[t->cores - 1].seat.cpus, (int)pu->os_index);
        last = p;
    }
    return beyond;
}

static void add_other_memory(struct muster__topology *t, hwloc_topology_t hw)
{
    hwloc_obj_t node = NULL;

    while ((node = hwloc_get_next_obj_by_type(hw, HWLOC_OBJ_NUMANODE, node))) {
        bool home = false;
        for (int i = 0; i < t->cores && !home; i++)
            home = t->core[i].seat.os_numa == (int32_t)node->os_index;
        if (!home && node->attr->numanode.local_memory) {
            t->other_nodes++;
            t->other_bytes += (int64_t)node->attr->numanode.local_memory;
        }
    }
}

static muster_err extract(hwloc_topology_t hw, struct muster__topology **topology)
{
    int pus = hwloc_get_nbobjs_by_type(hw, HWLOC_OBJ_PU);
    int most = pus < MUSTER__PU_MAX ? pus : MUSTER__PU_MAX;
    struct muster__topology *t = calloc(1, sizeof *t + (size_t)most * sizeof t->core[0]);

    if (!t)
        return muster__fail(MUSTER_ERR_NOMEM, "no memory for a topology of %d processing unit%s", pus, muster__s(pus));
    int beyond = add_cores(t, hw);
    if (!t->cores) {
        free(t);
        return muster__fail(MUSTER_ERR_UNSUPPORTED, "all %d allowed processing units have numbers above %d", pus,
                            MUSTER__PU_MAX - 1);
    }
    if (beyond)
        muster__log(MUSTER__WARN, "topology: %d of %d processing unit%s stay unused: numbers above %d", beyond, pus,
                    muster__s(pus), MUSTER__PU_MAX - 1);
    add_other_memory(t, hw);
    t->this_machine = hwloc_topology_is_thissystem(hw) != 0;
    *topology = t;
    return MUSTER_OK;
}

muster_err muster__topology_load(struct muster__topology **topology)
{
    hwloc_topology_t hw;
    muster_err err;

    if (hwloc_topology_init(&hw) != 0)
        return muster__fail(MUSTER_ERR_SYSTEM, "hwloc_topology_init: %s", strerror(errno));
    if (configure(hw) != 0 || hwloc_topology_load(hw) != 0)
        err = muster__fail(MUSTER_ERR_SYSTEM, "hwloc_topology_load: %s", strerror(errno));
    else
        err = extract(hw, topology);
    hwloc_topology_destroy(hw);
    return err;
}
