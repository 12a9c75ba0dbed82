/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench: ours beside a yardstick measured in the same run, and the ratio.
 *
 * The program has four faces. Run plainly it measures the machine (yardstick.c), starts itself under mpirun as
 * `--inner` with 2 and with 16 ranks and as `--empty-mpi` and `--empty-muster` for start-up and memory, and prints the
 * table. An inner run prints one line per figure: name, ours, yardstick (0: measured elsewhere). `--between` is run
 * under a launcher over two hosts and prints a table of its own.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

double bench_now_s(void);
/** Median of n values, which are sorted in place. */
double bench_median(double *values, int n);

/* ---- yardsticks outside of MPI; all in microseconds ---- */

struct yardsticks {
    double cache_line;      /* there and back */
    double futex;           /* there and back */
    double fork_reap;       /* fork, _exit, waitpid of a small process */
    double mutex;           /* process-shared pthread mutex, lock and unlock, free */
    double mutex_contended; /* the same, two processes at once, per operation and process */
    double python_process;  /* multiprocessing.Process start and join; 0: no python3 */
};
struct yardsticks yardsticks_measure(void);

/* ---- inner runs ---- */

/** Prints the line that the outer run reads. */
void inner_figure(const char *name, double ours, double yardstick);
/** Ends the run, saying what failed, unless err (a muster_err) is zero. */
void bench_must(int err, const char *what);
int inner_main(int argc, char **argv);
void inner_process(void);
void inner_pool(void);
void inner_queue(void);
void inner_ring(void);
void inner_lock(void);
void inner_contend(void);
void inner_sync(void);
void inner_idle(void);
void inner_forkjoin(void);

/* ---- between hosts ---- */

/** One rank on each of two hosts; prints its own table. */
int between_main(int argc, char **argv);

/* ---- start-up and memory ---- */

int empty_mpi_main(int argc, char **argv);
int empty_muster_main(int argc, char **argv);
/** Proportional set size of a process in KiB; 0 when it cannot be read. */
long bench_pss_kib(long pid);
/** This process and its children (a rank's nursery). */
long bench_family_pss_kib(void);

#endif
