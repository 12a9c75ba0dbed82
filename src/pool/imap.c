/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/check.h"
#include "pool/map.h"
#include "pool/task.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a chunk's task gets, followed by its items; where these have sizes of their own by a slot each, whose `at` is
 * counted from the slots on, and then they themselves. */
struct chunk_arg {
    muster__function function;
    size_t item_bytes, result_bytes;
    int64_t first, count;
    uint64_t listed;
};
static_assert(sizeof(struct chunk_arg) % 16 == 0, "items are aligned behind it");

/* What it gives: this, then a code per item, then the results. Where an item has returned one by itself all are
 * listed: a slot each, whose `at` is counted from the slots on, and then they themselves. */
struct chunk_result {
    struct muster_task_error error; /* of its first failed item */
    uint64_t listed;
};

/* a chunk's items */
struct span {
    int64_t first, count;
};

struct muster_imap {
    muster_pool pool;
    muster__function function;
    struct context context;                /* block 0: the pool's */
    muster_generate_fn generate;           /* NULL: */
    muster_generate_list_fn generate_list; /* items have sizes of their own */
    void *generate_arg;
    size_t item_bytes, result_bytes;
    int64_t chunk_items, window;
    bool unordered;

    int64_t drawn;                           /* items */
    bool dry;                                /* the generator has ended */
    bool later;                              /* it had none just now */
    struct muster_task_error generate_error; /* if it failed, until that was told; else err OK */
    struct chunk_arg *draw_buffer;           /* its count: items drawn that could not be submitted yet */
    size_t draw_bytes, draw_room;            /* of the items in it */
    muster_span held;                        /* drawn, and there was no memory for it */
    bool holds;

    /* chunks that were submitted and not used up: those from begin to end, with room for twice the window */
    muster_task *flying;
    struct span *spans;
    int64_t begin, end;

    struct span open; /* whose results are being handed out */
    int64_t open_next;
    muster_err open_err; /* the whole chunk's */
    struct muster_task_error open_error;
    struct chunk_result *result_buffer;
    size_t result_room;
};

/* ---- in the workers ---- */

static size_t codes_offset(void)
{
    return (sizeof(struct chunk_result) + 15) & ~(size_t)15;
}

static size_t results_offset(int64_t count)
{
    return (codes_offset() + (size_t)count * sizeof(int) + 15) & ~(size_t)15;
}

static int *codes_of(struct chunk_result *result)
{
    return (int *)((char *)result + codes_offset());
}

/* the results of a chunk's items that have sizes of their own, while it runs */
struct gather {
    struct muster__any any;
    char *bytes;
    size_t used, room;
    struct slot *slots; /* NULL: nobody has returned anything yet; `at` counts from 1 */
    int64_t count, i;   /* items; the running one */
};

/* Grows by halves. */
static bool gather_room(struct gather *gather, size_t bytes)
{
    if (!gather->slots)
        gather->slots = calloc((size_t)gather->count, sizeof *gather->slots);
    size_t need = gather->used + round_16(bytes);
    if (gather->slots && need <= gather->room)
        return true;
    char *wider = gather->slots ? realloc(gather->bytes, need + need / 2 + 1) : NULL;
    if (!wider)
        return false;
    gather->bytes = wider;
    gather->room = need + need / 2 + 1;
    return true;
}

/* What the item returned before lies last. */
static muster_err gather_take(struct muster__any *any, const void *bytes, size_t size)
{
    struct gather *gather = (struct gather *)any;
    if (gather->slots && gather->slots[gather->i].at)
        gather->used = gather->slots[gather->i].at - 1;
    if (!gather_room(gather, size))
        return muster__fail(MUSTER_ERR_NOMEM, "muster_task_return: no memory for %zu B", size);
    if (size)
        memcpy(gather->bytes + gather->used, bytes, size);
    gather->slots[gather->i] = (struct slot){gather->used + 1, size};
    gather->used += round_16(size);
    return MUSTER_OK;
}

