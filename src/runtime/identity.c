#include "runtime/state.h"

/* What any program may ask about itself. */

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
