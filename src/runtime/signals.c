#include "runtime/state.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/*
 * Stop signals: SIGINT, SIGTERM and SIGUSR1 (a batch system's notice) are noted in the segment, the first one wins, and
 * the main program's waits end. mpirun, told to stop, sends its ranks SIGCONT at once, SIGTERM a second later and
 * SIGKILL two seconds later: SIGCONT from the launcher is taken as the notice it is, so that all of the two seconds can
 * be used. Not under Slurm, which sends SIGCONT before each signal of its own: mpirun passes on both, with any time
 * between them.
 */

static const int stops[] = {SIGINT, SIGTERM, SIGUSR1, SIGCONT};
enum { STOPS = sizeof stops / sizeof *stops };

static struct {
    struct sigaction before[STOPS];
    bool installed, continues, launched;
    volatile sig_atomic_t ending; /* the launcher ends the job */
    pid_t launcher;
} state;

/* ---- stop ---- */

static void on_stop(int signal, siginfo_t *info, void *context)
{
    (void)context;
    int saved = errno;
    if (!muster__segment || !muster__me.tables)
        return;
    uint32_t code = atomic_load(&muster__me.tables->exit_code);
    if (code && (signal == SIGTERM || signal == SIGCONT))
        _exit((int)code);
    if (signal == SIGCONT) {
        if (!state.continues || info->si_pid != state.launcher)
            return;
        signal = SIGINT;
    }
    if (state.launched && signal != SIGUSR1 && info->si_pid == state.launcher)
        state.ending = 1;
    uint32_t none = 0;
    atomic_compare_exchange_strong(&muster__segment->signal, &none, (uint32_t)signal);
    /* rank 0's main program may sleep in another process's time slice: ring it */
    muster__ring(nursery_at(0)->rank_caller);
    errno = saved;
}

bool signals_launcher_ends_job(void)
{
    return state.ending;
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
    state.launcher = getppid();
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
