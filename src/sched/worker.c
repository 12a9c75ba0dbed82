/* SPDX-License-Identifier: BSD-3-Clause */
#include "sched/sched.h"

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How long workers that were asked to leave may take before they are killed. */
#define LEAVE_NS INT64_C(1000000000)

/* ---- initializer and finalizer ---- */

/* Of several, the first one's text stays. */
static void keep_why(struct pool *pool, const char *why)
{
    uint32_t self = muster__self_number();
    muster__ref none = 0, ref = muster__heap_alloc(strlen(why) + 1, self);
    if (!ref)
        return;
    strcpy(muster__heap_at(ref), why);
    muster__heap_hand_over(ref, self, pool_owner(pool));
    if (!atomic_compare_exchange_strong(&pool->broken_why, &none, ref))
        muster__heap_free(ref, self);
}

const char *worker_broken_why(struct pool *pool)
{
    const char *why = muster__heap_at(atomic_load(&pool->broken_why));
    return why ? why : "no memory was left to say why";
}

muster_err worker_broken(struct pool *pool, const char *operation)
{
    enum pool_state state = pool_state(pool);
    if (state == POOL_BROKEN || (state == POOL_STOPPING && atomic_load(&pool->broken_why)))
        return muster__fail(MUSTER_ERR_BROKEN, "%s: %s", operation, worker_broken_why(pool));
    return MUSTER_OK;
}

void worker_break(struct pool *pool, const char *format, ...)
{
    char why[160], name[64];
    uint32_t seen = atomic_load(&pool->state);
    if (seen > POOL_CLOSED)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    keep_why(pool, why);
    while (!atomic_compare_exchange_weak(&pool->state, &seen, POOL_BROKEN))
        if (seen > POOL_CLOSED)
            return;
    muster__object_describe(muster__object_slot(pool->slot), name, sizeof name);
    muster__log(MUSTER__ERROR, "%s: broken: %s", name, worker_broken_why(pool));
    sched_ring_all(pool);
}

static int call_hook(const struct seat *seat, muster__function function, const char *what)
{
    void *pointer;
    if (muster__function_find(function, &pointer))
        return -1;
    struct pool *pool = seat->pool;
    struct calling calling = {(muster_task_fn)pointer, function, what, 0, 0, NULL};
    return run_call(seat, &calling, pool->init_arg ? muster__heap_at(pool->init_arg) : NULL, NULL,
                    pool->user ? muster__heap_at(pool->user) : NULL);
}

static bool initialize(const struct seat *seat)
{
    int code = seat->pool->initializer ? call_hook(seat, seat->pool->initializer, "initializer") : 0;
    if (code)
        worker_break(seat->pool, "the initializer returned %d on worker %d, rank %d, host %s", code,
                     pool_worker_number(seat->pool, seat->lane->index), muster__member_rank(muster__member_self()),
                     muster__host_name());
    return !code;
}

/* Threads of a rank that help have its worker's initializer in common with that: whoever is first calls it. */
static bool slot_ready(const struct seat *seat, struct worker_slot *worker)
{
    static pthread_mutex_t one = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
    pthread_mutex_lock(&one);
    bool ready = atomic_load(&worker->ready);
    if (!ready) {
        atomic_store(&worker->trying, 1);
        ready = initialize(seat);
        atomic_store(&worker->trying, 0);
        worker->failed_tries = ready ? 0 : worker->failed_tries;
        atomic_store(&worker->ready, ready);
    }
    pthread_mutex_unlock(&one);
    return ready;
}

/* The slot that a seat has or, of a rank's thread that helps, shares; NULL: a child that helps, or a rank without one.
 */
static struct worker_slot *slot_of(const struct seat *seat)
{
    uint32_t me = muster__member_self();
    if (seat->worker)
        return pool_worker(seat->pool, (int)seat->lane->index);
    int lane = me < (uint32_t)muster__host_ranks() ? pool_lane_of_rank(seat->pool, me) : -1;
    return lane >= 0 ? pool_worker(seat->pool, lane) : NULL;
}

bool worker_ready(const struct seat *seat)
{
    struct worker_slot *worker = slot_of(seat);
    if (MUSTER__LIKELY(worker && atomic_load_explicit(&worker->ready, memory_order_relaxed)))
        return true;
    if (worker)
        return slot_ready(seat, worker);
    seat->lane->initialized = seat->lane->initialized || initialize(seat);
    return seat->lane->initialized;
}

