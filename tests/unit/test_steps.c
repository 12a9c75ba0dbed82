/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Kills at every instruction of the operations of locks, latches, heap, objects and callers (see step_case.h):
 * conformance 43 and 51, and that nothing leaks. For queues see test_steps_queue.c.
 */
#include "steps_left.h"

#include "object_case.h"

static muster_handle handle;
static struct muster__object *object;

/* What the victim tells, outside of the segment. */
static struct told {
    muster_handle made;
    muster__ref ref;
} * told;

static uint32_t self(void)
{
    return muster__self_number();
}

/* ---- lock ---- */

static bool probes;    /* somebody tries the lock between death and sweep, */
static bool was_held;  /* and finds it held */
static bool handed_on; /* the parent, who had it at first, released it */

static int lock_acquire(void *arg)
{
    (void)arg;
    return case_lock_acquire(handle, MUSTER_FOREVER);
}

static int lock_release(void *arg)
{
    (void)arg;
    return case_lock_release(handle);
}

/* 0: got it; 1: and it told of a death. */
static int lock_use(void *arg)
{
    muster_err err = lock_acquire(arg);
    if (err != MUSTER_OK && err != MUSTER_ERR_OWNER_DEAD)
        return err;
    bool died = err == MUSTER_ERR_OWNER_DEAD;
    err = lock_release(arg);
    return err == MUSTER_OK ? died : err;
}

static muster_err lock_try(void)
{
    return case_lock_acquire(handle, MUSTER_NOWAIT);
}

static void lock_prepare(void *arg)
{
    (void)arg;
    assert_int_equal(case_lock_make("steps", &handle), MUSTER_OK);
    object = muster__object_find(handle, MUSTER__LOCK);
}

static void lock_prepare_held(void *arg)
{
    handed_on = false;
    lock_prepare(arg);
    assert_int_equal(lock_acquire(arg), MUSTER_OK);
}

static void lock_hold(void *arg)
{
    if (lock_acquire(arg) != MUSTER_OK)
        _exit(1);
}

static void lock_dead(void *arg)
{
    if (!probes)
        return;
    muster_err err = lock_try();
    was_held = err == MUSTER_ERR_BUSY;
    if (!was_held && err != MUSTER_ERR_DEADLOCK) { /* the parent's own */
        assert_int_equal(err, MUSTER_OK);
        assert_int_equal(lock_release(arg), MUSTER_OK);
    }
}

/* It is free, tells of no death a second time, and wakes who waits for it. */
static void lock_end(void)
{
    assert_int_equal(lock_try(), MUSTER_OK);
    uint32_t waiter = step_start(lock_use, NULL);
    assert_true(step_sleeps(waiter));
    assert_int_equal(lock_release(NULL), MUSTER_OK);
    step_settle();
    assert_false(step_sleeps(waiter));
    assert_int_equal(step_join(waiter), 0);
    assert_true(case_end(handle, MUSTER__LOCK));
    nothing_is_left();
}

/* Returns whether the next one, who may have waited, was told that a holder had died. */
static int lock_check(void *arg)
{
    if (step.others)
        assert_false(step_sleeps(0));
    int died = step.others ? step_join(0) : lock_use(arg);
    assert_true(died == 0 || died == 1);
    if (probes)
        assert_int_equal(died, was_held);
    lock_end();
    return died;
}

static int release_check(void *arg)
{
    return !lock_check(arg);
}

/* The victim waits, and somebody else behind it, or nobody. */
static void lock_hand_on(void *alone)
{
    handed_on = true;
    if (!alone)
        step_start(lock_use, NULL);
    assert_int_equal(lock_release(NULL), MUSTER_OK);
}

static int contended_check(void *alone)
{
    if (!handed_on) /* the victim had not come to sleep */
        lock_hand_on(alone);
    step_settle();
    return lock_check(NULL);
}

