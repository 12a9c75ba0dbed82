/* SPDX-License-Identifier: BSD-3-Clause */
#include "sched/context.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#if !defined(__x86_64__) && !defined(__aarch64__)
#include <ucontext.h>
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

enum {
    STACK_BYTES = 8 << 20,
    HALF = STACK_BYTES / 2, /* so much a task has at least, unless its thread's stack is smaller */
    WAITING_MAX = 1000,     /* in a thread */
};

struct stacked {
    struct stacked *next; /* that waits, or is spare */
    char *stack;          /* NULL: the thread's own */
    uintptr_t low, reserve;
    size_t bytes;
    const struct context_wait *wait;
    void (*what)(void *of);
    void *of;
    struct muster__running *running;
    const char *site;
#if defined(__x86_64__) || defined(__aarch64__)
    void *sp;
#else
    ucontext_t machine;
#endif
    void *fiber; /* a sanitizer's */
};

static MUSTER__THREAD_LOCAL struct {
    struct stacked own, *current; /* NULL: own, which has not been looked at */
    struct stacked *waiting;      /* the last one first */
    struct stacked *spare;
    int count;     /* of those that wait */
    int forbidden; /* so many times */
} here;

/* ---- changing over ---- */

static void begin(void);

#if defined(__x86_64__)

/* Keeps what a call keeps: the registers that are the callee's to save, and where the stack is. */
void muster__context_change(void **from, void *to);
__asm__(".text\n"
        ".globl muster__context_change\n"
        ".hidden muster__context_change\n"
        ".type muster__context_change, @function\n"
        "muster__context_change:\n\t"
        "pushq %rbp\n\t"
        "pushq %rbx\n\t"
        "pushq %r12\n\t"
        "pushq %r13\n\t"
        "pushq %r14\n\t"
        "pushq %r15\n\t"
        "movq %rsp, (%rdi)\n\t"
        "movq %rsi, %rsp\n\t"
        "popq %r15\n\t"
        "popq %r14\n\t"
        "popq %r13\n\t"
        "popq %r12\n\t"
        "popq %rbx\n\t"
        "popq %rbp\n\t"
        "ret\n"
        ".size muster__context_change, .-muster__context_change\n");

/* As if it had called from its first instruction: the return address is aligned as the ABI has it at an entry. */
static void prepare(struct stacked *context)
{
    uintptr_t *top = (uintptr_t *)(void *)(context->stack + STACK_BYTES) - 2;
    *top = (uintptr_t)begin;
    top[1] = 0; /* where an unwinder ends */
    for (int i = 0; i < 6; i++)
        *--top = 0;
    context->sp = top;
}

#elif defined(__aarch64__)

void muster__context_change(void **from, void *to);
__asm__(".text\n"
        ".globl muster__context_change\n"
        ".hidden muster__context_change\n"
        ".type muster__context_change, %function\n"
        "muster__context_change:\n\t"
        "sub sp, sp, #160\n\t"
        "stp x19, x20, [sp, #0]\n\t"
        "stp x21, x22, [sp, #16]\n\t"
        "stp x23, x24, [sp, #32]\n\t"
        "stp x25, x26, [sp, #48]\n\t"
        "stp x27, x28, [sp, #64]\n\t"
        "stp x29, x30, [sp, #80]\n\t"
        "stp d8, d9, [sp, #96]\n\t"
        "stp d10, d11, [sp, #112]\n\t"
        "stp d12, d13, [sp, #128]\n\t"
        "stp d14, d15, [sp, #144]\n\t"
        "mov x9, sp\n\t"
        "str x9, [x0]\n\t"
        "mov sp, x1\n\t"
        "ldp x19, x20, [sp, #0]\n\t"
        "ldp x21, x22, [sp, #16]\n\t"
        "ldp x23, x24, [sp, #32]\n\t"
        "ldp x25, x26, [sp, #48]\n\t"
        "ldp x27, x28, [sp, #64]\n\t"
        "ldp x29, x30, [sp, #80]\n\t"
        "ldp d8, d9, [sp, #96]\n\t"
        "ldp d10, d11, [sp, #112]\n\t"
        "ldp d12, d13, [sp, #128]\n\t"
        "ldp d14, d15, [sp, #144]\n\t"
        "add sp, sp, #160\n\t"
        "ret\n"
        ".size muster__context_change, .-muster__context_change\n");

