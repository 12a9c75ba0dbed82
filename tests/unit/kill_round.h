/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the workers of test_kill_hosts.c, their hosts and the watchdog tell each other: in memory that is outside of all
 * segments, and so outlives who is killed.
 */
#ifndef MUSTER_TESTS_KILL_ROUND_H
#define MUSTER_TESTS_KILL_ROUND_H

#include "hosts_members.h"

enum { WORKERS = 4, LIVES = 1024, LIFE_ITEMS = 2048, AT_ONCE = 13, ITEM_MAX = 1 << 20, LEADERS = 64, EPOCH = 1 << 16 };

/* what a worker does, as far as it has told */
enum doing {
    NEW,
    IDLE,
    ENTERS, /* alone */
    HOLDS,
    LEAVES,
    COMES, /* to read */
    READS,
    GOES,
    TURNS, /* from writing to reading */
    PUTS,
    GETS,
    WAITS, /* at the barrier */
    BROKEN,
};
static const char *const doing_names[] = {"is new", "idle",       "enters", "holds", "leaves", "comes to read", "reads",
                                          "goes",   "downgrades", "puts",   "gets",  "waits",  "is told BROKEN"};

struct worker {
    _Atomic uint64_t word; /* enum doing; of a GETS how many at most << 8; how often it was told OWNER_DEAD << 32 */
    _Atomic uint32_t ops;  /* that it has begun */
    _Atomic uint32_t at;   /* the barrier's round that it came to last */
};

/* What one producer has put, one after the other; a new one, or one that has put so many, begins another life. */
struct life {
    _Atomic uint32_t begun, put;
    _Atomic uint8_t seen[LIFE_ITEMS / 8], refused[LIFE_ITEMS / 8];
};

struct kind;

/* drawn by all alike */
struct round {
    uint32_t number;
    const struct kind *kind;
    int home, maker;
    uint32_t workers[HOSTS], producers[HOSTS], kills[HOSTS];
    uint32_t size_class, maxsize, permits;
    int64_t late_ns;
    uint32_t stalls;
};
static struct round round;
static uint64_t draws; /* of this process */

static struct shared {
    /* for the watchdog */
    _Atomic int64_t kills;
    struct round round;
    const char *phase[HOSTS];

    muster_handle object;
    struct worker worker[HOSTS][WORKERS];
    _Atomic int stop;
    _Atomic uint32_t arrived;
    int64_t a, b;                        /* guarded: equal, but for a dead holder */
    _Atomic uint32_t sure, unsure, told; /* deaths of who held it, and of who may have; OWNER_DEAD */
    _Atomic uint32_t extra;              /* permits that were given for those */
    _Atomic uint32_t epoch, leaders[LEADERS];
    _Atomic uint32_t lives;
    _Atomic int64_t puts, gets, empty_gets, in_hand;
    struct life life[LIVES];
} * shared;

struct kind {
    const char *name;
    muster_err (*make)(muster_on on);
    muster_err (*end)(void);
    /* by a worker: an operation or a few; false: it has ended */
    bool (*work)(struct worker *self);
    /* of one that was killed doing that, before it is swept */
    void (*died)(enum doing doing);
    /* by the home's process, whenever it waits */
    void (*tend)(void);
    /* by the home's, when all is still */
    void (*look)(void);
};

static uint32_t draw(uint32_t below)
{
    return case_random(&draws) % below;
}

static enum doing doing_of(const struct worker *worker)
{
    return (enum doing)(atomic_load(&worker->word) & 0xff);
}

static void becomes(struct worker *self, enum doing doing, uint32_t in_hand)
{
    atomic_store(&self->word, (atomic_load(&self->word) & ~UINT64_C(0xffffffff)) | in_hand << 8 | doing);
}

static void begins(struct worker *self, enum doing doing, uint32_t in_hand)
{
    becomes(self, doing, in_hand);
    atomic_fetch_add(&self->ops, 1);
}

/* How many do that, dead ones included that are not swept yet. */
static uint32_t count(enum doing doing)
{
    uint32_t n = 0;
    for (int host = 0; host < HOSTS; host++)
        for (uint32_t i = 0; i < WORKERS; i++)
            n += doing_of(&shared->worker[host][i]) == doing;
    return n;
}

/* Mostly as long as it takes. */
static int64_t draw_timeout(void)
{
    static const int64_t timeouts[] = {MUSTER_NOWAIT, 1, 5};
    uint32_t which = draw(12);
    return which < 3 ? timeouts[which] : MUSTER_FOREVER;
}

static bool is_late(muster_err err)
{
    return err == MUSTER_ERR_BUSY || err == MUSTER_ERR_TIMEOUT;
}

#endif
