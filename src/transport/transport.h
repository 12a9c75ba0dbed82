/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Transport: the only layer that sees MPI. Starts it, says who is where, gives a host its shared window.
 *
 * Collective calls are made by the main threads of all ranks of the job or the host, mail by one thread; nothing here
 * is called by children.
 */
#ifndef MUSTER_TRANSPORT_TRANSPORT_H
#define MUSTER_TRANSPORT_TRANSPORT_H

#include <muster/runtime.h>

#include "base/base.h"

struct muster__world {
    int rank, ranks;
    int local, locals;      /* this rank within its host, ranks on its host */
    int host, hosts;        /* this host's index, by its lowest rank; number of hosts */
    const int *local_ranks; /* ranks of this host in order; borrowed until transport_stop */
    const int *rank_hosts;  /* each rank's host, likewise; on local rank 0 of several hosts, else NULL */
    bool part;              /* MPI has more ranks, of which muster knows nothing */
};

/* what the launcher has told this process before main */
struct muster__launcher {
    bool launched, open_mpi; /* as a rank; by Open MPI's mpirun */
    int processes, rank;     /* of the job; 0: not told */
    int slurm_tasks, slurm_task;
    int local;         /* among the ranks of its host; -1: not told */
    char pmix_job[80]; /* "": not told */
};
const struct muster__launcher *muster__launcher(void);
/** Takes what only ranks are told out of the environment, for what this process starts. */
void muster__launcher_forget(void);
/** True when some launcher has started this process as a rank. */
bool muster__transport_launched(void);
/** Whether MPI runs, which the program has begun if this is asked before muster__transport_start. */
bool muster__transport_runs(void);
/**
 * Initializes MPI (unless the program has) and finds out who is where. Collective over the job. Errors: MPI; STATE (MPI
 * was finalized); UNSUPPORTED on all ranks, of which nothing is left then (MPI's thread level, on several hosts).
 */
muster_err muster__transport_start(int *argc, char ***argv, struct muster__world *world);
/** Whether the program had initialized MPI: then it ends it, too. */
bool muster__transport_is_programs(void);
/** Does what muster_init does, on the ranks of a communicator that was given; the layer that has muster_init sets it.
 */
extern muster_err (*muster__transport_init)(const muster_options *options);
/** Told when the program calls MPI_Finalize while muster runs, which muster__transport_stop then leaves to it. */
extern void (*muster__transport_ends)(void);
/* for what a host's processes share, bytes; of local rank 0 */
struct muster__room {
    size_t wanted, least;
    bool asked; /* by the user: that it comes to less is worth a word */
};
/**
 * Zeroed memory that all ranks of the host share, page aligned, at different addresses, and how much it has come to.
 * Collective over the host. Errors: NOMEM on all of them, of which the first one has said why; what fails on one alone
 * ends the job.
 */
muster_err muster__transport_share(const struct muster__room *room, size_t *bytes, void **memory);
void muster__transport_host_barrier(void);
/** Gives local rank 0's bytes to all of the host, or rank 0's to all of the job. */
void muster__transport_host_tell(void *bytes, size_t size);
void muster__transport_job_tell(void *bytes, size_t size);
/** Whether all ranks of the job gave the same value. */
bool muster__transport_same(uint64_t value);
/** The least (so the worst) of all ranks' codes. Collective over the job. */
muster_err muster__transport_worst(muster_err err);
/** Everybody's line of text to rank 0: lines[ranks][size], filled there alone. */
void muster__transport_gather(const void *line, size_t size, void *lines);
/** Everybody's size bytes (0: none) to rank 0, in the order of ranks: there *all is a new block of *total bytes; NULL
 * elsewhere, and where memory is short or the sum exceeds 2 GiB. */
void muster__transport_collect(const void *mine, size_t size, void **all, size_t *total);
/** Frees the window and ends MPI if start had initialized it. Collective over the job unless politely is false: then
 * MPI is left as it is. */
void muster__transport_stop(bool politely);
_Noreturn void muster__transport_abort(int code);

/* ---- mail: messages between hosts ---- */

/*
 * One thread of each host's local rank 0, its agent, sends and receives all mail. Nothing here blocks. Letters of one
 * sender arrive in the order in which they were sent.
 */
enum { MUSTER__LETTER_MAX = 64 << 10 };

/** Collective over the job. Does nothing with a single host. Errors: MPI, NOMEM. */
muster_err muster__mail_start(const struct muster__world *world);
/** Before any mail: each host's size bytes to all hosts, as all[hosts][size]. Collective over their local ranks 0. */
void muster__mail_introduce(const void *mine, size_t size, void *all);
/**
 * Sends size bytes (1 .. LETTER_MAX), which are copied. False: enough is under way to that host; try again after
 * muster__mail_poll.
 */
bool muster__mail_send(int host, const void *bytes, size_t size);
/** Gives what has arrived to receive, one letter a call; the bytes are borrowed. Returns how many. */
int muster__mail_poll(void (*receive)(int host, const void *bytes, size_t size));
/** Begins to wait for all hosts' agents (begin = true), or tells whether all of them have begun. Mail goes on. */
bool muster__mail_all_met(bool begin);
/** Collective over the agents, after all met: what nobody will receive any more is dropped. */
void muster__mail_stop(void);

/* ---- bulk: much at once, from memory to memory ---- */

/*
 * By the same thread as mail, which tells the other side of it: who sends and who receives give the same channel
 * (taken modulo CHANNELS) and size; of one host's sends to another no two under way have the same channel. The memory
 * stays theirs until done(arg) is called, from muster__bulk_poll: for what comes from one host, in the order in which
 * it was to be received.
 */
enum { MUSTER__CHANNELS = 30000 };

void muster__bulk_send(int host, uint32_t channel, const void *bytes, size_t size, void (*done)(void *arg), void *arg);
/** bytes NULL: what comes is dropped. */
void muster__bulk_receive(int host, uint32_t channel, void *bytes, size_t size, void (*done)(void *arg), void *arg);
/** Whether something has moved. */
bool muster__bulk_poll(void);
bool muster__bulk_under_way(void);
/** The host is lost: done is not called any more for what goes there or comes from there, and that memory is never
 * free again. */
void muster__bulk_forget(int host);

#endif
