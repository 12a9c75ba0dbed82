/* SPDX-License-Identifier: BSD-3-Clause */
#include "watch/watch.h"

#include <stdio.h>
#include <stdlib.h>

static void say_line(void *unused, const char *line)
{
    (void)unused;
    muster__log(MUSTER__ERROR, "  %s", line);
}

/* Members of all hosts: "4 ranks and 2 children on 2 hosts". */
static void count_members(const struct view *views, int n, int *ranks, int *children)
{
    *ranks = *children = 0;
    for (int i = 0; i < n; i++) {
        *ranks += views[i].head.ranks;
        for (uint32_t k = 0; k < views[i].head.lines; k++) {
            const struct view_line *line = &views[i].line[k];
            *children += line->member >= (uint32_t)views[i].head.ranks && line->thread == line->pid;
        }
    }
}

static const char *consequence(void)
{
    static const char *const texts[] = {[MUSTER_DEADLOCK_REPORT] = "they go on waiting (MUSTER_DEADLOCK=report)",
                                        [MUSTER_DEADLOCK_ERROR] = "these waits end with err DEADLOCK",
                                        [MUSTER_DEADLOCK_EXIT] = "the job ends with exit code 70 "
                                                                 "(MUSTER_DEADLOCK=exit)"};
    const struct watch_table *table = watch_table();
    return table ? texts[table->what] : "the job ends";
}

void verdict_say(const struct verdict *verdict, const struct view *views, int n)
{
    int ranks, children;
    double seconds = (double)verdict->lasted_ns * 1e-9;
    count_members(views, n, &ranks, &children);
    if (verdict->circle)
        muster__log(MUSTER__ERROR, "deadlock: %d wait for each other, for %.1f s now; %s", verdict->length, seconds,
                    consequence());
    else
        muster__log(
            MUSTER__ERROR,
            "deadlock: the job stands still: for %.1f s all of %d rank%s and %d child%s have waited or been idle, "
            "and nothing is under way; %s",
            seconds, ranks, ranks == 1 ? "" : "s", children, children == 1 ? "" : "ren", consequence());
    if (verdict->circle)
        report_circle(views, n, verdict->circle, verdict->length, say_line, NULL);
    report_roll(views, n, say_line, NULL);
}

struct watch_wait *verdict_all_waits(int *n)
{
    uint32_t end = muster__callers_end();
    struct watch_wait *waits = malloc(end * sizeof *waits);
    *n = 0;
    for (uint32_t number = 1; waits && number < end; number++) {
        struct watch_caller caller = watch_caller(number);
        if (caller.state == WATCH_WAITS)
            waits[(*n)++] =
                (struct watch_wait){(int32_t)muster__segment->host, number, caller.incarnation, caller.since_ns};
    }
    return waits;
}

void verdict_carry_out(const struct watch_wait *waits, int n)
{
    const struct watch_table *table = watch_table();
    if (table && table->what == MUSTER_DEADLOCK_EXIT)
        muster__job_end(WATCH_EXIT_CODE);
    for (int i = 0; table && i < n; i++) {
        if (waits[i].host != (int32_t)muster__segment->host || !watch_goes_on(&waits[i]))
            continue;
        struct muster__caller *caller = muster__caller(waits[i].caller);
        atomic_store(&caller->told_ns, waits[i].since_ns);
        if (table->what != MUSTER_DEADLOCK_ERROR)
            continue;
        atomic_store(&caller->doomed, waits[i].since_ns);
        muster__ring(waits[i].caller);
    }
}
