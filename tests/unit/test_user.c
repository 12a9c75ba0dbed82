/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Contexts of tasks without MPI: large ones of the same bytes are one block as long as somebody needs it, and none is
 * left.
 */
#include "thread_runtime.h"

#include "pool/pool.h"

enum { N = 100, LARGE = 1 << 16, SMALL = 100 };

static muster_pool make(int workers)
{
    muster_pool pool;
    muster__caller_adopt = fake_adopt;
    assert_int_equal(muster_pool_create(&pool, &(muster_pool_options){.workers = workers, .isolated = true}),
                     MUSTER_OK);
    return pool;
}

static void end(muster_pool pool)
{
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
    assert_int_equal(muster__heap_used(), 0);
}

struct seen {
    const void *user;
    unsigned char first, last;
};

/* item: how many bytes the context has */
static int look(const void *item, void *result, const void *user)
{
    const unsigned char *bytes = user;
    *(struct seen *)result = (struct seen){user, bytes[0], bytes[*(const int *)item - 1]};
    return 0;
}

static muster_task submit(muster_pool pool, const unsigned char *bytes, int size)
{
    muster_task task;
    assert_int_equal(muster_pool_submit(pool, &task, look, &size, sizeof size, sizeof(struct seen),
                                        &(muster_submit_options){.user = bytes, .user_bytes = (size_t)size}),
                     MUSTER_OK);
    return task;
}

/* Returns where the task has seen its context. */
static const void *get(muster_task task, int value)
{
    struct seen seen;
    assert_int_equal(muster_task_get(task, &seen, sizeof seen, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(seen.first, value);
    assert_int_equal(seen.last, value);
    return seen.user;
}

static void test_one_block(void **state)
{
    (void)state;
    static unsigned char bytes[LARGE];
    muster_task tasks[3][N];
    muster_pool pool = make(2);
    get(submit(pool, bytes, LARGE), 0); /* slabs and all are there */
    uint64_t used = muster__heap_used();
    for (int value = 0; value < 3; value++) { /* what is written after a submit is for the next ones */
        memset(bytes, value, sizeof bytes);
        for (int i = 0; i < N; i++)
            tasks[value][i] = submit(pool, bytes, LARGE);
    }
    assert_in_range(muster__heap_used(), used, used + 2 * 2 * LARGE + 3 * N * (uint64_t)1024);
    const void *first[3];
    for (int value = 0; value < 3; value++) {
        first[value] = get(tasks[value][0], value);
        for (int i = 1; i < N; i++)
            assert_ptr_equal(get(tasks[value][i], value), first[value]);
        for (int before = 0; before < value; before++)
            assert_ptr_not_equal(first[before], first[value]);
    }
    end(pool);
}

static void test_own_block(void **state)
{
    (void)state;
    static unsigned char bytes[SMALL];
    muster_pool pool = make(1);
    memset(bytes, 5, sizeof bytes);
    muster_task a = submit(pool, bytes, SMALL), b = submit(pool, bytes, SMALL);
    const void *of_a = get(a, 5);
    assert_ptr_not_equal(get(b, 5), of_a);
    end(pool);
}

/* A few are kept, whatever comes and in whatever way tasks end. */
static void test_many(void **state)
{
    (void)state;
    static unsigned char bytes[LARGE];
    muster_pool pool = make(2);
    uint64_t most = 0;
    for (int round = 0; round < 200; round++) {
        memset(bytes, round, sizeof bytes);
        muster_task kept = submit(pool, bytes, LARGE), dropped = submit(pool, bytes, LARGE - round % 3);
        muster_task canceled = submit(pool, bytes, LARGE);
        assert_int_equal(muster_task_forget(dropped), MUSTER_OK);
        (void)muster_task_cancel(canceled, false); /* it may have begun */
        (void)muster_task_get(canceled, &(struct seen){0}, sizeof(struct seen), MUSTER_FOREVER);
        get(kept, round & 0xff);
        if (round == 20)
            most = muster__heap_used();
    }
    assert_in_range(muster__heap_used(), 0, most + 2 * 2 * LARGE); /* a dropped one may be about to end */
    end(pool);
}

/* What is kept for later makes room for what comes. */
static void test_full(void **state)
{
    (void)state;
    unsigned char *bytes = calloc(1, (size_t)64 << 20);
    muster_pool pool = make(1);
    int tried = 0;
    for (int size = 1 << 20; size <= 64 << 20; size *= 2) {
        muster_task task;
        muster_err err = MUSTER_OK;
        for (int value = 0; value < 6 && !err; value++) {
            memset(bytes, value, (size_t)size);
            err = muster_pool_submit(pool, &task, look, &size, sizeof size, sizeof(struct seen),
                                     &(muster_submit_options){.user = bytes, .user_bytes = (size_t)size});
            if (!err)
                get(task, value);
            assert_true(!err || (err == MUSTER_ERR_NOMEM && !value)); /* where one fits, others do after it */
            tried += !err;
        }
    }
    assert_in_range(tried, 6, 42);
    free(bytes);
    end(pool);
}

/* A process has one segment in its life, and threads remember what they knew of it. */
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_block),
        cmocka_unit_test(test_own_block),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_full),
    };
    return cmocka_run_group_tests(tests, case_setup, case_teardown);
}
