/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MPI programs that have muster beside them, one by its first argument: see main. Each ends with code 0 where all was
 * as it is to be, and says the first thing that was not. MUSTER_HOST_RANKS splits the ranks into hosts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <muster/mpi.h>
#include <muster/muster.h>

#define CHECK(truth) check(truth, #truth, __LINE__)
#define SAME(err, wanted)                                                                                              \
    do {                                                                                                               \
        muster_err same_err = (err);                                                                                   \
        if (same_err != (wanted))                                                                                      \
            fprintf(stderr, "beside.c:%d: %s: %s, %s\n", __LINE__, #err, muster_err_name(same_err),                    \
                    muster_err_detail());                                                                              \
        CHECK(same_err == (wanted));                                                                                   \
    } while (0)

static void check(bool truth, const char *text, int line)
{
    int rank = -1;
    if (truth)
        return;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    fprintf(stderr, "beside.c:%d: rank %d of all: not so: %s\n", line, rank, text);
    MPI_Abort(MPI_COMM_WORLD, 1);
}

static int all_ranks(void)
{
    int ranks;
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    return ranks;
}

static int own_rank(void)
{
    int rank;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    return rank;
}

/* Ranks that MUSTER_HOST_RANKS takes for a host; all without it. */
static int host_ranks(void)
{
    const char *text = getenv("MUSTER_HOST_RANKS");
    return text ? atoi(text) : all_ranks();
}

