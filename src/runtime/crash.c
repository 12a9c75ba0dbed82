/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/state.h"

#include <execinfo.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * Crash signals: one line says what ran, then a backtrace, then the signal does what it does by default: it ends the
 * job when a rank crashes, and the process alone when a child does, whose user is told by join or by the task's error.
 */

static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
enum { CRASHES = sizeof crashes / sizeof *crashes, REPORT_S = 5, FRAMES = 64 };

MUSTER__THREAD_LOCAL struct muster__running *muster__running;

static struct {
    struct sigaction before[CRASHES];
    bool installed;
    _Alignas(64) char stack[65536];
} state;

static void describe(int signal)
{
    const struct muster__running *running = muster__running;
    char function[64] = "";
    if (!running) {
        muster__log(MUSTER__ERROR, "rank %d, host %s: signal %d (SIG%s) outside of tasks", muster_rank(),
                    muster__host_name(), signal, sigabbrev_np(signal));
        return;
    }
    const char *object = running->object && *running->object ? running->object : NULL;
    muster__function_describe(running->function, function, sizeof function);
    muster__log(MUSTER__ERROR, "%s %lld (function %s) on worker %d%s%s%s, rank %d, host %s: signal %d (SIG%s)",
                running->what, (long long)running->index, function, running->worker, object ? " of pool '" : "",
                object ? object : "", object ? "'" : "", muster_rank(), muster__host_name(), signal,
                sigabbrev_np(signal));
}

/* A page that is touched for the first time, and there is no room for it any more. */
static void say_full(const void *at)
{
    const char *begin = (const char *)muster__segment;
    if (begin && (const char *)at >= begin && (const char *)at < begin + muster__segment->size_bytes)
        muster__log(MUSTER__ERROR, "what the processes of this host share has no more room in memory: make room in "
                                   "/dev/shm, where other programs have files, too, or mount it larger");
}

/* What it calls may wait for a lock that the crashed code holds: the alarm ends a report that hangs. */
static void on_crash(int signal, siginfo_t *info, void *context)
{
    (void)context;
    muster__trace(MUSTER__EVENT_CRASHED, (muster_handle){0}, 0, signal);
    struct sigaction plain = {.sa_handler = SIG_DFL};
    sigaction(signal, &plain, NULL);
    if (!muster__me.is_child || muster__log_wants(MUSTER__INFO)) {
        sigaction(SIGALRM, &plain, NULL);
        alarm(REPORT_S);
        describe(signal);
        if (signal == SIGBUS)
            say_full(info->si_addr);
        void *frames[FRAMES];
        backtrace_symbols_fd(frames, backtrace(frames, FRAMES), STDERR_FILENO);
        if (!muster__me.is_child && !atomic_exchange(&muster__me.tables->death_told, 1))
            muster__trace_tell(muster__me.member, MUSTER__ERROR, "this rank");
    }
    raise(signal); /* when this returns: it is blocked until then */
}

void crash_install(void)
{
    void *frame;
    backtrace(&frame, 1); /* loads what it needs now: not in a handler */
    stack_t stack = {.ss_sp = state.stack, .ss_size = sizeof state.stack};
    sigaltstack(&stack, NULL);
    struct sigaction crash = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    for (int i = 0; i < CRASHES; i++)
        sigaction(crashes[i], &crash, &state.before[i]);
    state.installed = true;
}

void crash_restore(void)
{
    for (int i = 0; state.installed && i < CRASHES; i++)
        sigaction(crashes[i], &state.before[i], NULL);
    if (state.installed)
        sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
    state.installed = false;
}
