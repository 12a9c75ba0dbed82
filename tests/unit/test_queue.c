/* SPDX-License-Identifier: BSD-3-Clause */
/* Queue, conformance 30 to 38 and 51, on the structure itself. */
#include "object_case.h"

static muster_handle handle;
static struct muster__object *object;
static struct muster__queue *queue;

static struct progress {
    _Atomic uint32_t ready, role, go;
    _Atomic int64_t sum, got;
} * progress;

static void queue_make(int64_t maxsize)
{
    assert_int_equal(case_queue_make("test", maxsize, &handle), MUSTER_OK);
    object = muster__object_find(handle, MUSTER__QUEUE);
    assert_non_null(object);
    queue = muster__queue_of(object);
}

static int queue_setup(void **state)
{
    case_setup(state);
    progress = case_map(sizeof *progress);
    return 0;
}

static muster_err put(const void *item, size_t size, int64_t timeout_ms)
{
    return case_queue_put(handle, item, size, timeout_ms);
}

static muster_err get(void *item, size_t capacity, size_t *size, int64_t timeout_ms)
{
    return case_queue_get(handle, item, capacity, size, timeout_ms);
}

static muster_err put_number(int64_t n, int64_t timeout_ms)
{
    return put(&n, sizeof n, timeout_ms);
}

static int64_t get_number(void)
{
    int64_t n = -1;
    size_t size = 0;
    assert_int_equal(get(&n, sizeof n, &size, MUSTER_NOWAIT), MUSTER_OK);
    assert_int_equal(size, sizeof n);
    return n;
}

static int64_t size_now(void)
{
    int64_t items = -1;
    assert_int_equal(case_queue_ask(handle, MUSTER__QUEUE_SIZE, &items, MUSTER_FOREVER), MUSTER_OK);
    return items;
}

static muster_err queue_close(void)
{
    return case_queue_ask(handle, MUSTER__QUEUE_CLOSE, NULL, MUSTER_FOREVER);
}

static void destroy_frees_all(void)
{
    assert_true(case_end(handle, MUSTER__QUEUE));
    assert_int_equal(muster__heap_used(), 0);
}

static void first_in_first_out(void **state)
{
    (void)state;
    enum { N = 50000 };
    queue_make(0);
    assert_int_equal(size_now(), 0);
    for (int64_t i = 0; i < N; i++)
        assert_int_equal(put_number(i, MUSTER_NOWAIT), MUSTER_OK);
    assert_int_equal(size_now(), N);
    for (int64_t i = 0; i < N; i++)
        assert_int_equal(get_number(), i);
    assert_int_equal(size_now(), 0);
    int64_t n = 5;
    assert_int_equal(get(&n, sizeof n, NULL, MUSTER_NOWAIT), MUSTER_ERR_EMPTY);
    assert_int_equal(n, 5);
    destroy_frees_all();
}

static void a_million_items(void **state)
{
    (void)state;
    queue_make(0);
    for (int64_t i = 0; i < 1000000; i++)
        if (put_number(i, MUSTER_NOWAIT) != MUSTER_OK)
            fail_msg("put %lld failed", (long long)i);
    for (int64_t i = 0; i < 900000; i++)
        if (get_number() != i)
            fail_msg("item %lld is another", (long long)i);
    assert_int_equal(size_now(), 100000);
    destroy_frees_all(); /* with what is left in it */
}

/* Each size around the places where the way of an item changes. */
static void items_of_all_sizes(void **state)
{
    (void)state;
    static const size_t sizes[] = {0,    1,    7,    8,    9,     63,    100,     2040,    2047,
                                   2048, 2049, 4096, 4097, 65536, 65537, 1 << 20, 5000000, 100 << 20};
    static unsigned char in[100 << 20], out[100 << 20];
    queue_make(0);
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (unsigned char)(i * 7 + i / 256);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            assert_int_equal(put(sizes[i] ? in + i : NULL, sizes[i] ? sizes[i] - (sizes[i] > 99 ? i : 0) : 0, 0),
                             MUSTER_OK);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            size_t size = 12345, expected = sizes[i] ? sizes[i] - (sizes[i] > 99 ? i : 0) : 0;
            assert_int_equal(get(expected ? out : NULL, expected, &size, 0), MUSTER_OK);
            assert_int_equal(size, expected);
            assert_int_equal(memcmp(in + i, out, expected), 0);
        }
    }
    destroy_frees_all();
}

