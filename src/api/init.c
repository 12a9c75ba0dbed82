#include <stdlib.h>

#include "runtime/runtime.h"

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
    exit(0); /* main's code is rank 0's: a rank that ended with another one would have mpirun kill the rest */
}

int muster_finalize(void)
{
    return muster__runtime_stop();
}
