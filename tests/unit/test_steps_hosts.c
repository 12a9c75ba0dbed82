/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Kills at any instruction of an operation on an object of another host, and of this one while others wait on another:
 * the rows of steps_kinds.h on three hosts (process_hosts.h). What the dead one asked for is undone, or done as if it
 * had lived; an item that was in its hands may be lost, and nothing else; nobody waits for ever; nothing is left on any
 * host.
 *
 * Answers come when they come, so a victim's way is another each time: it is killed after each k-th instruction, from
 * one on that the seed chooses, and once when it sleeps (MUSTER_SEED; MUSTER_STEPS_KILLS: how many a row;
 * MUSTER_STEPS=all: at each instruction).
 */
#include "hosts_members.h"
#include "steps_kinds.h"

#include <sys/ptrace.h>

enum { HOME = 0, ASKER = 1, BESIDE = 2 }; /* hosts: of the object and who stays; of the victim; of who waits */
enum { VICTIM = 1, WAITERS = 2, WAITERS_MAX = 4, KILLS = 4 };
#define UNTIL_ASLEEP (UINT32_MAX - 1)

static struct shared {
    struct steps_objects objects;
    _Atomic uint32_t begun, ended, steps, waked, done;
    _Atomic int32_t code, gone, over;
    _Atomic int64_t kills;
} * shared;

/* What is being done to what. */
static const struct steps_row *row;
static const struct steps_kind *kind;
static steps_do act;
static int victims_host;
static uint32_t seed, kills_a_row;
static bool all_steps;

static int code_of(muster_err err)
{
    return err == MUSTER_ERR_OWNER_DEAD ? 0 : err;
}

/* ---- at home ---- */

static uint32_t standing(void)
{
    return steps_standing(kind);
}

/* Callers of this host, in lines of whatever is here. */
static uint32_t hanging(void)
{
    uint32_t n = 0;
    for (uint32_t number = 1; number < muster__callers_end(); number++)
        n += atomic_load(&muster__waiter(number)->event) != 0;
    return n;
}

/* ---- processes of a host ---- */

static void victim_main(uint32_t member)
{
    (void)member;
    HOSTS_CHECK(!row || !row->mine || row->mine() == MUSTER_OK);
    HOSTS_CHECK(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 && raise(SIGSTOP) == 0);
    atomic_store(&shared->begun, 1);
    atomic_store(&shared->code, code_of(act()));
    atomic_store(&shared->ended, 1);
    for (;;)
        pause();
}

static void waiter_main(uint32_t member)
{
    if (row)
        HOSTS_CHECK(code_of(row->waits()) == 0);
    else
        HOSTS_CHECK(kind->waits[member - WAITERS]() == MUSTER_ERR_CLOSED);
    atomic_fetch_add(&shared->done, 1);
}

/* ---- the victim ---- */

static pid_t victim;

static bool sleeps(void)
{
    char path[40], state = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)victim);
    FILE *file = fopen(path, "r");
    HOSTS_CHECK(file && fscanf(file, "%*d (%*[^)]) %c", &state) == 1);
    fclose(file);
    return state == 'S';
}

static bool may_be_woken(void)
{
    return hosts_self == HOME && row && row->wakes && !row->waits && !atomic_load(&shared->waked) && standing() &&
           (victims_host != HOME || sleeps()); /* else it may have what is needed for that */
}

/* The victim waits for something: it comes. */
static void wake_if_it_waits(void)
{
    if (!may_be_woken())
        return;
    atomic_store(&shared->waked, 1);
    HOSTS_CHECK(row->wakes() == MUSTER_OK);
}

/* True: it sleeps, and that was asked for. */
static bool wait_stopped(int signal, bool until_asleep)
{
    int status;
    while (waitpid(victim, &status, WNOHANG) == 0) {
        if (until_asleep && sleeps())
            return true;
        wake_if_it_waits();
    }
    HOSTS_CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == signal);
    return false;
}

static void start_victim(void)
{
    victim = start(VICTIM, victim_main);
    wait_stopped(SIGSTOP, false);
}

static bool step_one(bool until_asleep)
{
    HOSTS_CHECK(ptrace(PTRACE_SINGLESTEP, victim, NULL, NULL) == 0);
    return wait_stopped(SIGTRAP, until_asleep);
}

/* Kills the victim after so many instructions, or in its first sleep, if it comes to that, and sweeps as a nursery
 * does. */
static void step_and_kill(uint32_t steps)
{
    uint32_t n = 0;
    int status;
    bool asleep = false;
    while (!atomic_load(&shared->begun))
        step_one(false);
    for (; n < steps && !asleep && !atomic_load(&shared->ended); n++)
        asleep = step_one(steps == UNTIL_ASLEEP);
    atomic_store(&shared->steps, n);
    kill(victim, SIGKILL);
    HOSTS_CHECK(waitpid(victim, &status, 0) == victim && WIFSIGNALED(status));
    muster__sweep_member(VICTIM, muster__self_number());
    HOSTS_CHECK(!atomic_load(&shared->ended) || atomic_load(&shared->code) == 0);
}

