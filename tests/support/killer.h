/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A thread of rank 0 that kills children of its nursery while `killing` says so, and counts them.
 */
#ifndef MUSTER_TESTS_KILLER_H
#define MUSTER_TESTS_KILLER_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static _Atomic bool killing;
static _Atomic int kills;

static inline int children_of(long pid, long *children, int max)
{
    char path[64];
    int count = 0;
    snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", pid, pid);
    FILE *file = fopen(path, "r");
    while (file && count < max && fscanf(file, "%ld", &children[count]) == 1)
        count++;
    if (file)
        fclose(file);
    return count;
}

static inline void *killer(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;
    long nursery[8], children[64];
    while (atomic_load(&killing)) {
        usleep((useconds_t)(200 + rand_r(&seed) % 3000));
        if (children_of(getpid(), nursery, 8) < 1)
            continue;
        int count = children_of(nursery[0], children, 64);
        if (count && kill((pid_t)children[rand_r(&seed) % (unsigned)count], SIGKILL) == 0)
            atomic_fetch_add(&kills, 1);
    }
    return NULL;
}

#endif
