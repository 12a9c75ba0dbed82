/* SPDX-License-Identifier: BSD-3-Clause */
#include "offload/carrier.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * A carrier takes work from another part, queues it here as a submitter would, and brings what came out of it. In a
 * branch the other part is home, at home one of the branches; it is called home here in both cases. It keeps two calls
 * to it under way: one that waits for work, and one with results. It runs no tasks itself.
 *
 * It is a caller of its own, and a thread of the host's lowest rank. While there is nothing to do that takes long, or
 * waits, the thread rests and the agent takes the carrier's steps in its name (`turn`): a task that comes by itself is
 * with its worker without a thread in between. The thread gives the turn, the agent gives it back.
 *
 * How much a branch's asks for: work for AHEAD_NS, by what items took so far; asked for when less than half of that is
 * left, or a worker is idle. So long items are taken one by one when somebody can run them, and short ones in large
 * pieces. What nobody has begun after STALE_NS, because what came before it takes longer than was thought, goes back:
 * others may be idle.
 */

#define AHEAD_NS         10e6
#define STALE_NS         INT64_C(30000000)
#define STALE_AT_HOME_NS INT64_C(1000000)
enum {
    ROOM = 256 << 10, /* for what comes, at first */
    MODULES = 16,
    LIGHT = 16 << 10, /* bytes that the agent may copy */
};

static struct {
    pthread_mutex_t mutex; /* held by the agent while it takes steps */
    struct carrier *first;
    _Atomic int count;
} carriers = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* ---- modules and contexts of home's ---- */

static muster_err ask(struct carrier *c, enum parts_operation operation, const void *bytes, size_t size, void *reply,
                      size_t capacity)
{
    struct muster__call call = {.object = c->home,
                                .operation = operation,
                                .errand = true,
                                .bytes = bytes,
                                .size = size,
                                .reply = reply,
                                .capacity = capacity};
    return muster__remote_call(&call, "a pool's branch");
}

/* Home names functions of modules that this host may not have heard of. */
static void note_modules(struct carrier *c, int32_t count)
{
    struct muster__module modules[MODULES];
    while (c->modules < count && !ask(c, POOL_MODULES, &c->modules, sizeof c->modules, modules, sizeof modules))
        for (int i = 0; i < MODULES && c->modules < count; i++, c->modules++)
            if (muster__module_note(&modules[i]))
                muster__log(MUSTER__WARN, "%s", muster_err_detail());
}

static bool context_used(const struct carrier *c, muster__ref here)
{
    for (const struct haul *haul = c->hauls; haul; haul = haul->next)
        if (haul->context == here)
            return true;
    return false;
}

/* A shared context: fetched once, kept until others have taken its place. */
static muster_err context_here(struct carrier *c, const struct load *load, muster__ref *here)
{
    for (int i = 0; i < CONTEXTS; i++)
        if (c->contexts[i].home == load->user) {
            *here = c->contexts[i].here;
            return MUSTER_OK;
        }
    void *bytes = malloc(load->user_bytes);
    muster_err err = bytes ? ask(c, POOL_CONTEXT, &load->record, sizeof load->record, bytes, load->user_bytes)
                           : muster__fail(MUSTER_ERR_NOMEM, "no memory for a shared context");
    *here = err ? 0 : map_stage(&c->seat, bytes, load->user_bytes);
    free(bytes);
    if (err || !*here)
        return err ? err : muster__fail(MUSTER_ERR_NOMEM, "no room for a shared context in the host segment");
    int at = c->next_context++ % CONTEXTS;
    if (c->contexts[at].here && !context_used(c, c->contexts[at].here)) /* else it is kept until the branch's end */
        muster__heap_free(c->contexts[at].here, c->seat.self);
    c->contexts[at].home = load->user;
    c->contexts[at].here = *here;
    return MUSTER_OK;
}

/* ---- results ---- */

/* ---- hauls ---- */

static void free_map(struct carrier *c, struct map *map)
{
    map_free_window(map, c->seat.self);
    muster__heap_free(map->self, c->seat.self);
}

