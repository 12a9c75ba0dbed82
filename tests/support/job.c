/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the end-to-end scripts start, by its first argument: wait (for a signal, in a map and in a process), crash
 * (inside an in-rank task), fail (a nonzero end), leave (exit without muster_finalize), stand (waits for what nobody
 * will bring), order, neat (takes locks), lose (children, to signals), fall (to SIGKILL), cross (two processes that
 * wait for each other's lock, while this one sleeps).
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <muster/muster.h>

static int nap(const void *item, void *result, const void *user)
{
    (void)item;
    (void)user;
    usleep(20000);
    *(int64_t *)result = muster_task_index() + 1;
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

enum { ITEMS = 10000 };

static int64_t results[ITEMS];
static unsigned char states[ITEMS];

static muster_err map(muster_task_fn fn, int n)
{
    static char items[ITEMS];
    muster_pool pool;
    muster_err err = muster_pool_create(&pool, &(muster_pool_options){.name = "jobs"});
    return err ? err
               : muster_pool_map(pool, fn, items, n, 1, results, sizeof *results,
                                 &(muster_map_options){.chunk_items = 1, .states = states});
}

/* The results of the items that are done are there, and no others. */
static void tell_kept(void)
{
    int done = 0;
    for (int i = 0; i < ITEMS; i++) {
        if (results[i] != (states[i] == MUSTER_ITEM_DONE ? i + 1 : 0))
            printf("item %d: state %d, result %d\n", i, states[i], (int)results[i]);
        done += states[i] == MUSTER_ITEM_DONE;
    }
    printf("kept: %s\n", done > 0 && done < ITEMS ? "some" : done ? "all" : "nothing");
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
    printf("map: %s\n", muster_err_name(map(nap, ITEMS)));
    tell_kept();
    printf("join: %s\n", muster_err_name(muster_process_join(child, NULL, MUSTER_FOREVER)));
    printf("signal: %d\n", muster_interrupted());
}

static void stand_still(void)
{
    char item;
    muster_queue queue;
    if (muster_queue_create(&queue, &(muster_queue_options){.name = "nothing"}))
        exit(1);
    printf("waiting\n");
    fflush(stdout);
    muster_err err = muster_queue_get(queue, &item, 1, NULL, MUSTER_FOREVER);
    printf("get: %s: %s\n", muster_err_name(err), muster_err_detail());
}

struct crossing {
    muster_lock first, second;
    muster_queue ready;
};

static int cross(const void *arg, size_t size)
{
    const struct crossing *c = arg;
    int64_t items = 0;
    char there = 1;
    (void)size;
    if (muster_lock_acquire(c->first, MUSTER_FOREVER) || muster_queue_put(c->ready, &there, 1, MUSTER_FOREVER))
        return 1;
    while (items < 2 && !muster_queue_size(c->ready, &items))
        usleep(1000);
    return muster_lock_acquire(c->second, MUSTER_FOREVER) == MUSTER_ERR_DEADLOCK ? 7 : 0;
}

static void cross_locks(void)
{
    muster_lock red, blue;
    muster_queue ready;
    muster_process processes[2];
    muster_process_status status = {.exit_code = 0};
    if (muster_lock_create(&red, &(muster_lock_options){.name = "red"}) ||
        muster_lock_create(&blue, &(muster_lock_options){.name = "blue", .on = muster_on_rank(muster_ranks() - 1)}) ||
        muster_queue_create(&ready, NULL))
        exit(1);
    struct crossing both[2] = {{red, blue, ready}, {blue, red, ready}};
    for (int i = 0; i < 2; i++)
        if (muster_process_create(&processes[i], cross, &both[i], sizeof both[i],
                                  &(muster_process_options){.name = i ? "right" : "left",
                                                            .on = muster_on_rank(i * (muster_ranks() - 1))}) ||
            muster_process_start(processes[i]))
            exit(1);
    printf("waiting\n");
    fflush(stdout);
    for (int i = 0, ended = 0; i < 2; i += ended) {
        usleep(100000);
        ended = muster_process_join(processes[i], &status, MUSTER_NOWAIT) == MUSTER_OK;
        if (ended)
            printf("%d\n", status.exit_code);
    }
}

/* Waits for nothing, for a moment. */
static void wait_a_moment(const char *name)
{
    char item;
    muster_queue queue;
    if (muster_queue_create(&queue, &(muster_queue_options){.name = name}))
        exit(1);
    muster_queue_get(queue, &item, 1, NULL, 10);
}

static int die_in_child(const void *arg, size_t size)
{
    (void)size;
    wait_a_moment("theirs");
    raise(*(const int *)arg);
    return 0;
}

/* Children that die of their own accord, and one that is ended as it was asked for. */
static void lose_children(void)
{
    muster_process process;
    muster_process_status status;
    for (int i = 0; i < 3; i++) {
        int signal = i == 0 ? SIGKILL : i == 1 ? SIGSEGV : SIGSTOP;
        if (muster_process_create(&process, die_in_child, &signal, sizeof signal,
                                  &(muster_process_options){.name = i == 2 ? "asked" : "lost"}) ||
            muster_process_start(process) || (i == 2 && muster_process_kill(process)) ||
            muster_process_join(process, &status, MUSTER_FOREVER))
            exit(1);
        printf("signal %d\n", status.signal);
    }
}

struct two {
    muster_lock first, second;
    int64_t timeout_ms; /* for the second one */
};

static int take_two(const void *arg, size_t size)
{
    const struct two *two = arg;
    (void)size;
    if (muster_lock_acquire(two->first, MUSTER_FOREVER) || muster_lock_acquire(two->second, two->timeout_ms))
        return 1;
    return muster_lock_release(two->second) || muster_lock_release(two->first);
}

static void take_in_child(muster_lock first, muster_lock second, int64_t timeout_ms, int rank)
{
    struct two two = {first, second, timeout_ms};
    muster_process process;
    muster_process_status status;
    if (muster_process_create(&process, take_two, &two, sizeof two,
                              &(muster_process_options){.on = muster_on_rank(rank)}) ||
        muster_process_start(process) || muster_process_join(process, &status, MUSTER_FOREVER) || status.exit_code)
        exit(1);
}

/* One after the other, so that nobody waits: but they might. */
static void take_in_turn(bool neat)
{
    muster_lock red, blue, green;
    int last = muster_ranks() - 1;
    if (muster_lock_create(&red, &(muster_lock_options){.name = "red"}) ||
        muster_lock_create(&blue, &(muster_lock_options){.name = "blue"}) ||
        muster_lock_create(&green, &(muster_lock_options){.name = "green"}))
        exit(1);
    take_in_child(red, blue, MUSTER_FOREVER, 0);
    take_in_child(blue, green, MUSTER_FOREVER, last);
    take_in_child(green, red, neat ? MUSTER_NOWAIT : MUSTER_FOREVER, 0);
    take_in_child(red, green, MUSTER_FOREVER, last);
    take_in_child(red, blue, MUSTER_FOREVER, last); /* told before */
    usleep(1000000);                                /* rank 0's host is told of what others did */
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
    else if (strcmp(what, "order") == 0 || strcmp(what, "neat") == 0)
        take_in_turn(*what == 'n');
    else if (strcmp(what, "lose") == 0)
        lose_children();
    else if (strcmp(what, "fall") == 0) {
        wait_a_moment("mine");
        kill(getpid(), SIGKILL);
    } else if (strcmp(what, "stand") == 0)
        stand_still();
    else if (strcmp(what, "cross") == 0)
        cross_locks();
    else if (strcmp(what, "leave") == 0)
        exit(5);
    int code = muster_finalize();
    return strcmp(what, "fail") == 0 ? 9 : code;
}
