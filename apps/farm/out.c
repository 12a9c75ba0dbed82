/* SPDX-License-Identifier: BSD-3-Clause */
#include "farm/out.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_BYTES 200 /* of a part of a results path */

/* A command that has ended before its turn. */
struct waiting {
    int64_t seq;
    char *tag;
    struct spool spools[2];
};

struct out {
    struct out_options options;
    FILE *streams[2];
    int64_t turn;         /* keep_order: whose words are written now */
    struct waiting *heap; /* by seq */
    int64_t n, room;
    int error;
};

/* Lines of one stream of one command, on their way. */
struct writing {
    struct out *out;
    FILE *stream;
    const char *tag;
    bool in_line;
};

struct out *out_open(const struct out_options *options, FILE *streams[2])
{
    struct out *out = calloc(1, sizeof *out);
    if (!out)
        return NULL;
    out->options = *options;
    out->turn = 1;
    for (int i = 0; i < 2; i++)
        out->streams[i] = streams[i];
    return out;
}

static int write_some(struct writing *w, const char *bytes, size_t n)
{
    if (n && fwrite(bytes, 1, n, w->stream) != n && !w->out->error)
        w->out->error = errno ? errno : EIO;
    return w->out->error ? 1 : 0;
}

static int write_piece(void *arg, const char *bytes, size_t n)
{
    struct writing *w = arg;
    if (!w->tag)
        return write_some(w, bytes, n);
    for (const char *end = bytes + n; bytes < end;) {
        const char *line = memchr(bytes, '\n', (size_t)(end - bytes));
        size_t length = (size_t)((line ? line + 1 : end) - bytes);
        if (!w->in_line && (write_some(w, w->tag, strlen(w->tag)) || write_some(w, "\t", 1)))
            return 1;
        if (write_some(w, bytes, length))
            return 1;
        w->in_line = !line;
        bytes += length;
    }
    return 0;
}

static void write_spools(struct out *out, const char *tag, struct spool spools[2])
{
    for (int i = 0; i < 2; i++) {
        struct writing w = {out, out->streams[i], out->options.tag ? tag : NULL, false};
        if (!out->options.silent && !out->error && spool_each(&spools[i], write_piece, &w) < 0)
            out->error = errno;
        spool_clear(&spools[i]);
    }
}

static void swap(struct waiting *a, struct waiting *b)
{
    struct waiting kept = *a;
    *a = *b;
    *b = kept;
}

static bool push(struct out *out, const struct waiting *w)
{
    if (out->n == out->room) {
        int64_t room = out->room ? 2 * out->room : 64;
        struct waiting *more = realloc(out->heap, (size_t)room * sizeof *more);
        if (!more)
            return false;
        out->heap = more;
        out->room = room;
    }
    int64_t i = out->n++;
    out->heap[i] = *w;
    for (; i > 0 && out->heap[(i - 1) / 2].seq > out->heap[i].seq; i = (i - 1) / 2)
        swap(&out->heap[i], &out->heap[(i - 1) / 2]);
    return true;
}

static struct waiting pop(struct out *out)
{
    struct waiting first = out->heap[0];
    out->heap[0] = out->heap[--out->n];
    for (int64_t i = 0, child; (child = 2 * i + 1) < out->n; i = child) {
        if (child + 1 < out->n && out->heap[child + 1].seq < out->heap[child].seq)
            child++;
        if (out->heap[i].seq <= out->heap[child].seq)
            break;
        swap(&out->heap[i], &out->heap[child]);
    }
    return first;
}

/* The turn goes on to the next command, and by those that have ended. */
static void go_on(struct out *out)
{
    out->turn++;
    while (out->n > 0 && out->heap[0].seq == out->turn) {
        struct waiting next = pop(out);
        write_spools(out, next.tag, next.spools);
        free(next.tag);
        out->turn++;
    }
}

bool out_may_say(const struct out *out, int64_t seq)
{
    return out->options.by_lines && (!out->options.keep_order || seq == out->turn);
}

