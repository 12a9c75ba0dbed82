/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Remote: operations on objects, wherever they are at home.
 *
 *   muster__do  has an operation done on the object that a handle names: here, by the engine (wait.h); or by a call to
 *               the host where it is at home
 *   agent       a thread in each host's lowest rank; it alone sends and receives mail: calls of its host's callers, and
 *               calls of other hosts' callers to objects at home here
 *
 * The agent takes a call's step like anybody. What would wait is parked: a waiter in the same line as local ones, and
 * what the next step needs, 256 bytes together; no thread, no caller. When a signal calls it, the agent steps again.
 *
 * Deadlines are the caller's. When it is over, the caller calls the call off, and home answers at once with what it
 * came to; of a home that does not answer soon nothing is waited for. An answer that finds nobody is undone at home:
 * what it took is given back.
 *
 * Why no cycle of waits can form: an agent never waits for anything but its bell. It sends without blocking, its
 * receives are posted before anybody sends, and latches that are not free soon are tried again later: what a call needs
 * one for is held, and so is what comes after it for the same object from the same host. What a peer does not take yet
 * stays in a queue here, which is bounded by what this host's callers have asked for and by the answers to what that
 * peer asked.
 *
 * Order: what one thread has asked of one host, one after the other, and notes of its agent, arrive in order. Large
 * payloads travel by themselves; what comes later for the same object waits for them.
 *
 * With a single host none of this exists: no thread, no tables.
 */
#ifndef MUSTER_REMOTE_REMOTE_H
#define MUSTER_REMOTE_REMOTE_H

#include "runtime/runtime.h"

/** Whether the handle names an object of this kind and job whose home is another host. */
static inline bool muster__is_remote(muster_handle handle, enum muster__kind kind)
{
    return handle.kind_home >> 24 == (uint32_t)kind && muster__segment && handle.job == muster__segment->job &&
           (handle.kind_home & 0xffffff) != muster__segment->host;
}

/* ---- the hosts ---- */

/** Name of a host of the job. Borrowed for ever. */
const char *muster__host_name_of(int host);
int muster__host_ranks_of(int host);
int muster__host_of_rank(int rank);
/** Where a user wants an object: on the host of that rank; all zero: here. Errors: INVAL. */
muster_err muster__host_wanted(muster_on on, const char *operation, int *host);
/** Whether the host was taken for dead, or there is none of that number. */
bool muster__host_lost(int host);
/** Where a process would find a free core: this host if it has one, else the one that has most of them as far as is
 * known here. It counts as used from here on, until that host tells. */
int muster__host_choose(void);
/** A handle for operations of a kind that name no object, at home on that host. */
static inline muster_handle muster__host_handle(int host, enum muster__kind kind)
{
    return (muster_handle){.kind_home = (uint32_t)kind << 24 | (uint32_t)host, .job = muster__segment->job};
}

/* ---- operations ---- */

/**
 * Does operation number op of the kind. arg->room and arg->out are set as the operation says, also by another host.
 * Errors: the operation's, with their detail line; STALE; INVAL (timeout); PEER (its host is gone); NOMEM; INTERRUPTED.
 */
muster_err muster__do(muster_handle handle, enum muster__kind kind, uint32_t op, struct muster__arg *arg,
                      int64_t timeout_ms);
/** Waits until the operation could be done, without doing it. Only of operations that can be watched. */
muster_err muster__watch(muster_handle handle, enum muster__kind kind, uint32_t op, struct muster__arg *arg,
                         int64_t timeout_ms);

/** Begins the same of another host's object: the calling thread's bell rings when there is an answer. *watch is 0 with
 * any error: NOMEM, STALE. */
muster_err muster__watch_begin(muster_handle handle, uint32_t op, const struct muster__arg *arg, muster__ref *watch);
/** By the same thread: the answer, with arg->out, and the watch is over; or MUSTER__WAIT. Errors: also PEER. */
muster_err muster__watch_end(muster__ref watch, struct muster__arg *arg);
/** Ends one that was not answered. */
void muster__watch_leave(muster__ref watch);

/** As muster__do, of an operation whose first step waits: then() is called when it has its place in the line, which is
 * kept while then() does what others see. timeout_ms is not MUSTER_NOWAIT. */
muster_err muster__do_then(muster_handle handle, enum muster__kind kind, uint32_t op, struct muster__arg *arg,
                           int64_t timeout_ms, void (*then)(void *of), void *of);