void worker_leave(const struct seat *seat)
{
    struct worker_slot *worker = pool_worker(seat->pool, (int)seat->lane->index);
    if (sched_untold.whole) /* nobody is to wait for the finalizer */
        sched_tell();
    if (seat->pool->finalizer && atomic_load(&worker->ready))
        call_hook(seat, seat->pool->finalizer, "finalizer");
    _Atomic uint32_t *owner = &seat->lane->owner;
    seat_give_up(seat->pool);
    muster__futex_wake(owner, -1); /* by address alone: the pool may be gone */
}

/* ---- who is there ---- */

int worker_visiting(const struct pool *pool)
{
    return muster__is_spmd() && muster__is_rank_main() ? pool_lane_of_rank(pool, muster__member_self()) : -1;
}

/* Whoever comes sees that the branch misses some, or its carrier sees who has come. */
void worker_stay(struct pool *pool, uint32_t lane, enum stay stay)
{
    atomic_store(&pool_worker(pool, (int)lane)->stay, stay);
    if (stay != WORKER_AWAY && MUSTER__UNLIKELY(atomic_load(&pool->misses)) && atomic_exchange(&pool->misses, 0))
        sched_ring_waiters(pool);
}

int workers_here(struct pool *pool)
{
    int here = 0;
    for (int i = 0; i < pool->workers; i++)
        here += atomic_load(&pool_worker(pool, i)->stay) != WORKER_AWAY;
    return here;
}

/* Whoever comes to a branch that misses some rings its carrier. */
int workers_to_feed(struct pool *pool)
{
    int here = workers_here(pool);
    if (here == pool->workers)
        return here;
    atomic_store(&pool->misses, 1);
    return workers_here(pool);
}

void workers_count(struct pool *pool, int32_t *alive, int32_t *busy)
{
    for (int i = 0; i < pool->workers; i++) {
        const struct worker_slot *worker = pool_worker(pool, i);
        *alive += atomic_load_explicit(&pool->lane[i].owner, memory_order_relaxed) != 0 &&
                  atomic_load_explicit(&worker->stay, memory_order_relaxed) != WORKER_AWAY;
        *busy += atomic_load_explicit(&pool->lane[i].depth, memory_order_relaxed) > 0;
    }
}

bool worker_is_held(struct pool *pool, int i)
{
    return atomic_load(&pool->lane[i].owner) && atomic_load(&pool_worker(pool, i)->stay) == WORKER_STAYS;
}

/* ---- idling, the same for ranks and children ---- */

static MUSTER__THREAD_LOCAL int64_t spent_at; /* calls of this child's worker after which another takes its place */

/* Who has tasks that wait goes on with them when the pool ends, and leaves after that. */
static bool may_leave(const struct seat *seat)
{
    return pool_state(seat->pool) == POOL_STOPPING && !atomic_load_explicit(&seat->lane->depth, memory_order_relaxed);
}

static bool idle_announce(const struct seat *seat)
{
    sched_idle_begin(seat);
    return may_leave(seat) || (pool_state(seat->pool) <= POOL_CLOSED && sched_any_for(seat));
}

int64_t worker_left(const struct seat *seat)
{
    if (MUSTER__LIKELY(!seat->pool->max_tasks))
        return INT64_MAX;
    return run_calls() < spent_at ? spent_at - run_calls() : 1;
}

static bool is_spent(const struct seat *seat)
{
    return MUSTER__UNLIKELY(seat->pool->max_tasks) && run_calls() >= spent_at &&
           !atomic_load_explicit(&seat->lane->depth, memory_order_relaxed);
}

static bool run_all(const struct seat *seat)
{
    bool any = false;
    while (!is_spent(seat) && sched_run_one(seat))
        any = true;
    return any;
}

/* ---- isolated workers ---- */

struct worker_arg {
    muster_handle pool;
    int worker;
};

static void child_idle(const struct seat *seat)
{
    _Atomic uint32_t *bell = &muster__self_state.caller->bell;
    struct muster__spin spin = {0};
    while (muster__spin(&spin))
        if (run_all(seat))
            return;
    uint32_t seen = atomic_load(bell);
    context_stand_by();
    if (!idle_announce(seat) && !context_ready()) {
        muster__stands_by(pool_home_handle(seat->pool), MUSTER__FOR_WORK);
        muster__sleep(bell, seen, context_until());
    }
    context_stand_down();
    sched_idle_end(seat, true);
}

