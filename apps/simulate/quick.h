/* SPDX-License-Identifier: BSD-3-Clause */
/* The quick experiment's text, experiments/quick.ini, made part of the program by the build. */
#ifndef SIMULATE_QUICK_H
#define SIMULATE_QUICK_H

extern const char quick_experiment[];

#endif
