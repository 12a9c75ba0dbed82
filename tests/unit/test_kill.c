/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random kills: workers hammer heap, locks and queues; SIGKILL ends them at random instants, and the parent does what a
 * nursery does. Nothing may hang, and nothing but the item in hand may be lost. MUSTER_KILLS sets how many (1500),
 * MUSTER_SEED repeats a run.
 */
#include "object_case.h"

enum {
    PRODUCERS = 2,
    CONSUMERS = 2,
    HAMMERS = 2,
    WORKERS = PRODUCERS + CONSUMERS + HAMMERS,
    RUN_ITEMS = 8192,   /* items that carry one run number */
    RUNS_MAX = 1 << 17, /* a producer begins a new run when the last is full */
    ITEM_MAX = 6000,
    AT_ONCE = 13,    /* items of some runs are put together, and some are got so */
    BACKLOG = 4000,  /* of the unbounded queue: it must not fill the segment */
    WAIT_MS = 20000, /* nothing here waits that long unless a wake was lost for good */
};

/* What the workers tell, outside of the segment. */
static struct shared {
    _Atomic int stop, failures;
    _Atomic uint32_t runs;
    _Atomic uint64_t got;
    int64_t a, b; /* guarded by the lock: equal, but for a dead holder */
    _Atomic int64_t owner_dead, sections;
    _Atomic uint32_t acked[RUNS_MAX];              /* items of a run whose put returned OK */
    _Atomic uint8_t seen[RUNS_MAX][RUN_ITEMS / 8]; /* items of a run that were got */
} * shared;

static muster_handle lock_handle, queue_handles[2]; /* unbounded, bounded */

struct item {
    uint32_t run, number;
    unsigned char fill[ITEM_MAX];
};

#define EXPECT(condition) expect((condition), #condition, __LINE__)

static void expect(bool holds, const char *text, int line)
{
    if (holds)
        return;
    fprintf(stderr, "test_kill.c:%d: not so: %s\n", line, text);
    atomic_fetch_add(&shared->failures, 1);
    _exit(97);
}

static struct muster__queue *queue_at(int i)
{
    return muster__queue_of(muster__object_slot(queue_handles[i].slot));
}

/* ---- workers ---- */

static bool is_of_many(uint32_t run)
{
    return run % 3 == 0;
}

/* A quarter of the items is too large to travel in the chunk. */
static size_t item_size(uint32_t run, uint32_t number)
{
    if (is_of_many(run))
        return offsetof(struct item, fill);
    uint32_t mixed = (run * 31 + number) * 2654435761u;
    size_t fill = mixed >> 30 ? (mixed >> 8) % 40 : 2100 + (mixed >> 8) % (ITEM_MAX - 2100);
    return offsetof(struct item, fill) + fill;
}

static void put_one(muster_handle queue, struct item *item)
{
    EXPECT(case_queue_put(queue, item, item_size(item->run, item->number), WAIT_MS) == MUSTER_OK);
    item->number++;
}

static void put_many(muster_handle queue, struct item *item)
{
    struct {
        uint32_t run, number;
    } items[AT_ONCE];
    int64_t n = RUN_ITEMS - item->number < AT_ONCE ? RUN_ITEMS - item->number : AT_ONCE, put;
    for (int64_t i = 0; i < n; i++) {
        items[i].run = item->run;
        items[i].number = item->number++;
    }
    EXPECT(case_queue_put_many(queue, items, n, sizeof *items, &put, WAIT_MS) == MUSTER_OK && put == n);
}

static int produce(void *arg)
{
    (void)arg;
    static struct item item;
    while (!atomic_load(&shared->stop)) {
        item.run = atomic_fetch_add(&shared->runs, 1);
        EXPECT(item.run < RUNS_MAX);
        int which = item.run % 2;
        memset(item.fill, (int)(item.run & 0xff), sizeof item.fill);
        for (item.number = 0; item.number < RUN_ITEMS && !atomic_load(&shared->stop);) {
            (is_of_many(item.run) ? put_many : put_one)(queue_handles[which], &item);
            while (which == 0 && muster__queue_puts(queue_at(0)) - muster__queue_gets(queue_at(0)) > BACKLOG)
                usleep(100);
            atomic_store(&shared->acked[item.run], item.number);
        }
    }
    return 0;
}

static void note(const struct item *item, size_t size, int32_t *last)
{
    EXPECT(item->run < RUNS_MAX && item->number < RUN_ITEMS);
    EXPECT(size == item_size(item->run, item->number));
    if (size > offsetof(struct item, fill))
        EXPECT(item->fill[size - offsetof(struct item, fill) - 1] == (item->run & 0xff));
    EXPECT(last[item->run] < (int32_t)item->number + 1); /* in the producer's order */
    last[item->run] = (int32_t)item->number + 1;
    uint8_t bit = (uint8_t)(1 << item->number % 8);
    uint8_t before = atomic_fetch_or(&shared->seen[item->run][item->number / 8], bit);
    EXPECT(!(before & bit)); /* not doubled */
    atomic_fetch_add(&shared->got, 1);
}

