/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SIMULATE_VERSION_H
#define SIMULATE_VERSION_H

#define SIMULATE_VERSION "0.1.0"

#endif
