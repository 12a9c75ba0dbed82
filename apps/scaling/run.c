/* SPDX-License-Identifier: BSD-3-Clause */
#include "scaling/run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <regex.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "common/output.h"
#include "common/progress.h"

extern char **environ;

struct running {
    struct plan *plan;
    const char *self, *log; /* log: what the last run has printed */
    char counters[OUTPUT_PATH_MAX];
    struct progress progress;
    int done;
};

static volatile sig_atomic_t stopped;

static void note_signal(int signal)
{
    stopped = signal;
}

int run_stopped(void)
{
    return stopped;
}

/* For a shell: in ' ', which it leaves alone. */
static void put_quoted(FILE *to, const char *word)
{
    fputc('\'', to);
    for (; *word; word++)
        fputs(*word == '\'' ? "'\\''" : (char[]){*word, '\0'}, to);
    fputs("' ", to);
}

static char *command_of(const struct running *r, const struct point *point)
{
    const struct options *o = r->plan->options;
    char *text = NULL,
         *launcher = plan_fill(r->plan, point, o->launcher ? o->launcher : "mpirun --bind-to none -np {np}");
    size_t size;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    FILE *out = open_memstream(&text, &size);
    if (!out || !launcher)
        return NULL;
    fprintf(out, "exec %s ", launcher);
    if (!o->launcher && point->ranks > cores)
        fputs("--oversubscribe ", out);
    if (o->kernel) {
        put_quoted(out, r->self);
        fprintf(out, "--kernel-run %s", o->kernel);
    }
    for (int i = 0; i < o->n_program; i++) {
        char *word = plan_fill(r->plan, point, o->program[i]);
        put_quoted(out, word ? word : "");
        free(word);
    }
    free(launcher);
    return fclose(out) == 0 ? text : NULL;
}

/* In a group of its own, so that all of it can be ended; says into the log. */
static pid_t start(const struct running *r, const char *command)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    pid_t pid = -1;
    char *words[] = {(char *)"sh", (char *)"-c", (char *)command, NULL};
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, r->log, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    posix_spawnattr_init(&attributes);
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    int error = posix_spawn(&pid, "/bin/sh", &actions, &attributes, words, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return error ? -1 : pid;
}

/* Its status; ended where it takes too long, or a signal has come. */
static int wait_for(const struct running *r, pid_t pid, double began, bool *late)
{
    double limit = r->plan->options->timeout_s;
    sigset_t child, before;
    int status;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, &before);
    *late = false;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        struct timespec moment = {.tv_nsec = 200000000};
        sigtimedwait(&child, NULL, &moment);
        *late |= limit > 0 && progress_clock() - began > limit;
        if (*late || stopped) {
            kill(-pid, SIGTERM);
            for (int i = 0; i < 30 && waitpid(pid, &status, WNOHANG) == 0; i++)
                sigtimedwait(&child, NULL, &(struct timespec){.tv_nsec = 100000000});
            kill(-pid, SIGKILL);
            waitpid(pid, &status, 0);
            break;
        }
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return status;
}

static char *read_log(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = calloc(1, (1 << 20) + 1);
    if (file && text) { /* the last MiB */
        fseek(file, 0, SEEK_END);
        long size = ftell(file);
        fseek(file, size > 1 << 20 ? size - (1 << 20) : 0, SEEK_SET);
        text[fread(text, 1, 1 << 20, file)] = '\0';
    }
    if (file)
        fclose(file);
    return text;
}

/* What --time-from finds. < 0: nothing. */
static double time_in(const char *pattern, const char *text)
{
    regex_t regex;
    regmatch_t match[2];
    double seconds = -1;
    if (regcomp(&regex, pattern, REG_EXTENDED | REG_NEWLINE) != 0)
        return -1;
    if (regexec(&regex, text, 2, match, 0) == 0 && match[1].rm_so >= 0)
        seconds = strtod(text + match[1].rm_so, NULL);
    regfree(&regex);
    return seconds;
}

