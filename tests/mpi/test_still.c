/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * 52 and 68: waits that nobody can end are found, said and ended, and no others. LIMIT_MS is for how long they must
 * have lasted. What is not to be found lasts for long_ms(): until it would have been, if it looked like one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <muster/muster.h>

#include "support/mpi_case.h"

enum { LIMIT_MS = 500, MANY = 16 };

static int long_ms(void)
{
    return LIMIT_MS + (muster_hosts() > 1 ? 3000 : 2000);
}

static void pass(int ms)
{
    struct timespec left = {ms / 1000, ms % 1000 * 1000000L};
    while (nanosleep(&left, &left) != 0)
        ;
}

static void compute(int ms)
{
    struct timespec now, end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    int64_t until = end.tv_sec * INT64_C(1000) + end.tv_nsec / 1000000 + ms;
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while (now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000 < until);
}

/* ---- what this process says on stderr ---- */

static struct {
    int kept, file;
    char text[32768];
} said;

static void listen_begin(void)
{
    char path[] = "/tmp/muster-still-XXXXXX";
    fflush(stderr);
    said.kept = dup(STDERR_FILENO);
    said.file = mkstemp(path);
    assert_true(said.file >= 0);
    unlink(path);
    dup2(said.file, STDERR_FILENO);
}

static const char *listen_end(void)
{
    dup2(said.kept, STDERR_FILENO);
    ssize_t size = pread(said.file, said.text, sizeof said.text - 1, 0);
    said.text[size > 0 ? size : 0] = '\0';
    close(said.kept);
    close(said.file);
    return said.text;
}

static int count(const char *text, const char *what)
{
    int found = 0;
    for (; (text = strstr(text, what)); text += strlen(what))
        found++;
    return found;
}

static void assert_says(const char *text, const char *what)
{
    if (!strstr(text, what))
        fail_msg("\"%s\" is not said in:\n%s", what, text);
}

static void assert_silent(const char *text)
{
    if (strstr(text, "deadlock"))
        fail_msg("a false alarm:\n%s", text);
}

/* ---- processes ---- */

static muster_process start(muster_process_fn fn, const void *arg, size_t size, int rank, const char *name)
{
    muster_process process;
    muster_process_options options = {.name = name, .on = muster_on_rank(rank)};
    assert_int_equal(muster_process_create(&process, fn, arg, size, &options), MUSTER_OK);
    assert_int_equal(muster_process_start(process), MUSTER_OK);
    return process;
}

/* Waits with deadlines alone, so that this thread may still do something. */
static int end_of(muster_process process)
{
    muster_process_status status;
    muster_err err;
    while ((err = muster_process_join(process, &status, 50)) == MUSTER_ERR_TIMEOUT)
        ;
    assert_int_equal(err, MUSTER_OK);
    assert_int_equal(muster_process_close(process), MUSTER_OK);
    return status.signal ? 1000 + status.signal : status.exit_code;
}

static muster_queue queue_on(int rank, const char *name)
{
    muster_queue queue;
    muster_queue_options options = {.name = name, .on = muster_on_rank(rank)};
    assert_int_equal(muster_queue_create(&queue, &options), MUSTER_OK);
    return queue;
}

static muster_lock lock_on(int rank, const char *name)
{
    muster_lock lock;
    muster_lock_options options = {.name = name, .on = muster_on_rank(rank)};
    assert_int_equal(muster_lock_create(&lock, &options), MUSTER_OK);
    return lock;
}

static int last_rank(void)
{
    return muster_ranks() - 1;
}

/* ---- what is to be found ---- */

