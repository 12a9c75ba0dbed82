/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Locks of other hosts: the line between hosts, above the lines within them.
 *
 * A host that uses a lock of another one has a proxy of it: a lock of its own segment, in whose line its threads stand.
 * Who holds the proxy holds the lock, and it can be held only while the lock is here: while this host is its owner at
 * home. Whoever finds it away has the agent ask for it, once:
 *
 *   this host                                  home
 *   agent: ACQUIRE, for the host   ->          a waiter in the lock's line; then the host is its owner
 *                                  <-          granted; and whether somebody waits already
 *   `here` is set, the first in line is called;
 *   releases and acquires of this host's
 *   threads need no message
 *                                  <-          CALL_BACK when somebody stands in the line at home
 *   agent: stands in the proxy's line, clears
 *   `here`; RETURN                 ->          releases the lock
 *
 * So the lock stays where it is used. Turns (see lock.c) bound how long: in the proxy's line the agent is one waiter
 * among others, in the line at home the host is one.
 *
 * Invariants
 *   - a host is the lock's owner from before it is granted until RETURN has come; mail of one sender arrives in order
 *   - `here` is set by the agent when it is granted, and cleared by the agent while it holds the proxy. A grant that
 *     nobody waits for any more leaves the lock here, where CALL_BACK finds it
 *   - whoever waits at home asks the owner for it unless `called` says that somebody has; the agent clears that before
 *     it releases the lock for a host, and when it has granted it to one. So each time that a host has it and somebody
 * waits it is asked at least once
 *   - `asked`, likewise, of a proxy: set by who asks, cleared by the answer
 *   - a host that has the lock may ask for it, by a thread's try, or when a try has brought it meanwhile. Home tells it
 *     that it has it; what it does with `here` goes by what else it was sent, which says so in the right order
 *   - the agent alone makes and ends proxies
 */
#include "lock/lock.h"

#include <stdio.h>

/* notes */
enum { USES, ENDED, FETCH, CALL_BACK, CALL_BACK_FREE, IN_USE, RETURN, RETURN_DEAD };
/* errands */
enum { PREPARE, END };

/* how a host got it, in the answer */
enum { CALLED = 1, ALREADY = 2 }; /* others wait, and shall have it next; it had it before it asked */

enum { AWAY = MUSTER__LOCK_AWAY, HERE = MUSTER__LOCK_HERE, DIED = MUSTER__LOCK_DIED };

static int this_host(void)
{
    return (int)muster__segment->host;
}

static void tell(int host, muster_handle lock, uint32_t what, int64_t number)
{
    muster__note(host, &(struct muster__note){.object = lock, .operation = what, .number = {number}});
}

static muster_handle handle_of(const struct muster__step *step)
{
    return muster__handle_make(MUSTER__LOCK, muster__object_slot_of(step->object), step->generation);
}

/* ---- a host that uses a lock: proxies ---- */

bool muster__token_find(muster_handle lock, struct muster__proxy *proxy)
{
    return muster__proxy_find(lock, proxy);
}

static muster_err prepare(muster_handle home)
{
    struct muster__proxy found;
    struct muster__arg arg = {0};
    char name[32];
    muster_handle made;
    if (muster__proxy_find(home, &found))
        return MUSTER_OK;
    snprintf(name, sizeof name, "%u on %.20s", home.slot, muster__host_name_of(muster__handle_home(home)));
    muster_err err = muster__object_make(MUSTER__LOCK, name, &arg, &made);
    if (err)
        return err;
    struct muster__object *object = muster__object_slot(made.slot);
    struct muster__lock *lock = muster__lock_of(object);
    lock->is_proxy = true; /* nobody knows of it yet */
    lock->home = home;
    err = muster__proxy_add(home, made);
    if (err)
        muster__object_end(object, made.generation, muster__self_state.number);
    else
        tell(muster__handle_home(home), home, USES, 0); /* also if who wants it dies before it asks */
    return err;
}

static void end(muster_handle home)
{
    struct muster__proxy proxy;
    if (muster__proxy_remove(home, &proxy))
        muster__object_end(proxy.object, proxy.generation, muster__self_state.number);
}

/* Who comes after the lock was destroyed hears that; who had waited, that it was closed. */
static void end_stale(muster_handle home)
{
    struct muster__proxy proxy;
    if (muster__proxy_find(home, &proxy))
        atomic_store(&muster__lock_of(proxy.object)->stale, 1);
    end(home);
}

