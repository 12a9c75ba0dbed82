/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/state.h"

/* Who this process is. Everything in this folder may ask; this asks nobody. */

struct self muster__me = {.member = UINT32_MAX};

uint32_t muster__member_self(void)
{
    return muster__me.member;
}

const char *muster__host_name(void)
{
    return muster__me.tables ? muster__me.tables->host_name : "";
}

int muster__host_ranks(void)
{
    return muster__me.tables ? muster__me.tables->locals : 1;
}

int muster__rank_of_local(int local)
{
    return *rank_at(local);
}

int muster__member_rank(uint32_t member)
{
    if (member >= MUSTER__MEMBERS_MAX)
        return -1;
    int local = member < (uint32_t)muster__host_ranks() ? (int)member : member_at(member)->nursery;
    return local < 0 ? -1 : muster__rank_of_local(local);
}

uint32_t muster__rank_caller(int local)
{
    return nursery_at(local)->rank_caller;
}

bool muster__is_rank_main(void)
{
    uint32_t me = muster__me.member;
    return !muster__me.is_child && me < (uint32_t)muster__host_ranks() && muster__self_state.number &&
           muster__rank_caller((int)me) == muster__self_state.number;
}

bool muster__is_spmd(void)
{
    return muster__me.spmd;
}

muster_err muster__runtime_require(const char *operation)
{
    if (!muster__segment || !muster__me.tables)
        return muster__fail(MUSTER_ERR_STATE, "%s: call muster_init first, and not after muster_finalize", operation);
    if (!muster__self_number())
        return muster__fail(MUSTER_ERR_NOMEM, "%s: too many threads use muster on this host", operation);
    return MUSTER_OK;
}

/* ---- what any program may ask about itself ---- */

int muster_rank(void)
{
    return muster__me.tables
               ? muster__member_rank(muster__me.member < MUSTER__MEMBERS_MAX ? muster__me.member
                                                                             : muster__me.member - MUSTER__MEMBERS_MAX)
               : 0;
}

bool muster_launched(void)
{
    return muster__transport_launched();
}

int muster_ranks(void)
{
    return muster__me.tables ? muster__me.tables->ranks : 1;
}

int muster_hosts(void)
{
    return muster__me.tables ? muster__me.tables->hosts : 1;
}

const char *muster_host(void)
{
    return muster__host_name();
}

bool muster_is_child(void)
{
    return muster__me.is_child;
}

const char *muster_version(void)
{
    return MUSTER_VERSION;
}
