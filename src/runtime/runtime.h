/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runtime: what a rank and a child are, how functions travel, who forks children and who notices their death.
 *
 *   member    a process of this host that uses muster: a rank or a child; its number is what callers belong to
 *   nursery   the small process each rank forks in muster_init; forks and reaps the rank's children
 *   service   work that ranks do while they serve: the layer above tells how (pools)
 *
 * State that others read lives in the segment (ROOT_RUNTIME: members and nurseries, ROOT_MODULES, ROOT_SEATS).
 */
#ifndef MUSTER_RUNTIME_RUNTIME_H
#define MUSTER_RUNTIME_RUNTIME_H

#include "segment/segment.h"

/* ---- start and end; called by muster_init and muster_finalize (src/api) alone ---- */

muster_err muster__runtime_start(int *argc, char ***argv, const muster_options *options);
/** Serves until rank 0 finalizes; for ranks other than 0 that are not in SPMD mode. */
void muster__runtime_serve(void);
/** Ends children, the nursery and MPI; returns main's exit code. */
int muster__runtime_stop(void);

/** STATE with a text when muster is not running in this process; else enters the calling thread as caller. */
muster_err muster__runtime_require(const char *operation);

/* ---- members ---- */

enum {
    MUSTER__MEMBERS_MAX = 4096,
    MUSTER__STANDINS = 1 << 29, /* 2^29 to 2^30 - 1: members that stand in for callers of other hosts */
};

enum muster__member_state {
    MUSTER__MEMBER_FREE,
    MUSTER__MEMBER_CLAIMED, /* being filled in by its owner */
    MUSTER__MEMBER_ASKED,   /* a nursery will fork it */
    MUSTER__MEMBER_ALIVE,
    MUSTER__MEMBER_ENDED, /* status is final; kept until released */
};

/* who this process is; -1 and NULL before start */
uint32_t muster__member_self(void);
int muster__member_rank(uint32_t member);
const char *muster__host_name(void);
/** Number of ranks on this host, and the member number of each: ranks are members 0 .. host_ranks-1, in rank order. */
int muster__host_ranks(void);
/** Global rank of a host-local one. */
int muster__rank_of_local(int local);
/** The caller number of a rank's main thread, to ring it. */
uint32_t muster__rank_caller(int local);
/** Seat (index into the seats table) of a member, and how far two members are apart (muster__seat_distance). */
int muster__member_distance(uint32_t a, uint32_t b);
/** Cores of this host's that nobody uses; negative: that many more users than cores. */
int muster__seats_free(void);
/** An in-rank worker begins (+1) or ends (-1) to use this rank's seat; children are counted by the runtime itself. */
void muster__rank_occupies(int local, int change);

/* ---- function handles: (module, offset); a module is known by its build id, and so on every host ---- */

typedef uint64_t muster__function; /* 0 names none */

/** Names a function. Errors: NOFUNC (in no loaded module, or in one without build id). Cached: a few ns the second
 * time. */
muster_err muster__function_name(const void *pointer, muster__function *function);
/** The function in this process. Errors: NOFUNC (its module is not loaded here; which is said). */
muster_err muster__function_find(muster__function function, void **pointer);
/* Modules whose functions were named on this host, in the order of their first naming: for processes and hosts that
 * have not loaded them. */
struct muster__module {
    uint64_t id; /* hash of the build id */
    char path[240];
};
int muster__modules_count(void);
struct muster__module muster__module_at(int index);
struct muster__module muster__module_of(muster__function function);
/** Makes a module of another host known here, too. Errors: NOFUNC (the table is full). */
muster_err muster__module_note(const struct muster__module *module);
/** "square" or "simulate+0x1234", for messages. */
void muster__function_describe(muster__function function, char *text, size_t size);

/* ---- children ---- */

/* what a child runs after it was forked, in the child; its result is the exit code */
typedef int (*muster__child_main)(const void *arg, size_t size_bytes);

struct muster__child {
    muster__child_main main;
    const void *arg; /* copied */
    size_t size_bytes;
    const char *name; /* copied, cut at 31 bytes */
    int rank_local;   /* host-local rank whose nursery forks it; -1: the caller's own */
};

/**
 * Claims a member for a child without starting it. *member is owned by the calling member: it is killed and released
 * when that one ends. Errors: NOFUNC, NOMEM.
 */
muster_err muster__child_claim(const struct muster__child *child, uint32_t *member);
/** Asks a nursery to fork it. Errors: STATE (asked before), BROKEN (nursery gone). */
muster_err muster__child_start(uint32_t member);

struct muster__member_info {
    enum muster__member_state state;
    char name[32];
    char cores[64];
    int64_t pid;
    int rank;      /* -1 before it was asked for */
    int exit_code; /* when ENDED and signal == 0 */
    int signal;
    int system_errno; /* not 0: it could not be forked */
    bool memory_over; /* it was killed because its task was over memory_limit, with memory_bytes */
    bool victim;      /* the kernel's out-of-memory killer ended it; it had up to memory_bytes */
    uint64_t memory_bytes, memory_limit;
};
void muster__child_info(uint32_t member, struct muster__member_info *info);
/** Whether it has ended: cheap, for who waits awake. */
bool muster__child_ended(uint32_t member);
/** The event signalled at each change of its state. */
struct muster__event *muster__child_event(uint32_t member);
/** Sends a signal if it is alive or asked for. */
void muster__child_signal(uint32_t member, int signal);
/** Lets its nursery kill it at this time (MUSTER__NEVER: no limit): for time limits. From the child itself or anybody.
 */
