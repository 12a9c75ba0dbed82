/* SPDX-License-Identifier: BSD-3-Clause */
#include "sched/sched.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- the shelf itself ---- */

static uint32_t lines_of(const struct pool *pool)
{
    return (uint32_t)(SHELF_LANES + pool->workers + pool->share.branches + muster__host_ranks());
}

/* The pool's own before the pool names it: should its maker die in between, it goes with the pool. */
struct shelf *shelf_make(struct pool *pool, uint32_t self)
{
    if (shelf_of(pool))
        return shelf_of(pool);
    uint32_t lines = lines_of(pool);
    muster__ref ref = muster__heap_alloc(sizeof(struct shelf) + lines * sizeof(struct shelf_line), self);
    if (!ref)
        return NULL;
    struct shelf *shelf = muster__heap_at(ref);
    memset(shelf, 0, sizeof *shelf + lines * sizeof(struct shelf_line));
    muster__latch_init(&shelf->latch, POOL_GENERATION);
    shelf->lines = lines;
    shelf->epoch = 1;
    muster__heap_hand_over(ref, self, pool_owner(pool));
    uint64_t none = 0;
    if (!atomic_compare_exchange_strong(&pool->shelf, &none, muster__offset(shelf)))
        muster__heap_free(ref, pool_owner(pool));
    return shelf_of(pool);
}

static void make_anew(struct pool *pool, struct shelf *shelf);

/* Of the dead one that holds it, if that is so; false: it is not. */
static bool take_over(struct pool *pool, struct shelf *shelf)
{
    uint32_t generation, owner = (uint32_t)atomic_load(&shelf->latch.word) & ~(UINT32_C(1) << 31);
    uint32_t live = owner && owner < MUSTER__CALLERS_MAX ? atomic_load(&muster__caller(owner)->live) : 0;
    if (!live || !muster__member_dead(live - 1) ||
        !muster__latch_seize(&shelf->latch, owner, muster__self_number(), &generation))
        return false;
    make_anew(pool, shelf);
    return true;
}

/* Short, and so agents wait for it, too. Who sweeps may have to sweep its holder, and does not wait for itself. */
void shelf_lock(struct pool *pool, struct shelf *shelf)
{
    bool hurries = muster__self_state.hurries, busy = muster__self_state.busy;
    uint32_t self = muster__self_number();
    muster__self_state.hurries = muster__member_dead != NULL;
    while (!muster__latch_acquire(&shelf->latch, POOL_GENERATION, self) && !take_over(pool, shelf)) {
        if (muster__latch_meanwhile)
            muster__latch_meanwhile();
        nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
    }
    muster__self_state.hurries = hurries;
    muster__self_state.busy = busy;
}

void shelf_unlock(struct shelf *shelf)
{
    muster__latch_release(&shelf->latch, POOL_GENERATION, muster__self_number());
}

/* ---- heaps: record + 1 by record + 1 ---- */

static struct placed *node(struct pool *pool, uint32_t at)
{
    return &shelf_extra(pool_record(pool, at - 1))->placed;
}

static bool is_before(const struct placed *a, const struct placed *b)
{
    return a->priority > b->priority || (a->priority == b->priority && a->sequence < b->sequence);
}

/* `prev` of a first child is its parent. */
static uint32_t join_two(struct pool *pool, uint32_t a, uint32_t b)
{
    if (!a || !b)
        return a ? a : b;
    if (is_before(node(pool, b), node(pool, a))) {
        uint32_t other = a;
        a = b;
        b = other;
    }
    struct placed *parent = node(pool, a), *child = node(pool, b);
    child->next = parent->child;
    child->prev = a;
    if (parent->child)
        node(pool, parent->child)->prev = b;
    parent->child = b;
    return a;
}

