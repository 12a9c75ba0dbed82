/*
 * Locks of other hosts: the line between hosts, above the lines within them.
 *
 * A host that uses a lock of another one has a proxy of it: a lock of its own segment, in whose line its threads stand.
 * Who holds the proxy holds the lock if the lock is here: if this host is its owner at home. Else it asks for it:
 *
 *   this host                                  home
 *   holds the proxy; ACQUIRE     ->            a thread of the crew stands in the lock's line, then makes this
 *                                <-  GRANT     host the owner
 *   `here` is set; releases and acquires of
 *   this host's threads need no message
 *                                <-  CALL_BACK when somebody stands in the line at home; GRANT_CALLED is both,
 *                                    if somebody did already
 *   the agent, or a thread of the crew,
 *   stands in the proxy's line, then clears
 *   `here`; RETURN               ->            releases the lock
 *
 * So the lock stays where it is used. Turns (see lock.c) bound how long: in the proxy's line the crew's thread is one
 * waiter among others, in the line at home the host is one.
 *
 * Invariants
 *   - a host is the lock's owner from before GRANT is sent until RETURN has come; mail of one sender arrives in order
 *   - `here` is set by GRANT alone, and cleared by who holds the proxy. A GRANT that nobody waits for any more (its
 *     thread gave up, or died) leaves the lock here, where CALL_BACK finds it
 *   - whoever waits at home announces itself (WAITERS) before it looks at the number of grants, and calls unless that
 *     one was called; the agent raises the number, after GRANT has gone, before it looks for WAITERS, and calls. One of
 *     the two sees the other. Calling twice does no harm, so `called` is set late and may fall behind; a call before
 *     GRANT has gone does nothing, which is why the number rises only then
 *   - one thread at most stands in a proxy's line to give the lock back. It says that it does not any more (`returner`)
 *     before it clears `here`: whom it kept from standing there had set `here` before, or had no need to
 *   - a host asks for no lock that it owns: ACQUIRE in that case is answered OK, the GRANT is on its way
 *   - the agent alone makes and ends proxies
 */
#include "lock/lock.h"

#include <stdio.h>
#include <string.h>

#include "remote/remote.h"

enum operation {
    /* at home */
    DESTROY,
    ACQUIRE,
    TRY,
    RELEASE, /* nobody of the asking host holds it: says what is wrong */
    RETURN,
    RETURN_DEAD, /* its holder died */
    MAKE,        /* of a host: there is no lock yet */
    /* at hosts that use it; the first four come with the answer to ACQUIRE or TRY */
    GRANT,
    GRANT_CALLED,
    GRANT_DEAD,
    GRANT_DEAD_CALLED,
    CALL_BACK,
    CALL_BACK_FREE, /* only if nobody holds it here; with an answer */
    PREPARE,
    END
};

/* of struct muster__lock's here */
enum {
    AWAY,
    HERE = 1,
    DIED = 2 /* the last holder on another host died: who uses it next is told */
};

/* ---- proxies ---- */

struct proxy {
    struct muster__object *object; /* NULL: there is none */
    struct muster__lock *lock;
    uint32_t generation;
};

static bool find(muster_handle lock, struct proxy *proxy)
{
    struct muster__proxy found;
    if (!muster__proxy_find(lock, &found))
        return false;
    *proxy = (struct proxy){found.object, muster__lock_of(found.object), found.generation};
    return true;
}

/* What this thread used last. Whoever ends a proxy changes its generation, which each step compares. */
static MUSTER__THREAD_LOCAL struct {
    muster_handle lock;
    struct proxy proxy;
} last;

static inline bool is_last(muster_handle lock)
{
    return lock.slot == last.lock.slot && lock.generation == last.lock.generation &&
           lock.kind_home == last.lock.kind_home && lock.job == last.lock.job;
}

/* ---- made and ended by the agent ---- */