/* Those that returned nothing by themselves have the result of fixed size. */
static bool gather_rest(struct gather *gather, const char *results, size_t result_bytes)
{
    for (gather->i = 0; gather->i < gather->count; gather->i++)
        if (!gather->slots[gather->i].at &&
            gather_take(&gather->any, results + (size_t)gather->i * result_bytes, result_bytes))
            return false;
    return true;
}

/* As the chunk's result, instead of those of fixed size. */
static muster_err gather_return(struct gather *gather, struct chunk_result *out, size_t result_bytes)
{
    size_t head = results_offset(gather->count), data = (size_t)gather->count * sizeof *gather->slots;
    char *whole = gather_rest(gather, (char *)out + head, result_bytes) ? malloc(head + data + gather->used) : NULL;
    if (!whole)
        return muster__fail(MUSTER_ERR_NOMEM, "no memory for %zu B of results", gather->used);
    out->listed = 1;
    memcpy(whole, out, head);
    for (int64_t i = 0; i < gather->count; i++)
        gather->slots[i].at += data - 1;
    memcpy(whole + head, gather->slots, data);
    if (gather->used)
        memcpy(whole + head + data, gather->bytes, gather->used);
    muster_err err = muster_task_return(whole, head + data + gather->used);
    free(whole);
    return err;
}

static void run_items(const struct chunk_arg *arg, muster_task_fn function, struct chunk_result *out,
                      struct gather *gather, const void *user)
{
    const char *items = (const char *)(arg + 1);
    const struct slot *slots = (const struct slot *)items;
    char *results = (char *)out + results_offset(arg->count);
    struct muster__running *outer = muster__running, running = *outer;
    running.function = arg->function;
    running.any = &gather->any;
    muster__running = &running;
    for (int64_t i = 0; i < arg->count; i++) {
        running.index = arg->first + i;
        gather->i = i;
        gather->any.item_bytes = arg->listed ? slots[i].bytes : arg->item_bytes;
        int code = function(items + (arg->listed ? slots[i].at : (size_t)i * arg->item_bytes),
                            arg->result_bytes ? results + (size_t)i * arg->result_bytes : NULL, user);
        codes_of(out)[i] = code;
        if (code && !out->error.err)
            run_error_fill(&out->error, outer->worker, MUSTER_ERR_TASK, code, arg->first + i, arg->function);
    }
    muster__running = outer;
}

static int run_chunk(const void *bytes, void *result, const void *user)
{
    const struct chunk_arg *arg = bytes;
    void *pointer;
    if (muster__function_find(arg->function, &pointer))
        return muster_task_fail(-1, "%s", muster_err_detail());
    struct gather gather = {.any = {.take = gather_take}, .count = arg->count};
    run_items(arg, (muster_task_fn)pointer, result, &gather, user);
    muster_err err = gather.slots ? gather_return(&gather, result, arg->result_bytes) : MUSTER_OK;
    free(gather.slots);
    free(gather.bytes);
    return err ? muster_task_fail(err, "%s", muster_err_detail()) : 0;
}

/* ---- beginning and end ---- */

static muster_err keep_user(struct muster_imap *imap, const struct seat *seat, const muster_imap_options *options)
{
    if (!options->user || !options->user_bytes)
        return MUSTER_OK;
    muster__ref user = muster__heap_alloc(options->user_bytes, seat->self);
    if (!user)
        return muster__fail(MUSTER_ERR_NOMEM, "muster_pool_imap: no room for the context in the host segment");
    memcpy(muster__heap_at(user), options->user, options->user_bytes);
    muster__heap_hand_over(user, seat->self, pool_owner(seat->pool));
    imap->context = (struct context){user, options->user_bytes};
    return MUSTER_OK;
}

static bool is_list(const struct muster_imap *imap)
{
    return imap->generate_list != NULL;
}

static muster_err make_buffers(struct muster_imap *imap)
{
    size_t chunk = (size_t)imap->chunk_items, window = (size_t)imap->window;
    imap->draw_room = chunk * (is_list(imap) ? sizeof(struct slot) : imap->item_bytes);
    imap->flying = calloc(window, 2 * sizeof *imap->flying);
    imap->spans = calloc(window, 2 * sizeof *imap->spans);
    imap->draw_buffer = calloc(1, sizeof *imap->draw_buffer + imap->draw_room);
    imap->result_room = results_offset(imap->chunk_items) + chunk * imap->result_bytes;
    imap->result_buffer = calloc(1, imap->result_room);
    return imap->flying && imap->spans && imap->draw_buffer && imap->result_buffer
               ? MUSTER_OK
               : muster__fail(MUSTER_ERR_NOMEM, "muster_pool_imap: out of memory");
}