/* MPI works as before. */
static void use_mpi(void)
{
    int mine = own_rank(), sum = 0;
    MPI_Allreduce(&mine, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    CHECK(sum == all_ranks() * (all_ranks() - 1) / 2);
}

static int init_mpi(int *argc, char ***argv, int level)
{
    int provided;
    MPI_Init_thread(argc, argv, level, &provided);
    return provided;
}

static const muster_options spmd = {.spmd = true};

/* ---- pools ---- */

static int square(const void *item, void *result, const void *user)
{
    (void)user;
    *(int *)result = *(const int *)item * *(const int *)item;
    return 0;
}

static void map_squares(muster_pool pool)
{
    int items[100], results[100];
    for (int i = 0; i < 100; i++)
        items[i] = i;
    SAME(muster_pool_map(pool, square, items, 100, sizeof *items, results, sizeof *results, NULL), MUSTER_OK);
    for (int i = 0; i < 100; i++)
        CHECK(results[i] == i * i);
}

static void make_and_map(void)
{
    muster_pool pool;
    SAME(muster_pool_create(&pool, NULL), MUSTER_OK);
    map_squares(pool);
    SAME(muster_pool_destroy(pool), MUSTER_OK);
}

static muster_pool share_pool(const muster_pool_options *options)
{
    muster_pool pool = {0};
    SAME(muster_comm_share(muster_rank() == 0 ? muster_pool_create(&pool, options) : MUSTER_OK, &pool, sizeof pool),
         MUSTER_OK);
    return pool;
}

/* One of these runs in each rank, or none ever ends. They use MPI beside all that muster does. */
static int meet(const void *item, void *result, const void *user)
{
    (void)item;
    int mine = muster_rank(), ranks = muster_ranks(), theirs = -1;
    if (muster_barrier_wait(*(const muster_barrier *)user, NULL, MUSTER_FOREVER))
        return 1;
    MPI_Sendrecv(&mine, 1, MPI_INT, (mine + 1) % ranks, 0, &theirs, 1, MPI_INT, (mine + ranks - 1) % ranks, 0,
                 muster_comm(), MPI_STATUS_IGNORE);
    *(int *)result = mine;
    return theirs != (mine + ranks - 1) % ranks;
}

/* As tasks, not a map: what another host was lent of a map comes back from the end alone. */
static void meet_in_tasks(muster_pool pool)
{
    enum { RANKS_MAX = 16 };
    muster_barrier barrier;
    muster_task tasks[RANKS_MAX];
    int n = muster_ranks(), seen[RANKS_MAX] = {0};
    CHECK(n <= RANKS_MAX);
    SAME(muster_barrier_create(&barrier, n, NULL), MUSTER_OK);
    muster_submit_options options = {.user = &barrier, .user_bytes = sizeof barrier};
    for (int i = 0; i < n; i++)
        SAME(muster_pool_submit(pool, &tasks[i], meet, NULL, 0, sizeof(int), &options), MUSTER_OK);
    for (int i = 0, rank; i < n; i++) {
        SAME(muster_task_get(tasks[i], &rank, sizeof rank, MUSTER_FOREVER), MUSTER_OK);
        CHECK(seen[rank]++ == 0);
    }
    SAME(muster_barrier_destroy(barrier), MUSTER_OK);
}

/* ---- the programs ---- */

/* MPI initialized at less than MULTIPLE: refused on all ranks where there are several hosts, with nothing left behind.
 */
static void level(int *argc, char ***argv)
{
    static const char *const names[] = {"MPI_THREAD_SINGLE", "MPI_THREAD_FUNNELED", "MPI_THREAD_SERIALIZED"};
    static const int levels[] = {MPI_THREAD_SINGLE, MPI_THREAD_FUNNELED, MPI_THREAD_SERIALIZED};
    int which = atoi((*argv)[2]);
    bool all = strcmp((*argv)[3], "spmd") == 0;
    int provided = init_mpi(argc, argv, levels[which]);
    if (provided != levels[which]) { /* the library gives more than it is asked for */
        printf("skipped: level %d for %s\n", provided, names[which]);
        return;
    }
    muster_err err = muster_init(argc, argv, all ? &spmd : NULL);
    if (host_ranks() < all_ranks()) {
        SAME(err, MUSTER_ERR_UNSUPPORTED);
        CHECK(strstr(muster_err_detail(), names[which]) != NULL);
        CHECK(strstr(muster_err_detail(), "MPI_Init_thread with MPI_THREAD_MULTIPLE") != NULL);
        CHECK(muster_comm() == MPI_COMM_NULL);
        return;
    }
    SAME(err, all || own_rank() == 0 ? MUSTER_OK : MUSTER_ERR_CLOSED);
    if (own_rank() == 0)
        make_and_map();
    if (!err)
        CHECK(muster_finalize() == 0);
}

/* Every second rank has muster; the others talk among themselves meanwhile. */
static void half(int *argc, char ***argv)
{
    MPI_Comm comm;
    int rank, ranks;
    init_mpi(argc, argv, MPI_THREAD_MULTIPLE);
    bool with = own_rank() % 2 == 0;
    MPI_Comm_split(MPI_COMM_WORLD, with, -own_rank(), &comm); /* in another order */
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &ranks);
    if (with) {
        SAME(muster_init_comm(comm, &spmd), MUSTER_OK);
        CHECK(muster_rank() == rank);
        CHECK(muster_ranks() == ranks);
        muster_pool pool = share_pool(NULL);
        if (rank == 0)
            meet_in_tasks(pool);
        CHECK((rank == 0 ? muster_dismiss() : muster_serve(MUSTER_FOREVER)) == MUSTER_OK);
        CHECK(muster_finalize() == 0);
    }
    for (int i = 0; !with && i < 1000; i++) {
        int sum, one = 1;
        MPI_Allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, comm);
        CHECK(sum == ranks);
    }
    MPI_Comm_free(&comm);
}

/* Each half has a muster of its own, in the other mode. */
static void halves(int *argc, char ***argv)
{
    MPI_Comm comm;
    int rank, ranks;
    init_mpi(argc, argv, MPI_THREAD_MULTIPLE);
    MPI_Comm_split(MPI_COMM_WORLD, own_rank() % 2, own_rank(), &comm);
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &ranks);
    muster_err err = muster_init_comm(comm, NULL);
    SAME(err, rank == 0 ? MUSTER_OK : MUSTER_ERR_CLOSED);
    CHECK(muster_comm() == MPI_COMM_NULL || rank == 0);
    if (!err) {
        muster_pool pool;
        CHECK(muster_ranks() == ranks);
        SAME(muster_pool_create(&pool, NULL), MUSTER_OK);
        meet_in_tasks(pool);
        CHECK(muster_finalize() == 0);
    }
    MPI_Comm_free(&comm);
}