static muster_err prepare(muster_handle handle)
{
    struct proxy proxy;
    char name[32];
    muster_handle made;
    if (find(handle, &proxy))
        return MUSTER_OK;
    snprintf(name, sizeof name, "%u on %.20s", handle.slot, muster__host_name_of((int)(handle.kind_home & 0xffffff)));
    muster_err err = muster__lock_create(name, muster__self_number(), &made);
    if (err == MUSTER_OK && (err = muster__proxy_add(handle, made)) != MUSTER_OK)
        muster__lock_destroy(muster__object_slot(made.slot), made.generation, NULL);
    return err;
}

static void end(muster_handle handle)
{
    struct muster__proxy proxy;
    if (!muster__proxy_remove(handle, &proxy))
        return;
    muster__lock_destroy(proxy.object, proxy.generation, NULL);
    muster__futex_wake(&muster__lock_of(proxy.object)->here, -1);
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

/* ---- a host that uses a lock ---- */

static void note(muster_handle lock, int at, enum operation operation, int64_t timeout_ms)
{
    muster__remote_note(
        &(struct muster__call){.object = lock, .at = at, .operation = (uint32_t)operation, .timeout_ms = timeout_ms});
}

static muster_err ask(muster_handle lock, int at, enum operation operation, int64_t timeout_ms, const char *name)
{
    struct muster__call call = {
        .object = lock, .at = at, .operation = (uint32_t)operation, .timeout_ms = timeout_ms, .anonymous = true};
    return muster__remote_call(&call, name);
}

static int this_host(void)
{
    return (int)muster__segment->host + 1;
}

static muster_err granted(muster_handle handle, uint32_t died)
{
    struct proxy proxy;
    if (!find(handle, &proxy)) {
        note(handle, 0, died ? RETURN_DEAD : RETURN, MUSTER_NOWAIT);
        return MUSTER_OK;
    }
    muster__lock_turn_begins(proxy.lock);
    atomic_store(&proxy.lock->here, HERE | died);
    muster__futex_wake(&proxy.lock->here, -1);
    return MUSTER_OK;
}

static muster_err take_proxy(const struct proxy *proxy, uint32_t self, int64_t timeout_ms)
{
    uint32_t nobody = 0;
    if (timeout_ms != MUSTER_NOWAIT && !atomic_compare_exchange_strong(&proxy->lock->returner, &nobody, self))
        return MUSTER_ERR_STATE;
    muster_err err = muster__lock_acquire_for_host(proxy->lock, proxy->generation, self, 0, timeout_ms);
    if (timeout_ms != MUSTER_NOWAIT)
        atomic_store(&proxy->lock->returner, 0);
    return err;
}

/* BUSY: somebody holds the proxy. The death of its last holder is told at home, whoever comes next there. For who waits
 * here the host stands in the line at home again at once, not only when one of them has run. */
static muster_err call_back(const struct muster__work *work, int64_t timeout_ms)
{
    struct proxy proxy;
    if (!find(work->object, &proxy))
        return MUSTER_OK;
    muster_err err = take_proxy(&proxy, work->self, timeout_ms);
    if (err != MUSTER_OK && err != MUSTER_ERR_OWNER_DEAD)
        return err == MUSTER_ERR_STATE ? MUSTER_OK : err; /* another thread is at it */
    uint32_t here = atomic_exchange(&proxy.lock->here, AWAY);
    bool died = here & DIED || err == MUSTER_ERR_OWNER_DEAD;
    if (here)
        note(work->object, 0, died ? RETURN_DEAD : RETURN, MUSTER_NOWAIT);
    muster__lock_release(proxy.lock, proxy.generation, work->self);
    if (here && muster__lock_is_waited_for(proxy.lock)) /* who was there to wake: releasing has found out */
        note(work->object, 0, ACQUIRE, MUSTER_FOREVER);
    return MUSTER_OK;
}

/* It was handed to who gives it back, or is about to be. */
static bool is_on_its_way(const struct proxy *proxy)
{
    uint32_t returner = atomic_load(&proxy->lock->returner);
    uint64_t word = atomic_load(&proxy->lock->word);
    return returner && word >> 32 == proxy->generation &&
           ((word & MUSTER__LOCK_OWNER) == returner || !(word & MUSTER__LOCK_OWNER));
}

/* BUSY: somebody uses it here. It has been sent, or is being sent, when this says OK. */
static muster_err call_back_free(struct muster__work *work)
{
    struct proxy proxy;
    muster_err err;
    while ((err = call_back(work, MUSTER_NOWAIT)) == MUSTER_ERR_BUSY) {
        if (!find(work->object, &proxy))
            return MUSTER_OK;
        work->settled = !is_on_its_way(&proxy);
        if (work->settled || work->timeout_ms == MUSTER_NOWAIT)
            return err;
        uint32_t here = atomic_load(&proxy.lock->here);
        if (muster__sleep(&proxy.lock->here, here, muster__deadline_ns(1), NULL) == MUSTER_ERR_INTERRUPTED)
            return MUSTER_ERR_INTERRUPTED;
    }
    return err;
}

static muster_err gone(muster_handle handle, muster_err err, const char *operation)
{
    int home = (int)(handle.kind_home & 0xffffff);
    if (muster__host_lost(home))
        return muster__fail(MUSTER_ERR_PEER, "%s: host %s is gone, and what was at home there with it", operation,
                            muster__host_name_of(home));
    if (err == MUSTER_ERR_CLOSED)
        return muster__fail(err, "%s: the lock was destroyed meanwhile", operation);
    return muster__object_stale(MUSTER__LOCK, operation);
}

static void describe(muster_err err, const char *operation, uint64_t home_slot, char *line, size_t size)
{
    const char *remedy = "";
    switch (err) {
    case MUSTER_ERR_DEADLOCK:
        remedy = "; this thread holds it already: release it first";
        break;
    case MUSTER_ERR_STATE:
        remedy = "; this thread does not hold it";
        break;
    case MUSTER_ERR_OWNER_DEAD:
        remedy = "; check what it guards";
        break;
    case MUSTER_ERR_BUSY:
    case MUSTER_ERR_TIMEOUT:
        remedy = "; hold it shorter or wait longer";
        break;
    }
    snprintf(line, size, "lock %u of host %s: %s: %s%s", (unsigned)home_slot,
             muster__host_name_of((int)(home_slot >> 32)), operation, muster_err_text(err), remedy);
}

static muster_err failed(muster_err err, muster_handle handle, const char *operation)
{
    if (err == MUSTER_ERR_STALE || err == MUSTER_ERR_CLOSED) {
        last.lock = (muster_handle){0};
        return gone(handle, err, operation);
    }
    if (err == MUSTER_OK || err == MUSTER_ERR_INTERRUPTED)
        return err;
    return muster__routine(err, describe, operation, (uint64_t)(handle.kind_home & 0xffffff) << 32 | handle.slot);
}

static bool await_grant(const struct proxy *proxy)
{
    while (atomic_load(&proxy->lock->here) == AWAY) {
        if (atomic_load(&proxy->lock->word) >> 32 != proxy->generation)
            return false;
        muster__sleep(&proxy->lock->here, AWAY, MUSTER__NEVER, NULL);
    }
    return true;
}

static int64_t left_ms(int64_t deadline_ns)
{
    int64_t left = deadline_ns == MUSTER__NEVER ? 0 : deadline_ns - muster__now_ns();
    return deadline_ns == MUSTER__NEVER ? MUSTER_FOREVER : left > 0 ? (left + 999999) / 1000000 : MUSTER_NOWAIT;
}

/* By who holds the proxy of a lock that is here. */
static muster_err use(muster_handle handle, const struct proxy *proxy, muster_err err, const char *operation)
{
    bool died = atomic_exchange(&proxy->lock->here, HERE) & DIED || err == MUSTER_ERR_OWNER_DEAD;
    return died ? failed(MUSTER_ERR_OWNER_DEAD, handle, operation) : MUSTER_OK;
}

/* By who holds the proxy of a lock that is not here. */
static muster_err fetch(muster_handle handle, const struct proxy *proxy, uint32_t self, int64_t timeout_ms,
                        int64_t deadline_ns, const char *operation)
{
    muster_err err = timeout_ms == MUSTER_NOWAIT ? ask(handle, 0, TRY, MUSTER_FOREVER, operation)
                                                 : ask(handle, 0, ACQUIRE, left_ms(deadline_ns), operation);
    if (err == MUSTER_OK)
        return await_grant(proxy) ? use(handle, proxy, MUSTER_OK, operation)
                                  : gone(handle, MUSTER_ERR_CLOSED, operation);
    muster__lock_release(proxy->lock, proxy->generation, self);
    if (err == MUSTER_ERR_STALE || err == MUSTER_ERR_CLOSED)
        note(handle, this_host(), END, MUSTER_NOWAIT);
    return err == MUSTER_ERR_BUSY && timeout_ms != MUSTER_NOWAIT ? failed(MUSTER_ERR_TIMEOUT, handle, operation) : err;
}

/* noinline, here and below: inlined, they have the handle go through memory on the fast path, which takes twice the
 * time then. */
static const char acquiring[] = "muster_lock_acquire";

/* Makes this thread's `last` the proxy of that lock. */
static muster_err __attribute__((noinline)) look_up(muster_handle handle, uint32_t self)
{
    struct proxy proxy;
    if (!self)
        return muster__object_stale(MUSTER__LOCK, acquiring);
    while (!find(handle, &proxy)) {
        muster_err err = ask(handle, this_host(), PREPARE, MUSTER_NOWAIT, acquiring);
        if (err != MUSTER_OK)
            return err;
        if (muster__host_lost((int)(handle.kind_home & 0xffffff)))
            return gone(handle, MUSTER_ERR_STALE, acquiring);
    }
    last.lock = handle;
    last.proxy = proxy;
    return MUSTER_OK;
}

/* The proxy is held, or was not got: err. */
static muster_err __attribute__((noinline))
acquire_rest(muster_handle handle, uint32_t self, int64_t timeout_ms, int64_t deadline_ns, muster_err err)
{
    struct proxy proxy = last.proxy;
    if (err != MUSTER_OK && err != MUSTER_ERR_OWNER_DEAD)
        return failed(err, handle, acquiring);
    if (atomic_load(&proxy.lock->here) == AWAY)
        return fetch(handle, &proxy, self, timeout_ms, deadline_ns, acquiring);
    return use(handle, &proxy, err, acquiring);
}

muster_err muster__token_acquire(muster_handle handle, uint32_t self, int64_t timeout_ms)
{
    int64_t deadline_ns = timeout_ms > 0 ? muster__deadline_ns(timeout_ms) : MUSTER__NEVER;
    if (MUSTER__UNLIKELY(!is_last(handle) || !self)) {
        muster_err err = look_up(handle, self);
        if (err != MUSTER_OK)
            return err;
    }
    struct muster__lock *lock = last.proxy.lock;
    muster_err err = muster__lock_acquire(lock, last.proxy.generation, self, timeout_ms);
    if (MUSTER__LIKELY(err == MUSTER_OK && atomic_load_explicit(&lock->here, memory_order_acquire) == HERE))
        return MUSTER_OK;
    return acquire_rest(handle, self, timeout_ms, deadline_ns, err);
}

static muster_err __attribute__((noinline)) release_slow(muster_handle handle, uint32_t self)
{
    static const char operation[] = "muster_lock_release";
    struct proxy proxy;
    if (!self)
        return muster__object_stale(MUSTER__LOCK, operation);
    if (!find(handle, &proxy))
        return ask(handle, 0, RELEASE, MUSTER_NOWAIT, operation);
    return failed(muster__lock_release(proxy.lock, proxy.generation, self), handle, operation);
}

muster_err muster__token_release(muster_handle handle, uint32_t self)
{
    if (MUSTER__LIKELY(is_last(handle) && self) &&
        MUSTER__LIKELY(muster__lock_release(last.proxy.lock, last.proxy.generation, self) == MUSTER_OK))
        return MUSTER_OK;
    return release_slow(handle, self);
}

muster_err muster__token_destroy(muster_handle handle)
{
    return ask(handle, 0, DESTROY, MUSTER_FOREVER, "muster_lock_destroy");
}

muster_err muster__token_make(int host, const char *name, const char *operation, muster_handle *lock)
{
    char wanted[32] = "";
    snprintf(wanted, sizeof wanted, "%s", name ? name : "");
    return muster__remote_make(host, MUSTER__LOCK, MAKE, wanted, sizeof wanted, operation, lock);
}

/* ---- home ---- */

static muster_err make(struct muster__work *work)
{
    work->reply_size = sizeof(muster_handle);
    return muster__lock_create(work->bytes, work->self, work->reply);
}

static bool owner_is_host(uint32_t owner)
{
    int host;
    return muster__remote_is_host(owner, &host);
}

static muster_handle handle_of(const struct muster__lock *lock, uint32_t generation)
{
    size_t offset = (size_t)((const char *)lock - (const char *)muster__object_slot(0));
    return muster__handle_make(MUSTER__LOCK, (uint32_t)(offset / sizeof(struct muster__object)), generation);
}

/* Once for each grant, as a rule. If the owner is another one by now, who waits has been woken and looks again. */
static void call_from(struct muster__lock *lock, uint32_t generation, uint32_t owner)
{
    int host;
    uint32_t grant = atomic_load(&lock->grants);
    bool is_owner = (atomic_load(&lock->word) & MUSTER__LOCK_OWNER) == owner;
    if (!is_owner || atomic_load(&lock->called) == grant || !muster__remote_is_host(owner, &host))
        return;
    note(handle_of(lock, generation), host + 1, CALL_BACK, MUSTER_FOREVER);
    atomic_store(&lock->called, grant);
}

static void grant_sent(const struct muster__work *work)
{
    struct muster__object *object = muster__object_find(work->object, MUSTER__LOCK);
    if (!object)
        return;
    struct muster__lock *lock = muster__lock_of(object);
    bool called = work->then == GRANT_CALLED || work->then == GRANT_DEAD_CALLED;
    if (called)
        atomic_store(&lock->called, atomic_load(&lock->grants) + 1);
    atomic_fetch_add(&lock->grants, 1);
    if (!called && muster__lock_is_waited_for(lock))
        call_from(lock, work->object.generation, work->host_self);
}

static void give(struct muster__lock *lock, struct muster__work *work, muster_err err)
{
    atomic_fetch_or(&lock->hosts, UINT64_C(1) << work->host % 64);
    if (!muster__lock_give(lock, work->object.generation, work->self, work->host_self))
        return; /* the host is its owner, or the lock was destroyed */
    bool calls = muster__lock_is_waited_for(lock);
    work->then = err == MUSTER_OK ? calls ? GRANT_CALLED : GRANT : calls ? GRANT_DEAD_CALLED : GRANT_DEAD;
    work->sent = grant_sent;
}

static muster_err try_once(struct muster__lock *lock, uint32_t generation, uint32_t self, uint32_t ally)
{
    return muster__lock_acquire_for_host(lock, generation, self, ally, MUSTER_NOWAIT);
}

/* A few times: the host that was asked has given it back, but another one may have got it since. */
static muster_err try_all(muster_handle handle, struct muster__lock *lock, uint32_t self, uint32_t ally)
{
    enum { TRIES = 8 };
    muster_err err = try_once(lock, handle.generation, self, ally);
    for (int i = 0, host; i < TRIES && err == MUSTER_ERR_BUSY; i++) {
        uint32_t owner = (uint32_t)(atomic_load(&lock->word) & MUSTER__LOCK_OWNER);
        if (owner && (!muster__remote_is_host(owner, &host) ||
                      ask(handle, host + 1, CALL_BACK_FREE, MUSTER_FOREVER, acquiring) != MUSTER_OK))
            return err;
        err = try_once(lock, handle.generation, self, ally);
    }
    return err;
}

muster_err muster__token_try(muster_handle handle, struct muster__lock *lock, uint32_t self)
{
    return try_all(handle, lock, self, 0);
}

void muster__token_end(muster_handle handle, uint64_t hosts)
{
    for (int host = 0; hosts && host < muster_hosts(); host++)
        if (hosts >> host % 64 & 1 && host != (int)muster__segment->host)
            ask(handle, host + 1, END, MUSTER_NOWAIT, "muster_lock_destroy");
}

static muster_err at_home(struct muster__work *work, struct muster__object *object)
{
    struct muster__lock *lock = muster__lock_of(object);
    uint32_t generation = work->object.generation;
    muster_err err = MUSTER_OK;
    uint64_t hosts;
    switch ((enum operation)work->operation) {
    case DESTROY:
        if (work->timeout_ms == MUSTER_NOWAIT)
            return MUSTER_ERR_BUSY; /* it asks other hosts */
        if (!muster__lock_destroy(object, generation, &hosts))
            return MUSTER_ERR_STALE;
        muster__token_end(work->object, hosts);
        return MUSTER_OK;
    case ACQUIRE:
        err = muster__lock_acquire_for_host(lock, generation, work->self, work->host_self, work->timeout_ms);
        break;
    case TRY:
        err = work->timeout_ms == MUSTER_NOWAIT ? try_once(lock, generation, work->self, work->host_self)
                                                : try_all(work->object, lock, work->self, work->host_self);
        break;
    case RELEASE:
        return MUSTER_ERR_STATE;
    case RETURN:
    case RETURN_DEAD:
        return muster__lock_release_for(lock, generation, work->host_self, work->operation == RETURN_DEAD);
    default:
        return MUSTER_ERR_UNSUPPORTED;
    }
    if (err != MUSTER_OK && err != MUSTER_ERR_OWNER_DEAD)
        return err;
    give(lock, work, err);
    return MUSTER_OK;
}

static muster_err worker(struct muster__work *work)
{
    static const char *const names[] = {"muster_lock_destroy", "muster_lock_acquire", "muster_lock_acquire",
                                        "muster_lock_release"};
    switch ((enum operation)work->operation) {
    case MAKE:
        return make(work);
    case GRANT:
        return granted(work->object, 0);
    case GRANT_DEAD:
        return granted(work->object, DIED);
    case GRANT_CALLED:
    case GRANT_DEAD_CALLED:
        if (work->timeout_ms == MUSTER_NOWAIT) /* the first try */
            granted(work->object, work->operation == GRANT_DEAD_CALLED ? DIED : 0);
        return call_back(work, work->timeout_ms);
    case CALL_BACK:
        return call_back(work, work->timeout_ms);
    case CALL_BACK_FREE:
        return call_back_free(work);
    case PREPARE:
        return prepare(work->object);
    case END:
        end(work->object);
        return MUSTER_OK;
    default:
        break;
    }
    struct muster__object *object = muster__object_find(work->object, MUSTER__LOCK);
    muster_err err = object ? at_home(work, object) : MUSTER_ERR_STALE;
    return failed(err, work->object, work->operation <= RELEASE ? names[work->operation] : "");
}

static const struct muster__lock_hosts between = {owner_is_host, call_from};

__attribute__((constructor)) static void set_hooks(void)
{
    muster__remote_register(MUSTER__LOCK, worker);
    muster__remote_on_lost(MUSTER__LOCK, host_lost);
    muster__lock_hosts = &between;
}
