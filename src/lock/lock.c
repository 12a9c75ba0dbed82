/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lock: one word; barging for speed, turns for fairness (the idea of Go's sync.Mutex, with turns in place of its
 * starvation mode).
 *
 * Normal: whoever finds the lock free takes it, so that a lock in one core's cache stays there for many critical
 * sections. A release where some stand in line calls the first, unless one is on its way (WOKEN). Who was called and
 * finds the lock held once more looks at the turn: when it has lasted TURN_NS, it asks (STARVING) for the next release
 * to leave the lock to who is called. That one clears STARVING and begins the next turn. Who was called in vain stands
 * where it stood, so turns go round: waiting is bounded by the number of waiters times a turn plus a critical section
 * each.
 *
 * Invariants
 *   - the word's change commits; every change is a compare-exchange that includes the generation
 *   - who waits stands in line before it looks at the word for the last time; who releases looks at the line after its
 *     change of the word
 *   - WOKEN: a releaser between its commit and its call, or a caller that was called, will clear it: when it takes the
 *     lock, and before it sleeps again or leaves
 *   - STARVING ends with the next one called, and when somebody leaves the line without the lock
 *   - the dead may have been anywhere in this: the sweeper clears WOKEN and STARVING and calls the next
 */
#include "lock/lock.h"

#include <stdio.h>

#define OWNER    MUSTER__LOCK_OWNER
#define DEAD     (uint64_t) MUSTER__LOCK_DEAD
#define STARVING (uint64_t) MUSTER__LOCK_STARVING
#define WOKEN    (uint64_t) MUSTER__LOCK_WOKEN

#define TURN_NS INT64_C(500000)
/*
 * Who finds it held lets the owner do several sections undisturbed before it looks: a lock that goes back and forth
 * with each section costs more than it wins. Pauses between looks grow.
 */
#define PAUSES_FIRST     15
#define PAUSES_MAX       31
#define WOKEN_PAUSES_MAX 63
/* Sections are short, and a sleep and its end cost as much as so many pauses, some three microseconds: they are made
 * also where cores are short. Who has made them and may go on asks for the lock as if called. */
#define BRIEF_PAUSES 64
/* Where cores are short who was called may not get one for long. Others need not wait for that: */
#define RELEASES_A_CALL 4000

const struct muster__lock_hosts *muster__lock_hosts;

static bool passed(uint64_t word, uint32_t generation)
{
    return word >> 32 != generation;
}

static bool somebody_waits(struct muster__object *object)
{
    return atomic_load(&muster__lock_line(object)->head);
}

/* ---- release ---- */

/* Nobody came: WOKEN is not carried by anybody. False: somebody has come to stand in line since. */
static bool call_was_idle(struct muster__object *object, uint32_t generation)
{
    struct muster__lock *lock = muster__lock_of(object);
    uint64_t word = atomic_load(&lock->word);
    do
        if (passed(word, generation) || !(word & WOKEN))
            return true;
    while (!atomic_compare_exchange_weak(&lock->word, &word, word & ~(WOKEN | STARVING)));
    return !somebody_waits(object);
}

/* Each so many releases of this thread that find one on the way call another one, too. */
static bool calls_another(void)
{
    static MUSTER__THREAD_LOCAL uint32_t releases;
    return ++releases % RELEASES_A_CALL == 0;
}

/* WOKEN says from here on that one is on the way. False: nobody is to be called. */
static bool notes_call(struct muster__object *object, uint32_t generation)
{
    struct muster__lock *lock = muster__lock_of(object);
    uint64_t word = atomic_load(&lock->word);
    if (word & WOKEN && !calls_another())
        return false;
    do
        if (passed(word, generation) || !somebody_waits(object))
            return false;
    while (!atomic_compare_exchange_weak(&lock->word, &word, word | WOKEN));
    return true;
}

static void call_later(uint64_t slot, uint64_t generation);

/* False: who was to be called has left the line, and another one has come. */
static bool call_noted(struct muster__object *object, uint32_t generation)
{
    switch (muster__event_call_one(muster__lock_line(object))) {
    case MUSTER__CALLED_LATER: /* and then somebody has to see whether anybody is on the way */
        muster__put_off(call_later, muster__object_slot_of(object), generation);
        return true;
    case MUSTER__CALLED_NOBODY:
        return call_was_idle(object, generation);
    default:
        return true;
    }
}

static void call_later(uint64_t slot, uint64_t generation)
{
    struct muster__object *object = muster__object_slot((uint32_t)slot);
    if (!passed(atomic_load(&muster__lock_of(object)->word), (uint32_t)generation) &&
        !call_noted(object, (uint32_t)generation))
        muster__lock_call(object, (uint32_t)generation);
}

