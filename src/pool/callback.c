/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/*
 * Callbacks: a thread of the process that submitted gets the results and calls, one at a time, as they come. It is
 * there while there is something to wait for, and a second longer. It takes no tasks itself, and calls with no lock
 * held, so a callback may use muster as any thread may.
 */

#define LINGER_NS INT64_C(1000000000)

struct pending {
    muster_task task;
    void (*on_result)(const void *result, size_t result_bytes, void *arg);
    void (*on_error)(const muster_task_error *error, void *arg);
    void *arg;
};

struct list {
    struct pending *pending;
    int64_t n, room;
};

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t called;
    struct list waiting; /* the thread alone changes it, under the mutex */
    struct list news;    /* not seen by the thread yet */
    struct pending now;  /* is being called */
    bool runs, calls;
    bool ends;      /* the process's part of the job does: it is not to linger */
    bool is_joined; /* there is no thread, or nobody waits for its end any more */
    pthread_t thread;
    _Atomic uint32_t caller; /* the thread's number, 0: not yet */
    _Atomic bool came;       /* there are news */
} callbacks = {.mutex = PTHREAD_MUTEX_INITIALIZER, .called = PTHREAD_COND_INITIALIZER, .is_joined = true};

static bool list_add(struct list *list, const struct pending *pending)
{
    if (list->n == list->room) {
        int64_t room = list->room ? 2 * list->room : 16;
        struct pending *wider = realloc(list->pending, (size_t)room * sizeof *wider);
        if (!wider)
            return false;
        list->pending = wider;
        list->room = room;
    }
    list->pending[list->n++] = *pending;
    return true;
}

/* ---- the thread ---- */

static bool news_came(void *unused)
{
    (void)unused;
    return atomic_load(&callbacks.came);
}

static void nothing(void *unused)
{
    (void)unused; /* who brings news rings in any case */
}

static muster_task_error unknown(muster_err err)
{
    muster_task_error error = {.err = err, .index = -1, .worker = -1, .rank = -1};
    strncpy(error.text, muster_err_detail(), sizeof error.text - 1);
    return error;
}

/* Without memory for its result the task could still be got; one that was over its limit has been. */
static bool is_a_tasks(muster_task task, muster_err err)
{
    bool ready;
    return err == MUSTER_ERR_TASK || err == MUSTER_ERR_CRASHED || err == MUSTER_ERR_TIMEOUT ||
           (err == MUSTER_ERR_NOMEM && muster_task_ready(task, &ready) == MUSTER_ERR_STALE);
}

static void call(const struct pending *pending)
{
    void *result = NULL;
    size_t result_bytes = 0;
    muster_err err = muster_task_take(pending->task, &result, &result_bytes, MUSTER_FOREVER);
    if (!err && pending->on_result)
        pending->on_result(result, result_bytes, pending->arg);
    if (err && pending->on_error) {
        muster_task_error error = is_a_tasks(pending->task, err) ? *muster_pool_last_error() : unknown(err);
        pending->on_error(&error, pending->arg);
    }
    free(result);
}

static void call_one(int64_t i)
{
    struct list *waiting = &callbacks.waiting;
    pthread_mutex_lock(&callbacks.mutex);
    callbacks.now = waiting->pending[i];
    callbacks.calls = true;
    waiting->n--;
    memmove(&waiting->pending[i], &waiting->pending[i + 1], (size_t)(waiting->n - i) * sizeof *waiting->pending);
    pthread_mutex_unlock(&callbacks.mutex);
    call(&callbacks.now);
    pthread_mutex_lock(&callbacks.mutex);
    callbacks.calls = false;
    pthread_cond_broadcast(&callbacks.called);
    pthread_mutex_unlock(&callbacks.mutex);
}

/* Of a pool that is gone, or one that somebody has got or forgotten. */
static int64_t find_stale(void)
{
    bool ready;
    for (int64_t i = 0; i < callbacks.waiting.n; i++)
        if (muster_task_ready(callbacks.waiting.pending[i].task, &ready) || ready)
            return i;
    return -1;
}

static int64_t wait_for_one(void)
{
    const struct muster__beside news = {.over = news_came, .announce = nothing};
    int64_t n = callbacks.waiting.n, ended = -1;
    muster_task *tasks = malloc((size_t)n * sizeof *tasks);
    if (!tasks)
        return find_stale();
    for (int64_t i = 0; i < n; i++)
        tasks[i] = callbacks.waiting.pending[i].task;
    muster_err err = muster__tasks_wait(tasks, n, &news, MUSTER_FOREVER, &ended, "a callback");
    free(tasks);
    return err ? find_stale() : ended;
}

enum news { NEWS, NO_NEWS, OVER };

/* OVER: there is nothing to wait for, this is the last look, and the thread is said to be over: it is joined under the
 * mutex. */
static enum news take_news(bool last)
{
    pthread_mutex_lock(&callbacks.mutex);
    atomic_store(&callbacks.came, false);
    int64_t seen = 0;
    while (seen < callbacks.news.n && list_add(&callbacks.waiting, &callbacks.news.pending[seen]))
        seen++;
    callbacks.news.n -= seen;
    if (seen && callbacks.news.n)
        memmove(callbacks.news.pending, callbacks.news.pending + seen,
                (size_t)callbacks.news.n * sizeof *callbacks.news.pending);
    bool goes_on = callbacks.waiting.n || callbacks.news.n;
    callbacks.runs = goes_on || !(last || callbacks.ends);
    if (!goes_on)
        pthread_cond_broadcast(&callbacks.called);
    enum news news = goes_on ? NEWS : callbacks.runs ? NO_NEWS : OVER;
    pthread_mutex_unlock(&callbacks.mutex);
    return news;
}

