#include "remote/internal.h"

#include <string.h>

/* What this host's threads post to its agent. */

void asked_post(struct asked *asked, uint32_t self)
{
    struct office *box = office();
    muster__heap_hand_over(asked->self, self, MUSTER__OWNER_WIRE);
    uint64_t head = atomic_load(&box->outbox);
    do
        asked->next = head;
    while (!atomic_compare_exchange_weak(&box->outbox, &head, asked->self));
    muster__ring(atomic_load(&box->agent));
}

struct asked *asked_make(enum asked_what what, uint32_t self)
{
    muster__ref ref = muster__heap_alloc(sizeof(struct asked), self);
    if (!ref)
        return NULL;
    struct asked *asked = muster__heap_at(ref);
    memset(asked, 0, sizeof *asked);
    asked->self = ref;
    asked->what = what;
    asked->caller = self;
    asked->incarnation = muster__caller(self)->incarnation;
    return asked;
}
