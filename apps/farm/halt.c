/* SPDX-License-Identifier: BSD-3-Clause */
#include "farm/halt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *skip(const char *text, const char *word)
{
    size_t n = strlen(word);
    return strncmp(text, word, n) == 0 ? text + n : NULL;
}

int halt_parse(const char *text, struct halt *halt)
{
    static const char *const whats[] = {"fail=", "success=", "done="};
    const char *rest = skip(text, "now,");
    char *end;
    *halt = (struct halt){0};
    if (strcmp(text, "never") == 0 || strcmp(text, "0") == 0)
        return 0;
    if (strcmp(text, "1") == 0 || strcmp(text, "2") == 0)
        return halt_parse(*text == '1' ? "soon,fail=1" : "now,fail=1", halt);
    halt->now = rest;
    if (!rest)
        rest = skip(text, "soon,");
    for (int i = 0; rest && i < 3; i++) {
        const char *number = skip(rest, whats[i]);
        if (!number)
            continue;
        halt->what = (enum halt_what)i;
        halt->limit = strtod(number, &end);
        halt->percent = *end == '%';
        end += halt->percent;
        halt->set = end != number && *end == '\0' && halt->limit > 0 && isfinite(halt->limit) &&
                    (halt->percent ? halt->limit <= 100 : halt->limit == floor(halt->limit));
        return halt->set ? 0 : -1;
    }
    return -1;
}

enum halt_now halt_check(const struct halt *halt, int64_t failed, int64_t succeeded, int64_t total)
{
    int64_t ended = failed + succeeded;
    int64_t n = halt->what == HALT_FAIL ? failed : halt->what == HALT_SUCCESS ? succeeded : ended;
    bool reached = n >= halt->limit;
    if (!halt->set)
        return HALT_GO_ON;
    if (halt->percent)
        reached = total >= 0 ? 100.0 * (double)n >= halt->limit * (double)total
                             : ended >= 3 && 100.0 * (double)n >= halt->limit * (double)ended;
    return !reached ? HALT_GO_ON : halt->now ? HALT_NOW : HALT_SOON;
}
