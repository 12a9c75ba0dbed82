/* SPDX-License-Identifier: BSD-3-Clause */
/* A file that takes nothing. Where there is none, as in some chroots, its case is skipped, saying so; but not where all
 * cases are to run (MUSTER_TEST_ALL). */
#ifndef MUSTER_TESTS_FULL_DISK_H
#define MUSTER_TESTS_FULL_DISK_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static inline FILE *full_disk(void)
{
    struct stat about;
    FILE *full = stat("/dev/full", &about) == 0 && S_ISCHR(about.st_mode) ? fopen("/dev/full", "w") : NULL;
    if (!full && !getenv("MUSTER_TEST_ALL")) {
        print_message("skipped: no /dev/full here\n");
        skip();
    }
    assert_non_null(full);
    return full;
}

#endif
