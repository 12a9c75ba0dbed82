/* SPDX-License-Identifier: BSD-3-Clause */
#include "watch/watch.h"

#include <stdlib.h>
#include <string.h>

/*
 * Several hosts: all of this is the agents', each for its host; rank 0's host decides. While all say in their beats
 * that they stand still, it asks them in rounds: what a host tells in round r it has seen after all had answered in
 * round r - 1.
 *
 *   rank 0's host                           another one
 *                                 <-        beat: STILL
 *   ROUND r                       ->
 *                                 <-        TELLS: its standstill, messages sent and got; SURE, after a closer look at
 *                                           its processes, once that has lasted
 *   all stand still as in round r - 1, the messages add up, all are sure
 *   ASK                           ->
 *                                 <-        VIEW: who waits for what
 *   says all of it; DOOM          ->        these waits end
 *
 * The same views, twice, show circles over several hosts, when some host has seen long waits that lead to another one
 * (beat: FAR): see circle.c for why twice.
 */

enum { HUB = 0 };
enum { ROUND = 1, TELLS, ASK, VIEW, DOOM, ORDER };
enum { STILL = 1, FAR = 2 };

#define ANSWER_NS  INT64_C(3000000000) /* what has not come by then is done without, or asked again */
#define FAR_NS     INT64_C(2000000000) /* a long wait that leads elsewhere is one for so long after it was seen */
#define FAR_GAP_NS INT64_C(1000000000) /* between two looks at all views, at first */
#define FAR_GAPS   8

/* ---- each host ---- */

/* what a host tells of itself in a round */
struct standing {
    uint64_t round;
    uint64_t identity; /* 0: it does not stand still */
    uint64_t sent, got;
    int64_t lasted_ns;
    uint64_t sure;
};

static struct standing stand_now(uint64_t round)
{
    const struct watch_table *table = watch_table();
    struct standing now = {.round = round};
    bool rests = muster__agent_rests(&now.sent, &now.got);
    if (!table || atomic_load(&muster__segment->signal))
        return now;
    struct watch_still still = still_look();
    if (!rests || !still.confirmed)
        return now;
    now.identity = still.identity;
    now.lasted_ns = muster__now_ns() - still.since_ns;
    now.sure = round && now.lasted_ns >= table->limit_ns && still_sure();
    return now;
}

static uint64_t tells(void)
{
    const struct watch_table *table = watch_table();
    bool far = table && muster__now_ns() - atomic_load(&table->far_ns) < FAR_NS;
    return (stand_now(0).identity ? STILL : 0) | (far ? FAR : 0);
}

/* ---- rank 0's host: rounds ---- */

static struct {
    int hosts;
    uint64_t *flags; /* of each host's last beat; NULL: this is another host, or has not begun */
    uint64_t round;  /* that was asked last */
    int64_t asked_ns;
    struct standing *now, *before;
    uint64_t concluded; /* the identities of what was concluded last */
} hub;

static bool all_say(uint64_t flag)
{
    for (int host = 0; host < hub.hosts; host++)
        if (!muster__host_lost(host) && !(hub.flags[host] & flag))
            return false;
    return true;
}

static bool one_says(uint64_t flag)
{
    for (int host = 0; host < hub.hosts; host++)
        if (!muster__host_lost(host) && hub.flags[host] & flag)
            return true;
    return false;
}

static bool all_answered(void)
{
    for (int host = 0; host < hub.hosts; host++)
        if (!muster__host_lost(host) && hub.now[host].round != hub.round)
            return false;
    return true;
}

static bool as_before(const struct standing *now, const struct standing *before)
{
    return now->identity && now->identity == before->identity && now->sent == before->sent && now->got == before->got;
}

/* Whether the job stands still, for certain; *lasted: since the last host does. */
static bool stands_still(int64_t *lasted)
{
    uint64_t sent = 0, got = 0;
    *lasted = INT64_MAX;
    for (int host = 0; host < hub.hosts; host++) {
        const struct standing *now = &hub.now[host];
        if (muster__host_lost(host))
            continue;
        if (!as_before(now, &hub.before[host]) || !now->sure)
            return false;
        sent += now->sent;
        got += now->got;
        *lasted = now->lasted_ns < *lasted ? now->lasted_ns : *lasted;
    }
    return sent == got;
}

