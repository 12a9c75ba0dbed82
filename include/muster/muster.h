/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * muster: Process, Pool, Queue, Lock and their family over MPI ranks. Includes the whole public interface.
 */
#ifndef MUSTER_H
#define MUSTER_H

#include <muster/array.h>
#include <muster/barrier.h>
#include <muster/condition.h>
#include <muster/counter.h>
#include <muster/dict.h>
#include <muster/error.h>
#include <muster/event.h>
#include <muster/journal.h>
#include <muster/lock.h>
#include <muster/map_array.h>
#include <muster/names.h>
#include <muster/once.h>
#include <muster/pipe.h>
#include <muster/pool.h>
#include <muster/process.h>
#include <muster/queue.h>
#include <muster/random.h>
#include <muster/rlock.h>
#include <muster/runtime.h>
#include <muster/rwlock.h>
#include <muster/select.h>
#include <muster/semaphore.h>
#include <muster/topology.h>
#include <muster/value.h>

#endif
