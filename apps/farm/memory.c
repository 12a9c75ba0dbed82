/* SPDX-License-Identifier: BSD-3-Clause */
#include "farm/memory.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define DEEP 200 /* generations; deeper ones are not followed */

/* visit(pid) for each descendant of pid, parents first. */
static void descend(pid_t pid, int depth, void (*visit)(pid_t pid, void *arg), void *arg)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *threads = depth < DEEP ? opendir(path) : NULL;
    for (struct dirent *thread; threads && (thread = readdir(threads));) {
        if (thread->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/children", (int)pid, thread->d_name);
        FILE *children = fopen(path, "re");
        for (int child; children && fscanf(children, "%d", &child) == 1;) {
            visit((pid_t)child, arg);
            descend((pid_t)child, depth + 1, visit, arg);
        }
        if (children)
            fclose(children);
    }
    if (threads)
        closedir(threads);
}

/* Resident, less what is shared with files and others. */
static void add_memory(pid_t pid, void *arg)
{
    char path[64];
    long long size, resident, shared;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    FILE *file = fopen(path, "re");
    if (file && fscanf(file, "%lld %lld %lld", &size, &resident, &shared) == 3)
        *(int64_t *)arg += (resident - shared) * sysconf(_SC_PAGESIZE);
    if (file)
        fclose(file);
}

int64_t memory_of_descendants(void)
{
    int64_t bytes = 0;
    descend(getpid(), 0, add_memory, &bytes);
    return bytes;
}

static void send_signal(pid_t pid, void *arg)
{
    kill(pid, *(int *)arg);
}

void memory_signal_descendants(int signal)
{
    descend(getpid(), 0, send_signal, &signal);
}

/* The number behind a name at the beginning of a line. */
static int64_t number_in(const char *path, const char *name, int64_t otherwise)
{
    char line[256];
    int64_t number = otherwise;
    FILE *file = fopen(path, "re");
    while (file && number == otherwise && fgets(line, sizeof line, file))
        if (strncmp(line, name, strlen(name)) == 0)
            number = strtoll(line + strlen(name), NULL, 10);
    if (file)
        fclose(file);
    return number;
}

int64_t memory_victims(void)
{
    return number_in("/proc/vmstat", "oom_kill ", 0);
}

int64_t memory_available(void)
{
    int64_t kib = number_in("/proc/meminfo", "MemAvailable:", -1);
    return kib < 0 ? -1 : kib * 1024;
}

double memory_load(void)
{
    double load;
    return getloadavg(&load, 1) == 1 ? load : -1;
}
