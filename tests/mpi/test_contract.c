/*
 * What every call refuses, and that it changes nothing then: words reserved for a newer muster, and 67.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <muster/muster.h>

#include "support/mpi_case.h"

static muster_err early[1]; /* what calls said before muster_init */

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
    assert_int_equal(early[0], MUSTER_ERR_INVAL);
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
    assert_named(muster_pool_reduce(pool, NULL, combine_nothing, &byte, 1, 1, &byte, 1, &map), "muster_pool_reduce");
    assert_named(muster_pool_imap(pool, &imap, nothing, muster_items_next, &items, 1, 0, &imap_options),
                 "muster_pool_imap");
    assert_int_equal(items.next, 0);
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reserved_objects),
        cmocka_unit_test(test_reserved_tasks),
    };
    early[0] = muster_init(&argc, &argv, &(muster_options){.reserved = {1}});
    return mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "contract");
}
