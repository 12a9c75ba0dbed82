#include "segment/segment.h"

#include <pthread.h>
#include <string.h>

#include "segment/heap.h"

#define MAGIC UINT64_C(0x6d75737465722031)

struct muster__segment *muster__segment;
MUSTER__THREAD_LOCAL struct muster__self muster__self_state;
muster_err (*muster__caller_adopt)(void);

static pthread_key_t thread_end;
static pthread_once_t thread_end_once = PTHREAD_ONCE_INIT;

static uint64_t page_up(uint64_t offset)
{
    return (offset + 4095) & ~UINT64_C(4095);
}

muster_err muster__segment_format(void *memory, size_t size_bytes, uint32_t job, uint32_t host, int arenas)
{
    if (size_bytes < MUSTER__SEGMENT_MIN || arenas < 1)
        return muster__fail(MUSTER_ERR_INVAL, "segment of %zu bytes: at least %zu are needed", size_bytes,
                            MUSTER__SEGMENT_MIN);
    struct muster__segment *segment = memory;
    segment->size_bytes = size_bytes;
    segment->job = job;
    segment->host = host;
    segment->arenas = (uint32_t)(arenas < MUSTER__ARENAS_MAX ? arenas : MUSTER__ARENAS_MAX);
    segment->cores = 1;
    segment->caller_hint = 1;
    segment->callers_high = 1;
    segment->callers_offset = page_up(sizeof *segment);
    segment->objects_offset = page_up(segment->callers_offset + MUSTER__CALLERS_MAX * sizeof(struct muster__caller));
    segment->arenas_offset = page_up(segment->objects_offset + MUSTER__OBJECTS_MAX * sizeof(struct muster__object));
    uint64_t heap = page_up(segment->arenas_offset + segment->arenas * sizeof(struct muster__arena));
    muster__heap_format(segment, heap, size_bytes);
    atomic_thread_fence(memory_order_release);
    segment->magic = MAGIC;
    return MUSTER_OK;
}

void muster__segment_attach(void *memory)
{
    struct muster__segment *segment = memory;
    MUSTER__CHECK_EQ(segment->magic, MAGIC);
    muster__segment = segment;
}

void muster__segment_detach(void)
{
    muster__caller_leave();
    muster__segment = NULL;
}

/* ---- callers ---- */

static void thread_ended(void *unused)
{
    (void)unused;
    if (muster__segment)
        muster__caller_leave();
}

static void thread_end_make(void)
{
    pthread_key_create(&thread_end, thread_ended);
}

static void raise_high(_Atomic uint32_t *high, uint32_t above)
{
    uint32_t seen = atomic_load(high);
    while (seen < above && !atomic_compare_exchange_weak(high, &seen, above))
        ;
}

muster_err muster__caller_make(uint32_t member, uint32_t *number_made)
{
    uint32_t start = atomic_load(&muster__segment->caller_hint);
    for (uint32_t i = 0; i < MUSTER__CALLERS_MAX - 1; i++) {
        uint32_t number = 1 + (start - 1 + i) % (MUSTER__CALLERS_MAX - 1);
        struct muster__caller *caller = muster__caller(number);
        uint32_t nobody = 0;
        if (atomic_load(&caller->live))
            continue;
        raise_high(&muster__segment->callers_high, number + 1); /* first: the sweeper must find whoever dies here */
        if (!atomic_compare_exchange_strong(&caller->live, &nobody, member + 1))
            continue;
        caller->arena = 0;
        caller->incarnation++;
        caller->heeds_signal = caller->asks = false;
        atomic_store(&caller->canceled, 0);
        atomic_store(&caller->relay, 0);
        atomic_store(&caller->asleep, 1);
        atomic_store(&muster__segment->caller_hint, number);
        *number_made = number;
        return MUSTER_OK;
    }
    return muster__fail(MUSTER_ERR_NOMEM, "more than %d threads use muster on this host", MUSTER__CALLERS_MAX - 1);
}

static void counts(struct muster__self self, bool awake)
{
    if (!self.number)
        return;
    atomic_store(&self.caller->asleep, !awake);
    atomic_fetch_add(&muster__segment->awake, awake ? 1 : -1);
}

void muster__caller_blocks(bool blocks)
{
    counts(muster__self_state, !blocks);
}

/* One thread counts once. */
struct muster__self muster__caller_act(uint32_t number)
{
    struct muster__self before = muster__self_state;
    muster__self_state = (struct muster__self){.caller = muster__caller(number), .number = number};
    counts(before, false);
    counts(muster__self_state, true);
    return before;
}

void muster__caller_rest(struct muster__self before)
{
    counts(muster__self_state, false);
    counts(before, true);
    muster__self_state = before;
}

