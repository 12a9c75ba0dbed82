/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Kills at every instruction of a queue's operations (see step_case.h): conformance 32, 34, 35, 37 and 51, and that
 * nothing leaks.
 */
#include "steps_left.h"

#include "object_case.h"

enum { SMALL = 8, LONG = 2000, LARGE = 2064 }; /* bytes of items: two kinds in the chunk, one in a block of its own */
enum { VICTIMS = 1000, OTHERS = 1001, LATES = 1002 }; /* numbers of the items that these put */

struct item {
    int64_t number;
    unsigned char fill[LARGE];
};

/* What others do between death and sweep: there may be two, of which the first dies if it has to wait. */
enum late { NOTHING, PUTS, DRAINS };

struct queue_case {
    int64_t maxsize, filled, taken; /* the queue's, before the operation */
    size_t filled_size, size;       /* of the items before; of the victim's */
    int grows;                      /* -1, 1: the operation frees or takes memory of the queue's */
    enum late late;
    bool first_dies;
};

static const struct queue_case *now;
static muster_handle handle;
static struct item item;     /* the victim's */
static uint64_t used_before; /* the operation */
static int64_t size_dead;    /* between death and sweep: size(), and what join() said */
static muster_err join_dead;

/* What participants tell, outside of the segment. */
static struct told {
    muster_handle made;
    muster_err late;
    uint32_t taken;
    int64_t numbers[64]; /* of the items that anybody but the victim took */
} * told;

static uint32_t self(void)
{
    return muster__self_number();
}

static muster_err put_number(int64_t number, size_t size, int64_t timeout_ms)
{
    struct item one = {.number = number};
    memset(one.fill, (int)(number & 0xff), sizeof one.fill);
    return case_queue_put(handle, &one, size, timeout_ms);
}

static bool is_whole(const struct item *one, size_t size)
{
    size_t wanted = one->number == VICTIMS ? now->size : one->number < VICTIMS ? now->filled_size : SMALL;
    for (size_t i = offsetof(struct item, fill); i < size; i++)
        if (one->fill[i - offsetof(struct item, fill)] != (one->number & 0xff))
            return false;
    return size == wanted;
}

/* Takes an item, which must be whole, and tells its number. */
static muster_err take_number(int64_t timeout_ms)
{
    struct item one = {.number = -1};
    size_t size;
    muster_err err = case_queue_get(handle, &one, sizeof one, &size, timeout_ms);
    if (err != MUSTER_OK)
        return err;
    if (!is_whole(&one, size))
        return MUSTER_ERR_TOOBIG;
    told->numbers[told->taken++] = one.number;
    return MUSTER_OK;
}

static int64_t size_now(void)
{
    int64_t items = -1;
    assert_int_equal(case_queue_ask(handle, MUSTER__QUEUE_SIZE, &items, MUSTER_FOREVER), MUSTER_OK);
    return items;
}

static muster_err join(int64_t timeout_ms)
{
    return case_queue_ask(handle, MUSTER__QUEUE_JOIN, NULL, timeout_ms);
}

static void prepare(void *arg)
{
    now = arg;
    memset(told, 0, sizeof *told);
    item.number = VICTIMS;
    memset(item.fill, VICTIMS & 0xff, sizeof item.fill);
    assert_int_equal(case_queue_make("steps", now->maxsize, &handle), MUSTER_OK);
    for (int64_t i = 0; i < now->filled; i++)
        assert_int_equal(put_number(i, now->filled_size, MUSTER_NOWAIT), MUSTER_OK);
    for (int64_t i = 0; i < now->taken; i++)
        assert_int_equal(take_number(MUSTER_NOWAIT), MUSTER_OK);
    told->taken = 0;
    used_before = muster__heap_used();
}

/* ---- what participants do ---- */

static int put(void *arg)
{
    (void)arg;
    return case_queue_put(handle, &item, now->size, MUSTER_FOREVER);
}

static int get(void *arg)
{
    (void)arg;
    size_t size;
    return case_queue_get(handle, &item, sizeof item, &size, MUSTER_FOREVER);
}

static int mark(void *arg)
{
    (void)arg;
    return case_queue_ask(handle, MUSTER__QUEUE_TASK_DONE, NULL, MUSTER_FOREVER);
}

