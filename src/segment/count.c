/* SPDX-License-Identifier: BSD-3-Clause */
#include "segment/segment.h"

#include <stdio.h>
#include <string.h>

enum { LINES = 4096, KINDS = MUSTER__COUNT_MAIL + 1 };

struct table {
    struct muster__counter others[KINDS]; /* of objects that found no line */
    struct muster__counter line[LINES];
};

uint32_t muster__count_rank;

static struct table *table(void)
{
    return muster__at(muster__segment->roots[MUSTER__ROOT_COUNTERS]);
}

muster_err muster__count_start(uint32_t self)
{
    muster__ref ref = muster__heap_alloc(sizeof(struct table), self);
    if (!ref)
        return muster__fail_logged(MUSTER_ERR_NOMEM, "no room for counters; raise MUSTER_SEGMENT_MIB");
    void *memory = muster__heap_at(ref);
    memset(memory, 0, sizeof(struct table));
    muster__heap_hand_over(ref, self, 0);
    muster__segment->roots[MUSTER__ROOT_COUNTERS] = muster__offset(memory);
    muster__segment->observed |= MUSTER__OBSERVES_COUNTS;
    return MUSTER_OK;
}

const struct muster__counter *muster__count_next(uint32_t *at)
{
    for (; *at < KINDS + LINES; ++*at) {
        const struct muster__counter *line = *at < KINDS ? &table()->others[*at] : &table()->line[*at - KINDS];
        if (atomic_load(&line->whose)) {
            ++*at;
            return line;
        }
    }
    return NULL;
}

static void name_line(struct muster__counter *line, muster_handle handle)
{
    const struct muster__object *object = muster__object_find(handle, (enum muster__kind)(handle.kind_home >> 24));
    if (object)
        snprintf(line->name, sizeof line->name, "%s", object->name);
}

/* Two who make the same line at the same time may make two; whoever reads adds them up. */
static struct muster__counter *line_of(muster_handle handle)
{
    uint64_t object = (uint64_t)handle.kind_home << 32 | handle.slot;
    uint64_t whose = (uint64_t)handle.generation << 32 | (muster__count_rank + 1);
    uint32_t at = (uint32_t)((object ^ whose * 31) * UINT64_C(0x9e3779b97f4a7c15) >> 40);
    for (uint32_t i = 0; i < LINES; i++) {
        struct muster__counter *line = &table()->line[(at + i) % LINES];
        uint64_t found = atomic_load(&line->object);
        if (found == object && atomic_load(&line->whose) == whose)
            return line;
        if (found || !atomic_compare_exchange_strong(&line->object, &found, object))
            continue;
        name_line(line, handle);
        atomic_store(&line->whose, whose);
        return line;
    }
    uint32_t kind = handle.kind_home >> 24;
    struct muster__counter *others = &table()->others[kind < KINDS ? kind : 0];
    atomic_store(&others->object, (uint64_t)kind << 56 | UINT32_MAX);
    atomic_store(&others->whose, 1);
    return others;
}

/* What this thread is in. */
static MUSTER__THREAD_LOCAL struct {
    muster_handle object;
    struct muster__counter *line;
} present;

static void add(_Atomic uint64_t *count, uint64_t n)
{
    if (n)
        atomic_fetch_add_explicit(count, n, memory_order_relaxed);
}

void muster__count_in(muster_handle object, uint64_t operations, uint64_t tasks, uint64_t steals)
{
    if (!present.line || memcmp(&object, &present.object, sizeof object) != 0) {
        present.object = object;
        present.line = line_of(object);
        muster__waited_ns = &present.line->waited_ns;
    }
    add(&present.line->operations, operations);
    add(&present.line->tasks, tasks);
    add(&present.line->steals, steals);
}

void muster__count_sent(muster_handle object, uint64_t messages, uint64_t bytes)
{
    struct muster__counter *line = line_of(object);
    add(&line->messages, messages);
    add(&line->bytes, bytes);
}