/* ---- nothing is left on this host ---- */

static void nothing_is_left(const char *name)
{
    const char *left = what_stays_left();
    if (left) {
        fprintf(stderr, "host%d: %s: %s is left (%lld bytes); the victim, of host %d, was killed after step %u\n",
                hosts_self, name, left, (long long)(muster__heap_used() - used_before), victims_host,
                atomic_load(&shared->steps));
        _exit(9);
    }
}

/* ---- a round: one kill ---- */

static void clear(void)
{
    atomic_store(&shared->begun, 0);
    atomic_store(&shared->ended, 0);
    atomic_store(&shared->waked, 0);
    atomic_store(&shared->done, 0);
    atomic_store(&shared->over, 0);
}

/* The victim is ready, then all others stand in line, then it goes on. */
static void round_until_killed(uint32_t steps, uint32_t waiters)
{
    pid_t pids[WAITERS_MAX];
    if (hosts_self == victims_host)
        start_victim();
    hosts_meet();
    for (uint32_t i = 0; i < waiters && hosts_self == BESIDE; i++)
        pids[i] = start(WAITERS + i, waiter_main);
    while (hosts_self == HOME && standing() < (kind->as_hosts && waiters ? 1 : waiters))
        nap();
    while (hosts_self == BESIDE && kind->as_hosts && hanging() < waiters)
        nap();
    hosts_meet();
    if (hosts_self == victims_host) {
        step_and_kill(steps);
        if (kind->look)
            kind->look(); /* after what the dead one's host has told home of it */
        atomic_store(&shared->over, 1);
    }
    while (!atomic_load(&shared->over)) {
        wake_if_it_waits();
        nap();
    }
    hosts_meet();
    (void)pids;
}

static void join_waiters(uint32_t waiters)
{
    for (uint32_t i = 0; i < waiters && hosts_self == BESIDE; i++) {
        int status;
        HOSTS_CHECK(wait(&status) > 0 && status == 0);
    }
}

static void look_at_it(void)
{
    int64_t first = row->looks[0], last = row->looks[1], look = kind->look ? kind->look() : 0;
    int64_t low = first < last ? first : last, high = first < last ? last : first;
    if (look < low || look > high || (atomic_load(&shared->ended) && look != last)) {
        fprintf(stderr, "%s: %s: it stands at %lld; the victim, of host %d, was killed after step %u\n", kind->name,
                row->name, (long long)look, victims_host, atomic_load(&shared->steps));
        _exit(9);
    }
}

/* If it was done, so many are called by that; the others, or if it was not, whoever waits, by who stays. */
static void serve_waiters(void)
{
    uint32_t called = atomic_load(&shared->ended) ? row->woken[1] : 0;
    while (atomic_load(&shared->done) < called)
        nap();
    if (atomic_load(&shared->ended))
        look_at_it();
    while (atomic_load(&shared->done) < row->waiters) {
        if (row->wakes && standing())
            row->wakes();
        nap();
    }
}

static void row_round(uint32_t steps)
{
    char name[64];
    snprintf(name, sizeof name, "%s: %s", kind->name, row->name);
    if (hosts_self == HOME) {
        clear();
        HOSTS_CHECK(kind->make() == MUSTER_OK && (!row->before || row->before() == MUSTER_OK));
    }
    hosts_meet();
    round_until_killed(steps, row->waits ? row->waiters : 0);
    if (hosts_self == HOME) {
        if (row->wakes && !row->waits && !atomic_load(&shared->waked))
            row->wakes();
        if (row->waits)
            serve_waiters();
        else
            look_at_it();
        HOSTS_CHECK(kind->end() == MUSTER_OK);
    }
    join_waiters(row->waits ? row->waiters : 0);
    hosts_meet();
    nothing_is_left(name);
    hosts_meet();
}

/* ---- made and ended by another host ---- */

static muster_err make_at_home(void)
{
    steps_on = muster_on_rank(HOME);
    muster_err err = kind->make();
    steps_on = (muster_on){0};
    return err;
}

/* Killed at the last, the victim had the answer, and has told nobody: then one is there. */
static void make_round(uint32_t steps)
{
    char name[64];
    snprintf(name, sizeof name, "%s: made", kind->name);
    if (hosts_self == HOME) {
        clear();
        *kind->handle() = (muster_handle){0};
    }
    hosts_meet();
    if (hosts_self == victims_host) {
        start_victim();
        step_and_kill(steps);
    }
    hosts_meet();
    if (hosts_self == HOME)
        muster__end_all_objects();
    hosts_meet();
    nothing_is_left(name);
    hosts_meet();
}

