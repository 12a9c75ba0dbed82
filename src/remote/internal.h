/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of the remote layer: what callers and the agent share in the segment, what travels, who does what. */
#ifndef MUSTER_REMOTE_INTERNAL_H
#define MUSTER_REMOTE_INTERNAL_H

#include "remote/remote.h"
#include "transport/transport.h"

enum {
    REMOTE_TEXT = 200, /* bytes of a detail line that travel */
    REMOTE_INLINE = MUSTER__REMOTE_SMALL,
};

/* operations that every kind has, beside its own */
enum { REMOTE_MAKE = 0xfffe, REMOTE_END = 0xffff };

/* ---- in the segment ---- */

/* behind ROOT_REMOTE; made by the agent's rank, with several hosts alone */
struct office {
    _Atomic uint64_t outbox; /* muster__ref of the asked posted last; the agent takes all */
    _Atomic uint32_t agent;  /* the agent's caller number; 0: there is none */
    _Atomic uint32_t gone;   /* some callers that have asked other hosts have gone */
    int32_t hosts, ranks;
    _Atomic uint32_t lost_any;  /* some host was lost */
    uint64_t rank_hosts_offset; /* int32_t[ranks] */
    struct host {
        char name[64];
        int32_t ranks;
        _Atomic uint32_t lost; /* taken for dead */
        _Atomic int32_t free;  /* cores that nobody uses, as far as is known here; negative: more users than cores */
    } host[];
};

/* hosts.c */
/** Makes the office. Collective over the agents' ranks. */
muster_err office_make(const struct muster__world *world);
/** What an answer of another host told about its cores. */
void office_note_free(int host, int32_t free);
/** NULL: the job has one host. */
struct office *office(void);

/* A call's caller waits until ANSWERED; or it gave up, or died: then the call is the agent's, who undoes what it came
 * to.
 */
enum asked_state { ASKED, ANSWERED, GIVEN_UP, ASKER_DIED };
/* a call; a note; a call that its caller gives up if it still waits; the job is to end; rounds of muster_serve have */
enum asked_what { ASKED_CALL, ASKED_NOTE, ASKED_CANCEL, ASKED_STOP, ASKED_ROUNDS };

/*
 * What a caller posts to its host's agent, who frees all but calls. The blocks of a call belong to MUSTER__OWNER_CALLS
 * and its caller, from before it is posted until its caller has read the answer and frees them, or gives it up: then
 * they are the agent's, and so they are when the caller has died. Of a dead caller's blocks the agent frees what was
 * never posted and what was answered.
 */
struct asked {
    muster__ref self, next;
    _Atomic uint32_t state; /* enum asked_state */
    enum asked_what what;
    muster__ref canceled; /* which call */
    uint32_t caller, incarnation, operation;
    uint32_t place; /* in the agent's list of those that are open */
    /* the agent's: others of this caller; those that are sent when this one has ended; it is one of those */
    struct asked *next_of_caller, *behind;
    bool waits_behind;
    bool awaited; /* somebody waits for the answer: who only serves, a carrier say, asks before it needs it */
    bool errand, nowait, watches, takes_block;
    bool claims, is_final; /* claims: see muster__op's taken; is_final: it cannot be undone */
    int host;              /* that is asked */
    muster_handle object;
    int64_t timeout_ms; /* of an errand */
    int64_t in[3];
    size_t size, capacity;
    muster__ref bytes;
    /* the answer */
    muster_err err;
    int64_t out[2];
    size_t got;
    muster__ref reply;
    char text[REMOTE_TEXT];
};

/* ---- frames: what letters are made of ---- */

enum frame_type {
    FRAME_CALL,
    FRAME_ANSWER,
    FRAME_CANCEL,
    FRAME_UNDO,
    FRAME_TAKEN,
    FRAME_NOTE,
    FRAME_GONE,
    FRAME_STOP,
    FRAME_BEAT,
    FRAME_LOST,
    FRAME_WATCH,
    FRAME_ROUNDS
};

