/* SPDX-License-Identifier: BSD-3-Clause */
#include "journal/journal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define APPLICATION 0x6d757374 /* "must": what is in the head of the file */
#define FORMAT      1

static const char schema[] =
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL);"
    "CREATE TABLE entries(number INTEGER PRIMARY KEY, name TEXT NOT NULL, input BLOB NOT NULL, state INTEGER NOT NULL,"
    " code INTEGER NOT NULL, attempts INTEGER NOT NULL, result BLOB NOT NULL, UNIQUE(name, input));";

static const char insert_text[] =
    "INSERT INTO entries(name, input, state, code, attempts, result) VALUES(?1, ?2, ?3, ?4, 1, ?5) "
    "ON CONFLICT(name, input) DO UPDATE SET state = ?3, code = ?4, attempts = attempts + 1, result = ?5";

static const char select_text[] =
    "SELECT name, input, state, code, attempts, result FROM entries WHERE name = ?1 AND input = ?2";

static muster_err refused(struct muster__journal_base *base, const char *what)
{
    int code = sqlite3_extended_errcode(base->db), number = sqlite3_system_errno(base->db);
    const char *why = number ? strerror(number) : sqlite3_errmsg(base->db);
    if ((code & 0xff) == SQLITE_NOMEM)
        return muster__fail(MUSTER_ERR_NOMEM, "journal '%s': no memory", base->path);
    if ((code & 0xff) == SQLITE_FULL)
        why = "no space left on its disk";
    else if ((code & 0xff) == SQLITE_NOTADB)
        why = "this is no journal; give another file";
    else if ((code & 0xff) == SQLITE_CORRUPT)
        why = "it is damaged; remove it, or restore a copy";
    return muster__fail(MUSTER_ERR_SYSTEM, "journal '%s' %s: %s", base->path, what, why);
}

static muster_err run(struct muster__journal_base *base, const char *text, const char *what)
{
    return sqlite3_exec(base->db, text, NULL, NULL, NULL) == SQLITE_OK ? MUSTER_OK : refused(base, what);
}

