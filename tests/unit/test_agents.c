/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Agents without MPI, on three hosts whose mail is late and comes in any order that mail may: rules 2 to 5 of the
 * remote layer, queues and locks between hosts, the loss of a host.
 */
#include "process_hosts.h"

#include "lock/lock.h"

enum { ITEMS = 3000, ROUNDS = 60, TURNS = 400, LARGE = 150000 };

#define LATE_NS INT64_C(400000)

static size_t size_of(int32_t number)
{
    static const size_t sizes[] = {4, 4, 3000, 20000, 4, 4, LARGE};
    return number % 97 < 7 ? sizes[number % 97] : sizeof number;
}

static void put(muster_queue queue, int32_t number)
{
    static unsigned char item[LARGE];
    memcpy(item, &number, sizeof number);
    HOSTS_CHECK(muster_queue_put(queue, item, size_of(number), MUSTER_FOREVER) == MUSTER_OK);
}

static muster_err get(muster_queue queue, int32_t *number, int64_t timeout_ms)
{
    static unsigned char item[LARGE];
    size_t size;
    muster_err err = muster_queue_get(queue, item, sizeof item, &size, timeout_ms);
    memcpy(number, item, sizeof *number);
    HOSTS_CHECK(err || size == size_of(*number));
    return err;
}

static void make_queues(int host)
{
    if (host == 0)
        for (int i = 0; i < 4; i++)
            HOSTS_CHECK(muster_queue_create(&hosts_shared->queue[i], NULL) == MUSTER_OK);
    hosts_meet();
}

/* ---- from one host to another over a third ---- */

static void order_part(int host)
{
    muster_queue queue;
    make_queues(host);
    queue = hosts_shared->queue[0];
    for (int32_t i = 0; i < ITEMS && host == 1; i++)
        put(queue, i);
    for (int32_t i = 0, number; i < ITEMS && host == 2; i++) {
        HOSTS_CHECK(get(queue, &number, MUSTER_FOREVER) == MUSTER_OK);
        HOSTS_CHECK(number == i);
    }
    hosts_meet();
}

static void items_stay_in_order(void **state)
{
    (void)state;
    hosts_run(order_part, 0, -1);
    hosts_run(order_part, LATE_NS, -1);
}

/* ---- what was put is there, whoever asks ---- */

static void seen_part(int host)
{
    make_queues(host);
    muster_queue queue = hosts_shared->queue[0];
    int32_t number, next = 0;
    int64_t items;
    for (int round = 0; round < ROUNDS; round++) {
        int32_t n = 1 + round * 5 % 30;
        for (int32_t i = 0; i < n && host == 1; i++)
            put(queue, next + i);
        hosts_meet();
        if (host == round % 3) {
            HOSTS_CHECK(muster_queue_size(queue, &items) == MUSTER_OK);
            HOSTS_CHECK(items == n);
        }
        hosts_meet();
        for (int32_t i = 0; i < n && host == round / 4 % 3; i++) {
            HOSTS_CHECK(get(queue, &number, MUSTER_NOWAIT) == MUSTER_OK);
            HOSTS_CHECK(number == next + i);
        }
        next += n;
        hosts_meet();
        HOSTS_CHECK(get(queue, &number, MUSTER_NOWAIT) == MUSTER_ERR_EMPTY);
        hosts_meet();
    }
}

static void put_is_seen_at_once(void **state)
{
    (void)state;
    hosts_run(seen_part, LATE_NS, -1);
}

/* ---- locks ---- */

static void lock_part(int host)
{
    if (host == 1)
        HOSTS_CHECK(muster_lock_create(&hosts_shared->lock[0], NULL) == MUSTER_OK);
    hosts_meet();
    for (int i = 0; i < TURNS; i++) {
        HOSTS_CHECK(muster_lock_acquire(hosts_shared->lock[0], MUSTER_FOREVER) == MUSTER_OK);
        int64_t value = atomic_load_explicit(&hosts_shared->value[0], memory_order_relaxed);
        if (i % 16 == 0)
            nanosleep(&(struct timespec){.tv_nsec = 1000}, NULL);
        atomic_store_explicit(&hosts_shared->value[0], value + 1, memory_order_relaxed);
        HOSTS_CHECK(muster_lock_release(hosts_shared->lock[0]) == MUSTER_OK);
    }
    hosts_meet();
    HOSTS_CHECK(atomic_load(&hosts_shared->value[0]) == HOSTS * TURNS);
}

