/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * must: for programs that have nothing better to do with an error than to say it and to end. Not in muster/muster.h:
 * who has names of its own for this need not give them up.
 */
#ifndef MUSTER_MUST_H
#define MUSTER_MUST_H

#include <stdio.h>
#include <stdlib.h>

#include <muster/error.h>

/**
 * must(call): goes on if the call returned MUSTER_OK; else says on stderr where it stands and what went wrong,
 *
 *     jobs.c:23: invalid argument: muster_pool_create: workers is -2; 0 or more are allowed
 *
 * and ends this process with exit(1). In a rank, and so in an in-rank pool's tasks, that ends the job; a process of
 * muster_process and an isolated worker end alone, and who joins or gets is told. In tasks
 * `return muster_task_fail(...)` is mostly better: it fails the one item, and the others go on.
 * Threads: any. In tasks: yes. Blocks: no. Hosts: none.
 */
#define must(call) muster_must((call), __FILE__, __LINE__)

/** What must is made of; line is said as it is. */
static inline void muster_must(muster_err err, const char *file, int line)
{
    if (err == MUSTER_OK)
        return;
    fprintf(stderr, "%s:%d: %s: %s\n", file, line, muster_err_text(err), muster_err_detail());
    exit(1);
}

#endif
