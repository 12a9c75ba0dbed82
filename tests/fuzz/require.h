/* SPDX-License-Identifier: BSD-3-Clause */
/* What a fuzz target asserts: it ends the program, by which libFuzzer knows the input. */
#ifndef MUSTER_TESTS_FUZZ_REQUIRE_H
#define MUSTER_TESTS_FUZZ_REQUIRE_H

#include <stdio.h>
#include <stdlib.h>

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "not so: %s\n", #condition);                                                               \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

#endif
