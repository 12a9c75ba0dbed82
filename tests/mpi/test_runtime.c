/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runtime: identity, functions by module and offset, threads as callers, 9, 53, 54, and what children inherit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
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

/* ---- who is who ---- */

static int own_rank(const void *item, void *result, const void *user)
{
    (void)item;
    (void)user;
    nap(5);
    *(int *)result = muster_is_child() ? -1 : muster_rank();
    return 0;
}

static void test_identity(void **state)
{
    (void)state;
    char host[256];
    assert_int_equal(gethostname(host, sizeof host), 0);
    assert_int_equal(muster_rank(), 0);
    assert_true(muster_ranks() >= 1);
    assert_true(muster_launched());
    assert_int_equal(muster_hosts(), 1);
    assert_string_equal(muster_host(), host);
    assert_false(muster_is_child());
    assert_true(muster_cores() >= 1);
    assert_int_equal(muster_interrupted(), 0);
    assert_string_equal(muster_version(), MUSTER_VERSION);
    assert_int_equal(muster_init(NULL, NULL, NULL), MUSTER_ERR_STATE); /* twice */
}

/* What a thread is told is what it is bound to, whoever bound it: all processors, then one of them. */
static int cores_by_binding(const void *item, void *result, const void *user)
{
    cpu_set_t before, all, one;
    int *cores = result;
    (void)item;
    (void)user;
    memset(&all, 0xff, sizeof all);
    CPU_ZERO(&one);
    if (sched_getaffinity(0, sizeof before, &before) || sched_setaffinity(0, sizeof all, &all))
        return 1;
    cores[0] = muster_worker_cores();
    for (int cpu = CPU_SETSIZE; cpu-- > 0;) {
        if (CPU_ISSET(cpu, &before)) {
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
        }
    }
    if (sched_setaffinity(0, sizeof one, &one))
        return 2;
    cores[1] = muster_worker_cores();
    return sched_setaffinity(0, sizeof before, &before) ? 3 : 0;
}

static void test_worker_cores(void **state)
{
    (void)state;
    int cores[2] = {0};
    assert_int_equal(cores_by_binding(NULL, cores, NULL), 0);
    assert_int_equal(cores[0], muster_cores());
    assert_int_equal(cores[1], 1);
    for (int isolated = 0; isolated < 2; isolated++) {
        muster_pool pool;
        muster_pool_options options = {.isolated = isolated, .workers = isolated};
        memset(cores, 0, sizeof cores);
        assert_int_equal(muster_pool_create(&pool, &options), MUSTER_OK);
        assert_int_equal(muster_pool_map(pool, cores_by_binding, "", 1, 1, cores, sizeof cores, NULL), MUSTER_OK);
        assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
        assert_int_equal(cores[0], muster_cores());
        assert_int_equal(cores[1], 1);
    }
}

static void test_all_ranks_serve(void **state)
{
    (void)state;
    enum { N = 200 };
    char items[N] = {0};
    int ranks[N], seen[64] = {0}, count = 0;
    muster_pool pool;
    assert_int_equal(muster_pool_create(&pool, NULL), MUSTER_OK);
    assert_int_equal(muster_pool_map(pool, own_rank, items, N, 1, ranks, sizeof *ranks, NULL), MUSTER_OK);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
    for (int i = 0; i < N; i++) {
        assert_in_range(ranks[i], 0, muster_ranks() - 1);
        count += !seen[ranks[i]]++;
    }
    assert_int_equal(count, muster_ranks());
}

static void test_topology(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    assert_int_equal(muster_topology_print(stream), MUSTER_OK);
    fclose(stream);
    assert_non_null(strstr(text, muster_host()));
    assert_non_null(strstr(text, "rank 0"));
    free(text);
}

/* ---- errors and stale handles ---- */

static void test_errors(void **state)
{
    (void)state;
    assert_string_equal(muster_err_name(MUSTER_ERR_TIMEOUT), "TIMEOUT");
    assert_string_equal(muster_err_name(12345), "UNKNOWN");
    muster_queue queue = {{0}};
    assert_int_equal(muster_queue_put(queue, "", 1, 0), MUSTER_ERR_STALE);
    assert_true(strlen(muster_err_detail()) > 10);
    muster_lock lock, old;
    assert_int_equal(muster_lock_create(&old, NULL), MUSTER_OK);
    assert_int_equal(muster_lock_destroy(old), MUSTER_OK);
    for (int i = 0; i < 100; i++) { /* whoever gets the slot next: the old handle never names it */
        assert_int_equal(muster_lock_create(&lock, NULL), MUSTER_OK);
        assert_int_equal(muster_lock_acquire(old, 0), MUSTER_ERR_STALE);
        assert_int_equal(muster_lock_destroy(lock), MUSTER_OK);
    }
    assert_int_equal(sizeof(muster_handle), 16);
}

