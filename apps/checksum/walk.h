/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The regular files of a tree, sorted by name within each directory: the same order wherever, and whenever, it is
 * walked. Memory goes with the names of the directories that are open, not with the tree.
 */
#ifndef CHECKSUM_WALK_H
#define CHECKSUM_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct walk_level;

struct walk {
    bool follow;
    char *path; /* of what is the next one; room bytes */
    size_t room;
    struct walk_level *levels; /* directories, from the root on */
    size_t depth, levels_room;
};

typedef enum walk_state {
    WALK_FILE,
    WALK_FAILED, /**< what is at path cannot be walked into: error says why; it goes on */
    WALK_END
} walk_state;

/** Begins with the directory at root; follow: symbolic links in it are followed. */
void walk_begin(struct walk *walk, bool follow);

/** Goes into the directory path, as the root. Returns 0, or an error as of walk_next. */
int walk_enter(struct walk *walk, const char *path);

/**
 * The next file: *path is borrowed until the next call. *error: errno, or OUTCOME_LOOP for a directory that is one of
 * those it is in, by device and inode.
 */
walk_state walk_next(struct walk *walk, const char **path, int *error);

/** Ends it, where it stands. */
void walk_end(struct walk *walk);

#endif