static void end_if_lock(muster_handle handle)
{
    if (handle.kind_home >> 24 == MUSTER__LOCK)
        end(handle);
}

static void host_lost(int host)
{
    muster__proxies_of(host, end_if_lock);
}

static muster_err run_errand(struct muster__errand *errand)
{
    if (errand->operation == PREPARE)
        return prepare(errand->object);
    end(errand->object);
    return MUSTER_OK;
}

static bool is_quick(uint32_t operation)
{
    (void)operation;
    return true;
}

static muster_err ask(int host, muster_handle lock, uint32_t errand, const char *operation)
{
    return muster__remote_call(
        &(struct muster__call){.object = lock, .at = host + 1, .operation = errand, .errand = true}, operation);
}

muster_err muster__token_proxy(muster_handle lock, struct muster__proxy *proxy)
{
    static const char operation[] = "muster_lock_acquire";
    while (!muster__proxy_find(lock, proxy)) {
        if (muster__host_lost(muster__handle_home(lock)))
            return muster__gone(lock, operation);
        muster_err err = ask(this_host(), lock, PREPARE, operation);
        if (err)
            return err;
    }
    return MUSTER_OK;
}

void muster__token_end(muster_handle lock, uint64_t hosts)
{
    if (muster__handle_home(lock) != this_host())
        hosts |= UINT64_C(1) << this_host() % 64;
    for (int host = 0; hosts && host < muster_hosts(); host++)
        if (hosts >> host % 64 & 1 && host != muster__handle_home(lock))
            ask(host, lock, END, "muster_lock_destroy");
}

/* ---- a host that uses a lock: having it here ---- */

static void granted_here(muster_handle home, muster_err err, const int64_t out[2]);

static void fetch(muster_handle home)
{
    static const int64_t nothing[3];
    muster__agent_ask(home, MUSTER__LOCK_ACQUIRE, nothing, granted_here);
}

static void ask_for_it(struct muster__lock *lock)
{
    if (!atomic_exchange(&lock->asked, 1))
        tell(this_host(), lock->home, FETCH, 0);
}

/* Whom the lock came for has not had it yet, or others stand before the agent. */
static bool others_first(struct muster__step *step)
{
    const struct muster__lock *lock = muster__lock_of(step->object);
    uint32_t first = atomic_load(&muster__lock_line(step->object)->head);
    bool mine = first && atomic_load(&muster__waiter(first)->owner) == muster__self_state.number;
    return !step->called && (atomic_load(&lock->word) & MUSTER__LOCK_WOKEN || (first && !mine));
}

/* The agent got in, or found that it is away already. */
static muster_err give_back(struct muster__step *step)
{
    struct muster__lock *lock = muster__lock_of(step->object);
    step->event = muster__lock_line(step->object);
    if (!(atomic_load(&lock->here) & HERE))
        return MUSTER_OK;
    if (others_first(step))
        return MUSTER__WAIT;
    muster_err err = muster__lock_take(step);
    if (!muster__commits(err))
        return err;
    uint32_t here = atomic_exchange(&lock->here, AWAY);
    step->arg->out[0] = here != AWAY;
    step->arg->out[1] = here & DIED || err == MUSTER_ERR_OWNER_DEAD;
    muster__lock_release_slow(step->object, step->generation, step->self, false);
    return MUSTER_OK;
}

static void send_back(struct muster__lock *lock, const int64_t out[2])
{
    if (!out[0])
        return;
    muster__agent_posted_first(); /* who waits for a condition asks for that, and then leaves the lock */
    tell(muster__handle_home(lock->home), lock->home, out[1] ? RETURN_DEAD : RETURN, 0);
}

/* For who waits here the host stands in the line at home again at once, not only when one of them has run. */
static void fetch_for_line(struct muster__object *object)
{
    struct muster__lock *lock = muster__lock_of(object);
    if (!atomic_load(&lock->here) && atomic_load(&muster__lock_line(object)->head) && !atomic_exchange(&lock->asked, 1))
        fetch(lock->home);
}

static void gave_back(muster_handle proxy, muster_err err, const int64_t out[2])
{
    struct muster__object *object = muster__object_find(proxy, MUSTER__LOCK);
    if (!object || err)
        return;
    struct muster__lock *lock = muster__lock_of(object);
    lock->returns = 0;
    send_back(lock, out);
    fetch_for_line(object);
}

