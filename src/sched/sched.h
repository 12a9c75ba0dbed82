/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The scheduler: tasks, workers, stealing. Everything here lives in the segment and is used by workers, submitters and
 * sweepers at once.
 *
 *   record  one task, or something else that is run as one is (a piece of a map). Its state word is the truth: who
 * moves it from QUEUED to RUNNING runs it, whatever any deque says. lane    what one thread brings to a pool: a deque
 * of queued records, a free list of records, counters. Only its owner pushes and pops at the bottom; everybody may
 * steal at the top. Workers have the first lanes, submitters the rest. seat    a thread's place in a pool.
 *
 * What users call (src/pool) stands above it, and what goes on between hosts (src/offload) above that. They are reached
 * by what they have registered before main: how records of a kind are run and what their death comes to (sched_kinds),
 * and what a pool's parts on other hosts do (pool_parts).
 *
 * Death of a lane's owner (recover.c): the sweeper becomes the lane's owner for a moment, queues again what the deque
 * may have lost, ends or queues again what was running, and leaves the lane for a successor. Tasks are thus never lost,
 * and never run twice unless retries say so.
 *
 * Sleeping: who finds nothing to do says ASLEEP in `idle`, looks again, and sleeps on its caller's bell. Who queues
 * looks at `idle` after a full barrier, and calls one. A worker that forks says so once in `light`, with such a
 * barrier, and passes the light half of one (caller.h) from then on, until it finds nothing to do itself; the heavy
 * half is passed by who goes to sleep meanwhile. While all cores are taken and somebody was called, no other is: on
 * coming, that one calls the next if more is queued than it can take. Who waits for a record says so in `waiters` and
 * then in the record's state, whose change makes it final, too; who waits for counts passes a heavy barrier in between.
 *
 * Over several hosts a pool has parts: `home` on its creator's host, and a branch on every other host that has workers
 * of it, each a pool as above; a branch has a lane at home, and home one in each branch, in whose name it takes work.
 *
 * Why nested waits cannot deadlock: who waits for a task that is queued runs it, wherever it is queued, on top of its
 * own stack. Other tasks that it has run meanwhile have a stack each (context.h), and it goes on when its wait is over
 * and its thread has nothing else to do. So nothing is buried: only a cycle of tasks that wait for each other stands
 * still.
 */
#ifndef MUSTER_SCHED_SCHED_H
#define MUSTER_SCHED_SCHED_H

#include "remote/remote.h"
#include "sched/context.h"
#include "sched/deque.h"
#include "sched/placed.h"

#include <muster/pool.h>

enum {
    POOL_SMALL_SLABS = 64, /* of 512 records of 128 bytes; those that come after them have 8,192 */
    POOL_SMALL_BITS = 9,
    POOL_LARGE_BITS = 13,
    POOL_SLABS = 1 << 15, /* 268 million records */
    POOL_SUBMITTERS = 64,
    POOL_LANES = 2048,
    POOL_GENERATION = 1, /* of latches inside blocks, whose life the pool guards */
};

static inline uint64_t round_16(uint64_t bytes)
{
    return (bytes + 15) & ~UINT64_C(15);
}

/* ---- records ---- */

enum phase {
    RECORD_FREE,
    RECORD_FILLING, /* owned by the lane it came from */
    RECORD_QUEUED,  /* in the deque of the lane in its state */
    RECORD_RUNNING, /* by the lane in its state */
    RECORD_HELD,    /* until others have ended: follow.h */
    RECORD_DONE,    /* final, as are those below */
    RECORD_FAILED,  /* the task's own failure, or as record.extra's error says */
    RECORD_CANCELED,
};

enum {
    STATE_PHASE = 0x7,
    STATE_FOLLOWED = 1 << 3, /* see follow.h */
    STATE_WAITED = 1 << 4,   /* somebody may sleep until it is final */
    STATE_DROPPED = 1 << 5,  /* its handle is given up: free it when final; who gets it sets this first */
    STATE_KILLED = 1 << 6,   /* canceled while running; its worker is being killed */
    STATE_CLAIMED = 1 << 7,  /* final, and its result under way to another host's getter: taken there, or free again */
    STATE_KEPT = STATE_WAITED | STATE_DROPPED | STATE_FOLLOWED,
    STATE_LANE_SHIFT = 8,
};
#define STATE_LANE_MASK UINT32_C(0xffff00)
/* In the state of a RUNNING task that is a map: by no lane, its pieces are records of their own. */
enum { LANE_OF_MAPS = 0xfffd };

enum record_kind { RECORD_TASK, RECORD_PIECE, RECORD_GROUP, RECORD_KINDS };

/* Beyond so many bytes an argument and a result lie in a block. One of the smallest size stays with a record that is
 * free, so many a lane, for the next task that needs one. */
enum { RECORD_INLINE = 64, RECORD_BLOCK = 256, RECORDS_KEEP = 1024 };

