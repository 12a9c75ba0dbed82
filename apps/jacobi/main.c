/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Heat in a plate: an MPI program that exchanges its blocks' rims by MPI_Sendrecv on a communicator of its own, with
 * muster beside it. Between the steps a pool computes what heats the plate, whose tiles take very different times, a
 * lock guards a sum that all add to, and a barrier says when that is complete. At the end rank 0 does the same alone,
 * to compare.
 *
 *   mpirun -np 4 jacobi [points a side] [rounds]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <muster/mpi.h>
#include <muster/muster.h>

#include "plate.h"

enum { STEPS_A_ROUND = 10, ROUNDS_MAX = 1000 };

/* what the ranks share */
struct shared {
    muster_pool pool;
    muster_lock lock;
    muster_barrier barrier;
    muster_array changed; /* points that the round's last step changed, by round */
    muster_array workers; /* tiles that each rank has computed */
};

struct tile {
    int round, number;
};

/* By how much a tile heats in a round, which takes the longer the higher its number is. */
static double heat_of(struct tile tile)
{
    double x = 0.1 + 0.8 * (tile.number + 1) / (PLATE_TILES + 1);
    for (int i = 0; i < 10000 * (tile.number + 1) + tile.round; i++)
        x = 3.9 * x * (1 - x);
    return 0.01 * x;
}

static int heat(const void *item, void *result, const void *user)
{
    muster_array workers = *(const muster_array *)user;
    *(double *)result = heat_of(*(const struct tile *)item);
    int64_t one = 1;
    return muster_array_add_i64(workers, muster_rank(), 1, &one) != MUSTER_OK;
}

static void must(muster_err err, const char *what)
{
    if (!err)
        return;
    fprintf(stderr, "jacobi: %s: %s: %s\n", what, muster_err_name(err), muster_err_detail());
    MPI_Abort(MPI_COMM_WORLD, 1);
}

static muster_err make(struct shared *shared, int rounds)
{
    muster_err err = muster_array_create(&shared->workers, muster_ranks(), sizeof(int64_t), NULL);
    if (!err)
        err = muster_array_create(&shared->changed, rounds, sizeof(int64_t), NULL);
    if (!err)
        err = muster_lock_create(&shared->lock, NULL);
    if (!err)
        err = muster_barrier_create(&shared->barrier, muster_ranks(), NULL);
    return err ? err
               : muster_pool_create(&shared->pool, &(muster_pool_options){.user = &shared->workers,
                                                                          .user_bytes = sizeof shared->workers});
}

/* Rank 0 has the tiles computed by all ranks, which serve meanwhile; then all have them. */
static void heat_all(const struct shared *shared, MPI_Comm comm, int round, double sources[PLATE_TILES])
{
    if (muster_rank() == 0) {
        struct tile tiles[PLATE_TILES];
        for (int i = 0; i < PLATE_TILES; i++)
            tiles[i] = (struct tile){round, i};
        must(muster_pool_map(shared->pool, heat, tiles, PLATE_TILES, sizeof *tiles, sources, sizeof *sources,
                             &(muster_map_options){.chunk_items = 1}),
             "map");
        must(muster_dismiss(), "dismiss");
    } else {
        must(muster_serve(MUSTER_FOREVER), "serve");
    }
    MPI_Bcast(sources, PLATE_TILES, MPI_DOUBLE, 0, comm);
}

/* A sum by a lock and a barrier of muster's is the one that MPI finds. */
static void sum_up(const struct shared *shared, MPI_Comm comm, int round, long long mine)
{
    int64_t sum;
    long long sum_by_mpi;
    must(muster_lock_acquire(shared->lock, MUSTER_FOREVER), "acquire");
    must(muster_array_read(shared->changed, round, 1, &sum), "read");
    sum += mine;
    must(muster_array_write(shared->changed, round, 1, &sum), "write");
    must(muster_lock_release(shared->lock), "release");
    must(muster_barrier_wait(shared->barrier, NULL, MUSTER_FOREVER), "barrier");
    must(muster_array_read(shared->changed, round, 1, &sum), "read");
    MPI_Allreduce(&mine, &sum_by_mpi, 1, MPI_LONG_LONG, MPI_SUM, comm);
    must(sum == sum_by_mpi ? MUSTER_OK : MUSTER_ERR_BROKEN, "the sum under the lock");
}

