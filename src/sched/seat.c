/* SPDX-License-Identifier: BSD-3-Clause */
#include "sched/sched.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* what this thread keeps about one pool it has a lane in */
struct membership {
    uint32_t slot, generation;
    struct pool *pool;
    struct lane *lane;
    bool worker;
    bool stays;  /* a worker that the pool's end waits for */
    bool inside; /* a visit is under way, or a helper's call: what is nested in it pins nothing */
    uint16_t *victims;
    int same_core;       /* that many of them */
    uint32_t victims_of; /* lanes_used when victims was made */
};

static MUSTER__THREAD_LOCAL struct {
    struct membership *list;
    int count, room;
    int last; /* index of the one used last */
} mine;

MUSTER__THREAD_LOCAL struct seat_last seat_last;

struct pool *pool_of(struct muster__object *object)
{
    return muster__heap_at(((struct pool_body *)object->body)->block);
}

static struct membership *find(uint32_t slot, uint32_t generation)
{
    if (mine.last < mine.count && mine.list[mine.last].slot == slot && mine.list[mine.last].generation == generation)
        return &mine.list[mine.last];
    for (int i = 0; i < mine.count; i++)
        if (mine.list[i].slot == slot && mine.list[i].generation == generation) {
            mine.last = i;
            return &mine.list[i];
        }
    return NULL;
}

static void drop(int i)
{
    if (seat_last.seat.pool == mine.list[i].pool)
        seat_last = (struct seat_last){0};
    free(mine.list[i].victims);
    mine.list[i] = mine.list[--mine.count];
}

/* ---- the end of a thread: its lanes are seen to by the sweep, as those of the dead ---- */

static pthread_key_t thread_end;
static pthread_once_t thread_end_once = PTHREAD_ONCE_INIT;

static void thread_ended(void *unused)
{
    (void)unused;
    while (mine.count)
        drop(mine.count - 1);
    free(mine.list);
    mine.list = NULL;
    mine.room = 0;
}

static void thread_end_make(void)
{
    pthread_key_create(&thread_end, thread_ended);
}

/* Pools end without telling submitters and visitors: their memberships go when the next one comes. Workers that stay
 * leave for themselves, and the pool's end waits for it. */
static struct membership *add(struct pool *pool, struct lane *lane, bool worker)
{
    for (int i = mine.count; i-- > 0;) {
        struct muster__object *object = muster__object_slot(mine.list[i].slot);
        if (!mine.list[i].stays && (uint32_t)(atomic_load(&object->tag) >> 32) != mine.list[i].generation)
            drop(i);
    }
    if (mine.count == mine.room) {
        int room = mine.room ? 2 * mine.room : 4;
        struct membership *wider = realloc(mine.list, (size_t)room * sizeof *wider);
        if (!wider)
            return NULL;
        mine.list = wider;
        mine.room = room;
        pthread_once(&thread_end_once, thread_end_make);
        pthread_setspecific(thread_end, mine.list);
    }
    mine.last = mine.count;
    mine.list[mine.count] = (struct membership){
        .slot = pool->slot, .generation = pool->generation, .pool = pool, .lane = lane, .worker = worker};
    return &mine.list[mine.count++];
}

static void lane_own(struct pool *pool, struct lane *lane, uint32_t self)
{
    atomic_store(&lane->member, muster__member_self());
    lane->initialized = false;
    uint32_t used = atomic_load(&pool->lanes_used);
    while (used <= lane->index && !atomic_compare_exchange_weak(&pool->lanes_used, &used, lane->index + 1))
        ;
    atomic_store(&lane->owner, self);
}

/* A submitter's lane: a free one after the workers'. A lane whose owner has gone may still hold tasks; its successor
 * goes on with it. */
static struct lane *lane_claim(struct pool *pool, uint32_t self)
{
    struct lane *found = NULL;
    if (!muster__latch_acquire(&pool->lanes_latch, POOL_GENERATION, self))
        return NULL;
    for (int i = pool->workers + pool->share.lends; i < pool->lanes && !found; i++)
        if (!atomic_load(&pool->lane[i].owner))
            found = &pool->lane[i];
    if (found)
        lane_own(pool, found, self);
    muster__latch_release(&pool->lanes_latch, POOL_GENERATION, self);
    return found;
}

/* A worker's lane without owner that was used before may hold tasks, too. */
static struct lane *lane_visit(struct pool *pool, int worker, uint32_t self)
{
    lane_own(pool, &pool->lane[worker], self);
    return &pool->lane[worker];
}

