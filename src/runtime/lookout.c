/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/state.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/*
 * What mpirun is about. Told to stop, by whatever signal, it sends its ranks SIGCONT at once, SIGTERM a second later
 * and SIGKILL another second later; all of them can be used if SIGCONT is understood. But it passes on SIGCONT that it
 * gets itself, too, when it is resumed. The difference is what it does next: while it ends its ranks, it sleeps.
 *
 * Which signal told it, nobody can ask. The lookout, a process without any other task, stands in mpirun's process
 * group: what a terminal or a batch system sends to the group, it sees. What is sent to mpirun alone stays unknown, and
 * is told as the SIGTERM that the ranks get.
 */

/* ---- what mpirun does ---- */

static bool launcher_sleeps(void)
{
    char path[40], where[64];
    snprintf(path, sizeof path, "/proc/%d/wchan", (int)muster__me.launcher);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? 0 : read(fd, where, sizeof where - 1);
    if (fd >= 0)
        close(fd);
    where[size > 0 ? size : 0] = '\0';
    return strstr(where, "nanosleep");
}

/* How long it may take until it begins to, since it goes through its ranks before; and how long the lookout may take.
 */
#define BEGINS_NS INT64_C(500000000)
#define TELLS_NS  INT64_C(200000000)
#define LOOK_NS   INT64_C(10000000)

int64_t lookout_look(struct nursery *nursery)
{
    static int64_t until;
    static bool ends;
    struct tables *tables = muster__me.tables;
    if (!atomic_load(&nursery->continued))
        return MUSTER__NEVER;
    int64_t now = muster__now_ns();
    until = until ? until : now + BEGINS_NS;
    if (!ends && launcher_sleeps()) {
        ends = true;
        until = now + TELLS_NS;
    }
    if (now < until && !(ends && atomic_load(&tables->launcher_told)))
        return now + LOOK_NS;
    atomic_store(&nursery->continued, 0);
    if (ends) {
        atomic_store(&tables->launcher_ends, 1);
        signals_stop(SIGTERM);
    }
    until = 0;
    ends = false;
    return MUSTER__NEVER;
}

/* ---- the lookout ---- */

_Noreturn static void look_out(pid_t nursery)
{
    sigset_t told;
    int signal, nothing = open("/dev/null", O_RDWR);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        dup2(nothing, fd);
    pid_t group = getpgid(muster__me.launcher);
    if (getppid() != nursery || group < 0 || setpgid(0, group))
        _exit(0);
    sigemptyset(&told);
    sigaddset(&told, SIGINT);
    sigaddset(&told, SIGTERM);
    while (sigwait(&told, &signal) == 0)
        atomic_store(&muster__me.tables->launcher_told, (uint32_t)signal);
    _exit(1);
}

void lookout_start(int local)
{
    sigset_t all, before;
    pid_t nursery = getpid();
    if (local || !muster__me.heeds_signals || !muster__launcher()->open_mpi)
        return;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before); /* it never lets go of them: what stops the group does not stop it */
    if (fork_own() == 0)
        look_out(nursery);
    sigprocmask(SIG_SETMASK, &before, NULL);
}
