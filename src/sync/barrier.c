/* SPDX-License-Identifier: BSD-3-Clause */
#include "sync/sync.h"

#include <limits.h>

#include <muster/barrier.h>

/*
 * One word: the round, whether it is broken, and how many have come to it. A round that is complete, or was reset, is
 * followed by the next one. Who waits knows which round it came to: if the word shows another one, its own is over.
 *
 * How it ended is known from `resets`, where the last rounds that were reset are noted, each in the place of its number
 * among the resets, after they are broken (so that they cannot be completed any more) and before the next one begins.
 * Who waits knows how many resets there had been, and so where its own round would be. Of who slept through NOTED
 * resets it is not known any more; it is told BROKEN.
 */

enum { NOTED = 16 };

struct barrier {
    _Atomic uint64_t word;
    _Atomic uint64_t reset_count;
    _Atomic uint64_t resets[NOTED]; /* round that was reset, + 1 */
    uint32_t parties;
};
_Static_assert(sizeof(struct barrier) <= MUSTER__OBJECT_BODY, "an object's body");

enum { CAME_BITS = 20, PARTIES_MAX = 1000000 };
#define CAME   ((UINT64_C(1) << CAME_BITS) - 1)
#define BROKEN (UINT64_C(1) << CAME_BITS)
/* what who waits keeps of the resets before, beside its round */
enum { COUNT_BITS = 20, COUNT_MASK = (1 << COUNT_BITS) - 1 };

static uint64_t round_of(uint64_t word)
{
    return word >> (CAME_BITS + 1);
}

static uint64_t next_round(uint64_t word)
{
    return (word | BROKEN | CAME) + 1;
}

enum { WAIT, ABORT, RESET, STATE, OPS };

static struct barrier *of(const struct muster__object *object)
{
    return (struct barrier *)(void *)object->body;
}

static void call_all(struct muster__object *object)
{
    muster__event_signal(&object->event[0], -1);
}

static uint64_t came_to(const struct muster__arg *arg)
{
    return (arg->own >> COUNT_BITS) - 1;
}

/* Breaks the round, unless it is over. */
static void break_round(struct muster__object *object, uint64_t round)
{
    _Atomic uint64_t *at = &of(object)->word;
    uint64_t word = atomic_load(at);
    do
        if (round_of(word) != round || word & BROKEN)
            return;
    while (!atomic_compare_exchange_weak(at, &word, (word | BROKEN) & ~CAME));
    call_all(object);
}

static muster_err come(struct muster__step *step)
{
    struct barrier *barrier = of(step->object);
    uint64_t word = atomic_load(&barrier->word), next, resets;
    bool last;
    do {
        if (word & BROKEN)
            return MUSTER_ERR_BROKEN;
        resets = atomic_load(&barrier->reset_count) & COUNT_MASK;
        last = (word & CAME) + 1 == barrier->parties;
        next = last ? next_round(word) : step->nowait ? (word | BROKEN) & ~CAME : word + 1;
    } while (!atomic_compare_exchange_weak(&barrier->word, &word, next));
    if (last || step->nowait)
        call_all(step->object);
    step->arg->out[0] = last;
    step->arg->out[1] = (int64_t)round_of(word);
    step->arg->own = (round_of(word) + 1) << COUNT_BITS | resets;
    step->event = &step->object->event[0];
    return last ? MUSTER_OK : step->nowait ? MUSTER_ERR_BROKEN : (muster_err)MUSTER__WAIT;
}

/* Whether it is among those that were reset since. */
static muster_err how_it_ended(const struct barrier *barrier, const struct muster__arg *arg)
{
    uint64_t count = atomic_load(&barrier->reset_count), since = (count - arg->own) & COUNT_MASK;
    if (since > NOTED)
        return MUSTER_ERR_BROKEN;
    for (uint64_t i = 1; i <= since; i++)
        if (atomic_load(&barrier->resets[(count - i) % NOTED]) == came_to(arg) + 1)
            return MUSTER_ERR_BROKEN;
    return MUSTER_OK;
}

static muster_err wait(struct muster__step *step)
{
    const struct barrier *barrier = of(step->object);
    if (!step->arg->own)
        return come(step);
    uint64_t round = came_to(step->arg), word = atomic_load(&barrier->word);
    step->arg->out[0] = 0;
    step->arg->out[1] = (int64_t)round;
    if (round_of(word) != round)
        return how_it_ended(barrier, step->arg);
    step->event = &step->object->event[0];
    return word & BROKEN ? MUSTER_ERR_BROKEN : (muster_err)MUSTER__WAIT;
}

static bool ready(const struct muster__step *step)
{
    uint64_t word = atomic_load_explicit(&of(step->object)->word, memory_order_relaxed);
    return round_of(word) != came_to(step->arg) || word & BROKEN;
}

/* Of a barrier that has ended all are told that, not that it is broken. */
static void leave(struct muster__step *step)
{
    if (step->arg->own && muster__object_is(step->object, MUSTER__BARRIER, step->generation))
        break_round(step->object, came_to(step->arg));
}

/* One who had left came, too late, and the others went on: they find out in the next round. */
static void undo(struct muster__step *step, bool died)
{
    (void)died;
    break_round(step->object, (uint64_t)step->arg->out[1] + 1);
}

