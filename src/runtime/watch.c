/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/state.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* What the watch, a layer above, needs of the runtime, and when it is called. */

static const struct muster__watch *watch;

void muster__watch_register(const struct muster__watch *registered)
{
    watch = registered;
}

void watch_begin(void)
{
    if (watch)
        watch->begin();
}

muster_err watch_start(const struct muster__world *world, const muster_options *options)
{
    return watch ? watch->start(world, options) : MUSTER_OK;
}

static void look_in_rank(void)
{
    nursery_check();
    if (watch)
        watch->look();
}

void watch_look_begin(void)
{
    muster__sleep_look = !muster__me.is_child ? look_in_rank : watch ? watch->look : NULL;
}

void watch_stop(void)
{
    if (watch)
        watch->stop();
}

/* ---- facts ---- */

uint32_t muster__members_end(void)
{
    return atomic_load(&muster__me.tables->members_high);
}

static bool settled(uint32_t number)
{
    struct member *member = member_at(number);
    switch (member_state(number)) {
    case MUSTER__MEMBER_FREE:
        return true;
    case MUSTER__MEMBER_ALIVE:
        return !atomic_load(&member->dead) && !atomic_load(&member->signals) && !atomic_load(&member->outcome) &&
               atomic_load(&member->deadline_ns) == MUSTER__NEVER;
    case MUSTER__MEMBER_ENDED:
        return atomic_load(&member->left) & LEFT_REAPED;
    default:
        return false;
    }
}

bool muster__children_settled(void)
{
    for (uint32_t number = (uint32_t)muster__me.tables->locals; number < muster__members_end(); number++)
        if (!settled(number))
            return false;
    return true;
}

/* ---- the end ---- */

/* A child has no say in MPI: the ranks end by a signal, for whose handler the code is left; also for what the launcher
 * sends while MPI ends the job. */
void muster__job_end(int code)
{
    atomic_store(&muster__me.tables->exit_code, (uint32_t)code);
    if (!muster__me.is_child)
        muster__transport_abort(code);
    for (int i = 0; i < muster__me.tables->locals; i++)
        kill(atomic_load(&member_at((uint32_t)i)->pid), SIGTERM);
}

_Noreturn void muster__host_end(void)
{
    for (int i = 0; i < muster__me.tables->locals; i++)
        if (i != muster__me.world.local)
            kill(atomic_load(&member_at((uint32_t)i)->pid), SIGKILL);
    _exit(1);
}