static muster_err join_in(struct pool *pool, uint32_t self, const char *operation, struct membership **membership)
{
    int worker = worker_visiting(pool);
    struct lane *lane = worker < 0 ? lane_claim(pool, self) : lane_visit(pool, worker, self);
    if (!lane)
        return muster__fail(MUSTER_ERR_NOMEM, "%s: %d threads besides its workers use this pool already", operation,
                            POOL_SUBMITTERS);
    *membership = add(pool, lane, worker >= 0);
    if (!*membership) {
        atomic_store(&lane->owner, 0);
        return muster__fail(MUSTER_ERR_NOMEM, "%s: out of memory", operation);
    }
    return MUSTER_OK;
}

static muster_err __attribute__((cold)) no_part(muster_handle handle, const char *operation)
{
    if (!muster__is_remote(handle, MUSTER__POOL))
        return muster__object_stale(MUSTER__POOL, operation);
    return muster__fail(MUSTER_ERR_STALE, "%s: the pool on host %s was destroyed, or has no worker on this host (%s)",
                        operation, muster__host_name_of(muster__handle_home(handle)), muster__host_name());
}

static bool is_branch_of(muster_handle candidate, muster_handle home)
{
    struct muster__object *object = muster__object_pin(candidate, MUSTER__POOL);
    if (!object)
        return false;
    bool is = same_words(pool_of(object)->share.home, home);
    muster__object_unpin();
    return is;
}

bool pool_here(muster_handle named, muster_handle *handle)
{
    static MUSTER__THREAD_LOCAL struct {
        muster_handle named, here;
    } last;
    *handle = named;
    if (!muster__is_remote(named, MUSTER__POOL))
        return true;
    if (same_words(last.named, named) && muster__object_find(last.here, MUSTER__POOL)) {
        *handle = last.here;
        return true;
    }
    bool found = false;
    for (uint32_t at = 0; !found && muster__object_next(MUSTER__POOL, &at, &last.here);)
        found = is_branch_of(last.here, named);
    last.named = found ? named : (muster_handle){0};
    if (found)
        *handle = last.here;
    return found;
}

/* A visitor, or who helps, is pinned by the outermost of its calls. */
static void come_in(struct membership *membership, uint32_t self, struct seat *seat)
{
    bool helps = membership->worker || !membership->pool->isolated;
    *seat = (struct seat){membership->pool, membership->lane, self, true, membership->worker, helps};
    if (!helps)
        return;
    membership->inside = true;
    context_forbid(true); /* what begins here also ends before its thread goes on */
    if (seat->worker)
        worker_stay(seat->pool, seat->lane->index, WORKER_VISITS);
}

static muster_err sit_down(muster_handle handle, const char *operation, struct seat *seat)
{
    struct membership *membership = find(handle.slot, handle.generation);
    if (MUSTER__LIKELY(membership && (membership->stays || membership->inside))) {
        *seat = (struct seat){
            membership->pool, membership->lane, muster__self_state.number, false, membership->worker, true};
        return MUSTER_OK;
    }
    uint32_t self = muster__self_number();
    struct muster__object *object = muster__object_pin(handle, MUSTER__POOL);
    if (!object)
        return muster__object_stale(MUSTER__POOL, operation);
    muster_err err = membership ? MUSTER_OK : join_in(pool_of(object), self, operation, &membership);
    if (err) {
        muster__object_unpin();
        return err;
    }
    come_in(membership, self, seat);
    return MUSTER_OK;
}

muster_err seat_enter(muster_handle handle, const char *operation, struct seat *seat)
{
    muster_handle named = handle;
    if (MUSTER__UNLIKELY(!muster__handle_fits(handle, MUSTER__POOL)) && !pool_here(handle, &handle))
        return no_part(handle, operation);
    muster__count(named);
    muster_err err = sit_down(handle, operation, seat);
    if (!err && seat->worker && !seat->pinned)
        seat_last = (struct seat_last){named, *seat, pool_tasks_word(seat->pool)};
    return err;
}

bool seat_return(muster_handle here, struct seat *seat)
{
    return sit_down(here, "a wait", seat) == MUSTER_OK;
}

/* Those where it would be a visitor, too. */
static bool would_visit(muster_handle handle)
{
    struct muster__object *object = muster__object_pin(handle, MUSTER__POOL);
    if (!object)
        return false;
    const struct pool *pool = pool_of(object);
    bool would = pool && worker_visiting(pool) >= 0;
    muster__object_unpin();
    return would;
}

int seat_works(muster_handle *pools, int room)
{
    int n = 0;
    muster_handle handle;
    for (int i = 0; i < mine.count && n < room; i++)
        if (mine.list[i].stays || mine.list[i].inside)
            pools[n++] = muster__handle_make(MUSTER__POOL, mine.list[i].slot, mine.list[i].generation);
    for (uint32_t at = 0; muster__is_spmd() && n < room && muster__object_next(MUSTER__POOL, &at, &handle);) {
        const struct membership *membership = find(handle.slot, handle.generation);
        if (!(membership && (membership->stays || membership->inside)) && would_visit(handle))
            pools[n++] = handle;
    }
    return n;
}

