/* SPDX-License-Identifier: BSD-3-Clause */
#include "remote/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A home that is asked to call something off answers within so long, or nobody waits for it. */
#define GRACE_NS INT64_C(15000000)
/* So long what does not wait may take: a message there and back. */
#define TRY_NS INT64_C(250000000)

/* ---- the caller's side ---- */

void call_free(struct asked *asked, uint32_t self)
{
    struct muster__caller *caller = muster__caller(asked->caller);
    muster__heap_free(asked->bytes, self);
    muster__heap_free(asked->self, self);
    atomic_fetch_sub(&caller->calls, 1);
}

/* By its caller. False: it was answered meanwhile. */
static bool give_up(struct asked *asked)
{
    uint32_t open = ASKED, owner = MUSTER__OWNER_CALLS + asked->caller;
    struct muster__caller *caller = muster__caller(asked->caller);
    muster__ref self = asked->self, bytes = asked->bytes;
    if (!atomic_compare_exchange_strong(&asked->state, &open, GIVEN_UP))
        return false;
    muster__heap_hand_over(bytes, owner, MUSTER__OWNER_WIRE); /* if they are there still */
    muster__heap_hand_over(self, owner, MUSTER__OWNER_WIRE);
    atomic_fetch_sub(&caller->calls, 1);
    return true;
}

static muster_err no_room(const char *operation, size_t size)
{
    return muster__fail(MUSTER_ERR_NOMEM, "%s: no %zu B left in the host segment for what goes to another host",
                        operation, size);
}

struct asked *call_make(muster_handle object, int host, const void *bytes, size_t size, const char *operation)
{
    uint32_t self = muster__self_number();
    if (!self || !office()) {
        muster__object_stale((enum muster__kind)(object.kind_home >> 24), operation);
        return NULL;
    }
    struct asked *asked = asked_make(ASKED_CALL, self);
    if (!asked) {
        no_room(operation, sizeof *asked);
        return NULL;
    }
    asked->host = host;
    asked->object = object;
    asked->size = size;
    if (!size)
        return asked;
    asked->bytes = asked_alloc(size, self);
    if (!asked->bytes) {
        call_free(asked, self);
        no_room(operation, size);
        return NULL;
    }
    memcpy(muster__heap_at(asked->bytes), bytes, size);
    return asked;
}

void call_post(struct asked *asked)
{
    asked_post(asked, muster__self_state.number);
}

static void cancel(const struct asked *asked)
{
    uint32_t self = muster__self_number();
    struct asked *word = asked_make(ASKED_CANCEL, self);
    if (!word)
        return; /* it ends when it ends */
    word->host = asked->host;
    word->canceled = asked->self;
    word->object = asked->object;
    asked_post(word, self);
}

static bool is_answered(struct asked *asked)
{
    return atomic_load_explicit(&asked->state, memory_order_acquire) == ANSWERED;
}

/* By who works meanwhile, which is told to wait anew then. */
static muster_err work_or_sleep(const struct asked *asked, uint32_t seen)
{
    bool worked = false;
    muster_err err = muster__meanwhile->work_or_sleep(seen, &worked);
    if (worked)
        muster__waits_for(muster__waiter_own(), asked->object, asked->operation, 0, (int)muster__segment->host);
    return err;
}

static muster_err wait_until(struct asked *asked, int64_t deadline_ns, bool works)
{
    struct muster__spin spin = {0};
    _Atomic uint32_t *bell = &muster__self_state.caller->bell;
    for (;;) {
        uint32_t seen = atomic_load(bell);
        if (is_answered(asked))
            return MUSTER_OK;
        if (muster__spin(&spin))
            continue;
        muster__stands_by(asked->object, MUSTER__FOR_ANSWER);
        muster_err err = works ? work_or_sleep(asked, seen) : muster__sleep(bell, seen, deadline_ns);
        if (err != MUSTER_OK)
            return is_answered(asked) ? MUSTER_OK : err;
    }
}

/* Called off once, it is soon answered, with what it came to; unless home is stopped or gone. What nobody could undo
 * is waited for then, too: without a deadline there is time. *why: what ended the wait for it before that. */