/* ---- functions ---- */

static int run_in_child(muster_process_fn fn, const void *arg, size_t size)
{
    muster_process process;
    muster_process_status status = {.exit_code = -1, .signal = -1};
    assert_int_equal(muster_process_create(&process, fn, arg, size, NULL), MUSTER_OK);
    assert_int_equal(muster_process_start(process), MUSTER_OK);
    assert_int_equal(muster_process_join(process, &status, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(muster_process_close(process), MUSTER_OK);
    return status.signal ? 1000 + status.signal : status.exit_code;
}

/* a function of a shared library that the program is linked to, as the C library's labs: low 8 bits of an address's
 * absolute value are what matters not; that it is called at all is */
static void test_functions(void **state)
{
    (void)state;
    muster_process process;
    int on_stack;
    assert_int_equal(muster_process_create(&process, (muster_process_fn)(void *)&on_stack, NULL, 0, NULL),
                     MUSTER_ERR_NOFUNC);
    assert_true(strlen(muster_err_detail()) > 10);

    muster_process_fn from_library = (muster_process_fn)dlsym(RTLD_DEFAULT, "getpid");
    assert_non_null(from_library);
    assert_in_range(run_in_child(from_library, NULL, 0), 0, 255);

    /* opened after muster_init: children, forked from before, open it themselves */
    void *module = dlopen(TEST_MODULE, RTLD_NOW);
    assert_non_null(module);
    muster_process_fn late = (muster_process_fn)dlsym(module, "module_answer");
    assert_non_null(late);
    assert_int_equal(late(NULL, 0), 42);
    assert_int_equal(run_in_child(late, NULL, 0), 42);
    assert_int_equal(dlclose(module), 0);
}

static int open_module_and_run(const void *arg, size_t size)
{
    (void)arg;
    (void)size;
    void *module = dlopen(TEST_MODULE, RTLD_NOW);
    muster_process_fn answer = module ? (muster_process_fn)dlsym(module, "module_answer") : NULL;
    return answer ? answer(NULL, 0) : 1;
}

static void test_module_in_child(void **state)
{
    (void)state;
    assert_int_equal(run_in_child(open_module_and_run, NULL, 0), 42);
}

/* ---- threads of the program's own ---- */

struct shared {
    muster_lock lock;
    muster_pool pool;
    int64_t counter;
};

static int twice(const void *item, void *result, const void *user)
{
    (void)user;
    *(int64_t *)result = 2 * *(const int64_t *)item;
    return 0;
}

static void *use_everything(void *arg)
{
    struct shared *shared = arg;
    int64_t failures = 0;
    for (int64_t i = 0; i < 200; i++) {
        failures += muster_lock_acquire(shared->lock, MUSTER_FOREVER) != MUSTER_OK;
        shared->counter++;
        failures += muster_lock_release(shared->lock) != MUSTER_OK;
        muster_task task;
        int64_t result = 0;
        failures += muster_pool_submit(shared->pool, &task, twice, &i, sizeof i, sizeof i, NULL) != MUSTER_OK;
        failures += muster_task_get(task, &result, sizeof result, MUSTER_FOREVER) != MUSTER_OK;
        failures += result != 2 * i;
    }
    return (void *)(intptr_t)failures;
}

static void test_threads(void **state)
{
    (void)state;
    struct shared shared = {.counter = 0};
    pthread_t threads[4];
    assert_int_equal(muster_lock_create(&shared.lock, NULL), MUSTER_OK);
    assert_int_equal(muster_pool_create(&shared.pool, &(muster_pool_options){.workers = 2, .isolated = true}),
                     MUSTER_OK);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_everything, &shared), 0);
    for (int i = 0; i < 4; i++) {
        void *failures;
        assert_int_equal(pthread_join(threads[i], &failures), 0);
        assert_ptr_equal(failures, NULL);
    }
    assert_int_equal(shared.counter, 800);
    assert_int_equal(muster_pool_destroy(shared.pool), MUSTER_OK);
    assert_int_equal(muster_lock_destroy(shared.lock), MUSTER_OK);
}

/* ---- 9: a child uses what it was given, and starts children ---- */

struct given {
    muster_lock lock;
    muster_queue queue;
    muster_pool pool;
};

static int grandchild(const void *arg, size_t size)
{
    (void)size;
    const struct given *given = arg;
    int64_t from = 2;
    return muster_queue_put(given->queue, &from, sizeof from, MUSTER_FOREVER) == MUSTER_OK ? 5 : 6;
}

