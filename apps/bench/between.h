/* SPDX-License-Identifier: BSD-3-Clause */
/* What is measured between two hosts, of which the caller's is "here". */
#ifndef BETWEEN_H
#define BETWEEN_H

#include <muster/muster.h>

/** A process there. */
muster_process between_start(muster_process_fn fn, const void *arg, size_t size);
void between_end(muster_process process);

/** Microseconds a round, of one here and one there. pool: its tasks run there. */
double between_raw_barrier(muster_pool pool);
double between_barrier(void);

/** Part of both cores' time that a map of tasks of 100 us, which compute, spends in them at full speed. there: a pool
 * whose tasks run there. */
double between_computing(muster_pool there);

/** How fast a tree of tasks of tasks is done by both hosts, as part of twice one worker's speed; *least: the share of
 * its nodes that the host with fewer of them has done. */
double between_fork(double *least);

/* n threads there wait for what is here */
struct between_crowd {
    double kib;      /* of memory that this takes here */
    double event_us; /* from an event's set until all are awake, divided by n */
    double queue_us; /* from an item's put until who got it has said so */
};
struct between_crowd between_crowd(int n);

#endif