static int close_queue(void *arg)
{
    (void)arg;
    return case_queue_ask(handle, MUSTER__QUEUE_CLOSE, NULL, MUSTER_FOREVER);
}

static int destroy(void *arg)
{
    (void)arg;
    return case_end(handle, MUSTER__QUEUE) ? 0 : 1;
}

static int ask_size(void *arg)
{
    int64_t items = -1;
    (void)arg;
    return case_queue_ask(handle, MUSTER__QUEUE_SIZE, &items, MUSTER_FOREVER) || items != now->filled;
}

static int create(void *arg)
{
    (void)arg;
    return case_queue_make("steps", 0, &told->made);
}

static int put_other(void *arg)
{
    (void)arg;
    return put_number(OTHERS, SMALL, MUSTER_FOREVER);
}

static int take_one(void *arg)
{
    (void)arg;
    return take_number(MUSTER_FOREVER);
}

static int await_marks(void *arg)
{
    (void)arg;
    return join(MUSTER_FOREVER);
}

static int put_late(void *arg)
{
    (void)arg;
    told->late = put_number(LATES, SMALL, MUSTER_NOWAIT);
    return 0;
}

static int drain(void *arg)
{
    (void)arg;
    muster_err err;
    while ((err = take_number(MUSTER_NOWAIT)) == MUSTER_OK)
        ;
    return err == MUSTER_ERR_EMPTY || err == MUSTER_ERR_CLOSED ? 0 : err;
}

/* Needs both latches, and leaves nothing behind that the checks look at. */
static int mark_in_passing(void *arg)
{
    mark(arg);
    return 0;
}

/* ---- put and get ---- */

static void dead(void *arg)
{
    (void)arg;
    size_dead = size_now();
    join_dead = join(MUSTER_NOWAIT);
    if (now->grows && step_ended())
        assert_true(now->grows > 0 ? muster__heap_used() > used_before : muster__heap_used() < used_before);
    if (now->first_dies)
        step_start(mark_in_passing, NULL);
    if (now->late != NOTHING)
        step_start(now->late == PUTS ? put_late : drain, NULL);
    if (now->first_dies && step_sleeps(0))
        step_kill(0);
}

/* Takes all that is left, and what those put who wait for room, and ends the queue. */
static void empty_and_end(void)
{
    do {
        assert_int_equal(drain(NULL), 0);
        step_settle();
    } while (size_now());
    step_join_all();
    assert_int_equal(destroy(NULL), 0);
    nothing_is_left();
}

/* The numbers that were taken begin with those from `first` on, and go on with what the victim put, if it came to
 * that, and with `last` (0: nothing). Returns whether the victim's is there. */
static int taken_are(int64_t first, int64_t filled, int64_t last)
{
    uint32_t at = 0;
    for (int64_t number = first; number < filled; number++)
        assert_int_equal(told->numbers[at++], number);
    int victims = at < told->taken && told->numbers[at] == VICTIMS;
    at += (uint32_t)victims;
    if (last)
        assert_int_equal(told->numbers[at++], last);
    assert_int_equal(told->taken, at);
    return victims;
}

/* Sizes were exact all the time, and so was join: nothing is marked. */
static int64_t end_and_compare(void)
{
    int64_t size = size_now() + told->taken;
    empty_and_end();
    int64_t late = now->late == PUTS;
    assert_int_equal(size, told->taken);
    assert_int_equal(size_dead, told->taken - late);
    return late ? LATES : 0;
}

static int put_check(void *arg)
{
    (void)arg;
    int64_t last = end_and_compare();
    int victims = taken_are(now->taken, now->filled, last);
    assert_int_equal(join_dead, now->filled + victims ? MUSTER_ERR_TIMEOUT : MUSTER_OK);
    return victims;
}

static int get_check(void *arg)
{
    (void)arg;
    int64_t last = end_and_compare();
    int taken = told->numbers[0] != now->taken || told->taken == (last != 0);
    taken_are(now->taken + taken, now->filled, last);
    assert_int_equal(join_dead, MUSTER_ERR_TIMEOUT);
    return taken;
}

