/* Format and attach, callers, objects and pins, sleeping and events. */
#include "shared_case.h"

#include "segment/heap.h"

static void formats_and_attaches(void **state)
{
    (void)state;
    void *memory = case_map(MUSTER__SEGMENT_MIN);
    assert_int_equal(muster__segment_format(memory, MUSTER__SEGMENT_MIN - 1, 1, 0, 1), MUSTER_ERR_INVAL);
    assert_int_equal(muster__segment_format(memory, MUSTER__SEGMENT_MIN, 1, 0, 0), MUSTER_ERR_INVAL);
    assert_int_equal(muster__segment_format(memory, MUSTER__SEGMENT_MIN, 1, 0, 100), MUSTER_OK);
    struct muster__segment *segment = memory;
    assert_int_equal(segment->arenas, MUSTER__ARENAS_MAX);
    assert_int_equal(segment->size_bytes, MUSTER__SEGMENT_MIN);
    assert_ptr_equal(muster__at(muster__offset(&muster__segment->job)), &muster__segment->job);
    munmap(memory, MUSTER__SEGMENT_MIN);
}

static void callers_enter_leave_and_are_reused(void **state)
{
    (void)state;
    int32_t awake = atomic_load(&muster__segment->awake);
    uint32_t first = muster__self_number();
    assert_true(first > 0);
    muster__caller_leave();
    assert_int_equal(muster__self_state.number, 0);
    assert_int_equal(muster__self_number(), 0); /* nobody adopts */
    assert_int_equal(atomic_load(&muster__segment->awake), awake - 1);
    muster__caller_leave(); /* twice is fine */
    assert_int_equal(atomic_load(&muster__segment->awake), awake - 1);
    assert_int_equal(muster__caller_enter(0, false), MUSTER_OK);
    assert_int_equal(muster__self_number(), first); /* low numbers are used again */
    assert_int_equal(atomic_load(&muster__segment->awake), awake);
}

static int enter_nothing(void *arg)
{
    uint32_t *number = arg;
    *number = muster__self_number();
    return *number ? 0 : 1;
}

static muster_err adopt(void)
{
    return muster__caller_enter(5, false);
}

static void *adopted_thread(void *arg)
{
    (void)arg;
    return (void *)(uintptr_t)muster__self_number();
}

static void threads_are_adopted_and_leave_at_their_end(void **state)
{
    (void)state;
    muster__caller_adopt = adopt;
    int32_t awake = atomic_load(&muster__segment->awake);
    uint32_t high = 0;
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        void *number;
        assert_int_equal(pthread_create(&thread, NULL, adopted_thread, NULL), 0);
        pthread_join(thread, &number);
        assert_true((uintptr_t)number > 0);
        assert_int_equal(atomic_load(&muster__caller((uint32_t)(uintptr_t)number)->live), 0);
        high = (uint32_t)(uintptr_t)number > high ? (uint32_t)(uintptr_t)number : high;
    }
    muster__caller_adopt = NULL;
    assert_int_equal(high, 2); /* the same number each time */
    assert_int_equal(atomic_load(&muster__segment->awake), awake);
}

static int pause_for_ever(void *arg)
{
    atomic_store((_Atomic uint32_t *)arg, muster__self_number());
    while (pause())
        ;
    return 0;
}

static void sweeping_frees_the_deads_number(void **state)
{
    (void)state;
    _Atomic uint32_t *number = case_map(4096);
    int32_t awake = atomic_load(&muster__segment->awake);
    case_fork(9, pause_for_ever, (void *)number);
    CASE_UNTIL(atomic_load(number));
    assert_int_equal(atomic_load(&muster__caller(*number)->live), 10);
    case_kill(9);
    assert_int_equal(atomic_load(&muster__caller(*number)->live), 0);
    assert_int_equal(atomic_load(&muster__segment->awake), awake);
}

/* ---- objects ---- */

static void object_make(const char *name, struct muster__object **object, muster_handle *handle)
{
    uint32_t generation;
    assert_int_equal(muster__object_claim(MUSTER__LOCK, name, muster__self_number(), object, &generation), MUSTER_OK);
    muster__object_publish(*object, generation, handle);
}

