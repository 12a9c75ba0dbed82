/* SPDX-License-Identifier: BSD-3-Clause */
#include "remote/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The agent's part of what this host asks of others: calls that were sent and are not answered, and what becomes of an
 * answer that nobody waits for any more. */

static struct {
    int hosts;
    struct peer {
        struct asked **calls; /* that were sent there */
        uint32_t count, room;
        bool lost;
    } * peers;
    struct asked **of_caller; /* by number: its calls that are open, or wait for an open one */
    int woke;                 /* callers who were answered */
    int awaited;              /* calls that were sent and that somebody waits for */
} sent;

muster_err open_start(int hosts)
{
    sent.hosts = hosts;
    sent.peers = calloc((size_t)hosts, sizeof *sent.peers);
    sent.of_caller = calloc(MUSTER__CALLERS_MAX, sizeof *sent.of_caller);
    return sent.peers && sent.of_caller ? MUSTER_OK : MUSTER_ERR_NOMEM;
}

void open_stop(void)
{
    for (int host = 0; host < sent.hosts; host++)
        free(sent.peers[host].calls);
    free(sent.peers);
    free(sent.of_caller);
}

int open_woke(void)
{
    int woke = sent.woke;
    sent.woke = 0;
    return woke;
}

/* The agent's own calls: numbers with the top bit set. */
#define OWN_CALL (UINT64_C(1) << 63)

static struct own_call {
    struct own_call *next;
    uint64_t id;
    muster_handle object;
    int host;
    void (*answered)(muster_handle object, muster_err err, const int64_t out[2]);
} * own_calls;

void muster__agent_ask(muster_handle object, uint32_t op, const int64_t in[3],
                       void (*answered)(muster_handle object, muster_err err, const int64_t out[2]))
{
    static uint64_t numbers;
    static const int64_t nothing[2];
    struct own_call *call = malloc(sizeof *call);
    MUSTER__CHECK_EQ(call != NULL, true);
    *call = (struct own_call){own_calls, OWN_CALL | ++numbers, object, muster__handle_home(object), answered};
    if (muster__host_lost(call->host)) {
        free(call);
        answered(object, MUSTER_ERR_PEER, nothing);
        return;
    }
    own_calls = call;
    struct frame frame = {.type = FRAME_CALL, .flags = CALL_OF_HOST, .id = call->id, .object = object, .operation = op};
    memcpy(frame.call.in, in, sizeof frame.call.in);
    letter_count(object, 0);
    letter_send(call->host, &frame, NULL, 0);
}

static void own_answered(uint64_t id, muster_err err, const int64_t out[2])
{
    struct own_call **link = &own_calls, *call;
    while (*link && (*link)->id != id)
        link = &(*link)->next;
    if (!(call = *link))
        return;
    *link = call->next;
    call->answered(call->object, err, out);
    free(call);
}

static void own_lost(int host)
{
    static const int64_t nothing[2];
    for (struct own_call *call = own_calls, *next; call; call = next) {
        next = call->next;
        if (call->host == host)
            own_answered(call->id, MUSTER_ERR_PEER, nothing);
    }
}

static void (*on_answer[MUSTER__KINDS])(muster_handle object, uint32_t op, muster_err err, const int64_t out[2]);

void muster__remote_on_answer(enum muster__kind kind,
                              void (*told)(muster_handle object, uint32_t op, muster_err err, const int64_t out[2]))
{
    on_answer[kind] = told;
}

/* The call that an answer is for; NULL: it was lost with its host, and freed. */
static struct asked *asked_of(uint64_t id)
{
    struct asked *asked = muster__heap_at(id);
    return asked && asked->self == id ? asked : NULL;
}

bool open_awaited(void)
{
    return sent.awaited || own_calls;
}

bool open_is_awaited(uint64_t id)
{
    const struct asked *asked = id & OWN_CALL ? NULL : asked_of(id);
    return !asked || asked->awaited;
}