static void prepare(struct stacked *context)
{
    uintptr_t *top = (uintptr_t *)(void *)(context->stack + STACK_BYTES) - 20;
    for (int i = 0; i < 20; i++)
        top[i] = 0;
    top[11] = (uintptr_t)begin; /* x30 */
    context->sp = top;
}

#else

static void prepare(struct stacked *context)
{
    getcontext(&context->machine);
    context->machine.uc_stack.ss_sp = context->stack;
    context->machine.uc_stack.ss_size = STACK_BYTES;
    context->machine.uc_link = NULL;
    makecontext(&context->machine, begin, 0);
}

#endif

static void change(struct stacked *from, struct stacked *to)
{
#if defined(__x86_64__) || defined(__aarch64__)
    muster__context_change(&from->sp, to->sp);
#else
    swapcontext(&from->machine, &to->machine);
#endif
}

/* A sanitizer hears of it. */
static void change_told(struct stacked *from, struct stacked *to)
{
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(&from->fiber, (void *)to->low, to->bytes);
    change(from, to);
    __sanitizer_finish_switch_fiber(from->fiber, NULL, NULL);
#elif defined(__SANITIZE_THREAD__)
    __tsan_switch_to_fiber(to->fiber, 0);
    change(from, to);
#else
    change(from, to);
#endif
}

static void go_on_in(struct stacked *to)
{
    struct stacked *from = here.current;
    struct muster__memory memory = muster__memory;
    from->running = muster__running;
    from->site = muster_site;
    here.current = to;
    change_told(from, to);
    muster__running = from->running;
    muster__memory_back(memory);
    muster_site = from->site;
}

/* ---- those that wait ---- */

static void add_waiting(struct stacked *context, const struct context_wait *wait)
{
    context->wait = wait;
    context->next = here.waiting;
    here.waiting = context;
    here.count++;
}

static struct stacked *remove_waiting(struct stacked **link)
{
    struct stacked *context = *link;
    *link = context->next;
    here.count--;
    return context;
}

/* A task has ended: the last one that waits goes on, and this one is free for another task. */
static void end(void)
{
    struct stacked *self = here.current;
    self->next = here.spare;
    here.spare = self;
    go_on_in(remove_waiting(&here.waiting));
}

static void begin(void)
{
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(NULL, NULL, NULL);
#endif
    for (;;) {
        muster__running = NULL;
        muster__memory_back((struct muster__memory){0});
        here.current->what(here.current->of);
        end();
    }
}

static bool is_ready(const struct stacked *context)
{
    return !context->wait || context->wait->ready(context->wait->of);
}

/* ---- stacks ---- */

static pthread_key_t thread_end;
static pthread_once_t thread_end_once = PTHREAD_ONCE_INIT;

static size_t guard_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static void free_spares(void *unused)
{
    (void)unused;
    for (struct stacked *context = here.spare, *next; context; context = next) {
        next = context->next;
#ifdef __SANITIZE_THREAD__
        __tsan_destroy_fiber(context->fiber);
#endif
        munmap(context->stack - guard_bytes(), STACK_BYTES + guard_bytes());
        free(context);
    }
    here.spare = NULL;
}

static void thread_end_make(void)
{
    pthread_key_create(&thread_end, free_spares);
}

