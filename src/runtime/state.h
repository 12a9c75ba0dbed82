/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside of the runtime layer: the tables in the segment and what this process knows of itself. Not for other folders.
 */
#ifndef MUSTER_RUNTIME_STATE_H
#define MUSTER_RUNTIME_STATE_H

#include "runtime/memory.h"
#include "runtime/runtime.h"
#include "topology/topology.h"
#include "transport/transport.h"

#include <sys/types.h>

enum {
    SPARES_MAX = 8,
    SEATS_MAX = 1024,
    NURSERY_MEMBER = 4096, /* nursery of local rank i calls itself member NURSERY_MEMBER + i */
    WARM_MEMBER = 1 << 30, /* its children, before they become a member: WARM_MEMBER + pid */
};

/* how far a member's process has gone; who adds the second of the two lowest frees the slot */
enum { LEFT_REAPED = 1, LEFT_RELEASED = 2 };

struct member {
    _Alignas(MUSTER__LINE) _Atomic uint32_t state; /* see member_state; while CLAIMED also by which member */
    _Atomic uint32_t left;
    _Atomic uint32_t dead;   /* its process is gone; what it held is being swept */
    _Atomic uint32_t orphan; /* asked for by one who died: perhaps nobody has told the nursery */
    _Atomic uint32_t placed; /* PLACED_... */
    _Atomic uint32_t next;   /* member + 1, in a nursery's intake */
    uint32_t parent;
    int32_t nursery; /* local rank */
    int32_t seat;    /* -1: none */
    _Atomic int32_t pid;
    /* how it ended, in one store: 0 not yet, else OUTCOME_EXIT | code, OUTCOME_SIGNAL | signal, OUTCOME_ERRNO | errno
     */
    _Atomic uint32_t outcome;
    _Atomic uint32_t signals; /* asked for: bit s */
    _Atomic uint32_t overran;
    _Atomic uint32_t wanted; /* its end was asked for by a signal of ours */
    _Atomic int64_t deadline_ns;
    _Atomic uint64_t memory_turn; /* see memory.c; tasks with and without a limit, counted, and MEMORY_OVER */
    _Atomic uint64_t memory_limit, memory_base;
    uint64_t memory_bytes; /* what it had when it was found over its limit; of the kernel's victims: at most, in all */
    _Atomic uint32_t victim; /* of the kernel's out-of-memory killer */
    struct muster__event changed;
    muster__function main;
    muster__ref arg;
    uint64_t arg_bytes;
    char name[32];
};
#define MEMORY_WATCHED UINT64_C(1)
#define MEMORY_OVER    (UINT64_C(1) << 63)
enum { PLACED_NOT, PLACED_BOUND, PLACED_FREELY };
enum { OUTCOME_EXIT = 1 << 16, OUTCOME_SIGNAL = 2 << 16, OUTCOME_ERRNO = 3 << 16, OUTCOME_VALUE = 0xffff };

/* A child forked ahead. Whoever starts a member takes a ready one by one compare-exchange of `go`; the nursery hears of
 * it later. */
struct spare {
    _Atomic uint32_t go;   /* SPARE_NONE, SPARE_READY, or SPARE_TAKEN + the member it becomes */
    _Atomic uint32_t gone; /* it has left this slot */
    _Atomic int32_t pid;
};
enum { SPARE_NONE, SPARE_READY, SPARE_TAKEN };

struct nursery {
    _Alignas(MUSTER__LINE) _Atomic uint32_t bell;
    _Atomic uint32_t intake; /* member + 1 */
    _Atomic uint32_t stop;
    _Atomic uint32_t orphans;      /* look for members marked as such */
    _Atomic uint32_t continued;    /* the launcher has sent its rank SIGCONT: look what for */
    _Atomic int32_t pid;           /* 0: not there (any more) */
    _Atomic uint32_t memory_looks; /* it looks at its children's memory */
    _Atomic uint64_t killer_file;  /* where it looks for those whom the kernel has killed */
    _Atomic uint64_t killer_told;  /* so many are known; of the first one that looks there */
    uint32_t rank_caller;          /* of the rank's main thread */
    struct spare spares[SPARES_MAX];
};

