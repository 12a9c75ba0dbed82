/* SPDX-License-Identifier: BSD-3-Clause */
#include "segment/heap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 4096, MOST = SLOTS / 2, HELD_MAX = 32 };

/*
 * Slots are found by a hash of both handles; `noted` names them (slot + 1) in the order in which they were filled, and
 * `listed` as soon as it is known of each whether it was told. Who has noted an order looks for a circle then: of two
 * that close one at the same instant the later one sees both, or each does, and says so. A hole in `noted` is somebody
 * who has still to note his own, and will look after that.
 */
struct table {
    _Atomic uint32_t count;
    struct slot {
        _Atomic uint64_t key; /* 0: free */
        struct muster__order order;
    } slot[SLOTS];
    _Atomic uint32_t noted[MOST], listed[MOST];
};

static MUSTER__THREAD_LOCAL struct held {
    int count;
    struct {
        muster_handle lock;
        char site[MUSTER__LINE];
    } at[HELD_MAX];
} held;

static struct table *table(void)
{
    return muster__at(muster__segment->roots[MUSTER__ROOT_ORDER]);
}

muster_err muster__order_start(uint32_t self)
{
    muster__ref ref = muster__heap_alloc(sizeof(struct table), self);
    if (!ref)
        return muster__fail_logged(MUSTER_ERR_NOMEM, "no room for the orders of locks; raise MUSTER_SEGMENT_MIB");
    memset(muster__heap_at(ref), 0, sizeof(struct table));
    muster__heap_hand_over(ref, self, 0);
    muster__segment->roots[MUSTER__ROOT_ORDER] = muster__offset(muster__heap_at(ref));
    muster__segment->observed |= MUSTER__OBSERVES_ORDER;
    return MUSTER_OK;
}

const struct muster__order *muster__order_next(uint32_t *at)
{
    uint32_t listed = *at < MOST ? atomic_load_explicit(&table()->listed[*at], memory_order_acquire) : 0;
    *at += listed != 0;
    return listed ? &table()->slot[listed - 1].order : NULL;
}

/* ---- circles ---- */

static bool same(muster_handle a, muster_handle b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

/* a way through the orders, from what was wanted to what was held */
struct way {
    const struct muster__order *list[MOST];
    int32_t from[MOST]; /* the one before it on the way; -1: the first */
    bool seen[MOST];
    uint32_t count, queue[MOST], first, last;
};

static void go_on(struct way *way, muster_handle lock, int32_t from)
{
    for (uint32_t i = 0; i < way->count; i++) {
        if (way->seen[i] || !same(way->list[i]->held, lock))
            continue;
        way->seen[i] = true;
        way->from[i] = from;
        way->queue[way->last++] = i;
    }
}

/* -1: there is none; else the last order on the way, nearest to `goal`. */
static int32_t find_way(struct way *way, muster_handle start, muster_handle goal)
{
    uint32_t noted, count = atomic_load(&table()->count);
    for (uint32_t at = 0; at < count && at < MOST; at++)
        if ((noted = atomic_load(&table()->noted[at])))
            way->list[way->count++] = &table()->slot[noted - 1].order;
    go_on(way, start, -1);
    while (way->first < way->last) {
        uint32_t at = way->queue[way->first++];
        if (same(way->list[at]->wanted, goal))
            return (int32_t)at;
        go_on(way, way->list[at]->wanted, (int32_t)at);
    }
    return -1;
}

static void say(const char *begins, const struct muster__order *order)
{
    muster__log(MUSTER__WARN, "%srank %u asked for %s%s%s while it held %s%s%s", begins, order->rank,
                order->wanted_name, *order->wanted_site ? " in " : "", order->wanted_site, order->held_name,
                *order->held_site ? ", taken in " : "", order->held_site);
}

/* Whether it closes a circle; that is said. */
static bool warn(const struct muster__order *order)
{
    struct way *way = calloc(1, sizeof *way);
    int32_t at = way ? find_way(way, order->wanted, order->held) : -1;
    bool found = at >= 0;
    if (found)
        say("locks are taken in an order that could deadlock: ", order);
    for (; at >= 0; at = way->from[at])
        say("  but ", way->list[at]);
    free(way);
    return found;
}

/* ---- noting ---- */

/* Made by whoever comes first; NULL: it was there, or there is no room. */
static struct slot *make_slot(const struct muster__order *order)
{
    muster_handle both[2] = {order->held, order->wanted};
    uint64_t key = muster__hash(both, sizeof both) | 1;
    for (uint32_t i = 0; i < SLOTS && atomic_load(&table()->count) < MOST; i++) {
        struct slot *slot = &table()->slot[(key + i) % SLOTS];
        uint64_t found = 0;
        if (atomic_load(&slot->key) == key)
            return NULL;
        if (atomic_compare_exchange_strong(&slot->key, &found, key))
            return slot;
        if (found == key)
            return NULL;
    }
    return NULL;
}

static void note(const struct muster__order *order, bool looks)
{
    struct slot *slot = make_slot(order);
    uint32_t at = slot ? atomic_fetch_add(&table()->count, 1) : MOST;
    if (at >= MOST)
        return;
    uint32_t number = (uint32_t)(slot - table()->slot) + 1;
    slot->order = *order;
    atomic_store(&table()->noted[at], number);
    if (looks && warn(order))
        slot->order.told = 1;
    atomic_store_explicit(&table()->listed[at], number, memory_order_release);
}

void muster__order_add(const struct muster__order *order)
{
    if (muster__orders())
        note(order, !order->told);
}

void muster__order_wants(muster_handle lock)
{
    struct muster__order order = {.wanted = lock, .rank = muster__count_rank};
    muster__site_text(order.wanted_site);
    for (int i = 0; i < held.count; i++) {
        order.held = held.at[i].lock;
        if (same(order.held, lock))
            continue;
        memcpy(order.held_site, held.at[i].site, sizeof order.held_site);
        muster__handle_text(order.held, order.held_name, sizeof order.held_name);
        muster__handle_text(lock, order.wanted_name, sizeof order.wanted_name);
        note(&order, true);
    }
}

void muster__order_has(muster_handle lock)
{
    if (held.count == HELD_MAX)
        return;
    held.at[held.count].lock = lock;
    muster__site_text(held.at[held.count++].site);
}

void muster__order_leaves(muster_handle lock)
{
    for (int i = held.count; i-- > 0;)
        if (same(held.at[i].lock, lock)) {
            memmove(&held.at[i], &held.at[i + 1], (size_t)(held.count - i - 1) * sizeof held.at[0]);
            held.count--;
            return;
        }
}
