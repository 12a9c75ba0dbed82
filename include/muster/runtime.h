/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Start, end and identity of a muster program.
 */
#ifndef MUSTER_RUNTIME_H
#define MUSTER_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <muster/error.h>
#include <muster/topology.h>

/*
 * Where calls are made: reports of what waits name the call, the file and the line, since each function that may wait
 * is followed by one line like
 *
 *     #define muster_lock_acquire(...) MUSTER_SITED(muster_lock_acquire, __VA_ARGS__)
 *
 * which notes the place in a variable of the thread, in three instructions, and calls the function. The function is
 * there as before: its name alone is its address, and (muster_lock_acquire)(lock, timeout) is a call without a note,
 * for which reports name the last place that was noted before. What is nested in the arguments of a call notes its own
 * place after it. With MUSTER_NO_SITES defined before the header is included nothing is noted.
 */
#ifdef MUSTER_NO_SITES
#define MUSTER_SITED(call, ...) call(__VA_ARGS__)
#else
#ifdef __FILE_NAME__
#define MUSTER_SITE_(call) #call " at " __FILE_NAME__ ":" MUSTER_VERSION_TEXT(__LINE__)
#else
#define MUSTER_SITE_(call) #call " at " __FILE__ ":" MUSTER_VERSION_TEXT(__LINE__)
#endif
#ifdef __cplusplus
/* begins with a name, so that it may be qualified: ::muster_lock_acquire(lock, timeout) */
#define MUSTER_SITED(call, ...) muster_sited(MUSTER_SITE_(call), call)(__VA_ARGS__)
extern "C" MUSTER_API __thread const char *muster_site __attribute__((tls_model("initial-exec")));
template <class function> inline function *muster_sited(const char *site, function *call)
{
    muster_site = site;
    return call;
}
#else
#define MUSTER_SITED(call, ...) ((void)(muster_site = MUSTER_SITE_(call)), call(__VA_ARGS__))
extern MUSTER_API __thread const char *muster_site __attribute__((tls_model("initial-exec")));
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define MUSTER_VERSION_MAJOR 0
#define MUSTER_VERSION_MINOR 2
#define MUSTER_VERSION_PATCH 0

#define MUSTER_VERSION_TEXT_(x) #x
#define MUSTER_VERSION_TEXT(x)  MUSTER_VERSION_TEXT_(x)
/** "major.minor.patch" of these headers. */
#define MUSTER_VERSION                                                                                                 \
    MUSTER_VERSION_TEXT(MUSTER_VERSION_MAJOR)                                                                          \
    "." MUSTER_VERSION_TEXT(MUSTER_VERSION_MINOR) "." MUSTER_VERSION_TEXT(MUSTER_VERSION_PATCH)

/*
 * Structures that grow: options, and what the library tells (info, status, progress, errors), end in reserved words. A
 * later version may give them a meaning, of which zero is the default: programs that were built before keep theirs.
 * So options are made by an initializer, { .workers = 4 } or {0}, and never word by word. A reserved word that is not
 * zero is err INVAL: the program was made for a newer muster than it runs with. What the library tells has zero there.
 */

/** Timeouts are milliseconds in an int64_t; these two are the special values. */
#define MUSTER_NOWAIT  INT64_C(0)
#define MUSTER_FOREVER INT64_C(-1)

/**
 * What names an object anywhere in the job: a plain value of 16 bytes that may be copied into arguments, messages
 * and shared memory. An all-zero handle names nothing (err STALE).
 */
typedef struct muster_handle {
    uint32_t kind_home; /**< kind in the high 8 bits, home host in the low 24 */
    uint32_t slot;
    uint32_t generation;
    uint32_t job; /**< tells handles of another job apart */
} muster_handle;

/** Which host an object is at home on, or a process runs on, in options: that of a rank. All zero: the default told at
 * the field. */
typedef struct muster_on {
    int rank_plus_1;
} muster_on;

