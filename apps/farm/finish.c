/* SPDX-License-Identifier: BSD-3-Clause */
/* What follows when a try of a command has ended. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "farm/run.h"

#define CRASHES 3 /* of workers, of which a command is not guilty until shown otherwise */

static bool well(const struct child_outcome *o)
{
    return o->end == CHILD_ENDED && o->code == 0 && o->signal == 0;
}

static void clear_try(struct job *job)
{
    for (int i = 0; i < 2; i++) {
        spool_clear(&job->ahead[i].spools[0]);
        spool_clear(&job->ahead[i].spools[1]);
        job->ahead[i] = (struct ahead){0};
    }
    free(job->report);
    job->report = NULL;
}

static void tell_followers(struct farm *f, const struct command *c, bool is_well)
{
    if (!c->name)
        return;
    follow_ended(f->follow, c->name, is_well);
}

static void let_go(struct farm *f, struct job *job)
{
    clear_try(job);
    if (f->place)
        place_give_back(f->place, job);
    command_free(job->command);
    *job = (struct job){0};
    f->in_flight--;
    f->parked_may = f->n_parked > 0;
}

static void complain(struct farm *f, const char *what, const char *why)
{
    progress_end(&f->progress);
    fprintf(stderr, "farm: %s: %s\n", what, why);
}

static void look_at_halt(struct farm *f)
{
    const struct report_counts *counts = report_counts(f->report);
    int64_t total = feeder_total(f->feeder);
    enum halt_now now = halt_check(&f->options->halt, counts->failed, counts->done, total);
    if (now != HALT_GO_ON && !f->stopping)
        run_stop(f, "--halt", now == HALT_NOW);
}

/* It has ended for good: recorded, counted, written. */
static void finish(struct farm *f, struct job *job, const struct record_end *end)
{
    struct spool *spools = job->ahead[0].spools;
    bool kept = true;
    if (f->record) {
        muster_err err = record_put(f->record, job->command->text, job->command->number, end, spools, &kept);
        if (err != MUSTER_OK)
            complain(f, "a result could not be recorded yet", muster_err_detail());
        if (!kept)
            complain(f, job->command->text, "said too much for the journal; it will be done again by the next run");
    }
    report_command(f->report, job->command, end, well(&end->outcome), false, &spools[1]);
    tell_followers(f, job->command, well(&end->outcome));
    out_ended(f->out, job->command->seq, job->command->tag, spools);
    let_go(f, job);
    look_at_halt(f);
}

/* One more try, if there is to be one. */
static bool try_again(struct farm *f, struct job *job)
{
    if (f->stopping)
        return false;
    clear_try(job);
    return run_submit(f, job);
}

void finish_try(struct farm *f, struct job *job)
{
    struct record_end end = {.outcome = job->report->outcome, .attempts = job->attempt};
    memcpy(end.host, job->report->host, sizeof end.host);
    report_try(f->report, job->command, job->attempt, &end.outcome, end.host);
    if (out_result(f->out, job->command->args, job->command->n_args, job->command->seq, job->attempt,
                   job->ahead[0].spools) != 0)
        complain(f, f->options->results, strerror(errno));
    if (!well(&end.outcome) && job->attempt < f->options->tries) {
        job->attempt++;
        if (try_again(f, job))
            return;
        job->attempt--;
    }
    finish(f, job, &end);
}

void finish_lost(struct farm *f, struct job *job, const struct work_loss *loss)
{
    bool stopped = loss->err == MUSTER_ERR_CANCELED || f->terminated;
    if (!stopped && ++job->crashes < CRASHES && try_again(f, job))
        return;
    if (stopped || f->stopping) { /* as if it had never begun: the next run does it */
        let_go(f, job);
        return;
    }
    struct record_end end = {.outcome = {.end = CHILD_ENDED, .signal = SIGKILL}, .attempts = job->attempt};
    memcpy(end.host, loss->host, sizeof end.host);
    complain(f, job->command->text, *loss->text ? loss->text : "its worker died each time");
    report_try(f->report, job->command, job->attempt, &end.outcome, end.host);
    finish(f, job, &end);
}

bool finish_known(struct farm *f, struct command *c)
{
    struct record_end end;
    struct spool spools[2] = {{0}};
    muster_err err = record_find(f->record, c->text, c->number, &end, spools);
    bool known = err == MUSTER_OK && (well(&end.outcome) || !f->options->resume_failed);
    if (err != MUSTER_OK && err != MUSTER_ERR_EMPTY)
        complain(f, "the journal", muster_err_detail());
    if (known) {
        report_command(f->report, c, &end, well(&end.outcome), true, &spools[1]);
        tell_followers(f, c, well(&end.outcome));
        out_ended(f->out, c->seq, c->tag, spools);
        look_at_halt(f);
    }
    spool_clear(&spools[0]);
    spool_clear(&spools[1]);
    return known;
}

void finish_never(struct farm *f, struct command *c)
{
    f->not_run++;
    tell_followers(f, c, false);
    out_skipped(f->out, c->seq);
    f->parked_may = f->n_parked > 0;
    command_free(c);
}