/** By a step: gives size bytes to who asks, whose room they have to fit into. OK, TOOBIG, NOMEM, MUSTER__AGAIN. */
muster_err muster__give(struct muster__step *step, const void *bytes, size_t size);

/* one of several operations, each of which can be watched, of which one is to be done */
struct muster__choice {
    muster_handle handle;
    enum muster__kind kind;
    uint32_t op;
    uint32_t now; /* the same, for who does not wait */
    struct muster__arg *arg;
};
/** Exactly one of n choices, whichever can be done first, and fairly. NULL: STATE or NOMEM, which was said. */
struct muster__any *muster__any_begin(struct muster__choice *choices, int n, const char *operation, int64_t timeout_ms);
/** The numbers 0 to n - 1, in an order that is drawn anew each time. */
void muster__any_order(int *order, int n);
/** Looks at all: true when one was done, or has failed. */
bool muster__any_look(struct muster__any *any);
/** The same, and has the calling thread's bell rung when it is worth looking again. */
bool muster__any_stand(struct muster__any *any);
/** The same as a look, without time to wait but for answers of other hosts. */
bool muster__any_try(struct muster__any *any);
/** Until one was done, or has failed: OK; TIMEOUT, INTERRUPTED. */
muster_err muster__any_wait(struct muster__any *any);
/** The result of the one that was; MUSTER__WAIT: none was. *chosen is set with any other. */
muster_err muster__any_end(struct muster__any *any, int *chosen);
/** Makes an object on a host (see muster__host_wanted), by its class. Errors: make's; PEER, NOMEM. */
muster_err muster__make(enum muster__kind kind, int host, const char *name, struct muster__arg *arg,
                        const char *operation, muster_handle *made);
/** The same for a public create function, whose arguments it checks: made may be NULL, which is refused. Errors: also
 * INVAL, STATE. */
muster_err muster__create(enum muster__kind kind, const char *operation, const muster_object_options *options,
                          struct muster__arg *arg, muster_handle *made);
/** Ends one. Errors: STALE, PEER. */
muster_err muster__destroy(muster_handle handle, enum muster__kind kind, const char *operation);
/** Fails as an operation on an object of another host that does not exist, or whose host is gone. */
muster_err muster__gone(muster_handle handle, const char *operation);

enum { MUSTER__REMOTE_SMALL = 16384 }; /* bytes that travel together with what is asked; more go by themselves */

/* ---- what agents do for each other, of kinds that keep something on hosts that use them ---- */

/* what another host's agent, or a thread of this host, tells this host's agent of an object */
struct muster__note {
    muster_handle object;
    uint32_t operation; /* of the kind's own */
    int host;           /* that tells */
    int64_t number[2];
    const void *bytes;
    size_t size;
    muster__ref block; /* of MUSTER__OWNER_WIRE that large bytes are in; who takes it puts 0 here */
};
/** OK, or MUSTER__AGAIN. */
typedef muster_err (*muster__noted)(struct muster__note *note);
void muster__remote_register(enum muster__kind kind, muster__noted noted);
/**
 * Tells a host's agent: from its own host, in any thread, or from the agent itself. Only the agent's notes have bytes.
 * What a host's own agent notes for itself is done at once. To a lost host, or without memory, nothing is sent; false.
 */
bool muster__note(int host, const struct muster__note *note);
/** By the agent, to another host: a note with bytes of any size, which are borrowed until done(arg). */
void muster__note_bytes(int host, const struct muster__note *note, void (*done)(void *arg), void *arg);

/** By the agent, for its host as a whole: an operation on an object of another host. answered(): also with err PEER. */
void muster__agent_ask(muster_handle object, uint32_t op, const int64_t in[3],
                       void (*answered)(muster_handle object, muster_err err, const int64_t out[2]));
/** By the agent: an operation on an object of this host, in the name of the host, as far as it commits. */
void muster__agent_do(muster_handle object, uint32_t op, const int64_t in[3],
                      void (*done)(muster_handle object, muster_err err, const int64_t out[2]));
/** By the agent, before it tells another host what callers of this one have left, a free lock say: what they had posted
 * before goes first. */
void muster__agent_posted_first(void);
bool muster__is_agent(void);
/** In a step: false if the agent takes it before it has told other hosts of all callers of this one that have gone: the
 * step is to be taken AGAIN. So who hears that a process has ended, and gives something to who stands in line there,
 * does not give it to the dead. */
