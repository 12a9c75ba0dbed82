/* SPDX-License-Identifier: BSD-3-Clause */
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

static const char *noted(const char *site)
{
    uint32_t own = muster__waiter_own();
    muster_site = site;
    muster__waits_for(own, (muster_handle){0}, 7, 3, 2);
    assert_true(muster__self_state.waits);
    assert_int_equal(muster__waiter(own)->caller, own);
    muster__waits_no_more(own);
    assert_false(muster__self_state.waits);
    return muster__self_state.caller->site;
}

static void who_waits_notes_call_file_and_line(void **state)
{
    (void)state;
    char longest[200], expected[MUSTER__LINE] = "";
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    memset(expected, 'x', sizeof expected - 1);
    assert_string_equal(noted("muster_queue_get at a.c:12"), "muster_queue_get at a.c:12");
    assert_string_equal(noted("muster_queue_get at /some/where at all/a.c:12"), "muster_queue_get at a.c:12");
    assert_string_equal(noted(NULL), "");
    assert_string_equal(noted(longest), expected);
    muster_site = NULL;
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
    assert_true(muster__object_end(object, handle.generation, muster__self_number()));
    assert_false(muster__object_end(object, handle.generation, muster__self_number()));
    assert_null(muster__object_find(handle, MUSTER__LOCK));

    int others = -1;
    do { /* the slot is used again, last of all and empty */
        object_make("next", &again, &next);
        assert_true(again == object || muster__object_end(again, next.generation, muster__self_number()));
        others++;
    } while (again != object);
    assert_true(others > 10);
    assert_int_equal(again->body[7], 0);
    assert_true(next.generation > handle.generation);
    assert_null(muster__object_find(handle, MUSTER__LOCK));
    assert_ptr_equal(muster__object_find(next, MUSTER__LOCK), again);
}

/* 57: a slot is of one kind for ever. */
static void slots_stay_of_their_kind(void **state)
{
    (void)state;
    static uint8_t kind_of[4096];
    for (int i = 0; i < 3000; i++) {
        enum muster__kind kind = i % 3 ? MUSTER__LOCK : MUSTER__TASK;
        struct muster__object *object;
        muster_handle handle;
        uint32_t generation;
        assert_int_equal(muster__object_claim(kind, "x", muster__self_number(), &object, &generation), MUSTER_OK);
        muster__object_publish(object, generation, &handle);
        assert_in_range(handle.slot, 0, sizeof kind_of - 1);
        assert_true(!kind_of[handle.slot] || kind_of[handle.slot] == kind);
        kind_of[handle.slot] = (uint8_t)kind;
        if (i % 7)
            assert_true(muster__object_end(object, generation, muster__self_number()));
    }
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
    assert_int_equal(muster__tag_unpack(atomic_load(&muster__object_slot(0)->tag)).state, MUSTER__CLAIMED);
    case_kill(1);
    assert_int_equal(muster__tag_unpack(atomic_load(&muster__object_slot(0)->tag)).state, MUSTER__FREE);
}

static muster_handle pinned;
static _Atomic uint32_t *stage;

static int pin_until_told(void *arg)
{
    (void)arg;
    struct muster__object *object = muster__object_pin(pinned, MUSTER__LOCK);
    if (!object)
        return 1;
    atomic_store(stage, 1);
    CASE_UNTIL(atomic_load(stage) == 2);
    muster__object_unpin();
    return 0;
}

static enum muster__object_state state_of(const struct muster__object *object)
{
    return (enum muster__object_state)muster__tag_unpack(atomic_load(&object->tag)).state;
}

