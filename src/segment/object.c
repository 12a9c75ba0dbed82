/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "segment/heap.h"

/* A kind whose freed slots are fewer than this gets another page: so a slot rests for a while. */
enum { RESTING = 16 };

static struct muster__tag tag_of(const struct muster__object *object)
{
    return muster__tag_unpack(atomic_load(&object->tag));
}

static void set_tag(struct muster__object *object, struct muster__tag tag)
{
    atomic_store(&object->tag, muster__tag_pack(tag));
}

/* ---- pages ---- */

static _Atomic uint8_t *page_kind(uint32_t page)
{
    return (_Atomic uint8_t *)muster__at(muster__segment->pages_offset) + page;
}

uint32_t muster__objects_end(void)
{
    return atomic_load(&muster__segment->pages_high) * MUSTER__PAGE;
}

static bool page_add(enum muster__kind kind)
{
    uint32_t pages = muster__segment->objects_max / MUSTER__PAGE;
    for (uint32_t page = 0; page < pages; page++) {
        uint8_t none = 0;
        if (!atomic_compare_exchange_strong(page_kind(page), &none, (uint8_t)kind))
            continue;
        uint32_t high = atomic_load(&muster__segment->pages_high);
        while (high <= page && !atomic_compare_exchange_weak(&muster__segment->pages_high, &high, page + 1))
            ;
        atomic_store(&muster__segment->kind[kind].cursor, page * MUSTER__PAGE);
        return true;
    }
    return false;
}

/* The next slot of a kind at or after one, round all pages; *left counts down what is still to be looked at. */
static bool next_of_kind(enum muster__kind kind, uint32_t *slot, uint32_t *left)
{
    uint32_t end = muster__objects_end();
    while (*left && end) {
        *slot = *slot < end ? *slot : 0;
        if (atomic_load_explicit(page_kind(*slot / MUSTER__PAGE), memory_order_relaxed) == (uint8_t)kind) {
            --*left;
            return true;
        }
        uint32_t skipped = MUSTER__PAGE - *slot % MUSTER__PAGE;
        *left -= skipped < *left ? skipped : *left;
        *slot += skipped;
    }
    return false;
}

/* ---- claiming ---- */

static struct muster__object *claim_free(enum muster__kind kind, uint32_t self, uint32_t *generation)
{
    _Atomic uint32_t *cursor = &muster__segment->kind[kind].cursor;
    uint32_t left = muster__objects_end(), slot = atomic_load(cursor);
    for (; next_of_kind(kind, &slot, &left); slot++) {
        struct muster__object *object = muster__object_slot(slot);
        uint64_t word = atomic_load(&object->tag);
        struct muster__tag tag = muster__tag_unpack(word);
        if (tag.state != MUSTER__FREE)
            continue;
        *generation = tag.generation ? tag.generation : 1; /* from 1 on: an all-zero handle never fits */
        tag = (struct muster__tag){*generation, self, kind, MUSTER__CLAIMED};
        if (!atomic_compare_exchange_strong(&object->tag, &word, muster__tag_pack(tag)))
            continue;
        atomic_store(cursor, slot + 1);
        return object;
    }
    return NULL;
}

muster_err muster__object_claim(enum muster__kind kind, const char *name, uint32_t self, struct muster__object **object,
                                uint32_t *generation)
{
    struct muster__object *found;
    while (!(found = claim_free(kind, self, generation))) {
        int freed = muster__objects_clean(kind, self);
        if (freed < RESTING && page_add(kind))
            continue;
        if (!freed)
            return muster__fail(MUSTER_ERR_NOMEM, "all %u objects of this host are in use; destroy some",
                                muster__segment->objects_max);
    }
    memset(found->body, 0, sizeof found->body);
    snprintf(found->name, sizeof found->name, "%s", name ? name : "");
    *object = found;
    return MUSTER_OK;
}

