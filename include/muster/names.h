/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names: whatever one part of a program has made, another one finds by its name, and waits until it is there.
 *
 *   muster_publish("jobs", &queue, sizeof queue);                  where it is made
 *   muster_find("jobs", &queue, sizeof queue, MUSTER_FOREVER);     anywhere else
 */
#ifndef MUSTER_NAMES_H
#define MUSTER_NAMES_H

#include <muster/dict.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Each of these: Threads: any. In tasks: yes. Blocks: for an answer. Hosts: any. */
/** Makes size_bytes bytes, an object's handle say, known to the whole job under a name of 1 to MUSTER_KEY_MAX bytes.
 * Errors: STATE (the name is taken; before muster_init), INVAL, NOMEM, PEER. */
MUSTER_API muster_err muster_publish(const char *name, const void *what, size_t size_bytes);
#define muster_publish(...) MUSTER_SITED(muster_publish, __VA_ARGS__)
/** Takes the name back; what was found by it stays as it is. Errors: EMPTY (there is no such name), PEER, STATE (before
 * muster_init). */
MUSTER_API muster_err muster_unpublish(const char *name);
#define muster_unpublish(...) MUSTER_SITED(muster_unpublish, __VA_ARGS__)

/**
 * What was published under the name, of size_bytes bytes; waits up to timeout_ms until it is. Errors: EMPTY
 * (MUSTER_NOWAIT, and it is not), TIMEOUT, INVAL (what was published has another size: it is something else), PEER,
 * INTERRUPTED, STATE (before muster_init).
 * Threads: any. In tasks: yes. Blocks: up to timeout_ms. Hosts: any.
 */
MUSTER_API muster_err muster_find(const char *name, void *what, size_t size_bytes, int64_t timeout_ms);
#define muster_find(...) MUSTER_SITED(muster_find, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
