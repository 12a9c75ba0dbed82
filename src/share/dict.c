/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>

#include "share/share.h"

#include <muster/dict.h>

/*
 * A table of entries in the order in which they came, and an index into it by hash; both in one block, entries in
 * blocks of their own. A removed entry leaves its place empty until the table is made anew, larger or not.
 *
 * All under one latch. One store commits each change: the place's entry, the count of places, the table. What is about
 * to get in and what is about to go are named before, so that after a death the one that is in no place is freed; the
 * index is made again from the places.
 */

struct entry {
    uint64_t key_size, value_size; /* the key's with its end */
    char bytes[];                  /* the key; the value, from a multiple of 8 on */
};

struct place {
    uint64_t hash;
    uint64_t number;           /* from 1 on, in the order in which they came */
    _Atomic muster__ref entry; /* 0: removed */
};

struct table {
    uint32_t room; /* places; the index has twice as many: a place + 1; 0: none */
    _Atomic uint32_t used;
    struct place place[];
};

struct dict {
    struct muster__latch latch;
    _Atomic muster__ref table;
    _Atomic muster__ref coming, going; /* a table or an entry */
    _Atomic uint64_t numbers;          /* given out */
    _Atomic int64_t keys;
};

enum { GENERATION = 0, ROOM = 16 };
enum { SET, SET_NEW, ADD, REMOVE, GET, SIZE, NEXT, OPS };

static struct dict *of(const struct muster__object *object)
{
    return (struct dict *)(void *)object->body;
}

static uint32_t me(void)
{
    return muster__self_state.number;
}

static bool take(struct dict *dict)
{
    return muster__latch_acquire(&dict->latch, GENERATION, me());
}

static void give(struct dict *dict)
{
    muster__latch_release(&dict->latch, GENERATION, me());
}

static char *value_of(struct entry *entry)
{
    return entry->bytes + ((entry->key_size + 7) & ~UINT64_C(7));
}

/* ---- the table; under the latch ---- */

static uint32_t *index_of(struct table *table)
{
    return (uint32_t *)(void *)(table->place + table->room);
}

static size_t table_bytes(uint32_t room)
{
    return sizeof(struct table) + room * (sizeof(struct place) + 2 * sizeof(uint32_t));
}

static struct table *table_of(struct dict *dict)
{
    return muster__heap_at(atomic_load(&dict->table));
}

static struct entry *entry_at(const struct place *place)
{
    return muster__heap_at(atomic_load(&place->entry));
}

static void index_place(struct table *table, uint32_t at)
{
    uint32_t *index = index_of(table), size = 2 * table->room;
    uint32_t slot = (uint32_t)(table->place[at].hash % size);
    while (index[slot])
        slot = (slot + 1) % size;
    index[slot] = at + 1;
}

static struct place *find(struct dict *dict, const char *key, size_t size)
{
    struct table *table = table_of(dict);
    uint64_t hash = muster__hash(key, size);
    for (uint32_t slot = table ? (uint32_t)(hash % (2 * table->room)) : 0; table && index_of(table)[slot];
         slot = (slot + 1) % (2 * table->room)) {
        struct place *place = &table->place[index_of(table)[slot] - 1];
        struct entry *entry = place->hash == hash ? entry_at(place) : NULL;
        if (entry && entry->key_size == size && memcmp(entry->bytes, key, size) == 0)
            return place;
    }
    return NULL;
}

/* Whether the block is of use: the table, or an entry in it. */
static bool is_in(struct dict *dict, muster__ref block)
{
    struct table *table = table_of(dict);
    bool found = block == atomic_load(&dict->table);
    for (uint32_t at = 0; table && !found && at < atomic_load(&table->used); at++)
        found = atomic_load(&table->place[at].entry) == block;
    return found;
}

static void settle(struct dict *dict, _Atomic muster__ref *named)
{
    muster__ref block = atomic_load(named);
    if (block && !is_in(dict, block))
        muster__heap_free(block, me());
    atomic_store(named, 0);
}

/* The block, so far the caller's, becomes what *where names. */
static void put(struct dict *dict, _Atomic muster__ref *where, muster__ref block)
{
    muster__ref before = atomic_load(where);
    atomic_store(&dict->going, before);
    if (block) {
        atomic_store(&dict->coming, block);
        muster__heap_hand_over(block, me(), 0);
    }
    atomic_store(where, block);
    muster__heap_free(before, me());
    atomic_store(&dict->going, 0);
}

