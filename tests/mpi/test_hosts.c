/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is special about several hosts: where processes go, who ends with whom, what travels. Rank 0 is on the first
 * host, the last rank on the last one.
 */
#include "support/mpi_case.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <muster/muster.h>

static muster_queue queue_make(void)
{
    muster_queue queue;
    assert_int_equal(muster_queue_create(&queue, NULL), MUSTER_OK);
    return queue;
}

static int last_rank(void)
{
    return muster_ranks() - 1;
}

static muster_process start_on(int rank, muster_process_fn fn, const void *arg, size_t size)
{
    muster_process process;
    muster_process_options options = {.name = "abroad", .on = muster_on_rank(rank)};
    assert_int_equal(muster_process_create(&process, fn, arg, size, &options), MUSTER_OK);
    assert_int_equal(muster_process_start(process), MUSTER_OK);
    return process;
}

static void join(muster_process process)
{
    muster_process_status status;
    assert_int_equal(muster_process_join(process, &status, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(status.signal, 0);
    assert_int_equal(status.exit_code, 0);
    assert_int_equal(muster_process_close(process), MUSTER_OK);
}

static void nap_ms(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

/* ---- children ---- */

static int tell_rank(const void *arg, size_t size)
{
    (void)size;
    int32_t rank = muster_rank();
    return muster_queue_put(*(const muster_queue *)arg, &rank, sizeof rank, MUSTER_FOREVER) != MUSTER_OK;
}

static int sleep_ms(const void *arg, size_t size)
{
    (void)size;
    nap_ms(*(const int *)arg);
    return 0;
}

static int sleep_for_ever(const void *arg, size_t size)
{
    (void)arg;
    (void)size;
    while (pause() == -1 && errno == EINTR)
        ;
    return 1;
}

/* Starts a process on rank 0's host, tells its pid, and waits to be killed. */
static int parent(const void *arg, size_t size)
{
    muster_process child;
    muster_process_info info = {0};
    int rank = 0;
    muster_process_options options = {.on = muster_on_rank(rank)};
    if (muster_process_create(&child, sleep_for_ever, NULL, 0, &options) || muster_process_start(child))
        return 1;
    while (info.pid == 0)
        if (muster_process_get_info(child, &info))
            return 2;
    if (muster_queue_put(*(const muster_queue *)arg, &info.pid, sizeof info.pid, MUSTER_FOREVER))
        return 3;
    return sleep_for_ever(arg, size);
}

/* Sends each item back, byte by byte changed. */
static int echo(const void *arg, size_t size)
{
    (void)size;
    const muster_queue *queues = arg;
    size_t room = 64u << 20, bytes;
    unsigned char *item = malloc(room);
    if (!item)
        return 1;
    while (muster_queue_get(queues[0], item, room, &bytes, MUSTER_FOREVER) == MUSTER_OK) {
        for (size_t i = 0; i < bytes; i++)
            item[i] ^= 0x5a;
        if (muster_queue_put(queues[1], item, bytes, MUSTER_FOREVER))
            return 2;
    }
    free(item);
    return 0;
}

/* ---- cases ---- */

static void hosts_are_several(void **state)
{
    (void)state;
    assert_true(muster_hosts() >= 2);
}

static void process_goes_where_asked(void **state)
{
    (void)state;
    muster_queue queue = queue_make();
    for (int rank = 0; rank < muster_ranks(); rank++) {
        int32_t told = -1;
        muster_process_info info;
        muster_process process = start_on(rank, tell_rank, &queue, sizeof queue);
        assert_int_equal(muster_queue_get(queue, &told, sizeof told, NULL, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(told, rank);
        assert_int_equal(muster_process_get_info(process, &info), MUSTER_OK);
        assert_int_equal(info.rank, rank);
        assert_string_equal(info.name, "abroad");
        join(process);
    }
    int beyond = muster_ranks();
    muster_process none;
    muster_process_options options = {.on = muster_on_rank(beyond)};
    assert_int_equal(muster_process_create(&none, tell_rank, NULL, 0, &options), MUSTER_ERR_INVAL);
    assert_int_equal(muster_queue_destroy(queue), MUSTER_OK);
}

/* More than the cores of one host: the others are used. */
static void processes_use_all_hosts(void **state)
{
    (void)state;
    enum { MANY = 64 };
    int n = muster_cores() * muster_hosts() < MANY ? muster_cores() * muster_hosts() : MANY;
    muster_queue queue = queue_make();
    muster_process processes[MANY];
    bool used[1024] = {false};
    int ms = 300, hosts = 0;
    for (int i = 0; i < n; i++) {
        muster_process_info info;
        assert_int_equal(muster_process_create(&processes[i], sleep_ms, &ms, sizeof ms, NULL), MUSTER_OK);
        assert_int_equal(muster_process_start(processes[i]), MUSTER_OK);
        assert_int_equal(muster_process_get_info(processes[i], &info), MUSTER_OK);
        int host = (int)(processes[i].handle.kind_home & 0xffffff);
        hosts += !used[host];
        used[host] = true;
    }
    for (int i = 0; i < n; i++)
        join(processes[i]);
    assert_int_equal(hosts, muster_hosts());
    assert_int_equal(muster_queue_destroy(queue), MUSTER_OK);
}

static void wait_over_hosts(void **state)
{
    (void)state;
    int soon = 50, late = 400, first = -2;
    muster_process processes[3] = {
        start_on(0, sleep_ms, &late, sizeof late),
        start_on(last_rank(), sleep_ms, &soon, sizeof soon),
        start_on(last_rank(), sleep_for_ever, NULL, 0),
    };
    assert_int_equal(muster_process_wait(processes + 2, 1, true, &first, 20), MUSTER_ERR_TIMEOUT);
    assert_int_equal(first, -2);
    assert_int_equal(muster_process_wait(processes, 3, false, &first, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(first, 1);
    assert_int_equal(muster_process_wait(processes, 2, true, &first, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(first, 0);
    assert_int_equal(muster_process_wait(processes, 3, true, NULL, 20), MUSTER_ERR_TIMEOUT);
    assert_int_equal(muster_process_kill(processes[2]), MUSTER_OK);
    assert_int_equal(muster_process_wait(processes, 3, true, NULL, MUSTER_FOREVER), MUSTER_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(muster_process_close(processes[i]), MUSTER_OK);
    assert_int_equal(muster_process_wait(processes, 3, true, NULL, MUSTER_FOREVER), MUSTER_ERR_STATE);
}

/* 10, between hosts. The hosts of this suite are one machine: a pid says who lives. */
static void child_abroad_ends_with_its_parent(void **state)
{
    (void)state;
    muster_queue queue = queue_make();
    muster_process process = start_on(last_rank(), parent, &queue, sizeof queue);
    int64_t pid = 0;
    assert_int_equal(muster_queue_get(queue, &pid, sizeof pid, NULL, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(kill((pid_t)pid, 0), 0);
    assert_int_equal(muster_process_kill(process), MUSTER_OK);
    int tries = 0;
    while (kill((pid_t)pid, 0) == 0 && tries++ < 2000)
        nap_ms(1);
    assert_int_equal(kill((pid_t)pid, 0), -1);
    assert_int_equal(errno, ESRCH);
    assert_int_equal(muster_process_join(process, NULL, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(muster_process_close(process), MUSTER_OK);
    assert_int_equal(muster_queue_destroy(queue), MUSTER_OK);
}

static void items_of_any_size_travel(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 16000, 16384, 16385, 60000, 60001, 1 << 20, 40 << 20};
    enum { SIZES = sizeof sizes / sizeof *sizes, LARGEST = 40 << 20 };
    muster_queue queues[2] = {queue_make(), queue_make()};
    muster_process process = start_on(last_rank(), echo, queues, sizeof queues);
    unsigned char *item = malloc(LARGEST), *back = malloc(LARGEST);
    assert_true(item && back);
    for (size_t i = 0; i < LARGEST; i++)
        item[i] = (unsigned char)(i * 2654435761u >> 13);
    for (int i = 0; i < SIZES; i++)
        assert_int_equal(muster_queue_put(queues[0], item, sizes[i], MUSTER_FOREVER), MUSTER_OK);
    for (int i = 0; i < SIZES; i++) {
        size_t bytes = 1234567;
        assert_int_equal(muster_queue_get(queues[1], back, LARGEST, &bytes, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(bytes, sizes[i]);
        size_t wrong = 0;
        for (size_t b = 0; b < bytes; b++)
            wrong += back[b] != (item[b] ^ 0x5a);
        assert_int_equal(wrong, 0);
    }
    assert_int_equal(muster_queue_close(queues[0]), MUSTER_OK);
    join(process);
    free(item);
    free(back);
    for (int i = 0; i < 2; i++)
        assert_int_equal(muster_queue_destroy(queues[i]), MUSTER_OK);
}

/* ---- the home is another host: a child there makes the object, rank 0 uses it ---- */

struct lent {
    muster_queue queue;
    muster_lock lock;
};

static int lend(const void *arg, size_t size)
{
    (void)size;
    const muster_queue *queues = arg; /* to rank 0, from rank 0 */
    struct lent lent;
    char end;
    muster_queue_options two = {.name = "lent", .maxsize = 2};
    if (muster_queue_create(&lent.queue, &two) || muster_lock_create(&lent.lock, NULL) ||
        muster_lock_acquire(lent.lock, MUSTER_NOWAIT))
        return 1;
    if (muster_queue_put(queues[0], &lent, sizeof lent, MUSTER_FOREVER) ||
        muster_queue_get(queues[1], &end, 1, NULL, MUSTER_FOREVER) || muster_lock_release(lent.lock) ||
        muster_queue_get(queues[1], &end, 1, NULL, MUSTER_FOREVER))
        return 2;
    return muster_queue_destroy(lent.queue) || muster_lock_destroy(lent.lock) ? 3 : 0;
}

static void objects_of_another_host(void **state)
{
    (void)state;
    muster_queue queues[2] = {queue_make(), queue_make()};
    muster_process process = start_on(last_rank(), lend, queues, sizeof queues);
    struct lent lent;
    char item = 'a';
    int64_t items = -1;
    size_t bytes = 77;
    bool full = false, empty = true;
    assert_int_equal(muster_queue_get(queues[0], &lent, sizeof lent, NULL, MUSTER_FOREVER), MUSTER_OK);

    assert_int_equal(muster_queue_get(lent.queue, &item, 1, &bytes, MUSTER_NOWAIT), MUSTER_ERR_EMPTY);
    assert_int_equal(muster_queue_get(lent.queue, &item, 1, &bytes, 20), MUSTER_ERR_EMPTY);
    assert_int_equal(bytes, 77);
    assert_int_equal(muster_queue_put(lent.queue, "b", 1, MUSTER_NOWAIT), MUSTER_OK);
    assert_int_equal(muster_queue_put(lent.queue, "cde", 3, 20), MUSTER_OK);
    assert_int_equal(muster_queue_put(lent.queue, "f", 1, MUSTER_NOWAIT), MUSTER_ERR_FULL);
    assert_int_equal(muster_queue_put(lent.queue, "f", 1, 20), MUSTER_ERR_FULL);
    const char *detail = muster_err_detail(); /* home's, which knows the name, if it has answered in time */
    assert_true(strstr(detail, "'lent'") || strstr(detail, "did not answer in time"));
    assert_int_equal(muster_queue_size(lent.queue, &items), MUSTER_OK);
    assert_int_equal(items, 2);
    assert_int_equal(muster_queue_full(lent.queue, &full), MUSTER_OK);
    assert_int_equal(muster_queue_empty(lent.queue, &empty), MUSTER_OK);
    assert_true(full && !empty);
    assert_int_equal(muster_queue_get(lent.queue, &item, 1, NULL, MUSTER_NOWAIT), MUSTER_OK);
    assert_int_equal(item, 'b');
    assert_int_equal(muster_queue_get(lent.queue, &item, 1, &bytes, MUSTER_NOWAIT), MUSTER_ERR_TOOBIG);
    assert_int_equal(bytes, 3);
    assert_int_equal(item, 'b');
    assert_int_equal(muster_queue_task_done(lent.queue), MUSTER_OK);
    assert_int_equal(muster_queue_join(lent.queue, 20), MUSTER_ERR_TIMEOUT);
    assert_int_equal(muster_queue_task_done(lent.queue), MUSTER_OK);
    assert_int_equal(muster_queue_join(lent.queue, 20), MUSTER_OK);
    assert_int_equal(muster_queue_task_done(lent.queue), MUSTER_ERR_STATE);

    assert_int_equal(muster_lock_acquire(lent.lock, MUSTER_NOWAIT), MUSTER_ERR_BUSY);
    assert_int_equal(muster_lock_acquire(lent.lock, 20), MUSTER_ERR_TIMEOUT);
    assert_int_equal(muster_lock_release(lent.lock), MUSTER_ERR_STATE);
    assert_int_equal(muster_queue_put(queues[1], "x", 1, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(muster_lock_acquire(lent.lock, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(muster_lock_acquire(lent.lock, MUSTER_FOREVER), MUSTER_ERR_DEADLOCK);
    assert_int_equal(muster_lock_release(lent.lock), MUSTER_OK);

    assert_int_equal(muster_queue_put(queues[1], "x", 1, MUSTER_FOREVER), MUSTER_OK);
    join(process);
    assert_int_equal(muster_queue_size(lent.queue, &items), MUSTER_ERR_STALE);
    assert_int_equal(muster_lock_acquire(lent.lock, MUSTER_NOWAIT), MUSTER_ERR_STALE);
    lent.lock.handle.kind_home |= 0xffffff; /* a host that is not */
    assert_int_equal(muster_lock_acquire(lent.lock, MUSTER_NOWAIT), MUSTER_ERR_STALE);
    for (int i = 0; i < 2; i++)
        assert_int_equal(muster_queue_destroy(queues[i]), MUSTER_OK);
}

static int host_of(muster_handle handle)
{
    return (int)(handle.kind_home & 0xffffff);
}

/* By a process of the rank that was chosen. */
static int is_home(const void *arg, size_t size)
{
    (void)size;
    const struct lent *lent = arg;
    muster_queue own;
    if (muster_queue_create(&own, NULL))
        return 1;
    bool both = host_of(lent->queue.handle) == host_of(own.handle) && host_of(lent->lock.handle) == host_of(own.handle);
    return muster_queue_destroy(own) || !both ? 2 : 0;
}

static int pass_one_on(const void *arg, size_t size)
{
    (void)size;
    const struct lent *lent = arg;
    char item;
    if (muster_lock_acquire(lent->lock, MUSTER_FOREVER) || muster_queue_get(lent->queue, &item, 1, NULL, MUSTER_NOWAIT))
        return 1;
    item++;
    return muster_queue_put(lent->queue, &item, 1, MUSTER_NOWAIT) || muster_lock_release(lent->lock) ? 2 : 0;
}

static void home_is_chosen(void **state)
{
    (void)state;
    for (int rank = 0; rank < muster_ranks(); rank++) {
        struct lent lent;
        char item = 'a';
        int other = muster_ranks() - 1 - rank, wrong[] = {muster_ranks(), -1, INT32_MIN, INT32_MAX};
        muster_queue_options queue = {.name = "chosen", .maxsize = 1, .on = muster_on_rank(rank)};
        muster_lock_options lock = {.name = "chosen", .on = muster_on_rank(rank)};
        assert_int_equal(muster_queue_create(&lent.queue, &queue), MUSTER_OK);
        assert_int_equal(muster_lock_create(&lent.lock, &lock), MUSTER_OK);
        join(start_on(rank, is_home, &lent, sizeof lent));
        assert_int_equal(muster_queue_put(lent.queue, &item, 1, MUSTER_NOWAIT), MUSTER_OK);
        assert_int_equal(muster_queue_put(lent.queue, &item, 1, MUSTER_NOWAIT), MUSTER_ERR_FULL);
        assert_non_null(strstr(muster_err_detail(), "chosen"));
        join(start_on(other, pass_one_on, &lent, sizeof lent));
        assert_int_equal(muster_queue_get(lent.queue, &item, 1, NULL, MUSTER_NOWAIT), MUSTER_OK);
        assert_int_equal(item, 'b');
        assert_int_equal(muster_queue_destroy(lent.queue), MUSTER_OK);
        assert_int_equal(muster_lock_destroy(lent.lock), MUSTER_OK);
        for (int i = 0; i < 4; i++) {
            queue.on = lock.on = muster_on_rank(wrong[i]);
            assert_int_equal(muster_queue_create(&lent.queue, &queue), MUSTER_ERR_INVAL);
            assert_int_equal(muster_lock_create(&lent.lock, &lock), MUSTER_ERR_INVAL);
            assert_non_null(strstr(muster_err_detail(), "rank is"));
        }
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_are_several),
        cmocka_unit_test(process_goes_where_asked),
        cmocka_unit_test(processes_use_all_hosts),
        cmocka_unit_test(wait_over_hosts),
        cmocka_unit_test(child_abroad_ends_with_its_parent),
        cmocka_unit_test(items_of_any_size_travel),
        cmocka_unit_test(objects_of_another_host),
        cmocka_unit_test(home_is_chosen),
    };
    return mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "hosts");
}