struct record {
    _Alignas(MUSTER__LINE) _Atomic uint64_t state; /* generation << 32 | lane << 8 | flags | phase */
    muster__function function;
    uint32_t next; /* record + 1: in a free list; of a task, its group's */
    uint16_t home; /* lane whose free list it belongs to */
    uint8_t kind;
    uint8_t retries;
    muster__ref data; /* argument and result, when they do not fit inline; of a free one: what it keeps */
    uint64_t arg_bytes;
    _Atomic uint64_t result_bytes; /* this and number are also read by who may find out that he came too late */
    _Atomic int64_t number;        /* of the task in its pool */
    muster__ref extra;             /* struct extra, when there is something to say */
    union {
        unsigned char bytes[RECORD_INLINE];
        muster__ref whole; /* of another kind: what it is a part of */
    };
};

/* seldom needed facts of a task */
struct extra {
    int64_t time_limit_ms;
    uint64_t memory_limit; /* bytes; 0: as the pool says */
    muster__ref user;
    uint64_t user_bytes;
    bool user_shared;  /* it is not this task's alone */
    bool user_counted; /* and whether it is the last one is counted, see user.c */
    /* see sched/any.h: what the task has returned by itself (0: nothing), and the record's result_bytes without that */
    _Atomic muster__ref returned;
    uint64_t returned_bytes, reserved_bytes;
    /* of a map that nobody waits for in muster_pool_map: it, until it has been cleared away (0), and what it came to */
    bool is_map;
    uint8_t map_phase;
    muster__ref map;
    struct placed placed;
    struct muster_task_error error;
};

/* names a record in deques and handles: generation << 32 | record */
typedef uint64_t record_ref;

static inline enum phase state_phase(uint64_t state)
{
    return (enum phase)(state & STATE_PHASE);
}
static inline uint32_t state_lane(uint64_t state)
{
    return ((uint32_t)state & STATE_LANE_MASK) >> STATE_LANE_SHIFT;
}
static inline uint64_t state_make(uint32_t generation, uint32_t lane, enum phase phase)
{
    return (uint64_t)generation << 32 | lane << STATE_LANE_SHIFT | (uint32_t)phase;
}
static inline bool state_is_map(uint64_t state)
{
    return state_phase(state) == RECORD_RUNNING && state_lane(state) == LANE_OF_MAPS;
}
static inline bool phase_final(enum phase phase)
{
    return phase >= RECORD_DONE;
}
/**
 * Whether a task's handle of this generation still names the record in this state. Who holds a handle may find the
 * record got, forgotten or reused at any time, so each look at the state asks this again, and each change of the state
 * is made from one that was asked.
 */
static inline bool state_names(uint64_t state, uint32_t generation)
{
    return state >> 32 == generation && state_phase(state) >= RECORD_QUEUED && !(state & STATE_DROPPED);
}

/* ---- lanes ---- */

/* a context that its owner's last tasks had; its alone */
struct lane_user {
    _Atomic muster__ref block; /* 0: none */
    uint64_t bytes;
};
enum { LANE_USERS = 4, USER_SHARED_MIN = 4096 };

struct lane {
    _Alignas(MUSTER__LINE) _Atomic uint32_t owner; /* caller number; 0: nobody */
    _Atomic uint32_t member;
    uint32_t index;
    uint32_t free_list;        /* owner alone */
    int64_t free_records;      /* owner alone: in that, at least so many */
    int64_t hollow_at;         /* owner alone: how many of them have it look for pages to give back */
    bool light;                /* owner alone: its bit in pool.light */
    int64_t numbers;           /* tasks numbered so far by this lane */
    _Atomic int64_t submitted; /* owner alone writes */
    _Atomic int64_t finished;
    _Atomic int32_t depth;     /* tasks on its stack now */
    _Atomic uint32_t returned; /* records given back by others: a stack, taken whole */
    _Atomic int32_t from;      /* of a carrier: the host that its work is lent by, + 1; else 0 */
    bool initialized;          /* of one who helps: its owner has called the initializer */
    struct deque deque;
    struct lane_user users[LANE_USERS];
    uint32_t next_user; /* which makes room for another */
    int32_t kept;       /* about so many of its free records have a block; owner alone */
};

/* ---- pools ---- */

enum pool_state { POOL_OPEN, POOL_CLOSED, POOL_TERMINATED, POOL_BROKEN, POOL_STOPPING };

/* what a lane does about queued work */
enum idle {
    IDLE_NOT,    /* runs something, or looks for something to run */
    IDLE_ASLEEP, /* sleeps until called */
    IDLE_CALLED, /* was woken to look, and has not begun yet */
};

/*
 * Whether a worker's lane is somebody's who looks after it. Else it is that of a rank in SPMD mode whose main goes on:
 * it works while it waits in this pool's functions, pinning the pool each time, and nobody waits for it to leave.
 */
