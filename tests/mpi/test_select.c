/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pipe and select, conformance 40, 51, 64 and 67, between rank 0's main program and processes on all ranks, at home
 * here and on the last host.
 */
#include "support/cast.h"

struct parts {
    muster_pipe pipe;
    muster_queue one, other, out;
    muster_event stop;
    muster_semaphore semaphore;
};

/* ---- pipe: 40 ---- */

static void pipe_alone(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    {
        muster_pipe one, other;
        muster_object_options options = at_rank(home);
        char room[8] = "before";
        size_t size = 77;
        bool ready = true;
        assert_int_equal(muster_pipe_create(&one, &other, 2, &options), MUSTER_OK);
        assert_int_equal(muster_pipe_poll(other, &ready, MUSTER_NOWAIT), MUSTER_OK);
        assert_false(ready);
        ASSERT_TAKES(20, (ready = true, muster_pipe_poll(other, &ready, 20)), MUSTER_OK);
        assert_false(ready);
        assert_int_equal(muster_pipe_receive(other, room, sizeof room, &size, MUSTER_NOWAIT), MUSTER_ERR_EMPTY);
        assert_int_equal(muster_pipe_send(one, "abc", 4, MUSTER_NOWAIT), MUSTER_OK);
        assert_int_equal(muster_pipe_send(one, NULL, 0, MUSTER_NOWAIT), MUSTER_OK);
        assert_int_equal(muster_pipe_send(one, "abc", 4, MUSTER_NOWAIT), MUSTER_ERR_FULL);
        assert_int_equal(muster_pipe_send(other, "back", 5, MUSTER_NOWAIT), MUSTER_OK);
        for (int i = 0; i < 3; i++) { /* it takes nothing */
            ready = false;
            assert_int_equal(muster_pipe_poll(other, &ready, i ? MUSTER_FOREVER : MUSTER_NOWAIT), MUSTER_OK);
            assert_true(ready);
        }
        assert_int_equal(muster_pipe_receive(other, room, 3, &size, MUSTER_FOREVER), MUSTER_ERR_TOOBIG);
        assert_true(size == 4 && strcmp(room, "before") == 0);
        assert_int_equal(muster_pipe_receive(other, room, sizeof room, &size, MUSTER_FOREVER), MUSTER_OK);
        assert_true(size == 4 && strcmp(room, "abc") == 0);
        assert_int_equal(muster_pipe_close(one), MUSTER_OK);
        assert_int_equal(muster_pipe_send(other, "x", 1, MUSTER_NOWAIT), MUSTER_ERR_CLOSED);
        assert_int_equal(muster_pipe_send(one, "x", 1, MUSTER_NOWAIT), MUSTER_ERR_CLOSED);
        assert_int_equal(muster_pipe_receive(other, room, sizeof room, &size, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(size, 0); /* what was sent before is got */
        assert_int_equal(muster_pipe_receive(other, room, sizeof room, &size, MUSTER_FOREVER), MUSTER_ERR_CLOSED);
        ready = false;
        assert_int_equal(muster_pipe_poll(other, &ready, MUSTER_FOREVER), MUSTER_OK);
        assert_true(ready); /* a receive would not wait */
        assert_int_equal(muster_pipe_destroy(other), MUSTER_OK);
        assert_int_equal(muster_pipe_poll(one, &ready, MUSTER_NOWAIT), MUSTER_ERR_STALE);
        assert_int_equal(muster_pipe_send(one, "x", 1, MUSTER_NOWAIT), MUSTER_ERR_STALE);
        assert_int_equal(muster_pipe_create(&one, &other, -1, NULL), MUSTER_ERR_INVAL);
    }
}

enum { ANSWERS = 300 };

static int answer(const void *arg, size_t size)
{
    (void)size;
    const struct parts *parts = arg;
    int64_t what;
    muster_err err;
    while ((err = muster_pipe_receive(parts->pipe, &what, sizeof what, NULL, MUSTER_FOREVER)) == MUSTER_OK) {
        what = -what;
        MUST(muster_pipe_send(parts->pipe, &what, sizeof what, MUSTER_FOREVER) == MUSTER_OK);
    }
    MUST(err == MUSTER_ERR_CLOSED);
    return 0;
}

static void pipe_both_ways(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    {
        struct parts parts = {.out = {{0}}};
        muster_pipe mine;
        muster_object_options options = at_rank(home);
        assert_int_equal(muster_pipe_create(&mine, &parts.pipe, 0, &options), MUSTER_OK);
        muster_process process = start_on(last_rank(), answer, &parts, sizeof parts);
        for (int64_t i = 0, what = 0; i < ANSWERS; i++) {
            bool ready = false;
            assert_int_equal(muster_pipe_send(mine, &i, sizeof i, MUSTER_FOREVER), MUSTER_OK);
            if (i % 2)
                assert_int_equal(muster_pipe_poll(mine, &ready, MUSTER_FOREVER), MUSTER_OK);
            assert_int_equal(ready, i % 2);
            assert_int_equal(
                muster_pipe_receive(mine, &what, sizeof what, NULL, ready ? MUSTER_NOWAIT : MUSTER_FOREVER), MUSTER_OK);
            assert_int_equal(what, -i);
        }
        assert_int_equal(muster_pipe_close(mine), MUSTER_OK);
        join(process);
        assert_int_equal(muster_pipe_destroy(mine), MUSTER_OK);
    }
}

/* ---- select: 64 ---- */

static void parts_make(struct parts *parts, int home)
{
    muster_queue_options here = {.on = muster_on_rank(home)}, there = {.on = muster_on_rank(last_rank() - home)};
    muster_object_options options = at_rank(home);
    assert_int_equal(muster_queue_create(&parts->one, &here), MUSTER_OK);
    assert_int_equal(muster_queue_create(&parts->other, &there), MUSTER_OK);
    assert_int_equal(muster_event_create(&parts->stop, &options), MUSTER_OK);
    assert_int_equal(muster_semaphore_create(&parts->semaphore, 0, 0, &options), MUSTER_OK);
    parts->out = queue_make();
}

static void parts_end(const struct parts *parts)
{
    assert_int_equal(muster_queue_destroy(parts->one), MUSTER_OK);
    assert_int_equal(muster_queue_destroy(parts->other), MUSTER_OK);
    assert_int_equal(muster_queue_destroy(parts->out), MUSTER_OK);
    assert_int_equal(muster_event_destroy(parts->stop), MUSTER_OK);
    assert_int_equal(muster_semaphore_destroy(parts->semaphore), MUSTER_OK);
}

enum { ONE, OTHER, STOP, PERMIT, CHOICES };

static void choices_make(const struct parts *parts, muster_choice *choices, int64_t *item)
{
    choices[ONE] = muster_choose_queue(parts->one, item, sizeof *item);
    choices[OTHER] = muster_choose_queue(parts->other, item, sizeof *item);
    choices[STOP] = muster_choose_event(parts->stop);
    choices[PERMIT] = muster_choose_semaphore(parts->semaphore);
}

static int64_t items_in(muster_queue queue)
{
    int64_t items = -1;
    assert_int_equal(muster_queue_size(queue, &items), MUSTER_OK);
    return items;
}

/* Each by itself, and of two exactly one. */
static void takes_exactly_one(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    for (int round = 0; round < 4; round++) {
        struct parts parts;
        muster_choice choices[CHOICES];
        int64_t item = 77, permits = -1, timeout_ms = round % 2 ? MUSTER_FOREVER : MUSTER_NOWAIT;
        int chosen = 77;
        parts_make(&parts, home);
        choices_make(&parts, choices, &item);
        assert_int_equal(muster_select(choices, CHOICES, &chosen, MUSTER_NOWAIT), MUSTER_ERR_TIMEOUT);
        if (!round)
            ASSERT_TAKES(20, muster_select(choices, CHOICES, &chosen, 20), MUSTER_ERR_TIMEOUT);
        assert_true(chosen == 77 && item == 77);
        say(parts.one, 1);
        say(parts.other, 2);
        for (int left = 1; left >= 0; left--) {
            assert_int_equal(muster_select(choices, CHOICES, &chosen, timeout_ms), MUSTER_OK);
            assert_true(chosen == ONE || chosen == OTHER);
            assert_int_equal(item, chosen == ONE ? 1 : 2);
            assert_int_equal(choices[chosen].size_bytes, sizeof item);
            assert_int_equal(items_in(parts.one) + items_in(parts.other), left);
        }
        assert_int_equal(muster_semaphore_release(parts.semaphore, 1), MUSTER_OK);
        assert_int_equal(muster_select(choices, CHOICES, &chosen, timeout_ms), MUSTER_OK);
        assert_int_equal(chosen, PERMIT);
        assert_int_equal(muster_semaphore_value(parts.semaphore, &permits), MUSTER_OK);
        assert_int_equal(permits, 0);
        assert_int_equal(muster_event_set(parts.stop), MUSTER_OK);
        for (int i = 0; i < 2; i++) { /* it stays set */
            assert_int_equal(muster_select(choices, CHOICES, &chosen, timeout_ms), MUSTER_OK);
            assert_int_equal(chosen, STOP);
        }
        parts_end(&parts);
    }
}

enum { DRAWS = 240 };

/* All can be done all the time: each of four has a quarter of 240 within the bounds that one in a million runs leaves.
 */
static void is_fair(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    {
        struct parts parts;
        muster_choice choices[CHOICES];
        int64_t item;
        int times[CHOICES] = {0}, chosen;
        parts_make(&parts, home);
        choices_make(&parts, choices, &item);
        for (int i = 0; i < DRAWS; i++) {
            say(parts.one, i);
            say(parts.other, i);
        }
        assert_int_equal(muster_semaphore_release(parts.semaphore, DRAWS), MUSTER_OK);
        assert_int_equal(muster_event_set(parts.stop), MUSTER_OK);
        for (int i = 0; i < DRAWS; i++) {
            assert_int_equal(muster_select(choices, CHOICES, &chosen, i % 2 ? MUSTER_NOWAIT : MUSTER_FOREVER),
                             MUSTER_OK);
            times[chosen]++;
        }
        for (int i = 0; i < CHOICES; i++)
            assert_in_range(times[i], 24, 100);
        assert_int_equal(items_in(parts.one), DRAWS - times[ONE]);
        assert_int_equal(items_in(parts.other), DRAWS - times[OTHER]);
        parts_end(&parts);
    }
}

enum { PRODUCED = 400 };

static int consume_both(const void *arg, size_t size)
{
    (void)size;
    const struct parts *parts = arg;
    int64_t item = 0, sum = 0, count = 0;
    muster_choice choices[CHOICES];
    choices_make(parts, choices, &item);
    int chosen = -1, n = 2;
    for (muster_err err; n;) {
        err = muster_select(choices, n, &chosen, MUSTER_FOREVER);
        if (err == MUSTER_ERR_CLOSED) {
            choices[chosen] = choices[--n];
            continue;
        }
        MUST(err == MUSTER_OK && chosen < n);
        sum += item;
        count++;
    }
    say(parts->out, sum);
    say(parts->out, count);
    return 0;
}

/* Many select on the same two queues, with producers: each item is got once, and all find out that they are closed. */
static void items_are_got_once(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    {
        struct parts parts;
        muster_process processes[8];
        int64_t total = 0;
        parts_make(&parts, home);
        start_crowd(processes, consume_both, &parts, sizeof parts);
        for (int64_t i = 1; i <= PRODUCED; i++)
            say(i % 3 ? parts.one : parts.other, i);
        assert_int_equal(muster_queue_close(parts.one), MUSTER_OK);
        assert_int_equal(muster_queue_close(parts.other), MUSTER_OK);
        for (int i = 0; i < 2 * crowd(); i++)
            total += hear(parts.out); /* sums and counts */
        assert_int_equal(total, PRODUCED * (PRODUCED + 1) / 2 + PRODUCED);
        join_crowd(processes);
        parts_end(&parts);
    }
}

static int exit_when_told(const void *arg, size_t size)
{
    (void)size;
    const struct parts *parts = arg;
    MUST(muster_event_wait(parts->stop, MUSTER_FOREVER) == MUSTER_OK);
    return 5;
}

static int square(const void *item, void *result, const void *user)
{
    (void)user;
    *(int64_t *)result = *(const int64_t *)item * *(const int64_t *)item;
    return 0;
}

static void processes_and_tasks(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    {
        struct parts parts;
        muster_pool pool;
        muster_task task;
        int64_t item = 7, result = 0;
        int chosen = 77;
        parts_make(&parts, home);
        muster_process process = start_on(home, exit_when_told, &parts, sizeof parts);
        muster_choice choices[3] = {muster_choose_queue(parts.one, &item, sizeof item), muster_choose_process(process)};
        assert_int_equal(muster_select(choices, 2, &chosen, MUSTER_NOWAIT), MUSTER_ERR_TIMEOUT);
        assert_int_equal(muster_event_set(parts.stop), MUSTER_OK);
        assert_int_equal(muster_select(choices, 2, &chosen, MUSTER_FOREVER), MUSTER_OK);
        assert_true(chosen == 1 && choices[1].status.exit_code == 5 && choices[1].status.signal == 0);
        assert_int_equal(muster_process_join(process, NULL, MUSTER_NOWAIT), MUSTER_OK);
        assert_int_equal(muster_process_close(process), MUSTER_OK);
        assert_int_equal(muster_pool_create(&pool, NULL), MUSTER_OK);
        assert_int_equal(muster_pool_submit(pool, &task, square, &item, sizeof item, sizeof result, NULL), MUSTER_OK);
        choices[1] = muster_choose_task(task);
        assert_int_equal(muster_select(choices, 2, &chosen, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(chosen, 1);
        assert_int_equal(muster_task_get(task, &result, sizeof result, MUSTER_NOWAIT), MUSTER_OK);
        assert_int_equal(result, 49);
        assert_int_equal(muster_select(choices, 2, &chosen, MUSTER_FOREVER), MUSTER_ERR_STALE); /* it was got */
        assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
        parts_end(&parts);
    }
}

static int select_and_tell(const void *arg, size_t size)
{
    (void)size;
    const struct parts *parts = arg;
    int64_t item;
    muster_choice choices[CHOICES];
    int chosen = -1;
    choices_make(parts, choices, &item);
    say(parts->out, 1);
    muster_err err = muster_select(choices, CHOICES, &chosen, MUSTER_FOREVER);
    say(parts->out, err == MUSTER_ERR_STALE ? MUSTER_ERR_CLOSED : err); /* STALE: it had not begun to wait */
    say(parts->out, chosen);
    return 0;
}

/* 51 and 67: what is destroyed under it, what is stale, what may not be given; nothing is taken then. */
static void destroyed_stale_wrong(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    for (int which = ONE; which <= PERMIT; which++) {
        struct parts parts;
        muster_choice choices[CHOICES];
        int64_t item = 77;
        int chosen = 77;
        parts_make(&parts, home);
        choices_make(&parts, choices, &item);
        muster_process process = start_on(last_rank(), select_and_tell, &parts, sizeof parts);
        assert_int_equal(hear(parts.out), 1);
        assert_int_equal(which == ONE     ? muster_queue_destroy(parts.one)
                         : which == OTHER ? muster_queue_destroy(parts.other)
                         : which == STOP  ? muster_event_destroy(parts.stop)
                                          : muster_semaphore_destroy(parts.semaphore),
                         MUSTER_OK);
        assert_int_equal(hear(parts.out), MUSTER_ERR_CLOSED);
        assert_int_equal(hear(parts.out), which);
        join(process);
        assert_int_equal(muster_select(choices, CHOICES, &chosen, MUSTER_FOREVER), MUSTER_ERR_STALE);
        assert_int_equal(chosen, which);
        assert_int_equal(muster_select(NULL, 1, &chosen, MUSTER_NOWAIT), MUSTER_ERR_INVAL);
        assert_int_equal(muster_select(choices, 0, &chosen, MUSTER_NOWAIT), MUSTER_ERR_INVAL);
        assert_int_equal(muster_select(choices, -1, &chosen, MUSTER_NOWAIT), MUSTER_ERR_INVAL);
        assert_int_equal(muster_select(choices, CHOICES, NULL, MUSTER_NOWAIT), MUSTER_ERR_INVAL);
        assert_int_equal(muster_select(choices, CHOICES, &chosen, -2), MUSTER_ERR_INVAL);
        choices[ONE].capacity_bytes = SIZE_MAX;
        assert_int_equal(muster_select(choices, CHOICES, &chosen, MUSTER_NOWAIT), MUSTER_ERR_INVAL);
        choices[ONE].kind = 77;
        assert_int_equal(muster_select(choices, CHOICES, &chosen, MUSTER_NOWAIT), MUSTER_ERR_INVAL);
        assert_true(chosen == which && item == 77);
        muster_queue_options options = {0}; /* for parts_end */
        if (which <= OTHER)
            assert_int_equal(muster_queue_create(which == ONE ? &parts.one : &parts.other, &options), MUSTER_OK);
        else if (which == STOP)
            assert_int_equal(muster_event_create(&parts.stop, NULL), MUSTER_OK);
        else
            assert_int_equal(muster_semaphore_create(&parts.semaphore, 0, 0, NULL), MUSTER_OK);
        parts_end(&parts);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pipe_alone),
        cmocka_unit_test(pipe_both_ways),
        cmocka_unit_test(takes_exactly_one),
        cmocka_unit_test(is_fair),
        cmocka_unit_test(items_are_got_once),
        cmocka_unit_test(processes_and_tasks),
        cmocka_unit_test(destroyed_stale_wrong),
    };
    return mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "select");
}
