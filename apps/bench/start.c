/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench.h"

#include <mpi.h>
#include <stdio.h>
#include <unistd.h>

#include <muster/muster.h>

long bench_pss_kib(long pid)
{
    char path[64], line[256];
    long kib = 0;
    snprintf(path, sizeof path, "/proc/%ld/smaps_rollup", pid);
    FILE *smaps = fopen(path, "r");
    while (smaps && fgets(line, sizeof line, smaps))
        if (sscanf(line, "Pss: %ld", &kib) == 1)
            break;
    if (smaps)
        fclose(smaps);
    return kib;
}

long bench_family_pss_kib(void)
{
    char path[64];
    long kib = bench_pss_kib(getpid()), child;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", getpid(), getpid());
    FILE *children = fopen(path, "r");
    while (children && fscanf(children, "%ld", &child) == 1)
        kib += bench_pss_kib(child);
    if (children)
        fclose(children);
    return kib;
}

int empty_mpi_main(int argc, char **argv)
{
    int rank;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank == 0)
        printf("pss %ld\n", bench_family_pss_kib());
    return MPI_Finalize();
}

int empty_muster_main(int argc, char **argv)
{
    if (muster_init(&argc, &argv, NULL) != MUSTER_OK)
        return 1;
    printf("pss %ld\n", bench_family_pss_kib());
    return muster_finalize();
}
