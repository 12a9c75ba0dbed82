/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <muster/muster.h>

void inner_figure(const char *name, double ours, double yardstick)
{
    printf("figure %s %.9g %.9g\n", name, ours, yardstick);
    fflush(stdout);
}

void bench_must(int err, const char *what)
{
    if (!err)
        return;
    fprintf(stderr, "bench: %s: %s\n", what, muster_err_detail());
    exit(1);
}

int inner_main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } parts[] = {{"process", inner_process}, {"pool", inner_pool}, {"queue", inner_queue},
                 {"ring", inner_ring},       {"lock", inner_lock}, {"contend", inner_contend},
                 {"sync", inner_sync},       {"idle", inner_idle}, {"forkjoin", inner_forkjoin}};
    muster_err err = muster_init(&argc, &argv, NULL);
    if (err) {
        fprintf(stderr, "bench: %s\n", muster_err_detail());
        return 1;
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (argc < 3 || strstr(argv[2], parts[i].name))
            parts[i].run();
    return muster_finalize();
}

/* ---- process ---- */

static int empty_process(const void *arg, size_t size)
{
    (void)arg;
    (void)size;
    return 0;
}

static double start_and_join(void)
{
    muster_process process;
    double began = bench_now_s();
    if (muster_process_create(&process, empty_process, NULL, 0, NULL) || muster_process_start(process) ||
        muster_process_join(process, NULL, MUSTER_FOREVER)) {
        fprintf(stderr, "bench: process: %s\n", muster_err_detail());
        exit(1);
    }
    double took = bench_now_s() - began;
    muster_process_close(process);
    return took * 1e6;
}

void inner_process(void)
{
    enum { ROUNDS = 200 };
    static double us[ROUNDS];
    start_and_join();
    double began = bench_now_s();
    for (int i = 0; i < ROUNDS; i++)
        start_and_join();
    inner_figure("process_start_join", (bench_now_s() - began) / ROUNDS * 1e6, 0);
    for (int i = 0; i < ROUNDS; i++) {
        usleep(3000); /* the nursery forks the next spare meanwhile */
        us[i] = start_and_join();
    }
    inner_figure("process_spare", bench_median(us, ROUNDS), 0);
}

/* ---- idle: cpu time of the other ranks, their nurseries and all threads ---- */

static int own_pid(const void *item, void *result, const void *user)
{
    (void)item;
    (void)user;
    *(long *)result = getpid();
    usleep(2000);
    return 0;
}

static double cpu_seconds(long pid)
{
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *stat = fopen(path, "r");
    unsigned long user = 0, system = 0;
    if (stat && fgets(line, sizeof line, stat)) {
        char *after = strrchr(line, ')');
        if (!after || sscanf(after + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
            user = system = 0;
    }
    if (stat)
        fclose(stat);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static double cpu_with_children(long pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", pid, pid);
    double seconds = cpu_seconds(pid);
    FILE *children = fopen(path, "r");
    long child;
    while (children && fscanf(children, "%ld", &child) == 1)
        seconds += cpu_seconds(child);
    if (children)
        fclose(children);
    return seconds;
}

void inner_idle(void)
{
    int ranks = muster_ranks();
    long pids[64] = {0}, items[64] = {0};
    muster_pool pool;
    if (ranks < 2 || ranks > 64 || muster_pool_create(&pool, NULL) ||
        muster_pool_map(pool, own_pid, items, ranks, sizeof *items, pids, sizeof *pids,
                        &(muster_map_options){.chunk_items = 1}))
        return;
    muster_pool_destroy(pool);
    long other = 0;
    for (int i = 0; i < ranks; i++)
        if (pids[i] != getpid())
            other = pids[i];
    if (!other)
        return;
    double before = cpu_with_children(other), began = bench_now_s();
    sleep(5);
    inner_figure("idle", (cpu_with_children(other) - before) / (bench_now_s() - began) * 100, 0);
}