muster_err muster__caller_enter(uint32_t member, bool heeds_signal)
{
    uint32_t number;
    muster_err err = muster__caller_make(member, &number);
    if (err)
        return err;
    muster__caller_act(number);
    muster__self_state.caller->heeds_signal = heeds_signal;
    pthread_once(&thread_end_once, thread_end_make);
    pthread_setspecific(thread_end, muster__self_state.caller);
    return MUSTER_OK;
}

void muster__caller_relay(uint32_t number, uint32_t to)
{
    atomic_store(&muster__caller(number)->relay, to);
}

void muster__caller_cancel(uint32_t number)
{
    struct muster__caller *caller = muster__caller(number);
    atomic_store(&caller->canceled, 1);
    uint64_t word = atomic_load(&caller->sleeps_on);
    if (word)
        muster__futex_wake((_Atomic uint32_t *)muster__at(word), -1);
}

void muster__caller_moves(uint32_t member)
{
    atomic_store(&muster__self_state.caller->live, member + 1);
}

void muster__caller_near(uint32_t node)
{
    muster__self_state.caller->arena = node % muster__segment->arenas;
}

void (*muster__caller_gone)(uint32_t number, uint32_t incarnation, bool died);

static void caller_free(struct muster__caller *caller)
{
    if (caller->asks && muster__caller_gone)
        muster__caller_gone((uint32_t)(caller - muster__caller(0)), caller->incarnation,
                            caller != muster__self_state.caller);
    if (!atomic_exchange(&caller->asleep, 0))
        atomic_fetch_sub(&muster__segment->awake, 1);
    atomic_store(&caller->using, 0);
    atomic_store(&caller->live, 0);
    uint32_t number = (uint32_t)(caller - muster__caller(0));
    if (number < atomic_load(&muster__segment->caller_hint))
        atomic_store(&muster__segment->caller_hint, number); /* low numbers first: sweeps look at few */
}

void muster__caller_leave(void)
{
    if (!muster__self_state.number)
        return;
    caller_free(muster__self_state.caller);
    muster__caller_forget();
}

void muster__caller_forget(void)
{
    muster__self_state = (struct muster__self){0};
}

/* ---- after a death ---- */

static const struct muster__class *classes[MUSTER__KINDS];

void muster__class_register(enum muster__kind kind, const struct muster__class *class)
{
    classes[kind] = class;
}

static bool caller_of(const struct muster__caller *caller, uint32_t member)
{
    return atomic_load(&caller->live) == member + 1;
}

static void sweep_objects(uint32_t dead, uint32_t self)
{
    uint32_t high = atomic_load(&muster__segment->objects_high);
    for (uint32_t slot = 0; slot < high; slot++) {
        struct muster__object *object = muster__object_slot(slot);
        struct muster__tag tag = muster__tag_unpack(atomic_load(&object->tag));
        if (tag.state == MUSTER__TAG_CLAIMED && tag.claimer == dead)
            muster__object_retire(object, tag.generation);
        else if (tag.state == MUSTER__TAG_LIVE && classes[tag.kind] && classes[tag.kind]->sweep)
            classes[tag.kind]->sweep(object, tag.generation, dead, self);
    }
}

void muster__sweep_heap(uint32_t member, uint32_t self)
{
    uint32_t high = atomic_load(&muster__segment->callers_high);
    for (uint32_t dead = 1; dead < high; dead++)
        if (caller_of(muster__caller(dead), member))
            muster__heap_sweep_latches(dead, self);
}

/* Blocks come last: the repairs before decide which of them an object holds already. A number is freed at the very end,
 * so that it cannot be reused while something still names the dead one. */
void muster__sweep_member(uint32_t member, uint32_t self)
{
    muster__sweep_heap(member, self);
    uint32_t high = atomic_load(&muster__segment->callers_high);
    for (uint32_t dead = 1; dead < high; dead++) {
        if (!caller_of(muster__caller(dead), member))
            continue;
        sweep_objects(dead, self);
        muster__heap_sweep(dead, self);
        caller_free(muster__caller(dead));
    }
}

void muster__end_all_objects(void)
{
    uint32_t high = atomic_load(&muster__segment->objects_high);
    for (uint32_t slot = 0; slot < high; slot++) {
        struct muster__object *object = muster__object_slot(slot);
        struct muster__tag tag = muster__tag_unpack(atomic_load(&object->tag));
        if (tag.state == MUSTER__TAG_LIVE && classes[tag.kind] && classes[tag.kind]->end)
            classes[tag.kind]->end(object, tag.generation);
    }
}

const char *muster__class_name(enum muster__kind kind)
{
    return kind < MUSTER__KINDS && classes[kind] ? classes[kind]->name : "object";
}
