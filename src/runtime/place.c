/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

/* Who sits where. Local rank 0 alone asks hwloc; seats and their loads are in the segment. */

static struct muster__topology *topology_copy(void)
{
    return muster__at(muster__me.tables->topology_offset);
}

/* Beside ranks of which nothing is known, perhaps another muster's, nobody takes a core for himself unasked. */
static muster_placement placement_of(const muster_options *options)
{
    bool chosen = options->placement != MUSTER_PLACE_DEFAULT;
    muster_placement placement = chosen ? options->placement : (muster_placement)muster__setting(MUSTER__SET_PLACEMENT);
    return placement == MUSTER_PLACE_DEFAULT && muster__me.world.part ? MUSTER_PLACE_NONE : placement;
}

/* The launcher has given each rank cores of its own. */
static bool bound_already(const struct muster__cpuset *cpusets, int locals)
{
    struct muster__cpuset seen = {0};
    for (int i = 0; i < locals; i++) {
        struct muster__cpuset both = seen;
        if (muster__cpuset_meet(&both, &cpusets[i]))
            return false;
        muster__cpuset_join(&seen, &cpusets[i]);
    }
    return locals > 1;
}

static int fill_seats(struct muster__topology *topology, muster_placement placement)
{
    static struct muster__seat seats[SEATS_MAX];
    int count = muster__topology_seats(topology, placement, seats, SEATS_MAX);
    for (int i = 0; i < count; i++)
        seat_at(i)->seat = seats[i];
    return count;
}

static bool keep_topology(const struct muster__topology *topology)
{
    size_t bytes = muster__topology_bytes(topology);
    muster__ref ref = muster__heap_alloc(bytes, muster__self_number());
    if (!ref)
        return false;
    memcpy(muster__heap_at(ref), topology, bytes);
    muster__me.tables->topology_offset = muster__offset(muster__heap_at(ref));
    muster__heap_hand_over(ref, muster__self_number(), 0);
    return true;
}

/* Of a rank that its launcher has bound, the seat is the first one among its cores: children go near it. */
static void seat_ranks(const struct muster__cpuset *cpusets)
{
    struct tables *tables = muster__me.tables;
    for (int local = 0; local < tables->locals; local++) {
        struct member *member = member_at((uint32_t)local);
        member->seat = local % tables->seat_count;
        for (int i = tables->launcher_bound ? tables->seat_count : 0; i-- > 0;) {
            struct muster__cpuset both = seat_at(i)->seat.cpus;
            if (muster__cpuset_meet(&both, &cpusets[local]))
                member->seat = i;
        }
    }
}

static void warn_of_binding(int cores, int of)
{
    if (muster__me.tables->locals > cores && cores < of)
        muster__log(MUSTER__WARN,
                    "%d ranks share %d of this host's %d cores, to which whoever started them has bound them: mpirun "
                    "--bind-to none, or srun --cpu-bind=none, gives them all",
                    muster__me.tables->locals, cores, of);
}

muster_err place_host(struct muster__topology *topology, const muster_options *options, struct muster__cpuset *cpusets)
{
    struct tables *tables = muster__me.tables;
    muster_err err = MUSTER_OK;
    muster_placement placement = placement_of(options);
    bool here = muster__topology_is_this_machine(topology);
    tables->launcher_bound = here && placement == MUSTER_PLACE_DEFAULT && bound_already(cpusets, tables->locals);
    if (here) {
        struct muster__cpuset all = {0};
        int before = muster__topology_cores(topology);
        for (int i = 0; i < tables->locals; i++)
            muster__cpuset_join(&all, &cpusets[i]);
        err = muster__topology_restrict(topology, &all);
        warn_of_binding(muster__topology_cores(topology), before);
    }
    tables->seat_count = err ? 0 : fill_seats(topology, placement);
    tables->bind = here && placement != MUSTER_PLACE_NONE;
    atomic_store(&muster__segment->cores, (uint32_t)muster__topology_cores(topology));
    if (!err && !keep_topology(topology))
        err = muster__fail(MUSTER_ERR_NOMEM, "no room for the topology in the host segment");
    if (!err)
        seat_ranks(cpusets);
    return err;
}

static int bound_to = -1; /* this process's seat */

static bool bind_to(int seat)
{
    if (seat != bound_to && muster__cpuset_bind(&seat_at(seat)->seat.cpus, NULL) != MUSTER_OK) {
        muster__log(MUSTER__WARN, "%s", muster_err_detail());
        return false;
    }
    bound_to = seat;
    return true;
}

void place_memory(uint32_t number)
{
    int seat = member_at(number)->seat, node = seat < 0 ? -1 : seat_at(seat)->seat.numa;
    muster__caller_near(node < 0 ? 0 : (uint32_t)node);
}

