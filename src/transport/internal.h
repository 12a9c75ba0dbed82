/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of the transport layer: the communicators. */
#ifndef MUSTER_TRANSPORT_INTERNAL_H
#define MUSTER_TRANSPORT_INTERNAL_H

#include "transport/transport.h"

#include <mpi.h>

/* the job's own copy of the world, errors return */
MPI_Comm transport_job(void);
/* the ranks of this host */
MPI_Comm transport_host(void);
/* the copy that the program may use; NULL in a child, and when muster does not run */
MPI_Comm transport_lent(void);
/* muster is about to start on the ranks of this one alone; NULL: it has */
void transport_give(MPI_Comm comm);
/* that of all hosts' agents; mail.c */
MPI_Comm transport_agents(void);
/* MPICH's search for an address that is free in all ranks; gives what it was, -1: there is no such thing */
int transport_address_tries(int to);
/* share.c: the mapping at once, the window while MPI still works and all ranks of the host come */
void transport_share_unmap(void);
void transport_share_free(void);
/* leftovers.c: removes what Open MPI has left of jobs that are provably dead (once a host); what it would leave of this
 * rank, which ends without MPI_Finalize */
void transport_tidy(void);
void transport_unlink_own(void);
/** Notes why in the log and in the detail line; returns err MPI. */
muster_err transport_failed(const char *what, int code);

#endif
