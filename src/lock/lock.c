/*
 * Lock: one word; barging for speed, turns for fairness (the idea of Go's sync.Mutex, with turns in place of its
 * starvation mode).
 *
 * Normal: whoever finds the lock free takes it, so that a lock in one core's cache stays there for many critical
 * sections. A release with sleepers wakes one, unless one is on its way (WOKEN). Who was woken and finds the lock held
 * once more looks at the turn: when it has lasted TURN_NS, it asks (STARVING) for the next release to leave the lock to
 * a sleeper. That one clears STARVING and begins the next turn. The kernel's futex queue is first in, first out, so
 * turns go round: waiting is bounded by the number of waiters times a turn plus a critical section each.
 *
 * Invariants
 *   - the word's change commits; every change is a compare-exchange that includes the generation
 *   - WAITERS is set, while the lock is held, before anybody sleeps; it is cleared only when the kernel had nobody to
 *     wake and nobody set it since (FRESH)
 *   - WOKEN: a releaser between its commit and its wake, or a caller that was woken, will clear it. A caller counts as
 *     woken when its sleep ended by a wake or by a change of `wakes`. It clears WOKEN when it takes the lock, and
 * before it sleeps again or leaves
 *   - STARVING is set only together with WAITERS; it ends with the next one woken, or when there is none
 *   - the dead may have been anywhere in this: the sweeper clears WOKEN and STARVING and wakes all
 */
#include "lock/lock.h"

#define OWNER    MUSTER__LOCK_OWNER
#define FRESH    (uint64_t) MUSTER__LOCK_FRESH
#define DEAD     (uint64_t) MUSTER__LOCK_DEAD
#define STARVING (uint64_t) MUSTER__LOCK_STARVING
#define WOKEN    (uint64_t) MUSTER__LOCK_WOKEN
#define WAITERS  MUSTER__LOCK_WAITERS

#define TURN_NS INT64_C(500000)
/* Pauses between looks while spinning grow to so many: the owner meanwhile does several sections undisturbed. */
#define PAUSES_MAX       15
#define WOKEN_PAUSES_MAX 63
/* Who spun for so many pauses, some two microseconds, asks for the lock as if woken. */
#define ASK_PAUSES 48

struct waiter {
    struct muster__lock *lock;
    uint32_t generation, self, ally;
    int64_t deadline_ns;
    struct muster__spin spin;
    unsigned pauses;
    bool woken; /* a wake was spent on this caller: it is the one WOKEN speaks of */
    bool slept;
    bool for_host;
};

muster_err muster__lock_create(const char *name, uint32_t self, muster_handle *handle)
{
    struct muster__object *object;
    uint32_t generation;
    muster_err err = muster__object_claim(MUSTER__LOCK, name, self, &object, &generation);
    if (err != MUSTER_OK)
        return err;
    struct muster__lock *lock = muster__lock_of(object);
    atomic_store(&lock->wakes, 1);
    atomic_store(&lock->word, MUSTER__LOCK_WORD(generation));
    muster__object_publish(object, generation, handle);
    return MUSTER_OK;
}

static bool passed(uint64_t word, uint32_t generation)
{
    return word >> 32 != generation;
}

/* `wakes` stays odd: a slot that was just zeroed for a new object is never what a late sleeper expects. */
static int wake(struct muster__lock *lock, int n)
{
    atomic_fetch_add(&lock->wakes, 2);
    return muster__futex_wake(&lock->wakes, n);
}

/*
 * Follows a commit that set WOKEN and cleared FRESH. Nobody in the kernel's queue: then WOKEN is not carried by anybody
 * (or by somebody who noticed the change of `wakes`, and does not mind). If somebody came to sleep since, and the lock
 * is free, it is this caller's duty again.
 */
static void wake_one(struct muster__lock *lock, uint32_t generation)
{
    for (;;) {
        if (wake(lock, 1) > 0)
            return;
        uint64_t word = atomic_load(&lock->word), next;
        do {
            if (passed(word, generation) || !(word & WOKEN))
                return;
            next = word & ~(WOKEN | STARVING);
            if (!(word & FRESH))
                next &= ~WAITERS;
            else if (!(word & OWNER))
                next = (next | WOKEN) & ~FRESH;
        } while (!atomic_compare_exchange_weak(&lock->word, &word, next));
        if (!(next & WOKEN))
            return;
    }
}