static muster_err make_room(struct dict *dict)
{
    struct table *old = table_of(dict);
    int64_t keys = atomic_load(&dict->keys);
    uint32_t room = keys < ROOM / 2 ? ROOM : 2 * (uint32_t)keys;
    if (old && atomic_load(&old->used) < old->room)
        return MUSTER_OK;
    muster__ref block = muster__heap_alloc(table_bytes(room), me());
    if (!block)
        return muster__again(MUSTER_ERR_NOMEM);
    struct table *table = muster__heap_at(block);
    memset(table, 0, table_bytes(room));
    table->room = room;
    for (uint32_t at = 0, used = 0; old && at < atomic_load(&old->used); at++) {
        if (!atomic_load(&old->place[at].entry))
            continue;
        table->place[used] = old->place[at];
        index_place(table, used);
        atomic_store(&table->used, ++used);
    }
    put(dict, &dict->table, block);
    atomic_store(&dict->coming, 0);
    return MUSTER_OK;
}

static muster_err append(struct dict *dict, muster__ref block)
{
    const struct entry *entry = muster__heap_at(block);
    muster_err err = make_room(dict);
    if (err)
        return err;
    struct table *table = table_of(dict);
    uint32_t at = atomic_load(&table->used);
    struct place *place = &table->place[at];
    place->hash = muster__hash(entry->bytes, entry->key_size);
    place->number = atomic_fetch_add(&dict->numbers, 1) + 1;
    atomic_store(&place->entry, 0);
    put(dict, &place->entry, block);
    atomic_store(&table->used, at + 1);
    atomic_store(&dict->coming, 0);
    index_place(table, at);
    atomic_fetch_add(&dict->keys, 1);
    return MUSTER_OK;
}

/* ---- steps. bytes: the key, in[0] bytes of it with its end; then the value ---- */

static bool has_key(const struct muster__arg *arg)
{
    const char *bytes = arg->bytes;
    return arg->in[0] > 1 && (uint64_t)arg->in[0] <= arg->size && arg->in[0] <= MUSTER_KEY_MAX + 1 &&
           !bytes[arg->in[0] - 1];
}

static muster__ref make_entry(const struct muster__arg *arg, const void *value, size_t size)
{
    size_t key_size = (size_t)arg->in[0];
    muster__ref block = muster__heap_alloc(sizeof(struct entry) + ((key_size + 7) & ~(size_t)7) + size, me());
    if (!block)
        return 0;
    struct entry *entry = muster__heap_at(block);
    entry->key_size = key_size;
    entry->value_size = size;
    memcpy(entry->bytes, arg->bytes, key_size);
    if (size)
        memcpy(value_of(entry), value, size);
    return block;
}

static muster_err set_entry(struct muster__step *step, muster__ref block, bool replaces)
{
    struct dict *dict = of(step->object);
    if (!take(dict)) {
        muster__heap_free(block, me());
        return MUSTER__AGAIN;
    }
    struct place *place = find(dict, step->arg->bytes, (size_t)step->arg->in[0]);
    muster_err err = place && !replaces ? MUSTER_ERR_STATE : place ? MUSTER_OK : append(dict, block);
    if (place && replaces) {
        put(dict, &place->entry, block);
        atomic_store(&dict->coming, 0);
    }
    give(dict);
    if (err)
        muster__heap_free(block, me());
    else
        muster__event_signal(&step->object->event[0], -1);
    return err;
}

static muster_err set_as(struct muster__step *step, bool replaces)
{
    const struct muster__arg *arg = step->arg;
    if (!has_key(arg))
        return MUSTER_ERR_INVAL;
    muster__ref block = make_entry(arg, (const char *)arg->bytes + arg->in[0], arg->size - (size_t)arg->in[0]);
    return block ? set_entry(step, block, replaces) : muster__again(MUSTER_ERR_NOMEM);
}

static muster_err set(struct muster__step *step)
{
    return set_as(step, true);
}

static muster_err set_new(struct muster__step *step)
{
    return set_as(step, false);
}

