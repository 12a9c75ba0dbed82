/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/state.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * The nursery: a process with one thread, forked by its rank before the rank has threads of its own, that forks, reaps,
 * limits and kills the rank's children and sweeps after their deaths. It sleeps on a bell that requests ring and that
 * its SIGCHLD handler rings too, so that a death between looking and sleeping is not missed.
 *
 * Only the nursery knows pids well enough to signal them: a pid is reused once it was reaped, and it does the reaping.
 */

/* How long it sleeps at most: to notice that its rank is gone without having died in its arms. */
#define LOOK_NS INT64_C(1000000000)

/* What the kernel tells a nursery by that its rank is gone. */
enum { ORPHANED = SIGHUP };

static struct {
    struct nursery *shared;
    int local;
    struct child {
        pid_t pid;
        uint32_t member; /* MUSTER__MEMBERS_MAX: a spare */
        int spare;       /* the slot it waits at; -1: none (any more) */
    } * children;
    int count, room;
    bool first_started;
} mine;

/* ---- forking ---- */

static bool room_for_one(void)
{
    if (mine.count < mine.room)
        return true;
    int room = mine.room ? 2 * mine.room : 16;
    struct child *wider = calloc((size_t)room, sizeof *wider), *before = mine.children;
    if (!wider)
        return false;
    if (before)
        memcpy(wider, before, (size_t)mine.count * sizeof *wider);
    mine.children = wider; /* on_orphaned may look at any time */
    mine.room = room;
    free(before);
    return true;
}

/* In a group of its own, with all that it starts: what reaches the rank's group is not for it, and its end ends them.
 */
static void guard_child(pid_t nursery, const sigset_t *before)
{
    setpgid(0, 0);
    signals_reset_in_child();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigprocmask(SIG_SETMASK, before, NULL);
    if (getppid() != nursery)
        _exit(0);
    muster__caller_forget();
    child_warm_up();
}

_Noreturn static void spare_wait(struct spare *spare)
{
    uint32_t go;
    place_spare((uint32_t)mine.local);
    while ((go = atomic_load(&spare->go)) < SPARE_TAKEN)
        muster__sleep(&spare->go, go, MUSTER__NEVER);
    atomic_store(&member_at(go - SPARE_TAKEN)->state, MUSTER__MEMBER_ALIVE);
    atomic_store(&spare->gone, 1);
    child_run(go - SPARE_TAKEN);
}

static pid_t fork_child(uint32_t member, int spare)
{
    if (!room_for_one())
        return -1;
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before); /* what comes at once is for what the child does about it, not for us */
    pid_t nursery = getpid(), pid = fork_own();
    if (pid == 0) {
        guard_child(nursery, &before);
        if (spare >= 0)
            spare_wait(&mine.shared->spares[spare]);
        child_run(member);
    }
    if (pid > 0) {
        setpgid(pid, pid); /* whoever comes first */
        mine.children[mine.count++] = (struct child){pid, member, spare};
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return pid;
}

static int spares_wanted(void)
{
    int wanted = muster__me.tables->spares;
    if (wanted == 0)
        wanted = mine.first_started;
    return wanted < 0 ? 0 : wanted < SPARES_MAX ? wanted : SPARES_MAX;
}

/* Learns which spares were taken since, and frees the slots they have left. Waking one again covers a taker that died
 * in between. */
static void notice_taken(void)
{
    for (int i = 0; i < mine.count; i++) {
        struct child *child = &mine.children[i];
        struct spare *spare = child->spare >= 0 ? &mine.shared->spares[child->spare] : NULL;
        uint32_t go = spare ? atomic_load(&spare->go) : SPARE_NONE;
        if (go < SPARE_TAKEN)
            continue;
        if (child->member == MUSTER__MEMBERS_MAX) {
            child->member = go - SPARE_TAKEN;
            muster__futex_wake(&spare->go, 1);
        }
        if (atomic_load(&spare->gone)) {
            atomic_store(&spare->gone, 0);
            atomic_store(&spare->go, SPARE_NONE);
            child->spare = -1;
        }
    }
}

static int spares_there(void)
{
    int there = 0;
    for (int i = 0; i < mine.count; i++)
        there += mine.children[i].member == MUSTER__MEMBERS_MAX;
    return there;
}

static void fork_spares(void)
{
    int there = spares_there();
    for (int slot = 0; slot < SPARES_MAX && there < spares_wanted(); slot++) {
        struct spare *spare = &mine.shared->spares[slot];
        bool used = false;
        for (int i = 0; i < mine.count; i++)
            used |= mine.children[i].spare == slot;
        if (used)
            continue;
        atomic_store(&spare->gone, 0);
        atomic_store(&spare->go, SPARE_NONE);
        pid_t pid = fork_child(MUSTER__MEMBERS_MAX, slot);
        if (pid < 0)
            break;
        atomic_store(&spare->pid, pid);
        atomic_store(&spare->go, SPARE_READY);
        there++;
    }
}

