/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Value, array, dict and names, conformance 50 and 67, between rank 0's main program and processes on all ranks, at
 * home here and on the last host.
 */
#include "support/cast.h"

struct parts {
    muster_queue out, in; /* from the processes, to them */
    muster_value_i64 whole;
    muster_value_f64 real;
    muster_array array;
    muster_dict dict;
    int64_t number;
};

static struct parts parts_make(void)
{
    return (struct parts){.out = queue_make(), .in = queue_make()};
}

static void parts_end(struct parts parts)
{
    assert_int_equal(muster_queue_destroy(parts.out), MUSTER_OK);
    assert_int_equal(muster_queue_destroy(parts.in), MUSTER_OK);
}

/* ---- value: 50 ---- */

static void whole_alone(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    {
        muster_value_i64 value;
        muster_object_options options = at_rank(home);
        int64_t is = 77, expected = 77;
        bool exchanged = true;
        assert_int_equal(muster_value_i64_create(&value, INT64_MIN, &options), MUSTER_OK);
        assert_int_equal(muster_value_i64_load(value, &is), MUSTER_OK);
        assert_int_equal(is, INT64_MIN);
        assert_int_equal(muster_value_i64_add(value, -1, &is), MUSTER_OK); /* beyond 64 bits */
        assert_int_equal(is, INT64_MIN);
        assert_int_equal(muster_value_i64_exchange(value, 5, &is), MUSTER_OK);
        assert_int_equal(is, INT64_MAX);
        assert_int_equal(muster_value_i64_compare_exchange(value, &expected, 6, &exchanged), MUSTER_OK);
        assert_true(!exchanged && expected == 5);
        assert_int_equal(muster_value_i64_compare_exchange(value, &expected, 6, &exchanged), MUSTER_OK);
        assert_true(exchanged && expected == 5);
        assert_int_equal(muster_value_i64_add(value, 1, NULL), MUSTER_OK);
        assert_int_equal(muster_value_i64_load(value, &is), MUSTER_OK);
        assert_int_equal(is, 7);
        assert_int_equal(muster_value_i64_store(value, -9), MUSTER_OK);
        assert_int_equal(muster_value_i64_load(value, &is), MUSTER_OK);
        assert_int_equal(is, -9);
        assert_int_equal(muster_value_i64_destroy(value), MUSTER_OK);
        assert_int_equal(muster_value_i64_load(value, &is), MUSTER_ERR_STALE);
        assert_int_equal(is, -9); /* untouched */
    }
}

/* Bit by bit: 0 is not -0, and NaN is NaN. */
static void real_alone(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    {
        muster_value_f64 value;
        muster_object_options options = at_rank(home);
        double is = 77, expected = 0.0, nan = strtod("nan", NULL);
        bool exchanged = true;
        assert_int_equal(muster_value_f64_create(&value, -0.0, &options), MUSTER_OK);
        assert_int_equal(muster_value_f64_compare_exchange(value, &expected, 1.0, &exchanged), MUSTER_OK);
        assert_false(exchanged);
        assert_memory_equal(&expected, &(double){-0.0}, sizeof expected);
        assert_int_equal(muster_value_f64_compare_exchange(value, &expected, nan, &exchanged), MUSTER_OK);
        assert_true(exchanged);
        assert_int_equal(muster_value_f64_compare_exchange(value, &nan, 0.1, &exchanged), MUSTER_OK);
        assert_true(exchanged);
        assert_int_equal(muster_value_f64_add(value, 0.2, &is), MUSTER_OK);
        assert_memory_equal(&is, &(double){0.1}, sizeof is);
        assert_int_equal(muster_value_f64_exchange(value, -1e300, &is), MUSTER_OK);
        assert_memory_equal(&is, &(double){0.1 + 0.2}, sizeof is);
        assert_int_equal(muster_value_f64_store(value, 0.5), MUSTER_OK);
        assert_int_equal(muster_value_f64_load(value, &is), MUSTER_OK);
        assert_memory_equal(&is, &(double){0.5}, sizeof is);
        assert_int_equal(muster_value_f64_destroy(value), MUSTER_OK);
    }
}

