/* SPDX-License-Identifier: BSD-3-Clause */
/* Where a task belongs that is for the shelf (shelf.h): in its extra. */
#ifndef MUSTER_SCHED_PLACED_H
#define MUSTER_SCHED_PLACED_H

#include "remote/remote.h"

struct placed {
    int64_t sequence; /* by age; 0: it is not for the shelf */
    uint32_t line;
    int32_t priority;
    int32_t aim, aim_at;        /* as the submitter said */
    uint32_t epoch;             /* the shelf's, while it is linked */
    uint32_t child, next, prev; /* in its line: record + 1 */
    muster__ref follows;        /* struct follow; 0: nothing */
    bool runs_anyway;           /* be it that what it follows has failed */
};

#endif
