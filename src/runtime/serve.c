/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/state.h"

/*
 * What a rank does while its main does not go on: work, or sleep on its bell. Outside of SPMD mode that is between
 * muster_init and the end. In SPMD mode it is a round of muster_serve, which rank 0 ends, and the wait of
 * muster_finalize. Rounds are numbered: who comes late to one that is over leaves it at once.
 */

enum { SERVICES_MAX = 4 };
static const struct muster__service *services[SERVICES_MAX];
static int service_count;

void muster__service_register(const struct muster__service *service)
{
    for (int i = 0; i < service_count; i++)
        if (services[i] == service)
            return;
    MUSTER__CHECK_EQ(service_count < SERVICES_MAX, true);
    services[service_count++] = service;
}

static bool work_all(enum muster__how how)
{
    bool any = false;
    for (int i = 0; i < service_count; i++)
        any |= services[i]->work(how);
    return any;
}

static bool park_all(int64_t *until_ns)
{
    bool idle = true;
    for (int i = 0; i < service_count; i++)
        idle &= services[i]->park(until_ns);
    return idle;
}

static void unpark_all(void)
{
    for (int i = 0; i < service_count; i++)
        services[i]->unpark();
}

static void leave_all(void)
{
    for (int i = 0; i < service_count; i++)
        services[i]->leave();
}

static bool holds_any(void)
{
    bool any = false;
    for (int i = 0; i < service_count; i++)
        any |= services[i]->holds();
    return any;
}

/* What has begun also ends before the main goes on. */
static bool is_over(const struct serving *serving)
{
    return serving->over(serving->arg) && !holds_any();
}

static int64_t until(const struct serving *serving)
{
    return serving->over(serving->arg) ? MUSTER__NEVER : serving->deadline_ns;
}

void serve_until(const struct serving *serving)
{
    _Atomic uint32_t *bell = &muster__self_state.caller->bell;
    while (!is_over(serving)) {
        if (work_all(serving->how))
            continue;
        uint32_t seen = atomic_load(bell);
        int64_t until_ns = until(serving);
        if (park_all(&until_ns) && !is_over(serving)) {
            muster__stands_by((muster_handle){0}, serving->stands_by);
            muster__sleep(bell, seen, until_ns);
        }
        unpark_all();
    }
    muster__stands_by_no_more();
    leave_all();
}

bool serve_stopped(void *unused)
{
    (void)unused;
    return atomic_load(&muster__me.tables->stop);
}

void muster__runtime_serve(void)
{
    serve_until(&(struct serving){.over = serve_stopped, .stands_by = MUSTER__FOR_WORK, .deadline_ns = MUSTER__NEVER});
}

/* ---- while the main program waits for what takes nothing ---- */

static bool serves; /* in this or another way */

static bool meanwhile_begin(void)
{
    if (serves || !muster__me.running || muster__running || !muster__is_rank_main())
        return false;
    serves = true;
    return true;
}

static muster_err meanwhile_work(uint32_t seen, bool *worked)
{
    muster_err err = MUSTER_OK;
    int64_t until_ns = MUSTER__NEVER;
    *worked = work_all(MUSTER__WORK_ON_TOP);
    if (*worked)
        return MUSTER_OK;
    if (park_all(&until_ns))
        err = muster__sleep(&muster__self_state.caller->bell, seen, until_ns);
    unpark_all();
    return err;
}

static void meanwhile_over(void)
{
    serves = false;
    leave_all();
}

void serve_meanwhile(bool on)
{
    static const struct muster__meanwhile meanwhile = {meanwhile_begin, meanwhile_work, meanwhile_over};
    muster__meanwhile = on ? &meanwhile : NULL;
}

/* ---- rounds ---- */

static uint32_t rounds; /* of muster_serve that this rank has left; in rank 0, that it has ended */

void muster__rounds_end(uint32_t ended, bool all)
{
    struct tables *tables = muster__me.tables;
    atomic_store(&tables->rounds_ended, ended);
    if (all)
        atomic_store(&tables->no_more_rounds, 1);
    for (int i = 0; i < tables->locals; i++)
        muster__ring(muster__rank_caller(i));
}

muster_err rounds_end(bool all)
{
    const struct muster__hosts *hosts = hosts_registered();
    uint32_t ended = rounds + !all;
    if (hosts && !hosts->end_rounds(ended, all))
        return muster__fail(MUSTER_ERR_NOMEM, "muster_dismiss: no memory to tell other hosts");
    rounds = ended;
    muster__rounds_end(ended, all);
    return MUSTER_OK;
}

struct round {
    int64_t deadline_ns;
};

static bool round_ended(void)
{
    return atomic_load(&muster__me.tables->rounds_ended) > rounds;
}

static bool round_over(void *arg)
{
    const struct round *round = arg;
    return round_ended() || atomic_load(&muster__me.tables->no_more_rounds) ||
           (round->deadline_ns != MUSTER__NEVER && muster__now_ns() >= round->deadline_ns);
}

static muster_err check_round(const char *operation, bool by_rank_0)
{
    muster_err err = muster__runtime_require(operation);
    if (err)
        return err;
    if (!muster__me.spmd || muster__me.is_child || !muster__is_rank_main() || muster__running)
        return muster__fail(MUSTER_ERR_STATE, "%s: for the main thread of a rank in SPMD mode, outside of tasks",
                            operation);
    if ((muster__me.world.rank == 0) != by_rank_0)
        return muster__fail(MUSTER_ERR_STATE, "%s: for rank%s: muster_serve is ended by rank 0's muster_dismiss",
                            operation, by_rank_0 ? " 0" : "s other than 0");
    return MUSTER_OK;
}

/* Whether what the ranks run goes on after a signal is for rank 0 to say. */
muster_err muster_serve(int64_t timeout_ms)
{
    static const char operation[] = "muster_serve";
    muster_err err = muster__timeout_bad(operation, timeout_ms);
    if (!err)
        err = check_round(operation, false);
    if (err)
        return err;
    struct round round = {muster__deadline_ns(timeout_ms)};
    struct muster__caller *caller = muster__self_state.caller;
    bool heeds = caller->heeds_signal;
    caller->heeds_signal = false;
    serve_until(&(struct serving){.over = round_over,
                                  .arg = &round,
                                  .stands_by = MUSTER__FOR_WORK,
                                  .how = MUSTER__WORK_ONE,
                                  .deadline_ns = round.deadline_ns});
    caller->heeds_signal = heeds;
    if (round_ended()) {
        rounds++;
        return MUSTER_OK;
    }
    if (atomic_load(&muster__me.tables->no_more_rounds))
        return muster__fail(MUSTER_ERR_CLOSED, "%s: rank 0 has called muster_finalize", operation);
    return muster__fail(MUSTER_ERR_TIMEOUT, "%s: rank 0 has not called muster_dismiss within %lld ms", operation,
                        (long long)timeout_ms);
}

muster_err muster_dismiss(void)
{
    muster_err err = check_round("muster_dismiss", true);
    return err ? err : rounds_end(false);
}