/* A child begins with what its rank had from its launcher, and a spare with the seat that was guessed for it. */
static void unbind(bool is_rank)
{
    struct muster__cpuset all = muster__topology_pus(topology_copy());
    if (is_rank ? bound_to >= 0 : muster__me.tables->bind)
        muster__cpuset_bind(&all, NULL);
    bound_to = -1;
}

void muster__thread_serves(void)
{
    struct muster__cpuset all = muster__topology_pus(topology_copy());
    if (muster__me.tables->bind)
        muster__cpuset_bind(&all, NULL);
    prctl(PR_SET_TIMERSLACK, 1);
}

void place_spare(uint32_t rank_member)
{
    int seat = muster__me.tables->bind ? seat_guess(rank_member) : -1;
    if (seat >= 0)
        bind_to(seat);
}

/*
 * Ranks stay unbound while they outnumber the seats: bound, two busy ones could share a core that an idle one keeps
 * from them. A serving rank costs nothing, so the kernel moves whoever works to a free core.
 */
void place_self(uint32_t number)
{
    struct tables *tables = muster__me.tables;
    struct member *member = member_at(number);
    bool is_rank = number < (uint32_t)tables->locals;
    bool shared = is_rank ? tables->locals > tables->seat_count
                          /* more on this seat than itself, so more workers than seats: let the kernel share them out */
                          : member->seat >= 0 && atomic_load(&seat_at(member->seat)->load) > 1;
    bool bound = false;
    if (tables->bind && member->seat >= 0 && !shared && !(is_rank && tables->launcher_bound))
        bound = bind_to(member->seat);
    else
        unbind(is_rank);
    atomic_store(&member->placed, bound || !tables->bind ? PLACED_BOUND : PLACED_FREELY);
    place_memory(number);
}

bool place_of(uint32_t number, struct muster__cpuset *cpus)
{
    struct tables *tables = muster__me.tables;
    const struct member *member = member_at(number);
    if (member->seat < 0)
        return false;
    if (number < (uint32_t)tables->locals && tables->launcher_bound)
        *cpus = ((struct muster__cpuset *)muster__at(tables->cpusets_offset))[number];
    else if (atomic_load(&member->placed) == PLACED_FREELY)
        *cpus = muster__topology_pus(topology_copy());
    else
        *cpus = seat_at(member->seat)->seat.cpus;
    return true;
}

/* ---- public ---- */

int muster_cores(void)
{
    return muster__segment ? (int)atomic_load(&muster__segment->cores) : 1;
}

/* Asked of the kernel rather than of the seat: a task, or taskset, may have bound the thread otherwise. */
int muster_worker_cores(void)
{
    struct muster__cpuset now;
    if (!muster__segment || !muster__topology_is_this_machine(topology_copy()) ||
        muster__cpuset_current(&now) != MUSTER_OK)
        return 1;
    int cores = muster__topology_cores_in(topology_copy(), &now);
    return cores > 0 ? cores : 1;
}

static int gather_sitters(struct muster__sitter *sitters, int max)
{
    struct tables *tables = muster__me.tables;
    int count = 0;
    uint32_t high = atomic_load(&tables->members_high);
    for (uint32_t number = 0; number < high && count < max; number++) {
        struct member *member = member_at(number);
        bool is_rank = number < (uint32_t)tables->locals;
        struct muster__sitter *sitter = &sitters[count];
        *sitter = (struct muster__sitter){.exclusive = atomic_load(&member->placed) == PLACED_BOUND};
        if ((!is_rank && member_state(number) != MUSTER__MEMBER_ALIVE) || !place_of(number, &sitter->cpus))
            continue;
        count++;
        if (is_rank)
            snprintf(sitter->label, sizeof sitter->label, "rank %d", muster__rank_of_local((int)number));
        else
            snprintf(sitter->label, sizeof sitter->label, "%.23s", member->name);
    }
    return count;
}

muster_err muster_topology_print(FILE *stream)
{
    static const char operation[] = "muster_topology_print";
    muster_err err = MUSTER__NULL_BAD(operation, stream);
    if (!err)
        err = muster__runtime_require(operation);
    if (err)
        return err;
    struct muster__sitter *sitters = calloc(MUSTER__MEMBERS_MAX, sizeof *sitters);
    if (!sitters)
        return muster__fail(MUSTER_ERR_NOMEM, "%s: out of memory", operation);
    int count = gather_sitters(sitters, MUSTER__MEMBERS_MAX);
    err = muster__topology_picture(topology_copy(), muster__host_name(), sitters, count, stream);
    free(sitters);
    return err;
}

void place_picture_if_asked(const muster_options *options)
{
    if ((options->show_topology || muster__setting(MUSTER__SET_TOPOLOGY)) && muster_topology_print(stderr) != MUSTER_OK)
        muster__log(MUSTER__WARN, "%s", muster_err_detail());
}
