/* SPDX-License-Identifier: BSD-3-Clause */
/* Placement and binding on this machine, on synthetic machines and on captured ones (tests/fixtures/topology). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "full_disk.h"
#include "topology/topology.h"

#define BIG "pack:2 numa:4(memory=34359738368) core:16 pu:2"
#define ONE "numa:1 core:1 pu:1" /* the node said, since hwloc 2.9 trips valgrind where it has to add one to a core */
#define CCX "pack:2 numa:2(memory=34359738368) l3:4(size=33554432) core:4 pu:2"

enum { MAX = 1024 };
static struct muster__seat seats[MAX];

/* ---- helpers ---- */

/* file of the fixtures, found beside this source */
static void fixture(const char *name, char *path, size_t size)
{
    const char *slash = strrchr(__FILE__, '/');
    snprintf(path, size, "%.*s/../fixtures/topology/%s", slash ? (int)(slash - __FILE__) : 1, slash ? __FILE__ : ".",
             name);
}

static struct muster__topology *load_synthetic(const char *description)
{
    struct muster__topology *t = NULL;
    assert_int_equal(setenv("HWLOC_SYNTHETIC", description, 1), 0);
    muster_err err = muster__topology_load(&t);
    unsetenv("HWLOC_SYNTHETIC");
    assert_int_equal(err, MUSTER_OK);
    assert_false(muster__topology_is_this_machine(t));
    return t;
}

static struct muster__topology *load_captured(const char *name)
{
    struct muster__topology *t = NULL;
    char path[1024];
    fixture(name, path, sizeof path);
    assert_int_equal(setenv("HWLOC_XMLFILE", path, 1), 0);
    muster_err err = muster__topology_load(&t);
    unsetenv("HWLOC_XMLFILE");
    assert_int_equal(err, MUSTER_OK);
    assert_false(muster__topology_is_this_machine(t));
    return t;
}

