/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The journal's parts: the file with its lock (file.c), its database (base.c), and what the public calls and the thread
 * that writes batches share (journal.c). Nothing of muster but base is used: it works without MPI and before
 * muster_init.
 */
#ifndef MUSTER_JOURNAL_INTERNAL_H
#define MUSTER_JOURNAL_INTERNAL_H

#include <sqlite3.h>

#include <muster/journal.h>

#include "base/base.h"

/** The file, held against other processes. */
struct muster__held {
    int fd; /**< -1: none */
    char *path;
    char *holder; /**< the file that says who holds it; NULL: not written */
};

/**
 * Opens and locks it; `make`: creates it if it is not there. *writable: false where it may only be read, which is fine
 * for `read_only` alone. Errors: BUSY, SYSTEM, NOMEM.
 */
muster_err muster__held_open(struct muster__held *held, const char *path, bool make, bool read_only, bool *writable);
void muster__held_close(struct muster__held *held);

/** One record on its way: the bytes of name (with its end), input and result follow it. */
struct muster__record {
    struct muster__record *next;
    size_t name_bytes, input_bytes, result_bytes;
    int state, code;
    char bytes[];
};

/** The database, used by one thread at a time. */
struct muster__journal_base {
    sqlite3 *db;
    sqlite3_stmt *insert, *select;
    const char *path; /**< borrowed */
};

/** Opens, makes or empties it as the options say. Errors: INVAL (another's), SYSTEM, NOMEM. */
muster_err muster__journal_base_open(struct muster__journal_base *base, const char *path, bool writable,
                                     const muster_journal_options *options);
void muster__journal_base_close(struct muster__journal_base *base);
/** All of a list or none. Errors: SYSTEM. */
muster_err muster__journal_base_write(struct muster__journal_base *base, const struct muster__record *list);
muster_err muster__journal_base_find(struct muster__journal_base *base, muster_journal_entry *entry);
muster_err muster__journal_base_each(struct muster__journal_base *base,
                                     int (*visit)(const muster_journal_entry *entry, void *arg), void *arg,
                                     int *stopped);

#endif
