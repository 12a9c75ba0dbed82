/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "segment/heap.h"

/*
 * Links are waiters' numbers, made and changed under the event's latch. A caller that takes or has such a latch says
 * so in `line` before: whoever sweeps it finds the line and makes its links again from the waiters, in the order of
 * their tickets. What changes a waiter's state is stored last, so that a rebuilt line has who stood there and nobody
 * else.
 *
 * A waiter that was called but not rung, since its caller out of the line died in between, is rung by the sweeper
 * (muster__line_ring_called).
 */

enum { GENERATION = 0, BATCH = 32 };

/* ---- the latch ---- */

static bool take(struct muster__event *event)
{
    struct muster__self *self = &muster__self_state;
    MUSTER__CHECK_EQ(self->number != 0, true);
    atomic_store_explicit(&self->caller->line, muster__offset(event), memory_order_relaxed);
    if (MUSTER__LIKELY(muster__latch_acquire(&event->latch, GENERATION, self->number)))
        return true;
    atomic_store_explicit(&self->caller->line, 0, memory_order_relaxed);
    return false;
}

static void give(struct muster__event *event)
{
    struct muster__self *self = &muster__self_state;
    muster__latch_release(&event->latch, GENERATION, self->number);
    atomic_store_explicit(&self->caller->line, 0, memory_order_release);
}

/* ---- links; under the latch ---- */

static uint32_t tail_of(const struct muster__event *event)
{
    return atomic_load_explicit(&event->tail, memory_order_relaxed);
}

static void set_tail(struct muster__event *event, uint32_t number)
{
    atomic_store_explicit(&event->tail, number, memory_order_relaxed);
}

static void link_after(struct muster__event *event, uint32_t number, uint32_t before)
{
    struct muster__waiter *waiter = muster__waiter(number);
    uint32_t after = before ? muster__waiter(before)->next : atomic_load_explicit(&event->head, memory_order_relaxed);
    waiter->prev = before;
    waiter->next = after;
    if (before)
        muster__waiter(before)->next = number;
    else
        atomic_store(&event->head, number);
    if (after)
        muster__waiter(after)->prev = number;
    else
        set_tail(event, number);
}

static void unlink_waiter(struct muster__event *event, struct muster__waiter *waiter)
{
    if (waiter->prev)
        muster__waiter(waiter->prev)->next = waiter->next;
    else
        atomic_store(&event->head, waiter->next);
    if (waiter->next)
        muster__waiter(waiter->next)->prev = waiter->prev;
    else
        set_tail(event, waiter->prev);
}

/* The last one with an earlier ticket; those who come again are near the head. */
static uint32_t place_of(const struct muster__event *event, uint64_t ticket)
{
    uint32_t before = 0, at = atomic_load_explicit(&event->head, memory_order_relaxed);
    while (at && muster__waiter(at)->ticket < ticket) {
        before = at;
        at = muster__waiter(at)->next;
    }
    return before;
}

/* ---- hang, unhang ---- */

static bool stands_in(const struct muster__event *event, uint32_t number)
{
    const struct muster__waiter *waiter = muster__waiter(number);
    return atomic_load(&waiter->event) == muster__offset(event) && atomic_load(&waiter->state) == MUSTER__WAITER_HUNG;
}

bool muster__event_hang(struct muster__event *event, uint32_t number, uint32_t flags, bool again)
{
    struct muster__waiter *waiter = muster__waiter(number);
    uint64_t offset = muster__offset(event);
    if (!take(event))
        return false;
    again = again && waiter->from == offset;
    if (!again)
        waiter->ticket = ++event->tickets;
    waiter->flags = flags;
    waiter->from = offset;
    atomic_store(&waiter->owner, muster__self_state.number);
    atomic_store(&waiter->event, offset);
    atomic_store(&waiter->state, MUSTER__WAITER_HUNG);
    link_after(event, number, again ? place_of(event, waiter->ticket) : tail_of(event));
    give(event);
    return true;
}

bool muster__event_unhang(uint32_t number)
{
    struct muster__waiter *waiter = muster__waiter(number);
    uint64_t offset;
    while ((offset = atomic_load(&waiter->event))) {
        struct muster__event *event = muster__at(offset);
        if (!take(event))
            return false;
        if (stands_in(event, number)) {
            unlink_waiter(event, waiter);
            atomic_store(&waiter->state, MUSTER__WAITER_IDLE);
        }
        atomic_store(&waiter->event, 0);
        give(event);
    }
    return true;
}

/* ---- calling ---- */

static _Atomic uint64_t *called_sums(void)
{
    return muster__at(muster__segment->called_offset);
}

static _Atomic uint64_t *called_words(void)
{
    return called_sums() + MUSTER__CALLED_SUMS;
}

