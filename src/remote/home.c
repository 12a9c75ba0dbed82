/* SPDX-License-Identifier: BSD-3-Clause */
#include "remote/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * What other hosts ask of objects at home here, and what this host's agent does of its own objects in the name of the
 * host. A job is a call that was parked: with its waiter, 256 bytes.
 */

enum { BUCKETS = 4096 };

struct job {
    struct job *next; /* in its bucket */
    const struct muster__op *op;
    union {
        uint64_t id; /* of the call; with done: 0 */
        void (*done)(muster_handle object, muster_err err, const int64_t out[2]);
    };
    uint32_t slot, generation;
    int32_t host; /* that asks; this one: done */
    uint32_t caller, incarnation;
    uint32_t waiter;
    uint8_t kind;
    bool of_host, watches, nowait, claims, canceled, again, called; /* again: a latch was busy */
    int64_t in[3];
    uint64_t own;
    char *bytes; /* what came along */
    muster__ref block;
    uint64_t size, capacity;
};
_Static_assert(sizeof(struct job) + sizeof(struct muster__waiter) <= 272, "remote waiters are small");

static struct job *buckets[BUCKETS];
static struct job **job_of; /* by waiter */
static int parked, again;

static int this_host(void)
{
    return (int)muster__segment->host;
}

static muster_handle object_of(const struct job *job)
{
    return muster__handle_make((enum muster__kind)job->kind, job->slot, job->generation);
}

static struct job **bucket_of(int host, uint64_t id)
{
    return &buckets[(id * UINT64_C(0x9e3779b97f4a7c15) >> 40 ^ (uint64_t)host * 31) % BUCKETS];
}

/* ---- who holds ---- */

enum { HOLDER_ENDS = -1 };

/* Callers of other hosts that hold something here: given out when an operation first asks for it. */
static uint32_t holders_end = MUSTER__OWNER_REMOTE;

static bool is_holder(uint32_t owner, int host)
{
    return atomic_load(&muster__remote_holder(owner)->host) == host + 1;
}

/* 0: there is none. */
static uint32_t holder_find(int host, uint32_t caller, uint32_t incarnation)
{
    for (uint32_t owner = MUSTER__OWNER_REMOTE; owner < holders_end; owner++) {
        const struct muster__remote_holder *holder = muster__remote_holder(owner);
        if (is_holder(owner, host) && holder->caller == caller && holder->incarnation == incarnation)
            return owner;
    }
    return 0;
}

static uint32_t holder_get(int host, uint32_t caller, uint32_t incarnation)
{
    uint32_t owner = holder_find(host, caller, incarnation);
    if (owner)
        return owner;
    owner = MUSTER__OWNER_REMOTE;
    while (owner < holders_end && atomic_load(&muster__remote_holder(owner)->host))
        owner++;
    MUSTER__CHECK_EQ(owner - MUSTER__OWNER_REMOTE < muster__segment->holders_max, true);
    holders_end += owner == holders_end;
    struct muster__remote_holder *holder = muster__remote_holder(owner);
    holder->caller = caller;
    holder->incarnation = incarnation;
    atomic_store(&holder->host, host + 1);
    return owner;
}

/* In a step that the agent takes: for which job. The agent is one thread of a rank, whose others ask for themselves. */
static MUSTER__THREAD_LOCAL const struct job *stepping;

uint32_t muster__holder(const struct muster__step *step)
{
    const struct job *job = stepping;
    if (step->self || !job)
        return step->self;
    return holder_get(job->host, job->caller, job->incarnation);
}

uint32_t muster__asker(void)
{
    return stepping ? holder_get(stepping->host, stepping->caller, stepping->incarnation) : 0;
}

/* Calls of the holder's that are called off but wait for a latch: they give back themselves what waiting has changed.
 */
static bool is_leaving(uint32_t owner)
{
    bool is_host = muster__owner_is_host(owner);
    int host = muster__holder_host(owner);
    for (int i = 0; again && i < BUCKETS; i++)
        for (const struct job *job = buckets[i]; job; job = job->next) {
            const struct muster__remote_holder *holder = is_host ? NULL : muster__remote_holder(owner);
            bool its =
                is_host ? job->host == host : job->caller == holder->caller && job->incarnation == holder->incarnation;
            if (its && job->canceled && job->again)
                return true;
        }
    return false;
}

