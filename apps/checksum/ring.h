/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Batches of files that are out, in input order.
 */
#ifndef CHECKSUM_RING_H
#define CHECKSUM_RING_H

#include <muster/pool.h>

#include "checksum/entry.h"
#include "checksum/work.h"

#define SLOT_ENTRIES_MAX 64
#define RING_SLOTS_MAX   ((size_t)4096)
#define RING_BYTES_MAX   ((size_t)64 << 20) /* of names */

struct slot_entry {
    size_t path, expected; /* where in the batch's bytes */
    const struct algorithm *algorithm;
    struct outcome *known;  /* NULL: a worker finds it out */
    struct outcome *before; /* in an earlier run; NULL: not read then */
    bool in_tree, is_input, has_expected;
    bool recorded; /* in the journal of this run */
};

/** The answer of a large file's task: part, or why there is none; neither: not there yet. */
struct slot_part {
    struct work_part *part;
    int32_t error;
};

/** A batch. */
struct slot {
    struct slot_entry entries[SLOT_ENTRIES_MAX];
    size_t n, out; /**< entries, and those that are for a worker */
    char *bytes;   /* names and digests */
    size_t used, room;
    const struct algorithm *algorithm; /* of those for a worker */
    muster_task task;
    bool sent;                  /**< task is there */
    struct work_answer *answer; /* of it, or why there is none; neither: not there yet */
    int32_t error;
    struct slot_part *parts; /* of the answer's tasks */
};

struct ring {
    struct slot *slots[RING_SLOTS_MAX]; /* made when first needed, then used again */
    size_t begin, n;
    size_t bytes;
    int64_t entries; /**< that ever were in it */
};

/** Room for another batch: NULL where there is none, or no memory. It is in the ring once it is pushed. */
struct slot *ring_room(struct ring *ring);
void ring_push(struct ring *ring);
/** The oldest; NULL: none. */
struct slot *ring_first(const struct ring *ring);
/** The n-th, from the oldest on. */
struct slot *ring_at(const struct ring *ring, size_t n);
void ring_pop(struct ring *ring);
void ring_free(struct ring *ring);

/** Whether entry may go into the batch, with limit entries at most: a batch's workers use one algorithm. */
bool slot_takes(const struct slot *slot, const struct entry *entry, size_t limit);

/** Copies an entry in; known: what it came to, if that is known, before: what it came to in an earlier run, else NULL.
 * Returns 0, or -1: no memory. */
int slot_add(struct slot *slot, const struct entry *entry, const struct outcome *known, const struct outcome *before);

/** The entry again, borrowed from the batch. */
struct entry slot_entry(const struct slot *slot, size_t i);

/** The message for work_run: a block for free(), or NULL. */
void *slot_message(const struct slot *slot, size_t *bytes);

#endif
