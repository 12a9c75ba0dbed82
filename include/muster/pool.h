/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pool: tasks on many workers, in the ranks themselves or in isolated children.
 *
 * Every call here returns err INVAL, says in the detail line what is wrong, and changes nothing where a pointer is NULL
 * that may not be (one to no bytes may; others say so), a count is negative, a timeout is negative but not
 * MUSTER_FOREVER, or a size is none that memory can have.
 *
 * Whoever waits here for a pool of in-rank workers, any thread of any rank, process or task, runs tasks of it
 * meanwhile, and so do isolated workers for their own pool: first what they wait for, where nobody has begun that, then
 * others. So a pool works also while the ranks' main threads are elsewhere. In a rank's main thread and in tasks each
 * task that is begun so has a stack of its own (8 MiB, as far as it is touched), and tasks may wait for tasks that they
 * have not submitted; in other threads, and in processes, it is on top of the waiting one's stack, and another one
 * where that is half full. So waits may be nested to any depth. Processes and isolated tasks cannot call MPI: tasks
 * that do are not for a pool that they wait for.
 *
 * Who waits looks at the time between two tasks: a timeout of 20 ms returns after 700 if the task that the caller began
 * took so long. Where a timeout must be kept, wait outside of tasks on a pool with isolated workers, or with
 * caller_idle and at least two workers; or ask with MUSTER_NOWAIT, which begins no task.
 *
 * In SPMD mode the main thread of each rank is a worker of in-rank pools as long as it waits here, or for what
 * muster_serve names. Other tasks that it runs then, but for muster_serve and muster_finalize, are on top of its own
 * stack: what waits below goes on when they have ended.
 */
#ifndef MUSTER_POOL_H
#define MUSTER_POOL_H

#include <muster/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct muster_pool {
    muster_handle handle;
} muster_pool;

typedef struct muster_task {
    muster_handle handle;
} muster_task;

typedef struct muster_group {
    muster_handle handle;
} muster_group;

/**
 * What a task runs. item: the input, result: room for the output (zeroed before the first try), user: the pool's or
 * map's shared context, all aligned to 16 bytes or to their size's natural alignment in an array. Returns 0, or a code
 * of the caller's that makes the task failed (err TASK); muster_task_fail adds a text. May submit tasks to the same
 * pool and wait for them.
 */
typedef int (*muster_task_fn)(const void *item, void *result, const void *user);

typedef struct muster_pool_options {
    const char *name; /**< shown in messages; copied, cut at 31 bytes; NULL: none */
    int workers;   /**< 0: one per rank of the pool. In-rank workers are its first ranks: more than there are ranks are
                      allowed but not made. Isolated ones go to its ranks in turn. Pools on the same ranks share them:
                      in-rank workers serve them in turns, one task, or piece of a map, of each */
    bool isolated; /**< workers are children: own memory, may crash or be killed; no MPI in tasks */
    bool caller_idle;           /**< the thread that waits for results does not run tasks meanwhile, unless it is the
                                   only worker or waits in a task: so its timeouts are kept */
    muster_task_fn initializer; /**< run once in each worker before its first task, with item = init_arg, result = NULL;
                                   NULL: none. Where it fails the pool is broken: pending gets and maps, joins and new
                                   work return err BROKEN, and the detail line says why. Of in-rank workers once a rank,
                                   and in each process that runs tasks while it waits */
    muster_task_fn finalizer;   /**< likewise at the worker's end; not in such processes */
    const void *init_arg;       /**< of any size; copied to each host, as user is */
    size_t init_arg_bytes;
    /** Context passed to every task as user: read-only, of any size. Copied once into the shared memory of each host
     * that has workers of the pool, for all of them, and sent there once. */
    const void *user;
    size_t user_bytes;
    int retries;       /**< how often a task is run again after its worker died */
    int64_t max_tasks; /**< isolated workers: each is replaced by a new one after so many tasks, or items of maps,
                          and after those that wait in it then; 0: never */
    size_t memory_limit_bytes; /**< of a task, or an item of a map; isolated workers; 0: none. See below */
    int first_rank, ranks;     /**< the ranks that the pool is on: so many from first_rank on; ranks 0: to the last one.
                                  So pools may be on disjoint ranks; who waits for in-rank workers runs tasks wherever
                                  it is, unless caller_idle */
    uint64_t reserved[1];      /**< zero */
} muster_pool_options;