void muster__lock_call(struct muster__object *object, uint32_t generation)
{
    while (notes_call(object, generation) && !call_noted(object, generation))
        ;
}

muster_err muster__lock_release_slow(struct muster__object *object, uint32_t generation, uint32_t owner, bool died)
{
    struct muster__lock *lock = muster__lock_of(object);
    uint64_t word = atomic_load_explicit(&lock->word, memory_order_relaxed);
    do {
        if (passed(word, generation))
            return MUSTER_ERR_STALE;
        if ((word & OWNER) != owner)
            return MUSTER_ERR_STATE;
    } while (!atomic_compare_exchange_weak(&lock->word, &word, (word & ~OWNER) | (died ? DEAD : 0)));
    muster__lock_call(object, generation);
    return MUSTER_OK;
}

void muster__lock_turn_begins(struct muster__lock *lock)
{
    atomic_store_explicit(&lock->turn_ns, muster__now_ns(), memory_order_relaxed);
}

/* ---- acquire ---- */

static bool turn_over(struct muster__lock *lock, int64_t now)
{
    return now - atomic_load_explicit(&lock->turn_ns, memory_order_relaxed) > TURN_NS;
}

/* What the word becomes while the one who looked sleeps. The first in line sees a turn begin. */
static uint64_t at_rest(const struct muster__step *step, struct muster__lock *lock, uint64_t word)
{
    int64_t now = muster__now_ns();
    struct muster__event *line = muster__lock_line(step->object);
    if (step->called)
        return (word & ~WOKEN) | (turn_over(lock, now) ? STARVING : 0);
    if (!muster__owner_is_host(step->self) && !(word & WOKEN) && atomic_load(&line->head) == atomic_load(&line->tail))
        atomic_store_explicit(&lock->turn_ns, now, memory_order_relaxed);
    return word;
}

muster_err muster__lock_take(struct muster__step *step)
{
    struct muster__lock *lock = muster__lock_of(step->object);
    uint64_t word = atomic_load(&lock->word), next;
    uint32_t self = step->self;
    for (;;) {
        if (passed(word, step->generation))
            return MUSTER_ERR_STALE;
        uint32_t owner = (uint32_t)(word & OWNER);
        if (owner == self && !muster__owner_is_host(self))
            return MUSTER_ERR_DEADLOCK;
        if (owner == self) { /* a host may ask twice; its call has been of use by that */
            next = step->called ? word & ~(WOKEN | STARVING) : word;
            if (next != word && !atomic_compare_exchange_weak(&lock->word, &word, next))
                continue;
            return MUSTER_OK;
        }
        if (!owner && (!(word & STARVING) || step->called)) {
            next = (word | self) & ~DEAD;
            if (step->called)
                next &= ~(WOKEN | STARVING);
            if (!atomic_compare_exchange_weak(&lock->word, &word, next))
                continue;
            if (word & STARVING)
                muster__lock_turn_begins(lock);
            return word & DEAD ? MUSTER_ERR_OWNER_DEAD : MUSTER_OK;
        }
        next = step->rests ? at_rest(step, lock, word) : word;
        if (next != word && !atomic_compare_exchange_weak(&lock->word, &word, next))
            continue;
        step->event = muster__lock_line(step->object);
        step->on = owner;
        return MUSTER__WAIT;
    }
}

/* Of a lock that is at home here. */
static muster_err acquire_at_home(struct muster__step *step)
{
    bool already = muster__lock_has_already(step);
    muster_err err = muster__lock_take(step);
    if (MUSTER__UNLIKELY(muster__lock_hosts)) {
        if (muster__would_wait(err) && muster__owner_is_host(step->on))
            muster__lock_hosts->waits(step);
        if (muster__commits(err) && muster__owner_is_host(step->self))
            muster__lock_hosts->granted(step, err, already);
    }
    return err;
}

/* Who was called is not on the way any more: the word shall not say so. */
static void not_on_the_way(struct muster__step *step, uint64_t mine)
{
    struct muster__lock *lock = muster__lock_of(step->object);
    uint64_t word = atomic_load(&lock->word);
    while (!passed(word, step->generation) && word & mine &&
           !atomic_compare_exchange_weak(&lock->word, &word, word & ~mine))
        ;
}

static muster_err wait_away(struct muster__step *step)
{
    if (step->rests && step->called)
        not_on_the_way(step, WOKEN | STARVING);
    if (!step->nowait) /* who tries asks home itself: see api.c */
        muster__lock_hosts->fetch(muster__lock_of(step->object));
    step->event = muster__lock_line(step->object);
    return MUSTER__WAIT;
}