enum stay { WORKER_STAYS, WORKER_AWAY, WORKER_VISITS };

struct worker_slot {
    _Atomic uint32_t stay;   /* enum stay */
    _Atomic uint32_t member; /* child that works here; MUSTER__MEMBERS_MAX: none */
    _Atomic uint32_t ready;  /* its initializer has succeeded */
    _Atomic uint32_t trying; /* its initializer runs */
    int32_t failed_tries;    /* how often in a row it died in its initializer */
};

/* what a part knows of one that it lends to: home of its branches, a branch of home */
struct branch {
    muster_pool pool;
    int32_t host, workers;
    _Atomic int32_t alive, busy; /* workers, when it was last heard of */
    _Atomic bool lost;           /* its host is gone */
};

/* A part's share of the whole pool. Its lanes: workers, branches' carriers, submitters. */
struct share {
    int32_t workers, branches;
    int32_t lends;                     /* how many other parts take work from this one */
    int32_t first_local, local_ranks;  /* this host's ranks that it is on */
    int32_t first_worker, all_workers; /* number of its first worker in the whole pool, and how many that has */
    muster_handle home;                /* all zero: this is home */
};

struct pool {
    uint32_t slot, generation; /* of its object */
    muster__ref self;          /* this block */
    int32_t workers, lanes;
    struct share share;
    uint64_t branches_offset; /* struct branch[share.lends], behind the workers */
    bool isolated, caller_idle;
    int32_t retries;
    int64_t max_tasks;     /* of a worker, then another takes its place; 0: any */
    uint64_t memory_limit; /* of a task, bytes; 0: none */
    muster__function initializer, finalizer;
    muster__ref init_arg, user;
    _Alignas(MUSTER__LINE) _Atomic uint32_t state;
    _Atomic uint64_t cancels;  /* see pool/pending.h */
    _Atomic uint64_t shelf;    /* where it is, see sched/shelf.h; 0: there is none */
    _Atomic uint32_t shelved;  /* tasks on it */
    _Atomic uint32_t sated;    /* a carrier found nobody hungry: who falls asleep rings it */
    _Atomic uint32_t carriers; /* threads that bring work here; a futex */
    _Atomic uint32_t misses;   /* of a branch: some of its workers were away when its carrier looked */
    _Atomic uint32_t slabs;
    _Atomic uint32_t lanes_used;        /* lanes at or above were never taken */
    _Atomic int64_t finished_elsewhere; /* tasks ended by canceling or by a sweeper */
    _Atomic uint32_t deaths;            /* of lanes' owners */
    struct muster__latch lanes_latch;
    _Atomic muster__ref broken_why; /* a text, written before the state says BROKEN; 0: none */
    _Alignas(MUSTER__LINE) _Atomic uint64_t idle[POOL_LANES / 32]; /* two bits a lane: enum idle */
    _Alignas(MUSTER__LINE) _Atomic uint64_t waiters[POOL_LANES / 64];
    _Alignas(MUSTER__LINE) _Atomic uint64_t light[POOL_LANES / 64]; /* lanes that queue behind half a barrier */
    uint64_t slab_offset[POOL_SLABS];                               /* 0: not there (yet) */
    uint32_t slab_hollow[POOL_SLABS]; /* not 0: its pages are given back; the generation that its records go on with */
    uint16_t slab_lane[POOL_SLABS];   /* that its records are of */
    muster__ref slab_ref[POOL_SLABS];
    uint64_t workers_offset; /* struct worker_slot[workers], behind the lanes */
    struct lane lane[];
};

static inline uint32_t slab_of(uint32_t index)
{
    const uint32_t small = POOL_SMALL_SLABS << POOL_SMALL_BITS;
    return index < small ? index >> POOL_SMALL_BITS : POOL_SMALL_SLABS + ((index - small) >> POOL_LARGE_BITS);
}
static inline uint32_t slab_records(uint32_t slab)
{
    return UINT32_C(1) << (slab < POOL_SMALL_SLABS ? POOL_SMALL_BITS : POOL_LARGE_BITS);
}
/** Index of its first record. */
static inline uint32_t slab_begin(uint32_t slab)
{
    const uint32_t small = POOL_SMALL_SLABS << POOL_SMALL_BITS;
    return slab < POOL_SMALL_SLABS ? slab << POOL_SMALL_BITS : small + ((slab - POOL_SMALL_SLABS) << POOL_LARGE_BITS);
}
/** NULL: the pool has none of that index. */
static inline struct record *pool_record_if(struct pool *pool, uint32_t index)
{
    uint32_t slab = slab_of(index);
    uint64_t offset = slab < POOL_SLABS ? pool->slab_offset[slab] : 0;
    return offset ? (struct record *)muster__at(offset) + (index & (slab_records(slab) - 1)) : NULL;
}
/** Of one that it has. */
static inline struct record *pool_record(struct pool *pool, uint32_t index)
{
    uint32_t slab = slab_of(index);
    return (struct record *)muster__at(pool->slab_offset[slab]) + (index & (slab_records(slab) - 1));
}
/**
 * The first record that is there from *index on, which becomes its; NULL: there is none. All of a pool, as they are at
 * some time while this goes on:
 *
 *     for (uint32_t index = 0; (record = pool_walk(pool, &index)); index++)
 */
