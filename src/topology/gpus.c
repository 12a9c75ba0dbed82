/* SPDX-License-Identifier: BSD-3-Clause */
#include <hwloc.h>
#include <pthread.h>
#include <string.h>

#include "base/base.h"
#include "topology/topology.h"

#define DISPLAY      0x03 /* PCI's classes: the high byte */
#define PROCESSING   0x12
#define CONTROLLER3D 0x0302 /* a display without a screen: GPUs that compute */

/* A device that programs compute on: one that a driver has named as such, a 3D controller or accelerator, or a display
 * of a maker of GPUs with memory of their own. */
static bool computes(hwloc_obj_t pci)
{
    unsigned class = pci->attr->pcidev.class_id, vendor = pci->attr->pcidev.vendor_id;
    for (hwloc_obj_t device = pci->io_first_child; device; device = device->next_sibling)
        if (device->type == HWLOC_OBJ_OS_DEVICE && device->attr->osdev.type == HWLOC_OBJ_OSDEV_COPROC)
            return true;
    return class == CONTROLLER3D || class >> 8 == PROCESSING ||
           (class >> 8 == DISPLAY && (vendor == 0x10de || vendor == 0x1002));
}

static int count(void)
{
    hwloc_topology_t topology;
    int n = 0;
    if (hwloc_topology_init(&topology) != 0)
        return 0;
    hwloc_topology_set_io_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
    if (hwloc_topology_load(topology) == 0)
        for (hwloc_obj_t pci = NULL; (pci = hwloc_get_next_pcidev(topology, pci));)
            n += computes(pci);
    hwloc_topology_destroy(topology);
    return n;
}

static int gpus;

static void count_once(void)
{
    gpus = count();
}

int muster_gpus(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, count_once);
    return gpus;
}
