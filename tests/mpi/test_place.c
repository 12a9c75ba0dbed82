/* SPDX-License-Identifier: BSD-3-Clause */
/* Tasks that follow others, have a priority, or are for somebody in particular. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <muster/muster.h>

#include "support/mpi_case.h"

static const bool in_rank = false, isolated = true;

/* what a case shares with its tasks */
struct stage {
    muster_semaphore begun;
    muster_event go;
    muster_value_i64 count, deaths;
    int64_t least; /* what the task finds counted at least */
    int32_t dies;  /* that often, all in all */
    int32_t code;
};

static muster_pool pool_make(void **state, int workers, int retries)
{
    muster_pool pool;
    muster_pool_options options = {.isolated = *(const bool *)*state, .workers = workers, .retries = retries};
    assert_int_equal(muster_pool_create(&pool, &options), MUSTER_OK);
    return pool;
}

static struct stage stage_make(void)
{
    struct stage stage = {.code = 0};
    assert_int_equal(muster_semaphore_create(&stage.begun, 0, 0, NULL), MUSTER_OK);
    assert_int_equal(muster_event_create(&stage.go, NULL), MUSTER_OK);
    assert_int_equal(muster_value_i64_create(&stage.count, 0, NULL), MUSTER_OK);
    assert_int_equal(muster_value_i64_create(&stage.deaths, 0, NULL), MUSTER_OK);
    return stage;
}

static void stage_end(const struct stage *stage)
{
    assert_int_equal(muster_semaphore_destroy(stage->begun), MUSTER_OK);
    assert_int_equal(muster_event_destroy(stage->go), MUSTER_OK);
    assert_int_equal(muster_value_i64_destroy(stage->count), MUSTER_OK);
    assert_int_equal(muster_value_i64_destroy(stage->deaths), MUSTER_OK);
}

static int64_t now(muster_value_i64 value)
{
    int64_t seen = -1;
    assert_int_equal(muster_value_i64_load(value, &seen), MUSTER_OK);
    return seen;
}

/* Says how many have come before it. */
static int step(const void *item, void *result, const void *user)
{
    const struct stage *stage = item;
    int64_t before = 0, deaths;
    (void)user;
    if (muster_value_i64_load(stage->count, &before) || before < stage->least)
        return muster_task_fail(100, "%lld of %lld had ended", (long long)before, (long long)stage->least);
    if (stage->dies && !muster_value_i64_add(stage->deaths, 1, &deaths) && deaths < stage->dies)
        kill(getpid(), SIGKILL);
    if (stage->code)
        return muster_task_fail(stage->code, "as asked");
    if (muster_value_i64_add(stage->count, 1, &before))
        return 101;
    if (result)
        *(int64_t *)result = before;
    return 0;
}

static int wait_here(const void *item, void *result, const void *user)
{
    const struct stage *stage = item;
    (void)result;
    (void)user;
    if (muster_semaphore_release(stage->begun, 1) || muster_event_wait(stage->go, MUSTER_FOREVER))
        return 102;
    return stage->code ? muster_task_fail(stage->code, "as asked") : 0;
}

static muster_task submit(muster_pool pool, muster_task_fn fn, const struct stage *stage,
                          const muster_submit_options *options)
{
    muster_task task;
    assert_int_equal(muster_pool_submit(pool, &task, fn, stage, sizeof *stage, sizeof(int64_t), options), MUSTER_OK);
    return task;
}

static muster_task submit_after(muster_pool pool, const struct stage *stage, const muster_task *after, int64_t n)
{
    return submit(pool, step, stage, &(muster_submit_options){.after = after, .after_n = n});
}

static int64_t get(muster_task task)
{
    int64_t result = -1;
    assert_int_equal(muster_task_get(task, &result, sizeof result, MUSTER_FOREVER), MUSTER_OK);
    return result;
}

/* ---- after others ---- */

/* Longer than any stack would bear, of handles that are given up at once. */
static void test_chain(void **state)
{
    enum { LINKS = 20000 };
    muster_pool pool = pool_make(state, 0, 0);
    struct stage stage = stage_make();
    muster_task last = submit(pool, step, &stage, NULL);
    for (int i = 1; i < LINKS; i++) {
        stage.least = i;
        muster_task next = submit_after(pool, &stage, &last, 1);
        assert_int_equal(muster_task_forget(last), MUSTER_OK);
        last = next;
    }
    assert_int_equal(get(last), LINKS - 1);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
    stage_end(&stage);
}