/* 57: while somebody is inside, be he stopped, the slot is nobody else's; with his death or when he leaves, it is. */
static void pinned_slots_are_not_used_again(void **state)
{
    (void)state;
    struct muster__object *object;
    uint32_t self = muster__self_number();
    stage = case_map(4096);
    for (int dies = 0; dies < 2; dies++) {
        object_make("pinned", &object, &pinned);
        atomic_store(stage, 0);
        case_fork(1, pin_until_told, NULL);
        CASE_UNTIL(atomic_load(stage) == 1);
        assert_true(muster__object_end(object, pinned.generation, self));
        assert_int_equal(state_of(object), MUSTER__OVER);
        assert_null(muster__object_pin(pinned, MUSTER__LOCK));
        for (int i = 0; i < 200; i++) {
            struct muster__object *other;
            muster_handle handle;
            object_make("other", &other, &handle);
            assert_ptr_not_equal(other, object);
            assert_true(muster__object_end(other, handle.generation, self));
        }
        if (dies) {
            case_kill(1);
        } else {
            atomic_store(stage, 2);
            assert_int_equal(case_join(1), 0);
        }
        assert_int_equal(muster__objects_clean(MUSTER__LOCK, self), 1);
        assert_int_equal(state_of(object), MUSTER__FREE);
    }
    assert_int_equal(muster__self_state.pins, 0);
}

/* ---- the end of a thread ---- */

static void *hold_and_end(void *arg)
{
    *(uint32_t *)arg = muster__self_number();
    muster__heap_alloc(1000, muster__self_number());
    muster__object_pin(pinned, MUSTER__LOCK);
    return NULL;
}

/* 59: as the death of a process: what it held is seen to before its number is another's. */
static void a_threads_end_is_a_death(void **state)
{
    (void)state;
    struct muster__object *object;
    uint32_t number;
    pthread_t thread;
    muster__caller_adopt = adopt;
    object_make("pinned", &object, &pinned);
    assert_int_equal(pthread_create(&thread, NULL, hold_and_end, &number), 0);
    pthread_join(thread, NULL);
    muster__caller_adopt = NULL;
    assert_int_equal(muster__heap_used(), 0);
    assert_int_equal(atomic_load(&muster__caller(number)->live), 0);
    assert_int_equal(atomic_load(&muster__caller(number)->pin[0]), 0);
    assert_true(muster__object_end(object, pinned.generation, muster__self_number()));
    assert_int_equal(state_of(object), MUSTER__FREE);
}

/* ---- sleeping ---- */

static void sleeps_end_at_the_deadline(void **state)
{
    (void)state;
    static _Atomic uint32_t word;
    int64_t begin = muster__now_ns();
    while (muster__sleep(&word, 0, begin + 20000000) == MUSTER_OK)
        ;
    assert_true(muster__now_ns() - begin >= 20000000);
    assert_int_equal(muster__sleep(&word, 1, MUSTER__NEVER), MUSTER_OK); /* another value: at once */
    assert_int_equal(muster__sleep(&word, 0, 0), MUSTER_ERR_TIMEOUT);
    assert_int_equal(atomic_load(&muster__self_state.caller->asleep), 0);
    assert_int_equal(atomic_load(&muster__segment->awake), 1);
}

