/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/state.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

/* ---- claiming ---- */

static uint32_t claim_slot(void)
{
    struct tables *tables = muster__me.tables;
    uint32_t first = (uint32_t)tables->locals, room = MUSTER__MEMBERS_MAX - first;
    uint32_t start = atomic_load(&tables->member_hint);
    for (uint32_t i = 0; i < room; i++) {
        uint32_t number = first + (start + i) % room, expected = MUSTER__MEMBER_FREE;
        struct member *member = member_at(number);
        if (atomic_load(&member->state) != MUSTER__MEMBER_FREE)
            continue;
        uint32_t high = atomic_load(&tables->members_high); /* first: who dies here must be found */
        while (high <= number && !atomic_compare_exchange_weak(&tables->members_high, &high, number + 1))
            ;
        if (!atomic_compare_exchange_strong(&member->state, &expected, member_claimed_by(muster__me.member)))
            continue;
        atomic_store(&tables->member_hint, number - first + 1);
        return number;
    }
    return MUSTER__MEMBERS_MAX;
}

static void clear(struct member *member)
{
    member->parent = muster__me.member;
    member->nursery = member->seat = -1;
    atomic_store(&member->left, 0);
    atomic_store(&member->dead, 0);
    atomic_store(&member->orphan, 0);
    atomic_store(&member->placed, PLACED_NOT);
    atomic_store(&member->pid, 0);
    atomic_store(&member->outcome, 0);
    atomic_store(&member->signals, 0);
    atomic_store(&member->wanted, 0);
    atomic_store(&member->overran, 0);
    atomic_store(&member->deadline_ns, MUSTER__NEVER);
    atomic_store(&member->memory_turn, 0);
    atomic_store(&member->victim, 0);
    member->memory_bytes = 0;
    member->arg = 0;
    member->arg_bytes = 0;
}

static void free_slot(struct member *member)
{
    member->seat = -1;
    atomic_store(&member->state, MUSTER__MEMBER_FREE);
}

void member_free_claim(uint32_t number)
{
    struct member *member = member_at(number);
    muster__heap_free(member->arg, muster__self_number());
    member->arg = 0;
    seat_give_back(member->seat);
    free_slot(member);
}

muster_err muster__child_claim(const struct muster__child *child, uint32_t *number)
{
    muster__function main;
    muster_err err = muster__function_name((const void *)child->main, &main);
    if (err)
        return err;
    uint32_t self = muster__self_number(), claimed = claim_slot();
    if (claimed == MUSTER__MEMBERS_MAX)
        return muster__fail(MUSTER_ERR_NOMEM, "%d children exist on host %s; join and close some", MUSTER__MEMBERS_MAX,
                            muster__host_name());
    struct member *member = member_at(claimed);
    clear(member);
    muster__trace_forget(claimed);
    member->main = main;
    member->nursery = child->rank_local;
    snprintf(member->name, sizeof member->name, "%s", child->name ? child->name : "");
    if (child->size_bytes) {
        muster__ref arg = muster__heap_alloc(child->size_bytes, self);
        if (!arg) {
            member_free_claim(claimed);
            return muster__fail(MUSTER_ERR_NOMEM, "no %zu B left in the host segment for an argument",
                                child->size_bytes);
        }
        memcpy(muster__heap_at(arg), child->arg, child->size_bytes);
        member->arg = arg;
        member->arg_bytes = child->size_bytes;
        muster__heap_hand_over(arg, self, 0);
    }
    *number = claimed;
    return MUSTER_OK;
}

/* The rank this process is, or is hosted by. Its nursery forks what this process starts: so they share standard output,
 * and lines come in the order in which they were written. */
static int own_local(void)
{
    uint32_t me = muster__me.member;
    if (me >= MUSTER__MEMBERS_MAX)
        return (int)(me - NURSERY_MEMBER);
    return me < (uint32_t)muster__host_ranks() ? (int)me : member_at(me)->nursery;
}

void member_ring_nursery(int local)
{
    struct nursery *nursery = nursery_at(local);
    atomic_fetch_add(&nursery->bell, 1);
    muster__futex_wake(&nursery->bell, 1);
}

bool member_take_spare(int local, uint32_t number)
{
    for (int slot = 0; slot < SPARES_MAX; slot++) {
        struct spare *spare = &nursery_at(local)->spares[slot];
        uint32_t ready = SPARE_READY;
        if (atomic_load(&spare->go) != SPARE_READY)
            continue;
        atomic_store(&member_at(number)->pid, atomic_load(&spare->pid));
        if (!atomic_compare_exchange_strong(&spare->go, &ready, SPARE_TAKEN + number))
            continue;
        muster__futex_wake(&spare->go, 1);
        return true;
    }
    return false;
}

