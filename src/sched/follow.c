/* SPDX-License-Identifier: BSD-3-Clause */
#include "sched/sched.h"

#include <stdio.h>
#include <string.h>

/* An edge's name: its task's record + 1, and its number there. */
typedef uint64_t edge_ref;

struct edge {
    record_ref of;       /* that is followed; 0: it has ended */
    edge_ref next, prev; /* in the list of those that follow it */
};

struct follow {
    int32_t n, open; /* edges, and those of what has not ended */
    uint32_t epoch;  /* the shelf's, when they were linked */
    int64_t failed;  /* number of the first one that has not gone well; -1: all have */
    struct edge edge[];
};

/* ---- edges and heads ---- */

static struct follow *follow_of(const struct record *record)
{
    const struct extra *extra = shelf_extra(record);
    return extra && extra->placed.follows ? muster__heap_at(extra->placed.follows) : NULL;
}

static edge_ref name_edge(uint32_t index, int32_t number)
{
    return (uint64_t)(index + 1) << 32 | (uint32_t)number;
}

static struct edge *edge_at(struct pool *pool, edge_ref ref)
{
    return &follow_of(pool_record(pool, (uint32_t)(ref >> 32) - 1))->edge[(uint32_t)ref];
}

/* A head a record, in blocks like the slabs; the directory names them by offset. */
static edge_ref *head_of(struct pool *pool, const struct shelf *shelf, uint32_t index)
{
    uint32_t slab = slab_of(index);
    const uint64_t *heads = shelf->heads_at ? muster__at(shelf->heads_at) : NULL;
    (void)pool;
    return heads && heads[slab] ? (edge_ref *)muster__at(heads[slab]) + (index - slab_begin(slab)) : NULL;
}

static uint64_t block_of_zeros(struct pool *pool, size_t bytes)
{
    uint32_t self = muster__self_number();
    muster__ref ref = muster__heap_alloc(bytes, self);
    if (!ref)
        return 0;
    memset(muster__heap_at(ref), 0, bytes);
    uint64_t offset = muster__offset(muster__heap_at(ref));
    muster__heap_hand_over(ref, self, pool_owner(pool));
    return offset;
}

/* Under the latch. */
static bool make_head(struct pool *pool, struct shelf *shelf, uint32_t index)
{
    uint32_t slab = slab_of(index);
    if (!shelf->heads_at)
        shelf->heads_at = block_of_zeros(pool, POOL_SLABS * sizeof(uint64_t));
    if (!shelf->heads_at)
        return false;
    uint64_t *heads = muster__at(shelf->heads_at);
    if (!heads[slab])
        heads[slab] = block_of_zeros(pool, slab_records(slab) * sizeof(edge_ref));
    return heads[slab] != 0;
}

static void edge_in(struct pool *pool, struct shelf *shelf, edge_ref ref)
{
    struct edge *edge = edge_at(pool, ref);
    edge_ref *head = head_of(pool, shelf, (uint32_t)edge->of);
    edge->prev = 0;
    edge->next = *head;
    if (*head)
        edge_at(pool, *head)->prev = ref;
    *head = ref;
}

static void edge_out(struct pool *pool, struct shelf *shelf, struct edge *edge)
{
    if (edge->next)
        edge_at(pool, edge->next)->prev = edge->prev;
    if (edge->prev)
        edge_at(pool, edge->prev)->next = edge->next;
    else
        *head_of(pool, shelf, (uint32_t)edge->of) = edge->next;
}

/* ---- submitting ---- */

