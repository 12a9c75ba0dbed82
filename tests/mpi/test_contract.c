/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What every call refuses, and that it changes nothing then: words reserved for a newer muster, and 67 (but of pools,
 * locks and queues, whose suites have theirs).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <muster/muster.h>

#include "support/mpi_case.h"

static muster_err early[8]; /* what calls said before muster_init */

static int nothing(const void *item, void *result, const void *user)
{
    (void)item;
    (void)result;
    (void)user;
    return 0;
}

static int combine_nothing(void *accumulated, const void *value, const void *user)
{
    (void)accumulated;
    (void)value;
    (void)user;
    return 0;
}

static int end_at_once(const void *arg, size_t size_bytes)
{
    (void)arg;
    (void)size_bytes;
    return 0;
}

/* ---- reserved words ---- */

#define LAST(options) (options).reserved[sizeof(options).reserved / sizeof *(options).reserved - 1]

static void assert_named(muster_err err, const char *operation)
{
    assert_int_equal(err, MUSTER_ERR_INVAL);
    assert_non_null(strstr(muster_err_detail(), operation));
    assert_non_null(strstr(muster_err_detail(), "reserved["));
}

static void test_reserved_objects(void **state)
{
    (void)state;
    muster_lock lock;
    muster_lock_options lock_options = {0};
    LAST(lock_options) = 1;
    assert_named(muster_lock_create(&lock, &lock_options), "muster_lock_create");
    muster_queue queue;
    muster_queue_options queue_options = {0};
    LAST(queue_options) = 1;
    assert_named(muster_queue_create(&queue, &queue_options), "muster_queue_create");
    muster_process process;
    muster_process_options process_options = {0};
    LAST(process_options) = 1;
    assert_named(muster_process_create(&process, end_at_once, NULL, 0, &process_options), "muster_process_create");
    muster_pool pool;
    muster_pool_options pool_options = {0};
    LAST(pool_options) = 1;
    assert_named(muster_pool_create(&pool, &pool_options), "muster_pool_create");
}

static void test_reserved_tasks(void **state)
{
    (void)state;
    muster_pool pool;
    muster_task task;
    muster_imap *imap;
    char byte = 1;
    muster_items items = {.items = &byte, .n = 1, .item_bytes = 1};
    muster_submit_options submit = {0};
    muster_map_options map = {0};
    muster_imap_options imap_options = {0};
    LAST(submit) = LAST(map) = LAST(imap_options) = 1;
    assert_int_equal(muster_pool_create(&pool, NULL), MUSTER_OK);
    assert_named(muster_pool_submit(pool, &task, nothing, NULL, 0, 0, &submit), "muster_pool_submit");
    assert_named(muster_pool_map(pool, nothing, &byte, 1, 1, &byte, 1, &map), "muster_pool_map");
    assert_named(muster_pool_map_list(pool, nothing, &(muster_span){&byte, 1}, 1, NULL, &map), "muster_pool_map_list");
    assert_named(muster_pool_reduce(pool, NULL, combine_nothing, &byte, 1, 1, &byte, 1, &map), "muster_pool_reduce");
    assert_named(muster_pool_imap(pool, &imap, nothing, muster_items_next, &items, 1, 0, &imap_options),
                 "muster_pool_imap");
    assert_int_equal(items.next, 0);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
}

/* ---- 67: processes ---- */

static muster_process create(muster_process_fn fn)
{
    muster_process process;
    assert_int_equal(muster_process_create(&process, fn, NULL, 0, NULL), MUSTER_OK);
    return process;
}

static void assert_refused(muster_err err, const char *text)
{
    assert_int_equal(err, MUSTER_ERR_INVAL);
    if (!strstr(muster_err_detail(), text))
        fail_msg("'%s' is not in: %s", text, muster_err_detail());
}