enum {
    CALL_NOWAIT = 1,
    CALL_ERRAND = 2,
    CALL_OF_HOST = 4,
    CALL_DIED = 8,
    CALL_WATCH = 16,
    CALL_CLAIMS = 32,
    CALL_AHEAD = 64 /* nobody waits for the answer yet */
};

/* Each begins at a multiple of 8; the payload follows the head. */
struct frame {
    uint32_t bytes; /* of all of it, rounded up to 8 */
    uint16_t type;
    uint16_t flags; /* CALL_... */
    uint64_t id;    /* of the call: its ref at the asking host, or the agent's own number of it */
    muster_handle object;
    uint64_t size; /* of the payload */
    uint32_t channel, operation;
    union {
        struct { /* also UNDO: in what was given */
            int64_t in[3];
            int64_t timeout_ms; /* of an errand */
            uint64_t capacity;  /* of UNDO: the error that it had come to */
            uint32_t caller, incarnation;
        } call;
        struct {
            int64_t out[2];
            uint64_t got;
            int32_t err, free; /* with an error, its text is the payload; the answering host's free cores now */
        } answer;
        int64_t note[2];
        struct {
            uint32_t caller, incarnation, died;
        } gone;
        struct {
            int32_t host;
        } lost;
        struct {
            uint64_t word; /* the watch's */
        } beat;
        struct {
            uint32_t ended, all;
        } rounds;
    };
};

/** The watch's own, which it does not count as messages under way. */
static inline bool frame_is_watchs(const struct frame *frame)
{
    return frame->type == FRAME_BEAT || frame->type == FRAME_WATCH;
}

/* ---- asked.c: any thread ---- */

/** A block for what a caller asks; 0: no memory. */
muster__ref asked_alloc(size_t size, uint32_t self);
/** A zeroed one from this caller; NULL: no memory. */
struct asked *asked_make(enum asked_what what, uint32_t self);
void asked_post(struct asked *asked, uint32_t self);

/* The rest is the agent's, but for call.c; each file uses those named before it. */

/* ---- letters.c: what goes out ---- */

muster_err letters_start(const struct muster__world *world);
void letters_stop(void);
/** To a lost host nothing is sent. Queues a frame, with a payload that is copied (at most REMOTE_INLINE bytes; NULL:
 * none). */
void letter_send(int host, struct frame *frame, const void *payload, size_t size);
void letter_send_others(struct frame *frame);
/** Sends a frame with its payload of frame->size bytes, by itself if it is large: then done(arg) tells when. */
void letter_send_bytes(int host, struct frame *frame, const void *bytes, void (*done)(void *arg), void *arg);
/** Answers a call. text: with an error. Bytes in arg->room, or its block, which is taken. */
void letter_answer(int host, uint64_t id, muster_handle object, uint32_t op, muster_err err, const char *text,
                   struct muster__arg *arg);
/** Counts a frame with size bytes after it, or by themselves. */
void letter_count(muster_handle object, size_t size);
/** Frames sent so far, but for beats. */
uint64_t letters_traffic(void);
/** To that host, but those of the watch. */
uint64_t letters_to(int host);
/** Sends what can be sent now; returns whether any was. */
bool letters_flush(void);
bool letters_sent(void);
void letters_lost(int host);

/* ---- wire.c: what comes in ---- */

/** Whether what is left of a letter begins with a frame, whole and within it; bytes: aligned to 8. */
bool wire_frame_fits(const void *bytes, size_t left, int hosts);

/* ---- held.c: what has come and cannot be done yet ---- */

/**
 * Does what a frame asks, in order: after what was held before it for the same object from the same host, and once its
 * payload is there. take() gives OK or MUSTER__AGAIN; block: what a large payload is in (MUSTER__OWNER_WIRE), 0 if
 * there was no room for it.
 */