static void start(uint32_t number)
{
    if (atomic_load(&member_at(number)->outcome)) /* its starter took us for dead */
        return;
    struct member *member = member_at(number);
    mine.first_started = true;
    if (member_take_spare(mine.local, number)) /* one that was being made when it was asked for */
        return;
    atomic_store(&member->state, MUSTER__MEMBER_ALIVE);
    pid_t pid = fork_child(number, -1);
    if (pid > 0) {
        atomic_store(&member->pid, pid);
        return;
    }
    member_set_outcome(number, OUTCOME_ERRNO | (uint32_t)errno);
    member_reaped(number);
}

/* The intake is a stack: turned around, so that who asked first starts first. */
static void take_intake(void)
{
    uint32_t taken = atomic_exchange(&mine.shared->intake, 0), turned = 0;
    while (taken) {
        uint32_t next = atomic_load(&member_at(taken - 1)->next);
        atomic_store(&member_at(taken - 1)->next, turned);
        turned = taken;
        taken = next;
    }
    while (turned) {
        uint32_t next = atomic_load(&member_at(turned - 1)->next);
        start(turned - 1);
        turned = next;
    }
}

static bool known(uint32_t number)
{
    for (int i = 0; i < mine.count; i++)
        if (mine.children[i].member == number)
            return true;
    return false;
}

/* Who was asked for by one who died before telling: what was told is started by now. */
static void end_untold_orphans(void)
{
    if (!atomic_exchange(&mine.shared->orphans, 0))
        return;
    uint32_t high = atomic_load(&muster__me.tables->members_high);
    for (uint32_t number = (uint32_t)muster__me.tables->locals; number < high; number++) {
        struct member *member = member_at(number);
        if (member->nursery != mine.local || member_state(number) != MUSTER__MEMBER_ASKED ||
            !atomic_load(&member->orphan) || known(number))
            continue;
        member_set_outcome(number, OUTCOME_SIGNAL | SIGKILL);
        member_reaped(number);
    }
}

/* ---- reaping ---- */

/* A spare has died at its slot: it may have been taken a moment before. */
static void retire_spare(struct child *child, struct spare *spare)
{
    uint32_t go = atomic_exchange(&spare->go, SPARE_NONE);
    if (go >= SPARE_TAKEN)
        child->member = go - SPARE_TAKEN;
    atomic_store(&spare->gone, 0);
}

/* Nobody of the job has killed it: was it the kernel, for want of memory? */
static void note_victim(struct member *member, int status, uint64_t peak_bytes)
{
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL || atomic_load(&member->wanted) || !memory_was_victim())
        return;
    member->memory_bytes = peak_bytes;
    atomic_store(&member->victim, 1);
}

static void reap(void)
{
    siginfo_t ended = {0};
    /* while it is not waited for, nobody else has its number, nor its group */
    while (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid) {
        int status;
        struct rusage usage;
        pid_t pid = ended.si_pid;
        kill(-pid, SIGKILL);
        wait4(pid, &status, 0, &usage);
        ended.si_pid = 0;
        for (int i = 0; i < mine.count; i++) {
            if (mine.children[i].pid != pid)
                continue;
            struct spare *spare = mine.children[i].spare >= 0 ? &mine.shared->spares[mine.children[i].spare] : NULL;
            if (spare)
                retire_spare(&mine.children[i], spare);
            uint32_t number = mine.children[i].member;
            mine.children[i] = mine.children[--mine.count];
            muster__sweep_member(WARM_MEMBER + (uint32_t)pid, muster__self_number());
            if (number == MUSTER__MEMBERS_MAX)
                break;
            note_victim(member_at(number), status, (uint64_t)usage.ru_maxrss << 10);
            member_died(number, status);
            break;
        }
    }
}

/* ---- signals and limits ---- */

/* Sends what was asked for; returns when the next limit is due. */
static int64_t look_after_children(void)
{
    int64_t next = MUSTER__NEVER;
    bool watched = false;
    for (int i = 0; i < mine.count; i++) {
        if (mine.children[i].member == MUSTER__MEMBERS_MAX)
            continue;
        struct member *member = member_at(mine.children[i].member);
        uint32_t signals = atomic_exchange(&member->signals, 0);
        if (signals)
            atomic_store(&member->wanted, 1);
        for (; signals; signals &= signals - 1)
            kill(mine.children[i].pid, __builtin_ctz(signals));
        int64_t deadline = atomic_load(&member->deadline_ns);
        if (deadline <= muster__now_ns()) {
            atomic_store(&member->overran, 1);
            atomic_store(&member->wanted, 1);
            atomic_store(&member->deadline_ns, MUSTER__NEVER);
            kill(mine.children[i].pid, SIGKILL);
        } else if (deadline < next) {
            next = deadline;
        }
        watched |= memory_look(member, mine.children[i].pid);
    }
    int64_t look = memory_next(watched);
    return look < next ? look : next;
}

/* ---- the process ---- */

static void on_child(int signal)
{
    (void)signal;
    atomic_fetch_add(&mine.shared->bell, 1);
}

