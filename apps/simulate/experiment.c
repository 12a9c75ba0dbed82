/* SPDX-License-Identifier: BSD-3-Clause */
#include "simulate/experiment.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int experiment_read(const char *path, struct experiment *e, char error[EXPERIMENT_ERROR_MAX])
{
    bool standard_input = strcmp(path, "-") == 0;
    const char *name = standard_input ? "standard input" : path;
    FILE *file = standard_input ? stdin : fopen(path, "r");
    char *text = malloc(EXPERIMENT_FILE_MAX + 1);
    int result = -1;
    if (!file || !text) {
        snprintf(error, EXPERIMENT_ERROR_MAX, "%.200s: cannot be read: %s", name, strerror(errno));
    } else {
        size_t size = fread(text, 1, EXPERIMENT_FILE_MAX + 1, file);
        if (ferror(file))
            snprintf(error, EXPERIMENT_ERROR_MAX, "%.200s: cannot be read: %s", name, strerror(errno));
        else
            result = experiment_parse(name, text, size, e, error);
    }
    if (file && !standard_input)
        fclose(file);
    free(text);
    return result;
}

int experiment_points(const struct experiment *e)
{
    return e->size_count * e->temperature_count;
}

int experiment_tasks(const struct experiment *e)
{
    return experiment_points(e) * e->replicas;
}

struct chain_task experiment_task(const struct experiment *e, int i)
{
    int point = i / e->replicas;
    double temperature = e->temperatures[point % e->temperature_count];
    return (struct chain_task){
        .stream = {e->seed, (uint64_t)i},
        .accept = acceptance_at(temperature),
        .thermalize_sweeps = e->thermalize_sweeps,
        .measurements = e->measurements,
        .sweeps_between = e->sweeps_between,
        .size = e->sizes[point / e->temperature_count],
        .replica = i % e->replicas,
        .temperature = temperature,
    };
}

double experiment_updates(const struct experiment *e)
{
    double sum = 0;
    for (int i = 0; i < experiment_points(e); i++) {
        struct chain_task task = experiment_task(e, i * e->replicas);
        sum += chain_updates(&task) * e->replicas;
    }
    return sum;
}
