/* SPDX-License-Identifier: BSD-3-Clause */
#include "journal/journal.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BATCH_RECORDS  1000
#define RETRY_MS       200 /* of a batch that could not be written */
#define BEHIND         16  /* so many batches, or bytes, behind: who records writes them himself */
#define BEHIND_BYTES   ((size_t)64 << 20)
#define NAME_MAX_BYTES ((size_t)1 << 20)

/*
 * Two locks, taken in this order: `database` by who uses that, also for as long as a disk may take; `list` by who looks
 * at what is not written yet, for a moment. So who records waits for no disk.
 */
struct muster_journal {
    struct muster__held held;
    pthread_mutex_t database;
    struct muster__journal_base base;

    pthread_mutex_t list;
    struct muster__record *first, **last;
    int64_t n;
    size_t bytes;
    bool failing, told; /* the last batch could not be written; somebody has been told */
    char why[256];

    pthread_cond_t wake; /* the writer: there is something to write, or the end has come */
    pthread_t writer;
    bool has_writer, ending;

    int batch_ms, batch_records;
    bool read_only;
    pid_t owner; /* a copy of the process is not the one that holds it */
};

static muster_err usable(const char *operation, const muster_journal *journal)
{
    muster_err err = MUSTER__NULL_BAD(operation, journal);
    if (err == MUSTER_OK && journal->owner != getpid())
        err = muster__fail(MUSTER_ERR_STATE, "%s: the journal '%s' is open in process %ld alone", operation,
                           journal->held.path, (long)journal->owner);
    return err;
}

static muster_err names_task(const char *operation, const muster_journal_entry *entry)
{
    muster_err err = MUSTER__NULL_BAD(operation, entry);
    if (err == MUSTER_OK)
        err = MUSTER__RESERVED(operation, entry);
    if (err == MUSTER_OK && (!entry->name || !*entry->name || strlen(entry->name) > NAME_MAX_BYTES))
        err = muster__fail(MUSTER_ERR_INVAL, "%s: a task has a name of at least 1 and at most %zu B", operation,
                           NAME_MAX_BYTES);
    if (err == MUSTER_OK && entry->input_bytes)
        err = MUSTER__NULL_BAD(operation, entry->input);
    if (err == MUSTER_OK && (entry->input_bytes > INT32_MAX / 2 || entry->result_bytes > INT32_MAX / 2))
        err = muster__fail(MUSTER_ERR_INVAL, "%s: an input or a result has at most 1 GiB", operation);
    return err;
}

static void append(muster_journal *journal, struct muster__record *record, size_t bytes)
{
    record->next = NULL;
    *journal->last = record;
    journal->last = &record->next;
    journal->n++;
    journal->bytes += bytes;
}

static size_t record_bytes(const struct muster__record *record)
{
    return sizeof *record + record->name_bytes + 1 + record->input_bytes + record->result_bytes;
}

/* What was taken off the list comes back in front of what has come since. */
static void put_back(muster_journal *journal, struct muster__record *taken, struct muster__record **last, int64_t n,
                     size_t bytes)
{
    *last = journal->first;
    if (!journal->first)
        journal->last = last;
    journal->first = taken;
    journal->n += n;
    journal->bytes += bytes;
}

static void free_list(struct muster__record *list)
{
    while (list) {
        struct muster__record *next = list->next;
        free(list);
        list = next;
    }
}

/* Holds `database`. */
static muster_err write_batch(muster_journal *journal)
{
    pthread_mutex_lock(&journal->list);
    struct muster__record *taken = journal->first, **last = journal->last;
    int64_t n = journal->n;
    size_t bytes = journal->bytes;
    journal->first = NULL, journal->last = &journal->first, journal->n = 0, journal->bytes = 0;
    pthread_mutex_unlock(&journal->list);
    if (!taken)
        return MUSTER_OK;

    muster_err err = muster__journal_base_write(&journal->base, taken);
    pthread_mutex_lock(&journal->list);
    if (err == MUSTER_OK) {
        journal->failing = journal->told = false;
    } else {
        put_back(journal, taken, last, n, bytes);
        journal->failing = true;
        snprintf(journal->why, sizeof journal->why, "%s", muster_err_detail());
    }
    pthread_mutex_unlock(&journal->list);
    if (err == MUSTER_OK)
        free_list(taken);
    return err;
}

static muster_err write_now(muster_journal *journal)
{
    pthread_mutex_lock(&journal->database);
    muster_err err = write_batch(journal);
    pthread_mutex_unlock(&journal->database);
    return err;
}