static muster_err release(struct muster__lock *lock, uint32_t generation, uint32_t self, uint64_t mark)
{
    uint64_t word = atomic_load_explicit(&lock->word, memory_order_relaxed), next;
    bool wakes;
    do {
        if (passed(word, generation))
            return MUSTER_ERR_STALE;
        if ((word & OWNER) != self)
            return MUSTER_ERR_STATE;
        next = (word & ~OWNER) | mark;
        wakes = (word & (WAITERS | WOKEN)) == WAITERS;
        if (wakes)
            next = (next | WOKEN) & ~FRESH;
    } while (!atomic_compare_exchange_weak(&lock->word, &word, next));
    if (wakes)
        wake_one(lock, generation);
    return MUSTER_OK;
}

muster_err muster__lock_release_slow(struct muster__lock *lock, uint32_t generation, uint32_t self)
{
    return release(lock, generation, self, 0);
}

muster_err muster__lock_release_for(struct muster__lock *lock, uint32_t generation, uint32_t owner, bool died)
{
    muster__lock_turn_begins(lock);
    return release(lock, generation, owner, died ? DEAD : 0);
}

void muster__lock_turn_begins(struct muster__lock *lock)
{
    atomic_store_explicit(&lock->turn_ns, muster__now_ns(), memory_order_relaxed);
}

/* Who waits looks again: the new owner may be its ally, or a host that is to be asked. */
bool muster__lock_give(struct muster__lock *lock, uint32_t generation, uint32_t from, uint32_t to)
{
    uint64_t word = atomic_load(&lock->word);
    do {
        if (passed(word, generation) || (word & OWNER) != from)
            return false;
    } while (!atomic_compare_exchange_weak(&lock->word, &word, (word & ~OWNER) | to));
    if (word & WAITERS)
        wake(lock, -1);
    return true;
}

/* Takes the lock if it is free for this waiter; *err tells what taking it meant, or why waiting makes no sense. False:
 * *word shows it held, or kept for others. */
static bool settle(struct waiter *w, uint64_t *word, muster_err *err)
{
    while (!passed(*word, w->generation)) {
        if ((*word & OWNER) == w->self) {
            *err = MUSTER_ERR_DEADLOCK;
            return true;
        }
        if (w->ally && (*word & OWNER) == w->ally) {
            *err = MUSTER_OK;
            return true;
        }
        if ((*word & OWNER) || ((*word & STARVING) && !w->woken))
            return false;
        uint64_t next = (*word | w->self) & ~DEAD;
        if (w->woken)
            next &= ~(WOKEN | STARVING);
        if (!atomic_compare_exchange_weak(&w->lock->word, word, next))
            continue;
        if (*word & STARVING)
            atomic_store_explicit(&w->lock->turn_ns, muster__now_ns(), memory_order_relaxed);
        *err = *word & DEAD ? MUSTER_ERR_OWNER_DEAD : MUSTER_OK;
        return true;
    }
    /* The slot may have a new user already, and the wake may have been meant for somebody there. */
    if (w->slept)
        wake(w->lock, -1);
    *err = w->deadline_ns ? MUSTER_ERR_CLOSED : MUSTER_ERR_STALE; /* it waited: it was there at the end */
    return true;
}

static bool turn_over(struct muster__lock *lock, int64_t now)
{
    return now - atomic_load_explicit(&lock->turn_ns, memory_order_relaxed) > TURN_NS;
}

/* Announces the sleep in the word; false: the word changed, look again. */
static bool announce(struct waiter *w, uint64_t word)
{
    uint64_t next = word | WAITERS | FRESH;
    int64_t now = muster__now_ns();
    if (w->woken) {
        next &= ~WOKEN;
        if (turn_over(w->lock, now))
            next |= STARVING;
    }
    if (!(word & WAITERS) && !w->for_host)
        atomic_store_explicit(&w->lock->turn_ns, now, memory_order_relaxed);
    if (next != word && !atomic_compare_exchange_weak(&w->lock->word, &word, next))
        return false;
    w->woken = false;
    return true;
}

/* While cores are free: pauses once, and longer each time. After ASK_PAUSES, or when the turn is over where others
 * sleep, asks for the lock as if woken, and goes on spinning: it passes over without a sleep. */
