/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/check.h"

muster_err check_pointer(const char *operation, const char *what, const void *pointer)
{
    return pointer ? MUSTER_OK : muster__null_refused(operation, what);
}

muster_err check_count(const char *operation, const char *what, int64_t count)
{
    return count >= 0 ? MUSTER_OK
                      : muster__fail(MUSTER_ERR_INVAL, "%s: %s is %lld; 0 or more is allowed", operation, what,
                                     (long long)count);
}

muster_err check_retries(const char *operation, int retries)
{
    return retries >= 0 && retries <= 255
               ? MUSTER_OK
               : muster__fail(MUSTER_ERR_INVAL, "%s: retries is %d; 0 to 255 are allowed", operation, retries);
}

muster_err check_bytes(const char *operation, const char *what, int64_t n, size_t each_bytes)
{
    muster_err err = check_count(operation, what, n);
    if (!err && each_bytes > CHECK_BYTES_MAX / (n > 1 ? (size_t)n : 1))
        err = muster__fail(MUSTER_ERR_INVAL, "%s: %s: no memory has %lld times %zu byte%s", operation, what,
                           (long long)n, each_bytes, muster__s((int64_t)each_bytes));
    return err;
}

muster_err check_block(const char *operation, const char *what, const void *pointer, int64_t n, size_t each_bytes)
{
    muster_err err = check_bytes(operation, what, n, each_bytes);
    if (!err && !pointer && n && each_bytes)
        err = muster__fail(MUSTER_ERR_INVAL, "%s: %s is NULL, but has %lld times %zu byte%s", operation, what,
                           (long long)n, each_bytes, muster__s((int64_t)each_bytes));
    return err;
}

muster_err check_map_options(const char *operation, const muster_map_options *options)
{
    if (!options)
        return MUSTER_OK;
    muster_err err = check_count(operation, "chunk_items", options->chunk_items);
    if (!err)
        err = check_count(operation, "time_limit_ms", options->time_limit_ms);
    if (!err)
        err = check_count(operation, "map_limit_ms", options->map_limit_ms);
    if (!err)
        err = check_block(operation, "user", options->user, 1, options->user_bytes);
    return err ? err : MUSTER__RESERVED(operation, options);
}
