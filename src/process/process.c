/* SPDX-License-Identifier: BSD-3-Clause */
#include "process/process.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

/*
 * A process object names a member (runtime) once it was started. What changes is one word, phase, moved by
 * compare-exchange. STARTING also holds who starts: if that one dies over it, the sweeper decides by whether the member
 * was asked for. The member is released when nobody is inside of the object any more.
 */
enum phase { CREATED, STARTING, STARTED, NEVER };
enum { PHASE_BITS = 8 };

struct body {
    _Atomic uint32_t phase;
    _Atomic uint32_t member; /* MUSTER__MEMBERS_MAX: none yet, or released */
    int32_t rank_local;      /* whose nursery forks it; -1: that of who starts it */
    uint32_t creator;        /* on another host, see muster__asker; 0: created here */
    muster__function function;
    muster__ref arg;
    uint64_t arg_bytes;
};

static struct body *body_of(struct muster__object *object)
{
    return (struct body *)(void *)object->body;
}

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

/* ---- make ---- */

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

static muster_err make(struct muster__object *object, uint32_t generation, struct muster__arg *arg, uint32_t self)
{
    struct process_wanted wanted;
    struct body *body = body_of(object);
    size_t arg_bytes = arg->size - sizeof wanted;
    (void)generation;
    memcpy(&wanted, arg->bytes, sizeof wanted);
    uint32_t creator = muster__asker();
    muster_err err = creator ? muster__module_note(&wanted.module) : MUSTER_OK;
    if (err)
        return err;
    muster__ref block = muster__heap_alloc(sizeof(struct start_arg) + arg_bytes, self);
    if (!block)
        return muster__fail(MUSTER_ERR_NOMEM, "no %zu B left in the host segment for an argument", arg_bytes);
    struct start_arg *start = muster__heap_at(block);
    *start = (struct start_arg){.function = wanted.function};
    if (arg_bytes)
        memcpy(start + 1, (const char *)arg->bytes + sizeof wanted, arg_bytes);
    *body = (struct body){.member = MUSTER__MEMBERS_MAX,
                          .rank_local = wanted.rank >= 0 || !creator ? local_of_rank(wanted.rank) : next_local(),
                          .creator = creator,
                          .function = wanted.function,
                          .arg = block,
                          .arg_bytes = sizeof *start + arg_bytes};
    if (!object->name[0])
        snprintf(object->name, sizeof object->name, "process-%u", (unsigned)muster__object_slot_of(object));
    return MUSTER_OK;
}

static void made(struct muster__object *object, uint32_t self)
{
    muster__heap_hand_over(body_of(object)->arg, self, 0); /* who dies before has it done by the sweeper */
}

/* ---- start ---- */

static muster_err start_child(struct muster__object *object)
{
    struct body *body = body_of(object);
    struct muster__child child = {.main = run,
                                  .arg = muster__heap_at(body->arg),
                                  .size_bytes = body->arg_bytes,
                                  .name = object->name,
                                  .rank_local = body->rank_local};
    uint32_t member;
    muster_err err = muster__child_claim(&child, &member);
    if (err == MUSTER_ERR_NOMEM && muster__objects_clean(MUSTER__PROCESS, muster__self_state.number))
        err = muster__child_claim(&child, &member);
    if (err)
        return err;
    atomic_store(&body->member, member);
    err = muster__child_start(member);
    if (err) {
        muster__child_release(member);
        atomic_store(&body->member, MUSTER__MEMBERS_MAX);
    }
    return err;
}

static muster_err start(struct muster__step *step)
{
    struct body *body = body_of(step->object);
    uint32_t created = CREATED, starting = STARTING | muster__self_state.number << PHASE_BITS;
    if (!atomic_compare_exchange_strong(&body->phase, &created, starting))
        return MUSTER_ERR_STATE;
    muster_err err = start_child(step->object);
    atomic_store(&body->phase, err ? CREATED : STARTED);
    return err;
}

/* ---- join ---- */

static bool has_started(struct body *body)
{
    return atomic_load(&body->phase) == STARTED;
}

static muster_err join(struct muster__step *step)
{
    struct body *body = body_of(step->object);
    struct muster__member_info info;
    if (!has_started(body))
        return MUSTER_ERR_STATE;
    uint32_t member = atomic_load(&body->member);
    if (!muster__child_ended(member)) {
        step->event = muster__child_event(member);
        return MUSTER__WAIT;
    }
    if (!muster__gone_are_told())
        return MUSTER__AGAIN;
    muster__child_info(member, &info);
    if (info.system_errno)
        return MUSTER_ERR_SYSTEM;
    step->arg->out[0] = info.exit_code;
    step->arg->out[1] = info.signal;
    return MUSTER_OK;
}

/* Sleeping costs two context switches: a child about to end is waited for awake where cores are free. */
static bool may_have_ended(const struct muster__step *step)
{
    struct body *body = body_of(step->object);
    return !has_started(body) || muster__child_ended(atomic_load(&body->member));
}

/* ---- the rest ---- */

static muster_err send_signal(struct muster__step *step)
{
    struct body *body = body_of(step->object);
    if (!has_started(body))
        return MUSTER_ERR_STATE;
    muster__child_signal(atomic_load(&body->member), (int)step->arg->in[0]);
    return MUSTER_OK;
}

