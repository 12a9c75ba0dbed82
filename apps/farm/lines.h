/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What to run: commands, one at a time, of a file, a stream, or made of inputs by replacement strings as GNU parallel
 * has them. src/doc/farm.md says what each option means. Without MPI; one thread at a time.
 */
#ifndef FARM_LINES_H
#define FARM_LINES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define LINES_ERROR_MAX 256

/** All zero but for the delimiter: each line of standard input is a command. Borrowed until lines_close. */
struct lines_options {
    const char *input_name;   /**< what messages call standard_input; NULL: "standard input" */
    const char *const *words; /**< what stands behind farm's own options: the command's words, ":::" and so on */
    int n_words;
    const char *arg_file; /**< -a: as one more ":::: FILE" before the others; NULL: none */
    const char *colsep;   /**< splits an input into {1} {2} ...: an extended regular expression; NULL: none */
    const char
        *header; /**< the first input names the columns: ":", or a regular expression between names; NULL: none */
    const char *replace; /**< -I: what stands for the input rather than {}; NULL: {} */
    char delimiter;      /**< what an input ends with: '\n'; '\0' for -0 */
    long max_args;  /**< -n, -N: so many inputs a command; 0: one, or, with xargs or context, what there is room for;
                       LINES_NO_ARGS: one, and none of it is appended to the command */
    bool xargs;     /**< -m: as many inputs a command as there is room for, in place of {} */
    bool context;   /**< -X: the same, and the whole word that has {} is repeated */
    int slots;      /**< with xargs or context: when inputs end, what is left is shared between so many; 0: one */
    long max_chars; /**< -s: bytes of a command at most; 0: what the system allows for one argument */
    bool no_run_if_empty; /**< -r: inputs that are blank are skipped */
    bool trim_l, trim_r;  /**< blanks of inputs that go; with columns both, and of each column, unless no_trim */
    bool no_trim;
    bool link;       /**< --link: of several sources one input each, the shorter ones again from their beginning */
    const char *end; /**< -E: inputs end where this is one; NULL: none */
    bool quote;      /**< -q: the command's own words are quoted, too */
    bool directives; /**< lines that begin with # are directives or comments, blank ones are skipped */
};

#define LINES_NO_ARGS (-1)

/** One command. All of it is borrowed until the next call. */
struct line {
    char *text;        /**< for the shell, and for lines_slot */
    char **argv;       /**< its words, for lines_slot, where it needs no shell; else NULL */
    int64_t seq;       /**< from 1 */
    const char *name;  /**< #name; NULL: none */
    const char *after; /**< #after: names, with a blank between; NULL: none */
    bool wait;         /**< #wait: only when all before it have ended */
    int cores, gpus;   /**< #cores, #gpus; 0: not said */
    char **args;       /**< the inputs that it was made of; none where the line itself is the command */
    int n_args;
    int64_t line_number; /**< of its last input, from 1; the place among ::: inputs */
    const char *source;  /**< a file's name, "standard input" or ":::" */
};

struct lines;

/** Looks at the options and opens what they name. standard_input is read where nothing else is named, or as ":::: -";
 * its file is not closed. Returns 0, or -1 with a message in error. */
int lines_open(struct lines **lines, const struct lines_options *options, FILE *standard_input,
               char error[LINES_ERROR_MAX]);

/** The next command. It reads no further than that needs, and keeps nothing of the first source. Returns 1; 0: there
 * are no more; -1: the input is wrong where lines_error says, and each further call says the same. */
int lines_next(struct lines *lines, struct line *line);

/** How many commands there are in all, if that is known: of inputs on the command line, of files that can be read
 * twice, and at the end; else -1. */
int64_t lines_total(struct lines *lines);

/** What was wrong: "commands.txt:12: ...". */
const char *lines_error(const struct lines *lines);

/** NULL is fine. */
void lines_close(struct lines *lines);

/** A text, or a word of argv, with the number of the slot that runs it in place of each {%}. NULL: as people are shown
 * it, {%} left as it is. In both, a {%} that was an input's own, and stands in the text as {%%}, is that again.
 * For free(); NULL: no memory. */
char *lines_slot(const char *text, const char *slot);

#endif
