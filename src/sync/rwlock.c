/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "sync/sync.h"

#include <muster/rwlock.h>

/*
 * Who reads has a place with its number in it; who writes has the word. A reader takes a place and then looks at the
 * word; a writer takes the word and then looks at the places, so one of the two sees the other: the reader goes back,
 * the writer waits until the places are empty (DRAINS: it does not write yet). Each change is one store of one party's,
 * so a death leaves nothing half-done, and whose it was can be read.
 *
 * Who was called in vain has the word reserved (RESERVED) when it goes to rest, while somebody has it: the next one in
 * is one who was called. A reader who was called calls the next one in line.
 *
 * DEAD: who wrote last died writing. All who read are told, and the next one who writes, which ends it.
 *
 *   event 0   the word is free
 *   event 1   a place has become empty: the writer who drains stands here
 */

enum { NEAR = 40, FAR = 4096 };

struct rwlock {
    _Atomic uint64_t word;
    _Atomic uint32_t used; /* places that ever were, from the first one on */
    _Atomic uint32_t near[NEAR];
    _Atomic muster__ref far; /* FAR places more, once they were needed */
};
_Static_assert(sizeof(struct rwlock) <= MUSTER__OBJECT_BODY, "an object's body");

#define WRITER   UINT64_C(0xfffff)
#define DRAINS   (UINT64_C(1) << 32)
#define DEAD     (UINT64_C(1) << 33)
#define RESERVED (UINT64_C(1) << 34)

enum { READ, WRITE, RELEASE, DOWNGRADE, OPS };

static struct rwlock *of(const struct muster__object *object)
{
    return (struct rwlock *)(void *)object->body;
}

static muster_err wait_for(struct muster__step *step, int event, uint32_t on)
{
    step->event = &step->object->event[event];
    step->on = on;
    return MUSTER__WAIT;
}

/* ---- places ---- */

static _Atomic uint32_t *place(struct rwlock *lock, uint32_t at)
{
    if (at < NEAR)
        return &lock->near[at];
    return (_Atomic uint32_t *)muster__heap_at(atomic_load(&lock->far)) + (at - NEAR);
}

/* The first of them that number has, in those used now; NULL: it has none. */
static _Atomic uint32_t *find(struct rwlock *lock, uint32_t number)
{
    uint32_t used = atomic_load(&lock->used);
    for (uint32_t at = 0; at < used; at++)
        if (atomic_load_explicit(place(lock, at), memory_order_relaxed) == number)
            return place(lock, at);
    return NULL;
}

static muster_err make_far(struct rwlock *lock)
{
    uint32_t self = muster__self_state.number;
    muster__ref none = 0, block = muster__heap_alloc(FAR * sizeof(uint32_t), self);
    if (!block)
        return muster__again(MUSTER_ERR_NOMEM);
    memset(muster__heap_at(block), 0, FAR * sizeof(uint32_t));
    if (!atomic_compare_exchange_strong(&lock->far, &none, block))
        muster__heap_free(block, self);
    else
        muster__heap_hand_over(block, self, 0); /* who dies before it: see sweep */
    return MUSTER_OK;
}

static muster_err use_one_more(struct rwlock *lock)
{
    uint32_t used = atomic_load(&lock->used);
    if (used == NEAR + FAR)
        return MUSTER_ERR_NOMEM;
    if (used >= NEAR && !atomic_load(&lock->far)) {
        muster_err err = make_far(lock);
        if (err)
            return err;
    }
    atomic_compare_exchange_strong(&lock->used, &used, used + 1);
    return MUSTER_OK;
}

static muster_err take_place(struct rwlock *lock, uint32_t self)
{
    for (;;) {
        uint32_t nobody = 0;
        _Atomic uint32_t *empty = find(lock, 0);
        if (empty && atomic_compare_exchange_strong(empty, &nobody, self))
            return MUSTER_OK;
        if (empty)
            continue;
        muster_err err = use_one_more(lock);
        if (err)
            return err;
    }
}