/* Only what is touched of it is memory. */
static char *map_stack(void)
{
    char *all = mmap(NULL, STACK_BYTES + guard_bytes(), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (all == MAP_FAILED)
        return NULL;
    if (mprotect(all, guard_bytes(), PROT_NONE) == 0)
        return all + guard_bytes();
    munmap(all, STACK_BYTES + guard_bytes());
    return NULL;
}

static struct stacked *make(void)
{
    struct stacked *context = calloc(1, sizeof *context);
    char *stack = context ? map_stack() : NULL;
    if (!stack) {
        free(context);
        return NULL;
    }
    context->stack = stack;
    context->low = (uintptr_t)stack;
    context->bytes = STACK_BYTES;
    context->reserve = HALF;
#ifdef __SANITIZE_THREAD__
    context->fiber = __tsan_create_fiber(0);
#endif
    prepare(context);
    pthread_once(&thread_end_once, thread_end_make);
    pthread_setspecific(thread_end, context);
    return context;
}

static void look_at_own(void)
{
    pthread_attr_t attr;
    void *low;
    size_t size;
    here.current = &here.own;
#ifdef __SANITIZE_THREAD__
    here.own.fiber = __tsan_get_current_fiber();
#endif
    if (pthread_getattr_np(pthread_self(), &attr) != 0)
        return;
    if (pthread_attr_getstack(&attr, &low, &size) == 0) {
        here.own.low = (uintptr_t)low;
        here.own.bytes = size;
        here.own.reserve = size / 2 < HALF ? size / 2 : HALF;
    }
    pthread_attr_destroy(&attr);
}

bool context_has_room(void)
{
    if (MUSTER__UNLIKELY(!here.current))
        look_at_own();
    return (uintptr_t)__builtin_frame_address(0) - here.current->low >= here.current->reserve;
}

/* ---- the door ---- */

static bool may_change(void)
{
    if (MUSTER__UNLIKELY(!here.current))
        look_at_own();
    return !muster__self_state.pins && !here.forbidden;
}

void context_forbid(bool on)
{
    here.forbidden += on ? 1 : -1;
}

bool context_forbidden(void)
{
    return here.forbidden;
}

bool context_may_run(void)
{
    return may_change() && here.count < WAITING_MAX;
}

static bool begin_in_another(void (*what)(void *of), void *of, const struct context_wait *wait)
{
    struct stacked *context = here.spare ? here.spare : make();
    if (!context)
        return false;
    if (context == here.spare)
        here.spare = context->next;
    context->what = what;
    context->of = of;
    add_waiting(here.current, wait);
    go_on_in(context);
    return true;
}

bool context_run(void (*what)(void *of), void *of, const struct context_wait *wait)
{
    return may_change() && begin_in_another(what, of, wait);
}

static bool not_before(const void *unused)
{
    (void)unused;
    return false;
}

static void nothing(const void *unused)
{
    (void)unused;
}

bool context_call(void (*what)(void *of), void *of)
{
    static const struct context_wait until_it_returns = {not_before, nothing, nothing, NULL, MUSTER__NEVER};
    if (MUSTER__UNLIKELY(!here.current))
        look_at_own();
    context_forbid(true);
    bool called = begin_in_another(what, of, &until_it_returns);
    context_forbid(false);
    return called;
}

bool context_let(const struct context_wait *wait)
{
    struct stacked **link = &here.waiting;
    if (MUSTER__LIKELY(!here.waiting) || !may_change())
        return false;
    while (*link && !is_ready(*link))
        link = &(*link)->next;
    if (!*link)
        return false;
    struct stacked *other = remove_waiting(link);
    add_waiting(here.current, wait);
    go_on_in(other);
    return true;
}

bool context_any(void)
{
    return here.waiting != NULL;
}

bool context_ready(void)
{
    for (const struct stacked *context = here.waiting; context; context = context->next)
        if (is_ready(context))
            return true;
    return false;
}

void context_stand_by(void)
{
    for (const struct stacked *context = here.waiting; context; context = context->next)
        if (context->wait)
            context->wait->stand_by(context->wait->of);
}

void context_stand_down(void)
{
    for (const struct stacked *context = here.waiting; context; context = context->next)
        if (context->wait)
            context->wait->stand_down(context->wait->of);
}

int64_t context_until(void)
{
    int64_t until = MUSTER__NEVER;
    for (const struct stacked *context = here.waiting; context; context = context->next)
        if (context->wait && context->wait->until_ns < until)
            until = context->wait->until_ns;
    return until;
}