static void test_process_create(void **state)
{
    static const muster_process untouched = {.handle = {.slot = 77}};
    (void)state;
    char byte = 1;
    muster_process process = untouched;
    assert_refused(muster_process_create(NULL, end_at_once, NULL, 0, NULL), "process is NULL");
    assert_refused(muster_process_create(&process, NULL, NULL, 0, NULL), "fn is NULL");
    assert_refused(muster_process_create(&process, end_at_once, NULL, 8, NULL), "arg is NULL");
    assert_refused(muster_process_create(&process, end_at_once, &byte, SIZE_MAX, NULL), "size_bytes is");
    assert_refused(muster_process_create(&process, end_at_once, &byte, SIZE_MAX / 2, NULL), "size_bytes is");
    assert_int_equal(muster_process_create(&process, end_at_once, &byte, SIZE_MAX / 8, NULL), MUSTER_ERR_NOMEM);
    for (int i = 0; i < 2; i++) {
        muster_process_options options = {.on = muster_on_rank(i ? muster_ranks() : -1)};
        assert_refused(muster_process_create(&process, end_at_once, NULL, 0, &options), "rank is");
    }
    assert_memory_equal(&process, &untouched, sizeof process);
}

static void test_process_use(void **state)
{
    (void)state;
    muster_process process = create(end_at_once);
    muster_process_status status = {.exit_code = 5};
    int first = 7;
    assert_refused(muster_process_get_info(process, NULL), "info is NULL");
    assert_refused(muster_process_join(process, &status, -2), "timeout_ms is -2");
    assert_refused(muster_process_join(process, &status, INT64_MIN), "timeout_ms is");
    assert_refused(muster_process_wait(&process, 1, true, &first, -2), "timeout_ms is -2");
    assert_refused(muster_process_wait(&process, -1, true, &first, MUSTER_NOWAIT), "n is -1");
    assert_refused(muster_process_wait(NULL, 1, true, &first, MUSTER_NOWAIT), "processes is NULL");
    assert_true(status.exit_code == 5 && first == 7);
    assert_int_equal(muster_process_wait(NULL, 0, true, &first, MUSTER_NOWAIT), MUSTER_OK);
    assert_int_equal(first, -1);
    assert_int_equal(muster_process_start(process), MUSTER_OK); /* as if nothing had been asked */
    assert_int_equal(muster_process_join(process, NULL, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(muster_process_close(process), MUSTER_OK);
}

/* ---- 67: the rest ---- */

static void test_runtime(void **state)
{
    (void)state;
    assert_refused(muster_topology_print(NULL), "stream is NULL");
    assert_int_equal(muster_stream_u32(NULL), 0);
    assert_int_equal(muster_stream_u64(NULL), 0);
    assert_true(muster_stream_f64(NULL) == 0);
    for (int code = -1000; code < 1000; code += 10)
        assert_true(muster_err_name(code) && muster_err_text(code));
}

static int use_a_lock(const void *item, void *result, const void *user)
{
    (void)result;
    (void)user;
    muster_lock lock = *(const muster_lock *)item;
    return muster_lock_acquire(lock, MUSTER_FOREVER) || muster_lock_release(lock);
}

/* What tasks note meanwhile is put back. */
static void test_sites(void **state)
{
    (void)state;
    muster_lock locks[64];
    muster_pool pool;
    char expected[80];
    muster_err (*acquire)(muster_lock, int64_t) = muster_lock_acquire;
    snprintf(expected, sizeof expected, "muster_lock_create at test_contract.c:%d", __LINE__ + 1);
    assert_int_equal(muster_lock_create(&locks[0], NULL), MUSTER_OK);
    assert_string_equal(muster_site, expected);
    assert_int_equal(acquire(locks[0], MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal((muster_lock_acquire)(locks[0], MUSTER_FOREVER), MUSTER_ERR_DEADLOCK);
    assert_string_equal(muster_site, expected);
    assert_int_equal(muster_lock_release(locks[0]), MUSTER_OK);
    for (int i = 1; i < 64; i++)
        locks[i] = locks[0];
    assert_int_equal(muster_pool_create(&pool, NULL), MUSTER_OK);
    snprintf(expected, sizeof expected, "muster_pool_map at test_contract.c:%d", __LINE__ + 1);
    assert_int_equal(muster_pool_map(pool, use_a_lock, locks, 64, sizeof *locks, NULL, 0, NULL), MUSTER_OK);
    assert_string_equal(muster_site, expected);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
    assert_int_equal(muster_lock_destroy(locks[0]), MUSTER_OK);
}

static void test_before_init(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(early[i], MUSTER_ERR_INVAL);
    assert_int_equal(early[5], MUSTER_ERR_STATE);
    assert_true(early[6] == MUSTER_ERR_STALE || early[6] == MUSTER_ERR_STATE);
    assert_int_equal(early[7], MUSTER_ERR_STATE);
}

static void call_early(int *argc, char ***argv)
{
    muster_process process = {0};
    early[0] = muster_init(argc, argv, &(muster_options){.reserved = {1}});
    early[1] = muster_init(argc, NULL, NULL);
    early[2] = muster_init(argc, argv, &(muster_options){.placement = (muster_placement)6});
    early[3] = muster_init(argc, argv, &(muster_options){.log_level = (muster_log_level)5});
    early[4] = muster_init(argc, argv, &(muster_options){.segment_bytes = SIZE_MAX});
    early[5] = muster_process_create(&process, end_at_once, NULL, 0, NULL);
    early[6] = muster_process_join(process, NULL, MUSTER_NOWAIT);
    early[7] = muster_topology_print(stderr);
}

/* ---- the detail line outlives the job ---- */

static pthread_barrier_t both;
static pthread_t asker;
static bool asks;
static char late[128];

static muster_err fail_routinely(void)
{
    muster_queue queue;
    char byte;
    muster_queue_create(&queue, &(muster_queue_options){.name = "late"});
    return muster_queue_get(queue, &byte, 1, NULL, MUSTER_NOWAIT);
}

static void *ask_late(void *unused)
{
    bool failed = fail_routinely() == MUSTER_ERR_EMPTY;
    pthread_barrier_wait(&both);
    pthread_barrier_wait(&both); /* muster_finalize has returned */
    snprintf(late, sizeof late, "%s", muster_err_detail());
    return failed ? unused : NULL;
}

static void test_detail_kept(void **state)
{
    (void)state;
    assert_int_equal(pthread_barrier_init(&both, NULL, 2), 0);
    assert_int_equal(pthread_create(&asker, NULL, ask_late, &both), 0);
    pthread_barrier_wait(&both);
    asks = true;
    assert_int_equal(fail_routinely(), MUSTER_ERR_EMPTY);
}

/* The main thread's line is whole; that of another thread names the call and the error. */
static bool details_are_there(void)
{
    void *failed;
    if (!asks)
        return true;
    bool mine = strstr(muster_err_detail(), "'late'") && strstr(muster_err_detail(), "muster_queue_get") &&
                strncmp(muster_err_detail(), "queue ", 6) == 0;
    pthread_barrier_wait(&both);
    pthread_join(asker, &failed);
    if (!mine || !failed || strcmp(late, "muster_queue_get: nothing there") != 0)
        fprintf(stderr, "after muster_finalize: '%s', '%s'\n", muster_err_detail(), late);
    return mine && failed && strcmp(late, "muster_queue_get: nothing there") == 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reserved_objects),
        cmocka_unit_test(test_reserved_tasks),
        cmocka_unit_test(test_process_create),
        cmocka_unit_test(test_process_use),
        cmocka_unit_test(test_runtime),
        cmocka_unit_test(test_before_init),
        cmocka_unit_test(test_sites),
        cmocka_unit_test(test_detail_kept), /* last: what main said last is asked for after the end */
    };
    call_early(&argc, &argv);
    int code = mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "contract");
    return details_are_there() ? code : 1;
}