static void signals_interrupt_who_heeds_them(void **state)
{
    (void)state;
    static _Atomic uint32_t word;
    atomic_store(&muster__segment->signal, SIGINT);
    assert_int_equal(muster__sleep(&word, 1, MUSTER__NEVER), MUSTER_OK);
    muster__self_state.caller->heeds_signal = true;
    assert_int_equal(muster__sleep(&word, 1, MUSTER__NEVER), MUSTER_ERR_INTERRUPTED);
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
        muster__sleep(&caller->bell, bell, MUSTER__NEVER);
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

/* ---- lines ---- */

/*
 * Tokens are given one by one, with one signal each; takers wait in line when there is none. One that nobody takes
 * though somebody waits would hang the case.
 */
enum { GIVERS = 2, TAKERS = 3, TOKENS = 30000 };
static struct tokens {
    struct muster__event event;
    _Alignas(MUSTER__LINE) _Atomic int32_t tokens;
    _Atomic uint32_t role, taken, ready;
    _Atomic uint32_t order[64];
} * tokens;

static bool take_token(void)
{
    int32_t n = atomic_load(&tokens->tokens);
    while (n > 0)
        if (atomic_compare_exchange_weak(&tokens->tokens, &n, n - 1))
            return true;
    return false;
}

/* Stands in line until called; true: a token was taken, or all were. */
static bool wait_token(uint32_t waiter)
{
    _Atomic uint32_t *bell = &muster__self_state.caller->bell;
    for (bool again = false;; again = true) {
        uint32_t seen = atomic_load(bell);
        muster__event_hang(&tokens->event, waiter, 0, again);
        bool taken = take_token(), over = atomic_load(&tokens->taken) == GIVERS * TOKENS;
        while (!taken && !over && !muster__waiter_called(muster__waiter(waiter))) {
            muster__sleep(bell, seen, MUSTER__NEVER);
            seen = atomic_load(bell);
        }
        muster__event_unhang(waiter);
        bool called = muster__waiter_called(muster__waiter(waiter));
        atomic_store(&muster__waiter(waiter)->state, MUSTER__WAITER_IDLE);
        if (taken && called)
            muster__event_signal(&tokens->event, 1); /* it was for another one */
        if (taken || over)
            return taken;
        if (take_token())
            return true;
    }
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
    while (wait_token(muster__waiter_own()))
        atomic_fetch_add(&tokens->taken, 1);
    muster__event_signal(&tokens->event, -1);
    return 0;
}

static void no_call_is_lost(void **state)
{
    (void)state;
    tokens = muster__at(muster__segment->roots[MUSTER__ROOT_WATCH] =
                            muster__offset(muster__heap_at(muster__heap_alloc(sizeof *tokens, muster__self_number()))));
    for (int threads = 0; threads < 2; threads++) {
        memset((void *)tokens, 0, sizeof *tokens);
        (threads ? case_threads : case_processes)(GIVERS + TAKERS, give_or_take, NULL);
        assert_int_equal(atomic_load(&tokens->taken), GIVERS * TOKENS);
        assert_int_equal(atomic_load(&tokens->event.head), 0);
    }
}

static struct muster__event *line;

static int stand(void *arg)
{
    (void)arg;
    uint32_t waiter = muster__waiter_own(), seen = atomic_load(&muster__self_state.caller->bell);
    muster__event_hang(line, waiter, 0, false);
    atomic_fetch_add(&tokens->ready, 1);
    while (!muster__waiter_called(muster__waiter(waiter)))
        muster__sleep(&muster__self_state.caller->bell, seen, MUSTER__NEVER);
    atomic_store(&tokens->order[atomic_fetch_add(&tokens->taken, 1)], atomic_load(&muster__self_state.caller->live));
    return 0;
}

/* First come, first called; who dies in line is out of it, and what it was called for is the next one's. */
static void lines_are_fair_and_survive_deaths(void **state)
{
    (void)state;
    struct muster__object *object;
    muster_handle handle;
    object_make("line", &object, &handle);
    line = &object->event[0];
    tokens = case_map(sizeof *tokens);
    for (uint32_t member = 1; member <= 6; member++) {
        case_fork(member, stand, NULL);
        CASE_UNTIL(atomic_load(&tokens->ready) == member);
    }
    kill(case_pids[2], SIGSTOP);
    case_kill(3);
    muster__event_signal(line, 1);
    assert_int_equal(case_join(1), 0);
    muster__event_signal(line, 1); /* the stopped one's, and with its death the next one's */
    assert_int_equal(atomic_load(&tokens->taken), 1);
    case_kill(2);
    assert_int_equal(case_join(4), 0);
    muster__event_signal(line, -1);
    case_join_all(5, 2);
    assert_int_equal(atomic_load(&tokens->order[1]), 4 + 1);
    assert_int_equal(atomic_load(&line->head), 0);
}

/* A line's latch was a dead one's, its links were half-made: they are made again from the waiters. */
static void a_dead_latch_holders_line_is_made_again(void **state)
{
    (void)state;
    struct muster__object *object;
    muster_handle handle;
    _Atomic uint32_t *number = case_map(4096);
    object_make("line", &object, &handle);
    line = &object->event[0];
    tokens = case_map(sizeof *tokens);
    for (uint32_t member = 1; member <= 3; member++) {
        case_fork(member, stand, NULL);
        CASE_UNTIL(atomic_load(&tokens->ready) == member);
    }
    case_fork(9, pause_for_ever, (void *)number);
    CASE_UNTIL(atomic_load(number));
    atomic_store(&muster__caller(*number)->line, muster__offset(line));
    atomic_store(&line->latch.word, *number);
    atomic_store(&line->head, 12345);
    line->tail = 54321;
    case_kill(9);
    for (uint32_t member = 1; member <= 3; member++) {
        muster__event_signal(line, 1);
        assert_int_equal(case_join(member), 0);
        assert_int_equal(atomic_load(&tokens->order[member - 1]), member + 1);
    }
    assert_int_equal(line->tail, 0);
}

/* Watchers are called and the call goes on. */
static void watchers_do_not_keep_a_call(void **state)
{
    (void)state;
    struct muster__object *object;
    muster_handle handle;
    uint32_t made[3];
    object_make("line", &object, &handle);
    for (int i = 0; i < 3; i++) {
        made[i] = muster__waiter_make();
        assert_true(made[i] > 0);
        assert_true(muster__event_hang(&object->event[1], made[i], i < 2 ? MUSTER__WATCHES : 0, false));
    }
    assert_int_equal(muster__event_call(&object->event[1], 1), 1);
    for (int i = 0; i < 3; i++) {
        assert_true(muster__waiter_called(muster__waiter(made[i])));
        muster__waiter_free(made[i]);
    }
}

/* A waiter that is made comes behind all who stand there, also where another of its number stood before. */
static void a_made_waiter_inherits_no_place(void **state)
{
    (void)state;
    struct muster__object *object;
    muster_handle handle;
    object_make("line", &object, &handle);
    uint32_t before = muster__waiter_make();
    assert_true(muster__event_hang(&object->event[1], before, 0, true));
    assert_true(muster__event_unhang(before));
    uint32_t first = muster__waiter_make();
    assert_true(muster__event_hang(&object->event[1], first, 0, true));
    muster__waiter_free(before);
    uint32_t again = muster__waiter_make();
    assert_int_equal(again, before);
    assert_true(muster__event_hang(&object->event[1], again, 0, true));
    assert_int_equal(muster__event_call(&object->event[1], 1), 1);
    assert_true(muster__waiter_called(muster__waiter(first)));
    assert_false(muster__waiter_called(muster__waiter(again)));
    assert_true(muster__event_unhang(again));
    muster__waiter_free(first);
    muster__waiter_free(again);
}

/* 57: who works on the line of an object that has ended, stopped for long, keeps the line to itself: whatever comes to
 * be in the slot has the same latch. */
static void a_late_callers_latch_stays_its_own(void **state)
{
    (void)state;
    struct muster__object *object, *next;
    muster_handle handle, other;
    uint32_t self = muster__self_number();
    object_make("line", &object, &handle);
    assert_true(muster__latch_acquire(&object->event[0].latch, 0, self));
    assert_true(muster__object_end(object, handle.generation, self));
    do {
        object_make("next", &next, &other);
        assert_true(next == object || muster__object_end(next, other.generation, self));
    } while (next != object);
    assert_int_equal(atomic_load(&object->event[0].latch.word), self);
    muster__latch_release(&object->event[0].latch, 0, self);
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
        CASE(who_waits_notes_call_file_and_line),
        CASE(callers_enter_leave_and_are_reused),
        CASE(threads_are_adopted_and_leave_at_their_end),
        CASE(many_callers_get_different_numbers),
        CASE(sweeping_frees_the_deads_number),
        CASE(stale_handles_are_told_apart),
        CASE(names_are_cut_and_shown),
        CASE(half_made_objects_go_with_their_maker),
        CASE(slots_stay_of_their_kind),
        CASE(pinned_slots_are_not_used_again),
        CASE(a_threads_end_is_a_death),
        CASE(sleeps_end_at_the_deadline),
        CASE(signals_interrupt_who_heeds_them),
        CASE(nothing_spins_where_callers_outnumber_cores),
        CASE(bells_wake),
        CASE(no_call_is_lost),
        CASE(lines_are_fair_and_survive_deaths),
        CASE(a_dead_latch_holders_line_is_made_again),
        CASE(watchers_do_not_keep_a_call),
        CASE(a_made_waiter_inherits_no_place),
        CASE(a_late_callers_latch_stays_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
