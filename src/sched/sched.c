/* SPDX-License-Identifier: BSD-3-Clause */
#include "sched/sched.h"

#include <signal.h>
#include <unistd.h>

/* ---- who sleeps, who waits ---- */

/* A full barrier. */
static void waiters_add(struct pool *pool, uint32_t lane)
{
    atomic_fetch_or(&pool->waiters[lane / 64], UINT64_C(1) << lane % 64);
    muster__fence_after_atomic();
}

static void waiters_remove(struct pool *pool, uint32_t lane)
{
    atomic_fetch_and(&pool->waiters[lane / 64], ~(UINT64_C(1) << lane % 64));
}

/* Returns what it was. A full barrier. */
static enum idle idle_exchange(struct pool *pool, uint32_t lane, enum idle idle)
{
    unsigned shift = lane % 32 * 2;
    uint64_t word = atomic_load(&pool->idle[lane / 32]), changed;
    do
        changed = (word & ~(UINT64_C(3) << shift)) | (uint64_t)idle << shift;
    while (!atomic_compare_exchange_weak(&pool->idle[lane / 32], &word, changed));
    muster__fence_after_atomic();
    return (enum idle)(word >> shift & 3);
}

/* ---- who queues without a full barrier ---- */

void sched_go_light(const struct seat *seat)
{
    uint32_t lane = seat->lane->index;
    seat->lane->light = true;
    atomic_fetch_or(&seat->pool->light[lane / 64], UINT64_C(1) << lane % 64);
    muster__fence_after_atomic();
}

/* By the lane's owner, or for it, after a full barrier. */
static void light_end(struct pool *pool, struct lane *lane)
{
    if (MUSTER__LIKELY(!lane->light))
        return;
    lane->light = false;
    atomic_fetch_and(&pool->light[lane->index / 64], ~(UINT64_C(1) << lane->index % 64));
}

/* After a full barrier. */
static bool light_any(struct pool *pool)
{
    uint64_t any = 0;
    uint32_t lanes = atomic_load(&pool->lanes_used);
    for (uint32_t word = 0; word * 64 < lanes; word++)
        any |= atomic_load(&pool->light[word]);
    return any;
}

static void ring_lane(struct pool *pool, uint32_t lane)
{
    uint32_t owner = atomic_load(&pool->lane[lane].owner);
    if (muster__owner_is_host(owner))
        muster__event_signal(&muster__object_slot(pool->slot)->event[POOL_WORK], -1);
    else if (owner)
        muster__ring(owner);
}

/* bits: `each` of them a lane, from the word's lowest */
static void ring_bits(struct pool *pool, const _Atomic uint64_t *bitmap, uint32_t each)
{
    uint32_t a_word = 64 / each, lanes = atomic_load(&pool->lanes_used);
    for (uint32_t word = 0; word * a_word < lanes; word++) {
        uint64_t bits = atomic_load(&bitmap[word]);
        for (; bits; bits &= bits - 1)
            ring_lane(pool, word * a_word + (uint32_t)__builtin_ctzll(bits) / each);
    }
}

/* Other hosts look at tasks of this part by its object's event. */
static void ring_hosts(struct pool *pool)
{
    muster__event_signal(&muster__object_slot(pool->slot)->event[POOL_LOOK], -1);
}

void sched_ring_waiters(struct pool *pool)
{
    ring_bits(pool, pool->waiters, 1);
    ring_hosts(pool);
}

void sched_ring_waiter(struct pool *pool, uint32_t lane)
{
    if (atomic_load(&pool->waiters[lane / 64]) >> lane % 64 & 1)
        ring_lane(pool, lane);
}

void sched_ring_all(struct pool *pool)
{
    ring_bits(pool, pool->idle, 2);
    ring_bits(pool, pool->waiters, 1);
    ring_hosts(pool);
}

/* Only who makes it CALLED rings, so that each call wakes another one. */
bool sched_call(struct pool *pool, uint32_t lane)
{
    unsigned shift = lane % 32 * 2;
    uint64_t word = atomic_load_explicit(&pool->idle[lane / 32], memory_order_relaxed), changed;
    do {
        if ((word >> shift & 3) != IDLE_ASLEEP)
            return false;
        changed = word ^ (uint64_t)(IDLE_ASLEEP ^ IDLE_CALLED) << shift;
    } while (!atomic_compare_exchange_weak(&pool->idle[lane / 32], &word, changed));
    ring_lane(pool, lane);
    return true;
}