/* in[1]: the term. A new one is set; somebody may be faster: then there is one to add to. */
static muster_err add(struct muster__step *step)
{
    struct dict *dict = of(step->object);
    struct muster__arg *arg = step->arg;
    if (!has_key(arg))
        return MUSTER_ERR_INVAL;
    for (;;) {
        if (!take(dict))
            return MUSTER__AGAIN;
        struct place *place = find(dict, arg->bytes, (size_t)arg->in[0]);
        struct entry *entry = place ? entry_at(place) : NULL;
        bool fits = entry && entry->value_size == sizeof(int64_t);
        if (fits)
            arg->out[0] = (int64_t)((uint64_t)atomic_fetch_add((_Atomic int64_t *)(void *)value_of(entry), arg->in[1]) +
                                    (uint64_t)arg->in[1]);
        give(dict);
        if (entry)
            return fits ? MUSTER_OK : MUSTER_ERR_STATE;
        arg->out[0] = arg->in[1];
        muster__ref block = make_entry(arg, &arg->in[1], sizeof(int64_t));
        muster_err err = block ? set_entry(step, block, false) : muster__again(MUSTER_ERR_NOMEM);
        if (err != MUSTER_ERR_STATE)
            return err;
    }
}

static muster_err remove_key(struct muster__step *step)
{
    struct dict *dict = of(step->object);
    if (!has_key(step->arg))
        return MUSTER_ERR_INVAL;
    if (!take(dict))
        return MUSTER__AGAIN;
    struct place *place = find(dict, step->arg->bytes, (size_t)step->arg->in[0]);
    if (place) {
        put(dict, &place->entry, 0);
        atomic_fetch_sub(&dict->keys, 1);
    }
    give(dict);
    return place ? MUSTER_OK : MUSTER_ERR_EMPTY;
}

static muster_err get(struct muster__step *step)
{
    struct dict *dict = of(step->object);
    if (!has_key(step->arg))
        return MUSTER_ERR_INVAL;
    if (!take(dict))
        return MUSTER__AGAIN;
    struct place *place = find(dict, step->arg->bytes, (size_t)step->arg->in[0]);
    struct entry *entry = place ? entry_at(place) : NULL;
    muster_err err = entry ? muster__give(step, value_of(entry), entry->value_size) : (muster_err)MUSTER__WAIT;
    give(dict);
    step->event = &step->object->event[0];
    return err;
}

static muster_err size(struct muster__step *step)
{
    step->arg->out[0] = atomic_load(&of(step->object)->keys);
    return MUSTER_OK;
}

/* The first place after number. */
static struct place *next_place(struct table *table, uint64_t number)
{
    uint32_t used = table ? atomic_load(&table->used) : 0, low = 0, high = used;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (table->place[middle].number <= number)
            low = middle + 1;
        else
            high = middle;
    }
    while (low < used && !atomic_load(&table->place[low].entry))
        low++;
    return low < used ? &table->place[low] : NULL;
}

/* in[0]: number of the last one, in[1]: room for the value; out: number, and the value's size. Gives the entry's
 * bytes. */
static muster_err next(struct muster__step *step)
{
    struct dict *dict = of(step->object);
    struct muster__arg *arg = step->arg;
    muster_err err = MUSTER_ERR_EMPTY;
    if (!take(dict))
        return MUSTER__AGAIN;
    struct place *place = next_place(table_of(dict), (uint64_t)arg->in[0]);
    struct entry *entry = place ? entry_at(place) : NULL;
    if (entry) {
        size_t before = (size_t)(value_of(entry) - entry->bytes);
        arg->out[0] = (int64_t)place->number;
        arg->out[1] = (int64_t)entry->value_size;
        err = (uint64_t)arg->in[1] < entry->value_size ? MUSTER_ERR_TOOBIG
                                                       : muster__give(step, entry->bytes, before + entry->value_size);
        arg->got = err == MUSTER_ERR_TOOBIG ? entry->value_size : arg->got;
    }
    give(dict);
    return err;
}

/* ---- its class ---- */

static void repair(struct muster__object *object, uint32_t generation, uint32_t dead, uint32_t self)
{
    struct dict *dict = of(object);
    if (!muster__latch_seize(&dict->latch, dead, self, &generation))
        return;
    settle(dict, &dict->coming);
    settle(dict, &dict->going);
    struct table *table = table_of(dict);
    int64_t keys = 0;
    if (table)
        memset(index_of(table), 0, 2 * table->room * sizeof(uint32_t));
    for (uint32_t at = 0; table && at < atomic_load(&table->used); at++) {
        index_place(table, at);
        keys += atomic_load(&table->place[at].entry) != 0;
    }
    atomic_store(&dict->keys, keys);
    give(dict);
}