muster_err muster__child_start(uint32_t number)
{
    struct member *member = member_at(number);
    if (member_state(number) != MUSTER__MEMBER_CLAIMED)
        return muster__fail(MUSTER_ERR_STATE, "'%s' was started before", member->name);
    int local = member->nursery >= 0 ? member->nursery : own_local();
    member->seat = seat_take((uint32_t)local);
    struct nursery *nursery = nursery_at(local);
    if (!atomic_load(&nursery->pid)) {
        seat_give_back(member->seat);
        member->seat = -1;
        return muster__fail_logged(MUSTER_ERR_BROKEN, "'%s' cannot be started: the nursery of rank %d is gone",
                                   member->name, muster__rank_of_local(local));
    }
    member->nursery = local;
    atomic_store(&member->state, MUSTER__MEMBER_ASKED);
    if (member_take_spare(local, number)) /* the nursery hears of it when the child ends or another starts */
        return MUSTER_OK;
    uint32_t head = atomic_load(&nursery->intake);
    do
        atomic_store(&member->next, head);
    while (!atomic_compare_exchange_weak(&nursery->intake, &head, number + 1));
    if (!atomic_load(&nursery->pid)) { /* just now */
        member_set_outcome(number, OUTCOME_SIGNAL | SIGKILL);
        member_reaped(number);
    }
    member_ring_nursery(local);
    return MUSTER_OK;
}

/* ---- facts ---- */

void muster__child_info(uint32_t number, struct muster__member_info *info)
{
    struct member *member = member_at(number);
    enum muster__member_state state = member_state(number); /* before the outcome, which is set first */
    uint32_t outcome = atomic_load(&member->outcome), kind = outcome & ~(uint32_t)OUTCOME_VALUE;
    *info = (struct muster__member_info){
        .state = state, .pid = atomic_load(&member->pid), .rank = muster__member_rank(number)};
    if (outcome)
        info->state = MUSTER__MEMBER_ENDED;
    info->exit_code = kind == OUTCOME_EXIT ? (int)(outcome & OUTCOME_VALUE) : 0;
    info->signal = kind == OUTCOME_SIGNAL ? (int)(outcome & OUTCOME_VALUE) : 0;
    info->system_errno = kind == OUTCOME_ERRNO ? (int)(outcome & OUTCOME_VALUE) : 0;
    info->memory_over = atomic_load(&member->memory_turn) & MEMORY_OVER;
    info->victim = atomic_load(&member->victim);
    info->memory_bytes = member->memory_bytes;
    info->memory_limit = atomic_load(&member->memory_limit);
    snprintf(info->name, sizeof info->name, "%s", member->name);
    struct muster__cpuset cpus;
    if (place_of(number, &cpus))
        muster__cpuset_format(&cpus, info->cores, sizeof info->cores);
}

/* Of a killed one: what it held is repaired, and it stands in no line any more. One that ended by itself said so
 * itself, and held nothing unless its program is wrong. */
bool muster__child_ended(uint32_t number)
{
    const struct member *member = member_at(number);
    uint32_t outcome = atomic_load(&member->outcome);
    return outcome &&
           ((outcome & ~(uint32_t)OUTCOME_VALUE) != OUTCOME_SIGNAL || atomic_load(&member->left) & LEFT_REAPED);
}

struct muster__event *muster__child_event(uint32_t number)
{
    return &member_at(number)->changed;
}

bool muster__child_overran(uint32_t number)
{
    return atomic_load(&member_at(number)->overran);
}

/* ---- asking its nursery ---- */

void muster__child_signal(uint32_t number, int signal)
{
    struct member *member = member_at(number);
    enum muster__member_state state = member_state(number);
    if ((state != MUSTER__MEMBER_ASKED && state != MUSTER__MEMBER_ALIVE) || signal < 1 || signal > 31)
        return;
    atomic_fetch_or(&member->signals, UINT32_C(1) << signal);
    member_ring_nursery(member->nursery);
}

void muster__child_limit(uint32_t number, int64_t deadline_ns)
{
    if (number >= MUSTER__MEMBERS_MAX)
        return;
    struct member *member = member_at(number);
    int64_t before = atomic_exchange(&member->deadline_ns, deadline_ns);
    if (deadline_ns < before && member->nursery >= 0)
        member_ring_nursery(member->nursery);
}

/* ---- the end of a member ---- */

static void add_left(uint32_t number, uint32_t what)
{
    struct member *member = member_at(number);
    uint32_t before = atomic_fetch_or(&member->left, what);
    if ((before | what) == (LEFT_REAPED | LEFT_RELEASED) && before != (before | what))
        free_slot(member);
}

void muster__child_release(uint32_t number)
{
    struct member *member = member_at(number);
    if (member_state(number) == MUSTER__MEMBER_CLAIMED) {
        member_free_claim(number);
        return;
    }
    muster__heap_free(member->arg, muster__self_number());
    member->arg = 0;
    add_left(number, LEFT_RELEASED);
}

/* The first outcome stays: a child that said how it ended is believed, whatever killed it afterwards. */
void member_set_outcome(uint32_t number, uint32_t outcome)
{
    struct member *member = member_at(number);
    uint32_t none = 0;
    atomic_compare_exchange_strong(&member->outcome, &none, outcome);
    atomic_store(&member->state, MUSTER__MEMBER_ENDED);
    muster__event_signal(&member->changed, -1);
}

void member_reaped(uint32_t number)
{
    struct member *member = member_at(number);
    if (atomic_load(&member->left) & LEFT_REAPED)
        return;
    seat_give_back(member->seat);
    add_left(number, LEFT_REAPED);
    muster__event_signal(&member->changed, -1);
}
