/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The watch: notices that the job stands still, and says who waits for what.
 *
 *   state     what one caller is about, as its record in the segment tells others
 *   still     whether nothing on this host can end a wait: every caller waits without a deadline, or is idle, each has
 *             looked since the last one began, no child is about to start or to die, no thread or process is unknown
 *   circle    callers of which each waits for what the next one holds: in vain, whatever the others do
 *   hosts     the same over several hosts: by what their agents tell each other with their beats
 *   view      who waits for what on a host, in a form that travels; report: in words
 *   verdict   what follows
 *
 * Why nothing is in flight when a host stands still. All were in the same waits from the moment when the last one began
 * to the end; a wait that ends, or an idle worker that takes a task, is another one in its record. Since that moment
 * each of them has looked again at what it waits for, and so has whoever serves (nurseries, agents, carriers): so what
 * was on its way then has arrived, and has ended no wait. Who is stopped, or has not run yet, has not looked. Nobody
 * else acts: a thread that never came to muster, a child that was forked and has not come, a death that is not swept
 * yet, are seen in what the kernel tells of the job's processes.
 *
 * Between hosts the same holds of each host, and no message is under way: rank 0's host asks twice, and each time all
 * hosts stand still as before, with the same numbers of messages sent and received, which add up. The second question
 * was asked after the first one was answered by all, so at that moment all of this was true at once.
 *
 * Who looks: on one host the main thread of its lowest rank, when it has slept for half a second, which it does when
 * the host stands still; on several the agents. Circles are looked for by those who have waited for long. A job in
 * which nobody waits for long pays nothing for it.
 */
#ifndef MUSTER_WATCH_WATCH_H
#define MUSTER_WATCH_WATCH_H

#include "remote/remote.h"

enum { WATCH_EXIT_CODE = 70, WATCH_THREADS_MAX = 255 };
#define WATCH_PERIOD_NS INT64_C(450000000) /* a little less than a sleeper's half second */

/* ---- table.c: what all processes of the host share ---- */

struct watch_table {
    int32_t what; /* enum muster_deadlock */
    int64_t limit_ns;
    _Atomic uint32_t off;         /* the job ends */
    _Atomic int64_t next_look_ns; /* when circles are looked for again */
    _Atomic int64_t far_ns;       /* when somebody last saw a long wait for what another host's caller may hold */
    struct watch_threads {        /* of a rank that are not the program's: MPI's and ours; count 0: not known */
        int32_t count;
        int32_t thread[WATCH_THREADS_MAX];
    } threads[]; /* by local rank */
};
/** NULL: there is no watch (yet, or any more). */
struct watch_table *watch_table(void);

/* ---- state.c ---- */

enum watch_state {
    WATCH_GONE,      /* there is none of that number */
    WATCH_ELSEWHERE, /* it computes, or waits for something that is not muster's */
    WATCH_TIMED,     /* it waits, up to a deadline */
    WATCH_WAITS,     /* it waits without */
    WATCH_IDLE,      /* for work */
    WATCH_SERVES,    /* it acts when others ask */
};
struct watch_caller {
    enum watch_state state;
    uint32_t member, incarnation;
    int64_t since_ns; /* names the wait */
    uint32_t looks;
    int32_t thread;
};
struct watch_caller watch_caller(uint32_t number);
/** Whether who serves is looked after by another one, whose looks count. */
bool watch_rests(uint32_t number);

/* one wait of one caller */
struct watch_wait {
    int32_t host;
    uint32_t caller, incarnation;
    int64_t since_ns;
};
/** Whether it still goes on; of this host. */
bool watch_goes_on(const struct watch_wait *wait);

/* ---- process.c: what the kernel says ---- */

struct watch_process {
    char state; /* as in /proc/<pid>/stat; 0: there is none */
    int64_t ticks;
};
struct watch_process watch_process(int64_t pid);
/** The threads of a process, at most room; -1: more, or it cannot be told. */
int watch_process_threads(int64_t pid, int32_t *threads, int room);

