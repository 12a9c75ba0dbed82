/* SPDX-License-Identifier: BSD-3-Clause */
/* Latch: mutual exclusion between processes, generations, taking over from the dead. */
#include "shared_case.h"

enum { ROUNDS = 100000, GENERATION = 7 };

static struct guarded {
    struct muster__latch latch;
    _Alignas(MUSTER__LINE) int64_t count;
    _Atomic uint32_t ready, refused;
    _Atomic uint32_t holder;
} * guarded;

static int latch_setup(void **state)
{
    case_setup(state);
    guarded = case_map(sizeof *guarded);
    muster__latch_init(&guarded->latch, GENERATION);
    return 0;
}

static int count_up(void *arg)
{
    (void)arg;
    uint32_t self = muster__self_number();
    for (int i = 0; i < ROUNDS; i++) {
        if (!muster__latch_acquire(&guarded->latch, GENERATION, self))
            return 1;
        guarded->count++;
        muster__latch_release(&guarded->latch, GENERATION, self);
    }
    return 0;
}

static void excludes(void **state)
{
    (void)state;
    case_processes(4, count_up, NULL);
    assert_int_equal(guarded->count, 4 * ROUNDS);
    case_threads(4, count_up, NULL);
    assert_int_equal(guarded->count, 8 * ROUNDS);
    assert_int_equal(atomic_load(&guarded->latch.word), (uint64_t)GENERATION << 32);
}

static void other_generations_never_get_in(void **state)
{
    (void)state;
    uint32_t self = muster__self_number();
    assert_false(muster__latch_acquire(&guarded->latch, GENERATION - 1, self));
    assert_false(muster__latch_acquire(&guarded->latch, GENERATION + 1, self));
    assert_true(muster__latch_acquire(&guarded->latch, GENERATION, self));
    muster__latch_end(&guarded->latch, GENERATION);
    assert_false(muster__latch_acquire(&guarded->latch, GENERATION, self));
    assert_true(muster__latch_acquire(&guarded->latch, GENERATION + 1, self));
}

static int expect_refusal(void *arg)
{
    (void)arg;
    atomic_fetch_add(&guarded->ready, 1);
    return muster__latch_acquire(&guarded->latch, GENERATION, muster__self_number()) ? 1 : 0;
}

static void end_refuses_who_waits(void **state)
{
    (void)state;
    assert_true(muster__latch_acquire(&guarded->latch, GENERATION, muster__self_number()));
    for (uint32_t member = 1; member <= 3; member++)
        case_fork(member, expect_refusal, NULL);
    CASE_UNTIL(atomic_load(&guarded->ready) == 3);
    usleep(5000);
    muster__latch_end(&guarded->latch, GENERATION);
    case_join_all(1, 3);
}

static int hold_for_ever(void *arg)
{
    (void)arg;
    if (!muster__latch_acquire(&guarded->latch, GENERATION, muster__self_number()))
        return 1;
    atomic_store(&guarded->holder, muster__self_number());
    while (pause())
        ;
    return 0;
}

static int acquire_once(void *arg)
{
    (void)arg;
    uint32_t self = muster__self_number();
    atomic_fetch_add(&guarded->ready, 1);
    if (!muster__latch_acquire(&guarded->latch, GENERATION, self))
        return 1;
    guarded->count++;
    muster__latch_release(&guarded->latch, GENERATION, self);
    return 0;
}

static void seize_takes_over_from_the_dead(void **state)
{
    (void)state;
    uint32_t self = muster__self_number(), generation = 0;
    case_fork(1, hold_for_ever, NULL);
    CASE_UNTIL(atomic_load(&guarded->holder));
    uint32_t dead = atomic_load(&guarded->holder);
    for (uint32_t member = 2; member <= 4; member++)
        case_fork(member, acquire_once, NULL);
    CASE_UNTIL(atomic_load(&guarded->ready) == 3);
    kill(case_pids[1], SIGKILL);
    assert_int_equal(case_join(1), 128 + SIGKILL);

    assert_false(muster__latch_seize(&guarded->latch, dead + 100, self, &generation));
    assert_true(muster__latch_seize(&guarded->latch, dead, self, &generation));
    assert_int_equal(generation, GENERATION);
    assert_false(muster__latch_seize(&guarded->latch, dead, self, &generation));
    assert_int_equal(guarded->count, 0);
    muster__latch_release(&guarded->latch, GENERATION, self);
    case_join_all(2, 3);
    assert_int_equal(guarded->count, 3);
}

/* Both were killed while one held a heap latch: who sweeps the other finds that out and does not wait for ever. */
static bool all_are_dead(uint32_t member)
{
    return member != 0;
}

static void sweeper_frees_a_heap_latch_of_another_dead(void **state)
{
    (void)state;
    struct muster__latch *heap_latch = muster__at(muster__segment->arenas_offset);
    case_fork(1, hold_for_ever, NULL);
    CASE_UNTIL(atomic_load(&guarded->holder));
    kill(case_pids[1], SIGKILL);
    assert_int_equal(case_join(1), 128 + SIGKILL);
    atomic_store(&heap_latch->word, UINT64_C(1) << 32 | atomic_load(&guarded->holder));
    muster__member_dead = all_are_dead;
    muster__ref ref = muster__heap_alloc(100, muster__self_number());
    muster__member_dead = NULL;
    assert_true(ref != 0);
    muster__heap_free(ref, muster__self_number());
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, latch_setup, case_teardown)
    const struct CMUnitTest tests[] = {
        CASE(excludes),
        CASE(other_generations_never_get_in),
        CASE(end_refuses_who_waits),
        CASE(seize_takes_over_from_the_dead),
        CASE(sweeper_frees_a_heap_latch_of_another_dead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