static bool call_one_of(struct pool *pool, const uint16_t *lanes, int begin, int end)
{
    for (int i = begin; i < end; i++)
        if (sched_call(pool, lanes[i]))
            return true;
    return false;
}

static bool cores_taken(void)
{
    return atomic_load_explicit(&muster__segment->awake, memory_order_relaxed) >=
           (int32_t)atomic_load_explicit(&muster__segment->cores, memory_order_relaxed);
}

void sched_wake_one(const struct seat *seat)
{
    uint64_t idle = sched_idle(seat->pool);
    if (MUSTER__LIKELY(!(idle & SCHED_ASLEEP)) || (idle & ~SCHED_ASLEEP && cores_taken()))
        return;
    struct victims others = seat_victims(seat);
    if (!call_one_of(seat->pool, others.lanes, others.same_core, others.count))
        call_one_of(seat->pool, others.lanes, 0, others.same_core);
}

static bool queued_at_least(struct pool *pool, int64_t n)
{
    uint32_t lanes = atomic_load_explicit(&pool->lanes_used, memory_order_acquire);
    for (uint32_t i = 0; i < lanes && n > 0; i++)
        n -= deque_size(&pool->lane[i].deque);
    return n <= 0;
}

bool sched_any_queued(struct pool *pool)
{
    return queued_at_least(pool, 1);
}

bool sched_any_for(const struct seat *seat)
{
    return queued_at_least(seat->pool, 1) || shelf_any(seat->pool, seat->lane->index);
}

static bool is_asleep(struct pool *pool, uint32_t lane)
{
    return (atomic_load(&pool->idle[lane / 32]) >> lane % 32 * 2 & 3) == IDLE_ASLEEP;
}

static int count_hungry(struct pool *pool, uint32_t but)
{
    int n = 0;
    for (uint32_t i = 0; i < (uint32_t)(pool->workers + pool->share.lends); i++)
        n += i != but && is_asleep(pool, i);
    return n && !sched_any_queued(pool) ? n : 0;
}

/* Whoever falls asleep sees that it is to ring, or is seen here. */
int sched_hungry(struct pool *pool, uint32_t but)
{
    int hungry = count_hungry(pool, but);
    if (hungry)
        return hungry;
    atomic_store(&pool->sated, 1);
    return count_hungry(pool, but);
}

void sched_idle_begin(const struct seat *seat)
{
    idle_exchange(seat->pool, seat->lane->index, IDLE_ASLEEP);
    light_end(seat->pool, seat->lane);
    if (light_any(seat->pool) && MUSTER__UNLIKELY(!muster__barrier_heavy()))
        ring_lane(seat->pool, seat->lane->index); /* they may not have seen it: no sleep */
    if (MUSTER__UNLIKELY(atomic_load(&seat->pool->sated)) && atomic_exchange(&seat->pool->sated, 0))
        sched_ring_waiters(seat->pool);
}

void sched_idle_end(const struct seat *seat, bool will_look)
{
    if (idle_exchange(seat->pool, seat->lane->index, IDLE_NOT) == IDLE_CALLED &&
        queued_at_least(seat->pool, (will_look ? 2 : 1) - (int64_t)shelf_common(seat->pool)))
        sched_wake_one(seat);
}

void sched_listen(struct pool *pool, uint32_t lane)
{
    waiters_add(pool, lane);
}

void sched_forget_lane(struct pool *pool, uint32_t lane)
{
    idle_exchange(pool, lane, IDLE_NOT);
    light_end(pool, &pool->lane[lane]);
    waiters_remove(pool, lane);
}

MUSTER__THREAD_LOCAL struct sched_untold sched_untold;

/* The pool may have gone since. */
static void tell_task(const struct sched_untold *told)
{
    struct muster__object *object = muster__object_pin(told->handle, MUSTER__POOL);
    if (!object)
        return;
    struct seat seat = {.pool = told->pool, .lane = &told->pool->lane[told->lane], .self = muster__self_state.number};
    sched_kinds[RECORD_PIECE].look(&seat, told->task);
    muster__object_unpin();
}

