/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Base layer: errors, log, settings, clock, futex. Includes nothing of muster but the public error codes; may be used
 * by every layer.
 *
 * Threads: everything here may be called from any thread. In signal handlers: only clock and futex.
 */
#ifndef MUSTER_BASE_H
#define MUSTER_BASE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <muster/error.h>

#define MUSTER__LINE 64 /* bytes of a cache line; what two cores write goes on different ones */

#define MUSTER__LIKELY(x)   __builtin_expect(!!(x), 1)
#define MUSTER__UNLIKELY(x) __builtin_expect(!!(x), 0)
/* thread-local storage reached without a function call, also from the shared library */
#define MUSTER__THREAD_LOCAL _Thread_local __attribute__((tls_model("initial-exec")))

/* ---- errors ---- */

/** Sets the thread's detail line (printf-like) and returns err. Logs nothing. */
muster_err muster__fail(muster_err err, const char *format, ...) __attribute__((format(printf, 2, 3), cold));

/** In texts: "%d rank%s", n, muster__s(n). */
static inline const char *muster__s(int64_t n)
{
    return n == 1 ? "" : "s";
}

/**
 * Routine outcome (timeout, full, empty, closed): returns err at the cost of three stores; the detail line is written
 * only when somebody asks for it, by describe(err, what, arg, line, size).
 */
typedef void (*muster__describe_fn)(muster_err err, const char *what, uint64_t arg, char *line, size_t size);
muster_err muster__routine(muster_err err, muster__describe_fn describe, const char *what, uint64_t arg);

/** Before what lazy lines tell of is gone: the calling thread's is written, others' will tell the error alone. */
void muster__details_settle(void);

/* What every public call asks of its arguments, before anything else: INVAL with a text, or MUSTER_OK. */

#define MUSTER__NULL_BAD(operation, pointer) ((pointer) ? MUSTER_OK : muster__null_refused(operation, #pointer))
muster_err muster__null_refused(const char *operation, const char *argument) __attribute__((cold));

/* a timeout that is negative, but not MUSTER_FOREVER */
muster_err muster__timeout_refused(const char *operation, int64_t timeout_ms) __attribute__((cold));
static inline muster_err muster__timeout_bad(const char *operation, int64_t timeout_ms)
{
    return MUSTER__LIKELY(timeout_ms >= -1) ? MUSTER_OK : muster__timeout_refused(operation, timeout_ms);
}

/* a size that no memory has: so sums of sizes do not overflow */
#define MUSTER__SIZE_BAD(operation, size)                                                                              \
    ((size) <= PTRDIFF_MAX / 2 ? MUSTER_OK : muster__size_refused(operation, #size, size))
muster_err muster__size_refused(const char *operation, const char *argument, size_t size) __attribute__((cold));

/**
 * INVAL, naming the word, unless the reserved words at the end of options are zero; options may be NULL. What the words
 * will be for a newer muster has this one do something else than its caller means.
 */
#define MUSTER__RESERVED(operation, options)                                                                           \
    ((options) ? muster__reserved(operation, (options)->reserved, sizeof(options)->reserved / sizeof(uint64_t))        \
               : MUSTER_OK)
muster_err muster__reserved(const char *operation, const uint64_t *words, size_t count);

/* ---- log: one write per line on stderr: time, host, rank, level, text ---- */

enum muster__level { MUSTER__ERROR = 1, MUSTER__WARN, MUSTER__INFO, MUSTER__DEBUG };

/** Who this process is in its log lines, and the least severe level shown. rank < 0: not known yet. */
void muster__log_setup(const char *host, int rank, int ranks, const char *role, int level);
bool muster__log_wants(enum muster__level level);
void muster__log(enum muster__level level, const char *format, ...) __attribute__((format(printf, 2, 3), cold));
/** Logs the line as error and sets it as the thread's detail; returns err. */
muster_err muster__fail_logged(muster_err err, const char *format, ...) __attribute__((format(printf, 2, 3), cold));

/** A broken invariant of the library's own: says which, with both values, and aborts the process. */
#define MUSTER__CHECK_EQ(a, b) muster__check((int64_t)(a), (int64_t)(b), (a) == (b), #a " == " #b, __FILE__, __LINE__)
static inline void muster__check(int64_t a, int64_t b, bool holds, const char *text, const char *file, int line);
_Noreturn void muster__broken(int64_t a, int64_t b, const char *text, const char *file, int line);
static inline void muster__check(int64_t a, int64_t b, bool holds, const char *text, const char *file, int line)
{
    if (MUSTER__UNLIKELY(!holds))
        muster__broken(a, b, text, file, line);
}

/* ---- settings: the variables MUSTER_* of the environment; their table is in settings.c ---- */

enum muster__setting {
    MUSTER__SET_LOG,
    MUSTER__SET_TOPOLOGY,
    MUSTER__SET_PLACEMENT,
    MUSTER__SET_RANKS,
    MUSTER__SET_LAUNCH,
    MUSTER__SET_PEER_LIMIT_MS,
    MUSTER__SET_COUNTERS,
    MUSTER__SET_SEGMENT_MIB,
    MUSTER__SET_HOST_RANKS,
    MUSTER__SET_DEADLOCK,
    MUSTER__SET_DEADLOCK_MS,
    MUSTER__SET_LOCK_ORDER,
    MUSTER__SETTINGS
};

/** A number; of a flag 0 or 1; of words which one, from 1. Where the variable is not set, or to what is not allowed,
 * the default, which may be outside of what is allowed. */
int64_t muster__setting(enum muster__setting which);
/** As it stands in the environment; NULL: it does not. */
const char *muster__setting_text(enum muster__setting which);
/**
 * Says what is wrong in the environment (warn) and what is not as by default (info): once for the job, so aloud in one
 * process, and not there if who started it has. Called by all ranks: what they start is another job.
 */
void muster__settings_say(bool aloud);
/** What this process turns into starts ranks, which shall not say it again. */
void muster__settings_said(void);

/* ---- clock ---- */

#define MUSTER__NEVER INT64_MAX

/** Nanoseconds of CLOCK_MONOTONIC. */
int64_t muster__now_ns(void);
/** Deadline of a public timeout: 0 is already over (0), negative is MUSTER__NEVER. */
int64_t muster__deadline_ns(int64_t timeout_ms);
/** What is left until a deadline, as a public timeout: rounded up, MUSTER_NOWAIT when it is over. */
int64_t muster__left_ms(int64_t deadline_ns);

/* ---- futex, shared between processes ---- */

enum muster__wake { MUSTER__WOKEN, MUSTER__CHANGED, MUSTER__EXPIRED, MUSTER__SIGNAL };

/** Sleeps while *word == expected, until woken, a signal, or the absolute deadline. */
enum muster__wake muster__futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns);
/** Wakes up to n sleepers (n < 0: all); returns how many. */
int muster__futex_wake(_Atomic uint32_t *word, int n);

static inline void muster__cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

/**
 * Right after a read-modify-write that is seq_cst: together they are a full barrier. On x86 each such step is one;
 * elsewhere it may let later loads pass what it stores.
 */
static inline void muster__fence_after_atomic(void)
{
#if defined(__x86_64__) || defined(__i386__)
    atomic_signal_fence(memory_order_seq_cst);
#else
    atomic_thread_fence(memory_order_seq_cst);
#endif
}

/** 64-bit mix of a byte string (FNV-1a with a finalizer); not cryptographic. */
uint64_t muster__hash(const void *bytes, size_t size);

#endif
