#include "pool/internal.h"

#include <stdlib.h>
#include <string.h>

/* what a chunk's task gets, followed by its items */
struct chunk_arg {
    muster__function function;
    size_t item_bytes, result_bytes;
    int64_t first, count;
};

/* what it gives: this, then a code per item, then the results */
struct chunk_result {
    struct muster_task_error error; /* of its first failed item */
};

/* a chunk that was drawn and not yet used up */
struct chunk {
    muster_task task;
    int64_t first, count;
};

struct muster_imap {
    muster_pool pool;
    muster__function function;
    struct context context; /* block 0: the pool's */
    muster_generate_fn generate;
    void *generate_arg;
    size_t item_bytes, result_bytes;
    int64_t chunk_items, window;
    bool unordered;

    int64_t drawn; /* items */
    bool dry;      /* the generator has ended */
    int generate_code;

    struct chunk *flying; /* in the order drawn */
    int64_t flying_count;

    struct chunk open; /* whose results are being handed out */
    int64_t open_next;
    muster_err open_err; /* the whole chunk's */
    struct muster_task_error open_error;
    struct chunk_arg *draw_buffer;
    struct chunk_result *result_buffer;
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

static int run_chunk(const void *bytes, void *result, const void *user)
{
    const struct chunk_arg *arg = bytes;
    struct chunk_result *out = result;
    void *pointer;
    if (muster__function_find(arg->function, &pointer))
        return muster_task_fail(-1, "%s", muster_err_detail());
    const char *items = (const char *)(arg + 1);
    char *results = (char *)out + results_offset(arg->count);
    struct muster__running *outer = muster__running, running = *outer;
    running.function = arg->function;
    muster__running = &running;
    for (int64_t i = 0; i < arg->count; i++) {
        running.index = arg->first + i;
        int code = ((muster_task_fn)pointer)(items + (size_t)i * arg->item_bytes,
                                             arg->result_bytes ? results + (size_t)i * arg->result_bytes : NULL, user);
        codes_of(out)[i] = code;
        if (code && !out->error.err)
            run_error_fill(&out->error, outer->worker, MUSTER_ERR_TASK, code, arg->first + i, arg->function);
    }
    muster__running = outer;
    return 0;
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

static muster_err make(struct muster_imap *imap, const struct seat *seat, const muster_imap_options *options)
{
    imap->chunk_items = options->chunk_items ? options->chunk_items : 1;
    imap->window = options->window_chunks ? options->window_chunks : 2 * (int64_t)seat->pool->share.all_workers;
    imap->unordered = options->unordered;
    size_t chunk = (size_t)imap->chunk_items;
    imap->flying = calloc((size_t)imap->window, sizeof *imap->flying);
    imap->draw_buffer = calloc(1, sizeof *imap->draw_buffer + chunk * imap->item_bytes);
    imap->result_buffer = calloc(1, results_offset(imap->chunk_items) + chunk * imap->result_bytes);
    if (!imap->flying || !imap->draw_buffer || !imap->result_buffer)
        return muster__fail(MUSTER_ERR_NOMEM, "muster_pool_imap: out of memory");
    return keep_user(imap, seat, options);
}

muster_err muster_pool_imap(muster_pool pool, muster_imap **imap, muster_task_fn fn, muster_generate_fn generate,
                            void *generate_arg, size_t item_bytes, size_t result_bytes,
                            const muster_imap_options *options)
{
    static const muster_imap_options defaults;
    options = options ? options : &defaults;
    struct seat seat;
    if (options->chunk_items < 0 || options->window_chunks < 0 || !generate)
        return muster__fail(MUSTER_ERR_INVAL, "muster_pool_imap: chunk_items %lld, window_chunks %lld%s",
                            (long long)options->chunk_items, (long long)options->window_chunks,
                            generate ? "" : ", no generator");
    if (MUSTER__RESERVED("muster_pool_imap", options))
        return MUSTER_ERR_INVAL;
    muster_err err = seat_enter(pool.handle, "muster_pool_imap", &seat);
    if (err)
        return err;
    struct muster_imap *made = calloc(1, sizeof *made);
    if (!made) {
        seat_leave(&seat);
        return muster__fail(MUSTER_ERR_NOMEM, "muster_pool_imap: out of memory");
    }
    made->pool = pool;
    made->generate = generate;
    made->generate_arg = generate_arg;
    made->item_bytes = item_bytes;
    made->result_bytes = result_bytes;
    err = muster__function_name((const void *)fn, &made->function);
    if (!err)
        err = make(made, &seat, options);
    seat_leave(&seat);
    if (err)
        muster_imap_end(made);
    else
        *imap = made;
    return err;
}

void muster_imap_end(muster_imap *imap)
{
    if (!imap)
        return;
    for (int64_t i = 0; i < imap->flying_count; i++) {
        muster_task_cancel(imap->flying[i].task, false);
        muster_task_forget(imap->flying[i].task);
    }
    free(imap->flying);
    free(imap->draw_buffer);
    free(imap->result_buffer);
    free(imap);
}

/* ---- drawing ---- */

static muster_err submit_chunk(struct muster_imap *imap, const struct chunk_arg *arg, muster_task *task)
{
    struct seat seat;
    muster__function function;
    muster_err err = seat_enter(imap->pool.handle, "muster_imap_next", &seat);
    if (err)
        return err;
    err = task_refusal(seat.pool, "muster_imap_next");
    if (!err)
        err = muster__function_name((const void *)run_chunk, &function);
    if (!err)
        err = task_submit(&seat, task, function, arg, sizeof *arg + (size_t)arg->count * imap->item_bytes,
                          results_offset(arg->count) + (size_t)arg->count * imap->result_bytes, NULL,
                          imap->context.block ? &imap->context : NULL);
    seat_leave(&seat);
    return err;
}

static muster_err draw_chunk(struct muster_imap *imap)
{
    struct chunk_arg *arg = imap->draw_buffer;
    *arg = (struct chunk_arg){.function = imap->function,
                              .item_bytes = imap->item_bytes,
                              .result_bytes = imap->result_bytes,
                              .first = imap->drawn};
    while (arg->count < imap->chunk_items && !imap->dry) {
        int code = imap->generate((char *)(arg + 1) + (size_t)arg->count * imap->item_bytes, imap->generate_arg);
        imap->dry = code != 0;
        imap->generate_code = code < 0 ? code : 0;
        arg->count += code == 0;
    }
    if (!arg->count)
        return MUSTER_OK;
    struct chunk chunk = {.first = arg->first, .count = arg->count};
    muster_err err = submit_chunk(imap, arg, &chunk.task);
    if (err)
        return err;
    imap->drawn += arg->count;
    imap->flying[imap->flying_count++] = chunk;
    return MUSTER_OK;
}

static muster_err fill_window(struct muster_imap *imap)
{
    muster_err err = MUSTER_OK;
    while (!err && !imap->dry && imap->flying_count < imap->window)
        err = draw_chunk(imap);
    return err;
}

/* ---- handing out ---- */

static int64_t first_ready(struct muster_imap *imap)
{
    for (int64_t i = 0; i < imap->flying_count; i++) {
        bool ready = false;
        if (muster_task_ready(imap->flying[i].task, &ready) == MUSTER_OK && ready)
            return i;
    }
    return 0;
}

static muster_err wait_unordered(struct muster_imap *imap, int64_t *which, int64_t timeout_ms)
{
    muster_task tasks[imap->flying_count];
    for (int64_t i = 0; i < imap->flying_count; i++)
        tasks[i] = imap->flying[i].task;
    muster_err err = muster_task_wait(tasks, imap->flying_count, MUSTER_WAIT_ANY, NULL, timeout_ms);
    *which = err ? 0 : first_ready(imap);
    return err;
}

/* Opens the next chunk. Errors of the chunk as a whole go to each of its items. */
static muster_err open_chunk(struct muster_imap *imap, int64_t timeout_ms)
{
    int64_t which = 0;
    muster_err err = imap->unordered ? wait_unordered(imap, &which, timeout_ms) : MUSTER_OK;
    if (err)
        return err;
    struct chunk *chunk = &imap->flying[which];
    size_t room = results_offset(imap->chunk_items) + (size_t)imap->chunk_items * imap->result_bytes;
    err = muster_task_get(chunk->task, imap->result_buffer, room, timeout_ms);
    if (err == MUSTER_ERR_TIMEOUT || err == MUSTER_ERR_INTERRUPTED)
        return err;
    imap->open = *chunk;
    imap->open_next = 0;
    imap->open_err = err;
    imap->open_error = (struct muster_task_error){.err = err};
    if (err == MUSTER_ERR_TASK || err == MUSTER_ERR_CRASHED)
        imap->open_error = *muster_pool_last_error();
    memmove(chunk, chunk + 1, (size_t)(--imap->flying_count - which) * sizeof *chunk);
    return MUSTER_OK;
}

static muster_err hand_out(struct muster_imap *imap, void *result, int64_t *index)
{
    int64_t i = imap->open_next++;
    if (index)
        *index = imap->open.first + i;
    if (imap->open_err) {
        struct muster_task_error error = imap->open_error;
        error.index = imap->open.first + i;
        return run_report(&error, "muster_imap_next");
    }
    int code = codes_of(imap->result_buffer)[i];
    if (code) {
        struct muster_task_error error = imap->result_buffer->error;
        if (error.index != imap->open.first + i)
            error.text[0] = '\0';
        error.index = imap->open.first + i;
        error.code = code;
        return run_report(&error, "muster_imap_next");
    }
    if (imap->result_bytes)
        memcpy(result, (char *)imap->result_buffer + results_offset(imap->open.count) + (size_t)i * imap->result_bytes,
               imap->result_bytes);
    return MUSTER_OK;
}

static muster_err generator_over(struct muster_imap *imap)
{
    if (!imap->generate_code)
        return muster__fail(MUSTER_ERR_CLOSED, "muster_imap_next: all %lld results were given", (long long)imap->drawn);
    return muster__fail(MUSTER_ERR_TASK, "muster_imap_next: the generator failed with %d after %lld items",
                        imap->generate_code, (long long)imap->drawn);
}

muster_err muster_imap_next(muster_imap *imap, void *result, int64_t *index, int64_t timeout_ms)
{
    if (imap->open_next >= imap->open.count) {
        muster_err err = fill_window(imap);
        if (err)
            return err;
        if (!imap->flying_count)
            return generator_over(imap);
        err = open_chunk(imap, timeout_ms);
        if (err)
            return err;
    }
    return hand_out(imap, result, index);
}

int muster_items_next(void *item, void *items)
{
    muster_items *a = items;
    if (a->next >= a->n)
        return 1;
    if (a->item_bytes)
        memcpy(item, (const char *)a->items + (size_t)a->next * a->item_bytes, a->item_bytes);
    a->next++;
    return 0;
}
