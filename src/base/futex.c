/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/base.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S INT64_C(1000000000)

int64_t muster__now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

int64_t muster__deadline_ns(int64_t timeout_ms)
{
    if (timeout_ms == 0)
        return 0;
    if (timeout_ms < 0 || timeout_ms > (INT64_MAX - muster__now_ns()) / 1000000 - 1)
        return MUSTER__NEVER;
    return muster__now_ns() + timeout_ms * 1000000;
}

int64_t muster__left_ms(int64_t deadline_ns)
{
    if (deadline_ns == MUSTER__NEVER)
        return -1;
    int64_t left_ns = deadline_ns ? deadline_ns - muster__now_ns() : 0;
    return left_ns > 0 ? left_ns / 1000000 + (left_ns % 1000000 > 0) : 0;
}

enum muster__wake muster__futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
    struct timespec deadline = {.tv_sec = deadline_ns / NS_PER_S, .tv_nsec = deadline_ns % NS_PER_S};
    struct timespec *until = deadline_ns == MUSTER__NEVER ? NULL : &deadline;
    int saved = errno;
    long r = syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected, until, NULL, FUTEX_BITSET_MATCH_ANY);
    int why = r == 0 ? 0 : errno;
    errno = saved;
    switch (why) {
    case 0:
        return MUSTER__WOKEN;
    case ETIMEDOUT:
        return MUSTER__EXPIRED;
    case EINTR:
        return MUSTER__SIGNAL;
    default:
        return MUSTER__CHANGED;
    }
}

int muster__futex_wake(_Atomic uint32_t *word, int n)
{
    long r = syscall(SYS_futex, word, FUTEX_WAKE, n < 0 ? INT_MAX : n, NULL, NULL, 0);
    return r < 0 ? 0 : (int)r;
}
