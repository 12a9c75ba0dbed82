/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The two ends of a queue.
 *
 * Items lie in a list of chunks (heap blocks). A record is a header word, zero until the record is there, and the
 * payload: the bytes themselves, or the ref of a heap block. A LINK record ends a chunk and names the next, and where
 * to go on in it: not at its start where items were put back before those that were there.
 *
 * What commits
 *   append  the header's store. Before it the payload is written and the next header zeroed; after it put_at moves.
 *           Of many the first one's header is stored last, and all of them are there
 *   take    the store of got_at
 *   link    the LINK header's store; tail_next names the new chunk from before it belongs to the queue until the tail
 *           has moved there
 *   cross   the store of head; retired names the chunk that is left from before the move until it is freed
 * Blocks: an appended block passes from its putter to the queue (owner 0) just before the commit, while `pending` names
 * it; a taken one passes to its getter just before the commit. A repair gives it back if the commit did not come;
 * if it did, the getter's death frees the block, and this item is lost: it was in the dead one's hand.
 *
 * Every field that a repair reads is stored with release order, so that the stores come in the order of the program.
 */
#include "queue/queue.h"

#include <string.h>

enum record { INLINE = 1, BLOCK, LINK };

enum {
    HEADER = 8,
    REFERRING = 16, /* bytes of a BLOCK or LINK record */
    CHUNK_FIRST_BYTES = 4096,
    CHUNK_BYTES = 64 << 10,
};
_Static_assert(HEADER + MUSTER__QUEUE_INLINE_MAX + REFERRING <= CHUNK_FIRST_BYTES, "any record fits any chunk");
_Static_assert(CHUNK_BYTES >> 3 < 1 << MUSTER__QUEUE_AT_BITS, "any place in a chunk can be named");

#define set(field, value) atomic_store_explicit((field), (value), memory_order_release)
#define get(field)        atomic_load_explicit((field), memory_order_relaxed)

static _Atomic uint64_t *word(uint64_t base, uint64_t at)
{
    uint64_t place = at & ((1 << MUSTER__QUEUE_AT_BITS) - 1);
    return (_Atomic uint64_t *)muster__at(base) + place;
}

static uint64_t header_of(enum record record, size_t size)
{
    return (uint64_t)size << 8 | (uint64_t)record;
}

static enum record record_of(uint64_t header)
{
    return (enum record)(header & 0xff);
}

static size_t size_of(uint64_t header)
{
    return header >> 8;
}

static size_t record_bytes(uint64_t header)
{
    return record_of(header) == INLINE ? HEADER + ((size_of(header) + 7) & ~(size_t)7) : REFERRING;
}

/* Position behind one more item. */
static uint64_t behind(uint64_t at, size_t bytes)
{
    return at + (UINT64_C(1) << MUSTER__QUEUE_AT_BITS) + (bytes >> 3);
}

static uint64_t at_start(uint64_t at)
{
    return at >> MUSTER__QUEUE_AT_BITS << MUSTER__QUEUE_AT_BITS;
}

/* Queues of 8-byte items are common, and a call of memcpy costs as much as the rest of the step. */
static inline void copy(void *to, const void *from, size_t size)
{
    if (size == 8)
        memcpy(to, from, 8);
    else if (size)
        memcpy(to, from, size);
}

/* ---- put side ---- */

static void tail_set(struct muster__queue *queue, muster__ref chunk)
{
    set(&queue->tail, chunk);
    set(&queue->tail_base, muster__offset(muster__heap_at(chunk)));
    set(&queue->tail_bytes, muster__heap_size(chunk));
}

static muster__ref chunk_make(size_t bytes, uint32_t self)
{
    muster__ref chunk = muster__heap_alloc(bytes, self);
    if (chunk)
        set(word(muster__offset(muster__heap_at(chunk)), 0), 0);
    return chunk;
}

