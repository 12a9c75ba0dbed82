/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Objects end under those who wait for them, and at once new ones of each kind are made, among them one in the same
 * slot: who waits is told CLOSED, who comes late STALE, and nobody changes the new one. Conformance 51 and 57, for each
 * kind of steps_kinds.h; with threads, and with processes that are killed at random. MUSTER_ROUNDS (1000), MUSTER_SEED.
 */
#include "one_host.h"
#include "steps_kinds.h"

#include <sched.h>

enum { USERS = 4, PROMPT = 2, LATE_NS = 100000 };

/* What who ends objects and who uses them share. */
static struct board {
    struct steps_objects object; /* that is to end */
    int kind;
    _Atomic uint32_t round, stop;
    _Atomic uint32_t done[USERS];
    _Atomic int64_t closed, stale, kills;
} * board;

static uint32_t rounds, seed_number;

#define EXPECT(condition) expect((condition), #condition, __LINE__)

static void expect(bool holds, const char *text, int line)
{
    if (holds)
        return;
    fprintf(stderr, "test_lives.c:%d: not so: %s (%s, round %u, MUSTER_SEED=%u); last error: %s\n", line, text,
            steps_kinds[board->kind]->name, atomic_load(&board->round), seed_number, muster_err_detail());
    abort();
}

