/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads that hurry, as agents do: a latch that they need is another one's. What they could not do is done again,
 * once; what they have done is not.
 */
#include "family_case.h"

#include <muster/dict.h>
#include <muster/queue.h>
#include <muster/semaphore.h>

enum { STRANGER = 77 }; /* who has the latch, and does not run */

static void held_by_stranger(struct muster__latch *latch)
{
    uint64_t word = atomic_load(&latch->word);
    assert_int_equal((uint32_t)word, 0);
    atomic_store(&latch->word, word | STRANGER);
}

static void stranger_goes_on(struct muster__latch *latch)
{
    muster__latch_release(latch, (uint32_t)(atomic_load(&latch->word) >> 32), STRANGER);
}

static struct muster__object *object_of(muster_handle handle, enum muster__kind kind)
{
    struct muster__object *object = muster__object_find(handle, kind);
    assert_non_null(object);
    return object;
}

/* Undone, though who is to be called for it is called later. */
static void what_is_undone_is_undone_once(void **state)
{
    (void)state;
    muster_semaphore semaphore;
    int64_t permits;
    assert_int_equal(muster_semaphore_create(&semaphore, 1, 0, NULL), MUSTER_OK);
    struct muster__latch *line = &object_of(semaphore.handle, MUSTER__SEMAPHORE)->event[0].latch;
    struct actor gone = actor(semaphore.handle, MUSTER__SEMAPHORE, "muster_semaphore_acquire", 1),
                 waits = actor(semaphore.handle, MUSTER__SEMAPHORE, "muster_semaphore_acquire", 2);
    assert_int_equal(actor_step(&gone), MUSTER_OK);
    actor_waits(&waits);
    held_by_stranger(line);
    muster__hurry(true);
    gone.op->undo(&gone.step, false);
    assert_false(muster__self_state.busy);
    assert_true(muster__catch_up());
    assert_int_equal(muster_semaphore_value(semaphore, &permits), MUSTER_OK);
    assert_int_equal(permits, 1);
    assert_false(actor_is_called(&waits));
    stranger_goes_on(line);
    assert_false(muster__catch_up());
    muster__hurry(false);
    assert_int_equal(actor_wakes(&waits), MUSTER_OK);
    actor_leaves(&waits);
}

static void an_item_comes_back_once(void **state)
{
    (void)state;
    muster_handle queue;
    char item[8] = "an item";
    int64_t items;
    assert_int_equal(case_queue_make("queue", 0, &queue), MUSTER_OK);
    struct muster__object *object = object_of(queue, MUSTER__QUEUE);
    struct muster__latch *latch = &muster__queue_of(object)->get_latch, *line = &object->event[0].latch;
    struct actor gone = actor(queue, MUSTER__QUEUE, "muster_queue_get", 1);
    struct actor waits = actor(queue, MUSTER__QUEUE, "muster_queue_get", 2);
    assert_int_equal(case_queue_put(queue, item, sizeof item, MUSTER_NOWAIT), MUSTER_OK);
    gone.arg = (struct muster__arg){.room = item, .capacity = sizeof item};
    gone.step.claims = true;
    assert_int_equal(actor_step(&gone), MUSTER_OK);
    actor_waits(&waits);
    gone.arg.bytes = item;
    gone.arg.size = sizeof item;
    muster__hurry(true);
    held_by_stranger(latch);
    gone.op->undo(&gone.step, false);
    assert_true(muster__self_state.busy); /* to be done again */
    stranger_goes_on(latch);
    muster__self_state.busy = false;
    held_by_stranger(line);
    gone.op->undo(&gone.step, false);
    assert_false(muster__self_state.busy);
    stranger_goes_on(line);
    muster__catch_up();
    muster__hurry(false);
    assert_int_equal(case_queue_ask(queue, MUSTER__QUEUE_SIZE, &items, MUSTER_NOWAIT), MUSTER_OK);
    assert_int_equal(items, 1);
    assert_true(actor_is_called(&waits));
    actor_leaves(&waits);
}

/* Each operation of a map: nothing was done, nothing is kept for it, and then it is done. */
static void a_busy_map_changes_nothing(void **state)
{
    (void)state;
    static const char *const operations[] = {"muster_dict_set",    "muster_dict_set_new", "muster_dict_add",
                                             "muster_dict_remove", "muster_dict_get",     "muster_dict_next"};
    static char key_and_value[] = "key\0valuable";
    muster_dict dict;
    int64_t keys;
    assert_int_equal(muster_dict_create(&dict, NULL), MUSTER_OK);
    struct muster__latch *latch = (void *)object_of(dict.handle, MUSTER__DICT)->body; /* it comes first there */
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        struct actor a = actor(dict.handle, MUSTER__DICT, operations[i], 1);
        char room[64];
        bool sets = i < 3, wants = i >= 3;
        a.arg = (struct muster__arg){
            .in = {4, 64}, .bytes = key_and_value, .size = i < 2 ? 12 : 4, .room = room, .capacity = 64};
        if (strcmp(operations[i], "muster_dict_next") == 0)
            a.arg.in[0] = 0;
        if (wants)
            assert_int_equal(muster_dict_set(dict, "key", "valuable", 8), MUSTER_OK);
        else
            muster_dict_remove(dict, "key");
        assert_int_equal(muster_dict_size(dict, &keys), MUSTER_OK);
        uint64_t used = muster__heap_used();
        held_by_stranger(latch);
        muster__hurry(true);
        assert_int_equal(actor_step(&a), MUSTER__AGAIN);
        assert_int_equal(muster__heap_used(), used);
        stranger_goes_on(latch);
        muster__hurry(true);
        assert_int_equal(actor_step(&a), MUSTER_OK);
        muster__hurry(false);
        int64_t now;
        assert_int_equal(muster_dict_size(dict, &now), MUSTER_OK);
        assert_int_equal(now, sets ? keys + 1 : strcmp(operations[i], "muster_dict_remove") == 0 ? keys - 1 : keys);
        muster__waiter_free(a.waiter);
    }
    assert_int_equal(muster_dict_destroy(dict), MUSTER_OK);
    assert_int_equal(muster__heap_used(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAMILY_CASE(what_is_undone_is_undone_once),
        FAMILY_CASE(an_item_comes_back_once),
        FAMILY_CASE(a_busy_map_changes_nothing),
    };
    return cmocka_run_group_tests_name("busy", tests, NULL, NULL);
}