/* With all that others may do to what the dead one left. */
static void run_late(const char *name, struct step_case c, struct queue_case q)
{
    static const struct {
        enum late late;
        bool first_dies;
        const char *text;
    } more[] = {{NOTHING, false, ""},
                {PUTS, false, "; a put"},
                {DRAINS, false, "; drained"},
                {PUTS, true, "; a death, a put"},
                {DRAINS, true, "; a death, drained"}};
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
        char whole[64];
        snprintf(whole, sizeof whole, "%s%s", name, more[i].text);
        q.late = more[i].late;
        q.first_dies = more[i].first_dies;
        c.arg = &q;
        c.every = i == 0 && q.size == SMALL;
        step_run(whole, &c);
    }
}

static void puts_are_whole_or_not_there(void **state)
{
    (void)state;
    struct step_case c = {.prepare = prepare, .operation = put, .dead = dead, .check = put_check, .last = 1};
    run_late("put", c, (struct queue_case){.filled = 2, .filled_size = SMALL, .size = SMALL});
    run_late("put, the first", c, (struct queue_case){.size = SMALL});
    run_late("put, long", c, (struct queue_case){.filled = 1, .filled_size = SMALL, .size = LONG});
    run_late("put, large", c, (struct queue_case){.filled = 2, .filled_size = LARGE, .size = LARGE});
    run_late("put, new chunk", c, (struct queue_case){.filled = 2, .filled_size = LONG, .size = LONG, .grows = 1});
    run_late("put, new chunk, all taken", c,
             (struct queue_case){.filled = 2, .taken = 2, .filled_size = LONG, .size = LONG, .grows = 1});
}

static void gets_lose_one_at_most(void **state)
{
    (void)state;
    struct step_case c = {.prepare = prepare, .operation = get, .dead = dead, .check = get_check, .last = 1};
    run_late("get", c, (struct queue_case){.filled = 3, .filled_size = SMALL, .size = SMALL});
    run_late("get, long", c, (struct queue_case){.filled = 2, .filled_size = LONG});
    run_late("get, large", c, (struct queue_case){.filled = 2, .filled_size = LARGE});
    run_late("get, next chunk", c, (struct queue_case){.filled = 4, .taken = 2, .filled_size = LONG, .grows = -1});
    run_late("get, next chunk, the last one", c,
             (struct queue_case){.filled = 3, .taken = 2, .filled_size = LONG, .grows = -1});
}

/* ---- somebody waits beside the victim ---- */

/* A getter may sleep only on an empty queue, a putter only at a full one. */
static void nobody_sleeps_for_nothing(void)
{
    for (uint32_t i = 0; i < step.others; i++)
        if (step_sleeps(i))
            assert_int_equal(size_now(), now->maxsize);
}

/* A getter waited. What the victim put, or else the parent, is what it got. */
static int getter_check(void *arg)
{
    (void)arg;
    nobody_sleeps_for_nothing();
    if (step_sleeps(0))
        assert_int_equal(put_number(OTHERS, SMALL, MUSTER_NOWAIT), MUSTER_OK);
    step_settle();
    empty_and_end();
    assert_int_equal(told->taken, 1);
    return taken_are(0, 0, told->numbers[0] == VICTIMS ? 0 : OTHERS);
}

/* A putter waited for room, which the victim makes. */
static int putter_check(void *arg)
{
    (void)arg;
    nobody_sleeps_for_nothing();
    empty_and_end();
    int taken = told->numbers[0] != 0;
    taken_are(taken, now->filled, OTHERS);
    return taken;
}

static void who_waits_is_served(void **state)
{
    (void)state;
    struct step_case c = {
        .prepare = prepare, .operation = put, .beside = take_one, .besides = 1, .check = getter_check, .last = 1};
    c.arg = &(struct queue_case){.size = SMALL};
    step_run("put, a getter waits", &c);
    c.arg = &(struct queue_case){.size = LARGE};
    step_run("put, large, a getter waits", &c);
    c.arg = &(struct queue_case){.filled = 2, .taken = 2, .filled_size = LONG, .size = LONG};
    step_run("put, new chunk, a getter waits", &c);
    c.operation = get;
    c.beside = put_other;
    c.check = putter_check;
    c.arg = &(struct queue_case){.maxsize = 2, .filled = 2, .filled_size = SMALL};
    step_run("get, a putter waits", &c);
    c.arg = &(struct queue_case){.maxsize = 2, .filled = 2, .filled_size = LARGE};
    step_run("get, large, a putter waits", &c);
}