/* Until something is submitted again, or that has not been for long. */
static void linger(void)
{
    int64_t until = muster__now_ns() + LINGER_NS;
    while (!news_came(NULL) && muster__now_ns() < until) {
        _Atomic uint32_t *bell = &muster__self_state.caller->bell;
        uint32_t seen = atomic_load(bell);
        if (!news_came(NULL))
            (void)muster__sleep(bell, seen, until);
    }
}

/* Its end as a caller is that of the thread: what it has in pools is given back there. */
static void *thread_main(void *unused)
{
    (void)unused;
    bool knows = muster__caller_enter(muster__member_self(), false) == MUSTER_OK;
    if (knows) {
        muster__caller_serves();
        atomic_store(&callbacks.caller, muster__self_state.number);
    }
    bool last = !knows;
    for (enum news news; (news = take_news(last)) != OVER; last = news == NO_NEWS || !knows) {
        int64_t ended = news == NEWS ? wait_for_one() : -1;
        if (ended >= 0)
            call_one(ended);
        if (news == NO_NEWS)
            linger();
    }
    atomic_store(&callbacks.caller, 0);
    return NULL;
}

/* ---- whoever submits, or ends a pool ---- */

/* It has said that it is over, under the mutex, and takes that no more. */
static void join_last(void)
{
    if (!callbacks.is_joined)
        pthread_join(callbacks.thread, NULL);
    callbacks.is_joined = true;
}

static bool thread_start(void)
{
    if (callbacks.runs)
        return true;
    join_last();
    callbacks.runs = pthread_create(&callbacks.thread, NULL, thread_main, NULL) == 0;
    callbacks.is_joined = !callbacks.runs;
    return callbacks.runs;
}

muster_err callback_add(muster_task task, const muster_callbacks *callbacks_of)
{
    struct pending pending = {task, callbacks_of->on_result, callbacks_of->on_error, callbacks_of->arg};
    pthread_mutex_lock(&callbacks.mutex);
    bool added = list_add(&callbacks.news, &pending);
    if (added && !thread_start()) {
        callbacks.news.n--;
        added = false;
    }
    atomic_store(&callbacks.came, true);
    pthread_mutex_unlock(&callbacks.mutex);
    uint32_t caller = atomic_load(&callbacks.caller);
    if (caller)
        muster__ring(caller);
    return added ? MUSTER_OK
                 : muster__fail(MUSTER_ERR_NOMEM, "muster_pool_submit: no memory, or no thread, for a callback");
}

static bool is_of(const struct pending *pending, const struct pool *pool)
{
    return pending->task.handle.job == pool_tasks_word(pool);
}

static bool any_of(const struct list *list, const struct pool *pool)
{
    for (int64_t i = 0; i < list->n; i++)
        if (is_of(&list->pending[i], pool))
            return true;
    return false;
}

static bool any(const struct pool *pool)
{
    return any_of(&callbacks.waiting, pool) || any_of(&callbacks.news, pool) ||
           (callbacks.calls && is_of(&callbacks.now, pool));
}

static bool is_own_thread(void)
{
    return muster__self_state.number && atomic_load(&callbacks.caller) == muster__self_state.number;
}

bool callback_any(const struct pool *pool)
{
    pthread_mutex_lock(&callbacks.mutex);
    bool found = any(pool);
    pthread_mutex_unlock(&callbacks.mutex);
    return found && !is_own_thread();
}

void callback_flush(const struct pool *pool)
{
    if (is_own_thread())
        return;
    pthread_mutex_lock(&callbacks.mutex);
    while (any(pool))
        pthread_cond_wait(&callbacks.called, &callbacks.mutex);
    pthread_mutex_unlock(&callbacks.mutex);
}

/* One that is to end yet; false: the last one is being called. */
static bool open_pool(muster_handle *pool)
{
    const struct list *list = callbacks.waiting.n ? &callbacks.waiting : &callbacks.news;
    return list->n && task_pool(list->pending[0].task, "muster_finalize", pool) == MUSTER_OK;
}

/* The process's part of the job ends: so do the tasks that have not, and their callbacks hear that. */
static void end_all(void)
{
    muster_handle pool;
    pthread_mutex_lock(&callbacks.mutex);
    callbacks.ends = true;
    atomic_store(&callbacks.came, true);
    uint32_t caller = atomic_load(&callbacks.caller);
    if (caller)
        muster__ring(caller);
    while (callbacks.runs) {
        bool is_open = open_pool(&pool);
        pthread_mutex_unlock(&callbacks.mutex);
        if (is_open)
            muster_pool_terminate((muster_pool){pool});
        pthread_mutex_lock(&callbacks.mutex);
        if (callbacks.runs)
            pthread_cond_wait(&callbacks.called, &callbacks.mutex);
    }
    join_last();
    callbacks.ends = false;
    pthread_mutex_unlock(&callbacks.mutex);
}

__attribute__((constructor)) static void set_hooks(void)
{
    muster__before_stop = end_all;
}