/* A host may hear of the end after it: who comes there before that is told CLOSED, as who waited is; once. */
static bool is_stale(steps_do wait)
{
    muster_err err = wait();
    if (err == MUSTER_ERR_CLOSED)
        err = wait();
    return err == MUSTER_ERR_STALE;
}

static void end_round(uint32_t steps)
{
    char name[64];
    uint32_t waiters = steps_waits_of(kind);
    snprintf(name, sizeof name, "%s: ended, %u wait", kind->name, waiters);
    if (hosts_self == HOME) {
        clear();
        HOSTS_CHECK(kind->make() == MUSTER_OK && (!kind->stop || kind->stop() == MUSTER_OK));
    }
    hosts_meet();
    round_until_killed(steps, waiters);
    if (hosts_self == HOME) {
        muster_err err = kind->end();
        HOSTS_CHECK(err == MUSTER_ERR_STALE || (err == MUSTER_OK && !atomic_load(&shared->ended)));
    }
    join_waiters(waiters);
    hosts_meet();
    for (uint32_t i = 0; i < waiters; i++)
        HOSTS_CHECK(is_stale(kind->waits[i]));
    hosts_meet();
    nothing_is_left(name);
    hosts_meet();
}

/* ---- all of them ---- */

/* First to its end, to know how far that is; then it is killed on the way. */
static void kill_on_the_way(void (*round)(uint32_t steps))
{
    round(UINT32_MAX);
    uint32_t n = atomic_load(&shared->steps), stride = all_steps ? 1 : n / kills_a_row + 1;
    hosts_meet();
    round(UNTIL_ASLEEP);
    for (uint32_t steps = seed % stride; steps < n; steps += stride) {
        round(steps);
        if (hosts_self == HOME)
            atomic_fetch_add(&shared->kills, 1);
    }
}

/* Each kind is used once before memory is counted: tables that are made then stay. */
static void begin(void)
{
    atomic_store(&muster__segment->cores, 0); /* spinning makes long ways */
    steps_large = STEPS_LARGE_MAX;
    for (int i = 0; i < STEPS_KINDS; i++) {
        kind = steps_kinds[i];
        if (hosts_self == HOME)
            HOSTS_CHECK(kind->make() == MUSTER_OK);
        hosts_meet();
        if (kind->look)
            kind->look();
        hosts_meet();
        if (hosts_self == HOME)
            HOSTS_CHECK(kind->end() == MUSTER_OK);
    }
    hosts_meet();
    used_before = UINT64_MAX;
    nothing_is_left("at first");
    used_before = muster__heap_used();
    hosts_meet();
}

static void rows_part(int host)
{
    (void)host;
    begin();
    for (int i = 0; i < STEPS_ROWS; i++) {
        row = &steps_rows[i];
        kind = row->kind;
        act = row->act;
        kill_on_the_way(row_round);
    }
}

static void ends_part(int host)
{
    (void)host;
    begin();
    row = NULL;
    for (int i = 0; i < STEPS_KINDS; i++) {
        kind = steps_kinds[i];
        act = kind->end;
        kill_on_the_way(end_round);
        act = make_at_home;
        kill_on_the_way(make_round);
    }
}

static void run(void (*part)(int host), int of)
{
    victims_host = of;
    shared->kills = 0;
    int64_t began = case_ms();
    hosts_run(part, 0, -1);
    printf("the victim of host %d: %lld kills, %lld ms\n", of, (long long)atomic_load(&shared->kills),
           (long long)(case_ms() - began));
}

static void operations_of_other_hosts(void **state)
{
    (void)state;
    run(rows_part, ASKER);
}

static void operations_beside_other_hosts(void **state)
{
    (void)state;
    run(rows_part, HOME);
}

static void lives_of_objects(void **state)
{
    (void)state;
    run(ends_part, ASKER);
    run(ends_part, HOME);
}

static bool may_trace(void)
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0);
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

int main(void)
{
    const char *kills = getenv("MUSTER_STEPS_KILLS"), *number = getenv("MUSTER_SEED"), *steps = getenv("MUSTER_STEPS");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_of_other_hosts),
        cmocka_unit_test(operations_beside_other_hosts),
        cmocka_unit_test(lives_of_objects),
    };
    if (!may_trace()) {
        fprintf(stderr, "processes may not be traced here\n");
        return 77;
    }
    kills_a_row = kills ? (uint32_t)strtoul(kills, NULL, 0) : KILLS;
    seed = number ? (uint32_t)strtoul(number, NULL, 0) : (uint32_t)getpid();
    all_steps = steps != NULL;
    printf("MUSTER_SEED=%u\n", seed);
    shared = case_map(sizeof *shared);
    steps_at = &shared->objects;
    if (!all_steps)
        alarm(280);
    return cmocka_run_group_tests_name("steps_hosts", tests, NULL, NULL);
}