/*
 * Limits of memory. A task, an item, or of an imap a chunk, that has more than memory_limit_bytes ends with err NOMEM
 * and is not tried again; the error's text says how much it had. Its worker is killed and replaced. What counts is
 * memory of the worker's own that is in use (anonymous pages: heap, stacks, private mappings once they are touched)
 * beyond what it had when the task began, with what other tasks take that it runs while this one waits; not the host's
 * shared segment, mapped files, nor other processes. It is looked at every 5 ms: more may be had for so long.
 *
 * A worker that the kernel kills for want of memory (the machine's, or its cgroup's) is told apart from one that
 * somebody kills: the task of either fails with err CRASHED, code 9, but of the former the text says "out-of-memory
 * killer", and how much it had. That goes by the kernel's count of its victims in the cgroup: one that is killed within
 * 20 s after another process of the cgroup was such a victim may be taken for it.
 */

/** Bytes of any number: an item, or a result. */
typedef struct muster_span {
    const void *bytes;
    size_t size_bytes;
} muster_span;

struct muster_map_progress;

/** What has become of an item of a map. */
enum {
    MUSTER_ITEM_OPEN,  /**< it was not run, or not to its end */
    MUSTER_ITEM_DONE,  /**< its result is there */
    MUSTER_ITEM_FAILED /**< it returned a code, or its worker died */
};

typedef struct muster_map_options {
    int64_t chunk_items; /**< items handed out at a time; 0: chosen by the pool from the tasks' running time */
    const void *user;    /**< context for this map, instead of the pool's; copied once a host */
    size_t user_bytes;
    bool stop_at_failure;  /**< start no further items after one failed; those not run count as canceled */
    int64_t time_limit_ms; /**< for one item, isolated workers; 0: none */
    /** Called on the calling thread about every 200 ms while the map runs, and at its end; may be NULL. */
    void (*progress)(const struct muster_map_progress *progress, void *progress_arg);
    void *progress_arg;
    /** For all items, from the call on; 0: none. What has not begun by then is not run, and the map ends with err
     * TIMEOUT when the item in the caller's own hands has. */
    int64_t map_limit_ms;
    /** [n], or NULL: becomes MUSTER_ITEM_DONE, _FAILED or _OPEN for each item, however the map ends. Then results of
     * items that are DONE are there even if it ended early: err TIMEOUT, INTERRUPTED, CANCELED, BROKEN, DEADLOCK. Of
     * what another host has in hand at that time only what it had brought counts. */
    unsigned char *states;
    uint64_t reserved[2]; /**< zero */
} muster_map_options;

typedef struct muster_map_progress {
    int64_t items_total;
    int64_t items_done;
    int workers;      /**< alive now */
    int workers_busy; /**< running a task now */
    double elapsed_s;
    uint64_t reserved[4]; /**< zero */
} muster_map_progress;

#define MUSTER_NO_RETRIES (-1)

struct muster_task_error;

/**
 * Exactly one of the two comes, once, when a task has ended: its result, or why it has none; NULL: nobody is told.
 * Called by a thread that the submitting process has for that, one after the other, with no lock held; what they point
 * to is borrowed for the call. The result is the callback's: the task's handle may be used to look, to cancel and to
 * wait, not to get. muster_pool_join, _destroy and muster_finalize return after those of this process; what has not
 * ended by then is canceled by the latter two.
 */
typedef struct muster_callbacks {
    void (*on_result)(const void *result, size_t result_bytes, void *arg);
    void (*on_error)(const struct muster_task_error *error, void *arg);
    void *arg;
    uint64_t reserved[2]; /**< zero */
} muster_callbacks;

/** Whom a task is for. Others do not run it, nor does who waits for it, unless it is one of those. */
typedef enum muster_aim {
    MUSTER_AIM_ANY,   /**< whoever comes first */
    MUSTER_AIM_HOST,  /**< a worker on host aim_at */
    MUSTER_AIM_RANK,  /**< in-rank: rank aim_at; isolated: a worker that belongs to it */
    MUSTER_AIM_WORKER /**< worker aim_at, by its number (muster_task_worker), or whoever has taken its place */
} muster_aim;

