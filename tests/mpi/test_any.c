/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Data of any size in pools, conformance 12, 13, 15, 16, 18, 19, 23, 25, 26: what tasks return by themselves, and
 * lists. Each case with workers in the ranks and with isolated ones; all bytes are checked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <muster/muster.h>

#include "support/pool_case.h"

/* ---- bytes ---- */

static uint64_t scramble(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static void fill(void *bytes, size_t size, uint64_t seed)
{
    uint64_t word = 0;
    for (size_t i = 0; i < size; i++, word >>= 8) {
        if (i % 8 == 0)
            word = scramble(seed * UINT64_C(1000003) + i);
        ((unsigned char *)bytes)[i] = (unsigned char)word;
    }
}

static bool is_filled(const void *bytes, size_t size, uint64_t seed)
{
    uint64_t word = 0;
    for (size_t i = 0; i < size; i++, word >>= 8) {
        if (i % 8 == 0)
            word = scramble(seed * UINT64_C(1000003) + i);
        if (((const unsigned char *)bytes)[i] != (unsigned char)word)
            return false;
    }
    return true;
}

/* From 0 to 1 MiB, small ones as often as large ones. */
static size_t random_size(uint64_t seed)
{
    uint64_t x = scramble(seed + 12345);
    return (size_t)(x % 23 == 0 ? 0 : (x >> 8) % (UINT64_C(2) << x % 20));
}

/* what a task is to return */
struct wanted {
    uint64_t seed, size;
};

static int return_filled(uint64_t seed, size_t size)
{
    char *bytes = malloc(size + 1);
    if (!bytes)
        return muster_task_fail(1, "no memory");
    fill(bytes, size, seed);
    muster_err err = muster_task_return(size ? bytes : NULL, size);
    free(bytes);
    return err;
}

static int as_wanted(const void *item, void *result, const void *user)
{
    const struct wanted *wanted = item;
    (void)user;
    if (result) /* does not count */
        *(char *)result = 'x';
    if (muster_task_item_bytes() != sizeof *wanted)
        return muster_task_fail(2, "the item has %zu bytes", muster_task_item_bytes());
    return return_filled(wanted->seed, wanted->size);
}

static muster_task submit(muster_pool pool, muster_task_fn fn, struct wanted wanted, size_t result_bytes)
{
    muster_task task;
    assert_int_equal(muster_pool_submit(pool, &task, fn, &wanted, sizeof wanted, result_bytes, NULL), MUSTER_OK);
    return task;
}

static void take_and_check(muster_task task, struct wanted wanted)
{
    void *result = NULL;
    size_t size = 77;
    assert_int_equal(muster_task_take(task, &result, &size, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(size, wanted.size);
    assert_true(is_filled(result, size, wanted.seed));
    assert_int_equal(((char *)result)[size], 0);
    free(result);
    assert_int_equal(muster_task_take(task, &result, &size, MUSTER_NOWAIT), MUSTER_ERR_STALE);
}

/* ---- 26: what a task returns ---- */

static void get_and_check(muster_task task, struct wanted wanted)
{
    static char bytes[(1 << 20) + 1];
    size_t size = 1;
    bool ready = false;
    assert_int_equal(muster_task_wait(&task, 1, MUSTER_WAIT_ALL, &ready, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(muster_task_size(task, &size), MUSTER_OK);
    assert_int_equal(size, wanted.size);
    memset(bytes, '#', sizeof bytes);
    if (size) { /* too small: it stays */
        assert_int_equal(muster_task_get(task, bytes, size - 1, MUSTER_FOREVER), MUSTER_ERR_TOOBIG);
        assert_int_equal(bytes[0], '#');
    }
    assert_int_equal(muster_task_get(task, bytes, sizeof bytes, MUSTER_NOWAIT), MUSTER_OK);
    assert_true(is_filled(bytes, size, wanted.seed));
    assert_int_equal(bytes[size], '#');
    assert_int_equal(muster_task_size(task, &size), MUSTER_ERR_STALE);
}

static void test_return_sizes(void **state)
{
    static const uint64_t sizes[] = {0, 1, 8, 15, 16, 17, 63, 64, 65, 255, 256, 257, 4096, 65535, 1 << 20};
    static const size_t said[] = {0, 8, 100};
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 0});
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t k = 0; k < 3; k++) {
            struct wanted wanted = {i * 3 + k, sizes[i]};
            take_and_check(submit(pool, as_wanted, wanted, said[k]), wanted);
            get_and_check(submit(pool, as_wanted, wanted, said[k]), wanted);
        }
    pool_end(pool);
}

static void test_return_many(void **state)
{
    enum { N = 300 };
    static muster_task tasks[N];
    static struct wanted wanted[N];
    static bool done[N];
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 0});
    memset(done, 0, sizeof done);
    for (uint64_t i = 0; i < N; i++) {
        wanted[i] = (struct wanted){i, random_size(i)};
        tasks[i] = submit(pool, as_wanted, wanted[i], i % 3 * 40);
    }
    for (int64_t n = 0, i; n < N; n++) { /* as they come */
        assert_int_equal(muster_task_next(tasks, N, done, &i, MUSTER_FOREVER), MUSTER_OK);
        if (i % 7 == 0)
            assert_int_equal(muster_task_forget(tasks[i]), MUSTER_OK);
        else
            take_and_check(tasks[i], wanted[i]);
    }
    pool_end(pool);
}

