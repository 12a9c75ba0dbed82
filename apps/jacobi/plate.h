/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A square plate in blocks, one a rank of a communicator: what an MPI program of the usual kind is made of. Nothing
 * here knows muster.
 */
#ifndef JACOBI_PLATE_H
#define JACOBI_PLATE_H

#include <mpi.h>

enum { PLATE_TILES_A_SIDE = 4, PLATE_TILES = PLATE_TILES_A_SIDE * PLATE_TILES_A_SIDE };

struct plate {
    MPI_Comm comm; /* Cartesian, borrowed */
    int n;         /* points a side of the whole */
    int row, col;  /* of this block's first point */
    int rows, cols;
    int north, south, west, east; /* neighbours; MPI_PROC_NULL: the edge, which is cold */
    MPI_Datatype column;
    double *now, *next; /* (rows + 2) by (cols + 2) points, with what the neighbours have around */
};

/** Cold all over. Ends the job without memory. */
void plate_make(struct plate *plate, MPI_Comm comm, int n);
void plate_free(struct plate *plate);
/** One step, with a source in each tile of the whole. Returns how many points of this block it changed by more than
 * 1e-6. Collective over the communicator. */
long long plate_step(struct plate *plate, const double sources[PLATE_TILES]);
/** All n * n points, to rank 0 of the communicator. Collective. */
void plate_gather(const struct plate *plate, double *whole);

#endif