/* False: it had none. */
static bool leave_place(struct muster__object *object, uint32_t number)
{
    _Atomic uint32_t *its = find(of(object), number);
    if (!its)
        return false;
    atomic_store(its, 0);
    muster__event_signal(&object->event[1], -1);
    return true;
}

/* Somebody who reads; 0: nobody. */
static uint32_t a_reader(struct rwlock *lock)
{
    uint32_t used = atomic_load(&lock->used), number = 0;
    for (uint32_t at = 0; at < used && !number; at++)
        number = atomic_load(place(lock, at));
    return number;
}

/* ---- the word ---- */

static bool may_enter(uint64_t word, bool called)
{
    return !(word & WRITER) && (!(word & RESERVED) || called);
}

static muster_err stay_out(struct muster__step *step)
{
    _Atomic uint64_t *at = &of(step->object)->word;
    uint64_t word = atomic_load(at);
    if (step->rests && step->called)
        while (word & WRITER && !(word & RESERVED) && !atomic_compare_exchange_weak(at, &word, word | RESERVED))
            ;
    return wait_for(step, 0, (uint32_t)(word & WRITER));
}

static muster_err how(uint64_t word)
{
    return word & DEAD ? MUSTER_ERR_OWNER_DEAD : MUSTER_OK;
}

static void free_word(struct muster__object *object, uint64_t becomes)
{
    struct rwlock *lock = of(object);
    uint64_t word = atomic_load(&lock->word);
    while (!atomic_compare_exchange_weak(&lock->word, &word, (word & (DEAD | RESERVED)) | becomes))
        ;
    muster__event_signal(&object->event[0], 1);
}

static void end_reservation(struct muster__object *object)
{
    if (!(atomic_fetch_and(&of(object)->word, ~RESERVED) & WRITER))
        muster__event_signal(&object->event[0], 1);
}

/* ---- steps ---- */

/* WAIT: somebody writes, or is to. */
static muster_err enter_read(struct muster__object *object, uint32_t self, bool called)
{
    struct rwlock *lock = of(object);
    uint64_t word = atomic_load(&lock->word);
    if ((word & WRITER) == self || find(lock, self))
        return MUSTER_ERR_DEADLOCK;
    if (!may_enter(word, called))
        return MUSTER__WAIT;
    muster_err err = take_place(lock, self);
    if (err)
        return err;
    word = atomic_load(&lock->word);
    if (MUSTER__LIKELY(may_enter(word, called)))
        return how(word);
    leave_place(object, self);
    return MUSTER__WAIT;
}

/* Takes the word, DRAINS; WAIT: another one has it, or is to. */
static muster_err enter_write(struct muster__object *object, uint32_t self, bool called)
{
    struct rwlock *lock = of(object);
    uint64_t word = atomic_load(&lock->word), next;
    if ((word & WRITER) == self || find(lock, self))
        return MUSTER_ERR_DEADLOCK;
    do {
        if (!may_enter(word, called))
            return MUSTER__WAIT;
        next = word | self | DRAINS;
        if (called)
            next &= ~RESERVED;
    } while (!atomic_compare_exchange_weak(&lock->word, &word, next));
    return MUSTER_OK;
}

static muster_err read(struct muster__step *step)
{
    muster_err err = enter_read(step->object, muster__holder(step), step->called);
    if (muster__would_wait(err))
        return stay_out(step);
    if (step->called && muster__commits(err))
        end_reservation(step->object);
    return err;
}

/* The word is the caller's; those who read go. */
static muster_err drain(struct muster__step *step)
{
    struct rwlock *lock = of(step->object);
    uint32_t reader = a_reader(lock);
    step->arg->own = reader && !step->nowait; /* it has the word, but not the lock */
    if (!reader)
        return how(atomic_fetch_and(&lock->word, ~(DRAINS | DEAD)));
    if (step->nowait)
        free_word(step->object, 0);
    return wait_for(step, 1, reader);
}

