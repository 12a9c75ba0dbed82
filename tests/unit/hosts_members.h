/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For suites on process_hosts.h: processes of a host, which the host's own one starts, as a nursery does, and what they
 * must not leave there.
 */
#ifndef HOSTS_MEMBERS_H
#define HOSTS_MEMBERS_H

#include "process_hosts.h"

#include "segment/heap.h"

enum { LEFT_MS = 5000 };

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
}

static pid_t start(uint32_t member, void (*body)(uint32_t member))
{
    pid_t host = getpid(), pid = fork();
    HOSTS_CHECK(pid >= 0);
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != host)
        _exit(1);
    muster__caller_forget();
    HOSTS_CHECK(muster__caller_enter(member, false) == MUSTER_OK);
    body(member);
    muster__caller_leave();
    _exit(0);
}

/* ---- nothing is left on this host ---- */

static uint64_t used_before;

static const char *what_is_left(void)
{
    for (int of = 1; of < MUSTER__KINDS; of++)
        muster__objects_clean((enum muster__kind)of, muster__self_number());
    for (uint32_t slot = 0; slot < muster__objects_end(); slot++)
        if (muster__tag_unpack(atomic_load(&muster__object_slot(slot)->tag)).state != MUSTER__FREE)
            return "an object";
    for (uint32_t number = MUSTER__CALLERS_MAX; number < muster__waiters_end(); number++)
        if (atomic_load(&muster__waiter(number)->owner))
            return "a waiter";
    uint32_t callers = 0;
    for (uint32_t number = 1; number < muster__callers_end(); number++)
        callers += atomic_load(&muster__caller(number)->live) != 0;
    if (callers > 2)
        return "a caller, beside this one and the agent";
    return muster__heap_used() > used_before ? "a block" : NULL;
}

/* The agents may still have something in their hands. NULL: nothing. */
static const char *what_stays_left(void)
{
    const char *left;
    for (int64_t until = case_ms() + LEFT_MS; (left = what_is_left()) && case_ms() < until;)
        nap();
    return left;
}

#endif
