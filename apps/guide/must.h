#ifndef GUIDE_MUST_H
#define GUIDE_MUST_H

#include <stdio.h>
#include <stdlib.h>

#include <muster/error.h>

/* Ends this process, saying why, unless the call went well. */
static inline void must(muster_err err)
{
    if (err == MUSTER_OK)
        return;
    fprintf(stderr, "%s: %s\n", muster_err_text(err), muster_err_detail());
    exit(1);
}

#endif
