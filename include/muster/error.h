/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Error codes: zero is success, everything else is negative and comes from the one table below.
 *
 * What all functions of muster say of themselves, in the last line of their comment or once for several:
 *   Threads    which may call it. Between muster_init and muster_finalize, if nothing else is said
 *   In tasks   whether a task may, or what muster_process runs, in a rank or in a child
 *   Blocks     no; up to timeout_ms; until something has come about; for an answer: where an object of another host is
 *              concerned, until that host has answered, else not
 *   Hosts      any: objects of all hosts will do; own: this host's alone; none: it is about no object
 * Each of them gives err INVAL, and has changed nothing, for a NULL where none may be, a negative count, a negative
 * timeout other than MUSTER_FOREVER, and a size that no memory has; so INVAL is listed only where there is more to it.
 */
#ifndef MUSTER_ERROR_H
#define MUSTER_ERROR_H

#if defined(_WIN32)
#error "muster runs on POSIX systems with MPI"
#endif
#define MUSTER_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

/** Result of every call that can fail: MUSTER_OK or one of the MUSTER_ERR_ codes. */
typedef int muster_err;

/* name, value, one-line text */
#define MUSTER_ERRORS(X)                                                                                               \
    X(INVAL, -1, "invalid argument")                                                                                   \
    X(NOMEM, -2, "out of memory")                                                                                      \
    X(TIMEOUT, -3, "not done within the time given")                                                                   \
    X(STATE, -4, "not allowed in this state")                                                                          \
    X(CLOSED, -5, "closed")                                                                                            \
    X(FULL, -6, "queue full")                                                                                          \
    X(EMPTY, -7, "nothing there")                                                                                      \
    X(TOOBIG, -8, "buffer too small")                                                                                  \
    X(BUSY, -9, "held by another")                                                                                     \
    X(DEADLOCK, -10, "the wait could never end")                                                                       \
    X(OWNER_DEAD, -11, "acquired, but the previous holder died holding it")                                            \
    X(STALE, -12, "the object no longer exists")                                                                       \
    X(CANCELED, -13, "canceled")                                                                                       \
    X(CRASHED, -14, "the process running it died")                                                                     \
    X(TASK, -15, "a task reported failure")                                                                            \
    X(BROKEN, -16, "broken")                                                                                           \
    X(PEER, -17, "a host or rank is gone")                                                                             \
    X(NOFUNC, -18, "function not found in the modules all ranks share")                                                \
    X(SYSTEM, -19, "the operating system refused")                                                                     \
    X(MPI, -20, "MPI refused")                                                                                         \
    X(UNSUPPORTED, -21, "not possible with this configuration")                                                        \
    X(INTERRUPTED, -22, "a signal asked the job to stop")

#define MUSTER_ERROR_ENUM(name, value, text) MUSTER_ERR_##name = value,
enum { MUSTER_OK = 0, MUSTER_ERRORS(MUSTER_ERROR_ENUM) };
#undef MUSTER_ERROR_ENUM

/* Each of these, at any time: Threads: any. In tasks: yes. Blocks: no. Hosts: none. */
/** Short name of a code, such as "TIMEOUT"; "OK" for zero, "UNKNOWN" for anything else. Never NULL. */
MUSTER_API const char *muster_err_name(muster_err err);
/** One-line meaning of a code. Never NULL. */
MUSTER_API const char *muster_err_text(muster_err err);
/**
 * One line about the last failed call of this thread: the object, the ranks and hosts concerned and what to do.
 * Borrowed until the thread's next failing call; "" before the first. After muster_finalize a line may be shorter than
 * it would have been before. Never NULL.
 */
MUSTER_API const char *muster_err_detail(void);

#ifdef __cplusplus
}
#endif
#endif
