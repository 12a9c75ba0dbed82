/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Objects: slots of a table, named by handles.
 *
 * A slot stays of its kind, in pages of slots of one kind, and slots are used again in turn. Its life:
 *
 *   FREE -> CLAIMED -> LIVE -> ENDING -> OVER -> FREE
 *
 * LIVE -> ENDING commits the end: no handle finds it any more, its class drops what it holds, all who wait are called
 * (they find that it has ended: err CLOSED). OVER: somebody may still be inside of it; when nobody is, its class cleans
 * up and the slot is free, with the next generation.
 */
#ifndef MUSTER_SEGMENT_OBJECT_H
#define MUSTER_SEGMENT_OBJECT_H

#include <string.h>

#include "segment/line.h"

enum muster__kind {
    MUSTER__LOCK = 1,
    MUSTER__QUEUE,
    MUSTER__PROCESS,
    MUSTER__POOL,
    MUSTER__TASK,
    MUSTER__EVENT,
    MUSTER__SEMAPHORE,
    MUSTER__BARRIER,
    MUSTER__CONDITION,
    MUSTER__RWLOCK,
    MUSTER__ONCE,
    MUSTER__COUNTER,
    MUSTER__VALUE,
    MUSTER__ARRAY,
    MUSTER__DICT,
    MUSTER__KINDS
};

enum { MUSTER__OBJECTS_MAX = 1 << 16, MUSTER__OBJECT_BODY = 4 * MUSTER__LINE, MUSTER__EVENTS = 4 };

struct muster__object {
    _Alignas(MUSTER__LINE) _Atomic uint64_t tag; /* generation, claimer, kind, state; its change commits */
    char name[32];
    uint32_t creator_rank;
    _Alignas(MUSTER__LINE) struct muster__event event[MUSTER__EVENTS];
    _Alignas(MUSTER__LINE) unsigned char body[MUSTER__OBJECT_BODY];
};

enum muster__object_state { MUSTER__FREE, MUSTER__CLAIMED, MUSTER__LIVE, MUSTER__ENDING, MUSTER__OVER };
struct muster__tag {
    uint32_t generation, claimer, kind, state;
};
static inline uint64_t muster__tag_pack(struct muster__tag tag)
{
    return (uint64_t)tag.generation << 32 | tag.claimer << 12 | tag.kind << 4 | tag.state;
}
static inline struct muster__tag muster__tag_unpack(uint64_t word)
{
    return (struct muster__tag){.generation = (uint32_t)(word >> 32),
                                .claimer = (uint32_t)word >> 12,
                                .kind = (uint32_t)word >> 4 & 0xff,
                                .state = (uint32_t)word & 0xf};
}

struct muster__op;
struct muster__arg;

/* what the segment needs to know of each kind; any function may be NULL. self: who does it */
struct muster__class {
    const char *name;
    const struct muster__op *ops; /* by number */
    uint32_t op_count;
    bool patient; /* its steps may wait for latches, in agents, too */
    /** Fills the body of one that was claimed. Errors: its own, with detail. */
    muster_err (*make)(struct muster__object *object, uint32_t generation, struct muster__arg *arg, uint32_t self);
    /** It has been published: nobody but its maker knew of it before. What make() took is now the object's. */
    void (*made)(struct muster__object *object, uint32_t self);
    /** Ends what the body holds; then nobody gets in any more. May be done again when its doer died over it. */
    void (*drop)(struct muster__object *object, uint32_t generation, uint32_t self);
    /** Whether somebody uses it without being inside: it is not cleaned then. */
    bool (*in_use)(struct muster__object *object);
    /** Nobody is inside any more. May be done again, likewise. */
    void (*clean)(struct muster__object *object, uint32_t self);
    /** The dead caller was inside of this object, or was dropping it (its claimer): take over its latches, repair. All
     * events are signalled after it. */
    void (*repair)(struct muster__object *object, uint32_t generation, uint32_t dead, uint32_t self);
    /** Of every live object: the dead one held something of it, perhaps. dead: any owner's number. */
    void (*sweep)(struct muster__object *object, uint32_t generation, uint32_t dead, uint32_t self);
    /** At finalize, instead of muster__object_end. */
    void (*finish)(struct muster__object *object, muster_handle handle);
    /** Who holds it, in such a way that this waiter waits until each of them lets go, or dies: up to room owners'
     * numbers; waiter 0: whoever holds it. Returns how many. NULL: that is never certain. Without latch. */
    int (*holders)(const struct muster__object *object, uint32_t waiter, uint32_t *owners, int room);
    /** Facts for messages, such as "holds 3 items, maxsize 5". */
    void (*describe)(const struct muster__object *object, char *text, size_t size);
    /** What to do about err, after a semicolon; "" where there is nothing to say. */
    const char *(*remedy)(muster_err err);
};
void muster__class_register(enum muster__kind kind, const struct muster__class *class);
/** At file scope. Any process may have to sweep objects of a kind, also one that never made or used one. */
#define MUSTER__CLASS(kind, ...)                                                                                       \
    __attribute__((constructor)) static void class_register(void)                                                      \
    {                                                                                                                  \
        static const struct muster__class class = {__VA_ARGS__};                                                       \
        muster__class_register(kind, &class);                                                                          \
    }