/* Until there is a whole batch, or its time has come; `list` is held. */
static void wait_for_batch(muster_journal *journal)
{
    while (!journal->first && !journal->ending)
        pthread_cond_wait(&journal->wake, &journal->list);
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ms = journal->failing && journal->batch_ms < RETRY_MS ? RETRY_MS : journal->batch_ms;
    int64_t ns = until.tv_nsec + ms * 1000000;
    until.tv_sec += ns / 1000000000, until.tv_nsec = ns % 1000000000;
    /* of what could not be written nobody is woken before its time */
    while (ms > 0 && (journal->n < journal->batch_records || journal->failing) && !journal->ending)
        if (pthread_cond_timedwait(&journal->wake, &journal->list, &until) != 0)
            break;
}

static void *write_batches(void *arg)
{
    muster_journal *journal = arg;
    pthread_mutex_lock(&journal->list);
    while (!journal->ending) {
        wait_for_batch(journal);
        if (journal->ending)
            break;
        pthread_mutex_unlock(&journal->list);
        write_now(journal);
        pthread_mutex_lock(&journal->list);
    }
    pthread_mutex_unlock(&journal->list);
    return NULL;
}

/* With the first record: so a program may open its journal before muster_init, where there are to be no threads. */
static void start_writer(muster_journal *journal)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the program's threads */
    journal->has_writer = pthread_create(&journal->writer, NULL, write_batches, journal) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

muster_err muster_journal_open(muster_journal **opened, const char *path, const muster_journal_options *options)
{
    static const muster_journal_options plain;
    muster_err err = MUSTER__NULL_BAD("muster_journal_open", opened);
    if (err == MUSTER_OK)
        err = MUSTER__NULL_BAD("muster_journal_open", path);
    if (err == MUSTER_OK)
        err = MUSTER__RESERVED("muster_journal_open", options);
    if (err != MUSTER_OK)
        return err;
    const muster_journal_options *o = options ? options : &plain;
    if (!*path || o->batch_ms < 0 || o->batch_records < 0 || (o->anew && o->read_only))
        return muster__fail(MUSTER_ERR_INVAL, "muster_journal_open '%s': %s", path,
                            !*path                      ? "a journal has a path"
                            : (o->anew && o->read_only) ? "what is read only is not begun anew"
                                                        : "batches are not negative");

    muster_journal *journal = calloc(1, sizeof *journal);
    bool writable;
    if (!journal)
        return muster__fail(MUSTER_ERR_NOMEM, "journal '%s': no memory", path);
    *journal = (muster_journal){.owner = getpid(),
                                .read_only = o->read_only,
                                .batch_ms = o->batch_ms,
                                .batch_records = o->batch_records ? o->batch_records : BATCH_RECORDS};
    journal->last = &journal->first;
    err = muster__held_open(&journal->held, path, !o->read_only, o->read_only, &writable);
    if (err == MUSTER_OK) {
        err = muster__journal_base_open(&journal->base, journal->held.path, writable, o);
        if (err != MUSTER_OK)
            muster__held_close(&journal->held);
    }
    if (err != MUSTER_OK) {
        free(journal);
        return err;
    }
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&journal->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&journal->database, NULL);
    pthread_mutex_init(&journal->list, NULL);
    *opened = journal;
    return MUSTER_OK;
}

static struct muster__record *copy_of(const muster_journal_entry *entry)
{
    size_t name_bytes = strlen(entry->name);
    struct muster__record *record = malloc(sizeof *record + name_bytes + 1 + entry->input_bytes + entry->result_bytes);
    if (!record)
        return NULL;
    *record = (struct muster__record){.name_bytes = name_bytes,
                                      .input_bytes = entry->input_bytes,
                                      .result_bytes = entry->result_bytes,
                                      .state = (int)entry->state,
                                      .code = entry->code};
    char *at = memcpy(record->bytes, entry->name, name_bytes + 1);
    at += name_bytes + 1;
    if (entry->input_bytes)
        memcpy(at, entry->input, entry->input_bytes);
    if (entry->result_bytes)
        memcpy(at + entry->input_bytes, entry->result, entry->result_bytes);
    return record;
}