static void call_back(muster_handle home)
{
    static const int64_t nothing[3];
    struct muster__proxy proxy;
    if (!muster__proxy_find(home, &proxy))
        return;
    struct muster__lock *lock = muster__lock_of(proxy.object);
    if (lock->returns)
        return;
    lock->returns = 1;
    muster__agent_do(muster__handle_make(MUSTER__LOCK, muster__object_slot_of(proxy.object), proxy.generation),
                     MUSTER__LOCK_RETURN, nothing, gave_back);
}

/* Only if nobody uses it here. */
static void call_back_free(muster_handle home, int64_t number)
{
    struct muster__proxy proxy;
    struct muster__arg arg = {0};
    if (!muster__proxy_find(home, &proxy) || muster__lock_of(proxy.object)->returns)
        return; /* it is on its way */
    struct muster__step step = {.object = proxy.object,
                                .generation = proxy.generation,
                                .self = MUSTER__OWNER_HOST + (uint32_t)this_host(),
                                .arg = &arg};
    if (give_back(&step) == MUSTER_OK)
        send_back(muster__lock_of(proxy.object), arg.out);
    else
        tell(muster__handle_home(home), home, IN_USE, number);
}

static void put_here(muster_handle home, bool died)
{
    struct muster__proxy proxy;
    if (!muster__proxy_find(home, &proxy)) {
        tell(muster__handle_home(home), home, died ? RETURN_DEAD : RETURN, 0);
        return;
    }
    struct muster__lock *lock = muster__lock_of(proxy.object);
    muster__lock_turn_begins(lock);
    atomic_store(&lock->here, died ? HERE | DIED : HERE);
    muster__lock_call(proxy.object, proxy.generation);
}

/* What this host had already when home heard of it may be on its way back by now: that puts nothing here. */
static void got(muster_handle home, muster_err err, int64_t how)
{
    if (!(how & ALREADY))
        put_here(home, err == MUSTER_ERR_OWNER_DEAD);
    if (how & CALLED)
        call_back(home);
}

/* Without an answer there is no lock any more. */
static void granted_here(muster_handle home, muster_err err, const int64_t out[2])
{
    struct muster__proxy proxy;
    if (!muster__commits(err)) {
        (err == MUSTER_ERR_STALE ? end_stale : end)(home);
        return;
    }
    bool stands = muster__proxy_find(home, &proxy);
    if (stands)
        atomic_store(&muster__lock_of(proxy.object)->asked, 0);
    got(home, err, out[1]);
    if (stands)
        fetch_for_line(proxy.object);
}

/* A caller's own try. */
static void tried(muster_handle home, uint32_t op, muster_err err, const int64_t out[2])
{
    if (op == MUSTER__LOCK_TRY && muster__commits(err))
        got(home, err, out[1]);
}

/* ---- home ---- */

static void waits(struct muster__step *step)
{
    struct muster__lock *lock = muster__lock_of(step->object);
    int host = muster__holder_host(step->on);
    if (!atomic_exchange(&lock->called, 1))
        tell(host, handle_of(step), CALL_BACK, 0);
}

/* Who saw the host before have it may have noted only now that he asks it, which is nothing to this one. Who comes to
 * stand in line after the look at that asks anew. */
static void granted(struct muster__step *step, muster_err err, bool already)
{
    struct muster__lock *lock = muster__lock_of(step->object);
    struct muster__event *line = muster__lock_line(step->object);
    if (!already)
        atomic_store(&lock->called, 0);
    uint32_t first = atomic_load(&line->head);
    bool others =
        first && !(first == atomic_load(&line->tail) && atomic_load(&muster__waiter(first)->host) == step->host);
    step->arg->out[0] = err == MUSTER_ERR_OWNER_DEAD;
    step->arg->out[1] = (others ? CALLED : 0) | (already ? ALREADY : 0);
    atomic_fetch_add(&lock->grants, !already);
    if (others)
        atomic_store(&lock->called, 1);
}

/* A number, and at which grant it was asked with: of a later one nobody has asked yet. */
static void ask_whether_used(struct muster__step *step, uint32_t grants)
{
    uint32_t number = atomic_fetch_add(&muster__lock_of(step->object)->tries, 1) + 1;
    step->arg->own = (uint64_t)grants << 32 | number;
    tell(muster__holder_host(step->on), handle_of(step), CALL_BACK_FREE, number);
}