struct seat_state {
    struct muster__seat seat;
    _Atomic int32_t load;
};

/* ranks wait for each other asleep: where they outnumber cores, an MPI barrier would take these from who is late */
struct meeting {
    _Atomic uint32_t arrived;
    struct muster__event complete;
};

/* behind ROOT_RUNTIME */
struct tables {
    uint32_t job;
    int32_t host, hosts, ranks, locals;
    int32_t spares;
    bool bind; /* seats are of this machine, and the placement says so */
    int32_t seat_count;
    char host_name[64];
    bool launcher_bound;                           /* ranks stay where the launcher has put them */
    _Atomic uint32_t stop;                         /* ranks leave muster__runtime_serve */
    _Atomic uint32_t rounds_ended, no_more_rounds; /* of muster_serve */
    _Atomic uint32_t death_told;                   /* what a rank of this host did before it died */
    _Atomic uint32_t exit_code;                    /* not 0: SIGTERM has ranks end with it, at once */
    _Atomic uint32_t launcher_ends;                /* mpirun was told to stop, and ends its ranks */
    _Atomic uint32_t launcher_told;                /* by which signal; 0: that is not known */
    struct meeting meetings[2];                    /* of all ranks of the host, at the end */
    _Atomic uint32_t member_hint, members_high;
    uint64_t members_offset, nurseries_offset, seats_offset, cpusets_offset, ranks_offset, topology_offset;
};

/* this process; inherited over fork */
struct self {
    struct tables *tables;
    struct muster__world world; /* ranks alone */
    uint32_t member;
    bool is_child, spmd, started, running, heeds_signals;
    pid_t rank_pid; /* that of the rank which hosts us */
    pid_t launcher; /* its parent */
    int log_level;
};
extern struct self muster__me;

static inline struct member *member_at(uint32_t member)
{
    return (struct member *)muster__at(muster__me.tables->members_offset) + member;
}
static inline struct nursery *nursery_at(int local)
{
    return (struct nursery *)muster__at(muster__me.tables->nurseries_offset) + local;
}
static inline struct seat_state *seat_at(int seat)
{
    return (struct seat_state *)muster__at(muster__me.tables->seats_offset) + seat;
}
static inline int32_t *rank_at(int local)
{
    return (int32_t *)muster__at(muster__me.tables->ranks_offset) + local;
}

/* While a member is CLAIMED, by whom stands in the same word: a claim whose owner dies is found however little of it
 * was made. */
enum { STATE_BITS = 8 };
static inline enum muster__member_state member_state(uint32_t member)
{
    return (enum muster__member_state)(atomic_load(&member_at(member)->state) & ((1 << STATE_BITS) - 1));
}
static inline uint32_t member_claimed_by(uint32_t owner)
{
    return owner << STATE_BITS | MUSTER__MEMBER_CLAIMED;
}

/* members.c */
void member_ring_nursery(int local);
void member_set_outcome(uint32_t member, uint32_t outcome);
/** Ends what the nursery knows of a member: the seat, and the slot if its owner has released it already. */
void member_reaped(uint32_t member);
/** Frees a slot that was claimed and never started. */
void member_free_claim(uint32_t member);
/** Least loaded seat, near a member's; raises its load. */
int seat_take(uint32_t nearby);
/** The free seat that would be taken now; -1: none is free. */
int seat_guess(uint32_t nearby);
void seat_give_back(int seat);

/* report.c */
/** Makes the counters if rank 0's environment asks for them. Collective over the job. */
muster_err report_start(const struct muster__world *world);
/** Shows them, or writes them, on rank 0: those of all hosts where all came to this point, else its host's. Collective
 * over the job if politely. */