enum { ADDS_HERE = 100000, ADDS_THERE = 1000, ITEMS = 100 };

/* Of each operation that adds; by compare-exchange a tenth, since these are to collide. */
static int add_on(const struct parts *parts, int adds)
{
    int64_t one = 1, three[3] = {1, 2, 3};
    double quarter = 0.25;
    for (int i = 0; i < adds; i++) {
        MUST(muster_value_i64_add(parts->whole, 3, NULL) == MUSTER_OK);
        MUST(muster_value_f64_add(parts->real, quarter, NULL) == MUSTER_OK);
        MUST(muster_array_add_i64(parts->array, i % 90, 3, three) == MUSTER_OK);
        MUST(muster_array_add_f64(parts->array, 99, 1, &quarter) == MUSTER_OK);
        if (i % 10)
            continue;
        int64_t expected = 0;
        bool exchanged = false;
        while (!exchanged)
            MUST(muster_value_i64_compare_exchange(parts->whole, &expected, expected + 1, &exchanged) == MUSTER_OK);
        MUST(muster_array_add_i64(parts->array, 98, 1, &one) == MUSTER_OK);
    }
    return 0;
}

static int add_here(const void *arg, size_t size)
{
    (void)size;
    return add_on(arg, ADDS_HERE);
}

static int add_there(const void *arg, size_t size)
{
    (void)size;
    return add_on(arg, ADDS_THERE);
}

/* 4 x 100,000 where it is at home, and some from elsewhere meanwhile: nothing is lost, and sums of quarters are exact.
 */
static void adds_are_exact(void **state)
{
    (void)state;
    struct parts parts = parts_make();
    muster_object_options options = at_rank(0);
    muster_process here[4], there;
    int64_t whole, items[ITEMS], sum = 0, adds = 4 * ADDS_HERE + ADDS_THERE;
    double real, last;
    assert_int_equal(muster_value_i64_create(&parts.whole, 0, &options), MUSTER_OK);
    assert_int_equal(muster_value_f64_create(&parts.real, 0, &options), MUSTER_OK);
    assert_int_equal(muster_array_create(&parts.array, ITEMS, 8, &options), MUSTER_OK);
    for (int i = 0; i < 4; i++)
        here[i] = start_on(0, add_here, &parts, sizeof parts);
    there = start_on(last_rank(), add_there, &parts, sizeof parts);
    for (int i = 0; i < 4; i++)
        join(here[i]);
    join(there);
    assert_int_equal(muster_value_i64_load(parts.whole, &whole), MUSTER_OK);
    assert_int_equal(whole, 3 * adds + adds / 10);
    assert_int_equal(muster_value_f64_load(parts.real, &real), MUSTER_OK);
    assert_true(real == 0.25 * (double)adds);
    assert_int_equal(muster_array_read(parts.array, 0, ITEMS, items), MUSTER_OK);
    for (int i = 0; i < 98; i++)
        sum += items[i];
    assert_int_equal(sum, 6 * adds);
    assert_int_equal(items[98], adds / 10);
    memcpy(&last, &items[99], sizeof last);
    assert_true(last == 0.25 * (double)adds);
    assert_int_equal(muster_value_i64_destroy(parts.whole), MUSTER_OK);
    assert_int_equal(muster_value_f64_destroy(parts.real), MUSTER_OK);
    assert_int_equal(muster_array_destroy(parts.array), MUSTER_OK);
    parts_end(parts);
}

/* ---- array: 50 ---- */

enum { MANY = 200000 }; /* several messages between hosts */

