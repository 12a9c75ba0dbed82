/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queues between hosts where puts and gets go on by leases, conformance 30, 32 to 38: what a put has answered is seen
 * by all at once, in order, wherever the items are. Rank 0 is on the first host, the last rank on the last one.
 */
#include "support/mpi_case.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <muster/muster.h>

enum { MANY = 500, LARGEST = 200000 };

/* What a child is told to do, and what it tells back. */
enum { PUT, GET, TRY_GET, SIZE, CLOSE, TASK_DONE, END };

struct order {
    int what;
    int32_t from, n; /* items numbered from, from + 1 ... */
    int mixed;       /* their sizes */
};
struct told {
    muster_err err;
    int64_t number; /* the first item's, or the size */
    int wrong;      /* not in order, or not whole */
};

struct child {
    muster_queue queue, orders, told;
    muster_process process;
};

static size_t size_of(int32_t number, int mixed)
{
    static const size_t sizes[] = {8, 8, 3000, 8, 20000, 8, 8, LARGEST, 100, 2048, 2049};
    return mixed ? sizes[number % 11] : sizeof number;
}

static muster_err put_one(muster_queue queue, int32_t number, int mixed)
{
    static unsigned char item[LARGEST];
    size_t size = size_of(number, mixed);
    memcpy(item, &number, sizeof number);
    item[size - 1] = (unsigned char)(size > sizeof number ? number : item[size - 1]);
    return muster_queue_put(queue, item, size, MUSTER_FOREVER);
}

static muster_err get_one(muster_queue queue, int32_t *number, int mixed, int64_t timeout_ms)
{
    static unsigned char item[LARGEST];
    size_t size;
    muster_err err = muster_queue_get(queue, item, sizeof item, &size, timeout_ms);
    if (err)
        return err;
    memcpy(number, item, sizeof *number);
    bool whole =
        size == size_of(*number, mixed) && (size == sizeof *number || item[size - 1] == (unsigned char)*number);
    return whole ? MUSTER_OK : MUSTER_ERR_TOOBIG;
}

static struct told put_all(muster_queue queue, const struct order *order)
{
    struct told told = {.err = MUSTER_OK};
    for (int32_t i = 0; i < order->n && !told.err; i++)
        told.err = put_one(queue, order->from + i, order->mixed);
    return told;
}

static struct told get_all(muster_queue queue, const struct order *order, int64_t timeout_ms)
{
    struct told told = {.err = MUSTER_OK};
    for (int32_t i = 0, number; i < order->n && !told.err; i++) {
        told.err = get_one(queue, &number, order->mixed, timeout_ms);
        told.wrong += !told.err && number != order->from + i;
        told.number = i ? told.number : number;
    }
    return told;
}

static int obey(const void *arg, size_t size)
{
    (void)size;
    const struct child *me = arg;
    struct order order = {.what = END};
    for (;;) {
        struct told told = {.err = muster_queue_get(me->orders, &order, sizeof order, NULL, MUSTER_FOREVER)};
        if (told.err || order.what == END)
            return told.err != 0;
        if (order.what == PUT)
            told = put_all(me->queue, &order);
        else if (order.what == GET || order.what == TRY_GET)
            told = get_all(me->queue, &order, order.what == GET ? MUSTER_FOREVER : MUSTER_NOWAIT);
        else if (order.what == SIZE)
            told.err = muster_queue_size(me->queue, &told.number);
        else if (order.what == CLOSE)
            told.err = muster_queue_close(me->queue);
        else
            for (int32_t i = 0; i < order.n && !told.err; i++)
                told.err = muster_queue_task_done(me->queue);
        if (muster_queue_put(me->told, &told, sizeof told, MUSTER_FOREVER))
            return 1;
    }
}

static muster_queue queue_make(void)
{
    muster_queue queue;
    assert_int_equal(muster_queue_create(&queue, NULL), MUSTER_OK);
    return queue;
}

static struct child child_make(int rank, muster_queue queue)
{
    struct child child = {.queue = queue, .orders = queue_make(), .told = queue_make()};
    muster_process_options options = {.on = muster_on_rank(rank)};
    assert_int_equal(muster_process_create(&child.process, obey, &child, sizeof child, &options), MUSTER_OK);
    assert_int_equal(muster_process_start(child.process), MUSTER_OK);
    return child;
}

static void tell(const struct child *child, struct order order)
{
    assert_int_equal(muster_queue_put(child->orders, &order, sizeof order, MUSTER_FOREVER), MUSTER_OK);
}

