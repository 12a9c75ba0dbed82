/* SPDX-License-Identifier: BSD-3-Clause */
#include "farm/feeder.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define AHEAD 256

struct feeder {
    struct lines *lines;
    muster_queue news;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t room;
    struct command *ring[AHEAD];
    int64_t taken, read;
    bool hungry, ended, failed, stopped; /* hungry: somebody waits to be told */
    int64_t total;
    char error[512];
};

void command_free(struct command *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->n_args; i++)
        free(c->args[i]);
    for (int i = 0; i < c->n_words; i++)
        free(c->words[i]);
    free(c->args), free(c->words), free(c->text), free(c->raw), free(c->tag), free(c->name), free(c->after);
    free(c);
}

/* Copies n strings; NULL: no memory. */
static char **copy_strings(char *const *strings, int n)
{
    char **copy = calloc((size_t)n + 1, sizeof *copy);
    for (int i = 0; copy && i < n; i++)
        if (!(copy[i] = strdup(strings[i])))
            return NULL;
    return copy;
}

static char *joined(char *const *strings, int n)
{
    size_t bytes = 1;
    for (int i = 0; i < n; i++)
        bytes += strlen(strings[i]) + 1;
    char *text = malloc(bytes), *at = text;
    for (int i = 0; text && i < n; i++)
        at += sprintf(at, "%s%s", i ? " " : "", strings[i]);
    if (text)
        *at = '\0';
    return text;
}

static struct command *command_of(const struct line *line)
{
    struct command *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    *c = (struct command){.seq = line->seq,
                          .text = lines_slot(line->text, NULL),
                          .raw = strdup(line->text),
                          .wait = line->wait,
                          .cores = line->cores,
                          .gpus = line->gpus,
                          .name = line->name ? strdup(line->name) : NULL,
                          .after = line->after ? strdup(line->after) : NULL};
    while (line->argv && line->argv[c->n_words])
        c->n_words++;
    c->words = copy_strings(line->argv, c->n_words);
    c->args = copy_strings(line->args, line->n_args);
    c->n_args = line->n_args;
    c->tag = line->n_args ? joined(line->args, line->n_args) : lines_slot(line->text, NULL);
    return c->text && c->raw && c->words && c->args && c->tag ? c : NULL; /* without memory it ends anyway */
}

struct work_request *command_request(const struct command *c, int64_t job, int attempt, double timeout_s,
                                     int64_t memory_bytes, const char *gpus, size_t *bytes)
{
    size_t n = sizeof(struct work_request) + strlen(c->raw) + 1 + strlen(gpus) + 1;
    for (int i = 0; i < c->n_words; i++)
        n += strlen(c->words[i]) + 1;
    struct work_request *request = malloc(n);
    if (!request)
        return NULL;
    *request = (struct work_request){.job = job,
                                     .seq = c->seq,
                                     .attempt = attempt,
                                     .cores = c->cores,
                                     .words = c->n_words,
                                     .timeout_s = timeout_s,
                                     .memory_bytes = memory_bytes};
    char *at = stpcpy(request->strings, c->raw) + 1;
    at = stpcpy(at, gpus) + 1;
    for (int i = 0; i < c->n_words; i++)
        at = stpcpy(at, c->words[i]) + 1;
    *bytes = n;
    return request;
}

static void ring_the_bell(struct feeder *f)
{
    struct work_news news = {.kind = WORK_READY};
    (void)muster_queue_put(f->news, &news, sizeof news, MUSTER_FOREVER);
}

/* Under the mutex, which it leaves to tell: who hears it may be waiting for that. */
static void tell(struct feeder *f)
{
    bool hungry = f->hungry;
    f->hungry = false;
    pthread_mutex_unlock(&f->mutex);
    if (hungry)
        ring_the_bell(f);
    pthread_mutex_lock(&f->mutex);
}

static void *feed(void *arg)
{
    struct feeder *f = arg;
    struct line line;
    int there = 1;
    while (there == 1) {
        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
        there = lines_next(f->lines, &line); /* may wait in a read: feeder_stop cancels it there */
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
        struct command *command = there == 1 ? command_of(&line) : NULL;
        pthread_mutex_lock(&f->mutex);
        while (there == 1 && f->read - f->taken == AHEAD && !f->stopped)
            pthread_cond_wait(&f->room, &f->mutex);
        if (f->stopped) {
            command_free(command);
            there = 0;
        } else if (command) {
            f->ring[f->read++ % AHEAD] = command;
        } else {
            f->failed = there != 0;
            f->ended = true;
            snprintf(f->error, sizeof f->error, "%s", there == 1 ? "no memory" : lines_error(f->lines));
            there = 0;
        }
        f->total = lines_total(f->lines);
        tell(f);
        pthread_mutex_unlock(&f->mutex);
    }
    return NULL;
}

struct feeder *feeder_start(struct lines *lines, muster_queue news)
{
    struct feeder *f = calloc(1, sizeof *f);
    sigset_t all, before;
    if (!f)
        return NULL;
    *f = (struct feeder){.lines = lines, .news = news, .total = -1};
    pthread_mutex_init(&f->mutex, NULL);
    pthread_cond_init(&f->room, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&f->thread, NULL, feed, f);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        free(f);
        return NULL;
    }
    return f;
}

enum feeder_said feeder_next(struct feeder *f, struct command **command)
{
    enum feeder_said said = FEEDER_LATER;
    pthread_mutex_lock(&f->mutex);
    if (f->taken < f->read) {
        *command = f->ring[f->taken++ % AHEAD];
        if (f->read - f->taken == AHEAD / 2 || f->read == f->taken)
            pthread_cond_signal(&f->room);
        said = FEEDER_COMMAND;
    } else if (f->ended) {
        said = f->failed ? FEEDER_ERROR : FEEDER_END;
    } else {
        f->hungry = true;
    }
    pthread_mutex_unlock(&f->mutex);
    return said;
}

const char *feeder_error(struct feeder *f)
{
    return f->error;
}

int64_t feeder_total(struct feeder *f)
{
    pthread_mutex_lock(&f->mutex);
    int64_t total = f->total;
    pthread_mutex_unlock(&f->mutex);
    return total;
}

void feeder_stop(struct feeder *f)
{
    if (!f)
        return;
    pthread_mutex_lock(&f->mutex);
    f->stopped = true;
    pthread_cond_signal(&f->room);
    pthread_mutex_unlock(&f->mutex);
    pthread_cancel(f->thread);
    pthread_join(f->thread, NULL);
    while (f->taken < f->read)
        command_free(f->ring[f->taken++ % AHEAD]);
    lines_close(f->lines);
    pthread_mutex_destroy(&f->mutex);
    pthread_cond_destroy(&f->room);
    free(f);
}