static void ring(uint32_t number)
{
    uint32_t owner = atomic_load(&muster__waiter(number)->owner);
    if (number >= MUSTER__CALLERS_MAX) {
        uint32_t bit = number - MUSTER__CALLERS_MAX;
        atomic_fetch_or(&called_words()[bit / 64], UINT64_C(1) << bit % 64);
        atomic_fetch_or(&called_sums()[bit / 4096], UINT64_C(1) << bit / 64 % 64);
    }
    if (owner)
        muster__ring(owner);
}

static void call_later(uint64_t event, uint64_t n)
{
    muster__event_call(muster__at(event), (int)(int64_t)n);
}

/* Takes up to *n of those out of the line whose tickets were given out before `until`. Returns how many, with
 * watchers, who do not count. */
static int call_some(struct muster__event *event, int *n, uint64_t until, uint32_t *called, int *waiting)
{
    int count = 0;
    for (uint32_t number; *n && count < BATCH && (number = atomic_load(&event->head)); count++) {
        struct muster__waiter *waiter = muster__waiter(number);
        if (waiter->ticket > until)
            break;
        bool watches = waiter->flags & MUSTER__WATCHES;
        *n -= *n > 0 && !watches;
        *waiting += !watches;
        called[count] = number;
        unlink_waiter(event, waiter);
        atomic_store(&waiter->state, MUSTER__WAITER_CALLED); /* first: who is out of the line knows why */
        atomic_store(&waiter->event, 0);
    }
    return count;
}

/* Up to *n; *all: so many, watchers not counted. False: busy, *n are still to be called. */
static bool call_in_line(struct muster__event *event, int *n, int *all)
{
    uint32_t called[BATCH];
    uint64_t until = 0;
    bool busy = muster__self_state.busy;
    for (int count = BATCH; *n && count == BATCH;) {
        if (!take(event)) {
            muster__self_state.busy = busy; /* who called does so later: what called need not be done again */
            return false;
        }
        until = until ? until : event->tickets;
        count = call_some(event, n, until, called, all);
        give(event);
        for (int i = 0; i < count; i++)
            ring(called[i]);
    }
    return true;
}

int muster__event_call(struct muster__event *event, int n)
{
    int all = 0;
    if (call_in_line(event, &n, &all))
        return all;
    muster__put_off(call_later, muster__offset(event), (uint64_t)(int64_t)n);
    return all + 1; /* it is as good as done */
}

enum muster__called muster__event_call_one(struct muster__event *event)
{
    int n = 1, all = 0;
    if (!call_in_line(event, &n, &all))
        return MUSTER__CALLED_LATER;
    return all ? MUSTER__CALLED_ONE : MUSTER__CALLED_NOBODY;
}

muster_err muster__event_await(struct muster__event *event, bool (*over)(void *arg), void *arg, int64_t deadline_ns)
{
    uint32_t waiter = muster__waiter_own(), seen = atomic_load(&muster__self_state.caller->bell);
    muster_err err = MUSTER_OK;
    muster__event_hang(event, waiter, 0, false);
    if (!over(arg))
        err = muster__sleep(&muster__self_state.caller->bell, seen, deadline_ns);
    muster__event_unhang(waiter);
    return err;
}

/* ---- waiters ---- */

uint32_t muster__waiter_own(void)
{
    return muster__self_state.number;
}

static void raise_end(uint32_t above)
{
    _Atomic uint32_t *high = &muster__segment->waiters_high;
    uint32_t seen = atomic_load(high);
    while (seen < above && !atomic_compare_exchange_weak(high, &seen, above))
        ;
}

/* The owner is recorded first: who dies over it is found by that. */
uint32_t muster__waiter_make(void)
{
    uint32_t room = muster__segment->waiters_max, start = atomic_load(&muster__segment->waiter_hint);
    for (uint32_t i = 0; i < room; i++) {
        uint32_t at = (start + i) % room, number = MUSTER__CALLERS_MAX + at, nobody = 0;
        struct muster__waiter *waiter = muster__waiter(number);
        if (atomic_load(&waiter->owner))
            continue;
        raise_end(number + 1);
        if (!atomic_compare_exchange_strong(&waiter->owner, &nobody, muster__self_state.number))
            continue;
        waiter->from = 0; /* another's place in a line is not inherited */
        atomic_store(&waiter->state, MUSTER__WAITER_IDLE);
        atomic_store(&muster__segment->waiter_hint, at + 1);
        return number;
    }
    return 0;
}

void muster__waiter_free(uint32_t number)
{
    struct muster__waiter *waiter = muster__waiter(number);
    uint32_t at = number - MUSTER__CALLERS_MAX;
    atomic_store(&waiter->since_ns, 0);
    atomic_store(&waiter->state, MUSTER__WAITER_FREE);
    atomic_store(&waiter->owner, 0);
    if (at < atomic_load(&muster__segment->waiter_hint))
        atomic_store(&muster__segment->waiter_hint, at); /* low numbers first: few words tell who was called */
}