typedef struct muster_submit_options {
    /** Context for this task, instead of the pool's; copied. From 4 KiB on tasks share one copy a host, if the same
     * bytes are submitted again: each of this thread's last four contexts of the pool is kept for that, to the pool's
     * end at the latest. */
    const void *user;
    size_t user_bytes;
    int64_t time_limit_ms; /**< isolated workers: its worker is killed after this (err TIMEOUT); 0: none */
    int retries; /**< how often it is run again after its worker died; 0: as the pool says; MUSTER_NO_RETRIES: none */
    const muster_callbacks *callbacks; /**< NULL: none */
    const muster_group *group; /**< that it is of, see muster_group_create; NULL: that of the running task, if any */
    const muster_task *after;  /**< it is run when these have ended, tasks of the same pool, submitted on this host. If
                                  one of them has not gone well it is not run: err CANCELED, once all have ended. Read by
                                  the call alone: they may be got, or forgotten, at once */
    int64_t after_n;           /**< up to 16,777,216 */
    bool after_failed;         /**< it is run however those have ended */
    int32_t priority; /**< of tasks that have not begun those of higher priority come first, then older ones; 0: as they
                         come. On each host by itself */
    muster_aim aim; /**< whom it is for. Where that host is lost: err PEER; of a host, rank or worker that the pool does
                       not have: INVAL; from a task on another host than the pool's: UNSUPPORTED unless it is here */
    int32_t aim_at;
    size_t memory_limit_bytes; /**< isolated workers; 0: as the pool says. See muster_pool_options */
    uint64_t reserved[2];      /**< zero */
} muster_submit_options;

/** What is known about a failed task. */
typedef struct muster_task_error {
    muster_err err; /**< TASK, CRASHED, CANCELED, TIMEOUT, BROKEN; NOMEM: over its limit of memory */
    int code;       /**< what the task returned (TASK), or the signal (CRASHED) */
    int64_t index;  /**< index of the item within its map, or how many tasks its thread had submitted before it */
    int worker;
    int rank;
    int64_t failed; /**< how many items of the map failed or were not run */
    char host[64];
    char function[64];
    char text[160];       /**< what muster_task_fail said */
    uint64_t reserved[4]; /**< zero */
} muster_task_error;

/**
 * Makes a pool and its workers, on all hosts. On other hosts it is used by those that have workers of it. On each
 * host up to 64 threads besides its workers may use it (else err NOMEM). Errors: INVAL (negative count), NOFUNC, NOMEM,
 * STATE, UNSUPPORTED, PEER (a host is gone).
 * Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any.
 */
MUSTER_API muster_err muster_pool_create(muster_pool *pool, const muster_pool_options *options);
#define muster_pool_create(...) MUSTER_SITED(muster_pool_create, __VA_ARGS__)

/**
 * No more submissions: err CLOSED from now on. What was submitted completes and stays retrievable. Errors: STALE.
 * Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any.
 */
MUSTER_API muster_err muster_pool_close(muster_pool pool);
#define muster_pool_close(...) MUSTER_SITED(muster_pool_close, __VA_ARGS__)
/**
 * Waits until all submitted work has ended (after muster_pool_close, else err STATE). Errors: TIMEOUT, STALE,
 * INTERRUPTED, BROKEN (at once, closed or not; the detail line says why).
 * Threads: any. In tasks: of other pools. Blocks: up to timeout_ms and to the end of a task that it runs meanwhile.
 * Hosts: any.
 */
MUSTER_API muster_err muster_pool_join(muster_pool pool, int64_t timeout_ms);
#define muster_pool_join(...) MUSTER_SITED(muster_pool_join, __VA_ARGS__)
/**
 * Cancels what has not started and ends the workers (isolated ones at once): pending gets return err CANCELED. Errors:
 * STALE.
 * Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any.
 */
MUSTER_API muster_err muster_pool_terminate(muster_pool pool);
#define muster_pool_terminate(...) MUSTER_SITED(muster_pool_terminate, __VA_ARGS__)
/**
 * Cancels what was submitted and has not begun, on all hosts; the pool goes on. Their gets return err CANCELED, and so
 * do maps whose items had not all begun, unless one of the others failed; chunks of an imap are canceled one by one.
 * What runs goes on, and what is submitted after this is run; what is submitted meanwhile may be either. Errors: STALE.
 * Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any.
 */
MUSTER_API muster_err muster_pool_cancel_pending(muster_pool pool);
#define muster_pool_cancel_pending(...) MUSTER_SITED(muster_pool_cancel_pending, __VA_ARGS__)
/**
 * Terminates what is left, ends the workers and frees the pool. Errors: STALE.
 * Threads: any. In tasks: of other pools. Blocks: until its workers have left what they run. Hosts: any.
 */
