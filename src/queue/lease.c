#include "queue/internal.h"

#include <pthread.h>

/* ---- who goes on: the agent's ---- */

/* An item by itself counts; after so many a lease pays. A lease that was called back soon makes it twice as many. */
enum { NEED = 4, NEED_MAX = 1024, HABITS = 4096 };

struct wish {
    uint32_t count, need;
    bool granted;
};

/* Two that fall on the same place forget each other, which costs a lease that would have paid. */
struct habit {
    uint32_t slot, generation;
    int host;
    struct wish put, get;
    int64_t gets; /* of the queue, when the host got its last one */
};

static struct habit *habit_of(muster_handle handle, int host)
{
    static struct habit habits[HABITS];
    struct habit *habit = &habits[(handle.slot + (uint32_t)host * 257) % HABITS];
    if (habit->slot != handle.slot || habit->generation != handle.generation || habit->host != host)
        *habit = (struct habit){
            .slot = handle.slot, .generation = handle.generation, .host = host, .put.need = NEED, .get.need = NEED};
    return habit;
}

/* Whether a lease should begin. */
static bool grows(struct wish *wish, bool has_it, bool goes_on)
{
    if (wish->granted && !has_it) {
        wish->granted = false;
        wish->count = 0;
        wish->need = wish->need < NEED_MAX ? 2 * wish->need : NEED_MAX;
    }
    wish->count = goes_on ? wish->count + 1 : 1;
    return !has_it && wish->count >= wish->need;
}

static uint64_t bit_of(int host)
{
    return UINT64_C(1) << host % 64;
}

static void begin(muster_handle handle, int host, enum queue_operation operation)
{
    muster__remote_note(&(struct muster__call){.object = handle, .at = host + 1, .operation = (uint32_t)operation});
}

void lease_note_put(muster_handle handle, struct muster__queue *queue, int host)
{
    struct wish *wish = &habit_of(handle, host)->put;
    uint64_t bit = bit_of(host);
    if (queue->maxsize || host == (int)muster__segment->host ||
        !grows(wish, atomic_load(&queue->lessees) & bit && wish->granted, true))
        return;
    atomic_fetch_or(&queue->users, bit);
    uint64_t before = atomic_fetch_or(&queue->lessees, bit);
    if (atomic_load(&queue->barred)) { /* who settles may have looked already */
        if (!(before & bit))
            atomic_fetch_and(&queue->lessees, ~bit);
        return;
    }
    wish->granted = true;
    begin(handle, host, QUEUE_LEND_PUT);
}

void lease_note_get(muster_handle handle, struct muster__queue *queue, int host)
{
    struct habit *habit = habit_of(handle, host);
    int64_t gets = muster__queue_gets(queue);
    bool alone = gets == habit->gets + 1;
    habit->gets = gets;
    if (queue->maxsize || host == (int)muster__segment->host ||
        !grows(&habit->get, atomic_load(&queue->lent) == (uint32_t)host + 1, alone) || atomic_load(&queue->lent))
        return;
    atomic_fetch_or(&queue->users, bit_of(host));
    if (muster__queue_lend(queue, handle.generation, muster__self_state.number, (uint32_t)host + 1) !=
        (uint32_t)host + 1)
        return;
    habit->get.granted = true;
    begin(handle, host, QUEUE_LEND_GET);
    pipe_lend(handle, queue, host);
}

/* ---- the end of leases ---- */

/* Of a lost host there is nothing to come. */
static muster_err recall(muster_handle handle, struct muster__queue *queue, int host, enum queue_operation operation,
                         uint32_t self)
{
    struct muster__call call = {.object = handle,
                                .at = host + 1,
                                .operation = (uint32_t)operation,
                                .timeout_ms = MUSTER_FOREVER,
                                .anonymous = true,
                                .ordered = true,
                                .keeps = true};
    muster_err err = muster__remote_call(&call, "a queue's lease");
    if (err == MUSTER_OK && call.reply_block)
        err =
            muster__queue_put_back(queue, handle.generation, self, muster__heap_at(call.reply_block), call.reply_size);
    muster__heap_free(call.reply_block, self);
    return err == MUSTER_ERR_PEER || err == MUSTER_ERR_STALE ? MUSTER_OK : err;
}

static bool in(uint64_t bits, int host)
{
    return bits & bit_of(host) && host != (int)muster__segment->host;
}

/* One at a time: what a stock gives back comes once. All are threads of the agent's rank. */
static pthread_mutex_t settling = PTHREAD_MUTEX_INITIALIZER;

static muster_err settle_puts(muster_handle handle, struct muster__queue *queue, uint32_t self)
{
    muster_err err = MUSTER_OK;
    uint64_t lessees = atomic_load(&queue->lessees);
    for (int host = 0; lessees && host < muster_hosts() && err == MUSTER_OK; host++)
        if (in(lessees, host))
            err = recall(handle, queue, host, QUEUE_RECALL_PUT, self);
    if (err == MUSTER_OK)
        atomic_fetch_and(&queue->lessees, ~lessees);
    return err;
}

/* Nothing is sent any more from the start, even if the answer finds no room here and somebody has to ask again. */
static muster_err settle_gets(muster_handle handle, struct muster__queue *queue, uint32_t self)
{
    uint32_t lent =
        muster__queue_lend(queue, handle.generation, self, MUSTER__QUEUE_RECALLED) & ~MUSTER__QUEUE_RECALLED;
    if (!lent)
        return MUSTER_OK;
    muster_err err = recall(handle, queue, (int)lent - 1, QUEUE_RECALL_GET, self);
    if (err != MUSTER_OK)
        return err;
    atomic_store(&queue->ships, 0);
    muster__queue_lend(queue, handle.generation, self, 0);
    muster__event_wake(&queue->items, -1);
    return MUSTER_OK;
}

muster_err lease_settle(muster_handle handle, struct muster__queue *queue, uint32_t self)
{
    pthread_mutex_lock(&settling);
    atomic_fetch_add(&queue->barred, 1);
    muster_err err = settle_puts(handle, queue, self);
    muster_err second = settle_gets(handle, queue, self);
    atomic_fetch_sub(&queue->barred, 1);
    pthread_mutex_unlock(&settling);
    return err ? err : second;
}

void lease_end(muster_handle handle, struct muster__queue *queue)
{
    atomic_fetch_add(&queue->barred, 1);
    uint64_t users = atomic_load(&queue->users);
    for (int host = 0; users && host < muster_hosts(); host++) {
        struct muster__call call = {
            .object = handle, .at = host + 1, .operation = QUEUE_END, .timeout_ms = MUSTER_FOREVER, .anonymous = true};
        if (in(users, host))
            muster__remote_call(&call, "a queue's lease");
    }
    if (users) /* last: nothing comes any more */
        muster__remote_note(
            &(struct muster__call){.object = handle, .at = (int)muster__segment->host + 1, .operation = QUEUE_END});
}
