/* SPDX-License-Identifier: BSD-3-Clause */
#include "watch/watch.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One thread looks, so what it remembers is its own. */

enum { LOOKS = 2 }; /* the first of them may have been before what it is to follow */

/* Waiting costs no time: a process that uses more of a core than this part of it, and some, does something else. */
#define BUSY_PART  30
#define BUSY_TICKS 5

/* Between two closer looks: twice as long each time. */
#define SURE_GAP_NS  INT64_C(400000000)
#define SURE_GAP_MAX (16 * SURE_GAP_NS)

static struct {
    struct watch_still still;
    uint32_t suspect; /* who did not wait the last time, and is looked at first */
    uint32_t looks[MUSTER__CALLERS_MAX];
    int64_t confirmed_ns;
    bool sure;
    int64_t next_sure_ns, sure_gap_ns;
    int64_t ticks[MUSTER__MEMBERS_MAX]; /* of members' processes, then */
} seen;

static bool may_act(const struct watch_caller *caller)
{
    return caller->state == WATCH_ELSEWHERE || caller->state == WATCH_TIMED;
}

static void mix(uint64_t *identity, uint64_t value)
{
    *identity = (*identity ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    *identity ^= *identity >> 29;
}

/* Of the waits of all; 0: somebody does not wait. */
static uint64_t identity_now(void)
{
    uint64_t identity = 1;
    struct watch_caller caller = watch_caller(seen.suspect);
    if (seen.suspect && may_act(&caller))
        return 0;
    for (uint32_t number = 1; number < muster__callers_end(); number++) {
        caller = watch_caller(number);
        if (may_act(&caller)) {
            seen.suspect = number;
            return 0;
        }
        if (caller.state == WATCH_GONE)
            continue;
        mix(&identity, (uint64_t)caller.incarnation << 32 | number);
        if (caller.state != WATCH_SERVES)
            mix(&identity, (uint64_t)caller.since_ns);
    }
    return identity ? identity : 1;
}

static void begin(uint64_t identity)
{
    seen.still = (struct watch_still){.identity = identity, .since_ns = muster__now_ns()};
    seen.sure = false;
    seen.next_sure_ns = 0;
    seen.sure_gap_ns = SURE_GAP_NS;
    for (uint32_t number = 1; number < muster__callers_end(); number++)
        seen.looks[number] = watch_caller(number).looks;
}

static bool all_have_looked(void)
{
    for (uint32_t number = 1; number < muster__callers_end(); number++) {
        struct watch_caller caller = watch_caller(number);
        if (caller.state != WATCH_GONE && caller.looks - seen.looks[number] < LOOKS && !watch_rests(number) &&
            number != muster__self_state.number)
            return false;
    }
    return true;
}

/* ---- processes ---- */

static bool is_alive(uint32_t member, struct muster__member_info *info)
{
    muster__child_info(member, info);
    return member < (uint32_t)muster__host_ranks() || info->state == MUSTER__MEMBER_ALIVE;
}

static void note_ticks(void)
{
    struct muster__member_info info;
    seen.confirmed_ns = muster__now_ns();
    for (uint32_t member = 0; member < muster__members_end(); member++)
        seen.ticks[member] = is_alive(member, &info) ? watch_process(info.pid).ticks : 0;
}

struct watch_still still_look(void)
{
    uint64_t identity = identity_now();
    if (!identity) {
        seen.still.identity = 0;
    } else if (identity != seen.still.identity) {
        begin(identity);
    } else if (!seen.still.confirmed && all_have_looked()) {
        seen.still.confirmed = true;
        note_ticks();
    }
    return seen.still;
}

/* A caller's thread of that member, or one that was there before the program could make any. */
static bool is_known(uint32_t member, int32_t thread)
{
    for (uint32_t number = 1; number < muster__callers_end(); number++) {
        struct watch_caller caller = watch_caller(number);
        if (caller.state != WATCH_GONE && caller.member == member && caller.thread == thread)
            return true;
    }
    if (member >= (uint32_t)muster__host_ranks())
        return false;
    const struct watch_threads *threads = &watch_table()->threads[member];
    for (int i = 0; i < threads->count; i++)
        if (threads->thread[i] == thread)
            return true;
    return false;
}

static bool threads_are_known(uint32_t member, int64_t pid)
{
    int32_t threads[2 * WATCH_THREADS_MAX];
    int count = watch_process_threads(pid, threads, 2 * WATCH_THREADS_MAX);
    for (int i = 0; i < count; i++)
        if (!is_known(member, threads[i]))
            return false;
    return count > 0;
}

static bool is_quiet(uint32_t member, const struct watch_process *process)
{
    static long per_second;
    per_second = per_second ? per_second : sysconf(_SC_CLK_TCK);
    int64_t ns = muster__now_ns() - seen.confirmed_ns, used = process->ticks - seen.ticks[member];
    return used <= BUSY_TICKS + ns / BUSY_PART / (1000000000 / per_second);
}

static bool is_certain(uint32_t member)
{
    struct muster__member_info info;
    if (!is_alive(member, &info))
        return true;
    struct watch_process process = watch_process(info.pid);
    bool there = process.state && !strchr("ZXx", process.state);
    return there && is_quiet(member, &process) && threads_are_known(member, info.pid);
}

/* The main thread of a member that lives is a caller, or it has not come yet: so it is unknown. */
static bool all_certain(void)
{
    if (!muster__children_settled())
        return false;
    for (uint32_t member = 0; member < muster__members_end(); member++)
        if (!is_certain(member))
            return false;
    return true;
}

/* Once sure, always: nobody is left who could begin something. */
bool still_sure(void)
{
    int64_t now = muster__now_ns();
    if (!seen.still.confirmed || !watch_table())
        return false;
    if (!seen.sure && now >= seen.next_sure_ns) {
        seen.next_sure_ns = now + seen.sure_gap_ns;
        seen.sure_gap_ns = seen.sure_gap_ns < SURE_GAP_MAX ? 2 * seen.sure_gap_ns : SURE_GAP_MAX;
        seen.sure = all_certain();
    }
    return seen.sure && identity_now() == seen.still.identity;
}