MUSTER_API muster_err muster_pool_destroy(muster_pool pool);
#define muster_pool_destroy(...) MUSTER_SITED(muster_pool_destroy, __VA_ARGS__)

/**
 * Number of workers. Errors: STALE.
 * Threads: any. In tasks: yes. Blocks: no. Hosts: any.
 */
MUSTER_API muster_err muster_pool_workers(muster_pool pool, int *workers);

/**
 * results[i] = fn(items[i]) for n items of item_bytes each, results of result_bytes each, in input order. Blocks until
 * all have ended; the calling thread works too unless the pool says caller_idle. results (NULL when result_bytes is 0)
 * holds the results of the items that succeeded also when err TASK or CRASHED is returned; details by
 * muster_pool_last_error. A map that ends early keeps what was finished: see states. Errors: INVAL (negative n or
 * chunk), TASK, CRASHED, BROKEN, CLOSED, CANCELED, NOFUNC, NOMEM, STALE, INTERRUPTED, TIMEOUT (map_limit_ms).
 * Threads: any. In tasks: yes. Blocks: until all have ended. Hosts: any.
 */
MUSTER_API muster_err muster_pool_map(muster_pool pool, muster_task_fn fn, const void *items, int64_t n,
                                      size_t item_bytes, void *results, size_t result_bytes,
                                      const muster_map_options *options);
#define muster_pool_map(...) MUSTER_SITED(muster_pool_map, __VA_ARGS__)

/**
 * The same over n items that have sizes of their own, and so have their results: fn gets a copy of an item
 * (muster_task_item_bytes tells its size; behind it lies a 0 that does not count, so that a string is one there, too),
 * and result = NULL; it gives its result by muster_task_return. *results becomes an array of n spans in input order,
 * one block together with the bytes, for free(). Each result is aligned to 16 bytes, and behind it lies a 0 that does
 * not count. An item that failed or was not run has {NULL, 0}; one that returned nothing has no bytes, but is not NULL.
 * results may be NULL: none are wanted. Results are given also if some items failed, and those that are there if the
 * map ends early (err TIMEOUT, INTERRUPTED, CANCELED, BROKEN, DEADLOCK); after other errors, and for n = 0, *results
 * becomes NULL. Errors: as muster_pool_map.
 * Threads: any. In tasks: yes. Blocks: until all have ended. Hosts: any.
 */
MUSTER_API muster_err muster_pool_map_list(muster_pool pool, muster_task_fn fn, const muster_span *items, int64_t n,
                                           muster_span **results, const muster_map_options *options);
#define muster_pool_map_list(...) MUSTER_SITED(muster_pool_map_list, __VA_ARGS__)

typedef struct muster_map_async_options {
    int64_t chunk_items; /**< as in muster_map_options, and so are those down to map_limit_ms */
    const void *user;
    size_t user_bytes;
    bool stop_at_failure;
    int64_t time_limit_ms;             /**< for one item, isolated workers; 0: none */
    int64_t map_limit_ms;              /**< what has not begun by then is not run: its get returns err TIMEOUT */
    const muster_callbacks *callbacks; /**< told all results at once, or the error; NULL: none */
    const muster_group *group;         /**< that it is of, as one task; NULL: that of the running task, if any */
    uint64_t reserved[4];              /**< zero */
} muster_map_async_options;

/**
 * Starts results[i] = fn(items[i]) and returns at once: *task is the handle of a task, whose result are the n results
 * of result_bytes each, in input order. All that is told of tasks holds for it: get and take, wait and next, ready,
 * successful, size, callbacks, groups; others may follow it (after). Items and context are copied, all at once, into
 * the host's shared memory, so the caller may change them; results stay there until they are got, or forgotten. n = 0
 * is a task without a result that has ended.
 *
 * It ends when all items have ended. If one failed there are no results: its get returns the error of lowest index, as
 * muster_pool_map does (index is the item's; failed says how many failed or were not run). Deaths of workers and hosts
 * come to what they do in a map. muster_task_cancel works as long as it has not ended: no further item is begun, but
 * what another host has in hand; those that run go on, also with kill; its get returns err CANCELED, unless one failed
 * or none was left to cancel. Who waits for it runs its items meanwhile, as in all waits for tasks. Errors: INVAL
 * (negative n or chunk), CLOSED, BROKEN, NOFUNC, NOMEM, STALE, UNSUPPORTED (time limit, in-rank workers).
 * Threads: any. In tasks: yes. Blocks: no. Hosts: any.
 */
