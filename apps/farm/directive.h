/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lines of a command file that say something of the next command:
 *
 *     #wait                 it begins when all before it have ended
 *     #name NAME            others may come after it
 *     #after NAME...        it begins when these have ended well
 *     #cores N, #gpus N     what it gets
 *
 * The word stands right behind the #. All other lines whose first byte is # are comments.
 */
#ifndef FARM_DIRECTIVE_H
#define FARM_DIRECTIVE_H

#include <stdbool.h>

#include "farm/text.h"

#define DIRECTIVE_ERROR_MAX 160
#define DIRECTIVE_CORES_MAX 65536
#define DIRECTIVE_GPUS_MAX  64

/** Of the command that comes. All zero at first. */
struct directives {
    struct text name, after; /**< empty: not said; after: names with one blank between */
    bool wait;
    int cores, gpus; /**< 0: not said */
};

enum directive_line { DIRECTIVE_BAD = -1, DIRECTIVE_COMMAND, DIRECTIVE_NO_COMMAND };

/** Whether a line is a command; what it says of the next one is noted. DIRECTIVE_BAD: with a message. */
enum directive_line directive_read(struct directives *d, const char *line, char error[DIRECTIVE_ERROR_MAX]);

/** The word of one that waits for a command, for messages; NULL: none. #wait needs none. */
const char *directive_left(const struct directives *d);

/** For the next command. */
void directive_clear(struct directives *d);

void directive_free(struct directives *d);

#endif
