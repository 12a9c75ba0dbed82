/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/state.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a child does between fork and _exit. */

static uint32_t own_member;

/*
 * Runs first of what exit() calls, so nothing that the rank had registered (MPI's, hwloc's) ever runs in a child.
 * Output is out before the outcome says so: whoever joins sees both.
 */
static void leave(int status, void *unused)
{
    (void)unused;
    fflush(NULL);
    member_set_outcome(own_member, OUTCOME_EXIT | ((uint32_t)status & 0xff));
    _exit(status & 0xff);
}

void children_prepare(void)
{
    sigset_t none;
    signals_reset_in_child();
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    crash_install();
    on_exit(leave, NULL);
}

/* Every page that is written for the first time after a fork is copied: a spare does that while nobody waits for it. */
void child_warm_up(void)
{
    volatile char stack[16384];
    for (size_t i = 0; i < sizeof stack; i += 1024)
        stack[i] = 0;
    if (muster__caller_enter(WARM_MEMBER + (uint32_t)getpid(), false) != MUSTER_OK)
        _exit(1);
    muster__me.is_child = true;
    muster__running = NULL;
    muster__log_setup(muster__host_name(), 0, 1, "spare", muster__me.log_level);
    muster__fail(MUSTER_OK, "%s", "");
    free(malloc(1024));
    fflush(NULL);
}

static void become(uint32_t number)
{
    struct member *member = member_at(number);
    own_member = number;
    atomic_store(&member->pid, getpid());
    muster__me.member = number;
    muster__caller_moves(number);
    muster__count_rank = (uint32_t)muster__member_rank(number);
    muster__log_setup(muster__host_name(), muster__member_rank(number), muster__me.tables->ranks, member->name,
                      muster__me.log_level);
    place_self(number);
    watch_look_begin();
}

_Noreturn void child_run(uint32_t number)
{
    become(number);
    struct member *member = member_at(number);
    void *pointer;
    if (muster__function_find(member->main, &pointer)) {
        muster__log(MUSTER__ERROR, "%s", muster_err_detail());
        exit(127);
    }
    /* its own copy: the block may go with a kill of the parent, and what a child writes is its own affair */
    void *arg = NULL;
    if (member->arg_bytes) {
        arg = malloc(member->arg_bytes);
        if (!arg) {
            muster__log(MUSTER__ERROR, "no memory for the %llu B of its argument",
                        (unsigned long long)member->arg_bytes);
            exit(127);
        }
        memcpy(arg, muster__heap_at(member->arg), member->arg_bytes);
    }
    exit(((muster__child_main)pointer)(arg, member->arg_bytes));
}
