/* SPDX-License-Identifier: BSD-3-Clause */
#include "topology/topology.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

/* How many cores this process may keep busy, asked without hwloc: before ranks are started. */

/* Two processors are of one core if their lists of siblings begin alike. */
static int core_of(int cpu)
{
    char path[96];
    int first = cpu;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
    FILE *file = fopen(path, "r");
    if (file && fscanf(file, "%d", &first) != 1)
        first = cpu;
    if (file)
        fclose(file);
    return first;
}

static int cores_bound(void)
{
    cpu_set_t mine, cores;
    CPU_ZERO(&cores);
    if (sched_getaffinity(0, sizeof mine, &mine))
        return 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        int core = CPU_ISSET(cpu, &mine) ? core_of(cpu) : -1;
        if (core >= 0 && core < CPU_SETSIZE)
            CPU_SET(core, &cores);
    }
    return CPU_COUNT(&cores);
}

/* Of one folder, in hundredths of a processor; 0: no limit. */
static long quota_in(const char *folder)
{
    char path[640];
    long quota = -1, period = 100000;
    snprintf(path, sizeof path, "%s/cpu.max", folder);
    FILE *file = fopen(path, "r");
    if (file) {
        if (fscanf(file, "%ld %ld", &quota, &period) != 2) /* "max" */
            quota = -1;
        fclose(file);
        return quota > 0 && period > 0 ? quota * 100 / period : 0;
    }
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", folder);
    file = fopen(path, "r");
    if (!file)
        return 0;
    if (fscanf(file, "%ld", &quota) != 1)
        quota = -1;
    fclose(file);
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
    file = fopen(path, "r");
    if (file && fscanf(file, "%ld", &period) != 1)
        period = 0;
    if (file)
        fclose(file);
    return quota > 0 && period > 0 ? quota * 100 / period : 0;
}

/* The least of a group and those above it. In a container the path may be one that is not seen there: its top is. */
static long quota_up_from(const char *mount, char *path)
{
    char folder[600];
    long least = 0;
    for (;;) {
        snprintf(folder, sizeof folder, "%s%s", mount, path);
        long quota = quota_in(folder);
        if (quota && (!least || quota < least))
            least = quota;
        char *last = strrchr(path, '/');
        if (!last)
            return least;
        *last = '\0';
    }
}

static bool has_controller(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, name, length) == 0 && (at[length] == ',' || !at[length]))
            return true;
    return false;
}

/* Lines are number:controllers:path; of version 2 the list of controllers is empty. */
static long quota(void)
{
    char line[512];
    long least = 0;
    FILE *file = fopen("/proc/self/cgroup", "r");
    while (file && fgets(line, sizeof line, file)) {
        char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = '\0';
        list++;
        path[strcspn(path, "\n")] = '\0';
        if (*list && !has_controller(list, "cpu"))
            continue;
        long found = quota_up_from(*list ? "/sys/fs/cgroup/cpu" : "/sys/fs/cgroup", path);
        if (found && (!least || found < least))
            least = found;
    }
    if (file)
        fclose(file);
    return least;
}

int muster__cores_allowed(void)
{
    int cores = cores_bound();
    long hundredths = quota();
    if (hundredths && hundredths < 100L * cores)
        cores = hundredths < 100 ? 1 : (int)(hundredths / 100);
    return cores;
}