static muster_err stop(struct muster__step *step)
{
    uint64_t round;
    do {
        round = round_of(atomic_load(&of(step->object)->word));
        break_round(step->object, round);
    } while (round_of(atomic_load(&of(step->object)->word)) != round); /* that was completed meanwhile */
    return MUSTER_OK;
}

/* Several who reset the same round may note it more than once. */
static void note_reset(struct barrier *barrier, uint64_t round)
{
    uint64_t count = atomic_load(&barrier->reset_count);
    _Atomic uint64_t *at = &barrier->resets[count % NOTED];
    uint64_t noted = atomic_load(at);
    if (noted < round + 1)
        atomic_compare_exchange_strong(at, &noted, round + 1);
    atomic_compare_exchange_strong(&barrier->reset_count, &count, count + 1);
}

/* Broken first: then nobody else ends the round but another reset. */
static muster_err reset(struct muster__step *step)
{
    struct barrier *barrier = of(step->object);
    stop(step);
    uint64_t word = atomic_load(&barrier->word);
    if (!(word & BROKEN))
        return MUSTER_OK;
    note_reset(barrier, round_of(word));
    atomic_compare_exchange_strong(&barrier->word, &word, next_round(word));
    call_all(step->object);
    return MUSTER_OK;
}

static muster_err state(struct muster__step *step)
{
    uint64_t word = atomic_load(&of(step->object)->word);
    step->arg->out[0] = (int64_t)(word & CAME);
    step->arg->out[1] = (word & BROKEN) != 0;
    return MUSTER_OK;
}

static muster_err make(struct muster__object *object, uint32_t generation, struct muster__arg *arg, uint32_t self)
{
    (void)generation, (void)self;
    of(object)->parties = (uint32_t)arg->in[0];
    return MUSTER_OK;
}

/* A party died in it. */
static void repair(struct muster__object *object, uint32_t generation, uint32_t dead, uint32_t self)
{
    (void)generation, (void)dead, (void)self;
    break_round(object, round_of(atomic_load(&of(object)->word)));
}

static void describe(const struct muster__object *object, char *text, size_t size)
{
    const struct barrier *barrier = (const void *)object->body;
    uint64_t word = atomic_load(&barrier->word);
    if (word & BROKEN)
        snprintf(text, size, "broken in round %llu", (unsigned long long)round_of(word));
    else
        snprintf(text, size, "%u of %u have come to round %llu", (unsigned)(word & CAME), barrier->parties,
                 (unsigned long long)round_of(word));
}

static const char *remedy(muster_err err)
{
    return err == MUSTER_ERR_BROKEN ? "a party was late, died or aborted it; reset it" : "";
}

static const struct muster__op ops[OPS] = {
    [WAIT] = {.name = "muster_barrier_wait",
              .takes_nothing = true,
              .step = wait,
              .ready = ready,
              .leave = leave,
              .undo = undo,
              .late = MUSTER_ERR_BROKEN,
              .late_now = MUSTER_ERR_BROKEN},
    [ABORT] = {.name = "muster_barrier_abort", .step = stop},
    [RESET] = {.name = "muster_barrier_reset", .step = reset},
    [STATE] = {.name = "muster_barrier_state", .step = state},
};

MUSTER__CLASS(MUSTER__BARRIER, .name = "barrier", .ops = ops, .op_count = OPS, .make = make, .repair = repair,
              .describe = describe, .remedy = remedy)

/* ---- public ---- */

muster_err muster_barrier_create(muster_barrier *barrier, int parties, const muster_object_options *options)
{
    static const char operation[] = "muster_barrier_create";
    if (parties < 1 || parties > PARTIES_MAX)
        return muster__fail(MUSTER_ERR_INVAL, "%s: parties is %d: 1 to %d are allowed", operation, parties,
                            PARTIES_MAX);
    return muster__create(MUSTER__BARRIER, operation, options, &(struct muster__arg){.in = {parties}},
                          barrier ? &barrier->handle : NULL);
}

muster_err muster_barrier_destroy(muster_barrier barrier)
{
    return muster__destroy(barrier.handle, MUSTER__BARRIER, "muster_barrier_destroy");
}

muster_err muster_barrier_abort(muster_barrier barrier)
{
    return muster__do(barrier.handle, MUSTER__BARRIER, ABORT, &(struct muster__arg){0}, MUSTER_FOREVER);
}

muster_err muster_barrier_reset(muster_barrier barrier)
{
    return muster__do(barrier.handle, MUSTER__BARRIER, RESET, &(struct muster__arg){0}, MUSTER_FOREVER);
}

muster_err muster_barrier_state(muster_barrier barrier, int *waiting, bool *is_broken)
{
    struct muster__arg arg = {0};
    muster_err err = muster__do(barrier.handle, MUSTER__BARRIER, STATE, &arg, MUSTER_FOREVER);
    if (!err && waiting)
        *waiting = (int)arg.out[0];
    if (!err && is_broken)
        *is_broken = arg.out[1];
    return err;
}

muster_err muster_barrier_wait(muster_barrier barrier, bool *leader, int64_t timeout_ms)
{
    struct muster__arg arg = {0};
    muster_err err = muster__do(barrier.handle, MUSTER__BARRIER, WAIT, &arg, timeout_ms);
    if (!err && leader)
        *leader = arg.out[0];
    return err;
}