static void over_a_gigabyte(void **state)
{
    (void)state;
    case_teardown(NULL);
    case_segment((size_t)5 << 30, 1);
    size_t size = ((size_t)1 << 30) + 12345, got = 0;
    queue_make(0);
    unsigned char *bytes = case_map(size);
    bytes[0] = 1;
    bytes[size - 1] = 2;
    assert_int_equal(put(bytes, size, 0), MUSTER_OK);
    bytes[0] = bytes[size - 1] = 0;
    assert_int_equal(get(bytes, size - 1, &got, 0), MUSTER_ERR_TOOBIG);
    assert_true(got == size);
    assert_int_equal(get(bytes, size, &got, 0), MUSTER_OK);
    assert_true(got == size && bytes[0] == 1 && bytes[size - 1] == 2);
    munmap(bytes, size);
    destroy_frees_all();
}

static void too_big_stays_first(void **state)
{
    (void)state;
    static unsigned char bytes[5000];
    queue_make(0);
    for (size_t size = 100; size <= 5000; size += 4900) { /* in the chunk, and as a block */
        size_t got = 0;
        bytes[0] = 7;
        assert_int_equal(put(bytes, size, 0), MUSTER_OK);
        assert_int_equal(put_number(8, 0), MUSTER_OK);
        bytes[0] = 9;
        assert_int_equal(get(bytes, size - 1, &got, 0), MUSTER_ERR_TOOBIG);
        assert_int_equal(got, size);
        assert_int_equal(bytes[0], 9);
        assert_int_equal(get(NULL, 0, &got, 50), MUSTER_ERR_TOOBIG);
        assert_int_equal(size_now(), 2);
        assert_int_equal(get(bytes, size, &got, 0), MUSTER_OK);
        assert_int_equal(bytes[0], 7);
        assert_int_equal(get_number(), 8);
    }
    destroy_frees_all();
}

static void full_and_empty(void **state)
{
    (void)state;
    static unsigned char large[5000];
    int64_t n;
    queue_make(3);
    int64_t begin = muster__now_ns();
    assert_int_equal(get(&n, sizeof n, NULL, 20), MUSTER_ERR_EMPTY);
    assert_true(muster__now_ns() - begin >= 20000000);
    for (int i = 0; i < 3; i++)
        assert_int_equal(put_number(i, 0), MUSTER_OK);
    for (int i = 0; i < 100; i++) { /* failing costs no room */
        assert_int_equal(put_number(99, 0), MUSTER_ERR_FULL);
        assert_int_equal(put(large, sizeof large, 0), MUSTER_ERR_FULL);
    }
    begin = muster__now_ns();
    assert_int_equal(put_number(99, 20), MUSTER_ERR_FULL);
    assert_true(muster__now_ns() - begin >= 20000000);
    begin = muster__now_ns();
    assert_int_equal(put(large, sizeof large, 20), MUSTER_ERR_FULL);
    assert_true(muster__now_ns() - begin >= 20000000);
    assert_int_equal(size_now(), 3);
    assert_int_equal(get_number(), 0);
    assert_int_equal(put_number(3, 0), MUSTER_OK);
    assert_int_equal(put_number(4, 0), MUSTER_ERR_FULL);
    for (int i = 1; i <= 3; i++)
        assert_int_equal(get_number(), i);
    destroy_frees_all();
}

/* ---- many ---- */

static muster_err put_numbers(int64_t first, int64_t n, int64_t *put_so_many, int64_t timeout_ms)
{
    static int64_t numbers[30000];
    for (int64_t i = 0; i < n; i++)
        numbers[i] = first + i;
    return case_queue_put_many(handle, numbers, n, sizeof *numbers, put_so_many, timeout_ms);
}

static int64_t many_out[30000];
static size_t many_sizes[30000];

static struct muster__queue_many up_to(int64_t most, size_t capacity)
{
    return (struct muster__queue_many){.at = (char *)many_out, .left = capacity, .sizes = many_sizes, .most = most};
}

/* In batches of all lengths, over the ends of chunks, mixed with single ones. */
static void many_keep_their_order(void **state)
{
    (void)state;
    int64_t next_in = 0, next_out = 0, done;
    queue_make(0);
    for (int64_t n = 1; n <= 30000; n = n * 3 + 1) {
        assert_int_equal(put_numbers(next_in, n, &done, MUSTER_NOWAIT), MUSTER_OK);
        assert_int_equal(done, n);
        assert_int_equal(put_number(next_in + n, MUSTER_NOWAIT), MUSTER_OK);
        next_in += n + 1;
        assert_int_equal(size_now(), next_in - next_out);
        for (int64_t most = 1; next_out < next_in; most = most * 2 + 1) {
            struct muster__queue_many many = up_to(most, sizeof many_out);
            int64_t there = next_in - next_out, first = next_out;
            assert_int_equal(case_queue_get_many(handle, &many, MUSTER_NOWAIT), MUSTER_OK);
            assert_int_equal(many.count, there < most ? there : most);
            for (; next_out - first < many.count; next_out++) {
                assert_int_equal(many_sizes[next_out - first], sizeof *many_out);
                assert_int_equal(many_out[next_out - first], next_out);
            }
        }
    }
    destroy_frees_all();
}