muster_err follow_place(const struct seat *seat, struct record *record, const muster_submit_options *options)
{
    struct pool *pool = seat->pool;
    struct shelf *shelf = shelf_of(pool);
    int32_t n = (int32_t)options->after_n;
    muster__ref ref = muster__heap_alloc(sizeof(struct follow) + (size_t)n * sizeof(struct edge), seat->self);
    bool heads = true;
    shelf_lock(pool, shelf);
    for (int32_t i = 0; i < n && heads; i++)
        heads = make_head(pool, shelf, options->after[i].handle.slot);
    shelf_unlock(shelf);
    if (!ref || !heads) {
        muster__heap_free(ref, seat->self);
        return muster__fail(MUSTER_ERR_NOMEM, "the host segment is full; see segment_bytes");
    }
    struct follow *follow = muster__heap_at(ref);
    *follow = (struct follow){.n = n, .open = 0, .failed = -1};
    for (int32_t i = 0; i < n; i++)
        follow->edge[i] =
            (struct edge){.of = (uint64_t)options->after[i].handle.generation << 32 | options->after[i].handle.slot};
    struct extra *extra = shelf_extra(record);
    extra->placed.runs_anyway = options->after_failed;
    extra->placed.follows = ref;
    muster__heap_hand_over(ref, seat->self, pool_owner(pool));
    return MUSTER_OK;
}

static void edge_ended(struct pool *pool, struct follow *follow, struct edge *edge, uint64_t state)
{
    const struct record *of = pool_record(pool, (uint32_t)edge->of);
    if (follow->failed < 0 && state_phase(state) != RECORD_DONE)
        follow->failed = atomic_load(&of->number);
    edge->of = 0;
}

/* Marks it as followed; false: it has ended. One that was got or forgotten since it was named has, and nobody knows
 * how. */
static bool mark_followed(struct pool *pool, record_ref of, uint64_t *state)
{
    struct record *record = pool_record(pool, (uint32_t)of);
    *state = atomic_load(&record->state);
    while (*state >> 32 == of >> 32 && !phase_final(state_phase(*state)))
        if (atomic_compare_exchange_weak(&record->state, state, *state | STATE_FOLLOWED))
            return true;
    if (*state >> 32 != of >> 32)
        *state = RECORD_DONE;
    return false;
}

bool follow_hold(struct pool *pool, struct record *record, uint32_t index)
{
    struct shelf *shelf = shelf_of(pool);
    struct follow *follow = follow_of(record);
    uint64_t state;
    if (!follow)
        return false;
    shelf_lock(pool, shelf);
    follow->epoch = shelf->epoch;
    for (int32_t i = 0; i < follow->n; i++) {
        struct edge *edge = &follow->edge[i];
        if (!mark_followed(pool, edge->of, &state)) {
            edge_ended(pool, follow, edge, state);
            continue;
        }
        follow->open++;
        edge_in(pool, shelf, name_edge(index, i));
    }
    bool held = follow->open > 0;
    state = atomic_load(&record->state);
    if (held)
        atomic_store(&record->state, state_make((uint32_t)(state >> 32), SHELF_LANE, RECORD_HELD));
    shelf_unlock(shelf);
    return held;
}

/* ---- ends ---- */

/* Returns the line that has one more; -1: none has. */
static int64_t release(struct pool *pool, struct shelf *shelf, uint32_t index)
{
    struct record *record = pool_record(pool, index);
    return shelf_put(pool, shelf, record, index, RECORD_HELD) ? (int64_t)shelf_extra(record)->placed.line : -1;
}

static int64_t edge_is_over(struct pool *pool, struct shelf *shelf, edge_ref ref, uint64_t state)
{
    uint32_t index = (uint32_t)(ref >> 32) - 1;
    struct follow *follow = follow_of(pool_record(pool, index));
    struct edge *edge = edge_at(pool, ref);
    edge_out(pool, shelf, edge);
    edge_ended(pool, follow, edge, state);
    return --follow->open == 0 ? release(pool, shelf, index) : -1;
}

enum { AT_ONCE = 64 };

