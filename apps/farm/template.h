/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A command with replacement strings, and what it becomes with inputs: {} {.} {/} {//} {/.}, the same with a position
 * or a name before, {#}, {%}.
 */
#ifndef FARM_TEMPLATE_H
#define FARM_TEMPLATE_H

#include <stdbool.h>
#include <stdint.h>

#include "farm/text.h"

#define TEMPLATE_ERROR_MAX 200

/** {name}: the input at a position, from 1. */
struct template_name {
    const char *name;
    int position;
};

/** Borrowed by template_compile alone. */
struct template_options {
    const char *const *words;
    int n_words;         /**< 0: the inputs are the command */
    const char *replace; /**< NULL: {} */
    bool quote;          /**< each word is quoted with what has been put in */
    bool context;        /**< with several inputs the word that has {} is repeated, else only {} is */
    const struct template_name *names;
    int n_names;
};

struct template;

/** Returns 0, or -1 with a message. */
int template_compile(struct template **t, const struct template_options *options, char error[TEMPLATE_ERROR_MAX]);

/** Puts the command. Of {%} the place stays; a {%} that is anything else's becomes {%%}, for template_slot. */
void template_render(struct template *t, struct text *to, char *const *args, int n_args, int64_t seq);

/** How many bytes a command that has one input grows by another, but for what joins them: exact where none is at a
 * position and no words are quoted. */
size_t template_cost(struct template *t, char *const *arg);

/** How many blanks one more input brings. */
int template_joins(const struct template *t);

/** Whether each input is in the command, however many there are. */
bool template_takes_all(const struct template *t);

/** Puts a text that was rendered, with the slot in its places; NULL: {%} as it was written. */
void template_slot(struct text *to, const char *rendered, const char *slot);

/** Puts bytes as template_render does: each {%} among them becomes {%%}. */
void template_put(struct text *to, const char *bytes, size_t n);

void template_free(struct template *t);

#endif
