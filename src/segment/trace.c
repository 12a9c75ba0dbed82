/* SPDX-License-Identifier: BSD-3-Clause */
#include "segment/trace.h"

#include <stdio.h>
#include <string.h>

static struct muster__ring *ring_of(uint32_t member)
{
    return (struct muster__ring *)muster__at(muster__segment->rings_offset) + member % MUSTER__RINGS;
}

void muster__site_text(char text[MUSTER__LINE])
{
    const char *site = muster_site ? muster_site : "", *at = strstr(site, " at "),
               *slash = at ? strrchr(at, '/') : NULL;
    size_t call = slash ? (size_t)(at + sizeof " at " - 1 - site) : 0;
    snprintf(text, MUSTER__LINE, "%.*s%s", (int)call, site, slash ? slash + 1 : site);
}

/* ---- noting ---- */

/* the place of the thread's last wait, and when that began */
static MUSTER__THREAD_LOCAL struct muster__trace_place *last_wait;
static MUSTER__THREAD_LOCAL int64_t last_wait_ns;

static void put(struct muster__trace_place *place, const struct muster__traced *traced)
{
    uint64_t words[MUSTER__TRACED_WORDS];
    memcpy(words, traced, sizeof words);
    atomic_store(&place->when_ns, 0);
    atomic_store_explicit(&place->until_ns, 0, memory_order_relaxed);
    for (int i = 0; i < MUSTER__TRACED_WORDS; i++)
        atomic_store_explicit(&place->word[i], words[i], memory_order_relaxed);
    atomic_store_explicit(&place->when_ns, traced->when_ns, memory_order_release);
}

/* False: there is none, or it is being written. */
static bool take(struct muster__trace_place *place, struct muster__traced *traced)
{
    uint64_t words[MUSTER__TRACED_WORDS];
    int64_t when = atomic_load_explicit(&place->when_ns, memory_order_acquire);
    for (int i = 0; i < MUSTER__TRACED_WORDS; i++)
        words[i] = atomic_load_explicit(&place->word[i], memory_order_relaxed);
    memcpy(traced, words, sizeof words);
    return when && traced->when_ns == when;
}

void muster__trace(enum muster__event_kind kind, muster_handle object, uint32_t operation, muster_err err)
{
    const struct muster__caller *caller = muster__self_state.caller;
    if (!caller || caller->serves)
        return;
    struct muster__traced traced = {.when_ns = muster__now_ns(),
                                    .object = object,
                                    .member = atomic_load_explicit(&caller->live, memory_order_relaxed) - 1,
                                    .operation = operation,
                                    .thread = caller->thread,
                                    .kind = (int16_t)kind,
                                    .err = (int16_t)err};
    struct muster__ring *ring = ring_of(traced.member);
    struct muster__trace_place *place = &ring->place[atomic_fetch_add(&ring->next, 1) % MUSTER__RING];
    if (kind == MUSTER__EVENT_WAITED)
        memcpy(traced.site, caller->site, sizeof traced.site);
    else
        muster__site_text(traced.site);
    put(place, &traced);
    last_wait = kind == MUSTER__EVENT_WAITED ? place : NULL;
    last_wait_ns = traced.when_ns;
}

/* Others of the process may have used the place since: then the event is not this thread's. */
void muster__trace_over(void)
{
    if (last_wait && atomic_load(&last_wait->when_ns) == last_wait_ns)
        atomic_store_explicit(&last_wait->until_ns, muster__now_ns(), memory_order_relaxed);
    last_wait = NULL;
}

void muster__trace_forget(uint32_t member)
{
    struct muster__ring *ring = ring_of(member);
    struct muster__traced traced;
    for (int i = 0; i < MUSTER__RING; i++)
        if (take(&ring->place[i], &traced) && traced.member == member)
            atomic_store(&ring->place[i].when_ns, 0);
}

/* ---- telling ---- */

static const char *waited_for(uint32_t operation)
{
    switch (operation) {
    case MUSTER__FOR_WORK:
        return "was idle: ";
    case MUSTER__FOR_TASKS:
        return "waited for results of ";
    case MUSTER__FOR_WORKERS:
        return "waited for the workers to leave ";
    case MUSTER__FOR_RANKS:
        return "waited for the other ranks to end: ";
    default:
        return "waited for ";
    }
}

static void describe(const struct muster__traced *traced, int64_t until, char *text, size_t size)
{
    char object[80];
    muster__handle_text(traced->object, object, sizeof object);
    switch (traced->kind) {
    case MUSTER__EVENT_WAITED:
        if (until > traced->when_ns)
            snprintf(text, size, "%s%s, for %.6f s", waited_for(traced->operation), object,
                     (double)(until - traced->when_ns) * 1e-9);
        else
            snprintf(text, size, "%s%s, which was not over", waited_for(traced->operation), object);
        break;
    case MUSTER__EVENT_FAILED:
        snprintf(text, size, "err %s from %s", muster_err_name(traced->err), object);
        break;
    case MUSTER__EVENT_CRASHED:
        snprintf(text, size, "signal %d; the last call before it was made", traced->err);
        break;
    default:
        snprintf(text, size, "%s %s", traced->kind == MUSTER__EVENT_MADE ? "made" : "ended", object);
    }
}

/* The first of a member's events after that moment. False: there is no more. */
static bool next_after(uint32_t member, int64_t after_ns, struct muster__traced *first, int64_t *until_ns)
{
    struct muster__ring *ring = ring_of(member);
    first->when_ns = INT64_MAX;
    for (int i = 0; i < MUSTER__RING; i++) {
        struct muster__traced traced;
        if (!take(&ring->place[i], &traced) || traced.member != member)
            continue;
        if (traced.when_ns <= after_ns || traced.when_ns >= first->when_ns)
            continue;
        *first = traced;
        *until_ns = atomic_load(&ring->place[i].until_ns);
    }
    return first->when_ns != INT64_MAX;
}

bool muster__trace_tell(uint32_t member, enum muster__level level, const char *who)
{
    struct muster__traced traced;
    int64_t now = muster__now_ns(), when = 0, until = 0;
    for (; next_after(member, when, &traced, &until); when = traced.when_ns) {
        char what[192];
        describe(&traced, until, what, sizeof what);
        if (!when)
            muster__log(level, "the last events of %s:", who);
        traced.site[sizeof traced.site - 1] = 0;
        muster__log(level, "  %.6f s ago, thread %d: %s%s%s", (double)(now - traced.when_ns) * 1e-9, traced.thread,
                    what, *traced.site ? ", in " : "", traced.site);
    }
    return when != 0;
}
