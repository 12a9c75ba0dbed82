/* SPDX-License-Identifier: BSD-3-Clause */
#include "sync/sync.h"

#include <muster/semaphore.h>

/*
 * The word: permits, and whether they are reserved for who was called. Who was called in vain, since others came and
 * took what he was called for, reserves the next one, and so waits once more at most.
 *
 * RESERVED is set by one who goes to rest while there is no permit; so permits that come after it call somebody. It
 * ends with the next one called who takes one, and when anybody leaves the line or dies.
 */

struct semaphore {
    _Atomic uint64_t word;
    int64_t bound;
};

#define PERMITS  UINT64_C(0x7fffffff)
#define RESERVED (UINT64_C(1) << 63)

enum { ACQUIRE, RELEASE, VALUE, OPS };
_Static_assert((int)ACQUIRE == (int)MUSTER__SEMAPHORE_ACQUIRE, "select knows it by this");

static struct semaphore *body_of(struct muster__object *object)
{
    return (struct semaphore *)(void *)object->body;
}

static struct semaphore *of(const struct muster__step *step)
{
    return body_of(step->object);
}

static bool may_take(const struct muster__step *step, uint64_t word)
{
    return word & PERMITS && (!(word & RESERVED) || step->called);
}

static muster_err acquire(struct muster__step *step)
{
    _Atomic uint64_t *at = &of(step)->word;
    uint64_t word = atomic_load(at), next;
    do {
        if (may_take(step, word))
            next = (word - 1) & (step->called ? ~RESERVED : ~UINT64_C(0));
        else
            next = step->rests && step->called && !(word & PERMITS) ? word | RESERVED : word;
    } while (next != word && !atomic_compare_exchange_weak(at, &word, next));
    if (may_take(step, word)) {
        if (word & RESERVED && next & PERMITS) /* who came while it was reserved sleeps before them */
            muster__event_signal(&step->object->event[0], (int)(next & PERMITS));
        return MUSTER_OK;
    }
    step->event = &step->object->event[0];
    return MUSTER__WAIT;
}

static muster_err watch(struct muster__step *step)
{
    step->event = &step->object->event[0];
    return may_take(step, atomic_load(&of(step)->word)) ? MUSTER_OK : (muster_err)MUSTER__WAIT;
}

static bool ready(const struct muster__step *step)
{
    return may_take(step, atomic_load_explicit(&of(step)->word, memory_order_relaxed));
}

static void end_reservation(struct muster__object *object)
{
    struct semaphore *semaphore = body_of(object);
    uint64_t permits = atomic_fetch_and(&semaphore->word, ~RESERVED) & PERMITS;
    if (permits)
        muster__event_signal(&object->event[0], (int)permits);
}

static void leave(struct muster__step *step)
{
    end_reservation(step->object);
}

static muster_err give(struct muster__object *object, int64_t n, int64_t bound)
{
    struct semaphore *semaphore = body_of(object);
    uint64_t word = atomic_load(&semaphore->word);
    do
        if ((int64_t)(word & PERMITS) > bound - n)
            return MUSTER_ERR_STATE;
    while (!atomic_compare_exchange_weak(&semaphore->word, &word, word + (uint64_t)n));
    muster__event_signal(&object->event[0], (int)n);
    return MUSTER_OK;
}

static muster_err release(struct muster__step *step)
{
    return give(step->object, step->arg->in[0], of(step)->bound);
}

static void undo(struct muster__step *step, bool died)
{
    (void)died;
    give(step->object, 1, MUSTER_SEMAPHORE_MAX);
}

static muster_err value(struct muster__step *step)
{
    step->arg->out[0] = (int64_t)(atomic_load(&of(step)->word) & PERMITS);
    return MUSTER_OK;
}

static muster_err make(struct muster__object *object, uint32_t generation, struct muster__arg *arg, uint32_t self)
{
    (void)generation, (void)self;
    struct semaphore *semaphore = body_of(object);
    atomic_store(&semaphore->word, (uint64_t)arg->in[0]);
    semaphore->bound = arg->in[1];
    return MUSTER_OK;
}

static void sweep(struct muster__object *object, uint32_t generation, uint32_t dead, uint32_t self)
{
    (void)generation, (void)dead, (void)self;
    end_reservation(object);
}

static void describe(const struct muster__object *object, char *text, size_t size)
{
    const struct semaphore *semaphore = (const void *)object->body;
    snprintf(text, size, "permits: %u of %lld", (unsigned)(atomic_load(&semaphore->word) & PERMITS),
             (long long)semaphore->bound);
}

static const char *remedy(muster_err err)
{
    return err == MUSTER_ERR_STATE ? "it was released more often than acquired" : "";
}

