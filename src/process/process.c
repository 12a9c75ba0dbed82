#include "process/process.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

/*
 * A process object names a member (runtime) once it was started. The object is pinned during each call, so that a close
 * elsewhere waits; what changes is one word, phase, moved by compare-exchange. STARTING also holds who starts: if that
 * one dies over it, the sweeper decides by whether the member was asked for.
 *
 * The object is on the host where the process will run, which is chosen when it is created: on other hosts each
 * operation is a call to there.
 */
enum phase { CREATED, STARTING, STARTED, NEVER };
enum { PHASE_BITS = 8 };

struct body {
    struct muster__latch generation; /* never acquired: makes a stale handle of another kind fail, too */
    _Atomic uint32_t phase;
    uint32_t member;    /* MUSTER__MEMBERS_MAX: none yet */
    int32_t rank_local; /* whose nursery forks it; -1: that of who starts it */
    uint32_t standin;   /* of its creator on another host; 0: created here */
    muster__function function;
    muster__ref arg;
    uint64_t arg_bytes;
};

/* ---- in the child ---- */

struct start_arg {
    muster__function function;
    uint64_t padding; /* the argument behind it is aligned as malloc aligns */
};

static int run(const void *bytes, size_t size)
{
    const struct start_arg *start = bytes;
    void *pointer;
    if (muster__function_find(start->function, &pointer)) {
        muster__log(MUSTER__ERROR, "%s", muster_err_detail());
        return 127;
    }
    size_t arg_bytes = size - sizeof *start;
    return ((muster_process_fn)pointer)(arg_bytes ? start + 1 : NULL, arg_bytes);
}

/* ---- entering a call ---- */

struct entry {
    struct muster__object *object;
    struct body *body;
    uint32_t before; /* what the thread had pinned */
};

static bool was_closed(muster_handle handle)
{
    if (!muster__handle_fits(handle, MUSTER__PROCESS) || !handle.generation)
        return false;
    uint32_t now = (uint32_t)(atomic_load(&muster__object_slot(handle.slot)->tag) >> 32);
    return now != handle.generation;
}

static muster_err enter(muster_process process, const char *operation, struct entry *entry)
{
    uint32_t self = muster__self_number();
    entry->before = self ? atomic_load(&muster__self_state.caller->using) : 0;
    entry->object = muster__object_pin(process.handle, MUSTER__PROCESS);
    if (entry->object) {
        entry->body = (struct body *)entry->object->body;
        return MUSTER_OK;
    }
    if (was_closed(process.handle))
        return muster__fail(MUSTER_ERR_STATE, "%s: the process was closed", operation);
    return muster__object_stale(MUSTER__PROCESS, operation);
}

static void leave(const struct entry *entry)
{
    atomic_store_explicit(&muster__self_state.caller->using, entry->before, memory_order_release);
}

static muster_err not_started(const struct entry *entry, const char *operation)
{
    return muster__fail(MUSTER_ERR_STATE, "%s: '%s' was not started", operation, entry->object->name);
}

/* ---- create, start ---- */

static int local_of_rank(int rank)
{
    for (int local = 0; rank >= 0 && local < muster__host_ranks(); local++)
        if (muster__rank_of_local(local) == rank)
            return local;
    return -1;
}

/* Those that other hosts start here go to the ranks in turn. */
static int next_local(void)
{
    static _Atomic uint32_t turn;
    return (int)(atomic_fetch_add(&turn, 1) % (uint32_t)muster__host_ranks());
}

muster_err process_create(muster_process *process, const struct process_wanted *wanted, const void *arg,
                          size_t size_bytes, uint32_t standin)
{
    struct muster__object *object;
    uint32_t generation, self = muster__self_number();
    muster_err err = muster__object_claim(MUSTER__PROCESS, wanted->name, self, &object, &generation);
    if (err)
        return err;
    struct body *body = (struct body *)object->body;
    muster__ref block = muster__heap_alloc(sizeof(struct start_arg) + size_bytes, self);
    if (!block) {
        muster__object_retire(object, generation);
        return muster__fail(MUSTER_ERR_NOMEM, "no %zu bytes left in the host segment for an argument", size_bytes);
    }
    struct start_arg *start = muster__heap_at(block);
    *start = (struct start_arg){.function = wanted->function};
    if (size_bytes)
        memcpy(start + 1, arg, size_bytes);
    muster__latch_init(&body->generation, generation);
    *body = (struct body){.generation = body->generation,
                          .member = MUSTER__MEMBERS_MAX,
                          .rank_local = wanted->rank >= 0 || !standin ? local_of_rank(wanted->rank) : next_local(),
                          .standin = standin,
                          .function = wanted->function,
                          .arg = block,
                          .arg_bytes = sizeof *start + size_bytes};
    if (!object->name[0])
        snprintf(object->name, sizeof object->name, "process-%u", (unsigned)(object - muster__object_slot(0)));
    muster__object_publish(object, generation, &process->handle);
    muster__heap_hand_over(block, self, 0); /* who dies before has it done by the sweeper */
    return MUSTER_OK;
}