static void many_of_any_size(void **state)
{
    (void)state;
    enum { N = 100, LARGEST = 5000 };
    static unsigned char in[LARGEST];
    queue_make(0);
    for (int i = 0; i < N; i++) {
        memset(in, i, sizeof in);
        assert_int_equal(put(in, (size_t)i * 337 % LARGEST, MUSTER_NOWAIT), MUSTER_OK);
    }
    for (int i = 0; i < N;) {
        struct muster__queue_many many = up_to(N, sizeof many_out);
        assert_int_equal(case_queue_get_many(handle, &many, MUSTER_NOWAIT), MUSTER_OK);
        const unsigned char *at = (unsigned char *)many_out;
        for (int k = 0; k < many.count; at += many_sizes[k++], i++) {
            assert_int_equal(many_sizes[k], (size_t)i * 337 % LARGEST);
            for (size_t b = 0; b < many_sizes[k]; b++)
                assert_int_equal(at[b], i);
        }
    }
    assert_int_equal(size_now(), 0);
    destroy_frees_all();
}

/* As many as fit are taken; none fits: err TOOBIG, and it stays first. */
static void many_as_far_as_they_fit(void **state)
{
    (void)state;
    char large[3000] = {0};
    int64_t done;
    queue_make(0);
    assert_int_equal(put_numbers(0, 5, &done, MUSTER_NOWAIT), MUSTER_OK);
    struct muster__queue_many many = up_to(5, 3 * sizeof(int64_t) + 1);
    assert_int_equal(case_queue_get_many(handle, &many, MUSTER_NOWAIT), MUSTER_OK);
    assert_int_equal(many.count, 3);
    many = up_to(5, sizeof(int64_t) - 1);
    assert_int_equal(case_queue_get_many(handle, &many, MUSTER_NOWAIT), MUSTER_ERR_TOOBIG);
    assert_int_equal(many.size, sizeof(int64_t));
    assert_int_equal(many.count, 0);
    assert_int_equal(get_number(), 3);
    assert_int_equal(get_number(), 4);
    assert_int_equal(put(large, sizeof large, MUSTER_NOWAIT), MUSTER_OK);
    many = up_to(5, sizeof large - 1);
    assert_int_equal(case_queue_get_many(handle, &many, MUSTER_NOWAIT), MUSTER_ERR_TOOBIG);
    assert_int_equal(many.size, sizeof large);
    assert_int_equal(size_now(), 1);
    destroy_frees_all();
}

/* How many are in is told when the deadline comes; of what was got at least one is there. */
static void many_until_the_deadline(void **state)
{
    (void)state;
    int64_t done;
    queue_make(4);
    assert_int_equal(put_numbers(0, 6, &done, MUSTER_NOWAIT), MUSTER_ERR_FULL);
    assert_int_equal(done, 4);
    int64_t began = case_ms();
    assert_int_equal(put_numbers(4, 1, &done, 30), MUSTER_ERR_FULL);
    assert_true(case_ms() - began >= 29);
    assert_int_equal(done, 0);
    struct muster__queue_many many = up_to(10, sizeof many_out);
    assert_int_equal(case_queue_get_many(handle, &many, 30), MUSTER_OK);
    assert_int_equal(many.count, 4);
    many = up_to(10, sizeof many_out);
    assert_int_equal(case_queue_get_many(handle, &many, MUSTER_NOWAIT), MUSTER_ERR_EMPTY);
    assert_int_equal(case_queue_get_many(handle, &many, 30), MUSTER_ERR_EMPTY);
    assert_int_equal(many.count, 0);
    destroy_frees_all();
}

