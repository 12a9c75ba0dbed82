/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The two-dimensional Ising model on an L x L torus: multi-spin coded checkerboard Metropolis, 64 sites a word.
 *
 * Energy H = -sum over bonds of s_i s_j (J = 1, k_B = 1, no field), s = +1 or -1.
 */
#ifndef SIMULATE_KERNEL_H
#define SIMULATE_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#define LATTICE_SIZE_MAX 1024
/** What lattice_size_allowed says, for messages. */
#define LATTICE_SIZES_TEXT "8, or a multiple of 16 from 16 to 1024"

typedef struct lattice lattice;

/** Names one chain's random numbers: chains with another seed or another task number share none. */
struct chain_stream {
    uint64_t seed;
    uint64_t task;
};

/**
 * Metropolis acceptance probabilities of the two moves that cost energy, in units of 2^-64: a site that agrees with
 * three neighbours flips with exp(-4/T), one that agrees with all four with exp(-8/T).
 */
struct acceptance {
    uint64_t three;
    uint64_t four;
};

/** One configuration's totals over all L * L sites. */
struct lattice_totals {
    int64_t energy;        /**< -2 L^2 .. 2 L^2 */
    int64_t magnetization; /**< -L^2 .. L^2 */
};

/** Acceptance at a temperature > 0.05 (units J / k_B), exact to the rounding of exp. */
struct acceptance acceptance_at(double temperature);

/** Whether lattice_create takes this linear size. */
bool lattice_size_allowed(long size);

/** An L x L lattice with all spins up. Gives memory (free with lattice_destroy); NULL: size not allowed, no memory. */
lattice *lattice_create(int size);
/** NULL is fine. */
void lattice_destroy(lattice *l);

/**
 * One Metropolis sweep: every site is tried once, first those with row + column even, then the others. The random
 * numbers are a pure function of (stream, sweep, site), so results depend on neither batching nor machine: site bit k
 * of word w compares the 64-bit number whose digits are bit k of philox4x64(word w, ...) with its threshold.
 */
void lattice_sweep(lattice *l, const struct acceptance *accept, const struct chain_stream *stream, uint64_t sweep);

/** Energy and magnetization of the present configuration. */
struct lattice_totals lattice_measure(const lattice *l);

/** Spin at (row, column), 0 <= both < L: +1 or -1. Slow; for tests. */
int lattice_spin(const lattice *l, int row, int column);

/** Sets the spin at (row, column) to +1 or -1. Slow; for tests. */
void lattice_set_spin(lattice *l, int row, int column, int spin);

/** Four consecutive 64-digit planes of a word's random numbers, digits 4 * block .. 4 * block + 3; for tests. */
void chain_stream_planes(const struct chain_stream *stream, uint64_t word, uint64_t half_sweep, uint64_t block,
                         uint64_t planes[4]);

#endif