/* Two passes: neighbours in pairs, then all into one. */
static uint32_t join_children(struct pool *pool, uint32_t first)
{
    uint32_t pairs = 0, root = 0;
    while (first) {
        uint32_t a = first, b = node(pool, a)->next;
        first = b ? node(pool, b)->next : 0;
        node(pool, a)->next = node(pool, a)->prev = 0;
        if (b)
            node(pool, b)->next = node(pool, b)->prev = 0;
        a = join_two(pool, a, b);
        node(pool, a)->next = pairs;
        pairs = a;
    }
    while (pairs) {
        uint32_t next = node(pool, pairs)->next;
        node(pool, pairs)->next = 0;
        root = join_two(pool, root, pairs);
        pairs = next;
    }
    return root;
}

static void link_in(struct pool *pool, struct shelf *shelf, uint32_t at)
{
    struct placed *placed = node(pool, at);
    struct shelf_line *line = &shelf->line[placed->line];
    placed->child = placed->next = placed->prev = 0;
    placed->epoch = shelf->epoch;
    line->root = join_two(pool, line->root, at);
    atomic_fetch_add(&line->count, 1);
    atomic_fetch_add(&pool->shelved, 1);
}

static void link_out(struct pool *pool, struct shelf *shelf, uint32_t at)
{
    struct placed *placed = node(pool, at);
    struct shelf_line *line = &shelf->line[placed->line];
    uint32_t below = join_children(pool, placed->child);
    if (line->root == at) {
        line->root = below;
    } else {
        struct placed *before = node(pool, placed->prev);
        if (before->child == at)
            before->child = placed->next;
        else
            before->next = placed->next;
        if (placed->next)
            node(pool, placed->next)->prev = placed->prev;
        line->root = join_two(pool, line->root, below);
    }
    placed->epoch = 0;
    atomic_fetch_sub(&line->count, 1);
    atomic_fetch_sub(&pool->shelved, 1);
}

/* ---- where a task belongs ---- */

static uint32_t line_of_lane(int lane)
{
    return (uint32_t)(SHELF_LANES + lane);
}

static uint32_t line_of_rank(const struct pool *pool, int local)
{
    return (uint32_t)(SHELF_LANES + pool->workers + pool->share.branches + local);
}

static muster_err nobody(const char *what, int at)
{
    return muster__fail(MUSTER_ERR_INVAL, "muster_pool_submit: the pool has no worker on %s %d", what, at);
}

static muster_err line_of_host(struct pool *pool, int host, const char *what, int at, uint32_t *line)
{
    if (host == (int)muster__segment->host)
        return MUSTER_OK;
    if (!pool_is_home(pool))
        return muster__fail(MUSTER_ERR_UNSUPPORTED,
                            "muster_pool_submit: %s %d is not on host %s, where this task runs; tasks for other hosts "
                            "are submitted on the host that made the pool",
                            what, at, muster__host_name());
    for (int i = 0; i < pool->share.branches; i++)
        if (pool_branch(pool, i)->host == host) {
            *line = line_of_lane(pool->workers + i);
            return atomic_load(&pool_branch(pool, i)->lost)
                       ? muster__fail(MUSTER_ERR_PEER, "muster_pool_submit: the host of %s %d is gone", what, at)
                       : MUSTER_OK;
        }
    return nobody(what, at);
}

static muster_err aim_at_host(struct pool *pool, int host, uint32_t *line)
{
    if (host < 0 || host >= muster_hosts())
        return nobody("host", host);
    if (host == (int)muster__segment->host && !pool->workers)
        return nobody("host", host);
    *line = SHELF_HERE;
    return line_of_host(pool, host, "host", host, line);
}

static muster_err aim_at_rank(struct pool *pool, int rank, uint32_t *line)
{
    if (rank < 0 || rank >= muster_ranks())
        return nobody("rank", rank);
    int host = muster__host_of_rank(rank);
    if (host != (int)muster__segment->host)
        return line_of_host(pool, host, "rank", rank, line);
    for (int lane = 0; lane < pool->share.local_ranks && lane < pool->workers; lane++)
        if (muster__rank_of_local(pool_rank_of_lane(pool, lane)) == rank) {
            *line = line_of_rank(pool, pool_rank_of_lane(pool, lane));
            return MUSTER_OK;
        }
    return nobody("rank", rank);
}

