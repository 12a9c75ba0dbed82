#include "remote/internal.h"

#include <stdio.h>
#include <string.h>

/* ---- the caller's side ---- */

void asked_post(struct asked *asked, uint32_t self)
{
    struct office *box = office();
    muster__heap_hand_over(asked->self, self, MUSTER__REMOTE_OWNER);
    uint64_t head = atomic_load(&box->outbox);
    do
        asked->next = head;
    while (!atomic_compare_exchange_weak(&box->outbox, &head, asked->self));
    muster__ring(atomic_load(&box->agent));
}

struct asked *asked_make(enum asked_what what, uint32_t self)
{
    muster__ref ref = muster__heap_alloc(sizeof(struct asked), self);
    if (!ref)
        return NULL;
    struct asked *asked = muster__heap_at(ref);
    memset(asked, 0, sizeof *asked);
    asked->self = ref;
    asked->what = what;
    asked->caller = self;
    asked->incarnation = muster__caller(self)->incarnation;
    return asked;
}

static muster_err no_room(const char *operation, size_t size)
{
    return muster__fail(MUSTER_ERR_NOMEM, "%s: no %zu bytes left in the host segment for what goes to another host",
                        operation, size);
}

void muster__remote_cancel(const struct muster__call *call)
{
    uint32_t self = muster__self_number();
    struct asked *asked = muster__heap_at(call->asked), *word = asked_make(ASKED_CANCEL, self);
    if (!word)
        return; /* it ends when it ends */
    word->host = asked->host;
    word->canceled = asked->self;
    asked_post(word, self);
}

/* Interrupted waits go on until the home has answered: it may have done the operation just now. */
static void wait_answer(const struct muster__call *call, struct asked *asked)
{
    struct muster__caller *caller = muster__self_state.caller;
    bool heeds = caller->heeds_signal;
    struct muster__spin spin = {0};
    while (atomic_load_explicit(&asked->state, memory_order_acquire) != ANSWERED) {
        if (muster__spin(&spin) || muster__sleep(&asked->state, ASKED, MUSTER__NEVER, NULL) != MUSTER_ERR_INTERRUPTED)
            continue;
        caller->heeds_signal = false;
        muster__remote_cancel(call);
    }
    caller->heeds_signal = heeds;
}

static muster_err take_answer(struct asked *asked, struct muster__call *call, uint32_t self)
{
    muster_err err = asked->err;
    call->number = asked->number;
    call->reply_size = asked->reply_size;
    if (call->keeps) {
        muster__heap_hand_over(asked->reply, MUSTER__REMOTE_OWNER, self);
        call->reply_block = asked->reply;
    } else if (asked->reply) {
        memcpy(call->reply, muster__heap_at(asked->reply), asked->reply_size);
        muster__heap_free(asked->reply, self);
    }
    if (err)
        muster__fail(err, "%s", asked->text);
    muster__heap_free(asked->bytes, self);
    muster__heap_free(asked->self, self);
    return err;
}

static int host_asked(const struct muster__call *call)
{
    return call->at ? call->at - 1 : (int)(call->object.kind_home & 0xffffff);
}

bool muster__remote_note(const struct muster__call *call)
{
    uint32_t self = muster__self_number();
    struct office *box = office();
    int host = host_asked(call);
    if (!self || !box || muster__host_lost(host))
        return false;
    if (agent_is_this_thread()) {
        agent_note(host, call, 0);
        return true;
    }
    struct asked *asked = asked_make(ASKED_NOTE, self);
    if (!asked)
        return false;
    asked->host = host;
    asked->object = call->object;
    asked->operation = call->operation;
    asked->timeout_ms = call->timeout_ms;
    asked_post(asked, self);
    return true;
}

void muster__remote_note_block(struct muster__call *call, muster__ref block)
{
    call->bytes = muster__heap_at(block);
    agent_note(host_asked(call), call, block);
}

static muster_err begin(struct muster__call *call, const char *operation, bool rings)
{
    uint32_t self = muster__self_number();
    if (!self || !office())
        return muster__object_stale((enum muster__kind)(call->object.kind_home >> 24), operation);
    struct asked *asked = asked_make(ASKED_CALL, self);
    if (!asked)
        return no_room(operation, sizeof *asked);
    asked->host = host_asked(call);
    asked->object = call->object;
    asked->operation = call->operation;
    asked->timeout_ms = call->timeout_ms;
    asked->size = call->size;
    asked->capacity = call->capacity;
    asked->rings = rings;
    asked->anonymous = call->anonymous;
    asked->ordered = call->ordered;
    if (call->size) {
        asked->bytes = muster__heap_alloc(call->size, self);
        if (!asked->bytes) {
            muster__heap_free(asked->self, self);
            return no_room(operation, call->size);
        }
        memcpy(muster__heap_at(asked->bytes), call->bytes, call->size);
        muster__heap_hand_over(asked->bytes, self, MUSTER__REMOTE_OWNER);
    }
    muster__self_state.caller->asks |= !call->anonymous;
    call->asked = asked->self;
    asked_post(asked, self);
    return MUSTER_OK;
}