static muster_err make(const struct muster_imap *proto, const struct seat *seat, const muster_imap_options *options,
                       muster_imap **imap)
{
    struct muster_imap *made = malloc(sizeof *made);
    if (!made)
        return muster__fail(MUSTER_ERR_NOMEM, "muster_pool_imap: out of memory");
    *made = *proto;
    made->chunk_items = options->chunk_items ? options->chunk_items : 1;
    made->window = options->window_chunks ? options->window_chunks : 2 * (int64_t)seat->pool->share.all_workers;
    made->unordered = options->unordered;
    muster_err err = make_buffers(made);
    if (!err)
        err = keep_user(made, seat, options);
    if (err)
        muster_imap_end(made);
    else
        *imap = made;
    return err;
}

static muster_err check_imap_options(const char *operation, size_t item_bytes, size_t result_bytes,
                                     const muster_imap_options *options)
{
    muster_err err = check_bytes(operation, "chunk_items", options->chunk_items, item_bytes);
    if (!err)
        err = check_bytes(operation, "chunk_items", options->chunk_items, result_bytes);
    if (!err)
        err = check_bytes(operation, "chunk_items", options->chunk_items, sizeof(int)); /* a code each */
    if (!err)
        err =
            check_bytes(operation, "window_chunks", options->window_chunks, sizeof(struct span) + sizeof(muster_task));
    if (!err)
        err = check_block(operation, "user", options->user, 1, options->user_bytes);
    return err ? err : MUSTER__RESERVED(operation, options);
}

static muster_err begin(struct muster_imap *proto, muster_imap **imap, muster_task_fn fn,
                        const muster_imap_options *options, const char *operation)
{
    static const muster_imap_options defaults;
    options = options ? options : &defaults;
    struct seat seat;
    muster_err err = check_pointer(operation, "imap", imap);
    if (!err)
        err = check_pointer(operation, "fn", (const void *)fn);
    if (!err && !is_list(proto))
        err = check_pointer(operation, "generate", (const void *)proto->generate);
    if (!err)
        err = check_imap_options(operation, is_list(proto) ? sizeof(struct slot) : proto->item_bytes,
                                 proto->result_bytes, options);
    if (!err)
        err = seat_enter(proto->pool.handle, operation, &seat);
    if (err)
        return err;
    err = task_refusal(seat.pool, operation);
    if (!err)
        err = muster__function_name((const void *)fn, &proto->function);
    if (!err)
        err = make(proto, &seat, options, imap);
    seat_leave(&seat);
    return err;
}

muster_err muster_pool_imap(muster_pool pool, muster_imap **imap, muster_task_fn fn, muster_generate_fn generate,
                            void *generate_arg, size_t item_bytes, size_t result_bytes,
                            const muster_imap_options *options)
{
    struct muster_imap proto = {.pool = pool,
                                .generate = generate,
                                .generate_arg = generate_arg,
                                .item_bytes = item_bytes,
                                .result_bytes = result_bytes};
    return begin(&proto, imap, fn, options, "muster_pool_imap");
}

muster_err muster_pool_imap_list(muster_pool pool, muster_imap **imap, muster_task_fn fn,
                                 muster_generate_list_fn generate, void *generate_arg,
                                 const muster_imap_options *options)
{
    const char *operation = "muster_pool_imap_list";
    struct muster_imap proto = {.pool = pool, .generate_list = generate, .generate_arg = generate_arg};
    muster_err err = check_pointer(operation, "generate", (const void *)generate);
    return err ? err : begin(&proto, imap, fn, options, operation);
}

