/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/internal.h"

#include <stdlib.h>
#include <string.h>

/*
 * Receives are posted in advance from any host, so that what is sent never waits for a receiver that is busy. MPI
 * matches the letters of one sender in order, but tells of their completion in any: each bears its number, and one that
 * comes too early is kept until its turn.
 */

enum { RECEIVES = 8, SENDS_A_HOST = 4, TAG = 1 };

/* A call that finds nothing complete moves messages, but only the next one tells of it. */
enum { LOOKS = 2 };

struct letter {
    uint64_t number; /* of those from this sender */
    unsigned char bytes[MUSTER__LETTER_MAX];
};

struct early {
    struct early *next;
    int host;
    size_t size;
    struct letter letter;
};

struct sending {
    MPI_Request request;
    struct letter letter;
};

static struct {
    MPI_Comm agents;
    int hosts;
    MPI_Request receives[RECEIVES];
    struct letter *received; /* [RECEIVES] */
    struct {
        uint64_t sent, taken;                    /* letters so far */
        struct sending *under_way[SENDS_A_HOST]; /* made on first use */
    } * peers;
    struct early *early;
    MPI_Request meeting;
} mail = {.agents = MPI_COMM_NULL, .meeting = MPI_REQUEST_NULL};

MPI_Comm transport_agents(void)
{
    return mail.agents;
}

static int post(int i)
{
    return MPI_Irecv(&mail.received[i], sizeof mail.received[i], MPI_BYTE, MPI_ANY_SOURCE, TAG, mail.agents,
                     &mail.receives[i]);
}

/* Agents will soon write to the first host's and that to them, all at the same time: when both sides of a TCP
 * connection begin it at once, Open MPI 4 may lose it. So these are made before, one after the other. */
static void connect_to_hub(int host)
{
    char byte = 0;
    for (int other = 1; other < mail.hosts; other++) {
        if (host == other) {
            MPI_Send(&byte, 1, MPI_BYTE, 0, TAG, mail.agents);
            MPI_Recv(&byte, 1, MPI_BYTE, 0, TAG, mail.agents, MPI_STATUS_IGNORE);
        } else if (host == 0) {
            MPI_Recv(&byte, 1, MPI_BYTE, other, TAG, mail.agents, MPI_STATUS_IGNORE);
            MPI_Send(&byte, 1, MPI_BYTE, other, TAG, mail.agents);
        }
    }
}

muster_err muster__mail_start(const struct muster__world *world)
{
    if (world->hosts == 1)
        return MUSTER_OK;
    int code = MPI_Comm_split(transport_job(), world->local == 0 ? 0 : MPI_UNDEFINED, world->rank, &mail.agents);
    if (code != MPI_SUCCESS)
        return transport_failed("MPI_Comm_split", code);
    if (mail.agents == MPI_COMM_NULL)
        return MUSTER_OK;
    MPI_Comm_set_errhandler(mail.agents, MPI_ERRORS_RETURN);
    mail.hosts = world->hosts;
    mail.received = malloc(RECEIVES * sizeof *mail.received);
    mail.peers = calloc((size_t)mail.hosts, sizeof *mail.peers);
    if (!mail.received || !mail.peers)
        return muster__fail_logged(MUSTER_ERR_NOMEM, "out of memory at start");
    connect_to_hub(world->host);
    for (int i = 0; i < RECEIVES; i++)
        if ((code = post(i)) != MPI_SUCCESS)
            return transport_failed("MPI_Irecv", code);
    return MUSTER_OK;
}

void muster__mail_introduce(const void *mine, size_t size, void *all)
{
    MPI_Allgather(mine, (int)size, MPI_BYTE, all, (int)size, MPI_BYTE, mail.agents);
}

/* ---- sending ---- */

static struct sending *free_sending(int host)
{
    for (int i = 0; i < SENDS_A_HOST; i++) {
        struct sending **slot = &mail.peers[host].under_way[i];
        if (!*slot) {
            *slot = malloc(sizeof **slot);
            if (*slot)
                (*slot)->request = MPI_REQUEST_NULL;
            return *slot;
        }
        int done = 1;
        if ((*slot)->request != MPI_REQUEST_NULL)
            MPI_Test(&(*slot)->request, &done, MPI_STATUS_IGNORE);
        if (done)
            return *slot;
    }
    return NULL;
}