static muster_err start(struct entry *entry)
{
    struct body *body = entry->body;
    struct muster__child child = {.main = run,
                                  .arg = muster__heap_at(body->arg),
                                  .size_bytes = body->arg_bytes,
                                  .name = entry->object->name,
                                  .rank_local = body->rank_local};
    muster_err err = muster__child_claim(&child, &body->member);
    if (err)
        return err;
    err = muster__child_start(body->member);
    if (err) {
        muster__child_release(body->member);
        body->member = MUSTER__MEMBERS_MAX;
    }
    return err;
}

muster_err process_start(muster_process process)
{
    struct entry entry;
    muster_err err = enter(process, "muster_process_start", &entry);
    if (err)
        return err;
    uint32_t created = CREATED, starting = STARTING | muster__self_number() << PHASE_BITS;
    if (!atomic_compare_exchange_strong(&entry.body->phase, &created, starting)) {
        err = muster__fail(MUSTER_ERR_STATE, "muster_process_start: '%s' was started before", entry.object->name);
    } else {
        err = start(&entry);
        atomic_store(&entry.body->phase, err ? CREATED : STARTED);
    }
    leave(&entry);
    return err;
}

/* ---- waiting ---- */

static muster_err tell(const struct entry *entry, muster_process_status *status)
{
    struct muster__member_info info;
    muster__child_info(entry->body->member, &info);
    if (info.system_errno)
        return muster__fail(MUSTER_ERR_SYSTEM, "'%s' could not be forked: %s", entry->object->name,
                            strerror(info.system_errno));
    if (status)
        *status = (muster_process_status){.exit_code = info.exit_code, .signal = info.signal};
    return MUSTER_OK;
}

/* Sleeping costs two context switches: a child about to end is waited for awake where cores are free. */
static muster_err wait_ended(const struct entry *entry, int64_t timeout_ms)
{
    uint32_t member = entry->body->member;
    struct muster__event *event = muster__child_event(member);
    int64_t deadline = muster__deadline_ns(timeout_ms);
    struct muster__spin spin = {0};
    while (!muster__child_ended(member)) {
        if (deadline && muster__spin(&spin))
            continue;
        uint32_t seen = muster__event_prepare(event);
        if (muster__child_ended(member))
            break;
        muster_err err = muster__sleep(&event->word, seen, deadline, NULL);
        if (err == MUSTER_ERR_TIMEOUT)
            return muster__fail(err, "muster_process_join: '%s' (rank %d, host %s) is alive after %lld ms",
                                entry->object->name, muster__member_rank(member), muster_host(), (long long)timeout_ms);
        if (err)
            return err;
    }
    return MUSTER_OK;
}

muster_err process_join(muster_process process, muster_process_status *status, int64_t timeout_ms)
{
    struct entry entry;
    muster_err err = enter(process, "muster_process_join", &entry);
    if (err)
        return err;
    if (atomic_load(&entry.body->phase) != STARTED)
        err = not_started(&entry, "muster_process_join");
    if (!err)
        err = wait_ended(&entry, timeout_ms);
    if (!err)
        err = tell(&entry, status);
    leave(&entry);
    return err;
}

/* How many of them have ended, and the first one. Errors as enter's, and STATE. */
static muster_err count_ended(const muster_process *processes, int n, int *count, int *first)
{
    *count = 0;
    *first = -1;
    for (int i = 0; i < n; i++) {
        struct entry entry;
        muster_err err = enter(processes[i], "muster_process_wait", &entry);
        if (err)
            return err;
        if (atomic_load(&entry.body->phase) != STARTED)
            err = not_started(&entry, "muster_process_wait");
        else if (muster__child_ended(entry.body->member)) {
            ++*count;
            *first = *first < 0 ? i : *first;
        }
        leave(&entry);
        if (err)
            return err;
    }
    return MUSTER_OK;
}

muster_err process_wait(const muster_process *processes, int n, bool all, int *found, int64_t timeout_ms)
{
    int64_t deadline = muster__deadline_ns(timeout_ms);
    struct muster__event *event = muster__children_event();
    for (;;) {
        int count, lowest;
        uint32_t seen = muster__event_prepare(event);
        muster_err err = count_ended(processes, n, &count, &lowest);
        if (err)
            return err;
        if (count == n || (!all && count)) {
            *found = lowest;
            return MUSTER_OK;
        }
        err = muster__sleep(&event->word, seen, deadline, NULL);
        if (err == MUSTER_ERR_TIMEOUT)
            return muster__fail(err, "muster_process_wait: %d of %d processes have ended after %lld ms", count, n,
                                (long long)timeout_ms);
        if (err)
            return err;
    }
}

