/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/state.h"

#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * The end of a rank, in this order: all objects end, ranks that serve leave, each rank's nursery ends its children,
 * all ranks of the host meet, counters are told, MPI ends (not when mpirun ends the job or a host was lost:
 * MPI_Finalize would wait for it in vain, and main could not go on to save and say what it has).
 */

static bool all_have_met(void *arg)
{
    struct meeting *meeting = arg;
    return atomic_load(&meeting->arrived) >= (uint32_t)muster__me.tables->locals;
}

static void meet(void)
{
    struct meeting *meeting = &muster__me.tables->meetings[1];
    uint32_t all = (uint32_t)muster__me.tables->locals;
    if (atomic_fetch_add(&meeting->arrived, 1) + 1 == all)
        muster__event_signal(&meeting->complete, -1);
    muster__stands_by((muster_handle){0}, MUSTER__FOR_RANKS);
    while (!all_have_met(meeting))
        muster__event_await(&meeting->complete, all_have_met, meeting, MUSTER__NEVER);
    muster__stands_by_no_more();
}

static void release_ranks(void)
{
    atomic_store(&muster__me.tables->stop, 1);
    for (int i = 0; i < muster__me.tables->locals; i++)
        muster__ring(muster__rank_caller(i));
}

void muster__host_stop(void)
{
    watch_stop();
    muster__end_all_objects();
    release_ranks();
}

/* ---- in SPMD mode all ranks come here, and work until the last one has ---- */

static const struct muster__hosts *hosts;

const struct muster__hosts *hosts_registered(void)
{
    return hosts;
}

static bool hosts_have_met(void *unused)
{
    (void)unused;
    return hosts->meet(false);
}

static void work_until(bool (*over)(void *arg), void *arg)
{
    serve_until(&(struct serving){.over = over,
                                  .arg = arg,
                                  .stands_by = MUSTER__FOR_RANKS,
                                  .how = MUSTER__WORK_ONE,
                                  .deadline_ns = MUSTER__NEVER});
}

/* Returns when nobody uses objects any more: in local rank 0, of all hosts; in the others, when it has ended these. */
static void meet_at_end(int local)
{
    struct meeting *meeting = &muster__me.tables->meetings[0];
    if (muster__me.world.rank == 0 && rounds_end(true))
        muster__transport_abort(1); /* ranks of other hosts would serve for ever */
    atomic_fetch_add(&meeting->arrived, 1);
    muster__ring(muster__rank_caller(0));
    if (local) {
        work_until(serve_stopped, NULL);
        return;
    }
    work_until(all_have_met, meeting);
    if (hosts && !hosts->meet(true))
        work_until(hosts_have_met, NULL);
}

void muster__hosts_register(const struct muster__hosts *registered)
{
    hosts = registered;
}

muster_err hosts_start(const struct muster__world *world)
{
    return hosts ? hosts->start(world) : MUSTER_OK;
}

static bool lost_host;

void (*muster__before_stop)(void);

int muster__runtime_stop(void)
{
    if (!muster__me.running)
        return 0;
    if (muster__before_stop)
        muster__before_stop();
    muster__me.running = false;
    serve_meanwhile(false);
    muster_err_detail(); /* written while the object that it tells of is there */
    int local = muster__me.world.local;
    muster__self_state.caller->heeds_signal = false;
    if (muster__me.spmd)
        meet_at_end(local);
    if (local == 0) {
        muster__host_stop();
        if (muster__me.world.rank == 0 && !muster__me.spmd && hosts)
            hosts->stop_others();
    }
    int code = signals_exit_code();
    nursery_stop(local);
    meet();
    bool politely = !signals_launcher_ends_job() && !(hosts && hosts->lost());
    if (local == 0 && hosts)
        hosts->leave(politely);
    lost_host = hosts && hosts->lost();
    politely = politely && !lost_host;
    report_counters(politely);
    muster__sleep_look = NULL;
    signals_restore();
    crash_restore();
    muster__details_settle();
    muster__segment_detach();
    muster__me.tables = NULL;
    muster__transport_stop(politely);
    muster__log_setup("-", -1, 0, "", muster__me.log_level);
    return code;
}

/* ---- exit() without muster_finalize ---- */

/* A rank that serves has no way to end the others but to end the job: so has rank 0 in a thread, which may not end MPI.
 */
static void at_exit(int status, void *unused)
{
    (void)unused;
    if (lost_host && muster__me.world.rank == 0 && getpid() == muster__me.rank_pid)
        signals_end_launcher();
    if (!muster__me.running || muster__me.is_child || getpid() != muster__me.rank_pid)
        return;
    bool main_thread = syscall(SYS_gettid) == getpid() && muster__self_state.number;
    if (main_thread && muster__me.world.rank == 0 && !muster__me.spmd) {
        muster__log(MUSTER__WARN, "the program ends without muster_finalize; ending the job");
        muster__runtime_stop();
        return;
    }
    muster__me.running = false;
    muster__log(MUSTER__ERROR, "exit(%d) without muster_finalize, in %s; aborting the job", status,
                !main_thread      ? "a thread beside main"
                : muster__me.spmd ? "a rank in SPMD mode"
                                  : "a task or service");
    muster__transport_abort(status ? status : 1);
}

/* The program calls MPI_Finalize: the main thread of a rank, and in SPMD mode of each. MPICH does not bear it that the
 * agent uses MPI meanwhile. */
static void mpi_ends(void)
{
    if (!muster__me.running)
        return;
    if (muster__me.tables->hosts > 1) {
        muster__me.running = false;
        muster__log(MUSTER__ERROR,
                    "MPI_Finalize without muster_finalize before it, on several hosts: aborting the job");
        muster__transport_abort(1);
    }
    muster__log(MUSTER__WARN, "MPI_Finalize without muster_finalize before it: muster ends here, too");
    muster__runtime_stop();
}

void stop_at_exit(void)
{
    on_exit(at_exit, NULL);
    muster__transport_ends = mpi_ends;
}
