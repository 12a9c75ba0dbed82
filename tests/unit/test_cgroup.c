/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runtime/memory.h"

/* Where the kernel counts those it has killed for want of memory, from what /proc says of a process. */

static const char mounts_1[] = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
                               "33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct\n"
                               "35 31 0:32 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n"
                               "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
static const char mounts_2[] = "29 22 0:26 / /proc rw,nosuid shared:12 - proc proc rw\n"
                               "30 22 0:27 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
/* what a container without a namespace for cgroups sees */
static const char mounts_part[] = "900 22 0:27 /docker/abc /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n";

static const struct {
    const char *cgroup, *mounts, *path;
} given[] = {
    {"9:name=systemd:/\n4:memory:/job/7\n1:cpu:/memory\n0::/\n", mounts_1,
     "/sys/fs/cgroup/memory/job/7/memory.oom_control"},
    {"3:cpu,memory:/a\n0::/b\n", "35 31 0:32 / /cg rw - cgroup cgroup rw,cpu,memory\n", "/cg/a/memory.oom_control"},
    {"4:memory:/\n", mounts_1, "/sys/fs/cgroup/memory/memory.oom_control"},
    {"0::/user.slice/job:1.scope\n", mounts_2, "/sys/fs/cgroup/user.slice/job:1.scope/memory.events"},
    {"0::/", mounts_2, "/sys/fs/cgroup/memory.events"},
    {"0::/docker/abc/x\n", mounts_part, "/sys/fs/cgroup/x/memory.events"},
    {"0::/docker/abc\n", mounts_part, "/sys/fs/cgroup/memory.events"},
    /* another one of the like name; not mounted; a controller of the like name; nothing */
    {"0::/docker/abcd\n", mounts_part, NULL},
    {"4:memory:/a\n", mounts_2, NULL},
    {"4:memory2,xmemory:/a\n", mounts_1, NULL},
    {"", mounts_2, NULL},
    {"0::/", "", NULL},
    {"garbage\n:::\n0:", "garbage - \n - cgroup2\n", NULL},
};

static void test_file(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof given / sizeof *given; i++) {
        char path[256] = "untouched";
        const char *word = memory_events_file(given[i].cgroup, given[i].mounts, path, sizeof path);
        if (!given[i].path) {
            assert_null(word);
            continue;
        }
        assert_string_equal(word, "oom_kill ");
        assert_string_equal(path, given[i].path);
    }
}

static void test_no_room(void **state)
{
    char path[16];
    (void)state;
    assert_null(memory_events_file("0::/user.slice\n", mounts_2, path, sizeof path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_file), cmocka_unit_test(test_no_room)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