static inline struct record *pool_walk(struct pool *pool, uint32_t *index)
{
    uint32_t slabs = atomic_load(&pool->slabs);
    for (uint32_t slab; (slab = slab_of(*index)) < slabs && slab < POOL_SLABS; *index = slab_begin(slab + 1))
        if (pool->slab_offset[slab] && !pool->slab_hollow[slab])
            return pool_record(pool, *index);
    return NULL;
}
static inline struct worker_slot *pool_worker(struct pool *pool, int i)
{
    return (struct worker_slot *)((char *)pool + pool->workers_offset) + i;
}
static inline enum pool_state pool_state(struct pool *pool)
{
    return (enum pool_state)atomic_load_explicit(&pool->state, memory_order_acquire);
}

static inline struct branch *pool_branch(struct pool *pool, int i)
{
    return (struct branch *)((char *)pool + pool->branches_offset) + i;
}
/** The lane of the worker that this rank is; -1: it is none. */
static inline int pool_lane_of_rank(const struct pool *pool, uint32_t local)
{
    int lane = (int)local - pool->share.first_local;
    return !pool->isolated && lane >= 0 && lane < pool->workers ? lane : -1;
}
/** The rank of this host that a worker is, or belongs to. */
static inline int pool_rank_of_lane(const struct pool *pool, int lane)
{
    return pool->share.first_local + lane % (pool->share.local_ranks ? pool->share.local_ranks : 1);
}
static inline bool pool_is_home(const struct pool *pool)
{
    return pool->share.home.generation == 0;
}
/** Number of a lane's worker in the whole pool, or of a helping caller: those come after all workers. */
static inline int pool_worker_number(const struct pool *pool, uint32_t lane)
{
    return (int)lane +
           (lane < (uint32_t)pool->workers ? pool->share.first_worker : pool->share.all_workers - pool->workers);
}
/** Whether it is the lane of a branch's carrier. */
static inline bool pool_is_carrier(const struct pool *pool, uint32_t lane)
{
    return lane >= (uint32_t)pool->workers && lane < (uint32_t)(pool->workers + pool->share.lends);
}

/* the object's body */
struct pool_body {
    _Atomic muster__ref block;
};
/* of the object's events: there is something queued that branches may take; other hosts are to look at tasks again */
enum { POOL_WORK, POOL_LOOK };
struct pool *pool_of(struct muster__object *object);

/**
 * Owner of all blocks a pool holds: a number no caller has. What its parts no longer name is freed with it at the
 * latest (muster__heap_sweep), so a death between two steps leaks nothing for good.
 */
static inline uint32_t pool_owner(const struct pool *pool)
{
    return UINT32_C(1) << (MUSTER__CALLER_BITS - 1) | pool->slot;
}

/* ---- this thread and its pools (seat.c) ---- */

/* a thread's place in a pool */
struct seat {
    struct pool *pool;
    struct lane *lane;
    uint32_t self; /* the thread's caller number */
    bool pinned;   /* until seat_leave */
    bool worker;   /* its lane is a worker's */
    bool helps;    /* runs tasks while it waits: workers, and of in-rank pools whoever waits */
};

/**
 * The calling thread's seat in the pool named, entering a submitter's lane on first use. Keeps the pool from going
 * until seat_leave, unless the thread works for it. Errors: STALE, NOMEM (no lane left).
 */
muster_err seat_enter(muster_handle handle, const char *operation, struct seat *seat);
void seat_leave(const struct seat *seat);
/** Whether the thread is in one of the pool's functions, as a visitor. */
bool seat_is_inside(const struct pool *pool);
/* the one at which this thread entered last as a worker, and the handle that it entered by; else all zero */
struct seat_last {
    muster_handle named;
    struct seat seat;
    uint32_t tasks; /* what handles of the pool's tasks say in place of the job */
};
extern MUSTER__THREAD_LOCAL struct seat_last seat_last;

static inline bool same_words(muster_handle a, muster_handle b)
{
    struct muster__words x = muster__words_of(a), y = muster__words_of(b);
    return x.low == y.low && x.high == y.high;
}
/** What a task's handle says in place of the job: of which pool on its host it is. */
static inline uint32_t pool_tasks_word(const struct pool *pool)
{
    return pool->slot << 16 | (pool->generation & 0xffff);
}

/** A task's handle, or a group's: record and its generation, and that word. */
static inline muster_handle task_handle(uint32_t tasks_word, uint32_t index, uint32_t generation)
{
    return (muster_handle){.kind_home = (uint32_t)MUSTER__TASK << 24 | muster__segment->host,
                           .slot = index,
                           .generation = generation,
                           .job = tasks_word};
}

