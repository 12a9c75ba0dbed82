/* SPDX-License-Identifier: BSD-3-Clause */
#include "checksum/ring.h"

#include <stdlib.h>
#include <string.h>

struct slot *ring_room(struct ring *ring)
{
    if (ring->n == RING_SLOTS_MAX || ring->bytes >= RING_BYTES_MAX)
        return NULL;
    struct slot **slot = &ring->slots[(ring->begin + ring->n) % RING_SLOTS_MAX];
    if (!*slot)
        *slot = calloc(1, sizeof **slot);
    return *slot;
}

void ring_push(struct ring *ring)
{
    struct slot *slot = ring->slots[(ring->begin + ring->n++) % RING_SLOTS_MAX];
    ring->bytes += slot->used;
    ring->entries += (int64_t)slot->n;
}

struct slot *ring_first(const struct ring *ring)
{
    return ring->n > 0 ? ring->slots[ring->begin] : NULL;
}

static void empty(struct slot *slot)
{
    for (size_t i = 0; i < slot->n; i++) {
        free(slot->entries[i].known);
        free(slot->entries[i].before);
    }
    for (uint64_t i = 0; slot->parts && i < slot->answer->tasks; i++)
        free(slot->parts[i].part);
    free(slot->parts);
    free(slot->answer);
    *slot = (struct slot){.bytes = slot->bytes, .room = slot->room};
}

struct slot *ring_at(const struct ring *ring, size_t n)
{
    return ring->slots[(ring->begin + n) % RING_SLOTS_MAX];
}

void ring_pop(struct ring *ring)
{
    struct slot *slot = ring->slots[ring->begin];
    ring->bytes -= slot->used;
    empty(slot);
    ring->begin = (ring->begin + 1) % RING_SLOTS_MAX;
    ring->n--;
}

void ring_free(struct ring *ring)
{
    for (size_t i = 0; i < RING_SLOTS_MAX; i++)
        if (ring->slots[i]) {
            empty(ring->slots[i]);
            free(ring->slots[i]->bytes);
            free(ring->slots[i]);
        }
}

bool slot_takes(const struct slot *slot, const struct entry *entry, size_t limit)
{
    return slot->n < limit && slot->n < SLOT_ENTRIES_MAX && (!slot->algorithm || slot->algorithm == entry->algorithm);
}

static int put(struct slot *slot, const void *bytes, size_t n, size_t *where)
{
    if (slot->used + n > slot->room) {
        size_t room = 2 * slot->room + n + 1024;
        char *more = realloc(slot->bytes, room);
        if (!more)
            return -1;
        slot->bytes = more;
        slot->room = room;
    }
    *where = slot->used;
    memcpy(slot->bytes + slot->used, bytes, n);
    slot->used += n;
    return 0;
}

static int copy(struct outcome **to, const struct outcome *from)
{
    if (!from)
        return 0;
    *to = malloc(sizeof **to);
    if (!*to)
        return -1;
    **to = *from;
    return 0;
}

int slot_add(struct slot *slot, const struct entry *entry, const struct outcome *known, const struct outcome *before)
{
    struct slot_entry *e = &slot->entries[slot->n++];
    *e = (struct slot_entry){.algorithm = entry->algorithm,
                             .in_tree = entry->in_tree,
                             .is_input = entry->is_input,
                             .has_expected = entry->expected};
    if (put(slot, entry->path, strlen(entry->path) + 1, &e->path) != 0 ||
        (entry->expected && put(slot, entry->expected, entry->algorithm->bytes, &e->expected) != 0) ||
        copy(&e->known, known) != 0 || copy(&e->before, before) != 0) {
        free(e->known);
        slot->n--;
        return -1;
    }
    if (!known) {
        slot->algorithm = entry->algorithm;
        slot->out++;
    }
    return 0;
}

struct entry slot_entry(const struct slot *slot, size_t i)
{
    const struct slot_entry *e = &slot->entries[i];
    return (struct entry){.path = slot->bytes + e->path,
                          .algorithm = e->algorithm,
                          .expected = e->has_expected ? (const unsigned char *)slot->bytes + e->expected : NULL,
                          .in_tree = e->in_tree,
                          .is_input = e->is_input};
}

void *slot_message(const struct slot *slot, size_t *bytes)
{
    *bytes = sizeof(struct work_batch);
    for (size_t i = 0; i < slot->n; i++)
        if (!slot->entries[i].known)
            *bytes += sizeof(struct work_item) + work_path_bytes(slot->bytes + slot->entries[i].path);
    struct work_batch *batch = calloc(1, *bytes);
    if (!batch)
        return NULL;
    memcpy(batch->algorithm, slot->algorithm->name, sizeof batch->algorithm);
    batch->tree = slot->algorithm->tree;
    batch->n = (uint32_t)slot->out;
    struct work_item *item = (void *)(batch + 1);
    for (size_t i = 0; i < slot->n; i++) {
        const char *path = slot->bytes + slot->entries[i].path;
        if (slot->entries[i].known)
            continue;
        item->in_tree = slot->entries[i].in_tree;
        if (slot->entries[i].before)
            item->before = work_seen(slot->entries[i].before);
        item->path_bytes = (uint32_t)work_path_bytes(path);
        strcpy((char *)(item + 1), path);
        item = (void *)((char *)(item + 1) + item->path_bytes);
    }
    return batch;
}
