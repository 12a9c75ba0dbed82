/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes as a letter of another host: frames within it, with their payloads, or an end; no byte beyond it is read.
 */
#include <string.h>

#include "remote/internal.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { HOSTS = 3 };

/* As those whom it is for would read it. */
static void read_frame(const struct frame *frame)
{
    static unsigned char copy[REMOTE_INLINE];
    bool comes_along = frame->size <= REMOTE_INLINE;
    REQUIRE(frame->type <= FRAME_ROUNDS);
    if (comes_along)
        memcpy(copy, frame + 1, frame->size);
    REQUIRE(frame->type != FRAME_LOST || (uint32_t)frame->lost.host < HOSTS);
    if (frame->type == FRAME_CALL || frame->type == FRAME_UNDO || frame->type == FRAME_TAKEN ||
        frame->type == FRAME_NOTE)
        REQUIRE(frame->object.kind_home >> 24 < MUSTER__KINDS);
    if (frame->type == FRAME_ANSWER && !muster__commits(frame->answer.err))
        REQUIRE(comes_along && strlen((const char *)(frame + 1)) < frame->size);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    unsigned char *letter = malloc(size + 1); /* aligned, and as long as it is */
    size_t at = 0;
    REQUIRE(letter);
    memcpy(letter, bytes, size);
    while (wire_frame_fits(letter + at, size - at, HOSTS)) {
        const struct frame *frame = (const void *)(letter + at);
        read_frame(frame);
        REQUIRE(frame->bytes >= sizeof *frame);
        at += frame->bytes;
    }
    REQUIRE(at <= size);
    free(letter);
    return 0;
}