static int look_and_change(const void *arg, size_t size)
{
    (void)size;
    const struct parts *parts = arg;
    int32_t *items = malloc(MANY * sizeof *items), few[3];
    MUST(items && muster_array_read(parts->array, 0, MANY, items) == MUSTER_OK);
    for (int32_t i = 0; i < MANY; i++) {
        MUST(items[i] == (i < 10 || i >= MANY - 10 ? 0 : i));
        items[i] = -i;
    }
    MUST(muster_array_read(parts->array, MANY - 11, 3, few) == MUSTER_OK && few[0] == MANY - 11 && few[1] == 0);
    MUST(muster_array_write(parts->array, 5, MANY - 10, items + 5) == MUSTER_OK);
    free(items);
    return 0;
}

static void slices(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    {
        struct parts parts = parts_make();
        muster_object_options options = at_rank(home);
        int32_t *items = malloc(MANY * sizeof *items);
        void *data = NULL;
        assert_int_equal(muster_array_create(&parts.array, MANY, sizeof *items, &options), MUSTER_OK);
        assert_true(parts.array.count == MANY && parts.array.item_bytes == sizeof *items);
        for (int32_t i = 0; i < MANY; i++)
            items[i] = i;
        assert_int_equal(muster_array_write(parts.array, 10, MANY - 20, items + 10), MUSTER_OK);
        join(start_on(last_rank() - home, look_and_change, &parts, sizeof parts));
        assert_int_equal(muster_array_read(parts.array, 0, MANY, items), MUSTER_OK);
        for (int32_t i = 0; i < MANY; i++)
            assert_int_equal(items[i], i < 5 || i >= MANY - 5 ? 0 : -i);
        muster_err err = muster_array_data(parts.array, &data);
        assert_int_equal(err, home && muster_hosts() > 1 ? MUSTER_ERR_UNSUPPORTED : MUSTER_OK);
        assert_int_equal(muster_array_touch(parts.array, 0, MANY), err);
        if (!err)
            assert_true((uintptr_t)data % 64 == 0 && ((int32_t *)data)[7] == -7);
        free(items);
        assert_int_equal(muster_array_destroy(parts.array), MUSTER_OK);
        parts_end(parts);
    }
}

static void out_of_bounds(void **state)
{
    (void)state;
    static const int64_t bad[][2] = {{-1, 1},        {0, -1},        {0, 11},        {10, 1},
                                     {11, 0},        {INT64_MAX, 1}, {1, INT64_MAX}, {INT64_MAX, INT64_MAX},
                                     {INT64_MIN, 0}, {5, 6}};
    FOR_EACH_HOME(home)
    {
        muster_array array;
        muster_object_options options = at_rank(home);
        int64_t items[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, was[16];
        assert_int_equal(muster_array_create(&array, 10, 8, &options), MUSTER_OK);
        assert_int_equal(muster_array_write(array, 0, 10, items), MUSTER_OK);
        memset(items, 0x77, sizeof items);
        memcpy(was, items, sizeof was);
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            assert_int_equal(muster_array_read(array, bad[i][0], bad[i][1], items), MUSTER_ERR_INVAL);
            assert_int_equal(muster_array_write(array, bad[i][0], bad[i][1], items), MUSTER_ERR_INVAL);
            assert_int_equal(muster_array_add_i64(array, bad[i][0], bad[i][1], items), MUSTER_ERR_INVAL);
            assert_int_equal(muster_array_touch(array, bad[i][0], bad[i][1]), MUSTER_ERR_INVAL);
        }
        assert_memory_equal(items, was, sizeof was);
        assert_int_equal(muster_array_read(array, 10, 0, NULL), MUSTER_OK);
        assert_int_equal(muster_array_read(array, 0, 10, items), MUSTER_OK);
        for (int i = 0; i < 10; i++)
            assert_int_equal(items[i], i + 1); /* nothing was changed */
        assert_int_equal(muster_array_destroy(array), MUSTER_OK);
        assert_int_equal(muster_array_read(array, 10, 0, NULL), MUSTER_ERR_STALE);
        assert_int_equal(muster_array_read(array, 0, 1, items), MUSTER_ERR_STALE);
        assert_int_equal(muster_array_lock(array, MUSTER_NOWAIT), MUSTER_ERR_STALE);
    }
    muster_array untouched = {.count = 77}, array = untouched;
    assert_int_equal(muster_array_create(&array, 0, 8, NULL), MUSTER_ERR_INVAL);
    assert_int_equal(muster_array_create(&array, -1, 8, NULL), MUSTER_ERR_INVAL);
    assert_int_equal(muster_array_create(&array, 1, 0, NULL), MUSTER_ERR_INVAL);
    assert_int_equal(muster_array_create(&array, INT64_MAX, SIZE_MAX, NULL), MUSTER_ERR_INVAL);
    assert_int_equal(muster_array_create(&array, 1, SIZE_MAX, NULL), MUSTER_ERR_INVAL);
    assert_memory_equal(&array, &untouched, sizeof array);
}

