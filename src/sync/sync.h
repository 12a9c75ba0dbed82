/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Synchronisation objects: each kind is its public header and one source file: what its body holds, its steps, what a
 * death leaves to be mended, its public functions. They know nothing of each other; condition and rlock are built on
 * the lock.
 */
#ifndef MUSTER_SYNC_SYNC_H
#define MUSTER_SYNC_SYNC_H

#include <stdio.h>

#include "remote/remote.h"

/* operations that muster_select watches */
enum { MUSTER__EVENT_WAIT = 3, MUSTER__SEMAPHORE_ACQUIRE = 0 };

#endif