void muster__child_limit(uint32_t member, int64_t deadline_ns);
/** Whether that is what ended it. */
bool muster__child_overran(uint32_t member);
/** Frees an ended, or a claimed and never started, member's slot. */
void muster__child_release(uint32_t member);
/** Who is told first of a death, before sweeping ends: registered once by pool. Runs in a nursery. */
extern void (*muster__child_died)(uint32_t member, uint32_t self);

/* ---- how much memory of its own a task may have, see memory.h ---- */

/* in bytes */
struct muster__memory {
    uint64_t limit; /* 0: none */
    uint64_t base;  /* what the child had when the task began */
};
/* of the task that this thread runs */
extern MUSTER__THREAD_LOCAL struct muster__memory muster__memory;

/** In a child: from now on that is looked at. One that is over its limit by now does not return. */
void muster__memory_watch(struct muster__memory memory);
/** A task begins that may take so many bytes; 0: any number. */
void muster__memory_begin(uint64_t limit);
/** The thread goes on with what it ran before. */
static inline void muster__memory_back(struct muster__memory before)
{
    if (MUSTER__UNLIKELY(before.limit | muster__memory.limit))
        muster__memory_watch(before);
}

/* ---- service: work for ranks that serve ---- */

/* all there is; a task at a time; and on top of the stack in use, so that what begins also ends before that goes on */
enum muster__how { MUSTER__WORK_ALL, MUSTER__WORK_ONE, MUSTER__WORK_ON_TOP };

struct muster__service {
    /** Runs some work for this rank if there is any. True: look again at once. */
    bool (*work)(enum muster__how how);
    /** About to sleep on the bell, until *until_ns, which may be made earlier: announce this rank as idle. False: work
     * turned up meanwhile. */
    bool (*park)(int64_t *until_ns);
    /** Awake again. */
    void (*unpark)(void);
    /** Whether something has begun here that waits, and is to go on here: then the rank serves on. */
    bool (*holds)(void);
    /** The rank serves no more, and its main goes on. */
    void (*leave)(void);
};
void muster__service_register(const struct muster__service *service);
/** Called when a process begins to end its part of the job, while all is there yet; set by the pool. NULL: nothing. */
extern void (*muster__before_stop)(void);
/** Whether the calling thread is the main one of a rank. */
bool muster__is_rank_main(void);
/** Whether the main program goes on in all ranks. */
bool muster__is_spmd(void);
/** So many rounds of muster_serve are over, or all that will ever be. In any thread of local rank 0. */
void muster__rounds_end(uint32_t ended, bool all);

/* ---- between hosts: set by the layer above that carries operations there ---- */

struct muster__world;

struct muster__hosts {
    /** Once the nursery was forked; collective over the job. */
    muster_err (*start)(const struct muster__world *world);
    /** In local rank 0: begins to wait for those of all hosts, or tells whether all have begun, for which its bell
     * rings.
     */
    bool (*meet)(bool begin);
    /** In rank 0: has muster__rounds_end called on all other hosts. False: no memory. */
    bool (*end_rounds)(uint32_t ended, bool all);
    /** In rank 0: has muster__host_stop called on all other hosts. */
    void (*stop_others)(void);
    /** In local rank 0, before MPI ends: politely, all hosts do so; else nobody is waited for. */
    void (*leave)(bool politely);
    /** Whether a host was lost: then MPI would wait for it in vain at the end. In any rank. */
    bool (*lost)(void);
};
void muster__hosts_register(const struct muster__hosts *hosts);
/** Lets the calling thread, who works in short bursts for others, run on all cores of the job here, wherever its
 * process is bound, and soon after it wakes. */
void muster__thread_serves(void);
/** Ends all objects of this host and lets its ranks leave. In any thread of local rank 0. */
void muster__host_stop(void);

/** What this host has counted, as a table. */
void muster__counters_print(FILE *file);

/* ---- the watch, who looks whether the job stands still: set by that layer ---- */

struct muster__watch {
    /** First of all, in each rank. */
    void (*begin)(void);
    /** When all else has been started; collective over the job. */
    muster_err (*start)(const struct muster__world *world, const muster_options *options);
    /** By a thread of a rank or child that sleeps, twice a second. */
    void (*look)(void);
    /** Nobody looks any more. */
    void (*stop)(void);
};
void muster__watch_register(const struct muster__watch *watch);
/** Members of this host, ranks and children, are below this. */
uint32_t muster__members_end(void);
/** Whether nothing is about to happen to this host's children: none is to be started, to be signalled, to overrun its
 * limit, or has ended without having been swept. */
bool muster__children_settled(void);
/** Ends the job, with that exit code where the launcher passes it on. In any process. */
void muster__job_end(int code);
/** Ends all ranks of this host, as a crash of the host would: those of others are not asked. In a rank. */
_Noreturn void muster__host_end(void);

/* ---- what runs now, for the report of a crash ---- */

struct muster__any;

/* in the frame of whoever calls the task's function */
struct muster__running {
    const char *what; /* "task" */
    int64_t index;
    muster__function function;
    int worker;
    const char *object;      /* "pool 3 'jobs'" */
    const void *pool;        /* the pool's own, of a task; NULL: of no task */
    uint32_t group;          /* in that pool, see there */
    struct muster__any *any; /* the pool's: what is known of the item, and where its result goes; NULL: nowhere */
};
extern MUSTER__THREAD_LOCAL struct muster__running *muster__running; /* NULL: nothing */

#endif