static uint64_t identity_of_all(void)
{
    uint64_t all = 1;
    for (int host = 0; host < hub.hosts; host++)
        all = muster__hash((uint64_t[]){all, muster__host_lost(host) ? 0 : hub.now[host].identity}, 2 * sizeof all);
    return all;
}

/* Its own standing is seen between the end of the round before and the question. */
static void ask_round(void)
{
    memcpy(hub.before, hub.now, (size_t)hub.hosts * sizeof *hub.now);
    hub.asked_ns = muster__now_ns();
    hub.now[HUB] = stand_now(++hub.round);
    for (int host = 0; host < hub.hosts; host++)
        if (host != HUB && !muster__host_lost(host))
            muster__watch_send(host, ROUND, hub.round, NULL, 0);
}

/* ---- rank 0's host: views ---- */

struct circle {
    struct watch_wait *wait;
    int length;
};

static struct {
    bool asked, whole; /* whole: since the job stands still */
    bool outside;      /* somebody outside asked */
    uint64_t number;
    int64_t until_ns, lasted_ns;
    struct view *view;
    int count;
    struct circle suspect; /* seen once */
    int64_t next_ns;       /* when circles are looked for again, and how many gaps after that */
    int gaps;
} views;

static void ask_for_views(bool whole, int64_t lasted)
{
    views.asked = true;
    views.whole = whole;
    views.lasted_ns = lasted;
    views.number++;
    views.until_ns = muster__now_ns() + ANSWER_NS;
    for (int host = 0; host < hub.hosts; host++)
        if (host != HUB && !muster__host_lost(host))
            muster__watch_send(host, ASK, views.number, NULL, 0);
    if (view_make(&views.view[views.count], false))
        views.count++;
}

static void drop_views(void)
{
    for (int i = 0; i < views.count; i++)
        view_free(&views.view[i]);
    views.count = 0;
    views.asked = false;
}

static bool views_are_here(void)
{
    int missing = 0;
    for (int host = 0; host < hub.hosts; host++)
        missing += !muster__host_lost(host);
    return views.count >= missing || muster__now_ns() > views.until_ns;
}

/* Those of all views that wait, and have done so for long; told: also those of which that was said. */
static struct watch_wait *all_waits(int64_t least_ns, bool told, uint32_t *count)
{
    size_t room = 1;
    *count = 0;
    for (int i = 0; i < views.count; i++)
        room += views.view[i].head.lines;
    struct watch_wait *waits = malloc(room * sizeof *waits);
    for (int i = 0; waits && i < views.count; i++)
        for (uint32_t k = 0; k < views.view[i].head.lines; k++) {
            const struct view_line *line = &views.view[i].line[k];
            if (line->state == WATCH_WAITS && line->waited_ns >= least_ns && (told || !line->told))
                waits[(*count)++] = (struct watch_wait){line->host, line->caller, line->incarnation, line->since_ns};
        }
    return waits;
}

static const struct view_line *line_of(const struct watch_wait *wait)
{
    for (int i = 0; i < views.count; i++)
        for (uint32_t k = 0; views.view[i].head.host == wait->host && k < views.view[i].head.lines; k++)
            if (views.view[i].line[k].caller == wait->caller)
                return &views.view[i].line[k];
    return NULL;
}

static int32_t find_wait(const struct watch_wait *waits, uint32_t count, const struct view_hold *hold)
{
    for (uint32_t i = 0; hold->caller && i < count; i++)
        if (waits[i].host == hold->host && waits[i].caller == hold->caller)
            return (int32_t)i;
    return -1;
}

static void add_edges(struct graph_edge **edges, size_t *count, const struct watch_wait *waits, uint32_t wait_count,
                      uint32_t from)
{
    const struct view_line *line = line_of(&waits[from]);
    if (line && line->object.kind_home >> 24 == MUSTER__RWLOCK)
        return; /* for whom of its holders this one waits, only home knows */
    for (int i = 0; line && i < views.count; i++)
        for (uint32_t k = 0; k < views.view[i].head.holds; k++) {
            const struct view_hold *hold = &views.view[i].hold[k];
            int32_t to = memcmp(&hold->object, &line->object, sizeof line->object) == 0
                             ? find_wait(waits, wait_count, hold)
                             : -1;
            struct graph_edge *wider = to >= 0 ? realloc(*edges, (*count + 1) * sizeof *wider) : NULL;
            if (!wider)
                continue;
            *edges = wider;
            wider[(*count)++] = (struct graph_edge){from, (uint32_t)to};
        }
}