/* What may not be done, and what is done again. */
static void wrong(int *argc, char ***argv)
{
    SAME(muster_init_comm(MPI_COMM_NULL, NULL), MUSTER_ERR_STATE);
    init_mpi(argc, argv, MPI_THREAD_MULTIPLE);
    SAME(muster_init_comm(MPI_COMM_NULL, NULL), MUSTER_ERR_INVAL);
    SAME(muster_serve(MUSTER_NOWAIT), MUSTER_ERR_STATE);
    CHECK(muster_comm() == MPI_COMM_NULL);
    if (all_ranks() > 1) {
        MPI_Comm part, between;
        int other = own_rank() == 0 ? 1 : 0;
        MPI_Comm_split(MPI_COMM_WORLD, own_rank() == 0, own_rank(), &part);
        MPI_Intercomm_create(part, 0, MPI_COMM_WORLD, other, 0, &between);
        SAME(muster_init_comm(between, NULL), MUSTER_ERR_INVAL);
        MPI_Comm_free(&between);
        MPI_Comm_free(&part);
    }
    SAME(muster_init_comm(MPI_COMM_WORLD, &spmd), MUSTER_OK);
    SAME(muster_init_comm(MPI_COMM_WORLD, &spmd), MUSTER_ERR_STATE);
    SAME(muster_init(argc, argv, &spmd), MUSTER_ERR_STATE);
    SAME(muster_comm_share(MUSTER_OK, NULL, 0), MUSTER_ERR_INVAL);
    CHECK(muster_finalize() == 0);
    SAME(muster_dismiss(), MUSTER_ERR_STATE);
    CHECK(muster_comm() == MPI_COMM_NULL);
}

static int has_no_mpi(const void *arg, size_t size_bytes)
{
    (void)arg, (void)size_bytes;
    int one = 1;
    return muster_comm() != MPI_COMM_NULL || muster_comm_share(MUSTER_OK, &one, sizeof one) != MUSTER_ERR_STATE;
}

/* The communicator that is lent, and creates that are collective. */
static void lent(int *argc, char ***argv)
{
    MPI_Comm comm;
    int same;
    muster_pool pool;
    muster_process child;
    muster_process_status status;
    init_mpi(argc, argv, MPI_THREAD_MULTIPLE);
    MPI_Comm_split(MPI_COMM_WORLD, 0, -own_rank(), &comm);
    SAME(muster_init_comm(comm, &spmd), MUSTER_OK);
    MPI_Comm_compare(muster_comm(), comm, &same);
    CHECK(same == MPI_CONGRUENT);
    SAME(muster_comm_share(muster_rank() == 0 ? muster_pool_create(&pool, &(muster_pool_options){.workers = -3})
                                              : MUSTER_OK,
                           &pool, sizeof pool),
         MUSTER_ERR_INVAL);
    CHECK(strstr(muster_err_detail(), "workers is -3") != NULL);
    SAME(muster_process_create(&child, has_no_mpi, NULL, 0, NULL), MUSTER_OK);
    SAME(muster_process_start(child), MUSTER_OK);
    SAME(muster_process_join(child, &status, MUSTER_FOREVER), MUSTER_OK);
    CHECK(status.exit_code == 0 && status.signal == 0);
    CHECK(muster_finalize() == 0);
    MPI_Comm_free(&comm);
}

static int serve_in_task(const void *item, void *result, const void *user)
{
    (void)item, (void)result, (void)user;
    return muster_serve(MUSTER_NOWAIT) != MUSTER_ERR_STATE || muster_dismiss() != MUSTER_ERR_STATE;
}