/* Of this machine they are counted once: so another process looks at another one. */
static int gpus_of(const char *name)
{
    int status;
    char path[1024];
    fixture(name, path, sizeof path);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv("HWLOC_XMLFILE", path, 1);
        _exit(muster_gpus());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* A 3D controller, a display of a maker of GPUs, one that a driver names; not a server's console, nor a network card.
 */
static void test_gpus(void **state)
{
    (void)state;
    assert_int_equal(gpus_of("gpus.xml"), 3);
    assert_int_equal(gpus_of("hbm.xml"), 0);
}

static struct muster__cpuset cpus_of(int first, int last)
{
    struct muster__cpuset set = {{0}};
    for (int pu = first; pu <= last; pu++)
        muster__cpuset_add(&set, pu);
    return set;
}

static void assert_cpus(const struct muster__cpuset *set, const char *expected)
{
    char text[256];
    assert_string_equal(muster__cpuset_format(set, text, sizeof text), expected);
}

static void assert_seat(const struct muster__seat *s, int package, int numa, int l3, int core, int os_numa,
                        const char *cpus)
{
    assert_int_equal(s->package, package);
    assert_int_equal(s->numa, numa);
    assert_int_equal(s->l3, l3);
    assert_int_equal(s->core, core);
    assert_int_equal(s->os_numa, os_numa);
    assert_cpus(&s->cpus, cpus);
}

static unsigned next_random(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* ---- sets ---- */

static void test_format(void **state)
{
    (void)state;
    struct muster__cpuset set = {{0}};
    char text[8], longest[4096];

    assert_cpus(&set, "");
    for (int pu = 0; pu < 4; pu++)
        muster__cpuset_add(&set, pu);
    assert_cpus(&set, "0-3");
    muster__cpuset_add(&set, 8);
    assert_cpus(&set, "0-3,8");
    muster__cpuset_add(&set, 63);
    muster__cpuset_add(&set, 64);
    muster__cpuset_add(&set, 1023);
    assert_cpus(&set, "0-3,8,63-64,1023");
    assert_int_equal(muster__cpuset_count(&set), 8);
    assert_false(muster__cpuset_has(&set, 1024));
    assert_false(muster__cpuset_has(&set, -1));

    assert_string_equal(muster__cpuset_format(&set, text, sizeof text), "0-3,...");
    assert_string_equal(muster__cpuset_format(&set, text, 7), "...");
    assert_string_equal(muster__cpuset_format(&set, text, 3), "..");
    assert_string_equal(muster__cpuset_format(&set, text, 1), "");
    assert_string_equal(muster__cpuset_format(&set, text, 0), ""); /* nothing written: as before */
    set = cpus_of(0, 3);
    muster__cpuset_add(&set, 10);
    assert_string_equal(muster__cpuset_format(&set, text, 7), "0-3,10");
    memset(&set, 0, sizeof set);
    for (int pu = 0; pu < MUSTER__PU_MAX; pu++) {
        if (pu % 3 != 2)
            muster__cpuset_add(&set, pu);
    }
    assert_int_equal(strlen(muster__cpuset_format(&set, longest, sizeof longest)), 2673);
    assert_string_equal(longest + 2673 - 14, "1020-1021,1023");
}

static void test_join_and_meet(void **state)
{
    (void)state;
    struct muster__cpuset set = cpus_of(0, 9), other = cpus_of(60, 70), both;

    muster__cpuset_join(&set, &other);
    assert_cpus(&set, "0-9,60-70");
    other = cpus_of(8, 64);
    assert_true(muster__cpuset_meet(&set, &other));
    assert_cpus(&set, "8-9,60-64");
    both = cpus_of(1000, 1023);
    assert_false(muster__cpuset_equal(&set, &both));
    assert_false(muster__cpuset_meet(&set, &both));
    assert_int_equal(muster__cpuset_count(&set), 0);
}

/* ---- machines ---- */

static void test_this_machine(void **state)
{
    (void)state;
    struct muster__topology *t;
    struct muster__cpuset before, after, seen = {{0}};

    assert_int_equal(muster__cpuset_current(&before), MUSTER_OK);
    assert_int_equal(muster__topology_load(&t), MUSTER_OK);
    assert_int_equal(muster__cpuset_current(&after), MUSTER_OK);
    assert_true(muster__cpuset_equal(&before, &after)); /* looking must not move us */

    assert_true(muster__topology_is_this_machine(t));
    int n = muster__topology_seats(t, MUSTER_PLACE_COMPACT, seats, MAX);
    assert_int_equal(n, muster__topology_cores(t));
    assert_true(n >= 1);
    for (int i = 0; i < n; i++) {
        struct muster__cpuset part = seats[i].cpus;
        assert_true(muster__cpuset_count(&part) >= 1);
        assert_false(muster__cpuset_meet(&part, &seen)); /* no PU on two cores */
        muster__cpuset_join(&seen, &seats[i].cpus);
    }
    struct muster__cpuset all = muster__topology_pus(t);
    assert_true(muster__cpuset_equal(&seen, &all));
    assert_int_equal(muster__topology_restrict(t, &before), MUSTER_OK);
    all = muster__topology_pus(t);
    assert_true(muster__cpuset_equal(&all, &before)); /* what we run on is allowed, all of it */
    muster__topology_free(t);
    muster__topology_free(NULL);
}

static void test_two_packages_of_four_nodes(void **state)
{
    (void)state;
    struct muster__topology *t = load_synthetic(BIG);

    assert_int_equal(muster__topology_cores(t), 128);
    assert_int_equal(muster__topology_nodes(t), 8);
    assert_int_equal(muster__topology_seats(t, MUSTER_PLACE_COMPACT, seats, MAX), 128);
    for (int i = 0; i < 128; i++) {
        char cpus[16];
        snprintf(cpus, sizeof cpus, "%d-%d", 2 * i, 2 * i + 1);
        assert_seat(&seats[i], i / 64, i / 16, i / 16, i, i / 16, cpus); /* no L3: the node is the group */
    }
    assert_int_equal(muster__topology_seats(t, MUSTER_PLACE_DEFAULT, seats, 5), 5);
    assert_seat(&seats[4], 0, 0, 0, 4, 0, "8-9");
    muster__topology_free(t);
}

static void test_seats_per_group(void **state)
{
    (void)state;
    struct muster__topology *t = load_synthetic(CCX);

    assert_int_equal(muster__topology_seats(t, MUSTER_PLACE_PER_NUMA, seats, MAX), 4);
    assert_seat(&seats[0], 0, 0, -1, -1, 0, "0-31");
    assert_seat(&seats[3], 1, 3, -1, -1, 3, "96-127");
    assert_int_equal(muster__topology_seats(t, MUSTER_PLACE_PER_L3, seats, MAX), 16);
    assert_seat(&seats[5], 0, 1, 5, -1, 1, "40-47");
    assert_int_equal(muster__topology_seats(t, MUSTER_PLACE_NONE, seats, MAX), 1);
    assert_seat(&seats[0], -1, -1, -1, -1, -1, "0-127");
    assert_int_equal(muster__topology_seats(t, MUSTER_PLACE_PER_L3, seats, 2), 2);
    assert_seat(&seats[1], 0, 0, 1, -1, 0, "8-15"); /* whole, although the third is cut off */
    assert_int_equal(muster__topology_seats(t, MUSTER_PLACE_PER_L3, seats, 0), 0);
    muster__topology_free(t);
}

static void test_cgroup_restricted(void **state)
{
    (void)state;
    struct muster__topology *t = load_captured("cgroup.xml");

    assert_int_equal(muster__topology_cores(t), 5);
    assert_int_equal(muster__topology_seats(t, MUSTER_PLACE_COMPACT, seats, MAX), 5);
    assert_seat(&seats[0], 0, 0, 0, 0, 0, "1,13");
    assert_seat(&seats[1], 0, 0, 0, 1, 0, "2");
    assert_seat(&seats[2], 1, 1, 1, 2, 3, "9,21");
    assert_seat(&seats[4], 1, 1, 1, 4, 3, "11,23");
    assert_int_equal(muster__topology_seats(t, MUSTER_PLACE_PER_NUMA, seats, MAX), 2);
    assert_cpus(&seats[0].cpus, "1-2,13");
    assert_cpus(&seats[1].cpus, "9-11,21-23");
    muster__topology_free(t);
}

/* The home of a core is DRAM, not the high-bandwidth memory numbered before it nor the empty node nearer to it. */
static void test_other_kinds_of_memory(void **state)
{
    (void)state;
    struct muster__topology *t = load_captured("hbm.xml");

    assert_int_equal(muster__topology_seats(t, MUSTER_PLACE_COMPACT, seats, MAX), 4);
    assert_seat(&seats[0], 0, 0, 0, 0, 3, "0");
    assert_seat(&seats[1], 0, 0, 0, 1, 3, "1");
    assert_seat(&seats[2], 1, 1, 1, 2, 7, "2");
    assert_int_equal(muster__topology_seats(t, MUSTER_PLACE_PER_NUMA, seats, MAX), 2);
    muster__topology_free(t);
}

static void test_one_core(void **state)
{
    (void)state;
    struct muster__topology *t = load_synthetic(ONE);
    const int load = 5;

    assert_int_equal(muster__topology_cores(t), 1);
    for (int policy = MUSTER_PLACE_DEFAULT; policy <= MUSTER_PLACE_NONE; policy++) {
        assert_int_equal(muster__topology_seats(t, (muster_placement)policy, seats, MAX), 1);
        assert_seat(&seats[0], 0, 0, 0, 0, 0, "0");
        assert_int_equal(muster__seat_choose(seats, 1, &load, 0), 0);
    }
    muster__topology_free(t);
}

static void test_levels_that_are_missing(void **state)
{
    (void)state;
    /* neither packages nor L3 nor core objects */
    struct muster__topology *t = load_synthetic("numa:2 pu:3");
    assert_int_equal(muster__topology_seats(t, MUSTER_PLACE_COMPACT, seats, MAX), 6);
    assert_seat(&seats[0], 0, 0, 0, 0, 0, "0");
    assert_seat(&seats[5], 0, 1, 1, 5, 1, "5");
    assert_int_equal(muster__topology_seats(t, MUSTER_PLACE_PER_L3, seats, MAX), 2);
    assert_seat(&seats[1], 0, 1, 1, -1, 1, "3-5");
    muster__topology_free(t);

    /* one node over two packages, one L3 over two nodes: the tree stays nested */
    t = load_synthetic("numa:1 pack:2 core:2 pu:1");
    assert_int_equal(muster__topology_seats(t, MUSTER_PLACE_PER_NUMA, seats, MAX), 2);
    assert_seat(&seats[1], 1, 1, 1, -1, 0, "2-3");
    muster__topology_free(t);
    t = load_synthetic("pack:1 l3:1 numa:2 core:2 pu:1");
    assert_int_equal(muster__topology_seats(t, MUSTER_PLACE_PER_L3, seats, MAX), 2);
    assert_seat(&seats[1], 0, 1, 1, -1, 1, "2-3");
    muster__topology_free(t);
}

static void test_more_units_than_a_set_holds(void **state)
{
    (void)state;
    struct muster__topology *t = load_synthetic("pack:4 numa:1 core:320 pu:1");

    assert_int_equal(muster__topology_cores(t), MUSTER__PU_MAX);
    assert_int_equal(muster__topology_seats(t, MUSTER_PLACE_SPREAD, seats, MAX), MAX);
    struct muster__cpuset all = muster__topology_pus(t);
    assert_cpus(&all, "0-1023");
    muster__topology_free(t);
}

/* ---- restriction ---- */

static void test_restrict(void **state)
{
    (void)state;
    struct muster__topology *t = load_synthetic(CCX);
    struct muster__cpuset allowed = cpus_of(9, 11), far = cpus_of(96, 96), none = cpus_of(500, 510);

    assert_int_equal(muster__topology_restrict(t, &none), MUSTER_ERR_INVAL);
    assert_int_equal(muster__topology_cores(t), 64);
    muster__cpuset_join(&allowed, &far);
    assert_int_equal(muster__topology_restrict(t, &allowed), MUSTER_OK);
    assert_int_equal(muster__topology_cores(t), 3);
    assert_int_equal(muster__topology_seats(t, MUSTER_PLACE_COMPACT, seats, MAX), 3);
    assert_seat(&seats[0], 0, 0, 1, 4, 0, "9");
    assert_seat(&seats[1], 0, 0, 1, 5, 0, "10-11");
    assert_seat(&seats[2], 1, 3, 12, 48, 3, "96");
    assert_int_equal(muster__topology_seats(t, MUSTER_PLACE_PER_NUMA, seats, MAX), 2);
    assert_cpus(&seats[0].cpus, "9-11");
    muster__topology_free(t);
}

/* What the runtime does: one rank loads, the others read the copy in shared memory. */
static void test_flat_copy(void **state)
{
    (void)state;
    struct muster__topology *t = load_synthetic(CCX);
    static struct muster__seat theirs[MAX];
    size_t bytes = muster__topology_bytes(t);
    struct muster__topology *copy = malloc(bytes);

    assert_non_null(copy);
    memcpy(copy, t, bytes);
    int n = muster__topology_seats(t, MUSTER_PLACE_SPREAD, seats, MAX);
    memset(t, 0xff, bytes); /* the copy must not lean on the original */
    muster__topology_free(t);
    assert_int_equal(muster__topology_seats(copy, MUSTER_PLACE_SPREAD, theirs, MAX), n);
    for (int i = 0; i < n; i++) {
        assert_int_equal(theirs[i].core, seats[i].core);
        assert_true(muster__cpuset_equal(&theirs[i].cpus, &seats[i].cpus));
    }
    free(copy);
}

/* ---- order and choice ---- */

static void test_distances(void **state)
{
    (void)state;
    struct muster__topology *t = load_synthetic(CCX);
    const struct {
        int a, b, distance;
    } expected[] = {{0, 0, 0}, {0, 3, 1}, {0, 4, 2}, {0, 15, 2}, {0, 16, 3}, {31, 0, 3}, {31, 32, 4}, {63, 0, 4}};

    muster__topology_seats(t, MUSTER_PLACE_COMPACT, seats, MAX);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const struct muster__seat *a = &seats[expected[i].a], *b = &seats[expected[i].b];
        assert_int_equal(muster__seat_distance(a, b), expected[i].distance);
        assert_int_equal(muster__seat_distance(b, a), expected[i].distance);
    }
    struct muster__seat core = seats[17], node[4], host;
    muster__topology_seats(t, MUSTER_PLACE_PER_NUMA, node, 4);
    muster__topology_seats(t, MUSTER_PLACE_NONE, &host, 1);
    assert_int_equal(muster__seat_distance(&core, &node[1]), 0); /* the seat spans the core */
    assert_int_equal(muster__seat_distance(&core, &node[0]), 3);
    assert_int_equal(muster__seat_distance(&core, &node[2]), 4);
    assert_int_equal(muster__seat_distance(&host, &node[2]), 0);
    muster__topology_free(t);
}

/* At one level of the tree, among children of the same parent: no child is two ahead of one that has cores left. */
static void assert_balanced(const int *used, const int *total, const int *parent, int n)
{
    for (int a = 0; a < n; a++) {
        for (int b = 0; b < n; b++) {
            if (total[a] && total[b] && parent[a] == parent[b] && used[b] < total[b])
                assert_true(used[a] <= used[b] + 1);
        }
    }
}

static void assert_spread(const struct muster__topology *t)
{
    enum { GROUPS = 64 };
    int used[3][GROUPS] = {{0}}, total[3][GROUPS] = {{0}}, parent[3][GROUPS] = {{0}};
    int n = muster__topology_seats(t, MUSTER_PLACE_SPREAD, seats, MAX);
    bool taken[MAX] = {false};

    assert_int_equal(n, muster__topology_cores(t));
    for (int i = 0; i < n; i++) {
        const struct muster__seat *s = &seats[i];
        assert_false(taken[s->core]);
        taken[s->core] = true;
        total[0][s->package]++;
        total[1][s->numa]++;
        total[2][s->l3]++;
        parent[1][s->numa] = s->package;
        parent[2][s->l3] = s->numa;
    }
    for (int i = 0; i < n; i++) {
        used[0][seats[i].package]++;
        used[1][seats[i].numa]++;
        used[2][seats[i].l3]++;
        for (int level = 0; level < 3; level++)
            assert_balanced(used[level], total[level], parent[level], GROUPS);
    }
}

static void test_spread_is_balanced_at_every_length(void **state)
{
    (void)state;
    const char *const machines[] = {BIG, CCX, ONE, "numa:3 l3:2 core:5 pu:1"};
    unsigned random = 7;

    for (size_t m = 0; m < sizeof machines / sizeof *machines; m++) {
        struct muster__topology *t = load_synthetic(machines[m]);
        assert_spread(t);
        muster__topology_free(t);
    }
    for (int round = 0; round < 20; round++) { /* lopsided ones */
        struct muster__topology *t = load_synthetic(CCX);
        struct muster__cpuset allowed = cpus_of(0, 0);
        for (int pu = 1; pu < 128; pu++) {
            if (next_random(&random) % 4 == 0 || pu / 16 == round % 8)
                muster__cpuset_add(&allowed, pu);
        }
        assert_int_equal(muster__topology_restrict(t, &allowed), MUSTER_OK);
        assert_spread(t);
        muster__topology_free(t);
    }
}

static void test_spread_starts_far_apart(void **state)
{
    (void)state;
    struct muster__topology *t = load_synthetic(CCX);

    assert_int_equal(muster__topology_seats(t, MUSTER_PLACE_SPREAD, seats, MAX), 64);
    const int expected[] = {0, 32, 16, 48, 4, 36, 20, 52, 8}; /* packages, then nodes, then L3 groups */
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_int_equal(seats[i].core, expected[i]);
    for (int a = 0; a < 16; a++) {
        for (int b = 0; b < a; b++)
            assert_true(muster__seat_distance(&seats[a], &seats[b]) >= 2); /* 16 workers, 16 L3 groups */
    }
    muster__topology_free(t);
}

static void test_choose_prefers_the_nearest_free(void **state)
{
    (void)state;
    struct muster__topology *t = load_synthetic(CCX);
    int n = muster__topology_seats(t, MUSTER_PLACE_COMPACT, seats, MAX), load[MAX] = {0};

    assert_int_equal(muster__seat_choose(seats, n, NULL, -1), 0);
    assert_int_equal(muster__seat_choose(seats, n, load, 21), 21);
    int last = 0;
    for (int i = 0; i < n; i++) { /* filling the host from core 21, workers go outwards */
        int chosen = muster__seat_choose(seats, n, load, 21);
        int distance = muster__seat_distance(&seats[chosen], &seats[21]);
        assert_int_equal(load[chosen]++, 0);
        assert_true(distance >= last);
        last = distance;
    }
    assert_int_equal(last, 4);
    assert_int_equal(muster__seat_choose(seats, n, load, 21), 21);
    assert_int_equal(muster__seat_choose(seats, 0, load, -1), -1);
    muster__topology_free(t);
}

static void test_more_workers_than_cores(void **state)
{
    (void)state;
    struct muster__topology *t = load_captured("cgroup.xml");

    for (int policy = MUSTER_PLACE_COMPACT; policy <= MUSTER_PLACE_PER_L3; policy++) {
        int n = muster__topology_seats(t, (muster_placement)policy, seats, MAX), load[MAX] = {0};
        for (int worker = 0; worker < 100; worker++) {
            int chosen = muster__seat_choose(seats, n, load, -1);
            assert_int_equal(chosen, worker % n);
            load[chosen]++;
        }
    }
    muster__topology_free(t);
}

/* Workers come and go at random, some near others: nobody doubles up while a core is free, nor trebles up while one
 * has a single worker. */
static void test_never_two_on_a_core_while_one_is_free(void **state)
{
    (void)state;
    struct muster__topology *t = load_synthetic(CCX);
    int n = muster__topology_seats(t, MUSTER_PLACE_SPREAD, seats, MAX), load[MAX] = {0};
    int where[200], workers = 0, doubled = 0;
    unsigned random = 1;

    for (int step = 0; step < 20000; step++) {
        /* long waves between an empty and an overfull host */
        bool start = (int)(next_random(&random) % 100) < (step / 1000 % 2 ? 35 : 65);
        if (start && workers < 200) {
            int nearby = (int)(next_random(&random) % (unsigned)(n + 1)) - 1;
            int chosen = muster__seat_choose(seats, n, load, nearby);
            for (int i = 0; i < n; i++)
                assert_true(load[chosen] <= load[i]);
            doubled += load[chosen]++ > 0;
            where[workers++] = chosen;
        } else if (!start && workers > 0) {
            int leaver = (int)(next_random(&random) % (unsigned)workers);
            load[where[leaver]]--;
            where[leaver] = where[--workers];
        }
    }
    assert_true(doubled > 100); /* the host did fill up, or this test has shown nothing */
    muster__topology_free(t);
}

/* ---- binding ---- */

static void test_bind_and_read_back(void **state)
{
    (void)state;
    struct muster__cpuset before, now, got;

    assert_int_equal(muster__cpuset_current(&before), MUSTER_OK);
    for (int pu = 0; pu < MUSTER__PU_MAX; pu++) {
        if (!muster__cpuset_has(&before, pu))
            continue;
        struct muster__cpuset one = cpus_of(pu, pu);
        assert_int_equal(muster__cpuset_bind(&one, &got), MUSTER_OK);
        assert_true(muster__cpuset_equal(&got, &one));
        assert_int_equal(muster__cpuset_current(&now), MUSTER_OK);
        assert_true(muster__cpuset_equal(&now, &one));
        assert_int_equal(sched_getcpu(), pu);
    }
    assert_int_equal(muster__cpuset_bind(&before, NULL), MUSTER_OK);
    assert_int_equal(muster__cpuset_current(&now), MUSTER_OK);
    assert_true(muster__cpuset_equal(&now, &before));
}

static void test_bind_is_all_or_nothing(void **state)
{
    (void)state;
    struct muster__cpuset before, now, got = cpus_of(7, 7), want = {{0}};

    assert_int_equal(muster__cpuset_current(&before), MUSTER_OK);
    assert_false(muster__cpuset_has(&before, 1023)); /* this test needs a PU that does not exist */
    assert_int_equal(muster__cpuset_bind(&want, &got), MUSTER_ERR_INVAL);
    want = cpus_of(1023, 1023);
    assert_int_equal(muster__cpuset_bind(&want, &got), MUSTER_ERR_SYSTEM);
    assert_non_null(strstr(muster_err_detail(), "sched_setaffinity(1023)"));
    int pu = 0;
    while (!muster__cpuset_has(&before, pu))
        pu++;
    muster__cpuset_add(&want, pu);
    assert_int_equal(muster__cpuset_bind(&want, &got), MUSTER_ERR_SYSTEM);
    assert_non_null(strstr(muster_err_detail(), "the kernel granted"));
    assert_cpus(&got, "7"); /* outputs are untouched on failure */
    assert_int_equal(muster__cpuset_current(&now), MUSTER_OK);
    assert_true(muster__cpuset_equal(&now, &before));
}

/* ---- picture ---- */

static char *draw(const struct muster__topology *t, const struct muster__sitter *sitters, int n)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    assert_int_equal(muster__topology_picture(t, "n03", sitters, n, stream), MUSTER_OK);
    fclose(stream);
    return text;
}