void out_said(struct out *out, const char *tag, int stream, const char *bytes, size_t n)
{
    struct writing w = {out, out->streams[stream], out->options.tag ? tag : NULL, false};
    if (!out->options.silent && !out->error)
        write_piece(&w, bytes, n);
}

void out_ended(struct out *out, int64_t seq, const char *tag, struct spool spools[2])
{
    if (out->options.keep_order && seq != out->turn) {
        struct waiting w = {.seq = seq, .tag = out->options.tag ? strdup(tag) : NULL};
        memcpy(w.spools, spools, sizeof w.spools);
        memset(spools, 0, sizeof w.spools);
        if (!push(out, &w)) {
            out->error = ENOMEM;
            spool_clear(&w.spools[0]);
            spool_clear(&w.spools[1]);
            free(w.tag);
        }
        return;
    }
    write_spools(out, tag, spools);
    if (out->options.keep_order)
        go_on(out);
}

void out_skipped(struct out *out, int64_t seq)
{
    struct spool none[2] = {{0}};
    out_ended(out, seq, "", none);
}

/* As a part of a path: no '/', not "." or "..", of bounded length. */
static void name_part(char part[NAME_BYTES + 8], const char *text)
{
    size_t n = 0;
    for (; *text && n < NAME_BYTES; text++) {
        if (*text == '/')
            n += (size_t)sprintf(part + n, "\\_"), part[n] = '\0';
        else
            part[n++] = *text;
    }
    part[n] = '\0';
    if (n == 0 || strcmp(part, ".") == 0 || strcmp(part, "..") == 0)
        strcat(part, "\\");
}

static int append_folder(char *path, size_t size, const char *part)
{
    size_t n = strlen(path);
    if (snprintf(path + n, size - n, "/%s", part) >= (int)(size - n))
        return errno = ENAMETOOLONG, -1;
    return mkdir(path, 0777) == 0 || errno == EEXIST ? 0 : -1;
}

static int write_to_file(void *arg, const char *bytes, size_t n)
{
    return fwrite(bytes, 1, n, arg) == n ? 0 : 1;
}

static int write_file(const char *folder, const char *name, const struct spool *spool, int64_t seq)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "we");
    if (!file)
        return -1;
    int failed = spool ? spool_each(spool, write_to_file, file) : fprintf(file, "%lld", (long long)seq) < 0;
    if (failed && !errno)
        errno = EIO;
    return fclose(file) != 0 || failed ? -1 : 0;
}

int out_result(const struct out *out, char *const *args, int n_args, int64_t seq, int attempt,
               const struct spool spools[2])
{
    char path[4096], part[NAME_BYTES + 8];
    if (!out->options.results)
        return 0;
    if (snprintf(path, sizeof path, "%s", out->options.results) >= (int)sizeof path)
        return errno = ENAMETOOLONG, -1;
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return -1;
    for (int i = 0; i < n_args; i++) {
        snprintf(part, sizeof part, "%d", i + 1);
        if (append_folder(path, sizeof path, part) != 0)
            return -1;
        name_part(part, args[i]);
        if (append_folder(path, sizeof path, part) != 0)
            return -1;
    }
    if (n_args == 0) {
        snprintf(part, sizeof part, "%lld", (long long)seq);
        if (append_folder(path, sizeof path, part) != 0)
            return -1;
    }
    snprintf(part, sizeof part, "attempt-%d", attempt);
    if (append_folder(path, sizeof path, part) != 0)
        return -1;
    return write_file(path, "stdout", &spools[0], 0) || write_file(path, "stderr", &spools[1], 0) ||
                   write_file(path, "seq", NULL, seq)
               ? -1
               : 0;
}

int out_flush(struct out *out)
{
    for (int i = 0; i < 2; i++)
        if (fflush(out->streams[i]) != 0 && !out->error)
            out->error = errno;
    return out->error;
}

void out_close(struct out *out)
{
    if (!out)
        return;
    while (out->n > 0) { /* what waited for one that did not end */
        struct waiting next = pop(out);
        write_spools(out, next.tag, next.spools);
        free(next.tag);
    }
    out_flush(out);
    free(out->heap);
    free(out);
}
