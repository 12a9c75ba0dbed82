/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Objects of the family on one host, without MPI: their public calls, and their steps one by one. An actor is somebody
 * who does an operation as the engine would, a step at a time, so that a test says what happens between any two.
 */
#ifndef MUSTER_TESTS_FAMILY_CASE_H
#define MUSTER_TESTS_FAMILY_CASE_H

#include "process_hosts.h"

#include "object_case.h"

/* Of the header that stands in for the runtime and for MPI, one host is used here. */
__attribute__((used)) static void (*const case_hosts_are_linked)(void (*)(int), int64_t, int) = hosts_run;

static inline int family_setup(void **state)
{
    int failed = case_setup(state);
    muster__segment->host = 0;
    return failed;
}

#define FAMILY_CASE(name) cmocka_unit_test_setup_teardown(name, family_setup, case_teardown)

static inline const struct muster__op *case_op(enum muster__kind kind, const char *name)
{
    const struct muster__class *class = muster__class_of(kind);
    for (uint32_t i = 0; i < class->op_count; i++)
        if (strcmp(class->ops[i].name, name) == 0)
            return &class->ops[i];
    fail_msg("no operation is called %s", name);
    return NULL;
}

struct actor {
    const struct muster__op *op;
    struct muster__arg arg;
    struct muster__step step;
    uint32_t waiter;
    struct muster__event *event; /* in whose line it stood last */
    muster_err err;
};

/* who: the number that a holding records; no caller has it */
static inline struct actor actor(muster_handle handle, enum muster__kind kind, const char *operation, uint32_t who)
{
    struct actor a = {.op = case_op(kind, operation), .waiter = muster__waiter_make()};
    assert_int_not_equal(a.waiter, 0);
    a.step = (struct muster__step){.object = muster__object_find(handle, kind),
                                   .generation = handle.generation,
                                   .self = 5000 + who,
                                   .host = (int)muster__segment->host,
                                   .waited = true};
    assert_non_null(a.step.object);
    return a;
}

static inline muster_err actor_step(struct actor *a)
{
    a->step.arg = &a->arg;
    return a->err = muster__step(a->op, &a->step);
}

/* Stands in line for what the last step said, and looks once more. */
static inline muster_err actor_rest(struct actor *a)
{
    assert_true(muster__would_wait(a->err));
    struct muster__event *event;
    do {
        event = a->step.event;
        if (a->event && a->event != event)
            assert_true(muster__event_unhang(a->waiter));
        assert_true(muster__event_hang(event, a->waiter, a->step.watches ? MUSTER__WATCHES : 0, a->event == event));
        a->event = event;
        a->step.rests = true;
        actor_step(a);
        a->step.rests = false;
    } while (muster__would_wait(a->err) && a->step.event != event);
    if (muster__would_wait(a->err))
        a->step.called = false;
    return a->err;
}

/* Steps and rests, as one who comes while it cannot be done. */
static inline void actor_waits(struct actor *a)
{
    assert_int_equal(actor_step(a), MUSTER__WAIT);
    assert_int_equal(actor_rest(a), MUSTER__WAIT);
}

static inline bool actor_is_called(const struct actor *a)
{
    return muster__waiter_called(muster__waiter(a->waiter));
}

/* One that was called steps. */
static inline muster_err actor_wakes(struct actor *a)
{
    assert_true(actor_is_called(a));
    atomic_store(&muster__waiter(a->waiter)->state, MUSTER__WAITER_IDLE);
    a->step.called = true;
    return actor_step(a);
}

/* As it came: with what it was for, or without. */
static inline void actor_leaves(struct actor *a)
{
    bool commits = muster__commits(a->err);
    bool spent = a->step.called && !commits && !a->step.watches;
    assert_true(muster__event_unhang(a->waiter));
    if (actor_is_called(a))
        spent = !a->step.watches;
    a->step.called = spent;
    if (a->op->leave && !a->step.watches && (spent || !commits))
        a->op->leave(&a->step);
    else if (spent && a->event)
        muster__event_signal(a->event, 1);
    muster__waiter_free(a->waiter);
}

/* The object's events that are in use have nobody in their lines. */
static inline void assert_nobody_waits(muster_handle handle, enum muster__kind kind)
{
    struct muster__object *object = muster__object_find(handle, kind);
    for (int i = 0; i < MUSTER__EVENTS; i++)
        assert_int_equal(atomic_load(&object->event[i].head), 0);
}

#endif