/* Workers are numbered host by host. */
static int host_of_worker(struct pool *pool, int worker)
{
    int here = (int)muster__segment->host, local = worker - pool->share.first_worker, first = 0;
    if (local >= 0 && local < pool->workers)
        return here;
    for (int i = 0; i < pool->share.branches; i++) {
        const struct branch *branch = pool_branch(pool, i);
        if (first == pool->share.first_worker && branch->host > here)
            first += pool->workers;
        if (worker >= first && worker < first + branch->workers)
            return branch->host;
        first += branch->workers;
    }
    return -1;
}

static muster_err aim_at_worker(struct pool *pool, int worker, uint32_t *line)
{
    if (worker < 0 || worker >= pool->share.all_workers)
        return muster__fail(MUSTER_ERR_INVAL, "muster_pool_submit: worker %d; the pool has %d", worker,
                            pool->share.all_workers);
    int host = host_of_worker(pool, worker);
    *line = line_of_lane(worker - pool->share.first_worker);
    return line_of_host(pool, host, "worker", worker, line);
}

static muster_err aim(struct pool *pool, const muster_submit_options *options, uint32_t *line)
{
    *line = SHELF_ANYONE;
    switch (options->aim) {
    case MUSTER_AIM_ANY:
        return MUSTER_OK;
    case MUSTER_AIM_HOST:
        return aim_at_host(pool, options->aim_at, line);
    case MUSTER_AIM_RANK:
        return aim_at_rank(pool, options->aim_at, line);
    case MUSTER_AIM_WORKER:
        return aim_at_worker(pool, options->aim_at, line);
    }
    return muster__fail(MUSTER_ERR_INVAL, "muster_pool_submit: aim is %d", (int)options->aim);
}

muster_err shelf_place(const struct seat *seat, struct record *record, const muster_submit_options *options)
{
    uint32_t line;
    muster_err err = aim(seat->pool, options, &line);
    if (err)
        return err;
    struct shelf *shelf = shelf_make(seat->pool, seat->self);
    struct extra *extra = shelf ? record_extra(seat->pool, record, seat->self) : NULL;
    if (!extra)
        return muster__fail(MUSTER_ERR_NOMEM, "the host segment is full; see segment_bytes");
    extra->placed = (struct placed){.sequence = atomic_fetch_add(&shelf->sequence, 1) + 1,
                                    .line = line,
                                    .priority = options->priority,
                                    .aim = (int32_t)options->aim,
                                    .aim_at = options->aim_at};
    return MUSTER_OK;
}

/* ---- putting ---- */

bool shelf_put(struct pool *pool, struct shelf *shelf, struct record *record, uint32_t index, enum phase is_in)
{
    uint32_t lane = shelf_extra(record)->placed.line == SHELF_ANYONE ? SHELF_LANE : SHELF_AIMED;
    uint64_t state = atomic_load(&record->state), queued;
    do {
        if (state_phase(state) != is_in)
            return false;
        uint64_t flags = is_in == RECORD_FILLING ? 0 : state & STATE_KEPT;
        queued = state_make((uint32_t)(state >> 32), lane, RECORD_QUEUED) | flags;
    } while (!atomic_compare_exchange_weak(&record->state, &state, queued));
    if (shelf_extra(record)->placed.epoch != shelf->epoch) /* else who waited for it had claimed it where it was */
        link_in(pool, shelf, index + 1);
    return true;
}