static muster_err begin_piece(struct carrier *c, const struct load *load, struct haul *haul)
{
    muster_map_options options = {.chunk_items = load->chunk_items,
                                  .stop_at_failure = load->stop_at_failure,
                                  .time_limit_ms = load->time_limit_ms,
                                  .map_limit_ms = load->map_limit_ms};
    struct map *map =
        map_make(&c->seat, load->function, load->listed ? 0 : load->item_bytes, load->result_bytes, &options);
    if (!map)
        return muster__fail(MUSTER_ERR_NOMEM, "the host segment is full; see segment_bytes");
    if (haul->context) {
        map->user = haul->context;
        map->user_bytes = load->user_bytes;
    }
    haul->map = map;
    haul->result_bytes = (uint64_t)load->count * load->result_bytes;
    map->listed = load->listed;
    map->stated = load->stated;
    map->cancels = load->cancels;
    if (load->listed
            ? list_queue_part(&c->seat, map, load + 1, load->item_bytes, load->first, load->count, load->retries)
            : map_queue_window(&c->seat, map, load + 1, load->first, load->count, load->retries))
        return MUSTER_OK;
    free_map(c, map);
    return muster__fail(MUSTER_ERR_NOMEM, "no room for %lld item%s in the host segment", (long long)load->count,
                        muster__s(load->count));
}

static void end_group(struct carrier *c, struct haul *haul)
{
    if (haul->group.handle.generation)
        group_end(c->pool, haul->group, c->seat.lane);
}

static muster_err begin_task(struct carrier *c, const struct load *load, struct haul *haul)
{
    uint64_t state;
    const char *arg = (const char *)(load + 1);
    muster_submit_options options = {.user = arg + round_16(load->item_bytes),
                                     .user_bytes = load->user_bytes,
                                     .time_limit_ms = load->time_limit_ms,
                                     .memory_limit_bytes = load->memory_limit,
                                     .priority = load->priority,
                                     .aim = (muster_aim)load->aim,
                                     .aim_at = load->aim_at,
                                     .retries = load->retries > 0 ? load->retries : MUSTER_NO_RETRIES};
    struct context context = {haul->context, load->user_bytes};
    if (!load->user_bytes || load->user)
        options.user = NULL;
    c->seat.lane->numbers = load->first; /* tasks are known by their numbers at home */
    muster_err err = load->grouped ? group_make(&c->seat, &haul->group) : MUSTER_OK;
    if (load->grouped)
        options.group = &haul->group;
    if (!err)
        err = task_submit(&c->seat, &haul->task, load->function, arg, load->item_bytes, load->result_bytes, &options,
                          haul->context ? &context : NULL);
    if (err) {
        end_group(c, haul);
        return err;
    }
    haul->result_bytes = load->result_bytes;
    struct record *record = record_of_task(c->pool, haul->task, &state);
    if (record)
        record_mark_waited(record, haul->task.handle.generation);
    if (pending_came_late(c->pool, load->cancels))
        muster_task_cancel(haul->task, false); /* it was on its way when all that was pending was canceled */
    return MUSTER_OK;
}

static void begin_haul(struct carrier *c, const struct load *load)
{
    struct haul *haul = calloc(1, sizeof *haul);
    MUSTER__CHECK_EQ(haul != NULL, true);
    haul->record = load->record;
    haul->count = load->count;
    haul->began_ns = muster__now_ns();
    muster_err err = load->user ? context_here(c, load, &haul->context) : MUSTER_OK;
    if (!err)
        err = load->kind == RECORD_PIECE ? begin_piece(c, load, haul) : begin_task(c, load, haul);
    if (err) {
        yield_failure(c, load, err);
        free(haul);
        return;
    }
    haul->next = c->hauls;
    c->hauls = haul;
}

static void begin_hauls(struct carrier *c)
{
    for (const char *at = c->inbox, *end = at + c->arrived; at < end; at += ((const struct load *)at)->bytes) {
        const struct load *load = (const struct load *)at;
        note_modules(c, load->modules);
        begin_haul(c, load);
    }
    c->arrived = 0;
    c->arrived_ns = muster__now_ns();
}