/* ---- still.c; by one thread of the host's lowest rank ---- */

struct watch_still {
    uint64_t identity; /* of the waits of all; 0: it does not stand still */
    int64_t since_ns;  /* from when on */
    bool confirmed;    /* all have looked since */
};
struct watch_still still_look(void);
/** A closer look, when that has lasted: whether nothing else can end a wait. */
bool still_sure(void);

/* ---- graph.c: who waits for whom; nodes are numbers below `nodes` ---- */

struct graph_edge {
    uint32_t from, to;
};
/** Finds a circle; *path holds its nodes in order, at most `nodes`. Returns how many; 0: there is none, -1: no memory.
 * The edges are sorted. */
int graph_circle(uint32_t nodes, struct graph_edge *edges, size_t count, uint32_t *path);

/* ---- circle.c ---- */

/** Looks for circles on this host, among waits that began before then, and concludes if there is one. Returns whether
 * there is one; whole: also of those that were told before. */
bool circle_look(struct watch_table *table, int64_t before_ns, bool whole);

/* ---- view.c ---- */

struct view_line {
    int32_t host, rank;
    uint32_t caller, incarnation, member;
    int32_t pid, thread;
    uint32_t state;       /* enum watch_state */
    uint32_t operation;   /* or MUSTER__FOR_... */
    uint8_t stopped;      /* its process is */
    uint8_t is_rank;      /* a rank's main thread */
    uint8_t told;         /* that its wait is in vain */
    muster_handle object; /* as its home names it; all zero: none */
    int64_t since_ns, waited_ns;
    char who[64];
    char call[MUSTER__LINE];
};
struct view_hold {
    muster_handle object;
    int32_t host;
    uint32_t caller; /* 0: the host as a whole */
};
struct view_object {
    muster_handle object;
    char name[64], facts[96];
};
/* of one host */
struct view {
    struct view_head {
        int32_t host, ranks;
        uint32_t lines, holds, objects, objects_left_out;
        char host_name[64];
    } head;
    struct view_line *line;
    struct view_hold *hold;
    struct view_object *object;
};
/** Of the host that this process is attached to; all: also objects that nobody waits for. False: no memory. */
bool view_make(struct view *view, bool all);

/* ---- parcel.c ---- */

void view_free(struct view *view);
/** As bytes; NULL: no memory. Gives (free). */
void *view_pack(const struct view *view, size_t *size);
/** False: these are none, or no memory. */
bool view_unpack(struct view *view, const void *bytes, size_t size);

/* ---- report.c ---- */

typedef void (*report_say)(void *to, const char *line);
/** Who waits for what on n hosts, a line for all who are about the same. */
void report_roll(const struct view *views, int n, report_say say, void *to);
/** The circle, in a line each. */
void report_circle(const struct view *views, int n, const struct watch_wait *circle, int length, report_say say,
                   void *to);
/** "lock 3 'jobs' of host n02". */
void report_object(const struct view *views, int n, muster_handle object, char *text, size_t size);

/* ---- status.c: who asks from outside; by the lowest rank of each host ---- */

/** Begins to answer; without a socket or a thread for it the job runs all the same, and says so. */
void status_start(void);
void status_stop(void);
/** By the agent: whether somebody wants to hear of all hosts. */
bool status_asked(void);
/** Gives the views of all hosts, and all they hold. False: nobody wants them any more. */
bool status_take(const struct view *views, int n);

/* ---- verdict.c ---- */

struct verdict {
    const struct watch_wait *circle; /* NULL: all wait */
    int length;
    int64_t lasted_ns;
};
/** Says it in the log, with who waits for what there. */
void verdict_say(const struct verdict *verdict, const struct view *views, int n);
/** Of this host: the waits have been told; they end, or the job does, as the job wants it. */
void verdict_carry_out(const struct watch_wait *waits, int n);
/** The waits of all callers of this host that wait; gives (free), NULL: none, or no memory. */
struct watch_wait *verdict_all_waits(int *n);

#endif
