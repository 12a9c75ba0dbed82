/* SPDX-License-Identifier: BSD-3-Clause */
#include "segment/count.h"

/* What all files here look at: the segment, and who the calling thread is in it. */

struct muster__segment *muster__segment;
MUSTER__THREAD_LOCAL struct muster__self muster__self_state;
MUSTER__THREAD_LOCAL const char *muster_site;
MUSTER__THREAD_LOCAL _Atomic uint64_t *muster__waited_ns;
