/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A runtime without MPI and without processes: children are threads of this program, so that pools run where a
 * sanitizer sees all of it. Nobody dies here.
 */
#ifndef THREAD_RUNTIME_H
#define THREAD_RUNTIME_H

#include "shared_case.h"

#include "remote/remote.h"

enum { FAKE_MEMBERS = 64 };

static struct fake_member {
    struct muster__child child;
    char arg[64];
    pthread_t thread;
    _Atomic bool used, ended;
    struct muster__event changed;
} fake_members[FAKE_MEMBERS];
static _Thread_local uint32_t fake_self; /* 0: the test's own thread and others that it starts */

MUSTER__THREAD_LOCAL struct muster__running *muster__running;
void (*muster__child_died)(uint32_t member, uint32_t self);
void (*muster__before_stop)(void);

muster_err muster__runtime_require(const char *operation)
{
    (void)operation;
    return muster__self_number() ? MUSTER_OK : MUSTER_ERR_STATE;
}

uint32_t muster__member_self(void)
{
    return fake_self;
}

int muster__member_rank(uint32_t member)
{
    return (int)member;
}

const char *muster__host_name(void)
{
    return "here";
}

int muster__host_ranks(void)
{
    return 1;
}

uint32_t muster__rank_caller(int local)
{
    return (uint32_t)local;
}

bool muster__is_rank_main(void)
{
    return false;
}

bool muster__is_spmd(void)
{
    return false;
}

int muster__member_distance(uint32_t a, uint32_t b)
{
    return a % 2 == b % 2 ? 0 : 1;
}

void muster__rank_occupies(int local, int change)
{
    (void)local;
    (void)change;
}

void muster__service_register(const struct muster__service *service)
{
    (void)service;
}

/* ---- functions ---- */

muster_err muster__function_name(const void *pointer, muster__function *function)
{
    *function = (uintptr_t)pointer;
    return MUSTER_OK;
}

muster_err muster__function_find(muster__function function, void **pointer)
{
    *pointer = (void *)(uintptr_t)function; /* NOLINT: what function_name was given */
    return MUSTER_OK;
}

void muster__function_describe(muster__function function, char *text, size_t size)
{
    snprintf(text, size, "%llx", (unsigned long long)function);
}

/* ---- other hosts: there are none ---- */

int muster_hosts(void)
{
    return (int)muster__segment->host + 1;
}

int muster_ranks(void)
{
    return 1;
}

int muster__rank_of_local(int local)
{
    return local;
}

int muster__host_of_rank(int rank)
{
    (void)rank;
    return (int)muster__segment->host;
}

const char *muster__host_name_of(int host)
{
    (void)host;
    return "here";
}

int muster__modules_count(void)
{
    return 0;
}

struct muster__module muster__module_at(int index)
{
    fail_msg("module %d was asked for", index);
    return (struct muster__module){0};
}

struct muster__module muster__module_of(muster__function function)
{
    (void)function;
    return (struct muster__module){0};
}

muster_err muster__module_note(const struct muster__module *module)
{
    (void)module;
    return MUSTER_OK;
}

_Noreturn void muster__host_end(void)
{
    abort();
}

void muster__thread_serves(void)
{
}

void muster__errands_register(enum muster__kind kind, const struct muster__errands *errands)
{
    (void)kind;
    (void)errands;
}

void muster__remote_on_look(void (*look)(void))
{
    (void)look;
}

void muster__remote_relay(uint32_t caller, bool on)
{
    fail_msg("caller %u was left to an agent: %d", caller, on);
}

muster_err muster__remote_begin(struct muster__call *call, const char *operation)
{
    fail_msg("call %p to another host: %s", (void *)call, operation);
    return MUSTER_ERR_UNSUPPORTED;
}

muster_err muster__remote_call(struct muster__call *call, const char *operation)
{
    return muster__remote_begin(call, operation);
}

bool muster__remote_ready(const struct muster__call *call)
{
    fail_msg("no call %p was begun", (const void *)call);
    return false;
}

void muster__remote_cancel(const struct muster__call *call)
{
    fail_msg("no call %p was begun", (const void *)call);
}