/* ---- the victim waits, and somebody else behind it ---- */

static void make_room(void *arg)
{
    step_start(put_other, arg);
    assert_int_equal(take_number(MUSTER_NOWAIT), MUSTER_OK);
}

static int put_waiting_check(void *arg)
{
    (void)arg;
    nobody_sleeps_for_nothing();
    bool other = step.others > 0;
    empty_and_end();
    return taken_are(0, 1, other ? OTHERS : 0);
}

static void make_item(void *arg)
{
    step_start(take_one, arg);
    assert_int_equal(put_number(LATES, SMALL, MUSTER_NOWAIT), MUSTER_OK);
}

static int get_waiting_check(void *arg)
{
    (void)arg;
    nobody_sleeps_for_nothing();
    bool other = step.others > 0;
    int taken = other && step_sleeps(0);
    if (taken)
        assert_int_equal(put_number(OTHERS, SMALL, MUSTER_NOWAIT), MUSTER_OK);
    step_settle();
    empty_and_end();
    taken_are(0, 0, taken ? OTHERS : other ? LATES : 0);
    return taken;
}

static void wakes_are_passed_on(void **state)
{
    (void)state;
    struct step_case c = {
        .prepare = prepare, .operation = put, .asleep = make_room, .check = put_waiting_check, .last = 1};
    c.arg = &(struct queue_case){.maxsize = 1, .filled = 1, .filled_size = SMALL, .size = SMALL};
    step_run("put that waits", &c);
    c.arg = &(struct queue_case){.maxsize = 1, .filled = 1, .filled_size = SMALL, .size = LARGE};
    step_run("put that waits, large", &c);
    c.operation = get;
    c.asleep = make_item;
    c.check = get_waiting_check;
    c.arg = &(struct queue_case){.maxsize = 0};
    step_run("get that waits", &c);
}

/* ---- create, close, destroy, marks, size ---- */

static void dead_then_put(void *arg)
{
    (void)arg;
    if (now->maxsize)
        step_start(put_late, NULL);
}

/* A getter, or a putter for room, waited: told, if it was closed, else it still waits. */
static int close_check(void *arg)
{
    (void)arg;
    int closed = !step_sleeps(0);
    if (now->maxsize)
        assert_int_equal(told->late, closed ? MUSTER_ERR_CLOSED : MUSTER_ERR_FULL);
    if (!closed)
        assert_int_equal(close_queue(NULL), MUSTER_OK);
    assert_int_equal(put_number(LATES, SMALL, MUSTER_NOWAIT), MUSTER_ERR_CLOSED);
    assert_int_equal(step_join(0), (uint8_t)MUSTER_ERR_CLOSED);
    assert_int_equal(size_now(), now->filled);
    empty_and_end();
    taken_are(0, now->filled, 0);
    return closed;
}

/* One waits for room or an item, one for all to be marked. */
static int wait_two_ways(void *arg)
{
    if (self() % 2)
        return await_marks(arg);
    return now->maxsize ? put_other(arg) : take_one(arg);
}

/* Either all of it is still there, or nothing. */
static int destroy_check(void *arg)
{
    int gone = muster__object_find(handle, MUSTER__QUEUE) == NULL;
    assert_true(step_sleeps(0) == !gone && step_sleeps(1) == !gone);
    if (now->maxsize && gone)
        assert_true(told->late == MUSTER_ERR_STALE || told->late == MUSTER_ERR_CLOSED);
    else if (now->maxsize)
        assert_int_equal(told->late, MUSTER_ERR_FULL);
    if (!gone) {
        assert_int_equal(size_now(), now->filled - now->taken);
        assert_int_equal(destroy(NULL), 0);
    }
    assert_int_equal(step_join(0), (uint8_t)MUSTER_ERR_CLOSED);
    assert_int_equal(step_join(1), (uint8_t)MUSTER_ERR_CLOSED);
    step_join_all();
    assert_int_equal(destroy(NULL), 1);
    nothing_is_left();
    prepare(arg); /* another one, perhaps in its place */
    empty_and_end();
    taken_are(now->taken, now->filled, 0);
    return gone;
}

