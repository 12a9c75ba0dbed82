/* SPDX-License-Identifier: BSD-3-Clause */
#include "farm/child.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "farm/memory.h"

#define GRACE_SECONDS 1.0 /* from SIGTERM to SIGKILL */
#define LOOK_SECONDS  0.5 /* how often the listener is asked */
#define WATCH_SECONDS 0.05
#define CHUNK_BYTES   65536

struct running {
    const struct child_request *request;
    const struct child_listener *listener;
    struct child_outcome *outcome;
    pid_t pid;
    int pidfd, pipes[2];          /* -1: closed */
    double begin, looked, termed; /* monotonic; termed 0: not yet */
};

static int64_t victims; /* of the kernel's for want of memory, when that was last looked at */

static double clock_seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void child_prepare(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    victims = memory_victims();
}

static void close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Signals as in a program that nobody has touched, all three streams, the directory. */
static int spawn(struct running *r, int out, int err)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    const struct child_request *q = r->request;
    char *shell[] = {(char *)q->shell, (char *)"-c", (char *)q->text, NULL};
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int error = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (!error)
        error = posix_spawn_file_actions_adddup2(&actions, out, 1);
    if (!error)
        error = posix_spawn_file_actions_adddup2(&actions, err, 2);
    if (!error && q->directory)
        error = posix_spawn_file_actions_addchdir_np(&actions, q->directory);
    if (!error)
        error = q->argv ? posix_spawnp(&r->pid, q->argv[0], &actions, &attributes, q->argv, q->environment) : ENOEXEC;
    if (error == ENOEXEC) /* what a shell can start alone, as a script without a first line that says by what */
        error = posix_spawn(&r->pid, q->shell, &actions, &attributes, shell, q->environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return error;
}

static int start(struct running *r)
{
    int out[2], err[2], error = 0;
    if (pipe2(out, O_CLOEXEC) != 0)
        return errno;
    if (pipe2(err, O_CLOEXEC) != 0) {
        error = errno;
        close(out[0]), close(out[1]);
        return error;
    }
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    fcntl(err[0], F_SETFL, O_NONBLOCK);
    error = spawn(r, out[1], err[1]);
    close(out[1]), close(err[1]);
    r->pipes[0] = out[0], r->pipes[1] = err[0];
    if (!error) {
        r->pidfd = (int)syscall(SYS_pidfd_open, r->pid, 0);
        if (r->pidfd < 0) {
            error = errno;
            kill(r->pid, SIGKILL);
            waitpid(r->pid, NULL, 0);
        }
    }
    return error;
}

/* What is there of a stream, at most `most` bytes; closes it at its end. */
static void listen_to(struct running *r, int stream, size_t most)
{
    char bytes[CHUNK_BYTES];
    while (most > 0 && r->pipes[stream] >= 0) {
        ssize_t n = read(r->pipes[stream], bytes, sizeof bytes < most ? sizeof bytes : most);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            close_one(&r->pipes[stream]);
            return;
        }
        r->outcome->bytes[stream] += n;
        r->listener->heard(r->listener->arg, stream, bytes, (size_t)n);
        most -= (size_t)n;
    }
}

static void end_early(struct running *r, enum child_end why, double now)
{
    if (r->termed > 0)
        return;
    r->outcome->end = why;
    r->termed = now;
    memory_signal_descendants(SIGTERM);
}

/* Limits, and what the listener says; returns when to come again, in seconds from now. */
static double look(struct running *r)
{
    const struct child_request *q = r->request;
    double now = clock_seconds(CLOCK_MONOTONIC), next = r->looked + LOOK_SECONDS - now;
    if (q->timeout_s > 0 && now - r->begin >= q->timeout_s)
        end_early(r, CHILD_TIMEOUT, now);
    if (q->memory_bytes > 0) {
        int64_t bytes = memory_of_descendants();
        if (bytes > r->outcome->peak_bytes)
            r->outcome->peak_bytes = bytes;
        if (bytes > q->memory_bytes)
            end_early(r, CHILD_MEMORY, now);
    }
    if (next <= 0) {
        r->looked = now;
        next = LOOK_SECONDS;
        victims = memory_victims();
        if (r->listener->called_off && r->listener->called_off(r->listener->arg, now - r->begin))
            end_early(r, CHILD_CALLED_OFF, now);
    }
    if (r->termed > 0) {
        if (now - r->termed >= GRACE_SECONDS || r->outcome->end == CHILD_MEMORY)
            memory_signal_descendants(SIGKILL);
        return WATCH_SECONDS;
    }
    if (q->memory_bytes > 0)
        next = fmin(next, WATCH_SECONDS);
    if (q->timeout_s > 0)
        next = fmin(next, r->begin + q->timeout_s - now);
    return fmax(next, 0);
}

/* Until the first process has ended; what it said is heard meanwhile. */
static void attend(struct running *r)
{
    for (;;) {
        struct pollfd fds[3] = {{.fd = r->pidfd, .events = POLLIN},
                                {.fd = r->pipes[0], .events = POLLIN},
                                {.fd = r->pipes[1], .events = POLLIN}};
        int n = poll(fds, 3, (int)ceil(1000 * look(r)));
        for (int stream = 0; n > 0 && stream < 2; stream++)
            if (fds[1 + stream].revents)
                listen_to(r, stream, 16 * CHUNK_BYTES);
        if (n > 0 && fds[0].revents)
            return;
    }
}

/* What it has left behind has this process for a parent now, if none between. */
static void end_rest(void)
{
    for (int round = 0; waitpid(-1, NULL, WNOHANG) >= 0; round++) {
        memory_signal_descendants(SIGKILL);
        if (round > 0)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        if (round > 1000)
            return; /* in the kernel's hands: a dead file system, say */
    }
}

static void judge(struct running *r)
{
    siginfo_t info = {0};
    struct child_outcome *o = r->outcome;
    while (waitid(P_PID, (id_t)r->pid, &info, WEXITED) != 0 && errno == EINTR)
        ;
    if (info.si_code == CLD_EXITED)
        o->code = info.si_status;
    else
        o->signal = info.si_status;
    /* a shell tells of its child's signal by its exit code */
    bool killed = o->signal == SIGKILL || o->code == 128 + SIGKILL;
    if (o->end == CHILD_ENDED && killed) {
        int64_t now = memory_victims();
        if (now > victims)
            o->end = CHILD_OOM;
        victims = now;
    }
}

void child_run(const struct child_request *request, const struct child_listener *listener,
               struct child_outcome *outcome)
{
    *outcome = (struct child_outcome){.end = CHILD_ENDED, .begin = clock_seconds(CLOCK_REALTIME)};
    struct running r = {.request = request,
                        .listener = listener,
                        .outcome = outcome,
                        .pidfd = -1,
                        .pipes = {-1, -1},
                        .begin = clock_seconds(CLOCK_MONOTONIC)};
    r.looked = r.begin;
    outcome->error = start(&r);
    if (outcome->error) {
        outcome->end = CHILD_NOT_STARTED;
        outcome->code = outcome->error == ENOENT ? 127 : 126;
    } else {
        attend(&r);
        judge(&r);
        /* its own words; not those of what it left behind, which may go on for ever */
        int pending = 1 << 20;
        listen_to(&r, 0, (size_t)pending);
        listen_to(&r, 1, (size_t)pending);
        end_rest();
    }
    outcome->seconds = clock_seconds(CLOCK_MONOTONIC) - r.begin;
    close_one(&r.pipes[0]);
    close_one(&r.pipes[1]);
    close_one(&r.pidfd);
}
