/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What has become of a batch: its answer, and those of the tasks that it left large files to.
 */
#ifndef CHECKSUM_COLLECT_H
#define CHECKSUM_COLLECT_H

#include "checksum/ring.h"

/** Asks for a task's result as muster_task_take does; err TIMEOUT: it is not there, and nobody waits any longer. */
typedef muster_err (*collect_fn)(void *arg, muster_task task, void **result);

/**
 * What entry i of a batch came to. False: it is not known, as take said. *host: where it was read, "" if nobody knows;
 * borrowed from the batch.
 */
bool collect(struct slot *slot, size_t i, collect_fn take, void *arg, struct outcome *outcome, const char **host);

#endif