/** This host's part of the pool named: the handle itself where it is at home here. False: there is none. */
bool pool_here(muster_handle named, muster_handle *here);
/** The pools of this host that the calling thread works for while it waits, at most room; returns how many. */
int seat_works(muster_handle *pools, int room);
/** Enters a pool of this host again, in the same operation. False: it is gone. */
bool seat_return(muster_handle here, struct seat *seat);
/** A carrier's seat at home, for the agent: its lane is owned by its host. */
struct seat seat_of_carrier(struct pool *pool, int branch, int host);
/** Takes a worker's lane; the thread then is that worker. */
struct seat seat_take_worker(struct pool *pool, int worker);
/** Gives the thread's lane up. */
void seat_give_up(struct pool *pool);
/** The other lanes, nearest first, and how many of them share this one's core; borrowed until the next call on this
 * thread. */
struct victims {
    const uint16_t *lanes;
    int count, same_core;
};
struct victims seat_victims(const struct seat *seat);

/* ---- records (record.c) ---- */

/** A FILLING record of the lane; NULL: no memory. *index names it. */
struct record *record_new(const struct seat *seat, uint32_t *index);
/** Frees a final or FILLING record and what it holds. self may be any caller. */
void record_free(struct pool *pool, struct record *record, uint32_t index, struct lane *mine);
/** Of a FREE record: to the lane whose it is. By anybody. */
void record_give_back(struct pool *pool, struct record *record, uint32_t index);
/** The record a task's handle names, and its state; or NULL. Its index is the handle's slot. */
struct record *record_of_task(struct pool *pool, muster_task task, uint64_t *state);
/** Gives the handle up; false: somebody else has. *before: its state until then; was that final, the caller frees. */
bool record_drop(struct record *record, uint32_t generation, uint64_t *before);
/** The block that it has kept, or one like it; NULL: it has none. */
static inline unsigned char *record_block(const struct record *record)
{
    return muster__heap_size(record->data) == RECORD_BLOCK ? muster__heap_at(record->data) : NULL;
}
void *record_arg(struct record *record);
void *record_result(struct record *record);
/** Makes room for an argument and a result; false: no memory. */
/**
 * Gives the pages of slabs back of which no record is in use, those that others have given back included. By the lane's
 * owner, from time to time: it goes through the lane's free records.
 */
void record_hollow(const struct seat *seat);
/** A slab of the lane whose pages were given back, in use again: its records are the lane's free ones. False: none. */
bool record_fill(const struct seat *seat);
bool record_reserve(struct pool *pool, struct record *record, size_t arg_bytes, size_t result_bytes, uint32_t self);
struct extra *record_extra(struct pool *pool, struct record *record, uint32_t self);

/* ---- contexts of tasks (user.c) ---- */

/** Gives a task of the seat's lane a context of its own, or one that it shares with others of the same bytes; size > 0.
 * False: no memory. */
bool user_give(const struct seat *seat, struct extra *extra, const void *bytes, size_t size);
/** The task needs it no more. Again is fine. */
void user_let_go(struct extra *extra, uint32_t self);

/** Whoever makes it final, or gives its handle up, rings all lanes in waiters. */
void record_mark_waited(struct record *record, uint32_t generation);

/* ---- groups (group.c): tasks name them by their record + 1, 0: none ---- */

/* in its record */
struct group {
    _Atomic int64_t open, failed;
    _Atomic muster__ref error; /* struct muster_task_error, the first one; 0: none */
    _Atomic uint32_t canceled;
    _Atomic uint32_t deaths; /* in the pool, when the members were counted last */
};
_Static_assert(sizeof(struct group) <= RECORD_INLINE, "a group is in its record");

static inline struct group *group_of(struct pool *pool, uint32_t index)
{
    return (struct group *)(void *)pool_record(pool, index)->bytes;
}

/** A member is about to be queued. */
void group_add(struct pool *pool, uint32_t group);
/** What of it has not begun is not to. */
bool group_is_canceled(struct pool *pool, uint32_t group);
/** A member is about to be final, FAILED or CANCELED. */
void group_fails(struct pool *pool, uint32_t group, const struct record *record);
/** So many of what a member has submitted on another host have failed; error: the first one's, if err is not OK. */
void group_fails_elsewhere(struct pool *pool, uint32_t group, int64_t failed, const struct muster_task_error *error);
/** How many have failed so far; *error: of the first one, if that is known. */
int64_t group_failed(struct pool *pool, muster_group group, struct muster_task_error *error);
/** A member is final, or was not queued. */
void group_done(struct pool *pool, uint32_t group);
muster_err group_make(const struct seat *seat, muster_group *made);
bool group_is_empty(struct pool *pool, muster_group group);
void group_end(struct pool *pool, muster_group group, struct lane *mine);

