/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program for tests/e2e/many.sh: on every host a process that uses a queue and a lock of host 0, and a map over all.
 * It prints what was wrong ("wrong: 0") and the memory that is a rank's own, with its part of what it shares.
 */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <muster/muster.h>

enum { ROUNDS = 1000, TASKS = 20000 };

struct ends {
    muster_queue in, out;
    muster_lock lock;
};

/* Of a smaps_rollup: anonymous and shared memory; not files, which the ranks of other hosts here would have a part of.
 */
static long memory_kib(const char *path)
{
    char line[256];
    long total = 0, kib;
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "Pss_Anon: %ld", &kib) == 1 || sscanf(line, "Pss_Shmem: %ld", &kib) == 1)
            total += kib;
    if (file)
        fclose(file);
    return total;
}

static void print_memory(void)
{
    glob_t found;
    char own[256] = "", theirs[256], exe[64];
    long total = 0, ranks = 0;
    if (readlink("/proc/self/exe", own, sizeof own - 1) < 0 || glob("/proc/[0-9]*/smaps_rollup", 0, NULL, &found))
        return;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        memset(theirs, 0, sizeof theirs);
        snprintf(exe, sizeof exe, "/proc/%ld/exe", strtol(found.gl_pathv[i] + strlen("/proc/"), NULL, 10));
        if (readlink(exe, theirs, sizeof theirs - 1) < 0 || strcmp(own, theirs) != 0)
            continue;
        total += memory_kib(found.gl_pathv[i]);
        ranks++;
    }
    globfree(&found);
    printf("memory: %ld KiB\n", ranks ? total / ranks : 0);
}

/* Passes ROUNDS items on, a round of the lock for each. */
static int pass_on(const void *arg, size_t size)
{
    const struct ends *ends = arg;
    (void)size;
    for (int i = 0; i < ROUNDS; i++) {
        int item;
        if (muster_queue_get(ends->in, &item, sizeof item, NULL, MUSTER_FOREVER) ||
            muster_lock_acquire(ends->lock, MUSTER_FOREVER) || muster_lock_release(ends->lock) ||
            muster_queue_put(ends->out, &item, sizeof item, MUSTER_FOREVER))
            return 1;
    }
    return 0;
}

static int triple(const void *item, void *result, const void *user)
{
    (void)user;
    *(int *)result = 3 * *(const int *)item;
    return 0;
}

static long wrong_in_queues(void)
{
    struct ends ends;
    int hosts = muster_hosts(), each = muster_ranks() / hosts, item;
    long sum = 0, all = (long)hosts * ROUNDS, failed = 0;
    muster_process *process = calloc((size_t)hosts, sizeof *process);
    if (!process || muster_queue_create(&ends.in, NULL) || muster_queue_create(&ends.out, NULL) ||
        muster_lock_create(&ends.lock, NULL))
        return 1;
    for (int i = 0; i < hosts; i++) {
        int rank = i * each;
        muster_process_options there = {.on = muster_on_rank(rank)};
        if (muster_process_create(&process[i], pass_on, &ends, sizeof ends, &there) || muster_process_start(process[i]))
            return 1;
    }
    for (int i = 0; i < all; i++)
        failed += muster_queue_put(ends.in, &i, sizeof i, MUSTER_FOREVER) != MUSTER_OK;
    for (int i = 0; i < all && !failed; i++) {
        failed += muster_queue_get(ends.out, &item, sizeof item, NULL, MUSTER_FOREVER) != MUSTER_OK;
        sum += item;
    }
    for (int i = 0; i < hosts && !failed; i++) {
        muster_process_status status;
        failed += muster_process_join(process[i], &status, MUSTER_FOREVER) || status.exit_code || status.signal;
    }
    free(process);
    return failed + (sum != all * (all - 1) / 2);
}

static long wrong_in_map(void)
{
    static int items[TASKS], results[TASKS];
    muster_pool pool;
    long wrong = 0;
    for (int i = 0; i < TASKS; i++)
        items[i] = i;
    if (muster_pool_create(&pool, NULL) ||
        muster_pool_map(pool, triple, items, TASKS, sizeof *items, results, sizeof *results, NULL) ||
        muster_pool_destroy(pool))
        return 1;
    for (int i = 0; i < TASKS; i++)
        wrong += results[i] != 3 * i;
    return wrong;
}

int main(int argc, char **argv)
{
    if (muster_init(&argc, &argv, NULL))
        return 1;
    print_memory();
    printf("wrong: %ld\n", wrong_in_queues() + wrong_in_map());
    return muster_finalize();
}
