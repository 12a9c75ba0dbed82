/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * muster-status: what a job is about, from outside: who waits for what, objects, counters. The job is asked, over a
 * local socket, and goes on.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <muster/runtime.h>

enum { JOBS_MAX = 256 };

static void usage(FILE *to)
{
    fprintf(to, "usage: muster-status [PID]\n\n"
                "Tells what a running muster job of yours does: who waits for what, since when and where; its objects\n"
                "and, under MUSTER_COUNTERS, its counters. PID: any process of the job on this host, or its mpirun.\n"
                "Without one: the only job there is, else a list of them. Ask on rank 0's host to hear of all hosts.\n"
                "\n"
                "  --help     this text\n"
                "  --version  version\n");
}

static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* Processes of the jobs of this user that can be asked here. */
static int find_jobs(int *pids)
{
    char line[512], name[32];
    int count = 0;
    FILE *file = fopen("/proc/net/unix", "r");
    snprintf(name, sizeof name, "@muster-status.%u.", (unsigned)geteuid());
    while (file && count < JOBS_MAX && fgets(line, sizeof line, file)) {
        const char *at = strstr(line, name);
        int pid = at ? atoi(at + strlen(name)) : 0;
        bool is_new = pid > 0;
        for (int i = 0; i < count; i++)
            is_new &= pids[i] != pid;
        if (is_new)
            pids[count++] = pid;
    }
    if (file)
        fclose(file);
    qsort(pids, (size_t)count, sizeof *pids, by_number); /* ranks are started in order: rank 0's is first */
    return count;
}

static int parent_of(int pid)
{
    char path[32], text[512];
    int parent = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    size_t size = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file)
        fclose(file);
    text[size] = 0;
    const char *name_end = strrchr(text, ')');
    if (name_end)
        sscanf(name_end + 1, " %*c %d", &parent);
    return parent;
}

static bool descends(int pid, int from)
{
    for (int depth = 0; pid > 1 && depth < 64; depth++, pid = parent_of(pid))
        if (pid == from)
            return true;
    return false;
}

/* What both come from, below this: the launcher. */
static bool same_job(int asked, int pid)
{
    return descends(asked, pid) || descends(pid, asked) || (parent_of(asked) > 1 && descends(pid, parent_of(asked)));
}

static int ask(int pid)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    char text[4096];
    ssize_t got = -1, all = 0;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int length = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "muster-status.%u.%d", (unsigned)geteuid(), pid);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    struct timeval limit = {.tv_sec = 10};
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&name, size) != 0) {
        fprintf(stderr, "muster-status: process %d cannot be asked: %s\n", pid, strerror(errno));
        return 1;
    }
    while ((got = read(fd, text, sizeof text)) > 0) {
        fwrite(text, 1, (size_t)got, stdout);
        all += got;
    }
    close(fd);
    if (all <= 0)
        fprintf(stderr, "muster-status: process %d has not answered within 10 s; is it stopped?\n", pid);
    return all <= 0 || fflush(stdout) != 0;
}

static int list(const int *pids, int count)
{
    fprintf(stderr, "muster-status: %d jobs of yours run here; name one:\n", count);
    for (int i = 0; i < count; i++)
        fprintf(stderr, "  muster-status %d\n", pids[i]);
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'V'}, {0}};
    int pids[JOBS_MAX], count = find_jobs(pids);
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (option == 'V')
            return puts("muster-status " MUSTER_VERSION) < 0;
        usage(option == 'h' ? stdout : stderr);
        return option == 'h' ? 0 : 2;
    }
    if (argc - optind > 1) {
        usage(stderr);
        return 2;
    }
    if (optind == argc) {
        if (count > 1)
            return list(pids, count);
        if (count == 1)
            return ask(pids[0]);
        fprintf(stderr, "muster-status: no muster job of yours runs on this host\n");
        return 1;
    }
    char *end;
    long asked = strtol(argv[optind], &end, 10);
    if (*end || asked < 2 || asked > 1 << 30) {
        fprintf(stderr, "muster-status: '%s' is no process number\n", argv[optind]);
        return 2;
    }
    for (int i = 0; i < count; i++)
        if (pids[i] == asked)
            return ask(pids[i]);
    for (int i = 0; i < count; i++)
        if (same_job((int)asked, pids[i]))
            return ask(pids[i]);
    fprintf(stderr, "muster-status: process %ld is of no muster job of yours that runs on this host\n", asked);
    return 1;
}