MUSTER_API muster_err muster_pool_map_async(muster_pool pool, muster_task *task, muster_task_fn fn, const void *items,
                                            int64_t n, size_t item_bytes, size_t result_bytes,
                                            const muster_map_async_options *options);
/**
 * The same over items, and with results, that have sizes of their own, as muster_pool_map_list. The task's result is
 * one piece of memory with all of them, to be read by muster_list_at. Errors: as muster_pool_map_async.
 * Threads: any. In tasks: yes. Blocks: no. Hosts: any.
 */
MUSTER_API muster_err muster_pool_map_list_async(muster_pool pool, muster_task *task, muster_task_fn fn,
                                                 const muster_span *items, int64_t n,
                                                 const muster_map_async_options *options);
/**
 * Result i of those that muster_task_take, muster_task_get or a callback gave of a muster_pool_map_list_async: it
 * points into them. As aligned as they are, up to 16 bytes; behind it lies a 0 that does not count. {NULL, 0} where
 * there is none of that number.
 * Threads: any. In tasks: yes. Blocks: no. Hosts: none.
 */
MUSTER_API muster_span muster_list_at(const void *results, size_t results_bytes, int64_t i);

/**
 * The error of this thread's last failed map, imap step or get: lowest index first. Borrowed until the next one.
 * Threads: any. In tasks: yes. Blocks: no. Hosts: none.
 */
MUSTER_API const muster_task_error *muster_pool_last_error(void);

/**
 * Called inside a task: its text for the error report, printf-like; returns code, so that `return muster_task_fail(3,
 * "...")` works.
 * Threads: the one that runs the task. In tasks: yes. Blocks: no. Hosts: none.
 */
MUSTER_API int muster_task_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/**
 * Called inside a task: these size_bytes bytes (0 allowed; bytes may then be NULL), copied, are its result, whatever
 * result_bytes said and `result` holds; of several calls the last one counts. A task that fails has no result. A map
 * and a reduction have results of one size: there they are up to result_bytes bytes, and zeros behind them. What goes
 * wrong is the task's text, as of muster_task_fail, so that `return muster_task_return(...)` works. Errors: NOMEM,
 * TOOBIG (map, reduction), STATE (this thread runs no task, or combines), INVAL; what was returned before stays.
 * Threads: the one that runs the task. In tasks: yes. Blocks: no. Hosts: none.
 */
MUSTER_API muster_err muster_task_return(const void *bytes, size_t size_bytes);

/* Each of these: Threads: any. In tasks: yes. Blocks: no. Hosts: none. */
/** Size of the running item, or of the task's argument; 0 outside of tasks. */
MUSTER_API size_t muster_task_item_bytes(void);
/** Number of the worker that runs the calling task (0 <= n < workers, or workers and above for helping callers), -1
 * outside tasks. */
MUSTER_API int muster_task_worker(void);
/** Index of the running item within its map, or how many tasks its thread had submitted before; -1 outside. */
MUSTER_API int64_t muster_task_index(void);
/** The pool whose task is running, to submit more to it; all zero outside. */
MUSTER_API muster_pool muster_task_pool(void);

/**
 * Makes task fn(arg) run some time, on any host; *task names its result, on every host and in every process; of a
 * group's task NULL means that nobody will ask. Arguments of arg_bytes are copied. The result has result_bytes, unless
 * the task says otherwise (muster_task_return). Every submitted task must be got or forgotten (muster_task_forget),
 * else its memory is kept until the pool's end. From inside a task of the same pool it goes to the worker's own end of
 * its line. Errors: CLOSED, BROKEN, NOFUNC, NOMEM, INVAL, STALE, UNSUPPORTED (time limit, in-rank workers). Threads:
 * any. In tasks: yes. Blocks: no. Hosts: any.
 */
MUSTER_API muster_err muster_pool_submit(muster_pool pool, muster_task *task, muster_task_fn fn, const void *arg,
                                         size_t arg_bytes, size_t result_bytes, const muster_submit_options *options);

