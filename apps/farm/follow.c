/* SPDX-License-Identifier: BSD-3-Clause */
#include "farm/follow.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

/* How many commands of a name have not ended yet, and whether one has failed. */
struct named {
    char *name;
    int open;
    bool failed;
};

struct follow {
    void *tree;
};

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

static struct named *find(struct follow *follow, const char *name)
{
    struct named key = {.name = (char *)name};
    struct named **found = follow ? tfind(&key, &follow->tree, compare) : NULL;
    return found ? *found : NULL;
}

bool follow_declare(struct follow **follow, const char *name)
{
    struct named *named = find(*follow, name);
    if (!*follow && !(*follow = calloc(1, sizeof **follow)))
        return false;
    if (!named) {
        named = calloc(1, sizeof *named);
        if (!named || !(named->name = strdup(name)) || !tsearch(named, &(*follow)->tree, compare))
            return false;
    }
    named->open++;
    return true;
}

void follow_ended(struct follow *follow, const char *name, bool well)
{
    struct named *named = find(follow, name);
    if (!named)
        return;
    named->open--;
    named->failed |= !well;
}

enum follow_may follow_check(struct follow *follow, const char *names, const char **unknown)
{
    enum follow_may may = FOLLOW_NOW;
    for (names += strspn(names, " \t"); *names; names += strspn(names, " \t")) {
        size_t n = strcspn(names, " \t");
        char *name = strndup(names, n);
        struct named *named = name ? find(follow, name) : NULL;
        free(name);
        if (!named) {
            *unknown = names;
            return FOLLOW_UNKNOWN;
        }
        if (named->failed)
            may = FOLLOW_NEVER;
        else if (named->open > 0 && may == FOLLOW_NOW)
            may = FOLLOW_LATER;
        names += n;
    }
    return may;
}

static void free_named(void *named)
{
    free(((struct named *)named)->name);
    free(named);
}

void follow_free(struct follow *follow)
{
    if (follow)
        tdestroy(follow->tree, free_named);
    free(follow);
}