/* ---- which of the agent's were called ---- */

static int by_place(const void *left, const void *right)
{
    const struct muster__waiter *a = muster__waiter(*(const uint32_t *)left),
                                *b = muster__waiter(*(const uint32_t *)right);
    if (a->from != b->from)
        return a->from < b->from ? -1 : 1;
    return a->ticket < b->ticket ? -1 : a->ticket > b->ticket;
}

static uint32_t *take_bits(uint32_t *count)
{
    static uint32_t *list, room;
    *count = 0;
    for (uint32_t sum = 0; sum < MUSTER__CALLED_SUMS; sum++) {
        if (!atomic_load_explicit(&called_sums()[sum], memory_order_relaxed))
            continue;
        for (uint64_t words = atomic_exchange(&called_sums()[sum], 0); words; words &= words - 1) {
            uint32_t word = sum * 64 + (uint32_t)__builtin_ctzll(words);
            for (uint64_t bits = atomic_exchange(&called_words()[word], 0); bits; bits &= bits - 1) {
                if (*count == room) {
                    room = room ? 2 * room : 256;
                    list = realloc(list, room * sizeof *list);
                    MUSTER__CHECK_EQ(list != NULL, true);
                }
                list[(*count)++] = MUSTER__CALLERS_MAX + word * 64 + (uint32_t)__builtin_ctzll(bits);
            }
        }
    }
    return list;
}

void muster__called_take(void (*told)(uint32_t waiter))
{
    uint32_t count, self = muster__self_state.number, *list = take_bits(&count);
    if (count > 1)
        qsort(list, count, sizeof *list, by_place);
    for (uint32_t i = 0; i < count; i++) {
        struct muster__waiter *waiter = muster__waiter(list[i]);
        if (atomic_load(&waiter->owner) == self && muster__waiter_called(waiter))
            told(list[i]);
    }
}

/* ---- after a death ---- */

static int by_ticket(const void *left, const void *right)
{
    uint64_t a = muster__waiter(*(const uint32_t *)left)->ticket, b = muster__waiter(*(const uint32_t *)right)->ticket;
    return a < b ? -1 : a > b;
}

/* Callers' own, then those made. */
static uint32_t next_waiter(uint32_t number)
{
    number++;
    return number == muster__callers_end() ? MUSTER__CALLERS_MAX : number;
}

static void rebuild(struct muster__event *event)
{
    uint32_t end = muster__waiters_end(), count = 0, *list = NULL;
    for (int pass = 0; pass < 2; pass++) {
        uint32_t found = 0;
        for (uint32_t number = 1; number < end; number = next_waiter(number))
            if (stands_in(event, number) && ++found && list)
                list[found - 1] = number;
        count = found;
        if (!list && found)
            list = malloc(found * sizeof *list);
        MUSTER__CHECK_EQ(!found || list, true);
    }
    if (count)
        qsort(list, count, sizeof *list, by_ticket);
    atomic_store(&event->head, 0);
    set_tail(event, 0);
    for (uint32_t i = 0; i < count; i++) {
        link_after(event, list[i], tail_of(event));
        if (muster__waiter(list[i])->ticket > event->tickets)
            event->tickets = muster__waiter(list[i])->ticket;
    }
    free(list);
}

void muster__line_sweep_latch(uint32_t dead, uint32_t self)
{
    uint64_t offset = atomic_load(&muster__caller(dead)->line);
    uint32_t generation;
    if (!offset)
        return;
    struct muster__event *event = muster__at(offset);
    if (!muster__latch_seize(&event->latch, dead, self, &generation))
        return;
    struct muster__caller *me = muster__self_state.caller;
    atomic_store(&me->line, offset);
    rebuild(event);
    muster__latch_release(&event->latch, generation, self);
    atomic_store(&me->line, 0);
}

static void sweep_waiter(uint32_t number)
{
    struct muster__waiter *waiter = muster__waiter(number);
    muster__event_unhang(number);
    bool called = muster__waiter_called(waiter);
    atomic_store(&waiter->since_ns, 0);
    atomic_store(&waiter->state, MUSTER__WAITER_IDLE);
    if (called)
        muster__event_signal(muster__at(waiter->from), 1); /* spent on the dead */
}

void muster__line_sweep(uint32_t dead)
{
    uint32_t end = muster__waiters_end();
    sweep_waiter(dead);
    for (uint32_t number = MUSTER__CALLERS_MAX; number < end; number++)
        if (atomic_load(&muster__waiter(number)->owner) == dead) {
            sweep_waiter(number);
            muster__waiter_free(number);
        }
}

void muster__line_ring_called(void)
{
    uint32_t end = muster__waiters_end();
    for (uint32_t number = 1; number < end; number = next_waiter(number))
        if (muster__waiter_called(muster__waiter(number)))
            ring(number);
}
