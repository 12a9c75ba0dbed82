/* SPDX-License-Identifier: BSD-3-Clause */
#include "sched/deque.h"

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
        atomic_store_explicit(deque_at(wider, i), atomic_load_explicit(deque_at(old, i), memory_order_relaxed),
                              memory_order_release);
    atomic_store_explicit(&deque->buffer, wider, memory_order_release);
    return true;
}

void deque_init(struct deque *deque, uint32_t holder)
{
    deque->holder = holder;
}

bool deque_push_wider(struct deque *deque, uint64_t entry, uint32_t self)
{
    int64_t bottom = atomic_load_explicit(&deque->bottom, memory_order_relaxed);
    int64_t top = atomic_load_explicit(&deque->top, memory_order_acquire);
    return grow(deque, top, bottom, self) && deque_push(deque, entry, self);
}

bool deque_steal_begin(const struct deque *deque, uint64_t *entry, int64_t *at)
{
    int64_t top = atomic_load_explicit(&deque->top, memory_order_acquire);
    atomic_thread_fence(memory_order_seq_cst);
    int64_t bottom = atomic_load_explicit(&deque->bottom, memory_order_acquire);
    if (top >= bottom)
        return false;
    uint64_t buffer = atomic_load_explicit(&deque->buffer, memory_order_acquire);
    *entry = atomic_load_explicit(deque_at(buffer, top), memory_order_acquire);
    *at = top;
    return true;
}

/* While top is `at` no other entry can come to stand there: the owner moves top when it takes the last one. So this
 * takes out the entry that was offered, or nothing. */
void deque_steal_end(struct deque *deque, int64_t at)
{
    atomic_compare_exchange_strong(&deque->top, &at, at + 1);
}

void deque_hollow(struct deque *deque)
{
    if (deque_size(deque) > 0)
        return;
    for (int i = 0; i < DEQUE_BUFFERS; i++)
        if (deque->buffers[i])
            muster__heap_hollow(muster__heap_at(deque->buffers[i]), sizeof(uint64_t) << (DEQUE_FIRST_BITS + i));
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