static void lock_excludes(void **state)
{
    (void)state;
    hosts_run(lock_part, 0, -1);
    hosts_run(lock_part, LATE_NS, -1);
}

/*
 * A host may ask for a lock that home has given it already: by a thread's try, or for one that came to the line while
 * the first answer was on its way. Home's answer to that may come after the host has given the lock back.
 */
enum { INSIDE = 1, SECTIONS, ASKS = 100 };

static void section(void)
{
    HOSTS_CHECK(atomic_fetch_add(&hosts_shared->value[INSIDE], 1) == 0);
    atomic_fetch_add(&hosts_shared->value[SECTIONS], 1);
    nanosleep(&(struct timespec){.tv_nsec = 1000}, NULL);
    HOSTS_CHECK(atomic_fetch_sub(&hosts_shared->value[INSIDE], 1) == 1);
    HOSTS_CHECK(muster_lock_release(hosts_shared->lock[0]) == MUSTER_OK);
}

static void *locks_and_unlocks(void *timeout_ms)
{
    for (int got = 0; got < ASKS;) {
        if (!timeout_ms && hosts_self != 1) /* as one whose host got the lock just after it had looked */
            muster__do(hosts_shared->lock[0].handle, MUSTER__LOCK, MUSTER__LOCK_TRY, &(struct muster__arg){0},
                       MUSTER_NOWAIT);
        muster_err err = muster_lock_acquire(hosts_shared->lock[0], (intptr_t)timeout_ms);
        HOSTS_CHECK(err == MUSTER_OK || err == ((intptr_t)timeout_ms ? MUSTER_ERR_TIMEOUT : MUSTER_ERR_BUSY));
        if (err == MUSTER_OK)
            section();
        got += err == MUSTER_OK || (intptr_t)timeout_ms != MUSTER_FOREVER; /* these may never find it free */
    }
    return NULL;
}

static void asked_twice_part(int host)
{
    static const intptr_t timeouts[] = {MUSTER_FOREVER, MUSTER_FOREVER, 1, MUSTER_NOWAIT, MUSTER_NOWAIT};
    enum { THREADS = sizeof timeouts / sizeof *timeouts };
    pthread_t threads[THREADS];
    if (host == 1)
        HOSTS_CHECK(muster_lock_create(&hosts_shared->lock[0], NULL) == MUSTER_OK);
    hosts_meet();
    for (int i = 0; i < THREADS; i++)
        HOSTS_CHECK(pthread_create(&threads[i], NULL, locks_and_unlocks, (void *)timeouts[i]) == 0);
    for (int i = 0; i < THREADS; i++)
        HOSTS_CHECK(pthread_join(threads[i], NULL) == 0);
    hosts_meet();
    HOSTS_CHECK(atomic_load(&hosts_shared->value[SECTIONS]) >= (int64_t)HOSTS * 2 * ASKS);
}

static void a_host_asks_twice(void **state)
{
    (void)state;
    hosts_run(asked_twice_part, 0, -1);
    hosts_run(asked_twice_part, LATE_NS, -1);
}

/* Who waited at home has noted that the host before is asked, just after that gave the lock back: it is nothing to the
 * host that has it now, which is asked by the next one who waits. */
static void noted_late_part(int host)
{
    muster_lock lock;
    if (host == 0) {
        HOSTS_CHECK(muster_lock_create(&hosts_shared->lock[0], NULL) == MUSTER_OK);
        struct muster__object *object = muster__object_find(hosts_shared->lock[0].handle, MUSTER__LOCK);
        atomic_store(&muster__lock_of(object)->called, 1);
    }
    hosts_meet();
    lock = hosts_shared->lock[0];
    if (host == 1) {
        HOSTS_CHECK(muster_lock_acquire(lock, MUSTER_FOREVER) == MUSTER_OK);
        HOSTS_CHECK(muster_lock_release(lock) == MUSTER_OK); /* it stays there, free */
    }
    hosts_meet();
    if (host == 0) {
        HOSTS_CHECK(muster_lock_acquire(lock, MUSTER_FOREVER) == MUSTER_OK);
        HOSTS_CHECK(muster_lock_release(lock) == MUSTER_OK);
    }
    hosts_meet();
}

