/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One task: a Markov chain at one lattice size and temperature, thermalized, then measured into bins.
 */
#ifndef SIMULATE_CHAIN_H
#define SIMULATE_CHAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "simulate/kernel.h"

/** Bins a chain: measurements must be a multiple of it. */
#define CHAIN_BINS 64
/** Keeps a bin's sum of E^2 (at most 2^42 a measurement) within 64 bits. */
#define CHAIN_MEASUREMENTS_MAX (CHAIN_BINS * (INT64_C(1) << 20))

/** All a chain depends on. Plain data, so that it may travel; thresholds come along lest another host's exp differ. */
struct chain_task {
    struct chain_stream stream;
    struct acceptance accept;
    int64_t thermalize_sweeps;
    int64_t measurements;
    int64_t sweeps_between; /**< sweeps before each measurement, at least 1 */
    int32_t size;
    int32_t replica;
    double temperature; /**< for messages alone */
};

/** Sums over one bin's measurements, of whole-lattice totals E and M. */
struct chain_bin {
    int64_t energy;
    uint64_t energy2;
    uint64_t magnetization; /**< of |M| */
    uint64_t magnetization2;
    double magnetization4; /**< of (M / L^2)^4 */
};

struct chain_result {
    struct chain_bin bins[CHAIN_BINS]; /**< in time order; the same bits wherever the chain ran */
    double seconds;                    /**< time spent, thermalization included */
    int32_t finished;                  /**< 1 when the bins are complete */
};

typedef enum chain_outcome { CHAIN_DONE, CHAIN_STOPPED, CHAIN_NOMEM } chain_outcome;

/** Asked about every 10 ms of running; true ends the chain early. */
typedef bool (*chain_stop_fn)(void);

/** Spin updates of a task: L^2 times all its sweeps. */
double chain_updates(const struct chain_task *task);

/** Runs a chain from the ordered state. stop may be NULL. *result is complete only for CHAIN_DONE. */
chain_outcome chain_run(const struct chain_task *task, struct chain_result *result, chain_stop_fn stop);

#endif
