/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Select: waits for several things at once, and does one of them.
 *
 *   muster_choice choices[] = {muster_choose_queue(jobs, &job, sizeof job), muster_choose_event(stop)};
 *   err = muster_select(choices, 2, &which, MUSTER_FOREVER);
 */
#ifndef MUSTER_SELECT_H
#define MUSTER_SELECT_H

#include <string.h>

#include <muster/event.h>
#include <muster/pipe.h>
#include <muster/pool.h>
#include <muster/process.h>
#include <muster/queue.h>
#include <muster/semaphore.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum muster_choice_kind {
    MUSTER_CHOICE_QUEUE = 1, /**< gets an item */
    MUSTER_CHOICE_EVENT,     /**< it is set */
    MUSTER_CHOICE_SEMAPHORE, /**< acquires a permit */
    MUSTER_CHOICE_PROCESS,   /**< it has ended */
    MUSTER_CHOICE_TASK       /**< it has ended: its result can be got */
} muster_choice_kind;

/** One of the things that are waited for; made by the functions below. */
typedef struct muster_choice {
    muster_choice_kind kind;
    muster_handle handle;
    void *item;                   /**< of a queue: room for the item */
    size_t capacity_bytes;        /**< of it */
    size_t size_bytes;            /**< out: the item's size */
    muster_process_status status; /**< out: how the process ended */
    uint64_t reserved[4];         /**< zero */
} muster_choice;

static inline muster_choice muster_choose_(muster_choice_kind kind, muster_handle handle)
{
    muster_choice choice;
    memset(&choice, 0, sizeof choice);
    choice.kind = kind;
    choice.handle = handle;
    return choice;
}
static inline muster_choice muster_choose_queue(muster_queue queue, void *item, size_t capacity_bytes)
{
    muster_choice choice = muster_choose_(MUSTER_CHOICE_QUEUE, queue.handle);
    choice.item = item;
    choice.capacity_bytes = capacity_bytes;
    return choice;
}
/** What this end of a pipe receives. */
static inline muster_choice muster_choose_pipe(muster_pipe end, void *item, size_t capacity_bytes)
{
    return muster_choose_queue(end.in, item, capacity_bytes);
}
static inline muster_choice muster_choose_event(muster_event event)
{
    return muster_choose_(MUSTER_CHOICE_EVENT, event.handle);
}
static inline muster_choice muster_choose_semaphore(muster_semaphore semaphore)
{
    return muster_choose_(MUSTER_CHOICE_SEMAPHORE, semaphore.handle);
}
static inline muster_choice muster_choose_process(muster_process process)
{
    return muster_choose_(MUSTER_CHOICE_PROCESS, process.handle);
}
static inline muster_choice muster_choose_task(muster_task task)
{
    return muster_choose_(MUSTER_CHOICE_TASK, task.handle);
}

/**
 * Waits until one of n > 0 choices can be done, and does exactly that one; of several that can, each has its turn.
 * *chosen is its index, which is also set when it fails: then the error is its own (CLOSED of a queue that is closed
 * and drained, TOOBIG, STALE, PEER). While it waits for tasks the caller helps to run such, as all do who wait for
 * tasks. Errors: also TIMEOUT (none could be done, also with MUSTER_NOWAIT), INVAL, NOMEM, INTERRUPTED. Threads: any.
 * In tasks: yes. Blocks: up to timeout_ms. Hosts: any.
 */
MUSTER_API muster_err muster_select(muster_choice *choices, int n, int *chosen, int64_t timeout_ms);
#define muster_select(...) MUSTER_SITED(muster_select, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
