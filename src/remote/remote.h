/*
 * Remote: operations on objects whose home is another host.
 *
 *   caller  puts a call into its host's segment and sleeps until the answer stands there
 *   agent   a thread in each host's lowest rank; it alone sends and receives mail: calls of its host's callers, and
 *           work that other hosts' callers ask of objects at home here
 *   work    is the same function that a local caller runs. The agent tries it without waiting; what would wait goes to
 *           a thread of its own, so that it stands in the same line as local waiters; or it is parked, and tried again
 *           when its bell rings. It runs in the name of the remote caller: a stand-in, who is a caller of this host as
 *           far as objects can tell
 *
 * Why no cycle of waits can form: an agent never waits for anything but its bell. It sends without blocking, and its
 * receives are posted before anybody sends, so that mail always moves; what a peer does not take yet stays in a queue
 * here, which is bounded by what this host's callers have asked for and by the answers to what that peer asked. Work
 * that waits does so in its own thread, which holds nothing that the agent needs. So a wait ends when the local
 * condition that it waits for comes true, just as it would for a local caller.
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
/** Whether the host was taken for dead. */
bool muster__host_lost(int host);
/** Where a process would find a free core: this host if it has one, else the one that has most of them as far as is
 * known here. It counts as used from here on, until that host tells. */
int muster__host_choose(void);
/** A handle for operations of a kind that name no object, at home on that host. */
static inline muster_handle muster__host_handle(int host, enum muster__kind kind)
{
    return (muster_handle){.kind_home = (uint32_t)kind << 24 | (uint32_t)host, .job = muster__segment->job};
}

/* ---- asking ---- */

enum { MUSTER__REMOTE_SMALL = 16384 }; /* bytes that travel together with what is asked; more go by themselves */

struct muster__call {
    muster_handle object;
    int at;             /* the host that does it, + 1; 0: the object's home */
    uint32_t operation; /* of the object's kind */
    bool anonymous; /* it does not matter there who asks: no stand-in acts, and several such calls may run at once */
    bool ordered;   /* done after what this host has asked there before, even if that is large and still on its way */
    int64_t timeout_ms;
    const void *bytes; /* sent along; copied */
    size_t size;
    void *reply; /* for the bytes of the answer */
    size_t capacity;
    /* answer */
    int64_t number;
    size_t reply_size; /* also with err TOOBIG: what was needed */
    bool keeps;        /* the bytes of the answer, however many, stay in a block: reply_block, 0 without any; free it */
    muster__ref reply_block;
    /* between begin and end */
    muster__ref asked;
};
/** Has the operation done at the object's home and waits for it. Errors: the operation's, with its detail line; PEER
 * (the host is gone), NOMEM, INTERRUPTED. */
muster_err muster__remote_call(struct muster__call *call, const char *operation);
/** Has another host make an object, by an operation whose answer is the handle. Errors: as muster__remote_call. */
muster_err muster__remote_make(int host, enum muster__kind kind, uint32_t operation, const void *bytes, size_t size,
                               const char *name, muster_handle *made);
/**
 * The same in steps: several at once. begin asks, and may ask this host itself; when the answer is there the calling
 * thread's bell rings and `ready` is true; end waits for the answer, as muster__remote_call does. Whoever began must
 * end, with the same thread; cancel has the operation end soon, if it still waits, with err INTERRUPTED.
 */
muster_err muster__remote_begin(struct muster__call *call, const char *operation);
bool muster__remote_ready(const struct muster__call *call);
void muster__remote_cancel(const struct muster__call *call);
muster_err muster__remote_end(struct muster__call *call);
/**
 * Has the operation done without an answer, in the name of nobody. What one thread asks of one host arrives in order;
 * so does what different threads ask one after the other, up to SMALL bytes. Only the agent's notes have bytes. This
 * host's own agent does it with timeout NOWAIT when it comes to it; the agent itself, at once. To a lost host, or
 * without memory, nothing is sent; false.
 */
bool muster__remote_note(const struct muster__call *call);
/** By the agent: a note whose bytes are in a block, of any size, which is freed when they were sent. */
void muster__remote_note_block(struct muster__call *call, muster__ref block);

/* ---- proxies: objects of this host that stand for objects of others ---- */

struct muster__proxy {
    struct muster__object *object;
    uint32_t generation;
};
/** What stands for the object named; false: nothing does. It may end at any time, as any object. */
bool muster__proxy_find(muster_handle handle, struct muster__proxy *proxy);
/** The rest is the agent's, so of workers. Errors: NOMEM. */
muster_err muster__proxy_add(muster_handle handle, muster_handle proxy);
/** Forgets it, which does not end it. False: there was none. */
bool muster__proxy_remove(muster_handle handle, struct muster__proxy *proxy);
/** Tells what this host has proxies of, of those at home on that host; they may be removed meanwhile. */
void muster__proxies_of(int host, void (*tell)(muster_handle handle));

/* ---- answering ---- */

/** Owner of blocks that are under way: beyond those of pools. */
enum { MUSTER__REMOTE_OWNER = 1 << 19 | 1 << 17 };

struct muster__work {
    muster_handle object;
    uint32_t operation;
    int64_t timeout_ms;
    uint32_t self;      /* the stand-in's caller number; of an anonymous call: that of who does the work */
    int host;           /* that asks */
    uint32_t host_self; /* caller number of who stands in for that host as a whole; 0: it is this host */
    const void *bytes;
    size_t size;
    muster__ref bytes_in; /* block of MUSTER__REMOTE_OWNER that large bytes are in; who takes it over puts 0 here */
    void *reply;          /* room for capacity bytes */
    size_t capacity;
    /* answer */
    int64_t number;
    size_t reply_size;
    bool settled;  /* the answer is that: it shall not be tried again with time to wait */
    bool parks;    /* it shall be tried again, without waiting, whenever the stand-in's bell has rung: no thread
                      waits. Not for anonymous calls */
    bool parked;   /* it was; and if the call was called off meanwhile, */
    bool ends;     /* this is the last time, to undo what parking did */
    uint32_t then; /* with MUSTER_OK: an operation of the same object, without an answer and with all the time, that
                      the asking host does before the caller is told, and in any case; 0: none */
    void (*sent)(const struct muster__work *work); /* told by the agent, with `then`, when that is on its way: what is
                                                      sent from here on comes later */
    muster__ref reply_in; /* block handed to MUSTER__REMOTE_OWNER that is sent instead of reply, and then freed */
};
/**
 * Does the work; each kind of object registers how. err BUSY, FULL, EMPTY and TIMEOUT mean that it would have to wait
 * longer than timeout_ms: tried first with MUSTER_NOWAIT, then in a thread that may wait, or again and again. So an
 * operation that may take long says BUSY at first, and its callers give it time. Sets the detail line with any error.
 */
typedef muster_err (*muster__worker)(struct muster__work *work);
void muster__remote_register(enum muster__kind kind, muster__worker worker);
/** Told when a process of another host has died, once for each of its threads that had asked this host for something,
 * by that thread's stand-in, before what that holds is swept. */
void muster__remote_on_death(void (*told)(uint32_t standin));
/** Has the agent call it whenever it looks for mail. A few may be registered. */
void muster__remote_on_look(void (*look)(void));
/** Whoever rings that caller, as which no thread acts, rings the agent, too; false: no more. */
void muster__remote_relay(uint32_t caller, bool on);
/** Told by the agent when a host was lost. */
void muster__remote_on_lost(enum muster__kind kind, void (*told)(int host));
/** Whether a caller of this host's segment stands in for another host as a whole, and for which. */
bool muster__remote_is_host(uint32_t caller, int *host);

#endif