static void a_host_is_asked_anew(void **state)
{
    (void)state;
    hosts_run(noted_late_part, 0, -1);
}

/* ---- a host is lost ---- */

enum { LOST = 2 };
static bool talks_nonsense; /* the lost one does; else it is silent */

static void lost_part(int host)
{
    int32_t number;
    make_queues(host);
    if (host == 0)
        HOSTS_CHECK(muster_lock_create(&hosts_shared->lock[0], NULL) == MUSTER_OK);
    if (host == LOST)
        HOSTS_CHECK(muster_queue_create(&hosts_shared->queue[3], NULL) == MUSTER_OK);
    hosts_meet();
    if (host == LOST) {
        HOSTS_CHECK(muster_lock_acquire(hosts_shared->lock[0], MUSTER_FOREVER) == MUSTER_OK);
        put(hosts_shared->queue[0], 11);
    }
    hosts_meet();
    if (host == LOST) {
        atomic_store(&hosts_shared->gone[LOST], 1);
        if (talks_nonsense)
            muster__mail_send(0, &(uint64_t[20]){UINT64_C(96) | UINT64_C(1) << 40}, 160);
        else
            atomic_store(&hosts_shared->cut[LOST], 1);
        for (;;)
            pause(); /* its agent ends it: rank 0's host does not answer */
    }
    HOSTS_CHECK(get(hosts_shared->queue[3], &number, MUSTER_FOREVER) == MUSTER_ERR_PEER);
    HOSTS_CHECK(strstr(muster_err_detail(), "host2"));
    if (host == 1) {
        HOSTS_CHECK(muster_lock_acquire(hosts_shared->lock[0], MUSTER_FOREVER) == MUSTER_ERR_OWNER_DEAD);
        HOSTS_CHECK(muster_lock_release(hosts_shared->lock[0]) == MUSTER_OK);
        HOSTS_CHECK(get(hosts_shared->queue[0], &number, MUSTER_FOREVER) == MUSTER_OK);
        HOSTS_CHECK(number == 11);
    }
    hosts_meet();
}

static void others_go_on_without_a_host(void **state)
{
    (void)state;
    setenv("MUSTER_PEER_LIMIT_MS", "700", 1);
    hosts_run(lost_part, 0, LOST);
    hosts_run(lost_part, LATE_NS, LOST);
    unsetenv("MUSTER_PEER_LIMIT_MS");
}

/* A letter that is none proves as much as silence. */
static void others_go_on_without_one_that_talks_nonsense(void **state)
{
    (void)state;
    setenv("MUSTER_PEER_LIMIT_MS", "700", 1);
    talks_nonsense = true;
    hosts_run(lost_part, 0, LOST);
    talks_nonsense = false;
    unsetenv("MUSTER_PEER_LIMIT_MS");
}

/* ---- what is parked ---- */

/* A kind of object of its own: a count, which one may raise, and wait for. */
enum { RAISE, REACH, HOLD };
/* of hosts_shared's values: how many waits for it were undone; a holder whose sweep finds a latch busy so often */
enum { UNDONE, DIES, BUSY };

static _Atomic int64_t *count_of(const struct muster__step *step)
{
    return (_Atomic int64_t *)(void *)step->object->body;
}

static muster_err raise_count(struct muster__step *step)
{
    step->arg->out[0] = atomic_fetch_add(count_of(step), step->arg->in[0]) + step->arg->in[0];
    muster__event_signal(&step->object->event[0], -1);
    return MUSTER_OK;
}

static muster_err reach_count(struct muster__step *step)
{
    step->arg->out[0] = atomic_load(count_of(step));
    step->event = &step->object->event[0];
    return step->arg->out[0] >= step->arg->in[0] ? MUSTER_OK : (muster_err)MUSTER__WAIT;
}

static void undo_count(struct muster__step *step, bool died)
{
    (void)step;
    (void)died;
    atomic_fetch_add(&hosts_shared->value[UNDONE], 1);
}

static muster_err hold_count(struct muster__step *step)
{
    step->arg->out[0] = muster__holder(step);
    return MUSTER_OK;
}

