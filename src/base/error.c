/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>

static MUSTER__THREAD_LOCAL struct {
    char line[512];
    muster__describe_fn describe; /* when set, line is still to be written */
    const char *what;
    uint64_t arg;
    muster_err err;
} detail;

const char *muster_err_name(muster_err err)
{
    switch (err) {
    case MUSTER_OK:
        return "OK";
#define NAME(name, value, text)                                                                                        \
    case MUSTER_ERR_##name:                                                                                            \
        return #name;
        MUSTER_ERRORS(NAME)
#undef NAME
    }
    return "UNKNOWN";
}

const char *muster_err_text(muster_err err)
{
    switch (err) {
    case MUSTER_OK:
        return "success";
#define TEXT(name, value, text)                                                                                        \
    case MUSTER_ERR_##name:                                                                                            \
        return text;
        MUSTER_ERRORS(TEXT)
#undef TEXT
    }
    return "unknown error code";
}

/* The runtime starts once in a process: what is gone stays gone. */
static _Atomic bool settled;

const char *muster_err_detail(void)
{
    if (detail.describe && atomic_load(&settled))
        snprintf(detail.line, sizeof detail.line, "%s: %s", detail.what, muster_err_text(detail.err));
    else if (detail.describe)
        detail.describe(detail.err, detail.what, detail.arg, detail.line, sizeof detail.line);
    detail.describe = NULL;
    return detail.line;
}

void muster__details_settle(void)
{
    muster_err_detail();
    atomic_store(&settled, true);
}

static void detail_write(const char *format, va_list args)
{
    detail.describe = NULL;
    vsnprintf(detail.line, sizeof detail.line, format, args);
}

muster_err muster__fail(muster_err err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    detail_write(format, args);
    va_end(args);
    return err;
}

muster_err muster__fail_logged(muster_err err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    detail_write(format, args);
    va_end(args);
    muster__log(MUSTER__ERROR, "%s", detail.line);
    return err;
}

/* ---- arguments ---- */

muster_err muster__null_refused(const char *operation, const char *argument)
{
    return muster__fail(MUSTER_ERR_INVAL, "%s: %s is NULL", operation, argument);
}

muster_err muster__timeout_refused(const char *operation, int64_t timeout_ms)
{
    return muster__fail(MUSTER_ERR_INVAL,
                        "%s: timeout_ms is %lld: 0 (MUSTER_NOWAIT), more, or MUSTER_FOREVER are allowed", operation,
                        (long long)timeout_ms);
}

muster_err muster__size_refused(const char *operation, const char *argument, size_t size)
{
    return muster__fail(MUSTER_ERR_INVAL, "%s: %s is %zu, more than any memory holds", operation, argument, size);
}

muster_err muster__reserved(const char *operation, const uint64_t *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (MUSTER__UNLIKELY(words[i]))
            return muster__fail(MUSTER_ERR_INVAL,
                                "%s: options->reserved[%zu] is not zero: made for a newer muster, or not made by an "
                                "initializer",
                                operation, i);
    return MUSTER_OK;
}

muster_err muster__routine(muster_err err, muster__describe_fn describe, const char *what, uint64_t arg)
{
    detail.describe = describe;
    detail.what = what;
    detail.arg = arg;
    detail.err = err;
    return err;
}
