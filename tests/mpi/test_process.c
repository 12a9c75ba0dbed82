/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Process, conformance 1 to 8 and 10.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <muster/muster.h>

#include "support/mpi_case.h"

static void nap(int ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
    while (nanosleep(&t, &t) != 0)
        ;
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static muster_process start(muster_process_fn fn, const void *arg, size_t size)
{
    muster_process process;
    assert_int_equal(muster_process_create(&process, fn, arg, size, NULL), MUSTER_OK);
    assert_int_equal(muster_process_start(process), MUSTER_OK);
    return process;
}

static muster_process_status join(muster_process process)
{
    muster_process_status status = {.exit_code = -1, .signal = -1};
    assert_int_equal(muster_process_join(process, &status, MUSTER_FOREVER), MUSTER_OK);
    return status;
}

static void expect(muster_process process, int exit_code, int signal)
{
    muster_process_status status = join(process);
    assert_int_equal(status.signal, signal);
    assert_int_equal(status.exit_code, exit_code);
    assert_int_equal(muster_process_close(process), MUSTER_OK);
}

/* ---- what processes run ---- */

static int return_arg(const void *arg, size_t size)
{
    return size == sizeof(int) ? *(const int *)arg : 99;
}

static int exit_three(const void *arg, size_t size)
{
    (void)arg;
    (void)size;
    exit(3);
}

static int sleep_long(const void *arg, size_t size)
{
    (void)arg;
    (void)size;
    while (pause() != 0)
        ;
    return 0;
}

static int kill_self(const void *arg, size_t size)
{
    (void)size;
    signal(SIGABRT, SIG_DFL);
    raise(*(const int *)arg);
    return 0;
}

__attribute__((no_sanitize("undefined", "address"))) static int touch_null(const void *arg, size_t size)
{
    (void)size;
    volatile int *volatile nowhere = NULL;
    *nowhere = arg != NULL;
    return 0;
}

/* ---- 1 ---- */

static int global = 1;

struct place {
    muster_queue queue;
};

static int report_place(const void *arg, size_t size)
{
    (void)size;
    const struct place *place = arg;
    global = 77;
    char cores[64] = "";
    cpu_set_t set;
    sched_getaffinity(0, sizeof set, &set);
    snprintf(cores, sizeof cores, "%d %d", (int)getpid(), CPU_COUNT(&set));
    return muster_queue_put(place->queue, cores, sizeof cores, MUSTER_FOREVER) == MUSTER_OK && muster_is_child() ? 0
                                                                                                                 : 1;
}

static void test_own_memory(void **state)
{
    (void)state;
    struct place place;
    char text[64];
    int pid, count;
    assert_int_equal(muster_queue_create(&place.queue, NULL), MUSTER_OK);
    muster_process process = start(report_place, &place, sizeof place);
    assert_int_equal(muster_queue_get(place.queue, text, sizeof text, NULL, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(sscanf(text, "%d %d", &pid, &count), 2);
    assert_int_not_equal(pid, getpid());
    assert_true(count >= 1);
    muster_process_info info;
    assert_int_equal(join(process).exit_code, 0);
    assert_int_equal(muster_process_get_info(process, &info), MUSTER_OK);
    assert_int_equal(info.pid, pid);
    assert_int_equal(global, 1);
    assert_int_equal(muster_process_close(process), MUSTER_OK);
    assert_int_equal(muster_queue_destroy(place.queue), MUSTER_OK);
}

/* ---- 2 ---- */

static void test_join_timeout(void **state)
{
    (void)state;
    muster_process process = start(sleep_long, NULL, 0);
    muster_process_status status = {.exit_code = 5, .signal = 6};
    assert_int_equal(muster_process_join(process, &status, MUSTER_NOWAIT), MUSTER_ERR_TIMEOUT);
    int64_t began = now_ms();
    assert_int_equal(muster_process_join(process, &status, 20), MUSTER_ERR_TIMEOUT);
    assert_true(now_ms() - began >= 19);
    assert_int_equal(status.exit_code, 5); /* untouched */
    muster_process_info info;
    assert_int_equal(muster_process_get_info(process, &info), MUSTER_OK);
    assert_int_equal(info.state, MUSTER_PROCESS_ALIVE);
    assert_int_equal(muster_process_terminate(process), MUSTER_OK);
    for (int i = 0; i < 2; i++) {
        status = join(process);
        assert_int_equal(status.signal, SIGTERM);
    }
    assert_int_equal(muster_process_close(process), MUSTER_OK);
}

/* ---- 3 ---- */

static void test_states(void **state)
{
    (void)state;
    muster_process process;
    int zero = 0;
    assert_int_equal(muster_process_create(&process, sleep_long, NULL, 0, NULL), MUSTER_OK);
    assert_int_equal(muster_process_join(process, NULL, MUSTER_FOREVER), MUSTER_ERR_STATE);
    assert_int_equal(muster_process_kill(process), MUSTER_ERR_STATE);
    assert_int_equal(muster_process_start(process), MUSTER_OK);
    assert_int_equal(muster_process_start(process), MUSTER_ERR_STATE);
    assert_int_equal(muster_process_close(process), MUSTER_ERR_STATE);
    assert_int_equal(muster_process_kill(process), MUSTER_OK);
    assert_int_equal(join(process).signal, SIGKILL);
    assert_int_equal(muster_process_kill(process), MUSTER_OK); /* ended: nothing to do */
    assert_int_equal(muster_process_close(process), MUSTER_OK);
    assert_int_equal(muster_process_close(process), MUSTER_OK);
    muster_process_info info;
    assert_int_equal(muster_process_start(process), MUSTER_ERR_STATE);
    assert_int_equal(muster_process_join(process, NULL, 0), MUSTER_ERR_STATE);
    assert_int_equal(muster_process_terminate(process), MUSTER_ERR_STATE);
    assert_int_equal(muster_process_get_info(process, &info), MUSTER_ERR_STATE);

    assert_int_equal(muster_process_create(&process, return_arg, &zero, sizeof zero, NULL), MUSTER_OK);
    assert_int_equal(muster_process_close(process), MUSTER_OK); /* never started */
    assert_int_equal(muster_process_create(&process, NULL, NULL, 0, NULL), MUSTER_ERR_INVAL);
    assert_int_equal(muster_process_create(&process, (muster_process_fn)(void *)&process, NULL, 0, NULL),
                     MUSTER_ERR_NOFUNC);
    muster_process none = {{0}};
    assert_int_equal(muster_process_start(none), MUSTER_ERR_STALE);
}

/* ---- 4, 6 ---- */

static void test_exit_codes(void **state)
{
    (void)state;
    const int codes[] = {0, 8, 255}, signals[] = {SIGKILL, SIGABRT, SIGTERM};
    for (int i = 0; i < 3; i++)
        expect(start(return_arg, &codes[i], sizeof codes[i]), codes[i], 0);
    expect(start(exit_three, NULL, 0), 3, 0);
    for (int i = 0; i < 3; i++)
        expect(start(kill_self, &signals[i], sizeof signals[i]), 0, signals[i]);
    expect(start(touch_null, NULL, 0), 0, SIGSEGV);

    muster_process process = start(sleep_long, NULL, 0);
    muster_process_info info;
    do
        assert_int_equal(muster_process_get_info(process, &info), MUSTER_OK);
    while (!info.pid);
    assert_int_equal(kill((pid_t)info.pid, SIGKILL), 0); /* from outside */
    expect(process, 0, SIGKILL);
}

/* ---- 5 ---- */

static void test_many(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++)
        expect(start(return_arg, &i, sizeof i), i, 0);
    muster_process processes[32];
    for (int i = 0; i < 32; i++)
        processes[i] = start(return_arg, &i, sizeof i);
    for (int i = 0; i < 32; i++)
        expect(processes[i], i, 0);
}

/* ---- 7 ---- */

static void test_wait(void **state)
{
    (void)state;
    muster_process processes[3];
    int first = 7, zero = 0;
    assert_int_equal(muster_process_wait(NULL, 0, true, &first, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(first, -1);
    processes[0] = start(sleep_long, NULL, 0);
    processes[1] = start(return_arg, &zero, sizeof zero);
    processes[2] = start(sleep_long, NULL, 0);
    assert_int_equal(muster_process_wait(processes, 3, false, &first, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(first, 1);
    first = 7;
    assert_int_equal(muster_process_wait(processes, 3, true, &first, 10), MUSTER_ERR_TIMEOUT);
    assert_int_equal(first, 7);
    assert_int_equal(muster_process_kill(processes[0]), MUSTER_OK);
    assert_int_equal(muster_process_kill(processes[2]), MUSTER_OK);
    assert_int_equal(muster_process_wait(processes, 3, true, &first, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(first, 0);
    for (int i = 0; i < 3; i++)
        expect(processes[i], 0, i == 1 ? 0 : SIGKILL);
}

/* ---- 8 ---- */

static void test_info(void **state)
{
    (void)state;
    muster_process process;
    muster_process_info info;
    assert_int_equal(muster_process_create(&process, sleep_long, NULL, 0, &(muster_process_options){.name = "sleeper"}),
                     MUSTER_OK);
    assert_int_equal(muster_process_get_info(process, &info), MUSTER_OK);
    assert_string_equal(info.name, "sleeper");
    assert_int_equal(info.state, MUSTER_PROCESS_CREATED);
    assert_int_equal(info.rank, -1);
    assert_int_equal(muster_process_start(process), MUSTER_OK);
    assert_int_equal(muster_process_join(process, NULL, 1), MUSTER_ERR_TIMEOUT);
    assert_non_null(strstr(muster_err_detail(), "sleeper"));
    assert_non_null(strstr(muster_err_detail(), muster_host()));
    assert_int_equal(muster_process_get_info(process, &info), MUSTER_OK);
    assert_int_equal(info.state, MUSTER_PROCESS_ALIVE);
    assert_in_range(info.rank, 0, muster_ranks() - 1);
    assert_string_equal(info.host, muster_host());
    assert_true(strlen(info.cores) > 0);
    assert_int_equal(muster_process_kill(process), MUSTER_OK);
    join(process);
    assert_int_equal(muster_process_get_info(process, &info), MUSTER_OK);
    assert_int_equal(info.state, MUSTER_PROCESS_ENDED);
    assert_int_equal(info.status.signal, SIGKILL);
    assert_int_equal(muster_process_close(process), MUSTER_OK);
}

/* ---- 9, 10: children of children ---- */

struct family {
    muster_queue pids;
    bool stay;
};

static int tell_pid_and_sleep(const void *arg, size_t size)
{
    (void)size;
    const struct family *family = arg;
    int pid = getpid();
    muster_queue_put(family->pids, &pid, sizeof pid, MUSTER_FOREVER);
    while (pause() != 0)
        ;
    return 0;
}

static int parent(const void *arg, size_t size)
{
    (void)size;
    const struct family *family = arg;
    muster_process child;
    if (muster_process_create(&child, tell_pid_and_sleep, family, sizeof *family, NULL) || muster_process_start(child))
        return 1;
    if (family->stay)
        for (;;)
            pause();
    muster_process_join(child, NULL, 100); /* it has told its pid by then, or is killed before */
    return 0;
}

static bool gone(int pid)
{
    return kill(pid, 0) != 0 && errno == ESRCH;
}

static void test_orphans(void **state)
{
    (void)state;
    struct family family;
    assert_int_equal(muster_queue_create(&family.pids, NULL), MUSTER_OK);
    for (int stay = 0; stay < 2; stay++) {
        family.stay = stay;
        muster_process process = start(parent, &family, sizeof family);
        int pid = 0;
        assert_int_equal(muster_queue_get(family.pids, &pid, sizeof pid, NULL, MUSTER_FOREVER), MUSTER_OK);
        assert_int_not_equal(pid, 0);
        if (stay)
            assert_int_equal(muster_process_kill(process), MUSTER_OK);
        expect(process, 0, stay ? SIGKILL : 0);
        int64_t patience = now_ms() + 2000;
        while (!gone(pid) && now_ms() < patience)
            nap(5);
        assert_true(gone(pid));
    }
    assert_int_equal(muster_queue_destroy(family.pids), MUSTER_OK);
}

/* ---- 43: a holder that dies, told to the next; 53: a busy rank delays nobody ---- */

static int take_and_die(const void *arg, size_t size)
{
    (void)size;
    const muster_lock *lock = arg;
    if (muster_lock_acquire(*lock, MUSTER_FOREVER) != MUSTER_OK)
        return 1;
    raise(SIGKILL);
    return 0;
}

static void test_holder_dies(void **state)
{
    (void)state;
    muster_lock lock;
    assert_int_equal(muster_lock_create(&lock, NULL), MUSTER_OK);
    for (int i = 0; i < 5; i++) {
        expect(start(take_and_die, &lock, sizeof lock), 0, SIGKILL);
        assert_int_equal(muster_lock_acquire(lock, 5000), MUSTER_ERR_OWNER_DEAD);
        assert_int_equal(muster_lock_release(lock), MUSTER_OK);
        assert_int_equal(muster_lock_acquire(lock, 0), MUSTER_OK);
        assert_int_equal(muster_lock_release(lock), MUSTER_OK);
    }
    assert_int_equal(muster_lock_destroy(lock), MUSTER_OK);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_memory), cmocka_unit_test(test_join_timeout), cmocka_unit_test(test_states),
        cmocka_unit_test(test_exit_codes), cmocka_unit_test(test_many),         cmocka_unit_test(test_wait),
        cmocka_unit_test(test_info),       cmocka_unit_test(test_orphans),      cmocka_unit_test(test_holder_dies),
    };
    return mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "process");
}