static void many_until_the_end(void **state)
{
    (void)state;
    int64_t done;
    queue_make(0);
    assert_int_equal(put_numbers(0, 2, &done, MUSTER_NOWAIT), MUSTER_OK);
    assert_int_equal(queue_close(), MUSTER_OK);
    assert_int_equal(put_numbers(0, 2, &done, MUSTER_NOWAIT), MUSTER_ERR_CLOSED);
    assert_int_equal(done, 0);
    struct muster__queue_many many = up_to(10, sizeof many_out);
    assert_int_equal(case_queue_get_many(handle, &many, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(many.count, 2);
    many = up_to(10, sizeof many_out);
    assert_int_equal(case_queue_get_many(handle, &many, MUSTER_FOREVER), MUSTER_ERR_CLOSED);
    destroy_frees_all();
}

static int put_a_thousand(void *arg)
{
    (void)arg;
    int64_t done;
    return put_numbers(0, 1000, &done, MUSTER_FOREVER) == MUSTER_OK && done == 1000 ? 0 : 1;
}

/* One that waits goes on as there is room, and none of its items is put twice. */
static void many_wait_for_room(void **state)
{
    (void)state;
    queue_make(7);
    case_fork(1, put_a_thousand, NULL);
    for (int64_t next = 0; next < 1000;) {
        struct muster__queue_many many = up_to(1 + next % 10, sizeof many_out);
        assert_int_equal(case_queue_get_many(handle, &many, MUSTER_FOREVER), MUSTER_OK);
        for (int64_t i = 0; i < many.count; i++)
            assert_int_equal(many_out[i], next++);
    }
    assert_int_equal(case_join(1), 0);
    assert_int_equal(size_now(), 0);
    destroy_frees_all();
}

/* ---- claims: what an agent does for callers of another host who may give up ---- */

static void nothing(struct muster__step *step)
{
    (void)step;
}

static void nothing_of(struct muster__step *step, int64_t items)
{
    (void)step;
    (void)items;
}

static bool never_full(const struct muster__step *step)
{
    (void)step;
    return false;
}

static const struct muster__queue_hosts no_leases = {.is_full = never_full, .put = nothing, .got = nothing_of};

static muster_err claim(enum muster__queue_op op, struct muster__arg *arg, struct muster__step *step)
{
    muster__queue_hosts = &no_leases;
    *step =
        (struct muster__step){.object = object, .generation = handle.generation, .host = 1, .arg = arg, .claims = true};
    return muster__step(&muster__class_of(MUSTER__QUEUE)->ops[op], step);
}

static muster_err get_now(void)
{
    int64_t room;
    size_t size;
    return muster__queue_get_now(object, handle.generation, &room, sizeof room, &size);
}

/* What one has got who has given up goes back, and nobody got what is behind it. */
static void many_given_back(void **state)
{
    (void)state;
    static _Alignas(8) char room[16384], large[3000];
    const struct muster__op *op = &muster__class_of(MUSTER__QUEUE)->ops[MUSTER__QUEUE_GET_MANY];
    int64_t done;
    queue_make(0);
    assert_int_equal(put("a", 1, MUSTER_NOWAIT), MUSTER_OK);
    assert_int_equal(put(NULL, 0, MUSTER_NOWAIT), MUSTER_OK);
    assert_int_equal(put_numbers(0, 1500, &done, MUSTER_NOWAIT), MUSTER_OK);
    assert_int_equal(put(large, sizeof large, MUSTER_NOWAIT), MUSTER_OK);
    for (int64_t taken = 0; taken < 1503;) {
        struct muster__step step;
        struct muster__arg arg = {.in = {10000}, .room = room, .capacity = 100000, .takes_block = true};
        assert_int_equal(claim(MUSTER__QUEUE_GET_MANY, &arg, &step), MUSTER_OK);
        assert_int_equal(arg.in[2], arg.out[0]);
        assert_int_equal(muster__queue_puts(queue) - muster__queue_gets(queue), 1503 - taken - arg.out[0]);
        assert_true(arg.room_block ? arg.out[0] == 1 && arg.got == sizeof large : arg.got <= sizeof room);
        assert_int_equal(get_now(), MUSTER_ERR_EMPTY);
        arg.bytes = arg.room_block ? muster__heap_at(arg.room_block) : arg.room;
        arg.size = arg.got;
        op->undo(&step, false);
        muster__heap_free(arg.room_block, muster__self_number());
        assert_int_equal(size_now(), 1503 - taken);
        struct muster__queue_many many = up_to(arg.out[0], sizeof many_out);
        assert_int_equal(case_queue_get_many(handle, &many, MUSTER_NOWAIT), MUSTER_OK);
        assert_int_equal(many.count, arg.out[0]);
        const char *at = (char *)many_out;
        for (int64_t i = 0; i < many.count; at += many_sizes[i++], taken++) {
            int64_t number = taken - 2;
            size_t size = taken == 0 ? 1 : taken == 1 ? 0 : taken == 1502 ? sizeof large : sizeof number;
            assert_int_equal(many_sizes[i], size);
            if (size == sizeof number)
                assert_memory_equal(at, &number, size);
        }
    }
    destroy_frees_all();
    muster__queue_hosts = NULL;
}

/* A get that is taken is over; one whose caller died has taken its item with it; of nonsense nothing goes back. */
static void gets_out_end(void **state)
{
    (void)state;
    const struct muster__op *ops = muster__class_of(MUSTER__QUEUE)->ops;
    static _Alignas(8) char room[64];
    queue_make(0);
    for (int64_t i = 0; i < 4; i++)
        assert_int_equal(put_number(i, MUSTER_NOWAIT), MUSTER_OK);
    struct muster__step step;
    struct muster__arg one = {.room = room, .capacity = sizeof room};
    assert_int_equal(claim(MUSTER__QUEUE_GET, &one, &step), MUSTER_OK);
    struct muster__step second;
    struct muster__arg two = {.room = room, .capacity = sizeof room};
    assert_int_equal(claim(MUSTER__QUEUE_GET, &two, &second), MUSTER__WAIT);
    assert_int_equal(claim(MUSTER__QUEUE_TRY_GET, &two, &second), MUSTER__ASKING);
    assert_int_equal(ops[MUSTER__QUEUE_GET].taken(&step), MUSTER_OK);
    assert_int_equal(get_number(), 1);
    assert_int_equal(claim(MUSTER__QUEUE_GET, &two, &second), MUSTER_OK);
    ops[MUSTER__QUEUE_GET].undo(&second, true);
    struct muster__arg many = {.in = {9}, .room = room, .capacity = sizeof room, .takes_block = true};
    assert_int_equal(claim(MUSTER__QUEUE_GET_MANY, &many, &step), MUSTER_OK);
    many.bytes = "\377\377\377\377\377\377\377\377";
    many.size = 8;
    ops[MUSTER__QUEUE_GET_MANY].undo(&step, false);
    assert_int_equal(size_now(), 0);
    destroy_frees_all();
    muster__queue_hosts = NULL;
}

/* A place that is claimed is nobody else's, and an item once it is taken. */
static void puts_claim_places(void **state)
{
    (void)state;
    const struct muster__op *ops = muster__class_of(MUSTER__QUEUE)->ops;
    static int64_t numbers[] = {1, 2, 3, 4};
    static char large[3000];
    int64_t full;
    queue_make(4);
    struct muster__step step, many;
    struct muster__arg arg = {.bytes = large, .size = sizeof large};
    struct muster__arg arg_many = {.in = {4, sizeof *numbers}, .bytes = numbers, .size = sizeof numbers};
    assert_int_equal(claim(MUSTER__QUEUE_PUT, &arg, &step), MUSTER_OK);
    assert_int_equal(get_now(), MUSTER_ERR_EMPTY);
    assert_int_equal(claim(MUSTER__QUEUE_PUT_MANY, &arg_many, &many), MUSTER_OK);
    assert_int_equal(arg_many.out[0], 3);
    assert_int_equal(case_queue_ask(handle, MUSTER__QUEUE_FULL, &full, MUSTER_FOREVER), MUSTER_OK);
    assert_true(full);
    assert_int_equal(put_number(5, MUSTER_NOWAIT), MUSTER_ERR_FULL);
    ops[MUSTER__QUEUE_PUT].undo(&step, false);
    muster__heap_free(arg.bytes_block, muster__self_number());
    arg.bytes_block = arg.own = 0;
    assert_int_equal(put_number(5, MUSTER_NOWAIT), MUSTER_OK);
    assert_int_equal(put_number(6, MUSTER_NOWAIT), MUSTER_ERR_FULL);
    assert_int_equal(ops[MUSTER__QUEUE_PUT_MANY].taken(&many), MUSTER_OK);
    assert_int_equal(put_number(6, MUSTER_NOWAIT), MUSTER_ERR_FULL);
    static const int64_t order[] = {5, 1, 2, 3};
    for (int i = 0; i < 4; i++)
        assert_int_equal(get_number(), order[i]);
    assert_int_equal(claim(MUSTER__QUEUE_PUT, &arg, &step), MUSTER_OK);
    assert_int_equal(ops[MUSTER__QUEUE_PUT].taken(&step), MUSTER_OK);
    assert_int_equal(arg.bytes_block, 0);
    atomic_store(&queue->closing, 1);
    struct muster__arg late = {.bytes = numbers, .size = sizeof *numbers};
    assert_int_equal(claim(MUSTER__QUEUE_PUT, &late, &step), MUSTER_ERR_CLOSED);
    destroy_frees_all();
    muster__queue_hosts = NULL;
}

/* Between the commit of many, which is the first one's header, and the move of put_at. */
static int put_many_and_stop(void *arg)
{
    (void)arg;
    static int64_t numbers[100];
    for (int64_t i = 0; i < 100; i++)
        numbers[i] = i;
    if (!muster__object_pin(handle, MUSTER__QUEUE) ||
        !muster__latch_acquire(&queue->put_latch, handle.generation, muster__self_number()))
        return 1;
    uint64_t before = atomic_load(&queue->put_at);
    muster__queue_append_many(queue, (char *)numbers, sizeof *numbers, 100, muster__self_number());
    atomic_store(&queue->put_at, before);
    atomic_store(&progress->ready, 1);
    for (;;)
        pause();
}

static void many_of_one_who_dies(void **state)
{
    (void)state;
    queue_make(0);
    case_fork(1, put_many_and_stop, NULL);
    CASE_UNTIL(atomic_load(&progress->ready));
    assert_int_equal(size_now(), 100);
    case_kill(1);
    assert_int_equal(size_now(), 100);
    assert_int_equal(put_number(100, MUSTER_NOWAIT), MUSTER_OK);
    for (int64_t i = 0; i <= 100; i++)
        assert_int_equal(get_number(), i);
    destroy_frees_all();
}

/* ---- the end, and who waits ---- */

static void no_memory_leaves_it_as_it_was(void **state)
{
    (void)state;
    queue_make(0);
    static unsigned char large[32 << 20];
    int64_t n = 0;
    muster_err err;
    while ((err = put(large, sizeof large, 0)) == MUSTER_OK)
        n++;
    assert_int_equal(err, MUSTER_ERR_NOMEM);
    assert_true(n > 5);
    assert_int_equal(put(large, (size_t)1 << 45, 0), MUSTER_ERR_NOMEM);
    assert_int_equal(size_now(), n);
    while (put(large, 4096, 0) == MUSTER_OK || put(large, 2000, 0) == MUSTER_OK)
        n++; /* until there is no chunk left either */
    assert_int_equal(size_now(), n);
    for (int64_t i = 0; i < n; i++)
        assert_int_equal(get(large, sizeof large, NULL, 0), MUSTER_OK);
    assert_int_equal(put(large, sizeof large, 0), MUSTER_OK);
    destroy_frees_all();
}

static void close_lets_drain(void **state)
{
    (void)state;
    queue_make(0);
    assert_int_equal(put_number(1, 0), MUSTER_OK);
    assert_int_equal(put_number(2, 0), MUSTER_OK);
    assert_int_equal(queue_close(), MUSTER_OK);
    assert_int_equal(queue_close(), MUSTER_OK);
    assert_int_equal(put_number(3, MUSTER_FOREVER), MUSTER_ERR_CLOSED);
    assert_int_equal(get_number(), 1);
    assert_int_equal(get_number(), 2);
    int64_t n;
    assert_int_equal(get(&n, sizeof n, NULL, MUSTER_FOREVER), MUSTER_ERR_CLOSED);
    destroy_frees_all();
}

/* A large item is copied before it is put. */
static void closed_leaves_no_copy(void **state)
{
    (void)state;
    static const unsigned char large[5000];
    queue_make(0);
    uint64_t used = muster__heap_used();
    assert_int_equal(queue_close(), MUSTER_OK);
    assert_int_equal(put(large, sizeof large, MUSTER_NOWAIT), MUSTER_ERR_CLOSED);
    assert_int_equal(put(large, sizeof large, MUSTER_FOREVER), MUSTER_ERR_CLOSED);
    assert_int_equal(muster__heap_used(), used);
    destroy_frees_all();
}

static int get_until_closed(void *arg)
{
    (void)arg;
    int64_t n;
    atomic_fetch_add(&progress->ready, 1);
    return get(&n, sizeof n, NULL, MUSTER_FOREVER) == MUSTER_ERR_CLOSED ? 0 : 1;
}

static int put_until_closed(void *arg)
{
    static unsigned char large[5000];
    atomic_fetch_add(&progress->ready, 1);
    return put(large, arg ? sizeof large : 8, MUSTER_FOREVER) == MUSTER_ERR_CLOSED ? 0 : 1;
}

static int join_until_closed(void *arg)
{
    (void)arg;
    atomic_fetch_add(&progress->ready, 1);
    return case_queue_ask(handle, MUSTER__QUEUE_JOIN, NULL, MUSTER_FOREVER) == MUSTER_ERR_CLOSED ? 0 : 1;
}

static void wait_for_ready(uint32_t n)
{
    CASE_UNTIL(atomic_load(&progress->ready) == n);
    usleep(10000);
}

static void close_wakes_all(void **state)
{
    (void)state;
    queue_make(1);
    for (uint32_t member = 1; member <= 3; member++)
        case_fork(member, get_until_closed, NULL);
    wait_for_ready(3);
    queue_close();
    case_join_all(1, 3);
    destroy_frees_all();

    queue_make(1);
    assert_int_equal(put_number(0, 0), MUSTER_OK);
    for (uint32_t member = 1; member <= 4; member++)
        case_fork(member, put_until_closed, member % 2 ? NULL : queue);
    wait_for_ready(7);
    queue_close();
    case_join_all(1, 4);
    assert_int_equal(size_now(), 1);
    destroy_frees_all();
}

static void destroying_tells_who_waits(void **state)
{
    (void)state;
    queue_make(1);
    case_fork(1, get_until_closed, NULL);
    case_fork(2, get_until_closed, NULL);
    wait_for_ready(2);
    destroy_frees_all();
    case_join_all(1, 2);

    queue_make(1);
    assert_int_equal(put_number(0, 0), MUSTER_OK);
    case_fork(1, put_until_closed, NULL);
    case_fork(2, put_until_closed, queue);
    case_fork(3, join_until_closed, NULL);
    wait_for_ready(5);
    assert_true(case_end(handle, MUSTER__QUEUE));
    case_join_all(1, 3);
    assert_int_equal(muster__heap_used(), 0);

    muster_handle young = case_next_in_slot(handle, MUSTER__QUEUE);
    int64_t n = 0;
    assert_int_equal(put_number(1, 0), MUSTER_ERR_STALE);
    assert_int_equal(get(&n, sizeof n, NULL, 0), MUSTER_ERR_STALE);
    assert_int_equal(queue_close(), MUSTER_ERR_STALE);
    assert_int_equal(case_queue_ask(handle, MUSTER__QUEUE_SIZE, &n, MUSTER_FOREVER), MUSTER_ERR_STALE);
    assert_int_equal(case_queue_ask(handle, MUSTER__QUEUE_TASK_DONE, NULL, MUSTER_FOREVER), MUSTER_ERR_STALE);
    assert_int_equal(case_queue_ask(handle, MUSTER__QUEUE_JOIN, NULL, 0), MUSTER_ERR_STALE);
    assert_false(case_end(handle, MUSTER__QUEUE));
    assert_int_equal(n, 0);
    handle = young;
    destroy_frees_all();
}

static int mark_slowly(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        usleep(2000);
        atomic_fetch_add(&progress->got, 1);
        if (case_queue_ask(handle, MUSTER__QUEUE_TASK_DONE, NULL, MUSTER_FOREVER) != MUSTER_OK)
            return 1;
    }
    return 0;
}

static void joins_when_all_is_marked(void **state)
{
    (void)state;
    queue_make(0);
    assert_int_equal(case_queue_ask(handle, MUSTER__QUEUE_JOIN, NULL, 0), MUSTER_OK);
    assert_int_equal(case_queue_ask(handle, MUSTER__QUEUE_TASK_DONE, NULL, MUSTER_FOREVER), MUSTER_ERR_STATE);
    for (int i = 0; i < 3; i++)
        assert_int_equal(put_number(i, 0), MUSTER_OK);
    assert_int_equal(case_queue_ask(handle, MUSTER__QUEUE_JOIN, NULL, 0), MUSTER_ERR_TIMEOUT);
    int64_t begin = muster__now_ns();
    assert_int_equal(case_queue_ask(handle, MUSTER__QUEUE_JOIN, NULL, 20), MUSTER_ERR_TIMEOUT);
    assert_true(muster__now_ns() - begin >= 20000000);
    case_fork(1, mark_slowly, NULL);
    assert_int_equal(case_queue_ask(handle, MUSTER__QUEUE_JOIN, NULL, MUSTER_FOREVER), MUSTER_OK);
    assert_int_equal(atomic_load(&progress->got), 3);
    assert_int_equal(case_join(1), 0);
    assert_int_equal(case_queue_ask(handle, MUSTER__QUEUE_TASK_DONE, NULL, MUSTER_FOREVER), MUSTER_ERR_STATE);
    destroy_frees_all();
}

/* ---- several producers and consumers ---- */

enum { PRODUCERS = 3, CONSUMERS = 3, EACH = 30000 };

struct tagged {
    int32_t producer, number;
    unsigned char fill[3000]; /* of some items, a part */
};

static size_t tagged_size(int32_t number)
{
    if (number % 97 == 0)
        return sizeof(struct tagged);
    return offsetof(struct tagged, fill) + (size_t)(number % 13);
}

static int produce_tagged(int32_t producer)
{
    struct tagged item = {.producer = producer};
    memset(item.fill, producer + 1, sizeof item.fill);
    for (item.number = 0; item.number < EACH; item.number++)
        if (put(&item, tagged_size(item.number), MUSTER_FOREVER) != MUSTER_OK)
            return 1;
    return 0;
}

static int consume_tagged(void)
{
    int32_t last[PRODUCERS];
    memset(last, -1, sizeof last);
    for (;;) {
        struct tagged item;
        size_t size;
        muster_err err = get(&item, sizeof item, &size, MUSTER_FOREVER);
        if (err == MUSTER_ERR_CLOSED)
            return 0;
        if (err != MUSTER_OK || size != tagged_size(item.number) || item.number <= last[item.producer])
            return 2;
        if (size > offsetof(struct tagged, fill) &&
            item.fill[size - offsetof(struct tagged, fill) - 1] != item.producer + 1)
            return 3;
        last[item.producer] = item.number;
        atomic_fetch_add(&progress->sum, item.number);
        if (atomic_fetch_add(&progress->got, 1) + 1 == PRODUCERS * EACH)
            queue_close();
    }
}

static int produce_or_consume(void *arg)
{
    (void)arg;
    uint32_t role = atomic_fetch_add(&progress->role, 1);
    return role < PRODUCERS ? produce_tagged((int32_t)role) : consume_tagged();
}

static void many_to_many(int64_t maxsize, void (*together)(uint32_t, int (*)(void *), void *))
{
    memset(progress, 0, sizeof *progress);
    queue_make(maxsize);
    together(PRODUCERS + CONSUMERS, produce_or_consume, NULL);
    assert_int_equal(atomic_load(&progress->got), PRODUCERS * EACH);
    assert_int_equal(atomic_load(&progress->sum), (int64_t)PRODUCERS * EACH * (EACH - 1) / 2);
    assert_int_equal(size_now(), 0);
    destroy_frees_all();
}

static void many_processes(void **state)
{
    (void)state;
    many_to_many(0, case_processes);
    many_to_many(1, case_processes);
    many_to_many(100, case_processes);
}

static void many_threads(void **state)
{
    (void)state;
    many_to_many(0, case_threads);
    many_to_many(10, case_threads);
}

static int size_is_possible(void *arg)
{
    (void)arg;
    while (!atomic_load(&progress->go)) {
        int64_t items = size_now();
        if (items < 0 || items > 5)
            return 1;
    }
    return 0;
}

static void size_is_never_impossible(void **state)
{
    (void)state;
    queue_make(5);
    case_fork(10, size_is_possible, NULL);
    case_processes(PRODUCERS + CONSUMERS, produce_or_consume, NULL);
    atomic_store(&progress->go, 1);
    assert_int_equal(case_join(10), 0);
    destroy_frees_all();
}

/* A put that returned can be got by whoever starts afterwards. */
static int echo(void *arg)
{
    (void)arg;
    for (uint32_t i = 1; i <= 2000; i++) {
        CASE_UNTIL(atomic_load(&progress->go) >= i);
        int64_t n;
        if (get(&n, sizeof n, NULL, MUSTER_NOWAIT) != MUSTER_OK || n != i)
            return 1;
        atomic_store(&progress->ready, i);
    }
    return 0;
}

static void a_put_is_seen_at_once(void **state)
{
    (void)state;
    queue_make(0);
    case_fork(1, echo, NULL);
    for (uint32_t i = 1; i <= 2000; i++) {
        assert_int_equal(put_number(i, 0), MUSTER_OK);
        atomic_store(&progress->go, i);
        while (i % 64 == 0 && atomic_load(&progress->ready) < i)
            muster__cpu_relax();
    }
    assert_int_equal(case_join(1), 0);
    destroy_frees_all();
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, queue_setup, case_teardown)
    const struct CMUnitTest tests[] = {
        CASE(first_in_first_out),
        CASE(a_million_items),
        CASE(items_of_all_sizes),
        CASE(over_a_gigabyte),
        CASE(too_big_stays_first),
        CASE(full_and_empty),
        CASE(many_keep_their_order),
        CASE(many_of_any_size),
        CASE(many_as_far_as_they_fit),
        CASE(many_until_the_deadline),
        CASE(many_until_the_end),
        CASE(many_wait_for_room),
        CASE(many_given_back),
        CASE(gets_out_end),
        CASE(puts_claim_places),
        CASE(many_of_one_who_dies),
        CASE(no_memory_leaves_it_as_it_was),
        CASE(closed_leaves_no_copy),
        CASE(close_lets_drain),
        CASE(close_wakes_all),
        CASE(destroying_tells_who_waits),
        CASE(joins_when_all_is_marked),
        CASE(many_processes),
        CASE(many_threads),
        CASE(size_is_never_impossible),
        CASE(a_put_is_seen_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
