/* SPDX-License-Identifier: BSD-3-Clause */
#include "farm/kept.h"

#include <stdlib.h>
#include <string.h>

static char **copy_columns(char *const *columns, int n)
{
    size_t bytes = (size_t)(n + 1) * sizeof *columns;
    for (int i = 0; i < n; i++)
        bytes += strlen(columns[i]) + 1;
    char **copy = malloc(bytes);
    char *at = copy ? (char *)(copy + n + 1) : NULL;
    for (int i = 0; copy && i < n; i++) {
        copy[i] = at;
        at = stpcpy(at, columns[i]) + 1;
    }
    return copy;
}

int kept_add(struct kept *k, char *const *columns, int n)
{
    if (k->n == k->room) {
        int64_t room = k->room ? 2 * k->room : 16;
        char ***inputs = realloc(k->inputs, (size_t)room * sizeof *inputs);
        if (inputs)
            k->inputs = inputs;
        int *n_columns = realloc(k->n_columns, (size_t)room * sizeof *n_columns);
        if (n_columns)
            k->n_columns = n_columns;
        if (!inputs || !n_columns)
            return -1;
        k->room = room;
    }
    if (!(k->inputs[k->n] = copy_columns(columns, n)))
        return -1;
    k->n_columns[k->n++] = n;
    return 0;
}

void kept_free(struct kept *k)
{
    for (int64_t i = 0; i < k->n; i++)
        free(k->inputs[i]);
    free(k->inputs);
    free(k->n_columns);
}
