/* SPDX-License-Identifier: BSD-3-Clause */
#include <sys/mman.h>
#include <unistd.h>

#include "lock/lock.h"
#include "share/share.h"

#include <muster/array.h>

/* A block of the heap, and a lock beside it. Slices go to other hosts CHUNK bytes at a time. */

struct array {
    muster__ref block;
    uint64_t bytes;
};

enum { READ, WRITE, ADD_I64, ADD_F64, OPS };
enum { CHUNK = 1 << 20 };

static struct array *of(const struct muster__object *object)
{
    return (struct array *)(void *)object->body;
}

/* ---- steps: in[0]: offset in bytes ---- */

static bool fits(const struct array *array, int64_t from, size_t size)
{
    return from >= 0 && size <= array->bytes && (uint64_t)from <= array->bytes - size;
}

static char *memory_at(const struct array *array, int64_t from)
{
    return (char *)muster__heap_at(array->block) + from;
}

static muster_err read_slice(struct muster__step *step)
{
    const struct array *array = of(step->object);
    int64_t from = step->arg->in[0], size = step->arg->in[1];
    if (size < 0 || !fits(array, from, (size_t)size))
        return MUSTER_ERR_INVAL;
    return muster__give(step, memory_at(array, from), (size_t)size);
}

static muster_err write_slice(struct muster__step *step)
{
    const struct array *array = of(step->object);
    if (!fits(array, step->arg->in[0], step->arg->size))
        return MUSTER_ERR_INVAL;
    memcpy(memory_at(array, step->arg->in[0]), step->arg->bytes, step->arg->size);
    return MUSTER_OK;
}

static void add(int op, void *memory, const void *terms, int64_t n)
{
    _Atomic int64_t *word = memory;
    for (int64_t i = 0; i < n; i++)
        if (op == ADD_I64)
            atomic_fetch_add(&word[i], ((const int64_t *)terms)[i]);
        else
            muster__add_f64(&word[i], ((const double *)terms)[i]);
}

static muster_err add_step(struct muster__step *step, int op)
{
    const struct array *array = of(step->object);
    if (!fits(array, step->arg->in[0], step->arg->size) || step->arg->in[0] % 8 || step->arg->size % 8)
        return MUSTER_ERR_INVAL;
    add(op, memory_at(array, step->arg->in[0]), step->arg->bytes, (int64_t)(step->arg->size / 8));
    return MUSTER_OK;
}

static muster_err add_i64(struct muster__step *step)
{
    return add_step(step, ADD_I64);
}

static muster_err add_f64(struct muster__step *step)
{
    return add_step(step, ADD_F64);
}

/* ---- its class ---- */

/* Whole pages are given back to the system: they are zero, and untouched, when they are next used. */
static void zero(char *memory, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t before = (page - (uintptr_t)memory % page) % page;
    size_t pages = bytes > before ? (bytes - before) / page * page : 0;
    if (!pages || madvise(memory + before, pages, MADV_REMOVE)) {
        memset(memory, 0, bytes);
        return;
    }
    memset(memory, 0, before);
    memset(memory + before + pages, 0, bytes - before - pages);
}

/* in[0]: bytes */
static muster_err make(struct muster__object *object, uint32_t generation, struct muster__arg *arg, uint32_t self)
{
    (void)generation;
    struct array *array = of(object);
    array->bytes = (uint64_t)arg->in[0];
    array->block = muster__heap_alloc(array->bytes, self);
    if (!array->block)
        return muster__fail(MUSTER_ERR_NOMEM,
                            "no room for an array of %llu B in the host segment; raise MUSTER_SEGMENT_MIB",
                            (unsigned long long)array->bytes);
    zero(memory_at(array, 0), array->bytes);
    return MUSTER_OK;
}

static void made(struct muster__object *object, uint32_t self)
{
    muster__heap_hand_over(of(object)->block, self, 0);
}

static void clean(struct muster__object *object, uint32_t self)
{
    muster__heap_free(of(object)->block, self);
}

static void describe(const struct muster__object *object, char *text, size_t size)
{
    const struct array *array = (const void *)object->body;
    snprintf(text, size, "%llu B", (unsigned long long)array->bytes);
}