/* Some of those that follow it, so that the latch is not held for long. False: there are no more. */
static bool tell_some(struct pool *pool, struct record *record, uint32_t index, uint32_t generation)
{
    struct shelf *shelf = shelf_of(pool);
    int64_t lines[AT_ONCE];
    int n = 0;
    shelf_lock(pool, shelf);
    uint64_t state = atomic_load(&record->state);
    bool due = state >> 32 == generation && state & STATE_FOLLOWED && phase_final(state_phase(state));
    edge_ref *head = due ? head_of(pool, shelf, index) : NULL;
    while (head && *head && n < AT_ONCE)
        lines[n++] = edge_is_over(pool, shelf, *head, state);
    bool more = head && *head;
    if (due && !more)
        atomic_fetch_and(&record->state, ~(uint64_t)STATE_FOLLOWED);
    shelf_unlock(shelf);
    struct seat seat = {.pool = pool, .self = muster__self_number()};
    for (int i = 0; i < n; i++)
        if (lines[i] >= 0)
            shelf_wake(&seat, (uint32_t)lines[i]);
    return more;
}

void follow_ended(struct pool *pool, uint32_t index, uint32_t generation)
{
    while (tell_some(pool, pool_record(pool, index), index, generation))
        ;
}

bool follow_refuse(const struct seat *seat, struct record *record, uint32_t index)
{
    struct extra *extra = shelf_extra(record);
    const struct follow *follow = follow_of(record);
    if (!follow || follow->failed < 0 || extra->placed.runs_anyway)
        return false;
    struct muster_task_error *error = &extra->error;
    *error = (struct muster_task_error){.err = MUSTER_ERR_CANCELED,
                                        .index = atomic_load(&record->number),
                                        .worker = -1,
                                        .rank = muster__member_rank(muster__member_self()),
                                        .failed = 1};
    snprintf(error->host, sizeof error->host, "%s", muster__host_name());
    muster__function_describe(record->function, error->function, sizeof error->function);
    snprintf(error->text, sizeof error->text, "it was to follow task %lld, which has not gone well",
             (long long)follow->failed);
    sched_finish(seat->pool, record, index, RECORD_FAILED, NULL);
    return true;
}

/* ---- for the shelf ---- */

void follow_unlink(struct pool *pool, struct shelf *shelf, struct record *record, uint32_t index)
{
    struct extra *extra = shelf_extra(record);
    struct follow *follow = follow_of(record);
    (void)index;
    if (!follow)
        return;
    for (int32_t i = 0; i < follow->n && follow->epoch == shelf->epoch; i++)
        if (follow->edge[i].of) {
            edge_out(pool, shelf, &follow->edge[i]);
            follow->edge[i].of = 0;
        }
    muster__ref ref = extra->placed.follows;
    extra->placed.follows = 0;
    muster__heap_free(ref, muster__self_state.number);
}

static void hold_again(struct pool *pool, struct shelf *shelf, uint32_t index)
{
    struct follow *follow = follow_of(pool_record(pool, index));
    follow->open = 0;
    follow->epoch = shelf->epoch;
    for (int32_t i = 0; i < follow->n; i++)
        if (follow->edge[i].of) {
            follow->open++;
            edge_in(pool, shelf, name_edge(index, i));
        }
    if (!follow->open)
        release(pool, shelf, index);
}

void follow_make_anew(struct pool *pool, struct shelf *shelf)
{
    const uint64_t *heads = shelf->heads_at ? muster__at(shelf->heads_at) : NULL;
    uint32_t slabs = atomic_load(&pool->slabs);
    for (uint32_t slab = 0; heads && slab < slabs && slab < POOL_SLABS; slab++)
        if (heads[slab])
            memset(muster__at(heads[slab]), 0, slab_records(slab) * sizeof(edge_ref));
    struct record *record;
    for (uint32_t index = 0; heads && (record = pool_walk(pool, &index)); index++)
        if (state_phase(atomic_load(&record->state)) == RECORD_HELD)
            hold_again(pool, shelf, index);
}

void follow_recover(struct pool *pool)
{
    const struct shelf *shelf = shelf_of(pool);
    struct record *record;
    for (uint32_t index = 0; shelf && shelf->heads_at && (record = pool_walk(pool, &index)); index++) {
        uint64_t state = atomic_load(&record->state);
        if (state & STATE_FOLLOWED && phase_final(state_phase(state)))
            follow_ended(pool, index, (uint32_t)(state >> 32));
    }
}