/* A muster program tells how long its ranks have waited in its objects. */
static double waited_in(const char *path, double seconds)
{
    char *text = read_log(path);
    cJSON *all = text ? cJSON_Parse(text) : NULL, *counter;
    double ranks = cJSON_GetNumberValue(cJSON_GetObjectItem(all, "ranks")), waited = 0;
    cJSON_ArrayForEach(counter, cJSON_GetObjectItem(all, "counters")) waited +=
        cJSON_GetNumberValue(cJSON_GetObjectItem(counter, "waited_s"));
    bool known = all && ranks >= 1;
    cJSON_Delete(all);
    free(text);
    unlink(path);
    return known && seconds > 0 ? waited / (ranks * seconds) : -1;
}

static void tell_failure(struct running *r, const struct point *point, int status, bool late, const char *text)
{
    char values[256];
    size_t n = strlen(text);
    while (n && text[n - 1] == '\n')
        n--;
    const char *tail = text + n;
    for (int lines = 0; tail > text && lines < 3; tail--)
        lines += tail[-1] == '\n';
    progress_end(&r->progress);
    fprintf(stderr, "scaling: a run on %d rank%s %s failed: ", point->ranks, point->ranks == 1 ? "" : "s",
            plan_values(r->plan, point, values, sizeof values));
    if (late)
        fprintf(stderr, "over its time limit");
    else if (WIFSIGNALED(status))
        fprintf(stderr, "signal %d", WTERMSIG(status));
    else if (WEXITSTATUS(status))
        fprintf(stderr, "exit code %d", WEXITSTATUS(status));
    else
        fprintf(stderr, "--time-from finds nothing in what it printed");
    fprintf(stderr, "\n%.*s\n", (int)(text + n - tail), tail);
}

/* False: it failed. */
static bool run_one(struct running *r, struct point *point, bool counts)
{
    const struct options *o = r->plan->options;
    char *command = command_of(r, point);
    bool late;
    double began = progress_clock();
    pid_t pid = command ? start(r, command) : -1;
    free(command);
    if (pid < 0)
        return false;
    int status = wait_for(r, pid, began, &late);
    double seconds = progress_clock() - began, wall = seconds;
    char *text = read_log(r->log);
    if ((o->time_from || o->kernel) && text)
        seconds = time_in(o->kernel ? "^seconds ([0-9.e+-]+)" : o->time_from, text);
    bool well = !stopped && !late && WIFEXITED(status) && WEXITSTATUS(status) == 0 && seconds >= 0;
    if (!well && !stopped)
        tell_failure(r, point, status, late, text ? text : "");
    free(text);
    double waited = waited_in(r->counters, wall);
    if (well && counts) {
        point->times[point->n_times++] = seconds;
        point->waited = waited;
    }
    point->failures += !well && !stopped;
    return well;
}

static void show(struct running *r, int of)
{
    char text[100];
    if (!progress_due(&r->progress))
        return;
    snprintf(text, sizeof text, "run %d of %d", r->done, of);
    progress_show(&r->progress, text);
}

int run_all(struct plan *plan, const char *self)
{
    const struct options *o = plan->options;
    struct running r = {.plan = plan, .self = self, .progress = progress_start(stderr, !o->quiet)};
    char log[OUTPUT_PATH_MAX];
    int failed = 0, of = plan->n_order + o->warm_ups * plan->n_points;
    if (output_directory(o->out) != 0 || output_path(log, o->out, "last-run.log") != 0 ||
        output_path(r.counters, o->out, "counters.json") != 0) {
        fprintf(stderr, "scaling: %s: %s\n", o->out, strerror(errno));
        return -1;
    }
    r.log = log;
    setenv("MUSTER_COUNTERS", r.counters, 1);
    sigaction(SIGINT, &(struct sigaction){.sa_handler = note_signal}, NULL);
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = note_signal}, NULL);
    for (int w = 0; w < o->warm_ups * plan->n_points && !stopped; w++, r.done++) {
        show(&r, of);
        run_one(&r, &plan->points[w % plan->n_points], false);
    }
    for (int i = 0; i < plan->n_order && !stopped; i++, r.done++) {
        show(&r, of);
        failed += !run_one(&r, &plan->points[plan->order[i]], true);
    }
    progress_end(&r.progress);
    return failed;
}