/* Whether to begin them takes no question to home, and no time. */
static bool is_light(const struct carrier *c)
{
    uint64_t results = 0;
    for (const char *at = c->inbox, *end = at + c->arrived; at < end; at += ((const struct load *)at)->bytes) {
        const struct load *load = (const struct load *)at;
        if (load->user || load->listed || load->modules > c->modules)
            return false;
        results += load->result_bytes * (uint64_t)load->count;
    }
    return c->arrived <= LIGHT && results <= LIGHT;
}

static void learn(struct carrier *c, const struct haul *haul)
{
    int64_t hands = haul->count < c->pool->workers ? haul->count : c->pool->workers;
    double item_ns = (double)(muster__now_ns() - haul->began_ns) * (double)hands / (double)haul->count;
    c->item_ns = c->item_ns > 0 ? 0.5 * (c->item_ns + item_ns) : item_ns;
}

/* Of any size: known when it has ended. Then it may be more than the agent should copy, and waits for the thread. */
static bool for_thread(struct haul *haul, uint64_t result_bytes, int who)
{
    haul->result_bytes = result_bytes;
    return who == AGENT && result_bytes > LIGHT;
}

static bool end_piece(struct carrier *c, struct haul *haul, int who)
{
    struct map *map = haul->map;
    if (!map_over(c->pool, map) || (map->listed && for_thread(haul, list_results_bytes(map), who)))
        return false;
    size_t states = map->states ? (size_t)haul->count : 0;
    struct yield *yield = yield_begin(c, haul->record, RECORD_PIECE, round_16(haul->result_bytes) + states);
    yield->result_bytes = haul->result_bytes;
    yield->states_bytes = states;
    yield->count = haul->count;
    yield->timed_out = atomic_load(&map->timed_out);
    yield->failed = atomic_load(&map->failed);
    if (states)
        memcpy((char *)(yield + 1) + round_16(haul->result_bytes), map_states(map), states);
    const struct muster_task_error *error = map_first_error(c->pool, map);
    if (error)
        yield->error = *error;
    if (map->listed)
        list_results(map, yield + 1);
    else if (haul->result_bytes)
        memcpy(yield + 1, muster__heap_at(map->results), haul->result_bytes);
    free_map(c, map);
    return true;
}

static bool end_task(struct carrier *c, struct haul *haul, int who)
{
    uint64_t state;
    struct record *record = record_of_task(c->pool, haul->task, &state);
    if (!record || !phase_final(state_phase(state)))
        return !record;
    bool grouped = haul->group.handle.generation;
    if (grouped && !group_is_empty(c->pool, haul->group))
        return false;
    const void *returned = state_phase(state) == RECORD_DONE ? any_returned(record) : NULL;
    if (returned && for_thread(haul, record->result_bytes, who))
        return false;
    struct yield *yield = yield_begin(c, haul->record, RECORD_TASK, haul->result_bytes);
    yield->returned = returned != NULL;
    yield->phase = state_phase(state);
    yield->count = 1;
    if (record->extra)
        yield->error = ((struct extra *)muster__heap_at(record->extra))->error;
    if (grouped) { /* the task's own failure is counted at home */
        struct muster_task_error error = {.err = MUSTER_OK};
        yield->failed = group_failed(c->pool, haul->group, &error) - (yield->phase != RECORD_DONE);
        if (yield->phase == RECORD_DONE)
            yield->error = error;
        end_group(c, haul);
    }
    if (yield->phase == RECORD_DONE && haul->result_bytes)
        memcpy(yield + 1, returned ? returned : record_result(record), haul->result_bytes);
    record_free(c->pool, record, haul->task.handle.slot, c->seat.lane);
    return true;
}

/* Returns whether any has ended. */
static bool end_hauls(struct carrier *c, int who)
{
    bool any = false;
    for (struct haul **link = &c->hauls; *link;) {
        struct haul *haul = *link;
        if (!(haul->map ? end_piece(c, haul, who) : end_task(c, haul, who))) {
            link = &haul->next;
            continue;
        }
        learn(c, haul);
        *link = haul->next;
        free(haul);
        any = true;
    }
    return any;
}

/* ---- what is not begun ---- */