static muster_err get_one(muster_handle queue, int64_t timeout_ms, int32_t *last)
{
    static struct item item;
    size_t size;
    muster_err err = case_queue_get(queue, &item, sizeof item, &size, timeout_ms);
    if (err == MUSTER_OK)
        note(&item, size, last);
    return err;
}

static muster_err get_many(muster_handle queue, int64_t timeout_ms, int32_t *last)
{
    static struct item item;
    static char room[AT_ONCE * sizeof item];
    size_t sizes[AT_ONCE];
    struct muster__queue_many many = {.at = room, .left = sizeof room, .sizes = sizes, .most = AT_ONCE};
    muster_err err = case_queue_get_many(queue, &many, timeout_ms);
    const char *at = room;
    for (int64_t i = 0; err == MUSTER_OK && i < many.count; at += sizes[i++]) {
        memcpy(&item, at, sizes[i]);
        note(&item, sizes[i], last);
    }
    return err;
}

/* Takes from both queues until they are closed and drained, or there is nothing for now and it was told to stop. */
static int consume(void *arg)
{
    (void)arg;
    static int32_t last[RUNS_MAX];
    bool open[2] = {true, true};
    for (unsigned turn = 0; open[0] || open[1]; turn++) {
        int which = open[turn / 64 % 2] ? (int)(turn / 64 % 2) : (int)!(turn / 64 % 2);
        muster_err err = (turn / 16 % 2 ? get_many : get_one)(queue_handles[which], turn % 8 ? MUSTER_NOWAIT : 2, last);
        if (err == MUSTER_ERR_CLOSED)
            open[which] = false;
        else if (err != MUSTER_ERR_EMPTY)
            EXPECT(err == MUSTER_OK);
    }
    return 0;
}

static void guarded_step(void)
{
    muster_err err = case_lock_acquire(lock_handle, WAIT_MS);
    EXPECT(err == MUSTER_OK || err == MUSTER_ERR_OWNER_DEAD);
    volatile int64_t *a = &shared->a, *b = &shared->b;
    if (err == MUSTER_ERR_OWNER_DEAD) {
        atomic_fetch_add(&shared->owner_dead, 1);
        *a = *b;
    }
    EXPECT(*a == *b);
    *a = *a + 1;
    for (int64_t i = *b % 64; i; i--)
        muster__cpu_relax();
    *b = *b + 1;
    atomic_fetch_add_explicit(&shared->sections, 1, memory_order_relaxed);
    EXPECT(case_lock_release(lock_handle) == MUSTER_OK);
}

static void heap_step(uint64_t *seed, uint32_t self, muster__ref *held, int n)
{
    int i = (int)(case_random(seed) % (uint32_t)n);
    if (held[i]) {
        EXPECT(*(muster__ref *)muster__heap_at(held[i]) == held[i]);
        EXPECT(muster__heap_free(held[i], self));
        held[i] = 0;
        return;
    }
    held[i] = muster__heap_alloc((size_t)8 << case_random(seed) % 14, self);
    EXPECT(held[i] != 0);
    *(muster__ref *)muster__heap_at(held[i]) = held[i];
}

/* Objects of its own, so that creating and destroying are interrupted, too. */
static void object_step(void)
{
    static unsigned char bytes[5000];
    muster_handle own;
    EXPECT(case_queue_make("own", 0, &own) == MUSTER_OK);
    for (int i = 0; i < 5; i++)
        EXPECT(case_queue_put(own, bytes, i % 2 ? 5000 : 1900, 0) == MUSTER_OK);
    size_t size;
    EXPECT(case_queue_get(own, bytes, sizeof bytes, &size, 0) == MUSTER_OK);
    EXPECT(case_end(own, MUSTER__QUEUE));
    EXPECT(case_lock_make("own", &own) == MUSTER_OK);
    EXPECT(case_end(own, MUSTER__LOCK));
}

static int hammer(void *arg)
{
    (void)arg;
    uint32_t self = muster__self_number();
    uint64_t seed = (uint64_t)getpid();
    muster__ref held[50] = {0};
    while (!atomic_load(&shared->stop)) {
        for (int i = 0; i < 40; i++)
            guarded_step();
        for (int i = 0; i < 20; i++)
            heap_step(&seed, self, held, 50);
        object_step();
    }
    for (int i = 0; i < 50; i++)
        muster__heap_free(held[i], self);
    return 0;
}

