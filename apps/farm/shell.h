/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a POSIX shell makes of a text: quoting for it, and the words of a command that it would only have split.
 */
#ifndef FARM_SHELL_H
#define FARM_SHELL_H

#include "farm/text.h"

/** Puts a string so that the shell reads it as that: in single quotes unless each byte is a letter, a digit or one of
 * -_.+/ */
void shell_quote(struct text *to, const char *string, size_t n);

/** Words, with room that is used again. All zero at first. */
struct shell_words {
    struct text bytes;
    char **words; /**< NULL behind the last */
    size_t room;
};

/** The words of a command that a shell would run as they stand: blanks between, quotes that hold nothing to expand, a
 * program rather than a builtin or a function. {%} is part of a word. Returns them until the next call; NULL where a
 * shell is needed, there is no word, or no memory. */
char **shell_split(struct shell_words *words, const char *command);

void shell_words_free(struct shell_words *words);

#endif