bool muster__queue_prepare(struct muster__queue *queue, uint32_t self)
{
    muster__ref chunk = chunk_make(CHUNK_FIRST_BYTES, self);
    if (!chunk)
        return false;
    tail_set(queue, chunk);
    set(&queue->head, chunk);
    set(&queue->head_base, get(&queue->tail_base));
    return true;
}

/* The tail has been linked to tail_next, or never had another way to go: moves there. */
static void tail_move(struct muster__queue *queue)
{
    tail_set(queue, get(&queue->tail_next));
    set(&queue->put_at, at_start(get(&queue->put_at)));
    set(&queue->tail_next, 0);
}

static bool __attribute__((noinline)) link_chunk(struct muster__queue *queue, uint32_t self)
{
    muster__ref chunk = chunk_make(CHUNK_BYTES, self);
    if (!chunk)
        return false;
    _Atomic uint64_t *header = word(get(&queue->tail_base), get(&queue->put_at));
    set(&queue->tail_next, chunk);
    muster__heap_hand_over(chunk, self, 0);
    set(header + 1, chunk);
    set(header, header_of(LINK, 0));
    tail_move(queue);
    return true;
}

bool muster__queue_append(struct muster__queue *queue, const struct muster__queue_item *item, uint32_t self)
{
    uint64_t header = header_of(item->block ? BLOCK : INLINE, item->size);
    size_t bytes = record_bytes(header);
    uint64_t at = get(&queue->put_at);
    uint64_t place = (at - at_start(at)) << 3;
    if (MUSTER__UNLIKELY(place + bytes + REFERRING > get(&queue->tail_bytes))) {
        if (!link_chunk(queue, self))
            return false;
        at = get(&queue->put_at);
    }
    _Atomic uint64_t *here = word(get(&queue->tail_base), at);
    atomic_store_explicit(here + (bytes >> 3), 0, memory_order_relaxed);
    if (item->block) {
        set(&queue->pending, item->block);
        muster__heap_hand_over(item->block, item->owner, 0);
        set(here + 1, item->block);
        set(here, header);
        set(&queue->pending, 0);
    } else {
        copy((void *)(here + 1), item->bytes, item->size);
        set(here, header);
    }
    set(&queue->put_at, behind(at, bytes));
    return true;
}

/* Those that the chunk has room for. */
static int64_t append_some(struct muster__queue *queue, const char *bytes, size_t size, int64_t n)
{
    uint64_t header = header_of(INLINE, size), at = get(&queue->put_at);
    size_t words = record_bytes(header) >> 3;
    uint64_t free_words = ((get(&queue->tail_bytes) - REFERRING) >> 3) - (at - at_start(at));
    n = (uint64_t)n < free_words / words ? n : (int64_t)(free_words / words);
    if (!n)
        return 0;
    _Atomic uint64_t *first = word(get(&queue->tail_base), at), *here = first;
    for (int64_t i = 0; i < n; i++, here += words) {
        if (i)
            atomic_store_explicit(here, header, memory_order_relaxed);
        copy((void *)(here + 1), bytes + (size_t)i * size, size);
    }
    atomic_store_explicit(here, 0, memory_order_relaxed);
    set(first, header);
    set(&queue->put_at, at + (uint64_t)n * behind(0, words << 3));
    return n;
}

int64_t muster__queue_append_many(struct muster__queue *queue, const char *bytes, size_t size, int64_t n, uint32_t self)
{
    int64_t done = 0;
    while (done < n) {
        int64_t some = append_some(queue, bytes + (size_t)done * size, size, n - done);
        if (!some && !link_chunk(queue, self))
            break;
        done += some;
    }
    return done;
}

/* Without latch: by now it may be any word of the segment, or none if the queue is gone and its object another one. */
__attribute__((no_sanitize("thread"))) static uint64_t header_at(uint64_t base, uint64_t at)
{
    uint64_t size = muster__segment->size_bytes, offset = base + ((at - at_start(at)) << 3);
    bool inside = base < size && offset <= size - HEADER && base % HEADER == 0;
    return inside ? atomic_load(word(base, at)) : 0;
}