/**
 * Waits for the task and copies its result (up to capacity_bytes) out; the task's handle is stale afterwards: of
 * several getters one has it, the others get err STALE at once, asleep or not. Of a getter of another host that has
 * died, or given up, before the result came to it, the result is there again. While it waits a worker runs other tasks,
 * which may take longer than timeout_ms: see above. Errors: TIMEOUT (a later get works), TASK, CRASHED, CANCELED,
 * BROKEN, TOOBIG (result larger; stays), STALE, INTERRUPTED, PEER (its host is gone). Threads: any. In tasks: yes.
 * Blocks: up to timeout_ms and to the end of a task that it runs meanwhile. Hosts: any.
 */
MUSTER_API muster_err muster_task_get(muster_task task, void *result, size_t capacity_bytes, int64_t timeout_ms);
#define muster_task_get(...) MUSTER_SITED(muster_task_get, __VA_ARGS__)
/**
 * The same for a result of any size: *result becomes a block with it, for free(), in which a 0 that does not count lies
 * behind it; *size_bytes (may be NULL) is its size. Errors: as muster_task_get; NOMEM (the result stays) for TOOBIG.
 * Threads: any. In tasks: yes. Blocks: up to timeout_ms and to the end of a task that it runs meanwhile. Hosts: any.
 */
MUSTER_API muster_err muster_task_take(muster_task task, void **result, size_t *size_bytes, int64_t timeout_ms);
#define muster_task_take(...) MUSTER_SITED(muster_task_take, __VA_ARGS__)
/* Each of these asks the host where the task was submitted. Threads: any. In tasks: yes. Blocks: for an answer. Hosts:
 * any. */
/** Whether it has ended, in whatever way: a get would not wait. Errors: STALE, PEER. */
MUSTER_API muster_err muster_task_ready(muster_task task, bool *ready);
#define muster_task_ready(...) MUSTER_SITED(muster_task_ready, __VA_ARGS__)
/** Whether it ended well. Errors: STATE (not ended), STALE, PEER. */
MUSTER_API muster_err muster_task_successful(muster_task task, bool *successful);
#define muster_task_successful(...) MUSTER_SITED(muster_task_successful, __VA_ARGS__)
/** Size of its result, which a get needs room for. Errors: STATE (not ended, or not well), STALE, PEER. */
MUSTER_API muster_err muster_task_size(muster_task task, size_t *size_bytes);
#define muster_task_size(...) MUSTER_SITED(muster_task_size, __VA_ARGS__)
/**
 * Cancels a task that has not started (its get: err CANCELED). A running one goes on (err STATE) unless kill and the
 * worker is isolated: then the worker is killed and replaced. Errors: STATE (running, or ended), STALE, PEER.
 * Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any.
 */
MUSTER_API muster_err muster_task_cancel(muster_task task, bool kill);
#define muster_task_cancel(...) MUSTER_SITED(muster_task_cancel, __VA_ARGS__)
/**
 * Gives the handle up without waiting: the task still runs, its result is dropped. Errors: STALE, PEER.
 * Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any.
 */
MUSTER_API muster_err muster_task_forget(muster_task task);
#define muster_task_forget(...) MUSTER_SITED(muster_task_forget, __VA_ARGS__)

typedef enum muster_wait_for {
    MUSTER_WAIT_ANY,          /**< until one has ended */
    MUSTER_WAIT_ALL,          /**< until all have ended */
    MUSTER_WAIT_FIRST_FAILURE /**< until one has failed or all have ended */
} muster_wait_for;

/**
 * Waits over n tasks, of one pool or of several, without consuming them; ready[i] (may be NULL) tells which have ended.
 * In a pool that was terminated or is broken all have. Meanwhile the caller runs other tasks of those pools that it is
 * a worker of. The tasks of a host that is gone have failed. Errors: TIMEOUT, STALE (one of them is), INTERRUPTED,
 * NOMEM. Threads: any. In tasks: yes. Blocks: up to timeout_ms and to the end of a task that it runs meanwhile. Hosts:
 * any.
 */
MUSTER_API muster_err muster_task_wait(const muster_task *tasks, int64_t n, muster_wait_for what, bool *ready,
                                       int64_t timeout_ms);
#define muster_task_wait(...) MUSTER_SITED(muster_task_wait, __VA_ARGS__)
/**
 * Next of n tasks, of one pool or of several, to end that done[] does not mark yet: *index is set and done[*index]
 * marked. Loop n times for as-completed order. Errors: STATE (all marked), else as muster_task_wait for those not
 * marked.
 * Threads: any. In tasks: yes. Blocks: up to timeout_ms and to the end of a task that it runs meanwhile. Hosts: any.
 */
