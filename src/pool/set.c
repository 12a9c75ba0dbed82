/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/abroad.h"
#include "pool/check.h"
#include "pool/pool.h"

#include <stdlib.h>
#include <string.h>

/*
 * Waits over tasks, which may be of several pools and hosts. No pool is kept from going meanwhile: each look enters the
 * pools anew, and finds tasks stale whose pool is gone. Of other hosts' tasks each is watched from the first look on.
 */

enum { WORKS_MAX = 16 }; /* pools that the thread works for while it waits for other hosts' tasks */

enum look { LOOK_STALE, LOOK_OPEN, LOOK_DONE, LOOK_FAILED };

/* a task of another host */
struct there {
    struct abroad_watch watch;
    enum look look;
};

struct set {
    const muster_task *tasks;
    int64_t n;
    muster_wait_for what;
    const bool *skip; /* those not to look at; NULL: none */
    const char *operation;
    const struct muster__beside *beside; /* waited for as well; NULL: nothing is */
    bool beside_came;
    struct there *there;  /* of each task, as far as that is at home elsewhere; NULL: none is */
    bool now;             /* without time to wait */
    muster_handle *pools; /* each once */
    int pool_count;
    bool looked;   /* at all, so that a stale one was found */
    int64_t ended; /* all before this one have */
    int64_t found; /* index of one that ended; -1: none */
    bool stale;
    muster_err lost; /* why one of another host cannot be looked at */
};

/* The first from i on that is to be looked at; n: none. */
static int64_t set_next(const struct set *set, int64_t i)
{
    if (!set->skip || i >= set->n)
        return i;
    const bool *open = memchr(set->skip + i, false, (size_t)(set->n - i));
    return open ? open - set->skip : set->n;
}

static bool same_pool(muster_task a, muster_task b)
{
    return a.handle.kind_home == b.handle.kind_home && a.handle.job == b.handle.job;
}

/* ---- looking ---- */

/* the pool that was entered last: that of the next task, too, as a rule */
struct visit {
    struct seat seat;
    muster_task of;
    bool in;
};

static struct pool *visit_pool(struct visit *visit, muster_task task)
{
    muster_handle pool;
    if (visit->in && same_pool(visit->of, task))
        return visit->seat.pool;
    if (visit->in)
        seat_leave(&visit->seat);
    visit->of = task;
    visit->in = task_pool(task, "a wait", &pool) == MUSTER_OK && seat_return(pool, &visit->seat);
    return visit->in ? visit->seat.pool : NULL;
}

static void visit_end(const struct visit *visit)
{
    if (visit->in)
        seat_leave(&visit->seat);
}

static enum look look_there(struct set *set, int64_t i)
{
    struct there *there = &set->there[i];
    muster_handle task = set->tasks[i].handle;
    if (there->look != LOOK_OPEN)
        return there->look;
    enum abroad_end end = set->now ? abroad_look_once(task, set->operation, &set->lost)
                                   : abroad_look(task, &there->watch, set->operation, &set->lost);
    set->lost = end == ABROAD_LOST ? set->lost : MUSTER_OK;
    there->look = end == ABROAD_OPEN   ? LOOK_OPEN
                  : end == ABROAD_DONE ? LOOK_DONE
                                       : (end == ABROAD_FAILED ? LOOK_FAILED : LOOK_STALE);
    return there->look;
}

/* Nothing runs in a pool that is over: there all tasks have ended. */
static enum look look_at(struct set *set, struct visit *visit, int64_t i)
{
    uint64_t state;
    muster_task task = set->tasks[i];
    if (abroad_is(task.handle))
        return set->there ? look_there(set, i) : LOOK_STALE;
    struct pool *pool = visit_pool(visit, task);
    if (!pool || !record_of_task(pool, task, &state))
        return LOOK_STALE;
    if (phase_final(state_phase(state)))
        return state_phase(state) == RECORD_DONE ? LOOK_DONE : LOOK_FAILED;
    return pool_state(pool) > POOL_CLOSED ? LOOK_FAILED : LOOK_OPEN;
}

static bool decides(const struct set *set, enum look look)
{
    return set->what == MUSTER_WAIT_ANY ? look != LOOK_OPEN
                                        : set->what == MUSTER_WAIT_FIRST_FAILURE && look == LOOK_FAILED;
}

/* Called after each task that the waiter runs: those at the front that have ended are not looked at again, and only the
 * first look goes to the end in any case. */
static bool tasks_over(struct set *set)
{
    struct visit visit = {0};
    int64_t open = 0;
    bool over = false;
    for (int64_t i = set_next(set, set->ended); i < set->n; i = set_next(set, i + 1)) {
        enum look look = look_at(set, &visit, i);
        if (look == LOOK_STALE) {
            set->found = i;
            set->stale = over = true;
            break;
        }
        over = over || decides(set, look);
        if (look == LOOK_OPEN)
            open++;
        else if (set->found < 0)
            set->found = i;
        if (!open)
            set->ended = i + 1;
        if (set->looked && (over || (open && set->what == MUSTER_WAIT_ALL)))
            break;
    }
    set->looked = true;
    visit_end(&visit);
    return over || !open;
}

