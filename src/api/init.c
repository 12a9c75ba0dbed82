/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>

#include "runtime/runtime.h"
#include "transport/transport.h"

#include <muster/muster.h>

muster_err muster_init(int *argc, char ***argv, const muster_options *options)
{
    static const muster_options defaults;
    options = options ? options : &defaults;
    muster_err err = muster__runtime_start(argc, argv, options);
    if (err || options->spmd || muster_rank() == 0)
        return err;
    muster__runtime_serve();
    muster__runtime_stop();
    if (!muster__transport_is_programs())
        exit(0); /* main's code is rank 0's: a rank that ended with another one would have mpirun kill the rest */
    return muster__fail(MUSTER_ERR_CLOSED, "muster_init: rank 0 has called muster_finalize: this rank has served, and "
                                           "goes on to the program's MPI_Finalize");
}

static muster_err init_given(const muster_options *options)
{
    return muster_init(NULL, NULL, options);
}

int muster_finalize(void)
{
    return muster__runtime_stop();
}

__attribute__((constructor)) static void set_hook(void)
{
    muster__transport_init = init_given;
}