/** On the host of that rank. One that the job has not: err INVAL from the call whose options it is in. */
static inline muster_on muster_on_rank(int rank)
{
    muster_on on;
    on.rank_plus_1 = rank < 0 || rank == INT32_MAX ? rank : rank + 1; /* a negative one stays one */
    return on;
}

/** What most kinds of objects may be given when they are made; NULL, or all zero, is a good default. */
typedef struct muster_object_options {
    const char *name;     /**< shown in messages; copied, cut at 31 bytes; NULL: none */
    muster_on on;         /**< where its home is, best with who uses it most: muster_on_rank(n); all zero: this rank's
                               host */
    uint64_t reserved[4]; /**< zero */
} muster_object_options;

typedef enum muster_log_level {
    MUSTER_LOG_DEFAULT, /**< MUSTER_LOG from the environment (error, warn, info, debug), else warn */
    MUSTER_LOG_ERROR,
    MUSTER_LOG_WARN,
    MUSTER_LOG_INFO,
    MUSTER_LOG_DEBUG
} muster_log_level;

/** What follows when a wait is found that nobody can end any more: see muster_options. */
typedef enum muster_deadlock {
    MUSTER_DEADLOCK_DEFAULT, /**< MUSTER_DEADLOCK from the environment (off, report, error, exit), else error */
    MUSTER_DEADLOCK_OFF,     /**< nobody looks */
    MUSTER_DEADLOCK_REPORT,  /**< a report on stderr: who waits for what, held by whom, since when, in which call */
    MUSTER_DEADLOCK_ERROR,   /**< the report, and the waits end with err DEADLOCK */
    MUSTER_DEADLOCK_EXIT     /**< the report, and the job ends with exit code 70 */
} muster_deadlock;

/** How to start. All zero is a good default; the environment variable named on a field overrides a zero there. */
typedef struct muster_options {
    bool spmd;                  /**< muster_init returns on every rank, not on rank 0 alone */
    bool no_launch;             /**< without a launcher run on one rank, rather than under mpirun with one rank a
                                     core (MUSTER_LAUNCH=0) */
    bool no_signals;            /**< leave SIGINT, SIGTERM and SIGUSR1 alone */
    bool show_topology;         /**< print who sits where, on stderr, at start (MUSTER_TOPOLOGY=1) */
    muster_placement placement; /**< where ranks go (MUSTER_PLACEMENT=compact|spread|numa|l3|none) */
    muster_log_level log_level; /**< least severe message shown (MUSTER_LOG) */
    size_t segment_bytes;       /**< address space of the host segment; touched pages alone cost memory.
                                     0: half the host's memory (MUSTER_SEGMENT_MIB) */
    int spare_children;         /**< children each rank keeps forked ahead; 0: one, once the first was started;
                                     negative: none */
    int64_t deadlock_ms;        /**< for how long all must have waited in vain before that is a deadlock; 0: 5000
                                     (MUSTER_DEADLOCK_MS); 100 to 3600000 */
    muster_deadlock deadlock;   /**< what follows then (MUSTER_DEADLOCK) */
    bool lock_order;            /**< warn of locks that are taken in orders that could deadlock (MUSTER_LOCK_ORDER=1) */
    uint64_t reserved[2];       /**< zero */
} muster_options;

/**
 * Starts muster: initializes MPI unless the program has, makes the host segment, places and pins ranks, and forks each
 * rank's nursery (children are forked from it later, so they see the program's memory as it was here).
 * Rank 0 returns; the others serve work and leave the process at the end, unless options->spmd. Where the program has
 * initialized MPI, and so finalizes it, they return at the end, with err CLOSED: see muster/mpi.h, also for threads.
 * Without a launcher the program starts itself again under mpirun, with one rank per core. Call once, from the main
 * thread, before other threads exist. A copy that the program makes by fork() is nobody of the job: its calls fail with
 * STATE. Collective. Errors: STATE (called twice, or in a child), MPI, SYSTEM, NOMEM (segment), BROKEN (ranks run
 * different binaries), INVAL (spmd not on all ranks alike), UNSUPPORTED (MPI's thread level, on several hosts), CLOSED
 * (this rank has served).
 * Threads: main. In tasks: no. Blocks: until all ranks have come. Hosts: none.
 */
