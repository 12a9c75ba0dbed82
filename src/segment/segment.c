/* SPDX-License-Identifier: BSD-3-Clause */
#include "segment/heap.h"

#define MAGIC UINT64_C(0x6d75737465722032)

static uint64_t page_up(uint64_t offset)
{
    return (offset + 4095) & ~UINT64_C(4095);
}

/* A place for a table of so many bytes; moves *end behind it. */
static uint64_t place(uint64_t *end, size_t bytes)
{
    uint64_t offset = page_up(*end);
    *end = offset + bytes;
    return offset;
}

static uint32_t at_most(uint64_t wanted, uint32_t most)
{
    return wanted < most ? (uint32_t)wanted & ~UINT32_C(63) : most;
}

/* Tables take an eighth of a small segment each: the rest is the heap's. */
muster_err muster__segment_format(void *memory, size_t size_bytes, uint32_t job, uint32_t host, int arenas)
{
    if (size_bytes < MUSTER__SEGMENT_MIN || arenas < 1)
        return muster__fail(MUSTER_ERR_INVAL, "segment of %zu B: at least %zu are needed", size_bytes,
                            MUSTER__SEGMENT_MIN);
    struct muster__segment *segment = memory;
    uint64_t end = sizeof *segment;
    segment->size_bytes = size_bytes;
    segment->job = job;
    segment->host = host;
    segment->arenas = (uint32_t)(arenas < MUSTER__ARENAS_MAX ? arenas : MUSTER__ARENAS_MAX);
    segment->cores = 1;
    segment->caller_hint = 1;
    segment->callers_high = 1;
    segment->waiters_high = MUSTER__CALLERS_MAX;
    segment->objects_max = at_most(size_bytes / 8 / sizeof(struct muster__object), MUSTER__OBJECTS_MAX);
    segment->waiters_max = at_most(size_bytes / 16 / sizeof(struct muster__waiter), MUSTER__WAITERS_MAX);
    segment->holders_max = at_most(size_bytes / 256 / sizeof(struct muster__remote_holder), MUSTER__HOLDERS_MAX);
    segment->callers_offset = place(&end, MUSTER__CALLERS_MAX * sizeof(struct muster__caller));
    segment->waiters_offset = place(&end, (MUSTER__CALLERS_MAX + segment->waiters_max) * sizeof(struct muster__waiter));
    segment->holders_offset = place(&end, segment->holders_max * sizeof(struct muster__remote_holder));
    segment->rings_offset = place(&end, MUSTER__RINGS * sizeof(struct muster__ring));
    segment->called_offset = place(&end, (segment->waiters_max / 64 + MUSTER__CALLED_SUMS) * sizeof(uint64_t));
    segment->pages_offset = place(&end, segment->objects_max / MUSTER__PAGE);
    segment->objects_offset = place(&end, segment->objects_max * sizeof(struct muster__object));
    segment->arenas_offset = place(&end, segment->arenas * sizeof(struct muster__arena));
    muster__heap_format(segment, page_up(end), size_bytes);
    atomic_thread_fence(memory_order_release);
    segment->magic = MAGIC;
    return MUSTER_OK;
}

void muster__segment_attach(void *memory)
{
    muster__sweep_set_hooks();
    struct muster__segment *segment = memory;
    MUSTER__CHECK_EQ(segment->magic, MAGIC);
    muster__segment = segment;
}

void muster__segment_detach(void)
{
    muster__caller_leave();
    muster__segment = NULL;
}
