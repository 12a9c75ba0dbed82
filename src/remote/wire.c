/* SPDX-License-Identifier: BSD-3-Clause */
#include "remote/internal.h"

/*
 * What another host sends is its memory's contents, and that host may be broken: every frame is checked before anything
 * of it is used, so that no size, kind or text in it leads out of the letter. Numbers that name something (a call, a
 * slot, a caller) are looked up by whom they are for.
 */

/* What follows the head, or comes by itself. */
static bool may_carry(const struct frame *frame)
{
    switch ((enum frame_type)frame->type) {
    case FRAME_CALL:
    case FRAME_ANSWER:
    case FRAME_UNDO:
    case FRAME_NOTE:
    case FRAME_WATCH:
        return true;
    default:
        return false;
    }
}

static bool sizes_fit(const struct frame *frame, size_t left)
{
    if (frame->bytes < sizeof *frame || frame->bytes > left || frame->bytes % 8)
        return false;
    if (!frame->size || frame->size > REMOTE_INLINE)
        return frame->bytes == sizeof *frame && (!frame->size || may_carry(frame));
    return may_carry(frame) && frame->bytes == ((sizeof *frame + frame->size + 7) & ~(size_t)7);
}

static bool is_text(const char *text, uint64_t size)
{
    return size && size <= REMOTE_INLINE && !text[size - 1];
}

bool wire_frame_fits(const void *bytes, size_t left, int hosts)
{
    const struct frame *frame = bytes;
    if (left < sizeof *frame || frame->type > FRAME_ROUNDS || !sizes_fit(frame, left))
        return false;
    switch ((enum frame_type)frame->type) {
    case FRAME_CALL:
    case FRAME_UNDO:
    case FRAME_TAKEN:
    case FRAME_NOTE:
        return frame->object.kind_home >> 24 < MUSTER__KINDS;
    case FRAME_ANSWER: /* with an error, its text */
        return muster__commits(frame->answer.err) || is_text((const char *)(frame + 1), frame->size);
    case FRAME_LOST:
        return frame->lost.host >= 0 && frame->lost.host < hosts;
    default:
        return true;
    }
}
