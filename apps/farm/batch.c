/* SPDX-License-Identifier: BSD-3-Clause */
#include "farm/batch.h"

#include <stdlib.h>
#include <string.h>

int batch_add(struct batch *b, const struct inputs_tuple *tuple, size_t cost)
{
    if (b->n == b->room) {
        int room = b->room ? 2 * b->room : 16;
        struct batch_tuple *tuples = realloc(b->tuples, (size_t)room * sizeof *tuples);
        if (!tuples)
            return -1;
        b->tuples = tuples;
        b->room = room;
    }
    for (int i = 0; i < tuple->n; i++)
        text_put(&b->bytes, tuple->args[i], strlen(tuple->args[i]) + 1);
    int before = b->n > 0 ? b->tuples[b->n - 1].args : 0;
    b->tuples[b->n++] = (struct batch_tuple){before + tuple->n, b->bytes.n, cost, tuple->number, tuple->source};
    return b->bytes.failed ? -1 : 0;
}

int batch_args(struct batch *b)
{
    int n = b->n > 0 ? b->tuples[b->n - 1].args : 0;
    if (n + 1 > b->args_room) {
        char **args = realloc(b->args, 2 * (size_t)(n + 1) * sizeof *args);
        if (!args)
            return -1;
        b->args = args;
        b->args_room = 2 * (n + 1);
    }
    char *at = b->bytes.bytes;
    for (int i = 0; i < n; i++, at += strlen(at) + 1)
        b->args[i] = at;
    b->args[n] = NULL;
    return n;
}

void batch_drop(struct batch *b, int n)
{
    if (n == 0)
        return;
    int args = b->tuples[n - 1].args;
    size_t bytes = b->tuples[n - 1].bytes;
    b->n -= n;
    memmove(b->tuples, b->tuples + n, (size_t)b->n * sizeof *b->tuples);
    memmove(b->bytes.bytes, b->bytes.bytes + bytes, b->bytes.n - bytes);
    b->bytes.n -= bytes;
    for (int i = 0; i < b->n; i++) {
        b->tuples[i].args -= args;
        b->tuples[i].bytes -= bytes;
    }
}

void batch_free(struct batch *b)
{
    text_free(&b->bytes);
    free(b->tuples);
    free(b->args);
}
