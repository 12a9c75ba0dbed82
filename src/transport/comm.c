/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/internal.h"

#include <stdio.h>
#include <string.h>

#include <muster/mpi.h>

/* What existing MPI programs see of muster's MPI: the only public functions with MPI's types. */

muster_err (*muster__transport_init)(const muster_options *options);

static muster_err check_given(MPI_Comm comm)
{
    static const char operation[] = "muster_init_comm";
    int over, inter;
    MPI_Finalized(&over);
    if (!muster__transport_runs() || over)
        return muster__fail(MUSTER_ERR_STATE,
                            "%s: MPI does not run: call MPI_Init_thread first (with MPI_THREAD_MULTIPLE, which several "
                            "hosts need), and MPI_Finalize after muster_finalize",
                            operation);
    if (comm == MPI_COMM_NULL)
        return muster__fail(MUSTER_ERR_INVAL,
                            "%s: comm is MPI_COMM_NULL: ranks that are in no communicator do not call", operation);
    MPI_Comm_test_inter(comm, &inter);
    return inter ? muster__fail(MUSTER_ERR_INVAL, "%s: comm is an intercommunicator: merge it", operation) : MUSTER_OK;
}

muster_err muster_init_comm(MPI_Comm comm, const muster_options *options)
{
    muster_err err = check_given(comm);
    if (err)
        return err;
    transport_give(comm);
    err = muster__transport_init(options);
    transport_give(MPI_COMM_NULL);
    return err;
}

MPI_Comm muster_comm(void)
{
    return transport_lent();
}

/* What rank 0 has made, or why it could not. */
struct share {
    muster_err err;
    char text[256];
};

muster_err muster_comm_share(muster_err err, void *bytes, size_t size_bytes)
{
    static const char operation[] = "muster_comm_share";
    struct share share = {.err = err};
    int rank;
    if (transport_lent() == MPI_COMM_NULL)
        return muster__fail(MUSTER_ERR_STATE, "%s: muster does not run, or this is a child, which has no MPI",
                            operation);
    if (!bytes || !size_bytes || size_bytes > INT32_MAX)
        return muster__fail(MUSTER_ERR_INVAL, "%s: no bytes, or more than 2 GiB", operation);
    if (err)
        snprintf(share.text, sizeof share.text, "%s", muster_err_detail());
    MPI_Comm_rank(transport_job(), &rank);
    int code = MPI_Bcast(&share, sizeof share, MPI_BYTE, 0, transport_job());
    if (code == MPI_SUCCESS && !share.err)
        code = MPI_Bcast(bytes, (int)size_bytes, MPI_BYTE, 0, transport_job());
    if (code != MPI_SUCCESS)
        return transport_failed("MPI_Bcast", code);
    return share.err && rank ? muster__fail(share.err, "%s (on rank 0)", share.text) : share.err;
}