static muster_err write(struct muster__step *step)
{
    if (step->arg->own)
        return drain(step);
    muster_err err = enter_write(step->object, muster__holder(step), step->called);
    if (err)
        return muster__would_wait(err) ? stay_out(step) : err;
    return drain(step);
}

static bool ready(const struct muster__step *step)
{
    struct rwlock *lock = of(step->object);
    return step->arg->own ? !a_reader(lock)
                          : may_enter(atomic_load_explicit(&lock->word, memory_order_relaxed), step->called);
}

static void leave(struct muster__step *step)
{
    if (step->arg->own)
        free_word(step->object, 0);
    end_reservation(step->object);
}

/* died: whom a writer had been told of who has not written */
static muster_err release_of(struct muster__object *object, uint32_t self, bool died)
{
    uint64_t word = atomic_load(&of(object)->word);
    if ((word & WRITER) == self && !(word & DRAINS)) {
        free_word(object, died ? DEAD : 0);
        return MUSTER_OK;
    }
    return leave_place(object, self) ? MUSTER_OK : MUSTER_ERR_STATE;
}

static muster_err release(struct muster__step *step)
{
    return release_of(step->object, muster__holder(step), false);
}

static void undo(struct muster__step *step, bool died)
{
    (void)died;
    release_of(step->object, muster__holder(step), step->granted == MUSTER_ERR_OWNER_DEAD);
}

static muster_err downgrade(struct muster__step *step)
{
    struct rwlock *lock = of(step->object);
    uint32_t self = muster__holder(step);
    uint64_t word = atomic_load(&lock->word);
    if ((word & WRITER) != self || word & DRAINS)
        return MUSTER_ERR_STATE;
    muster_err err = take_place(lock, self);
    if (!err)
        free_word(step->object, 0);
    return err;
}

/* ---- its class ---- */

static void sweep(struct muster__object *object, uint32_t generation, uint32_t dead, uint32_t self)
{
    (void)generation;
    struct rwlock *lock = of(object);
    uint64_t word = atomic_load(&lock->word);
    muster__heap_hand_over(atomic_load(&lock->far), dead, 0);
    if ((word & WRITER) == dead)
        free_word(object, word & DRAINS ? 0 : DEAD);
    while (leave_place(object, dead)) /* two of one who died while it was downgrading */
        ;
    end_reservation(object);
    (void)self;
}

/* Who drains waits for those who read, the others for who has the word. */
static int holders(const struct muster__object *object, uint32_t waiter, uint32_t *owners, int room)
{
    struct rwlock *lock = of(object);
    uint64_t word = atomic_load(&lock->word);
    uint32_t writer = (uint32_t)(word & WRITER), used = atomic_load(&lock->used);
    bool by_readers = waiter ? writer == waiter : !writer || word & DRAINS;
    int count = 0;
    if (!by_readers && writer && room)
        owners[count++] = writer;
    for (uint32_t at = 0; by_readers && at < used && count < room; at++) {
        owners[count] = atomic_load(place(lock, at));
        count += owners[count] != 0;
    }
    return count;
}

static void clean(struct muster__object *object, uint32_t self)
{
    muster__heap_free(atomic_load(&of(object)->far), self);
}

static void describe(const struct muster__object *object, char *text, size_t size)
{
    struct rwlock *lock = of(object);
    uint32_t writer = (uint32_t)(atomic_load(&lock->word) & WRITER), readers = 0, used = atomic_load(&lock->used);
    if (used > NEAR && !muster__heap_at(atomic_load(&lock->far))) /* it has just ended */
        used = NEAR;
    for (uint32_t at = 0; at < used; at++)
        readers += atomic_load(place(lock, at)) != 0;
    if (writer)
        snprintf(text, size, "caller %u %s", writer, readers ? "waits to write, others read" : "writes");
    else
        snprintf(text, size, "%u read", readers);
}