typedef muster_err (*held_take)(int host, const struct frame *frame, const void *payload, muster__ref *block);
void held_or_done(int host, const struct frame *frame, const void *payload, held_take take);
/** Tries what is held again; returns whether anything was done. */
bool held_try(void);
bool held_any(void);
/** A call that is held is called off. False: no such call is. */
bool held_cancel(int host, uint64_t id);
/** So are all of a caller's. */
void held_gone(int host, uint32_t caller, uint32_t incarnation);
void held_lost(int host);

/* ---- home.c: what other hosts ask ---- */

muster_err home_call(int host, const struct frame *frame, const void *payload, muster__ref *block);
muster_err home_undo(int host, const struct frame *frame, const void *payload, muster__ref *block);
muster_err home_taken(int host, const struct frame *frame, const void *payload, muster__ref *block);
/** False: no such call is parked. */
bool home_cancel(int host, uint64_t id);
void home_gone(int host, uint32_t caller, uint32_t incarnation, bool died);
/** Steps again what was called; returns whether any was. */
bool home_look(void);
/** Whether some call is to be stepped again although nothing has called it. */
bool home_tries_again(void);
/** What its callers held is treated as the holdings of dead ones, and what they wait for is called off. */
void home_lost(int host);

/* ---- errand.c ---- */

/** Takes the payload, copied. */
void errand_begin(int host, const struct frame *frame, const void *payload, muster__ref block);
/** Answers those that threads have ended; returns whether any was. */
bool errand_look(void);
/** Ends this host's objects, in a thread of its own. */
void errand_end_objects(void);
/** Waits for the threads. */
void errand_stop(void);

/* ---- call.c ---- */

/** A call that is ready to be posted but for what it asks; NULL: no memory, which was said. */
struct asked *call_make(muster_handle object, int host, const void *bytes, size_t size, const char *operation);
void call_post(struct asked *asked);
/** OK: it is answered, and to be freed. Else it was given up: it is the agent's. */
muster_err call_wait(struct asked *asked, int64_t deadline_ns);
/** By its caller: an answer's bytes come to others before. */
void call_free(struct asked *asked, uint32_t self);

/** An operation with MUSTER_NOWAIT, on an object of any host, whose answer is waited for until the deadline at most. */
muster_err call_try(muster_handle handle, enum muster__kind kind, uint32_t op, struct muster__arg *arg,
                    int64_t deadline_ns);
/** Has home watch for an operation that it could be done; NULL: no memory, which was said. */
struct asked *call_watch(muster_handle handle, uint32_t op, const struct muster__arg *arg);
/** What home says: WAIT, it could not be done yet; else the watch is over. arg: what comes out, as of the operation. */
muster_err call_watched(struct asked *watch, struct muster__arg *arg);
void call_watch_no_more(struct asked *watch);
muster_err call_and_watch(muster_handle handle, uint32_t op, struct muster__arg *arg, int64_t timeout_ms);

/* ---- open.c: calls of this host's that were sent ---- */

muster_err open_start(int hosts);
void open_stop(void);
void open_send(struct asked *asked);
muster_err open_answered(int host, const struct frame *frame, const void *payload, muster__ref *block);
/** One that has not been sent yet is over. False: it is on its way. */
bool open_called_off(muster__ref ref);
/** Those calls of a caller that has gone have nobody who waits for them: their blocks are the agent's. */
void open_asker_gone(uint32_t caller);
/** With err PEER. */
void open_lost(int host);
/** Whether somebody waits for the answer of a call that is open. */
bool open_awaited(void);
/** For that one's. */
bool open_is_awaited(uint64_t id);
/** How many callers were answered since this was last asked: they will want cores. */
int open_woke(void);

/* ---- note.c ---- */

muster_err note_taken(int host, const struct frame *frame, const void *payload, muster__ref *block);
void note_send(const struct asked *asked);

#endif