static void go_out(const struct seat *seat)
{
    struct membership *membership = find(seat->pool->slot, seat->pool->generation);
    context_forbid(false);
    if (!membership) /* it has destroyed the pool meanwhile */
        return;
    membership->inside = false;
    if (!seat->worker)
        return;
    seat_last = (struct seat_last){0};
    worker_stay(seat->pool, seat->lane->index, WORKER_AWAY);
}

void seat_leave(const struct seat *seat)
{
    if (MUSTER__LIKELY(!seat->pinned))
        return;
    if (seat->helps)
        go_out(seat);
    muster__object_unpin();
}

bool seat_is_inside(const struct pool *pool)
{
    const struct membership *membership = find(pool->slot, pool->generation);
    return membership && membership->inside;
}

/* Far from everybody: others are called first. */
struct seat seat_of_carrier(struct pool *pool, int branch, int host)
{
    struct lane *lane = &pool->lane[pool->workers + branch];
    uint32_t owner = MUSTER__OWNER_HOST + (uint32_t)host;
    if (atomic_load(&lane->owner) != owner) {
        lane_own(pool, lane, owner);
        atomic_store(&lane->member, MUSTER__MEMBERS_MAX);
    }
    return (struct seat){pool, lane, muster__self_number(), false, false, false};
}

struct seat seat_take_worker(struct pool *pool, int worker)
{
    uint32_t self = muster__self_number();
    struct lane *lane = &pool->lane[worker];
    struct membership *membership = find(pool->slot, pool->generation);
    if (membership && !membership->worker) { /* it submitted before it came to work here */
        seat_give_up(pool);
        membership = NULL;
    }
    if (!membership) {
        lane_own(pool, lane, self);
        membership = add(pool, lane, true);
        MUSTER__CHECK_EQ(membership != NULL, true);
    }
    membership->stays = true;
    worker_stay(pool, lane->index, WORKER_STAYS);
    return (struct seat){pool, lane, self, false, true, true};
}

void seat_give_up(struct pool *pool)
{
    struct membership *membership = find(pool->slot, pool->generation);
    if (!membership)
        return;
    struct lane *lane = membership->lane;
    if (sched_untold.whole)
        sched_tell();
    drop((int)(membership - mine.list));
    sched_forget_lane(pool, lane->index);
    atomic_store(&lane->owner, 0); /* last: the pool may go now */
}

static uint32_t lane_member(struct pool *pool, int lane)
{
    return atomic_load_explicit(&pool->lane[lane].member, memory_order_relaxed);
}

/* Nearest first; among equals the lanes after one's own first, so that thieves spread. Insertion sort: few, and once.
 */
static void sort_victims(const struct seat *seat, uint16_t *victims, int lanes)
{
    uint32_t me = atomic_load(&seat->lane->member);
    int count = 0;
    for (int step = 1; step < lanes; step++) {
        int lane = (int)((seat->lane->index + (uint32_t)step) % (uint32_t)lanes);
        int far = muster__member_distance(me, lane_member(seat->pool, lane)), at = count++;
        for (; at > 0 && muster__member_distance(me, lane_member(seat->pool, victims[at - 1])) > far; at--)
            victims[at] = victims[at - 1];
        victims[at] = (uint16_t)lane;
    }
}

static bool refresh_victims(const struct seat *seat, struct membership *membership, uint32_t lanes)
{
    uint16_t *victims = realloc(membership->victims, lanes * sizeof *victims);
    if (!victims)
        return false;
    sort_victims(seat, victims, (int)lanes);
    uint32_t me = atomic_load(&seat->lane->member);
    int same = 0;
    while (same < (int)lanes - 1 && muster__member_distance(me, lane_member(seat->pool, victims[same])) == 0)
        same++;
    membership->victims = victims;
    membership->same_core = same;
    membership->victims_of = lanes;
    return true;
}

/* For who is at a seat that is not its own: a sweeper, a carrier's stand-in. All lanes, in no order. */
static struct victims anybody(uint32_t lanes)
{
    static MUSTER__THREAD_LOCAL uint16_t all[POOL_LANES];
    for (uint32_t i = 0; i < lanes; i++)
        all[i] = (uint16_t)i;
    return (struct victims){all, (int)lanes, 0};
}

struct victims seat_victims(const struct seat *seat)
{
    struct membership *membership = find(seat->pool->slot, seat->pool->generation);
    uint32_t lanes = atomic_load_explicit(&seat->pool->lanes_used, memory_order_acquire);
    if (!membership || membership->lane != seat->lane)
        return anybody(lanes);
    if (MUSTER__UNLIKELY(membership->victims_of != lanes) && !refresh_victims(seat, membership, lanes))
        return (struct victims){0};
    return (struct victims){membership->victims, (int)lanes - 1, membership->same_core};
}
