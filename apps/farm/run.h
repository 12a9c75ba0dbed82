/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rank 0: commands go to workers, news come back, until all has ended.
 */
#ifndef FARM_RUN_H
#define FARM_RUN_H

#include "common/progress.h"
#include "farm/feeder.h"
#include "farm/follow.h"
#include "farm/options.h"
#include "farm/out.h"
#include "farm/page.h"
#include "farm/record.h"
#include "farm/report.h"
#include "farm/work.h"

/** What one run of a task has said, ahead of its report. */
struct ahead {
    uint64_t run;
    struct spool spools[2];
    int64_t bytes[2]; /**< all that came, also what is written already */
};

/** A command that has been handed out. */
struct job {
    struct command *command;    /**< NULL: free */
    int attempt;                /**< from 1 */
    int32_t number;             /**< for its record */
    int crashes;                /**< of workers, which are no try of the command's */
    struct ahead ahead[2];      /**< the run that goes on, and one that a lost host began */
    struct work_report *report; /**< it has ended, but not all that it said has come */
    struct work_place place;
    bool is_placed;
    double began; /**< monotonic seconds */
    int host, cores;
    uint64_t gpus; /**< which of its host's */
};

/** Where commands go that want more than one core, or GPUs. */
struct place;

struct farm {
    const struct options *options;
    struct feeder *feeder;
    struct out *out;
    struct record *record;
    struct report *report;
    struct place *place;
    muster_pool pool;
    muster_queue news;
    muster_value_i64 limit_ms;
    int workers;
    struct job *jobs;
    int n_jobs, in_flight;
    struct command *held;    /**< taken, and not to be handed out yet */
    struct command **parked; /**< those that come after others which have not ended, in order */
    int n_parked;
    bool parked_may; /**< one that they come after has ended */
    struct follow *follow;
    bool input_ended, stopping, terminated, failed; /**< failed: of the farm itself */
    const char *why_stopped;
    int64_t not_run;
    struct progress progress;
    struct page *page; /**< --live; NULL: none */
    double status_shown;
    char *buffer; /**< one item of news */
};

/** Runs it all; the exit code. */
int run_farm(const struct options *options, struct lines *lines);

/* of run.c, for finish.c */
bool run_submit(struct farm *farm, struct job *job);
void run_stop(struct farm *farm, const char *why, bool now);

/* finish.c */
/** All that a try said is there. */
void finish_try(struct farm *farm, struct job *job);
/** Its task has no result. */
void finish_lost(struct farm *farm, struct job *job, const struct work_loss *loss);
/** It was done by an earlier run: true, and it is dealt with. */
bool finish_known(struct farm *farm, struct command *command);
/** It will not be run: one that it comes after has failed. */
void finish_never(struct farm *farm, struct command *command);

/* place.c: NULL where commands go to whoever is free */
struct place *place_make(muster_pool pool, int workers);
/** A host for it, and cores and GPUs there: false when it has to wait; *never: there is none for it. */
bool place_take(struct place *place, struct job *job, bool *never);
void place_give_back(struct place *place, struct job *job);
const char *place_gpus(const struct job *job, char text[256]);
void place_end(struct place *place);

#endif
