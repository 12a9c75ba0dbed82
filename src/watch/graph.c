/* SPDX-License-Identifier: BSD-3-Clause */
#include "watch/watch.h"

#include <stdlib.h>

/* Depth first, without recursion: what is on the stack is the path. */

static int by_from(const void *left, const void *right)
{
    const struct graph_edge *a = left, *b = right;
    if (a->from != b->from)
        return a->from < b->from ? -1 : 1;
    return a->to < b->to ? -1 : a->to > b->to;
}

enum mark { NEW, ON_PATH, DONE };

struct search {
    struct graph_edge *edges;
    size_t count;
    size_t *next; /* of each node: the edge that is looked at next */
    unsigned char *mark;
    uint32_t *path, length;
};

static void step_on(struct search *search, uint32_t node)
{
    search->mark[node] = ON_PATH;
    search->path[search->length++] = node;
}

/* The circle is the end of the path from the node that the last edge leads back to. */
static int cut_circle(struct search *search, uint32_t back)
{
    uint32_t begin = 0;
    while (search->path[begin] != back)
        begin++;
    for (uint32_t i = begin; i < search->length; i++)
        search->path[i - begin] = search->path[i];
    return (int)(search->length - begin);
}

static int search_from(struct search *search, uint32_t start)
{
    step_on(search, start);
    while (search->length) {
        uint32_t node = search->path[search->length - 1];
        size_t at = search->next[node];
        if (at == search->count || search->edges[at].from != node) {
            search->mark[node] = DONE;
            search->length--;
            continue;
        }
        search->next[node]++;
        uint32_t to = search->edges[at].to;
        if (search->mark[to] == ON_PATH)
            return cut_circle(search, to);
        if (search->mark[to] == NEW)
            step_on(search, to);
    }
    return 0;
}

int graph_circle(uint32_t nodes, struct graph_edge *edges, size_t count, uint32_t *path)
{
    struct search search = {.edges = edges,
                            .count = count,
                            .next = malloc((nodes + 1) * sizeof *search.next),
                            .mark = calloc(nodes + 1, 1),
                            .path = path};
    int found = search.next && search.mark ? 0 : -1;
    qsort(edges, count, sizeof *edges, by_from);
    for (uint32_t node = 0; !found && node < nodes; node++)
        search.next[node] = count;
    for (size_t i = count; !found && i-- > 0;)
        search.next[edges[i].from] = i;
    for (size_t i = 0; !found && i < count; i++)
        if (search.mark[edges[i].from] == NEW)
            found = search_from(&search, edges[i].from);
    free(search.next);
    free(search.mark);
    return found;
}
