/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What workers do: batches of small files, and large files one by one.
 *
 * A batch goes out as its paths and comes back as an outcome for each. A file of more than WORK_LARGE bytes is not read
 * with the batch: whoever meets it makes it a task of its own, or, for a tree digest, one for each some pieces; the
 * batch's answer names these tasks, and home asks them. So nobody has to know sizes beforehand: home, which alone walks
 * the trees, does not look at files.
 */
#ifndef CHECKSUM_WORK_H
#define CHECKSUM_WORK_H

#include <string.h>
#include <sys/types.h>

#include <muster/pool.h>

#include "checksum/entry.h"

#define WORK_LARGE     ((int64_t)512 << 10)
#define WORK_TASKS_MAX 1024 /* of one file */
#define WORK_HOST_MAX  64

/** What all workers are told: the pool's user. */
struct work_context {
    dev_t output_device; /* what this program writes, if it is a file: else 0 */
    ino_t output_inode;
    bool follow;
    char folder[]; /* the working directory; a string */
};

/** Makes it: a block of so many bytes for free(), or NULL with errno set. output: see there; NULL: none. */
struct work_context *work_context(bool follow, const struct stat *output, size_t *bytes);

/** A batch: this, then a work_item each with its path. */
struct work_batch {
    char algorithm[ALGORITHM_NAME_MAX];
    uint32_t tree;
    uint32_t n;
};

/** By which a file is known again. */
struct work_seen {
    int64_t size, modified_ns, changed_ns;
    uint64_t inode; /* 0: it was not read before */
};

static inline struct work_seen work_seen(const struct outcome *o)
{
    return (struct work_seen){o->size, o->modified_ns, o->changed_ns, o->inode};
}

struct work_item {
    struct work_seen before; /* still so: OUTCOME_SAME, and it is not read */
    uint32_t in_tree;
    uint32_t path_bytes; /* with the zero byte, and more up to a multiple of 8; it follows */
};

/** Of a path in a batch. */
static inline size_t work_path_bytes(const char *path)
{
    return (strlen(path) + 1 + 7) / 8 * 8;
}

/** A batch's answer: this, n outcomes, and tasks: for each outcome of OUTCOME_LARGE work_tasks(...) of them, in order.
 */
struct work_answer {
    char host[WORK_HOST_MAX];
    uint64_t n, tasks;
};

/** The answer of a large file's task: this, and of pieces their leaves. */
struct work_part {
    char host[WORK_HOST_MAX];
    struct outcome outcome;
    int64_t leaves;
    unsigned char leaf[][DIGEST_BYTES_MAX];
};

/** How many pieces each task of a large file has (the last one may have fewer), and how many tasks there are. */
int64_t work_pieces_each(int64_t size);
int64_t work_tasks(int64_t size, bool tree);

/** Runs a batch: a muster_task_fn. */
int work_run(const void *item, void *result, const void *user);

/** Reads a file here, at once, whatever its size. context: as workers have it. */
void work_here(const struct work_context *context, const struct entry *entry, struct outcome *outcome);

/** Digest of standard input, here. */
void work_input(const struct algorithm *algorithm, struct outcome *outcome);

/** Called now and then, by whatever reads files in this process; NULL: nobody. */
extern void (*work_tick)(void);

#endif