static const struct muster__op ops[OPS] = {
    [READ] = {.name = "muster_array_read", .step = read_slice},
    [WRITE] = {.name = "muster_array_write", .step = write_slice},
    [ADD_I64] = {.name = "muster_array_add_i64", .step = add_i64},
    [ADD_F64] = {.name = "muster_array_add_f64", .step = add_f64},
};

MUSTER__CLASS(MUSTER__ARRAY, .name = "array", .ops = ops, .op_count = OPS, .make = make, .made = made, .clean = clean,
              .describe = describe)

/* ---- public ---- */

muster_err muster_array_create(muster_array *array, int64_t count, size_t item_bytes,
                               const muster_object_options *options)
{
    static const char operation[] = "muster_array_create";
    muster_err err = MUSTER__NULL_BAD(operation, array);
    if (!err && (count < 1 || item_bytes < 1))
        err = muster__fail(MUSTER_ERR_INVAL, "%s: count is %lld, item_bytes %zu; 1 or more are allowed", operation,
                           (long long)count, item_bytes);
    if (!err && item_bytes > PTRDIFF_MAX / 2 / (size_t)count)
        err = muster__fail(MUSTER_ERR_INVAL, "%s: %lld item%s of %zu B: no memory has as much", operation,
                           (long long)count, muster__s(count), item_bytes);
    if (err)
        return err;
    muster_array made = {.count = count, .item_bytes = item_bytes};
    struct muster__arg arg = {.in = {(int64_t)(item_bytes * (size_t)count)}}, none = {0};
    err = muster__create(MUSTER__ARRAY, operation, options, &arg, &made.handle);
    if (err)
        return err;
    err = muster__create(MUSTER__LOCK, operation, options, &none, &made.lock);
    if (err)
        muster__destroy(made.handle, MUSTER__ARRAY, operation);
    else
        *array = made;
    return err;
}

/* The lock first: who dies between leaves an array that can be destroyed. */
muster_err muster_array_destroy(muster_array array)
{
    muster__lock_end(array.lock);
    return muster__destroy(array.handle, MUSTER__ARRAY, "muster_array_destroy");
}

static muster_err out_of_bounds(const muster_array *array, int64_t first, int64_t n, const char *operation)
{
    if (first >= 0 && n >= 0 && first <= array->count && n <= array->count - first)
        return MUSTER_OK;
    return muster__fail(MUSTER_ERR_INVAL, "%s: %lld item%s from %lld on of an array of %lld", operation, (long long)n,
                        muster__s(n), (long long)first, (long long)array->count);
}

static muster_err elsewhere(muster_handle handle, const char *operation)
{
    if (!muster__is_remote(handle, MUSTER__ARRAY) || muster__host_lost(muster__handle_home(handle)))
        return muster__gone(handle, operation);
    return muster__fail(MUSTER_ERR_UNSUPPORTED, "%s: its memory is on host %s: read and write slices of it", operation,
                        muster__host_name_of(muster__handle_home(handle)));
}

muster_err muster_array_data(muster_array array, void **data)
{
    static const char operation[] = "muster_array_data";
    muster_err err = MUSTER__NULL_BAD(operation, data);
    struct muster__object *object = err ? NULL : muster__object_find(array.handle, MUSTER__ARRAY);
    if (!object)
        return err ? err : elsewhere(array.handle, operation);
    *data = memory_at(of(object), 0);
    return MUSTER_OK;
}

muster_err muster_array_touch(muster_array array, int64_t first, int64_t n)
{
    static const char operation[] = "muster_array_touch";
    muster_err err = out_of_bounds(&array, first, n, operation);
    struct muster__object *object = err ? NULL : muster__object_pin(array.handle, MUSTER__ARRAY);
    if (!object)
        return err ? err : elsewhere(array.handle, operation);
    char *from = memory_at(of(object), first * (int64_t)array.item_bytes);
    size_t bytes = (size_t)n * array.item_bytes, page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t at = 0; at < bytes; at += page - (uintptr_t)(from + at) % page)
        atomic_fetch_or((_Atomic char *)(from + at), 0);
    muster__object_unpin();
    return MUSTER_OK;
}