/* Who tries a lock that another host has hears whether somebody uses it there. */
static muster_err try(struct muster__step *step)
{
    struct muster__lock *lock = muster__lock_of(step->object);
    uint32_t self = step->self;
    if (!self)
        step->self = MUSTER__OWNER_HOST + (uint32_t)step->host;
    bool already = muster__lock_has_already(step);
    muster_err err = muster__lock_take(step);
    if (muster__commits(err) && muster__owner_is_host(step->self))
        granted(step, err, already);
    step->self = self;
    if (!muster__would_wait(err) || !muster__owner_is_host(step->on))
        return err;
    uint32_t grants = atomic_load(&lock->grants);
    if (!step->arg->own || step->arg->own >> 32 != grants)
        ask_whether_used(step, grants);
    else if (atomic_load(&lock->in_use) >= (uint32_t)step->arg->own)
        return MUSTER_ERR_BUSY;
    step->event = &step->object->event[1];
    return MUSTER__ASKING;
}

static void came_back(muster_handle handle, int host, bool died)
{
    struct muster__object *object = muster__object_pin(handle, MUSTER__LOCK);
    if (!object)
        return;
    struct muster__lock *lock = muster__lock_of(object);
    atomic_store(&lock->called, 0);
    muster__lock_turn_begins(lock);
    muster__lock_release_slow(object, handle.generation, MUSTER__OWNER_HOST + (uint32_t)host, died);
    muster__event_signal(&object->event[1], -1);
    muster__object_unpin();
}

static void is_in_use(muster_handle handle, int64_t number)
{
    struct muster__object *object = muster__object_pin(handle, MUSTER__LOCK);
    if (!object)
        return;
    atomic_store(&muster__lock_of(object)->in_use, (uint32_t)number);
    muster__event_signal(&object->event[1], -1);
    muster__object_unpin();
}

/* By whoever ends it; who asked for that waits for the hosts besides, unless it dies before. */
static void ended(struct muster__object *object, uint32_t generation)
{
    uint64_t hosts = atomic_load(&muster__lock_of(object)->hosts);
    muster_handle handle = muster__handle_make(MUSTER__LOCK, muster__object_slot_of(object), generation);
    for (int host = 0; host < muster_hosts(); host++)
        if (hosts >> host % 64 & 1 && host != this_host())
            tell(host, handle, ENDED, 0);
}

/* A host has something that stands for the lock: it hears of the end, if need be now. */
static void uses(muster_handle handle, int host)
{
    struct muster__object *object = muster__object_pin(handle, MUSTER__LOCK);
    if (!object) {
        tell(host, handle, ENDED, 1);
        return;
    }
    atomic_fetch_or(&muster__lock_of(object)->hosts, UINT64_C(1) << host % 64);
    if (!muster__object_is(object, MUSTER__LOCK, handle.generation)) /* just now */
        tell(host, handle, ENDED, 0);
    muster__object_unpin();
}

static muster_err noted(struct muster__note *note)
{
    switch (note->operation) {
    case USES:
        uses(note->object, note->host);
        break;
    case ENDED:
        (note->number[0] ? end_stale : end)(note->object);
        break;
    case FETCH:
        fetch(note->object);
        break;
    case CALL_BACK:
        call_back(note->object);
        break;
    case CALL_BACK_FREE:
        call_back_free(note->object, note->number[0]);
        break;
    case IN_USE:
        is_in_use(note->object, note->number[0]);
        break;
    case RETURN:
    case RETURN_DEAD:
        came_back(note->object, note->host, note->operation == RETURN_DEAD);
        break;
    }
    return MUSTER_OK;
}

static const struct muster__lock_hosts between = {waits, granted, ask_for_it, try, give_back, ended};
static const struct muster__errands errands = {run_errand, is_quick};

__attribute__((constructor)) static void set_hooks(void)
{
    muster__remote_register(MUSTER__LOCK, noted);
    muster__errands_register(MUSTER__LOCK, &errands);
    muster__remote_on_answer(MUSTER__LOCK, tried);
    muster__remote_on_lost(MUSTER__LOCK, host_lost);
    muster__lock_hosts = &between;
}
