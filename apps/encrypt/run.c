/* SPDX-License-Identifier: BSD-3-Clause */
#include "encrypt/run.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <muster/muster.h>

#include "common/progress.h"
#include "encrypt/files.h"

#define BATCH_BYTES (16u << 20) /* of one file in a task */
#define WAIT_MS     200

/* A task's input; the paths follow: in, out. Its keys are wiped by who has used them. */
struct item {
    struct file *file; /* for rank 0 alone */
    bool decrypt;
    struct format_header header;
    struct format_keys keys;
    uint64_t first, pieces;
    char paths[];
};

enum what { DONE, NOT_READ, NOT_WRITTEN, CHANGED, NOT_AUTHENTIC, NO_MEMORY };

struct outcome {
    struct file *file;
    uint64_t pieces;
    enum what what;
    int error;
};

struct run {
    const struct options *options;
    struct files *files;
    struct file *open, *begun; /* the one whose pieces are handed out; all that have not ended */
    struct item *item;
    size_t room;
    uint64_t bytes;
    struct progress progress;
};

/* ---- in workers ---- */

static int read_all(int fd, uint8_t *bytes, size_t n, uint64_t at)
{
    while (n > 0) {
        ssize_t got = pread(fd, bytes, n, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0 ? 1 : -1;
        bytes += got, at += (uint64_t)got, n -= (size_t)got;
    }
    return 0;
}

static int write_all(int fd, const uint8_t *bytes, size_t n, uint64_t at)
{
    while (n > 0) {
        ssize_t put = pwrite(fd, bytes, n, (off_t)at);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -1;
        bytes += put, at += (uint64_t)put, n -= (size_t)put;
    }
    return 0;
}

static enum what one_piece(const struct item *item, uint64_t k, int in, int out, uint8_t *plain, uint8_t *sealed)
{
    const struct format_header *h = &item->header;
    size_t bytes = format_piece_bytes(h, k), sealed_bytes = bytes + FORMAT_PIECE_EXTRA;
    int failed = item->decrypt ? read_all(in, sealed, sealed_bytes, format_sealed_at(h, k))
                               : read_all(in, plain, bytes, format_plain_at(h, k));
    if (failed)
        return failed > 0 ? CHANGED : NOT_READ;
    if (!item->decrypt)
        format_seal(h, &item->keys, k, plain, sealed);
    else if (format_open(h, &item->keys, k, sealed, plain) != 0)
        return NOT_AUTHENTIC;
    failed = item->decrypt ? write_all(out, plain, bytes, format_plain_at(h, k))
                           : write_all(out, sealed, sealed_bytes, format_sealed_at(h, k));
    return failed ? NOT_WRITTEN : DONE;
}

static enum what all_pieces(const struct item *item, int *error)
{
    const char *in_path = item->paths, *out_path = in_path + strlen(in_path) + 1;
    enum what what = DONE;
    size_t most = format_piece_bytes(&item->header, item->first);
    uint8_t *plain = malloc(most), *sealed = malloc(most + FORMAT_PIECE_EXTRA);
    int in = open(in_path, O_RDONLY | O_CLOEXEC), out = open(out_path, O_WRONLY | O_CLOEXEC);
    if (!plain || !sealed)
        what = NO_MEMORY;
    else if (in < 0 || out < 0)
        what = in < 0 ? NOT_READ : NOT_WRITTEN;
    for (uint64_t k = item->first; what == DONE && k < item->first + item->pieces; k++)
        what = one_piece(item, k, in, out, plain, sealed);
    *error = errno;
    if (in >= 0)
        close(in);
    if (out >= 0 && close(out) != 0 && what == DONE) {
        *error = errno;
        what = NOT_WRITTEN;
    }
    if (plain)
        sodium_memzero(plain, most);
    free(plain);
    free(sealed);
    return what;
}

static int work(const void *given, void *result, const void *user)
{
    struct item *item = (struct item *)given; /* a copy for this task */
    (void)result, (void)user;
    struct outcome outcome = {.file = item->file, .pieces = item->pieces};
    outcome.what = format_begin() == 0 ? all_pieces(item, &outcome.error) : NO_MEMORY;
    sodium_memzero(&item->keys, sizeof item->keys);
    return muster_task_return(&outcome, sizeof outcome);
}

/* ---- on rank 0 ---- */

static void end_file(struct run *run, struct file *file)
{
    for (struct file **link = &run->begun; *link; link = &(*link)->next)
        if (*link == file) {
            *link = file->next;
            break;
        }
    files_end(run->files, file);
}

/* The next file with pieces; one without is whole at once. */
static struct file *next_file(struct run *run)
{
    for (struct file *file; (file = files_next(run->files));) {
        file->next = run->begun;
        run->begun = file;
        if (format_pieces(&file->header) > 0)
            return file;
        end_file(run, file);
    }
    return NULL;
}

/* muster_generate_list_fn */
static int next_item(muster_span *span, void *arg)
{
    struct run *run = arg;
    if (!run->open && !(run->open = next_file(run)))
        return 1;
    struct file *file = run->open;
    uint64_t left = format_pieces(&file->header) - file->handed_out;
    uint64_t batch = BATCH_BYTES / file->header.piece_bytes ? BATCH_BYTES / file->header.piece_bytes : 1;
    size_t bytes = sizeof *run->item + strlen(file->in) + strlen(file->temporary) + 2;
    if (bytes > run->room) {
        free(run->item);
        run->item = malloc(bytes);
        run->room = run->item ? bytes : 0;
        if (!run->item)
            return -1;
    }
    memset(run->item, 0, sizeof *run->item);
    run->item->file = file;
    run->item->decrypt = run->options->decrypt;
    run->item->header = file->header;
    run->item->keys = file->keys;
    run->item->first = file->handed_out;
    run->item->pieces = left < batch ? left : batch;
    strcpy(stpcpy(run->item->paths, file->in) + 1, file->temporary);
    file->handed_out += run->item->pieces;
    if (file->handed_out == format_pieces(&file->header))
        run->open = NULL;
    *span = (muster_span){run->item, bytes};
    return 0;
}

static void take(struct run *run, const struct outcome *o)
{
    struct file *file = o->file;
    char text[200];
    static const char *const texts[] = {[NOT_READ] = "cannot be read",
                                        [NOT_WRITTEN] = "its output cannot be written",
                                        [CHANGED] = "was changed while it was read",
                                        [NOT_AUTHENTIC] = "a piece is not authentic: it was changed",
                                        [NO_MEMORY] = "no memory"};
    file->ended += o->pieces;
    run->bytes += o->pieces * file->header.piece_bytes;
    if (o->what != DONE) {
        bool has_error = o->what == NOT_READ || o->what == NOT_WRITTEN;
        snprintf(text, sizeof text, "%s%s%s", texts[o->what], has_error ? ": " : "",
                 has_error ? strerror(o->error) : "");
        files_fail(run->files, file, o->what != NOT_AUTHENTIC, text);
    }
    if (file->ended == format_pieces(&file->header))
        end_file(run, file);
}

static void show(struct run *run)
{
    char text[120];
    double seconds = progress_clock() - run->progress.begin;
    if (!progress_due(&run->progress))
        return;
    snprintf(text, sizeof text, "%lld whole, %.2f GB, %.2f GB/s", (long long)files_done(run->files),
             (double)run->bytes * 1e-9, seconds > 0 ? (double)run->bytes * 1e-9 / seconds : 0);
    progress_show(&run->progress, text);
}

static muster_err run_all(struct run *run, muster_pool pool)
{
    muster_imap *imap;
    muster_imap_options options = {.unordered = true};
    muster_err err = muster_pool_imap_list(pool, &imap, work, next_item, run, &options);
    if (err != MUSTER_OK)
        return err;
    while (err == MUSTER_OK || err == MUSTER_ERR_TIMEOUT) {
        const void *result;
        size_t bytes;
        err = muster_imap_view(imap, &result, &bytes, NULL, WAIT_MS);
        if (err == MUSTER_OK)
            take(run, result);
        show(run);
        if (muster_interrupted())
            err = MUSTER_ERR_INTERRUPTED;
    }
    muster_imap_end(imap);
    return err == MUSTER_ERR_CLOSED ? MUSTER_OK : err;
}

int run_encrypt(const struct options *options)
{
    struct run run = {.options = options, .files = files_open(options)};
    muster_pool pool;
    if (!run.files)
        return EXIT_BAD;
    run.progress = progress_start(stderr, !options->quiet);
    muster_err err = muster_pool_create(&pool, &(muster_pool_options){.name = "encrypt"});
    if (err == MUSTER_OK) {
        err = run_all(&run, pool);
        muster_pool_destroy(pool); /* nobody writes any more */
    }
    progress_end(&run.progress);
    if (err != MUSTER_OK && !muster_interrupted())
        fprintf(stderr, "encrypt: %s\n", muster_err_detail());
    while (run.begun) /* what is not whole is removed */
        end_file(&run, run.begun);
    int code = files_code(run.files);
    if (run.item)
        sodium_memzero(run.item, run.room);
    free(run.item);
    files_close(run.files);
    return err != MUSTER_OK && code == EXIT_WELL ? EXIT_FAILED : code;
}