/* How many records begin here, of those that were committed together. */
static int64_t records_at(uint64_t base, uint64_t at)
{
    int64_t count = 0;
    for (uint64_t header; (header = header_at(base, at)) && record_of(header) != LINK; count++)
        at = behind(at, record_bytes(header));
    return count;
}

/*
 * Between the commit and the move of put_at the headers tell. While a chunk is being linked there is none yet, and
 * tail_base and put_at may speak of different chunks; tail_next is cleared after both have moved. No value of put_at
 * comes twice: if it and tail_next are the same afterwards, all was read at one moment.
 */
int64_t muster__queue_commits(const struct muster__queue *queue)
{
    for (;;) {
        uint64_t at = atomic_load(&queue->put_at);
        bool linking = atomic_load(&queue->tail_next);
        int64_t more = linking ? 0 : records_at(atomic_load(&queue->tail_base), at);
        if ((atomic_load(&queue->tail_next) != 0) == linking && atomic_load(&queue->put_at) == at)
            return (int64_t)(at >> MUSTER__QUEUE_AT_BITS) + more;
    }
}

/* A tail that was freed had been linked: getters leave a chunk by its LINK only. */
static bool linked(struct muster__queue *queue)
{
    muster__ref tail = get(&queue->tail);
    if (tail == get(&queue->tail_next))
        return true;
    const char *memory = muster__heap_at(tail);
    if (!memory)
        return true;
    uint64_t header = atomic_load(word(muster__offset(memory), get(&queue->put_at)));
    return record_of(header) == LINK || !muster__heap_at(tail);
}

void muster__queue_repair_put(struct muster__queue *queue, uint32_t self)
{
    muster__ref next = get(&queue->tail_next);
    if (next && linked(queue)) {
        tail_move(queue);
    } else if (next) {
        muster__heap_free(next, self);
        set(&queue->tail_next, 0);
    }
    /* From here on the tail is the last chunk, which nobody frees. */
    tail_set(queue, get(&queue->tail));
    uint64_t at = get(&queue->put_at);
    uint64_t header = atomic_load(word(get(&queue->tail_base), at));
    muster__ref pending = get(&queue->pending);
    if (!header)
        muster__heap_free(pending, self);
    set(&queue->pending, 0);
    for (; header; header = atomic_load(word(get(&queue->tail_base), at)))
        at = behind(at, record_bytes(header));
    set(&queue->put_at, at);
}

/* ---- get side ---- */

static void head_set(struct muster__queue *queue, muster__ref chunk, uint64_t place)
{
    set(&queue->head, chunk);
    set(&queue->head_base, muster__offset(muster__heap_at(chunk)));
    set(&queue->got_at, at_start(get(&queue->got_at)) + place);
}

static void __attribute__((noinline)) cross(struct muster__queue *queue, muster__ref next, size_t place, uint32_t self)
{
    muster__ref left = get(&queue->head);
    set(&queue->crossing, (uint32_t)place);
    set(&queue->retired, left);
    head_set(queue, next, place);
    muster__heap_free(left, self);
    set(&queue->retired, 0);
}

/* The first item's header and place, behind any LINK; 0: there is none. */
static uint64_t first(struct muster__queue *queue, _Atomic uint64_t **here, uint32_t self)
{
    for (;;) {
        *here = word(get(&queue->head_base), get(&queue->got_at));
        uint64_t header = atomic_load_explicit(*here, memory_order_acquire);
        if (record_of(header) != LINK)
            return header;
        cross(queue, get(*here + 1), size_of(header), self);
    }
}