static void stale_handles_are_told_apart(void **state)
{
    (void)state;
    struct muster__object *object, *again;
    muster_handle handle, next, none = {0};
    object_make("first", &object, &handle);
    assert_ptr_equal(muster__object_find(handle, MUSTER__LOCK), object);
    assert_null(muster__object_find(handle, MUSTER__QUEUE));
    assert_null(muster__object_find(none, MUSTER__LOCK));
    muster_handle forged = handle;
    forged.job++;
    assert_null(muster__object_find(forged, MUSTER__LOCK));
    forged = handle;
    forged.slot = UINT32_MAX;
    assert_null(muster__object_find(forged, MUSTER__LOCK));
    forged = handle;
    forged.generation = 0;
    assert_null(muster__object_find(forged, MUSTER__LOCK));

    object->body[7] = 1;
    assert_true(muster__object_retire(object, handle.generation));
    assert_false(muster__object_retire(object, handle.generation));
    assert_null(muster__object_find(handle, MUSTER__LOCK));

    object_make("second", &again, &next);
    assert_ptr_equal(again, object); /* the slot is used again, empty */
    assert_int_equal(again->body[7], 0);
    assert_null(muster__object_find(handle, MUSTER__LOCK));
    assert_ptr_equal(muster__object_find(next, MUSTER__LOCK), again);
}

static void names_are_cut_and_shown(void **state)
{
    (void)state;
    struct muster__object *object;
    muster_handle handle;
    char text[80], expected[80];
    object_make("a name that is longer than thirty-one bytes", &object, &handle);
    muster__object_describe(object, text, sizeof text);
    snprintf(expected, sizeof expected, " %u 'a name that is longer than thir'", handle.slot);
    assert_non_null(strstr(text, expected)); /* after the kind's name, if the kind is there */
}

static int claim_and_wait(void *arg)
{
    struct muster__object *object;
    uint32_t generation;
    if (muster__object_claim(MUSTER__LOCK, "x", muster__self_number(), &object, &generation) != MUSTER_OK)
        return 1;
    atomic_store((_Atomic uint32_t *)arg, 1);
    while (pause())
        ;
    return 0;
}

static void half_made_objects_go_with_their_maker(void **state)
{
    (void)state;
    _Atomic uint32_t *claimed = case_map(4096);
    case_fork(1, claim_and_wait, (void *)claimed);
    CASE_UNTIL(atomic_load(claimed));
    assert_int_equal(muster__tag_unpack(atomic_load(&muster__object_slot(0)->tag)).state, MUSTER__TAG_CLAIMED);
    case_kill(1);
    assert_int_equal(muster__tag_unpack(atomic_load(&muster__object_slot(0)->tag)).state, MUSTER__TAG_FREE);
}

static muster_handle pinned;
static _Atomic uint32_t *stage;

static int pin_a_while(void *arg)
{
    (void)arg;
    struct muster__object *object = muster__object_pin(pinned, MUSTER__LOCK);
    if (!object)
        return 1;
    atomic_store(stage, 1);
    usleep(20000);
    atomic_store(stage, 2);
    muster__object_unpin();
    return 0;
}

static void drain_waits_for_pins_of_the_living(void **state)
{
    (void)state;
    struct muster__object *object;
    object_make("pinned", &object, &pinned);
    stage = case_map(4096);
    case_fork(1, pin_a_while, NULL);
    CASE_UNTIL(atomic_load(stage));
    muster__object_retire(object, pinned.generation);
    muster__object_drain(object);
    assert_int_equal(atomic_load(stage), 2);
    assert_int_equal(case_join(1), 0);
    assert_null(muster__object_pin(pinned, MUSTER__LOCK));
    assert_int_equal(atomic_load(&muster__self_state.caller->using), 0);
}

/* ---- sleeping ---- */

static void sleeps_end_at_the_deadline(void **state)
{
    (void)state;
    static _Atomic uint32_t word;
    bool woken = true;
    int64_t begin = muster__now_ns();
    while (muster__sleep(&word, 0, begin + 20000000, &woken) == MUSTER_OK)
        assert_false(woken);
    assert_true(muster__now_ns() - begin >= 20000000);
    assert_int_equal(muster__sleep(&word, 1, MUSTER__NEVER, &woken), MUSTER_OK); /* another value: at once */
    assert_int_equal(muster__sleep(&word, 0, 0, NULL), MUSTER_ERR_TIMEOUT);
    assert_int_equal(atomic_load(&muster__self_state.caller->asleep), 0);
    assert_int_equal(atomic_load(&muster__segment->awake), 1);
}

static void signals_interrupt_who_heeds_them(void **state)
{
    (void)state;
    static _Atomic uint32_t word;
    atomic_store(&muster__segment->signal, SIGINT);
    assert_int_equal(muster__sleep(&word, 1, MUSTER__NEVER, NULL), MUSTER_OK);
    muster__self_state.caller->heeds_signal = true;
    assert_int_equal(muster__sleep(&word, 1, MUSTER__NEVER, NULL), MUSTER_ERR_INTERRUPTED);
    assert_true(strlen(muster_err_detail()) > 0);
}

