/* SPDX-License-Identifier: BSD-3-Clause */
#include "simulate/kept.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void complain(void)
{
    fprintf(stderr, "simulate: %s\n", muster_err_detail());
}

muster_journal *kept_open(const char *path, const struct experiment *e, bool anew)
{
    char parameters[256];
    muster_journal *journal;
    snprintf(parameters, sizeof parameters,
             "seed=%" PRIu64 "\nthermalize_sweeps=%" PRId64 "\nmeasurements=%" PRId64 "\nsweeps_between=%" PRId64 "\n",
             e->seed, e->thermalize_sweeps, e->measurements, e->sweeps_between);
    muster_journal_options options = {.program = "simulate", .version = "1", .parameters = parameters, .anew = anew};
    if (muster_journal_open(&journal, path, &options) == MUSTER_OK)
        return journal;
    complain();
    return NULL;
}

/* Name and input tell it in any build; the number of a task would change with the experiment. */
static muster_journal_entry entry_of(const struct chain_task *task, char input[96])
{
    int n = snprintf(input, 96, "L=%d T=%.17g replica=%d", (int)task->size, task->temperature, (int)task->replica);
    return (muster_journal_entry){.name = "chain", .input = input, .input_bytes = (size_t)n};
}

bool kept_find(muster_journal *journal, const struct chain_task *task, struct kept_result *result)
{
    char input[96];
    muster_journal_entry entry = entry_of(task, input);
    muster_err err = journal ? muster_journal_find(journal, &entry) : MUSTER_ERR_EMPTY;
    bool found = err == MUSTER_OK && entry.result_bytes == sizeof *result;
    if (err != MUSTER_OK && err != MUSTER_ERR_EMPTY)
        complain();
    if (found)
        memcpy(result, entry.result, sizeof *result);
    free((void *)entry.result);
    return found && result->chain.finished;
}

void kept_put(muster_journal *journal, const struct chain_task *task, const struct kept_result *result)
{
    char input[96];
    muster_journal_entry entry = entry_of(task, input);
    entry.result = result;
    entry.result_bytes = sizeof *result;
    if (journal && muster_journal_record(journal, &entry) != MUSTER_OK)
        complain();
}

int kept_close(muster_journal *journal)
{
    if (muster_journal_close(journal) == MUSTER_OK)
        return 0;
    complain();
    return -1;
}
