/* SPDX-License-Identifier: BSD-3-Clause */
#include "offload/carrier.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct yield *yield_begin(struct carrier *c, record_ref record, uint32_t kind, uint64_t result_bytes)
{
    size_t head = c->out_bytes ? c->out_bytes : round_16(sizeof(struct fetch));
    size_t bytes = round_16(sizeof(struct yield) + result_bytes);
    if (head + bytes > c->out_room) {
        size_t room = 2 * (head + bytes);
        char *wider = realloc(c->out, room);
        MUSTER__CHECK_EQ(wider != NULL, true);
        c->out = wider;
        c->out_room = room;
    }
    struct yield *yield = (struct yield *)(c->out + head);
    memset(yield, 0, sizeof *yield);
    yield->bytes = bytes;
    yield->record = record;
    yield->kind = kind;
    yield->result_bytes = result_bytes;
    c->out_bytes = head + bytes;
    return yield;
}

/* What could not even begin. */
void yield_failure(struct carrier *c, const struct load *load, muster_err err)
{
    struct yield *yield = yield_begin(c, load->record, load->kind, load->kind == RECORD_PIECE ? 0 : load->result_bytes);
    yield->phase = RECORD_FAILED;
    yield->count = load->count;
    yield->failed = load->kind == RECORD_PIECE ? load->count : 0;
    yield->error = (struct muster_task_error){
        .err = err, .index = load->first, .worker = c->pool->share.first_worker, .failed = load->count};
    yield->error.rank = muster__rank_of_local(0);
    snprintf(yield->error.host, sizeof yield->error.host, "%s", muster__host_name());
    snprintf(yield->error.text, sizeof yield->error.text, "%.150s", muster_err_detail());
}
