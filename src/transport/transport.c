/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    MPI_Comm given; /* by the program, while muster starts on it; else NULL: all ranks */
    MPI_Comm job, host, lent;
    int *local_ranks, *rank_hosts;
    bool ours;     /* MPI was initialized here */
    bool programs; /* by the program */
    int end_key;   /* see watch_end */
    bool ends;     /* the program is in MPI_Finalize */
    pid_t rank;    /* children have a copy of all this */
} state = {.given = MPI_COMM_NULL,
           .job = MPI_COMM_NULL,
           .host = MPI_COMM_NULL,
           .lent = MPI_COMM_NULL,
           .end_key = MPI_KEYVAL_INVALID};

bool muster__transport_is_programs(void)
{
    return state.programs;
}

MPI_Comm transport_job(void)
{
    return state.job;
}

MPI_Comm transport_host(void)
{
    return state.host;
}

MPI_Comm transport_lent(void)
{
    return state.rank == getpid() ? state.lent : MPI_COMM_NULL;
}

void transport_give(MPI_Comm comm)
{
    state.given = comm;
}

muster_err transport_failed(const char *what, int code)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int length;
    MPI_Error_string(code, text, &length);
    return muster__fail_logged(MUSTER_ERR_MPI, "%s: %s", what, text);
}

bool muster__transport_runs(void)
{
    int runs;
    MPI_Initialized(&runs);
    return runs;
}

/* MPICH looks for an address that is free in all ranks, page by page, which takes seconds for a host's segment; muster
 * needs none. */
static const char address_tries[] = "MPIR_CVAR_SHM_SYMHEAP_RETRY";

static void want_any_address(void)
{
    setenv(address_tries, "0", 0);
}

/* The same where MPI runs already, by its own interface for that. Gives what it was; -1: there is no such thing. */
int transport_address_tries(int to)
{
    int at, level, count, was = -1;
    MPI_T_cvar_handle handle;
    if (MPI_T_init_thread(MPI_THREAD_SINGLE, &level) != MPI_SUCCESS)
        return -1;
    if (MPI_T_cvar_get_index(address_tries, &at) == MPI_SUCCESS &&
        MPI_T_cvar_handle_alloc(at, NULL, &handle, &count) == MPI_SUCCESS) {
        if (count != 1 || MPI_T_cvar_read(handle, &was) != MPI_SUCCESS || MPI_T_cvar_write(handle, &to) != MPI_SUCCESS)
            was = -1;
        MPI_T_cvar_handle_free(&handle);
    }
    MPI_T_finalize();
    return was;
}

static muster_err initialize(int *argc, char ***argv)
{
    int provided, over;
    MPI_Finalized(&over);
    if (over)
        return muster__fail(MUSTER_ERR_STATE, "muster_init: MPI_Finalize was called before");
    transport_tidy(); /* before MPI needs the room */
    if (muster__transport_runs()) {
        state.programs = true;
    } else {
        want_any_address();
        int code = MPI_Init_thread(argc, argv, MPI_THREAD_MULTIPLE, &provided);
        if (code != MPI_SUCCESS)
            return transport_failed("MPI_Init_thread", code);
        state.ours = true;
    }
    return MUSTER_OK;
}

/* ---- who ends MPI ---- */

void (*muster__transport_ends)(void);

/* MPI_Finalize begins by dropping what hangs on MPI_COMM_SELF, while MPI still works. */
static int on_end(MPI_Comm self, int key, void *value, void *unused)
{
    (void)self, (void)key, (void)value, (void)unused;
    if (state.end_key == MPI_KEYVAL_INVALID || state.rank != getpid())
        return MPI_SUCCESS;
    state.ends = true;
    if (muster__transport_ends)
        muster__transport_ends();
    return MPI_SUCCESS;
}

static void watch_end(void)
{
    if (MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, on_end, &state.end_key, NULL) != MPI_SUCCESS)
        state.end_key = MPI_KEYVAL_INVALID;
    else
        MPI_Comm_set_attr(MPI_COMM_SELF, state.end_key, NULL);
}

static void watch_end_no_more(void)
{
    int key = state.end_key;
    state.end_key = MPI_KEYVAL_INVALID;
    if (key == MPI_KEYVAL_INVALID || state.ends)
        return;
    MPI_Comm_delete_attr(MPI_COMM_SELF, key);
    MPI_Comm_free_keyval(&key);
}

/* ---- threads ---- */

static const char *level_name(int level)
{
    return level == MPI_THREAD_SINGLE       ? "MPI_THREAD_SINGLE"
           : level == MPI_THREAD_FUNNELED   ? "MPI_THREAD_FUNNELED"
           : level == MPI_THREAD_SERIALIZED ? "MPI_THREAD_SERIALIZED"
                                            : "MPI_THREAD_MULTIPLE";
}