/* A number is another's only when all that its holder held was swept. */
static void sweep_later(uint64_t owner, uint64_t self)
{
    if (is_leaving((uint32_t)owner)) {
        muster__put_off(sweep_later, owner, self);
        return;
    }
    muster__self_state.busy = false;
    muster__sweep_owner((uint32_t)owner, (uint32_t)self);
    if (muster__self_state.busy)
        muster__put_off(sweep_later, owner, self);
    else if (!muster__owner_is_host((uint32_t)owner))
        atomic_store(&muster__remote_holder((uint32_t)owner)->host, 0);
}

static void holder_end(uint32_t owner)
{
    atomic_store(&muster__remote_holder(owner)->host, HOLDER_ENDS);
    sweep_later(owner, muster__self_state.number);
}

/* ---- answers ---- */

/* What was claimed, until it is taken or undone: jobs without a waiter. */
static struct job *claims;

static struct job **claim_of(int host, uint64_t id)
{
    struct job **link = &claims;
    while (*link && !((*link)->host == host && (*link)->id == id))
        link = &(*link)->next;
    return link;
}

static char *copied(const void *bytes, size_t size)
{
    char *copy = malloc(size);
    MUSTER__CHECK_EQ(copy != NULL, true);
    memcpy(copy, bytes, size);
    return copy;
}

/* The job keeps nothing of it but its own bytes. */
static void keep_claim(struct job *job, const struct muster__arg *arg)
{
    struct job *claim = malloc(sizeof *claim);
    MUSTER__CHECK_EQ(claim != NULL, true);
    *claim = *job;
    claim->next = claims;
    claim->waiter = 0;
    claim->bytes = job->size && !job->block ? copied(job->bytes, job->size) : NULL;
    memcpy(claim->in, arg->in, sizeof claim->in);
    job->block = 0;
    job->own = 0;
    claims = claim;
}

static void end_claim(struct job **link)
{
    struct job *claim = *link;
    *link = claim->next;
    free(claim->bytes);
    muster__heap_free(claim->block, muster__self_state.number);
    free(claim);
}

/* What became of a call, told to who asked. */
static void conclude(struct job *job, muster_err err, struct muster__arg *arg)
{
    char text[REMOTE_TEXT] = "";
    if (job->claims && muster__commits(err))
        keep_claim(job, arg);
    if (job->host == this_host()) {
        if (job->done)
            job->done(object_of(job), err, arg->out);
        return;
    }
    if (err == MUSTER_ERR_STALE)
        snprintf(text, sizeof text, "%s: this handle's %s was destroyed or never created", job->op->name,
                 muster__class_name((enum muster__kind)job->kind));
    else if (!muster__commits(err))
        muster__failed_text(object_of(job), job->op->name, err, text, sizeof text);
    letter_answer(job->host, job->id, object_of(job), 0, err, text, arg);
}

/* ---- stepping ---- */

/* Small results lie here until they are copied into a letter. */
static _Alignas(16) unsigned char room[REMOTE_INLINE];

static struct muster__arg arg_of(const struct job *job)
{
    struct muster__arg arg = {.bytes = job->block ? muster__heap_at(job->block) : job->bytes,
                              .size = job->size,
                              .room = room,
                              .capacity = job->capacity,
                              .own = job->own,
                              .bytes_block = job->block,
                              .takes_block = true};
    memcpy(arg.in, job->in, sizeof arg.in);
    return arg;
}

static uint32_t self_of(const struct job *job)
{
    return job->of_host ? MUSTER__OWNER_HOST + (uint32_t)job->host : 0;
}

static struct muster__step step_of(struct job *job, struct muster__object *object, struct muster__arg *arg)
{
    return (struct muster__step){.object = object,
                                 .generation = job->generation,
                                 .self = self_of(job),
                                 .host = job->host,
                                 .arg = arg,
                                 .called = job->called,
                                 .watches = job->watches,
                                 .nowait = job->nowait,
                                 .claims = job->claims,
                                 .waited = job->waiter && !job->nowait};
}

static muster_err take_step(struct job *job, struct muster__step *step)
{
    bool patient = muster__class_of((enum muster__kind)job->kind)->patient;
    muster__hurry(!patient);
    stepping = job;
    muster_err err = muster__step(job->op, step);
    stepping = NULL;
    muster__hurry(true);
    job->own = step->arg->own;
    job->block = step->arg->bytes_block;
    return err;
}

