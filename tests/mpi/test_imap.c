/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * imap over inputs of any size, and with a generator that has nothing yet: conformance 12, 14, 15, 16, 23, 26. Each
 * case with workers in the ranks and with isolated ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <muster/muster.h>

#include "support/pool_case.h"

static unsigned char byte_at(uint64_t seed, size_t i)
{
    return (unsigned char)(seed * 31 + i * 7 + i / 251);
}

static size_t size_of(uint64_t n)
{
    static const size_t sizes[] = {0, 1, 15, 16, 17, 64, 80, 1000, 16384, 16385, 300000, 1 << 20};
    return sizes[n * 5 % (sizeof sizes / sizeof *sizes)];
}

/* ---- inputs of any size ---- */

/* Draws n inputs, each of which is gone when the next one is asked for. */
struct source {
    int64_t n, next;
    unsigned char *bytes;
    int64_t taken, most_ahead;
};

static int draw(muster_span *item, void *arg)
{
    struct source *source = arg;
    size_t size = size_of((uint64_t)source->next);
    free(source->bytes);
    source->bytes = NULL;
    if (source->next == source->n)
        return 1;
    if (source->next - source->taken > source->most_ahead)
        source->most_ahead = source->next - source->taken;
    if (size)
        source->bytes = malloc(size);
    for (size_t i = 0; i < size; i++)
        source->bytes[i] = byte_at((uint64_t)source->next, i);
    *item = (muster_span){source->bytes, size};
    source->next++;
    return 0;
}

/* Checks all of its input, and returns it. */
static int echo(const void *item, void *result, const void *user)
{
    const unsigned char *bytes = item;
    size_t size = muster_task_item_bytes();
    uint64_t n = (uint64_t)muster_task_index();
    (void)user;
    if (result || (uintptr_t)item % 16 || bytes[size])
        return muster_task_fail(2, "item at %p, result at %p", item, result);
    if (size != size_of(n))
        return muster_task_fail(3, "item %d has %zu bytes", (int)n, size);
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != byte_at(n, i))
            return muster_task_fail(4, "byte %zu of item %d", i, (int)n);
    if (n % 13 == 12)
        return muster_task_fail(5, "item %d", (int)n);
    return n % 5 == 4 ? 0 : muster_task_return(item, size);
}

static void check_result(muster_imap *imap, int64_t *index)
{
    const void *result = NULL;
    size_t size = 77;
    muster_err err = muster_imap_view(imap, &result, &size, index, MUSTER_FOREVER);
    uint64_t n = (uint64_t)*index;
    if (n % 13 == 12) {
        assert_int_equal(err, MUSTER_ERR_TASK);
        assert_int_equal(muster_pool_last_error()->code, 5);
        assert_non_null(strstr(muster_pool_last_error()->function, "echo"));
        return;
    }
    assert_int_equal(err, MUSTER_OK);
    assert_int_equal(size, n % 5 == 4 ? 0 : size_of(n));
    for (size_t i = 0; i < size; i++)
        if (((const unsigned char *)result)[i] != byte_at(n, i))
            fail_msg("byte %zu of result %d", i, (int)n);
}

static void test_sizes(void **state)
{
    enum { N = 60, WINDOW = 3 };
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 0});
    for (int round = 0; round < 6; round++) {
        int64_t chunk = round % 3 ? round % 3 * 2 : 1;
        struct source source = {.n = N};
        bool seen[N] = {false};
        muster_imap *imap;
        assert_int_equal(
            muster_pool_imap_list(
                pool, &imap, echo, draw, &source,
                &(muster_imap_options){.chunk_items = chunk, .window_chunks = WINDOW, .unordered = round >= 3}),
            MUSTER_OK);
        for (source.taken = 0; source.taken < N; source.taken++) {
            int64_t index = -1;
            check_result(imap, &index);
            assert_in_range(index, 0, N - 1);
            assert_true(!seen[index] && (round >= 3 || index == source.taken));
            seen[index] = true;
        }
        const void *result;
        size_t size;
        assert_int_equal(muster_imap_view(imap, &result, &size, NULL, MUSTER_FOREVER), MUSTER_ERR_CLOSED);
        assert_true(source.most_ahead < (WINDOW + 1) * chunk);
        muster_imap_end(imap);
    }
    pool_end(pool);
}

static int count_letters(const void *item, void *result, const void *user)
{
    (void)result, (void)user;
    int64_t letters = (int64_t)strlen(item); /* a 0 lies behind it */
    return muster_task_return(&letters, sizeof letters);
}

