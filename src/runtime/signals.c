#include "runtime/state.h"

#include <execinfo.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * Stop signals: SIGINT, SIGTERM and SIGUSR1 (a batch system's notice) are noted in the segment, the first one wins, and
 * the main program's waits end. mpirun, told to stop, sends its ranks SIGCONT at once, SIGTERM a second later and
 * SIGKILL two seconds later: SIGCONT from the launcher is taken as the notice it is, so that all of the two seconds can
 * be used.
 *
 * Crash signals: one line says what ran, then a backtrace, then the signal does what it does by default.
 */

static const int stops[] = {SIGINT, SIGTERM, SIGUSR1, SIGCONT};
static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
enum { STOPS = sizeof stops / sizeof *stops, CRASHES = sizeof crashes / sizeof *crashes };

MUSTER__THREAD_LOCAL struct muster__running muster__running;

static struct {
    struct sigaction before_stop[STOPS], before_crash[CRASHES];
    bool stop_installed, crash_installed, continues;
    pid_t launcher;
    char stack[65536];
} state;

/* ---- stop ---- */

static void on_stop(int signal, siginfo_t *info, void *context)
{
    (void)context;
    if (!muster__segment)
        return;
    if (signal == SIGCONT) {
        if (!state.continues || info->si_pid != state.launcher)
            return;
        signal = SIGINT;
    }
    uint32_t none = 0;
    atomic_compare_exchange_strong(&muster__segment->signal, &none, (uint32_t)signal);
    /* rank 0's main program may sleep in another process's time slice: ring it */
    muster__ring(nursery_at(0)->rank_caller);
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

/* ---- crash ---- */

static void on_crash(int signal, siginfo_t *info, void *context)
{
    (void)info;
    (void)context;
    struct sigaction plain = {.sa_handler = SIG_DFL};
    sigaction(signal, &plain, NULL);
    struct muster__running running = muster__running;
    if (!muster__me.is_child || muster__log_wants(MUSTER__INFO)) {
        char function[64] = "";
        if (running.what) {
            muster__function_describe(running.function, function, sizeof function);
            muster__log(
                MUSTER__ERROR, "%s %lld (function %s) on worker %d of pool '%s', rank %d, host %s: signal %d (%s)",
                running.what, (long long)running.index, function, running.worker, running.object ? running.object : "",
                muster_rank(), muster__host_name(), signal, sigabbrev_np(signal));
        } else {
            muster__log(MUSTER__ERROR, "rank %d, host %s: signal %d (%s) outside of tasks", muster_rank(),
                        muster__host_name(), signal, sigabbrev_np(signal));
        }
        void *frames[64];
        backtrace_symbols_fd(frames, backtrace(frames, 64), STDERR_FILENO);
    }
    raise(signal);
}

/* ---- installing ---- */

void signals_install(bool stop_signals)
{
    state.launcher = getppid();
    state.continues = getenv("OMPI_COMM_WORLD_SIZE") && !getenv("OMPI_MCA_orte_forward_job_control");
    struct sigaction stop = {.sa_sigaction = on_stop, .sa_flags = SA_SIGINFO};
    for (int i = 0; stop_signals && i < STOPS; i++)
        sigaction(stops[i], &stop, &state.before_stop[i]);
    state.stop_installed = stop_signals;

    void *frame;
    backtrace(&frame, 1); /* loads what it needs now: not in a handler */
    stack_t stack = {.ss_sp = state.stack, .ss_size = sizeof state.stack};
    sigaltstack(&stack, NULL);
    struct sigaction crash = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    for (int i = 0; i < CRASHES; i++)
        sigaction(crashes[i], &crash, &state.before_crash[i]);
    state.crash_installed = true;
}

/* Once told to stop, the same notice may come again until the end: launchers send it to the process and to its group.
 */
void signals_restore(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    bool told = muster_interrupted() != 0;
    for (int i = 0; state.stop_installed && i < STOPS; i++)
        sigaction(stops[i], told ? &ignore : &state.before_stop[i], NULL);
    for (int i = 0; state.crash_installed && i < CRASHES; i++)
        sigaction(crashes[i], &state.before_crash[i], NULL);
    if (state.crash_installed)
        sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
    state.stop_installed = state.crash_installed = false;
}

/* A terminal's Ctrl-C reaches children too: whether they end is for rank 0 to say. */
void signals_reset_in_child(void)
{
    sigset_t none;
    for (int signal = 1; signal < 32; signal++)
        if (signal != SIGKILL && signal != SIGSTOP)
            sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    sigaction(SIGINT, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}