void muster_imap_end(muster_imap *imap)
{
    if (!imap)
        return;
    for (int64_t i = imap->begin; i < imap->end; i++) {
        muster_task_cancel(imap->flying[i], false);
        muster_task_forget(imap->flying[i]);
    }
    free(imap->flying);
    free(imap->spans);
    free(imap->draw_buffer);
    free(imap->result_buffer);
    free(imap);
}

/* ---- drawing ---- */

/* What muster_task_fail said in the generator is kept for when the failure is told: after the results before it. */
static void generator_failed(struct muster_imap *imap, int code, int64_t index)
{
    muster__function name = 0;
    const void *generate = is_list(imap) ? (const void *)imap->generate_list : (const void *)imap->generate;
    bool known = muster__function_name(generate, &name) == MUSTER_OK;
    run_error_fill(&imap->generate_error, -1, MUSTER_ERR_TASK, code, index, name);
    if (!known)
        strcpy(imap->generate_error.function, "generator");
}

/* The generator's answer: 0, there is an item, at its place in the buffer or held. */
static int draw(struct muster_imap *imap)
{
    struct chunk_arg *arg = imap->draw_buffer;
    const char *site = muster_site;
    int code = 0;
    muster_task_fail(0, "%s", "");
    if (!is_list(imap)) {
        code = imap->generate((char *)(arg + 1) + (size_t)arg->count * imap->item_bytes, imap->generate_arg);
    } else if (!imap->holds) {
        imap->held = (muster_span){0};
        code = imap->generate_list(&imap->held, imap->generate_arg);
        imap->holds = code == 0;
        if (!code && !check_plain(imap->held.bytes, imap->held.size_bytes)) {
            imap->holds = false;
            code =
                muster_task_fail(MUSTER_ERR_INVAL, "an item has %zu B at %p", imap->held.size_bytes, imap->held.bytes);
        }
    }
    muster_site = site;
    return code;
}

/* The item that is held goes into the buffer, which grows by halves. */
static muster_err add_held(struct muster_imap *imap)
{
    struct chunk_arg *arg = imap->draw_buffer;
    size_t need = imap->draw_bytes + list_item_room(imap->held.size_bytes);
    if (need > imap->draw_room) {
        struct chunk_arg *wider = realloc(arg, sizeof *arg + need + need / 2);
        if (!wider)
            return muster__fail(MUSTER_ERR_NOMEM, "muster_imap_next: no memory for an item of %zu B",
                                imap->held.size_bytes);
        imap->draw_buffer = arg = wider;
        imap->draw_room = need + need / 2;
    }
    char *item = (char *)(arg + 1) + imap->draw_bytes;
    ((struct slot *)(arg + 1))[arg->count] = (struct slot){imap->draw_bytes, imap->held.size_bytes};
    if (imap->held.size_bytes)
        memcpy(item, imap->held.bytes, imap->held.size_bytes);
    item[imap->held.size_bytes] = '\0';
    imap->draw_bytes = need;
    imap->holds = false;
    return MUSTER_OK;
}

/* Errors: NOMEM, of the first item of a chunk; no item is lost by it. */
static muster_err draw_chunk(struct muster_imap *imap)
{
    *imap->draw_buffer = (struct chunk_arg){.function = imap->function,
                                            .item_bytes = imap->item_bytes,
                                            .result_bytes = imap->result_bytes,
                                            .first = imap->drawn,
                                            .listed = is_list(imap)};
    imap->draw_bytes = is_list(imap) ? (size_t)imap->chunk_items * sizeof(struct slot) : 0;
    while (imap->draw_buffer->count < imap->chunk_items) {
        int code = draw(imap);
        imap->later = code == MUSTER_GENERATE_LATER;
        imap->dry = code && !imap->later;
        if (code < 0)
            generator_failed(imap, code, imap->drawn + imap->draw_buffer->count);
        if (code)
            break;
        muster_err err = is_list(imap) ? add_held(imap) : MUSTER_OK;
        if (err)
            return imap->draw_buffer->count ? MUSTER_OK : err;
        imap->draw_buffer->count++;
    }
    return MUSTER_OK;
}