/* On one host the main thread alone uses MPI, so any level will do. Ranks may have different ones. */
static muster_err check_level(const struct muster__world *world)
{
    int mine, least = MPI_THREAD_SINGLE;
    MPI_Query_thread(&mine);
    MPI_Allreduce(&mine, &least, 1, MPI_INT, MPI_MIN, state.job);
    if (world->hosts == 1 || least >= MPI_THREAD_MULTIPLE)
        return MUSTER_OK;
    muster_err err = muster__fail(
        MUSTER_ERR_UNSUPPORTED,
        "muster_init: MPI runs at %s%s, but on several hosts (%d) a thread of muster's uses MPI beside the program: %s",
        level_name(least), mine == least ? "" : " on another rank", world->hosts,
        state.programs ? "initialize it by MPI_Init_thread with MPI_THREAD_MULTIPLE"
                       : "use an MPI library that gives MPI_THREAD_MULTIPLE");
    if (world->rank == 0)
        muster__log(MUSTER__ERROR, "%s", muster_err_detail());
    return err;
}

/* "Open MPI v4.1.4" of what the library says of itself, which may be a page. */
static void library_name(char *name, size_t size)
{
    char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int length;
    MPI_Get_library_version(text, &length);
    snprintf(name, size, "%.*s", (int)strcspn(text, ",\n"), text);
    for (char *at = name; *at; at++)
        *at = *at == '\t' ? ' ' : *at;
}

/* Another library's launcher: each process is an MPI job of its own, and would do all of the work. */
static muster_err check_launcher(const struct muster__world *world)
{
    const struct muster__launcher *told = muster__launcher();
    int all, said = told->processes > 1 ? told->processes : told->slurm_tasks;
    char name[64];
    MPI_Comm_size(MPI_COMM_WORLD, &all);
    if (all > 1 || said <= 1 || world->part)
        return MUSTER_OK;
    library_name(name, sizeof name);
    muster_err err = muster__fail(
        MUSTER_ERR_MPI,
        "%s has started %d processes, of which each sees itself alone: this program runs with %s: start it with that "
        "library's mpirun%s",
        told->open_mpi          ? "Open MPI's mpirun"
        : told->slurm_tasks > 1 ? "srun"
                                : "MPICH's mpirun, or one like it,",
        said, name, told->slurm_tasks > 1 ? ", or with srun --mpi=pmix" : "");
    if ((told->processes > 1 ? told->rank : told->slurm_task) == 0)
        muster__log(MUSTER__ERROR, "%s", muster_err_detail());
    return err;
}

/* The host's index: how many hosts have a lower first rank. */
static void count_hosts(struct muster__world *world)
{
    int first = world->local == 0;
    MPI_Exscan(&first, &world->host, 1, MPI_INT, MPI_SUM, state.job);
    if (world->rank == 0)
        world->host = 0;
    MPI_Bcast(&world->host, 1, MPI_INT, 0, state.host);
    MPI_Allreduce(&first, &world->hosts, 1, MPI_INT, MPI_SUM, state.job);
}

/* MUSTER_HOST_RANKS=k makes each k ranks a host of their own: what goes between hosts can be tested on one. */
static int split_hosts(const struct muster__world *world)
{
    int each = (int)muster__setting(MUSTER__SET_HOST_RANKS);
    if (each > 0)
        return MPI_Comm_split(state.job, world->rank / each, world->rank, &state.host);
    return MPI_Comm_split_type(state.job, MPI_COMM_TYPE_SHARED, world->rank, MPI_INFO_NULL, &state.host);
}

static muster_err list_hosts(struct muster__world *world)
{
    int *hosts = world->hosts > 1 ? malloc((size_t)world->ranks * sizeof *hosts) : NULL;
    if (world->hosts > 1) {
        if (!hosts)
            return muster__fail_logged(MUSTER_ERR_NOMEM, "out of memory at start");
        MPI_Allgather(&world->host, 1, MPI_INT, hosts, 1, MPI_INT, state.job);
        if (world->local) {
            free(hosts);
            hosts = NULL;
        }
    }
    world->rank_hosts = state.rank_hosts = hosts;
    return MUSTER_OK;
}

