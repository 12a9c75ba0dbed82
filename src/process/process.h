/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside of the process layer: the kind's operations. A process object is on the host where the process will run, which
 * is chosen when it is created.
 */
#ifndef MUSTER_PROCESS_PROCESS_H
#define MUSTER_PROCESS_PROCESS_H

#include "remote/remote.h"

#include <muster/process.h>

/* what one is made of, also on another host; the argument follows it */
struct process_wanted {
    muster__function function;
    struct muster__module module; /* for other hosts */
    int32_t rank;                 /* -1: any of the host */
};

enum process_op {
    PROCESS_START,
    PROCESS_JOIN,   /* out: exit code, signal */
    PROCESS_SIGNAL, /* in[0] */
    PROCESS_CLOSE,
    PROCESS_INFO, /* room: muster_process_info */
    PROCESS_OPS
};

#endif