/* What it comes to without muster, on one rank. */
static void compute_alone(int n, int rounds, double *whole)
{
    struct plate plate;
    MPI_Comm alone;
    double sources[PLATE_TILES];
    MPI_Cart_create(MPI_COMM_SELF, 2, (int[]){1, 1}, (int[]){0, 0}, 0, &alone);
    plate_make(&plate, alone, n);
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < PLATE_TILES; i++)
            sources[i] = heat_of((struct tile){round, i});
        for (int step = 0; step < STEPS_A_ROUND; step++)
            plate_step(&plate, sources);
    }
    plate_gather(&plate, whole);
    plate_free(&plate);
    MPI_Comm_free(&alone);
}

static int compare(const struct plate *plate, const struct shared *shared, int rounds)
{
    size_t bytes = (size_t)plate->n * (size_t)plate->n * sizeof(double);
    double *whole = malloc(bytes), *alone = malloc(bytes);
    int64_t *tiles = calloc((size_t)muster_ranks(), sizeof *tiles), all = 0;
    if (!whole || !alone || !tiles)
        MPI_Abort(MPI_COMM_WORLD, 1);
    plate_gather(plate, whole);
    int same = 1;
    if (muster_rank() == 0) {
        compute_alone(plate->n, rounds, alone);
        same = memcmp(whole, alone, bytes) == 0;
        must(muster_array_read(shared->workers, 0, muster_ranks(), tiles), "read");
        printf("points a side %d, rounds %d, ranks %d, hosts %d: %s\ntiles by rank:", plate->n, rounds, muster_ranks(),
               muster_hosts(), same ? "the same bits as on one rank" : "WRONG");
        for (int rank = 0; rank < muster_ranks(); all += tiles[rank++])
            printf(" %lld", (long long)tiles[rank]);
        same = same && all == (int64_t)rounds * PLATE_TILES;
        printf(", %lld in all\n", (long long)all);
    }
    free(whole);
    free(alone);
    free(tiles);
    return same;
}

int main(int argc, char **argv)
{
    int level, ranks, dims[2] = {0, 0};
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
    int n = argc > 1 ? atoi(argv[1]) : 128, rounds = argc > 2 ? atoi(argv[2]) : 20;
    if (n < 16 || rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "jacobi: 16 points a side and more, 1 to %d rounds\n", ROUNDS_MAX);
        MPI_Abort(MPI_COMM_WORLD, 2);
    }
    MPI_Comm comm;
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    MPI_Dims_create(ranks, 2, dims);
    MPI_Cart_create(MPI_COMM_WORLD, 2, dims, (int[]){0, 0}, 0, &comm);

    struct shared shared;
    struct plate plate;
    must(muster_init_comm(comm, &(muster_options){.spmd = true}), "init");
    must(muster_comm_share(muster_rank() == 0 ? make(&shared, rounds) : MUSTER_OK, &shared, sizeof shared), "make");
    plate_make(&plate, comm, n);
    for (int round = 0; round < rounds; round++) {
        double sources[PLATE_TILES];
        long long changed = 0;
        heat_all(&shared, comm, round, sources);
        for (int step = 0; step < STEPS_A_ROUND; step++)
            changed = plate_step(&plate, sources);
        sum_up(&shared, comm, round, changed);
    }
    int same = compare(&plate, &shared, rounds), same_all;
    int code = muster_finalize();
    MPI_Allreduce(&same, &same_all, 1, MPI_INT, MPI_MIN, comm);
    plate_free(&plate);
    MPI_Comm_free(&comm);
    MPI_Finalize();
    return same_all ? code : 1;
}