static void clean(struct muster__object *object, uint32_t self)
{
    struct dict *dict = of(object);
    struct table *table = table_of(dict);
    for (uint32_t at = 0; table && at < atomic_load(&table->used); at++)
        muster__heap_free(atomic_load(&table->place[at].entry), self);
    muster__heap_free(atomic_load(&dict->table), self);
}

static void describe(const struct muster__object *object, char *text, size_t size)
{
    int64_t keys = atomic_load(&of(object)->keys);
    snprintf(text, size, "%lld key%s", (long long)keys, muster__s(keys));
}

static const char *remedy(muster_err err)
{
    switch (err) {
    case MUSTER_ERR_INVAL:
        return "keys have 1 to 255 bytes";
    case MUSTER_ERR_EMPTY:
    case MUSTER_ERR_TIMEOUT:
        return "the key is not there";
    case MUSTER_ERR_STATE:
        return "the key is there already, or not a number";
    default:
        return "";
    }
}

static const struct muster__op ops[OPS] = {
    [SET] = {.name = "muster_dict_set", .step = set},
    [SET_NEW] = {.name = "muster_dict_set_new", .step = set_new},
    [ADD] = {.name = "muster_dict_add", .step = add},
    [REMOVE] = {.name = "muster_dict_remove", .step = remove_key},
    [GET] = {.name = "muster_dict_get", .step = get, .late = MUSTER_ERR_TIMEOUT, .late_now = MUSTER_ERR_EMPTY},
    [SIZE] = {.name = "muster_dict_size", .step = size},
    [NEXT] = {.name = "muster_dict_next", .step = next},
};

MUSTER__CLASS(MUSTER__DICT, .name = "dict", .ops = ops, .op_count = OPS, .repair = repair, .clean = clean,
              .describe = describe, .remedy = remedy)

/* ---- public ---- */

muster_err muster_dict_create(muster_dict *dict, const muster_object_options *options)
{
    return muster__create(MUSTER__DICT, "muster_dict_create", options, &(struct muster__arg){0},
                          dict ? &dict->handle : NULL);
}

muster_err muster_dict_destroy(muster_dict dict)
{
    return muster__destroy(dict.handle, MUSTER__DICT, "muster_dict_destroy");
}

/* arg: all but the key */
static muster_err with_key(muster_dict dict, int op, const char *key, struct muster__arg *arg, int64_t timeout_ms)
{
    muster_err err = MUSTER__NULL_BAD(ops[op].name, key);
    size_t length = err ? 0 : strnlen(key, MUSTER_KEY_MAX + 1);
    if (!err && (length < 1 || length > MUSTER_KEY_MAX))
        err = muster__fail(MUSTER_ERR_INVAL, "%s: a key of %s bytes: 1 to %d are allowed", ops[op].name,
                           length ? "more than 255" : "0", MUSTER_KEY_MAX);
    if (err)
        return err;
    arg->in[0] = (int64_t)length + 1;
    arg->bytes = key;
    arg->size = length + 1;
    return muster__do(dict.handle, MUSTER__DICT, (uint32_t)op, arg, timeout_ms);
}

static muster_err set_value(muster_dict dict, int op, const char *key, const void *value, size_t size_bytes)
{
    const char *operation = ops[op].name;
    muster_err err = key && (value || !size_bytes)
                         ? MUSTER__SIZE_BAD(operation, size_bytes)
                         : muster__fail(MUSTER_ERR_INVAL, "%s: %s is NULL", operation, key ? "value" : "key");
    size_t length = err ? 0 : strnlen(key, MUSTER_KEY_MAX + 1);
    if (err || length < 1 || length > MUSTER_KEY_MAX)
        return err ? err : with_key(dict, op, key, &(struct muster__arg){0}, MUSTER_FOREVER);
    char *both = malloc(length + 1 + size_bytes);
    if (!both)
        return muster__fail(MUSTER_ERR_NOMEM, "%s: no memory for %zu B", operation, size_bytes);
    memcpy(both, key, length + 1);
    if (size_bytes)
        memcpy(both + length + 1, value, size_bytes);
    struct muster__arg arg = {.in = {(int64_t)length + 1}, .bytes = both, .size = length + 1 + size_bytes};
    err = muster__do(dict.handle, MUSTER__DICT, (uint32_t)op, &arg, MUSTER_FOREVER);
    free(both);
    return err;
}