muster_err muster__remote_end(struct muster__call *call)
{
    fail_msg("no call %p was begun", (void *)call);
    return MUSTER_ERR_UNSUPPORTED;
}

muster_err muster__do(muster_handle handle, enum muster__kind kind, uint32_t op, struct muster__arg *arg,
                      int64_t timeout_ms)
{
    (void)kind, (void)arg, (void)timeout_ms;
    fail_msg("operation %u on object %u of another host", op, handle.slot);
    return MUSTER_ERR_UNSUPPORTED;
}

muster_err muster__watch_begin(muster_handle handle, uint32_t op, const struct muster__arg *arg, muster__ref *watch)
{
    (void)arg, (void)watch;
    fail_msg("operation %u on object %u of another host is watched", op, handle.slot);
    return MUSTER_ERR_UNSUPPORTED;
}

muster_err muster__watch_end(muster__ref watch, struct muster__arg *arg)
{
    (void)arg;
    fail_msg("no watch %llu was begun", (unsigned long long)watch);
    return MUSTER_ERR_UNSUPPORTED;
}

void muster__watch_leave(muster__ref watch)
{
    fail_msg("no watch %llu was begun", (unsigned long long)watch);
}

muster_err muster__give(struct muster__step *step, const void *bytes, size_t size)
{
    (void)bytes;
    fail_msg("%zu bytes for host %d", size, step->host);
    return MUSTER_ERR_UNSUPPORTED;
}

/* ---- children ---- */

muster_err muster__child_claim(const struct muster__child *child, uint32_t *number)
{
    for (uint32_t i = 1; i < FAKE_MEMBERS; i++) {
        bool expected = false;
        if (!atomic_compare_exchange_strong(&fake_members[i].used, &expected, true))
            continue;
        struct fake_member *member = &fake_members[i];
        member->child = *child;
        atomic_store(&member->ended, false);
        assert_in_range(child->size_bytes, 0, sizeof member->arg);
        memcpy(member->arg, child->arg, child->size_bytes);
        *number = i;
        return MUSTER_OK;
    }
    return MUSTER_ERR_NOMEM;
}

static void *fake_child(void *arg)
{
    struct fake_member *member = arg;
    fake_self = (uint32_t)(member - fake_members);
    if (muster__caller_enter(fake_self, false) != MUSTER_OK)
        abort();
    member->child.main(member->arg, member->child.size_bytes);
    atomic_store(&member->ended, true);
    muster__event_signal(&member->changed, -1);
    muster__caller_leave();
    return NULL;
}

muster_err muster__child_start(uint32_t member)
{
    return pthread_create(&fake_members[member].thread, NULL, fake_child, &fake_members[member]) ? MUSTER_ERR_SYSTEM
                                                                                                 : MUSTER_OK;
}

void muster__child_info(uint32_t member, struct muster__member_info *info)
{
    memset(info, 0, sizeof *info);
    info->state = atomic_load(&fake_members[member].ended) ? MUSTER__MEMBER_ENDED : MUSTER__MEMBER_ALIVE;
}

struct muster__event *muster__child_event(uint32_t member)
{
    return &fake_members[member].changed;
}

void muster__child_release(uint32_t member)
{
    pthread_join(fake_members[member].thread, NULL);
    atomic_store(&fake_members[member].used, false);
}

void muster__child_signal(uint32_t member, int signal)
{
    fail_msg("member %u was sent signal %d", member, signal);
}

MUSTER__THREAD_LOCAL struct muster__memory muster__memory;
void muster__memory_watch(struct muster__memory memory)
{
    (void)memory;
}
void muster__memory_begin(uint64_t limit)
{
    (void)limit;
}

void muster__child_limit(uint32_t member, int64_t deadline_ns)
{
    (void)member;
    (void)deadline_ns;
}

bool muster__child_overran(uint32_t member)
{
    (void)member;
    return false;
}

/* Threads that the test starts itself become callers on first use. */
static muster_err fake_adopt(void)
{
    return muster__caller_enter(0, false);
}

#endif
