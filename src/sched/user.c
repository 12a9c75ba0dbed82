/* SPDX-License-Identifier: BSD-3-Clause */
#include "sched/sched.h"

#include <string.h>

/*
 * Contexts of tasks, beside the pool's. A small one is the task's own. A large one is shared by all tasks that are
 * submitted with the same bytes, as far as their thread remembers: its lane keeps the last few. Behind the bytes stands
 * how many use the block: tasks, and the lane. Nothing counts down twice: who lets go forgets the block first, so a
 * death in between leaves a block to the pool's end, and never frees one that is in use.
 */

static _Atomic uint64_t *uses_of(muster__ref block, uint64_t bytes)
{
    return (_Atomic uint64_t *)((char *)muster__heap_at(block) + round_16(bytes));
}

static void drop_use(muster__ref block, uint64_t bytes, uint32_t self)
{
    if (atomic_fetch_sub_explicit(uses_of(block, bytes), 1, memory_order_acq_rel) == 1)
        muster__heap_free(block, self);
}

static void lane_drops(struct lane_user *kept, uint32_t self)
{
    muster__ref block = atomic_exchange_explicit(&kept->block, 0, memory_order_relaxed);
    if (block)
        drop_use(block, kept->bytes, self);
}

/* Of a lane without memory for another. False: it kept none. */
static bool lane_drops_all(struct lane *lane, uint32_t self)
{
    bool any = false;
    for (int i = 0; i < LANE_USERS; i++) {
        any |= atomic_load_explicit(&lane->users[i].block, memory_order_relaxed) != 0;
        lane_drops(&lane->users[i], self);
    }
    return any;
}

static muster__ref copy(const struct seat *seat, const void *bytes, size_t size, size_t behind)
{
    muster__ref block = muster__heap_alloc(round_16(size) + behind, seat->self);
    if (!block && lane_drops_all(seat->lane, seat->self))
        block = muster__heap_alloc(round_16(size) + behind, seat->self);
    if (block)
        memcpy(muster__heap_at(block), bytes, size);
    return block;
}

static struct lane_user *find(struct lane *lane, const void *bytes, size_t size)
{
    for (int i = 0; i < LANE_USERS; i++) {
        struct lane_user *kept = &lane->users[i];
        muster__ref block = atomic_load_explicit(&kept->block, memory_order_relaxed);
        if (block && kept->bytes == size && !memcmp(muster__heap_at(block), bytes, size))
            return kept;
    }
    return NULL;
}

/* Its bytes are written while it names no block. */
static struct lane_user *keep(const struct seat *seat, const void *bytes, size_t size)
{
    struct lane *lane = seat->lane;
    muster__ref block = copy(seat, bytes, size, sizeof(uint64_t));
    if (!block)
        return NULL;
    struct lane_user *kept = &lane->users[lane->next_user++ % LANE_USERS];
    atomic_store_explicit(uses_of(block, size), 1, memory_order_relaxed);
    muster__heap_hand_over(block, seat->self, pool_owner(seat->pool));
    lane_drops(kept, seat->self);
    kept->bytes = size;
    atomic_store_explicit(&kept->block, block, memory_order_release);
    return kept;
}

bool user_give(const struct seat *seat, struct extra *extra, const void *bytes, size_t size)
{
    extra->user_bytes = size;
    if (size < USER_SHARED_MIN) {
        muster__ref block = copy(seat, bytes, size, 0);
        extra->user = block;
        muster__heap_hand_over(block, seat->self, pool_owner(seat->pool));
        return block;
    }
    struct lane_user *kept = find(seat->lane, bytes, size);
    if (!kept)
        kept = keep(seat, bytes, size);
    if (!kept)
        return false;
    muster__ref block = atomic_load_explicit(&kept->block, memory_order_relaxed);
    extra->user_shared = extra->user_counted = true;
    atomic_fetch_add_explicit(uses_of(block, size), 1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    extra->user = block;
    return true;
}

void user_let_go(struct extra *extra, uint32_t self)
{
    muster__ref block = extra->user;
    if (!extra->user_shared) {
        muster__heap_free(block, self);
    } else if (extra->user_counted && block) {
        extra->user = 0;
        atomic_signal_fence(memory_order_seq_cst);
        drop_use(block, extra->user_bytes, self);
    }
}
