/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What to simulate: lattice sizes x temperatures x replicas, read from an ini file and strictly checked.
 *
 *   [lattice]      sizes = 8, 16, 32                     increasing
 *   [temperature]  values = 2.0, 2.269, 2.5              increasing; and / or the equidistant points
 *                  from = 1.6, to = 3.2, points = 17     of a range; both together are merged
 *   [run]          replicas, thermalize_sweeps, measurements, sweeps_between, seed
 */
#ifndef SIMULATE_EXPERIMENT_H
#define SIMULATE_EXPERIMENT_H

#include <stddef.h>
#include <stdint.h>

#include "simulate/chain.h"

#define EXPERIMENT_SIZES_MAX        32
#define EXPERIMENT_TEMPERATURES_MAX 512
#define EXPERIMENT_TASKS_MAX        50000
#define EXPERIMENT_FILE_MAX         65536 /* bytes */
#define EXPERIMENT_ERROR_MAX        512

struct experiment {
    int sizes[EXPERIMENT_SIZES_MAX];
    int size_count;
    double temperatures[EXPERIMENT_TEMPERATURES_MAX]; /**< J / k_B, increasing */
    int temperature_count;
    int replicas;
    int64_t thermalize_sweeps;
    int64_t measurements; /**< a replica */
    int64_t sweeps_between;
    uint64_t seed;
};

/**
 * Reads an experiment from text[size] (need not end in NUL). file: its name for messages. Returns 0; or -1 with
 * error set to "file:line: what is wrong; allowed: ..." and *e undefined.
 */
int experiment_parse(const char *file, const char *text, size_t size, struct experiment *e,
                     char error[EXPERIMENT_ERROR_MAX]);

/** experiment_parse on a file's content, or on that of standard input for "-". */
int experiment_read(const char *path, struct experiment *e, char error[EXPERIMENT_ERROR_MAX]);

/** Number of (L, T) pairs: point i is size i / temperature_count, temperature i % temperature_count. */
int experiment_points(const struct experiment *e);

/** Number of tasks; task i is replica i % replicas of point i / replicas. */
int experiment_tasks(const struct experiment *e);

/** Task i, 0 <= i < experiment_tasks. */
struct chain_task experiment_task(const struct experiment *e, int i);

/** Spin updates of all tasks. */
double experiment_updates(const struct experiment *e);

/** Whole-string number: decimal digits only, within [low, high]. Returns 0, or -1 and leaves *value. */
int parse_integer(const char *text, int64_t low, int64_t high, int64_t *value);
int parse_unsigned(const char *text, uint64_t *value);

#endif
