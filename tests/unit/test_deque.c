/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The work-stealing deque: order, growth, one owner against thieves, repair after the owner's death.
 */
#include "sched/deque.h"
#include "unit/shared_case.h"

#include <pthread.h>

static struct deque *deque_make(void)
{
    static _Alignas(64) struct deque deque;
    memset(&deque, 0, sizeof deque);
    deque_init(&deque, 0);
    return &deque;
}

static bool take(struct deque *deque, uint64_t *entry)
{
    if (!deque_take_begin(deque, entry))
        return false;
    static _Atomic int claim; /* stands for claiming what the entry names */
    atomic_fetch_add(&claim, 1);
    deque_take_end(deque);
    return true;
}

static bool steal(struct deque *deque, uint64_t *entry)
{
    int64_t at;
    if (!deque_steal_begin(deque, entry, &at))
        return false;
    deque_steal_end(deque, at);
    return true;
}

static void test_order(void **state)
{
    (void)state;
    struct deque *deque = deque_make();
    uint64_t entry;
    assert_int_equal(deque_size(deque), 0);
    assert_false(take(deque, &entry));
    assert_false(steal(deque, &entry));
    for (uint64_t i = 1; i <= 5; i++)
        assert_true(deque_push(deque, i, muster__self_number()));
    assert_true(steal(deque, &entry));
    assert_int_equal(entry, 1); /* thieves get the oldest */
    assert_true(take(deque, &entry));
    assert_int_equal(entry, 5); /* the owner the newest */
    for (uint64_t i = 4; i >= 2; i--) {
        assert_true(take(deque, &entry));
        assert_int_equal(entry, i);
    }
    assert_false(take(deque, &entry));
    assert_int_equal(deque_size(deque), 0);
}

static void test_growth(void **state)
{
    (void)state;
    struct deque *deque = deque_make();
    uint64_t entry, stolen = 0;
    const uint64_t many = 100000;
    for (uint64_t i = 0; i < many; i++) {
        assert_true(deque_push(deque, i, muster__self_number()));
        if (i % 3 == 0) {
            assert_true(steal(deque, &entry));
            assert_int_equal(entry, stolen++);
        }
    }
    for (uint64_t i = many; i-- > stolen;) {
        assert_true(take(deque, &entry));
        assert_int_equal(entry, i);
    }
    assert_false(take(deque, &entry));
}

/* ---- one owner, two thieves: every entry comes out, and is claimed once ---- */

enum { ENTRIES = 300000, THIEVES = 2 };
static _Atomic unsigned char claimed[ENTRIES];
static _Atomic int64_t claims;
static _Atomic bool over;
static struct deque *contested;

static void claim_entry(uint64_t entry)
{
    if (atomic_exchange(&claimed[entry], 1) == 0)
        atomic_fetch_add(&claims, 1);
}

static bool take_contested(void)
{
    uint64_t entry;
    if (!deque_take_begin(contested, &entry))
        return false;
    claim_entry(entry);
    deque_take_end(contested);
    return true;
}

static void *thief(void *unused)
{
    (void)unused;
    muster__caller_enter(1, false);
    uint64_t entry;
    int64_t at;
    while (!atomic_load(&over) || deque_size(contested))
        if (deque_steal_begin(contested, &entry, &at)) {
            claim_entry(entry);
            deque_steal_end(contested, at);
        }
    muster__caller_leave();
    return NULL;
}

static void test_thieves(void **state)
{
    (void)state;
    contested = deque_make();
    pthread_t threads[THIEVES];
    for (int i = 0; i < THIEVES; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, thief, NULL), 0);
    for (uint64_t i = 0; i < ENTRIES; i++) {
        assert_true(deque_push(contested, i, muster__self_number()));
        if (i % 2)
            take_contested();
    }
    while (take_contested())
        ;
    atomic_store(&over, true);
    for (int i = 0; i < THIEVES; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&claims), ENTRIES);
}

/* ---- a thief died between two steps: the entry is offered again ---- */

static void test_dead_thief(void **state)
{
    (void)state;
    struct deque *deque = deque_make();
    uint64_t entry, again;
    int64_t at;
    assert_true(deque_push(deque, 5, muster__self_number()));
    assert_true(deque_steal_begin(deque, &entry, &at)); /* and dies here */
    assert_true(steal(deque, &again));
    assert_int_equal(entry, again);
    deque_steal_end(deque, at); /* late: another has moved top */
    assert_int_equal(deque_size(deque), 0);
    assert_true(deque_push(deque, 6, muster__self_number()));
    assert_true(steal(deque, &entry));
    assert_int_equal(entry, 6);
}

/* ---- the owner died between two steps ---- */

static void test_repair(void **state)
{
    (void)state;
    struct deque *deque = deque_make();
    uint64_t entry;
    for (uint64_t i = 0; i < 10; i++)
        assert_true(deque_push(deque, i, muster__self_number()));
    assert_true(deque_take_begin(deque, &entry)); /* and dies here */
    deque_repair(deque, muster__self_number());
    assert_int_equal(deque_size(deque), 0);
    assert_false(take(deque, &entry));
    assert_true(deque_push(deque, 77, muster__self_number()));
    assert_true(steal(deque, &entry));
    assert_int_equal(entry, 77);

    assert_true(deque_push(deque, 78, muster__self_number()));
    assert_true(deque_take_begin(deque, &entry)); /* dies with bottom lowered to top */
    deque_repair(deque, muster__self_number());
    assert_int_equal(deque_size(deque), 0);
    assert_true(deque_push(deque, 79, muster__self_number()));
    assert_true(take(deque, &entry));
    assert_int_equal(entry, 79);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, case_setup, case_teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_order), CASE(test_growth), CASE(test_thieves), CASE(test_dead_thief), CASE(test_repair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
