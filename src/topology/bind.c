/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/base.h"
#include "topology/topology.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

/* The kernel fails a read into less than its own mask, which may be longer than ours: 8192 PUs is the most any Linux
 * configuration has. */
struct kernel_mask {
    cpu_set_t part[8192 / CPU_SETSIZE];
};

_Static_assert(CPU_SETSIZE == MUSTER__PU_MAX, "a cpu_set_t holds what a cpuset holds");

static int kernel_read(struct kernel_mask *mask)
{
    memset(mask, 0, sizeof *mask);
    return sched_getaffinity(0, sizeof *mask, mask->part);
}

static bool from_kernel(const struct kernel_mask *mask, struct muster__cpuset *set)
{
    memset(set, 0, sizeof *set);
    for (int pu = 0; pu < MUSTER__PU_MAX; pu++) {
        if (CPU_ISSET(pu, &mask->part[0]))
            muster__cpuset_add(set, pu);
    }
    return muster__cpuset_count(set) > 0;
}

static muster_err refused(const char *call, const struct muster__cpuset *want)
{
    int error = errno;
    char text[128] = "";
    if (want)
        muster__cpuset_format(want, text, sizeof text);
    return muster__fail(MUSTER_ERR_SYSTEM, "%s(%s): %s", call, text, strerror(error));
}

muster_err muster__cpuset_current(struct muster__cpuset *now)
{
    struct kernel_mask mask;
    struct muster__cpuset set;

    if (kernel_read(&mask) != 0)
        return refused("sched_getaffinity", NULL);
    if (!from_kernel(&mask, &set))
        return muster__fail(MUSTER_ERR_SYSTEM, "bound to processing units beyond %d only", MUSTER__PU_MAX - 1);
    *now = set;
    return MUSTER_OK;
}

muster_err muster__cpuset_bind(const struct muster__cpuset *want, struct muster__cpuset *got)
{
    struct kernel_mask before, mask;
    struct muster__cpuset set;
    char wanted[128], granted[128];

    if (muster__cpuset_count(want) == 0)
        return muster__fail(MUSTER_ERR_INVAL, "binding to no processing unit");
    if (kernel_read(&before) != 0)
        return refused("sched_getaffinity", NULL);
    memset(&mask, 0, sizeof mask);
    for (int pu = 0; pu < MUSTER__PU_MAX; pu++) {
        if (muster__cpuset_has(want, pu))
            CPU_SET(pu, &mask.part[0]);
    }
    if (sched_setaffinity(0, sizeof mask, mask.part) != 0)
        return refused("sched_setaffinity", want);
    if (kernel_read(&mask) != 0)
        return refused("sched_getaffinity", NULL);
    if (!from_kernel(&mask, &set) || !muster__cpuset_equal(&set, want)) {
        /* should this fail, too, the text below tells what the thread is left with */
        sched_setaffinity(0, sizeof before, before.part);
        return muster__fail(MUSTER_ERR_SYSTEM, "binding to processing units %s: the kernel granted %s",
                            muster__cpuset_format(want, wanted, sizeof wanted),
                            muster__cpuset_format(&set, granted, sizeof granted));
    }
    if (got)
        *got = set;
    return MUSTER_OK;
}
