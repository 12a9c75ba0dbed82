/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/state.h"

#include <pthread.h>
#include <unistd.h>

/*
 * A copy that the program makes by fork() has all of a process's memory, and would act in its name: release its locks,
 * sleep on its bell, be swept as it. So a copy is nobody: its calls fail with STATE, as before muster_init. Processes
 * of the job's own are forked with fork_own, and become somebody.
 */

static MUSTER__THREAD_LOCAL bool ours;

static void in_copy(void)
{
    if (ours)
        return;
    muster__caller_forget();
    muster__segment_detach();
    muster__me.tables = NULL;
    muster__me.running = false;
}

void fork_watch(void)
{
    static bool is_watched;
    if (!is_watched)
        is_watched = pthread_atfork(NULL, NULL, in_copy) == 0;
}

pid_t fork_own(void)
{
    ours = true;
    pid_t pid = fork();
    ours = false;
    return pid;
}
