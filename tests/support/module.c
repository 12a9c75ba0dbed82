/* SPDX-License-Identifier: BSD-3-Clause */
/* A module that suites open while they run. */
#include <stddef.h>

__attribute__((visibility("default"))) int module_answer(const void *arg, size_t size);

int module_answer(const void *arg, size_t size)
{
    (void)arg;
    return 42 + (int)size;
}
