/* SPDX-License-Identifier: BSD-3-Clause */
#include "share/share.h"

#include <muster/value.h>

/* One word, at home; a double is its bits. At home operations are done without a step: nothing waits for a value. */

/* with op a constant what is left is one instruction */
#define ALWAYS_INLINE inline __attribute__((always_inline))

enum { LOAD, STORE, ADD, ADD_F64, EXCHANGE, COMPARE_EXCHANGE, OPS };

static _Atomic int64_t *word_of(const struct muster__object *object)
{
    return (_Atomic int64_t *)(void *)object->body;
}

/* What it was. in[0]: the operand; in[1]: what is expected */
static ALWAYS_INLINE int64_t apply(_Atomic int64_t *word, int op, const int64_t in[2], bool *done)
{
    int64_t before = in[1];
    *done = true;
    switch (op) {
    case STORE:
    case EXCHANGE:
        return atomic_exchange(word, in[0]);
    case ADD:
        return atomic_fetch_add(word, in[0]);
    case ADD_F64:
        return muster__add_f64(word, muster__double_of(in[0]));
    case COMPARE_EXCHANGE:
        *done = atomic_compare_exchange_strong(word, &before, in[0]);
        return before;
    default:
        return atomic_load(word);
    }
}

static muster_err step(struct muster__step *step, int op)
{
    bool done;
    step->arg->out[0] = apply(word_of(step->object), op, step->arg->in, &done);
    step->arg->out[1] = done;
    return MUSTER_OK;
}

#define STEP(name, op)                                                                                                 \
    static muster_err name(struct muster__step *of)                                                                    \
    {                                                                                                                  \
        return step(of, op);                                                                                           \
    }
STEP(load, LOAD)
STEP(store, STORE)
STEP(add, ADD)
STEP(add_f64, ADD_F64)
STEP(exchange, EXCHANGE)
STEP(compare_exchange, COMPARE_EXCHANGE)

static muster_err make(struct muster__object *object, uint32_t generation, struct muster__arg *arg, uint32_t self)
{
    (void)generation, (void)self;
    atomic_store(word_of(object), arg->in[0]);
    return MUSTER_OK;
}

static const struct muster__op ops[OPS] = {
    [LOAD] = {.name = "muster_value_load", .step = load},
    [STORE] = {.name = "muster_value_store", .step = store},
    [ADD] = {.name = "muster_value_add", .step = add},
    [ADD_F64] = {.name = "muster_value_add", .step = add_f64},
    [EXCHANGE] = {.name = "muster_value_exchange", .step = exchange},
    [COMPARE_EXCHANGE] = {.name = "muster_value_compare_exchange", .step = compare_exchange},
};

MUSTER__CLASS(MUSTER__VALUE, .name = "value", .ops = ops, .op_count = OPS, .make = make)

/* ---- public ---- */

/* Not at home here, or counted. */
static muster_err __attribute__((noinline))
by_step(struct muster__words words, int op, const int64_t in[2], int64_t *before, bool *done)
{
    struct muster__arg arg = {.in = {in[0], in[1]}};
    muster_err err = muster__do(muster__handle_of(words), MUSTER__VALUE, (uint32_t)op, &arg, MUSTER_FOREVER);
    *before = arg.out[0];
    *done = arg.out[1];
    return err;
}

/* *before is set by MUSTER_OK alone. */
static ALWAYS_INLINE muster_err operate(struct muster__words words, int op, int64_t operand, int64_t expected,
                                        int64_t *before, bool *done)
{
    const int64_t in[2] = {operand, expected};
    _Atomic uint64_t *pin;
    if (muster__counts())
        return by_step(words, op, in, before, done);
    struct muster__object *object = muster__object_hold(words, MUSTER__VALUE, &pin);
    if (MUSTER__UNLIKELY(!object))
        return by_step(words, op, in, before, done);
    *before = apply(word_of(object), op, in, done);
    atomic_store_explicit(pin, 0, memory_order_release);
    return MUSTER_OK;
}

muster_err muster_value_i64_create(muster_value_i64 *value, int64_t initial, const muster_object_options *options)
{
    return muster__create(MUSTER__VALUE, "muster_value_i64_create", options, &(struct muster__arg){.in = {initial}},
                          value ? &value->handle : NULL);
}

