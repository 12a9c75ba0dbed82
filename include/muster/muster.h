/*
 * muster: Process, Pool, Queue, Lock and their family over MPI ranks. Includes the whole public interface.
 */
#ifndef MUSTER_H
#define MUSTER_H

#include <muster/error.h>
#include <muster/lock.h>
#include <muster/pool.h>
#include <muster/process.h>
#include <muster/queue.h>
#include <muster/random.h>
#include <muster/runtime.h>
#include <muster/topology.h>

#endif