static muster_err submit_chunk(struct muster_imap *imap, muster_task *task)
{
    const struct chunk_arg *arg = imap->draw_buffer;
    size_t items_bytes = is_list(imap) ? imap->draw_bytes : (size_t)arg->count * imap->item_bytes;
    struct seat seat;
    muster__function function;
    muster_err err = seat_enter(imap->pool.handle, "muster_imap_next", &seat);
    if (err)
        return err;
    err = task_refusal(seat.pool, "muster_imap_next");
    if (!err)
        err = muster__function_name((const void *)run_chunk, &function);
    if (!err)
        err = task_submit(&seat, task, function, arg, sizeof *arg + items_bytes,
                          results_offset(arg->count) + (size_t)arg->count * imap->result_bytes, NULL,
                          imap->context.block ? &imap->context : NULL);
    seat_leave(&seat);
    return err;
}

static void note_chunk(struct muster_imap *imap, muster_task task)
{
    if (imap->end == 2 * imap->window) {
        size_t n = (size_t)(imap->end - imap->begin);
        memmove(imap->flying, imap->flying + imap->begin, n * sizeof *imap->flying);
        memmove(imap->spans, imap->spans + imap->begin, n * sizeof *imap->spans);
        imap->begin = 0;
        imap->end = (int64_t)n;
    }
    imap->flying[imap->end] = task;
    imap->spans[imap->end++] = (struct span){imap->draw_buffer->first, imap->draw_buffer->count};
    imap->drawn += imap->draw_buffer->count;
    imap->draw_buffer->count = 0;
}

/* Before anything is drawn for a pool that does not take it. */
static muster_err refusal(const struct muster_imap *imap)
{
    struct seat seat;
    muster_err err = seat_enter(imap->pool.handle, "muster_imap_next", &seat);
    if (err)
        return err;
    err = task_refusal(seat.pool, "muster_imap_next");
    seat_leave(&seat);
    return err;
}

/* What was drawn and could not be submitted is kept for the next time. */
static muster_err fill_window(struct muster_imap *imap)
{
    imap->later = false;
    while (imap->end - imap->begin < imap->window && !imap->later) {
        muster_task task;
        bool more = !imap->draw_buffer->count && !imap->dry;
        muster_err err = more ? refusal(imap) : MUSTER_OK;
        if (more && !err)
            err = draw_chunk(imap);
        if (!err && !imap->draw_buffer->count)
            break;
        if (!err)
            err = submit_chunk(imap, &task);
        if (err)
            return err;
        note_chunk(imap, task);
    }
    return MUSTER_OK;
}

/* ---- handing out ---- */

/* Of those that are not in order the first one takes the place of the one that is used up. */
static void remove_chunk(struct muster_imap *imap, int64_t which)
{
    imap->flying[which] = imap->flying[imap->begin];
    imap->spans[which] = imap->spans[imap->begin];
    imap->begin++;
}

/* Results that were returned one by one may be larger than the room for those of fixed size: that grows. *kept: it is
 * still there to be got. */
static muster_err get_chunk(struct muster_imap *imap, muster_task task, int64_t timeout_ms, bool *kept)
{
    size_t size;
    muster_err err = muster_task_get(task, imap->result_buffer, imap->result_room, timeout_ms);
    *kept = err == MUSTER_ERR_TIMEOUT || err == MUSTER_ERR_INTERRUPTED || err == MUSTER_ERR_DEADLOCK;
    if (err != MUSTER_ERR_TOOBIG)
        return err;
    err = muster_task_size(task, &size);
    if (err)
        return err;
    void *wider = malloc(size);
    *kept = !wider;
    if (!wider)
        return muster__fail(MUSTER_ERR_NOMEM, "muster_imap_next: no memory for %zu B of results", size);
    free(imap->result_buffer);
    imap->result_buffer = wider;
    imap->result_room = size;
    return muster_task_get(task, wider, size, MUSTER_NOWAIT);
}