/* What is lent keeps the error handler of what was given. */
static muster_err copy_given(struct muster__world *world)
{
    MPI_Comm given = state.given == MPI_COMM_NULL ? MPI_COMM_WORLD : state.given;
    int all;
    int code = MPI_Comm_dup(given, &state.job);
    if (code == MPI_SUCCESS)
        code = MPI_Comm_dup(given, &state.lent);
    if (code != MPI_SUCCESS)
        return transport_failed("MPI_Comm_dup", code);
    MPI_Comm_set_errhandler(state.job, MPI_ERRORS_RETURN);
    MPI_Comm_rank(state.job, &world->rank);
    MPI_Comm_size(state.job, &world->ranks);
    MPI_Comm_size(MPI_COMM_WORLD, &all);
    world->part = world->ranks < all;
    return MUSTER_OK;
}

static muster_err find_places(struct muster__world *world)
{
    int code = split_hosts(world);
    if (code != MPI_SUCCESS)
        return transport_failed("MPI_Comm_split", code);
    MPI_Comm_rank(state.host, &world->local);
    MPI_Comm_size(state.host, &world->locals);
    state.local_ranks = calloc((size_t)world->locals, sizeof *state.local_ranks);
    if (!state.local_ranks)
        return muster__fail_logged(MUSTER_ERR_NOMEM, "out of memory at start");
    MPI_Allgather(&world->rank, 1, MPI_INT, state.local_ranks, 1, MPI_INT, state.host);
    world->local_ranks = state.local_ranks;
    count_hosts(world);
    return list_hosts(world);
}

muster_err muster__transport_start(int *argc, char ***argv, struct muster__world *world)
{
    muster_err err = initialize(argc, argv);
    if (err)
        return err;
    err = copy_given(world);
    if (!err)
        err = find_places(world);
    if (err)
        muster__transport_abort(1); /* which has said why; the others wait for this rank */
    state.rank = getpid();
    err = check_level(world);
    if (!err)
        err = check_launcher(world);
    if (err)
        muster__transport_stop(true);
    else
        watch_end();
    return err;
}

void muster__transport_host_barrier(void)
{
    MPI_Barrier(state.host);
}

void muster__transport_host_tell(void *bytes, size_t size)
{
    MPI_Bcast(bytes, (int)size, MPI_BYTE, 0, state.host);
}

void muster__transport_job_tell(void *bytes, size_t size)
{
    MPI_Bcast(bytes, (int)size, MPI_BYTE, 0, state.job);
}

bool muster__transport_same(uint64_t value)
{
    uint64_t mine[2] = {value, ~value}, least[2];
    MPI_Allreduce(mine, least, 2, MPI_UINT64_T, MPI_MIN, state.job);
    return least[0] == ~least[1];
}

muster_err muster__transport_worst(muster_err err)
{
    muster_err worst = MUSTER_ERR_MPI;
    MPI_Allreduce(&err, &worst, 1, MPI_INT, MPI_MIN, state.job);
    return worst;
}

void muster__transport_gather(const void *line, size_t size, void *lines)
{
    MPI_Gather(line, (int)size, MPI_BYTE, lines, (int)size, MPI_BYTE, 0, state.job);
}

void muster__transport_collect(const void *mine, size_t size, void **all, size_t *total)
{
    int rank, ranks, own = (int)size;
    MPI_Comm_rank(state.job, &rank);
    MPI_Comm_size(state.job, &ranks);
    int *sizes = rank == 0 ? calloc(2 * (size_t)ranks, sizeof *sizes) : NULL;
    *all = NULL;
    *total = 0;
    MPI_Gather(&own, 1, MPI_INT, sizes, 1, MPI_INT, 0, state.job);
    for (int i = 0; sizes && i < ranks; i++) {
        sizes[ranks + i] = (int)*total;
        *total += (size_t)sizes[i];
    }
    if (sizes && *total <= INT32_MAX)
        *all = malloc(*total + 1);
    bool goes = *all;
    MPI_Bcast(&goes, 1, MPI_C_BOOL, 0, state.job);
    if (goes)
        MPI_Gatherv(mine, own, MPI_BYTE, *all, sizes, sizes ? sizes + ranks : NULL, MPI_BYTE, 0, state.job);
    free(sizes);
}

void muster__transport_stop(bool politely)
{
    transport_share_unmap();
    if (!politely) {
        transport_unlink_own();
        return;
    }
    watch_end_no_more();
    transport_share_free();
    if (state.host != MPI_COMM_NULL)
        MPI_Comm_free(&state.host);
    if (state.lent != MPI_COMM_NULL)
        MPI_Comm_free(&state.lent);
    if (state.job != MPI_COMM_NULL)
        MPI_Comm_free(&state.job);
    free(state.local_ranks);
    free(state.rank_hosts);
    state.local_ranks = state.rank_hosts = NULL;
    if (state.ours && !state.ends)
        MPI_Finalize();
    state.ours = false;
}

_Noreturn void muster__transport_abort(int code)
{
    MPI_Abort(MPI_COMM_WORLD, code);
    abort();
}