muster_err muster_dict_set(muster_dict dict, const char *key, const void *value, size_t size_bytes)
{
    return set_value(dict, SET, key, value, size_bytes);
}

muster_err muster_dict_set_new(muster_dict dict, const char *key, const void *value, size_t size_bytes)
{
    return set_value(dict, SET_NEW, key, value, size_bytes);
}

muster_err muster_dict_add(muster_dict dict, const char *key, int64_t n, int64_t *after)
{
    struct muster__arg arg = {.in = {0, n}};
    muster_err err = with_key(dict, ADD, key, &arg, MUSTER_FOREVER);
    if (!err && after)
        *after = arg.out[0];
    return err;
}

muster_err muster_dict_remove(muster_dict dict, const char *key)
{
    return with_key(dict, REMOVE, key, &(struct muster__arg){0}, MUSTER_FOREVER);
}

muster_err muster_dict_get(muster_dict dict, const char *key, void *value, size_t capacity_bytes, size_t *size_bytes,
                           int64_t timeout_ms)
{
    struct muster__arg arg = {.room = value, .capacity = capacity_bytes};
    muster_err err = value || !capacity_bytes ? MUSTER_OK : MUSTER__NULL_BAD("muster_dict_get", value);
    if (!err)
        err = MUSTER__SIZE_BAD("muster_dict_get", capacity_bytes);
    if (!err)
        err = with_key(dict, GET, key, &arg, timeout_ms);
    if (size_bytes && (!err || err == MUSTER_ERR_TOOBIG))
        *size_bytes = arg.got;
    return err;
}

muster_err muster_dict_size(muster_dict dict, int64_t *keys)
{
    struct muster__arg arg = {0};
    muster_err err = MUSTER__NULL_BAD("muster_dict_size", keys);
    if (!err)
        err = muster__do(dict.handle, MUSTER__DICT, SIZE, &arg, MUSTER_FOREVER);
    if (!err)
        *keys = arg.out[0];
    return err;
}

/* The key, its end and what fills it up to 8 bytes come before the value. */
static muster_err take_next(muster_dict dict, int64_t *cursor, char *key, void *value, size_t capacity_bytes,
                            size_t *size_bytes, char *both)
{
    struct muster__arg arg = {
        .in = {*cursor, (int64_t)capacity_bytes}, .room = both, .capacity = capacity_bytes + MUSTER_KEY_MAX + 1};
    muster_err err = muster__do(dict.handle, MUSTER__DICT, NEXT, &arg, MUSTER_FOREVER);
    if (size_bytes && (!err || err == MUSTER_ERR_TOOBIG))
        *size_bytes = err ? arg.got : (size_t)arg.out[1];
    if (err)
        return err;
    snprintf(key, MUSTER_KEY_MAX + 1, "%s", both);
    if (arg.out[1])
        memcpy(value, both + arg.got - arg.out[1], (size_t)arg.out[1]);
    *cursor = arg.out[0];
    return MUSTER_OK;
}

muster_err muster_dict_next(muster_dict dict, int64_t *cursor, char *key, void *value, size_t capacity_bytes,
                            size_t *size_bytes)
{
    static const char operation[] = "muster_dict_next";
    muster_err err = MUSTER__NULL_BAD(operation, cursor);
    if (!err)
        err = MUSTER__NULL_BAD(operation, key);
    if (!err && capacity_bytes)
        err = MUSTER__NULL_BAD(operation, value);
    if (!err)
        err = MUSTER__SIZE_BAD(operation, capacity_bytes);
    if (err)
        return err;
    char *both = malloc(capacity_bytes + MUSTER_KEY_MAX + 1);
    if (!both)
        return muster__fail(MUSTER_ERR_NOMEM, "%s: no memory for %zu B", operation, capacity_bytes);
    err = take_next(dict, cursor, key, value, capacity_bytes, size_bytes, both);
    free(both);
    return err;
}
