/* SPDX-License-Identifier: BSD-3-Clause */
/* The multi-spin coded kernel against a plain one that keeps an int a site and draws a number a site. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <Random123/philox.h>

#include "simulate/chain.h"
#include "simulate/kernel.h"

struct plain {
    int size;
    int *spin; /* size x size */
};

static int at(const struct plain *p, int row, int column)
{
    return p->spin[(row + p->size) % p->size * p->size + (column + p->size) % p->size];
}

static int neighbour_sum(const struct plain *p, int row, int column)
{
    return at(p, row - 1, column) + at(p, row + 1, column) + at(p, row, column - 1) + at(p, row, column + 1);
}

/* A site's 64-bit random number: digit d is its bit in plane d of its word. */
static uint64_t site_number(const struct chain_stream *stream, int size, int row, int column, uint64_t half_sweep)
{
    int b = size / 8, i = row % b, j = column % b, bit = 8 * (row / b) + column / b;
    uint64_t word = size == 8 ? 0 : (uint64_t)(i * (b / 2) + j / 2), number = 0;
    for (uint64_t block = 0; block < 16; block++) {
        philox4x64_ctr_t counter = {{word, half_sweep, stream->task, block}};
        philox4x64_key_t key = {{stream->seed, 0x6d75737465722d31}};
        philox4x64_ctr_t r = philox4x64(counter, key);
        for (int k = 0; k < 4; k++)
            number = number << 1 | (r.v[k] >> bit & 1);
    }
    return number;
}

static void plain_sweep(struct plain *p, const struct acceptance *a, const struct chain_stream *stream, uint64_t sweep)
{
    for (int colour = 0; colour < 2; colour++)
        for (int row = 0; row < p->size; row++)
            for (int column = (row + colour) % 2; column < p->size; column += 2) {
                int *s = &p->spin[row * p->size + column];
                int cost = *s * neighbour_sum(p, row, column); /* of half the energy: -4 .. 4 */
                uint64_t number = site_number(stream, p->size, row, column, 2 * sweep + (uint64_t)colour);
                if (cost <= 0 || number < (cost == 2 ? a->three : a->four))
                    *s = -*s;
            }
}

static struct lattice_totals plain_measure(const struct plain *p)
{
    struct lattice_totals t = {0, 0};
    for (int row = 0; row < p->size; row++)
        for (int column = 0; column < p->size; column++) {
            t.magnetization += at(p, row, column);
            t.energy -= at(p, row, column) * (at(p, row + 1, column) + at(p, row, column + 1));
        }
    return t;
}

static void assert_same(const lattice *l, const struct plain *p)
{
    for (int row = 0; row < p->size; row++)
        for (int column = 0; column < p->size; column++)
            if (lattice_spin(l, row, column) != at(p, row, column))
                fail_msg("L = %d: site (%d, %d) differs", p->size, row, column);
    struct lattice_totals a = lattice_measure(l), b = plain_measure(p);
    assert_int_equal(a.energy, b.energy);
    assert_int_equal(a.magnetization, b.magnetization);
}

static void compare(int size, double temperature, uint64_t sweeps)
{
    struct plain p = {size, malloc((size_t)size * (size_t)size * sizeof *p.spin)};
    lattice *l = lattice_create(size);
    assert_non_null(p.spin);
    assert_non_null(l);
    uint64_t noise = 88172645463325252u;
    for (int i = 0; i < size * size; i++) { /* any start but the ordered one */
        noise ^= noise << 13, noise ^= noise >> 7, noise ^= noise << 17;
        p.spin[i] = noise & 1 ? 1 : -1;
        lattice_set_spin(l, i / size, i % size, p.spin[i]);
    }
    assert_same(l, &p);
    struct acceptance a = acceptance_at(temperature);
    struct chain_stream stream = {12345, (uint64_t)size};
    for (uint64_t sweep = 0; sweep < sweeps; sweep++) {
        lattice_sweep(l, &a, &stream, sweep);
        plain_sweep(&p, &a, &stream, sweep);
        assert_same(l, &p);
    }
    lattice_destroy(l);
    free(p.spin);
}

