/* SPDX-License-Identifier: BSD-3-Clause */
#include "remote/internal.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The hosts of the job, in the segment of each of them. */

static const int32_t *rank_hosts(const struct office *box)
{
    return muster__at(box->rank_hosts_offset);
}

static muster__ref make(size_t bytes)
{
    muster__ref ref = muster__heap_alloc(bytes, muster__self_number());
    if (!ref)
        return 0;
    memset(muster__heap_at(ref), 0, bytes);
    muster__heap_hand_over(ref, muster__self_number(), 0);
    return ref;
}

/* what hosts tell each other at start */
struct introduction {
    char name[64];
    int32_t ranks, free, cores;
    int64_t memory; /* bytes */
};

static int64_t memory_bytes(void)
{
    return (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
}

/* By rank 0's host: what the job has, and what may hurt it. */
static void report(const struct office *box, const struct introduction *all)
{
    int cores = 0, least = 0, most = 0;
    for (int i = 0; i < box->hosts; i++) {
        cores += all[i].cores;
        least = all[i].memory < all[least].memory ? i : least;
        most = all[i].memory > all[most].memory ? i : most;
    }
    muster__log(MUSTER__INFO, "%d rank%s on %d host%s with %d core%s", box->ranks, muster__s(box->ranks), box->hosts,
                muster__s(box->hosts), cores, muster__s(cores));
    if (all[least].memory < all[most].memory / 10 * 9)
        muster__log(
            MUSTER__WARN,
            "host %s has %lld MiB of memory, host %s %lld: the work is shared out by cores, so give each what the "
            "smaller one can hold, or leave that one out",
            all[least].name, (long long)(all[least].memory >> 20), all[most].name, (long long)(all[most].memory >> 20));
}

static bool introduce(struct office *box)
{
    struct introduction mine = {
        .ranks = muster__host_ranks(), .free = muster__seats_free(), .cores = muster_cores(), .memory = memory_bytes()};
    struct introduction *all = calloc((size_t)box->hosts, sizeof *all);
    if (!all)
        return false;
    strncpy(mine.name, muster__host_name(), sizeof mine.name - 1);
    muster__mail_introduce(&mine, sizeof mine, all);
    for (int i = 0; i < box->hosts; i++) {
        memcpy(box->host[i].name, all[i].name, sizeof all[i].name);
        box->host[i].ranks = all[i].ranks;
        atomic_store(&box->host[i].free, all[i].free);
    }
    if (muster__segment->host == 0)
        report(box, all);
    free(all);
    return true;
}

muster_err office_make(const struct muster__world *world)
{
    size_t hosts = (size_t)world->hosts, ranks = (size_t)world->ranks;
    muster__ref whole = make(sizeof(struct office) + hosts * sizeof(struct host));
    muster__ref list = make(ranks * sizeof(int32_t));
    if (!whole || !list)
        return muster__fail_logged(MUSTER_ERR_NOMEM, "the host segment is too small for a job of %d host%s",
                                   world->hosts, muster__s(world->hosts));
    struct office *box = muster__heap_at(whole);
    box->hosts = world->hosts;
    box->ranks = world->ranks;
    box->rank_hosts_offset = muster__offset(muster__heap_at(list));
    memcpy(muster__heap_at(list), world->rank_hosts, ranks * sizeof(int32_t));
    if (!introduce(box))
        return muster__fail_logged(MUSTER_ERR_NOMEM, "out of memory at start");
    muster__segment->roots[MUSTER__ROOT_REMOTE] = muster__offset(box);
    return MUSTER_OK;
}

struct office *office(void)
{
    uint64_t offset = muster__segment ? muster__segment->roots[MUSTER__ROOT_REMOTE] : 0;
    return offset ? muster__at(offset) : NULL;
}

void office_note_free(int host, int32_t free)
{
    atomic_store_explicit(&office()->host[host].free, free, memory_order_relaxed);
}

const char *muster__host_name_of(int host)
{
    const struct office *box = office();
    return box && host >= 0 && host < box->hosts ? box->host[host].name : muster__host_name();
}

int muster__host_ranks_of(int host)
{
    const struct office *box = office();
    return box ? box->host[host].ranks : muster__host_ranks();
}

int muster__host_of_rank(int rank)
{
    const struct office *box = office();
    return box ? rank_hosts(box)[rank] : 0;
}

muster_err muster__host_wanted(muster_on on, const char *operation, int *host)
{
    *host = (int)muster__segment->host;
    if (!on.rank_plus_1)
        return MUSTER_OK;
    int rank = on.rank_plus_1 - (on.rank_plus_1 > 0);
    if (rank < 0 || rank >= muster_ranks())
        return muster__fail(MUSTER_ERR_INVAL, "%s: rank is %d: 0 to %d are allowed", operation, rank,
                            muster_ranks() - 1);
    *host = muster__host_of_rank(rank);
    return MUSTER_OK;
}

bool muster__is_agent(void)
{
    const struct office *box = office();
    return box && muster__self_state.number && muster__self_state.number == atomic_load(&box->agent);
}

bool muster__gone_are_told(void)
{
    return !muster__is_agent() || !atomic_load(&office()->gone);
}

bool muster__host_lost(int host)
{
    const struct office *box = office();
    return box && (host < 0 || host >= box->hosts || atomic_load(&box->host[host].lost));
}

int muster__host_choose(void)
{
    struct office *box = office();
    int chosen = (int)muster__segment->host;
    int32_t most = muster__seats_free();
    if (!box || most > 0)
        return chosen;
    for (int host = 0; host < box->hosts; host++) {
        int32_t free = atomic_load_explicit(&box->host[host].free, memory_order_relaxed);
        if (host != (int)muster__segment->host && free > most) {
            most = free;
            chosen = host;
        }
    }
    if (chosen != (int)muster__segment->host)
        atomic_fetch_sub(&box->host[chosen].free, 1);
    return chosen;
}
