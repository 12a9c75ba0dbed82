/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls between hosts that have no time, or whose time is over before home does anything: 60, and what is granted too
 * late. Home is stopped (SIGSTOP) while it is asked.
 */
#include "process_hosts.h"

#include <muster/barrier.h>
#include <muster/event.h>
#include <muster/once.h>
#include <muster/rwlock.h>
#include <muster/semaphore.h>

enum { HOME, ASKER, OTHER, ROUNDS = 12 };

/* of hosts_shared's values */
enum { PID, ASKED, ANSWERED, TOLD, STEP };

static int64_t value(int which)
{
    return atomic_load(&hosts_shared->value[which]);
}

static void await(int which, int64_t count)
{
    while (value(which) < count)
        nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
}

/* Made by home, known to all. */
static void known(muster_handle *handle)
{
    if (hosts_self == HOME)
        hosts_shared->queue[0].handle = *handle;
    hosts_meet();
    *handle = hosts_shared->queue[0].handle;
}

static void nap_us(int us)
{
    nanosleep(&(struct timespec){.tv_nsec = us * 1000L}, NULL);
}

/* ---- a home that is stopped ---- */

static void stop_home(void)
{
    char path[40], state = 0;
    pid_t home = (pid_t)value(PID);
    snprintf(path, sizeof path, "/proc/%d/stat", (int)home);
    HOSTS_CHECK(kill(home, SIGSTOP) == 0);
    while (state != 'T') {
        FILE *file = fopen(path, "r");
        HOSTS_CHECK(file && fscanf(file, "%*d (%*[^)]) %c", &state) == 1);
        fclose(file);
    }
}

static void let_home_go_on(void)
{
    HOSTS_CHECK(kill((pid_t)value(PID), SIGCONT) == 0);
}

static void tell_pid(void)
{
    if (hosts_self == HOME)
        atomic_store(&hosts_shared->value[PID], getpid());
    hosts_meet();
}

/* The asker gives up what home will grant, and asks again; somebody else has home go on at about that time. */
static void ask_twice(int round, void (*first)(void), void (*again)(void))
{
    if (hosts_self == ASKER) {
        stop_home();
        first();
        atomic_fetch_add(&hosts_shared->value[ASKED], 1);
        again();
        atomic_fetch_add(&hosts_shared->value[ANSWERED], 1);
    } else if (hosts_self == OTHER) {
        await(ASKED, round + 1);
        nap_us(round % 4 * 300);
        let_home_go_on();
    }
    await(ANSWERED, round + 1);
    hosts_meet();
}

/* Within T..T+20 ms, but for what else runs here. */
static int64_t began;

static void begin_clock(void)
{
    began = muster__now_ns();
}

static void check_clock(int64_t ms)
{
    int64_t took = muster__now_ns() - began;
    HOSTS_CHECK(took >= ms * 1000000 && took < 1000000000);
}

/* ---- once: it is not asked from within its own run ---- */

static muster_once once;
static int runs;

static muster_err run(void *fails)
{
    runs++;
    return fails ? MUSTER_ERR_TASK : MUSTER_OK;
}

static void once_first(void)
{
    begin_clock();
    HOSTS_CHECK(muster_once_run(once, run, NULL, 20) == MUSTER_ERR_TIMEOUT);
    check_clock(20);
    HOSTS_CHECK(runs == 0);
}

static void once_again(void)
{
    HOSTS_CHECK(muster_once_run(once, run, &runs, MUSTER_FOREVER) == MUSTER_ERR_TASK);
    HOSTS_CHECK(runs == 1);
    runs = 0;
}

static void once_part(int host)
{
    if (host == HOME)
        HOSTS_CHECK(muster_once_create(&once, NULL) == MUSTER_OK);
    tell_pid();
    known(&once.handle);
    for (int round = 0; round < ROUNDS; round++)
        ask_twice(round, once_first, once_again);
}

static void a_run_granted_too_late_is_not_within(void **state)
{
    (void)state;
    hosts_run(once_part, 0, -1);
}

/* ---- rwlock: nobody has it twice ---- */

static muster_rwlock rwlock;

static void rwlock_first(void)
{
    begin_clock();
    HOSTS_CHECK(muster_rwlock_acquire_read(rwlock, 20) == MUSTER_ERR_TIMEOUT);
    check_clock(20);
}

static void rwlock_again(void)
{
    HOSTS_CHECK(muster_rwlock_acquire_write(rwlock, MUSTER_FOREVER) == MUSTER_OK);
    HOSTS_CHECK(muster_rwlock_release(rwlock) == MUSTER_OK);
    HOSTS_CHECK(muster_rwlock_release(rwlock) == MUSTER_ERR_STATE);
}

static void rwlock_part(int host)
{
    if (host == HOME)
        HOSTS_CHECK(muster_rwlock_create(&rwlock, NULL) == MUSTER_OK);
    tell_pid();
    known(&rwlock.handle);
    for (int round = 0; round < ROUNDS; round++)
        ask_twice(round, rwlock_first, rwlock_again);
    HOSTS_CHECK(muster_rwlock_acquire_read(rwlock, MUSTER_FOREVER) == MUSTER_OK);
    HOSTS_CHECK(muster_rwlock_release(rwlock) == MUSTER_OK);
}