/* A struct that a lock guards: its parts always go together. */
struct account {
    int64_t deposits;
    double balance;
    char last[24];
};

enum { DEPOSITS = 300 };

static int deposit(const void *arg, size_t size)
{
    (void)size;
    const struct parts *parts = arg;
    for (int i = 0; i < DEPOSITS; i++) {
        struct account account;
        char last[24];
        MUST(muster_array_lock(parts->array, MUSTER_FOREVER) == MUSTER_OK);
        MUST(muster_array_read(parts->array, 1, 1, &account) == MUSTER_OK);
        snprintf(last, sizeof last, "%lld", (long long)account.deposits);
        MUST(account.balance == 1.5 * (double)account.deposits);
        MUST(!account.deposits || strcmp(account.last, last) == 0);
        account.deposits++;
        account.balance += 1.5;
        snprintf(account.last, sizeof account.last, "%lld", (long long)account.deposits);
        MUST(muster_array_write(parts->array, 1, 1, &account) == MUSTER_OK);
        MUST(muster_array_unlock(parts->array) == MUSTER_OK);
    }
    return 0;
}

static int lock_and_stay(const void *arg, size_t size)
{
    (void)size;
    const struct parts *parts = arg;
    MUST(muster_array_lock(parts->array, MUSTER_FOREVER) == MUSTER_OK);
    say(parts->out, 1);
    hear(parts->in);
    return 0;
}

static void a_guarded_struct(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    {
        struct parts parts = parts_make();
        muster_process processes[8];
        muster_object_options options = at_rank(home);
        struct account account;
        assert_int_equal(muster_array_create(&parts.array, 3, sizeof(struct account), &options), MUSTER_OK);
        start_crowd(processes, deposit, &parts, sizeof parts);
        join_crowd(processes);
        assert_int_equal(muster_array_read(parts.array, 1, 1, &account), MUSTER_OK);
        assert_int_equal(account.deposits, crowd() * DEPOSITS);
        assert_true(account.balance == 1.5 * crowd() * DEPOSITS);
        assert_int_equal(muster_array_unlock(parts.array), MUSTER_ERR_STATE);
        muster_process holder = start_on(last_rank() - home, lock_and_stay, &parts, sizeof parts);
        assert_int_equal(hear(parts.out), 1);
        assert_int_equal(muster_array_lock(parts.array, MUSTER_NOWAIT), MUSTER_ERR_BUSY);
        ASSERT_TAKES(20, muster_array_lock(parts.array, 20), MUSTER_ERR_TIMEOUT);
        end_by_kill(holder);
        assert_int_equal(muster_array_lock(parts.array, MUSTER_FOREVER), MUSTER_ERR_OWNER_DEAD);
        assert_int_equal(muster_array_unlock(parts.array), MUSTER_OK);
        assert_int_equal(muster_array_destroy(parts.array), MUSTER_OK);
        parts_end(parts);
    }
}

/* ---- dict ---- */