/* A number that one row has; -1: there is none. */
static int64_t number_of(struct muster__journal_base *base, const char *text)
{
    sqlite3_stmt *statement = NULL;
    int64_t number = -1;
    if (sqlite3_prepare_v2(base->db, text, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW)
        number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

static muster_err meta_set(struct muster__journal_base *base, const char *key, const char *value)
{
    sqlite3_stmt *statement = NULL;
    bool done =
        sqlite3_prepare_v2(base->db, "INSERT OR REPLACE INTO meta VALUES(?1, ?2)", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC) == SQLITE_OK &&
        sqlite3_bind_text(statement, 2, value ? value : "", -1, SQLITE_STATIC) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_DONE;
    muster_err err = done ? MUSTER_OK : refused(base, "cannot be written");
    sqlite3_finalize(statement);
    return err;
}

/* Of meta, for free(); NULL: not there, or no memory. */
static char *meta_get(struct muster__journal_base *base, const char *key)
{
    sqlite3_stmt *statement = NULL;
    char *value = NULL;
    if (sqlite3_prepare_v2(base->db, "SELECT value FROM meta WHERE key = ?1", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        value = text ? strdup(text) : NULL;
    }
    sqlite3_finalize(statement);
    return value;
}

static muster_err make(struct muster__journal_base *base, const muster_journal_options *options)
{
    char head[96];
    snprintf(head, sizeof head, "PRAGMA application_id=%d; PRAGMA user_version=%d;", APPLICATION, FORMAT);
    muster_err err = run(base, "BEGIN IMMEDIATE", "cannot be written");
    if (err == MUSTER_OK)
        err = run(base, head, "cannot be written");
    if (err == MUSTER_OK)
        err = run(base, schema, "cannot be written");
    if (err == MUSTER_OK)
        err = meta_set(base, "program", options->program);
    if (err == MUSTER_OK)
        err = meta_set(base, "version", options->version);
    if (err == MUSTER_OK)
        err = meta_set(base, "parameters", options->parameters);
    return err == MUSTER_OK ? run(base, "COMMIT", "cannot be written") : err;
}

static muster_err compare(struct muster__journal_base *base, const char *key, const char *wanted)
{
    muster_err err = MUSTER_OK;
    char *there = meta_get(base, key);
    if (!there || strcmp(there, wanted ? wanted : ""))
        err = muster__fail(MUSTER_ERR_INVAL, "journal '%s' is of %s '%s', not '%s'; give another file, or begin anew",
                           base->path, key, there ? there : "", wanted ? wanted : "");
    free(there);
    return err;
}

/* The first line in which they differ. */
static muster_err compare_parameters(struct muster__journal_base *base, const char *wanted)
{
    muster_err err = MUSTER_OK;
    char *all = meta_get(base, "parameters");
    const char *there = all ? all : "", *now = wanted ? wanted : "";
    while (err == MUSTER_OK && (*there || *now)) {
        size_t n_there = strcspn(there, "\n"), n_now = strcspn(now, "\n");
        if (n_there != n_now || memcmp(there, now, n_now))
            err = muster__fail(MUSTER_ERR_INVAL,
                               "journal '%s' is of other parameters: '%.*s' there, '%.*s' now; give another file, or "
                               "begin anew",
                               base->path, (int)n_there, there, (int)n_now, now);
        there += n_there + (there[n_there] == '\n');
        now += n_now + (now[n_now] == '\n');
    }
    free(all);
    return err;
}

static muster_err check(struct muster__journal_base *base, const muster_journal_options *options)
{
    if (number_of(base, "PRAGMA user_version") != FORMAT)
        return muster__fail(MUSTER_ERR_INVAL, "journal '%s' was made by another version of muster; begin anew",
                            base->path);
    muster_err err = compare(base, "program", options->program);
    if (err == MUSTER_OK)
        err = compare(base, "version", options->version);
    return err == MUSTER_OK && !(options->read_only && options->any_parameters)
               ? compare_parameters(base, options->parameters)
               : err;
}

static muster_err forget(struct muster__journal_base *base)
{
    return run(base, "BEGIN IMMEDIATE; DROP TABLE IF EXISTS entries; DROP TABLE IF EXISTS meta; COMMIT",
               "cannot be emptied");
}

/* One process writes, so the index of the log beside it is kept in memory: no shared mapping, which NFS has not. */
static muster_err configure(struct muster__journal_base *base, bool writable, const muster_journal_options *options)
{
    muster_err err = MUSTER_OK;
    if (writable)
        err = run(base, "PRAGMA journal_mode=WAL", "cannot be used");
    if (err == MUSTER_OK)
        err = run(base, options->durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL", "cannot be used");
    return err;
}

/* Before anything is written: a file that is something else stays as it is, also where all is to begin anew. */
static muster_err look(struct muster__journal_base *base, bool *empty)
{
    muster_err err = run(base, "PRAGMA locking_mode=EXCLUSIVE", "cannot be used");
    if (err == MUSTER_OK)
        err = run(base, "SELECT count(*) FROM sqlite_master", "cannot be used");
    if (err != MUSTER_OK)
        return err;
    int64_t application = number_of(base, "PRAGMA application_id");
    *empty = application == 0 && number_of(base, "SELECT count(*) FROM sqlite_master") == 0;
    if (!*empty && application != APPLICATION)
        return muster__fail(MUSTER_ERR_SYSTEM, "journal '%s': this is no journal; give another file", base->path);
    return MUSTER_OK;
}

static muster_err prepare(struct muster__journal_base *base)
{
    bool done =
        sqlite3_prepare_v3(base->db, insert_text, -1, SQLITE_PREPARE_PERSISTENT, &base->insert, NULL) == SQLITE_OK &&
        sqlite3_prepare_v3(base->db, select_text, -1, SQLITE_PREPARE_PERSISTENT, &base->select, NULL) == SQLITE_OK;
    return done ? MUSTER_OK : refused(base, "cannot be used");
}

static muster_err fill(struct muster__journal_base *base, bool writable, const muster_journal_options *options)
{
    bool empty;
    muster_err err = look(base, &empty);
    if (err == MUSTER_OK && empty && !writable)
        return muster__fail(MUSTER_ERR_SYSTEM, "journal '%s' is empty", base->path);
    if (err == MUSTER_OK)
        err = configure(base, writable, options);
    if (err == MUSTER_OK && options->anew && !empty) {
        err = forget(base);
        empty = true;
    }
    if (err == MUSTER_OK)
        err = empty ? make(base, options) : check(base, options);
    return err == MUSTER_OK ? prepare(base) : err;
}

/* As a URI, for immutable alone; what has a meaning there is escaped. */
static char *as_uri(const char *path, bool immutable)
{
    static const char hex[] = "0123456789abcdef";
    char *uri = malloc(3 * strlen(path) + 32), *end = uri;
    if (!uri)
        return NULL;
    end = stpcpy(end, "file:");
    for (; *path; path++) {
        if (strchr("%?#", *path)) {
            *end++ = '%', *end++ = hex[(unsigned char)*path >> 4], *end++ = hex[*path & 15];
        } else {
            *end++ = *path;
        }
    }
    strcpy(end, immutable ? "?immutable=1" : "");
    return uri;
}

muster_err muster__journal_base_open(struct muster__journal_base *base, const char *path, bool writable,
                                     const muster_journal_options *options)
{
    *base = (struct muster__journal_base){.path = path};
    char *uri = as_uri(path, !writable);
    int flags = (writable ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX;
    muster_err err = MUSTER_OK;
    if (!uri)
        err = muster__fail(MUSTER_ERR_NOMEM, "journal '%s': no memory", path);
    else if (sqlite3_open_v2(uri, &base->db, flags, NULL) != SQLITE_OK)
        err = refused(base, "cannot be opened");
    free(uri);
    if (err == MUSTER_OK)
        err = fill(base, writable, options);
    if (err != MUSTER_OK)
        muster__journal_base_close(base);
    return err;
}

void muster__journal_base_close(struct muster__journal_base *base)
{
    sqlite3_finalize(base->insert);
    sqlite3_finalize(base->select);
    sqlite3_close(base->db);
    *base = (struct muster__journal_base){.path = base->path};
}

static bool bind_key(sqlite3_stmt *statement, const char *name, size_t name_bytes, const void *input, size_t bytes)
{
    return sqlite3_bind_text64(statement, 1, name, name_bytes, SQLITE_STATIC, SQLITE_UTF8) == SQLITE_OK &&
           sqlite3_bind_blob64(statement, 2, bytes ? input : "", bytes, SQLITE_STATIC) == SQLITE_OK;
}

static bool write_one(struct muster__journal_base *base, const struct muster__record *record)
{
    const char *input = record->bytes + record->name_bytes + 1, *result = input + record->input_bytes;
    bool done = bind_key(base->insert, record->bytes, record->name_bytes, input, record->input_bytes) &&
                sqlite3_bind_int(base->insert, 3, record->state) == SQLITE_OK &&
                sqlite3_bind_int(base->insert, 4, record->code) == SQLITE_OK &&
                sqlite3_bind_blob64(base->insert, 5, record->result_bytes ? result : "", record->result_bytes,
                                    SQLITE_STATIC) == SQLITE_OK &&
                sqlite3_step(base->insert) == SQLITE_DONE;
    return done;
}

muster_err muster__journal_base_write(struct muster__journal_base *base, const struct muster__record *list)
{
    muster_err err = run(base, "BEGIN IMMEDIATE", "cannot be written");
    for (; err == MUSTER_OK && list; list = list->next) {
        if (!write_one(base, list))
            err = refused(base, "cannot be written");
        sqlite3_reset(base->insert);
    }
    if (err == MUSTER_OK)
        err = run(base, "COMMIT", "cannot be written");
    if (err != MUSTER_OK && !sqlite3_get_autocommit(base->db))
        sqlite3_exec(base->db, "ROLLBACK", NULL, NULL, NULL);
    return err;
}

static muster_journal_entry entry_of(sqlite3_stmt *row)
{
    muster_journal_entry entry = {.name = (const char *)sqlite3_column_text(row, 0),
                                  .input = sqlite3_column_blob(row, 1),
                                  .input_bytes = (size_t)sqlite3_column_bytes(row, 1),
                                  .state = (muster_journal_state)sqlite3_column_int(row, 2),
                                  .code = sqlite3_column_int(row, 3),
                                  .attempts = sqlite3_column_int(row, 4),
                                  .result = sqlite3_column_blob(row, 5),
                                  .result_bytes = (size_t)sqlite3_column_bytes(row, 5)};
    return entry;
}

static muster_err take(const struct muster__journal_base *base, muster_journal_entry *entry)
{
    muster_journal_entry row = entry_of(base->select);
    void *result = NULL;
    if (row.result_bytes && !(result = malloc(row.result_bytes)))
        return muster__fail(MUSTER_ERR_NOMEM, "journal '%s': no memory for a result of %zu B", base->path,
                            row.result_bytes);
    if (result)
        memcpy(result, row.result, row.result_bytes);
    row.name = entry->name, row.input = entry->input, row.result = result;
    *entry = row;
    return MUSTER_OK;
}

muster_err muster__journal_base_find(struct muster__journal_base *base, muster_journal_entry *entry)
{
    muster_err err = MUSTER_ERR_EMPTY;
    int code = SQLITE_ERROR;
    if (bind_key(base->select, entry->name, strlen(entry->name), entry->input, entry->input_bytes))
        code = sqlite3_step(base->select);
    if (code == SQLITE_ROW)
        err = take(base, entry);
    else if (code != SQLITE_DONE)
        err = refused(base, "cannot be read");
    sqlite3_reset(base->select);
    sqlite3_clear_bindings(base->select);
    return err;
}

muster_err muster__journal_base_each(struct muster__journal_base *base,
                                     int (*visit)(const muster_journal_entry *entry, void *arg), void *arg,
                                     int *stopped)
{
    sqlite3_stmt *rows = NULL;
    int code = SQLITE_DONE, value = 0;
    if (sqlite3_prepare_v2(base->db, "SELECT name, input, state, code, attempts, result FROM entries ORDER BY number",
                           -1, &rows, NULL) != SQLITE_OK)
        return refused(base, "cannot be read");
    while (value == 0 && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        muster_journal_entry entry = entry_of(rows);
        value = visit(&entry, arg);
    }
    muster_err err = value == 0 && code != SQLITE_DONE ? refused(base, "cannot be read") : MUSTER_OK;
    sqlite3_finalize(rows);
    if (stopped)
        *stopped = value;
    return err;
}