static void free_by_agent(struct asked *asked)
{
    uint32_t self = muster__self_state.number;
    muster__heap_free(asked->reply, self);
    muster__heap_free(asked->bytes, self);
    muster__heap_free(asked->self, self);
}

/* A call's blocks are the agent's from here on. */
static void take_over(struct asked *asked)
{
    uint32_t owner = MUSTER__OWNER_CALLS + asked->caller;
    muster__heap_hand_over(asked->reply, owner, MUSTER__OWNER_WIRE);
    muster__heap_hand_over(asked->bytes, owner, MUSTER__OWNER_WIRE);
    muster__heap_hand_over(asked->self, owner, MUSTER__OWNER_WIRE);
}

static const struct muster__op *op_of(muster_handle object, uint32_t number)
{
    const struct muster__class *class = muster__class_of((enum muster__kind)(object.kind_home >> 24));
    return class && class->ops && number < class->op_count ? &class->ops[number] : NULL;
}

static void undone(void *asked)
{
    free_by_agent(asked);
}

static bool can_be_undone(const struct asked *asked)
{
    if (asked->errand || asked->watches || !muster__commits(asked->err))
        return false;
    const struct muster__op *op = op_of(asked->object, asked->operation);
    return asked->operation == REMOTE_MAKE || (op && op->undo);
}

/* Nobody waits for it any more: what it took goes back, what it made ends. */
static void undo(struct asked *asked, bool died)
{
    if (!can_be_undone(asked)) {
        free_by_agent(asked);
        return;
    }
    struct frame frame = {.type = FRAME_UNDO,
                          .flags = (uint16_t)((died ? CALL_DIED : 0) | (asked->claims ? CALL_CLAIMS : 0)),
                          .id = asked->self,
                          .object = asked->object,
                          .operation = asked->operation,
                          .size = asked->reply ? asked->got : 0};
    memcpy(frame.call.in, asked->out, sizeof asked->out);
    frame.call.in[2] = asked->in[0];
    frame.call.capacity = (uint64_t)asked->err;
    frame.call.caller = asked->caller;
    frame.call.incarnation = asked->incarnation;
    letter_send_bytes(asked->host, &frame, asked->reply ? muster__heap_at(asked->reply) : NULL, undone, asked);
}

/* Once it is final its caller may free it. */
static void finish(struct asked *asked)
{
    uint32_t caller = asked->caller, state = ASKED;
    struct frame taken = {
        .type = FRAME_TAKEN, .id = asked->self, .object = asked->object, .operation = asked->operation};
    bool claimed = asked->claims && muster__commits(asked->err);
    int host = asked->host;
    muster__heap_hand_over(asked->reply, MUSTER__OWNER_WIRE, MUSTER__OWNER_CALLS + caller);
    if (atomic_compare_exchange_strong(&asked->state, &state, ANSWERED)) {
        sent.woke++;
        muster__ring(caller);
        if (claimed)
            letter_send(host, &taken, NULL, 0);
    } else {
        take_over(asked);
        undo(asked, state == ASKER_DIED);
    }
}

static void lost(struct asked *asked, int host)
{
    asked->err = MUSTER_ERR_PEER;
    snprintf(asked->text, sizeof asked->text, "host %s is gone, and what was at home there with it",
             muster__host_name_of(host));
    finish(asked);
}

/* As one whose time is over. */
static void called_off(struct asked *asked)
{
    const struct muster__op *op = asked->errand ? NULL : op_of(asked->object, asked->operation);
    asked->err = !op ? MUSTER_OK : asked->nowait ? op->late_now : op->late;
    if (!asked->err) /* of what does not wait */
        asked->err = MUSTER_ERR_CANCELED;
    snprintf(asked->text, sizeof asked->text, "%s: %s; host %s has not answered this thread's last call yet",
             op ? op->name : "a call", muster_err_text(asked->err), muster__host_name_of(asked->host));
    finish(asked);
}