static void alone(int home)
{
    int item;
    char place[80];
    muster_queue queue = queue_on(home, "jobs");
    listen_begin();
    snprintf(place, sizeof place, "in muster_queue_get at test_still.c:%d", __LINE__ + 1);
    muster_err err = muster_queue_get(queue, &item, sizeof item, NULL, MUSTER_FOREVER);
    const char *text = listen_end();
    assert_int_equal(err, MUSTER_ERR_DEADLOCK);
    assert_says(muster_err_detail(), "muster_queue_get at test_still.c");
    assert_int_equal(count(text, "stands still"), 1);
    assert_says(text, "rank 0 waits for queue");
    assert_says(text, "'jobs'");
    assert_says(text, place);
    if (muster_ranks() > 1)
        assert_says(text, "idle");
    assert_int_equal(muster_queue_get(queue, &item, sizeof item, NULL, MUSTER_NOWAIT), MUSTER_ERR_EMPTY);
    assert_int_equal(muster_queue_put(queue, &item, sizeof item, MUSTER_NOWAIT), MUSTER_OK);
    assert_int_equal(muster_queue_get(queue, &item, sizeof item, NULL, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(muster_queue_destroy(queue), MUSTER_OK);
}

static void test_alone(void **state)
{
    (void)state;
    alone(0);
    if (muster_hosts() > 1)
        alone(last_rank());
}

/* Returns 7 if the wait ended as one that nobody could end. */
static int get_one(const void *arg, size_t size)
{
    (void)size;
    char item[64];
    muster_err err = muster_queue_get(*(const muster_queue *)arg, item, sizeof item, NULL, MUSTER_FOREVER);
    return err == MUSTER_ERR_DEADLOCK ? 7 : err == MUSTER_OK ? 0 : 1;
}

/* Everybody waits: children on all ranks, each for another's item, and this thread for all of them. */
static void test_everybody(void **state)
{
    (void)state;
    int n = muster_ranks();
    muster_queue queues[MANY];
    muster_process children[MANY];
    for (int i = 0; i < n; i++) {
        queues[i] = queue_on(n - 1 - i, "hand to hand");
        children[i] = start(get_one, &queues[i], sizeof queues[i], i, "taker");
    }
    listen_begin();
    muster_err err = muster_process_wait(children, n, true, NULL, MUSTER_FOREVER);
    const char *text = listen_end();
    assert_true(err == MUSTER_ERR_DEADLOCK || err == MUSTER_OK); /* the children's waits end, too */
    assert_int_equal(count(text, "stands still"), 1);
    assert_int_equal(count(text, "'hand to hand'"), n);
    assert_says(text, "taker of rank 0");
    assert_says(text, "muster_process_wait at test_still.c");
    for (int i = 0; i < n; i++) {
        assert_int_equal(end_of(children[i]), 7);
        assert_int_equal(muster_queue_destroy(queues[i]), MUSTER_OK);
    }
}

/* ---- circles ---- */

struct crossing {
    muster_lock mine, other;
    muster_queue ready;
};

/* Returns 7 if the wait for the other one's lock was in vain, 0 if that became free. */
static int cross(const void *arg, size_t size)
{
    (void)size;
    const struct crossing *c = arg;
    char there = 1;
    if (muster_lock_acquire(c->mine, MUSTER_FOREVER) || muster_queue_put(c->ready, &there, 1, MUSTER_FOREVER))
        return 1;
    while (true) { /* until both have theirs */
        int64_t items;
        if (muster_queue_size(c->ready, &items))
            return 1;
        if (items == 2)
            break;
        pass(5);
    }
    muster_err err = muster_lock_acquire(c->other, MUSTER_FOREVER);
    if (!err && muster_lock_release(c->other))
        return 1;
    if (muster_lock_release(c->mine))
        return 1;
    return err == MUSTER_ERR_DEADLOCK ? 7 : err ? 1 : 0;
}

/* While this thread may still do something. */
static void test_circle(void **state)
{
    (void)state;
    muster_lock a = lock_on(0, "a"), b = lock_on(last_rank(), "b");
    struct crossing one = {a, b, queue_on(0, "ready")}, two = {b, a, one.ready};
    listen_begin();
    muster_process first = start(cross, &one, sizeof one, 0, "first"),
                   second = start(cross, &two, sizeof two, last_rank(), "second");
    int ends = end_of(first) + end_of(second);
    listen_end(); /* one of those who wait has said it, perhaps not this process */
    assert_true(ends == 7 || ends == 14);
    assert_int_equal(muster_lock_acquire(a, MUSTER_NOWAIT), MUSTER_OK);
    assert_int_equal(muster_lock_acquire(b, MUSTER_NOWAIT), MUSTER_OK);
    assert_int_equal(muster_lock_destroy(a), MUSTER_OK);
    assert_int_equal(muster_lock_destroy(b), MUSTER_OK);
    assert_int_equal(muster_queue_destroy(one.ready), MUSTER_OK);
}

/* ---- in pools ---- */

static int get_in_task(const void *item, void *result, const void *user)
{
    (void)user;
    char got[64];
    muster_err *err = result;
    *err = muster_queue_get(*(const muster_queue *)item, got, sizeof got, NULL, MUSTER_FOREVER);
    return 0;
}

static void in_pool(bool isolated)
{
    muster_pool pool;
    muster_pool_options options = {.name = "workers", .workers = 2, .isolated = isolated};
    if (muster_ranks() < 2 && !isolated)
        options.workers = 1;
    muster_queue queue = queue_on(0, "nothing");
    muster_task task;
    muster_err err = MUSTER_OK;
    assert_int_equal(muster_pool_create(&pool, &options), MUSTER_OK);
    assert_int_equal(muster_pool_submit(pool, &task, get_in_task, &queue, sizeof queue, sizeof err, NULL), MUSTER_OK);
    listen_begin();
    muster_err got = muster_task_get(task, &err, sizeof err, MUSTER_FOREVER);
    const char *text = listen_end();
    assert_int_equal(count(text, "stands still"), 1);
    assert_says(text, "'nothing'");
    if (isolated)
        assert_says(text, "results of pool");
    if (got == MUSTER_ERR_DEADLOCK) /* both waits were in vain */
        got = muster_task_get(task, &err, sizeof err, MUSTER_FOREVER);
    assert_int_equal(got, MUSTER_OK);
    assert_int_equal(err, MUSTER_ERR_DEADLOCK);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
    assert_int_equal(muster_queue_destroy(queue), MUSTER_OK);
}

static void test_in_pools(void **state)
{
    (void)state;
    in_pool(false);
    in_pool(true);
}

/* ---- what is not to be found ---- */

enum busy { COMPUTES, SLEEPS, WAITS_FOR_A_TIME };

struct giver {
    muster_queue queue, never;
    enum busy busy;
};

static int give_late(const void *arg, size_t size)
{
    (void)size;
    const struct giver *giver = arg;
    char item = 1;
    if (giver->busy == COMPUTES)
        compute(long_ms());
    else if (giver->busy == SLEEPS)
        pass(long_ms());
    else if (muster_queue_get(giver->never, &item, 1, NULL, long_ms()) != MUSTER_ERR_EMPTY)
        return 1;
    return muster_queue_put(giver->queue, &item, 1, MUSTER_FOREVER);
}

static void test_others_may_act(void **state)
{
    (void)state;
    char item;
    struct giver giver = {queue_on(0, "late"), queue_on(last_rank(), "never"), COMPUTES};
    for (; giver.busy <= WAITS_FOR_A_TIME; giver.busy += muster_ranks() > 2 ? 2 : 1) {
        listen_begin();
        muster_process process = start(give_late, &giver, sizeof giver, last_rank(), "giver");
        muster_err err = muster_queue_get(giver.queue, &item, 1, NULL, MUSTER_FOREVER);
        assert_silent(listen_end());
        assert_int_equal(err, MUSTER_OK);
        assert_int_equal(end_of(process), 0);
    }
    assert_int_equal(muster_queue_destroy(giver.queue), MUSTER_OK);
    assert_int_equal(muster_queue_destroy(giver.never), MUSTER_OK);
}

/* A thread that has not come to muster yet. */
static void *give_from_thread(void *arg)
{
    char item = 1;
    pass(long_ms());
    return (void *)(intptr_t)muster_queue_put(*(muster_queue *)arg, &item, 1, MUSTER_FOREVER);
}

static void test_unknown_threads_may_act(void **state)
{
    (void)state;
    char item;
    void *result;
    pthread_t thread;
    muster_queue queue = queue_on(0, "from a thread");
    listen_begin();
    assert_int_equal(pthread_create(&thread, NULL, give_from_thread, &queue), 0);
    muster_err err = muster_queue_get(queue, &item, 1, NULL, MUSTER_FOREVER);
    assert_silent(listen_end());
    assert_int_equal(err, MUSTER_OK);
    pthread_join(thread, &result);
    assert_null(result);
    assert_int_equal(muster_queue_destroy(queue), MUSTER_OK);
}

struct echo {
    muster_queue there, back;
};

static int echo_one(const void *arg, size_t size)
{
    (void)size;
    const struct echo *echo = arg;
    char item;
    return muster_queue_get(echo->there, &item, 1, NULL, MUSTER_FOREVER) ||
           muster_queue_put(echo->back, &item, 1, MUSTER_FOREVER);
}

/* What it waits for has come, but it is stopped; nobody whom muster knows will have it go on. */
static void test_stopped_processes_may_act(void **state)
{
    (void)state;
    char item = 1, command[120];
    muster_process_info info;
    struct echo echo = {queue_on(0, "there"), queue_on(0, "back")};
    muster_process process = start(echo_one, &echo, sizeof echo, 0, "echo");
    do
        assert_int_equal(muster_process_get_info(process, &info), MUSTER_OK);
    while (!info.pid);
    pass(100); /* it waits by then, or is stopped before, which is as good */
    assert_int_equal(kill((pid_t)info.pid, SIGSTOP), 0);
    snprintf(command, sizeof command, "(sleep %d.%d; kill -CONT %d) >/dev/null 2>&1 &", long_ms() / 1000,
             long_ms() % 1000 / 100, (int)info.pid);
    assert_int_equal(system(command), 0);
    listen_begin();
    assert_int_equal(muster_queue_put(echo.there, &item, 1, MUSTER_FOREVER), MUSTER_OK);
    muster_err err = muster_queue_get(echo.back, &item, 1, NULL, MUSTER_FOREVER);
    assert_silent(listen_end());
    assert_int_equal(err, MUSTER_OK);
    assert_int_equal(end_of(process), 0);
    assert_int_equal(muster_queue_destroy(echo.there), MUSTER_OK);
    assert_int_equal(muster_queue_destroy(echo.back), MUSTER_OK);
}

static int long_task(const void *item, void *result, const void *user)
{
    (void)item;
    (void)result;
    (void)user;
    pass(long_ms());
    return 0;
}

static void test_workers_may_act(void **state)
{
    (void)state;
    int items[MANY] = {0};
    muster_pool pool;
    muster_pool_options options = {.isolated = muster_ranks() % 4 == 2, .caller_idle = true};
    assert_int_equal(muster_pool_create(&pool, &options), MUSTER_OK);
    listen_begin();
    muster_err err = muster_pool_map(pool, long_task, items, muster_ranks(), sizeof *items, NULL, 0, NULL);
    assert_silent(listen_end());
    assert_int_equal(err, MUSTER_OK);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
}

/* ---- messages under way ---- */

enum { HANDS = 150 };

static int pass_on(const void *arg, size_t size)
{
    (void)size;
    const struct echo *echo = arg;
    int32_t item;
    unsigned seed = (unsigned)getpid();
    for (int i = 0; i < HANDS; i++) {
        if (muster_queue_get(echo->there, &item, sizeof item, NULL, MUSTER_FOREVER))
            return 1;
        if (rand_r(&seed) % 8 == 0)
            pass(rand_r(&seed) % 50);
        if (muster_queue_put(echo->back, &item, sizeof item, MUSTER_FOREVER))
            return 2;
    }
    return 0;
}

/* One item goes round through all ranks: at each moment all but one wait, or all, and it is on its way. */
static void test_what_is_under_way_is_no_alarm(void **state)
{
    (void)state;
    int n = muster_ranks();
    int32_t item = 5;
    muster_queue queues[MANY + 1];
    muster_process children[MANY];
    for (int i = 0; i <= n; i++)
        queues[i] = queue_on(i % n, "round");
    for (int i = 0; i < n; i++)
        children[i] = start(pass_on, &(struct echo){queues[i], queues[i + 1]}, sizeof(struct echo), i, "hand");
    listen_begin();
    muster_err err = MUSTER_OK;
    for (int i = 0; i < HANDS && !err; i++) {
        err = muster_queue_put(queues[0], &item, sizeof item, MUSTER_FOREVER);
        if (!err)
            err = muster_queue_get(queues[n], &item, sizeof item, NULL, MUSTER_FOREVER);
    }
    assert_silent(listen_end());
    assert_int_equal(err, MUSTER_OK);
    for (int i = 0; i < n; i++)
        assert_int_equal(end_of(children[i]), 0);
    for (int i = 0; i <= n; i++)
        assert_int_equal(muster_queue_destroy(queues[i]), MUSTER_OK);
}

int main(int argc, char **argv)
{
    char limit[16];
    snprintf(limit, sizeof limit, "%d", LIMIT_MS);
    setenv("MUSTER_DEADLOCK_MS", limit, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alone),
        cmocka_unit_test(test_everybody),
        cmocka_unit_test(test_circle),
        cmocka_unit_test(test_in_pools),
        cmocka_unit_test(test_others_may_act),
        cmocka_unit_test(test_unknown_threads_may_act),
        cmocka_unit_test(test_stopped_processes_may_act),
        cmocka_unit_test(test_workers_may_act),
        cmocka_unit_test(test_what_is_under_way_is_no_alarm),
    };
    return mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "still");
}
