/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Chains start from the ordered state: from a random one, about a third of them would freeze into stripes below the
 * critical temperature and stay there (Spirin, Krapivsky, Redner, Phys. Rev. E 63, 036118 (2001)).
 */
#include "simulate/chain.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* At about 1.5 spin updates/ns, 10 ms. */
#define UPDATES_BETWEEN_STOPS (INT64_C(1) << 24)

struct progress {
    lattice *lattice;
    const struct chain_task *task;
    chain_stop_fn stop;
    uint64_t sweep;        /* next sweep's number */
    int64_t sweeps_to_ask; /* until stop is asked again */
    int64_t sweeps_a_time; /* between two askings */
};

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double chain_updates(const struct chain_task *task)
{
    double sweeps = (double)task->thermalize_sweeps + (double)task->measurements * (double)task->sweeps_between;
    return sweeps * (double)task->size * (double)task->size;
}

/* Returns false when asked to stop. */
static bool advance(struct progress *p, int64_t sweeps)
{
    for (int64_t i = 0; i < sweeps; i++) {
        if (--p->sweeps_to_ask <= 0) {
            p->sweeps_to_ask = p->sweeps_a_time;
            if (p->stop && p->stop())
                return false;
        }
        lattice_sweep(p->lattice, &p->task->accept, &p->task->stream, p->sweep++);
    }
    return true;
}

static void add(struct chain_bin *bin, struct lattice_totals t, double sites)
{
    uint64_t m = (uint64_t)(t.magnetization < 0 ? -t.magnetization : t.magnetization);
    double m2 = (double)(m * m) / (sites * sites);
    bin->energy += t.energy;
    bin->energy2 += (uint64_t)(t.energy * t.energy);
    bin->magnetization += m;
    bin->magnetization2 += m * m;
    bin->magnetization4 += m2 * m2;
}

static bool measure(struct progress *p, struct chain_result *result)
{
    const struct chain_task *task = p->task;
    double sites = (double)task->size * (double)task->size;
    int64_t a_bin = task->measurements / CHAIN_BINS;
    for (int b = 0; b < CHAIN_BINS; b++)
        for (int64_t i = 0; i < a_bin; i++) {
            if (!advance(p, task->sweeps_between))
                return false;
            add(&result->bins[b], lattice_measure(p->lattice), sites);
        }
    return true;
}

chain_outcome chain_run(const struct chain_task *task, struct chain_result *result, chain_stop_fn stop)
{
    double begin = seconds_now();
    memset(result, 0, sizeof *result);
    struct progress p = {.lattice = lattice_create(task->size), .task = task, .stop = stop};
    if (!p.lattice)
        return CHAIN_NOMEM;
    p.sweeps_a_time = UPDATES_BETWEEN_STOPS / ((int64_t)task->size * task->size);
    bool done = advance(&p, task->thermalize_sweeps) && measure(&p, result);
    lattice_destroy(p.lattice);
    result->seconds = seconds_now() - begin;
    result->finished = done;
    return done ? CHAIN_DONE : CHAIN_STOPPED;
}
