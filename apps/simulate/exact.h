/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Exact values of the two-dimensional Ising model, J = k_B = 1, per site. Temperatures > 0.
 */
#ifndef SIMULATE_EXACT_H
#define SIMULATE_EXACT_H

/** 2 / ln(1 + sqrt 2), where the infinite lattice orders. */
#define EXACT_CRITICAL_TEMPERATURE 2.269185314213022

/** Energy of the infinite lattice. L. Onsager, Phys. Rev. 65, 117 (1944). */
double exact_onsager_energy(double temperature);

/** Specific heat of the infinite lattice, infinite at the critical temperature. Same source. */
double exact_onsager_heat(double temperature);

/** Spontaneous magnetization of the infinite lattice, 0 from the critical temperature on. C. N. Yang, Phys. Rev. 85,
 * 808 (1952). */
double exact_yang_magnetization(double temperature);

/**
 * Energy of the size x size torus, size >= 2, to about 1e-12. B. Kaufman, Phys. Rev. 76, 1232 (1949), in the form of
 * A. E. Ferdinand, M. E. Fisher, Phys. Rev. 185, 832 (1969).
 */
double exact_kaufman_energy(int size, double temperature);

/** Specific heat of the size x size torus, to about 1e-7: the derivative of exact_kaufman_energy. */
double exact_kaufman_heat(int size, double temperature);

/**
 * Decay rate per site of what tells a finite torus below the critical temperature from the infinite lattice, the
 * interface tension / T = 2/T + ln tanh(1/T); negative above. A domain wall around the torus costs exp(-L * it).
 */
double exact_wall_cost(double temperature);

#endif