/* ---- calls of one caller ---- */

/*
 * Who gave a call up does not wait for its end, and may ask again: home may grant the first one all the same, too late,
 * and would find the second one asked for by who has it already. So that goes when the first was answered, and undone.
 */
static bool was_given_up(const struct asked *open, const struct asked *asked)
{
    return open->incarnation == asked->incarnation && !open->waits_behind && !open->errand && !open->watches &&
           memcmp(&open->object, &asked->object, sizeof open->object) == 0 && atomic_load(&open->state) == GIVEN_UP;
}

static bool waits_behind(struct asked *asked)
{
    struct asked *open = sent.of_caller[asked->caller];
    while (open && !was_given_up(open, asked))
        open = open->next_of_caller;
    if (!open || asked->errand)
        return false;
    struct asked **end = &open->behind;
    while (*end)
        end = &(*end)->behind;
    *end = asked;
    asked->waits_behind = true;
    return true;
}

static void link_to_caller(struct asked *asked)
{
    asked->next_of_caller = sent.of_caller[asked->caller];
    sent.of_caller[asked->caller] = asked;
}

static void unlink_from_caller(struct asked *asked)
{
    struct asked **link = &sent.of_caller[asked->caller];
    while (*link != asked)
        link = &(*link)->next_of_caller;
    *link = asked->next_of_caller;
}

bool open_called_off(muster__ref ref)
{
    struct asked *asked = muster__heap_at(ref);
    if (!asked || asked->self != ref || !asked->waits_behind)
        return false;
    for (struct asked *open = sent.of_caller[asked->caller]; open; open = open->next_of_caller)
        if (open->behind == asked) {
            open->behind = asked->behind;
            break;
        }
    unlink_from_caller(asked);
    called_off(asked);
    return true;
}

void open_asker_gone(uint32_t caller)
{
    for (struct asked *asked = sent.of_caller[caller]; asked; asked = asked->next_of_caller) {
        uint32_t open = ASKED;
        if (asked->incarnation != muster__caller(caller)->incarnation)
            continue;
        atomic_compare_exchange_strong(&asked->state, &open, ASKER_DIED);
        take_over(asked);
    }
}

/* ---- calls that were sent ---- */

static void nothing(void *unused)
{
    (void)unused;
}

static void list(struct peer *peer, struct asked *asked)
{
    if (peer->count == peer->room) {
        peer->room = peer->room ? 2 * peer->room : 16;
        peer->calls = realloc(peer->calls, peer->room * sizeof *peer->calls);
        MUSTER__CHECK_EQ(peer->calls != NULL, true);
    }
    asked->place = peer->count;
    peer->calls[peer->count++] = asked;
    sent.awaited += asked->awaited;
}

/* Returns the calls that waited for its end: see send_behind, once it is finished. */
static struct asked *unlist(struct asked *asked)
{
    struct peer *peer = &sent.peers[asked->host];
    struct asked *last = peer->calls[--peer->count];
    peer->calls[asked->place] = last;
    last->place = asked->place;
    sent.awaited -= asked->awaited;
    unlink_from_caller(asked);
    return asked->behind;
}