const struct muster__class *muster__class_of(enum muster__kind kind);
const char *muster__class_name(enum muster__kind kind);

/** Claims a free slot; the body is zeroed, the events are the slot's for ever: nobody stands in their lines. Publish or
 * abandon it. Errors: NOMEM. */
muster_err muster__object_claim(enum muster__kind kind, const char *name, uint32_t self, struct muster__object **object,
                                uint32_t *generation);
/** Claims, has the kind's class fill it, and publishes it. Errors: NOMEM, make's. */
muster_err muster__object_make(enum muster__kind kind, const char *name, struct muster__arg *arg,
                               muster_handle *handle);
void muster__object_publish(struct muster__object *object, uint32_t generation, muster_handle *handle);
/** Gives a claimed slot back. */
void muster__object_abandon(struct muster__object *object, uint32_t generation);
/** Ends a live object. False: somebody else has. */
bool muster__object_end(struct muster__object *object, uint32_t generation, uint32_t self);
/** Cleans what nobody is inside of any more, of one kind. Returns how many slots became free. */
int muster__objects_clean(enum muster__kind kind, uint32_t self);

/** Raised when objects of a kind come or go, so that who watches them looks again. */
static inline _Atomic uint32_t *muster__kind_epoch(enum muster__kind kind)
{
    return &muster__segment->kind[kind].epoch;
}

static inline struct muster__object *muster__object_slot(uint32_t slot)
{
    return (struct muster__object *)muster__at(muster__segment->objects_offset) + slot;
}
static inline uint32_t muster__object_slot_of(const struct muster__object *object)
{
    return (uint32_t)(object - muster__object_slot(0));
}
static inline muster_handle muster__handle_make(enum muster__kind kind, uint32_t slot, uint32_t generation)
{
    return (muster_handle){.kind_home = (uint32_t)kind << 24 | muster__segment->host,
                           .slot = slot,
                           .generation = generation,
                           .job = muster__segment->job};
}
/** The host that a handle's object is at home on. */
static inline int muster__handle_home(muster_handle handle)
{
    return (int)(handle.kind_home & 0xffffff);
}
static inline bool muster__handle_fits(muster_handle handle, enum muster__kind kind)
{
    return muster__segment && handle.kind_home == ((uint32_t)kind << 24 | muster__segment->host) &&
           handle.slot < muster__segment->objects_max && handle.job == muster__segment->job;
}
static inline bool muster__object_is(const struct muster__object *object, enum muster__kind kind, uint32_t generation)
{
    return atomic_load_explicit(&object->tag, memory_order_acquire) ==
           muster__tag_pack((struct muster__tag){generation, 0, kind, MUSTER__LIVE});
}
/** The live object that a handle names, else NULL. It may go at any time: only a pin keeps its slot. */
struct muster__object *muster__object_find(muster_handle handle, enum muster__kind kind);
/** Live objects one after the other, from *at = 0 on; kind 0: of all. NULL: no more. */
struct muster__object *muster__object_next(enum muster__kind kind, uint32_t *at, muster_handle *handle);
/** Fails with STALE, naming kind and operation. */
muster_err muster__object_stale(enum muster__kind kind, const char *operation);
/** The same by handle, of whatever host: "queue 7 of host 2", as much as is known here. */
void muster__handle_text(muster_handle handle, char *text, size_t size);
/** "queue 7 'jobs'": for messages. */
void muster__object_describe(const struct muster__object *object, char *text, size_t size);