static muster_err wait_or(struct asked *asked, int64_t deadline_ns, bool works, muster_err *why)
{
    *why = wait_until(asked, deadline_ns, works);
    if (*why == MUSTER_OK)
        return MUSTER_OK;
    struct muster__caller *caller = muster__self_state.caller;
    bool heeds = caller->heeds_signal, is_final = asked->is_final;
    muster_err late;
    if (!asked->nowait)
        cancel(asked);
    caller->heeds_signal = false;
    do
        late = wait_until(asked, is_final ? MUSTER__NEVER : muster__now_ns() + GRACE_NS, false);
    while (late != MUSTER_OK && is_final);
    caller->heeds_signal = heeds;
    if (late != MUSTER_OK && give_up(asked))
        return *why;
    if (*why == MUSTER_ERR_INTERRUPTED && !muster__commits(asked->err)) { /* why it was called off */
        asked->err = *why;
        muster__fail_interrupted();
        snprintf(asked->text, sizeof asked->text, "%s", muster_err_detail());
    }
    return MUSTER_OK;
}

muster_err call_wait(struct asked *asked, int64_t deadline_ns)
{
    muster_err why, err = wait_or(asked, deadline_ns, false, &why);
    muster__stands_by_no_more();
    return err;
}

/* ---- an operation ---- */

static void take_reply(struct asked *asked, struct muster__arg *arg, uint32_t self)
{
    memcpy(arg->out, asked->out, sizeof arg->out);
    arg->got = asked->got;
    if (!asked->reply)
        return;
    if (arg->takes_block) {
        muster__heap_hand_over(asked->reply, MUSTER__OWNER_CALLS + asked->caller, self);
        arg->room_block = asked->reply;
        return;
    }
    memcpy(arg->room, muster__heap_at(asked->reply), asked->got);
    muster__heap_free(asked->reply, self);
}

static const char *home_name(muster_handle handle)
{
    return muster__host_name_of(muster__handle_home(handle));
}

static muster_err gave_up(const struct muster__op *op, muster_handle handle, muster_err err, int64_t timeout_ms)
{
    if (err != MUSTER_ERR_TIMEOUT)
        return err;
    err = timeout_ms == MUSTER_NOWAIT ? op->late_now : op->late;
    return muster__fail(err, "%s %u of host %s: %s: %s; that host did not answer in time",
                        muster__class_name((enum muster__kind)(handle.kind_home >> 24)), handle.slot, home_name(handle),
                        op->name, muster_err_text(err));
}

struct then {
    void (*call)(void *of);
    void *of;
};

struct how {
    int64_t timeout_ms;
    int64_t until_ns; /* of one that does not wait: nor for its answer after this; 0: TRY_NS */
    bool watches;
    struct then then; /* once it is asked; NULL: nothing */
};

static int64_t until(const struct how *how)
{
    int64_t tried = muster__now_ns() + TRY_NS;
    if (how->timeout_ms != MUSTER_NOWAIT)
        return muster__deadline_ns(how->timeout_ms);
    return how->until_ns && how->until_ns < tried ? how->until_ns : tried;
}

static muster_err do_there(muster_handle handle, const struct muster__op *op, uint32_t number, struct muster__arg *arg,
                           const struct how *how)
{
    uint32_t self = muster__self_number();
    struct asked *asked = call_make(handle, muster__handle_home(handle), arg->bytes, arg->size, op->name);
    if (!asked)
        return office() ? MUSTER_ERR_NOMEM : MUSTER_ERR_STALE;
    asked->operation = number;
    asked->capacity = arg->capacity;
    asked->takes_block = arg->takes_block;
    asked->nowait = how->timeout_ms == MUSTER_NOWAIT;
    asked->watches = how->watches;
    bool hurries = how->timeout_ms != MUSTER_FOREVER || op->claims;
    asked->claims = hurries && op->taken && !how->watches;
    asked->is_final = !hurries && (op->taken || !op->undo) && !how->watches;
    memcpy(asked->in, arg->in, sizeof asked->in);
    int64_t deadline = until(how);
    uint32_t waiter = muster__waiter_own();
    call_post(asked);
    if (how->then.call)
        how->then.call(how->then.of);
    muster__waits_for(waiter, handle, number, 0, (int)muster__segment->host);
    bool works = !how->watches && muster__meanwhile_begin(op, how->timeout_ms);
    muster_err why, err = wait_or(asked, deadline, works, &why);
    if (works)
        muster__meanwhile->over();
    muster__waits_no_more(waiter);
    if (err)
        return gave_up(op, handle, err, how->timeout_ms);
    err = asked->err;
    take_reply(asked, arg, self);
    if (err == op->late && (why == MUSTER_ERR_INTERRUPTED || why == MUSTER_ERR_DEADLOCK))
        err = why; /* nothing was too late: it was called off */
    else if (err)
        muster__fail(err, "%s", asked->text);
    call_free(asked, self);
    return err;
}

