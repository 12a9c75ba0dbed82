/* SPDX-License-Identifier: BSD-3-Clause */
#include "watch/watch.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/*
 * Who asks from outside: the lowest rank of each host has a thread that sleeps until a process of the same user (or
 * root) connects to an abstract socket, whose name says whose job it is: "muster-status.<uid>.<pid>". It writes the
 * status as text, and closes. It is no caller: nobody waits for it, nothing is stopped. On rank 0's host it has the
 * agent ask all hosts.
 */

#define ANSWER_MS 5000 /* what has not come by then is done without */

static struct {
    pthread_t thread;
    int listener, bell; /* bell: stop */
    bool runs;
    int64_t began_ns;
    /* between this thread and the agent's */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool asked, answered;
    struct view *view;
    int count;
} status = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* ---- views ---- */

bool status_asked(void)
{
    pthread_mutex_lock(&status.mutex);
    bool asked = status.asked;
    pthread_mutex_unlock(&status.mutex);
    return asked;
}

bool status_take(const struct view *views, int n)
{
    struct view *copy = malloc((size_t)(n ? n : 1) * sizeof *copy);
    pthread_mutex_lock(&status.mutex);
    bool taken = copy && status.asked;
    if (taken) {
        memcpy(copy, views, (size_t)n * sizeof *copy);
        status.view = copy;
        status.count = n;
        status.asked = false;
        status.answered = true;
        pthread_cond_signal(&status.changed);
    }
    pthread_mutex_unlock(&status.mutex);
    if (!taken)
        free(copy);
    return taken;
}

/* Of all hosts, by the agent. False: they have not come. */
static bool views_of_all(struct view **views, int *n)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ANSWER_MS / 1000;
    pthread_mutex_lock(&status.mutex);
    status.asked = true;
    status.answered = false;
    while (!status.answered && pthread_cond_timedwait(&status.changed, &status.mutex, &until) == 0)
        ;
    bool answered = status.answered;
    status.asked = status.answered = false;
    if (answered) {
        *views = status.view;
        *n = status.count;
    }
    pthread_mutex_unlock(&status.mutex);
    return answered;
}

static bool view_of_this(struct view **views, int *n)
{
    *views = malloc(sizeof **views);
    *n = *views && view_make(*views, true) ? 1 : 0;
    if (!*n)
        free(*views);
    return *n;
}

/* ---- text ---- */

static void say(void *to, const char *line)
{
    fprintf(to, "  %s\n", line);
}

static void say_objects(const struct view *view, FILE *to)
{
    if (!view->head.objects)
        return;
    fprintf(to, "objects on host %s:\n", view->head.host_name);
    for (uint32_t i = 0; i < view->head.objects; i++)
        fprintf(to, "  %s: %s\n", view->object[i].name, *view->object[i].facts ? view->object[i].facts : "-");
    if (view->head.objects_left_out)
        fprintf(to, "  and %u more\n", view->head.objects_left_out);
}

static void say_all(FILE *to)
{
    struct view *views = NULL;
    int n = 0, hosts = muster_hosts(), hub = muster__segment->host == 0;
    bool all = hosts > 1 && hub && views_of_all(&views, &n);
    fprintf(to, "muster %s: job %08x, %d rank%s on %d host%s, for %.1f s\n", MUSTER_VERSION, muster__segment->job,
            muster_ranks(), muster__s(muster_ranks()), hosts, muster__s(hosts),
            (double)(muster__now_ns() - status.began_ns) * 1e-9);
    if (hosts > 1 && !all)
        fprintf(to, hub ? "the other hosts have not answered; of this host:\n"
                        : "of this host; of all, where rank 0 runs:\n");
    if (!all && !view_of_this(&views, &n)) {
        fprintf(to, "out of memory\n");
        return;
    }
    fprintf(to, "processes and threads:\n");
    report_roll(views, n, say, to);
    for (int i = 0; i < n; i++) {
        say_objects(&views[i], to);
        view_free(&views[i]);
    }
    free(views);
    if (muster__counts()) {
        fprintf(to, "counters of this host:\n");
        muster__counters_print(to);
    }
}

/* ---- the thread ---- */

static bool may_ask(int peer)
{
    struct ucred who;
    socklen_t size = sizeof who;
    return getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 && (who.uid == geteuid() || who.uid == 0);
}

static void answer(int peer)
{
    struct timeval limit = {.tv_sec = ANSWER_MS / 1000};
    setsockopt(peer, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    char *text = NULL;
    size_t size = 0;
    FILE *memory = may_ask(peer) ? open_memstream(&text, &size) : NULL;
    if (memory) {
        say_all(memory);
        fclose(memory);
    }
    for (size_t at = 0; at < size;) {
        ssize_t sent = send(peer, text + at, size - at, MSG_NOSIGNAL);
        if (sent <= 0)
            break;
        at += (size_t)sent;
    }
    free(text);
}

static void *serve(void *unused)
{
    (void)unused;
    struct pollfd fds[] = {{.fd = status.bell, .events = POLLIN}, {.fd = status.listener, .events = POLLIN}};
    while (poll(fds, 2, -1) < 0 || !fds[0].revents) {
        int peer = fds[1].revents ? accept4(status.listener, NULL, NULL, SOCK_CLOEXEC) : -1;
        if (peer < 0)
            continue;
        answer(peer);
        close(peer);
    }
    return NULL;
}

static int listen_there(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int length = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "muster-status.%u.%d", (unsigned)geteuid(),
                          (int)getpid());
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    if (fd >= 0 && (bind(fd, (const struct sockaddr *)&name, size) != 0 || listen(fd, 4) != 0)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

void status_start(void)
{
    sigset_t all, before;
    if (status.runs)
        return;
    status.listener = listen_there();
    status.bell = eventfd(0, EFD_CLOEXEC);
    status.began_ns = muster__now_ns();
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    status.runs = status.listener >= 0 && status.bell >= 0 && pthread_create(&status.thread, NULL, serve, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!status.runs)
        muster__log(MUSTER__INFO, "muster-status will not find this job: no socket or thread for it");
}

void status_stop(void)
{
    if (!status.runs)
        return;
    status.runs = false;
    if (write(status.bell, &(uint64_t){1}, sizeof(uint64_t)) == sizeof(uint64_t))
        pthread_join(status.thread, NULL);
    close(status.listener);
    close(status.bell);
}
