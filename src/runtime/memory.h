/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory of children: limits of what a task may take, and which of the dead were the kernel's out-of-memory killer's.
 *
 * A limit is of memory of the task's own (anonymous pages in use), beyond what its child had when the task began. It is
 * the nursery that looks, every few milliseconds, and kills who is over. Limits that the kernel keeps are none for
 * this: RLIMIT_AS counts what is mapped, and so the host's segment and all libraries; RLIMIT_DATA leaves shared
 * segments out, but counts what is reserved and never touched, as the stacks of tasks that wait; and either makes
 * malloc fail in the middle of a task, which then ends as it likes: by a code of its own, or a signal. Who is over a
 * limit that is looked at ends in one way, and how much it had is known.
 */
#ifndef MUSTER_RUNTIME_MEMORY_H
#define MUSTER_RUNTIME_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- in nurseries ---- */

struct member;
/** Kills a child that is over its limit. Returns whether it has one. */
bool memory_look(struct member *member, int32_t pid);
/** After a look at all: when the next one is due. watched: one of them has a limit. */
int64_t memory_next(bool watched);
/** After a while the kernel's counter has news of nobody who is yet to be reaped. */
void memory_age(void);
/** Whether one of this nursery's cgroup that was killed, and has been reaped just now, was the kernel's victim. */
bool memory_was_victim(void);

/**
 * Where the kernel counts those it killed for want of memory in the cgroup of a process: the word in front of the
 * count, and the path of the file. The texts are those of /proc/self/cgroup and /proc/self/mountinfo. NULL: nowhere.
 */
const char *memory_events_file(const char *cgroup, const char *mountinfo, char *path, size_t size);

#endif
