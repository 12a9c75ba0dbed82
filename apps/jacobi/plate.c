/* SPDX-License-Identifier: BSD-3-Clause */
#include "plate.h"

#include <math.h>
#include <stdlib.h>

static void share_out(int n, int parts, int part, int *first, int *count)
{
    *first = (int)((long long)n * part / parts);
    *count = (int)((long long)n * (part + 1) / parts) - *first;
}

static double *points(const struct plate *plate)
{
    double *made = calloc((size_t)(plate->rows + 2) * (size_t)(plate->cols + 2), sizeof *made);
    if (!made)
        MPI_Abort(MPI_COMM_WORLD, 1);
    return made;
}

void plate_make(struct plate *plate, MPI_Comm comm, int n)
{
    int dims[2], periods[2], at[2];
    *plate = (struct plate){.comm = comm, .n = n};
    MPI_Cart_get(comm, 2, dims, periods, at);
    share_out(n, dims[0], at[0], &plate->row, &plate->rows);
    share_out(n, dims[1], at[1], &plate->col, &plate->cols);
    MPI_Cart_shift(comm, 0, 1, &plate->north, &plate->south);
    MPI_Cart_shift(comm, 1, 1, &plate->west, &plate->east);
    MPI_Type_vector(plate->rows, 1, plate->cols + 2, MPI_DOUBLE, &plate->column);
    MPI_Type_commit(&plate->column);
    plate->now = points(plate);
    plate->next = points(plate);
}

void plate_free(struct plate *plate)
{
    MPI_Type_free(&plate->column);
    free(plate->now);
    free(plate->next);
}

static double *at(const struct plate *plate, double *of, int row, int col)
{
    return &of[(size_t)row * (size_t)(plate->cols + 2) + (size_t)col];
}

static void exchange(struct plate *p)
{
    enum { UP, DOWN, LEFT, RIGHT };
    MPI_Sendrecv(at(p, p->now, 1, 1), p->cols, MPI_DOUBLE, p->north, UP, at(p, p->now, p->rows + 1, 1), p->cols,
                 MPI_DOUBLE, p->south, UP, p->comm, MPI_STATUS_IGNORE);
    MPI_Sendrecv(at(p, p->now, p->rows, 1), p->cols, MPI_DOUBLE, p->south, DOWN, at(p, p->now, 0, 1), p->cols,
                 MPI_DOUBLE, p->north, DOWN, p->comm, MPI_STATUS_IGNORE);
    MPI_Sendrecv(at(p, p->now, 1, 1), 1, p->column, p->west, LEFT, at(p, p->now, 1, p->cols + 1), 1, p->column, p->east,
                 LEFT, p->comm, MPI_STATUS_IGNORE);
    MPI_Sendrecv(at(p, p->now, 1, p->cols), 1, p->column, p->east, RIGHT, at(p, p->now, 1, 0), 1, p->column, p->west,
                 RIGHT, p->comm, MPI_STATUS_IGNORE);
}

long long plate_step(struct plate *p, const double sources[PLATE_TILES])
{
    long long changed = 0;
    exchange(p);
    for (int row = 1; row <= p->rows; row++)
        for (int col = 1; col <= p->cols; col++) {
            int tile = (p->row + row - 1) * PLATE_TILES_A_SIDE / p->n * PLATE_TILES_A_SIDE +
                       (p->col + col - 1) * PLATE_TILES_A_SIDE / p->n;
            double sum = *at(p, p->now, row - 1, col) + *at(p, p->now, row + 1, col) + *at(p, p->now, row, col - 1) +
                         *at(p, p->now, row, col + 1);
            double next = 0.25 * (sum + sources[tile]);
            changed += fabs(next - *at(p, p->now, row, col)) > 1e-6;
            *at(p, p->next, row, col) = next;
        }
    double *before = p->now;
    p->now = p->next;
    p->next = before;
    return changed;
}

/* Each rank sends where its block is, and the block without its rim. */
void plate_gather(const struct plate *plate, double *whole)
{
    enum { WHERE, BLOCK };
    int rank, ranks, where[4] = {plate->row, plate->col, plate->rows, plate->cols};
    MPI_Comm_rank(plate->comm, &rank);
    MPI_Comm_size(plate->comm, &ranks);
    MPI_Request requests[2];
    MPI_Datatype block;
    MPI_Type_vector(plate->rows, plate->cols, plate->cols + 2, MPI_DOUBLE, &block);
    MPI_Type_commit(&block);
    MPI_Isend(where, 4, MPI_INT, 0, WHERE, plate->comm, &requests[0]);
    MPI_Isend(at(plate, plate->now, 1, 1), 1, block, 0, BLOCK, plate->comm, &requests[1]);
    for (int from = 0; rank == 0 && from < ranks; from++) {
        int there[4];
        MPI_Datatype place;
        MPI_Recv(there, 4, MPI_INT, from, WHERE, plate->comm, MPI_STATUS_IGNORE);
        MPI_Type_vector(there[2], there[3], plate->n, MPI_DOUBLE, &place);
        MPI_Type_commit(&place);
        MPI_Recv(&whole[(size_t)there[0] * (size_t)plate->n + (size_t)there[1]], 1, place, from, BLOCK, plate->comm,
                 MPI_STATUS_IGNORE);
        MPI_Type_free(&place);
    }
    MPI_Wait(&requests[0], MPI_STATUS_IGNORE);
    MPI_Wait(&requests[1], MPI_STATUS_IGNORE);
    MPI_Type_free(&block);
}