/* Who holds a proxy holds the lock if that is here, which changes only while nobody does. */
static muster_err acquire_away(struct muster__step *step)
{
    struct muster__lock *lock = muster__lock_of(step->object);
    while (atomic_load(&lock->here) != MUSTER__LOCK_AWAY) {
        muster_err err = muster__lock_take(step);
        if (!muster__commits(err))
            return err;
        uint32_t here = atomic_load(&lock->here);
        if (here == MUSTER__LOCK_HERE)
            return err;
        if (here & MUSTER__LOCK_DIED) {
            atomic_store(&lock->here, MUSTER__LOCK_HERE);
            return MUSTER_ERR_OWNER_DEAD;
        }
        muster__lock_release_slow(step->object, step->generation, step->self, err == MUSTER_ERR_OWNER_DEAD);
    }
    return wait_away(step);
}

static muster_err acquire(struct muster__step *step)
{
    return muster__lock_of(step->object)->is_proxy ? acquire_away(step) : acquire_at_home(step);
}

/* A look at a time. After BRIEF_PAUSES where cores are free, or when the turn is over where others sleep, it asks for
 * the lock as if called, and goes on spinning: the lock passes over without a sleep. */
static bool spins(struct muster__step *step, struct muster__spin *spin)
{
    struct muster__lock *lock = muster__lock_of(step->object);
    uint64_t word = atomic_load_explicit(&lock->word, memory_order_relaxed);
    if (muster__owner_is_host((uint32_t)(word & OWNER)) || (lock->is_proxy && !atomic_load(&lock->here)))
        return false; /* that takes longer */
    if (!spin->pauses)
        *spin = (struct muster__spin){.pauses = PAUSES_FIRST, .brief = BRIEF_PAUSES};
    if (!muster__spin_longer(spin, step->called ? WOKEN_PAUSES_MAX : PAUSES_MAX))
        return false;
    word = atomic_load(&lock->word);
    if (passed(word, step->generation) || !(word & OWNER) || (word & STARVING))
        return true;
    bool asks = step->called ? turn_over(lock, muster__now_ns())
                             : spin->until_ns && !(word & WOKEN) && !somebody_waits(step->object);
    if (asks && atomic_compare_exchange_strong(&lock->word, &word, word | WOKEN | STARVING))
        step->called = true;
    return true;
}

static bool ready(const struct muster__step *step)
{
    struct muster__lock *lock = muster__lock_of(step->object);
    uint64_t word = atomic_load_explicit(&lock->word, memory_order_relaxed);
    return passed(word, step->generation) || (!(word & OWNER) && (!(word & STARVING) || step->called)) ||
           (word & OWNER) == step->self;
}

/* Who leaves without it may have been called, or have asked for the lock: the next one's turn. */
static void leave(struct muster__step *step)
{
    not_on_the_way(step, step->called ? WOKEN | STARVING : STARVING);
    if (!(atomic_load(&muster__lock_of(step->object)->word) & OWNER))
        muster__lock_call(step->object, step->generation);
}

/* Granted to who is not there any more. */
static void undo(struct muster__step *step, bool died)
{
    (void)died;
    muster__lock_release_slow(step->object, step->generation, step->self, false);
}

muster_err muster__lock_acquire_slow(struct muster__object *object, uint32_t generation, uint32_t self,
                                     int64_t timeout_ms)
{
    muster_handle handle = muster__handle_make(MUSTER__LOCK, muster__object_slot_of(object), generation);
    if (!muster__object_pin(handle, MUSTER__LOCK))
        return MUSTER_ERR_STALE;
    struct muster__step step = {
        .object = object, .generation = generation, .self = self, .host = (int)muster__segment->host};
    muster_err err = muster__do_here(&muster__class_of(MUSTER__LOCK)->ops[MUSTER__LOCK_ACQUIRE], &step, timeout_ms);
    if (MUSTER__UNLIKELY(err == MUSTER_ERR_CLOSED) && atomic_load(&muster__lock_of(object)->stale))
        err = MUSTER_ERR_STALE;
    muster__object_unpin();
    return err;
}

/* ---- its class ---- */

static muster_err make(struct muster__object *object, uint32_t generation, struct muster__arg *arg, uint32_t self)
{
    (void)arg, (void)self;
    struct muster__lock *lock = muster__lock_of(object);
    atomic_store(&lock->word, MUSTER__LOCK_WORD(generation));
    return MUSTER_OK;
}

static void drop(struct muster__object *object, uint32_t generation, uint32_t self)
{
    struct muster__lock *lock = muster__lock_of(object);
    (void)self;
    atomic_store(&lock->word, MUSTER__LOCK_WORD(generation + 1));
    if (atomic_load(&lock->hosts))
        muster__lock_hosts->ended(object, generation);
}