void report_counters(bool politely);

/* death.c */
/** Whether a member's process is gone, or will be reaped next. */
bool member_dead(uint32_t member);
/** All that follows a child's death; status as wait's. */
void member_died(uint32_t member, int status);
/** In a rank: when its nursery was killed, its children's deaths are published and swept here. */
void nursery_check(void);

/* functions.c */
enum { MODULES_MAX = 1024, FUNCTIONS_TABLE_BYTES = MODULES_MAX * (sizeof(struct muster__module) + 8) };
/** Hash of the executable's build id; 0: it has none. */
uint64_t functions_build_id(void);
/** Likewise of what muster is in: its library, or the executable. */
uint64_t functions_library_id(void);

/* nursery.c */
muster_err nursery_start(int local);
void nursery_stop(int local);

/* child.c */
/** In the nursery: what all its children inherit. */
void children_prepare(void);
/** In a freshly forked child, before it is known which member it becomes. */
void child_warm_up(void);
/** In a warm child; never returns. */
_Noreturn void child_run(uint32_t member);

/* ---- fork.c ---- */

/** From now on copies that the program forks are nobody of the job. */
void fork_watch(void);
/** fork(), of one who becomes somebody. */
pid_t fork_own(void);

/** Starts a member in a ready spare; false: there is none. */
bool member_take_spare(int local, uint32_t number);

/* place.c */
muster_err place_host(struct muster__topology *topology, const muster_options *options, struct muster__cpuset *cpusets);
void place_self(uint32_t member);
/** The calling thread of that member allocates near its seat. */
void place_memory(uint32_t member);
/** In a spare: goes where the next child will most likely sit, so that it wakes up there. */
void place_spare(uint32_t rank_member);
/** What a member is bound to, or will be; false: that is not known yet. */
bool place_of(uint32_t member, struct muster__cpuset *cpus);
void place_picture_if_asked(const muster_options *options);

/* launch.c */
muster_err launch_self(int *argc, char ***argv, const muster_options *options);

/* signals.c */
void signals_install(void);
/** Has the main program's waits end; async-signal-safe. */
void signals_stop(int signal);
void signals_restore(void);
void signals_reset_in_child(void);
/** See struct muster__hosts; nothing is registered where nobody operates on objects. */
muster_err hosts_start(const struct muster__world *world);
int signals_exit_code(void);
/** mpirun was told to stop: it kills the ranks soon, and no longer takes part in what ends MPI. */
bool signals_launcher_ends_job(void);
/** In rank 0, on its way out: mpirun would wait for ever for ranks of a lost host. */
void signals_end_launcher(void);

/* lookout.c; in nurseries */
void lookout_start(int local);
/** Whether the launcher ends its ranks, where it has sent them SIGCONT; gives when to look again. */
int64_t lookout_look(struct nursery *nursery);

/* crash.c */
void crash_install(void);
void crash_restore(void);

/* watch.c */
void watch_begin(void);
muster_err watch_start(const struct muster__world *world, const muster_options *options);
/** What sleepers of this process look at from now on. */
void watch_look_begin(void);
void watch_stop(void);

/* serve.c */
/* a wait in which the rank works */
struct serving {
    bool (*over)(void *arg);
    void *arg;
    uint32_t stands_by; /* MUSTER__FOR_... */
    enum muster__how how;
    int64_t deadline_ns; /* when it is to be asked again at the latest */
};
void serve_until(const struct serving *serving);
bool serve_stopped(void *unused);
/** From now on a rank's main works, or no more, while it waits for what takes nothing. */
void serve_meanwhile(bool on);
/** In rank 0: ends a round of muster_serve on all hosts, or all that will ever be. */
muster_err rounds_end(bool all);

/* stop.c */
const struct muster__hosts *hosts_registered(void);
/** Has exit() end the job, or say why it cannot. */
void stop_at_exit(void);

#endif
