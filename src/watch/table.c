/* SPDX-License-Identifier: BSD-3-Clause */
#include "watch/watch.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "transport/transport.h"

struct watch_table *watch_table(void)
{
    uint64_t offset = muster__segment ? *(volatile uint64_t *)&muster__segment->roots[MUSTER__ROOT_WATCH] : 0;
    struct watch_table *table = offset ? muster__at(offset) : NULL;
    return table && table->what != MUSTER_DEADLOCK_OFF && !atomic_load(&table->off) ? table : NULL;
}

/* ---- threads that are not the program's ---- */

/* The program makes its threads after muster_init; those that were there before it are the program's as well, unless
 * it had begun MPI, whose threads cannot be told from others. */
static struct {
    int32_t thread[WATCH_THREADS_MAX];
    int count;
} before;

static void begin(void)
{
    before.count = muster__transport_runs() ? 0 : watch_process_threads(getpid(), before.thread, WATCH_THREADS_MAX);
}

static bool was_before(int32_t thread)
{
    for (int i = 0; i < before.count; i++)
        if (before.thread[i] == thread && thread != getpid())
            return true;
    return false;
}

static void note_threads(struct watch_threads *mine)
{
    int32_t found[WATCH_THREADS_MAX];
    int count = before.count < 0 ? -1 : watch_process_threads(getpid(), found, WATCH_THREADS_MAX);
    for (int i = 0; i < count; i++)
        if (!was_before(found[i]))
            mine->thread[mine->count++] = found[i];
}

/* ---- start ---- */

/* what rank 0 wants */
struct wanted {
    int64_t limit_ns;
    int32_t what;
    bool lock_order;
};

static struct wanted wanted_by(const muster_options *options)
{
    int64_t ms = options->deadlock_ms ? options->deadlock_ms : muster__setting(MUSTER__SET_DEADLOCK_MS);
    return (struct wanted){.limit_ns = ms * 1000000,
                           .what = options->deadlock ? (int32_t)options->deadlock
                                                     : (int32_t)muster__setting(MUSTER__SET_DEADLOCK),
                           .lock_order = options->lock_order || muster__setting(MUSTER__SET_LOCK_ORDER)};
}

static uint64_t make(const struct wanted *wanted, int locals)
{
    size_t size = sizeof(struct watch_table) + (size_t)locals * sizeof(struct watch_threads);
    uint32_t self = muster__self_number();
    muster__ref ref = muster__heap_alloc(size, self);
    if (!ref)
        return 0;
    struct watch_table *table = muster__heap_at(ref);
    memset(table, 0, size);
    table->what = wanted->what;
    table->limit_ns = wanted->limit_ns;
    muster__heap_hand_over(ref, self, 0);
    if (wanted->lock_order && muster__order_start(self))
        return 0;
    return muster__offset(table);
}

static muster_err start(const struct muster__world *world, const muster_options *options)
{
    struct wanted wanted = wanted_by(options);
    muster__transport_job_tell(&wanted, sizeof wanted);
    uint64_t offset = world->local == 0 ? make(&wanted, world->locals) : 0;
    muster__transport_host_tell(&offset, sizeof offset);
    if (!offset)
        return muster__fail_logged(MUSTER_ERR_NOMEM, "the host segment is too small for %d rank%s", world->locals,
                                   muster__s(world->locals));
    if (world->local == 0)
        status_start(); /* before its thread is noted as not the program's */
    note_threads(&((struct watch_table *)muster__at(offset))->threads[world->local]);
    muster__transport_host_barrier();
    atomic_thread_fence(memory_order_release);
    if (world->local == 0)
        *(volatile uint64_t *)&muster__segment->roots[MUSTER__ROOT_WATCH] = offset;
    return MUSTER_OK;
}

static void stop(void)
{
    struct watch_table *table = watch_table();
    status_stop();
    if (table)
        atomic_store(&table->off, 1);
}

/* ---- looking ---- */

static void conclude(int64_t lasted)
{
    struct view view;
    int n;
    struct watch_wait *waits = verdict_all_waits(&n);
    if (waits && view_make(&view, false)) {
        verdict_say(&(struct verdict){.lasted_ns = lasted}, &view, 1);
        view_free(&view);
        verdict_carry_out(waits, n);
    }
    free(waits);
}

/* On one host the lowest rank's main thread looks, which sleeps when all stand still. If there is a circle, that is
 * why, and the others may go on without it. */
static void look_at_all(struct watch_table *table)
{
    static uint64_t concluded;
    struct watch_still still = still_look();
    int64_t now = muster__now_ns(), lasted = now - still.since_ns;
    if (!still.identity || !still.confirmed || still.identity == concluded || lasted < table->limit_ns || !still_sure())
        return;
    concluded = still.identity;
    if (!circle_look(table, now, true))
        conclude(lasted);
}

static bool turn_to_look(struct watch_table *table)
{
    int64_t now = muster__now_ns(), next = atomic_load(&table->next_look_ns);
    return now >= next && atomic_compare_exchange_strong(&table->next_look_ns, &next, now + WATCH_PERIOD_NS);
}

static void look(void)
{
    struct watch_table *table = watch_table();
    if (!table || atomic_load(&muster__segment->signal))
        return;
    uint32_t self = muster__self_state.number;
    if (muster_hosts() == 1 && self && self == muster__rank_caller(0))
        look_at_all(table);
    if (!muster__self_state.waits || watch_caller(self).state != WATCH_WAITS)
        return;
    int64_t since = atomic_load(&muster__waiter(self)->since_ns);
    int64_t before = muster__now_ns() - table->limit_ns;
    if (since <= before && turn_to_look(table))
        circle_look(table, before, false);
}

__attribute__((constructor)) static void set_hooks(void)
{
    static const struct muster__watch watch = {begin, start, look, stop};
    muster__watch_register(&watch);
}