static struct haul **haul_of(struct carrier *c, const struct record *record, uint32_t index)
{
    struct haul **link = &c->hauls;
    uint32_t generation = (uint32_t)(atomic_load(&record->state) >> 32);
    for (; *link; link = &(*link)->next) {
        const struct haul *haul = *link;
        if (record->kind == RECORD_PIECE
                ? haul->map && haul->map->self == record->whole
                : !haul->map && haul->task.handle.slot == index && haul->task.handle.generation == generation)
            break;
    }
    return link;
}

static void remove_haul(struct haul **link)
{
    struct haul *haul = *link;
    *link = haul->next;
    free(haul);
}

static void return_task(struct carrier *c, struct haul **link, struct record *record, uint32_t index)
{
    yield_begin(c, (*link)->record, RECORD_TASK, 0)->phase = RECORD_QUEUED;
    sched_finish(c->pool, record, index, RECORD_CANCELED, NULL);
    record_free(c->pool, record, index, c->seat.lane);
    end_group(c, *link);
    remove_haul(link);
}

/* The tail of what is left of its haul; all of it, when nothing is. */
static void return_piece(struct carrier *c, struct haul **link, struct record *record, uint32_t index)
{
    struct haul *haul = *link;
    struct map *map = haul->map;
    haul->count = piece_of(record)->begin;
    haul->result_bytes = (uint64_t)haul->count * map->result_bytes;
    map->n = haul->count;
    record_free(c->pool, record, index, c->seat.lane);
    struct yield *yield = yield_begin(c, haul->record, RECORD_PIECE, 0);
    yield->phase = RECORD_QUEUED;
    yield->count = haul->count;
    if (haul->count)
        return;
    free_map(c, map);
    remove_haul(link);
}

/* Returns whether it was ours to give: not a task's own task, nor from the middle of a haul. */
static bool return_record(struct carrier *c, struct record *record, uint32_t index)
{
    struct haul **link = haul_of(c, record, index);
    const struct haul *haul = *link;
    bool ours = haul && (!haul->map || piece_of(record)->end == haul->count);
    if (!ours && !sched_queue(&c->seat, record, index))
        worker_break(c->pool, "no memory left to queue a task again");
    else if (ours && haul->map)
        return_piece(c, link, record, index);
    else if (ours)
        return_task(c, link, record, index);
    return ours;
}

static int64_t stale_ns(const struct carrier *c)
{
    return c->at_home ? STALE_AT_HOME_NS : STALE_NS;
}

static int64_t oldest_ns(const struct carrier *c)
{
    int64_t oldest = MUSTER__NEVER;
    for (const struct haul *haul = c->hauls; haul; haul = haul->next)
        oldest = haul->began_ns < oldest ? haul->began_ns : oldest;
    return oldest;
}

/* Home has taken what was wanted by somebody who may have found something else meanwhile. */
static bool is_stale(const struct carrier *c)
{
    if (!c->hauls || deque_size(&c->seat.lane->deque) <= 0)
        return false;
    int64_t age = muster__now_ns() - (c->at_home ? c->arrived_ns : oldest_ns(c));
    return !workers_here(c->pool) || age > stale_ns(c);
}

/* Its own share of what comes back at once is not for this branch: the call that waits for work is called off. */
static void return_stale(struct carrier *c)
{
    struct record *record;
    uint32_t index;
    if (!is_stale(c))
        return;
    int64_t now = muster__now_ns();
    bool any = false;
    for (const struct haul *haul = c->hauls; haul; haul = haul->next)
        if ((double)(now - haul->began_ns) > c->item_ns)
            c->item_ns = (double)(now - haul->began_ns);
    while (sched_take_own(&c->seat, &record, &index) && return_record(c, record, index))
        any = true;
    if (any && c->fetching)
        muster__remote_cancel(&c->fetch);
}

/* Items that have not ended. */
static int64_t open_items(const struct carrier *c)
{
    int64_t open = 0;
    for (const struct haul *haul = c->hauls; haul; haul = haul->next)
        open += haul->count - (haul->map ? map_items_done(c->pool, haul->map) : 0);
    return open;
}

/* ---- calls to home ---- */