enum { WIDE = 60 };

static void test_many_to_one(void **state)
{
    muster_pool pool = pool_make(state, 0, 0);
    struct stage stage = stage_make();
    muster_task roots[WIDE], leaves[WIDE], one, last;
    for (int round = 0; round < 10; round++) {
        const int64_t before = now(stage.count);
        stage.least = 0;
        for (int i = 0; i < WIDE; i++)
            roots[i] = submit(pool, step, &stage, NULL);
        stage.least = before + WIDE;
        one = submit_after(pool, &stage, roots, WIDE);
        stage.least = before + WIDE + 1;
        for (int i = 0; i < WIDE; i++)
            leaves[i] = submit_after(pool, &stage, &one, 1);
        stage.least = before + 2 * WIDE + 1;
        last = submit_after(pool, &stage, leaves, WIDE);
        assert_int_equal(get(last), before + 2 * WIDE + 1);
        assert_int_equal(get(one), before + WIDE);
        for (int i = 0; i < WIDE; i++) {
            assert_in_range(get(roots[i]), before, before + WIDE - 1);
            assert_in_range(get(leaves[i]), before + WIDE + 1, before + 2 * WIDE);
        }
    }
    assert_int_equal(muster_pool_close(pool), MUSTER_OK);
    assert_int_equal(muster_pool_join(pool, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
    stage_end(&stage);
}

/* What follows something that has ended already, in whatever way, and handles of it that are got meanwhile. */
static void test_after_ended(void **state)
{
    muster_pool pool = pool_make(state, 0, 0);
    struct stage stage = stage_make(), bad = stage;
    bad.code = 7;
    muster_task ends[2] = {submit(pool, step, &stage, NULL), submit(pool, step, &bad, NULL)};
    assert_int_equal(muster_task_wait(ends, 2, MUSTER_WAIT_ALL, NULL, MUSTER_FOREVER), MUSTER_OK);
    muster_task well = submit_after(pool, &stage, ends, 1), not_well = submit_after(pool, &stage, ends, 2);
    assert_int_equal(get(ends[0]), 0);
    assert_int_equal(get(well), 1);
    assert_int_equal(muster_task_get(not_well, NULL, 0, MUSTER_FOREVER), MUSTER_ERR_CANCELED);
    assert_int_equal(muster_task_get(ends[1], NULL, 0, MUSTER_FOREVER), MUSTER_ERR_TASK);
    assert_int_equal(now(stage.count), 2);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
    stage_end(&stage);
}

/* What follows one that fails is not run, nor what follows that; unless it says that it is to be run anyway. */
static void test_after_failed(void **state)
{
    muster_pool pool = pool_make(state, 0, 0);
    struct stage stage = stage_make(), bad = stage;
    bad.code = 9;
    for (int forgotten = 0; forgotten < 2; forgotten++) {
        const muster_submit_options anyway = {.after_failed = true};
        muster_submit_options options = anyway;
        muster_task root = submit(pool, wait_here, &bad, NULL), both[2] = {root, submit(pool, step, &stage, NULL)};
        muster_task child = submit_after(pool, &stage, both, 2), grandchild = submit_after(pool, &stage, &child, 1);
        options.after = &grandchild;
        options.after_n = 1;
        muster_task last = submit(pool, step, &stage, &options);
        if (forgotten) {
            assert_int_equal(muster_task_forget(root), MUSTER_OK);
            assert_int_equal(muster_task_forget(child), MUSTER_OK);
        }
        assert_int_equal(muster_event_set(stage.go), MUSTER_OK);
        assert_int_equal(get(last), 2 * forgotten + 1);
        assert_int_equal(muster_task_get(grandchild, NULL, 0, MUSTER_FOREVER), MUSTER_ERR_CANCELED);
        assert_non_null(strstr(muster_pool_last_error()->text, "which has not gone well"));
        if (!forgotten) {
            assert_int_equal(muster_task_get(child, NULL, 0, MUSTER_FOREVER), MUSTER_ERR_CANCELED);
            assert_int_equal(muster_task_get(root, NULL, 0, MUSTER_FOREVER), MUSTER_ERR_TASK);
        }
        assert_int_equal(get(both[1]), 2 * forgotten);
        assert_int_equal(muster_event_clear(stage.go), MUSTER_OK);
    }
    assert_int_equal(now(stage.count), 4);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
    stage_end(&stage);
}

/* Held ones are canceled as queued ones are, and what follows those hears of it. */
static void test_cancel_held(void **state)
{
    (void)state;
    void *children = (void *)&isolated;
    muster_pool pool = pool_make(&children, 2, 0);
    struct stage stage = stage_make();
    muster_task root = submit(pool, wait_here, &stage, NULL), held[WIDE];
    for (int i = 0; i < WIDE; i++)
        held[i] = submit_after(pool, &stage, &root, 1);
    muster_task after = submit_after(pool, &stage, &held[7], 1);
    assert_int_equal(muster_task_cancel(held[7], false), MUSTER_OK);
    assert_int_equal(muster_task_get(held[7], NULL, 0, MUSTER_FOREVER), MUSTER_ERR_CANCELED);
    assert_int_equal(muster_task_get(after, NULL, 0, MUSTER_FOREVER), MUSTER_ERR_CANCELED);
    assert_int_equal(muster_task_get(held[8], NULL, 0, 1), MUSTER_ERR_TIMEOUT);
    assert_int_equal(muster_event_set(stage.go), MUSTER_OK);
    for (int i = 0; i < WIDE; i++)
        if (i != 7)
            assert_in_range(get(held[i]), 0, WIDE - 2);
    assert_int_equal(muster_event_clear(stage.go), MUSTER_OK);
    /* all of them at once */
    muster_task again = submit(pool, wait_here, &stage, NULL);
    assert_int_equal(get(root), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(muster_semaphore_acquire(stage.begun, MUSTER_FOREVER), MUSTER_OK);
    for (int i = 0; i < WIDE; i++)
        held[i] = submit_after(pool, &stage, &again, 1);
    assert_int_equal(muster_pool_cancel_pending(pool), MUSTER_OK);
    for (int i = 0; i < WIDE; i++)
        assert_int_equal(muster_task_get(held[i], NULL, 0, MUSTER_FOREVER), MUSTER_ERR_CANCELED);
    assert_int_equal(muster_event_set(stage.go), MUSTER_OK);
    assert_int_equal(get(again), 0);
    assert_int_equal(now(stage.count), WIDE - 1);
    assert_int_equal(muster_pool_close(pool), MUSTER_OK);
    assert_int_equal(muster_pool_join(pool, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
    stage_end(&stage);
}

/* Submits a chain of which it keeps the last one. */
static int nested(const void *item, void *result, const void *user)
{
    struct stage stage = *(const struct stage *)item;
    muster_task last, next;
    if (muster_pool_submit(muster_task_pool(), &last, step, &stage, sizeof stage, 0, NULL))
        return 1;
    for (int i = 0; i < 20; i++, last = next)
        if (muster_pool_submit(muster_task_pool(), &next, step, &stage, sizeof stage, 0,
                               &(muster_submit_options){.after = &last, .after_n = 1}) ||
            muster_task_forget(last))
            return 2;
    if (muster_task_get(last, NULL, 0, MUSTER_FOREVER))
        return 3;
    return step(item, result, user);
}

static void test_nested(void **state)
{
    muster_pool pool = pool_make(state, 0, 0);
    struct stage stage = stage_make();
    muster_task tasks[WIDE];
    for (int i = 0; i < WIDE; i++)
        tasks[i] = submit(pool, nested, &stage, NULL);
    for (int i = 0; i < WIDE; i++)
        get(tasks[i]);
    assert_int_equal(now(stage.count), 22 * WIDE);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
    stage_end(&stage);
}

/* Workers die in tasks that others follow: what follows is run once they have ended well, or not at all. */
static void test_deaths(void **state)
{
    (void)state;
    void *children = (void *)&isolated;
    muster_pool pool = pool_make(&children, 0, 3);
    struct stage stage = stage_make(), fatal = stage;
    fatal.dies = 1000000;
    for (int round = 0; round < 10; round++) {
        muster_task layers[4][8];
        int64_t before;
        assert_int_equal(muster_value_i64_add(stage.deaths, -now(stage.deaths), &before), MUSTER_OK);
        assert_int_equal(muster_value_i64_add(stage.count, -now(stage.count), &before), MUSTER_OK);
        stage.dies = 3; /* of the first, whichever those are */
        for (int layer = 0; layer < 4; layer++)
            for (int i = 0; i < 8; i++) {
                stage.least = 8 * layer;
                muster_submit_options options = {
                    .after = layer ? layers[layer - 1] : NULL, .after_n = layer ? 8 : 0, .priority = i % 3 - 1};
                layers[layer][i] = submit(pool, step, &stage, &options);
            }
        muster_task dies = submit(pool, step, &fatal, &(muster_submit_options){.retries = MUSTER_NO_RETRIES});
        muster_task follows = submit_after(pool, &stage, &dies, 1);
        for (int layer = 0; layer < 4; layer++)
            for (int i = 0; i < 8; i++)
                assert_in_range(get(layers[layer][i]), 8 * layer, 8 * layer + 7);
        assert_int_equal(muster_task_get(dies, NULL, 0, MUSTER_FOREVER), MUSTER_ERR_CRASHED);
        assert_int_equal(muster_task_get(follows, NULL, 0, MUSTER_FOREVER), MUSTER_ERR_CANCELED);
    }
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
    stage_end(&stage);
}

static int tell_pid(const void *item, void *result, const void *user)
{
    (void)item;
    (void)user;
    *(int64_t *)result = getpid();
    return 0;
}

/* Workers are killed while their tasks submit what follows other tasks. */
static void test_kills(void **state)
{
    (void)state;
    void *children = (void *)&isolated;
    muster_pool pool = pool_make(&children, 0, 255);
    struct stage stage = stage_make();
    muster_task tasks[WIDE];
    int workers;
    assert_int_equal(muster_pool_workers(pool, &workers), MUSTER_OK);
    for (int i = 0; i < WIDE; i++)
        tasks[i] = submit(pool, nested, &stage, NULL);
    for (int i = 0; i < 40; i++) {
        const muster_submit_options options = {.aim = MUSTER_AIM_WORKER, .aim_at = i % workers, .priority = 1};
        kill((pid_t)get(submit(pool, tell_pid, &stage, &options)), SIGKILL);
    }
    for (int i = 0; i < WIDE; i++)
        get(tasks[i]);
    assert_int_equal(muster_pool_close(pool), MUSTER_OK);
    assert_int_equal(muster_pool_join(pool, MUSTER_FOREVER), MUSTER_OK);
    assert_true(now(stage.count) >= 22 * WIDE);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
    stage_end(&stage);
}

/* ---- priorities ---- */

/* One worker, which is taken while they come, or is the calling thread, which runs none before it waits. */
static void test_priorities(void **state)
{
    enum { KINDS = 7, EACH = 12 };
    static const int32_t priority[KINDS] = {0, -5, 3, 1000000, -5, 3, 0};
    static const int64_t before[KINDS] = {3, 5, 1, 0, 5, 1, 3}; /* kinds that come before */
    static const int64_t beside[KINDS] = {0, 0, 0, 0, 1, 1, 1}; /* the older one of two kinds that take turns */
    muster_pool pool = pool_make(state, 1, 0);
    struct stage stage = stage_make();
    muster_task tasks[KINDS][EACH], blocker;
    muster_group group;
    bool busy = *(const bool *)*state;
    assert_int_equal(muster_group_create(&group, pool), MUSTER_OK);
    if (busy) {
        blocker = submit(pool, wait_here, &stage, NULL);
        assert_int_equal(muster_semaphore_acquire(stage.begun, MUSTER_FOREVER), MUSTER_OK);
    }
    for (int i = 0; i < EACH; i++)
        for (int kind = 0; kind < KINDS; kind++)
            tasks[kind][i] =
                submit(pool, step, &stage, &(muster_submit_options){.priority = priority[kind], .group = &group});
    assert_int_equal(muster_event_set(stage.go), MUSTER_OK);
    assert_int_equal(muster_group_wait(group, MUSTER_FOREVER), MUSTER_OK);
    for (int kind = 0; kind < KINDS; kind++)
        for (int i = 0; i < EACH; i++) {
            int64_t place = get(tasks[kind][i]), first = before[kind] * EACH;
            if (!priority[kind]) /* as they come: from the one end of the line, or from the other */
                assert_in_range(place, first, first + 2 * EACH - 1);
            else
                assert_int_equal(place, first + (priority[kind] == 1000000 ? i : 2 * i + beside[kind]));
        }
    if (busy)
        get(blocker);
    assert_int_equal(muster_group_destroy(group), MUSTER_OK);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
    stage_end(&stage);
}

/* Those that are taken, canceled, got and forgotten in any order leave the line as it was. */
static void test_priorities_left(void **state)
{
    muster_pool pool = pool_make(state, 1, 0);
    struct stage stage = stage_make();
    muster_task tasks[500], blocker = submit(pool, wait_here, &stage, NULL);
    muster_stream random = muster_stream_make(11, 0);
    int64_t left = 0;
    if (*(const bool *)*state)
        assert_int_equal(muster_semaphore_acquire(stage.begun, MUSTER_FOREVER), MUSTER_OK);
    for (int i = 0; i < 500; i++)
        tasks[i] = submit(pool, step, &stage,
                          &(muster_submit_options){.priority = (int32_t)(muster_stream_u32(&random) % 9) + 1});
    for (int i = 0; i < 500; i++)
        if (muster_stream_u32(&random) % 3 == 0) {
            assert_int_equal(muster_task_cancel(tasks[i], false), MUSTER_OK);
            assert_int_equal(muster_task_get(tasks[i], NULL, 0, MUSTER_FOREVER), MUSTER_ERR_CANCELED);
            tasks[i].handle.generation = 0;
        } else {
            left++;
        }
    assert_int_equal(muster_event_set(stage.go), MUSTER_OK);
    for (int i = 0; i < 500; i++)
        if (tasks[i].handle.generation)
            assert_in_range(get(tasks[i]), 0, left - 1);
    get(blocker);
    assert_int_equal(now(stage.count), left);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
    stage_end(&stage);
}

/* ---- for somebody ---- */

struct where {
    int worker, rank;
    char host[64];
};

static int tell_where(const void *item, void *result, const void *user)
{
    struct where *where = result;
    (void)item;
    (void)user;
    where->worker = muster_task_worker();
    where->rank = muster_rank();
    strncpy(where->host, muster_host(), sizeof where->host - 1);
    return 0;
}

static muster_task ask(muster_pool pool, muster_aim aim, int at)
{
    muster_task task;
    muster_submit_options options = {.aim = aim, .aim_at = at};
    assert_int_equal(muster_pool_submit(pool, &task, tell_where, NULL, 0, sizeof(struct where), &options), MUSTER_OK);
    return task;
}

static struct where answer(muster_task task)
{
    struct where where = {0};
    assert_int_equal(muster_task_get(task, &where, sizeof where, MUSTER_FOREVER), MUSTER_OK);
    return where;
}

static void test_aims(void **state)
{
    enum { TIMES = 20, MOST = 16 };
    muster_pool pool = pool_make(state, 0, 0);
    muster_task by_worker[MOST][TIMES], by_rank[MOST][TIMES], by_host[MOST][TIMES];
    int workers, ranks = muster_ranks(), hosts = muster_hosts();
    assert_int_equal(muster_pool_workers(pool, &workers), MUSTER_OK);
    assert_true(workers == ranks && ranks <= MOST);
    for (int i = 0; i < TIMES; i++)
        for (int at = 0; at < ranks; at++) {
            by_worker[at][i] = ask(pool, MUSTER_AIM_WORKER, at);
            by_rank[at][i] = ask(pool, MUSTER_AIM_RANK, at);
            by_host[at % hosts][i] = at < hosts ? ask(pool, MUSTER_AIM_HOST, at) : by_host[at % hosts][i];
        }
    for (int i = 0; i < TIMES; i++)
        for (int at = 0; at < ranks; at++) {
            assert_int_equal(answer(by_worker[at][i]).worker, at);
            struct where where = answer(by_rank[at][i]);
            assert_int_equal(where.rank, at);
            assert_int_equal(where.worker, at); /* here those have one each, in the order of ranks */
            if (at >= hosts)
                continue;
            int first = at * (ranks / hosts);
            assert_in_range(answer(by_host[at][i]).rank, first, first + ranks / hosts - 1 + (at == hosts - 1) * ranks);
        }
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
}

/* While it is taken nobody else runs what is for it. */
static void test_aim_waits(void **state)
{
    (void)state;
    void *children = (void *)&isolated;
    struct stage stage = stage_make();
    muster_pool pool = pool_make(&children, 3, 0);
    for (int at = 0; at < 3; at++) {
        bool ready = true;
        muster_submit_options options = {.aim = MUSTER_AIM_WORKER, .aim_at = at};
        muster_task blocker = submit(pool, wait_here, &stage, &options), plain[WIDE];
        assert_int_equal(muster_semaphore_acquire(stage.begun, MUSTER_FOREVER), MUSTER_OK);
        muster_task aimed = ask(pool, MUSTER_AIM_WORKER, at);
        for (int i = 0; i < WIDE; i++)
            plain[i] = ask(pool, MUSTER_AIM_ANY, 0);
        for (int i = 0; i < WIDE; i++)
            assert_true(answer(plain[i]).worker != at);
        assert_int_equal(muster_task_ready(aimed, &ready), MUSTER_OK);
        assert_false(ready);
        assert_int_equal(muster_event_set(stage.go), MUSTER_OK);
        assert_int_equal(answer(aimed).worker, at);
        get(blocker);
        assert_int_equal(muster_event_clear(stage.go), MUSTER_OK);
    }
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
    stage_end(&stage);
}

/* Who takes a dead worker's place runs what was for that. */
static void test_aim_replaced(void **state)
{
    (void)state;
    void *children = (void *)&isolated;
    struct stage stage = stage_make();
    muster_pool pool = pool_make(&children, 3, 2);
    stage.dies = 2;
    for (int at = 0; at < 3; at++) {
        int64_t before;
        muster_submit_options options = {.aim = MUSTER_AIM_WORKER, .aim_at = at};
        assert_int_equal(muster_value_i64_add(stage.deaths, -now(stage.deaths), &before), MUSTER_OK);
        muster_task dies = submit(pool, step, &stage, &options), aimed = ask(pool, MUSTER_AIM_WORKER, at);
        assert_int_equal(answer(aimed).worker, at);
        assert_int_equal(get(dies), at);
        assert_int_equal(now(stage.deaths), 3);
    }
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
    stage_end(&stage);
}

/* From a task: for its own host, and for another one. */
static int submits_for_rank(const void *item, void *result, const void *user)
{
    int rank = *(const int *)item;
    struct where where;
    muster_task task;
    muster_submit_options options = {.aim = MUSTER_AIM_RANK, .aim_at = rank};
    (void)user;
    muster_err err = muster_pool_submit(muster_task_pool(), &task, tell_where, NULL, 0, sizeof where, &options);
    *(muster_err *)result = err;
    if (err)
        return 0;
    if (muster_task_get(task, &where, sizeof where, MUSTER_FOREVER))
        return 1;
    return where.rank == rank ? 0 : 2;
}

static void test_aims_of_tasks(void **state)
{
    muster_pool pool = pool_make(state, 0, 0);
    int ranks = muster_ranks(), a_host = ranks / muster_hosts();
    for (int from = 0; from < ranks; from++)
        for (int to = 0; to < ranks; to++) {
            muster_task task;
            muster_err err = MUSTER_ERR_INVAL;
            muster_submit_options options = {.aim = MUSTER_AIM_RANK, .aim_at = from};
            bool reaches = muster_hosts() == 1 || from / a_host == to / a_host || from / a_host == 0;
            assert_int_equal(muster_pool_submit(pool, &task, submits_for_rank, &to, sizeof to, sizeof err, &options),
                             MUSTER_OK);
            assert_int_equal(muster_task_get(task, &err, sizeof err, MUSTER_FOREVER), MUSTER_OK);
            assert_int_equal(err, reaches ? MUSTER_OK : MUSTER_ERR_UNSUPPORTED);
        }
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
}

/* ---- bad input ---- */

static muster_err try_submit(muster_pool pool, const muster_submit_options *options)
{
    muster_task task = {{0}};
    muster_err err = muster_pool_submit(pool, &task, tell_where, NULL, 0, sizeof(struct where), options);
    assert_true(err == MUSTER_OK || task.handle.generation == 0);
    return err;
}

static void test_bad_input(void **state)
{
    muster_pool pool = pool_make(state, 1, 0), other = pool_make(state, 0, 0);
    struct stage stage = stage_make();
    muster_task good = submit(pool, step, &stage, NULL), gone = submit(pool, step, &stage, NULL),
                others = submit(other, step, &stage, NULL), none = {{0}};
    muster_group group;
    assert_int_equal(muster_group_create(&group, pool), MUSTER_OK);
    muster_task as_task = {group.handle}, mixed[2] = {good, gone};
    get(gone);
    const struct {
        muster_submit_options options;
        muster_err err;
    } bad[] = {
        {{.after = NULL, .after_n = 1}, MUSTER_ERR_INVAL},
        {{.after = &good, .after_n = -1}, MUSTER_ERR_INVAL},
        {{.after = &good, .after_n = INT64_MAX}, MUSTER_ERR_INVAL},
        {{.after = &good, .after_n = (1 << 24) + 1}, MUSTER_ERR_INVAL},
        {{.after = &others, .after_n = 1}, MUSTER_ERR_INVAL},
        {{.after = &gone, .after_n = 1}, MUSTER_ERR_STALE},
        {{.after = mixed, .after_n = 2}, MUSTER_ERR_STALE},
        {{.after = &none, .after_n = 1}, MUSTER_ERR_STALE},
        {{.after = &as_task, .after_n = 1}, MUSTER_ERR_STALE},
        {{.aim = (muster_aim)4}, MUSTER_ERR_INVAL},
        {{.aim = (muster_aim)-1}, MUSTER_ERR_INVAL},
        {{.aim = MUSTER_AIM_WORKER, .aim_at = -1}, MUSTER_ERR_INVAL},
        {{.aim = MUSTER_AIM_WORKER, .aim_at = 1}, MUSTER_ERR_INVAL},
        {{.aim = MUSTER_AIM_RANK, .aim_at = -1}, MUSTER_ERR_INVAL},
        {{.aim = MUSTER_AIM_RANK, .aim_at = muster_ranks()}, MUSTER_ERR_INVAL},
        {{.aim = MUSTER_AIM_HOST, .aim_at = -1}, MUSTER_ERR_INVAL},
        {{.aim = MUSTER_AIM_HOST, .aim_at = muster_hosts()}, MUSTER_ERR_INVAL},
        {{.aim = MUSTER_AIM_HOST, .reserved = {1}}, MUSTER_ERR_INVAL},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(try_submit(pool, &bad[i].options), bad[i].err);
    if (muster_ranks() > 1) { /* the pool's one worker is rank 0's */
        assert_int_equal(try_submit(pool, &(muster_submit_options){.aim = MUSTER_AIM_RANK, .aim_at = 1}),
                         MUSTER_ERR_INVAL);
        assert_string_equal(muster_err_detail(), "muster_pool_submit: the pool has no worker on rank 1");
    }
    get(good);
    get(others);
    assert_int_equal(muster_pool_close(pool), MUSTER_OK); /* none of those was queued */
    assert_int_equal(muster_pool_join(pool, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(now(stage.count), 3);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
    assert_int_equal(muster_pool_destroy(other), MUSTER_OK);
    stage_end(&stage);
}

/* A pool that ends while some are held, or for somebody. */
static void test_end(void **state)
{
    struct stage stage = stage_make();
    muster_pool pool = pool_make(state, 0, 0);
    muster_task root = submit(pool, wait_here, &stage, NULL), held = submit_after(pool, &stage, &root, 1);
    ask(pool, MUSTER_AIM_WORKER, 0);
    submit_after(pool, &stage, &held, 1);
    submit(pool, step, &stage, &(muster_submit_options){.priority = -1});
    assert_int_equal(muster_event_set(stage.go), MUSTER_OK);
    assert_int_equal(muster_pool_terminate(pool), MUSTER_OK);
    muster_err err = muster_task_get(held, NULL, 0, MUSTER_FOREVER);
    assert_true(err == MUSTER_ERR_CANCELED || err == MUSTER_OK || err == MUSTER_ERR_TOOBIG);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
    stage_end(&stage);
}

#define BOTH(f) cmocka_unit_test_prestate(f, (void *)&in_rank), cmocka_unit_test_prestate(f, (void *)&isolated)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_chain),
        BOTH(test_many_to_one),
        BOTH(test_after_ended),
        BOTH(test_after_failed),
        cmocka_unit_test(test_cancel_held),
        BOTH(test_nested),
        cmocka_unit_test(test_deaths),
        cmocka_unit_test(test_kills),
        BOTH(test_priorities),
        BOTH(test_priorities_left),
        BOTH(test_aims),
        cmocka_unit_test(test_aim_waits),
        cmocka_unit_test(test_aim_replaced),
        BOTH(test_aims_of_tasks),
        BOTH(test_bad_input),
        BOTH(test_end),
    };
    return mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "place");
}
