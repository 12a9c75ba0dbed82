/* SPDX-License-Identifier: BSD-3-Clause */
#include "checksum/collect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "checksum/work.h"

/* What to say of files whose task gave no result. Tasks fail for want of memory alone. */
static int32_t lost(muster_err err)
{
    if (err == MUSTER_ERR_CANCELED)
        return OUTCOME_OPEN;
    return err == MUSTER_ERR_TASK || err == MUSTER_ERR_NOMEM ? ENOMEM : OUTCOME_LOST;
}

/* Whether it is known what the batch's task answered: slot->answer, or slot->error. */
static bool have_answer(struct slot *slot, collect_fn take, void *arg)
{
    void *answer;
    if (slot->answer || slot->error || !slot->sent)
        return slot->answer || slot->error;
    muster_err err = take(arg, slot->task, &answer);
    if (err == MUSTER_ERR_TIMEOUT)
        return false;
    if (err == MUSTER_OK)
        slot->answer = answer;
    else
        slot->error = lost(err);
    if (slot->answer && slot->answer->tasks > 0)
        slot->parts = calloc(slot->answer->tasks, sizeof *slot->parts);
    if (slot->answer && slot->answer->tasks > 0 && !slot->parts)
        slot->error = ENOMEM;
    return true;
}

/* The parts of a large file, as far as they are there. */
static bool have_parts(struct slot_part *parts, const muster_task *tasks, int64_t n, collect_fn take, void *arg)
{
    bool all = true;
    for (int64_t i = 0; i < n; i++) {
        void *part;
        if (parts[i].part || parts[i].error)
            continue;
        muster_err err = take(arg, tasks[i], &part);
        if (err == MUSTER_OK)
            parts[i].part = part;
        else if (err == MUSTER_ERR_TIMEOUT)
            all = false;
        else
            parts[i].error = lost(err);
    }
    return all;
}

/* A file of that size from its pieces, which all have to be of the same one. */
static int32_t join(const struct algorithm *algorithm, const struct slot_part *parts, int64_t n, int64_t size,
                    struct outcome *outcome)
{
    struct tree tree;
    int32_t error = 0;
    tree_begin(&tree, algorithm);
    for (int64_t i = 0; i < n && !error; i++) {
        const struct work_part *part = parts[i].part;
        error = part ? part->outcome.error : parts[i].error;
        if (error)
            break;
        if (i == 0)
            *outcome = part->outcome;
        if (part->outcome.size != size || part->outcome.modified_ns != outcome->modified_ns ||
            part->outcome.inode != outcome->inode)
            error = OUTCOME_CHANGED;
        for (int64_t leaf = 0; leaf < part->leaves; leaf++)
            tree_add(&tree, part->leaf[leaf]);
    }
    int32_t failed = tree_end(&tree, size, outcome->digest);
    return error ? error : failed;
}

bool collect(struct slot *slot, size_t i, collect_fn take, void *arg, struct outcome *outcome, const char **host)
{
    const struct slot_entry *entry = &slot->entries[i];
    *outcome = (struct outcome){0};
    *host = "";
    if (entry->known) {
        *outcome = *entry->known;
        return true;
    }
    if (!have_answer(slot, take, arg))
        return false;
    if (slot->error) {
        outcome->error = slot->error;
        return true;
    }
    const struct outcome *outcomes = (const void *)(slot->answer + 1);
    const muster_task *tasks = (const void *)(outcomes + slot->answer->n);
    struct slot_part *parts = slot->parts;
    for (size_t before = 0; before < i; before++) {
        if (slot->entries[before].known)
            continue;
        int64_t n = outcomes->error == OUTCOME_LARGE ? work_tasks(outcomes->size, slot->algorithm->tree) : 0;
        tasks += n;
        parts += parts ? n : 0;
        outcomes++;
    }
    *outcome = *outcomes;
    *host = slot->answer->host;
    if (outcome->error != OUTCOME_LARGE)
        return true;
    int64_t size = outcome->size, n = work_tasks(size, slot->algorithm->tree);
    if (!have_parts(parts, tasks, n, take, arg))
        return false;
    if (parts->part)
        *host = parts->part->host;
    if (slot->algorithm->tree)
        outcome->error = join(slot->algorithm, parts, n, size, outcome);
    else if (parts->part)
        *outcome = parts->part->outcome;
    else
        outcome->error = parts->error;
    return true;
}