static int64_t wanted(const struct carrier *c, int64_t workers)
{
    int64_t open = open_items(c), want = workers - open;
    double ahead = c->item_ns > 0 ? AHEAD_NS * (double)workers / c->item_ns : 0;
    if (c->at_home || (want <= 0 && (double)open >= ahead / 2))
        return sched_hungry(c->pool, c->theirs);
    if (ahead - (double)open > (double)want)
        want = ahead - (double)open < 1e15 ? (int64_t)(ahead - (double)open) : (int64_t)1e15;
    int64_t most = 8 * (c->asked > workers ? c->asked : workers); /* the next items may take longer */
    return want < 1 ? 1 : want > most ? most : want;
}

static void begin_fetch(struct carrier *c)
{
    int64_t workers = workers_to_feed(c->pool), want = workers || c->at_home ? wanted(c, workers) : 0;
    if (!want)
        return;
    workers = workers ? workers : 1;
    c->want = (struct fetch){.branch = c->number, .items = want, .items_a_load = (want + workers - 1) / workers};
    workers_count(c->pool, &c->want.alive, &c->want.busy);
    c->asked = want;
    c->fetch = (struct muster__call){.object = c->home,
                                     .operation = POOL_FETCH,
                                     .bytes = &c->want,
                                     .size = sizeof c->want,
                                     .reply = c->inbox,
                                     .capacity = c->room};
    c->fetching = muster__remote_begin(&c->fetch, "a pool's branch") == MUSTER_OK;
}

static void widen(struct carrier *c, size_t needed)
{
    char *wider = realloc(c->inbox, needed);
    if (!wider) {
        c->over = true;
        worker_break(c->pool, "no memory for a task of %zu B", needed);
        return;
    }
    c->inbox = wider;
    c->room = needed;
}

/* Home has ended, or is out of reach: nothing more will come. */
static void home_ended(struct carrier *c, muster_err err)
{
    c->over = true;
    if (!c->at_home && (err == MUSTER_ERR_BROKEN || err == MUSTER_ERR_PEER))
        worker_break(c->pool, "%s", muster_err_detail());
}

static void end_fetch(struct carrier *c)
{
    c->fetching = false;
    muster_err err = muster__remote_end(&c->fetch);
    if (err == MUSTER_OK)
        c->arrived = c->fetch.reply_size;
    else if (err == MUSTER_ERR_TOOBIG)
        widen(c, c->fetch.reply_size);
    else if (err == MUSTER_ERR_NOMEM && c->room > ROOM)
        widen(c, ROOM);
    else if (err != MUSTER_ERR_INTERRUPTED && err != MUSTER_ERR_CANCELED)
        home_ended(c, err);
}

static void begin_back(struct carrier *c)
{
    struct fetch news = {.branch = c->number};
    workers_count(c->pool, &news.alive, &news.busy);
    memcpy(c->out, &news, sizeof news);
    free(c->sent);
    c->sent = c->out;
    c->back = (struct muster__call){
        .object = c->home, .operation = POOL_TAKE_BACK, .errand = true, .bytes = c->sent, .size = c->out_bytes};
    c->out = NULL;
    c->out_bytes = c->out_room = 0;
    c->bringing = muster__remote_begin(&c->back, "a pool's branch") == MUSTER_OK;
    if (!c->bringing) /* results would be lost for ever */
        home_ended(c, MUSTER_ERR_BROKEN);
}

static void end_back(struct carrier *c)
{
    c->bringing = false;
    muster_err err = muster__remote_end(&c->back);
    if (err && err != MUSTER_ERR_INTERRUPTED)
        home_ended(c, err);
}

/* ---- kills ---- */

void carrier_kill(muster_pool pool, int host, record_ref task)
{
    pthread_mutex_lock(&carriers.mutex);
    for (struct carrier *c = carriers.first; c; c = c->next) {
        if (memcmp(&c->branch, &pool, sizeof pool) != 0 || muster__handle_home(c->home) != host)
            continue;
        record_ref *wider = realloc(c->kills, (size_t)(c->kill_count + 1) * sizeof *wider);
        if (!wider)
            break;
        c->kills = wider;
        c->kills[c->kill_count++] = task;
        muster__ring(c->seat.self);
    }
    pthread_mutex_unlock(&carriers.mutex);
}

