/* SPDX-License-Identifier: BSD-3-Clause */
// Something of each public header, as C++ sees it.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <muster/error.h>
#include <muster/lock.h>
#include <muster/pool.h>
#include <muster/process.h>
#include <muster/queue.h>
#include <muster/random.h>
#include <muster/runtime.h>
#include <muster/topology.h>

static_assert(MUSTER_VERSION_MAJOR * 1000 + MUSTER_VERSION_MINOR >= 2, "versions are numbers");
static_assert(MUSTER_NOWAIT == 0 && MUSTER_FOREVER == -1, "times are numbers");

struct shared {
    muster_queue numbers;
    muster_lock lock;
};

static int square(const void *item, void *result, const void *user)
{
    int n = *static_cast<const int *>(item);
    *static_cast<int *>(result) = n * n * *static_cast<const int *>(user);
    return 0;
}

static int add(void *accumulated, const void *value, const void *)
{
    *static_cast<int *>(accumulated) += *static_cast<const int *>(value);
    return 0;
}

static int put_numbers(const void *arg, size_t)
{
    shared with = *static_cast<const shared *>(arg);
    muster_err err = muster_lock_acquire(with.lock, MUSTER_FOREVER);
    for (int i = 0; i < 10 && err == MUSTER_OK; i++)
        err = muster_queue_put(with.numbers, &i, sizeof i, MUSTER_NOWAIT);
    return err || muster_lock_release(with.lock) || muster_queue_close(with.numbers) ? 1 : 0;
}

// Calls note where they are made, and are plain functions all the same: they have an address, and may be qualified.
static bool notes_sites()
{
    muster_err (*acquire)(muster_lock, int64_t) = muster_lock_acquire;
    muster_lock none = muster_lock();
    char expected[80];
    std::snprintf(expected, sizeof expected, "muster_lock_acquire at everything.cpp:%d", __LINE__ + 1);
    if (::muster_lock_acquire(none, MUSTER_NOWAIT) != MUSTER_ERR_STALE || std::strcmp(muster_site, expected) != 0)
        return false;
    return (muster_lock_destroy)(none) == MUSTER_ERR_STALE && acquire(none, MUSTER_NOWAIT) == MUSTER_ERR_STALE &&
           std::strcmp(muster_site, expected) == 0;
}

static void must(muster_err err)
{
    if (err == MUSTER_OK)
        return;
    std::printf("%s: %s: %s\n", muster_err_name(err), muster_err_text(err), muster_err_detail());
    std::exit(1);
}

// The numbers 0 to 9, from a process on the last rank.
static void fetch(int (&numbers)[10])
{
    shared with;
    muster_queue_options queue = muster_queue_options();
    muster_lock_options lock = {};
    muster_process_options there = muster_process_options();
    queue.on = lock.on = muster_on_rank(0);
    there.on = muster_on_rank(muster_ranks() - 1);
    must(muster_queue_create(&with.numbers, &queue));
    must(muster_lock_create(&with.lock, &lock));
    muster_process process;
    must(muster_process_create(&process, put_numbers, &with, sizeof with, &there));
    must(muster_process_start(process));
    for (int &number : numbers)
        must(muster_queue_get(with.numbers, &number, sizeof number, nullptr, MUSTER_FOREVER));
    muster_process_status status;
    must(muster_process_join(process, &status, MUSTER_FOREVER));
    must(muster_process_close(process));
    if (status.exit_code || status.signal)
        must(MUSTER_ERR_CRASHED);
}

static int sum_of_squares(muster_pool pool, const int (&numbers)[10])
{
    int squares[10], sum = 0, first = 0;
    must(muster_pool_map(pool, square, numbers, 10, sizeof(int), squares, sizeof(int), nullptr));
    must(muster_pool_reduce(pool, nullptr, add, squares, 10, sizeof(int), &sum, sizeof(int), nullptr));

    muster_task task;
    muster_submit_options once = muster_submit_options();
    once.retries = MUSTER_NO_RETRIES;
    must(muster_pool_submit(pool, &task, square, &numbers[9], sizeof(int), sizeof(int), &once));
    must(muster_task_get(task, &first, sizeof first, MUSTER_FOREVER));

    muster_items items = {numbers, 10, sizeof(int), 0};
    muster_imap *imap;
    must(muster_pool_imap(pool, &imap, square, muster_items_next, &items, sizeof(int), sizeof(int), nullptr));
    int value, again = 0;
    while (muster_imap_next(imap, &value, nullptr, MUSTER_FOREVER) == MUSTER_OK)
        again += value;
    muster_imap_end(imap);
    return first == 81 && again == sum ? sum : -1;
}

int main(int argc, char **argv)
{
    muster_options options = muster_options();
    options.placement = MUSTER_PLACE_SPREAD;
    must(muster_init(&argc, &argv, &options));
    int numbers[10], one = 1;
    fetch(numbers);
    muster_pool_options pool_options = muster_pool_options();
    pool_options.user = &one;
    pool_options.user_bytes = sizeof one;
    muster_pool pool;
    must(muster_pool_create(&pool, &pool_options));
    int sum = sum_of_squares(pool, numbers);
    must(muster_pool_destroy(pool));
    muster_stream stream = muster_stream_make(1, 2);
    double drawn = muster_stream_f64(&stream);
    if (!notes_sites() || muster_cores() < 1 || drawn < 0 || drawn >= 1 || std::strcmp(muster_version(), MUSTER_VERSION) != 0)
        return 1;
    std::printf("sum of squares %d, version %s\n", sum, muster_version());
    return muster_finalize();
}
