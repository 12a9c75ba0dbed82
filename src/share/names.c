/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>

#include "share/share.h"

#include <muster/names.h>

/* The job's names are a dict, the first one that is made on host 0 (runtime/start.c): in the first slot of its kind,
 * which is the first of all. So all know its handle. */

static muster_dict names(void)
{
    uint32_t job = muster__segment ? muster__segment->job : 0;
    return (muster_dict){{.kind_home = (uint32_t)MUSTER__DICT << 24, .slot = 0, .generation = 1, .job = job}};
}

muster_err muster_publish(const char *name, const void *what, size_t size_bytes)
{
    muster_err err = muster__runtime_require("muster_publish");
    if (err)
        return err;
    err = muster_dict_set_new(names(), name, what, size_bytes);
    return err == MUSTER_ERR_STATE ? muster__fail(err, "muster_publish: '%s' is taken", name) : err;
}

muster_err muster_unpublish(const char *name)
{
    muster_err err = muster_dict_remove(names(), name);
    return err == MUSTER_ERR_EMPTY ? muster__fail(err, "muster_unpublish: there is no '%s'", name) : err;
}

static muster_err find(const char *name, void *what, size_t size_bytes, int64_t timeout_ms, void *found)
{
    size_t size;
    muster_err err = muster_dict_get(names(), name, found, size_bytes, &size, timeout_ms);
    if (err == MUSTER_ERR_TOOBIG || (!err && size != size_bytes))
        return muster__fail(MUSTER_ERR_INVAL, "muster_find: '%s' has %zu B, not %zu: it is something else", name, size,
                            size_bytes);
    if (err == MUSTER_ERR_EMPTY || err == MUSTER_ERR_TIMEOUT)
        return muster__fail(err, "muster_find: nobody has published '%s'", name);
    if (!err && size)
        memcpy(what, found, size);
    return err;
}

muster_err muster_find(const char *name, void *what, size_t size_bytes, int64_t timeout_ms)
{
    static const char operation[] = "muster_find";
    muster_err err = muster__runtime_require(operation);
    if (!err && size_bytes)
        err = MUSTER__NULL_BAD(operation, what);
    if (!err)
        err = MUSTER__SIZE_BAD(operation, size_bytes);
    void *found = err ? NULL : malloc(size_bytes + 1);
    if (!found)
        return err ? err : muster__fail(MUSTER_ERR_NOMEM, "%s: no memory for %zu B", operation, size_bytes);
    err = find(name, what, size_bytes, timeout_ms, found);
    free(found);
    return err;
}
