/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The journal of a farm: what each command came to, and what it said, found again by its text. Of equal commands the
 * first, the second ... are told apart by how many there were before.
 */
#ifndef FARM_RECORD_H
#define FARM_RECORD_H

#include <muster/muster.h>

#include "farm/child.h"
#include "farm/spool.h"

#define RECORD_BYTES_MAX                                                                                               \
    ((int64_t)64 << 20) /* of what a command said; with more it is not recorded, and done again                        \
                         */

struct record;

/** How a command ended, once and for all. */
struct record_end {
    struct child_outcome outcome;
    int attempts;
    char host[64];
};

/** Opens path; shell and directory are what results depend on. NULL: the detail line says why. */
struct record *record_open(const char *path, const char *shell, const char *directory, bool anew);

/** To be called once for each command, in the order of the input: how many equal ones came before; -1: no memory. */
int32_t record_number(struct record *record, const char *text);

/** What an earlier run recorded; its words go into spools. Errors: EMPTY, and the journal's. */
muster_err record_find(struct record *record, const char *text, int32_t number, struct record_end *end,
                       struct spool spools[2]);

/** Records; *kept: false where it said too much for that. */
muster_err record_put(struct record *record, const char *text, int32_t number, const struct record_end *end,
                      const struct spool spools[2], bool *kept);

/** visit(text, end, streams, bytes of them) for each entry of the journal at path, in order; the detail line says why
 * not. */
muster_err record_show(const char *path,
                       void (*visit)(void *arg, const char *text, const struct record_end *end, const char *streams[2],
                                     const int64_t bytes[2]),
                       void *arg);

muster_err record_close(struct record *record);

#endif