static struct told hear(const struct child *child)
{
    struct told told = {.err = MUSTER_ERR_BROKEN};
    assert_int_equal(muster_queue_get(child->told, &told, sizeof told, NULL, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(told.wrong, 0);
    return told;
}

static struct told ask(const struct child *child, struct order order)
{
    tell(child, order);
    return hear(child);
}

static void child_end(const struct child *child)
{
    muster_process_status status;
    tell(child, (struct order){.what = END});
    assert_int_equal(muster_process_join(child->process, &status, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(status.signal, 0);
    assert_int_equal(status.exit_code, 0);
    assert_int_equal(muster_process_close(child->process), MUSTER_OK);
    assert_int_equal(muster_queue_destroy(child->orders), MUSTER_OK);
    assert_int_equal(muster_queue_destroy(child->told), MUSTER_OK);
}

static int last_rank(void)
{
    return muster_ranks() - 1;
}

/* Whether the far host has a lease now is its own business: after MANY it had one. */
static void warm_up(const struct child *far, int what, int32_t *next)
{
    struct order order = {.what = what == PUT ? GET : PUT, .from = *next, .n = MANY};
    tell(far, (struct order){.what = what, .from = *next, .n = MANY});
    struct told here = what == PUT ? get_all(far->queue, &order, MUSTER_FOREVER) : put_all(far->queue, &order);
    assert_int_equal(here.err, MUSTER_OK);
    assert_int_equal(here.wrong, 0);
    assert_int_equal(hear(far).err, MUSTER_OK);
    *next += MANY;
}

/* ---- cases ---- */

static void put_is_seen_at_once(void **state)
{
    (void)state;
    struct child far = child_make(last_rank(), queue_make());
    int32_t next = 0, number;
    int64_t items;
    for (int round = 0; round < 30; round++) {
        if (round % 5 == 0)
            warm_up(&far, PUT, &next);
        int32_t n = 1 + round * 7 % 40;
        assert_int_equal(ask(&far, (struct order){PUT, next, n, 0}).err, MUSTER_OK);
        assert_int_equal(muster_queue_size(far.queue, &items), MUSTER_OK);
        assert_int_equal(items, n);
        for (int32_t i = 0; i < n; i++, next++) {
            assert_int_equal(get_one(far.queue, &number, 0, MUSTER_NOWAIT), MUSTER_OK);
            assert_int_equal(number, next);
        }
        assert_int_equal(get_one(far.queue, &number, 0, MUSTER_NOWAIT), MUSTER_ERR_EMPTY);
        assert_int_equal(ask(&far, (struct order){PUT, next, 1, 0}).err, MUSTER_OK);
        assert_int_equal(get_one(far.queue, &number, 0, 1), MUSTER_OK); /* a short wait is as good */
        assert_int_equal(number, next++);
    }
    child_end(&far);
    assert_int_equal(muster_queue_destroy(far.queue), MUSTER_OK);
}

/* The far host has got many ahead; the next ones are for whoever asks next, in order. */
static void what_was_lent_comes_back(void **state)
{
    (void)state;
    struct child far = child_make(last_rank(), queue_make());
    struct child middle = child_make(last_rank() / 2, far.queue);
    int32_t next = 0, number;
    for (int round = 0; round < 12; round++) {
        int32_t n = 3 * MANY;
        struct order order = {PUT, next, n, round % 2};
        assert_int_equal(put_all(far.queue, &order).err, MUSTER_OK);
        assert_int_equal(ask(&far, (struct order){GET, next, MANY / 2, round % 2}).err, MUSTER_OK);
        next += MANY / 2;
        struct told told = ask(&middle, (struct order){.what = SIZE});
        assert_int_equal(told.err, MUSTER_OK);
        assert_int_equal(told.number, n - MANY / 2);
        assert_int_equal(ask(&far, (struct order){TRY_GET, next, MANY, round % 2}).err, MUSTER_OK);
        next += MANY;
        assert_int_equal(ask(&middle, (struct order){TRY_GET, next, MANY / 2, round % 2}).err, MUSTER_OK);
        next += MANY / 2;
        assert_int_equal(ask(&far, (struct order){GET, next, MANY / 2, round % 2}).err, MUSTER_OK);
        next += MANY / 2;
        for (int32_t i = 0; i < MANY / 2; i++, next++) {
            assert_int_equal(get_one(far.queue, &number, round % 2, MUSTER_NOWAIT), MUSTER_OK);
            assert_int_equal(number, next);
        }
        assert_int_equal(ask(&far, (struct order){TRY_GET, next, 1, 0}).err, MUSTER_ERR_EMPTY);
    }
    child_end(&far);
    child_end(&middle);
    assert_int_equal(muster_queue_destroy(far.queue), MUSTER_OK);
}

static void large_and_small_stay_in_order(void **state)
{
    (void)state;
    struct child maker = child_make(last_rank(), queue_make());
    struct child taker = child_make(last_rank() / 2, maker.queue);
    for (int round = 0; round < 3; round++) {
        tell(&maker, (struct order){PUT, 0, 4 * MANY, 1});
        tell(&taker, (struct order){GET, 0, 4 * MANY, 1});
        assert_int_equal(hear(&maker).err, MUSTER_OK);
        assert_int_equal(hear(&taker).err, MUSTER_OK);
    }
    child_end(&maker);
    child_end(&taker);
    assert_int_equal(muster_queue_destroy(maker.queue), MUSTER_OK);
}

static void closed_for_all(void **state)
{
    (void)state;
    for (int by_far = 0; by_far < 2; by_far++) {
        struct child far = child_make(last_rank(), queue_make()), taker = child_make(last_rank(), far.queue);
        int32_t next = 0;
        warm_up(&far, PUT, &next);
        assert_int_equal(ask(&far, (struct order){PUT, next, 7, 0}).err, MUSTER_OK);
        if (by_far)
            assert_int_equal(ask(&far, (struct order){.what = CLOSE}).err, MUSTER_OK);
        else
            assert_int_equal(muster_queue_close(far.queue), MUSTER_OK);
        assert_int_equal(ask(&far, (struct order){PUT, next, 1, 0}).err, MUSTER_ERR_CLOSED);
        assert_int_equal(ask(&taker, (struct order){GET, next, 7, 0}).err, MUSTER_OK);
        assert_int_equal(ask(&taker, (struct order){GET, next, 1, 0}).err, MUSTER_ERR_CLOSED);
        child_end(&far);
        child_end(&taker);
        assert_int_equal(muster_queue_destroy(far.queue), MUSTER_OK);
    }
}

/* A getter that waits at a stock hears of the end. */
static void getter_hears_of_the_end(void **state)
{
    (void)state;
    for (int destroyed = 0; destroyed < 2; destroyed++) {
        struct child far = child_make(last_rank(), queue_make());
        int32_t next = 0;
        warm_up(&far, GET, &next);
        tell(&far, (struct order){GET, next, 1, 0});
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        if (destroyed)
            assert_int_equal(muster_queue_destroy(far.queue), MUSTER_OK);
        else
            assert_int_equal(muster_queue_close(far.queue), MUSTER_OK);
        muster_err err = hear(&far).err;
        assert_true(err == MUSTER_ERR_CLOSED || (destroyed && err == MUSTER_ERR_STALE));
        err = ask(&far, (struct order){PUT, 0, 1, 0}).err;
        assert_int_equal(err, destroyed ? MUSTER_ERR_STALE : MUSTER_ERR_CLOSED);
        child_end(&far);
        if (!destroyed)
            assert_int_equal(muster_queue_destroy(far.queue), MUSTER_OK);
    }
}

static void join_counts_all(void **state)
{
    (void)state;
    struct child maker = child_make(last_rank(), queue_make()), taker = child_make(last_rank() / 2, maker.queue);
    for (int32_t round = 0, n = MANY; round < 5; round++) {
        assert_int_equal(ask(&maker, (struct order){PUT, 0, n, 0}).err, MUSTER_OK);
        assert_int_equal(muster_queue_join(maker.queue, 1), MUSTER_ERR_TIMEOUT);
        assert_int_equal(ask(&taker, (struct order){GET, 0, n, 0}).err, MUSTER_OK);
        assert_int_equal(ask(&taker, (struct order){.what = TASK_DONE, .n = n - 1}).err, MUSTER_OK);
        assert_int_equal(muster_queue_join(maker.queue, MUSTER_NOWAIT), MUSTER_ERR_TIMEOUT);
        assert_int_equal(ask(&maker, (struct order){.what = TASK_DONE, .n = 1}).err, MUSTER_OK);
        assert_int_equal(muster_queue_join(maker.queue, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(ask(&taker, (struct order){.what = TASK_DONE, .n = 1}).err, MUSTER_ERR_STATE);
    }
    child_end(&maker);
    child_end(&taker);
    assert_int_equal(muster_queue_destroy(maker.queue), MUSTER_OK);
}

/* Whoever is killed while it puts or gets: what it has said to be put is there, and the others go on. */
static void users_are_killed(void **state)
{
    (void)state;
    muster_queue queue = queue_make();
    for (int round = 0; round < 10; round++) {
        struct child victim = child_make(last_rank(), queue);
        int32_t next = 0, number, before = -1;
        int64_t items;
        warm_up(&victim, round % 2 ? PUT : GET, &next);
        tell(&victim, (struct order){PUT, next, 1000000, 0});
        nanosleep(&(struct timespec){.tv_nsec = 3000000 + 100000 * round}, NULL);
        assert_int_equal(muster_process_kill(victim.process), MUSTER_OK);
        assert_int_equal(muster_process_join(victim.process, NULL, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(muster_process_close(victim.process), MUSTER_OK);
        assert_int_equal(muster_queue_size(queue, &items), MUSTER_OK);
        for (int64_t i = 0; i < items; i++) {
            assert_int_equal(get_one(queue, &number, 0, MUSTER_NOWAIT), MUSTER_OK);
            assert_int_equal(number, before < 0 ? next : before + 1);
            before = number;
        }
        assert_int_equal(get_one(queue, &number, 0, MUSTER_NOWAIT), MUSTER_ERR_EMPTY);
        assert_int_equal(muster_queue_destroy(victim.orders), MUSTER_OK);
        assert_int_equal(muster_queue_destroy(victim.told), MUSTER_OK);
    }
    assert_int_equal(muster_queue_destroy(queue), MUSTER_OK);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(put_is_seen_at_once),
        cmocka_unit_test(what_was_lent_comes_back),
        cmocka_unit_test(large_and_small_stay_in_order),
        cmocka_unit_test(closed_for_all),
        cmocka_unit_test(getter_hears_of_the_end),
        cmocka_unit_test(join_counts_all),
        cmocka_unit_test(users_are_killed),
    };
    return mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "lease");
}