static int child(const void *arg, size_t size)
{
    const struct given *given = arg;
    int64_t item = 21, result = 0;
    muster_task task;
    muster_process process;
    muster_process_status status;
    if (muster_lock_acquire(given->lock, MUSTER_FOREVER) || muster_lock_release(given->lock))
        return 1;
    if (muster_pool_submit(given->pool, &task, twice, &item, sizeof item, sizeof item, NULL) ||
        muster_task_get(task, &result, sizeof result, MUSTER_FOREVER) || result != 42)
        return 2;
    if (muster_process_create(&process, grandchild, given, size, NULL) || muster_process_start(process) ||
        muster_process_join(process, &status, MUSTER_FOREVER) || muster_process_close(process))
        return 3;
    return status.exit_code;
}

static void test_given(void **state)
{
    (void)state;
    struct given given;
    int64_t from = 0;
    assert_int_equal(muster_lock_create(&given.lock, NULL), MUSTER_OK);
    assert_int_equal(muster_queue_create(&given.queue, NULL), MUSTER_OK);
    assert_int_equal(muster_pool_create(&given.pool, &(muster_pool_options){.workers = 1, .isolated = true}),
                     MUSTER_OK);
    assert_int_equal(run_in_child(child, &given, sizeof given), 5);
    assert_int_equal(muster_queue_get(given.queue, &from, sizeof from, NULL, 0), MUSTER_OK);
    assert_int_equal(from, 2);
    assert_int_equal(muster_pool_destroy(given.pool), MUSTER_OK);
    assert_int_equal(muster_queue_destroy(given.queue), MUSTER_OK);
    assert_int_equal(muster_lock_destroy(given.lock), MUSTER_OK);
}

/* ---- 53: a rank that computes delays nobody else ---- */

static int use_while_busy(const void *arg, size_t size)
{
    (void)size;
    const struct given *given = arg;
    for (int64_t i = 0; i < 1000; i++) {
        int64_t back;
        if (muster_queue_put(given->queue, &i, sizeof i, MUSTER_FOREVER) ||
            muster_queue_get(given->queue, &back, sizeof back, NULL, MUSTER_FOREVER) || back != i ||
            muster_lock_acquire(given->lock, MUSTER_FOREVER) || muster_lock_release(given->lock))
            return 1;
    }
    return 0;
}

static void test_busy_rank(void **state)
{
    (void)state;
    struct given given = {0};
    muster_process process;
    muster_process_info info = {.state = MUSTER_PROCESS_CREATED};
    assert_int_equal(muster_lock_create(&given.lock, NULL), MUSTER_OK);
    assert_int_equal(muster_queue_create(&given.queue, NULL), MUSTER_OK);
    assert_int_equal(muster_process_create(&process, use_while_busy, &given, sizeof given, NULL), MUSTER_OK);
    assert_int_equal(muster_process_start(process), MUSTER_OK);
    /* this rank, home of both objects, serves nothing but this loop until the child is through */
    while (info.state != MUSTER_PROCESS_ENDED)
        assert_int_equal(muster_process_get_info(process, &info), MUSTER_OK);
    assert_int_equal(info.status.exit_code, 0);
    assert_int_equal(info.status.signal, 0);
    assert_int_equal(muster_process_close(process), MUSTER_OK);
    assert_int_equal(muster_queue_destroy(given.queue), MUSTER_OK);
    assert_int_equal(muster_lock_destroy(given.lock), MUSTER_OK);
}

/* ---- 54: who waits uses no core ---- */

static double cpu_s(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void test_waiting_sleeps(void **state)
{
    (void)state;
    muster_queue queue;
    char item;
    assert_int_equal(muster_queue_create(&queue, NULL), MUSTER_OK);
    double before = cpu_s();
    assert_int_equal(muster_queue_get(queue, &item, 1, NULL, 1000), MUSTER_ERR_EMPTY);
    assert_true(cpu_s() - before < 0.1); /* of one second; 1 % is measured in the benchmark */
    assert_int_equal(muster_queue_destroy(queue), MUSTER_OK);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identity),     cmocka_unit_test(test_all_ranks_serve),
        cmocka_unit_test(test_topology),     cmocka_unit_test(test_errors),
        cmocka_unit_test(test_functions),    cmocka_unit_test(test_module_in_child),
        cmocka_unit_test(test_threads),      cmocka_unit_test(test_given),
        cmocka_unit_test(test_busy_rank),    cmocka_unit_test(test_waiting_sleeps),
        cmocka_unit_test(test_worker_cores),
    };
    return mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "runtime");
}
