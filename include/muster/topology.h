/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where ranks and children sit.
 */
#ifndef MUSTER_TOPOLOGY_H
#define MUSTER_TOPOLOGY_H

#include <stdio.h>

#include <muster/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum muster_placement {
    MUSTER_PLACE_DEFAULT,  /**< compact, unless the launcher has bound the ranks already */
    MUSTER_PLACE_COMPACT,  /**< neighbouring cores first: shared caches */
    MUSTER_PLACE_SPREAD,   /**< as far apart as possible: memory bandwidth */
    MUSTER_PLACE_PER_NUMA, /**< round over the NUMA nodes, bound to the whole node */
    MUSTER_PLACE_PER_L3,   /**< round over the L3 groups, bound to the whole group */
    MUSTER_PLACE_NONE      /**< leave binding to the launcher and the kernel */
} muster_placement;

/**
 * Cores this job may use on this host (launcher, cgroup and affinity respected).
 * Threads: any. In tasks: yes. Blocks: no. Hosts: own.
 */
MUSTER_API int muster_cores(void);

/**
 * Cores that the calling thread may run on, of those of muster_cores: in a task, what its worker has for a team of
 * threads. 1 in a worker that is bound to a core; in one that is not bound, all of the host's, which it shares with
 * others. At least 1, also while muster does not run, and where another machine is described (HWLOC_XMLFILE).
 * Threads: any. In tasks: yes. Blocks: no. Hosts: own.
 */
MUSTER_API int muster_worker_cores(void);

/**
 * GPUs and other accelerators of this host, as hwloc finds them on its PCI buses. Looked for by the first call, which
 * takes some milliseconds.
 * Threads: any. In tasks: yes. Blocks: no. Hosts: own.
 */
MUSTER_API int muster_gpus(void);

/**
 * Writes a text picture of this host: packages, NUMA nodes, L3 groups, cores, and which rank or child sits where.
 * Threads: any. In tasks: yes. Blocks: no. Hosts: own.
 */
MUSTER_API muster_err muster_topology_print(FILE *stream);

#ifdef __cplusplus
}
#endif
#endif