/* ---- the parent ---- */

static int (*role_of(uint32_t member))(void *)
{
    if (member <= PRODUCERS)
        return produce;
    return member <= PRODUCERS + CONSUMERS ? consume : hammer;
}

static uint32_t setting(const char *name, uint32_t otherwise)
{
    const char *text = getenv(name);
    return text ? (uint32_t)strtoul(text, NULL, 0) : otherwise;
}

/* A sweeper that waits for a heap latch asks this about its holder. */
static bool is_dead(uint32_t member)
{
    siginfo_t info = {0};
    return member && case_pids[member] &&
           waitid(P_PID, (id_t)case_pids[member], &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
}

/* Kills one or two at once; returns how many of them were consumers. */
static uint32_t kill_some(uint64_t *seed)
{
    uint32_t n = 1 + case_random(seed) % 2, consumers = 0;
    uint32_t first = 1 + case_random(seed) % WORKERS;
    uint32_t victims[2] = {first, 1 + (first + case_random(seed) % (WORKERS - 1)) % WORKERS};
    if (victims[1] == first)
        n = 1;
    usleep(case_random(seed) % 2000);
    for (uint32_t i = 0; i < n; i++)
        kill(case_pids[victims[i]], SIGKILL);
    for (uint32_t i = 0; i < n; i++) {
        int code = case_join(victims[i]);
        if (code != 128 + SIGKILL)
            fail_msg("member %u ended by itself, code %d", victims[i], code);
        muster__sweep_member(victims[i], muster__self_number());
        consumers += victims[i] > PRODUCERS && victims[i] <= PRODUCERS + CONSUMERS;
    }
    for (uint32_t i = 0; i < n; i++)
        case_fork(victims[i], role_of(victims[i]), NULL);
    return consumers;
}

/* Every put that returned was got, but for what killed consumers had in hand. */
static uint64_t count_lost(void)
{
    uint64_t lost = 0;
    uint32_t runs = atomic_load(&shared->runs);
    for (uint32_t run = 0; run < runs; run++)
        for (uint32_t number = 0; number < RUN_ITEMS; number++) {
            bool seen = atomic_load(&shared->seen[run][number / 8]) >> number % 8 & 1;
            uint32_t acked = atomic_load(&shared->acked[run]);
            assert_false(seen && number >= acked + AT_ONCE); /* so many may be in hand */
            lost += number < acked && !seen;
        }
    return lost;
}

static void end_workers(void)
{
    atomic_store(&shared->stop, 1);
    case_join_all(1, PRODUCERS);
    for (int i = 0; i < 2; i++)
        assert_int_equal(case_queue_ask(queue_handles[i], MUSTER__QUEUE_CLOSE, NULL, MUSTER_FOREVER), MUSTER_OK);
    case_join_all(1 + PRODUCERS, CONSUMERS + HAMMERS);
}

static void survives_random_kills(void **state)
{
    (void)state;
    uint32_t kills = setting("MUSTER_KILLS", 1500), seed_number = setting("MUSTER_SEED", (uint32_t)getpid());
    uint64_t seed = seed_number, consumers_killed = 0;
    alarm(60 + kills / 20);
    muster__member_dead = is_dead;
    shared = case_map(sizeof *shared);
    assert_int_equal(case_lock_make("kill", &lock_handle), MUSTER_OK);
    assert_int_equal(case_queue_make("unbounded", 0, &queue_handles[0]), MUSTER_OK);
    assert_int_equal(case_queue_make("bounded", 16, &queue_handles[1]), MUSTER_OK);

    for (uint32_t member = 1; member <= WORKERS; member++)
        case_fork(member, role_of(member), NULL);
    for (uint32_t i = 0; i < kills; i++)
        consumers_killed += kill_some(&seed);
    end_workers();

    uint64_t lost = count_lost();
    printf("seed %u: %u rounds of kills, %llu of consumers; %llu items got, %llu lost; %lld sections, %lld told of a "
           "dead owner\n",
           seed_number, kills, (unsigned long long)consumers_killed, (unsigned long long)atomic_load(&shared->got),
           (unsigned long long)lost, (long long)atomic_load(&shared->sections),
           (long long)atomic_load(&shared->owner_dead));
    assert_int_equal(atomic_load(&shared->failures), 0);
    assert_true(lost <= consumers_killed * AT_ONCE);
    assert_true(atomic_load(&shared->got) > 0 && atomic_load(&shared->sections) > 0);
    muster__end_all_objects();
    assert_int_equal(muster__heap_used(), 0);
    muster__member_dead = NULL;
    munmap(shared, sizeof *shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(survives_random_kills, case_setup, case_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
