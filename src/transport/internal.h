/* Inside of the transport layer: the communicators. */
#ifndef MUSTER_TRANSPORT_INTERNAL_H
#define MUSTER_TRANSPORT_INTERNAL_H

#include "transport/transport.h"

#include <mpi.h>

/* the job's own copy of the world, errors return */
MPI_Comm transport_job(void);
/* the copy that the program may use; NULL in a child, and when muster does not run */
MPI_Comm transport_lent(void);
/* muster is about to start on the ranks of this one alone; NULL: it has */
void transport_give(MPI_Comm comm);
/* that of all hosts' agents; mail.c */
MPI_Comm transport_agents(void);
/** Notes why in the log and in the detail line; returns err MPI. */
muster_err transport_failed(const char *what, int code);

#endif