/* Without time to wait, for answers of agents alone. */
static bool waits_on(const struct job *job, muster_err err)
{
    return !job->canceled && (err == (muster_err)MUSTER__ASKING || (err == (muster_err)MUSTER__WAIT && !job->nowait));
}

static muster_err late(const struct job *job)
{
    return job->nowait ? job->op->late_now : job->op->late;
}

/* ---- parking ---- */

static struct muster__object *pin(const struct job *job)
{
    return muster__object_pin(object_of(job), (enum muster__kind)job->kind);
}

/* Stands in the line of what the last step waits for, where it stood if it did, and looks once more. */
static muster_err stand(struct job *job, struct muster__step *step)
{
    muster_err err;
    struct muster__event *event;
    do {
        event = step->event;
        if (!muster__event_unhang(job->waiter) ||
            !muster__event_hang(event, job->waiter, job->watches ? MUSTER__WATCHES : 0, true))
            return MUSTER__AGAIN;
        step->rests = true;
        err = take_step(job, step);
        step->rests = false;
    } while (muster__would_wait(err) && step->event != event);
    if (muster__would_wait(err))
        step->called = job->called = false;
    muster__waiter(job->waiter)->on = step->on;
    return err;
}

static void set_again(struct job *job, bool is)
{
    again += is - job->again;
    job->again = is;
}

static void unlink_job(struct job *job)
{
    struct job **link = bucket_of(job->host, job->host == this_host() ? 0 : job->id);
    while (*link != job)
        link = &(*link)->next;
    *link = job->next;
    job_of[job->waiter - MUSTER__CALLERS_MAX] = NULL;
    set_again(job, false);
    parked--;
}

static void free_job(struct job *job)
{
    muster__waiter_free(job->waiter);
    free(job->bytes);
    muster__heap_free(job->block, muster__self_state.number);
    free(job);
}

/* Leaves its line; a call that came meanwhile is passed on. */
static void get_out(uint64_t address, uint64_t committed)
{
    struct job *job = (struct job *)(uintptr_t)address;
    struct muster__waiter *waiter = muster__waiter(job->waiter);
    if (!muster__event_unhang(job->waiter)) {
        muster__put_off(get_out, address, committed);
        return;
    }
    struct muster__arg arg = arg_of(job);
    struct muster__object *object = pin(job);
    struct muster__step step = step_of(job, object, &arg);
    step.called = !job->watches && ((job->called && !committed) || muster__waiter_called(waiter));
    if (object && job->op->leave && !job->watches && (step.called || !committed))
        job->op->leave(&step);
    else if (step.called)
        muster__event_signal(muster__at(waiter->from), 1);
    if (object)
        muster__object_unpin();
    free_job(job);
}

/* Whoever is told that it was in vain may ask again at once: what its waiting has changed is to be undone by then, for
 * which it has to be out of the line. */
static bool may_end(const struct job *job, muster_err err)
{
    return muster__commits(err) || muster__event_unhang(job->waiter);
}

/* Steps a parked job; it is gone when that is over. */
static void go_on(struct job *job)
{
    struct muster__arg arg = arg_of(job);
    struct muster__object *object = pin(job);
    struct muster__step step = step_of(job, object, &arg);
    set_again(job, false);
    muster_err err = object ? take_step(job, &step) : MUSTER_ERR_STALE;
    if (waits_on(job, err))
        err = stand(job, &step);
    if (object)
        muster__object_unpin();
    if (err != (muster_err)MUSTER__AGAIN && waits_on(job, err))
        return;
    if (err == (muster_err)MUSTER__AGAIN || !may_end(job, err)) {
        set_again(job, true);
        return;
    }
    err = muster__would_wait(err) ? late(job) : muster__ended(&step, err);
    unlink_job(job);
    conclude(job, err, &arg);
    get_out((uint64_t)(uintptr_t)job, muster__commits(err));
}

