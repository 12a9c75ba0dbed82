/* SPDX-License-Identifier: BSD-3-Clause */
/* Heap of the segment: against a model, exhausted, shared by processes, swept. */
#include "shared_case.h"

#include "segment/heap.h"

enum { SLOTS = 400, STEPS = 60000 };

static _Thread_local struct {
    muster__ref ref;
    size_t size;
    unsigned char fill;
} held[SLOTS];

static size_t random_size(uint64_t *seed)
{
    size_t limit = (size_t)1 << case_random(seed) % 20;
    return 1 + case_random(seed) % limit;
}

static void put_one(int i, uint64_t *seed)
{
    held[i].size = random_size(seed);
    held[i].fill = (unsigned char)case_random(seed);
    held[i].ref = muster__heap_alloc(held[i].size, muster__self_number());
    assert_true(held[i].ref != 0);
    unsigned char *bytes = muster__heap_at(held[i].ref);
    assert_non_null(bytes);
    assert_int_equal((uintptr_t)bytes % 256, 0);
    assert_true(muster__heap_size(held[i].ref) >= held[i].size);
    memset(bytes, held[i].fill, held[i].size);
}

/* Its bytes are as they were left: no other block overlapped it. */
static void take_one(int i)
{
    const unsigned char *bytes = muster__heap_at(held[i].ref);
    assert_non_null(bytes);
    for (size_t k = 0; k<held[i].size; k += held[i].size> 64 ? held[i].size / 64 : 1)
        assert_int_equal(bytes[k], held[i].fill);
    assert_int_equal(bytes[held[i].size - 1], held[i].fill);
    assert_true(muster__heap_free(held[i].ref, muster__self_number()));
    assert_false(muster__heap_free(held[i].ref, muster__self_number()));
    assert_null(muster__heap_at(held[i].ref));
    held[i].ref = 0;
}

static void random_walk(uint64_t seed, int steps)
{
    for (int step = 0; step < steps; step++) {
        int i = (int)(case_random(&seed) % SLOTS);
        if (held[i].ref)
            take_one(i);
        else
            put_one(i, &seed);
    }
    for (int i = 0; i < SLOTS; i++)
        if (held[i].ref)
            take_one(i);
}

/* Allocating one largest block works only if everything was joined again. */
static size_t largest(void)
{
    for (size_t size = (size_t)1 << 40; size; size >>= 1) {
        muster__ref ref = muster__heap_alloc(size, muster__self_number());
        if (!ref)
            continue;
        muster__heap_free(ref, muster__self_number());
        return size;
    }
    return 0;
}

static void agrees_with_a_model(void **state)
{
    (void)state;
    size_t before = largest();
    assert_true(before >= (size_t)256 << 20);
    random_walk(1, STEPS);
    assert_int_equal(muster__heap_used(), 0);
    assert_int_equal(largest(), before);
}

static void several_arenas(void **state)
{
    (void)state;
    case_teardown(NULL);
    case_segment((size_t)512 << 20, 3);
    size_t before = largest();
    random_walk(2, STEPS);
    assert_int_equal(muster__heap_used(), 0);
    assert_int_equal(largest(), before);

    /* one arena is full: the others help out */
    muster__ref a = muster__heap_alloc(before, muster__self_number());
    muster__ref b = muster__heap_alloc(before, muster__self_number());
    assert_true(a && b && a != b);
}

static void near_its_node(void **state)
{
    (void)state;
    case_teardown(NULL);
    case_segment((size_t)512 << 20, 3);
    const struct muster__arena *arenas = muster__at(muster__segment->arenas_offset);
    for (uint32_t node = 0; node < 6; node++) {
        muster__caller_near(node);
        uint32_t unit = (uint32_t)muster__heap_alloc(4096, muster__self_number()) - 1;
        assert_in_range(unit, arenas[node % 3].first, arenas[node % 3].end - 1); /* more nodes than arenas share */
    }
}

static void frees_once(void **state)
{
    (void)state;
    uint32_t self = muster__self_number();
    muster__ref old = muster__heap_alloc(1000, self);
    assert_true(muster__heap_free(old, self));
    muster__ref young = muster__heap_alloc(1000, self);
    assert_int_equal((uint32_t)old, (uint32_t)young); /* last in, first out */
    assert_false(muster__heap_free(old, self));
    assert_false(muster__heap_hand_over(old, self, 0));
    assert_null(muster__heap_at(old));
    assert_non_null(muster__heap_at(young));
    assert_int_equal(muster__heap_size(young), 1024);
    assert_true(muster__heap_free(young, self));

    assert_false(muster__heap_free(0, self));
    assert_null(muster__heap_at(0));
    assert_null(muster__heap_at(UINT64_MAX));
    assert_int_equal(muster__heap_size(0), 0);
}

static void runs_out_and_recovers(void **state)
{
    (void)state;
    uint32_t self = muster__self_number();
    size_t before = largest();
    assert_int_equal(muster__heap_alloc((size_t)1 << 50, self), 0);
    assert_int_equal(muster__heap_alloc(SIZE_MAX, self), 0);

    static muster__ref refs[1 << 16];
    size_t n = 0;
    for (size_t size = (size_t)64 << 20; size >= 4096; size >>= 1)
        while ((refs[n] = muster__heap_alloc(size, self)))
            n++;
    assert_true(n > 8);
    assert_int_equal(muster__heap_alloc(4096, self), 0);
    while (n--)
        assert_true(muster__heap_free(refs[n], self));
    assert_int_equal(muster__heap_used(), 0);
    assert_int_equal(largest(), before);
}

static void sweep_frees_only_the_deads(void **state)
{
    (void)state;
    uint32_t self = muster__self_number(), dead = 900;
    muster__ref mine = muster__heap_alloc(5000, self);
    muster__ref object = muster__heap_alloc(5000, self);
    muster__ref given = muster__heap_alloc(5000, self);
    assert_true(muster__heap_hand_over(object, self, 0));
    assert_true(muster__heap_hand_over(given, self, dead));
    assert_false(muster__heap_hand_over(given, self, 0));
    muster__heap_sweep(dead, self);
    assert_null(muster__heap_at(given));
    assert_non_null(muster__heap_at(mine));
    assert_non_null(muster__heap_at(object));
    assert_true(muster__heap_free(mine, self));
    assert_true(muster__heap_free(object, self));
    assert_int_equal(muster__heap_used(), 0);
}

static int hammer(void *arg)
{
    (void)arg;
    random_walk(muster__self_number() * 17, STEPS / 2);
    return 0;
}

static void shared_by_processes(void **state)
{
    (void)state;
    size_t before = largest();
    case_processes(4, hammer, NULL);
    assert_int_equal(muster__heap_used(), 0);
    assert_int_equal(largest(), before);
}

static void shared_by_threads(void **state)
{
    (void)state;
    case_threads(3, hammer, NULL);
    assert_int_equal(muster__heap_used(), 0);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, case_setup, case_teardown)
    const struct CMUnitTest tests[] = {
        CASE(agrees_with_a_model), CASE(several_arenas),        CASE(near_its_node),
        CASE(frees_once),          CASE(runs_out_and_recovers), CASE(sweep_frees_only_the_deads),
        CASE(shared_by_processes), CASE(shared_by_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