/* the last one counts; an error changes nothing */
static int several_times(const void *item, void *result, const void *user)
{
    const struct wanted *wanted = item;
    (void)result;
    (void)user;
    for (uint64_t k = 0; k < 5; k++)
        if (return_filled(wanted->seed + k, (size_t)random_size(wanted->seed * 5 + k) / 4))
            return 1;
    int code = return_filled(wanted->seed, wanted->size);
    if (muster_task_return(NULL, 1) != MUSTER_ERR_INVAL || muster_task_return(item, SIZE_MAX) != MUSTER_ERR_INVAL)
        return 2;
    return code;
}

static int plain(const void *item, void *result, const void *user)
{
    (void)user;
    *(uint64_t *)result = ((const struct wanted *)item)->seed + 1;
    return 0;
}

static void test_return_often(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 0});
    for (uint64_t i = 0; i < 40; i++) {
        struct wanted wanted = {i, random_size(i)};
        take_and_check(submit(pool, several_times, wanted, 0), wanted);
        uint64_t *value;
        size_t size;
        assert_int_equal(
            muster_task_take(submit(pool, plain, wanted, sizeof *value), (void **)&value, &size, MUSTER_FOREVER),
            MUSTER_OK);
        assert_int_equal(size, sizeof *value);
        assert_int_equal(*value, i + 1);
        free(value);
    }
    pool_end(pool);
}

static int return_and_fail(const void *item, void *result, const void *user)
{
    const struct wanted *wanted = item;
    (void)result;
    (void)user;
    return return_filled(wanted->seed, wanted->size) ? 1 : muster_task_fail(5, "after all");
}

static int nap_task(const void *item, void *result, const void *user)
{
    struct timespec t = {0, 1000 * 1000L * (long)((const struct wanted *)item)->size};
    (void)user;
    while (nanosleep(&t, &t) != 0)
        ;
    *(int *)result = 3;
    return 0;
}

static int expect_state(const void *item, void *result, const void *user)
{
    (void)result;
    (void)user;
    return muster_task_return(item, 1) == MUSTER_ERR_STATE && muster_task_item_bytes() == 0 ? 0 : 1;
}