MUSTER_API muster_err muster_task_next(const muster_task *tasks, int64_t n, bool *done, int64_t *index,
                                       int64_t timeout_ms);
#define muster_task_next(...) MUSTER_SITED(muster_task_next, __VA_ARGS__)

/**
 * Makes a group of tasks of a pool: those that are submitted with it in their options, and all that these submit, and
 * so on. It is waited for as a whole, without a handle each: the task's handle may be forgotten, or not asked for (task
 * NULL in muster_pool_submit). Errors: CLOSED, BROKEN, NOMEM, INVAL, STALE. Threads: any. In tasks: yes. Blocks: no.
 * Hosts: any.
 */
MUSTER_API muster_err muster_group_create(muster_group *group, muster_pool pool);
/**
 * Waits until all tasks of the group have ended, those too that are submitted meanwhile; helps as other waits do. Its
 * error is that of the first one that failed (details by muster_pool_last_error, with how many failed), told once; the
 * group may then be used again. Errors: TIMEOUT, TASK, CRASHED, CANCELED, BROKEN, STALE, INTERRUPTED, PEER.
 * Not in a task of the group, which would wait for itself.
 * Threads: any. In tasks: yes. Blocks: up to timeout_ms and to the end of a task that it runs meanwhile. Hosts: any.
 */
MUSTER_API muster_err muster_group_wait(muster_group group, int64_t timeout_ms);
#define muster_group_wait(...) MUSTER_SITED(muster_group_wait, __VA_ARGS__)
/**
 * Cancels what of the group has not begun, also what is submitted to it later: that ends with err CANCELED when its
 * turn comes. Errors: STALE, PEER. Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any.
 */
MUSTER_API muster_err muster_group_cancel(muster_group group);
#define muster_group_cancel(...) MUSTER_SITED(muster_group_cancel, __VA_ARGS__)
/**
 * Ends a group whose tasks have ended. Errors: STATE (they have not), STALE, PEER.
 * Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any.
 */
MUSTER_API muster_err muster_group_destroy(muster_group group);
#define muster_group_destroy(...) MUSTER_SITED(muster_group_destroy, __VA_ARGS__)

/**
 * What a generator returns that has no input now, but may have one later: muster_imap_next asks again after 1 to 16 ms
 * while it waits for results, which come meanwhile, and at its next call. So a generator may look into a queue:
 *
 *     muster_err err = muster_queue_get(queue, item, item_bytes, NULL, MUSTER_NOWAIT);
 *     return err == MUSTER_ERR_EMPTY ? MUSTER_GENERATE_LATER : err == MUSTER_ERR_CLOSED ? 1 : err;
 *
 * One that waits itself holds up the results that are done.
 */
#define MUSTER_GENERATE_LATER 0x7fffffff

/** Writes the next input into item; returns 0, a positive number when there are no more (MUSTER_GENERATE_LATER: see
 * above), negative for an error of its own, to which muster_task_fail may add a text. imap then gives the results
 * before it, then err TASK once (its code, index and function by muster_pool_last_error), then err CLOSED. Called on
 * the thread that calls muster_imap_next, and not again after it returned that there are no more, or an error. */
typedef int (*muster_generate_fn)(void *item, void *generate_arg);
/** The same for inputs that have sizes of their own: says where the next one is, which is borrowed until its next call.
 */
typedef int (*muster_generate_list_fn)(muster_span *item, void *generate_arg);

typedef struct muster_imap muster_imap;

typedef struct muster_imap_options {
    int64_t chunk_items;   /**< 0: 1 */
    int64_t window_chunks; /**< how many chunks are drawn ahead; 0: 2 a worker */
    bool unordered;        /**< results as they come */
    const void *user;
    size_t user_bytes;
    uint64_t reserved[4]; /**< zero */
} muster_imap_options;

/**
 * Starts a lazy map over what generate yields. The imap belongs to the calling thread. Ended by muster_imap_end.
 * Errors: as muster_pool_submit, thus CLOSED or BROKEN at once of a pool that is.
 * Threads: any. In tasks: yes. Blocks: no. Hosts: any.
 */
MUSTER_API muster_err muster_pool_imap(muster_pool pool, muster_imap **imap, muster_task_fn fn,
                                       muster_generate_fn generate, void *generate_arg, size_t item_bytes,
                                       size_t result_bytes, const muster_imap_options *options);
