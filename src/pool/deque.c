#include "pool/deque.h"

static _Atomic uint64_t *slot_at(uint64_t buffer, int64_t index)
{
    uint64_t mask = ((uint64_t)1 << (DEQUE_FIRST_BITS + (buffer & 31))) - 1;
    return (_Atomic uint64_t *)muster__at(buffer >> 5) + ((uint64_t)index & mask);
}

static int64_t capacity(uint64_t buffer)
{
    return (int64_t)1 << (DEQUE_FIRST_BITS + (buffer & 31));
}

/* The ref is stored before the block is handed over: deque_repair adopts it if the owner dies in between. */
static bool grow(struct deque *deque, int64_t top, int64_t bottom, uint32_t self)
{
    uint64_t old = atomic_load_explicit(&deque->buffer, memory_order_relaxed);
    unsigned number = old ? (unsigned)(old & 31) + 1 : 0;
    if (number >= DEQUE_BUFFERS)
        return false;
    if (!deque->buffers[number]) {
        muster__ref ref = muster__heap_alloc(sizeof(uint64_t) << (DEQUE_FIRST_BITS + number), self);
        if (!ref)
            return false;
        deque->buffers[number] = ref;
        muster__heap_hand_over(ref, self, deque->holder);
    }
    uint64_t wider = muster__offset(muster__heap_at(deque->buffers[number])) << 5 | number;
    for (int64_t i = top; i < bottom; i++)
        atomic_store_explicit(slot_at(wider, i), atomic_load_explicit(slot_at(old, i), memory_order_relaxed),
                              memory_order_relaxed);
    atomic_store_explicit(&deque->buffer, wider, memory_order_release);
    return true;
}

void deque_init(struct deque *deque, uint32_t holder)
{
    deque->holder = holder;
}

bool deque_push(struct deque *deque, uint64_t entry, uint32_t self)
{
    int64_t bottom = atomic_load_explicit(&deque->bottom, memory_order_relaxed);
    int64_t top = atomic_load_explicit(&deque->top, memory_order_acquire);
    uint64_t buffer = atomic_load_explicit(&deque->buffer, memory_order_relaxed);
    if (MUSTER__UNLIKELY(!buffer || bottom - top >= capacity(buffer))) {
        if (!grow(deque, top, bottom, self))
            return false;
        buffer = atomic_load_explicit(&deque->buffer, memory_order_relaxed);
    }
    atomic_store_explicit(slot_at(buffer, bottom), entry, memory_order_relaxed);
    atomic_store_explicit(&deque->bottom, bottom + 1, memory_order_release);
    return true;
}

bool deque_peek(const struct deque *deque, uint64_t *entry)
{
    int64_t bottom = atomic_load_explicit(&deque->bottom, memory_order_relaxed);
    if (bottom <= atomic_load_explicit(&deque->top, memory_order_relaxed))
        return false;
    uint64_t buffer = atomic_load_explicit(&deque->buffer, memory_order_relaxed);
    *entry = atomic_load_explicit(slot_at(buffer, bottom - 1), memory_order_relaxed);
    return true;
}

bool deque_take_begin(struct deque *deque, uint64_t *entry)
{
    int64_t bottom = atomic_load_explicit(&deque->bottom, memory_order_relaxed);
    if (bottom <= atomic_load_explicit(&deque->top, memory_order_relaxed))
        return false;
    bottom--;
    atomic_store_explicit(&deque->bottom, bottom, memory_order_relaxed);
    uint64_t buffer = atomic_load_explicit(&deque->buffer, memory_order_relaxed);
    *entry = atomic_load_explicit(slot_at(buffer, bottom), memory_order_relaxed);
    return true;
}

/* bottom was lowered and a full barrier passed: thieves that read top from now on see the entry gone. If it was the
 * last one, top moves past it, so that a thief that saw it before fails. */
void deque_take_end(struct deque *deque)
{
    int64_t bottom = atomic_load_explicit(&deque->bottom, memory_order_relaxed);
    int64_t top = atomic_load_explicit(&deque->top, memory_order_relaxed);
    if (top < bottom)
        return;
    if (top == bottom)
        atomic_compare_exchange_strong(&deque->top, &top, top + 1);
    atomic_store_explicit(&deque->bottom, bottom + 1, memory_order_relaxed);
}

bool deque_steal_begin(const struct deque *deque, uint64_t *entry, int64_t *at)
{
    int64_t top = atomic_load_explicit(&deque->top, memory_order_acquire);
    atomic_thread_fence(memory_order_seq_cst);
    int64_t bottom = atomic_load_explicit(&deque->bottom, memory_order_acquire);
    if (top >= bottom)
        return false;
    uint64_t buffer = atomic_load_explicit(&deque->buffer, memory_order_acquire);
    *entry = atomic_load_explicit(slot_at(buffer, top), memory_order_relaxed);
    *at = top;
    return true;
}

/* While top is `at` no other entry can come to stand there: the owner moves top when it takes the last one. So this
 * takes out the entry that was offered, or nothing. */
void deque_steal_end(struct deque *deque, int64_t at)
{
    atomic_compare_exchange_strong(&deque->top, &at, at + 1);
}

int64_t deque_size(const struct deque *deque)
{
    int64_t top = atomic_load_explicit(&deque->top, memory_order_acquire);
    int64_t size = atomic_load_explicit(&deque->bottom, memory_order_acquire) - top;
    return size > 0 ? size : 0;
}

void deque_repair(struct deque *deque, uint32_t dead)
{
    for (int i = 0; i < DEQUE_BUFFERS; i++)
        muster__heap_hand_over(deque->buffers[i], dead, deque->holder);
    int64_t top = atomic_load(&deque->top);
    while (top < atomic_load(&deque->bottom))
        if (atomic_compare_exchange_strong(&deque->top, &top, top + 1))
            top++;
    atomic_store(&deque->bottom, atomic_load(&deque->top));
}