static void test_return_errors(void **state)
{
    char byte = 1;
    void *result = &byte;
    size_t size = 5;
    muster_pool pool = pool_make(
        state,
        (muster_pool_options){
            .workers = 1, .caller_idle = true, .initializer = expect_state, .init_arg = &byte, .init_arg_bytes = 1});
    assert_int_equal(muster_task_return(&byte, 1), MUSTER_ERR_STATE);
    assert_int_equal(muster_task_item_bytes(), 0);
    muster_task task = submit(pool, return_and_fail, (struct wanted){1, 1000}, 8);
    assert_int_equal(muster_task_take(task, &result, &size, MUSTER_FOREVER), MUSTER_ERR_TASK);
    assert_int_equal(muster_pool_last_error()->code, 5);
    assert_string_equal(muster_pool_last_error()->text, "after all");
    task = submit(pool, return_and_fail, (struct wanted){1, 1000}, 8);
    assert_int_equal(muster_task_wait(&task, 1, MUSTER_WAIT_ALL, NULL, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(muster_task_size(task, &size), MUSTER_ERR_STATE);
    assert_int_equal(muster_task_forget(task), MUSTER_OK);
    task = submit(pool, nap_task, (struct wanted){0, 200}, sizeof(int));
    assert_int_equal(muster_task_size(task, &size), MUSTER_ERR_STATE);
    assert_int_equal(muster_task_take(task, &result, &size, MUSTER_NOWAIT), MUSTER_ERR_TIMEOUT);
    assert_int_equal(muster_task_take(task, NULL, &size, MUSTER_NOWAIT), MUSTER_ERR_INVAL);
    assert_int_equal(muster_task_take(task, &result, &size, -2), MUSTER_ERR_INVAL);
    assert_int_equal(muster_task_size(task, NULL), MUSTER_ERR_INVAL);
    assert_true(result == &byte && size == 5);
    assert_int_equal(muster_task_take(task, &result, NULL, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(*(int *)result, 3);
    free(result);
    pool_end(pool);
    assert_int_equal(muster_task_take(task, &result, &size, MUSTER_NOWAIT), MUSTER_ERR_STALE);
}

/* 19: a callback gets it as it is */
static struct {
    _Atomic int good, wrong;
} calls;

static void note_result(const void *result, size_t result_bytes, void *arg)
{
    const struct wanted *wanted = arg;
    bool good = result_bytes == wanted->size && is_filled(result, result_bytes, wanted->seed);
    atomic_fetch_add(good ? &calls.good : &calls.wrong, 1);
}

static void note_error(const muster_task_error *error, void *arg)
{
    (void)error;
    (void)arg;
    atomic_fetch_add(&calls.wrong, 1);
}

static void test_return_callbacks(void **state)
{
    enum { N = 60 };
    static struct wanted wanted[N];
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 0});
    atomic_store(&calls.good, 0);
    atomic_store(&calls.wrong, 0);
    for (uint64_t i = 0; i < N; i++) {
        muster_task task;
        wanted[i] = (struct wanted){i, random_size(i)};
        muster_callbacks callbacks = {note_result, note_error, &wanted[i], {0}};
        assert_int_equal(muster_pool_submit(pool, &task, as_wanted, &wanted[i], sizeof wanted[i], i % 2 * 8,
                                            &(muster_submit_options){.callbacks = &callbacks}),
                         MUSTER_OK);
    }
    assert_int_equal(muster_pool_close(pool), MUSTER_OK);
    assert_int_equal(muster_pool_join(pool, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(atomic_load(&calls.good), N);
    assert_int_equal(atomic_load(&calls.wrong), 0);
    pool_end(pool);
}

/* 25: a task joins what its two halves return, and adds the letter of its depth */
static int letters(const void *item, void *result, const void *user)
{
    int depth = *(const int *)item, less = depth - 1;
    muster_task halves[2];
    char *parts[2], *whole;
    size_t sizes[2];
    (void)result;
    (void)user;
    if (depth == 0)
        return muster_task_return("a", 1);
    for (int i = 0; i < 2; i++)
        if (muster_pool_submit(muster_task_pool(), &halves[i], letters, &less, sizeof less, 0, NULL))
            return muster_task_fail(1, "%s", muster_err_detail());
    if (muster_task_return("not this", 8)) /* and something else is returned after the waits */
        return 2;
    for (int i = 1; i >= 0; i--)
        if (muster_task_take(halves[i], (void **)&parts[i], &sizes[i], MUSTER_FOREVER))
            return muster_task_fail(3, "%s", muster_err_detail());
    whole = malloc(sizes[0] + sizes[1] + 1);
    memcpy(whole, parts[0], sizes[0]);
    memcpy(whole + sizes[0], parts[1], sizes[1]);
    whole[sizes[0] + sizes[1]] = (char)('a' + depth);
    muster_err err = muster_task_return(whole, sizes[0] + sizes[1] + 1);
    free(parts[0]);
    free(parts[1]);
    free(whole);
    return err;
}

static size_t letters_expected(int depth, char *out)
{
    size_t n = 0;
    for (int i = 0; depth && i < 2; i++)
        n += letters_expected(depth - 1, out + n);
    out[n] = (char)('a' + depth);
    return n + 1;
}

static void test_return_nested(void **state)
{
    enum { DEPTH = 9 };
    static char expected[1 << (DEPTH + 1)];
    muster_span items[20], *results;
    muster_task task;
    char *result;
    size_t size;
    int depth = DEPTH, smaller = 4;
    for (int workers = 1; workers <= 3; workers++) {
        muster_pool pool = pool_make(state, (muster_pool_options){.workers = workers});
        assert_int_equal(muster_pool_submit(pool, &task, letters, &depth, sizeof depth, 0, NULL), MUSTER_OK);
        assert_int_equal(muster_task_take(task, (void **)&result, &size, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(size, letters_expected(depth, expected));
        assert_memory_equal(result, expected, size);
        free(result);
        for (int i = 0; i < 20; i++)
            items[i] = (muster_span){&smaller, sizeof smaller};
        assert_int_equal(muster_pool_map_list(pool, letters, items, 20, &results, NULL), MUSTER_OK);
        letters_expected(smaller, expected);
        for (int i = 0; i < 20; i++) {
            assert_int_equal(results[i].size_bytes, 31);
            assert_memory_equal(results[i].bytes, expected, 31);
        }
        free(results);
        pool_end(pool);
    }
}

/* ---- where results have one size ---- */

static int up_to_eight(const void *item, void *result, const void *user)
{
    int64_t n = *(const int64_t *)item;
    (void)user;
    memset(result, 'x', 8);
    muster_err err = muster_task_return("12345678abc", (size_t)n);
    if (n > 8)
        return err == MUSTER_ERR_TOOBIG && muster_task_return("again", 5) == MUSTER_OK ? 0 : 1;
    return muster_task_item_bytes() == sizeof n ? err : 2;
}

static int join(void *accumulated, const void *value, const void *user)
{
    (void)user;
    if (muster_task_return(value, 8) != MUSTER_ERR_STATE)
        return 1;
    *(uint64_t *)accumulated += *(const uint64_t *)value;
    return 0;
}

static void test_return_fixed(void **state)
{
    enum { N = 100 };
    int64_t items[N];
    char results[N][8], expected[8];
    uint64_t sum = 0, all = 0;
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 0});
    for (int i = 0; i < N; i++)
        items[i] = i % 10;
    assert_int_equal(muster_pool_map(pool, up_to_eight, items, N, 8, results, 8, NULL), MUSTER_OK);
    for (int i = 0; i < N; i++) {
        memset(expected, 0, 8);
        memcpy(expected, items[i] > 8 ? "again" : "12345678", items[i] > 8 ? 5 : (size_t)items[i]);
        assert_memory_equal(results[i], expected, 8);
        uint64_t number;
        memcpy(&number, expected, 8);
        sum += number;
    }
    assert_int_equal(muster_pool_reduce(pool, up_to_eight, join, items, N, 8, &all, 8, NULL), MUSTER_OK);
    assert_true(all == sum);
    pool_end(pool);
}

/* ---- lists ---- */

struct spec {
    int64_t bad; /* this item fails; -1: none */
    uint64_t shift;
};

static bool to_fail(const struct spec *spec)
{
    return spec && spec->bad == muster_task_index();
}

/* Checks that the item is whole, and returns bytes of another size. */
static int other_size(const void *item, void *result, const void *user)
{
    const struct spec *spec = user;
    uint64_t index = (uint64_t)muster_task_index();
    size_t size = muster_task_item_bytes();
    if (result || size != random_size(index))
        return muster_task_fail(1, "item %d has %zu bytes", (int)index, size);
    if (!item || (uintptr_t)item % 16 || !is_filled(item, size, index) || ((const char *)item)[size])
        return muster_task_fail(2, "item %d is another one", (int)index);
    if (index % 5 == 4)
        return to_fail(spec) ? 9 : 0; /* says nothing: no bytes */
    int code = return_filled(index + 7, random_size(index + (spec ? spec->shift : 0)));
    return to_fail(spec) ? muster_task_fail(9, "as told") : code;
}

static muster_span *list_make(int64_t n)
{
    muster_span *items = calloc((size_t)n, sizeof *items);
    for (int64_t i = 0; i < n; i++) {
        size_t size = random_size((uint64_t)i);
        char *bytes = size ? malloc(size) : NULL;
        fill(bytes, size, (uint64_t)i);
        items[i] = (muster_span){bytes, size};
    }
    return items;
}

static void list_free(muster_span *items, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        free((void *)(uintptr_t)items[i].bytes);
    free(items);
}

static void check_result(const muster_span *result, uint64_t index, uint64_t shift)
{
    assert_non_null(result->bytes);
    assert_int_equal((uintptr_t)result->bytes % 16, 0);
    assert_int_equal(result->size_bytes, index % 5 == 4 ? 0 : random_size(index + shift));
    assert_true(is_filled(result->bytes, result->size_bytes, index + 7));
    assert_int_equal(((const char *)result->bytes)[result->size_bytes], 0);
}

static void test_list(void **state)
{
    enum { N = 240 };
    static const int64_t chunks[] = {0, 1, 7, 100, 1000};
    muster_span *items = list_make(N), *results;
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 0});
    for (uint64_t k = 0; k < 5; k++) {
        struct spec spec = {-1, k};
        muster_map_options options = {.chunk_items = chunks[k], .user = &spec, .user_bytes = sizeof spec};
        int64_t n = N >> k;
        assert_int_equal(muster_pool_map_list(pool, other_size, items, n, &results, &options), MUSTER_OK);
        for (int64_t i = 0; i < n; i++)
            check_result(&results[i], (uint64_t)i, k);
        free(results);
    }
    assert_int_equal(muster_pool_map_list(pool, other_size, items, N, NULL, NULL), MUSTER_OK);
    list_free(items, N);
    pool_end(pool);
}

static int upper(const void *item, void *result, const void *user)
{
    (void)result;
    (void)user;
    const char *word = item;
    char out[64];
    size_t n = strlen(word);
    for (size_t i = 0; i <= n; i++)
        out[i] = (char)(word[i] >= 'a' && word[i] <= 'z' ? word[i] - 32 : word[i]);
    return muster_task_return(out, n + (muster_task_item_bytes() > n)); /* with its end if that was counted */
}

/* many small ones, which share blocks */
static void test_list_words(void **state)
{
    enum { N = 20000 };
    static char words[N][16], expected[16];
    static muster_span items[N];
    muster_span *results;
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 0});
    for (int i = 0; i < N; i++) {
        snprintf(words[i], sizeof words[i], "word %d", i);
        items[i] = (muster_span){words[i], strlen(words[i]) + (i % 2)};
    }
    for (int round = 0; round < 3; round++) {
        assert_int_equal(muster_pool_map_list(pool, upper, items, N, &results, NULL), MUSTER_OK);
        for (int i = 0; i < N; i++) {
            snprintf(expected, sizeof expected, "WORD %d", i);
            assert_int_equal(results[i].size_bytes, items[i].size_bytes);
            assert_string_equal(results[i].bytes, expected);
        }
        free(results);
    }
    pool_end(pool);
}

