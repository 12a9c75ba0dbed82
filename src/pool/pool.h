/*
 * Pool: what the layer above needs besides the public header.
 */
#ifndef MUSTER_POOL_POOL_H
#define MUSTER_POOL_POOL_H

/** Registers pools with the segment (sweeping, ending) and with the runtime (service of ranks, deaths of children).
 * Once per process, before the runtime starts serving. */
void muster__pool_setup(void);

#endif
