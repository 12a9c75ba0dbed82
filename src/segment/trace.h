/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The last events of each process, in the segment, where they are read when it has died: what it waited for, made,
 * ended, and what failed. Only what is slow anyway is noted.
 */
#ifndef MUSTER_SEGMENT_TRACE_H
#define MUSTER_SEGMENT_TRACE_H

#include "segment/object.h"

/* Members share a ring when there are more of them than rings: each event tells whose it is. */
enum { MUSTER__RINGS = 1 << 10, MUSTER__RING = 16 };

enum muster__event_kind {
    MUSTER__EVENT_NONE,
    MUSTER__EVENT_WAITED,
    MUSTER__EVENT_FAILED,
    MUSTER__EVENT_MADE,
    MUSTER__EVENT_ENDED,
    MUSTER__EVENT_CRASHED
};

struct muster__traced {
    int64_t when_ns;
    muster_handle object;
    uint32_t member, operation; /* operation: as a waiter's */
    int32_t thread;
    int16_t kind, err;
    char site[MUSTER__LINE]; /* the call, and where */
};
enum { MUSTER__TRACED_WORDS = sizeof(struct muster__traced) / sizeof(uint64_t) };

/* A place in a ring: several threads of a process may write to one when they wrap around; then the event is lost, or is
 * told with another's words. */
struct muster__trace_place {
    _Atomic int64_t when_ns;  /* stored last; 0: none, or being written */
    _Atomic int64_t until_ns; /* of a wait that is over */
    _Atomic uint64_t word[MUSTER__TRACED_WORDS];
};
struct muster__ring {
    _Alignas(MUSTER__LINE) _Atomic uint32_t next;
    struct muster__trace_place place[MUSTER__RING];
};

/** Notes an event of the calling thread's process; of a thread that only serves, and before it is a caller, none. */
void muster__trace(enum muster__event_kind kind, muster_handle object, uint32_t operation, muster_err err);
/** The calling thread's last wait is over. */
void muster__trace_over(void);
/** A member's number is given to another process. */
void muster__trace_forget(uint32_t member);
/** Says a member's events in the log, the last ones last; nothing is allocated: also in a signal handler. False: there
 * are none. */
bool muster__trace_tell(uint32_t member, enum muster__level level, const char *who);
/** "call at file:line" of the calling thread's public call, of the file its name alone. */
void muster__site_text(char text[MUSTER__LINE]);

#endif
