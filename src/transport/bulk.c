/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/internal.h"

#include <stdlib.h>

/*
 * Both sides go through the memory in chunks of the same size, in order, a few of them under way: messages of one
 * sender and tag are matched in order. MPI moves a chunk from memory to memory once the receiver has named its place;
 * what is sent before that waits at the sender, but for its first few KiB. So that these cannot pile up, few sends to a
 * host run at the same time.
 */

enum { CHUNK = 4 << 20, AT_ONCE = 2, SENDS_A_HOST = 4, FIRST_TAG = 2 };

struct bulk {
    struct bulk *next;
    int host, tag;
    bool sends, runs;
    char *bytes; /* NULL: what comes is dropped */
    char *dropped;
    size_t size, begun, ended;
    MPI_Request requests[AT_ONCE]; /* chunk k has k % AT_ONCE */
    void (*done)(void *arg);
    void *arg;
};

static struct bulk *bulks;

static size_t length_at(const struct bulk *bulk, size_t at)
{
    return bulk->size - at < CHUNK ? bulk->size - at : CHUNK;
}

static void begin_chunk(struct bulk *bulk)
{
    size_t length = length_at(bulk, bulk->begun);
    MPI_Request *request = &bulk->requests[bulk->begun / CHUNK % AT_ONCE];
    char *at = bulk->bytes ? bulk->bytes + bulk->begun : bulk->dropped;
    int code = bulk->sends ? MPI_Isend(at, (int)length, MPI_BYTE, bulk->host, bulk->tag, transport_agents(), request)
                           : MPI_Irecv(at, (int)length, MPI_BYTE, bulk->host, bulk->tag, transport_agents(), request);
    if (code != MPI_SUCCESS) {
        *request = MPI_REQUEST_NULL;
        transport_failed(bulk->sends ? "MPI_Isend" : "MPI_Irecv", code);
    }
    bulk->begun += length;
}

/* What is dropped goes through one place, so one chunk at a time. */
static void begin_chunks(struct bulk *bulk)
{
    size_t ahead = bulk->bytes ? (size_t)AT_ONCE * CHUNK : CHUNK;
    while (bulk->begun < bulk->size && bulk->begun - bulk->ended < ahead)
        begin_chunk(bulk);
}

static bool end_chunks(struct bulk *bulk)
{
    bool any = false;
    for (int done = 1; bulk->ended < bulk->begun; any = true) {
        MPI_Test(&bulk->requests[bulk->ended / CHUNK % AT_ONCE], &done, MPI_STATUS_IGNORE);
        if (!done)
            break;
        bulk->ended += length_at(bulk, bulk->ended);
    }
    return any;
}

static void add(int host, uint32_t channel, bool sends, char *bytes, size_t size, void (*done)(void *arg), void *arg)
{
    struct bulk *bulk = malloc(sizeof *bulk), **end = &bulks;
    MUSTER__CHECK_EQ(bulk != NULL, true);
    *bulk = (struct bulk){.host = host,
                          .tag = FIRST_TAG + (int)(channel % MUSTER__CHANNELS),
                          .sends = sends,
                          .runs = !sends,
                          .bytes = bytes,
                          .dropped = bytes ? NULL : malloc(size < CHUNK ? size : CHUNK),
                          .size = size,
                          .done = done,
                          .arg = arg};
    MUSTER__CHECK_EQ(bytes || bulk->dropped, true);
    while (*end)
        end = &(*end)->next;
    *end = bulk;
    if (bulk->runs)
        begin_chunks(bulk);
}

void muster__bulk_send(int host, uint32_t channel, const void *bytes, size_t size, void (*done)(void *arg), void *arg)
{
    add(host, channel, true, (char *)bytes, size, done, arg);
}

void muster__bulk_receive(int host, uint32_t channel, void *bytes, size_t size, void (*done)(void *arg), void *arg)
{
    add(host, channel, false, bytes, size, done, arg);
}

/* The oldest sends to a host. */
static bool may_run(const struct bulk *bulk)
{
    int before = 0;
    for (const struct bulk *other = bulks; other != bulk; other = other->next)
        before += other->sends && other->host == bulk->host;
    return before < SENDS_A_HOST;
}

/* What one host sends is over in the order in which it was announced. */
static bool is_first(const struct bulk *bulk)
{
    for (const struct bulk *other = bulks; other != bulk; other = other->next)
        if (!bulk->sends && !other->sends && other->host == bulk->host)
            return false;
    return true;
}

bool muster__bulk_poll(void)
{
    bool any = false;
    for (struct bulk **link = &bulks, *bulk; (bulk = *link);) {
        if (!bulk->runs && !(bulk->runs = may_run(bulk))) {
            link = &bulk->next;
            continue;
        }
        begin_chunks(bulk);
        any |= end_chunks(bulk);
        if (bulk->ended < bulk->size || !is_first(bulk)) {
            link = &bulk->next;
            continue;
        }
        *link = bulk->next; /* done may add others, at the end */
        bulk->done(bulk->arg);
        free(bulk->dropped);
        free(bulk);
    }
    return any;
}

bool muster__bulk_under_way(void)
{
    return bulks != NULL;
}

/* MPI may still come back to the memory, and so to the requests: both are left alone. */
void muster__bulk_forget(int host)
{
    for (struct bulk **link = &bulks, *bulk; (bulk = *link);)
        if (bulk->host == host)
            *link = bulk->next;
        else
            link = &bulk->next;
}
