/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Process: a function run in a process of its own, pinned to a core, that may crash or be killed without harm to
 * others. It leads a process group of its own: signals to the group of its rank are not for it, and when it ends,
 * however it does, what it has started is killed, unless that has made itself another group or session (setsid).
 */
#ifndef MUSTER_PROCESS_H
#define MUSTER_PROCESS_H

#include <muster/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct muster_process {
    muster_handle handle;
} muster_process;

/**
 * What a process runs; its result is the exit code (its low 8 bits). arg is a copy of the size_bytes bytes given to
 * muster_process_create, NULL when that was 0. Static functions and functions of shared libraries are fine.
 */
typedef int (*muster_process_fn)(const void *arg, size_t size_bytes);

typedef struct muster_process_options {
    const char *name; /**< shown in messages; copied, cut at 31 bytes; NULL: "process-<n>" */
    muster_on on;     /**< the rank that hosts it: muster_on_rank(n); all zero: one of this host if a core is free here,
                         else of the host that has most free cores */
    uint64_t reserved[4]; /**< zero */
} muster_process_options;

/** How a process ended: exit_code is valid when signal is 0. */
typedef struct muster_process_status {
    int exit_code;
    int signal;           /**< the signal that ended it, or 0 */
    uint64_t reserved[2]; /**< zero */
} muster_process_status;

typedef enum muster_process_state {
    MUSTER_PROCESS_CREATED,
    MUSTER_PROCESS_ALIVE,
    MUSTER_PROCESS_ENDED,
} muster_process_state;

typedef struct muster_process_info {
    char name[32];
    char host[64];
    char cores[64]; /**< the cores it is bound to, as hwloc lists them ("0", "4-7"); "" before it was placed */
    int64_t pid;    /**< 0 before it was forked */
    int rank;       /**< the rank that hosts it; -1 before start */
    muster_process_state state;
    muster_process_status status;
    uint64_t reserved[4]; /**< zero */
} muster_process_info;

/**
 * Makes a process that will run fn on a copy of arg. Nothing runs before muster_process_start.
 * Errors: INVAL, NOFUNC (fn is in no module the ranks share), NOMEM, STATE (before muster_init), PEER (the host is
 * gone).
 * Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any.
 */
MUSTER_API muster_err muster_process_create(muster_process *process, muster_process_fn fn, const void *arg,
                                            size_t size_bytes, const muster_process_options *options);
#define muster_process_create(...) MUSTER_SITED(muster_process_create, __VA_ARGS__)

/**
 * Starts it on its host's least loaded core. The child sees the program's memory as it was at muster_init. Returns at
 * once. It ends with the process that started it. Errors: STATE (started before), STALE, BROKEN (nobody left to fork
 * it).
 * Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any.
 */
MUSTER_API muster_err muster_process_start(muster_process process);
#define muster_process_start(...) MUSTER_SITED(muster_process_start, __VA_ARGS__)

/**
 * Waits for its end; *status (may be NULL) tells how. A second join returns at once with the same status.
 * Errors: TIMEOUT (still alive; unharmed), STATE (not started), STALE, INTERRUPTED, SYSTEM (it could not be forked).
 * Threads: any. In tasks: yes. Blocks: up to timeout_ms. Hosts: any.
 */
MUSTER_API muster_err muster_process_join(muster_process process, muster_process_status *status, int64_t timeout_ms);
#define muster_process_join(...) MUSTER_SITED(muster_process_join, __VA_ARGS__)

/**
 * Sends SIGTERM / SIGKILL. Fine on an ended process. Errors: STATE (not started), STALE.
 * Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any.
 */
MUSTER_API muster_err muster_process_terminate(muster_process process);
#define muster_process_terminate(...) MUSTER_SITED(muster_process_terminate, __VA_ARGS__)
MUSTER_API muster_err muster_process_kill(muster_process process);
#define muster_process_kill(...) MUSTER_SITED(muster_process_kill, __VA_ARGS__)

/**
 * Frees what is kept about an ended or never started process. Errors: STATE (still alive). Twice is fine; any other
 * use then is err STATE.
 * Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any.
 */
MUSTER_API muster_err muster_process_close(muster_process process);
#define muster_process_close(...) MUSTER_SITED(muster_process_close, __VA_ARGS__)

/**
 * Facts, readable before, during and after its life. Errors: STATE (after close).
 * Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any.
 */
MUSTER_API muster_err muster_process_get_info(muster_process process, muster_process_info *info);
#define muster_process_get_info(...) MUSTER_SITED(muster_process_get_info, __VA_ARGS__)

/**
 * Waits until any (all = false) or all of n processes have ended; *first (may be NULL) gets the lowest index among the
 * ended ones. n = 0 returns at once, *first = -1. Errors: TIMEOUT, INVAL, and those of muster_process_join.
 * Threads: any. In tasks: yes. Blocks: up to timeout_ms. Hosts: any.
 */
MUSTER_API muster_err muster_process_wait(const muster_process *processes, int n, bool all, int *first,
                                          int64_t timeout_ms);
#define muster_process_wait(...) MUSTER_SITED(muster_process_wait, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