static void test_list_refused(void **state)
{
    char byte = 1;
    muster_span items[2] = {{&byte, 1}, {NULL, 0}}, bad[2] = {{&byte, 1}, {NULL, 1}},
                huge[2] = {{&byte, SIZE_MAX / 5}, {&byte, SIZE_MAX / 5}}, *results = items;
    muster_map_options options = {.chunk_items = -1};
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 1});
    assert_int_equal(muster_pool_map_list(pool, upper, NULL, 0, &results, NULL), MUSTER_OK); /* 12 */
    assert_null(results);
    assert_int_equal(muster_pool_map_list(pool, NULL, items, 2, &results, NULL), MUSTER_ERR_INVAL);
    assert_int_equal(muster_pool_map_list(pool, upper, NULL, 2, &results, NULL), MUSTER_ERR_INVAL);
    assert_int_equal(muster_pool_map_list(pool, upper, items, -1, &results, NULL), MUSTER_ERR_INVAL);
    assert_int_equal(muster_pool_map_list(pool, upper, bad, 2, &results, NULL), MUSTER_ERR_INVAL);
    assert_int_equal(muster_pool_map_list(pool, upper, huge, 2, &results, NULL), MUSTER_ERR_INVAL);
    assert_int_equal(muster_pool_map_list(pool, upper, items, 2, &results, &options), MUSTER_ERR_INVAL);
    huge[1].size_bytes = 1;
    huge[0].size_bytes = SIZE_MAX / 64; /* what a size may be, but no memory has */
    assert_int_equal(muster_pool_map_list(pool, upper, huge, 2, &results, NULL), MUSTER_ERR_NOMEM);
    assert_null(results);
    assert_int_equal(muster_pool_close(pool), MUSTER_OK);
    assert_int_equal(muster_pool_map_list(pool, upper, items, 2, &results, NULL), MUSTER_ERR_CLOSED);
    pool_end(pool);
    assert_int_equal(muster_pool_map_list(pool, upper, items, 2, &results, NULL), MUSTER_ERR_STALE);
}