/* Other hosts end theirs themselves. */
static void finish(struct muster__object *object, muster_handle handle)
{
    atomic_store(&muster__lock_of(object)->hosts, 0);
    muster__object_end(object, handle.generation, muster__self_state.number);
}

/* The dead one's lock becomes free and tells so. A call that it may have carried, or was about to make, goes to the
 * next in line. */
static void sweep(struct muster__object *object, uint32_t generation, uint32_t dead, uint32_t self)
{
    (void)self;
    struct muster__lock *lock = muster__lock_of(object);
    uint64_t word = atomic_load(&lock->word), next;
    do {
        if (passed(word, generation))
            return;
        atomic_store(&lock->called, 0); /* who was to ask for it may have died before */
        atomic_store(&lock->asked, 0);
        next = word & ~(WOKEN | STARVING);
        if ((word & OWNER) == dead) {
            next = (next & ~OWNER) | DEAD;
            lock->depth = 0;
        }
    } while (!atomic_compare_exchange_weak(&lock->word, &word, next));
    muster__lock_call(object, generation);
}

/* A proxy's is the lock's only while that is here. */
static int holders(const struct muster__object *object, uint32_t waiter, uint32_t *owners, int room)
{
    (void)waiter;
    struct muster__lock *lock = muster__lock_of((struct muster__object *)object);
    uint32_t owner = (uint32_t)(atomic_load(&lock->word) & OWNER);
    if (!room || !owner || (lock->is_proxy && !atomic_load(&lock->here)))
        return 0;
    *owners = owner;
    return 1;
}

static void describe(const struct muster__object *object, char *text, size_t size)
{
    uint64_t word = atomic_load(&muster__lock_of((struct muster__object *)object)->word);
    uint32_t owner = (uint32_t)(word & OWNER);
    if (owner)
        snprintf(text, size, "held by caller %u", owner);
    else
        snprintf(text, size, "free");
}

static const char *remedy(muster_err err)
{
    switch (err) {
    case MUSTER_ERR_DEADLOCK:
        return "this thread holds it already: release it first";
    case MUSTER_ERR_STATE:
        return "this thread does not hold it";
    case MUSTER_ERR_OWNER_DEAD:
        return "check what it guards";
    case MUSTER_ERR_BUSY:
    case MUSTER_ERR_TIMEOUT:
        return "hold it shorter or wait longer";
    default:
        return "";
    }
}

static muster_err try(struct muster__step *step)
{
    return muster__lock_hosts ? muster__lock_hosts->try(step) : acquire(step);
}

static muster_err give_back(struct muster__step *step)
{
    return muster__lock_hosts ? muster__lock_hosts->give_back(step) : MUSTER_ERR_UNSUPPORTED;
}

/* Asked by another host, where nobody holds it. */
static muster_err release_of_nobody(struct muster__step *step)
{
    (void)step;
    return MUSTER_ERR_STATE;
}

static muster_err destroy(struct muster__step *step)
{
    step->arg->out[0] = (int64_t)atomic_load(&muster__lock_of(step->object)->hosts);
    bool ended = muster__object_end(step->object, step->generation, muster__self_state.number);
    return ended ? MUSTER_OK : MUSTER_ERR_STALE;
}

static const struct muster__op ops[MUSTER__LOCK_OPS] = {
    [MUSTER__LOCK_ACQUIRE] = {.name = "muster_lock_acquire",
                              .step = acquire,
                              .ready = ready,
                              .spins = spins,
                              .leave = leave,
                              .undo = undo,
                              .late = MUSTER_ERR_TIMEOUT,
                              .late_now = MUSTER_ERR_BUSY},
    [MUSTER__LOCK_TRY] = {.name = "muster_lock_acquire",
                          .step = try, /* given too late: the host has it, and gives it back when it is called */
                          .late = MUSTER_ERR_BUSY,
                          .late_now = MUSTER_ERR_BUSY},
    [MUSTER__LOCK_RELEASE] = {.name = "muster_lock_release", .step = release_of_nobody},
    [MUSTER__LOCK_DESTROY] = {.name = "muster_lock_destroy", .step = destroy},
    [MUSTER__LOCK_RETURN] = {.name = "a lock's way back", .step = give_back, .leave = leave},
};

/* Any process may have to sweep locks, also one that never made or used one. */
__attribute__((constructor)) static void class_register(void)
{
    static const struct muster__class class = {.name = "lock",
                                               .ops = ops,
                                               .op_count = MUSTER__LOCK_OPS,
                                               .make = make,
                                               .drop = drop,
                                               .sweep = sweep,
                                               .finish = finish,
                                               .holders = holders,
                                               .describe = describe,
                                               .remedy = remedy};
    muster__class_register(MUSTER__LOCK, &class);
}