static int child_main(const void *bytes, size_t size)
{
    (void)size;
    const struct worker_arg *arg = bytes;
    struct muster__object *object = muster__object_pin(arg->pool, MUSTER__POOL);
    if (!object)
        return 0; /* the pool ended meanwhile */
    struct pool *pool = pool_of(object);
    struct seat seat = seat_take_worker(pool, arg->worker);
    muster__object_unpin();
    worker_ready(&seat);
    spent_at = run_calls() + pool->max_tasks;
    while (!may_leave(&seat) && !is_spent(&seat))
        if (!run_all(&seat) && !context_let(NULL))
            child_idle(&seat);
    muster__stands_by_no_more();
    worker_leave(&seat);
    return 0;
}

muster_err worker_start(struct pool *pool, int i)
{
    char name[32];
    snprintf(name, sizeof name, "pool-%u-worker-%d", pool->slot, i);
    struct worker_arg arg = {pool_handle(pool), i};
    struct muster__child child = {.main = child_main,
                                  .arg = &arg,
                                  .size_bytes = sizeof arg,
                                  .name = name,
                                  .rank_local = pool_rank_of_lane(pool, i)};
    uint32_t member;
    muster_err err = muster__child_claim(&child, &member);
    if (err)
        return err;
    atomic_store(&pool_worker(pool, i)->member, member);
    err = muster__child_start(member);
    if (err) {
        atomic_store(&pool_worker(pool, i)->member, MUSTER__MEMBERS_MAX);
        muster__child_release(member);
    }
    return err;
}

/* ---- in-rank workers: a service of ranks that serve ---- */

static struct {
    struct seat *list;
    int count, room;
    int turn;       /* of the list, the one that it last ran something for */
    uint32_t epoch; /* of pools, when list was made */
} serving;

static bool serves(const struct pool *pool)
{
    for (int i = 0; i < serving.count; i++)
        if (serving.list[i].pool == pool && serving.list[i].pool->generation == pool->generation)
            return true;
    return false;
}

static void serve_pool(struct muster__object *object)
{
    struct pool *pool = pool_of(object);
    uint32_t me = muster__member_self();
    if (!pool || pool_lane_of_rank(pool, me) < 0 || serves(pool) || seat_is_inside(pool) ||
        pool_state(pool) >= POOL_STOPPING)
        return;
    if (serving.count == serving.room) {
        int room = serving.room ? 2 * serving.room : 4;
        struct seat *wider = realloc(serving.list, (size_t)room * sizeof *wider);
        if (!wider)
            return;
        serving.list = wider;
        serving.room = room;
    }
    serving.list[serving.count++] = seat_take_worker(pool, pool_lane_of_rank(pool, me));
}

static void look_for_pools(void)
{
    uint32_t epoch = atomic_load(muster__kind_epoch(MUSTER__POOL));
    if (MUSTER__LIKELY(epoch == serving.epoch))
        return;
    serving.epoch = epoch;
    muster_handle handle;
    for (uint32_t at = 0; muster__object_next(MUSTER__POOL, &at, &handle);) {
        struct muster__object *object = muster__object_pin(handle, MUSTER__POOL);
        if (!object)
            continue;
        serve_pool(object);
        muster__object_unpin();
    }
}

static bool run_some(const struct seat *seat, enum muster__how how)
{
    if (how == MUSTER__WORK_ALL)
        return run_all(seat);
    if (how == MUSTER__WORK_ONE)
        return sched_run_one(seat);
    context_forbid(true);
    bool ran = sched_run_one(seat);
    context_forbid(false);
    return ran;
}

/* Several pools are served in turns, one task or piece of a map of each. */
static bool service_work_once(enum muster__how how)
{
    bool any = false;
    look_for_pools();
    for (int n = serving.count; n-- > 0 && !(how && any);) {
        int i = serving.turn = serving.turn + 1 < serving.count ? serving.turn + 1 : 0;
        struct seat seat = serving.list[i];
        if (run_some(&seat, how == MUSTER__WORK_ALL && serving.count > 1 ? MUSTER__WORK_ONE : how))
            any = true;
        if (!may_leave(&seat))
            continue;
        worker_leave(&seat);
        serving.list[i] = serving.list[--serving.count];
    }
    return any || context_let(NULL);
}