/* 16: failed items have no result, the others do */
static void test_list_failures(void **state)
{
    enum { N = 120 };
    muster_span *items = list_make(N), *results;
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 0});
    for (int64_t bad = 0; bad < N; bad += 17) {
        struct spec spec = {bad, 1};
        muster_map_options options = {.chunk_items = bad % 3, .user = &spec, .user_bytes = sizeof spec};
        assert_int_equal(muster_pool_map_list(pool, other_size, items, N, &results, &options), MUSTER_ERR_TASK);
        assert_int_equal(muster_pool_last_error()->index, bad);
        assert_int_equal(muster_pool_last_error()->code, 9);
        assert_int_equal(muster_pool_last_error()->failed, 1);
        assert_non_null(strstr(muster_err_detail(), "muster_pool_map_list"));
        for (int64_t i = 0; i < N; i++)
            if (i != bad)
                check_result(&results[i], (uint64_t)i, 1);
            else
                assert_true(!results[i].bytes && !results[i].size_bytes);
        free(results);
    }
    struct spec spec = {3, 0};
    muster_map_options options = {.chunk_items = 1, .user = &spec, .user_bytes = sizeof spec, .stop_at_failure = true};
    int64_t missing = 0;
    assert_int_equal(muster_pool_map_list(pool, other_size, items, N, &results, &options), MUSTER_ERR_TASK);
    for (int64_t i = 0; i < N; i++) {
        missing += !results[i].bytes;
        if (results[i].bytes)
            check_result(&results[i], (uint64_t)i, 0);
    }
    assert_int_equal(missing, muster_pool_last_error()->failed);
    free(results);
    list_free(items, N);
    pool_end(pool);
}

