/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/memory.h"

#include <stdio.h>
#include <string.h>

/* Whether a list with commas has the word. */
static bool lists(const char *list, size_t size, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list, *end = list + size; at < end;) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        size_t this = (size_t)((comma ? comma : end) - at);
        if (this == length && !memcmp(at, word, length))
            return true;
        at += this + 1;
    }
    return false;
}

/* The path of the cgroup that has the memory controller, in a hierarchy of version 1 or, if none there has, 2. */
static bool cgroup_path(const char *text, char *path, size_t size, bool *v1)
{
    bool found = false;
    for (const char *line = text; *line;) {
        const char *end = strchrnul(line, '\n'), *list = memchr(line, ':', (size_t)(end - line));
        const char *at = list ? memchr(list + 1, ':', (size_t)(end - list - 1)) : NULL;
        bool has = at && lists(list + 1, (size_t)(at - list - 1), "memory");
        if (at && (has || (!found && at == list + 1 && line[0] == '0'))) {
            snprintf(path, size, "%.*s", (int)(end - at - 1), at + 1);
            found = true;
            *v1 = has;
            if (has)
                return true;
        }
        line = *end ? end + 1 : end;
    }
    return found;
}

/* One line of mountinfo: id parent device root point options tags - type source options */
static bool is_mount_of(const char *line, bool v1, char *root, char *point)
{
    char type[32], options[256];
    const char *rest = strstr(line, " - ");
    return rest && sscanf(line, "%*s %*s %*s %511s %511s", root, point) == 2 &&
           sscanf(rest + 3, "%31s %*s %255s", type, options) == 2 &&
           (v1 ? !strcmp(type, "cgroup") && lists(options, strlen(options), "memory") : !strcmp(type, "cgroup2"));
}

/* Where a cgroup lies below a mount, which may show a part of the hierarchy alone, as in a container; NULL: not. */
static const char *below(const char *cgroup, const char *root)
{
    size_t length = strcmp(root, "/") ? strlen(root) : 0;
    if (strncmp(cgroup, root, length) || (cgroup[length] && cgroup[length] != '/'))
        return NULL;
    return strcmp(cgroup + length, "/") ? cgroup + length : "";
}

const char *memory_events_file(const char *cgroup, const char *mountinfo, char *path, size_t size)
{
    char own[512], line[1024], root[512], point[512];
    bool v1;
    if (!cgroup_path(cgroup, own, sizeof own, &v1))
        return NULL;
    for (const char *at = mountinfo; *at;) {
        const char *end = strchrnul(at, '\n');
        snprintf(line, sizeof line, "%.*s", (int)(end - at), at);
        const char *inside = is_mount_of(line, v1, root, point) ? below(own, root) : NULL;
        if (inside &&
            snprintf(path, size, "%s%s/%s", point, inside, v1 ? "memory.oom_control" : "memory.events") < (int)size)
            return "oom_kill ";
        at = *end ? end + 1 : end;
    }
    return NULL;
}