/* ---- the shortest way (fork.c) ---- */

/** What task_submit does, of a worker's small task without options; false: not done, the long way does it. */
bool fork_submit(const struct seat *seat, muster_task *task, muster__function function, const void *arg,
                 size_t arg_bytes, size_t result_bytes);
/** What muster_task_get does, of the task that this worker has submitted last: runs it. False: not done, or the task
 * has ended otherwise: the long way goes on. */
bool fork_join(const struct seat *seat, muster_task task, void *result, size_t capacity);

/* ---- scheduling (sched.c) ---- */

/** FILLING, or RUNNING, -> QUEUED at the bottom of the seat's lane; wakes a sleeper. False: no memory; what was RUNNING
 * is then QUEUED in no deque, and the caller breaks the pool. */
bool sched_queue(const struct seat *seat, struct record *record, uint32_t index);
/** Takes any queued record, the lane's own first: it is RUNNING then, by the seat's lane. */
bool sched_take(const struct seat *seat, struct record **record, uint32_t *index);
/** Takes the newest queued record of the seat's own lane. */
bool sched_take_own(const struct seat *seat, struct record **record, uint32_t *index);
/** Takes the oldest queued record of some lane, for a host: of none that is from there. */
bool sched_take_for(const struct seat *seat, int host, struct record **record, uint32_t *index);
/** How many it might take so. */
int64_t sched_queued_for(struct pool *pool, int host);
/** By a worker that waits for nothing: runs one record, if any is found. */
bool sched_run_one(const struct seat *seat);
/** Whether any lane seems to have something queued. */
bool sched_any_queued(struct pool *pool);
/** Whether there seems to be something for the seat's worker, or carrier. */
bool sched_any_for(const struct seat *seat);
/** QUEUED -> RUNNING, of the record that the deque's entry names; a full barrier either way, as deque.h wants it.
 * False: it is not what the entry says any more. */
static inline bool sched_claim(const struct seat *seat, struct record *record, record_ref ref)
{
    uint64_t state = atomic_load_explicit(&record->state, memory_order_acquire);
    while (state >> 32 == ref >> 32 && state_phase(state) == RECORD_QUEUED) {
        uint64_t running = state_make((uint32_t)(ref >> 32), seat->lane->index, RECORD_RUNNING) | (state & STATE_KEPT);
        if (atomic_compare_exchange_weak(&record->state, &state, running))
            return true;
    }
    atomic_thread_fence(memory_order_seq_cst);
    return false;
}
/** By the lane's owner: so many more tasks of it have begun and not ended. */
static inline void sched_deeper(struct lane *lane, int32_t more)
{
    int32_t depth = atomic_load_explicit(&lane->depth, memory_order_relaxed);
    atomic_store_explicit(&lane->depth, depth + more, memory_order_relaxed);
}
/** The idle words of all lanes in one; after such a barrier. */
#define SCHED_ASLEEP UINT64_C(0x5555555555555555) /* its bits of lanes that sleep; the others: CALLED */
static inline uint64_t sched_idle(struct pool *pool)
{
    uint64_t any = 0;
    uint32_t lanes = atomic_load_explicit(&pool->lanes_used, memory_order_relaxed);
    for (uint32_t word = 0; word * 32 < lanes; word++)
        any |= atomic_load_explicit(&pool->idle[word], memory_order_relaxed);
    return any;
}
/** The lane's owner has queued, and will pass muster__barrier_light alone when it queues again, until it goes to sleep.
 * A full barrier. */
void sched_go_light(const struct seat *seat);
/** After such a barrier, wakes a sleeping lane: the nearest one on another core, if any. */
void sched_wake_one(const struct seat *seat);
bool sched_call(struct pool *pool, uint32_t lane); /* wakes that one; false: it is awake */
/** Makes a RUNNING record final: wakes who waits, frees it when nobody will get it. */
void sched_finish(struct pool *pool, struct record *record, uint32_t index, enum phase phase, struct lane *mine);
/** Rings all lanes in waiters, or those in idle, too. */
void sched_ring_waiters(struct pool *pool);
/** After a full barrier: rings one lane, if it is in waiters. */
void sched_ring_waiter(struct pool *pool, uint32_t lane);
void sched_ring_all(struct pool *pool);
/** A lane's owner is about to sleep until called; look for work again after it. */
void sched_idle_begin(const struct seat *seat);
/** It does not sleep any more, and is going to look for work (else will_look = false). */
void sched_idle_end(const struct seat *seat, bool will_look);
/**
 * How many workers, and other hosts that wait for work of this part, sleep while nothing is queued; `but`: a lane that
 * does not count. After 0 the next one that falls asleep rings all in waiters.
 */