/* ---- signals ---- */

muster_err process_signal(muster_process process, int signal)
{
    const char *operation = signal == SIGTERM ? "muster_process_terminate" : "muster_process_kill";
    struct entry entry;
    muster_err err = enter(process, operation, &entry);
    if (err)
        return err;
    if (atomic_load(&entry.body->phase) == STARTED)
        muster__child_signal(entry.body->member, signal);
    else
        err = not_started(&entry, operation);
    leave(&entry);
    return err;
}

/* ---- close, facts ---- */

static void free_object(struct muster__object *object, const struct body *body)
{
    muster__object_drain(object);
    if (body->phase == STARTED)
        muster__child_release(body->member);
    muster__heap_free(body->arg, muster__self_number());
}

muster_err process_close(muster_process process)
{
    struct entry entry;
    if (was_closed(process.handle))
        return MUSTER_OK;
    muster_err err = enter(process, "muster_process_close", &entry);
    if (err)
        return err;
    uint32_t phase = CREATED;
    if (atomic_compare_exchange_strong(&entry.body->phase, &phase, NEVER))
        phase = NEVER; /* a start at this moment comes too late */
    struct body body = *entry.body;
    if (phase != NEVER && (phase != STARTED || !muster__child_ended(body.member)))
        err = muster__fail(MUSTER_ERR_STATE, "muster_process_close: '%s' is alive; join or kill it first",
                           entry.object->name);
    leave(&entry);
    if (!err && muster__object_retire(entry.object, process.handle.generation))
        free_object(entry.object, &body);
    return err;
}

muster_err process_info(muster_process process, muster_process_info *info)
{
    struct entry entry;
    muster_err err = enter(process, "muster_process_get_info", &entry);
    if (err)
        return err;
    *info = (muster_process_info){.rank = -1, .state = MUSTER_PROCESS_CREATED};
    snprintf(info->name, sizeof info->name, "%s", entry.object->name);
    snprintf(info->host, sizeof info->host, "%s", muster_host());
    if (atomic_load(&entry.body->phase) == STARTED) {
        struct muster__member_info member;
        muster__child_info(entry.body->member, &member);
        info->state = member.state == MUSTER__MEMBER_ENDED ? MUSTER_PROCESS_ENDED : MUSTER_PROCESS_ALIVE;
        info->status = (muster_process_status){.exit_code = member.exit_code, .signal = member.signal};
        info->pid = member.pid;
        info->rank = member.rank;
        snprintf(info->cores, sizeof info->cores, "%s", member.cores);
    }
    leave(&entry);
    return MUSTER_OK;
}

/* ---- deaths, the end ---- */

/* The process that created it from another host is dead: so will be what it created. */
static void creator_died(uint32_t standin)
{
    muster_process process;
    for (uint32_t at = 0; muster__object_next(MUSTER__PROCESS, &at, &process.handle);) {
        struct muster__object *object = muster__object_find(process.handle, MUSTER__PROCESS);
        if (object && ((struct body *)object->body)->standin == standin)
            process_signal(process, SIGKILL);
    }
}

/* The dead one's blocks are freed after this, and the children that it had claimed after that. */
static void sweep(struct muster__object *object, uint32_t generation, uint32_t dead, uint32_t self)
{
    (void)generation;
    (void)self;
    struct body *body = (struct body *)object->body;
    muster__heap_hand_over(body->arg, dead, 0);
    uint32_t starting = STARTING | dead << PHASE_BITS;
    if (atomic_load(&body->phase) != starting)
        return;
    struct muster__member_info info = {.state = MUSTER__MEMBER_CLAIMED};
    if (body->member < MUSTER__MEMBERS_MAX)
        muster__child_info(body->member, &info);
    if (info.state == MUSTER__MEMBER_CLAIMED)
        body->member = MUSTER__MEMBERS_MAX;
    atomic_store(&body->phase, info.state == MUSTER__MEMBER_CLAIMED ? CREATED : STARTED);
}

/* At finalize: the nurseries end the children themselves. */
static void end(struct muster__object *object, uint32_t generation)
{
    struct body body = *(struct body *)object->body;
    if (muster__object_retire(object, generation))
        muster__heap_free(body.arg, muster__self_number());
}

__attribute__((constructor)) static void register_class(void)
{
    static const struct muster__class class = {.name = "process", .sweep = sweep, .end = end};
    muster__class_register(MUSTER__PROCESS, &class);
    muster__remote_on_death(creator_died);
}
