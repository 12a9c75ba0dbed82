/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Kills at every instruction of the operations of each kind of object, from a table (steps_kinds.h; see step_case.h):
 * each is all or nothing, whoever waits is served, and when the object is made or ended, likewise.
 */
#include "one_host.h"
#include "steps_kinds.h"
#include "steps_left.h"

static const struct steps_row *row;
static const struct steps_kind *kind;
static bool waked; /* the victim was, when it slept */

/* What the victim makes. */
static muster_handle *made;

static int code_of(muster_err err)
{
    return err == MUSTER_ERR_OWNER_DEAD ? 0 : (uint8_t)err;
}

static bool is_there(muster_handle handle)
{
    return muster__object_find(handle, (enum muster__kind)(handle.kind_home >> 24)) != NULL;
}

/* ---- rows ---- */

static void row_prepare(void *arg)
{
    (void)arg;
    waked = false;
    assert_int_equal(row->kind->make(), MUSTER_OK);
    if (row->before)
        assert_int_equal(row->before(), MUSTER_OK);
}

static void row_mine(void *arg)
{
    (void)arg;
    if (row->mine && row->mine() != MUSTER_OK)
        _exit(90);
}

static int row_act(void *arg)
{
    (void)arg;
    return code_of(row->act());
}

static int row_wait(void *arg)
{
    (void)arg;
    return code_of(row->waits());
}

static void row_wake(void *arg)
{
    (void)arg;
    waked = true;
    assert_int_equal(row->wakes(), MUSTER_OK);
}

static uint32_t sleepers(void)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < step.others; i++)
        n += step_sleeps(i);
    return n;
}

/* Whoever still waits is woken, one after the other. */
static void wake_all(void)
{
    for (int i = 0; sleepers(); i++) {
        assert_true(row->wakes && i < 8);
        row->wakes();
        step_settle();
    }
    step_join_all();
}

/* Looks may lie between the two; the way from the first to the last is one way. */
static int row_check(void *arg)
{
    (void)arg;
    int64_t first = row->looks[0], last = row->looks[1];
    if (row->wakes && !row->waits && !waked) /* the victim did not come to sleep */
        row->wakes();
    int64_t look = row->kind->look ? row->kind->look() : 0;
    int64_t outcome = first <= last ? look - first : first - look;
    uint32_t woken = step.others - sleepers();
    if (outcome < 0 || outcome > llabs(last - first))
        fail_msg("the object stands at %lld, not at %lld to %lld", (long long)look, (long long)first, (long long)last);
    if (woken < row->woken[0] || woken > row->woken[1])
        fail_msg("%u of %u waiters were called, not %u to %u", woken, step.others, row->woken[0], row->woken[1]);
    if (step_ended())
        assert_int_equal(woken, row->woken[1]);
    wake_all();
    assert_int_equal(row->kind->end(), MUSTER_OK);
    nothing_is_left();
    return (int)outcome;
}

static void operations_are_all_or_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < STEPS_ROWS; i++) {
        char name[64];
        row = &steps_rows[i];
        snprintf(name, sizeof name, "%s: %s", row->kind->name, row->name);
        struct step_case c = {.prepare = row_prepare,
                              .before = row_mine,
                              .operation = row_act,
                              .beside = row->waits ? row_wait : NULL,
                              .besides = row->waiters,
                              .asleep = row->waits ? NULL : row_wake,
                              .check = row_check,
                              .last = (int)llabs(row->looks[1] - row->looks[0])};
        step_run(name, &c);
    }
}

/* ---- make, end ---- */

static void make_prepare(void *arg)
{
    (void)arg;
    *made = *kind->handle() = (muster_handle){0};
}

static int make(void *arg)
{
    (void)arg;
    muster_err err = kind->make();
    *made = *kind->handle();
    return err;
}

/* Whoever has its handle finds it. */
static int make_check(void *arg)
{
    (void)arg;
    int is_made = kind->handle()->generation != 0;
    if (is_made)
        assert_true(is_there(*kind->handle()));
    muster__end_all_objects();
    nothing_is_left();
    return is_made;
}

static void end_prepare(void *arg)
{
    (void)arg;
    assert_int_equal(kind->make(), MUSTER_OK);
    if (kind->stop)
        assert_int_equal(kind->stop(), MUSTER_OK);
}

static int end(void *arg)
{
    (void)arg;
    return kind->end();
}

/* Each waits for something else. */
static int wait_in_turn(void *arg)
{
    uint32_t member = atomic_load(&muster__self_state.caller->live) - 1;
    (void)arg;
    return (uint8_t)kind->waits[member - STEP_OTHERS]();
}

/* Either all of it is still there, and they wait, or nothing, and they were told. */
static int end_check(void *arg)
{
    (void)arg;
    int gone = !is_there(*kind->handle());
    assert_int_equal(sleepers(), gone ? 0 : step.others);
    assert_int_equal(kind->end(), gone ? MUSTER_ERR_STALE : MUSTER_OK);
    for (uint32_t i = 0; i < step.others; i++)
        assert_int_equal(step_join(i), (uint8_t)MUSTER_ERR_CLOSED);
    for (uint32_t i = 0; i < steps_waits_of(kind); i++)
        assert_int_equal(kind->waits[i](), MUSTER_ERR_STALE);
    nothing_is_left();
    return gone;
}

static void objects_are_made_and_ended_whole(void **state)
{
    (void)state;
    for (int i = 0; i < STEPS_KINDS; i++) {
        char name[64];
        kind = steps_kinds[i];
        struct step_case c = {.prepare = make_prepare, .operation = make, .check = make_check, .last = 1};
        snprintf(name, sizeof name, "%s: made", kind->name);
        step_run(name, &c);
        c = (struct step_case){.prepare = end_prepare,
                               .operation = end,
                               .beside = wait_in_turn,
                               .besides = steps_waits_of(kind),
                               .check = end_check,
                               .last = 1};
        snprintf(name, sizeof name, "%s: ended, %u wait", kind->name, c.besides);
        step_run(name, &c);
    }
}

static int setup(void **state)
{
    struct shared {
        struct steps_objects objects;
        muster_handle made;
    } *shared = step_share(sizeof *shared);
    steps_at = &shared->objects;
    made = &shared->made;
    return step_setup(state);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, step_teardown)
    const struct CMUnitTest tests[] = {
        CASE(operations_are_all_or_nothing),
        CASE(objects_are_made_and_ended_whole),
    };
    return step_possible() ? cmocka_run_group_tests(tests, NULL, NULL) : 77;
}
