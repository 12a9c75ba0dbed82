#include "segment/heap.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

static void raise_high(uint32_t above)
{
    _Atomic uint32_t *high = &muster__segment->objects_high;
    uint32_t seen = atomic_load(high);
    while (seen < above && !atomic_compare_exchange_weak(high, &seen, above))
        ;
}

static uint32_t slot_of(const struct muster__object *object)
{
    return (uint32_t)(object - muster__object_slot(0));
}

/* Generations start at 1, so that an all-zero handle never fits. */
muster_err muster__object_claim(enum muster__kind kind, const char *name, uint32_t self, struct muster__object **object,
                                uint32_t *generation)
{
    uint32_t start = atomic_load(&muster__segment->object_hint);
    for (uint32_t i = 0; i < MUSTER__OBJECTS_MAX; i++) {
        uint32_t slot = (start + i) % MUSTER__OBJECTS_MAX;
        struct muster__object *found = muster__object_slot(slot);
        uint64_t word = atomic_load(&found->tag);
        struct muster__tag tag = muster__tag_unpack(word);
        if (tag.state != MUSTER__TAG_FREE)
            continue;
        raise_high(slot + 1); /* first: the sweeper must find whoever dies here */
        tag = (struct muster__tag){tag.generation ? tag.generation : 1, self, kind, MUSTER__TAG_CLAIMED};
        if (!atomic_compare_exchange_strong(&found->tag, &word, muster__tag_pack(tag)))
            continue;
        atomic_store(&muster__segment->object_hint, slot + 1);
        memset(found->body, 0, sizeof found->body);
        snprintf(found->name, sizeof found->name, "%s", name ? name : "");
        *object = found;
        *generation = tag.generation;
        return MUSTER_OK;
    }
    return muster__fail(MUSTER_ERR_NOMEM, "all %d objects of this host are in use; destroy some", MUSTER__OBJECTS_MAX);
}

void muster__object_publish(struct muster__object *object, uint32_t generation, muster_handle *handle)
{
    struct muster__tag tag = muster__tag_unpack(atomic_load(&object->tag));
    uint32_t kind = tag.kind;
    tag = (struct muster__tag){generation, 0, kind, MUSTER__TAG_LIVE};
    atomic_store(&object->tag, muster__tag_pack(tag));
    *handle = muster__handle_make((enum muster__kind)kind, slot_of(object), generation);
    atomic_fetch_add(muster__kind_epoch(kind), 1);
}

bool muster__object_retire(struct muster__object *object, uint32_t generation)
{
    uint64_t word = atomic_load(&object->tag);
    struct muster__tag tag = muster__tag_unpack(word);
    if (tag.generation != generation || tag.state == MUSTER__TAG_FREE)
        return false;
    uint32_t next = generation + 1 ? generation + 1 : 1;
    if (!atomic_compare_exchange_strong(&object->tag, &word, (uint64_t)next << 32))
        return false;
    if (slot_of(object) < atomic_load(&muster__segment->object_hint))
        atomic_store(&muster__segment->object_hint, slot_of(object)); /* low slots first: sweeps look at few */
    return true;
}

struct muster__object *muster__object_find(muster_handle handle, enum muster__kind kind)
{
    if (!muster__handle_fits(handle, kind))
        return NULL;
    struct muster__object *object = muster__object_slot(handle.slot);
    struct muster__tag live = {handle.generation, 0, kind, MUSTER__TAG_LIVE};
    return atomic_load(&object->tag) == muster__tag_pack(live) ? object : NULL;
}

muster_err muster__object_stale(enum muster__kind kind, const char *operation)
{
    if (!muster__segment)
        return muster__fail(MUSTER_ERR_STATE, "%s: muster_init has not been called, or muster_finalize has", operation);
    return muster__fail(MUSTER_ERR_STALE, "%s: this handle's %s was destroyed or never created", operation,
                        muster__class_name(kind));
}

/* The pin is stored before the tag is read and the tag is changed before the pins are read: one of the two sees the
 * other. */
struct muster__object *muster__object_pin(muster_handle handle, enum muster__kind kind)
{
    if (!muster__handle_fits(handle, kind) || !muster__self_number())
        return NULL;
    struct muster__caller *caller = muster__self_state.caller;
    atomic_store(&caller->using, handle.slot + 1);
    struct muster__object *object = muster__object_find(handle, kind);
    if (!object)
        atomic_store_explicit(&caller->using, 0, memory_order_release);
    return object;
}

void muster__object_unpin(void)
{
    atomic_store_explicit(&muster__self_state.caller->using, 0, memory_order_release);
}

void muster__object_drain(struct muster__object *object)
{
    uint32_t wanted = slot_of(object) + 1;
    uint32_t high = atomic_load(&muster__segment->callers_high);
    for (uint32_t number = 1; number < high; number++) {
        struct muster__caller *caller = muster__caller(number);
        while (number != muster__self_state.number && atomic_load(&caller->live) &&
               atomic_load(&caller->using) == wanted)
            sched_yield();
    }
}

void muster__object_describe(const struct muster__object *object, char *text, size_t size)
{
    struct muster__tag tag = muster__tag_unpack(atomic_load(&object->tag));
    if (object->name[0])
        snprintf(text, size, "%s %u '%s'", muster__class_name(tag.kind), slot_of(object), object->name);
    else
        snprintf(text, size, "%s %u", muster__class_name(tag.kind), slot_of(object));
}