static void assert_picture(const char *text, const char *name)
{
    char path[1024], expected[16384];
    fixture(name, path, sizeof path);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t size = fread(expected, 1, sizeof expected - 1, file);
    fclose(file);
    expected[size] = '\0';
    assert_string_equal(text, expected);
}

static struct muster__sitter sitter(const char *word, int number, struct muster__cpuset cpus, bool exclusive)
{
    struct muster__sitter s = {.cpus = cpus, .exclusive = exclusive};
    snprintf(s.label, sizeof s.label, "%s %d", word, number);
    return s;
}

static void test_picture_of_a_big_host(void **state)
{
    (void)state;
    struct muster__topology *t = load_synthetic(BIG);
    struct muster__sitter s[40];
    int n = 0;

    for (int rank = 0; rank < 6; rank++) /* a core each: one line */
        s[n++] = sitter("rank", rank, cpus_of(2 * rank, 2 * rank + 1), true);
    s[n++] = sitter("child", 0, cpus_of(16, 17), true);
    s[n++] = sitter("rank", 6, cpus_of(32, 33), true);
    s[n++] = sitter("child", 1, cpus_of(32, 33), true); /* two on core 16 */
    s[n++] = sitter("rank", 7, cpus_of(35, 35), true);  /* one PU of core 17 */
    s[n++] = sitter("rank", 8, cpus_of(64, 95), true);  /* a node */
    s[n++] = sitter("rank", 9, cpus_of(96, 99), true);  /* two cores of a node */
    s[n++] = sitter("rank", 10, cpus_of(128, 255), false);
    s[n++] = sitter("rank", 11, cpus_of(0, 255), false);
    s[n++] = sitter("rank", 12, cpus_of(0, 255), false);
    s[n++] = sitter("rank", 13, cpus_of(400, 401), false);
    char *text = draw(t, s, n);
    assert_picture(text, "big.txt");
    free(text);
    muster__topology_free(t);
}

