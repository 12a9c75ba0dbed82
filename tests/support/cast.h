/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For suites under mpirun: rank 0's main program and processes placed on all ranks, which talk over queues. Objects are
 * at home where main is, and on the last host.
 */
#ifndef MUSTER_TESTS_CAST_H
#define MUSTER_TESTS_CAST_H

#include "support/mpi_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <muster/muster.h>

/* In a process: says what was wrong, and ends it. */
#define MUST(what)                                                                                                     \
    do {                                                                                                               \
        if (!(what)) {                                                                                                 \
            fprintf(stderr, "rank %d, pid %d: %s:%d: not so: %s; %s\n", muster_rank(), (int)getpid(), __FILE__,        \
                    __LINE__, #what, muster_err_detail());                                                             \
            exit(9);                                                                                                   \
        }                                                                                                              \
    } while (0)

static inline int last_rank(void)
{
    return muster_ranks() - 1;
}

static inline muster_object_options at_rank(int rank)
{
    return (muster_object_options){.name = "test", .on = muster_on_rank(rank)};
}

/* The ranks whose hosts objects are at home on, in turn: main's, and the last one if that is another. */
#define FOR_EACH_HOME(rank) for (int rank = 0; rank < muster_ranks(); rank += last_rank() ? last_rank() : 1)

/* The number of processes that use something together: each rank has one, but for four at least and eight at most. */
static inline int crowd(void)
{
    return muster_ranks() < 4 ? 4 : muster_ranks() > 8 ? 8 : muster_ranks();
}

static inline muster_process start_on(int rank, muster_process_fn fn, const void *arg, size_t size)
{
    muster_process process;
    muster_process_options options = {.on = muster_on_rank(rank % muster_ranks())};
    assert_int_equal(muster_process_create(&process, fn, arg, size, &options), MUSTER_OK);
    assert_int_equal(muster_process_start(process), MUSTER_OK);
    return process;
}

static inline void join(muster_process process)
{
    muster_process_status status;
    assert_int_equal(muster_process_join(process, &status, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(status.signal, 0);
    assert_int_equal(status.exit_code, 0);
    assert_int_equal(muster_process_close(process), MUSTER_OK);
}

/* Killed, if it did not end before. */
static inline void end_by_kill(muster_process process)
{
    assert_int_equal(muster_process_kill(process), MUSTER_OK);
    assert_int_equal(muster_process_join(process, NULL, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(muster_process_close(process), MUSTER_OK);
}

/* One on each rank, from the first on, crowd() of them. */
static inline void start_crowd(muster_process *processes, muster_process_fn fn, const void *arg, size_t size)
{
    for (int i = 0; i < crowd(); i++)
        processes[i] = start_on(i, fn, arg, size);
}

static inline void join_crowd(const muster_process *processes)
{
    for (int i = 0; i < crowd(); i++)
        join(processes[i]);
}

static inline muster_queue queue_make(void)
{
    muster_queue queue;
    assert_int_equal(muster_queue_create(&queue, NULL), MUSTER_OK);
    return queue;
}

static inline void say(muster_queue queue, int64_t what)
{
    MUST(muster_queue_put(queue, &what, sizeof what, MUSTER_FOREVER) == MUSTER_OK);
}

static inline int64_t hear(muster_queue queue)
{
    int64_t what = -1;
    MUST(muster_queue_get(queue, &what, sizeof what, NULL, MUSTER_FOREVER) == MUSTER_OK);
    return what;
}

static inline void hear_times(muster_queue queue, int n, int64_t what)
{
    for (int i = 0; i < n; i++)
        assert_int_equal(hear(queue), what);
}

static inline int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static inline void nap_us(int us)
{
    nanosleep(&(struct timespec){.tv_nsec = us * 1000L}, NULL);
}

/* That the call has taken T ms, and, in the best of some tries, not over 20 ms more: others run here, too. */
#define ASSERT_TAKES(ms, call, expected)                                                                               \
    do {                                                                                                               \
        int64_t least_ns = INT64_MAX;                                                                                  \
        for (int try_ = 0; try_ < 8 && least_ns > ((ms) + 20) * INT64_C(1000000); try_++) {                            \
            int64_t began_ns = now_ns();                                                                               \
            assert_int_equal(call, expected);                                                                          \
            int64_t took_ns = now_ns() - began_ns;                                                                     \
            assert_true(took_ns >= (ms)*INT64_C(1000000));                                                             \
            least_ns = took_ns < least_ns ? took_ns : least_ns;                                                        \
        }                                                                                                              \
        assert_true(least_ns <= ((ms) + 20) * INT64_C(1000000));                                                       \
    } while (0)

#endif
