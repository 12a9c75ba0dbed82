/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hosts without MPI: each is a process of this test with a segment and an agent of its own, mail and bulk go through
 * socket pairs. What arrives may be late, each packet by another time: letters of one sender stay in order, as those of
 * MPI do, while different senders, and bulk beside letters, overtake each other. A host can be cut off.
 */
#ifndef PROCESS_HOSTS_H
#define PROCESS_HOSTS_H

#include "shared_case.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <muster/lock.h>
#include <muster/queue.h>

#include "remote/remote.h"
#include "transport/transport.h"

enum { HOSTS = 3, PACKET = 32 << 10, SEGMENT_BYTES = 256 << 20 };

/* what all processes of a case share */
static struct hosts_shared {
    int64_t late_ns;                        /* up to so much */
    uint32_t stalls;                        /* one packet in so many is later than any deadline's grace; 0: none */
    _Atomic uint32_t cut[HOSTS];            /* nothing goes there or comes from there */
    _Atomic uint32_t at[HOSTS], met[HOSTS]; /* how often it came to hosts_meet; whether its agent is done */
    _Atomic uint32_t gone[HOSTS];           /* nobody waits for it */
    unsigned char introductions[HOSTS][256];
    muster_queue queue[4];
    muster_lock lock[4];
    _Atomic int64_t value[8];
} * hosts_shared;

static int hosts_self;
static int hosts_socket[HOSTS][HOSTS];
static const struct muster__hosts *hosts_hooks;
static uint32_t hosts_random;

/* ---- what the runtime would be ---- */

muster_err muster__runtime_require(const char *operation)
{
    (void)operation;
    return muster__self_number() ? MUSTER_OK : MUSTER_ERR_STATE;
}

const char *muster__host_name(void)
{
    static char name[16];
    snprintf(name, sizeof name, "host%d", hosts_self);
    return name;
}

int muster_hosts(void)
{
    return HOSTS;
}

int muster_ranks(void)
{
    return HOSTS;
}

int muster_cores(void)
{
    return 2;
}

int muster__host_ranks(void)
{
    return 1;
}

int muster__seats_free(void)
{
    return 1;
}

uint32_t muster__member_self(void)
{
    return 0;
}

_Noreturn void muster__host_end(void)
{
    abort();
}

void muster__thread_serves(void)
{
}

void muster__rounds_end(uint32_t ended, bool all)
{
    (void)ended;
    (void)all;
}

void muster__host_stop(void)
{
    muster__end_all_objects();
}

void muster__hosts_register(const struct muster__hosts *hooks)
{
    hosts_hooks = hooks;
}

static muster_err hosts_adopt(void)
{
    return muster__caller_enter(0, false);
}

/* ---- packets ---- */

enum { LETTER, BULK };

struct packet {
    struct packet *next;
    int64_t due_ns;
    size_t size;
    struct {
        uint32_t kind, channel;
    } head;
    unsigned char bytes[MUSTER__LETTER_MAX];
};

static struct line {
    struct packet *first, **end;
    int64_t due_ns;
} hosts_line[HOSTS][2]; /* that have come from there and wait for their time */

static uint32_t hosts_draw(void)
{
    hosts_random = hosts_random * 1103515245 + 12345;
    return (uint32_t)(hosts_random >> 8);
}

static int64_t late_by(void)
{
    enum { STALL_NS = 20000000 };
    int64_t late_ns = hosts_shared->late_ns ? hosts_draw() % hosts_shared->late_ns : 0;
    bool stalls = hosts_shared->stalls && hosts_draw() % hosts_shared->stalls == 0;
    return stalls ? late_ns + STALL_NS + hosts_draw() % STALL_NS : late_ns;
}

static void line_add(struct line *line, struct packet *packet)
{
    int64_t due = muster__now_ns() + late_by();
    line->due_ns = packet->due_ns = due > line->due_ns ? due : line->due_ns;
    packet->next = NULL;
    if (!line->first)
        line->end = &line->first;
    *line->end = packet;
    line->end = &packet->next;
}

static struct packet *line_take(struct line *line)
{
    struct packet *packet = line->first;
    if (!packet || packet->due_ns > muster__now_ns())
        return NULL;
    line->first = packet->next;
    return packet;
}

static bool is_cut(int host)
{
    return atomic_load(&hosts_shared->cut[host]) || atomic_load(&hosts_shared->cut[hosts_self]);
}