muster_err muster__remote_begin(struct muster__call *call, const char *operation)
{
    return begin(call, operation, true);
}

bool muster__remote_ready(const struct muster__call *call)
{
    struct asked *asked = muster__heap_at(call->asked);
    return atomic_load_explicit(&asked->state, memory_order_acquire) == ANSWERED;
}

muster_err muster__remote_end(struct muster__call *call)
{
    struct asked *asked = muster__heap_at(call->asked);
    wait_answer(call, asked);
    return take_answer(asked, call, muster__self_state.number);
}

muster_err muster__remote_call(struct muster__call *call, const char *operation)
{
    muster_err err = begin(call, operation, false);
    return err ? err : muster__remote_end(call);
}

muster_err muster__remote_make(int host, enum muster__kind kind, uint32_t operation, const void *bytes, size_t size,
                               const char *name, muster_handle *made)
{
    struct muster__call call = {.object = muster__host_handle(host, kind),
                                .operation = operation,
                                .anonymous = true,
                                .bytes = bytes,
                                .size = size,
                                .reply = made,
                                .capacity = sizeof *made};
    muster_err err = muster__remote_call(&call, name);
    if (err == MUSTER_OK)
        muster__count(*made);
    return err;
}

/* A caller that has asked other hosts for something has gone: what stands in for it there goes, too. */
static void caller_gone(uint32_t number, uint32_t incarnation, bool died)
{
    uint32_t self = muster__self_state.number;
    struct asked *asked = office() ? asked_make(ASKED_GONE, self) : NULL;
    if (!asked)
        return;
    asked->caller = number;
    asked->incarnation = incarnation;
    asked->died = died;
    asked_post(asked, self);
}

__attribute__((constructor)) static void set_hooks(void)
{
    muster__caller_gone = caller_gone;
    muster__hosts_register(&agent_hosts);
}

/* ---- the agent's side ---- */

/* The call that an answer is for; NULL: its caller's death has taken it. */
static struct asked *asked_of(uint64_t id)
{
    struct asked *asked = muster__heap_at(id);
    return asked && asked->self == id ? asked : NULL;
}

/* Once it is final its caller may free it. */
void call_finish(struct asked *asked)
{
    bool rings = asked->rings;
    uint32_t caller = asked->caller;
    atomic_store_explicit(&asked->state, ANSWERED, memory_order_release);
    if (muster__futex_wake(&asked->state, 1) > 0)
        agent_woke_caller();
    if (rings)
        muster__ring(caller);
}

void call_lost(struct asked *asked, int host)
{
    asked->reply = 0; /* it may still come, so it is never freed */
    asked->err = MUSTER_ERR_PEER;
    snprintf(asked->text, sizeof asked->text, "host %s is gone, and what was at home there with it",
             muster__host_name_of(host));
    call_finish(asked);
}

static void reply_arrived(void *ref)
{
    struct asked *asked = asked_of((uint64_t)(uintptr_t)ref);
    if (!asked)
        return;
    agent_call_ends(asked);
    call_finish(asked);
}

static void make_reply(struct asked *asked, size_t size)
{
    asked->reply = muster__heap_alloc(size, muster__self_state.number);
    if (asked->reply) {
        muster__heap_hand_over(asked->reply, muster__self_state.number, MUSTER__REMOTE_OWNER);
        return;
    }
    asked->err = MUSTER_ERR_NOMEM;
    snprintf(asked->text, sizeof asked->text, "no %zu bytes left in the host segment for an answer: it is lost", size);
}

void call_answered(int host, const struct frame *frame, const void *payload)
{
    struct asked *asked = asked_of(frame->id);
    size_t size = frame->answer.size;
    if (asked) {
        asked->err = frame->answer.err;
        asked->number = frame->answer.number;
        asked->reply_size = frame->answer.reply_size;
        if (asked->err)
            snprintf(asked->text, sizeof asked->text, "%s", (const char *)payload);
        if (size)
            make_reply(asked, size);
    }
    void *reply = asked && asked->reply ? muster__heap_at(asked->reply) : NULL;
    if (size > REMOTE_INLINE) {
        muster__bulk_receive(host, frame->answer.channel, reply, size, reply_arrived, (void *)(uintptr_t)frame->id);
        return;
    }
    if (reply)
        memcpy(reply, payload, size);
    reply_arrived((void *)(uintptr_t)frame->id);
}
