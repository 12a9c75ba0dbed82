/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cases that are run twice: with workers in the ranks, and with isolated ones; which is the case's state.
 */
#ifndef MUSTER_TESTS_POOL_CASE_H
#define MUSTER_TESTS_POOL_CASE_H

#include "support/mpi_case.h"

#include <muster/muster.h>

static const bool in_rank = false, isolated = true;

#define BOTH(f) cmocka_unit_test_prestate(f, (void *)&in_rank), cmocka_unit_test_prestate(f, (void *)&isolated)

static inline muster_pool pool_make(void **state, muster_pool_options options)
{
    options.isolated = *(const bool *)*state;
    muster_pool pool;
    assert_int_equal(muster_pool_create(&pool, &options), MUSTER_OK);
    return pool;
}

static inline void pool_end(muster_pool pool)
{
    assert_int_equal(muster_pool_destroy(pool), MUSTER_OK);
}

#endif