static struct circle find_circle(int64_t least_ns, bool told)
{
    uint32_t count;
    struct circle circle = {0};
    struct watch_wait *waits = all_waits(least_ns, told, &count);
    struct graph_edge *edges = NULL;
    size_t edge_count = 0;
    uint32_t *path = malloc((count + 1) * sizeof *path);
    for (uint32_t i = 0; waits && i < count; i++)
        add_edges(&edges, &edge_count, waits, count, i);
    int length = waits && path && edges ? graph_circle(count, edges, edge_count, path) : 0;
    circle.wait = length > 0 ? malloc((size_t)length * sizeof *circle.wait) : NULL;
    circle.length = circle.wait ? length : 0;
    for (int i = 0; i < circle.length; i++)
        circle.wait[i] = waits[path[i]];
    free(waits);
    free(edges);
    free(path);
    return circle;
}

/* The same whichever of them comes first. */
static uint64_t identity_of(const struct circle *circle)
{
    uint64_t all = 0;
    for (int i = 0; i < circle->length; i++) {
        const struct watch_wait *wait = &circle->wait[i];
        uint64_t words[] = {(uint64_t)wait->host << 32 | wait->caller, wait->incarnation, (uint64_t)wait->since_ns};
        all += muster__hash(words, sizeof words);
    }
    return all;
}

/* ---- rank 0's host: what is concluded ---- */

static void doom(const struct watch_wait *waits, uint32_t count)
{
    for (int host = 0; host < hub.hosts; host++) {
        struct watch_wait *its = host == HUB || muster__host_lost(host) ? NULL : malloc(count * sizeof *its);
        uint32_t n = 0;
        for (uint32_t i = 0; its && i < count; i++)
            if (waits[i].host == host)
                its[n++] = waits[i];
        if (its)
            muster__watch_send(host, DOOM, n, its, n * sizeof *its);
    }
    verdict_carry_out(waits, (int)count);
}

static void conclude_circle(const struct circle *circle)
{
    int64_t lasted = INT64_MAX;
    for (int i = 0; i < circle->length; i++) {
        const struct view_line *line = line_of(&circle->wait[i]);
        if (line && line->waited_ns < lasted)
            lasted = line->waited_ns;
    }
    verdict_say(&(struct verdict){circle->wait, circle->length, lasted}, views.view, views.count);
    doom(circle->wait, (uint32_t)circle->length);
}

/* A circle among those who wait is why; the others may go on without it. */
static void conclude_whole(void)
{
    uint32_t count;
    struct circle circle = find_circle(0, true);
    const struct view_line *first = circle.length ? line_of(&circle.wait[0]) : NULL;
    struct watch_wait *waits = all_waits(0, true, &count);
    if (first && !first->told) {
        conclude_circle(&circle);
    } else if (!first && waits) {
        verdict_say(&(struct verdict){.lasted_ns = views.lasted_ns}, views.view, views.count);
        doom(waits, count);
    }
    free(circle.wait);
    free(waits);
}

static void look_for_circle(const struct watch_table *table)
{
    struct circle circle = find_circle(table->limit_ns, false);
    if (circle.length && identity_of(&circle) == identity_of(&views.suspect))
        conclude_circle(&circle);
    free(views.suspect.wait);
    views.suspect = circle;
    views.gaps = circle.length ? 1 : views.gaps < FAR_GAPS ? 2 * views.gaps : FAR_GAPS;
}

static void take_views(const struct watch_table *table)
{
    if (!views.asked || !views_are_here())
        return;
    if (views.outside) {
        if (status_take(views.view, views.count))
            views.count = 0;
        views.outside = false;
    } else if (views.whole)
        conclude_whole();
    else if (table)
        look_for_circle(table);
    drop_views();
    views.next_ns = muster__now_ns() + views.gaps * FAR_GAP_NS;
}

static bool asks_too_long(void)
{
    return muster__now_ns() - hub.asked_ns > ANSWER_NS;
}