static void note_progress(const muster_map_progress *progress, void *arg)
{
    int64_t *last = arg;
    assert_true(progress->items_done >= last[0] && progress->items_total == 50);
    last[0] = progress->items_done;
}

/* progress, and a map within a task */
static int list_within(const void *item, void *result, const void *user)
{
    const muster_pool *pool = user;
    muster_span words[3], *results;
    char text[3][16];
    (void)item;
    (void)result;
    for (int i = 0; i < 3; i++) {
        snprintf(text[i], sizeof text[i], "w%d.%d", (int)muster_task_index(), i);
        words[i] = (muster_span){text[i], strlen(text[i]) + 1};
    }
    if (muster_pool_map_list(*pool, upper, words, 3, &results, NULL))
        return muster_task_fail(1, "%s", muster_err_detail());
    muster_err err = muster_task_return(results[2].bytes, results[2].size_bytes);
    free(results);
    return err;
}

static void test_list_nested(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 0});
    muster_span items[50] = {{0}}, *results;
    char expected[16];
    int64_t done = 0;
    muster_map_options options = {
        .user = &pool, .user_bytes = sizeof pool, .progress = note_progress, .progress_arg = &done};
    assert_int_equal(muster_pool_map_list(pool, list_within, items, 50, &results, &options), MUSTER_OK);
    assert_int_equal(done, 50);
    for (int i = 0; i < 50; i++) {
        snprintf(expected, sizeof expected, "W%d.2", i);
        assert_string_equal(results[i].bytes, expected);
    }
    free(results);
    pool_end(pool);
}

/* more than goes through the segment at a time, by items that repeat */
static int echo_some(const void *item, void *result, const void *user)
{
    (void)result;
    (void)user;
    return muster_task_return(item, muster_task_index() % 10 ? 8 : muster_task_item_bytes());
}

static void test_list_windows(void **state)
{
    enum { N = 70 };
    const size_t size = (size_t)4 << 20;
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 2});
    char *bytes = malloc(size);
    muster_span items[N], *results;
    fill(bytes, size, 3);
    for (int i = 0; i < N; i++)
        items[i] = (muster_span){bytes, size - (size_t)i};
    assert_int_equal(muster_pool_map_list(pool, echo_some, items, N, &results, &(muster_map_options){.chunk_items = 3}),
                     MUSTER_OK);
    for (int i = 0; i < N; i++) {
        assert_int_equal(results[i].size_bytes, i % 10 ? 8 : size - (size_t)i);
        assert_int_equal(memcmp(results[i].bytes, bytes, results[i].size_bytes), 0);
    }
    free(results);
    free(bytes);
    pool_end(pool);
}

/* ---- 15: imap ---- */

static int imap_item(const void *item, void *result, const void *user)
{
    uint64_t n = *(const uint64_t *)item;
    (void)user;
    if (muster_task_item_bytes() != sizeof n)
        return muster_task_fail(2, "the item has %zu bytes", muster_task_item_bytes());
    if (n % 11 == 10)
        return muster_task_fail(4, "item %d", (int)n);
    if (n % 4 == 3) { /* of the fixed size */
        *(uint64_t *)result = n;
        return 0;
    }
    return return_filled(n, n % 50 ? 1000 : 300) || return_filled(n, random_size(n));
}

static muster_imap *imap_make(muster_pool pool, muster_task_fn fn, muster_items *items, muster_imap_options options)
{
    muster_imap *imap;
    assert_int_equal(muster_pool_imap(pool, &imap, fn, muster_items_next, items, 8, 8, &options), MUSTER_OK);
    return imap;
}

static void check_view(muster_imap *imap, int64_t *index)
{
    const void *result = NULL;
    size_t size;
    muster_err err = muster_imap_view(imap, &result, &size, index, MUSTER_FOREVER);
    uint64_t n = (uint64_t)*index;
    assert_int_equal(err, n % 11 == 10 ? MUSTER_ERR_TASK : MUSTER_OK);
    if (err)
        return;
    assert_int_equal(size, n % 4 == 3 ? 8 : random_size(n));
    if (n % 4 == 3)
        assert_memory_equal(result, &n, sizeof n);
    else
        assert_true(is_filled(result, size, n));
}