static void owner_dead_is_told_exactly(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        probes = i;
        struct step_case c = {.prepare = lock_prepare,
                              .operation = lock_acquire,
                              .dead = lock_dead,
                              .check = lock_check,
                              .last = 1,
                              .every = true};
        step_run(i ? "acquire; probed" : "acquire", &c);
        c.before = lock_hold;
        c.operation = lock_release;
        c.check = release_check;
        step_run(i ? "release; probed" : "release", &c);
        c.beside = lock_use;
        c.besides = 1;
        c.every = false;
        step_run(i ? "release, somebody waits; probed" : "release, somebody waits", &c);
        c = (struct step_case){.prepare = lock_prepare_held,
                               .operation = lock_acquire,
                               .asleep = lock_hand_on,
                               .dead = lock_dead,
                               .check = contended_check,
                               .last = 1};
        step_run(i ? "acquire that waits, as another; probed" : "acquire that waits, as another", &c);
        c.arg = &c;
        step_run(i ? "acquire that waits; probed" : "acquire that waits", &c);
    }
}

static int lock_destroy(void *arg)
{
    (void)arg;
    return case_end(handle, MUSTER__LOCK) ? 0 : 1;
}

/* The parent held it, somebody waited. */
static int lock_destroy_check(void *arg)
{
    int gone = muster__object_find(handle, MUSTER__LOCK) == NULL;
    assert_true(step_sleeps(0) == !gone);
    assert_int_equal(lock_release(arg), gone ? MUSTER_ERR_STALE : MUSTER_OK);
    assert_int_equal(step_join(0), gone ? (uint8_t)MUSTER_ERR_CLOSED : 0);
    if (!gone)
        assert_int_equal(lock_destroy(arg), 0);
    lock_prepare(arg); /* another one, perhaps in its place */
    lock_end();
    return gone;
}

static void destroyed_locks_tell(void **state)
{
    (void)state;
    struct step_case c = {.prepare = lock_prepare_held,
                          .operation = lock_destroy,
                          .beside = lock_use,
                          .besides = 1,
                          .check = lock_destroy_check,
                          .last = 1};
    step_run("destroy of a lock, somebody waits", &c);
}

/* ---- latch: of an object of this suite's own ---- */

static struct muster__latch *latch(void)
{
    return (struct muster__latch *)(void *)object->body;
}

static void sweep_latch(struct muster__object *of, uint32_t generation, uint32_t dead, uint32_t sweeper)
{
    uint32_t held;
    (void)generation;
    object = of;
    if (muster__latch_seize(latch(), dead, sweeper, &held))
        muster__latch_release(latch(), held, sweeper);
}

static int object_make(void *arg)
{
    (void)arg;
    uint32_t generation;
    muster_err err = muster__object_claim(MUSTER__TASK, "steps", self(), &object, &generation);
    if (err == MUSTER_OK)
        muster__object_publish(object, generation, &told->made);
    return err;
}

static void latch_prepare(void *arg)
{
    assert_int_equal(object_make(arg), MUSTER_OK);
    handle = told->made;
    muster__latch_init(latch(), handle.generation);
}

static int latch_acquire(void *arg)
{
    (void)arg;
    return muster__latch_acquire(latch(), handle.generation, self()) ? 0 : 1;
}

static int latch_release(void *arg)
{
    (void)arg;
    muster__latch_release(latch(), handle.generation, self());
    return 0;
}

static int latch_use(void *arg)
{
    return latch_acquire(arg) ? 1 : latch_release(arg);
}

static int latch_end(void *arg)
{
    (void)arg;
    muster__latch_end(latch(), handle.generation);
    return 0;
}

static void latch_prepare_held(void *arg)
{
    latch_prepare(arg);
    assert_int_equal(latch_acquire(arg), 0);
}

static void latch_hold(void *arg)
{
    if (latch_acquire(arg) != 0)
        _exit(1);
}

static void latch_hand_on(void *arg)
{
    step_start(latch_use, arg);
    latch_release(arg);
}

/* Who comes between death and sweep, and waits if the dead one had it, gets it. */
static void latch_dead(void *arg)
{
    step_start(latch_use, arg);
}

