/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For unit tests of what lives in the segment: memory without MPI, and participants made by fork. Every test has a
 * watchdog: a hang is a failure that says where.
 */
#ifndef MUSTER_TESTS_SHARED_CASE_H
#define MUSTER_TESTS_SHARED_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "segment/segment.h"

#ifndef CASE_HOST
#define CASE_HOST 3 /* any */
#endif
#if defined(__SANITIZE_THREAD__) /* what is a second otherwise takes half a minute where cores are shared */
enum { CASE_WATCHDOG_S = 240 };
#else
enum { CASE_WATCHDOG_S = 60 };
#endif
enum { CASE_JOB = 77, CASE_MEMBERS = 64 };

static size_t case_bytes;
static pid_t case_pids[CASE_MEMBERS];

/* What f writes to stderr. */
static inline const char *case_stderr_of(void (*f)(void))
{
    static char text[4096];
    int pipes[2], kept = dup(STDERR_FILENO);
    assert_int_equal(pipe(pipes), 0);
    fcntl(pipes[0], F_SETFL, O_NONBLOCK);
    dup2(pipes[1], STDERR_FILENO);
    f();
    dup2(kept, STDERR_FILENO);
    ssize_t n = read(pipes[0], text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    close(kept);
    close(pipes[0]);
    close(pipes[1]);
    return text;
}

static inline void *case_map(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    return memory;
}

/* A fresh segment, the calling thread in it as member 0. */
static inline void case_segment(size_t bytes, int arenas)
{
    void *memory = case_map(bytes);
    case_bytes = bytes;
    assert_int_equal(muster__segment_format(memory, bytes, CASE_JOB, CASE_HOST, arenas), MUSTER_OK);
    muster__segment_attach(memory);
    atomic_store(&muster__segment->cores, 2);
    assert_int_equal(muster__caller_enter(0, false), MUSTER_OK);
}

static inline int case_setup(void **state)
{
    (void)state;
    case_segment((size_t)1 << 30, 1);
    alarm(CASE_WATCHDOG_S);
    return 0;
}

static inline int case_teardown(void **state)
{
    (void)state;
    void *memory = muster__segment;
    muster__segment_detach();
    munmap(memory, case_bytes);
    alarm(0);
    return 0;
}

/* Runs body(arg) in a process of its own, as this member; its result is the exit code. */
static inline pid_t case_fork(uint32_t member, int (*body)(void *), void *arg)
{
    fflush(NULL);
    pid_t parent = getpid();
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(99);
        muster__caller_forget();
        if (muster__caller_enter(member, false) != MUSTER_OK)
            _exit(98);
        int code = body(arg);
        muster__caller_leave();
        _exit(code);
    }
    case_pids[member] = pid;
    return pid;
}

/* Exit code of a member's process, or 128 + signal. */
static inline int case_join(uint32_t member)
{
    int status;
    while (waitpid(case_pids[member], &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    case_pids[member] = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static inline void case_join_all(uint32_t first, uint32_t n)
{
    for (uint32_t member = first; member < first + n; member++)
        assert_int_equal(case_join(member), 0);
}

/* What a nursery does for a member that was killed. */
static inline void case_kill(uint32_t member)
{
    kill(case_pids[member], SIGKILL);
    assert_int_equal(case_join(member), 128 + SIGKILL);
    muster__sweep_member(member, muster__self_number());
}

struct case_thread {
    int (*body)(void *);
    void *arg;
    uint32_t member;
    int code;
};

static void *case_thread_main(void *arg)
{
    struct case_thread *thread = arg;
    if (muster__caller_enter(thread->member, false) != MUSTER_OK)
        return NULL;
    thread->code = thread->body(thread->arg);
    muster__caller_leave();
    return NULL;
}

/* Runs body(arg) in n threads at once, all must return 0: what ThreadSanitizer can look at. */
static inline void case_threads(uint32_t n, int (*body)(void *), void *arg)
{
    pthread_t ids[CASE_MEMBERS];
    struct case_thread threads[CASE_MEMBERS];
    for (uint32_t i = 0; i < n; i++) {
        threads[i] = (struct case_thread){body, arg, i + 1, -1};
        assert_int_equal(pthread_create(&ids[i], NULL, case_thread_main, &threads[i]), 0);
    }
    for (uint32_t i = 0; i < n; i++)
        pthread_join(ids[i], NULL);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(threads[i].code, 0);
}

/* The same in n processes. */
static inline void case_processes(uint32_t n, int (*body)(void *), void *arg)
{
    for (uint32_t member = 1; member <= n; member++)
        case_fork(member, body, arg);
    case_join_all(1, n);
}

/* A small generator, so that a failing run can be repeated. */
static inline uint32_t case_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33);
}

/* Waits until the condition holds; the watchdog bounds it. */
#define CASE_UNTIL(condition)                                                                                          \
    while (!(condition))                                                                                               \
    usleep(200)

static inline int64_t case_ms(void)
{
    return muster__now_ns() / 1000000;
}

#endif
