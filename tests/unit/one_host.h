/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Public calls without MPI and without other hosts: what the layers below the kinds ask of the runtime and the
 * transport, where there is one host. For several see process_hosts.h.
 */
#ifndef MUSTER_TESTS_ONE_HOST_H
#define MUSTER_TESTS_ONE_HOST_H

#define CASE_HOST 0 /* the only one */
#include "shared_case.h"

#include "remote/remote.h"
#include "transport/transport.h"

muster_err muster__runtime_require(const char *operation)
{
    (void)operation;
    return muster__self_number() ? MUSTER_OK : MUSTER_ERR_STATE;
}

const char *muster__host_name(void)
{
    return "host";
}

int muster_hosts(void)
{
    return 1;
}

int muster_ranks(void)
{
    return 1;
}

int muster_cores(void)
{
    return 2;
}

int muster__host_ranks(void)
{
    return 1;
}

int muster__seats_free(void)
{
    return 1;
}

uint32_t muster__member_self(void)
{
    return 0;
}

_Noreturn void muster__host_end(void)
{
    abort();
}

void muster__thread_serves(void)
{
}

void muster__rounds_end(uint32_t ended, bool all)
{
    (void)ended;
    (void)all;
}

void muster__host_stop(void)
{
}

void muster__hosts_register(const struct muster__hosts *hooks)
{
    (void)hooks;
}

/* ---- there is nobody to send to ---- */

muster_err muster__mail_start(const struct muster__world *world)
{
    (void)world;
    return MUSTER_ERR_UNSUPPORTED;
}

void muster__mail_stop(void)
{
}

void muster__mail_introduce(const void *mine, size_t size, void *all)
{
    (void)mine, (void)size, (void)all;
}

bool muster__mail_send(int host, const void *bytes, size_t size)
{
    (void)host, (void)bytes, (void)size;
    return false;
}

int muster__mail_poll(void (*receive)(int host, const void *bytes, size_t size))
{
    (void)receive;
    return 0;
}

bool muster__mail_all_met(bool begin)
{
    return begin;
}

void muster__bulk_send(int host, uint32_t channel, const void *bytes, size_t size, void (*done)(void *arg), void *arg)
{
    (void)host, (void)channel, (void)bytes, (void)size, (void)done, (void)arg;
}

void muster__bulk_receive(int host, uint32_t channel, void *bytes, size_t size, void (*done)(void *arg), void *arg)
{
    (void)host, (void)channel, (void)bytes, (void)size, (void)done, (void)arg;
}

bool muster__bulk_poll(void)
{
    return false;
}

bool muster__bulk_under_way(void)
{
    return false;
}

void muster__bulk_forget(int host)
{
    (void)host;
}

_Noreturn void muster__transport_abort(int code)
{
    _exit(code ? code : 1);
}

#endif