muster_err muster__queue_take(struct muster__queue *queue, void *bytes, size_t capacity, size_t *size,
                              muster__ref *block, uint32_t self)
{
    _Atomic uint64_t *here;
    uint64_t header = first(queue, &here, self);
    if (!header) {
        if (!atomic_load(&queue->closed))
            return MUSTER_ERR_EMPTY;
        header = first(queue, &here, self); /* nothing comes after closed was seen */
        if (!header)
            return MUSTER_ERR_CLOSED;
    }
    *size = size_of(header);
    if (*size > capacity)
        return MUSTER_ERR_TOOBIG;
    *block = 0;
    if (record_of(header) == BLOCK) {
        *block = get(here + 1);
        muster__heap_hand_over(*block, 0, self);
    } else {
        copy(bytes, (const void *)(here + 1), *size);
    }
    set(&queue->got_at, behind(get(&queue->got_at), record_bytes(header)));
    return MUSTER_OK;
}

/* Small ones, one after the other, as far as they fit. */
static void take_records(struct muster__queue *queue, const _Atomic uint64_t *here, struct muster__queue_many *many)
{
    uint64_t at = get(&queue->got_at);
    for (uint64_t header; many->count < many->most; here += record_bytes(header) >> 3) {
        header = atomic_load_explicit(here, memory_order_acquire);
        size_t size = size_of(header);
        if (record_of(header) != INLINE || size > many->left)
            break;
        copy(many->at, (const void *)(here + 1), size);
        muster__queue_took(many, size);
        at = behind(at, record_bytes(header));
    }
    set(&queue->got_at, at);
}

muster_err muster__queue_take_some(struct muster__queue *queue, struct muster__queue_many *many, uint32_t self)
{
    int64_t before = many->count;
    uint64_t header = 0;
    _Atomic uint64_t *here;
    while (many->count < many->most && (header = first(queue, &here, self)) && size_of(header) <= many->left) {
        if (record_of(header) == INLINE) {
            take_records(queue, here, many);
            continue;
        }
        if (many->count > before)
            break;
        return muster__queue_take(queue, NULL, many->left, &many->size, &many->block, self);
    }
    if (many->count > before)
        return MUSTER_OK;
    many->size = size_of(header);
    if (header)
        return MUSTER_ERR_TOOBIG;
    if (!atomic_load(&queue->closed))
        return MUSTER_ERR_EMPTY;
    return first(queue, &here, self) ? muster__queue_take_some(queue, many, self) : MUSTER_ERR_CLOSED;
}

bool muster__queue_peek(struct muster__queue *queue, size_t *size, uint32_t self)
{
    _Atomic uint64_t *here;
    uint64_t header = first(queue, &here, self);
    *size = size_of(header);
    return header;
}

void muster__queue_repair_get(struct muster__queue *queue, uint32_t dead, uint32_t self)
{
    muster__ref retired = get(&queue->retired);
    if (retired && retired != get(&queue->head)) {
        head_set(queue, get(&queue->head), get(&queue->crossing));
        muster__heap_free(retired, self);
    }
    set(&queue->retired, 0);
    _Atomic uint64_t *here = word(get(&queue->head_base), get(&queue->got_at));
    uint64_t header = atomic_load_explicit(here, memory_order_acquire);
    if (record_of(header) == BLOCK)
        muster__heap_hand_over(get(here + 1), dead, 0);
}

static uint64_t packed_at(const char *bytes)
{
    uint64_t item;
    memcpy(&item, bytes, sizeof item);
    return item;
}

static size_t record_room(uint64_t item)
{
    return item > MUSTER__QUEUE_INLINE_MAX ? REFERRING : muster__queue_packed(item);
}

static bool fill_record(_Atomic uint64_t *here, const char *bytes, uint64_t item, uint32_t self)
{
    uint64_t header = header_of(item > MUSTER__QUEUE_INLINE_MAX ? BLOCK : INLINE, item);
    if (record_of(header) == BLOCK) {
        muster__ref block = muster__heap_alloc(item, self);
        if (!block)
            return false;
        memcpy(muster__heap_at(block), bytes, item);
        muster__heap_hand_over(block, self, 0);
        set(here + 1, block);
    } else {
        copy((void *)(here + 1), bytes, item);
    }
    set(here, header);
    return true;
}