MUSTER_API muster_err muster_init(int *argc, char ***argv, const muster_options *options);

/**
 * Ends muster: closes what is open, ends children, lets the other ranks leave, finalizes MPI if muster_init had
 * initialized it: else MPI goes on, and what the program does with it. Returns the exit code for main: 0, or 130 / 143
 * / 75 after SIGINT / SIGTERM / SIGUSR1. Collective in SPMD mode, in which ranks work for pools until the last one has
 * come; rank 0 alone otherwise.
 * Threads: main. In tasks: no. Blocks: until all ranks have left. Hosts: none.
 */
MUSTER_API int muster_finalize(void);
#define muster_finalize(...) MUSTER_SITED(muster_finalize, __VA_ARGS__)

/**
 * In SPMD mode, on ranks other than 0: works for in-rank pools until rank 0 calls muster_dismiss. Its n-th return with
 * MUSTER_OK belongs to rank 0's n-th muster_dismiss, as collective calls of MPI belong together: who comes late returns
 * at once. What was submitted and not begun by then is left to whoever works, or comes again. Ranks also work while
 * they wait in the pool's functions; in muster_finalize; and, outside of tasks and without a deadline, in
 * muster_barrier_wait, muster_event_wait, muster_counter_wait, muster_process_join and muster_queue_join, whose end
 * they may thus hear of later, by a task. A task that waits for what a main program does next may so be one that keeps
 * it from that. A pool's initializer runs once in each rank that works; its finalizer in those that are in muster_serve
 * or muster_finalize when the pool ends. After a signal it goes on: that is for rank 0 to end. Errors: TIMEOUT (the
 * round goes on: serve again), CLOSED (rank 0 has called muster_finalize), STATE (on rank 0, not in SPMD mode, in a
 * child).
 * Threads: main. In tasks: no. Blocks: up to timeout_ms and to the end of a task that it runs. Hosts: any.
 */
MUSTER_API muster_err muster_serve(int64_t timeout_ms);
#define muster_serve(...) MUSTER_SITED(muster_serve, __VA_ARGS__)
/**
 * In SPMD mode, on rank 0: lets all ranks leave muster_serve, each after the task it runs; waits for none. What they do
 * for others must have ended: map, get or join first. Errors: STATE (on another rank, not in SPMD mode), NOMEM.
 * Threads: main. In tasks: no. Blocks: no. Hosts: any.
 */
MUSTER_API muster_err muster_dismiss(void);

/* Each of these, at any time: Threads: any. In tasks: yes. Blocks: no. Hosts: none. */
/** True when a launcher (mpirun, srun) started this process as a rank; any time. False before muster_init: it is going
 * to start ranks itself, so that what needs none, like --help or a mistake in the arguments, can be dealt with first.
 */
MUSTER_API bool muster_launched(void);
/** This process's rank (a child: the rank that hosts it); 0 before muster_init. */
MUSTER_API int muster_rank(void);
/** Number of ranks in the job; 1 before muster_init. */
MUSTER_API int muster_ranks(void);
/** Number of hosts in the job. */
MUSTER_API int muster_hosts(void);
/** Name of this host. Borrowed for ever. */
MUSTER_API const char *muster_host(void);
/** True in a child process (isolated worker or muster_process), false in a rank. */
MUSTER_API bool muster_is_child(void);

/**
 * The signal that asked the job to stop (SIGINT, SIGTERM or SIGUSR1), or 0. After one, waits of rank 0's main program
 * return err INTERRUPTED so that it can save what is finished.
 * Threads: any. In tasks: yes. Blocks: no. Hosts: none.
 */
MUSTER_API int muster_interrupted(void);

/**
 * Version of the library linked at run time, "major.minor.patch".
 * Threads: any. In tasks: yes. Blocks: no. Hosts: none.
 */
MUSTER_API const char *muster_version(void);

#ifdef __cplusplus
}
#endif
#endif
