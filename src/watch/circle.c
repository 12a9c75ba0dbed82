/* SPDX-License-Identifier: BSD-3-Clause */
#include "watch/watch.h"

#include <stdlib.h>
#include <string.h>

/*
 * Who waits on this host, and whom they wait for, where that is certain: the holders of what they wait for.
 *
 * Each fact is read twice. A wait that is the same both times has gone on between; who waited meanwhile has let nothing
 * go; so who held something both times has held it between. So at one moment all of it was true, and then it stays
 * true.
 */

enum { HOLDERS = 32 };

struct waits {
    struct watch_wait *list;
    uint32_t count;
    int32_t *of; /* by caller: its place in the list, -1: it is not there */
};

static bool is_told(const struct watch_wait *wait)
{
    return atomic_load(&muster__caller(wait->caller)->told_ns) == wait->since_ns;
}

/* Those that have lasted. */
static bool gather(struct waits *waits, int64_t before_ns, bool told)
{
    uint32_t end = muster__callers_end();
    waits->list = malloc((end + 1) * sizeof *waits->list);
    waits->of = malloc((end + 1) * sizeof *waits->of);
    if (!waits->list || !waits->of)
        return false;
    for (uint32_t number = 0; number < end; number++) {
        struct watch_caller caller = watch_caller(number);
        struct watch_wait wait = {(int32_t)muster__segment->host, number, caller.incarnation, caller.since_ns};
        waits->of[number] = -1;
        if (!number || caller.state != WATCH_WAITS || caller.since_ns > before_ns || (!told && is_told(&wait)))
            continue;
        waits->of[number] = (int32_t)waits->count;
        waits->list[waits->count++] = wait;
    }
    return true;
}

/* Of what a caller waits for: holders that are certain. *far: another host knows more. */
static int holders_of(uint32_t caller, uint32_t *owners, bool *far)
{
    muster_handle handle = muster__waiter(caller)->object;
    enum muster__kind kind = (enum muster__kind)(handle.kind_home >> 24);
    const struct muster__class *class = muster__class_of(kind);
    if (!class || !class->holders)
        return 0;
    if (muster__is_remote(handle, kind)) {
        *far = true;
        return 0;
    }
    const struct muster__object *object = muster__object_find(handle, kind);
    int count = object ? class->holders(object, caller, owners, HOLDERS) : 0;
    *far |= object && !count; /* it is away, or on its way */
    return count;
}

static bool is_here(const struct waits *waits, uint32_t owner, bool *far)
{
    *far |= muster__owner_is_host(owner) || muster__owner_is_remote(owner);
    return owner < muster__callers_end() && waits->of[owner] >= 0;
}

/* The edges between those who wait; *far: some wait leads to another host. */
static size_t connect(const struct waits *waits, struct graph_edge *edges, bool *far)
{
    uint32_t owners[HOLDERS];
    size_t count = 0;
    for (uint32_t i = 0; i < waits->count; i++) {
        int holders = holders_of(waits->list[i].caller, owners, far);
        for (int k = 0; k < holders; k++)
            if (is_here(waits, owners[k], far))
                edges[count++] = (struct graph_edge){i, (uint32_t)waits->of[owners[k]]};
    }
    return count;
}

static bool holds(uint32_t owner, uint32_t waiter)
{
    uint32_t owners[HOLDERS];
    bool far = false;
    int holders = holders_of(waiter, owners, &far);
    for (int i = 0; i < holders; i++)
        if (owners[i] == owner)
            return true;
    return false;
}

static bool still_true(const struct watch_wait *circle, int length)
{
    for (int i = 0; i < length; i++)
        if (!holds(circle[(i + 1) % length].caller, circle[i].caller))
            return false;
    for (int i = 0; i < length; i++)
        if (!watch_goes_on(&circle[i]))
            return false;
    return true;
}

/* Whoever comes to mark the first one concludes: another process may have found the same circle. */
static bool claim(const struct watch_wait *circle, int length)
{
    int first = 0;
    for (int i = 1; i < length; i++)
        first = circle[i].caller < circle[first].caller ? i : first;
    if (atomic_exchange(&muster__caller(circle[first].caller)->told_ns, circle[first].since_ns) ==
        circle[first].since_ns)
        return false;
    for (int i = 0; i < length; i++)
        atomic_store(&muster__caller(circle[i].caller)->told_ns, circle[i].since_ns);
    return true;
}

static void conclude(const struct watch_wait *circle, int length)
{
    struct view view;
    int64_t last = 0;
    for (int i = 0; i < length; i++)
        last = circle[i].since_ns > last ? circle[i].since_ns : last;
    if (!view_make(&view, false))
        return;
    verdict_say(&(struct verdict){circle, length, muster__now_ns() - last}, &view, 1);
    view_free(&view);
    verdict_carry_out(circle, length);
}

static bool find(const struct waits *waits, struct graph_edge *edges, uint32_t *path, struct watch_table *table)
{
    bool far = false;
    size_t count = connect(waits, edges, &far);
    int length = graph_circle(waits->count, edges, count, path);
    if (far)
        atomic_store(&table->far_ns, muster__now_ns());
    struct watch_wait *circle = length > 0 ? malloc((size_t)length * sizeof *circle) : NULL;
    for (int i = 0; circle && i < length; i++)
        circle[i] = waits->list[path[i]];
    bool found = circle && still_true(circle, length);
    if (found && claim(circle, length))
        conclude(circle, length);
    free(circle);
    return found;
}

bool circle_look(struct watch_table *table, int64_t before_ns, bool whole)
{
    struct waits waits = {0};
    bool found = false;
    if (gather(&waits, before_ns, whole)) {
        struct graph_edge *edges = malloc((waits.count + 1) * HOLDERS * sizeof *edges);
        uint32_t *path = malloc((waits.count + 1) * sizeof *path);
        found = edges && path && find(&waits, edges, path, table);
        free(edges);
        free(path);
    }
    free(waits.list);
    free(waits.of);
    return found;
}
