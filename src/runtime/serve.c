#include "runtime/state.h"

/* What a rank does between muster_init and the end unless its main goes on: work, or sleep on its bell. */

enum { SERVICES_MAX = 4 };
static const struct muster__service *services[SERVICES_MAX];
static int service_count;

void muster__service_register(const struct muster__service *service)
{
    for (int i = 0; i < service_count; i++)
        if (services[i] == service)
            return;
    MUSTER__CHECK_EQ(service_count < SERVICES_MAX, true);
    services[service_count++] = service;
}

static bool work_all(void)
{
    bool any = false;
    for (int i = 0; i < service_count; i++)
        any |= services[i]->work();
    return any;
}

void muster__runtime_serve(void)
{
    struct tables *tables = muster__me.tables;
    _Atomic uint32_t *bell = &muster__self_state.caller->bell;
    while (!atomic_load(&tables->stop)) {
        if (work_all())
            continue;
        uint32_t seen = atomic_load(bell);
        bool idle = true;
        int64_t until_ns = MUSTER__NEVER;
        for (int i = 0; i < service_count; i++)
            idle &= services[i]->park(&until_ns);
        if (idle && !atomic_load(&tables->stop)) {
            muster__stands_by((muster_handle){0}, MUSTER__FOR_WORK);
            muster__sleep(bell, seen, until_ns);
        }
        for (int i = 0; i < service_count; i++)
            services[i]->unpark();
    }
    muster__stands_by_no_more();
}
