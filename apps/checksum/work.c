/* SPDX-License-Identifier: BSD-3-Clause */
#include "checksum/work.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <muster/muster.h>

void (*work_tick)(void);

/* Part of a large file. */
struct large {
    char algorithm[ALGORITHM_NAME_MAX];
    uint32_t tree, in_tree;
    int64_t first, n; /* pieces; not for whole files */
    char path[];
};

/* Of this process, made when first needed. One thread runs its tasks. */
static struct digester digester;
static int folder = -1;
static int folder_error;

static bool stop(void *arg)
{
    (void)arg;
    if (work_tick)
        work_tick();
    return muster_interrupted() != 0;
}

struct work_context *work_context(bool follow, const struct stat *output, size_t *bytes)
{
    char *here = getcwd(NULL, 0);
    if (!here)
        return NULL;
    *bytes = sizeof(struct work_context) + strlen(here) + 1;
    struct work_context *context = calloc(1, *bytes);
    if (context) {
        context->follow = follow;
        context->output_device = output ? output->st_dev : 0;
        context->output_inode = output ? output->st_ino : 0;
        strcpy(context->folder, here);
    }
    free(here);
    return context;
}

static bool ready(const struct work_context *context)
{
    if (folder < 0 && context) {
        folder = open(context->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
        folder_error = folder < 0 ? OUTCOME_FOLDER : 0;
    }
    return digester.buffer || digester_create(&digester, stop, NULL) == 0;
}

int64_t work_pieces_each(int64_t size)
{
    return (tree_pieces(size) + WORK_TASKS_MAX - 1) / WORK_TASKS_MAX;
}

int64_t work_tasks(int64_t size, bool tree)
{
    int64_t each = work_pieces_each(size);
    return tree ? (tree_pieces(size) + each - 1) / each : 1;
}

void work_input(const struct algorithm *algorithm, struct outcome *outcome)
{
    struct stat st;
    *outcome = (struct outcome){.error = fstat(STDIN_FILENO, &st) == 0 ? ready(NULL) ? 0 : ENOMEM : errno};
    if (!outcome->error)
        digest_file(&digester, algorithm, STDIN_FILENO, &st, outcome);
}

static int open_entry(const struct work_context *context, const char *path, bool in_tree, struct stat *st,
                      struct outcome *outcome)
{
    *outcome = (struct outcome){.error = *path == '/' ? 0 : folder_error};
    if (outcome->error)
        return -1;
    int fd = digest_open(folder, path, !in_tree || context->follow);
    if (fd < 0 || fstat(fd, st) != 0)
        outcome->error = fd < 0 && errno == ELOOP && in_tree && !context->follow ? OUTCOME_NO_FILE : errno;
    else if (in_tree && !S_ISREG(st->st_mode))
        outcome->error = OUTCOME_NO_FILE;
    else if (context->output_inode && st->st_dev == context->output_device && st->st_ino == context->output_inode)
        outcome->error = OUTCOME_OUTPUT;
    if (outcome->error && fd >= 0)
        close(fd);
    return outcome->error ? -1 : fd;
}

/* muster_task_fn: a large file, or pieces of it. */
static int run_large(const void *item, void *result, const void *user)
{
    const struct large *large = item;
    (void)result;
    const struct algorithm *algorithm = algorithm_named(large->algorithm, large->tree);
    int64_t leaves = large->tree ? large->n : 0;
    size_t bytes = sizeof(struct work_part) + (size_t)leaves * DIGEST_BYTES_MAX;
    struct work_part *part = calloc(1, bytes);
    if (!part || !algorithm || !ready(user)) {
        free(part);
        return muster_task_fail(1, "no memory");
    }
    struct stat st;
    snprintf(part->host, sizeof part->host, "%s", muster_host());
    part->leaves = leaves;
    int fd = open_entry(user, large->path, large->in_tree, &st, &part->outcome);
    if (fd >= 0) {
        if (large->tree)
            digest_pieces(&digester, algorithm, fd, &st, large->first, large->n, part->leaf, &part->outcome);
        else
            digest_file(&digester, algorithm, fd, &st, &part->outcome);
        close(fd);
    }
    muster_err err = muster_task_return(part, bytes);
    free(part);
    return err;
}

void work_here(const struct work_context *context, const struct entry *entry, struct outcome *outcome)
{
    struct stat st;
    *outcome = (struct outcome){.error = ready(context) ? 0 : ENOMEM};
    int fd = outcome->error ? -1 : open_entry(context, entry->path, entry->in_tree, &st, outcome);
    if (fd < 0)
        return;
    digest_file(&digester, entry->algorithm, fd, &st, outcome);
    close(fd);
}

/* The batch at hand. */
struct work {
    const struct work_batch *batch;
    const struct algorithm *algorithm;
    const struct work_context *context;
    struct outcome *outcomes;
    muster_task *tasks;
    size_t tasks_n, tasks_room;
};

static int32_t room_for(struct work *w, size_t more)
{
    if (w->tasks_n + more <= w->tasks_room)
        return 0;
    size_t room = 2 * w->tasks_room + more;
    muster_task *tasks = realloc(w->tasks, room * sizeof *tasks);
    if (!tasks)
        return ENOMEM;
    w->tasks = tasks;
    w->tasks_room = room;
    return 0;
}

/* Makes the tasks of a large file. outcome->size is there. */
static void leave(struct work *w, const char *path, bool in_tree, struct outcome *outcome)
{
    bool tree = w->algorithm->tree;
    int64_t each = work_pieces_each(outcome->size), n = work_tasks(outcome->size, tree);
    int64_t pieces = tree_pieces(outcome->size);
    size_t bytes = sizeof(struct large) + strlen(path) + 1, before = w->tasks_n;
    struct large *large = malloc(bytes);
    outcome->error = large ? room_for(w, (size_t)n) : ENOMEM;
    if (!outcome->error) {
        *large = (struct large){.tree = tree, .in_tree = in_tree};
        memcpy(large->algorithm, w->batch->algorithm, sizeof large->algorithm);
        strcpy(large->path, path);
        outcome->error = OUTCOME_LARGE;
    }
    for (int64_t i = 0; i < n && outcome->error == OUTCOME_LARGE; i++) {
        large->first = i * each;
        large->n = pieces - large->first < each ? pieces - large->first : each;
        if (muster_pool_submit(muster_task_pool(), &w->tasks[w->tasks_n], run_large, large, bytes, 0, NULL) !=
            MUSTER_OK)
            outcome->error = ENOMEM;
        else
            w->tasks_n++;
    }
    if (outcome->error != OUTCOME_LARGE)
        while (w->tasks_n > before)
            muster_task_forget(w->tasks[--w->tasks_n]);
    free(large);
}

/* Whether a file is what it was when it was read before; then it need not even be opened. */
static bool is_same(const struct work *w, const struct work_item *item, const char *path, struct outcome *outcome)
{
    struct stat st;
    bool follow = !item->in_tree || w->context->follow;
    if (!item->before.inode || fstatat(folder, path, &st, follow ? 0 : AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    *outcome = digest_seen(&st);
    struct work_seen now = work_seen(outcome);
    outcome->error = OUTCOME_SAME;
    return S_ISREG(st.st_mode) && memcmp(&now, &item->before, sizeof now) == 0;
}

static void run_one(struct work *w, const struct work_item *item, struct outcome *outcome)
{
    struct stat st;
    const char *path = (const char *)(item + 1);
    if (is_same(w, item, path, outcome))
        return;
    int fd = open_entry(w->context, path, item->in_tree, &st, outcome);
    if (fd < 0)
        return;
    if (S_ISREG(st.st_mode) && st.st_size > WORK_LARGE) {
        outcome->size = st.st_size;
        leave(w, path, item->in_tree, outcome);
    } else {
        digest_file(&digester, w->algorithm, fd, &st, outcome);
    }
    close(fd);
}

static muster_err answer(const struct work *w)
{
    size_t outcomes = w->batch->n * sizeof *w->outcomes, tasks = w->tasks_n * sizeof *w->tasks;
    struct work_answer *answer = calloc(1, sizeof *answer + outcomes + tasks);
    if (!answer)
        return (muster_err)muster_task_fail(1, "no memory");
    snprintf(answer->host, sizeof answer->host, "%s", muster_host());
    answer->n = w->batch->n;
    answer->tasks = w->tasks_n;
    memcpy(answer + 1, w->outcomes, outcomes);
    if (tasks > 0)
        memcpy((char *)(answer + 1) + outcomes, w->tasks, tasks);
    muster_err err = muster_task_return(answer, sizeof *answer + outcomes + tasks);
    free(answer);
    return err;
}

int work_run(const void *item, void *result, const void *user)
{
    struct work w = {.batch = item, .context = user};
    (void)result;
    w.algorithm = algorithm_named(w.batch->algorithm, w.batch->tree);
    w.outcomes = malloc((size_t)w.batch->n * sizeof *w.outcomes);
    if (!w.outcomes || !w.algorithm || !ready(user)) {
        free(w.outcomes);
        return muster_task_fail(1, "no memory");
    }
    const char *next = (const char *)(w.batch + 1);
    for (uint32_t i = 0; i < w.batch->n; i++) {
        const struct work_item *one = (const void *)next;
        if (muster_interrupted())
            w.outcomes[i] = (struct outcome){.error = OUTCOME_OPEN};
        else
            run_one(&w, one, &w.outcomes[i]);
        next += sizeof *one + one->path_bytes;
    }
    muster_err err = answer(&w);
    free(w.outcomes);
    free(w.tasks);
    return err;
}
