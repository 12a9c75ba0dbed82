/* SPDX-License-Identifier: BSD-3-Clause */
#include "queue/queue.h"
#include "share/share.h"

#include <muster/pipe.h>

/* Two queues. */

muster_err muster_pipe_create(muster_pipe *one, muster_pipe *other, int64_t maxsize,
                              const muster_object_options *options)
{
    static const char operation[] = "muster_pipe_create";
    muster_queue_options as = {.maxsize = maxsize};
    muster_queue there, back;
    muster_err err = MUSTER__NULL_BAD(operation, one);
    if (!err)
        err = MUSTER__NULL_BAD(operation, other);
    if (!err)
        err = MUSTER__RESERVED(operation, options);
    if (options) {
        as.name = options->name;
        as.on = options->on;
    }
    if (!err)
        err = muster_queue_create(&there, &as);
    if (err)
        return err;
    err = muster_queue_create(&back, &as);
    if (err) {
        muster_queue_destroy(there);
        return err;
    }
    *one = (muster_pipe){.in = back, .out = there};
    *other = (muster_pipe){.in = there, .out = back};
    return MUSTER_OK;
}

muster_err muster_pipe_close(muster_pipe end)
{
    muster_err out = muster_queue_close(end.out), in = muster_queue_close(end.in);
    return out ? out : in;
}

muster_err muster_pipe_destroy(muster_pipe end)
{
    muster_err out = muster_queue_destroy(end.out), in = muster_queue_destroy(end.in);
    return out ? out : in;
}

muster_err muster_pipe_send(muster_pipe end, const void *item, size_t size_bytes, int64_t timeout_ms)
{
    return muster_queue_put(end.out, item, size_bytes, timeout_ms);
}

muster_err muster_pipe_receive(muster_pipe end, void *item, size_t capacity_bytes, size_t *size_bytes,
                               int64_t timeout_ms)
{
    return muster_queue_get(end.in, item, capacity_bytes, size_bytes, timeout_ms);
}

muster_err muster_pipe_poll(muster_pipe end, bool *ready, int64_t timeout_ms)
{
    static const char operation[] = "muster_pipe_poll";
    muster_err err = MUSTER__NULL_BAD(operation, ready);
    if (!err)
        err = muster__timeout_bad(operation, timeout_ms);
    if (err)
        return err;
    uint32_t op = timeout_ms == MUSTER_NOWAIT ? MUSTER__QUEUE_TRY_GET : MUSTER__QUEUE_GET;
    err = muster__watch(end.in.handle, MUSTER__QUEUE, op, &(struct muster__arg){0}, timeout_ms);
    if (err && err != MUSTER_ERR_EMPTY && err != MUSTER_ERR_CLOSED && err != MUSTER_ERR_TOOBIG)
        return err;
    *ready = err != MUSTER_ERR_EMPTY;
    return MUSTER_OK;
}