static void test_imap(void **state)
{
    enum { N = 130 };
    uint64_t numbers[N];
    int64_t index;
    const void *result;
    size_t size;
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 0});
    for (uint64_t i = 0; i < N; i++)
        numbers[i] = i;
    for (int round = 0; round < 6; round++) {
        bool seen[N] = {false};
        muster_items items = {.items = numbers, .n = N, .item_bytes = 8};
        muster_imap *imap = imap_make(pool, imap_item, &items,
                                      (muster_imap_options){.chunk_items = round % 3 * 3, .unordered = round >= 3});
        for (int64_t i = 0; i < N; i++) {
            check_view(imap, &index);
            assert_true(index >= 0 && index < N && !seen[index]);
            assert_true(round >= 3 || index == i);
            seen[index] = true;
        }
        assert_int_equal(muster_imap_view(imap, &result, &size, &index, MUSTER_FOREVER), MUSTER_ERR_CLOSED);
        muster_imap_end(imap);
    }
    pool_end(pool);
}

static int lengths(const void *item, void *result, const void *user)
{
    (void)result;
    (void)user;
    return muster_task_return("0123456789abcdef", (size_t) * (const uint64_t *)item);
}

/* What does not fit stays the next one. */
static void test_imap_too_big(void **state)
{
    uint64_t numbers[] = {0, 3, 8, 9, 16, 5};
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 0});
    for (int64_t chunk = 1; chunk <= 4; chunk++) {
        muster_items items = {.items = numbers, .n = 6, .item_bytes = 8};
        muster_imap *imap = imap_make(pool, lengths, &items, (muster_imap_options){.chunk_items = chunk});
        for (int i = 0; i < 6; i++) {
            char bytes[8], expected[8] = {0};
            const void *result;
            size_t size;
            int64_t index = -1;
            memset(bytes, 'x', 8);
            muster_err err = muster_imap_next(imap, bytes, &index, MUSTER_FOREVER);
            assert_int_equal(err, numbers[i] > 8 ? MUSTER_ERR_TOOBIG : MUSTER_OK);
            assert_int_equal(index, err ? -1 : i);
            if (!err) {
                memcpy(expected, "01234567", numbers[i]);
                assert_memory_equal(bytes, expected, 8);
                continue;
            }
            assert_int_equal(muster_imap_next(imap, bytes, &index, MUSTER_FOREVER), MUSTER_ERR_TOOBIG);
            assert_int_equal(bytes[0], 'x');
            assert_int_equal(muster_imap_view(imap, &result, &size, &index, MUSTER_FOREVER), MUSTER_OK);
            assert_int_equal(index, i);
            assert_int_equal(size, numbers[i]);
            assert_memory_equal(result, "0123456789abcdef", size);
        }
        muster_imap_end(imap);
    }
    pool_end(pool);
}

/* ---- 23: workers that die with a result in hand ---- */

struct fatal {
    muster_queue words; /* a task that gets one from it dies */
    uint64_t seed, size;
};

/* The first try returns something, and dies; the next one returns something else, or nothing. */
static int die_or_return(const void *item, void *result, const void *user)
{
    const struct fatal *fatal = item;
    char word[8];
    (void)user;
    if (muster_queue_get(fatal->words, word, sizeof word, NULL, 0) == MUSTER_OK) {
        return_filled(99, 5000);
        raise(SIGKILL);
    }
    if (fatal->size)
        return return_filled(fatal->seed, fatal->size);
    *(uint64_t *)result = fatal->seed;
    return 0;
}

static void put_words(muster_queue queue, int n)
{
    for (int i = 0; i < n; i++)
        assert_int_equal(muster_queue_put(queue, "die", 4, 0), MUSTER_OK);
}

static void test_task_retried(void **state)
{
    (void)state;
    void *alone = (void *)&isolated;
    muster_pool pool = pool_make(&alone, (muster_pool_options){.workers = 0, .retries = 2});
    muster_queue queue;
    assert_int_equal(muster_queue_create(&queue, NULL), MUSTER_OK);
    for (int round = 0; round < 12; round++) {
        struct fatal fatal = {queue, (uint64_t)round, round % 2 ? 3000 : 0};
        muster_task task;
        void *result = NULL;
        size_t size = 0;
        put_words(queue, round % 4);
        assert_int_equal(muster_pool_submit(pool, &task, die_or_return, &fatal, sizeof fatal, 8, NULL), MUSTER_OK);
        muster_err err = muster_task_take(task, &result, &size, MUSTER_FOREVER);
        assert_int_equal(err, round % 4 > 2 ? MUSTER_ERR_CRASHED : MUSTER_OK);
        if (err)
            continue;
        assert_int_equal(size, round % 2 ? 3000 : 8);
        if (round % 2)
            assert_true(is_filled(result, size, fatal.seed));
        else
            assert_memory_equal(result, &fatal.seed, 8);
        free(result);
    }
    assert_int_equal(muster_queue_destroy(queue), MUSTER_OK);
    pool_end(pool);
}

