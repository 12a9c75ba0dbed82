/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host segment: memory that all ranks and children of a host share, and what every object in it is built from.
 *
 *   memory.h  the head, and the heap
 *   caller.h  a thread that uses muster; its number is what everything records as owner; its pins
 *   latch.h   a short critical section
 *   line.h    a place to wait until a condition may have changed
 *   object.h  a slot of the object table: what a public handle names; sweeps
 *   wait.h    steps, and the engine that waits for them
 *   count.h   counters
 *
 * Anyone may die between any two instructions. The rules that make this harmless:
 *   1. one store commits each step; whatever else describes the step can be rebuilt from what was committed;
 *   2. who is about to commit is recorded before (latch word, block owner, pin, claim);
 *   3. after the end of a thread, a process or a host one sweeper (muster__sweep_*) seizes what the dead held, repairs
 * it with the repair function of its kind, and calls everybody who may have waited for the dead; only then is the
 *      dead's number used again. A sweeper's own death ends the job: sweepers are ranks or their nurseries.
 *
 * All of it works on memory it is handed, so it is tested without MPI.
 */
#ifndef MUSTER_SEGMENT_H
#define MUSTER_SEGMENT_H

#include "segment/count.h"
#include "segment/order.h"
#include "segment/trace.h"
#include "segment/wait.h"

#endif
