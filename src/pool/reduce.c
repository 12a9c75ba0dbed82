/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/check.h"
#include "pool/map.h"
#include "pool/task.h"

#include <stdlib.h>
#include <string.h>

/* Chunks when the caller does not say: from n alone, so that the result does not depend on who computes it. */
#define CHUNKS 256
/* From here on the rest of the tree is one task. */
#define TREE_IN_ONE 64

/* what the tasks of a reduction share, followed by the caller's own context */
struct recipe {
    muster__function function, combine;
    size_t item_bytes, result_bytes, user_bytes;
    int64_t count; /* items in a chunk, or results in a tree */
};

/* The reduction's own, else the pool's. */
static const void *own_user(const struct recipe *context)
{
    const struct pool *pool = muster__running->pool;
    if (context->user_bytes)
        return context + 1;
    return pool->user ? muster__heap_at(pool->user) : NULL;
}

static int find(muster__function function, void **pointer)
{
    *pointer = NULL;
    if (function && muster__function_find(function, pointer))
        return muster_task_fail(-1, "%s", muster_err_detail());
    return 0;
}

/* What it returns by itself goes where its result does. */
static int map_item(const struct recipe *context, void *function, const void *item, void *out)
{
    struct any_fixed any = any_fixed(context->item_bytes, out, context->result_bytes, muster__running->index);
    struct muster__any *before = any_enter(&any.any);
    memset(out, 0, context->result_bytes);
    int code = ((muster_task_fn)function)(item, out, own_user(context));
    any_enter(before);
    return code;
}

/* It has no result of its own to return. */
static int combine_two(const struct recipe *context, void *combine, void *accumulated, const void *value)
{
    struct muster__any *before = any_enter(NULL);
    int code = ((muster_combine_fn)combine)(accumulated, value, own_user(context));
    any_enter(before);
    return code;
}

/* Folds a chunk's items left to right. */
static int fold_chunk(const void *items, void *result, const void *user)
{
    const struct recipe *context = user;
    void *function, *combine;
    int code = find(context->function, &function);
    if (!code)
        code = find(context->combine, &combine);
    void *value = calloc(1, context->result_bytes ? context->result_bytes : 1);
    if (!value)
        code = muster_task_fail(-1, "out of memory");
    for (int64_t i = 0; i < context->count && !code; i++) {
        const void *item = (const char *)items + (size_t)i * context->item_bytes;
        void *out = i ? value : result;
        if (function)
            code = map_item(context, function, item, out);
        else
            memcpy(out, item, context->result_bytes);
        if (i && !code)
            code = combine_two(context, combine, result, value);
    }
    free(value);
    return code;
}

/* One level of the tree: neighbours are combined, an odd last one goes up as it is. */
static int combine_pair(const void *pair, void *result, const void *user)
{
    const struct recipe *context = user;
    void *combine;
    int code = find(context->combine, &combine);
    if (code)
        return code;
    memcpy(result, pair, context->result_bytes);
    return combine_two(context, combine, result, (const char *)pair + context->result_bytes);
}

/* All levels of a small tree, in the same order. */
static int combine_tree(const void *values, void *result, const void *user)
{
    const struct recipe *context = user;
    size_t bytes = context->result_bytes;
    char *level = malloc((size_t)context->count * bytes + 1);
    if (!level)
        return muster_task_fail(-1, "out of memory");
    memcpy(level, values, (size_t)context->count * bytes);
    int code = 0;
    for (int64_t n = context->count; n > 1 && !code; n = (n + 1) / 2) {
        for (int64_t i = 0; 2 * i + 1 < n && !code; i++) {
            memmove(level + (size_t)i * bytes, level + (size_t)(2 * i) * bytes, bytes);
            void *combine;
            code = find(context->combine, &combine);
            if (!code)
                code = combine_two(context, combine, level + (size_t)i * bytes, level + (size_t)(2 * i + 1) * bytes);
        }
        if (n % 2)
            memmove(level + (size_t)(n / 2) * bytes, level + (size_t)(n - 1) * bytes, bytes);
    }
    memcpy(result, level, bytes);
    free(level);
    return code;
}

/* ---- in the caller ---- */

struct reduction {
    muster_pool pool;
    struct recipe *context;
    size_t context_bytes;
    char *partial;
    int64_t partials;
    int64_t deadline_ns;
};

/* What is left of the time of all of it. */
static muster_err options_now(const struct reduction *r, muster_map_options *options)
{
    int64_t left_ms = muster__left_ms(r->deadline_ns);
    *options = (muster_map_options){
        .user = r->context, .user_bytes = r->context_bytes, .map_limit_ms = left_ms > 0 ? left_ms : 0};
    return left_ms ? MUSTER_OK : muster__fail(MUSTER_ERR_TIMEOUT, "muster_pool_reduce: not done within map_limit_ms");
}

static muster_err one_task(struct reduction *r, muster_task_fn fn, const void *arg, size_t arg_bytes, int64_t count,
                           void *result)
{
    muster_task task;
    r->context->count = count;
    muster_submit_options options = {.user = r->context, .user_bytes = r->context_bytes};
    muster_err err = muster_pool_submit(r->pool, &task, fn, arg, arg_bytes, r->context->result_bytes, &options);
    if (err)
        return err;
    err = muster_task_get(task, result, r->context->result_bytes, muster__left_ms(r->deadline_ns));
    if (map_ended_early(err)) {
        muster_task_cancel(task, false);
        muster_task_forget(task);
    }
    return err;
}

