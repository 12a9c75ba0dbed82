/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When to stop before the end: GNU parallel's --halt.
 */
#ifndef FARM_HALT_H
#define FARM_HALT_H

#include <stdbool.h>
#include <stdint.h>

enum halt_what { HALT_FAIL, HALT_SUCCESS, HALT_DONE };

/** All zero: never. */
struct halt {
    bool set, now; /**< now: what runs is ended, too */
    enum halt_what what;
    double limit; /**< so many, or so many percent */
    bool percent;
};

/** "never", "now,fail=1", "soon,success=3", "now,done=20%", or GNU parallel's old "0", "1", "2". Returns 0 or -1. */
int halt_parse(const char *text, struct halt *halt);

enum halt_now { HALT_GO_ON, HALT_SOON, HALT_NOW };

/** total: -1 while unknown: then percents are of what has ended, once that are three. */
enum halt_now halt_check(const struct halt *halt, int64_t failed, int64_t succeeded, int64_t total);

#endif
