/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Arguments and results that lie in a task's record, in the block that a free record keeps, or in one of their own.
 */
#include "thread_runtime.h"

#include "pool/pool.h"

enum { SIZES = 8, LARGEST = 5000, MANY = 4000 };
static const size_t sizes[SIZES] = {0, 8, 48, 80, 200, 240, 300, LARGEST};

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

static uint64_t sum_of(const unsigned char *bytes, size_t size)
{
    uint64_t sum = size;
    for (size_t i = 0; i < size; i++)
        sum = sum * 31 + bytes[i];
    return sum;
}

/* Whether its result is zeroed first is looked at, too. */
static int sum(const void *item, void *result, const void *user)
{
    (void)user;
    if (*(uint64_t *)result)
        return 1;
    *(uint64_t *)result = sum_of(item, muster_task_item_bytes());
    return 0;
}

struct one {
    muster_task task;
    uint64_t sum;
};

static struct one submit(muster_pool pool, size_t size, uint64_t seed)
{
    unsigned char bytes[LARGEST];
    struct one one;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(seed + i * 7);
    one.sum = sum_of(bytes, size);
    assert_int_equal(muster_pool_submit(pool, &one.task, sum, bytes, size, sizeof(uint64_t), NULL), MUSTER_OK);
    return one;
}

static void get(const struct one *one)
{
    uint64_t result = 0;
    assert_int_equal(muster_task_get(one->task, &result, sizeof result, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(result, one->sum);
}

/* Records of all histories get tasks of all sizes. */
static void sizes_in_all_orders(void **state)
{
    (void)state;
    muster_pool pool = make(2);
    struct one ones[64];
    uint64_t seed = 1;
    for (int round = 0; round < 400; round++) {
        int batch = round % 64 + 1;
        for (int i = 0; i < batch; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            ones[i] = submit(pool, sizes[(seed >> 40) % SIZES], seed);
        }
        for (int i = 0; i < batch; i++)
            get(&ones[round % 2 ? i : batch - 1 - i]);
    }
    end(pool);
}

/* The same inside of a worker: it runs its newest task itself. */
static int forks(const void *item, void *result, const void *user)
{
    (void)item;
    (void)user;
    uint64_t seed = 5;
    for (int round = 0; round < 2000; round++) {
        unsigned char bytes[LARGEST];
        uint64_t got = 0;
        muster_task task;
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        size_t size = sizes[round % 100 < 50 ? (seed >> 40) % SIZES : 3];
        memset(bytes, round, sizeof bytes);
        if (muster_pool_submit(muster_task_pool(), &task, sum, bytes, size, sizeof got, NULL) ||
            muster_task_get(task, &got, sizeof got, MUSTER_FOREVER) || got != sum_of(bytes, size))
            return 1;
    }
    *(int *)result = 1;
    return 0;
}

static void sizes_in_a_worker(void **state)
{
    (void)state;
    muster_pool pool = make(2);
    muster_task tasks[4];
    int result;
    for (int i = 0; i < 4; i++)
        assert_int_equal(muster_pool_submit(pool, &tasks[i], forks, NULL, 0, sizeof result, NULL), MUSTER_OK);
    for (int i = 0; i < 4; i++)
        assert_int_equal(muster_task_get(tasks[i], &result, sizeof result, MUSTER_FOREVER), MUSTER_OK);
    end(pool);
}

/* Free records keep some blocks, whatever there was; it does not become more. */
static void few_are_kept(void **state)
{
    (void)state;
    static struct one ones[MANY];
    muster_pool pool = make(1);
    uint64_t used[4];
    const uint64_t deques = 2 * 2 * MANY * sizeof(record_ref); /* they grow with what is queued when nobody is quick */
    for (int round = 0; round < 4; round++) {
        size_t size = round < 1 ? 8 : 80;
        for (int i = 0; i < MANY; i++)
            ones[i] = submit(pool, size, (uint64_t)i);
        for (int i = 0; i < MANY; i++)
            get(&ones[i]);
        used[round] = muster__heap_used();
    }
    assert_in_range(used[1], used[0] + 1, used[0] + RECORDS_KEEP * (uint64_t)RECORD_BLOCK + deques);
    assert_in_range(used[2], used[0] + 1, used[1] + deques);
    assert_in_range(used[3], used[0] + 1, used[1] + deques);
    end(pool);
}

/* ---- pages of what is gone ---- */

enum { CROWD = 120000 };

static int64_t hollow_slabs(struct pool *pool, int64_t *resident)
{
    int64_t hollow = 0;
    unsigned char pages[512];
    for (uint32_t slab = 0; slab < atomic_load(&pool->slabs); slab++) {
        if (!pool->slab_hollow[slab])
            continue;
        uintptr_t begin = ((uintptr_t)pool_record(pool, slab_begin(slab)) + 4095) / 4096 * 4096;
        size_t bytes = slab_records(slab) * sizeof(struct record) - 4096;
        hollow++;
        assert_int_equal(mincore((void *)begin, bytes, pages), 0);
        for (size_t i = 0; i < bytes / 4096; i++)
            *resident += pages[i] & 1;
    }
    return hollow;
}

/* A task for each number, all at a time; then all are got, in a new order each round. */
static void crowd(muster_pool pool, struct pool *inside, muster_task *tasks, int round)
{
    for (uint64_t i = 0; i < CROWD; i++)
        assert_int_equal(muster_pool_submit(pool, &tasks[i], sum, &i, sizeof i, sizeof(uint64_t), NULL), MUSTER_OK);
    for (int i = 0; i < inside->lanes; i++) /* as if there were many more */
        if (atomic_load(&inside->lane[i].owner) == muster__self_state.number)
            inside->lane[i].hollow_at = CROWD / 100 * 99;
    for (uint64_t k = 0; k < CROWD; k++) {
        uint64_t i = round % 2 ? CROWD - 1 - k : k, result;
        assert_int_equal(muster_task_get(tasks[i], &result, sizeof result, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(result, sum_of((unsigned char *)&i, sizeof i));
    }
}

/* They are given back, and used again; handles of what was there before name nothing, whatever is there now. */
static void pages_come_back(void **state)
{
    (void)state;
    muster_pool pool = make(1);
    muster_task *tasks = calloc(CROWD, sizeof *tasks), *before = calloc(CROWD, sizeof *before);
    struct pool *inside = pool_of(muster__object_slot(pool.handle.slot));
    assert_non_null(tasks);
    assert_non_null(before);
    for (int round = 0; round < 3; round++) {
        int64_t resident = 0;
        crowd(pool, inside, tasks, round);
        assert_true(hollow_slabs(inside, &resident) >= 4);
        assert_int_equal(resident, 0);
        for (int i = 0; i < CROWD; i += 7) {
            bool ready;
            assert_int_equal(muster_task_ready(tasks[i], &ready), MUSTER_ERR_STALE);
            if (round)
                assert_int_equal(muster_task_ready(before[i], &ready), MUSTER_ERR_STALE);
            before[i] = tasks[i];
        }
    }
    free(tasks);
    free(before);
    end(pool);
}

/* A process has one segment in its life, and threads remember what they knew of it. */
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_in_all_orders),
        cmocka_unit_test(sizes_in_a_worker),
        cmocka_unit_test(few_are_kept),
        cmocka_unit_test(pages_come_back),
    };
    return cmocka_run_group_tests(tests, case_setup, case_teardown);
}