/* Opens the next chunk. Errors of the chunk as a whole go to each of its items. */
static muster_err open_chunk(struct muster_imap *imap, int64_t timeout_ms)
{
    int64_t which = 0;
    muster_err err = MUSTER_OK;
    if (imap->unordered)
        err = set_any(imap->flying + imap->begin, imap->end - imap->begin, &which, "muster_imap_next", timeout_ms);
    if (err)
        return err;
    which += imap->begin;
    bool kept;
    err = get_chunk(imap, imap->flying[which], timeout_ms, &kept);
    if (kept)
        return err;
    imap->open = imap->spans[which];
    imap->open_next = 0;
    imap->open_err = err;
    imap->open_error =
        (struct muster_task_error){.err = err, .worker = -1, .rank = muster__member_rank(muster__member_self())};
    if (err == MUSTER_ERR_TASK || err == MUSTER_ERR_CRASHED || err == MUSTER_ERR_NOMEM)
        imap->open_error = *muster_pool_last_error();
    else if (err)
        snprintf(imap->open_error.text, sizeof imap->open_error.text, "%s", muster_err_detail());
    if (imap->open_error.function[0]) /* what ran the chunk is nobody's affair */
        muster__function_describe(imap->function, imap->open_error.function, sizeof imap->open_error.function);
    remove_chunk(imap, which);
    return MUSTER_OK;
}

/* The error of the open chunk's item, or of the chunk as a whole; OK: it has a result. */
static muster_err item_error(const struct muster_imap *imap, int64_t i)
{
    if (imap->open_err) {
        struct muster_task_error error = imap->open_error;
        error.index = imap->open.first + i;
        muster_err err = run_report(&error, "muster_imap_next");
        return error.function[0]
                   ? err
                   : muster__fail(err, "muster_imap_next: item %lld: %s", (long long)error.index, error.text);
    }
    int code = codes_of(imap->result_buffer)[i];
    if (!code)
        return MUSTER_OK;
    struct muster_task_error error = imap->result_buffer->error;
    if (error.index != imap->open.first + i)
        error.text[0] = '\0';
    error.index = imap->open.first + i;
    error.code = code;
    return run_report(&error, "muster_imap_next");
}

static const void *item_result(const struct muster_imap *imap, int64_t i, size_t *size)
{
    const char *results = (const char *)imap->result_buffer + results_offset(imap->open.count);
    if (imap->result_buffer->listed) {
        const struct slot *slot = (const struct slot *)results + i;
        *size = slot->bytes;
        return results + slot->at;
    }
    *size = imap->result_bytes;
    return results + (size_t)i * imap->result_bytes;
}

/* A failure is told once. */
static muster_err generator_over(struct muster_imap *imap)
{
    struct muster_task_error error = imap->generate_error;
    if (!error.err)
        return muster__fail(MUSTER_ERR_CLOSED, "muster_imap_next: all results were given: %lld",
                            (long long)imap->drawn);
    imap->generate_error.err = MUSTER_OK;
    run_report(&error, "muster_imap_next");
    return muster__fail(MUSTER_ERR_TASK, "muster_imap_next: the generator (%s) failed with %d at item %lld%s%s",
                        error.function, error.code, (long long)error.index, error.text[0] ? ": " : "", error.text);
}

static bool never(void *unused)
{
    (void)unused;
    return false;
}

/* Runs tasks meanwhile, as all waits do. Errors: TIMEOUT, when it is over; STALE, INTERRUPTED. */
static muster_err pause_for(const struct muster_imap *imap, int64_t ms)
{
    struct seat seat;
    muster_err err = seat_enter(imap->pool.handle, "muster_imap_next", &seat);
    if (err)
        return err;
    err = sched_wait(&seat, &(struct wait_for){.over = never, .deadline_ns = muster__deadline_ns(ms)});
    seat_leave(&seat);
    return err;
}

/* Between two questions to a generator that has nothing yet; doubled up to the latter while it has not. */
enum { PAUSE_MS = 1, PAUSE_MAX_MS = 16 };

/* Opens the next chunk where the last one is used up. Why the window cannot be filled is told when nothing flies any
 * more: it is so the next time, too. */