static bool set_over(void *arg)
{
    struct set *set = arg;
    if (!set->beside)
        return tasks_over(set);
    if (!set->beside->first && tasks_over(set))
        return true;
    set->beside_came = set->beside->over(set->beside->arg);
    return set->beside_came || (set->beside->first && tasks_over(set));
}

static void set_announce(void *arg)
{
    struct set *set = arg;
    if (set->beside)
        set->beside->announce(set->beside->arg);
    struct visit visit = {0};
    uint64_t state;
    for (int64_t i = set_next(set, set->ended); i < set->n; i = set_next(set, i + 1)) {
        if (abroad_is(set->tasks[i].handle))
            continue;
        struct pool *pool = visit_pool(&visit, set->tasks[i]);
        struct record *record = pool ? record_of_task(pool, set->tasks[i], &state) : NULL;
        if (record)
            record_mark_waited(record, set->tasks[i].handle.generation);
    }
    visit_end(&visit);
}

/* Of a map's pieces any one. */
static bool claim(const struct seat *seat, muster_task task, bool all, struct record **record, uint32_t *index)
{
    uint64_t state;
    *index = task.handle.slot;
    if (abroad_is(task.handle) || task.handle.job != pool_tasks_word(seat->pool) ||
        !(*record = record_of_task(seat->pool, task, &state)))
        return false;
    if (state_is_map(state))
        return all && async_claim(seat, async_map(*record, task.handle.generation), record, index);
    if (state_phase(state) != RECORD_QUEUED || !shelf_may_claim(seat, *record, state))
        return false;
    return sched_claim(seat, *record, (uint64_t)task.handle.generation << 32 | task.handle.slot);
}

/* Of several of which one is enough none is the first that is waited for. */
static bool set_claim(void *arg, const struct seat *seat, bool all, struct record **record, uint32_t *index)
{
    const struct set *set = arg;
    if (set->what == MUSTER_WAIT_ANY && !all)
        return false;
    for (int64_t i = set_next(set, set->ended); i < set->n; i = set_next(set, i + 1)) {
        if (claim(seat, set->tasks[i], all, record, index))
            return true;
        if (!all)
            break;
    }
    return false;
}

/* ---- the set's pools ---- */

static bool has_pool(const struct set *set, muster_handle pool)
{
    for (int i = set->pool_count; i-- > 0;)
        if (memcmp(&set->pools[i], &pool, sizeof pool) == 0)
            return true;
    return false;
}

static muster_err list_pool(struct set *set, muster_handle pool)
{
    muster_handle *wider = realloc(set->pools, (size_t)(set->pool_count + 1) * sizeof *wider);
    if (!wider)
        return muster__fail(MUSTER_ERR_NOMEM, "%s: out of memory", set->operation);
    set->pools = wider;
    set->pools[set->pool_count++] = pool;
    return MUSTER_OK;
}

static muster_err add_pool(struct set *set, muster_task task)
{
    muster_handle pool;
    struct seat seat;
    muster_err err = task_pool(task, set->operation, &pool);
    if (err || has_pool(set, pool))
        return err;
    err = seat_enter(pool, set->operation, &seat);
    if (err)
        return err == MUSTER_ERR_STALE ? task_stale(set->operation) : err;
    seat_leave(&seat);
    return list_pool(set, pool);
}

/* Where there is one of another host, the pools that this thread works for are among those of the wait. */
static muster_err add_there(struct set *set, muster_handle task)
{
    muster_handle works[WORKS_MAX];
    if (set->there)
        return MUSTER_OK;
    set->there = malloc((size_t)set->n * sizeof *set->there);
    if (!set->there)
        return muster__fail(MUSTER_ERR_NOMEM, "%s: out of memory", set->operation);
    for (int64_t i = 0; i < set->n; i++)
        set->there[i] = (struct there){.look = LOOK_OPEN};
    int n = set->now ? 0 : seat_works(works, WORKS_MAX);
    muster_err err = MUSTER_OK;
    for (int i = 0; i < n && !err; i++)
        if (!has_pool(set, works[i]))
            err = list_pool(set, works[i]);
    if (err || set->pool_count)
        return err;
    err = list_pool(set, abroad_pool(task)); /* for reports of who waits: nothing of it can be entered here */
    return err;
}

static muster_err gather_pools(struct set *set)
{
    muster_err err = MUSTER_OK;
    int64_t last = -1;
    for (int64_t i = set_next(set, 0); i < set->n && !err; i = set_next(set, i + 1)) {
        if (last < 0 || !same_pool(set->tasks[i], set->tasks[last]))
            err = abroad_is(set->tasks[i].handle) ? add_there(set, set->tasks[i].handle) : add_pool(set, set->tasks[i]);
        last = i;
    }
    if (err)
        set->found = last;
    return err;
}

