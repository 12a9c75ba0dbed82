/* SPDX-License-Identifier: BSD-3-Clause */
#include "support/mpi_case.h"

#include <execinfo.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <muster/runtime.h>

#ifdef __SANITIZE_ADDRESS__
/* Open MPI closes its components at the end; what they had leaked could then no longer be told from our own leaks. */
__attribute__((visibility("default"))) int dlclose(void *module);
int dlclose(void *module)
{
    (void)module;
    return 0;
}
#endif

#ifndef sigev_notify_thread_id /* glibc has no name for it before 2.38 */
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum { LIMIT_S = 120, FRAMES = 64, OTHERS_PRINT_S = 2 };

static const char *watched_suite;

static void put(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0)
        _exit(1);
}

/* Runs on the main thread, wherever that is. All ranks get here at about the same time: one that aborted at once would
 * have mpirun kill the others before they have said where they are. */
static void watchdog_bark(int signal)
{
    (void)signal;
    char line[160];
    void *frames[FRAMES];
    snprintf(line, sizeof line, "watchdog: suite %s, rank %d, pid %d is still here:\n", watched_suite, muster_rank(),
             (int)getpid());
    put(line);
    backtrace_symbols_fd(frames, backtrace(frames, FRAMES), STDERR_FILENO);
    sleep(OTHERS_PRINT_S);
    abort();
}

/* A timer rather than a thread, since muster_init wants to be called before there are threads; not inherited by fork.
 */
static int watchdog_start(const char *suite)
{
    void *warm[1];
    backtrace(warm, 1); /* loads libgcc, which must not happen in the handler */
    watched_suite = suite;

    const char *limit = getenv("MUSTER_CASE_LIMIT_S");
    struct itimerspec after = {.it_value.tv_sec = limit && atoi(limit) > 0 ? atoi(limit) : LIMIT_S};
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM};
    event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
    struct sigaction action = {.sa_handler = watchdog_bark};
    timer_t timer;
    if (sigaction(SIGALRM, &action, NULL) != 0 || timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 ||
        timer_settime(timer, 0, &after, NULL) != 0) {
        perror("mpi_case: no watchdog");
        return -1;
    }
    return 0;
}

/* Number of cases that will run. */
static size_t choose(const struct CMUnitTest *tests, size_t n)
{
    const char *pattern = getenv("MUSTER_CASE");
    if (!pattern)
        return n;
    cmocka_set_test_filter(pattern);
    size_t chosen = 0;
    for (size_t i = 0; i < n; i++)
        chosen += fnmatch(pattern, tests[i].name, 0) == 0;
    return chosen;
}

int mpi_case_main(int *argc, char ***argv, const struct CMUnitTest *tests, size_t n, const char *suite)
{
    setvbuf(stdout, NULL, _IOLBF, 0); /* so that the name of a case that hangs or crashes is out */
    if (watchdog_start(suite) != 0)
        return 1;
    muster_err err = muster_init(argc, argv, NULL);
    if (err != MUSTER_OK) {
        fprintf(stderr, "%s: muster_init: %s: %s\n", suite, muster_err_name(err), muster_err_detail());
        return 1;
    }
    size_t chosen = choose(tests, n);
    if (chosen == 0)
        fprintf(stderr, "%s: no case ran\n", suite);
    int failed = chosen == 0 ? 1 : _cmocka_run_group_tests(suite, tests, n, NULL, NULL);
    int code = muster_finalize();
    if (failed != 0)
        return failed > 0 && failed < 100 ? failed : 100;
    return code;
}