static muster_err __attribute__((noinline)) do_not_here(struct muster__words words, enum muster__kind kind,
                                                        uint32_t number, struct muster__arg *arg, int64_t timeout_ms)
{
    muster_handle handle = muster__handle_of(words);
    const struct muster__op *op = &muster__class_of(kind)->ops[number];
    if (muster__is_remote(handle, kind))
        return do_there(handle, op, number, arg, &(struct how){.timeout_ms = timeout_ms});
    return muster__object_stale(kind, op->name);
}

static muster_err __attribute__((noinline, cold))
do_failed(struct muster__words words, const struct muster__op *op, muster_err err)
{
    return muster__failed(muster__handle_of(words), op->name, err);
}

muster_err muster__do(muster_handle handle, enum muster__kind kind, uint32_t number, struct muster__arg *arg,
                      int64_t timeout_ms)
{
    struct muster__words words = muster__words_of(handle);
    const struct muster__op *op = &muster__class_of(kind)->ops[number];
    if (MUSTER__UNLIKELY(timeout_ms < MUSTER_FOREVER))
        return muster__timeout_refused(op->name, timeout_ms);
    if (muster__counts())
        muster__count(muster__handle_of(words));
    struct muster__object *object = muster__object_pin_words(words, kind);
    if (MUSTER__UNLIKELY(!object))
        return do_not_here(words, kind, number, arg, timeout_ms);
    struct muster__step step = {.object = object,
                                .generation = (uint32_t)words.high,
                                .self = muster__self_state.number,
                                .host = (int)muster__segment->host,
                                .arg = arg};
    muster_err err = muster__do_here(op, &step, timeout_ms);
    muster__object_unpin();
    return MUSTER__LIKELY(err == MUSTER_OK) ? MUSTER_OK : do_failed(words, op, err);
}

muster_err call_try(muster_handle handle, enum muster__kind kind, uint32_t number, struct muster__arg *arg,
                    int64_t deadline_ns)
{
    const struct muster__op *op = &muster__class_of(kind)->ops[number];
    if (!muster__is_remote(handle, kind))
        return muster__do(handle, kind, number, arg, MUSTER_NOWAIT);
    muster__count(handle);
    return do_there(handle, op, number, arg, &(struct how){.until_ns = deadline_ns});
}

muster_err muster__do_then(muster_handle handle, enum muster__kind kind, uint32_t number, struct muster__arg *arg,
                           int64_t timeout_ms, void (*then)(void *of), void *of)
{
    const struct muster__op *op = &muster__class_of(kind)->ops[number];
    if (muster__is_remote(handle, kind))
        return do_there(handle, op, number, arg, &(struct how){.timeout_ms = timeout_ms, .then = {then, of}});
    struct muster__object *object = muster__object_pin(handle, kind);
    if (!object)
        return muster__object_stale(kind, op->name);
    struct muster__step step = {.object = object,
                                .generation = handle.generation,
                                .self = muster__self_state.number,
                                .host = (int)muster__segment->host,
                                .arg = arg};
    muster_err err = muster__step(op, &step);
    if (muster__would_wait(err)) {
        then(of);
        err = muster__do_waiting(op, &step, timeout_ms);
    }
    muster__object_unpin();
    return err ? muster__failed(handle, op->name, err) : MUSTER_OK;
}