static void test_spans(void **state)
{
    muster_span words[] = {{"to", 2}, {"", 0}, {NULL, 0}, {"be or not", 9}, {"to", 1}};
    static const int64_t letters[] = {2, 0, 0, 9, 1};
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 0});
    muster_spans spans = {words, 5, 0}, none = {words, 0, 0};
    muster_imap *imap;
    const void *result;
    size_t size;
    int64_t index;
    assert_int_equal(muster_pool_imap_list(pool, &imap, count_letters, muster_spans_next, &spans, NULL), MUSTER_OK);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(muster_imap_view(imap, &result, &size, &index, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(index, i);
        assert_int_equal(size, sizeof *letters);
        assert_memory_equal(result, &letters[i], sizeof *letters);
    }
    assert_int_equal(muster_imap_view(imap, &result, &size, &index, MUSTER_FOREVER), MUSTER_ERR_CLOSED);
    muster_imap_end(imap);
    assert_int_equal(muster_pool_imap_list(pool, &imap, count_letters, muster_spans_next, &none, NULL), MUSTER_OK);
    assert_int_equal(muster_imap_view(imap, &result, &size, &index, MUSTER_FOREVER), MUSTER_ERR_CLOSED);
    muster_imap_end(imap);
    pool_end(pool);
}

/* An item that cannot be is the generator's failure. */
static int draw_wrong(muster_span *item, void *arg)
{
    int *drawn = arg;
    *item = (*drawn)++ < 2 ? (muster_span){"x", 1} : (muster_span){NULL, 5};
    return 0;
}

static void test_wrong(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 0});
    muster_imap *imap = NULL;
    const void *result;
    size_t size;
    int drawn = 0;
    assert_int_equal(muster_pool_imap_list(pool, &imap, count_letters, NULL, NULL, NULL), MUSTER_ERR_INVAL);
    assert_int_equal(muster_pool_imap_list(pool, NULL, count_letters, draw_wrong, &drawn, NULL), MUSTER_ERR_INVAL);
    assert_int_equal(muster_pool_imap_list(pool, &imap, NULL, draw_wrong, &drawn, NULL), MUSTER_ERR_INVAL);
    assert_null(imap);
    assert_int_equal(muster_spans_next(NULL, NULL), MUSTER_ERR_INVAL);
    assert_int_equal(muster_pool_imap_list(pool, &imap, count_letters, draw_wrong, &drawn, NULL), MUSTER_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(muster_imap_view(imap, &result, &size, NULL, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(muster_imap_view(imap, &result, &size, NULL, MUSTER_FOREVER), MUSTER_ERR_TASK);
    assert_int_equal(muster_pool_last_error()->code, MUSTER_ERR_INVAL);
    assert_int_equal(muster_pool_last_error()->index, 2);
    assert_non_null(strstr(muster_pool_last_error()->function, "draw_wrong"));
    assert_int_equal(muster_imap_view(imap, &result, &size, NULL, MUSTER_FOREVER), MUSTER_ERR_CLOSED);
    assert_int_equal(drawn, 3);
    muster_imap_end(imap);
    pool_end(pool);
}

/* ---- a generator that has nothing yet ---- */

static int twice(const void *item, void *result, const void *user)
{
    (void)user;
    *(int64_t *)result = 2 * *(const int64_t *)item;
    return 0;
}

static int from_queue(void *item, void *arg)
{
    muster_err err = muster_queue_get(*(const muster_queue *)arg, item, sizeof(int64_t), NULL, MUSTER_NOWAIT);
    return err == MUSTER_ERR_EMPTY ? MUSTER_GENERATE_LATER : err == MUSTER_ERR_CLOSED ? 1 : err;
}

/* Nothing more comes before the results of what came are there: who waits for the generator alone stands still. */
static void test_later(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 0});
    muster_queue queue;
    assert_int_equal(muster_queue_create(&queue, NULL), MUSTER_OK);
    for (int round = 0; round < 4; round++) {
        muster_imap *imap;
        int64_t result = -1, index = -1;
        assert_int_equal(
            muster_pool_imap(pool, &imap, twice, from_queue, &queue, 8, 8,
                             &(muster_imap_options){.chunk_items = round % 2 ? 5 : 1, .unordered = round >= 2}),
            MUSTER_OK);
        assert_int_equal(muster_imap_next(imap, &result, &index, MUSTER_NOWAIT), MUSTER_ERR_TIMEOUT);
        assert_int_equal(muster_imap_next(imap, &result, &index, 30), MUSTER_ERR_TIMEOUT);
        for (int64_t i = 0; i < 9; i++) {
            assert_int_equal(muster_queue_put(queue, &i, sizeof i, MUSTER_FOREVER), MUSTER_OK);
            assert_int_equal(muster_imap_next(imap, &result, &index, MUSTER_FOREVER), MUSTER_OK);
            assert_int_equal(index, i);
            assert_int_equal(result, 2 * i);
        }
        assert_int_equal(muster_imap_next(imap, &result, &index, 5), MUSTER_ERR_TIMEOUT);
        muster_imap_end(imap);
    }
    assert_int_equal(muster_queue_destroy(queue), MUSTER_OK);
    pool_end(pool);
}

