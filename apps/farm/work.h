/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What rank 0 and the workers tell each other: requests, which are arguments of tasks; news, which are items of a queue
 * (what a command says while it runs, where it runs); and reports, which are results of tasks, and as exact as those.
 */
#ifndef FARM_WORK_H
#define FARM_WORK_H

#include <muster/muster.h>

#include "farm/child.h"

#define WORK_STARTED_SECONDS 0.5    /* after which a command is told of as running */
#define WORK_PIECE_BYTES     262144 /* what is said beyond this goes ahead as news */

/** Of all commands: the pool's user. Strings follow: shell, directory, then so many of the environment. */
struct work_shared {
    muster_queue news;
    muster_value_i64 limit_ms; /**< that of all that run now; 0: none */
    bool has_limit;            /**< limit_ms may change */
    bool by_lines;             /**< what is said goes ahead line by line */
    double load;               /**< begin nothing while the machine's is higher; 0: always */
    int64_t memory_free;       /**< nor while less is free */
    int environment;           /**< how many variables */
    char strings[];
};

/** Of one command. Strings follow: text, gpus, then so many words. */
struct work_request {
    int64_t job, seq;
    int attempt, cores, words;
    double timeout_s;
    int64_t memory_bytes;
    char strings[];
};

enum work_kind {
    WORK_STARTED, /**< has run for half a second */
    WORK_SAID,    /**< bytes of a stream follow */
    WORK_ENDED,   /**< its task has; a report follows: put by rank 0 itself */
    WORK_LOST,    /**< its task has no result: put by rank 0 itself */
    WORK_READY    /**< there are commands again: put by rank 0 itself */
};

/** What happens to a command. `run` tells runs of one task apart: a lost host's is done again. */
struct work_news {
    enum work_kind kind;
    int stream;
    int64_t job;
    int attempt;
    uint64_t run;
    char bytes[];
};

/** How a command ended. What it said last, and is not ahead in news, follows: stdout's, then stderr's. */
struct work_report {
    struct child_outcome outcome;
    uint64_t run;
    int64_t ahead[2]; /**< bytes of the streams that are */
    int64_t rest[2];  /**< and of those that follow */
    int worker, rank;
    char host[64];
    char bytes[];
};

/** Why a task has no result. */
struct work_loss {
    muster_err err;
    int code, rank;
    char host[64];
    char text[160];
};

/** Where a running command is: the bytes of WORK_STARTED. */
struct work_place {
    int worker, rank;
    long pid;
    char host[64];
};

/** The task: muster_task_fn. */
int work_run(const void *item, void *result, const void *user);

/** A pool's initializer. */
int work_prepare(const void *item, void *result, const void *user);

#endif
