/* SPDX-License-Identifier: BSD-3-Clause */
#include "farm/dry.h"

#include <stdio.h>
#include <stdlib.h>

#include "farm/options.h"

int dry_run(struct lines *lines)
{
    struct line line;
    int there;
    while ((there = lines_next(lines, &line)) == 1) {
        char *text = lines_slot(line.text, NULL);
        puts(text ? text : line.text);
        free(text);
    }
    if (there != 0)
        fprintf(stderr, "farm: %s\n", lines_error(lines));
    lines_close(lines);
    return there == 0 && fflush(stdout) == 0 ? 0 : FARM_EXIT_BAD;
}
