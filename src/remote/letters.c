/* SPDX-License-Identifier: BSD-3-Clause */
#include "remote/internal.h"

#include <stdlib.h>
#include <string.h>

/* What the agent has to send: frames wait here, in order, until they go in letters; what is large goes by itself. */

struct parcel {
    struct parcel *next;
    size_t size;
    _Alignas(8) unsigned char bytes[];
};

static struct {
    int hosts, own; /* own: this host */
    struct outbox {
        struct parcel *first, **last; /* whole frames, in order */
        uint32_t channels;            /* given out so far */
        uint64_t sent;                /* frames, but those of the watch */
        bool lost;
    } * to;
    uint64_t traffic; /* frames, but for beats */
    _Alignas(8) unsigned char letter[MUSTER__LETTER_MAX];
} letters;

muster_err letters_start(const struct muster__world *world)
{
    letters.hosts = world->hosts;
    letters.own = world->host;
    letters.to = calloc((size_t)world->hosts, sizeof *letters.to);
    for (int host = 0; letters.to && host < world->hosts; host++)
        letters.to[host].last = &letters.to[host].first;
    return letters.to ? MUSTER_OK : MUSTER_ERR_NOMEM;
}

void letters_stop(void)
{
    free(letters.to);
}

uint64_t letters_traffic(void)
{
    return letters.traffic;
}

uint64_t letters_to(int host)
{
    return letters.to[host].sent;
}

/* ---- frames ---- */

static size_t round_up(size_t size)
{
    return (size + 7) & ~(size_t)7;
}

void letter_send(int host, struct frame *frame, const void *payload, size_t size)
{
    struct outbox *to = &letters.to[host];
    size_t bytes = round_up(sizeof *frame + size);
    if (to->lost)
        return;
    letters.traffic += frame->type != FRAME_BEAT;
    to->sent += !frame_is_watchs(frame);
    struct parcel *parcel = malloc(sizeof *parcel + bytes);
    MUSTER__CHECK_EQ(parcel != NULL, true);
    frame->bytes = (uint32_t)bytes;
    parcel->next = NULL;
    parcel->size = bytes;
    memcpy(parcel->bytes, frame, sizeof *frame);
    if (size)
        memcpy(parcel->bytes + sizeof *frame, payload, size);
    *to->last = parcel;
    to->last = &parcel->next;
}

void letter_send_bytes(int host, struct frame *frame, const void *bytes, void (*done)(void *arg), void *arg)
{
    struct outbox *to = &letters.to[host];
    if (frame->size > REMOTE_INLINE && !to->lost) {
        frame->channel = ++to->channels;
        muster__bulk_send(host, frame->channel, bytes, frame->size, done, arg);
        letter_send(host, frame, NULL, 0);
        return;
    }
    letter_send(host, frame, bytes, frame->size);
    done(arg);
}

void letter_send_others(struct frame *frame)
{
    for (int host = 0; host < letters.hosts; host++)
        if (host != letters.own)
            letter_send(host, frame, NULL, 0);
}

void letter_count(muster_handle object, size_t size)
{
    muster__count_messages(object, size > REMOTE_INLINE ? 2 : 1, sizeof(struct frame) + size);
}

static void answer_sent(void *ref)
{
    muster__heap_free((uint64_t)(uintptr_t)ref, muster__self_state.number);
}

void letter_answer(int host, uint64_t id, muster_handle object, uint32_t op, muster_err err, const char *text,
                   struct muster__arg *arg)
{
    bool commits = muster__commits(err);
    struct frame frame = {.type = FRAME_ANSWER, .id = id, .object = object, .operation = op};
    frame.answer.err = err;
    frame.answer.free = muster__seats_free();
    frame.answer.got = arg->got;
    memcpy(frame.answer.out, arg->out, sizeof frame.answer.out);
    frame.size = commits ? arg->got : strlen(text) + 1;
    letter_count(object, frame.size);
    if (!commits) {
        letter_send(host, &frame, text, frame.size);
        return;
    }
    const void *bytes = arg->room_block ? muster__heap_at(arg->room_block) : arg->room;
    if (arg->room_block)
        muster__heap_hand_over(arg->room_block, muster__self_state.number, MUSTER__OWNER_WIRE);
    letter_send_bytes(host, &frame, bytes, answer_sent, (void *)(uintptr_t)arg->room_block);
}

/* ---- letters ---- */

static size_t pack(struct outbox *to)
{
    size_t filled = 0;
    for (struct parcel *parcel = to->first; parcel && filled + parcel->size <= sizeof letters.letter;
         parcel = parcel->next) {
        memcpy(letters.letter + filled, parcel->bytes, parcel->size);
        filled += parcel->size;
    }
    return filled;
}

static void drop(struct outbox *to, size_t bytes)
{
    while (bytes) {
        struct parcel *parcel = to->first;
        bytes -= parcel->size;
        to->first = parcel->next;
        free(parcel);
    }
    if (!to->first)
        to->last = &to->first;
}

static bool send_letter(int host, size_t size)
{
    if (!muster__mail_send(host, letters.letter, size))
        return false;
    muster__count_messages(muster__host_handle(letters.own, (enum muster__kind)MUSTER__COUNT_MAIL), 1, size);
    return true;
}

static bool send_some(int host)
{
    struct outbox *to = &letters.to[host];
    bool any = false;
    while (to->first) {
        size_t filled = pack(to);
        if (!send_letter(host, filled))
            return any;
        drop(to, filled);
        any = true;
    }
    return any;
}

bool letters_flush(void)
{
    bool any = false;
    for (int host = 0; host < letters.hosts; host++)
        any |= send_some(host);
    return any;
}

bool letters_sent(void)
{
    for (int host = 0; host < letters.hosts; host++)
        if (letters.to[host].first)
            return false;
    return !muster__bulk_under_way();
}

void letters_lost(int host)
{
    struct outbox *to = &letters.to[host];
    to->lost = true;
    for (struct parcel *parcel = to->first, *next; parcel; parcel = next) {
        next = parcel->next;
        free(parcel);
    }
    to->first = NULL;
    to->last = &to->first;
}