/* Everybody got it in the end. Returns how many did not because its generation had ended. */
static int latch_check(void *arg)
{
    (void)arg;
    int refused = 0;
    for (uint32_t i = 0; i < step.others; i++) {
        assert_false(step_sleeps(i));
        refused += step_join(i);
    }
    if (!refused)
        assert_int_equal(latch_use(NULL), 0);
    assert_true(muster__object_end(object, handle.generation, self()));
    nothing_is_left();
    return refused;
}

static int latch_contended_check(void *arg)
{
    if (!step.others) {
        latch_hand_on(arg);
        step_settle();
    }
    return latch_check(arg);
}

static void latches_are_never_lost(void **state)
{
    (void)state;
    struct step_case c = {
        .prepare = latch_prepare, .operation = latch_use, .dead = latch_dead, .check = latch_check, .every = true};
    step_run("latch", &c);
    c = (struct step_case){.prepare = latch_prepare,
                           .before = latch_hold,
                           .operation = latch_release,
                           .beside = latch_use,
                           .besides = 2,
                           .check = latch_check};
    step_run("latch, released, two wait", &c);
    c.operation = latch_end;
    c.last = 2;
    step_run("latch, ended, two wait", &c);
    c = (struct step_case){
        .prepare = latch_prepare_held, .operation = latch_use, .asleep = latch_hand_on, .check = latch_contended_check};
    step_run("latch, waited for, somebody behind", &c);
}

/* ---- heap ---- */

enum { PIECE = 1 << 20, PIECES = 64, BLOCKS = 256 };

struct heap_case {
    size_t size;
    int freed;   /* so many blocks of this size are freed before, and as many again that lie between these */
    bool merges; /* all is in use but two neighbours, just freed, of half this size */
};

static muster__ref kept, own; /* own: what the victim frees */
static muster__ref blocks[BLOCKS];
static int filled, pieces_before;
static uint64_t used_before;

/* Blocks of a size until there are no more, or so many. They have nothing in common with the one that is kept. */
static void take_blocks(size_t size, int n)
{
    const char *keeps = muster__heap_at(kept);
    for (muster__ref ref; n && (ref = muster__heap_alloc(size, self())); n--) {
        const char *begin = muster__heap_at(ref);
        assert_true(keeps < begin || keeps >= begin + size);
        assert_true(filled < BLOCKS);
        blocks[filled++] = ref;
    }
}

static void free_blocks(int first, int stride)
{
    for (int i = first; i < filled; i += stride)
        assert_true(muster__heap_free(blocks[i], self()));
}

static int pieces_left(void)
{
    filled = 0;
    take_blocks(PIECE, PIECES);
    int n = filled;
    free_blocks(0, 1);
    filled = 0;
    return n;
}

/* Not where the operation will be: there it would have touched all of the heap before. */
static int pieces_of_a_fresh_heap(void)
{
    case_segment(MUSTER__SEGMENT_MIN, 1);
    kept = muster__heap_alloc(1, self());
    int n = pieces_left();
    case_teardown(NULL);
    return n;
}

static void heap_prepare(void *arg)
{
    const struct heap_case *h = arg;
    told->ref = 0;
    kept = muster__heap_alloc(1, self());
    own = muster__heap_alloc(h->merges ? h->size / 2 : h->size, self());
    assert_true(muster__heap_hand_over(own, self(), 0));
    if (h->merges) {
        muster__ref other = muster__heap_alloc(h->size / 2, self());
        for (size_t size = PIECE; size >= h->size / 2; size /= 2)
            take_blocks(size, BLOCKS);
        assert_true(muster__heap_free(own, self()) && muster__heap_free(other, self()));
    } else {
        take_blocks(h->size, 2 * h->freed);
        free_blocks(0, 2);
        free_blocks(1, 2);
        filled = 0;
    }
    used_before = muster__heap_used();
}

static int heap_alloc(void *arg)
{
    const struct heap_case *h = arg;
    told->ref = muster__heap_alloc(h->size, self());
    return told->ref ? 0 : 1;
}

static int heap_free(void *arg)
{
    (void)arg;
    return muster__heap_free(own, self()) ? 0 : 1;
}

static void heap_end(void)
{
    muster__heap_free(own, self());
    free_blocks(0, 1);
    assert_int_equal(pieces_left(), pieces_before);
    assert_true(muster__heap_free(kept, self()));
    nothing_is_left();
}