/* False: too many wait. */
static bool park(struct job *like, const void *payload)
{
    uint32_t waiter = muster__waiter_make();
    struct job *job = waiter ? malloc(sizeof *job) : NULL;
    if (!job)
        return false;
    if (!job_of)
        job_of = calloc(muster__segment->waiters_max, sizeof *job_of);
    MUSTER__CHECK_EQ(job_of != NULL, true);
    *job = *like;
    job->waiter = waiter;
    job->bytes = NULL;
    if (job->size && !job->block) {
        job->bytes = copied(payload, job->size);
    }
    like->block = 0;
    struct job **bucket = bucket_of(job->host, job->host == this_host() ? 0 : job->id);
    job->next = *bucket;
    *bucket = job;
    job_of[waiter - MUSTER__CALLERS_MAX] = job;
    parked++;
    muster__waits_for(waiter, object_of(job), (uint32_t)(job->op - muster__class_of(job->kind)->ops), 0, job->host);
    muster__waiter(waiter)->caller = job->of_host ? 0 : job->caller;
    go_on(job);
    return true;
}

/* It was to wait, and cannot. */
static muster_err no_place(struct job *job, struct muster__step *step)
{
    if (job->op->leave && !job->watches)
        job->op->leave(step);
    job->block = step->arg->bytes_block;
    return MUSTER_ERR_NOMEM;
}

/* Takes the first step. */
static muster_err begin(struct job *job, const void *payload)
{
    struct muster__arg arg = arg_of(job);
    struct muster__object *object = pin(job);
    struct muster__step step = step_of(job, object, &arg);
    muster_err err = object ? take_step(job, &step) : MUSTER_ERR_STALE;
    bool parked_it = waits_on(job, err) && park(job, payload);
    if (waits_on(job, err) && !parked_it)
        err = no_place(job, &step);
    if (object)
        muster__object_unpin();
    if (parked_it || err == (muster_err)MUSTER__AGAIN)
        return parked_it ? MUSTER_OK : err;
    conclude(job, muster__would_wait(err) ? late(job) : err, &arg);
    return MUSTER_OK;
}

/* ---- what the agent is asked ---- */

static muster_err make(int host, const struct frame *frame, const void *payload)
{
    struct muster__arg arg = {0}, nothing = {0};
    enum muster__kind kind = (enum muster__kind)(frame->object.kind_home >> 24);
    char name[33] = "";
    muster_handle made;
    if (frame->size < 32)
        return MUSTER_OK;
    memcpy(arg.in, frame->call.in, sizeof arg.in);
    memcpy(name, payload, 32);
    arg.bytes = (const char *)payload + 32;
    arg.size = frame->size - 32;
    struct job job = {.host = host, .caller = frame->call.caller, .incarnation = frame->call.incarnation};
    stepping = &job;
    muster_err err = muster__object_make(kind, name, &arg, &made);
    stepping = NULL;
    if (muster__again(err) == (muster_err)MUSTER__AGAIN)
        return MUSTER__AGAIN;
    if (!err)
        memcpy(nothing.out, &made, sizeof made);
    letter_answer(host, frame->id, frame->object, REMOTE_MAKE, err, muster_err_detail(), &nothing);
    return MUSTER_OK;
}

static muster_err end(int host, const struct frame *frame)
{
    struct muster__arg nothing = {0};
    enum muster__kind kind = (enum muster__kind)(frame->object.kind_home >> 24);
    struct muster__object *object = muster__object_find(frame->object, kind);
    bool ended = object && muster__object_end(object, frame->object.generation, muster__self_state.number);
    muster_err err = ended ? MUSTER_OK : muster__object_stale(kind, "destroy");
    letter_answer(host, frame->id, frame->object, REMOTE_END, err, muster_err_detail(), &nothing);
    return MUSTER_OK;
}