void muster__object_publish(struct muster__object *object, uint32_t generation, muster_handle *handle)
{
    uint32_t kind = tag_of(object).kind;
    set_tag(object, (struct muster__tag){generation, 0, kind, MUSTER__LIVE});
    *handle = muster__handle_make((enum muster__kind)kind, muster__object_slot_of(object), generation);
    atomic_fetch_add(muster__kind_epoch(kind), 1);
}

static void set_free(struct muster__object *object, struct muster__tag tag)
{
    uint32_t next = tag.generation + 1 ? tag.generation + 1 : 1;
    set_tag(object, (struct muster__tag){next, 0, tag.kind, MUSTER__FREE});
}

void muster__object_abandon(struct muster__object *object, uint32_t generation)
{
    struct muster__tag tag = tag_of(object);
    if (tag.generation == generation && tag.state == MUSTER__CLAIMED)
        set_free(object, tag);
}

muster_err muster__object_make(enum muster__kind kind, const char *name, struct muster__arg *arg, muster_handle *handle)
{
    struct muster__object *object;
    uint32_t generation, self = muster__self_number();
    const struct muster__class *class = muster__class_of(kind);
    muster_err err = muster__object_claim(kind, name, self, &object, &generation);
    if (err)
        return err;
    err = class->make ? class->make(object, generation, arg, self) : MUSTER_OK;
    if (err) {
        muster__object_abandon(object, generation);
        return err;
    }
    muster__object_publish(object, generation, handle);
    muster__trace(MUSTER__EVENT_MADE, *handle, 0, MUSTER_OK);
    if (class->made)
        class->made(object, self);
    return MUSTER_OK;
}

/* ---- the end ---- */

static void call_all(struct muster__object *object)
{
    for (int i = 0; i < MUSTER__EVENTS; i++)
        muster__event_signal(&object->event[i], -1);
}

static void finish_end(struct muster__object *object, struct muster__tag tag, uint32_t self);

static void finish_end_later(uint64_t slot, uint64_t self)
{
    struct muster__object *object = muster__object_slot((uint32_t)slot);
    finish_end(object, tag_of(object), (uint32_t)self);
}

static void finish_end(struct muster__object *object, struct muster__tag tag, uint32_t self)
{
    const struct muster__class *class = muster__class_of(tag.kind);
    muster__self_state.busy = false;
    if (class && class->drop)
        class->drop(object, tag.generation, self);
    if (MUSTER__UNLIKELY(muster__self_state.busy)) {
        muster__put_off(finish_end_later, muster__object_slot_of(object), self);
        return;
    }
    atomic_fetch_add(&muster__segment->kind[tag.kind].epoch, 1);
    call_all(object);
    set_tag(object, (struct muster__tag){tag.generation, 0, tag.kind, MUSTER__OVER});
    atomic_store(&muster__segment->kind[tag.kind].over, 1);
    muster__objects_clean((enum muster__kind)tag.kind, self);
}

bool muster__object_end(struct muster__object *object, uint32_t generation, uint32_t self)
{
    struct muster__tag tag = tag_of(object);
    tag = (struct muster__tag){generation, 0, tag.kind, MUSTER__LIVE};
    uint64_t live = muster__tag_pack(tag);
    tag.state = MUSTER__ENDING;
    tag.claimer = self;
    if (!atomic_compare_exchange_strong(&object->tag, &live, muster__tag_pack(tag)))
        return false;
    muster__trace(MUSTER__EVENT_ENDED,
                  muster__handle_make((enum muster__kind)tag.kind, muster__object_slot_of(object), generation), 0,
                  MUSTER_OK);
    finish_end(object, tag, self);
    return true;
}

static bool lines_empty(struct muster__object *object)
{
    for (int i = 0; i < MUSTER__EVENTS; i++)
        if (atomic_load(&object->event[i].head))
            return false;
    return true;
}

static void finish_clean(struct muster__object *object, struct muster__tag tag, uint32_t self)
{
    const struct muster__class *class = muster__class_of(tag.kind);
    if (class && class->clean)
        class->clean(object, self);
    set_free(object, tag);
}