/* ---- waiting ---- */

static muster_err set_wait(struct set *set, int64_t timeout_ms)
{
    set->ended = set_next(set, 0);
    set->found = -1;
    if (set->ended == set->n)
        return MUSTER_OK;
    muster_err err = sched_wait_in(set->pools, set->pool_count,
                                   &(struct wait_for){.over = set_over,
                                                      .announce = set_announce,
                                                      .claim = set_claim,
                                                      .arg = set,
                                                      .deadline_ns = muster__deadline_ns(timeout_ms)});
    if (!err && set->lost)
        return set->lost;
    if (!err && set->stale)
        return muster__fail(MUSTER_ERR_STALE, "%s: a task of the set was got or forgotten, or its pool is gone",
                            set->operation);
    if (err == MUSTER_ERR_TIMEOUT)
        muster__fail(err, "%s: too few of %lld have ended within %lld ms", set->operation, (long long)set->n,
                     (long long)timeout_ms);
    return err;
}

static muster_err wait_in_pools(struct set *set, int64_t timeout_ms)
{
    set->now = timeout_ms == MUSTER_NOWAIT;
    muster_err err = gather_pools(set);
    if (!err)
        err = set_wait(set, timeout_ms);
    free(set->pools);
    for (int64_t i = 0; set->there && i < set->n; i++)
        abroad_look_no_more(&set->there[i].watch);
    return err;
}

/* One that was got or forgotten meanwhile has ended for whoever asks. */
static void tell_ready(struct set *set, bool *ready)
{
    struct visit visit = {0};
    set->now = true;
    for (int64_t i = 0; i < set->n; i++)
        ready[i] = look_at(set, &visit, i) != LOOK_OPEN;
    visit_end(&visit);
}

static muster_err check_set(const struct set *set, int64_t timeout_ms)
{
    muster_err err = check_count(set->operation, "n", set->n);
    if (!err)
        err = check_block(set->operation, "tasks", set->tasks, set->n, sizeof *set->tasks);
    if (!err && set->what != MUSTER_WAIT_ANY && set->what != MUSTER_WAIT_ALL && set->what != MUSTER_WAIT_FIRST_FAILURE)
        err = muster__fail(MUSTER_ERR_INVAL, "%s: what is %d", set->operation, (int)set->what);
    return err ? err : muster__timeout_bad(set->operation, timeout_ms);
}

muster_err muster_task_wait(const muster_task *tasks, int64_t n, muster_wait_for what, bool *ready, int64_t timeout_ms)
{
    struct set set = {.tasks = tasks, .n = n, .what = what, .operation = "muster_task_wait"};
    muster_err err = check_set(&set, timeout_ms);
    if (!err)
        err = wait_in_pools(&set, timeout_ms);
    if (!err && ready)
        tell_ready(&set, ready);
    free(set.there);
    return err;
}

muster_err muster_task_next(const muster_task *tasks, int64_t n, bool *done, int64_t *index, int64_t timeout_ms)
{
    struct set set = {
        .tasks = tasks, .n = n, .what = MUSTER_WAIT_ANY, .skip = done, .operation = "muster_task_next", .found = -1};
    muster_err err = check_set(&set, timeout_ms);
    if (!err)
        err = check_block(set.operation, "done", done, n, sizeof *done);
    if (!err)
        err = check_pointer(set.operation, "index", index);
    if (!err)
        err = wait_in_pools(&set, timeout_ms);
    free(set.there);
    if (err)
        return err;
    if (set.found < 0)
        return muster__fail(MUSTER_ERR_STATE, "muster_task_next: all of %lld are marked as done", (long long)n);
    done[set.found] = true;
    *index = set.found;
    return MUSTER_OK;
}

muster_err muster__tasks_wait(const muster_task *tasks, int64_t n, const struct muster__beside *beside,
                              int64_t timeout_ms, int64_t *ended, const char *operation)
{
    struct set set = {
        .tasks = tasks, .n = n, .what = MUSTER_WAIT_ANY, .operation = operation, .beside = beside, .found = -1};
    muster_err err = wait_in_pools(&set, timeout_ms);
    free(set.there);
    *ended = set.beside_came ? -1 : set.found;
    return err;
}

muster_err set_any(const muster_task *tasks, int64_t n, int64_t *index, const char *operation, int64_t timeout_ms)
{
    muster_handle pool;
    struct set set = {.tasks = tasks,
                      .n = n,
                      .what = MUSTER_WAIT_ANY,
                      .operation = operation,
                      .pools = &pool,
                      .pool_count = 1,
                      .looked = true};
    muster_err err = task_pool(tasks[0], operation, &pool);
    if (!err)
        err = set_wait(&set, timeout_ms);
    if (!err)
        *index = set.found;
    return err;
}
