/* SPDX-License-Identifier: BSD-3-Clause */
#include "queue/internal.h"

#include <stdlib.h>
#include <string.h>

static int this_host(void)
{
    return (int)muster__segment->host;
}

static uint64_t bit_of(int host)
{
    return UINT64_C(1) << host % 64;
}

/* Whoever ends it may be another thread. */
static struct muster__object *pin(muster_handle handle)
{
    return muster__object_pin(handle, MUSTER__QUEUE);
}

static bool same(muster_handle a, muster_handle b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

/* ---- who goes on: the agent's ---- */

/* An item by itself counts; after so many a lease pays. A lease that was called back soon makes it twice as many. */
enum { NEED = 4, NEED_MAX = 1024, HABITS = 4096 };

struct wish {
    uint32_t count, need;
    bool granted;
};

/* Two that fall on the same place forget each other, which costs a lease that would have paid. */
struct habit {
    uint32_t slot, generation;
    int host;
    struct wish put, get;
    int64_t gets; /* of the queue, when the host got its last one */
};

static struct habit *habit_of(const struct muster__step *step)
{
    static struct habit habits[HABITS];
    uint32_t slot = muster__object_slot_of(step->object);
    struct habit *habit = &habits[(slot + (uint32_t)step->host * 257) % HABITS];
    if (habit->slot != slot || habit->generation != step->generation || habit->host != step->host)
        *habit = (struct habit){
            .slot = slot, .generation = step->generation, .host = step->host, .put.need = NEED, .get.need = NEED};
    return habit;
}

/* Whether a lease should begin. */
static bool grows(struct wish *wish, bool has_it, bool goes_on)
{
    if (wish->granted && !has_it) {
        wish->granted = false;
        wish->count = 0;
        wish->need = wish->need < NEED_MAX ? 2 * wish->need : NEED_MAX;
    }
    wish->count = goes_on ? wish->count + 1 : 1;
    return !has_it && wish->count >= wish->need;
}

static bool may_begin(struct muster__object *object)
{
    struct muster__queue *queue = muster__queue_of(object);
    return !queue->maxsize && !atomic_load(&queue->closing) && !atomic_load(&queue->settling) &&
           !atomic_load(&object->event[MUSTER__QUEUE_IDLE].head);
}

static muster_handle handle_of(const struct muster__step *step)
{
    return muster__handle_make(MUSTER__QUEUE, muster__object_slot_of(step->object), step->generation);
}

static void put_by_itself(struct muster__step *step)
{
    struct muster__queue *queue = muster__queue_of(step->object);
    struct wish *wish = &habit_of(step)->put;
    uint64_t bit = bit_of(step->host);
    if (!grows(wish, atomic_load(&queue->lessees) & bit && wish->granted, true) || !may_begin(step->object))
        return;
    atomic_fetch_or(&queue->users, bit);
    atomic_fetch_or(&queue->lessees, bit);
    if (atomic_load(&queue->closing)) /* by who may have seen no lessee */
        return;
    wish->granted = true;
    queue_tell(step->host, handle_of(step), QUEUE_LEND_PUT);
}

static void hold(const struct muster__step *step, int64_t done)
{
    const struct muster__arg *arg = step->arg;
    if (arg->size > MUSTER__QUEUE_INLINE_MAX && !arg->in[1]) {
        pipe_hold(handle_of(step), step->host, true, arg->bytes, arg->size);
        return;
    }
    uint64_t size = arg->in[1] ? (uint64_t)arg->in[1] : arg->size;
    size_t packed = muster__queue_packed(size), all = packed * (size_t)(arg->in[2] - done);
    char *bytes = calloc(1, all);
    MUSTER__CHECK_EQ(bytes != NULL, true);
    for (int64_t i = done; i < arg->in[2]; i++) {
        char *at = bytes + (size_t)(i - done) * packed;
        memcpy(at, &size, sizeof size);
        if (size)
            memcpy(at + sizeof size, (const char *)arg->bytes + (size_t)i * size, size);
    }
    pipe_hold(handle_of(step), step->host, false, bytes, all);
    free(bytes);
}

static bool is_full(const struct muster__step *step)
{
    return pipe_is_full(handle_of(step), step->host);
}

static void got_by_itself(struct muster__step *step, int64_t items)
{
    struct muster__queue *queue = muster__queue_of(step->object);
    struct habit *habit = habit_of(step);
    int64_t gets = muster__queue_gets(queue);
    bool alone = gets == habit->gets + items;
    habit->gets = gets;
    bool has_it = atomic_load(&queue->lent) == (uint32_t)step->host + 1;
    if (!grows(&habit->get, has_it, alone) || atomic_load(&queue->lent) || !may_begin(step->object))
        return;
    atomic_fetch_or(&queue->users, bit_of(step->host));
    if (muster__queue_lend(step->object, step->generation, (uint32_t)step->host + 1) != MUSTER_OK)
        return;
    habit->get.granted = true;
    queue_tell(step->host, handle_of(step), QUEUE_LEND_GET);
    pipe_lend(handle_of(step), step->object, step->host);
}

/* ---- the end of leases ---- */

/* a lease that was called back and has not come yet */
static struct recall {
    struct recall *next;
    muster_handle handle;
    int host;
    bool get;
} * recalls;

static bool any_recall(muster_handle handle)
{
    const struct recall *recall = recalls;
    while (recall && !same(recall->handle, handle))
        recall = recall->next;
    return recall;
}

/* Of a lost host there is nothing to come. */
static void recall(muster_handle handle, int host, bool get)
{
    if (muster__host_lost(host))
        return;
    struct recall *made = malloc(sizeof *made);
    MUSTER__CHECK_EQ(made != NULL, true);
    *made = (struct recall){recalls, handle, host, get};
    recalls = made;
    queue_tell(host, handle, get ? QUEUE_RECALL_GET : QUEUE_RECALL_PUT);
}

/* What is out is taken or given back without being asked for. */
static bool is_lent(const struct muster__queue *queue)
{
    uint32_t lent = atomic_load(&queue->lent);
    return lent && lent != MUSTER__QUEUE_OUT;
}

static muster_err settle_pinned(struct muster__object *object, uint32_t generation)
{
    struct muster__queue *queue = muster__queue_of(object);
    if (is_lent(queue) && muster__queue_lend(object, generation, 0) == (muster_err)MUSTER__AGAIN)
        return MUSTER__AGAIN;
    atomic_store(&queue->lessees, 0);
    atomic_store(&queue->claimants, 0);
    atomic_store(&queue->ships, 0);
    atomic_fetch_add(&queue->settlements, 1);
    atomic_store(&queue->settling, 0);
    muster__event_signal(&object->event[MUSTER__QUEUE_SETTLED], -1);
    muster__event_signal(&object->event[MUSTER__QUEUE_ITEMS], -1);
    return MUSTER_OK;
}

static muster_err settled(muster_handle handle)
{
    struct muster__object *object = pin(handle);
    if (!object)
        return MUSTER_OK;
    muster_err err = settle_pinned(object, handle.generation);
    muster__object_unpin();
    return err;
}

/* False: there was no such recall. */
static bool end_recall(muster_handle handle, int host, bool get)
{
    for (struct recall **link = &recalls, *found; (found = *link); link = &found->next)
        if (found->host == host && found->get == get && same(found->handle, handle)) {
            *link = found->next;
            free(found);
            return true;
        }
    return false;
}

static muster_err settle(muster_handle handle)
{
    struct muster__object *object = any_recall(handle) ? NULL : pin(handle);
    if (!object)
        return MUSTER_OK;
    struct muster__queue *queue = muster__queue_of(object);
    uint64_t lessees = atomic_load(&queue->lessees) | atomic_load(&queue->claimants);
    uint32_t lent = is_lent(queue) ? atomic_load(&queue->lent) : 0;
    bool asked = atomic_load(&queue->settling); /* else that was done already: who sweeps may have asked again */
    muster__object_unpin();
    if (!asked)
        return MUSTER_OK;
    for (int host = 0; lessees && host < muster_hosts(); host++)
        if (lessees & bit_of(host) && host != this_host())
            recall(handle, host, false);
    if (lent)
        recall(handle, (int)lent - 1, true);
    return any_recall(handle) ? MUSTER_OK : settled(handle);
}

static muster_err recalled(muster_handle handle, int host)
{
    end_recall(handle, host, false);
    return any_recall(handle) ? MUSTER_OK : settled(handle);
}

/* Items that find no room here wait for it on the way. They end the lease, so that nothing puts them back twice. */
static muster_err returned(struct muster__note *note)
{
    struct muster__object *object = note->size ? pin(note->object) : NULL;
    bool lent = object && atomic_load(&muster__queue_of(object)->lent) == (uint32_t)note->host + 1;
    muster_err err =
        lent ? muster__queue_returned(object, note->object.generation, note->bytes, note->size) : MUSTER_OK;
    if (object)
        muster__object_unpin();
    if (err == (muster_err)MUSTER__AGAIN || err == MUSTER_ERR_NOMEM)
        return MUSTER__AGAIN;
    end_recall(note->object, note->host, true);
    return any_recall(note->object) ? MUSTER_OK : settled(note->object);
}

static void host_lost(int host)
{
    pipe_host_lost(host);
    for (struct recall *found = recalls, *next; found; found = next) {
        next = found->next;
        if (found->host != host)
            continue;
        muster_handle handle = found->handle;
        end_recall(handle, host, found->get);
        if (!any_recall(handle))
            queue_tell(this_host(), handle, QUEUE_SETTLE);
        next = recalls;
    }
}

static void ask_to_settle(struct muster__object *object, uint32_t generation)
{
    queue_tell(this_host(), muster__handle_make(MUSTER__QUEUE, muster__object_slot_of(object), generation),
               QUEUE_SETTLE);
}

static void ask_to_ship(struct muster__object *object, uint32_t generation)
{
    atomic_store(&muster__queue_of(object)->told, 1);
    queue_tell(this_host(), muster__handle_make(MUSTER__QUEUE, muster__object_slot_of(object), generation), QUEUE_SHIP);
}

static muster_err noted(struct muster__note *note)
{
    switch ((enum queue_note)note->operation) {
    case QUEUE_SETTLE:
        return settle(note->object);
    case QUEUE_RECALLED:
        return recalled(note->object, note->host);
    case QUEUE_RETURNED:
        return returned(note);
    default:
        return pipe_noted(note);
    }
}

/* By whoever ends it; who asked for that waits for the hosts besides, unless it dies before. */
static void ended(struct muster__object *object, uint32_t generation)
{
    uint64_t users = atomic_load(&muster__queue_of(object)->users);
    muster_handle handle = muster__handle_make(MUSTER__QUEUE, muster__object_slot_of(object), generation);
    for (int host = 0; host < muster_hosts(); host++)
        if (host == this_host() || users & bit_of(host)) /* here, for its end of pipes */
            queue_tell(host, handle, QUEUE_ENDED);
}

__attribute__((constructor)) static void set_hooks(void)
{
    static const struct muster__queue_hosts between = {ask_to_settle, ask_to_ship, is_full, put_by_itself,
                                                       got_by_itself, hold,        ended};
    muster__queue_hosts = &between;
    muster__remote_register(MUSTER__QUEUE, noted);
    muster__remote_on_lost(MUSTER__QUEUE, host_lost);
}