/* ---- watching ---- */

struct asked *call_watch(muster_handle handle, uint32_t number, const struct muster__arg *arg)
{
    struct asked *asked = call_make(handle, muster__handle_home(handle), arg->bytes, arg->size, "muster_select");
    if (!asked)
        return NULL;
    asked->operation = number;
    asked->watches = true;
    memcpy(asked->in, arg->in, sizeof asked->in);
    call_post(asked);
    return asked;
}

muster_err call_watched(struct asked *watch, struct muster__arg *arg)
{
    if (!is_answered(watch))
        return MUSTER__WAIT;
    muster_err err = watch->err;
    if (err)
        muster__fail(err, "%s", watch->text);
    else
        memcpy(arg->out, watch->out, sizeof arg->out);
    call_free(watch, muster__self_state.number);
    return err;
}

muster_err muster__watch_begin(muster_handle handle, uint32_t number, const struct muster__arg *arg, muster__ref *watch)
{
    const struct asked *asked = call_watch(handle, number, arg);
    *watch = asked ? asked->self : 0;
    return asked ? MUSTER_OK : office() ? MUSTER_ERR_NOMEM : MUSTER_ERR_STALE;
}

muster_err muster__watch_end(muster__ref watch, struct muster__arg *arg)
{
    return call_watched(muster__heap_at(watch), arg);
}

void muster__watch_leave(muster__ref watch)
{
    call_watch_no_more(muster__heap_at(watch));
}

void call_watch_no_more(struct asked *watch)
{
    cancel(watch);
    if (!give_up(watch))
        call_free(watch, muster__self_state.number);
}

muster_err call_and_watch(muster_handle handle, uint32_t number, struct muster__arg *arg, int64_t timeout_ms)
{
    const struct muster__op *op = &muster__class_of((enum muster__kind)(handle.kind_home >> 24))->ops[number];
    return do_there(handle, op, number, arg, &(struct how){.timeout_ms = timeout_ms, .watches = true});
}

muster_err muster__gone(muster_handle handle, const char *operation)
{
    int home = muster__handle_home(handle);
    if (home < muster_hosts() && muster__host_lost(home))
        return muster__fail(MUSTER_ERR_PEER, "%s: host %s is gone, and what was at home there with it", operation,
                            muster__host_name_of(home));
    return muster__object_stale((enum muster__kind)(handle.kind_home >> 24), operation);
}

/* ---- calls in steps ---- */

muster_err muster__remote_begin(struct muster__call *call, const char *operation)
{
    int host = call->at ? call->at - 1 : muster__handle_home(call->object);
    struct asked *asked = call_make(call->object, host, call->bytes, call->size, operation);
    if (!asked)
        return office() ? MUSTER_ERR_NOMEM : MUSTER_ERR_STALE;
    asked->operation = call->operation;
    asked->errand = call->errand;
    asked->capacity = call->capacity;
    asked->timeout_ms = call->timeout_ms;
    call->asked = asked->self;
    call_post(asked);
    return MUSTER_OK;
}

bool muster__remote_ready(const struct muster__call *call)
{
    return is_answered(muster__heap_at(call->asked));
}

void muster__remote_cancel(const struct muster__call *call)
{
    cancel(muster__heap_at(call->asked));
}

muster_err muster__remote_end(struct muster__call *call)
{
    struct asked *asked = muster__heap_at(call->asked);
    uint32_t self = muster__self_state.number;
    muster_err err = call_wait(asked, MUSTER__NEVER);
    if (err)
        return err;
    err = asked->err;
    call->reply_size = asked->got;
    if (asked->reply) {
        memcpy(call->reply, muster__heap_at(asked->reply), asked->got);
        muster__heap_free(asked->reply, self);
    }
    if (err)
        muster__fail(err, "%s", asked->text);
    call_free(asked, self);
    return err;
}

muster_err muster__remote_call(struct muster__call *call, const char *operation)
{
    muster_err err = muster__remote_begin(call, operation);
    return err ? err : muster__remote_end(call);
}