bool muster__mail_send(int host, const void *bytes, size_t size)
{
    struct sending *sending = free_sending(host);
    if (!sending)
        return false;
    sending->letter.number = mail.peers[host].sent++;
    memcpy(sending->letter.bytes, bytes, size);
    int code = MPI_Isend(&sending->letter, (int)(offsetof(struct letter, bytes) + size), MPI_BYTE, host, TAG,
                         mail.agents, &sending->request);
    if (code != MPI_SUCCESS) {
        sending->request = MPI_REQUEST_NULL;
        transport_failed("MPI_Isend", code);
    }
    return true;
}

/* ---- receiving ---- */

static void keep_early(int host, size_t size, const struct letter *letter)
{
    struct early *early = malloc(sizeof *early);
    MUSTER__CHECK_EQ(early != NULL, true);
    early->next = mail.early;
    early->host = host;
    early->size = size;
    memcpy(&early->letter, letter, offsetof(struct letter, bytes) + size);
    mail.early = early;
}

/* Those kept whose turn it is now. */
static int deliver_early(int host, void (*receive)(int host, const void *bytes, size_t size))
{
    int count = 0;
    for (struct early **link = &mail.early; *link;) {
        struct early *early = *link;
        if (early->host != host || early->letter.number != mail.peers[host].taken) {
            link = &early->next;
            continue;
        }
        *link = early->next;
        mail.peers[host].taken++;
        receive(host, early->letter.bytes, early->size);
        free(early);
        count++;
        link = &mail.early;
    }
    return count;
}

static int deliver(int host, int bytes, const struct letter *letter,
                   void (*receive)(int host, const void *bytes, size_t size))
{
    size_t size = (size_t)bytes - offsetof(struct letter, bytes);
    if (letter->number != mail.peers[host].taken) {
        keep_early(host, size, letter);
        return 0;
    }
    mail.peers[host].taken++;
    receive(host, letter->bytes, size);
    return 1 + (mail.early ? deliver_early(host, receive) : 0);
}

int muster__mail_poll(void (*receive)(int host, const void *bytes, size_t size))
{
    int done, which[RECEIVES], count = 0;
    MPI_Status statuses[RECEIVES];
    int looks = LOOKS;
    do {
        if (MPI_Testsome(RECEIVES, mail.receives, &done, which, statuses) != MPI_SUCCESS || done == MPI_UNDEFINED)
            return 0;
    } while (!done && --looks);
    for (int i = 0; i < done; i++) {
        int bytes;
        MPI_Get_count(&statuses[i], MPI_BYTE, &bytes);
        count += deliver(statuses[i].MPI_SOURCE, bytes, &mail.received[which[i]], receive);
        int code = post(which[i]);
        if (code != MPI_SUCCESS)
            transport_failed("MPI_Irecv", code);
    }
    return count;
}

/* ---- the end ---- */

bool muster__mail_all_met(bool begin)
{
    int met = 0;
    if (begin)
        MPI_Ibarrier(mail.agents, &mail.meeting);
    MPI_Test(&mail.meeting, &met, MPI_STATUS_IGNORE);
    return met;
}

static void drop(MPI_Request *request)
{
    if (*request == MPI_REQUEST_NULL)
        return;
    MPI_Cancel(request);
    MPI_Wait(request, MPI_STATUS_IGNORE);
}

void muster__mail_stop(void)
{
    if (mail.agents == MPI_COMM_NULL)
        return;
    for (int i = 0; i < RECEIVES; i++)
        drop(&mail.receives[i]);
    for (int host = 0; host < mail.hosts; host++)
        for (int i = 0; i < SENDS_A_HOST; i++) {
            if (mail.peers[host].under_way[i])
                MPI_Wait(&mail.peers[host].under_way[i]->request, MPI_STATUS_IGNORE);
            free(mail.peers[host].under_way[i]);
        }
    for (struct early *early = mail.early, *next; early; early = next) {
        next = early->next;
        free(early);
    }
    mail.early = NULL;
    free(mail.received);
    free(mail.peers);
    MPI_Comm_free(&mail.agents);
}