static int feed(const void *arg, size_t size)
{
    muster_queue queue = *(const muster_queue *)arg;
    muster_err err = MUSTER_OK;
    (void)size;
    for (int64_t i = 0; i < 200 && !err; i++)
        err = muster_queue_put(queue, &i, sizeof i, MUSTER_FOREVER);
    return err ? err : muster_queue_close(queue);
}

static void test_fed(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 0});
    muster_queue queue;
    muster_process feeder;
    muster_imap *imap;
    int64_t result, index;
    muster_process_status status = {.exit_code = -1};
    assert_int_equal(muster_queue_create(&queue, &(muster_queue_options){.maxsize = 3}), MUSTER_OK);
    assert_int_equal(muster_process_create(&feeder, feed, &queue, sizeof queue, NULL), MUSTER_OK);
    assert_int_equal(muster_process_start(feeder), MUSTER_OK);
    assert_int_equal(
        muster_pool_imap(pool, &imap, twice, from_queue, &queue, 8, 8, &(muster_imap_options){.chunk_items = 4}),
        MUSTER_OK);
    for (int64_t i = 0; i < 200; i++) {
        assert_int_equal(muster_imap_next(imap, &result, &index, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(index, i);
        assert_int_equal(result, 2 * i);
    }
    assert_int_equal(muster_imap_next(imap, &result, &index, MUSTER_FOREVER), MUSTER_ERR_CLOSED);
    muster_imap_end(imap);
    assert_int_equal(muster_process_join(feeder, &status, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(status.exit_code, 0);
    assert_int_equal(muster_queue_destroy(queue), MUSTER_OK);
    pool_end(pool);
}

/* What ends a wait ends it here, too. */
static void test_later_ends(void **state)
{
    muster_pool pool = pool_make(state, (muster_pool_options){.workers = 0});
    muster_queue queue;
    muster_imap *imap;
    int64_t result, index;
    assert_int_equal(muster_queue_create(&queue, NULL), MUSTER_OK);
    assert_int_equal(muster_pool_imap(pool, &imap, twice, from_queue, &queue, 8, 8, NULL), MUSTER_OK);
    assert_int_equal(muster_imap_next(imap, &result, &index, 3), MUSTER_ERR_TIMEOUT);
    assert_int_equal(muster_pool_close(pool), MUSTER_OK);
    assert_int_equal(muster_imap_next(imap, &result, &index, MUSTER_FOREVER), MUSTER_ERR_CLOSED);
    muster_imap_end(imap);
    assert_int_equal(muster_queue_destroy(queue), MUSTER_OK);
    pool_end(pool);
}

/* ---- 16, 23: whose error it is ---- */

static int die(const void *item, void *result, const void *user)
{
    (void)item, (void)result, (void)user;
    raise(SIGKILL);
    return 0;
}

static void test_crash_names(void **state)
{
    (void)state;
    void *alone = (void *)&isolated;
    muster_pool pool = pool_make(&alone, (muster_pool_options){.workers = 0});
    int64_t item = 5, result, index = -1;
    muster_items items = {&item, 1, sizeof item, 0};
    muster_imap *imap;
    assert_int_equal(muster_pool_imap(pool, &imap, die, muster_items_next, &items, 8, 8, NULL), MUSTER_OK);
    assert_int_equal(muster_imap_next(imap, &result, &index, MUSTER_FOREVER), MUSTER_ERR_CRASHED);
    assert_int_equal(index, 0);
    const muster_task_error *error = muster_pool_last_error();
    assert_int_equal(error->code, SIGKILL);
    assert_int_equal(error->index, 0);
    assert_non_null(strstr(error->function, "die"));
    assert_null(strstr(error->function, "run_chunk"));
    assert_non_null(strstr(muster_err_detail(), error->function));
    muster_imap_end(imap);
    pool_end(pool);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_sizes),
        BOTH(test_spans),
        BOTH(test_wrong),
        BOTH(test_later),
        BOTH(test_fed),
        BOTH(test_later_ends),
        cmocka_unit_test(test_crash_names),
    };
    return mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "imap");
}