/* Raises *left if it is to be cleaned some time, and cannot be now. */
static bool clean_one(struct muster__object *object, uint32_t self, bool *left)
{
    uint64_t word = atomic_load(&object->tag);
    struct muster__tag tag = muster__tag_unpack(word), mine = tag;
    uint64_t pin = (uint64_t)tag.generation << 32 | (muster__object_slot_of(object) + 1);
    const struct muster__class *class = muster__class_of(tag.kind);
    if (tag.state != MUSTER__OVER || tag.claimer)
        return false;
    *left = true;
    if (muster__pinned(pin))
        return false;
    if (class && class->in_use && class->in_use(object))
        return false;
    if (!lines_empty(object)) { /* it was busy when all were called */
        call_all(object);
        return false;
    }
    mine.claimer = self;
    if (!atomic_compare_exchange_strong(&object->tag, &word, muster__tag_pack(mine)))
        return false;
    finish_clean(object, tag, self);
    return true;
}

/* `over` is lowered before the look, and raised after an object is over: who misses one leaves it raised. Who dies
 * between has it raised by the sweeper. */
int muster__objects_clean(enum muster__kind kind, uint32_t self)
{
    int freed = 0;
    bool any_left = false;
    _Atomic uint32_t *over = &muster__segment->kind[kind].over;
    if (!atomic_load(over) || !muster__barrier_heavy())
        return 0;
    atomic_store(over, 0);
    uint32_t slot = 0, left = muster__objects_end();
    for (; next_of_kind(kind, &slot, &left); slot++) {
        bool is_left = false;
        bool cleaned = clean_one(muster__object_slot(slot), self, &is_left);
        freed += cleaned;
        any_left |= is_left && !cleaned;
    }
    if (any_left)
        atomic_store(over, 1);
    return freed;
}

void muster__objects_look_again(void)
{
    for (int kind = 0; kind < MUSTER__KINDS_MAX; kind++)
        atomic_store(&muster__segment->kind[kind].over, 1);
}

void muster__object_sweep(struct muster__object *object, uint32_t dead, uint32_t self)
{
    struct muster__tag tag = tag_of(object), mine = tag;
    const struct muster__class *class = muster__class_of(tag.kind);
    if (tag.claimer != dead)
        return;
    if (tag.state == MUSTER__ENDING && class && class->repair)
        class->repair(object, tag.generation, dead, self); /* whose latches it had */
    mine.claimer = self;
    if (tag.state == MUSTER__CLAIMED)
        set_free(object, tag);
    if (tag.state == MUSTER__ENDING || tag.state == MUSTER__OVER)
        set_tag(object, mine);
    if (tag.state == MUSTER__ENDING)
        finish_end(object, mine, self);
    if (tag.state == MUSTER__OVER)
        finish_clean(object, tag, self);
}

void muster__end_all_objects(void)
{
    uint32_t at = 0;
    muster_handle handle;
    for (struct muster__object *object; (object = muster__object_next(0, &at, &handle));) {
        const struct muster__class *class = muster__class_of(handle.kind_home >> 24);
        if (class && class->finish)
            class->finish(object, handle);
        else
            muster__object_end(object, handle.generation, muster__self_number());
    }
}

/* ---- finding ---- */

struct muster__object *muster__object_next(enum muster__kind kind, uint32_t *at, muster_handle *handle)
{
    for (uint32_t end = muster__objects_end(); *at < end;) {
        uint8_t here = atomic_load_explicit(page_kind(*at / MUSTER__PAGE), memory_order_relaxed);
        if (!here || (kind && here != (uint8_t)kind)) {
            *at += MUSTER__PAGE - *at % MUSTER__PAGE;
            continue;
        }
        struct muster__object *object = muster__object_slot((*at)++);
        struct muster__tag tag = tag_of(object);
        *handle = muster__handle_make((enum muster__kind)tag.kind, *at - 1, tag.generation);
        if (tag.state == MUSTER__LIVE)
            return object;
    }
    return NULL;
}