/**
 * The same over inputs, and with results, that have sizes of their own, as muster_pool_map_list: fn gets a copy of the
 * input, whose size is muster_task_item_bytes and behind which lies a 0 that does not count, and result = NULL; it
 * gives its result by muster_task_return. muster_imap_view hands results out. Errors: as muster_pool_imap. Threads:
 * any. In tasks: yes. Blocks: no. Hosts: any.
 */
MUSTER_API muster_err muster_pool_imap_list(muster_pool pool, muster_imap **imap, muster_task_fn fn,
                                            muster_generate_list_fn generate, void *generate_arg,
                                            const muster_imap_options *options);
/**
 * The next result (result_bytes, zeros behind one that was returned with less) and its index (may be NULL). err CLOSED
 * after the last one; err TOOBIG for one that was returned with more, which stays the next one. A failed item gives err
 * TASK or CRASHED for that item, sets its index, and the next call goes on; so do the items of a pool that is broken
 * (BROKEN) or was terminated (CANCELED) meanwhile. What a closed pool took is still given, then err CLOSED; without
 * memory to submit more (NOMEM) no item is lost: call again. Errors: TIMEOUT (call again), TASK, CRASHED, CLOSED,
 * BROKEN, CANCELED, NOMEM, TOOBIG, STALE, INTERRUPTED.
 * Threads: the one that made the imap. In tasks: yes. Blocks: up to timeout_ms and to the end of a task that it runs
 * meanwhile. Hosts: any.
 */
MUSTER_API muster_err muster_imap_next(muster_imap *imap, void *result, int64_t *index, int64_t timeout_ms);
#define muster_imap_next(...) MUSTER_SITED(muster_imap_next, __VA_ARGS__)
/**
 * The same for results of any size: *result points to the next one, borrowed until the next call on the imap, and
 * *size_bytes is its size. Errors: as muster_imap_next, but TOOBIG.
 * Threads: the one that made the imap. In tasks: yes. Blocks: up to timeout_ms and to the end of a task that it runs
 * meanwhile. Hosts: any.
 */
MUSTER_API muster_err muster_imap_view(muster_imap *imap, const void **result, size_t *size_bytes, int64_t *index,
                                       int64_t timeout_ms);
#define muster_imap_view(...) MUSTER_SITED(muster_imap_view, __VA_ARGS__)
/**
 * Ends the imap, canceling what was not drawn or started. NULL is fine.
 * Threads: the one that made the imap. In tasks: yes. Blocks: no. Hosts: any.
 */
MUSTER_API void muster_imap_end(muster_imap *imap);

/** A generator over a C array, for muster_pool_imap: generate = muster_items_next, generate_arg = &muster_items. */
typedef struct muster_items {
    const void *items;
    int64_t n;
    size_t item_bytes;
    int64_t next;
} muster_items;
/** Threads: any, one at a time. In tasks: yes. Blocks: no. Hosts: none. */
MUSTER_API int muster_items_next(void *item, void *items);

/** The same over an array of spans, for muster_pool_imap_list. */
typedef struct muster_spans {
    const muster_span *spans;
    int64_t n;
    int64_t next;
} muster_spans;
/** Threads: any, one at a time. In tasks: yes. Blocks: no. Hosts: none. */
MUSTER_API int muster_spans_next(muster_span *item, void *spans);

/** Combines: *accumulated = *accumulated op *value. Must be associative up to rounding. */
typedef int (*muster_combine_fn)(void *accumulated, const void *value, const void *user);

/**
 * Combines fn(items[0]) .. fn(items[n-1]) into *result (result_bytes). Chunks are folded left to right, chunk results
 * combined pairwise in a fixed tree: the same bits at any number of ranks for a given chunk_items (0: chosen from n
 * alone). fn NULL: the items themselves (item_bytes == result_bytes). n = 0 leaves *result as it is, and so does an
 * error. Errors: as muster_pool_map; INVAL (states: a reduction has none).
 * Threads: any. In tasks: yes. Blocks: until all have ended. Hosts: any.
 */
MUSTER_API muster_err muster_pool_reduce(muster_pool pool, muster_task_fn fn, muster_combine_fn combine,
                                         const void *items, int64_t n, size_t item_bytes, void *result,
                                         size_t result_bytes, const muster_map_options *options);
#define muster_pool_reduce(...) MUSTER_SITED(muster_pool_reduce, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