static void look_at_rounds(void)
{
    int64_t lasted;
    if (!all_answered() && !asks_too_long())
        return;
    bool news = all_answered() && stands_still(&lasted) && identity_of_all() != hub.concluded;
    if (news && !views.asked) {
        hub.concluded = identity_of_all();
        ask_for_views(true, lasted);
    }
    if (all_say(STILL))
        ask_round();
}

static void look_for_far(void)
{
    if (!one_says(FAR))
        views.gaps = 1;
    else if (!views.asked && muster__now_ns() >= views.next_ns)
        ask_for_views(false, 0);
}

static void look_for_outside(void)
{
    if (views.asked || !status_asked())
        return;
    views.outside = true;
    ask_for_views(false, 0);
}

/* ---- orders of locks ---- */

/* All come together at rank 0's host. */
static void tell_orders(void)
{
    static uint32_t at;
    const struct muster__order *order;
    while (muster__segment->host != HUB && muster__orders() && (order = muster__order_next(&at))) {
        struct muster__order *copy = malloc(sizeof *copy);
        if (!copy)
            return;
        *copy = *order;
        muster__watch_send(HUB, ORDER, 0, copy, sizeof *copy);
    }
}

static void take_order(const struct muster__order *order)
{
    struct muster__order whole = *order;
    whole.held_name[sizeof whole.held_name - 1] = whole.wanted_name[sizeof whole.wanted_name - 1] = '\0';
    whole.held_site[sizeof whole.held_site - 1] = whole.wanted_site[sizeof whole.wanted_site - 1] = '\0';
    muster__order_add(&whole);
}

/* ---- hooks ---- */

static bool prepare(void)
{
    if (hub.flags)
        return true;
    hub.hosts = muster_hosts();
    hub.now = calloc((size_t)hub.hosts, sizeof *hub.now);
    hub.before = calloc((size_t)hub.hosts, sizeof *hub.before);
    views.view = calloc((size_t)hub.hosts, sizeof *views.view);
    views.gaps = 1;
    if (hub.now && hub.before && views.view)
        hub.flags = calloc((size_t)hub.hosts, sizeof *hub.flags);
    return hub.flags;
}

static void look(void)
{
    static int64_t looked_ns;
    tell_orders();
    bool decides = muster__segment->host == HUB;
    int64_t now = decides ? muster__now_ns() : 0;
    if (!decides || now - looked_ns < WATCH_PERIOD_NS || !prepare())
        return;
    const struct watch_table *table = watch_table();
    looked_ns = now;
    take_views(table);
    look_for_outside();
    if (!table)
        return;
    hub.flags[HUB] = tells();
    look_at_rounds();
    look_for_far();
}

static void told(int host, uint64_t word)
{
    if (hub.flags)
        hub.flags[host] = word;
}

static void answer_round(int host, uint64_t round)
{
    struct standing *now = malloc(sizeof *now);
    if (!now)
        return;
    *now = stand_now(round);
    muster__watch_send(host, TELLS, round, now, sizeof *now);
}

static void take_round(int host, uint64_t round, const struct standing *standing)
{
    if (hub.flags && round == hub.round)
        hub.now[host] = *standing;
}

static void answer_view(int host, uint64_t number)
{
    struct view view;
    size_t size = 0;
    if (!view_make(&view, false))
        return;
    void *bytes = view_pack(&view, &size);
    view_free(&view);
    if (bytes)
        muster__watch_send(host, VIEW, number, bytes, size);
}

static void heard(int host, uint32_t what, uint64_t number, const void *bytes, size_t size)
{
    if (what == ROUND)
        answer_round(host, number);
    else if (what == TELLS && size == sizeof(struct standing))
        take_round(host, number, bytes);
    else if (what == ASK)
        answer_view(host, number);
    else if (what == VIEW && views.asked && number == views.number && views.count < hub.hosts)
        views.count += view_unpack(&views.view[views.count], bytes, size);
    else if (what == ORDER && size == sizeof(struct muster__order))
        take_order(bytes);
    else if (what == DOOM && number <= size / sizeof(struct watch_wait))
        verdict_carry_out(bytes, (int)number);
}

__attribute__((constructor)) static void set_hooks(void)
{
    static const struct muster__agents_watch watch = {tells, told, heard};
    muster__agents_watch(&watch);
    muster__remote_on_look(look);
}