struct fatal_list {
    muster_queue words;
    int64_t at;
};

static int die_at(const void *item, void *result, const void *user)
{
    const struct fatal_list *fatal = user;
    char word[8];
    (void)result;
    if (muster_task_index() == fatal->at && muster_queue_get(fatal->words, word, sizeof word, NULL, 0) == MUSTER_OK) {
        return_filled(99, 200000);
        raise(SIGKILL);
    }
    return muster_task_return(item, muster_task_item_bytes());
}

static void check_echo(const muster_span *items, const muster_span *results, int64_t n, int64_t missing)
{
    for (int64_t i = 0; i < n; i++) {
        assert_int_equal(results[i].bytes == NULL, i == missing);
        assert_int_equal(results[i].size_bytes, i == missing ? 0 : items[i].size_bytes);
        if (results[i].size_bytes)
            assert_memory_equal(results[i].bytes, items[i].bytes, items[i].size_bytes);
    }
}

static void test_list_crash(void **state)
{
    enum { N = 100 };
    muster_span *items = list_make(N), *results;
    muster_queue queue;
    (void)state;
    void *alone = (void *)&isolated;
    assert_int_equal(muster_queue_create(&queue, NULL), MUSTER_OK);
    for (int retries = 0; retries < 3; retries++) {
        muster_pool pool = pool_make(&alone, (muster_pool_options){.workers = 0, .retries = retries});
        for (int64_t at = 0; at < N; at += 33) {
            struct fatal_list fatal = {queue, at};
            muster_map_options options = {.chunk_items = at % 4, .user = &fatal, .user_bytes = sizeof fatal};
            put_words(queue, 2);
            muster_err err = muster_pool_map_list(pool, die_at, items, N, &results, &options);
            assert_int_equal(err, retries == 2 ? MUSTER_OK : MUSTER_ERR_CRASHED);
            check_echo(items, results, N, retries == 2 ? -1 : at);
            if (err)
                assert_int_equal(muster_pool_last_error()->index, at);
            free(results);
            while (muster_queue_get(queue, &(char[8]){0}, 8, NULL, 0) == MUSTER_OK)
                ;
        }
        pool_end(pool);
    }
    assert_int_equal(muster_queue_destroy(queue), MUSTER_OK);
    list_free(items, N);
}

/* 18: an item that takes too long; its worker had a result in hand */
static int hang_at(const void *item, void *result, const void *user)
{
    (void)result;
    (void)user;
    muster_err err = muster_task_return(item, muster_task_item_bytes());
    while (muster_task_index() == 20)
        nanosleep(&(struct timespec){1, 0}, NULL);
    return err;
}

static void test_list_limit(void **state)
{
    enum { N = 40 };
    muster_span *items = list_make(N), *results;
    (void)state;
    void *alone = (void *)&isolated;
    muster_pool pool = pool_make(&alone, (muster_pool_options){.workers = 0});
    muster_map_options options = {.time_limit_ms = 500};
    assert_int_equal(muster_pool_map_list(pool, hang_at, items, N, &results, &options), MUSTER_ERR_TIMEOUT);
    check_echo(items, results, N, 20);
    free(results);
    pool_end(pool);
    alone = (void *)&in_rank;
    pool = pool_make(&alone, (muster_pool_options){.workers = 1});
    assert_int_equal(muster_pool_map_list(pool, hang_at, items, N, &results, &options), MUSTER_ERR_UNSUPPORTED);
    assert_null(results);
    pool_end(pool);
    list_free(items, N);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_return_sizes),
        BOTH(test_return_many),
        BOTH(test_return_often),
        BOTH(test_return_errors),
        BOTH(test_return_nested),
        BOTH(test_return_callbacks),
        BOTH(test_return_fixed),
        BOTH(test_list),
        BOTH(test_list_words),
        BOTH(test_list_refused),
        BOTH(test_list_failures),
        BOTH(test_list_nested),
        BOTH(test_list_windows),
        BOTH(test_imap),
        BOTH(test_imap_too_big),
        cmocka_unit_test(test_task_retried),
        cmocka_unit_test(test_list_crash),
        cmocka_unit_test(test_list_limit),
    };
    return mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "any");
}