static const struct muster__op ops[OPS] = {
    [ACQUIRE] = {.name = "muster_semaphore_acquire",
                 .step = acquire,
                 .watch = watch,
                 .ready = ready,
                 .leave = leave,
                 .undo = undo,
                 .late = MUSTER_ERR_TIMEOUT,
                 .late_now = MUSTER_ERR_BUSY},
    [RELEASE] = {.name = "muster_semaphore_release", .step = release},
    [VALUE] = {.name = "muster_semaphore_value", .step = value},
};

MUSTER__CLASS(MUSTER__SEMAPHORE, .name = "semaphore", .ops = ops, .op_count = OPS, .make = make, .sweep = sweep,
              .describe = describe, .remedy = remedy)

/* ---- public ---- */

muster_err muster_semaphore_create(muster_semaphore *semaphore, int64_t initial, int64_t bound,
                                   const muster_object_options *options)
{
    static const char operation[] = "muster_semaphore_create";
    int64_t most = bound ? bound : MUSTER_SEMAPHORE_MAX;
    if (bound < 0 || bound > MUSTER_SEMAPHORE_MAX || initial < 0 || initial > most)
        return muster__fail(MUSTER_ERR_INVAL, "%s: initial is %lld, bound is %lld: 0 to %lld are allowed", operation,
                            (long long)initial, (long long)bound,
                            bound < 0 || bound > MUSTER_SEMAPHORE_MAX ? (long long)MUSTER_SEMAPHORE_MAX
                                                                      : (long long)most);
    return muster__create(MUSTER__SEMAPHORE, operation, options, &(struct muster__arg){.in = {initial, most}},
                          semaphore ? &semaphore->handle : NULL);
}

muster_err muster_semaphore_destroy(muster_semaphore semaphore)
{
    return muster__destroy(semaphore.handle, MUSTER__SEMAPHORE, "muster_semaphore_destroy");
}

/* At home, where nobody waits; else false. */
static inline bool acquire_now(struct muster__words words)
{
    _Atomic uint64_t *pin;
    struct muster__object *object = muster__object_hold(words, MUSTER__SEMAPHORE, &pin);
    if (MUSTER__UNLIKELY(!object))
        return false;
    _Atomic uint64_t *at = &body_of(object)->word;
    uint64_t word = atomic_load_explicit(at, memory_order_relaxed);
    bool done = word & PERMITS && !(word & RESERVED) && atomic_compare_exchange_strong(at, &word, word - 1);
    atomic_store_explicit(pin, 0, memory_order_release);
    return done;
}

static inline bool release_now(struct muster__words words)
{
    _Atomic uint64_t *pin;
    struct muster__object *object = muster__object_hold(words, MUSTER__SEMAPHORE, &pin);
    if (MUSTER__UNLIKELY(!object))
        return false;
    bool done = give(object, 1, body_of(object)->bound) == MUSTER_OK;
    atomic_store_explicit(pin, 0, memory_order_release);
    return done;
}

static muster_err __attribute__((noinline)) by_step(struct muster__words words, int op, int64_t in, int64_t timeout_ms)
{
    return muster__do(muster__handle_of(words), MUSTER__SEMAPHORE, (uint32_t)op, &(struct muster__arg){.in = {in}},
                      timeout_ms);
}

muster_err muster_semaphore_acquire(muster_semaphore semaphore, int64_t timeout_ms)
{
    struct muster__words words = muster__words_of(semaphore.handle);
    if (MUSTER__LIKELY(timeout_ms >= MUSTER_FOREVER && !muster__counts() && acquire_now(words)))
        return MUSTER_OK;
    return by_step(words, ACQUIRE, 0, timeout_ms);
}

muster_err muster_semaphore_release(muster_semaphore semaphore, int64_t n)
{
    struct muster__words words = muster__words_of(semaphore.handle);
    if (MUSTER__LIKELY(n == 1 && !muster__counts() && release_now(words)))
        return MUSTER_OK;
    if (n <= 0 || n > MUSTER_SEMAPHORE_MAX)
        return muster__fail(MUSTER_ERR_INVAL, "muster_semaphore_release: n is %lld: 1 or more is allowed",
                            (long long)n);
    return by_step(words, RELEASE, n, MUSTER_FOREVER);
}

muster_err muster_semaphore_value(muster_semaphore semaphore, int64_t *value)
{
    struct muster__arg arg = {0};
    muster_err err = MUSTER__NULL_BAD("muster_semaphore_value", value);
    if (!err)
        err = muster__do(semaphore.handle, MUSTER__SEMAPHORE, VALUE, &arg, MUSTER_FOREVER);
    if (!err)
        *value = arg.out[0];
    return err;
}
