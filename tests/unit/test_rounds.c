/* SPDX-License-Identifier: BSD-3-Clause */
/* Several hosts: when rank 0's host takes the job for standing still, and what it does then. The others are played. */
#include "watch_runtime.h"

enum { ROUND = 1, TELLS, ASK, VIEW, DOOM };
enum { STILL = 1, FAR = 2, HOSTS = 3 };

/* as in hosts.c */
struct standing {
    uint64_t round, identity, sent, got;
    int64_t lasted_ns;
    uint64_t sure;
};

static struct {
    uint64_t round, asked;           /* the last ones */
    int rounds, asks, dooms, doomed; /* messages; waits in the last one */
    struct standing host[HOSTS];
    bool silent[HOSTS];
    uint64_t flags; /* in the others' beats */
} played;

void muster__watch_send(int host, uint32_t what, uint64_t number, void *bytes, size_t size)
{
    assert_int_not_equal(host, 0);
    if (what == ROUND) {
        played.round = number;
        played.rounds++;
    } else if (what == ASK) {
        played.asked = number;
        played.asks++;
    } else {
        assert_int_equal(what, DOOM);
        assert_int_equal(size, number * sizeof(struct watch_wait));
        played.dooms++;
        played.doomed += (int)number;
    }
    free(bytes);
}

static void look(void)
{
    fake.agent_look();
}

/* Half a second: the hub looks, and the others answer what it asks. Returns what it says. */
static const char *half_a_second(void)
{
    uint64_t round = played.round;
    fake.ahead_ns += INT64_C(500000000);
    for (int host = 1; host < HOSTS; host++)
        fake.agents->told(host, played.silent[host] ? 0 : played.flags);
    fake_looks(muster__self_number());
    const char *said = case_stderr_of(look);
    for (int host = 1; played.round != round && host < HOSTS; host++) {
        played.host[host].round = played.round;
        if (!played.silent[host])
            fake.agents->heard(host, TELLS, played.round, &played.host[host], sizeof played.host[host]);
    }
    return said;
}

static void answer_with_views(const struct view *views)
{
    size_t size;
    for (int host = 1; host < HOSTS; host++) {
        void *bytes = view_pack(&views[host], &size);
        fake.agents->heard(host, VIEW, played.asked, bytes, size);
        free(bytes);
    }
}

static struct view_line waits_on(int host, uint32_t caller, muster_handle object)
{
    struct view_line line = {.host = host,
                             .rank = 10 * host,
                             .caller = caller,
                             .incarnation = 1,
                             .state = WATCH_WAITS,
                             .is_rank = true,
                             .object = object,
                             .since_ns = 1000 + host,
                             .waited_ns = INT64_C(3000000000)};
    snprintf(line.who, sizeof line.who, "rank %d", line.rank);
    return line;
}

/* The hub's own thread waits from now on, and the others say that they stand still. */
static void stand(void)
{
    fake_wait(muster__self_number(), (muster_handle){0}, MUSTER__FOR_RANKS, true);
    played.flags = STILL;
}

/* Whether it comes to a conclusion: then it asks all for views. */
static bool concludes(int half_seconds)
{
    int asks = played.asks;
    for (int i = 0; i < half_seconds; i++)
        half_a_second();
    return played.asks > asks;
}

/* What the case before has left unanswered is done with. */
static int setup(void **state)
{
    (void)state;
    fake_setup_with((muster_options){.deadlock_ms = 1000}, HOSTS);
    memset(&played, 0, sizeof played);
    concludes(10);
    memset(&played, 0, sizeof played);
    for (int host = 1; host < HOSTS; host++)
        played.host[host] = (struct standing){0, 100 + (uint64_t)host, 5, 5, INT64_C(2000000000), 1};
    return 0;
}

static void nobody_is_asked_while_a_host_moves(void **state)
{
    (void)state;
    stand();
    played.flags = 0;
    assert_false(concludes(20));
    assert_int_equal(played.rounds, 0);
}

