/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Journal: a file in which the results of finished tasks are recorded as they come, so that the same command line, run
 * again after a crash, a time limit or its own end, does only what is missing.
 *
 *     muster_journal_entry entry = {.name = "page", .input = path, .input_bytes = strlen(path)};
 *     if (muster_journal_find(journal, &entry) == MUSTER_OK)
 *         ... entry.result is there from an earlier run
 *     else
 *         ... do it, then fill in what it came to and muster_journal_record(journal, &entry)
 *
 * What names a task is its name and its input, bytes that mean the same in any build of the program. Two tasks with the
 * same name and input are one: what tells them apart belongs into the name.
 *
 * One process writes a journal, rank 0 as a rule, at any time also before muster_init; the others give it what they
 * found as results. What is recorded is written at once by a thread of the journal, with what else has come by then,
 * or, as its options say, in batches. A crash or a kill -9 of the program loses what was not written yet: those tasks
 * are done once more. A crash of the machine and a power cut lose perhaps some seconds more, and the journal is whole
 * in any case; with `durable` they lose nothing that was written.
 *
 * The file is an SQLite database (table entries), with a -wal beside it as long as it is open, and PATH.holder, which
 * names who holds it. It is held by a lock on the file: on a file system without locks (some NFS mounts) it is refused.
 * With locks NFS is fine, as one process alone writes and reads.
 */
#ifndef MUSTER_JOURNAL_H
#define MUSTER_JOURNAL_H

#include <muster/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct muster_journal muster_journal;

typedef struct muster_journal_options {
    const char *program; /**< what writes it; one of another program is refused; NULL: "" */
    const char *version; /**< of what it records: one of another version is refused; NULL: "" */
    /** What results depend on besides name and input, a line "key=value" each, as "seed=1\nsize=64\n". A journal with
     * others is refused, with the first line that differs. NULL: "" */
    const char *parameters;
    bool anew;            /**< forget what is in it, whosever it is */
    bool read_only;       /**< nothing is recorded, nor is it made */
    bool any_parameters;  /**< read only: whatever its parameters are */
    bool durable;         /**< a batch that was written survives a power cut: one fsync each */
    int batch_ms;         /**< how long a batch waits for more; 0: not at all */
    int batch_records;    /**< unless it has so many; 0: 1000 */
    uint64_t reserved[4]; /**< zero */
} muster_journal_options;

typedef enum muster_journal_state {
    MUSTER_JOURNAL_DONE,  /**< it ended well */
    MUSTER_JOURNAL_FAILED /**< it did not: code says how, for who reads */
} muster_journal_state;

typedef struct muster_journal_entry {
    const char *name; /**< up to 1 MiB, not "" */
    const void *input;
    size_t input_bytes;
    muster_journal_state state;
    int code;     /**< the program's own */
    int attempts; /**< how often it was recorded, this time included: read only */
    const void *result;
    size_t result_bytes;
    uint64_t reserved[4]; /**< zero */
} muster_journal_entry;

/**
 * Opens the journal at path, or makes it. Errors: INVAL (of another program, version or parameters: the detail line
 * shows the difference; no journal), BUSY (held by another process: its pid and host), SYSTEM (cannot be made, read or
 * locked: why), NOMEM.
 * Threads: any. In tasks: yes. Blocks: no. Hosts: own.
 */
MUSTER_API muster_err muster_journal_open(muster_journal **journal, const char *path,
                                          const muster_journal_options *options);

/**
 * Records what a task came to, instead of what was recorded of it before: copied, written soon. Errors: INVAL, STATE
 * (read only), NOMEM, SYSTEM (an earlier batch could not be written, disk full say: this record, and those, are kept
 * and tried again with each batch; told once). Threads: any. In tasks: no. Blocks: no. Hosts: own.
 */
MUSTER_API muster_err muster_journal_record(muster_journal *journal, const muster_journal_entry *entry);

/**
 * Finds what was recorded, in this run or an earlier one, of the task that entry names: fills in the rest. result is a
 * block for free(), or NULL if it has no bytes. Errors: EMPTY (nothing was), INVAL, SYSTEM, NOMEM.
 * Threads: any. In tasks: no. Blocks: no. Hosts: own.
 */
MUSTER_API muster_err muster_journal_find(muster_journal *journal, muster_journal_entry *entry);

/**
 * Calls visit for each entry, in the order in which they were first recorded, until it returns another value than 0,
 * which becomes *stopped (may be NULL). What entry points to is borrowed for the call, which must not call the journal.
 * Errors: SYSTEM, NOMEM.
 * Threads: any. In tasks: no. Blocks: no. Hosts: own.
 */
MUSTER_API muster_err muster_journal_each(muster_journal *journal,
                                          int (*visit)(const muster_journal_entry *entry, void *arg), void *arg,
                                          int *stopped);

/**
 * Writes what is not written yet. Errors: SYSTEM (it is kept, and tried again).
 * Threads: any. In tasks: no. Blocks: no. Hosts: own.
 */
MUSTER_API muster_err muster_journal_flush(muster_journal *journal);

/**
 * Writes what is not written yet and closes it; NULL is fine. Errors: SYSTEM (what could not be written is lost: that
 * many records).
 * Threads: any, the last one. In tasks: no. Blocks: no. Hosts: own.
 */
MUSTER_API muster_err muster_journal_close(muster_journal *journal);

#ifdef __cplusplus
}
#endif
#endif