static void close_and_destroy_tell_all(void **state)
{
    (void)state;
    struct step_case c = {.prepare = prepare,
                          .operation = close_queue,
                          .besides = 1,
                          .dead = dead_then_put,
                          .check = close_check,
                          .last = 1};
    c.beside = take_one;
    c.arg = &(struct queue_case){.filled = 0};
    step_run("close, a getter waits", &c);
    c.beside = put_other;
    c.arg = &(struct queue_case){.maxsize = 1, .filled = 1, .filled_size = SMALL};
    step_run("close, a putter waits", &c);
    c.operation = destroy;
    c.beside = wait_two_ways;
    c.besides = 2;
    c.check = destroy_check;
    c.arg = &(struct queue_case){.filled = 1, .taken = 1, .filled_size = SMALL};
    step_run("destroy, a getter and a joiner wait", &c);
    c.arg = &(struct queue_case){.maxsize = 4, .filled = 4, .filled_size = LONG};
    step_run("destroy of two chunks, a putter waits", &c);
    c.arg = &(struct queue_case){.maxsize = 2, .filled = 2, .filled_size = LARGE};
    step_run("destroy, large items, a putter waits", &c);
}

static void prepare_and_mark(void *arg)
{
    prepare(arg);
    assert_int_equal(mark(NULL), MUSTER_OK);
}

/* Of two that were taken one had been marked; somebody waits for the other. */
static int mark_check(void *arg)
{
    (void)arg;
    int marked = !step_sleeps(0);
    if (!marked)
        assert_int_equal(mark(NULL), MUSTER_OK);
    assert_int_equal(mark(NULL), MUSTER_ERR_STATE);
    empty_and_end();
    return marked;
}

static int mark_too_many(void *arg)
{
    return mark(arg) == MUSTER_ERR_STATE ? 0 : 1;
}

/* All had been marked: one that comes later has to be marked, too. */
static int mark_too_many_check(void *arg)
{
    (void)arg;
    assert_int_equal(join(MUSTER_NOWAIT), MUSTER_OK);
    assert_int_equal(put_number(OTHERS, SMALL, MUSTER_NOWAIT), MUSTER_OK);
    assert_int_equal(join(MUSTER_NOWAIT), MUSTER_ERR_TIMEOUT);
    empty_and_end();
    return 0;
}

/* Whoever has its handle finds it. */
static int create_check(void *arg)
{
    (void)arg;
    int made = told->made.generation != 0;
    if (made)
        assert_non_null(muster__object_find(told->made, MUSTER__QUEUE));
    muster__end_all_objects();
    nothing_is_left();
    return made;
}

static void create_prepare(void *arg)
{
    (void)arg;
    memset(told, 0, sizeof *told);
}

static void marks_and_more(void **state)
{
    (void)state;
    struct step_case c = {.prepare = prepare_and_mark,
                          .operation = mark,
                          .beside = await_marks,
                          .besides = 1,
                          .check = mark_check,
                          .last = 1};
    c.arg = &(struct queue_case){.filled = 2, .taken = 2, .filled_size = SMALL};
    step_run("task_done, a joiner waits", &c);
    c = (struct step_case){.prepare = prepare_and_mark, .operation = mark_too_many, .check = mark_too_many_check};
    c.arg = &(struct queue_case){.filled = 1, .taken = 1, .filled_size = SMALL};
    step_run("task_done, one too many", &c);
    c = (struct step_case){.prepare = prepare, .operation = ask_size, .dead = dead, .check = put_check};
    c.arg = &(struct queue_case){.filled = 2, .filled_size = SMALL};
    step_run("size", &c);
    c = (struct step_case){.prepare = create_prepare, .operation = create, .check = create_check, .last = 1};
    step_run("create", &c);
}

/* ---- all of it ---- */

static int setup(void **state)
{
    told = step_share(sizeof *told);
    return step_setup(state);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, step_teardown)
    const struct CMUnitTest tests[] = {
        CASE(puts_are_whole_or_not_there), CASE(gets_lose_one_at_most),      CASE(who_waits_is_served),
        CASE(wakes_are_passed_on),         CASE(close_and_destroy_tell_all), CASE(marks_and_more),
    };
    return step_possible() ? cmocka_run_group_tests(tests, NULL, NULL) : 77;
}