static bool service_work(enum muster__how how)
{
    if (service_work_once(how))
        return true;
    struct muster__spin spin = {0};
    while (serving.count && muster__spin(&spin))
        if (service_work_once(how))
            return true;
    return false;
}

static bool service_park(int64_t *until_ns)
{
    bool turned_up = false;
    context_stand_by();
    for (int i = 0; i < serving.count; i++)
        turned_up |= idle_announce(&serving.list[i]);
    *until_ns = context_until() < *until_ns ? context_until() : *until_ns;
    return !turned_up && !context_ready() && serving.epoch == atomic_load(muster__kind_epoch(MUSTER__POOL));
}

/* Of several pools, one may keep it from looking at the others for long. */
static void service_unpark(void)
{
    context_stand_down();
    for (int i = 0; i < serving.count; i++)
        sched_idle_end(&serving.list[i], serving.count == 1);
}

/* What was for this rank to do is for another one: one here, or by way of the carrier at home. */
static void stay_no_more(const struct seat *seat)
{
    struct pool *pool = seat->pool;
    if (!muster__object_pin(pool_handle(pool), MUSTER__POOL)) {
        worker_leave(seat); /* the pool ends, and waits for that */
        return;
    }
    worker_stay(pool, seat->lane->index, WORKER_AWAY);
    if (sched_any_queued(pool))
        sched_wake_one(seat);
    if (!pool_is_home(pool))
        sched_ring_waiters(pool);
    _Atomic uint32_t *owner = &seat->lane->owner;
    seat_give_up(pool);
    muster__futex_wake(owner, -1); /* who ends the pool waits for it */
    muster__object_unpin();
}

static void service_leave(void)
{
    while (serving.count)
        stay_no_more(&serving.list[--serving.count]);
    serving.epoch = 0; /* all pools are new to who serves again */
}

void worker_register(void)
{
    static const struct muster__service service = {service_work, service_park, service_unpark, context_any,
                                                   service_leave};
    muster__service_register(&service);
}

void worker_ring_ranks(struct pool *pool)
{
    for (int i = 0; !pool->isolated && i < pool->workers; i++)
        muster__ring(muster__rank_caller(pool_rank_of_lane(pool, i)));
}

/* ---- the end ---- */

static bool has_left(void *arg)
{
    struct muster__member_info info;
    muster__child_info(*(const uint32_t *)arg, &info);
    return info.state == MUSTER__MEMBER_ENDED || info.state == MUSTER__MEMBER_FREE;
}

static void wait_child(struct pool *pool, int i, int64_t deadline)
{
    uint32_t member = atomic_load(&pool_worker(pool, i)->member);
    if (member == MUSTER__MEMBERS_MAX)
        return;
    muster__stands_by(pool_home_handle(pool), MUSTER__FOR_WORKERS);
    while (!has_left(&member))
        if (muster__event_await(muster__child_event(member), has_left, &member, deadline) == MUSTER_ERR_TIMEOUT) {
            muster__child_signal(member, SIGKILL);
            deadline = MUSTER__NEVER;
        }
    muster__stands_by_no_more();
    muster__child_release(member);
}

static void wait_lane(struct pool *pool, int i)
{
    _Atomic uint32_t *owner = &pool->lane[i].owner;
    uint32_t seen;
    muster__stands_by(pool_home_handle(pool), MUSTER__FOR_WORKERS);
    while ((seen = atomic_load(owner)) != 0 && worker_is_held(pool, i))
        muster__sleep(owner, seen, MUSTER__NEVER);
    muster__stands_by_no_more();
}

void worker_wait_left(struct pool *pool, bool kill)
{
    int64_t deadline = kill ? 0 : muster__now_ns() + LEAVE_NS;
    bool heeds = muster__self_state.caller->heeds_signal;
    muster__self_state.caller->heeds_signal = false; /* ending goes on after a signal */
    for (int i = 0; i < pool->workers; i++) {
        if (atomic_load(&pool->lane[i].owner) == muster__self_state.number) {
            struct seat own = {pool, &pool->lane[i], muster__self_state.number, false, true, true};
            worker_leave(&own);
        } else if (pool->isolated) {
            wait_child(pool, i, deadline);
        } else {
            wait_lane(pool, i);
        }
    }
    muster__self_state.caller->heeds_signal = heeds;
}