static const char *remedy(muster_err err)
{
    switch (err) {
    case MUSTER_ERR_DEADLOCK:
        return "this thread has it already: release it first";
    case MUSTER_ERR_STATE:
        return "this thread does not have it";
    case MUSTER_ERR_OWNER_DEAD:
        return "check what it guards";
    default:
        return "";
    }
}

#define ACQUIRE(way)                                                                                                   \
    .name = "muster_rwlock_acquire_" #way, .step = way, .ready = ready, .leave = leave, .undo = undo,                  \
    .late = MUSTER_ERR_TIMEOUT, .late_now = MUSTER_ERR_BUSY
static const struct muster__op ops[OPS] = {
    [READ] = {ACQUIRE(read)},
    [WRITE] = {ACQUIRE(write)},
    [RELEASE] = {.name = "muster_rwlock_release", .step = release},
    [DOWNGRADE] = {.name = "muster_rwlock_downgrade", .step = downgrade},
};

MUSTER__CLASS(MUSTER__RWLOCK, .name = "rwlock", .ops = ops, .op_count = OPS, .sweep = sweep, .clean = clean,
              .holders = holders, .describe = describe, .remedy = remedy)

/* ---- public ---- */

muster_err muster_rwlock_create(muster_rwlock *lock, const muster_object_options *options)
{
    return muster__create(MUSTER__RWLOCK, "muster_rwlock_create", options, &(struct muster__arg){0},
                          lock ? &lock->handle : NULL);
}

muster_err muster_rwlock_destroy(muster_rwlock lock)
{
    return muster__destroy(lock.handle, MUSTER__RWLOCK, "muster_rwlock_destroy");
}

static muster_err __attribute__((noinline)) by_step(struct muster__words words, int op, int64_t timeout_ms)
{
    muster_handle lock = muster__handle_of(words);
    bool orders = muster__self_number() && muster__orders();
    if (orders && op != RELEASE && timeout_ms == MUSTER_FOREVER)
        muster__order_wants(lock);
    muster_err err = muster__do(lock, MUSTER__RWLOCK, (uint32_t)op, &(struct muster__arg){0}, timeout_ms);
    if (orders && muster__commits(err))
        op == RELEASE ? muster__order_leaves(lock) : muster__order_has(lock);
    return err;
}

/* At home, what takes no time. False: nothing was done, a step will tell. */
static inline bool do_now(struct muster__words words, int op, muster_err *err)
{
    _Atomic uint64_t *pin;
    struct muster__object *object = muster__object_hold(words, MUSTER__RWLOCK, &pin);
    if (MUSTER__UNLIKELY(!object))
        return false;
    uint32_t self = muster__self_state.number;
    *err = op == READ ? enter_read(object, self, false) : release_of(object, self, false);
    atomic_store_explicit(pin, 0, memory_order_release);
    return muster__commits(*err);
}

muster_err muster_rwlock_acquire_read(muster_rwlock lock, int64_t timeout_ms)
{
    struct muster__words words = muster__words_of(lock.handle);
    muster_err err;
    if (MUSTER__LIKELY(timeout_ms >= MUSTER_FOREVER && !muster__observed() && do_now(words, READ, &err)))
        return MUSTER__LIKELY(!err) ? err : muster__failed(muster__handle_of(words), ops[READ].name, err);
    return by_step(words, READ, timeout_ms);
}

muster_err muster_rwlock_acquire_write(muster_rwlock lock, int64_t timeout_ms)
{
    return by_step(muster__words_of(lock.handle), WRITE, timeout_ms);
}

muster_err muster_rwlock_release(muster_rwlock lock)
{
    struct muster__words words = muster__words_of(lock.handle);
    muster_err err;
    if (MUSTER__LIKELY(!muster__observed() && do_now(words, RELEASE, &err)))
        return err;
    return by_step(words, RELEASE, MUSTER_FOREVER);
}

muster_err muster_rwlock_downgrade(muster_rwlock lock)
{
    return muster__do(lock.handle, MUSTER__RWLOCK, DOWNGRADE, &(struct muster__arg){0}, MUSTER_FOREVER);
}