/* Chunks that are not the queue's yet: up to the one that `end` names. */
static void drop_chunks(muster__ref chunk, muster__ref end, uint32_t self)
{
    while (chunk != end) {
        uint64_t base = muster__offset(muster__heap_at(chunk)), at = 0, header;
        for (; record_of(header = get(word(base, at))) != LINK; at += record_bytes(header) >> 3)
            if (record_of(header) == BLOCK)
                muster__heap_free(get(word(base, at) + 1), self);
        muster__ref next = get(word(base, at) + 1);
        muster__heap_free(chunk, self);
        chunk = next;
    }
}

/* A chunk with the first items that fit, *used bytes of them, and a link. 0: no memory. */
static muster__ref fill_chunk(const char *bytes, size_t size, size_t *used, int64_t *count, uint32_t self)
{
    muster__ref chunk = muster__heap_alloc(CHUNK_BYTES, self);
    if (!chunk)
        return 0;
    uint64_t base = muster__offset(muster__heap_at(chunk)), at = 0;
    bool room = true;
    for (*used = 0; *used < size; ++*count) {
        uint64_t item = packed_at(bytes + *used);
        size_t record = record_room(item);
        if ((at << 3) + record + REFERRING > CHUNK_BYTES ||
            !(room = fill_record(word(base, at), bytes + *used + sizeof item, item, self)))
            break;
        at += record >> 3;
        *used += muster__queue_packed(item);
    }
    set(word(base, at) + 1, 0);
    set(word(base, at), header_of(LINK, 0));
    if (room)
        return chunk;
    drop_chunks(chunk, 0, self);
    return 0;
}

static _Atomic uint64_t *link_of(muster__ref chunk)
{
    uint64_t base = muster__offset(muster__heap_at(chunk)), at = 0, header;
    while (record_of(header = get(word(base, at))) != LINK)
        at += record_bytes(header) >> 3;
    return word(base, at);
}

bool muster__queue_prepend(struct muster__queue *queue, const char *bytes, size_t size, uint32_t self)
{
    muster__ref first_chunk = 0;
    _Atomic uint64_t *last_link = NULL;
    uint64_t got_at = get(&queue->got_at);
    int64_t count = 0;
    for (size_t at = 0, used; at < size; at += used) {
        muster__ref chunk = fill_chunk(bytes + at, size - at, &used, &count, self);
        if (!chunk) {
            drop_chunks(first_chunk, 0, self);
            return false;
        }
        muster__heap_hand_over(chunk, self, 0);
        if (last_link)
            set(last_link + 1, chunk);
        else
            first_chunk = chunk;
        last_link = link_of(chunk);
    }
    if (!last_link)
        return true;
    set(last_link + 1, get(&queue->head));
    set(last_link, header_of(LINK, got_at - at_start(got_at)));
    set(&queue->head, first_chunk);
    set(&queue->head_base, muster__offset(muster__heap_at(first_chunk)));
    set(&queue->got_at, at_start(got_at) - ((uint64_t)count << MUSTER__QUEUE_AT_BITS));
    return true;
}

void muster__queue_drop(struct muster__queue *queue, uint32_t self)
{
    if (!muster__heap_at(get(&queue->head)))
        return;
    muster__queue_repair_get(queue, 0, self);
    _Atomic uint64_t *here;
    uint64_t header;
    while ((header = first(queue, &here, self))) {
        if (record_of(header) == BLOCK)
            muster__heap_free(get(here + 1), self);
        set(&queue->got_at, behind(get(&queue->got_at), record_bytes(header)));
    }
    muster__heap_free(get(&queue->head), self);
}

/* The chunk may be gone by now; its memory is still there to read, and the answer is only a hint. */
__attribute__((no_sanitize("thread"))) bool muster__queue_glance(const struct muster__queue *queue)
{
    const _Atomic uint64_t *here = word(get(&queue->head_base), get(&queue->got_at));
    return *(const volatile uint64_t *)(const void *)here || get(&queue->closed);
}
