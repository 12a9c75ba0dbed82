/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program for tests/e2e/lost.sh, on three hosts of which the last one dies: a map goes on without it, with an
 * argument a map of a list, and what was at home there gives err PEER.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <muster/muster.h>

enum { ITEMS = 400 };

static void nap_ms(int ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

static int slowly(const void *item, void *result, const void *user)
{
    (void)user;
    nap_ms(50);
    *(int *)result = 3 * *(const int *)item + 1;
    return 0;
}

/* The same, as often as the item says, and once more. */
static int slowly_many(const void *item, void *result, const void *user)
{
    int n = *(const int *)item, many[ITEMS];
    slowly(item, &many[0], user);
    (void)result;
    for (int i = 1; i <= n; i++)
        many[i] = many[0];
    return muster_task_return(many, (size_t)(n + 1) * sizeof *many);
}

/* On the host that dies: a queue and a lock there. */
static int lend(const void *arg, size_t size)
{
    (void)size;
    struct {
        muster_queue queue;
        muster_lock lock;
    } lent;
    const muster_queue *out = arg;
    if (muster_queue_create(&lent.queue, NULL) || muster_lock_create(&lent.lock, NULL) ||
        muster_queue_put(*out, &lent, sizeof lent, MUSTER_FOREVER))
        return 1;
    for (;;)
        nap_ms(500);
}

static void say(const char *what, muster_err err)
{
    printf("%s: %s%s%s\n", what, muster_err_name(err), err ? ": " : "", err ? muster_err_detail() : "");
    fflush(stdout);
}

static muster_err map(muster_pool pool, const int *items, int *results)
{
    return muster_pool_map(pool, slowly, items, ITEMS, sizeof *items, results, sizeof *results, NULL);
}

/* -1: it is not whole. */
static int value_of(const muster_span *list, int n)
{
    const int *many = list->bytes;
    bool whole = list->size_bytes == (size_t)(n + 1) * sizeof *many;
    for (int i = 1; i <= n && whole; i++)
        whole = many[i] == many[0];
    return whole ? many[0] : -1;
}

static muster_err map_list(muster_pool pool, const int *items, int *results)
{
    muster_span list[ITEMS], *lists;
    for (int i = 0; i < ITEMS; i++)
        list[i] = (muster_span){&items[i], sizeof items[i]};
    muster_err err = muster_pool_map_list(pool, slowly_many, list, ITEMS, &lists, NULL);
    for (int i = 0; i < ITEMS; i++)
        results[i] = lists ? value_of(&lists[i], i) : -1;
    free(lists);
    return err;
}

/* For the host that dies: one that runs for 12 s, others that wait for it; and one for anybody that follows the last.
 */
enum { AIMED = 5 };

static int for_long(const void *item, void *result, const void *user)
{
    (void)item;
    (void)user;
    (void)result;
    for (int i = 0; i < 24; i++)
        nap_ms(500);
    return 0;
}

static muster_err aim(muster_pool pool, muster_task *tasks)
{
    int first = 0, first_result;
    muster_submit_options there = {.aim = MUSTER_AIM_RANK, .aim_at = muster_ranks() - 1}, after = {.after_n = 1};
    muster_err err = muster_pool_submit(pool, &tasks[0], for_long, NULL, 0, 0, &there);
    for (int i = 1; i < AIMED - 1 && !err; i++)
        err = muster_pool_submit(pool, &tasks[i], slowly, &first, sizeof first, sizeof first_result, &there);
    after.after = &tasks[AIMED - 2];
    return err ? err : muster_pool_submit(pool, &tasks[AIMED - 1], slowly, &first, sizeof first, sizeof first, &after);
}

static void say_aimed(muster_pool pool, const muster_task *tasks)
{
    int result;
    muster_task late[AIMED];
    for (int i = 0; i < AIMED; i++)
        say(i < AIMED - 1 ? "aimed" : "follows", muster_task_get(tasks[i], &result, sizeof result, MUSTER_FOREVER));
    say("late", aim(pool, late));
}

int main(int argc, char **argv)
{
    if (muster_init(&argc, &argv, NULL))
        return 1;
    struct {
        muster_queue queue;
        muster_lock lock;
    } lent;
    muster_queue out;
    muster_process process;
    muster_pool pool;
    int last = muster_ranks() - 1;
    muster_process_options there = {.on = muster_on_rank(last)};
    int items[ITEMS], results[ITEMS], wrong = 0;
    if (muster_queue_create(&out, NULL) || muster_process_create(&process, lend, &out, sizeof out, &there) ||
        muster_process_start(process) || muster_queue_get(out, &lent, sizeof lent, NULL, MUSTER_FOREVER) ||
        muster_pool_create(&pool, NULL)) {
        say("start", MUSTER_ERR_STATE);
        return 1;
    }
    for (int i = 0; i < ITEMS; i++)
        items[i] = i;
    muster_task aimed[AIMED];
    if (aim(pool, aimed)) {
        say("aim", MUSTER_ERR_STATE);
        return 1;
    }
    printf("ready\n");
    fflush(stdout);
    say("map", argc > 1 ? map_list(pool, items, results) : map(pool, items, results));
    for (int i = 0; i < ITEMS; i++)
        wrong += results[i] != 3 * i + 1;
    printf("wrong: %d\n", wrong);
    say_aimed(pool, aimed);
    char byte;
    say("get", muster_queue_get(lent.queue, &byte, 1, NULL, MUSTER_FOREVER));
    say("acquire", muster_lock_acquire(lent.lock, MUSTER_FOREVER));
    say("join", muster_process_join(process, NULL, MUSTER_FOREVER));
    say("destroy", muster_pool_destroy(pool));
    return muster_finalize();
}
