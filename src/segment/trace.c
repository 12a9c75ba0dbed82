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

static MUSTER__THREAD_LOCAL struct muster__traced *last_wait;

void muster__trace(enum muster__event_kind kind, muster_handle object, uint32_t operation, muster_err err)
{
    const struct muster__caller *caller = muster__self_state.caller;
    if (!caller || caller->serves)
        return;
    uint32_t member = atomic_load_explicit(&caller->live, memory_order_relaxed) - 1;
    struct muster__ring *ring = ring_of(member);
    struct muster__traced *traced = &ring->traced[atomic_fetch_add(&ring->next, 1) % MUSTER__RING];
    atomic_store(&traced->when_ns, 0);
    atomic_store_explicit(&traced->until_ns, 0, memory_order_relaxed);
    traced->object = object;
    traced->member = member;
    traced->operation = operation;
    traced->thread = caller->thread;
    traced->kind = (int16_t)kind;
    traced->err = (int16_t)err;
    if (kind == MUSTER__EVENT_WAITED)
        memcpy(traced->site, caller->site, sizeof traced->site);
    else
        muster__site_text(traced->site);
    atomic_store_explicit(&traced->when_ns, muster__now_ns(), memory_order_release);
    last_wait = kind == MUSTER__EVENT_WAITED ? traced : NULL;
}

/* Others of the process may have used the place since: then the event is not this thread's. */
void muster__trace_over(void)
{
    if (last_wait && last_wait->thread == muster__self_state.caller->thread && last_wait->kind == MUSTER__EVENT_WAITED)
        atomic_store_explicit(&last_wait->until_ns, muster__now_ns(), memory_order_relaxed);
    last_wait = NULL;
}

void muster__trace_forget(uint32_t member)
{
    struct muster__ring *ring = ring_of(member);
    for (int i = 0; i < MUSTER__RING; i++)
        if (ring->traced[i].member == member)
            atomic_store(&ring->traced[i].when_ns, 0);
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

static void describe(const struct muster__traced *traced, int64_t when_ns, char *text, size_t size)
{
    char object[80];
    int64_t until = atomic_load(&traced->until_ns);
    muster__handle_text(traced->object, object, sizeof object);
    switch (traced->kind) {
    case MUSTER__EVENT_WAITED:
        if (until > when_ns)
            snprintf(text, size, "%s%s, for %.6f s", waited_for(traced->operation), object,
                     (double)(until - when_ns) * 1e-9);
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

static const struct muster__traced *next_after(uint32_t member, int64_t *after_ns)
{
    const struct muster__ring *ring = ring_of(member);
    const struct muster__traced *first = NULL;
    int64_t first_ns = INT64_MAX;
    for (int i = 0; i < MUSTER__RING; i++) {
        int64_t when = atomic_load_explicit(&ring->traced[i].when_ns, memory_order_acquire);
        if (when <= *after_ns || when >= first_ns || ring->traced[i].member != member)
            continue;
        first = &ring->traced[i];
        first_ns = when;
    }
    *after_ns = first_ns;
    return first;
}

bool muster__trace_tell(uint32_t member, enum muster__level level, const char *who)
{
    const struct muster__traced *traced;
    int64_t now = muster__now_ns(), when = 0;
    bool any = false;
    while ((traced = next_after(member, &when))) {
        char what[192];
        describe(traced, when, what, sizeof what);
        if (!any)
            muster__log(level, "the last events of %s:", who);
        any = true;
        muster__log(level, "  %.6f s ago, thread %d: %s%s%s", (double)(now - when) * 1e-9, traced->thread, what,
                    *traced->site ? ", in " : "", traced->site);
    }
    return any;
}
