/* SPDX-License-Identifier: BSD-3-Clause */
#include "remote/internal.h"

#include <string.h>

/* What this host's threads post to its agent. */

void asked_post(struct asked *asked, uint32_t self)
{
    struct office *box = office();
    bool call = asked->what == ASKED_CALL;
    uint64_t head = atomic_load(&box->outbox);
    do
        asked->next = head;
    while (!atomic_compare_exchange_weak(&box->outbox, &head, asked->self));
    if (!call)
        atomic_fetch_sub(&muster__caller(self)->calls, 1);
    muster__ring(atomic_load(&box->agent));
}

muster__ref asked_alloc(size_t size, uint32_t self)
{
    muster__ref ref = muster__heap_alloc(size, self);
    if (ref)
        muster__heap_hand_over(ref, self, MUSTER__OWNER_CALLS + self);
    return ref;
}

struct asked *asked_make(enum asked_what what, uint32_t self)
{
    struct muster__caller *caller = muster__caller(self);
    caller->asks = true;
    atomic_fetch_add(&caller->calls, 1);
    muster__ref ref = asked_alloc(sizeof(struct asked), self);
    if (!ref) {
        atomic_fetch_sub(&caller->calls, 1);
        return NULL;
    }
    struct asked *asked = muster__heap_at(ref);
    memset(asked, 0, sizeof *asked);
    asked->self = ref;
    asked->what = what;
    asked->caller = self;
    asked->incarnation = caller->incarnation;
    return asked;
}
