/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/state.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/*
 * Stop signals: SIGINT, SIGTERM and SIGUSR1 (a batch system's notice) are noted in the segment, the first one wins, and
 * the main program's waits end. What mpirun sends when it is told to stop: lookout.c. Not under Slurm, which sends
 * SIGCONT before each signal of its own. Handlers that the program had are called, too.
 */

static const int stops[] = {SIGINT, SIGTERM, SIGUSR1, SIGCONT};
enum { STOPS = sizeof stops / sizeof *stops };

/* Launchers send the same to a process and to its group: what comes again after that was meant. */
#define AGAIN_NS INT64_C(300000000)

static struct {
    struct sigaction before[STOPS];
    bool installed, continues, launched;
    pid_t launcher;
    _Atomic int64_t told_ns; /* when this rank was told to stop, by INT or TERM and not by the launcher */
} state;

/* ---- stop ---- */

void signals_stop(int signal)
{
    uint32_t none = 0, told = atomic_load(&muster__me.tables->launcher_told);
    if (told && signal != SIGUSR1 && atomic_load(&muster__me.tables->launcher_ends))
        signal = (int)told;
    atomic_compare_exchange_strong(&muster__segment->signal, &none, (uint32_t)signal);
    /* rank 0's main program may sleep in another process's time slice: ring it */
    muster__ring(nursery_at(0)->rank_caller);
}

static void end_if_again(int signal)
{
    static const char text[] = "told to stop a second time: this rank ends at once\n";
    int64_t now = muster__now_ns(), none = 0;
    if (signal == SIGUSR1 || atomic_compare_exchange_strong(&state.told_ns, &none, now) || now - none < AGAIN_NS)
        return;
    ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
    (void)written;
    _exit(128 + signal);
}

static void note_stop(int signal, const siginfo_t *info)
{
    if (!muster__segment || !muster__me.tables)
        return;
    bool launchers = state.launched && info->si_pid == state.launcher;
    uint32_t code = atomic_load(&muster__me.tables->exit_code);
    if (code && (signal == SIGTERM || signal == SIGCONT))
        _exit((int)code);
    if (signal == SIGCONT) {
        if (!state.continues || !launchers)
            return;
        atomic_store(&nursery_at(muster__me.world.local)->continued, 1);
        member_ring_nursery(muster__me.world.local);
        return;
    }
    if (!launchers)
        end_if_again(signal);
    else if (signal != SIGUSR1)
        atomic_store(&muster__me.tables->launcher_ends, 1);
    signals_stop(signal);
}

static void call_before(int signal, siginfo_t *info, void *context)
{
    const struct sigaction *before = state.before;
    for (int i = 0; i < STOPS; i++)
        if (stops[i] == signal)
            before = &state.before[i];
    if (before->sa_flags & SA_SIGINFO)
        before->sa_sigaction(signal, info, context);
    else if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN)
        before->sa_handler(signal);
}

static void on_stop(int signal, siginfo_t *info, void *context)
{
    int saved = errno;
    note_stop(signal, info);
    call_before(signal, info, context);
    errno = saved;
}

bool signals_launcher_ends_job(void)
{
    return atomic_load(&muster__me.tables->launcher_ends);
}

/* The first signal has it end its ranks and daemons, and wait for those of the lost host; the third in a row has it end
 * itself. */
void signals_end_launcher(void)
{
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    for (int i = 0; i < 3 && state.launched && state.launcher == getppid(); i++) {
        kill(state.launcher, SIGTERM);
        nanosleep(&(struct timespec){.tv_nsec = 300000000L}, NULL);
    }
}

int signals_exit_code(void)
{
    switch (muster_interrupted()) {
    case 0:
        return 0;
    case SIGUSR1:
        return 75;
    default:
        return 128 + muster_interrupted();
    }
}

int muster_interrupted(void)
{
    return muster__segment ? (int)atomic_load(&muster__segment->signal) : 0;
}

/* ---- installing ---- */

void signals_install(void)
{
    state.launcher = muster__me.launcher;
    state.launched = muster__launcher()->open_mpi;
    state.continues = state.launched && !getenv("OMPI_MCA_orte_forward_job_control") && !getenv("SLURM_JOB_ID");
    struct sigaction stop = {.sa_sigaction = on_stop, .sa_flags = SA_SIGINFO};
    for (int i = 0; i < STOPS; i++)
        sigaction(stops[i], &stop, &state.before[i]);
    state.installed = true;
}

/* Once told to stop, the same notice may come again until the end: launchers send it to the process and to its group.
 */
void signals_restore(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    bool told = muster_interrupted() != 0;
    for (int i = 0; state.installed && i < STOPS; i++)
        sigaction(stops[i], told ? &ignore : &state.before[i], NULL);
    state.installed = false;
}

/* As any program starts; crash signals stay with crash.c. */
void signals_reset_in_child(void)
{
    static const int kept[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    for (int signal = 1; signal < 32; signal++) {
        bool is_kept = false;
        for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
            is_kept |= signal == kept[i];
        if (!is_kept)
            sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    }
}