muster_err muster__array_where(const muster_array *array, int64_t first, int64_t n, const char *operation,
                               muster__ref *block, size_t *from)
{
    muster_err err = out_of_bounds(array, first, n, operation);
    *block = 0;
    if (err || muster__is_remote(array->handle, MUSTER__ARRAY))
        return err;
    struct muster__object *object = muster__object_pin(array->handle, MUSTER__ARRAY);
    if (!object)
        return muster__gone(array->handle, operation);
    *block = of(object)->block;
    *from = (size_t)first * array->item_bytes;
    bool is_inside = fits(of(object), (int64_t)*from, (size_t)n * array->item_bytes);
    muster__object_unpin();
    muster__count(array->handle);
    return is_inside ? MUSTER_OK : muster__failed(array->handle, operation, MUSTER_ERR_INVAL);
}

/* ---- slices ---- */

struct slice {
    muster_handle handle;
    int op;
    int64_t from; /* bytes */
    size_t size;
    char *out;
    const char *in;
};

static muster_err slice_here(const struct slice *slice, struct muster__object *object)
{
    const struct array *array = of(object);
    if (!fits(array, slice->from, slice->size))
        return MUSTER_ERR_INVAL;
    char *memory = memory_at(array, slice->from);
    if (!slice->size)
        return MUSTER_OK;
    if (slice->op == READ)
        memcpy(slice->out, memory, slice->size);
    else if (slice->op == WRITE)
        memcpy(memory, slice->in, slice->size);
    else
        add(slice->op, memory, slice->in, (int64_t)(slice->size / 8));
    return MUSTER_OK;
}

static muster_err slice_there(const struct slice *slice)
{
    size_t done = 0, n;
    do { /* at home it is found out whether there is an array, also of nothing */
        n = slice->size - done < CHUNK ? slice->size - done : CHUNK;
        struct muster__arg arg = {.in = {slice->from + (int64_t)done, (int64_t)n}};
        if (slice->op == READ) {
            arg.room = slice->out + done;
            arg.capacity = n;
        } else {
            arg.bytes = slice->in + done;
            arg.size = n;
        }
        muster_err err = muster__do(slice->handle, MUSTER__ARRAY, (uint32_t)slice->op, &arg, MUSTER_FOREVER);
        if (err)
            return err;
        done += n;
    } while (done < slice->size);
    return MUSTER_OK;
}

static muster_err do_slice(const muster_array *array, int op, int64_t first, int64_t n, void *out, const void *in)
{
    const char *operation = ops[op].name;
    muster_err err = out_of_bounds(array, first, n, operation);
    if (!err && n && !out && !in)
        err = muster__fail(MUSTER_ERR_INVAL, "%s: items is NULL", operation);
    if (!err && op >= ADD_I64 && array->item_bytes != 8)
        err = muster__fail(MUSTER_ERR_INVAL, "%s: items of %zu B: those of 8 can be added to", operation,
                           array->item_bytes);
    if (err)
        return err;
    struct slice slice = {array->handle, op, first * (int64_t)array->item_bytes, (size_t)n * array->item_bytes,
                          out,           in};
    if (muster__is_remote(array->handle, MUSTER__ARRAY))
        return slice_there(&slice);
    struct muster__object *object = muster__object_pin(array->handle, MUSTER__ARRAY);
    if (!object)
        return muster__gone(array->handle, operation);
    muster__count(array->handle);
    err = slice_here(&slice, object);
    muster__object_unpin();
    return err ? muster__failed(array->handle, operation, err) : MUSTER_OK;
}

muster_err muster_array_read(muster_array array, int64_t first, int64_t n, void *items)
{
    return do_slice(&array, READ, first, n, items, NULL);
}

muster_err muster_array_write(muster_array array, int64_t first, int64_t n, const void *items)
{
    return do_slice(&array, WRITE, first, n, NULL, items);
}

muster_err muster_array_add_i64(muster_array array, int64_t first, int64_t n, const int64_t *terms)
{
    return do_slice(&array, ADD_I64, first, n, NULL, terms);
}

muster_err muster_array_add_f64(muster_array array, int64_t first, int64_t n, const double *terms)
{
    return do_slice(&array, ADD_F64, first, n, NULL, terms);
}

muster_err muster_array_lock(muster_array array, int64_t timeout_ms)
{
    return muster__lock_get(array.lock, timeout_ms, "muster_array_lock");
}

muster_err muster_array_unlock(muster_array array)
{
    return muster__lock_put(array.lock, "muster_array_unlock");
}