/* Who is told is whoever may take it, and sleeps. */
void shelf_wake(const struct seat *seat, uint32_t line)
{
    struct pool *pool = seat->pool;
    atomic_thread_fence(memory_order_seq_cst);
    if (line < SHELF_LANES) {
        sched_wake_one(seat);
        return;
    }
    int lanes = pool->workers + pool->share.branches, at = (int)line - SHELF_LANES;
    if (at < lanes)
        sched_call(pool, (uint32_t)at);
    for (int lane = 0; at >= lanes && lane < pool->workers; lane++)
        if (pool_rank_of_lane(pool, lane) == at - lanes)
            sched_call(pool, (uint32_t)lane);
}

/* The branch that would take it, if its host is gone; else -1. */
static int lost_branch(struct pool *pool, uint32_t line)
{
    int branch = (int)line - SHELF_LANES - pool->workers;
    return branch >= 0 && branch < pool->share.branches && atomic_load(&pool_branch(pool, branch)->lost) ? branch : -1;
}

static void end_lost(const struct seat *seat, struct record *record, uint32_t index)
{
    struct extra *extra = shelf_extra(record);
    struct muster_task_error *error = &extra->error;
    int branch = (int)extra->placed.line - SHELF_LANES - seat->pool->workers;
    *error = (struct muster_task_error){
        .err = MUSTER_ERR_PEER, .index = atomic_load(&record->number), .worker = -1, .rank = -1, .failed = 1};
    snprintf(error->host, sizeof error->host, "%s", muster__host_name_of(pool_branch(seat->pool, branch)->host));
    muster__function_describe(record->function, error->function, sizeof error->function);
    snprintf(error->text, sizeof error->text, "it was for that host alone, which is gone");
    sched_finish(seat->pool, record, index, RECORD_FAILED, NULL);
}

void shelf_queue(const struct seat *seat, struct record *record, uint32_t index)
{
    struct pool *pool = seat->pool;
    struct shelf *shelf = shelf_of(pool);
    uint32_t line = shelf_extra(record)->placed.line;
    enum phase phase = state_phase(atomic_load(&record->state));
    if (MUSTER__UNLIKELY(phase == RECORD_RUNNING && lost_branch(pool, line) >= 0)) {
        end_lost(seat, record, index);
        return;
    }
    shelf_lock(pool, shelf);
    shelf_put(pool, shelf, record, index, phase);
    shelf_unlock(shelf);
    shelf_wake(seat, line);
}

/* ---- taking ---- */

static int own_lines(const struct pool *pool, uint32_t lane, uint32_t lines[4])
{
    int n = 0;
    if (lane >= (uint32_t)(pool->workers + pool->share.branches))
        return 0;
    lines[n++] = SHELF_ANYONE;
    lines[n++] = line_of_lane((int)lane);
    if (lane < (uint32_t)pool->workers) {
        lines[n++] = SHELF_HERE;
        lines[n++] = line_of_rank(pool, pool_rank_of_lane(pool, (int)lane));
    }
    return n;
}

/* The first of the lane's lines; 0: there is none. */
static uint32_t first_of(struct pool *pool, struct shelf *shelf, const uint32_t *lines, int n, bool urgent)
{
    uint32_t first = 0;
    for (int i = 0; i < n; i++) {
        uint32_t root = shelf->line[lines[i]].root;
        if (root && (node(pool, root)->priority >= 0) == urgent &&
            (!first || is_before(node(pool, root), node(pool, first))))
            first = root;
    }
    return first;
}

/* Claimed before it is taken out: a death in between loses nothing. */
static bool take(const struct seat *seat, struct shelf *shelf, const uint32_t *lines, int n, bool urgent,
                 struct record **record, uint32_t *index)
{
    struct pool *pool = seat->pool;
    uint32_t at;
    bool claimed = false;
    shelf_lock(pool, shelf);
    while (!claimed && (at = first_of(pool, shelf, lines, n, urgent)) != 0) {
        *index = at - 1;
        *record = pool_record(pool, *index);
        uint64_t state = atomic_load(&(*record)->state);
        claimed = state_phase(state) == RECORD_QUEUED && state_lane(state) >= SHELF_AIMED &&
                  sched_claim(seat, *record, state >> 32 << 32 | *index);
        link_out(pool, shelf, at);
    }
    shelf_unlock(shelf);
    return claimed;
}