bool muster__gone_are_told(void);
/** Has the agent call it whenever it looks for mail. A few may be registered. */
void muster__remote_on_look(void (*look)(void));
/** Told by the agent when a host was lost. */
void muster__remote_on_lost(enum muster__kind kind, void (*told)(int host));
/** Told by the agent of an answer to this host's caller, before that is told. */
void muster__remote_on_answer(enum muster__kind kind,
                              void (*told)(muster_handle object, uint32_t op, muster_err err, const int64_t out[2]));
/** The number by which an operation records that it holds something for who asks: this host's caller, or another's. */
uint32_t muster__holder(const struct muster__step *step);
/** While the agent makes an object: the same, of who asks from another host; else 0. */
uint32_t muster__asker(void);
/** The host that is such a holder as a whole; -1: it is none. */
static inline int muster__holder_host(uint32_t holder)
{
    return muster__owner_is_host(holder) ? (int)(holder - MUSTER__OWNER_HOST) : -1;
}
/** Whoever rings that caller, whose thread rests, rings the agent, too; false: no more. */
void muster__remote_relay(uint32_t caller, bool on);

/* ---- the watch, who looks whether the job stands still: a layer above; by the agents ---- */

struct muster__agents_watch {
    /** What the next beat carries, and what one from that host did: rank 0's host and each other one send each other
     * one twice a second. */
    uint64_t (*tells)(void);
    void (*told)(int host, uint64_t word);
    /** What has come by muster__watch_send. */
    void (*heard)(int host, uint32_t what, uint64_t number, const void *bytes, size_t size);
};
void muster__agents_watch(const struct muster__agents_watch *watch);
/** To another host's; bytes are freed (free) when they are sent. */
void muster__watch_send(int host, uint32_t what, uint64_t number, void *bytes, size_t size);
/** Whether the agent has nothing in its hands; and how many messages, but those of the watch, it has sent to hosts that
 * live, and got from them. */
bool muster__agent_rests(uint64_t *sent, uint64_t *got);

/* ---- calls in steps: several at once ---- */

struct muster__call {
    muster_handle object;
    int at;             /* the host that does it, + 1; 0: the object's home */
    uint32_t operation; /* number of an operation, or of an errand */
    bool errand;
    int64_t timeout_ms;
    const void *bytes; /* sent along; copied */
    size_t size;
    void *reply; /* for the bytes of the answer */
    size_t capacity;
    /* answer */
    size_t reply_size; /* also with err TOOBIG: what was needed */
    /* between begin and end */
    muster__ref asked;
};
/** Asks; may ask this host itself. When the answer is there the calling thread's bell rings and `ready` is true; end
 * waits for it. Whoever began must end, with the same thread. Errors: the operation's, PEER, NOMEM, INTERRUPTED. */
muster_err muster__remote_begin(struct muster__call *call, const char *operation);
bool muster__remote_ready(const struct muster__call *call);
/** Has it end soon, if it still waits, with err CANCELED. */
void muster__remote_cancel(const struct muster__call *call);
muster_err muster__remote_end(struct muster__call *call);
muster_err muster__remote_call(struct muster__call *call, const char *operation);

/* ---- errands: what a kind has done on another host beside operations on objects ---- */

struct muster__errand {
    muster_handle object;
    uint32_t operation;
    int host; /* that asks */
    int64_t timeout_ms;
    const void *bytes;
    size_t size;
    void *reply; /* room for capacity bytes */
    size_t capacity;
    size_t reply_size;
};
/** quick: done by the agent itself, else by a thread of its own. Sets the detail line with any error. */
struct muster__errands {
    muster_err (*run)(struct muster__errand *errand);
    bool (*quick)(uint32_t operation);
};
void muster__errands_register(enum muster__kind kind, const struct muster__errands *errands);

/* ---- proxies: objects of this host that stand for objects of others ---- */

struct muster__proxy {
    struct muster__object *object;
    uint32_t generation;
};
/** What stands for the object named; false: nothing does. It may end at any time, as any object. */
bool muster__proxy_find(muster_handle handle, struct muster__proxy *proxy);
/** All that stand for others, one after the other, from *at = 0 on, with the handles that they stand for. False: no
 * more. */
bool muster__proxy_next(uint32_t *at, muster_handle *origin, struct muster__proxy *proxy);
/** The rest is the agent's. Errors: NOMEM. */
muster_err muster__proxy_add(muster_handle handle, muster_handle proxy);
/** Forgets it, which does not end it. False: there was none. */
bool muster__proxy_remove(muster_handle handle, struct muster__proxy *proxy);
/** Tells what this host has proxies of, of those at home on that host; they may be removed meanwhile. */
void muster__proxies_of(int host, void (*tell)(muster_handle handle));

#endif
