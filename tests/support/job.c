/*
 * What the end-to-end scripts start, by its first argument: wait (for a signal, in a map and in a process), crash
 * (inside an in-rank task), fail (a nonzero end), leave (exit without muster_finalize).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <muster/muster.h>

static int nap(const void *item, void *result, const void *user)
{
    (void)item;
    (void)result;
    (void)user;
    usleep(20000);
    return 0;
}

__attribute__((no_sanitize("undefined", "address"))) static int crash_on_seven(const void *item, void *result,
                                                                               const void *user)
{
    (void)item;
    (void)result;
    (void)user;
    volatile int *volatile nowhere = NULL;
    if (muster_task_index() == 7)
        *nowhere = 1;
    return 0;
}

static int sleep_long(const void *arg, size_t size)
{
    (void)arg;
    (void)size;
    while (pause() != 0)
        ;
    return 0;
}

static muster_err map(muster_task_fn fn, int n)
{
    static char items[10000];
    muster_pool pool;
    muster_err err = muster_pool_create(&pool, &(muster_pool_options){.name = "jobs"});
    return err ? err : muster_pool_map(pool, fn, items, n, 1, NULL, 0, &(muster_map_options){.chunk_items = 1});
}

static void wait_for_signal(void)
{
    muster_process child;
    if (muster_process_create(&child, sleep_long, NULL, 0, NULL) || muster_process_start(child))
        exit(1);
    muster_process_info info;
    do
        if (muster_process_get_info(child, &info))
            exit(1);
    while (!info.pid);
    printf("ready %d\n", (int)info.pid);
    fflush(stdout);
    printf("map: %s\n", muster_err_name(map(nap, 10000)));
    printf("join: %s\n", muster_err_name(muster_process_join(child, NULL, MUSTER_FOREVER)));
    printf("signal: %d\n", muster_interrupted());
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (muster_init(&argc, &argv, NULL) != MUSTER_OK)
        return 1;
    if (strcmp(what, "wait") == 0)
        wait_for_signal();
    else if (strcmp(what, "crash") == 0)
        map(crash_on_seven, 100);
    else if (strcmp(what, "leave") == 0)
        exit(5);
    int code = muster_finalize();
    return strcmp(what, "fail") == 0 ? 9 : code;
}
