/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cmocka suites under mpirun, in muster's model: rank 0 runs the cases, the other ranks serve inside muster_init. A
 * case asserts on rank 0 alone; what tasks and processes find out comes back as results.
 */
#ifndef MUSTER_TESTS_MPI_CASE_H
#define MUSTER_TESTS_MPI_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/**
 * Starts muster, runs the n cases and ends muster; returns main's exit code: 0 if at least one case ran and all went
 * well. Each rank has a watchdog: after MUSTER_CASE_LIMIT_S seconds (120) it prints its main thread's backtrace on
 * stderr and aborts. With MUSTER_CASE=pattern (* and ?) in the environment only the cases of such names run.
 */
int mpi_case_main(int *argc, char ***argv, const struct CMUnitTest *tests, size_t n, const char *suite);

#endif
