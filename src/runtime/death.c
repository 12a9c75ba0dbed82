/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/state.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/*
 * What follows a child's death: its outcome is published, pools hear of it, what it held is repaired, its own children
 * are killed, its seat is free. Done by its nursery; by the rank when the nursery itself was killed.
 */

enum { TOLD_MAX = 8 };

void (*muster__child_died)(uint32_t member, uint32_t self);

/* ---- who is dead ---- */

/* Whether it has ended, be it that its parent has not waited for it yet. */
static bool process_gone(pid_t pid)
{
    char path[32], stat[128];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT;
    ssize_t size = read(fd, stat, sizeof stat - 1);
    close(fd);
    stat[size > 0 ? size : 0] = '\0';
    const char *state = strrchr(stat, ')');
    return size <= 0 || (state && (state[2] == 'Z' || state[2] == 'X'));
}

bool member_dead(uint32_t number)
{
    pid_t pid;
    if (number >= MUSTER__STANDINS && number < WARM_MEMBER)
        return false; /* of another host's caller: its agent tells */
    if (number >= WARM_MEMBER)
        pid = (pid_t)(number - WARM_MEMBER);
    else if (number >= NURSERY_MEMBER)
        pid = atomic_load(&nursery_at((int)(number - NURSERY_MEMBER))->pid);
    else if (atomic_load(&member_at(number)->dead))
        return true;
    else
        pid = atomic_load(&member_at(number)->pid);
    return pid > 0 && process_gone(pid);
}

/* ---- a child ---- */

static void kill_children_of(uint32_t parent)
{
    uint32_t high = atomic_load(&muster__me.tables->members_high);
    for (uint32_t number = (uint32_t)muster__me.tables->locals; number < high; number++) {
        struct member *member = member_at(number);
        enum muster__member_state state = member_state(number);
        if (atomic_load(&member->state) == member_claimed_by(parent)) {
            member_free_claim(number); /* it was never started, and nobody else knows it */
        } else if (member->parent == parent && (state == MUSTER__MEMBER_ASKED || state == MUSTER__MEMBER_ALIVE)) {
            atomic_store(&member->orphan, 1);
            atomic_store(&nursery_at(member->nursery)->orphans, 1);
            muster__child_signal(number, SIGKILL);
        }
    }
}

static void log_death(uint32_t number, int status)
{
    if (WIFSIGNALED(status) && muster__log_wants(MUSTER__INFO))
        muster__log(MUSTER__INFO, "child '%s' was ended by signal %d (%s)%s", member_at(number)->name, WTERMSIG(status),
                    strsignal(WTERMSIG(status)),
                    atomic_load(&member_at(number)->victim) ? ", by the kernel's out-of-memory killer" : "");
}

/* Of one whose end nobody has asked us for: what it was about, of the first few. */
static void tell_events(uint32_t number, int status)
{
    static int told;
    char who[128];
    if (!WIFSIGNALED(status) || atomic_load(&member_at(number)->wanted) || told >= TOLD_MAX)
        return;
    snprintf(who, sizeof who, "child '%s', ended by signal %d (SIG%s)%s", member_at(number)->name, WTERMSIG(status),
             sigabbrev_np(WTERMSIG(status)),
             atomic_load(&member_at(number)->victim) ? " of the kernel's out-of-memory killer" : "");
    told += muster__trace_tell(number, MUSTER__WARN, who);
    if (told == TOLD_MAX)
        muster__log(MUSTER__WARN, "the events of further children that die here are not told");
}

void member_died(uint32_t number, int status)
{
    uint32_t self = muster__self_number();
    atomic_store(&member_at(number)->dead, 1);
    log_death(number, status);
    tell_events(number, status);
    member_set_outcome(number, WIFSIGNALED(status) ? OUTCOME_SIGNAL | (uint32_t)WTERMSIG(status)
                                                   : OUTCOME_EXIT | (uint32_t)WEXITSTATUS(status));
    muster__sweep_heap(number, self); /* pools will use the heap */
    if (muster__child_died)
        muster__child_died(number, self);
    muster__sweep_member(number, self);
    kill_children_of(number);
    member_reaped(number);
}

/* ---- the nursery, seen from its rank ---- */

/* The kernel kills them with the nursery; they may still be about to go. */
static void wait_gone(uint32_t number)
{
    for (int i = 0; i < 1000 && atomic_load(&member_at(number)->pid) && !member_dead(number); i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void bury_children(int local)
{
    uint32_t high = atomic_load(&muster__me.tables->members_high);
    muster__sweep_member(NURSERY_MEMBER + (uint32_t)local, muster__self_number());
    for (uint32_t number = (uint32_t)muster__me.tables->locals; number < high; number++) {
        enum muster__member_state state = member_state(number);
        if (member_at(number)->nursery != local || atomic_load(&member_at(number)->left) & LEFT_REAPED ||
            state == MUSTER__MEMBER_FREE || state == MUSTER__MEMBER_CLAIMED)
            continue;
        pid_t pid = atomic_load(&member_at(number)->pid);
        if (pid > 0)
            kill(-pid, SIGKILL); /* what it has started; itself the kernel kills */
        wait_gone(number);
        member_died(number, SIGKILL);
    }
}

/* As a caller of its own: the thread that looks may be in the middle of something. */
void nursery_check(void)
{
    int local = (int)muster__me.member;
    struct nursery *nursery = nursery_at(local);
    pid_t pid = atomic_load(&nursery->pid);
    if (pid <= 0 || atomic_load(&nursery->stop) || waitpid(pid, NULL, WNOHANG) != pid)
        return;
    atomic_store(&nursery->pid, 0);
    muster__log(MUSTER__ERROR, "the nursery was killed: its children are gone, and no more can be started here");
    struct muster__self before = muster__self_state;
    muster__caller_forget();
    if (muster__caller_enter(muster__me.member, false) == MUSTER_OK) {
        muster__member_dead = member_dead;
        bury_children(local);
        muster__member_dead = NULL;
        muster__caller_leave();
    }
    muster__self_state = before;
}
