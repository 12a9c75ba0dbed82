/*
 * Process: the operations on processes of this host. Those of other hosts come as work (api.c), in the name of a
 * stand-in.
 */
#ifndef MUSTER_PROCESS_PROCESS_H
#define MUSTER_PROCESS_PROCESS_H

#include "remote/remote.h"

#include <muster/process.h>

/* what is asked for, also of another host; the argument follows it there */
struct process_wanted {
    muster__function function;
    struct muster__module module; /* for other hosts */
    char name[32];
    int32_t rank; /* -1: any of the host */
};

/** standin: the calling stand-in, whose death kills the process; 0: the creator is of this host. */
muster_err process_create(muster_process *process, const struct process_wanted *wanted, const void *arg,
                          size_t size_bytes, uint32_t standin);
muster_err process_start(muster_process process);
muster_err process_join(muster_process process, muster_process_status *status, int64_t timeout_ms);
/** *found: lowest index among those that have ended; -1 with n = 0. */
muster_err process_wait(const muster_process *processes, int n, bool all, int *found, int64_t timeout_ms);
muster_err process_signal(muster_process process, int signal);
muster_err process_close(muster_process process);
muster_err process_info(muster_process process, muster_process_info *info);

#endif
