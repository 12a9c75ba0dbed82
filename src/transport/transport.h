/*
 * Transport: the only layer that sees MPI. Starts it, says who is where, gives a host its shared window.
 *
 * Collective calls are made by the main threads of all ranks of the job or the host; nothing here is called by
 * children.
 */
#ifndef MUSTER_TRANSPORT_TRANSPORT_H
#define MUSTER_TRANSPORT_TRANSPORT_H

#include "base/base.h"

struct muster__world {
    int rank, ranks;
    int local, locals;      /* this rank within its host, ranks on its host */
    int host, hosts;        /* this host's index, by its lowest rank; number of hosts */
    const int *local_ranks; /* ranks of this host in order; borrowed until transport_stop */
};

/** True when some launcher has started this process as a rank. */
bool muster__transport_launched(void);
/** Initializes MPI (unless the program has) and finds out who is where. Collective over the job. Errors: MPI. */
muster_err muster__transport_start(int *argc, char ***argv, struct muster__world *world);
/**
 * Zeroed memory that all ranks of the host share, page aligned, at different addresses. bytes is that of local rank 0.
 * Collective over the host. Errors: NOMEM.
 */
muster_err muster__transport_share(size_t bytes, void **memory);
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
/** Frees the window and ends MPI if start had initialized it. Collective over the job unless politely is false: then
 * MPI is left as it is. */
void muster__transport_stop(bool politely);
_Noreturn void muster__transport_abort(int code);

#endif