void sched_tell(void)
{
    struct sched_untold told = sched_untold;
    sched_untold.whole = 0;
    atomic_thread_fence(memory_order_seq_cst);
    if (MUSTER__UNLIKELY(told.task))
        tell_task(&told);
    else
        sched_ring_waiter(told.pool, told.lane);
}

/* ---- queueing, finding, running ---- */

struct sched_kind sched_kinds[RECORD_KINDS];

/* One that was RUNNING may be waited for. Returns the state it was in. */
static uint64_t make_queued(const struct seat *seat, struct record *record)
{
    uint64_t state = atomic_load_explicit(&record->state, memory_order_relaxed), queued;
    do {
        uint64_t flags = state_phase(state) == RECORD_RUNNING ? state & STATE_KEPT : 0;
        queued = state_make((uint32_t)(state >> 32), seat->lane->index, RECORD_QUEUED) | flags;
        if (MUSTER__LIKELY(state_phase(state) == RECORD_FILLING)) {
            atomic_store_explicit(&record->state, queued, memory_order_release);
            break;
        }
    } while (!atomic_compare_exchange_weak(&record->state, &state, queued));
    return state;
}

/* Without memory only what nobody else can know yet goes back: what was RUNNING may be canceled, or got, by now. */
bool sched_queue(const struct seat *seat, struct record *record, uint32_t index)
{
    uint64_t before = make_queued(seat, record);
    if (!deque_push(&seat->lane->deque, before >> 32 << 32 | index, seat->self)) {
        if (state_phase(before) == RECORD_FILLING)
            atomic_store_explicit(&record->state, before, memory_order_relaxed);
        return false;
    }
    atomic_thread_fence(memory_order_seq_cst);
    sched_wake_one(seat);
    return true;
}

static bool claim(const struct seat *seat, record_ref ref, struct record **record, uint32_t *index)
{
    *index = (uint32_t)ref;
    *record = pool_record(seat->pool, *index);
    return sched_claim(seat, *record, ref);
}

static bool find_own(const struct seat *seat, struct record **record, uint32_t *index)
{
    record_ref ref;
    while (deque_take_begin(&seat->lane->deque, &ref)) {
        bool claimed = claim(seat, ref, record, index);
        deque_take_end(&seat->lane->deque);
        if (claimed)
            return true;
    }
    return false;
}

static bool find_in(const struct seat *seat, struct deque *deque, struct record **record, uint32_t *index)
{
    record_ref ref;
    int64_t at;
    while (deque_steal_begin(deque, &ref, &at)) {
        bool claimed = claim(seat, ref, record, index);
        deque_steal_end(deque, at);
        if (claimed) {
            muster__count_steal(pool_home_handle(seat->pool));
            return true;
        }
    }
    return false;
}

static bool find_other(const struct seat *seat, struct record **record, uint32_t *index)
{
    struct victims others = seat_victims(seat);
    for (int i = 0; i < others.count; i++)
        if (find_in(seat, &seat->pool->lane[others.lanes[i]].deque, record, index))
            return true;
    return false;
}

bool sched_take_own(const struct seat *seat, struct record **record, uint32_t *index)
{
    return pool_state(seat->pool) <= POOL_CLOSED && find_own(seat, record, index);
}

static bool may_go_to(const struct lane *lane, int host)
{
    return atomic_load_explicit(&lane->from, memory_order_relaxed) != host + 1;
}

bool sched_take_for(const struct seat *seat, int host, struct record **record, uint32_t *index)
{
    struct pool *pool = seat->pool;
    uint32_t lanes = atomic_load_explicit(&pool->lanes_used, memory_order_acquire);
    for (uint32_t i = 0; i < lanes && pool_state(pool) <= POOL_CLOSED; i++)
        if (may_go_to(&pool->lane[i], host) && find_in(seat, &pool->lane[i].deque, record, index))
            return true;
    return false;
}

int64_t sched_queued_for(struct pool *pool, int host)
{
    int64_t n = 0;
    uint32_t lanes = atomic_load_explicit(&pool->lanes_used, memory_order_acquire);
    for (uint32_t i = 0; i < lanes; i++)
        n += may_go_to(&pool->lane[i], host) ? deque_size(&pool->lane[i].deque) : 0;
    return n;
}