static void sweep_count(struct muster__object *object, uint32_t generation, uint32_t dead, uint32_t self)
{
    (void)object, (void)generation, (void)self;
    if (dead == (uint32_t)atomic_load(&hosts_shared->value[DIES]) &&
        atomic_fetch_sub(&hosts_shared->value[BUSY], 1) > 0)
        muster__self_state.busy = true;
}

static void register_count(void)
{
    static const struct muster__op ops[] = {
        [RAISE] = {.name = "raise", .step = raise_count},
        [REACH] = {.name = "reach",
                   .step = reach_count,
                   .watch = reach_count,
                   .undo = undo_count,
                   .late = MUSTER_ERR_TIMEOUT,
                   .late_now = MUSTER_ERR_BUSY},
        [HOLD] = {.name = "hold", .step = hold_count},
    };
    static const struct muster__class class = {.name = "count", .ops = ops, .op_count = 3, .sweep = sweep_count};
    muster__class_register(MUSTER__TASK, &class);
}

static muster_err count_do(uint32_t op, int64_t n, int64_t *out, int64_t timeout_ms)
{
    struct muster__arg arg = {.in = {n}};
    muster_err err = muster__do(hosts_shared->queue[0].handle, MUSTER__TASK, op, &arg, timeout_ms);
    if (!err && out)
        *out = arg.out[0];
    return err;
}

static void make_count(int host)
{
    struct muster__arg arg = {0};
    register_count();
    if (host == 0)
        HOSTS_CHECK(muster__make(MUSTER__TASK, 0, "count", &arg, "test", &hosts_shared->queue[0].handle) == MUSTER_OK);
    hosts_meet();
}

/* At home. */
static bool somebody_waits(void)
{
    struct muster__object *object = muster__object_find(hosts_shared->queue[0].handle, MUSTER__TASK);
    return atomic_load(&object->event[0].head);
}

static void await_value(int which, int64_t count)
{
    while (atomic_load(&hosts_shared->value[which]) < count)
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    HOSTS_CHECK(atomic_load(&hosts_shared->value[which]) == count);
}

static void park_part(int host)
{
    int64_t now;
    make_count(host);
    for (int i = 0; i < TURNS && host == 0; i++) {
        HOSTS_CHECK(count_do(RAISE, 1, NULL, MUSTER_FOREVER) == MUSTER_OK);
        nanosleep(&(struct timespec){.tv_nsec = i % 3 * 20000}, NULL);
    }
    for (int64_t wanted = 1; wanted <= TURNS && host > 0; wanted++) {
        HOSTS_CHECK(count_do(REACH, wanted, &now, MUSTER_FOREVER) == MUSTER_OK);
        HOSTS_CHECK(now >= wanted);
    }
    hosts_meet();
    if (host > 0) {
        HOSTS_CHECK(count_do(REACH, TURNS + 1, NULL, MUSTER_NOWAIT) == MUSTER_ERR_BUSY);
        HOSTS_CHECK(count_do(REACH, TURNS + 1, NULL, 20) == MUSTER_ERR_TIMEOUT);
    }
    hosts_meet();
    HOSTS_CHECK(host > 0 || !somebody_waits());
    hosts_meet();
    if (host > 0) { /* watching takes nothing, here or there */
        struct muster__arg arg = {.in = {TURNS}};
        HOSTS_CHECK(muster__watch(hosts_shared->queue[0].handle, MUSTER__TASK, REACH, &arg, MUSTER_FOREVER) ==
                    MUSTER_OK);
        arg.in[0]++;
        HOSTS_CHECK(muster__watch(hosts_shared->queue[0].handle, MUSTER__TASK, REACH, &arg, 20) == MUSTER_ERR_TIMEOUT);
    }
    hosts_meet();
    HOSTS_CHECK(host > 0 || !somebody_waits());
    hosts_meet();
    if (host == 1)
        HOSTS_CHECK(muster__destroy(hosts_shared->queue[0].handle, MUSTER__TASK, "test") == MUSTER_OK);
    if (host == 2) {
        muster_err err = count_do(REACH, TURNS + 1, NULL, MUSTER_FOREVER);
        HOSTS_CHECK(err == MUSTER_ERR_CLOSED || err == MUSTER_ERR_STALE);
    }
    hosts_meet();
    HOSTS_CHECK(count_do(RAISE, 1, NULL, MUSTER_FOREVER) == MUSTER_ERR_STALE);
}

