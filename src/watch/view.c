/* SPDX-License-Identifier: BSD-3-Clause */
#include "watch/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reads the segment and the kernel's tables alone: also of a host to which this process does not belong. */

enum { OBJECTS_MAX = 1000, HOLDERS = 32 };

/* ---- arrays that grow ---- */

static bool add(void **array, uint32_t *count, size_t size, const void *entry)
{
    if ((*count & (*count - 1)) == 0) { /* as many as a power of two: it is full */
        void *wider = realloc(*array, (*count ? 2 * (size_t)*count : 1) * size);
        if (!wider)
            return false;
        *array = wider;
    }
    memcpy((char *)*array + *count * size, entry, size);
    ++*count;
    return true;
}

static bool same(muster_handle a, muster_handle b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

/* ---- what stands for other hosts' objects is named as those ---- */

struct stand_in {
    uint32_t slot, generation;
    muster_handle origin;
};

/* a view while it is made */
struct making {
    struct view *view;
    struct stand_in *stand_ins; /* by slot */
    uint32_t stand_in_count;
};

static int by_slot(const void *left, const void *right)
{
    const struct stand_in *a = left, *b = right;
    return a->slot < b->slot ? -1 : a->slot > b->slot;
}

static bool list_stand_ins(struct making *making)
{
    struct muster__proxy proxy;
    struct stand_in entry;
    for (uint32_t at = 0; muster__proxy_next(&at, &entry.origin, &proxy);) {
        entry.slot = muster__object_slot_of(proxy.object);
        entry.generation = proxy.generation;
        if (!add((void **)&making->stand_ins, &making->stand_in_count, sizeof entry, &entry))
            return false;
    }
    if (making->stand_in_count)
        qsort(making->stand_ins, making->stand_in_count, sizeof entry, by_slot);
    return true;
}

static muster_handle at_home(const struct making *making, muster_handle handle)
{
    struct stand_in wanted = {.slot = handle.slot}, *found = NULL;
    if (making->stand_in_count && muster__handle_home(handle) == (int)muster__segment->host)
        found = bsearch(&wanted, making->stand_ins, making->stand_in_count, sizeof wanted, by_slot);
    return found && found->generation == handle.generation ? found->origin : handle;
}

/* ---- callers ---- */

static void name_caller(struct view_line *line, const char *member)
{
    size_t size = sizeof line->who;
    int used = line->member < (uint32_t)muster__host_ranks()
                   ? snprintf(line->who, size, "rank %d", line->rank)
                   : snprintf(line->who, size, "%s of rank %d", member, line->rank);
    if (line->thread != line->pid && used < (int)size)
        snprintf(line->who + used, size - (size_t)used, ", thread %d", line->thread);
}

/* The call that it told, else the operation's own name. */
static void name_call(struct view_line *line, const char *site)
{
    const struct muster__class *class = muster__class_of((enum muster__kind)(line->object.kind_home >> 24));
    bool is_operation = class && class->ops && line->operation < class->op_count;
    if (line->state == WATCH_ELSEWHERE)
        return;
    if (*site)
        snprintf(line->call, sizeof line->call, "%.*s", MUSTER__LINE - 1, site);
    else if (is_operation)
        snprintf(line->call, sizeof line->call, "%s", class->ops[line->operation].name);
}

static void fill_line(const struct making *making, struct view_line *line, uint32_t number,
                      const struct watch_caller *caller, int64_t now)
{
    struct muster__member_info info;
    const struct muster__waiter *own = muster__waiter(number);
    muster__child_info(caller->member, &info);
    *line = (struct view_line){.host = (int32_t)muster__segment->host,
                               .rank = info.rank,
                               .caller = number,
                               .incarnation = caller->incarnation,
                               .member = caller->member,
                               .pid = (int32_t)info.pid,
                               .thread = caller->thread,
                               .state = caller->state,
                               .stopped = watch_process(info.pid).state == 'T'};
    line->is_rank = caller->member < (uint32_t)muster__host_ranks() && line->thread == line->pid;
    name_caller(line, info.name);
    if (caller->state == WATCH_ELSEWHERE)
        return;
    line->object = at_home(making, own->object);
    line->operation = own->operation;
    line->since_ns = caller->since_ns;
    line->waited_ns = now > caller->since_ns ? now - caller->since_ns : 0;
    line->told = atomic_load(&muster__caller(number)->told_ns) == caller->since_ns;
    name_call(line, muster__caller(number)->site);
}

static bool add_callers(struct making *making)
{
    struct view *view = making->view;
    int64_t now = muster__now_ns();
    for (uint32_t number = 1; number < muster__callers_end(); number++) {
        struct watch_caller caller = watch_caller(number);
        struct view_line line;
        if (caller.state == WATCH_GONE || caller.state == WATCH_SERVES)
            continue;
        fill_line(making, &line, number, &caller, now);
        if (!add((void **)&view->line, &view->head.lines, sizeof line, &line))
            return false;
    }
    return true;
}

/* ---- objects ---- */

static bool is_listed(const struct view *view, muster_handle handle)
{
    for (uint32_t i = 0; i < view->head.objects; i++)
        if (same(view->object[i].object, handle))
            return true;
    return false;
}

/* Of this host; what is no object, or another host's, is left to that. */
static bool add_object(struct view *view, muster_handle handle)
{
    enum muster__kind kind = (enum muster__kind)(handle.kind_home >> 24);
    const struct muster__object *object = muster__object_find(handle, kind);
    const struct muster__class *class = muster__class_of(kind);
    struct view_object entry = {.object = handle};
    if (!object || !class)
        return true;
    if (view->head.objects == OBJECTS_MAX) {
        view->head.objects_left_out++;
        return true;
    }
    muster__object_describe(object, entry.name, sizeof entry.name);
    if (class->describe)
        class->describe(object, entry.facts, sizeof entry.facts);
    return add((void **)&view->object, &view->head.objects, sizeof entry, &entry);
}

/* Those that somebody waits for, here or from another host. */
static bool add_once(struct view *view, muster_handle handle)
{
    return is_listed(view, handle) || add_object(view, handle);
}

static bool add_awaited(struct view *view)
{
    bool fine = true;
    for (uint32_t i = 0; fine && i < view->head.lines; i++)
        fine = add_once(view, view->line[i].object);
    for (uint32_t number = MUSTER__CALLERS_MAX; fine && number < muster__waiters_end(); number++) {
        const struct muster__waiter *waiter = muster__waiter(number);
        if (atomic_load(&waiter->owner) && atomic_load_explicit(&waiter->since_ns, memory_order_acquire))
            fine = add_once(view, waiter->object);
    }
    return fine;
}

static bool add_objects(struct making *making, bool all)
{
    muster_handle handle;
    if (!all)
        return add_awaited(making->view);
    for (uint32_t at = 0; muster__object_next(0, &at, &handle);)
        if (same(at_home(making, handle), handle) && !add_object(making->view, handle))
            return false;
    return true;
}

/* ---- who holds what ---- */

static bool waits_here(const struct view *view, uint32_t caller)
{
    for (uint32_t i = 0; i < view->head.lines; i++)
        if (view->line[i].caller == caller)
            return view->line[i].state == WATCH_WAITS;
    return false;
}

static struct view_hold hold_of(muster_handle object, uint32_t owner)
{
    struct view_hold hold = {object, (int32_t)muster__segment->host, owner};
    if (muster__owner_is_host(owner)) {
        hold.host = muster__holder_host(owner);
        hold.caller = 0;
    } else if (muster__owner_is_remote(owner)) {
        const struct muster__remote_holder *holder = muster__remote_holder(owner);
        hold.host = atomic_load(&holder->host) - 1;
        hold.caller = holder->caller;
    }
    return hold;
}

/* What nobody waits for is told only of those who wait themselves. */
static bool add_holds_of(struct making *making, const struct muster__object *object, muster_handle handle)
{
    uint32_t owners[HOLDERS];
    struct view *view = making->view;
    muster_handle home = at_home(making, handle);
    const struct muster__class *class = muster__class_of((enum muster__kind)(handle.kind_home >> 24));
    int count = class && class->holders ? class->holders(object, 0, owners, HOLDERS) : 0;
    for (int i = 0; i < count; i++) {
        struct view_hold hold = hold_of(home, owners[i]);
        bool wanted = hold.host != view->head.host || muster__handle_home(home) != view->head.host ||
                      is_listed(view, home) || waits_here(view, owners[i]);
        if (wanted && !add((void **)&view->hold, &view->head.holds, sizeof hold, &hold))
            return false;
    }
    return true;
}

static bool add_holds(struct making *making)
{
    muster_handle handle;
    const struct muster__object *object;
    for (uint32_t at = 0; (object = muster__object_next(0, &at, &handle));)
        if (!add_holds_of(making, object, handle))
            return false;
    return true;
}

/* ---- all ---- */

bool view_make(struct view *view, bool all)
{
    *view = (struct view){.head = {.host = (int32_t)muster__segment->host, .ranks = muster__host_ranks()}};
    snprintf(view->head.host_name, sizeof view->head.host_name, "%.63s", muster__host_name());
    struct making making = {.view = view};
    bool fine = list_stand_ins(&making) && add_callers(&making) && add_objects(&making, all) && add_holds(&making);
    free(making.stand_ins);
    if (!fine)
        view_free(view);
    return fine;
}