bool sched_take(const struct seat *seat, struct record **record, uint32_t *index)
{
    return pool_state(seat->pool) <= POOL_CLOSED && (find_own(seat, record, index) || find_other(seat, record, index));
}

static bool goes_on_with_whole(const struct record *record)
{
    return record->kind == RECORD_PIECE && record->whole == sched_untold.whole;
}

struct found {
    const struct seat *seat;
    struct record *record;
    uint32_t index;
};

/* By value: whoever began it may go on before it has ended. */
static void run(void *of)
{
    struct found found = *(const struct found *)of;
    struct seat seat = *found.seat;
    sched_deeper(seat.lane, 1);
    if (found.record->kind == RECORD_TASK)
        run_task(&seat, found.record, found.index);
    else
        sched_kinds[found.record->kind].run(&seat, found.record, found.index);
    sched_deeper(seat.lane, -1);
}

static bool find(struct found *found)
{
    const struct seat *seat = found->seat;
    if (pool_state(seat->pool) > POOL_CLOSED)
        return false;
    bool shelved = MUSTER__UNLIKELY(atomic_load_explicit(&seat->pool->shelved, memory_order_relaxed));
    bool own = (shelved && shelf_take(seat, true, &found->record, &found->index)) ||
               find_own(seat, &found->record, &found->index);
    if (MUSTER__UNLIKELY(sched_untold.whole && !(own && goes_on_with_whole(found->record))))
        sched_tell();
    return own || find_other(seat, &found->record, &found->index) ||
           (shelved && shelf_take(seat, false, &found->record, &found->index));
}

/* False: it cannot be run. In no deque: the pool is over, which says what the task is worth. */
static bool may_run(const struct found *found)
{
    muster__stands_by_no_more();
    if (MUSTER__LIKELY(worker_ready(found->seat)))
        return true;
    make_queued(found->seat, found->record);
    return false;
}

bool sched_run_one(const struct seat *seat)
{
    struct found found = {.seat = seat};
    const char *site = muster_site;
    if (!find(&found))
        return false;
    if (may_run(&found))
        run(&found);
    muster_site = site;
    return true;
}

/* Whoever canceled it while it ran was told that it will not end: the worker sees to that itself, should the killer
 * have died. A handle that was given up stays so. */
static uint64_t finish_state(struct record *record, enum phase phase, bool by_worker)
{
    uint64_t state = atomic_load_explicit(&record->state, memory_order_relaxed), final;
    do {
        if (MUSTER__UNLIKELY(by_worker && state & STATE_KILLED))
            for (;;)
                kill(getpid(), SIGKILL);
        final = state_make((uint32_t)(state >> 32), 0, phase) | (state & (STATE_DROPPED | STATE_FOLLOWED));
    } while (!atomic_compare_exchange_weak(&record->state, &state, final));
    return state;
}

void sched_finish(struct pool *pool, struct record *record, uint32_t index, enum phase phase, struct lane *mine)
{
    bool by_worker = mine && atomic_load_explicit(&mine->owner, memory_order_relaxed) == muster__self_state.number;
    bool is_task = record->kind == RECORD_TASK; /* once final, its getter may free it and another use it */
    uint32_t group = is_task ? record->next : 0;
    if (MUSTER__UNLIKELY(group) && phase != RECORD_DONE)
        group_fails(pool, group, record);
    uint64_t old = finish_state(record, phase, by_worker && phase != RECORD_CANCELED);
    if (is_task) {
        if (mine)
            atomic_store_explicit(&mine->finished, atomic_load_explicit(&mine->finished, memory_order_relaxed) + 1,
                                  memory_order_release);
        else
            atomic_fetch_add(&pool->finished_elsewhere, 1);
    }
    muster__barrier_light(); /* pool_await_done has the other half */
    if (MUSTER__UNLIKELY(old & (STATE_DROPPED | STATE_FOLLOWED))) {
        if (old & STATE_FOLLOWED)
            follow_ended(pool, index, (uint32_t)(old >> 32));
        if (old & STATE_DROPPED)
            record_free(pool, record, index, mine);
    }
    if (MUSTER__UNLIKELY(group))
        group_done(pool, group);
    if (MUSTER__UNLIKELY(old & STATE_WAITED || pool_state(pool) != POOL_OPEN))
        sched_ring_waiters(pool);
}