int sched_hungry(struct pool *pool, uint32_t but);
/** For a lane without owner: it neither sleeps nor waits. */
void sched_forget_lane(struct pool *pool, uint32_t lane);
/** The lane's owner wants to be rung when tasks that are waited for end; until sched_forget_lane. */
void sched_listen(struct pool *pool, uint32_t lane);

/**
 * Waits until over(arg) says so, running tasks meanwhile where the seat is a worker's. Returns OK, TIMEOUT,
 * INTERRUPTED. announce(arg), before sleeping, asks to be rung (may be NULL).
 */
struct wait_for {
    bool (*over)(void *arg);
    void (*announce)(void *arg);
    /** Takes a queued record that is waited for, in the seat's pool, whoever's lane it is in: RUNNING by the seat's.
     * all: any such one, else the first that is waited for. False: there is none. NULL: nobody knows which those are.
     */
    bool (*claim)(void *arg, const struct seat *seat, bool all, struct record **record, uint32_t *index);
    /** Whether a record is of what is waited for, which ends after it anyhow: then it needs no stack of its own. NULL:
     * none is. */
    bool (*awaited)(const void *arg, const struct record *record);
    void *arg;
    int64_t deadline_ns;
    int64_t tick_ns; /* return OK also when this time is reached; 0: never */
};
muster_err sched_wait(const struct seat *seat, const struct wait_for *wait);
/**
 * The same in several pools: it is rung by each, and runs tasks of those where the thread works. Pools that have gone
 * are passed over; while tasks run none is kept from going, so `over` and `announce` enter for themselves.
 */
muster_err sched_wait_in(const muster_handle *pools, int n, const struct wait_for *wait);

/**
 * A lane that this thread is to ring as soon as it goes on with something else than records of that whole: until then
 * what they are part of is not over. Once it is, who waits may free it: telling does not touch it.
 */
struct sched_untold {
    muster__ref whole; /* 0: none */
    struct pool *pool;
    uint32_t lane;
    /* The task that the whole is, and its pool: 0: somebody waits in `lane`. Telling looks whether it has ended. */
    record_ref task;
    muster_handle handle;
};
extern MUSTER__THREAD_LOCAL struct sched_untold sched_untold;
void sched_tell(void);

/* ---- running user code (run.c) ---- */

void run_task(const struct seat *seat, struct record *record, uint32_t index);
/** Its function has returned code: makes it final. */
void run_ended(const struct seat *seat, struct record *record, uint32_t index, int code);
/** The text left by muster_task_fail, for the error report of the item just run. */
void run_error_fill(struct muster_task_error *error, int worker, muster_err err, int code, int64_t index,
                    muster__function function);
/* what is called, in whose name */
struct calling {
    muster_task_fn function;
    muster__function name;
    const char *what;
    int64_t index;
    uint32_t group;
    struct muster__any *any; /* where what it returns by itself goes; NULL: nowhere */
};
/** Calls one function with the crash report's context set. */
int run_call(const struct seat *seat, const struct calling *calling, const void *item, void *result, const void *user);
/** How many functions this thread has called so: tasks, items of maps, and its initializer. */
int64_t run_calls(void);
void run_called(int64_t times);
/** Remembers the error for muster_pool_last_error, sets the detail line, returns its err. */
muster_err run_report(const struct muster_task_error *error, const char *operation);

/* ---- workers (worker.c) ---- */