/* Rounds of muster_serve belong to those of muster_dismiss, in order. */
static void rounds(int *argc, char ***argv)
{
    init_mpi(argc, argv, MPI_THREAD_MULTIPLE);
    SAME(muster_init(argc, argv, &spmd), MUSTER_OK);
    bool first = muster_rank() == 0;
    muster_pool pool = share_pool(NULL);
    SAME(first ? muster_serve(MUSTER_NOWAIT) : muster_dismiss(), MUSTER_ERR_STATE);
    if (!first) {
        SAME(muster_serve(MUSTER_NOWAIT), MUSTER_ERR_TIMEOUT);
        SAME(muster_serve(20), MUSTER_ERR_TIMEOUT);
    }
    MPI_Barrier(muster_comm());
    if (first) {
        SAME(muster_pool_map(pool, serve_in_task, "12345678", 8, 1, NULL, 0, NULL), MUSTER_OK);
        meet_in_tasks(pool);
        map_squares(pool);
    }
    for (int i = 0; i < 3; i++) /* rank 0 may be far ahead */
        SAME(first ? muster_dismiss() : muster_serve(MUSTER_FOREVER), MUSTER_OK);
    MPI_Barrier(muster_comm());
    SAME(first ? MUSTER_ERR_TIMEOUT : muster_serve(MUSTER_NOWAIT), MUSTER_ERR_TIMEOUT);
    MPI_Barrier(muster_comm());
    if (first) { /* again, from where they left */
        meet_in_tasks(pool);
        SAME(muster_pool_destroy(pool), MUSTER_OK);
        make_and_map();
    } else {
        SAME(muster_serve(MUSTER_FOREVER), MUSTER_ERR_CLOSED);
    }
    CHECK(muster_finalize() == 0);
}

static int nested(const void *item, void *result, const void *user)
{
    int depth = *(const int *)item - 1, below = 0;
    muster_submit_options options = {.user = user, .user_bytes = sizeof(muster_pool)};
    muster_pool pool = *(const muster_pool *)user;
    muster_task task;
    if (depth > 0 && (muster_pool_submit(pool, &task, nested, &depth, sizeof depth, sizeof below, &options) ||
                      muster_task_get(task, &below, sizeof below, MUSTER_FOREVER)))
        return 1;
    *(int *)result = below + 1;
    return 0;
}

/* All ranks use one pool at once, from mains that do not serve: each works while it waits. */
static void visit(int *argc, char ***argv)
{
    muster_task tasks[20];
    int depth = 60, result;
    init_mpi(argc, argv, MPI_THREAD_MULTIPLE);
    SAME(muster_init(argc, argv, &spmd), MUSTER_OK);
    muster_pool pool = share_pool(NULL);
    muster_submit_options options = {.user = &pool, .user_bytes = sizeof pool};
    for (int i = 0; i < 20; i++)
        map_squares(pool);
    SAME(muster_pool_submit(pool, tasks, nested, &depth, sizeof depth, sizeof result, &options), MUSTER_OK);
    SAME(muster_task_get(*tasks, &result, sizeof result, MUSTER_FOREVER), MUSTER_OK);
    CHECK(result == depth);
    for (int i = 0; i < 20; i++)
        SAME(muster_pool_submit(pool, &tasks[i], square, &i, sizeof i, sizeof i, NULL), MUSTER_OK);
    SAME(muster_task_wait(tasks, 20, MUSTER_WAIT_ALL, NULL, MUSTER_FOREVER), MUSTER_OK);
    for (int i = 0; i < 20; i++) {
        SAME(muster_task_get(tasks[i], &result, sizeof result, MUSTER_FOREVER), MUSTER_OK);
        CHECK(result == i * i);
    }
    MPI_Barrier(muster_comm());
    if (muster_rank() == muster_ranks() - 1) /* nobody waits for mains that are elsewhere */
        SAME(muster_pool_destroy(pool), MUSTER_OK);
    MPI_Barrier(muster_comm());
    CHECK(muster_finalize() == 0);
}

static int wait_for_event(const void *arg, size_t size_bytes)
{
    (void)size_bytes;
    return muster_event_wait(*(const muster_event *)arg, MUSTER_FOREVER) != MUSTER_OK;
}