static bool packet_send(int host, uint32_t kind, uint32_t channel, const void *bytes, size_t size)
{
    struct packet *packet = malloc(sizeof *packet);
    packet->head.kind = kind;
    packet->head.channel = channel;
    packet->size = size;
    memcpy(packet->bytes, bytes, size);
    if (host == hosts_self) {
        line_add(&hosts_line[host][kind], packet);
        return true;
    }
    ssize_t sent = is_cut(host) ? 0
                                : send(hosts_socket[hosts_self][host], &packet->head, sizeof packet->head + size,
                                       MSG_DONTWAIT | MSG_NOSIGNAL);
    free(packet);
    return sent >= 0 || errno == EPIPE || errno == ECONNRESET;
}

static void packets_receive(void)
{
    for (int host = 0; host < HOSTS; host++)
        for (ssize_t size = 1; host != hosts_self && size > 0;) {
            struct packet *packet = malloc(sizeof *packet);
            size = recv(hosts_socket[hosts_self][host], &packet->head, sizeof packet->head + sizeof packet->bytes,
                        MSG_DONTWAIT);
            if (size <= 0 || is_cut(host)) {
                free(packet);
                continue;
            }
            packet->size = (size_t)size - sizeof packet->head;
            line_add(&hosts_line[host][packet->head.kind], packet);
        }
}

/* ---- mail ---- */

muster_err muster__mail_start(const struct muster__world *world)
{
    (void)world;
    return MUSTER_OK;
}

void muster__mail_stop(void)
{
}

static void hosts_meet(void)
{
    uint32_t mine = atomic_fetch_add(&hosts_shared->at[hosts_self], 1) + 1;
    for (int host = 0; host < HOSTS; host++)
        while (atomic_load(&hosts_shared->at[host]) < mine && !atomic_load(&hosts_shared->gone[host]))
            nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
}

void muster__mail_introduce(const void *mine, size_t size, void *all)
{
    memcpy(hosts_shared->introductions[hosts_self], mine, size);
    hosts_meet();
    for (int host = 0; host < HOSTS; host++)
        memcpy((char *)all + (size_t)host * size, hosts_shared->introductions[host], size);
}

bool muster__mail_send(int host, const void *bytes, size_t size)
{
    return packet_send(host, LETTER, 0, bytes, size);
}

int muster__mail_poll(void (*receive)(int host, const void *bytes, size_t size))
{
    int count = 0;
    packets_receive();
    for (int host = 0; host < HOSTS; host++)
        for (struct packet *packet; (packet = line_take(&hosts_line[host][LETTER])); count++) {
            receive(host, packet->bytes, packet->size);
            free(packet);
        }
    return count;
}

bool muster__mail_all_met(bool begin)
{
    bool all = true;
    if (begin)
        atomic_store(&hosts_shared->met[hosts_self], 1);
    for (int host = 0; host < HOSTS; host++)
        all &= atomic_load(&hosts_shared->met[host]) || atomic_load(&hosts_shared->gone[host]);
    return all;
}

_Noreturn void muster__transport_abort(int code)
{
    _exit(code ? code : 1);
}

/* ---- bulk ---- */

static struct bulk_fake {
    struct bulk_fake *next;
    int host;
    uint32_t channel;
    bool sends;
    char *bytes;
    size_t size, moved;
    void (*done)(void *arg);
    void *arg;
} * hosts_bulk;

static void bulk_add(struct bulk_fake bulk)
{
    struct bulk_fake *made = malloc(sizeof *made), **end = &hosts_bulk;
    *made = bulk;
    while (*end)
        end = &(*end)->next;
    *end = made;
}

void muster__bulk_send(int host, uint32_t channel, const void *bytes, size_t size, void (*done)(void *arg), void *arg)
{
    bulk_add((struct bulk_fake){NULL, host, channel, true, (char *)bytes, size, 0, done, arg});
}

void muster__bulk_receive(int host, uint32_t channel, void *bytes, size_t size, void (*done)(void *arg), void *arg)
{
    bulk_add((struct bulk_fake){NULL, host, channel, false, bytes, size, 0, done, arg});
}

static bool bulk_take(int host, const struct packet *packet)
{
    struct bulk_fake *bulk = hosts_bulk;
    while (bulk && (bulk->sends || bulk->host != host || bulk->channel != packet->head.channel))
        bulk = bulk->next;
    if (!bulk)
        return false;
    if (bulk->bytes)
        memcpy(bulk->bytes + bulk->moved, packet->bytes, packet->size);
    bulk->moved += packet->size;
    return true;
}

