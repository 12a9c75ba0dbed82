/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * muster inside of an MPI program: started on a communicator of the program's, and a communicator lent to it. The only
 * public header that includes <mpi.h>; muster/muster.h does not include it, and who wants it compiles and links with
 * the MPI that muster was built for.
 *
 * A program that has initialized MPI also finalizes it, after muster_finalize: muster then does neither, be it started
 * by muster_init (on all ranks) or by muster_init_comm. Started so, and not in SPMD mode, ranks other than 0 serve
 * inside of the call until rank 0 calls muster_finalize; they then return from it, with err CLOSED, and go on as MPI
 * ranks:
 *
 *     muster_err err = muster_init_comm(comm, NULL);
 *     if (!err) {                       // rank 0 of comm
 *         ...
 *         code = muster_finalize();
 *     }                                 // the others: MUSTER_ERR_CLOSED
 *     MPI_Finalize();
 *
 * Thread levels. On one host muster calls MPI in the main thread alone, inside of muster_init, muster_init_comm,
 * muster_comm_share and muster_finalize, so any level will do. On several hosts a thread of muster's (the agent, one a
 * host) sends and receives all the time: less than MPI_THREAD_MULTIPLE is err UNSUPPORTED there, on every rank, and
 * nothing is left of the attempt.
 *
 * Who calls MPI_Finalize without muster_finalize has muster end first, with a warning; on several hosts the job is
 * aborted, with an error.
 */
#ifndef MUSTER_MPI_H
#define MUSTER_MPI_H

#include <mpi.h>

#include <muster/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Starts muster as muster_init does, on the ranks of comm alone: rank r of comm is muster's rank r, whether on one host
 * or several, and the other ranks of MPI_COMM_WORLD are not involved and do not call. comm is an intracommunicator; it
 * is duplicated, and stays the caller's. Several disjoint ones may each have a muster of their own. options as of
 * muster_init, of which no_launch means nothing here and spmd is the same on all ranks. Ranks of a comm smaller than
 * MPI_COMM_WORLD, and their children, are left on the cores where they are unless options or environment say a
 * placement: what the other ranks do is not known. Collective over comm. Errors: CLOSED (see above: this rank has
 * served, and muster has ended), INVAL (MPI_COMM_NULL, an intercommunicator), STATE (MPI does not run; called twice, or
 * in a child), UNSUPPORTED (thread level), else as muster_init.
 * Threads: main. In tasks: no. Blocks: until all ranks of comm have come. Hosts: none.
 */
MUSTER_API muster_err muster_init_comm(MPI_Comm comm, const muster_options *options);

/**
 * muster's ranks as a communicator, with the same numbers: a copy made at the start that muster itself does not use, so
 * whatever is sent on it meets nothing of muster's. Lent until muster_finalize: do on it what MPI allows, also set its
 * error handler (until then that of what muster was started on); complete all of it before muster_finalize; do not free
 * or disconnect it. What is derived from it is the program's. In-rank tasks may use it from point to point; collective
 * calls in them wait for ranks that may be at other tasks. MPI_COMM_NULL in children, which have no MPI, and while
 * muster does not run.
 * Threads: any, as far as MPI's thread level allows. In tasks: yes. Blocks: no. Hosts: none.
 */
MUSTER_API MPI_Comm muster_comm(void);

/**
 * Makes any create collective: rank 0 gives what its create returned and the handle that it made, and all ranks have
 * both, so that they go on or fail together. bytes: size_bytes of rank 0's, copied to all others unless err is not
 * MUSTER_OK. What err says on other ranks is not looked at. In SPMD mode:
 *
 *     muster_pool pool;
 *     err = muster_rank() == 0 ? muster_pool_create(&pool, NULL) : MUSTER_OK;
 *     err = muster_comm_share(err, &pool, sizeof pool);
 *
 * Collective over muster_comm(). Returns rank 0's err, on all with its detail line. Errors: MPI, STATE (muster does not
 * run, a child), INVAL (no bytes, or more than 2 GiB).
 * Threads: main. In tasks: no. Blocks: until all ranks have come. Hosts: none.
 */
MUSTER_API muster_err muster_comm_share(muster_err err, void *bytes, size_t size_bytes);
#define muster_comm_share(...) MUSTER_SITED(muster_comm_share, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