static void parked_calls_are_stepped_when_called(void **state)
{
    (void)state;
    hosts_run(park_part, 0, -1);
    hosts_run(park_part, LATE_NS, -1);
}

/* 61: many of another host's, with a thread each there and none here, all are served, in their order. */
enum { MANY = 300 };
static _Atomic int32_t asked, served, wrong;

static void *reach_one(void *number)
{
    int64_t wanted = (int64_t)(intptr_t)number, now;
    atomic_fetch_add(&asked, 1);
    if (count_do(REACH, wanted, &now, MUSTER_FOREVER) != MUSTER_OK || now < wanted)
        atomic_fetch_add(&wrong, 1);
    atomic_fetch_add(&served, 1);
    return NULL;
}

static void many_part(int host)
{
    pthread_t threads[MANY];
    make_count(host);
    for (intptr_t i = 0; i < MANY && host == 1; i++)
        HOSTS_CHECK(pthread_create(&threads[i], NULL, reach_one, (void *)(i / 2 + 1)) == 0);
    while (host == 1 && atomic_load(&asked) < MANY)
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    hosts_meet();
    for (int i = 0; i < MANY && host == 0; i++)
        HOSTS_CHECK(count_do(RAISE, 1, NULL, MUSTER_FOREVER) == MUSTER_OK);
    for (int i = 0; i < MANY && host == 1; i++)
        HOSTS_CHECK(pthread_join(threads[i], NULL) == 0);
    HOSTS_CHECK(atomic_load(&wrong) == 0 && atomic_load(&served) == (host == 1 ? MANY : 0));
    if (host == 0) /* numbers count from 1: this thread's and the agent's */
        HOSTS_CHECK(muster__callers_end() == 3);
    hosts_meet();
}

static void remote_waiters_need_no_caller_at_home(void **state)
{
    (void)state;
    hosts_run(many_part, 0, -1);
}

static void stop_process(pid_t pid)
{
    char path[40], state = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    HOSTS_CHECK(kill(pid, SIGSTOP) == 0);
    while (state != 'T') {
        FILE *file = fopen(path, "r");
        HOSTS_CHECK(file && fscanf(file, "%*d (%*[^)]) %c", &state) == 1);
        fclose(file);
    }
}

/* 60: a deadline holds though home is stopped; what it grants too late is undone. */
static void stopped_part(int host)
{
    make_count(host);
    hosts_shared->value[7] = host == 0 ? getpid() : atomic_load(&hosts_shared->value[7]);
    hosts_meet();
    if (host == 1) {
        pid_t home = (pid_t)atomic_load(&hosts_shared->value[7]);
        HOSTS_CHECK(count_do(REACH, 1, NULL, 5) == MUSTER_ERR_TIMEOUT);
        stop_process(home);
        int64_t began = muster__now_ns();
        HOSTS_CHECK(count_do(REACH, 0, NULL, 50) == MUSTER_ERR_TIMEOUT); /* home will grant it */
        int64_t took = muster__now_ns() - began;
        HOSTS_CHECK(took >= 50000000 && took < 1000000000);
        HOSTS_CHECK(kill(home, SIGCONT) == 0);
        await_value(UNDONE, 1);
    }
    hosts_meet();
}

static void a_deadline_holds_whatever_home_does(void **state)
{
    (void)state;
    hosts_run(stopped_part, 0, -1);
}

static pid_t fork_caller(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        muster__caller_forget();
        HOSTS_CHECK(muster__caller_enter(1, false) == MUSTER_OK);
    }
    return pid;
}

/* Who asked for an object died before there was an answer: it ends; what it had asked for is freed. */
static void made_for_nobody_part(int host)
{
    muster_lock lock;
    int status;
    hosts_meet();
    hosts_shared->value[7] = host == 0 ? getpid() : atomic_load(&hosts_shared->value[7]);
    hosts_meet();
    if (host == 1) {
        pid_t home = (pid_t)atomic_load(&hosts_shared->value[7]);
        uint64_t used = muster__heap_used();
        stop_process(home);
        pid_t asker = fork_caller();
        if (asker == 0)
            _exit(muster_lock_create(&lock, &(muster_lock_options){.on = muster_on_rank(0)}));
        while (muster__heap_used() == used || atomic_load(&muster__segment->awake) > 1)
            nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
        kill(asker, SIGKILL);
        HOSTS_CHECK(waitpid(asker, &status, 0) == asker && WIFSIGNALED(status));
        muster__sweep_member(1, muster__self_number());
        HOSTS_CHECK(kill(home, SIGCONT) == 0);
        while (muster__heap_used() > used)
            nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
        HOSTS_CHECK(muster_lock_create(&hosts_shared->lock[0], &(muster_lock_options){.on = muster_on_rank(0)}) ==
                    MUSTER_OK); /* home has heard all that comes before */
    }
    hosts_meet();
    if (host == 0) {
        uint32_t at = 0, objects = 0;
        for (muster_handle handle; muster__object_next(0, &at, &handle); objects++)
            ;
        HOSTS_CHECK(objects == 1);
    }
    hosts_meet();
}