static void test_picture_of_a_cgroup(void **state)
{
    (void)state;
    struct muster__topology *t = load_captured("cgroup.xml");
    struct muster__sitter s[2];

    int n = muster__topology_seats(t, MUSTER_PLACE_SPREAD, seats, 2);
    assert_int_equal(n, 2);
    s[0] = sitter("rank", 0, seats[0].cpus, true);
    s[1] = sitter("rank", 1, seats[1].cpus, true);
    char *text = draw(t, s, n);
    assert_picture(text, "cgroup.txt");
    free(text);
    muster__topology_free(t);
}

static void test_picture_of_groups_and_one_core(void **state)
{
    (void)state;
    struct muster__topology *t = load_synthetic("pack:1 numa:1 l3:2(size=33554432) core:4 pu:1");
    struct muster__sitter s[8];

    for (int i = 0; i < 8; i++)
        s[i] = sitter("rank", i, cpus_of(i, i), true);
    char *text = draw(t, s, 8);
    assert_non_null(strstr(text, "cores 0-3 (pu 0-3): rank 0-3, one each\n"));
    assert_non_null(strstr(text, "cores 4-7 (pu 4-7): rank 4-7, one each\n")); /* runs end with the group */
    free(text);
    muster__topology_free(t);

    t = load_synthetic(ONE);
    s[0] = sitter("rank", 0, cpus_of(0, 0), true);
    text = draw(t, s, 1);
    assert_non_null(strstr(text, "1 package, 1 NUMA node, 1 core, pu 0\n"));
    assert_non_null(strstr(text, "core 0 (pu 0): rank 0\n"));
    free(text);
    text = draw(t, NULL, 0);
    assert_non_null(strstr(text, "core 0 (pu 0): free\n"));
    free(text);
    muster__topology_free(t);
}