/* Whether the pool's only worker is this rank. */
static bool is_only_worker(const struct seat *seat)
{
    return seat->pool->share.all_workers == 1 &&
           (seat->worker || pool_lane_of_rank(seat->pool, muster__member_self()) >= 0);
}

static bool helps(const struct seat *seat)
{
    return seat->helps && (!seat->pool->caller_idle || is_only_worker(seat) ||
                           atomic_load_explicit(&seat->lane->depth, memory_order_relaxed) > 0);
}

/* ---- waiting ---- */

/* where a wait goes on: at a seat that is kept, or in pools that are entered for each step */
struct places {
    const struct seat *seat;
    const muster_handle *pools;
    int n;
    bool help;
    const struct wait_for *wait;
    const struct context_wait *here; /* how this context waits */
};

static bool place_enter(const struct places *places, int i, struct seat *seat)
{
    if (!places->seat)
        return seat_return(places->pools[i], seat);
    *seat = *places->seat;
    return true;
}

/* The pool may be gone by now. */
static void place_leave(const struct places *places, const struct seat *seat)
{
    if (!places->seat)
        seat_leave(seat);
}

/* Calls visit at each place that is still there, until it says so. */
static bool visit_places(const struct places *places,
                         bool (*visit)(const struct seat *seat, bool help, const struct places *places))
{
    struct seat seat;
    bool done = false;
    for (int i = 0; i < places->n && !done; i++)
        if (place_enter(places, i, &seat)) {
            done = visit(&seat, places->help && helps(&seat), places);
            place_leave(places, &seat);
        }
    return done;
}

/* Who knows what is waited for has no need of more contexts than there may be: what it waits for is run otherwise.
 * Where there may be none at all, by the thread's choice, the stack is what there is. */
static bool may_take(const struct places *places)
{
    return context_may_run() || context_forbidden() || !places->wait->claim;
}

/* On top of this stack; where there is no room, of another one. */
static void run_on_top(struct found *found)
{
    if (MUSTER__LIKELY(context_has_room()) || !context_call(run, found))
        run(found);
}

static bool is_awaited(const struct wait_for *wait, const struct record *record)
{
    return wait->awaited && wait->awaited(wait->arg, record) && context_has_room();
}

/* In a context of its own, but for what is waited for; without memory for one on top of this, too. */
static bool run_one(const struct seat *seat, bool help, const struct places *places)
{
    struct found found = {.seat = seat};
    const char *site = muster_site;
    if (!help || !may_take(places) || !find(&found))
        return false;
    if (may_run(&found) &&
        (is_awaited(places->wait, found.record) || !(context_may_run() && context_run(run, &found, places->here))))
        run_on_top(&found);
    muster_site = site;
    return true;
}

/* On top of the stack of who waits for it. */
static bool run_awaited(const struct seat *seat, bool help, const struct places *places, bool all)
{
    struct found found = {.seat = seat};
    const struct wait_for *wait = places->wait;
    const char *site = muster_site;
    if (!help || !wait->claim || pool_state(seat->pool) > POOL_CLOSED ||
        !wait->claim(wait->arg, seat, all, &found.record, &found.index))
        return false;
    if (MUSTER__UNLIKELY(sched_untold.whole))
        sched_tell();
    if (may_run(&found) && (context_has_room() || !context_run(run, &found, places->here)))
        run_on_top(&found);
    muster_site = site;
    return true;
}

static bool run_first_awaited(const struct seat *seat, bool help, const struct places *places)
{
    return run_awaited(seat, help, places, false);
}

static bool run_any_awaited(const struct seat *seat, bool help, const struct places *places)
{
    return run_awaited(seat, help, places, true);
}

static bool stand_by(const struct seat *seat, bool help, const struct places *places)
{
    (void)places;
    waiters_add(seat->pool, seat->lane->index);
    if (help)
        sched_idle_begin(seat);
    return false;
}

static bool has_work(const struct seat *seat, bool help, const struct places *places)
{
    return help && may_take(places) && pool_state(seat->pool) <= POOL_CLOSED && sched_any_for(seat);
}