static void test_same_as_plain_kernel(void **state)
{
    (void)state;
    static const double temperatures[] = {0.2, 1.0, 2.269, 5.0, 100.0};
    static const int sizes[] = {8, 16, 32, 48, 64, 80};
    for (size_t t = 0; t < sizeof temperatures / sizeof *temperatures; t++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            compare(sizes[s], temperatures[t], 4);
    compare(176, 2.3, 2); /* rows that do not fill a batch */
    compare(1024, 2.3, 1);
}

static void test_starts_ordered(void **state)
{
    (void)state;
    lattice *l = lattice_create(32);
    struct lattice_totals t = lattice_measure(l);
    assert_int_equal(t.energy, -2 * 32 * 32);
    assert_int_equal(t.magnetization, 32 * 32);
    lattice_destroy(l);
    lattice_destroy(NULL);
}

static void test_sizes(void **state)
{
    (void)state;
    static const long bad[] = {-16, 0, 1, 4, 7, 9, 12, 24, 40, 100, 1000, 1040, 2048, 1L << 40};
    static const long good[] = {8, 16, 32, 48, 64, 96, 128, 1024};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(lattice_size_allowed(bad[i]));
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(lattice_size_allowed(good[i]));
    assert_null(lattice_create(24));
}

static void test_probabilities(void **state)
{
    (void)state;
    for (double t = 0.2; t <= 100; t *= 1.1) {
        struct acceptance a = acceptance_at(t);
        /* exp(-4/T) in double, that is to a relative 1e-16, cut at 2^-64 */
        assert_true(fabsl(ldexpl((long double)a.three, -64) - expl(-4 / (long double)t)) < 1e-15L);
        assert_true(fabsl(ldexpl((long double)a.four, -64) - expl(-8 / (long double)t)) < 1e-15L);
    }
}

static void test_streams_differ(void **state)
{
    (void)state;
    uint64_t seen[4][4];
    const struct chain_stream streams[4] = {{1, 0}, {1, 1}, {2, 0}, {0, 1}};
    for (int i = 0; i < 4; i++) {
        chain_stream_planes(&streams[i], 0, 0, 0, seen[i]);
        for (int j = 0; j < i; j++)
            for (int k = 0; k < 4; k++)
                assert_true(seen[i][k] != seen[j][k]);
    }
}

/* Chains fed with the same numbers coalesce: replicas must not agree more than independent ones do. */
static void test_replicas_are_independent(void **state)
{
    (void)state;
    struct acceptance a = acceptance_at(3.0);
    lattice *x = lattice_create(64), *y = lattice_create(64);
    double overlap = 0;
    for (uint64_t sweep = 0; sweep < 400; sweep++) {
        lattice_sweep(x, &a, &(struct chain_stream){7, 0}, sweep);
        lattice_sweep(y, &a, &(struct chain_stream){7, 1}, sweep);
        if (sweep < 100 || sweep % 20)
            continue;
        for (int i = 0; i < 64 * 64; i++)
            overlap += lattice_spin(x, i / 64, i % 64) * lattice_spin(y, i / 64, i % 64);
    }
    overlap /= 15 * 64 * 64;
    assert_true(fabs(overlap) < 0.1); /* coalesced chains: 1 */
    lattice_destroy(x);
    lattice_destroy(y);
}

static int stops_asked;

static bool stop_at_third(void)
{
    return ++stops_asked == 3;
}

static void test_chain_bins_and_stop(void **state)
{
    (void)state;
    struct chain_task task = {.stream = {3, 4},
                              .accept = acceptance_at(2.5),
                              .thermalize_sweeps = 10,
                              .measurements = 128,
                              .sweeps_between = 3,
                              .size = 16,
                              .temperature = 2.5};
    struct chain_result *r = malloc(sizeof *r), *again = malloc(sizeof *again);
    assert_int_equal(chain_run(&task, r, NULL), CHAIN_DONE);
    assert_true(r->finished);
    assert_true(chain_updates(&task) == (10 + 128 * 3) * 256.0);
    /* the same by hand */
    lattice *l = lattice_create(16);
    for (uint64_t sweep = 0; sweep < 10 + 6; sweep++) {
        lattice_sweep(l, &task.accept, &task.stream, sweep);
        if (sweep == 12)
            again->bins[0].energy = lattice_measure(l).energy;
    }
    assert_int_equal(r->bins[0].energy, again->bins[0].energy + lattice_measure(l).energy);
    lattice_destroy(l);
    assert_int_equal(chain_run(&task, again, NULL), CHAIN_DONE);
    assert_memory_equal(r->bins, again->bins, sizeof r->bins);
    task.size = 1024;
    assert_int_equal(chain_run(&task, r, stop_at_third), CHAIN_STOPPED);
    assert_false(r->finished);
    task.size = 20;
    assert_int_equal(chain_run(&task, r, NULL), CHAIN_NOMEM);
    free(r);
    free(again);
}

/* The same bits on every machine and from every compiler: a chain's sums, kept from the first version. */
static void test_same_bits_for_ever(void **state)
{
    (void)state;
    struct chain_task task = {.stream = {1944, 17},
                              .accept = {UINT64_C(0x2be1f00d12345678), UINT64_C(0x0784abcdef012345)},
                              .thermalize_sweeps = 100,
                              .measurements = 64,
                              .sweeps_between = 1,
                              .size = 64,
                              .temperature = 2.27};
    struct chain_result r;
    assert_int_equal(chain_run(&task, &r, NULL), CHAIN_DONE);
    int64_t energy = 0;
    uint64_t magnetization = 0, energy2 = 0;
    for (int b = 0; b < CHAIN_BINS; b++) {
        energy += r.bins[b].energy;
        energy2 += r.bins[b].energy2;
        magnetization += r.bins[b].magnetization;
    }
    assert_int_equal(energy, -353684);
    assert_int_equal(energy2, 1956080016);
    assert_int_equal(magnetization, 83618);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_as_plain_kernel),
        cmocka_unit_test(test_starts_ordered),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_probabilities),
        cmocka_unit_test(test_streams_differ),
        cmocka_unit_test(test_replicas_are_independent),
        cmocka_unit_test(test_chain_bins_and_stop),
        cmocka_unit_test(test_same_bits_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
