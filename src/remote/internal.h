/* Inside of the remote layer: what callers and the agent share in the segment, what travels, who does what. */
#ifndef MUSTER_REMOTE_INTERNAL_H
#define MUSTER_REMOTE_INTERNAL_H

#include "remote/remote.h"
#include "transport/transport.h"

enum {
    REMOTE_TEXT = 200, /* bytes of a detail line that travel */
    REMOTE_INLINE = MUSTER__REMOTE_SMALL,
};

/* ---- in the segment ---- */

/* behind ROOT_REMOTE; made by the agent's rank, with several hosts alone */
struct office {
    _Atomic uint64_t outbox; /* muster__ref of the asked posted last; the agent takes all */
    _Atomic uint32_t agent;  /* the agent's caller number; 0: there is none */
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

enum asked_state { ASKED, ANSWERED };
/* a call; one that nobody waits for; its caller gives it up if it still waits; its caller has gone; the job is to end
 */
enum asked_what { ASKED_CALL, ASKED_NOTE, ASKED_CANCEL, ASKED_GONE, ASKED_STOP };

/* What a caller posts to its host's agent. Its block and those that it names are the agent's, who frees all but calls:
 * these are their caller's again once they are answered. */
struct asked {
    muster__ref self, next;
    _Atomic uint32_t state; /* enum asked_state; a futex */
    enum asked_what what;
    muster__ref canceled; /* which call */
    uint32_t caller, incarnation, operation;
    uint32_t place; /* in the agent's list of those that are open */
    bool rings;     /* its caller's bell when it is answered */
    bool died, anonymous, ordered;
    int host; /* that is asked */
    muster_handle object;
    int64_t timeout_ms;
    size_t size, capacity;
    muster__ref bytes;
    /* the answer */
    muster_err err;
    int64_t number;
    size_t reply_size, arrived;
    muster__ref reply;
    char text[REMOTE_TEXT];
};

/** NULL: the job has one host. */
struct office *office(void);
/** A zeroed one from this caller; NULL: no memory. */
struct asked *asked_make(enum asked_what what, uint32_t self);
void asked_post(struct asked *asked, uint32_t self);

/* ---- frames: what letters are made of ---- */

enum frame_type { FRAME_CALL, FRAME_ANSWER, FRAME_CANCEL, FRAME_GONE, FRAME_STOP, FRAME_BEAT, FRAME_LOST };

/* Each begins at a multiple of 8; the payload follows the head. */
struct frame {
    uint32_t bytes; /* of all of it, rounded up to 8 */
    uint32_t type;
    uint64_t id; /* of the call: its ref at the asking host */
    union {
        struct {
            muster_handle object;
            int64_t timeout_ms;
            uint64_t size, capacity;
            uint32_t caller, incarnation, operation, channel;
            uint8_t anonymous, unanswered, ordered;
        } call;
        struct {
            muster_handle object;
            int64_t number;
            uint64_t size, reply_size;
            uint32_t channel, then;
            int32_t err, free; /* with an error, its text is the payload; the answering host's free cores now */
        } answer;
        struct {
            uint32_t caller, incarnation, died;
        } gone;
        struct {
            int32_t host;
        } lost;
    };
};

/* ---- agent.c ---- */

extern const struct muster__hosts agent_hosts;

/** To a lost host nothing is sent. Queues a frame, with a payload that is copied (at most REMOTE_INLINE bytes; NULL:
 * none). */
void agent_send(int host, struct frame *frame, const void *payload, size_t size);
/** Sends bytes by themselves, to who has the channel that it returns from a frame; then calls done(arg). */
uint32_t agent_bulk(int host, const void *bytes, size_t size, void (*done)(void *arg), void *arg);

/** As muster__remote_note, in the agent's thread; with a block (0: none) as muster__remote_note_block. */
void agent_note(int host, const struct muster__call *call, muster__ref block);
/** Also while it acts as a stand-in. */
bool agent_is_this_thread(void);
/** Counts a frame with size bytes after it, or by themselves. */
void agent_count(muster_handle object, size_t size);
/** A caller of this host was answered, and will want a core. */
void agent_woke_caller(void);
/** The call was answered: what is left of the answer is on its way. */
void agent_call_ends(struct asked *asked);

/* ---- home.c: work that other hosts ask for; all but the working threads' own part runs in the agent ---- */

void home_call(int host, const struct frame *frame, const void *payload);
/** Does what came with an answer, as if it had come by itself. */
void home_then(int host, const struct frame *answer);
/** Does what this host's own note asks. */
void home_note(const struct muster__call *call);
void home_cancel(int host, uint64_t id);
void home_gone(int host, uint32_t caller, uint32_t incarnation, bool died);
/** Answers what working threads have finished, and goes on canceling; returns how many answers. */
int home_answer_finished(void);
/** Tries again what is parked, where a bell has rung; returns how many answers. */
int home_try_parked(void);
/** What its callers held is treated as the holdings of dead ones, and what they wait for is called off. */
void home_lost(int host);
/** Ends this host's objects, in a thread of its own. */
void home_end_objects(void);
/** Ends the working threads; their work was ended with the objects. */
void home_stop(void);

/* ---- call.c ---- */

void call_answered(int host, const struct frame *frame, const void *payload);
/** Makes the call final. */
void call_finish(struct asked *asked);
/** With err PEER. */
void call_lost(struct asked *asked, int host);

#endif