/* Ranks work while they wait for what takes nothing, wherever that is at home; not while they wait with a deadline. */
static void waits(int *argc, char ***argv)
{
    init_mpi(argc, argv, MPI_THREAD_MULTIPLE);
    SAME(muster_init(argc, argv, &spmd), MUSTER_OK);
    muster_pool pool = share_pool(NULL);
    struct {
        muster_barrier barrier;
        muster_event event, second;
        muster_counter counter;
    } all;
    bool first = muster_rank() == 0;
    if (first) {
        muster_object_options there = {.on = muster_on_rank(muster_ranks() - 1)};
        SAME(muster_barrier_create(&all.barrier, muster_ranks(), NULL), MUSTER_OK);
        SAME(muster_event_create(&all.event, &there), MUSTER_OK);
        SAME(muster_event_create(&all.second, NULL), MUSTER_OK);
        SAME(muster_counter_create(&all.counter, 0, NULL), MUSTER_OK);
    }
    SAME(muster_comm_share(MUSTER_OK, &all, sizeof all), MUSTER_OK);
    for (int i = 0; i < 3; i++) {
        if (first)
            meet_in_tasks(pool);
        SAME(muster_barrier_wait(all.barrier, NULL, MUSTER_FOREVER), MUSTER_OK);
    }
    if (first) {
        meet_in_tasks(pool);
        map_squares(pool);
        SAME(muster_event_set(all.event), MUSTER_OK);
        meet_in_tasks(pool);
        SAME(muster_counter_add(all.counter, 1, NULL), MUSTER_OK);
        meet_in_tasks(pool);
        SAME(muster_event_set(all.second), MUSTER_OK);
    } else {
        muster_process child;
        muster_process_status status;
        SAME(muster_event_wait(all.event, MUSTER_FOREVER), MUSTER_OK);
        SAME(muster_counter_wait(all.counter, 1, MUSTER_FOREVER, NULL), MUSTER_OK);
        SAME(muster_process_create(&child, wait_for_event, &all.second, sizeof all.second, NULL), MUSTER_OK);
        SAME(muster_process_start(child), MUSTER_OK);
        SAME(muster_process_join(child, &status, MUSTER_FOREVER), MUSTER_OK);
        CHECK(status.exit_code == 0 && status.signal == 0);
    }
    CHECK(muster_finalize() == 0);
}

/* The others are in muster_finalize already, and work there. */
static void at_end(int *argc, char ***argv)
{
    init_mpi(argc, argv, MPI_THREAD_MULTIPLE);
    SAME(muster_init(argc, argv, &spmd), MUSTER_OK);
    muster_pool pool = share_pool(NULL);
    if (muster_rank() == (muster_hosts() == 1 ? muster_ranks() - 1 : 0))
        meet_in_tasks(pool);
    CHECK(muster_finalize() == 0);
}

/* Without muster_finalize, in both modes: muster ends in MPI_Finalize, or on several hosts the job. */
static void forget(int *argc, char ***argv)
{
    bool all = strcmp((*argv)[2], "spmd") == 0;
    init_mpi(argc, argv, MPI_THREAD_MULTIPLE);
    muster_err err = muster_init(argc, argv, all ? &spmd : NULL);
    SAME(err, all || own_rank() == 0 ? MUSTER_OK : MUSTER_ERR_CLOSED);
    if (own_rank() == 0)
        make_and_map();
    MPI_Finalize();
    exit(0);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*program)(int *argc, char ***argv);
    } programs[] = {{"level", level},   {"half", half},   {"halves", halves}, {"wrong", wrong}, {"lent", lent},
                    {"rounds", rounds}, {"visit", visit}, {"at_end", at_end}, {"waits", waits}, {"forget", forget}};
    for (size_t i = 0; argc > 1 && i < sizeof programs / sizeof *programs; i++)
        if (strcmp(argv[1], programs[i].name) == 0) {
            programs[i].program(&argc, &argv);
            use_mpi();
            MPI_Finalize();
            return 0;
        }
    fprintf(stderr, "beside: which?\n");
    return 2;
}
