/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct {
    char who[96];
    int level;
} setup = {.who = "-", .level = MUSTER__WARN};

void muster__log_setup(const char *host, int rank, int ranks, const char *role, int level)
{
    if (rank >= 0)
        snprintf(setup.who, sizeof setup.who, "%.40s %d/%d%s%.40s", host, rank, ranks, *role ? " " : "", role);
    else
        snprintf(setup.who, sizeof setup.who, "%.60s", host);
    setup.level = level;
}

bool muster__log_wants(enum muster__level level)
{
    return (int)level <= setup.level;
}

void muster__log(enum muster__level level, const char *format, ...)
{
    static const char *const names[] = {"", "error", "warn", "info", "debug"};
    if (!muster__log_wants(level))
        return;

    struct timespec now;
    struct tm local;
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &local);

    char line[1024];
    int used = snprintf(line, sizeof line, "%02d:%02d:%02d.%03ld %s %s ", local.tm_hour, local.tm_min, local.tm_sec,
                        now.tv_nsec / 1000000, setup.who, names[level]);
    va_list args;
    va_start(args, format);
    used += vsnprintf(line + used, sizeof line - (size_t)used - 1, format, args);
    va_end(args);
    if (used > (int)sizeof line - 2)
        used = (int)sizeof line - 2;
    line[used] = '\n';
    ssize_t written = write(STDERR_FILENO, line, (size_t)used + 1);
    (void)written; /* nowhere left to report to */
}

_Noreturn void muster__broken(int64_t a, int64_t b, const char *text, const char *file, int line)
{
    muster__log(MUSTER__ERROR, "broken invariant %s (%lld, %lld) at %s:%d", text, (long long)a, (long long)b, file,
                line);
    abort();
}

uint64_t muster__hash(const void *bytes, size_t size)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (const unsigned char *p = bytes; size--; p++)
        hash = (hash ^ *p) * UINT64_C(0x100000001b3);
    hash ^= hash >> 32;
    hash *= UINT64_C(0xd6e8feb86659fd93);
    return hash ^ hash >> 32;
}
