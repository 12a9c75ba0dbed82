/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The segment's memory: its head, and blocks named by ref (unit, epoch), so that freeing twice is harmless and late use
 * is noticed.
 */
#ifndef MUSTER_SEGMENT_MEMORY_H
#define MUSTER_SEGMENT_MEMORY_H

#include "base/base.h"

enum { MUSTER__ARENAS_MAX = 16, MUSTER__ROOTS = 12, MUSTER__KINDS_MAX = 32 };

/* who keeps a table in the segment: its root */
enum muster__root {
    MUSTER__ROOT_RUNTIME,
    MUSTER__ROOT_MODULES,
    MUSTER__ROOT_SEATS,
    MUSTER__ROOT_REMOTE,
    MUSTER__ROOT_PROXIES,
    MUSTER__ROOT_COUNTERS,
    MUSTER__ROOT_WATCH,
    MUSTER__ROOT_ORDER,
    MUSTER__ROOT_HEAP = MUSTER__ROOTS - 1
};

enum { MUSTER__OBSERVES_COUNTS = 1, MUSTER__OBSERVES_ORDER = 2 };

struct muster__segment {
    uint64_t magic; /* written last by format, so that a half-made segment is never attached */
    uint64_t size_bytes;
    uint32_t job;                /* nonce of this job, in every handle */
    uint32_t host;               /* index of this host in the job */
    _Atomic uint32_t cores;      /* cores this job may use on this host */
    _Atomic uint32_t signal;     /* the signal that asked the job to stop, 0: none */
    _Atomic int32_t gone_plus_1; /* the rank of this host that was killed before that, plus 1 */
    uint32_t arenas;
    uint32_t objects_max, holders_max;
    uint32_t waiters_max;          /* waiters: beside the callers' own */
    uint64_t roots[MUSTER__ROOTS]; /* offsets of tables, set once at start */
    uint64_t observed;             /* MUSTER__OBSERVES_...: no short ways round it; set once at start */
    uint64_t callers_offset, waiters_offset, pages_offset, objects_offset, called_offset, arenas_offset;
    uint64_t holders_offset, rings_offset;
    _Alignas(MUSTER__LINE) _Atomic int32_t awake; /* callers not asleep in muster__sleep: decides about spinning */
    _Atomic uint32_t spares; /* the caller to ring when a core comes free; see muster__spare_cores */
    _Alignas(MUSTER__LINE) _Atomic uint32_t caller_hint;
    _Atomic uint32_t callers_high; /* no caller at or above this was ever used */
    _Atomic uint32_t waiter_hint, waiters_high;
    _Atomic uint32_t pages_high; /* of objects */
    struct {
        _Atomic uint32_t epoch;  /* raised whenever an object of the kind is published or about to go */
        _Atomic uint32_t cursor; /* slot that is tried next */
        _Atomic uint32_t over;   /* there may be slots to be cleaned */
    } kind[MUSTER__KINDS_MAX];
};

/** INTERRUPTED, with what asked the job to stop. */
muster_err muster__fail_interrupted(void);

/** Least size of a segment in bytes. */
#define MUSTER__SEGMENT_MIN ((size_t)64 << 20)

/**
 * Lays a segment out in size_bytes of zeroed memory (page aligned). Untouched pages stay untouched: a large segment
 * costs only what is used. arenas: number of heaps, one per NUMA node. Errors: INVAL (too small).
 */
muster_err muster__segment_format(void *memory, size_t size_bytes, uint32_t job, uint32_t host, int arenas);

/** The segment this process is attached to; NULL before. Set by muster__segment_attach, and inherited over fork. */
extern struct muster__segment *muster__segment;
void muster__segment_attach(void *memory);
void muster__segment_detach(void);

static inline void *muster__at(uint64_t offset)
{
    return (char *)muster__segment + offset;
}
static inline uint64_t muster__offset(const void *pointer)
{
    return (uint64_t)((const char *)pointer - (const char *)muster__segment);
}

/* names a block: unit number in the low half, epoch in the high half; 0 names none */
typedef uint64_t muster__ref;

/**
 * Allocates size_bytes (at least 256 byte aligned; contents undefined), owned by the caller: if it dies before handing
 * the block over, the block is freed. Returns 0 when the segment is full, or busy for a thread that hurries.
 */
muster__ref muster__heap_alloc(size_t size_bytes, uint32_t self);
/** Frees; false (and nothing happens) when the block was freed before. 0 is fine. A thread that hurries may have it
 * done later. */
bool muster__heap_free(muster__ref ref, uint32_t self);
/** Changes the owner: a caller's number, or 0 for an object that now holds the ref. False: the owner was another. */
bool muster__heap_hand_over(muster__ref ref, uint32_t from, uint32_t to);
/** Address of a block; NULL when it was freed. */
void *muster__heap_at(muster__ref ref);
/** Bytes the block has room for (at least what was asked). */
size_t muster__heap_size(muster__ref ref);
/** Gives the whole pages of a part of a block back to the system: there it becomes zero, or stays as it is. */
void muster__heap_hollow(void *memory, size_t bytes);
/** Frees all blocks of an owner, who need not be a caller. */
void muster__heap_sweep(uint32_t owner, uint32_t self);
/** The same; false: busy, for a thread that hurries, and perhaps some are left. */
bool muster__heap_sweep_now(uint32_t owner, uint32_t self);
/** Bytes in blocks now; for tests and reports. */
uint64_t muster__heap_used(void);

#endif