static bool stand_down(const struct seat *seat, bool help, const struct places *places)
{
    (void)places;
    waiters_remove(seat->pool, seat->lane->index);
    if (help)
        sched_idle_end(seat, false);
    return false;
}

static bool interrupted(void)
{
    return muster__self_state.caller->heeds_signal &&
           atomic_load_explicit(&muster__segment->signal, memory_order_relaxed);
}

static int64_t until_of(const struct wait_for *wait)
{
    return wait->tick_ns && wait->tick_ns < wait->deadline_ns ? wait->tick_ns : wait->deadline_ns;
}

static bool is_timed(const struct wait_for *wait)
{
    return wait->deadline_ns != MUSTER__NEVER || wait->tick_ns;
}

static bool would_go_on(const void *of)
{
    const struct wait_for *wait = ((const struct places *)of)->wait;
    return wait->over(wait->arg) || interrupted() || (is_timed(wait) && muster__now_ns() >= until_of(wait));
}

static void all_stand_by(const void *of)
{
    const struct places *places = of;
    visit_places(places, stand_by);
    if (places->wait->announce)
        places->wait->announce(places->wait->arg);
}

static void all_stand_down(const void *of)
{
    visit_places(of, stand_down);
}

/* Bits first, then the last look, then sleep: whoever queues or completes after the look finds the bit. It sleeps for
 * all contexts of its thread. */
static muster_err park(const struct places *places, int64_t until_ns)
{
    _Atomic uint32_t *bell = &muster__self_state.caller->bell;
    uint32_t seen = atomic_load(bell);
    int64_t others_ns = context_until();
    muster_err err = MUSTER_OK;

    context_stand_by();
    all_stand_by(places);
    if (!places->wait->over(places->wait->arg) && !visit_places(places, has_work) && !context_ready()) {
        muster__stands_by(places->seat ? pool_home_handle(places->seat->pool) : places->pools[0], MUSTER__FOR_TASKS);
        err = muster__sleep(bell, seen, others_ns < until_ns ? others_ns : until_ns);
    }
    context_stand_down();
    all_stand_down(places);
    return err;
}

/* *over: the wait is, for that reason. */
static muster_err look(const struct wait_for *wait, bool *over)
{
    *over = true;
    if (wait->over(wait->arg))
        return MUSTER_OK;
    if (MUSTER__UNLIKELY(interrupted()))
        return muster__fail_interrupted();
    if (is_timed(wait) && muster__now_ns() >= until_of(wait))
        return wait->tick_ns && until_of(wait) == wait->tick_ns ? MUSTER_OK : MUSTER_ERR_TIMEOUT;
    *over = false;
    return MUSTER_OK;
}

static muster_err wait_helping(struct places *places)
{
    struct context_wait here = {would_go_on, all_stand_by, all_stand_down, places, until_of(places->wait)};
    struct muster__spin spin = {0};
    places->help = places->wait->deadline_ns != 0;
    places->here = &here;
    for (;;) {
        bool over;
        muster_err err = look(places->wait, &over);
        if (over)
            return err;
        if (visit_places(places, run_first_awaited) || visit_places(places, run_one) ||
            visit_places(places, run_any_awaited)) {
            spin = (struct muster__spin){0};
            continue;
        }
        if (muster__spin(&spin) || context_let(&here))
            continue;
        err = park(places, here.until_ns);
        if (err == MUSTER_ERR_INTERRUPTED || err == MUSTER_ERR_DEADLOCK)
            return err;
        spin = (struct muster__spin){0};
    }
}

static muster_err wait_at(struct places *places)
{
    muster_err err = wait_helping(places);
    muster__stands_by_no_more();
    if (sched_untold.whole) /* of what is another one's, before this thread goes on with what is its own */
        sched_tell();
    return err;
}

muster_err sched_wait(const struct seat *seat, const struct wait_for *wait)
{
    return wait_at(&(struct places){.seat = seat, .n = 1, .wait = wait});
}

muster_err sched_wait_in(const muster_handle *pools, int n, const struct wait_for *wait)
{
    return wait_at(&(struct places){.pools = pools, .n = n, .wait = wait});
}