static muster_err fold_chunks(struct reduction *r, const char *items, int64_t n, int64_t chunk)
{
    size_t bytes = r->context->result_bytes, item_bytes = r->context->item_bytes;
    int64_t whole = n / chunk, tail = n % chunk;
    r->context->count = chunk;
    muster_map_options options;
    muster_err err = options_now(r, &options);
    if (!err)
        err =
            muster_pool_map(r->pool, fold_chunk, items, whole, (size_t)chunk * item_bytes, r->partial, bytes, &options);
    if (!err && tail)
        err = one_task(r, fold_chunk, items + (size_t)(whole * chunk) * item_bytes, (size_t)tail * item_bytes, tail,
                       r->partial + (size_t)whole * bytes);
    r->partials = whole + (tail > 0);
    return err;
}

static muster_err combine_level(struct reduction *r)
{
    size_t bytes = r->context->result_bytes;
    int64_t pairs = r->partials / 2;
    char *up = malloc((size_t)(pairs + 1) * bytes + 1);
    if (!up)
        return muster__fail(MUSTER_ERR_NOMEM, "muster_pool_reduce: out of memory");
    muster_map_options options;
    muster_err err = options_now(r, &options);
    if (!err)
        err = muster_pool_map(r->pool, combine_pair, r->partial, pairs, 2 * bytes, up, bytes, &options);
    if (r->partials % 2)
        memcpy(up + (size_t)pairs * bytes, r->partial + (size_t)(r->partials - 1) * bytes, bytes);
    free(r->partial);
    r->partial = up;
    r->partials = pairs + r->partials % 2;
    return err;
}

static muster_err reduce(struct reduction *r, const char *items, int64_t n, int64_t chunk, void *result)
{
    size_t bytes = r->context->result_bytes;
    r->partial = malloc((size_t)(n / chunk + 1) * bytes + 1);
    if (!r->partial)
        return muster__fail(MUSTER_ERR_NOMEM, "muster_pool_reduce: out of memory");
    muster_err err = fold_chunks(r, items, n, chunk);
    while (!err && r->partials > TREE_IN_ONE)
        err = combine_level(r);
    char *out = err ? NULL : malloc(bytes + 1);
    if (out)
        err = one_task(r, combine_tree, r->partial, (size_t)r->partials * bytes, r->partials, out);
    if (out && !err)
        memcpy(result, out, bytes);
    free(out);
    free(r->partial);
    return err;
}

static muster_err check_reduce(muster_combine_fn combine, const void *items, int64_t n, size_t item_bytes,
                               const void *result, size_t result_bytes)
{
    const char *operation = "muster_pool_reduce";
    muster_err err = check_pointer(operation, "combine", (const void *)combine);
    if (!err)
        err = check_count(operation, "n", n);
    if (!err)
        err = check_block(operation, "items", items, n, item_bytes);
    if (!err)
        err = check_bytes(operation, "result", n, result_bytes);
    return err ? err : check_block(operation, "result", result, n > 0, result_bytes);
}

muster_err muster_pool_reduce(muster_pool pool, muster_task_fn fn, muster_combine_fn combine, const void *items,
                              int64_t n, size_t item_bytes, void *result, size_t result_bytes,
                              const muster_map_options *options)
{
    int64_t chunk = options ? options->chunk_items : 0;
    size_t user_bytes = options ? options->user_bytes : 0;
    muster_err err = check_reduce(combine, items, n, item_bytes, result, result_bytes);
    if (!err)
        err = check_map_options("muster_pool_reduce", options);
    if (!err && options && options->states)
        err = muster__fail(MUSTER_ERR_INVAL, "muster_pool_reduce: states: a reduction does not tell of its items");
    if (!err && !fn && item_bytes != result_bytes)
        err = muster__fail(MUSTER_ERR_INVAL, "muster_pool_reduce: no fn, but items of %zu and results of %zu B",
                           item_bytes, result_bytes);
    if (err || n == 0)
        return err;
    if (!chunk)
        chunk = (n + CHUNKS - 1) / CHUNKS;
    chunk = chunk < n ? chunk : n;
    struct reduction r = {
        .pool = pool,
        .context_bytes = sizeof(struct recipe) + user_bytes,
        .deadline_ns = muster__deadline_ns(options && options->map_limit_ms ? options->map_limit_ms : MUSTER_FOREVER)};
    r.context = calloc(1, r.context_bytes);
    if (!r.context)
        return muster__fail(MUSTER_ERR_NOMEM, "muster_pool_reduce: out of memory");
    *r.context = (struct recipe){.item_bytes = item_bytes, .result_bytes = result_bytes, .user_bytes = user_bytes};
    if (user_bytes)
        memcpy(r.context + 1, options->user, user_bytes);
    err = muster__function_name((const void *)combine, &r.context->combine);
    if (!err && fn)
        err = muster__function_name((const void *)fn, &r.context->function);
    if (!err)
        err = reduce(&r, items, n, chunk, result);
    free(r.context);
    return err;
}
