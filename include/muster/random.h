/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random streams that depend on a seed and an index alone, so that results do not depend on who computed them.
 */
#ifndef MUSTER_RANDOM_H
#define MUSTER_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#include <muster/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A stream of random numbers: Philox4x32-10 (Salmon et al., SC11) keyed by the seed, counted from the index. A plain
 * value; not for concurrent use of one copy.
 */
typedef struct muster_stream {
    uint32_t key[2];
    uint32_t counter[4];
    uint32_t block[4];
    uint32_t used;
} muster_stream;

/* Each of these, at any time: Threads: any. In tasks: yes. Blocks: no. Hosts: none. */
/** The stream of one task: the same numbers for the same (seed, index) at any rank count, placement and order. */
MUSTER_API muster_stream muster_stream_make(uint64_t seed, uint64_t index);
/** Next 32 uniform bits; 0 of NULL, as of the following ones. */
MUSTER_API uint32_t muster_stream_u32(muster_stream *stream);
/** Next 64 uniform bits. */
MUSTER_API uint64_t muster_stream_u64(muster_stream *stream);
/** Next number in [0, 1), 53 bits. */
MUSTER_API double muster_stream_f64(muster_stream *stream);

#ifdef __cplusplus
}
#endif
#endif