static bool spins(struct waiter *w, uint64_t word)
{
    for (unsigned i = 0; i <= w->pauses; i++)
        if (!muster__spin(&w->spin))
            return false;
    if (w->pauses < (w->woken ? WOKEN_PAUSES_MAX : PAUSES_MAX))
        w->pauses = 2 * w->pauses + 1;
    if (!(word & OWNER) || (word & STARVING))
        return true;
    bool asks =
        w->woken ? turn_over(w->lock, muster__now_ns()) : w->spin.round > ASK_PAUSES && !(word & (WAITERS | WOKEN));
    if (asks && atomic_compare_exchange_strong(&w->lock->word, &word, word | WAITERS | WOKEN | STARVING))
        w->woken = true;
    return true;
}

static muster_err sleep_once(struct waiter *w, uint32_t ticket)
{
    bool woken;
    muster_err err = muster__sleep(&w->lock->wakes, ticket, w->deadline_ns, &woken);
    if (err != MUSTER_OK)
        return err;
    w->woken = woken || atomic_load(&w->lock->wakes) != ticket;
    w->slept = true;
    w->spin = (struct muster__spin){0};
    w->pauses = 0;
    return MUSTER_OK;
}

const struct muster__lock_hosts *muster__lock_hosts;

static bool is_host(uint64_t owner)
{
    return owner && muster__lock_hosts && muster__lock_hosts->is_host((uint32_t)owner);
}

static muster_err acquire(struct waiter w, int64_t timeout_ms)
{
    struct muster__lock *lock = w.lock;
    for (;;) {
        uint32_t ticket = atomic_load(&lock->wakes);
        uint64_t word = atomic_load(&lock->word);
        muster_err err;
        if (settle(&w, &word, &err))
            return err;
        if (timeout_ms == MUSTER_NOWAIT)
            return MUSTER_ERR_BUSY;
        if (!w.deadline_ns)
            w.deadline_ns = muster__deadline_ns(timeout_ms);
        bool away = is_host(word & OWNER);
        if (!away && spins(&w, word))
            continue;
        /* From here on the word says that somebody may sleep, so leaving now leaves no trace but one idle wake. */
        if (!announce(&w, word))
            continue;
        if (away)
            muster__lock_hosts->call_back(lock, w.generation, (uint32_t)(word & OWNER));
        err = sleep_once(&w, ticket);
        if (err != MUSTER_OK)
            return err;
    }
}

muster_err muster__lock_acquire_slow(struct muster__lock *lock, uint32_t generation, uint32_t self, int64_t timeout_ms)
{
    return acquire((struct waiter){.lock = lock, .generation = generation, .self = self}, timeout_ms);
}

muster_err muster__lock_acquire_for_host(struct muster__lock *lock, uint32_t generation, uint32_t self, uint32_t ally,
                                         int64_t timeout_ms)
{
    return acquire(
        (struct waiter){.lock = lock, .generation = generation, .self = self, .ally = ally, .for_host = true},
        timeout_ms);
}

bool muster__lock_destroy(struct muster__object *object, uint32_t generation, uint64_t *hosts)
{
    struct muster__lock *lock = muster__lock_of(object);
    uint64_t word = atomic_load(&lock->word);
    do {
        if (passed(word, generation))
            return false;
    } while (!atomic_compare_exchange_weak(&lock->word, &word, MUSTER__LOCK_WORD(generation + 1)));
    if (hosts)
        *hosts = atomic_load(&lock->hosts);
    wake(lock, -1);
    muster__object_retire(object, generation); /* a sweeper may have been faster */
    return true;
}

/* ---- what the sweeper is told ---- */

static void class_end(struct muster__object *object, uint32_t generation)
{
    muster__lock_destroy(object, generation, NULL);
}

/* The dead one's lock becomes free and tells so. A wake that it may have carried goes to all others. Who destroyed the
 * lock may have died half-way: the word's generation says so. */
static void class_sweep(struct muster__object *object, uint32_t generation, uint32_t dead, uint32_t self)
{
    (void)self;
    struct muster__lock *lock = muster__lock_of(object);
    uint64_t word = atomic_load(&lock->word), next;
    do {
        if (passed(word, generation)) {
            wake(lock, -1);
            muster__object_retire(object, generation);
            return;
        }
        next = word & ~(WOKEN | STARVING);
        if ((word & OWNER) == dead)
            next = (next & ~OWNER) | DEAD;
    } while (!atomic_compare_exchange_weak(&lock->word, &word, next));
    if (word & (WAITERS | WOKEN))
        wake(lock, -1);
}

/* Any process may have to sweep locks, also one that never made or used one. */
__attribute__((constructor)) static void class_register(void)
{
    static const struct muster__class class = {.name = "lock", .sweep = class_sweep, .end = class_end};
    muster__class_register(MUSTER__LOCK, &class);
}