static void a_place_granted_too_late_is_free(void **state)
{
    (void)state;
    hosts_run(rwlock_part, 0, -1);
}

/* ---- queue: its items come in order ---- */

static muster_queue queue;
static int32_t next_item;

static void queue_first(void)
{
    int32_t item;
    begin_clock();
    HOSTS_CHECK(muster_queue_get(queue, &item, sizeof item, NULL, 20) == MUSTER_ERR_EMPTY);
    check_clock(20);
}

static void queue_again(void)
{
    int32_t item = -1;
    HOSTS_CHECK(muster_queue_get(queue, &item, sizeof item, NULL, MUSTER_FOREVER) == MUSTER_OK);
    HOSTS_CHECK(item == next_item);
    next_item++;
}

static void queue_part(int host)
{
    if (host == HOME)
        HOSTS_CHECK(muster_queue_create(&queue, &(muster_queue_options){.maxsize = ROUNDS}) == MUSTER_OK);
    tell_pid();
    known(&queue.handle);
    for (int32_t i = 0; i < ROUNDS && host == HOME; i++)
        HOSTS_CHECK(muster_queue_put(queue, &i, sizeof i, MUSTER_NOWAIT) == MUSTER_OK);
    hosts_meet();
    for (int round = 0; round < ROUNDS; round++)
        ask_twice(round, queue_first, queue_again);
}

static void an_item_given_too_late_comes_first(void **state)
{
    (void)state;
    hosts_run(queue_part, 0, -1);
}

/* ---- semaphore: its permits stay ---- */

static muster_semaphore semaphore;

static void semaphore_first(void)
{
    begin_clock();
    HOSTS_CHECK(muster_semaphore_acquire(semaphore, 20) == MUSTER_ERR_TIMEOUT);
    check_clock(20);
}

static void semaphore_again(void)
{
    int64_t permits = -1;
    HOSTS_CHECK(muster_semaphore_value(semaphore, &permits) == MUSTER_OK);
    HOSTS_CHECK(permits == 3);
    HOSTS_CHECK(muster_semaphore_acquire(semaphore, MUSTER_FOREVER) == MUSTER_OK);
    HOSTS_CHECK(muster_semaphore_release(semaphore, 1) == MUSTER_OK);
    HOSTS_CHECK(muster_semaphore_release(semaphore, 1) == MUSTER_ERR_STATE);
}

static void semaphore_part(int host)
{
    if (host == HOME)
        HOSTS_CHECK(muster_semaphore_create(&semaphore, 3, 3, NULL) == MUSTER_OK);
    tell_pid();
    known(&semaphore.handle);
    for (int round = 0; round < ROUNDS; round++)
        ask_twice(round, semaphore_first, semaphore_again);
}

static void a_permit_granted_too_late_is_given_back(void **state)
{
    (void)state;
    hosts_run(semaphore_part, 0, -1);
}

/* ---- barrier: who came too late was told BROKEN, and so are the others, if in the next round ---- */

static void barrier_part(int host)
{
    muster_barrier barrier;
    bool is_broken = false;
    if (host == HOME)
        HOSTS_CHECK(muster_barrier_create(&barrier, 2, NULL) == MUSTER_OK);
    tell_pid();
    known(&barrier.handle);
    if (host == OTHER) {
        atomic_store(&hosts_shared->value[STEP], 1);
        muster_err err = muster_barrier_wait(barrier, NULL, MUSTER_FOREVER);
        if (err == MUSTER_OK)
            err = muster_barrier_wait(barrier, NULL, MUSTER_FOREVER);
        HOSTS_CHECK(err == MUSTER_ERR_BROKEN);
        atomic_store(&hosts_shared->value[STEP], 2);
    } else if (host == ASKER) {
        int waiting = 0;
        await(STEP, 1);
        while (waiting == 0)
            HOSTS_CHECK(muster_barrier_state(barrier, &waiting, NULL) == MUSTER_OK);
        stop_home();
        begin_clock();
        HOSTS_CHECK(muster_barrier_wait(barrier, NULL, 20) == MUSTER_ERR_BROKEN);
        check_clock(20);
        let_home_go_on();
        HOSTS_CHECK(muster_barrier_wait(barrier, NULL, MUSTER_FOREVER) == MUSTER_ERR_BROKEN);
    }
    await(STEP, 2);
    hosts_meet();
    HOSTS_CHECK(muster_barrier_state(barrier, NULL, &is_broken) == MUSTER_OK);
    HOSTS_CHECK(is_broken);
    hosts_meet();
}

static void a_party_too_late_breaks_the_barrier(void **state)
{
    (void)state;
    hosts_run(barrier_part, 0, -1);
}

/* ---- without time: nothing of it stays at home ---- */

