/* SPDX-License-Identifier: BSD-3-Clause */
/* Which host has the cores and GPUs that a command wants. A worker counts for one core; GPUs are the host's. */
#include <stdlib.h>
#include <string.h>

#include "farm/run.h"

#define GPUS_MAX 64

struct host {
    char name[64];
    int number; /* as aims count */
    int cores, free, gpus;
    uint64_t gpus_taken;
};

struct place {
    struct host *hosts;
    int n;
};

struct answer {
    int host, gpus;
    char name[64];
};

static int ask(const void *item, void *result, const void *user)
{
    struct answer *answer = result;
    (void)user;
    answer->host = *(const int *)item;
    answer->gpus = muster_gpus();
    snprintf(answer->name, sizeof answer->name, "%s", muster_host());
    return 0;
}

/* One worker of each host is asked for its GPUs, and each worker for its host's name. */
static muster_err ask_all(struct place *place, muster_pool pool, int workers)
{
    muster_err err = MUSTER_OK;
    muster_task *tasks = calloc((size_t)(workers + place->n), sizeof *tasks);
    if (!tasks)
        return MUSTER_ERR_NOMEM;
    for (int i = 0; i < workers + place->n && err == MUSTER_OK; i++) {
        bool is_host = i < place->n;
        muster_submit_options aim = {.aim = is_host ? MUSTER_AIM_HOST : MUSTER_AIM_WORKER,
                                     .aim_at = is_host ? i : i - place->n};
        int number = is_host ? i : -1;
        err = muster_pool_submit(pool, &tasks[i], ask, &number, sizeof number, sizeof(struct answer), &aim);
    }
    for (int i = 0; i < workers + place->n && err == MUSTER_OK; i++) {
        struct answer answer;
        err = muster_task_get(tasks[i], &answer, sizeof answer, MUSTER_FOREVER);
        for (int h = 0; h < place->n && err == MUSTER_OK; h++) {
            struct host *host = &place->hosts[h];
            if (answer.host == h) {
                host->number = h;
                host->gpus = answer.gpus < GPUS_MAX ? answer.gpus : GPUS_MAX;
                memcpy(host->name, answer.name, sizeof host->name);
            } else if (answer.host < 0 && strcmp(host->name, answer.name) == 0) {
                host->cores++;
                break;
            }
        }
    }
    free(tasks);
    return err;
}

struct place *place_make(muster_pool pool, int workers)
{
    struct place *place = calloc(1, sizeof *place);
    if (!place)
        return NULL;
    place->n = muster_hosts();
    place->hosts = calloc((size_t)place->n, sizeof *place->hosts);
    if (!place->hosts || ask_all(place, pool, workers) != MUSTER_OK) {
        place_end(place);
        return NULL;
    }
    for (int h = 0; h < place->n; h++)
        place->hosts[h].free = place->hosts[h].cores;
    return place;
}

static int gpus_free(const struct host *host)
{
    return host->gpus - __builtin_popcountll(host->gpus_taken);
}

/* Of those that have what it wants the one with the most cores left: work is spread. */
bool place_take(struct place *place, struct job *job, bool *never)
{
    int cores = job->command->cores > 1 ? job->command->cores : 1, gpus = job->command->gpus;
    struct host *best = NULL;
    *never = true;
    for (int h = 0; h < place->n; h++) {
        struct host *host = &place->hosts[h];
        *never &= host->cores < cores || host->gpus < gpus;
        if (host->free >= cores && gpus_free(host) >= gpus && (!best || host->free > best->free))
            best = host;
    }
    if (!best)
        return false;
    best->free -= cores;
    job->host = best->number;
    job->cores = cores;
    job->gpus = 0;
    for (int g = 0; g < best->gpus && gpus > 0; g++) {
        if (!(best->gpus_taken & (uint64_t)1 << g)) {
            job->gpus |= (uint64_t)1 << g;
            gpus--;
        }
    }
    best->gpus_taken |= job->gpus;
    return true;
}

void place_give_back(struct place *place, struct job *job)
{
    for (int h = 0; h < place->n; h++) {
        if (place->hosts[h].number == job->host) {
            place->hosts[h].free += job->cores;
            place->hosts[h].gpus_taken &= ~job->gpus;
        }
    }
    job->cores = 0;
    job->gpus = 0;
}

const char *place_gpus(const struct job *job, char text[256])
{
    size_t n = 0;
    text[0] = '\0';
    for (int g = 0; g < GPUS_MAX; g++)
        if (job->gpus & (uint64_t)1 << g)
            n += (size_t)snprintf(text + n, 256 - n, "%s%d", n ? "," : "", g);
    return text;
}

void place_end(struct place *place)
{
    if (place)
        free(place->hosts);
    free(place);
}