/* A handle as it comes in registers: used as a struct, it goes through memory on fast paths. */
struct muster__words {
    uint64_t low, high; /* kind_home and slot; generation and job */
};
static inline struct muster__words muster__words_of(muster_handle handle)
{
    struct muster__words words;
    _Static_assert(sizeof words == sizeof handle, "the same bytes");
    memcpy(&words, &handle, sizeof words);
    return words;
}
static inline muster_handle muster__handle_of(struct muster__words words)
{
    muster_handle handle;
    memcpy(&handle, &words, sizeof handle);
    return handle;
}

/** As pin, below, for a few instructions in which the thread pins nothing else: *pin is to be set to 0 after them. NULL
 * also where the thread is no caller yet. */
static inline struct muster__object *muster__object_hold(struct muster__words words, enum muster__kind kind,
                                                         _Atomic uint64_t **pin)
{
    const struct muster__segment *segment = muster__segment;
    struct muster__self *self = &muster__self_state;
    uint32_t slot = (uint32_t)(words.low >> 32), generation = (uint32_t)words.high;
    if (MUSTER__UNLIKELY(!segment || (uint32_t)words.low != ((uint32_t)kind << 24 | segment->host) ||
                         slot >= segment->objects_max || (uint32_t)(words.high >> 32) != segment->job))
        return NULL;
    if (MUSTER__UNLIKELY(!self->number || self->pins == MUSTER__PINS))
        return NULL;
    *pin = &self->caller->pin[self->pins];
    atomic_store_explicit(*pin, (uint64_t)generation << 32 | (slot + 1), memory_order_relaxed);
    muster__barrier_light();
    struct muster__object *object = muster__object_slot(slot);
    if (MUSTER__LIKELY(muster__object_is(object, kind, generation)))
        return object;
    atomic_store_explicit(*pin, 0, memory_order_relaxed);
    return NULL;
}

/** As find, and keeps the slot from being used again until unpin; last in, first out. */
static inline struct muster__object *muster__object_pin_words(struct muster__words words, enum muster__kind kind)
{
    _Atomic uint64_t *pin;
    if (MUSTER__UNLIKELY(!muster__self_number()))
        return NULL;
    struct muster__object *object = muster__object_hold(words, kind, &pin);
    muster__self_state.pins += object != NULL;
    return object;
}
static inline struct muster__object *muster__object_pin(muster_handle handle, enum muster__kind kind)
{
    return muster__object_pin_words(muster__words_of(handle), kind);
}
static inline void muster__object_unpin(void)
{
    uint32_t last = --muster__self_state.pins;
    atomic_store_explicit(&muster__self_state.caller->pin[last], 0, memory_order_release);
}

/** Ends all live objects (finalize). */
void muster__end_all_objects(void);

/* ---- after a death; see sweep.c ---- */

/** The first step of a sweep, for a sweeper that will use the heap before it: the heap's latches. */
void muster__sweep_heap(uint32_t member, uint32_t self);
/** Repairs everything that the callers of a dead member held, and frees their numbers and blocks. */
void muster__sweep_member(uint32_t member, uint32_t self);
/** What an owner that is no caller of this host held (see MUSTER__OWNER_REMOTE) is the holding of a dead one. */
void muster__sweep_owner(uint32_t owner, uint32_t self);

#endif