static void dict_alone(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    {
        muster_dict dict;
        muster_object_options options = at_rank(home);
        char room[16] = "before", longest[MUSTER_KEY_MAX + 2];
        size_t size = 77;
        int64_t number = 77;
        memset(longest, 'k', sizeof longest);
        longest[MUSTER_KEY_MAX + 1] = 0;
        assert_int_equal(muster_dict_create(&dict, &options), MUSTER_OK);
        assert_int_equal(muster_dict_get(dict, "a", room, sizeof room, &size, MUSTER_NOWAIT), MUSTER_ERR_EMPTY);
        ASSERT_TAKES(20, muster_dict_get(dict, "a", room, sizeof room, &size, 20), MUSTER_ERR_TIMEOUT);
        assert_int_equal(size, 77);
        assert_int_equal(muster_dict_remove(dict, "a"), MUSTER_ERR_EMPTY);
        assert_int_equal(muster_dict_set(dict, "a", "value of a", 11), MUSTER_OK);
        assert_int_equal(muster_dict_set_new(dict, "a", "other", 6), MUSTER_ERR_STATE);
        assert_int_equal(muster_dict_get(dict, "a", room, 10, &size, MUSTER_FOREVER), MUSTER_ERR_TOOBIG);
        assert_int_equal(size, 11);
        assert_string_equal(room, "before");
        assert_int_equal(muster_dict_get(dict, "a", room, 11, &size, MUSTER_FOREVER), MUSTER_OK);
        assert_string_equal(room, "value of a");
        assert_int_equal(muster_dict_add(dict, "a", 1, &number), MUSTER_ERR_STATE);
        assert_int_equal(muster_dict_add(dict, "n", INT64_MAX, &number), MUSTER_OK);
        assert_int_equal(number, INT64_MAX);
        assert_int_equal(muster_dict_add(dict, "n", 1, &number), MUSTER_OK);
        assert_int_equal(number, INT64_MIN);
        assert_int_equal(muster_dict_set(dict, "", NULL, 0), MUSTER_ERR_INVAL);
        assert_int_equal(muster_dict_set(dict, longest, NULL, 0), MUSTER_ERR_INVAL);
        longest[MUSTER_KEY_MAX] = 0;
        assert_int_equal(muster_dict_set(dict, longest, NULL, 0), MUSTER_OK);
        assert_int_equal(muster_dict_get(dict, longest, NULL, 0, &size, MUSTER_NOWAIT), MUSTER_OK);
        assert_int_equal(size, 0);
        assert_int_equal(muster_dict_size(dict, &number), MUSTER_OK);
        assert_int_equal(number, 3);
        assert_int_equal(muster_dict_remove(dict, "a"), MUSTER_OK);
        assert_int_equal(muster_dict_remove(dict, "a"), MUSTER_ERR_EMPTY);
        assert_int_equal(muster_dict_destroy(dict), MUSTER_OK);
        assert_int_equal(muster_dict_set(dict, "a", NULL, 0), MUSTER_ERR_STALE);
    }
}

enum { KEYS = 60, STEPS = 1500 };

struct model {
    bool there[KEYS];
    size_t size[KEYS];
    unsigned char with[KEYS];
};

static void key_of(int at, char *key)
{
    int digits = sprintf(key, "%d ", at);
    memset(key + digits, '.', (size_t)at * 4);
    key[digits + at * 4] = 0;
}

/* All keys are met once, with what they stand for. */
static void assert_same(muster_dict dict, const struct model *model, unsigned char *room, size_t capacity)
{
    bool met[KEYS] = {0};
    char key[MUSTER_KEY_MAX + 1];
    int64_t cursor = 0, count = 0, keys = -1;
    size_t size;
    muster_err err;
    while ((err = muster_dict_next(dict, &cursor, key, room, capacity, &size)) == MUSTER_OK) {
        char expected[MUSTER_KEY_MAX + 1];
        int at = atoi(key);
        assert_true(at >= 0 && at < KEYS && !met[at] && model->there[at] && size == model->size[at]);
        key_of(at, expected);
        assert_string_equal(key, expected);
        met[at] = true;
        for (size_t i = 0; i < size; i++)
            assert_int_equal(room[i], model->with[at]);
        count++;
    }
    assert_int_equal(err, MUSTER_ERR_EMPTY);
    for (int at = 0; at < KEYS; at++)
        assert_int_equal(met[at], model->there[at]);
    assert_int_equal(muster_dict_size(dict, &keys), MUSTER_OK);
    assert_int_equal(keys, count);
}

