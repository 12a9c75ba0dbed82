/* SPDX-License-Identifier: BSD-3-Clause */
#include "farm/change.h"

#include <string.h>

static const char *const changes[CHANGES] = {"", ".", "/", "//", "/."};

size_t change_parse(const char *text, enum change *change)
{
    for (int i = 0; i < CHANGES; i++) {
        size_t n = strlen(changes[i]);
        if (strncmp(text, changes[i], n) == 0 && text[n] == '}') {
            *change = (enum change)i;
            return n + 1;
        }
    }
    return 0;
}

static size_t without_extension(const char *arg, size_t n)
{
    for (size_t i = n; i > 0 && arg[i - 1] != '/'; i--)
        if (arg[i - 1] == '.')
            return i - 1;
    return n;
}

static size_t without_slashes(const char *arg, size_t n)
{
    while (n > 0 && arg[n - 1] == '/')
        n--;
    return n;
}

static void folder_of(const char **arg, size_t *n)
{
    size_t end = without_slashes(*arg, *n);
    while (end > 0 && (*arg)[end - 1] != '/')
        end--;
    size_t bare = without_slashes(*arg, end);
    if (bare == 0)
        *arg = **arg == '/' ? "/" : ".";
    *n = bare ? bare : 1;
}

void change_apply(enum change change, const char **arg, size_t *n)
{
    if (change == CHANGE_FOLDER) {
        folder_of(arg, n);
        return;
    }
    if (change == CHANGE_BASE || change == CHANGE_BASE_EXTENSION) {
        const char *slash = memrchr(*arg, '/', *n);
        const char *base = slash ? slash + 1 : *arg;
        *n -= (size_t)(base - *arg);
        *arg = base;
    }
    if (change == CHANGE_EXTENSION || change == CHANGE_BASE_EXTENSION)
        *n = without_extension(*arg, *n);
}