static void kill_haul(struct carrier *c, record_ref record)
{
    for (struct haul *haul = c->hauls; haul; haul = haul->next)
        if (!haul->map && haul->record == record)
            muster_task_cancel(haul->task, true); /* or it has ended */
}

static void kill_some(struct carrier *c)
{
    pthread_mutex_lock(&carriers.mutex);
    record_ref *kills = c->kills;
    int n = c->kill_count;
    c->kills = NULL;
    c->kill_count = 0;
    pthread_mutex_unlock(&carriers.mutex);
    for (int i = 0; i < n; i++)
        kill_haul(c, kills[i]);
    free(kills);
}

/* ---- the thread ---- */

/* Returns whether there may be another one to take. */
static bool step(struct carrier *c, int who)
{
    bool any = end_hauls(c, who);
    return_stale(c);
    if (c->fetching && muster__remote_ready(&c->fetch)) {
        end_fetch(c);
        any = true;
    }
    if (c->arrived && (who == THREAD || is_light(c))) {
        begin_hauls(c);
        any = true; /* some may have ended already */
    }
    if (c->bringing && muster__remote_ready(&c->back)) {
        end_back(c);
        any = true;
    }
    if (!c->over && !c->bringing && c->out_bytes)
        begin_back(c);
    if (!c->over && !c->fetching && !c->arrived)
        begin_fetch(c);
    return any;
}

static void tell_why(struct carrier *c)
{
    const char *why = worker_broken_why(c->pool);
    if (pool_state(c->pool) == POOL_BROKEN)
        ask(c, POOL_BREAK, why, strlen(why), NULL, 0);
}

/* While something may wait to be run: who divides what he took, and queues the rest, tells no carrier. */
static int64_t next_look_ns(const struct carrier *c)
{
    return c->hauls ? muster__now_ns() + stale_ns(c) / 2 : MUSTER__NEVER;
}

static bool is_at_work(const struct carrier *c)
{
    return !c->over && pool_state(c->pool) <= POOL_CLOSED;
}

/* Whether what comes next is nothing for the agent. */
static bool needs_thread(const struct carrier *c)
{
    uint64_t results = 0;
    for (const struct haul *haul = c->hauls; haul; haul = haul->next)
        results += haul->result_bytes;
    return !is_at_work(c) || c->arrived || results > LIGHT;
}

static uint32_t bell_of(const struct carrier *c)
{
    return atomic_load(&muster__caller(c->seat.self)->bell);
}

/* ---- the agent's part ---- */

static void take_steps(struct carrier *c)
{
    struct muster__self before = muster__caller_act(c->seat.self, c->pins);
    do
        c->seen = bell_of(c);
    while (step(c, AGENT));
    c->look_ns = next_look_ns(c);
    muster__caller_rest(before);
}

static void hand_over(struct carrier *c)
{
    atomic_store(&c->turn, THREAD);
    muster__futex_wake(&c->turn, 1);
}

static void look(void)
{
    if (!atomic_load_explicit(&carriers.count, memory_order_relaxed))
        return;
    pthread_mutex_lock(&carriers.mutex);
    for (struct carrier *c = carriers.first; c; c = c->next) {
        if (atomic_load(&c->turn) != AGENT ||
            (c->seen == bell_of(c) && (c->look_ns == MUSTER__NEVER || c->look_ns > muster__now_ns())))
            continue;
        if (!c->kill_count && is_at_work(c))
            take_steps(c);
        if (c->kill_count || needs_thread(c))
            hand_over(c);
    }
    pthread_mutex_unlock(&carriers.mutex);
}

__attribute__((constructor)) static void set_hook(void)
{
    muster__remote_on_look(look);
}

/* ---- the thread's ---- */

static void rest(struct carrier *c, uint32_t seen)
{
    c->seen = seen;
    c->look_ns = next_look_ns(c);
    c->pins = muster__self_state.pins;
    muster__caller_blocks(true);
    muster__remote_relay(c->seat.self, true);
    atomic_store(&c->turn, AGENT);
    if (bell_of(c) != seen) /* before it rang the agent, too */
        muster__ring(c->seat.self);
    while (atomic_load(&c->turn) == AGENT)
        muster__futex_wait(&c->turn, AGENT, MUSTER__NEVER);
    muster__remote_relay(c->seat.self, false);
    muster__caller_blocks(false);
}