muster_err home_call(int host, const struct frame *frame, const void *payload, muster__ref *block)
{
    struct muster__arg nothing = {0};
    uint32_t kind = frame->object.kind_home >> 24;
    const struct muster__class *class = muster__class_of((enum muster__kind)kind);
    if (frame->flags & CALL_ERRAND) {
        errand_begin(host, frame, payload, *block);
        *block = 0;
        return MUSTER_OK;
    }
    if (class && frame->operation == REMOTE_MAKE)
        return make(host, frame, payload);
    if (class && frame->operation == REMOTE_END)
        return end(host, frame);
    if (!class || !class->ops || frame->operation >= class->op_count ||
        (frame->flags & CALL_WATCH && !class->ops[frame->operation].watch)) {
        letter_answer(host, frame->id, frame->object, frame->operation, MUSTER_ERR_UNSUPPORTED,
                      "this operation does not go between hosts", &nothing);
        return MUSTER_OK;
    }
    struct job job = {.op = &class->ops[frame->operation],
                      .id = frame->id,
                      .slot = frame->object.slot,
                      .generation = frame->object.generation,
                      .host = host,
                      .caller = frame->call.caller,
                      .incarnation = frame->call.incarnation,
                      .kind = (uint8_t)kind,
                      .of_host = frame->flags & CALL_OF_HOST,
                      .watches = frame->flags & CALL_WATCH,
                      .nowait = frame->flags & CALL_NOWAIT,
                      .claims = frame->flags & CALL_CLAIMS && class->ops[frame->operation].taken,
                      .bytes = (char *)(uintptr_t)payload,
                      .block = *block,
                      .size = frame->size,
                      .capacity = frame->call.capacity};
    memcpy(job.in, frame->call.in, sizeof job.in);
    job.in[2] = job.claims ? 0 : job.in[2];
    muster_err err = begin(&job, payload);
    *block = job.block;
    return err;
}

void muster__agent_do(muster_handle object, uint32_t op, const int64_t in[3],
                      void (*done)(muster_handle object, muster_err err, const int64_t out[2]))
{
    uint32_t kind = object.kind_home >> 24;
    struct job job = {.op = &muster__class_of((enum muster__kind)kind)->ops[op],
                      .done = done,
                      .slot = object.slot,
                      .generation = object.generation,
                      .host = this_host(),
                      .kind = (uint8_t)kind,
                      .of_host = true};
    memcpy(job.in, in, sizeof job.in);
    if (begin(&job, NULL) != MUSTER_OK && !park(&job, NULL))
        MUSTER__CHECK_EQ(parked, 0); /* the agent's own are few: there is a place for them */
}

/* Its handle came too late, and so nobody has it. */
static void undo_make(const struct frame *frame)
{
    muster_handle made;
    memcpy(&made, frame->call.in, sizeof made);
    struct muster__object *object = muster__object_find(made, (enum muster__kind)(made.kind_home >> 24));
    if (object)
        muster__object_end(object, made.generation, muster__self_state.number);
}

/* frame: what undoes it; NULL: its host was lost. OK, also when there is none; MUSTER__AGAIN. */
static muster_err undo_claim(struct job **link, const struct frame *frame, const void *payload)
{
    struct job *claim = *link;
    struct muster__object *object = claim ? pin(claim) : NULL;
    muster__self_state.busy = false;
    if (object) {
        struct muster__arg arg = arg_of(claim);
        struct muster__step step = step_of(claim, object, &arg);
        arg.bytes = payload;
        arg.size = frame ? frame->size : 0;
        if (frame)
            memcpy(arg.out, frame->call.in, sizeof arg.out);
        claim->op->undo(&step, !frame || frame->flags & CALL_DIED);
        muster__object_unpin();
    }
    if (muster__self_state.busy)
        return MUSTER__AGAIN;
    if (claim)
        end_claim(link);
    return MUSTER_OK;
}

static muster_err taken(struct job **link)
{
    struct job *claim = *link;
    struct muster__object *object = claim ? pin(claim) : NULL;
    if (object) {
        struct muster__arg arg = arg_of(claim);
        struct muster__step step = step_of(claim, object, &arg);
        muster_err err = claim->op->taken(&step);
        claim->own = arg.own;
        claim->block = arg.bytes_block;
        muster__object_unpin();
        if (err == (muster_err)MUSTER__AGAIN)
            return err;
    }
    if (claim)
        end_claim(link);
    return MUSTER_OK;
}

muster_err home_taken(int host, const struct frame *frame, const void *payload, muster__ref *block)
{
    (void)payload;
    (void)block;
    return taken(claim_of(host, frame->id));
}

/* Its caller is nowhere any more. */
static void claim_lost(uint64_t address, uint64_t host)
{
    struct job **link = &claims;
    while (*link && *link != (struct job *)(uintptr_t)address)
        link = &(*link)->next;
    if (undo_claim(link, NULL, NULL) == (muster_err)MUSTER__AGAIN)
        muster__put_off(claim_lost, address, host);
}

static void claims_lost(int host)
{
    for (struct job *claim = claims, *next; claim; claim = next) {
        next = claim->next;
        if (claim->host == host)
            claim_lost((uint64_t)(uintptr_t)claim, (uint64_t)host);
    }
}