/** Starts child i of an isolated pool. */
muster_err worker_start(struct pool *pool, int i);
void worker_register(void);
/** Wakes the ranks that work for this pool, so that they take their lanes or leave. */
void worker_ring_ranks(struct pool *pool);
/** The worker that the calling thread is while it visits; -1: none. */
int worker_visiting(const struct pool *pool);
/** The calling thread comes, goes, or stays. */
void worker_stay(struct pool *pool, uint32_t lane, enum stay stay);
/** How many are not away. */
int workers_here(struct pool *pool);
/** The same, by a branch's carrier, that is rung when another one comes. */
int workers_to_feed(struct pool *pool);
/** Adds how many there are, and how many run something. */
void workers_count(struct pool *pool, int32_t *alive, int32_t *busy);
/** Whether its end waits for somebody to leave that lane. */
bool worker_is_held(struct pool *pool, int i);
/** Runs the initializer in the calling worker if that is still to do; false: it failed, and the pool is BROKEN now. */
bool worker_ready(const struct seat *seat);
/** Makes an open or closed pool BROKEN and says why; what others say after that is not heard. */
void worker_break(struct pool *pool, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** How many tasks the calling worker may run yet, at least 1. */
int64_t worker_left(const struct seat *seat);
/** The calling worker leaves: finalizer, lane. */
void worker_leave(const struct seat *seat);
/** Waits until all other workers have left; children that do not within a second, or at once if kill, are killed. */
void worker_wait_left(struct pool *pool, bool kill);
/** Why the pool is broken. Borrowed until its end. */
const char *worker_broken_why(struct pool *pool);
/** Err BROKEN, with why, of a pool that is; else OK. */
muster_err worker_broken(struct pool *pool, const char *operation);

/* ---- a pool's life (pool.c) ---- */

/** The handle of a pool, rebuilt from itself. */
muster_handle pool_handle(const struct pool *pool);
/** Of a branch: that of its home. */
static inline muster_handle pool_home_handle(const struct pool *pool)
{
    return pool_is_home(pool) ? pool_handle(pool) : pool->share.home;
}
/** A part of a pool; the options are right. Errors: NOMEM. */
muster_err pool_make(const muster_pool_options *options, const struct share *share, muster__function initializer,
                     muster__function finalizer, muster_pool *made);
/** Starts this part's workers. */
muster_err pool_start(struct pool *pool);
/** How many tasks were submitted to it, so far. */
int64_t pool_submitted(struct pool *pool);
/** Whether all its tasks have ended, or it is over. */
bool pool_is_done(struct pool *pool);
/** Waits for that. Errors: as sched_wait. */
muster_err pool_await_done(const struct seat *seat, int64_t deadline_ns);
/** To a state that comes later; false: it is in that or in a later one. */
bool pool_raise(struct pool *pool, enum pool_state to);
void pool_terminate(struct pool *pool);
/** Its end lets nobody in any more and has its workers leave, which this waits for; then it is cleaned. False: it is
 * another one's to end, or was ended. */
bool pool_destroy(muster_handle handle);

/* ---- deaths (recover.c) ---- */

/* what the sweeper knows about the death */
struct death {
    struct seat seat; /* the sweeper in the dead one's lane */
    struct muster__member_info info;
    muster_err limit; /* which one it has overrun: TIMEOUT, NOMEM; then nothing is tried again */
    bool host;        /* of a whole host, which was lent work: nothing says that a task was at fault */
};
/** What is said about what it was running. */
void recover_error(const struct death *death, struct muster_task_error *error, int64_t index,
                   muster__function function);
void recover_queue_again(const struct death *death, struct record *record, uint32_t index);
void recover_lane(struct pool *pool, struct lane *lane, uint32_t self);
void recover_sweep(struct muster__object *object, uint32_t generation, uint32_t dead, uint32_t self);
void recover_child_died(uint32_t member, uint32_t self);

/* ---- what the rooms above have registered, before main ---- */

/* records that are no tasks */
struct sched_kind {
    /** It is RUNNING by the seat's lane. */
    void (*run)(const struct seat *seat, struct record *record, uint32_t index);
    /** It was RUNNING by the dead one's lane: ends it, or queues it again. */
    void (*died)(const struct death *death, struct record *record, uint32_t index);
    /** Of pieces: looks whether the task that they are parts of has ended, and then ends it; in the seat's name. */
    void (*look)(const struct seat *seat, record_ref task);
    /** That task is RUNNING by the seat's lane: it is to be ended, by who has begun that or a successor. */
    void (*end)(const struct seat *seat, struct record *record, uint32_t index);
};
extern struct sched_kind sched_kinds[RECORD_KINDS];

enum parts_word { PARTS_CLOSE, PARTS_JOIN, PARTS_TERMINATE, PARTS_END, PARTS_CANCEL };

/* what the parts of a pool on other hosts do; home asks and tells them only if it has branches */
struct pool_parts {
    /** The share of home of so many workers on ranks from first on; the branches' shares by host. Free *shares. Errors:
     * INVAL, NOMEM. */
    muster_err (*plan)(int all_workers, int first, int ranks, struct share *home, struct share **shares);
    /** Home: makes the branches. Errors: those of their hosts. */
    muster_err (*make)(struct pool *pool, const muster_pool_options *options, const struct share *shares);
    /** Home: has all branches do it, and waits for them. */
    muster_err (*tell)(struct pool *pool, enum parts_word word, int64_t timeout_ms);
    /** Home: has all branches cancel what is pending, and what was lent before that number. */
    muster_err (*cancel)(struct pool *pool, uint64_t number);
    /** Asks the pool's home, which is another host. */
    muster_err (*ask_home)(muster_pool pool, enum parts_word word, int64_t timeout_ms, const char *operation);
    /** Home: has a branch kill a task that it was lent. */
    void (*kill)(struct pool *pool, int branch, record_ref task);
};
extern const struct pool_parts *pool_parts; /* NULL: all pools are of one host */

/* operations of a pool, whose steps are filled in before main by offload (FETCH) and by pool (those of its tasks) */
enum { POOL_FETCH, POOL_ENDED, POOL_GROUP_ENDED, POOL_GET, POOL_OPS };
extern struct muster__op pool_ops[POOL_OPS];

static inline muster_err pool_tell_parts(struct pool *pool, enum parts_word word, int64_t timeout_ms)
{
    return pool->share.branches ? pool_parts->tell(pool, word, timeout_ms) : MUSTER_OK;
}

#include "sched/any.h"
#include "sched/follow.h"

#endif