static void run(struct carrier *c)
{
    _Atomic uint32_t *bell = &muster__self_state.caller->bell;
    sched_listen(c->pool, c->seat.lane->index);
    while (is_at_work(c)) {
        uint32_t seen = atomic_load(bell);
        kill_some(c);
        if (step(c, THREAD))
            continue;
        if (needs_thread(c))
            muster__sleep(bell, seen, next_look_ns(c));
        else
            rest(c, seen);
    }
    if (!c->over && !c->at_home)
        tell_why(c);
    if (c->fetching) {
        muster__remote_cancel(&c->fetch);
        muster__remote_end(&c->fetch);
    }
    if (c->bringing)
        muster__remote_end(&c->back);
    sched_forget_lane(c->pool, c->seat.lane->index);
}

static void enlist(struct carrier *c)
{
    pthread_mutex_lock(&carriers.mutex);
    c->next = carriers.first;
    carriers.first = c;
    atomic_fetch_add(&carriers.count, 1);
    pthread_mutex_unlock(&carriers.mutex);
}

static void strike_off(struct carrier *c)
{
    pthread_mutex_lock(&carriers.mutex);
    struct carrier **link = &carriers.first;
    while (*link != c)
        link = &(*link)->next;
    *link = c->next;
    atomic_fetch_sub(&carriers.count, 1);
    pthread_mutex_unlock(&carriers.mutex);
}

static void free_carrier(struct carrier *c)
{
    for (struct haul *haul = c->hauls, *next; haul; haul = next) {
        next = haul->next;
        free(haul);
    }
    free(c->kills);
    free(c->inbox);
    free(c->out);
    free(c->sent);
    free(c);
}

/* Its seat keeps the branch from going before it has left. */
static void *carrier_main(void *arg)
{
    struct carrier *c = arg;
    muster__thread_serves();
    if (seat_enter(c->branch.handle, "a pool's branch", &c->seat) == MUSTER_OK) {
        c->pool = c->seat.pool;
        c->at_home = pool_is_home(c->pool);
        c->theirs += (uint32_t)c->pool->workers;
        atomic_store(&c->seat.lane->from, muster__handle_home(c->home) + 1);
        muster__caller_serves();
        enlist(c);
        run(c);
        strike_off(c);
        atomic_store(&c->seat.lane->from, 0);
        seat_leave(&c->seat);
    }
    struct pool *pool = c->feeds;
    free_carrier(c);
    muster__caller_ended(); /* by who ends the pool it is waited for, and the segment may go after that */
    atomic_fetch_sub(&pool->carriers, 1);
    muster__futex_wake(&pool->carriers, -1); /* by address alone: the pool may be gone */
    return NULL;
}

muster_err carrier_start(muster_pool handle, muster_handle source, int number, int theirs)
{
    struct muster__object *object = muster__object_pin(handle.handle, MUSTER__POOL);
    struct carrier *c = object ? calloc(1, sizeof *c) : NULL;
    pthread_t thread;
    bool started = false;
    if (c) {
        struct pool *pool = pool_of(object);
        *c = (struct carrier){.branch = handle, .home = source, .feeds = pool, .inbox = malloc(ROOM), .room = ROOM};
        c->number = (uint32_t)number;
        c->theirs = (uint32_t)theirs;
        atomic_fetch_add(&pool->carriers, 1);
        started = c->inbox && pthread_create(&thread, NULL, carrier_main, c) == 0;
        if (started)
            pthread_detach(thread);
        else
            atomic_fetch_sub(&pool->carriers, 1);
    }
    if (c && !started)
        free_carrier(c);
    if (!object)
        return muster__object_stale(MUSTER__POOL, "a pool's part");
    muster__object_unpin();
    return started ? MUSTER_OK : muster__fail(MUSTER_ERR_NOMEM, "no memory for a pool's carrier");
}