/* Its rank is gone, and its children go with it. Of those whose ranks the launcher ends now, the first one that was
 * not told to tells what it did. */
static void on_orphaned(int signal)
{
    char who[32];
    (void)signal;
    if (getppid() == muster__me.rank_pid)
        return; /* of the terminal: what becomes of the rank is seen next */
    for (int i = 0; i < mine.count; i++)
        kill(-mine.children[i].pid, SIGKILL);
    struct tables *tables = muster__me.tables;
    if (!atomic_load(&mine.shared->stop) && !atomic_load(&muster__segment->signal))
        atomic_store(&muster__segment->gone_plus_1, muster__rank_of_local(mine.local) + 1);
    bool ends = atomic_load(&mine.shared->stop) || atomic_load(&muster__segment->signal) ||
                atomic_load(&tables->exit_code) || atomic_exchange(&tables->death_told, 1);
    if (ends)
        _exit(1);
    alarm(1); /* its default action ends what hangs here */
    snprintf(who, sizeof who, "rank %d, which is gone", muster__rank_of_local(mine.local));
    muster__trace_tell((uint32_t)mine.local, MUSTER__ERROR, who);
    _exit(1);
}

/* What reaches the whole group of its rank is for that to say. */
static const int ignored[] = {SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGQUIT};

static void become(int local)
{
    if (getppid() != muster__me.rank_pid)
        _exit(0);
    muster__caller_forget();
    muster_site = NULL;
    muster__launcher_forget();
    children_prepare();
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
    struct sigaction action = {.sa_handler = on_child, .sa_flags = SA_NOCLDSTOP};
    sigaction(SIGCHLD, &action, NULL);
    signal(SIGALRM, SIG_DFL);
    int nothing = open("/dev/null", O_RDONLY);
    if (nothing >= 0) {
        dup2(nothing, STDIN_FILENO);
        close(nothing);
    }
    muster__me.is_child = true;
    muster__member_dead = member_dead;
    muster__me.member = NURSERY_MEMBER + (uint32_t)local;
    mine.local = local;
    mine.shared = nursery_at(local);
    if (muster__caller_enter(muster__me.member, false) != MUSTER_OK)
        _exit(1);
    muster__caller_serves();
    muster__log_setup(muster__host_name(), muster__rank_of_local(local), muster__me.tables->ranks, "nursery",
                      muster__me.log_level);
    signal(ORPHANED, on_orphaned);
    prctl(PR_SET_PDEATHSIG, ORPHANED);
    if (getppid() != muster__me.rank_pid)
        on_orphaned(ORPHANED);
    lookout_start(local);
}

/* What is left at the end gets SIGTERM, and SIGKILL a second later. */
static void end_children(void)
{
    int64_t patience = muster__now_ns() + LOOK_NS;
    for (int i = 0; i < mine.count; i++) {
        if (mine.children[i].member != MUSTER__MEMBERS_MAX)
            atomic_store(&member_at(mine.children[i].member)->wanted, 1);
        kill(mine.children[i].pid, mine.children[i].member == MUSTER__MEMBERS_MAX ? SIGKILL : SIGTERM);
    }
    while (mine.count) {
        uint32_t seen = atomic_load(&mine.shared->bell);
        reap();
        if (!mine.count)
            break;
        if (muster__now_ns() >= patience) {
            for (int i = 0; i < mine.count; i++)
                kill(-mine.children[i].pid, SIGKILL);
            patience = MUSTER__NEVER;
        }
        muster__sleep(&mine.shared->bell, seen, muster__now_ns() + LOOK_NS / 10);
    }
}

_Noreturn static void nursery_main(int local)
{
    become(local);
    while (!atomic_load(&mine.shared->stop)) {
        uint32_t seen = atomic_load(&mine.shared->bell);
        memory_age();
        take_intake();
        notice_taken();
        end_untold_orphans();
        reap();
        fork_spares();
        int64_t next = look_after_children(), look = lookout_look(mine.shared);
        next = look < next ? look : next;
        look = muster__now_ns() + LOOK_NS;
        if (getppid() != muster__me.rank_pid)
            break;
        muster__sleep(&mine.shared->bell, seen, next < look ? next : look);
    }
    end_children();
    muster__caller_leave();
    free(mine.children);
    _exit(0);
}

muster_err nursery_start(int local)
{
    fflush(NULL);
    pid_t pid = fork_own();
    if (pid == 0)
        nursery_main(local);
    if (pid < 0)
        return muster__fail_logged(
            MUSTER_ERR_SYSTEM, "a process for this rank's children cannot be forked: %s%s", strerror(errno),
            errno == EAGAIN ? ": raise the limit of processes (ulimit -u, or that of the container)" : "");
    atomic_store(&nursery_at(local)->pid, pid);
    return MUSTER_OK;
}

void nursery_stop(int local)
{
    struct nursery *nursery = nursery_at(local);
    pid_t pid = atomic_load(&nursery->pid);
    atomic_store(&nursery->stop, 1);
    member_ring_nursery(local);
    if (pid > 0)
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
    atomic_store(&nursery->pid, 0);
}
