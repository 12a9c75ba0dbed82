/* SPDX-License-Identifier: BSD-3-Clause */
#include "remote/internal.h"

#include <string.h>

/* What agents tell each other of objects of a kind that keeps something on hosts that use them. */

static muster__noted noted[MUSTER__KINDS];

void muster__remote_register(enum muster__kind kind, muster__noted told)
{
    noted[kind] = told;
}

static void nothing(void *unused)
{
    (void)unused;
}

void muster__note_bytes(int host, const struct muster__note *note, void (*done)(void *arg), void *arg)
{
    struct frame frame = {.type = FRAME_NOTE, .object = note->object, .operation = note->operation, .size = note->size};
    memcpy(frame.note, note->number, sizeof frame.note);
    letter_count(note->object, note->size);
    letter_send_bytes(host, &frame, note->bytes, done, arg);
}

/* To itself, as if it had come by mail. */
static void tell_self(const struct muster__note *note)
{
    struct frame frame = {.type = FRAME_NOTE, .object = note->object, .operation = note->operation, .size = note->size};
    memcpy(frame.note, note->number, sizeof frame.note);
    held_or_done((int)muster__segment->host, &frame, note->bytes, note_taken);
}

bool muster__note(int host, const struct muster__note *note)
{
    uint32_t self = muster__self_number();
    if (!self || !office() || muster__host_lost(host))
        return false;
    if (muster__is_agent()) {
        if (host == (int)muster__segment->host)
            tell_self(note);
        else
            muster__note_bytes(host, note, nothing, NULL);
        return true;
    }
    struct asked *asked = asked_make(ASKED_NOTE, self);
    if (!asked)
        return false;
    asked->host = host;
    asked->object = note->object;
    asked->operation = note->operation;
    memcpy(asked->in, note->number, sizeof note->number);
    asked_post(asked, self);
    return true;
}

void note_send(const struct asked *asked)
{
    struct muster__note note = {.object = asked->object, .operation = asked->operation};
    memcpy(note.number, asked->in, sizeof note.number);
    muster__note(asked->host, &note);
}

muster_err note_taken(int host, const struct frame *frame, const void *payload, muster__ref *block)
{
    uint32_t kind = frame->object.kind_home >> 24;
    struct muster__note note = {.object = frame->object,
                                .operation = frame->operation,
                                .host = host,
                                .bytes = payload,
                                .size = frame->size,
                                .block = *block};
    if (kind >= MUSTER__KINDS || !noted[kind])
        return MUSTER_OK;
    memcpy(note.number, frame->note, sizeof note.number);
    muster_err err = noted[kind](&note);
    *block = note.block;
    return err;
}