static void nap(uint32_t ns)
{
    nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

/* ---- users ---- */

static muster_err use_until_it_ends(const struct steps_kind *kind)
{
    muster_err err;
    do
        err = kind->uses();
    while (err == MUSTER_OK);
    return err;
}

/* Waits on an object that ends, or comes too late for that; then its handle is stale for ever. */
static void use(uint32_t user, uint64_t *seed)
{
    static _Thread_local struct steps_objects mine;
    const struct steps_kind *kind = steps_kinds[board->kind];
    uint32_t n = steps_waits_of(kind);
    mine = board->object;
    steps_at = &mine;
    if (user >= PROMPT)
        nap(case_random(seed) % LATE_NS);
    muster_err err = n ? kind->waits[case_random(seed) % n]() : use_until_it_ends(kind);
    EXPECT(err == MUSTER_ERR_CLOSED || err == MUSTER_ERR_STALE);
    atomic_fetch_add(err == MUSTER_ERR_CLOSED ? &board->closed : &board->stale, 1);
    for (uint32_t i = 0; i < n; i++)
        EXPECT((err = kind->waits[i]()) == MUSTER_ERR_STALE || (kind->is_two && err == MUSTER_ERR_CLOSED));
    EXPECT(kind->end() == MUSTER_ERR_STALE);
}

static int user_main(uint32_t user)
{
    uint64_t seed = seed_number + user;
    uint32_t round = atomic_load(&board->done[user]);
    while (!atomic_load(&board->stop)) {
        if (atomic_load(&board->round) == round) {
            nap(20000);
            continue;
        }
        use(user, &seed);
        atomic_store(&board->done[user], ++round);
    }
    return 0;
}

static bool all_done(uint32_t round)
{
    for (uint32_t user = 0; user < USERS; user++)
        if (atomic_load(&board->done[user]) < round)
            return false;
    return true;
}

/* ---- who ends them ---- */

/* Makes an object of a kind in steps_at; others before it, until it has that slot: when nobody is inside any more. */
static void make_in_slot(const struct steps_kind *kind, uint32_t slot)
{
    for (uint32_t i = 1;; i++) {
        EXPECT(kind->make() == MUSTER_OK);
        if (kind->handle()->slot == slot)
            return;
        EXPECT(kind->end() == MUSTER_OK);
        if (i % 64 == 0)
            sched_yield();
    }
}

static void make_others(const struct steps_kind *ended)
{
    static struct steps_objects other;
    steps_at = &other;
    for (int i = 0; i < STEPS_KINDS; i++) {
        if (steps_kinds[i] == ended)
            continue;
        EXPECT(steps_kinds[i]->make() == MUSTER_OK);
        EXPECT(steps_kinds[i]->canary());
        EXPECT(steps_kinds[i]->end() == MUSTER_OK);
    }
}

static void (*disturb)(uint64_t *seed);

static void one_round(uint32_t round, uint64_t *seed)
{
    static struct steps_objects next;
    const struct steps_kind *kind = steps_kinds[board->kind = (int)(round % STEPS_KINDS)];
    steps_at = &board->object;
    EXPECT(kind->make() == MUSTER_OK && (!kind->stop || kind->stop() == MUSTER_OK));
    uint32_t slot = kind->handle()->slot, standing = kind->uses ? 0 : case_random(seed) % (PROMPT + 1);
    atomic_store(&board->round, round);
    while (steps_standing(kind) < standing)
        nap(20000);
    if (disturb)
        disturb(seed);
    EXPECT(kind->end() == MUSTER_OK);
    make_others(kind);
    steps_at = &next;
    make_in_slot(kind, slot);
    do
        EXPECT(kind->canary());
    while (!all_done(round));
    EXPECT(kind->canary());
    EXPECT(kind->end() == MUSTER_OK);
}

static void all_rounds(const char *who)
{
    uint64_t seed = seed_number;
    for (uint32_t round = 1; round <= rounds; round++)
        one_round(round, &seed);
    atomic_store(&board->stop, 1);
    printf("%s: %u rounds, %lld told CLOSED, %lld STALE, %lld kills\n", who, rounds,
           (long long)atomic_load(&board->closed), (long long)atomic_load(&board->stale),
           (long long)atomic_load(&board->kills));
}

/* ---- threads ---- */

static muster_err adopt(void)
{
    return muster__caller_enter(0, false);
}

static void *user_thread(void *user)
{
    return (void *)(intptr_t)user_main((uint32_t)(uintptr_t)user);
}

static void threads_use_what_ends(void **state)
{
    (void)state;
    pthread_t threads[USERS];
    disturb = NULL;
    muster__caller_adopt = adopt;
    for (uintptr_t user = 0; user < USERS; user++)
        assert_int_equal(pthread_create(&threads[user], NULL, user_thread, (void *)user), 0);
    all_rounds("threads");
    for (uint32_t user = 0; user < USERS; user++)
        pthread_join(threads[user], NULL);
    muster__caller_adopt = NULL;
    assert_true(atomic_load(&board->closed) > 0 && atomic_load(&board->stale) > 0);
}

/* ---- processes, at which ThreadSanitizer cannot look ---- */

#ifndef __SANITIZE_THREAD__
static int user_process(void *user)
{
    return user_main((uint32_t)(uintptr_t)user);
}

/* One of them is killed, wherever it is, and another one comes in its place, for the next round. */
static void kill_one(uint64_t *seed)
{
    uint32_t user = case_random(seed) % USERS, member = 1 + user;
    if (case_random(seed) % 2)
        return;
    nap(case_random(seed) % 50000);
    case_kill(member);
    atomic_store(&board->done[user], atomic_load(&board->round));
    atomic_fetch_add(&board->kills, 1);
    case_fork(member, user_process, (void *)(uintptr_t)user);
}

static void processes_use_what_ends(void **state)
{
    (void)state;
    disturb = kill_one;
    for (uintptr_t user = 0; user < USERS; user++)
        case_fork((uint32_t)user + 1, user_process, (void *)user);
    all_rounds("processes");
    case_join_all(1, USERS);
    assert_true(atomic_load(&board->closed) > 0 && atomic_load(&board->stale) > 0 && atomic_load(&board->kills) > 0);
}
#endif

/* ---- around ---- */

static int setup(void **state)
{
    case_setup(state);
    alarm(110);
    board = case_map(sizeof *board);
    return 0;
}

static int teardown(void **state)
{
    muster__end_all_objects();
    for (int kind = 1; kind < MUSTER__KINDS; kind++)
        muster__objects_clean((enum muster__kind)kind, muster__self_number());
    assert_int_equal(muster__heap_used(), 0);
    munmap(board, sizeof *board);
    return case_teardown(state);
}

int main(void)
{
    const char *number = getenv("MUSTER_SEED"), *many = getenv("MUSTER_ROUNDS");
    seed_number = number ? (uint32_t)strtoul(number, NULL, 0) : (uint32_t)getpid();
    rounds = many ? (uint32_t)strtoul(many, NULL, 0) : 1000;
    printf("MUSTER_SEED=%u\n", seed_number);
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(threads_use_what_ends),
#ifndef __SANITIZE_THREAD__
        CASE(processes_use_what_ends),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