/* Random operations, beside a map that is known to be right. */
static void dict_as_its_model(void **state)
{
    (void)state;
    enum { CAPACITY = 20000 };
    unsigned char *value = malloc(CAPACITY), *room = malloc(CAPACITY);
    FOR_EACH_HOME(home)
    {
        struct model model = {0};
        muster_dict dict;
        muster_object_options options = at_rank(home);
        unsigned seed = 1;
        assert_int_equal(muster_dict_create(&dict, &options), MUSTER_OK);
        for (int i = 0; i < STEPS; i++) {
            int at = rand_r(&seed) % KEYS, what = rand_r(&seed) % 8;
            size_t size = (size_t)(rand_r(&seed) % 16 ? rand_r(&seed) % 64 : rand_r(&seed) % CAPACITY), got = 0;
            char key[MUSTER_KEY_MAX + 1];
            key_of(at, key);
            memset(value, i, size);
            bool sets = what < 3 || (what == 3 && !model.there[at]);
            if (what < 3)
                assert_int_equal(muster_dict_set(dict, key, value, size), MUSTER_OK);
            else if (what == 3)
                assert_int_equal(muster_dict_set_new(dict, key, value, size),
                                 model.there[at] ? MUSTER_ERR_STATE : MUSTER_OK);
            else if (what < 6)
                assert_int_equal(muster_dict_remove(dict, key), model.there[at] ? MUSTER_OK : MUSTER_ERR_EMPTY);
            else
                assert_int_equal(muster_dict_get(dict, key, room, CAPACITY, &got, MUSTER_NOWAIT),
                                 model.there[at] ? MUSTER_OK : MUSTER_ERR_EMPTY);
            if (what >= 6 && model.there[at])
                assert_true(got == model.size[at] && (!got || room[got - 1] == model.with[at]));
            if (sets) {
                model.size[at] = size;
                model.with[at] = (unsigned char)i;
            }
            model.there[at] = sets || (model.there[at] && !(what == 4 || what == 5));
            if (i % 100 == 0)
                assert_same(dict, &model, room, CAPACITY);
        }
        assert_same(dict, &model, room, CAPACITY);
        assert_int_equal(muster_dict_destroy(dict), MUSTER_OK);
    }
    free(value);
    free(room);
}

/* Passes on what it gets under its own key, and counts itself. */
static int pass_on(const void *arg, size_t size)
{
    (void)size;
    const struct parts *parts = arg;
    int64_t me = hear(parts->in), value = -1;
    char mine[32], next[32];
    size_t bytes = 0;
    snprintf(mine, sizeof mine, "link %lld", (long long)me);
    snprintf(next, sizeof next, "link %lld", (long long)me + 1);
    MUST(muster_dict_get(parts->dict, mine, &value, sizeof value, &bytes, MUSTER_FOREVER) == MUSTER_OK);
    MUST(bytes == sizeof value && value == me * 10);
    for (int i = 0; i < 100; i++)
        MUST(muster_dict_add(parts->dict, "count", i % 2 ? 3 : -1, NULL) == MUSTER_OK);
    value += 10;
    MUST(muster_dict_set_new(parts->dict, next, &value, sizeof value) == MUSTER_OK);
    return 0;
}

