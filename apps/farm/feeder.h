/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands ahead: a thread reads the input, which may come slowly, so that whoever runs commands never waits for it.
 */
#ifndef FARM_FEEDER_H
#define FARM_FEEDER_H

#include <muster/muster.h>

#include "farm/lines.h"
#include "farm/work.h"

/** One command, ready to be asked for. Freed by command_free. */
struct command {
    int64_t seq;
    int32_t number;   /**< how many equal ones came before: for its record */
    char *text, *tag; /**< the command; what it was made of */
    char *raw;        /**< the command for who runs it, who fills in the slot */
    char **args;
    int n_args;
    char *name, *after; /**< NULL: none */
    bool wait;          /**< only when all before it have ended */
    int cores, gpus;
    char **words; /**< where it needs no shell */
    int n_words;
};

void command_free(struct command *command);

/** The request for one more try: for free(); NULL: no memory. gpus: "0,2", or "". */
struct work_request *command_request(const struct command *command, int64_t job, int attempt, double timeout_s,
                                     int64_t memory_bytes, const char *gpus, size_t *bytes);

struct feeder;

/** Reads lines, which it closes at its end. It says WORK_READY to news when there are commands again. */
struct feeder *feeder_start(struct lines *lines, muster_queue news);

enum feeder_said { FEEDER_COMMAND, FEEDER_LATER, FEEDER_END, FEEDER_ERROR };

/** The next command, if it is there. */
enum feeder_said feeder_next(struct feeder *feeder, struct command **command);

/** What was wrong with the input. */
const char *feeder_error(struct feeder *feeder);

/** How many commands there will be; -1: not known yet. */
int64_t feeder_total(struct feeder *feeder);

/** Ends it, also while it waits for input. */
void feeder_stop(struct feeder *feeder);

#endif
