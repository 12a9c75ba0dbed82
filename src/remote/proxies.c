/* SPDX-License-Identifier: BSD-3-Clause */
#include "remote/internal.h"

#include <string.h>

/*
 * The table is written by the agent alone. An entry is there when its origin is: that is stored last and removed first,
 * and who reads looks at it again after the rest.
 */

enum { ENTRIES = 8192 };
#define EMPTY   UINT64_C(0)
#define REMOVED UINT64_MAX

struct entry {
    _Atomic uint64_t origin[2];
    _Atomic uint64_t proxy; /* generation, slot */
};

static struct entry *table(void)
{
    uint64_t offset = *(volatile uint64_t *)&muster__segment->roots[MUSTER__ROOT_PROXIES];
    return offset ? muster__at(offset) : NULL;
}

static void origin_of(muster_handle handle, uint64_t origin[2])
{
    origin[0] = (uint64_t)handle.kind_home << 32 | handle.slot;
    origin[1] = (uint64_t)handle.generation << 32 | handle.job;
}

static muster_handle handle_of(const struct entry *entry)
{
    uint64_t a = atomic_load(&entry->origin[0]), b = atomic_load(&entry->origin[1]);
    return (muster_handle){
        .kind_home = (uint32_t)(a >> 32), .slot = (uint32_t)a, .generation = (uint32_t)(b >> 32), .job = (uint32_t)b};
}

static uint32_t first_place(const uint64_t origin[2])
{
    return (uint32_t)(origin[0] + (origin[0] >> 32) * 40503) % ENTRIES; /* neighbours of one home: neighbours here */
}

static struct entry *find(muster_handle handle, struct muster__proxy *proxy)
{
    uint64_t origin[2];
    origin_of(handle, origin);
    struct entry *t = table();
    uint32_t at = first_place(origin);
    for (uint32_t i = 0; t && i < ENTRIES; i++) {
        struct entry *entry = &t[(at + i) % ENTRIES];
        uint64_t first = atomic_load_explicit(&entry->origin[0], memory_order_acquire);
        if (first == EMPTY)
            break;
        if (first != origin[0] || atomic_load(&entry->origin[1]) != origin[1])
            continue;
        uint64_t found = atomic_load(&entry->proxy);
        if (atomic_load(&entry->origin[0]) != origin[0] || atomic_load(&entry->origin[1]) != origin[1])
            continue;
        *proxy = (struct muster__proxy){muster__object_slot((uint32_t)found), (uint32_t)(found >> 32)};
        return entry;
    }
    *proxy = (struct muster__proxy){0};
    return NULL;
}

bool muster__proxy_find(muster_handle handle, struct muster__proxy *proxy)
{
    return find(handle, proxy) != NULL;
}

bool muster__proxy_next(uint32_t *at, muster_handle *origin, struct muster__proxy *proxy)
{
    const struct entry *t = table();
    while (t && *at < ENTRIES) {
        const struct entry *entry = &t[(*at)++];
        uint64_t first = atomic_load(&entry->origin[0]), found = atomic_load(&entry->proxy);
        if (first == EMPTY || first == REMOVED)
            continue;
        *origin = handle_of(entry);
        origin->kind_home &= UINT32_C(0x7fffffff); /* a kind may keep two for one */
        *proxy = (struct muster__proxy){muster__object_slot((uint32_t)found), (uint32_t)(found >> 32)};
        return true;
    }
    return false;
}

/* ---- by the agent ---- */

static bool make_table(void)
{
    uint32_t self = muster__self_state.number;
    size_t bytes = ENTRIES * sizeof(struct entry);
    muster__ref ref = table() ? 0 : muster__heap_alloc(bytes, self);
    if (!ref)
        return table() != NULL;
    memset(muster__heap_at(ref), 0, bytes);
    muster__heap_hand_over(ref, self, 0);
    atomic_thread_fence(memory_order_release);
    *(volatile uint64_t *)&muster__segment->roots[MUSTER__ROOT_PROXIES] = muster__offset(muster__heap_at(ref));
    return true;
}

muster_err muster__proxy_add(muster_handle handle, muster_handle proxy)
{
    uint64_t origin[2];
    if (!make_table())
        return muster__fail(MUSTER_ERR_NOMEM, "no room for objects of other hosts; raise MUSTER_SEGMENT_MIB");
    origin_of(handle, origin);
    uint32_t at = first_place(origin);
    for (uint32_t i = 0; i < ENTRIES; i++) {
        struct entry *entry = &table()[(at + i) % ENTRIES];
        uint64_t first = atomic_load(&entry->origin[0]);
        if (first != EMPTY && first != REMOVED)
            continue;
        atomic_store(&entry->origin[1], origin[1]);
        atomic_store(&entry->proxy, (uint64_t)proxy.generation << 32 | proxy.slot);
        atomic_store(&entry->origin[0], origin[0]);
        return MUSTER_OK;
    }
    return muster__fail(MUSTER_ERR_NOMEM, "this host uses %d objects of other hosts already", ENTRIES);
}

/* Entries that were removed just before an empty one need not stand between others any more. */
static void remove_entry(struct entry *entry)
{
    struct entry *t = table();
    uint32_t at = (uint32_t)(entry - t);
    atomic_store(&entry->origin[0], REMOVED);
    if (atomic_load(&t[(at + 1) % ENTRIES].origin[0]) != EMPTY)
        return;
    for (; atomic_load(&t[at].origin[0]) == REMOVED; at = (at + ENTRIES - 1) % ENTRIES)
        atomic_store(&t[at].origin[0], EMPTY);
}

bool muster__proxy_remove(muster_handle handle, struct muster__proxy *proxy)
{
    struct entry *entry = find(handle, proxy);
    if (entry)
        remove_entry(entry);
    return entry != NULL;
}

void muster__proxies_of(int host, void (*tell)(muster_handle handle))
{
    for (uint32_t i = 0; table() && i < ENTRIES; i++) {
        struct entry *entry = &table()[i];
        uint64_t first = atomic_load(&entry->origin[0]);
        if (first != EMPTY && first != REMOVED && (int)(first >> 32 & 0xffffff) == host)
            tell(handle_of(entry));
    }
}