bool shelf_take(const struct seat *seat, bool urgent, struct record **record, uint32_t *index)
{
    uint32_t lines[4], lane = seat->lane->index;
    return shelf_any(seat->pool, lane) &&
           take(seat, shelf_of(seat->pool), lines, own_lines(seat->pool, lane, lines), urgent, record, index);
}

bool shelf_any(const struct pool *pool, uint32_t lane)
{
    const struct shelf *shelf = shelf_of(pool);
    uint32_t lines[4];
    if (!shelf || !atomic_load_explicit(&pool->shelved, memory_order_relaxed))
        return false;
    for (int n = own_lines(pool, lane, lines); n-- > 0;)
        if (atomic_load_explicit(&shelf->line[lines[n]].count, memory_order_relaxed))
            return true;
    return false;
}

uint32_t shelf_common(const struct pool *pool)
{
    const struct shelf *shelf = shelf_of(pool);
    return shelf ? atomic_load_explicit(&shelf->line[SHELF_ANYONE].count, memory_order_relaxed) +
                       atomic_load_explicit(&shelf->line[SHELF_HERE].count, memory_order_relaxed)
                 : 0;
}

/* Should the record be another task's by now, its state has changed, and the claim fails. */
bool shelf_is_for_lane(const struct pool *pool, const struct record *record, uint32_t lane)
{
    const struct extra *extra = shelf_extra(record);
    uint32_t lines[4];
    for (int n = own_lines(pool, lane, lines); extra && n-- > 0;)
        if (lines[n] == extra->placed.line)
            return true;
    return false;
}

void shelf_forget(struct pool *pool, struct record *record, uint32_t index)
{
    struct shelf *shelf = shelf_of(pool);
    struct extra *extra = shelf_extra(record);
    if (!shelf || !extra || !extra->placed.sequence)
        return;
    shelf_lock(pool, shelf);
    if (extra->placed.epoch == shelf->epoch)
        link_out(pool, shelf, index + 1);
    follow_unlink(pool, shelf, record, index);
    shelf_unlock(shelf);
}

/* ---- deaths ---- */

static void make_anew(struct pool *pool, struct shelf *shelf)
{
    shelf->epoch = shelf->epoch + 1 ? shelf->epoch + 1 : 1;
    for (uint32_t i = 0; i < shelf->lines; i++) {
        shelf->line[i].root = 0;
        atomic_store(&shelf->line[i].count, 0);
    }
    atomic_store(&pool->shelved, 0);
    struct record *record;
    for (uint32_t index = 0; (record = pool_walk(pool, &index)); index++) {
        uint64_t state = atomic_load(&record->state);
        if (state_phase(state) == RECORD_QUEUED && state_lane(state) >= SHELF_AIMED)
            link_in(pool, shelf, index + 1);
    }
    follow_make_anew(pool, shelf);
}

void shelf_seize(struct pool *pool, uint32_t dead, uint32_t self)
{
    struct shelf *shelf = shelf_of(pool);
    uint32_t generation;
    if (!shelf || !muster__latch_seize(&shelf->latch, dead, self, &generation))
        return;
    make_anew(pool, shelf);
    muster__latch_release(&shelf->latch, generation, self);
}

void shelf_lost(const struct seat *seat, uint32_t lane)
{
    struct pool *pool = seat->pool;
    struct shelf *shelf = shelf_of(pool);
    struct seat of = {pool, &pool->lane[lane], seat->self, false, false, false};
    const uint32_t line = line_of_lane((int)lane);
    struct record *record;
    uint32_t index;
    while (shelf &&
           (take(&of, shelf, &line, 1, true, &record, &index) || take(&of, shelf, &line, 1, false, &record, &index)))
        shelf_queue(&of, record, index);
}
