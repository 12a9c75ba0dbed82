/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * As much of cmocka as the unit tests use, for machines that the tests are cross-compiled for and whose packages are
 * not there: libc is enough. What fails ends the suite.
 */
#ifndef MUSTER_TESTS_CROSS_CMOCKA_H
#define MUSTER_TESTS_CROSS_CMOCKA_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct CMUnitTest {
    const char *name;
    void (*test)(void **state);
    int (*setup)(void **state);
    int (*teardown)(void **state);
};

#define fail_msg(...)                                                                                                  \
    do {                                                                                                               \
        fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                                                                \
        fprintf(stderr, __VA_ARGS__);                                                                                  \
        fputc('\n', stderr);                                                                                           \
        _exit(1);                                                                                                      \
    } while (0)

#define CROSS_COMPARE(a, how, b)                                                                                       \
    do {                                                                                                               \
        uintmax_t a_ = (uintmax_t)(a), b_ = (uintmax_t)(b);                                                            \
        if (!(a_ how b_))                                                                                              \
            fail_msg("%s is %#jx, not %s %#jx", #a, a_, #how, b_);                                                     \
    } while (0)
#define assert_int_equal(a, b)     CROSS_COMPARE(a, ==, b)
#define assert_int_not_equal(a, b) CROSS_COMPARE(a, !=, b)
#define assert_in_range(a, low, high)                                                                                  \
    do {                                                                                                               \
        CROSS_COMPARE(a, >=, low);                                                                                     \
        CROSS_COMPARE(a, <=, high);                                                                                    \
    } while (0)
#define assert_ptr_equal(a, b)     CROSS_COMPARE((uintptr_t)(a), ==, (uintptr_t)(b))
#define assert_ptr_not_equal(a, b) CROSS_COMPARE((uintptr_t)(a), !=, (uintptr_t)(b))
#define assert_true(a)                                                                                                 \
    do {                                                                                                               \
        if (!(a))                                                                                                      \
            fail_msg("%s is false", #a);                                                                               \
    } while (0)
#define assert_false(a)    assert_true(!(a))
#define assert_null(a)     assert_true((a) == NULL)
#define assert_non_null(a) assert_true((a) != NULL)
#define assert_string_equal(a, b)                                                                                      \
    do {                                                                                                               \
        if (strcmp((a), (b)) != 0)                                                                                     \
            fail_msg("%s is \"%s\", not \"%s\"", #a, (a), (b));                                                        \
    } while (0)
#define assert_memory_equal(a, b, size) assert_true(memcmp((a), (b), (size)) == 0)

#define cmocka_unit_test(f)                                                                                            \
    {                                                                                                                  \
#f, f, NULL, NULL                                                                                              \
    }
#define cmocka_unit_test_setup_teardown(f, up, down)                                                                   \
    {                                                                                                                  \
#f, f, up, down                                                                                                \
    }
#define cmocka_run_group_tests(tests, up, down) cross_run(tests, sizeof(tests) / sizeof *(tests), up, down)

static inline int cross_run(const struct CMUnitTest *tests, size_t n, int (*up)(void **state),
                            int (*down)(void **state))
{
    void *whole = NULL;
    if (up && up(&whole))
        return 1;
    for (size_t i = 0; i < n; i++) {
        void *state = whole;
        if (tests[i].setup && tests[i].setup(&state))
            return 1;
        tests[i].test(&state);
        if (tests[i].teardown && tests[i].teardown(&state))
            return 1;
        printf("%s\n", tests[i].name);
    }
    return down && down(&whole) ? 1 : 0;
}

#endif