muster_err muster_value_f64_create(muster_value_f64 *value, double initial, const muster_object_options *options)
{
    struct muster__arg arg = {.in = {muster__bits_of(initial)}};
    return muster__create(MUSTER__VALUE, "muster_value_f64_create", options, &arg, value ? &value->handle : NULL);
}

muster_err muster_value_i64_destroy(muster_value_i64 value)
{
    return muster__destroy(value.handle, MUSTER__VALUE, "muster_value_i64_destroy");
}

muster_err muster_value_f64_destroy(muster_value_f64 value)
{
    return muster__destroy(value.handle, MUSTER__VALUE, "muster_value_f64_destroy");
}

static ALWAYS_INLINE muster_err operate_i64(struct muster__words words, int op, int64_t operand, int64_t *before)
{
    int64_t was;
    bool done;
    muster_err err = operate(words, op, operand, 0, &was, &done);
    if (MUSTER__LIKELY(err == MUSTER_OK) && before)
        *before = was;
    return err;
}

static ALWAYS_INLINE muster_err operate_f64(struct muster__words words, int op, double operand, double *before)
{
    int64_t was;
    muster_err err = operate_i64(words, op, muster__bits_of(operand), &was);
    if (MUSTER__LIKELY(err == MUSTER_OK) && before)
        *before = muster__double_of(was);
    return err;
}

muster_err muster_value_i64_load(muster_value_i64 value, int64_t *is)
{
    return is ? operate_i64(muster__words_of(value.handle), LOAD, 0, is)
              : MUSTER__NULL_BAD("muster_value_i64_load", is);
}

muster_err muster_value_f64_load(muster_value_f64 value, double *is)
{
    return is ? operate_f64(muster__words_of(value.handle), LOAD, 0, is)
              : MUSTER__NULL_BAD("muster_value_f64_load", is);
}

muster_err muster_value_i64_store(muster_value_i64 value, int64_t becomes)
{
    return operate_i64(muster__words_of(value.handle), STORE, becomes, NULL);
}

muster_err muster_value_f64_store(muster_value_f64 value, double becomes)
{
    return operate_f64(muster__words_of(value.handle), STORE, becomes, NULL);
}

muster_err muster_value_i64_add(muster_value_i64 value, int64_t n, int64_t *before)
{
    return operate_i64(muster__words_of(value.handle), ADD, n, before);
}

muster_err muster_value_f64_add(muster_value_f64 value, double x, double *before)
{
    return operate_f64(muster__words_of(value.handle), ADD_F64, x, before);
}

muster_err muster_value_i64_exchange(muster_value_i64 value, int64_t becomes, int64_t *before)
{
    return operate_i64(muster__words_of(value.handle), EXCHANGE, becomes, before);
}

muster_err muster_value_f64_exchange(muster_value_f64 value, double becomes, double *before)
{
    return operate_f64(muster__words_of(value.handle), EXCHANGE, becomes, before);
}

muster_err muster_value_i64_compare_exchange(muster_value_i64 value, int64_t *expected, int64_t becomes,
                                             bool *exchanged)
{
    static const char operation[] = "muster_value_i64_compare_exchange";
    int64_t was;
    bool done;
    muster_err err = MUSTER__NULL_BAD(operation, expected);
    if (!err)
        err = MUSTER__NULL_BAD(operation, exchanged);
    if (!err)
        err = operate(muster__words_of(value.handle), COMPARE_EXCHANGE, becomes, *expected, &was, &done);
    if (err)
        return err;
    *exchanged = done;
    *expected = was;
    return MUSTER_OK;
}

muster_err muster_value_f64_compare_exchange(muster_value_f64 value, double *expected, double becomes, bool *exchanged)
{
    static const char operation[] = "muster_value_f64_compare_exchange";
    int64_t bits = expected ? muster__bits_of(*expected) : 0;
    muster_err err = MUSTER__NULL_BAD(operation, expected);
    if (!err)
        err = muster_value_i64_compare_exchange((muster_value_i64){value.handle}, &bits, muster__bits_of(becomes),
                                                exchanged);
    if (!err)
        *expected = muster__double_of(bits);
    return err;
}