static int alloc_check(void *arg)
{
    (void)arg;
    assert_int_equal(muster__heap_used(), used_before);
    assert_null(muster__heap_at(told->ref));
    heap_end();
    return told->ref != 0;
}

static int free_check(void *arg)
{
    (void)arg;
    int freed = muster__heap_at(own) == NULL;
    assert_true(freed ? muster__heap_used() < used_before : muster__heap_used() == used_before);
    heap_end();
    return freed;
}

static void the_heap_loses_nothing(void **state)
{
    (void)state;
    struct step_case c = {.prepare = heap_prepare, .operation = heap_alloc, .check = alloc_check, .last = 1};
    pieces_before = pieces_of_a_fresh_heap();
    c.arg = &(struct heap_case){.size = 1};
    step_run("alloc of a unit", &c);
    c.arg = &(struct heap_case){.size = 5000};
    step_run("alloc, cut from a larger block", &c);
    c.arg = &(struct heap_case){.size = 5000, .freed = 3};
    step_run("alloc of what was just freed", &c);
    c.arg = &(struct heap_case){.size = PIECE, .merges = true};
    step_run("alloc of merged blocks", &c);
    c.operation = heap_free;
    c.check = free_check;
    c.arg = &(struct heap_case){.size = 5000};
    step_run("free", &c);
    c.arg = &(struct heap_case){.size = 5000, .freed = 40};
    step_run("free among many", &c);
}

/* ---- objects, callers ---- */

static void forget(void *arg)
{
    (void)arg;
    told->made = (muster_handle){0};
}

static int lock_create(void *arg)
{
    (void)arg;
    return case_lock_make("steps", &told->made);
}

/* Whoever has its handle finds it. */
static int make_check(void *arg)
{
    (void)arg;
    muster_handle handle_made = told->made;
    int made = handle_made.generation != 0;
    if (made)
        assert_non_null(muster__object_find(handle_made, (enum muster__kind)(handle_made.kind_home >> 24)));
    muster__end_all_objects();
    nothing_is_left();
    return made;
}

static int retire(void *arg)
{
    (void)arg;
    return muster__object_end(object, handle.generation, self()) ? 0 : 1;
}

static int retire_check(void *arg)
{
    int gone = muster__object_find(handle, MUSTER__TASK) == NULL;
    assert_int_equal(retire(arg), gone);
    nothing_is_left();
    return gone;
}

static int leave_and_enter(void *arg)
{
    (void)arg;
    muster__caller_leave();
    return muster__caller_enter(STEP_VICTIM, false);
}

static int make_caller(void *arg)
{
    (void)arg;
    muster__caller_forget();
    return muster__caller_enter_briefly(STEP_VICTIM);
}

static int nothing_check(void *arg)
{
    (void)arg;
    nothing_is_left();
    return 0;
}

static void objects_and_callers_go(void **state)
{
    (void)state;
    struct step_case c = {.prepare = forget, .operation = object_make, .check = make_check, .last = 1};
    step_run("claim and publish", &c);
    c.operation = lock_create;
    step_run("create of a lock", &c);
    c = (struct step_case){.prepare = latch_prepare, .operation = retire, .check = retire_check, .last = 1};
    step_run("retire", &c);
    c = (struct step_case){.prepare = forget, .operation = leave_and_enter, .check = nothing_check};
    step_run("leave and enter", &c);
    c.operation = make_caller;
    step_run("another caller", &c);
}

/* ---- all of it ---- */

static int setup(void **state)
{
    static const struct muster__class class = {.name = "steps", .sweep = sweep_latch};
    muster__class_register(MUSTER__TASK, &class);
    told = step_share(sizeof *told);
    return step_setup(state);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, step_teardown)
    const struct CMUnitTest tests[] = {
        CASE(owner_dead_is_told_exactly), CASE(destroyed_locks_tell),   CASE(latches_are_never_lost),
        CASE(the_heap_loses_nothing),     CASE(objects_and_callers_go),
    };
    return step_possible() ? cmocka_run_group_tests(tests, NULL, NULL) : 77;
}