static muster_err close_it(struct muster__step *step)
{
    struct body *body = body_of(step->object);
    uint32_t phase = CREATED;
    if (atomic_compare_exchange_strong(&body->phase, &phase, NEVER))
        phase = NEVER; /* a start at this moment comes too late */
    if (phase != NEVER && (phase != STARTED || !muster__child_ended(atomic_load(&body->member))))
        return MUSTER_ERR_STATE;
    return muster__object_end(step->object, step->generation, muster__self_state.number) ? MUSTER_OK : MUSTER_ERR_STALE;
}

static muster_err tell(struct muster__step *step)
{
    struct body *body = body_of(step->object);
    muster_process_info info = {.rank = -1, .state = MUSTER_PROCESS_CREATED};
    snprintf(info.name, sizeof info.name, "%s", step->object->name);
    snprintf(info.host, sizeof info.host, "%s", muster__host_name());
    if (has_started(body)) {
        struct muster__member_info member;
        bool ended = muster__child_ended(atomic_load(&body->member));
        if (ended && !muster__gone_are_told())
            return MUSTER__AGAIN;
        muster__child_info(atomic_load(&body->member), &member);
        info.state = ended ? MUSTER_PROCESS_ENDED : MUSTER_PROCESS_ALIVE;
        info.status = (muster_process_status){.exit_code = member.exit_code, .signal = member.signal};
        info.pid = member.pid;
        info.rank = member.rank;
        snprintf(info.cores, sizeof info.cores, "%s", member.cores);
    }
    memcpy(step->arg->room, &info, sizeof info);
    step->arg->got = sizeof info;
    return MUSTER_OK;
}

/* ---- its class ---- */

static void clean(struct muster__object *object, uint32_t self)
{
    struct body *body = body_of(object);
    uint32_t member = atomic_exchange(&body->member, MUSTER__MEMBERS_MAX);
    if (member != MUSTER__MEMBERS_MAX)
        muster__child_release(member);
    muster__heap_free(body->arg, self);
}

/* The dead one's blocks are freed after this, and the children that it had claimed after that. Whose creator on another
 * host is dead is to be dead as well. */
static void sweep(struct muster__object *object, uint32_t generation, uint32_t dead, uint32_t self)
{
    struct body *body = body_of(object);
    (void)generation;
    (void)self;
    muster__heap_hand_over(body->arg, dead, 0);
    if (body->creator == dead && has_started(body))
        muster__child_signal(atomic_load(&body->member), SIGKILL);
    uint32_t starting = STARTING | dead << PHASE_BITS, member = atomic_load(&body->member);
    if (atomic_load(&body->phase) != starting)
        return;
    struct muster__member_info info = {.state = MUSTER__MEMBER_CLAIMED};
    if (member < MUSTER__MEMBERS_MAX)
        muster__child_info(member, &info);
    if (info.state == MUSTER__MEMBER_CLAIMED)
        atomic_store(&body->member, MUSTER__MEMBERS_MAX);
    atomic_store(&body->phase, info.state == MUSTER__MEMBER_CLAIMED ? CREATED : STARTED);
}

static void describe(const struct muster__object *object, char *text, size_t size)
{
    struct body *body = body_of((struct muster__object *)object);
    struct muster__member_info info;
    if (!has_started(body)) {
        snprintf(text, size, "not started");
        return;
    }
    muster__child_info(atomic_load(&body->member), &info);
    if (info.system_errno)
        snprintf(text, size, "it could not be forked: %s", strerror(info.system_errno));
    else
        snprintf(text, size, "%s, rank %d, host %s, pid %lld", info.state == MUSTER__MEMBER_ENDED ? "ended" : "alive",
                 info.rank, muster__host_name(), (long long)info.pid);
}

static const char *remedy(muster_err err)
{
    return err == MUSTER_ERR_STATE     ? "start it once, before all else; close it when it has ended"
           : err == MUSTER_ERR_TIMEOUT ? "it goes on; wait longer, or kill it"
                                       : "";
}

static const struct muster__op ops[PROCESS_OPS] = {
    [PROCESS_START] = {.name = "muster_process_start", .step = start},
    [PROCESS_JOIN] = {.name = "muster_process_join",
                      .takes_nothing = true,
                      .step = join,
                      .watch = join,
                      .ready = may_have_ended,
                      .late = MUSTER_ERR_TIMEOUT,
                      .late_now = MUSTER_ERR_TIMEOUT},
    [PROCESS_SIGNAL] = {.name = "muster_process_kill", .step = send_signal},
    [PROCESS_CLOSE] = {.name = "muster_process_close", .step = close_it},
    [PROCESS_INFO] = {.name = "muster_process_get_info", .step = tell},
};

__attribute__((constructor)) static void register_class(void)
{
    static const struct muster__class class = {.name = "process",
                                               .ops = ops,
                                               .op_count = PROCESS_OPS,
                                               .patient = true,
                                               .make = make,
                                               .made = made,
                                               .clean = clean,
                                               .sweep = sweep,
                                               .describe = describe,
                                               .remedy = remedy};
    muster__class_register(MUSTER__PROCESS, &class);
}