muster_err home_undo(int host, const struct frame *frame, const void *payload, muster__ref *block)
{
    uint32_t kind = frame->object.kind_home >> 24;
    const struct muster__class *class = muster__class_of((enum muster__kind)kind);
    if (frame->operation == REMOTE_MAKE) {
        undo_make(frame);
        return MUSTER_OK;
    }
    if (!class || !class->ops || frame->operation >= class->op_count || !class->ops[frame->operation].undo)
        return MUSTER_OK;
    if (frame->flags & CALL_CLAIMS)
        return undo_claim(claim_of(host, frame->id), frame, payload);
    struct job job = {.op = &class->ops[frame->operation],
                      .slot = frame->object.slot,
                      .generation = frame->object.generation,
                      .host = host,
                      .caller = frame->call.caller,
                      .incarnation = frame->call.incarnation,
                      .kind = (uint8_t)kind,
                      .bytes = (char *)(uintptr_t)payload,
                      .block = *block,
                      .size = frame->size};
    struct muster__arg arg = arg_of(&job);
    arg.out[0] = frame->call.in[0];
    arg.out[1] = frame->call.in[1];
    arg.in[0] = frame->call.in[2];
    struct muster__object *object = pin(&job);
    if (!object)
        return MUSTER_OK;
    struct muster__step step = step_of(&job, object, &arg);
    step.granted = (muster_err)frame->call.capacity;
    stepping = &job;
    job.op->undo(&step, frame->flags & CALL_DIED);
    stepping = NULL;
    muster__object_unpin();
    *block = arg.bytes_block;
    return muster__self_state.busy ? (muster_err)MUSTER__AGAIN : MUSTER_OK;
}

/* ---- calling off ---- */

bool home_cancel(int host, uint64_t id)
{
    struct job *job = *bucket_of(host, id);
    while (job && !(job->host == host && job->id == id))
        job = job->next;
    if (!job)
        return false;
    job->canceled = true;
    go_on(job);
    return true;
}

/* whose calls */
struct asker {
    int host;
    uint32_t caller, incarnation;
};

static void cancel_all(bool (*is_it)(const struct job *job, const struct asker *who), const struct asker *who)
{
    for (int i = 0; parked && i < BUCKETS; i++)
        for (struct job *job = buckets[i], *next; job; job = next) {
            next = job->next;
            if (!is_it(job, who))
                continue;
            job->canceled = true;
            go_on(job);
        }
}

static bool is_callers(const struct job *job, const struct asker *who)
{
    return !job->of_host && job->host == who->host && job->caller == who->caller &&
           job->incarnation == who->incarnation;
}

static bool is_hosts(const struct job *job, const struct asker *who)
{
    return job->host == who->host;
}

void home_gone(int host, uint32_t caller, uint32_t incarnation, bool died)
{
    (void)died;
    held_gone(host, caller, incarnation);
    cancel_all(is_callers, &(struct asker){host, caller, incarnation});
    uint32_t owner = holder_find(host, caller, incarnation);
    if (owner)
        holder_end(owner);
}

void home_lost(int host)
{
    cancel_all(is_hosts, &(struct asker){.host = host});
    claims_lost(host);
    for (uint32_t owner = MUSTER__OWNER_REMOTE; owner < holders_end; owner++)
        if (is_holder(owner, host))
            holder_end(owner);
    sweep_later(MUSTER__OWNER_HOST + (uint32_t)host, muster__self_state.number);
}

/* ---- looking ---- */

static bool stepped;

static void told(uint32_t waiter)
{
    struct job *job = job_of ? job_of[waiter - MUSTER__CALLERS_MAX] : NULL;
    if (!job) /* it is over, and gets out of the line later: see there */
        return;
    atomic_store(&muster__waiter(waiter)->state, MUSTER__WAITER_IDLE);
    job->called = true;
    stepped = true;
    go_on(job);
}

static void try_again(void)
{
    for (int i = 0; again && i < BUCKETS; i++)
        for (struct job *job = buckets[i], *next; job; job = next) {
            next = job->next;
            if (job->again)
                go_on(job);
        }
}

bool home_tries_again(void)
{
    return again != 0;
}

bool home_look(void)
{
    stepped = false;
    if (again)
        try_again();
    if (parked)
        muster__called_take(told);
    return stepped;
}
