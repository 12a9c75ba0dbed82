/* SPDX-License-Identifier: BSD-3-Clause */
/* Kinds of src/share for steps_kinds.h: value, array, dict. */
#ifndef MUSTER_TESTS_STEPS_SHARE_H
#define MUSTER_TESTS_STEPS_SHARE_H

/* ---- value ---- */

static muster_err steps_value_make(void)
{
    return muster_value_i64_create(&steps_at->value, 0, steps_options());
}

static muster_err steps_value_end(void)
{
    return muster_value_i64_destroy(steps_at->value);
}

static muster_handle *steps_value_handle(void)
{
    return &steps_at->value.handle;
}

static int64_t steps_value_look(void)
{
    int64_t is = -1;
    return muster_value_i64_load(steps_at->value, &is) == MUSTER_OK ? is : -1;
}

static muster_err steps_value_add(void)
{
    return muster_value_i64_add(steps_at->value, 2, NULL);
}

static muster_err steps_value_exchange(void)
{
    int64_t was = 0;
    bool exchanged = false;
    muster_err err = muster_value_i64_compare_exchange(steps_at->value, &was, 1, &exchanged);
    return err || exchanged ? err : MUSTER_ERR_BROKEN;
}

static bool steps_value_canary(void)
{
    return steps_value_look() == 0 && steps_value_exchange() == MUSTER_OK && steps_value_add() == MUSTER_OK &&
           steps_value_look() == 3 && muster_value_i64_store(steps_at->value, 0) == MUSTER_OK;
}

/* ---- array: of a few numbers, all zero at first ---- */

enum { STEPS_ITEMS = 5 };

static const int64_t steps_ones[STEPS_ITEMS] = {1, 1, 1, 1, 1};

static muster_err steps_array_make(void)
{
    return muster_array_create(&steps_at->array, STEPS_ITEMS, sizeof *steps_ones, steps_options());
}

static muster_err steps_array_end(void)
{
    return muster_array_destroy(steps_at->array);
}

static muster_handle *steps_array_handle(void)
{
    return &steps_at->array.handle;
}

static muster_err steps_array_lock(void)
{
    return muster_array_lock(steps_at->array, MUSTER_FOREVER);
}

static muster_err steps_array_unlock(void)
{
    return muster_array_unlock(steps_at->array);
}

/* OK also when a holder has died. */
static muster_err steps_array_use(void)
{
    muster_err err = steps_array_lock();
    return err == MUSTER_OK || err == MUSTER_ERR_OWNER_DEAD ? steps_array_unlock() : err;
}

/* How many of the items are there; each is whole. */
static int64_t steps_array_look(void)
{
    int64_t items[STEPS_ITEMS], sum = 0;
    muster_err err = muster_array_lock(steps_at->array, MUSTER_NOWAIT);
    if (err == MUSTER_OK || err == MUSTER_ERR_OWNER_DEAD)
        steps_array_unlock();
    if (muster_array_read(steps_at->array, 0, STEPS_ITEMS, items) != MUSTER_OK)
        return -1;
    for (int i = 0; i < STEPS_ITEMS; i++)
        sum += items[i] == 0 || items[i] == 1 ? items[i] : INT32_MAX;
    return sum;
}

static muster_err steps_array_write(void)
{
    return muster_array_write(steps_at->array, 0, STEPS_ITEMS, steps_ones);
}

static muster_err steps_array_add(void)
{
    return muster_array_add_i64(steps_at->array, 0, STEPS_ITEMS, steps_ones);
}

static bool steps_array_canary(void)
{
    return steps_array_look() == 0 && steps_array_write() == MUSTER_OK && steps_array_look() == STEPS_ITEMS &&
           steps_array_use() == MUSTER_OK && steps_array_unlock() == MUSTER_ERR_STATE &&
           muster_array_write(steps_at->array, 0, STEPS_ITEMS, (const int64_t[STEPS_ITEMS]){0}) == MUSTER_OK;
}

/* ---- dict ---- */

static muster_err steps_dict_make(void)
{
    return muster_dict_create(&steps_at->dict, steps_options());
}

static muster_err steps_dict_end(void)
{
    return muster_dict_destroy(steps_at->dict);
}

static muster_handle *steps_dict_handle(void)
{
    return &steps_at->dict.handle;
}

/* How many keys; what is found of them is whole. */
static int64_t steps_dict_look(void)
{
    static _Thread_local char value[STEPS_LARGE_MAX];
    int64_t keys = -1, one = 0;
    size_t size;
    if (muster_dict_size(steps_at->dict, &keys) != MUSTER_OK)
        return -1;
    if (muster_dict_get(steps_at->dict, "large", value, sizeof value, &size, MUSTER_NOWAIT) == MUSTER_OK &&
        (size != steps_large || value[0] != 'l' || memcmp(value, value + 1, size - 1) != 0))
        return -2;
    if (muster_dict_get(steps_at->dict, "one", &one, sizeof one, &size, MUSTER_NOWAIT) == MUSTER_OK &&
        (size != sizeof one || one != 1))
        return -3;
    return keys;
}

static muster_err steps_dict_set(void)
{
    return muster_dict_set(steps_at->dict, "one", &(int64_t){1}, sizeof(int64_t));
}

static _Thread_local char steps_dict_value[STEPS_LARGE_MAX];

static muster_err steps_dict_fill(void)
{
    memset(steps_dict_value, 'l', sizeof steps_dict_value);
    return MUSTER_OK;
}

static muster_err steps_dict_set_large(void)
{
    return muster_dict_set(steps_at->dict, "large", steps_dict_value, steps_large);
}

static muster_err steps_dict_add(void)
{
    return muster_dict_add(steps_at->dict, "one", 1, NULL);
}

static muster_err steps_dict_get(void)
{
    int64_t value;
    size_t size;
    return muster_dict_get(steps_at->dict, "one", &value, sizeof value, &size, MUSTER_FOREVER);
}

static muster_err steps_dict_remove(void)
{
    return muster_dict_remove(steps_at->dict, "one");
}

static bool steps_dict_canary(void)
{
    return steps_dict_look() == 0 && steps_dict_add() == MUSTER_OK && steps_dict_fill() == MUSTER_OK &&
           steps_dict_set_large() == MUSTER_OK && steps_dict_get() == MUSTER_OK && steps_dict_look() == 2 &&
           steps_dict_remove() == MUSTER_OK && steps_dict_remove() != MUSTER_OK &&
           muster_dict_remove(steps_at->dict, "large") == MUSTER_OK && steps_dict_look() == 0;
}

/* ---- the kinds ---- */

static const struct steps_kind steps_value = {.name = "value",
                                              .make = steps_value_make,
                                              .end = steps_value_end,
                                              .handle = steps_value_handle,
                                              .look = steps_value_look,
                                              .canary = steps_value_canary,
                                              .uses = steps_value_add};
static const struct steps_kind steps_array = {.name = "array",
                                              .make = steps_array_make,
                                              .end = steps_array_end,
                                              .handle = steps_array_handle,
                                              .look = steps_array_look,
                                              .canary = steps_array_canary,
                                              .uses = steps_array_add};
static const struct steps_kind steps_dict = {.name = "dict",
                                             .make = steps_dict_make,
                                             .end = steps_dict_end,
                                             .handle = steps_dict_handle,
                                             .look = steps_dict_look,
                                             .canary = steps_dict_canary,
                                             .waits = {steps_dict_get, steps_dict_get}};

#endif