static void nowait_part(int host)
{
    muster_barrier barrier = {0};
    bool is_broken = false;
    int waiting = -1;
    if (host == HOME) {
        HOSTS_CHECK(muster_barrier_create(&barrier, 2, NULL) == MUSTER_OK);
        HOSTS_CHECK(muster_rwlock_create(&rwlock, NULL) == MUSTER_OK);
        HOSTS_CHECK(muster_rwlock_acquire_read(rwlock, MUSTER_NOWAIT) == MUSTER_OK);
    }
    known(&rwlock.handle);
    hosts_meet();
    known(&barrier.handle);
    if (host == ASKER) {
        HOSTS_CHECK(muster_barrier_wait(barrier, NULL, MUSTER_NOWAIT) == MUSTER_ERR_BROKEN);
        HOSTS_CHECK(muster_rwlock_acquire_write(rwlock, MUSTER_NOWAIT) == MUSTER_ERR_BUSY);
        HOSTS_CHECK(muster_rwlock_acquire_read(rwlock, MUSTER_NOWAIT) == MUSTER_OK);
        HOSTS_CHECK(muster_rwlock_release(rwlock) == MUSTER_OK);
    }
    hosts_meet();
    HOSTS_CHECK(muster_barrier_state(barrier, &waiting, &is_broken) == MUSTER_OK);
    HOSTS_CHECK(is_broken && waiting == 0);
    if (host == HOME)
        HOSTS_CHECK(muster_rwlock_release(rwlock) == MUSTER_OK);
    hosts_meet();
    if (host == OTHER)
        HOSTS_CHECK(muster_rwlock_acquire_write(rwlock, MUSTER_NOWAIT) == MUSTER_OK);
    hosts_meet();
}

static void who_has_no_time_leaves_nothing(void **state)
{
    (void)state;
    hosts_run(nowait_part, 0, -1);
    hosts_run(nowait_part, 300000, -1);
}

/* ---- a signal asks the job to stop ---- */

static void *signal_soon(void *caller)
{
    nap_us(20000);
    atomic_store(&muster__segment->signal, SIGTERM);
    muster__ring(*(uint32_t *)caller);
    return NULL;
}

static void begin_interrupted(pthread_t *thread)
{
    static uint32_t caller;
    caller = muster__self_state.number;
    muster__self_state.caller->heeds_signal = true;
    HOSTS_CHECK(pthread_create(thread, NULL, signal_soon, &caller) == 0);
}

static void end_interrupted(pthread_t thread)
{
    HOSTS_CHECK(pthread_join(thread, NULL) == 0);
    atomic_store(&muster__segment->signal, 0);
    muster__self_state.caller->heeds_signal = false;
}

static int count_of(enum muster__kind kind)
{
    uint32_t at = 0;
    muster_handle handle;
    int count = 0;
    while (muster__object_next(kind, &at, &handle))
        count++;
    return count;
}

static void interrupted_part(int host)
{
    pthread_t thread;
    muster_event event = {0}, made = {0};
    if (host == HOME)
        HOSTS_CHECK(muster_event_create(&event, NULL) == MUSTER_OK);
    tell_pid();
    known(&event.handle);
    if (host == ASKER) {
        begin_interrupted(&thread); /* home answers that it is called off */
        HOSTS_CHECK(muster_event_wait(event, MUSTER_FOREVER) == MUSTER_ERR_INTERRUPTED);
        end_interrupted(thread);
        stop_home(); /* it does not answer, and will make what nobody hears of */
        begin_interrupted(&thread);
        HOSTS_CHECK(muster__make(MUSTER__EVENT, HOME, "late", &(struct muster__arg){0}, "test", &made.handle) ==
                    MUSTER_ERR_INTERRUPTED);
        end_interrupted(thread);
        let_home_go_on();
        HOSTS_CHECK(muster__make(MUSTER__EVENT, HOME, "last", &(struct muster__arg){0}, "test", &made.handle) ==
                    MUSTER_OK); /* after it */
        bool is_set;
        HOSTS_CHECK(muster_event_is_set(made, &is_set) == MUSTER_OK);
    }
    hosts_meet();
    while (host == HOME && count_of(MUSTER__EVENT) > 2) /* the watchdog bounds it */
        nap_us(1000);
    hosts_meet();
}

static void what_is_made_for_nobody_ends(void **state)
{
    (void)state;
    hosts_run(interrupted_part, 0, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_granted_too_late_is_not_within),
        cmocka_unit_test(a_place_granted_too_late_is_free),
        cmocka_unit_test(an_item_given_too_late_comes_first),
        cmocka_unit_test(a_permit_granted_too_late_is_given_back),
        cmocka_unit_test(a_party_too_late_breaks_the_barrier),
        cmocka_unit_test(who_has_no_time_leaves_nothing),
        cmocka_unit_test(what_is_made_for_nobody_ends),
    };
    alarm(100);
    return cmocka_run_group_tests_name("late", tests, NULL, NULL);
}
