/* SPDX-License-Identifier: BSD-3-Clause */
#include "remote/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Objects are made and ended wherever they are to be, or are, at home. */

/* what is made on another host: then the arg's bytes */
struct making {
    char name[32];
};

muster_err muster__make(enum muster__kind kind, int host, const char *name, struct muster__arg *arg,
                        const char *operation, muster_handle *made)
{
    muster_err err = muster__runtime_require(operation);
    if (err)
        return err;
    if (host == (int)muster__segment->host) {
        err = muster__object_make(kind, name, arg, made);
        if (!err)
            muster__count(*made);
        return err;
    }
    uint32_t self = muster__self_number();
    size_t size = sizeof(struct making) + arg->size;
    struct making *making = calloc(1, size);
    if (!making)
        return muster__fail(MUSTER_ERR_NOMEM, "%s: out of memory", operation);
    snprintf(making->name, sizeof making->name, "%s", name ? name : "");
    if (arg->size)
        memcpy(making + 1, arg->bytes, arg->size);
    struct asked *asked = call_make(muster__host_handle(host, kind), host, making, size, operation);
    free(making);
    if (!asked)
        return MUSTER_ERR_NOMEM;
    asked->operation = REMOTE_MAKE;
    memcpy(asked->in, arg->in, sizeof asked->in);
    call_post(asked);
    err = call_wait(asked, MUSTER__NEVER);
    if (err)
        return err;
    err = asked->err;
    if (err)
        muster__fail(err, "%s", asked->text);
    else
        memcpy(made, asked->out, sizeof *made);
    call_free(asked, self);
    if (!err)
        muster__count(*made);
    return err;
}

muster_err muster__destroy(muster_handle handle, enum muster__kind kind, const char *operation)
{
    muster__count(handle);
    if (!muster__is_remote(handle, kind)) {
        struct muster__object *object = muster__object_find(handle, kind);
        uint32_t self = muster__self_number();
        bool ended = object && self && muster__object_end(object, handle.generation, self);
        return ended ? MUSTER_OK : muster__object_stale(kind, operation);
    }
    uint32_t self = muster__self_number();
    struct asked *asked = call_make(handle, muster__handle_home(handle), NULL, 0, operation);
    if (!asked)
        return MUSTER_ERR_NOMEM;
    asked->operation = REMOTE_END;
    call_post(asked);
    muster_err err = call_wait(asked, MUSTER__NEVER);
    if (err)
        return err;
    err = asked->err;
    if (err)
        muster__fail(err, "%s", asked->text);
    call_free(asked, self);
    return err;
}

/* ---- for public functions ---- */

muster_err muster__create(enum muster__kind kind, const char *operation, const muster_object_options *options,
                          struct muster__arg *arg, muster_handle *made)
{
    int host;
    muster_err err = muster__runtime_require(operation);
    if (!err)
        err = MUSTER__NULL_BAD(operation, made);
    if (!err)
        err = MUSTER__RESERVED(operation, options);
    if (!err)
        err = muster__host_wanted(options ? options->on : (muster_on){0}, operation, &host);
    return err ? err : muster__make(kind, host, options ? options->name : NULL, arg, operation, made);
}

muster_err muster__give(struct muster__step *step, const void *bytes, size_t size)
{
    struct muster__arg *arg = step->arg;
    arg->got = size;
    if (size > arg->capacity)
        return MUSTER_ERR_TOOBIG;
    if (!arg->takes_block || size <= MUSTER__REMOTE_SMALL) {
        if (size)
            memcpy(arg->room, bytes, size);
        return MUSTER_OK;
    }
    arg->room_block = muster__heap_alloc(size, muster__self_state.number);
    if (!arg->room_block)
        return muster__again(MUSTER_ERR_NOMEM);
    memcpy(muster__heap_at(arg->room_block), bytes, size);
    return MUSTER_OK;
}