muster_err muster_journal_record(muster_journal *journal, const muster_journal_entry *entry)
{
    muster_err err = usable("muster_journal_record", journal);
    if (err == MUSTER_OK)
        err = names_task("muster_journal_record", entry);
    if (err == MUSTER_OK && entry->result_bytes)
        err = MUSTER__NULL_BAD("muster_journal_record", entry->result);
    if (err == MUSTER_OK && journal->read_only)
        err = muster__fail(MUSTER_ERR_STATE, "muster_journal_record: the journal '%s' was opened to be read",
                           journal->held.path);
    if (err != MUSTER_OK)
        return err;
    struct muster__record *record = copy_of(entry);
    if (!record)
        return muster__fail(MUSTER_ERR_NOMEM, "journal '%s': no memory", journal->held.path);

    pthread_mutex_lock(&journal->list);
    append(journal, record, record_bytes(record));
    if (!journal->has_writer)
        start_writer(journal);
    bool untold = journal->failing && !journal->told;
    bool behind =
        !journal->has_writer || journal->n > (int64_t)BEHIND * journal->batch_records || journal->bytes > BEHIND_BYTES;
    if (journal->n == 1 || journal->n == journal->batch_records)
        pthread_cond_signal(&journal->wake);
    journal->told |= untold;
    if (untold)
        err = muster__fail(MUSTER_ERR_SYSTEM, "%s (not written, and tried again: %lld)", journal->why,
                           (long long)journal->n);
    behind &= !journal->failing;
    pthread_mutex_unlock(&journal->list);
    if (behind)
        write_now(journal); /* what goes wrong is told by the next call */
    return err;
}

/* Whether it is still to be written. */
static bool is_waiting(muster_journal *journal, const muster_journal_entry *entry)
{
    size_t name_bytes = strlen(entry->name);
    bool found = false;
    pthread_mutex_lock(&journal->list);
    for (const struct muster__record *r = journal->first; r && !found; r = r->next)
        found = r->name_bytes == name_bytes && r->input_bytes == entry->input_bytes &&
                memcmp(r->bytes, entry->name, name_bytes) == 0 &&
                (!r->input_bytes || memcmp(r->bytes + name_bytes + 1, entry->input, r->input_bytes) == 0);
    pthread_mutex_unlock(&journal->list);
    return found;
}

muster_err muster_journal_find(muster_journal *journal, muster_journal_entry *entry)
{
    muster_err err = usable("muster_journal_find", journal);
    if (err == MUSTER_OK)
        err = names_task("muster_journal_find", entry);
    if (err != MUSTER_OK)
        return err;
    pthread_mutex_lock(&journal->database);
    if (is_waiting(journal, entry))
        err = write_batch(journal);
    if (err == MUSTER_OK)
        err = muster__journal_base_find(&journal->base, entry);
    pthread_mutex_unlock(&journal->database);
    if (err == MUSTER_ERR_EMPTY)
        muster__fail(err, "journal '%s': nothing was recorded of a task '%s' with this input", journal->held.path,
                     entry->name);
    return err;
}

muster_err muster_journal_each(muster_journal *journal, int (*visit)(const muster_journal_entry *entry, void *arg),
                               void *arg, int *stopped)
{
    muster_err err = usable("muster_journal_each", journal);
    if (err == MUSTER_OK)
        err = MUSTER__NULL_BAD("muster_journal_each", visit);
    if (err != MUSTER_OK)
        return err;
    pthread_mutex_lock(&journal->database);
    err = write_batch(journal);
    if (err == MUSTER_OK)
        err = muster__journal_base_each(&journal->base, visit, arg, stopped);
    pthread_mutex_unlock(&journal->database);
    return err;
}

muster_err muster_journal_flush(muster_journal *journal)
{
    muster_err err = usable("muster_journal_flush", journal);
    return err == MUSTER_OK ? write_now(journal) : err;
}

muster_err muster_journal_close(muster_journal *journal)
{
    if (!journal)
        return MUSTER_OK;
    muster_err err = usable("muster_journal_close", journal);
    if (err != MUSTER_OK)
        return err;
    pthread_mutex_lock(&journal->list);
    journal->ending = true;
    pthread_cond_signal(&journal->wake);
    pthread_mutex_unlock(&journal->list);
    if (journal->has_writer)
        pthread_join(journal->writer, NULL);
    err = write_now(journal);
    if (err != MUSTER_OK)
        muster__fail(err, "%s (records lost: %lld)", journal->why, (long long)journal->n);
    muster__journal_base_close(&journal->base);
    muster__held_close(&journal->held);
    free_list(journal->first);
    pthread_cond_destroy(&journal->wake);
    pthread_mutex_destroy(&journal->database);
    pthread_mutex_destroy(&journal->list);
    free(journal);
    return err;
}