static void nothing_spins_where_callers_outnumber_cores(void **state)
{
    (void)state;
    struct muster__spin spin = {0};
    assert_true(muster__spin(&spin));
    int64_t begin = muster__now_ns();
    while (muster__spin(&spin))
        assert_true(muster__now_ns() - begin < INT64_C(10000000000));
    atomic_store(&muster__segment->cores, 0);
    spin = (struct muster__spin){0};
    assert_false(muster__spin(&spin));
}

static int wait_for_bell(void *arg)
{
    struct muster__caller *caller = muster__self_state.caller;
    atomic_store((_Atomic uint32_t *)arg, muster__self_number());
    for (int rings = 0; rings < 100;) {
        uint32_t bell = atomic_load(&caller->bell);
        if (bell > (uint32_t)rings) {
            rings = (int)bell;
            continue;
        }
        muster__sleep(&caller->bell, bell, MUSTER__NEVER, NULL);
    }
    return 0;
}

static void bells_wake(void **state)
{
    (void)state;
    _Atomic uint32_t *number = case_map(4096);
    case_fork(1, wait_for_bell, (void *)number);
    CASE_UNTIL(atomic_load(number));
    for (int i = 0; i < 100; i++)
        muster__ring(atomic_load(number));
    assert_int_equal(case_join(1), 0);
}

/*
 * Tokens are given one by one, with one signal each; takers sleep when there is none. A taker whose sleep ended by
 * itself, while the event was as it had left it and there were tokens, had been forgotten.
 */
enum { GIVERS = 2, TAKERS = 3, TOKENS = 30000 };
static struct tokens {
    struct muster__event event;
    _Alignas(MUSTER__LINE) _Atomic int32_t tokens;
    _Atomic uint32_t role, taken, forgotten;
} * tokens;

static bool take_token(void)
{
    int32_t n = atomic_load(&tokens->tokens);
    while (n > 0)
        if (atomic_compare_exchange_weak(&tokens->tokens, &n, n - 1))
            return true;
    return false;
}

static int give_or_take(void *arg)
{
    (void)arg;
    if (atomic_fetch_add(&tokens->role, 1) < GIVERS) {
        for (int i = 0; i < TOKENS; i++) {
            atomic_fetch_add(&tokens->tokens, 1);
            muster__event_signal(&tokens->event, 1);
        }
        return 0;
    }
    for (;;) {
        while (take_token())
            atomic_fetch_add(&tokens->taken, 1);
        uint32_t expected = muster__event_prepare(&tokens->event);
        if (take_token()) {
            atomic_fetch_add(&tokens->taken, 1);
            continue;
        }
        if (atomic_load(&tokens->taken) == GIVERS * TOKENS)
            break;
        bool woken;
        muster__sleep(&tokens->event.word, expected, MUSTER__NEVER, &woken);
        if (!woken && atomic_load(&tokens->tokens) > 0 && atomic_load(&tokens->event.word) == expected)
            atomic_fetch_add(&tokens->forgotten, 1);
    }
    muster__event_wake(&tokens->event, -1);
    return 0;
}

static void no_wake_is_lost(void **state)
{
    (void)state;
    tokens = case_map(sizeof *tokens);
    case_processes(GIVERS + TAKERS, give_or_take, NULL);
    assert_int_equal(atomic_load(&tokens->taken), GIVERS * TOKENS);
    assert_int_equal(atomic_load(&tokens->forgotten), 0);
    memset((void *)tokens, 0, sizeof *tokens);
    case_threads(GIVERS + TAKERS, give_or_take, NULL);
    assert_int_equal(atomic_load(&tokens->taken), GIVERS * TOKENS);
}

static void many_callers_get_different_numbers(void **state)
{
    (void)state;
    uint32_t *numbers = case_map(4096);
    for (uint32_t member = 1; member <= 20; member++)
        case_fork(member, enter_nothing, numbers + member);
    case_join_all(1, 20);
    for (uint32_t member = 1; member <= 20; member++)
        assert_true(numbers[member] > 1);
    assert_int_equal(atomic_load(&muster__segment->awake), 1);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, case_setup, case_teardown)
    const struct CMUnitTest tests[] = {
        CASE(formats_and_attaches),
        CASE(callers_enter_leave_and_are_reused),
        CASE(threads_are_adopted_and_leave_at_their_end),
        CASE(many_callers_get_different_numbers),
        CASE(sweeping_frees_the_deads_number),
        CASE(stale_handles_are_told_apart),
        CASE(names_are_cut_and_shown),
        CASE(half_made_objects_go_with_their_maker),
        CASE(drain_waits_for_pins_of_the_living),
        CASE(sleeps_end_at_the_deadline),
        CASE(signals_interrupt_who_heeds_them),
        CASE(nothing_spins_where_callers_outnumber_cores),
        CASE(bells_wake),
        CASE(no_wake_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