void open_send(struct asked *asked)
{
    int host = asked->host;
    asked->awaited = !muster__caller(asked->caller)->serves;
    struct frame frame = {.type = FRAME_CALL,
                          .flags = (uint16_t)((asked->nowait ? CALL_NOWAIT : 0) | (asked->errand ? CALL_ERRAND : 0) |
                                              (asked->watches ? CALL_WATCH : 0) | (asked->claims ? CALL_CLAIMS : 0) |
                                              (asked->awaited ? 0 : CALL_AHEAD)),
                          .id = asked->self,
                          .object = asked->object,
                          .size = asked->size,
                          .operation = asked->operation};
    memcpy(frame.call.in, asked->in, sizeof frame.call.in);
    frame.call.timeout_ms = asked->timeout_ms;
    frame.call.capacity = asked->capacity;
    frame.call.caller = asked->caller;
    frame.call.incarnation = asked->incarnation;
    if (host >= sent.hosts) {
        asked->err = MUSTER_ERR_STALE;
        snprintf(asked->text, sizeof asked->text, "this handle is of no host of the job");
        finish(asked);
        return;
    }
    if (sent.peers[host].lost) {
        lost(asked, host);
        return;
    }
    bool waits = waits_behind(asked);
    link_to_caller(asked);
    if (waits)
        return;
    list(&sent.peers[host], asked);
    letter_count(asked->object, asked->size);
    letter_send_bytes(host, &frame, asked->bytes ? muster__heap_at(asked->bytes) : NULL, nothing, NULL);
}

static void send_behind(struct asked *first)
{
    for (struct asked *asked = first, *next; asked; asked = next) {
        next = asked->behind;
        asked->behind = NULL;
        asked->waits_behind = false;
        unlink_from_caller(asked);
        if (atomic_load(&asked->state) == ASKED)
            open_send(asked);
        else
            called_off(asked);
    }
}

void open_lost(int host)
{
    struct peer *peer = &sent.peers[host];
    peer->lost = true;
    while (peer->count) {
        struct asked *asked = peer->calls[peer->count - 1], *behind = unlist(asked);
        lost(asked, host);
        send_behind(behind);
    }
    own_lost(host);
}

/* ---- answers ---- */

static void no_room_for_answer(struct asked *asked, size_t size)
{
    struct frame undo = {.type = FRAME_UNDO,
                         .flags = CALL_DIED | CALL_CLAIMS,
                         .id = asked->self,
                         .object = asked->object,
                         .operation = asked->operation};
    if (asked->claims)
        letter_send(asked->host, &undo, NULL, 0);
    asked->err = MUSTER_ERR_NOMEM;
    snprintf(asked->text, sizeof asked->text, "no %zu B left in the host segment for an answer: it is lost", size);
}

/* A large payload has come in a block; a small one is copied into one. */
static bool keep_reply(struct asked *asked, const void *payload, size_t size, muster__ref *block)
{
    asked->reply = *block;
    *block = 0;
    if (asked->reply || !size)
        return true;
    if (size <= REMOTE_INLINE)
        asked->reply = muster__heap_alloc(size, muster__self_state.number);
    if (!asked->reply) {
        if (size <= REMOTE_INLINE && muster__again(MUSTER_ERR_NOMEM) == (muster_err)MUSTER__AGAIN)
            return false;
        no_room_for_answer(asked, size);
        return true;
    }
    memcpy(muster__heap_at(asked->reply), payload, size);
    muster__heap_hand_over(asked->reply, muster__self_state.number, MUSTER__OWNER_WIRE);
    return true;
}

muster_err open_answered(int host, const struct frame *frame, const void *payload, muster__ref *block)
{
    (void)host;
    if (frame->id & OWN_CALL) {
        own_answered(frame->id, frame->answer.err, frame->answer.out);
        return MUSTER_OK;
    }
    struct asked *asked = asked_of(frame->id);
    if (!asked)
        return MUSTER_OK;
    bool failed = !muster__commits(frame->answer.err);
    asked->err = frame->answer.err;
    memcpy(asked->out, frame->answer.out, sizeof asked->out);
    asked->got = frame->answer.got;
    if (failed)
        snprintf(asked->text, sizeof asked->text, "%s", (const char *)payload);
    else if (!keep_reply(asked, payload, frame->size, block))
        return MUSTER__AGAIN;
    uint32_t kind = asked->object.kind_home >> 24;
    if (on_answer[kind])
        on_answer[kind](asked->object, asked->operation, asked->err, asked->out);
    struct asked *behind = unlist(asked);
    finish(asked);
    send_behind(behind);
    return MUSTER_OK;
}