static muster_err open_some(struct muster_imap *imap, int64_t timeout_ms)
{
    if (imap->open_next < imap->open.count)
        return MUSTER_OK;
    int64_t deadline_ns = muster__deadline_ns(timeout_ms), pause_ms = PAUSE_MS, drawn = imap->drawn;
    for (;;) {
        muster_err err = fill_window(imap);
        bool flies = imap->begin != imap->end;
        if (!flies && (err || !imap->later))
            return err ? err : generator_over(imap);
        int64_t left_ms = muster__left_ms(deadline_ns);
        if (!imap->later)
            return open_chunk(imap, left_ms);
        bool last = left_ms >= 0 && left_ms <= pause_ms;
        err = flies ? open_chunk(imap, last ? left_ms : pause_ms) : pause_for(imap, last ? left_ms : pause_ms);
        if (err != MUSTER_ERR_TIMEOUT || last)
            return err;
        pause_ms = imap->drawn != drawn ? PAUSE_MS : pause_ms < PAUSE_MAX_MS ? 2 * pause_ms : pause_ms;
        drawn = imap->drawn;
    }
}

/* The next result where it lies, unless it has more than `most` bytes: then it stays the next one. */
static muster_err next(struct muster_imap *imap, size_t most, const void **result, size_t *size, int64_t *index,
                       int64_t timeout_ms)
{
    muster_err err = open_some(imap, timeout_ms);
    if (err)
        return err;
    int64_t i = imap->open_next;
    err = item_error(imap, i);
    if (!err)
        *result = item_result(imap, i, size);
    if (!err && *size > most)
        return muster__fail(MUSTER_ERR_TOOBIG,
                            "muster_imap_next: the result has %zu B, there is room for %zu; see muster_imap_view",
                            *size, most);
    if (index)
        *index = imap->open.first + i;
    imap->open_next++;
    return err;
}

muster_err muster_imap_next(muster_imap *imap, void *result, int64_t *index, int64_t timeout_ms)
{
    const char *operation = "muster_imap_next";
    const void *bytes;
    size_t size;
    muster_err err = check_pointer(operation, "imap", imap);
    if (!err)
        err = check_block(operation, "result", result, 1, imap->result_bytes);
    if (!err)
        err = muster__timeout_bad(operation, timeout_ms);
    if (!err)
        err = next(imap, imap->result_bytes, &bytes, &size, index, timeout_ms);
    if (err || !imap->result_bytes)
        return err;
    memcpy(result, bytes, size);
    memset((char *)result + size, 0, imap->result_bytes - size);
    return MUSTER_OK;
}

muster_err muster_imap_view(muster_imap *imap, const void **result, size_t *size_bytes, int64_t *index,
                            int64_t timeout_ms)
{
    const char *operation = "muster_imap_view";
    const void *bytes;
    size_t size;
    muster_err err = check_pointer(operation, "imap", imap);
    if (!err)
        err = check_pointer(operation, "result", result);
    if (!err)
        err = check_pointer(operation, "size_bytes", size_bytes);
    if (!err)
        err = muster__timeout_bad(operation, timeout_ms);
    if (!err)
        err = next(imap, SIZE_MAX, &bytes, &size, index, timeout_ms);
    if (err)
        return err;
    *result = bytes;
    *size_bytes = size;
    return MUSTER_OK;
}

int muster_items_next(void *item, void *items)
{
    const char *operation = "muster_items_next";
    muster_items *a = items;
    muster_err err = check_pointer(operation, "items", a);
    if (!err)
        err = check_block(operation, "items->items", a->items, a->n, a->item_bytes);
    if (!err)
        err = check_block(operation, "item", item, 1, a->item_bytes);
    if (err)
        return err; /* negative, as a generator's failure */
    if (a->next >= a->n)
        return 1;
    if (a->item_bytes)
        memcpy(item, (const char *)a->items + (size_t)a->next * a->item_bytes, a->item_bytes);
    a->next++;
    return 0;
}

int muster_spans_next(muster_span *item, void *spans)
{
    const char *operation = "muster_spans_next";
    muster_spans *a = spans;
    muster_err err = check_pointer(operation, "spans", a);
    if (!err)
        err = check_block(operation, "spans->spans", a->spans, a->n, sizeof *a->spans);
    if (!err)
        err = check_pointer(operation, "item", item);
    if (err)
        return err; /* negative, as a generator's failure */
    if (a->next >= a->n)
        return 1;
    *item = a->spans[a->next++];
    return 0;
}
