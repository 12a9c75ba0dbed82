/* SPDX-License-Identifier: BSD-3-Clause */
#include "watch/watch.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct watch_process watch_process(int64_t pid)
{
    char path[40], text[512];
    long long user, system;
    struct watch_process found = {0};
    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[size > 0 ? size : 0] = '\0';
    const char *rest = strrchr(text, ')'); /* behind the name, which may hold anything */
    if (rest &&
        sscanf(rest + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lld %lld", &found.state, &user, &system) == 3)
        found.ticks = user + system;
    return found;
}

int watch_process_threads(int64_t pid, int32_t *threads, int room)
{
    char path[40];
    int count = 0;
    snprintf(path, sizeof path, "/proc/%lld/task", (long long)pid);
    DIR *folder = opendir(path);
    if (!folder)
        return -1;
    for (struct dirent *entry; (entry = readdir(folder));) {
        int32_t thread = (int32_t)strtol(entry->d_name, NULL, 10);
        if (thread <= 0)
            continue;
        if (count == room) {
            count = -1;
            break;
        }
        threads[count++] = thread;
    }
    closedir(folder);
    return count;
}