static void dict_chain(void **state)
{
    (void)state;
    FOR_EACH_HOME(home)
    {
        struct parts parts = parts_make();
        muster_process processes[8];
        muster_object_options options = at_rank(home);
        char last[32];
        int64_t value = -1;
        assert_int_equal(muster_dict_create(&parts.dict, &options), MUSTER_OK);
        for (int i = crowd() - 1; i >= 0; i--)
            say(parts.in, i);
        start_crowd(processes, pass_on, &parts, sizeof parts);
        value = 0;
        assert_int_equal(muster_dict_set(parts.dict, "link 0", &value, sizeof value), MUSTER_OK);
        snprintf(last, sizeof last, "link %d", crowd());
        assert_int_equal(muster_dict_get(parts.dict, last, &value, sizeof value, NULL, MUSTER_FOREVER), MUSTER_OK);
        assert_int_equal(value, crowd() * 10);
        join_crowd(processes);
        assert_int_equal(muster_dict_get(parts.dict, "count", &value, sizeof value, NULL, MUSTER_NOWAIT), MUSTER_OK);
        assert_int_equal(value, crowd() * 100);
        assert_int_equal(muster_dict_destroy(parts.dict), MUSTER_OK);
        parts_end(parts);
    }
}

/* ---- names ---- */

/* Is given nothing but finds all. */
static int find_and_answer(const void *arg, size_t size)
{
    (void)arg, (void)size;
    muster_queue queue;
    MUST(muster_find("test answers", &queue, sizeof queue, MUSTER_FOREVER) == MUSTER_OK);
    say(queue, 1);
    return 0;
}

static int publish(const void *arg, size_t size)
{
    (void)size;
    const struct parts *parts = arg;
    MUST(muster_publish("test from there", &parts->number, sizeof parts->number) == MUSTER_OK);
    MUST(muster_publish("test from there", &parts->number, sizeof parts->number) == MUSTER_ERR_STATE);
    return 0;
}

static void names(void **state)
{
    (void)state;
    muster_process processes[8];
    struct parts parts = parts_make();
    int64_t number = 77;
    char small[4];
    assert_int_equal(muster_find("test from there", &number, sizeof number, MUSTER_NOWAIT), MUSTER_ERR_EMPTY);
    ASSERT_TAKES(20, muster_find("test from there", &number, sizeof number, 20), MUSTER_ERR_TIMEOUT);
    assert_int_equal(number, 77);
    assert_int_equal(muster_unpublish("test from there"), MUSTER_ERR_EMPTY);
    parts.number = 5;
    muster_process process = start_on(last_rank(), publish, &parts, sizeof parts);
    assert_int_equal(muster_find("test from there", &number, sizeof number, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(number, 5);
    assert_int_equal(muster_find("test from there", small, sizeof small, MUSTER_FOREVER), MUSTER_ERR_INVAL);
    join(process);
    assert_int_equal(muster_unpublish("test from there"), MUSTER_OK);
    assert_int_equal(muster_find("test from there", &number, sizeof number, MUSTER_NOWAIT), MUSTER_ERR_EMPTY);
    assert_int_equal(muster_publish("", &number, sizeof number), MUSTER_ERR_INVAL);
    start_crowd(processes, find_and_answer, NULL, 0);
    assert_int_equal(muster_publish("test answers", &parts.out, sizeof parts.out), MUSTER_OK);
    hear_times(parts.out, crowd(), 1);
    join_crowd(processes);
    assert_int_equal(muster_unpublish("test answers"), MUSTER_OK);
    parts_end(parts);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_alone), cmocka_unit_test(real_alone),        cmocka_unit_test(adds_are_exact),
        cmocka_unit_test(slices),      cmocka_unit_test(out_of_bounds),     cmocka_unit_test(a_guarded_struct),
        cmocka_unit_test(dict_alone),  cmocka_unit_test(dict_as_its_model), cmocka_unit_test(dict_chain),
        cmocka_unit_test(names),
    };
    return mpi_case_main(&argc, &argv, tests, sizeof tests / sizeof *tests, "share");
}