static void what_is_made_for_nobody_ends(void **state)
{
    (void)state;
    hosts_run(made_for_nobody_part, 0, -1);
}

/* 59: a dead holder's number is another's only when what it held was swept, which a busy latch may put off. */
static void numbers_part(int host)
{
    int64_t first = 0, second = 0;
    make_count(host);
    if (host == 1) {
        int status;
        atomic_store(&hosts_shared->value[BUSY], INT32_MAX);
        pid_t holder = fork_caller();
        if (holder == 0) {
            int64_t number = 0;
            HOSTS_CHECK(count_do(HOLD, 0, &number, MUSTER_FOREVER) == MUSTER_OK);
            atomic_store(&hosts_shared->value[DIES], number);
            pause();
        }
        while (!(first = atomic_load(&hosts_shared->value[DIES])))
            nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
        kill(holder, SIGKILL);
        HOSTS_CHECK(waitpid(holder, &status, 0) == holder);
        muster__sweep_member(1, muster__self_number());
        while (atomic_load(&hosts_shared->value[BUSY]) == INT32_MAX)
            nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
        HOSTS_CHECK(count_do(HOLD, 0, &second, MUSTER_FOREVER) == MUSTER_OK);
        HOSTS_CHECK(second && second != first);
        atomic_store(&hosts_shared->value[BUSY], 0);
    }
    hosts_meet();
}

static void a_holders_number_is_swept_before_it_is_anothers(void **state)
{
    (void)state;
    hosts_run(numbers_part, 0, -1);
}

static void *reach_never(void *unused)
{
    (void)unused;
    count_do(REACH, 1000, NULL, MUSTER_FOREVER);
    return NULL;
}

static void park_lost_part(int host)
{
    pthread_t thread;
    make_count(host);
    HOSTS_CHECK(count_do(RAISE, 1, NULL, MUSTER_FOREVER) == MUSTER_OK); /* all have heard of home */
    if (host == LOST) {
        HOSTS_CHECK(pthread_create(&thread, NULL, reach_never, NULL) == 0);
        for (;;)
            pause();
    }
    while (host == 0 && !somebody_waits())
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    atomic_store(&hosts_shared->gone[LOST], 1);
    hosts_meet();
    atomic_store(&hosts_shared->cut[LOST], 1);
    while (host == 0 && somebody_waits())
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    hosts_meet();
}

static void parked_calls_end_with_their_host(void **state)
{
    (void)state;
    setenv("MUSTER_PEER_LIMIT_MS", "700", 1);
    hosts_run(park_lost_part, 0, LOST);
    unsetenv("MUSTER_PEER_LIMIT_MS");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_stay_in_order),
        cmocka_unit_test(put_is_seen_at_once),
        cmocka_unit_test(lock_excludes),
        cmocka_unit_test(a_host_asks_twice),
        cmocka_unit_test(a_host_is_asked_anew),
        cmocka_unit_test(others_go_on_without_a_host),
        cmocka_unit_test(others_go_on_without_one_that_talks_nonsense),
        cmocka_unit_test(parked_calls_are_stepped_when_called),
        cmocka_unit_test(remote_waiters_need_no_caller_at_home),
        cmocka_unit_test(a_deadline_holds_whatever_home_does),
        cmocka_unit_test(what_is_made_for_nobody_ends),
        cmocka_unit_test(a_holders_number_is_swept_before_it_is_anothers),
        cmocka_unit_test(parked_calls_end_with_their_host),
    };
    alarm(100);
    return cmocka_run_group_tests_name("agents", tests, NULL, NULL);
}