static bool bulk_is_first(const struct bulk_fake *bulk)
{
    for (const struct bulk_fake *other = hosts_bulk; other != bulk; other = other->next)
        if (!bulk->sends && !other->sends && other->host == bulk->host)
            return false;
    return true;
}

bool muster__bulk_poll(void)
{
    bool any = false;
    packets_receive();
    for (int host = 0; host < HOSTS; host++) /* what nobody waits for yet stays first in its line */
        for (struct line *line = &hosts_line[host][BULK]; line->first && line->first->due_ns <= muster__now_ns();) {
            if (!bulk_take(host, line->first))
                break;
            free(line_take(line));
            any = true;
        }
    for (struct bulk_fake **link = &hosts_bulk, *bulk; (bulk = *link);) {
        size_t left = bulk->size - bulk->moved, part = left < PACKET ? left : PACKET;
        if (bulk->sends && left && packet_send(bulk->host, BULK, bulk->channel, bulk->bytes + bulk->moved, part))
            bulk->moved += part;
        if (bulk->moved < bulk->size || !bulk_is_first(bulk)) {
            link = &bulk->next;
            continue;
        }
        *link = bulk->next;
        bulk->done(bulk->arg);
        free(bulk);
        any = true;
    }
    return any;
}

bool muster__bulk_under_way(void)
{
    return hosts_bulk != NULL;
}

void muster__bulk_forget(int host)
{
    for (struct bulk_fake **link = &hosts_bulk, *bulk; (bulk = *link);)
        if (bulk->host == host)
            *link = bulk->next;
        else
            link = &bulk->next;
}

/* ---- a case: each host runs its part ---- */

/* In a host's process: says what was wrong, and ends it. */
#define HOSTS_CHECK(what)                                                                                              \
    do {                                                                                                               \
        if (!(what)) {                                                                                                 \
            fprintf(stderr, "host%d: %s:%d: %s; %s\n", hosts_self, __FILE__, __LINE__, #what, muster_err_detail());    \
            _exit(9);                                                                                                  \
        }                                                                                                              \
    } while (0)

static int hosts_child(int host, void (*part)(int host))
{
    static int ranks[HOSTS];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct muster__world world = {
        .rank = host, .ranks = HOSTS, .locals = 1, .host = host, .hosts = HOSTS, .local_ranks = &ranks[host]};
    for (int i = 0; i < HOSTS; i++)
        ranks[i] = i;
    world.rank_hosts = ranks;
    hosts_self = host;
    hosts_random = (uint32_t)host + 1;
    void *memory = mmap(NULL, SEGMENT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED || muster__segment_format(memory, SEGMENT_BYTES, 77, (uint32_t)host, 1))
        return 2;
    muster__segment_attach(memory);
    muster__caller_adopt = hosts_adopt;
    atomic_store(&muster__segment->cores, 2);
    if (muster__caller_enter(0, false) || hosts_hooks->start(&world))
        return 3;
    hosts_meet();
    part(host);
    hosts_meet();
    hosts_hooks->leave(true);
    return 0;
}

/* lost: the host that is cut off by the case, whose process may end as it likes; -1: none */
static void hosts_run(void (*part)(int host), int64_t late_ns, int lost)
{
    pid_t children[HOSTS];
    hosts_shared = mmap(NULL, sizeof *hosts_shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(hosts_shared, MAP_FAILED);
    hosts_shared->late_ns = late_ns;
    for (int a = 0; a < HOSTS; a++)
        for (int b = 0; b < a; b++) {
            int pair[2];
            assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
            hosts_socket[a][b] = pair[0];
            hosts_socket[b][a] = pair[1];
        }
    for (int host = 0; host < HOSTS; host++)
        if ((children[host] = fork()) == 0)
            _exit(hosts_child(host, part));
    for (int a = 0; a < HOSTS; a++)
        for (int b = 0; b < HOSTS; b++)
            if (a != b)
                close(hosts_socket[a][b]);
    for (int ended = 0; ended < HOSTS; ended++) {
        int status;
        pid_t pid = wait(&status);
        assert_true(pid > 0);
        if (status == 0 || (lost >= 0 && pid == children[lost]))
            continue;
        for (int host = 0; host < HOSTS; host++) /* the others would wait for it */
            kill(children[host], SIGKILL);
        while (wait(NULL) > 0)
            ;
        fail_msg("a host ended with wait status %#x", (unsigned)status);
    }
    munmap(hosts_shared, sizeof *hosts_shared);
}

#endif
