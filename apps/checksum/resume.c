/* SPDX-License-Identifier: BSD-3-Clause */
#include "checksum/resume.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <muster/journal.h>

struct resume {
    muster_journal *journal;
    char *folder; /* that relative names are from: the journal has whole ones */
    char *path;   /* of the last one */
    size_t room;
    bool complained;
};

/* What is recorded of a file; its digest is in the algorithm's size. */
struct record {
    int64_t size, modified_ns, changed_ns;
    uint64_t inode;
    unsigned char digest[DIGEST_BYTES_MAX];
};

static void complain(struct resume *resume)
{
    if (!resume->complained)
        fprintf(stderr, "checksum: %s\n", muster_err_detail());
    resume->complained = true;
}

struct resume *resume_open(const char *path, bool anew)
{
    struct resume *resume = calloc(1, sizeof *resume);
    if (!resume || !(resume->folder = getcwd(NULL, 0))) {
        fprintf(stderr, "checksum: no memory for the journal, or no working directory\n");
        free(resume);
        return NULL;
    }
    muster_journal_options options = {
        .program = "checksum", .version = "1", .anew = anew, .batch_ms = 200, .batch_records = 1000};
    if (muster_journal_open(&resume->journal, path, &options) == MUSTER_OK)
        return resume;
    complain(resume);
    free(resume->folder);
    free(resume);
    return NULL;
}

/* A task is: this algorithm of this file. */
static bool name_entry(struct resume *resume, const struct entry *entry, muster_journal_entry *named)
{
    bool relative = *entry->path != '/';
    size_t bytes = (relative ? strlen(resume->folder) + 1 : 0) + strlen(entry->path);
    if (bytes >= resume->room) {
        char *more = realloc(resume->path, 2 * bytes + 1);
        if (!more)
            return false;
        resume->path = more;
        resume->room = 2 * bytes + 1;
    }
    snprintf(resume->path, resume->room, "%s%s%s", relative ? resume->folder : "", relative ? "/" : "", entry->path);
    *named = (muster_journal_entry){.name = entry->algorithm->tag, .input = resume->path, .input_bytes = bytes};
    return true;
}

bool resume_find(struct resume *resume, const struct entry *entry, struct outcome *outcome)
{
    muster_journal_entry found;
    struct record record;
    if (entry->is_input || !name_entry(resume, entry, &found))
        return false;
    muster_err err = muster_journal_find(resume->journal, &found);
    if (err != MUSTER_OK) {
        if (err != MUSTER_ERR_EMPTY)
            complain(resume);
        return false;
    }
    bool whole = found.result_bytes == offsetof(struct record, digest) + entry->algorithm->bytes;
    if (whole) {
        memcpy(&record, found.result, found.result_bytes);
        *outcome = (struct outcome){.size = record.size,
                                    .modified_ns = record.modified_ns,
                                    .changed_ns = record.changed_ns,
                                    .inode = record.inode};
        memcpy(outcome->digest, record.digest, entry->algorithm->bytes);
    }
    free((void *)found.result);
    return whole;
}

void resume_put(struct resume *resume, const struct entry *entry, const struct outcome *outcome)
{
    muster_journal_entry made;
    struct record record = {.size = outcome->size,
                            .modified_ns = outcome->modified_ns,
                            .changed_ns = outcome->changed_ns,
                            .inode = outcome->inode};
    if (!outcome->settled || entry->is_input || !name_entry(resume, entry, &made))
        return;
    memcpy(record.digest, outcome->digest, entry->algorithm->bytes);
    made.result = &record;
    made.result_bytes = offsetof(struct record, digest) + entry->algorithm->bytes;
    if (muster_journal_record(resume->journal, &made) != MUSTER_OK)
        complain(resume);
}

int resume_close(struct resume *resume)
{
    if (!resume)
        return 0;
    bool failed = muster_journal_close(resume->journal) != MUSTER_OK;
    if (failed)
        complain(resume);
    free(resume->folder);
    free(resume->path);
    free(resume);
    return failed ? -1 : 0;
}
