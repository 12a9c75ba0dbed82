/* SPDX-License-Identifier: BSD-3-Clause */
#include <Random123/philox.h>

#include <muster/random.h>

muster_stream muster_stream_make(uint64_t seed, uint64_t index)
{
    return (muster_stream){.key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
                           .counter = {0, 0, (uint32_t)index, (uint32_t)(index >> 32)},
                           .used = 4};
}

uint32_t muster_stream_u32(muster_stream *stream)
{
    if (!stream)
        return 0;
    if (stream->used == 4) {
        philox4x32_ctr_t counter = {{stream->counter[0], stream->counter[1], stream->counter[2], stream->counter[3]}};
        philox4x32_key_t key = {{stream->key[0], stream->key[1]}};
        philox4x32_ctr_t block = philox4x32(counter, key);
        for (int i = 0; i < 4; i++)
            stream->block[i] = block.v[i];
        if (++stream->counter[0] == 0)
            stream->counter[1]++;
        stream->used = 0;
    }
    return stream->block[stream->used++];
}

uint64_t muster_stream_u64(muster_stream *stream)
{
    uint64_t low = muster_stream_u32(stream);
    return (uint64_t)muster_stream_u32(stream) << 32 | low;
}

double muster_stream_f64(muster_stream *stream)
{
    return (double)(muster_stream_u64(stream) >> 11) * 0x1p-53;
}
