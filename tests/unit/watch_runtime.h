/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the watch needs of the runtime and of other hosts, without them: members whose processes a test names, callers
 * whose records it writes itself, and the hooks that the watch registers.
 */
#ifndef WATCH_RUNTIME_H
#define WATCH_RUNTIME_H

#include "object_case.h"

#include <time.h>

#include "transport/transport.h"
#include "watch/watch.h"

enum { FAKE_MEMBERS = 8 };

static struct {
    const struct muster__watch *watch;
    const struct muster__agents_watch *agents;
    void (*agent_look)(void);
    int ranks, hosts;
    struct muster__member_info member[FAKE_MEMBERS];
    bool settled, rests;
    uint64_t sent, got;
    bool lost[FAKE_MEMBERS];
    int ended;        /* the job's exit code */
    int64_t ahead_ns; /* of the clock */
} fake;

/* Time passes when the test says so: linked with --wrap. */
int64_t __real_muster__now_ns(void);
int64_t __wrap_muster__now_ns(void);
int64_t __wrap_muster__now_ns(void)
{
    return __real_muster__now_ns() + fake.ahead_ns;
}

void muster__watch_register(const struct muster__watch *watch)
{
    fake.watch = watch;
}
void muster__agents_watch(const struct muster__agents_watch *watch)
{
    fake.agents = watch;
}
void muster__remote_on_look(void (*look)(void))
{
    fake.agent_look = look;
}
int muster_ranks(void)
{
    return 1;
}

void muster__counters_print(FILE *file)
{
    (void)file;
}

int muster_hosts(void)
{
    return fake.hosts;
}
int muster__host_ranks(void)
{
    return fake.ranks;
}
const char *muster__host_name(void)
{
    return "here";
}
uint32_t muster__members_end(void)
{
    return FAKE_MEMBERS;
}
void muster__child_info(uint32_t member, struct muster__member_info *info)
{
    *info = fake.member[member];
}
bool muster__children_settled(void)
{
    return fake.settled;
}
uint32_t muster__rank_caller(int local)
{
    return local == 0 ? muster__self_state.number : 0;
}
void muster__job_end(int code)
{
    fake.ended = code;
}
bool muster__host_lost(int host)
{
    return fake.lost[host];
}
bool muster__agent_rests(uint64_t *sent, uint64_t *got)
{
    *sent = fake.sent;
    *got = fake.got;
    return fake.rests;
}
bool muster__proxy_next(uint32_t *at, muster_handle *origin, struct muster__proxy *proxy)
{
    (void)at, (void)origin, (void)proxy;
    return false;
}
bool muster__transport_runs(void)
{
    return false;
}
void muster__transport_job_tell(void *bytes, size_t size)
{
    (void)bytes, (void)size;
}
void muster__transport_host_tell(void *bytes, size_t size)
{
    (void)bytes, (void)size;
}
void muster__transport_host_barrier(void)
{
}

/* ---- callers ---- */

/* Another thread of a member: its record alone. */
static inline uint32_t fake_caller(uint32_t member)
{
    struct muster__self mine = muster__self_state;
    muster__caller_forget();
    assert_int_equal(muster__caller_enter(member, false), MUSTER_OK);
    uint32_t number = muster__self_number();
    muster__self_state = mine;
    return number;
}

static inline void fake_looks(uint32_t caller)
{
    atomic_fetch_add(&muster__caller(caller)->looks, 1);
}

static inline void fake_wait(uint32_t caller, muster_handle object, uint32_t operation, bool forever)
{
    static int64_t waits;
    struct muster__waiter *own = muster__waiter(caller);
    own->object = object;
    own->operation = operation;
    snprintf(muster__caller(caller)->site, MUSTER__LINE, "muster_call at fake.c:%u", caller);
    atomic_store(&muster__caller(caller)->forever, forever);
    atomic_store(&own->since_ns, muster__now_ns() + ++waits);
    fake_looks(caller);
}

/* Two ranks, whose processes are this one. The test's thread is a caller of the first; the watch has begun. */
static int fake_setup_with(muster_options options, int hosts)
{
    case_segment((size_t)1 << 30, 1);
    muster__segment->host = 0;
    fake.ranks = 2;
    fake.hosts = hosts;
    fake.settled = fake.rests = true;
    fake.sent = fake.got = 0;
    fake.ended = 0;
    memset(fake.lost, 0, sizeof fake.lost);
    memset(fake.member, 0, sizeof fake.member);
    for (int i = 0; i < 2; i++) {
        fake.member[i].pid = getpid();
        fake.member[i].rank = i;
    }
    fake.watch->stop(); /* of the case before */
    fake.watch->begin();
    struct muster__world world = {.ranks = 2, .locals = 2, .hosts = hosts};
    assert_int_equal(fake.watch->start(&world, &options), MUSTER_OK);
    /* rank 1 is the same process */
    if (watch_table())
        watch_table()->threads[1] = watch_table()->threads[0];
    alarm(60);
    return 0;
}

#endif