/* However many sit wherever: lines stay short and ASCII, and every label can be found. */
static void test_picture_stays_narrow(void **state)
{
    (void)state;
    struct muster__topology *t = load_synthetic(CCX);
    enum { N = 300 };
    static struct muster__sitter s[N];
    unsigned random = 3;

    for (int i = 0; i < N; i++) {
        int first = (int)(next_random(&random) % 128), length = 1 << next_random(&random) % 8;
        s[i] = sitter("job", i, cpus_of(first, first + length), random % 2);
        snprintf(s[i].label, sizeof s[i].label, "job %03dx", i);
    }
    memset(s[N - 1].label, 'x', sizeof s[N - 1].label); /* full, without a terminator */
    char *text = draw(t, s, N);
    for (char *line = text, *next; *line; line = next) {
        next = strchr(line, '\n') + 1;
        assert_true(next - line <= 100);
        for (char *c = line; c + 1 < next; c++)
            assert_in_range(*c, ' ', '~');
    }
    for (int i = 0; i < N - 1; i++)
        assert_non_null(strstr(text, s[i].label));
    assert_non_null(strstr(text, "xxxxxxxxxxxxxxxxxxxxxxxx"));
    free(text);
    muster__topology_free(t);
}

static void test_picture_reports_a_full_disk(void **state)
{
    (void)state;
    FILE *full = full_disk();
    struct muster__topology *t = load_synthetic("numa:1 core:2 pu:1");

    assert_int_equal(muster__topology_picture(t, "n03", NULL, 0, full), MUSTER_ERR_SYSTEM);
    fclose(full);
    muster__topology_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_join_and_meet),
        cmocka_unit_test(test_this_machine),
        cmocka_unit_test(test_two_packages_of_four_nodes),
        cmocka_unit_test(test_seats_per_group),
        cmocka_unit_test(test_cgroup_restricted),
        cmocka_unit_test(test_other_kinds_of_memory),
        cmocka_unit_test(test_one_core),
        cmocka_unit_test(test_levels_that_are_missing),
        cmocka_unit_test(test_more_units_than_a_set_holds),
        cmocka_unit_test(test_restrict),
        cmocka_unit_test(test_flat_copy),
        cmocka_unit_test(test_distances),
        cmocka_unit_test(test_spread_is_balanced_at_every_length),
        cmocka_unit_test(test_spread_starts_far_apart),
        cmocka_unit_test(test_choose_prefers_the_nearest_free),
        cmocka_unit_test(test_more_workers_than_cores),
        cmocka_unit_test(test_never_two_on_a_core_while_one_is_free),
        cmocka_unit_test(test_bind_and_read_back),
        cmocka_unit_test(test_bind_is_all_or_nothing),
        cmocka_unit_test(test_picture_of_a_big_host),
        cmocka_unit_test(test_picture_of_a_cgroup),
        cmocka_unit_test(test_picture_of_groups_and_one_core),
        cmocka_unit_test(test_picture_stays_narrow),
        cmocka_unit_test(test_gpus),
        cmocka_unit_test(test_picture_reports_a_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