static void all_stand_still_for_certain(void **state)
{
    (void)state;
    stand();
    assert_true(concludes(8));
    struct view_line line[HOSTS];
    struct view views[HOSTS];
    for (int host = 1; host < HOSTS; host++) {
        line[host] = waits_on(host, 7, (muster_handle){.kind_home = MUSTER__QUEUE << 24 | 1, .slot = 4});
        views[host] = (struct view){.head = {.host = host, .ranks = 1, .lines = 1}, .line = &line[host]};
        snprintf(views[host].head.host_name, sizeof views[host].head.host_name, "n0%d", host);
    }
    answer_with_views(views);
    const char *said = half_a_second();
    assert_non_null(strstr(said, "all of 4 ranks"));
    assert_non_null(strstr(said, "ranks 10, 20 wait for queue 4 of n01"));
    assert_non_null(strstr(said, "rank 0"));
    assert_int_equal(played.dooms, HOSTS - 1);
    assert_int_equal(played.doomed, HOSTS - 1);
    uint32_t self = muster__self_number();
    assert_int_equal(atomic_load(&muster__caller(self)->doomed), atomic_load(&muster__waiter(self)->since_ns));
    assert_false(concludes(10)); /* once */
}

static void what_is_under_way_is_waited_for(void **state)
{
    (void)state;
    played.host[1].sent = 6; /* nobody has got it */
    stand();
    assert_false(concludes(10));
    played.host[2].got = 6;
    assert_true(concludes(4));
}

static void what_has_moved_between_two_rounds_is_seen(void **state)
{
    (void)state;
    stand();
    for (int i = 0; i < 10; i++) {
        played.host[1].sent++; /* each time it stands still, but not all the time */
        played.host[2].got++;
        assert_false(concludes(1));
    }
    for (int i = 0; i < 10; i++) {
        played.host[2].identity++;
        assert_false(concludes(1));
    }
    assert_true(concludes(3));
}

static void all_have_to_be_sure(void **state)
{
    (void)state;
    played.host[2].sure = 0;
    stand();
    assert_false(concludes(10));
    played.host[2].sure = 1;
    fake.rests = false; /* the hub's agent has something in its hands */
    assert_false(concludes(10));
    fake.rests = true;
    fake.settled = false; /* a child of the hub's is about to start */
    fake_wait(muster__self_number(), (muster_handle){0}, MUSTER__FOR_RANKS, true);
    assert_false(concludes(10));
    fake.settled = true;
    assert_true(concludes(40));
}

static void a_silent_host_decides_nothing_a_lost_one_is_done_without(void **state)
{
    (void)state;
    played.silent[2] = true;
    stand();
    assert_false(concludes(30));
    fake.lost[2] = true;
    assert_true(concludes(10));
}

/* Rank 10 waits for what rank 20 holds and the other way round, while the hub's thread goes on. */
static void circles_over_hosts_are_seen_twice(void **state)
{
    (void)state;
    muster_handle one = {.kind_home = MUSTER__LOCK << 24 | 1, .slot = 1},
                  two = {.kind_home = MUSTER__LOCK << 24 | 2, .slot = 2};
    struct view_line line[HOSTS] = {{0}, waits_on(1, 7, two), waits_on(2, 7, one)};
    struct view_hold hold[HOSTS] = {{{0}, 0, 0}, {one, 1, 7}, {two, 2, 7}};
    struct view views[HOSTS];
    for (int host = 1; host < HOSTS; host++)
        views[host] = (struct view){
            .head = {.host = host, .ranks = 1, .lines = 1, .holds = 1}, .line = &line[host], .hold = &hold[host]};
    played.flags = FAR;
    assert_true(concludes(1));
    answer_with_views(views);
    assert_string_equal(half_a_second(), ""); /* once is not enough */
    line[2].since_ns++;                       /* and this is another wait */
    assert_true(concludes(6));
    answer_with_views(views);
    assert_string_equal(half_a_second(), "");
    assert_true(concludes(6));
    answer_with_views(views);
    const char *said = half_a_second();
    assert_non_null(strstr(said, "2 wait for each other"));
    assert_non_null(strstr(said, "which rank 20 holds"));
    assert_int_equal(played.doomed, 2);
    line[1].told = line[2].told = true;
    assert_true(concludes(20));
    answer_with_views(views);
    assert_string_equal(half_a_second(), "");
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, case_teardown)
    const struct CMUnitTest tests[] = {
        CASE(nobody_is_asked_while_a_host_moves),
        CASE(all_stand_still_for_certain),
        CASE(what_is_under_way_is_waited_for),
        CASE(what_has_moved_between_two_rounds_is_seen),
        CASE(all_have_to_be_sure),
        CASE(a_silent_host_decides_nothing_a_lost_one_is_done_without),
        CASE(circles_over_hosts_are_seen_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
